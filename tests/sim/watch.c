#include "tests/sim/watch.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/offers.h"
#include "tests/sim/session.h"
#include "tests/sim/switches.h"

#define HEADS       4096
#define DIALOGS     8
#define LOG_DROPPED 64             /* messages from the middle of a call's log when it is full */
#define QUIET_NS    (3 * SIM_64T1) /* after its CDR nothing of a call is sent any more, but answers */

/* One dialog on a Call-ID, as the node's requests name it: by the peer's tag. */
struct watched_dialog {
	uint32_t tag_hash; /* 0: before the peer gave one */
	uint32_t cseq;
	bool bye;
};

/* All that goes on under one Call-ID. */
struct watched {
	struct watched *next;
	struct sim_call *call; /* NULL: nobody's (damaged on its way, or noise) */
	bool callee_side;
	char call_id[128];
	uint64_t invite_in_ns, ok_in_ns, ok_out_ns, ack_in_ns, bye_in_ns, cancel_in_ns, final_in_ns;
	int64_t invite_in_us, ok_in_us;
	uint32_t invite_cseq;
	const struct seen *invite_out; /* latest */
	unsigned final_out;            /* to the caller's INVITE */
	bool trying_out, gone_in;
	struct watched_dialog dialogs[DIALOGS];
	uint64_t recorded_ns; /* its CDR came */
	struct session_leg *session;
	struct offers *offers;
	const struct host *host;
};

/* One request, on its way in or out. */
struct seen {
	struct seen *next;
	char key[160]; /* direction, branch, method */
	struct bytes text;
	unsigned status; /* final answer given to it, 0: none yet */
	char to_tag[80];
	struct bytes answer; /* the whole of it, but to an INVITE */
	bool provisional, final_in;
	uint64_t at_ns;
	uint32_t cseq;
	uint16_t port; /* that it came from */
	bool glare;    /* an INVITE that came while one of ours was open */
	struct session_note session;
};

struct watch {
	struct watched *watched[HEADS];
	struct seen *seen[HEADS];
};

struct watch *watch_create(struct sim *sim)
{
	return sim_alloc(sim, sizeof(struct watch));
}

static uint32_t hash(struct bytes text)
{
	uint32_t h = 2166136261u;
	for (uint32_t i = 0; i < text.size; i++)
		h = (h ^ (unsigned char)text.at[i]) * 16777619u;
	return h ? h : 1;
}

static struct watched *find(struct sim *sim, struct bytes call_id)
{
	struct watched *w = sim->watch->watched[hash(call_id) % HEADS];
	while (w && !wire_is(call_id, w->call_id))
		w = w->next;
	return w;
}

static struct watched *find_or_add(struct sim *sim, struct bytes call_id)
{
	struct watched *w = find(sim, call_id), **head = &sim->watch->watched[hash(call_id) % HEADS];
	if (w || call_id.size >= sizeof w->call_id)
		return w;
	w = sim_alloc(sim, sizeof *w);
	memcpy(w->call_id, call_id.at, call_id.size);
	w->next = *head;
	*head = w;
	return w;
}

static struct seen *find_seen(struct sim *sim, char direction, struct bytes branch, const char *method, bool add)
{
	char key[160];
	snprintf(key, sizeof key, "%c%.*s %s", direction, TEXT(branch), method);
	struct seen **head = &sim->watch->seen[hash(bytes_of(key)) % HEADS], *seen = *head;
	while (seen && strcmp(seen->key, key) != 0)
		seen = seen->next;
	if (seen || !add)
		return seen;
	seen = sim_alloc(sim, sizeof *seen);
	memcpy(seen->key, key, sizeof key);
	seen->next = *head;
	*head = seen;
	return seen;
}

static struct bytes keep(struct sim *sim, struct bytes text)
{
	char *copy = sim_alloc(sim, text.size + 1);
	memcpy(copy, text.at, text.size);
	return (struct bytes){ copy, text.size };
}

static void note(struct sim *sim, const struct watched *d, const struct wire *w, bool out, bool repeated)
{
	struct sim_call *call = d->call;
	if (!call)
		return;
	if (call->log_count == SIM_LOG_MAX) { /* of a long call, the beginning and the end */
		memmove(&call->log[SIM_LOG_MAX / 2], &call->log[SIM_LOG_MAX / 2 + LOG_DROPPED],
			(SIM_LOG_MAX / 2 - LOG_DROPPED) * sizeof *call->log);
		call->log_count -= LOG_DROPPED;
	}
	struct message_note *n = &call->log[call->log_count++];
	*n = (struct message_note){ .at_ns = sim->now_ns,
				    .out = out,
				    .callee_side = d->callee_side,
				    .cseq = w->cseq,
				    .repeated = repeated,
				    .status = w->is_request ? 0 : w->status,
				    .interval_s = w->interval_s,
				    .min_se_s = w->min_se_s,
				    .refresher = w->refresher };
	snprintf(n->method, sizeof n->method, "%.*s", TEXT(w->method));
}

void watch_lost(struct sim *sim, struct bytes datagram, bool to_node)
{
	struct wire w;
	struct watched *d = wire_read(datagram, &w) ? find(sim, w.call_id) : NULL;
	if (!d || !d->call || to_node || !d->call->log_count)
		return;
	d->call->log[d->call->log_count - 1].lost = true;
}

