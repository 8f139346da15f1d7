/* core/call/shed: which INVITEs are taken.  By itself, and in a worker that is nothing but a queue and the time that
 * messages take.  Spec 11. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "core/call/shed.h"

#define US UINT64_C(1000)
#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

/* A key that is drawn only by shares above `permille`, both ways. */
static uint64_t key_at(unsigned permille)
{
	uint64_t bits = (UINT64_C(1) << 32) * permille / 1000 + 1;
	return bits << 32 | bits;
}

/* It stands in a queue that is so full since long. */
static struct shed standing(unsigned permille)
{
	struct shed d = { 0 };
	for (uint64_t at_ns = S; !d.on && at_ns < 2 * S; at_ns += MS)
		shed_turn(&d, at_ns, permille, false);
	return d;
}

/* ---- when ---- */

Test(spec11_shed, begins_when_every_turn_for_a_while_found_a_queue)
{
	struct shed d = { 0 };
	uint64_t at_ns = 10 * S;
	enum shed_news news = SHED_NOTHING;
	for (uint64_t begin_ns = at_ns; at_ns < begin_ns + SHED_STANDS_NS; at_ns += 5 * MS) {
		cr_assert_eq(shed_turn(&d, at_ns, 0, false), SHED_NOTHING);
		shed_read(&d, at_ns - 60 * MS);
		cr_assert_eq(shed_invite(&d, at_ns - 60 * MS, key_at(999), false), SHED_TAKE);
	}
	for (unsigned i = 0; i < 2 && news == SHED_NOTHING; i++, at_ns += 5 * MS) {
		news = shed_turn(&d, at_ns, 0, false);
		shed_read(&d, at_ns - 60 * MS);
	}
	cr_assert_eq(news, SHED_HAS_BEGUN);
	cr_assert_eq(shed_invite(&d, d.now_ns - 60 * MS, key_at(999), false), SHED_ANSWER);
}

/* The core was somebody else's for 150 ms: what came meanwhile is old, and no queue stands. */
Test(spec11_shed, a_worker_that_stood_still_for_a_moment_catches_up)
{
	struct shed d = { 0 };
	shed_turn(&d, 10 * S, 0, true);
	for (uint64_t at_ns = 10 * S + 150 * MS, age_ns = 150 * MS; age_ns > 0; at_ns += MS, age_ns -= MS) {
		cr_assert_eq(shed_turn(&d, at_ns, 0, false), SHED_NOTHING);
		shed_read(&d, at_ns - age_ns);
		cr_assert_eq(shed_invite(&d, at_ns - age_ns, key_at(999), false), SHED_TAKE);
	}
	cr_assert_not(d.on);
}

Test(spec11_shed, one_turn_without_a_queue_begins_the_wait_anew)
{
	struct shed d = { 0 };
	for (uint64_t i = 0; i < 1000; i++) {
		cr_assert_eq(shed_turn(&d, 10 * S + i * MS, i % 100 == 99 ? 100 : 700, false), SHED_NOTHING);
		shed_read(&d, 10 * S + i * MS);
	}
	cr_assert_not(d.on);
}

/* Its buffers had to go back to the kernel first; the queue is still there. */
Test(spec11_shed, a_turn_that_read_nothing_says_nothing)
{
	struct shed d = { 0 };
	for (uint64_t i = 0; i < 250 && !d.on; i++) {
		shed_turn(&d, 10 * S + i * MS, 100, false);
		if (i % 2)
			shed_read(&d, 10 * S + i * MS - 60 * MS);
	}
	cr_assert(d.on);
}

Test(spec11_shed, ends_when_no_turn_has_found_much_for_a_second)
{
	struct shed d = standing(800);
	uint64_t at_ns = d.now_ns, quiet_ns = at_ns + MS;
	cr_assert(d.on);
	for (at_ns += MS; at_ns < quiet_ns + SHED_CALM_NS - MS; at_ns += MS)
		cr_assert_eq(shed_turn(&d, at_ns, 100, false), SHED_NOTHING);
	shed_read(&d, at_ns - 20 * MS); /* more than half of what is much */
	cr_assert_eq(shed_turn(&d, at_ns += MS, 0, true), SHED_NOTHING);
	quiet_ns = at_ns;
	while (shed_turn(&d, at_ns += MS, 0, true) == SHED_NOTHING)
		cr_assert_lt(at_ns, quiet_ns + 2 * S);
	cr_assert_geq(at_ns, quiet_ns + SHED_CALM_NS - 2 * MS);
	cr_assert_not(d.on);
}

/* ---- how many ---- */

Test(spec11_shed, the_share_that_is_taken_falls_evenly_with_the_wait)
{
	struct shed d = standing(800);
	shed_turn(&d, d.now_ns + MS, 0, false);
	for (uint64_t age_ms = 0; age_ms <= 160; age_ms += 10) {
		unsigned share = age_ms <= 30 ? 1000 : age_ms >= 130 ? 0 : (unsigned)(130 - age_ms) * 10;
		uint64_t came_ns = d.now_ns - age_ms * MS;
		if (share > 0)
			cr_assert_eq(shed_invite(&d, came_ns, key_at(share - 1), false), SHED_TAKE, "%lu ms", age_ms);
		if (share < 1000)
			cr_assert_neq(shed_invite(&d, came_ns, key_at(share), false), SHED_TAKE, "%lu ms", age_ms);
	}
}

