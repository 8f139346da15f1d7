#include "core/call/leg.h"

#include <assert.h>

#include "core/call/body.h"
#include "core/call/carry.h"
#include "core/call/exchange.h"
#include "sip/pack.h"

struct leg *leg_take(struct shard *s, uint32_t call, enum leg_side side, unsigned bucket)
{
	uint32_t index = pool_take(&s->legs);
	if (index == POOL_NONE)
		return NULL;
	struct leg *leg = leg_at(s, index);
	leg->call = call;
	leg->transactions = POOL_NONE;
	leg->body_in = leg->body_out = leg->ack_body = POOL_NONE;
	leg->boot = s->boot;
	leg->bucket = bucket & (STEER_BUCKETS - 1);
	leg->side = side & 1;
	leg->state = LEG_EARLY;
	leg->refresh = POOL_NONE;
	leg->session.due_ns = UINT64_MAX;
	wheel_entry_init(&leg->timer, WHEEL_LEG);
	return leg;
}

void leg_release(struct shard *s, struct leg *leg)
{
	leg->call = POOL_NONE;
	wheel_cancel(&s->wheel, &leg->timer);
	if (leg->over)
		return;
	leg->over = true;
	leg->slot.next_free = s->over_legs;
	s->over_legs = leg_index(s, leg);
}

void leg_give(struct shard *s, struct leg *leg)
{
	leg->over = false;
	if (leg->call != POOL_NONE || leg->transactions != POOL_NONE)
		return;
	text_give(&s->texts, leg->texts);
	body_drop(s, leg->body_in);
	body_drop(s, leg->body_out);
	body_drop(s, leg->ack_body);
	s->forks -= leg->fork;
	carry_leg_over(s, leg);
	pool_give(&s->legs, leg_index(s, leg));
}

struct ident leg_ident(const struct shard *s, const struct leg *leg)
{
	if (carry_is_carried(s, leg))
		return carry_ident(s, leg);
	return (struct ident){
		.slot = leg_index(s, leg), .generation = leg->slot.generation, .boot = leg->boot, .bucket = leg->bucket
	};
}

/* Lends the rendered token, valid until that of another leg is asked for. */
static struct bytes lend_token(const struct shard *s, const struct leg *leg)
{
	struct ident id = leg_ident(s, leg);
	struct token_memo *memo = &s->memo->tokens[leg->side];
	if (memo->leg != id.slot || memo->generation != id.generation || memo->boot != id.boot ||
	    memo->bucket != id.bucket) {
		ident_write(&s->key, &id, memo->token);
		memo->leg = id.slot;
		memo->generation = id.generation;
		memo->boot = id.boot;
		memo->bucket = id.bucket;
	}
	return (struct bytes){ memo->token, IDENT_SIZE };
}

void leg_token(const struct shard *s, const struct leg *leg, char token[static IDENT_SIZE])
{
	memcpy(token, lend_token(s, leg).at, IDENT_SIZE);
}

struct leg *leg_find(const struct shard *s, const struct ident *id)
{
	if (id->boot != s->boot)
		return carry_find(s, id);
	struct leg *leg = pool_find(&s->legs, id->slot, id->generation);
	return leg && leg->boot == id->boot && leg->bucket == id->bucket ? leg : NULL;
}

void leg_dialog(const struct shard *s, const struct leg *leg, struct dialog *ret_dialog)
{
	pack_read(text_get(&s->texts, leg->texts), ret_dialog->text, DIALOG_TEXTS);
	if (s->moved_leg != POOL_NONE && s->moved_leg == leg_index(s, leg))
		ret_dialog->text[DIALOG_TARGET] = s->moved_to;
}

