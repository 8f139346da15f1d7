/* The numbers of a call on their way through it: rules of both gateways, prefixes, where they are read.  Spec 7, 9. */
#include "script.h"

#include <string.h>

#include "core/text.h"

#define MG(lines) "mapping_gateway \"mg\" { address = {\"10.1.0.0/16\"} " lines " }\n"
#define RG(n, lines)                                                                                                   \
	"routing_gateway \"rg" #n "\" { address = \"10.2.0." #n ":5060\" prefix = {\"880\"} priority = " #n " " lines  \
	" }\n"

/* "99#N": with the number that names the call in place of the N. */
static const char *with_number(const struct duel *d, const char *text)
{
	static char texts[8][256];
	static unsigned turn;
	char *out = texts[turn++ % 8];
	const char *n = strchr(text, 'N');
	snprintf(out, sizeof texts[0], "%.*s%s%s", n ? (int)(n - text) : 256, text, n ? d->call->number : "",
		 n ? n + 1 : "");
	return out;
}

/* The n-th INVITE that went out: request-URI and To, and From, as they stand on the wire. */
static void assert_sent(const struct duel *d, unsigned n, unsigned gateway, const char *caller, const char *callee)
{
	char wanted[512];
	const struct heard *invite = nth(&d->b, "INVITE", n);
	cr_assert(invite, "there is no INVITE %u", n);
	snprintf(wanted, sizeof wanted, "sip:%s@10.2.0.%u:5060", with_number(d, callee), gateway);
	cr_assert(wire_is(invite->w.uri, wanted), "%.*s, not %s", TEXT(invite->w.uri), wanted);
	snprintf(wanted, sizeof wanted, "<sip:%s@10.2.0.%u:5060>", with_number(d, callee), gateway);
	assert_header(invite, "To", wanted);
	snprintf(wanted, sizeof wanted, "<sip:%s%s10.0.0.1>;tag=%.*s", caller, *caller ? "@" : "",
		 TEXT(invite->w.from_tag));
	assert_header(invite, "From", wanted);
}

static void assert_text(const struct cdr_text *text, const char *wanted, const char *what)
{
	cr_assert(text->size == strlen(wanted) && memcmp(text->at, wanted, text->size) == 0, "%s: %.*s, not %s", what,
		  (int)text->size, text->at, wanted);
}

/* Ends the call, and looks at its record. */
static void assert_recorded(struct duel *d, const char *caller_in, const char *callee_in, const char *caller_out,
			    const char *callee_out)
{
	if (!d->call->cdr_count)
		hang_up(d);
	const struct cdr *cdr = cdr_of(d->call);
	assert_text(&cdr->caller_in, with_number(d, caller_in), "caller_in");
	assert_text(&cdr->callee_in, with_number(d, callee_in), "callee_in");
	assert_text(&cdr->caller_out, with_number(d, caller_out), "caller_out");
	assert_text(&cdr->callee_out, with_number(d, callee_out), "callee_out");
}

/* ---- rules ---- */

Test(spec_7, without_rules_numbers_go_out_as_they_are_looked_up)
{
	struct duel *d = duel_up(.number = "+N", .from = "+49-30-1");
	assert_sent(d, 0, 1, "+49-30-1", "N");
	assert_recorded(d, "+49-30-1", "+N", "+49-30-1", "N");
	over(d);
}

/* 0 -> 1 fits first, and then no prefix of any gateway does. */
Test(rewrite_callee, a_rule_that_stands_behind_one_that_fits_is_not_looked_at)
{
	struct duel *d = duel(.gateways = MG("rewrite_callee = {\"0 -> 1\", \"00 ->\"}") RG(1, ""), .number = "00N");
	cr_assert_null(nth(&d->b, "INVITE", 0));
	assert_reason(d->call, no_route);
	assert_recorded(d, "+49300", "00N", "", "");
	over(d);
}

Test(rewrite_callee, rules_of_both_gateways_one_after_the_other)
{
	struct duel *d = duel_up(.gateways = MG("rewrite_callee = {\"00 ->\", \"0 -> 1\"}")
					 RG(1, "rewrite_callee = {\"00 ->\", \"880 -> 0880\"}"),
				 .number = "+0-0N", .from = "+4930");
	assert_sent(d, 0, 1, "+4930", "0N");
	assert_recorded(d, "+4930", "+0-0N", "+4930", "0N");
	over(d);
}

