/* Rates as CSV: see rates_csv.h.  Fields are taken out of their quotes where they stand, so rows point into the text. A
 * row that is bad is read to its end all the same, and the next one begins behind it. */
#include "billing/rates_csv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "billing/money.h"
#include "billing/utf8.h"

enum column { PREFIX, NAME, RATE, CONNECT_FEE, FIRST, NEXT, GRACE, FROM, TO, COLUMNS };

static const char *const column_names[COLUMNS] = {
	[PREFIX] = "prefix",           [NAME] = "name",
	[RATE] = "rate_per_minute",    [CONNECT_FEE] = "connect_fee",
	[FIRST] = "first_increment_s", [NEXT] = "next_increment_s",
	[GRACE] = "grace_s",           [FROM] = "effective_from",
	[TO] = "effective_to",
};

struct field {
	const char *at;
	size_t size;
};

struct reader {
	char *at, *end;
	uint32_t line; /* of what comes next */
	struct rates_csv *csv;
	uint32_t rows_max;
	enum column order[COLUMNS]; /* of the columns in the file */
	unsigned column_count;
	bool bad; /* the row being read */
};

/* Faults are found in the order of the file but for rows that are there twice: so the list is kept sorted. */
__attribute__((format(printf, 3, 4))) static void fault(struct rates_csv *csv, uint32_t line, const char *format, ...)
{
	struct rates_fault found = { .line = line };
	unsigned kept = csv->fault_count < RATES_CSV_FAULTS ? (unsigned)csv->fault_count : RATES_CSV_FAULTS;
	va_list values;

	va_start(values, format);
	vsnprintf(found.reason, sizeof(found.reason), format, values);
	va_end(values);
	csv->fault_count++;
	while (kept > 0 && csv->faults[kept - 1].line > line) {
		if (kept < RATES_CSV_FAULTS)
			csv->faults[kept] = csv->faults[kept - 1];
		kept--;
	}
	if (kept < RATES_CSV_FAULTS)
		csv->faults[kept] = found;
}

/* Of a row only the first fault is told. */
#define ROW_FAULT(r, line, ...)                                                                                        \
	do {                                                                                                           \
		if (!(r)->bad)                                                                                         \
			fault((r)->csv, line, __VA_ARGS__);                                                            \
		(r)->bad = true;                                                                                       \
	} while (0)

/* ---- fields ---- */

static bool at_line_end(const struct reader *r)
{
	return r->at == r->end || *r->at == '\n' || (*r->at == '\r' && (r->at + 1 == r->end || r->at[1] == '\n'));
}

static void skip_line_end(struct reader *r)
{
	while (r->at < r->end && *r->at++ != '\n')
		;
	r->line++;
}

static void skip_to_separator(struct reader *r)
{
	while (!at_line_end(r) && *r->at != ',')
		r->at++;
}

static struct field read_quoted(struct reader *r, uint32_t line)
{
	char *begin = ++r->at, *to = begin;
	bool closed = false;

	while (r->at < r->end && !closed) {
		char byte = *r->at++;

		if (byte == '"') {
			closed = r->at == r->end || *r->at != '"';
			r->at += !closed;
		}
		if (!closed)
			*to++ = byte;
		r->line += byte == '\n';
	}
	if (!closed)
		ROW_FAULT(r, line, "a quote is not closed");
	else if (!at_line_end(r) && *r->at != ',')
		ROW_FAULT(r, line, "something stands behind a closing quote");
	skip_to_separator(r);
	return (struct field){ begin, (size_t)(to - begin) };
}

static struct field read_field(struct reader *r, uint32_t line)
{
	if (r->at < r->end && *r->at == '"')
		return read_quoted(r, line);
	const char *begin = r->at;

	skip_to_separator(r);
	const size_t size = (size_t)(r->at - begin);
	if (memchr(begin, '"', size) != NULL)
		ROW_FAULT(r, line, "a quote in the middle of a field that does not begin with one");
	return (struct field){ begin, size };
}

/* Reads up to `max` fields and counts all of them; goes to the next line. */
static unsigned read_fields(struct reader *r, struct field *fields, unsigned max)
{
	const uint32_t line = r->line;
	unsigned count = 0;

	for (;;) {
		struct field field = read_field(r, line);

		if (count < max)
			fields[count] = field;
		count++;
		if (at_line_end(r))
			break;
		r->at++; /* the comma */
	}
	skip_line_end(r);
	return count;
}

/* ---- the header ---- */

static int find_column(struct field field)
{
	for (int i = 0; i < COLUMNS; i++)
		if (strlen(column_names[i]) == field.size && memcmp(column_names[i], field.at, field.size) == 0)
			return i;
	return -1;
}

