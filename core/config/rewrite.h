/* Number rewriting rules of a gateway: the first rule that fits a number changes it, the rest is not looked at (spec
 * 7).
 *
 *   "00 ->"                  a number that begins with 00 loses it
 *   "0 -> 44"                a leading 0 becomes 44
 *   "-> 99"                  every number gets 99 in front
 *   "44 -> 44"               one with 44 stays as it is, whatever later rules say
 *   "^(\d{10})$ -> 1\1"      a rule that begins with ^ is a PCRE2 pattern; \1 to \9 and \0 in what replaces the match
 *
 * Blanks around "->", which is the last one in the rule, do not count.  What follows the prefix, or what the pattern
 * matched, stays.  A pattern is matched at the beginning of the number only, also behind a '|'.  What a rule adds are
 * visible characters that mean nothing to SIP or to a reader of CDRs (none of " % < > : @ \ and no blanks), so a
 * rewritten number has no other characters than that and those it came with.
 *
 * Threads: rules are compiled once with their configuration (patterns by PCRE2's JIT, where the machine allows it), and
 * are then only read, by any number of threads at a time; whoever frees them sees to it that none does any more.  A
 * room is one thread's own, and serves all rules.
 *
 * Time: a pattern is given up, as one that does not fit, once it has tried so much that it would hold up the thread.
 * REWRITE_GIVEN_UP_MAX such patterns for one number, and the number stays as it is.  */
#ifndef RW_CORE_CONFIG_REWRITE_H
#define RW_CORE_CONFIG_REWRITE_H

#include <stdint.h>

#include "sip/bytes.h"

#define REWRITE_RULES_MAX    256
#define REWRITE_NUMBER_MAX   128 /* characters of a number; what a rule would make longer stays as it was */
#define REWRITE_GIVEN_UP_MAX 4

struct rewrite_rules;
struct rewrite_room; /* what matching needs of memory: one a thread, made once */

/* 0; -ENOMEM; -EINVAL with what is wrong with rule *ret_bad in `error`.  The texts are copied.  No rules: NULL. */
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

/* How many times a pattern was given up in this room. */
uint64_t rewrite_given_up(const struct rewrite_room *room);

#endif
