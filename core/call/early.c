#include "core/call/early.h"

#include <assert.h>

#include "core/call/body.h"
#include "core/call/leg.h"
#include "sip/pack.h"

static struct early *others(const struct shard *s, const struct attempt *attempt)
{
	return (struct early *)(void *)text_at(&s->texts, attempt->earlies);
}

struct early *early_at(const struct shard *s, struct attempt *attempt, uint8_t index)
{
	assert(index == EARLY_NONE || index < attempt->early_count);
	if (index == EARLY_NONE)
		return NULL;
	return index ? &others(s, attempt)[index - 1] : &attempt->early;
}

uint8_t early_index(const struct shard *s, const struct attempt *attempt, const struct early *early)
{
	if (!early)
		return EARLY_NONE;
	return early == &attempt->early ? 0 : (uint8_t)(1 + (early - others(s, attempt)));
}

/* What the leg has of the one in use goes back to it. */
static void put_back(const struct shard *s, struct attempt *attempt, struct leg *leg)
{
	struct early *early = early_at(s, attempt, attempt->early_used);
	if (!early)
		return;
	early->texts = leg->texts;
	early->body_in = leg->body_in;
	early->body_out = leg->body_out;
	early->remote_cseq = leg->remote_cseq;
	early->has_remote_cseq = leg->has_remote_cseq;
}

void early_use(struct shard *s, struct attempt *attempt, struct leg *leg, uint8_t index)
{
	struct early *early = early_at(s, attempt, index);
	if (attempt->early_used == index)
		return;
	put_back(s, attempt, leg);
	leg->texts = early->texts;
	leg->body_in = early->body_in;
	leg->body_out = early->body_out;
	leg->remote_cseq = early->remote_cseq;
	leg->has_remote_cseq = early->has_remote_cseq;
	leg->remote_tag_hash = early->tag_hash;
	early->texts = TEXT_NONE;
	early->body_in = early->body_out = POOL_NONE;
	attempt->early_used = index;
}

static uint8_t find(const struct shard *s, struct attempt *attempt, uint32_t tag_hash)
{
	for (uint8_t i = 0; i < attempt->early_count; i++)
		if (early_at(s, attempt, i)->tag_hash == tag_hash)
			return i;
	return EARLY_NONE;
}

static void drop(struct shard *s, struct early *early)
{
	text_give(&s->texts, early->texts);
	body_drop(s, early->body_in);
	body_drop(s, early->body_out);
	*early = (struct early){ .body_in = POOL_NONE, .body_out = POOL_NONE };
}

/* Room for one more, if need be that of one which neither the leg nor the caller knows.  EARLY_NONE: there is none. */
static uint8_t choose_place(struct shard *s, const struct setup *setup, struct attempt *attempt)
{
	uint8_t index = 0;
	if (attempt->early_count == 1 && attempt->earlies == TEXT_NONE)
		attempt->earlies = text_take(&s->texts, (EARLY_MAX - 1) * (uint32_t)sizeof(struct early));
	if (attempt->early_count == 1 && attempt->earlies == TEXT_NONE)
		return EARLY_NONE;
	if (attempt->early_count < EARLY_MAX)
		return attempt->early_count++;
	while (index == attempt->early_used || index == attempt->early_heard || index == setup->next_early ||
	       index == setup->rseq_early)
		index++;
	assert(index < EARLY_MAX);
	drop(s, early_at(s, attempt, index));
	return index;
}

/* A dialog as the INVITE began it: To and request-URI as sent, no route.  That which the leg has is put back. */
static bool begin_dialog(struct shard *s, struct attempt *attempt, struct leg *leg)
{
	const struct setup *setup = setup_of(s, call_at(s, attempt->call));
	uint32_t texts = leg->texts;
	struct dialog dialog;
	put_back(s, attempt, leg);
	leg_dialog(s, leg, &dialog);
	pack_read(text_get(&s->texts, transaction_at(s, attempt->invite)->head), &dialog.text[DIALOG_REMOTE], 2);
	dialog.text[DIALOG_ROUTES] = BYTES_NONE;
	leg->texts = TEXT_NONE;
	if (!leg_set_dialog(s, leg, &dialog)) {
		leg->texts = texts;
		return false;
	}
	leg->body_in = POOL_NONE;
	leg->body_out = body_share(s, setup->offer);
	leg->has_remote_cseq = false;
	return true;
}

/* The leg becomes a new early dialog; that of the first provisional response is the leg as it stands. */
static bool begin(struct shard *s, struct attempt *attempt, struct leg *leg, uint32_t tag_hash)
{
	uint8_t index = choose_place(s, setup_of(s, call_at(s, attempt->call)), attempt);
	if (index == EARLY_NONE)
		return false;
	struct early *early = early_at(s, attempt, index);
	*early = (struct early){ .body_in = POOL_NONE, .body_out = POOL_NONE }; /* nobody's, until it is begun */
	if (attempt->early_used != EARLY_NONE && !begin_dialog(s, attempt, leg))
		return false;
	early->tag_hash = tag_hash;
	attempt->early_used = index;
	return true;
}

struct early *early_take(struct shard *s, struct attempt *attempt, struct leg *leg, const struct sip_message *m)
{
	uint32_t tag_hash = table_hash32(&s->table, m->to.tag);
	uint8_t index = find(s, attempt, tag_hash);
	if (index != EARLY_NONE)
		early_use(s, attempt, leg, index);
	else if (!begin(s, attempt, leg, tag_hash))
		return NULL;
	return leg_learn(s, leg, m) ? early_at(s, attempt, attempt->early_used) : NULL;
}

bool early_find(struct shard *s, struct leg *leg, struct bytes tag)
{
	struct call *call = call_at(s, leg->call);
	struct attempt *attempt = call ? attempt_under_way(s, call) : NULL;
	if (!attempt || leg_at(s, attempt->leg) != leg)
		return false;
	uint8_t index = find(s, attempt, table_hash32(&s->table, tag));
	if (index == EARLY_NONE)
		return false;
	early_use(s, attempt, leg, index);
	return true;
}

bool early_was_told(const struct shard *s, struct attempt *attempt)
{
	for (uint8_t i = 0; i < attempt->early_count; i++)
		if (early_at(s, attempt, i)->told)
			return true;
	return false;
}

void early_forget(struct shard *s, struct attempt *attempt)
{
	for (uint8_t i = 0; i < attempt->early_count; i++)
		if (i != attempt->early_used)
			drop(s, early_at(s, attempt, i));
	text_give(&s->texts, attempt->earlies);
	attempt->earlies = TEXT_NONE;
	attempt->early_count = 0;
	attempt->early_used = attempt->early_heard = EARLY_NONE;
}

bool early_is_settled(const struct shard *s, const struct leg *leg)
{
	const struct call *call = call_at(s, leg->call);
	struct attempt *attempt = call ? attempt_under_way(s, call) : NULL;
	const struct early *heard = attempt ? early_at(s, attempt, attempt->early_heard) : NULL;
	return heard && heard->settled && (leg->side == LEG_CALLER || attempt->early_used == attempt->early_heard);
}
