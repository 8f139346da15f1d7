/* One connection of the control socket: lines in, lines out.
 *
 * Requests are carried out in order, one at a time; what follows waits in the input, and no more is read than a line
 * may be long.  Replies wait in the output; a reader that lets more than CONNECTION_OUTPUT_MAX pile up is closed.  All
 * I/O is non-blocking.  A connection is freed by connection_run(), by control_close(), or, idle and the longest so, for
 * a new one, and nowhere else, so everything else may go on using it after an error: it only marks the connection
 * `gone`. */
#ifndef RW_CORE_CONTROL_CONNECTION_H
#define RW_CORE_CONTROL_CONNECTION_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/control/buffer.h"

#define CONNECTION_LINE_MAX   (1u << 20)          /* bytes of one request line */
#define CONNECTION_DRAIN_MAX  (4u << 20)          /* bytes read away behind one that was too long */
#define CONNECTION_OUTPUT_MAX (64u << 20)         /* bytes of replies not yet read, one connection */
#define CONTROL_OUTPUT_MAX    ((size_t)512 << 20) /* the same, all connections */

struct control;
struct request;

struct connection {
	struct control *control;
	int fd;           /* -1 once gone */
	uint32_t events;  /* what epoll was told */
	bool input_ended; /* the peer sends no more */
	bool refused;     /* the input broke a rule: the output is still sent, the rest read away, then it is closed */
	bool said_last;   /* refused, and the peer was told that nothing follows */
	size_t drained;   /* bytes read away since */
	uint64_t active;  /* control's count when it last sent something */
	bool gone;        /* nobody reads any more; what was asked before is still carried out */
	bool ready;       /* on control's list of connections to run */
	struct buffer input;
	size_t input_scanned; /* bytes at the front that hold no newline */
	struct buffer output;
	json_t *batch;                      /* the array of requests under way, NULL: none */
	size_t batch_next;                  /* index of the next one */
	size_t batch_replies;               /* written so far */
	struct request *request;            /* under way, NULL: none */
	struct connection *previous, *next; /* of all connections */
	struct connection *ready_next;
};

/* Takes an accepted non-blocking socket.  0 or a negative errno (the socket is closed). */
int connection_open(struct control *c, int fd);

/* What epoll says; reads and writes what can be, then asks for connection_run(). */
void connection_event(struct connection *n, uint32_t events);

/* Carries out requests, a bounded number a turn, and frees the connection when it is finished. */
void connection_run(struct connection *n);

/* Sends one reply: alone on a line, or as the next element of the batch's array. */
void connection_reply(struct connection *n, const json_t *reply);

/* Whether it waits for its peer to ask something: nothing is under way, nothing left to send. */
bool connection_is_idle(const struct connection *n);

/* Frees it at once, with the request under way (whose commands nobody works on any more). */
void connection_destroy(struct connection *n);

#endif
