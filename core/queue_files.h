/* The workers' queues as files of the data directory, `queue.N` for worker N: mapped, so that what a worker has pushed
 * is in the page cache and outlives the process without a system call (design, rule 7).  Their room is reserved on the
 * disk when they are made: a full disk is an error of the start then, and no SIGBUS in the middle of a call. */
#ifndef RW_CORE_QUEUE_FILES_H
#define RW_CORE_QUEUE_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "billing/queue.h"

struct queue_files {
	int dir_fd; /* borrowed */
	unsigned count;
	size_t bytes; /* of a mapping */
	struct record_queue **queues;
};

/* Makes the queues of this process, each with a ring of `ring_bytes` (a power of two); nothing of that name is there
 * any more (queue_files_take_left()).  `owner` is told with its lane.  0 or a negative errno, and nothing is left. */
int queue_files_make(int dir_fd, unsigned count, size_t ring_bytes, struct record_queue_owner owner,
		     struct queue_files *ret_files);
/* Unmaps them, once nobody pushes any more.  The files stay, and what is in them, but for those that are empty; they
 * are written to the disk, so that they are good after another start of the machine, too. */
void queue_files_close(struct queue_files *files);

/* Gives each queue that a former process has left, however many workers it had, to `take`, and deletes it when that
 * returns 0.  What is no queue, or a damaged one, is renamed to queue.N.refused and counted.  The first failure ends
 * it: what was not deleted is there for the next start. */
struct queue_taker {
	void *context;
	int (*take)(void *context, struct record_queue *queue, const struct record_queue_owner *owner);
};
int queue_files_take_left(int dir_fd, const struct queue_taker *taker, unsigned *ret_refused);

#endif
