/* rwctl: asks a running switch over its control socket.  One row a command; an option is refused where it means
 * nothing. Exit status: 0 done, 1 the reason is on stderr. */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/rwctl_client.h"
#include "tools/rwctl_limit.h"
#include "tools/rwctl_moment.h"
#include "tools/rwctl_show.h"
#include "tools/rwctl_table.h"
#include "tools/rwctl_top.h"
#include "tools/rwctl_words.h"

#define SOCKET_DEFAULT "./data/ringwheel.sock"

#define PAGE_ROWS 10000 /* that cdr.list and calls.list give at once */

/* Options that belong to some commands only: bits. */
enum {
	LIMIT = 1,
	GATEWAY = 2,
	NUMBER = 4,
	OLDER_THAN = 8,
	SINCE = 16,
	ACCOUNT = 32,
	CSV = 64,
	KEEP_CALLS = 128,
	TIMEOUT = 256,
	/* Those of cdr. */
	UNTIL = 1 << 16,
	REASON = 1 << 17,
	ANSWERED = 1 << 18,
	UNANSWERED = 1 << 19,
	MIN_HOLD = 1 << 20,
	CDR_ID = 1 << 21,
	SUMS = 1 << 22,
};

#define CDR_FILTERS (SINCE | UNTIL | ACCOUNT | GATEWAY | NUMBER | REASON | ANSWERED | UNANSWERED | MIN_HOLD | CDR_ID)

struct verb {
	const char *name;
	const char *method; /* NULL: top */
	show_fn *show;
	unsigned options;
	const char *operands[3]; /* the parameters they become */
	int operands_min;
	const char *usage, *text;
};

static const struct verb verbs[] = {
	{ "info", "node.info", show_info, 0, { 0 }, 0, "info", "version, addresses, uptime" },
	{ "stats", "stats", show_stats, 0, { 0 }, 0, "stats", "the node's statistics" },
	{ "shards", "stats", show_shards, 0, { 0 }, 0, "shards", "a row for each worker" },
	{ "top", NULL, NULL, 0, { 0 }, 0, "top", "the same live, once a second; q ends it" },
	{ "calls",
	  "calls.list",
	  show_calls,
	  LIMIT | GATEWAY | NUMBER | OLDER_THAN | CSV,
	  { 0 },
	  0,
	  "calls [--limit N] [--gateway NAME] [--number PREFIX] [--older-than TIME] [--csv]",
	  "calls that are up or being set up" },
	{ "call", "calls.show", show_call, 0, { "call_id" }, 1, "call ID", "one call, by cdr_id or SIP Call-ID" },
	{ "hangup", "calls.hangup", show_hangup, 0, { "call_id" }, 1, "hangup ID", "end one call" },
	{ "reload", "config.reload", show_reload, 0, { 0 }, 0, "reload", "read the configuration again" },
	{ "param",
	  "parameters.get",
	  show_parameters,
	  0,
	  { "name", "value" },
	  0,
	  "param [NAME [VALUE]]",
	  "show parameters, or set one" },
	{ "gateways", "gateways.list", show_gateways, 0, { 0 }, 0, "gateways", "mapping and routing gateways" },
	{ "cdr",
	  "cdr.list",
	  show_cdrs,
	  CDR_FILTERS | LIMIT | SUMS | CSV,
	  { 0 },
	  0,
	  "cdr [FILTER]... [--limit N | --sums BY] [--csv]",
	  "call records, newest first, or their sums by account, gateway (where\n"
	  "                         they came in), vendor (where they went), prefix, reason, day, hour, or all" },
	{ "drain",
	  "node.drain",
	  show_drain,
	  TIMEOUT,
	  { 0 },
	  0,
	  "drain [--timeout TIME]",
	  "take no new calls and end when the last has gone" },
	{ "log", "log.level", show_log, 0, { "level" }, 0, "log [LEVEL]", "show what is logged, or set it" },
	{ "stop", "node.stop", show_stop, KEEP_CALLS, { 0 }, 0, "stop [--keep-calls]", "end all calls and stop" },
};

