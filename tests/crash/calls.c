#include "tests/crash/calls.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define T2_NS          (4 * CALLS_S)
#define SETUP_NS       (15 * CALLS_S) /* then the caller cancels */
#define ACK_PATIENCE   20             /* times T1: then the callee, whose 200 nobody acknowledges, sends BYE */
#define PROBE_EVERY_NS (5 * CALLS_MS)
#define NAME_BYTES     128

enum what {
	SEND_REQUEST_AGAIN,
	SEND_BYE_AGAIN,
	SEND_ANSWER_AGAIN,
	GIVE_UP,
	CANCEL_IT,
	ANSWER,
	ACKNOWLEDGE,
	HANG_UP,
	REFRESH,
	EXPIRE,
	MISS_BYE,
	WHATS
};

enum leg_state { LEG_NONE, LEG_EARLY, LEG_UP, LEG_OVER };

/* What is sent again until it is answered: a client transaction (RFC 3261 17.1), or the 2xx of an INVITE (13.3.1.4). */
struct repeat {
	char *text; /* NULL: nothing */
	size_t size;
	enum method method;
	uint32_t cseq;
	uint64_t wait_ns, ends_ns;
	bool probe;
};

struct leg {
	enum leg_state state;
	char call_id[NAME_BYTES], remote_tag[NAME_BYTES], target[NAME_BYTES];
	uint32_t cseq, remote_cseq;
	enum method remote_method;
	struct repeat request, bye, answer; /* bye: also CANCEL */
	bool cancelled;                     /* CANCEL was sent */
	uint32_t interval_s;                /* 0: no session timer */
	bool mine;                          /* we refresh */
	uint32_t stamps[WHATS];
};

enum timer_script { NO_TIMER, TIMER_OURS, TIMER_THEIRS };

struct script {
	enum timer_script timers[SIDES];
	bool by_update; /* refreshes of ours; else re-INVITE */
	bool lists_update;
	bool enders[SIDES];
	unsigned refusal; /* of the callee; 0: it answers */
	bool cancels;
	uint64_t answer_ns, ack_ns, hold_ns;
};

struct call {
	uint32_t serial;
	struct script script;
	struct call_truth truth;
	struct leg *legs[SIDES]; /* NULL: settled */
	bool is_up;              /* counted as up */
};

struct calls {
	struct calls_settings settings;
	struct agenda agenda;
	struct call **calls;
	uint32_t count, room, settled, up;
	uint64_t random;
	struct {
		unsigned count;
		uint32_t beacon; /* call asked first */
		struct probe_result result;
	} probe;
};

static const char sides[] = { 'a', 'b' };

/* ---- odds and ends ---- */

