#include "core/call/carry.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>

#include "core/call/connect.h"
#include "core/call/ending.h"
#include "core/call/leg.h"
#include "core/call/setup.h"

#define WALK_CALLS    20                 /* written at a time: a walk is in no hurry, and delays no datagram */
#define WALK_SLOTS    2000               /* looked at */
#define WALK_STEP_NS  UINT64_C(1000000)  /* the next time */
#define NO_ROOM_NS    UINT64_C(10000000) /* after that the queue is asked again */
#define CLOSE_PORTION 20                 /* as an orderly stop does: */
#define CLOSE_STEP_NS UINT64_C(1000000)

struct carry *carry_create(uint64_t machine)
{
	struct carry *c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	c->machine = machine;
	c->changed = POOL_NONE;
	return c;
}

void carry_destroy(struct shard *s)
{
	if (!s->carry)
		return;
	carry_release_legs(s);
	free(s->carry->closing);
	free(s->carry);
}

/* ---- the queue ---- */

bool carry_is_kept(const struct shard *s)
{
	return s->edge.record_lend != NULL;
}

uint8_t *carry_lend(struct shard *s, size_t size)
{
	assert(size <= RECORD_BYTES_MAX);
	if (!carry_is_kept(s) || s->backlog_count) /* records stay in the order of what has happened */
		return NULL;
	return s->edge.record_lend(s->edge.context, size);
}

void carry_publish(struct shard *s, enum record_kind kind, size_t size)
{
	s->edge.record(s->edge.context, kind, size);
	s->carry->serial++;
}

/* ---- the answer ---- */

bool carry_answered(struct shard *s, struct call *call)
{
	if (!carry_is_kept(s))
		return true;
	call->journaled = carry_write_live(s, call);
	return call->journaled;
}

static struct call *held_at(const struct shard *s, uint32_t link)
{
	struct call *call = call_at(s, link - 1);
	assert(call->held && setup_of(s, call));
	return call;
}

bool carry_holds(struct shard *s, struct call *call)
{
	struct carry *c = s->carry;
	struct setup *setup = setup_of(s, call);
	uint32_t link = call_index(s, call) + 1;
	if (!s->config->answer_after_sync || !call->journaled)
		return false;
	call->held = true;
	setup->ask_turn = (uint32_t)(c->serial - 1);
	setup->ask_previous = c->held_last;
	setup->ask_next = 0;
	if (c->held_last)
		setup_of(s, held_at(s, c->held_last))->ask_next = link;
	else
		c->held_first = link;
	c->held_last = link;
	return true;
}

void carry_unhold(struct shard *s, struct call *call)
{
	struct carry *c = s->carry;
	const struct setup *setup = setup_of(s, call);
	assert(call->held);
	if (setup->ask_previous)
		setup_of(s, held_at(s, setup->ask_previous))->ask_next = setup->ask_next;
	else
		c->held_first = setup->ask_next;
	if (setup->ask_next)
		setup_of(s, held_at(s, setup->ask_next))->ask_previous = setup->ask_previous;
	else
		c->held_last = setup->ask_previous;
	call->held = false;
}

void shard_synced(struct shard *s, uint64_t now_ns, uint64_t serial_end)
{
	if (now_ns > s->now.now_ns)
		s->now.now_ns = now_ns;
	while (s->carry->held_first) {
		struct call *call = held_at(s, s->carry->held_first);
		if ((int32_t)(setup_of(s, call)->ask_turn - (uint32_t)serial_end) >= 0)
			return;
		carry_unhold(s, call);
		connect_release(s, call);
		shard_settle(s);
	}
}

/* ---- one whole record in a turn ---- */

#define TURNS 4095u /* that whole_turn tells apart: a change that follows one of just so long ago waits, too */

/* Turns of calls end at different moments. */
static uint64_t turn_phase_ns(const struct shard *s, const struct call *call)
{
	return milliseconds_ns(call_index(s, call)) % CARRY_TURN_NS;
}

static uint64_t turn_of(const struct shard *s, const struct call *call)
{
	return (s->now.now_ns + turn_phase_ns(s, call)) / CARRY_TURN_NS;
}

static uint32_t turn_name(uint64_t turn)
{
	return (uint32_t)(turn % TURNS) + 1;
}

uint64_t carry_turn_ends_ns(const struct shard *s, const struct call *call)
{
	uint64_t turn = turn_of(s, call);
	uint32_t ago = (turn_name(turn) + TURNS - call->whole_turn) % TURNS;
	return (turn - ago + 1) * CARRY_TURN_NS - turn_phase_ns(s, call);
}

/* Whether its whole record has to wait. */
static bool waits_for_turn(struct shard *s, struct call *call)
{
	if (call->whole_waits || s->keeping || call->whole_turn != turn_name(turn_of(s, call)))
		return call->whole_waits;
	call->whole_waits = true;
	setup_arm(s, call);
	return true;
}

