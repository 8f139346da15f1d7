/* Between a shard and what it asks for: pools, texts, and the memory that it takes when it takes calls up.  Linked with
 * -Wl,--wrap for each of them (meson.build: starve_wraps). */
#include <stdlib.h>

#include "core/call/carry_image.h"
#include "core/call/state.h"
#include "tests/sim/sim.h"
#include "tests/sim/starve.h"

uint32_t __real_pool_take(struct pool *p);
uint32_t __wrap_pool_take(struct pool *p);
uint32_t __real_text_take(struct text_store *t, uint32_t size);
uint32_t __wrap_text_take(struct text_store *t, uint32_t size);
uint32_t __real_text_put(struct text_store *t, struct bytes bytes);
uint32_t __wrap_text_put(struct text_store *t, struct bytes bytes);
struct transaction *__real_leg_request(struct shard *s, struct leg *leg, enum sip_method method,
				       enum transaction_role role, uint32_t max_forwards, struct builder *b);
struct transaction *__wrap_leg_request(struct shard *s, struct leg *leg, enum sip_method method,
				       enum transaction_role role, uint32_t max_forwards, struct builder *b);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__real_memory_reserve_sparse(size_t size);
void *__wrap_memory_reserve_sparse(size_t size);
void __real_sim_at(struct sim *sim, uint64_t at_ns, void (*fn)(struct sim *sim, void *context), void *context);
void __wrap_sim_at(struct sim *sim, uint64_t at_ns, void (*fn)(struct sim *sim, void *context), void *context);
enum restore_result __real_shard_restore(struct shard *s, const struct recovered_call *call, bool close);
enum restore_result __wrap_shard_restore(struct shard *s, const struct recovered_call *call, bool close);

/* Of set-ups and charges there are as many as calls, and a call has at most one, which it gives back before itself:
 * their pools cannot be empty when a call was to be had. */
static bool is_always_there(const struct pool *p)
{
	return p->item_size == sizeof(struct setup) || p->item_size == sizeof(struct charge);
}

/* Whoever sends the INVITE of an attempt has looked before whether there is a transaction (exchange_has_room()). */
static bool has_looked;

struct transaction *__wrap_leg_request(struct shard *s, struct leg *leg, enum sip_method method,
				       enum transaction_role role, uint32_t max_forwards, struct builder *b)
{
	has_looked = role == ROLE_SETUP;
	struct transaction *tx = __real_leg_request(s, leg, method, role, max_forwards, b);
	has_looked = false;
	return tx;
}

uint32_t __wrap_pool_take(struct pool *p)
{
	return !is_always_there(p) && !has_looked && starve_refuses(STARVE_pool) ? POOL_NONE : __real_pool_take(p);
}

uint32_t __wrap_text_take(struct text_store *t, uint32_t size)
{
	return starve_refuses(STARVE_text) ? TEXT_NONE : __real_text_take(t, size);
}

uint32_t __wrap_text_put(struct text_store *t, struct bytes bytes)
{
	return starve_refuses(STARVE_text) ? TEXT_NONE : __real_text_put(t, bytes);
}

/* A shard asks the system for memory when it takes calls up, and never after its first datagram. */
static bool is_restoring;

void *__wrap_malloc(size_t size)
{
	bool of_the_shard = is_restoring && size == sizeof(struct call_image);
	return of_the_shard && starve_refuses(STARVE_memory) ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *old, size_t size)
{
	return is_restoring && starve_refuses(STARVE_memory) ? NULL : __real_realloc(old, size);
}

void *__wrap_memory_reserve_sparse(size_t size)
{
	return is_restoring && starve_refuses(STARVE_memory) ? NULL : __real_memory_reserve_sparse(size);
}

/* The simulation's own memory, while the shard calls its edge. */
void __wrap_sim_at(struct sim *sim, uint64_t at_ns, void (*fn)(struct sim *sim, void *context), void *context)
{
	bool was_restoring = is_restoring;
	is_restoring = false;
	__real_sim_at(sim, at_ns, fn, context);
	is_restoring = was_restoring;
}

enum restore_result __wrap_shard_restore(struct shard *s, const struct recovered_call *call, bool close)
{
	is_restoring = true;
	enum restore_result result = __real_shard_restore(s, call, close);
	is_restoring = false;
	return result;
}
