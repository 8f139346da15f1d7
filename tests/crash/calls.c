#include "tests/crash/peer.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* ---- what a call is to be ---- */

static void write_script(struct calls *c, struct script *s)
{
	const struct calls_settings *settings = &c->settings;
	double span = (double)(settings->hold_max_ns - settings->hold_min_ns);
	double share = (double)peer_below(c, 1000000) / 1e6;
	bool by_log = peer_percent(c, 50) && settings->hold_min_ns;
	double logarithm = log((double)settings->hold_max_ns / (double)(settings->hold_min_ns + 1));
	unsigned ender = (unsigned)peer_below(c, 100);
	s->hold_ns = by_log ? (uint64_t)((double)settings->hold_min_ns * exp(share * logarithm))
			    : settings->hold_min_ns + (uint64_t)(share * span);
	s->timers[CALLER] = (enum timer_script)peer_below(c, 3);
	s->timers[CALLEE] = peer_percent(c, 30) ? NO_TIMER : peer_percent(c, 30) ? TIMER_OURS : TIMER_THEIRS;
	s->by_update = peer_percent(c, 50);
	s->lists_update = peer_percent(c, 60);
	s->enders[CALLER] = ender < 51;
	s->enders[CALLEE] = ender >= 49;
	s->answer_ns = (20 + peer_below(c, 480)) * CALLS_MS;
	if (settings->plain)
		return;
	s->ack_ns = peer_percent(c, 5) ? (200 + peer_below(c, 2000)) * CALLS_MS : 0;
	s->refusal = peer_percent(c, 3) ? 486 : 0;
	s->cancels = peer_percent(c, 2);
}

void calls_place(struct calls *c, uint64_t now_ns)
{
	if (c->count == c->room) {
		c->room = c->room ? 2 * c->room : 4096;
		c->calls = peer_need(realloc(c->calls, c->room * sizeof(struct call *)));
	}
	struct call *call = peer_need(calloc(1, sizeof *call));
	call->serial = c->count;
	c->calls[c->count++] = call;
	for (enum side side = CALLER; side < SIDES; side++)
		call->legs[side] = peer_need(calloc(1, sizeof(struct leg)));
	write_script(c, &call->script);
	call->truth.placed_ns = now_ns;

	struct leg *leg = call->legs[CALLER];
	struct page p = { .size = 0 };
	leg->state = LEG_EARLY;
	snprintf(leg->call_id, sizeof leg->call_id, "c%u@crash-%" PRIu64, call->serial, c->settings.seed);
	snprintf(leg->target, sizeof leg->target, "sip:%u@%s", 880000000 + call->serial, c->settings.node);
	peer_begin_request(c, call, CALLER, &p, INVITE, ++leg->cseq);
	peer_add_own(c, call, CALLER, &p);
	if (call->script.timers[CALLER])
		peer_add_timer(&p, c->settings.expires_s, call->script.timers[CALLER] == TIMER_OURS);
	peer_add_sdp(call, CALLER, &p);
	peer_begin_repeat(c, call, CALLER, now_ns, &leg->request, &p, INVITE, leg->cseq);
	peer_arm(c, call, CALLER, GIVE_UP, now_ns + SETUP_NS);
	if (call->script.cancels)
		peer_arm(c, call, CALLER, CANCEL_IT, now_ns + peer_below(c, call->script.answer_ns + 100 * CALLS_MS));
}

/* ---- the probe ---- */

void peer_probe_answered(struct calls *c, struct call *call, uint64_t now_ns, unsigned status)
{
	struct probe_result *r = &c->probe.result;
	r->answered++;
	r->refused += status >= 300;
	r->last_ns = now_ns;
	if (call->serial != c->probe.beacon || r->first_ns)
		return;
	r->first_ns = now_ns;
	for (unsigned tries = 0; r->asked < c->probe.count && tries < 20 * c->probe.count; tries++) {
		struct call *other = c->calls[peer_below(c, c->count)];
		if (!other->is_up || other->legs[CALLER]->request.probe || other->legs[CALLER]->bye.probe)
			continue;
		struct leg *leg = other->legs[CALLER];
		if (r->asked++ % 2) {
			peer_send_bye(c, other, CALLER, now_ns);
			leg->bye.probe = true;
		} else {
			peer_send_refresh(c, other, CALLER, now_ns, UPDATE);
			leg->request.probe = true;
		}
	}
}

