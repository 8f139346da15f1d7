/* One call of a user agent whose session timers (RFC 4028) and reliable provisional responses (RFC 3262) are somebody
 * else's: those of Sofia-SIP's nua.
 *
 *     nua_agent caller --bind sip:127.0.0.2:5070 --to sip:7001@127.0.0.1:5060 --refresher me --seconds 20 --hang-up
 *     nua_agent callee --bind sip:127.0.0.3:5060 --refresher you --seconds 20
 *
 * It places or takes the call, keeps it for so many seconds, and then hangs up, or, without --hang-up, waits for the
 * other side's BYE.  Events are printed, one a line:
 *
 *     ready                       it listens
 *     timer 4 me                  Session-Expires of the 2xx to its INVITE, and who refreshes; or: timer none
 *     sent UPDATE 200             its refresh, and the answer
 *     received INVITE             the peer's
 *     progress 183 reliable       a provisional response to its INVITE with a session, and whether it has an RSeq
 *     sent PRACK 200              the caller's; the callee: received PRACK
 *     ended by me | ended by you  BYE
 *     failed: ...                 anything else; exit status 1
 *
 * With --early the callee sends a 183 with its session, and answers half a second later.
 *
 * The exit status is 0 if the call lasted as long as asked and ended as asked.
 *
 * nua keeps intervals as small as it is told by NUTAG_MIN_SE (120 s otherwise); only its own 422 never names less than
 * 90 s (RFC 4028 4), so it must not come to one.  It refreshes at half the interval.  As the other party it ends a call
 * that nobody has refreshed a tenth (at most 32 s) before the end of the interval, which below 10 s is the end itself.
 * It counts in whole seconds of the wall clock and looks once a second: an act due in 2 s comes after 1 to 3 s.  That
 * is nothing to intervals of minutes, but of 4 s it would be behind the other side's probe (spec 5); so it is started
 * just behind a whole second, and no act comes late. */
#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct agent;
#define NUA_MAGIC_T     struct agent
#define SU_ROOT_MAGIC_T struct agent
#define SU_TIMER_ARG_T  struct agent

#include <sofia-sip/nua.h>
#include <sofia-sip/sip_status.h>
#include <sofia-sip/soa_tag.h>
#include <sofia-sip/su_tagarg.h>
#include <sofia-sip/su_wait.h>

#define PATIENCE_S 10 /* for the call to begin, and for the peer's BYE beyond the time asked */

struct agent {
	const char *bind, *to; /* URIs; without `to` it is the callee */
	unsigned interval_s;   /* Session-Expires that it asks for */
	unsigned seconds;      /* how long the call is to last */
	enum nua_session_refresher refresher;
	bool hang_up; /* by us */
	bool early;
	bool by_update;
	su_root_t *root;
	nua_t *nua;
	nua_handle_t *call;
	su_timer_t *timer, *ringing;
	su_time_t answered_at; /* tv_sec 0: not yet */
	bool over;
	int status;
};

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	fflush(stdout);
}

static void finish(struct agent *agent, const char *failure)
{
	if (agent->over)
		return;
	agent->over = true;
	agent->status = failure ? 1 : 0;
	if (failure)
		say("failed: %s", failure);
	nua_shutdown(agent->nua);
}

static bool is_answered(const struct agent *agent)
{
	return agent->answered_at.tv_sec != 0;
}

static double age_s(const struct agent *agent)
{
	return su_time_diff(su_now(), agent->answered_at);
}

/* ---- the call's course ---- */

static void due(su_root_magic_t *magic, su_timer_t *timer, struct agent *agent)
{
	(void)magic, (void)timer;
	if (!is_answered(agent))
		finish(agent, "no call");
	else if (agent->hang_up)
		nua_bye(agent->call, TAG_END());
	else
		finish(agent, "the peer did not hang up");
}

