/* A store, and what was promised: see mortal.h. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/mortal.h"

#define BATCH      200
#define HOLD_MS    20
#define NEAR_NS    (60 * MORTAL_MS) /* so close to a death nobody can say on which side of it something happened */
#define NEGLECT_NS (3 * MORTAL_S)   /* the refresh is due when half of 12 s are over */
#define BREATH_NS                                                                                                      \
	(7 * MORTAL_S) /* refreshes of calls taken up are sent in the first 5 s: until then it is one outage */
#define COMMIT_PPM 500000

/* The call that a payload is about, by the Call-ID of its caller's leg in it: "c123@crash-".  -1: none is in it. */
static int64_t call_in(const struct world *w, const uint8_t *at, size_t size)
{
	static const char mark[] = "@crash-";
	const uint8_t *found = memmem(at, size, mark, sizeof mark - 1), *digit = found;
	int64_t serial = 0, scale = 1;
	if (!found)
		return -1;
	for (; digit > at && digit[-1] >= '0' && digit[-1] <= '9'; digit--, scale *= 10)
		serial += (digit[-1] - '0') * scale;
	return digit > at && digit[-1] == 'c' && serial < w->settings.calls ? serial : -1;
}

/* ---- what has reached the disk ---- */

static void watch_record(struct world *w, const struct journal_record *record)
{
	int64_t call =
		record->kind == RECORD_LIVE || record->kind == RECORD_CDR ? call_in(w, record->at, record->size) : -1;
	if (call < 0)
		return;
	if (w->settings.trace)
		printf("%12.6f  on the disk: %s of call %u, lane %u, boot %u, serial %llu\n", (double)w->now_ns / 1e9,
		       record->kind == RECORD_LIVE ? "LIVE" : "CDR", (unsigned)call, record->lane, record->boot,
		       (unsigned long long)record->serial);
	if (record->kind == RECORD_LIVE)
		w->known[call].live_synced = true;
	else
		w->known[call].cdr_synced = true;
}

void sink_watch(struct world *w)
{
	struct journal_record record;
	uint32_t unreadable_ppm = w->disk.unreadable_ppm;
	int result;
	w->disk.unreadable_ppm = 0; /* not in the way of who only looks */
	while ((result = journal_reader_next(w->node->watcher, &record)) == 1 || result == -EBADMSG)
		if (result == 1)
			watch_record(w, &record);
	w->disk.unreadable_ppm = unreadable_ppm;
}

/* ---- the store ---- */

void sink_open(struct world *w)
{
	struct node *n = w->node;
	struct mortal_sink *sink = &w->sink;
	if (sink->journal != journal_id(n->journal)) {
		if (sink->journal)
			world_fail(w, "journal-id", "the journal is another one");
		sink->journal = journal_id(n->journal);
		sink->position = JOURNAL_START;
	}
	sink->open_position = sink->position;
	sink->open_count = sink->count;
	int result = journal_reader_open(n->journal, sink->position, &n->reader);
	assert(!result);
	result = journal_reader_open(n->journal, JOURNAL_START, &n->watcher);
	assert(!result);
	sink_watch(w);
}

void sink_close(struct world *w, bool died)
{
	if (w->node->reader)
		journal_reader_close(w->node->reader);
	if (w->node->watcher)
		journal_reader_close(w->node->watcher);
	w->node->reader = w->node->watcher = NULL;
	if (died)
		w->sink.open_count = w->sink.count; /* rolled back */
}

static void add_row(struct world *w, const struct journal_record *record)
{
	static struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	struct mortal_sink *sink = &w->sink;
	struct cdr cdr;
	if (!cdr_decode(record->at, record->size, &cdr, attempts)) {
		world_fail(w, "cdr", "a CDR of the journal cannot be read");
		return;
	}
	int64_t call = call_in(w, (const uint8_t *)cdr.call_id_a.at, cdr.call_id_a.size);
	if (call < 0) {
		world_fail(w, "cdr", "a CDR of %.*s, which nobody called", (int)cdr.call_id_a.size, cdr.call_id_a.at);
		return;
	}
	for (unsigned i = 0; i < sink->open_count; i++)
		if (!memcmp(sink->rows[i].cdr_id, cdr.cdr_id, CDR_ID_SIZE)) {
			/* A start that could not read the first takes the call up, and ends it again: to a sink, which
			 * has that cdr_id, this is nothing new. */
			w->counts.cdrs_again++;
			if (w->disk.unread)
				return;
			world_fail(w, "cdr-twice", "%.32s of call %u is in the journal twice", cdr.cdr_id,
				   (unsigned)call);
			return;
		}
	assert(sink->open_count < MORTAL_CDRS_MAX);
	struct mortal_row *row = &sink->rows[sink->open_count++];
	memcpy(row->cdr_id, cdr.cdr_id, CDR_ID_SIZE);
	row->call = (uint32_t)call;
	row->hold_ms = cdr.hold_ms;
	row->connect_us = cdr.connect_us;
	row->end_reason = cdr.end_reason;
	row->recovered = cdr.recovered;
}

