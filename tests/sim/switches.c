#include "tests/sim/switches.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tried {
	char call_id[80];
	uint32_t routing_id; /* 0: no gateway has that address */
	unsigned final_in;   /* latest final response to its latest INVITE; 0: none */
	uint64_t final_ns;
	uint32_t cseq;
	bool cancelled;
};

struct switches {
	struct sim_call *call;
	struct parameters parameters; /* as they were when it began */
	struct tried tries[CDR_ATTEMPTS_MAX];
	unsigned count, to_gateways;
	bool rang, early_sdp, final_out, cancel_in;
	/* Of the caller's INVITE: the latest tag it was answered with, when there were so many attempts. */
	char branch[64], tag[80];
	unsigned tag_count;
	bool told;           /* with a session that stands: that of another branch of a fork has another tag */
	struct bytes latest; /* response */
};

struct switches *switches_of(struct sim *sim, struct sim_call *call)
{
	if (!call || call->damaged)
		return NULL;
	if (!call->switches) {
		call->switches = sim_alloc(sim, sizeof *call->switches);
		call->switches->call = call;
	}
	return call->switches;
}

/* ---- the caller ---- */

void switches_invite_in(const struct sim *sim, struct switches *s, const struct wire *w)
{
	if (wire_is(w->branch, s->branch))
		return;
	s->parameters = sim->config->parameters;
	snprintf(s->branch, sizeof s->branch, "%.*s", TEXT(w->branch));
	s->tag[0] = '\0';
	s->told = false;
	s->final_out = false; /* RFC 4028 7.3: again, after a 422 */
}

void switches_cancel_in(struct switches *s)
{
	s->cancel_in = true;
}

static struct bytes keep(struct sim *sim, struct bytes text)
{
	char *copy = sim_alloc(sim, text.size + 1);
	memcpy(copy, text.at, text.size);
	return (struct bytes){ copy, text.size };
}

/* RFC 3261 12.1.1: the early dialogs of two gateways are two, those of one gateway one until it has been told a session
 * reliably. */
static void check_tag(struct sim *sim, struct switches *s, const struct wire *w)
{
	bool same = wire_is(w->to_tag, s->tag);
	bool forked = s->told && !same;
	if (s->tag[0] && same != (s->tag_count == s->count) && !forked)
		sim_fail(sim, s->call, "rfc3261-12.1.1-tag", "%u with tag %.*s after %s, attempt %u", w->status,
			 TEXT(w->to_tag), s->tag, s->count);
	sim->counts.editions += s->tag[0] && !same;
	s->told = (s->told && s->tag_count == s->count) || (w->rseq && w->body.size);
	snprintf(s->tag, sizeof s->tag, "%.*s", TEXT(w->to_tag));
	s->tag_count = s->count;
}

void switches_response_out(struct sim *sim, struct switches *s, const struct wire *w)
{
	if (w->status <= 100 || !wire_is(w->branch, s->branch) || bytes_equal(w->text, s->latest))
		return; /* sent again it has the tag it had */
	s->latest = keep(sim, w->text);
	s->rang |= w->status < 200 && w->status != 183;
	s->early_sdp |= w->status < 200 && w->body.size > 0;
	s->final_out |= w->status >= 200;
	if (!sim_is_blurred(sim)) /* what found no send room changes tags and is not seen */
		check_tag(sim, s, w);
}

/* ---- the gateways ---- */

const struct routing_gateway *switches_routing(const struct sim *sim, const struct host *host)
{
	for (uint32_t i = 0; host && i < sim->config->routing_count; i++)
		for (uint32_t k = 0; k < sim->config->routings[i].address_count; k++)
			if (address_equal(&sim->config->routings[i].addresses[k], &host->address))
				return &sim->config->routings[i];
	return NULL;
}

static struct tried *find(struct switches *s, const struct wire *w)
{
	for (unsigned i = s->count < CDR_ATTEMPTS_MAX ? s->count : CDR_ATTEMPTS_MAX; i-- > 0;)
		if (wire_is(w->call_id, s->tries[i].call_id))
			return &s->tries[i];
	return NULL;
}

static bool is_stop_code(const struct routing_gateway *routing, unsigned code)
{
	for (uint32_t i = 0; routing && i < routing->stop_code_count; i++)
		if (code >= routing->stop_codes[i].first && code <= routing->stop_codes[i].last)
			return true;
	return false;
}

/* Why no attempt may follow on this one; NULL: it may. */
static const char *why_not(const struct sim *sim, const struct switches *s, const struct tried *failed,
			   bool same_gateway)
{
	const struct parameters *p = &s->parameters;
	const struct routing_gateway *routing = config_routing(sim->config, failed->routing_id);
	/* One that came earlier, while a line was asked for, came too late. */
	unsigned code = failed->final_ns == sim->now_ns ? failed->final_in : 0;
	bool declined = code == 603 || code == 604 || code == 606;
	if (s->cancel_in || s->final_out)
		return "the caller is gone";
	if (s->rang && !p->SS_GATEWAY_SWITCH_UNTIL_CONNECT)
		return "it rang";
	if (s->early_sdp && p->SS_SIP_STOP_SWITCH_AFTER_SDP)
		return "there was early media";
	if (same_gateway)
		return code && code != 503 ? "the address answered" : NULL;
	if ((code == 486 || code == 600) && p->SS_GATEWAY_SWITCH_STOP_AFTER_USER_BUSY)
		return "busy";
	if (declined && !(routing && routing->ignore_6xx))
		return "declined";
	if (code && is_stop_code(routing, code))
		return "a stop code";
	if (p->SS_GATEWAY_SWITCH_LIMIT && s->to_gateways >= p->SS_GATEWAY_SWITCH_LIMIT)
		return "the limit";
	return NULL;
}

