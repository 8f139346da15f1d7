/* Reading what an earlier process has left.
 *
 * First, from the last segment to the first, what each says of itself: its id, and where the records before it end, so
 * that void parts are not read.  Then, in order, record by record; where there is none the next good one is searched
 * for.  What was damage and what a torn tail is known at the end, from the highest position that was once on the disk.
 *
 * Memory: one segment, and 24 bytes for each gap. */
#include "billing/journal_state.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK      (256u << 10) /* of one read */
#define PAGE       JOURNAL_PAGE
#define FACT_BYTES 4096u /* the head of a segment is in here */

struct range {
	journal_position from, to;
	uint32_t unread; /* bytes of it that the disk could not read */
};

struct ranges {
	struct range *at;
	size_t count, room;
};

/* What is known of a segment before its records are read. */
struct outline {
	struct journal_facts facts;
	bool known;  /* `facts` are */
	bool empty;  /* nothing but zeroes */
	bool unread; /* the disk could not read all that was looked at */
	bool alien;  /* it begins as a segment of another journal, as `facts` has it */
	bool told;   /* it has records of others than the journal */
	journal_position limit;
};

struct scanner {
	struct journal *j;
	const struct journal_scan *scan;
	struct outline *outlines; /* of each segment */
	struct ranges damaged;
	struct journal_past past;
	bool ended;       /* the tail, by a gap */
	uint32_t id_from; /* the segment that has said the id */
	bool failing;     /* something could not be read, while the id was searched for */
	bool told;        /* a record of others than the journal was there */

	/* The segment that is looked at. */
	uint8_t *buffer;
	size_t buffer_bytes;
	size_t loaded;
	size_t content; /* nothing but zeroes behind it, in 8-byte steps */
	size_t unreadable_from;
	size_t unreadable; /* end of what the disk could not read, likewise; 0: nothing */
	bool *failed;      /* which of its pages these are, of `buffer_bytes` */
	bool unopened;     /* nor open */
};

static int add_range(struct ranges *r, journal_position from, journal_position to, uint32_t unread)
{
	assert(from < to);
	if (r->count == r->room) {
		const size_t room = r->room == 0 ? 16 : 2 * r->room;
		struct range *at = realloc(r->at, room * sizeof(*at));

		if (at == NULL)
			return -ENOMEM;
		r->at = at;
		r->room = room;
	}
	r->at[r->count++] = (struct range){ from, to, unread };
	return 0;
}

/* ---- bytes ---- */

static size_t pages_of(size_t bytes)
{
	return (bytes + PAGE - 1) / PAGE;
}

/* What cannot be read is zeroes, and counts as content: there may have been something. */
static void load_pages(struct scanner *s, int file, size_t from, size_t size)
{
	const struct journal_disk *d = &s->j->disk;
	size_t got;

	for (size_t at = from; at < from + size; at += PAGE) {
		const size_t wanted = from + size - at < PAGE ? from + size - at : PAGE;

		memset(s->buffer + at, 0, wanted);
		if (d->read(d->context, file, at, s->buffer + at, wanted, &got) < 0) {
			memset(s->buffer + at, 0, wanted);
			if (s->unreadable == 0)
				s->unreadable_from = at;
			s->unreadable = at + wanted;
			s->failed[at / PAGE] = true;
		}
	}
}

static size_t content_end(const uint8_t *buffer, size_t size)
{
	static const uint64_t zero;
	size_t at = size & ~(size_t)7;

	for (size_t i = at; i < size; i++)
		if (buffer[i] != 0)
			return at + 8;
	while (at > 0 && memcmp(buffer + at - 8, &zero, 8) == 0)
		at -= 8;
	return at;
}

/* Bytes of the file that are worth reading: up to where its data ends, or all. */
static size_t data_of(const struct scanner *s, int file, size_t size)
{
	const struct journal_disk *d = &s->j->disk;
	uint64_t end;

	if (d->data_end == NULL || d->data_end(d->context, file, &end) < 0 || end > size)
		return size;
	return (size_t)end;
}

/* Behind the data are zeroes, and the last record may end in some. */
static void add_zeroes(struct scanner *s, size_t size)
{
	const size_t end = s->loaded + JOURNAL_FOOTPRINT_MAX < size ? s->loaded + JOURNAL_FOOTPRINT_MAX : size;

	memset(s->buffer + s->loaded, 0, end - s->loaded);
	s->loaded = end;
}