static void stop_waiting(struct shard *s, struct call *call)
{
	if (!call->whole_waits)
		return;
	call->whole_waits = false;
	setup_arm(s, call);
}

void carry_turn_over(struct shard *s, struct call *call)
{
	stop_waiting(s, call);
	carry_note_change(s, call, CARRY_WHOLE);
}

/* ---- changes ---- */

static bool write_changes(struct shard *s, struct call *call)
{
	if (call->changed & 1u << CARRY_WHOLE && !waits_for_turn(s, call)) {
		if (!carry_write_live(s, call))
			return false;
		call->changed = 0;
		call->whole_turn = turn_name(turn_of(s, call)) & 0xfff;
	}
	for (enum carry_part part = CARRY_ACKED; part < CARRY_WHOLE; part++) {
		if (!(call->changed & 1u << part))
			continue;
		if (!carry_write_change(s, call, part))
			return false;
		call->changed &= ~(1u << part) & 0xf;
	}
	return true;
}

/* What was noted in this input. */
static void write_noted(struct shard *s)
{
	struct carry *c = s->carry;
	struct call *call = call_at(s, c->changed);
	c->changed = POOL_NONE;
	if (!call->over && !write_changes(s, call))
		c->missed = true;
}

void carry_note_change(struct shard *s, struct call *call, enum carry_part part)
{
	struct carry *c = s->carry;
	uint32_t index = call_index(s, call);
	if (call->over)
		return;
	if (c->changed != POOL_NONE && c->changed != index)
		write_noted(s);
	call->changed |= 1u << part & 0xf;
	c->changed = index;
}

void carry_settle(struct shard *s)
{
	if (s->carry->changed != POOL_NONE)
		write_noted(s);
}

/* ---- the end ---- */

void carry_call_ends(struct shard *s, struct call *call)
{
	if (call->whole_waits)
		carry_write_live(s, call);
	call->whole_waits = false;
}

void carry_leg_ends(const struct call *call, struct leg *leg)
{
	if (!call->journaled)
		return;
	leg->closes = true;
	leg->ended_start_us = call->start_us;
	leg->ended_sequence = call->sequence;
}

/* Without room for it the leg may get a needless BYE after a restart, no more. */
void carry_leg_over(struct shard *s, struct leg *leg)
{
	if (leg->closes)
		carry_write_closed(s, leg);
	if (carry_is_carried(s, leg))
		carry_forget_leg(s, leg);
}

/* ---- the walk: a checkpoint, or what found no room ---- */

static bool write_mark(struct shard *s, enum record_kind kind)
{
	uint64_t number = htole64(s->carry->number);
	uint8_t *at = carry_lend(s, sizeof number);
	if (!at)
		return false;
	memcpy(at, &number, sizeof number);
	carry_publish(s, kind, sizeof number);
	return true;
}

void shard_checkpoint(struct shard *s, uint64_t number)
{
	s->carry->checkpoint_asked = carry_is_kept(s);
	s->carry->asked_number = number;
}

static bool begin_walk(struct shard *s)
{
	struct carry *c = s->carry;
	if (!c->walking && !c->checkpoint_asked && !c->missed)
		return false;
	if (!c->walking) {
		c->walking = true;
		c->checkpoint = c->checkpoint_asked;
		c->number = c->asked_number;
		c->begun = false;
		c->cursor = 0;
		if (!c->checkpoint)
			c->missed = false;
		c->checkpoint_asked = false;
	}
	c->begun = c->begun || !c->checkpoint || write_mark(s, RECORD_CHECKPOINT_BEGIN);
	return c->begun;
}

static bool write_in_walk(struct shard *s, struct call *call)
{
	if (!s->carry->checkpoint)
		return write_changes(s, call);
	if (!carry_write_live(s, call))
		return false;
	call->journaled = true;
	call->changed = 0;
	stop_waiting(s, call);
	return true;
}

/* false: no room. */
static bool walk_some(struct shard *s)
{
	struct carry *c = s->carry;
	unsigned written = 0;
	if (!begin_walk(s))
		return false;
	for (unsigned looked = 0; looked < WALK_SLOTS && written < WALK_CALLS; looked++, c->cursor++) {
		c->cursor = pool_next_used(&s->calls, c->cursor);
		if (c->cursor == POOL_NONE) {
			if (c->checkpoint && !write_mark(s, RECORD_CHECKPOINT_END)) {
				c->cursor = s->calls.fresh;
				return false;
			}
			c->walking = false;
			return true;
		}
		struct call *call = call_at(s, c->cursor);
		if (!call->connect_ns || (!c->checkpoint && !call->changed))
			continue;
		if (!write_in_walk(s, call))
			return false;
		written++;
	}
	return true;
}

/* What is written for the next start may not take the room that the calls of now need. */
static bool queue_is_calm(const struct shard *s)
{
	return !s->edge.record_calm || s->edge.record_calm(s->edge.context);
}

