/* rwbench journal: what it costs to keep records.  For each size of record: groups of many, one sync after the other,
 * as when the billing thread is behind; one record a sync, which is the disk's own time; and opening the journal
 * afterwards, which reads all of it. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/machine.h"
#include "bench/options.h"
#include "bench/spread.h"
#include "billing/journal.h"

#define SINGLES    200 /* syncs of one record */
#define SIZES      2
#define DROP_EVERY 64 /* groups */

static const size_t sizes[SIZES] = { 600, 2000 }; /* a CDR, and the record of a live call */

struct settings {
	uint64_t seed, seconds, group, keep_mb;
	const char *directory;
	bool json;
};

static const struct settings settings_default = {
	.seed = 1, .seconds = 5, .group = 1000, .keep_mb = 200, .directory = "."
};

static void make_small(void *settings)
{
	struct settings *s = settings;

	s->seconds = 1;
	s->keep_mb = 20;
}

struct bench {
	const struct settings *settings;
	struct bench_random random;
	char directory[4096];
	struct journal_disk disk;
	struct journal *journal;
	uint64_t serial;
	uint8_t record[RECORD_BYTES_MAX];
};

struct result {
	double records_per_s, mb_per_s;
	double append_us; /* CPU time of the thread, a record: copying it */
	double cpu_us;    /* of the whole process, a record: that, sealing, and the kernel's work */
	struct spread sync, single;
	double scan_mb_per_s, scan_ms;
	uint64_t scanned;
};

struct results {
	struct machine machine;
	char file_system[32];
	struct result of[SIZES];
};

/* ---- options ---- */

#define AT(field) offsetof(struct settings, field)

static const struct bench_option option_rows[] = {
	{ "dir", BENCH_TEXT, AT(directory), 0, 0, "DIR",
	  "where that directory is made: the disk is what is measured (.)" },
	{ "seconds", BENCH_NUMBER, AT(seconds), 1, 86400, "N", "of each size (5)" },
	{ "group", BENCH_NUMBER, AT(group), 1, 10000, "N", "records of one sync (1000)" },
	{ "keep", BENCH_NUMBER, AT(keep_mb), 1, 1000000, "N",
	  "megabytes that the journal keeps, and that are read back (200)" },
	{ "seed", BENCH_NUMBER, AT(seed), 0, INT64_MAX, "N", "of what is in the records (1)" },
};

static const struct bench_options options = {
	.about = "Records of 600 and of 2000 bytes into the journal: records a second, CPU time a record, the time of "
		 "a sync, and\n"
		 "reading it all back.  The journal is made in a directory of its own and removed at the end.",
	.fails = "a record was not read back",
	.rows = option_rows,
	.count = sizeof option_rows / sizeof option_rows[0],
	.json = AT(json),
	.make_small = make_small,
};

/* ---- a journal for the time of a run ---- */

static int open_journal(struct bench *b, const struct journal_scan *scan)
{
	const struct journal_settings settings = { .disk = b->disk, .boot = 1, .now_ns = 1, .new_id = 1 };
	char error[JOURNAL_ERROR_BYTES];
	const int r = journal_open(&settings, scan, &b->journal, error);

	if (r < 0)
		fprintf(stderr, "rwbench: journal: %s\n", error);
	return r;
}

static int begin(struct bench *b)
{
	char error[256];

	snprintf(b->directory, sizeof b->directory, "%s/rwbench-journal-XXXXXX", b->settings->directory);
	if (!mkdtemp(b->directory)) {
		const int r = -errno;

		fprintf(stderr, "rwbench: journal: %s: %s\n", b->settings->directory, strerror(-r));
		b->directory[0] = '\0';
		return r;
	}
	const int r = journal_uring_open(b->directory, &b->disk, error);
	if (r < 0)
		fprintf(stderr, "rwbench: journal: %s\n", error);
	return r < 0 ? r : open_journal(b, NULL);
}

