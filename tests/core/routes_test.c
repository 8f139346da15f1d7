/* Spec 7: the longest matching prefix, then the smallest priority, then the name; and the shorter prefixes after it
 * (prefix_mode).  */
#include "core/config/routes.h"

#include <time.h>

#include "billing/prefix_lines.h"
#include "config_files.h"

#define LISTEN "listen \"main\" { address = \"127.0.0.1\" }\n"

#define LONGEST (CONFIG_PREFIX_MAX + 1)

TestSuite(spec_7_routes, .init = scratch_open, .fini = scratch_close);

/* The names of the candidates, in their order. */
static const char *candidates(const struct config *c, const char *number)
{
	static char names[512];
	const struct routing_gateway *const *list;
	uint32_t length;
	uint32_t count = config_route_find(c, bytes_of(number), LONGEST, &list, &length);

	names[0] = '\0';
	for (uint32_t i = 0; i < count; i++) {
		strcat(names, i ? " " : "");
		strcat(names, list[i]->name);
	}
	return names;
}

Test(spec_7_routes, longest_prefix_wins_whatever_the_priority)
{
	struct config *c =
		load_text(LISTEN "routing_gateway \"any\" { address = \"10.0.0.1\" prefix = \"\" priority = 0 }\n"
				 "routing_gateway \"bd\" { address = \"10.0.0.1\" prefix = {\"880\"} priority = 5 }\n"
				 "routing_gateway \"gp\" { address = \"10.0.0.1\" prefix = {\"88017\", \"44\"} }\n");

	cr_assert_str_eq(candidates(c, "8801711"), "gp");
	cr_assert_str_eq(candidates(c, "8801811"), "bd");
	cr_assert_str_eq(candidates(c, "880"), "bd");
	cr_assert_str_eq(candidates(c, "88"), "any");
	cr_assert_str_eq(candidates(c, "44"), "gp");
	cr_assert_str_eq(candidates(c, ""), "any");
	config_free(c);
}

Test(spec_7_routes, equal_prefixes_go_by_priority_then_name)
{
	struct config *c = load_text(
		LISTEN "routing_gateway \"zulu\" { address = \"10.0.0.1\" prefix = {\"1\"} priority = 2 }\n"
		       "routing_gateway \"kilo\" { address = \"10.0.0.2\" prefix = {\"1\"} priority = 2 }\n"
		       "routing_gateway \"mike\" { address = \"10.0.0.1\" prefix = {\"1\"} priority = 10 }\n"
		       "routing_gateway \"last\" { address = \"10.0.0.1\" prefix = {\"1\"} priority = 1 }\n"
		       "routing_gateway \"long\" { address = \"10.0.0.1\" prefix = {\"12\", \"1\", \"12\"} }\n");

	cr_assert_str_eq(candidates(c, "19"), "last long kilo zulu mike");
	cr_assert_str_eq(candidates(c, "12"), "long", "a prefix that stands twice counts once");
	cr_assert_eq(routes_prefix_count(c->routes), 2);
	config_free(c);
}

static bool routed(const struct config *c, struct bytes number)
{
	const struct routing_gateway *const *list;
	uint32_t length;

	return config_route_find(c, number, LONGEST, &list, &length) > 0;
}

Test(spec_7_routes, no_gateway_no_route)
{
	struct config *c = load_text(LISTEN "routing_gateway \"a\" { address = \"10.0.0.1\" prefix = {\"880\"} }\n");

	cr_assert_not(routed(c, BYTES("44")));
	cr_assert_not(routed(c, BYTES("88")));
	cr_assert_not(routed(c, BYTES_NONE));
	config_free(c);

	c = load_text(LISTEN);
	cr_assert_not(routed(c, BYTES("44")));
	cr_assert_not(routed(c, BYTES_NONE));
	config_free(c);
}

