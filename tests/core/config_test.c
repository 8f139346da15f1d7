/* Spec 2: the configuration file, the embedded defaults, and what is said about files that are wrong.  */
#include "core/config/config.h"
#include <sys/stat.h>
#include <unistd.h>

#include <errno.h>

#include "config_errors.h"
#include "config_files.h"
#include "config_names.h"

TestSuite(spec_2_config, .init = scratch_open, .fini = scratch_close);

Test(spec_2_config, embedded_defaults)
{
	struct config *c;
	char error[512];
	const struct routing_gateway *const *list;
	uint32_t length;
	struct address from = address_of("127.200.0.9", 6000);

	cr_assert_eq(config_load(NULL, &c, error), 0, "%s", error);
	cr_assert_str_eq(c->path, "");
	cr_assert_str_eq(c->node, "node1");
	cr_assert_str_eq(c->data_dir, "data");
	cr_assert_str_eq(c->control, "data/ringwheel.sock");
	cr_assert_eq(c->workers, 0);
	cr_assert_eq(c->calls_max, 1000000);
	cr_assert_eq(c->steering, STEERING_AUTO);
	cr_assert_eq(c->journal_sync_ms, 20);
	cr_assert_eq(c->journal_segment_mb, 64);
	cr_assert_not(c->answer_after_sync || c->cdr_files || c->refuse_unknown_account);
	cr_assert_eq(c->on_restart, RESTART_RESUME);
	cr_assert_str_eq(c->cdr_store, "");
	cr_assert_eq(c->listen_count, 1);
	cr_assert_str_eq(c->listens[0].host_port, "127.0.0.1:5060");
	cr_assert_str_eq(c->listens[0].host, "127.0.0.1");
	cr_assert_eq(c->listens[0].transport, TRANSPORT_UDP);
	cr_assert_eq(c->mapping_count, 1);
	cr_assert_str_eq(config_source_find(c, &from, 0, BYTES("1"))->name, "local");
	cr_assert_eq(c->routing_count, 1);
	cr_assert_eq(config_route_find(c, BYTES("880"), CONFIG_PREFIX_MAX + 1, &list, &length), 1);
	cr_assert_str_eq(list[0]->name, "local");
	struct address to = address_of("127.0.0.1", 5080);
	cr_assert(address_equal(&list[0]->addresses[0], &to));
	cr_assert_eq(c->parameters.SS_SIP_SESSION_TTL, 600);
	config_free(c);
}

/* The example of the contract, as it stands there. */
Test(spec_2_config, example_of_the_contract)
{
	struct config *c =
		load_text("node      = \"node1\"\n"
			  "data_dir  = \"data\"                   # relative to this file\n"
			  "workers   = 0                        # 0: one per usable core\n"
			  "max_calls = 1000000                  # live calls of the node\n"
			  "steering  = \"auto\"                   # how datagrams find their shard\n"
			  "control   = \"data/ringwheel.sock\"    # UNIX stream socket, mode 0660\n"
			  "\n"
			  "listen \"main\" {                      # one or more; IPv4 or IPv6\n"
			  "  transport = \"udp\"                  # tcp, tls later\n"
			  "  address   = \"127.0.0.1\"\n"
			  "  port      = 5060\n"
			  "  advertise = \"\"                     # host put into Via/Contact\n"
			  "}\n"
			  "parameters {                         # section 8\n"
			  "  SS_SIP_SESSION_TTL = 600\n"
			  "}\n"
			  "mapping_gateway \"customer-a\" {\n"
			  "  address  = {\"127.0.0.1\", \"192.0.2.0/24\", \"[2001:db8::1]:5060\"}   # who it is\n"
			  "  capacity = 1000                    # concurrent calls, 0 no limit\n"
			  "  account  = \"customer-a\"            # optional, section 10\n"
			  "}\n"
			  "routing_gateway \"vendor-a\" {\n"
			  "  address  = \"127.0.0.1:5080\"\n"
			  "  prefix   = {\"880\", \"\"}             # dialled prefixes it serves\n"
			  "  priority = 1                       # smallest first\n"
			  "  capacity = 500\n"
			  "}\n");

	cr_assert_eq(c->mappings[0].source_count, 3);
	cr_assert_eq(c->mappings[0].sources[1].prefix_length, 24);
	cr_assert_eq(c->mappings[0].sources[2].address.port, 5060);
	cr_assert_eq(c->mappings[0].listener, LISTENER_ANY);
	cr_assert_eq(c->routings[0].prefix_count, 2);
	config_free(c);
}