void watch_unheard(struct sim *sim, struct bytes datagram)
{
	struct wire w;
	const struct watched *d = wire_read(datagram, &w) ? find(sim, w.call_id) : NULL;
	struct sim_call *call = d && d->call              ? d->call
				: wire_read(datagram, &w) ? peer_call_of_id(sim, w.call_id)
							  : NULL;
	if (call)
		call->excused = true;
}

void watch_damaged(struct sim *sim, struct bytes datagram)
{
	struct wire w;
	struct watched *d = wire_read(datagram, &w) ? find_or_add(sim, w.call_id) : NULL;
	struct sim_call *call = d && d->call ? d->call : d ? peer_call_of_id(sim, w.call_id) : NULL;
	if (call)
		call->damaged = call->excused = true;
}

/* ---- in ---- */

static struct watched_dialog *dialog_of(struct watched *d, struct bytes tag)
{
	uint32_t wanted = tag.size ? hash(tag) : 0;
	for (unsigned i = 0; i < DIALOGS; i++) {
		struct watched_dialog *dialog = &d->dialogs[i];
		if (dialog->cseq && dialog->tag_hash == wanted)
			return dialog;
		if (!dialog->cseq) {
			dialog->tag_hash = wanted;
			dialog->cseq = i ? d->dialogs[0].cseq : 0;
			return dialog;
		}
	}
	return NULL;
}

static void request_in(struct sim *sim, const struct address *source, struct watched *d, const struct wire *w,
		       struct seen *seen)
{
	/* RFC 4028 7.3: after a 422 the caller begins anew, with a larger interval. */
	if (d->final_out == 422 && wire_method_is(w, "INVITE") && !w->to_tag.size && w->cseq > d->invite_cseq)
		d->invite_in_ns = d->final_out = 0;
	if (wire_method_is(w, "INVITE") && !d->invite_in_ns && !d->callee_side) {
		d->invite_in_ns = sim->now_ns;
		d->invite_in_us = sim_real_us(sim, sim->now_ns);
		d->invite_cseq = w->cseq;
	} else if (wire_method_is(w, "ACK") && w->cseq == d->invite_cseq && !d->ack_in_ns) {
		d->ack_in_ns = sim->now_ns;
	} else if (wire_method_is(w, "CANCEL") && w->cseq == d->invite_cseq && !d->cancel_in_ns) {
		d->cancel_in_ns = sim->now_ns;
	} else if (wire_method_is(w, "BYE") && !d->bye_in_ns) {
		const struct watched_dialog *dialog = dialog_of(d, w->from_tag);
		if (!d->callee_side || (dialog && !dialog->bye)) /* not the loser of a fork, on its way out */
			d->bye_in_ns = sim->now_ns;
	}
	const struct seen *ours = d->invite_out;
	if (!seen->text.size && wire_method_is(w, "INVITE") && ours && !ours->final_in && !sim->settings.mailbox)
		seen->glare = sim->now_ns < ours->at_ns + SIM_64T1 - SIM_S;
	struct switches *switches = d->callee_side || w->cseq != d->invite_cseq ? NULL : switches_of(sim, d->call);
	if (switches && wire_method_is(w, "INVITE") && !w->to_tag.size)
		switches_invite_in(sim, switches, w);
	else if (switches && wire_method_is(w, "CANCEL"))
		switches_cancel_in(switches);
	note(sim, d, w, false, seen->text.size > 0);
	if (seen->text.size)
		return;
	seen->text = keep(sim, w->text);
	seen->port = source->port;
	if (d->offers)
		offers_request(sim, d->offers, w, true);
	if (d->session && d->offers)
		d->session->offers = d->offers;
	if (d->session)
		session_request_in(sim, d->call, d->session, w, wire_method_is(w, "INVITE") && !w->to_tag.size,
				   &seen->session);
}

static void response_in(struct sim *sim, struct host *from, struct watched *d, const struct wire *w)
{
	char method[12];
	snprintf(method, sizeof method, "%.*s", TEXT(w->method));
	struct seen *request = find_seen(sim, '>', w->branch, method, false);
	bool initial = wire_method_is(w, "INVITE") && w->cseq == d->invite_cseq;
	note(sim, d, w, false, request && request->final_in);
	if (request && d->offers)
		offers_response(sim, d->offers, w, true);
	if (request && d->session)
		session_response_in(sim, d->call, d->session, w, initial && d->callee_side, &request->session);
	struct switches *switches = request && initial && d->callee_side ? switches_of(sim, d->call) : NULL;
	if (switches)
		switches_response_in(sim, switches, from, w);
	if (request)
		*(w->status < 200 ? &request->provisional : &request->final_in) = true;
	if (w->status >= 200 && wire_method_is(w, "INVITE"))
		d->final_in_ns = sim->now_ns;
	if (w->status < 200 || !d->callee_side)
		d->gone_in |= w->status == 481 || w->status == 408;
	else if (initial && w->status < 300 && !d->ok_in_ns) {
		d->ok_in_ns = sim->now_ns;
		d->ok_in_us = sim_real_us(sim, sim->now_ns);
	} else if (!initial)
		d->gone_in |= w->status == 481 || w->status == 408;
}

