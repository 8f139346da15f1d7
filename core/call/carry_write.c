/* Writing what carry_image.h describes, straight into the queue. */
#include <assert.h>
#include <endian.h>

#include "core/call/body.h"
#include "core/call/carry.h"
#include "core/call/carry_image.h"
#include "core/call/charge.h"
#include "core/call/connect.h"
#include "core/call/ending.h"
#include "core/call/leg.h"
#include "core/call/number.h"
#include "core/siphash.h"

/* ---- bytes; the room was measured before ---- */

static uint8_t *put_u8(uint8_t *at, unsigned value)
{
	*at = (uint8_t)value;
	return at + 1;
}

static uint8_t *put_u16(uint8_t *at, unsigned value)
{
	uint16_t le = htole16((uint16_t)value);
	memcpy(at, &le, sizeof le);
	return at + sizeof le;
}

static uint8_t *put_u32(uint8_t *at, uint32_t value)
{
	uint32_t le = htole32(value);
	memcpy(at, &le, sizeof le);
	return at + sizeof le;
}

static uint8_t *put_u64(uint8_t *at, uint64_t value)
{
	uint64_t le = htole64(value);
	memcpy(at, &le, sizeof le);
	return at + sizeof le;
}

static uint8_t *put_bytes(uint8_t *at, struct bytes text)
{
	if (text.size)
		memcpy(at, text.at, text.size);
	return at + text.size;
}

static uint8_t *put_text8(uint8_t *at, struct bytes text)
{
	assert(text.size <= UINT8_MAX);
	return put_bytes(put_u8(at, text.size), text);
}

static uint8_t *put_text16(uint8_t *at, struct bytes text)
{
	assert(text.size <= UINT16_MAX);
	return put_bytes(put_u16(at, text.size), text);
}

static uint8_t *put_address(uint8_t *at, const struct address *a)
{
	unsigned size = a->family == 4 ? 4 : a->family == 6 ? 16 : 0;
	at = put_u16(put_u8(at, a->family), a->port);
	memcpy(at, a->ip, size);
	return at + size;
}

static uint8_t *begin_section(uint8_t *at, enum carry_section tag)
{
	return put_u8(at, tag) + sizeof(uint32_t);
}

static void end_section(const uint8_t *end, uint8_t *content)
{
	put_u32(content - sizeof(uint32_t), (uint32_t)(end - content));
}

/* ---- sections ---- */

/* The most that each takes, its texts of any length left out. */
enum {
	SECTION_BYTES = 5,
	CLOCK_BYTES = SECTION_BYTES + 30,
	CALL_BYTES = SECTION_BYTES + 64,
	NAME_BYTES = 1 + CONFIG_NAME_MAX,
	ADDRESS_BYTES = 3 + 16,
	STATE_BYTES = 4 * 4 + 2 + 2 + 1 + ADDRESS_BYTES + 2 * 8 + 3 * 4 + 4 + 8,
	LEG_BYTES = SECTION_BYTES + 4 + 4 + 2 + 4 + 3 + NAME_BYTES + ADDRESS_BYTES + 2 + STATE_BYTES,
	INVITE_BYTES = SECTION_BYTES + 4 + 4 + 8 + ADDRESS_BYTES + 4 + 4 + 1 + 2,
	FACTS_BYTES = SECTION_BYTES + 4 * NAME_BYTES + 2 * 8 + 4 + 2 * ADDRESS_BYTES + 2 + 4,
	NOTE_BYTES = NAME_BYTES + 4 + 2,
	BODY_BYTES = SECTION_BYTES + 1 + 2,
	CHANGE_BYTES = CLOCK_BYTES + SECTION_BYTES + 16 + STATE_BYTES,
};

/* Without INVITE and bodies a call always fits into a record, or no checkpoint would come to its end. */
static_assert(sizeof(struct record_call_head) + CLOCK_BYTES + CALL_BYTES + FACTS_BYTES + CALL_NUMBERS * NUMBER_ROOM +
			      CDR_ATTEMPTS_MAX * NOTE_BYTES + 2 * (LEG_BYTES + TEXT_BYTES_MAX) + SECTION_BYTES +
			      CHARGE_BYTES_MAX <=
		      RECORD_BYTES_MAX,
	      "the largest call");

uint32_t carry_key_print(const struct shard *s)
{
	/* The secret is in the one, the node's name in the other. */
	const uint64_t words[] = { s->key.steer.k0, s->key.steer.k1 };

	return (uint32_t)siphash13(s->key.k0, s->key.k1, words, sizeof words);
}

