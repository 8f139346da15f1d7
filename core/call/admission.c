#include "core/call/admission.h"

#include <assert.h>

#include "core/call/carry.h"
#include "core/call/home.h"
#include "core/call/limit_note.h"
#include "core/call/room.h"
#include "core/call/setup.h"

/* Another shard answers within a turn or two of its loop, and those that it recalls from likewise: whoever has said
 * nothing for so long is stuck. */
#define ASK_MAX_NS UINT64_C(5000000000)

struct lease *admission_lease(const struct shard *s, uint32_t gateway_id)
{
	assert(gateway_id < LINES_MAX);
	return &s->leases[gateway_id];
}

static void post_home(struct shard *s, uint32_t gateway_id, const struct note *note)
{
	s->edge.post(s->edge.context, home_shard(s, gateway_id), note);
}

/* ---- the queue of calls that wait ---- */

/* Of a call in the queue. */
static struct setup *waiting_at(const struct shard *s, uint32_t link)
{
	struct setup *setup = setup_of(s, call_at(s, link - 1));
	assert(setup && setup->asked != LINE_NONE);
	return setup;
}

static void enqueue(struct shard *s, struct lease *lease, struct call *call)
{
	struct setup *setup = setup_of(s, call);
	uint32_t link = call_index(s, call) + 1;
	setup->ask_turn = lease->turn++;
	setup->ask_previous = lease->last;
	setup->ask_next = 0;
	if (lease->last)
		waiting_at(s, lease->last)->ask_next = link;
	else
		lease->first = link;
	lease->last = link;
	lease->waiting++;
}

static void unlink_call(struct shard *s, struct lease *lease, struct setup *setup)
{
	if (setup->ask_previous)
		waiting_at(s, setup->ask_previous)->ask_next = setup->ask_next;
	else
		lease->first = setup->ask_next;
	if (setup->ask_next)
		waiting_at(s, setup->ask_next)->ask_previous = setup->ask_previous;
	else
		lease->last = setup->ask_previous;
	lease->waiting--;
}

static void stop_waiting(struct shard *s, struct lease *lease, struct call *call)
{
	struct setup *setup = setup_of(s, call);
	unlink_call(s, lease, setup);
	setup->asked = LINE_NONE;
	setup->ask_ends_ns = 0;
	setup_arm(s, call);
}

static struct call *first_waiting(const struct shard *s, const struct lease *lease)
{
	assert(!lease->first || waiting_at(s, lease->first));
	return lease->first ? call_at(s, lease->first - 1) : NULL;
}

/* The first that waits, if the home was asked for it. */
static struct call *first_asked_for(const struct shard *s, const struct lease *lease)
{
	struct call *call = first_waiting(s, lease);
	return call && (int32_t)(setup_of(s, call)->ask_turn - lease->asked_turn) < 0 ? call : NULL;
}

/* ---- lines and starts ---- */

/* The home counts the lines of this shard. */
static bool is_registered(const struct shard *s, uint32_t gateway_id)
{
	return config_limits(s->config, gateway_id).capacity > 0;
}

static void count_in(struct shard *s, enum line_kind kind, uint32_t gateway_id)
{
	stat_add(&s->tally[gateway_id].calls, 1);
	if (kind == LINE_MAPPING)
		stat_add(&s->tally[gateway_id].attempts, 1);
}

static bool has_start(const struct shard *s, const struct lease *lease)
{
	return lease->starts && s->now.now_ns < lease->second_ends_ns;
}

static bool take_lent(const struct shard *s, struct lease *lease, const struct gateway_limits *limits)
{
	if ((limits->capacity && !lease->idle) || (limits->rate_limit && !has_start(s, lease)))
		return false;
	lease->idle -= limits->capacity > 0;
	lease->starts -= limits->rate_limit > 0;
	return true;
}

static void give_back(struct shard *s, uint32_t gateway_id, uint32_t lines, uint32_t starts, uint64_t second_ends_ns)
{
	struct limit_return back = {
		.gateway_id = gateway_id, .lines = lines, .starts = starts, .second_ends_ns = second_ends_ns
	};
	if (!lines && !starts)
		return;
	if (home_is_here(s, gateway_id)) {
		home_returned(s, s->shard, &back, false);
		return;
	}
	struct note note = limit_return_note(NOTE_GIVEN_BACK, s->shard, &back);
	post_home(s, gateway_id, &note);
}

