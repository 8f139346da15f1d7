/* What a peer does in a call: the script, and the answers that RFC 3261 asks of it. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/peer.h"

#define POSTPONE_NS  (700 * SIM_MS) /* a step that must wait until an offer is answered */
#define RING_BACK_NS (20 * SIM_MS)  /* an INVITE inside a dialog that rings does so after this */

#define FLOOD        12            /* requests at once */
#define NEVER_NS     (500 * SIM_S) /* when one that does not answer gives up by itself, in case no CANCEL comes */
#define NO_ANSWER_NS SIM_64T1      /* when the BYE must have come to a dialog whose offer was not answered */

struct later {
	struct ua *ua;
	struct taken *taken;
	struct sent *sent;
	enum step_kind step;
	bool retried;
};

static void later(struct ua *ua, uint64_t after_ns, void (*fn)(struct sim *sim, void *context), struct later what)
{
	struct later *kept = sim_alloc(ua->sim, sizeof *kept);
	*kept = what;
	kept->ua = ua;
	sim_at(ua->sim, ua->sim->now_ns + after_ns, fn, kept);
}

/* The node's session description: a re-INVITE with the same is a refresh. */
static void keep_offered(struct ua *ua, const struct wire *w)
{
	if (!w->body.size || bytes_equal(w->body, ua->offered))
		return;
	char *copy = sim_alloc(ua->sim, w->body.size);
	memcpy(copy, w->body.at, w->body.size);
	ua->offered = (struct bytes){ copy, w->body.size };
}

static bool is(const struct taken *taken, const char *method)
{
	return strcmp(taken->method, method) == 0;
}

/* Offers of ours, or of the other side, that are not done with. */
static bool offer_of_ours(const struct ua *ua)
{
	for (const struct sent *sent = ua->sent; sent; sent = sent->next)
		if (!sent->over &&
		    (strcmp(sent->method, "INVITE") == 0 || (strcmp(sent->method, "UPDATE") == 0 && sent->offered)))
			return true;
	return false;
}

static bool offer_of_theirs(const struct ua *ua, const struct taken *except)
{
	for (const struct taken *taken = ua->taken; taken; taken = taken->next)
		if (taken != except && is(taken, "INVITE") &&
		    (taken->status < 200 || (taken->status < 300 && !taken->acked && taken->resending)))
			return true;
	return false;
}

static void hang_up(struct ua *ua)
{
	if (ua->bye_sent || ua->bye_taken || ua->state == UA_ENDED)
		return;
	ua->bye_sent = true;
	peer_request(ua, "BYE", BYTES_NONE, NULL, STEP_NONE);
}

void dialog_hang_up(struct ua *ua)
{
	hang_up(ua);
}

static void hang_up_later(struct sim *sim, void *context)
{
	(void)sim;
	hang_up(((struct later *)context)->ua);
}

/* ---- steps of the script ---- */

static void run_step(struct sim *sim, void *context);

static void offer(struct ua *ua, const char *method, enum step_kind step, bool retried)
{
	if (offer_of_ours(ua) || offer_of_theirs(ua, NULL)) {
		later(ua, POSTPONE_NS, run_step, (struct later){ .step = step, .retried = retried });
		return;
	}
	bool fresh = step == STEP_REINVITE || step == STEP_REINVITE_TWICE || step == STEP_REINVITE_CANCEL ||
		     step == STEP_UPDATE;
	bool empty = step == STEP_REINVITE_EMPTY || step == STEP_UPDATE_EMPTY;
	ua->session += fresh;
	ua->contact += fresh;
	const char *passed_on = ua->call->serial % 2 ? "Reason: SIP;cause=200;text=\"offer\"\r\n" : NULL;
	struct sent *sent = peer_request(ua, method, empty ? BYTES_NONE : session_of(ua), passed_on, step);
	sent->retried = retried;
	if (step != STEP_REINVITE_TWICE)
		return;
	ua->session++;
	peer_request(ua, method, session_of(ua), NULL, STEP_NONE);
}

/* An INVITE although one of the node's has come, which is not answered yet (14.1 allows it: the two cross). */
void dialog_cross(struct ua *ua)
{
	if (offer_of_ours(ua))
		return;
	ua->session++;
	ua->contact++;
	ua->sim->counts.reinvites++;
	peer_request(ua, "INVITE", session_of(ua), NULL, STEP_REINVITE);
}

