#include "core/call/room.h"

#include <assert.h>

#include "core/call/limit_note.h"

#define ASK_AGAIN_NS UINT64_C(1000000) /* after nobody had any */

static uint32_t square_root(uint32_t n)
{
	uint32_t root = 0;
	for (uint32_t bit = 1u << 15; bit; bit >>= 1)
		if ((uint64_t)(root + bit) * (root + bit) <= n)
			root += bit;
	return root;
}

/* The calls of a shard scatter about its share by the square root of it: six times that is never met. */
uint32_t room_slots(uint32_t share, unsigned shard_count)
{
	return shard_count > 1 ? share + 6 * square_root(share) + 8 : share;
}

static uint32_t left(const struct shard *s)
{
	return s->room > s->calls.used ? s->room - s->calls.used : 0; /* more may have been carried over */
}

static unsigned next_shard(const struct shard *s)
{
	return (s->shard + 1u) % s->shard_count;
}

/* More than its slots would be no use here. */
static uint32_t wanted(const struct shard *s)
{
	return s->calls.size - s->room;
}

void room_look(struct shard *s)
{
	if (s->shard_count == 1 || left(s) > s->calls_max / 32 + 1 || s->room_asked || !wanted(s) ||
	    s->now.now_ns < s->room_ask_ns)
		return;
	struct note note = { .kind = NOTE_ROOM_ASK, .from = s->shard, .a = s->shard, .b = wanted(s) };
	s->room_asked = true;
	stat_add(&s->stats->room_asks, 1);
	s->edge.post(s->edge.context, next_shard(s), &note);
}

void room_asked(struct shard *s, const struct note *note)
{
	if (note->a == s->shard) { /* nobody has any */
		s->room_asked = false;
		s->room_ask_ns = s->now.now_ns + ASK_AGAIN_NS;
		return;
	}
	uint32_t give = left(s) / 2;
	if (give > note->b)
		give = (uint32_t)note->b;
	struct note answer = { .kind = NOTE_ROOM_GIVEN, .from = s->shard, .a = give };
	if (!give) {
		s->edge.post(s->edge.context, next_shard(s), note);
		return;
	}
	s->room -= give;
	s->edge.post(s->edge.context, (unsigned)note->a, &answer);
}

void room_given(struct shard *s, const struct note *note)
{
	assert(s->room_asked && note->a <= wanted(s));
	s->room_asked = false;
	s->room += (uint32_t)note->a;
	room_look(s);
}