void watch_in(struct sim *sim, struct host *from, const struct address *source, struct bytes datagram, bool damaged)
{
	struct wire w;
	char method[12];
	if (damaged || !wire_read(datagram, &w))
		return;
	struct watched *d = find_or_add(sim, w.call_id);
	if (!d)
		return;
	if (!d->call && from->is_caller)
		d->call = peer_call_of_id(sim, w.call_id);
	if (!d->offers && d->call)
		d->offers = offers_new(sim, d->call);
	if (d->offers)
		offers_check(sim, d->offers);
	if (!d->session && from->is_caller && sim->settings.sessions)
		d->session = session_leg_new(sim, from, false);
	snprintf(method, sizeof method, "%.*s", TEXT(w.method));
	if (w.is_request)
		request_in(sim, source, d, &w, find_seen(sim, '<', w.branch, method, true));
	else
		response_in(sim, from, d, &w);
}

/* ---- out: requests ---- */

/* The machine was restarted, and the wall clock, by which the node measures over that, has jumped. */
static bool is_out_of_time(const struct sim *sim)
{
	return sim->machine > 1 && sim->counts.clock_steps;
}

static void check_bye(struct sim *sim, struct watched *d, struct watched_dialog *dialog)
{
	/* A 2xx that was under way to another process, and comes when the call is over, gets one of its own. */
	bool late = sim->boot > 1 && d->call && d->call->excused;
	if (dialog && dialog->bye && !late)
		sim_fail(sim, d->call, "rfc3261-15-one-bye", "a second BYE in the same dialog");
	if (dialog)
		dialog->bye = true;
	if (d->callee_side || sim->stopping)
		return;
	/* Killed while its 200 waited for a PRACK, and back when the time for the ACK was over. */
	if (!d->ok_out_ns && late)
		return;
	if (!d->ok_out_ns)
		sim_fail(sim, d->call, "rfc3261-15-early-bye", "BYE to a caller who was not answered");
	else if (!sim_is_blurred(sim) && !d->ack_in_ns && !d->bye_in_ns && !is_out_of_time(sim) &&
		 sim->boot == 1 && /* after a restart the time counts from the callee's 200 */
		 sim->now_ns + SIM_MS < d->ok_out_ns + SIM_64T1)
		sim_fail(sim, d->call, "rfc3261-15-bye-before-ack", "BYE to the caller before its ACK");
}

static bool same_routes(const struct wire *a, const struct wire *b)
{
	bool same = a->route_count == b->route_count;
	for (unsigned i = 0; same && i < a->route_count && i < WIRE_LIST_MAX; i++)
		same = bytes_equal(a->routes[i], b->routes[i]);
	return same;
}

static void check_cancel(struct sim *sim, struct watched *d, const struct wire *w)
{
	struct seen *invite = find_seen(sim, '>', w->branch, "INVITE", false);
	struct wire sent;
	if (!invite || !wire_read(invite->text, &sent)) {
		sim_fail(sim, d->call, "rfc3261-9.1", "CANCEL without its INVITE");
		return;
	}
	if (!invite->provisional && !sim->stopping)
		sim_fail(sim, d->call, "rfc3261-9.1", "CANCEL before a provisional response");
	if (sent.cseq != w->cseq || !bytes_equal(sent.uri, w->uri) || !bytes_equal(sent.from, w->from) ||
	    !bytes_equal(sent.to, w->to) || !bytes_equal(sent.via, w->via) || !same_routes(&sent, w))
		sim_fail(sim, d->call, "rfc3261-9.1",
			 "CANCEL differs from its INVITE in URI, Via, Route, From, To or CSeq");
}

static void check_request(struct sim *sim, struct watched *d, const struct wire *w)
{
	bool ack = wire_method_is(w, "ACK"), bye = wire_method_is(w, "BYE");
	if (wire_method_is(w, "CANCEL")) {
		check_cancel(sim, d, w);
		return;
	}
	static const char *const others[] = { "INVITE", "BYE", "UPDATE", "PRACK", "INFO", "MESSAGE", "OPTIONS" };
	struct watched_dialog *dialog = dialog_of(d, w->to_tag);
	struct seen *invite = find_seen(sim, '>', w->branch, "INVITE", false);
	bool of_failure = ack && invite && invite->final_in;
	for (unsigned i = 0; i < sizeof others / sizeof *others; i++)
		if (!of_failure && !wire_is(w->method, others[i]) && find_seen(sim, '>', w->branch, others[i], false))
			sim_fail(sim, d->call, "rfc3261-8.1.1.7", "branch %.*s of a %s is used again for %.*s",
				 TEXT(w->branch), others[i], TEXT(w->method));
	struct wire sent;
	/* After 64*T1 without a word the transaction was over (Timer B), and its ACK is a courtesy. */
	bool owed = of_failure && (invite->provisional || sim->now_ns < invite->at_ns + SIM_64T1) &&
		    !(sim->boot > 1 && d->call->excused); /* the INVITE may be of a process that was killed */
	if (owed && !sim_is_blurred(sim) && wire_read(invite->text, &sent) &&
	    !(bytes_equal(sent.uri, w->uri) && same_routes(&sent, w)))
		sim_fail(sim, d->call, "rfc3261-17.1.1.3", "ACK to %.*s, the INVITE went to %.*s", TEXT(w->uri),
			 TEXT(sent.uri));
	if (ack)
		return;
	if (bye)
		check_bye(sim, d, dialog);
	/* One that found no send room is seen only when it is repeated. */
	if (dialog && w->cseq <= dialog->cseq && !sim_is_blurred(sim))
		sim_fail(sim, d->call, "rfc3261-12.2.1.1", "CSeq %u of a %.*s after %u", w->cseq, TEXT(w->method),
			 dialog->cseq);
	if (dialog && w->cseq > dialog->cseq)
		dialog->cseq = w->cseq;
	if (d->recorded_ns && !bye && !sim_is_blurred(sim))
		sim_fail(sim, d->call, "dead-call", "%.*s of a call that has ended", TEXT(w->method));
}

