/* rwbench route: the look-up of routing gateways by dialled number, core/config/routes.c, with as many gateways and
 * prefixes as asked for.  What it finds is checked against a binary search over all prefixes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/machine.h"
#include "bench/options.h"
#include "bench/spread.h"
#include "core/config/routes.h"

#define NUMBER_SIZE 16 /* longest number made, and a NUL */
#define NUMBERS     (UINT32_C(1) << 20)
#define CHECKED     2000 /* numbers of each kind that are looked up the slow way as well */

struct settings {
	uint64_t seed, gateways, prefixes, lookups, rounds;
	bool json;
};

static const struct settings settings_default = {
	.seed = 1, .gateways = 1000, .prefixes = 1000000, .lookups = 2000000, .rounds = 5
};

/* Everything once, in a second or two. */
static void make_small(void *settings)
{
	struct settings *s = settings;

	s->gateways = 100;
	s->prefixes = 50000;
	s->lookups = 100000;
	s->rounds = 1;
}

/* What is dialled. */
enum { DIALLED_RANDOM, DIALLED_ROUTED, KINDS };
static const char *const kind_names[KINDS] = { "random digits", "a prefix, then random digits" };

struct world {
	struct routing_gateway *gateways;
	char (*text)[NUMBER_SIZE]; /* of all prefixes */
	char **prefixes;           /* gateway by gateway */
	char **sorted;
	uint64_t gateway_count, prefix_count;
	struct route_table *table;
	char (*number[KINDS])[NUMBER_SIZE]; /* NUMBERS of each */
};

struct kind_result {
	struct spread spread; /* one look-up, clock taken off */
	double mean_ns;       /* one after another, no clock between them */
	uint64_t lookups, hits;
	uint64_t candidates; /* of all hits together */
};

struct results {
	struct machine machine;
	double build_ms, build_cpu_ms; /* medians */
	uint64_t bytes,
		prefix_bytes; /* the process grew so much: for the table; for the prefixes that it points into */
	uint32_t distinct;
	uint64_t wrong;
	struct kind_result kind[KINDS];
};

/* ---- options ---- */

#define AT(field) offsetof(struct settings, field)

static const struct bench_option option_rows[] = {
	{ "gateways", BENCH_NUMBER, AT(gateways), 1, 1000000, "N", "routing gateways (1000)" },
	{ "prefixes", BENCH_NUMBER, AT(prefixes), 1, 100000000, "N",
	  "prefixes of all of them together, of 3 to 10 digits (1000000)" },
	{ "lookups", BENCH_NUMBER, AT(lookups), 1, INT64_MAX, "N", "measured, of each kind of number (2000000)" },
	{ "rounds", BENCH_NUMBER, AT(rounds), 1, 1000, "N", "of building: the time is the median (5)" },
	{ "seed", BENCH_NUMBER, AT(seed), 0, INT64_MAX, "N", "of prefixes and numbers (1)" },
};

static const struct bench_options options = {
	.about = "The look-up of routing gateways by dialled number: how long building the table takes and how much "
		 "memory,\n"
		 "and how long one look-up takes.",
	.fails = "a look-up did not find the longest prefix",
	.rows = option_rows,
	.count = sizeof option_rows / sizeof option_rows[0],
	.json = AT(json),
	.make_small = make_small,
};

/* ---- gateways, prefixes, numbers ---- */

/* Digits of a prefix: price lists are long because of those of 6 to 8. */
static unsigned prefix_length(struct bench_random *random)
{
	static const unsigned char upto[] = {
		[3] = 1, [4] = 4, [5] = 12, [6] = 32, [7] = 60, [8] = 82, [9] = 93, [10] = 100
	};
	uint64_t drawn = bench_random_below(random, 100);
	unsigned length = 3;

	while (drawn >= upto[length])
		length++;
	return length;
}

static void write_digits(char *at, unsigned count, struct bench_random *random)
{
	for (unsigned i = 0; i < count; i++)
		at[i] = (char)('0' + bench_random_below(random, 10));
	at[count] = '\0';
}

