/* rwctl as a user runs it: the built program, its output and exit status, against a node without workers.
 * The program's path comes from the build in RWCTL. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "billing/ledger.h"
#include "billing/store.h"
#include "tests/core/fake_node.h"

extern char **environ;

static struct node *node;
static char output[1 << 22], errors[4096];

static void setup(void)
{
	node = fake_node_create();
	setenv("TZ", "UTC", 1);
}

static void teardown(void)
{
	fake_node_destroy(node);
}

TestSuite(rwctl, .init = setup, .fini = teardown, .timeout = 30);

static bool on_terminal; /* the next one's output */
static unsigned short terminal_columns;

static void open_terminal(int ends[2])
{
	ends[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	cr_assert(ends[0] >= 0 && grantpt(ends[0]) == 0 && unlockpt(ends[0]) == 0);
	ends[1] = open(ptsname(ends[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
	cr_assert_geq(ends[1], 0);
	const struct winsize size = { .ws_row = 24, .ws_col = terminal_columns };
	cr_assert_eq(ioctl(ends[1], TIOCSWINSZ, &size), 0);
}

static pid_t start(char *const *arguments, int ret_fds[2])
{
	int out[2], err[2];
	cr_assert_eq(pipe2(err, O_CLOEXEC), 0);
	if (on_terminal)
		open_terminal(out);
	else
		cr_assert_eq(pipe2(out, O_CLOEXEC), 0);
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
	const char *program = getenv("RWCTL");
	cr_assert_not_null(program, "RWCTL names the program");
	pid_t pid;
	cr_assert_eq(posix_spawn(&pid, program, &actions, NULL, arguments, environ), 0, "%s", program);
	posix_spawn_file_actions_destroy(&actions);
	close(out[1]);
	close(err[1]);
	ret_fds[0] = out[0];
	ret_fds[1] = err[0];
	return pid;
}

/* Reads both pipes to their ends, serving the socket meanwhile.  Returns the exit status. */
static int finish(pid_t pid, const int fds[2])
{
	char *texts[] = { output, errors };
	const size_t sizes[] = { sizeof output, sizeof errors };
	size_t used[2] = { 0, 0 };
	bool open[2] = { true, true };
	while (open[0] || open[1]) {
		struct pollfd waiting[] = { { .fd = open[0] ? fds[0] : -1, .events = POLLIN },
					    { .fd = open[1] ? fds[1] : -1, .events = POLLIN },
					    { .fd = control_fd(node->control), .events = POLLIN } };
		poll(waiting, 3, 1000);
		fake_pump(node);
		for (int i = 0; i < 2; i++) {
			if (waiting[i].revents == 0)
				continue;
			ssize_t size = read(fds[i], texts[i] + used[i], sizes[i] - used[i] - 1);
			open[i] = size > 0;
			used[i] += size > 0 ? (size_t)size : 0;
		}
	}
	output[used[0]] = errors[used[1]] = '\0';
	close(fds[0]);
	close(fds[1]);
	int status;
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define RWCTL(...) run((char *const[]){ (char *)"rwctl", (char *)"-s", node->config.control, __VA_ARGS__, NULL })

static int run(char *const *arguments)
{
	int fds[2];
	pid_t pid = start(arguments, fds);
	return finish(pid, fds);
}

static void expect(const char *words)
{
	cr_assert_not_null(strstr(output, words), "'%s' is not in:\n%s%s", words, output, errors);
}

Test(rwctl, info_and_statistics_are_tables)
{
	node->stats[1].calls_active = 77;
	histogram_add(&node->stats[1].relay_us, 9);
	node->books.sinks[0].written = 5;
	node->books.sinks[0].lag = 2;
	cr_assert_eq(RWCTL("info"), 0);
	expect("uptime         1h01m01s\n");
	expect("listen main    udp 127.0.0.1:5060\n");
	expect("started        2023-11-14 22:13:20.000\n");
	cr_assert_eq(RWCTL("stats"), 0);
	expect("\ncalls_active                 77\n");
	expect("\nrelay_us               1     9    9    9      9    9\n");
	expect("\nSTORE   WRITTEN  LAG  FAILING  FAILURES\nsqlite        5    2        0         0\n");
	cr_assert_eq(RWCTL("shards"), 0);
	expect("\n    1      77 ");
}

Test(rwctl, calls_are_a_table_with_aligned_columns)
{
	struct call_row *row = fake_call_add(node, 2, 1);
	strcpy(row->caller_in, "\033[2J\xc3\xa9"); /* a terminal must not see the escape */
	fake_call_add(node, 0, 2);
	cr_assert_eq(RWCTL("calls", "--limit", "5"), 0);
	expect("CDR ID                            STATE  FROM      TO      CALLER  CALLEE  START      ");
	expect("00000000000000000000000000000001  up     customer  vendor  ?[2J\xc3\xa9   8801    2023-11-14 "
	       "22:13:21.000");
	expect("  16m39s  a+b            2m30s      2\n");
	expect("00000000000000000000000000000002  up     other     vendor  +442    8802 ");
	cr_assert_eq(RWCTL("calls", "--older-than", "999", "--number", "8801", "--gateway", "customer"), 0);
	expect("00000000000000000000000000000001");
	cr_assert_null(strstr(output, "00000000000000000000000000000002"));
}

Test(rwctl, one_call_is_shown_and_hung_up)
{
	fake_call_add(node, 2, 1);
	cr_assert_eq(RWCTL("call", "b1"), 0);
	expect("source_address       127.0.0.1:5070\n");
	expect("connect              2023-11-14 22:13:21.500\n");
	cr_assert_eq(RWCTL("hangup", "b1"), 0);
	expect("00000000000000000000000000000001 is being hung up\n");
	cr_assert(node->calls[0].hung_up);
	cr_assert_eq(RWCTL("call", "b1"), 1);
	cr_assert_str_eq(errors, "rwctl: No call that is up or being set up has the cdr_id or Call-ID 'b1'.\n");
	cr_assert_str_empty(output);
}

Test(rwctl, json_is_the_result_and_nothing_else)
{
	fake_call_add(node, 2, 1);
	cr_assert_eq(RWCTL("--json", "calls"), 0);
	json_t *result = json_loads(output, 0, NULL);
	cr_assert_eq(json_array_size(result), 1);
	json_decref(result);
	cr_assert_eq(RWCTL("stats", "--json"), 0, "options may stand behind the command");
	result = json_loads(output, 0, NULL);
	cr_assert(json_is_array(json_object_get(result, "shards")));
	json_decref(result);
	node->stats[1].calls_active = 77;
	cr_assert_eq(RWCTL("--json", "shards"), 0);
	result = json_loads(output, 0, NULL);
	cr_assert_eq(json_array_size(result), FAKE_SHARDS, "of the statistics the shards only");
	cr_assert_eq(json_integer_value(json_object_get(json_array_get(result, 1), "calls_active")), 77);
	json_decref(result);
}

Test(rwctl, parameters_and_gateways)
{
	cr_assert_eq(RWCTL("param"), 0);
	expect("SS_SIP_SESSION_TTL ");
	expect("SS_QOS_SIGNAL ");
	cr_assert_eq(RWCTL("param", "RW_SIP_T1"), 0);
	expect("RW_SIP_T1  500    500      20..2000  ms ");
	cr_assert_eq(RWCTL("param", "RW_SIP_T1", "200"), 0);
	expect("NAME       VALUE  WAS\nRW_SIP_T1  200    500");
	cr_assert_eq(node->config.parameters.RW_SIP_T1, 200);
	cr_assert_eq(RWCTL("param", "RW_SIP_T1", "1"), 1);
	cr_assert_not_null(strstr(errors, "20..2000"));
	cr_assert_eq(RWCTL("gateways"), 0);
	expect("customer  mapping  up         0        10         0      -      -       -  127.0.0.0/8 +1\n");
	expect("vendor    routing  up         0       500         0      -      -       -  127.0.0.1:5080\n");
	node->tallies[0][FAKE_VENDOR].calls = 33;
	node->tallies[1][FAKE_VENDOR].attempts = 1234;
	quality_configure(node->qualities[0], 3600, 6);
	for (unsigned i = 0; i < 3; i++)
		quality_attempt(node->qualities[0], node->now_ns, FAKE_VENDOR, i > 0);
	quality_end(node->qualities[0], node->now_ns, FAKE_VENDOR, UINT64_C(61500000000));
	quality_reply(node->qualities[0], node->now_ns, FAKE_VENDOR, UINT64_C(1500000000));
	quality_set_online(node->qualities[FAKE_VENDOR % FAKE_SHARDS], FAKE_VENDOR, QUALITY_CHECKED | QUALITY_DOWN | 1,
			   0);
	cr_assert_eq(RWCTL("gateways"), 0);
	expect("NAME      KIND     STATE  CALLS  CAPACITY  ATTEMPTS  ASR %  ACD S  PDD MS  ADDRESSES\n");
	expect("vendor    routing  down      33       500      1234   66.7   61.5    1500  127.0.0.1:5080\n");
}

static void store_record(void)
{
	struct cdr_store *store;
	const char *error = "";
	struct cdr cdr = { .caller_in = { "a,\"b\"\r\n", 7 },
			   .callee_in = { "+880", 4 },
			   .start_us = 1700000000123456,
			   .hold_ms = 65250,
			   .pdd_ms = 250,
			   .sip_code = 200 };
	memset(cdr.cdr_id, 'c', sizeof cdr.cdr_id);
	cr_assert_eq(cdr_store_open(node->database, &store, &error), 0, "%s", error);
	cr_assert(cdr_store_begin(store) == 0 && cdr_store_add(store, &cdr) == 0 && cdr_store_commit(store) == 0);
	cdr_store_close(store);
}

Test(rwctl, cdrs_as_table_and_rfc4180)
{
	store_record();
	cr_assert_eq(RWCTL("cdr"), 0);
	expect("2023-11-14 22:13:20.123     1m05s  0.250s  ");
	expect("cccccccccccccccccccccccccccccccc\n");
	cr_assert_eq(RWCTL("cdr", "--csv"), 0);
	cr_assert_eq(strncmp(output, "cdr_id,node,shard,", 18), 0);
	expect(",\"a,\"\"b\"\"\r\n\",+880,");
	cr_assert_str_eq(output + strlen(output) - 2, "\r\n");
	cr_assert_eq(RWCTL("cdr", "--since", "2023-11-14 22:13:21"), 0);
	cr_assert_null(strstr(output, "cccc"));
	cr_assert_eq(RWCTL("cdr", "--since", "2023-11-14T22:13:20"), 0);
	expect("cccc");
	cr_assert_eq(RWCTL("cdr", "--since", "1h"), 0);
	cr_assert_null(strstr(output, "cccc"));
}

/* A day of two accounts: 30 calls of each, every second answered, 61 s for 0.0305. */
static void store_day(int64_t start_us)
{
	struct cdr_store *store;
	const char *error = "";
	cr_assert_eq(cdr_store_open(node->database, &store, &error), 0, "%s", error);
	cr_assert_eq(cdr_store_begin(store), 0);
	for (unsigned i = 0; i < 60; i++) {
		struct cdr cdr = { .account = { i % 2 ? "acme" : "b", i % 2 ? 4 : 1 },
				   .mapping_gateway = { "customer", 8 },
				   .caller_in = { "+4930", 5 },
				   .callee_in = { "880", 3 },
				   .start_us = start_us + i * INT64_C(60000000),
				   .pdd_ms = 1500,
				   .fee = { "0", 1 },
				   .cost = { "0.02", 4 },
				   .end_reason = CDR_END_no_answer };
		if (i % 4 < 2) {
			cdr.connect_us = cdr.start_us + 2000000;
			cdr.hold_ms = 61000;
			cdr.billed_s = 120;
			cdr.fee = (struct cdr_text){ "0.0305", 6 };
			cdr.end_reason = CDR_END_normal;
		}
		char id[CDR_ID_SIZE + 1];
		snprintf(id, sizeof id, "%014llx%018u", (unsigned long long)cdr.start_us, i);
		memcpy(cdr.cdr_id, id, CDR_ID_SIZE);
		cr_assert_eq(cdr_store_add(store, &cdr), 0);
	}
	cr_assert_eq(cdr_store_commit(store), 0);
	cdr_store_close(store);
}

static unsigned lines(void)
{
	unsigned count = 0;
	for (const char *at = output; *at != '\0'; at++)
		count += *at == '\n';
	return count;
}

Test(rwctl, cdr_filters)
{
	static const struct {
		const char *option, *value;
		unsigned rows;
	} cases[] = {
		{ "--account", "acme", 30 },
		{ "--number", "+49", 60 },
		{ "--number", "49301", 0 },
		{ "--reason", "no_answer", 30 },
		{ "--min-hold", "61", 30 },
		{ "--min-hold", "2m", 0 },
		{ "--limit", "7", 7 },
		{ "--until", "2023-11-14 22:23:20", 10 },
		{ "--since", "2023-11-14T22:23:20", 50 },
		{ "--since", "today", 0 },
		{ "--until", "yesterday", 60 },
		{ "--since", "-1h", 0 },
		{ "--until", "now", 60 },
		{ "--id", "060a24181e4000000000000000000000", 1 },
	};
	store_day(1700000000000000);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		cr_assert_eq(RWCTL("cdr", (char *)cases[i].option, (char *)cases[i].value), 0, "%s", errors);
		cr_assert_eq(lines(), cases[i].rows + 1, "%s %s: %s", cases[i].option, cases[i].value, output);
	}
	cr_assert_eq(RWCTL("cdr", "--answered", "--account", "b"), 0);
	cr_assert_eq(lines(), 16);
	cr_assert_eq(RWCTL("cdr", "--unanswered"), 0);
	cr_assert_eq(lines(), 31);
	cr_assert_eq(RWCTL("cdr", "--limit", "20001"), 0, "by pages");
	cr_assert_eq(lines(), 61);
	cr_assert_eq(RWCTL("cdr", "--since", "tomorrow"), 1);
	cr_assert_eq(RWCTL("cdr", "--reason", "none"), 1);
	cr_assert_not_null(strstr(errors, "There is no end_reason 'none'"));
	cr_assert_eq(RWCTL("calls", "--sums", "day"), 1, "an option of another command");
}

/* A list of nothing has the heading that a list of something has. */
static void expect_same_heading(char *const *some, char *const *none)
{
	char heading[1024];
	cr_assert_eq(run(some), 0, "%s", errors);
	cr_assert_gt(lines(), 1);
	size_t size = strcspn(output, "\n") + 1;
	cr_assert_lt(size, sizeof heading);
	memcpy(heading, output, size);
	heading[size] = '\0';
	cr_assert_eq(run(none), 0, "%s", errors);
	cr_assert_str_eq(output, heading);
}

#define WORDS(...) ((char *const[]){ (char *)"rwctl", (char *)"-s", node->config.control, __VA_ARGS__, NULL })

Test(rwctl, csv_has_its_heading_without_rows)
{
	store_day(1700000000000000);
	fake_call_add(node, 2, 1);
	expect_same_heading(WORDS("cdr", "--csv"), WORDS("cdr", "--csv", "--number", "7"));
	expect_same_heading(WORDS("calls", "--csv"), WORDS("calls", "--csv", "--number", "7"));
	for (unsigned i = 0; i < 2; i++) {
		char *by = (char *)(i ? "account" : "day");
		expect_same_heading(WORDS("cdr", "--csv", "--sums", by),
				    WORDS("cdr", "--csv", "--sums", by, "--number", "7"));
	}
}

Test(rwctl, cdr_yesterday_is_all_of_it)
{
	time_t now = time(NULL);
	store_day((int64_t)(now / 86400 * 86400 - 3600) * 1000000); /* from 23:00 on: all but the last minute's */
	cr_assert_eq(RWCTL("cdr", "--since", "yesterday", "--until", "today", "--csv"), 0);
	cr_assert_eq(lines(), 61);
	cr_assert_eq(RWCTL("cdr", "--since", "today", "--csv"), 0);
	cr_assert_eq(lines(), 1, "the heading");
}

Test(rwctl, cdr_sums_are_a_table_with_a_total)
{
	store_day(1700000000000000);
	cr_assert_eq(RWCTL("cdr", "--sums", "account"), 0);
	cr_assert_str_eq(output,
			 "ACCOUNT  ATTEMPTS  ANSWERED  ASR %  ACD S  PDD MS  MINUTES  BILLED     FEE  COST   PROFIT\n"
			 "acme           30        15   50.0   61.0    1500    15.25   30.00  0.4575  0.60  -0.1425\n"
			 "b              30        15   50.0   61.0    1500    15.25   30.00  0.4575  0.60  -0.1425\n"
			 "TOTAL          60        30   50.0   61.0    1500    30.50   60.00  0.9150  1.20  -0.2850\n");
	cr_assert_eq(RWCTL("cdr", "--sums", "all", "--account", "b"), 0);
	cr_assert_eq(lines(), 2);
	expect("\nTOTAL        30        15   50.0   61.0    1500    15.25   30.00  0.4575  0.60  -0.1425\n");
	cr_assert_eq(RWCTL("cdr", "--sums", "hour", "--csv"), 0);
	cr_assert_str_eq(output,
			 "hour,attempts,answered,asr,acd_s,pdd_ms,hold_ms,minutes,billed_s,billed_minutes,fee,cost,"
			 "profit\r\n"
			 "2023-11-14 22:00,47,24,51.06,61.0,1500.0,1464000,24.4,2880,48.0,0.732,0.94,-0.208\r\n"
			 "2023-11-14 23:00,13,6,46.15,61.0,1500.0,366000,6.1,720,12.0,0.183,0.26,-0.077\r\n");
	cr_assert_eq(RWCTL("--json", "cdr", "--sums", "day"), 0);
	json_t *sums = json_loads(output, 0, NULL);
	cr_assert_eq(json_array_size(json_object_get(sums, "rows")), 1);
	json_decref(sums);
	setenv("TZ", "XXX-02", 1); /* two hours ahead of UTC: that evening is the next day */
	cr_assert_eq(RWCTL("cdr", "--sums", "day"), 0);
	expect("\n2023-11-15        60  ");
	cr_assert_eq(RWCTL("cdr", "--sums", "colour"), 1);
	cr_assert_eq(RWCTL("cdr", "--sums", "day", "--limit", "5"), 1);
}

Test(rwctl, cdr_shows_money_to_the_right)
{
	store_day(1700000000000000);
	cr_assert_eq(RWCTL("cdr", "--limit", "3"), 0);
	expect("  ACCOUNT     FEE  COST  TIMER  CDR ID\n");
	expect("  acme     0.0000  0.02  none   ");
	expect("  acme     0.0305  0.02  none   ");
}

/* The fee in force, and beside it what it was; sums have the former. */
Test(rwctl, cdr_shows_a_corrected_fee_and_what_it_was)
{
	char path[300], error[DATABASE_ERROR_BYTES] = "";
	sqlite3 *db;
	store_day(1700000000000000);
	cr_assert_eq(RWCTL("cdr", "--limit", "1"), 0);
	cr_assert_null(strstr(output, "WAS"), "nothing was corrected");
	snprintf(path, sizeof path, "%s/" LEDGER_FILE, node->directory);
	cr_assert_eq(database_open(path, &ledger_schema, &db, error), 0, "%s", error);
	cr_assert_eq(sqlite3_exec(db,
				  "INSERT INTO corrections VALUES ('060a24181e4000000000000000000000', 1, 3050000,"
				  "1000000, 0, '', '')",
				  NULL, NULL, NULL),
		     SQLITE_OK, "%s", sqlite3_errmsg(db));
	sqlite3_close(db);
	cr_assert_eq(RWCTL("cdr", "--until", "2023-11-14 22:15:00"), 0);
	expect("     FEE     WAS  COST  TIMER");
	expect("  acme     0.0305       -  0.02  none ");
	expect("  b        0.0100  0.0305  0.02  none ");
	cr_assert_eq(RWCTL("cdr", "--sums", "account", "--account", "b"), 0);
	expect("  0.437  0.60  -0.163\n");
	cr_assert_eq(RWCTL("cdr", "--csv", "--account", "b", "--answered"), 0);
	expect(",recovered,fee_original\r\n");
	expect(",0.0100,0.02,0,0.0305\r\n");
	expect(",0.0305,0.02,0,\r\n");
}

/* What matters least goes first; nothing is cut, and nothing wraps. */
Test(rwctl, cdr_fits_the_terminal)
{
	store_day(1700000000000000);
	on_terminal = true;
	for (unsigned short columns = 80; columns <= 160; columns += 40) {
		terminal_columns = columns;
		cr_assert_eq(RWCTL("cdr", "--limit", "3"), 0);
		for (const char *at = output; *at != '\0'; at = strchr(at, '\n') + 1)
			cr_assert_leq(strcspn(at, "\r\n"), columns, "%s", output);
		expect("CALLER");
		expect("CDR ID");
		cr_assert_eq(strstr(output, "REASON") != NULL, columns > 80, "%s", output);
		cr_assert_eq(RWCTL("cdr", "--sums", "account"), 0);
		expect("PROFIT");
		cr_assert_eq(strstr(output, "PDD MS") != NULL, columns > 80, "%s", output);
	}
}

Test(rwctl, reload_says_what_is_in_force_or_why_not)
{
	node->warnings = "there is no mapping_gateway: no call will be taken\n";
	cr_assert_eq(RWCTL("reload"), 0);
	expect("configuration 2 is in force: 1 mapping gateways, 2 routing gateways, 3 prefixes, read in 4 ms\n"
	       "warning: there is no mapping_gateway: no call will be taken\n");
	cr_assert_eq(RWCTL("--json", "reload"), 0);
	expect("\"prefixes\": 3");
	node->refusal = "ringwheel.conf:7: address: wrong";
	cr_assert_eq(RWCTL("reload"), 1);
	cr_assert_not_null(strstr(errors, "rwctl: ringwheel.conf:7: address: wrong\n"));
}

Test(rwctl, drain_and_log)
{
	node->stats[1].calls_active = 5;
	cr_assert_eq(RWCTL("drain"), 0);
	expect("stops when the 5 that it has are over\n");
	cr_assert(node->draining);
	cr_assert_eq(RWCTL("drain", "--timeout", "2m"), 0);
	expect("after 120 s at the latest\n");
	cr_assert_eq(RWCTL("log"), 0);
	expect("debug\n");
	cr_assert_eq(RWCTL("log", "error"), 0);
	expect("error\n");
	cr_assert_eq(RWCTL("log", "loud"), 1);
}

Test(rwctl, stop_ends_the_calls_or_keeps_them)
{
	cr_assert_eq(RWCTL("stop"), 0);
	cr_assert(node->stopped && !node->kept_calls);
	expect("live calls get their BYEs\n");
	cr_assert_eq(RWCTL("stop", "--keep-calls"), 0);
	cr_assert(node->kept_calls);
	expect("live calls are left to the next start\n");
}

Test(rwctl, wrong_usage_is_2_and_help_is_0)
{
	cr_assert_eq(RWCTL("nonsense"), 1);
	cr_assert_not_null(strstr(errors, "nonsense"));
	cr_assert_eq(RWCTL("--nonsense"), 1);
	cr_assert_eq(RWCTL("call"), 1);
	cr_assert_eq(RWCTL("call", "a", "b"), 1);
	cr_assert_eq(RWCTL("info", "--limit", "5"), 1);
	cr_assert_eq(RWCTL("calls", "--limit", "x"), 1);
	cr_assert_eq(RWCTL("calls", "--older-than", "5y"), 1);
	cr_assert_eq(RWCTL("calls", "--gateway", "\xff"), 1);
	cr_assert_eq(RWCTL("cdr", "--answered", "--unanswered"), 1);
	cr_assert_eq(run((char *const[]){ (char *)"rwctl", NULL }), 1);
	cr_assert_eq(RWCTL("--help"), 0);
	expect("usage: rwctl [-s SOCKET] [--json] COMMAND");
	cr_assert_str_empty(errors);
}

Test(rwctl, no_switch_is_1_with_the_reason)
{
	cr_assert_eq(run((char *const[]){ (char *)"rwctl", (char *)"-s", (char *)"/nonexistent/socket", (char *)"info",
					  NULL }),
		     1);
	cr_assert_not_null(strstr(errors, "/nonexistent/socket"));
	cr_assert_eq(RWCTL("calls", "--limit", "0"), 1);
	cr_assert_not_null(strstr(errors, "'limit' must be an integer from 1 to 10000"));
}

Test(rwctl, top_is_for_a_terminal)
{
	cr_assert_eq(RWCTL("top"), 1);
	cr_assert_not_null(strstr(errors, "terminal"));
	cr_assert_str_empty(output);
}

Test(rwctl, a_list_cut_at_its_default_says_so)
{
	store_day(1700000000000000);
	cr_assert_eq(RWCTL("cdr"), 0);
	cr_assert_str_empty(errors);
	store_day(1700086400000000);
	cr_assert_eq(RWCTL("cdr"), 0);
	cr_assert_str_eq(errors, "rwctl: first 100 shown; --limit for more\n");
	cr_assert_eq(lines(), 101);
	cr_assert_eq(RWCTL("cdr", "--limit", "100"), 0);
	cr_assert_str_empty(errors, "asked for");
	cr_assert_eq(RWCTL("--json", "cdr"), 0);
	json_t *rows = json_loads(output, 0, NULL);
	cr_assert_eq(json_array_size(rows), 100);
	json_decref(rows);
}

/* More than the switch gives at once: each of them once, in their order. */
Test(rwctl, calls_are_all_shown)
{
	const unsigned count = 10103;
	for (unsigned i = 0; i < count; i++)
		fake_call_add(node, i % FAKE_SHARDS, i + 1);
	cr_assert_eq(RWCTL("calls", "--csv"), 0);
	cr_assert_str_empty(errors);
	const char *line = output;
	for (unsigned i = 0; i < count; i++) {
		line = strchr(line, '\n') + 1;
		cr_assert_eq(strtoul(line, NULL, 10), i + 1);
	}
	cr_assert_eq(lines(), count + 1);
	static const unsigned limits[] = { 1, 101, 10000, 10001 };
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		char limit[16];
		snprintf(limit, sizeof limit, "%u", limits[i]);
		cr_assert_eq(RWCTL("calls", "--limit", limit), 0);
		cr_assert_eq(lines(), limits[i] + 1, "--limit %s", limit);
	}
	cr_assert_eq(RWCTL("calls", "--limit", "0"), 1);
	cr_assert_not_null(strstr(errors, "'limit' must be an integer from 1"));
}

Test(rwctl, what_was_typed_is_echoed_without_control_characters)
{
	cr_assert_eq(RWCTL("non\033[2Jsense"), 1);
	cr_assert_not_null(strstr(errors, "non?[2Jsense"));
	cr_assert_eq(RWCTL("--non\033[2Jsense"), 1);
	cr_assert_not_null(strstr(errors, "--non?[2Jsense"));
	cr_assert_eq(RWCTL("calls", "--limit", "\033"), 1);
	cr_assert_null(strchr(errors, '\033'));
	cr_assert_eq(RWCTL("calls", "--limit"), 1);
	cr_assert_not_null(strstr(errors, "missing after --limit"));
	cr_assert_eq(RWCTL("call", "\033[2J"), 1);
	cr_assert_null(strchr(errors, '\033'), "not in what the switch says either");
	cr_assert_eq(run((char *const[]){ (char *)"rwctl", (char *)"-s", (char *)"", (char *)"info", NULL }), 1);
	cr_assert_not_null(strstr(errors, "the path of the control socket is empty"));
}

/* Two frames, then Ctrl-C. */
Test(rwctl, top_refreshes_until_it_is_interrupted)
{
	int fds[2];
	node->stats[0].calls_active = 4321;
	on_terminal = true;
	pid_t pid =
		start((char *const[]){ (char *)"rwctl", (char *)"-s", node->config.control, (char *)"top", NULL }, fds);
	size_t used = 0;
	char *second = NULL;
	while (second == NULL) {
		struct pollfd waiting[] = { { .fd = fds[0], .events = POLLIN },
					    { .fd = control_fd(node->control), .events = POLLIN } };
		poll(waiting, 2, 100);
		fake_pump(node);
		if (waiting[0].revents == 0)
			continue;
		ssize_t size = read(fds[0], output + used, sizeof output - used - 1);
		cr_assert_gt(size, 0, "it ended by itself");
		used += (size_t)size;
		output[used] = '\0';
		char *first = strstr(output, "calls up 4321");
		second = first != NULL ? strstr(first + 1, "calls up 4321") : NULL;
	}
	kill(pid, SIGINT);
	cr_assert_eq(finish(pid, fds), 0);
}

/* ---- accounts and rates: commands of two words ---- */

static const char *rates_file(const char *text)
{
	static char path[128];
	snprintf(path, sizeof path, "%s/rates.csv", node->directory);
	FILE *out = fopen(path, "w");
	fputs(text, out);
	fclose(out);
	return path;
}

Test(rwctl, accounts_are_added_topped_up_locked_and_listed)
{
	cr_assert_eq(RWCTL("account", "list"), 0);
	cr_assert_eq(RWCTL("account", "add", "acme", "--currency", "EUR", "--overdraft", "5"), 0, "%s", errors);
	expect("account acme is as asked for");
	cr_assert_eq(RWCTL("account", "topup", "acme", "12.5", "--reason", "wire"), 0, "%s", errors);
	expect("acme: 12.50, the balance is 12.50\n");
	cr_assert_eq(RWCTL("account", "topup", "--", "acme", "-3"), 0, "%s", errors);
	expect("acme: -3.00, the balance is 9.50\n");
	cr_assert_eq(RWCTL("account", "lock", "acme"), 0);
	cr_assert_eq(RWCTL("account", "list", "acme"), 0);
	expect("NAME  CURRENCY  BALANCE  OVERDRAFT  RATE TABLE  LOCKED  BILL UNTIL\n");
	expect("acme  EUR          9.50       5.00  -           yes     teardown\n");
	cr_assert_eq(RWCTL("account", "unlock", "acme"), 0);
	cr_assert_eq(RWCTL("account", "set", "acme", "--overdraft", "unlimited", "--bill-until", "last_confirmed"), 0);
	cr_assert_eq(RWCTL("--json", "account", "list"), 0);
	expect("\"overdraft\": \"unlimited\"");
	expect("\"locked\": false");
	cr_assert_eq(RWCTL("account", "ledger", "acme", "--limit", "5"), 0);
	expect("2023-11-14 22:13:20.000  topup   12.50    12.50  -");
	expect("  wire\n");
}

Test(rwctl, rates_are_imported_looked_up_exported_and_deleted)
{
	char copy[128];
	snprintf(copy, sizeof copy, "%s/copy.csv", node->directory);
	char *file = (char *)rates_file("prefix,name,rate_per_minute\n44,UK,0.0125\n447,\"UK, mobile\",0.02\n");
	cr_assert_eq(RWCTL("rates", "import", "t", file), 0, "%s", errors);
	expect("rate table t has 2 rates now (before: 0), read in ");
	cr_assert_eq(RWCTL("rates", "list"), 0);
	expect("TABLE  RATES  ACCOUNTS  IMPORTED\nt          2         0  2023-11-14 22:13:20.000\n");
	cr_assert_eq(RWCTL("rates", "list", "t", "--prefix", "447"), 0);
	expect("447     UK, mobile      0.02");
	cr_assert_eq(RWCTL("rates", "lookup", "t", "+4479"), 0);
	expect("t      447     UK, mobile");
	cr_assert_eq(RWCTL("account", "add", "acme", "--rate-table", "t"), 0);
	cr_assert_eq(RWCTL("rates", "lookup", "--account", "acme", "4411", "--at", "2030-01-01"), 0, "%s", errors);
	expect("t      44      UK");
	cr_assert_eq(RWCTL("rates", "export", "t"), 0);
	expect("prefix,name,rate_per_minute,connect_fee,");
	expect("\r\n447,\"UK, mobile\",0.02,0,1,1,0,,\r\n");
	cr_assert_eq(RWCTL("rates", "export", "t", copy), 0, "%s", errors);
	expect("2 rates are in /");
	cr_assert_eq(RWCTL("rates", "delete", "t"), 1);
	cr_assert_str_eq(errors, "rwctl: 1 account has the rate table 't'; give it another one first\n");
	cr_assert_eq(RWCTL("account", "set", "acme", "--rate-table", ""), 0);
	cr_assert_eq(RWCTL("rates", "delete", "t"), 0);
	expect("rate table t is gone, with its 2 rates\n");
	unlink(copy);
}

Test(rwctl, rates_and_ledgers_cut_at_their_default_say_so)
{
	char text[4096] = "prefix,rate_per_minute\n";
	for (unsigned i = 0; i <= 100; i++)
		sprintf(text + strlen(text), "%u,1\n", 44000 + i);
	cr_assert_eq(RWCTL("rates", "import", "t", (char *)rates_file(text)), 0, "%s", errors);
	cr_assert_eq(RWCTL("rates", "list", "t"), 0);
	expect("44099");
	cr_assert_null(strstr(output, "44100"));
	cr_assert_str_eq(errors, "rwctl: first 100 shown; --limit for more\n");
	cr_assert_eq(RWCTL("rates", "list", "t", "--limit", "101"), 0);
	expect("44100");
	cr_assert_str_empty(errors);
	cr_assert_eq(RWCTL("rates", "list", "t", "--prefix", "45"), 0);
	cr_assert_str_eq(output, "PREFIX  NAME  RATE/MIN  CONNECT  FIRST S  NEXT S  GRACE S  FROM  TO\n",
			 "no heading of tables");
	cr_assert_eq(RWCTL("account", "add", "acme"), 0);
	for (unsigned i = 0; i <= 100; i++)
		cr_assert_eq(RWCTL("account", "topup", "acme", "1"), 0, "%s", errors);
	cr_assert_eq(RWCTL("account", "ledger", "acme"), 0);
	cr_assert_str_eq(errors, "rwctl: first 100 shown; --limit for more\n");
	expect("101.00");
	cr_assert_null(strstr(output, "  1.00     1.00"));
}

Test(rwctl, bad_rows_are_printed_a_line_each)
{
	char *file = (char *)rates_file("prefix,rate_per_minute\n4\033x,1\n45,\n");
	cr_assert_eq(RWCTL("rates", "import", "t", file), 1);
	cr_assert_not_null(strstr(errors, "/rates.csv: 2 bad rows, nothing was imported\nline 2: prefix: '4?x' is not "
					  "digits only\nline 3: rate_per_minute: it is missing\n"),
			   "%s", errors);
	cr_assert_str_empty(output);
}

/* The path means the same to both: rwctl has its own working directory. */
Test(rwctl, a_relative_path_is_made_absolute)
{
	rates_file("prefix,rate_per_minute\n44,1\n");
	cr_assert_eq(chdir(node->directory), 0);
	cr_assert_eq(RWCTL("rates", "import", "t", "rates.csv"), 0, "%s", errors);
}

Test(rwctl, two_words_that_are_wrong)
{
	cr_assert_eq(RWCTL("account"), 1);
	cr_assert_eq(RWCTL("account", "sell", "acme"), 1);
	cr_assert_eq(RWCTL("account", "add"), 1);
	cr_assert_eq(RWCTL("account", "lock", "acme", "--fee", "1"), 1);
	cr_assert_eq(RWCTL("account", "lock", "a", "b", "c"), 1);
	cr_assert_eq(RWCTL("rates", "lookup", "44"), 1);
	cr_assert_eq(RWCTL("rates", "list", "t", "--limit", "many"), 1);
	cr_assert_eq(RWCTL("rates", "list", "--prefix", "44"), 1, "of which table");
	cr_assert_not_null(strstr(errors, "no option --prefix"));
	cr_assert_eq(RWCTL("cdr", "adjust", "00000000000000000000000000000000"), 1, "the fee is missing");
	cr_assert_eq(RWCTL("cdr", "adjust", "00000000000000000000000000000000", "--fee", "1"), 1);
	cr_assert_not_null(strstr(errors, "there is no call"));
	cr_assert_eq(RWCTL("--help"), 0);
	expect("rates import TABLE FILE");
	expect("cdr adjust CDR_ID --fee AMOUNT");
}
