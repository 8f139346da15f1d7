#include "core/call/admission.h"

#include <assert.h>

#include "core/call/setup.h"

#define ASK_MAX_NS                                                                                                     \
	UINT64_C(1000000000) /* another shard answers within a turn of its loop; a second means it is stuck */

static unsigned home_of(const struct shard *s, uint32_t gateway_id)
{
	return gateway_id % s->shard_count;
}

static bool take_line(struct shard *s, uint32_t gateway_id, uint64_t capacity)
{
	assert(gateway_id < LINES_MAX);
	if (s->lines[gateway_id] >= capacity)
		return false;
	s->lines[gateway_id]++;
	return true;
}

static void give_line(struct shard *s, uint32_t gateway_id)
{
	assert(gateway_id < LINES_MAX && s->lines[gateway_id] > 0);
	s->lines[gateway_id]--;
}

enum line_answer admission_ask(struct shard *s, struct call *call, enum line_kind kind, uint32_t gateway_id,
			       uint32_t capacity)
{
	unsigned home = home_of(s, gateway_id);
	if (home == s->shard)
		return take_line(s, gateway_id, capacity) ? LINE_GRANTED : LINE_REFUSED;
	struct note note = { .kind = NOTE_LINE_ASK,
			     .from = s->shard,
			     .a = gateway_id,
			     .b = capacity,
			     .c = (uint64_t)call->slot.generation << 32 | call_index(s, call) };
	struct setup *setup = setup_of(s, call);
	setup->asked = (uint8_t)kind;
	setup->ask_ends_ns = s->now.now_ns + ASK_MAX_NS;
	setup_arm(s, call);
	s->edge.post(s->edge.context, home, &note);
	return LINE_PENDING;
}

void admission_free(struct shard *s, uint32_t gateway_id)
{
	unsigned home = home_of(s, gateway_id);
	struct note note = { .kind = NOTE_LINE_FREE, .from = s->shard, .a = gateway_id };
	if (home == s->shard)
		give_line(s, gateway_id);
	else
		s->edge.post(s->edge.context, home, &note);
}

static void answered(struct shard *s, const struct note *note, bool granted)
{
	struct call *call = pool_find(&s->calls, (uint32_t)note->c, (uint32_t)(note->c >> 32));
	const struct setup *setup = call && !call->over ? setup_of(s, call) : NULL;
	if (setup && setup->asked != LINE_NONE)
		setup_line_answered(s, call, granted);
	else if (granted) /* the call ended meanwhile */
		admission_free(s, (uint32_t)note->a);
}

void admission_note(struct shard *s, const struct note *note)
{
	struct note answer = { .from = s->shard, .a = note->a, .c = note->c };
	switch ((enum note_kind)note->kind) {
	case NOTE_LINE_ASK:
		answer.kind = take_line(s, (uint32_t)note->a, note->b) ? NOTE_LINE_GRANTED : NOTE_LINE_REFUSED;
		s->edge.post(s->edge.context, note->from, &answer);
		break;
	case NOTE_LINE_GRANTED:
		answered(s, note, true);
		break;
	case NOTE_LINE_REFUSED:
		answered(s, note, false);
		break;
	case NOTE_LINE_FREE:
		give_line(s, (uint32_t)note->a);
		break;
	}
}