/* Reads the first `size` bytes of a segment. */
static int load(struct scanner *s, const struct segment *segment, size_t size)
{
	const struct journal_disk *d = &s->j->disk;
	char name[JOURNAL_NAME_BYTES];
	int file;

	journal_name(segment->number, name);
	const int r = d->open(d->context, name, &file);
	if (journal_open_may_pass(r))
		return r;
	size = size < segment->size ? size : (size_t)segment->size;
	s->loaded = size;
	s->unopened = r < 0;
	s->unreadable_from = s->unreadable = 0;
	memset(s->failed, s->unopened, pages_of(s->buffer_bytes) * sizeof(*s->failed));
	if (s->unopened) { /* damage, all of it */
		memset(s->buffer, 0, s->loaded);
		s->content = s->unreadable = (s->loaded + 7) & ~(size_t)7;
		return 0;
	}
	s->loaded = data_of(s, file, size);
	for (size_t at = 0; at < s->loaded;) {
		const size_t wanted = s->loaded - at < BLOCK ? s->loaded - at : BLOCK;
		size_t got;

		if (d->read(d->context, file, at, s->buffer + at, wanted, &got) < 0) {
			load_pages(s, file, at, wanted);
			got = wanted;
		}
		at += got;
		if (got < wanted)
			size = s->loaded = at; /* shorter than it was */
	}
	add_zeroes(s, size);
	d->close(d->context, file);
	s->content = content_end(s->buffer, s->loaded);
	s->unreadable = (s->unreadable + 7) & ~(size_t)7;
	s->content = s->content > s->unreadable ? s->content : s->unreadable;
	return 0;
}

/* ---- what segments say of themselves ---- */

static bool belongs(const struct scanner *s, const struct journal_facts *facts)
{
	return s->past.id == 0 || facts->id == s->past.id;
}

/* The first that is good of the records that say it. */
static bool find_facts(struct scanner *s, uint32_t number, struct journal_facts *ret_facts)
{
	for (size_t at = 0; at < s->content && at + JOURNAL_HEAD_BYTES <= s->loaded; at += 8)
		if (journal_claimed(s->buffer + at) != 0 &&
		    journal_get_facts(s->buffer + at, s->loaded - at, journal_at(number, (uint32_t)at), ret_facts) &&
		    belongs(s, ret_facts))
			return true;
	return false;
}

static int read_outline(struct scanner *s, size_t index)
{
	const struct segment *segment = &s->j->segments[index];
	struct outline *o = &s->outlines[index];
	int r = load(s, segment, FACT_BYTES);

	if (r == 0 && journal_get_facts(s->buffer, s->loaded, journal_at(segment->number, 0), &o->facts)) {
		o->known = belongs(s, &o->facts);
		o->alien = !o->known;
	} else if (r == 0) {
		r = load(s, segment, s->buffer_bytes);
		o->known = r == 0 && find_facts(s, segment->number, &o->facts);
		o->empty = r == 0 && s->content == 0;
	}
	if (o->known && s->past.id == 0)
		s->id_from = segment->number;
	if (o->known)
		s->past.id = o->facts.id;
	o->unread = r == 0 && s->unreadable > 0;
	s->failing |= o->unread;
	return r;
}

static int read_outlines(struct scanner *s, char error[static JOURNAL_ERROR_BYTES])
{
	journal_position limit = UINT64_MAX;

	for (size_t i = s->j->segment_count; i-- > 0;) {
		struct outline *o = &s->outlines[i];
		const int r = read_outline(s, i);

		if (r < 0) {
			snprintf(error, JOURNAL_ERROR_BYTES, "segment %u: %s", s->j->segments[i].number, strerror(-r));
			return r;
		}
		/* Which of the two is the node's they do not say, and the wrong guess makes the right one void. */
		if (o->alien) {
			snprintf(error, JOURNAL_ERROR_BYTES,
				 "segments %u and %u are of different journals (%" PRId64 " and %" PRId64
				 "): take away the one that is not this node's",
				 s->j->segments[i].number, s->id_from, (int64_t)o->facts.id, (int64_t)s->past.id);
			return -EINVAL;
		}
		if (o->known && o->facts.version > JOURNAL_VERSION) {
			snprintf(error, JOURNAL_ERROR_BYTES,
				 "segment %u was written by a newer program (version %u, this one knows %u)",
				 s->j->segments[i].number, o->facts.version, JOURNAL_VERSION);
			return -EPROTONOSUPPORT;
		}
		o->limit = limit;
		if (o->known && o->facts.previous_end < limit)
			limit = o->facts.previous_end;
	}
	if (s->past.id == 0 && s->failing) { /* under another id it would be lost for good */
		snprintf(error, JOURNAL_ERROR_BYTES, "the disk can read no segment");
		return -EIO;
	}
	return 0;
}

