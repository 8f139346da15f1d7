/* rwbench rates: the look-up of a number's rate, billing/tariff.c, in a table with as many rates as asked for.  What it
 * finds is checked against a binary search over all prefixes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/machine.h"
#include "bench/options.h"
#include "bench/spread.h"
#include "billing/tariff.h"

#define NUMBER_SIZE 16 /* longest number made, and a NUL */
#define NUMBERS     (UINT32_C(1) << 20)
#define CHECKED     20000 /* numbers of each kind that are looked up the slow way as well */

struct settings {
	uint64_t seed, rates, prices, lookups, rounds;
	bool json;
};

static const struct settings settings_default = {
	.seed = 1, .rates = 1000000, .prices = 10000, .lookups = 2000000, .rounds = 5
};

/* Everything once, in a second or two. */
static void make_small(void *settings)
{
	struct settings *s = settings;

	s->rates = 50000;
	s->prices = 500;
	s->lookups = 100000;
	s->rounds = 1;
}

/* What is dialled. */
enum { DIALLED_RANDOM, DIALLED_RATED, KINDS };
static const char *const kind_names[KINDS] = { "random digits", "a prefix, then random digits" };

struct row {
	char prefix[NUMBER_SIZE];
	int64_t rate_e8;
};

struct world {
	struct row *rows, *sorted; /* in the order in which they are added; by prefix */
	uint64_t count;
	struct tariff *tariff;
	char (*number[KINDS])[NUMBER_SIZE]; /* NUMBERS of each */
};

struct kind_result {
	struct spread spread; /* one look-up, clock taken off */
	double mean_ns;       /* one after another, no clock between them */
	uint64_t lookups, hits;
};

struct results {
	struct machine machine;
	double add_ms, finish_ms; /* medians of CPU time */
	double build_ms;          /* of wall clock, both together */
	uint64_t bytes;           /* the process grew so much for the table */
	uint64_t wrong;
	struct kind_result kind[KINDS];
};

/* ---- options ---- */

#define AT(field) offsetof(struct settings, field)

static const struct bench_option option_rows[] = {
	{ "rates", BENCH_NUMBER, AT(rates), 1, 50000000, "N",
	  "of one table, each of a prefix of its own, of 3 to 10 digits (1000000)" },
	{ "prices", BENCH_NUMBER, AT(prices), 1, 1000000000, "N", "that differ from each other (10000)" },
	{ "lookups", BENCH_NUMBER, AT(lookups), 1, INT64_MAX, "N", "measured, of each kind of number (2000000)" },
	{ "rounds", BENCH_NUMBER, AT(rounds), 1, 1000, "N", "of building: the time is the median (5)" },
	{ "seed", BENCH_NUMBER, AT(seed), 0, INT64_MAX, "N", "of prefixes and numbers (1)" },
};

static const struct bench_options options = {
	.about = "The look-up of a number's rate: how long building the table takes and how much memory,\n"
		 "and how long one look-up takes.",
	.fails = "a look-up did not find the rate of the longest prefix",
	.rows = option_rows,
	.count = sizeof option_rows / sizeof option_rows[0],
	.json = AT(json),
	.make_small = make_small,
};

/* ---- rates and numbers ---- */

