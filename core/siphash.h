/* SipHash-1-3 with 64 bits of result (Aumasson and Bernstein, 2012): one round a word, three at the end.  The keyed
 * hash for keys that a stranger may choose.
 *
 * Word by word, without a loop over the input, so that the same text compiles for the BPF steering program, whose
 * verifier wants to see every bound.  siphash13() is the plain form for C. */
#ifndef RW_CORE_SIPHASH_H
#define RW_CORE_SIPHASH_H

#include <stdint.h>

struct siphash {
	uint64_t v0, v1, v2, v3;
};

static inline __attribute__((always_inline)) uint64_t siphash_rotate(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

static inline __attribute__((always_inline)) void siphash_round(struct siphash *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = siphash_rotate(s->v1, 13) ^ s->v0;
	s->v3 = siphash_rotate(s->v3, 16) ^ s->v2;
	s->v0 = siphash_rotate(s->v0, 32);
	s->v2 += s->v1;
	s->v0 += s->v3;
	s->v1 = siphash_rotate(s->v1, 17) ^ s->v2;
	s->v3 = siphash_rotate(s->v3, 21) ^ s->v0;
	s->v2 = siphash_rotate(s->v2, 32);
}

static inline __attribute__((always_inline)) void siphash_begin(struct siphash *s, uint64_t k0, uint64_t k1)
{
	s->v0 = k0 ^ UINT64_C(0x736f6d6570736575);
	s->v1 = k1 ^ UINT64_C(0x646f72616e646f6d);
	s->v2 = k0 ^ UINT64_C(0x6c7967656e657261);
	s->v3 = k1 ^ UINT64_C(0x7465646279746573);
}

/* Eight bytes of the input, little-endian. */
static inline __attribute__((always_inline)) void siphash_word(struct siphash *s, uint64_t word)
{
	s->v3 ^= word;
	siphash_round(s);
	s->v0 ^= word;
}

/* The last 0..7 bytes, little-endian, and the size of the whole input (its low 8 bits count). */
static inline __attribute__((always_inline)) uint64_t siphash_end(struct siphash *s, uint64_t rest, uint64_t size)
{
	siphash_word(s, rest | size << 56);
	s->v2 ^= 0xff;
	siphash_round(s);
	siphash_round(s);
	siphash_round(s);
	return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

#ifndef __bpf__
#include <endian.h>
#include <stddef.h>
#include <string.h>

static inline uint64_t siphash_load(const uint8_t *at, size_t size)
{
	uint64_t word = 0;

	memcpy(&word, at, size);
	return le64toh(word);
}

static inline uint64_t siphash13(uint64_t k0, uint64_t k1, const void *input, size_t size)
{
	const uint8_t *at = input;
	size_t left = size;
	struct siphash s;

	siphash_begin(&s, k0, k1);
	for (; left >= 8; left -= 8, at += 8)
		siphash_word(&s, siphash_load(at, 8));
	return siphash_end(&s, left > 0 ? siphash_load(at, left) : 0, size);
}
#endif

#endif