/* ---- records ---- */

static int take(struct scanner *s, const struct journal_record *record)
{
	s->past.end = record->next;
	if (record->kind == RECORD_SEGMENT || record->kind == RECORD_SYNC)
		return 0;
	s->told = true;
	if (s->scan == NULL)
		return 0;
	return s->scan->record(s->scan->context, record);
}

/* The next good record at or behind `at`, before `end`. */
static bool find_record(const struct scanner *s, uint32_t number, size_t at, size_t end, size_t size,
			struct journal_record *ret_record)
{
	for (; at < end && at + JOURNAL_HEAD_BYTES <= size; at += 8)
		if (journal_claimed(s->buffer + at) != 0 &&
		    journal_get(s->buffer + at, size - at, s->past.id, journal_at(number, (uint32_t)at), ret_record))
			return true;
	return false;
}

/* The highest of all is in the last segment that says anything: its groups are looked at before any record is told. */
static int find_promise(struct scanner *s)
{
	size_t i = s->j->segment_count, at = 0;
	struct journal_record record;
	struct journal_facts facts;

	while (i > 0 && !s->outlines[i - 1].known)
		i--;
	if (i == 0)
		return 0;
	const struct segment *segment = &s->j->segments[i - 1];
	const int r = load(s, segment, s->buffer_bytes);
	while (r == 0 && find_record(s, segment->number, at, s->content, s->loaded, &record)) {
		at = journal_offset(record.next);
		if ((record.kind != RECORD_SEGMENT && record.kind != RECORD_SYNC) || record.size < JOURNAL_FACTS_BYTES)
			continue;
		journal_read_facts(&record, &facts);
		if (facts.promise > s->past.promise && facts.promise <= record.position)
			s->past.promise = facts.promise;
	}
	return r;
}

/* How much of the segment that is looked at the disk could not read, between two offsets. */
static uint32_t unread_between(const struct scanner *s, size_t from, size_t to)
{
	size_t bytes = 0;

	for (size_t page = from / PAGE; page * PAGE < to && page < pages_of(s->buffer_bytes); page++) {
		const size_t begin = page * PAGE > from ? page * PAGE : from;
		const size_t end = (page + 1) * PAGE < to ? (page + 1) * PAGE : to;

		bytes += s->failed[page] ? end - begin : 0;
	}
	return (uint32_t)bytes;
}

/* In the segment that is looked at. */
static int add_damage(struct scanner *s, uint32_t number, size_t from, size_t to)
{
	if (from >= to)
		return 0;
	return add_range(&s->damaged, journal_at(number, (uint32_t)from), journal_at(number, (uint32_t)to),
			 unread_between(s, from, to));
}

/* No record where one should be.  In the tail nothing behind that counts: the records of one shard are in order, and
 * what its queue still holds is put behind what was read here.  But where the disk could not read, there may be one. */
static bool ends_tail(const struct scanner *s, uint32_t number, size_t at)
{
	return journal_at(number, (uint32_t)at) >= s->past.promise && at >= s->unreadable;
}

static int read_records(struct scanner *s, struct segment *segment, journal_position limit)
{
	const bool limited = journal_segment(limit) == segment->number;
	size_t at = 0, end, size;
	struct journal_record record;
	int r = load(s, segment, s->buffer_bytes);

	segment->content = s->content;
	segment->unread_from = (uint32_t)s->unreadable_from;
	segment->unread_to = (uint32_t)s->unreadable;
	segment->unopened = s->unopened;
	end = limited ? journal_offset(limit) : s->content;
	size = limited && end < s->loaded ? end : s->loaded;
	while (r == 0 && find_record(s, segment->number, at, end, size, &record)) {
		const size_t found = journal_offset(record.position);

		s->ended = found != at && ends_tail(s, segment->number, at);
		if (s->ended)
			break;
		r = add_damage(s, segment->number, at, found);
		if (r == 0)
			r = take(s, &record);
		at = journal_offset(record.next);
	}
	/* What the disk may read another time is not to be void then. */
	const size_t known = limited && s->unreadable > journal_offset(limit) ? journal_offset(limit) : s->unreadable;
	segment->end = (uint32_t)(at > known ? at : known);
	if (segment->end > at)
		s->past.end = journal_at(segment->number, segment->end);
	return r < 0 ? r : add_damage(s, segment->number, at, end);
}