static void remove_one(void *to, const char *name, uint64_t size)
{
	const struct bench *b = to;

	(void)size;
	b->disk.remove(b->disk.context, name);
}

static void end(struct bench *b)
{
	journal_close(b->journal);
	b->journal = NULL;
	if (b->disk.context) {
		b->disk.list(b->disk.context, remove_one, b);
		journal_uring_close(&b->disk);
	}
	if (b->directory[0])
		rmdir(b->directory);
}

/* ---- writing ---- */

static int append(struct bench *b, size_t size)
{
	memcpy(b->record, &b->serial, sizeof b->serial);
	return journal_append(b->journal, RECORD_CDR, 0, b->serial++, b->record, size);
}

static int sync_group(struct bench *b, struct spread *took)
{
	const uint64_t from_ns = bench_wall_ns();
	const int r = journal_sync(b->journal);

	spread_add(took, bench_wall_ns() - from_ns);
	return r;
}

/* What is beyond --keep goes. */
static int drop(struct bench *b)
{
	const uint32_t segment = (uint32_t)(journal_synced(b->journal) >> 32);
	const uint32_t keep = (uint32_t)((b->settings->keep_mb << 20) / JOURNAL_SEGMENT_BYTES) + 1;

	if (segment <= keep)
		return 0;
	return journal_drop_before(b->journal, (uint64_t)(segment - keep) << 32, bench_wall_ns(), 0);
}

static int measure_groups(struct bench *b, size_t size, struct result *result)
{
	const uint64_t begin_ns = bench_wall_ns(), cpu_ns = bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	const uint64_t end_ns = begin_ns + b->settings->seconds * BENCH_SECOND_NS;
	uint64_t records = 0, append_ns = 0;
	int r = 0;

	for (uint64_t group = 0; r == 0 && bench_wall_ns() < end_ns; group++) {
		const uint64_t from_ns = bench_cpu_ns();

		for (uint64_t i = 0; r == 0 && i < b->settings->group; i++)
			r = append(b, size);
		append_ns += bench_cpu_ns() - from_ns;
		records += b->settings->group;
		if (r == 0)
			r = sync_group(b, &result->sync);
		if (r == 0 && group % DROP_EVERY == 0)
			r = drop(b);
		bench_progress("%zu bytes: %" PRIu64 " records", size, records);
	}
	const double seconds = (double)(bench_wall_ns() - begin_ns) / 1e9;
	result->records_per_s = (double)records / seconds;
	result->mb_per_s = result->records_per_s * (double)size / 1e6;
	result->append_us = (double)append_ns / (double)records / 1e3;
	result->cpu_us = (double)(bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns) / (double)records / 1e3;
	return r;
}

static int measure_singles(struct bench *b, size_t size, struct result *result)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < SINGLES; i++) {
		r = append(b, size);
		if (r == 0)
			r = sync_group(b, &result->single);
	}
	return r;
}

/* ---- reading it back ---- */

struct scanned {
	uint64_t records, bytes, next;
	bool wrong;
};

static int scan_record(void *context, const struct journal_record *record)
{
	struct scanned *s = context;

	s->wrong |= s->records > 0 && record->serial != s->next;
	s->next = record->serial + 1;
	s->bytes += record->size;
	s->records++;
	return 0;
}

static void scan_damage(void *context, const struct journal_damage *damage)
{
	(void)damage;
	((struct scanned *)context)->wrong = true;
}

static int measure_scan(struct bench *b, struct result *result)
{
	struct scanned scanned = { 0 };
	const struct journal_scan scan = { .context = &scanned, .record = scan_record, .damage = scan_damage };

	journal_close(b->journal);
	b->journal = NULL;
	const uint64_t from_ns = bench_wall_ns();
	const int r = open_journal(b, &scan);
	const double seconds = (double)(bench_wall_ns() - from_ns) / 1e9;

	result->scan_ms = seconds * 1e3;
	result->scan_mb_per_s = (double)scanned.bytes / 1e6 / seconds;
	result->scanned = scanned.records;
	if (r == 0 && (scanned.wrong || scanned.next != b->serial)) {
		fprintf(stderr, "rwbench: journal: what was written is not what is read\n");
		return -EBADMSG;
	}
	return r;
}

