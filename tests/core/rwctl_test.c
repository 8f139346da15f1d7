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
#include <sys/wait.h>
#include <unistd.h>

#include "billing/store.h"
#include "tests/core/fake_node.h"

extern char **environ;

static struct node *node;
static char output[65536], errors[4096];

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

static void open_terminal(int ends[2])
{
	ends[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	cr_assert(ends[0] >= 0 && grantpt(ends[0]) == 0 && unlockpt(ends[0]) == 0);
	ends[1] = open(ptsname(ends[0]), O_RDWR | O_NOCTTY | O_CLOEXEC);
	cr_assert_geq(ends[1], 0);
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
	cr_assert_eq(RWCTL("nonsense"), 2);
	cr_assert_not_null(strstr(errors, "nonsense"));
	cr_assert_eq(RWCTL("--nonsense"), 2);
	cr_assert_eq(RWCTL("call"), 2);
	cr_assert_eq(RWCTL("call", "a", "b"), 2);
	cr_assert_eq(RWCTL("info", "--limit", "5"), 2);
	cr_assert_eq(RWCTL("calls", "--limit", "x"), 2);
	cr_assert_eq(RWCTL("calls", "--older-than", "5y"), 2);
	cr_assert_eq(RWCTL("calls", "--gateway", "\xff"), 2);
	cr_assert_eq(run((char *const[]){ (char *)"rwctl", NULL }), 2);
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
	for (unsigned i = 0; i < 100; i++)
		fake_call_add(node, i % FAKE_SHARDS, i);
	cr_assert_eq(RWCTL("calls"), 0);
	cr_assert_str_empty(errors);
	fake_call_add(node, 0, 100);
	cr_assert_eq(RWCTL("calls"), 0);
	cr_assert_str_eq(errors, "rwctl: first 100 shown; --limit for more\n");
	expect("00000000000000000000000000000099");
	cr_assert_null(strstr(output, "00000000000000000000000000000100"));
	cr_assert_eq(RWCTL("calls", "--limit", "100"), 0);
	cr_assert_str_empty(errors, "asked for");
	cr_assert_eq(RWCTL("--json", "calls"), 0);
	json_t *rows = json_loads(output, 0, NULL);
	cr_assert_eq(json_array_size(rows), 100);
	json_decref(rows);
}

Test(rwctl, what_was_typed_is_echoed_without_control_characters)
{
	cr_assert_eq(RWCTL("non\033[2Jsense"), 2);
	cr_assert_not_null(strstr(errors, "non?[2Jsense"));
	cr_assert_eq(RWCTL("--non\033[2Jsense"), 2);
	cr_assert_not_null(strstr(errors, "--non?[2Jsense"));
	cr_assert_eq(RWCTL("calls", "--limit", "\033"), 2);
	cr_assert_null(strchr(errors, '\033'));
	cr_assert_eq(RWCTL("calls", "--limit"), 2);
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
