/* The timing wheel: small spaces walked whole, large ones by seeded runs against a naive model, and the bounds on the
 * work of one advance with slots that are far too full. */
#include "timers/wheel.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define MS(n) ((uint64_t)(n)*WHEEL_TICK_NS)
#define S(n)  MS(UINT64_C(1000) * (n))
#define DAY_S UINT64_C(86400)

/* cr_assert reports every success to the parent process too: too slow for millions of them. */
#define must(condition, ...)                                                                                           \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			cr_assert(false, #condition ": " __VA_ARGS__);                                                 \
	} while (0)

/* ---- one deadline: every distance around every level boundary ---- */

/* Where a run starts, in ticks: on, before and after a slot boundary of each level, and far up. */
static const uint64_t starts[] = {
	0,
	1,
	63,
	64,
	127,
	64 * 64 - 1,
	64 * 64,
	64 * 64 * 2 - 65,
	64 * 64 * 64 - 1,
	64 * 64 * 64 + 77,
	UINT64_C(1) << 24,
	(UINT64_C(1) << 30) - 1,
	(UINT64_C(1) << 30) - 4097,
	(UINT64_C(1) << 36) - 1,
	UINT64_C(123456789012),
};
#define STARTS (sizeof(starts) / sizeof(starts[0]))

/* Sleeps exactly as wheel_next_ns() says until something comes out; returns the tick at which it did. */
static uint64_t run_until_fired(struct wheel *w, const struct wheel_entry *e, unsigned *ret_wakes)
{
	*ret_wakes = 0;
	for (;;) {
		uint64_t now_ns = wheel_next_ns(w);
		must(now_ns != WHEEL_DEADLINE_NONE, "armed entry lost");
		must(now_ns <= wheel_deadline_ns(e), "wakes at %lu, deadline %lu", now_ns, wheel_deadline_ns(e));
		++*ret_wakes;
		wheel_advance(w, now_ns);
		wheel_check(w);
		struct wheel_entry *popped = wheel_pop(w);
		if (popped != NULL) {
			must(popped == e && !wheel_armed(e) && wheel_pop(w) == NULL, "another entry");
			must(wheel_next_ns(w) == WHEEL_DEADLINE_NONE, "something is left");
			return now_ns / WHEEL_TICK_NS;
		}
		must(wheel_next_ns(w) > now_ns, "no progress at %lu", now_ns);
	}
}

static void one_deadline(struct wheel *w, uint64_t start, uint64_t distance)
{
	struct wheel_entry e;
	wheel_entry_init(&e, 7);

	/* Woken as the wheel asks: out at its tick, after few wakes. */
	wheel_init(w, MS(start));
	wheel_arm(w, &e, MS(start + distance));
	wheel_check(w);
	unsigned wakes;
	uint64_t fired = run_until_fired(w, &e, &wakes);
	must(fired == start + distance, "start %lu distance %lu: fired at %lu", start, distance, fired);
	must(wakes <= 2 * WHEEL_LEVELS, "start %lu distance %lu: %u wakes", start, distance, wakes);
	must(e.kind == 7, "kind");

	/* In one jump to the last nanosecond before it, which is too early, and then to it. */
	wheel_init(w, MS(start));
	wheel_arm(w, &e, MS(start + distance));
	if (distance > 0) {
		wheel_advance(w, MS(start + distance) - 1);
		wheel_check(w);
		must(wheel_pop(w) == NULL, "start %lu distance %lu: early", start, distance);
		wheel_advance(w, MS(start + distance));
		wheel_check(w);
	}
	must(wheel_pop(w) == &e, "start %lu distance %lu: late", start, distance);

	/* Cancelled: nothing stays behind. */
	wheel_arm(w, &e, MS(start + distance));
	wheel_arm(w, &e, MS(start + 2 * distance));
	wheel_cancel(w, &e);
	wheel_check(w);
	must(w->armed == 0 && wheel_next_ns(w) == WHEEL_DEADLINE_NONE, "start %lu distance %lu", start, distance);
}

/* Two and a bit slots of level 2, tick by tick: all distances of levels 0 and 1 and the way into level 2. */
Test(wheel, every_short_distance_fires_exactly_at_its_tick)
{
	static struct wheel w;
	for (size_t i = 0; i < STARTS; i++)
		for (uint64_t distance = 0; distance <= 2 * 64 * 64 + 130; distance++)
			one_deadline(&w, starts[i], distance);
}

