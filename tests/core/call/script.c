#include "script.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define DUELS_MAX 600

/* A duel lives in the memory of its simulation. */
static struct {
	const struct sim *sim;
	struct duel *duel;
} duels[DUELS_MAX];
static unsigned duel_count;

void __real_peer_receive(struct sim *sim, struct host *host, struct bytes datagram, bool damaged);
void __wrap_peer_receive(struct sim *sim, struct host *host, struct bytes datagram, bool damaged);

static struct bytes keep(struct sim *sim, struct bytes text)
{
	char *copy = sim_alloc(sim, text.size + 1);
	memcpy(copy, text.at, text.size);
	return (struct bytes){ copy, text.size };
}

/* ---- sending ---- */

static void send(struct party *party, const struct page *page)
{
	if (!party->gone)
		peer_send_raw(party->duel->sim, party->host, keep(party->duel->sim, page_bytes(page)));
}

/* "Supported: timer\nx: 90": each line with its CRLF. */
static void add_lines(struct page *page, const char *lines)
{
	while (lines && *lines) {
		size_t size = strcspn(lines, "\n");
		if (size)
			page_add(page, "%.*s\r\n", (int)size, lines);
		lines += size + (lines[size] == '\n');
	}
}

static void add_contact(struct page *page, const struct party *party)
{
	page_add(page, "Contact: <sip:%s-%u@%s>\r\n", party->ua->local_tag, party->contact, party->host->name);
}

static struct said *say_on(struct party *party, const char *method, uint32_t cseq, const char *branch,
			   const char *lines, struct bytes body)
{
	struct sim *sim = party->duel->sim;
	struct ua *ua = party->ua;
	struct said *said = sim_alloc(sim, sizeof *said);
	struct page page = { .size = 0 };
	bool target = strcmp(method, "INVITE") == 0 || strcmp(method, "UPDATE") == 0;
	said->cseq = cseq;
	said->at_ns = sim->now_ns + party->host->to_node.delay_ns;
	snprintf(said->method, sizeof said->method, "%s", method);
	snprintf(said->branch, sizeof said->branch, "%s", branch);
	said->next = party->said;
	party->said = said;
	page_add(&page, "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=%s;rport\r\nMax-Forwards: %u\r\n", method,
		 ua->target, party->host->name, said->branch, party->max_forwards ? party->max_forwards : 70);
	page_add(&page, "From: %s;tag=%s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %u %s\r\n", ua->local, ua->local_tag,
		 ua->remote, ua->call_id, cseq, method);
	if (target)
		add_contact(&page, party);
	add_lines(&page, lines);
	page_end(&page, target || strcmp(method, "PRACK") == 0 ? "application/sdp" : "text/plain", body);
	said->text = keep(sim, page_bytes(&page));
	send(party, &page);
	return said;
}

struct said *say_numbered(struct party *party, const char *method, uint32_t cseq, const char *lines, struct bytes body)
{
	static unsigned branches;
	char branch[48];
	snprintf(branch, sizeof branch, "z9hG4bK-script-%u", branches++);
	return say_on(party, method, cseq, branch, lines, body);
}

struct said *say_cancel(struct party *party, const struct said *invite)
{
	return say_on(party, "CANCEL", invite->cseq, invite->branch, NULL, BYTES_NONE);
}

void say_again(struct party *party, const struct said *said)
{
	peer_send_raw(party->duel->sim, party->host, said->text);
}

struct said *say(struct party *party, const char *method, const char *lines, struct bytes body)
{
	return say_numbered(party, method, ++party->ua->cseq_out, lines, body);
}

struct bytes sdp(struct party *party)
{
	return party->other_sdp ? bytes_of(party->other_sdp) : session_of(party->ua);
}

struct bytes new_sdp(struct party *party)
{
	party->ua->session++;
	return session_of(party->ua);
}

static void acknowledge(struct party *party, const struct said *invite, const struct wire *w)
{
	struct page page = { .size = 0 };
	const struct ua *ua = party->ua;
	bool success = w->status < 300;
	if (success && party->no_ack)
		return;
	page_add(&page, "ACK %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=%s%s;rport\r\nMax-Forwards: 70\r\n", ua->target,
		 party->host->name, invite->branch, success ? "-ack" : "");
	page_add(&page, "From: %s;tag=%s\r\nTo: %.*s\r\nCall-ID: %s\r\nCSeq: %u ACK\r\n", ua->local, ua->local_tag,
		 TEXT(w->to), ua->call_id, invite->cseq);
	page_end(&page, "", BYTES_NONE);
	send(party, &page);
}

