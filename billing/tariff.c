/* See tariff.h.  A table is the prefixes of billing/prefix_lines.h, each with a list: its rates, the newest effective
 * date first.  Price lists have far more prefixes than different prices, so equal lists of all tables are one.
 *
 * Building: the rows of a table are sorted by prefix, then date; so the rows of a list lie together.  */
#include "billing/tariff.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "billing/prefix_lines.h"
#include "billing/prefix_rest.h"

#define TEXT_NONE UINT32_MAX

/* What a rate costs, and when. */
struct price {
	struct rate_terms terms;
	int64_t from_us, to_us;
};

struct table {
	struct prefix_lines lines;
	struct prefix_rest rest;
	struct prefix_list any;             /* of the empty prefix */
	uint32_t lengths;                   /* bit n: a word of n digits stands in the lines */
	bool rest_has_words;                /* any number may find something in the rest */
	char (*texts)[RATE_PREFIX_MAX + 1]; /* what the rest points into */
};

struct tariff {
	struct price *prices; /* of all lists */
	struct table *tables;
	struct account *accounts; /* by name */
	uint32_t *places;         /* by id: place among the accounts, plus 1; 0: none */
	uint32_t table_count, account_count, id_end;
};

static_assert(PREFIX_WORD_MAX < 32 && RATE_PREFIX_MAX < 32, "lengths of words are bits of 32");

/* ---- reading: accounts ---- */

const struct account *tariff_account(const struct tariff *t, uint32_t account_id)
{
	if (!t || account_id >= t->id_end || t->places[account_id] == 0)
		return NULL;
	return &t->accounts[t->places[account_id] - 1];
}

uint32_t tariff_account_count(const struct tariff *t)
{
	return t ? t->account_count : 0;
}

const struct account *tariff_account_at(const struct tariff *t, uint32_t index)
{
	assert(index < tariff_account_count(t));
	return &t->accounts[index];
}

/* ---- reading: rates ---- */

/* The words of one number. */
struct words {
	uint64_t word[PREFIX_WORD_MAX + 1]; /* by length */
	const struct prefix_line *line[PREFIX_WORD_MAX + 1];
	uint32_t lengths; /* bit n: there may be one of n digits */
};

static void read_words(const struct table *table, const char *number, uint32_t size, struct words *w)
{
	uint64_t word = 0;

	w->lengths = 0;
	for (uint32_t length = 1; length <= size && length <= PREFIX_WORD_MAX; length++) {
		if ((word = prefix_word_next(word, number[length - 1])) == 0)
			break;
		if (table->lengths >> length & 1) {
			w->word[length] = word;
			w->line[length] = prefix_lines_at(&table->lines, word);
			__builtin_prefetch(w->line[length]);
			w->lengths |= UINT32_C(1) << length;
		}
	}
}

/* The first of a list that is in effect; NULL: none.  The list is newest first: those of the future are passed over by
 * halves, those that have ended one by one. */
static const struct price *in_effect(const struct tariff *t, struct prefix_list list, int64_t at_us)
{
	const struct price *prices;
	uint32_t from = 0, end = list.count;

	if (list.count == 0)
		return NULL;
	prices = t->prices + list.first;
	while (from < end) {
		uint32_t middle = from + (end - from) / 2;

		if (prices[middle].from_us > at_us)
			from = middle + 1;
		else
			end = middle;
	}
	while (from < list.count && prices[from].to_us <= at_us)
		from++;
	return from < list.count ? &prices[from] : NULL;
}

static const struct price *price_of_words(const struct tariff *t, const struct words *w, int64_t at_us,
					  uint32_t *ret_length)
{
	for (uint32_t lengths = w->lengths; lengths;) {
		uint32_t length = 31u - (uint32_t)__builtin_clz(lengths);
		const struct prefix_slot *slot = prefix_lines_find(w->line[length], w->word[length]);
		const struct price *price;

		if (slot && (price = in_effect(t, (struct prefix_list){ slot->list_first, slot->list_count }, at_us))) {
			*ret_length = length;
			return price;
		}
		lengths &= ~(UINT32_C(1) << length);
	}
	*ret_length = 0;
	return NULL;
}

