/* One immutable configuration: read from a file (libconfuse syntax, spec 2) or the embedded defaults, checked as a
 * whole, then only read.  Workers hold one pointer to it.  */
#ifndef RW_CORE_CONFIG_CONFIG_H
#define RW_CORE_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "core/config/parameters.h"
#include "core/flow.h"
#include "sip/address.h"
#include "sip/bytes.h"

#define CONFIG_NAME_MAX      63 /* characters of a node's, gateway's, listener's or account's name */
#define CONFIG_PREFIX_MAX    63 /* characters of a dialled prefix */
#define CONFIG_LISTENS_MAX   64
#define CONFIG_WORKERS_MAX   64
#define CONFIG_CALLS_MAX_MAX 100000000u
#define GATEWAY_IDS_MAX      (1u << 20) /* ids of gateways and accounts are below it */

/* What becomes of the calls that were up when the process ended (key on_restart). */
enum on_restart { RESTART_RESUME, RESTART_CLOSE };

enum steering { STEERING_AUTO, STEERING_BPF, STEERING_MAILBOX };

const char *steering_name(enum steering steering); /* as the file has it: "auto" */

struct listen_config {
	char name[CONFIG_NAME_MAX + 1];
	enum transport transport;
	struct address address; /* a specific address, not a wildcard: what Via and Contact say unless advertised */
	char advertise[256];    /* "" or a host name or address */
	/* Rendered for Via and Contact: "192.0.2.1:5060", "[2001:db8::1]:5060", "sip.example:5060". */
	char host_port[320];
	char host[272]; /* the same without port */
};

/* One entry of an MG's address list: an address or prefix, optional port. */
struct source {
	struct address address; /* port 0: any port */
	uint8_t prefix_length;  /* bits: 32 or 128 for a single address */
};

struct tariff;        /* billing/tariff.h */
struct rewrite_rules; /* of numbers: core/config/rewrite.h */

/* Where a mapping gateway's customer says who calls and whom. */
enum caller_source { CALLER_FROM, CALLER_P_ASSERTED_IDENTITY, CALLER_REMOTE_PARTY_ID, CALLER_P_PREFERRED_IDENTITY };
enum callee_source { CALLEE_REQUEST_URI, CALLEE_TO };

/* Whether shorter prefixes follow when the gateways of the longest one have failed: as the MG says; where it says
 * nothing they do if one of the gateways of that prefix says so; and a gateway that says nothing has the node's own
 * mode. */
enum prefix_mode { PREFIX_INHERIT, PREFIX_TERMINATE, PREFIX_CONTINUE };

/* A policy of sort = {...}: what comes between priority and load. */
enum sort_policy { SORT_ASR, SORT_PRICE };
#define SORT_MAX 4

/* One entry of failed_reason_map: a final code of the carrier's side, and what the caller gets in its place. */
struct reason_rule {
	uint16_t from_first, from_last; /* codes */
	uint16_t to;
};

struct mapping_gateway {
	char name[CONFIG_NAME_MAX + 1];
	uint32_t id;         /* of the name, the same in every later configuration (gateway_name()) */
	uint32_t account_id; /* of the account's name, likewise; 0: none */
	uint32_t rate_limit; /* calls a second, 0 no limit */
	enum prefix_mode prefix_mode;
	enum caller_source caller_from;
	enum callee_source callee_from;
	uint8_t sort_count;
	uint8_t sort[SORT_MAX]; /* enum sort_policy */
	uint32_t *allow, *deny; /* ids of routing gateways, ascending; NULL: all, none */
	uint32_t allow_count, deny_count;
	struct rewrite_rules *rewrite_caller, *rewrite_callee; /* NULL: none */
	struct reason_rule *reasons;                           /* the first that fits */
	uint32_t reason_count;
	struct source *sources;
	uint32_t source_count;
	uint32_t capacity; /* concurrent calls, 0 no limit */
	char account[CONFIG_NAME_MAX + 1];
	/* Selects the MG among those that share an address, then taken off; "" none. */
	char callee_prefix[CONFIG_PREFIX_MAX + 1];
	uint16_t listener; /* index in listens, of the only one that its calls may come in by; LISTENER_ANY */
	bool timer;
	bool reliable;           /* 100rel */
	uint32_t max_duration_s; /* 0: none */
};

#define LISTENER_ANY UINT16_MAX

#define ROUTING_ADDRESSES_MAX 8

/* A range of codes of stop_codes. */
struct code_range {
	uint16_t first, last;
};

/* What a routing gateway's INVITE says in P-Asserted-Identity: nothing, what the caller's does, or the number in From.
 */
enum asserted_policy { ASSERTED_NONE, ASSERTED_PASS, ASSERTED_CALLER };

