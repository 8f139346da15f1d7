/* See keys.h.  */
#include "core/config/keys.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* What may stand in a row behind its text. */
#define NUMBER(least, most) .kind = KEY_NUMBER, .min = (least), .max = (most)
#define SWITCH              .kind = KEY_SWITCH
#define WORD(...)                                                                                                      \
	.kind = KEY_WORD, .words = (const char *const[])                                                               \
	{                                                                                                              \
		__VA_ARGS__, NULL                                                                                      \
	}
#define TEXT(what, which)     .kind = KEY_TEXT, .form = (what), .allowed = (which)
#define LIST(...)             __VA_ARGS__, .list = true
#define STRING_OF(constant)   #constant
#define NUMBER_TEXT(constant) STRING_OF(constant)

#define NAMES    "1 to " NUMBER_TEXT(CONFIG_NAME_MAX) " letters, digits, - _ ."
#define PREFIXES "up to " NUMBER_TEXT(CONFIG_PREFIX_MAX) " digits, letters, * # _"
#define CODES    "300..699, also 480-489 or 5xx"
#define RULES    "\"00 ->\", \"0 -> 44\", \"^(\\\\d{10})$ -> 1\\\\1\""

/* What both kinds of gateways have. */
#define CAPACITY_KEY                                                                                                   \
	{                                                                                                              \
		"capacity", "0", "calls", "Most calls at the same time; 0 is no limit",                                \
			NUMBER(0, CONFIG_CALLS_MAX_MAX)                                                                \
	}
#define RATE_LIMIT_KEY(over)                                                                                           \
	{                                                                                                              \
		"rate_limit", "0", "calls/s", "Most new calls in a second; 0 is no limit. " over,                      \
			NUMBER(0, CONFIG_RATE_MAX)                                                                     \
	}
#define TIMER_KEY                                                                                                      \
	{                                                                                                              \
		"timer", "on", "", "Session timers (RFC 4028) with this peer; off: it is treated as a non-timer peer", \
			SWITCH                                                                                         \
	}
#define RELIABLE_KEY                                                                                                   \
	{                                                                                                              \
		"reliable", "on", "",                                                                                  \
			"Reliable provisional responses (100rel, RFC 3262) with this peer; off: it is treated as one " \
			"without them",                                                                                \
			SWITCH                                                                                         \
	}
#define MAX_DURATION_KEY                                                                                               \
	{                                                                                                              \
		"max_duration", "0", "s", "Longest call; 0 is no limit of the gateway's own",                          \
			NUMBER(0, CONFIG_DURATION_MAX_S)                                                               \
	}
#define ACCOUNT_KEY(whose)                                                                                             \
	{                                                                                                              \
		"account", "", "", "Account that " whose " calls belong to, in the CDR; empty: none",                  \
			TEXT("name", NAMES)                                                                            \
	}
#define REWRITE_KEYS(when)                                                                                             \
	{ "rewrite_caller", "none", "", "Rules for the caller's number" when "; the first that fits is applied",       \
	  LIST(TEXT("rule", RULES)) },                                                                                 \
	{                                                                                                              \
		"rewrite_callee", "none", "", "Rules for the callee's number" when "; the first that fits is applied", \
			LIST(TEXT("rule", RULES))                                                                      \
	}

