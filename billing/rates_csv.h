/* Rates as text: CSV by RFC 4180 with a header line (spec 10).
 *
 *   prefix,name,rate_per_minute,connect_fee,first_increment_s,next_increment_s,grace_s,effective_from,effective_to
 *   4420,"UK, London",0.0125,,60,6,,2030-01-01,
 *
 * The header names the columns in any order; prefix and rate_per_minute must be there.  Lines end with LF or CRLF,
 * empty ones are left out, a mark of UTF-8 at the start too.  Empty fields: prefix: any number; name, connect_fee,
 * grace_s: none; increments: 1; dates: no bound; a rate_per_minute is never empty.  Amounts have at most 8 decimals and
 * no sign. Dates are ISO 8601 in UTC: 2030-01-31, 2030-01-31T18:00, 2030-01-31T18:00:00.25Z (also with a space for the
 * T).
 *
 * Every row is read, good or bad, so that all faults are told at once.  A prefix may stand there twice, with another
 * effective_from each time.  */
#ifndef RW_BILLING_RATES_CSV_H
#define RW_BILLING_RATES_CSV_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "billing/tariff.h"

#define RATES_CSV_FAULTS     20         /* that are kept with their reasons */
#define RATES_CSV_BYTES_MAX  (1u << 30) /* of a file */
#define RATE_NAME_MAX        255        /* bytes of a destination's name */
#define RATE_SECONDS_MAX     86400      /* increments and grace */
#define RATE_TIME_TEXT_BYTES 32

struct rate_line {
	const char *prefix, *name; /* not terminated */
	uint32_t prefix_size, name_size;
	uint32_t line; /* of the file, from 1 */
	struct rate_terms terms;
	int64_t from_us, to_us;
};

struct rates_fault {
	uint32_t line;
	char reason[160];
};

struct rates_csv {
	struct rate_line *rows; /* sorted by prefix, then from_us; they point into the text */
	uint32_t count;
	uint64_t fault_count;
	struct rates_fault faults[RATES_CSV_FAULTS]; /* the first ones, by line */
	char *text;
};

/* Takes the text (malloc'ed), also on failure.  0, whatever is wrong with the rows; or -ENOMEM. */
int rates_csv_read(char *text, size_t size, struct rates_csv *ret_csv);
void rates_csv_free(struct rates_csv *csv);

/* What rates_csv_read() reads back as the same. */
void rates_csv_write_head(FILE *out);
void rates_csv_write_row(FILE *out, const struct rate_line *row);

/* "2030-01-31T18:00:00Z", with a fraction if there is one; "" for a time without bound. */
void rate_time_write(int64_t time_us, char out[static RATE_TIME_TEXT_BYTES]);
bool rate_time_read(const char *text, size_t size, int64_t *ret_us);

#endif