/* What must be the same in each repetition: all of it, but for an ACK the target may have moved meanwhile, which for a
 * strict router is in the Route; or the dialog is no more, and the ACK made of the response alone. */
static struct bytes repeated_part(struct bytes text, const struct wire *w)
{
	static const char from[] = "\nFrom:";
	const char *line = wire_method_is(w, "ACK") ? memmem(text.at, text.size, from, sizeof from - 1) : NULL;
	return line ? (struct bytes){ line, text.size - (uint32_t)(line - text.at) } : text;
}

static void request_out(struct sim *sim, const struct host *to, struct watched *d, const struct wire *w)
{
	char method[12];
	snprintf(method, sizeof method, "%.*s", TEXT(w->method));
	/* The ACKs of two branches of a fork may share a branch, once in 16,384 times: they tell the dialogs apart. */
	char key[100];
	snprintf(key, sizeof key, "%s %.*s", method, TEXT(wire_method_is(w, "ACK") ? w->to_tag : BYTES_NONE));
	struct seen *seen = find_seen(sim, '>', w->branch, wire_method_is(w, "ACK") ? key : method, true);
	bool repeated = seen->text.size > 0;
	if (!to && !sim->counts.damaged)
		sim_fail(sim, d->call, "known-address", "a request to a host that does not exist");
	if (wire_method_is(w, "INVITE") && !w->to_tag.size && !d->call) {
		struct bytes user = w->uri;
		const char *at = memchr(user.at, '@', user.size);
		d->callee_side = true;
		d->invite_cseq = w->cseq;
		if (at && user.size > 4)
			d->call = peer_call_of_number(sim, (struct bytes){ user.at + 4, (uint32_t)(at - user.at - 4) });
	} else if (wire_method_is(w, "INVITE") && !w->to_tag.size) {
		d->invite_cseq = w->cseq;
	}
	note(sim, d, w, true, repeated);
	if (wire_method_is(w, "INVITE") && w->to_tag.size && d->callee_side && !d->ok_in_ns && d->call &&
	    !d->call->excused)
		sim_fail(sim, d->call, "rfc3261-8.1.1.2-to-tag", "an INVITE with a To tag, and nobody has answered");
	/* A damaged request may have been a call of its own, of the same Call-ID, and the record is that one's. */
	bool damaged = d->call && d->call->damaged;
	if (d->recorded_ns && !damaged && sim->now_ns > d->recorded_ns + QUIET_NS &&
	    sim->now_ns > d->final_in_ns + QUIET_NS)
		sim_fail(sim, d->call, "dead-call", "%s long after the call has ended", method);
	if (repeated) {
		/* A peer that has answered the next INVITE has had this ACK: what comes again is late, and any will do.
		 */
		bool outdated = wire_method_is(w, "ACK") && d->invite_out && d->invite_out->cseq > w->cseq &&
				d->invite_out->final_in;
		bool same = bytes_equal(repeated_part(seen->text, w), repeated_part(w->text, w));
		if (!same && !outdated && !(d->call && d->call->damaged))
			sim_fail(sim, d->call, "rfc3261-17.1.1.2", "%s %u differs from the first time it was sent",
				 method, w->cseq);
		sim->counts.retransmissions++;
		return;
	}
	struct switches *switches = d->callee_side ? switches_of(sim, d->call) : NULL;
	if (switches && wire_method_is(w, "INVITE") && !w->to_tag.size)
		switches_invite_out(sim, switches, to, w);
	else if (switches && wire_method_is(w, "CANCEL"))
		switches_cancel_out(switches, w);
	seen->text = keep(sim, w->text);
	seen->at_ns = sim->now_ns;
	seen->cseq = w->cseq;
	if (!d->offers && d->call)
		d->offers = offers_new(sim, d->call);
	if (d->offers)
		offers_request(sim, d->offers, w, false);
	if (wire_method_is(w, "INVITE"))
		d->invite_out = seen;
	if (!d->session && d->callee_side && to && sim->settings.sessions)
		d->session = session_leg_new(sim, to, true);
	if (d->callee_side)
		d->host = to;
	if (d->session && d->offers)
		d->session->offers = d->offers;
	if (d->session && d->call)
		session_request_out(sim, d->call, d->session, w, !w->to_tag.size, &seen->session);
	if (d->call && !d->call->damaged)
		check_request(sim, d, w);
}

/* ---- out: responses ---- */

/* All Vias come back, the topmost with where its request came from, and to there if it has rport (18.2.2, RFC 3581 4);
 * every host's is 5060 otherwise. */
static bool via_is_answered(const struct address *at, const struct seen *seen, const struct wire *request,
			    const struct wire *w)
{
	struct bytes rport, received, asked;
	char port[8], ip[ADDRESS_TEXT_MAX];
	bool same = bytes_equal(request->branch, w->branch) && request->via_count == w->via_count;
	for (unsigned i = 1; same && i < w->via_count && i < WIRE_LIST_MAX; i++)
		same = bytes_equal(request->vias[i], w->vias[i]);
	if (!wire_parameter(request->via, "rport", &asked))
		return same && at->port == 5060 && bytes_equal(request->via, w->via);
	snprintf(port, sizeof port, "%u", at->port);
	address_write_host(at, false, ip);
	return same && at->port == seen->port && wire_parameter(w->via, "rport", &rport) && wire_is(rport, port) &&
	       wire_parameter(w->via, "received", &received) && wire_is(received, ip);
}

