#include "tests/sim/peer.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/watch.h"

#define T2 (4 * SIM_S)

/* ---- hosts ---- */

static struct host *add_host(struct sim *sim, bool is_caller, unsigned index)
{
	struct host *host = &sim->hosts[sim->host_count++];
	assert(sim->host_count <= SIM_HOSTS_MAX);
	host->is_caller = is_caller;
	host->index = index;
	uint8_t side = is_caller ? 1 : 2, number = (uint8_t)(index + 1);
	host->address = (struct address){ .family = 4, .port = 5060, .ip = { 10, side, 0, number } };
	if (sim->settings.six[!is_caller])
		host->address =
			(struct address){ .family = 6, .port = 5060, .ip = { 0xfd, 0, 0, side, [15] = number } };
	host->to_node = host->from_node = sim->settings.link;
	snprintf(host->name, sizeof host->name, host->address.family == 6 ? "[fd00:%u::%u]:5060" : "10.%u.0.%u:5060",
		 side, number);
	return host;
}

void peer_create_hosts(struct sim *sim)
{
	for (unsigned i = 0; i < SIM_CALLERS; i++)
		add_host(sim, true, i);
	for (unsigned i = 0; i < SIM_CALLEES; i++)
		add_host(sim, false, i);
}

void peer_send_raw(struct sim *sim, struct host *host, struct bytes datagram)
{
	network_to_node(sim, host, datagram);
}

static void send(struct ua *ua, struct bytes text)
{
	if (!ua->dead && !ua->mute && !ua->rebooted && ua->sim->now_ns >= ua->asleep_until_ns)
		proxy_send(ua, text);
}

/* ---- calls by name ---- */

static uint32_t proof(const struct sim *sim, unsigned serial)
{
	uint64_t x = (sim->settings.seed + serial + 1) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint32_t)((x ^ x >> 31) * UINT64_C(0x94d049bb133111eb) >> 38) % 100000000u;
}

/* The call that exactly these digits name. */
static struct sim_call *call_of_digits(struct sim *sim, const char *at)
{
	unsigned serial = 0, digits = 0;
	if (memcmp(at, "880", 3) != 0)
		return NULL;
	for (unsigned i = 3; i < 9; i++)
		serial = serial * 10 + (unsigned)(at[i] - '0');
	for (unsigned i = 9; i < 17; i++)
		digits = digits * 10 + (unsigned)(at[i] - '0');
	return serial < sim->call_count && digits == proof(sim, serial) ? sim->by_serial[serial] : NULL;
}

/* A number that was damaged on its way names no call, rather than another one.  Rules of the gateways may have put
 * something in front of it or behind it. */
struct sim_call *peer_call_of_number(struct sim *sim, struct bytes user)
{
	struct sim_call *call = NULL;
	for (uint32_t i = 0; !call && i + 3 + 6 + 8 <= user.size; i++)
		call = call_of_digits(sim, user.at + i);
	return call;
}

struct sim_call *peer_call_of_id(struct sim *sim, struct bytes call_id)
{
	unsigned serial = 0;
	if (sim->settings.hops) { /* the Call-IDs are of the node before */
		for (struct sim_call *call = sim->calls; call; call = call->next)
			if (wire_is(call_id, call->call_id))
				return call;
		return NULL;
	}
	if (call_id.size < 5 || memcmp(call_id.at, "sim-", 4) != 0)
		return NULL;
	for (unsigned i = 4; i < call_id.size && call_id.at[i] >= '0' && call_id.at[i] <= '9'; i++)
		serial = serial * 10 + (unsigned)(call_id.at[i] - '0');
	return serial < sim->call_count && wire_is(call_id, sim->by_serial[serial]->call_id) ? sim->by_serial[serial]
											     : NULL;
}

struct sim_call *peer_expect(struct sim *sim, const struct script *script)
{
	struct sim_call *call = sim_alloc(sim, sizeof *call);
	if (sim->call_count == sim->call_room) {
		sim->call_room = sim->call_room ? 2 * sim->call_room : 64;
		sim->by_serial = realloc(sim->by_serial, sim->call_room * sizeof(struct sim_call *));
		assert(sim->by_serial);
	}
	call->serial = sim->call_count;
	call->script = *script;
	call->damaged = call->excused = sim->settings.starved;
	call->next = sim->calls;
	sim->calls = call;
	sim->by_serial[sim->call_count++] = call;
	snprintf(call->number, sizeof call->number, "880%06u%08u", call->serial, proof(sim, call->serial));
	return call;
}

