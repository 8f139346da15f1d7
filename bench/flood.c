/* rwbench flood: good calls beside strangers who send garbage as fast as they are told.
 *
 * What counts is that no good call fails, and that a stranger gets no more than it has sent.  Where the datagrams go is
 * told by three: the strangers (sent), the kernel (dropped for want of room in the switch's sockets), and the switch
 * (read, dropped unread). */
#include "bench/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/control.h"
#include "bench/strangers.h"

static const char text[] =
	"Calls at --rate through a switch, beside --flood datagrams a second from addresses that are no gateway's:\n"
	"scanners' requests, cut and malformed messages, noise.  Fails if a call does, or if the strangers were slower "
	"than\nasked, or got more bytes back than they sent.";

enum { SENT_SHARE_PERCENT = 95, EXTRA_BYTES = 300 };

struct flood {
	struct session *session;
	struct load_result *result;
	struct strangers_counts strangers;
	uint64_t kernel_dropped;
	json_t *stats; /* the switch's own, NULL: not known */
};

/* ---- what the kernel has dropped ---- */

/* Of all sockets with this address and port, IPv4 or IPv6, since they were opened: the last column. */
static uint64_t kernel_drops(const struct address *a)
{
	char line[512], wanted[48] = "";
	uint64_t sum = 0;

	for (unsigned i = 0; i < (a->family == 4 ? 4u : 16u); i += 4) {
		uint32_t word;

		memcpy(&word, a->ip + i, sizeof word);
		snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), "%08X", word);
	}
	snprintf(wanted + strlen(wanted), sizeof wanted - strlen(wanted), ":%04X ", a->port);
	FILE *f = fopen(a->family == 4 ? "/proc/net/udp" : "/proc/net/udp6", "r");
	while (f && fgets(line, sizeof line, f)) {
		size_t size = strlen(line);

		while (size > 0 && (line[size - 1] == ' ' || line[size - 1] == '\n')) /* the kernel pads its lines */
			line[--size] = '\0';
		const char *last = strrchr(line, ' ');
		if (last && strstr(line, wanted))
			sum += strtoull(last, NULL, 10);
	}
	if (f)
		fclose(f);
	return sum;
}

/* ---- the measurement ---- */

static uint64_t stat_of(const struct flood *f, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(f->stats, name));
}

static bool run(struct flood *f)
{
	const struct load_options *o = &f->session->options;
	struct strangers_settings settings = {
		.target = o->load.target,
		.source_count = o->stranger_count,
		.rate = o->flood,
		.garbage = o->garbage,
		.seed = o->load.seed,
		.cpu = o->cpu,
	};
	uint64_t dropped = kernel_drops(&o->load.target);

	memcpy(settings.source, o->stranger, sizeof settings.source);
	struct strangers *strangers = strangers_start(&settings);
	if (!strangers)
		return false;
	session_run(f->session, o->rate, o->rate, o->run_ns, f->result);
	strangers_stop(strangers, &f->strangers);
	bench_progress_end();
	f->kernel_dropped = kernel_drops(&o->load.target) - dropped;
	f->stats = o->stats ? control_ask(o->stats, "stats") : NULL;
	return true;
}

static double reached(const struct flood *f)
{
	return f->strangers.run_ns > 0 ? (double)f->strangers.sent * 1e9 / (double)f->strangers.run_ns : 0;
}

/* A smoke test is not about the machine. */
static bool kept_pace(const struct flood *f)
{
	const struct load_options *o = &f->session->options;

	return o->smoke || reached(f) >= o->flood * SENT_SHARE_PERCENT / 100;
}

static bool is_good(const struct flood *f)
{
	const struct strangers_counts *c = &f->strangers;

	return f->result->counts.failed == 0 && f->result->drained && f->result->counts.attempted > 0 && kept_pace(f) &&
	       c->sent > 0 && c->answers <= c->sent && c->answers_bytes <= c->sent_bytes &&
	       c->largest_answer <= c->largest_sent + EXTRA_BYTES;
}

/* ---- printing ---- */