/* The longest one of the rest that is longer than `length`. */
static const struct price *price_of_rest(const struct tariff *t, const struct table *table, const char *number,
					 uint32_t size, int64_t at_us, uint32_t *length)
{
	const struct prefix_rest_entry *entry = prefix_rest_find(&table->rest, number, size, RATE_PREFIX_MAX + 1);

	while (entry && entry->length > *length) {
		const struct price *price = in_effect(t, entry->list, at_us);

		if (price) {
			*length = entry->length;
			return price;
		}
		entry = prefix_rest_shorter(&table->rest, entry);
	}
	return NULL;
}

static const struct price *find_price(const struct tariff *t, const struct table *table, const char *number,
				      uint32_t size, int64_t at_us, uint32_t *ret_length)
{
	const struct price *price, *longer = NULL;
	struct words w;

	read_words(table, number, size, &w);
	price = price_of_words(t, &w, at_us, ret_length);
	if (table->rest.count && (table->rest_has_words || size > PREFIX_WORD_MAX))
		longer = price_of_rest(t, table, number, size, at_us, ret_length);
	if (longer)
		return longer;
	return price ? price : in_effect(t, table->any, at_us);
}

bool tariff_rate(const struct tariff *t, uint32_t table, const char *number, size_t size, int64_t at_us,
		 struct rate *ret_rate)
{
	const struct price *price;
	uint32_t length;

	if (!t || table >= t->table_count)
		return false;
	size = size < RATE_PREFIX_MAX ? size : RATE_PREFIX_MAX; /* no prefix is longer */
	price = find_price(t, &t->tables[table], number, (uint32_t)size, at_us, &length);
	if (!price)
		return false;
	*ret_rate = (struct rate){ number, length, price->terms, price->from_us, price->to_us };
	return true;
}

void tariff_free(struct tariff *t)
{
	if (!t)
		return;
	for (uint32_t i = 0; i < t->table_count; i++) {
		prefix_lines_destroy(&t->tables[i].lines);
		prefix_rest_destroy(&t->tables[i].rest);
		free(t->tables[i].texts);
	}
	free(t->tables);
	free(t->prices);
	free(t->accounts);
	free(t->places);
	free(t);
}

/* ---- making: what has been added ---- */

struct row {
	uint64_t word; /* 0: the prefix is empty or fits no word */
	uint32_t text; /* of a prefix that fits no word; TEXT_NONE */
	struct price price;
};

/* The rows of one table. */
struct rows {
	char *name;
	struct row *at;
	uint32_t count, size;
	char (*texts)[RATE_PREFIX_MAX + 1];
	uint32_t text_count, text_size;
};

struct tariff_builder {
	struct rows *tables;
	struct account *accounts;
	uint32_t table_count, table_size, account_count, account_size;

	/* While it is made. */
	struct tariff *made;
	uint32_t price_count, price_size; /* of its prices */
	struct prefix_list *lists;        /* hash table of the lists that there are; count 0: free */
	uint32_t list_mask;
};

/* Room for one more. */
static int make_room(void *array, uint32_t count, uint32_t *size, size_t item)
{
	void *old, *new;
	uint32_t wanted;

	if (count < *size)
		return 0;
	if (count > UINT32_MAX / 4)
		return -ENOMEM;
	wanted = count < 8 ? 8 : 2 * count;
	memcpy(&old, array, sizeof old);
	if (!(new = realloc(old, wanted * item)))
		return -ENOMEM;
	memcpy(array, &new, sizeof new);
	*size = wanted;
	return 0;
}

int tariff_begin(struct tariff_builder **ret_builder)
{
	struct tariff_builder *b = calloc(1, sizeof *b);

	if (!b)
		return -ENOMEM;
	*ret_builder = b;
	return 0;
}

void tariff_abandon(struct tariff_builder *b)
{
	if (!b)
		return;
	for (uint32_t i = 0; i < b->table_count; i++) {
		free(b->tables[i].name);
		free(b->tables[i].at);
		free(b->tables[i].texts);
	}
	free(b->tables);
	free(b->accounts);
	free(b->lists);
	tariff_free(b->made);
	free(b);
}

