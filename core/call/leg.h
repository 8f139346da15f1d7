/* A leg: one dialog with one peer, and the requests we send inside it.  RFC 3261 12. */
#ifndef RW_CORE_CALL_LEG_H
#define RW_CORE_CALL_LEG_H

#include "core/call/state.h"

/* A new leg of a call (POOL_NONE: of none).  NULL: the pool is empty. */
struct leg *leg_take(struct shard *s, uint32_t call, enum leg_side side, unsigned bucket);

/* The call has let go of the leg: it goes once its transactions are over. */
void leg_release(struct shard *s, struct leg *leg);
/* For shard_settle(): gives the leg back if nothing needs it. */
void leg_give(struct shard *s, struct leg *leg);

struct ident leg_ident(const struct shard *s, const struct leg *leg);
void leg_token(const struct shard *s, const struct leg *leg, char token[static IDENT_SIZE]);
/* The leg that a token of ours names, NULL: none (any more). */
struct leg *leg_find(const struct shard *s, const struct ident *id);

/* The tag that its peer knows it by: the token.  A caller that was shown an early dialog of one gateway sees another
 * tag once the call has gone on to the next, or to another branch of a fork (RFC 3261 12.1.1: to it that is a fork):
 * the token with an edition behind it, which then stands in the leg's texts.  Lent, in `room` or in the texts. */
struct bytes leg_tag(const struct shard *s, const struct leg *leg, char room[static IDENT_SIZE]);
unsigned leg_edition(const struct shard *s, const struct leg *leg);
/* Gives it another tag, also in what its INVITE is answered with from now on.  Above EDITION_MAX, or without room, it
 * keeps the one it has. */
void leg_set_edition(struct shard *s, struct leg *leg, struct transaction *invite, unsigned edition);

/* Its texts, views valid until one of them is changed. */
void leg_dialog(const struct shard *s, const struct leg *leg, struct dialog *ret_dialog);
/* false: no room; the texts are as they were. */
bool leg_set_dialog(struct shard *s, struct leg *leg, const struct dialog *dialog);
bool leg_set_target(struct shard *s, struct leg *leg, struct bytes target);
/* The same for the Contact of the message under way, if it has one; without room what is sent before the next message
 * goes there all the same: the ACK of a 2xx (12.2.1.2). */
void leg_move(struct shard *s, struct leg *leg, const struct sip_message *m);
/* Call-ID: as stored, or the token written into `token`. */
struct bytes leg_call_id(const struct shard *s, const struct leg *leg, char token[static IDENT_SIZE]);
/* Whether a message that names the leg by `token`, its own, has its Call-ID. */
bool leg_call_id_is(const struct shard *s, const struct leg *leg, struct bytes token, struct bytes call_id);

/* The dialog a response makes for the UAC: remote tag, target, route set (12.1.2).  false: no room. */
bool leg_learn(struct shard *s, struct leg *leg, const struct sip_message *response);
/* Undoes what provisional responses, and the peer's requests, made of the dialog: `sent` is the packed To and
 * request-URI of the INVITE.  false: no room. */
bool leg_forget_early(struct shard *s, struct leg *leg, struct bytes sent);
/* Whether a message in the dialog is from the peer's side of it: its tag is the one we know. */
bool leg_remote_tag_is(const struct shard *s, const struct leg *leg, struct bytes tag);

/* Where its peer's latest message came from; one by another transport changes nothing. */
void leg_heard_from(struct leg *leg, const struct flow *from);

/* Turns a flow to where a request in this dialog goes: the first route or the target, if that is an address which the
 * flow's listener reaches, and true; else its address stays as it is.  By the transport that this URI names, if there
 * is a listener of it, else by the flow's own. */
bool leg_follow_routes(const struct shard *s, const struct dialog *dialog, struct flow *flow);
/* Where the next request goes: as above, beginning with where the last message came from.  On a stream the connection
 * that the last message came by goes before a new one to that address. */
void leg_destination(const struct shard *s, const struct leg *leg, struct flow *ret_flow);

/* "Contact: <sip:token@host:port>\r\n" */
void leg_build_contact(const struct shard *s, struct builder *b, const struct leg *leg);

/* Begins a request inside the dialog: takes a transaction and the next CSeq and writes all up to CSeq.  NULL: no
 * transaction left.  The caller adds headers and the body, and then exchange_send() follows. */
struct transaction *leg_request(struct shard *s, struct leg *leg, enum sip_method method, enum transaction_role role,
				uint32_t max_forwards, struct builder *b);

/* ACK for the 2xx to our INVITE with this CSeq; body POOL_NONE: none (13.2.2.4). */
void leg_ack(struct shard *s, struct leg *leg, uint32_t cseq, uint32_t body);
/* ACK for a 2xx that comes when the call is over: to the target that it names (12.2.1.2). */
void leg_ack_ended(struct shard *s, struct leg *leg, const struct sip_message *m);
/* The same for the latest INVITE, whose answer has come in `m`: `body` is what was kept of it; where there was no room
 * for that, m's own goes out, and an ACK that is asked for again has none. */
void leg_ack_with(struct shard *s, struct leg *leg, uint32_t body, const struct sip_message *m);
/* Delayed offer: if a 2xx still waits for its ACK, no answer will come any more, but it is ACKed all the same. */
void leg_ack_without_answer(struct shard *s, struct leg *leg);
/* BYE; `reason` is the value of a Reason header, empty: none.  The leg is LEG_ENDED then.  BYE and CANCEL are sent
 * even when no transaction is left, but then once, and nobody waits for the answer. */
void leg_bye(struct shard *s, struct leg *leg, struct bytes reason);
/* CANCEL of our INVITE, now or as soon as a provisional response allows it (9.1). */
void leg_cancel(struct shard *s, struct leg *leg, struct transaction *invite);

#endif