struct sim_call *sim_place(struct sim *sim, const struct script *script)
{
	struct sim_call *call = peer_expect(sim, script);
	sim->counts.calls++;
	snprintf(call->call_id, sizeof call->call_id, "sim-%u-%08x@%s", call->serial, proof(sim, call->serial + 500000),
		 sim->hosts[script->caller].name);
	struct ua *ua = peer_ua(sim, &sim->hosts[script->caller], call, bytes_of(call->call_id));
	ua->is_caller = true;
	call->caller = ua;
	dialog_begin_caller(ua);
	return call;
}

/* ---- dialogs ---- */

struct ua *peer_ua(struct sim *sim, struct host *host, struct sim_call *call, struct bytes call_id)
{
	struct ua *ua = sim_alloc(sim, sizeof *ua);
	ua->sim = sim;
	ua->host = host;
	ua->call = call;
	ua->next = host->uas;
	host->uas = ua;
	assert(call_id.size < sizeof ua->call_id);
	memcpy(ua->call_id, call_id.at, call_id.size);
	snprintf(ua->local_tag, sizeof ua->local_tag, "t%llx",
		 (unsigned long long)(sim_random(sim, SIM_TRAFFIC) >> 20));
	return ua;
}

struct ua *peer_fork(struct ua *ua, const struct taken *invite)
{
	struct ua *fork = peer_ua(ua->sim, ua->host, ua->call, bytes_of(ua->call_id));
	struct ua *next = fork->next;
	char tag[sizeof fork->local_tag];
	memcpy(tag, fork->local_tag, sizeof tag);
	*fork = *ua;
	memcpy(fork->local_tag, tag, sizeof tag);
	fork->next = next;
	fork->next_of_call = ua->call->callees;
	ua->call->callees = fork;
	fork->fork = true;
	fork->sent = NULL;
	fork->taken = sim_alloc(ua->sim, sizeof *fork->taken);
	*fork->taken = *invite;
	fork->taken->ua = fork;
	fork->taken->next = NULL;
	return fork;
}

static bool hears(const struct ua *ua)
{
	return !ua->dead && !ua->deaf && ua->sim->now_ns >= ua->asleep_until_ns;
}

static struct ua *find_ua(const struct host *host, struct bytes call_id, struct bytes local_tag)
{
	for (struct ua *ua = host->uas; ua; ua = ua->next)
		if (!ua->rebooted && wire_is(call_id, ua->call_id) &&
		    (local_tag.size ? wire_is(local_tag, ua->local_tag) : !ua->fork))
			return ua;
	return NULL;
}

static struct bytes keep(struct sim *sim, struct bytes text)
{
	char *copy = sim_alloc(sim, text.size + 1);
	memcpy(copy, text.at, text.size);
	return (struct bytes){ copy, text.size };
}

/* ---- sessions ---- */

static void write_session(struct page *p, char side, unsigned serial, unsigned version)
{
	p->size = 0;
	page_add(p,
		 "v=0\r\no=%c %u %u IN IP4 10.9.0.1\r\ns=-\r\nc=IN IP4 10.9.0.1\r\nt=0 0\r\nm=audio %u RTP/AVP 8 0\r\n"
		 "a=%s\r\n",
		 side, serial, version, 20000 + serial % 20000, version % 3 == 2 ? "sendonly" : "sendrecv");
}

struct bytes session_of(struct ua *ua)
{
	struct page page = { .size = 0 };
	write_session(&page, ua->is_caller ? 'c' : 'e', ua->call ? ua->call->serial : 0, ua->session);
	return keep(ua->sim, page_bytes(&page));
}

bool session_is_good(const struct ua *ua, struct bytes body)
{
	static struct page page;
	unsigned serial, version;
	char text[1024], side;
	if (!body.size || !ua->call || ua->call->damaged)
		return true;
	snprintf(text, sizeof text, "%.*s", TEXT(body));
	if (sscanf(text, "v=0\r\no=%c %u %u ", &side, &serial, &version) != 3)
		return false;
	write_session(&page, ua->is_caller ? 'e' : 'c', ua->call->serial, version);
	return bytes_equal(page_bytes(&page), body);
}