static const struct key node_keys[] = {
	{ "node", "node1", "", "Name of this switch, in CDRs and statistics", TEXT("name", NAMES) },
	{ "data_dir", "data", "",
	  "Directory of CDRs, journal and secret; a relative path starts at the directory of this file",
	  TEXT("path", "up to 4095 characters") },
	{ "workers", "0", "threads", "Worker threads; 0 is one for each usable core", NUMBER(0, CONFIG_WORKERS_MAX) },
	{ "max_calls", "1000000", "calls", "Most calls of the node at the same time; memory is reserved for them",
	  NUMBER(1, CONFIG_CALLS_MAX_MAX) },
	{ "max_connections", "4096", "connections",
	  "Most connections (TCP) of the node at the same time, those that it opens included; addresses of no gateway "
	  "get at most half of them",
	  NUMBER(1, CONFIG_CONNECTIONS_MAX) },
	{ "max_connections_per_source", "100", "connections",
	  "Most connections from one address (IPv6: one /64) at the same time; 0 is no limit",
	  NUMBER(0, CONFIG_CONNECTIONS_MAX) },
	{ "connection_idle", "600", "s", "A connection on which nothing came or went for so long is closed",
	  NUMBER(1, 86400) },
	{ "max_message", "16384", "bytes",
	  "Largest message on a connection; a larger one gets 513, and the connection is closed",
	  NUMBER(CONFIG_MESSAGE_BYTES_MIN, CONFIG_MESSAGE_BYTES_MAX) },
	{ "prefault", "off", "", "Take all memory at the start and not on use", SWITCH },
	{ "steering", "auto", "", "How datagrams find their worker", WORD("auto", "bpf", "mailbox") },
	{ "control", "data_dir/ringwheel.sock", "", "Control socket of rwctl; relative as data_dir",
	  TEXT("path", "up to 107 characters") },
	{ "prefix_mode", "terminate", "",
	  "Whether gateways of shorter prefixes follow when those of the longest have failed; gateways may say "
	  "otherwise",
	  WORD("terminate", "continue") },
	{ "journal_sync_ms", "20", "ms", "What has happened to a call outlives the machine after so long",
	  NUMBER(1, CONFIG_SYNC_MS_MAX) },
	{ "journal_segment_mb", "64", "MiB", "Size of the journal's files; some are reserved ahead",
	  NUMBER(CONFIG_SEGMENT_MB_MIN, CONFIG_SEGMENT_MB_MAX) },
	{ "answer_after_sync", "off", "",
	  "Hold the 200 OK back from the caller until the call's record outlives the machine; off: the process",
	  SWITCH },
	{ "on_restart", "resume", "",
	  "What becomes of calls that were up when the switch ended: they go on, or each is ended with BYE and a CDR",
	  WORD("resume", "close") },
	{ "cdr_store", "", "", "Where CDRs go: empty: data_dir/cdr.db (SQLite); else a PostgreSQL database",
	  TEXT("address", "postgresql://USER@HOST:PORT/DATABASE, up to 511 characters") },
	{ "cdr_files", "off", "", "CDRs also as text files by the hour (UTC), data_dir/cdr/YYYYMMDDHH.csv", SWITCH },
	{ "unknown_account", "pass", "",
	  "What becomes of calls whose account is not in ringwheel.db: they pass unrated, or are refused",
	  WORD("pass", "refuse") },
};

static const struct key listen_keys[] = {
	{ "transport", "udp", "", "Transport of SIP; tls comes later", WORD("udp", "tcp") },
	{ "address", "127.0.0.1", "", "Address to listen on, and the one that Via and Contact show",
	  TEXT("address", "IPv4 or IPv6, no wildcard") },
	{ "port", "5060", "", "Port to listen on", NUMBER(1, 65535) },
	{ "advertise", "", "", "What Via and Contact show instead, behind a static NAT; empty: the address",
	  TEXT("address", "or a host name") },
};

static const struct key parameter_keys[] = {
#define X(parameter, type, def, least, most, of, what) { .name = #parameter, .kind = KEY_TEXT },
	PARAMETER_TABLE(X)
#undef X
};

