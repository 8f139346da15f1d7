/* Appending: records wait in one buffer, laid out as on the disk but for their positions; a sync gives them positions,
 * seals them and writes them, as one part for each segment they come into.  A part is
 *
 *   [RECORD_SEGMENT, at the start of a segment] RECORD_SYNC, records
 *
 * and what stands before its first record is put into the bytes before it in the buffer: a gap at the start, or records
 * of the part before, which are on the disk by then.  So records that the disk did not confirm are still there, as they
 * were, to be given other positions in a fresh segment.
 *
 * A segment takes records until the next one does not fit, so it surely has room for all but JOURNAL_FOOTPRINT_MAX and
 * the journal's own of its bytes: by that measure append() promises that sync() finds room. */
#include "billing/journal_state.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX_BYTES (2 * JOURNAL_OWN_BYTES)
#define LOST_BYTES   (JOURNAL_FOOTPRINT_MAX + PREFIX_BYTES) /* of a segment, at most */
#define BUFFER_BYTES (1u << 20)                             /* at first */
#define CUT_BYTES    4096u                                  /* files are cut to a multiple */
#define SUFFIX       ".journal"

static_assert(4 * RECORD_BYTES_MAX > 2 * LOST_BYTES, "the smallest segment holds something");

void journal_name(uint32_t number, char name[static JOURNAL_NAME_BYTES])
{
	snprintf(name, JOURNAL_NAME_BYTES, "%010u" SUFFIX, number);
}

/* 0: it is no name of a segment. */
static uint32_t number_of(const char *name)
{
	uint64_t number = 0;
	unsigned digits = 0;

	for (; name[digits] >= '0' && name[digits] <= '9' && digits < 10; digits++)
		number = 10 * number + (uint64_t)(name[digits] - '0');
	return digits == 10 && strcmp(name + digits, SUFFIX) == 0 && number < UINT32_MAX ? (uint32_t)number : 0;
}

/* ---- segments ---- */

/* Not yet in order. */
static int list_segment(struct journal *j, struct segment segment)
{
	if (j->segment_count == j->segment_room) {
		const size_t room = j->segment_room == 0 ? 16 : 2 * j->segment_room;
		struct segment *segments = realloc(j->segments, room * sizeof(*segments));

		if (segments == NULL)
			return -ENOMEM;
		j->segments = segments;
		j->segment_room = room;
	}
	j->segments[j->segment_count++] = segment;
	return 0;
}

static int add_spare(struct journal *j, uint32_t number, int file)
{
	const struct segment segment = {
		.number = number, .size = j->segment_bytes, .state = SEGMENT_SPARE, .file = file
	};

	assert(j->segment_count == 0 || j->segments[j->segment_count - 1].number < number);
	pthread_mutex_lock(&j->lock);
	const int r = list_segment(j, segment);
	pthread_mutex_unlock(&j->lock);
	return r;
}

static void set_state(struct journal *j, struct segment *s, enum segment_state state, uint32_t end)
{
	pthread_mutex_lock(&j->lock);
	s->state = state;
	s->end = end;
	pthread_mutex_unlock(&j->lock);
}

static void close_file(struct journal *j, struct segment *s)
{
	if (s->file >= 0)
		j->disk.close(j->disk.context, s->file);
	s->file = -1;
}

static int remove_segment(struct journal *j, struct segment *s)
{
	char name[JOURNAL_NAME_BYTES];

	close_file(j, s);
	journal_name(s->number, name);
	const int r = j->disk.remove(j->disk.context, name);
	if (r < 0 && r != -ENOENT)
		return r;
	set_state(j, s, SEGMENT_DROPPED, s->end);
	return 0;
}

static struct segment *next_spare(const struct journal *j)
{
	for (size_t i = 0; i < j->segment_count; i++)
		if (j->segments[i].state == SEGMENT_SPARE)
			return &j->segments[i];
	return NULL;
}

static size_t count_spares(const struct journal *j)
{
	size_t count = 0;

	for (size_t i = j->segment_count; i-- > 0 && j->segments[i].state != SEGMENT_CURRENT;)
		count += j->segments[i].state == SEGMENT_SPARE;
	return count;
}