Test(spec11_shed, a_full_queue_counts_where_the_kernel_keeps_a_short_one)
{
	struct shed d = standing(700);
	cr_assert_eq(shed_invite(&d, d.now_ns, key_at(490), false), SHED_TAKE);
	cr_assert_eq(shed_invite(&d, d.now_ns, key_at(510), false), SHED_ANSWER);
}

/* An overload begins with a long queue of which nothing is taken: all that hear of it do not come again. */
Test(spec11_shed, all_that_is_shed_is_answered_for_a_second)
{
	struct shed d = standing(1000);
	uint64_t begun_ns = d.now_ns;
	for (uint64_t at_ns = begun_ns; at_ns < begun_ns + S; at_ns += MS) {
		shed_turn(&d, at_ns, 1000, false);
		cr_assert_eq(shed_invite(&d, at_ns, key_at(999), false), SHED_ANSWER);
	}
}

Test(spec11_shed, where_hardly_any_can_be_taken_fewer_hear_of_it)
{
	struct shed d = standing(1000);
	for (uint64_t at_ns = d.now_ns, end_ns = at_ns + 10 * S; at_ns < end_ns; at_ns += MS) {
		shed_turn(&d, at_ns, 1000, false);
		shed_invite(&d, at_ns, key_at(999), false);
	}
	cr_assert_eq(shed_invite(&d, d.now_ns, key_at(900), false), SHED_DROP);
	cr_assert_eq(shed_invite(&d, d.now_ns, key_at(900), true), SHED_ANSWER, "of a transport that repeats nothing");
	for (uint64_t at_ns = d.now_ns, end_ns = at_ns + 2 * S; at_ns < end_ns; at_ns += MS) {
		shed_turn(&d, at_ns, 860, false); /* one in ten is taken */
		shed_invite(&d, at_ns, key_at((unsigned)(at_ns / MS) % 1000), false);
	}
	cr_assert_eq(shed_invite(&d, d.now_ns, key_at(900), false), SHED_ANSWER);
}

/* Its sender has repeated it by now (RFC 3261 17.1.1.2: T1). */
Test(spec11_shed, an_invite_of_half_a_second_is_never_taken)
{
	struct shed d = { 0 };
	shed_turn(&d, 10 * S, 0, false);
	cr_assert(shed_takes_all(&d, 10 * S - SHED_STALE_NS + 1));
	cr_assert_not(shed_takes_all(&d, 10 * S - SHED_STALE_NS));
	cr_assert_eq(shed_invite(&d, 10 * S - SHED_STALE_NS, 0, false), SHED_DROP);
	cr_assert_eq(shed_invite(&d, 10 * S - SHED_STALE_NS, 0, true), SHED_ANSWER);
}

Test(spec11_shed, whoever_tells_no_turns_has_nothing_shed)
{
	struct shed d = { 0 };
	shed_read(&d, 10 * S);
	cr_assert(shed_takes_all(&d, 10 * S));
	cr_assert_eq(shed_deadlines(&d, 1000), 1000);
}

/* What the shard asks by itself has its answers in that queue. */
Test(spec11_shed, deadlines_wait_for_what_is_to_be_read)
{
	struct shed d = { 0 };
	shed_turn(&d, 10 * S, 0, false);
	for (unsigned i = 0; i < 100; i++)
		shed_read(&d, 10 * S - 20 * MS);
	cr_assert_eq(shed_deadlines(&d, 1000), 1000);
	shed_read(&d, 10 * S - 60 * MS);
	cr_assert_eq(shed_deadlines(&d, 1000), 101 / 2 + SHED_DEADLINES_LEAST);
	cr_assert_eq(shed_deadlines(&d, 10), 10);
}

/* ---- a worker ---- */

enum { MESSAGES = 7, TURN = 512, ROOM = 1 << 20 };
#define INVITE_NS (12 * US)
#define OTHER_NS  (6 * US)
#define CAPACITY  (1e9 / (INVITE_NS + (MESSAGES - 1) * OTHER_NS)) /* calls a second */
#define ROUND_NS  (2 * MS)                                        /* until the peer's next message */

struct item {
	uint64_t came_ns;
	unsigned message; /* of its call, 0: the INVITE */
	bool lost;
};

struct fifo {
	struct item *at;
	uint32_t first, last;
};

struct model {
	struct shed d;
	struct fifo queue, coming; /* what the kernel holds; what the peers will send */
	uint64_t now_ns, next_invite_ns, period_ns, answer_ns, drop_ns;
	uint32_t room; /* datagrams that the kernel keeps */
	uint64_t offered, completed, lost, oldest_ns, begun;
	uint64_t random;
};

static void put(struct fifo *f, struct item item)
{
	f->at[f->last++ % ROOM] = item;
	cr_assert_leq(f->last - f->first, ROOM);
}