Test(spec_2_config, every_key)
{
	struct config *c = load_text(
		"node = \"dhaka-2.a_b\" data_dir = \"/var/lib/rw\" workers = 64 max_calls = 100000000\n"
		"steering = \"mailbox\" control = \"/run/rw.sock\"\n"
		"journal_sync_ms = 1000 journal_segment_mb = 4 answer_after_sync = on on_restart = \"close\"\n"
		"cdr_store = \"postgresql://rw@db/cdr\" cdr_files = on unknown_account = refuse\n"
		"listen \"four\" { transport = udp address = 192.0.2.1 port = 65535 advertise = \"sip.example.net\" }\n"
		"listen \"six\" { transport = \"udp\" address = \"[2001:db8::1]\" port = 1 advertise = "
		"\"2001:db8::ff\" }\n"
		"parameters { SS_SIP_SESSION_TTL = \"1800\" RW_SIP_T1 = 200 SS_QOS_SIGNAL = 0xb8\n"
		"  SS_SIP_RESEND_INTERVAL = \"0.5,1\" SS_REPLY_UNAUTHORIZED = off }\n"
		"mapping_gateway \"m\" { address = {\"10.0.0.1\", \"2001:db8::/32\"} capacity = 100000000 account = "
		"acc\n"
		"  listen = \"six\" timer = off reliable = off max_duration = 604800 callee_prefix = \"99#\" }\n"
		"routing_gateway \"r\" { address = \"[2001:db8::5]:5099\" prefix = {\"880\", \"44\"} priority = 7\n"
		"  capacity = 30 listen = \"six\" timer = no reliable = off max_duration = 3600 account = \"carrier\"\n"
		"  timeout_invite = 300 timeout_trying = 299 timeout_session_progress = 600\n"
		"  timeout_session_progress_sdp = 599 timeout_ringing = 1 }\n");

	cr_assert_str_eq(c->node, "dhaka-2.a_b");
	cr_assert_str_eq(c->data_dir, "/var/lib/rw");
	cr_assert_str_eq(c->control, "/run/rw.sock");
	cr_assert_eq(c->workers, 64);
	cr_assert_eq(c->calls_max, 100000000);
	cr_assert_eq(c->steering, STEERING_MAILBOX);
	cr_assert_eq(c->journal_sync_ms, 1000);
	cr_assert_eq(c->journal_segment_mb, 4);
	cr_assert(c->answer_after_sync && c->cdr_files && c->refuse_unknown_account);
	cr_assert_eq(c->on_restart, RESTART_CLOSE);
	cr_assert_str_eq(c->cdr_store, "postgresql://rw@db/cdr");

	struct address four = address_of("192.0.2.1", 65535), six = address_of("2001:db8::1", 1);
	cr_assert(address_equal(&c->listens[0].address, &four));
	cr_assert_str_eq(c->listens[0].advertise, "sip.example.net");
	cr_assert_str_eq(c->listens[0].host_port, "sip.example.net:65535");
	cr_assert(address_equal(&c->listens[1].address, &six));
	cr_assert_str_eq(c->listens[1].host_port, "[2001:db8::ff]:1");
	cr_assert_str_eq(c->listens[1].host, "[2001:db8::ff]");

	cr_assert_eq(c->parameters.SS_SIP_SESSION_TTL, 1800);
	cr_assert_eq(c->parameters.RW_SIP_T1, 200);
	cr_assert_eq(c->parameters.SS_QOS_SIGNAL, 0xb8);
	cr_assert_eq(c->parameters.SS_SIP_RESEND_INTERVAL.count, 2);
	cr_assert_not(c->parameters.SS_REPLY_UNAUTHORIZED);
	cr_assert_eq(c->parameters.RW_SIP_MIN_SE, 90);

	const struct mapping_gateway *m = &c->mappings[0];
	cr_assert_str_eq(m->name, "m");
	cr_assert_eq(m->capacity, 100000000);
	cr_assert_str_eq(m->account, "acc");
	cr_assert_eq(m->listener, 1);
	cr_assert_not(m->timer);
	cr_assert_not(m->reliable);
	cr_assert_eq(m->max_duration_s, 604800);
	cr_assert_str_eq(m->callee_prefix, "99#");

	const struct routing_gateway *r = &c->routings[0];
	struct address vendor = address_of("2001:db8::5", 5099);
	cr_assert(address_equal(&r->addresses[0], &vendor));
	cr_assert_str_eq(r->prefixes[1], "44");
	cr_assert_eq(r->priority, 7);
	cr_assert_eq(r->capacity, 30);
	cr_assert_eq(r->listener, 1);
	cr_assert_not(r->timer);
	cr_assert_not(r->reliable);
	cr_assert_eq(r->max_duration_s, 3600);
	cr_assert_str_eq(r->vendor_account, "carrier");
	cr_assert_eq(r->timeout_invite_s, 300);
	cr_assert_eq(r->timeout_trying_s, 299);
	cr_assert_eq(r->timeout_session_progress_s, 600);
	cr_assert_eq(r->timeout_session_progress_sdp_s, 599);
	cr_assert_eq(r->timeout_ringing_s, 1);
	config_free(c);
}

