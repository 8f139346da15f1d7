/* Putting together what the journal and the queues say of each call.
 *
 * A call that is answered has an entry of 128 bytes, found by a keyed hash of its cdr_id: where its latest LIVE and
 * CHANGEs are, by position in the journal; those of a queue are copied, since the journal lends only what was there
 * when it was opened.  A call that was never answered has no entry.  So a backlog of CDRs costs no memory, and calls
 * that ended long ago are forgotten whenever the table would have to grow.
 *
 * A record that was seen before (its queue's serials only grow, in the journal too) counts once. */
#include "billing/recovery.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

#define CHUNK_ENTRIES  16384u
#define SLOTS_AT_FIRST 4096u
#define NO_ENTRY       UINT32_MAX
#define SYNC_BYTES     (4u << 20) /* of a queue, appended between two syncs */

/* Where a record's payload is: a journal_position, or COPIED and where in the copies; 0: nowhere. */
typedef uint64_t place;
#define COPIED (UINT64_C(1) << 63)

enum { BYE_CALLER = 1, BYE_CALLEE = 2 };

struct entry {
	char cdr_id[CDR_ID_SIZE];
	place live, changes[RECORD_CHANGE_PARTS];
	int64_t ended_us;
	uint16_t bucket;
	bool ended;
	bool found_over; /* by a start: its end may be long before its CDR */
	uint8_t byes;    /* of the side that did not end it */
	uint8_t closed;  /* legs that are done with */
};

static_assert(sizeof(struct entry) <= 128, "a million calls in less than 200 MB, slots and order included");

/* One queue of one start of the node. */
struct lane {
	uint16_t boot, lane;
	uint64_t next_serial; /* all before it were seen */
};

struct copy {
	size_t size;
	uint8_t bytes[];
};

struct recovery {
	uint64_t hash_key;
	struct entry **chunks;
	uint32_t entry_count, chunk_count;
	uint32_t *slots; /* entries by hash, open addressing; NO_ENTRY: free */
	uint32_t slot_count;
	int64_t newest_us; /* end of any call */

	struct lane *lanes;
	size_t lane_count, lane_room, lane_last;
	struct copy **copies;
	size_t copy_count, copy_room;

	uint32_t *order; /* of the entries that are left, once finished */
	uint32_t order_count;
	struct recovery_report report;
};

/* ---- entries ---- */

static struct entry *entry_at(const struct recovery *r, uint32_t index)
{
	assert(index < r->entry_count);
	return &r->chunks[index / CHUNK_ENTRIES][index % CHUNK_ENTRIES];
}

static uint32_t slot_of(const struct recovery *r, const char *cdr_id)
{
	return (uint32_t)XXH3_64bits_withSeed(cdr_id, CDR_ID_SIZE, r->hash_key) & (r->slot_count - 1);
}

static struct entry *find(const struct recovery *r, const char *cdr_id)
{
	for (uint32_t at = slot_of(r, cdr_id); r->slots[at] != NO_ENTRY; at = (at + 1) & (r->slot_count - 1)) {
		struct entry *e = entry_at(r, r->slots[at]);

		if (memcmp(e->cdr_id, cdr_id, CDR_ID_SIZE) == 0)
			return e;
	}
	return NULL;
}

static void put_slot(struct recovery *r, uint32_t index)
{
	uint32_t at = slot_of(r, entry_at(r, index)->cdr_id);

	while (r->slots[at] != NO_ENTRY)
		at = (at + 1) & (r->slot_count - 1);
	r->slots[at] = index;
}

/* Is there still something to do for it, at that time? */
static bool is_wanted(const struct entry *e, int64_t now_us)
{
	if (e->live == 0)
		return false;
	if (!e->ended)
		return true;
	return (e->byes & ~e->closed) != 0 && (e->found_over || now_us - e->ended_us <= RECOVERY_CLOSING_US);
}

/* Calls that are over move out of the way. */
static void forget_old(struct recovery *r)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < r->entry_count; i++) {
		const struct entry *e = entry_at(r, i);

		if (is_wanted(e, r->newest_us))
			*entry_at(r, kept++) = *e;
	}
	r->entry_count = kept;
}

/* Without memory for the slots everything is as it was: whoever was refused may come again. */
static int make_slots(struct recovery *r, uint32_t count)
{
	uint32_t *slots = malloc(count * sizeof(*slots));

	if (slots == NULL)
		return -ENOMEM;
	memset(slots, 0xff, count * sizeof(*slots));
	free(r->slots);
	r->slots = slots;
	r->slot_count = count;
	forget_old(r);
	for (uint32_t i = 0; i < r->entry_count; i++)
		put_slot(r, i);
	return 0;
}