static void make_gateways(struct world *w, const struct settings *s)
{
	struct bench_random random = { s->seed };

	for (uint64_t i = 0; i < w->prefix_count; i++) {
		write_digits(w->text[i], prefix_length(&random), &random);
		if (w->text[i][0] == '0') /* no country code begins so: a tenth of random numbers has no route */
			w->text[i][0] = '1';
		w->prefixes[i] = w->sorted[i] = w->text[i];
	}
	for (uint64_t i = 0; i < w->gateway_count; i++) {
		struct routing_gateway *g = &w->gateways[i];
		uint64_t first = w->prefix_count * i / w->gateway_count;

		snprintf(g->name, sizeof g->name, "vendor-%llu", (unsigned long long)i);
		g->priority = (uint32_t)bench_random_below(&random, 5);
		g->prefixes = w->prefixes + first;
		g->prefix_count = (uint32_t)(w->prefix_count * (i + 1) / w->gateway_count - first);
	}
}

static void make_numbers(struct world *w, const struct settings *s)
{
	struct bench_random random = { s->seed + 1 };

	for (uint32_t i = 0; i < NUMBERS; i++) {
		const char *prefix = w->text[bench_random_below(&random, w->prefix_count)];
		size_t size = strlen(prefix);
		unsigned length = 11 + (unsigned)bench_random_below(&random, 3);

		write_digits(w->number[DIALLED_RANDOM][i], length, &random);
		memcpy(w->number[DIALLED_ROUTED][i], prefix, size);
		write_digits(w->number[DIALLED_ROUTED][i] + size, length - (unsigned)size, &random);
	}
}

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void world_free(struct world *w)
{
	routes_free(w->table);
	free(w->gateways);
	free(w->text);
	free(w->prefixes);
	free(w->sorted);
	for (unsigned k = 0; k < KINDS; k++)
		free(w->number[k]);
}

static int world_make(struct world *w, const struct settings *s, struct results *results)
{
	*w = (struct world){ .gateway_count = s->gateways, .prefix_count = s->prefixes };
	w->gateways = calloc(w->gateway_count, sizeof *w->gateways);
	w->text = calloc(w->prefix_count, sizeof *w->text);
	w->prefixes = calloc(w->prefix_count, sizeof *w->prefixes);
	w->sorted = calloc(w->prefix_count, sizeof *w->sorted);
	for (unsigned k = 0; k < KINDS; k++)
		w->number[k] = calloc(NUMBERS, sizeof *w->number[k]);
	if (!w->gateways || !w->text || !w->prefixes || !w->sorted || !w->number[DIALLED_RANDOM] ||
	    !w->number[DIALLED_ROUTED])
		return -ENOMEM;
	make_gateways(w, s);
	make_numbers(w, s);
	qsort(w->sorted, w->prefix_count, sizeof *w->sorted, compare_text);
	results->prefix_bytes = w->prefix_count * (sizeof *w->text + sizeof *w->prefixes);
	return 0;
}

/* ---- the measurement ---- */

static int build(struct world *w, const struct settings *s, struct results *results)
{
	double ms[s->rounds], cpu_ms[s->rounds];

	for (unsigned i = 0; i < s->rounds; i++) {
		bench_progress("building: round %u of %u", i + 1, (unsigned)s->rounds);
		routes_free(w->table);
		w->table = NULL;
		uint64_t before_bytes = machine_pss_bytes(), from_ns = bench_wall_ns(), from_cpu_ns = bench_cpu_ns();
		int r = routes_build(w->gateways, (uint32_t)w->gateway_count, &w->table);

		if (r < 0)
			return r;
		ms[i] = (double)(bench_wall_ns() - from_ns) / 1e6;
		cpu_ms[i] = (double)(bench_cpu_ns() - from_cpu_ns) / 1e6;
		uint64_t after_bytes = machine_pss_bytes();
		if (i == 0) /* later ones may stand where an earlier one stood */
			results->bytes = after_bytes > before_bytes ? after_bytes - before_bytes : 0;
	}
	results->build_ms = bench_median(ms, (unsigned)s->rounds);
	results->build_cpu_ms = bench_median(cpu_ms, (unsigned)s->rounds);
	results->distinct = routes_prefix_count(w->table);
	return 0;
}

static struct bytes number_at(const struct world *w, unsigned kind, uint64_t i)
{
	return bytes_of(w->number[kind][i & (NUMBERS - 1)]);
}