/* ---- requests of ours ---- */

static void resend_request(struct sim *sim, void *context)
{
	struct sent *sent = context;
	bool invite = strcmp(sent->method, "INVITE") == 0;
	if (!sent->resending || sent->ua->dead || sent->ua->rebooted)
		return;
	if (sim->now_ns >= sent->started_ns + SIM_64T1) {
		sent->resending = false;
		sent->over = true;
		dialog_timeout(sent->ua, sent);
		return;
	}
	send(sent->ua, sent->text);
	sim->counts.retransmissions++;
	sent->wait_ns = sent->wait_ns * 2 > T2 && !invite ? T2 : sent->wait_ns * 2;
	uint64_t at_ns = sim->now_ns + sent->wait_ns, end_ns = sent->started_ns + SIM_64T1;
	sim_at(sim, at_ns < end_ns ? at_ns : end_ns, resend_request, sent);
}

static void add_via(struct page *p, const struct ua *ua, const char *branch)
{
	page_add(p, "Via: SIP/2.0/UDP %s;branch=%s;rport\r\nMax-Forwards: 70\r\n", ua->host->name, branch);
}

static void add_dialog(struct page *p, const struct ua *ua, uint32_t cseq, const char *method)
{
	page_add(p, "From: %s;tag=%s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %u %s\r\n", ua->local, ua->local_tag, ua->remote,
		 ua->call_id, cseq, method);
}

static void add_contact(struct page *p, const struct ua *ua)
{
	page_add(p, "Contact: <sip:%s-%u@%s>\r\n", ua->local_tag, ua->contact, ua->host->name);
}

static struct sent *begin_sent(struct ua *ua, const char *method, uint32_t cseq, const char *branch,
			       const struct page *p)
{
	struct sent *sent = sim_alloc(ua->sim, sizeof *sent);
	sent->ua = ua;
	sent->cseq = cseq;
	snprintf(sent->method, sizeof sent->method, "%s", method);
	snprintf(sent->branch, sizeof sent->branch, "%s", branch);
	sent->text = keep(ua->sim, page_bytes(p));
	sent->wait_ns = SIM_T1;
	sent->started_ns = ua->sim->now_ns;
	sent->resending = true;
	sent->next = ua->sent;
	ua->sent = sent;
	send(ua, sent->text);
	sim_at(ua->sim, ua->sim->now_ns + SIM_T1, resend_request, sent);
	return sent;
}

struct sent *peer_request(struct ua *ua, const char *method, struct bytes body, const char *headers,
			  enum step_kind step)
{
	struct page page = { .size = 0 };
	char branch[48];
	bool target = strcmp(method, "INVITE") == 0 || strcmp(method, "UPDATE") == 0;
	snprintf(branch, sizeof branch, "z9hG4bK-s-%llx", (unsigned long long)sim_random(ua->sim, SIM_TRAFFIC));
	page_add(&page, "%s %s SIP/2.0\r\n", method, ua->target);
	add_via(&page, ua, branch);
	add_dialog(&page, ua, ++ua->cseq_out, method);
	if (target) {
		add_contact(&page, ua);
		timer_add_request(ua, &page, method, ua->is_caller && ua->state == UA_EARLY);
	}
	page_add(&page, "%s", headers ? headers : "");
	page_end(&page, target || strcmp(method, "PRACK") == 0 ? "application/sdp" : "text/plain", body);
	struct sent *sent = begin_sent(ua, method, ua->cseq_out, branch, &page);
	sent->offered = body.size > 0;
	sent->contact = target ? ua->contact : 0;
	sent->step = step;
	if (strcmp(method, "INVITE") == 0)
		ua->invite = sent;
	return sent;
}

void peer_cancel(struct ua *ua, struct sent *invite)
{
	struct page page = { .size = 0 };
	page_add(&page, "CANCEL %s SIP/2.0\r\n", ua->target);
	add_via(&page, ua, invite->branch);
	add_dialog(&page, ua, invite->cseq, "CANCEL");
	page_end(&page, "", BYTES_NONE);
	invite->cancelled = true;
	begin_sent(ua, "CANCEL", invite->cseq, invite->branch, &page);
}