Test(spec_2_config, defaults_of_sections)
{
	struct config *c = load_text("listen \"a\" { }\nlisten \"b\" { address = \"::1\" port = 5070 }\n"
				     "mapping_gateway \"m\" { address = \"10.0.0.1\" }\n"
				     "mapping_gateway \"m6\" { address = \"::2\" }\n"
				     "routing_gateway \"r\" { address = \"10.0.0.2\" }\n"
				     "routing_gateway \"r6\" { address = \"2001:db8::2\" }\n"
				     "routing_gateway \"b6\" { address = \"[2001:db8::2]\" }\n");

	cr_assert_str_eq(c->listens[0].host_port, "127.0.0.1:5060");
	cr_assert_str_eq(c->listens[1].host_port, "[::1]:5070");
	cr_assert_eq(c->mappings[0].capacity, 0);
	cr_assert(c->mappings[0].timer);
	cr_assert(c->mappings[0].reliable);
	cr_assert_str_empty(c->mappings[0].account);
	cr_assert_str_empty(c->mappings[0].callee_prefix);
	cr_assert_eq(c->mappings[0].listener, LISTENER_ANY);
	cr_assert_eq(c->mappings[1].listener, LISTENER_ANY);
	cr_assert_eq(c->mappings[0].sources[0].prefix_length, 32);
	cr_assert_eq(c->mappings[1].sources[0].prefix_length, 128);
	cr_assert_eq(c->mappings[1].sources[0].address.port, 0);
	cr_assert_eq(c->routings[0].addresses[0].port, 5060);
	cr_assert_eq(c->routings[1].addresses[0].port, 5060);
	cr_assert_eq(c->routings[1].listener, 1);
	cr_assert(address_equal(&c->routings[1].addresses[0], &c->routings[2].addresses[0]),
		  "RGs may share an address");
	cr_assert_eq(c->routings[0].prefix_count, 1);
	cr_assert_str_empty(c->routings[0].prefixes[0]);
	cr_assert_eq(c->routings[0].priority, 1);
	cr_assert(c->routings[0].timer);
	cr_assert(c->routings[0].reliable);
	cr_assert_eq(c->routings[0].timeout_ringing_s, 0);
	config_free(c);
}

Test(spec_2_config, ends_of_ranges)
{
	struct config *c = load_text(
		"workers = 0 max_calls = 1 listen \"a\" { port = 65535 }\n"
		"mapping_gateway \"m\" { address = {\"0.0.0.0/0\", \"10.0.0.1:1\", \"10.0.0.1:65535\"} max_duration = "
		"0 }\n"
		"routing_gateway \"r\" { address = \"10.0.0.1:65535\" priority = 0 timeout_invite = 0 }\n"
		"routing_gateway \"s\" { address = \"10.0.0.1:1\" priority = 1000000 capacity = 100000000 }\n");

	cr_assert_eq(c->calls_max, 1);
	cr_assert_eq(c->routings[0].addresses[0].port, 65535);
	cr_assert_eq(c->routings[1].priority, 1000000);
	config_free(c);
}

Test(spec_2_config, mapping_gateways_share_an_address_if_callee_prefixes_differ)
{
	struct config *c = load_text("listen \"a\" { }\n"
				     "mapping_gateway \"m\" { address = \"10.0.0.1\" callee_prefix = \"1\" }\n"
				     "mapping_gateway \"n\" { address = \"10.0.0.1\" callee_prefix = \"2\" }\n"
				     "mapping_gateway \"o\" { address = {\"10.0.0.1:5060\", \"10.0.0.0/31\"} }\n");

	cr_assert_eq(c->mapping_count, 3);
	config_free(c);
}