static uint64_t clock_cost_ns(void)
{
	enum { TIMES = 10000 };
	struct spread *spread = calloc(1, sizeof *spread);
	uint64_t cost_ns = 0;

	for (int i = 0; spread && i < TIMES; i++) {
		uint64_t from_ns = bench_wall_ns();
		spread_add(spread, bench_wall_ns() - from_ns);
	}
	if (spread)
		cost_ns = spread_quantile(spread, 0.5);
	free(spread);
	return cost_ns;
}

static uint32_t find(const struct world *w, struct bytes number, const struct routing_gateway *const **ret_list)
{
	uint32_t length;

	return routes_find(w->table, number, CONFIG_PREFIX_MAX + 1, ret_list, &length);
}

static void measure_spread(const struct world *w, unsigned kind, uint64_t lookups, struct kind_result *x)
{
	const struct routing_gateway *const *list;
	uint64_t clock_ns = clock_cost_ns();

	for (uint64_t i = 0; i < lookups; i++) {
		struct bytes number = number_at(w, kind, i);
		uint64_t from_ns = bench_wall_ns();
		uint32_t count = find(w, number, &list);
		uint64_t ns = bench_wall_ns() - from_ns;

		spread_add(&x->spread, ns > clock_ns ? ns - clock_ns : 0);
		x->hits += count > 0;
		x->candidates += count;
	}
	x->lookups = lookups;
}

/* The same look-ups as before, so they find as much; returns by how many gateways they do not. */
static uint64_t measure_mean(const struct world *w, unsigned kind, uint64_t lookups, struct kind_result *x)
{
	const struct routing_gateway *const *list;
	uint64_t from_ns = bench_cpu_ns(), found = 0;

	for (uint64_t i = 0; i < lookups; i++)
		found += find(w, number_at(w, kind, i), &list);
	x->mean_ns = (double)(bench_cpu_ns() - from_ns) / (double)lookups;
	return found > x->candidates ? found - x->candidates : x->candidates - found;
}

/* ---- the slow way ---- */

/* Length of the number's longest prefix that has fewer than `below` characters; -1: none. */
static int longest(const struct world *w, const char *number, int below)
{
	char text[NUMBER_SIZE];
	char *key = text;

	for (int length = (int)strlen(number) < below ? (int)strlen(number) : below - 1; length >= 0; length--) {
		snprintf(text, sizeof text, "%.*s", length, number);
		if (bsearch(&key, w->sorted, w->prefix_count, sizeof *w->sorted, compare_text))
			return length;
	}
	return -1;
}

static bool serves(const struct routing_gateway *g, const char *number, int length)
{
	for (uint32_t i = 0; i < g->prefix_count; i++)
		if ((int)strlen(g->prefixes[i]) == length && memcmp(g->prefixes[i], number, (size_t)length) == 0)
			return true;
	return false;
}

/* One number, from its longest prefix down to the shortest. */
static uint64_t count_wrong_levels(const struct world *w, const char *number)
{
	const struct routing_gateway *const *list;
	uint32_t below = CONFIG_PREFIX_MAX + 1, count, length;
	uint64_t wrong = 0;

	do {
		int expected = longest(w, number, (int)below);

		count = routes_find(w->table, bytes_of(number), below, &list, &length);
		wrong += count ? (int)length != expected : expected >= 0;
		for (uint32_t j = 0; j < count; j++)
			wrong += !serves(list[j], number, expected) ||
				 (j > 0 && list[j - 1]->priority > list[j]->priority);
		below = length;
	} while (count && !wrong);
	return wrong;
}

static uint64_t count_wrong(const struct world *w, unsigned kind)
{
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < CHECKED; i++)
		wrong += count_wrong_levels(w, w->number[kind][i]);
	return wrong;
}

static int measure(const struct settings *s, struct results *results)
{
	struct world w;
	int r = world_make(&w, s, results);

	if (r == 0)
		r = build(&w, s, results);
	for (unsigned k = 0; r == 0 && k < KINDS; k++) {
		bench_progress("looking up: %s", kind_names[k]);
		results->wrong += count_wrong(&w, k);
		measure_spread(&w, k, s->lookups, &results->kind[k]);
		results->wrong += measure_mean(&w, k, s->lookups, &results->kind[k]);
	}
	bench_progress_end();
	world_free(&w);
	return r;
}

