/* What the CDR needs of a call: the same before the caller's ACK, in the set-up record, and after it, packed. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "core/call/facts.h"
#include "core/call/leg.h"
#include "sip/pack.h"

#define START_US INT64_C(1700000000000000)

static struct shard s;
static struct call *call;
static struct setup *setup;

static void begin(uint64_t text_bytes)
{
	memset(&s, 0, sizeof s);
	cr_assert_eq(pool_create(&s.calls, 4, sizeof(struct call)), 0);
	cr_assert_eq(pool_create(&s.setups, 4, sizeof(struct setup)), 0);
	cr_assert_eq(pool_create(&s.legs, 4, sizeof(struct leg)), 0);
	cr_assert_eq(text_store_create(&s.texts, text_bytes), 0);
	s.work = malloc(DATAGRAM_MAX);
	s.boot = 3;
	call = call_at(&s, pool_take(&s.calls));
	call->setup = pool_take(&s.setups);
	call->caller_leg = leg_index(&s, leg_take(&s, 0, LEG_CALLER, 77));
	call->callee_leg = leg_index(&s, leg_take(&s, 0, LEG_CALLEE, 77));
	call->start_us = START_US;
	call->start_ns = 5000000000;
	setup = setup_of(&s, call);
	setup->attempts_count = 1;
	setup->offer = POOL_NONE;
	setup->callee_slot = call->callee_leg;
	setup->connect_us = START_US + 2500000;
	setup->ringing_ns = call->start_ns + 300000000;
	setup->first_reply_ns = call->start_ns + 123000000;
}

static void end(void)
{
	facts_give(&s, call);
	cr_assert_eq(s.texts.used_count, 0);
	cr_assert_eq(s.setups.used, 0);
	pool_destroy(&s.calls);
	pool_destroy(&s.setups);
	pool_destroy(&s.legs);
	text_store_destroy(&s.texts);
	free(s.work);
}

static void set_numbers(const char *caller_in, const char *callee_in, const char *caller_out, const char *callee_out)
{
	struct bytes numbers[CALL_NUMBERS] = { [CALL_CALLER_IN] = bytes_of(caller_in),
					       [CALL_CALLEE_IN] = bytes_of(callee_in),
					       [CALL_CALLER_OUT] = bytes_of(caller_out),
					       [CALL_CALLEE_OUT] = bytes_of(callee_out) };
	setup->numbers = text_take(&s.texts, pack_size(numbers, CALL_NUMBERS));
	pack_write(numbers, CALL_NUMBERS, text_at(&s.texts, setup->numbers));
}

/* Reads the facts before and after they are packed: they must be the same. */
static void pack_and_compare(void)
{
	static struct facts before, after;
	char kept[CALL_NUMBERS][NUMBER_MAX + 1] = { 0 };
	facts_read(&s, call, &before);
	for (unsigned i = 0; i < CALL_NUMBERS; i++)
		memcpy(kept[i], before.numbers[i].at, before.numbers[i].size);
	facts_pack(&s, call);
	cr_assert_eq(call->setup, POOL_NONE);
	facts_read(&s, call, &after);
	cr_assert_eq(after.connect_us, before.connect_us);
	cr_assert_eq(after.ringing_us, before.ringing_us);
	cr_assert_eq(after.pdd_ms, before.pdd_ms);
	cr_assert_eq(after.account_id, before.account_id);
	cr_assert_eq(after.vendor_account_id, before.vendor_account_id);
	for (unsigned i = 0; i < CALL_NUMBERS; i++)
		cr_assert(bytes_equal(after.numbers[i], bytes_of(kept[i])), "number %u", i);
	cr_assert(address_equal(&after.source, &before.source));
	cr_assert(address_equal(&after.destination, &before.destination));
	cr_assert(after.tried && before.tried);
	cr_assert_eq(memcmp(&after.callee, &before.callee, sizeof after.callee), 0);
	cr_assert_eq(after.attempts_count, before.attempts_count);
	cr_assert_eq(after.note_count, before.note_count);
	cr_assert_eq(memcmp(after.notes, before.notes, before.note_count * sizeof *before.notes), 0);
}

Test(facts, are_the_same_when_packed)
{
	begin(1u << 20);
	setup->account_id = 7;
	setup->vendor_account_id = UINT32_MAX;
	set_numbers("+442012345678", "+8801712345678", "+442012345678", "8801712345678");
	setup->source = (struct address){ .family = 4, .port = 5060, .ip = { 192, 0, 2, 1 } };
	setup->destination = (struct address){ .family = 6, .port = 65535, .ip = { 0x20, 1, 13, 0xb8, [15] = 200 } };
	struct attempt_note note = { .routing_id = 4000000, .ms = UINT32_MAX, .code = 503 };
	facts_note_attempt(&s, setup, &note);
	pack_and_compare();
	end();
}

/* The extremes: nothing at all; the longest numbers, a clock that was set back, as many attempts as are listed. */
Test(facts, of_nothing)
{
	begin(1u << 20);
	set_numbers("", "", "", "");
	setup->ringing_ns = setup->first_reply_ns = 0;
	pack_and_compare();
	cr_assert_leq(text_size(&s.texts, call->facts), 24);
	end();
}

Test(facts, of_much)
{
	char longest[NUMBER_MAX + 1];
	begin(1u << 20);
	memset(longest, '7', NUMBER_MAX);
	longest[NUMBER_MAX] = '\0';
	set_numbers(longest, longest + 1, longest + 2, longest + 3);
	setup->connect_us = START_US - INT64_C(1000000000000);
	setup->ringing_ns = call->start_ns;
	for (unsigned i = 0; i < CDR_ATTEMPTS_MAX + 9; i++) {
		struct attempt_note note = { .routing_id = i + 1, .ms = i * 100000, .code = i % 700 };
		facts_note_attempt(&s, setup, &note);
	}
	static struct facts facts;
	facts_read(&s, call, &facts);
	cr_assert_eq(facts.note_count, CDR_ATTEMPTS_MAX);
	cr_assert_eq(facts.notes[CDR_ATTEMPTS_MAX - 2].routing_id, CDR_ATTEMPTS_MAX - 1);
	cr_assert_eq(facts.notes[CDR_ATTEMPTS_MAX - 1].routing_id, CDR_ATTEMPTS_MAX + 9, "the latest is listed last");
	cr_assert_eq(facts.ringing_us, START_US);
	pack_and_compare();
	end();
}

/* Without room the set-up record stays, and what it says. */
Test(facts, without_room_nothing_is_lost)
{
	static struct facts facts;
	begin(TEXT_PAGE);
	set_numbers("1", "2", "1", "2");
	while (text_take(&s.texts, 16) != TEXT_NONE)
		;
	facts_pack(&s, call);
	cr_assert_eq(setup_of(&s, call), setup);
	cr_assert_eq(call->facts, TEXT_NONE);
	facts_read(&s, call, &facts);
	cr_assert_eq(facts.pdd_ms, 123);
	cr_assert(bytes_equal(facts.numbers[CALL_CALLEE_OUT], BYTES("2")));
}
