/* The load generator's loop: see load.h. */
#include "bench/load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
	BUFFERS = 512,
	STARTS_PER_TURN = 64,
	REUSE_AFTER = 8192, /* idle slots: a number dialled is not dialled again at once */
	KEPT_MAX = 262144,  /* calls being set up at a time */
	LEFT_TIMES_T1 = 64,
	CLOCK_TRIES = 5,
	CLOCK_NEAR_NS = 1000,
};

/* ---- slots ---- */

static bool take_slot(struct load *l, uint32_t *ret_slot)
{
	if (l->active >= l->settings.calls_max)
		return false;
	if (l->idle_count > REUSE_AFTER || l->used == l->slots) {
		*ret_slot = l->idle[l->idle_first];
		l->idle_first = (l->idle_first + 1) % l->slots;
		l->idle_count--;
	} else {
		*ret_slot = l->used++;
	}
	l->active++;
	struct load_call *c = &l->call[*ret_slot];
	*c = (struct load_call){ .generation = c->generation, .peer = LOAD_PEER_NONE, .kept = LOAD_PEER_NONE };
	return true;
}

static void release(struct load *l, uint32_t slot)
{
	struct load_call *c = &l->call[slot];

	load_peers_drop(&l->peers, c->peer);
	if (c->kept != LOAD_PEER_NONE)
		l->kept_free[l->kept_free_count++] = c->kept;
	*c = (struct load_call){ .generation = (c->generation + 1) & (UINT32_MAX >> NOTE_BITS),
				 .peer = LOAD_PEER_NONE,
				 .kept = LOAD_PEER_NONE };
	l->idle[(l->idle_first + l->idle_count++) % l->slots] = slot;
	l->active--;
}

void load_failed(struct load *l, struct load_call *c, uint64_t *kind)
{
	if (c->counted)
		return;
	c->counted = true;
	l->counts.failed++;
	(*kind)++;
}

void load_side_over(struct load *l, uint32_t slot)
{
	struct load_call *c = &l->call[slot];

	if (c->caller != CALLER_OVER || (c->callee != CALLEE_IDLE && c->callee != CALLEE_OVER)) {
		load_put(l, LINE_LEFT, slot, NOTE_CALL);
		return;
	}
	l->counts.completed += !c->counted;
	release(l, slot);
}

static void left(struct load *l, uint32_t slot)
{
	load_failed(l, &l->call[slot], &l->counts.left);
	release(l, slot);
}

void load_abandon(struct load *l)
{
	for (uint32_t slot = 0; slot < l->used; slot++)
		if (l->call[slot].caller != CALLER_IDLE)
			left(l, slot);
	for (unsigned i = 0; i < LINES; i++)
		line_clear(&l->line[i]);
}

/* ---- lines ---- */

void load_put(struct load *l, enum load_line_kind line, uint32_t slot, enum load_note note)
{
	if (!line_put(&l->line[line], l->now_ns, slot, l->call[slot].generation << NOTE_BITS | note))
		abort(); /* no memory for a few bytes */
}

bool load_put_resend(struct load *l, uint32_t slot, enum load_note note, unsigned tries)
{
	if (tries >= LOAD_RESENDS_MAX)
		return false;
	load_put(l, tries < 3 ? LINE_RESEND_1 + tries : LINE_RESEND_8, slot, note);
	return true;
}

static void due(struct load *l, enum load_line_kind line, const struct line_entry *e)
{
	enum load_note note = e->note & ((1 << NOTE_BITS) - 1);

	if (!load_find(l, e->slot, e->note >> NOTE_BITS))
		return;
	if (note == NOTE_CALL)
		left(l, e->slot);
	else if (note == NOTE_CALLEE)
		load_callee_due(l, e->slot, line);
	else
		load_caller_due(l, e->slot, line, note);
}

static void take_due(struct load *l)
{
	struct line_entry e;

	for (enum load_line_kind i = 0; i < LINES; i++)
		while (line_take(&l->line[i], l->now_ns, &e))
			due(l, i, &e);
}