Test(spec_2_config, relative_paths_are_relative_to_the_file)
{
	struct config *c = load_text("listen \"a\" { }\n");
	char expected[300];

	snprintf(expected, sizeof expected, "%s/data", scratch);
	cr_assert_str_eq(c->data_dir, expected);
	snprintf(expected, sizeof expected, "%s/data/ringwheel.sock", scratch);
	cr_assert_str_eq(c->control, expected);
	config_free(c);

	c = load_text("listen \"a\" { }\ndata_dir = \"/srv/rw\"\n");
	cr_assert_str_eq(c->control, "/srv/rw/ringwheel.sock");
	config_free(c);

	c = load_text("listen \"a\" { }\ncontrol = \"c.sock\"\ndata_dir = \"d\"\n");
	snprintf(expected, sizeof expected, "%s/c.sock", scratch);
	cr_assert_str_eq(c->control, expected);
	snprintf(expected, sizeof expected, "%s/d", scratch);
	cr_assert_str_eq(c->data_dir, expected);
	config_free(c);
}

Test(spec_2_config, a_variable_that_is_not_set_has_its_default)
{
	struct config *c = load_text("listen \"a\" { }\nnode = ${RW_NOT_SET:-dhaka} # a comment\n"
				     "data_dir = '/a\\d*'# and one behind quotes\n");

	cr_assert_str_eq(c->node, "dhaka");
	cr_assert_str_eq(c->data_dir, "/a\\d*");
	config_free(c);
}

Test(spec_2_config, a_socket_in_a_deep_directory_needs_a_path_of_its_own)
{
	char directory[300], path[400], error[512];
	struct config *c;

	snprintf(directory, sizeof directory, "%s/" NAME_64, scratch);
	cr_assert_eq(mkdir(directory, 0700), 0);
	snprintf(path, sizeof path, "%s/rw.conf", directory);
	FILE *out = fopen(path, "w");
	cr_assert_not_null(out);
	fputs("listen \"a\" { }\n", out);
	fclose(out);
	cr_expect_eq(config_load(path, &c, error), -EINVAL);
	cr_expect_not_null(strstr(error, "rw.conf:1: data_dir: longer than 107 characters with /ringwheel.sock"), "%s",
			   error);
	unlink(path);
	rmdir(directory);
}

Test(spec_2_config, file_without_directory_means_the_working_directory)
{
	struct config *c;
	char error[512];

	write_file("rw.conf", "listen \"a\" { }\n", 15);
	cr_assert_eq(chdir(scratch), 0);
	cr_assert_eq(config_load("rw.conf", &c, error), 0, "%s", error);
	cr_assert_str_eq(c->data_dir, "data");
	config_free(c);
	cr_assert_eq(chdir("/"), 0);
}

Test(spec_2_config, every_error_names_file_line_and_reason)
{
	for (unsigned i = 0; i < CONFIG_ERRORS; i++) {
		const struct config_error *e = &config_errors[i];
		const char *path = scratch_path("rw.conf");
		struct config *c = (struct config *)1;
		char error[512], place[300];

		write_file("rw.conf", e->text, strlen(e->text));
		int result = config_load(path, &c, error);
		snprintf(place, sizeof place, "%s:%u: ", path, e->line);
		cr_expect_eq(result, -EINVAL, "%s", e->text);
		cr_expect_eq(strncmp(error, place, strlen(place)), 0, "line %u expected for\n%s\nbut: %s", e->line,
			     e->text, error);
		cr_expect_not_null(strstr(error, e->reason), "'%s' expected for\n%s\nbut: %s", e->reason, e->text,
				   error);
		cr_expect_eq(c, (struct config *)1, "a result only on success");
	}
}

/* A file that was refused leaves nothing behind in the reader. */
Test(spec_2_config, good_file_after_a_bad_one)
{
	struct config *c;
	char error[512];

	write_file("rw.conf", "node = \"\\400\n", 12);
	cr_assert_eq(config_load(scratch_path("rw.conf"), &c, error), -EINVAL);
	write_file("rw.conf", "node = \"\\400\"\n", 14);
	cr_assert_eq(config_load(scratch_path("rw.conf"), &c, error), -EINVAL);
	c = load_text("listen \"a\" { } node = \"b\"\n");
	cr_assert_str_eq(c->node, "b");
	config_free(c);
}

Test(spec_2_config, more_than_64_listeners)
{
	char text[65 * 32] = "", error[512];
	struct config *c;

	for (unsigned i = 0; i < 65; i++)
		snprintf(text + strlen(text), 32, "listen \"l%u\" { port = %u }\n", i, 6000 + i);
	write_file("rw.conf", text, strlen(text));
	cr_assert_eq(config_load(scratch_path("rw.conf"), &c, error), -EINVAL);
	cr_assert_not_null(strstr(error, "rw.conf:65: "), "%s", error);
	*strstr(text, "listen \"l64") = '\0';
	c = load_text(text);
	cr_assert_eq(c->listen_count, 64);
	config_free(c);
}

