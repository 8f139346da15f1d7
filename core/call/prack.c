#include "core/call/prack.h"

#include "core/call/body.h"
#include "core/call/exchange.h"
#include "core/call/leg.h"

bool prack_is_wanted(const struct sip_message *m, uint32_t *ret_rseq)
{
	return m->status > 100 && m->status < 200 && sip_list_has(m, SIP_H_REQUIRE, BYTES("100rel")) &&
	       sip_read_number(sip_header(m, SIP_H_RSEQ), ret_rseq) && *ret_rseq > 0;
}

/* Nobody waits for its answer: without one, or with a refusal, it is the gateway that gives up.  Its body is that of
 * `answer`, NULL: none. */
static bool send(struct shard *s, struct leg *leg, uint32_t rseq, const struct sip_message *answer)
{
	struct builder b;
	struct transaction *tx = leg_request(s, leg, SIP_PRACK, ROLE_LOCAL, 70, &b);
	if (!tx)
		return false;
	build_text(&b, "RAck: ");
	build_number(&b, rseq);
	build_text(&b, " ");
	build_number(&b, leg->invite_cseq);
	build_text(&b, " INVITE\r\n");
	if (answer)
		body_build_from(&b, answer);
	else
		body_build(s, &b, POOL_NONE);
	exchange_send(s, tx, &b);
	return true;
}

#define OPEN_MAX 8 /* on a leg: a gateway that answers none, and goes on asking for more, takes no more than that */

static unsigned count_open(const struct shard *s, const struct leg *leg)
{
	unsigned count = 0;
	for (uint32_t i = leg->transactions; i != POOL_NONE; i = transaction_at(s, i)->next) {
		const struct transaction *tx = transaction_at(s, i);
		count += tx->kind == CLIENT && tx->method == SIP_PRACK && exchange_is_open(tx);
	}
	return count;
}

bool prack_take(struct shard *s, const struct setup *setup, struct leg *leg, struct early *early,
		const struct sip_message *m, uint32_t rseq)
{
	bool offers = !setup->offer_in_invite && m->body.size && !early->settled && !early->owed_rseq;
	if (early->rseq && rseq != early->rseq + 1)
		return false;
	if (offers && setup->reliable != RELIABLE_NOT)
		early->owed_rseq = rseq;
	else if (count_open(s, leg) >= OPEN_MAX || !send(s, leg, rseq, NULL))
		return false;
	early->rseq = rseq;
	return true;
}

bool prack_answer(struct shard *s, struct leg *leg, struct early *early, const struct sip_message *answer)
{
	if (!send(s, leg, early->owed_rseq, answer))
		return false;
	early->owed_rseq = 0;
	return true;
}

/* The next word of a value of words with white space between them. */
static struct bytes next_word(struct bytes *rest)
{
	uint32_t size = 0;
	while (rest->size && (*rest->at == ' ' || *rest->at == '\t')) {
		rest->at++;
		rest->size--;
	}
	while (size < rest->size && rest->at[size] != ' ' && rest->at[size] != '\t')
		size++;
	struct bytes word = { rest->at, size };
	if (size) /* of no header at all there is no place */
		rest->at += size;
	rest->size -= size;
	return word;
}

bool prack_read_rack(const struct sip_message *m, struct prack_rack *ret_rack)
{
	struct bytes rest = sip_header(m, SIP_H_RACK);
	struct prack_rack rack = { 0 };
	if (!sip_read_number(next_word(&rest), &rack.rseq) || !sip_read_number(next_word(&rest), &rack.cseq))
		return false;
	rack.method = next_word(&rest);
	*ret_rack = rack;
	return rack.method.size > 0 && !next_word(&rest).size;
}
