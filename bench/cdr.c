/* rwbench cdr: what records cost on their way into the journal and from there into the store.  Four measurements:
 * encoding into the queue, as a worker does when a call ends; the billing thread at full speed; the store at full
 * speed, fed with what the journal then holds; and at a steady rate how long a record takes from the queue until it is
 * on the disk, and until it is committed. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/machine.h"
#include "bench/options.h"
#include "bench/spread.h"
#include "billing/queue.h"
#include "billing/store.h"
#include "billing/writer.h"

#define RING_BYTES (UINT64_C(16) << 20) /* as a node gives each worker */
#define BURST      64                   /* records of one look at the clock */
#define LOOK_NS    200000               /* how often the steady run looks what has been committed */
#define STOP_MS    60000

struct settings {
	uint64_t seed, records, rate, seconds;
	const char *directory;
	bool json;
};

static const struct settings settings_default = {
	.seed = 1, .records = 500000, .rate = 10000, .seconds = 10, .directory = "."
};

/* Everything small, in a second or two. */
static void make_small(void *settings)
{
	struct settings *s = settings;

	s->records = 20000;
	s->rate = 2000;
	s->seconds = 1;
}

struct bench {
	const struct settings *settings;
	struct bench_random random;
	uint64_t records; /* made so far */
	void *memory;
	struct record_queue *queue;
	struct journal_disk disk;
	struct journal *journal; /* NULL: not open */
	struct sink sink;
	struct feeder *feeder;
	struct billing_writer *writer;
	char directory[4096]; /* made in that of the settings, and removed at the end */
	char database[4096 + 16], journal_directory[4096 + 16];
};

struct results {
	struct machine machine;
	char file_system[32];
	double push_ns;       /* CPU time, encoding included */
	double record_bytes;  /* in the queue */
	double journal_per_s; /* records onto the disk */
	double journal_us;    /* CPU time of the billing thread a record */
	double journal_bytes; /* of the journal a record */
	double rows_per_s;    /* into the store */
	double store_us;      /* CPU time of its feeder a row */
	double row_bytes;     /* of the database a row, its log written back */
	uint64_t lost;        /* not in the store at the end */
	uint64_t failures;
	struct spread synced, latency; /* of the steady run */
	double steady_rate;            /* reached */
	uint64_t refused;              /* pushes that found the queue full, of the steady run */
};

/* ---- options ---- */

#define AT(field) offsetof(struct settings, field)

static const struct bench_option option_rows[] = {
	{ "dir", BENCH_TEXT, AT(directory), 0, 0, "DIR",
	  "where that directory is made: the disk is what is measured (.)" },
	{ "records", BENCH_NUMBER, AT(records), 1, INT64_MAX, "N", "of the run at full speed (500000)" },
	{ "rate", BENCH_NUMBER, AT(rate), 1, 10000000, "N", "records a second of the steady run (10000)" },
	{ "seconds", BENCH_NUMBER, AT(seconds), 1, 86400, "N", "of the steady run (10)" },
	{ "seed", BENCH_NUMBER, AT(seed), 0, INT64_MAX, "N", "of what differs from record to record (1)" },
};

static const struct bench_options options = {
	.about = "Records on their way into the journal and the store: CPU time of encoding, records a second of "
		 "either, and from\n"
		 "the queue to the disk and to the commit at a steady rate.  Journal and database are made in a "
		 "directory of "
		 "their\nown and removed at the end.",
	.fails = "a record did not reach the store",
	.rows = option_rows,
	.count = sizeof option_rows / sizeof option_rows[0],
	.json = AT(json),
	.make_small = make_small,
};

/* ---- records ---- */

static struct cdr_text text(const char *at)
{
	return (struct cdr_text){ at, (uint32_t)strlen(at) };
}

/* An answered call between two gateways: what differs from one to the next are numbers, identifiers and times. */
struct record {
	struct cdr cdr;
	struct cdr_attempt attempt;
	char caller[24], callee[24], call_id_a[48], call_id_b[33];
};

