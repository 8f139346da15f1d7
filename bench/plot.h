/* A measurement as a picture, drawn by gnuplot: what was reached and what failed, times, CPU and memory of the switch.
 */
#ifndef RW_BENCH_PLOT_H
#define RW_BENCH_PLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One second, or one step. */
struct sample {
	double at_s, rate, reached; /* calls a second: wanted, started; of hold: refreshes */
	uint64_t active, failed, resent;
	double p50_us, p99_us; /* of ringing */
	double switch_busy;    /* cores */
	double own_busy;
	uint64_t pss_bytes;
};

struct plot {
	const char *path, *title;
	const char *reached, *failed; /* what they are called */
	bool by_rate;                 /* over the rate; otherwise over time */
	bool times;                   /* ringing was measured */
	const struct sample *sample;
	size_t samples;
};

/* Whether there is a gnuplot; otherwise the reason is on stderr.  To be asked before an hour of measuring. */
bool plot_possible(void);

/* An SVG file.  false: the reason is on stderr. */
bool plot_write(const struct plot *p);

#endif
