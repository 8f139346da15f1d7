/* listen { transport }, routing_gateway { transport }, and the limits of connections, in the file and in what is made
 * of it.  */
#include <errno.h>

#include "config_files.h"

TestSuite(transport, .init = scratch_open, .fini = scratch_close);

#define LISTENS                                                                                                        \
	"listen \"stream\" { transport = tcp address = 192.0.2.1 }\n"                                                  \
	"listen \"main\" { address = 192.0.2.1 }\n"                                                                    \
	"listen \"six\" { transport = \"tcp\" address = \"2001:db8::1\" }\n"

Test(transport, a_listener_may_have_both_on_one_port)
{
	struct config *c = load_text(LISTENS);

	cr_assert_eq(c->listens[0].transport, TRANSPORT_TCP);
	cr_assert_eq(c->listens[1].transport, TRANSPORT_UDP);
	cr_assert_str_eq(c->listens[0].host_port, "192.0.2.1:5060");
	cr_assert_eq(c->connections_max, 4096);
	cr_assert_eq(c->connections_per_source, 100);
	cr_assert_eq(c->connection_idle_s, 600);
	cr_assert_eq(c->message_bytes_max, 16384);
	config_free(c);
}

/* UDP where nothing is said, wherever its section stands. */
Test(transport, a_gateway_finds_its_listener)
{
	struct config *c = load_text(LISTENS "mapping_gateway \"m\" { address = \"10.0.0.1\" }\n"
					     "routing_gateway \"a\" { address = \"10.0.0.2\" }\n"
					     "routing_gateway \"b\" { address = \"10.0.0.3\" transport = tcp }\n"
					     "routing_gateway \"c\" { address = \"10.0.0.4\" listen = stream }\n"
					     "routing_gateway \"d\" { address = \"2001:db8::2\" }\n"
					     "routing_gateway \"e\" { address = \"10.0.0.5\" transport = \"udp\" "
					     "listen = main }\n");
	static const uint16_t listeners[] = { 1, 0, 0, 2, 1 };

	cr_assert_eq(c->mappings[0].listener, LISTENER_ANY);
	for (unsigned i = 0; i < 5; i++)
		cr_assert_eq(c->routings[i].listener, listeners[i], "%s", c->routings[i].name);
	config_free(c);
}

static void expect_refused(const char *text, const char *words)
{
	struct config *c;
	char error[512];

	write_file("rw.conf", text, strlen(text));
	cr_assert_eq(config_load(scratch_path("rw.conf"), &c, error), -EINVAL, "%s", text);
	cr_assert_not_null(strstr(error, words), "'%s' does not say '%s'", error, words);
}

Test(transport, what_does_not_fit_is_refused)
{
	expect_refused(LISTENS "routing_gateway \"r\" { address = \"10.0.0.2\"\n transport = tcp listen = main }\n",
		       ":5: transport: listen \"main\" is udp");
	expect_refused(LISTENS "routing_gateway \"r\" { address = \"2001:db8::2\"\n transport = udp }\n",
		       ":5: transport: there is no listen section with transport udp and an IPv6 address");
	expect_refused("listen \"m\" { }\nrouting_gateway \"r\" { address = \"10.0.0.2\" transport = tls }\n",
		       "'tls' is not allowed: udp, tcp");
	expect_refused("max_message = 16385\nlisten \"m\" { }\n", "1024..16384");
	expect_refused("max_connections = 0\nlisten \"m\" { }\n", "1..100000");
	expect_refused(LISTENS "listen \"again\" { transport = tcp address = 192.0.2.1 }\n",
		       "listen \"stream\" has the same");
}

Test(transport, round_trip_and_reload)
{
	struct config *c = load_text("max_connections = 7 max_connections_per_source = 0 connection_idle = 9\n"
				     "max_message = 2048\n" LISTENS
				     "routing_gateway \"r\" { address = \"10.0.0.3\" transport = tcp }\n");
	char *text = config_text(c), error[512];
	struct config *again = load_text(text);
	char *text_again = config_text(again);

	cr_assert_str_eq(text_again, text);
	cr_assert_eq(again->connections_max, 7);
	cr_assert_eq(again->connections_per_source, 0);
	cr_assert_eq(again->connection_idle_s, 9);
	cr_assert_eq(again->message_bytes_max, 2048);
	cr_assert_eq(again->routings[0].listener, 0);

	struct config *moved =
		load_text("max_connections = 7\n" LISTENS "routing_gateway \"r\" { address = \"10.0.0.3\" }\n");
	cr_assert_eq(config_restart_needed(c, moved, error), 0, "%s", error);
	struct config *more = load_text("max_connections = 8\n" LISTENS);
	cr_assert_eq(config_restart_needed(c, more, error), -EINVAL);
	cr_assert_not_null(strstr(error, "max_connections: only a restart"));
	free(text);
	free(text_again);
	config_free(c);
	config_free(again);
	config_free(moved);
	config_free(more);
}
