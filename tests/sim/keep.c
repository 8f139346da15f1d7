#include "tests/sim/keep.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "billing/recovery.h"
#include "core/call/carry.h"
#include "core/call/carry_image.h"
#include "core/call/state.h"
#include "sip/pack.h"
#include "tests/sim/peer.h"
#include "tests/sim/watch.h"

#define HEADS 4096

struct bytes_kept {
	uint8_t *at;
	size_t size;
};

struct kept {
	struct kept *next;
	char cdr_id[CDR_ID_SIZE];
	uint16_t bucket;
	unsigned shard;
	bool ended, in_checkpoint;
	bool left;      /* the process that there is now could not take it up: it waits for another one */
	uint8_t closed; /* legs, a bit each */
	uint64_t ended_ns;
	int64_t ended_us;
	struct bytes_kept live, changes[RECORD_CHANGE_PARTS];
};

struct keep {
	struct kept *heads[HEADS];
	bool checkpoint[SIM_SHARDS_MAX]; /* between its BEGIN and its END */
};

struct keep *keep_create(struct sim *sim)
{
	(void)sim;
	struct keep *keep = calloc(1, sizeof *keep);
	assert(keep);
	return keep;
}

static void forget_changes(struct kept *k)
{
	for (unsigned i = 0; i < RECORD_CHANGE_PARTS; i++) {
		free(k->changes[i].at);
		k->changes[i] = (struct bytes_kept){ 0 };
	}
}

static void forget(struct kept *k)
{
	forget_changes(k);
	free(k->live.at);
	free(k);
}

void keep_destroy(struct keep *keep)
{
	for (unsigned i = 0; i < HEADS; i++)
		for (struct kept *k = keep->heads[i], *next; k; k = next) {
			next = k->next;
			forget(k);
		}
	free(keep);
}

/* ---- records ---- */

static struct kept **head_of(const struct sim *sim, const char *cdr_id)
{
	uint32_t h = 2166136261u;
	for (unsigned i = 0; i < CDR_ID_SIZE; i++)
		h = (h ^ (unsigned char)cdr_id[i]) * 16777619u;
	return &sim->keep->heads[h % HEADS];
}

static struct kept *find(const struct sim *sim, const char *cdr_id)
{
	struct kept *k = *head_of(sim, cdr_id);
	while (k && memcmp(k->cdr_id, cdr_id, CDR_ID_SIZE) != 0)
		k = k->next;
	return k;
}

static struct kept *add(const struct sim *sim, const char *cdr_id)
{
	struct kept *k = calloc(1, sizeof *k), **head = head_of(sim, cdr_id);
	assert(k);
	memcpy(k->cdr_id, cdr_id, CDR_ID_SIZE);
	k->next = *head;
	*head = k;
	return k;
}

static void keep_bytes(struct bytes_kept *kept, const uint8_t *at, size_t size)
{
	free(kept->at);
	kept->at = malloc(size ? size : 1);
	assert(kept->at);
	memcpy(kept->at, at, size);
	kept->size = size;
}

static struct recovered_bytes recovered(const struct bytes_kept *kept)
{
	return (struct recovered_bytes){ .at = kept->at, .size = kept->size, .version = CARRY_VERSION };
}

static void recover(const struct kept *k, struct recovered_call *ret_call)
{
	*ret_call = (struct recovered_call){ .bucket = k->bucket,
					     .live = recovered(&k->live),
					     .ended = k->ended,
					     .byes = (uint8_t)(~k->closed & 3),
					     .ended_us = k->ended_us };
	memcpy(ret_call->cdr_id, k->cdr_id, CDR_ID_SIZE);
	for (unsigned i = 0; i < RECORD_CHANGE_PARTS; i++)
		ret_call->changes[i] = recovered(&k->changes[i]);
}

static void check_read(struct sim *sim, const struct kept *k)
{
	struct recovered_call call;
	struct call_image image;
	recover(k, &call);
	if (!carry_read(&call, &image))
		sim_fail(sim, NULL, "record-can-be-read", "%.*s", CDR_ID_SIZE, k->cdr_id);
}

static void checkpoint_begins(struct sim *sim, unsigned shard)
{
	sim->keep->checkpoint[shard] = true;
	for (unsigned i = 0; i < HEADS; i++)
		for (struct kept *k = sim->keep->heads[i]; k; k = k->next)
			k->in_checkpoint = k->in_checkpoint && k->shard != shard;
}

static void checkpoint_ends(struct sim *sim, unsigned shard)
{
	if (!sim->keep->checkpoint[shard])
		sim_fail(sim, NULL, "checkpoint", "it ends before it begins");
	sim->keep->checkpoint[shard] = false;
	sim->counts.checkpoints++;
	for (unsigned i = 0; i < HEADS; i++)
		for (struct kept *k = sim->keep->heads[i]; k; k = k->next)
			if (k->shard == shard && !k->ended && !k->in_checkpoint && !k->left)
				sim_fail(sim, NULL, "checkpoint", "%.*s is not in it", CDR_ID_SIZE, k->cdr_id);
}

