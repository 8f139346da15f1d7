/* Calls that outlive the process: what a shard writes of them while they are up, and how it takes up those that a
 * former process has left (design, rules 3, 5 and 7; billing/record.h, billing/recovery.h).
 *
 *   carry.c        when something is written: answer, changes, checkpoints; the answers that wait for the disk
 *   carry_write.c  what is written (carry_image.h)
 *   carry_read.c   reading it, every byte being doubted
 *   carry_take.c   what the shard makes of it
 *   carry_lost.c   the CDR of a call that it cannot take up
 *   carry_legs.c   what carried legs were called by the process that minted their tokens
 *
 * A change is noted where it happens and written when the input is done with (shard_settle(), before anything that was
 * sent leaves the worker), so several of one input are one record.  One that found no room in the queue stays noted,
 * and is written as soon as there is some.  A peer may change its dialog as often as it likes, so a call has one whole
 * record in CARRY_TURN_NS: a change is written at once, what follows in that turn when it is over.  Confirmations, and
 * with them the CSeq numbers, wait for nothing.
 *
 * A carried leg has another slot than the one its token names; leg->boot, which is not this start's, says so.  A shard
 * that took up nothing pays a comparison for it. */
#ifndef RW_CORE_CALL_CARRY_H
#define RW_CORE_CALL_CARRY_H

#include "core/call/ending.h"
#include "core/call/state.h"

/* Parts of a call that change (record_call_head.part), stored; and as bits of call.changed. */
enum carry_part {
	CARRY_ACKED,  /* the caller's ACK has come */
	CARRY_CALLER, /* its leg was confirmed, or has come far with its CSeq numbers */
	CARRY_CALLEE,
	CARRY_WHOLE, /* anything else: a LIVE record in place of all before */
};

/* A call that is over for the process that took it up, and is ended a few at a time, as an orderly stop does. */
struct carry_closing {
	uint32_t call, generation; /* of its slot; or */
	uint32_t leg;              /* that is only to hear BYE; POOL_NONE: a call */
	uint8_t reason;            /* enum cdr_end_reason */
	uint64_t at_ns;            /* when it ended, perhaps before the machine's start (state.h: is_before()) */
};

struct carried_leg;

#define CARRY_KNOWN 1024

struct carry {
	uint64_t machine;
	uint32_t key;     /* carry_key_print() */
	uint64_t serial;  /* of the next record of this shard */
	uint32_t changed; /* call of which a change is noted in this input; POOL_NONE */
	bool missed;      /* another is noted that found no room */

	/* The walk that writes every live call, or those that found no room. */
	bool walking, begun;
	bool checkpoint_asked, checkpoint; /* the walk is one, of this number */
	uint64_t asked_number, number;
	uint32_t cursor;
	uint64_t walk_next_ns;

	/* Answers that wait for the disk, oldest first: calls as index + 1, chained by their set-ups. */
	uint32_t held_first, held_last;

	/* Legs that were carried over, by leg index (carry_legs.c).  NULL: none was. */
	struct carried_leg *legs;
	uint32_t *heads;
	uint32_t head_mask;
	uint64_t heard; /* shards, a bit each, that have come to a configuration, or told of the calls they took up */
	bool taken;     /* some calls were taken up: the shard may have more than its share */
	uint32_t known[CARRY_KNOWN]; /* ids that names were found to have, by a hash of the name */

	/* What is to be ended: a list that grows only before the first datagram. */
	struct carry_closing *closing;
	uint32_t closing_first, closing_count, closing_room;
	uint64_t closing_next_ns;
};

/* NULL: no memory. */
struct carry *carry_create(uint64_t machine);
void carry_destroy(struct shard *s);

/* ---- what has happened ---- */

/* The call is answered: writes its LIVE record.  false: there is no room for it, and the answer must not go out. */
bool carry_answered(struct shard *s, struct call *call);
/* Whether the answer is to wait until that record is on the disk; then connect_release() sends it. */
bool carry_holds(struct shard *s, struct call *call);
/* It has ended before: it waits no longer. */
void carry_unhold(struct shard *s, struct call *call);