/* 12.1.1: what makes a dialog says how it is reached. */
static bool routes_are_recorded(const struct wire *request, const struct wire *w)
{
	bool same = request->record_count == w->record_count;
	for (unsigned i = 0; same && i < w->record_count && i < WIRE_LIST_MAX; i++)
		same = bytes_equal(request->record_routes[i], w->record_routes[i]);
	return same;
}

/* What an answer says of its own, beside what it repeats of its request. */
static bool says_the_same(const struct wire *a, const struct wire *b)
{
	return a->has_interval == b->has_interval && a->interval_s == b->interval_s && a->refresher == b->refresher &&
	       a->timer_required == b->timer_required && a->has_min_se == b->has_min_se && a->min_se_s == b->min_se_s &&
	       bytes_equal(a->contact, b->contact) && bytes_equal(a->retry_after, b->retry_after) &&
	       bytes_equal(a->allow, b->allow) && bytes_equal(a->body, b->body);
}

/* On a stream, and where there was no room to keep the answer, the status has to do. */
static bool repeats_answer(const struct sim *sim, const struct seen *seen, const struct wire *w)
{
	struct wire first;
	return sim->settings.reliable || sim_is_blurred(sim) || !wire_read(seen->answer, &first) ||
	       says_the_same(&first, w);
}

static void check_response(struct sim *sim, const struct address *at, struct watched *d, const struct wire *w,
			   struct seen *seen)
{
	struct wire request;
	bool read = wire_read(seen->text, &request);
	assert(read);
	if (!bytes_equal(request.from, w->from) || !bytes_equal(request.cseq_line, w->cseq_line) ||
	    w->to.size < request.to.size || memcmp(w->to.at, request.to.at, request.to.size) != 0 ||
	    (request.to_tag.size && !bytes_equal(request.to, w->to)) || (w->status > 100 && !w->to_tag.size) ||
	    !via_is_answered(at, seen, &request, w))
		sim_fail(sim, d->call, "rfc3261-8.2.6.2", "%u to %.*s does not repeat its request: %.*s", w->status,
			 TEXT(w->method), TEXT(w->text));
	if (wire_method_is(w, "INVITE") && !request.to_tag.size && w->status > 100 && w->status < 300 &&
	    !routes_are_recorded(&request, w))
		sim_fail(sim, d->call, "rfc3261-12.1.1", "%u does not record the route of its INVITE: %.*s", w->status,
			 TEXT(w->text));
	bool unordered = seen->status == 500 && w->status == 481; /* out of order, and then the dialog was gone */
	unordered |=
		seen->status == 503 && sim_is_blurred(sim); /* refused without remembering, and then there was room */
	if (seen->status && w->status != seen->status && !unordered)
		sim_fail(sim, d->call, "same-answer", "%.*s was answered %u and then %u", TEXT(w->method), seen->status,
			 w->status);
	else if (seen->status && !wire_is(w->to_tag, seen->to_tag) && !unordered)
		sim_fail(sim, d->call, "same-answer", "%u to %.*s with To tag %s and then %.*s", w->status,
			 TEXT(w->method), seen->to_tag, TEXT(w->to_tag));
	else if (seen->status && !unordered && !repeats_answer(sim, seen, w))
		sim_fail(sim, d->call, "same-answer", "%.*s was answered \"%.*s\" and then \"%.*s\"", TEXT(w->method),
			 TEXT(seen->answer), TEXT(w->text));
}

/* The answered leg is the one whose 200 came last. */
static void begin_session(struct sim *sim, struct watched *caller)
{
	struct watched *best = NULL;
	for (const struct ua *ua = caller->call ? caller->call->callees : NULL; ua; ua = ua->next_of_call) {
		struct watched *d = find(sim, bytes_of(ua->call_id));
		if (d && d->ok_in_ns && d->session && d->session->began && (!best || d->ok_in_ns > best->ok_in_ns))
			best = d;
	}
	if (best && caller->session)
		session_begin(sim, caller->call, caller->session, best->session, best->host);
}

