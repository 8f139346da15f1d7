/* The hand-over to sofia-sip: see library.h.
 *
 * Two costs of sofia-sip grow faster than the message: comma lists are parsed by recursion, and each header is appended
 * by walking all of its kind.  So a linear check stands before it: SIP_LIST_MAX elements of one kind, SIP_HEADERS_MAX
 * lines, and the in-place reader must take the plain form first. */
#include "sip/library.h"

#include <assert.h>

/* Two names are theirs and ours; theirs are not used here.  (The linker is kept from mixing them up by the visibility
 * that sip/meson.build sets.) */
#define sip_method_name sofia_method_name
#define sip_header_name sofia_header_name
#include <sofia-sip/msg_addr.h>
#include <sofia-sip/msg_parser.h>
#include <sofia-sip/sip.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_parser.h>
#include <sofia-sip/su_alloc.h>
#undef sip_method_name
#undef sip_header_name

#include "sip/fold.h"
#include "sip/names.h"
#include "sip/reader.h"
#include "sip/syntax.h"

/* Puts the display name of a From, To or Contact line in quotes, where the in-place reader asks for that.  `value` is
 * what stands in scratch up to *out, with room behind it.  Returns whether it did. */
static bool quote_display(char *value, char **out)
{
	struct sip_name_address unread;
	char copy[SIP_MESSAGE_BYTES_MAX], *to = value;
	size_t size = (size_t)(*out - value);
	struct bytes display;
	const char *bracket;

	assert(size <= sizeof copy);
	if (sip_judge_name_address(sip_between(value, *out), &unread) != SIP_READ_DECLINED)
		return false;
	memcpy(copy, value, size);
	bracket = memchr(copy, '<', size);
	assert(bracket); /* or it would not have been declined */
	display = sip_trim(sip_between(copy, bracket));
	*to++ = '"';
	for (uint32_t i = 0; i < display.size; i++) {
		if (display.at[i] == '\\')
			*to++ = '\\';
		*to++ = display.at[i];
	}
	*to++ = '"';
	*to++ = ' ';
	memcpy(to, bracket, size - (size_t)(bracket - copy));
	*out = to + (size - (size_t)(bracket - copy));
	return true;
}

static bool make_plain_value(char *line, char **out)
{
	char *colon = memchr(line, ':', (size_t)(*out - line));
	struct bytes name;
	enum sip_header_id id;

	if (!colon)
		return false;
	name = sip_trim(sip_between(line, colon));
	id = sip_header_id_of(name);
	if (id == SIP_H_FROM || id == SIP_H_TO || (id == SIP_H_CONTACT && !memchr(colon, ',', (size_t)(*out - colon))))
		return quote_display(colon + 1, out);
	return false;
}

/* Writes the plain form and returns its view.  *ret_quoted: a display name got its quotes. */
static struct bytes make_plain(struct bytes text, char *scratch, bool *ret_quoted)
{
	const char *end = text.at + text.size, *line;
	char *out = scratch;
	const char *at = sip_copy_start_line(text.at, end, &out);
	bool quoted = false, blank = false; /* what sofia-sip thinks of blank lines it will say itself */

	while ((line = sip_next_line(at, end))) {
		char *start;

		*out++ = '\r';
		*out++ = '\n';
		start = out;
		at = sip_unfold_line(line, end, &out, &blank);
		quoted |= make_plain_value(start, &out);
	}
	if (at < end) /* the end of the last line, the empty one and the body */
		memcpy(out, at, (size_t)(end - at));
	out += end - at;
	assert(out <= scratch + SIP_SCRATCH_BYTES);
	*ret_quoted = quoted;
	return sip_between(scratch, out);
}

