#include "tests/sim/offers.h"

#include <string.h>

#define MAILBOX_NS (200 * SIM_US)
#define KEPT_NS    (600 * SIM_S) /* longer than any answer is waited for */

enum offer_state {
	ASKED,   /* no final response yet */
	UNACKED, /* a 2xx, or of an INVITE in a failure, without its ACK */
	DONE,
};

/* An INVITE, or an UPDATE with a body; an UPDATE of the node without one, which is no offer. */
struct exchange {
	struct exchange *next;
	uint32_t cseq, body;
	uint64_t asked_ns, provisional_ns;
	enum offer_state state;
	bool in, invite, offers, failed, initial;
	bool told, settled;  /* a reliable provisional response had a session; and has its PRACK */
	unsigned must;       /* in: the only answer, 491 or 500, that it may get; 0: any */
	uint64_t ack_due_ns; /* out: a 2xx came; 0: nothing owed */
};

struct offers {
	struct sim_call *call;
	struct exchange *first; /* newest first */
	uint32_t cseq_in;       /* highest */
	uint64_t closed_ns;     /* when the latest was done with */
};

struct offers *offers_new(struct sim *sim, struct sim_call *call)
{
	struct offers *offers = sim_alloc(sim, sizeof *offers);
	offers->call = call;
	return offers;
}

static uint32_t hash(struct bytes text)
{
	uint32_t h = 2166136261u;
	for (uint32_t i = 0; i < text.size; i++)
		h = (h ^ (unsigned char)text.at[i]) * 16777619u;
	return text.size ? h | 1 : 0;
}

/* A datagram that the node could not send was not seen here; what was damaged may have been anything. */
static bool is_blurred(const struct sim *sim, const struct offers *offers)
{
	return sim_is_blurred(sim) || !offers->call || offers->call->damaged || sim->stopping;
}

static uint64_t t1_ns(const struct sim *sim)
{
	return sim->config->parameters.RW_SIP_T1 * SIM_MS;
}

/* The node has not given it up by now: for sure, as it may have had a provisional response. */
static bool is_fresh(const struct sim *sim, const struct exchange *x)
{
	uint64_t from_ns = x->provisional_ns ? x->provisional_ns : x->asked_ns;
	return sim->now_ns + SIM_S < from_ns + 60 * t1_ns(sim);
}

/* On its way through a mailbox, the node has not heard of it yet. */
static bool is_heard(const struct sim *sim, const struct exchange *x)
{
	return !x->in || !sim->settings.mailbox || sim->now_ns > x->asked_ns + MAILBOX_NS;
}

static bool is_open(const struct sim *sim, const struct exchange *x)
{
	return x->state != DONE && is_fresh(sim, x) && is_heard(sim, x) && !(x->state == ASKED && x->settled);
}

uint64_t offers_free_ns(const struct offers *offers, bool before_latest)
{
	const struct exchange *latest = before_latest ? offers->first : NULL;
	for (const struct exchange *x = offers->first; x; x = x->next)
		if (x != latest && x->state != DONE)
			return UINT64_MAX;
	return offers->closed_ns;
}

/* ---- requests of the node ---- */

static void check_out(struct sim *sim, const struct offers *offers, const struct exchange *new)
{
	for (const struct exchange *x = offers->first; x; x = x->next) {
		if (x == new || !x->offers || !is_open(sim, x))
			continue;
		/* Spec 5: a new try of a refresh replaces the one before, which had the same session. */
		if (!x->in && x->invite && new->invite && x->state == ASKED && x->body == new->body &&new->body)
			continue;
		if (!new->invite && x->failed) /* 14.1 speaks of INVITEs */
			continue;
		sim_fail(sim, offers->call, new->invite ? "rfc3261-14.1-one-at-a-time" : "rfc3311-5.1-one-at-a-time",
			 "%s %u goes out, %s %u %s is open", new->invite ? "INVITE" : "UPDATE", new->cseq,
			 x->invite ? "INVITE" : "UPDATE", x->cseq, x->in ? "of the peer" : "of the node");
	}
}

/* ---- requests of the peer ---- */

/* RFC 3261 14.2, RFC 3311 5.2. */
static unsigned must_refuse(const struct sim *sim, const struct offers *offers, const struct exchange *new)
{
	unsigned must = 0;
	if (sim->settings.mailbox) /* what the node has heard of first is not known */
		return 0;
	for (const struct exchange *x = offers->first; x; x = x->next) {
		if (x == new || !is_open(sim, x) || x->failed || (!x->in && !x->offers))
			continue;
		bool theirs = x->in;
		if (x->initial && !x->body &&
		    x->state == ASKED) { /* the other's offer is in a reliable 183, or not yet made */
			if (!x->told)
				continue;
			theirs = !theirs;
		}
		if (theirs)
			return 500;
		must = 491;
	}
	return must;
}

