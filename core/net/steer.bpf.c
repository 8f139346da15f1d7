/* Steering in the kernel: chooses the socket of an SO_REUSEPORT group, that is the worker, by the Call-ID of a
 * datagram, with the very function of core/steer.c.  A socket filter for SO_ATTACH_REUSEPORT_EBPF: data begins at the
 * UDP payload.
 *
 * It reads the first 4 KiB in windows (window.bpf.h), one state a line position.  What it does not find (a folded or
 * late Call-ID, no SIP at all) goes where the kernel's own hash sends it, and the shard there passes it on. */
#include "core/net/steer_bpf.h"
#include "core/net/window.bpf.h"
#include "core/siphash.h"

#define WINDOWS      128
#define NOT_FOUND    0xffffffffu /* no index: the kernel falls back to its hash of the addresses */
#define HASHED_WORDS (STEER_HASHED_MAX / 8)

/* Set before the program is loaded; in a section of its own, which becomes a map of its own. */
const volatile struct steer_constants steer_constants SEC(".rodata.steer") = { .workers = 1 };

/* What the bytes so far were.  The table below has a row for each. */
enum state {
	OTHER,  /* in a line that is not Call-ID */
	BEGIN,  /* at the first character of a line */
	NAME_C, /* "c", and so on to "call-id" */
	NAME_CA,
	NAME_CAL,
	NAME_CALL,
	NAME_DASH,
	NAME_I,
	NAME,    /* the whole name, short or long, and white space */
	LEADING, /* the colon, and white space */
	VALUE,   /* the value's latest character */
	SPACE,   /* white space in or after the value */
	END,     /* the line has ended: the value is complete */
	STOP,    /* the header section has ended, or the value is empty */
	STATES
};

enum { ANY, C, A, L, DASH, I, D, COLON, BLANK, CR, LF, CLASSES };

static const uint8_t classes[256] = {
	['c'] = C, ['C'] = C, ['a'] = A, ['A'] = A,     ['l'] = L,     ['L'] = L,      ['-'] = DASH, ['i'] = I,
	['I'] = I, ['d'] = D, ['D'] = D, [':'] = COLON, [' '] = BLANK, ['\t'] = BLANK, ['\r'] = CR,  ['\n'] = LF,
};

/* An empty cell is OTHER.  RFC 3261 7.3.1: names without case, white space before and after the colon. */
static const uint8_t table[16][16] = {
	[OTHER] = { [LF] = BEGIN },
	[BEGIN] = { [C] = NAME_C, [I] = NAME, [CR] = STOP, [LF] = STOP },
	[NAME_C] = { [A] = NAME_CA, [LF] = BEGIN },
	[NAME_CA] = { [L] = NAME_CAL, [LF] = BEGIN },
	[NAME_CAL] = { [L] = NAME_CALL, [LF] = BEGIN },
	[NAME_CALL] = { [DASH] = NAME_DASH, [LF] = BEGIN },
	[NAME_DASH] = { [I] = NAME_I, [LF] = BEGIN },
	[NAME_I] = { [D] = NAME, [LF] = BEGIN },
	[NAME] = { [BLANK] = NAME, [COLON] = LEADING, [LF] = BEGIN },
	[LEADING] = { VALUE, VALUE, VALUE, VALUE, VALUE, VALUE, VALUE,
		      VALUE, [BLANK] = LEADING, [CR] = STOP, [LF] = STOP },
	[VALUE] = { VALUE, VALUE, VALUE, VALUE, VALUE, VALUE, VALUE, VALUE, [BLANK] = SPACE, [CR] = END, [LF] = END },
	[SPACE] = { VALUE, VALUE, VALUE, VALUE, VALUE, VALUE, VALUE, VALUE, [BLANK] = SPACE, [CR] = END, [LF] = END },
	[END] = { END, END, END, END, END, END, END, END, END, END, END },
	[STOP] = { STOP, STOP, STOP, STOP, STOP, STOP, STOP, STOP, STOP, STOP, STOP },
};

_Static_assert(STATES <= 16 && CLASSES <= 16, "the masks below keep inside the table");