static uint8_t *put_clock(uint8_t *at, const struct shard *s)
{
	uint8_t *content = at = begin_section(at, CARRY_CLOCK);
	at = put_u64(at, s->carry->machine);
	at = put_u64(at, s->clock_ns);
	at = put_u64(at, (uint64_t)s->now.real_us);
	at = put_u32(at, s->carry->key);
	at = put_u16(at, s->boot);
	end_section(at, content);
	return at;
}

static uint8_t *put_call(uint8_t *at, const struct call *call)
{
	uint8_t *content = at = begin_section(at, CARRY_CALL);
	at = put_u64(at, call->start_ns);
	at = put_u64(at, call->connect_ns);
	at = put_u64(at, (uint64_t)call->last_confirmed_us);
	at = put_u32(at, call->refreshes_sent);
	at = put_u32(at, call->refreshes_confirmed);
	at = put_u32(at, call->no_timer_cap_s);
	at = put_u32(at, call->max_duration_s);
	at = put_u32(at, call->probe_interval_s);
	at = put_u32(at, call->rules.ttl_s);
	at = put_u32(at, call->rules.min_se_s);
	at = put_u16(at, call->rules.grace_s);
	at = put_u8(at, call->rules.segments);
	at = put_u8(at, call->state == CALL_UP);
	end_section(at, content);
	return at;
}

static uint8_t *put_name(uint8_t *at, uint32_t id)
{
	return put_text8(at, bytes_of(gateway_name(id)));
}

static uint8_t *put_facts(uint8_t *at, const struct call *call, const struct facts *f)
{
	uint8_t *content = at = begin_section(at, CARRY_FACTS);
	at = put_name(at, call->mapping_id);
	at = put_name(at, call->routing_id);
	at = put_name(at, f->account_id);
	at = put_name(at, f->vendor_account_id);
	at = put_u64(at, (uint64_t)f->connect_us);
	at = put_u64(at, (uint64_t)f->ringing_us);
	at = put_u32(at, f->pdd_ms);
	at = put_address(at, &f->source);
	at = put_address(at, &f->destination);
	at = put_text8(at, f->numbers[CALL_CALLER_IN]);
	at = put_text8(at, f->numbers[CALL_CALLEE_IN]);
	at = put_text8(at, f->numbers[CALL_CALLER_OUT]);
	at = put_text8(at, f->numbers[CALL_CALLEE_OUT]);
	at = put_u8(at, f->attempts_count);
	at = put_u8(at, f->note_count);
	for (uint32_t i = 0; i < f->note_count; i++) {
		at = put_name(at, f->notes[i].routing_id);
		at = put_u32(at, f->notes[i].ms);
		at = put_u16(at, f->notes[i].code);
	}
	end_section(at, content);
	return at;
}

static size_t facts_bytes(const struct facts *f)
{
	return FACTS_BYTES + f->numbers[CALL_CALLER_IN].size + f->numbers[CALL_CALLEE_IN].size +
	       f->numbers[CALL_CALLER_OUT].size + f->numbers[CALL_CALLEE_OUT].size + (size_t)f->note_count * NOTE_BYTES;
}

static unsigned flags_of(const struct shard *s, const struct leg *leg)
{
	return (leg->has_remote_cseq ? LEG_IMAGE_HAS_REMOTE_CSEQ : 0) | (leg->ack_wanted ? LEG_IMAGE_ACK_WANTED : 0) |
	       (leg->peer_updates ? LEG_IMAGE_PEER_UPDATES : 0) | (leg->no_update ? LEG_IMAGE_NO_UPDATE : 0) |
	       (leg->probe_answered ? LEG_IMAGE_PROBE_ANSWERED : 0) | (leg->tagged ? LEG_IMAGE_TAGGED : 0) |
	       (connect_answer_is_bare(s, leg) ? LEG_IMAGE_BARE : 0);
}

static uint8_t *put_session(uint8_t *at, const struct session_timer *t)
{
	at = put_u64(at, t->confirmed_at_ns);
	at = put_u64(at, t->due_ns);
	at = put_u32(at, t->interval_s);
	at = put_u32(at, t->refresh_s);
	at = put_u32(at, t->min_se_s);
	at = put_u8(at, t->wait);
	at = put_u8(at, t->segments);
	at = put_u8(at, t->segment);
	return put_u8(at, (unsigned)t->we_refresh | (unsigned)t->peer_has_tag << 1 | (unsigned)t->off << 2);
}

