/* Steps that the tests of the store have in common; each fails the test when it does not go as expected. */
#ifndef RW_TESTS_BILLING_STORE_STEPS_H
#define RW_TESTS_BILLING_STORE_STEPS_H

#include <jansson.h>
#include <sqlite3.h>
#include <stdbool.h>

#include "billing/list.h"
#include "billing/store.h"

/* The columns of spec 9, in its order. */
#define SPEC_COLUMN_COUNT 36
extern const char *const spec_columns[SPEC_COLUMN_COUNT];

struct cdr_store *open_store(const char *path);
/* Opening fails like this; the words of the refusal. */
const char *refusal(const char *path, int expected);
/* A batch of these records. */
void add_all(struct cdr_store *store, const struct cdr *cdrs, size_t count);
void add_one(struct cdr_store *store, const struct cdr *cdr);

/* A stranger's connection, statement, and question (the first value of the answer as text, valid until the next). */
sqlite3 *raw_open(const char *path);
void raw_run(const char *path, const char *sql);
const char *raw_query(const char *path, const char *sql);

/* What a listing gave. */
struct listing {
	unsigned count;
	char ids[16][CDR_ID_SIZE + 1]; /* of the first rows */
	json_t *first;                 /* the first row, the caller's; NULL when there is none */
	bool wrong;
};
struct listing list(const char *path, struct cdr_filter filter);
int list_refusal(const char *path, char error[static 256]);
const char *first_text(const struct listing *l, const char *name);
int64_t first_integer(const struct listing *l, const char *name);

#endif