/* ---- what it prints ---- */

static void print(const struct settings *s, const struct results *r)
{
	printf("rwbench route: seed %llu; %llu gateways, %llu prefixes of 3 to 10 digits, %u distinct\n",
	       (unsigned long long)s->seed, (unsigned long long)s->gateways, (unsigned long long)s->prefixes,
	       r->distinct);
	machine_print(&r->machine, stdout);
	printf("\nbuilding: %.0f ms, CPU time %.0f ms, medians of %llu\n", r->build_ms, r->build_cpu_ms,
	       (unsigned long long)s->rounds);
	printf("table %.1f MiB, %.1f bytes a prefix; prefixes that it points into %.1f MiB\n\n",
	       (double)r->bytes / (1 << 20), r->distinct ? (double)r->bytes / r->distinct : 0,
	       (double)r->prefix_bytes / (1 << 20));
	printf("%-29s %9s %9s %9s %9s %9s %8s %11s\n", "a look-up, ns", "p50", "p90", "p99", "p99.9", "mean", "hits",
	       "candidates");
	for (unsigned k = 0; k < KINDS; k++) {
		const struct kind_result *x = &r->kind[k];

		printf("%-29s %9llu %9llu %9llu %9llu %9.0f %7.2f%% %11.2f\n", kind_names[k],
		       (unsigned long long)spread_quantile(&x->spread, 0.5),
		       (unsigned long long)spread_quantile(&x->spread, 0.9),
		       (unsigned long long)spread_quantile(&x->spread, 0.99),
		       (unsigned long long)spread_quantile(&x->spread, 0.999), x->mean_ns,
		       100 * (double)x->hits / (double)x->lookups,
		       x->hits ? (double)x->candidates / (double)x->hits : 0);
	}
	puts("\nPercentiles: wall clock of each look-up by itself, the clock's own time taken off; mean: CPU time of "
	     "many\n"
	     "in a row, which overlap.  Candidates: gateways a hit.");
}

static json_t *kind_json(const struct kind_result *x, const char *name)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:f, s:f, s:o}", "dialled", name, "lookups", (json_int_t)x->lookups,
			 "hits", (json_int_t)x->hits, "misses", (json_int_t)(x->lookups - x->hits), "mean_ns",
			 x->mean_ns, "candidates", x->hits ? (double)x->candidates / (double)x->hits : 0.0, "spread",
			 spread_json(&x->spread));
}

static void print_json(const struct settings *s, const struct results *r)
{
	json_t *rows = json_array();

	for (unsigned k = 0; k < KINDS; k++)
		json_array_append_new(rows, kind_json(&r->kind[k], kind_names[k]));
	json_t *all = json_pack("{s:s, s:I, s:o, s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:I, s:o}", "bench", "route",
				"seed", (json_int_t)s->seed, "machine", machine_json(&r->machine), "gateways",
				(json_int_t)s->gateways, "prefixes", (json_int_t)s->prefixes, "distinct",
				(json_int_t)r->distinct, "build_ms", r->build_ms, "build_cpu_ms", r->build_cpu_ms,
				"rounds", (json_int_t)s->rounds, "table_bytes", (json_int_t)r->bytes, "prefix_bytes",
				(json_int_t)r->prefix_bytes, "lookups", rows);

	json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(all);
}

int bench_route(int argc, char **argv)
{
	struct settings settings = settings_default;
	int r = bench_options_read(argc, argv, &options, &settings);

	if (r >= 0)
		return r;
	struct results *results = calloc(1, sizeof *results);
	if (!results)
		return BENCH_FAILED;
	machine_read(&results->machine);
	r = measure(&settings, results);
	if (r < 0) {
		fprintf(stderr, "rwbench: route: %s\n", strerror(-r));
		r = BENCH_FAILED;
	} else {
		settings.json ? print_json(&settings, results) : print(&settings, results);
		r = results->wrong ? BENCH_FAILED : BENCH_DONE;
		if (results->wrong)
			fprintf(stderr, "rwbench: route: %llu look-ups were wrong\n",
				(unsigned long long)results->wrong);
	}
	free(results);
	return r;
}
