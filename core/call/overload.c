#include "core/call/overload.h"

#include <string.h>

#include "core/call/ending.h"
#include "core/call/reply.h"

#define LOG_EVERY_NS      UINT64_C(10000000000)
#define OVERLOAD_TAG_SIZE (STEER_MARKER_SIZE + 1 + 16)

/* The node's marker, by which core/net/surplus.bpf.c knows the ACK to it, and a keyed hash of the request. */
static struct bytes build_tag(const struct shard *s, char tag[static OVERLOAD_TAG_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	uint64_t hash = message_key(s);
	memcpy(tag, s->key.steer.marker, STEER_MARKER_SIZE);
	tag[STEER_MARKER_SIZE] = '-';
	for (unsigned i = STEER_MARKER_SIZE + 1; i < OVERLOAD_TAG_SIZE; i++, hash >>= 4)
		tag[i] = hex[hash & 15];
	return (struct bytes){ tag, OVERLOAD_TAG_SIZE };
}

void overload_refuse(struct shard *s, const struct sip_message *m, const struct flow *from)
{
	stat_add(&s->stats->invites_rejected_overload, 1);
	ending_record_refused(s, m, from, CDR_END_overload, 503);
	char tag[OVERLOAD_TAG_SIZE];
	reply_with_tag(s, m, from, 503, BYTES_NONE, build_tag(s, tag), BYTES("Retry-After: 1\r\n"));
}

static void drop(struct shard *s)
{
	stat_add(&s->stats->invites_dropped_overload, 1);
}

bool overload_sheds(struct shard *s, const struct sip_message *m, const struct flow *from)
{
	if (shed_takes_all(&s->shed, s->came_ns))
		return false;
	if (!config_source_known(s->config, &from->peer)) {
		drop(s);
		return true;
	}
	switch (shed_invite(&s->shed, s->came_ns, message_key(s), from->transport != TRANSPORT_UDP)) {
	case SHED_TAKE:
		return false;
	case SHED_ANSWER:
		overload_refuse(s, m, from);
		return true;
	case SHED_DROP:
		drop(s);
		return true;
	}
	return false;
}

/* An overload that comes and goes is told once in a while, its end only if its beginning was. */
static void tell(struct shard *s, enum shed_news news)
{
	struct shed *d = &s->shed;
	if (news == SHED_HAS_BEGUN && (!s->shed_told_ns || d->now_ns >= s->shed_told_ns + LOG_EVERY_NS)) {
		s->shed_told_ns = d->now_ns;
		s->shed_told = true;
		shard_log(s, 4, "event=overload_begins shard=%u waited_ms=%llu", s->shard,
			  (unsigned long long)d->longest_ns / 1000000);
	} else if (news == SHED_HAS_ENDED && s->shed_told) {
		s->shed_told = false;
		shard_log(s, 5, "event=overload_ends shard=%u after_ms=%llu invites_shed=%llu", s->shard,
			  (unsigned long long)(d->now_ns - d->begun_ns) / 1000000, (unsigned long long)d->shed);
	}
}

void shard_turn(struct shard *s, uint64_t now_ns, unsigned queue_permille, bool slept)
{
	enum shed_news news = shed_turn(&s->shed, now_ns, queue_permille, slept);
	if (news == SHED_NOTHING)
		return;
	stat_set(&s->stats->overloaded, s->shed.on);
	tell(s, news);
}

void shard_demand(const struct shard *s, uint64_t *ret_asked, uint64_t *ret_taken)
{
	*ret_asked = s->shed.asked;
	*ret_taken = s->shed.taken;
}
