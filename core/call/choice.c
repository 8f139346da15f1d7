#include "core/call/choice.h"

#include <string.h>

#include "core/call/rest.h"
#include "sip/pack.h"

static uint32_t candidates_of(const struct shard *s, const struct call *call,
			      const struct routing_gateway *const **ret_list)
{
	struct bytes numbers[CALL_NUMBERS];
	pack_read(text_get(&s->texts, setup_of(s, call)->numbers), numbers, CALL_NUMBERS);
	return config_route_find(s->config, numbers[CALL_CALLEE], ret_list);
}

static bool is_struck(const struct shard *s, const struct setup *setup, uint32_t routing_id)
{
	struct bytes struck = text_get(&s->texts, setup->struck);
	uint32_t id;
	for (uint32_t at = 0; at < struck.size; at += (uint32_t)sizeof id) {
		memcpy(&id, struck.at + at, sizeof id);
		if (id == routing_id)
			return true;
	}
	return false;
}

bool choice_exists(const struct shard *s, const struct call *call)
{
	const struct routing_gateway *const *list;
	return candidates_of(s, call, &list) > 0;
}

const struct routing_gateway *choice_next(const struct shard *s, const struct call *call)
{
	const struct routing_gateway *const *list;
	uint32_t count = candidates_of(s, call, &list);
	for (uint32_t i = 0; i < count; i++)
		if (!is_struck(s, setup_of(s, call), list[i]->id) && !rest_is_resting(s, list[i]->id))
			return list[i];
	return NULL;
}

bool choice_strike(struct shard *s, struct call *call, uint32_t routing_id)
{
	struct setup *setup = setup_of(s, call);
	struct bytes old = text_get(&s->texts, setup->struck);
	uint32_t text = text_take(&s->texts, old.size + (uint32_t)sizeof routing_id);
	if (text == TEXT_NONE)
		return false;
	if (old.size)
		memcpy(text_at(&s->texts, text), old.at, old.size);
	memcpy(text_at(&s->texts, text) + old.size, &routing_id, sizeof routing_id);
	text_give(&s->texts, setup->struck);
	setup->struck = text;
	return true;
}
