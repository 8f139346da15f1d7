/* For the tests of early dialogs: calls whose callee says everything by the test, and PRACK. */
#ifndef RW_TESTS_CORE_CALL_EARLY_H
#define RW_TESTS_CORE_CALL_EARLY_H

#include "script.h"

#include <string.h>

#define SUPPORTS "Supported: 100rel\nAllow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE\n"
#define REQUIRES "Require: 100rel\nAllow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE\n"
#define RELIABLE "Require: 100rel\nAllow: INVITE, ACK, CANCEL, BYE, PRACK, UPDATE\nRSeq: "

/* A call whose INVITE has reached the callee, who has said 100. */
static inline struct duel *script_ringing(const struct plan *plan)
{
	struct plan by_test = *plan;
	by_test.first[0] = "-";
	struct duel *d = script_call(&by_test);
	say_response(d, "100", NULL, BYTES_NONE);
	run(d, 10 * SIM_MS);
	return d;
}
#define duel_ringing(...) script_ringing(&(struct plan){ __VA_ARGS__ })

static inline void callee_says(struct duel *d, const char *answer, const char *tag, const char *body)
{
	say_response(d, answer, tag, body ? bytes_of(body) : BYTES_NONE);
	run(d, 10 * SIM_MS);
}

/* The caller acknowledges a response, in the dialog that it hears last. */
static inline struct said *prack(struct duel *d, const struct heard *response, const char *body)
{
	char lines[64];
	snprintf(lines, sizeof lines, "RAck: %s 1 INVITE\n", header(response, "RSeq"));
	struct said *said = say(&d->a, "PRACK", lines, body ? bytes_of(body) : BYTES_NONE);
	run(d, 10 * SIM_MS);
	return said;
}

static inline bool has(const struct heard *heard, const char *text)
{
	cr_assert(heard, "\"%s\" in a message that was not sent", text);
	return memmem(heard->w.text.at, heard->w.text.size, text, strlen(text)) != NULL;
}

#define assert_body(heard, text)                                                                                       \
	cr_assert((heard) && wire_is((heard)->w.body, text), "the body is \"%.*s\", not \"%s\"",                       \
		  TEXT((heard) ? (heard)->w.body : BYTES_NONE), text)

/* It ends without an answer. */
static inline void caller_cancels(struct duel *d)
{
	struct said *invite = d->a.said;
	while (invite->next)
		invite = invite->next;
	say_cancel(&d->a, invite);
	run(d, 10 * SIM_MS);
	if (!d->b.gone)
		say_response(d, "487", NULL, BYTES_NONE);
	run(d, SIM_S);
}

#endif
