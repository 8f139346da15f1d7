/* The simulation: the shards of a node, driven through core/shard.h with a virtual clock and a virtual network, all
 * from one seed.  Nothing sleeps: time jumps to whatever happens next - a datagram arrives, a note or a handed-over
 * datagram reaches another shard, a peer's timer or a deadline of a shard comes due.
 *
 *   sim.c      time, events, memory, failures
 *   network.c  links that lose, repeat, delay, damage
 *   node.c     the shards and their edge
 *   keep.c     what outlives them
 *   starve.c   what the node asks for and does not get
 *   offers.c   one offer at a time on a leg, ACKs
 *   session.c  session timers as spec 5 has them, held against what the watch sees
 *   retry.c    when a refresh that failed is tried again
 *   switches.c attempts one after another
 *   limits.c   lines and starts of gateways: none is lost, none too many
 *   credit.c   credit of accounts: none is lost
 *   watch.c    checks everything that goes in and out, and every CDR, against RFC 3261 and the virtual truth
 *   peer.c     the gateways on both sides: hosts, transactions       (wire.c: their SIP)
 *   proxy.c    proxies in front of them
 *   dialog.c   what a peer does in a call: its script
 *   timer.c    its session timers
 *   early.c    its reliable provisional responses, and offers before the answer
 *   traffic.c  random scripts for sim_run
 *   tandem.c   two simulations as two nodes in a row                  (tandem_traffic.c: their random calls)      */
#ifndef RW_TESTS_SIM_SIM_H
#define RW_TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "billing/cdr.h"
#include "billing/record.h"
#include "core/shard.h"
#include "sip/address.h"
#include "sip/bytes.h"
#include "tests/sim/starve.h"

#define SIM_SHARDS_MAX 4
#define SIM_HOSTS_MAX  16
#define SIM_CALLERS    3 /* hosts 10.1.0.1 or fd00:1::1 and on: of mapping gateway "mg" */
#define SIM_CALLEES                                                                                                    \
	3 /* hosts 10.2.0.1 or fd00:2::1 and on: routing gateways "rg1" and on, in this order of priority              \
	   */
#define SIM_LOG_MAX     512
#define SIM_CONFIGS_MAX 64

#define SIM_US   UINT64_C(1000)
#define SIM_MS   UINT64_C(1000000)
#define SIM_S    UINT64_C(1000000000)
#define SIM_T1   (500 * SIM_MS)
#define SIM_64T1 (64 * SIM_T1)

struct sim;
struct sim_call;
struct host;
struct ua;

/* ---- what was met on the way: every run prints it ---- */

/* clang-format off */
#define SIM_COUNTS(X) \
	X(calls) \
	X(answered) \
	X(cancelled) \
	X(failed) \
	X(failovers) \
	X(next_addresses) \
	X(rests) \
	X(editions) \
	X(delayed_offers) \
	X(early_media) \
	X(reinvites) \
	X(reinvites_cancelled) \
	X(updates) \
	X(infos) \
	X(glares) \
	X(forks) \
	X(routed) \
	X(crossed_cancels) \
	X(crossed_byes) \
	X(early_byes) \
	X(reliable_responses) \
	X(pracks) \
	X(pracks_withheld) \
	X(early_forks) \
	X(early_updates) \
	X(early_updates_answered) \
	X(acks_withheld) \
	X(silent_peers) \
	X(refreshes_sent) \
	X(refreshes_by_peers) \
	X(retries) \
	X(refused_491) \
	X(second_invites) \
	X(crossed_invites) \
	X(held_requests) \
	X(small_callers) \
	X(small_attempts) \
	X(small_refreshes) \
	X(probes) \
	X(grace_rescues) \
	X(caps) \
	X(max_durations) \
	X(session_timeouts) \
	X(reboots) \
	X(crossings) \
	X(role_swaps) \
	X(update_fallbacks) \
	X(refresh_session_changes) \
	X(options_probes) \
	X(guards) \
	X(byes_at_refresh) \
	X(floods) \
	X(deaf_peers) \
	X(sleeping_peers) \
	X(capped) \
	X(timed_out) \
	X(full) \
	X(messages) \
	X(lost) \
	X(duplicated) \
	X(damaged) \
	X(retransmissions) \
	X(garbage) \
	X(strangers) \
	X(stranger_answers) \
	X(handed_over) \
	X(notes) \
	X(lends_refused) \
	X(cdrs_refused) \
	X(clock_steps) \
	X(reloads) \
	X(refused_full) \
	X(refused_rate) \
	X(refused_credit) \
	X(credit_ended) \
	X(cdrs) \
	X(records) \
	X(whole_records) \
	X(checkpoints) \
	X(kills) \
	X(carried) \
	X(tandem_calls) \
	X(tandem_partings) \
	X(inner_refreshes) \
	X(inner_reinvites) \
	X(inner_small) \
	X(inner_claims) \
	X(inner_outages) \
	X(virtual_seconds)
