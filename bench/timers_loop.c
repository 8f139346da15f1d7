/* The wheel in real time, driven as a worker drives it (core/net/worker.c): a thread of its own; a turn advances, pops
 * at most so many, and sleeps in io_uring until wheel_next_ns() when nothing is left over.
 *
 * The wheel's time is the monotonic clock, shifted such that a boundary of all levels falls into the run
 * after a quarter of it: the heaviest moment there is, as the full slots of each level come up together. */
#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "bench/machine.h"
#include "bench/timers.h"

enum { DEADLINES_PER_TURN = 1000 }; /* as the worker */

#define ALL_LEVELS_NS (WHEEL_TICK_NS << 6 * (WHEEL_LEVELS - 1)) /* a slot of the last level */

struct loop {
	const struct loop_settings *settings;
	struct loop_result *result;
	struct wheel wheel;
	struct records records;
	struct bench_random random;
	uint32_t *order; /* in which they are armed at first */
	struct io_uring ring;
	uint64_t shift_ns; /* the wheel's time less the monotonic clock */
	int r;
};

static uint64_t now_ns(const struct loop *l)
{
	return bench_wall_ns() + l->shift_ns;
}

/* Wall inside CPU time: what the clocks cost themselves is in the latter. */
static void advance(struct loop *l, uint64_t to_ns, struct advances *a)
{
	uint64_t moved = l->wheel.moved, cpu_ns = bench_cpu_ns(), wall_ns = bench_wall_ns();

	wheel_advance(&l->wheel, to_ns);
	wall_ns = bench_wall_ns() - wall_ns;
	cpu_ns = bench_cpu_ns() - cpu_ns;
	if (cpu_ns > a->cpu.max_ns)
		a->longest_moved = l->wheel.moved - moved;
	spread_add(&a->wall, wall_ns);
	spread_add(&a->cpu, cpu_ns);
	a->wall_long += wall_ns >= ADVANCE_LONG_NS;
	a->cpu_long += cpu_ns >= ADVANCE_LONG_NS;
}

static void arm(struct loop *l, struct deadline *d, uint64_t from_ns)
{
	d->due_ns = from_ns + mix_length_ns(&l->random, d->length);
	wheel_arm(&l->wheel, &d->wheel, d->due_ns);
}

/* At a turn's own time, which is what the shard is told; how late is seen by the clock, entry by entry. */
static void turn(struct loop *l)
{
	uint64_t turn_ns = now_ns(l);

	advance(l, turn_ns, &l->result->on_time);
	for (unsigned i = 0; i < DEADLINES_PER_TURN; i++) {
		struct deadline *d = (struct deadline *)wheel_pop(&l->wheel);
		if (!d)
			break;
		uint64_t popped_ns = now_ns(l);
		l->result->early += d->due_ns > turn_ns;
		uint64_t late_ns = popped_ns > d->due_ns ? popped_ns - d->due_ns : 0;
		l->result->too_late += late_ns > LATE_NS;
		spread_add(&l->result->late, late_ns);
		arm(l, d, popped_ns);
	}
}

static void sleep_until_next(struct loop *l)
{
	uint64_t next_ns = wheel_next_ns(&l->wheel), at_ns = now_ns(l);

	if (next_ns <= at_ns)
		return;
	struct __kernel_timespec ts = { .tv_sec = (long long)((next_ns - at_ns) / BENCH_SECOND_NS),
					.tv_nsec = (long long)((next_ns - at_ns) % BENCH_SECOND_NS) };
	struct io_uring_cqe *cqe;
	io_uring_submit_and_wait_timeout(&l->ring, &cqe, 1, &ts, NULL);
}

static void run(struct loop *l, uint64_t start_ns)
{
	struct loop_result *result = l->result;
	struct rusage before, after;
	uint64_t moved = l->wheel.moved, stolen_ns = machine_stolen_ns();
	uint64_t cpu_ns = bench_cpu_ns(), wall_ns = bench_wall_ns();

	getrusage(RUSAGE_THREAD, &before);
	l->shift_ns = start_ns - wall_ns;
	while (bench_wall_ns() - wall_ns < l->settings->run_ns) {
		turn(l);
		sleep_until_next(l);
	}
	getrusage(RUSAGE_THREAD, &after);
	result->run_ns = bench_wall_ns() - wall_ns;
	result->busy_ns = bench_cpu_ns() - cpu_ns;
	result->moved = l->wheel.moved - moved;
	result->stolen_ns = machine_stolen_ns() - stolen_ns;
	result->preempted = after.ru_nivcsw - before.ru_nivcsw;
}

/* The time jumps; the wheel may take many advances to follow, but each must be short. */
static void stall(struct loop *l)
{
	uint64_t to_ns = now_ns(l) + l->settings->stall_ns;

	while (wheel_next_ns(&l->wheel) <= to_ns) {
		struct deadline *d;

		advance(l, to_ns, &l->result->behind);
		for (unsigned i = 0; i < DEADLINES_PER_TURN && (d = (struct deadline *)wheel_pop(&l->wheel)); i++) {
			l->result->early += d->due_ns > to_ns;
			arm(l, d, to_ns);
		}
	}
}

static int pin(int cpu)
{
	cpu_set_t set;

	if (cpu < 0)
		return 0;
	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	return sched_setaffinity(0, sizeof set, &set) < 0 ? -errno : 0;
}

static void *thread_main(void *loop)
{
	struct loop *l = loop;
	uint64_t quarter_ns = l->settings->run_ns / 4;
	uint64_t start_ns = (bench_wall_ns() / ALL_LEVELS_NS + 1) * ALL_LEVELS_NS - quarter_ns;

	l->r = pin(l->settings->cpu);
	if (l->r < 0)
		return NULL;
	prctl(PR_SET_TIMERSLACK, 1UL);
	wheel_init(&l->wheel, start_ns);
	for (size_t i = 0; i < l->records.count; i++) {
		struct deadline *d = record_at(&l->records, l->order[i]);
		d->length = mix_draw(&l->random);
		arm(l, d, start_ns);
	}
	run(l, start_ns);
	if (l->settings->stall_ns > 0)
		stall(l);
	return NULL;
}

/* A thread of its own leaves nothing behind: neither pinning nor timer slack. */
static int measure_in_thread(struct loop *l)
{
	pthread_t thread;
	int r = -pthread_create(&thread, NULL, thread_main, l);

	if (r < 0)
		return r;
	pthread_join(thread, NULL);
	return l->r;
}

int loop_measure(const struct loop_settings *settings, struct loop_result *ret_result)
{
	struct loop *l = calloc(1, sizeof *l);

	if (!l)
		return -ENOMEM;
	memset(ret_result, 0, sizeof *ret_result);
	l->settings = settings;
	l->result = ret_result;
	l->random.state = settings->seed;
	bench_progress("%zu armed: %.0f s of real time", settings->armed, (double)settings->run_ns / 1e9);
	int r = io_uring_queue_init(8, &l->ring, 0);
	if (r == 0) {
		r = records_create(&l->records, settings->armed, settings->record_bytes, settings->huge);
		l->order = r == 0 ? records_order(&l->records, &l->random) : NULL;
		r = l->order ? measure_in_thread(l) : -ENOMEM;
		free(l->order);
		records_destroy(&l->records);
		io_uring_queue_exit(&l->ring);
	}
	free(l);
	return r;
}
