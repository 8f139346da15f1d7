/* What the control thread asks of a shard: it fills a command, the worker carries it out between two batches (a long
 * list in portions, a number of call slots a turn), and the control thread gets it back. */
#ifndef RW_CORE_COMMAND_H
#define RW_CORE_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "billing/cdr.h"

enum command_kind {
	COMMAND_CALLS_LIST,   /* of the rows that match the filter the row_max with the lowest cdr_ids behind `id` */
	COMMAND_CALLS_FIND,   /* rows whose cdr_id or either Call-ID is `id`, at most row_max */
	COMMAND_CALLS_HANGUP, /* ends the calls with the cdr_id `id`; row_count says how many (0 or 1) */
	COMMAND_DRAIN,        /* refuse new calls; those that are up go on */
	COMMAND_STOP,   /* refuse new calls and end the live ones, paced; keep_calls: those in set-up only, at once */
	COMMAND_CREDIT, /* the balance of account_id has moved by amount_e8 (to its home shard) */
};

#define COMMAND_TEXT_MAX 128 /* a longer text in a row is cut */

struct call_row {
	char cdr_id[CDR_ID_SIZE + 1];
	char state[16]; /* routing, trying, ringing, answered (no ACK yet), up, ending */
	char mapping_gateway[64], routing_gateway[64];
	char caller_in[COMMAND_TEXT_MAX], callee_in[COMMAND_TEXT_MAX];
	char caller_out[COMMAND_TEXT_MAX], callee_out[COMMAND_TEXT_MAX];
	char call_id_a[256], call_id_b[64];
	char source_address[64], destination_address[64];
	char session_timer[8]; /* a+b, a, b, none */
	int64_t start_us, connect_us;
	int64_t age_s;           /* since the INVITE */
	int64_t next_deadline_s; /* until the next deadline of the call; -1: none */
	uint32_t attempts;
	uint16_t shard;
	uint32_t heap; /* while the shard lists: which row stands at this row's place of the heap */
};

struct command {
	enum command_kind kind;
	char gateway[64]; /* filter: name of either gateway; "" any */
	char number[64];  /* filter: prefix of the caller's or callee's number as received, with or without +; "" any */
	int64_t older_than_s;  /* filter: only calls at least this old; 0 any */
	char id[256];          /* COMMAND_CALLS_FIND, COMMAND_CALLS_HANGUP; COMMAND_CALLS_LIST: "" from the first on */
	struct call_row *rows; /* owned by the control thread, room for row_max */
	uint32_t row_max;
	uint32_t row_count; /* filled */
	bool keep_calls;
	uint32_t account_id; /* COMMAND_CREDIT */
	int64_t amount_e8;
	uint32_t generation;  /* likewise: the configuration that was in force when the balance moved */
	uint32_t cursor;      /* the shard's: next call slot to look at; 0 at first */
	unsigned shard;       /* which shard it was given to */
	void *owner;          /* the control thread's */
	struct command *next; /* whoever holds the command at the moment */
};

#endif