static void wake(struct sim *sim, void *context)
{
	struct ua *ua = ((struct later *)context)->ua;
	(void)sim;
	ua->dead |= ua->call->cdr != NULL; /* the call went on without it */
}

void dialog_sleep(struct ua *ua, uint64_t for_ns)
{
	ua->slept = true;
	ua->asleep_until_ns = ua->sim->now_ns + for_ns;
	ua->sim->counts.sleeping_peers++;
	later(ua, for_ns, wake, (struct later){ 0 });
}

static void flood(struct ua *ua)
{
	for (unsigned i = 0; i < FLOOD; i++)
		peer_request(ua, "UPDATE", BYTES_NONE, NULL, STEP_NONE);
	ua->sim->counts.floods++;
}

void dialog_step(struct ua *ua, enum step_kind step)
{
	struct later what = { .ua = ua, .step = step };
	run_step(ua->sim, &what);
}

static void run_step(struct sim *sim, void *context)
{
	struct later *what = context;
	struct ua *ua = what->ua;
	if (ua->dead || ua->rebooted || ua->state != UA_UP || ua->bye_sent)
		return;
	switch (what->step) {
	case STEP_REINVITE:
	case STEP_REINVITE_SAME:
	case STEP_REINVITE_EMPTY:
	case STEP_REINVITE_TWICE:
	case STEP_REINVITE_CANCEL:
		sim->counts.reinvites++;
		offer(ua, "INVITE", what->step, what->retried);
		break;
	case STEP_UPDATE:
	case STEP_UPDATE_EMPTY:
		sim->counts.updates++;
		offer(ua, "UPDATE", what->step, what->retried);
		break;
	case STEP_INFO:
		sim->counts.infos++;
		peer_request(ua, "INFO", BYTES("Signal=5\r\n"), NULL, what->step);
		break;
	case STEP_MESSAGE:
		peer_request(ua, "MESSAGE", BYTES("hello"), NULL, what->step);
		break;
	case STEP_OPTIONS:
		peer_request(ua, "OPTIONS", BYTES_NONE, NULL, what->step);
		break;
	case STEP_BYE:
		hang_up(ua);
		break;
	case STEP_DIE:
		ua->dead = true;
		sim->counts.silent_peers++;
		break;
	case STEP_DEAF:
		ua->deaf = true;
		sim->counts.deaf_peers++;
		break;
	case STEP_MUTE:
		ua->mute = true;
		sim->counts.deaf_peers++;
		break;
	case STEP_SLEEP:
		dialog_sleep(ua, ua->call->script.sleep_ns);
		break;
	case STEP_REBOOT:
		ua->rebooted = true;
		sim->counts.reboots++;
		break;
	case STEP_FLOOD:
		flood(ua);
		break;
	case STEP_NONE:
		break;
	}
}

static void begin_steps(struct ua *ua)
{
	if (ua->steps_begun)
		return;
	ua->steps_begun = true;
	for (unsigned i = 0; i < SCRIPT_STEPS; i++) {
		const struct step *step = &ua->call->script.steps[i];
		if (step->kind != STEP_NONE && step->by_callee != ua->is_caller)
			later(ua, step->at_ns, run_step, (struct later){ .step = step->kind });
	}
}

/* ---- the caller ---- */

static void give_up(struct sim *sim, void *context)
{
	struct ua *ua = ((struct later *)context)->ua;
	struct sent *invite = ua->invite;
	if (ua->dead || ua->state != UA_EARLY || invite->over)
		return;
	if (ua->call->script.early_bye && *ua->early_remote) {
		snprintf(ua->remote, sizeof ua->remote, "%s", ua->early_remote);
		snprintf(ua->target, sizeof ua->target, "%s", ua->early_target);
		sim->counts.early_byes++;
		hang_up(ua);
	} else if (invite->status >= 100) {
		peer_cancel(ua, invite);
	} else {
		ua->cancel_wanted = true; /* 9.1 */
	}
}

/* "99#N": with the call's number in place of the N. */
static void write_user(const char *text, const struct ua *ua, char user[static 160])
{
	const char *n = strchr(text, 'N');
	int before = n ? (int)(n - text) : (int)strlen(text);
	snprintf(user, 160, "%.*s%s%s", before, text, n ? ua->call->number : "", n ? n + 1 : "");
}

