/* Records and files for the tests of billing. */
#ifndef RW_TESTS_BILLING_SAMPLE_H
#define RW_TESTS_BILLING_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "billing/cdr.h"
#include "billing/queue.h"

struct cdr_text sample_text(const char *text);

/* A plausible record whose cdr_id and start_us follow from `number`; it borrows only static texts. */
struct cdr sample_cdr(uint64_t number);
/* The same, begun at another time. */
struct cdr sample_cdr_at(uint64_t number, int64_t start_us);
/* The same, its texts filled up so that it encodes to exactly `bytes`. */
struct cdr sample_cdr_of_size(uint64_t number, size_t bytes);
uint64_t sample_number(const struct cdr *cdr);
/* Every text and number is what sample_cdr_of_size() made of its number. */
bool sample_is_intact(const struct cdr *cdr, size_t bytes);
bool sample_equal(const struct cdr *a, const struct cdr *b);

/* A queue whose ring has `capacity` bytes, in memory of its own. */
struct record_queue *sample_queue(size_t capacity);

/* A new directory under /tmp, removed with all in it at the end of the process; the path of a file in it. */
const char *sample_directory(void);
const char *sample_path(const char *name);

#endif