void calls_probe(struct calls *c, uint64_t now_ns, unsigned count)
{
	c->probe.count = count;
	c->probe.result = (struct probe_result){ 0 };
	for (unsigned tries = 0; tries < 1000000 && c->count; tries++) {
		struct call *call = c->calls[peer_below(c, c->count)];
		if (!call->is_up)
			continue;
		c->probe.beacon = call->serial;
		peer_send_refresh(c, call, CALLER, now_ns, UPDATE);
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

/* ---- what comes due ---- */

static void send_again(struct calls *c, struct call *call, enum side side, uint64_t now_ns, struct repeat *r)
{
	struct call_truth *truth = &call->truth;
	struct side_truth *own = &truth->sides[side];
	struct sending sent = peer_transmit(c, side, r->text, r->size);
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
	peer_arm(c, call, side, peer_again_of(call->legs[side], r), now_ns + r->wait_ns);
}

/* Nobody has answered for 64*T1. */
static void unanswered(struct calls *c, struct call *call, enum side side, uint64_t now_ns, struct repeat *r)
{
	struct leg *leg = call->legs[side];
	bool is_answer = r == &leg->answer, is_bye = r->method == BYE, is_setup = leg->state == LEG_EARLY;
	bool is_first = is_answer && side == CALLEE && !leg->cseq && !call->truth.sides[side].refreshes_in;
	peer_end_repeat(call, side, r);
	if (is_bye) {
		call->truth.sides[side].bye_status = 408;
	} else if (is_setup) {
		peer_leg_over(c, call, side, now_ns);
	} else if (is_first) {
		call->truth.sides[side].no_ack = true;
		peer_send_bye(c, call, side, now_ns);
	} else if (!is_answer && leg->state == LEG_UP) {
		call->truth.sides[side].lost = 408;
		peer_send_bye(c, call, side, now_ns);
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
		peer_arm(c, call, side, REFRESH, now_ns + 200 * CALLS_MS);
	else
		peer_send_refresh(c, call, side, now_ns, call->script.by_update ? UPDATE : INVITE);
}

static void hang_up_due(struct calls *c, struct call *call, enum side side, uint64_t now_ns)
{
	struct leg *leg = call->legs[side];
	if (leg->state != LEG_UP)
		return;
	/* A callee may not before the ACK (RFC 3261 15), and a caller who has yet to send it gets it over with. */
	if (leg->answer.text) {
		peer_arm(c, call, side, HANG_UP, now_ns + 100 * CALLS_MS);
		return;
	}
	if (side == CALLER && call->script.ack_ns)
		peer_acknowledge(c, call, side, 1);
	peer_send_bye(c, call, side, now_ns);
}

static void give_up(struct calls *c, struct call *call, enum side side, uint64_t now_ns)
{
	if (call->legs[side]->state != LEG_EARLY)
		return;
	if (side == CALLER && !call->legs[side]->cancelled) {
		peer_send_cancel(c, call, now_ns);
		peer_arm(c, call, side, GIVE_UP, now_ns + 64 * c->settings.t1_ns); /* RFC 3261 9.1 */
	} else {
		peer_leg_over(c, call, side, now_ns);
	}
}

static void miss_bye(struct calls *c, struct call *call, enum side side, uint64_t now_ns)
{
	struct leg *leg = call->legs[side];
	if (leg->state == LEG_UP) {
		call->truth.sides[side].orphan = true;
		peer_send_bye(c, call, side, now_ns);
	} else {
		peer_leg_over(c, call, side, now_ns);
	}
}

static void expire(struct calls *c, struct call *call, enum side side, uint64_t now_ns)
{
	if (call->legs[side]->state != LEG_UP)
		return;
	call->truth.sides[side].expired = true;
	peer_send_bye(c, call, side, now_ns);
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
		peer_callee_answers(c, call, now_ns);
		break;
	case ACKNOWLEDGE:
		leg->stamps[ACKNOWLEDGE] = 0; /* from now on a 200 that comes again is answered */
		peer_acknowledge(c, call, side, 1);
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
		peer_settle(c, call);
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
			peer_arm(c, call, side, HANG_UP, now_ns + peer_below(c, over_ns));
	}
}

/* ---- beginning and end ---- */

struct calls *calls_create(const struct calls_settings *settings)
{
	struct calls *c = peer_need(calloc(1, sizeof *c));
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
			peer_forget(&leg->request);
			peer_forget(&leg->bye);
			peer_forget(&leg->answer);
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
			fprintf(out, "\t%c_%s", peer_letters[side], columns[i]);
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
