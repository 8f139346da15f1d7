/* Spec 2, 3 and 8: configurations that follow one another in a running node.  */
#include <errno.h>
#include <pthread.h>

#include "config_files.h"

TestSuite(spec_3_parameters_set, .init = scratch_open, .fini = scratch_close);
TestSuite(spec_2_reload, .init = scratch_open, .fini = scratch_close);

#define GATEWAYS                                                                                                       \
	"mapping_gateway \"m\" { address = \"10.0.0.1\" rewrite_callee = \"0 -> 44\" deny = r }\n"                     \
	"routing_gateway \"r\" { address = \"10.0.0.2\" stop_codes = 404 }\n"

Test(spec_3_parameters_set, a_new_generation_shares_all_but_the_parameter)
{
	struct config *old = load_text("listen \"a\" { }\nparameters { RW_SIP_T1 = 200 }\n" GATEWAYS);
	struct config *new;
	char error[256];

	cr_assert_eq(config_with_parameter(old, "SS_SIP_SESSION_TTL", "1800", &new, error), 0, "%s", error);
	cr_assert_str_empty(error);
	cr_assert_gt(new->generation, old->generation);
	cr_assert_eq(new->parameters.SS_SIP_SESSION_TTL, 1800);
	cr_assert_eq(old->parameters.SS_SIP_SESSION_TTL, 600);
	cr_assert_eq(new->parameters.RW_SIP_T1, 200);
	cr_assert_eq(new->routes, old->routes);
	cr_assert_eq(config_mapping(new, old->mappings[0].id), &old->mappings[0]);
	cr_assert_eq(config_restart_needed(old, new, (char[512]){ 0 }), 0);
	config_free(new);
	config_free(old);
}

/* Whichever goes first: the address sanitizer sees what is freed twice or too early. */
Test(spec_3_parameters_set, generations_are_freed_in_any_order)
{
	for (unsigned order = 0; order < 6; order++) {
		struct config *c[3];
		char error[256];
		const struct routing_gateway *const *list;
		uint32_t length;

		c[0] = load_text("listen \"a\" { }\n" GATEWAYS);
		cr_assert_eq(config_with_parameter(c[0], "RW_SIP_T1", "100", &c[1], error), 0);
		cr_assert_eq(config_with_parameter(c[1], "RW_SIP_T1", "200", &c[2], error), 0);
		unsigned first = order / 2, second = (first + 1 + order % 2) % 3, last = 3 - first - second;
		config_free(c[first]);
		cr_assert_eq(config_route_find(c[last], BYTES("44"), CONFIG_PREFIX_MAX + 1, &list, &length), 1);
		config_free(c[second]);
		cr_assert_eq(config_route_find(c[last], BYTES("44"), CONFIG_PREFIX_MAX + 1, &list, &length), 1);
		cr_assert_str_eq(list[0]->name, "r");
		config_free(c[last]);
	}
}

Test(spec_3_parameters_set, values_are_checked_as_in_the_file)
{
	static const struct {
		const char *name, *value;
		int result;
		const char *reason;
	} bad[] = {
		{ "SS_SIP_SESSION_TT", "600", -ENOENT, "there is no parameter 'SS_SIP_SESSION_TT'" },
		{ "RW_SIP_T1", "19", -ERANGE, "20..2000" },
		{ "RW_SIP_T1", "x", -EINVAL, "not a whole number" },
		{ "SS_REPLY_UNAUTHORIZED", "maybe", -EINVAL, "neither on nor off" },
		{ "SS_SIP_SESSION_TTL", "89", -ERANGE, "RW_SIP_MIN_SE (90)" },
		{ "RW_SIP_MIN_SE", "601", -ERANGE, "SS_SIP_SESSION_TTL" },
	};
	struct config *old = load_text("listen \"a\" { }\n");

	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct config *new = (struct config *)1;
		char error[256];

		cr_assert_eq(config_with_parameter(old, bad[i].name, bad[i].value, &new, error), bad[i].result, "%s",
			     bad[i].name);
		cr_assert_not_null(strstr(error, bad[i].reason), "%s", error);
		cr_assert_eq(new, (struct config *)1, "a result only on success");
	}
	config_free(old);
}

#define TOP "node = n data_dir = \"/d\" control = \"/c\" workers = 2 max_calls = 10 steering = bpf prefault = off\n"
#define SOCKETS                                                                                                        \
	"listen \"a\" { address = \"127.0.0.1\" port = 5060 }\n"                                                       \
	"listen \"b\" { address = \"127.0.0.1\" port = 5070 advertise = \"sip.example\" }\n"