struct scan {
	struct __sk_buff *skb;
	uint32_t size;
	uint32_t state;
	uint32_t first, after; /* offsets of the value and of what follows its last character that is no white space */
};

static __always_inline void step(struct scan *s, uint32_t c, uint32_t at)
{
	uint32_t before = s->state, state;

	/* Most of a message is of no interest. */
	if (before == OTHER && c != '\n')
		return;
	state = table[before & 15][classes[c & 255] & 15];
	if (state == VALUE) {
		if (before == LEADING)
			s->first = at;
		s->after = at + 1;
	}
	s->state = state;
}

/* Eight bytes, the first in the lowest bits (the target is little-endian, as are the machines we build for). */
static __always_inline void step_word(struct scan *s, uint64_t word, uint32_t at)
{
	uint64_t differs = word ^ UINT64_C(0x0a0a0a0a0a0a0a0a); /* a zero byte where there is a line feed */

	if (s->state == OTHER &&
	    ((differs - UINT64_C(0x0101010101010101)) & ~differs & UINT64_C(0x8080808080808080)) == 0)
		return;
#pragma unroll
	for (uint32_t i = 0; i < 8; i++)
		step(s, (uint32_t)(word >> 8 * i) & 255, at + i);
}

static long scan_window(uint32_t index, void *context)
{
	struct scan *s = context;
	uint64_t words[WINDOW / 8] = {};
	uint32_t at = index * WINDOW;

	if (!window_load(s->skb, at, s->size, words))
		return 1;
#pragma unroll
	for (uint32_t i = 0; i < WINDOW / 8; i++)
		step_word(s, words[i], at + 8 * i);
	return s->state >= END;
}

static __always_inline uint32_t digit(uint32_t c)
{
	if (c >= 'a' && c <= 'z')
		return c - 'a';
	if (c >= '2' && c <= '7')
		return c - '2' + 26;
	return 0x8000;
}

static __always_inline uint32_t hashed(const uint64_t *words, uint32_t size)
{
	struct siphash hash;
	uint64_t rest = 0;

	siphash_begin(&hash, steer_constants.key.k0, steer_constants.key.k1);
#pragma unroll
	for (uint32_t i = 0; i < HASHED_WORDS; i++) {
		if (i < size / 8)
			siphash_word(&hash, words[i]);
		else if (i == size / 8)
			rest = words[i];
	}
	return siphash_end(&hash, rest, size) & (STEER_BUCKETS - 1);
}

static __always_inline uint32_t bucket_of(const uint64_t *words, uint32_t size, uint32_t whole_size)
{
	const uint8_t *c = (const uint8_t *)words;

	if (whole_size == STEER_MINTED_SIZE && c[0] == (uint8_t)steer_constants.key.marker[0] &&
	    c[1] == (uint8_t)steer_constants.key.marker[1] && c[2] == (uint8_t)steer_constants.key.marker[2] &&
	    c[3] == (uint8_t)steer_constants.key.marker[3]) {
		uint32_t bucket = digit(c[4]) << 10 | digit(c[5]) << 5 | digit(c[6]);

		if (bucket < STEER_BUCKETS)
			return bucket;
	}
	return hashed(words, size);
}

SEC("socket")
int steer(struct __sk_buff *skb)
{
	struct scan s = { .skb = skb, .size = skb->len, .state = OTHER };
	uint64_t words[HASHED_WORDS] = {};

	bpf_loop(WINDOWS, scan_window, &s, 0);
	if (s.state != END || s.after <= s.first)
		return (int)NOT_FOUND;
	uint32_t whole_size = s.after - s.first;
	uint64_t size = whole_size < STEER_HASHED_MAX ? whole_size : STEER_HASHED_MAX;
	SAY_AGAIN(size);
	if (size == 0 || size > STEER_HASHED_MAX)
		return (int)NOT_FOUND;
	if (bpf_skb_load_bytes(skb, s.first, words, (uint32_t)size) < 0)
		return (int)NOT_FOUND;
	return (int)steer_worker(bucket_of(words, (uint32_t)size, whole_size), steer_constants.workers);
}

char rw_license[] SEC("license") = "Apache-2.0";
