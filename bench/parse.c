/* rwbench parse: options, the measurement, and what it prints. */
#include "bench/parse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/machine.h"
#include "bench/options.h"
#include "sip/library.h"
#include "sip/reader.h"

struct settings {
	uint64_t seed, rounds;
	uint64_t round_ns; /* CPU time for one message by one reader */
	const char *directory;
	bool json;
};

static const struct settings settings_default = { .seed = 1, .rounds = 5, .round_ns = 50000000 };

/* Everything once, in a second or two. */
static void make_small(void *settings)
{
	struct settings *s = settings;

	s->rounds = 1;
	s->round_ns = 5000000;
}

/* The same with either reader; their order as in sip_message_read(). */
typedef enum sip_read_result reader_fn(struct bytes text, char *scratch, struct sip_message *ret_message,
				       struct sip_refusal *ret_refusal);

static enum sip_read_result read_in_place(struct bytes text, char *scratch, struct sip_message *ret_message,
					  struct sip_refusal *ret_refusal)
{
	return sip_reader_read(text, scratch, ret_message, ret_refusal);
}

enum { IN_PLACE, LIBRARY, READERS };
static reader_fn *const readers[READERS] = { read_in_place, sip_library_read };

struct result {
	enum sip_read_result result[READERS];
	double ns[READERS];
};

static const char *const result_names[] = { [SIP_READ_OK] = "taken",
					    [SIP_READ_DECLINED] = "declined",
					    [SIP_READ_BAD] = "bad",
					    [SIP_READ_GARBAGE] = "garbage",
					    [SIP_READ_KEEPALIVE] = "keep-alive" };

/* ---- options ---- */

#define AT(field) offsetof(struct settings, field)

static const struct bench_option option_rows[] = {
	{ "messages", BENCH_TEXT, AT(directory), 0, 0, "DIR",
	  "read these instead: one message a file, as on the wire" },
	{ "rounds", BENCH_NUMBER, AT(rounds), 1, 1000, "N", "of which the figures are the medians (5)" },
	{ "seed", BENCH_NUMBER, AT(seed), 0, INT64_MAX, "N", "of the numbers in the messages (1)" },
};

static const struct bench_options options = {
	.about = "CPU time to read a SIP message: the in-place reader, and beside it the library (sofia-sip) that "
		 "reads what\n"
		 "the in-place reader declines.  The messages are those of a call between gateways, or your own.",
	.fails = "a built-in message was not taken in place",
	.rows = option_rows,
	.count = sizeof option_rows / sizeof option_rows[0],
	.json = AT(json),
	.make_small = make_small,
};

/* ---- the measurement ---- */

struct room {
	char scratch[SIP_SCRATCH_BYTES];
	struct sip_message message;
};

/* ns a message; all copies in turn until the time is over. */
static double read_for(const struct parse_message *m, reader_fn *read, uint64_t run_ns, struct room *room)
{
	struct sip_refusal refusal;
	uint64_t from_ns = bench_cpu_ns(), ns, passes = 0;

	do {
		for (unsigned c = 0; c < PARSE_COPIES; c++)
			read(m->copy[c], room->scratch, &room->message, &refusal);
		passes++;
		ns = bench_cpu_ns() - from_ns;
	} while (ns < run_ns);
	return (double)ns / (double)(passes * PARSE_COPIES);
}

static void measure_one(const struct settings *s, const struct parse_message *m, struct room *room, struct result *x)
{
	double ns[READERS][s->rounds];
	struct sip_refusal refusal;

	for (unsigned i = 0; i < READERS; i++)
		x->result[i] = readers[i](m->copy[0], room->scratch, &room->message, &refusal);
	for (unsigned round = 0; round < s->rounds; round++)
		for (unsigned i = 0; i < READERS; i++)
			ns[i][round] = read_for(m, readers[i], s->round_ns, room);
	for (unsigned i = 0; i < READERS; i++)
		x->ns[i] = bench_median(ns[i], (unsigned)s->rounds);
}

static int measure(const struct settings *s, const struct parse_set *set, struct result *results)
{
	struct room *room = malloc(sizeof *room);

	if (!room)
		return -ENOMEM;
	for (unsigned i = 0; i < set->count; i++) {
		bench_progress("%s", set->message[i].name);
		measure_one(s, &set->message[i], room, &results[i]);
	}
	bench_progress_end();
	free(room);
	return 0;
}

/* ---- sums ---- */

struct sums {
	unsigned count, in_place; /* messages of the sum; of them taken in place */
	uint64_t bytes;
	double ns[READERS];
};

static struct sums add_up(const struct parse_set *set, const struct result *results, bool call_only)
{
	struct sums sums = { 0 };

	for (unsigned i = 0; i < set->count; i++) {
		if (call_only && !set->message[i].in_call)
			continue;
		sums.count++;
		sums.in_place += results[i].result[IN_PLACE] == SIP_READ_OK;
		sums.bytes += set->message[i].copy[0].size;
		for (unsigned j = 0; j < READERS; j++)
			sums.ns[j] += results[i].ns[j];
	}
	return sums;
}

