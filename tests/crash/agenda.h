/* What is to be done when: a heap of moments.  Nothing is taken back; whoever armed it knows when it no longer holds.
 */
#ifndef RW_TESTS_CRASH_AGENDA_H
#define RW_TESTS_CRASH_AGENDA_H

#include <stdbool.h>
#include <stdint.h>

struct moment {
	uint64_t at_ns;
	uint32_t call;
	uint8_t side;
	uint8_t what;
	uint32_t stamp; /* of who armed it: another one now means that it does not hold any more */
};

struct agenda {
	struct moment *heap;
	uint32_t count, room;
};

void agenda_add(struct agenda *a, struct moment moment);
/* The earliest, if it has come. */
bool agenda_take(struct agenda *a, uint64_t now_ns, struct moment *ret_moment);
uint64_t agenda_next_ns(const struct agenda *a); /* UINT64_MAX: nothing */
void agenda_free(struct agenda *a);

#endif
