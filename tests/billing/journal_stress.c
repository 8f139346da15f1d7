/* One thread appends, syncs and drops, others follow, on a real disk; a plain program, so that it runs under the thread
 * sanitizer.  Every reader gets every record once, in order and whole, in segments so small that there are many.  Exit
 * status 1: it did not. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "billing/journal.h"
#include "tests/billing/sample.h"

#define SEGMENT  (4 * RECORD_BYTES_MAX)
#define RECORDS  6000
#define READERS  3
#define GROUP    60
#define SIZE(n)  (300 + (n)*37 % 1900)
#define BYTE(n)  ((uint8_t)((n)*131 + 7))
#define STEP_NS  1000
#define DROPS_IN 4 /* groups */

struct follower {
	struct journal *journal;
	pthread_t thread;
	_Atomic journal_position position; /* everything before it is not needed any more */
	uint64_t seen;
	bool slow;
};

static atomic_bool failed;

static bool is_whole(const struct journal_record *record, uint64_t n)
{
	if (record->serial != n || record->size != SIZE(n) || record->kind != RECORD_CDR)
		return false;
	for (size_t i = 0; i < record->size; i++)
		if (record->at[i] != BYTE(n))
			return false;
	return true;
}

static void *follow(void *argument)
{
	struct follower *f = argument;
	struct journal_record record;
	struct journal_reader *r;

	if (journal_reader_open(f->journal, JOURNAL_START, &r) < 0)
		atomic_store(&failed, true);
	while (!atomic_load(&failed) && f->seen < RECORDS) {
		const int result = journal_reader_next(r, &record);

		if (result == 0) {
			usleep(f->slow ? 20000 : 500);
			continue;
		}
		if (result < 0 || !is_whole(&record, f->seen)) {
			fprintf(stderr, "record %" PRIu64 ": %d\n", f->seen, result);
			atomic_store(&failed, true);
			break;
		}
		f->seen++;
		atomic_store(&f->position, journal_reader_position(r));
		if (journal_room(f->journal) == 0 || journal_bytes(f->journal) == 0 || journal_has_failed(f->journal))
			atomic_store(&failed, true);
	}
	journal_reader_close(r);
	return NULL;
}

static void drop(struct journal *j, const struct follower *followers, uint64_t now_ns)
{
	journal_position position = UINT64_MAX;

	for (unsigned i = 0; i < READERS; i++) {
		const journal_position at = atomic_load(&followers[i].position);
		position = at < position ? at : position;
	}
	if (journal_drop_before(j, position, now_ns, 2 * STEP_NS) < 0)
		atomic_store(&failed, true);
}

static void produce(struct journal *j, const struct follower *followers)
{
	static uint8_t bytes[RECORD_BYTES_MAX];
	uint64_t now_ns = 0;

	for (uint64_t n = 0; n < RECORDS && !atomic_load(&failed); n++) {
		memset(bytes, BYTE(n), SIZE(n));
		if (journal_append(j, RECORD_CDR, 0, n, bytes, SIZE(n)) < 0)
			atomic_store(&failed, true);
		if (n % GROUP != GROUP - 1)
			continue;
		if (journal_sync(j) < 0)
			atomic_store(&failed, true);
		now_ns += STEP_NS;
		if (n / GROUP % DROPS_IN == 0)
			drop(j, followers, now_ns);
	}
	if (journal_sync(j) < 0)
		atomic_store(&failed, true);
}

static void remove_one(void *to, const char *name, uint64_t size)
{
	const struct journal_disk *disk = to;

	(void)size;
	disk->remove(disk->context, name);
}

int main(void)
{
	const char *path = sample_path("journal");
	struct follower followers[READERS] = { 0 };
	struct journal_settings settings = { .segment_bytes = SEGMENT, .boot = 1, .new_id = 9 };
	char error[JOURNAL_ERROR_BYTES];
	struct journal *j;

	if (journal_uring_open(path, &settings.disk, error) < 0 || journal_open(&settings, NULL, &j, error) < 0) {
		fprintf(stderr, "%s\n", error);
		return 1;
	}
	for (unsigned i = 0; i < READERS; i++) {
		followers[i].journal = j;
		followers[i].slow = i == 0;
		pthread_create(&followers[i].thread, NULL, follow, &followers[i]);
	}
	produce(j, followers);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(followers[i].thread, NULL);
	journal_check(j);
	printf("%u segments, %" PRIu64 " bytes left\n", (unsigned)(journal_synced(j) >> 32), journal_bytes(j));
	journal_close(j);
	settings.disk.list(settings.disk.context, remove_one, &settings.disk);
	journal_uring_close(&settings.disk);
	rmdir(path);
	return atomic_load(&failed);
}