enum { OPTION_FIRST = 256, OPTION_JSON, OPTION_BITS };

/* Values of the command's own options are OPTION_BITS plus their bit. */
static const struct option options[] = {
	{ "socket", required_argument, NULL, 's' },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "help", no_argument, NULL, 'h' },
	{ "limit", required_argument, NULL, OPTION_BITS + LIMIT },
	{ "gateway", required_argument, NULL, OPTION_BITS + GATEWAY },
	{ "number", required_argument, NULL, OPTION_BITS + NUMBER },
	{ "older-than", required_argument, NULL, OPTION_BITS + OLDER_THAN },
	{ "since", required_argument, NULL, OPTION_BITS + SINCE },
	{ "account", required_argument, NULL, OPTION_BITS + ACCOUNT },
	{ "csv", no_argument, NULL, OPTION_BITS + CSV },
	{ "until", required_argument, NULL, OPTION_BITS + UNTIL },
	{ "reason", required_argument, NULL, OPTION_BITS + REASON },
	{ "answered", no_argument, NULL, OPTION_BITS + ANSWERED },
	{ "unanswered", no_argument, NULL, OPTION_BITS + UNANSWERED },
	{ "min-hold", required_argument, NULL, OPTION_BITS + MIN_HOLD },
	{ "id", required_argument, NULL, OPTION_BITS + CDR_ID },
	{ "sums", required_argument, NULL, OPTION_BITS + SUMS },
	{ "keep-calls", no_argument, NULL, OPTION_BITS + KEEP_CALLS },
	{ "timeout", required_argument, NULL, OPTION_BITS + TIMEOUT },
	{ NULL, 0, NULL, 0 },
};

static void help(FILE *out)
{
	fputs("usage: rwctl [-s SOCKET] [--json] COMMAND\n\n", out);
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		bool wide = strlen(verbs[i].usage) > 22;
		fprintf(out, "  %-23s%s%s%s\n", verbs[i].usage, wide ? "\n" : "",
			wide ? "                         " : "", verbs[i].text);
	}
	words_help(out);
	fputs("\n  -s, --socket SOCKET    control socket (" SOCKET_DEFAULT ")\n"
	      "      --json             print the result as JSON\n"
	      "  -h, --help             this text\n\n"
	      "FILTER of cdr: --since TIME, --until TIME, --account NAME, --gateway NAME, --number PREFIX (of the "
	      "caller\n"
	      "or the callee), --reason NAME, --answered, --unanswered, --min-hold TIME, --id CDR_ID\n\n"
	      "TIME is a number of seconds, or of another unit: 90, 90s, 15m, 2h, 7d.  --since and --until take such "
	      "a\n"
	      "time ago, a local time like \"2030-01-31 18:00\" or \"2030-01-31\", today, yesterday (their "
	      "beginnings),\n"
	      "now, or microseconds since 1970 (16 digits): --since yesterday --until today is all of yesterday.\n\n"
	      "Exit status: 0 done; 1 not, with the reason on stderr.\n",
	      out);
}

static int usage_error(const char *what, const char *which)
{
	fprintf(stderr, "rwctl: %s", what);
	print_safely(which, stderr);
	fputs("; rwctl --help shows what there is\n", stderr);
	return EXIT_FAILURE;
}