static void answered(struct agent *agent)
{
	if (is_answered(agent))
		return;
	agent->answered_at = su_now();
	/* By half a second beyond, so that the BYE does not cross a refresh. */
	su_duration_t more_ms = agent->hang_up ? 500 : PATIENCE_S * 1000;
	su_timer_set_interval(agent->timer, due, agent, (su_duration_t)agent->seconds * 1000 + more_ms);
	/* The INVITE has named the other side; a callee takes the role over with a refresh of its own. */
	if (!agent->to && agent->refresher == nua_local_refresher)
		nua_update(agent->call, TAG_END());
}

static void ended(struct agent *agent, bool by_us)
{
	say("ended by %s", by_us ? "me" : "you");
	if (!is_answered(agent))
		finish(agent, "before it was answered");
	else if (by_us != agent->hang_up)
		finish(agent, by_us ? "the peer's BYE was asked for" : "our BYE was asked for");
	else if (age_s(agent) < agent->seconds)
		finish(agent, "too early");
	else
		finish(agent, NULL);
}

static void say_timer(const sip_t *sip)
{
	const sip_session_expires_t *x = sip->sip_session_expires;
	bool uac = x && x->x_refresher && strcasecmp(x->x_refresher, "uac") == 0;
	if (x)
		say("timer %lu %s", x->x_delta, uac ? "me" : "you");
	else
		say("timer none");
}

static void response(struct agent *agent, const char *method, int status, const char *phrase, const sip_t *sip)
{
	if (status > 100 && status < 200 && sip && sip->sip_payload)
		say("progress %d %s", status, sip->sip_rseq ? "reliable" : "unreliable");
	if (status < 200)
		return;
	if (is_answered(agent)) {
		say("sent %s %d", method, status);
	} else if (status < 300) {
		say_timer(sip);
	} else {
		say("%s: %d %s", method, status, phrase);
		finish(agent, "the INVITE was refused");
	}
}

static void rang(su_root_magic_t *magic, su_timer_t *timer, struct agent *agent)
{
	(void)magic, (void)timer;
	nua_respond(agent->call, SIP_200_OK, TAG_END());
}

static void incoming(struct agent *agent, nua_handle_t *call)
{
	if (is_answered(agent)) {
		say("received INVITE");
	} else if (agent->to || (agent->call && agent->call != call)) {
		nua_respond(call, SIP_486_BUSY_HERE, TAG_END());
	} else {
		agent->call = nua_handle_ref(call);
		if (agent->early) {
			nua_respond(call, SIP_183_SESSION_PROGRESS, TAG_END());
			su_timer_set_interval(agent->ringing, rang, agent, 500);
		} else {
			nua_respond(call, SIP_200_OK, TAG_END());
		}
	}
}

static void on_event(nua_event_t event, int status, const char *phrase, nua_t *nua, struct agent *agent,
		     nua_handle_t *call, nua_hmagic_t *handle_magic, const sip_t *sip, tagi_t tags[])
{
	(void)nua, (void)handle_magic, (void)tags;
	switch (event) {
	case nua_i_invite:
		incoming(agent, call);
		break;
	case nua_i_active:
		if (call == agent->call)
			answered(agent);
		break;
	case nua_r_invite:
		response(agent, "INVITE", status, phrase, sip);
		break;
	case nua_r_update:
		response(agent, "UPDATE", status, phrase, sip);
		break;
	case nua_r_prack:
		if (status >= 200)
			say("sent PRACK %d", status);
		break;
	case nua_i_prack:
		say("received PRACK");
		break;
	case nua_i_update:
		say("received UPDATE");
		break;
	case nua_i_bye:
		ended(agent, false);
		break;
	case nua_r_bye:
		if (status >= 200)
			ended(agent, true);
		break;
	case nua_i_terminated:
		if (!agent->over && is_answered(agent))
			ended(agent, true); /* nua itself gave up */
		break;
	case nua_r_shutdown:
		if (status >= 200)
			su_root_break(agent->root);
		break;
	default:
		break;
	}
}