static void read_head(struct reader *r)
{
	struct field fields[COLUMNS + 1];
	const uint32_t line = r->line;
	unsigned count = read_fields(r, fields, COLUMNS + 1), seen = 0;

	for (unsigned i = 0; i < count && i <= COLUMNS && !r->bad; i++) {
		int column = find_column(fields[i]);

		if (column < 0)
			ROW_FAULT(r, line, "the header has an unknown column '%.*s'",
				  fields[i].size < 40 ? (int)fields[i].size : 40, fields[i].at);
		else if (seen >> column & 1)
			ROW_FAULT(r, line, "the header has the column %s twice", column_names[column]);
		else
			r->order[i] = (enum column)column;
		seen |= column < 0 ? 0 : 1u << column;
	}
	if (!(seen >> PREFIX & 1) || !(seen >> RATE & 1))
		ROW_FAULT(r, line, "the header must name at least the columns prefix and rate_per_minute");
	r->column_count = count;
}

/* ---- values ---- */

static void bad_value(struct reader *r, const struct rate_line *row, enum column column, struct field field,
		      const char *what)
{
	char shown[41];
	const size_t size = field.size < sizeof(shown) - 1 ? field.size : sizeof(shown) - 1;

	utf8_copy(shown, field.at, size);
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)shown[i] < ' ')
			shown[i] = '?';
	ROW_FAULT(r, row->line, "%s: '%.*s' is %s", column_names[column], (int)size, shown, what);
}

static void read_prefix(struct reader *r, struct rate_line *row, struct field field)
{
	bool digits = true;

	for (size_t i = 0; i < field.size; i++)
		digits &= field.at[i] >= '0' && field.at[i] <= '9';
	if (!digits)
		bad_value(r, row, PREFIX, field, "not digits only");
	else if (field.size > RATE_PREFIX_MAX)
		bad_value(r, row, PREFIX, field, "longer than 31 digits");
	row->prefix = field.at;
	row->prefix_size = (uint32_t)field.size;
}

static void read_name(struct reader *r, struct rate_line *row, struct field field)
{
	if (field.size > RATE_NAME_MAX)
		bad_value(r, row, NAME, field, "longer than 255 bytes");
	else if (utf8_good(field.at, field.size) != field.size)
		bad_value(r, row, NAME, field, "not UTF-8");
	row->name = field.at;
	row->name_size = (uint32_t)field.size;
}

static void read_amount(struct reader *r, const struct rate_line *row, enum column column, struct field field,
			int64_t *ret_e8)
{
	if (field.size == 0)
		return;
	if (field.at[0] == '-' || field.at[0] == '+' || !money_parse(field.at, field.size, ret_e8))
		bad_value(r, row, column, field, "no amount (digits, a point, at most 8 decimals)");
}

static void read_seconds(struct reader *r, const struct rate_line *row, enum column column, struct field field,
			 uint32_t *ret_s)
{
	uint32_t value = 0;

	for (size_t i = 0; i < field.size; i++) {
		if (field.at[i] < '0' || field.at[i] > '9' || value > RATE_SECONDS_MAX) {
			bad_value(r, row, column, field, "no number of seconds from 0 to 86400");
			return;
		}
		value = value * 10 + (uint32_t)(field.at[i] - '0');
	}
	if (value > RATE_SECONDS_MAX)
		bad_value(r, row, column, field, "no number of seconds from 0 to 86400");
	else if (field.size > 0)
		*ret_s = value;
}

static void read_date(struct reader *r, const struct rate_line *row, enum column column, struct field field,
		      int64_t *ret_us)
{
	if (field.size > 0 && !rate_time_read(field.at, field.size, ret_us))
		bad_value(r, row, column, field, "no date (2030-01-31 or 2030-01-31T18:00:00Z, UTC)");
}

static void read_value(struct reader *r, struct rate_line *row, enum column column, struct field field)
{
	switch (column) {
	case PREFIX:
		read_prefix(r, row, field);
		break;
	case NAME:
		read_name(r, row, field);
		break;
	case RATE:
		if (field.size == 0)
			ROW_FAULT(r, row->line, "rate_per_minute: it is missing");
		read_amount(r, row, column, field, &row->terms.rate_e8);
		break;
	case CONNECT_FEE:
		read_amount(r, row, column, field, &row->terms.connect_fee_e8);
		break;
	case FIRST:
		read_seconds(r, row, column, field, &row->terms.first_s);
		break;
	case NEXT:
		read_seconds(r, row, column, field, &row->terms.next_s);
		break;
	case GRACE:
		read_seconds(r, row, column, field, &row->terms.grace_s);
		break;
	case FROM:
		read_date(r, row, column, field, &row->from_us);
		break;
	case TO:
		read_date(r, row, column, field, &row->to_us);
		break;
	case COLUMNS:
		break;
	}
}