/* What its INVITE, and the CANCEL of that, are addressed to. */
static void address_number(struct ua *ua)
{
	const struct script *script = &ua->call->script;
	char number[160], to[160];
	write_user(script->number ? script->number : "N", ua, number);
	write_user(script->to ? script->to : number, ua, to);
	const char *node = ua->host->address.family == 6 ? "[fd00::1]" : "10.0.0.1";
	snprintf(ua->remote, sizeof ua->remote, "<sip:%s@%s>", to, node);
	snprintf(ua->target, sizeof ua->target, "sip:%s@%s:5060", number, node);
}

void dialog_begin_caller(struct ua *ua)
{
	const struct script *script = &ua->call->script;
	char from[160];
	snprintf(from, sizeof from, "+4930%u", ua->call->serial);
	if (script->from)
		write_user(script->from, ua, from);
	snprintf(ua->local, sizeof ua->local, "\"Caller\" <sip:%s@%s>", from, ua->host->name);
	address_number(ua);
	ua->sim->counts.delayed_offers += script->delayed_offer;
	char headers[600];
	snprintf(headers, sizeof headers, "%s%s", script->headers ? script->headers : "",
		 script->reliable == 'r'   ? "Require: 100rel\r\n"
		 : script->reliable == 's' ? "Supported: 100rel\r\n"
					   : "");
	peer_request(ua, "INVITE", script->delayed_offer ? BYTES_NONE : session_of(ua), headers, STEP_NONE);
	if (script->cancel_ns)
		later(ua, script->cancel_ns, give_up, (struct later){ 0 });
}

static void acknowledge(struct sim *sim, void *context)
{
	struct later *what = context;
	struct ua *ua = what->ua;
	(void)sim;
	if (ua->dead || what->sent->ack.size)
		return;
	peer_ack(what->sent, what->sent->offered || ua->reliable.ack_bare ? BYTES_NONE : session_of(ua));
	begin_steps(ua);
}

static void answered(struct ua *ua, struct sent *invite, const struct wire *w)
{
	const struct script *script = &ua->call->script;
	ua->state = ua->bye_answered ? UA_ENDED : UA_UP;
	snprintf(ua->remote, sizeof ua->remote, "%.*s", TEXT(w->to));
	snprintf(ua->remote_tag, sizeof ua->remote_tag, "%.*s", TEXT(w->to_tag));
	snprintf(ua->target, sizeof ua->target, "%.*s", TEXT(w->contact));
	ua->sim->counts.answered++;
	bool told = early_has_session(ua, w->to_tag, &ua->reliable.ack_bare);
	if (!w->body.size && !told && !ua->call->damaged)
		ua->call->excused ? (void)0 : sim_fail(ua->sim, ua->call, "answer-has-session", "200 without SDP");
	if (script->no_ack) {
		ua->sim->counts.acks_withheld++;
		return;
	}
	keep_offered(ua, w);
	timer_confirmed(ua, invite, w);
	later(ua, script->ack_delay_ns, acknowledge, (struct later){ .sent = invite });
	if (invite->cancelled) {
		ua->sim->counts.crossed_cancels++;
		later(ua, script->ack_delay_ns + 10 * SIM_MS, hang_up_later, (struct later){ 0 });
	}
}

static void initial_response(struct ua *ua, struct sent *invite, const struct wire *w)
{
	if (w->status < 200) {
		if (w->status > 100 && w->to_tag.size) {
			snprintf(ua->early_remote, sizeof ua->early_remote, "%.*s", TEXT(w->to));
			snprintf(ua->early_target, sizeof ua->early_target, "%.*s", TEXT(w->contact));
		}
		ua->sim->counts.early_media += w->body.size > 0;
		early_provisional(ua, invite, w);
		if (w->reliable)
			keep_offered(ua, w);
		if (ua->cancel_wanted) {
			ua->cancel_wanted = false;
			peer_cancel(ua, invite);
		}
	} else if (w->status < 300) {
		answered(ua, invite, w);
	} else {
		snprintf(ua->remote, sizeof ua->remote, "%.*s", TEXT(w->to));
		ua->state = UA_ENDED;
		ua->sim->counts.failed++;
		ua->sim->counts.cancelled += w->status == 487;
		peer_ack(invite, BYTES_NONE);
	}
}