int tariff_add_table(struct tariff_builder *b, const char *name, uint32_t *ret_table)
{
	int r = make_room(&b->tables, b->table_count, &b->table_size, sizeof *b->tables);
	char *own;

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < b->table_count; i++)
		if (strcmp(b->tables[i].name, name) == 0)
			return -EEXIST;
	if (!(own = strdup(name)))
		return -ENOMEM;
	b->tables[b->table_count] = (struct rows){ .name = own };
	*ret_table = b->table_count++;
	return 0;
}

static bool is_prefix(const char *prefix, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		if (prefix[i] < '0' || prefix[i] > '9')
			return false;
	return size <= RATE_PREFIX_MAX;
}

static uint64_t word_of(const char *prefix, uint32_t size)
{
	uint64_t word = 0;

	for (uint32_t i = 0; i < size && size <= PREFIX_WORD_MAX; i++)
		word = prefix_word_next(word, prefix[i]);
	return word;
}

static int add_text(struct rows *rows, const char *prefix, uint32_t size, uint32_t *ret_text)
{
	int r = make_room(&rows->texts, rows->text_count, &rows->text_size, sizeof *rows->texts);

	if (r < 0)
		return r;
	memcpy(rows->texts[rows->text_count], prefix, size);
	rows->texts[rows->text_count][size] = '\0';
	*ret_text = rows->text_count++;
	return 0;
}

int tariff_add_rate(struct tariff_builder *b, uint32_t table, const struct rate *rate)
{
	struct row row = { .text = TEXT_NONE, .price = { rate->terms, rate->from_us, rate->to_us } };
	struct rows *rows;
	int r;

	if (table >= b->table_count || rate->prefix_size > RATE_PREFIX_MAX ||
	    !is_prefix(rate->prefix, rate->prefix_size) || rate->terms.rate_e8 < 0 || rate->terms.connect_fee_e8 < 0)
		return -EINVAL;
	rows = &b->tables[table];
	r = make_room(&rows->at, rows->count, &rows->size, sizeof *rows->at);
	row.word = word_of(rate->prefix, rate->prefix_size);
	if (r == 0 && row.word == 0 && rate->prefix_size > 0)
		r = add_text(rows, rate->prefix, rate->prefix_size, &row.text);
	if (r == 0)
		rows->at[rows->count++] = row;
	return r;
}

int tariff_add_account(struct tariff_builder *b, const struct account *account)
{
	int r;

	if (account->id == 0 || account->id > ACCOUNT_ID_MAX)
		return -EINVAL;
	r = make_room(&b->accounts, b->account_count, &b->account_size, sizeof *b->accounts);
	if (r == 0)
		b->accounts[b->account_count++] = *account;
	return r;
}

/* ---- making: lists of prices ---- */

static bool same_price(const struct price *p, const struct price *q)
{
	const struct rate_terms *a = &p->terms, *b = &q->terms;

	return a->rate_e8 == b->rate_e8 && a->connect_fee_e8 == b->connect_fee_e8 && a->first_s == b->first_s &&
	       a->next_s == b->next_s && a->grace_s == b->grace_s && p->from_us == q->from_us && p->to_us == q->to_us;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}

static uint32_t hash_of(const struct row *row, uint32_t count)
{
	uint64_t hash = count;

	for (uint32_t i = 0; i < count; i++) {
		const struct price *p = &row[i].price;

		hash = mix(hash, (uint64_t)p->terms.rate_e8);
		hash = mix(hash, (uint64_t)p->terms.connect_fee_e8);
		hash = mix(hash, (uint64_t)p->terms.first_s << 32 | p->terms.next_s);
		hash = mix(hash, p->terms.grace_s);
		hash = mix(hash, (uint64_t)p->from_us);
		hash = mix(hash, (uint64_t)p->to_us);
	}
	return (uint32_t)(mix(hash, 0) >> 32);
}

static bool same_list(const struct tariff_builder *b, struct prefix_list list, const struct row *row, uint32_t count)
{
	bool same = list.count == count;

	for (uint32_t i = 0; same && i < count; i++)
		same = same_price(&b->made->prices[list.first + i], &row[i].price);
	return same;
}