Test(spec_2_config, unreadable_files)
{
	struct config *c;
	char error[512], expected[300];

	cr_assert_eq(config_load(scratch_path("absent.conf"), &c, error), -ENOENT);
	snprintf(expected, sizeof expected, "%s: cannot open: No such file or directory", scratch_path("absent.conf"));
	cr_assert_str_eq(error, expected);
	cr_assert_eq(config_load(scratch, &c, error), -EISDIR);
	static const char *const special[] = { "/dev/zero", "/dev/null" };
	for (unsigned i = 0; i < 2; i++) {
		cr_assert_eq(config_load(special[i], &c, error), -EINVAL);
		cr_assert_not_null(strstr(error, ": is not a regular file"), "%s", error);
	}
	cr_assert_eq(mkfifo(scratch_path("fifo"), 0600), 0);
	cr_assert_eq(config_load(scratch_path("fifo"), &c, error), -EINVAL); /* at once, though nobody writes */
	static const char with_fifo[] =
		"listen \"a\" { }\nrouting_gateway \"r\" { address = \"10.0.0.1\" prefix_file = \"fifo\" }\n";
	write_file("rw.conf", with_fifo, sizeof with_fifo - 1);
	cr_assert_eq(config_load(scratch_path("rw.conf"), &c, error), -EINVAL);
	cr_assert_not_null(strstr(error, "rw.conf:2: prefix_file: "), "%s", error);
	cr_assert_not_null(strstr(error, "/fifo: is not a regular file"), "%s", error);
	unlink(scratch_path("fifo"));
	cr_assert_eq(symlink("loop", scratch_path("loop")), 0);
	cr_assert_eq(config_load(scratch_path("loop"), &c, error), -ELOOP);
	cr_assert_not_null(strstr(error, "/loop: cannot open: Too many levels of symbolic links"), "%s", error);
	unlink(scratch_path("loop"));
	cr_assert_eq(config_load("", &c, error), -ENOENT);
	char path[5000];
	memset(path, 'a', sizeof path - 1);
	path[sizeof path - 1] = '\0';
	cr_assert_eq(config_load(path, &c, error), -ENAMETOOLONG);
}

Test(spec_2_config, nul_bytes_are_refused_where_they_stand)
{
	static const char text[] = "listen \"a\" { }\nnode = \"b\0c\"\n";
	struct config *c;
	char error[512];

	write_file("rw.conf", text, sizeof text - 1);
	cr_assert_eq(config_load(scratch_path("rw.conf"), &c, error), -EINVAL);
	cr_assert_not_null(strstr(error, "rw.conf:2: "), "%s", error);
}

Test(spec_2_config, errors_of_a_prefix_file_name_that_file)
{
	static const char *const bad[] = { "880\n44 20\n", "880\n+44\n", "880\n44-20\n", "880\r\n4\0014",
					   "# 1\n4\t4\n" };
	struct config *c;
	char error[512], place[300];
	static const char text[] = "listen \"a\" { }\nrouting_gateway \"r\" { address = \"10.0.0.1\"\n"
				   "prefix_file = \"prefixes.txt\" }\n";

	write_file("rw.conf", text, sizeof text - 1);
	snprintf(place, sizeof place, "%s:2: ", scratch_path("prefixes.txt"));
	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		write_file("prefixes.txt", bad[i], strlen(bad[i]));
		cr_assert_eq(config_load(scratch_path("rw.conf"), &c, error), -EINVAL);
		cr_assert_eq(strncmp(error, place, strlen(place)), 0, "%s", error);
	}
}

Test(spec_2_config, comments_stand_anywhere_and_strings_keep_their_hashes)
{
	struct config *c = load_text("/* one */ /* two\n three */ node = b // end\n"
				     "listen \"a\" { } // \"unfinished\n"
				     "routing_gateway \"r\" { address = \"10.0.0.1\" # it's\n"
				     "  prefix = {\"#1\", # first\n"
				     "    '*2' /* second */, \"3\"}\n"
				     "}\n"
				     "data_dir = \"/a//b # c\"\n");

	cr_assert_str_eq(c->node, "b");
	cr_assert_eq(c->routings[0].prefix_count, 3);
	cr_assert_str_eq(c->routings[0].prefixes[0], "#1");
	cr_assert_str_eq(c->routings[0].prefixes[1], "*2");
	cr_assert_str_eq(c->data_dir, "/a//b # c");
	config_free(c);
}