Test(wheel, distances_around_every_level_boundary_fire_exactly_at_their_tick)
{
	static struct wheel w;
	for (size_t i = 0; i < STARTS; i++)
		for (unsigned level = 2; level < WHEEL_LEVELS; level++)
			for (uint64_t slots = 1; slots <= 128; slots += slots < 3 ? 1 : 31) {
				uint64_t middle = slots << (6 * level);
				if (middle + 130 > WHEEL_AHEAD_MAX)
					break;
				for (uint64_t distance = middle - 130; distance <= middle + 130; distance++)
					one_deadline(&w, starts[i], distance);
			}
}

Test(wheel, deadline_is_rounded_up_and_now_is_rounded_down)
{
	static struct wheel w;
	for (uint64_t now_ns = MS(10); now_ns < MS(12); now_ns += 99999)
		for (uint64_t deadline_ns = now_ns; deadline_ns < now_ns + MS(3); deadline_ns += 33331) {
			struct wheel_entry e = { 0 };
			wheel_init(&w, now_ns);
			wheel_arm(&w, &e, deadline_ns);
			for (uint64_t t = now_ns; wheel_armed(&e); t += 1009) {
				wheel_advance(&w, t);
				if (wheel_pop(&w) != NULL) {
					must(t >= deadline_ns, "early: %lu before %lu", t, deadline_ns);
					must(t < deadline_ns + WHEEL_TICK_NS + 1009, "late: %lu", t);
				}
			}
		}
}

/* ---- the edges of the arguments ---- */

Test(wheel, empty_wheel_asks_for_nothing_and_survives_any_jump)
{
	static struct wheel w;
	wheel_init(&w, 0);
	wheel_check(&w);
	cr_assert_eq(wheel_next_ns(&w), WHEEL_DEADLINE_NONE);
	cr_assert_null(wheel_pop(&w));
	wheel_advance(&w, UINT64_MAX);
	wheel_check(&w);
	cr_assert_eq(wheel_next_ns(&w), WHEEL_DEADLINE_NONE);
}

Test(wheel, deadline_beyond_30_days_is_brought_forward_to_30_days)
{
	static struct wheel w;
	static const uint64_t far_ns[] = { UINT64_MAX, UINT64_MAX - 1, UINT64_MAX / 2, S(31 * DAY_S) };
	for (size_t i = 0; i < sizeof(far_ns) / sizeof(far_ns[0]); i++) {
		struct wheel_entry e = { 0 };
		wheel_init(&w, MS(5));
		wheel_arm(&w, &e, far_ns[i]);
		wheel_check(&w);
		unsigned wakes;
		cr_assert_eq(run_until_fired(&w, &e, &wakes), 5 + WHEEL_AHEAD_MAX);
	}
}

Test(wheel, works_up_to_the_last_tick_of_the_clock)
{
	static struct wheel w;
	const uint64_t last = UINT64_MAX / WHEEL_TICK_NS;
	for (uint64_t before = 0; before < 5000; before += before < 200 ? 1 : 97) {
		struct wheel_entry e = { 0 };
		wheel_init(&w, MS(last - before));
		wheel_arm(&w, &e, UINT64_MAX);
		wheel_check(&w);
		unsigned wakes;
		must(run_until_fired(&w, &e, &wakes) == last, "%lu before the end", before);
	}
}

Test(wheel, time_going_backwards_is_ignored)
{
	static struct wheel w;
	struct wheel_entry e = { 0 };
	wheel_init(&w, S(100));
	wheel_arm(&w, &e, S(101));
	wheel_advance(&w, MS(100500));
	wheel_advance(&w, S(3));
	wheel_advance(&w, 0);
	wheel_check(&w);
	cr_assert_eq(w.tick, 100500);
	cr_assert_null(wheel_pop(&w));
	wheel_advance(&w, S(101));
	cr_assert_eq(wheel_pop(&w), &e);
	wheel_advance(&w, S(1));
	cr_assert_null(wheel_pop(&w));
}

