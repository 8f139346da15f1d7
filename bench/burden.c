#include "bench/burden.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/process.h"

#define STEP_NS UINT64_C(500000)

/* Of each step its share, in CPU time; what it did not get is not made up for. */
static void run(unsigned percent)
{
	const struct timespec rest = { .tv_nsec = (long)(STEP_NS * (100 - percent) / 100) };

	for (;;) {
		uint64_t end_ns = bench_cpu_ns() + STEP_NS * percent / 100;

		while (bench_cpu_ns() < end_ns)
			;
		nanosleep(&rest, NULL);
	}
}

pid_t burden_start(int cpu, unsigned percent)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid > 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_TIMERSLACK, 1UL);
	if (cpu >= 0)
		process_pin(0, cpu);
	sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 1 });
	run(percent);
	_exit(1);
}

void burden_stop(pid_t burden)
{
	if (burden <= 0)
		return;
	kill(burden, SIGKILL);
	waitpid(burden, NULL, 0);
}
