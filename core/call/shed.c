#include "core/call/shed.h"

static uint64_t waited_ns(const struct shed *d, uint64_t came_ns)
{
	return d->now_ns > came_ns ? d->now_ns - came_ns : 0;
}

/* Even from 0 to `begin`, and from there to `full`; not above SHED_FULL. */
static uint32_t pressure_of(uint64_t value, uint64_t begin, uint64_t full)
{
	if (value >= full)
		return SHED_FULL;
	if (value >= begin)
		return (uint32_t)(SHED_BEGIN + (value - begin) * (SHED_FULL - SHED_BEGIN) / (full - begin));
	return (uint32_t)(value * SHED_BEGIN / begin);
}

static uint32_t pressure_of_wait(const struct shed *d, uint64_t came_ns)
{
	return pressure_of(waited_ns(d, came_ns), SHED_BEGIN_NS, SHED_FULL_NS);
}

/* Of the turn that ends now.  One that read nothing although something waits (its buffers had to go back first) says
 * nothing. */
static void judge_turn(struct shed *d, uint64_t now_ns, bool slept)
{
	bool blind = !slept && !d->read && d->queue && d->queue < SHED_BEGIN;
	if (slept || (!blind && d->pressure < SHED_BEGIN))
		d->standing_ns = 0;
	else if (!blind && !d->standing_ns)
		d->standing_ns = now_ns;
	if (d->pressure >= SHED_BEGIN / 2)
		d->calm_ns = now_ns;
}

/* A quarter of it is of the last SHED_SHARE_NS. */
static void smooth_share(struct shed *d, uint64_t now_ns)
{
	uint64_t asked = d->asked - d->asked_then, taken = d->taken - d->taken_then;
	if (now_ns < d->share_ns + SHED_SHARE_NS || !asked)
		return;
	d->share = (uint32_t)((3 * (uint64_t)d->share + taken * 1000 / asked) / 4);
	d->share_ns = now_ns;
	d->asked_then = d->asked;
	d->taken_then = d->taken;
}

static void begin(struct shed *d, uint64_t now_ns)
{
	d->on = true;
	d->begun_ns = d->calm_ns = d->share_ns = now_ns;
	d->shed = 0;
	d->share = 1000;
	d->asked_then = d->asked;
	d->taken_then = d->taken;
}

enum shed_news shed_turn(struct shed *d, uint64_t now_ns, unsigned queue_permille, bool slept)
{
	judge_turn(d, now_ns, slept);
	d->now_ns = now_ns;
	d->queue = pressure_of(queue_permille, SHED_BEGIN_PERMILLE, SHED_FULL_PERMILLE);
	d->pressure = d->queue;
	d->read = 0;
	if (d->on)
		smooth_share(d, now_ns);
	if (!d->on && d->standing_ns && now_ns >= d->standing_ns + SHED_STANDS_NS) {
		begin(d, now_ns);
		return SHED_HAS_BEGUN;
	}
	if (d->on && now_ns >= d->calm_ns + SHED_CALM_NS) {
		d->on = false;
		return SHED_HAS_ENDED;
	}
	return SHED_NOTHING;
}

void shed_read(struct shed *d, uint64_t came_ns)
{
	uint64_t waited = waited_ns(d, came_ns);
	uint32_t pressure = pressure_of_wait(d, came_ns);
	d->read++;
	if (pressure > d->pressure)
		d->pressure = pressure;
	if (waited > d->longest_ns)
		d->longest_ns = waited;
}

/* Whether a share in thousandths has it, by bits of the key. */
static bool is_drawn(uint32_t bits, uint32_t permille)
{
	return ((uint64_t)bits * 1000 >> 32) < permille;
}

static enum shed_verdict draw(const struct shed *d, uint64_t came_ns, uint64_t key, bool reliable)
{
	uint32_t pressure = pressure_of_wait(d, came_ns);
	if (d->queue > pressure)
		pressure = d->queue;
	if (pressure <= SHED_BEGIN)
		return SHED_TAKE;
	if (is_drawn((uint32_t)(key >> 32), SHED_FULL - pressure))
		return SHED_TAKE;
	if (reliable || d->share >= SHED_ANSWERED_PERMILLE)
		return SHED_ANSWER;
	return is_drawn((uint32_t)key, d->share * 1000 / SHED_ANSWERED_PERMILLE) ? SHED_ANSWER : SHED_DROP;
}

enum shed_verdict shed_invite(struct shed *d, uint64_t came_ns, uint64_t key, bool reliable)
{
	enum shed_verdict verdict = SHED_TAKE;
	if (waited_ns(d, came_ns) >= SHED_STALE_NS)
		verdict = reliable ? SHED_ANSWER : SHED_DROP;
	else if (d->on)
		verdict = draw(d, came_ns, key, reliable);
	d->shed += verdict != SHED_TAKE;
	d->asked++;
	d->taken += verdict == SHED_TAKE;
	return verdict;
}

unsigned shed_deadlines(const struct shed *d, unsigned limit)
{
	unsigned few = d->read / 2 + SHED_DEADLINES_LEAST;
	return d->pressure >= SHED_BEGIN && few < limit ? few : limit;
}
