/* What the control thread asks of a shard: lists of calls, one call, its end, the stop. */
#include "core/command.h"

#include <stdio.h>

#include "core/call/bank.h"
#include "core/call/carry.h"
#include "core/call/charge.h"
#include "core/call/ending.h"
#include "core/call/facts.h"
#include "core/call/leg.h"
#include "core/call/number.h"
#include "core/call/refresh.h"
#include "core/call/state.h"

#define SLOTS_A_TURN 2000 /* call slots looked at before datagrams get their turn again */

static void copy(char *to, size_t size, struct bytes from)
{
	size_t n = from.size < size - 1 ? from.size : size - 1;
	if (n)
		memcpy(to, from.at, n);
	to[n] = '\0';
}

static const char *state_name(const struct call *call)
{
	static const char *const names[CALL_STATES] = {
		[CALL_ASKING] = "routing",    [CALL_TRYING] = "trying", [CALL_RINGING] = "ringing",
		[CALL_ANSWERED] = "answered", [CALL_UP] = "up",
	};
	return names[call->state];
}

static struct bytes minted_call_id(const struct shard *s, const struct facts *facts, char token[static IDENT_SIZE])
{
	if (!facts->tried)
		return BYTES_NONE;
	ident_write(&s->key, &facts->callee, token);
	return (struct bytes){ token, IDENT_SIZE };
}

static int64_t next_deadline_s(const struct shard *s, const struct call *call)
{
	const struct attempt *attempt = attempt_under_way(s, call);
	uint64_t at = wheel_armed(&call->timer) ? wheel_deadline_ns(&call->timer) : UINT64_MAX;
	if (attempt && wheel_armed(&attempt->timer) && wheel_deadline_ns(&attempt->timer) < at)
		at = wheel_deadline_ns(&attempt->timer);
	const struct charge *charge = charge_of(s, call);
	if (charge && !charge_is_new(charge) && charge->ends_ns < at)
		at = charge->ends_ns;
	const uint32_t legs[] = { call->caller_leg, call->callee_leg };
	for (unsigned i = 0; i < 2; i++) {
		const struct leg *leg = leg_at(s, legs[i]);
		if (leg && wheel_armed(&leg->timer) && wheel_deadline_ns(&leg->timer) < at)
			at = wheel_deadline_ns(&leg->timer);
	}
	if (at == UINT64_MAX)
		return -1;
	return at > s->now.now_ns ? (int64_t)((at - s->now.now_ns) / 1000000000) : 0;
}

static void fill_row(const struct shard *s, const struct call *call, struct call_row *row)
{
	struct facts facts;
	char token[IDENT_SIZE];
	uint32_t heap = row->heap;
	memset(row, 0, sizeof *row);
	row->heap = heap;
	facts_read(s, call, &facts);
	call_cdr_id(s, call, row->cdr_id);
	copy(row->state, sizeof row->state, bytes_of(state_name(call)));
	copy(row->mapping_gateway, sizeof row->mapping_gateway, bytes_of(gateway_name(call->mapping_id)));
	copy(row->caller_in, sizeof row->caller_in, facts.numbers[CALL_CALLER_IN]);
	copy(row->callee_in, sizeof row->callee_in, facts.numbers[CALL_CALLEE_IN]);
	copy(row->call_id_a, sizeof row->call_id_a, leg_call_id(s, leg_at(s, call->caller_leg), token));
	address_write(&facts.source, row->source_address);
	if (facts.tried) {
		copy(row->routing_gateway, sizeof row->routing_gateway, bytes_of(gateway_name(call->routing_id)));
		copy(row->caller_out, sizeof row->caller_out, facts.numbers[CALL_CALLER_OUT]);
		copy(row->callee_out, sizeof row->callee_out, facts.numbers[CALL_CALLEE_OUT]);
		copy(row->call_id_b, sizeof row->call_id_b, minted_call_id(s, &facts, token));
		address_write(&facts.destination, row->destination_address);
	}
	static const char *const timers[] = { "none", "a", "b", "a+b" };
	copy(row->session_timer, sizeof row->session_timer,
	     bytes_of(timers[call->connect_ns ? refresh_timers(s, call) : 0]));
	row->start_us = call->start_us;
	row->connect_us = facts.connect_us;
	row->age_s = (int64_t)((s->now.now_ns - call->start_ns) / 1000000000);
	row->next_deadline_s = next_deadline_s(s, call);
	row->attempts = facts.attempts_count;
	row->shard = s->shard;
}

static bool begins(struct bytes number, const char *prefix)
{
	struct bytes want = bytes_of(prefix);
	if (want.size && *want.at == '+') {
		want.at++;
		want.size--;
	}
	if (number.size && *number.at == '+') {
		number.at++;
		number.size--;
	}
	return want.size <= number.size && memcmp(number.at, want.at, want.size) == 0;
}

static bool matches_filter(const struct shard *s, const struct call *call, const struct command *command)
{
	struct facts facts;
	if (command->older_than_s &&
	    s->now.now_ns - call->start_ns < (uint64_t)command->older_than_s * UINT64_C(1000000000))
		return false;
	if (*command->gateway && strcmp(command->gateway, gateway_name(call->mapping_id)) != 0 &&
	    strcmp(command->gateway, gateway_name(call->routing_id)) != 0)
		return false;
	if (!*command->number)
		return true;
	facts_read(s, call, &facts);
	return begins(facts.numbers[CALL_CALLER_IN], command->number) ||
	       begins(facts.numbers[CALL_CALLEE_IN], command->number);
}