/* A line of this shard that no call uses any more. */
static void free_line(struct shard *s, uint32_t gateway_id)
{
	struct lease *lease = admission_lease(s, gateway_id);
	uint32_t portion = home_portion(s, config_limits(s->config, gateway_id).capacity);
	if (!lease->lends || !portion) {
		give_back(s, gateway_id, 1, 0, 0);
		return;
	}
	lease->idle++;
	if (lease->idle <= 2 * portion)
		return;
	uint32_t more = lease->idle - portion;
	lease->idle = portion;
	give_back(s, gateway_id, more, 0, 0);
}

static void add_starts(struct lease *lease, uint32_t starts, uint64_t second_ends_ns)
{
	if (lease->second_ends_ns != second_ends_ns)
		lease->starts = 0;
	lease->second_ends_ns = second_ends_ns;
	lease->starts += starts;
}

void admission_free(struct shard *s, uint32_t gateway_id)
{
	assert(s->tally[gateway_id].calls > 0);
	stat_sub(&s->tally[gateway_id].calls, 1);
	if (is_registered(s, gateway_id))
		free_line(s, gateway_id);
}

/* ---- asking ---- */

static void ask_home(struct shard *s, uint32_t gateway_id, struct lease *lease)
{
	uint32_t calls = lease->waiting < ASK_CALLS_MAX ? lease->waiting : ASK_CALLS_MAX;
	struct limit_ask ask = { .gateway_id = gateway_id,
				 .calls = (uint16_t)calls,
				 .with_lines = is_registered(s, gateway_id) };
	struct note note = limit_ask_note(s->shard, &ask);
	lease->asked = calls;
	lease->asked_turn = lease->turn - (lease->waiting - calls);
	stat_add(&s->stats->limit_asks, 1);
	post_home(s, gateway_id, &note);
}

static enum line_answer ask_here(struct shard *s, uint32_t gateway_id)
{
	switch (home_ask_own(s, gateway_id)) {
	case HOME_GRANTS:
		return LINE_GRANTED;
	case HOME_REFUSES_LINE:
		return LINE_FULL;
	case HOME_REFUSES_START:
		return LINE_TOO_FAST;
	case HOME_WAITS:
		break;
	}
	return LINE_PENDING;
}

static enum line_answer ask_lease(const struct shard *s, struct lease *lease, const struct gateway_limits *limits)
{
	return !lease->waiting && take_lent(s, lease, limits) ? LINE_GRANTED : LINE_PENDING;
}

enum line_answer admission_ask(struct shard *s, struct call *call, enum line_kind kind, uint32_t gateway_id)
{
	struct lease *lease = admission_lease(s, gateway_id);
	struct gateway_limits limits = config_limits(s->config, gateway_id);
	bool here = home_is_here(s, gateway_id);
	enum line_answer answer = LINE_GRANTED;
	if (limits.capacity || limits.rate_limit)
		answer = here ? ask_here(s, gateway_id) : ask_lease(s, lease, &limits);
	if (answer == LINE_GRANTED)
		count_in(s, kind, gateway_id);
	if (answer != LINE_PENDING)
		return answer;
	struct setup *setup = setup_of(s, call);
	setup->asked = (uint8_t)kind;
	setup->asked_id = gateway_id;
	setup->ask_ends_ns = s->now.now_ns + ASK_MAX_NS;
	setup_arm(s, call);
	enqueue(s, lease, call);
	if (!here && !lease->asked)
		ask_home(s, gateway_id, lease);
	return LINE_PENDING;
}

void admission_forget(struct shard *s, struct call *call)
{
	const struct setup *setup = setup_of(s, call);
	if (!setup || setup->asked == LINE_NONE)
		return;
	stop_waiting(s, admission_lease(s, setup->asked_id), call);
	if (home_is_here(s, setup->asked_id))
		home_forget_own(s, setup->asked_id);
}

/* ---- answers ---- */

static void tell(struct shard *s, uint32_t gateway_id, struct call *call, enum line_answer answer)
{
	enum line_kind kind = setup_of(s, call)->asked;
	stop_waiting(s, admission_lease(s, gateway_id), call);
	if (answer == LINE_GRANTED)
		count_in(s, kind, gateway_id);
	setup_line_answered(s, call, kind, answer);
}

