/* Any text as rates: reading ends, finds each row good or tells a fault, and what it finds good reads as the same when
 * it is written again. */
#include "billing/rates_csv.h"

#include <string.h>

#include "billing/money.h"
#include "tests/fuzz/fuzz.h"

static void check_rows(const struct rates_csv *csv, const char *begin, size_t size)
{
	for (uint32_t i = 0; i < csv->count; i++) {
		const struct rate_line *row = &csv->rows[i];

		fuzz_expect(row->prefix_size <= RATE_PREFIX_MAX && row->name_size <= RATE_NAME_MAX,
			    "prefix and name are not too long");
		fuzz_expect(row->terms.rate_e8 >= 0 && row->terms.rate_e8 <= MONEY_MAX, "a rate is an amount");
		fuzz_expect(row->terms.first_s <= RATE_SECONDS_MAX && row->from_us < row->to_us,
			    "increments and dates make sense");
		fuzz_expect(row->prefix_size == 0 ||
				    (row->prefix >= begin && row->prefix + row->prefix_size <= begin + size),
			    "a row points into the text");
	}
	for (unsigned i = 1; i < csv->fault_count && i < RATES_CSV_FAULTS; i++)
		fuzz_expect(csv->faults[i - 1].line <= csv->faults[i].line, "faults are in the order of their lines");
}

static void check_again(const struct rates_csv *csv)
{
	struct rates_csv again;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	rates_csv_write_head(out);
	for (uint32_t i = 0; i < csv->count; i++)
		rates_csv_write_row(out, &csv->rows[i]);
	fclose(out);
	fuzz_expect(rates_csv_read(text, size, &again) == 0, "there is memory");
	fuzz_expect(again.fault_count == 0 && again.count == csv->count, "what was written is read again");
	for (uint32_t i = 0; i < csv->count; i++) {
		const struct rate_line *a = &csv->rows[i], *b = &again.rows[i];

		fuzz_expect(a->prefix_size == b->prefix_size && memcmp(a->prefix, b->prefix, a->prefix_size) == 0 &&
				    a->name_size == b->name_size && memcmp(a->name, b->name, a->name_size) == 0 &&
				    memcmp(&a->terms, &b->terms, sizeof(a->terms)) == 0 && a->from_us == b->from_us &&
				    a->to_us == b->to_us,
			    "a row is read as it was written");
	}
	rates_csv_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct rates_csv csv;
	char *text = malloc(size ? size : 1); /* to the byte: the address sanitizer sees one too far */

	if (!text)
		abort();
	if (size)
		memcpy(text, bytes, size);
	fuzz_expect(rates_csv_read(text, size, &csv) == 0, "there is memory");
	check_rows(&csv, text, size);
	if (csv.fault_count == 0)
		check_again(&csv);
	rates_csv_free(&csv);
	return 0;
}