bool leg_set_dialog(struct shard *s, struct leg *leg, const struct dialog *dialog)
{
	uint32_t size = pack_size(dialog->text, DIALOG_TEXTS);
	uint32_t texts = size ? text_take(&s->texts, size) : TEXT_NONE;
	if (texts == TEXT_NONE)
		return false;
	pack_write(dialog->text, DIALOG_TEXTS, text_at(&s->texts, texts));
	text_give(&s->texts, leg->texts); /* only now: the views may have pointed into it */
	leg->texts = texts;
	return true;
}

bool leg_set_target(struct shard *s, struct leg *leg, struct bytes target)
{
	struct dialog dialog;
	leg_dialog(s, leg, &dialog);
	if (bytes_equal(dialog.text[DIALOG_TARGET], target))
		return true;
	dialog.text[DIALOG_TARGET] = target;
	if (leg->call != POOL_NONE)
		carry_note(s, call_at(s, leg->call), CARRY_WHOLE);
	return leg_set_dialog(s, leg, &dialog);
}

void leg_move(struct shard *s, struct leg *leg, const struct sip_message *m)
{
	if (!m->contact.uri.size || leg_set_target(s, leg, m->contact.uri))
		return;
	s->moved_leg = leg_index(s, leg);
	s->moved_to = m->contact.uri;
}

/* The tag at the end of its own From and To; only where it is tagged. */
static struct bytes stored_tag(const struct shard *s, const struct leg *leg)
{
	struct dialog dialog;
	leg_dialog(s, leg, &dialog);
	struct bytes local = dialog.text[DIALOG_LOCAL];
	return (struct bytes){ local.at + local.size - TAG_SIZE_MAX, TAG_SIZE_MAX };
}

struct bytes leg_tag(const struct shard *s, const struct leg *leg, char room[static IDENT_SIZE])
{
	if (leg->tagged)
		return stored_tag(s, leg);
	leg_token(s, leg, room);
	return (struct bytes){ room, IDENT_SIZE };
}

unsigned leg_edition(const struct shard *s, const struct leg *leg)
{
	struct ident id;
	unsigned edition = 0;
	if (leg->tagged)
		ident_read_tag(&s->key, stored_tag(s, leg), &id, &edition);
	return edition;
}

#define TAG_PARAMETER ";tag="

/* The From/To of the leg with another tag. */
static struct bytes tagged_local(struct shard *s, const struct leg *leg, struct bytes local, struct bytes tag)
{
	struct builder b;
	if (leg->tagged)
		local.size -= (uint32_t)sizeof TAG_PARAMETER - 1 + TAG_SIZE_MAX;
	build_begin(&b, s->work, DATAGRAM_MAX);
	build_bytes(&b, local);
	if (tag.size == TAG_SIZE_MAX) { /* without an edition it is not stored */
		build_text(&b, TAG_PARAMETER);
		build_bytes(&b, tag);
	}
	return b.overflow ? BYTES_NONE : (struct bytes){ s->work, (uint32_t)build_size(&b) };
}

/* The head of responses with another tag in it.  Nobody but us could have written the old one, so it is the To's. */
static uint32_t retagged_head(struct shard *s, struct bytes head, struct bytes old, struct bytes new)
{
	struct builder b;
	const char *at = head.size ? memmem(head.at, head.size, old.at, old.size) : NULL;
	if (!at)
		return TEXT_NONE;
	uint32_t before = (uint32_t)(at - head.at), after = before + old.size;
	build_begin(&b, s->work, DATAGRAM_MAX);
	build_bytes(&b, (struct bytes){ head.at, before });
	build_bytes(&b, new);
	build_bytes(&b, (struct bytes){ head.at + after, head.size - after });
	return b.overflow ? TEXT_NONE : text_put(&s->texts, (struct bytes){ s->work, (uint32_t)build_size(&b) });
}