static void response_out(struct sim *sim, const struct address *at, struct watched *d, const struct wire *w)
{
	char method[12];
	snprintf(method, sizeof method, "%.*s", TEXT(w->method));
	struct seen *seen = find_seen(sim, '<', w->branch, method, false);
	bool initial = !d->callee_side && wire_method_is(w, "INVITE") && w->cseq == d->invite_cseq;
	note(sim, d, w, true, seen && seen->status);
	if (d->call ? d->call->damaged : sim->counts.damaged > 0)
		return;
	if (!seen) {
		if (d->call)
			sim_fail(sim, d->call, "answer-to-nothing", "%u to a %s that never came", w->status, method);
		return;
	}
	if (w->status == 503 && w->retry_after.size && initial && !d->trying_out) {
		/* Refused without remembering: if it comes again, it may find room.  One that was told 100 is a call,
		 * over the rate limit of its gateway. */
		sim->counts.refused_full++;
		d->invite_in_ns = 0;
		if (d->call)
			d->call->excused = true;
		return;
	}
	sim->counts.refused_rate += w->status == 503 && w->retry_after.size && initial && !seen->status;
	check_response(sim, at, d, w, seen);
	struct switches *switches = initial ? switches_of(sim, d->call) : NULL;
	if (switches)
		switches_response_out(sim, switches, w);
	if (w->status == 481 && wire_method_is(w, "BYE") &&
	    (d->callee_side ? !d->recorded_ns : !d->ok_out_ns || !d->ack_in_ns))
		d->bye_in_ns = 0; /* of an early dialog that was no more, or of a fork's loser: the call goes on */
	if (d->offers)
		offers_response(sim, d->offers, w, false);
	if (seen->glare && w->status < 300 && w->status > 100)
		sim_fail(sim, d->call, "rfc3261-14.2", "%u to an INVITE while one of ours was open", w->status);
	if (initial && w->status >= 200 && w->status < 300 && !d->ok_out_ns)
		begin_session(sim, d);
	if (d->session)
		session_response_out(sim, d->call, d->session, w, initial, &seen->session);
	if (w->status >= 200) {
		if (!seen->status && !wire_method_is(w, "INVITE"))
			seen->answer = keep(sim, w->text);
		seen->status = w->status;
		snprintf(seen->to_tag, sizeof seen->to_tag, "%.*s", TEXT(w->to_tag));
	}
	if (initial) {
		d->trying_out = true;
		if (w->status >= 200 && !d->final_out)
			d->final_out = w->status;
		if (w->status >= 200 && w->status < 300 && !d->ok_out_ns)
			d->ok_out_ns = sim->now_ns;
	}
}

void watch_out(struct sim *sim, const struct host *to, const struct address *at, struct bytes datagram)
{
	struct wire w;
	if (!wire_read(datagram, &w)) {
		/* An answer to something that could hardly be read may lack a header. */
		if (!sim->counts.damaged && !sim->counts.garbage)
			sim_fail(sim, NULL, "whole-message", "the node sends \"%.*s\"", TEXT(datagram));
		return;
	}
	struct watched *d = find_or_add(sim, w.call_id);
	if (!d)
		return;
	if (w.is_request)
		request_out(sim, to, d, &w);
	else
		response_out(sim, at, d, &w);
}

/* ---- killed ---- */

/* Its requests without an answer it does not know any more, nor what it told whom; but all that it sends from now on is
 * of dialogs that it carries on, or new. */
static void forget_watched(struct watched *d)
{
	d->offers = NULL;
	d->invite_out = NULL;
	if (d->session)
		d->session->loose = true;
	if (d->session)
		d->session->offers = NULL;
	for (unsigned i = 0; i < DIALOGS; i++)
		d->dialogs[i].bye = false;
}

/* What it answered inside a dialog: a request that comes again is taken anew. */
static void forget_seen(struct seen *seen)
{
	struct wire w;
	seen->glare = false;
	if (seen->status && wire_read(seen->text, &w) && w.to_tag.size)
		seen->status = 0;
}

void watch_killed(struct sim *sim)
{
	for (unsigned i = 0; i < sim->host_count; i++)
		sim->hosts[i].rests_until_ns = 0; /* who asked for a rest is not remembered */
	for (unsigned i = 0; i < HEADS; i++) {
		for (struct watched *d = sim->watch->watched[i]; d; d = d->next)
			forget_watched(d);
		for (struct seen *seen = sim->watch->seen[i]; seen; seen = seen->next)
			forget_seen(seen);
	}
	for (struct sim_call *call = sim->calls; call; call = call->next) {
		const struct watched *a = find(sim, bytes_of(call->call_id));
		bool long_over = a && a->recorded_ns && sim->now_ns > a->recorded_ns + 3 * SIM_64T1;
		if (!call->carried && !long_over) /* it may answer for it in another way than before, or not at all */
			call->damaged = call->excused = true;
		if (call->carried)
			call->excused = true;
	}
}

/* ---- records ---- */

static struct bytes bytes_of_text(struct cdr_text text)
{
	return (struct bytes){ text.at, text.size };
}

/* Moments agree: exactly, or but for the time a mailbox takes.  Over a restart of the machine the wall clock is all
 * there is, in microseconds, and right or wrong. */
static bool agrees(const struct sim *sim, int64_t is_us, int64_t should_us)
{
	int64_t slack_us = (sim->settings.mailbox ? 200 : 0) + (sim->machine > 1 ? 2 : 0);
	if (is_out_of_time(sim))
		return true;
	return is_us >= should_us - slack_us && is_us <= should_us + slack_us;
}

