#include "core/call/late.h"

#include "core/call/carry.h"
#include "core/call/exchange.h"
#include "core/call/leg.h"
#include "core/call/stranger.h"
#include "sip/pack.h"

/* Whether a failure can be that of a re-INVITE: a callee that has refused its first had early dialogs at most, and one
 * that took the second, after a 422, may still repeat the refusal of the first, which has another tag. */
static bool had_dialog(const struct shard *s, const struct leg *leg, const struct sip_message *m)
{
	return leg->state != LEG_EARLY &&
	       (leg->side == LEG_CALLER || (leg->ack_cseq && leg_remote_tag_is(s, leg, m->to.tag)));
}

/* The INVITE went there, whatever a reload has made of that gateway since. */
static bool is_of_the_peer(const struct leg *leg, const struct flow *from)
{
	return leg && address_same_host(&leg->flow.peer, &from->peer);
}

void late_ack_failure(struct shard *s, const struct leg *leg, const struct transaction *tx, const struct sip_message *m,
		      const struct flow *from)
{
	struct dialog dialog = { 0 };
	struct bytes sent[2]; /* To and request-URI of the INVITE */
	struct builder b;
	if (leg && had_dialog(s, leg, m))
		leg_dialog(s, leg, &dialog); /* a re-INVITE: target and routes of the dialog */
	else
		dialog.text[DIALOG_TARGET] = m->to.uri; /* the INVITE's To and request-URI are the same */
	if (tx && tx->head != TEXT_NONE) {
		pack_read(text_get(&s->texts, tx->head), sent, 2);
		dialog.text[DIALOG_TARGET] = sent[1];
	}
	dialog.text[DIALOG_LOCAL] = sip_header(m, SIP_H_FROM);
	dialog.text[DIALOG_REMOTE] = sip_header(m, SIP_H_TO);
	const struct flow *to = tx ? &tx->flow : from;
	struct dialog_request request = {
		.method = BYTES("ACK"),
		.call_id = m->call_id,
		.transport = flow_via(to),
		.sent_by = bytes_of(listen_of(s, to)->host_port),
		.branch = m->via.branch,
		.cseq = m->cseq,
		.max_forwards = 70,
	};
	datagram_begin(s, &b);
	dialog_build_request(&b, &dialog, &request);
	build_body(&b, BYTES_NONE);
	/* To is in it twice; the routes of a leg may be longer than all that its peer has said. */
	if (tx || is_of_the_peer(leg, from) || build_size(&b) <= s->memo->came_bytes + STRANGER_EXTRA_BYTES)
		datagram_send(s, &b, to);
}

/* The dialog a 2xx made, seen from us, of the response alone; routes are written into s->work. */
static bool dialog_of(struct shard *s, const struct sip_message *m, struct dialog *ret_dialog)
{
	struct builder routes;
	build_begin(&routes, s->work, DATAGRAM_MAX);
	dialog_build_routes(&routes, m, true);
	*ret_dialog = (struct dialog){ .text = {
					       [DIALOG_CALL_ID] = m->call_id,
					       [DIALOG_LOCAL] = sip_header(m, SIP_H_FROM),
					       [DIALOG_REMOTE] = sip_header(m, SIP_H_TO),
					       [DIALOG_TARGET] = m->contact.uri.size ? m->contact.uri : m->to.uri,
					       [DIALOG_ROUTES] = { s->work, (uint32_t)build_size(&routes) },
				       } };
	return !routes.overflow;
}

static void ack_fork(struct shard *s, const struct ident *id, const struct dialog *dialog, const struct sip_message *m,
		     const struct flow *to)
{
	char branch[BRANCH_SIZE];
	struct builder b;
	ident_write_branch(&s->key, id, BRANCH_FORK_ACK(table_hash32(&s->table, m->to.tag)), branch);
	struct dialog_request request = {
		.method = BYTES("ACK"),
		.call_id = m->call_id,
		.transport = flow_via(to),
		.sent_by = bytes_of(listen_of(s, to)->host_port),
		.branch = { branch, BRANCH_SIZE },
		.cseq = m->cseq,
		.max_forwards = 70,
	};
	datagram_begin(s, &b);
	dialog_build_request(&b, dialog, &request);
	build_body(&b, BYTES_NONE);
	datagram_send(s, &b, to);
}

static uint64_t key_of_branch(uint64_t key, uint32_t tag_hash)
{
	return key ^ (uint64_t)tag_hash << 16 ^ 1;
}

/* The key of a 2xx to an INVITE of ours: each branch of a fork has its own. */
static uint64_t answer_key(const struct shard *s, const struct sip_message *m)
{
	return key_of_branch(message_key(s), table_hash32(&s->table, m->to.tag));
}

static bool seen_before(const struct shard *s, const struct sip_message *m)
{
	struct table_hit hit;
	return table_find(&s->table, answer_key(s, m), &hit);
}

static void remember(struct shard *s, uint64_t key, unsigned status)
{
	struct tombstone tombstone = { .key = key, .method = SIP_INVITE, .status = status & 0x3ffu };
	struct table_hit hit;
	if (!table_find(&s->table, tombstone.key, &hit))
		table_bury(&s->table, &tombstone, s->now.now_ns + exchange_64t1_ns(s));
}

