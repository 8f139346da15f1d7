/* Every parameter of the switch: one row here is its name, type, default, range, unit and text; parsing, checking,
 * parameters.get, --help and the reference in docs/ come from it.  Spec 8. */
#ifndef RW_CORE_CONFIG_PARAMETERS_H
#define RW_CORE_CONFIG_PARAMETERS_H

#include <stdbool.h>
#include <stdint.h>

/* name, type (U32, BOOL, WAITS), default, min, max, unit, text.  A WAITS default is a string; its min and max are the
 * bounds of one wait in milliseconds. */
#define PARAMETER_TABLE(X)                                                                                             \
	X(SS_SIP_SESSION_TTL, U32, 600, 1, 86400, "s",                                                                 \
	  "Session interval asked for and granted; not below RW_SIP_MIN_SE (RFC 4028)")                                \
	X(SS_SIP_SESSION_UPDATE_SEGMENT, U32, 2, 2, 10, "count",                                                       \
	  "Parts of the session interval: one refresh falls due at the end of each but the last")                      \
	X(SS_SIP_SESSION_TIMEOUT_EARLY_HANGUP, U32, 0, 0, 60, "s",                                                     \
	  "Grace after the session interval: one last refresh, then BYE; 0 is BYE at once")                            \
	X(SS_SIP_NO_TIMER_REINVITE_INTERVAL, U32, 7200, 0, 604800, "s",                                                \
	  "Longest call of a caller without session timers; 0 is no cap")                                              \
	X(RW_SIP_MIN_SE, U32, 90, 1, 86400, "s", "Smallest session interval accepted; below 90 is for laboratories")   \
	X(RW_NO_TIMER_PROBE_INTERVAL, U32, 0, 0, 86400, "s",                                                           \
	  "In-dialog OPTIONS this often on legs without session timers; 0 is none")                                    \
	X(RW_MAX_CALL_DURATION, U32, 0, 0, 604800, "s", "Longest call; 0 is no limit")                                 \
	X(RW_SIP_T1, U32, 500, 20, 2000, "ms",                                                                         \
	  "Round-trip estimate T1 of RFC 3261 17; a transaction ends after 64*T1")                                     \
	X(RW_SETUP_MAX, U32, 300, 0, 3600, "s", "Longest call set-up, all gateways together; 0 is none")               \
	X(RW_RETRY_AFTER_MAX, U32, 60, 0, 3600, "s", "Longest rest that a Retry-After of a routing gateway earns it")  \
	X(SS_SIP_RESEND_INTERVAL, WAITS, "0.5,1,2,4,4,4,4,4,4,4", 50, 60000, "s list",                                 \
	  "Waits between retransmissions over UDP; the last one repeats")                                              \
	X(SS_SIP_TIMEOUT_INVITE, U32, 10, 1, 300, "s", "Wait for any response to an INVITE")                           \
	X(SS_SIP_TIMEOUT_TRYING, U32, 20, 1, 300, "s", "Wait after 100")                                               \
	X(SS_SIP_TIMEOUT_SESSION_PROGRESS, U32, 20, 1, 600, "s", "Wait after 183 without SDP")                         \
	X(SS_SIP_TIMEOUT_SESSION_PROGRESS_SDP, U32, 120, 1, 600, "s", "Wait after 183 with SDP")                       \
	X(SS_SIP_TIMEOUT_RINGING, U32, 120, 1, 600, "s", "Wait after 180")                                             \
	X(SS_GATEWAY_SWITCH_LIMIT, U32, 0, 0, 100, "count",                                                            \
	  "Most switches to another routing gateway for one call; 0 is no limit")                                      \
	X(SS_GATEWAY_SWITCH_UNTIL_CONNECT, BOOL, 0, 0, 1, "", "Go on to the next gateway although this one rang")      \
	X(SS_GATEWAY_SWITCH_STOP_AFTER_USER_BUSY, BOOL, 1, 0, 1, "", "486 and 600 end the search")                     \
	X(SS_SIP_STOP_SWITCH_AFTER_SDP, BOOL, 1, 0, 1, "", "A provisional response with SDP ends the search")          \
	X(SS_SIP_OPTIONS_CHECK_PERIOD, U32, 30, 5, 3600, "s",                                                          \
	  "Period of the online check by OPTIONS of routing gateways with options_check")                              \
	X(SS_GATEWAY_QUALITY_CALCULATE, BOOL, 1, 0, 1, "",                                                             \
	  "Keep the live quality (ASR, ACD, PDD) of routing gateways")                                                 \
	X(SS_GATEWAY_QUALITY_RESERVE_TIME, U32, 3600, 60, 86400, "s", "Length of the window of live quality")          \
	X(SS_GATEWAY_QUALITY_RESERVE_SEPARATE, U32, 6, 1, 60, "count",                                                 \
	  "Slices of that window: the oldest one drops out as a whole")                                                \
	X(SS_REPLY_UNAUTHORIZED, BOOL, 1, 0, 1, "", "Answer unknown sources with 403; off is silence")                 \
	X(RW_UNAUTHORIZED_RATE, U32, 100, 0, 100000, "1/s",                                                            \
	  "Datagrams a second that are read from one unknown source (IPv6: /64), the rest is dropped; 0 is no limit")  \
	X(RW_UNAUTHORIZED_RATE_ALL, U32, 1000, 0, 1000000, "1/s",                                                      \
	  "The same from all unknown sources together; 0 is no limit")                                                 \
	X(SS_QOS_SIGNAL, U32, 0xa0, 0, 0xff, "TOS byte", "TOS byte of signalling datagrams")                           \
	X(SERVER_BILLING_HOLD_TIME_PRECISION, U32, 50, 0, 999, "ms",                                                   \
	  "A rest of a second this long counts as a second")                                                           \
	X(SERVER_BILLING_FEE_PRECISION, U32, 2, 0, 8, "decimals", "Decimals of a fee")                                 \
	X(SERVER_BILLING_FREE_TIME, U32, 0, 0, 3600, "s", "Seconds of each call that are not billed")                  \
	X(SERVER_BILLING_RECORD_ZERO_HOLD_TIME, BOOL, 1, 0, 1, "", "Write CDRs of calls that were not answered")       \
	X(SERVER_BILLING_RECORD_ILLEGAL_CALL, BOOL, 0, 0, 1, "", "Write CDRs of unauthorised and shed INVITEs")        \
	X(SERVER_BILLING_PREVENT_OVERDRAFT_ADVANCE_TIME, U32, 1, 1, 15, "min", "Credit a call needs in advance")

