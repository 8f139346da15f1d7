/* A shard that carries no calls over a restart. */
#include "core/shard.h"

bool shard_restore(struct shard *s, const struct recovered_call *call, bool close)
{
	(void)s;
	(void)call;
	(void)close;
	return false;
}

void shard_restored(struct shard *s)
{
	(void)s;
}

void shard_checkpoint(struct shard *s, uint64_t number)
{
	(void)s;
	(void)number;
}

void shard_synced(struct shard *s, uint64_t now_ns, uint64_t serial_end)
{
	(void)s;
	(void)now_ns;
	(void)serial_end;
}