/* ---- INVITE and the rest inside the dialog ---- */

static void try_again(struct sim *sim, void *context)
{
	run_step(sim, context);
}

static void refused(struct ua *ua, struct sent *sent, const struct wire *w)
{
	unsigned status = w->status;
	if (status == 491)
		ua->sim->counts.glares++;
	if (status == 481 || status == 408) {
		hang_up(ua);
	} else if (status == 422 && timer_raised(ua, w)) {
		later(ua, SIM_MS, try_again, (struct later){ .step = sent->step, .retried = true });
	} else if ((status == 491 || status == 500) && !sent->retried) { /* 14.1 */
		uint64_t wait_ns = ua->is_caller ? 2100 * SIM_MS + sim_below(ua->sim, SIM_TRAFFIC, 1900) * SIM_MS
						 : sim_below(ua->sim, SIM_TRAFFIC, 2000) * SIM_MS;
		later(ua, wait_ns, try_again, (struct later){ .step = sent->step, .retried = true });
	}
}

static void reinvite_response(struct ua *ua, struct sent *sent, const struct wire *w)
{
	if (w->status < 200) {
		if (sent->step == STEP_REINVITE_CANCEL && !sent->cancelled) {
			ua->sim->counts.reinvites_cancelled++;
			peer_cancel(ua, sent);
		}
		return;
	}
	if (w->status < 300 && w->contact.size)
		snprintf(ua->target, sizeof ua->target, "%.*s", TEXT(w->contact));
	peer_ack(sent, w->status < 300 && !sent->offered ? session_of(ua) : BYTES_NONE);
	if (w->status >= 300) {
		refused(ua, sent, w);
	} else {
		keep_offered(ua, w);
		timer_confirmed(ua, sent, w);
	}
}

void dialog_response(struct ua *ua, struct sent *sent, const struct wire *w, bool repeated)
{
	bool invite = strcmp(sent->method, "INVITE") == 0;
	if (w->status < 300 && !session_is_good(ua, wire_is(w->content_type, "application/sdp") ? w->body : BYTES_NONE))
		sim_fail(ua->sim, ua->call, "session-of-the-other-side", "%u brings \"%.*s\"", w->status,
			 TEXT(w->body));
	if (repeated) {
		if (invite && w->status >= 200 && w->status < 300 && !wire_is(w->to_tag, ua->remote_tag) &&
		    !ua->call->excused)
			sim_fail(ua->sim, ua->call, "one-answer-to-the-caller", "a 2xx with tag %.*s, not %s",
				 TEXT(w->to_tag), ua->remote_tag);
		if (invite && w->status >= 200 && sent->ack.size)
			proxy_send(ua, sent->ack);
		return;
	}
	if (invite && ua->is_caller && ua->state == UA_EARLY) {
		initial_response(ua, sent, w);
	} else if (invite) {
		reinvite_response(ua, sent, w);
	} else if (sent->early) {
		early_answered(ua, sent, w);
		if (w->status < 300)
			keep_offered(ua, w);
	} else if (strcmp(sent->method, "BYE") == 0 && w->status == 481 && ua->is_caller && ua->state == UA_EARLY) {
		/* That early dialog was given up for another gateway's, but the INVITE stands. */
		ua->bye_sent = false;
		address_number(ua);
		if (!ua->invite->over)
			peer_cancel(ua, ua->invite);
	} else if (strcmp(sent->method, "BYE") == 0 && w->status >= 200) {
		ua->bye_answered = true;
		if (ua->state == UA_UP)
			ua->state = UA_ENDED; /* else its INVITE still gets a 487 */
	} else if (strcmp(sent->method, "CANCEL") != 0 && w->status >= 300) {
		refused(ua, sent, w);
	} else if (strcmp(sent->method, "UPDATE") == 0 && w->status >= 200) {
		if (w->contact.size)
			snprintf(ua->target, sizeof ua->target, "%.*s", TEXT(w->contact));
		keep_offered(ua, w);
		timer_confirmed(ua, sent, w);
	}
}

void dialog_timeout(struct ua *ua, struct sent *sent)
{
	if (sent->early)
		return; /* the INVITE has a time-out of its own */
	if (strcmp(sent->method, "BYE") == 0 || ua->state == UA_EARLY)
		ua->state = UA_ENDED;
	else
		hang_up(ua);
}

