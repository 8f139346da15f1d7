/* What an operation costs: virtual time, CPU time of the thread, one rival after the other on the same records, the
 * same order and the same deadlines.
 *
 * A pass: arm all (not measured); cancel a part of them in random order; arm these again; re-arm as many others; then
 * let the time run, waking when the rival says so, until all have fired.  Small numbers are repeated to a million. */
#include <errno.h>
#include <stdlib.h>

#include "bench/timers.h"

#define OPERATIONS_MIN 1000000 /* a round */
#define BATCH_MAX      1000000 /* cancelled and armed again in a pass: few against 10,000,000, which stay armed */

struct workload {
	struct records records;
	uint32_t *first;     /* the order in which all are armed */
	uint32_t *order;     /* another one, of what comes after: calls do not end in the order in which they began */
	uint32_t *length_ms; /* drawn before, not while the clock runs */
	size_t batch;
	uint64_t now_ns;
	uint64_t clock_ns; /* what asking for the time takes */
};

struct sums {
	uint64_t arm_ns, cancel_ns, rearm_ns, fire_ns;
};

static uint64_t clock_cost_ns(void)
{
	enum { TIMES = 1000 };
	uint64_t from_ns = bench_cpu_ns();

	for (int i = 1; i < TIMES; i++)
		(void)bench_cpu_ns();
	return (bench_cpu_ns() - from_ns) / TIMES;
}

static uint64_t since_ns(const struct workload *l, uint64_t from_ns)
{
	uint64_t ns = bench_cpu_ns() - from_ns;

	return ns > l->clock_ns ? ns - l->clock_ns : 0;
}

static void workload_destroy(struct workload *l)
{
	records_destroy(&l->records);
	free(l->first);
	free(l->order);
	free(l->length_ms);
}

static int workload_create(struct workload *l, const struct cost_settings *s)
{
	struct bench_random random = { s->seed };
	size_t n = s->armed;

	*l = (struct workload){ .batch = n / 2 < BATCH_MAX ? n / 2 : BATCH_MAX, .clock_ns = clock_cost_ns() };
	l->length_ms = malloc(n * sizeof *l->length_ms);
	if (records_create(&l->records, n, s->record_bytes, s->huge) == 0) {
		l->first = records_order(&l->records, &random);
		l->order = records_order(&l->records, &random);
	}
	if (!l->first || !l->order || !l->length_ms) {
		workload_destroy(l);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		l->length_ms[i] = (uint32_t)(mix_length_ns(&random, mix_draw(&random)) / 1000000);
	return 0;
}

static uint64_t due_ns(const struct workload *l, size_t i)
{
	return l->now_ns + l->length_ms[i] * WHEEL_TICK_NS;
}

/* Time runs until nothing is armed.  Wake-ups are on ticks for both. */
static void fire_all(struct workload *l, const struct timers *t, void *timers, struct cost_result *result)
{
	uint64_t fired = 0, early = 0, next_ns;

	while ((next_ns = t->next_ns(timers)) != UINT64_MAX) {
		struct deadline *d;

		next_ns = (next_ns + WHEEL_TICK_NS - 1) / WHEEL_TICK_NS * WHEEL_TICK_NS;
		if (next_ns > l->now_ns)
			l->now_ns = next_ns;
		t->advance(timers, l->now_ns);
		while ((d = t->pop(timers, l->now_ns))) {
			early += d->due_ns > l->now_ns;
			fired++;
		}
	}
	result->early += early;
	result->lost += l->records.count - fired;
}

static void pass(struct workload *l, const struct timers *t, void *timers, struct sums *sums,
		 struct cost_result *result)
{
	const struct records *r = &l->records;
	const uint32_t *others = l->order + l->batch;
	uint64_t from_ns;

	for (size_t i = 0; i < r->count; i++)
		t->arm(timers, record_at(r, l->first[i]), due_ns(l, i));

	from_ns = bench_cpu_ns();
	for (size_t i = 0; i < l->batch; i++)
		t->cancel(timers, record_at(r, l->order[i]));
	sums->cancel_ns += since_ns(l, from_ns);

	from_ns = bench_cpu_ns();
	for (size_t i = 0; i < l->batch; i++)
		t->arm(timers, record_at(r, l->order[i]), due_ns(l, i));
	sums->arm_ns += since_ns(l, from_ns);

	from_ns = bench_cpu_ns();
	for (size_t i = 0; i < l->batch; i++)
		t->arm(timers, record_at(r, others[i]), due_ns(l, i));
	sums->rearm_ns += since_ns(l, from_ns);

	from_ns = bench_cpu_ns();
	fire_all(l, t, timers, result);
	sums->fire_ns += since_ns(l, from_ns);
}

static int round_of(struct workload *l, const struct timers *t, bool huge, struct cost *ret_cost,
		    struct cost_result *result)
{
	size_t n = l->records.count, passes = n < OPERATIONS_MIN ? OPERATIONS_MIN / n : 1;
	struct sums sums = { 0 };
	void *timers = t->create(l->now_ns, n, huge);

	if (!timers)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) /* nothing is left of the other rival's */
		*record_at(&l->records, i) = (struct deadline){ .due_ns = 0 };
	for (size_t i = 0; i < passes; i++)
		pass(l, t, timers, &sums, result);
	t->destroy(timers);

	double batches = (double)(l->batch * passes), all = (double)(n * passes);
	*ret_cost = (struct cost){ .arm = (double)sums.arm_ns / batches,
				   .cancel = (double)sums.cancel_ns / batches,
				   .rearm = (double)sums.rearm_ns / batches,
				   .fire = (double)sums.fire_ns / all };
	return 0;
}

/* The median of the member at `offset`. */
static double median(const struct cost *cost, unsigned count, size_t offset)
{
	double value[count];

	for (unsigned i = 0; i < count; i++)
		value[i] = *(const double *)(const void *)((const char *)&cost[i] + offset);
	return bench_median(value, count);
}

static struct cost medians(const struct cost *cost, unsigned count)
{
	return (struct cost){ .arm = median(cost, count, offsetof(struct cost, arm)),
			      .cancel = median(cost, count, offsetof(struct cost, cancel)),
			      .rearm = median(cost, count, offsetof(struct cost, rearm)),
			      .fire = median(cost, count, offsetof(struct cost, fire)) };
}

int cost_measure(const struct cost_settings *settings, struct cost_result *ret_result)
{
	struct cost cost[RIVALS][settings->rounds];
	struct workload l;
	int r = workload_create(&l, settings);

	if (r < 0)
		return r;
	*ret_result = (struct cost_result){ 0 };
	for (unsigned round = 0; r == 0 && round < settings->rounds; round++) {
		for (unsigned i = 0; r == 0 && i < RIVALS; i++) {
			bench_progress("%zu armed: round %u of %u, %s", settings->armed, round + 1, settings->rounds,
				       rivals[i].name);
			r = round_of(&l, &rivals[i], settings->huge, &cost[i][round], ret_result);
		}
	}
	for (unsigned i = 0; r == 0 && i < RIVALS; i++)
		ret_result->cost[i] = medians(cost[i], settings->rounds);
	workload_destroy(&l);
	return r;
}