/* Whether no kind of header has more than SIP_LIST_MAX elements over all of its lines. */
static bool lists_are_short(const struct sip_message *m)
{
	uint16_t elements[SIP_HEADERS_MAX];

	for (uint32_t i = 0; i < m->header_count; i++) {
		struct bytes rest = sip_header_value(m, &m->header[i]), element;
		uint32_t same = 0;

		while (same < i &&
		       !(m->header[same].id == m->header[i].id &&
			 (m->header[i].id != SIP_H_OTHER ||
			  bytes_equal_nocase(sip_header_name(m, &m->header[same]), sip_header_name(m, &m->header[i])))))
			same++;
		if (same == i)
			elements[i] = 0;
		elements[same]++; /* an empty header is one, too */
		for (bool more = sip_list_next(&rest, &element); more && (more = sip_list_next(&rest, &element));)
			elements[same]++;
		if (elements[same] > SIP_LIST_MAX)
			return false;
	}
	return true;
}

static bool same_text(struct bytes view, const char *terminated)
{
	return bytes_equal(view, terminated ? bytes_of(terminated) : BYTES_NONE);
}

static bool same_name(struct bytes view, const char *terminated)
{
	return bytes_equal_nocase(view, terminated ? bytes_of(terminated) : BYTES_NONE);
}

/* sofia-sip undoes needless escapes, so what holds any is not compared. */
static bool same_url(struct bytes text, const url_t *url)
{
	struct sip_uri uri;
	uint32_t port = 0;

	if (!sip_read_uri(text, &uri) || !same_name(uri.scheme, url->url_scheme))
		return false;
	if (!uri.is_sip)
		return true;
	if (url->url_port && !sip_read_number(bytes_of(url->url_port), &port))
		return false;
	return port == uri.port && same_name(uri.host, url->url_host) &&
	       (memchr(text.at, '%', text.size) || same_text(uri.user, url->url_user));
}

static bool same_via(const struct sip_via *via, const sip_via_t *theirs)
{
	uint32_t port = 0;

	if (!theirs || (theirs->v_port && !sip_read_number(bytes_of(theirs->v_port), &port)))
		return false;
	return port == via->port && same_name(via->host, theirs->v_host) && same_text(via->branch, theirs->v_branch) &&
	       same_text(via->received, theirs->v_received) && (via->has_rport || !theirs->v_rport);
}

/* sofia-sip looks into URIs of other schemes, too, and drops the header; to us they are opaque. */
static bool is_opaque(struct bytes text)
{
	struct sip_uri uri;

	return sip_read_uri(text, &uri) && !uri.is_sip;
}

static bool same_party(const struct sip_name_address *party, const sip_addr_t *theirs)
{
	if (!theirs)
		return is_opaque(party->uri);
	return same_text(party->tag, theirs->a_tag) && same_url(party->uri, theirs->a_url);
}

static bool same_start_line(const struct sip_message *m, const sip_t *sip)
{
	if (!m->is_request)
		return sip->sip_status && sip->sip_status->st_status == m->status;
	return sip->sip_request && same_text(m->method_text, sip->sip_request->rq_method_name) &&
	       same_url(m->request_uri, sip->sip_request->rq_url);
}

/* Whether it has one element of this kind and no more. */
static bool is_single(const struct sip_message *m, enum sip_header_id id)
{
	const struct sip_header *h = sip_header_first(m, id);
	struct bytes rest = sip_header(m, id), element;

	return h && !sip_header_next(m, h) && sip_list_next(&rest, &element) && !sip_list_next(&rest, &element);
}

/* Whether it complains about a header of this kind.  The list has others, too: a header that stands twice where it may
 * stand once (Date, Expires, Priority, ...), which has no name there but a value of its own. */
static bool complains(const sip_t *sip, enum sip_header_id id)
{
	for (const sip_error_t *error = sip->sip_error; error; error = error->er_next)
		if (sip_is_error((const sip_header_t *)error) && error->er_name &&
		    sip_header_id_of(bytes_of(error->er_name)) == id)
			return true;
	return false;
}