static const struct key mapping_keys[] = {
	{ "address", "required", "",
	  "Where the customer calls from; the most specific fits. Gateways that share one need different "
	  "callee_prefixes. Connections (TCP) come from any port, so they fit none that has one",
	  LIST(TEXT("address", "192.0.2.1, 192.0.2.0/24, [2001:db8::1]:5060")) },
	{ "callee_prefix", "", "",
	  "Selects this gateway among those that share an address, and is taken off the number dialled",
	  TEXT("prefix", PREFIXES) },
	CAPACITY_KEY,
	RATE_LIMIT_KEY("Above it: 503 with Retry-After"),
	ACCOUNT_KEY("the customer's"),
	{ "listen", "any", "",
	  "The listen section whose socket its calls come in by; by another one it is no gateway of ours",
	  TEXT("name", "of a listen section") },
	TIMER_KEY,
	RELIABLE_KEY,
	MAX_DURATION_KEY,
	{ "caller_from", "from", "", "Header that the caller's number is taken from; From where it is missing",
	  WORD("from", "p-asserted-identity", "remote-party-id", "p-preferred-identity") },
	{ "callee_from", "request-uri", "", "Where the callee's number is taken from", WORD("request-uri", "to") },
	REWRITE_KEYS(" as it comes in"),
	{ "allow", "all", "", "Routing gateways that its calls may use, no other",
	  LIST(TEXT("name", "of a routing_gateway")) },
	{ "deny", "none", "", "Routing gateways that its calls may not use",
	  LIST(TEXT("name", "of a routing_gateway")) },
	{ "prefix_mode", "inherit", "",
	  "Whether gateways of shorter prefixes follow when those of the longest have failed; inherit: as those "
	  "gateways say",
	  WORD("inherit", "terminate", "continue") },
	{ "sort", "none", "",
	  "What decides between routing gateways of the same priority, before their load: the larger ASR, the lower "
	  "price (the rate a minute of the vendor's account)",
	  LIST(WORD("asr", "price")) },
	{ "failed_reason_map", "none", "",
	  "What the caller gets instead of a final code: the first rule that fits. From 300..699 to 400..699",
	  LIST(TEXT("rule", "\"503 -> 480\", \"500-599 -> 503\", \"5xx -> 503\"")) },
};