/* Spec 7: patterns on both gateways, and a + is a character like any other on the caller's side. */
Test(rewrite_caller, patterns_of_both_gateways)
{
	struct duel *d = duel_up(.gateways = MG("rewrite_caller = {\"^\\\\+(\\\\d+)$ -> \\\\1\", \"-> 5\"}")
					 RG(1, "rewrite_caller = {\"^49(30)(\\\\d+) -> 0\\\\1-\\\\2\"}"),
				 .from = "+49301234");
	assert_sent(d, 0, 1, "030-1234", "N");
	assert_recorded(d, "+49301234", "N", "030-1234", "N");
	over(d);
}

/* Each gateway gets what its own rules make of the mapping gateway's numbers, not of what the one before was sent. */
Test(spec_7, each_gateway_tried_has_its_own_numbers)
{
	struct duel *d = duel_up(.gateways = MG("rewrite_caller = {\"+ ->\"}")
					 RG(1, "rewrite_caller = {\"49 -> 0\"} rewrite_callee = {\"-> 1\"}")
						 RG(2, "tech_prefix = \"22#\" rewrite_caller = {\"-> 2\"}") RG(3, ""),
				 .from = "+4930", .first = { "503", "503", "200" });
	assert_sent(d, 0, 1, "030", "1N");
	assert_sent(d, 1, 2, "24930", "22%23N");
	assert_sent(d, 2, 3, "4930", "N");
	assert_recorded(d, "+4930", "N", "4930", "N");
	cr_assert_eq(cdr_of(d->call)->attempts_count, 3);
	over(d);
}

/* Spec 9: caller_out and callee_out are those of the last attempt, also when it has failed. */
Test(spec_9, the_record_has_the_numbers_of_the_last_attempt)
{
	struct duel *d = duel(.gateways = MG("") RG(1, "") RG(2, "tech_prefix = \"9\" rewrite_caller = {\"+ -> 00\"}"),
			      .from = "+4930", .first = { "503", "500" });
	assert_sent(d, 0, 1, "+4930", "N");
	assert_sent(d, 1, 2, "004930", "9N");
	assert_recorded(d, "+4930", "N", "004930", "9N");
	cr_assert_eq(cdr_of(d->call)->sip_code, 500);
	over(d);
}

Test(tech_prefix, stands_before_what_the_rules_have_made)
{
	struct duel *d =
		duel_up(.gateways = MG("") RG(1, "tech_prefix = \"*9\" rewrite_callee = {\"88 -> 088\"}"), .from = "1");
	assert_sent(d, 0, 1, "1", "*90N");
	assert_recorded(d, "1", "N", "1", "*90N");
	over(d);
}

/* An early dialog and CANCEL: what repeats the INVITE has its numbers. */
Test(tech_prefix, is_in_the_cancel_too)
{
	struct duel *d = duel(.gateways = MG("") RG(1, "tech_prefix = \"9\""), .first = { "180", "200" });
	say_cancel(&d->a, d->a.said);
	run(d, SIM_S);
	const struct heard *invite = nth(&d->b, "INVITE", 0), *cancel = nth(&d->b, "CANCEL", 0);
	cr_assert(invite && cancel);
	cr_assert(bytes_equal(invite->w.uri, cancel->w.uri));
	cr_assert(bytes_equal(invite->w.to, cancel->w.to));
	assert_text(&cdr_of(d->call)->callee_out, with_number(d, "9N"), "callee_out");
	finish(d->sim);
}

/* ---- callee_prefix ---- */

Test(callee_prefix, is_taken_off_before_the_rules)
{
	struct duel *d =
		duel_up(.gateways = MG("callee_prefix = \"77\" rewrite_callee = {\"77 -> 1\", \"^0+ ->\"}") RG(1, ""),
			.number = "+77000N");
	assert_sent(d, 0, 1, "+49300", "N");
	assert_recorded(d, "+49300", "+77000N", "+49300", "N");
	over(d);
}

/* ---- where numbers are read ---- */

Test(caller_from, p_asserted_identity)
{
	struct duel *d =
		duel_up(.gateways = MG("caller_from = \"p-asserted-identity\" rewrite_caller = {\"+ ->\"}") RG(1, ""),
			.invite = "P-Asserted-Identity: \"A\" <sip:+15551@x;user=phone>, <tel:+15552>\n");
	assert_sent(d, 0, 1, "15551", "N");
	assert_recorded(d, "+15551", "N", "15551", "N");
	over(d);
}

