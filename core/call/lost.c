#include "core/call/lost.h"

#include "core/call/attempt.h"
#include "core/call/exchange.h"

/* Waiting for a first answer, which would come by this connection.  One that has had a provisional answer waits on: the
 * final one may come by a connection that the peer opens (18.2.2). */
static bool waits_for(const struct transaction *tx, uint32_t connection, uint32_t generation)
{
	return !tx->over && tx->state == TRANSACTION_CALLING && tx->flow.connection == connection &&
	       tx->flow.connection_generation == generation;
}

/* A walk through all that are on connections.  What begins meanwhile has another one, and stands before the first; what
 * ends meanwhile is readable until the shard settles, and knows its successor. */
void lost_connection(struct shard *s, uint32_t connection, uint32_t generation)
{
	uint32_t next;
	for (uint32_t i = s->streamed; i != POOL_NONE; i = next) {
		struct transaction *tx = transaction_at(s, i);
		next = tx->stream_next;
		if (!waits_for(tx, connection, generation))
			continue;
		if (tx->role == ROLE_SETUP)
			attempt_undeliverable(s, leg_at(s, tx->leg), tx);
		else
			exchange_send_elsewhere(s, tx);
	}
}