/* ACK: of a 2xx a request of its own, of another final response part of the INVITE's transaction. */
void peer_ack(struct sent *invite, struct bytes body)
{
	struct ua *ua = invite->ua;
	struct page page = { .size = 0 };
	char branch[48];
	bool success = invite->status < 300;
	snprintf(branch, sizeof branch, "z9hG4bK-a-%llx", (unsigned long long)sim_random(ua->sim, SIM_TRAFFIC));
	page_add(&page, "ACK %s SIP/2.0\r\n", ua->target);
	add_via(&page, ua, success ? branch : invite->branch);
	add_dialog(&page, ua, invite->cseq, "ACK");
	page_end(&page, "application/sdp", body);
	invite->ack = keep(ua->sim, page_bytes(&page));
	send(ua, invite->ack);
}

static void take_response(struct sim *sim, struct host *host, const struct wire *w)
{
	for (struct ua *ua = host->uas; ua; ua = ua->next) {
		if (!hears(ua) || ua->rebooted || !wire_is(w->call_id, ua->call_id))
			continue;
		for (struct sent *sent = ua->sent; sent; sent = sent->next) {
			/* The lowest Via is its own; those of proxies go on their way. */
			struct bytes branch = BYTES_NONE;
			if (w->via_count <= WIRE_LIST_MAX)
				wire_parameter(w->vias[w->via_count - 1], "branch", &branch);
			if (!wire_is(branch, sent->branch) || !wire_method_is(w, sent->method))
				continue;
			bool repeated = sent->status >= 200;
			/* Out of order, and then the dialog was gone: either answer may overtake the other. */
			bool unordered =
				(sent->status == 500 && w->status == 481) || (sent->status == 481 && w->status == 500);
			if (repeated && w->status != sent->status && w->status >= 200 && !ua->call->excused &&
			    !unordered)
				sim_fail(sim, ua->call, "two-answers", "%s got %u and then %u", sent->method,
					 sent->status, w->status);
			if (w->status >= 200 || strcmp(sent->method, "INVITE") == 0)
				sent->resending = false;
			if (w->status >= 200)
				sent->over = true;
			if (!repeated)
				sent->status = w->status;
			if (w->status >= 200 && w->status < 300 && sent->contact > ua->agreed) {
				ua->agreed = sent->contact;
				ua->agreed_ns = sim->now_ns;
			}
			dialog_response(ua, sent, w, repeated);
			return;
		}
	}
}

/* ---- requests of the node ---- */

static void resend_response(struct sim *sim, void *context)
{
	struct taken *taken = context;
	if (!taken->resending || taken->acked || taken->ua->dead || taken->ua->rebooted)
		return;
	if (sim->now_ns >= taken->started_ns + SIM_64T1) {
		taken->resending = false;
		dialog_no_ack(taken->ua, taken);
		return;
	}
	send(taken->ua, taken->response);
	sim->counts.retransmissions++;
	taken->wait_ns = taken->wait_ns * 2 > T2 ? T2 : taken->wait_ns * 2;
	uint64_t at_ns = sim->now_ns + taken->wait_ns, end_ns = taken->started_ns + SIM_64T1;
	sim_at(sim, at_ns < end_ns ? at_ns : end_ns, resend_response, taken);
}

void peer_respond(struct taken *taken, unsigned status, const char *headers, struct bytes body)
{
	struct ua *ua = taken->ua;
	struct page page = { .size = 0 };
	struct wire w;
	bool read = wire_read(taken->request, &w), invite = strcmp(taken->method, "INVITE") == 0;
	assert(read);
	page_add(&page, "SIP/2.0 %u Simulated\r\nVia: %.*s\r\nFrom: %.*s\r\nTo: %.*s", status, TEXT(w.via),
		 TEXT(w.from), TEXT(w.to));
	if (!w.to_tag.size && status > 100)
		page_add(&page, ";tag=%s", ua->local_tag);
	page_add(&page, "\r\nCall-ID: %.*s\r\nCSeq: %.*s\r\n", TEXT(w.call_id), TEXT(w.cseq_line));
	if (status > 100 && status < 300 && (invite || strcmp(taken->method, "UPDATE") == 0))
		add_contact(&page, ua);
	if (status >= 200 && status < 300 && (invite || strcmp(taken->method, "UPDATE") == 0))
		timer_add_answer(ua, taken, &w, &page);
	if (invite && status > 100 && status < 300)
		proxy_add_record_routes(ua, &page, !w.to_tag.size);
	page_add(&page, "%s", headers ? headers : "");
	page_end(&page, "application/sdp", body);
	taken->status = status;
	taken->contact = ua->contact;
	taken->response = keep(ua->sim, page_bytes(&page));
	send(ua, taken->response);
	if (!invite || status < 200)
		return;
	taken->wait_ns = SIM_T1;
	taken->started_ns = ua->sim->now_ns;
	taken->resending = true;
	sim_at(ua->sim, ua->sim->now_ns + SIM_T1, resend_response, taken);
}

