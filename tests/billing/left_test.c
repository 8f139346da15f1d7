/* What a stop of an earlier version left over is taken by the next start. */
#include "billing/left.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/billing/sample.h"

static char file[256], error[256];
static struct cdr_left_report report;

static void name_files(void)
{
	snprintf(file, sizeof(file), "%s", sample_path("cdr.left"));
}

TestSuite(left, .init = name_files);

static void put_word(uint8_t *at, uint64_t word, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		at[i] = (uint8_t)(word >> 8 * i);
}

/* As that version wrote it: { u32 mark, u32 size, u64 checksum (FNV-1a), the record }. */
static void save(uint64_t first, uint64_t count)
{
	FILE *out = fopen(file, "a");

	cr_assert_not_null(out);
	for (uint64_t n = first; n < first + count; n++) {
		static uint8_t record[CDR_BYTES_MAX];
		const struct cdr cdr = sample_cdr(n);
		const size_t size = cdr_encode(&cdr, record, sizeof(record));
		uint64_t sum = UINT64_C(0xcbf29ce484222325);
		uint8_t head[16];

		for (size_t i = 0; i < size; i++)
			sum = (sum ^ record[i]) * UINT64_C(0x100000001b3);
		put_word(head, UINT32_C(0x3154464c), 4);
		put_word(head + 4, size, 4);
		put_word(head + 8, sum, 8);
		cr_assert(fwrite(head, sizeof(head), 1, out) == 1 && fwrite(record, size, 1, out) == 1);
	}
	cr_assert_eq(fclose(out), 0);
}

static bool taken[64]; /* by number */
static unsigned taken_count, synced_count;
static int failure;

static int take(void *context, const uint8_t *record, size_t size)
{
	struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	struct cdr cdr;

	(void)context;
	cr_assert(cdr_decode(record, size, &cdr, attempts));
	taken[sample_number(&cdr)] = true;
	taken_count++;
	return 0;
}

static int sync_taken(void *context)
{
	(void)context;
	synced_count++;
	cr_assert_eq(access(file, F_OK), 0, "not before the records are on the disk");
	return failure;
}

static const struct cdr_left_taker taker = { .take = take, .sync = sync_taken };

static int import(void)
{
	taken_count = synced_count = 0;
	memset(taken, 0, sizeof(taken));
	return cdr_left_import(file, &taker, &report, error);
}

static off_t file_size(const char *path)
{
	struct stat status;

	cr_assert_eq(stat(path, &status), 0, "%s", path);
	return status.st_size;
}

static void invert_byte(off_t at)
{
	uint8_t byte;
	const int fd = open(file, O_RDWR);

	cr_assert_eq(pread(fd, &byte, 1, at), 1);
	byte = (uint8_t)~byte;
	cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static size_t taken_bytes; /* since the last sync */

static int take_bytes(void *context, const uint8_t *record, size_t size)
{
	(void)context;
	(void)record;
	taken_bytes += size;
	taken_count++;
	return taken_bytes <= LEFT_SYNC_BYTES + CDR_BYTES_MAX ? 0 : -ENOSPC; /* as a journal that nobody syncs */
}

static int sync_bytes(void *context)
{
	taken_bytes = 0;
	return sync_taken(context);
}

Test(left, a_large_file_fits_a_small_journal)
{
	const struct cdr_left_taker small = { .take = take_bytes, .sync = sync_bytes };

	save(0, 30000);
	cr_assert_gt(file_size(file), 2 * LEFT_SYNC_BYTES);
	cr_assert_eq(cdr_left_import(file, &small, &report, error), 0, "%s", error);
	cr_assert_eq(report.imported, 30000);
	cr_assert_gt(synced_count, 2);
}

Test(left, every_record_is_taken_and_the_file_goes)
{
	save(0, 25);
	cr_assert_eq(import(), 0, "%s", error);
	cr_assert_eq(report.imported, 25);
	cr_assert_eq(report.damaged, 0);
	cr_assert(taken_count == 25 && taken[0] && taken[24] && synced_count == 1);
	cr_assert_eq(access(file, F_OK), -1);
}

Test(left, no_file_is_nothing_to_do)
{
	cr_assert_eq(import(), 0);
	cr_assert_eq(report.imported + report.damaged + synced_count, 0);
}

Test(left, a_disk_that_does_not_confirm_leaves_the_file_as_it_was)
{
	save(0, 3);
	const off_t size = file_size(file);
	failure = -EIO;
	cr_assert_eq(import(), -EIO);
	cr_assert_not_null(strstr(error, "cdr.left"), "%s", error);
	cr_assert_eq(file_size(file), size);
	failure = 0;
	cr_assert_eq(import(), 0);
	cr_assert_eq(taken_count, 3);
}

/* Each byte of the file wrong in turn costs at most the record it belongs to, and the file is kept. */
Test(left, a_wrong_byte_costs_one_record_and_the_file_is_kept)
{
	save(0, 3);
	const off_t size = file_size(file);
	for (off_t at = 0; at < size; at += 7) {
		invert_byte(at);
		cr_assert_eq(import(), 0);
		cr_assert_eq(report.damaged, 1, "byte %ld", (long)at);
		cr_assert_eq(report.imported, 2, "byte %ld", (long)at);
		cr_assert_eq(access(file, F_OK), -1);
		cr_assert_eq(file_size(report.kept), size);
		cr_assert_eq(rename(report.kept, file), 0);
		invert_byte(at);
	}
}

Test(left, a_file_cut_anywhere_loses_only_its_last_record)
{
	save(0, 2);
	cr_assert_eq(truncate(file, file_size(file) - 1), 0);
	save(2, 1); /* appended behind the cut one */
	cr_assert_eq(import(), 0);
	cr_assert(report.imported == 2 && taken[0] && !taken[1] && taken[2]);
	cr_assert_eq(report.damaged, 1);
	cr_assert_not_null(strstr(report.kept, "cdr.left.damaged.1"));
	save(3, 1);
	invert_byte(0);
	cr_assert_eq(import(), 0);
	cr_assert_not_null(strstr(report.kept, "cdr.left.damaged.2"), "an earlier one is not overwritten");
}