#define PARAMETER_WAITS_MAX 20
#define PARAMETER_TEXT_MAX  160 /* the longest text of a value, with its NUL */

struct parameter_waits {
	uint32_t count;
	uint32_t ms[PARAMETER_WAITS_MAX];
};

#define PARAMETER_TYPE_U32   uint32_t
#define PARAMETER_TYPE_BOOL  bool
#define PARAMETER_TYPE_WAITS struct parameter_waits

/* The values in force: config->parameters.SS_SIP_SESSION_TTL. */
struct parameters {
#define X(name, type, def, min, max, unit, text) PARAMETER_TYPE_##type name;
	PARAMETER_TABLE(X)
#undef X
};

enum parameter_kind { PARAMETER_U32, PARAMETER_BOOL, PARAMETER_WAITS };

struct parameter_info {
	const char *name;
	enum parameter_kind kind;
	const char *default_text;
	uint32_t min, max;
	const char *unit;
	const char *text;
};

/* The least value as ranges show it: a number, or the name of the parameter it must not be below. */
const char *parameter_min_text(const struct parameter_info *info, char text[static 16]);

extern const struct parameter_info parameter_infos[];
extern const unsigned parameter_count;

void parameters_defaults(struct parameters *p);
/* The index in parameter_infos, -1 if there is no such name. */
int parameter_find(const char *name);
/* Reads a value (decimal or 0x for U32; on/off, true/false, yes/no, 1/0 for BOOL; "0.5,1,2" for WAITS).  0, -ENOENT or
 * -EINVAL/-ERANGE with a sentence in `error` that names the parameter and what is allowed. */
int parameter_set(struct parameters *p, const char *name, const char *value, char error[static 256]);
/* on/off, true/false, yes/no, 1/0, in any case of letters.  false: none of these. */
bool parameter_read_switch(const char *value, bool *ret_on);
/* The value as text, as it would stand in a configuration file (a list of waits: between the quotes). */
void parameter_text(const struct parameters *p, int index, char *text, unsigned size);
/* Checks that span parameters (SS_SIP_SESSION_TTL >= RW_SIP_MIN_SE).  0 or -ERANGE and a sentence. */
int parameters_check(const struct parameters *p, char error[static 256]);

#endif