static void record_init(struct record *r)
{
	*r = (struct record){ .attempt = { .gateway = text("vendor-b"), .code = 200, .ms = 4321 } };
	r->cdr = (struct cdr){ .node = text("node1"),
			       .mapping_gateway = text("customer-a"),
			       .routing_gateway = text("vendor-b"),
			       .account = text("customer-a"),
			       .vendor_account = text("vendor-b"),
			       .source_address = text("198.51.100.17:5060"),
			       .destination_address = text("203.0.113.5:5060"),
			       .end_side = CDR_SIDE_CALLER,
			       .end_reason = CDR_END_normal,
			       .sip_code = 200,
			       .q850 = 16,
			       .session_timer = CDR_TIMER_A | CDR_TIMER_B,
			       .pdd_ms = 1500,
			       .rate_prefix = text("880"),
			       .rate = text("0.0150"),
			       .fee = text("0.0150"),
			       .cost = text("0.0120"),
			       .attempts = &r->attempt,
			       .attempts_count = 1 };
}

static void record_next(struct bench *b, struct record *r)
{
	struct cdr *c = &r->cdr;
	char id[CDR_ID_SIZE + 1];
	uint64_t number = b->records++, random = bench_random(&b->random);

	snprintf(id, sizeof id, "%032" PRIx64, number);
	memcpy(c->cdr_id, id, CDR_ID_SIZE);
	snprintf(r->caller, sizeof r->caller, "+4930%07" PRIu64, random % 10000000);
	snprintf(r->callee, sizeof r->callee, "+8801%09" PRIu64, random / 10000000 % 1000000000);
	snprintf(r->call_id_a, sizeof r->call_id_a, "%016" PRIx64 "-%08" PRIx64 "@198.51.100.17", random, number);
	snprintf(r->call_id_b, sizeof r->call_id_b, "3haeah6%025" PRIx64, number);
	c->caller_in = text(r->caller);
	c->callee_in = text(r->callee);
	c->caller_out = text(r->caller);
	c->callee_out = text(r->callee + 1);
	c->call_id_a = text(r->call_id_a);
	c->call_id_b = text(r->call_id_b);
	c->start_us = INT64_C(1700000000000000) + (int64_t)number * 100;
	c->ringing_us = c->start_us + 1500000;
	c->connect_us = c->start_us + 4321000;
	c->hold_ms = (int64_t)(random % 600000);
	c->billed_s = (c->hold_ms + 999) / 1000;
	c->end_us = c->connect_us + c->hold_ms * 1000;
}

/* ---- journal and database for the time of a run ---- */

static size_t queue_bytes(void)
{
	return RING_BYTES + record_queue_header_bytes();
}

static int begin(struct bench *b, const struct settings *s)
{
	*b = (struct bench){ .settings = s, .random = { s->seed } };
	snprintf(b->directory, sizeof b->directory, "%s/rwbench-cdr-XXXXXX", s->directory);
	if (!mkdtemp(b->directory)) {
		fprintf(stderr, "rwbench: cdr: %s: %s\n", s->directory, strerror(errno));
		b->directory[0] = '\0';
		return -errno;
	}
	snprintf(b->database, sizeof b->database, "%s/cdr.db", b->directory);
	snprintf(b->journal_directory, sizeof b->journal_directory, "%s/journal", b->directory);
	b->memory = bench_memory(queue_bytes(), true);
	if (!b->memory)
		return -ENOMEM;
	memset(b->memory, 0, queue_bytes());
	b->queue = record_queue_init(b->memory, queue_bytes(), (struct record_queue_owner){ 0 });
	return 0;
}

static void remove_journal(const struct bench *b)
{
	DIR *stream = opendir(b->journal_directory);
	struct dirent *entry;

	while (stream && (entry = readdir(stream)))
		unlinkat(dirfd(stream), entry->d_name, 0);
	if (stream)
		closedir(stream);
	rmdir(b->journal_directory);
}

/* The directory with the journal, and the database with its log and its index. */
static void end(struct bench *b)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	char path[sizeof b->database + 8];

	for (unsigned i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
		snprintf(path, sizeof path, "%s%s", b->database, suffixes[i]);
		unlink(path);
	}
	if (b->journal)
		journal_close(b->journal);
	if (b->disk.context)
		journal_uring_close(&b->disk);
	cdr_sink_free(&b->sink);
	if (b->directory[0]) {
		remove_journal(b);
		rmdir(b->directory);
	}
	bench_memory_free(b->memory, queue_bytes());
}

