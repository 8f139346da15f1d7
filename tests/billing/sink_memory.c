/* A plain program for the sanitizer set-ups: the CDRs of a journal are given to each kind of sink while an allocation
 * fails, its own, its feeder's or SQLite's: another one each time.  What is refused is a negative errno with a
 * sentence, and the next try brings the rest: each CDR is there once in the end, and nothing is left behind. */
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "billing/accounts.h"
#include "billing/feeder.h"
#include "billing/files.h"
#include "billing/ledger.h"
#include "billing/money.h"
#include "billing/store.h"
#include "tests/billing/failing_memory.h"
#include "tests/billing/sample.h"

#define CDRS     40
#define RUNS_MAX 60 /* of each sink; of more allocations than that only some fail */

static const char *sink_name = "";
static unsigned turn;

#define REQUIRE(condition)                                                                                             \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s, allocation %u, line %d: %s\n", sink_name, turn, __LINE__, #condition);    \
			exit(1);                                                                                       \
		}                                                                                                      \
	} while (0)

/* ---- SQLite's memory ---- */

static sqlite3_mem_methods real_methods;

static void *take(int size)
{
	return memory_grants() ? real_methods.xMalloc(size) : NULL;
}

static void *take_again(void *old, int size)
{
	return memory_grants() ? real_methods.xRealloc(old, size) : NULL;
}

static void prepare_sqlite(void)
{
	sqlite3_mem_methods methods;

	REQUIRE(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_methods) == SQLITE_OK);
	methods = real_methods;
	methods.xMalloc = take;
	methods.xRealloc = take_again;
	REQUIRE(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK);
}

/* ---- the sinks ---- */

static int64_t number_of(const char *path, const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *statement;

	REQUIRE(sqlite3_open(path, &db) == SQLITE_OK);
	REQUIRE(sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK);
	REQUIRE(sqlite3_step(statement) == SQLITE_ROW);
	const int64_t number = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return number;
}

static void check_store(const char *path)
{
	REQUIRE(number_of(path, "SELECT count(*) FROM cdr") == CDRS);
}

static void prepare_ledger(const char *path)
{
	const struct account_order order = { .name = "payer" };
	char error[DATABASE_ERROR_BYTES];

	unlink(path);
	REQUIRE(account_add(path, &order, 1, error) == 0);
}

static void check_ledger(const char *path)
{
	REQUIRE(number_of(path, "SELECT balance_e8 FROM accounts WHERE name = 'payer'") == -CDRS * MONEY_ONE);
	REQUIRE(number_of(path, "SELECT count(*) FROM ledger") == CDRS);
}

static void prepare_directory(const char *path)
{
	char command[4200];

	snprintf(command, sizeof(command), "rm -rf '%s'", path);
	REQUIRE(system(command) == 0);
}

static void prepare_store(const char *path)
{
	char log[4200];

	unlink(path);
	snprintf(log, sizeof(log), "%s-wal", path);
	unlink(log);
	snprintf(log, sizeof(log), "%s-shm", path);
	unlink(log);
}

static void check_files(const char *path)
{
	char command[4200];
	unsigned lines = 0, files = 0;

	snprintf(command, sizeof(command), "cat '%s'/*.csv | wc -l; ls '%s'/*.csv | wc -l", path, path);
	FILE *out = popen(command, "r");
	REQUIRE(out != NULL && fscanf(out, "%u %u", &lines, &files) == 2);
	pclose(out);
	REQUIRE(lines == CDRS + files);
}

static const struct kind {
	const char *name;
	int (*create)(const char *path, struct sink *ret_sink);
	void (*free)(struct sink *sink);
	void (*prepare)(const char *path);
	void (*check)(const char *path);
} kinds[] = {
	{ "sqlite", cdr_sink_create, cdr_sink_free, prepare_store, check_store },
	{ "ledger", ledger_sink_create, ledger_sink_free, prepare_ledger, check_ledger },
	{ "files", files_sink_create, files_sink_free, prepare_directory, check_files },
};

/* ---- feeding them ---- */

static struct journal *make_journal(struct memory_disk *d)
{
	static uint8_t bytes[CDR_BYTES_MAX];
	const struct journal_settings settings = {
		.disk = quiet_disk(d), .segment_bytes = 8 * RECORD_BYTES_MAX, .boot = 1, .machine = 1, .new_id = 5
	};
	struct journal *j;
	char error[JOURNAL_ERROR_BYTES];

	REQUIRE(journal_open(&settings, NULL, &j, error) == 0);
	for (unsigned i = 0; i < CDRS; i++) {
		struct cdr cdr = sample_cdr(i);
		cdr.connect_us = cdr.start_us + 1;
		cdr.account = sample_text("payer");
		cdr.fee = sample_text("1.00");
		REQUIRE(journal_append(j, RECORD_CDR, 0, i, bytes, cdr_encode(&cdr, bytes, sizeof(bytes))) == 0);
	}
	REQUIRE(journal_sync(j) == 0);
	return j;
}

static void say(int level, const char *line)
{
	(void)level;
	(void)line;
}

/* What fails is the first try, or one after it. */
static void feed(const struct kind *kind, struct journal *j, const char *path)
{
	struct sink sink;
	char error[SINK_ERROR_BYTES] = "";
	const uint64_t live_before = memory.live;
	unsigned tries = 0;

	while (kind->create(path, &sink) < 0)
		REQUIRE(++tries < 3 && memory.live == live_before);
	while (feeder_catch_up(j, &sink, say, error) < 0) {
		REQUIRE(error[0] != '\0' && ++tries < 3);
		error[0] = '\0';
	}
	kind->free(&sink);
	REQUIRE(memory.live == live_before);
}

static unsigned run(const struct kind *kind, struct journal *j, const char *path, unsigned failing)
{
	kind->prepare(path);
	turn = failing;
	memory.failing = failing;
	memory.asked = 0;
	memory.outside--;
	feed(kind, j, path);
	memory.outside++;
	kind->check(path);
	return memory.asked;
}

int main(void)
{
	struct memory_disk *d = memory_disk_create(1);

	memory.outside++;
	prepare_sqlite();
	struct journal *j = make_journal(d);
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		char path[4096];
		sink_name = kinds[i].name;
		snprintf(path, sizeof(path), "%s", sample_path(sink_name));
		const unsigned all = run(&kinds[i], j, path, 0), step = all / RUNS_MAX + 1;
		for (unsigned failing = 1; failing <= all; failing += step)
			run(&kinds[i], j, path, failing);
		printf("%s: %u allocations\n", sink_name, all);
		REQUIRE(all > 3);
	}
	journal_close(j);
	memory_disk_free(d);
	return 0;
}
