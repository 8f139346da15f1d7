/* The CDR of a call that is not carried on, because there is no room for it or its records make no sense: a call has
 * one CDR (spec 9), and this is the last chance for it.  What of the records came out well is told; the call ends at
 * its last proof of life, as if on_restart were "close", but nobody hears a BYE. */
#include "core/call/carry.h"
#include "core/call/carry_image.h"
#include "core/call/charge.h"
#include "core/call/ending.h"
#include "sip/dialog.h"
#include "sip/pack.h"

static struct cdr_text text_of(struct bytes bytes)
{
	return (struct cdr_text){ bytes.at, bytes.size };
}

static bool has(const struct call_image *c, enum carry_section section)
{
	return c->seen & 1u << section;
}

/* From its answer to the latest that either side was heard of: by the monotonic clock, unless the machine was restarted
 * in between. */
static uint64_t lived_ns(const struct call_image *c)
{
	const enum carry_section sections[2] = { CARRY_LEG_A, CARRY_LEG_B };
	uint64_t latest_ns = 0, between_ns;
	if (!has(c, CARRY_CALL) || !has(c, CARRY_CLOCK))
		return 0;
	for (unsigned i = 0; i < 2; i++) {
		const struct leg_image *leg = &c->legs[i];
		uint64_t at_ns = leg->state.session.confirmed_at_ns;
		if (!has(c, sections[i]))
			continue;
		if (leg->clock.machine == c->clock.machine)
			between_ns = at_ns && is_before(c->connect_ns, at_ns) ? at_ns - c->connect_ns : 0;
		else
			between_ns = c->last_confirmed_us > c->facts.connect_us
					     ? ((uint64_t)c->last_confirmed_us - (uint64_t)c->facts.connect_us) * 1000
					     : 0;
		latest_ns = between_ns > latest_ns ? between_ns : latest_ns;
	}
	return latest_ns;
}

static int64_t hold_us(const struct shard *s, const struct call_image *c)
{
	int64_t most_us, us = (int64_t)(lived_ns(c) / 1000);
	if (__builtin_sub_overflow(s->now.real_us, c->facts.connect_us, &most_us))
		return 0; /* no moment that there was: nothing of it is believed */
	return us < most_us ? us : most_us > 0 ? most_us : 0;
}

static void list_attempts(const struct call_image *c, struct cdr *cdr, struct cdr_attempt *attempts)
{
	for (uint32_t i = 0; i < c->facts.note_count; i++)
		attempts[i] = (struct cdr_attempt){ .gateway = text_of(c->note_names[i]),
						    .code = (uint16_t)c->facts.notes[i].code,
						    .ms = c->facts.notes[i].ms };
	cdr->attempts = attempts;
	cdr->attempts_count = c->facts.note_count;
}

struct lost_room {
	struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX], token[IDENT_SIZE];
};

static void tell_facts(const struct shard *s, const struct call_image *c, struct cdr *cdr, struct lost_room *room)
{
	const struct facts *f = &c->facts;
	cdr->mapping_gateway = text_of(c->mapping);
	cdr->routing_gateway = text_of(c->routing);
	cdr->account = text_of(c->account);
	cdr->vendor_account = text_of(c->vendor_account);
	cdr->caller_in = text_of(f->numbers[CALL_CALLER_IN]);
	cdr->callee_in = text_of(f->numbers[CALL_CALLEE_IN]);
	cdr->caller_out = text_of(f->numbers[CALL_CALLER_OUT]);
	cdr->callee_out = text_of(f->numbers[CALL_CALLEE_OUT]);
	cdr->source_address = (struct cdr_text){ room->source, address_write(&f->source, room->source) };
	cdr->destination_address =
		(struct cdr_text){ room->destination, address_write(&f->destination, room->destination) };
	cdr->pdd_ms = f->pdd_ms;
	cdr->ringing_us = f->ringing_us;
	cdr->connect_us = f->connect_us;
	cdr->hold_ms = hold_us(s, c) / 1000;
	cdr->end_us = f->connect_us + hold_us(s, c);
	list_attempts(c, cdr, room->attempts);
}

static void tell_legs(const struct shard *s, const struct call_image *c, struct cdr *cdr, struct lost_room *room)
{
	struct bytes texts[DIALOG_TEXTS];
	if (has(c, CARRY_LEG_A)) {
		pack_read(c->legs[LEG_CALLER].dialog, texts, DIALOG_TEXTS);
		cdr->call_id_a = text_of(texts[DIALOG_CALL_ID]);
		cdr->session_timer |= c->legs[LEG_CALLER].state.session.interval_s ? CDR_TIMER_A : 0;
	}
	if (has(c, CARRY_LEG_B)) {
		struct ident id = c->legs[LEG_CALLEE].ident;
		id.bucket = c->bucket;
		ident_write(&s->key, &id, room->token);
		cdr->call_id_b = (struct cdr_text){ room->token, IDENT_SIZE };
		cdr->session_timer |= c->legs[LEG_CALLEE].state.session.interval_s ? CDR_TIMER_B : 0;
	}
}

bool carry_end_lost(struct shard *s, const struct call_image *c)
{
	struct charge_bill bill = { 0 };
	struct lost_room room;
	struct cdr cdr = {
		.node = text_of(bytes_of(s->config->node)),
		.shard = s->shard,
		.start_us = c->start_us,
		.end_us = c->start_us,
		.end_side = CDR_SIDE_SWITCH,
		.end_reason = CDR_END_node_crash,
		.sip_code = 200,
		.q850 = 16,
		.recovered = 1,
	};
	ending_write_id(c->start_us, c->boot, c->shard, c->sequence, cdr.cdr_id);
	if (has(c, CARRY_FACTS))
		tell_facts(s, c, &cdr, &room);
	tell_legs(s, c, &cdr, &room);
	if (has(c, CARRY_CALL)) {
		cdr.refreshes_sent = c->refreshes_sent;
		cdr.refreshes_confirmed = c->refreshes_confirmed;
		cdr.last_confirmed_us = c->last_confirmed_us;
	}
	if (has(c, CARRY_FACTS))
		charge_bill_written(s, c->charge, (uint64_t)cdr.hold_ms, &bill);
	cdr.billed_s = bill.billed_s;
	cdr.rate_prefix = text_of(bill.rate_prefix);
	cdr.rate = text_of(bill.rate);
	cdr.fee = text_of(bill.fee);
	cdr.cost = text_of(bill.cost);
	if (!ending_submit_now(s, &cdr))
		return false;
	charge_spend_written(s, c->charge, &bill);
	return true;
}
