/* What the control thread asks of the loading thread (core/loader.h): a change of the configuration in force.  It fills
 * in one of these, the loading thread carries it out, and the control thread gets it back. */
#ifndef RW_CORE_CHANGE_H
#define RW_CORE_CHANGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "billing/order.h"
#include "core/config/parameters.h"

enum change_kind {
	CHANGE_RELOAD,    /* read the file again (or the embedded defaults): all of it or nothing */
	CHANGE_PARAMETER, /* one parameter, until the next reload brings the file's value back */
	CHANGE_ORDER,     /* something about accounts or rates, in ringwheel.db and then in what is in force */
};

#define CHANGE_NAME_MAX 64 /* characters of a parameter's name */

struct change {
	enum change_kind kind;
	char name[CHANGE_NAME_MAX + 1];
	char value[PARAMETER_TEXT_MAX]; /* asked for; when it has come back, as it is in force */
	struct order order;             /* CHANGE_ORDER */
	void *owner;                    /* the control thread's */
	_Atomic bool begun;             /* what the file says from now on may be missed */

	/* What came of it; the rest is for a result of 0, when every worker has adopted the new configuration. */
	int result;                   /* 0 or a negative errno */
	char error[512];              /* "file:line: reason", or a sentence about the parameter */
	char was[PARAMETER_TEXT_MAX]; /* the parameter's value before */
	uint32_t generation;
	uint32_t mapping_gateways, routing_gateways;
	uint64_t prefixes;
	uint32_t ms;    /* from the beginning of the reading until it was adopted */
	char *warnings; /* of a reload: a sentence a line, NULL: none; the owner frees it */
	/* Of an order; also where the result is below 0: what was done and could not be put in force has a result of 0
	 * here.  The owner frees its text. */
	struct order_outcome outcome;
	/* The shards know this account already and must be told of outcome.moved_e8 (COMMAND_CREDIT, to the account's
	 * home shard: id modulo shards); 0: nobody needs to. */
	uint32_t credit_account;

	struct change *next; /* whoever holds the change at the moment */
};

#endif