/* One option as the parameter it becomes.  NULL: the value cannot be read, or is no UTF-8. */
static json_t *option_value(unsigned option, const char *text, const char **ret_name)
{
	json_int_t value = 0;
	const char *end;
	switch (option) {
	case LIMIT:
		*ret_name = "limit";
		return read_integer(text, &value, &end) && *end == '\0' ? json_integer(value) : NULL;
	case GATEWAY:
		*ret_name = "gateway";
		return json_string(text);
	case NUMBER:
		*ret_name = "number";
		return json_string(text);
	case ACCOUNT:
		*ret_name = "account";
		return json_string(text);
	case OLDER_THAN:
		*ret_name = "older_than_s";
		return read_span_s(text, &value) ? json_integer(value) : NULL;
	case TIMEOUT:
		*ret_name = "timeout_s";
		return read_span_s(text, &value) ? json_integer(value) : NULL;
	case UNTIL:
		*ret_name = "until";
		return read_moment_us(text, &value) ? json_integer(value) : NULL;
	case REASON:
		*ret_name = "end_reason";
		return json_string(text);
	case ANSWERED:
	case UNANSWERED:
		*ret_name = "answered";
		return json_boolean(option == ANSWERED);
	case MIN_HOLD:
		*ret_name = "min_hold_ms";
		return read_span_s(text, &value) ? json_integer(value * 1000) : NULL;
	case CDR_ID:
		*ret_name = "cdr_id";
		return json_string(text);
	case SUMS:
		*ret_name = "by";
		return json_string(text);
	case SINCE:
		*ret_name = "since";
		return read_moment_us(text, &value) ? json_integer(value) : NULL;
	case KEEP_CALLS:
		*ret_name = "keep_calls";
		return json_true();
	default:
		*ret_name = "";
		return NULL;
	}
}

struct order {
	const char *socket;
	bool json;
	unsigned options; /* that were given */
	json_t *params;
	const struct verb *verb;
	const char *method;
	show_fn *show;
};

/* -1: go on; else the exit status. */
static int read_options(struct order *o, int argc, char **argv)
{
	int option;
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":s:h", options, NULL)) != -1) {
		if (option == 's') {
			o->socket = optarg;
		} else if (option == OPTION_JSON) {
			o->json = true;
		} else if (option == 'h') {
			help(stdout);
			return EXIT_SUCCESS;
		} else if (option == ':') {
			return usage_error("a value is missing after ", argv[optind - 1]);
		} else if (option == '?') {
			return usage_error("cannot understand the option ", argv[optind > 1 ? optind - 1 : 1]);
		} else {
			const char *name = "";
			unsigned bit = (unsigned)(option - OPTION_BITS);
			o->options |= bit;
			if (bit == CSV)
				continue;
			json_t *value = option_value(bit, optarg, &name);
			if (value == NULL)
				return usage_error("cannot understand the value ", optarg);
			json_object_set_new(o->params, name, value);
		}
	}
	return -1;
}