static uint64_t draw(struct calls *c)
{
	uint64_t z = c->random += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t below(struct calls *c, uint64_t limit)
{
	return limit ? draw(c) % limit : 0;
}

static bool percent(struct calls *c, unsigned chance)
{
	return below(c, 100) < chance;
}

static void *need(void *memory)
{
	if (!memory) {
		fprintf(stderr, "load: out of memory\n");
		exit(2);
	}
	return memory;
}

static void arm(struct calls *c, struct call *call, enum side side, enum what what, uint64_t at_ns)
{
	uint32_t stamp = ++call->legs[side]->stamps[what];
	agenda_add(&c->agenda, (struct moment){ at_ns, call->serial, (uint8_t)side, (uint8_t)what, stamp });
}

static void disarm(struct call *call, enum side side, enum what what)
{
	call->legs[side]->stamps[what]++;
}

static struct sending transmit(const struct calls *c, enum side side, const char *at, size_t size)
{
	return c->settings.send(c->settings.context, side, at, size);
}

static void forget(struct repeat *r)
{
	free(r->text);
	*r = (struct repeat){ 0 };
}

static enum what again_of(const struct leg *leg, const struct repeat *r)
{
	return r == &leg->request ? SEND_REQUEST_AGAIN : r == &leg->bye ? SEND_BYE_AGAIN : SEND_ANSWER_AGAIN;
}

/* Sends it, and goes on doing so. */
static struct sending begin_repeat(struct calls *c, struct call *call, enum side side, uint64_t now_ns,
				   struct repeat *r, const struct page *p, enum method method, uint32_t cseq)
{
	forget(r);
	r->text = need(malloc(p->size));
	memcpy(r->text, p->text, p->size);
	r->size = p->size;
	r->method = method;
	r->cseq = cseq;
	r->wait_ns = c->settings.t1_ns;
	r->ends_ns = now_ns + 64 * c->settings.t1_ns;
	arm(c, call, side, again_of(call->legs[side], r), now_ns + r->wait_ns);
	return transmit(c, side, r->text, r->size);
}

static void end_repeat(struct call *call, enum side side, struct repeat *r)
{
	disarm(call, side, again_of(call->legs[side], r));
	forget(r);
}

/* ---- what a call is to be ---- */

static void write_script(struct calls *c, struct script *s)
{
	const struct calls_settings *settings = &c->settings;
	double span = (double)(settings->hold_max_ns - settings->hold_min_ns);
	double share = (double)below(c, 1000000) / 1e6;
	bool by_log = percent(c, 50) && settings->hold_min_ns;
	double logarithm = log((double)settings->hold_max_ns / (double)(settings->hold_min_ns + 1));
	unsigned ender = (unsigned)below(c, 100);
	s->hold_ns = by_log ? (uint64_t)((double)settings->hold_min_ns * exp(share * logarithm))
			    : settings->hold_min_ns + (uint64_t)(share * span);
	s->timers[CALLER] = (enum timer_script)below(c, 3);
	s->timers[CALLEE] = percent(c, 30) ? NO_TIMER : percent(c, 30) ? TIMER_OURS : TIMER_THEIRS;
	s->by_update = percent(c, 50);
	s->lists_update = percent(c, 60);
	s->enders[CALLER] = ender < 51;
	s->enders[CALLEE] = ender >= 49;
	s->answer_ns = (20 + below(c, 480)) * CALLS_MS;
	if (settings->plain)
		return;
	s->ack_ns = percent(c, 5) ? (200 + below(c, 2000)) * CALLS_MS : 0;
	s->refusal = percent(c, 3) ? 486 : 0;
	s->cancels = percent(c, 2);
}

/* ---- writing ---- */

static void add_sdp(const struct calls *c, const struct call *call, enum side side, struct page *p)
{
	char sdp[256];
	snprintf(sdp, sizeof sdp,
		 "v=0\r\no=- %u 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
		 "m=audio %u RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n",
		 call->serial * 2 + (unsigned)side, 30000 + (call->serial % 10000) * 2);
	(void)c;
	page_end(p, sdp);
}

static void add_own(const struct calls *c, const struct call *call, enum side side, struct page *p)
{
	page_add(p, "Contact: <sip:%c%u@%s>\r\n", sides[side], call->serial, c->settings.peers[side]);
	page_add(p, "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS%s\r\n", call->script.lists_update ? ", UPDATE" : "");
}

static void begin_request(const struct calls *c, const struct call *call, enum side side, struct page *p,
			  enum method method, uint32_t cseq)
{
	const struct leg *leg = call->legs[side];
	const char *name = method_names[method], *address = c->settings.peers[side];
	/* The ACK of a 2xx is a transaction of its own; a CANCEL has the branch of its INVITE (RFC 3261 9.1). */
	const char *branch = method == CANCEL ? "INVITE" : name;
	page_add(p, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%c%u.%u.%s;rport\r\n", name, leg->target,
		 address, sides[side], call->serial, cseq, branch);
	page_add(p, "Max-Forwards: 70\r\nFrom: <sip:%c%u@%s>;tag=%c%u\r\n", sides[side], call->serial, address,
		 sides[side], call->serial);
	page_add(p, "To: <sip:%u@%s>", 880000000 + call->serial, c->settings.node);
	if (leg->remote_tag[0] && method != CANCEL)
		page_add(p, ";tag=%s", leg->remote_tag);
	page_add(p, "\r\nCall-ID: %s\r\nCSeq: %u %s\r\n", leg->call_id, cseq, name);
}

/* Session-Expires of a request of ours (RFC 4028 7.1): refresher=uac is we. */
static void add_timer(struct page *p, uint32_t interval_s, bool mine)
{
	page_add(p, "Supported: timer\r\nSession-Expires: %u;refresher=%s\r\n", interval_s, mine ? "uac" : "uas");
}

static void begin_response(const struct message *m, enum side side, const struct call *call, struct page *p,
			   unsigned status, const char *reason)
{
	page_add(p, "SIP/2.0 %u %s\r\n%.*s%.*s", status, reason, SHOW(m->vias), SHOW(m->from));
	if (m->to_tag.size || status == 100)
		page_add(p, "%.*s", SHOW(m->to));
	else
		page_add(p, "%.*s;tag=%c%u\r\n", (int)m->to.size - 2, m->to.at, sides[side], call->serial);
	page_add(p, "%.*s%.*s", SHOW(m->call_id), SHOW(m->cseq_line));
}

static void respond(const struct calls *c, const struct message *m, enum side side, const struct call *call,
		    unsigned status, const char *reason)
{
	struct page p = { .size = 0 };
	begin_response(m, side, call, &p, status, reason);
	page_end(&p, "");
	transmit(c, side, p.text, p.size);
}

static void acknowledge(const struct calls *c, const struct call *call, enum side side, uint32_t cseq)
{
	struct page p = { .size = 0 };
	begin_request(c, call, side, &p, ACK, cseq);
	page_end(&p, "");
	transmit(c, side, p.text, p.size);
}

/* The ACK of a refusal is of the INVITE's transaction (RFC 3261 17.1.1.3). */
static void acknowledge_refusal(const struct calls *c, const struct call *call, enum side side, const struct message *m)
{
	struct page p = { .size = 0 };
	page_add(&p, "ACK %s SIP/2.0\r\n%.*sMax-Forwards: 70\r\n%.*s%.*s%.*sCSeq: %u ACK\r\n", call->legs[side]->target,
		 SHOW(m->vias), SHOW(m->from), SHOW(m->to), SHOW(m->call_id), m->cseq);
	page_end(&p, "");
	transmit(c, side, p.text, p.size);
}

/* ---- ends ---- */

static void note_up(struct calls *c, struct call *call)
{
	bool is_up = call->legs[CALLER] && call->legs[CALLER]->state == LEG_UP && call->legs[CALLEE]->state == LEG_UP;
	c->up += (uint32_t)is_up - (uint32_t)call->is_up;
	call->is_up = is_up;
}

static bool leg_is_done(const struct leg *leg)
{
	return leg->state == LEG_NONE || (leg->state == LEG_OVER && !leg->bye.text && !leg->answer.text);
}

static void settle(struct calls *c, struct call *call)
{
	if (!call->legs[CALLER] || !leg_is_done(call->legs[CALLER]) || !leg_is_done(call->legs[CALLEE]))
		return;
	for (enum side side = CALLER; side < SIDES; side++) {
		forget(&call->legs[side]->request);
		free(call->legs[side]);
		call->legs[side] = NULL;
	}
	c->settled++;
}

/* The peer takes its side of the call to be over. */
static void leg_over(struct calls *c, struct call *call, enum side side, uint64_t now_ns)
{
	struct leg *leg = call->legs[side], *other = call->legs[!side];
	if (leg->state == LEG_OVER)
		return;
	leg->state = LEG_OVER;
	for (enum what what = GIVE_UP; what < WHATS; what++)
		disarm(call, side, what);
	if (leg->request.text)
		end_repeat(call, side, &leg->request);
	if (leg->answer.text)
		end_repeat(call, side, &leg->answer);
	note_up(c, call);
	if (other->state != LEG_NONE && other->state != LEG_OVER)
		arm(c, call, !side, MISS_BYE, now_ns + c->settings.patience_ns);
}

static void send_bye(struct calls *c, struct call *call, enum side side, uint64_t now_ns)
{
	struct leg *leg = call->legs[side];
	struct side_truth *truth = &call->truth.sides[side];
	struct page p = { .size = 0 };
	if (leg->bye.text)
		end_repeat(call, side, &leg->bye); /* a CANCEL that came too late */
	begin_request(c, call, side, &p, BYE, ++leg->cseq);
	page_end(&p, "");
	truth->byes[truth->bye_count++] = begin_repeat(c, call, side, now_ns, &leg->bye, &p, BYE, leg->cseq);
	leg_over(c, call, side, now_ns);
}

/* ---- session timers ---- */

/* The session was confirmed: by a 2xx to a refresh of either (RFC 4028 10). */
static void confirm(struct calls *c, struct call *call, enum side side, uint64_t now_ns)
{
	struct leg *leg = call->legs[side];
	uint64_t interval_ns = leg->interval_s * CALLS_S;
	disarm(call, side, REFRESH);
	disarm(call, side, EXPIRE);
	if (!interval_ns || leg->state != LEG_UP)
		return;
	if (leg->mine)
		arm(c, call, side, REFRESH, now_ns + interval_ns / 2 - below(c, interval_ns / 20));
	else
		arm(c, call, side, EXPIRE, now_ns + interval_ns);
}

static void send_refresh(struct calls *c, struct call *call, enum side side, uint64_t now_ns, enum method method)
{
	struct leg *leg = call->legs[side];
	struct page p = { .size = 0 };
	begin_request(c, call, side, &p, method, ++leg->cseq);
	add_own(c, call, side, &p);
	if (leg->interval_s)
		add_timer(&p, leg->interval_s, leg->mine);
	if (method == INVITE)
		add_sdp(c, call, side, &p);
	else
		page_end(&p, "");
	begin_repeat(c, call, side, now_ns, &leg->request, &p, method, leg->cseq);
}

/* ---- the probe ---- */

static void probe_answered(struct calls *c, struct call *call, uint64_t now_ns, unsigned status)
{
	struct probe_result *r = &c->probe.result;
	r->answered++;
	r->refused += status >= 300;
	r->last_ns = now_ns;
	if (call->serial != c->probe.beacon || r->first_ns)
		return;
	r->first_ns = now_ns;
	for (unsigned tries = 0; r->asked < c->probe.count && tries < 20 * c->probe.count; tries++) {
		struct call *other = c->calls[below(c, c->count)];
		if (!other->is_up || other->legs[CALLER]->request.probe || other->legs[CALLER]->bye.probe)
			continue;
		struct leg *leg = other->legs[CALLER];
		if (r->asked++ % 2) {
			send_bye(c, other, CALLER, now_ns);
			leg->bye.probe = true;
		} else {
			send_refresh(c, other, CALLER, now_ns, UPDATE);
			leg->request.probe = true;
		}
	}
}

void calls_probe(struct calls *c, uint64_t now_ns, unsigned count)
{
	c->probe.count = count;
	c->probe.result = (struct probe_result){ 0 };
	for (unsigned tries = 0; tries < 1000000 && c->count; tries++) {
		struct call *call = c->calls[below(c, c->count)];
		if (!call->is_up)
			continue;
		c->probe.beacon = call->serial;
		send_refresh(c, call, CALLER, now_ns, UPDATE);
		call->legs[CALLER]->request.probe = true;
		call->legs[CALLER]->request.wait_ns = PROBE_EVERY_NS;
		c->probe.result.asked = 1;
		return;
	}
}

struct probe_result calls_probed(const struct calls *c)
{
	return c->probe.result;
}

/* ---- the caller ---- */

void calls_place(struct calls *c, uint64_t now_ns)
{
	if (c->count == c->room) {
		c->room = c->room ? 2 * c->room : 4096;
		c->calls = need(realloc(c->calls, c->room * sizeof(struct call *)));
	}
	struct call *call = need(calloc(1, sizeof *call));
	call->serial = c->count;
	c->calls[c->count++] = call;
	for (enum side side = CALLER; side < SIDES; side++)
		call->legs[side] = need(calloc(1, sizeof(struct leg)));
	write_script(c, &call->script);
	call->truth.placed_ns = now_ns;

	struct leg *leg = call->legs[CALLER];
	struct page p = { .size = 0 };
	leg->state = LEG_EARLY;
	snprintf(leg->call_id, sizeof leg->call_id, "c%u@crash-%" PRIu64, call->serial, c->settings.seed);
	snprintf(leg->target, sizeof leg->target, "sip:%u@%s", 880000000 + call->serial, c->settings.node);
	begin_request(c, call, CALLER, &p, INVITE, ++leg->cseq);
	add_own(c, call, CALLER, &p);
	if (call->script.timers[CALLER])
		add_timer(&p, c->settings.expires_s, call->script.timers[CALLER] == TIMER_OURS);
	add_sdp(c, call, CALLER, &p);
	begin_repeat(c, call, CALLER, now_ns, &leg->request, &p, INVITE, leg->cseq);
	arm(c, call, CALLER, GIVE_UP, now_ns + SETUP_NS);
	if (call->script.cancels)
		arm(c, call, CALLER, CANCEL_IT, now_ns + below(c, call->script.answer_ns + 100 * CALLS_MS));
}

static void send_cancel(struct calls *c, struct call *call, uint64_t now_ns)
{
	struct leg *leg = call->legs[CALLER];
	struct page p = { .size = 0 };
	leg->cancelled = call->truth.cancelled = true;
	begin_request(c, call, CALLER, &p, CANCEL, leg->cseq);
	page_end(&p, "");
	begin_repeat(c, call, CALLER, now_ns, &leg->bye, &p, CANCEL, leg->cseq);
}

static void keep(char out[static NAME_BYTES], struct text text)
{
	snprintf(out, NAME_BYTES, "%.*s", SHOW(text));
}

static void caller_answered(struct calls *c, struct call *call, uint64_t now_ns, const struct message *m)
{
	struct leg *leg = call->legs[CALLER];
	bool gave_up = leg->state == LEG_OVER || leg->cancelled;
	call->truth.seen_ns = now_ns;
	keep(leg->remote_tag, m->to_tag);
	keep(leg->target, m->contact);
	disarm(call, CALLER, GIVE_UP);
	disarm(call, CALLER, CANCEL_IT);
	if (leg->request.text)
		end_repeat(call, CALLER, &leg->request);
	if (gave_up) { /* it was cancelled, and yet: RFC 3261 15 */
		acknowledge(c, call, CALLER, m->cseq);
		leg->state = LEG_UP;
		send_bye(c, call, CALLER, now_ns);
		return;
	}
	leg->state = LEG_UP;
	note_up(c, call);
	leg->interval_s = m->expires_s;
	leg->mine = m->refresher == 'c';
	if (call->script.ack_ns)
		arm(c, call, CALLER, ACKNOWLEDGE, now_ns + call->script.ack_ns);
	else
		acknowledge(c, call, CALLER, m->cseq);
	confirm(c, call, CALLER, now_ns);
	if (call->script.enders[CALLER])
		arm(c, call, CALLER, HANG_UP, now_ns + call->script.hold_ns);
}

static void caller_refused(struct calls *c, struct call *call, uint64_t now_ns, const struct message *m)
{
	struct leg *leg = call->legs[CALLER];
	acknowledge_refusal(c, call, CALLER, m);
	if (leg->state != LEG_EARLY)
		return;
	call->truth.refusal = m->status;
	if (leg->request.text)
		end_repeat(call, CALLER, &leg->request);
	leg_over(c, call, CALLER, now_ns);
}

/* ---- the callee ---- */

static struct sending answer_invite(struct calls *c, struct call *call, enum side side, uint64_t now_ns,
				    const struct message *m)
{
	struct leg *leg = call->legs[side];
	struct page p = { .size = 0 };
	begin_response(m, side, call, &p, 200, "OK");
	add_own(c, call, side, &p);
	if (leg->interval_s)
		page_add(&p, "Supported: timer\r\nRequire: timer\r\nSession-Expires: %u;refresher=%s\r\n",
			 leg->interval_s, leg->mine ? "uas" : "uac");
	add_sdp(c, call, side, &p);
	return begin_repeat(c, call, side, now_ns, &leg->answer, &p, INVITE, m->cseq);
}

/* The INVITE is kept as the text of a request, until it is answered. */
static void callee_answers(struct calls *c, struct call *call, uint64_t now_ns)
{
	struct leg *leg = call->legs[CALLEE];
	struct message m;
	if (leg->state != LEG_EARLY || !message_read(leg->request.text, leg->request.size, &m))
		return;
	if (call->script.refusal) {
		respond(c, &m, CALLEE, call, call->script.refusal, "Busy Here");
		leg_over(c, call, CALLEE, now_ns);
		return;
	}
	leg->state = LEG_UP;
	if (call->script.timers[CALLEE] && m.expires_s) {
		leg->interval_s = m.expires_s < c->settings.expires_s ? m.expires_s : c->settings.expires_s;
		leg->mine = m.refresher == 's';
	}
	call->truth.ok = answer_invite(c, call, CALLEE, now_ns, &m);
	forget(&leg->request);
	leg->answer.ends_ns = now_ns + ACK_PATIENCE * c->settings.t1_ns;
	note_up(c, call);
	confirm(c, call, CALLEE, now_ns);
	if (leg->interval_s && call->script.timers[CALLEE] == TIMER_OURS) /* it takes the refreshing over */
		arm(c, call, CALLEE, REFRESH, now_ns + leg->interval_s * CALLS_S / 3);
	if (call->script.enders[CALLEE])
		arm(c, call, CALLEE, HANG_UP, now_ns + call->script.hold_ns);
}

static void callee_invited(struct calls *c, struct call *call, uint64_t now_ns, const struct message *m,
			   struct text datagram)
{
	struct leg *leg = call->legs[CALLEE];
	if (leg->state != LEG_NONE) { /* sent again */
		if (leg->state == LEG_EARLY)
			respond(c, m, CALLEE, call, 180, "Ringing");
		else if (leg->answer.text)
			call->truth.ok.after_ns = transmit(c, CALLEE, leg->answer.text, leg->answer.size).after_ns;
		return;
	}
	leg->state = LEG_EARLY;
	keep(leg->call_id, m->call_id_value);
	keep(leg->remote_tag, m->from_tag);
	keep(leg->target, m->contact);
	leg->remote_cseq = m->cseq;
	leg->remote_method = INVITE;
	leg->request.text = need(malloc(datagram.size));
	memcpy(leg->request.text, datagram.at, datagram.size);
	leg->request.size = datagram.size;
	respond(c, m, CALLEE, call, 180, "Ringing");
	arm(c, call, CALLEE, ANSWER, now_ns + call->script.answer_ns);
	/* The caller may be gone, and the switch not know the call any more. */
	arm(c, call, CALLEE, GIVE_UP, now_ns + SETUP_NS + c->settings.patience_ns);
}

static void callee_cancelled(struct calls *c, struct call *call, uint64_t now_ns, const struct message *m)
{
	struct leg *leg = call->legs[CALLEE];
	struct message invite;
	respond(c, m, CALLEE, call, 200, "OK");
	if (leg->state != LEG_EARLY || !message_read(leg->request.text, leg->request.size, &invite))
		return;
	respond(c, &invite, CALLEE, call, 487, "Request Terminated");
	leg_over(c, call, CALLEE, now_ns);
}

/* ---- requests in a dialog ---- */

/* RFC 4028 9: what the switch's refresh says of the session. */
static void take_timer(struct leg *leg, const struct message *m)
{
	if (!m->expires_s)
		return;
	leg->interval_s = m->expires_s;
	leg->mine = m->refresher == 's';
}

static void refreshed_in(struct calls *c, struct call *call, enum side side, uint64_t now_ns, const struct message *m)
{
	struct leg *leg = call->legs[side];
	call->truth.sides[side].refreshes_in++;
	take_timer(leg, m);
	if (m->method == INVITE) {
		answer_invite(c, call, side, now_ns, m);
	} else {
		struct page p = { .size = 0 };
		begin_response(m, side, call, &p, 200, "OK");
		add_own(c, call, side, &p);
		if (leg->interval_s)
			page_add(&p, "Require: timer\r\nSession-Expires: %u;refresher=%s\r\n", leg->interval_s,
				 leg->mine ? "uas" : "uac");
		page_end(&p, "");
		transmit(c, side, p.text, p.size);
	}
	confirm(c, call, side, now_ns);
}

static void bye_in(struct calls *c, struct call *call, enum side side, uint64_t now_ns, const struct message *m)
{
	struct side_truth *truth = &call->truth.sides[side];
	respond(c, m, side, call, 200, "OK");
	if (!truth->bye_in_ns)
		truth->bye_in_ns = now_ns;
	if (call->legs[side]->state != LEG_NONE)
		leg_over(c, call, side, now_ns);
}

static void acked(struct calls *c, struct call *call, enum side side, const struct message *m)
{
	struct leg *leg = call->legs[side];
	(void)c;
	if (leg->answer.text && leg->answer.cseq == m->cseq)
		end_repeat(call, side, &leg->answer);
}

static void request_in_dialog(struct calls *c, struct call *call, enum side side, uint64_t now_ns,
			      const struct message *m)
{
	struct leg *leg = call->legs[side];
	if (m->method == ACK) {
		acked(c, call, side, m);
		return;
	}
	bool again = m->cseq == leg->remote_cseq && m->method == leg->remote_method;
	if (m->cseq < leg->remote_cseq || (m->cseq == leg->remote_cseq && !again)) {
		if (leg->state == LEG_UP) /* else the BYE may have overtaken it */
			call->truth.sides[side].stale_cseq = true;
		respond(c, m, side, call, 500, "CSeq Used Up");
		return;
	}
	leg->remote_cseq = m->cseq;
	leg->remote_method = m->method;
	if (m->method == BYE)
		bye_in(c, call, side, now_ns, m);
	else if (leg->state != LEG_UP)
		respond(c, m, side, call, 481, "Call Does Not Exist");
	else if (again && m->method == INVITE && leg->answer.text)
		transmit(c, side, leg->answer.text, leg->answer.size);
	else if (m->method == INVITE && leg->request.text && leg->request.method == INVITE)
		respond(c, m, side, call, 491, "Request Pending");
	else if (m->method == INVITE || m->method == UPDATE)
		refreshed_in(c, call, side, now_ns, m);
	else
		respond(c, m, side, call, 200, "OK");
}

/* A call that neither peer has any state of: a BYE is answered as it was the first time. */
static void request_after(struct calls *c, struct call *call, enum side side, uint64_t now_ns, const struct message *m)
{
	if (m->method == ACK)
		return;
	if (m->method != BYE) {
		respond(c, m, side, call, 481, "Call Does Not Exist");
		return;
	}
	respond(c, m, side, call, 200, "OK");
	if (!call->truth.sides[side].bye_in_ns)
		call->truth.sides[side].bye_in_ns = now_ns;
}

/* ---- responses ---- */

static void refresh_answered(struct calls *c, struct call *call, enum side side, uint64_t now_ns,
			     const struct message *m)
{
	struct leg *leg = call->legs[side];
	struct side_truth *truth = &call->truth.sides[side];
	if (leg->request.probe)
		probe_answered(c, call, now_ns, m->status);
	if (m->method == INVITE && m->status >= 300)
		acknowledge_refusal(c, call, side, m);
	end_repeat(call, side, &leg->request);
	if (m->status < 300) {
		truth->refreshes_out++;
		leg->interval_s = m->expires_s;
		leg->mine = m->refresher == 'c';
		confirm(c, call, side, now_ns);
	} else if (m->status == 481 || m->status == 408) {
		truth->lost = m->status;
		leg_over(c, call, side, now_ns);
	} else {
		arm(c, call, side, REFRESH, now_ns + CALLS_S / 2 + below(c, CALLS_S));
	}
}

static void response_to_request(struct calls *c, struct call *call, enum side side, uint64_t now_ns,
				const struct message *m)
{
	struct leg *leg = call->legs[side];
	bool first = side == CALLER && m->method == INVITE && m->cseq == 1;
	if (first && m->status < 200) {
		disarm(call, side, SEND_REQUEST_AGAIN); /* RFC 3261 17.1.1.2, Proceeding */
	} else if (first && m->status >= 300) {
		caller_refused(c, call, now_ns, m);
	} else if (first && !call->truth.seen_ns) {
		caller_answered(c, call, now_ns, m);
	} else if (m->status < 200) {
		return;
	} else if (leg->request.text && leg->request.method == m->method && leg->request.cseq == m->cseq) {
		if (m->method == INVITE && m->status < 300)
			acknowledge(c, call, side, m->cseq);
		refresh_answered(c, call, side, now_ns, m);
	} else if (m->method == INVITE && m->status < 300) { /* sent again: the ACK was lost, or is late on purpose */
		if (leg->stamps[ACKNOWLEDGE] == 0 || leg->state == LEG_OVER || !first)
			acknowledge(c, call, side, m->cseq);
	} else if (m->method == INVITE) {
		acknowledge_refusal(c, call, side, m);
	}
}

static void response_to_bye(struct calls *c, struct call *call, enum side side, uint64_t now_ns,
			    const struct message *m)
{
	struct leg *leg = call->legs[side];
	if (!leg->bye.text || leg->bye.method != m->method || leg->bye.cseq != m->cseq || m->status < 200)
		return;
	if (leg->bye.probe)
		probe_answered(c, call, now_ns, m->status);
	if (m->method == BYE)
		call->truth.sides[side].bye_status = m->status;
	end_repeat(call, side, &leg->bye);
	if (m->method == CANCEL && m->status >= 300) /* the switch knows of no such INVITE (any more) */
		leg_over(c, call, side, now_ns);
}

/* ---- what comes in ---- */

/* "a123": a tag of ours. */
static struct call *find(const struct calls *c, enum side side, struct text tag)
{
	char digits[12];
	if (tag.size < 2 || tag.size > 11 || tag.at[0] != sides[side])
		return NULL;
	snprintf(digits, sizeof digits, "%.*s", (int)tag.size - 1, tag.at + 1);
	uint32_t serial = (uint32_t)strtoul(digits, NULL, 10);
	return serial < c->count ? c->calls[serial] : NULL;
}

/* "sip:880000123@...": a number that was dialled. */
static struct call *find_dialled(const struct calls *c, struct text uri)
{
	char digits[12];
	if (uri.size < 14)
		return NULL;
	snprintf(digits, sizeof digits, "%.*s", 9, uri.at + 4);
	uint32_t serial = (uint32_t)strtoul(digits, NULL, 10) - 880000000u;
	return serial < c->count ? c->calls[serial] : NULL;
}

static void request_in(struct calls *c, enum side side, uint64_t now_ns, const struct message *m, struct text datagram)
{
	struct call *call = m->to_tag.size ? find(c, side, m->to_tag) : find_dialled(c, m->uri);
	if (!call)
		return;
	if (!call->legs[side])
		request_after(c, call, side, now_ns, m);
	else if (m->to_tag.size)
		request_in_dialog(c, call, side, now_ns, m);
	else if (side == CALLEE && m->method == INVITE)
		callee_invited(c, call, now_ns, m, datagram);
	else if (side == CALLEE && m->method == CANCEL)
		callee_cancelled(c, call, now_ns, m);
	if (call->legs[side])
		settle(c, call);
}

static void response_in(struct calls *c, enum side side, uint64_t now_ns, const struct message *m)
{
	struct call *call = find(c, side, m->from_tag);
	if (!call || !call->legs[side])
		return;
	if (m->method == BYE || m->method == CANCEL)
		response_to_bye(c, call, side, now_ns, m);
	else
		response_to_request(c, call, side, now_ns, m);
	settle(c, call);
}

void calls_datagram(struct calls *c, uint64_t now_ns, enum side side, const char *at, size_t size)
{
	struct message m;
	if (!message_read(at, size, &m))
		return;
	if (m.is_request)
		request_in(c, side, now_ns, &m, (struct text){ at, size });
	else
		response_in(c, side, now_ns, &m);
}

/* ---- what comes due ---- */

static void send_again(struct calls *c, struct call *call, enum side side, uint64_t now_ns, struct repeat *r)
{
	struct call_truth *truth = &call->truth;
	struct side_truth *own = &truth->sides[side];
	struct sending sent = transmit(c, side, r->text, r->size);
	if (r->method == BYE && own->bye_count < BYES_MAX)
		own->byes[own->bye_count++] = sent;
	if (r == &call->legs[side]->answer && r->cseq == 1 && side == CALLEE)
		truth->ok.after_ns = sent.after_ns;
	if (r->probe && call->serial == c->probe.beacon)
		r->wait_ns = PROBE_EVERY_NS;
	else if (r->method == INVITE && r == &call->legs[side]->request)
		r->wait_ns *= 2; /* timer A */
	else
		r->wait_ns = 2 * r->wait_ns < T2_NS ? 2 * r->wait_ns : T2_NS; /* timer E; 13.3.1.4 */
	arm(c, call, side, again_of(call->legs[side], r), now_ns + r->wait_ns);
}

/* Nobody has answered for 64*T1. */
static void unanswered(struct calls *c, struct call *call, enum side side, uint64_t now_ns, struct repeat *r)
{
	struct leg *leg = call->legs[side];
	bool is_answer = r == &leg->answer, is_bye = r->method == BYE, is_setup = leg->state == LEG_EARLY;
	bool is_first = is_answer && side == CALLEE && !leg->cseq && !call->truth.sides[side].refreshes_in;
	end_repeat(call, side, r);
	if (is_bye) {
		call->truth.sides[side].bye_status = 408;
	} else if (is_setup) {
		leg_over(c, call, side, now_ns);
	} else if (is_first) {
		call->truth.sides[side].no_ack = true;
		send_bye(c, call, side, now_ns);
	} else if (!is_answer && leg->state == LEG_UP) {
		call->truth.sides[side].lost = 408;
		send_bye(c, call, side, now_ns);
	}
}

static void repeat_due(struct calls *c, struct call *call, enum side side, uint64_t now_ns, struct repeat *r)
{
	if (!r->text)
		return;
	if (now_ns >= r->ends_ns)
		unanswered(c, call, side, now_ns, r);
	else
		send_again(c, call, side, now_ns, r);
}

static void refresh_due(struct calls *c, struct call *call, enum side side, uint64_t now_ns)
{
	struct leg *leg = call->legs[side];
	bool busy = leg->request.text || leg->answer.text;
	if (leg->state != LEG_UP)
		return;
	leg->mine = true;
	if (busy)
		arm(c, call, side, REFRESH, now_ns + 200 * CALLS_MS);
	else
		send_refresh(c, call, side, now_ns, call->script.by_update ? UPDATE : INVITE);
}

static void hang_up_due(struct calls *c, struct call *call, enum side side, uint64_t now_ns)
{
	struct leg *leg = call->legs[side];
	if (leg->state != LEG_UP)
		return;
	/* A callee may not before the ACK (RFC 3261 15), and a caller who has yet to send it gets it over with. */
	if (leg->answer.text) {
		arm(c, call, side, HANG_UP, now_ns + 100 * CALLS_MS);
		return;
	}
	if (side == CALLER && call->script.ack_ns)
		acknowledge(c, call, side, 1);
	send_bye(c, call, side, now_ns);
}

static void give_up(struct calls *c, struct call *call, enum side side, uint64_t now_ns)
{
	if (call->legs[side]->state != LEG_EARLY)
		return;
	if (side == CALLER && !call->legs[side]->cancelled) {
		send_cancel(c, call, now_ns);
		arm(c, call, side, GIVE_UP, now_ns + 64 * c->settings.t1_ns); /* RFC 3261 9.1 */
	} else {
		leg_over(c, call, side, now_ns);
	}
}

static void miss_bye(struct calls *c, struct call *call, enum side side, uint64_t now_ns)
{
	struct leg *leg = call->legs[side];
	if (leg->state == LEG_UP) {
		call->truth.sides[side].orphan = true;
		send_bye(c, call, side, now_ns);
	} else {
		leg_over(c, call, side, now_ns);
	}
}

static void expire(struct calls *c, struct call *call, enum side side, uint64_t now_ns)
{
	if (call->legs[side]->state != LEG_UP)
		return;
	call->truth.sides[side].expired = true;
	send_bye(c, call, side, now_ns);
}

static void due(struct calls *c, struct call *call, enum side side, uint64_t now_ns, enum what what)
{
	struct leg *leg = call->legs[side];
	switch (what) {
	case SEND_REQUEST_AGAIN:
		repeat_due(c, call, side, now_ns, &leg->request);
		break;
	case SEND_BYE_AGAIN:
		repeat_due(c, call, side, now_ns, &leg->bye);
		break;
	case SEND_ANSWER_AGAIN:
		repeat_due(c, call, side, now_ns, &leg->answer);
		break;
	case GIVE_UP:
	case CANCEL_IT:
		give_up(c, call, side, now_ns);
		break;
	case ANSWER:
		callee_answers(c, call, now_ns);
		break;
	case ACKNOWLEDGE:
		leg->stamps[ACKNOWLEDGE] = 0; /* from now on a 200 that comes again is answered */
		acknowledge(c, call, side, 1);
		break;
	case HANG_UP:
		hang_up_due(c, call, side, now_ns);
		break;
	case REFRESH:
		refresh_due(c, call, side, now_ns);
		break;
	case EXPIRE:
		expire(c, call, side, now_ns);
		break;
	case MISS_BYE:
		miss_bye(c, call, side, now_ns);
		break;
	case WHATS:
		assert(false);
	}
}

void calls_advance(struct calls *c, uint64_t now_ns)
{
	struct moment m;
	while (agenda_take(&c->agenda, now_ns, &m)) {
		struct call *call = c->calls[m.call];
		if (!call->legs[m.side] || call->legs[m.side]->stamps[m.what] != m.stamp)
			continue;
		due(c, call, (enum side)m.side, now_ns, (enum what)m.what);
		settle(c, call);
	}
}

uint64_t calls_next_ns(const struct calls *c)
{
	return agenda_next_ns(&c->agenda);
}

struct calls_counts calls_count(const struct calls *c)
{
	return (struct calls_counts){ c->count, c->settled, c->up };
}

void calls_hang_up(struct calls *c, uint64_t now_ns, uint64_t over_ns)
{
	for (uint32_t i = 0; i < c->count; i++) {
		struct call *call = c->calls[i];
		enum side side = call->script.enders[CALLER] ? CALLER : CALLEE;
		if (call->legs[CALLER] && call->legs[side]->state == LEG_UP)
			arm(c, call, side, HANG_UP, now_ns + below(c, over_ns));
	}
}

/* ---- beginning and end ---- */

struct calls *calls_create(const struct calls_settings *settings)
{
	struct calls *c = need(calloc(1, sizeof *c));
	c->settings = *settings;
	c->random = settings->seed;
	return c;
}

void calls_free(struct calls *c)
{
	for (uint32_t i = 0; i < c->count; i++) {
		for (enum side side = CALLER; side < SIDES; side++) {
			struct leg *leg = c->calls[i]->legs[side];
			if (!leg)
				continue;
			forget(&leg->request);
			forget(&leg->bye);
			forget(&leg->answer);
			free(leg);
		}
		free(c->calls[i]);
	}
	free(c->calls);
	agenda_free(&c->agenda);
	free(c);
}

const struct call_truth *calls_truth(const struct calls *c, uint32_t call)
{
	return &c->calls[call]->truth;
}

static void write_side(const struct side_truth *s, FILE *out)
{
	fputc('\t', out);
	for (unsigned i = 0; i < s->bye_count; i++)
		fprintf(out, "%s%" PRIu64 ":%" PRIu64, i ? "," : "", s->byes[i].before_ns / 1000,
			s->byes[i].after_ns / 1000);
	fprintf(out, "\t%u\t%" PRIu64 "\t%u\t%u\t%u\t%s%s%s%s", s->bye_status, s->bye_in_ns / 1000, s->refreshes_in,
		s->refreshes_out, s->lost, s->orphan ? "orphan " : "", s->expired ? "expired " : "",
		s->no_ack ? "no_ack " : "", s->stale_cseq ? "stale_cseq " : "");
}

void calls_write_truth(const struct calls *c, FILE *out)
{
	static const char *const columns[] = { "byes",          "bye_status", "bye_in", "refreshes_in",
					       "refreshes_out", "lost",       "flags" };
	fprintf(out, "call_id\tplaced\tseen\tfirst_200\tlast_200\trefusal\tcancelled\tsettled\tack_late");
	for (enum side side = CALLER; side < SIDES; side++)
		for (unsigned i = 0; i < sizeof columns / sizeof *columns; i++)
			fprintf(out, "\t%c_%s", sides[side], columns[i]);
	fputc('\n', out);
	for (uint32_t i = 0; i < c->count; i++) {
		const struct call *call = c->calls[i];
		const struct call_truth *t = &call->truth;
		fprintf(out,
			"c%u@crash-%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%u\t%d\t%d\t%d", i,
			c->settings.seed, t->placed_ns / 1000, t->seen_ns / 1000, t->ok.before_ns / 1000,
			t->ok.after_ns / 1000, t->refusal, t->cancelled, !call->legs[CALLER], call->script.ack_ns != 0);
		for (enum side side = CALLER; side < SIDES; side++)
			write_side(&t->sides[side], out);
		fputc('\n', out);
	}
}