static uint8_t *put_state(uint8_t *at, const struct shard *s, const struct leg *leg)
{
	at = put_u32(at, leg->local_cseq);
	at = put_u32(at, leg->remote_cseq);
	at = put_u32(at, leg->invite_cseq);
	at = put_u32(at, leg->ack_cseq);
	at = put_u16(at, leg->branch_sequence);
	at = put_u16(at, flags_of(s, leg));
	at = put_u8(at, leg->probes_silent);
	at = put_address(at, &leg->flow.peer);
	at = put_session(at, &leg->session);
	return put_u64(at, leg->probe_due_ns);
}

/* Each body once. */
struct bodies {
	uint32_t handles[CARRY_BODIES_MAX];
	unsigned count;
	size_t bytes, room;
};

static size_t body_bytes(const struct shard *s, uint32_t handle)
{
	struct body_parts parts = body_parts(s, handle);
	return BODY_BYTES + parts.head.size + parts.content.size;
}

/* The least that is needed last: should all together be larger than a record, it is not written. */
static void add_body(const struct shard *s, struct bodies *bodies, uint32_t handle)
{
	if (handle == POOL_NONE)
		return;
	for (unsigned i = 0; i < bodies->count; i++)
		if (bodies->handles[i] == handle)
			return;
	size_t size = body_bytes(s, handle);
	if (size > bodies->room - bodies->bytes)
		return;
	bodies->handles[bodies->count++] = handle;
	bodies->bytes += size;
}

static void gather_bodies(const struct shard *s, const struct leg *const legs[2], struct bodies *bodies)
{
	add_body(s, bodies, legs[LEG_CALLER]->body_out);
	add_body(s, bodies, legs[LEG_CALLEE]->body_out);
	add_body(s, bodies, legs[LEG_CALLER]->body_in);
	add_body(s, bodies, legs[LEG_CALLEE]->body_in);
	add_body(s, bodies, legs[LEG_CALLEE]->ack_body);
	add_body(s, bodies, legs[LEG_CALLER]->ack_body);
}

static unsigned place_of(const struct bodies *bodies, uint32_t handle)
{
	for (unsigned i = 0; i < bodies->count; i++)
		if (bodies->handles[i] == handle)
			return i;
	return CARRY_NO_BODY;
}

static uint8_t *put_bodies(uint8_t *at, const struct shard *s, const struct bodies *bodies)
{
	for (unsigned i = 0; i < bodies->count; i++) {
		struct body_parts parts = body_parts(s, bodies->handles[i]);
		uint8_t *content = at = begin_section(at, CARRY_BODY);
		at = put_text16(put_u8(at, parts.plain), parts.head);
		at = put_bytes(at, parts.content);
		end_section(at, content);
	}
	return at;
}

static uint8_t *put_leg(uint8_t *at, const struct shard *s, const struct leg *leg, const struct bodies *bodies)
{
	uint8_t *content = at = begin_section(at, leg->side == LEG_CALLER ? CARRY_LEG_A : CARRY_LEG_B);
	struct ident id = leg_ident(s, leg);
	const struct listen_config *listen = listen_of(s, &leg->flow);
	at = put_u32(at, id.slot);
	at = put_u32(at, id.generation);
	at = put_u16(at, id.boot);
	at = put_u32(at, leg->remote_tag_hash);
	at = put_u8(at, place_of(bodies, leg->body_in));
	at = put_u8(at, place_of(bodies, leg->body_out));
	at = put_u8(at, place_of(bodies, leg->ack_body));
	at = put_text8(at, bytes_of(listen->name));
	at = put_address(at, &listen->address);
	at = put_state(at, s, leg);
	at = put_text16(at, text_get(&s->texts, leg->texts));
	end_section(at, content);
	return at;
}

static uint8_t *put_invite(uint8_t *at, const struct shard *s, const struct transaction *tx)
{
	uint8_t *content = at = begin_section(at, CARRY_INVITE);
	at = put_u32(at, tx->cseq);
	at = put_u32(at, tx->branch_hash);
	at = put_u64(at, tx->key);
	at = put_address(at, &tx->flow.peer);
	at = put_u32(at, tx->session.interval_s);
	at = put_u32(at, tx->session.min_se_s);
	at = put_u8(at, (unsigned)tx->session.we_refresh | (unsigned)tx->session.peer_has_tag << 1);
	at = put_text16(at, text_get(&s->texts, tx->head));
	end_section(at, content);
	return at;
}

static uint8_t *put_charge(uint8_t *at, const struct shard *s, const struct call *call)
{
	uint8_t *content = begin_section(at, CARRY_CHARGE);
	uint8_t *end = content + charge_write(s, call, (char *)content);
	if (end == content)
		return at;
	end_section(end, content);
	return end;
}