static const struct verb *verb_named(const char *name)
{
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static int read_command(struct order *o, int argc, char **argv)
{
	if (argc == 0)
		return usage_error("no command was given", "");
	o->verb = verb_named(argv[0]);
	if (o->verb == NULL)
		return usage_error("there is no command ", argv[0]);
	for (const struct option *known = options; known->name != NULL; known++)
		if (known->val > OPTION_BITS &&
		    (o->options & (unsigned)(known->val - OPTION_BITS) & ~o->verb->options) != 0)
			return usage_error("this command has no option --", known->name);
	if (o->options & ANSWERED && o->options & UNANSWERED)
		return usage_error("either --answered or --unanswered", "");
	int operands = 0;
	for (; operands < argc - 1; operands++) {
		const char *name = operands < 3 ? o->verb->operands[operands] : NULL;
		json_t *value = name != NULL ? json_string(argv[operands + 1]) : NULL;
		if (value == NULL)
			return usage_error("cannot understand ", argv[operands + 1]);
		json_object_set_new(o->params, name, value);
	}
	if (operands < o->verb->operands_min)
		return usage_error("this command needs more: rwctl ", o->verb->usage);
	o->method = o->verb->method;
	o->show = o->verb->show;
	if (o->options & CSV)
		o->show = o->show == show_calls ? show_calls_csv : show_cdrs_csv;
	if (o->options & SUMS) {
		if (o->options & LIMIT)
			return usage_error("--sums are of all that the filters leave: no --limit", "");
		o->method = "cdr.sums";
		o->show = o->options & CSV ? show_sums_csv : show_sums;
		json_object_set_new(
			o->params, "utc_offset_s",
			json_integer(utc_offset_s(json_integer_value(json_object_get(o->params, "since")))));
	}
	if (o->method != NULL && strcmp(o->method, "parameters.get") == 0 && operands == 2) {
		o->method = "parameters.set";
		o->show = show_parameter_set;
	}
	return -1;
}

/* More rows than the switch gives at once are asked for page by page; `cursor` is the parameter that says where the
 * next one begins: at the last cdr_id of the one before. */
static json_t *ask_for_pages(struct client *c, const struct order *o, json_int_t limit, const char *cursor,
			     char error[static CLIENT_ERROR_SIZE])
{
	json_t *all = json_array(), *params = json_deep_copy(o->params);
	for (json_int_t left = limit; left > 0;) {
		json_int_t size = left < PAGE_ROWS ? left : PAGE_ROWS;
		json_object_set_new(params, "limit", json_integer(size));
		json_t *page = client_call(c, o->method, json_copy(params), error);
		if (page == NULL) {
			json_decref(all);
			all = NULL;
			break;
		}
		json_array_extend(all, page);
		left = (json_int_t)json_array_size(page) == size ? left - size : 0;
		json_t *last = json_array_get(page, json_array_size(page) - 1);
		if (last != NULL)
			json_object_set(params, cursor, json_object_get(last, "cdr_id"));
		json_decref(page);
	}
	json_decref(params);
	return all;
}

static json_t *ask(struct client *c, const struct order *o, char error[static CLIENT_ERROR_SIZE])
{
	json_int_t limit = json_integer_value(json_object_get(o->params, "limit"));
	bool calls = strcmp(o->method, "calls.list") == 0;
	if (calls && !(o->options & LIMIT))
		limit = INT64_MAX;
	if ((calls || strcmp(o->method, "cdr.list") == 0) && limit > PAGE_ROWS)
		return ask_for_pages(c, o, limit, calls ? "after" : "before", error);
	return client_call(c, o->method, json_incref(o->params), error);
}

/* Of statistics of the node those of its shards, if only they were asked for. */
static void print_json(const struct order *o, const json_t *result)
{
	const json_t *part = o->show == show_shards ? json_object_get(result, "shards") : result;
	json_dumpf(part, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY | JSON_REAL_PRECISION(10));
	putchar('\n');
}

static bool carry_out(const struct order *o, char error[static CLIENT_ERROR_SIZE])
{
	struct client *c;
	if (o->method == NULL && !o->json && !isatty(STDOUT_FILENO)) {
		snprintf(error, CLIENT_ERROR_SIZE, "top draws on a terminal; --json gives a line a second to others");
		return false;
	}
	if (client_open(o->socket, &c, error) < 0)
		return false;
	bool good;
	if (o->method == NULL) {
		good = top_run(c, o->json, error);
	} else {
		bool one_more = strcmp(o->method, "cdr.list") == 0 && !(o->options & LIMIT);
		if (one_more)
			limit_ask_for_one_more(o->params);
		json_t *result = ask(c, o, error);
		good = result != NULL;
		if (good && one_more)
			limit_cut(result);
		if (good && o->json)
			print_json(o, result);
		else if (good)
			o->show(result, stdout);
		json_decref(result);
	}
	client_close(c);
	if (good && (fflush(stdout) != 0 || ferror(stdout))) {
		snprintf(error, CLIENT_ERROR_SIZE, "cannot write the answer: %s", strerror(errno));
		good = false;
	}
	return good;
}

int main(int argc, char **argv)
{
	struct order order = { .socket = SOCKET_DEFAULT, .params = json_object() };
	char error[CLIENT_ERROR_SIZE] = "no memory";
	if (words_are_meant(argc, argv)) {
		json_decref(order.params);
		return words_run(argc, argv, SOCKET_DEFAULT);
	}
	int status = read_options(&order, argc, argv);
	if (status < 0)
		status = read_command(&order, argc - optind, argv + optind);
	if (status < 0) {
		status = EXIT_SUCCESS;
		if (!carry_out(&order, error)) {
			fputs("rwctl: ", stderr);
			print_safely(error, stderr);
			fputc('\n', stderr);
			status = EXIT_FAILURE;
		}
	}
	json_decref(order.params);
	return status;
}