/* ---- rows ---- */

static int keep(struct reader *r, const struct rate_line *row)
{
	struct rates_csv *csv = r->csv;

	if (csv->count == r->rows_max) {
		uint32_t max = r->rows_max != 0 ? 2 * r->rows_max : 1024;
		struct rate_line *rows = realloc(csv->rows, max * sizeof(*rows));

		if (rows == NULL)
			return -ENOMEM;
		csv->rows = rows;
		r->rows_max = max;
	}
	csv->rows[csv->count++] = *row;
	return 0;
}

static int read_row(struct reader *r)
{
	struct rate_line row = { .prefix = "",
				 .name = "",
				 .line = r->line,
				 .terms = { .first_s = 1, .next_s = 1 },
				 .from_us = INT64_MIN,
				 .to_us = INT64_MAX };
	struct field fields[COLUMNS];

	if (at_line_end(r)) {
		skip_line_end(r);
		return 0;
	}
	r->bad = false;
	const unsigned count = read_fields(r, fields, COLUMNS);
	if (count != r->column_count)
		ROW_FAULT(r, row.line, "%u fields, the header has %u", count, r->column_count);
	for (unsigned i = 0; i < count && !r->bad; i++)
		read_value(r, &row, r->order[i], fields[i]);
	if (row.from_us >= row.to_us)
		ROW_FAULT(r, row.line, "effective_to: it is not after effective_from");
	return r->bad ? 0 : keep(r, &row);
}

static int compare_rows(const void *a, const void *b)
{
	const struct rate_line *x = a, *y = b;
	const size_t size = x->prefix_size < y->prefix_size ? x->prefix_size : y->prefix_size;
	const int order = memcmp(x->prefix, y->prefix, size);

	if (order != 0)
		return order;
	if (x->prefix_size != y->prefix_size)
		return x->prefix_size < y->prefix_size ? -1 : 1;
	return (x->from_us > y->from_us) - (x->from_us < y->from_us);
}

