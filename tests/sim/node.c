/* The node under test: its shards, and the edge that each of them sees. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "billing/tariff.h"
#include "core/call/state.h"
#include "tests/sim/credit.h"
#include "tests/sim/keep.h"
#include "tests/sim/limits.h"
#include "tests/sim/sim.h"
#include "tests/sim/starve.h"
#include "tests/sim/watch.h"
#include "tests/sim/wire.h"

#define LEND_MAX     65536
#define MAIL_NS      (2 * SIM_US) /* the least that a mailbox takes */
#define MAIL_JITTER  (60 * SIM_US)
#define SPINNING_MAX 10000 /* advances without time moving on */

static const char usual_gateways[] =
	"mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} }\n"
	"routing_gateway \"rg1\" { address = \"10.2.0.1:5060\" prefix = {\"880\"} priority = 1 }\n"
	"routing_gateway \"rg2\" { address = \"10.2.0.2:5060\" prefix = {\"880\"} priority = 2 }\n"
	"routing_gateway \"rg3\" { address = \"10.2.0.3:5060\" prefix = {\"880\"} priority = 3 }\n";

/* ---- the edge ---- */

static char *lend(void *context, size_t size)
{
	struct sim_shard *shard = context;
	struct sim *sim = shard->sim;
	assert(!shard->lent && size <= LEND_MAX);
	if (sim->refuse_lends || sim_chance(sim, SIM_NETWORK, sim->lend_refusal_ppm) || starve_refuses(STARVE_lend)) {
		sim->counts.lends_refused++;
		return NULL;
	}
	shard->lent = malloc(size);
	assert(shard->lent);
	return shard->lent;
}

static bool is_stranger(const struct address *a)
{
	return a->family == 4 && a->ip[0] == 10 && a->ip[1] == 9;
}

static void answer_stranger(struct sim *sim, size_t size)
{
	if (++sim->counts.stranger_answers > sim->counts.strangers)
		sim_fail(sim, NULL, "amplification", "more answers than a stranger asked for, this one of %zu bytes",
			 size);
}

static void send(void *context, const struct flow *to, char *at, size_t size)
{
	struct sim_shard *shard = context;
	assert(at == shard->lent && size > 0 && to->listener == (to->peer.family == 6));
	if (is_stranger(&to->peer)) {
		answer_stranger(shard->sim, size);
	} else {
		assert(flow_is_reliable(to) == shard->sim->settings.reliable);
		network_from_node(shard->sim, &to->peer, (struct bytes){ at, (uint32_t)size });
	}
	free(shard->lent);
	shard->lent = NULL;
}

/* The one connection that leads to the host of this address; 0: there is none. */
static void connect(void *context, struct flow *to, bool patient)
{
	const struct sim_shard *shard = context;
	const struct host *host = network_host(shard->sim, &to->peer);
	if (host && host->has_refused && patient)
		host = NULL;
	to->connection = host ? (uint32_t)(host - shard->sim->hosts) + 1 : 0;
	to->connection_generation = host ? host->connections : 0;
}

static void unlend(void *context, char *at)
{
	struct sim_shard *shard = context;
	assert(at == shard->lent);
	free(shard->lent);
	shard->lent = NULL;
}

/* Something on its way from one shard to another. */
struct mail {
	unsigned to;
	uint16_t boot; /* of the process that it is in */
	bool is_note;
	struct note note;
	struct arrival arrival;
	struct flow from;
	struct bytes datagram;
};

static void deliver(struct sim *sim, void *context)
{
	struct mail *mail = context;
	struct shard *shard = sim->shards[mail->to].shard;
	if (sim->down || mail->boot != sim->boot)
		return; /* gone with its process */
	if (mail->is_note) {
		limits_note(sim, &mail->note, false);
		credit_note(sim, &mail->note, false);
		shard_note(shard, node_clock_ns(sim), &mail->note);
	} else
		shard_datagram_handed_over(shard, &mail->arrival, &mail->from, mail->datagram);
}

static void post_mail(struct sim_shard *from, unsigned to, struct mail *mail)
{
	struct sim *sim = from->sim;
	uint64_t jitter_ns = mail->is_note && sim->settings.note_jitter_ns ? sim->settings.note_jitter_ns : MAIL_JITTER;
	uint64_t wait_ns = mail->is_note ? 0 : sim->settings.mail_wait_ns;
	uint64_t at_ns = sim->now_ns + MAIL_NS + wait_ns + sim_below(sim, SIM_NETWORK, jitter_ns);
	uint64_t *last_ns = mail->is_note ? &from->note_ns[to] : &from->mail_ns[to];
	assert(to < sim->shard_count && to != from->index);
	mail->to = to;
	mail->boot = sim->boot;
	*last_ns = at_ns > *last_ns ? at_ns : *last_ns;
	sim_at(sim, *last_ns, deliver, mail);
}

