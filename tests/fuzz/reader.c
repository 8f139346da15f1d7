/* Any datagram, read: every view lies in the text, the refusal fits the result, the numbers are in range, and whatever
 * is taken in place is taken with the same values by sofia-sip. */
#include <string.h>

#include "sip/library.h"
#include "sip/message.h"
#include "sip/names.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/oracle.h"

static void expect_inside(struct bytes view, struct bytes text)
{
	fuzz_expect(view.size == 0 || (view.at >= text.at && view.at + view.size <= text.at + text.size),
		    "a view lies in the text");
}

/* What answers and relayed requests copy, and logs and CDRs print, must not end a line. */
static void expect_one_line(struct bytes view)
{
	fuzz_expect(view.size == 0 || (!memchr(view.at, '\n', view.size) && !memchr(view.at, '\r', view.size)),
		    "a value is one line");
}

static void check_headers(const struct sip_message *m)
{
	fuzz_expect(m->header_count <= SIP_HEADERS_MAX, "no more headers than there is room for");
	for (uint32_t i = 0; i < m->header_count; i++) {
		struct bytes name = sip_header_name(m, &m->header[i]), value = sip_header_value(m, &m->header[i]);
		struct bytes rest = value, element, ignored;

		expect_inside(name, m->text);
		expect_inside(value, m->text);
		expect_one_line(value);
		fuzz_expect(m->header[i].id == sip_header_id_of(name), "a header is of the kind that its name says");
		while (sip_list_next(&rest, &element)) {
			expect_inside(element, value);
			if (sip_parameter(sip_parameters_of(element), BYTES("tag"), &ignored))
				expect_inside(ignored, element);
		}
	}
	for (uint32_t id = 0; id < SIP_HEADER_IDS; id++)
		fuzz_expect(m->first[id] <= m->header_count &&
				    (m->first[id] == 0 || m->header[m->first[id] - 1].id == id),
			    "the first of a kind is of that kind");
}

static void check_views(const struct sip_message *m, bool taken)
{
	const struct bytes lines[] = { m->method_text,  m->request_uri,  m->reason,       m->call_id,
				       m->content_type, m->via.whole,    m->via.host,     m->via.transport,
				       m->via.branch,   m->via.received, m->via.rport,    m->from.whole,
				       m->from.uri,     m->from.tag,     m->from.display, m->to.whole,
				       m->to.uri,       m->to.tag,       m->contact.uri,  m->contact.whole };

	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		expect_inside(lines[i], m->text);
		if (taken) /* an answer to what is refused copies header lines alone */
			expect_one_line(lines[i]);
	}
	expect_inside(m->body, m->text);
	check_headers(m);
}

static void check_taken(const struct sip_message *m)
{
	struct sip_uri uri;

	fuzz_expect(m->via.host.size && m->call_id.size && m->from.uri.size && m->to.uri.size,
		    "no mandatory header is empty");
	fuzz_expect(m->cseq <= INT32_MAX && m->max_forwards >= -1 && m->max_forwards <= 255, "numbers are in range");
	fuzz_expect(sip_read_uri(m->from.uri, &uri) && sip_read_uri(m->to.uri, &uri), "From and To can be read again");
	if (m->is_request)
		fuzz_expect(sip_read_uri(m->request_uri, &uri) && m->method_text.size, "the request line can be read");
	else
		fuzz_expect(m->status >= 100 && m->status <= 699, "the status is in range");
	if (m->contact.whole.size)
		fuzz_expect(sip_read_uri(m->contact.uri, &uri), "Contact can be read again");
}

/* sofia-sip reads C strings, cannot read some methods that it does not know (those that begin as a known one does, or
 * have a + or a `), and looks into URIs of other schemes. */
static bool library_can_read(const struct sip_message *m)
{
	size_t size = m->body.at ? (size_t)(m->body.at - m->text.at) : m->text.size;
	struct sip_uri uri = { .is_sip = !m->is_request };

	if (m->is_request)
		sip_read_uri(m->request_uri, &uri);
	return uri.is_sip && !memchr(m->text.at, '\0', size) && m->method != SIP_METHOD_UNKNOWN;
}

static void check_same(struct bytes text, const struct sip_message *m)
{
	const char *differs = oracle_differs(text, m);

	fuzz_expect(sip_library_agrees(text, m), "both readers find the same names of a message");
	if (differs)
		fprintf(stderr, "the readers differ: %s\n", differs);
	fuzz_expect(!differs, "both readers find the same values");
}

/* sofia-sip does not see that a URI without angle brackets ends where its line is folded. */
static bool library_can_unfold(const struct sip_message *m)
{
	const struct bytes addresses[] = { m->from.whole, m->to.whole, m->contact.whole };

	for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++)
		if (addresses[i].size && !memchr(addresses[i].at, '<', addresses[i].size))
			return false;
	return true;
}

/* What was folded is compared without its folds, and as it came. */
static void check_with_library(struct bytes text, const struct sip_message *m)
{
	if (m->by_library || !library_can_read(m))
		return;
	check_same(m->text, m);
	if (m->text.at != text.at && library_can_unfold(m))
		check_same(text, m);
}

static void check_result(enum sip_read_result result, const struct sip_message *m, const struct sip_refusal *refusal)
{
	switch (result) {
	case SIP_READ_OK:
		check_views(m, true);
		check_taken(m);
		fuzz_expect(refusal->why == SIP_BAD_NONE, "what is taken is not refused");
		break;
	case SIP_READ_BAD:
		check_views(m, false);
		fuzz_expect(m->is_request && m->via.host.size && m->call_id.size, "there is something to answer");
		fuzz_expect(refusal->status == 400 || refusal->status == 505 || refusal->status == 513,
			    "there is a status to answer with");
		fuzz_expect(refusal->why != SIP_BAD_NONE && refusal->reason[0], "a refusal has a reason");
		break;
	case SIP_READ_GARBAGE:
		fuzz_expect(refusal->why != SIP_BAD_NONE, "what is dropped has a reason");
		break;
	case SIP_READ_KEEPALIVE:
		break;
	default:
		fuzz_expect(false, "there is a result");
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static char scratch[SIP_SCRATCH_BYTES];
	static struct sip_message m;
	struct bytes text = { (const char *)bytes, (uint32_t)(size < UINT16_MAX ? size : UINT16_MAX) };
	struct sip_refusal refusal = { 0 };
	enum sip_read_result result = sip_message_read(text, scratch, &m, &refusal);

	check_result(result, &m, &refusal);
	if (result == SIP_READ_OK)
		check_with_library(text, &m);
	return 0;
}