/* By their lines where the rest is the same, so that the later one is the fault. */
static int compare_places(const void *a, const void *b)
{
	const struct rate_line *x = a, *y = b;
	const int order = compare_rows(a, b);

	return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

/* What comes out of an export is sorted already. */
static void sort(struct rates_csv *csv)
{
	bool sorted = true;

	for (uint32_t i = 1; i < csv->count && sorted; i++)
		sorted = compare_rows(&csv->rows[i - 1], &csv->rows[i]) < 0;
	if (!sorted)
		qsort(csv->rows, csv->count, sizeof(*csv->rows), compare_places);
}

static void find_twins(struct rates_csv *csv)
{
	for (uint32_t i = 1; i < csv->count; i++) {
		const struct rate_line *row = &csv->rows[i], *before = row - 1;

		if (compare_rows(before, row) == 0)
			fault(csv, row->line, "prefix '%.*s' with the same effective_from stands in line %u already",
			      (int)row->prefix_size, row->prefix, before->line);
	}
}

int rates_csv_read(char *text, size_t size, struct rates_csv *ret_csv)
{
	struct reader r = { .at = text, .end = text + size, .line = 1, .csv = ret_csv };
	int result = 0;

	*ret_csv = (struct rates_csv){ .text = text };
	if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		r.at += 3;
	read_head(&r);
	/* Without a good header nothing is known of the rows. */
	const bool known = !r.bad;
	while (known && result == 0 && r.at < r.end)
		result = read_row(&r);
	if (result < 0) {
		rates_csv_free(ret_csv);
		return result;
	}
	sort(ret_csv);
	find_twins(ret_csv);
	return 0;
}

void rates_csv_free(struct rates_csv *csv)
{
	free(csv->rows);
	free(csv->text);
	*csv = (struct rates_csv){ .rows = NULL };
}

/* ---- dates ---- */

static bool read_digits(const char **at, const char *end, unsigned count, int *ret_number)
{
	*ret_number = 0;
	for (unsigned i = 0; i < count; i++, (*at)++) {
		if (*at == end || **at < '0' || **at > '9')
			return false;
		*ret_number = *ret_number * 10 + (**at - '0');
	}
	return true;
}

static bool read_mark(const char **at, const char *end, char mark)
{
	if (*at == end || **at != mark)
		return false;
	(*at)++;
	return true;
}

/* .25: microseconds. */
static bool read_fraction(const char **at, const char *end, int *ret_us)
{
	int digits = 0;

	for (*ret_us = 0; *at < end && **at >= '0' && **at <= '9' && digits < 6; digits++, (*at)++)
		*ret_us = *ret_us * 10 + (**at - '0');
	for (int i = digits; i < 6; i++)
		*ret_us *= 10;
	return digits > 0;
}

/* hh:mm[:ss[.fraction]] */
static bool read_clock(const char **at, const char *end, struct tm *tm, int *ret_us)
{
	if (!read_digits(at, end, 2, &tm->tm_hour) || !read_mark(at, end, ':') || !read_digits(at, end, 2, &tm->tm_min))
		return false;
	if (!read_mark(at, end, ':'))
		return true;
	if (!read_digits(at, end, 2, &tm->tm_sec))
		return false;
	return !read_mark(at, end, '.') || read_fraction(at, end, ret_us);
}

bool rate_time_read(const char *text, size_t size, int64_t *ret_us)
{
	const char *at = text, *end = text + size;
	struct tm tm = { .tm_mday = 0 }, same;
	int us = 0;

	if (!read_digits(&at, end, 4, &tm.tm_year) || !read_mark(&at, end, '-') ||
	    !read_digits(&at, end, 2, &tm.tm_mon) || !read_mark(&at, end, '-') ||
	    !read_digits(&at, end, 2, &tm.tm_mday))
		return false;
	if (read_mark(&at, end, 'T') || read_mark(&at, end, ' ')) {
		if (!read_clock(&at, end, &tm, &us))
			return false;
		read_mark(&at, end, 'Z');
	}
	if (at != end || tm.tm_year < 1970)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	same = tm;
	const time_t seconds = timegm(&same);
	/* There is no 30th of February: timegm() has made another day of it. */
	if (same.tm_mon != tm.tm_mon || same.tm_mday != tm.tm_mday || same.tm_hour != tm.tm_hour ||
	    same.tm_min != tm.tm_min || same.tm_sec != tm.tm_sec)
		return false;
	*ret_us = (int64_t)seconds * 1000000 + us;
	return true;
}

void rate_time_write(int64_t time_us, char out[static RATE_TIME_TEXT_BYTES])
{
	const int64_t us = (time_us % 1000000 + 1000000) % 1000000;
	const time_t seconds = time_us / 1000000 - (time_us % 1000000 < 0); /* rounded down */
	struct tm tm;

	out[0] = '\0';
	if (time_us == INT64_MIN || time_us == INT64_MAX || gmtime_r(&seconds, &tm) == NULL || tm.tm_year > 8099)
		return;
	size_t size = strftime(out, RATE_TIME_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
	if (us != 0)
		size += (size_t)snprintf(out + size, RATE_TIME_TEXT_BYTES - size, ".%06d", (int)us);
	snprintf(out + size, RATE_TIME_TEXT_BYTES - size, "Z");
}

/* ---- writing ---- */

void rates_csv_write_head(FILE *out)
{
	for (int i = 0; i < COLUMNS; i++)
		fprintf(out, "%s%s", i > 0 ? "," : "", column_names[i]);
	fputs("\r\n", out);
}

static void write_text(FILE *out, const char *text, size_t size)
{
	bool plain = true;

	for (size_t i = 0; i < size; i++)
		plain &= text[i] != ',' && text[i] != '"' && text[i] != '\r' && text[i] != '\n';
	if (plain) {
		fwrite(text, 1, size, out);
		return;
	}
	putc('"', out);
	for (size_t i = 0; i < size; i++) {
		if (text[i] == '"')
			putc('"', out);
		putc(text[i], out);
	}
	putc('"', out);
}

void rates_csv_write_row(FILE *out, const struct rate_line *row)
{
	char rate[MONEY_TEXT_MAX], fee[MONEY_TEXT_MAX], from[RATE_TIME_TEXT_BYTES], to[RATE_TIME_TEXT_BYTES];

	money_write_short(row->terms.rate_e8, 0, rate);
	money_write_short(row->terms.connect_fee_e8, 0, fee);
	rate_time_write(row->from_us, from);
	rate_time_write(row->to_us, to);
	fprintf(out, "%.*s,", (int)row->prefix_size, row->prefix);
	write_text(out, row->name, row->name_size);
	fprintf(out, ",%s,%s,%u,%u,%u,%s,%s\r\n", rate, fee, row->terms.first_s, row->terms.next_s, row->terms.grace_s,
		from, to);
}