static bool hand_over(void *context, unsigned to, const struct arrival *arrival, const struct flow *from,
		      struct bytes datagram)
{
	struct sim_shard *shard = context;
	if (starve_refuses(STARVE_mail))
		return false;
	struct mail *mail = sim_alloc(shard->sim, sizeof *mail);
	char *copy = sim_alloc(shard->sim, datagram.size);
	memcpy(copy, datagram.at, datagram.size);
	*mail = (struct mail){ .arrival = *arrival, .from = *from, .datagram = { copy, datagram.size } };
	post_mail(shard, to, mail);
	shard->sim->counts.handed_over++;
	return true;
}

static void post(void *context, unsigned to, const struct note *note)
{
	struct sim_shard *shard = context;
	struct mail *mail = sim_alloc(shard->sim, sizeof *mail);
	*mail = (struct mail){ .is_note = true, .note = *note };
	limits_note(shard->sim, note, true);
	credit_note(shard->sim, note, true);
	post_mail(shard, to, mail);
	shard->sim->counts.notes++;
}

static bool cdr(void *context, const struct cdr *record)
{
	struct sim_shard *shard = context;
	struct sim *sim = shard->sim;
	if (sim->refuse_cdrs || starve_refuses(STARVE_cdr)) {
		sim->counts.cdrs_refused++;
		return false;
	}
	size_t size = cdr_encoded_size(record);
	uint8_t *bytes = sim_alloc(sim, size);
	struct sim_cdr *kept = sim_alloc(sim, sizeof *kept);
	bool whole = cdr_encode(record, bytes, size) == size && cdr_decode(bytes, size, &kept->cdr, kept->attempts);
	assert(whole && kept->cdr.shard == shard->index);
	kept->cdr.attempts = kept->attempts;
	kept->next = sim->cdrs;
	sim->cdrs = kept;
	sim->cdr_count++;
	sim->counts.cdrs++;
	keep_cdr(sim, &kept->cdr);
	watch_cdr(sim, kept);
	if (sim->settings.cdr_seen)
		sim->settings.cdr_seen(sim, kept);
	return true;
}

static uint8_t *record_lend(void *context, size_t size)
{
	struct sim_shard *shard = context;
	assert(size <= RECORD_BYTES_MAX);
	if (shard->sim->refuse_cdrs || starve_refuses(STARVE_record))
		return NULL;
	free(shard->record);
	shard->record = malloc(size); /* of that size: a byte more is found out by the sanitizer */
	assert(shard->record);
	return shard->record;
}

static bool record_calm(void *context)
{
	const struct sim_shard *shard = context;
	return !shard->sim->records_wait;
}

static void record(void *context, enum record_kind kind, size_t size)
{
	struct sim_shard *shard = context;
	struct sim *sim = shard->sim;
	assert(shard->record);
	if (sim->recorded)
		sim->recorded(sim, shard->index, kind, shard->record, size);
	keep_record(sim, shard->index, kind, shard->record, size);
	free(shard->record);
	shard->record = NULL;
}

static bool cdr_room(void *context)
{
	const struct sim_shard *shard = context;
	return !shard->sim->no_cdr_room;
}

static void say(void *context, int level, const char *line)
{
	struct sim_shard *shard = context;
	snprintf(shard->sim->last_log, sizeof shard->sim->last_log, "%s", line);
	shard->sim->log_lines++;
	if (level <= 3)
		sim_fail(shard->sim, NULL, "log", "%s", line);
}

/* ---- beginning and end ---- */

/* The text of the gateways where callers or callees have IPv6 addresses: see peer_create_hosts().  Not shorter than
 * it was by more than its end; freed by the caller. */
static char *with_families(const struct sim *sim, const char *gateways)
{
	static const char callers[] = "10.1.0.0/16", callees[] = "10.2.0.";
	char *text = malloc(2 * strlen(gateways) + 1), *at = text;
	assert(text);
	while (*gateways) {
		if (sim->settings.six[0] && strncmp(gateways, callers, sizeof callers - 1) == 0) {
			at += sprintf(at, "fd00:1::/32");
			gateways += sizeof callers - 1;
		} else if (sim->settings.six[1] && strncmp(gateways, callees, sizeof callees - 1) == 0) {
			gateways += sizeof callees - 1;
			at += sprintf(at, "[fd00:2::%c]", *gateways++);
		} else {
			*at++ = *gateways++;
		}
	}
	*at = '\0';
	return text;
}