static const char *const shown[] = { "datagrams_in",         "datagrams_lost",         "datagrams_bad",
				     "strangers_dropped",    "strangers_dropped_all",  "strangers_unanswered",
				     "invites_unauthorized", "registers_unauthorized", "options_unauthorized",
				     "others_unauthorized",  "calls_attempted",        "retransmits_in" };

enum { SHOWN = sizeof shown / sizeof shown[0] };

static void print(const struct flood *f)
{
	const struct strangers_counts *c = &f->strangers;

	session_print(f->session, "flood");
	result_print(f->session, f->result);
	printf("\n  %-36s %.0f datagrams a second wanted, %.0f reached, %" PRIu64 " sent, %" PRIu64 " refused here\n",
	       "strangers", f->session->options.flood, reached(f), c->sent, c->unsent);
	printf("  %-36s busy %.1f %% of a core, %.2f us a datagram\n", "",
	       c->run_ns > 0 ? 100 * (double)c->cpu_ns / (double)c->run_ns : 0,
	       c->sent > 0 ? (double)c->cpu_ns / 1000 / (double)c->sent : 0);
	printf("  %-36s %" PRIu64 " answers, %" PRIu64 " bytes for %" PRIu64 " sent; the largest %" PRIu64 "\n", "",
	       c->answers, c->answers_bytes, c->sent_bytes, c->largest_answer);
	printf("  %-36s %" PRIu64 " datagrams of anybody, for want of room in the sockets\n", "dropped by the kernel",
	       f->kernel_dropped);
	for (unsigned i = 0; f->stats && i < SHOWN; i++)
		printf("  %-36s %" PRIu64 "\n", shown[i], stat_of(f, shown[i]));
	printf("  %s\n", is_good(f) ? "no good call failed" : "NOT GOOD");
}

static void print_json(const struct flood *f)
{
	const struct strangers_counts *c = &f->strangers;
	json_t *all = session_json(f->session, "flood"), *stats = json_object();

	for (unsigned i = 0; f->stats && i < SHOWN; i++)
		json_object_set_new(stats, shown[i], json_integer((json_int_t)stat_of(f, shown[i])));
	json_object_set_new(all, "result", result_json(f->session, f->result));
	json_object_set_new(all, "strangers",
			    json_pack("{s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:I}", "wanted", f->session->options.flood,
				      "reached", reached(f), "sent", (json_int_t)c->sent, "sent_bytes",
				      (json_int_t)c->sent_bytes, "unsent", (json_int_t)c->unsent, "answers",
				      (json_int_t)c->answers, "answers_bytes", (json_int_t)c->answers_bytes,
				      "largest_answer", (json_int_t)c->largest_answer));
	json_object_set_new(all, "kernel_dropped", json_integer((json_int_t)f->kernel_dropped));
	json_object_set_new(all, "stats", stats);
	json_object_set_new(all, "good", json_boolean(is_good(f)));
	session_print_json(all);
}

static void make_small(struct load_options *o)
{
	o->run_ns = BENCH_SECOND_NS;
	o->rate = 50;
	o->flood = 2000;
	o->load.calls_max = 1000;
}

static int measure(struct flood *f)
{
	if (!run(f))
		return BENCH_FAILED;
	f->session->options.json ? print_json(f) : print(f);
	json_decref(f->stats);
	return is_good(f) ? BENCH_DONE : BENCH_FAILED;
}

int bench_flood(int argc, char **argv)
{
	struct load_options options;

	load_options_init(&options);
	options.rate = 500;
	options.run_ns = 20 * BENCH_SECOND_NS;
	int status = load_options_read(argc, argv, FOR_FLOOD, text, &options);
	if (status >= 0)
		return status;
	if (options.smoke)
		make_small(&options);
	struct flood f = { .result = calloc(1, sizeof *f.result) };
	f.session = f.result ? session_open(&options) : NULL;
	status = f.session ? measure(&f) : BENCH_FAILED;
	if (f.session)
		session_close(f.session);
	free(f.result);
	return status;
}
