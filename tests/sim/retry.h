/* When a refresh that failed is tried again (spec 5), kept a second time beside the node: after its Retry-After or
 * clamp(interval/10, 1 s, 30 s) or at the next boundary, whichever is first; at once where another method or a larger
 * interval is to be tried; after the wait of RFC 3261 14.1 where it was 491. */
#ifndef RW_TESTS_SIM_RETRY_H
#define RW_TESTS_SIM_RETRY_H

#include <stdbool.h>
#include <stdint.h>

struct sim;
struct sim_call;
struct session_leg;
struct session_note;
struct wire;

struct retry {
	const struct session_note *current; /* refresh whose failure counts; NULL: none */
	uint64_t earliest_ns, latest_ns;    /* of the next try; latest 0: none is due */
	bool regular;                       /* or with the refresh of the next segment, if that is earlier */
	unsigned tries_422;
};

/* A refresh goes out; its latest failed; a 2xx came or went; the call ends.  `exact`: all that matters was seen. */
void retry_sent(struct sim *sim, struct sim_call *call, struct session_leg *leg, const struct session_note *note,
		bool exact);
void retry_failed(struct sim *sim, struct session_leg *leg, const struct session_note *note, const struct wire *w,
		  bool grows);
void retry_over(struct sim *sim, struct sim_call *call, struct session_leg *leg, uint64_t at_ns, bool exact);

#endif