static int measure(const struct settings *s, struct results *results)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < SIZES; i++) {
		struct bench *b = calloc(1, sizeof *b);

		if (!b)
			return -ENOMEM;
		b->settings = s;
		b->random.state = s->seed;
		for (size_t at = 0; at < sizeof b->record; at++)
			b->record[at] = (uint8_t)bench_random(&b->random);
		r = begin(b);
		if (r == 0) {
			machine_file_system(b->directory, results->file_system);
			r = measure_groups(b, sizes[i], &results->of[i]);
		}
		if (r == 0)
			r = measure_singles(b, sizes[i], &results->of[i]);
		if (r == 0)
			r = measure_scan(b, &results->of[i]);
		end(b);
		free(b);
	}
	bench_progress_end();
	return r;
}

/* ---- what it prints ---- */

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static void print(const struct settings *s, const struct results *r)
{
	printf("rwbench journal: seed %" PRIu64 "; %" PRIu64 " records a sync; in %s (%s)\n", s->seed, s->group,
	       s->directory, r->file_system);
	machine_print(&r->machine, stdout);
	printf("\n%6s %12s %8s %10s %10s | %8s %8s | %8s %8s | %8s %8s %9s\n", "bytes", "records/s", "MB/s",
	       "append us", "CPU us", "sync p50", "p99 ms", "1 rec.", "p99 ms", "scan ms", "MB/s", "records");
	for (unsigned i = 0; i < SIZES; i++) {
		const struct result *of = &r->of[i];

		printf("%6zu %12.0f %8.0f %10.3f %10.3f | %8.2f %8.2f | %8.2f %8.2f | %8.0f %8.0f %9" PRIu64 "\n",
		       sizes[i], of->records_per_s, of->mb_per_s, of->append_us, of->cpu_us,
		       ms(spread_quantile(&of->sync, 0.5)), ms(spread_quantile(&of->sync, 0.99)),
		       ms(spread_quantile(&of->single, 0.5)), ms(spread_quantile(&of->single, 0.99)), of->scan_ms,
		       of->scan_mb_per_s, of->scanned);
	}
	printf("\nappend: CPU time of the thread a record; CPU: of the process, the kernel's work for it included\n");
}

static void print_json(const struct settings *s, const struct results *r)
{
	json_t *of = json_array();

	for (unsigned i = 0; i < SIZES; i++) {
		const struct result *at = &r->of[i];

		json_array_append_new(of, json_pack("{s:I, s:f, s:f, s:f, s:f, s:o, s:o, s:f, s:f, s:I}", "bytes",
						    (json_int_t)sizes[i], "records_per_s", at->records_per_s,
						    "mb_per_s", at->mb_per_s, "append_us", at->append_us, "cpu_us",
						    at->cpu_us, "sync", spread_json(&at->sync), "single",
						    spread_json(&at->single), "scan_ms", at->scan_ms, "scan_mb_per_s",
						    at->scan_mb_per_s, "scanned", (json_int_t)at->scanned));
	}
	json_t *all = json_pack("{s:s, s:I, s:o, s:s, s:I, s:o}", "bench", "journal", "seed", (json_int_t)s->seed,
				"machine", machine_json(&r->machine), "file_system", r->file_system, "group",
				(json_int_t)s->group, "sizes", of);
	json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(all);
}

int bench_journal(int argc, char **argv)
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
	if (r == 0) {
		settings.json ? print_json(&settings, results) : print(&settings, results);
		r = BENCH_DONE;
	} else {
		fprintf(stderr, "rwbench: journal: %s\n", strerror(-r));
		r = BENCH_FAILED;
	}
	free(results);
	return r;
}
