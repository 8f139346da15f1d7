/* A shard alone with the wire: it is fed datagrams as they stand, from whatever address, and all that it sends is kept.
 * For what the user agents of tests/sim never say: odd headers, IPv6, garbage.
 *
 * The shard has a listener of each family; a datagram reaches the one of its sender's.  Time moves by lone_run()
 * alone. */
#ifndef RW_TESTS_CORE_CALL_LONE_H
#define RW_TESTS_CORE_CALL_LONE_H

#include "core/shard.h"

#define LONE_NODE  "192.0.2.9:5060"
#define LONE_NODE6 "[2001:db8::9]:5060"
/* One mapping and one routing gateway, prefix 880, on IPv4. */
#define LONE_GATEWAYS                                                                                                  \
	"mapping_gateway \"m\" { address = {\"192.0.2.1\", \"[2001:db8::1]\"} }\n"                                     \
	"routing_gateway \"r\" { address = \"192.0.2.2:5060\" prefix = {\"880\"} }\n"

#define LONE_SENT_MAX 256
#define LONE_MS       UINT64_C(1000000)
#define LONE_S        UINT64_C(1000000000)

struct lone_sent {
	struct flow to;
	uint32_t size;
	char *text; /* terminated, whatever is in it */
};

struct lone_cdr {
	uint16_t sip_code, q850;
	enum cdr_end_reason reason;
	int64_t start_us, connect_us, end_us, hold_ms, pdd_ms;
	char caller_in[128], callee_in[128], callee_out[160];
};

struct lone {
	struct shard *shard;
	struct config *config;
	struct shard_stats stats;
	struct tally *book;
	struct quality_book *quality;
	uint64_t now_ns;
	uint64_t waited_ns; /* how long before now the next datagrams came */
	char *lent;
	struct lone_sent sent[LONE_SENT_MAX]; /* the latest; sent_count goes on */
	unsigned sent_count;
	void (*seen)(struct lone *l, const struct lone_sent *sent); /* NULL, or told of each */
	void *context;
	bool queue_full; /* takes no CDR */
	unsigned cdr_count;
	struct lone_cdr cdr; /* the latest */
};

/* `gateways`: sections of the configuration (LONE_GATEWAYS); `parameters`: lines, NULL: none. */
struct lone *lone_create(const char *gateways, const char *parameters);
/* The same with a max_calls of its own. */
struct lone *lone_create_for(const char *gateways, const char *parameters, unsigned calls_max);
/* Checks the shard's tables, too. */
void lone_destroy(struct lone *l);

/* "192.0.2.1:5060", "[2001:db8::1]:5060". */
struct flow lone_flow(const char *from);
void lone_feed(struct lone *l, const struct flow *from, struct bytes datagram);
void lone_run(struct lone *l, uint64_t for_ns);

/* What was sent, by its number: 0 is the first ever; asserts that it is still kept. */
const struct lone_sent *lone_sent(const struct lone *l, unsigned n);

/* All calls and transactions are over: runs on until that is so, or asserts. */
void lone_settle(struct lone *l);

#endif
