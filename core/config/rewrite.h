/* Number rewriting rules of a gateway: the first rule that fits a number changes it, the rest is not looked at (spec
 * 7).
 *
 *   "00 ->"                  a number that begins with 00 loses it
 *   "0 -> 44"                a leading 0 becomes 44
 *   "^(\d{10})$ -> 1\1"      a rule that begins with ^ is a PCRE2 pattern; \1 to \9 and \0 in what replaces the match
 *
 * Compiled once with its configuration (patterns by PCRE2's JIT), then only read, by any number of threads.  */
#ifndef RW_CORE_CONFIG_REWRITE_H
#define RW_CORE_CONFIG_REWRITE_H

#include <stdint.h>

#include "sip/bytes.h"

#define REWRITE_RULES_MAX  256
#define REWRITE_NUMBER_MAX 128 /* characters of a number; what a rule would make longer stays as it was */

struct rewrite_rules;
struct rewrite_room; /* what matching needs of memory: one a thread, made once */

/* 0; -ENOMEM; -EINVAL with what is wrong with rule *ret_bad in `error`. */
int rewrite_build(const char *const *rules, uint32_t count, struct rewrite_rules **ret_rules, uint32_t *ret_bad,
		  char error[static 160]);
void rewrite_free(struct rewrite_rules *rules);

uint32_t rewrite_count(const struct rewrite_rules *rules);               /* NULL: 0 */
const char *rewrite_text(const struct rewrite_rules *rules, uint32_t i); /* as it was written */

struct rewrite_room *rewrite_room_create(void); /* NULL: no memory */
void rewrite_room_free(struct rewrite_room *room);

/* The number as the first fitting rule makes it, into `out` (which must not be where `number` is); the number itself,
 * not copied, if none fits.  NULL rules: none.  Allocates nothing. */
struct bytes rewrite_apply(const struct rewrite_rules *rules, struct rewrite_room *room, struct bytes number,
			   char out[static REWRITE_NUMBER_MAX]);

#endif