static int ignore_record(void *context, const struct journal_record *record)
{
	(void)context;
	(void)record;
	return 0;
}

static int open_journal(struct bench *b)
{
	struct journal_settings settings = { .boot = 1, .machine = 1, .now_ns = 1, .new_id = 1 };
	const struct journal_scan scan = { .record = ignore_record };
	char error[JOURNAL_ERROR_BYTES] = "";
	int r = journal_uring_open(b->journal_directory, &b->disk, error);

	if (r == 0) {
		settings.disk = b->disk;
		r = journal_open(&settings, &scan, &b->journal, error);
	}
	if (r < 0)
		fprintf(stderr, "rwbench: cdr: %s: %s\n", b->journal_directory, error);
	return r < 0 ? r : cdr_sink_create(b->database, &b->sink);
}

static int start_writer(struct bench *b)
{
	const struct billing_writer_settings settings = {
		.intake = { .journal = b->journal, .queues = &b->queue, .queue_count = 1 }, .sync_ms = 20
	};

	return billing_writer_start(&settings, &b->writer);
}

static int start_feeder(struct bench *b)
{
	char error[SINK_ERROR_BYTES] = "";
	int r = feeder_start(b->journal, &b->sink, true, NULL, &b->feeder, error);

	if (r < 0)
		fprintf(stderr, "rwbench: cdr: %s\n", error);
	return r;
}

static uint64_t failures(const struct bench *b)
{
	struct feeder_status status;

	feeder_status(b->feeder, &status);
	return status.failures + status.unreadable;
}

/* ---- encoding ---- */

static void empty(struct record_queue *queue, uint64_t *bytes)
{
	struct queue_position position = record_queue_begin(queue);
	struct queued_record record;

	while (record_queue_next(queue, &position, &record))
		*bytes += record.size;
	record_queue_release(queue, position);
}

/* The queue alone, emptied without looking. */
static void measure_push(struct bench *b, struct results *results)
{
	enum { BURSTS = 2000 };
	static struct record records[BURST];
	uint64_t ns = 0, bytes = 0;

	for (unsigned i = 0; i < BURST; i++)
		record_init(&records[i]);
	for (unsigned burst = 0; burst < BURSTS; burst++) {
		for (unsigned i = 0; i < BURST; i++)
			record_next(b, &records[i]);
		uint64_t from_ns = bench_cpu_ns();
		for (unsigned i = 0; i < BURST; i++)
			record_queue_push(b->queue, &records[i].cdr);
		ns += bench_cpu_ns() - from_ns;
		empty(b->queue, &bytes);
	}
	results->push_ns = (double)ns / (BURSTS * BURST);
	results->record_bytes = (double)bytes / (BURSTS * BURST);
}

/* ---- full speed ---- */