static const struct key routing_keys[] = {
	{ "address", "required", "",
	  "Where calls are sent, port 5060 if none is given, tried in turn. A host name is resolved when the "
	  "configuration "
	  "is loaded: each of its addresses counts, in the resolver's order",
	  LIST(TEXT("address or host name",
		    "1 to " NUMBER_TEXT(ROUTING_ADDRESSES_MAX) ", of one family, with an optional port")) },
	{ "prefix", "\"\" (any)", "", "Beginnings of the numbers that it serves", LIST(TEXT("prefix", PREFIXES)) },
	{ "prefix_file", "none", "",
	  "File with further prefixes, one a line, # begins a comment, \"\" is any; relative as data_dir",
	  TEXT("path", "up to 4095 characters") },
	{ "prefix_mode", "inherit", "",
	  "Whether gateways of shorter prefixes follow when those of this one have failed; inherit: as the node says",
	  WORD("inherit", "terminate", "continue") },
	{ "priority", "1", "", "The smallest is tried first", NUMBER(0, CONFIG_PRIORITY_MAX) },
	CAPACITY_KEY,
	RATE_LIMIT_KEY("Above it: the next gateway is taken"),
	ACCOUNT_KEY("the vendor's"),
	{ "listen", "the first of the address's family, udp before tcp", "", "The listen section whose socket is used",
	  TEXT("name", "of a listen section") },
	{ "transport", "that of the listen section", "",
	  "How its calls are sent; with it the listen section is the first of that transport, unless one is named",
	  WORD("udp", "tcp") },
	TIMER_KEY,
	RELIABLE_KEY,
	MAX_DURATION_KEY,
	{ "tech_prefix", "", "", "Put before the number sent", TEXT("prefix", PREFIXES ", a + in front") },
	REWRITE_KEYS(" as it goes out, before tech_prefix"),
	{ "p_asserted_identity", "none", "",
	  "P-Asserted-Identity that it is sent: none, what the caller's gateway sent (only with the caller's Privacy), "
	  "or "
	  "the caller's number",
	  WORD("none", "pass", "caller") },
	{ "privacy", "none", "",
	  "Privacy that it is sent: none, what the caller's gateway sent, or id. With it and P-Asserted-Identity, From "
	  "is "
	  "anonymous",
	  WORD("none", "pass", "id") },
	{ "stop_codes", "none", "", "Final codes after which no other gateway is tried", LIST(TEXT("code", CODES)) },
	{ "ignore_6xx", "off", "", "603, 604 and 606 are this gateway's word only: the next one is tried", SWITCH },
	{ "options_check", "off", "",
	  "Ask by OPTIONS each SS_SIP_OPTIONS_CHECK_PERIOD whether it is there; no calls go to one that is not",
	  SWITCH },
	{ "least_cost", "off", "",
	  "Of the gateways of the same priority those with it come first, the lowest rate of its account before the "
	  "others",
	  SWITCH },
	{ "min_profit_percent", "0", "%",
	  "Only for calls whose customer's rate is above the vendor's by so much of the customer's rate; 0 is any call",
	  NUMBER(0, 100) },
	{ "max_price", "0", "per min", "Only for calls whose vendor's rate is not above it; 0 is any call",
	  TEXT("amount", "0.00000001 and more, up to 8 decimals") },
	{ "timeout_invite", "0", "s", "Its own SS_SIP_TIMEOUT_INVITE; 0 is the parameter", NUMBER(0, 300) },
	{ "timeout_trying", "0", "s", "Its own SS_SIP_TIMEOUT_TRYING; 0 is the parameter", NUMBER(0, 300) },
	{ "timeout_session_progress", "0", "s", "Its own SS_SIP_TIMEOUT_SESSION_PROGRESS; 0 is the parameter",
	  NUMBER(0, 600) },
	{ "timeout_session_progress_sdp", "0", "s", "Its own SS_SIP_TIMEOUT_SESSION_PROGRESS_SDP; 0 is the parameter",
	  NUMBER(0, 600) },
	{ "timeout_ringing", "0", "s", "Its own SS_SIP_TIMEOUT_RINGING; 0 is the parameter", NUMBER(0, 600) },
};

#define ROWS(table) .keys = table, .key_count = sizeof table / sizeof table[0]

