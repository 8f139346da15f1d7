/* Lending what was scanned: the records that calls are made of again (billing/recovery.h).
 *
 * They are read, not mapped: a page of a mapping that the disk cannot read kills the process.  Each goes behind the one
 * before it in a chunk of who asks, which is warm from the call before: 1 MiB a thread, however many calls there are.
 * The files stay open until there is no more lending, so that one that is dropped meanwhile can still be read.  The
 * lock is held to find a file, not while the disk is read.
 *
 * A record of which the disk cannot read a page is not lent, and noted as damage.  All others are. */
#include "billing/journal_state.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES ((1u << 20) - 64)
#define FIRST_BYTES 2048u /* of a record, in one read with its head: most are shorter */

static_assert(CHUNK_BYTES >= JOURNAL_FOOTPRINT_MAX, "any record fits");

struct journal_chunk {
	struct journal_chunk *next;
	size_t used;
	alignas(8) uint8_t bytes[CHUNK_BYTES];
};

/* Where a record is read: an open file, and the end of what can be lent of it. */
struct source {
	int file;
	uint32_t end;
};

/* ---- under the lock ---- */

/* Without memory it is not told: that its call is not there is. */
static void note_unlent(struct journal *j, const struct journal_damage *damage)
{
	if (j->unlent_count == j->unlent_room) {
		const size_t room = 2 * j->unlent_room + 16;
		struct journal_damage *unlent = realloc(j->unlent, room * sizeof(*unlent));

		if (unlent == NULL)
			return;
		j->unlent = unlent;
		j->unlent_room = room;
	}
	j->unlent[j->unlent_count++] = *damage;
}

/* false: no such record; or a file that cannot be opened, which is noted as a head that cannot be read. */
static bool find_source(struct journal *j, journal_position position, struct source *ret_source)
{
	char name[JOURNAL_NAME_BYTES];

	for (size_t i = 0; i < j->segment_count && j->segments[i].scanned; i++) {
		struct segment *s = &j->segments[i];

		if (s->number != journal_segment(position) || journal_offset(position) >= s->end)
			continue;
		journal_name(s->number, name);
		if (!s->lends && j->disk.open(j->disk.context, name, &s->lent_file) < 0) {
			note_unlent(j, &(struct journal_damage){ .from = position,
								 .to = position + JOURNAL_HEAD_BYTES,
								 .unread = JOURNAL_HEAD_BYTES });
			return false;
		}
		s->lends = true;
		*ret_source = (struct source){ s->lent_file, s->end };
		return true;
	}
	return false;
}

/* ---- memory ---- */

/* For any record.  NULL: no memory. */
static uint8_t *make_room(struct journal_loans *l)
{
	if (l->chunk == NULL || JOURNAL_FOOTPRINT_MAX > CHUNK_BYTES - l->chunk->used) {
		struct journal_chunk *chunk = malloc(sizeof(*chunk));

		if (chunk == NULL)
			return NULL;
		chunk->next = l->chunk;
		chunk->used = 0;
		l->chunk = chunk;
	}
	return l->chunk->bytes + l->chunk->used;
}

static void free_behind(struct journal_chunk *first)
{
	struct journal_chunk *next;

	for (struct journal_chunk *chunk = first->next; chunk != NULL; chunk = next) {
		next = chunk->next;
		free(chunk);
	}
	first->next = NULL;
}

void journal_take_back(struct journal_loans *l)
{
	if (l->chunk == NULL)
		return;
	free_behind(l->chunk);
	l->chunk->used = 0;
}

void journal_free_loans(struct journal_loans *l)
{
	journal_take_back(l);
	free(l->chunk);
	l->chunk = NULL;
}

/* ---- reading ---- */

/* A file that was cut does not have them either. */
static bool read_all(const struct journal *j, int file, uint32_t offset, uint8_t *to, size_t size)
{
	size_t got = 0;

	return j->disk.read(j->disk.context, file, offset, to, size, &got) == 0 && got == size;
}

/* How many of the bytes the disk cannot read, by pages; 0: `to` has all of them. */
static uint32_t read_pages(const struct journal *j, int file, uint32_t offset, uint8_t *to, uint32_t size)
{
	uint32_t failed = 0;

	if (size == 0 || read_all(j, file, offset, to, size))
		return 0;
	for (uint32_t done = 0, wanted; done < size; done += wanted) {
		const uint32_t left_of_page = JOURNAL_PAGE - (offset + done) % JOURNAL_PAGE;

		wanted = left_of_page < size - done ? left_of_page : size - done;
		failed += read_all(j, file, offset + done, to + done, wanted) ? 0 : wanted;
	}
	return failed;
}

static bool refuse(struct journal *j, journal_position position, size_t size, uint32_t unread)
{
	pthread_mutex_lock(&j->lock);
	note_unlent(j, &(struct journal_damage){ .from = position, .to = position + size, .unread = unread });
	pthread_mutex_unlock(&j->lock);
	return false;
}

/* Reads what the head at `position` claims into the room there is; *ret_size: its footprint.  false: no head, or
 * unreadable. */
static bool read_claimed(struct journal *j, const struct source *from, journal_position position, uint8_t *to,
			 uint32_t *ret_size)
{
	const uint32_t offset = journal_offset(position), available = from->end - offset;
	uint32_t first = available < FIRST_BYTES ? available : FIRST_BYTES;

	if (available < JOURNAL_HEAD_BYTES)
		return false;
	if (!read_all(j, from->file, offset, to, first)) {
		first = JOURNAL_HEAD_BYTES;
		if (!read_all(j, from->file, offset, to, first))
			return refuse(j, position, first, first);
	}
	const uint32_t footprint = (uint32_t)journal_claimed(to);
	if (footprint == 0 || footprint > available)
		return false;
	first = first < footprint ? first : footprint;
	const uint32_t unread = read_pages(j, from->file, offset + first, to + first, footprint - first);
	if (unread > 0)
		return refuse(j, position, footprint, unread);
	*ret_size = footprint;
	return true;
}

const uint8_t *journal_lend(struct journal *j, journal_position position, struct journal_loans *loans, size_t *ret_size)
{
	struct journal_record record;
	struct source from;
	uint32_t size;

	pthread_mutex_lock(&j->lock);
	const bool found = find_source(j, position, &from);
	pthread_mutex_unlock(&j->lock);
	uint8_t *to = found ? make_room(loans) : NULL;
	if (to == NULL || !read_claimed(j, &from, position, to, &size) ||
	    !journal_get(to, size, j->id, position, &record))
		return NULL;
	loans->chunk->used += size;
	*ret_size = record.size;
	return record.at;
}

/* ---- the end of it ---- */

void journal_tell_unlent(struct journal *j, void *context,
			 void (*damage)(void *context, const struct journal_damage *damage))
{
	pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i < j->unlent_count; i++)
		damage(context, &j->unlent[i]);
	pthread_mutex_unlock(&j->lock);
}

void journal_forget_scanned(struct journal *j)
{
	pthread_mutex_lock(&j->lock);
	for (size_t i = 0; i < j->segment_count && j->segments[i].scanned; i++) {
		if (j->segments[i].lends)
			j->disk.close(j->disk.context, j->segments[i].lent_file);
		j->segments[i].lends = false;
	}
	free(j->unlent);
	j->unlent = NULL;
	j->unlent_count = j->unlent_room = 0;
	pthread_mutex_unlock(&j->lock);
}
