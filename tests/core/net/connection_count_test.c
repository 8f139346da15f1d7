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

static enum connection_leave in(uint32_t all, uint32_t per_source, unsigned last, enum connection_kind kind)
{
	const struct connection_limits limits = { all, per_source };
	const struct address source = v4(last);

	return connection_count_in(count, &limits, &source, kind);
}

Test(max_connections, the_node_has_so_many)
{
	for (unsigned i = 0; i < 10; i++)
		cr_assert_eq(in(10, 0, i, CONNECTION_OF_GATEWAY), CONNECTION_GRANTED);
	cr_assert_eq(in(10, 0, 77, CONNECTION_OF_GATEWAY), CONNECTION_NODE_FULL);
	cr_assert_eq(in(10, 0, 77, CONNECTION_OURS), CONNECTION_NODE_FULL);
	const struct address source = v4(3);
	connection_count_out(count, &source, CONNECTION_OF_GATEWAY);
	cr_assert_eq(in(10, 0, 77, CONNECTION_OF_GATEWAY), CONNECTION_GRANTED);
}

Test(max_connections, strangers_leave_half_to_the_others)
{
	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(in(10, 0, i, CONNECTION_OF_STRANGER), CONNECTION_GRANTED);
	cr_assert_eq(in(10, 0, 6, CONNECTION_OF_STRANGER), CONNECTION_STRANGERS_FULL);
	cr_assert_eq(count->all, 5);
	cr_assert_eq(in(10, 0, 6, CONNECTION_OF_GATEWAY), CONNECTION_GRANTED);
	const struct address source = v4(0);
	connection_count_out(count, &source, CONNECTION_OF_STRANGER);
	cr_assert_eq(in(10, 0, 6, CONNECTION_OF_STRANGER), CONNECTION_GRANTED);
}

/* Whatever its port. */
Test(max_connections, a_source_has_its_own_limit)
{
	struct address source = v4(1);

	cr_assert_eq(in(100, 2, 1, CONNECTION_OF_STRANGER), CONNECTION_GRANTED);
	cr_assert_eq(in(100, 2, 1, CONNECTION_OF_GATEWAY), CONNECTION_GRANTED);
	source.port++;
	cr_assert_eq(connection_count_in(count, &(struct connection_limits){ 100, 2 }, &source, CONNECTION_OF_STRANGER),
		     CONNECTION_SOURCE_FULL);
	cr_assert_eq(count->all, 2);
	cr_assert_eq(count->strangers, 1);
	cr_assert_eq(in(100, 2, 2, CONNECTION_OF_GATEWAY), CONNECTION_GRANTED);
	connection_count_out(count, &source, CONNECTION_OF_STRANGER);
	cr_assert_eq(in(100, 2, 1, CONNECTION_OF_STRANGER), CONNECTION_GRANTED);
}

/* A peer that names ever other ports to answer to has no more of them than it may open itself, and a carrier has one
 * from each worker, whatever the limit. */
Test(max_connections, those_that_the_node_opens_are_counted_by_address_too)
{
	for (unsigned i = 0; i < CONNECTION_OURS_MIN; i++)
		cr_assert_eq(in(1000, 2, 1, CONNECTION_OURS), CONNECTION_GRANTED);
	cr_assert_eq(in(1000, 2, 1, CONNECTION_OURS), CONNECTION_SOURCE_FULL);
	cr_assert_eq(in(1000, 2, 2, CONNECTION_OURS), CONNECTION_GRANTED);
	cr_assert_eq(in(1000, 2, 1, CONNECTION_OF_GATEWAY), CONNECTION_GRANTED, "what comes in has its own count");
	const struct address source = v4(1);
	connection_count_out(count, &source, CONNECTION_OURS);
	cr_assert_eq(in(1000, 2, 1, CONNECTION_OURS), CONNECTION_GRANTED);
	for (unsigned i = 0; i < 100; i++)
		cr_assert_eq(in(1000, 100, 3, CONNECTION_OURS), CONNECTION_GRANTED);
	cr_assert_eq(in(1000, 100, 3, CONNECTION_OURS), CONNECTION_SOURCE_FULL);
}

Test(max_connections, an_ipv6_source_is_its_64)
{
	struct address source = { .family = 6, .ip = { 0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, 9, 9 } };
	const struct connection_limits limits = { 100, 1 };

	cr_assert_eq(connection_count_in(count, &limits, &source, CONNECTION_OF_GATEWAY), CONNECTION_GRANTED);
	source.ip[15] = 7;
	cr_assert_eq(connection_count_in(count, &limits, &source, CONNECTION_OF_GATEWAY), CONNECTION_SOURCE_FULL);
	source.ip[7] = 2;
	cr_assert_eq(connection_count_in(count, &limits, &source, CONNECTION_OF_GATEWAY), CONNECTION_GRANTED);
}
