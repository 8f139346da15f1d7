/* A switch for a measurement: see the header. */
#include "bench/launch.h"

#include <errno.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"

enum { POLL_MS = 20, READY_SECONDS = 60, STOP_SECONDS = 20, SESSION_MIN_S = 90 };

static void path_in(const struct launch *l, const char *name, char path[static 96])
{
	snprintf(path, 96, "%s/%s", l->directory, name);
}

static void write_gateways(FILE *f, const struct launch_settings *s)
{
	char text[ADDRESS_TEXT_MAX];

	fputs("mapping_gateway \"caller\" { address = {", f);
	for (unsigned i = 0; i < s->caller_count; i++) {
		address_write_host(&s->caller[i], true, text);
		fprintf(f, "%s\"%s\"", i > 0 ? ", " : "", text);
	}
	fputs("} }\n", f);
	for (unsigned i = 0; i < s->callee_count; i++) {
		address_write(&s->callee[i], text);
		fprintf(f, "routing_gateway \"callee-%u\" { address = \"%s\" }\n", i, text);
	}
}

/* Parameters are the defaults, but for sessions shorter than RFC 4028 allows. */
static int write_configuration(const struct launch *l, const struct launch_settings *s)
{
	char path[96], host[ADDRESS_TEXT_MAX];

	path_in(l, "ringwheel.conf", path);
	FILE *f = fopen(path, "w");
	if (!f)
		return -1;
	address_write_host(&s->listen, false, host);
	fprintf(f,
		"node = \"bench\"\n"
		"data_dir = \"%s/data\"\n"
		"workers = %u\n"
		"max_calls = %u\n"
		"listen \"main\" { address = \"%s\" port = %u }\n",
		l->directory, s->workers, s->calls_max, host, s->listen.port);
	write_gateways(f, s);
	fprintf(f, "parameters { RW_SIP_MIN_SE = %u SS_SIP_SESSION_TTL = %u }\n",
		s->session_ttl_s < SESSION_MIN_S ? s->session_ttl_s : SESSION_MIN_S, s->session_ttl_s);
	return fclose(f);
}

static void pin(int first, unsigned count)
{
	cpu_set_t allowed, wanted;

	CPU_ZERO(&wanted);
	if (first < 0 || sched_getaffinity(0, sizeof allowed, &allowed) < 0)
		return;
	for (unsigned i = (unsigned)first; i < (unsigned)first + count; i++)
		if (i < CPU_SETSIZE && CPU_ISSET(i, &allowed))
			CPU_SET(i, &wanted);
	sched_setaffinity(0, sizeof wanted, &wanted);
}

static void run(const struct launch *l, const struct launch_settings *s)
{
	char configuration[96], log[96];

	path_in(l, "ringwheel.conf", configuration);
	path_in(l, "log", log);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin(s->cpu, s->workers);
	if (freopen("/dev/null", "r", stdin) && freopen(log, "w", stdout) && dup2(STDOUT_FILENO, STDERR_FILENO) >= 0)
		execl(s->path, s->path, "-c", configuration, (char *)NULL);
	fprintf(stderr, "%s: %s\n", s->path, strerror(errno));
	fflush(stderr);
	_exit(1);
}

/* Whether it has said so; its last line is left in `line`. */
static bool has_started(const struct launch *l, char line[static 200])
{
	char path[96];
	bool started = false;

	path_in(l, "log", path);
	FILE *f = fopen(path, "r");
	while (f && !started && fgets(line, 200, f))
		started = strstr(line, "event=started") != NULL;
	if (f)
		fclose(f);
	line[strcspn(line, "\n")] = '\0';
	return started;
}

static int wait_ready(struct launch *l, char error[static 256])
{
	char line[200] = "it said nothing";

	for (unsigned i = 0; i < READY_SECONDS * 1000 / POLL_MS; i++) {
		if (has_started(l, line))
			return 0;
		if (waitpid(l->pid, NULL, WNOHANG) == l->pid) {
			l->pid = 0;
			break;
		}
		usleep(POLL_MS * 1000);
	}
	has_started(l, line);
	snprintf(error, 256, "the switch does not start: %s", line);
	return -1;
}

int launch_start(const struct launch_settings *settings, struct launch *ret_launch, char error[static 256])
{
	const char *place = getenv("TMPDIR");
	struct launch *l = ret_launch;

	*l = (struct launch){ 0 };
	if (!place || strlen(place) > 30)
		place = "/tmp";
	snprintf(l->directory, sizeof l->directory, "%s/rwbench-XXXXXX", place);
	if (!mkdtemp(l->directory)) {
		snprintf(error, 256, "no directory in %s: %s", place, strerror(errno));
		return -1;
	}
	if (write_configuration(l, settings) == 0 && (l->pid = fork()) == 0)
		run(l, settings);
	if (l->pid > 0 && wait_ready(l, error) == 0)
		return 0;
	if (l->pid <= 0 && error[0] == '\0')
		snprintf(error, 256, "the switch does not start: %s", strerror(errno));
	launch_stop(l);
	return -1;
}

static int remove_one(const char *path, const struct stat *sb, int type, struct FTW *ftw)
{
	(void)sb, (void)type, (void)ftw;
	return remove(path);
}

void launch_stop(struct launch *l)
{
	if (l->pid > 0) {
		kill(l->pid, SIGTERM);
		unsigned waits = STOP_SECONDS * 1000 / POLL_MS;
		while (waitpid(l->pid, NULL, WNOHANG) == 0 && --waits > 0)
			usleep(POLL_MS * 1000);
		if (waits == 0) { /* what it would still write is not looked at */
			kill(l->pid, SIGKILL);
			waitpid(l->pid, NULL, 0);
		}
	}
	if (l->directory[0] != '\0')
		nftw(l->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	*l = (struct launch){ 0 };
}
