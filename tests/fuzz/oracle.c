/* The comparison with sofia-sip: see oracle.h. */
#include "tests/fuzz/oracle.h"

#define sip_method_name sofia_method_name
#define sip_header_name sofia_header_name
#include <sofia-sip/msg_addr.h>
#include <sofia-sip/msg_parser.h>
#include <sofia-sip/sip.h>
#include <sofia-sip/sip_header.h>
#include <sofia-sip/sip_parser.h>
#undef sip_method_name
#undef sip_header_name

#include "sip/names.h"
#include "sip/session_timer.h"
#include "sip/span.h"
#include "sip/syntax.h"

static struct bytes view(const char *terminated)
{
	return terminated ? bytes_of(terminated) : BYTES_NONE;
}

/* sofia-sip drops a whole line, and goes on, when it dislikes one element of it. */
static bool complains(const sip_t *sip, enum sip_header_id id)
{
	for (const sip_error_t *error = sip->sip_error; error; error = error->er_next)
		if (sip_is_error((const sip_header_t *)error) &&
		    (!error->er_name || sip_header_id_of(bytes_of(error->er_name)) == id))
			return true; /* else: a header that stands twice, which is no error_t at all */
	return false;
}

static bool same_number(bool ours, int64_t number, bool theirs, uint64_t other)
{
	return ours == theirs && (!ours || number == (int64_t)other);
}

static bool same_max_forwards(const struct sip_message *m, const sip_t *sip)
{
	if (complains(sip, SIP_H_MAX_FORWARDS) || m->max_forwards == UINT8_MAX) /* may stand for a larger one */
		return true;
	return same_number(m->max_forwards >= 0, m->max_forwards, sip->sip_max_forwards,
			   sip->sip_max_forwards ? sip->sip_max_forwards->mf_count : 0);
}

static bool same_body(const struct sip_message *m, const sip_t *sip)
{
	if (complains(sip, SIP_H_CONTENT_LENGTH) || !sip->sip_payload)
		return true; /* it keeps no empty body, and none of some messages that go on after it */
	return bytes_equal(m->body, (struct bytes){ sip->sip_payload->pl_data, (uint32_t)sip->sip_payload->pl_len });
}

/* type/subtype, without parameters; sofia-sip takes the white space out. */
static bool same_content_type(const struct sip_message *m, const sip_t *sip)
{
	struct bytes theirs = sip->sip_content_type ? view(sip->sip_content_type->c_type) : BYTES_NONE;
	uint32_t at = 0;

	if (complains(sip, SIP_H_CONTENT_TYPE) || !sip->sip_content_type)
		return true;
	for (uint32_t i = 0; i < m->content_type.size && m->content_type.at[i] != ';'; i++) {
		if (m->content_type.at[i] == ' ' || m->content_type.at[i] == '\t')
			continue;
		if (at == theirs.size || bytes_lower(theirs.at[at++]) != bytes_lower(m->content_type.at[i]))
			return false;
	}
	return at == theirs.size;
}

/* Walks the elements of all lines of a kind. */
struct walk {
	const struct sip_message *m;
	const struct sip_header *line;
	struct bytes rest;
};

static struct walk walk_begin(const struct sip_message *m, enum sip_header_id id)
{
	return (struct walk){ m, sip_header_first(m, id), sip_header(m, id) };
}

static bool walk_next(struct walk *w, struct bytes *ret_element)
{
	while (w->line) {
		if (sip_list_next(&w->rest, ret_element))
			return true;
		w->line = sip_header_next(w->m, w->line);
		if (w->line)
			w->rest = sip_header_value(w->m, w->line);
	}
	return false;
}

/* The Vias below the first, which answers copy and nobody reads, need only be as many. */
static bool same_vias(const struct sip_message *m, const sip_t *sip)
{
	struct walk w = walk_begin(m, SIP_H_VIA);
	struct bytes element;
	const sip_via_t *theirs = sip->sip_via;

	if (complains(sip, SIP_H_VIA))
		return true;
	for (; walk_next(&w, &element); theirs = theirs->v_next) {
		if (memchr(element.at, '(', element.size))
			return true; /* a comment as of RFC 2543, which sofia-sip skips with its commas */
		if (!theirs)
			return false;
	}
	return !theirs;
}

