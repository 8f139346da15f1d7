/* What a record says of a live call (billing/record.h: RECORD_LIVE, RECORD_CHANGE), behind its record_call_head: a list
 * of sections, little-endian throughout:
 *
 *   section = u8 tag, u32 size, so many bytes
 *
 * A section of an unknown tag is skipped.  A later version adds fields at the end of a section, or sections; a reader
 * takes what it knows and skips the rest.  Texts are u8 size, bytes, long ones u16 size, bytes; addresses are u8
 * family, u16 port, 4 or 16 bytes.  Gateways, accounts and listeners stand by their names, since ids and places change.
 *
 * Times are those of the machine's monotonic clock, which CARRY_CLOCK pins to the wall clock. */
#ifndef RW_CORE_CALL_CARRY_IMAGE_H
#define RW_CORE_CALL_CARRY_IMAGE_H

#include "billing/record.h"
#include "billing/recovery.h"
#include "core/call/facts.h"
#include "core/call/state.h"

#define CARRY_VERSION 1 /* record_call_head.version */

/* Stored: only ever append. */
enum carry_section {
	CARRY_CLOCK = 1, /* struct carry_clock */
	CARRY_CALL,      /* struct call_image up to `facts` */
	CARRY_FACTS,     /* the facts */
	CARRY_BODY,  /* u8 plain, u16 size of the header lines, those, the content; legs name bodies by their order */
	CARRY_LEG_A, /* struct leg_image */
	CARRY_LEG_B,
	CARRY_INVITE, /* struct invite_image: until the caller's ACK comes */
	CARRY_STATE,  /* of a RECORD_CHANGE: u64 last_confirmed_us, u32 refreshes_sent, u32 refreshes_confirmed, the
		       * struct confirmed_image of its leg */
	CARRY_CHARGE, /* rates and fee (core/call/charge.h) */
	CARRY_SECTIONS
};

struct carry_clock {
	uint64_t machine; /* which start of the machine `now_ns` and all times belong to */
	uint64_t now_ns;
	int64_t now_us;
	uint32_t key;  /* carry_key_print(): whether the tokens can still be read */
	uint16_t boot; /* the process that wrote it */
};

#define CARRY_BODIES_MAX 6
#define CARRY_NO_BODY    255

struct body_image {
	bool plain;
	struct bytes head, content;
};

/* What changes with each confirmation. */
struct confirmed_image {
	uint32_t local_cseq, remote_cseq, invite_cseq, ack_cseq;
	uint16_t branch_sequence;
	uint16_t flags; /* LEG_IMAGE_* */
	uint8_t probes_silent;
	struct address peer;
	struct session_timer session;
	uint64_t probe_due_ns;
};

enum {
	LEG_IMAGE_HAS_REMOTE_CSEQ = 1 << 0,
	LEG_IMAGE_ACK_WANTED = 1 << 1,
	LEG_IMAGE_PEER_UPDATES = 1 << 2,
	LEG_IMAGE_NO_UPDATE = 1 << 3,
	LEG_IMAGE_PROBE_ANSWERED = 1 << 4,
	LEG_IMAGE_TAGGED = 1 << 5,
	LEG_IMAGE_BARE = 1 << 6, /* the caller's: its 200 has no session */
};

struct leg_image {
	struct ident ident; /* without bucket, which is the call's */
	uint32_t remote_tag_hash;
	uint8_t body_in, body_out, ack_body; /* CARRY_NO_BODY: none */
	struct bytes listener;               /* its name, */
	struct address listener_address;     /* should that have changed */
	struct bytes dialog;                 /* packed (sip/dialog.h) */
	struct carry_clock clock;            /* of `state` */
	struct confirmed_image state;
};

struct invite_image {
	uint32_t cseq, branch_hash;
	uint64_t key;
	struct address peer; /* where its answers go */
	struct session_timer_offer session;
	struct bytes head; /* what its answers repeat */
};

/* All that is known of a call: views into the records. */
struct call_image {
	/* Of its cdr_id. */
	int64_t start_us;
	uint16_t boot, shard;
	uint32_t sequence;
	uint16_t bucket;

	struct carry_clock clock;
	uint64_t start_ns, connect_ns;
	int64_t last_confirmed_us;
	uint32_t refreshes_sent, refreshes_confirmed;
	uint32_t no_timer_cap_s, max_duration_s, probe_interval_s;
	struct session_timer_rules rules;
	bool acked;

	struct facts facts; /* without ids and `callee` */
	struct bytes mapping, routing, account, vendor_account;
	struct bytes note_names[CDR_ATTEMPTS_MAX];

	struct body_image bodies[CARRY_BODIES_MAX];
	unsigned body_count;
	struct leg_image legs[2];
	struct invite_image invite;
	bool has_invite;
	struct bytes charge; /* empty: none */

	uint32_t seen; /* sections of the LIVE record that came out well, a bit each */
};

/* Reads the records of a call; any bytes may be given.  false: they make no sense, or are of an unknown version.  What
 * has come out well holds together by itself; times are still those of its clock. */
bool carry_read(const struct recovered_call *call, struct call_image *ret_image);

/* Another version of the program has written them. */
bool carry_is_foreign(const struct recovered_call *call);

/* Writes the CDR of a call that is not carried on, of which carry_read() may have refused a part (carry_lost.c).
 * false: no room. */
bool carry_end_lost(struct shard *s, const struct call_image *c);

#endif