/* By xorshift. */
static uint64_t draw(struct model *m)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return m->random * UINT64_C(0x9e3779b97f4a7c15);
}

static void arrive(struct model *m, struct item item)
{
	bool full = m->queue.last - m->queue.first >= m->room;
	if (!full)
		put(&m->queue, item);
	else if (item.message)
		m->lost++;
}

/* All that has come by now, in order. */
static void receive(struct model *m)
{
	for (;;) {
		bool other = m->coming.first != m->coming.last;
		uint64_t other_ns = other ? m->coming.at[m->coming.first % ROOM].came_ns : UINT64_MAX;
		if (other_ns <= m->next_invite_ns && other_ns <= m->now_ns) {
			arrive(m, m->coming.at[m->coming.first++ % ROOM]);
		} else if (m->next_invite_ns <= m->now_ns && m->next_invite_ns < other_ns) {
			arrive(m, (struct item){ .came_ns = m->next_invite_ns });
			m->offered++;
			m->next_invite_ns += m->period_ns;
		} else {
			return;
		}
	}
}

static uint64_t cost_of(struct model *m, const struct item *item)
{
	if (item->message)
		return OTHER_NS;
	if (shed_takes_all(&m->d, item->came_ns))
		return INVITE_NS;
	switch (shed_invite(&m->d, item->came_ns, draw(m), false)) {
	case SHED_ANSWER:
		return m->answer_ns;
	case SHED_DROP:
		return m->drop_ns;
	default:
		return INVITE_NS;
	}
}

static void handle(struct model *m, const struct item *item)
{
	shed_read(&m->d, item->came_ns);
	uint64_t shed = m->d.shed, age_ns = m->d.now_ns - item->came_ns;
	m->now_ns += cost_of(m, item);
	if (age_ns > m->oldest_ns)
		m->oldest_ns = age_ns;
	if (m->d.shed != shed)
		return;
	if (item->message == MESSAGES - 1)
		m->completed++;
	else
		put(&m->coming, (struct item){ .came_ns = m->now_ns + ROUND_NS, .message = item->message + 1 });
}

static void turn(struct model *m)
{
	bool slept = false;
	receive(m);
	while (m->queue.first == m->queue.last) {
		m->now_ns += 10 * US;
		slept = true;
		receive(m);
	}
	uint32_t waiting = m->queue.last - m->queue.first;
	unsigned permille = slept ? 0 : (unsigned)((uint64_t)waiting * 1000 / m->room);
	m->begun += shed_turn(&m->d, m->now_ns, permille, slept) == SHED_HAS_BEGUN;
	for (unsigned i = 0; i < TURN && m->queue.first != m->queue.last; i++)
		handle(m, &m->queue.at[m->queue.first++ % ROOM]);
}

struct trial {
	double times;
	uint64_t answer_us, drop_us; /* what it costs to shed one */
	uint32_t room;
	double goodput; /* at least, of the capacity */
	bool may_lose;
};

static void run_trial(const struct trial *t)
{
	struct model *m = calloc(1, sizeof *m);
	cr_assert(m);
	m->queue.at = calloc(ROOM, sizeof *m->queue.at);
	m->coming.at = calloc(ROOM, sizeof *m->coming.at);
	m->random = 88172645463325252;
	m->now_ns = m->next_invite_ns = 10 * S;
	m->period_ns = (uint64_t)(1e9 / (CAPACITY * t->times));
	m->answer_ns = t->answer_us * US;
	m->drop_ns = t->drop_us * US;
	m->room = t->room;
	while (m->now_ns < 20 * S)
		turn(m);
	double goodput = (double)m->completed / 10 / CAPACITY;
	cr_expect_geq(goodput, t->goodput, "%.1f times: %.1f %%", t->times, 100 * goodput);
	cr_expect(t->may_lose || m->lost == 0, "%.1f times: %lu datagrams of calls lost", t->times, m->lost);
	cr_expect_leq(m->oldest_ns, 450 * MS, "%.1f times: something waited for %lu ms", t->times, m->oldest_ns / MS);
	cr_expect_eq(m->begun, t->times > 1, "%.1f times: it began %lu times", t->times, m->begun);
	free(m->queue.at);
	free(m->coming.at);
	free(m);
}

/* 90 % at 1.3 times the capacity, 60 % at 3 times; it begins once and stays, without swinging. */
Test(spec11_shed, goodput_of_a_worker_that_is_offered_too_much)
{
	static const struct trial trials[] = {
		{ 0.9, 7, 3, 30000, 0.89, false }, { 1.3, 7, 3, 14500, 0.9, false }, { 2, 7, 3, 30000, 0.75, false },
		{ 3, 7, 3, 30000, 0.6, false },    { 3, 7, 3, 8000, 0.6, true },     { 5, 7, 3, 30000, 0.25, true },
		{ 10, 7, 3, 30000, 0.12, true },
	};
	for (unsigned i = 0; i < sizeof trials / sizeof *trials; i++)
		run_trial(&trials[i]);
}