Test(caller_from, a_header_that_is_missing_leaves_from)
{
	struct duel *d = duel_up(.gateways = MG("caller_from = \"remote-party-id\"") RG(1, ""), .from = "123",
				 .invite = "P-Asserted-Identity: <sip:+15551@x>\n");
	assert_sent(d, 0, 1, "123", "N");
	assert_recorded(d, "123", "N", "123", "N");
	over(d);
}

/* The mapping gateway is that of the number in the request-URI, the callee that of To. */
Test(callee_from, to)
{
	static const char gateways[] =
		MG("callee_prefix = \"77\" callee_from = \"to\" rewrite_callee = {\"0 ->\"}") RG(1, "");
	static const char *const tos[] = { "770N", "0N", "+77-0N" };
	for (unsigned i = 0; i < sizeof tos / sizeof *tos; i++) {
		struct duel *d = duel_up(.gateways = gateways, .number = "775", .to = tos[i]);
		assert_sent(d, 0, 1, "+49300", "N");
		assert_recorded(d, "+49300", tos[i], "+49300", "N");
		over(d);
	}
}

/* ---- what rules can do to a number ---- */

Test(spec_7, a_plus_of_a_rule_is_not_looked_up_but_sent)
{
	struct duel *d = duel_up(.gateways = MG("rewrite_callee = {\"00 -> +\"} rewrite_caller = {\"00 -> +\"}")
					 RG(1, "rewrite_callee = {\"880 -> +880\"}"),
				 .number = "00N", .from = "0049");
	assert_sent(d, 0, 1, "+49", "+N");
	assert_recorded(d, "0049", "00N", "+49", "+N");
	over(d);
}

Test(spec_7, a_callee_that_rules_have_made_empty_has_no_route)
{
	struct duel *d = duel(.gateways = MG("rewrite_callee = {\"^.* ->\"}") RG(1, ""));
	cr_assert_eq(cdr_of(d->call)->end_reason, CDR_END_no_route);
	cr_assert_eq(cdr_of(d->call)->sip_code, 404);
	assert_recorded(d, "+49300", "N", "", "");
	over(d);
}

/* Then the URIs have none: the gateway decides what to make of it (here: 404). */
Test(spec_7, a_number_that_the_carriers_rules_have_made_empty)
{
	struct duel *d = duel(.gateways = MG("") RG(1, "rewrite_callee = {\"^.* ->\"} rewrite_caller = {\"^.* ->\"}"));
	cr_assert_eq(sim_seen(d->call, OUT_A, "404 INVITE"), 1);
	assert_reason(d->call, rejected);
	assert_recorded(d, "+49300", "N", "", "");
	over(d);
}

Test(spec_7, an_empty_caller_goes_out_without_user)
{
	struct duel *d = duel_up(.gateways = MG("rewrite_caller = {\"^.* ->\"}") RG(1, ""));
	assert_sent(d, 0, 1, "", "N");
	assert_recorded(d, "+49300", "N", "", "N");
	over(d);
}

#define TEN(digit) digit digit digit digit digit digit digit digit digit digit

/* 128 characters are a number. */
Test(spec_7, a_rule_that_makes_a_number_too_long_does_nothing)
{
	struct duel *d =
		duel_up(.gateways = MG("rewrite_callee = {\"^.*$ -> \\\\0\\\\0\\\\0\\\\0\\\\0\\\\0\\\\0\\\\0\"}")
				RG(1, "rewrite_callee = {\"^.*$ -> \\\\0" TEN(TEN("1")) TEN("1") "\"}"));
	assert_sent(d, 0, 1, "+49300", "N" TEN(TEN("1")) TEN("1"));
	assert_recorded(d, "+49300", "N", "+49300", "N" TEN(TEN("1")) TEN("1"));
	over(d);
}

/* The longest number, and the longest tech prefix before it: it goes out whole. */
Test(tech_prefix, before_the_longest_number)
{
#define SIXTY_THREE TEN("2") TEN("2") TEN("2") TEN("2") TEN("2") TEN("2") "222"
	struct duel *d = duel_up(.gateways = MG("") RG(1, "tech_prefix = \"" SIXTY_THREE "\""),
				 .number = "N" TEN(TEN("1")) TEN("1"));
	assert_sent(d, 0, 1, "+49300", SIXTY_THREE "N" TEN(TEN("1")) TEN("1"));
	assert_recorded(d, "+49300", "N" TEN(TEN("1")) TEN("1"), "+49300", SIXTY_THREE "N" TEN(TEN("1")) TEN("1"));
	over(d);
}

