/* Responses whose transaction is over.  RFC 3261 17.1.1.3. */
#include "script.h"

#include <stdio.h>
#include <string.h>

/* What an INVITE of the node was refused with, once more, as a network that repeats and damages brings it. */
static void late_failure(struct duel *d, const struct heard *invite, const char *call_id, const char *from)
{
	char text[1024];
	int size = snprintf(text, sizeof text,
			    "SIP/2.0 503 Service Unavailable\r\nVia: %s\r\nFrom: %s\r\nTo: %s\r\n"
			    "Call-ID: %s\r\nCSeq: %s\r\nContent-Length: 0\r\n\r\n",
			    header(invite, "Via"), from, header(invite, "To"), call_id, header(invite, "CSeq"));
	peer_send_raw(d->sim, d->b.host, (struct bytes){ text, (uint32_t)size });
	run(d, SIM_S);
}

/* The callee that refused the first INVITE and took the second says the refusal again: its ACK is that of the first,
 * for a dialog there was none. */
Test(rfc3261_17_1_1_3, the_ack_of_a_422_that_comes_again_goes_where_its_invite_went)
{
	struct duel *d =
		duel_up(.first = { "422 Min-SE: 700", "200 Require: timer\nSession-Expires: 700;refresher=uac" });
	struct heard *invite = nth(&d->b, "INVITE", 0);
	char call_id[80], from[200], line[200];
	run(d, 40 * SIM_S);
	unsigned before = count(&d->b, "ACK");
	snprintf(call_id, sizeof call_id, "%s", header(invite, "Call-ID"));
	snprintf(from, sizeof from, "%s", header(invite, "From"));
	late_failure(d, invite, call_id, from);
	struct heard *ack = nth(&d->b, "ACK", before);
	cr_assert(ack, "no ACK");
	int uri = (int)strcspn((const char *)invite->w.text.at + 7, " ");
	int size = snprintf(line, sizeof line, "ACK %.*s SIP/2.0\r\n", uri, (const char *)invite->w.text.at + 7);
	cr_assert(memcmp(ack->w.text.at, line, (size_t)size) == 0, "%.*s", size, (const char *)ack->w.text.at);
	hang_up(d);
	sim_destroy(d->sim);
}

static unsigned acks(const struct duel *d)
{
	unsigned sum = 0;
	for (const struct heard *h = d->b.heard; h; h = h->next)
		sum += strcmp(h->name, "ACK") == 0 ? 1 + h->again : 0;
	return sum;
}

Test(rfc3261_17_1_1_3, a_late_failure_gets_an_ack_only_if_it_is_of_our_invite)
{
	struct duel *d = duel_up(.ok = "200 Require: timer\nSession-Expires: 600;refresher=uac");
	char call_id[80], from[200], other[200];
	answers(&d->b.invite, "503", "200");
	run(d, 300 * SIM_S);
	struct heard *invite = nth(&d->b, "INVITE", 1);
	cr_assert(invite && invite->status == 503);
	unsigned before = acks(d);
	snprintf(call_id, sizeof call_id, "%s", header(invite, "Call-ID"));
	snprintf(from, sizeof from, "%s", header(invite, "From"));
	snprintf(other, sizeof other, "%.*sx", (int)strlen(from) - 1, from);
	late_failure(d, invite, "x-damaged", from);
	late_failure(d, invite, call_id, other);
	cr_assert_eq(acks(d), before);
	late_failure(d, invite, call_id, from);
	cr_assert_eq(acks(d), before + 1);
	hang_up(d);
	run(d, 2 * SIM_64T1);
	before = acks(d);
	late_failure(d, invite, call_id, other); /* of a leg that has gone */
	cr_assert_eq(acks(d), before);
	sim_destroy(d->sim);
}

/* Known bug 41: the first 200 comes again while a re-INVITE without SDP waits for the caller's ACK: that one has none
 * to wait for. */
Test(rfc3261_13_2_2_4, a_first_200_that_comes_again_has_its_ack_while_a_later_one_waits)
{
	struct duel *d = duel_up(.seed = 3);
	char text[1024], via[256], call_id[80];
	d->a.no_ack = true;
	say(&d->a, "INVITE", "", BYTES_NONE);
	run(d, SIM_S);
	struct heard *first = nth(&d->b, "INVITE", 0), *second = nth(&d->b, "INVITE", 1);
	cr_assert(second && second->status == 200);
	unsigned before = acks(d);
	snprintf(via, sizeof via, "%s", header(first, "Via"));
	snprintf(call_id, sizeof call_id, "%s", header(first, "Call-ID"));
	int size = snprintf(text, sizeof text,
			    "SIP/2.0 200 OK\r\nVia: %s\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\n"
			    "Contact: <sip:b@%s>\r\nContent-Length: 0\r\n\r\n",
			    via, header(second, "From"), header(second, "To"), call_id, header(first, "CSeq"),
			    "10.2.0.1:5060");
	peer_send_raw(d->sim, d->b.host, (struct bytes){ text, (uint32_t)size });
	run(d, SIM_S);
	cr_assert_eq(acks(d), before + 1);
	d->a.no_ack = false;
	run(d, 5 * SIM_S);
	over(d);
}
