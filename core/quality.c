#include "core/quality.h"

#include <assert.h>
#include <stddef.h>

#include "core/pool.h"

/* Begins with its key: in which window and when.  0: never used. */
struct slice {
	uint64_t key;
	uint32_t attempts, answered, ended, replied;
	uint64_t hold_ms, pdd_ms;
};

struct window {
	uint64_t glanced_ns; /* the rest of the line is the owner's alone: quality_glance() */
	struct quality_asr glance;
	struct slice slices[QUALITY_SLICES_MAX];
};

struct quality_book {
	uint64_t slice_ns;
	uint32_t slice_count; /* 0: nothing is kept */
	uint32_t series;      /* counts the windows that were configured */
	uint32_t window_count;
	uint32_t window_of[TALLY_GATEWAYS_MAX]; /* index in windows and one; 0: none yet */
	uint32_t online[TALLY_GATEWAYS_MAX];    /* generation and bits */
	struct window windows[QUALITY_GATEWAYS_MAX];
};

struct quality_book *quality_reserve(void)
{
	return memory_reserve_sparse(sizeof(struct quality_book));
}

void quality_release(struct quality_book *book)
{
	memory_release(book, sizeof *book);
}

/* ---- 32 bits, one writer, as stat_set() and its like in core/stats.h ---- */

static void set32(uint32_t *figure, uint32_t value)
{
	__atomic_store_n(figure, value, __ATOMIC_RELAXED);
}

static void add32(uint32_t *figure, uint32_t n)
{
	set32(figure, *figure + n);
}

static uint32_t get32(const uint32_t *figure)
{
	return __atomic_load_n(figure, __ATOMIC_RELAXED);
}

/* ---- slices ---- */

#define SLICE_BITS 40 /* of a key: number of the slice since the clock began; more than enough at a second each */

static uint64_t key_of(uint32_t series, uint64_t slice_ns, uint64_t now_ns)
{
	return (uint64_t)series << SLICE_BITS | now_ns / slice_ns;
}

void quality_configure(struct quality_book *book, uint32_t time_s, uint32_t slices)
{
	assert(slices <= QUALITY_SLICES_MAX);
	uint64_t slice_ns = slices ? (uint64_t)time_s * 1000000000 / slices : 0;
	if (book->series && slices == book->slice_count && slice_ns == book->slice_ns)
		return;
	set32(&book->series, book->series + 1); /* no slice of a former window has its number */
	set32(&book->slice_count, slices);
	stat_set(&book->slice_ns, slice_ns);
}

static struct window *window_of(struct quality_book *book, uint32_t gateway_id)
{
	assert(gateway_id < TALLY_GATEWAYS_MAX);
	if (!book->window_of[gateway_id]) {
		if (book->window_count == QUALITY_GATEWAYS_MAX)
			return NULL;
		set32(&book->window_of[gateway_id], ++book->window_count);
	}
	return &book->windows[book->window_of[gateway_id] - 1];
}

/* The slice of this moment, begun if it is a new one; NULL: nothing is kept. */
static struct slice *slice_at(struct quality_book *book, uint64_t now_ns, uint32_t gateway_id)
{
	struct window *w = book->slice_count ? window_of(book, gateway_id) : NULL;
	if (!w)
		return NULL;
	uint64_t key = key_of(book->series, book->slice_ns, now_ns);
	struct slice *slice = &w->slices[now_ns / book->slice_ns % book->slice_count];
	if (slice->key == key)
		return slice;
	stat_set(&slice->key, 0); /* a reader who has seen the new key sees no figure of the old slice */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	set32(&slice->attempts, 0);
	set32(&slice->answered, 0);
	set32(&slice->ended, 0);
	set32(&slice->replied, 0);
	stat_set(&slice->hold_ms, 0);
	stat_set(&slice->pdd_ms, 0);
	__atomic_store_n(&slice->key, key, __ATOMIC_RELEASE);
	return slice;
}