Test(wheel, entry_of_zero_bytes_is_not_armed_and_cancels_as_nothing)
{
	static struct wheel w;
	struct wheel_entry e;
	memset(&e, 0, sizeof(e));
	wheel_init(&w, S(1));
	cr_assert_not(wheel_armed(&e));
	wheel_cancel(&w, &e);
	cr_assert_eq(w.armed, 0);
	wheel_entry_init(&e, UINT16_MAX);
	cr_assert_not(wheel_armed(&e));
	wheel_arm(&w, &e, S(2));
	cr_assert(wheel_armed(&e));
	cr_assert_eq(e.kind, UINT16_MAX);
	cr_assert_eq(wheel_deadline_ns(&e), S(2));
	wheel_cancel(&w, &e);
	wheel_cancel(&w, &e);
	wheel_check(&w);
	cr_assert_eq(w.armed, 0);
}

/* ---- the due list ---- */

Test(wheel, due_entries_come_out_by_tick_then_in_the_order_of_arming)
{
	static struct wheel w;
	static struct wheel_entry e[60];
	wheel_init(&w, S(1));
	for (unsigned i = 0; i < 60; i++)
		wheel_arm(&w, &e[i], S(2) + MS(i % 6));
	wheel_advance(&w, S(3));
	for (unsigned i = 0; i < 60; i++)
		cr_assert_eq(wheel_pop(&w), &e[i % 10 * 6 + i / 10]);
	cr_assert_null(wheel_pop(&w));
}

Test(wheel, due_entry_may_be_cancelled_or_rearmed_between_pops)
{
	static struct wheel w;
	static struct wheel_entry e[5];
	wheel_init(&w, S(1));
	for (unsigned i = 0; i < 5; i++)
		wheel_arm(&w, &e[i], S(2));
	wheel_advance(&w, S(2));
	cr_assert_eq(wheel_pop(&w), &e[0]);
	wheel_cancel(&w, &e[1]);
	wheel_arm(&w, &e[3], S(9));
	wheel_check(&w);
	cr_assert_eq(wheel_pop(&w), &e[2]);
	wheel_cancel(&w, &e[4]); /* the last due one: the due list has no bit to clear */
	wheel_check(&w);
	cr_assert_null(wheel_pop(&w));
	cr_assert_eq(w.armed, 1);
	wheel_advance(&w, S(9));
	cr_assert_eq(wheel_pop(&w), &e[3]);
}

/* A handler that arms again: for later (comes later), for now and for the past (comes in the same loop, no advance). */
Test(wheel, entries_armed_between_pops_for_now_or_the_past_are_due_at_once)
{
	static struct wheel w;
	struct wheel_entry a = { 0 }, b = { 0 }, c = { 0 };
	wheel_init(&w, S(1));
	wheel_arm(&w, &a, S(2));
	wheel_advance(&w, S(2));
	cr_assert_eq(wheel_pop(&w), &a);
	wheel_arm(&w, &a, S(2) + 1);
	wheel_arm(&w, &b, S(2));
	wheel_arm(&w, &c, 0);
	wheel_check(&w);
	cr_assert_leq(wheel_next_ns(&w), S(2));
	cr_assert_eq(wheel_pop(&w), &b);
	cr_assert_eq(wheel_pop(&w), &c);
	cr_assert_null(wheel_pop(&w));
	cr_assert_eq(wheel_next_ns(&w), S(2) + MS(1));
	wheel_advance(&w, S(2) + MS(1));
	cr_assert_eq(wheel_pop(&w), &a);
}

/* A timer that arms itself for a day, each time it fires: no drift, each on its tick. */
Test(wheel, rearmed_from_each_expiry_keeps_its_period)
{
	static struct wheel w;
	static const uint64_t periods[] = { 1, 20, 63, 64, 65, 500, 4095, 4096, 5000, 32000, 300000 };
	static struct wheel_entry e[sizeof(periods) / sizeof(periods[0])];
	const unsigned count = sizeof(periods) / sizeof(periods[0]);
	uint64_t fired[sizeof(periods) / sizeof(periods[0])] = { 0 };
	const uint64_t end = 2000000;
	wheel_init(&w, 0);
	for (unsigned i = 0; i < count; i++) {
		wheel_entry_init(&e[i], (uint16_t)i);
		wheel_arm(&w, &e[i], MS(periods[i]));
	}
	while (wheel_next_ns(&w) <= MS(end)) {
		uint64_t now_ns = wheel_next_ns(&w);
		wheel_advance(&w, now_ns);
		struct wheel_entry *p;
		while ((p = wheel_pop(&w)) != NULL) {
			must(wheel_deadline_ns(p) == now_ns, "period %lu at %lu", periods[p->kind], now_ns);
			fired[p->kind]++;
			wheel_arm(&w, p, now_ns + MS(periods[p->kind]));
		}
	}
	wheel_check(&w);
	for (unsigned i = 0; i < count; i++)
		cr_assert_eq(fired[i], end / periods[i]);
}