/* ---- answering ---- */

struct reply {
	struct party *party;
	struct heard *request;
	const char *answer;
};

static void respond(struct sim *sim, void *context)
{
	struct reply *reply = context;
	struct party *party = reply->party;
	struct heard *request = reply->request;
	const struct wire *w = &request->w;
	struct page page = { .size = 0 };
	unsigned status = (unsigned)strtoul(reply->answer, NULL, 10);
	bool invite = wire_is(w->method, "INVITE"), update = wire_is(w->method, "UPDATE");
	bool body = status > 180 && status < 300 && (invite || (update && w->body.size));
	if (party->gone || (!request->w.to_tag.size && request->status >= 200))
		return;
	page_add(&page, "SIP/2.0 %u Scripted\r\nVia: %.*s\r\nFrom: %.*s\r\nTo: %.*s", status, TEXT(w->via),
		 TEXT(w->from), TEXT(w->to));
	if (!w->to_tag.size && status > 100)
		page_add(&page, ";tag=%s", party->ua->local_tag);
	page_add(&page, "\r\nCall-ID: %.*s\r\nCSeq: %.*s\r\n", TEXT(w->call_id), TEXT(w->cseq_line));
	if (status > 100 && status < 300 && (invite || update))
		add_contact(&page, party);
	add_lines(&page, reply->answer + 3 + (reply->answer[3] == ' '));
	page_end(&page, "application/sdp", body ? sdp(party) : BYTES_NONE);
	request->status = status;
	request->replied_ns = sim->now_ns + party->host->to_node.delay_ns;
	send(party, &page);
	if (invite && !w->to_tag.size && status >= 200 && status < 300)
		party->duel->up_ns = request->replied_ns;
}

static void respond_after(struct party *party, struct heard *request, const char *answer, uint64_t wait_ns)
{
	struct sim *sim = party->duel->sim;
	struct reply *reply = sim_alloc(sim, sizeof *reply);
	*reply = (struct reply){ party, request, answer };
	if (wait_ns)
		sim_at(sim, sim->now_ns + wait_ns, respond, reply);
	else
		respond(sim, reply);
}

void say_answer(struct party *party, struct heard *request, const char *answer)
{
	respond_after(party, request, answer, 0);
}

static const char *next_answer(struct manner *manner)
{
	const char *answer = manner->list[manner->next];
	if (manner->next + 1 < ANSWERS_MAX && manner->list[manner->next + 1])
		manner->next++;
	return answer ? answer : "200";
}

void script_answers(struct manner *manner, const char *const *list)
{
	*manner = (struct manner){ .next = 0 };
	for (unsigned i = 0; list[i]; i++) {
		assert(i < ANSWERS_MAX);
		manner->list[i] = list[i];
	}
}

static void answer_first(struct duel *d, struct heard *invite)
{
	unsigned n = d->firsts++;
	while (n && !d->first[n])
		n--;
	if (*d->first[n] == '-')
		return;
	respond_after(&d->b, invite, "100", 0);
	if (d->progress)
		respond_after(&d->b, invite, d->progress, 10 * SIM_MS);
	respond_after(&d->b, invite, d->first[n] ? d->first[n] : "200",
		      *d->first[n] == '2' ? d->rings_ns : 20 * SIM_MS);
}

void say_response(struct duel *d, const char *answer, const char *tag, struct bytes body)
{
	struct party *b = &d->b;
	struct heard *invite = NULL;
	struct page page = { .size = 0 };
	unsigned status = (unsigned)strtoul(answer, NULL, 10);
	for (unsigned n = 0; nth(b, "INVITE", n); n++)
		invite = nth(b, "INVITE", n);
	assert(invite && !invite->w.to_tag.size);
	const struct wire *w = &invite->w;
	page_add(&page, "SIP/2.0 %u Scripted\r\nVia: %.*s\r\nFrom: %.*s\r\nTo: %.*s", status, TEXT(w->via),
		 TEXT(w->from), TEXT(w->to));
	if (status > 100)
		page_add(&page, ";tag=%s", tag ? tag : b->ua->local_tag);
	page_add(&page, "\r\nCall-ID: %.*s\r\nCSeq: %.*s\r\n", TEXT(w->call_id), TEXT(w->cseq_line));
	if (status > 100 && status < 300)
		page_add(&page, "Contact: <sip:%s-%u@%s>\r\n", tag ? tag : b->ua->local_tag, b->contact, b->host->name);
	add_lines(&page, answer + 3 + (answer[3] == ' '));
	page_end(&page, "application/sdp", body);
	send(b, &page);
	if (status >= 200 && status < 300 && !d->up_ns)
		d->up_ns = d->sim->now_ns + b->host->to_node.delay_ns;
}