/* prefix_mode = "continue": from level to level, each once, with "" as the last one. */
Test(spec_7_prefix_mode, shorter_prefixes_follow_one_by_one)
{
	scratch_open();
	struct config *c =
		load_text(LISTEN "routing_gateway \"long\" { address = \"10.0.0.1\" prefix = {\"88017\", \"88\"} }\n"
				 "routing_gateway \"word\" { address = \"10.0.0.1\" prefix = {\"88017x\", \"880x\"} }\n"
				 "routing_gateway \"any\" { address = \"10.0.0.1\" prefix = {\"\", \"88017\"} }\n");
	static const struct {
		const char *number, *name;
		uint32_t below, count, length;
	} steps[] = {
		{ "88017x1", "word", LONGEST, 1, 6 }, { "88017x1", "any", 6, 2, 5 }, { "88017x1", "long", 5, 1, 2 },
		{ "88017x1", "any", 2, 1, 0 },        { "88017x1", NULL, 0, 0, 0 },  { "88017", "any", LONGEST, 2, 5 },
		{ "880x", "word", LONGEST, 1, 4 },    { "880x", "long", 4, 1, 2 },   { "88017x1", "long", 4, 1, 2 },
		{ "7", "any", LONGEST, 1, 0 },        { "7", "any", 1, 1, 0 },       { "7", NULL, 0, 0, 0 },
		{ "", "any", LONGEST, 1, 0 },         { "", NULL, 0, 0, 0 },
	};

	for (unsigned i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		const struct routing_gateway *const *list;
		uint32_t length, count;

		count = config_route_find(c, bytes_of(steps[i].number), steps[i].below, &list, &length);
		cr_assert_eq(count, steps[i].count, "step %u: %u gateways", i, count);
		cr_assert_eq(length, steps[i].length, "step %u: %u characters", i, length);
		if (count)
			cr_assert_str_eq(list[0]->name, steps[i].name, "step %u", i);
		else
			cr_assert_null(list, "step %u", i);
	}
	config_free(c);
	scratch_close();
}

Test(spec_7_routes, prefixes_may_have_other_characters_than_digits)
{
	struct config *c = load_text(LISTEN "routing_gateway \"star\" { address = \"10.0.0.1\" prefix = {\"*31#\"} }\n"
					    "routing_gateway \"desk\" { address = \"10.0.0.1\" prefix = {\"help\"} }\n"
					    "routing_gateway \"any\" { address = \"10.0.0.1\" }\n");

	cr_assert_str_eq(candidates(c, "*31#880"), "star");
	cr_assert_str_eq(candidates(c, "helpdesk"), "desk");
	cr_assert_str_eq(candidates(c, "HELP"), "any", "letters are compared as they are");
	cr_assert_str_eq(candidates(c, "*31"), "any");
	config_free(c);
}

Test(spec_7_routes, longest_prefix_there_can_be)
{
	char text[512], number[80];
	memset(number, '7', 79);
	number[79] = '\0';
	snprintf(text, sizeof text,
		 LISTEN "routing_gateway \"a\" { address = \"10.0.0.1\" prefix = {\"%.63s\"} }\n"
			"routing_gateway \"b\" { address = \"10.0.0.1\" prefix = {\"%.62s\"} }\n",
		 number, number);
	struct config *c = load_text(text);

	cr_assert_str_eq(candidates(c, number), "a");
	number[63] = '\0';
	cr_assert_str_eq(candidates(c, number), "a");
	number[62] = '\0';
	cr_assert_str_eq(candidates(c, number), "b");
	number[61] = '\0';
	cr_assert_str_eq(candidates(c, number), "");
	config_free(c);
}