void leg_set_edition(struct shard *s, struct leg *leg, struct transaction *invite, unsigned edition)
{
	char old_room[TAG_SIZE_MAX], new_room[TAG_SIZE_MAX], token[IDENT_SIZE];
	struct dialog dialog;
	unsigned before = leg_edition(s, leg);
	if (edition > EDITION_MAX || edition == before)
		return;
	leg_token(s, leg, token);
	struct bytes own = { token, IDENT_SIZE };
	struct bytes old = { old_room, ident_make_tag(own, before, old_room) };
	struct bytes new = { new_room, ident_make_tag(own, edition, new_room) };
	uint32_t head = retagged_head(s, text_get(&s->texts, invite->head), old, new);
	if (head == TEXT_NONE)
		return;
	leg_dialog(s, leg, &dialog);
	dialog.text[DIALOG_LOCAL] = tagged_local(s, leg, dialog.text[DIALOG_LOCAL], new);
	if (!dialog.text[DIALOG_LOCAL].size || !leg_set_dialog(s, leg, &dialog)) {
		text_give(&s->texts, head);
		return;
	}
	leg->tagged = edition > 0;
	text_give(&s->texts, invite->head);
	invite->head = head;
}

struct bytes leg_call_id(const struct shard *s, const struct leg *leg, char token[static IDENT_SIZE])
{
	struct dialog dialog;
	leg_dialog(s, leg, &dialog);
	if (dialog.text[DIALOG_CALL_ID].size)
		return dialog.text[DIALOG_CALL_ID];
	leg_token(s, leg, token);
	return (struct bytes){ token, IDENT_SIZE };
}

bool leg_call_id_is(const struct shard *s, const struct leg *leg, struct bytes token, struct bytes call_id)
{
	struct dialog dialog;
	leg_dialog(s, leg, &dialog);
	bool minted = !dialog.text[DIALOG_CALL_ID].size;
	return bytes_equal(minted ? token : dialog.text[DIALOG_CALL_ID], call_id);
}

bool leg_learn(struct shard *s, struct leg *leg, const struct sip_message *response)
{
	struct dialog dialog;
	leg_dialog(s, leg, &dialog);
	struct builder b;
	build_begin(&b, s->work, DATAGRAM_MAX);
	dialog_build_routes(&b, response, true);
	if (b.overflow)
		return false;
	dialog.text[DIALOG_ROUTES] = (struct bytes){ s->work, (uint32_t)build_size(&b) };
	dialog.text[DIALOG_REMOTE] = sip_header(response, SIP_H_TO);
	if (response->contact.uri.size)
		dialog.text[DIALOG_TARGET] = response->contact.uri;
	if (!leg_set_dialog(s, leg, &dialog))
		return false;
	leg->remote_tag_hash = table_hash32(&s->table, response->to.tag);
	return true;
}

bool leg_forget_early(struct shard *s, struct leg *leg, struct bytes sent)
{
	struct dialog dialog;
	leg_dialog(s, leg, &dialog);
	pack_read(sent, &dialog.text[DIALOG_REMOTE], 2);
	dialog.text[DIALOG_ROUTES] = BYTES_NONE;
	if (!leg_set_dialog(s, leg, &dialog))
		return false;
	leg->remote_tag_hash = 0;
	leg->has_remote_cseq = false;
	return true;
}

bool leg_remote_tag_is(const struct shard *s, const struct leg *leg, struct bytes tag)
{
	return leg->remote_tag_hash == table_hash32(&s->table, tag);
}

/* An address one may send a request to, whatever a Contact says: not multicast, broadcast or unspecified. */
static bool is_unicast(const struct address *a)
{
	if (a->family == 4)
		return a->ip[0] != 0 && a->ip[0] < 224;
	static const uint8_t unspecified[16];
	return a->family == 6 && a->ip[0] != 0xff && memcmp(a->ip, unspecified, sizeof unspecified) != 0;
}

void leg_heard_from(struct leg *leg, const struct flow *from)
{
	if (from->transport != leg->flow.transport)
		return;
	leg->flow.peer = from->peer;
	leg->flow.connection = from->connection;
	leg->flow.connection_generation = from->connection_generation;
}