void admission_own_answer(struct shard *s, uint32_t gateway_id, enum line_answer answer)
{
	tell(s, gateway_id, first_waiting(s, admission_lease(s, gateway_id)), answer);
}

/* What is lent stays only under the capacity that it was lent under. */
static void take_loan(struct shard *s, struct lease *lease, const struct limit_answer *a)
{
	uint32_t capacity = config_limits(s->config, a->gateway_id).capacity;
	if (!a->lent)
		return;
	if (capacity != a->capacity || a->with_lines != (capacity > 0)) {
		give_back(s, a->gateway_id, a->with_lines ? a->lent : 0, a->lent, a->second_ends_ns);
		return;
	}
	lease->lends = true;
	lease->idle += a->with_lines ? a->lent : 0;
	if (a->second_ends_ns)
		add_starts(lease, a->lent, a->second_ends_ns);
}

/* Granted for a call that is no more. */
static void take_left_over(struct shard *s, struct lease *lease, const struct limit_answer *a, uint32_t count)
{
	for (uint32_t i = 0; i < count && a->with_lines && is_registered(s, a->gateway_id); i++)
		free_line(s, a->gateway_id);
	if (!count || !a->second_ends_ns)
		return;
	if (lease->lends)
		add_starts(lease, count, a->second_ends_ns);
	else
		give_back(s, a->gateway_id, 0, count, a->second_ends_ns);
}

static void take_grants(struct shard *s, struct lease *lease, const struct limit_answer *a)
{
	uint32_t left = a->granted;
	bool registered = is_registered(s, a->gateway_id);
	if (registered && !a->with_lines) { /* asked when there was no capacity: they ask anew, for a line */
		give_back(s, a->gateway_id, 0, left, a->second_ends_ns);
		return;
	}
	if (a->with_lines && !registered) /* the other way round: the lines are not needed any more */
		give_back(s, a->gateway_id, left, 0, 0);
	for (struct call *call; left && (call = first_waiting(s, lease)); left--)
		tell(s, a->gateway_id, call, LINE_GRANTED);
	take_left_over(s, lease, a, left);
}

static void take_refusals(struct shard *s, struct lease *lease, const struct limit_answer *a)
{
	struct gateway_limits limits = config_limits(s->config, a->gateway_id);
	struct call *call;
	if (!(a->by_rate ? limits.rate_limit : limits.capacity))
		return; /* a reload has taken that limit away: they ask anew */
	for (uint32_t left = a->refused; left && (call = first_asked_for(s, lease)); left--)
		tell(s, a->gateway_id, call, a->by_rate ? LINE_TOO_FAST : LINE_FULL);
}

static void take_answer(struct shard *s, const struct limit_answer *a)
{
	struct lease *lease = admission_lease(s, a->gateway_id);
	assert(lease->asked >= (uint32_t)a->granted + a->refused);
	lease->asked -= (uint32_t)a->granted + a->refused;
	take_loan(s, lease, a);
	take_grants(s, lease, a);
	take_refusals(s, lease, a);
	if (!lease->asked && lease->waiting)
		ask_home(s, a->gateway_id, lease);
}

static void recalled(struct shard *s, uint32_t gateway_id, unsigned home)
{
	struct lease *lease = admission_lease(s, gateway_id);
	struct limit_return back = { .gateway_id = gateway_id,
				     .lines = lease->idle,
				     .starts = lease->starts,
				     .second_ends_ns = lease->second_ends_ns };
	struct note note = limit_return_note(NOTE_RECALLED, s->shard, &back);
	lease->idle = lease->starts = 0;
	lease->lends = false;
	s->edge.post(s->edge.context, home, &note);
}

/* ---- configurations ---- */

/* Whether all have come to another one by it. */
static bool generation_of(struct shard *s, unsigned shard, uint32_t generation)
{
	uint32_t least = s->generations[shard] = generation, before = s->generation_of_all;
	for (unsigned i = 0; i < s->shard_count; i++)
		least = s->generations[i] < least ? s->generations[i] : least;
	s->generation_of_all = least;
	return least != before;
}

