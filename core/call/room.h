/* Room for calls: the node's max_calls, shared out among its shards.
 *
 * A shard begins with its share and never has more calls than it has room for, so all of them never have more than
 * max_calls.  Calls fall to shards by hash, not evenly: one that has little room left asks the next shard for some of
 * its own.  Who has any to spare gives half of it, who has none passes the question on, and when it comes back
 * unanswered the node is full.  Nothing waits for that: a new call that finds no room is refused (503), so while the
 * node fills up a call may be refused though the other shards have room for one more each, or for more within the last
 * millisecond. */
#ifndef RW_CORE_CALL_ROOM_H
#define RW_CORE_CALL_ROOM_H

#include "core/call/state.h"

/* Calls that the pools of a shard are made for: more than its share, as it may be given more. */
uint32_t room_slots(uint32_t share, unsigned shard_count);

static inline bool room_is_left(const struct shard *s)
{
	return s->calls.used < s->room;
}

/* Asks for more if there is little left: after each new call, or none. */
void room_look(struct shard *s);

void room_asked(struct shard *s, const struct note *note);
void room_given(struct shard *s, const struct note *note);

#endif