static void reinvite_final(struct taken *taken)
{
	struct ua *ua = taken->ua;
	unsigned code = ua->call->script.reinvite_code;
	if (code >= 300)
		peer_respond(taken, code, NULL, BYTES_NONE);
	else
		peer_respond(taken, 200, NULL, session_of(ua));
}

static void reinvite_final_later(struct sim *sim, void *context)
{
	struct later *what = context;
	(void)sim;
	if (!what->ua->dead && what->taken->status < 200)
		reinvite_final(what->taken);
}

static void reinvite_rings(struct sim *sim, void *context)
{
	struct later *what = context;
	(void)sim;
	if (!what->ua->dead && what->taken->status < 180)
		peer_respond(what->taken, 180, NULL, BYTES_NONE);
}

static void take_reinvite(struct ua *ua, struct taken *taken)
{
	uint64_t wait_ns = ua->call->script.reinvite_ns;
	if (offer_of_ours(ua)) {
		peer_respond(taken, 491, NULL, BYTES_NONE);
	} else if (offer_of_theirs(ua, taken)) {
		peer_respond(taken, 500, "Retry-After: 1\r\n", BYTES_NONE);
	} else if (wait_ns) {
		peer_respond(taken, 100, NULL, BYTES_NONE);
		later(ua, RING_BACK_NS, reinvite_rings, (struct later){ .taken = taken });
		later(ua, RING_BACK_NS + wait_ns, reinvite_final_later, (struct later){ .taken = taken });
	} else {
		reinvite_final(taken);
	}
}

static void take_bye(struct ua *ua, struct taken *taken)
{
	ua->sim->counts.crossed_byes += ua->bye_sent;
	ua->bye_taken = true;
	peer_respond(taken, 200, NULL, BYTES_NONE);
	/* 64*T1 passed while the node was down; or its 200 was lost, and the node that stops waits for no ACK. */
	if (ua->call && ua->is_caller && ua->state == UA_EARLY && ua->sim->stopping && sim_is_blurred(ua->sim))
		ua->call->excused = true;
	bool excused = (ua->sim->boot > 1 || ua->sim->stopping) && ua->call && ua->call->excused;
	if (ua->is_caller && ua->state == UA_EARLY && !excused) {
		sim_fail(ua->sim, ua->call, "rfc3261-15-early-bye", "BYE to a caller without an answer");
		return;
	}
	for (struct taken *open = ua->taken; open; open = open->next) /* 15.1.2 */
		if (open != taken && is(open, "INVITE") && open->status < 200)
			peer_respond(open, 487, NULL, BYTES_NONE);
	ua->state = UA_ENDED;
}

void dialog_request(struct ua *ua, struct taken *taken, const struct wire *w)
{
	if (is(taken, "BYE")) {
		take_bye(ua, taken);
	} else if (is(taken, "PRACK")) {
		early_take_prack(ua, taken, w);
		return;
	} else if (ua->state == UA_EARLY && ua->call && is(taken, "UPDATE") && w->body.size) {
		early_take_update(ua, taken);
	} else if (ua->state != UA_UP || ua->bye_sent || !ua->call) {
		peer_respond(taken, 481, NULL, BYTES_NONE);
	} else if (timer_refuses(ua, taken, w)) {
		return;
	} else if (is(taken, "INVITE")) {
		take_reinvite(ua, taken);
		keep_offered(ua, w);
	} else if (is(taken, "UPDATE") && w->body.size) {
		if (offer_of_ours(ua))
			peer_respond(taken, 491, NULL, BYTES_NONE);
		else if (offer_of_theirs(ua, NULL))
			peer_respond(taken, 500, "Retry-After: 1\r\n", BYTES_NONE);
		else
			peer_respond(taken, 200, NULL, session_of(ua));
		return;
	} else {
		peer_respond(taken, 200, NULL, BYTES_NONE);
	}
	if ((is(taken, "INVITE") || is(taken, "UPDATE")) && w->contact.size)
		snprintf(ua->target, sizeof ua->target, "%.*s", TEXT(w->contact));
}

/* ---- the callee ---- */

static bool waits(const struct later *what)
{
	return !what->ua->dead && what->ua->state == UA_EARLY && what->taken->status < 200;
}

static void ring(struct sim *sim, void *context)
{
	struct later *what = context;
	(void)sim;
	if (waits(what))
		early_respond(what->ua, what->taken, 180, BYTES_NONE);
}

