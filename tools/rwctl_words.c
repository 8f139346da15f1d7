/* Commands of two words: see rwctl_words.h. */
#include "tools/rwctl_words.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/rwctl_client.h"
#include "tools/rwctl_limit.h"
#include "tools/rwctl_moment.h"
#include "tools/rwctl_table.h"

enum { OPTION_JSON = 256, OPTION_BITS };

/* Values of the commands' own options are OPTION_BITS plus their bit. */
static const struct option options[] = {
	{ "socket", required_argument, NULL, 's' },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "help", no_argument, NULL, 'h' },
	{ "limit", required_argument, NULL, OPTION_BITS + WORDS_LIMIT },
	{ "currency", required_argument, NULL, OPTION_BITS + WORDS_CURRENCY },
	{ "overdraft", required_argument, NULL, OPTION_BITS + WORDS_OVERDRAFT },
	{ "rate-table", required_argument, NULL, OPTION_BITS + WORDS_RATE_TABLE },
	{ "bill-until", required_argument, NULL, OPTION_BITS + WORDS_BILL_UNTIL },
	{ "reason", required_argument, NULL, OPTION_BITS + WORDS_REASON },
	{ "fee", required_argument, NULL, OPTION_BITS + WORDS_FEE },
	{ "prefix", required_argument, NULL, OPTION_BITS + WORDS_PREFIX },
	{ "account", required_argument, NULL, OPTION_BITS + WORDS_ACCOUNT },
	{ "at", required_argument, NULL, OPTION_BITS + WORDS_AT },
	{ NULL, 0, NULL, 0 },
};

struct order {
	const char *socket;
	bool json;
	unsigned options; /* that were given */
	json_t *params;
	const struct words *words;
};

static const struct words *const tables[] = { account_words, rates_words };
#define TABLES (sizeof tables / sizeof tables[0])

/* Of two rows for the same words the later one takes more operands. */
static const struct words *find(const char *first, const char *second, int operands)
{
	const struct words *found = NULL;
	for (size_t t = 0; t < TABLES; t++)
		for (const struct words *w = tables[t]; w->first != NULL; w++)
			if (strcmp(w->first, first) == 0 && strcmp(w->second, second) == 0 &&
			    (found == NULL || operands >= w->operands_min))
				found = w;
	return found;
}

/* The first argument that is neither an option nor the value of -s; argc: there is none. */
static int first_word(int argc, char **argv)
{
	int i = 1;
	while (i < argc && argv[i][0] == '-')
		i += strcmp(argv[i], "-s") == 0 || strcmp(argv[i], "--socket") == 0 ? 2 : 1;
	return i < argc ? i : argc;
}

bool words_are_meant(int argc, char **argv)
{
	int i = first_word(argc, argv);
	if (i == argc)
		return false;
	for (size_t t = 0; t < TABLES; t++)
		for (const struct words *w = tables[t]; w->first != NULL; w++)
			if (strcmp(w->first, argv[i]) == 0)
				return strcmp(argv[i], "cdr") != 0 ||
				       (i + 1 < argc && strcmp(argv[i + 1], w->second) == 0);
	return false;
}

void words_help(FILE *out)
{
	for (size_t t = 0; t < TABLES; t++)
		for (const struct words *w = tables[t]; w->first != NULL; w++) {
			bool wide = strlen(w->usage) > 22;
			fprintf(out, "  %-23s%s%s%s\n", w->usage, wide ? "\n" : "",
				wide ? "                         " : "", w->text);
		}
}

/* ---- arguments ---- */

static int usage_error(const char *what, const char *which)
{
	fprintf(stderr, "rwctl: %s", what);
	print_safely(which, stderr);
	fputs("; rwctl --help shows what there is\n", stderr);
	return EXIT_FAILURE;
}

static json_t *number_value(const char *text)
{
	char *end;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 ? json_integer(value) : NULL;
}

/* One option as the parameter it becomes.  NULL: the value cannot be read, or is no UTF-8. */
static json_t *option_value(unsigned option, const char *text, const char **ret_name)
{
	static const struct {
		unsigned option;
		const char *name;
	} texts[] = {
		{ WORDS_CURRENCY, "currency" },     { WORDS_OVERDRAFT, "overdraft" },
		{ WORDS_RATE_TABLE, "rate_table" }, { WORDS_BILL_UNTIL, "bill_until" },
		{ WORDS_REASON, "reason" },         { WORDS_FEE, "fee" },
		{ WORDS_PREFIX, "prefix" },         { WORDS_ACCOUNT, "account" },
	};
	json_int_t us = 0;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		*ret_name = texts[i].name;
		if (texts[i].option == option)
			return json_string(text);
	}
	*ret_name = option == WORDS_LIMIT ? "limit" : "at";
	if (option == WORDS_LIMIT)
		return number_value(text);
	return read_moment_us(text, &us) ? json_integer(us) : NULL;
}

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
			words_help(stdout);
			return EXIT_SUCCESS;
		} else if (option == ':') {
			return usage_error("a value is missing after ", argv[optind - 1]);
		} else if (option == '?') {
			return usage_error("cannot understand the option ", argv[optind > 1 ? optind - 1 : 1]);
		} else {
			const char *name = "";
			unsigned bit = (unsigned)(option - OPTION_BITS);
			json_t *value = option_value(bit, optarg, &name);
			o->options |= bit;
			if (value == NULL)
				return usage_error("cannot understand the value ", optarg);
			json_object_set_new(o->params, name, value);
		}
	}
	return -1;
}