/* Prefixes from a file stand beside those of the configuration itself. */
Test(spec_2_prefix_file, adds_one_prefix_a_line)
{
	scratch_open();
	static const char file[] = "# rates of March\n880\n\n  4420  \r\n1868 # Trinidad\n\"\"\n33";

	write_file("prefixes.txt", file, strlen(file));
	struct config *c =
		load_text(LISTEN "routing_gateway \"f\" { address = \"10.0.0.1\" prefix = {\"99\"}\n"
				 "  prefix_file = \"prefixes.txt\" }\n"
				 "routing_gateway \"only\" { address = \"10.0.0.2\" prefix_file = prefixes.txt\n"
				 "  priority = 2 }\n");

	cr_assert_eq(c->routings[0].prefix_count, 6);
	cr_assert_eq(c->routings[0].prefix_listed, 1);
	cr_assert_str_eq(c->routings[0].prefixes[0], "99");
	cr_assert_str_eq(c->routings[0].prefixes[2], "4420");
	cr_assert_eq(c->routings[1].prefix_count, 5);
	cr_assert_str_eq(candidates(c, "880"), "f only");
	cr_assert_str_eq(candidates(c, "18685"), "f only");
	cr_assert_str_eq(candidates(c, "33"), "f only");
	cr_assert_str_eq(candidates(c, "991"), "f");
	cr_assert_str_eq(candidates(c, "7"), "f only");
	config_free(c);
	scratch_close();
}

/* ---- random tables against the definition ---- */

/* The definition: all pairs of prefix and gateway, sorted by prefix, then as candidates are ordered. */
struct naive_entry {
	const char *prefix;
	const struct routing_gateway *gateway;
};

struct naive {
	struct naive_entry *entries;
	uint32_t count;
};

static int compare_entries(const void *a, const void *b)
{
	const struct naive_entry *x = a, *y = b;
	int difference = strcmp(x->prefix, y->prefix);

	if (difference == 0)
		difference = (int)x->gateway->priority - (int)y->gateway->priority;
	return difference ? difference : strcmp(x->gateway->name, y->gateway->name);
}

static void naive_make(struct naive *n, const struct routing_gateway *gateways, uint32_t gateway_count)
{
	n->count = 0;
	for (uint32_t g = 0; g < gateway_count; g++)
		for (uint32_t i = 0; i < gateways[g].prefix_count; i++)
			n->entries[n->count++] = (struct naive_entry){ gateways[g].prefixes[i], &gateways[g] };
	qsort(n->entries, n->count, sizeof *n->entries, compare_entries);
}

static uint32_t naive_prefixes(const struct naive *n)
{
	uint32_t distinct = 0;

	for (uint32_t i = 0; i < n->count; i++)
		distinct += i == 0 || strcmp(n->entries[i - 1].prefix, n->entries[i].prefix) != 0;
	return distinct;
}

/* The gateways that have exactly this prefix, each once. */
static uint32_t gateways_of(const struct naive *n, const char *prefix, const struct routing_gateway **list)
{
	size_t low = 0, high = n->count;
	uint32_t count = 0;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (strcmp(n->entries[middle].prefix, prefix) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < n->count && strcmp(n->entries[low].prefix, prefix) == 0; low++)
		if (count == 0 || list[count - 1] != n->entries[low].gateway)
			list[count++] = n->entries[low].gateway;
	return count;
}

static uint32_t naive_find(const struct naive *n, const char *number, uint32_t below,
			   const struct routing_gateway **list, uint32_t *ret_length)
{
	size_t length = strlen(number) < below ? strlen(number) + 1 : below;

	while (length-- > 0) {
		char start[128];

		snprintf(start, sizeof start, "%.*s", (int)length, number);
		*ret_length = (uint32_t)length;
		uint32_t count = gateways_of(n, start, list);
		if (count)
			return count;
	}
	*ret_length = 0;
	return 0;
}

