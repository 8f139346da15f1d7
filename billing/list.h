/* Reading CDRs back, from either store: rows, newest first, and sums by account, gateway, day...  The connection is one
 * of its own, for reading; it never blocks who writes. */
#ifndef RW_BILLING_LIST_H
#define RW_BILLING_LIST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define CDR_READ_ERROR_BYTES 256

enum cdr_answered { CDR_ANSWERED_ANY, CDR_ANSWERED_ONLY, CDR_ANSWERED_NOT };

/* Which records: all that is set must hold.  Texts NULL or "": any. */
struct cdr_filter {
	uint32_t limit;         /* rows of a list; 0: 100, never more than 100000.  Sums are of all that match */
	int64_t since_us;       /* start_us at or after this; 0: no bound */
	int64_t until_us;       /* start_us before this; 0: no bound */
	const char *before;     /* only what is listed after this cdr_id, of whatever node: the next page */
	const char *account;    /* the customer's or the vendor's */
	const char *gateway;    /* either gateway's name */
	const char *number;     /* how the caller's or the callee's number begins, as received, with or without + */
	const char *end_reason; /* its name */
	const char *cdr_id;     /* of each node that has it */
	enum cdr_answered answered;
	int64_t min_hold_ms;
};

/* What a reader may cost. */
struct cdr_limits {
	const _Atomic int64_t *give_up_ns; /* CLOCK_MONOTONIC: past it the reader ends with -ETIMEDOUT; NULL: never.
					    * Another thread may bring it forward */
};

enum cdr_column_type { CDR_COLUMN_INTEGER, CDR_COLUMN_TEXT, CDR_COLUMN_JSON };
struct cdr_value {
	const char *name;
	enum cdr_column_type type;
	int64_t integer;
	const char *text; /* terminated; valid inside the callback */
};
/* One record as column names and values, in the order of spec 9. */
typedef void cdr_row_fn(void *context, const struct cdr_value *values, unsigned count);

#define CDR_GROUPS(X)                                                                                                  \
	X(all)     /* one group */                                                                                     \
	X(account) /* of the customer */                                                                               \
	X(gateway) /* where the calls came in */                                                                       \
	X(vendor)  /* gateway where they went out, each attempt counted where it was made */                           \
	X(prefix)  /* that the call was rated by */                                                                    \
	X(reason)  /* why it ended */                                                                                  \
	X(day)                                                                                                         \
	X(hour)
enum cdr_group {
#define X(name) CDR_GROUP_##name,
	CDR_GROUPS(X)
#undef X
		CDR_GROUP_COUNT
};
const char *cdr_group_name(enum cdr_group group);
/* -1: no such group. */
int cdr_group_find(const char *name);

struct fees;
struct sums;

struct cdr_grouping {
	enum cdr_group by;
	int32_t utc_offset_s;    /* of days and hours: how far local time is ahead of UTC */
	const struct fees *fees; /* that stand in place of the records' own (fees.h); NULL: none */
};

/* Where CDRs are. */
struct cdr_place {
	const char *store; /* the key cdr_store: "" for SQLite, or postgresql://... */
	const char *path;  /* of SQLite's file */
};

/* 0 or a negative errno and a sentence: -ENOENT: nothing was written yet; -ETIMEDOUT: it was given up. */
int cdr_list(const struct cdr_place *place, const struct cdr_filter *filter, const struct cdr_limits *limits,
	     cdr_row_fn *row, void *context, char error[static CDR_READ_ERROR_BYTES]);
/* Adds to `sums` (sums.h), which the caller has made. */
int cdr_sums(const struct cdr_place *place, const struct cdr_filter *filter, const struct cdr_grouping *grouping,
	     const struct cdr_limits *limits, struct sums *sums, char error[static CDR_READ_ERROR_BYTES]);

/* The same from SQLite alone; limits may be NULL. */
int cdr_store_list(const char *path, const struct cdr_filter *filter, const struct cdr_limits *limits, cdr_row_fn *row,
		   void *context, char error[static CDR_READ_ERROR_BYTES]);
int cdr_store_sums(const char *path, const struct cdr_filter *filter, const struct cdr_grouping *grouping,
		   const struct cdr_limits *limits, struct sums *sums, char error[static CDR_READ_ERROR_BYTES]);

#endif
