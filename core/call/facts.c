#include "core/call/facts.h"

#include <assert.h>

#include "core/call/body.h"
#include "core/call/leg.h"
#include "core/call/number.h"
#include "sip/pack.h"

/* ---- during set-up ---- */

int64_t facts_wall_us(const struct call *call, uint64_t at_ns)
{
	return at_ns ? call->start_us + (int64_t)(at_ns - call->start_ns) / 1000 : 0;
}

static uint32_t pdd_ms(const struct call *call, uint64_t first_reply_ns)
{
	return first_reply_ns ? (uint32_t)((first_reply_ns - call->start_ns) / 1000000) : 0;
}

void facts_note_attempt(struct shard *s, struct setup *setup, const struct attempt_note *note)
{
	struct bytes old = text_get(&s->texts, setup->attempt_log);
	bool full = old.size / sizeof *note >= CDR_ATTEMPTS_MAX;
	uint32_t kept = full ? old.size - (uint32_t)sizeof *note : old.size;
	uint32_t log = text_take(&s->texts, kept + (uint32_t)sizeof *note);
	if (log == TEXT_NONE)
		return; /* the record then lists fewer */
	if (kept)
		memcpy(text_at(&s->texts, log), old.at, kept);
	memcpy(text_at(&s->texts, log) + kept, note, sizeof *note);
	text_give(&s->texts, setup->attempt_log);
	setup->attempt_log = log;
}

static void gather(const struct shard *s, const struct call *call, const struct setup *setup, struct facts *f)
{
	struct bytes log = text_get(&s->texts, setup->attempt_log);
	f->ringing_us = facts_wall_us(call, setup->ringing_ns);
	f->connect_us = setup->connect_us;
	f->pdd_ms = pdd_ms(call, setup->first_reply_ns);
	f->account_id = setup->account_id;
	f->vendor_account_id = setup->vendor_account_id;
	f->charge = setup->charge;
	pack_read(text_get(&s->texts, setup->numbers), f->numbers, CALL_NUMBERS);
	f->source = setup->source;
	f->destination = setup->destination;
	f->attempts_count = setup->attempts_count;
	f->tried = setup->attempts_count > 0;
	f->callee = call->callee_leg != POOL_NONE ? leg_ident(s, leg_at(s, call->callee_leg))
						  : (struct ident){ .slot = setup->callee_slot,
								    .generation = setup->callee_generation,
								    .boot = s->boot,
								    .bucket = leg_at(s, call->caller_leg)->bucket };
	f->note_count = log.size / (uint32_t)sizeof *f->notes;
	if (log.size)
		memcpy(f->notes, log.at, log.size);
}

/* ---- packed: numbers in groups of seven bits, least first, the top bit says that more follow ---- */

#define FACTS_BYTES_MAX (9 * 10 + 2 * 19 + CDR_ATTEMPTS_MAX * 15 + CALL_NUMBERS * 256)
#define SAME            255 /* in place of a size: the number that goes out is the one that came in */

static_assert(FACTS_BYTES_MAX <= DATAGRAM_MAX, "fit the shard's work room");
static_assert(NUMBER_ROOM < SAME, "sizes of one byte");

static char *put_number(char *at, uint64_t value)
{
	for (; value > 0x7f; value >>= 7)
		*at++ = (char)(value | 0x80);
	*at++ = (char)value;
	return at;
}

/* A difference, which may be negative: the sign is the lowest bit. */
static char *put_difference(char *at, int64_t value)
{
	return put_number(at, (uint64_t)value << 1 ^ (uint64_t)(value >> 63));
}

static char *put_address(char *at, const struct address *a)
{
	unsigned size = a->family == 4 ? 4 : a->family == 6 ? 16 : 0;
	*at++ = (char)a->family;
	*at++ = (char)(a->port >> 8);
	*at++ = (char)a->port;
	memcpy(at, a->ip, size);
	return at + size;
}

static char *put_text(char *at, struct bytes text)
{
	*at++ = (char)text.size;
	if (text.size)
		memcpy(at, text.at, text.size);
	return at + text.size;
}

static char *put_changed(char *at, struct bytes text, struct bytes original)
{
	if (!bytes_equal(text, original))
		return put_text(at, text);
	*at++ = (char)SAME;
	return at;
}

static char *put_facts(char *at, const struct call *call, const struct facts *f)
{
	at = put_difference(at, f->connect_us - call->start_us);
	at = put_difference(at, f->ringing_us ? f->ringing_us - call->start_us : -1);
	at = put_number(at, f->pdd_ms);
	at = put_address(at, &f->source);
	at = put_address(at, &f->destination);
	at = put_number(at, (uint32_t)f->attempts_count << 1 | (f->charge != 0));
	at = put_number(at, f->note_count);
	for (uint32_t i = 0; i < f->note_count; i++) {
		at = put_number(at, f->notes[i].routing_id);
		at = put_number(at, f->notes[i].ms);
		at = put_number(at, f->notes[i].code);
	}
	at = put_number(at, f->account_id);
	at = put_number(at, f->vendor_account_id);
	if (f->charge)
		at = put_number(at, f->charge);
	at = put_text(at, f->numbers[CALL_CALLER_IN]);
	at = put_text(at, f->numbers[CALL_CALLEE_IN]);
	at = put_changed(at, f->numbers[CALL_CALLER_OUT], f->numbers[CALL_CALLER_IN]);
	return put_changed(at, f->numbers[CALL_CALLEE_OUT], f->numbers[CALL_CALLEE_IN]);
}

