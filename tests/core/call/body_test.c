/* Session bodies: identical ones are one, with the header lines that describe them.  RFC 3261 7.4.1, 20.15. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "core/call/body.h"
#include "core/pool.h"

#define SDP "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n"

static struct shard s;

static void begin(void)
{
	memset(&s, 0, sizeof s);
	cr_assert_eq(text_store_create(&s.texts, 1u << 20), 0);
	s.body_heads = calloc(2, sizeof *s.body_heads); /* all in two chains */
	s.body_head_mask = 1;
	s.bodies_max = 4;
	s.work = malloc(DATAGRAM_MAX);
}

static void end(void)
{
	cr_assert_eq(s.bodies_used, 0);
	cr_assert_eq(s.texts.used_count, 0);
	cr_assert(s.body_heads[0] == TEXT_NONE && s.body_heads[1] == TEXT_NONE);
	text_store_destroy(&s.texts);
	free(s.body_heads);
	free(s.work);
}

static uint32_t keep(const char *type, const char *content)
{
	struct sip_message m = { .content_type = bytes_of(type), .body = bytes_of(content) };
	return body_keep(&s, &m);
}

static void assert_built(uint32_t body, const char *expected)
{
	char room[512];
	struct builder b;
	build_begin(&b, room, sizeof room);
	body_build(&s, &b, body);
	cr_assert(bytes_equal((struct bytes){ room, (uint32_t)build_size(&b) }, bytes_of(expected)), "%.*s",
		  (int)build_size(&b), room);
}

Test(body, identical_ones_are_one)
{
	begin();
	uint32_t one = keep("application/sdp", SDP), same = keep("application/sdp", SDP);
	uint32_t other = keep("application/sdp", SDP "s=-\r\n");
	cr_assert_neq(one, POOL_NONE);
	cr_assert_eq(one, same);
	cr_assert_neq(one, other);
	cr_assert_eq(s.bodies_used, 2);
	body_drop(&s, one);
	cr_assert_eq(keep("application/sdp", SDP), same);
	body_drop(&s, same);
	body_drop(&s, same);
	cr_assert_eq(s.bodies_used, 1);
	body_drop(&s, other);
	end();
}

/* The usual line is not stored, any other is: the same content of another type is another body. */
Test(body, is_sent_with_the_type_it_came_with)
{
	begin();
	uint32_t plain = keep("application/sdp", "x"), other = keep("text/plain", "x"), none = keep("", "x");
	cr_assert(plain != other && other != none && plain != none);
	assert_built(plain, "Content-Type: application/sdp\r\nContent-Length: 1\r\n\r\nx");
	assert_built(other, "Content-Type: text/plain\r\nContent-Length: 1\r\n\r\nx");
	assert_built(none, "Content-Length: 1\r\n\r\nx");
	assert_built(POOL_NONE, "Content-Length: 0\r\n\r\n");
	body_drop(&s, other);
	assert_built(plain, "Content-Type: application/sdp\r\nContent-Length: 1\r\n\r\nx");
	body_drop(&s, plain);
	body_drop(&s, none);
	end();
}

Test(body, there_is_a_limit)
{
	char content[2] = "a";
	uint32_t kept[4];
	begin();
	for (unsigned i = 0; i < 4; i++, content[0]++)
		kept[i] = keep("application/sdp", content);
	cr_assert_eq(keep("application/sdp", content), POOL_NONE);
	cr_assert_eq(keep("application/sdp", "a"), kept[0], "one that is there is shared all the same");
	body_drop(&s, kept[0]);
	for (unsigned i = 0; i < 4; i++)
		body_drop(&s, kept[i]);
	end();
}