/* Digits of a prefix: price lists are long because of those of 7 to 9. */
static unsigned prefix_length(struct bench_random *random)
{
	static const unsigned char upto[] = {
		[3] = 1, [4] = 4, [5] = 10, [6] = 25, [7] = 50, [8] = 78, [9] = 92, [10] = 100
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

static int compare_rows(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return strcmp(x->prefix, y->prefix);
}

static void draw_prefix(struct row *row, struct bench_random *random)
{
	write_digits(row->prefix, prefix_length(random), random);
	if (row->prefix[0] == '0') /* no country code begins so: a tenth of random numbers has no rate */
		row->prefix[0] = '1';
}

/* Draws until all differ. */
static void make_prefixes(struct world *w, struct bench_random *random)
{
	uint64_t good = 0;

	while (good < w->count) {
		uint64_t different = 1;

		for (uint64_t i = good; i < w->count; i++)
			draw_prefix(&w->sorted[i], random);
		qsort(w->sorted, w->count, sizeof *w->sorted, compare_rows);
		for (uint64_t i = 1; i < w->count; i++)
			if (compare_rows(&w->sorted[different - 1], &w->sorted[i]) != 0)
				w->sorted[different++] = w->sorted[i];
		good = different;
	}
}

/* Added in an order that does not help. */
static void shuffle(struct world *w, struct bench_random *random)
{
	memcpy(w->rows, w->sorted, w->count * sizeof *w->rows);
	for (uint64_t i = w->count; i > 1; i--) {
		uint64_t other = bench_random_below(random, i);
		struct row row = w->rows[i - 1];

		w->rows[i - 1] = w->rows[other];
		w->rows[other] = row;
	}
}

static void make_numbers(struct world *w, struct bench_random *random)
{
	for (uint32_t i = 0; i < NUMBERS; i++) {
		const char *prefix = w->rows[bench_random_below(random, w->count)].prefix;
		size_t size = strlen(prefix);
		unsigned length = 11 + (unsigned)bench_random_below(random, 3);

		write_digits(w->number[DIALLED_RANDOM][i], length, random);
		memcpy(w->number[DIALLED_RATED][i], prefix, size);
		write_digits(w->number[DIALLED_RATED][i] + size, length - (unsigned)size, random);
	}
}

static void world_free(struct world *w)
{
	tariff_free(w->tariff);
	free(w->rows);
	free(w->sorted);
	for (unsigned k = 0; k < KINDS; k++)
		free(w->number[k]);
}

static int world_make(struct world *w, const struct settings *s)
{
	struct bench_random random = { s->seed };

	*w = (struct world){ .count = s->rates };
	w->rows = calloc(w->count, sizeof *w->rows);
	w->sorted = calloc(w->count, sizeof *w->sorted);
	for (unsigned k = 0; k < KINDS; k++)
		w->number[k] = calloc(NUMBERS, sizeof *w->number[k]);
	if (!w->rows || !w->sorted || !w->number[DIALLED_RANDOM] || !w->number[DIALLED_RATED])
		return -ENOMEM;
	make_prefixes(w, &random);
	for (uint64_t i = 0; i < w->count; i++)
		w->sorted[i].rate_e8 = (int64_t)bench_random_below(&random, s->prices);
	shuffle(w, &random);
	make_numbers(w, &random);
	return 0;
}

/* ---- the measurement ---- */

static int add_rows(const struct world *w, struct tariff_builder *b)
{
	uint32_t table;
	int r = tariff_add_table(b, "rates", &table);

	for (uint64_t i = 0; r == 0 && i < w->count; i++)
		r = tariff_add_rate(b, table,
				    &(struct rate){ .prefix = w->rows[i].prefix,
						    .prefix_size = (uint32_t)strlen(w->rows[i].prefix),
						    .terms = { w->rows[i].rate_e8, 0, 60, 6, 0 },
						    .from_us = INT64_MIN,
						    .to_us = INT64_MAX });
	return r;
}

static int build_once(struct world *w, double *ret_add_ms, double *ret_finish_ms)
{
	uint64_t from_ns = bench_cpu_ns();
	struct tariff_builder *b;
	int r = tariff_begin(&b);

	if (r < 0)
		return r;
	r = add_rows(w, b);
	uint64_t added_ns = bench_cpu_ns();
	if (r < 0)
		tariff_abandon(b);
	else
		r = tariff_finish(b, &w->tariff);
	*ret_add_ms = (double)(added_ns - from_ns) / 1e6;
	*ret_finish_ms = (double)(bench_cpu_ns() - added_ns) / 1e6;
	return r;
}

static int build(struct world *w, const struct settings *s, struct results *results)
{
	double add_ms[s->rounds], finish_ms[s->rounds], ms[s->rounds];

	for (unsigned i = 0; i < s->rounds; i++) {
		bench_progress("building: round %u of %u", i + 1, (unsigned)s->rounds);
		tariff_free(w->tariff);
		w->tariff = NULL;
		uint64_t before_bytes = machine_pss_bytes(), from_ns = bench_wall_ns();
		int r = build_once(w, &add_ms[i], &finish_ms[i]);

		if (r < 0)
			return r;
		ms[i] = (double)(bench_wall_ns() - from_ns) / 1e6;
		uint64_t after_bytes = machine_pss_bytes();
		if (i == 0) /* later ones may stand where an earlier one stood */
			results->bytes = after_bytes > before_bytes ? after_bytes - before_bytes : 0;
	}
	results->add_ms = bench_median(add_ms, (unsigned)s->rounds);
	results->finish_ms = bench_median(finish_ms, (unsigned)s->rounds);
	results->build_ms = bench_median(ms, (unsigned)s->rounds);
	return 0;
}

static const char *number_at(const struct world *w, unsigned kind, uint64_t i)
{
	return w->number[kind][i & (NUMBERS - 1)];
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

/* What is read of it is the amount. */
static bool find(const struct world *w, const char *number, size_t size, struct rate *rate)
{
	return tariff_rate(w->tariff, 0, number, size, 0, rate) && rate->terms.rate_e8 >= 0;
}

static void measure_spread(const struct world *w, unsigned kind, uint64_t lookups, struct kind_result *x)
{
	uint64_t clock_ns = clock_cost_ns();

	for (uint64_t i = 0; i < lookups; i++) {
		const char *number = number_at(w, kind, i);
		size_t size = strlen(number);
		struct rate rate;
		uint64_t from_ns = bench_wall_ns();
		bool found = find(w, number, size, &rate);
		uint64_t ns = bench_wall_ns() - from_ns;

		spread_add(&x->spread, ns > clock_ns ? ns - clock_ns : 0);
		x->hits += found;
	}
	x->lookups = lookups;
}

/* The same look-ups as before, so they find as much; returns by how many they do not. */
static uint64_t measure_mean(const struct world *w, unsigned kind, uint64_t lookups, struct kind_result *x)
{
	uint64_t from_ns = bench_cpu_ns(), found = 0;
	struct rate rate;

	for (uint64_t i = 0; i < lookups; i++) {
		const char *number = number_at(w, kind, i);

		found += find(w, number, strlen(number), &rate);
	}
	x->mean_ns = (double)(bench_cpu_ns() - from_ns) / (double)lookups;
	return found > x->hits ? found - x->hits : x->hits - found;
}

/* ---- the slow way ---- */

static const struct row *slow_find(const struct world *w, const char *number)
{
	const struct row *row = NULL;
	struct row key;

	for (int length = (int)strlen(number); !row && length > 0; length--) {
		snprintf(key.prefix, sizeof key.prefix, "%.*s", length, number);
		row = bsearch(&key, w->sorted, w->count, sizeof *w->sorted, compare_rows);
	}
	return row;
}

static uint64_t count_wrong(const struct world *w, unsigned kind)
{
	uint64_t wrong = 0;

	for (uint64_t i = 0; i < CHECKED; i++) {
		const char *number = number_at(w, kind, i);
		const struct row *row = slow_find(w, number);
		struct rate rate;
		bool found = find(w, number, strlen(number), &rate);

		wrong += found != (row != NULL) ||
			 (row && (rate.terms.rate_e8 != row->rate_e8 || rate.prefix_size != strlen(row->prefix)));
	}
	return wrong;
}

static int measure(const struct settings *s, struct results *results)
{
	struct world w;
	int r = world_make(&w, s);

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
	printf("rwbench rates: seed %llu; %llu rates with prefixes of 3 to 10 digits, %llu prices\n",
	       (unsigned long long)s->seed, (unsigned long long)s->rates, (unsigned long long)s->prices);
	machine_print(&r->machine, stdout);
	printf("\nbuilding: %.0f ms; CPU time: adding in random order %.0f ms, finishing %.0f ms; medians of %llu\n",
	       r->build_ms, r->add_ms, r->finish_ms, (unsigned long long)s->rounds);
	printf("table %.1f MiB, %.1f bytes a rate\n\n", (double)r->bytes / (1 << 20),
	       (double)r->bytes / (double)s->rates);
	printf("%-29s %9s %9s %9s %9s %9s %8s\n", "a look-up, ns", "p50", "p90", "p99", "p99.9", "mean", "hits");
	for (unsigned k = 0; k < KINDS; k++) {
		const struct kind_result *x = &r->kind[k];

		printf("%-29s %9llu %9llu %9llu %9llu %9.0f %7.2f%%\n", kind_names[k],
		       (unsigned long long)spread_quantile(&x->spread, 0.5),
		       (unsigned long long)spread_quantile(&x->spread, 0.9),
		       (unsigned long long)spread_quantile(&x->spread, 0.99),
		       (unsigned long long)spread_quantile(&x->spread, 0.999), x->mean_ns,
		       100 * (double)x->hits / (double)x->lookups);
	}
	puts("\nPercentiles: wall clock of each look-up by itself, the clock's own time taken off; mean: CPU time of "
	     "many\n"
	     "in a row, which overlap.");
}

static json_t *kind_json(const struct kind_result *x, const char *name)
{
	return json_pack("{s:s, s:I, s:I, s:f, s:o}", "dialled", name, "lookups", (json_int_t)x->lookups, "hits",
			 (json_int_t)x->hits, "mean_ns", x->mean_ns, "spread", spread_json(&x->spread));
}

static void print_json(const struct settings *s, const struct results *r)
{
	json_t *rows = json_array();

	for (unsigned k = 0; k < KINDS; k++)
		json_array_append_new(rows, kind_json(&r->kind[k], kind_names[k]));
	json_t *all = json_pack("{s:s, s:I, s:o, s:I, s:I, s:f, s:f, s:f, s:I, s:I, s:o}", "bench", "rates", "seed",
				(json_int_t)s->seed, "machine", machine_json(&r->machine), "rates",
				(json_int_t)s->rates, "prices", (json_int_t)s->prices, "build_ms", r->build_ms,
				"add_cpu_ms", r->add_ms, "finish_cpu_ms", r->finish_ms, "rounds", (json_int_t)s->rounds,
				"table_bytes", (json_int_t)r->bytes, "lookups", rows);

	json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(all);
}

int bench_rates(int argc, char **argv)
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
		fprintf(stderr, "rwbench: rates: %s\n", strerror(-r));
		r = BENCH_FAILED;
	} else {
		settings.json ? print_json(&settings, results) : print(&settings, results);
		r = results->wrong ? BENCH_FAILED : BENCH_DONE;
		if (results->wrong)
			fprintf(stderr, "rwbench: rates: %llu look-ups were wrong\n",
				(unsigned long long)results->wrong);
	}
	free(results);
	return r;
}