/* Counted each time, said once. */
Test(rewrite_caller, a_pattern_that_takes_too_long_counts_as_not_fitting)
{
	struct plan plan = { .gateways = MG("rewrite_caller = {\"^(\\\\d+)+x -> 1\", \"5 -> 6\"}") RG(1, ""),
			     .from = TEN(TEN("5")) "qx" };
	struct duel *d = script_call_up(&plan);
	assert_sent(d, 0, 1, "6" TEN("55555") TEN("5") TEN("5") TEN("5") TEN("5") "555555555qx", "N");
	cr_assert_eq(node_stat(d->sim, rewrites_given_up), 1);
	cr_assert_str_eq(d->sim->last_log, "event=rewrite_given_up gateway=mg");
	unsigned lines = d->sim->log_lines;
	struct duel *second = script_call_in(d->sim, &plan);
	run(second, 2 * SIM_S);
	cr_assert_eq(node_stat(d->sim, rewrites_given_up), 2);
	cr_assert_eq(d->sim->log_lines, lines);
	hang_up(second);
	over(d);
}

/* ---- no room ---- */

static unsigned takes_left; /* the text store refuses the one that makes it 0 */

uint32_t __real_text_take(struct text_store *t, uint32_t size);
uint32_t __wrap_text_take(struct text_store *t, uint32_t size);

uint32_t __wrap_text_take(struct text_store *t, uint32_t size)
{
	return takes_left && --takes_left == 0 ? TEXT_NONE : __real_text_take(t, size);
}

/* Whatever it is that has no room when the second gateway's turn comes: an INVITE that went out has its numbers in the
 * record, and one that did not leaves those of the attempt before. */
Test(spec_9, the_record_has_what_was_sent_also_where_there_is_no_room)
{
	unsigned sent = 0, not_sent = 0;
	for (unsigned n = 1; n <= 8; n++) {
		struct duel *d = duel_up(.gateways = MG("") RG(1, "tech_prefix = \"1\"") RG(2, "tech_prefix = \"2\""));
		d->sim->attempts_unseen = true; /* there may be no room to list one */
		struct duel *second =
			script_call_in(d->sim, &(struct plan){ .first = { "503", "200" }, .rings_ns = SIM_S });
		while (!count(&second->b, "INVITE"))
			run(second, SIM_MS);
		takes_left = n;
		run(second, 3 * SIM_S);
		takes_left = 0;
		if (count(&second->b, "INVITE") == 2)
			sent++;
		else
			not_sent++;
		if (!second->call->cdr_count)
			hang_up(second);
		assert_text(&cdr_of(second->call)->callee_out,
			    with_number(second, count(&second->b, "INVITE") == 2 ? "2N" : "1N"), "callee_out");
		over(d);
	}
	cr_assert(sent && not_sent, "%u sent, %u not", sent, not_sent);
}

/* RFC 3323 4.2: who asks for privacy has it, or no call. */
Test(rfc3323_4_2, a_privacy_that_cannot_be_kept_makes_no_call)
{
	unsigned sent = 0, refused = 0;
	for (unsigned n = 1; n <= 8; n++) {
		struct duel *d =
			duel_up(.gateways = MG("") RG(1, "p_asserted_identity = caller privacy = pass") RG(2, ""));
		d->sim->attempts_unseen = true; /* there may be no room to list one */
		struct duel *second = script_call_in(
			d->sim, &(struct plan){ .invite = "P-Asserted-Identity: <sip:+4931@gw>\nPrivacy: id\n" });
		takes_left = n;
		run(second, 3 * SIM_S);
		takes_left = 0;
		const struct heard *invite = nth(&second->b, "INVITE", 0);
		if (invite) {
			assert_header(invite, "Privacy", "id");
			cr_assert(strstr(header(invite, "From"), "anonymous.invalid"), "without room %u: %s", n,
				  header(invite, "From"));
			sent++;
		} else {
			cr_assert_eq(count(&second->a, "503 INVITE"), 1);
			refused++;
		}
		if (invite && !second->call->cdr_count)
			hang_up(second);
		over(d);
	}
	cr_assert(sent && refused, "%u sent, %u refused", sent, refused);
}