static bool same_transport(const struct sip_message *m, const sip_t *sip)
{
	struct bytes theirs = sip->sip_via ? view(sip->sip_via->v_protocol) : BYTES_NONE;

	if (complains(sip, SIP_H_VIA) || theirs.size < m->via.transport.size)
		return complains(sip, SIP_H_VIA);
	theirs.at += theirs.size - m->via.transport.size;
	theirs.size = m->via.transport.size;
	return bytes_equal_nocase(theirs, m->via.transport);
}

/* A dialog's route set. */
static bool same_routes(const struct sip_message *m, enum sip_header_id id, const sip_t *sip, const sip_route_t *theirs)
{
	struct walk w = walk_begin(m, id);
	struct bytes element;

	if (complains(sip, id))
		return true;
	for (; walk_next(&w, &element); theirs = theirs->r_next) {
		struct sip_name_address address;
		struct sip_uri uri;
		uint32_t port = 0;

		if (!theirs)
			return false;
		if (!sip_read_name_address(element, &address) || !sip_read_uri(address.uri, &uri) || !uri.is_sip)
			return true; /* not used as a route; of such sofia-sip takes some and drops others */
		if (theirs->r_url->url_port && !sip_read_number(view(theirs->r_url->url_port), &port))
			return false;
		if (!bytes_equal_nocase(uri.host, view(theirs->r_url->url_host)) || port != uri.port)
			return false;
	}
	return !theirs;
}

/* A line after the first of its kind sofia-sip drops without a word when one of its elements is no token. */
static bool of_tokens(const struct sip_message *m, enum sip_header_id id)
{
	struct walk w = walk_begin(m, id);
	struct bytes element;

	while (walk_next(&w, &element))
		if (sip_span(element.at, sip_end(element), SIP_SPAN_TOKEN) != sip_end(element))
			return false;
	return true;
}

static bool same_feature(const struct sip_message *m, enum sip_header_id id, const sip_t *sip, const msg_list_t *theirs,
			 const char *feature)
{
	return complains(sip, id) || !of_tokens(m, id) ||
	       sip_list_has(m, id, bytes_of(feature)) == (sip_has_feature(theirs, feature) != 0);
}

static bool same_timer(const struct sip_message *m, const sip_t *sip)
{
	struct session_timer_headers ours;
	const sip_session_expires_t *theirs = sip->sip_session_expires;

	session_timer_read(m, &ours);
	if (ours.unreadable || complains(sip, SIP_H_SESSION_EXPIRES) || complains(sip, SIP_H_MIN_SE))
		return true;
	if (ours.interval_s == UINT32_MAX || ours.min_se_s == UINT32_MAX) /* too large */
		return true;
	return same_number(ours.has_interval, ours.interval_s, theirs, theirs ? theirs->x_delta : 0) &&
	       same_number(ours.has_min_se, ours.min_se_s, sip->sip_min_se,
			   sip->sip_min_se ? sip->sip_min_se->min_delta : 0);
}

static const char *difference(const struct sip_message *m, const sip_t *sip)
{
	if (!same_max_forwards(m, sip))
		return "Max-Forwards";
	if (!same_body(m, sip))
		return "the body";
	if (!same_content_type(m, sip))
		return "Content-Type";
	if (!same_vias(m, sip))
		return "the number of Vias";
	if (!same_transport(m, sip))
		return "the transport";
	if (!same_routes(m, SIP_H_RECORD_ROUTE, sip, sip->sip_record_route))
		return "Record-Route";
	if (!same_routes(m, SIP_H_ROUTE, sip, sip->sip_route))
		return "Route";
	if (!same_feature(m, SIP_H_SUPPORTED, sip, sip->sip_supported, "timer") ||
	    !same_feature(m, SIP_H_SUPPORTED, sip, sip->sip_supported, "100rel"))
		return "Supported";
	if (!same_feature(m, SIP_H_REQUIRE, sip, sip->sip_require, "timer") ||
	    !same_feature(m, SIP_H_REQUIRE, sip, sip->sip_require, "100rel"))
		return "Require";
	if (!same_timer(m, sip))
		return "the session timer";
	return NULL;
}

const char *oracle_differs(struct bytes text, const struct sip_message *m)
{
	msg_t *msg = msg_make(sip_default_mclass(), 0, text.at, (ssize_t)text.size);
	const sip_t *sip = msg ? sip_object(msg) : NULL;
	const char *differs = sip ? difference(m, sip) : "everything";

	msg_destroy(msg);
	return differs;
}
