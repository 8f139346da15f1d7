/* Spec 6 and 7: the keys of routing, in the file and in what is made of it.  */
#include <errno.h>
#include <time.h>

#include "config_files.h"
#include "config_names.h"
#include "core/config/codes.h"
#include "core/config/keys.h"
#include "core/config/rewrite.h"

TestSuite(spec_7_config, .init = scratch_open, .fini = scratch_close);

/* Every key of both gateways with a value that is not its default. */
static const char full[] =
	"node = n workers = 3 max_calls = 5000 prefault = on steering = mailbox data_dir = \"/d\" control = \"/c\"\n"
	"prefix_mode = continue\n"
	"listen \"four\" { transport = udp address = 192.0.2.1 port = 5061 advertise = \"sip.example.net\" }\n"
	"listen \"six\" { address = \"2001:db8::1\" }\n"
	"parameters { RW_SIP_T1 = 200 }\n"
	"mapping_gateway \"m\" { address = \"10.0.0.1\" callee_prefix = 9 capacity = 3 rate_limit = 20 account = a\n"
	"  listen = four timer = off max_duration = 60 caller_from = \"P-Asserted-Identity\" callee_from = to\n"
	"  rewrite_caller = {\"0 -> 44\", \"^(\\\\d{10})$ -> 1\\\\1\"} rewrite_callee = \"00 ->\"\n"
	"  allow = {\"z\", \"r\"} deny = \"s\" prefix_mode = terminate sort = {\"price\", \"asr\"}\n"
	"  failed_reason_map = {\"503 -> 480\", \"500-599->503\", \" 6xx  ->  603 \"} }\n"
	"routing_gateway \"r\" { address = {\"10.0.0.9\", \"10.0.0.9:5080\", \"both.example:5090\", \"four.example\"}\n"
	"  prefix = {\"880\"} prefix_file = \"prefixes.txt\" prefix_mode = continue priority = 2 capacity = 4 "
	"rate_limit = "
	"1000000\n"
	"  account = v listen = four timer = off max_duration = 8 tech_prefix = \"+77#\"\n"
	"  rewrite_caller = {\"44 -> 0\"} rewrite_callee = {\"-> 99\"} stop_codes = {404, \"480-489\", \"6xx\"}\n"
	"  p_asserted_identity = caller privacy = pass\n"
	"  least_cost = on min_profit_percent = 15 max_price = \"0.0125\"\n"
	"  ignore_6xx = on options_check = on timeout_invite = 1 timeout_trying = 2 timeout_session_progress = 3\n"
	"  timeout_session_progress_sdp = 4 timeout_ringing = 5 }\n"
	"routing_gateway \"s\" { address = \"six.example\" }\n"
	"routing_gateway \"z\" { address = \"10.0.0.10\" }\n";

static struct config *load_full(void)
{
	write_file("prefixes.txt", "1\n22\n", 5);
	return load_text(full);
}

static uint32_t id_of(const struct config *c, const char *name)
{
	for (uint32_t i = 0; i < c->routing_count; i++)
		if (strcmp(c->routings[i].name, name) == 0)
			return c->routings[i].id;
	cr_assert_fail("no routing gateway %s", name);
	return 0;
}

