/* What carried legs are called.  An entry a leg, at the leg's own index, in memory that is only touched where there are
 * carried legs; chained by a hash of the name. */
#include <assert.h>

#include "core/call/carry.h"
#include "core/siphash.h"

struct carried_leg {
	uint32_t slot; /* as the token has it; its boot is leg->boot */
	uint32_t generation : 24;
	uint32_t named : 1;
	uint32_t chain; /* leg index + 1; 0: the last */
	uint16_t shard; /* of the call's start: part of its cdr_id */
};

/* Slots are numbered by each shard for itself: only the bucket tells those of two former ones apart. */
static uint32_t *head_of(const struct shard *s, const struct ident *id)
{
	const uint32_t name[] = { id->slot, id->generation, (uint32_t)id->boot << 16 | id->bucket };
	return &s->carry->heads[siphash13(s->key.k0, s->key.k1, (const char *)name, sizeof name) & s->carry->head_mask];
}

static bool reserve(struct shard *s)
{
	struct carry *c = s->carry;
	if (c->legs)
		return true;
	uint32_t heads = 1024;
	while (heads < s->legs.size && heads < 1u << 30)
		heads <<= 1;
	if (!c->heads)
		c->heads = memory_reserve_sparse((size_t)heads * sizeof *c->heads);
	c->legs = c->heads ? memory_reserve_sparse((size_t)s->legs.size * sizeof *c->legs) : NULL;
	c->head_mask = heads - 1;
	return c->legs != NULL;
}

void carry_release_legs(struct shard *s)
{
	struct carry *c = s->carry;
	if (c->heads)
		memory_release(c->heads, ((size_t)c->head_mask + 1) * sizeof *c->heads);
	if (c->legs)
		memory_release(c->legs, (size_t)s->legs.size * sizeof *c->legs);
}

static struct carried_leg *entry_of(const struct shard *s, const struct leg *leg)
{
	struct carried_leg *entry = &s->carry->legs[leg_index(s, leg)];
	assert(entry->named);
	return entry;
}

struct ident carry_ident(const struct shard *s, const struct leg *leg)
{
	const struct carried_leg *entry = entry_of(s, leg);
	return (struct ident){
		.slot = entry->slot, .generation = entry->generation, .boot = leg->boot, .bucket = leg->bucket
	};
}

uint16_t carry_leg_shard(const struct shard *s, const struct leg *leg)
{
	return carry_is_carried(s, leg) ? entry_of(s, leg)->shard : s->shard;
}

struct leg *carry_find(const struct shard *s, const struct ident *id)
{
	const struct carry *c = s->carry;
	if (!c->legs)
		return NULL;
	for (uint32_t link = *head_of(s, id); link; link = c->legs[link - 1].chain) {
		const struct carried_leg *entry = &c->legs[link - 1];
		struct leg *leg = leg_at(s, link - 1);
		if (entry->slot == id->slot && entry->generation == id->generation && leg->boot == id->boot &&
		    leg->bucket == id->bucket)
			return leg;
	}
	return NULL;
}

bool carry_name_leg(struct shard *s, struct leg *leg, const struct ident *id, uint16_t shard)
{
	if (id->boot == s->boot || !reserve(s) || carry_find(s, id))
		return false;
	uint32_t index = leg_index(s, leg), *head = head_of(s, id);
	s->carry->legs[index] = (struct carried_leg){ .slot = id->slot,
						      .generation = id->generation & POOL_GENERATION_MAX,
						      .named = 1,
						      .chain = *head,
						      .shard = shard };
	*head = index + 1;
	leg->boot = id->boot;
	return true;
}

void carry_forget_leg(struct shard *s, const struct leg *leg)
{
	struct carried_leg *entry = entry_of(s, leg);
	struct ident id = carry_ident(s, leg);
	uint32_t link = leg_index(s, leg) + 1, *at = head_of(s, &id);
	while (*at != link) {
		assert(*at);
		at = &s->carry->legs[*at - 1].chain;
	}
	*at = entry->chain;
	*entry = (struct carried_leg){ 0 };
}

uint16_t carry_boot(const struct shard *s, const struct call *call)
{
	return leg_at(s, call->caller_leg)->boot;
}

uint16_t carry_shard(const struct shard *s, const struct call *call)
{
	return carry_leg_shard(s, leg_at(s, call->caller_leg));
}