/* From the longest prefix of a number to none.  Returns how many levels there were, -1: they differ. */
static int walk(const struct route_table *table, const struct naive *naive, const char *number)
{
	uint32_t below = LONGEST, count, length;
	int levels = 0;

	do {
		const struct routing_gateway *const *list, *expected[64];
		uint32_t expected_length, expected_count;

		expected_count = naive_find(naive, number, below, expected, &expected_length);
		count = routes_find(table, bytes_of(number), below, &list, &length);
		if (count != expected_count || length != expected_length || (count && length >= below) ||
		    (count && memcmp(list, expected, count * sizeof expected[0]) != 0))
			return -1;
		levels += count > 0;
		below = length;
	} while (count);
	return levels;
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static void random_text(uint32_t *random, const char *alphabet, char *text, unsigned length)
{
	for (unsigned i = 0; i < length; i++)
		text[i] = alphabet[next_random(random) % strlen(alphabet)];
	text[length] = '\0';
}

#define GATEWAYS 40
#define PREFIXES 2500 /* of each */
#define ENTRIES  (GATEWAYS * PREFIXES)

struct random_table {
	struct routing_gateway gateways[GATEWAYS];
	char texts[ENTRIES][CONFIG_PREFIX_MAX + 1], *pointers[ENTRIES];
	struct naive_entry entries[ENTRIES];
};

/* Gateways with `each` of the texts. */
static void share_out(struct random_table *t, uint32_t gateway_count, uint32_t each)
{
	for (uint32_t i = 0; i < gateway_count * each; i++)
		t->pointers[i] = t->texts[i];
	for (uint32_t g = 0; g < gateway_count; g++) {
		snprintf(t->gateways[g].name, sizeof t->gateways[g].name, "g%02u", g * 7 % gateway_count);
		t->gateways[g].priority = g % 7;
		t->gateways[g].prefixes = &t->pointers[g * each];
		t->gateways[g].prefix_count = each;
	}
}

/* 100,000 prefixes of 4 to 9 digits in 40 gateways, 20,000 numbers.  Short prefixes stand in many gateways, and twice
 * in some. */
Test(spec_7_routes, hundred_thousand_prefixes_agree_with_a_naive_search)
{
	static struct random_table t;
	struct naive naive = { .entries = t.entries };
	uint32_t random = 7, matched = 0;
	struct route_table *table;

	for (unsigned i = 0; i < ENTRIES; i++)
		random_text(&random, "0123456789", t.texts[i], 4 + i % 6);
	share_out(&t, GATEWAYS, PREFIXES);
	naive_make(&naive, t.gateways, GATEWAYS);
	cr_assert_eq(routes_build(t.gateways, GATEWAYS, &table), 0);
	cr_assert_eq(routes_prefix_count(table), naive_prefixes(&naive));

	for (unsigned n = 0; n < 20000; n++) {
		char number[24];

		random_text(&random, "0123456789", number, 12);
		if (n % 2) { /* begins with one of the prefixes */
			const char *prefix = t.texts[next_random(&random) % ENTRIES];
			memcpy(number, prefix, strlen(prefix));
		}
		int levels = walk(table, &naive, number);
		cr_assert_geq(levels, 0, "%s", number);
		matched += levels > 0;
	}
	cr_assert_gt(matched, 10000);
	routes_free(table);
}

static const char *const alphabets[] = {
	"0123456789", "0123456789*#", "07",
	"7",          "12ab",         "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_*#",
};

/* A prefix of any length, of a length around that of a word, or an earlier one with a few characters more or less. */
static void random_prefix(struct random_table *t, uint32_t i, const char *alphabet, uint32_t *random)
{
	char *text = t->texts[i];
	uint32_t kind = next_random(random) % 4, length;

	if (kind == 0) {
		random_text(random, alphabet, text, next_random(random) % (CONFIG_PREFIX_MAX + 1));
	} else if (kind == 1 || i == 0) {
		random_text(random, alphabet, text, 13 + next_random(random) % 6);
	} else {
		memcpy(text, t->texts[next_random(random) % i], sizeof t->texts[i]);
		length = (uint32_t)strlen(text);
		if (kind == 2)
			text[length - (length ? next_random(random) % length : 0)] = '\0';
		else
			random_text(random, alphabet, text + length,
				    next_random(random) % (CONFIG_PREFIX_MAX + 1 - length) % 4);
	}
}

/* Begins with a prefix, is a part of one, or is anything; perhaps with a character that no prefix has. */
static void random_number(const struct random_table *t, uint32_t entries, const char *alphabet, uint32_t *random,
			  char number[static 128])
{
	const char *prefix = next_random(random) % 8 ? t->texts[next_random(random) % entries] : "";
	size_t length = strlen(prefix);

	memcpy(number, prefix, length);
	if (next_random(random) % 4 == 0)
		length = next_random(random) % (length + 1);
	random_text(random, alphabet, number + length, next_random(random) % 40);
	if (*number && next_random(random) % 4 == 0)
		number[next_random(random) % strlen(number)] = "+.@\x80"[next_random(random) % 4];
}

/* Small tables of all alphabets, with all lengths and with prefixes that have much in common. */
Test(spec_7_prefix_mode, random_tables_agree_with_a_naive_search_on_every_level)
{
	static struct random_table t;
	struct naive naive = { .entries = t.entries };
	uint32_t random = 11, deepest = 0;

	for (unsigned round = 0; round < 600; round++) {
		const char *alphabet = alphabets[round % (sizeof alphabets / sizeof alphabets[0])];
		uint32_t gateways = 1 + next_random(&random) % 12, each = 1 + next_random(&random) % 20;
		struct route_table *table;

		for (uint32_t i = 0; i < gateways * each; i++)
			random_prefix(&t, i, alphabet, &random);
		share_out(&t, gateways, each);
		naive_make(&naive, t.gateways, gateways);
		cr_assert_eq(routes_build(t.gateways, gateways, &table), 0);
		cr_assert_eq(routes_prefix_count(table), naive_prefixes(&naive));
		for (unsigned n = 0; n < 100; n++) {
			char number[128];

			random_number(&t, gateways * each, alphabet, &random, number);
			int levels = walk(table, &naive, number);
			cr_assert_geq(levels, 0, "round %u: %s", round, number);
			if (levels > (int)deepest)
				deepest = (uint32_t)levels;
		}
		routes_free(table);
	}
	cr_assert_gt(deepest, 15);
}

/* ---- what is made up to be slow ---- */

static double cpu_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* So many gateways, each with the same prefixes.  Returns the table; fails if that took long. */
static struct route_table *build_equal(struct routing_gateway *gateways, uint32_t gateway_count, char **prefixes,
				       uint32_t prefix_count)
{
	struct route_table *table;

	for (uint32_t g = 0; g < gateway_count; g++) {
		snprintf(gateways[g].name, sizeof gateways[g].name, "g%06u", gateway_count - g);
		gateways[g].prefixes = prefixes;
		gateways[g].prefix_count = prefix_count;
	}
	double from = cpu_seconds();
	cr_assert_eq(routes_build(gateways, gateway_count, &table), 0);
	cr_assert_lt(cpu_seconds() - from, 10, "seconds; a fraction of one without sanitizers");
	return table;
}

Test(spec_7_routes, hundred_thousand_gateways_of_one_prefix)
{
	enum { COUNT = 100000 };
	struct routing_gateway *gateways = calloc(COUNT, sizeof *gateways);
	const struct routing_gateway *const *list;
	char *prefix = "880";
	uint32_t length;
	struct route_table *table = build_equal(gateways, COUNT, &prefix, 1);

	cr_assert_eq(routes_prefix_count(table), 1);
	cr_assert_eq(routes_find(table, BYTES("8801"), LONGEST, &list, &length), COUNT);
	for (uint32_t i = 0; i < COUNT; i++)
		cr_assert(list[i] == &gateways[COUNT - 1 - i]);
	routes_free(table);
	free(gateways);
}

Test(spec_7_routes, thousand_gateways_with_the_same_thousand_prefixes)
{
	enum { COUNT = 1000 };
	struct routing_gateway *gateways = calloc(COUNT, sizeof *gateways);
	const struct routing_gateway *const *list;
	static char texts[COUNT][32], *prefixes[COUNT];
	uint32_t length;

	for (unsigned i = 0; i < COUNT; i++) {
		snprintf(texts[i], sizeof texts[i], i % 2 ? "%u" : "%022u", 1000 + i);
		prefixes[i] = texts[i];
	}
	struct route_table *table = build_equal(gateways, COUNT, prefixes, COUNT);
	cr_assert_eq(routes_prefix_count(table), COUNT);
	for (unsigned i = 0; i < COUNT; i++) {
		cr_assert_eq(routes_find(table, bytes_of(texts[i]), LONGEST, &list, &length), COUNT);
		cr_assert_eq(length, strlen(texts[i]));
		cr_assert(list[0] == &gateways[COUNT - 1]);
	}
	routes_free(table);
	free(gateways);
}

/* A number with a prefix of every length: 64 levels. */
Test(spec_7_prefix_mode, prefix_of_every_length)
{
	static struct random_table t;
	struct naive naive = { .entries = t.entries };
	struct route_table *table;
	char number[] = "1234567890*#1234567890*#1234567890*#1234567890*#1234567890*#1234567890";

	for (unsigned letters = 0; letters < 2; letters++) {
		for (unsigned i = 0; i <= CONFIG_PREFIX_MAX; i++)
			snprintf(t.texts[i], sizeof t.texts[i], "%.*s", (int)i, number);
		share_out(&t, 1, CONFIG_PREFIX_MAX + 1);
		naive_make(&naive, t.gateways, 1);
		cr_assert_eq(routes_build(t.gateways, 1, &table), 0);
		cr_assert_eq(walk(table, &naive, number), CONFIG_PREFIX_MAX + 1);
		routes_free(table);
		number[3] = 'x';
	}
}

/* Prefixes that all belong into the same lines of the table: they are found all the same, also under numbers that are
 * nothing but words, and on every level. */
Test(spec_7_prefix_mode, prefixes_made_up_to_meet)
{
	enum { CROWD = 500, COUNT = 1000 };
	static struct random_table t;
	struct naive naive = { .entries = t.entries };
	struct prefix_lines lines;
	struct route_table *table;
	uint32_t random = 3, levels = 0;

	cr_assert_eq(prefix_lines_create(&lines, COUNT), 0); /* as large as the table's will be */
	for (unsigned i = 0; i < COUNT;) {
		uint64_t word = 0;

		random_text(&random, "0123456789", t.texts[i], 8 + next_random(&random) % 9);
		for (const char *c = t.texts[i]; *c; c++)
			word = prefix_word_next(word, *c);
		i += i >= CROWD || prefix_lines_at(&lines, word) == &lines.lines[7];
	}
	for (unsigned i = 0; i < CROWD; i += 2) { /* some of the others begin with one of them */
		char longer[sizeof t.texts[i]];

		snprintf(longer, sizeof longer, "%.20s%.20s", t.texts[i], t.texts[CROWD + i + 1]);
		strcpy(t.texts[CROWD + i], longer);
	}
	prefix_lines_destroy(&lines);
	share_out(&t, 4, COUNT / 4);
	naive_make(&naive, t.gateways, 4);
	cr_assert_eq(routes_build(t.gateways, 4, &table), 0);
	cr_assert_eq(routes_prefix_count(table), COUNT);
	for (unsigned i = 0; i < COUNT; i++) {
		int here = walk(table, &naive, t.texts[i]);

		cr_assert_gt(here, 0, "%s", t.texts[i]);
		levels += (uint32_t)here;
	}
	cr_assert_geq(levels, COUNT + CROWD / 2);
	routes_free(table);
}

/* A reload builds a table beside the old one and frees that later. */
Test(spec_2_reload, tables_come_and_go)
{
	static struct random_table t;
	struct naive naive = { .entries = t.entries };
	struct route_table *old = NULL, *table;
	uint32_t random = 5;

	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 8 * PREFIXES; i++)
			random_text(&random, i % 8 ? "0123456789" : "abc", t.texts[i], 3 + i % 20);
		share_out(&t, 8, PREFIXES);
		cr_assert_eq(routes_build(t.gateways, 8, &table), 0);
		routes_free(old);
		old = table;
	}
	naive_make(&naive, t.gateways, 8);
	for (unsigned i = 0; i < 1000; i++)
		cr_assert_gt(walk(table, &naive, t.texts[i]), 0);
	routes_free(old);
}