/* 19.1.1: the transport that a URI names; false: none, or one that is not ours. */
static bool transport_of(struct bytes uri, enum transport *ret_transport)
{
	struct sip_uri parts;
	struct bytes name;
	if (!sip_read_uri(uri, &parts) || !sip_parameter(parts.parameters, BYTES("transport"), &name))
		return false;
	*ret_transport = bytes_equal_nocase(name, BYTES("tcp")) ? TRANSPORT_TCP : TRANSPORT_UDP;
	return *ret_transport == TRANSPORT_TCP || bytes_equal_nocase(name, BYTES("udp"));
}

static uint16_t port_of(struct bytes uri)
{
	struct sip_uri parts;
	return sip_read_uri(uri, &parts) && parts.port ? parts.port : 5060;
}

/* The dialog leaves its listener for one of that transport, of the same host if there is one. */
static void change_transport(const struct shard *s, enum transport transport, struct flow *flow)
{
	const struct listen_config *own = listen_of(s, flow), *best = NULL;
	for (uint32_t i = 0; i < s->config->listen_count; i++) {
		const struct listen_config *l = &s->config->listens[i];
		if (l->transport != transport || l->address.family != own->address.family)
			continue;
		if (!best || (address_same_host(&l->address, &own->address) &&
			      !address_same_host(&best->address, &own->address)))
			best = l;
	}
	if (!best)
		return;
	flow->listener = (uint16_t)(best - s->config->listens);
	flow->transport = (uint8_t)transport;
	flow->connection = flow->connection_generation = 0;
}

bool leg_follow_routes(const struct shard *s, const struct dialog *dialog, struct flow *flow)
{
	struct address address;
	enum transport transport;
	struct bytes hop = dialog_next_hop(dialog);
	if (s->config->listen_count > 1 && transport_of(hop, &transport) &&
	    transport != (enum transport)flow->transport)
		change_transport(s, transport, flow);
	if (!sip_uri_address(hop, &address) || !is_unicast(&address) ||
	    address.family != listen_of(s, flow)->address.family)
		return false;
	flow->peer = address;
	return true;
}

void leg_destination(const struct shard *s, const struct leg *leg, struct flow *ret_flow)
{
	struct dialog dialog;
	leg_dialog(s, leg, &dialog);
	*ret_flow = leg->flow;
	if (leg->fork) /* its flow is where all that is sent to it goes (core/call/late.c) */
		return;
	if (!leg_follow_routes(s, &dialog, ret_flow) && flow_is_reliable(ret_flow) && leg->side == LEG_CALLER)
		ret_flow->peer.port = port_of(dialog_next_hop(&dialog)); /* its connection's own is nobody's */
}

void leg_build_contact(const struct shard *s, struct builder *b, const struct leg *leg)
{
	build_text(b, "Contact: <sip:");
	build_bytes(b, lend_token(s, leg));
	build_text(b, "@");
	build_bytes(b, bytes_of(listen_of(s, &leg->flow)->host_port));
	if (flow_is_reliable(&leg->flow))
		build_text(b, ";transport=tcp");
	build_text(b, ">\r\n");
}

/* The tag of what we send in its dialog, where it is not stored: that of a fork was made of another token, and is, and
 * so is a later edition. */
static struct bytes local_tag(const struct shard *s, const struct leg *leg, char room[static IDENT_SIZE])
{
	if (leg->fork || leg->tagged)
		return BYTES_NONE;
	leg_token(s, leg, room);
	return (struct bytes){ room, IDENT_SIZE };
}