void carry_note_change(struct shard *s, struct call *call, enum carry_part part);
static inline void carry_note(struct shard *s, struct call *call, enum carry_part part)
{
	if (call->journaled)
		carry_note_change(s, call, part);
}
static inline void carry_note_leg(struct shard *s, struct call *call, const struct leg *leg)
{
	carry_note(s, call, leg->side == LEG_CALLER ? CARRY_CALLER : CARRY_CALLEE);
}

#define CARRY_TURN_NS UINT64_C(100000000)
/* call.whole_waits: until when; and it is written, because that has come, or the call is left to another process. */
uint64_t carry_turn_ends_ns(const struct shard *s, const struct call *call);
void carry_turn_over(struct shard *s, struct call *call);

/* Requests of a leg between two records: a carried leg goes on with CSeq numbers that are further ahead. */
#define CARRY_CSEQ_STEP 64u
#define CARRY_CSEQ_JUMP 128u
/* So much further than the process of that start was known to be, and those between that one and this may have been. */
static inline uint32_t carry_cseq_jump(const struct shard *s, uint16_t boot)
{
	uint32_t boots = (uint16_t)(s->boot - boot);
	return CARRY_CSEQ_JUMP * (boots < 1000 ? boots : 1000);
}

/* The call ends, and its CDR is not written yet: after a restart the other leg is to hear BYE where it is now. */
void carry_call_ends(struct shard *s, struct call *call);
/* The call has ended, its CDR is written: the leg will be closed when its last transaction is over. */
void carry_leg_ends(const struct call *call, struct leg *leg);
/* It is over. */
void carry_leg_over(struct shard *s, struct leg *leg);

/* From shard_settle(), and from shard_advance(). */
void carry_settle(struct shard *s);
/* Changes that found no room wait to be written. */
bool carry_owes(const struct shard *s);
void carry_advance(struct shard *s);
/* When carry_advance() has something to do; UINT64_MAX: nothing. */
uint64_t carry_next_ns(const struct shard *s);

/* ---- names of carried calls and legs ---- */

/* A call's name as its cdr_id has it: those of its start. */
uint16_t carry_boot(const struct shard *s, const struct call *call);
uint16_t carry_shard(const struct shard *s, const struct call *call);

static inline bool carry_is_carried(const struct shard *s, const struct leg *leg)
{
	return leg->boot != s->boot;
}
/* The leg is carried: what its token says. */
struct ident carry_ident(const struct shard *s, const struct leg *leg);
/* The leg that a token of another start names; NULL: none. */
struct leg *carry_find(const struct shard *s, const struct ident *id);
/* false: no memory for it, or another leg has that name. */
bool carry_name_leg(struct shard *s, struct leg *leg, const struct ident *id, uint16_t shard);
void carry_release_legs(struct shard *s);
/* Before its slot is given back. */
void carry_forget_leg(struct shard *s, const struct leg *leg);
uint16_t carry_leg_shard(const struct shard *s, const struct leg *leg);

/* For shard_check(). */
void carry_check(const struct shard *s);

/* ---- inside ---- */

/* Lends room for a record of at most `size` bytes; NULL: none, or an older record waits for room.  `size` may be above
 * RECORD_BYTES_MAX: NULL. */
uint8_t *carry_lend(struct shard *s, size_t size);
void carry_publish(struct shard *s, enum record_kind kind, size_t size);
bool carry_is_kept(const struct shard *s);

/* Writes the record.  false: no room. */
bool carry_write_live(struct shard *s, const struct call *call);
bool carry_write_change(struct shard *s, const struct call *call, enum carry_part part);
bool carry_write_closed(struct shard *s, const struct leg *leg);

/* Whether there is memory to put another call, or its two legs, on the list of those to be ended; then they are. */
bool carry_can_close(struct shard *s);
void carry_close_later(struct shard *s, const struct carry_closing *closing);
/* How a call on that list (call->closing) has ended, whatever reaches it before its turn. */
struct ending carry_passed(const struct shard *s, const struct call *call);

/* Differs between nodes whose tokens the other cannot read. */
uint32_t carry_key_print(const struct shard *s);

#endif