static struct taken *begin_taken(struct ua *ua, const struct wire *w)
{
	struct taken *taken = sim_alloc(ua->sim, sizeof *taken);
	taken->ua = ua;
	taken->host = ua->host;
	taken->request = keep(ua->sim, w->text);
	taken->cseq = w->cseq;
	snprintf(taken->method, sizeof taken->method, "%.*s", TEXT(w->method));
	snprintf(taken->branch, sizeof taken->branch, "%.*s", TEXT(w->branch));
	taken->next = ua->taken;
	ua->taken = taken;
	return taken;
}

/* A dialog with this gateway begins. */
static void take_invite(struct sim *sim, struct host *host, const struct wire *w)
{
	struct bytes user = w->uri;
	char want[80];
	user.at += user.size > 4 ? 4 : 0;
	user.size -= user.size > 4 ? 4 : 0;
	const char *at = user.size ? memchr(user.at, '@', user.size) : NULL;
	user.size = at ? (uint32_t)(at - user.at) : 0;
	struct sim_call *call = peer_call_of_number(sim, user);
	struct ua *ua = peer_ua(sim, host, call, w->call_id);
	static const struct answer refusal = { .code = 404 };
	if (call) {
		sim->counts.failovers += call->callees && call->callees->host != host;
		ua->next_of_call = call->callees;
		call->callees = ua;
		snprintf(want, sizeof want, "sip:%s@%s", call->number, host->name);
		unsigned hops = sim->settings.hops + call->script.proxies[0].count;
		if (!call->damaged && (!wire_is(w->uri, want) || w->max_forwards != 69 - hops || w->route_count ||
				       host->addressed.port != host->address.port))
			sim_fail(sim, call, "invite-as-routed",
				 "INVITE %.*s, Max-Forwards %u not %u, Route %u, port %u", TEXT(w->uri),
				 w->max_forwards, 69 - hops, w->route_count, host->addressed.port);
	}
	ua->answer = call && !host->is_caller ? &call->script.answers[host->index] : &refusal;
	snprintf(ua->remote_tag, sizeof ua->remote_tag, "%.*s", TEXT(w->from_tag));
	snprintf(ua->remote, sizeof ua->remote, "%.*s", TEXT(w->from));
	snprintf(ua->local, sizeof ua->local, "%.*s", TEXT(w->to));
	snprintf(ua->target, sizeof ua->target, "%.*s", TEXT(w->contact));
	ua->cseq_in = w->cseq;
	ua->has_cseq_in = true;
	dialog_begin_callee(ua, begin_taken(ua, w));
}

static void refuse_unknown(struct sim *sim, struct host *host, const struct wire *w)
{
	struct page page = { .size = 0 };
	if (wire_method_is(w, "ACK"))
		return;
	page_add(&page, "SIP/2.0 481 Unknown\r\nVia: %.*s\r\nFrom: %.*s\r\nTo: %.*s\r\nCall-ID: %.*s\r\nCSeq: %.*s\r\n",
		 TEXT(w->via), TEXT(w->from), TEXT(w->to), TEXT(w->call_id), TEXT(w->cseq_line));
	page_end(&page, "", BYTES_NONE);
	network_to_node(sim, host, page_bytes(&page));
}

