/* The numbers of a call: who calls and whom, on each stage of its way (enum call_number, spec 7).
 *
 *   as received     user part of the header that the mapping gateway's caller_from and callee_from name
 *   for routing     the callee's without + and visual separators; callee_prefix off; the mapping gateway's rules
 *   as sent         the routing gateway's rules, its tech_prefix in front of the callee: anew with each attempt
 *
 * They are worked out in views and rooms of the caller's stack and kept as one packed text a call (sip/pack.h). */
#ifndef RW_CORE_CALL_NUMBER_H
#define RW_CORE_CALL_NUMBER_H

#include "core/call/state.h"

/* The user part of a URI as received: unescaped into `room`, a leading + kept, cut at NUMBER_MAX; empty if there is
 * none. */
struct bytes number_of_uri(struct bytes uri, char room[static NUMBER_MAX]);

/* What routing looks up: a telephone number loses its leading + and visual separators (RFC 3966 5.1.1), any other user
 * part stays as it is.  `room` may be where `number` is. */
struct bytes number_plain(struct bytes number, char room[static NUMBER_MAX]);

/* A number as sent may be longer than any other, by the tech prefix. */
#define NUMBER_ROOM (NUMBER_MAX + CONFIG_PREFIX_MAX)

/* The numbers of a call while they are worked out.  Each is a view: into one of the rooms, into the text that is kept,
 * or the same as another. */
struct numbers {
	struct bytes at[CALL_NUMBERS];
	char room[CALL_NUMBERS][NUMBER_ROOM];
};

/* What was dialled: CALL_CALLEE_IN and CALL_CALLEE of the request-URI, which the mapping gateway is chosen by. */
void numbers_dialled(struct numbers *n, const struct sip_message *invite);

/* All that are as received, and the callee as it is looked up, from the headers that the mapping gateway names.  Where
 * such a header is missing, cannot be read or has no number: From, and the request-URI. */
void numbers_received(struct numbers *n, const struct sip_message *invite, const struct mapping_gateway *mapping);

/* What the mapping gateway makes of them: CALL_CALLER and CALL_CALLEE, and until an attempt is made those as sent. */
void numbers_map(struct shard *s, struct numbers *n, const struct mapping_gateway *mapping);

/* What a routing gateway is sent: CALL_CALLER_OUT and CALL_CALLEE_OUT of CALL_CALLER and CALL_CALLEE.  Returns whether
 * they are others than those that were there. */
bool numbers_send(struct shard *s, struct numbers *n, const struct routing_gateway *routing);

/* The text of a call's numbers; TEXT_NONE: no room. */
uint32_t numbers_keep(struct shard *s, const struct numbers *n);
/* Views into that text, valid until it is given back. */
void numbers_read(const struct shard *s, uint32_t text, struct numbers *ret_numbers);

#endif
