/* Batches from the journal to a sink: see feeding.h.
 *
 * The reader lends a record until the next one is asked for, and a sink needs all texts of a batch until its commit, so
 * the records are copied. */
#include "billing/feeding.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/feeder.h"

struct collected {
	uint32_t at, size; /* in the batch's bytes */
	struct fed_record told;
};

struct batch {
	unsigned count;
	uint32_t used;
	uint32_t unreadable;
	journal_position end; /* everything before it was looked at */
	bool full, kept;      /* there was no more room; it is to be given again */
	struct collected records[FEEDER_BATCH_MAX];
	uint8_t bytes[FEEDER_BATCH_BYTES];
};

struct feeding {
	struct journal *journal;
	const struct sink *sink;
	struct journal_reader *reader; /* NULL: the sink was never open */
	bool open;
	journal_position applied;
	uint64_t unreadable;
	char error[SINK_ERROR_BYTES];
	struct batch batch;
};

static_assert(FEEDER_BATCH_BYTES >= RECORD_BYTES_MAX, "one record always fits");

int feeding_create(struct journal *journal, const struct sink *sink, struct feeding **ret_feeding)
{
	struct feeding *f = calloc(1, sizeof(*f)); /* most of it is touched only when it is used */

	if (f == NULL)
		return -ENOMEM;
	f->journal = journal;
	f->sink = sink;
	*ret_feeding = f;
	return 0;
}

void feeding_free(struct feeding *f)
{
	if (f == NULL)
		return;
	feeding_close(f);
	if (f->reader != NULL)
		journal_reader_close(f->reader);
	free(f);
}

static void begin_batch(struct batch *b)
{
	b->count = 0;
	b->used = 0;
	b->unreadable = 0;
	b->full = b->kept = false;
}

/* ---- opening ---- */

int feeding_open(struct feeding *f)
{
	struct sink_position position = { 0 };
	int result = f->sink->open(f->sink->context, &position, f->error);

	assert(!f->open);
	if (result < 0)
		return result;
	/* A position in another journal says nothing of this one, nor does one that this journal has not reached: then
	 * segments were lost or brought back. */
	const bool known =
		position.journal == journal_id(f->journal) && position.position <= journal_synced(f->journal);
	const journal_position from = known ? position.position : JOURNAL_START;
	if (f->reader != NULL)
		journal_reader_seek(f->reader, from);
	else
		result = journal_reader_open(f->journal, from, &f->reader);
	if (result < 0) {
		snprintf(f->error, sizeof(f->error), "the journal cannot be read: %s", strerror(-result));
		f->sink->close(f->sink->context);
		return result;
	}
	f->open = true;
	f->applied = from;
	begin_batch(&f->batch);
	f->batch.end = from;
	return 0;
}

void feeding_close(struct feeding *f)
{
	if (!f->open)
		return;
	f->sink->close(f->sink->context);
	f->open = false;
}

bool feeding_is_open(const struct feeding *f)
{
	return f->open;
}

bool feeding_is_stale(struct feeding *f)
{
	return f->sink->stale != NULL && f->sink->stale(f->sink->context);
}

/* ---- a batch ---- */

/* false: no room. */
static bool take_record(struct batch *b, const struct journal_record *record)
{
	if (b->count == FEEDER_BATCH_MAX || record->size > sizeof(b->bytes) - b->used)
		return false;
	memcpy(b->bytes + b->used, record->at, record->size);
	b->records[b->count++] = (struct collected){ .at = b->used,
						     .size = (uint32_t)record->size,
						     .told = { .lane = record->lane, .position = record->position } };
	b->used += (uint32_t)record->size;
	return true;
}

/* Until there is no more on the disk or in the batch.  A failure counts only when nothing was collected before it. */
static int collect(struct feeding *f)
{
	struct batch *b = &f->batch;
	struct journal_record record;
	int result;

	while ((result = journal_reader_next(f->reader, &record)) == 1 || result == -EBADMSG) {
		if (result == -EBADMSG)
			b->unreadable++;
		else if (record.kind == RECORD_CDR && !take_record(b, &record)) {
			b->full = true;
			journal_reader_seek(f->reader, record.position);
			return 0;
		}
		b->end = record.next;
	}
	if (result == 0) {
		b->end = journal_reader_position(f->reader);
		return 0;
	}
	journal_reader_seek(f->reader, b->end);
	if (b->count > 0)
		return 0;
	snprintf(f->error, sizeof(f->error), "the journal cannot be read: %s", strerror(-result));
	return result;
}

static int add_record(struct feeding *f, const struct collected *record, uint32_t *unreadable)
{
	struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	struct cdr cdr;
	const bool good = cdr_decode(f->batch.bytes + record->at, record->size, &cdr, attempts);
	const int result = good ? f->sink->add(f->sink->context, &cdr) : -EINVAL;

	if (result != -EINVAL)
		return result;
	++*unreadable;
	return 0;
}

static int give(struct feeding *f, uint32_t *unreadable)
{
	const struct sink *sink = f->sink;
	const struct sink_position position = { .journal = journal_id(f->journal), .position = f->batch.end };
	int result = sink->begin(sink->context);

	if (result < 0)
		return result;
	for (unsigned i = 0; result == 0 && i < f->batch.count; i++)
		result = add_record(f, &f->batch.records[i], unreadable);
	if (result == 0)
		result = sink->commit(sink->context, &position);
	if (result < 0)
		sink->rollback(sink->context);
	return result;
}

int feeding_step(struct feeding *f, unsigned *ret_count)
{
	uint32_t unreadable = 0;
	int result = 0;

	assert(f->open);
	*ret_count = 0;
	if (!f->batch.kept) {
		begin_batch(&f->batch);
		result = collect(f);
		if (result < 0)
			return result;
	}
	if (f->batch.count > 0) {
		f->batch.kept = true;
		result = give(f, &unreadable);
		if (result < 0) {
			snprintf(f->error, sizeof(f->error), "%s", f->sink->error(f->sink->context));
			if (f->sink->reopen(f->sink->context, result))
				feeding_close(f);
			return result;
		}
	}
	/* What holds no CDR is in the sink without a commit. */
	f->batch.kept = false;
	f->applied = f->batch.end;
	f->unreadable += f->batch.unreadable + unreadable;
	*ret_count = f->batch.count;
	return 0;
}

bool feeding_was_full(const struct feeding *f)
{
	return f->batch.full;
}

struct fed_record feeding_record(const struct feeding *f, unsigned index)
{
	assert(index < f->batch.count);
	return f->batch.records[index].told;
}

journal_position feeding_applied(const struct feeding *f)
{
	return f->applied;
}

uint64_t feeding_unreadable(const struct feeding *f)
{
	return f->unreadable;
}

const char *feeding_error(const struct feeding *f)
{
	return f->error;
}

uint64_t feeding_left(struct feeding *f)
{
	struct journal_record record;
	uint64_t count = 0;
	int result = 0;

	if (f->reader != NULL)
		journal_reader_seek(f->reader, f->applied);
	else
		result = journal_reader_open(f->journal, f->applied, &f->reader);
	if (result < 0)
		return 0;
	while ((result = journal_reader_next(f->reader, &record)) == 1 || result == -EBADMSG)
		count += result == 1 && record.kind == RECORD_CDR;
	return count;
}