/* What can surely be appended, and what lies on the disk. */
static void measure(struct journal *j)
{
	const uint64_t waiting = j->used - j->first;
	uint64_t room = count_spares(j) * (j->segment_bytes - LOST_BYTES), bytes = 0;

	if (!j->fresh && j->written + LOST_BYTES < j->segment_bytes)
		room += j->segment_bytes - LOST_BYTES - j->written;
	for (size_t i = 0; i < j->segment_count; i++)
		if (j->segments[i].state != SEGMENT_DROPPED)
			bytes += j->segments[i].size;
	atomic_store_explicit(&j->room, room > waiting ? room - waiting : 0, memory_order_relaxed);
	atomic_store_explicit(&j->bytes, bytes, memory_order_relaxed);
}

static int create_spare(struct journal *j)
{
	const uint32_t number = j->segment_count > 0 ? j->segments[j->segment_count - 1].number + 1 : 1;
	char name[JOURNAL_NAME_BYTES];
	int file;

	if (number == UINT32_MAX)
		return -EOVERFLOW;
	journal_name(number, name);
	int r = j->disk.create(j->disk.context, name, j->segment_bytes, &file);
	if (r < 0)
		return r;
	r = add_spare(j, number, file);
	if (r < 0) {
		j->disk.close(j->disk.context, file);
		j->disk.remove(j->disk.context, name);
	}
	return r;
}

int journal_reserve(struct journal *j)
{
	int r = 0;

	for (size_t count = count_spares(j); r == 0 && count < JOURNAL_SPARE_SEGMENTS; count++)
		r = create_spare(j);
	measure(j);
	return r;
}

int journal_drop_before(struct journal *j, journal_position position, uint64_t now_ns, uint64_t keep_ns)
{
	int r = 0;

	for (size_t i = 0; i < j->segment_count; i++)
		if (j->segments[i].state == SEGMENT_CLOSED && j->segments[i].closed_ns == 0)
			j->segments[i].closed_ns = now_ns > 0 ? now_ns : 1;
	for (size_t i = 0; r == 0 && i < j->segment_count; i++) {
		struct segment *s = &j->segments[i];

		if (s->state == SEGMENT_DROPPED)
			continue;
		if (s->state != SEGMENT_CLOSED || position < journal_at(s->number, s->end) ||
		    now_ns - s->closed_ns < keep_ns)
			break;
		r = remove_segment(j, s);
	}
	measure(j);
	return r;
}

/* ---- appending ---- */

static bool make_room(struct journal *j, size_t size)
{
	if (j->used + size <= j->buffer_room)
		return true;
	size_t room = 2 * j->buffer_room;
	while (room < j->used + size)
		room *= 2;
	uint8_t *buffer = realloc(j->buffer, room);
	if (buffer == NULL)
		return false;
	j->buffer = buffer;
	j->buffer_room = room;
	return true;
}

int journal_append_of(struct journal *j, uint16_t boot, enum record_kind kind, uint16_t lane, uint64_t serial,
		      const uint8_t *payload, size_t size)
{
	const size_t footprint = JOURNAL_FOOTPRINT(size);
	const uint64_t room = journal_room(j);

	assert(kind != RECORD_SEGMENT && kind != RECORD_SYNC && size <= RECORD_BYTES_MAX);
	if (footprint > room)
		return -ENOSPC;
	if (!make_room(j, footprint))
		return -ENOMEM;
	uint8_t *at = j->buffer + j->used;
	journal_put_head(at, kind, boot, lane, serial, size);
	if (size > 0)
		memcpy(at + JOURNAL_HEAD_BYTES, payload, size);
	j->used += footprint;
	atomic_store_explicit(&j->room, room - footprint, memory_order_relaxed);
	return 0;
}

void journal_set_boot(struct journal *j, uint16_t boot)
{
	j->boot = boot;
}

int journal_append(struct journal *j, enum record_kind kind, uint16_t lane, uint64_t serial, const uint8_t *payload,
		   size_t size)
{
	return journal_append_of(j, j->boot, kind, lane, serial, payload, size);
}

/* ---- syncing ---- */

/* Where a part begins, and what it holds. */
struct part {
	struct segment *segment;
	bool begins; /* the segment */
	size_t prefix, size;
	uint32_t offset; /* of the part in the segment */
};

static size_t footprint_at(const struct journal *j, size_t at)
{
	const size_t footprint = journal_claimed(j->buffer + at);

	assert(footprint != 0 && at + footprint <= j->used);
	return footprint;
}

/* Records from `first` on that fit behind `offset` and the prefix. */
static size_t fitting(const struct journal *j, size_t offset, size_t prefix)
{
	size_t size = 0;

	while (j->first + size < j->used) {
		const size_t footprint = footprint_at(j, j->first + size);

		if (offset + prefix + size + footprint > j->segment_bytes)
			break;
		size += footprint;
	}
	return size;
}