static void take_request(struct party *party, struct heard *request)
{
	const struct wire *w = &request->w;
	struct ua *ua = party->ua;
	if (w->contact.size)
		snprintf(ua->target, sizeof ua->target, "%.*s", TEXT(w->contact));
	if (wire_is(w->method, "ACK"))
		return;
	if (wire_is(w->method, "INVITE") && !w->to_tag.size) {
		answer_first(party->duel, request);
		return;
	}
	struct manner *manner = wire_is(w->method, "INVITE")    ? &party->invite
				: wire_is(w->method, "UPDATE")  ? &party->update
				: wire_is(w->method, "OPTIONS") ? &party->options
								: &party->other;
	const char *answer = wire_is(w->method, "BYE") ? "200" : next_answer(manner);
	if (party->trying && wire_is(w->method, "INVITE"))
		respond_after(party, request, "100", 0);
	if (*answer != '-')
		respond_after(party, request, answer, party->answer_ns);
}

/* ---- hearing ---- */

static void take_response(struct party *party, struct heard *response)
{
	const struct wire *w = &response->w;
	struct ua *ua = party->ua;
	for (struct said *said = party->said; said; said = said->next) {
		if (!wire_is(w->branch, said->branch) || !wire_is(w->method, said->method))
			continue;
		said->last = response;
		if (w->status == 100 || strcmp(said->method, "INVITE") != 0)
			return;
		if (w->status < 300 && w->contact.size) {
			snprintf(ua->remote, sizeof ua->remote, "%.*s", TEXT(w->to));
			snprintf(ua->target, sizeof ua->target, "%.*s", TEXT(w->contact));
		}
		if (w->status >= 200)
			acknowledge(party, said, w);
		return;
	}
}

/* A retransmission; a request is answered as it was. */
static bool is_again(struct party *party, const struct heard *heard)
{
	for (struct heard *old = party->heard; old; old = old->next) {
		if (strcmp(old->name, heard->name) != 0 || !bytes_equal(old->w.text, heard->w.text))
			continue;
		old->again++;
		return true;
	}
	return false;
}

static void hear(struct party *party, const struct wire *w)
{
	struct sim *sim = party->duel->sim;
	struct heard *heard = sim_alloc(sim, sizeof *heard);
	bool read = wire_read(keep(sim, w->text), &heard->w);
	assert(read);
	heard->at_ns = sim->now_ns - party->host->from_node.delay_ns;
	snprintf(heard->name, sizeof heard->name, w->is_request ? "%.0u%.*s" : "%u %.*s", w->status, TEXT(w->method));
	if (is_again(party, heard))
		return;
	struct heard **last = &party->heard;
	while (*last)
		last = &(*last)->next;
	*last = heard;
	if (w->is_request)
		take_request(party, heard);
	else
		take_response(party, heard);
}

/* The callee's dialog begins. */
static void meet_callee(struct duel *d, struct host *host, const struct wire *w)
{
	struct party *b = &d->b;
	b->host = host;
	b->ua = peer_ua(d->sim, host, d->call, w->call_id);
	b->ua->dead = true;
	b->ua->cseq_out = 100;
	snprintf(b->ua->local, sizeof b->ua->local, "%.*s", TEXT(w->to));
	snprintf(b->ua->remote, sizeof b->ua->remote, "%.*s", TEXT(w->from));
}