static void open_lines(struct load *l)
{
	const struct load_settings *s = &l->settings;

	line_init(&l->line[LINE_RING], s->ring_ns);
	line_init(&l->line[LINE_ANSWER], s->answer_ns);
	line_init(&l->line[LINE_RING_OUT], s->ring_out_ns);
	line_init(&l->line[LINE_HOLD], s->hold_ns);
	for (unsigned i = 0; i <= LINE_RESEND_8 - LINE_RESEND_1; i++)
		line_init(&l->line[LINE_RESEND_1 + i], s->t1_ns << i);
	line_init(&l->line[LINE_LEFT], LEFT_TIMES_T1 * s->t1_ns);
}

/* ---- messages ---- */

bool load_read_tag(const struct load *l, struct bytes tag, uint32_t *ret_slot, uint32_t *ret_generation,
		   bool *ret_callee)
{
	if (tag.size != 1 + LOAD_ID_SIZE + 8 || (tag.at[0] != 'a' && tag.at[0] != 'c') ||
	    memcmp(tag.at + 1 + LOAD_ID_SIZE, l->run, 8) != 0)
		return false;
	*ret_callee = tag.at[0] == 'c';
	return load_name_read_id(tag.at + 1, LOAD_ID_SIZE, ret_slot, ret_generation);
}

static void ended_by_switch(struct load *l, struct load_call *c, uint32_t slot, bool callee)
{
	bool expected = c->caller == CALLER_ENDING || c->caller == CALLER_OVER;

	if (!expected)
		load_failed(l, c, &l->counts.lost);
	if (callee) {
		load_callee_ended(l, slot);
	} else if (c->caller != CALLER_OVER) {
		c->caller = CALLER_OVER;
		load_side_over(l, slot);
	}
}

/* When the kernel had it, by the clock of everything else. */
static uint64_t received_ns(const struct load *l, const struct load_datagram *d)
{
	uint64_t at_ns = (uint64_t)d->stamp_ns - l->real_ahead_ns;

	return d->stamp_ns > 0 && at_ns < l->now_ns ? at_ns : l->now_ns;
}

/* Answered whether or not we know the call still: what matters is who asked. */
static void in_dialog(struct load *l, const struct load_datagram *d, const struct load_message *m)
{
	uint32_t slot, generation;
	bool callee;

	if (!load_read_tag(l, m->to_tag, &slot, &generation, &callee)) {
		l->counts.strays++;
		load_answer(l, d, m, "481 Call/Transaction Does Not Exist");
		return;
	}
	struct load_call *c = load_find(l, slot, generation);
	if (m->method == LOAD_BYE) {
		load_answer(l, d, m, "200 OK");
		if (c)
			ended_by_switch(l, c, slot, callee);
	} else if (m->method == LOAD_UPDATE || m->method == LOAD_INVITE) {
		(*(callee ? &l->counts.refreshes_callee : &l->counts.refreshes_caller))++;
		if (c && l->refresh)
			l->refresh(l->refresh_context, c, callee, received_ns(l, d), m);
		load_answer_refresh(l, d, m, slot, generation, callee);
	} else {
		load_answer(l, d, m, "200 OK");
	}
}

static void take_datagram(void *context, const struct load_datagram *d)
{
	struct load *l = context;
	struct load_message m;

	if (!load_read(d->bytes, &m))
		l->counts.strays++;
	else if (m.status > 0)
		load_caller_response(l, &m);
	else if (m.method == LOAD_ACK)
		load_callee_ack(l, &m);
	else if (m.method == LOAD_CANCEL)
		load_callee_cancel(l, d, &m);
	else if (m.method == LOAD_INVITE && m.to_tag.size == 0)
		load_callee_invite(l, d, &m);
	else
		in_dialog(l, d, &m);
}

/* ---- starting calls ---- */

