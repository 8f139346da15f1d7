/* rwbench parse: what its parts share.  Private to bench/parse*.c.
 *
 * The in-place reader of sip/reader.c and the library behind sip/library.c, on the same messages: the 14 of a call are
 * of these kinds, and any others can be read from files. */
#ifndef RW_BENCH_PARSE_H
#define RW_BENCH_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "sip/message.h"

#define PARSE_COPIES 64 /* of each message, with other numbers in them: no reader learns one text by heart */

struct parse_message {
	char name[64];
	bool in_call; /* one of the seven that come in during a call */
	struct bytes copy[PARSE_COPIES];
};

struct parse_set {
	struct parse_message *message;
	unsigned count;
};

/* The built-in messages.  0 or -ENOMEM. */
int parse_set_built_in(uint64_t seed, struct parse_set *ret_set);
/* One message a file, all files of the directory in the order of their names; all copies are alike.  0 or a negative
 * errno, the reason on stderr. */
int parse_set_read(const char *directory, struct parse_set *ret_set);
void parse_set_free(struct parse_set *set);

#endif
