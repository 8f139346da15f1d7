/* The script that gnuplot gets, data and all: see the header. */
#include "bench/plot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PANEL_HEIGHT = 220, WIDTH = 900 };

/* Columns of the data. */
enum { AT = 1, RATE, REACHED, ACTIVE, FAILED, RESENT, P50, P99, SWITCH, OWN, PSS };

bool plot_possible(void)
{
	if (system("command -v gnuplot >/dev/null 2>&1") == 0)
		return true;
	fputs("rwbench: --plot needs gnuplot: tools/install bench\n", stderr);
	return false;
}

/* Between single quotes, where only they are special. */
static void put_text(FILE *f, const char *text)
{
	putc('\'', f);
	for (; *text; text++) {
		if (*text == '\'')
			putc('\'', f);
		putc(*text, f);
	}
	putc('\'', f);
}

static void put_data(FILE *f, const struct plot *p)
{
	fputs("$data << END\n", f);
	for (size_t i = 0; i < p->samples; i++) {
		const struct sample *s = &p->sample[i];

		fprintf(f, "%.3f %.1f %.1f %llu %llu %llu %.1f %.1f %.2f %.2f %.2f\n", s->at_s, s->rate, s->reached,
			(unsigned long long)s->active, (unsigned long long)s->failed, (unsigned long long)s->resent,
			s->p50_us, s->p99_us, 100 * s->switch_busy, 100 * s->own_busy,
			(double)s->pss_bytes / (1 << 20));
	}
	fputs("END\n", f);
}

static void put_line(FILE *f, const struct plot *p, const char *before, unsigned column, const char *name)
{
	fprintf(f, "%s$data using %d:%u with %s title ", before, p->by_rate ? RATE : AT, column,
		p->by_rate ? "points pt 7 ps 0.4" : "lines");
	put_text(f, name);
}

static void put_panels(FILE *f, const struct plot *p)
{
	fputs("set ylabel 'a second'\n", f);
	put_line(f, p, "plot ", REACHED, p->reached);
	put_line(f, p, ", ", FAILED, p->failed);
	if (p->times)
		put_line(f, p, ", ", RESENT, "sent again");
	if (p->times) {
		fputs("\nset ylabel 'INVITE to 180, us'\nset yrange [*:*]\nset logscale y\n", f);
		put_line(f, p, "plot ", P50, "median");
		put_line(f, p, ", ", P99, "99 %");
		fputs("\nunset logscale y\nset yrange [0:*]", f);
	}
	fputs("\nset ylabel 'percent of a core'\n", f);
	put_line(f, p, "plot ", SWITCH, "switch");
	put_line(f, p, ", ", OWN, "generator");
	fprintf(f,
		"\nset ylabel 'PSS of the switch, MiB'\nset y2label 'calls up'\nset y2tics\nset y2range [0:*]\nset "
		"xlabel '%s'\n",
		p->by_rate ? "calls a second" : "seconds");
	put_line(f, p, "plot ", PSS, "memory");
	put_line(f, p, ", ", ACTIVE, "calls up");
	fputs(" axes x1y2\nunset multiplot\n", f);
}

bool plot_write(const struct plot *p)
{
	unsigned panels = p->times ? 4 : 3;
	FILE *f = popen("gnuplot", "w");

	if (!f) {
		perror("rwbench: gnuplot");
		return false;
	}
	fprintf(f, "set terminal svg size %d,%d background 'white'\nset output ", WIDTH, (int)panels * PANEL_HEIGHT);
	put_text(f, p->path);
	putc('\n', f);
	put_data(f, p);
	fprintf(f,
		"set grid\nset key outside right top\nset lmargin 12\nset rmargin 28\nset yrange [0:*]\nset multiplot "
		"layout %u,1 "
		"title ",
		panels);
	put_text(f, p->title);
	fputs(" noenhanced\n", f);
	put_panels(f, p);
	if (pclose(f) == 0)
		return true;
	fprintf(stderr, "rwbench: gnuplot did not draw %s\n", p->path);
	return false;
}