Test(spec_7_config, every_key_of_a_mapping_gateway)
{
	struct config *c = load_full();
	const struct mapping_gateway *m = &c->mappings[0];
	uint32_t z = id_of(c, "z"), r = id_of(c, "r");

	cr_assert_eq(c->prefix_mode, PREFIX_CONTINUE);
	cr_assert_eq(m->rate_limit, 20);
	cr_assert_eq(m->prefix_mode, PREFIX_TERMINATE);
	cr_assert_eq(m->caller_from, CALLER_P_ASSERTED_IDENTITY);
	cr_assert_eq(m->callee_from, CALLEE_TO);
	cr_assert_eq(m->sort_count, 2);
	cr_assert_eq(m->sort[0], SORT_PRICE);
	cr_assert_eq(m->sort[1], SORT_ASR);
	cr_assert_eq(m->allow_count, 2);
	cr_assert_eq(m->allow[0], z < r ? z : r, "ids ascend");
	cr_assert_eq(m->allow[1], z < r ? r : z);
	cr_assert_eq(m->deny_count, 1);
	cr_assert_eq(m->deny[0], id_of(c, "s"));
	cr_assert_eq(rewrite_count(m->rewrite_caller), 2);
	cr_assert_str_eq(rewrite_text(m->rewrite_caller, 1), "^(\\d{10})$ -> 1\\1");
	cr_assert_eq(rewrite_count(m->rewrite_callee), 1);
	cr_assert_str_eq(rewrite_text(m->rewrite_callee, 0), "00 ->");
	static const struct reason_rule reasons[] = { { 503, 503, 480 }, { 500, 599, 503 }, { 600, 699, 603 } };
	cr_assert_eq(m->reason_count, 3);
	cr_assert_arr_eq(m->reasons, reasons, sizeof reasons);
	config_free(c);
}

Test(spec_7_config, every_key_of_a_routing_gateway)
{
	struct config *c = load_full();
	const struct routing_gateway *r = &c->routings[0];
	const struct address addresses[] = {
		address_of("10.0.0.9", 5060),  address_of("10.0.0.9", 5080),  address_of("192.0.2.8", 5090),
		address_of("192.0.2.9", 5090), address_of("192.0.2.8", 5060),
	};

	cr_assert_eq(r->address_count, 5);
	cr_assert_arr_eq(r->addresses, addresses, sizeof addresses);
	cr_assert_eq(r->rate_limit, 1000000);
	cr_assert_eq(r->prefix_mode, PREFIX_CONTINUE);
	cr_assert_str_eq(r->tech_prefix, "+77#");
	cr_assert_eq(r->asserted, ASSERTED_CALLER);
	cr_assert_eq(r->privacy, PRIVACY_PASS);
	cr_assert(r->ignore_6xx);
	cr_assert(r->options_check);
	cr_assert(r->least_cost);
	cr_assert_eq(r->min_profit_percent, 15);
	cr_assert_eq(r->max_price_e8, 1250000);
	static const struct code_range stops[] = { { 404, 404 }, { 480, 489 }, { 600, 699 } };
	cr_assert_eq(r->stop_code_count, 3);
	cr_assert_arr_eq(r->stop_codes, stops, sizeof stops);
	cr_assert_eq(rewrite_count(r->rewrite_caller), 1);
	cr_assert_eq(rewrite_count(r->rewrite_callee), 1);
	struct address six = address_of("2001:db8::9", 5060);
	cr_assert(address_equal(&c->routings[1].addresses[0], &six));
	cr_assert_eq(c->routings[1].listener, 1, "the listener of the name's family");
	config_free(c);
}

Test(spec_7_config, defaults_of_the_routing_keys)
{
	struct config *c = load_text("listen \"a\" { }\nmapping_gateway \"m\" { address = \"10.0.0.1\" allow = {} }\n"
				     "routing_gateway \"r\" { address = \"10.0.0.2\" }\n");
	const struct mapping_gateway *m = &c->mappings[0];
	const struct routing_gateway *r = &c->routings[0];

	cr_assert_eq(c->prefix_mode, PREFIX_TERMINATE);
	cr_assert_eq(m->rate_limit, 0);
	cr_assert_eq(m->prefix_mode, PREFIX_INHERIT);
	cr_assert_eq(m->caller_from, CALLER_FROM);
	cr_assert_eq(m->callee_from, CALLEE_REQUEST_URI);
	cr_assert_eq(m->sort_count, 0);
	cr_assert_null(m->allow, "an empty list is none: all");
	cr_assert_null(m->deny);
	cr_assert_null(m->rewrite_caller);
	cr_assert_null(m->rewrite_callee);
	cr_assert_eq(m->reason_count, 0);
	cr_assert_eq(r->address_count, 1);
	cr_assert_eq(r->rate_limit, 0);
	cr_assert_eq(r->prefix_mode, PREFIX_INHERIT);
	cr_assert_str_empty(r->tech_prefix);
	cr_assert_eq(r->asserted, ASSERTED_NONE);
	cr_assert_eq(r->privacy, PRIVACY_NONE);
	cr_assert_not(r->ignore_6xx);
	cr_assert_not(r->options_check);
	cr_assert_not(r->least_cost);
	cr_assert_eq(r->min_profit_percent, 0);
	cr_assert_eq(r->max_price_e8, 0);
	cr_assert_eq(r->stop_code_count, 0);
	cr_assert_null(r->rewrite_callee);
	config_free(c);
}