static void build_head(struct shard *s, struct builder *b, const struct leg *leg, const struct flow *to,
		       struct bytes method, uint32_t cseq, uint16_t branch_sequence, uint32_t max_forwards)
{
	char token[IDENT_SIZE], tag[IDENT_SIZE], branch[BRANCH_SIZE];
	struct dialog dialog;
	leg_dialog(s, leg, &dialog);
	ident_make_branch(lend_token(s, leg), branch_sequence, branch);
	struct dialog_request request = {
		.method = method,
		.call_id = leg_call_id(s, leg, token),
		.transport = flow_via(to),
		.sent_by = bytes_of(listen_of(s, to)->host_port),
		.branch = { branch, BRANCH_SIZE },
		.cseq = cseq,
		.max_forwards = max_forwards,
		.local_tag = local_tag(s, leg, tag),
	};
	dialog_build_request(b, &dialog, &request);
}

/* What the CANCEL and the ACK of a re-INVITE repeat of it, should the target move meanwhile.  Without room they have
 * the target of their own moment. */
static void keep_head(struct shard *s, const struct leg *leg, struct transaction *tx)
{
	struct dialog dialog;
	leg_dialog(s, leg, &dialog);
	uint32_t size = pack_size(&dialog.text[DIALOG_REMOTE], 2);
	tx->head = size ? text_take(&s->texts, size) : TEXT_NONE;
	if (tx->head != TEXT_NONE)
		pack_write(&dialog.text[DIALOG_REMOTE], 2, text_at(&s->texts, tx->head));
}

struct transaction *leg_request(struct shard *s, struct leg *leg, enum sip_method method, enum transaction_role role,
				uint32_t max_forwards, struct builder *b)
{
	struct transaction *tx = exchange_take(s, leg, method == SIP_INVITE ? INVITE_CLIENT : CLIENT, method, role);
	if (!tx)
		return NULL;
	tx->cseq = ++leg->local_cseq;
	if (tx->cseq % CARRY_CSEQ_STEP == 0 && leg->call != POOL_NONE)
		carry_note_leg(s, call_at(s, leg->call), leg);
	if (method == SIP_INVITE)
		leg->invite_cseq = tx->cseq;
	tx->branch_sequence = BRANCH_REQUEST(leg->branch_sequence++);
	if (role == ROLE_SETUP)
		tx->flow = leg->flow; /* the RG, whatever its URI says */
	else
		leg_destination(s, leg, &tx->flow);
	if (method == SIP_INVITE && leg->state != LEG_EARLY)
		keep_head(s, leg, tx);
	datagram_begin(s, b);
	build_head(s, b, leg, &tx->flow, sip_method_name(method), tx->cseq, tx->branch_sequence, max_forwards);
	return tx;
}

static void begin_ack(struct shard *s, struct leg *leg, uint32_t cseq, uint32_t body, struct flow *to,
		      struct builder *b)
{
	if (cseq > leg->ack_cseq) {
		leg->ack_cseq = cseq;
		body_replace(s, &leg->ack_body, body_share(s, body));
	}
	leg_destination(s, leg, to);
	datagram_begin(s, b);
	build_head(s, b, leg, to, BYTES("ACK"), cseq, BRANCH_ACK(cseq), 70);
}

void leg_ack(struct shard *s, struct leg *leg, uint32_t cseq, uint32_t body)
{
	struct builder b;
	struct flow to;
	begin_ack(s, leg, cseq, body, &to, &b);
	body_build(s, &b, body);
	datagram_send(s, &b, &to);
}

void leg_ack_with(struct shard *s, struct leg *leg, uint32_t body, const struct sip_message *m)
{
	struct builder b;
	struct flow to;
	begin_ack(s, leg, leg->invite_cseq, body, &to, &b);
	body_build_from(&b, m);
	datagram_send(s, &b, &to);
}

void leg_ack_ended(struct shard *s, struct leg *leg, const struct sip_message *m)
{
	leg_move(s, leg, m);
	leg_ack(s, leg, m->cseq, POOL_NONE);
}

void leg_ack_without_answer(struct shard *s, struct leg *leg)
{
	if (leg->ack_wanted)
		leg_ack(s, leg, leg->invite_cseq, POOL_NONE);
	leg->ack_wanted = false;
}

