/* Queues to journal: see intake.h.
 *
 * A lane's positions: what the queue has given back <= synced <= appended <= what the worker has pushed.  After a sync
 * that failed the journal itself keeps what was appended and writes it anew, so the lane's positions stay and nothing
 * is appended twice. */
#include "billing/intake.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A record is deleted no sooner than so long after its segment was closed, and after the checkpoint by which it is not
 * needed any more: the BYE of a call that has ended may still be under way, for 64 times the largest RW_SIP_T1.  One
 * that ended after the checkpoint's BEGIN and before its turn came has no LIVE but the old one. */
#define KEEP_NS             UINT64_C(128000000000)
#define DROP_NS             UINT64_C(1000000000) /* how often the journal is looked through */
#define IDLE_NS             UINT64_C(1000000000) /* without a sync before it is settled */
#define CHECKPOINT_SEGMENTS 2                    /* the journal grows by so much at least from one to the next */
#define RECORD_HEAD_BYTES   32                   /* of a record in the journal, for the estimate of its growth */

/* What others read stands on lines that this thread writes once a turn and not with every record. */
#define CACHE_LINE 64

struct lane {
	alignas(CACHE_LINE) _Atomic uint64_t synced;
	_Atomic uint64_t cdrs_synced;
	bool moved; /* by the last sync */

	alignas(CACHE_LINE) struct record_queue *queue;
	struct queue_position appended;
	uint64_t cdrs_appended;

	/* Of the checkpoint that is wanted. */
	uint64_t begun, ended; /* its number once BEGIN and END were appended, an older one before */
	journal_position begun_at;
	bool between; /* BEGIN and END */
};

struct intake {
	struct journal *journal;
	uint32_t segment_bytes;
	unsigned first_lane; /* which queue the next turn begins with: none waits behind the others for ever */
	bool wants_sync, was_full, sync_failed;
	uint64_t records_appended;
	bool settled;
	uint64_t idle_ns; /* since when there was nothing to sync; 0: there has been since the last look */

	/* Checkpoints. */
	uint64_t completed;             /* the last one */
	journal_position complete_from; /* what it needs, */
	journal_position ripening_from; /* what one needs that was complete at ripening_ns, */
	uint64_t ripening_ns;
	bool ripening;
	journal_position needed_from; /* and one that has been for KEEP_NS */
	uint64_t grown_bytes;         /* since the one that is wanted was asked for */
	uint64_t checkpoint_bytes;    /* what it has written so far */
	uint64_t drop_ns;             /* when the journal was looked through */

	alignas(CACHE_LINE) _Atomic uint64_t checkpoint;
	_Atomic bool taking, held, failed;
	_Atomic uint64_t records, syncs, bytes, checkpoints;

	alignas(CACHE_LINE) unsigned lane_count;
	struct lane lanes[];
};

static void publish_state(struct intake *i)
{
	const bool failed = journal_has_failed(i->journal);

	atomic_store_explicit(&i->failed, failed, memory_order_relaxed);
	atomic_store_explicit(&i->taking, !failed && journal_room(i->journal) >= i->segment_bytes,
			      memory_order_relaxed);
	atomic_store_explicit(&i->bytes, journal_bytes(i->journal), memory_order_relaxed);
}

int intake_create(const struct intake_settings *settings, struct intake **ret_intake)
{
	const size_t size = sizeof(struct intake) + settings->queue_count * sizeof(struct lane);
	struct intake *i = aligned_alloc(CACHE_LINE, size);

	assert(settings->queue_count > 0);
	if (i == NULL)
		return -ENOMEM;
	memset(i, 0, size);
	i->journal = settings->journal;
	i->segment_bytes = settings->segment_bytes != 0 ? settings->segment_bytes : JOURNAL_SEGMENT_BYTES;
	i->lane_count = settings->queue_count;
	for (unsigned n = 0; n < i->lane_count; n++) {
		i->lanes[n].queue = settings->queues[n];
		i->lanes[n].appended = record_queue_begin(settings->queues[n]);
		atomic_store(&i->lanes[n].synced, i->lanes[n].appended.serial);
	}
	atomic_store(&i->checkpoint, 1);
	publish_state(i);
	*ret_intake = i;
	return 0;
}

void intake_free(struct intake *i)
{
	free(i);
}

/* ---- gathering ---- */

