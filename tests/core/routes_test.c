/* Spec 7: the longest matching prefix, then the smallest priority, then the name.  */
#include "core/config/routes.h"

#include "config_files.h"

#define LISTEN "listen \"main\" { address = \"127.0.0.1\" }\n"

TestSuite(spec_7_routes, .init = scratch_open, .fini = scratch_close);

/* The names of the candidates, in their order. */
static const char *candidates(const struct config *c, const char *number)
{
	static char names[512];
	const struct routing_gateway *const *list;
	uint32_t count = config_route_find(c, bytes_of(number), &list);

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

Test(spec_7_routes, no_gateway_no_route)
{
	struct config *c = load_text(LISTEN "routing_gateway \"a\" { address = \"10.0.0.1\" prefix = {\"880\"} }\n");
	const struct routing_gateway *const *list;

	cr_assert_eq(config_route_find(c, BYTES("44"), &list), 0);
	cr_assert_eq(config_route_find(c, BYTES("88"), &list), 0);
	cr_assert_eq(config_route_find(c, BYTES_NONE, &list), 0);
	config_free(c);

	c = load_text(LISTEN);
	cr_assert_eq(config_route_find(c, BYTES("44"), &list), 0);
	cr_assert_eq(config_route_find(c, BYTES_NONE, &list), 0);
	config_free(c);
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

#define GATEWAYS 40
#define PREFIXES 2500 /* of each */
#define ENTRIES  (GATEWAYS * PREFIXES)

/* The definition as a sorted list: by prefix, then as candidates are ordered. */
struct naive_entry {
	const char *prefix;
	const struct routing_gateway *gateway;
};

static int compare_entries(const void *a, const void *b)
{
	const struct naive_entry *x = a, *y = b;
	int difference = strcmp(x->prefix, y->prefix);

	if (difference == 0)
		difference = (int)x->gateway->priority - (int)y->gateway->priority;
	return difference ? difference : strcmp(x->gateway->name, y->gateway->name);
}

/* The gateways that have exactly this prefix, each once. */
static uint32_t gateways_of(const struct naive_entry *entries, const char *prefix, const struct routing_gateway **list)
{
	size_t low = 0, high = ENTRIES;
	uint32_t count = 0;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (strcmp(entries[middle].prefix, prefix) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < ENTRIES && strcmp(entries[low].prefix, prefix) == 0; low++)
		if (count == 0 || list[count - 1] != entries[low].gateway)
			list[count++] = entries[low].gateway;
	return count;
}

static uint32_t search(const struct naive_entry *entries, const char *number, const struct routing_gateway **list)
{
	for (size_t length = strlen(number) + 1; length-- > 0;) {
		char start[24];

		snprintf(start, sizeof start, "%.*s", (int)length, number);
		uint32_t count = gateways_of(entries, start, list);
		if (count)
			return count;
	}
	return 0;
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

static void random_digits(uint32_t *random, char *text, unsigned length)
{
	for (unsigned i = 0; i < length; i++)
		text[i] = (char)('0' + next_random(random) % 10);
	text[length] = '\0';
}

/* 100,000 prefixes of 4 to 9 digits in 40 gateways, 20,000 numbers.  Short prefixes stand in many gateways, and twice
 * in some. */
Test(spec_7_routes, hundred_thousand_prefixes_agree_with_a_naive_search)
{
	static struct routing_gateway gateways[GATEWAYS];
	static char texts[ENTRIES][10], *pointers[ENTRIES];
	static struct naive_entry entries[ENTRIES];
	uint32_t random = 7, matched = 0;
	struct route_table *table;

	for (unsigned i = 0; i < ENTRIES; i++) {
		random_digits(&random, texts[i], 4 + i % 6);
		pointers[i] = texts[i];
		entries[i] = (struct naive_entry){ texts[i], &gateways[i / PREFIXES] };
	}
	for (unsigned g = 0; g < GATEWAYS; g++) {
		snprintf(gateways[g].name, sizeof gateways[g].name, "g%02u", g);
		gateways[g].priority = g % 7;
		gateways[g].prefixes = &pointers[g * PREFIXES];
		gateways[g].prefix_count = PREFIXES;
	}
	qsort(entries, ENTRIES, sizeof entries[0], compare_entries);
	cr_assert_eq(routes_build(gateways, GATEWAYS, &table), 0);

	for (unsigned n = 0; n < 20000; n++) {
		const struct routing_gateway *const *list, *expected[GATEWAYS];
		char number[24];

		random_digits(&random, number, 12);
		if (n % 2) { /* begins with one of the prefixes */
			const char *prefix = texts[next_random(&random) % ENTRIES];
			memcpy(number, prefix, strlen(prefix));
		}
		uint32_t count = routes_find(table, bytes_of(number), &list);
		cr_assert_eq(count, search(entries, number, expected), "%s", number);
		for (uint32_t i = 0; i < count; i++)
			cr_assert_eq(list[i], expected[i], "%s, candidate %u", number, i);
		matched += count > 0;
	}
	cr_assert_gt(matched, 10000);
	routes_free(table);
}
