/* Feeds a PostgreSQL as a node does, for postgresql_test.py: records come from a number, so that what a node lost over
 * a failure is given again from the position that the server says.
 *
 *   postgresql_feed feed URI NODE FIRST COUNT BATCH   records FIRST... in batches, until all are in; "batch N" after
 * each postgresql_feed odd URI NODE                      one record with texts from the wire that are no UTF-8
 *   postgresql_feed open URI NODE                     opens only; the sentence of the failure
 *   postgresql_feed rate URI NODE COUNT               how many a second, in batches of 10000
 *   postgresql_feed hurry URI NODE                    a batch, then one to a server that is silent, in a hurry
 *   postgresql_feed list URI rows [FILTER=VALUE]...   columns between bars
 *   postgresql_feed sums URI GROUP [LEDGER]           the same of groups, with the corrected fees of this database */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "billing/fees.h"
#include "billing/postgresql.h"
#include "billing/sums.h"
#include "tests/billing/sample.h"

#define JOURNAL    UINT64_C(0xfedcba9876543210) /* above INT64_MAX: it must survive that */
#define RETRY_MS   50
#define DAY_US     INT64_C(86400000000)
#define DAYS       3
#define GIVE_UP_NS INT64_C(60000000000)

static const char *node; /* whose records they are */

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void rest(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = RETRY_MS * 1000000L }, NULL);
}

/* Of three days in turn; answered but for each fourth; a fee of one unit in the last decimal more than the number. */
static struct cdr record(uint64_t number, char fee[static 32])
{
	struct cdr cdr =
		sample_cdr_at(number, INT64_C(1700000000000000) + (int64_t)number + (int64_t)(number % DAYS) * DAY_US);

	if (number % 4 == 0)
		cdr.connect_us = cdr.ringing_us = cdr.hold_ms = cdr.billed_s = 0;
	snprintf(fee, 32, "%" PRIu64 ".00000001", number);
	cdr.fee = sample_text(fee);
	cdr.node = sample_text(node);
	return cdr;
}

static int add_batch(const struct sink *sink, uint64_t first, uint64_t end)
{
	char fee[32];
	int result = sink->begin(sink->context);

	for (uint64_t number = first; result == 0 && number < end; number++) {
		const struct cdr cdr = record(number, fee);
		result = sink->add(sink->context, &cdr);
	}
	const struct sink_position position = { .journal = JOURNAL, .position = end };
	if (result == 0)
		result = sink->commit(sink->context, &position);
	if (result < 0)
		sink->rollback(sink->context);
	return result;
}

/* What the feeder does: after any failure close, open, and go on where the server says. */
static uint64_t reopen(const struct sink *sink, uint64_t first)
{
	const int64_t by_ns = now_ns() + GIVE_UP_NS;
	char error[SINK_ERROR_BYTES] = "";

	while (now_ns() < by_ns) {
		struct sink_position position;
		sink->close(sink->context);
		if (sink->open(sink->context, &position, error) == 0)
			return position.journal == JOURNAL && position.position > first ? position.position : first;
		printf("retry %s\n", error);
		fflush(stdout);
		rest();
	}
	fprintf(stderr, "given up: %s\n", error);
	exit(1);
}

static int feed(const struct sink *sink, uint64_t first, uint64_t count, uint64_t batch)
{
	const uint64_t end = first + count;
	uint64_t at = reopen(sink, first);

	while (at < end) {
		const uint64_t to = at + batch < end ? at + batch : end;
		const int result = add_batch(sink, at, to);
		if (result == 0) {
			at = to;
			printf("batch %" PRIu64 "\n", at);
		} else {
			printf("failed %s\n", sink->error(sink->context));
			assert(sink->reopen(sink->context, result));
			at = reopen(sink, first);
		}
		fflush(stdout);
	}
	return 0;
}