static void check_refused(struct sim *sim, const struct offers *offers, const struct exchange *x, const struct wire *w)
{
	unsigned after_s = 0;
	bool has_after = w->retry_after.size > 0;
	for (uint32_t i = 0; i < w->retry_after.size && has_after; i++) {
		has_after = w->retry_after.at[i] >= '0' && w->retry_after.at[i] <= '9';
		after_s = after_s * 10 + (unsigned)(w->retry_after.at[i] - '0');
	}
	/* Its interval is judged first, and the call may have ended. */
	bool other = w->status == 422 || w->status == 400 || w->status == 481 || w->status == 487 || w->status == 503;
	if (!x->must || other)
		return;
	if (w->status != x->must)
		sim_fail(sim, offers->call, x->invite ? "rfc3261-14.2" : "rfc3311-5.2", "%u to %s %u, it should be %u",
			 w->status, x->invite ? "INVITE" : "UPDATE", x->cseq, x->must);
	else if (w->status == 500 && (!has_after || after_s > 10))
		sim_fail(sim, offers->call, "rfc3261-14.2-retry-after", "500 to %.*s %u with Retry-After \"%.*s\"",
			 TEXT(w->method), x->cseq, TEXT(w->retry_after));
	else if (x->invite)
		*(w->status == 500 ? &sim->counts.second_invites : &sim->counts.crossed_invites) += 1;
}

/* ---- what is seen ---- */

static struct exchange *find(const struct offers *offers, const struct wire *w, bool in)
{
	for (struct exchange *x = offers->first; x; x = x->next)
		if (x->in == in && x->cseq == w->cseq && x->invite == wire_method_is(w, "INVITE"))
			return x;
	return NULL;
}

static void acked(const struct sim *sim, struct offers *offers, const struct wire *w, bool in)
{
	for (struct exchange *x = offers->first; x; x = x->next) {
		if (x->in != in || x->cseq != w->cseq || !x->invite || x->state == ASKED)
			continue;
		x->state = DONE;
		x->ack_due_ns = 0;
		offers->closed_ns = sim->now_ns;
	}
}

/* Long calls have thousands. */
static void forget(const struct sim *sim, struct offers *offers)
{
	for (struct exchange **link = &offers->first; *link;) {
		struct exchange *x = *link;
		if ((x->state == DONE || sim->now_ns > x->asked_ns + KEPT_NS) && !x->ack_due_ns)
			*link = x->next;
		else
			link = &x->next;
	}
}

void offers_request(struct sim *sim, struct offers *offers, const struct wire *w, bool in)
{
	bool invite = wire_method_is(w, "INVITE"), initial = !w->to_tag.size;
	if (wire_method_is(w, "ACK"))
		acked(sim, offers, w, in);
	for (struct exchange *x = wire_method_is(w, "PRACK") ? offers->first : NULL; x; x = x->next)
		x->settled |= x->in == in && x->invite && x->told; /* of one branch of a fork, perhaps: good enough */
	bool late = in && w->cseq <= offers->cseq_in;              /* out of order: refused for that (12.2.2) */
	if (in && !late && !wire_method_is(w, "ACK") && !wire_method_is(w, "CANCEL"))
		offers->cseq_in = w->cseq;
	if ((!invite && !wire_method_is(w, "UPDATE")) || late)
		return;
	if (in && !invite && !w->body.size)
		return;
	forget(sim, offers);
	struct exchange *x = sim_alloc(sim, sizeof *x);
	*x = (struct exchange){ .next = offers->first,
				.cseq = w->cseq,
				.body = hash(w->body),
				.asked_ns = sim->now_ns,
				.in = in,
				.invite = invite,
				.initial = initial,
				.offers = invite || w->body.size };
	offers->first = x;
	if (initial || is_blurred(sim, offers))
		return;
	if (in)
		x->must = must_refuse(sim, offers, x);
	else if (x->offers)
		check_out(sim, offers, x);
}

static void accepted(const struct sim *sim, struct exchange *x)
{
	x->state = x->invite ? UNACKED : DONE;
	if (x->in || !x->invite)
		return;
	if (x->body)
		x->ack_due_ns = sim->now_ns;
	/* A peer that has accepted a later INVITE has none before that open. */
	for (struct exchange *before = x->next; before; before = before->next)
		if (!before->in && before->invite && before->state == ASKED)
			before->state = DONE;
}

void offers_response(struct sim *sim, struct offers *offers, const struct wire *w, bool in)
{
	struct exchange *x = find(offers, w, !in);
	if (!x || x->state != ASKED)
		return;
	if (w->status < 200) {
		if (!x->provisional_ns)
			x->provisional_ns = sim->now_ns;
		x->told |= w->rseq && w->body.size;
		return;
	}
	if (x->in && !is_blurred(sim, offers))
		check_refused(sim, offers, x, w);
	if (w->status < 300) {
		accepted(sim, x);
	} else {
		/* Out of order (12.2.2): refused without a transaction, so its ACK ends nothing. */
		bool stateless = w->status == 500 && !w->retry_after.size;
		x->failed = true;
		x->state = x->in && x->invite && !stateless ? UNACKED : DONE;
	}
	if (x->state == DONE)
		offers->closed_ns = sim->now_ns;
}

void offers_check(struct sim *sim, struct offers *offers)
{
	uint64_t slack_ns = sim->settings.mailbox ? MAILBOX_NS : 0;
	if (is_blurred(sim, offers))
		return;
	for (struct exchange *x = offers->first; x; x = x->next) {
		if (!x->ack_due_ns || sim->now_ns <= x->ack_due_ns + slack_ns)
			continue;
		sim_fail(sim, offers->call, "rfc3261-13.2.2.4-ack-at-once",
			 "the 2xx to INVITE %u of the node has no ACK", x->cseq);
		x->ack_due_ns = 0;
	}
}
