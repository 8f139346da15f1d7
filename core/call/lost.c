#include "core/call/lost.h"

#include "core/call/attempt.h"
#include "core/call/exchange.h"

/* Waiting for a first answer, which would come by this connection.  One that has had a provisional answer waits on: the
 * final one may come by a connection that the peer opens (18.2.2). */
static bool waits_for(const struct transaction *tx, uint32_t connection, uint32_t generation)
{
	return (tx->kind == CLIENT || tx->kind == INVITE_CLIENT) && !tx->over && tx->state == TRANSACTION_CALLING &&
	       flow_is_reliable(&tx->flow) && tx->flow.connection == connection &&
	       tx->flow.connection_generation == generation;
}

/* A walk through all transactions: connections end rarely.  What begins meanwhile has another connection. */
void lost_connection(struct shard *s, uint32_t connection, uint32_t generation)
{
	for (uint32_t i = pool_next_used(&s->transactions, 0); i != POOL_NONE;
	     i = pool_next_used(&s->transactions, i + 1)) {
		struct transaction *tx = transaction_at(s, i);
		if (!waits_for(tx, connection, generation))
			continue;
		if (tx->role == ROLE_SETUP)
			attempt_undeliverable(s, leg_at(s, tx->leg), tx);
		else
			exchange_send_elsewhere(s, tx);
	}
}