/* And in Privacy: nothing, what the caller's does, or id. */
enum privacy_policy { PRIVACY_NONE, PRIVACY_PASS, PRIVACY_ID };

struct routing_gateway {
	char name[CONFIG_NAME_MAX + 1];
	uint32_t id;
	uint32_t vendor_account_id;                      /* 0: none */
	uint32_t rate_limit;                             /* calls a second, 0 no limit */
	struct address addresses[ROUTING_ADDRESSES_MAX]; /* tried in turn; host names as they were resolved */
	uint32_t address_count;
	char tech_prefix[CONFIG_PREFIX_MAX + 1]; /* put before the number sent */
	bool ignore_6xx;                         /* 603, 604 and 606 are this gateway's word only */
	bool options_check;
	enum asserted_policy asserted; /* key p_asserted_identity: what it is told of who calls */
	enum privacy_policy privacy;
	struct code_range *stop_codes; /* final codes after which no other gateway is tried */
	uint32_t stop_code_count;
	struct rewrite_rules *rewrite_caller, *rewrite_callee; /* NULL: none */
	char **prefixes;                                       /* digits; "" is any */
	uint32_t prefix_count;
	enum prefix_mode prefix_mode;
	uint32_t priority; /* smallest first */
	uint32_t capacity;
	uint16_t listener;
	bool timer;
	bool reliable; /* 100rel */
	uint32_t max_duration_s;
	/* By the rates of its vendor account: tried in order of their price; only below this share of what the customer
	 * pays; never above this price a minute. */
	bool least_cost;
	uint32_t min_profit_percent; /* of the customer's rate; 0: not looked at */
	int64_t max_price_e8;        /* a minute; 0: not looked at */
	char *prefix_file;           /* NULL: none; its prefixes stand behind the listed ones */
	uint32_t prefix_listed;      /* how many of the prefixes the configuration itself lists */
	char *prefix_text;           /* what the prefixes point into */
	char vendor_account[CONFIG_NAME_MAX + 1];
	uint32_t timeout_invite_s, timeout_trying_s, timeout_session_progress_s, timeout_session_progress_sdp_s,
		timeout_ringing_s; /* 0: the global parameter */
};

/* What a gateway of either kind is limited to; zeroes: nothing, or there is none of that id. */
struct gateway_limits {
	uint32_t capacity;   /* concurrent calls */
	uint32_t rate_limit; /* calls a second */
};

struct route_table;  /* prefixes to routing gateways */
struct source_table; /* addresses to mapping gateways */

struct config {
	uint32_t generation; /* counts the configurations of a process from 1 */
	char path[4096];     /* of the file; "" for the embedded defaults */
	char node[CONFIG_NAME_MAX + 1];
	char data_dir[4096]; /* absolute or relative to the working directory of the process */
	char control[4096];  /* path of the control socket */
	uint32_t workers;    /* 0: one per usable core */
	uint32_t calls_max;
	uint32_t connections_max;        /* of the node, on TCP */
	uint32_t connections_per_source; /* 0: no limit */
	uint32_t connection_idle_s;      /* one on which nothing comes or goes is closed */
	uint32_t message_bytes_max;      /* of one message on a connection */
	bool prefault;                   /* memory is taken at the start, not on use */
	enum steering steering;
	uint32_t journal_sync_ms;    /* an event is on the disk so long after it happened */
	uint32_t journal_segment_mb; /* size of the journal's files */
	bool answer_after_sync;      /* the 200 OK waits until the call's record is on the disk */
	enum on_restart on_restart;
	bool cdr_files;               /* CDRs also as text files by the hour, in data_dir/cdr */
	char cdr_store[512];          /* "": SQLite, data_dir/cdr.db; else postgresql://... */
	bool refuse_unknown_account;  /* of a mapping gateway whose account is not in ringwheel.db; else it is not rated
				       */
	enum prefix_mode prefix_mode; /* of the node: PREFIX_TERMINATE unless said otherwise */
	struct listen_config *listens;
	uint32_t listen_count;
	struct parameters parameters;
	struct mapping_gateway *mappings;
	uint32_t mapping_count;
	struct routing_gateway *routings;
	uint32_t routing_count;
	struct route_table *routes;
	struct source_table *sources;
	struct tariff *tariff;      /* accounts and rates; NULL: there are none, or they have not been read */
	uint32_t tariff_generation; /* for which it was read: balances have what had moved before that */
	const void *
		*gateways; /* by id: its struct mapping_gateway or routing_gateway, NULL: not in this configuration */
	struct gateway_limits *limits; /* likewise; apart, since a shard looks at all of them when it takes one over */
	uint32_t gateway_end;          /* one more than the largest id in `gateways` */
	uint32_t *shares;        /* how many configurations share all of the above but the parameters and the tariff */
	uint32_t *tariff_shares; /* and how many the tariff; NULL: it is somebody else's */
};