/* clang-format on */

struct sim_counts {
#define X(name) uint64_t name;
	SIM_COUNTS(X)
#undef X
};

/* ---- the network ---- */

struct link {
	uint32_t loss_ppm, duplicate_ppm, damage_ppm;
	uint64_t delay_ns, jitter_ns; /* each datagram by itself: jitter reorders */
	bool down;
};

/* What stands at a host in place of a peer: another simulation (tandem.c). */
struct gate {
	/* The node sent this; it may be lost yet. */
	void (*sent)(struct gate *gate, struct bytes datagram);
	void (*arrived)(struct gate *gate, struct bytes datagram);
};

struct host {
	struct gate *gate; /* NULL: a peer, peer.c */
	struct address address;
	char name[24]; /* "10.1.0.1:5060", "[fd00:1::1]:5060" */
	struct link to_node, from_node;
	struct address addressed; /* as what it just received was addressed: a proxy in front of it has several ports */
	struct ua *uas;           /* dialogs of this host, newest first */
	unsigned index;           /* among hosts of its kind */
	bool is_caller;
	bool has_refused;                       /* reliable: no connection to it is opened for a call */
	uint32_t connections;                   /* reliable: those that have ended */
	uint64_t rests_from_ns, rests_until_ns; /* all shards know that it asked for no call until then */
};

/* ---- the whole ---- */

struct sim_cdr;

struct sim_settings {
	uint64_t seed;
	uint64_t salt;          /* other random numbers with the same calls: of the second node of a tandem */
	const char *address;    /* of the node, port 5060; NULL: "10.0.0.1" */
	unsigned hops;          /* before the node: its callers' Max-Forwards has been counted down so far */
	unsigned shards;        /* 0: 1 */
	bool mailbox;           /* datagrams arrive at any shard, not at the one that BPF would choose */
	uint32_t calls_max;     /* of each shard; 0: 512 */
	const char *parameters; /* lines of the configuration's parameters section */
	const char *gateways;   /* gateways instead of the usual ones */
	/* Makes the accounts and rates of each configuration, which takes them; NULL: there are none. */
	struct tariff *(*tariff)(struct sim *sim);
	void (*cdr_seen)(struct sim *sim, struct sim_cdr *record); /* NULL, or called when it is written */
	bool sessions;           /* hold session timers against session.c: for peers whose headers wire.c can read */
	bool six[2];             /* callers, callees have IPv6 addresses */
	bool starved;            /* things will run out: of calls only what must hold even so is checked */
	uint64_t note_jitter_ns; /* how long a note may wait for room in a mailbox; 0: hardly */
	uint64_t mail_wait_ns;   /* how long a datagram waits in one before it is read, beside a few microseconds */
	bool reliable;    /* the node listens on TCP: a host is one connection after the other (node_cut()); links that
			   * lose    would be no such thing */
	struct link link; /* of all hosts, both ways; zeroes: 1 ms and nothing lost */
};

/* How a node comes back (node_restart()). */
struct sim_restart {
	unsigned shards; /* 0: as many as before */
	bool close;      /* on_restart = "close" */
	bool machine;    /* the machine was restarted, too: its clock begins anew */
};