/* config.show leaves no key out, and gives the same configuration again. */
Test(spec_7_config, text_round_trip_of_every_key)
{
	struct config *c = load_full();
	char *text = config_text(c);

	for (unsigned k = 0; k < SECTION_KINDS; k++)
		for (unsigned i = 0; i < section_forms[k].key_count; i++) {
			char line[80];

			snprintf(line, sizeof line, "\n%s%s = ", k == SECTION_NODE ? "" : "\t",
				 section_forms[k].keys[i].name);
			cr_expect(strstr(text, line) || strncmp(text, line + 1, strlen(line + 1)) == 0,
				  "%s is not in the text", line);
		}
	struct config *again = load_text(text);
	char *text_again = config_text(again);
	cr_assert_str_eq(text_again, text);
	const struct mapping_gateway *m = &c->mappings[0], *n = &again->mappings[0];
	cr_assert_arr_eq(n->allow, m->allow, 2 * sizeof *m->allow);
	cr_assert_arr_eq(n->reasons, m->reasons, 3 * sizeof *m->reasons);
	cr_assert_str_eq(rewrite_text(n->rewrite_caller, 1), rewrite_text(m->rewrite_caller, 1));
	cr_assert_arr_eq(again->routings[0].addresses, c->routings[0].addresses, sizeof c->routings[0].addresses);
	cr_assert_eq(again->prefix_mode, PREFIX_CONTINUE);
	free(text);
	free(text_again);
	config_free(c);
	config_free(again);
}

/* Of a name every address of the listener's family counts, up to the most that a gateway has. */
Test(spec_7_config, host_names_give_all_their_addresses)
{
	struct config *c = load_text("listen \"four\" { }\nlisten \"six\" { address = \"::1\" }\n"
				     "routing_gateway \"any\" { address = \"both.example\" }\n"
				     "routing_gateway \"four\" { address = \"both.example:5070\" listen = four }\n"
				     "routing_gateway \"six\" { address = \"BOTH.example.\" listen = six }\n"
				     "routing_gateway \"as-listed\" { address = {\"both.example\", \"10.0.0.1\"} }\n"
				     "routing_gateway \"many\" { address = \"many.example\" }\n"
				     "routing_gateway \"twice\" { address = {\"four.example\", \"both.example\"} }\n");

	const struct routing_gateway *r = c->routings;
	const struct address first = address_of("2001:db8::8", 5060);
	cr_assert_eq(r[0].address_count, 1, "of the family of its first address");
	cr_assert(address_equal(&r[0].addresses[0], &first));
	cr_assert_eq(r[0].listener, 1);
	const struct address fours[] = { address_of("192.0.2.8", 5070), address_of("192.0.2.9", 5070) };
	cr_assert_eq(r[1].address_count, 2);
	cr_assert_arr_eq(r[1].addresses, fours, sizeof fours);
	cr_assert_eq(r[2].address_count, 1);
	cr_assert(address_equal(&r[2].addresses[0], &first));
	const struct address listed[] = { address_of("192.0.2.8", 5060), address_of("192.0.2.9", 5060),
					  address_of("10.0.0.1", 5060) };
	cr_assert_eq(r[3].address_count, 3, "the address decides which family the name is asked for");
	cr_assert_arr_eq(r[3].addresses, listed, sizeof listed);
	cr_assert_eq(r[4].address_count, ROUTING_ADDRESSES_MAX);
	const struct address last = address_of("192.0.2.107", 5060);
	cr_assert(address_equal(&r[4].addresses[7], &last));
	cr_assert_eq(r[5].address_count, 2, "what two names have in common is taken once");
	config_free(c);
}

