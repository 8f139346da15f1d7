/* What shards tell each other about the limits of gateways (struct note of core/edge.h).  Notes of one shard to another
 * arrive in the order in which they were sent.
 *
 * A line is leave to have a call up, a start leave to begin one in a certain second. */
#ifndef RW_CORE_CALL_LIMIT_NOTE_H
#define RW_CORE_CALL_LIMIT_NOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/edge.h"

enum note_kind {
	NOTE_ASK,        /* to the home: `calls` calls wait; with_lines: they need lines */
	NOTE_ANSWER,     /* from the home: struct limit_answer */
	NOTE_RECALL,     /* from the home: give back whatever no call uses */
	NOTE_GIVEN_BACK, /* to the home: struct limit_return, because calls have ended or limits have changed */
	NOTE_RECALLED,   /* to the home: the same, in answer to a recall; nothing is left */
	NOTE_REGISTER,   /* to the home: a capacity is new to this shard, where `lines` calls are up already */
	NOTE_ROOM_ASK,   /* round the shards, until one can give some: a: the asker, b: at most so much (room.h) */
	NOTE_ROOM_GIVEN, /* a: so much */
	NOTE_CONFIGURED, /* to all: what the sender says from here on belongs to this generation of the configuration */
};

#define ASK_CALLS_MAX 0xffffu /* of one NOTE_ASK: more wait for its answer */

struct limit_ask {
	uint32_t gateway_id;
	uint16_t calls;
	bool with_lines;
};

struct limit_answer {
	uint32_t gateway_id;
	uint16_t granted;        /* of the calls that were asked for */
	uint16_t refused;        /* likewise */
	uint16_t lent;           /* over and above, for calls to come */
	bool with_lines;         /* granted and lent are lines, too */
	bool by_rate;            /* refused by the rate limit, not by the capacity */
	uint32_t capacity;       /* that the home went by */
	uint64_t second_ends_ns; /* of the starts; 0: there is no rate limit */
};

struct limit_return {
	uint32_t gateway_id;
	uint32_t lines;
	uint32_t starts; /* not used, of the second that ends then */
	uint64_t second_ends_ns;
};

static inline struct note limit_ask_note(unsigned from, const struct limit_ask *ask)
{
	return (struct note){
		.kind = NOTE_ASK, .from = from, .a = ask->gateway_id, .b = ask->calls, .c = ask->with_lines
	};
}

static inline struct limit_ask limit_ask_of(const struct note *note)
{
	return (struct limit_ask){ .gateway_id = (uint32_t)note->a,
				   .calls = (uint16_t)note->b,
				   .with_lines = note->c & 1 };
}

static inline struct note limit_answer_note(unsigned from, const struct limit_answer *answer)
{
	return (struct note){ .kind = NOTE_ANSWER,
			      .from = from,
			      .a = (uint64_t)answer->capacity << 32 | answer->gateway_id,
			      .b = (uint64_t)answer->by_rate << 49 | (uint64_t)answer->with_lines << 48 |
				   (uint64_t)answer->lent << 32 | (uint64_t)answer->refused << 16 | answer->granted,
			      .c = answer->second_ends_ns };
}

static inline struct limit_answer limit_answer_of(const struct note *note)
{
	return (struct limit_answer){ .gateway_id = (uint32_t)note->a,
				      .granted = (uint16_t)note->b,
				      .refused = (uint16_t)(note->b >> 16),
				      .lent = (uint16_t)(note->b >> 32),
				      .with_lines = note->b >> 48 & 1,
				      .by_rate = note->b >> 49 & 1,
				      .capacity = (uint32_t)(note->a >> 32),
				      .second_ends_ns = note->c };
}

static inline struct note limit_return_note(enum note_kind kind, unsigned from, const struct limit_return *back)
{
	return (struct note){ .kind = kind,
			      .from = from,
			      .a = (uint64_t)back->lines << 32 | back->gateway_id,
			      .b = back->starts,
			      .c = back->second_ends_ns };
}

static inline struct limit_return limit_return_of(const struct note *note)
{
	return (struct limit_return){ .gateway_id = (uint32_t)note->a,
				      .lines = (uint32_t)(note->a >> 32),
				      .starts = (uint32_t)note->b,
				      .second_ends_ns = note->c };
}

/* For whoever checks that none is lost: lines that are on their way in a note; negative: calls that the home has yet
 * to hear of. */
static inline int64_t limit_note_lines(const struct note *note)
{
	switch ((enum note_kind)note->kind) {
	case NOTE_ANSWER: {
		struct limit_answer answer = limit_answer_of(note);
		return answer.with_lines ? answer.granted + answer.lent : 0;
	}
	case NOTE_GIVEN_BACK:
	case NOTE_RECALLED:
		return limit_return_of(note).lines;
	case NOTE_REGISTER:
		return -(int64_t)limit_return_of(note).lines;
	case NOTE_ASK:
	case NOTE_RECALL:
	case NOTE_ROOM_ASK:
	case NOTE_ROOM_GIVEN:
	case NOTE_CONFIGURED:
		break;
	}
	return 0;
}

#endif