static bool has_to_walk(const struct carry *c)
{
	return c->walking || c->checkpoint_asked || c->missed;
}

bool carry_owes(const struct shard *s)
{
	return s->carry->missed || (s->carry->walking && !s->carry->checkpoint);
}

/* ---- ending what was carried over, a few at a time ---- */

static struct bytes reason_header(enum cdr_end_reason reason)
{
	switch (reason) {
	case CDR_END_session_timeout:
		return BYTES("SIP;cause=408;text=\"session timer expired\"");
	case CDR_END_ack_missing:
		return BYTES("SIP;cause=408;text=\"no ACK\"");
	case CDR_END_node_crash:
		return BYTES("SIP;cause=503;text=\"node restarted\"");
	default:
		return BYTES("SIP;cause=408;text=\"maximum duration reached\"");
	}
}

static void close_leg(struct shard *s, const struct carry_closing *closing)
{
	struct leg *leg = pool_find(&s->legs, closing->leg, closing->generation);
	if (!leg || leg->state != LEG_UP) /* its own BYE was faster */
		return;
	leg_bye(s, leg, BYTES_NONE);
	leg_release(s, leg);
}

static struct ending ending_of(const struct carry_closing *closing)
{
	enum cdr_end_reason reason = (enum cdr_end_reason)closing->reason;
	return (struct ending){ .reason = reason,
				.side = CDR_SIDE_SWITCH,
				.at_ns = closing->at_ns,
				.reason_header = reason_header(reason) };
}

static void close_call(struct shard *s, const struct carry_closing *closing)
{
	struct call *call = pool_find(&s->calls, closing->call, closing->generation);
	struct ending ending = ending_of(closing);
	if (!call)
		return;
	call->closing = false;
	call_end(s, call, &ending);
}

struct ending carry_passed(const struct shard *s, const struct call *call)
{
	const struct carry *c = s->carry;
	uint32_t i = c->closing_first;
	while (c->closing[i].leg != POOL_NONE || c->closing[i].call != call_index(s, call) ||
	       c->closing[i].generation != call->slot.generation) {
		i++;
		assert(i < c->closing_count);
	}
	return ending_of(&c->closing[i]);
}

/* A call has two legs that may be to hear BYE. */
bool carry_can_close(struct shard *s)
{
	struct carry *c = s->carry;
	uint32_t room = c->closing_room ? 2 * c->closing_room : 256;
	if (c->closing_count + 2 <= c->closing_room)
		return true;
	struct carry_closing *larger = realloc(c->closing, room * sizeof *larger);
	if (!larger)
		return false;
	c->closing = larger;
	c->closing_room = room;
	return true;
}

void carry_close_later(struct shard *s, const struct carry_closing *closing)
{
	struct carry *c = s->carry;
	assert(c->closing_count < c->closing_room);
	c->closing[c->closing_count++] = *closing;
}

static void close_some(struct shard *s)
{
	struct carry *c = s->carry;
	if (c->closing_first == c->closing_count || s->now.now_ns < c->closing_next_ns)
		return;
	for (unsigned i = 0; i < CLOSE_PORTION && c->closing_first < c->closing_count; i++) {
		const struct carry_closing *closing = &c->closing[c->closing_first++];
		if (closing->leg != POOL_NONE)
			close_leg(s, closing);
		else
			close_call(s, closing);
	}
	c->closing_next_ns = s->now.now_ns + CLOSE_STEP_NS;
	shard_settle(s);
	if (c->closing_first < c->closing_count)
		return;
	free(c->closing);
	c->closing = NULL;
	c->closing_first = c->closing_count = c->closing_room = 0;
}

/* ---- time ---- */

void carry_advance(struct shard *s)
{
	struct carry *c = s->carry;
	close_some(s);
	if (has_to_walk(c) && s->now.now_ns >= c->walk_next_ns)
		c->walk_next_ns = s->now.now_ns + (queue_is_calm(s) && walk_some(s) ? WALK_STEP_NS : NO_ROOM_NS);
}

uint64_t carry_next_ns(const struct shard *s)
{
	const struct carry *c = s->carry;
	uint64_t next = has_to_walk(c) ? c->walk_next_ns : UINT64_MAX;
	if (c->closing_first < c->closing_count && c->closing_next_ns < next)
		next = c->closing_next_ns;
	return next < s->now.now_ns ? s->now.now_ns : next;
}

void carry_check(const struct shard *s)
{
	const struct carry *c = s->carry;
	uint32_t previous = 0;
	assert(c->changed == POOL_NONE || !call_at(s, c->changed)->over);
	for (uint32_t link = c->held_first; link;) {
		const struct setup *setup = setup_of(s, held_at(s, link));
		assert(setup->ask_previous == previous && setup->asked == LINE_NONE);
		previous = link;
		link = setup->ask_next;
	}
	assert(previous == c->held_last);
}