static int add_list(struct tariff_builder *b, const struct row *row, uint32_t count, struct prefix_list *ret_list)
{
	uint32_t first = b->price_count;

	for (uint32_t i = 0; i < count; i++) {
		int r = make_room(&b->made->prices, b->price_count, &b->price_size, sizeof *b->made->prices);

		if (r < 0)
			return r;
		b->made->prices[b->price_count++] = row[i].price;
	}
	*ret_list = (struct prefix_list){ first, count };
	return 0;
}

/* The list of so many rows, of which there may be an equal one.  Nobody looks further than a few places, so lists that
 * were made up to meet in one cost memory, not time. */
static int make_list(struct tariff_builder *b, const struct row *row, uint32_t count, struct prefix_list *ret_list)
{
	enum { PLACES = 16 };
	uint32_t hash = hash_of(row, count);
	struct prefix_list *place = NULL;

	for (uint32_t i = 0; i < PLACES; i++) {
		place = &b->lists[(hash + i) & b->list_mask];
		if (place->count == 0)
			break;
		if (same_list(b, *place, row, count)) {
			*ret_list = *place;
			return 0;
		}
		place = NULL;
	}
	int r = add_list(b, row, count, ret_list);
	if (r == 0 && place)
		*place = *ret_list;
	return r;
}

static int reserve_lists(struct tariff_builder *b)
{
	uint64_t rows = 0, size = 1;

	for (uint32_t i = 0; i < b->table_count; i++)
		rows += b->tables[i].count;
	if (rows > PREFIX_LIST_MAX / 2)
		return -ENOMEM;
	while (size < 2 * rows)
		size *= 2;
	b->list_mask = (uint32_t)size - 1;
	b->lists = calloc(size, sizeof *b->lists); /* what is not used is not touched */
	return b->lists ? 0 : -ENOMEM;
}

/* ---- making: tables ---- */

/* The order of prefixes; 0: the same one. */
static int compare_prefixes(const struct rows *rows, const struct row *a, const struct row *b)
{
	if (a->word != b->word)
		return a->word < b->word ? -1 : 1;
	if (a->word || a->text == b->text)
		return 0;
	if (a->text == TEXT_NONE || b->text == TEXT_NONE)
		return a->text == TEXT_NONE ? -1 : 1;
	return strcmp(rows->texts[a->text], rows->texts[b->text]);
}

/* By prefix, the newest first. */
static int compare_rows(const void *x, const void *y, void *rows)
{
	const struct row *a = x, *b = y;
	int order = compare_prefixes(rows, a, b);

	return order ? order : (a->price.from_us < b->price.from_us) - (a->price.from_us > b->price.from_us);
}

/* Tables are mostly stored in order already. */
static void sort_rows(struct rows *rows)
{
	bool sorted = true;

	for (uint32_t i = 1; sorted && i < rows->count; i++)
		sorted = compare_rows(&rows->at[i - 1], &rows->at[i], rows) <= 0;
	if (!sorted)
		qsort_r(rows->at, rows->count, sizeof *rows->at, compare_rows, rows);
}

/* Of sorted rows: how many from here on have the same prefix. */
static uint32_t run_of(const struct rows *rows, uint32_t from)
{
	uint32_t end = from + 1;

	while (end < rows->count && compare_prefixes(rows, &rows->at[from], &rows->at[end]) == 0)
		end++;
	return end - from;
}

static int count_prefixes(const struct rows *rows, uint32_t *ret_count)
{
	uint32_t count = rows->count > 0;

	for (uint32_t i = 1; i < rows->count; i++) {
		const struct row *row = &rows->at[i], *before = row - 1;

		if (compare_prefixes(rows, before, row) != 0)
			count++;
		else if (before->price.from_us == row->price.from_us)
			return -EEXIST;
	}
	*ret_count = count;
	return 0;
}

static int add_text_of_word(struct rows *rows, struct row *row)
{
	uint32_t size = prefix_word_length(row->word);
	char digits[PREFIX_WORD_MAX];

	for (uint32_t i = 0; i < size; i++)
		digits[i] = (char)('0' + (row->word >> 4 * (size - 1 - i) & 15) - 1);
	return add_text(rows, digits, size, &row->text);
}

