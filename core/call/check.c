#include "core/call/check.h"

#include <assert.h>
#include <string.h>

#include "core/call/exchange.h"
#include "core/call/leg.h"
#include "core/call/reply.h"

static_assert(ROUTING_ADDRESSES_MAX <= 8, "an address is a bit of a byte, and of QUALITY_ADDRESSES");

static unsigned bit_of(unsigned address)
{
	return 1u << address;
}

static unsigned home_of(const struct shard *s, uint32_t routing_id)
{
	return routing_id % s->shard_count;
}

/* ---- what is known ---- */

bool check_all_down(const struct shard *s, uint32_t routing_id)
{
	return quality_online(&s->qualities, routing_id, s->config->generation) & QUALITY_DOWN;
}

bool check_is_down(const struct shard *s, uint32_t routing_id, unsigned address)
{
	assert(address < ROUTING_ADDRESSES_MAX);
	return quality_online(&s->qualities, routing_id, s->config->generation) & bit_of(address);
}

/* Tells everybody what the check has found, and the log if the gateway as a whole went or came back. */
static void publish(struct shard *s, const struct check *check, const struct routing_gateway *rg)
{
	unsigned all = bit_of(rg->address_count) - 1;
	bool is_down = (check->down & all) == all, was_down = check_all_down(s, rg->id);
	quality_set_online(s->quality, rg->id, QUALITY_CHECKED | (is_down ? QUALITY_DOWN : 0) | check->down,
			   s->config->generation);
	if (is_down != was_down)
		shard_log(s, is_down ? 4 : 5, "event=gateway_%s gateway=%s", is_down ? "down" : "up", rg->name);
}

/* One address of several: the gateway goes on with the others. */
static void log_address(struct shard *s, const struct routing_gateway *rg, unsigned address, bool down)
{
	char text[ADDRESS_TEXT_MAX];
	if (rg->address_count < 2)
		return;
	address_write(&rg->addresses[address], text);
	shard_log(s, down ? 4 : 5, "event=gateway_address_%s gateway=%s address=%s", down ? "down" : "up", rg->name,
		  text);
}

/* ---- asking ---- */

/* A bucket that is this shard's: what is minted of it leads here. */
static unsigned own_bucket(struct shard *s)
{
	unsigned shard = s->shard, count = s->shard_count;
	unsigned first = (shard * STEER_BUCKETS + count - 1) / count;
	unsigned end = ((shard + 1) * STEER_BUCKETS + count - 1) / count;
	unsigned bucket = first + (unsigned)(shard_random(s) % (end - first));
	assert(steer_worker(bucket, count) == shard);
	return bucket;
}

/* From the listener's host, to the address itself. */
static bool write_dialog(struct shard *s, struct leg *leg)
{
	struct dialog dialog = { 0 };
	struct builder b;
	char address[ADDRESS_TEXT_MAX];
	build_begin(&b, s->work, DATAGRAM_MAX);
	build_text(&b, "<sip:");
	build_bytes(&b, bytes_of(listen_of(s, &leg->flow)->host));
	build_text(&b, ">");
	dialog.text[DIALOG_LOCAL] = (struct bytes){ b.start, (uint32_t)build_size(&b) };
	const char *remote = b.at;
	build_text(&b, "<sip:");
	build_bytes(&b, (struct bytes){ address, address_write(&leg->flow.peer, address) });
	build_text(&b, ">");
	dialog.text[DIALOG_REMOTE] = (struct bytes){ remote, (uint32_t)(b.at - remote) };
	dialog.text[DIALOG_TARGET] = (struct bytes){ remote + 1, dialog.text[DIALOG_REMOTE].size - 2 };
	return !b.overflow && leg_set_dialog(s, leg, &dialog);
}

/* A leg without call: it goes with its transaction, which does not outlive the period. */
static bool send_options(struct shard *s, const struct check *check, const struct routing_gateway *rg, unsigned address)
{
	struct builder b;
	struct transaction *tx = NULL;
	struct leg *leg = exchange_has_room(s) ? leg_take(s, POOL_NONE, LEG_CALLEE, own_bucket(s)) : NULL;
	if (!leg)
		return false;
	leg->flow = flow_to(s, &rg->addresses[address], rg->listener);
	if (write_dialog(s, leg))
		tx = leg_request(s, leg, SIP_OPTIONS, ROLE_CHECK, 70, &b);
	if (tx) {
		tx->flow = leg->flow;
		tx->peer = pool_index(&s->checks, check);
		tx->peer_generation = check->slot.generation;
		leg_build_contact(s, &b, leg);
		build_text(&b, ACCEPT_LINE);
		build_body(&b, BYTES_NONE);
		exchange_send(s, tx, &b);
		if (s->now.now_ns + check->period_ns < tx->ends_at_ns)
			exchange_end_at(s, tx, s->now.now_ns + check->period_ns);
	}
	leg_release(s, leg);
	return tx != NULL;
}

/* ---- the period ---- */

static void arm(struct shard *s, struct check *check, uint64_t due_ns)
{
	check->due_ns = due_ns;
	wheel_arm(&s->wheel, &check->timer, due_ns);
}

/* The moment in the period: a whole one after the last OPTIONS, else a random one. */
static void draw_moment(struct shard *s, struct check *check)
{
	uint64_t period = check->period_ns;
	check->drawn = true;
	if (check->asked_ns && check->asked_ns + period > s->now.now_ns)
		arm(s, check, check->asked_ns + period);
	else
		arm(s, check, s->now.now_ns + shard_random(s) % period);
}

