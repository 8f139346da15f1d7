#include "core/call/late.h"

#include "core/call/exchange.h"
#include "core/call/leg.h"
#include "sip/pack.h"

void late_ack_failure(struct shard *s, const struct leg *leg, const struct transaction *tx, const struct sip_message *m,
		      const struct flow *from)
{
	struct dialog dialog = { 0 };
	struct bytes sent[2]; /* To and request-URI of the INVITE */
	struct builder b;
	if (leg && leg->state != LEG_EARLY)
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
		.transport = BYTES("UDP"),
		.sent_by = bytes_of(listen_of(s, to)->host_port),
		.branch = m->via.branch,
		.cseq = m->cseq,
		.max_forwards = 70,
	};
	datagram_begin(s, &b);
	dialog_build_request(&b, &dialog, &request);
	build_body(&b, BYTES_NONE);
	datagram_send(s, &b, to);
}

void late_end_fork(struct shard *s, unsigned bucket, const struct sip_message *m, const struct flow *from)
{
	struct leg *leg = leg_take(s, POOL_NONE, LEG_CALLEE, bucket);
	if (!leg)
		return; /* its 200 comes again */
	leg->fork = true;
	leg->flow = *from;
	leg->local_cseq = m->cseq;
	struct dialog dialog = { .text = {
		[DIALOG_CALL_ID] = m->call_id,
		[DIALOG_LOCAL] = sip_header(m, SIP_H_FROM),
		[DIALOG_REMOTE] = sip_header(m, SIP_H_TO),
		[DIALOG_TARGET] = m->contact.uri.size ? m->contact.uri : m->to.uri,
	} };
	leg_release(s, leg);
	if (!leg_set_dialog(s, leg, &dialog) || !leg_learn(s, leg, m))
		return;
	leg_ack(s, leg, m->cseq, POOL_NONE);
	leg_bye(s, leg, BYTES_NONE);
}

void late_invite_response(struct shard *s, struct leg *leg, const struct ident *id, const struct sip_message *m,
			  const struct flow *from)
{
	if (m->status < 200)
		return;
	if (m->status >= 300) {
		late_ack_failure(s, leg, NULL, m, from);
		return;
	}
	if (leg && leg->state != LEG_EARLY && leg_remote_tag_is(s, leg, m->to.tag)) {
		if (leg->ack_wanted)
			return; /* delayed offer: the caller's ACK has the answer */
		stat_add(&s->stats->retransmits_in, 1);
		leg_ack(s, leg, m->cseq, m->cseq == leg->invite_cseq ? leg->body_out : POOL_NONE);
		return;
	}
	if (id->boot != s->boot && !leg)
		return; /* of a former start, and not carried over */
	late_end_fork(s, id->bucket, m, from);
}