static void keep_call(struct sim *sim, unsigned shard, enum record_kind kind, const uint8_t *payload, size_t size)
{
	struct record_call_head head;
	assert(size >= sizeof head);
	memcpy(&head, payload, sizeof head);
	struct kept *k = find(sim, head.cdr_id);
	payload += sizeof head;
	size -= sizeof head;
	if (kind == RECORD_LIVE && !k)
		k = add(sim, head.cdr_id);
	if (!k || (k->ended && kind != RECORD_CLOSED) || (!k->ended && kind == RECORD_CLOSED) ||
	    head.version != CARRY_VERSION) {
		sim_fail(sim, NULL, "record-order", "kind %d of %.*s", kind, CDR_ID_SIZE, head.cdr_id);
		return;
	}
	k->bucket = head.bucket;
	if (kind == RECORD_CLOSED) {
		k->closed |= (uint8_t)(1u << head.part);
		return;
	}
	if (kind == RECORD_LIVE) {
		sim->counts.whole_records++;
		k->shard = shard;
		k->in_checkpoint = true;
		forget_changes(k);
	}
	keep_bytes(kind == RECORD_LIVE ? &k->live : &k->changes[head.part], payload, size);
	check_read(sim, k);
}

void keep_record(struct sim *sim, unsigned shard, enum record_kind kind, const uint8_t *payload, size_t size)
{
	sim->counts.records++;
	if (kind == RECORD_CHECKPOINT_BEGIN)
		checkpoint_begins(sim, shard);
	else if (kind == RECORD_CHECKPOINT_END)
		checkpoint_ends(sim, shard);
	else
		keep_call(sim, shard, kind, payload, size);
}

void keep_cdr(struct sim *sim, const struct cdr *cdr)
{
	struct kept *k = find(sim, cdr->cdr_id);
	if (!k)
		return;
	if (k->ended)
		sim_fail(sim, NULL, "one-cdr-a-call", "another CDR of %.*s", CDR_ID_SIZE, cdr->cdr_id);
	k->ended = true;
	k->ended_ns = sim->now_ns;
	k->ended_us = cdr->end_us;
}

/* ---- killed, and restarted ---- */

static bool is_needed(const struct sim *sim, const struct kept *k)
{
	return !k->ended || (k->closed != 3 && sim->now_ns < k->ended_ns + SIM_64T1);
}

void keep_each(struct sim *sim, void (*visit)(struct sim *sim, const struct recovered_call *call, void *context),
	       void *context)
{
	struct recovered_call call;
	for (unsigned i = 0; i < HEADS; i++)
		for (const struct kept *k = sim->keep->heads[i]; k; k = k->next) {
			if (!is_needed(sim, k))
				continue;
			recover(k, &call);
			visit(sim, &call, context);
		}
}

/* The caller's Call-ID stands in the record of its leg. */
static struct sim_call *call_of(struct sim *sim, const struct kept *k)
{
	struct recovered_call call;
	struct call_image image;
	struct bytes text[DIALOG_TEXTS];
	recover(k, &call);
	if (!carry_read(&call, &image))
		return NULL;
	pack_read(image.legs[LEG_CALLER].dialog, text, DIALOG_TEXTS);
	return peer_call_of_id(sim, text[DIALOG_CALL_ID]);
}

void keep_killed(struct sim *sim)
{
	for (struct sim_call *call = sim->calls; call; call = call->next)
		call->carried = false;
	for (unsigned i = 0; i < HEADS; i++)
		for (struct kept *k = sim->keep->heads[i]; k; k = k->next) {
			struct sim_call *call = k->live.at ? call_of(sim, k) : NULL;
			if (!call)
				continue;
			call->promised = true;
			call->carried |= !k->ended;
		}
	memset(sim->keep->checkpoint, 0, sizeof sim->keep->checkpoint);
	watch_killed(sim);
}

unsigned keep_restore(struct sim *sim, bool close)
{
	unsigned refused = 0;
	for (unsigned i = 0; i < HEADS; i++)
		for (struct kept *k = sim->keep->heads[i]; k; k = k->next) {
			struct recovered_call call;
			if (!is_needed(sim, k))
				continue;
			recover(k, &call);
			k->shard = steer_worker(k->bucket, sim->shard_count);
			enum restore_result result = shard_restore(sim->shards[k->shard].shard, &call, close);
			refused += result != RESTORE_TAKEN;
			k->left = result == RESTORE_LEFT;
			sim->counts.carried += !k->ended;
		}
	return refused;
}