/* ---- beginning and end ---- */

static int usage(const char *program)
{
	fprintf(stderr,
		"usage: %s caller|callee --bind URI [--to URI] [--interval S] [--refresher me|you] [--by "
		"invite|update]\n"
		"       [--seconds N] [--hang-up] [--early]\n",
		program);
	return 2;
}

static bool read_options(int count, char **words, struct agent *agent)
{
	static const struct option options[] = {
		{ "bind", required_argument, NULL, 'b' },
		{ "to", required_argument, NULL, 't' },
		{ "interval", required_argument, NULL, 'i' },
		{ "refresher", required_argument, NULL, 'r' },
		{ "by", required_argument, NULL, 'y' },
		{ "seconds", required_argument, NULL, 's' },
		{ "hang-up", no_argument, NULL, 'h' },
		{ "early", no_argument, NULL, 'e' },
		{ NULL, 0, NULL, 0 },
	};
	int option;
	while ((option = getopt_long(count, words, "", options, NULL)) != -1) {
		switch (option) {
		case 'b':
			agent->bind = optarg;
			break;
		case 't':
			agent->to = optarg;
			break;
		case 'i':
			agent->interval_s = (unsigned)atoi(optarg);
			break;
		case 'r':
			agent->refresher = strcmp(optarg, "me") ? nua_any_refresher : nua_local_refresher;
			break;
		case 'y':
			agent->by_update = strcmp(optarg, "update") == 0;
			break;
		case 's':
			agent->seconds = (unsigned)atoi(optarg);
			break;
		case 'h':
			agent->hang_up = true;
			break;
		case 'e':
			agent->early = true;
			break;
		default:
			return false;
		}
	}
	const char *role = optind == count - 1 ? words[optind] : "";
	return agent->bind && strcmp(role, agent->to ? "caller" : "callee") == 0;
}

static bool start(struct agent *agent)
{
	agent->nua = nua_create(agent->root, on_event, agent, NUTAG_URL(agent->bind), NUTAG_MIN_SE(1),
				NUTAG_SESSION_TIMER(agent->interval_s), NUTAG_SESSION_REFRESHER(agent->refresher),
				NUTAG_UPDATE_REFRESH(agent->by_update), NUTAG_AUTOANSWER(0), NUTAG_AUTOALERT(0),
				NUTAG_EARLY_MEDIA(agent->early), SOATAG_USER_SDP_STR("m=audio 41000 RTP/AVP 8 0\r\n"),
				TAG_END());
	if (!agent->nua)
		return false;
	su_timer_set_interval(agent->timer, due, agent, PATIENCE_S * 1000);
	say("ready");
	if (agent->to) {
		agent->call = nua_handle(agent->nua, NULL, SIPTAG_TO_STR(agent->to), TAG_END());
		nua_invite(agent->call, TAG_END());
	}
	return true;
}

static void wait_for_whole_second(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec = 0;
	now.tv_nsec = 1000000000 - now.tv_nsec;
	nanosleep(&now, NULL);
}

int main(int count, char **words)
{
	struct agent agent = { .interval_s = 4, .seconds = 10, .by_update = true, .refresher = nua_any_refresher };
	if (!read_options(count, words, &agent))
		return usage(words[0]);
	su_init();
	agent.root = su_root_create(&agent);
	su_root_threading(agent.root, 0);
	agent.timer = su_timer_create(su_root_task(agent.root), 0);
	agent.ringing = su_timer_create(su_root_task(agent.root), 0);
	wait_for_whole_second();
	if (start(&agent)) {
		su_root_run(agent.root);
		if (agent.call)
			nua_handle_unref(agent.call);
		nua_destroy(agent.nua);
	} else {
		say("failed: cannot listen on %s", agent.bind);
		agent.status = 1;
	}
	su_timer_destroy(agent.timer);
	su_timer_destroy(agent.ringing);
	su_root_destroy(agent.root);
	su_deinit();
	return agent.status;
}
