#include "core/call/stranger.h"

#include <string.h>

#include "core/siphash.h"

#define RECORDS_A_SECOND 100u
#define RECORDS_BURST_S  10u
#define TELL_EVERY_S     10u
#define TOKENS_LOOKED_AT                                                                                               \
	16u /* a message of ours holds one in its first lines; one made of markers must not cost more */

static_assert((STRANGER_CELLS & (STRANGER_CELLS - 1)) == 0, "a mask chooses a cell");
static_assert(STRANGER_KNOWN == 1u << (32 - 26), "the upper bits of a hash choose one");

/* ---- rates ---- */

static struct stranger_rate share_of(uint32_t rate, uint32_t burst_s, uint32_t shards)
{
	return (struct stranger_rate){ .gap_ns = rate ? seconds_ns(shards) / rate : 0,
				       .burst_ns = seconds_ns(burst_s) };
}

static bool is_over(const struct stranger_rate *rate, uint64_t empty_ns, uint64_t now_ns)
{
	return rate->gap_ns && empty_ns > now_ns && empty_ns - now_ns > rate->burst_ns;
}

/* One that is over does not get fuller: its neighbour has room for this request. */
static void fill(const struct stranger_rate *rate, uint64_t *empty_ns, uint64_t now_ns)
{
	if (!is_over(rate, *empty_ns, now_ns))
		*empty_ns = (*empty_ns > now_ns ? *empty_ns : now_ns) + rate->gap_ns;
}

void strangers_init(struct strangers *t, uint64_t k0, uint64_t k1)
{
	*t = (struct strangers){ .k0 = k0, .k1 = k1 };
	strangers_configure(t, 0, 0, 1);
}

void strangers_configure(struct strangers *t, uint32_t rate, uint32_t rate_all, uint32_t shards)
{
	t->one = share_of(rate, 1, shards);
	t->all = share_of(rate_all, 1, shards);
	t->records = share_of(RECORDS_A_SECOND, RECORDS_BURST_S, shards);
	memset(t->known, 0, sizeof t->known);
}

/* Whoever has an IPv6 address has a /64 of them. */
static uint64_t hash_of(const struct strangers *t, const struct address *source)
{
	uint8_t text[9] = { source->family };
	memcpy(text + 1, source->ip, source->family == 4 ? 4 : 8);
	return siphash13(t->k0, t->k1, text, sizeof text);
}

enum stranger_verdict strangers_take(struct strangers *t, const struct address *source, uint64_t now_ns)
{
	uint64_t hash = hash_of(t, source);
	uint64_t *a = &t->empty_ns[hash & (STRANGER_CELLS - 1)], *b = &t->empty_ns[hash >> 32 & (STRANGER_CELLS - 1)];
	if (is_over(&t->one, *a, now_ns) && is_over(&t->one, *b, now_ns))
		return STRANGER_OVER;
	if (is_over(&t->all, t->all_empty_ns, now_ns))
		return STRANGER_OVER_ALL;
	fill(&t->one, a, now_ns);
	if (a != b)
		fill(&t->one, b, now_ns);
	fill(&t->all, &t->all_empty_ns, now_ns);
	return STRANGER_TAKEN;
}

bool strangers_record(struct strangers *t, uint64_t now_ns)
{
	if (is_over(&t->records, t->records_empty_ns, now_ns))
		return false;
	fill(&t->records, &t->records_empty_ns, now_ns);
	return true;
}

/* ---- tokens ---- */

bool stranger_holds_token(const struct ident_key *key, struct bytes datagram)
{
	const char *at = datagram.at;
	const char *end = at + (datagram.size < STRANGER_SEARCHED ? datagram.size : STRANGER_SEARCHED);
	struct ident id;
	for (unsigned i = 0; i < TOKENS_LOOKED_AT; i++, at++) {
		at = memmem(at, (size_t)(end - at), key->steer.marker, STEER_MARKER_SIZE);
		if (!at || (size_t)(end - at) < IDENT_SIZE)
			return false;
		if (ident_read(key, (struct bytes){ at, IDENT_SIZE }, &id))
			return true;
	}
	return false;
}

/* ---- the message under way ---- */

static void tell(struct shard *s, const struct address *source)
{
	struct strangers *t = s->strangers;
	char text[ADDRESS_TEXT_MAX];
	t->dropped++;
	if (s->now.now_ns < t->tell_ns)
		return;
	address_write(source, text);
	shard_log(s, 4, "event=strangers_dropped latest=%s datagrams=%llu", text, (unsigned long long)t->dropped);
	t->dropped = 0;
	t->tell_ns = s->now.now_ns + seconds_ns(TELL_EVERY_S);
}

/* What the message under way gets is paid for from now on. */
static bool pay(struct shard *s, const struct address *source)
{
	enum stranger_verdict verdict = strangers_take(s->strangers, source, s->now.now_ns);
	if (verdict == STRANGER_TAKEN) {
		s->memo->paid = true;
		return true;
	}
	stat_add(verdict == STRANGER_OVER ? &s->stats->strangers_dropped : &s->stats->strangers_dropped_all, 1);
	tell(s, source);
	return false;
}

static bool is_known(const struct shard *s, const struct address *source)
{
	uint32_t words[4];
	memcpy(words, source->ip, sizeof words);
	uint32_t hash = (words[0] ^ words[1] ^ words[2] ^ words[3] ^ source->port) * 0x9e3779b1u;
	struct address *latest = &s->strangers->known[hash >> 26];
	if (address_equal(latest, source))
		return true;
	if (!config_source_known(s->config, source))
		return false;
	*latest = *source;
	return true;
}

bool stranger_let_in(struct shard *s, const struct flow *from, struct bytes datagram, bool handed_over)
{
	struct memo *memo = s->memo;
	memo->stranger = !is_known(s, &from->peer);
	memo->paid = false;
	memo->came_bytes = datagram.size;
	if (!memo->stranger || stranger_holds_token(&s->key, datagram))
		return true;
	if (handed_over) {
		memo->paid = true;
		return true;
	}
	return pay(s, &from->peer);
}

bool stranger_is_answered(struct shard *s, const struct flow *from)
{
	const struct memo *memo = s->memo;
	if (!memo->stranger)
		return true;
	return s->config->parameters.SS_REPLY_UNAUTHORIZED && (memo->paid || pay(s, &from->peer));
}

bool stranger_may_hear(struct shard *s, size_t answer_bytes)
{
	const struct memo *memo = s->memo;
	if (!memo->stranger || answer_bytes <= memo->came_bytes + STRANGER_EXTRA_BYTES)
		return true;
	stat_add(&s->stats->strangers_unanswered, 1);
	return false;
}

void stranger_count(struct shard *s, enum sip_method method)
{
	struct shard_stats *stats = s->stats;
	stat_add(method == SIP_INVITE     ? &stats->invites_unauthorized
		 : method == SIP_REGISTER ? &stats->registers_unauthorized
		 : method == SIP_OPTIONS  ? &stats->options_unauthorized
					  : &stats->others_unauthorized,
		 1);
}