/* ---- seeded runs against a naive model ---- */

#define MODEL_ENTRIES 300

struct model {
	struct wheel wheel;
	struct wheel_entry entry[MODEL_ENTRIES];
	uint64_t tick[MODEL_ENTRIES]; /* the deadline it should have; UINT64_MAX: not armed */
	bool late[MODEL_ENTRIES];     /* was armed for the past: comes out of the order of ticks */
	uint64_t now_ns;
	uint64_t random;
	uint64_t seed;
};

static uint64_t draw(struct model *m, uint64_t below)
{
	m->random = m->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	uint64_t r = m->random;
	r = (r ^ r >> 33) * UINT64_C(0xff51afd7ed558ccd);
	return (r ^ r >> 29) % below;
}

/* Any length is as likely as one ten times as long, up to 40 days (armed) or 3 days (jumped). */
static uint64_t draw_ns(struct model *m, uint64_t ceiling_ns)
{
	uint64_t ns = ceiling_ns;
	for (uint64_t halvings = draw(m, 40); halvings > 0; halvings--)
		ns /= 2;
	return draw(m, ns + 1);
}

static void model_arm(struct model *m)
{
	uint64_t i = draw(m, MODEL_ENTRIES);
	uint64_t deadline_ns = m->now_ns + draw_ns(m, S(40 * DAY_S));
	if (draw(m, 20) == 0)
		deadline_ns = m->now_ns - draw(m, m->now_ns);
	wheel_arm(&m->wheel, &m->entry[i], deadline_ns);
	uint64_t last = m->wheel.tick + WHEEL_AHEAD_MAX;
	m->tick[i] = (deadline_ns + WHEEL_TICK_NS - 1) / WHEEL_TICK_NS;
	if (m->tick[i] > last)
		m->tick[i] = last;
	m->late[i] = m->tick[i] <= m->wheel.tick;
	must(wheel_deadline_ns(&m->entry[i]) == MS(m->tick[i]), "seed %lu", m->seed);
}

static void model_cancel(struct model *m)
{
	uint64_t i = draw(m, MODEL_ENTRIES);
	must(wheel_armed(&m->entry[i]) == (m->tick[i] != UINT64_MAX), "seed %lu", m->seed);
	wheel_cancel(&m->wheel, &m->entry[i]);
	m->tick[i] = UINT64_MAX;
}

static uint64_t model_first(const struct model *m, uint64_t *ret_armed)
{
	uint64_t first = UINT64_MAX;
	*ret_armed = 0;
	for (unsigned i = 0; i < MODEL_ENTRIES; i++) {
		*ret_armed += m->tick[i] != UINT64_MAX;
		if (m->tick[i] < first)
			first = m->tick[i];
	}
	return first;
}

/* Takes what is due: in the order of ticks, never early; now and then touches others between two pops. */
static void model_pop(struct model *m)
{
	uint64_t before = 0;
	struct wheel_entry *e;
	while ((e = wheel_pop(&m->wheel)) != NULL) {
		size_t i = (size_t)(e - m->entry);
		must(m->tick[i] == e->tick, "seed %lu: out but not armed", m->seed);
		must(m->tick[i] <= m->now_ns / WHEEL_TICK_NS, "seed %lu: early", m->seed);
		if (!m->late[i]) {
			must(m->tick[i] >= before, "seed %lu: out of order", m->seed);
			before = m->tick[i];
		}
		m->tick[i] = UINT64_MAX;
		if (draw(m, 8) == 0)
			model_cancel(m);
		if (draw(m, 8) == 0)
			model_arm(m);
	}
}

static void model_advance(struct model *m)
{
	if (draw(m, 4) == 0 && wheel_next_ns(&m->wheel) != WHEEL_DEADLINE_NONE) {
		if (wheel_next_ns(&m->wheel) > m->now_ns)
			m->now_ns = wheel_next_ns(&m->wheel);
	} else {
		m->now_ns += draw_ns(m, S(3 * DAY_S));
	}
	wheel_advance(&m->wheel, m->now_ns);
	wheel_check(&m->wheel);
	if (draw(m, 2) == 0)
		wheel_advance(&m->wheel, m->now_ns - draw(m, m->now_ns));
	if (draw(m, 4) != 0) { /* else the due entries wait, and are re-armed and cancelled there */
		model_pop(m);
		uint64_t armed;
		must(model_first(m, &armed) > m->now_ns / WHEEL_TICK_NS, "seed %lu: late", m->seed);
		must(wheel_next_ns(&m->wheel) > m->now_ns, "seed %lu: would spin", m->seed);
	}
}