/* Whoever may ask for the configuration need not know the password of the database. */
Test(spec_2_config, text_has_no_password)
{
	struct config *c = load_text("listen \"main\" { address = 127.0.0.1 }\n"
				     "cdr_store = \"postgresql://rw:s3cret@db/cdr\"\n");
	char *text = config_text(c);
	cr_assert_not_null(text);
	cr_assert_not_null(strstr(text, "cdr_store = \"postgresql://rw:***@db/cdr\""));
	cr_assert_null(strstr(text, "s3cret"));
	free(text);
	config_free(c);
}

/* config.show prints a file that gives the same configuration again. */
Test(spec_2_config, text_round_trip)
{
	write_file("prefixes.txt", "1\n22\n", 5);
	struct config *c = load_text(
		"node = n workers = 3 max_calls = 5000 prefault = on steering = bpf data_dir = \"/d \\\"x\\\" \\\\ "
		"\\${HOME}\"\n"
		"journal_sync_ms = 7 journal_segment_mb = 9 answer_after_sync = on on_restart = close cdr_files = on\n"
		"cdr_store = \"postgresql://a%20@b/c?sslmode=require\" unknown_account = refuse\n"
		"listen \"four\" { address = 192.0.2.1 advertise = \"sip.example.net\" }\n"
		"listen \"six\" { address = \"2001:db8::1\" port = 5070 }\n"
		"parameters { RW_SIP_T1 = 200 SS_QOS_SIGNAL = 0 SS_SIP_RESEND_INTERVAL = \"0.25,60\"\n"
		"  SS_GATEWAY_SWITCH_UNTIL_CONNECT = on }\n"
		"mapping_gateway \"m\" { address = {\"10.0.0.1:5070\", \"10.0.0.0/8\", \"2001:db8::/32\", \"::1\",\n"
		"  \"[2001:db8::9]:5061\", \"10.2.0.0/16:5090\", \"2001:db8:1::/48:5091\"} capacity = 3 account = a\n"
		"  listen = six timer = off reliable = off max_duration = 9 callee_prefix = \"*9\" }\n"
		"mapping_gateway \"all\" { address = {\"0.0.0.0/0\", \"::/0\"} }\n"
		"routing_gateway \"r\" { address = \"10.0.0.9\" prefix = {\"\", \"880\"} prefix_file = "
		"\"prefixes.txt\"\n"
		"  priority = 0 capacity = 4 timer = off reliable = off max_duration = 8 account = v timeout_invite = "
		"1\n"
		"  timeout_trying = 2 timeout_session_progress = 3 timeout_session_progress_sdp = 4 timeout_ringing = "
		"5 }\n"
		"routing_gateway \"s\" { address = \"[2001:db8::9]:5080\" prefix_file = \"prefixes.txt\" }\n");
	char *text = config_text(c);
	cr_assert_not_null(text);
	cr_assert_str_eq(c->data_dir, "/d \"x\" \\ ${HOME}");

	struct config *again = load_text(text);
	char *text_again = config_text(again);
	cr_assert_str_eq(text_again, text);
	cr_assert_str_eq(again->data_dir, c->data_dir);
	cr_assert_str_eq(again->control, c->control);
	cr_assert_eq(again->calls_max, 5000);
	cr_assert_eq(again->steering, STEERING_BPF);
	cr_assert_eq(again->journal_sync_ms, 7);
	cr_assert_eq(again->journal_segment_mb, 9);
	cr_assert(again->answer_after_sync && again->cdr_files && again->refuse_unknown_account);
	cr_assert_eq(again->on_restart, RESTART_CLOSE);
	cr_assert_str_eq(again->cdr_store, "postgresql://a%20@b/c?sslmode=require");
	cr_assert_arr_eq(again->listens, c->listens, c->listen_count * sizeof *c->listens);
	cr_assert_arr_eq(&again->parameters, &c->parameters, sizeof c->parameters);
	cr_assert_eq(again->mappings[0].source_count, 7);
	cr_assert_arr_eq(again->mappings[0].sources, c->mappings[0].sources, 7 * sizeof(struct source));
	cr_assert_str_eq(again->mappings[0].callee_prefix, "*9");
	cr_assert_eq(again->mappings[0].listener, 1);
	cr_assert_eq(again->mappings[0].id, c->mappings[0].id);
	cr_assert_eq(again->routings[0].prefix_count, 4);
	cr_assert_eq(again->routings[1].prefix_count, 2, "no listed prefix where there is a file");
	cr_assert_str_eq(again->routings[0].prefixes[3], "22");
	cr_assert_eq(again->routings[0].timeout_ringing_s, 5);
	free(text);
	free(text_again);
	config_free(c);
	config_free(again);
}