/* BEGIN counts from where the turn began: everything before it was there before. */
static void note_checkpoint(struct lane *lane, const struct queued_record *record, journal_position turn_began)
{
	uint64_t number;

	if (record->size < sizeof(number))
		return;
	memcpy(&number, record->at, sizeof(number));
	number = le64toh(number);
	if (record->kind == RECORD_CHECKPOINT_BEGIN) {
		lane->begun = number;
		lane->begun_at = turn_began;
		lane->between = true;
	} else if (lane->begun == number) {
		lane->ended = number;
		lane->between = false;
	}
}

static void note_record(struct intake *i, struct lane *lane, const struct queued_record *record,
			journal_position turn_began)
{
	const uint64_t bytes = RECORD_HEAD_BYTES + record->size;

	i->records_appended++;
	i->grown_bytes += bytes;
	if (lane->between)
		i->checkpoint_bytes += bytes;
	if (record->kind == RECORD_CDR)
		lane->cdrs_appended++;
	else if (record->kind == RECORD_CHECKPOINT_BEGIN || record->kind == RECORD_CHECKPOINT_END)
		note_checkpoint(lane, record, turn_began);
}

static int gather_lane(struct intake *i, unsigned index, journal_position turn_began, size_t *room)
{
	struct lane *lane = &i->lanes[index];
	struct queue_position position = lane->appended;
	struct queued_record record;

	while (record_queue_next(lane->queue, &position, &record)) {
		if (record.size > *room) {
			i->was_full = true;
			return 0;
		}
		const int result =
			journal_append(i->journal, record.kind, (uint16_t)index, record.serial, record.at, record.size);
		if (result < 0)
			return result;
		*room -= record.size;
		note_record(i, lane, &record, turn_began);
		lane->appended = position;
		i->wants_sync = true;
	}
	return 0;
}

int intake_gather(struct intake *i)
{
	const journal_position turn_began = journal_synced(i->journal);
	size_t room = INTAKE_TURN_BYTES;
	int result = 0;

	i->was_full = false;
	if (i->sync_failed)
		return 0; /* one thing after the other, or the journal's memory would grow */
	for (unsigned n = 0; result == 0 && n < i->lane_count; n++)
		result = gather_lane(i, (i->first_lane + n) % i->lane_count, turn_began, &room);
	i->first_lane = (i->first_lane + 1) % i->lane_count;
	return result;
}

bool intake_wants_sync(const struct intake *i)
{
	return i->wants_sync;
}

bool intake_was_full(const struct intake *i)
{
	return i->was_full;
}

/* ---- the disk ---- */

/* true: every lane's END is on the disk. */
static bool checkpoint_is_complete(const struct intake *i, uint64_t number)
{
	for (unsigned n = 0; n < i->lane_count; n++)
		if (i->lanes[n].ended != number)
			return false;
	return true;
}

