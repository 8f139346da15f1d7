/* The account of a gateway's limits, which its home shard keeps (gateway id modulo shards): how many lines are out, how
 * many starts of the second are spent, who may hold some that no call uses, who waits for one.
 *
 * A shard asks for as many as it has calls waiting.  Of a large limit the home lends it some more, so that most calls
 * ask nobody; a limit of at most 4 times the shards is never lent.  An asker is refused only when nothing is left here
 * and nothing is lent out: before, the home recalls what was lent and keeps the asker waiting.  So, as the home sees
 * it, a line that is free is never refused, and lines in use, lent, and on their way always sum to `out`.  All that is
 * known of other shards comes with notes (limit_note.h), and some may lie unread in a mailbox: so a refusal waits until
 * all that was there when the call came has been read.
 *
 * Capacity: lines are counted by what shards have said, whatever configuration the home itself has.  Where a capacity
 * is new, shards first have to say how many calls they have up: nobody is answered before all have come to that
 * generation of the configuration.
 *
 * Rate: a second begins with the first call after the one before has ended; there are rate_limit starts in it. */
#ifndef RW_CORE_CALL_HOME_H
#define RW_CORE_CALL_HOME_H

#include "core/call/limit_note.h"
#include "core/call/state.h"

/* Nothing of it is a call's: zeroes are a gateway that nobody asks about. */
struct home {
	uint64_t second_ends_ns; /* of the starts spent; 0: none yet */
	uint64_t lenders;        /* bit by shard: may hold lines or starts that no call uses */
	uint64_t recalled;       /* those of them that are to give them back, and have not yet */
	uint64_t with_lines;     /* those who ask for lines */
	uint32_t out;            /* lines that shards hold or that are on their way; more than the capacity after a
				  * reload that made it smaller */
	uint32_t spent;          /* starts of the second, lent ones too */
	uint32_t since;          /* generation that brought the capacity; 0: the first one */
	uint32_t waiting;        /* sum of `wanted` */
	uint32_t next_refusal;   /* gateway id, of those that home_refuse_due() looks at; 0: the last */
	uint32_t refuse_after;   /* s->home_turns */
	bool refusing;           /* it is one of them */
	bool serving;            /* somebody is being answered, further up */
	uint16_t turn;           /* the shard that is served next */
	uint32_t wanted[];       /* by shard: calls that wait for an answer */
};

static inline unsigned home_shard(const struct shard *s, uint32_t gateway_id)
{
	return gateway_id % s->shard_count;
}

static inline bool home_is_here(const struct shard *s, uint32_t gateway_id)
{
	return home_shard(s, gateway_id) == s->shard;
}

/* Bytes of all accounts of a shard. */
size_t home_bytes_all(unsigned shard_count);

struct home *home_of(const struct shard *s, uint32_t gateway_id);

/* A call of this shard: at once what the home can say at once, and HOME_WAITS where it cannot; then the call is in the
 * account as one that waits, and gets its answer by admission_own_answer(). */
enum home_answer { HOME_GRANTS, HOME_REFUSES_LINE, HOME_REFUSES_START, HOME_WAITS };
enum home_answer home_ask_own(struct shard *s, uint32_t gateway_id);
/* It waits no longer. */
void home_forget_own(struct shard *s, uint32_t gateway_id);

void home_asked(struct shard *s, unsigned from, const struct limit_ask *ask);
/* Lines and starts are back; recalled: in answer to a recall. */
void home_returned(struct shard *s, unsigned from, const struct limit_return *back, bool recalled);
/* From shard_advance(), after the notes of a turn: answers those for whom nothing came. */
void home_refuse_due(struct shard *s);

/* All shards have come to another generation. */
void home_generation_reached(struct shard *s);

/* How much of a limit is lent at a time; 0: it is a small one. */
uint32_t home_portion(const struct shard *s, uint32_t limit);

#endif
