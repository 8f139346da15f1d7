#include "core/call/body.h"

#include <assert.h>

#include "core/siphash.h"

/* The header lines of a plain session description are not stored. */
#define SDP_HEAD "Content-Type: application/sdp\r\n"

static struct body *body_at(const struct shard *s, uint32_t handle)
{
	return (struct body *)(void *)text_at(&s->texts, handle);
}

static struct bytes head_of(const struct body *body)
{
	return (struct bytes){ (const char *)(body + 1), body->head_size };
}

static struct bytes payload_of(const struct shard *s, uint32_t handle)
{
	const struct body *body = body_at(s, handle);
	uint32_t before = (uint32_t)sizeof *body + body->head_size;
	return (struct bytes){ (const char *)body + before, text_size(&s->texts, handle) - before };
}

static uint32_t *chain_of(const struct shard *s, uint32_t hash)
{
	return &s->body_heads[hash & s->body_head_mask];
}

/* The lines of a message that describe its body, written into s->work.  false: no room. */
static bool write_head(struct shard *s, const struct sip_message *m, struct bytes *ret_head)
{
	struct builder b;
	build_begin(&b, s->work, DATAGRAM_MAX);
	build_content_headers(&b, m);
	*ret_head = (struct bytes){ s->work, (uint32_t)build_size(&b) };
	return !b.overflow && ret_head->size <= UINT16_MAX;
}

uint32_t body_put(struct shard *s, const struct body_parts *parts)
{
	struct bytes head = parts->head, content = parts->content;
	uint32_t hash = (uint32_t)siphash13(s->key.k0, ~s->key.k1, content.at, content.size),
		 *chain = chain_of(s, hash);
	for (uint32_t handle = *chain; handle; handle = body_at(s, handle)->chain) {
		struct body *body = body_at(s, handle);
		if (body->hash == hash && body->plain == parts->plain && bytes_equal(head_of(body), head) &&
		    bytes_equal(payload_of(s, handle), content)) {
			body->references++;
			return handle;
		}
	}
	if (s->bodies_used == s->bodies_max)
		return POOL_NONE;
	uint32_t handle = text_take(&s->texts, (uint32_t)sizeof(struct body) + head.size + content.size);
	if (handle == TEXT_NONE)
		return POOL_NONE;
	struct body *body = body_at(s, handle);
	*body = (struct body){
		.references = 1, .hash = hash, .head_size = (uint16_t)head.size, .plain = parts->plain, .chain = *chain
	};
	char *after = (char *)(body + 1);
	if (head.size)
		memcpy(after, head.at, head.size);
	memcpy(after + head.size, content.at, content.size);
	*chain = handle;
	s->bodies_used++;
	return handle;
}

uint32_t body_keep(struct shard *s, const struct sip_message *m)
{
	struct body_parts parts = { .content = m->body };
	if (!m->body.size || !write_head(s, m, &parts.head))
		return POOL_NONE;
	parts.plain = bytes_equal(parts.head, BYTES(SDP_HEAD));
	if (parts.plain)
		parts.head = BYTES_NONE;
	return body_put(s, &parts);
}

struct body_parts body_parts(const struct shard *s, uint32_t handle)
{
	const struct body *body = body_at(s, handle);
	return (struct body_parts){ .plain = body->plain, .head = head_of(body), .content = payload_of(s, handle) };
}

uint32_t body_share(struct shard *s, uint32_t body)
{
	if (body != POOL_NONE)
		body_at(s, body)->references++;
	return body;
}

void body_drop(struct shard *s, uint32_t handle)
{
	if (handle == POOL_NONE)
		return;
	struct body *body = body_at(s, handle);
	assert(body->references > 0);
	if (--body->references)
		return;
	uint32_t *link = chain_of(s, body->hash);
	while (*link != handle) {
		assert(*link);
		link = &body_at(s, *link)->chain;
	}
	*link = body->chain;
	text_give(&s->texts, handle);
	s->bodies_used--;
}

void body_replace(struct shard *s, uint32_t *kept, uint32_t body)
{
	uint32_t old = *kept;
	*kept = body;
	body_drop(s, old);
}

void body_build(const struct shard *s, struct builder *b, uint32_t handle)
{
	if (handle == POOL_NONE) {
		build_body(b, BYTES_NONE);
		return;
	}
	const struct body *body = body_at(s, handle);
	build_bytes(b, body->plain ? BYTES(SDP_HEAD) : head_of(body));
	build_body(b, payload_of(s, handle));
}

void body_build_from(struct builder *b, const struct sip_message *m)
{
	build_content_headers(b, m);
	build_body(b, m->body);
}

bool body_equals(const struct shard *s, uint32_t handle, const struct sip_message *m)
{
	return handle != POOL_NONE && bytes_equal(payload_of(s, handle), m->body);
}