/* ---- records ---- */

static uint8_t *put_head(uint8_t *at, const char *cdr_id, unsigned bucket, enum carry_part part)
{
	struct record_call_head head = {
		.bucket = htole16((uint16_t)bucket),
		.part = (uint8_t)part,
		.version = CARRY_VERSION,
	};
	memcpy(head.cdr_id, cdr_id, CDR_ID_SIZE);
	memcpy(at, &head, sizeof head);
	return at + sizeof head;
}

static uint8_t *put_call_head(uint8_t *at, const struct shard *s, const struct call *call, enum carry_part part)
{
	char id[CDR_ID_SIZE];
	call_cdr_id(s, call, id);
	return put_head(at, id, leg_at(s, call->caller_leg)->bucket, part);
}

/* The caller's INVITE, until its ACK comes. */
static const struct transaction *waiting_invite(const struct shard *s, const struct call *call)
{
	const struct setup *setup = setup_of(s, call);
	return setup && call->state == CALL_ANSWERED ? transaction_at(s, setup->invite) : NULL;
}

bool carry_write_live(struct shard *s, const struct call *call)
{
	const struct leg *const legs[2] = { leg_at(s, call->caller_leg), leg_at(s, call->callee_leg) };
	const struct transaction *invite = waiting_invite(s, call);
	struct facts facts;
	facts_read(s, call, &facts);
	size_t size = sizeof(struct record_call_head) + CLOCK_BYTES + CALL_BYTES + facts_bytes(&facts) + 2 * LEG_BYTES +
		      text_size(&s->texts, legs[0]->texts) + text_size(&s->texts, legs[1]->texts);
	if (facts.charge)
		size += SECTION_BYTES + CHARGE_BYTES_MAX;
	if (invite && size + INVITE_BYTES + text_size(&s->texts, invite->head) > RECORD_BYTES_MAX)
		invite = NULL; /* after a restart its ACK is not waited for */
	if (invite)
		size += INVITE_BYTES + text_size(&s->texts, invite->head);
	assert(size <= RECORD_BYTES_MAX);
	struct bodies bodies = { .room = RECORD_BYTES_MAX - size };
	gather_bodies(s, legs, &bodies);
	uint8_t *begin = carry_lend(s, size + bodies.bytes), *at = begin;
	if (!at)
		return false;
	at = put_call_head(at, s, call, CARRY_ACKED);
	at = put_clock(at, s);
	at = put_call(at, call);
	at = put_facts(at, call, &facts);
	at = put_bodies(at, s, &bodies);
	at = put_leg(at, s, legs[0], &bodies);
	at = put_leg(at, s, legs[1], &bodies);
	if (facts.charge)
		at = put_charge(at, s, call);
	if (invite)
		at = put_invite(at, s, invite);
	assert((size_t)(at - begin) <= size + bodies.bytes);
	carry_publish(s, RECORD_LIVE, (size_t)(at - begin));
	return true;
}

bool carry_write_change(struct shard *s, const struct call *call, enum carry_part part)
{
	uint8_t *begin = carry_lend(s, sizeof(struct record_call_head) + CHANGE_BYTES), *at = begin;
	if (!at)
		return false;
	at = put_call_head(at, s, call, part);
	at = put_clock(at, s);
	if (part != CARRY_ACKED) {
		uint8_t *content = at = begin_section(at, CARRY_STATE);
		at = put_u64(at, (uint64_t)call->last_confirmed_us);
		at = put_u32(at, call->refreshes_sent);
		at = put_u32(at, call->refreshes_confirmed);
		at = put_state(at, s, leg_at(s, part == CARRY_CALLER ? call->caller_leg : call->callee_leg));
		end_section(at, content);
	}
	assert((size_t)(at - begin) <= sizeof(struct record_call_head) + CHANGE_BYTES);
	carry_publish(s, RECORD_CHANGE, (size_t)(at - begin));
	return true;
}

bool carry_write_closed(struct shard *s, const struct leg *leg)
{
	uint8_t *begin = carry_lend(s, sizeof(struct record_call_head));
	char id[CDR_ID_SIZE];
	if (!begin)
		return false;
	ending_write_id(leg->ended_start_us, leg->boot, carry_leg_shard(s, leg), leg->ended_sequence, id);
	put_head(begin, id, leg->bucket, leg->side == LEG_CALLER ? 0 : 1);
	carry_publish(s, RECORD_CLOSED, sizeof(struct record_call_head));
	return true;
}