static void model_run(uint64_t seed)
{
	static struct model m;
	m = (struct model){ .random = seed, .seed = seed };
	m.now_ns = seed % 3 == 0 ? MS(1) : draw(&m, S(3000 * DAY_S)) + 1;
	memset(m.tick, 0xff, sizeof(m.tick));
	wheel_init(&m.wheel, m.now_ns);
	for (unsigned step = 0; step < 3000; step++) {
		uint64_t what = draw(&m, 10);
		if (what < 5)
			model_arm(&m);
		else if (what < 7)
			model_cancel(&m);
		else
			model_advance(&m);
		wheel_check(&m.wheel);
		uint64_t armed;
		uint64_t first = model_first(&m, &armed);
		must(m.wheel.armed == armed, "seed %lu step %u: %lu armed", seed, step, armed);
		must((wheel_next_ns(&m.wheel) == WHEEL_DEADLINE_NONE) == (armed == 0), "seed %lu step %u", seed, step);
		uint64_t latest = MS(first) > m.now_ns ? MS(first) : m.now_ns;
		must(armed == 0 || wheel_next_ns(&m.wheel) <= latest, "seed %lu step %u: wakes late", seed, step);
	}
}

Test(wheel, random_runs_agree_with_a_naive_model)
{
	for (uint64_t seed = 1; seed <= 60; seed++)
		model_run(seed);
}

/* ---- slots that are far too full ---- */

#define CROWD 300000

struct crowd {
	struct wheel wheel;
	struct wheel_entry entry[CROWD];
	uint64_t fired;
	uint64_t late_ms_max;
	uint64_t advances;
};

static struct crowd *crowd_armed(uint64_t start, uint64_t distance, uint64_t spread)
{
	static struct crowd c;
	c.fired = 0;
	c.late_ms_max = 0;
	c.advances = 0;
	wheel_init(&c.wheel, MS(start));
	for (unsigned i = 0; i < CROWD; i++) {
		wheel_entry_init(&c.entry[i], 0);
		wheel_arm(&c.wheel, &c.entry[i], MS(start + distance + i % spread));
	}
	wheel_check(&c.wheel);
	return &c;
}

/* One advance and all its pops. */
static void crowd_advance(struct crowd *c, uint64_t now_ms)
{
	uint64_t moved_before = c->wheel.moved;
	wheel_advance(&c->wheel, MS(now_ms));
	c->advances++;
	must(c->wheel.moved - moved_before <= WHEEL_MOVES_MAX, "moved too many at %lu", now_ms);
	struct wheel_entry *e;
	while ((e = wheel_pop(&c->wheel)) != NULL) {
		must(e->tick <= now_ms, "early: %lu for %lu", now_ms, (uint64_t)e->tick);
		c->fired++;
		if (now_ms - e->tick > c->late_ms_max)
			c->late_ms_max = now_ms - e->tick;
	}
}

/* The driver's loop: again at once while the wheel says so.  Each entry on its tick, whatever the crowd. */
Test(wheel, full_slot_is_moved_in_bounded_portions_and_fires_on_its_tick)
{
	for (uint64_t spread = 1; spread <= 100000; spread *= 100000) {
		struct crowd *c = crowd_armed(12345, 300000, spread);
		for (uint64_t ms = 12345; ms <= 12345 + 300000 + spread; ms++) {
			do
				crowd_advance(c, ms);
			while (wheel_next_ns(&c->wheel) <= MS(ms));
			if (ms % 4096 == 0)
				wheel_check(&c->wheel);
		}
		cr_assert_eq(c->fired, CROWD);
		cr_assert_eq(c->late_ms_max, 0);
	}
}

/* While it is on time and nothing blocks the way, an advance takes only the small portion.  Up to the tick before
 * 299968, where the 64 ms begin in which all are due: more than small portions can bring to level 0 until then. */
