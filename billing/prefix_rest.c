#include "billing/prefix_rest.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

void prefix_rest_destroy(struct prefix_rest *r)
{
	free(r->entries);
	*r = (struct prefix_rest){ 0 };
}

int prefix_rest_put(struct prefix_rest *r, const char *prefix, struct prefix_list list)
{
	if (r->count == r->size) {
		uint32_t size = r->size ? 2 * r->size : 16;
		struct prefix_rest_entry *entries = realloc(r->entries, (size_t)size * sizeof *entries);

		if (!entries)
			return -ENOMEM;
		r->entries = entries;
		r->size = size;
	}
	r->entries[r->count++] = (struct prefix_rest_entry){ prefix, (uint32_t)strlen(prefix), PREFIX_REST_NONE, list };
	return 0;
}

static int compare_entries(const void *a, const void *b)
{
	const struct prefix_rest_entry *x = a, *y = b;

	return strcmp(x->prefix, y->prefix);
}

static bool begins_with(const char *text, uint32_t size, const struct prefix_rest_entry *e)
{
	return size >= e->length && (e->length == 0 || memcmp(text, e->prefix, e->length) == 0);
}

/* From an entry on: the longest one that the text begins with. */
static uint32_t longest_of(const struct prefix_rest *r, uint32_t index, const char *text, uint32_t size)
{
	while (index != PREFIX_REST_NONE && !begins_with(text, size, &r->entries[index]))
		index = r->entries[index].shorter;
	return index;
}

void prefix_rest_finish(struct prefix_rest *r)
{
	if (r->count)
		qsort(r->entries, r->count, sizeof *r->entries, compare_entries);
	for (uint32_t i = 1; i < r->count; i++) {
		struct prefix_rest_entry *e = &r->entries[i];

		e->shorter = longest_of(r, i - 1, e->prefix, e->length);
	}
}

/* What begins with the number does not: such entries have links to all the number's prefixes too. */
static bool stands_behind(const struct prefix_rest_entry *e, const char *number, uint32_t size)
{
	uint32_t both = e->length < size ? e->length : size;

	return both && memcmp(e->prefix, number, both) > 0;
}

const struct prefix_rest_entry *prefix_rest_find(const struct prefix_rest *r, const char *number, uint32_t size,
						 uint32_t below)
{
	uint32_t low = 0, high = r->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (stands_behind(&r->entries[middle], number, size))
			high = middle;
		else
			low = middle + 1;
	}
	uint32_t found = low ? longest_of(r, low - 1, number, size) : PREFIX_REST_NONE;
	while (found != PREFIX_REST_NONE && r->entries[found].length >= below)
		found = r->entries[found].shorter;
	return found == PREFIX_REST_NONE ? NULL : &r->entries[found];
}