static int begin_segment(struct journal *j, struct part *part)
{
	int r = 0;

	if (next_spare(j) == NULL)
		r = create_spare(j);
	if (r < 0)
		return r;
	*part = (struct part){ .segment = next_spare(j), .begins = true, .prefix = PREFIX_BYTES };
	part->size = fitting(j, 0, PREFIX_BYTES);
	return 0;
}

static int next_part(struct journal *j, struct part *part)
{
	if (j->fresh)
		return begin_segment(j, part);
	*part = (struct part){ .segment = &j->segments[j->current],
			       .prefix = JOURNAL_OWN_BYTES,
			       .offset = j->written,
			       .size = fitting(j, j->written, JOURNAL_OWN_BYTES) };
	if (part->size > 0 || (j->first == j->used && j->written + JOURNAL_OWN_BYTES <= j->segment_bytes))
		return 0;
	return begin_segment(j, part);
}

/* Positions and checksums. */
static void seal(struct journal *j, const struct part *part)
{
	uint8_t *at = j->buffer + j->first - part->prefix;
	journal_position position = journal_at(part->segment->number, part->offset);

	j->facts.promise = journal_synced(j);
	if (part->begins) {
		j->facts.previous_end = journal_synced(j);
		journal_put_facts(at, RECORD_SEGMENT, j->boot, j->groups++, &j->facts, position);
		at += JOURNAL_OWN_BYTES;
		position += JOURNAL_OWN_BYTES;
	}
	journal_put_facts(at, RECORD_SYNC, j->boot, j->groups++, &j->facts, position);
	at += JOURNAL_OWN_BYTES;
	position += JOURNAL_OWN_BYTES;
	for (const uint8_t *end = at + part->size; at < end;) {
		const size_t footprint = journal_claimed(at);

		journal_seal(at, j->id, position);
		at += footprint;
		position += footprint;
	}
}

static void close_current(struct journal *j)
{
	if (j->fresh)
		return;
	close_file(j, &j->segments[j->current]);
	set_state(j, &j->segments[j->current], SEGMENT_CLOSED, j->written);
	j->fresh = true;
}

/* The disk did not confirm this part: its segment gets nothing any more. */
static void abandon(struct journal *j, const struct part *part)
{
	atomic_store_explicit(&j->failed, true, memory_order_relaxed);
	close_current(j);
	if (part->begins && remove_segment(j, part->segment) < 0)
		set_state(j, part->segment, SEGMENT_CLOSED, 0);
}

static void confirm(struct journal *j, const struct part *part)
{
	if (part->begins) {
		close_current(j);
		j->current = (size_t)(part->segment - j->segments);
		j->fresh = false;
		set_state(j, part->segment, SEGMENT_CURRENT, 0);
	}
	j->first += part->size;
	j->settled = part->size == 0;
	j->written = part->offset + (uint32_t)(part->prefix + part->size);
	atomic_store_explicit(&j->synced, journal_at(part->segment->number, j->written), memory_order_release);
}

/* What a segment begins with makes void what it replaces, so where it replaces something it has to be on the disk
 * before the records are: else both might be found there. */
static int write_sealed(struct journal *j, const struct part *part)
{
	const uint8_t *from = j->buffer + j->first - part->prefix;
	int r = 0;

	if (part->begins && journal_has_failed(j))
		r = j->disk.write_and_sync(j->disk.context, part->segment->file, 0, from, part->prefix);
	if (r == 0)
		r = j->disk.write_and_sync(j->disk.context, part->segment->file, part->offset, from,
					   part->prefix + part->size);
	return r;
}

static int write_part(struct journal *j, bool *ret_begins)
{
	struct part part;
	int r = next_part(j, &part);

	if (r < 0)
		return r;
	assert(j->first >= part.prefix && (part.size > 0 || j->first == j->used));
	*ret_begins |= part.begins;
	seal(j, &part);
	r = write_sealed(j, &part);
	if (r < 0)
		abandon(j, &part);
	else
		confirm(j, &part);
	return r;
}

int journal_sync(struct journal *j)
{
	bool begun = false;
	int r = 0;

	while (r == 0 && j->first < j->used)
		r = write_part(j, &begun);
	if (r == 0)
		j->first = j->used = PREFIX_BYTES;
	measure(j);
	if (r == 0 && begun)
		journal_reserve(j); /* if that fails journal_room() says so */
	return r;
}