static void check_next(struct sim *sim, struct switches *s, const struct tried *failed, const struct tried *next)
{
	bool same_gateway = failed->routing_id == next->routing_id;
	const char *why = failed->routing_id ? why_not(sim, s, failed, same_gateway) : NULL;
	if (why && !sim->settings.mailbox) /* what waits in a mailbox is too late as well */
		sim_fail(sim, s->call, "spec6-switch", "attempt %u, but %s", s->count + 1, why);
	s->to_gateways += !same_gateway;
	sim->counts.next_addresses += same_gateway;
}

void switches_invite_out(struct sim *sim, struct switches *s, const struct host *to, const struct wire *w)
{
	const struct routing_gateway *routing = switches_routing(sim, to);
	struct tried *known = find(s, w), next = { .routing_id = routing ? routing->id : 0, .cseq = w->cseq };
	if (known) { /* again, after a 422 */
		known->cseq = w->cseq;
		return;
	}
	if (to && sim->now_ns > to->rests_from_ns && sim->now_ns < to->rests_until_ns)
		sim_fail(sim, s->call, "spec6-rest", "an INVITE to %s, which rests", to->name);
	if (s->count && s->count <= CDR_ATTEMPTS_MAX)
		check_next(sim, s, &s->tries[s->count - 1], &next);
	snprintf(next.call_id, sizeof next.call_id, "%.*s", TEXT(w->call_id));
	if (s->count < CDR_ATTEMPTS_MAX)
		s->tries[s->count] = next;
	s->count++;
}

void switches_cancel_out(struct switches *s, const struct wire *w)
{
	struct tried *t = find(s, w);
	if (t)
		t->cancelled = true;
}

/* The other shards hear of it by a note. */
static void begin_rest(struct sim *sim, struct host *host, const struct wire *w)
{
	char text[16];
	snprintf(text, sizeof text, "%.*s", TEXT(w->retry_after));
	uint64_t seconds = strtoull(text, NULL, 10), max = sim->config->parameters.RW_RETRY_AFTER_MAX;
	uint64_t until_ns = sim->now_ns + (seconds < max ? seconds : max) * SIM_S;
	if (until_ns <= host->rests_until_ns)
		return;
	if (host->rests_until_ns <= sim->now_ns)
		host->rests_from_ns = sim->now_ns + SIM_MS + sim->settings.note_jitter_ns;
	host->rests_until_ns = until_ns;
	sim->counts.rests++;
}

void switches_response_in(struct sim *sim, struct switches *s, struct host *from, const struct wire *w)
{
	struct tried *t = find(s, w);
	if (!t || w->status < 200 || w->cseq != t->cseq)
		return;
	bool under_way = t == &s->tries[s->count - 1] && !t->cancelled && !s->final_out && !s->cancel_in;
	if (!t->final_in && under_way && w->status == 503 && w->retry_after.size && !sim->settings.mailbox &&
	    !sim_is_blurred(sim))
		begin_rest(sim, from, w);
	if (!t->final_in || t->final_in == 422)
		t->final_ns = sim->now_ns;
	t->final_in = w->status;
}

/* ---- the record ---- */

void switches_cdr(struct sim *sim, struct switches *s, const struct cdr *cdr)
{
	unsigned listed = s->count < CDR_ATTEMPTS_MAX ? s->count : CDR_ATTEMPTS_MAX;
	if (sim_is_blurred(sim) || sim->attempts_unseen || !cdr->callee_out.size)
		return; /* an INVITE without a number is not known for this call's */
	if (cdr->attempts_count != listed) {
		sim_fail(sim, s->call, "cdr-attempts", "%u listed, %u made", cdr->attempts_count, s->count);
		return;
	}
	for (unsigned i = 0; i < listed; i++) {
		const struct cdr_attempt *attempt = &cdr->attempts[i];
		const struct tried *t = &s->tries[i];
		struct bytes name = { attempt->gateway.at, attempt->gateway.size };
		if (t->routing_id && !wire_is(name, gateway_name(t->routing_id)))
			sim_fail(sim, s->call, "cdr-attempts", "attempt %u was to %s", i + 1,
				 gateway_name(t->routing_id));
		if (!s->call->excused && attempt->code && attempt->code != t->final_in)
			sim_fail(sim, s->call, "cdr-attempts", "attempt %u: code %u, the gateway said %u", i + 1,
				 attempt->code, t->final_in);
	}
}
