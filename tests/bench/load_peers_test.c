/* What the caller keeps of a dialog is what it sends with later. */
#include "bench/load_peers.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CALLS = 300 };

static struct load_peers *open_peers(void)
{
	struct load_peers *p = malloc(sizeof *p);

	cr_assert(p && load_peers_open(p, CALLS));
	return p;
}

static struct load_message answer(const char *tag, const char *contact, const char *route, const char *route_2)
{
	struct load_message m = { .status = 200 };

	m.to_tag = bytes_of(tag);
	m.contact = bytes_of(contact);
	if (route)
		m.record_route[m.record_route_count++] = bytes_of(route);
	if (route_2)
		m.record_route[m.record_route_count++] = bytes_of(route_2);
	return m;
}

static void keeps(struct load_peers *p, uint32_t peer, const char *tag, const char *target, const char *routes)
{
	struct load_peer *got = malloc(sizeof *got);

	cr_assert(got);
	load_peers_get(p, peer, got);
	cr_assert(bytes_equal(got->tag, bytes_of(tag)));
	cr_assert(bytes_equal(got->target, bytes_of(target)), "%.*s", (int)got->target.size, got->target.at);
	cr_assert(bytes_equal(got->routes, bytes_of(routes)), "%.*s", (int)got->routes.size, got->routes.at);
	free(got);
}

Test(load_peers, a_tag_that_stands_in_the_target_is_kept_once)
{
	struct load_peers *p = open_peers();
	struct load_message a = answer("aaaa1111", "sip:aaaa1111@1.2.3.4:5060", NULL, NULL);
	struct load_message b = answer("bbbb2222", "sip:bbbb2222@1.2.3.4:5060", NULL, NULL);
	uint32_t one = load_peers_keep(p, &a), other = load_peers_keep(p, &b);

	cr_assert_eq(p->shapes, 1u);
	keeps(p, one, "aaaa1111", "sip:aaaa1111@1.2.3.4:5060", "");
	keeps(p, other, "bbbb2222", "sip:bbbb2222@1.2.3.4:5060", "");
	cr_assert_leq(load_peers_bytes(p), 2u * 40);
	load_peers_close(p);
	free(p);
}

/* RFC 3261 12.1.2: the route set of the caller is Record-Route in reverse order. */
Test(load_peers, rfc3261_12_1_2_routes_are_reversed)
{
	struct load_peers *p = open_peers();
	struct load_message m = answer("t", "sip:c@d", "Record-Route: <sip:1;x=\",\";lr>, <sip:2,a;lr>\r\n",
				       "Record-Route: <sip:3;lr>\r\n");

	keeps(p, load_peers_keep(p, &m), "t", "sip:c@d",
	      "Route: <sip:3;lr>\r\nRoute:  <sip:2,a;lr>\r\nRoute: <sip:1;x=\",\";lr>\r\n");
	load_peers_close(p);
	free(p);
}

/* More different targets than there are shapes: each call keeps its own. */
Test(load_peers, targets_that_all_differ)
{
	struct load_peers *p = open_peers();
	uint32_t peer[CALLS];
	char target[100];

	for (unsigned i = 0; i < CALLS; i++) {
		snprintf(target, sizeof target, "sip:number-%u@192.0.2.1:5060;transport=udp;ob", i);
		struct load_message m = answer("x~y~z~tag", target, NULL, NULL);
		peer[i] = load_peers_keep(p, &m);
		cr_assert_neq(peer[i], LOAD_PEER_NONE);
	}
	for (unsigned i = 0; i < CALLS; i++) {
		snprintf(target, sizeof target, "sip:number-%u@192.0.2.1:5060;transport=udp;ob", i);
		keeps(p, peer[i], "x~y~z~tag", target, "");
	}
	load_peers_close(p);
	free(p);
}

Test(load_peers, cells_are_used_again_and_no_more_than_there_are)
{
	struct load_peers *p = open_peers();
	struct load_message m = answer("t", "sip:c@d", NULL, NULL);
	uint32_t last = LOAD_PEER_NONE;

	for (unsigned i = 0; i < CALLS; i++)
		last = load_peers_keep(p, &m);
	cr_assert_neq(last, LOAD_PEER_NONE);
	cr_assert_eq(load_peers_keep(p, &m), LOAD_PEER_NONE);
	load_peers_drop(p, last);
	cr_assert_eq(load_peers_keep(p, &m), last);
	load_peers_close(p);
	free(p);
}

Test(load_peers, no_tag_or_no_contact_is_no_peer)
{
	struct load_peers *p = open_peers();
	struct load_message no_tag = answer("", "sip:c@d", NULL, NULL), no_contact = answer("t", "", NULL, NULL);

	cr_assert_eq(load_peers_keep(p, &no_tag), LOAD_PEER_NONE);
	cr_assert_eq(load_peers_keep(p, &no_contact), LOAD_PEER_NONE);
	load_peers_close(p);
	free(p);
}
