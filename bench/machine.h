/* The machine a figure was measured on: without it the figure says nothing. */
#ifndef RW_BENCH_MACHINE_H
#define RW_BENCH_MACHINE_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

struct machine {
	char cpu[96];    /* model name */
	char kernel[96]; /* name and release */
	char build[32];  /* compiler of this program, and whether it was optimized */
	unsigned cores;  /* on line */
	uint64_t memory_bytes;
	double load[3]; /* runnable threads, average over 1, 5 and 15 minutes; what cannot be read is 0 */
};

/* As it is now: call it before the measurement, or the load is one's own. */
void machine_read(struct machine *m);

/* One line. */
void machine_print(const struct machine *m, FILE *out);

/* Time the hypervisor has given to others while a core had work, all cores, since boot; counted in steps of 10 ms.  0
 * on bare metal, and where it cannot be read. */
uint64_t machine_stolen_ns(void);

/* This process's memory, pages that are shared counted in part; 0: cannot be read. */
uint64_t machine_pss_bytes(void);

/* What kind of file system a path is on: "ext4", "tmpfs", ..., or its number. */
void machine_file_system(const char *path, char name[static 32]);

/* What the machine takes from a thread that does nothing but read the clocks: the longest time between two looks. */
struct machine_gaps {
	uint64_t run_ns;
	uint64_t wall_ns; /* other threads, interrupts, the hypervisor */
	uint64_t
		cpu_ns; /* the part that the kernel charges to the thread itself: interrupts, what a hypervisor hides */
};

void machine_gaps(uint64_t run_ns, struct machine_gaps *ret_gaps);

/* A new object. */
json_t *machine_json(const struct machine *m);

#endif