/* One complaint makes sofia-sip drop the whole line; the in-place reader reads the first element and no more. */
static bool same_first_elements(const struct sip_message *m, const sip_t *sip)
{
	if (!complains(sip, SIP_H_VIA) || is_single(m, SIP_H_VIA))
		if (!same_via(&m->via, sip->sip_via))
			return false;
	if (m->contact.whole.size && (!complains(sip, SIP_H_CONTACT) || is_single(m, SIP_H_CONTACT)))
		return sip->sip_contact ? same_url(m->contact.uri, sip->sip_contact->m_url) : is_opaque(m->contact.uri);
	return true;
}

/* sofia-sip refuses some unknown methods in a CSeq, the shorter ones that begin as a known one does. */
static bool same_cseq(const struct sip_message *m, const sip_cseq_t *theirs)
{
	if (!theirs)
		return m->method == SIP_METHOD_UNKNOWN;
	return theirs->cs_seq == m->cseq && same_text(m->method_text, theirs->cs_method_name);
}

/* Max-Forwards at its largest may stand for a number that sofia-sip refuses. */
static bool same_values(const struct sip_message *m, const sip_t *sip)
{
	return same_start_line(m, sip) && same_first_elements(m, sip) && same_party(&m->from, sip->sip_from) &&
	       same_party(&m->to, sip->sip_to) && sip->sip_call_id && same_text(m->call_id, sip->sip_call_id->i_id) &&
	       same_cseq(m, sip->sip_cseq) &&
	       (m->max_forwards == UINT8_MAX || (m->max_forwards >= 0) == (sip->sip_max_forwards != NULL)) &&
	       (m->first[SIP_H_CONTENT_LENGTH] != 0) == (sip->sip_content_length != NULL);
}

/* As msg_make(), which asserts that there is memory. */
static msg_t *make_message(struct bytes text)
{
	msg_t *msg = msg_create(sip_default_mclass(), 0);
	msg_iovec_t parts[2] = { { .mv_len = 0 } };

	if (!msg)
		return NULL;
	su_home_preload(msg_home(msg), 1, (isize_t)text.size + 1024);
	if (msg_recv_iovec(msg, parts, 2, text.size, 1) < 1 || parts[0].mv_len != text.size) {
		msg_destroy(msg);
		return NULL;
	}
	memcpy(parts[0].mv_base, text.at, text.size);
	msg_recv_commit(msg, text.size, 1);
	if (msg_extract(msg) < 0)
		msg_object(msg)->msg_flags |= MSG_FLG_ERROR;
	return msg;
}

bool sip_library_agrees(struct bytes text, const struct sip_message *m)
{
	msg_t *msg = make_message(text);
	const sip_t *sip = msg ? sip_object(msg) : NULL;
	bool agrees = sip && same_values(m, sip);

	msg_destroy(msg);
	return agrees;
}

enum sip_read_result sip_library_read(struct bytes text, char *scratch, struct sip_message *ret_message,
				      struct sip_refusal *ret_refusal)
{
	struct sip_message *m = ret_message;
	struct bytes plain;
	enum sip_read_result result;
	enum sip_bad why = SIP_BAD_NONE;
	bool quoted;

	assert(text.size <= SIP_MESSAGE_BYTES_MAX);
	plain = make_plain(text, scratch, &quoted);
	result = sip_reader_read(plain, NULL, m, ret_refusal);
	m->by_library = true;
	if (result == SIP_READ_DECLINED)
		why = SIP_BAD_HEADER;
	else if (result != SIP_READ_OK)
		return result;
	else if (!lists_are_short(m))
		why = SIP_BAD_TOO_MANY;
	else if (memchr(plain.at, '\0', plain.size - m->body.size) || !sip_library_agrees(quoted ? plain : text, m))
		why = SIP_BAD_HEADER;

	sip_refuse(why, ret_refusal);
	if (why == SIP_BAD_NONE)
		return SIP_READ_OK;
	return m->is_request && m->via.whole.size && m->call_id.size ? SIP_READ_BAD : SIP_READ_GARBAGE;
}