Test(spec_2_reload, what_only_a_restart_can_change_is_named)
{
	static const struct {
		const char *text, *key;
	} others[] = {
		{ "node = o data_dir = \"/d\" control = \"/c\" workers = 2 max_calls = 10 steering = bpf\n" SOCKETS,
		  "node" },
		{ "node = n data_dir = \"/e\" control = \"/c\" workers = 2 max_calls = 10 steering = bpf\n" SOCKETS,
		  "data_dir" },
		{ "node = n data_dir = \"/d\" control = \"/e\" workers = 2 max_calls = 10 steering = bpf\n" SOCKETS,
		  "control" },
		{ "node = n data_dir = \"/d\" control = \"/c\" workers = 3 max_calls = 10 steering = bpf\n" SOCKETS,
		  "workers" },
		{ "node = n data_dir = \"/d\" control = \"/c\" workers = 2 max_calls = 11 steering = bpf\n" SOCKETS,
		  "max_calls" },
		{ "node = n data_dir = \"/d\" control = \"/c\" workers = 2 max_calls = 10 steering = auto\n" SOCKETS,
		  "steering" },
		{ "prefault = on node = n data_dir = \"/d\" control = \"/c\" workers = 2 max_calls = 10 steering = "
		  "bpf\n" SOCKETS,
		  "prefault" },
		{ TOP "listen \"a\" { address = \"127.0.0.1\" port = 5060 }\n", "listen \"b\"" },
		{ TOP SOCKETS "listen \"c\" { port = 5080 }\n", "listen \"c\"" },
		{ TOP "listen \"a\" { port = 5061 }\nlisten \"b\" { port = 5070 advertise = \"sip.example\" }\n",
		  "listen \"a\"" },
		{ TOP "listen \"a\" { }\nlisten \"b\" { port = 5070 advertise = \"sip2.example\" }\n", "listen \"b\"" },
		{ TOP "listen \"a\" { }\nlisten \"d\" { port = 5070 advertise = \"sip.example\" }\n", "listen \"b\"" },
		{ TOP "listen \"b\" { port = 5070 advertise = \"sip.example\" }\nlisten \"a\" { }\n", "listen \"a\"" },
	};
	struct config *old = load_text(TOP SOCKETS GATEWAYS);

	for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++) {
		struct config *new = load_text(others[i].text);
		char error[512], expected[600];

		cr_expect_eq(config_restart_needed(old, new, error), -EINVAL, "%s", others[i].text);
		snprintf(expected, sizeof expected, "%.500s: %s: only a restart can change it", new->path,
			 others[i].key);
		cr_expect_str_eq(error, expected);
		config_free(new);
	}
	struct config *new = load_text("prefix_mode = continue\n" TOP "parameters { RW_SIP_T1 = 100 }\n" SOCKETS
				       "mapping_gateway \"other\" { address = \"10.0.0.9\" }\n");
	char error[512];
	cr_assert_eq(config_restart_needed(old, new, error), 0, "%s", error);
	cr_assert_str_empty(error);
	config_free(new);
	config_free(old);
}

/* A file that is refused gives no ids either: a wrong file that is tried again and again takes no memory. */
Test(spec_2_reload, refused_file_leaves_nothing_behind)
{
	static const char text[] =
		"listen \"a\" { }\nmapping_gateway \"new-m\" { address = \"10.0.0.1\" deny = absent }\n"
		"routing_gateway \"new-r\" { address = \"10.0.0.1\" account = new-a }\n";
	uint32_t end = gateway_id_end();
	struct config *c;
	char error[512];

	write_file("rw.conf", text, sizeof text - 1);
	cr_assert_eq(config_load(scratch_path("rw.conf"), &c, error), -EINVAL);
	cr_assert_eq(gateway_id_end(), end);
}

static void *load_elsewhere(void *result)
{
	*(struct config **)result = load_text("listen \"a\" { }\n" GATEWAYS);
	return NULL;
}

/* One thread at a time, whichever: here three, one after another. */
Test(spec_2_reload, any_thread_may_load)
{
	struct config *here = load_text("listen \"a\" { }\n" GATEWAYS), *there[2];

	for (unsigned i = 0; i < 2; i++) {
		pthread_t thread;

		cr_assert_eq(pthread_create(&thread, NULL, load_elsewhere, &there[i]), 0);
		cr_assert_eq(pthread_join(thread, NULL), 0);
		cr_assert_eq(there[i]->routings[0].id, here->routings[0].id);
		cr_assert_gt(there[i]->generation, here->generation);
	}
	config_free(there[0]);
	config_free(here);
	config_free(there[1]);
}
