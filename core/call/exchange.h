/* Transactions of a leg: takes the steps of sip/transaction and does what they ask for - sending, keeping, arming. */
#ifndef RW_CORE_CALL_EXCHANGE_H
#define RW_CORE_CALL_EXCHANGE_H

#include "core/call/state.h"

/* A transaction of a leg, not begun.  NULL: none left. */
struct transaction *exchange_take(struct shard *s, struct leg *leg, enum transaction_kind kind, enum sip_method method,
				  enum transaction_role role);

/* Client: sends the request that was built and begins (the transaction's flow says where to). */
void exchange_send(struct shard *s, struct transaction *tx, struct builder *b);

/* Client on a stream, whose connection has ended: the request once more by another one.  Once. */
void exchange_send_elsewhere(struct shard *s, struct transaction *tx);

/* Client: the edge found no way for the request.  Where nothing would repeat it, it goes out again after T1, until the
 * transaction ends: want of connections or of room may be over then. */
void exchange_undelivered(struct shard *s, struct transaction *tx);

/* Server: begins for a request, keeps what its responses repeat.  NULL: nothing left to do so with. */
struct transaction *exchange_accept(struct shard *s, struct leg *leg, const struct sip_message *m,
				    const struct flow *from, enum transaction_role role);

/* Server: a response's status line and head.  exchange_respond() sends it when the rest was added; after a final
 * response to a request other than INVITE the transaction may be over (a tombstone answers from then on: one that would
 * say the same). */
void exchange_response(struct shard *s, struct transaction *tx, unsigned status, struct bytes reason,
		       struct builder *b);
void exchange_respond(struct shard *s, struct transaction *tx, unsigned status, struct builder *b, bool has_body);
/* Both, for a response without body; `headers` are whole lines. */
void exchange_reply(struct shard *s, struct transaction *tx, unsigned status, struct bytes headers);
/* 100 to an INVITE, with its Timestamp if it has one (RFC 3261 8.2.6.1). */
void exchange_trying(struct shard *s, struct transaction *tx, const struct sip_message *m);

/* An event from the wire or the wheel: returns the acts that are left to the caller (ACT_TELL, ACT_TELL_TIMEOUT,
 * ACT_ACK). A transaction that is over stays readable until shard_settle(). */
unsigned exchange_event(struct shard *s, struct transaction *tx, enum transaction_event event);

/* Its entry on the wheel came due. */
unsigned exchange_due(struct shard *s, struct transaction *tx);

/* Keeps the Reason values that its CANCEL, or the BYE that waits for its ACK, will have; empty, or no room: it has
 * none.
 */
void exchange_give_reason(struct shard *s, struct transaction *tx, struct bytes reason);

/* Ends it at once, whatever its state. */
void exchange_end(struct shard *s, struct transaction *tx);
void exchange_end_after_64t1(struct shard *s, struct transaction *tx);
void exchange_end_at(struct shard *s, struct transaction *tx, uint64_t end_ns);
/* What it sent last, once more. */
void exchange_resend(struct shard *s, struct transaction *tx);
void exchange_stop_resending(struct shard *s, struct transaction *tx);
/* A request that was answered without a transaction: its retransmissions get the same answer. */
void exchange_bury_request(struct shard *s, const struct leg *leg, const struct sip_message *m, unsigned status);
/* Whether one can be taken for what ends no call: a part of them is kept for BYE and CANCEL. */
static inline bool exchange_has_room(const struct shard *s)
{
	return pool_free(&s->transactions) > s->transaction_reserve;
}

/* A re-INVITE of ours whose time, after a provisional response, is over: it is to be cancelled (RFC 3261 16.8, 9.1).
 * One that was cancelled before is not. */
bool exchange_is_overdue(const struct shard *s, const struct transaction *tx);

/* For shard_settle(). */
void exchange_give(struct shard *s, struct transaction *tx);

/* Whether the leg has so many transactions, over or not. */
bool exchange_has_many(const struct shard *s, const struct leg *leg, unsigned many);

/* Of a leg: the client transaction with this branch and method, the server transaction with this CSeq and method, any
 * but `except` of a kind that has no final response yet.  NULL: none. */
struct transaction *exchange_client(const struct shard *s, const struct leg *leg, uint16_t branch_sequence,
				    enum sip_method method);
/* exchange_server_of: of that branch, 0: any. */
struct transaction *exchange_server_of(const struct shard *s, const struct leg *leg, uint32_t cseq,
				       enum sip_method method, uint32_t branch_hash);
struct transaction *exchange_server(const struct shard *s, const struct leg *leg, uint32_t cseq,
				    enum sip_method method);
struct transaction *exchange_open(const struct shard *s, const struct leg *leg, enum transaction_kind kind,
				  enum sip_method method, const struct transaction *except);
/* The transaction on the other leg that this one is relayed to or from, NULL: none or over. */
struct transaction *exchange_peer(const struct shard *s, const struct transaction *tx);
void exchange_pair(struct shard *s, struct transaction *a, struct transaction *b);

static inline bool exchange_is_open(const struct transaction *tx)
{
	return !tx->over && (tx->state == TRANSACTION_CALLING || tx->state == TRANSACTION_PROCEEDING);
}

/* 64*T1 of the parameters in force. */
uint64_t exchange_64t1_ns(const struct shard *s);

/* Where responses to a request go: RFC 3261 18.2.2, RFC 3581 4. */
void exchange_reply_flow(const struct sip_message *m, const struct flow *from, struct flow *ret_flow);

#endif