int journal_settle(struct journal *j)
{
	bool begun = false;
	int r = journal_sync(j);

	if (r == 0 && !j->settled)
		r = write_part(j, &begun);
	measure(j);
	if (r == 0 && begun)
		journal_reserve(j);
	return r;
}

bool journal_has_failed(const struct journal *j)
{
	return atomic_load_explicit(&j->failed, memory_order_relaxed);
}

journal_position journal_synced(const struct journal *j)
{
	return atomic_load_explicit(&j->synced, memory_order_acquire);
}

uint64_t journal_room(const struct journal *j)
{
	return atomic_load_explicit(&j->room, memory_order_relaxed);
}

uint64_t journal_bytes(const struct journal *j)
{
	return atomic_load_explicit(&j->bytes, memory_order_relaxed);
}

uint64_t journal_id(const struct journal *j)
{
	return j->id;
}

/* ---- opening and closing ---- */

struct listing {
	struct journal *j;
	int result;
};

static void list_one(void *to, const char *name, uint64_t size)
{
	struct listing *l = to;
	const struct segment segment = { .number = number_of(name),
					 .size = size < JOURNAL_SEGMENT_BYTES_MAX ? size : JOURNAL_SEGMENT_BYTES_MAX,
					 .state = SEGMENT_CLOSED,
					 .file = -1,
					 .scanned = true };

	if (segment.number != 0 && l->result == 0)
		l->result = list_segment(l->j, segment);
}

static int by_number(const void *a, const void *b)
{
	const struct segment *first = a, *second = b;

	return (first->number > second->number) - (first->number < second->number);
}

static int find_segments(struct journal *j, const struct journal_settings *settings)
{
	struct listing l = { .j = j };
	const int r = j->disk.list(j->disk.context, list_one, &l);

	if (j->segment_count > 0)
		qsort(j->segments, j->segment_count, sizeof(*j->segments), by_number);
	for (size_t i = 0; i < j->segment_count; i++)
		j->segments[i].closed_ns = settings->now_ns > 0 ? settings->now_ns : 1;
	return r < 0 ? r : l.result;
}

/* What stands behind the promise may be in the page cache alone, written by a process that was killed. */
static int sync_tail(struct journal *j, journal_position promise)
{
	char name[JOURNAL_NAME_BYTES];
	int r = 0, file;

	for (size_t i = 0; r == 0 && i < j->segment_count; i++) {
		const struct segment *s = &j->segments[i];

		if (s->end == 0 || journal_at(s->number, s->end) <= promise)
			continue;
		journal_name(s->number, name);
		r = j->disk.open(j->disk.context, name, &file);
		if (r < 0 && s->unopened) { /* nothing of it was read */
			r = 0;
			continue;
		}
		if (r < 0)
			break;
		r = j->disk.write_and_sync(j->disk.context, file, 0, NULL, 0);
		j->disk.close(j->disk.context, file);
	}
	return r;
}

/* Reserved segments that were never begun, and void ones. */
static void remove_unused(struct journal *j)
{
	for (size_t i = 0; i < j->segment_count; i++)
		if (j->segments[i].unused)
			remove_segment(j, &j->segments[i]); /* or dropped later */
}

/* What they said of the ends of others the segment that was just begun says too. */
static void remove_idle(struct journal *j)
{
	for (size_t i = 0; i < j->segment_count; i++)
		if (j->segments[i].idle)
			remove_segment(j, &j->segments[i]);
}

/* What was reserved for segments that get no more is given back, up to a page of it: a node that dies again and again
 * leaves one behind each time, and none of them is old enough to go.  Where that fails it is only room. */
static void cut_past(struct journal *j)
{
	char name[JOURNAL_NAME_BYTES];

	for (size_t i = 0; j->disk.cut != NULL && i < j->segment_count; i++) {
		struct segment *s = &j->segments[i];

		if (!s->scanned || s->state != SEGMENT_CLOSED)
			continue;
		journal_name(s->number, name);
		uint64_t size = s->content > s->end ? s->content : s->end;
		size = (size + CUT_BYTES - 1) / CUT_BYTES * CUT_BYTES;
		if (size < s->size && j->disk.cut(j->disk.context, name, size) == 0)
			s->size = size;
	}
}

