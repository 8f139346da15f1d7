#include "core/call/rest.h"

#include <assert.h>

#include "core/call/check.h"

#define TENTH_NS UINT64_C(100000000)

uint64_t rest_until_ns(const struct shard *s, uint32_t routing_id, uint32_t address)
{
	assert(routing_id < LINES_MAX && address < ROUTING_ADDRESSES_MAX);
	return __atomic_load_n(&s->rests[routing_id].until_ds[address], __ATOMIC_RELAXED) * TENTH_NS;
}

/* For the control socket: until when no address of it is awake. */
static void tell(struct shard *s, uint32_t routing_id)
{
	const struct routing_gateway *routing = config_routing(s->config, routing_id);
	uint64_t until_ns = UINT64_MAX;
	for (uint32_t i = 0; routing && i < routing->address_count; i++)
		if (rest_until_ns(s, routing_id, i) < until_ns)
			until_ns = rest_until_ns(s, routing_id, i);
	if (routing)
		stat_set(&s->tally[routing_id].rests_until_ns, until_ns);
}

/* false: it rests that long already. */
static bool lie_down(struct shard *s, uint32_t routing_id, uint32_t address, uint64_t until_ns)
{
	uint32_t until_ds = (uint32_t)((until_ns + TENTH_NS - 1) / TENTH_NS);
	if (until_ns <= rest_until_ns(s, routing_id, address))
		return false;
	__atomic_store_n(&s->rests[routing_id].until_ds[address], until_ds, __ATOMIC_RELAXED);
	tell(s, routing_id);
	return true;
}

/* "18 (in maintenance);duration=3600": what is no number, or none at all, is 0; a number too large is very long. */
static uint32_t retry_after_s(const struct sip_message *m)
{
	struct bytes value = sip_header(m, SIP_H_RETRY_AFTER);
	uint32_t seconds = 0;
	for (uint32_t i = 0; i < value.size && value.at[i] >= '0' && value.at[i] <= '9'; i++) {
		uint32_t digit = (uint32_t)(value.at[i] - '0');
		seconds = seconds > (UINT32_MAX - digit) / 10 ? UINT32_MAX : seconds * 10 + digit;
	}
	return seconds;
}

static void log_rest(struct shard *s, uint32_t routing_id, uint32_t address, uint32_t seconds)
{
	const struct routing_gateway *routing = config_routing(s->config, routing_id);
	char text[ADDRESS_TEXT_MAX] = "";
	if (routing && address < routing->address_count)
		address_write(&routing->addresses[address], text);
	shard_log(s, 5, "event=gateway_rests gateway=%s address=%s seconds=%u", gateway_name(routing_id), text,
		  seconds);
}

void rest_begin(struct shard *s, uint32_t routing_id, uint32_t address, const struct sip_message *m)
{
	uint32_t seconds = retry_after_s(m), max = s->config->parameters.RW_RETRY_AFTER_MAX;
	if (seconds > max)
		seconds = max;
	if (!seconds)
		return;
	struct note note = {
		.kind = NOTE_REST,
		.from = s->shard,
		.a = (uint64_t)address << 32 | routing_id,
		.b = s->now.now_ns + seconds_ns(seconds),
	};
	bool rested = rest_until_ns(s, routing_id, address) > s->now.now_ns;
	if (!lie_down(s, routing_id, address, note.b)) /* so there are ten notes a second at most */
		return;
	if (!rested)
		log_rest(s, routing_id, address, seconds);
	for (unsigned shard = 0; shard < s->shard_count; shard++)
		if (shard != s->shard)
			s->edge.post(s->edge.context, shard, &note);
}

void rest_note(struct shard *s, const struct note *note)
{
	lie_down(s, (uint32_t)note->a, (uint32_t)(note->a >> 32), note->b);
}

uint32_t rest_next_awake(const struct shard *s, const struct routing_gateway *routing, uint32_t from)
{
	while (from < routing->address_count &&
	       (rest_until_ns(s, routing->id, from) > s->now.now_ns || check_is_down(s, routing->id, from)))
		from++;
	return from;
}

bool rest_is_resting(const struct shard *s, uint32_t routing_id)
{
	const struct routing_gateway *routing = config_routing(s->config, routing_id);
	return routing && rest_next_awake(s, routing, 0) == routing->address_count;
}
