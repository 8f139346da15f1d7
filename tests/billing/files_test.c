/* CDRs as text files by the hour: each in the file of its hour, once, whatever happened to the process in between. */
#include "billing/files.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/billing/sample.h"

#define JOURNAL 42
#define HOUR_US INT64_C(3600000000)
#define NOON_US INT64_C(1767355200000000) /* 2026-01-02 12:00:00 UTC */
#define FIRST   "2026010212.csv"
#define SECOND  "2026010213.csv"

static struct sink sink;
static char directory[256];

static void set_up(void)
{
	snprintf(directory, sizeof(directory), "%s", sample_directory());
	cr_assert_eq(files_sink_create(directory, &sink), 0);
}

static void tear_down(void)
{
	sink.close(sink.context);
	files_sink_free(&sink);
}

TestSuite(files, .init = set_up, .fini = tear_down);

static struct sink_position open_sink(void)
{
	struct sink_position position = { 0 };
	char error[SINK_ERROR_BYTES] = "";

	cr_assert_eq(sink.open(sink.context, &position, error), 0, "%s", error);
	return position;
}

static struct sink_position reopen(void)
{
	sink.close(sink.context);
	return open_sink();
}

static struct cdr cdr_of_hour(uint64_t number, int hour)
{
	struct cdr cdr = sample_cdr(number);

	cdr.end_us = NOON_US + hour * HOUR_US + (int64_t)number;
	return cdr;
}

static void add(uint64_t number, int hour)
{
	const struct cdr cdr = cdr_of_hour(number, hour);

	cr_assert_eq(sink.add(sink.context, &cdr), 0);
}

static void commit(uint64_t position)
{
	const struct sink_position to = { .journal = JOURNAL, .position = position };

	cr_assert_eq(sink.commit(sink.context, &to), 0, "%s", sink.error(sink.context));
}

static void give(uint64_t number, int hour, uint64_t position)
{
	cr_assert_eq(sink.begin(sink.context), 0);
	add(number, hour);
	commit(position);
}

/* The whole of a file, NULL: there is none.  Static. */
static const char *text_of(const char *name)
{
	static char text[1 << 20];
	FILE *in = fopen(sample_path(name), "r");

	if (in == NULL)
		return NULL;
	text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
	fclose(in);
	return text;
}

static unsigned lines_of(const char *name)
{
	unsigned count = 0;

	for (const char *at = text_of(name); at != NULL && *at != '\0'; at++)
		count += *at == '\n';
	return count;
}

static void append(const char *name, const char *text)
{
	FILE *out = fopen(sample_path(name), "a");

	fputs(text, out);
	fclose(out);
}

Test(files, spec_9_a_line_of_names_and_a_line_a_record_by_the_hour_of_its_end)
{
	struct stat status;

	cr_assert_eq(open_sink().journal, 0);
	cr_assert_eq(sink.begin(sink.context), 0);
	add(1, 0);
	add(2, 1);
	add(3, 0);
	commit(100);
	cr_assert_eq(lines_of(FIRST), 3);
	cr_assert_eq(lines_of(SECOND), 2);
	cr_assert_eq(strncmp(text_of(SECOND), "cdr_id,node,shard,mapping_gateway,", 34), 0);
	cr_assert_not_null(strstr(text_of(SECOND), ",fee,cost,recovered\r\n"));
	cr_assert_not_null(strstr(text_of(SECOND),
				  ",node1,3,customer-a,vendor-b,customer-a,vendor-b-account,+8801711000001,+4930123456,"
				  "8801711000001,4930123456,192.0.2.7:5060,[2001:db8::9]:5080,"));
	cr_assert_not_null(strstr(text_of(SECOND),
				  ",callee,normal,200,16,\"[{\"\"gateway\"\":\"\"vendor-a\"\",\"\"code\"\":503,"
				  "\"\"ms\"\":120},"),
			   "%s", text_of(SECOND));
	cr_assert_not_null(strstr(text_of(SECOND), ",a+b,2,1,"));
	cr_assert_eq(stat(sample_path(FIRST), &status), 0);
	cr_assert_eq(status.st_mode & 0777, 0640 & ~umask(0));
	const struct sink_position position = reopen();
	cr_assert(position.journal == JOURNAL && position.position == 100);
}

/* RFC 4180 2: quotes where there are commas, quotes and line ends; a byte that is no text is a question mark. */
Test(files, rfc4180_2_what_comes_from_the_wire_stays_in_its_field)
{
	struct cdr cdr = cdr_of_hour(1, 0);

	open_sink();
	cdr.caller_in = sample_text("a,b");
	cdr.callee_in = sample_text("say \"no\"");
	cdr.caller_out = sample_text("x\r\ny");
	cdr.callee_out = (struct cdr_text){ "n\0\xff", 3 };
	cr_assert_eq(sink.begin(sink.context), 0);
	cr_assert_eq(sink.add(sink.context, &cdr), 0);
	commit(1);
	cr_assert_not_null(strstr(text_of(FIRST), ",\"a,b\",\"say \"\"no\"\"\",\"x\r\ny\",n??,"), "%s", text_of(FIRST));
}

Test(files, a_late_record_goes_to_the_file_of_its_hour)
{
	open_sink();
	give(1, 0, 1);
	give(2, 1, 2);
	give(3, 0, 3);
	cr_assert_eq(lines_of(FIRST), 3);
	cr_assert_eq(lines_of(SECOND), 2);
	reopen();
	give(4, 0, 4);
	cr_assert_eq(lines_of(FIRST), 4);
}