static int odd(const struct sink *sink)
{
	static const char bytes[] = "a\0b\xff\xc3(\xed\xa0\x80\xf4\x90\x80\x80\t\n\\N\"";
	static const struct cdr_attempt attempt = { .gateway = { "ve\0n\x01\xff\"\\", 8 }, .code = 503, .ms = 1 };
	const struct cdr_text text = { .at = bytes, .size = sizeof(bytes) - 1 };
	struct cdr cdr = sample_cdr_at(7, INT64_C(1700000000000000));

	reopen(sink, 0);
	cdr.caller_in = cdr.callee_in = cdr.call_id_a = cdr.account = text;
	cdr.attempts = &attempt;
	cdr.attempts_count = 1;
	struct cdr old = sample_cdr_at(8, 0), future = sample_cdr_at(9, INT64_MAX), unnamed = sample_cdr(10);
	old.start_us = -1;
	unnamed.end_reason = CDR_END_REASON_COUNT;
	const struct sink_position position = { .journal = JOURNAL, .position = 1 };
	int result = sink->begin(sink->context);
	result = result < 0 ? result : sink->add(sink->context, &cdr);
	result = result < 0 ? result : sink->add(sink->context, &old);
	result = result < 0 ? result : sink->add(sink->context, &future);
	if (result == 0 && sink->add(sink->context, &unnamed) != -EINVAL)
		result = -EIO;
	result = result < 0 ? result : sink->commit(sink->context, &position);
	printf("%s\n", result < 0 ? sink->error(sink->context) : "stored");
	return result < 0;
}

static int open_only(const struct sink *sink)
{
	struct sink_position position;
	char error[SINK_ERROR_BYTES] = "";
	const int64_t begun_ns = now_ns();
	const int result = sink->open(sink->context, &position, error);

	printf("%s\n%d\n%.1f\n", result < 0 ? error : "open", result, (double)(now_ns() - begun_ns) / 1e9);
	return 0;
}

/* The server is stopped when a line comes in; the seconds until the batch was given up. */
static int hurry(const struct sink *sink)
{
	char line[16];

	reopen(sink, 0);
	if (add_batch(sink, 0, 100) < 0)
		return 1;
	printf("ready\n");
	fflush(stdout);
	if (fgets(line, sizeof(line), stdin) == NULL)
		return 1;
	const int64_t begun_ns = now_ns();
	postgresql_sink_hurry(sink, 300);
	const int result = add_batch(sink, 100, 200);
	printf("%d\n%s\n%.2f\n", result, sink->error(sink->context), (double)(now_ns() - begun_ns) / 1e9);
	return 0;
}

static int rate(const struct sink *sink, uint64_t count)
{
	uint64_t at = reopen(sink, 0);
	const uint64_t first = at;

	while (at < first + DAYS) /* the partitions */
		if (add_batch(sink, at, at + DAYS) == 0)
			at += DAYS;
	const int64_t begun_ns = now_ns();
	for (uint64_t end = at + count; at < end; at += 10000)
		if (add_batch(sink, at, at + 10000) < 0) {
			fprintf(stderr, "%s\n", sink->error(sink->context));
			return 1;
		}
	printf("%.0f\n", (double)count / ((double)(now_ns() - begun_ns) / 1e9));
	return 0;
}

static void print_row(void *context, const struct cdr_value *values, unsigned count)
{
	(void)context;
	for (unsigned i = 0; i < count; i++)
		if (values[i].type == CDR_COLUMN_INTEGER)
			printf("%s%" PRId64, i > 0 ? "|" : "", values[i].integer);
		else
			printf("%s%s", i > 0 ? "|" : "", values[i].text);
	printf("\n");
}

