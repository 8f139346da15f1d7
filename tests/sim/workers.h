/* Many runs of a simulation, shared among processes since a run shares nothing; and what is said when one crashes. */
#ifndef RW_TESTS_SIM_WORKERS_H
#define RW_TESTS_SIM_WORKERS_H

#include <stdbool.h>
#include <stddef.h>

#define WORKERS_MAX 64

struct workers {
	const char *name; /* of the program */
	unsigned count;   /* 1: this process itself */
	size_t outcome_size;
	void *context;
	/* Every `count`-th run, beginning with the `first`; fills a zeroed outcome.  false: one has failed. */
	bool (*run)(void *context, unsigned first, void *ret_outcome);
	void (*add)(void *sum, const void *outcome);
};

/* The sum, zeroed before, of what all have found; false: a run has failed, or a worker crashed. */
bool workers_run(const struct workers *workers, void *ret_sum);

#define WORKERS_REPLAY_SIZE 256
/* How the run under way is seen again: written there, it is said if that run crashes. */
extern char workers_replay[WORKERS_REPLAY_SIZE];
void workers_tell_of_crashes(void);

/* Wall clock, for what a run of all took. */
double workers_seconds(void);

#endif
