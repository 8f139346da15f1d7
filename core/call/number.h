/* Numbers in URIs: the user part, unescaped, without parameters and password. */
#ifndef RW_CORE_CALL_NUMBER_H
#define RW_CORE_CALL_NUMBER_H

#include "core/call/state.h"

/* The user part of a URI as received: unescaped into `room`, a leading + kept, cut at NUMBER_MAX; empty if there is
 * none. */
struct bytes number_of_uri(struct bytes uri, char room[static NUMBER_MAX]);

/* What routing looks up: a telephone number loses its leading + and visual separators (RFC 3966 5.1.1), any other user
 * part stays as it is.  `room` may be where `number` is. */
struct bytes number_plain(struct bytes number, char room[static NUMBER_MAX]);

#endif
