#include "lone.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/call/state.h"

#define START_NS  (1000 * LONE_S)
#define CALLS_MAX 4096

/* ---- the edge ---- */

static char *lend(void *context, size_t size)
{
	struct lone *l = context;
	assert(!l->lent);
	l->lent = malloc(size);
	assert(l->lent);
	return l->lent;
}

static void send(void *context, const struct flow *to, char *at, size_t size)
{
	struct lone *l = context;
	struct lone_sent *sent = &l->sent[l->sent_count++ % LONE_SENT_MAX];
	assert(at == l->lent && size > 0);
	assert(to->peer.port && to->peer.family == (to->listener ? 6 : 4));
	l->lent = NULL;
	free(sent->text);
	sent->to = *to;
	sent->size = (uint32_t)size;
	sent->text = realloc(at, size + 1);
	assert(sent->text);
	sent->text[size] = '\0';
	if (l->seen)
		l->seen(l, sent);
}

static void unlend(void *context, char *at)
{
	struct lone *l = context;
	assert(at == l->lent);
	l->lent = NULL;
	free(at);
}

static bool hand_over(void *context, unsigned shard, const struct arrival *arrival, const struct flow *from,
		      struct bytes datagram)
{
	(void)context, (void)shard, (void)arrival, (void)from, (void)datagram;
	abort(); /* there is one shard */
}

static void post(void *context, unsigned shard, const struct note *note)
{
	(void)context, (void)shard, (void)note;
	abort();
}

static void copy(char *out, size_t room, const struct cdr_text *text)
{
	snprintf(out, room, "%.*s", (int)text->size, text->at);
}

static bool cdr(void *context, const struct cdr *cdr)
{
	struct lone *l = context;
	if (l->queue_full)
		return false;
	l->cdr_count++;
	l->cdr = (struct lone_cdr){ .sip_code = (uint16_t)cdr->sip_code,
				    .q850 = (uint16_t)cdr->q850,
				    .reason = (enum cdr_end_reason)cdr->end_reason,
				    .start_us = cdr->start_us,
				    .connect_us = cdr->connect_us,
				    .end_us = cdr->end_us,
				    .hold_ms = cdr->hold_ms,
				    .pdd_ms = cdr->pdd_ms };
	copy(l->cdr.caller_in, sizeof l->cdr.caller_in, &cdr->caller_in);
	copy(l->cdr.callee_in, sizeof l->cdr.callee_in, &cdr->callee_in);
	copy(l->cdr.callee_out, sizeof l->cdr.callee_out, &cdr->callee_out);
	return true;
}

static bool cdr_room(void *context)
{
	(void)context;
	return true;
}

static void say(void *context, int level, const char *line)
{
	(void)context, (void)level, (void)line;
}

/* ---- the shard ---- */

static struct config *make_config(const char *gateways, const char *parameters)
{
	char path[] = P_tmpdir "/lone.XXXXXX", error[512];
	struct config *config = NULL;
	int fd = mkstemp(path);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
	assert(file);
	fprintf(file,
		"listen \"main\" { address = \"192.0.2.9\" }\nlisten \"six\" { address = \"2001:db8::9\" }\n%s"
		"parameters { %s }\n",
		gateways, parameters ? parameters : "");
	fclose(file);
	if (config_load(path, &config, error)) {
		fprintf(stderr, "%s\n", error);
		abort();
	}
	remove(path);
	return config;
}

struct lone *lone_create(const char *gateways, const char *parameters)
{
	return lone_create_for(gateways, parameters, CALLS_MAX);
}

struct lone *lone_create_for(const char *gateways, const char *parameters, unsigned calls_max)
{
	static const uint8_t secret[32] = { 7, 7, 7 };
	struct lone *l = calloc(1, sizeof *l);
	assert(l);
	l->config = make_config(gateways, parameters);
	l->book = tally_reserve();
	l->quality = quality_reserve();
	l->now_ns = START_NS;
	assert(l->book && l->quality);
	struct shard_settings settings = {
		.config = l->config,
		.edge = { .context = l,
			  .lend = lend,
			  .send = send,
			  .unlend = unlend,
			  .hand_over = hand_over,
			  .post = post,
			  .cdr = cdr,
			  .cdr_room = cdr_room,
			  .log = say },
		.stats = &l->stats,
		.tallies = { &l->book, 1 },
		.qualities = { &l->quality, 1 },
		.secret = secret,
		.shard_count = 1,
		.boot = 1,
		.calls_max = calls_max,
		.seed = 1,
		.now_ns = l->now_ns,
	};
	int error = shard_create(&settings, &l->shard);
	assert(!error);
	return l;
}

void lone_destroy(struct lone *l)
{
	shard_check(l->shard);
	shard_destroy(l->shard);
	tally_release(l->book);
	quality_release(l->quality);
	config_free(l->config);
	for (unsigned i = 0; i < LONE_SENT_MAX; i++)
		free(l->sent[i].text);
	free(l);
}

struct flow lone_flow(const char *from)
{
	struct flow flow = { 0 };
	const char *colon = strrchr(from, ':');
	bool read = colon && address_read_host((struct bytes){ from, (uint32_t)(colon - from) }, &flow.peer);
	assert(read);
	flow.peer.port = (uint16_t)strtoul(colon + 1, NULL, 10);
	flow.listener = flow.peer.family == 6;
	return flow;
}

void lone_feed(struct lone *l, const struct flow *from, struct bytes datagram)
{
	struct arrival arrival = { .now_ns = l->now_ns - l->waited_ns,
				   .real_us = (int64_t)((l->now_ns - l->waited_ns) / 1000) };
	char *exact = malloc(datagram.size ? datagram.size : 1); /* a sanitizer sees a read past its end */
	assert(exact);
	memcpy(exact, datagram.at, datagram.size);
	shard_datagram(l->shard, &arrival, from, (struct bytes){ exact, datagram.size }, false);
	free(exact);
}

void lone_run(struct lone *l, uint64_t for_ns)
{
	uint64_t end_ns = l->now_ns + for_ns;
	for (;;) {
		uint64_t next_ns = shard_next_ns(l->shard);
		if (next_ns > end_ns)
			break;
		if (next_ns > l->now_ns)
			l->now_ns = next_ns;
		while (shard_advance(l->shard, l->now_ns, 1000))
			;
		if (shard_next_ns(l->shard) <= l->now_ns)
			l->now_ns += LONE_MS; /* what comes next comes with the next tick */
	}
	if (end_ns > l->now_ns)
		l->now_ns = end_ns;
	while (shard_advance(l->shard, l->now_ns, 1000))
		;
}

const struct lone_sent *lone_sent(const struct lone *l, unsigned n)
{
	assert(n < l->sent_count && l->sent_count - n <= LONE_SENT_MAX);
	return &l->sent[n % LONE_SENT_MAX];
}

static bool is_empty(struct lone *l)
{
	const struct shard_stats *stats = &l->stats;
	shard_publish_stats(l->shard);
	return !(stats->pool_call_used || stats->pool_leg_used || stats->pool_attempt_used ||
		 stats->pool_transaction_used || stats->pool_body_used || stats->pool_text_used ||
		 stats->pool_tombstone_used || stats->timers_armed || stats->calls_active || stats->calls_setup);
}

void lone_settle(struct lone *l)
{
	for (unsigned i = 0; i < 1000 && !is_empty(l); i++)
		lone_run(l, LONE_S);
	assert(is_empty(l));
}
