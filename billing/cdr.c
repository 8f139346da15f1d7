/* The encoded form of a call detail record.  Version 1, all numbers little-endian:
 *
 *   u16 version | cdr_id, 32 bytes | the numbers of NUMBERS_V1 | the texts of TEXTS_V1, each u16 size, bytes
 *   | u8 attempts, each u16 code, u32 ms, text gateway
 *
 * A record ends where its last attempt does: one that is cut short or followed by anything is damaged.  Records outlive
 * the program that wrote them, so the tables of a version never change; a new field makes a new version, with a table
 * of what it adds, and the old one stays readable. */
#include "billing/cdr.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#define VERSION 1

#define NUMBERS_V1(X)                                                                                                  \
	X(shard)                                                                                                       \
	X(start_us)                                                                                                    \
	X(ringing_us)                                                                                                  \
	X(connect_us)                                                                                                  \
	X(end_us)                                                                                                      \
	X(pdd_ms)                                                                                                      \
	X(hold_ms)                                                                                                     \
	X(billed_s)                                                                                                    \
	X(end_side)                                                                                                    \
	X(end_reason)                                                                                                  \
	X(sip_code)                                                                                                    \
	X(q850)                                                                                                        \
	X(session_timer)                                                                                               \
	X(recovered)                                                                                                   \
	X(refreshes_sent)                                                                                              \
	X(refreshes_confirmed)                                                                                         \
	X(last_confirmed_us)

#define TEXTS_V1(X)                                                                                                    \
	X(node)                                                                                                        \
	X(mapping_gateway)                                                                                             \
	X(routing_gateway)                                                                                             \
	X(account)                                                                                                     \
	X(vendor_account)                                                                                              \
	X(caller_in)                                                                                                   \
	X(callee_in)                                                                                                   \
	X(caller_out)                                                                                                  \
	X(callee_out)                                                                                                  \
	X(source_address)                                                                                              \
	X(destination_address)                                                                                         \
	X(call_id_a)                                                                                                   \
	X(call_id_b)                                                                                                   \
	X(rate_prefix)                                                                                                 \
	X(rate)                                                                                                        \
	X(fee)                                                                                                         \
	X(cost)

#define SIZE(name) +sizeof((struct cdr *)NULL)->name
#define ONE(name)  +1
enum {
	NUMBERS_BYTES = 0 NUMBERS_V1(SIZE),
	FIXED_BYTES = 2 + CDR_ID_SIZE + NUMBERS_BYTES + 1,
	TEXT_COUNT = 0 TEXTS_V1(ONE),
	TEXT_HEADER_BYTES = 2,
	ATTEMPT_BYTES = 2 + 4,
};
#undef ONE
#undef SIZE

static_assert(FIXED_BYTES + TEXT_COUNT * (TEXT_HEADER_BYTES + CDR_TEXT_MAX) +
			      CDR_ATTEMPTS_MAX * (ATTEMPT_BYTES + TEXT_HEADER_BYTES + CDR_GATEWAY_MAX) <=
		      CDR_BYTES_MAX,
	      "the longest record fits");
static_assert(CDR_TEXT_MAX <= UINT16_MAX && CDR_ATTEMPTS_MAX <= UINT8_MAX, "sizes and counts fit their fields");

/* ---- names ---- */

const char *cdr_end_reason_name(enum cdr_end_reason reason)
{
#define NAME(name) #name,
	static const char *const names[] = { CDR_END_REASONS(NAME) };
#undef NAME
	static_assert(sizeof(names) / sizeof(names[0]) == CDR_END_REASON_COUNT, "a name for each");

	assert((unsigned)reason < CDR_END_REASON_COUNT);
	return names[reason];
}

const char *cdr_side_name(enum cdr_side side)
{
	static const char *const names[] = {
		[CDR_SIDE_CALLER] = "caller",
		[CDR_SIDE_CALLEE] = "callee",
		[CDR_SIDE_SWITCH] = "switch",
	};
	static_assert(sizeof(names) / sizeof(names[0]) == CDR_SIDE_COUNT, "a name for each");

	assert((unsigned)side < CDR_SIDE_COUNT);
	return names[side];
}

static bool in_range(const struct cdr *cdr)
{
	return cdr->end_side < CDR_SIDE_COUNT && cdr->end_reason < CDR_END_REASON_COUNT &&
	       cdr->session_timer <= (CDR_TIMER_A | CDR_TIMER_B) && cdr->recovered <= 1;
}

/* ---- encoding ---- */

static uint32_t cut(uint32_t size, uint32_t max)
{
	return size < max ? size : max;
}

static uint32_t attempts_listed(const struct cdr *cdr)
{
	return cut(cdr->attempts_count, CDR_ATTEMPTS_MAX);
}

/* The `index`-th attempt of the list. */
static struct cdr_attempt attempt_listed(const struct cdr *cdr, uint32_t index)
{
	if (index < CDR_ATTEMPTS_MAX - 1 || cdr->attempts_count <= CDR_ATTEMPTS_MAX)
		return cdr->attempts[index];

	struct cdr_attempt last = cdr->attempts[cdr->attempts_count - 1];
	uint64_t ms = 0;
	for (uint32_t i = index; i < cdr->attempts_count; i++)
		ms += cdr->attempts[i].ms;
	last.ms = ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX;
	return last;
}

/* Inlined always: with a size that is known, each number is one store. */
__attribute__((always_inline)) static inline uint8_t *put(uint8_t *at, uint64_t number, size_t size)
{
	const uint64_t little = htole64(number);
	memcpy(at, &little, size);
	return at + size;
}