static enum load_plan draw_plan(struct load *l)
{
	const struct load_settings *s = &l->settings;
	if (l->keep)
		return PLAN_KEEP;
	double all = s->failed + s->cancelled + s->unanswered;

	if (all == 0)
		return PLAN_ANSWER;
	double drawn = (double)bench_random_below(&l->random, 1000000) / 10000;
	return drawn < s->failed                  ? PLAN_BUSY
	       : drawn < s->failed + s->cancelled ? PLAN_CANCEL
	       : drawn < all                      ? PLAN_NO_ANSWER
						  : PLAN_ANSWER;
}

void load_set_rate(struct load *l, double rate)
{
	l->rate = rate;
	l->rate_from_ns = bench_wall_ns();
	l->rate_started = 0;
}

static uint64_t start_due_ns(const struct load *l)
{
	if (l->rate <= 0 || l->counts.attempted >= l->starts_max)
		return UINT64_MAX;
	return l->rate_from_ns + (uint64_t)((double)l->rate_started / l->rate * 1e9);
}

static void start(struct load *l)
{
	uint64_t due_ns;
	uint32_t slot;

	for (unsigned i = 0; i < STARTS_PER_TURN && (due_ns = start_due_ns(l)) <= l->now_ns; i++) {
		l->rate_started++;
		spread_add(&l->late, l->now_ns - due_ns);
		if (!take_slot(l, &slot)) {
			l->counts.full++;
			continue;
		}
		l->call[slot].plan = (uint8_t)draw_plan(l);
		l->counts.attempted++;
		load_caller_start(l, slot);
	}
}

/* INVITEs leave with the submission that follows, not when they were written. */
static void stamp_invites(struct load *l)
{
	if (l->sent_count == 0)
		return;
	uint64_t now_ns = bench_wall_ns();

	while (l->sent_count > 0)
		l->call[l->sent_slot[--l->sent_count]].invite_ns = now_ns;
}

/* ---- the loop ---- */

static uint64_t next_ns(const struct load *l)
{
	uint64_t next = start_due_ns(l);

	for (unsigned i = 0; i < LINES; i++)
		if (line_next_ns(&l->line[i]) < next)
			next = line_next_ns(&l->line[i]);
	return next;
}

/* Kernel stamps are of CLOCK_REALTIME.  Between two looks at the other clock: whoever is interrupted looks again. */
static uint64_t real_ahead_ns(void)
{
	uint64_t before_ns, real_ns, after_ns;
	unsigned tries = CLOCK_TRIES;

	do {
		before_ns = bench_wall_ns();
		real_ns = bench_clock_ns(CLOCK_REALTIME);
		after_ns = bench_wall_ns();
	} while (after_ns - before_ns > CLOCK_NEAR_NS && --tries > 0);
	return real_ns - before_ns - (after_ns - before_ns) / 2;
}

void load_turn(struct load *l, uint64_t until_ns)
{
	l->now_ns = bench_wall_ns();
	l->real_ahead_ns = real_ahead_ns();
	load_ring_receive(&l->ring, take_datagram, l);
	take_due(l);
	start(l);
	uint64_t next = next_ns(l), now_ns = bench_wall_ns();

	if (now_ns - l->now_ns > l->turn_max_ns)
		l->turn_max_ns = now_ns - l->now_ns;
	if (next > until_ns)
		next = until_ns;
	stamp_invites(l);
	if (load_ring_ready(&l->ring) || next <= now_ns)
		load_ring_submit(&l->ring);
	else
		load_ring_wait(&l->ring, next - now_ns);
}

bool load_drain(struct load *l, uint64_t until_ns)
{
	load_set_rate(l, 0);
	while (l->active > 0 && bench_wall_ns() < until_ns)
		load_turn(l, until_ns);
	return l->active == 0;
}

