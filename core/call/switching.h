/* Whether a call whose attempt has failed is tried elsewhere, and what its caller gets when it is not.  Spec 6.  Pure:
 * what is decided on goes in, nothing is kept.
 *
 * Where a call may go on to:
 *
 *   SWITCH_ADDRESS   another address of the same gateway, when this one was silent, could not be reached, or said 503
 *                    (RFC 3263 4.3): no switch, so neither the limit nor a stop code forbids it; what the caller has
 *                    heard does
 *   SWITCH_GATEWAY   the next gateway
 *
 * A call that its caller has cancelled, or that RW_SETUP_MAX has ended, is over and comes here no more. */
#ifndef RW_CORE_CALL_SWITCHING_H
#define RW_CORE_CALL_SWITCHING_H

#include <stdbool.h>
#include <stdint.h>

#include "core/config/config.h"

/* The parameters as they were when the call started. */
struct switching_rules {
	uint8_t switch_limit;          /* SS_GATEWAY_SWITCH_LIMIT; 0: none */
	bool until_connect : 1;        /* SS_GATEWAY_SWITCH_UNTIL_CONNECT */
	bool stop_after_user_busy : 1; /* SS_GATEWAY_SWITCH_STOP_AFTER_USER_BUSY */
	bool stop_after_sdp : 1;       /* SS_SIP_STOP_SWITCH_AFTER_SDP */
};

struct switching_rules switching_rules_of(const struct parameters *p);

struct switching_case {
	struct switching_rules rules;
	const struct routing_gateway *routing; /* that failed; NULL: a reload has taken it away, only `rules` count */
	unsigned switches;                     /* made so far */
	bool rang;                             /* the caller heard 180, or any 18x but 183 */
	bool early_sdp;                        /* and a session description */
	bool address_failed;                   /* silent, not reached, or 503 */
	uint16_t code;                         /* final code; 0: a timer of ours has ended the attempt */
};

enum switching_step { SWITCH_ADDRESS, SWITCH_GATEWAY };

enum switching_verdict {
	SWITCH_ON,
	SWITCH_STOP_ADDRESS,  /* another address would do no better */
	SWITCH_STOP_SDP,      /* SS_SIP_STOP_SWITCH_AFTER_SDP */
	SWITCH_STOP_RANG,     /* SS_GATEWAY_SWITCH_UNTIL_CONNECT is off */
	SWITCH_STOP_LIMIT,    /* SS_GATEWAY_SWITCH_LIMIT */
	SWITCH_STOP_CODE,     /* stop_codes of the gateway */
	SWITCH_STOP_BUSY,     /* 486, 600 */
	SWITCH_STOP_DECLINED, /* 603, 604, 606: the callee's own word everywhere, unless the gateway has ignore_6xx */
};

/* The first rule that forbids the step, or SWITCH_ON. */
enum switching_verdict switching_decide(const struct switching_case *c, enum switching_step step);

/* The code of an attempt as it is told on: its own, 480 when the telephone rang out, 408 for any other silence. */
uint16_t switching_code(uint16_t code, bool rang_out);

/* The final code for the caller: what the failed_reason_map of its gateway (NULL: a reload has taken it away) has for
 * that code.  Where it has nothing: the code itself, or 503 for what is between the switch and the carrier
 * (redirections, challenges, 422), through the same map. */
uint16_t switching_code_for_caller(const struct mapping_gateway *mapping, uint16_t code);

#endif