struct sim_cdr {
	struct sim_cdr *next;
	struct cdr cdr;
	struct cdr_attempt attempts[CDR_ATTEMPTS_MAX];
	struct sim_call *call; /* NULL: of a datagram that was damaged on its way */
};

struct event;
struct keep;

struct sim_shard {
	struct shard *shard;
	struct shard_stats stats;
	struct sim *sim;
	unsigned index;
	char *lent;      /* NULL: nothing */
	uint8_t *record; /* room for one, NULL: none is lent */
	/* Arrival of the last datagram, and of the last note, on their way to each other shard: both in order. */
	uint64_t mail_ns[SIM_SHARDS_MAX], note_ns[SIM_SHARDS_MAX];
	uint64_t reload_ns; /* when it comes to its newest configuration */
	uint64_t advanced_ns;
	unsigned advances; /* at advanced_ns */
};

struct sim {
	struct sim_settings settings;
	uint64_t now_ns;
	int64_t wall_us;    /* realtime minus monotonic */
	uint64_t random[2]; /* of the network and of the traffic: one does not disturb the other */
	struct sim_counts counts;

	struct event **heap;
	uint32_t event_count, event_room;
	uint64_t event_sequence;
	uint64_t steps;
	void *memory; /* list of what sim_alloc() gave */

	struct config *config; /* the newest; shards may not have come to it yet */
	struct config *configs[SIM_CONFIGS_MAX];
	unsigned config_count;
	struct limits *limits;
	struct credit *credit;
	struct sim_shard shards[SIM_SHARDS_MAX];
	struct tally *tallies[SIM_SHARDS_MAX];
	struct quality_book *qualities[SIM_SHARDS_MAX];
	unsigned shard_count;
	uint8_t secret[32];
	struct keep *keep; /* what outlives the node */
	uint16_t boot;     /* start of the node */
	uint64_t machine;  /* and of its machine, whose clock began at: */
	uint64_t clock_ns;
	bool down; /* it was killed, and is not back yet */
	void (*recorded)(struct sim *sim, unsigned shard, enum record_kind kind, const uint8_t *payload,
			 size_t size);                             /* a test that wants to see them; NULL */
	bool refuse_lends, refuse_cdrs, no_cdr_room, records_wait; /* set by a test for as long as it likes */
	bool pressed;            /* set by a test: each datagram is read in a turn of its own, when it has waited: */
	uint64_t waited_ns;      /* so long, */
	unsigned queue_permille; /* in a queue so full */
	bool attempts_unseen;    /* likewise: by the watch or by the CDR, so they are not held against each other */
	uint32_t lend_refusal_ppm;

	struct host hosts[SIM_HOSTS_MAX];
	unsigned host_count;

	struct sim_call *calls; /* newest first */
	struct sim_call **by_serial;
	unsigned call_count, call_room;
	unsigned planned;     /* calls that traffic has yet to place */
	uint64_t traffic_ns;  /* over which it places them */
	struct sim_cdr *cdrs; /* newest first */
	unsigned cdr_count;
	struct watch *watch;

	char last_log[512]; /* what a shard said last */
	unsigned log_lines;

	bool stopping; /* the node was told to: it waits for nobody */

	bool failed;
	char failure[1024];
	char failure_check[64];
	uint64_t failure_ns;
	struct sim_call *failure_call;
};

struct sim *sim_create(const struct sim_settings *settings);
/* sim_new(.seed = 7, .shards = 2) */
#define sim_new(...) sim_create(&(struct sim_settings){ __VA_ARGS__ })
void sim_destroy(struct sim *sim);

/* Runs whatever happens next, if it is not later than until_ns; false: nothing is, and it is until_ns now. */
bool sim_step(struct sim *sim, uint64_t until_ns);
void sim_run_until(struct sim *sim, uint64_t until_ns);
void sim_run(struct sim *sim, uint64_t for_ns);
/* Until every call has ended for its peers and the node has forgotten all of them; checks that nothing is left. */
void sim_finish(struct sim *sim);

/* The same in parts, for who steps more than one simulation: when sim_step() has something to do; whether every call
 * has ended; the checks at the end, SIM_SETTLE_NS after that. */