static void register_calls(struct shard *s, uint32_t gateway_id)
{
	struct limit_return lines = { .gateway_id = gateway_id, .lines = (uint32_t)s->tally[gateway_id].calls };
	struct note note = limit_return_note(NOTE_REGISTER, s->shard, &lines);
	if (home_is_here(s, gateway_id))
		home_of(s, gateway_id)->out += lines.lines;
	else if (lines.lines)
		post_home(s, gateway_id, &note);
}

/* What no call uses goes home, and where there is no capacity any more the lines in use as well. */
static void limits_changed(struct shard *s, uint32_t gateway_id, const struct gateway_limits *was,
			   const struct gateway_limits *is)
{
	struct lease *lease = admission_lease(s, gateway_id);
	uint32_t lines = lease->idle, starts = lease->starts;
	if (was->capacity && !is->capacity)
		lines += (uint32_t)s->tally[gateway_id].calls;
	lease->idle = lease->starts = 0;
	lease->lends = false;
	if (home_is_here(s, gateway_id)) /* nobody is served here and now: whoever waits, waits for a note */
		home_of(s, gateway_id)->out -= lines;
	else
		give_back(s, gateway_id, lines, starts, lease->second_ends_ns);
	if (!was->capacity && is->capacity)
		register_calls(s, gateway_id);
}

static bool same_limits(const struct gateway_limits *a, const struct gateway_limits *b)
{
	return a->capacity == b->capacity && a->rate_limit == b->rate_limit;
}

void admission_begin(struct shard *s)
{
	for (uint32_t id = 1; id < s->config->gateway_end && id < LINES_MAX; id++)
		s->limits[id] = config_limits(s->config, id);
}

static void tell_configured(struct shard *s)
{
	struct note note = { .kind = NOTE_CONFIGURED, .from = s->shard, .a = s->config->generation };
	generation_of(s, s->shard, s->config->generation);
	for (unsigned i = 0; i < s->shard_count; i++)
		if (i != s->shard)
			s->edge.post(s->edge.context, i, &note);
}

void admission_restored(struct shard *s)
{
	for (uint32_t id = 1; id < s->config->gateway_end && id < LINES_MAX; id++) {
		if (!config_limits(s->config, id).capacity)
			continue;
		if (home_is_here(s, id))
			home_of(s, id)->since = s->config->generation;
		register_calls(s, id);
	}
	for (unsigned i = 0; i < s->shard_count; i++)
		if (i != s->shard && !(s->carry->heard >> i & 1))
			s->generations[i] = 0;
	tell_configured(s);
}

void admission_configured(struct shard *s)
{
	for (uint32_t id = 1; id < s->config->gateway_end && id < LINES_MAX; id++) {
		struct gateway_limits was = s->limits[id], is = config_limits(s->config, id);
		if (same_limits(&was, &is))
			continue;
		s->limits[id] = is;
		if (home_is_here(s, id) && !was.capacity && is.capacity)
			home_of(s, id)->since = s->config->generation;
		limits_changed(s, id, &was, &is);
	}
	tell_configured(s);
}

/* ---- notes ---- */

void admission_note(struct shard *s, const struct note *note)
{
	struct limit_ask ask = limit_ask_of(note);
	struct limit_answer answer = limit_answer_of(note);
	struct limit_return back = limit_return_of(note);
	switch ((enum note_kind)note->kind) {
	case NOTE_ASK:
		home_asked(s, note->from, &ask);
		break;
	case NOTE_ANSWER:
		take_answer(s, &answer);
		break;
	case NOTE_RECALL:
		recalled(s, (uint32_t)note->a, note->from);
		break;
	case NOTE_GIVEN_BACK:
		home_returned(s, note->from, &back, false);
		break;
	case NOTE_RECALLED:
		home_returned(s, note->from, &back, true);
		break;
	case NOTE_REGISTER:
		home_of(s, back.gateway_id)->out += back.lines;
		break;
	case NOTE_ROOM_ASK:
		room_asked(s, note);
		break;
	case NOTE_ROOM_GIVEN:
		room_given(s, note);
		break;
	case NOTE_CONFIGURED:
		s->carry->heard |= UINT64_C(1) << note->from;
		if (generation_of(s, note->from, (uint32_t)note->a))
			home_generation_reached(s);
		break;
	}
}