void quality_attempt(struct quality_book *book, uint64_t now_ns, uint32_t gateway_id, bool answered)
{
	struct slice *slice = slice_at(book, now_ns, gateway_id);
	if (!slice)
		return;
	add32(&slice->attempts, 1);
	add32(&slice->answered, answered);
}

void quality_reply(struct quality_book *book, uint64_t now_ns, uint32_t gateway_id, uint64_t pdd_ns)
{
	struct slice *slice = slice_at(book, now_ns, gateway_id);
	if (!slice)
		return;
	add32(&slice->replied, 1);
	stat_add(&slice->pdd_ms, pdd_ns / 1000000);
}

void quality_end(struct quality_book *book, uint64_t now_ns, uint32_t gateway_id, uint64_t hold_ns)
{
	struct slice *slice = slice_at(book, now_ns, gateway_id);
	if (!slice)
		return;
	add32(&slice->ended, 1);
	stat_add(&slice->hold_ms, hold_ns / 1000000);
}

/* ---- reading ---- */

static void add_slice(const struct slice *slice, struct quality *sum)
{
	uint32_t attempts = get32(&slice->attempts), answered = get32(&slice->answered);
	sum->attempts += attempts;
	sum->answered += answered < attempts ? answered : attempts; /* the one may be counted and the other not yet */
	sum->ended += get32(&slice->ended);
	sum->hold_ms += stat_get(&slice->hold_ms);
	sum->replied += get32(&slice->replied);
	sum->pdd_ms += stat_get(&slice->pdd_ms);
}

static void add_book(const struct quality_book *book, uint64_t now_ns, uint32_t gateway_id, struct quality *sum)
{
	uint32_t count = get32(&book->slice_count), index = get32(&book->window_of[gateway_id]);
	uint64_t slice_ns = stat_get(&book->slice_ns);
	if (!count || !slice_ns || !index)
		return;
	const struct window *w = &book->windows[index - 1];
	uint64_t last = key_of(get32(&book->series), slice_ns, now_ns);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t key = __atomic_load_n(&w->slices[i].key, __ATOMIC_ACQUIRE);
		/* One that is ahead belongs to a shard whose clock was read a moment later. */
		if (key + count > last && key <= last + 1)
			add_slice(&w->slices[i], sum);
	}
}

void quality_read(const struct quality_books *b, uint64_t now_ns, uint32_t gateway_id, struct quality *ret_quality)
{
	assert(gateway_id < TALLY_GATEWAYS_MAX);
	*ret_quality = (struct quality){ 0 };
	for (unsigned i = 0; i < b->shard_count; i++)
		add_book(b->books[i], now_ns, gateway_id, ret_quality);
}

struct quality_asr quality_glance(const struct quality_books *b, unsigned own, uint64_t now_ns, uint32_t gateway_id)
{
	struct quality_book *book = b->books[own];
	struct window *w = book->slice_count ? window_of(book, gateway_id) : NULL;
	if (!w)
		return (struct quality_asr){ 0 };
	if (!w->glanced_ns || now_ns >= w->glanced_ns + QUALITY_GLANCE_NS) {
		struct quality now;
		quality_read(b, now_ns, gateway_id, &now);
		w->glance = (struct quality_asr){ now.answered, now.attempts };
		w->glanced_ns = now_ns;
	}
	return w->glance;
}

/* ---- online check ---- */

void quality_set_online(struct quality_book *home, uint32_t gateway_id, uint32_t bits, uint32_t generation)
{
	assert(gateway_id < TALLY_GATEWAYS_MAX && bits < QUALITY_BITS);
	set32(&home->online[gateway_id], generation * QUALITY_BITS | bits);
}

uint32_t quality_online(const struct quality_books *b, uint32_t gateway_id, uint32_t generation)
{
	uint32_t word = get32(&b->books[gateway_id % b->shard_count]->online[gateway_id]), bits = word % QUALITY_BITS;
	return word - bits == generation * QUALITY_BITS ? bits : bits & ~QUALITY_ADDRESSES;
}