const struct section_form section_forms[SECTION_KINDS] = {
	[SECTION_NODE] = {
		"", false, ROWS(node_keys),
		"The node as a whole. These stand outside all sections.",
		"node        = \"pop1\"              # in every CDR\n"
		"data_dir    = \"data\"              # beside this file\n"
		"workers     = 0                   # one for each core\n"
		"max_calls   = 200000\n"
		"prefix_mode = \"continue\"          # 880, then 88, then 8, ...\n",
	},
	[SECTION_LISTEN] = {
		"listen", true, ROWS(listen_keys),
		"A socket to listen on: one section for each address, 1 to 64.",
		"listen \"main\" {\n"
		"  address = \"192.0.2.10\"\n"
		"  port    = 5060\n"
		"}\n"
		"listen \"six\" {\n"
		"  address   = \"2001:db8::10\"\n"
		"  advertise = \"sip.example.net\"   # what peers are told\n"
		"}\n"
		"listen \"main-tcp\" {\n"
		"  transport = \"tcp\"\n"
		"  address   = \"192.0.2.10\"\n"
		"}\n",
	},
	[SECTION_PARAMETERS] = {
		"parameters", false, ROWS(parameter_keys),
		"What holds for all gateways. Each can be changed while the switch runs (rwctl param NAME VALUE), until the "
		"next reload.",
		"parameters {\n"
		"  SS_SIP_SESSION_TTL      = 1800\n"
		"  SS_SIP_RESEND_INTERVAL  = \"0.5,1,2,4\"\n"
		"  SS_GATEWAY_SWITCH_LIMIT = 5        # six gateways at most\n"
		"  SS_REPLY_UNAUTHORIZED   = off      # strangers hear nothing\n"
		"}\n",
	},
	[SECTION_MAPPING] = {
		"mapping_gateway", true, ROWS(mapping_keys),
		"A customer: where calls come in.",
		"mapping_gateway \"customer-a\" {\n"
		"  address           = {\"198.51.100.0/24\", \"[2001:db8:1::5]:5060\"}\n"
		"  capacity          = 200\n"
		"  rate_limit        = 20\n"
		"  account           = \"customer-a\"\n"
		"  caller_from       = \"p-asserted-identity\"\n"
		"  rewrite_callee    = {\"00 ->\", \"0 -> 44\"}   # 0049.. to 49.., 0207.. to 44207..\n"
		"  deny              = {\"vendor-c\"}\n"
		"  sort              = {\"asr\"}\n"
		"  failed_reason_map = {\"503 -> 480\", \"5xx -> 500\"}\n"
		"}\n"
		"mapping_gateway \"customer-a-premium\" {\n"
		"  address           = \"198.51.100.0/24\"     # the same trunk, told apart\n"
		"  callee_prefix     = \"99#\"                 # by what is dialled first\n"
		"  allow             = {\"vendor-b\"}\n"
		"}\n",
	},
	[SECTION_ROUTING] = {
		"routing_gateway", true, ROWS(routing_keys),
		"A carrier: where calls leave to.",
		"routing_gateway \"vendor-b\" {\n"
		"  address        = {\"203.0.113.5:5060\", \"203.0.113.6\"}   # the second when the first is silent\n"
		"  prefix         = {\"880\", \"44\"}\n"
		"  capacity       = 100\n"
		"  tech_prefix    = \"777\"\n"
		"  rewrite_caller = {\"^(\\\\d{10})$ -> 1\\\\1\"}      # a pattern: ten digits get a 1 in front\n"
		"  stop_codes     = {404, \"480-489\"}\n"
		"  options_check  = on\n"
		"  account        = \"vendor-b\"\n"
		"  least_cost     = on\n"
		"  max_price      = 0.05                         # a minute\n"
		"}\n"
		"routing_gateway \"vendor-c\" {\n"
		"  address        = \"203.0.113.9\"\n"
		"  prefix         = \"\"                           # any number\n"
		"  priority       = 2                            # when vendor-b's are used up\n"
		"  ignore_6xx     = on\n"
		"  timeout_invite = 4\n"
		"  transport      = \"tcp\"\n"
		"}\n",
	},
};

int key_find(enum section_kind kind, const char *name)
{
	const struct section_form *form = &section_forms[kind];

	for (unsigned i = 0; i < form->key_count; i++)
		if (strcmp(form->keys[i].name, name) == 0)
			return (int)i;
	return -1;
}

const char *key_word(enum section_kind kind, const char *name, unsigned value)
{
	return section_forms[kind].keys[key_find(kind, name)].words[value];
}

int key_word_find(const struct key *key, const char *word)
{
	for (int i = 0; key->words[i]; i++)
		if (strcasecmp(key->words[i], word) == 0) /* some are names of header fields */
			return i;
	return -1;
}

const char *key_range(const struct key *key, char text[static KEY_RANGE_MAX])
{
	unsigned used = 0;

	switch (key->kind) {
	case KEY_NUMBER:
		snprintf(text, KEY_RANGE_MAX, "%u..%u", key->min, key->max);
		return text;
	case KEY_SWITCH:
		return "on, off";
	case KEY_TEXT:
		return key->allowed ? key->allowed : "";
	case KEY_WORD:
		break;
	}
	text[0] = '\0';
	for (unsigned i = 0; key->words[i] && used < KEY_RANGE_MAX; i++)
		used += (unsigned)snprintf(text + used, KEY_RANGE_MAX - used, "%s%s", i ? ", " : "", key->words[i]);
	return text;
}