/* With these parameters and gateways, in force nowhere yet. */
static struct config *load_config(struct sim *sim, const char *parameters, const char *gateways)
{
	char error[512], path[] = "/tmp/ringwheel-sim-XXXXXX";
	struct config *config;
	int fd = mkstemp(path);
	assert(fd >= 0);
	bool six = sim->settings.six[0] || sim->settings.six[1];
	const char *transport = sim->settings.reliable ? "tcp" : "udp";
	char *text = with_families(sim, gateways ? gateways : usual_gateways);
	dprintf(fd, "node = \"sim\"\nlisten \"main\" { transport = \"%s\" address = \"%s\" port = 5060 }\n", transport,
		sim->settings.address ? sim->settings.address : "10.0.0.1");
	if (six)
		dprintf(fd, "listen \"six\" { transport = \"%s\" address = \"fd00::1\" port = 5060 }\n", transport);
	dprintf(fd, "parameters {\n%s\n}\n%s", parameters ? parameters : "", text);
	close(fd);
	free(text);
	int result = config_load(path, &config, error);
	unlink(path);
	if (result < 0) {
		fprintf(stderr, "%s\n", error);
		abort();
	}
	if (sim->settings.tariff) {
		config->tariff = sim->settings.tariff(sim);
		config->tariff_generation = config->generation;
	}
	return config;
}

static void free_config(const struct sim *sim, struct config *config)
{
	if (sim->settings.tariff) {
		tariff_free(config->tariff);
		config->tariff = NULL;
	}
	config_free(config);
}

/* A configuration on its way to a shard. */
struct reload {
	unsigned shard;
	uint16_t boot;
	struct config *config;
};

static void reload_shard(struct sim *sim, void *context)
{
	const struct reload *reload = context;
	if (sim->down || reload->boot != sim->boot)
		return;
	shard_configure(sim->shards[reload->shard].shard, reload->config);
	limits_configured(sim);
}

void node_reload(struct sim *sim, const char *gateways, uint64_t within_ns)
{
	assert(sim->config_count < SIM_CONFIGS_MAX);
	struct config *config = load_config(sim, sim->settings.parameters, gateways);
	sim->configs[sim->config_count++] = config;
	sim->config = config;
	sim->counts.reloads++;
	for (unsigned i = 0; i < sim->shard_count; i++) {
		struct sim_shard *shard = &sim->shards[i];
		struct reload *reload = sim_alloc(sim, sizeof *reload);
		uint64_t at_ns = sim->now_ns + sim_below(sim, SIM_NETWORK, within_ns);
		*reload = (struct reload){ i, sim->boot, config };
		shard->reload_ns = at_ns > shard->reload_ns ? at_ns : shard->reload_ns;
		sim_at(sim, shard->reload_ns, reload_shard, reload);
	}
}

void node_configure(struct sim *sim, const char *parameters, const char *gateways)
{
	struct config *former = sim->config;
	assert(sim->config_count == 1 && sim->configs[0] == former); /* none is on its way to a shard */
	sim->config = load_config(sim, parameters ? parameters : sim->settings.parameters,
				  gateways ? gateways : sim->settings.gateways);
	sim->configs[0] = sim->config;
	for (unsigned i = 0; i < sim->shard_count && !sim->down; i++)
		shard_configure(sim->shards[i].shard, sim->config);
	limits_configured(sim);
	free_config(sim, former);
	sim->counts.reloads++;
}

/* Of all shards, however many they are this time. */
static uint32_t node_calls_max(const struct sim *sim)
{
	unsigned shards = sim->settings.shards ? sim->settings.shards : 1;
	return shards * (sim->settings.calls_max ? sim->settings.calls_max : 512);
}