/* RFC 3261 12.2: the node's requests carry what this dialog is known by. */
static void check_dialog(struct ua *ua, const struct wire *w)
{
	char contact[80];
	bool known = false;
	/* A request may still be on its way to where the target was before. */
	bool long_agreed = ua->sim->now_ns > ua->agreed_ns + SIM_64T1 && !sim_is_blurred(ua->sim);
	unsigned oldest = long_agreed ? ua->agreed : 0;
	for (unsigned version = oldest; version <= ua->contact && !known; version++) {
		snprintf(contact, sizeof contact, "sip:%s-%u@%s", ua->local_tag, version, ua->host->name);
		known = wire_is(w->uri, contact);
	}
	bool unanswered = ua->is_caller && (ua->state == UA_EARLY || !*ua->remote_tag);
	if (!ua->call || ua->call->excused || unanswered) /* it is of an early dialog, or overtook the 200 */
		return;
	if (!known)
		sim_fail(ua->sim, ua->call, "rfc3261-12.2-target", "%.*s %.*s is not the Contact of %s",
			 TEXT(w->method), TEXT(w->uri), ua->local_tag);
	if (!wire_is(w->from_tag, ua->remote_tag))
		sim_fail(ua->sim, ua->call, "rfc3261-12.2-tags", "%.*s with From tag %.*s, not %s", TEXT(w->method),
			 TEXT(w->from_tag), ua->remote_tag);
}

/* CANCEL, and ACK of a failure, have the request-URI of their INVITE. */
static bool is_of_invite(const struct ua *ua, const struct wire *w)
{
	for (const struct taken *taken = ua->taken; taken; taken = taken->next)
		if (strcmp(taken->method, "INVITE") == 0 && wire_is(w->branch, taken->branch))
			return true;
	return false;
}

/* 12.2.1.2: the 2xx to an INVITE moves the target, and its ACK goes there. */
static void check_ack(struct ua *ua, const struct taken *invite, const struct wire *w)
{
	char contact[80];
	bool known = !ua->call || ua->call->excused || invite->status >= 300;
	for (unsigned version = invite->contact; version <= ua->contact && !known; version++) {
		snprintf(contact, sizeof contact, "sip:%s-%u@%s", ua->local_tag, version, ua->host->name);
		known = wire_is(w->uri, contact);
	}
	if (!known)
		sim_fail(ua->sim, ua->call, "rfc3261-12.2.1.2", "ACK to %.*s, not to Contact %u of its 2xx",
			 TEXT(w->uri), invite->contact);
}

static void take_ack(struct ua *ua, const struct wire *w)
{
	for (struct taken *taken = ua->taken; taken; taken = taken->next) {
		if (strcmp(taken->method, "INVITE") != 0 || taken->cseq != w->cseq || taken->status < 200)
			continue;
		bool same_branch = wire_is(w->branch, taken->branch);
		if (same_branch != (taken->status >= 300) && !ua->call->damaged)
			sim_fail(ua->sim, ua->call, "rfc3261-17.1.1.3", "ACK of a %u has branch %.*s, its INVITE %s",
				 taken->status, TEXT(w->branch), taken->branch);
		if (!taken->acked) {
			taken->acked = true;
			check_ack(ua, taken, w);
			dialog_acked(ua, taken, w);
		}
		return;
	}
}

static void take_cancel(struct ua *ua, struct taken *cancel)
{
	for (struct taken *taken = ua->taken; taken; taken = taken->next) {
		if (strcmp(taken->method, "INVITE") != 0 || strcmp(taken->branch, cancel->branch) != 0)
			continue;
		peer_respond(cancel, 200, NULL, BYTES_NONE);
		if (taken->status < 200)
			dialog_cancelled(ua, taken);
		return;
	}
	peer_respond(cancel, 481, NULL, BYTES_NONE);
}

/* A retransmission finds the dialog that its first copy made, although a newer one has the same Call-ID. */
static struct ua *find_ua_of_request(const struct host *host, const struct wire *w)
{
	for (struct ua *ua = host->uas; ua; ua = ua->next)
		for (const struct taken *taken = ua->taken; taken; taken = taken->next)
			if (wire_is(w->branch, taken->branch) && wire_is(w->call_id, ua->call_id))
				return ua;
	return NULL;
}

