/* What shards tell each other about the credit of accounts (struct note of core/edge.h; see bank.h).  Amounts are 10^-8
 * units.  Notes of one shard to another arrive in the order in which they were sent. */
#ifndef RW_CORE_CALL_CREDIT_NOTE_H
#define RW_CORE_CALL_CREDIT_NOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/edge.h"

/* Apart from those of limit_note.h and rest.h. */
enum credit_note_kind {
	NOTE_CREDIT_ASK = 128, /* to the home: struct credit_ask */
	NOTE_CREDIT_ANSWER,    /* from the home: struct credit_answer */
	NOTE_CREDIT_RECALL,    /* from the home: give back whatever no call has; a: account */
	NOTE_CREDIT_RETURN,    /* to the home: struct credit_return */
};

static inline bool credit_note_is(const struct note *note)
{
	return note->kind >= NOTE_CREDIT_ASK && note->kind <= NOTE_CREDIT_RETURN;
}

/* It takes the place of the shard's former one, if that is not answered yet. */
struct credit_ask {
	uint32_t account_id;
	uint16_t turn;    /* counts the asks of this shard for this account */
	bool refusable;   /* new calls wait: say so if there is nothing; else there is no hurry to answer */
	int64_t least_e8; /* what is of use at all */
	int64_t want_e8;  /* what all who wait would take; 0: nobody waits any more, and no answer is wanted */
};

struct credit_answer {
	uint32_t account_id;
	uint16_t turn;     /* of the ask */
	bool refused;      /* there is not even the least, anywhere */
	bool lends;        /* what no call needs may stay, until it is recalled */
	int64_t amount_e8; /* granted */
};

struct credit_return {
	uint32_t account_id;
	bool recalled;       /* in answer to a recall: nothing is left */
	int64_t spent_e8;    /* fees: the balance is less by so much; below zero: what a vendor is owed */
	int64_t released_e8; /* of what the home had given out: the fees that were reserved, and what comes back; below
			      * zero: taken without asking */
};

static inline struct note credit_ask_note(unsigned from, const struct credit_ask *ask)
{
	return (struct note){ .kind = NOTE_CREDIT_ASK,
			      .from = from,
			      .a = (uint64_t)ask->turn << 48 | (uint64_t)ask->refusable << 32 | ask->account_id,
			      .b = (uint64_t)ask->least_e8,
			      .c = (uint64_t)ask->want_e8 };
}

static inline struct credit_ask credit_ask_of(const struct note *note)
{
	return (struct credit_ask){ .account_id = (uint32_t)note->a,
				    .turn = (uint16_t)(note->a >> 48),
				    .refusable = note->a >> 32 & 1,
				    .least_e8 = (int64_t)note->b,
				    .want_e8 = (int64_t)note->c };
}

static inline struct note credit_answer_note(unsigned from, const struct credit_answer *answer)
{
	return (struct note){ .kind = NOTE_CREDIT_ANSWER,
			      .from = from,
			      .a = (uint64_t)answer->turn << 48 | (uint64_t)answer->lends << 33 |
				   (uint64_t)answer->refused << 32 | answer->account_id,
			      .b = (uint64_t)answer->amount_e8 };
}

static inline struct credit_answer credit_answer_of(const struct note *note)
{
	return (struct credit_answer){ .account_id = (uint32_t)note->a,
				       .turn = (uint16_t)(note->a >> 48),
				       .refused = note->a >> 32 & 1,
				       .lends = note->a >> 33 & 1,
				       .amount_e8 = (int64_t)note->b };
}

static inline struct note credit_return_note(unsigned from, const struct credit_return *back)
{
	return (struct note){ .kind = NOTE_CREDIT_RETURN,
			      .from = from,
			      .a = (uint64_t)back->recalled << 32 | back->account_id,
			      .b = (uint64_t)back->spent_e8,
			      .c = (uint64_t)back->released_e8 };
}

static inline struct credit_return credit_return_of(const struct note *note)
{
	return (struct credit_return){ .account_id = (uint32_t)note->a,
				       .recalled = note->a >> 32 & 1,
				       .spent_e8 = (int64_t)note->b,
				       .released_e8 = (int64_t)note->c };
}

/* For whoever checks that none is lost: what is on its way in a note, of what the home has given out; negative: what it
 * has yet to hear that a shard has taken. */
static inline int64_t credit_note_amount(const struct note *note)
{
	if (note->kind == NOTE_CREDIT_ANSWER)
		return credit_answer_of(note).amount_e8;
	return note->kind == NOTE_CREDIT_RETURN ? credit_return_of(note).released_e8 : 0;
}

#endif
