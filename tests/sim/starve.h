/* Things run out.  Whatever the node asks for that may not be there - a slot of a pool, room for a text, memory, a send
 * buffer, room in the queue of records or in a mailbox - asks here first.  All asks of a run are counted together, so
 * the k-th is the same one each time, and a plan says which are refused.
 *
 * The edge of tests/sim asks by itself; pools, texts and memory only in a program that puts the linker's --wrap between
 * (starve_wraps.c).  A run of which nothing is planned is not touched. */
#ifndef RW_TESTS_SIM_STARVE_H
#define RW_TESTS_SIM_STARVE_H

#include <stdbool.h>
#include <stdint.h>

/* clang-format off */
#define STARVE_KINDS(X) \
	X(pool) \
	X(text) \
	X(memory) \
	X(lend) \
	X(mail) \
	X(cdr) \
	X(record)
/* clang-format on */

enum starve_kind {
#define X(name) STARVE_##name,
	STARVE_KINDS(X)
#undef X
		STARVE_KIND_COUNT
};

struct starve {
	bool on;              /* else nothing is counted or refused */
	uint64_t from, until; /* the asks that are refused, from 1 on: from <= n < until */
	uint32_t ppm;         /* and others by chance, */
	uint64_t random;      /* from this */
	uint64_t asked, refused;
	uint64_t refused_kinds[STARVE_KIND_COUNT];
};

/* One run at a time. */
extern struct starve starve;

const char *starve_name(enum starve_kind kind);
/* Asks. */
bool starve_refuses(enum starve_kind kind);

#endif
