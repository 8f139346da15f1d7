#include "core/call/body.h"

#include <assert.h>

#include "core/siphash.h"

static struct body *body_at(const struct shard *s, uint32_t index)
{
	return pool_at(&s->bodies, index);
}

static struct bytes payload(const struct shard *s, const struct body *body)
{
	struct bytes text = text_get(&s->texts, body->text);
	return (struct bytes){ text.at + body->head_size, text.size - body->head_size };
}

uint32_t body_keep(struct shard *s, const struct sip_message *m)
{
	if (!m->body.size)
		return POOL_NONE;
	struct builder b;
	build_begin(&b, s->work, DATAGRAM_MAX);
	build_content_headers(&b, m);
	uint32_t head_size = (uint32_t)build_size(&b);
	build_bytes(&b, m->body);
	if (b.overflow)
		return POOL_NONE;
	struct bytes whole = { s->work, (uint32_t)build_size(&b) };
	uint64_t hash = siphash13(s->key.k0, ~s->key.k1, whole.at, whole.size);
	uint32_t *head = &s->body_heads[(uint32_t)hash & s->body_head_mask];
	for (uint32_t link = *head; link; link = body_at(s, link - 1)->chain) {
		struct body *body = body_at(s, link - 1);
		if (body->hash == hash && body->head_size == head_size &&
		    bytes_equal(text_get(&s->texts, body->text), whole)) {
			body->references++;
			return link - 1;
		}
	}
	uint32_t index = pool_take(&s->bodies);
	if (index == POOL_NONE)
		return POOL_NONE;
	struct body *body = body_at(s, index);
	body->text = text_put(&s->texts, whole);
	if (body->text == TEXT_NONE) {
		pool_give(&s->bodies, index);
		return POOL_NONE;
	}
	body->references = 1;
	body->hash = hash;
	body->head_size = head_size;
	body->chain = *head;
	*head = index + 1;
	return index;
}

uint32_t body_share(struct shard *s, uint32_t body)
{
	if (body != POOL_NONE)
		body_at(s, body)->references++;
	return body;
}

void body_drop(struct shard *s, uint32_t index)
{
	if (index == POOL_NONE)
		return;
	struct body *body = body_at(s, index);
	assert(body->references > 0);
	if (--body->references)
		return;
	uint32_t *link = &s->body_heads[(uint32_t)body->hash & s->body_head_mask];
	while (*link != index + 1) {
		assert(*link);
		link = &body_at(s, *link - 1)->chain;
	}
	*link = body->chain;
	text_give(&s->texts, body->text);
	pool_give(&s->bodies, index);
}

void body_replace(struct shard *s, uint32_t *kept, uint32_t body)
{
	uint32_t old = *kept;
	*kept = body;
	body_drop(s, old);
}

void body_build(const struct shard *s, struct builder *b, uint32_t index)
{
	if (index == POOL_NONE) {
		build_body(b, BYTES_NONE);
		return;
	}
	const struct body *body = body_at(s, index);
	build_bytes(b, (struct bytes){ text_at(&s->texts, body->text), body->head_size });
	build_body(b, payload(s, body));
}

void body_build_from(struct builder *b, const struct sip_message *m)
{
	build_content_headers(b, m);
	build_body(b, m->body);
}

bool body_equals(const struct shard *s, uint32_t index, const struct sip_message *m)
{
	return index != POOL_NONE && bytes_equal(payload(s, body_at(s, index)), m->body);
}