/* What was left out: no record was there, or the disk could read it neither at the start nor now. */
static void note_left_out(struct world *w, const struct journal_record *from_to)
{
	uint32_t unreadable_ppm = w->disk.unreadable_ppm;
	struct journal_reader *reader;
	struct journal_record record = { 0 };
	int result = journal_reader_open(w->node->journal, from_to->position, &reader);
	assert(!result);
	w->disk.unreadable_ppm = 0;
	while ((result = journal_reader_next(reader, &record)) != 0 && record.position < from_to->next) {
		assert(result == 1 || result == -EBADMSG);
		int64_t call = result == 1 && record.kind == RECORD_CDR ? call_in(w, record.at, record.size) : -1;
		if (call >= 0)
			w->known[call].cdr_unread = true;
	}
	w->disk.unreadable_ppm = unreadable_ppm;
	journal_reader_close(reader);
}

void sink_turn(struct world *w)
{
	struct node *n = w->node;
	struct mortal_sink *sink = &w->sink;
	struct journal_record record;
	int result = 0;
	if (!n || n->dying || !n->reader)
		return;
	for (unsigned i = 0;
	     i < BATCH && ((result = journal_reader_next(n->reader, &record)) == 1 || result == -EBADMSG); i++) {
		if (result == -EBADMSG)
			note_left_out(w, &record);
		/* A torn tail has holes. */
		if (result == -EBADMSG && !w->disk.failures && !w->disk.unread && !w->counts.machine_deaths)
			world_fail(w, "damage",
				   "%llx to %llx in the journal hold no record, and no disk or machine failed",
				   (unsigned long long)record.position, (unsigned long long)record.next);
		if (result == 1 && record.kind == RECORD_CDR)
			add_row(w, &record);
		sink->open_position = record.next;
	}
	if (w->quiet || world_chance(w, COMMIT_PPM)) {
		sink->position = sink->open_position;
		sink->count = sink->open_count;
	}
}

/* ---- promises ---- */

void sink_see_sent(struct world *w, struct bytes datagram)
{
	struct message m;
	if (!message_read(datagram.at, datagram.size, &m) || m.is_request || m.method != INVITE || m.cseq != 1)
		return;
	int64_t call = call_in(w, (const uint8_t *)m.call_id_value.at, m.call_id_value.size);
	assert(call >= 0);
	w->counts.calls_refused += m.status == 503;
	if (m.status < 200 || m.status >= 300)
		return;
	w->known[call].sent_200 = true;
	w->counts.held_answers += w->answer_after_sync;
	if (w->answer_after_sync && !w->known[call].live_synced && !w->known[call].cdr_synced)
		world_fail(w, "answer-after-sync", "call %u: its 200 goes out before its record is on the disk",
			   (unsigned)call);
}

void sink_machine_died(struct world *w)
{
	for (uint32_t i = 0; i < calls_count(w->calls).placed; i++) {
		const struct call_truth *truth = calls_truth(w->calls, i);
		struct mortal_call *call = &w->known[i];
		bool ended = truth->sides[CALLER].bye_count || truth->sides[CALLEE].bye_count;
		if (call->cdr_synced)
			continue;
		if (!call->live_synced) {
			w->counts.lost_with_machine += call->sent_200 && !call->may_be_lost;
			call->may_be_lost = call->may_be_lost || call->sent_200;
		}
		call->end_lost = call->end_lost || ended;
	}
}

/* ---- the end ---- */

static void collect(struct world *w)
{
	for (unsigned i = 0; i < w->sink.count; i++) {
		const struct mortal_row *row = &w->sink.rows[i];
		struct mortal_call *call = &w->known[row->call];
		call->cdrs++;
		call->hold_ms = row->hold_ms;
		call->connect_us = row->connect_us;
		call->end_reason = row->end_reason;
		call->recovered = row->recovered;
	}
	w->counts.cdrs = w->sink.count;
}

/* One of the BYEs that were sent is the one that was heard. */
static void check_hold(struct world *w, uint32_t i)
{
	const struct call_truth *truth = calls_truth(w->calls, i);
	int64_t best = INT64_MAX;
	for (enum side side = CALLER; side < SIDES; side++)
		for (unsigned k = 0; k < truth->sides[side].bye_count; k++) {
			int64_t low = (int64_t)(truth->sides[side].byes[k].before_ns - truth->ok.after_ns) / 1000000;
			int64_t high = (int64_t)(truth->sides[side].byes[k].after_ns - truth->ok.before_ns) / 1000000;
			int64_t hold = w->known[i].hold_ms;
			int64_t off = hold < low ? low - hold : hold > high ? hold - high : 0;
			best = off < best ? off : best;
		}
	if (best > HOLD_MS)
		world_fail(w, "hold", "call %u: hold_ms %lld is %lld off", i, (long long)w->known[i].hold_ms,
			   (long long)best);
}

/* The node was down so long that refreshes did not come in time; or it has forgotten that they came: a disk that took
 * seconds for each sync, and then the machine died. */