Test(wheel, moving_ahead_takes_the_small_portion)
{
	struct crowd *c = crowd_armed(0, 300000, 1);
	uint64_t portions = 0;
	for (uint64_t ms = 1; ms < 299968; ms++) {
		uint64_t moved_before = c->wheel.moved;
		crowd_advance(c, ms);
		must(c->wheel.moved - moved_before <= WHEEL_MOVES_AHEAD, "at %lu", ms);
		portions += c->wheel.moved != moved_before;
		moved_before = c->wheel.moved;
		wheel_advance(&c->wheel, MS(ms) + 500000); /* the same tick: nothing more */
		must(c->wheel.moved == moved_before, "at %lu", ms);
	}
	cr_assert_geq(portions, CROWD / WHEEL_MOVES_AHEAD);
	cr_assert_eq(c->fired, 0);
}

/* A driver that sleeps as long as the wheel lets it is woken early enough to move a busy slot in small portions. */
Test(wheel, sleeping_driver_is_woken_to_move_ahead_in_small_portions)
{
	struct crowd *c = crowd_armed(5000, 300000, 10000);
	while (c->wheel.armed > 0) {
		uint64_t now_ns = wheel_next_ns(&c->wheel);
		uint64_t moved_before = c->wheel.moved;
		crowd_advance(c, now_ns / WHEEL_TICK_NS);
		must(c->wheel.moved - moved_before <= WHEEL_MOVES_AHEAD, "at %lu", now_ns);
	}
	cr_assert_eq(c->fired, CROWD);
	cr_assert_eq(c->late_ms_max, 0);
	cr_assert_leq(c->advances, 20000); /* of 310000 ms: it did sleep */
}

/* One advance a millisecond, no second one: the wheel falls behind at most as long as its bound takes for the crowd. */
Test(wheel, overloaded_wheel_is_late_for_a_while_but_never_early)
{
	struct crowd *c = crowd_armed(1000, 300000, 1);
	for (uint64_t ms = 1000; c->fired < CROWD; ms++) {
		must(ms < 400000, "does not recover");
		crowd_advance(c, ms);
	}
	cr_assert_leq(c->late_ms_max, CROWD / WHEEL_MOVES_MAX + 1);
	cr_assert_eq(wheel_next_ns(&c->wheel), WHEEL_DEADLINE_NONE);
}

/* The process was stopped for long: the jump ends in front of full slots, is late, and is through after as many
 * advances as the moves of all entries (three levels at most from 300 s) need. */
Test(wheel, wheel_behind_recovers_over_several_advances)
{
	for (uint64_t spread = 1; spread <= 100000; spread *= 10) {
		struct crowd *c = crowd_armed(999, 300000, spread);
		const uint64_t now_ms = 999 + 300000 + spread;
		crowd_advance(c, now_ms);
		cr_assert_lt(c->wheel.tick, now_ms);
		while (wheel_next_ns(&c->wheel) <= MS(now_ms)) {
			crowd_advance(c, now_ms);
			if (c->advances % 16 == 0)
				wheel_check(&c->wheel);
			must(c->advances <= 3 * CROWD / WHEEL_MOVES_MAX + 2, "does not recover");
		}
		cr_assert_eq(c->fired, CROWD);
		cr_assert_eq(c->wheel.tick, now_ms);
		cr_assert_eq(wheel_next_ns(&c->wheel), WHEEL_DEADLINE_NONE);
	}
}

/* Arming and cancelling go on while the wheel is behind. */
Test(wheel, arming_and_cancelling_while_behind)
{
	struct crowd *c = crowd_armed(0, 300000, 5000);
	struct wheel_entry soon = { 0 };
	const uint64_t now_ms = 310000;
	crowd_advance(c, now_ms);
	cr_assert_lt(c->wheel.tick, now_ms);
	uint64_t cancelled = 0;
	for (unsigned i = 0; i < CROWD; i += 2) {
		cancelled += wheel_armed(&c->entry[i]);
		wheel_cancel(&c->wheel, &c->entry[i]);
	}
	wheel_arm(&c->wheel, &soon, MS(now_ms + 1));
	wheel_check(&c->wheel);
	while (wheel_next_ns(&c->wheel) <= MS(now_ms))
		crowd_advance(c, now_ms);
	cr_assert_eq(c->fired + cancelled, CROWD);
	cr_assert(wheel_armed(&soon));
	wheel_advance(&c->wheel, MS(now_ms + 1));
	cr_assert_eq(wheel_pop(&c->wheel), &soon);
}
