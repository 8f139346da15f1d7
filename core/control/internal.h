/* What the files of the control socket share. */
#ifndef RW_CORE_CONTROL_INTERNAL_H
#define RW_CORE_CONTROL_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/control/connection.h"
#include "core/control/control.h"

#define CONTROL_CONNECTIONS_MAX 1000
#define CONTROL_JOBS_MAX        64 /* questions to the shards under way at the same moment */
#define CONTROL_CHANGES_MAX     64 /* changes of the configuration, likewise */
#define CONTROL_REPORTS_MAX     8  /* lists and sums of CDRs: a thread each */

struct calls_job;
struct change_job;
struct report_job;

struct control {
	struct node *node;
	int epoll_fd;
	int listen_fd;
	int wake_fd;   /* eventfd: connections are ready to run */
	int pause_fd;  /* timerfd: accepting goes on */
	int report_fd; /* eventfd: a report is done */
	char path[108];
	dev_t device; /* of the socket in the file system: what control_close() may remove */
	ino_t inode;
	struct connection *connections;
	uint64_t activity; /* counted on: orders connections by when they last sent something */
	unsigned connection_count;
	struct connection *ready_first, *ready_last; /* to run in this turn or the next */
	struct calls_job *jobs;                      /* under way at the shards */
	unsigned job_count;
	struct change_job *changes; /* under way at the loading thread */
	unsigned change_count;
	struct report_job *reports; /* under way in threads of their own */
	unsigned report_count;
	size_t output_bytes; /* replies not yet read, all connections */
};

/* Has connection_run() called soon; once, however often it is asked for. */
void control_make_ready(struct control *c, struct connection *n);
void control_forget_ready(struct control *c, struct connection *n);

#endif