/* The process dies between the rows and `applied`: the rows were not committed. */
Test(files, rows_behind_the_committed_length_are_cut_off_at_open)
{
	open_sink();
	give(1, 0, 10);
	append(FIRST, "half a ro");
	cr_assert_eq(reopen().position, 10);
	cr_assert_eq(lines_of(FIRST), 2);
	cr_assert_null(strstr(text_of(FIRST), "half"));
	give(2, 0, 20);
	cr_assert_eq(lines_of(FIRST), 3);
}

/* At every step of a commit: the steps are played by copies of the directory's files. */
Test(files, a_new_file_that_was_not_committed_is_empty_again)
{
	static char before[4096];

	open_sink();
	give(1, 0, 10);
	/* What the first step of a commit to another hour leaves, and rows behind it. */
	snprintf(before, sizeof(before), "%.4000s", text_of("applied"));
	give(2, 1, 20);
	FILE *out = fopen(sample_path("applied"), "w");
	fprintf(out, "%s" SECOND " 0\n", before);
	fclose(out);
	cr_assert_eq(reopen().position, 10);
	cr_assert_eq(lines_of(SECOND), 0);
	give(2, 1, 20);
	cr_assert_eq(lines_of(SECOND), 2);
}

Test(files, a_batch_that_is_rolled_back_leaves_nothing)
{
	open_sink();
	cr_assert_eq(sink.begin(sink.context), 0);
	add(1, 0);
	sink.rollback(sink.context);
	give(2, 0, 5);
	cr_assert_eq(lines_of(FIRST), 2);
	cr_assert_null(strstr(text_of(FIRST), "0000000000001,"));
}

Test(files, a_file_that_was_picked_up_is_begun_anew)
{
	open_sink();
	give(1, 0, 1);
	cr_assert_eq(rename(sample_path(FIRST), sample_path("taken.csv")), 0);
	give(2, 0, 2);
	cr_assert_eq(lines_of(FIRST), 2);
	cr_assert_eq(lines_of("taken.csv"), 2);
	cr_assert_eq(unlink(sample_path(FIRST)), 0);
	reopen();
	give(3, 0, 3);
	cr_assert_eq(lines_of(FIRST), 2);
}

Test(files, a_record_without_names_or_time_is_refused_alone)
{
	struct cdr bad = cdr_of_hour(1, 0);

	open_sink();
	cr_assert_eq(sink.begin(sink.context), 0);
	bad.end_reason = CDR_END_REASON_COUNT;
	cr_assert_eq(sink.add(sink.context, &bad), -EINVAL);
	bad = cdr_of_hour(1, 0);
	bad.end_us = -1;
	cr_assert_eq(sink.add(sink.context, &bad), -EINVAL);
	add(2, 0);
	commit(1);
	cr_assert_eq(lines_of(FIRST), 2);
}

/* A disk that refuses: the batch is given again after opening anew, and each record is there once. */
Test(files, a_commit_that_failed_is_given_again_and_stands_there_once)
{
	const struct sink_position to = { .journal = JOURNAL, .position = 2 };

	open_sink();
	give(1, 0, 1);
	cr_assert_eq(mkdir(sample_path("applied.new"), 0700), 0); /* the last step of a commit fails */
	cr_assert_eq(sink.begin(sink.context), 0);
	add(2, 0);
	cr_assert_lt(sink.commit(sink.context, &to), 0);
	cr_assert_not_null(strstr(sink.error(sink.context), "applied"));
	sink.rollback(sink.context);
	cr_assert(sink.reopen(sink.context, -EISDIR));
	cr_assert_eq(lines_of(FIRST), 3, "the rows are there, and are not committed");
	cr_assert_eq(rmdir(sample_path("applied.new")), 0);
	cr_assert_eq(reopen().position, 1);
	cr_assert_eq(lines_of(FIRST), 2);
	give(2, 0, 2);
	cr_assert_eq(lines_of(FIRST), 3);
}

Test(files, many_hours_at_once_and_only_the_last_are_remembered)
{
	open_sink();
	cr_assert_eq(sink.begin(sink.context), 0);
	for (int hour = 0; hour < 200; hour++)
		add((uint64_t)hour, hour);
	commit(1);
	cr_assert_eq(lines_of("2026011019.csv"), 2, "the 200th hour");
	give(1000, 0, 2);
	cr_assert_eq(lines_of(FIRST), 3);
	cr_assert_leq(lines_of("applied"), 2 + 200);
	reopen();
	give(1001, 1, 3);
	cr_assert_eq(lines_of(SECOND), 3);
	cr_assert_leq(lines_of("applied"), 2 + 48 + 2);
}

Test(files, an_applied_that_is_none_is_told_and_nothing_is_touched)
{
	struct sink_position position;
	char error[SINK_ERROR_BYTES] = "";
	static const char *const texts[] = { "",
					     "ringwheel-cdr-files 1\n",
					     "ringwheel-cdr-files 2\njournal 1 2\n",
					     "ringwheel-cdr-files 1\njournal 1 2\n../x.csv 0\n",
					     "ringwheel-cdr-files 1\njournal 1 2\n2026010212.csv x\n",
					     "ringwheel-cdr-files 1\njournal 1 2\n2026010212.csv 5" };

	open_sink();
	give(1, 0, 1);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		sink.close(sink.context);
		FILE *out = fopen(sample_path("applied"), "w");
		fputs(texts[i], out);
		fclose(out);
		cr_assert_eq(sink.open(sink.context, &position, error), -EBADMSG, "%zu", i);
		cr_assert_not_null(strstr(error, "applied"), "%s", error);
		cr_assert_eq(lines_of(FIRST), 2);
	}
}
