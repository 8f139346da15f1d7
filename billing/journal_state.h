/* What the parts of the journal share: journal.c appends, journal_scan.c reads what is there at the start,
 * journal_loan.c lends of that, journal_reader.c follows.  For them alone. */
#ifndef RW_BILLING_JOURNAL_STATE_H
#define RW_BILLING_JOURNAL_STATE_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "billing/journal.h"
#include "billing/journal_format.h"

#define JOURNAL_SEGMENT_BYTES_MAX (1u << 30)
#define JOURNAL_PAGE              4096u /* what is left out where the disk cannot read more at once */

enum segment_state {
	SEGMENT_SPARE,   /* reserved, not begun */
	SEGMENT_CURRENT, /* what is synced next goes here */
	SEGMENT_CLOSED,
	SEGMENT_DROPPED, /* not on the disk any more */
};

struct journal_loans; /* journal_loan.c */

struct segment {
	uint32_t number;
	uint32_t end;       /* of its records, once it is closed; 0: it has none */
	uint64_t size;      /* of the file */
	uint64_t content;   /* of one of an earlier process: behind it are zeroes */
	uint64_t closed_ns; /* 0: nobody has said yet what time it is */
	enum segment_state state;
	int file;     /* CURRENT, SPARE: open for writing; otherwise -1 */
	bool scanned; /* of an earlier process */
	bool unused;  /* likewise, and nothing in it counts */
	bool idle;    /* likewise, once a later one says where the records before it end */
	/* What the disk could not read of it at the start is between; 0, 0: it could read all. */
	uint32_t unread_from, unread_to;
	bool unopened; /* it could not even open it */
	bool lends;    /* `lent_file` is open, for reading what was scanned */
	int lent_file;
};

struct journal {
	struct journal_disk disk;
	uint64_t id;
	uint32_t segment_bytes;
	uint16_t boot;

	/* In ascending order.  The appending thread alone changes them under the lock; what it reads of them it reads
	 * without.  What concerns lending, here and in each of them, is any thread's, under the lock. */
	pthread_mutex_t lock;
	struct segment *segments;
	size_t segment_count, segment_room;
	struct journal_damage *unlent; /* records that could not be read to be lent */
	size_t unlent_count, unlent_room;

	_Atomic journal_position synced;
	_Atomic uint64_t room, bytes;
	atomic_bool failed;

	/* The appending thread's. */
	struct journal_facts facts; /* of the segment under way */
	size_t current;             /* index; valid unless `fresh` */
	uint32_t written;           /* end of what is confirmed in the current segment */
	bool fresh;                 /* the next group begins a new segment */
	bool settled;               /* what is on the disk says that all of it is */
	uint64_t groups;            /* serial of the journal's own records */
	uint8_t *buffer;            /* records that wait for a sync, from `first` to `used` */
	size_t first, used, buffer_room;
};

/* Where each part of an earlier process's journal stands. */
struct journal_past {
	journal_position end;     /* of the last record that counts */
	journal_position promise; /* everything before it was once on the disk */
	uint64_t id;              /* 0: none was found */
};

/* Reads all segments in journal->segments; sets their ends. */
int journal_scan_past(struct journal *j, const struct journal_scan *scan, struct journal_past *ret_past,
		      char error[static JOURNAL_ERROR_BYTES]);

void journal_name(uint32_t number, char name[static JOURNAL_NAME_BYTES]);

/* Why a file was not opened: no matter of the disk, another try may open it. */
static inline bool journal_open_may_pass(int result)
{
	return result == -ENOMEM || result == -EMFILE || result == -ENFILE || result == -EACCES;
}

#endif