static void check_answered(struct sim *sim, const struct sim_cdr *record, const struct watched *a,
			   const struct watched *b)
{
	const struct cdr *cdr = &record->cdr;
	if (!b || !b->ok_in_ns) {
		sim_fail(sim, record->call, "cdr-truth", "connected, but there was no 200");
		return;
	}
	uint64_t bye_ns = a->bye_in_ns && (!b->bye_in_ns || a->bye_in_ns < b->bye_in_ns) ? a->bye_in_ns : b->bye_in_ns;
	if (!agrees(sim, cdr->connect_us, b->ok_in_us) && !sim_is_blurred(sim))
		sim_fail(sim, record->call, "cdr-connect", "connect_us %lld, the 200 came at %lld",
			 (long long)cdr->connect_us, (long long)b->ok_in_us);
	if (cdr->end_us - cdr->connect_us < cdr->hold_ms * 1000 ||
	    cdr->end_us - cdr->connect_us > cdr->hold_ms * 1000 + 999)
		sim_fail(sim, record->call, "cdr-hold", "hold_ms %lld, but end_us - connect_us is %lld",
			 (long long)cdr->hold_ms, (long long)(cdr->end_us - cdr->connect_us));
	/* With a BYE of the node that found no send room, that of a fork looks like the winner's. */
	if (cdr->end_reason == CDR_END_normal && !sim_is_blurred(sim)) {
		bool by_caller = bye_ns == a->bye_in_ns;
		if (!bye_ns ||
		    (!sim->settings.mailbox && sim->machine == 1 &&
		     cdr->hold_ms != (int64_t)((bye_ns - b->ok_in_ns) / SIM_MS)) ||
		    !agrees(sim, cdr->end_us - cdr->connect_us, (int64_t)(bye_ns - b->ok_in_ns) / 1000))
			sim_fail(sim, record->call, "cdr-hold", "hold_ms %lld, 200 to BYE took %lld us",
				 (long long)cdr->hold_ms, (long long)(bye_ns - b->ok_in_ns) / 1000);
		if (!sim->settings.mailbox && a->bye_in_ns != b->bye_in_ns &&
		    cdr->end_side != (by_caller ? CDR_SIDE_CALLER : CDR_SIDE_CALLEE))
			sim_fail(sim, record->call, "cdr-side", "end_side %s", cdr_side_name(cdr->end_side));
	}
	/* The 200 to the caller may have waited for a PRACK, or its first sending found no room; after a restart the
	 * time may count from the callee's all the same. */
	uint64_t waited_ns = a->ok_out_ns > b->ok_in_ns ? a->ok_out_ns - b->ok_in_ns : 0;
	int64_t unacked_ms = (int64_t)((SIM_64T1 + waited_ns) / SIM_MS);
	int64_t least_ms = sim_is_blurred(sim) || sim->boot > 1 ? (int64_t)(SIM_64T1 / SIM_MS) : unacked_ms;
	if (cdr->end_reason == CDR_END_ack_missing && !a->ack_in_ns &&
	    (cdr->hold_ms < least_ms || cdr->hold_ms > unacked_ms + 1))
		sim_fail(sim, record->call, "cdr-hold", "no ACK, but hold_ms %lld", (long long)cdr->hold_ms);
	/* One that is silent to OPTIONS may still refuse one that an INVITE has overtaken, and has then answered once.
	 */
	const struct timer_script *timers = record->call->script.timers;
	bool probed = sim->config->parameters.RW_NO_TIMER_PROBE_INTERVAL > 0;
	bool dead = peer_somebody_died(record->call) || (probed && (timers[0].no_options || timers[1].no_options));
	if (cdr->end_reason == CDR_END_dialog_lost && !a->gone_in && !b->gone_in && !dead && !record->call->excused)
		sim_fail(sim, record->call, "cdr-reason", "dialog_lost, but nobody said so");
	if (cdr->sip_code != 200)
		sim_fail(sim, record->call, "cdr-code", "connected, but sip_code %u", cdr->sip_code);
	if (cdr->end_reason == CDR_END_cancelled ||
	    (cdr->end_reason >= CDR_END_no_route && cdr->end_reason <= CDR_END_setup_timeout))
		sim_fail(sim, record->call, "cdr-reason", "connected, but %s", cdr_end_reason_name(cdr->end_reason));
}

static void check_unanswered(struct sim *sim, const struct sim_cdr *record, const struct watched *a)
{
	const struct cdr *cdr = &record->cdr;
	if (cdr->connect_us || cdr->hold_ms)
		sim_fail(sim, record->call, "cdr-truth", "unanswered with hold_ms %lld", (long long)cdr->hold_ms);
	if (cdr->end_us < cdr->start_us)
		sim_fail(sim, record->call, "cdr-truth", "ends before it starts");
	if (cdr->end_reason == CDR_END_cancelled && !a->cancel_in_ns && !a->bye_in_ns)
		sim_fail(sim, record->call, "cdr-reason", "cancelled, but nobody did");
	if (a->ok_out_ns && cdr->end_reason != CDR_END_cancelled)
		sim_fail(sim, record->call, "cdr-truth", "the caller has its 200, the record says unanswered");
}

void watch_cdr(struct sim *sim, struct sim_cdr *record)
{
	const struct cdr *cdr = &record->cdr;
	struct watched *a = find(sim, bytes_of_text(cdr->call_id_a));
	struct watched *b = cdr->call_id_b.size ? find(sim, bytes_of_text(cdr->call_id_b)) : NULL;
	record->call = a ? a->call : NULL;
	if (!record->call) {
		if (!sim->counts.damaged)
			sim_fail(sim, NULL, "cdr-of-a-call", "a CDR of %.*s, which nobody called",
				 TEXT(cdr->call_id_a));
		return;
	}
	if (a)
		a->recorded_ns = sim->now_ns;
	if (b)
		b->recorded_ns = sim->now_ns;
	record->call->cdr = record;
	sim->counts.capped += cdr->end_reason == CDR_END_no_timer_cap || cdr->end_reason == CDR_END_max_duration;
	sim->counts.timed_out += cdr->end_reason >= CDR_END_timeout_invite && cdr->end_reason <= CDR_END_setup_timeout;
	sim->counts.full += cdr->end_reason == CDR_END_capacity;
	sim->counts.refused_credit += cdr->end_reason == CDR_END_no_balance;
	sim->counts.credit_ended += cdr->end_reason == CDR_END_balance_exhausted;
	/* An INVITE that was damaged on its way may be another call of the same Call-ID. */
	if (++record->call->cdr_count > 1 && (!record->call->damaged || record->call->promised))
		sim_fail(sim, record->call, "one-cdr-a-call", "a second CDR, %s", cdr_end_reason_name(cdr->end_reason));
	if (record->call->damaged)
		return;
	if (!agrees(sim, cdr->start_us, a->invite_in_us) && !sim_is_blurred(sim))
		sim_fail(sim, record->call, "cdr-start", "start_us %lld, the INVITE came at %lld",
			 (long long)cdr->start_us, (long long)a->invite_in_us);
	if (cdr->connect_us)
		check_answered(sim, record, a, b);
	else
		check_unanswered(sim, record, a);
	session_cdr(sim, record);
	struct switches *switches = switches_of(sim, record->call);
	if (switches)
		switches_cdr(sim, switches, cdr);
}