#define SIM_SETTLE_NS (4 * SIM_64T1)
#define SIM_ENOUGH_NS (UINT64_C(40) * 3600 * SIM_S) /* no run is longer */
uint64_t sim_next_ns(const struct sim *sim);
bool sim_is_quiet(struct sim *sim);
void sim_check_end(struct sim *sim);

/* Zeroed; lives as long as the simulation. */
void *sim_alloc(struct sim *sim, size_t size);

/* fn(sim, context) at that time. */
void sim_at(struct sim *sim, uint64_t at_ns, void (*fn)(struct sim *sim, void *context), void *context);

enum sim_stream { SIM_NETWORK, SIM_TRAFFIC };
uint64_t sim_random(struct sim *sim, enum sim_stream stream);
/* 0 .. below - 1; 0 for 0. */
uint64_t sim_below(struct sim *sim, enum sim_stream stream, uint64_t below);
bool sim_chance(struct sim *sim, enum sim_stream stream, uint32_t ppm);

/* The first failure is kept; the run goes on to its end. */
void sim_fail(struct sim *sim, struct sim_call *call, const char *check, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The wall clock jumps: durations must not notice. */
void sim_step_clock(struct sim *sim, int64_t by_us);

/* Something found no room on its way out, or inside: what the watch has seen is not all that the node has said or
 * heard. */
static inline bool sim_is_blurred(const struct sim *sim)
{
	return sim->counts.lends_refused > 0 || starve.refused > 0;
}

static inline int64_t sim_real_us(const struct sim *sim, uint64_t at_ns)
{
	return (int64_t)(at_ns / 1000) + sim->wall_us;
}

/* ---- network.c ---- */

/* Whose address it is; any port of a host's is that of the proxy in front of it. */
struct host *network_host(struct sim *sim, const struct address *address);
void network_to_node(struct sim *sim, struct host *host, struct bytes datagram);
/* From another port of the host. */
void network_to_node_from(struct sim *sim, struct host *host, const struct address *source, struct bytes datagram);
void network_from_node(struct sim *sim, const struct address *to, struct bytes datagram);

/* ---- node.c ---- */

void node_create(struct sim *sim);
void node_destroy(struct sim *sim);
/* Another configuration on every shard, between two inputs; the former one is gone.  NULL: what it was made with. */
void node_configure(struct sim *sim, const char *parameters, const char *gateways);
void node_datagram(struct sim *sim, struct host *from, const struct address *source, struct bytes datagram,
		   bool damaged);
/* From 10.9.0.0/16, where there is no gateway: nobody there keeps a transaction, and the watch does not look.  What is
 * held is that no more answers go there than datagrams came from there. */
void node_stranger(struct sim *sim, unsigned number, struct bytes datagram);
/* reliable: the host's connection ends, and the node hears of it. */
void node_cut(struct sim *sim, struct host *host);
uint64_t node_next_ns(const struct sim *sim);
/* A configuration with other gateways, which each shard comes to at a moment of its own. */
void node_reload(struct sim *sim, const char *gateways, uint64_t within_ns);
/* Deadlines that have come. */
void node_advance(struct sim *sim);
/* SIGKILL, between two inputs; nothing is left but what its edge has kept, and what comes in is lost.  And back again
 * with that.  How many records the shards refused. */
void node_kill(struct sim *sim);
unsigned node_restart(struct sim *sim, const struct sim_restart *how);
/* What its clock says. */
static inline uint64_t node_clock_ns(const struct sim *sim)
{
	return sim->now_ns - sim->clock_ns;
}
void node_check(struct sim *sim);
void node_check_empty(struct sim *sim);
/* Carries a command out on every shard. */
void node_command(struct sim *sim, struct command *command);
bool node_stopped(const struct sim *sim);
/* Sum of one statistic over the shards: node_stat(sim, offsetof(struct shard_stats, calls_active)). */
uint64_t node_stat_at(struct sim *sim, size_t offset);
#define node_stat(sim, name) node_stat_at((sim), offsetof(struct shard_stats, name))
/* Calls that count on a gateway, over all shards. */
uint32_t node_lines(const struct sim *sim, enum gateway_kind kind, const char *gateway);

#endif