static int begin(struct journal *j, const struct journal_settings *settings, const struct journal_past *past,
		 char error[static JOURNAL_ERROR_BYTES])
{
	bool begun = false;

	j->id = past->id != 0 ? past->id : settings->new_id;
	j->facts = (struct journal_facts){ .id = j->id,
					   .version = JOURNAL_VERSION,
					   .segment_bytes = j->segment_bytes,
					   .machine = settings->machine,
					   .now_ns = settings->now_ns,
					   .now_us = settings->now_us };
	atomic_store(&j->synced, past->end);
	int r = sync_tail(j, past->promise);
	if (r < 0) {
		snprintf(error, JOURNAL_ERROR_BYTES, "what was written last cannot be synced: %s", strerror(-r));
		return r;
	}
	remove_unused(j);
	r = write_part(j, &begun);
	if (r < 0) {
		snprintf(error, JOURNAL_ERROR_BYTES, "a new segment of %u bytes: %s", j->segment_bytes, strerror(-r));
		return r;
	}
	remove_idle(j);
	cut_past(j);
	journal_reserve(j); /* if that fails journal_room() says so */
	return 0;
}

int journal_open(const struct journal_settings *settings, const struct journal_scan *scan, struct journal **ret_journal,
		 char error[static JOURNAL_ERROR_BYTES])
{
	struct journal *j = calloc(1, sizeof(*j));
	struct journal_past past = { 0 };

	if (j == NULL || (j->buffer = malloc(BUFFER_BYTES)) == NULL) {
		free(j);
		snprintf(error, JOURNAL_ERROR_BYTES, "no memory");
		return -ENOMEM;
	}
	j->disk = settings->disk;
	j->segment_bytes = settings->segment_bytes > 0 ? settings->segment_bytes : JOURNAL_SEGMENT_BYTES;
	j->boot = settings->boot;
	j->fresh = true;
	j->first = j->used = PREFIX_BYTES;
	j->buffer_room = BUFFER_BYTES;
	pthread_mutex_init(&j->lock, NULL);
	assert(settings->new_id != 0 && j->segment_bytes % 4096 == 0 && j->segment_bytes >= 4 * RECORD_BYTES_MAX &&
	       j->segment_bytes <= JOURNAL_SEGMENT_BYTES_MAX);
	int r = find_segments(j, settings);
	if (r < 0)
		snprintf(error, JOURNAL_ERROR_BYTES, "its directory cannot be listed: %s", strerror(-r));
	if (r == 0)
		r = journal_scan_past(j, scan, &past, error);
	if (r == 0)
		r = begin(j, settings, &past, error);
	if (r < 0) {
		journal_close(j);
		return r;
	}
	*ret_journal = j;
	return 0;
}

void journal_close(struct journal *j)
{
	if (j == NULL)
		return;
	journal_forget_scanned(j);
	for (size_t i = 0; i < j->segment_count; i++)
		close_file(j, &j->segments[i]);
	pthread_mutex_destroy(&j->lock);
	free(j->segments);
	free(j->buffer);
	free(j);
}

/* ---- invariants ---- */

static void check_segments(const struct journal *j)
{
	uint64_t bytes = 0;
	size_t current = 0, spares = 0;

	for (size_t i = 0; i < j->segment_count; i++) {
		const struct segment *s = &j->segments[i];

		assert(i == 0 || j->segments[i - 1].number < s->number);
		assert(s->end <= s->size || s->state == SEGMENT_DROPPED);
		assert((s->file >= 0) == (s->state == SEGMENT_CURRENT || s->state == SEGMENT_SPARE));
		assert(s->state != SEGMENT_SPARE || journal_at(s->number, 0) > journal_synced(j));
		current += s->state == SEGMENT_CURRENT;
		spares += s->state == SEGMENT_SPARE;
		bytes += s->state == SEGMENT_DROPPED ? 0 : s->size;
	}
	assert(current == !j->fresh);
	assert(spares == count_spares(j) && spares <= JOURNAL_SPARE_SEGMENTS);
	assert(bytes == journal_bytes(j));
	assert(j->fresh || (j->segments[j->current].state == SEGMENT_CURRENT &&
			    journal_synced(j) == journal_at(j->segments[j->current].number, j->written)));
	assert(!j->fresh || journal_has_failed(j));
}

void journal_check(const struct journal *j)
{
	assert(j->first >= PREFIX_BYTES && j->first <= j->used && j->used <= j->buffer_room);
	for (size_t at = j->first; at < j->used;)
		at += footprint_at(j, at);
	assert(j->written <= j->segment_bytes && j->id != 0 && j->facts.id == j->id);
	assert(journal_synced(j) % 8 == 0 && journal_synced(j) > 0);
	check_segments(j);
}