/* All but what has to stand in the rest, for which the first row of each such prefix gets a text. */
static int enter_words(struct tariff_builder *b, struct table *table, struct rows *rows)
{
	struct prefix_list list;
	uint32_t run;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < rows->count; i += run) {
		struct row *row = &rows->at[i];

		run = run_of(rows, i);
		if (row->text != TEXT_NONE)
			continue;
		r = make_list(b, row, run, &list);
		if (r == 0 && row->word == 0)
			table->any = list;
		else if (r == 0 && prefix_lines_put(&table->lines, row->word, list))
			table->lengths |= UINT32_C(1) << prefix_word_length(row->word);
		else if (r == 0)
			r = add_text_of_word(rows, row);
	}
	return r;
}

/* Texts stay where they are from here on. */
static int enter_rest(struct tariff_builder *b, struct table *table, struct rows *rows)
{
	struct prefix_list list;
	uint32_t run;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < rows->count; i += run) {
		const struct row *row = &rows->at[i];

		run = run_of(rows, i);
		if (row->text == TEXT_NONE)
			continue;
		table->rest_has_words |= row->word != 0;
		r = make_list(b, row, run, &list);
		if (r == 0)
			r = prefix_rest_put(&table->rest, rows->texts[row->text], list);
	}
	prefix_rest_finish(&table->rest);
	table->texts = rows->texts;
	rows->texts = NULL;
	return r;
}

static int make_table(struct tariff_builder *b, struct table *table, struct rows *rows)
{
	uint32_t prefixes;
	int r;

	sort_rows(rows);
	r = count_prefixes(rows, &prefixes);
	if (r == 0)
		r = prefix_lines_create(&table->lines, prefixes);
	if (r == 0)
		r = enter_words(b, table, rows);
	if (r == 0)
		r = enter_rest(b, table, rows);
	free(rows->at); /* large, and the next table needs as much */
	rows->at = NULL;
	rows->count = 0;
	return r;
}

static int make_tables(struct tariff_builder *b)
{
	struct tariff *t = b->made;
	int r = reserve_lists(b);

	t->tables = calloc((size_t)b->table_count + 1, sizeof *t->tables);
	if (!t->tables)
		return -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < b->table_count; i++) {
		t->table_count = i + 1;
		r = make_table(b, &t->tables[i], &b->tables[i]);
	}
	return r;
}

/* ---- making: accounts ---- */

static int compare_names(const void *x, const void *y)
{
	const struct account *a = x, *b = y;

	return strcmp(a->name, b->name);
}

static int make_accounts(struct tariff_builder *b)
{
	struct tariff *t = b->made;

	for (uint32_t i = 0; i < b->account_count; i++)
		t->id_end = t->id_end > b->accounts[i].id ? t->id_end : b->accounts[i].id + 1;
	if (!(t->places = calloc((size_t)t->id_end + 1, sizeof *t->places)))
		return -ENOMEM;
	if (b->account_count)
		qsort(b->accounts, b->account_count, sizeof *b->accounts, compare_names);
	t->accounts = b->accounts;
	t->account_count = b->account_count;
	b->accounts = NULL;
	for (uint32_t i = 0; i < t->account_count; i++) {
		const struct account *account = &t->accounts[i];

		if (t->places[account->id] || (i > 0 && strcmp(account->name, t->accounts[i - 1].name) == 0))
			return -EEXIST;
		if (account->table != TARIFF_NO_TABLE && account->table >= b->table_count)
			return -EINVAL;
		t->places[account->id] = i + 1;
	}
	return 0;
}

/* Gives back what was room for more. */
static void trim_prices(struct tariff_builder *b)
{
	void *prices = b->price_count ? realloc(b->made->prices, b->price_count * sizeof *b->made->prices) : NULL;

	if (prices)
		b->made->prices = prices;
}

int tariff_finish(struct tariff_builder *b, struct tariff **ret_tariff)
{
	int r = -ENOMEM;

	if ((b->made = calloc(1, sizeof *b->made)))
		r = make_tables(b);
	if (r == 0)
		r = make_accounts(b);
	if (r == 0) {
		trim_prices(b);
		*ret_tariff = b->made;
		b->made = NULL;
	}
	tariff_abandon(b);
	return r;
}