static struct party *party_of(struct sim *sim, struct host *host, const struct wire *w)
{
	const char *at = w->uri.size > 4 ? memchr(w->uri.at, '@', w->uri.size) : NULL;
	for (unsigned i = 0; i < duel_count; i++) {
		struct duel *d = duels[i].duel;
		if (duels[i].sim != sim)
			continue;
		if (wire_is(w->call_id, d->a.ua->call_id))
			return &d->a;
		if (d->b.ua && d->b.host == host && wire_is(w->call_id, d->b.ua->call_id))
			return &d->b;
		if (w->is_request && wire_is(w->method, "INVITE") && !w->to_tag.size && at &&
		    peer_call_of_number(sim, (struct bytes){ w->uri.at + 4, (uint32_t)(at - w->uri.at - 4) }) ==
			    d->call) {
			meet_callee(d, host, w);
			return &d->b;
		}
	}
	return NULL;
}

void __wrap_peer_receive(struct sim *sim, struct host *host, struct bytes datagram, bool damaged)
{
	struct wire w;
	struct party *party = wire_read(datagram, &w) ? party_of(sim, host, &w) : NULL;
	if (party)
		hear(party, &w);
	else
		__real_peer_receive(sim, host, datagram, damaged);
}

/* ---- the call ---- */

struct duel *script_call_in(struct sim *sim, const struct plan *plan)
{
	struct page lines = { .size = 0 };
	struct duel *d = sim_alloc(sim, sizeof *d);
	struct said *invite = sim_alloc(sim, sizeof *invite);
	d->sim = sim;
	d->a.duel = d->b.duel = d;
	d->progress = plan->progress;
	d->rings_ns = plan->rings_ns ? plan->rings_ns : SIM_S;
	memcpy(d->first, plan->first, sizeof d->first);
	if (!d->first[0])
		d->first[0] = plan->ok ? plan->ok : "200";
	add_lines(&lines, plan->invite);
	lines.text[lines.size] = '\0';
	d->call = sim_call_now(sim, .headers = keep(sim, page_bytes(&lines)).at, .number = plan->number, .to = plan->to,
			       .from = plan->from, .delayed_offer = plan->delayed_offer);
	d->a.ua = d->call->caller;
	d->a.ua->dead = true; /* its INVITE is under way: from here on the test speaks */
	d->a.host = d->a.ua->host;
	snprintf(invite->method, sizeof invite->method, "INVITE");
	snprintf(invite->branch, sizeof invite->branch, "%s", d->a.ua->invite->branch);
	invite->cseq = d->a.ua->invite->cseq;
	d->a.said = invite;
	assert(duel_count < DUELS_MAX);
	duels[duel_count].sim = sim;
	duels[duel_count++].duel = d;
	return d;
}

struct duel *script_call(const struct plan *plan)
{
	struct sim *sim =
		sim_new(.seed = plan->seed ? plan->seed : SEED, .parameters = plan->parameters,
			.reliable = plan->reliable, .gateways = plan->gateways ? plan->gateways : ONE_GATEWAY);
	struct duel *d = script_call_in(sim, plan);
	run(d, d->rings_ns + 100 * SIM_MS);
	return d;
}

struct duel *script_call_up(const struct plan *plan)
{
	struct duel *d = script_call(plan);
	cr_assert(d->up_ns && nth(&d->a, "200 INVITE", 0), "the call is not up");
	return d;
}

void run_until(struct duel *d, uint64_t at_ns)
{
	sim_run_until(d->sim, at_ns);
	assert_good(d->sim);
}

/* ---- looking ---- */

struct heard *nth(const struct party *party, const char *name, unsigned n)
{
	for (struct heard *heard = party->heard; heard; heard = heard->next)
		if (strcmp(heard->name, name) == 0 && n-- == 0)
			return heard;
	return NULL;
}

unsigned count(const struct party *party, const char *name)
{
	unsigned n = 0;
	while (nth(party, name, n))
		n++;
	return n;
}

static bool is_refresh(const struct heard *heard)
{
	return (wire_is(heard->w.method, "UPDATE") || (wire_is(heard->w.method, "INVITE") && heard->w.to_tag.size)) &&
	       heard->w.is_request;
}

struct heard *refresh(const struct party *party, unsigned n)
{
	for (struct heard *heard = party->heard; heard; heard = heard->next)
		if (is_refresh(heard) && n-- == 0)
			return heard;
	return NULL;
}

unsigned refreshes(const struct party *party)
{
	unsigned n = 0;
	while (refresh(party, n))
		n++;
	return n;
}