/* A process. */
static void begin(struct sim *sim)
{
	sim->boot++;
	sim->down = false;
	for (unsigned i = 0; i < sim->shard_count; i++) {
		sim->tallies[i] = tally_reserve();
		sim->qualities[i] = quality_reserve();
	}
	for (unsigned i = 0; i < sim->shard_count; i++) {
		struct sim_shard *shard = &sim->shards[i];
		shard->sim = sim;
		shard->index = i;
		struct shard_settings settings = {
			.config = sim->config,
			.edge = { .context = shard,
				  .lend = lend,
				  .send = send,
				  .unlend = unlend,
				  .connect = connect,
				  .hand_over = hand_over,
				  .post = post,
				  .cdr = cdr,
				  .record_lend = record_lend,
				  .record_calm = record_calm,
				  .record = record,
				  .cdr_room = cdr_room,
				  .log = say },
			.stats = &shard->stats,
			.tallies = { sim->tallies, sim->shard_count },
			.qualities = { sim->qualities, sim->shard_count },
			.secret = sim->secret,
			.shard = (uint16_t)i,
			.shard_count = (uint16_t)sim->shard_count,
			.boot = sim->boot,
			.calls_max = node_calls_max(sim) / sim->shard_count,
			.seed = (sim->settings.seed ^ sim->settings.salt) * SIM_SHARDS_MAX + i +
				(sim->boot - 1u) * UINT64_C(0x9e3779b97f4a7c15),
			.now_ns = node_clock_ns(sim),
			.now_us = sim_real_us(sim, sim->now_ns),
			.machine = sim->machine,
		};
		int error = shard_create(&settings, &shard->shard);
		assert(!error);
	}
}

void node_create(struct sim *sim)
{
	sim->config = load_config(sim, sim->settings.parameters, sim->settings.gateways);
	sim->configs[sim->config_count++] = sim->config;
	for (unsigned i = 0; i < sizeof sim->secret; i++)
		sim->secret[i] = (uint8_t)sim_random(sim, SIM_NETWORK);
	sim->machine = 1;
	begin(sim);
}

static void end(struct sim *sim)
{
	for (unsigned i = 0; i < sim->shard_count && !sim->down; i++) {
		assert(!sim->shards[i].lent);
		shard_destroy(sim->shards[i].shard);
		free(sim->shards[i].record);
		tally_release(sim->tallies[i]);
		quality_release(sim->qualities[i]);
	}
}

void node_kill(struct sim *sim)
{
	assert(!sim->down);
	end(sim);
	sim->down = true;
	memset(sim->shards, 0, sizeof sim->shards);
	sim->counts.kills++;
	keep_killed(sim);
}

unsigned node_restart(struct sim *sim, const struct sim_restart *how)
{
	assert(sim->down);
	if (how->shards)
		sim->shard_count = how->shards;
	if (how->machine) {
		sim->machine++;
		sim->clock_ns = sim->now_ns - SIM_S;
	}
	sim->limits = limits_create(sim);
	sim->credit = credit_create(sim);
	begin(sim);
	unsigned refused = keep_restore(sim, how->close);
	for (unsigned i = 0; i < sim->shard_count; i++) {
		shard_restored(sim->shards[i].shard);
		shard_checkpoint(sim->shards[i].shard, sim->boot);
	}
	limits_carried(sim);
	return refused;
}

void node_destroy(struct sim *sim)
{
	end(sim);
	for (unsigned i = 0; i < sim->config_count; i++)
		free_config(sim, sim->configs[i]);
}

/* ---- driving it ---- */

static unsigned arrival_shard(struct sim *sim, struct bytes datagram)
{
	struct wire w;
	if (sim->settings.mailbox || !wire_read(datagram, &w))
		return (unsigned)sim_below(sim, SIM_NETWORK, sim->shard_count);
	struct steer_key key;
	steer_key_init(&key, sim->secret, sim->config->node);
	return steer_worker(steer_bucket(&key, w.call_id), sim->shard_count);
}

void node_datagram(struct sim *sim, struct host *from, const struct address *source, struct bytes datagram,
		   bool damaged)
{
	if (sim->down) {
		watch_unheard(sim, datagram);
		return;
	}
	struct arrival arrival = { .now_ns = node_clock_ns(sim), .real_us = sim_real_us(sim, sim->now_ns) };
	struct flow flow = { .peer = *source, .listener = source->family == 6, .transport = TRANSPORT_UDP };
	if (sim->settings.reliable) {
		flow.transport = TRANSPORT_TCP;
		flow.connection = (uint32_t)(from - sim->hosts) + 1;
		flow.connection_generation = from->connections;
	}
	unsigned shard = arrival_shard(sim, datagram);
	watch_in(sim, from, source, datagram, damaged);
	if (sim->pressed)
		shard_turn(sim->shards[shard].shard, arrival.now_ns + sim->waited_ns, sim->queue_permille, false);
	shard_datagram(sim->shards[shard].shard, &arrival, &flow, datagram, false);
}