/* Behind the end of the tail. */
static int skip_segment(struct scanner *s, struct segment *segment)
{
	const int r = load(s, segment, s->buffer_bytes);

	segment->unused = true;
	return r < 0 ? r : add_damage(s, segment->number, 0, s->content);
}

/* Segments that were there before this one, and are not any more, although a later one than them is. */
static int note_missing(struct scanner *s, size_t index)
{
	const struct outline *o = &s->outlines[index];
	int r = 0;

	if (index == 0 || !o->known)
		return 0;
	const uint32_t last = journal_segment(o->facts.previous_end);
	for (uint32_t n = s->j->segments[index - 1].number + 1; r == 0 && n <= last && n < s->j->segments[index].number;
	     n++)
		r = add_range(&s->damaged, journal_at(n, 0), journal_at(n, s->j->segment_bytes), 0);
	return r;
}

static int read_segments(struct scanner *s)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->j->segment_count; i++) {
		struct segment *segment = &s->j->segments[i];
		const struct outline *o = &s->outlines[i];

		segment->end = 0;
		segment->unused = o->empty || o->limit <= journal_at(segment->number, 0);
		r = note_missing(s, i);
		if (r < 0 || segment->unused)
			continue;
		s->ended |= !o->known && !o->unread && ends_tail(s, segment->number, 0);
		s->told = false;
		r = s->ended ? skip_segment(s, segment) : read_records(s, segment, o->limit);
		s->outlines[i].told = s->told;
	}
	return r;
}

static bool is_damaged(const struct scanner *s, uint32_t number)
{
	for (size_t i = 0; i < s->damaged.count; i++)
		if (journal_segment(s->damaged.at[i].from) == number)
			return true;
	return false;
}

/* A start that fails before its first record leaves a segment with a head and no more: a node that is started again and
 * again would fill the disk with them.  The last ones are not needed when the next one says what the first of them said
 * of the end of the others. */
static void note_idle(struct scanner *s)
{
	for (size_t i = s->j->segment_count; i-- > 0;) {
		struct segment *segment = &s->j->segments[i];
		const struct outline *o = &s->outlines[i];

		if (segment->unused)
			continue;
		if (!o->known || o->told || is_damaged(s, segment->number))
			return;
		segment->idle = true;
		segment->end = 0;
		s->past.end = o->facts.previous_end;
	}
}

/* ---- damage ---- */

static void tell_damage(const struct scanner *s)
{
	for (size_t i = 0; s->scan != NULL && s->scan->damage != NULL && i < s->damaged.count; i++) {
		const struct range *at = &s->damaged.at[i];
		struct journal_damage damage = { .from = at->from, .to = at->to, .unread = at->unread };

		/* Where no segment says anything, the head of a first one may be torn; more is no tail. */
		damage.tail = at->from >= s->past.promise && (s->past.id != 0 || journal_offset(at->to) <= FACT_BYTES);
		s->scan->damage(s->scan->context, &damage);
	}
}

int journal_scan_past(struct journal *j, const struct journal_scan *scan, struct journal_past *ret_past,
		      char error[static JOURNAL_ERROR_BYTES])
{
	struct scanner s = { .j = j, .scan = scan, .buffer_bytes = FACT_BYTES };
	int r = 0;

	error[0] = '\0';
	for (size_t i = 0; i < j->segment_count; i++)
		if (j->segments[i].size > s.buffer_bytes)
			s.buffer_bytes = (size_t)j->segments[i].size;
	s.buffer = malloc(s.buffer_bytes);
	s.failed = calloc(pages_of(s.buffer_bytes), sizeof(*s.failed));
	s.outlines = calloc(j->segment_count + 1, sizeof(*s.outlines));
	if (s.buffer == NULL || s.failed == NULL || s.outlines == NULL) {
		r = -ENOMEM;
		snprintf(error, JOURNAL_ERROR_BYTES, "no memory for a segment");
	}
	if (r == 0)
		r = read_outlines(&s, error);
	if (r == 0 && (r = find_promise(&s)) == 0)
		r = read_segments(&s);
	if (r == 0)
		note_idle(&s);
	if (r < 0 && error[0] == '\0')
		snprintf(error, JOURNAL_ERROR_BYTES, "reading was ended: %s", strerror(-r));
	if (r == 0) {
		tell_damage(&s);
		*ret_past = s.past;
	}
	free(s.outlines);
	free(s.failed);
	free(s.buffer);
	free(s.damaged.at);
	return r;
}
