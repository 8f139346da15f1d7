/* Random bytes, and files that were good before some bytes of them changed: reading ends, finds each row good or tells
 * a fault, and what it finds good reads as the same when it is written again. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/money.h"
#include "billing/rates_csv.h"

enum { ROUNDS = 30000, SIZE_MAX_ = 400 };

static uint64_t state = 88172645463325252;

static uint32_t random_below(uint32_t end)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state >> 32) % end);
}

static void check(bool ok, const char *what, unsigned round)
{
	if (ok)
		return;
	fprintf(stderr, "round %u: %s\n", round, what);
	exit(1);
}

static const char good[] = "prefix,name,rate_per_minute,connect_fee,first_increment_s,next_increment_s,grace_s,"
			   "effective_from,effective_to\r\n"
			   "4420,\"UK, London\",0.0125,0.5,60,6,3,2030-01-01,2031-01-31T18:30:15.25Z\r\n"
			   "44,UK,1,,,,,,\n\n1,\"a \"\"b\"\"\",2,,1,1,,,2030-01-01\n";

static size_t make(char *text)
{
	static const char bytes[] = "0123456789,,,\"\"\n\r.-:TZ x\xff\xc3";
	size_t size = random_below(SIZE_MAX_);

	if (random_below(4) != 0) {
		size = sizeof(good) - 1;
		memcpy(text, good, size);
		for (uint32_t i = random_below(4) + 1; i > 0; i--)
			text[random_below((uint32_t)size)] = bytes[random_below(sizeof(bytes) - 1)];
		return size - random_below(8) * random_below(8);
	}
	for (size_t i = 0; i < size; i++)
		text[i] = random_below(2) ? bytes[random_below(sizeof(bytes) - 1)] : (char)random_below(256);
	return size;
}

static void check_rows(const struct rates_csv *csv, const char *begin, size_t size, unsigned round)
{
	for (uint32_t i = 0; i < csv->count; i++) {
		const struct rate_line *row = &csv->rows[i];

		check(row->prefix_size <= RATE_PREFIX_MAX && row->name_size <= RATE_NAME_MAX, "too long", round);
		check(row->terms.rate_e8 >= 0 && row->terms.rate_e8 <= MONEY_MAX, "no amount", round);
		check(row->terms.first_s <= RATE_SECONDS_MAX && row->from_us < row->to_us, "no terms", round);
		check(row->prefix_size == 0 || (row->prefix >= begin && row->prefix + row->prefix_size <= begin + size),
		      "it points elsewhere", round);
	}
	for (unsigned i = 1; i < csv->fault_count && i < RATES_CSV_FAULTS; i++)
		check(csv->faults[i - 1].line <= csv->faults[i].line, "faults out of order", round);
}

static void check_again(const struct rates_csv *csv, unsigned round)
{
	struct rates_csv again;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	rates_csv_write_head(out);
	for (uint32_t i = 0; i < csv->count; i++)
		rates_csv_write_row(out, &csv->rows[i]);
	fclose(out);
	check(rates_csv_read(text, size, &again) == 0, "no memory", round);
	check(again.fault_count == 0 && again.count == csv->count, "it does not read as what was written", round);
	for (uint32_t i = 0; i < csv->count; i++) {
		const struct rate_line *a = &csv->rows[i], *b = &again.rows[i];

		check(a->prefix_size == b->prefix_size && memcmp(a->prefix, b->prefix, a->prefix_size) == 0 &&
			      a->name_size == b->name_size && memcmp(a->name, b->name, a->name_size) == 0 &&
			      memcmp(&a->terms, &b->terms, sizeof(a->terms)) == 0 && a->from_us == b->from_us &&
			      a->to_us == b->to_us,
		      "another row", round);
	}
	rates_csv_free(&again);
}

int main(void)
{
	unsigned read = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct rates_csv csv;
		char bytes[SIZE_MAX_ + sizeof(good)];
		size_t size = make(bytes);
		char *text = malloc(size + (size == 0)); /* to the byte: the address sanitizer sees one too far */

		memcpy(text, bytes, size);
		check(rates_csv_read(text, size, &csv) == 0, "no memory", round);
		check_rows(&csv, text, size, round);
		if (csv.fault_count == 0) {
			check_again(&csv, round);
			read++;
		}
		rates_csv_free(&csv);
	}
	printf("%u of %u files were good\n", read, ROUNDS);
	return read > 0 ? 0 : 1;
}
