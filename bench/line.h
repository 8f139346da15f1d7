/* A delay line: everything put into it waits equally long, so it comes out in the order it went in, and putting in and
 * taking out cost a few instructions on memory that lies in a row.  Nothing is cancelled: who takes out an entry looks
 * whether it still matters. */
#ifndef RW_BENCH_LINE_H
#define RW_BENCH_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct line_entry {
	uint64_t due_ns;
	uint32_t slot;
	uint32_t note; /* the owner's: what is due, and of which use of the slot */
};

struct line {
	uint64_t delay_ns;
	struct line_entry *entry; /* a ring of `room`, a power of two */
	size_t room, first, count;
};

void line_init(struct line *l, uint64_t delay_ns);
void line_destroy(struct line *l);

/* now_ns never goes backwards.  false: no memory. */
bool line_put(struct line *l, uint64_t now_ns, uint32_t slot, uint32_t note);

/* false: nothing is due. */
bool line_take(struct line *l, uint64_t now_ns, struct line_entry *ret_entry);

void line_clear(struct line *l);

/* UINT64_MAX: it is empty. */
static inline uint64_t line_next_ns(const struct line *l)
{
	return l->count > 0 ? l->entry[l->first].due_ns : UINT64_MAX;
}

#endif