void watch_check_end(struct sim *sim)
{
	for (struct sim_call *call = sim->calls; call; call = call->next) {
		const struct watched *a = find(sim, bytes_of(call->call_id));
		if (call->promised && !call->cdr)
			sim_fail(sim, call, "one-cdr-a-call", "answered and written down, but there is no CDR");
		if (call->damaged || !a)
			continue;
		if (a->final_out && !call->cdr && a->final_out < 300)
			sim_fail(sim, call, "one-cdr-a-call", "answered, but there is no CDR");
		if (call->cdr && !call->cdr->cdr.connect_us && call->cdr->cdr.end_reason != CDR_END_cancelled &&
		    a->final_out && call->cdr->cdr.sip_code != a->final_out)
			sim_fail(sim, call, "cdr-code", "sip_code %u, the caller was told %u", call->cdr->cdr.sip_code,
				 a->final_out);
		if (call->cdr && a->invite_in_ns && !a->final_out && !call->excused)
			sim_fail(sim, call, "every-request-is-answered", "no final response to the caller's INVITE");
	}
}

/* ---- what tests ask ---- */

static bool matches(const struct message_note *n, enum way way, const char *what)
{
	char text[32];
	if (n->out != (way == OUT_A || way == OUT_B) || n->callee_side != (way == IN_B || way == OUT_B))
		return false;
	if (n->status)
		snprintf(text, sizeof text, "%u %s", n->status, n->method);
	else
		snprintf(text, sizeof text, "%s", n->method);
	return strcmp(text, what) == 0;
}

static unsigned count(const struct sim_call *call, enum way way, const char *what, bool repeated)
{
	unsigned n = 0;
	for (unsigned i = 0; i < call->log_count; i++)
		n += matches(&call->log[i], way, what) && call->log[i].repeated == repeated;
	return n;
}

unsigned sim_seen(const struct sim_call *call, enum way way, const char *what)
{
	return count(call, way, what, false);
}

unsigned sim_seen_again(const struct sim_call *call, enum way way, const char *what)
{
	return count(call, way, what, true);
}

uint64_t sim_seen_ns(const struct sim_call *call, enum way way, const char *what, unsigned n)
{
	for (unsigned i = 0; i < call->log_count; i++)
		if (matches(&call->log[i], way, what) && n-- == 0)
			return call->log[i].at_ns;
	return 0;
}

void sim_print_message(const struct message_note *n, uint64_t start_ns, const char *before, void *file)
{
	char text[32], timer[40] = "";
	snprintf(text, sizeof text, n->status ? "%u %s" : "%.0u%s", n->status, n->method);
	if (n->interval_s || n->min_se_s)
		snprintf(timer, sizeof timer, "  %u ua%c, least %u", n->interval_s, n->refresher ? n->refresher : '-',
			 n->min_se_s);
	fprintf(file, "%12.6f  %s%-6s %s %-14s %u%s%s%s\n", (double)(n->at_ns - start_ns) / 1e9, before,
		n->callee_side ? "callee" : "caller", n->out ? "<- " : " ->", text, n->cseq, timer,
		n->repeated ? "  again" : "", n->lost ? "  lost" : "");
}

void sim_print_record(const struct sim_call *call, void *file)
{
	if (call->cdr)
		fprintf(file, "  CDR: %s by %s, code %u, hold %lld ms\n",
			cdr_end_reason_name(call->cdr->cdr.end_reason), cdr_side_name(call->cdr->cdr.end_side),
			call->cdr->cdr.sip_code, (long long)call->cdr->cdr.hold_ms);
}

void sim_print_call(const struct sim *sim, const struct sim_call *call, void *file)
{
	uint64_t start_ns = call->log_count ? call->log[0].at_ns : 0;
	fprintf(file, "call %u, %s%s\n", call->serial, call->call_id, call->damaged ? ", damaged on its way" : "");
	for (unsigned i = 0; i < call->log_count; i++)
		sim_print_message(&call->log[i], start_ns, "", file);
	sim_print_record(call, file);
	(void)sim;
}

void sim_print_failure(const struct sim *sim, void *file)
{
	const struct sim_call *call = sim->failure_call;
	uint64_t from_ns = call && call->log_count ? call->log[0].at_ns : 0;
	fprintf(file, "%s at %.6f: %s\n", sim->failure_check, (double)(sim->failure_ns - from_ns) / 1e9, sim->failure);
	if (sim->failure_call)
		sim_print_call(sim, sim->failure_call, file);
}