Test(spec_2_config, text_of_the_embedded_defaults_is_a_file)
{
	struct config *c, *again;
	char error[512];

	cr_assert_eq(config_load(NULL, &c, error), 0);
	char *text = config_text(c);
	again = load_text(text);
	cr_assert_eq(again->data_dir[0], '/', "the text may be read from anywhere");
	cr_assert_not_null(strstr(again->data_dir, "/data"));
	cr_assert_str_eq(again->listens[0].host_port, c->listens[0].host_port);
	free(text);
	config_free(c);
	config_free(again);
}

Test(gateway_name, ids_last_over_configurations_and_tell_the_kinds_apart)
{
	struct config *c, *again;
	char error[512];

	cr_assert_eq(config_load(NULL, &c, error), 0);
	uint32_t mapping = c->mappings[0].id, routing = c->routings[0].id;
	cr_assert_neq(mapping, routing, "both are called local");
	cr_assert_neq(mapping, 0);
	cr_assert_str_eq(gateway_name(mapping), "local");
	cr_assert_str_eq(gateway_name(routing), "local");
	config_free(c);
	cr_assert_eq(config_load(NULL, &again, error), 0);
	cr_assert_eq(again->mappings[0].id, mapping);
	cr_assert_eq(again->routings[0].id, routing);
	config_free(again);
	cr_assert_str_empty(gateway_name(0));
	cr_assert_str_empty(gateway_name(gateway_id_end()));
}

Test(gateway_name, ids_are_consecutive_and_names_stay)
{
	uint32_t first = gateway_id_end();
	char name[24];

	for (uint32_t i = 0; i < 5000; i++) {
		snprintf(name, sizeof name, "g%u", i);
		cr_assert_eq(gateway_id(i % 2 ? GATEWAY_MAPPING : GATEWAY_ROUTING, name), first + i);
	}
	const char *kept = gateway_name(first);
	for (uint32_t i = 0; i < 5000; i++) {
		snprintf(name, sizeof name, "g%u", i);
		cr_assert_eq(gateway_id(i % 2 ? GATEWAY_MAPPING : GATEWAY_ROUTING, name), first + i);
		cr_assert_str_eq(gateway_name(first + i), name);
	}
	cr_assert_eq(gateway_name(first), kept);
	cr_assert_eq(gateway_id_end(), first + 5000);
}

static void collect(void *context, const char *sentence)
{
	strcat(context, sentence);
	strcat(context, "\n");
}

Test(spec_2_config, warnings)
{
	char said[2048] = "";
	struct config *c = load_text("listen \"a\" { }\nmapping_gateway \"m\" { address = \"10.0.0.1\" }\n"
				     "routing_gateway \"r\" { address = \"10.0.0.1\" }\n");

	config_warnings(c, collect, said);
	cr_assert_str_empty(said);
	config_free(c);

	c = load_text("listen \"a\" { }\nparameters { RW_SIP_MIN_SE = 89 }\n"
		      "routing_gateway \"self\" { address = \"127.0.0.1\" }\n");
	config_warnings(c, collect, said);
	cr_assert_not_null(strstr(said, "RW_SIP_MIN_SE is 89"));
	cr_assert_not_null(strstr(said, "no mapping_gateway"));
	cr_assert_not_null(strstr(said, "\"self\" is this node's own listen \"a\""));
	config_free(c);

	c = load_text("listen \"a\" { }\nmapping_gateway \"m\" { address = \"10.0.0.1\" }\n");
	said[0] = '\0';
	config_warnings(c, collect, said);
	cr_assert_not_null(strstr(said, "no routing_gateway"));
	config_free(c);

	write_file("prefixes.txt", "# none today\n", 13);
	c = load_text("listen \"a\" { }\nmapping_gateway \"m\" { address = \"10.0.0.1\" }\n"
		      "routing_gateway \"r\" { address = \"10.0.0.9\" prefix_file = \"prefixes.txt\" }\n");
	said[0] = '\0';
	config_warnings(c, collect, said);
	cr_assert_not_null(strstr(said, "\"r\" has no prefix"));
	config_free(c);
}

static uint32_t routing_ttl(const struct config *c)
{
	uint32_t length;
	const struct routing_gateway *const *list;

	cr_assert_eq(config_route_find(c, BYTES("44"), CONFIG_PREFIX_MAX + 1, &list, &length), 1);
	cr_assert_str_eq(list[0]->name, "r");
	return c->parameters.SS_SIP_SESSION_TTL;
}