static void take_request(struct sim *sim, struct host *host, const struct wire *w)
{
	struct ua *ua = w->to_tag.size ? NULL : find_ua_of_request(host, w);
	if (!ua)
		ua = find_ua(host, w->call_id, w->to_tag);
	if (ua && ua->too_small && wire_method_is(w, "INVITE") && w->cseq > ua->cseq_in)
		ua = NULL; /* again, with a larger interval (RFC 4028 7.3) */
	if (!ua && wire_method_is(w, "INVITE") && !w->to_tag.size && !host->is_caller) {
		take_invite(sim, host, w);
		return;
	}
	if (!ua) {
		refuse_unknown(sim, host, w);
		return;
	}
	if (!hears(ua))
		return;
	if (!session_is_good(ua, wire_is(w->content_type, "application/sdp") ? w->body : BYTES_NONE))
		sim_fail(sim, ua->call, "session-of-the-other-side", "%.*s brings \"%.*s\"", TEXT(w->method),
			 TEXT(w->body));
	for (struct taken *taken = ua->taken; taken; taken = taken->next) {
		if (!wire_is(w->branch, taken->branch) || !wire_method_is(w, taken->method))
			continue;
		if (taken->response.size)
			send(ua, taken->response);
		return;
	}
	struct wire routed = *w;
	if (w->to_tag.size && !is_of_invite(ua, w)) {
		proxy_take_request(ua, &routed);
		check_dialog(ua, &routed);
	}
	if (wire_method_is(w, "ACK")) {
		take_ack(ua, &routed);
		return;
	}
	struct taken *taken = begin_taken(ua, w);
	if (wire_method_is(w, "CANCEL"))
		take_cancel(ua, taken);
	else if (w->cseq <= ua->cseq_in && ua->has_cseq_in)
		peer_respond(taken, 500, NULL, BYTES_NONE); /* overtaken on the way (12.2.2) */
	else {
		ua->cseq_in = w->cseq;
		ua->has_cseq_in = true;
		dialog_request(ua, taken, w);
	}
}

void peer_receive(struct sim *sim, struct host *host, struct bytes datagram, bool damaged)
{
	struct wire w;
	if (!wire_read(datagram, &w)) { /* an answer to something damaged may lack a header */
		if (!damaged && !sim->counts.damaged && !sim->counts.garbage)
			sim_fail(sim, NULL, "whole-message", "the node sent \"%.*s\"", TEXT(datagram));
		return;
	}
	if (damaged)
		return;
	if (w.is_request)
		take_request(sim, host, &w);
	else
		take_response(sim, host, &w);
}

/* ---- the end ---- */

static bool is_open(const struct ua *ua)
{
	if (peer_is_broken(ua))
		return false;
	for (const struct sent *sent = ua->sent; sent; sent = sent->next)
		if (sent->resending)
			return true;
	for (const struct taken *taken = ua->taken; taken; taken = taken->next)
		if (taken->resending && !taken->acked)
			return true;
	return ua->state != UA_ENDED && !ua->call->excused;
}

bool peer_all_quiet(const struct sim *sim)
{
	for (unsigned i = 0; i < sim->host_count; i++)
		for (const struct ua *ua = sim->hosts[i].uas; ua; ua = ua->next)
			if (ua->call && is_open(ua))
				return false;
	return true;
}

bool peer_somebody_died(const struct sim_call *call)
{
	bool dead = peer_is_broken(call->caller);
	for (const struct ua *ua = call->callees; ua; ua = ua->next_of_call)
		dead |= peer_is_broken(ua);
	return dead;
}

static void check_ua(struct sim *sim, const struct ua *ua)
{
	const char *side = ua->is_caller ? "caller" : "callee";
	const struct script *script = &ua->call->script;
	/* The ACK of an offer waits for the other side's. */
	bool withheld = (script->delayed_offer && script->no_ack) || peer_somebody_died(ua->call);
	if (ua->state != UA_ENDED)
		sim_fail(sim, ua->call, "no-ghost-call", "the %s's dialog is still up at the end", side);
	for (const struct sent *sent = ua->sent; sent; sent = sent->next)
		if (sent->status < 200 && !peer_somebody_died(ua->call))
			sim_fail(sim, ua->call, "every-request-is-answered", "%s %u of the %s has no final response",
				 sent->method, sent->cseq, side);
	for (const struct taken *taken = ua->taken; taken; taken = taken->next)
		if (strcmp(taken->method, "INVITE") == 0 && taken->status >= 200 && !taken->acked && !withheld)
			sim_fail(sim, ua->call, "every-final-response-is-acked", "%u to INVITE %u of the %s has no ACK",
				 taken->status, taken->cseq, side);
}

void peer_check_end(struct sim *sim)
{
	for (unsigned i = 0; i < sim->host_count; i++)
		for (const struct ua *ua = sim->hosts[i].uas; ua; ua = ua->next)
			if (ua->call && !peer_is_broken(ua) && !ua->call->excused)
				check_ua(sim, ua);
}
