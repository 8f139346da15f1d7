/* Following the journal: a window of 256 KiB over one segment, never beyond what is synced.  A reader touches nothing
 * of the journal but the position that is synced and, when it comes to another segment, the list of them. */
#include "billing/journal_state.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_BYTES (256u << 10)
#define PAGE         JOURNAL_PAGE

static_assert(WINDOW_BYTES >= JOURNAL_FOOTPRINT_MAX, "any record fits");

struct journal_reader {
	struct journal *j;
	journal_position position;
	uint32_t segment; /* that `file` is; 0: none */
	int file;
	uint32_t closed_end; /* end of that segment if it is closed, else 0 */
	uint32_t window_from, window_size;
	uint8_t *window;
};

static void let_go(struct journal_reader *r)
{
	if (r->segment != 0)
		r->j->disk.close(r->j->disk.context, r->file);
	r->segment = 0;
	r->closed_end = 0;
	r->window_size = 0;
}

/* ---- segments ---- */

/* The first with this number or a higher one; under the lock. */
static const struct segment *segment_from(const struct journal *j, uint32_t number)
{
	size_t low = 0, high = j->segment_count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (j->segments[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < j->segment_count ? &j->segments[low] : NULL;
}

/* From the end of a segment, or from one that never had records, to the next that has. */
static journal_position hop(const struct journal *j, journal_position position)
{
	const struct segment *s = segment_from(j, journal_segment(position));

	for (; s != NULL && s < j->segments + j->segment_count; s++) {
		if (s->state == SEGMENT_CURRENT || s->state == SEGMENT_SPARE)
			break;
		if (s->number == journal_segment(position) && journal_offset(position) < s->end)
			return position;
		if (s->number > journal_segment(position) && s->end > 0)
			return journal_at(s->number, 0);
	}
	if (s != NULL && s < j->segments + j->segment_count && s->number > journal_segment(position))
		return journal_at(s->number, 0);
	return position;
}

/* Where the records of the segment that `position` is in end; 0: it has none from there on, and r->position is in
 * another one. */
static uint32_t segment_end(struct journal_reader *r, journal_position synced)
{
	struct journal *j = r->j;
	const uint32_t number = journal_segment(r->position);
	uint32_t end = 0;

	if (number == journal_segment(synced))
		return journal_offset(synced);
	if (r->segment == number && journal_offset(r->position) < r->closed_end)
		return r->closed_end;
	pthread_mutex_lock(&j->lock);
	const journal_position to = hop(j, r->position);
	if (to == r->position) {
		const struct segment *s = segment_from(j, number);

		assert(s != NULL && s->number == number && s->end > journal_offset(to));
		end = s->end;
	}
	pthread_mutex_unlock(&j->lock);
	if (end != 0 && r->segment == number)
		r->closed_end = end;
	r->position = to;
	return end;
}

/* What the scan found of the segment that the position is in. */
struct unread {
	uint32_t from, to;
	bool unopened;
};

static struct unread unread_at_start(const struct journal_reader *r)
{
	struct journal *j = r->j;
	struct unread unread = { 0 };

	pthread_mutex_lock(&j->lock);
	const struct segment *s = segment_from(j, journal_segment(r->position));
	if (s != NULL && s->number == journal_segment(r->position))
		unread = (struct unread){ s->unread_from, s->unread_to, s->unopened };
	pthread_mutex_unlock(&j->lock);
	return unread;
}

static int open_segment(struct journal_reader *r)
{
	const uint32_t number = journal_segment(r->position);
	char name[JOURNAL_NAME_BYTES];

	if (r->segment == number)
		return 0;
	let_go(r);
	journal_name(number, name);
	const int result = r->j->disk.open(r->j->disk.context, name, &r->file);
	if (result == 0)
		r->segment = number;
	return result;
}

/* ---- bytes ---- */

/* What the disk could not read at the start and cannot read now is zeroes: no record.  What it fails to read for the
 * first time may be a matter of a moment; if it is not, the next start knows. */
static int read_pages(struct journal_reader *r, uint32_t offset, uint32_t size)
{
	const struct journal_disk *d = &r->j->disk;
	const struct unread unread = unread_at_start(r);

	for (uint32_t done = 0, wanted; done < size; done += wanted) {
		const uint32_t at = offset + done;
		size_t got = 0;

		wanted = PAGE - at % PAGE < size - done ? PAGE - at % PAGE : size - done;
		const int result = d->read(d->context, r->file, at, r->window + done, wanted, &got);
		if (result < 0 && (at >= unread.to || at + wanted <= unread.from))
			return result;
		if (result < 0)
			got = 0;
		memset(r->window + done + got, 0, wanted - got);
	}
	return 0;
}

/* Lends `size` bytes at `offset`, which lie before `end`. */
static int bytes_at(struct journal_reader *r, uint32_t offset, size_t size, uint32_t end, const uint8_t **ret_at)
{
	const struct journal_disk *d = &r->j->disk;
	size_t got = 0;

	assert(size <= WINDOW_BYTES && offset + size <= end);
	if (offset < r->window_from || offset + size > r->window_from + (size_t)r->window_size) {
		const uint32_t wanted = end - offset < WINDOW_BYTES ? end - offset : WINDOW_BYTES;
		int result = d->read(d->context, r->file, offset, r->window, wanted, &got);

		r->window_size = 0;
		if (result == 0)
			memset(r->window + got, 0, wanted - got); /* a file that was cut: no record */
		else
			result = read_pages(r, offset, wanted);
		if (result < 0)
			return result;
		r->window_from = offset;
		r->window_size = wanted;
	}
	*ret_at = r->window + (offset - r->window_from);
	return 0;
}

/* 1: a record; 0: none; or an errno. */
static int record_at(struct journal_reader *r, uint32_t offset, uint32_t end, struct journal_record *ret_record)
{
	const uint8_t *at;

	if (end - offset < JOURNAL_HEAD_BYTES)
		return 0;
	int result = bytes_at(r, offset, JOURNAL_HEAD_BYTES, end, &at);
	if (result < 0)
		return result;
	const size_t footprint = journal_claimed(at);
	if (footprint == 0 || footprint > end - offset)
		return 0;
	result = bytes_at(r, offset, footprint, end, &at);
	if (result < 0)
		return result;
	return journal_get(at, footprint, r->j->id, journal_at(r->segment, offset), ret_record);
}

/* There is no record at the position: goes on to the next one. */
static int skip_damage(struct journal_reader *r, uint32_t end, struct journal_record *ret_record)
{
	uint32_t offset = journal_offset(r->position);
	struct journal_record record;
	int result = 0;

	do
		offset += 8;
	while (offset < end && (result = record_at(r, offset, end, &record)) == 0);
	if (result < 0)
		return result;
	offset = offset < end ? offset : end;
	*ret_record = (struct journal_record){ .position = r->position, .next = journal_at(r->segment, offset) };
	r->position = ret_record->next;
	return -EBADMSG;
}

/* The segment was dropped before it was read, or the disk cannot open it. */
static int skip_segment(struct journal_reader *r, uint32_t end, struct journal_record *ret_record)
{
	*ret_record = (struct journal_record){ .position = r->position,
					       .next = journal_at(journal_segment(r->position), end) };
	r->position = ret_record->next;
	return -EBADMSG;
}

int journal_reader_next(struct journal_reader *r, struct journal_record *ret_record)
{
	for (;;) {
		const journal_position synced = journal_synced(r->j);

		if (r->position >= synced)
			return 0;
		const uint32_t end = segment_end(r, synced);
		if (end == 0)
			continue;
		int result = open_segment(r);
		if (result == -ENOENT || (result < 0 && !journal_open_may_pass(result) && unread_at_start(r).unopened))
			return skip_segment(r, end, ret_record);
		if (result == 0)
			result = record_at(r, journal_offset(r->position), end, ret_record);
		if (result == 0)
			return skip_damage(r, end, ret_record);
		if (result < 0)
			return result;
		r->position = ret_record->next;
		if (ret_record->kind != RECORD_SEGMENT && ret_record->kind != RECORD_SYNC)
			return 1;
	}
}

journal_position journal_reader_position(const struct journal_reader *r)
{
	return r->position;
}

void journal_reader_seek(struct journal_reader *r, journal_position to)
{
	struct journal *j = r->j;

	to = (to + 7) & ~(journal_position)7;
	pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i < j->segment_count; i++) {
		if (j->segments[i].state == SEGMENT_DROPPED)
			continue;
		if (to < journal_at(j->segments[i].number, 0))
			to = journal_at(j->segments[i].number, 0);
		break;
	}
	pthread_mutex_unlock(&j->lock);
	r->position = to;
}

int journal_reader_open(struct journal *j, journal_position from, struct journal_reader **ret_reader)
{
	struct journal_reader *r = calloc(1, sizeof(*r));

	if (r == NULL || (r->window = malloc(WINDOW_BYTES)) == NULL) {
		free(r);
		return -ENOMEM;
	}
	r->j = j;
	journal_reader_seek(r, from);
	*ret_reader = r;
	return 0;
}

void journal_reader_close(struct journal_reader *r)
{
	if (r == NULL)
		return;
	let_go(r);
	free(r->window);
	free(r);
}