static uint64_t file_bytes(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static uint64_t process_cpu_ns(void)
{
	return bench_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* Pushes; what finds no room waits for the billing thread. */
static void push_all(struct bench *b, uint64_t records)
{
	struct record record;

	record_init(&record);
	for (uint64_t i = 0; i < records; i++) {
		record_next(b, &record);
		while (!record_queue_push(b->queue, &record.cdr))
			usleep(1000);
		if (i % 4096 == 0)
			bench_progress("journal at full speed: %" PRIu64 " of %" PRIu64, i, records);
	}
}

static int measure_journal(struct bench *b, struct results *results)
{
	uint64_t records = b->settings->records, before_bytes = journal_bytes(b->journal);
	int r = start_writer(b);

	if (r < 0)
		return r;
	uint64_t from_ns = bench_wall_ns(), cpu_ns = process_cpu_ns() - bench_cpu_ns();
	push_all(b, records);
	while (intake_synced(billing_writer_intake(b->writer), 0) < records)
		usleep(1000);
	double seconds = (double)(bench_wall_ns() - from_ns) / 1e9;
	double writer_ns = (double)(process_cpu_ns() - bench_cpu_ns() - cpu_ns);

	results->lost = billing_writer_stop(b->writer, STOP_MS);
	results->journal_per_s = (double)records / seconds;
	results->journal_us = writer_ns / (double)records / 1000;
	results->journal_bytes = (double)(journal_bytes(b->journal) - before_bytes) / (double)records;
	return 0;
}

static uint64_t rows_written(const struct bench *b)
{
	struct feeder_status status;

	feeder_status(b->feeder, &status);
	return status.written;
}

/* What the run before has left in the journal. */
static int measure_store(struct bench *b, struct results *results)
{
	uint64_t records = b->settings->records;
	uint64_t from_ns = bench_wall_ns(), cpu_ns = process_cpu_ns();
	int r = start_feeder(b);

	if (r < 0)
		return r;
	while (rows_written(b) < records && journal_synced(b->journal) != feeder_applied(b->feeder)) {
		bench_progress("store at full speed: %" PRIu64 " of %" PRIu64, rows_written(b), records);
		usleep(5000);
	}
	double seconds = (double)(bench_wall_ns() - from_ns) / 1e9;
	double store_ns = (double)(process_cpu_ns() - cpu_ns);

	results->failures += failures(b);
	results->lost += feeder_stop(b->feeder, STOP_MS);
	results->rows_per_s = (double)records / seconds;
	results->store_us = store_ns / (double)records / 1000;
	results->row_bytes = (double)file_bytes(b->database) / (double)records;
	return 0;
}

/* ---- steady ---- */

/* When each record went into the queue, in their order; `synced` are known to be on the disk, `seen` to be committed.
 */
struct track {
	uint64_t *pushed_ns;
	uint64_t pushed, synced, seen;
};

static void look(struct bench *b, struct track *t, struct results *results)
{
	uint64_t written = feeder_written(b->feeder, 0);
	uint64_t synced = intake_synced(billing_writer_intake(b->writer), 0), now_ns = bench_wall_ns();

	for (; t->synced < synced; t->synced++)
		spread_add(&results->synced, now_ns - t->pushed_ns[t->synced]);
	for (; t->seen < written; t->seen++)
		spread_add(&results->latency, now_ns - t->pushed_ns[t->seen]);
}

static void run_steady(struct bench *b, struct track *t, uint64_t records, struct results *results)
{
	struct record record;
	uint64_t begin_ns = bench_wall_ns(), now_ns = begin_ns;

	record_init(&record);
	while (t->pushed < records) {
		uint64_t due = (now_ns - begin_ns) * b->settings->rate / BENCH_SECOND_NS;

		for (; t->pushed < due && t->pushed < records; t->pushed++) {
			record_next(b, &record);
			t->pushed_ns[t->pushed] = bench_wall_ns();
			if (!record_queue_push(b->queue, &record.cdr)) {
				results->refused++;
				break;
			}
		}
		look(b, t, results);
		usleep(LOOK_NS / 1000);
		now_ns = bench_wall_ns();
		bench_progress("steady: %" PRIu64 " of %" PRIu64, t->pushed, records);
	}
	results->steady_rate = (double)records * 1e9 / (double)(bench_wall_ns() - begin_ns);
	for (uint64_t until_ns = bench_wall_ns() + STOP_MS * UINT64_C(1000000);
	     t->seen < t->pushed && bench_wall_ns() < until_ns;) {
		look(b, t, results);
		usleep(LOOK_NS / 1000);
	}
}

static int measure_steady(struct bench *b, struct results *results)
{
	uint64_t records = b->settings->rate * b->settings->seconds;
	struct track track = { .pushed_ns = calloc(records, sizeof *track.pushed_ns) };
	int r = track.pushed_ns ? start_feeder(b) : -ENOMEM;

	if (r == 0 && (r = start_writer(b)) < 0)
		feeder_stop(b->feeder, 0);
	if (r == 0) {
		run_steady(b, &track, records, results);
		results->failures += failures(b);
		results->lost += billing_writer_stop(b->writer, STOP_MS);
		results->lost += feeder_stop(b->feeder, STOP_MS) + records - track.seen;
	}
	free(track.pushed_ns);
	return r;
}

static int measure(const struct settings *s, struct results *results)
{
	struct bench b;
	int r = begin(&b, s);

	if (r == 0) {
		machine_file_system(b.directory, results->file_system);
		bench_progress("encoding");
		measure_push(&b, results);
		memset(b.memory, 0, queue_bytes());
		b.queue = record_queue_init(b.memory, queue_bytes(), (struct record_queue_owner){ 0 });
		r = open_journal(&b);
	}
	if (r == 0)
		r = measure_journal(&b, results);
	if (r == 0)
		r = measure_store(&b, results);
	end(&b);
	if (r == 0) {
		r = begin(&b, s);
		if (r == 0)
			r = open_journal(&b);
		if (r == 0)
			r = measure_steady(&b, results);
		end(&b);
	}
	bench_progress_end();
	return r;
}

/* ---- what it prints ---- */

static double ms(uint64_t ns)
{
	return (double)ns / 1e6;
}

static void print_spread(const char *name, const struct spread *l)
{
	printf("%-13s %9" PRIu64 " %9.1f %9.1f %9.1f %9.1f %9.1f\n", name, l->count, ms(spread_quantile(l, 0.5)),
	       ms(spread_quantile(l, 0.9)), ms(spread_quantile(l, 0.99)), ms(spread_quantile(l, 0.999)), ms(l->max_ns));
}

static void print(const struct settings *s, const struct results *r)
{
	printf("rwbench cdr: seed %" PRIu64 "; journal and database in %s (%s)\n", s->seed, s->directory,
	       r->file_system);
	machine_print(&r->machine, stdout);
	printf("\nencoding into the queue   %10.0f ns of CPU time a record, %.0f bytes\n", r->push_ns, r->record_bytes);
	printf("the journal at full speed %10.0f records a second, %" PRIu64 " records\n", r->journal_per_s,
	       s->records);
	printf("the billing thread        %10.2f us of CPU time a record\n", r->journal_us);
	printf("the journal               %10.0f bytes a record\n", r->journal_bytes);
	printf("the store at full speed   %10.0f rows a second\n", r->rows_per_s);
	printf("its feeder                %10.2f us of CPU time a row\n", r->store_us);
	printf("the database              %10.0f bytes a row\n", r->row_bytes);
	printf("\nFrom the queue at %.0f records a second, ms\n\n%-13s %9s %9s %9s %9s %9s %9s\n", r->steady_rate, "",
	       "count", "p50", "p90", "p99", "p99.9", "longest");
	print_spread("to the disk", &r->synced);
	print_spread("to the commit", &r->latency);
	printf("\nrecords that did not reach the store: %" PRIu64 "; tries that failed: %" PRIu64
	       "; pushes that found the queue full: %" PRIu64 "\n",
	       r->lost, r->failures, r->refused);
}

static void print_json(const struct settings *s, const struct results *r)
{
	json_t *all = json_pack("{s:s, s:I, s:o, s:s, s:I, s:f, s:f, s:f, s:f, s:f}", "bench", "cdr", "seed",
				(json_int_t)s->seed, "machine", machine_json(&r->machine), "file_system",
				r->file_system, "records", (json_int_t)s->records, "push_ns", r->push_ns,
				"record_bytes", r->record_bytes, "journal_per_s", r->journal_per_s, "journal_us",
				r->journal_us, "journal_bytes", r->journal_bytes);
	json_t *more =
		json_pack("{s:f, s:f, s:f, s:f, s:o, s:o, s:I, s:I, s:I}", "rows_per_s", r->rows_per_s, "store_us",
			  r->store_us, "row_bytes", r->row_bytes, "steady_rate", r->steady_rate, "synced",
			  spread_json(&r->synced), "latency", spread_json(&r->latency), "lost", (json_int_t)r->lost,
			  "failures", (json_int_t)r->failures, "refused", (json_int_t)r->refused);

	json_object_update(all, more);
	json_decref(more);
	json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
	json_decref(all);
}

int bench_cdr(int argc, char **argv)
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
		r = results->lost ? BENCH_FAILED : BENCH_DONE;
	} else {
		fprintf(stderr, "rwbench: cdr: %s\n", strerror(-r));
		r = BENCH_FAILED;
	}
	free(results);
	return r;
}
