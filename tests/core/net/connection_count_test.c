/* Limits of connections: max_connections, max_connections_per_source, and what strangers have of them. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "core/net/connection_count.h"

static struct connection_count *count;

static void make(void)
{
	count = calloc(1, sizeof *count);
	cr_assert_not_null(count);
	count->k0 = 1;
	count->k1 = 2;
}

static void destroy(void)
{
	free(count);
}

TestSuite(max_connections, .init = make, .fini = destroy);

static struct address v4(unsigned last)
{
	return (struct address){ .family = 4, .port = (uint16_t)(1000 + last), .ip = { 192, 0, 2, (uint8_t)last } };
}

static enum connection_leave in(uint32_t all, uint32_t per_source, unsigned last, bool stranger)
{
	const struct connection_limits limits = { all, per_source };
	const struct address source = v4(last);

	return connection_count_in(count, &limits, &source, stranger);
}

Test(max_connections, the_node_has_so_many)
{
	for (unsigned i = 0; i < 10; i++)
		cr_assert_eq(in(10, 0, i, false), CONNECTION_GRANTED);
	cr_assert_eq(in(10, 0, 77, false), CONNECTION_NODE_FULL);
	const struct connection_limits limits = { 10, 0 };
	cr_assert_eq(connection_count_in(count, &limits, NULL, false), CONNECTION_NODE_FULL);
	const struct address source = v4(3);
	connection_count_out(count, &source, false);
	cr_assert_eq(in(10, 0, 77, false), CONNECTION_GRANTED);
}

Test(max_connections, strangers_leave_half_to_the_others)
{
	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(in(10, 0, i, true), CONNECTION_GRANTED);
	cr_assert_eq(in(10, 0, 6, true), CONNECTION_STRANGERS_FULL);
	cr_assert_eq(count->all, 5);
	cr_assert_eq(in(10, 0, 6, false), CONNECTION_GRANTED);
	const struct address source = v4(0);
	connection_count_out(count, &source, true);
	cr_assert_eq(in(10, 0, 6, true), CONNECTION_GRANTED);
}

/* Whatever its port. */
Test(max_connections, a_source_has_its_own_limit)
{
	struct address source = v4(1);

	cr_assert_eq(in(100, 2, 1, true), CONNECTION_GRANTED);
	cr_assert_eq(in(100, 2, 1, false), CONNECTION_GRANTED);
	source.port++;
	cr_assert_eq(connection_count_in(count, &(struct connection_limits){ 100, 2 }, &source, true),
		     CONNECTION_SOURCE_FULL);
	cr_assert_eq(count->all, 2);
	cr_assert_eq(count->strangers, 1);
	cr_assert_eq(in(100, 2, 2, false), CONNECTION_GRANTED);
	connection_count_out(count, &source, true);
	cr_assert_eq(in(100, 2, 1, true), CONNECTION_GRANTED);
}

Test(max_connections, an_ipv6_source_is_its_64)
{
	struct address source = { .family = 6, .ip = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 9, 9 } };
	const struct connection_limits limits = { 100, 1 };

	cr_assert_eq(connection_count_in(count, &limits, &source, false), CONNECTION_GRANTED);
	source.ip[15] = 7;
	cr_assert_eq(connection_count_in(count, &limits, &source, false), CONNECTION_SOURCE_FULL);
	source.ip[7] = 2;
	cr_assert_eq(connection_count_in(count, &limits, &source, false), CONNECTION_GRANTED);
}