static int grow(struct recovery *r)
{
	uint32_t wanted = 0;

	for (uint32_t i = 0; i < r->entry_count; i++)
		wanted += is_wanted(entry_at(r, i), r->newest_us);
	return make_slots(r, wanted > r->slot_count / 4 ? 2 * r->slot_count : r->slot_count);
}

static int add_chunk(struct recovery *r)
{
	struct entry **chunks = realloc(r->chunks, (r->chunk_count + 1) * sizeof(*chunks));

	if (chunks == NULL)
		return -ENOMEM;
	r->chunks = chunks;
	chunks[r->chunk_count] = malloc(CHUNK_ENTRIES * sizeof(**chunks));
	if (chunks[r->chunk_count] == NULL)
		return -ENOMEM;
	r->chunk_count++;
	return 0;
}

/* Finds it or makes it. */
static int entry_of(struct recovery *r, const char *cdr_id, struct entry **ret_entry)
{
	int result = 0;

	*ret_entry = find(r, cdr_id);
	if (*ret_entry != NULL)
		return 0;
	if (r->entry_count >= r->slot_count / 2)
		result = grow(r);
	if (result == 0 && r->entry_count == r->chunk_count * CHUNK_ENTRIES)
		result = r->entry_count < NO_ENTRY - CHUNK_ENTRIES ? add_chunk(r) : -ENOMEM;
	if (result < 0)
		return result;
	const uint32_t index = r->entry_count++;
	struct entry *e = entry_at(r, index);
	*e = (struct entry){ 0 };
	memcpy(e->cdr_id, cdr_id, CDR_ID_SIZE);
	put_slot(r, index);
	*ret_entry = e;
	return 0;
}

/* ---- records ---- */

static int take_call_record(struct recovery *r, enum record_kind kind, place where, const uint8_t *at, size_t size)
{
	struct record_call_head head;
	struct entry *e;

	if (size < sizeof(head)) {
		r->report.unreadable++;
		return 0;
	}
	memcpy(&head, at, sizeof(head));
	if (kind == RECORD_LIVE) {
		const int result = entry_of(r, head.cdr_id, &e);

		if (result < 0 || e->ended)
			return result;
		memset(e->changes, 0, sizeof(e->changes));
		e->live = where;
		e->bucket = head.bucket;
		return 0;
	}
	e = find(r, head.cdr_id); /* without a LIVE there is nothing to change */
	if (e == NULL)
		return 0;
	if (kind == RECORD_CHANGE && head.part < RECORD_CHANGE_PARTS)
		e->changes[head.part] = where;
	else if (kind == RECORD_CLOSED && head.part < 2)
		e->closed |= (uint8_t)(1u << head.part);
	else
		r->report.unreadable++;
	return 0;
}

static void take_cdr(struct recovery *r, const uint8_t *at, size_t size)
{
	static const uint8_t byes[CDR_SIDE_COUNT] = { [CDR_SIDE_CALLER] = BYE_CALLEE,
						      [CDR_SIDE_CALLEE] = BYE_CALLER,
						      [CDR_SIDE_SWITCH] = BYE_CALLER | BYE_CALLEE };
	struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	struct cdr cdr;

	r->report.cdrs++;
	if (!cdr_decode(at, size, &cdr, attempts)) {
		r->report.unreadable++;
		return;
	}
	if (cdr.end_us > r->newest_us)
		r->newest_us = cdr.end_us;
	struct entry *e = find(r, cdr.cdr_id);
	if (e == NULL || e->ended)
		return;
	e->ended = true;
	e->byes = byes[cdr.end_side];
	/* The answer was held back (answer_after_sync), and the call ended before: its caller was refused. */
	if (cdr.sip_code != 200)
		e->byes &= (uint8_t)~BYE_CALLER;
	else if (cdr.end_reason == CDR_END_cancelled) /* its CANCEL crossed the 200 */
		e->byes |= BYE_CALLER;
	e->ended_us = cdr.end_us;
	e->found_over = cdr.recovered && cdr.end_side == CDR_SIDE_SWITCH;
}

static int take(struct recovery *r, enum record_kind kind, place where, const uint8_t *at, size_t size)
{
	r->report.records++;
	switch (kind) {
	case RECORD_CDR:
		take_cdr(r, at, size);
		return 0;
	case RECORD_LIVE:
	case RECORD_CHANGE:
	case RECORD_CLOSED:
		return take_call_record(r, kind, where, at, size);
	default: /* checkpoints, and what a later version may have */
		return 0;
	}
}

/* ---- each once ---- */