/* parameters.set: one value changes, the tables are the same ones, and the last holder frees them. */
Test(spec_2_config, parameters_set_shares_the_tables_until_the_last_has_gone)
{
	struct config *first = load_text("listen \"a\" { }\nrouting_gateway \"r\" { address = \"10.0.0.1\" }\n");
	struct config *second, *third, *none = NULL;
	char error[256] = "";

	cr_assert_eq(config_with_parameter(first, "SS_SIP_SESSION_TTL", "1800", &second, error), 0, "%s", error);
	cr_assert_eq(config_with_parameter(second, "RW_SIP_MIN_SE", "120", &third, error), 0, "%s", error);
	cr_assert_lt(first->generation, second->generation);
	cr_assert_lt(second->generation, third->generation);
	cr_assert_eq(routing_ttl(first), 600);
	config_free(first);
	cr_assert_eq(routing_ttl(second), 1800);
	config_free(second);
	cr_assert_eq(routing_ttl(third), 1800);
	cr_assert_eq(third->parameters.RW_SIP_MIN_SE, 120);
	cr_assert_eq(config_with_parameter(third, "SS_NO_SUCH", "1", &none, error), -ENOENT);
	cr_assert_eq(config_with_parameter(third, "SS_QOS_SIGNAL", "300", &none, error), -ERANGE);
	cr_assert_eq(config_with_parameter(third, "SS_QOS_SIGNAL", "much", &none, error), -EINVAL);
	cr_assert_eq(config_with_parameter(third, "SS_SIP_SESSION_TTL", "119", &none, error), -ERANGE);
	cr_assert_not_null(strstr(error, "RW_SIP_MIN_SE (120)"), "%s", error);
	cr_assert_null(none);
	config_free(third);
}

#define RESTART_BASE "listen \"a\" { }\nlisten \"b\" { port = 5061 }\n"

static void expect_restart(const char *text, const char *words)
{
	struct config *old = load_text(RESTART_BASE), *new = load_text(text);
	char error[512] = "";

	cr_assert_eq(config_restart_needed(old, new, error), words ? -EINVAL : 0, "%s", text);
	cr_assert_not_null(strstr(error, words ? words : ""), "'%s' does not say '%s'", error, words);
	config_free(old);
	config_free(new);
}

Test(spec_2_config, what_only_a_restart_can_change_is_named)
{
	expect_restart(RESTART_BASE, NULL);
	expect_restart(RESTART_BASE
		       "routing_gateway \"r\" { address = \"10.0.0.1\" }\nparameters { RW_SIP_T1 = 400 }\n",
		       NULL);
	expect_restart(RESTART_BASE "node = \"other\"\n", "node: only a restart");
	expect_restart(RESTART_BASE "data_dir = \"elsewhere\"\n", "data_dir: only a restart");
	expect_restart(RESTART_BASE "control = \"other.sock\"\n", "control: only a restart");
	expect_restart(RESTART_BASE "steering = \"mailbox\"\n", "steering: only a restart");
	expect_restart(RESTART_BASE "prefault = on\n", "prefault: only a restart");
	expect_restart(RESTART_BASE "journal_sync_ms = 10\n", "journal_sync_ms: only a restart");
	expect_restart(RESTART_BASE "journal_segment_mb = 10\n", "journal_segment_mb: only a restart");
	expect_restart(RESTART_BASE "answer_after_sync = on\n", "answer_after_sync: only a restart");
	expect_restart(RESTART_BASE "cdr_store = \"postgresql://x\"\n", "cdr_store: only a restart");
	expect_restart(RESTART_BASE "cdr_files = on\n", "cdr_files: only a restart");
	expect_restart(RESTART_BASE "on_restart = close\nunknown_account = refuse\n", NULL);
	expect_restart(RESTART_BASE "workers = 3\n", "rw.conf: workers: only a restart can change it");
	expect_restart(RESTART_BASE "max_calls = 7\n", "max_calls: only a restart");
	expect_restart("listen \"a\" { }\n", "listen \"b\": only a restart");
	expect_restart("listen \"a\" { }\nlisten \"b\" { port = 5062 }\n", "listen \"b\": only a restart");
	expect_restart("listen \"a\" { advertise = \"sip.example\" }\nlisten \"b\" { port = 5061 }\n",
		       "listen \"a\": only a restart");
	expect_restart("listen \"a\" { }\nlisten \"c\" { port = 5061 }\n", "listen \"b\": only a restart");
}