static void progress(struct sim *sim, void *context)
{
	struct later *what = context;
	(void)sim;
	if (!waits(what))
		return;
	if (what->ua->answer->early_fork)
		early_fork(what->ua, what->taken);
	early_respond(what->ua, what->taken, 183, what->ua->answer->progress_bare ? BYTES_NONE : session_of(what->ua));
}

/* Another branch of a forking proxy behind this gateway answers as well. */
static void fork_off(struct ua *ua, const struct taken *invite)
{
	struct ua *fork = peer_fork(ua, invite);
	fork->state = UA_UP;
	ua->sim->counts.forks++;
	peer_respond(fork->taken, 200, NULL, session_of(fork));
}

static void final(struct sim *sim, void *context)
{
	struct later *what = context;
	struct ua *ua = what->ua;
	const struct answer *answer = ua->answer;
	(void)sim;
	if (!waits(what))
		return;
	unsigned code = answer->never ? 480 : answer->code;
	if (code < 300 && early_holds_answer(ua)) { /* RFC 3262 3 */
		later(ua, POSTPONE_NS, final, *what);
		return;
	}
	early_end_forks(ua);
	if (code >= 300) {
		ua->state = UA_ENDED;
		peer_respond(what->taken, code, answer->headers, BYTES_NONE);
		return;
	}
	struct taken before = *what->taken;
	ua->state = UA_UP;
	struct wire w;
	bool read = wire_read(what->taken->request, &w);
	assert(read);
	bool bare = early_stands(ua) && (answer->bare || !w.body.size);
	peer_respond(what->taken, 200, answer->headers, bare ? BYTES_NONE : session_of(ua));
	for (unsigned i = 0; i < answer->forks; i++)
		fork_off(ua, &before);
}

void dialog_begin_callee(struct ua *ua, struct taken *invite)
{
	const struct answer *answer = ua->answer;
	struct later what = { .taken = invite };
	struct wire w;
	bool read = wire_read(invite->request, &w);
	assert(read);
	if (answer->silent) {
		ua->dead = true;
		ua->sim->counts.silent_peers++;
		return;
	}
	if (ua->call && !ua->call->damaged && !ua->call->script.delayed_offer && !w.body.size)
		sim_fail(ua->sim, ua->call, "rfc3264-5-offer", "the caller's offer is not passed on");
	if (timer_refuses_invite(ua, invite, &w))
		return;
	keep_offered(ua, &w);
	if (!answer->no_trying)
		peer_respond(invite, 100, NULL, BYTES_NONE);
	if (answer->ring_ns)
		later(ua, answer->ring_ns, ring, what);
	if (answer->progress_ns)
		later(ua, answer->progress_ns, progress, what);
	later(ua, answer->never ? NEVER_NS : answer->final_ns, final, what);
}

void dialog_cancelled(struct ua *ua, struct taken *invite)
{
	if (ua->state == UA_EARLY && ua->answer->deaf && !ua->answer->never)
		return;
	peer_respond(invite, 487, NULL, BYTES_NONE);
	if (ua->state == UA_EARLY)
		ua->state = UA_ENDED;
	early_end_forks(ua);
}

/* An offer without its answer is good only for a dialog that a BYE ends at once: of a fork, or of a call that has
 * ended. */
static void no_answer(struct sim *sim, void *context)
{
	struct ua *ua = ((struct later *)context)->ua;
	if (ua->state == UA_UP && !ua->dead && !ua->bye_sent && !ua->call->cdr && !ua->call->excused)
		sim_fail(sim, ua->call, "rfc3261-13.2.2.4", "the ACK of an offer brings no answer");
}

void dialog_acked(struct ua *ua, struct taken *invite, const struct wire *w)
{
	struct wire request;
	bool read = wire_read(invite->request, &request);
	assert(read);
	if (invite->status >= 300 || !ua->call)
		return;
	if (!request.body.size && !w->body.size && !early_stands(ua))
		later(ua, NO_ANSWER_NS, no_answer, (struct later){ 0 });
	keep_offered(ua, w);
	if (!ua->is_caller)
		begin_steps(ua);
}

void dialog_no_ack(struct ua *ua, struct taken *invite)
{
	if (invite->status < 300)
		hang_up(ua);
}