/* The switch has another working directory. */
static json_t *path_value(const char *path)
{
	char directory[PATH_MAX], whole[2 * PATH_MAX + 2];
	if (path[0] == '/')
		return json_string(path);
	if (getcwd(directory, sizeof directory) == NULL)
		return NULL;
	snprintf(whole, sizeof whole, "%s/%.*s", directory, PATH_MAX, path);
	return json_string(whole);
}

static int read_operands(struct order *o, int count, char **operands)
{
	/* A look-up for an account needs no table. */
	int skip = o->options & WORDS_ACCOUNT && o->words->operands[1] != NULL ? 1 : 0;
	for (int i = 0; i < count; i++) {
		const char *name = i + skip < WORDS_OPERANDS ? o->words->operands[i + skip] : NULL;
		json_t *value = NULL;
		if (name != NULL)
			value = strcmp(name, "file") == 0 ? path_value(operands[i]) : json_string(operands[i]);
		if (value == NULL)
			return usage_error("cannot understand ", operands[i]);
		json_object_set_new(o->params, name, value);
	}
	if (count + skip < o->words->operands_min)
		return usage_error("this command needs more: rwctl ", o->words->usage);
	return -1;
}

static void sign(json_t *params)
{
	const struct passwd *user = getpwuid(getuid());
	const char *login = getlogin();
	if (login == NULL && user != NULL)
		login = user->pw_name;
	if (login != NULL)
		json_object_set_new(params, "who", json_string(login));
}

static int read_command(struct order *o, int argc, char **argv)
{
	if (argc < 2)
		return usage_error("a second word is missing after ", argv[0]);
	o->words = find(argv[0], argv[1], argc - 2);
	if (o->words == NULL)
		return usage_error("there is no such command: ", argv[1]);
	for (const struct option *known = options; known->name != NULL; known++)
		if (known->val > OPTION_BITS &&
		    (o->options & (unsigned)(known->val - OPTION_BITS) & ~o->words->options) != 0)
			return usage_error("this command has no option --", known->name);
	if (o->words->options & WORDS_FEE && !(o->options & WORDS_FEE))
		return usage_error("this command needs more: rwctl ", o->words->usage);
	if (o->words->signs)
		sign(o->params);
	return read_operands(o, argc - 2, argv + 2);
}

/* ---- the answer ---- */

/* A reason of several lines: bad rows of a file. */
static void print_reason(const char *reason)
{
	char line[CLIENT_ERROR_SIZE];
	fputs("rwctl: ", stderr);
	while (*reason != '\0') {
		size_t size = strcspn(reason, "\n");
		snprintf(line, sizeof line, "%.*s", (int)size, reason);
		print_safely(line, stderr);
		fputc('\n', stderr);
		reason += size + (reason[size] == '\n');
	}
}

static bool carry_out(const struct order *o, char error[static CLIENT_ERROR_SIZE])
{
	struct client *c;
	if (client_open(o->socket, &c, error) < 0)
		return false;
	bool one_more = o->words->options & WORDS_LIMIT && !(o->options & WORDS_LIMIT);
	if (one_more)
		limit_ask_for_one_more(o->params);
	json_t *result = client_call(c, o->words->method, json_incref(o->params), error);
	client_close(c);
	if (result == NULL)
		return false;
	if (one_more)
		limit_cut(result);
	if (o->json) {
		json_dumpf(result, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
		putchar('\n');
	} else {
		o->words->show(result, stdout);
	}
	json_decref(result);
	if (fflush(stdout) == 0 && !ferror(stdout))
		return true;
	snprintf(error, CLIENT_ERROR_SIZE, "cannot write the answer: %s", strerror(errno));
	return false;
}

int words_run(int argc, char **argv, const char *socket_default)
{
	struct order order = { .socket = socket_default, .params = json_object() };
	char error[CLIENT_ERROR_SIZE] = "no memory";
	int status = read_options(&order, argc, argv);
	if (status < 0)
		status = read_command(&order, argc - optind, argv + optind);
	if (status < 0) {
		status = EXIT_SUCCESS;
		if (!carry_out(&order, error)) {
			print_reason(error);
			status = EXIT_FAILURE;
		}
	}
	json_decref(order.params);
	return status;
}