static void copy(uint8_t *to, const char *from, size_t size)
{
	/* A compiler that knows the size to be small copies by `rep movs`, which takes longer to start than most of
	 * these texts take in all: a record costs two to three times as much.  So it is not told. */
	__asm__("" : "+r"(size));
	memcpy(to, from, size);
}

static uint8_t *put_text(uint8_t *at, struct cdr_text text, uint32_t max)
{
	const uint32_t size = cut(text.size, max);

	assert(text.at != NULL || size == 0);
	at = put(at, size, TEXT_HEADER_BYTES);
	if (size != 0)
		copy(at, text.at, size);
	return at + size;
}

size_t cdr_encoded_size(const struct cdr *cdr)
{
	size_t size = FIXED_BYTES;

#define ADD(name) size += TEXT_HEADER_BYTES + cut(cdr->name.size, CDR_TEXT_MAX);
	TEXTS_V1(ADD)
#undef ADD
	for (uint32_t i = 0; i < attempts_listed(cdr); i++)
		size += ATTEMPT_BYTES + TEXT_HEADER_BYTES + cut(attempt_listed(cdr, i).gateway.size, CDR_GATEWAY_MAX);
	assert(size <= CDR_BYTES_MAX);
	return size;
}

size_t cdr_encode(const struct cdr *cdr, uint8_t *out, size_t size)
{
	const size_t needed = cdr_encoded_size(cdr);

	assert(in_range(cdr));
	if (needed > size)
		return 0;

	uint8_t *at = put(out, VERSION, 2);
	memcpy(at, cdr->cdr_id, CDR_ID_SIZE);
	at += CDR_ID_SIZE;
#define PUT(name) at = put(at, (uint64_t)cdr->name, sizeof(cdr->name));
	NUMBERS_V1(PUT)
#undef PUT
#define PUT(name) at = put_text(at, cdr->name, CDR_TEXT_MAX);
	TEXTS_V1(PUT)
#undef PUT
	at = put(at, attempts_listed(cdr), 1);
	for (uint32_t i = 0; i < attempts_listed(cdr); i++) {
		const struct cdr_attempt attempt = attempt_listed(cdr, i);
		at = put(at, attempt.code, 2);
		at = put(at, attempt.ms, 4);
		at = put_text(at, attempt.gateway, CDR_GATEWAY_MAX);
	}
	assert(at == out + needed);
	return needed;
}

/* ---- decoding ---- */

struct reader {
	const uint8_t *at;
	size_t left;
	bool damaged; /* stays set: what is read afterwards is 0 or empty */
};

static const uint8_t *take(struct reader *r, size_t size)
{
	if (r->damaged || r->left < size) {
		r->damaged = true;
		return NULL;
	}
	const uint8_t *taken = r->at;
	r->at += size;
	r->left -= size;
	return taken;
}

/* Inlined always, as put() is. */
__attribute__((always_inline)) static inline uint64_t number_at(const uint8_t *from, size_t size)
{
	uint64_t little = 0;

	memcpy(&little, from, size);
	return le64toh(little);
}

__attribute__((always_inline)) static inline uint64_t get(struct reader *r, size_t size)
{
	const uint8_t *from = take(r, size);

	return from != NULL ? number_at(from, size) : 0;
}

static struct cdr_text get_text(struct reader *r, uint32_t max)
{
	const uint32_t size = (uint32_t)get(r, TEXT_HEADER_BYTES);

	if (size > max)
		r->damaged = true;
	const uint8_t *from = take(r, size);
	return from != NULL ? (struct cdr_text){ .at = (const char *)from, .size = size }
			    : (struct cdr_text){ .at = "", .size = 0 };
}

static void get_v1(struct reader *r, struct cdr *cdr)
{
	const uint8_t *from = take(r, CDR_ID_SIZE + NUMBERS_BYTES);
	if (from == NULL)
		return;
	memcpy(cdr->cdr_id, from, CDR_ID_SIZE);
	from += CDR_ID_SIZE;
#define GET(name)                                                                                                      \
	cdr->name = (__typeof__(cdr->name))number_at(from, sizeof(cdr->name));                                         \
	from += sizeof(cdr->name);
	NUMBERS_V1(GET)
#undef GET
#define GET(name) cdr->name = get_text(r, CDR_TEXT_MAX);
	TEXTS_V1(GET)
#undef GET
}

static void get_attempts(struct reader *r, struct cdr *cdr, struct cdr_attempt *attempts)
{
	const uint32_t count = (uint32_t)get(r, 1);

	if (count > CDR_ATTEMPTS_MAX) {
		r->damaged = true;
		return;
	}
	for (uint32_t i = 0; i < count; i++) {
		attempts[i].code = (uint16_t)get(r, 2);
		attempts[i].ms = (uint32_t)get(r, 4);
		attempts[i].gateway = get_text(r, CDR_GATEWAY_MAX);
	}
	cdr->attempts = attempts;
	cdr->attempts_count = count;
}

bool cdr_decode(const uint8_t *in, size_t size, struct cdr *ret_cdr, struct cdr_attempt *attempts)
{
	struct reader r = { .at = in, .left = size };
	struct cdr cdr = { 0 };

	if (get(&r, 2) != VERSION)
		return false;
	get_v1(&r, &cdr);
	get_attempts(&r, &cdr, attempts);
	if (r.damaged || r.left != 0 || !in_range(&cdr))
		return false;
	*ret_cdr = cdr;
	return true;
}