void late_remember(struct shard *s, const struct sip_message *m)
{
	remember(s, answer_key(s, m), m->status);
}

void late_remember_leg(struct shard *s, const struct leg *callee)
{
	struct sip_message *m = &s->message;
	char token[IDENT_SIZE];
	leg_token(s, callee, token);
	m->call_id = m->from.tag = (struct bytes){ token, IDENT_SIZE };
	m->cseq = callee->invite_cseq;
	remember(s, key_of_branch(table_key(&s->table, m, SIP_INVITE), callee->remote_tag_hash), 200);
}

#define FORKS_MAX 256 /* legs that end forks, at the same moment */

/* Whoever holds an old token of ours could have us send requests about: Call-ID and From must be those of a callee leg
 * of that token, the sender that leg's peer or one of our gateways, and if the leg is no more, all that is sent goes
 * back to the sender. */
static bool is_of_our_invite(const struct shard *s, const struct leg *leg, const struct ident *id,
			     const struct sip_message *m, const struct flow *from)
{
	char token[IDENT_SIZE];
	struct bytes own = { token, IDENT_SIZE };
	ident_write(&s->key, id, token);
	return bytes_equal(m->call_id, own) && bytes_equal(m->from.tag, own) &&
	       (is_of_the_peer(leg, from) || config_source_known(s->config, &from->peer));
}

/* Its branch may have had PRACK and UPDATE before, by the leg's numbers; or by those of one that is no more, or that a
 * former process had. */
static uint32_t latest_cseq(const struct shard *s, const struct leg *invited, const struct ident *id, uint32_t cseq)
{
	uint32_t latest = invited ? invited->local_cseq : cseq + CARRY_CSEQ_JUMP;
	return (latest > cseq ? latest : cseq) + carry_cseq_jump(s, id->boot);
}

/* A leg that lasts as long as its BYE; NULL: no room. */
static struct leg *take_fork(struct shard *s, const struct dialog *dialog, const struct ident *id,
			     const struct flow *from)
{
	struct leg *leg = s->forks < FORKS_MAX ? leg_take(s, POOL_NONE, LEG_CALLEE, id->bucket) : NULL;
	if (!leg)
		return NULL;
	leg->fork = true;
	s->forks++;
	leg->flow = *from;
	leg_release(s, leg);
	return leg_set_dialog(s, leg, dialog) ? leg : NULL;
}

void late_end_fork(struct shard *s, const struct leg *invited, const struct ident *id, const struct sip_message *m,
		   const struct flow *from)
{
	struct dialog dialog;
	struct flow to = *from;
	bool seen = seen_before(s, m);
	if (!(seen || is_of_our_invite(s, invited, id, m, from)) || !dialog_of(s, m, &dialog)) {
		stat_add(&s->stats->datagrams_unmatched, 1);
		return;
	}
	if (invited) /* a proxy that forks need not have recorded its route (RFC 3261 12.2.1.1) */
		leg_follow_routes(s, &dialog, &to);
	if (seen) { /* it comes again until it has our ACK: the BYE goes out with the first one only */
		ack_fork(s, id, &dialog, m, &to);
		stat_add(&s->stats->retransmits_in, 1);
		return;
	}
	struct leg *leg = take_fork(s, &dialog, id, &to);
	if (!leg)
		return; /* an ACK without BYE would leave the callee in a call: without one the 2xx comes again */
	leg->local_cseq = latest_cseq(s, invited, id, m->cseq);
	ack_fork(s, id, &dialog, m, &to);
	late_remember(s, m);
	leg_bye(s, leg, BYTES_NONE);
}

/* There was an INVITE of that number.  A carried leg may have sent some since its last record; its own go on beyond all
 * of them (core/call/carry.h). */
static bool is_of_an_invite(const struct shard *s, const struct leg *leg, const struct sip_message *m)
{
	return m->cseq <= (carry_is_carried(s, leg) ? leg->local_cseq : leg->invite_cseq);
}

/* The ACK to a failure without transaction goes where it came from, which may be forged: to its leg's peer or a
 * gateway, to others as strangers have answers (core/call/stranger.h). */
static bool may_have_ack(struct shard *s, const struct leg *leg, const struct flow *from)
{
	return is_of_the_peer(leg, from) || stranger_is_answered(s, from);
}

void late_invite_response(struct shard *s, struct leg *leg, const struct ident *id, const struct sip_message *m,
			  const struct flow *from)
{
	if (m->status < 200)
		return;
	if (m->status >= 300) {
		if (may_have_ack(s, leg, from))
			late_ack_failure(s, leg, NULL, m, from);
		else
			stat_add(&s->stats->datagrams_unmatched, 1);
		return;
	}
	if (leg && !is_of_an_invite(s, leg, m)) {
		stat_add(&s->stats->datagrams_unmatched, 1);
		return;
	}
	if (leg && leg->state != LEG_EARLY && leg_remote_tag_is(s, leg, m->to.tag)) {
		if (leg->ack_wanted && m->cseq == leg->invite_cseq)
			return; /* delayed offer: the caller's ACK has the answer */
		stat_add(&s->stats->retransmits_in, 1);
		leg_ack(s, leg, m->cseq, m->cseq == leg->ack_cseq ? leg->ack_body : POOL_NONE);
		return;
	}
	late_end_fork(s, leg, id, m, from);
}
