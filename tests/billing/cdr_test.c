/* The encoded form of a record.  Decoding is given bytes that end where readable memory ends, so that one byte read too
 * many is a crash. */
#include "billing/cdr.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/billing/sample.h"

#define ROOM (2 * CDR_BYTES_MAX)

/* `size` bytes just before a page that cannot be read. */
static uint8_t *guarded(const uint8_t *bytes, size_t size)
{
	static uint8_t *memory;

	if (memory == NULL) {
		memory = mmap(NULL, ROOM + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		cr_assert_neq(memory, MAP_FAILED);
		cr_assert_eq(mprotect(memory + ROOM, 4096, PROT_NONE), 0);
	}
	uint8_t *at = memory + ROOM - size;
	memcpy(at, bytes, size);
	return at;
}

static bool decodes(const uint8_t *bytes, size_t size)
{
	struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	struct cdr cdr;

	return cdr_decode(guarded(bytes, size), size, &cdr, attempts);
}

/* Whatever is accepted has one encoding: the bytes it came from. */
static void check_refused_or_canonical(const uint8_t *bytes, size_t size)
{
	static uint8_t again[CDR_BYTES_MAX];
	struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	struct cdr cdr;

	if (!cdr_decode(guarded(bytes, size), size, &cdr, attempts))
		return;
	cr_assert_eq(cdr_encode(&cdr, again, sizeof(again)), size);
	cr_assert_eq(memcmp(again, bytes, size), 0);
}

static void check_round_trip(const struct cdr *cdr)
{
	static uint8_t bytes[CDR_BYTES_MAX];
	struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	struct cdr back;
	const size_t size = cdr_encode(cdr, bytes, sizeof(bytes));

	cr_assert_gt(size, 0);
	cr_assert_eq(size, cdr_encoded_size(cdr));
	cr_assert(cdr_decode(guarded(bytes, size), size, &back, attempts));
	cr_assert(sample_equal(cdr, &back));
}

static char long_text[4 * CDR_TEXT_MAX];

/* Each text at its longest, holding every byte there is, and as many attempts as are listed. */
static struct cdr largest(void)
{
	static struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	const struct cdr_text text = { .at = long_text, .size = CDR_TEXT_MAX };
	struct cdr cdr = sample_cdr(0);

	for (size_t i = 0; i < sizeof(long_text); i++)
		long_text[i] = (char)i;
	cdr.node = cdr.mapping_gateway = cdr.routing_gateway = cdr.account = cdr.vendor_account = text;
	cdr.caller_in = cdr.callee_in = cdr.caller_out = cdr.callee_out = text;
	cdr.source_address = cdr.destination_address = cdr.call_id_a = cdr.call_id_b = text;
	cdr.rate_prefix = cdr.rate = cdr.fee = cdr.cost = text;
	for (size_t i = 0; i < CDR_ATTEMPTS_MAX; i++)
		attempts[i] = (struct cdr_attempt){ .gateway = { long_text, CDR_GATEWAY_MAX },
						    .code = UINT16_MAX,
						    .ms = UINT32_MAX };
	cdr.attempts = attempts;
	cdr.attempts_count = CDR_ATTEMPTS_MAX;
	return cdr;
}

Test(cdr, end_reasons_and_sides_are_named_as_in_the_specification)
{
	static const char *const reasons[] = {
		"normal",          "cancelled",       "no_route",         "rejected",          "no_answer",
		"timeout_invite",  "timeout_trying",  "timeout_progress", "timeout_ringing",   "setup_timeout",
		"session_timeout", "no_timer_cap",    "max_duration",     "balance_exhausted", "dialog_lost",
		"ack_missing",     "operator_hangup", "node_shutdown",    "node_crash",        "overload",
		"capacity",        "no_rate",         "no_balance",       "account_locked",    "unauthorized",
	};

	cr_assert_eq(sizeof(reasons) / sizeof(reasons[0]), CDR_END_REASON_COUNT);
	for (unsigned i = 0; i < CDR_END_REASON_COUNT; i++)
		cr_assert_str_eq(cdr_end_reason_name(i), reasons[i]);
	cr_assert_str_eq(cdr_side_name(CDR_SIDE_CALLER), "caller");
	cr_assert_str_eq(cdr_side_name(CDR_SIDE_CALLEE), "callee");
	cr_assert_str_eq(cdr_side_name(CDR_SIDE_SWITCH), "switch");
}

Test(cdr, a_record_comes_back_as_it_was)
{
	const struct cdr cdr = sample_cdr(1);

	check_round_trip(&cdr);
}

Test(cdr, extremes_come_back_as_they_were)
{
	struct cdr cdr = largest();

	cdr.start_us = cdr.pdd_ms = cdr.last_confirmed_us = INT64_MIN;
	cdr.ringing_us = cdr.hold_ms = cdr.connect_us = INT64_MAX;
	cdr.end_us = cdr.billed_s = -1;
	cdr.shard = cdr.sip_code = cdr.q850 = UINT16_MAX;
	cdr.refreshes_sent = cdr.refreshes_confirmed = UINT32_MAX;
	cdr.end_side = CDR_SIDE_COUNT - 1;
	cdr.end_reason = CDR_END_REASON_COUNT - 1;
	cdr.recovered = 1;
	check_round_trip(&cdr);

	const struct cdr empty = { 0 };
	check_round_trip(&empty);
}

Test(cdr, every_end_is_carried)
{
	for (uint8_t reason = 0; reason < CDR_END_REASON_COUNT; reason++)
		for (uint8_t timer = 0; timer <= 3; timer++) {
			struct cdr cdr = sample_cdr(reason);
			cdr.end_reason = reason;
			cdr.end_side = reason % CDR_SIDE_COUNT;
			cdr.session_timer = timer;
			check_round_trip(&cdr);
		}
}

/* What is on disk or in a mapping is read by the next version: the places of version 1 are fixed. */
Test(cdr, version_1_is_little_endian_and_keeps_its_layout)
{
	uint8_t bytes[CDR_BYTES_MAX];
	struct cdr cdr = { .shard = 0x1234, .start_us = 0x0102030405060708, .last_confirmed_us = -2 };
	static const uint8_t start[] = { 0x34, 0x12, 8, 7, 6, 5, 4, 3, 2, 1 };
	static const uint8_t last[] = { 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 'n', '1', 0, 0 };

	memset(cdr.cdr_id, 'i', sizeof(cdr.cdr_id));
	cdr.node = sample_text("n1");
	cr_assert_eq(cdr_encode(&cdr, bytes, sizeof(bytes)), 153);
	cr_assert_eq(bytes[0], 1);
	cr_assert_eq(bytes[1], 0);
	cr_assert_eq(memcmp(bytes + 2, cdr.cdr_id, CDR_ID_SIZE), 0);
	cr_assert_eq(memcmp(bytes + 34, start, sizeof(start)), 0);
	cr_assert_eq(memcmp(bytes + 108, last, sizeof(last)), 0);
	cr_assert_eq(bytes[152], 0); /* no attempts */
}

Test(cdr, longer_texts_are_cut_and_the_largest_record_fits)
{
	uint8_t bytes[CDR_BYTES_MAX];
	struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	struct cdr cdr = largest(), back;

	const size_t size = cdr_encode(&cdr, bytes, sizeof(bytes));
	cr_assert_gt(size, 0);
	cdr.call_id_a.size = sizeof(long_text);
	((struct cdr_attempt *)cdr.attempts)[0].gateway.size = CDR_GATEWAY_MAX + 1;
	cr_assert_eq(cdr_encode(&cdr, bytes, sizeof(bytes)), size);
	cr_assert(cdr_decode(bytes, size, &back, attempts));
	cr_assert_eq(back.call_id_a.size, CDR_TEXT_MAX);
	cr_assert_eq(back.attempts[0].gateway.size, CDR_GATEWAY_MAX);
}

Test(cdr, of_more_attempts_than_listed_the_last_is_kept_with_the_time_of_those_left_out)
{
	struct cdr_attempt many[CDR_ATTEMPTS_MAX + 3], attempts[CDR_ATTEMPTS_MAX];
	uint8_t bytes[CDR_BYTES_MAX];
	struct cdr cdr = sample_cdr(1), back;

	for (size_t i = 0; i < CDR_ATTEMPTS_MAX + 3; i++)
		many[i] = (struct cdr_attempt){ .gateway = sample_text("vendor-a"), .code = 503, .ms = 10 };
	many[CDR_ATTEMPTS_MAX + 2] = (struct cdr_attempt){ .gateway = sample_text("last"), .code = 200, .ms = 7 };
	cdr.attempts = many;
	cdr.attempts_count = CDR_ATTEMPTS_MAX + 3;
	const size_t size = cdr_encode(&cdr, bytes, sizeof(bytes));
	cr_assert(cdr_decode(bytes, size, &back, attempts));
	cr_assert_eq(back.attempts_count, CDR_ATTEMPTS_MAX);
	cr_assert_eq(back.attempts[CDR_ATTEMPTS_MAX - 2].code, 503);
	cr_assert_eq(back.attempts[CDR_ATTEMPTS_MAX - 1].code, 200);
	cr_assert_eq(back.attempts[CDR_ATTEMPTS_MAX - 1].ms, 37);
}

Test(cdr, too_small_a_place_is_refused_and_not_written_to)
{
	uint8_t bytes[CDR_BYTES_MAX];
	const struct cdr cdr = sample_cdr(1);
	const size_t needed = cdr_encoded_size(&cdr);

	memset(bytes, 0xee, sizeof(bytes));
	for (size_t size = 0; size < needed; size++)
		cr_assert_eq(cdr_encode(&cdr, bytes, size), 0);
	for (size_t i = 0; i < sizeof(bytes); i++)
		cr_assert_eq(bytes[i], 0xee);
	cr_assert_eq(cdr_encode(&cdr, bytes, needed), needed);
}

Test(cdr, every_truncation_and_extension_is_refused)
{
	uint8_t bytes[CDR_BYTES_MAX + 1];
	const struct cdr cdr = sample_cdr(1);
	const size_t size = cdr_encode(&cdr, bytes, CDR_BYTES_MAX);

	for (size_t cut = 0; cut < size; cut++)
		cr_assert_not(decodes(bytes, cut), "cut at %zu", cut);
	cr_assert(decodes(bytes, size));
	bytes[size] = 0;
	cr_assert_not(decodes(bytes, size + 1));
}

Test(cdr, every_change_of_a_byte_is_refused_or_another_record)
{
	uint8_t bytes[CDR_BYTES_MAX];
	const struct cdr cdr = sample_cdr(1);
	const size_t size = cdr_encode(&cdr, bytes, sizeof(bytes));

	for (size_t at = 0; at < size; at++)
		for (unsigned change = 1; change < 256; change++) {
			bytes[at] ^= (uint8_t)change;
			check_refused_or_canonical(bytes, size);
			if (at < 2)
				cr_assert_not(decodes(bytes, size), "another version");
			bytes[at] ^= (uint8_t)change;
		}
}

Test(cdr, values_without_a_name_are_refused)
{
	uint8_t bytes[CDR_BYTES_MAX];
	struct cdr cdr = { 0 };
	const size_t size = cdr_encode(&cdr, bytes, sizeof(bytes));
	static const struct {
		size_t at;
		uint8_t first_bad;
	} fields[] = { { 92, CDR_SIDE_COUNT }, { 93, CDR_END_REASON_COUNT }, { 98, 4 }, { 99, 2 } };

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		bytes[fields[i].at] = (uint8_t)(fields[i].first_bad - 1);
		cr_assert(decodes(bytes, size), "field at %zu", fields[i].at);
		bytes[fields[i].at] = fields[i].first_bad;
		cr_assert_not(decodes(bytes, size), "field at %zu", fields[i].at);
		bytes[fields[i].at] = 0;
	}
}

Test(cdr, random_bytes_are_refused_or_a_record)
{
	uint8_t bytes[2048];
	const struct cdr cdr = sample_cdr(1);
	const size_t record_size = cdr_encode(&cdr, bytes, sizeof(bytes));

	srandom(20240601);
	for (int round = 0; round < 100000; round++) {
		size_t size = (size_t)random() % sizeof(bytes);
		if (round % 2 == 0) { /* a record with some bytes changed gets further than noise */
			size = cdr_encode(&cdr, bytes, sizeof(bytes));
			cr_assert_eq(size, record_size);
			for (long changes = random() % 8; changes >= 0; changes--)
				bytes[2 + (size_t)random() % (size - 2)] = (uint8_t)random();
		} else {
			for (size_t i = 0; i < size; i++)
				bytes[i] = (uint8_t)random();
			memcpy(bytes, "\1\0", 2);
		}
		check_refused_or_canonical(bytes, size);
	}
}
