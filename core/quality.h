/* What is known of each routing gateway beside counts: its quality over the last hour or so, and which of its addresses
 * are down.  By gateway id, a book a shard; one shard writes its own book, every thread reads all of them (relaxed), as
 * with core/tally.h.
 *
 * Quality is kept in slices of a sliding window (SS_GATEWAY_QUALITY_RESERVE_TIME cut into
 * SS_GATEWAY_QUALITY_RESERVE_SEPARATE of them).  A slice begins at a multiple of its length on the monotonic clock, the
 * same in every shard, and drops out as a whole: so what is seen is between the last n-1 and n slices.  An attempt
 * belongs to the moment in which it was decided, a call to the moment in which it ended.  */
#ifndef RW_CORE_QUALITY_H
#define RW_CORE_QUALITY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/tally.h"

#define QUALITY_GATEWAYS_MAX                                                                                           \
	16384                 /* routing gateways whose quality one shard can keep; of further ones none is known */
#define QUALITY_SLICES_MAX 60 /* the upper bound of SS_GATEWAY_QUALITY_RESERVE_SEPARATE */

struct quality_book;

/* The books of all shards, by shard. */
struct quality_books {
	struct quality_book *const *books;
	unsigned shard_count;
};

/* Sums over a window. */
struct quality {
	uint64_t attempts; /* INVITEs decided: answered, refused, given up or cancelled */
	uint64_t answered; /* of those */
	uint64_t ended;    /* answered calls that have ended */
	uint64_t hold_ms;  /* of those */
	uint64_t replied;  /* attempts that got an 18x or a final response */
	uint64_t pdd_ms;   /* of those: from our INVITE to that response */
};

/* Memory for one shard's book, taken on use; nothing is kept before quality_configure().  NULL: the machine refuses. */
struct quality_book *quality_reserve(void);
void quality_release(struct quality_book *book);

/* ---- the owner ---- */

/* A window of `time_s` seconds in `slices` slices; 0 slices: nothing is kept (SS_GATEWAY_QUALITY_CALCULATE is off).
 * Begins anew if it is another one than before. */
void quality_configure(struct quality_book *book, uint32_t time_s, uint32_t slices);

void quality_attempt(struct quality_book *book, uint64_t now_ns, uint32_t gateway_id, bool answered);
void quality_reply(struct quality_book *book, uint64_t now_ns, uint32_t gateway_id, uint64_t pdd_ns);
void quality_end(struct quality_book *book, uint64_t now_ns, uint32_t gateway_id, uint64_t hold_ns);

/* ---- everybody ---- */

/* Sums over all shards. */
void quality_read(const struct quality_books *b, uint64_t now_ns, uint32_t gateway_id, struct quality *ret_quality);

/* Answers and attempts as of at most QUALITY_GLANCE_NS ago: what a call may look at.  They are kept in the book of the
 * shard that asks, `own`. */
#define QUALITY_GLANCE_NS UINT64_C(1000000000)
struct quality_asr {
	uint64_t answered, attempts;
};
struct quality_asr quality_glance(const struct quality_books *b, unsigned own, uint64_t now_ns, uint32_t gateway_id);

/* ---- online check (core/call/check.h) ---- */

#define QUALITY_ADDRESSES 0xffu      /* bit n: address n of the gateway is down */
#define QUALITY_DOWN      (1u << 8)  /* all of them are */
#define QUALITY_CHECKED   (1u << 9)  /* the gateway is under check */
#define QUALITY_BITS      (1u << 10) /* the bits below it are free to use */

/* Written by the shard that is the home of the gateway (id modulo shards).  The bits of the addresses hold for the
 * configuration of this generation. */
void quality_set_online(struct quality_book *home, uint32_t gateway_id, uint32_t bits, uint32_t generation);
/* To a reader who is at another generation, in the moment of a reload, no single address is down. */
uint32_t quality_online(const struct quality_books *b, uint32_t gateway_id, uint32_t generation);

#endif