void load_reset_counts(struct load *l)
{
	memset(&l->counts, 0, sizeof l->counts);
	memset(&l->ringing_delay, 0, sizeof l->ringing_delay);
	memset(&l->answer_delay, 0, sizeof l->answer_delay);
	memset(&l->bye_delay, 0, sizeof l->bye_delay);
	memset(&l->late, 0, sizeof l->late);
	memset(&l->invite_delay, 0, sizeof l->invite_delay);
	l->turn_max_ns = 0;
}

/* ---- open and close ---- */

static int open_memory(struct load *l)
{
	uint64_t calls = l->settings.calls_max;

	l->slots = l->settings.calls_max + 2 * REUSE_AFTER;
	l->kept_max = calls < KEPT_MAX ? (uint32_t)calls : KEPT_MAX;
	l->call = bench_memory(l->slots * sizeof *l->call, true);
	l->idle = bench_memory(l->slots * sizeof *l->idle, false);
	l->kept = bench_memory((uint64_t)l->kept_max * sizeof *l->kept, true);
	l->kept_free = bench_memory((uint64_t)l->kept_max * sizeof *l->kept_free, false);
	return l->call && l->idle && l->kept && l->kept_free && load_peers_open(&l->peers, l->settings.calls_max)
		       ? 0
		       : -ENOMEM;
}

static int open_sockets(struct load *l, char error[static 256])
{
	const struct load_settings *s = &l->settings;
	unsigned count = s->caller_count + s->callee_count;

	for (unsigned i = 0; i < count; i++) {
		const struct address *a = i < s->caller_count ? &s->caller[i] : &s->callee[i - s->caller_count];
		char text[ADDRESS_TEXT_MAX];

		l->sockets[i] = load_socket(a);
		if (l->sockets[i] >= 0)
			continue;
		address_write(a, text);
		snprintf(error, 256, "cannot use %s: %s", text, strerror(-l->sockets[i]));
		return l->sockets[i];
	}
	int r = load_ring_open(&l->ring, l->sockets, count, BUFFERS);
	if (r < 0)
		snprintf(error, 256, "io_uring: %s", strerror(-r));
	return r;
}

int load_open(struct load *l, const struct load_settings *settings, char error[static 256])
{
	memset(l, 0, sizeof *l);
	for (unsigned i = 0; i < 2 * LOAD_LOCAL_MAX; i++)
		l->sockets[i] = -1;
	l->settings = *settings;
	l->starts_max = UINT64_MAX;
	l->opened_ns = bench_wall_ns();
	l->random.state = settings->seed;
	struct bench_random run = { bench_clock_ns(CLOCK_REALTIME) ^ settings->seed };
	snprintf(l->run, sizeof l->run, "%08x", (uint32_t)bench_random(&run));
	load_address_set(&l->target, &settings->target);
	open_lines(l);
	prctl(PR_SET_TIMERSLACK, 1UL);
	snprintf(error, 256, "no memory for %u calls", settings->calls_max);
	int r = open_memory(l);
	if (r == 0 && !load_write_ahead(l)) {
		snprintf(error, 256, "the messages do not fit");
		r = -EMSGSIZE;
	}
	if (r == 0)
		r = open_sockets(l, error);
	if (r < 0)
		load_close(l);
	return r;
}

void load_close(struct load *l)
{
	if (l->ring.memory)
		load_ring_close(&l->ring);
	for (unsigned i = 0; i < 2 * LOAD_LOCAL_MAX; i++)
		if (l->sockets[i] >= 0)
			close(l->sockets[i]);
	for (unsigned i = 0; i < LINES; i++)
		line_destroy(&l->line[i]);
	load_peers_close(&l->peers);
	bench_memory_free(l->call, l->slots * sizeof *l->call);
	bench_memory_free(l->idle, l->slots * sizeof *l->idle);
	bench_memory_free(l->kept, (uint64_t)l->kept_max * sizeof *l->kept);
	bench_memory_free(l->kept_free, (uint64_t)l->kept_max * sizeof *l->kept_free);
	l->call = NULL;
}