static void complete_checkpoint(struct intake *i)
{
	const uint64_t number = atomic_load_explicit(&i->checkpoint, memory_order_relaxed);

	if (i->completed == number || !checkpoint_is_complete(i, number))
		return;
	i->completed = number;
	i->complete_from = i->lanes[0].begun_at;
	for (unsigned n = 1; n < i->lane_count; n++)
		if (i->lanes[n].begun_at < i->complete_from)
			i->complete_from = i->lanes[n].begun_at;
	atomic_store_explicit(&i->checkpoints, atomic_load_explicit(&i->checkpoints, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

static void release(struct intake *i)
{
	for (unsigned n = 0; n < i->lane_count; n++) {
		struct lane *lane = &i->lanes[n];

		lane->moved = atomic_load_explicit(&lane->synced, memory_order_relaxed) != lane->appended.serial;
		if (!lane->moved)
			continue;
		atomic_store_explicit(&lane->cdrs_synced, lane->cdrs_appended, memory_order_release);
		atomic_store_explicit(&lane->synced, lane->appended.serial, memory_order_release);
		record_queue_release(lane->queue, lane->appended);
	}
	atomic_store_explicit(&i->records, i->records_appended, memory_order_relaxed);
	atomic_store_explicit(&i->syncs, atomic_load_explicit(&i->syncs, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

int intake_sync(struct intake *i)
{
	const int result = journal_sync(i->journal);

	i->sync_failed = result < 0;
	i->settled = false;
	i->idle_ns = 0;
	if (result == 0) {
		release(i);
		i->wants_sync = false;
		complete_checkpoint(i);
	}
	publish_state(i);
	return result;
}

int intake_settle(struct intake *i)
{
	assert(!i->wants_sync);
	const int result = journal_settle(i->journal);

	i->settled = result == 0;
	i->idle_ns = 0; /* a pause before the next try */
	publish_state(i);
	return result;
}

bool intake_has_moved(const struct intake *i, unsigned lane)
{
	assert(lane < i->lane_count);
	return i->lanes[lane].moved;
}

/* ---- now and then ---- */

static void want_checkpoint(struct intake *i)
{
	const uint64_t number = atomic_load_explicit(&i->checkpoint, memory_order_relaxed);
	const uint64_t least = (uint64_t)CHECKPOINT_SEGMENTS * i->segment_bytes;
	const uint64_t enough = 2 * i->checkpoint_bytes > least ? 2 * i->checkpoint_bytes : least;

	if (i->completed != number || i->grown_bytes < enough)
		return;
	i->grown_bytes = 0;
	i->checkpoint_bytes = 0;
	atomic_store_explicit(&i->checkpoint, number + 1, memory_order_release);
}

/* One checkpoint at a time: those that come meanwhile are no older than it when it is their turn. */
static void ripen(struct intake *i, uint64_t now_ns)
{
	if (i->ripening && now_ns - i->ripening_ns >= KEEP_NS) {
		i->needed_from = i->ripening_from;
		i->ripening = false;
	}
	if (!i->ripening && i->complete_from != i->needed_from) {
		i->ripening = true;
		i->ripening_from = i->complete_from;
		i->ripening_ns = now_ns;
	}
}

static void drop(struct intake *i, uint64_t now_ns, journal_position applied)
{
	const bool held = atomic_load_explicit(&i->held, memory_order_relaxed);

	if (i->drop_ns != 0 && now_ns - i->drop_ns < DROP_NS)
		return;
	i->drop_ns = now_ns;
	ripen(i, now_ns);
	journal_position needed = applied < i->needed_from ? applied : i->needed_from;
	if (held)
		needed = JOURNAL_START;
	/* Also when nothing can go: the journal notes which segments are closed by now.  What could not be deleted is
	 * tried again. */
	journal_drop_before(i->journal, needed, now_ns, KEEP_NS);
}

static void settle_when_idle(struct intake *i, uint64_t now_ns)
{
	if (i->settled || i->wants_sync)
		return;
	if (i->idle_ns == 0)
		i->idle_ns = now_ns;
	else if (now_ns - i->idle_ns >= IDLE_NS)
		intake_settle(i); /* whether it failed shows in the journal's state */
}

void intake_tend(struct intake *i, uint64_t now_ns, journal_position applied)
{
	settle_when_idle(i, now_ns);
	if (journal_room(i->journal) < (uint64_t)JOURNAL_SPARE_SEGMENTS * i->segment_bytes)
		journal_reserve(i->journal); /* whether it could shows in the room */
	want_checkpoint(i);
	drop(i, now_ns, applied);
	publish_state(i);
}

uint64_t intake_waiting(const struct intake *i)
{
	uint64_t count = 0;

	for (unsigned n = 0; n < i->lane_count; n++)
		count += record_queue_depth(i->lanes[n].queue);
	return count;
}

/* ---- published ---- */

uint64_t intake_synced(const struct intake *i, unsigned lane)
{
	assert(lane < i->lane_count);
	return atomic_load_explicit(&i->lanes[lane].synced, memory_order_acquire);
}

uint64_t intake_synced_cdrs(const struct intake *i, unsigned lane)
{
	assert(lane < i->lane_count);
	return atomic_load_explicit(&i->lanes[lane].cdrs_synced, memory_order_acquire);
}

bool intake_is_taking(const struct intake *i)
{
	return atomic_load_explicit(&i->taking, memory_order_relaxed);
}

uint64_t intake_checkpoint(const struct intake *i)
{
	return atomic_load_explicit(&i->checkpoint, memory_order_acquire);
}

void intake_hold(struct intake *i)
{
	atomic_store_explicit(&i->held, true, memory_order_relaxed);
}

struct intake_figures intake_figures(const struct intake *i)
{
	return (struct intake_figures){
		.records = atomic_load_explicit(&i->records, memory_order_relaxed),
		.syncs = atomic_load_explicit(&i->syncs, memory_order_relaxed),
		.bytes = atomic_load_explicit(&i->bytes, memory_order_relaxed),
		.checkpoints = atomic_load_explicit(&i->checkpoints, memory_order_relaxed),
		.failed = atomic_load_explicit(&i->failed, memory_order_relaxed),
	};
}