Test(stop_codes, codes_ranges_and_classes)
{
	static const struct {
		const char *text, *written;
	} good[] = {
		{ "300", "300" },     { "699", "699" },     { " 404 ", "404" },
		{ "5xx", "500-599" }, { "3XX", "300-399" }, { "480 - 489", "480-489" },
	};
	static const char *const bad[] = { "",        "x",   "299", "700",  "4",    "40",    "4040",
					   "404,405", "4xX", "xx",  "-404", "404-", "404-40" };

	for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct code_range range;
		char text[CODES_TEXT_MAX];

		cr_assert_null(codes_read(good[i].text, &range), "'%s'", good[i].text);
		codes_write(range.first, range.last, text);
		cr_assert_str_eq(text, good[i].written);
	}
	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct code_range range = { 1, 2 };

		cr_assert_not_null(codes_read(bad[i], &range), "'%s'", bad[i]);
		cr_assert_eq(range.first, 1, "a result only on success");
	}
}

Test(failed_reason_map, rules)
{
	static const struct {
		const char *text;
		struct reason_rule rule;
		const char *written;
	} good[] = {
		{ "503->480", { 503, 503, 480 }, "503 -> 480" },
		{ "5xx -> 503", { 500, 599, 503 }, "500-599 -> 503" },
		{ "300-699 -> 699", { 300, 699, 699 }, "300-699 -> 699" },
	};
	static const char *const bad[] = { "",       "503",    "503 480",    "503 - 480",
					   "-> 480", "503 ->", "503 -> 399", "503 -> 480x" };

	for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
		struct reason_rule rule;
		char text[CODES_TEXT_MAX];

		cr_assert_null(reason_rule_read(good[i].text, &rule), "'%s'", good[i].text);
		cr_assert_arr_eq(&rule, &good[i].rule, sizeof rule);
		reason_rule_write(&rule, text);
		cr_assert_str_eq(text, good[i].written);
	}
	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct reason_rule rule;

		cr_assert_not_null(reason_rule_read(bad[i], &rule), "'%s'", bad[i]);
	}
}

/* What the reference would leave empty. */
Test(spec_2_config, every_row_says_what_it_is)
{
	for (unsigned k = 0; k < SECTION_KINDS; k++)
		for (unsigned i = 0; k != SECTION_PARAMETERS && i < section_forms[k].key_count; i++) {
			const struct key *key = &section_forms[k].keys[i];
			char range[KEY_RANGE_MAX];

			cr_assert_str_not_empty(key->text, "%s", key->name);
			cr_assert_str_not_empty(key_range(key, range), "%s", key->name);
			cr_assert_leq(key->min, key->max, "%s", key->name);
			cr_assert(key->kind != KEY_TEXT || key->form, "%s", key->name);
			cr_assert_eq(key_find(k, key->name), (int)i, "%s stands twice", key->name);
		}
}

/* A gateway's own waits have the ranges of the parameters that they stand for. */
Test(spec_6, timeouts_of_a_gateway_have_the_parameters_ranges)
{
	static const char *const pairs[][2] = {
		{ "timeout_invite", "SS_SIP_TIMEOUT_INVITE" },
		{ "timeout_trying", "SS_SIP_TIMEOUT_TRYING" },
		{ "timeout_session_progress", "SS_SIP_TIMEOUT_SESSION_PROGRESS" },
		{ "timeout_session_progress_sdp", "SS_SIP_TIMEOUT_SESSION_PROGRESS_SDP" },
		{ "timeout_ringing", "SS_SIP_TIMEOUT_RINGING" },
	};

	for (unsigned i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		const struct key *key = &section_forms[SECTION_ROUTING].keys[key_find(SECTION_ROUTING, pairs[i][0])];

		cr_assert_eq(key->min, 0);
		cr_assert_eq(key->max, parameter_infos[parameter_find(pairs[i][1])].max, "%s", pairs[i][0]);
	}
}