static int lane_of(struct recovery *r, uint16_t boot, uint16_t lane, struct lane **ret_lane)
{
	struct lane *l = r->lane_count > 0 ? &r->lanes[r->lane_last] : NULL;

	if (l == NULL || l->boot != boot || l->lane != lane) {
		size_t i = r->lane_count; /* the latest are the likeliest */

		while (i > 0 && (r->lanes[i - 1].boot != boot || r->lanes[i - 1].lane != lane))
			i--;
		if (i == 0 && r->lane_count == r->lane_room) {
			const size_t room = 2 * r->lane_room + 16;
			struct lane *lanes = realloc(r->lanes, room * sizeof(*lanes));

			if (lanes == NULL)
				return -ENOMEM;
			r->lanes = lanes;
			r->lane_room = room;
		}
		if (i == 0) {
			r->lanes[r->lane_count++] = (struct lane){ .boot = boot, .lane = lane };
			i = r->lane_count;
		}
		r->lane_last = i - 1;
	}
	*ret_lane = &r->lanes[r->lane_last];
	return 0;
}

/* ---- from the journal ---- */

static int take_journaled(void *context, const struct journal_record *record)
{
	struct recovery *r = context;
	struct lane *lane;
	const int result = lane_of(r, record->boot, record->lane, &lane);

	if (result < 0 || record->serial < lane->next_serial)
		return result;
	lane->next_serial = record->serial + 1;
	return take(r, record->kind, record->position, record->at, record->size);
}

static void take_damage(void *context, const struct journal_damage *damage)
{
	struct recovery_report *report = &((struct recovery *)context)->report;
	const uint64_t bytes = damage->to - damage->from;

	if (damage->tail) {
		report->torn_bytes += bytes;
		return;
	}
	if (report->damaged++ == 0)
		report->damaged_at = damage->from;
	report->damaged_bytes += bytes;
}

struct journal_scan recovery_scan(struct recovery *r)
{
	return (struct journal_scan){ .context = r, .record = take_journaled, .damage = take_damage };
}

/* ---- from queues ---- */

/* What is lent to restore a call has to outlive the queue. */
static int copy_payload(struct recovery *r, const struct queued_record *record, place *ret_place)
{
	if (r->copy_count == r->copy_room) {
		const size_t room = 2 * r->copy_room + 64;
		struct copy **copies = realloc(r->copies, room * sizeof(struct copy *));

		if (copies == NULL)
			return -ENOMEM;
		r->copies = copies;
		r->copy_room = room;
	}
	struct copy *copy = malloc(sizeof(*copy) + record->size);
	if (copy == NULL)
		return -ENOMEM;
	copy->size = record->size;
	memcpy(copy->bytes, record->at, record->size);
	*ret_place = COPIED | r->copy_count;
	r->copies[r->copy_count++] = copy;
	return 0;
}

static int take_queued(struct recovery *r, struct journal *j, const struct record_queue_owner *owner,
		       const struct queued_record *record)
{
	place where = 0;
	int result = 0;

	if (record->kind == RECORD_LIVE || record->kind == RECORD_CHANGE)
		result = copy_payload(r, record, &where);
	if (result == 0)
		result = journal_append_of(j, owner->boot, record->kind, owner->lane, record->serial, record->at,
					   record->size);
	if (result == 0)
		result = take(r, record->kind, where, record->at, record->size);
	if (result == 0)
		r->report.from_queues++;
	return result;
}

int recovery_take_queue(struct recovery *r, struct journal *j, struct record_queue *q,
			const struct record_queue_owner *owner, uint64_t machine)
{
	struct queue_position position;
	struct queued_record record;
	struct lane *lane;
	size_t appended = 0;

	assert(r->order == NULL);
	if (q == NULL || (owner->machine != machine && owner->machine != 0)) {
		r->report.queues_refused++;
		return 0;
	}
	int result = lane_of(r, owner->boot, owner->lane, &lane);
	position = record_queue_begin(q);
	while (result == 0 && record_queue_next(q, &position, &record)) {
		if (record.serial < lane->next_serial)
			continue;
		result = take_queued(r, j, owner, &record);
		if (result < 0)
			break;
		lane->next_serial = record.serial + 1;
		appended += record.size;
		if (appended >= SYNC_BYTES) {
			result = journal_sync(j);
			appended = 0;
		}
	}
	const int synced = journal_sync(j);
	return result < 0 ? result : synced;
}

/* ---- the number of this start ---- */

static bool has_boot(const struct recovery *r, uint16_t boot)
{
	for (size_t i = 0; i < r->lane_count; i++)
		if (r->lanes[i].boot == boot)
			return true;
	return false;
}

