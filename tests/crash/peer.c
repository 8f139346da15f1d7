#include "tests/crash/peer.h"

#include <stdlib.h>
#include <string.h>

const char peer_letters[SIDES] = { 'a', 'b' };

/* ---- odds and ends ---- */

static uint64_t draw(struct calls *c)
{
	uint64_t z = c->random += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint64_t peer_below(struct calls *c, uint64_t limit)
{
	return limit ? draw(c) % limit : 0;
}

bool peer_percent(struct calls *c, unsigned chance)
{
	return peer_below(c, 100) < chance;
}

void *peer_need(void *memory)
{
	if (!memory) {
		fprintf(stderr, "load: out of memory\n");
		exit(2);
	}
	return memory;
}

void peer_arm(struct calls *c, struct call *call, enum side side, enum what what, uint64_t at_ns)
{
	uint32_t stamp = ++call->legs[side]->stamps[what];
	agenda_add(&c->agenda, (struct moment){ at_ns, call->serial, (uint8_t)side, (uint8_t)what, stamp });
}

void peer_disarm(struct call *call, enum side side, enum what what)
{
	call->legs[side]->stamps[what]++;
}

struct sending peer_transmit(const struct calls *c, enum side side, const char *at, size_t size)
{
	return c->settings.send(c->settings.context, side, at, size);
}

void peer_forget(struct repeat *r)
{
	free(r->text);
	*r = (struct repeat){ 0 };
}

enum what peer_again_of(const struct leg *leg, const struct repeat *r)
{
	return r == &leg->request ? SEND_REQUEST_AGAIN : r == &leg->bye ? SEND_BYE_AGAIN : SEND_ANSWER_AGAIN;
}

/* Sends it, and goes on doing so. */
struct sending peer_begin_repeat(struct calls *c, struct call *call, enum side side, uint64_t now_ns, struct repeat *r,
				 const struct page *p, enum method method, uint32_t cseq)
{
	peer_forget(r);
	r->text = peer_need(malloc(p->size));
	memcpy(r->text, p->text, p->size);
	r->size = p->size;
	r->method = method;
	r->cseq = cseq;
	r->wait_ns = c->settings.t1_ns;
	r->ends_ns = now_ns + 64 * c->settings.t1_ns;
	peer_arm(c, call, side, peer_again_of(call->legs[side], r), now_ns + r->wait_ns);
	return peer_transmit(c, side, r->text, r->size);
}

void peer_end_repeat(struct call *call, enum side side, struct repeat *r)
{
	peer_disarm(call, side, peer_again_of(call->legs[side], r));
	peer_forget(r);
}

/* ---- writing ---- */

void peer_add_sdp(const struct call *call, enum side side, struct page *p)
{
	char sdp[256];
	snprintf(sdp, sizeof sdp,
		 "v=0\r\no=- %u 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
		 "m=audio %u RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n",
		 call->serial * 2 + (unsigned)side, 30000 + (call->serial % 10000) * 2);
	page_end(p, sdp);
}

void peer_add_own(const struct calls *c, const struct call *call, enum side side, struct page *p)
{
	page_add(p, "Contact: <sip:%c%u@%s>\r\n", peer_letters[side], call->serial, c->settings.peers[side]);
	page_add(p, "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS%s\r\n", call->script.lists_update ? ", UPDATE" : "");
}

void peer_begin_request(const struct calls *c, const struct call *call, enum side side, struct page *p,
			enum method method, uint32_t cseq)
{
	const struct leg *leg = call->legs[side];
	const char *name = method_names[method], *address = c->settings.peers[side];
	/* The ACK of a 2xx is a transaction of its own; a CANCEL has the branch of its INVITE (RFC 3261 9.1). */
	const char *branch = method == CANCEL ? "INVITE" : name;
	page_add(p, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%c%u.%u.%s;rport\r\n", name, leg->target,
		 address, peer_letters[side], call->serial, cseq, branch);
	page_add(p, "Max-Forwards: 70\r\nFrom: <sip:%c%u@%s>;tag=%c%u\r\n", peer_letters[side], call->serial, address,
		 peer_letters[side], call->serial);
	page_add(p, "To: <sip:%u@%s>", 880000000 + call->serial, c->settings.node);
	if (leg->remote_tag[0] && method != CANCEL)
		page_add(p, ";tag=%s", leg->remote_tag);
	page_add(p, "\r\nCall-ID: %s\r\nCSeq: %u %s\r\n", leg->call_id, cseq, name);
}

/* Session-Expires of a request of ours (RFC 4028 7.1): refresher=uac is we. */
void peer_add_timer(struct page *p, uint32_t interval_s, bool mine)
{
	page_add(p, "Supported: timer\r\nSession-Expires: %u;refresher=%s\r\n", interval_s, mine ? "uac" : "uas");
}

void peer_begin_response(const struct message *m, enum side side, const struct call *call, struct page *p,
			 unsigned status, const char *reason)
{
	page_add(p, "SIP/2.0 %u %s\r\n%.*s%.*s", status, reason, SHOW(m->vias), SHOW(m->from));
	if (m->to_tag.size || status == 100)
		page_add(p, "%.*s", SHOW(m->to));
	else
		page_add(p, "%.*s;tag=%c%u\r\n", (int)m->to.size - 2, m->to.at, peer_letters[side], call->serial);
	page_add(p, "%.*s%.*s", SHOW(m->call_id), SHOW(m->cseq_line));
}

void peer_respond(const struct calls *c, const struct message *m, enum side side, const struct call *call,
		  unsigned status, const char *reason)
{
	struct page p = { .size = 0 };
	peer_begin_response(m, side, call, &p, status, reason);
	page_end(&p, "");
	peer_transmit(c, side, p.text, p.size);
}

void peer_acknowledge(const struct calls *c, const struct call *call, enum side side, uint32_t cseq)
{
	struct page p = { .size = 0 };
	peer_begin_request(c, call, side, &p, ACK, cseq);
	page_end(&p, "");
	peer_transmit(c, side, p.text, p.size);
}

/* The ACK of a refusal is of the INVITE's transaction (RFC 3261 17.1.1.3). */
void peer_acknowledge_refusal(const struct calls *c, const struct call *call, enum side side, const struct message *m)
{
	struct page p = { .size = 0 };
	page_add(&p, "ACK %s SIP/2.0\r\n%.*sMax-Forwards: 70\r\n%.*s%.*s%.*sCSeq: %u ACK\r\n", call->legs[side]->target,
		 SHOW(m->vias), SHOW(m->from), SHOW(m->to), SHOW(m->call_id), m->cseq);
	page_end(&p, "");
	peer_transmit(c, side, p.text, p.size);
}

/* ---- ends ---- */

void peer_note_up(struct calls *c, struct call *call)
{
	bool is_up = call->legs[CALLER] && call->legs[CALLER]->state == LEG_UP && call->legs[CALLEE]->state == LEG_UP;
	c->up += (uint32_t)is_up - (uint32_t)call->is_up;
	call->is_up = is_up;
}

static bool leg_is_done(const struct leg *leg)
{
	return leg->state == LEG_NONE || (leg->state == LEG_OVER && !leg->bye.text && !leg->answer.text);
}

void peer_settle(struct calls *c, struct call *call)
{
	if (!call->legs[CALLER] || !leg_is_done(call->legs[CALLER]) || !leg_is_done(call->legs[CALLEE]))
		return;
	for (enum side side = CALLER; side < SIDES; side++) {
		peer_forget(&call->legs[side]->request);
		free(call->legs[side]);
		call->legs[side] = NULL;
	}
	c->settled++;
}

/* The peer takes its side of the call to be over. */
void peer_leg_over(struct calls *c, struct call *call, enum side side, uint64_t now_ns)
{
	struct leg *leg = call->legs[side], *other = call->legs[!side];
	if (leg->state == LEG_OVER)
		return;
	leg->state = LEG_OVER;
	for (enum what what = GIVE_UP; what < WHATS; what++)
		peer_disarm(call, side, what);
	if (leg->request.text)
		peer_end_repeat(call, side, &leg->request);
	if (leg->answer.text)
		peer_end_repeat(call, side, &leg->answer);
	peer_note_up(c, call);
	if (other->state != LEG_NONE && other->state != LEG_OVER)
		peer_arm(c, call, !side, MISS_BYE, now_ns + c->settings.patience_ns);
}

void peer_send_bye(struct calls *c, struct call *call, enum side side, uint64_t now_ns)
{
	struct leg *leg = call->legs[side];
	struct side_truth *truth = &call->truth.sides[side];
	struct page p = { .size = 0 };
	if (leg->bye.text)
		peer_end_repeat(call, side, &leg->bye); /* a CANCEL that came too late */
	peer_begin_request(c, call, side, &p, BYE, ++leg->cseq);
	page_end(&p, "");
	truth->byes[truth->bye_count++] = peer_begin_repeat(c, call, side, now_ns, &leg->bye, &p, BYE, leg->cseq);
	peer_leg_over(c, call, side, now_ns);
}

/* ---- session timers ---- */

/* The session was confirmed: by a 2xx to a refresh of either (RFC 4028 10). */
void peer_confirm(struct calls *c, struct call *call, enum side side, uint64_t now_ns)
{
	struct leg *leg = call->legs[side];
	uint64_t interval_ns = leg->interval_s * CALLS_S;
	peer_disarm(call, side, REFRESH);
	peer_disarm(call, side, EXPIRE);
	if (!interval_ns || leg->state != LEG_UP)
		return;
	if (leg->mine)
		peer_arm(c, call, side, REFRESH, now_ns + interval_ns / 2 - peer_below(c, interval_ns / 20));
	else
		peer_arm(c, call, side, EXPIRE, now_ns + interval_ns);
}

void peer_send_refresh(struct calls *c, struct call *call, enum side side, uint64_t now_ns, enum method method)
{
	struct leg *leg = call->legs[side];
	struct page p = { .size = 0 };
	peer_begin_request(c, call, side, &p, method, ++leg->cseq);
	peer_add_own(c, call, side, &p);
	if (leg->interval_s)
		peer_add_timer(&p, leg->interval_s, leg->mine);
	if (method == INVITE)
		peer_add_sdp(call, side, &p);
	else
		page_end(&p, "");
	peer_begin_repeat(c, call, side, now_ns, &leg->request, &p, method, leg->cseq);
}

void peer_send_cancel(struct calls *c, struct call *call, uint64_t now_ns)
{
	struct leg *leg = call->legs[CALLER];
	struct page p = { .size = 0 };
	leg->cancelled = call->truth.cancelled = true;
	peer_begin_request(c, call, CALLER, &p, CANCEL, leg->cseq);
	page_end(&p, "");
	peer_begin_repeat(c, call, CALLER, now_ns, &leg->bye, &p, CANCEL, leg->cseq);
}
