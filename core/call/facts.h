/* What of a call only its CDR and the operator's list need: numbers, addresses, attempts, moments.  During set-up it is
 * gathered in struct setup; once the caller's ACK has come it is one text of the exact size, and the set-up record
 * goes. */
#ifndef RW_CORE_CALL_FACTS_H
#define RW_CORE_CALL_FACTS_H

#include "core/call/state.h"

struct facts {
	int64_t ringing_us;                     /* first 18x, realtime; 0: none */
	int64_t connect_us;                     /* 200 in, realtime; 0: not answered */
	uint32_t pdd_ms;                        /* INVITE in to the first 18x or final response; 0: none yet */
	uint32_t account_id, vendor_account_id; /* names; 0: none */
	uint32_t charge;                        /* as index + 1; 0: none */
	struct bytes numbers[CALL_NUMBERS];
	struct address source;
	struct address destination; /* of the last attempt */
	bool tried;                 /* there was an attempt: `callee` names its leg */
	struct ident callee;
	uint8_t attempts_count; /* made */
	uint32_t note_count;    /* ended, listed */
	struct attempt_note notes[CDR_ATTEMPTS_MAX];
};

/* Views into the call's texts, valid until they are changed. */
void facts_read(const struct shard *s, const struct call *call, struct facts *ret_facts);

/* A monotonic moment of a call as wall time: the start's stamp and the distance from it.  0 stays 0. */
int64_t facts_wall_us(const struct call *call, uint64_t at_ns);

/* The call has a charge now (as index + 1); the set-up record, or else the packed facts, will say so.  Without room for
 * the text it stays as it was: false. */
bool facts_set_charge(struct shard *s, struct call *call, uint32_t charge);

/* Adds an attempt that has ended to those of the set-up; a list that is full keeps its last place for the latest. */
void facts_note_attempt(struct shard *s, struct setup *setup, const struct attempt_note *note);

/* The caller's ACK has come: packs the facts and gives the set-up record back.  Without room for the text the record
 * stays, and nothing is lost. */
void facts_pack(struct shard *s, struct call *call);
/* For shard_settle(): gives back whatever holds them. */
void facts_give(struct shard *s, struct call *call);

#endif