static uint16_t boot_behind(uint16_t boot)
{
	return boot == UINT16_MAX ? 1 : (uint16_t)(boot + 1);
}

uint16_t recovery_boot(const struct recovery *r, uint16_t boot)
{
	const uint16_t newest = r->lane_count > 0 ? r->lanes[r->lane_count - 1].boot : 0;

	if (newest > 0 && (uint16_t)(newest - boot) <= INT16_MAX)
		boot = boot_behind(newest);
	for (size_t i = 0; i < r->lane_count && has_boot(r, boot); i++)
		boot = boot_behind(boot);
	return boot;
}

/* ---- the end of it ---- */

static int by_cdr_id(const void *a, const void *b, void *context)
{
	const struct recovery *r = context;

	return memcmp(entry_at(r, *(const uint32_t *)a)->cdr_id, entry_at(r, *(const uint32_t *)b)->cdr_id,
		      CDR_ID_SIZE);
}

int recovery_finish(struct recovery *r, int64_t now_us, struct recovery_report *ret_report)
{
	assert(r->order == NULL);
	r->order = malloc((r->entry_count + (size_t)1) * sizeof(*r->order));
	if (r->order == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < r->entry_count; i++) {
		const struct entry *e = entry_at(r, i);

		if (!is_wanted(e, now_us))
			continue;
		r->order[r->order_count++] = i;
		r->report.calls += !e->ended;
		r->report.closing += e->ended;
	}
	qsort_r(r->order, r->order_count, sizeof(*r->order), by_cdr_id, r);
	free(r->slots);
	r->slots = NULL;
	*ret_report = r->report;
	return 0;
}

uint64_t recovery_count(const struct recovery *r)
{
	assert(r->order != NULL);
	return r->order_count;
}

static const struct entry *entry_in_order(const struct recovery *r, uint64_t index)
{
	assert(r->order != NULL && index < r->order_count);
	return entry_at(r, r->order[index]);
}

uint16_t recovery_bucket(const struct recovery *r, uint64_t index)
{
	return entry_in_order(r, index)->bucket;
}

static bool lend(const struct recovery *r, struct journal *j, place where, struct journal_loans *loans,
		 struct recovered_bytes *ret_bytes)
{
	struct record_call_head head;
	const uint8_t *at;
	size_t size;

	*ret_bytes = (struct recovered_bytes){ 0 };
	if (where == 0)
		return true;
	if (where & COPIED) {
		at = r->copies[where & ~COPIED]->bytes;
		size = r->copies[where & ~COPIED]->size;
	} else {
		at = journal_lend(j, where, loans, &size);
	}
	if (at == NULL)
		return false;
	assert(size >= sizeof(head));
	memcpy(&head, at, sizeof(head));
	*ret_bytes = (struct recovered_bytes){ .at = at + sizeof(head),
					       .size = size - sizeof(head),
					       .version = head.version };
	return true;
}

bool recovery_call(const struct recovery *r, struct journal *j, uint64_t index, struct journal_loans *loans,
		   struct recovered_call *ret_call)
{
	const struct entry *e = entry_in_order(r, index);
	bool good = true;

	*ret_call = (struct recovered_call){
		.bucket = e->bucket, .ended = e->ended, .byes = e->byes & (uint8_t)~e->closed, .ended_us = e->ended_us
	};
	memcpy(ret_call->cdr_id, e->cdr_id, CDR_ID_SIZE);
	journal_take_back(loans);
	good &= lend(r, j, e->live, loans, &ret_call->live);
	for (unsigned part = 0; part < RECORD_CHANGE_PARTS; part++)
		good &= lend(r, j, e->changes[part], loans, &ret_call->changes[part]);
	return good;
}

/* ---- made and freed ---- */

int recovery_create(struct recovery **ret_recovery)
{
	struct recovery *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return -ENOMEM;
	r->newest_us = INT64_MIN / 2;
	if (getrandom(&r->hash_key, sizeof(r->hash_key), 0) != sizeof(r->hash_key) ||
	    make_slots(r, SLOTS_AT_FIRST) < 0) {
		recovery_free(r);
		return -ENOMEM;
	}
	*ret_recovery = r;
	return 0;
}

void recovery_free(struct recovery *r)
{
	if (r == NULL)
		return;
	for (uint32_t i = 0; i < r->chunk_count; i++)
		free(r->chunks[i]);
	for (size_t i = 0; i < r->copy_count; i++)
		free(r->copies[i]);
	free(r->chunks);
	free(r->slots);
	free(r->lanes);
	free(r->copies);
	free(r->order);
	free(r);
}