static bool was_neglected(const struct world *w, uint32_t i)
{
	const struct call_truth *truth = calls_truth(w->calls, i);
	uint64_t from_ns = 0, to_ns = 0;
	if (truth->seen_ns >
	    truth->ok.after_ns + NEGLECT_NS) /* its 200 waited for the disk, and no refresh came before */
		return true;
	for (unsigned k = 0; k < w->outage_count; k++) {
		if (!k || w->outages[k].from_ns > to_ns + BREATH_NS)
			from_ns = w->outages[k].kept_ns;
		to_ns = w->outages[k].to_ns;
		if (to_ns - from_ns > NEGLECT_NS && to_ns > truth->ok.before_ns)
			return true;
	}
	return w->neglected;
}

static void check_reason(struct world *w, uint32_t i)
{
	const struct call_truth *truth = calls_truth(w->calls, i);
	const struct mortal_call *call = &w->known[i];
	bool hung_up = truth->sides[CALLER].bye_count || truth->sides[CALLEE].bye_count;
	if (call->end_reason == CDR_END_normal)
		check_hold(w, i);
	else if (w->close_calls && call->end_reason == CDR_END_node_crash && call->recovered)
		;
	else if (call->end_reason == CDR_END_dialog_lost && (hung_up || w->disk.unread))
		; /* asked after while its BYE was on its way; or a start that could not read it said 481 to its peers
		   */
	else if (call->end_reason != CDR_END_session_timeout || !was_neglected(w, i))
		world_fail(w, "reason", "call %u: %s", i, cdr_end_reason_name(call->end_reason));
}

static void check_recovered(struct world *w, uint32_t i)
{
	const struct call_truth *truth = calls_truth(w->calls, i);
	const struct mortal_call *call = &w->known[i];
	uint64_t hold_ns = (uint64_t)call->hold_ms * MORTAL_MS;
	bool through = false, near = false;
	for (unsigned k = 0; k < w->outage_count; k++) {
		uint64_t death_ns = w->outages[k].from_ns;
		through |=
			death_ns > truth->ok.after_ns + NEAR_NS && death_ns + NEAR_NS < truth->ok.before_ns + hold_ns;
		near |= death_ns + NEAR_NS > truth->ok.before_ns && death_ns < truth->ok.after_ns + hold_ns + NEAR_NS;
	}
	if ((through && !call->recovered) || (call->recovered && !near && call->end_reason == CDR_END_normal))
		world_fail(w, "recovered", "call %u: recovered %u, %s after %lld ms", i, call->recovered,
			   cdr_end_reason_name(call->end_reason), (long long)call->hold_ms);
}

static void check_peers(struct world *w, uint32_t i)
{
	const struct call_truth *truth = calls_truth(w->calls, i);
	for (enum side side = CALLER; side < SIDES; side++) {
		const struct side_truth *s = &truth->sides[side];
		if (s->orphan || s->expired || s->no_ack || s->stale_cseq)
			world_fail(w, "peers", "call %u, side %c:%s%s%s%s", i, "ab"[side],
				   s -> orphan ? " no BYE came" : "", s->expired ? " no refresh came" : "",
				   s->no_ack ? " no ACK came" : "", s->stale_cseq ? " a CSeq was used again" : "");
		if (s->lost && !w->close_calls && !truth->sides[!side].bye_count)
			world_fail(w, "peers", "call %u, side %c: %u to its refresh, and nobody had hung up", i,
				   "ab"[side], s -> lost);
	}
}

static void check_call(struct world *w, uint32_t i)
{
	const struct call_truth *truth = calls_truth(w->calls, i);
	const struct mortal_call *call = &w->known[i];
	bool promised = call->live_synced || (call->sent_200 && !call->may_be_lost);
	w->counts.answered += truth->seen_ns != 0;
	if (call->cdrs > 1)
		world_fail(w, "one-cdr-a-call", "call %u has %u", i, call->cdrs);
	if (promised && !call->cdrs && !call->cdr_unread)
		world_fail(w, "one-cdr-a-call", "call %u has none; its record was%s on the disk, its 200 was%s sent", i,
			   call->live_synced ? "" : " not", call->sent_200 ? "" : " not");
	if (!promised || call->cdrs != 1)
		return;
	bool crossed = truth->cancelled && call->end_reason == CDR_END_cancelled;
	if (truth->seen_ns && !call->connect_us && !crossed && !call->may_be_lost)
		world_fail(w, "connected", "call %u: its caller has its 200, its CDR says %s, recovered %u", i,
			   cdr_end_reason_name(call->end_reason), call->recovered);
	if (!truth->seen_ns || !call->connect_us || call->may_be_lost || call->end_lost)
		return;
	check_reason(w, i);
	check_recovered(w, i);
	if (!was_neglected(w, i))
		check_peers(w, i);
}

void sink_check_end(struct world *w)
{
	if (!w->node || !w->node->reader) {
		world_fail(w, "end", "the node is down");
		return;
	}
	for (unsigned i = 0; i < 100; i++)
		sink_turn(w);
	collect(w);
	for (uint32_t i = 0; i < calls_count(w->calls).placed; i++)
		check_call(w, i);
}