/* ---- what it prints ---- */

static void print_sums(const char *name, const struct sums *sums)
{
	printf("%-24s %7llu %9.0f %12.0f %9.0f %12.0f\n", name, (unsigned long long)sums->bytes, sums->ns[IN_PLACE],
	       1e9 * sums->count / sums->ns[IN_PLACE], sums->ns[LIBRARY], 1e9 * sums->count / sums->ns[LIBRARY]);
}

static void print(const struct settings *s, const struct machine *machine, const struct parse_set *set,
		  const struct result *results)
{
	struct sums call = add_up(set, results, true), all = add_up(set, results, false);

	printf("rwbench parse: seed %llu; %s\n", (unsigned long long)s->seed,
	       s->directory ? s->directory : "built-in messages");
	machine_print(machine, stdout);
	printf("\nCPU time to read one message, median of %llu rounds\n\n%-24s %7s %9s %12s %9s %12s\n%-24s %7s %9s "
	       "%12s "
	       "%9s %12s  %s\n",
	       (unsigned long long)s->rounds, "", "", "in place", "", "library", "", "", "bytes", "ns", "messages/s",
	       "ns", "messages/s", "in place/library");
	for (unsigned i = 0; i < set->count; i++) {
		const struct result *x = &results[i];

		printf("%-24.24s %7u %9.0f %12.0f %9.0f %12.0f  %s/%s\n", set->message[i].name,
		       set->message[i].copy[0].size, x->ns[IN_PLACE], 1e9 / x->ns[IN_PLACE], x->ns[LIBRARY],
		       1e9 / x->ns[LIBRARY], result_names[x->result[IN_PLACE]], result_names[x->result[LIBRARY]]);
	}
	if (call.count > 0)
		print_sums("what comes in of a call", &call);
	print_sums("all", &all);
	printf("\ntaken in place: %u of %u, %.1f %%\n", all.in_place, all.count, 100.0 * all.in_place / all.count);
}

static json_t *sums_json(const struct sums *sums)
{
	return json_pack("{s:i, s:i, s:I, s:f, s:f}", "messages", (int)sums->count, "in_place", (int)sums->in_place,
			 "bytes", (json_int_t)sums->bytes, "in_place_ns", sums->ns[IN_PLACE], "library_ns",
			 sums->ns[LIBRARY]);
}

static void print_json(const struct settings *s, const struct machine *machine, const struct parse_set *set,
		       const struct result *results)
{
	struct sums call = add_up(set, results, true), all = add_up(set, results, false);
	json_t *rows = json_array();

	for (unsigned i = 0; i < set->count; i++)
		json_array_append_new(
			rows, json_pack("{s:s, s:i, s:f, s:s, s:f, s:s}", "message", set->message[i].name, "bytes",
					(int)set->message[i].copy[0].size, "in_place_ns", results[i].ns[IN_PLACE],
					"in_place", result_names[results[i].result[IN_PLACE]], "library_ns",
					results[i].ns[LIBRARY], "library", result_names[results[i].result[LIBRARY]]));
	json_t *object = json_pack("{s:s, s:I, s:o, s:I, s:o, s:o, s:o}", "bench", "parse", "seed", (json_int_t)s->seed,
				   "machine", machine_json(machine), "rounds", (json_int_t)s->rounds, "rows", rows,
				   "call", sums_json(&call), "all", sums_json(&all));

	json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(object);
}

/* What gateways send has to be taken in place: nobody says so of a file. */
static int judge(const struct settings *s, const struct parse_set *set, const struct result *results)
{
	struct sums all = add_up(set, results, false);

	if (s->directory || all.in_place == all.count)
		return BENCH_DONE;
	fprintf(stderr, "rwbench: parse: only %u of %u messages were taken in place\n", all.in_place, all.count);
	return BENCH_FAILED;
}

int bench_parse(int argc, char **argv)
{
	struct settings settings = settings_default;
	struct parse_set set;
	struct machine machine;
	int r = bench_options_read(argc, argv, &options, &settings);

	if (r >= 0)
		return r;
	machine_read(&machine);
	r = settings.directory ? parse_set_read(settings.directory, &set) : parse_set_built_in(settings.seed, &set);
	if (r < 0)
		return BENCH_FAILED;
	struct result *results = calloc(set.count, sizeof *results);
	if (results && measure(&settings, &set, results) == 0) {
		settings.json ? print_json(&settings, &machine, &set, results)
			      : print(&settings, &machine, &set, results);
		r = judge(&settings, &set, results);
	} else {
		fprintf(stderr, "rwbench: parse: no memory\n");
		r = BENCH_FAILED;
	}
	free(results);
	parse_set_free(&set);
	return r;
}