void node_stranger(struct sim *sim, unsigned number, struct bytes datagram)
{
	struct arrival arrival = { .now_ns = node_clock_ns(sim), .real_us = sim_real_us(sim, sim->now_ns) };
	struct flow flow = {
		.peer = { .family = 4, .port = 5060, .ip = { 10, 9, (uint8_t)(number >> 8), (uint8_t)number } },
		.transport = TRANSPORT_UDP
	};
	if (sim->down)
		return;
	sim->counts.strangers++;
	shard_datagram(sim->shards[arrival_shard(sim, datagram)].shard, &arrival, &flow, datagram, false);
}

void node_cut(struct sim *sim, struct host *host)
{
	uint32_t generation = host->connections++;
	for (unsigned i = 0; i < sim->shard_count && !sim->down; i++)
		shard_connection_lost(sim->shards[i].shard, node_clock_ns(sim), (uint32_t)(host - sim->hosts) + 1,
				      generation);
}

uint64_t node_next_ns(const struct sim *sim)
{
	uint64_t next = UINT64_MAX;
	for (unsigned i = 0; i < sim->shard_count && !sim->down; i++) {
		uint64_t at = shard_next_ns(sim->shards[i].shard);
		if (at < next)
			next = at;
	}
	return next == UINT64_MAX ? next : next + sim->clock_ns;
}

void node_advance(struct sim *sim)
{
	for (unsigned i = 0; i < sim->shard_count && !sim->down; i++) {
		struct sim_shard *shard = &sim->shards[i];
		if (shard_next_ns(shard->shard) > node_clock_ns(sim))
			continue;
		shard->advances = shard->advanced_ns == sim->now_ns ? shard->advances + 1 : 0;
		shard->advanced_ns = sim->now_ns;
		assert(shard->advances < SPINNING_MAX);
		shard_advance(shard->shard, node_clock_ns(sim), 1000);
	}
}

void node_command(struct sim *sim, struct command *command)
{
	sim->stopping |= command->kind == COMMAND_STOP;
	if (!command->generation)
		command->generation = sim->config->generation;
	for (unsigned i = 0; i < sim->shard_count; i++) {
		command->cursor = 0;
		while (!shard_command(sim->shards[i].shard, node_clock_ns(sim), command))
			;
	}
}

bool node_stopped(const struct sim *sim)
{
	for (unsigned i = 0; i < sim->shard_count; i++)
		if (!shard_stopped(sim->shards[i].shard))
			return false;
	return true;
}

/* ---- looking at it ---- */

void node_check(struct sim *sim)
{
	for (unsigned i = 0; i < sim->shard_count && !sim->down; i++)
		shard_check(sim->shards[i].shard);
	limits_check(sim);
	if (!sim->down)
		credit_check(sim);
}

uint64_t node_stat_at(struct sim *sim, size_t offset)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < sim->shard_count && !sim->down; i++) {
		shard_publish_stats(sim->shards[i].shard);
		sum += *(const uint64_t *)(const void *)((const char *)&sim->shards[i].stats + offset);
	}
	return sum;
}

uint32_t node_lines(const struct sim *sim, enum gateway_kind kind, const char *gateway)
{
	const struct tallies tallies = { sim->tallies, sim->shard_count };
	return (uint32_t)tally_calls(&tallies, gateway_id(kind, gateway));
}

void node_check_empty(struct sim *sim)
{
	static const struct {
		const char *name;
		size_t offset;
	} gauges[] = {
#define GAUGE(name) { #name, offsetof(struct shard_stats, name) }
		GAUGE(calls_active),        GAUGE(calls_setup),           GAUGE(timers_armed),
		GAUGE(cdr_waiting),         GAUGE(pool_call_used),        GAUGE(pool_leg_used),
		GAUGE(pool_attempt_used),   GAUGE(pool_transaction_used), GAUGE(pool_body_used),
		GAUGE(pool_tombstone_used), GAUGE(pool_text_used),        GAUGE(pool_charge_used),
#undef GAUGE
	};
	for (unsigned i = 0; i < sizeof gauges / sizeof *gauges; i++) {
		uint64_t value = node_stat_at(sim, gauges[i].offset);
		if (value)
			sim_fail(sim, NULL, "leak", "%s is %llu at the end", gauges[i].name, (unsigned long long)value);
	}
	limits_check_empty(sim);
	credit_check_empty(sim);
	if (sim->boot == 1 && node_stat(sim, calls_attempted) != sim->cdr_count)
		sim_fail(sim, NULL, "one-cdr-a-call", "%llu calls, %u CDRs",
			 (unsigned long long)node_stat(sim, calls_attempted), sim->cdr_count);
}