/* Configurations are made and freed by one thread at a time, the loading thread: which one does not matter, as long as
 * one hands over to the next.  Whoever else holds a configuration only reads it.  */

/* Reads and checks a file; NULL path: the embedded defaults.  Host names are resolved, so it may wait for a name
 * server.  0, or a negative errno with "file:line: reason" (the first error) in `error`; nothing is left behind then.
 */
int config_load(const char *path, struct config **ret_config, char error[static 512]);
void config_free(struct config *c); /* NULL: nothing */

/* A new generation of a configuration that differs in one parameter and shares everything else with it; either may be
 * freed first.  Checked as the file's parameters are.  0; -ENOENT: no such parameter; -EINVAL or -ERANGE: the value is
 * not allowed; -ENOMEM; each with a sentence in `error`. */
int config_with_parameter(const struct config *old, const char *name, const char *value, struct config **ret_config,
			  char error[static 256]);

/* The same with other accounts and rates.  Takes the tariff, also on failure: -ENOMEM. */
int config_with_tariff(const struct config *old, struct tariff *tariff, struct config **ret_config);

/* Gives a configuration that nobody else looks at yet its accounts and rates.  Takes the tariff, also on failure:
 * -ENOMEM. */
int config_take_tariff(struct config *c, struct tariff *tariff);

/* Whether a running node can go on with another configuration.  0, or -EINVAL with a sentence in `error` that names the
 * first key that only a restart can change: any of a listen section, workers, max_calls, max_connections, node,
 * data_dir, control, steering, prefault, journal_sync_ms, journal_segment_mb, answer_after_sync, cdr_store, cdr_files.
 */
int config_restart_needed(const struct config *old, const struct config *new, char error[static 512]);

/* The configuration as it would stand in a file, all defaults spelled out.  malloc'ed; the caller frees it. */
char *config_text(const struct config *c);

/* The mapping gateway for a source and dialled number (without +): most specific address first (the longest prefix,
 * then one with a port before one without), then the longest callee_prefix that the number begins with.  Where an
 * address fits but none of its callee_prefixes does, the next less specific address is tried.  NULL: unknown source,
 * or one that may not come in by this listener (an index in listens).  Allocates nothing. */
const struct mapping_gateway *config_source_find(const struct config *c, const struct address *from, uint16_t listener,
						 struct bytes callee);

/* Whether the source is any gateway of ours, mapping (whatever is dialled) or routing (from any port), for OPTIONS. */
bool config_source_known(const struct config *c, const struct address *from);

/* Candidates for a number (digits without +): the RGs that have its longest prefix of fewer than `below` characters, by
 * priority, then name.  Returns how many there are, lends the ordered list and gives the prefix's length; 0: no (other)
 * route.  Below CONFIG_PREFIX_MAX + 1 are the best of all; below the length that came back, those of the next shorter
 * prefix (prefix_mode = "continue").  Allocates nothing. */
uint32_t config_route_find(const struct config *c, struct bytes number, uint32_t below,
			   const struct routing_gateway *const **ret_list, uint32_t *ret_length);

/* A gateway by its id; NULL: the configuration has none of that id and kind. */
const struct mapping_gateway *config_mapping(const struct config *c, uint32_t id);
const struct routing_gateway *config_routing(const struct config *c, uint32_t id);

struct gateway_limits config_limits(const struct config *c, uint32_t id);

/* Whatever is allowed but is hardly meant, as one sentence each, for the log at start and after a reload. */
void config_warnings(const struct config *c, void (*say)(void *context, const char *sentence), void *context);
/* Of the parameters alone; config_warnings() has them, too. */
void config_parameter_warnings(const struct config *c, void (*say)(void *context, const char *sentence), void *context);

/* Names of gateways by id, for the life of the process: a call keeps the id, a CDR prints the name.  Ids are small
 * consecutive numbers from 1; readers need no lock.  A mapping and a routing gateway
 * of the same name have an id each.  0 is no gateway, its name is "". */
const char *gateway_name(uint32_t id);

/* Accounts have ids of the same kind, so that a call keeps four bytes of them too. */
enum gateway_kind { GATEWAY_MAPPING, GATEWAY_ROUTING, GATEWAY_ACCOUNT };

/* The id of a gateway, a new one if it is not known yet.  Takes a lock, so it is for the loading thread and for the
 * start of a shard, not for the path of a call.  0: no memory left. */
uint32_t gateway_id(enum gateway_kind kind, const char *name);
/* The same of a name that has one already; 0: it has none. */
uint32_t gateway_known(enum gateway_kind kind, const char *name);

/* One more than the largest id given so far. */
uint32_t gateway_id_end(void);

#endif
