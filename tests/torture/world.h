/* A sender, a carrier that answers 486 to every INVITE, and a shard between them, for messages that others have made to
 * break it.  What may never happen whatever the message says is asserted here: that a datagram goes anywhere but to
 * those two, that one datagram has two final answers, that what is passed on is malformed.
 *
 * The messages lie outside the project, in RW_TORTURE_DIR (by default ../shared/torture beside the source tree). */
#ifndef RW_TESTS_TORTURE_WORLD_H
#define RW_TESTS_TORTURE_WORLD_H

#include "tests/core/call/lone.h"

#define TORTURE_FILE_MAX 65536

struct world {
	struct lone *lone;
	uint16_t from_port;
	bool feeding;
	/* Of the datagram fed last, and of what the carrier said to it. */
	unsigned status;    /* of the final answer; 0: none */
	unsigned responses; /* provisional ones, too */
	unsigned invites;   /* passed on to the carrier: one, and after a 422 one more */
	char *answer;       /* the final answer, terminated; NULL: none */
	char invite[16384]; /* the latest that was passed on, terminated */
	/* What the carrier answers: "200 OK\r\nContact: ...\r\n"; NULL: 486. */
	const char *carrier_answers;
};

/* parameters: lines of the configuration, NULL: none. */
struct world *world_create(const char *parameters);
/* Nothing may be left, and each call has its one record. */
void world_destroy(struct world *w);

/* Feeds it; then the carrier answers what was passed on. */
void world_feed(struct world *w, struct bytes datagram);
/* Whether an OPTIONS is answered as ever. */
bool world_is_well(struct world *w);

const char *torture_directory(void);
/* Reads a file of it.  false: it is not there, or is empty. */
bool torture_load(const char *name, char text[static TORTURE_FILE_MAX], struct bytes *ret_text);
/* Every line feed that follows no carriage return gets one; `out` is twice as long. */
struct bytes torture_with_crlf(struct bytes text, char *out);

/* "403|405", "ACCEPT" (any final answer that is no verdict on the syntax), "DROP" (none), "ANY". */
bool torture_is_right(const char *answers, unsigned status);

#endif