static void collect(void *context, const char *sentence)
{
	strcat(context, sentence);
	strcat(context, "\n");
}

Test(spec_7_config, warnings_of_the_routing_keys)
{
	char said[2048] = "";
	struct config *c = load_text(
		"listen \"a\" { }\nmapping_gateway \"m\" { address = \"10.0.0.1\" sort = {\"asr\", \"price\"} }\n"
		"mapping_gateway \"n\" { address = \"10.0.0.2\" sort = asr }\n"
		"routing_gateway \"r\" { address = {\"10.0.0.1\", \"127.0.0.1\"} }\n");

	config_warnings(c, collect, said);
	cr_assert_not_null(strstr(said, "mapping_gateway \"m\" sorts by price, but no routing_gateway has an account"));
	cr_assert_null(strstr(said, "\"n\""));
	cr_assert_not_null(strstr(said, "\"r\" is this node's own listen \"a\""), "of any of its addresses");
	config_free(c);
}

/* Seconds of processor time that a configuration of so many gateways takes. */
static double seconds_to_load(uint32_t gateways)
{
	struct timespec from, to;
	struct config *c;
	char error[512];
	FILE *out = fopen(scratch_path("rw.conf"), "w");

	cr_assert_not_null(out);
	fputs("listen \"a\" { }\n", out);
	for (uint32_t i = 0; i < gateways; i++)
		fprintf(out,
			"routing_gateway \"vendor-%u\" {\n  address = \"10.%u.%u.%u\"\n  prefix = {\"%u\", "
			"\"99%u\"}\n}\n",
			i, i >> 16, i >> 8 & 255, i & 255, i, i);
	fprintf(out, "mapping_gateway \"m\" { address = \"10.0.0.1\" deny = \"vendor-%u\" }\n", gateways - 1);
	cr_assert_eq(fclose(out), 0);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	int result = config_load(scratch_path("rw.conf"), &c, error);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
	cr_assert_eq(result, 0, "%s", error);
	cr_assert_eq(c->routing_count, gateways);
	cr_assert_str_eq(c->routings[gateways - 1].prefixes[0], c->routings[gateways - 1].name + strlen("vendor-"));
	config_free(c);
	return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
}

/* Sixteen times the gateways take about as many times as long, where comparing each title with all before it would make
 * the time grow with their square. */
Test(spec_7_config, time_to_load_grows_with_the_number_of_gateways, .timeout = 120)
{
	seconds_to_load(1000);
	double few = seconds_to_load(2000), many = seconds_to_load(32000);

	cr_assert_lt(many, 32 * few, "2,000 gateways %.3f s, 32,000 %.3f s", few, many);
}

Test(spec_7_config, warnings_of_the_keys_of_price)
{
	char said[2048] = "";
	struct config *c = load_text(
		"listen \"a\" { }\nmapping_gateway \"m\" { address = \"10.0.0.1\" sort = \"price\" }\n"
		"routing_gateway \"o\" { address = \"10.0.1.1\" account = v max_price = 1 min_profit_percent = 1 }\n"
		"routing_gateway \"p\" { address = \"10.0.1.2\" max_price = 1 }\n"
		"routing_gateway \"q\" { address = \"10.0.1.3\" min_profit_percent = 1 }\n"
		"routing_gateway \"r\" { address = \"10.0.1.4\" least_cost = on }\n");

	config_warnings(c, collect, said);
	cr_assert_null(strstr(said, "sorts by price"), "there is one with an account");
	cr_assert_null(strstr(said, "\"o\""));
	cr_assert_not_null(strstr(said, "\"p\" has max_price but no account"));
	cr_assert_not_null(strstr(said, "\"q\" has min_profit_percent but no account"));
	cr_assert_not_null(strstr(said, "\"r\" has least_cost but no account"));
	config_free(c);
}