const char *header(const struct heard *heard, const char *name)
{
	static char values[4][256];
	static unsigned turn;
	size_t size = strlen(name);
	cr_assert(heard, "%s of a message that was not sent", name);
	const char *at = heard->w.text.at, *end = at + heard->w.text.size;
	char *value = values[turn++ % 4];
	*value = '\0';
	while (at < end && *at != '\r') {
		const char *line_end = memchr(at, '\r', (size_t)(end - at));
		if (!line_end)
			break;
		if ((size_t)(line_end - at) > size + 1 && strncasecmp(at, name, size) == 0 && at[size] == ':') {
			for (at += size + 1; *at == ' ';)
				at++;
			snprintf(value, sizeof values[0], "%.*s", (int)(line_end - at), at);
			break;
		}
		at = line_end + 2;
	}
	return value;
}

/* ---- what tests hold ---- */

void assert_segment(const struct heard *heard, uint64_t confirmed_ns, uint64_t interval_s, unsigned segments,
		    unsigned k)
{
	uint64_t segment_ns = interval_s * SIM_S / segments, boundary_ns = confirmed_ns + k * segment_ns;
	cr_assert(heard, "refresh %u of %u was not sent", k, segments - 1);
	cr_assert(heard->at_ns >= boundary_ns - segment_ns / 10 && heard->at_ns <= boundary_ns + SIM_MS,
		  "refresh %u of %u after %.6f s", k, segments - 1, (double)(heard->at_ns - confirmed_ns) / 1e9);
}

void assert_ends(struct duel *d, uint64_t at_ns, enum cdr_end_reason reason)
{
	run_until(d, at_ns - 1);
	cr_assert_eq(count(&d->a, "BYE") + count(&d->b, "BYE"), 0, "a BYE too early");
	cr_assert_eq(d->call->cdr_count, 0);
	run_until(d, at_ns + 3 * SIM_MS);
	struct heard *a = nth(&d->a, "BYE", 0), *b = nth(&d->b, "BYE", 0);
	cr_assert(a && b, "no BYE to the %s", a ? "callee" : "caller");
	cr_assert(a->at_ns >= at_ns && a->at_ns <= at_ns + SIM_MS, "BYE to the caller %.6f s off",
		  ((double)a->at_ns - (double)at_ns) / 1e9);
	cr_assert(b->at_ns >= at_ns && b->at_ns <= at_ns + SIM_MS, "BYE to the callee %.6f s off",
		  ((double)b->at_ns - (double)at_ns) / 1e9);
	const struct cdr *cdr = cdr_of(d->call);
	cr_assert_eq(cdr->end_reason, reason, "%s", cdr_end_reason_name(cdr->end_reason));
	cr_assert_eq(cdr->end_side, CDR_SIDE_SWITCH);
	cr_assert_eq(cdr->hold_ms, (int64_t)((at_ns - d->up_ns) / SIM_MS), "hold_ms %lld", (long long)cdr->hold_ms);
	cr_assert_eq(cdr->sip_code, 200);
}

void assert_expires(struct duel *d, uint64_t at_ns)
{
	assert_ends(d, at_ns, CDR_END_session_timeout);
	assert_header(nth(&d->a, "BYE", 0), "Reason", SESSION_EXPIRED);
	assert_header(nth(&d->b, "BYE", 0), "Reason", SESSION_EXPIRED);
}

void assert_last_confirmed(struct duel *d, uint64_t at_ns)
{
	int64_t is_us = cdr_of(d->call)->last_confirmed_us, should_us = sim_real_us(d->sim, at_ns);
	cr_assert_eq(is_us, should_us, "last_confirmed_us is %lld us off", (long long)(is_us - should_us));
}

void hang_up(struct duel *d)
{
	d->a.gone = d->b.gone = false;
	say(&d->a, "BYE", NULL, BYTES_NONE);
	run(d, SIM_S);
	assert_reason(d->call, normal);
}

void over(struct duel *d)
{
	struct sim *sim = d->sim;
	if (!d->call->cdr_count && d->up_ns)
		hang_up(d);
	finish(sim);
	for (unsigned i = 0; i < duel_count;)
		if (duels[i].sim == sim)
			duels[i] = duels[--duel_count];
		else
			i++;
}