static void note_silence(struct shard *s, struct check *check, const struct routing_gateway *rg)
{
	for (unsigned i = 0; i < rg->address_count; i++) {
		if (!(check->open & bit_of(i)))
			continue;
		if (check->silent & bit_of(i) && !(check->down & bit_of(i))) {
			check->down |= (uint8_t)bit_of(i);
			log_address(s, rg, i, true);
		}
		check->silent |= (uint8_t)bit_of(i);
	}
}

void check_due(struct shard *s, struct check *check)
{
	const struct routing_gateway *rg = config_routing(s->config, check->routing_id);
	check->due_ns = UINT64_MAX;
	if (s->stopping)
		return;
	if (!check->drawn) {
		draw_moment(s, check);
		return;
	}
	note_silence(s, check, rg);
	publish(s, check, rg);
	check->open = 0;
	for (unsigned i = 0; i < rg->address_count; i++)
		if (send_options(s, check, rg, i)) /* else nothing was asked, and no answer is no silence */
			check->open |= (uint8_t)bit_of(i);
	check->asked_ns = s->now.now_ns;
	arm(s, check, s->now.now_ns + check->period_ns);
}

void check_answered(struct shard *s, const struct transaction *options)
{
	struct check *check = pool_find(&s->checks, options->peer, options->peer_generation);
	if (!check)
		return; /* a reload has ended it */
	const struct routing_gateway *rg = config_routing(s->config, check->routing_id);
	unsigned bits = 0;
	for (unsigned i = 0; i < rg->address_count; i++) {
		if (!address_equal(&rg->addresses[i], &options->flow.peer))
			continue;
		bits |= bit_of(i);
		if (check->down & bit_of(i))
			log_address(s, rg, i, false);
	}
	bool was_down = check->down & bits;
	check->open &= (uint8_t)~bits;
	check->silent &= (uint8_t)~bits;
	check->down &= (uint8_t)~bits;
	if (was_down)
		publish(s, check, rg);
}

/* ---- configurations ---- */

static bool is_ours(const struct shard *s, const struct routing_gateway *rg)
{
	return rg && rg->options_check && home_of(s, rg->id) == s->shard;
}

/* Bits by the addresses' new places; an address that is new has none. */
static uint8_t move_bits(uint8_t bits, const struct check *from, const struct routing_gateway *to)
{
	unsigned moved = 0;
	for (unsigned i = 0; i < to->address_count; i++)
		for (unsigned k = 0; k < from->address_count; k++)
			if (bits & bit_of(k) && address_equal(&from->addresses[k], &to->addresses[i]))
				moved |= bit_of(i);
	return (uint8_t)moved;
}

static void take_config(struct shard *s, struct check *check, const struct routing_gateway *rg)
{
	uint64_t period_ns = seconds_ns(s->config->parameters.SS_SIP_OPTIONS_CHECK_PERIOD);
	check->open = move_bits(check->open, check, rg);
	check->silent = move_bits(check->silent, check, rg);
	check->down = move_bits(check->down, check, rg);
	check->address_count = rg->address_count;
	memcpy(check->addresses, rg->addresses, sizeof check->addresses);
	/* A new one; or not only after the rest of a longer period.  The time of the last input may be long ago: the
	 * moment is drawn when the shard has been told the present one. */
	if (period_ns < check->period_ns || !check->period_ns) {
		check->drawn = false;
		arm(s, check, s->now.now_ns);
	}
	check->period_ns = period_ns;
	publish(s, check, rg);
}

static void end_check(struct shard *s, struct check *check)
{
	quality_set_online(s->quality, check->routing_id, 0, s->config->generation);
	wheel_cancel(&s->wheel, &check->timer);
	pool_give(&s->checks, pool_index(&s->checks, check));
}

static void begin_check(struct shard *s, const struct routing_gateway *rg)
{
	uint32_t index = pool_take(&s->checks);
	if (index == POOL_NONE) {
		shard_log(s, 4, "event=gateway_not_checked gateway=%s reason=\"more than %d under check\"", rg->name,
			  CHECKS_MAX);
		return;
	}
	struct check *check = pool_at(&s->checks, index);
	wheel_entry_init(&check->timer, WHEEL_CHECK);
	check->routing_id = rg->id;
	take_config(s, check, rg);
}

void check_configure(struct shard *s)
{
	for (uint32_t i = pool_next_used(&s->checks, 0); i != POOL_NONE; i = pool_next_used(&s->checks, i + 1)) {
		struct check *check = pool_at(&s->checks, i);
		const struct routing_gateway *rg = config_routing(s->config, check->routing_id);
		if (is_ours(s, rg))
			take_config(s, check, rg);
		else
			end_check(s, check);
	}
	for (uint32_t i = 0; i < s->config->routing_count; i++) {
		const struct routing_gateway *rg = &s->config->routings[i];
		uint32_t known = is_ours(s, rg) ? quality_online(&s->qualities, rg->id, 0) : QUALITY_CHECKED;
		if (!(known & QUALITY_CHECKED))
			begin_check(s, rg);
	}
}

unsigned check_inspect(const struct shard *s)
{
	unsigned armed = 0;
	for (uint32_t i = pool_next_used(&s->checks, 0); i != POOL_NONE; i = pool_next_used(&s->checks, i + 1)) {
		const struct check *check = pool_at(&s->checks, i);
		const struct routing_gateway *rg = config_routing(s->config, check->routing_id);
		assert(is_ours(s, rg));
		assert(!((check->open | check->silent | check->down) & ~(bit_of(rg->address_count) - 1)));
		assert(!(check->down & ~check->silent)); /* it was silent before that */
		assert(wheel_armed(&check->timer) == (check->due_ns != UINT64_MAX));
		armed += wheel_armed(&check->timer);
	}
	return armed;
}