static bool matches_id(const struct shard *s, const struct call *call, const struct command *command)
{
	char cdr_id[CDR_ID_SIZE], token[IDENT_SIZE];
	struct bytes id = bytes_of(command->id);
	struct facts facts;
	facts_read(s, call, &facts);
	call_cdr_id(s, call, cdr_id);
	return bytes_equal(id, (struct bytes){ cdr_id, CDR_ID_SIZE }) ||
	       bytes_equal(id, leg_call_id(s, leg_at(s, call->caller_leg), token)) ||
	       bytes_equal(id, minted_call_id(s, &facts, token));
}

/* ---- a page of the list ----
 *
 * Slots are in no order of time, and calls come and go between two pages; what stays as it is, is the order of cdr_ids.
 * So a page is the lowest of them behind the last one of the page before.  The rows stay where they were filled in; a
 * heap over them, its highest cdr_id on top, says which goes for a lower one when there is no room for both. */

static const char *heap_id(const struct command *command, uint32_t place)
{
	return command->rows[command->rows[place].heap].cdr_id;
}

static void heap_swap(struct command *command, uint32_t a, uint32_t b)
{
	uint32_t row = command->rows[a].heap;
	command->rows[a].heap = command->rows[b].heap;
	command->rows[b].heap = row;
}

static void heap_rise(struct command *command, uint32_t place)
{
	while (place > 0 && strcmp(heap_id(command, place), heap_id(command, (place - 1) / 2)) > 0) {
		heap_swap(command, place, (place - 1) / 2);
		place = (place - 1) / 2;
	}
}

static void heap_sink(struct command *command, uint32_t place)
{
	for (uint32_t child; (child = 2 * place + 1) < command->row_count; place = child) {
		if (child + 1 < command->row_count && strcmp(heap_id(command, child + 1), heap_id(command, child)) > 0)
			child++;
		if (strcmp(heap_id(command, place), heap_id(command, child)) >= 0)
			return;
		heap_swap(command, place, child);
	}
}

/* The lowest ones so far are listed, and this one if it is among them. */
static void list_call(const struct shard *s, const struct call *call, struct command *command)
{
	char cdr_id[CDR_ID_SIZE];
	bool full = command->row_count == command->row_max;
	call_cdr_id(s, call, cdr_id);
	if (strncmp(cdr_id, command->id, sizeof cdr_id) <= 0)
		return;
	if (full && memcmp(cdr_id, heap_id(command, 0), sizeof cdr_id) > 0)
		return;
	if (!matches_filter(s, call, command))
		return;
	if (full) {
		fill_row(s, call, &command->rows[command->rows[0].heap]);
		heap_sink(command, 0);
		return;
	}
	uint32_t place = command->row_count++;
	command->rows[place].heap = place;
	fill_row(s, call, &command->rows[place]);
	heap_rise(command, place);
}

static void hang_up(struct shard *s, struct call *call)
{
	struct ending ending = { .reason = CDR_END_operator_hangup,
				 .side = CDR_SIDE_SWITCH,
				 .sip_code = 480,
				 .reason_header = BYTES("SIP;cause=480;text=\"operator hangup\"") };
	call_end(s, call, &ending);
	shard_settle(s);
}

static void visit(struct shard *s, struct call *call, struct command *command)
{
	char cdr_id[CDR_ID_SIZE];
	switch (command->kind) {
	case COMMAND_CALLS_LIST:
		list_call(s, call, command);
		break;
	case COMMAND_CALLS_FIND:
		if (matches_id(s, call, command))
			fill_row(s, call, &command->rows[command->row_count++]);
		break;
	case COMMAND_CALLS_HANGUP:
		call_cdr_id(s, call, cdr_id);
		if (bytes_equal(bytes_of(command->id), (struct bytes){ cdr_id, CDR_ID_SIZE })) {
			hang_up(s, call);
			command->row_count = 1;
		}
		break;
	case COMMAND_DRAIN:
	case COMMAND_STOP:
	case COMMAND_CREDIT:
		break;
	}
}

bool shard_command(struct shard *s, uint64_t now_ns, struct command *command)
{
	if (now_ns > s->now.now_ns)
		s->now.now_ns = now_ns;
	if (command->kind == COMMAND_DRAIN) {
		s->draining = true;
		return true;
	}
	if (command->kind == COMMAND_STOP) {
		if (!s->stopping) {
			s->stopping = true;
			s->keeping = command->keep_calls && carry_is_kept(s);
			s->stop_cursor = 0;
			s->stop_next_ns = s->now.now_ns;
		}
		return true;
	}
	if (command->kind == COMMAND_CREDIT) {
		bank_credit(s, command->account_id, command->amount_e8, command->generation);
		shard_settle(s);
		return true;
	}
	uint32_t row_max = command->kind == COMMAND_CALLS_HANGUP ? 1 : command->row_max;
	bool lists = command->kind == COMMAND_CALLS_LIST && row_max > 0; /* each slot may have a lower one */
	for (unsigned looked = 0; looked < SLOTS_A_TURN; looked++) {
		if ((!lists && command->row_count >= row_max) || command->cursor >= s->calls.fresh)
			return true;
		const struct slot *slot = pool_at(&s->calls, command->cursor);
		if (slot->used)
			visit(s, call_at(s, command->cursor), command);
		command->cursor++;
	}
	return false;
}