static uint64_t take_number(const char **at)
{
	uint64_t value = 0;
	unsigned shift = 0;
	uint8_t byte;
	do {
		byte = (uint8_t) * (*at)++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	return value;
}

static int64_t take_difference(const char **at)
{
	uint64_t value = take_number(at);
	return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

static struct address take_address(const char **at)
{
	const uint8_t *bytes = (const uint8_t *)*at;
	struct address a = { .family = bytes[0], .port = (uint16_t)(bytes[1] << 8 | bytes[2]) };
	unsigned size = a.family == 4 ? 4 : a.family == 6 ? 16 : 0;
	memcpy(a.ip, bytes + 3, size);
	*at += 3 + size;
	return a;
}

static struct bytes take_text(const char **at, struct bytes original)
{
	uint8_t size = (uint8_t) * (*at)++;
	if (size == SAME)
		return original;
	struct bytes text = { *at, size };
	*at += size;
	return text;
}

static void unpack(const struct shard *s, const struct call *call, struct facts *f)
{
	struct bytes packed = text_get(&s->texts, call->facts);
	const char *at = packed.at;
	f->connect_us = call->start_us + take_difference(&at);
	int64_t ringing = take_difference(&at);
	f->ringing_us = ringing < 0 ? 0 : call->start_us + ringing;
	f->pdd_ms = (uint32_t)take_number(&at);
	f->source = take_address(&at);
	f->destination = take_address(&at);
	uint64_t attempts = take_number(&at); /* twice, and whether there is a charge */
	f->attempts_count = (uint8_t)(attempts >> 1);
	f->note_count = (uint32_t)take_number(&at);
	for (uint32_t i = 0; i < f->note_count; i++) {
		f->notes[i].routing_id = (uint32_t)take_number(&at);
		f->notes[i].ms = (uint32_t)take_number(&at);
		f->notes[i].code = (uint32_t)take_number(&at);
	}
	f->account_id = (uint32_t)take_number(&at);
	f->vendor_account_id = (uint32_t)take_number(&at);
	f->charge = attempts & 1 ? (uint32_t)take_number(&at) : 0;
	f->numbers[CALL_CALLER_IN] = take_text(&at, BYTES_NONE);
	f->numbers[CALL_CALLEE_IN] = take_text(&at, BYTES_NONE);
	f->numbers[CALL_CALLER_OUT] = take_text(&at, f->numbers[CALL_CALLER_IN]);
	f->numbers[CALL_CALLEE_OUT] = take_text(&at, f->numbers[CALL_CALLEE_IN]);
	f->numbers[CALL_CALLER] = f->numbers[CALL_CALLEE] = BYTES_NONE; /* only routing needed them */
	assert(at == packed.at + packed.size);
	f->tried = true;
	f->callee = leg_ident(s, leg_at(s, call->callee_leg));
}

/* ---- */

void facts_read(const struct shard *s, const struct call *call, struct facts *ret_facts)
{
	const struct setup *setup = setup_of(s, call);
	if (setup)
		gather(s, call, setup, ret_facts);
	else
		unpack(s, call, ret_facts);
}

static void give_setup(struct shard *s, struct call *call)
{
	const struct setup *setup = setup_of(s, call);
	text_give(&s->texts, setup->numbers);
	text_give(&s->texts, setup->attempt_log);
	text_give(&s->texts, setup->struck);
	text_give(&s->texts, setup->identity);
	body_drop(s, setup->offer);
	if (setup->has_next)
		body_drop(s, setup->next_body);
	pool_give(&s->setups, call->setup);
	call->setup = POOL_NONE;
}

void facts_pack(struct shard *s, struct call *call)
{
	struct facts facts;
	facts_read(s, call, &facts);
	uint32_t size = (uint32_t)(put_facts(s->work, call, &facts) - s->work);
	call->facts = text_put(&s->texts, (struct bytes){ s->work, size });
	if (call->facts != TEXT_NONE)
		give_setup(s, call);
}

bool facts_set_charge(struct shard *s, struct call *call, uint32_t charge)
{
	struct setup *setup = setup_of(s, call);
	struct facts facts;
	if (setup) {
		setup->charge = charge;
		return true;
	}
	unpack(s, call, &facts);
	facts.charge = charge;
	uint32_t size = (uint32_t)(put_facts(s->work, call, &facts) - s->work);
	uint32_t text = text_put(&s->texts, (struct bytes){ s->work, size });
	if (text == TEXT_NONE)
		return false;
	text_give(&s->texts, call->facts);
	call->facts = text;
	return true;
}

void facts_give(struct shard *s, struct call *call)
{
	if (call->setup != POOL_NONE)
		give_setup(s, call);
	text_give(&s->texts, call->facts);
}
