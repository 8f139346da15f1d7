/* Private to sip/: how far characters of one kind reach, sixteen at a time.  RFC 3261 25.1.
 *
 * A message is mostly texts of one kind - user parts, hosts, tags, branches - of 10 to 40 characters, and looking at
 * each character by itself is what reading costs most.  A kind is a column of bits for each low half of a byte, one bit
 * for each high half: two table look-ups in registers and a comparison tell for sixteen bytes which are of the kind.
 * That needs SSSE3 (x86-64-v2); other machines walk byte by byte through the same tables.  Nothing outside of the text
 * is read. */
#ifndef RW_SIP_SPAN_H
#define RW_SIP_SPAN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSSE3__
#include <tmmintrin.h>
#endif

enum sip_span_kind {
	SIP_SPAN_TOKEN,      /* token */
	SIP_SPAN_VALUE,      /* parameter value without quotes: token or host, IPv6 too, and '/' */
	SIP_SPAN_HOST,       /* host name or IPv4 address; '_' is not legal but seen */
	SIP_SPAN_URI_PLAIN,  /* anywhere in a URI: visible, and none of <>"; no '%' */
	SIP_SPAN_USER_PLAIN, /* the same without '@' and ':' */
	SIP_SPAN_LIST,       /* ASCII, and neither a comma nor what a comma may hide behind: '"', '<' */
	SIP_SPAN_KINDS
};

/* [kind][low half of a byte]: bit by high half; no kind has bytes from 0x80 on. */
extern const uint8_t sip_span_columns[SIP_SPAN_KINDS][16];

static inline bool sip_span_has(char c, enum sip_span_kind kind)
{
	return (uint8_t)c < 0x80 && (sip_span_columns[kind][(uint8_t)c & 15] >> ((uint8_t)c >> 4) & 1);
}

#ifdef __SSSE3__

/* One bit for each of the sixteen that is NOT of the kind. */
static inline unsigned sip_span_others(__m128i bytes, enum sip_span_kind kind)
{
	const __m128i bits = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 0, 0, 0, 0, 0, 0, 0, 0);
	const __m128i columns = _mm_loadu_si128((const __m128i *)(const void *)sip_span_columns[kind]);
	/* A byte from 0x80 on gives 0 in the first look-up by itself. */
	__m128i column = _mm_shuffle_epi8(columns, bytes);
	__m128i high = _mm_and_si128(_mm_srli_epi16(bytes, 4), _mm_set1_epi8(15));
	__m128i bit = _mm_shuffle_epi8(bits, high);
	return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_and_si128(column, bit), _mm_setzero_si128()));
}

/* The 1 to 15 bytes at `at`, the rest zero; none but these are read. */
static inline __m128i sip_span_load_rest(const char *at, size_t size)
{
	uint64_t low = 0, high = 0;
	if (size >= 8) {
		memcpy(&low, at, 8);
		memcpy(&high, at + size - 8, 8);
		high = size > 8 ? high >> (8 * (16 - size)) : 0;
	} else if (size >= 4) {
		uint32_t first, last;
		memcpy(&first, at, 4);
		memcpy(&last, at + size - 4, 4);
		low = first | (uint64_t)last << (8 * (size - 4));
	} else if (size) {
		low = (uint64_t)(uint8_t)at[0] | (uint64_t)(uint8_t)at[size / 2] << (8 * (size / 2)) |
		      (uint64_t)(uint8_t)at[size - 1] << (8 * (size - 1));
	}
	return _mm_set_epi64x((long long)high, (long long)low);
}

#endif

/* The first character at or after `at` that is not of the kind, or the end. */
static inline const char *sip_span(const char *at, const char *end, enum sip_span_kind kind)
{
#ifdef __SSSE3__
	for (; end - at >= 16; at += 16) {
		unsigned others = sip_span_others(_mm_loadu_si128((const __m128i *)(const void *)at), kind);
		if (others)
			return at + __builtin_ctz(others);
	}
	size_t size = (size_t)(end - at);
	return at + __builtin_ctz(sip_span_others(sip_span_load_rest(at, size), kind) | 1u << size);
#else
	while (at < end && sip_span_has(*at, kind))
		at++;
	return at;
#endif
}

#endif
