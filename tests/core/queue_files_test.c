/* The workers' queues as files: what lies in them when a process ends is there for the next one. */
#include "core/queue_files.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/machine.h"

#define RING_BYTES (1u << 20)
#define MACHINE    7

static char directory[64];
static int dir_fd;

static void set_up(void)
{
	strcpy(directory, "/tmp/queue-files-XXXXXX");
	cr_assert_not_null(mkdtemp(directory));
	dir_fd = open(directory, O_RDONLY | O_DIRECTORY);
	cr_assert_geq(dir_fd, 0);
}

static unsigned count_files(bool and_delete)
{
	DIR *stream = opendir(directory);
	struct dirent *entry;
	unsigned count = 0;

	while ((entry = readdir(stream))) {
		count += entry->d_name[0] != '.';
		if (and_delete)
			unlinkat(dir_fd, entry->d_name, 0);
	}
	closedir(stream);
	return count;
}

static void tear_down(void)
{
	count_files(true);
	close(dir_fd);
	rmdir(directory);
}

TestSuite(queue_files, .init = set_up, .fini = tear_down);

static struct queue_files make(unsigned count)
{
	const struct record_queue_owner owner = { .machine = MACHINE, .boot = 3 };
	struct queue_files files;

	cr_assert_eq(queue_files_make(dir_fd, count, RING_BYTES, owner, &files), 0);
	return files;
}

static void push(struct record_queue *queue, uint64_t word)
{
	uint8_t *at = record_queue_lend(queue, sizeof word);

	cr_assert_not_null(at);
	memcpy(at, &word, sizeof word);
	record_queue_publish(queue, RECORD_LIVE, sizeof word);
}

/* As the kernel does with a process that was killed. */
static void die(struct queue_files *files)
{
	for (unsigned i = 0; i < files->count; i++)
		munmap(files->queues[i], files->bytes);
	free(files->queues);
}

/* What was taken: the words of each lane, one after the other. */
static uint64_t words[8][8];
static unsigned counts[8];
static uint64_t machines[8];
static int failure;

static int take(void *context, struct record_queue *queue, const struct record_queue_owner *owner)
{
	struct queue_position position = record_queue_begin(queue);
	struct queued_record record;

	(void)context;
	cr_assert_eq(owner->boot, 3);
	machines[owner->lane] = owner->machine;
	while (failure == 0 && record_queue_next(queue, &position, &record))
		memcpy(&words[owner->lane][counts[owner->lane]++], record.at, sizeof(uint64_t));
	return failure;
}

static int take_left(unsigned *ret_refused)
{
	const struct queue_taker taker = { .take = take };

	memset(counts, 0, sizeof counts);
	return queue_files_take_left(dir_fd, &taker, ret_refused);
}

/* Design, rule 7: the process is gone, the mapping's pages are not. */
Test(queue_files, what_a_process_has_pushed_is_found_by_the_next)
{
	struct queue_files files = make(3);
	unsigned refused;

	push(files.queues[0], 10);
	push(files.queues[2], 30);
	push(files.queues[2], 31);
	for (unsigned i = 0; i < 10; i++) /* the first is given back: it is not found again */
		push(files.queues[1], i);
	struct queue_position position = record_queue_begin(files.queues[1]);
	struct queued_record record;
	for (unsigned i = 0; i < 8; i++)
		cr_assert(record_queue_next(files.queues[1], &position, &record));
	record_queue_release(files.queues[1], position);
	die(&files);
	cr_assert_eq(take_left(&refused), 0);
	cr_assert(refused == 0 && counts[0] == 1 && counts[1] == 2 && counts[2] == 2);
	cr_assert(words[0][0] == 10 && words[1][0] == 8 && words[1][1] == 9 && words[2][1] == 31);
	cr_assert_eq(count_files(false), 0);
}

Test(queue_files, a_taker_that_fails_leaves_the_file_as_it_was)
{
	struct queue_files files = make(1);
	unsigned refused;

	push(files.queues[0], 5);
	failure = -ENOSPC;
	machines[0] = 0;
	die(&files);
	cr_assert_eq(take_left(&refused), -ENOSPC);
	failure = 0;
	cr_assert_eq(take_left(&refused), 0);
	cr_assert(counts[0] == 1 && words[0][0] == 5);
	cr_assert_eq(machines[0], MACHINE, "a process that was killed wrote nothing to the disk");
}

Test(queue_files, only_what_is_empty_is_deleted_at_the_end)
{
	struct queue_files files = make(2);
	unsigned refused;

	push(files.queues[1], 6);
	queue_files_close(&files);
	cr_assert_eq(count_files(false), 1);
	cr_assert_eq(take_left(&refused), 0);
	cr_assert(counts[1] == 1 && words[1][0] == 6);
	cr_assert_eq(machines[1], 0, "it is on the disk, and good after any start of the machine");
}

/* A process that died while it made one, and one whose head was overwritten. */
Test(queue_files, a_blank_file_goes_and_a_damaged_one_is_kept_aside)
{
	struct queue_files files = make(1);
	unsigned refused;
	int fd = openat(dir_fd, "queue.17", O_WRONLY | O_CREAT, 0600);

	cr_assert_eq(ftruncate(fd, RING_BYTES), 0);
	close(fd);
	close(openat(dir_fd, "queue.18", O_WRONLY | O_CREAT, 0600));
	close(openat(dir_fd, "queue.x", O_WRONLY | O_CREAT, 0600)); /* none of ours */
	push(files.queues[0], 1);
	memset(files.queues[0], 0x5a, 64);
	die(&files);
	cr_assert_eq(take_left(&refused), 0);
	cr_assert_eq(refused, 1);
	cr_assert_eq(faccessat(dir_fd, "queue.0.refused", F_OK, 0), 0);
	cr_assert_eq(faccessat(dir_fd, "queue.x", F_OK, 0), 0);
	cr_assert_eq(count_files(false), 2);
	cr_assert_eq(take_left(&refused), 0, "nor is it looked at again");
	cr_assert_eq(refused, 0);
}

/* posix_fallocate: the blocks are there before the first record. */
Test(queue_files, room_is_reserved_when_a_queue_is_made)
{
	struct queue_files files = make(1);
	struct stat status;

	cr_assert_eq(fstatat(dir_fd, "queue.0", &status, 0), 0);
	cr_assert_geq((uint64_t)status.st_blocks * 512, RING_BYTES);
	cr_assert_eq(status.st_mode & 0777, 0600);
	const struct record_queue_owner owner = { .machine = MACHINE };
	struct queue_files more;
	cr_assert_eq(queue_files_make(dir_fd, 1, RING_BYTES, owner, &more), -EEXIST, "one that is there is not used");
	queue_files_close(&files);
}

Test(machine, is_the_same_for_all_processes_of_a_start)
{
	uint64_t first = 0, second = 0;

	cr_assert_eq(machine_start(&first), 0);
	cr_assert_eq(machine_start(&second), 0);
	cr_assert(first == second && first != 0);
}