void leg_bye(struct shard *s, struct leg *leg, struct bytes reason)
{
	struct builder b;
	struct flow to;
	leg->state = LEG_ENDED;
	struct transaction *tx = leg_request(s, leg, SIP_BYE, ROLE_LOCAL, 70, &b);
	if (!tx) {
		shard_log(s, 4, "event=bye_sent_once reason=\"no transaction left\"");
		leg_destination(s, leg, &to);
		datagram_begin(s, &b);
		build_head(s, &b, leg, &to, BYTES("BYE"), ++leg->local_cseq, BRANCH_REQUEST(leg->branch_sequence++),
			   70);
	}
	if (reason.size)
		build_header(&b, "Reason: ", reason);
	build_body(&b, BYTES_NONE);
	if (tx)
		exchange_send(s, tx, &b);
	else
		datagram_send(s, &b, &to);
}

/* The CANCEL has the INVITE's request-URI, Via, CSeq number, From, To without tag, and Route (9.1).  Inside a dialog
 * the To keeps its tag, as the INVITE had it. */
static void build_cancel(struct shard *s, struct builder *b, const struct leg *leg, const struct transaction *invite)
{
	struct dialog dialog;
	char token[IDENT_SIZE], tag[IDENT_SIZE], branch[BRANCH_SIZE];
	if (invite->head == TEXT_NONE) {
		build_head(s, b, leg, &invite->flow, BYTES("CANCEL"), invite->cseq, invite->branch_sequence, 70);
		return;
	}
	/* The early dialog has changed the leg's texts since: what the INVITE said is kept. */
	leg_dialog(s, leg, &dialog);
	ident_make_branch(lend_token(s, leg), invite->branch_sequence, branch);
	pack_read(text_get(&s->texts, invite->head), &dialog.text[DIALOG_REMOTE], 2);
	if (invite->role == ROLE_SETUP)
		dialog.text[DIALOG_ROUTES] = BYTES_NONE;
	struct dialog_request request = {
		.method = BYTES("CANCEL"),
		.call_id = leg_call_id(s, leg, token),
		.transport = flow_via(&invite->flow),
		.sent_by = bytes_of(listen_of(s, &invite->flow)->host_port),
		.branch = { branch, BRANCH_SIZE },
		.cseq = invite->cseq,
		.max_forwards = 70,
		.local_tag = local_tag(s, leg, tag),
	};
	dialog_build_request(b, &dialog, &request);
}

static void send_cancel(struct shard *s, struct leg *leg, struct transaction *invite)
{
	struct transaction *tx = exchange_take(s, leg, CLIENT, SIP_CANCEL, ROLE_LOCAL);
	struct builder b;
	exchange_end_after_64t1(s, invite);
	datagram_begin(s, &b);
	build_cancel(s, &b, leg, invite);
	if (invite->reason != TEXT_NONE)
		build_header(&b, "Reason: ", text_get(&s->texts, invite->reason));
	build_body(&b, BYTES_NONE);
	if (tx) {
		tx->cseq = invite->cseq;
		tx->branch_sequence = invite->branch_sequence;
		tx->flow = invite->flow;
		exchange_send(s, tx, &b);
	} else {
		datagram_send(s, &b, &invite->flow);
	}
	invite->cancelled = true;
}

void leg_cancel(struct shard *s, struct leg *leg, struct transaction *invite)
{
	assert(invite->kind == INVITE_CLIENT);
	if (invite->cancelled || invite->state == TRANSACTION_NONE)
		return;
	/* On an orderly stop there is no later: better a CANCEL too early than a telephone that rings on. */
	if (invite->state == TRANSACTION_PROCEEDING || s->stopping) {
		send_cancel(s, leg, invite);
		invite->cancel_wanted = false;
	} else {
		invite->cancel_wanted = true;
		exchange_stop_resending(s, invite);
	}
}