static int read_list(const char *uri, char **words, int count)
{
	struct cdr_filter filter = { .limit = 100000 };
	char error[CDR_READ_ERROR_BYTES];

	for (int i = 0; i < count; i++) {
		char *value = strchr(words[i], '=');
		assert(value != NULL);
		*value++ = '\0';
		if (strcmp(words[i], "limit") == 0)
			filter.limit = (uint32_t)atoi(value);
		else if (strcmp(words[i], "since") == 0)
			filter.since_us = atoll(value);
		else if (strcmp(words[i], "until") == 0)
			filter.until_us = atoll(value);
		else if (strcmp(words[i], "number") == 0)
			filter.number = value;
		else if (strcmp(words[i], "account") == 0)
			filter.account = value;
		else if (strcmp(words[i], "gateway") == 0)
			filter.gateway = value;
		else if (strcmp(words[i], "before") == 0)
			filter.before = value;
		else if (strcmp(words[i], "cdr_id") == 0)
			filter.cdr_id = value;
		else if (strcmp(words[i], "reason") == 0)
			filter.end_reason = value;
		else if (strcmp(words[i], "answered") == 0)
			filter.answered = value[0] == 'y' ? CDR_ANSWERED_ONLY : CDR_ANSWERED_NOT;
		else if (strcmp(words[i], "min_hold") == 0)
			filter.min_hold_ms = atoll(value);
		else
			abort();
	}
	const struct cdr_place place = { .store = uri };
	const int result = cdr_list(&place, &filter, NULL, print_row, NULL, error);
	if (result < 0)
		printf("%s\n", error);
	return result < 0;
}

static int read_sums(const char *uri, const char *group, const char *ledger)
{
	const struct cdr_filter any = { 0 };
	struct cdr_grouping grouping = { .by = (enum cdr_group)cdr_group_find(group) };
	const struct cdr_place place = { .store = uri };
	struct sums *sums = sums_create();
	char error[CDR_READ_ERROR_BYTES], fee[MONEY_SUM_TEXT_MAX], cost[MONEY_SUM_TEXT_MAX];
	const char *key;
	struct fees *fees = NULL;
	int result = ledger != NULL ? fees_load(ledger, &any, &fees, error) : 0;

	grouping.fees = fees;
	if (result == 0)
		result = cdr_sums(&place, &any, &grouping, NULL, sums, error);

	if (result < 0)
		printf("%s\n", error);
	sums_sort(sums);
	for (size_t i = 0; result == 0 && i < sums_count(sums); i++) {
		const struct sum *s = sums_at(sums, i, &key);
		money_sum_write(s->fee_e8, fee);
		money_sum_write(s->cost_e8, cost);
		printf("%s|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%" PRIu64 "|%s|%s\n", key,
		       s->attempts, s->answered, s->rang, s->pdd_ms, s->hold_ms, s->billed_s, fee, cost);
	}
	sums_free(sums);
	fees_free(fees);
	return result < 0;
}

int main(int argc, char **argv)
{
	char error[SINK_ERROR_BYTES];
	struct sink sink;

	assert(argc >= 4);
	if (strcmp(argv[1], "list") == 0)
		return read_list(argv[2], argv + 4, argc - 4);
	if (strcmp(argv[1], "sums") == 0)
		return read_sums(argv[2], argv[3], argv[4]);
	if (postgresql_sink_create(argv[2], argv[3], &sink, error) < 0) {
		printf("%s\n", error);
		return 1;
	}
	node = argv[3];
	int status = 2;
	if (strcmp(argv[1], "feed") == 0 && argc == 7)
		status = feed(&sink, strtoull(argv[4], NULL, 10), strtoull(argv[5], NULL, 10),
			      strtoull(argv[6], NULL, 10));
	else if (strcmp(argv[1], "odd") == 0)
		status = odd(&sink);
	else if (strcmp(argv[1], "hurry") == 0)
		status = hurry(&sink);
	else if (strcmp(argv[1], "open") == 0)
		status = open_only(&sink);
	else if (strcmp(argv[1], "rate") == 0 && argc == 5)
		status = rate(&sink, strtoull(argv[4], NULL, 10));
	postgresql_sink_free(&sink);
	return status;
}
