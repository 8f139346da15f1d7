#include "sip/dialog.h"

#define ROUTES_MAX SIP_LIST_MAX

void dialog_build_routes(struct builder *b, const struct sip_message *m, bool reversed)
{
	struct bytes routes[ROUTES_MAX];
	unsigned count = 0;
	for (const struct sip_header *h = sip_header_first(m, SIP_H_RECORD_ROUTE); h; h = sip_header_next(m, h)) {
		struct bytes rest = sip_header_value(m, h), element;
		while (sip_list_next(&rest, &element)) {
			if (count == ROUTES_MAX) {
				b->overflow = true; /* a part of a route set leads nowhere */
				return;
			}
			routes[count++] = element;
		}
	}
	for (unsigned i = 0; i < count; i++) {
		if (i)
			build_text(b, ", ");
		build_bytes(b, routes[reversed ? count - 1 - i : i]);
	}
}

/* The first element of the route set and its URI; false: the set is empty or its first element is unreadable. */
static bool first_route(const struct dialog *d, struct bytes *ret_uri, struct bytes *ret_rest)
{
	struct bytes rest = d->text[DIALOG_ROUTES], element;
	struct sip_name_address route;
	if (!sip_list_next(&rest, &element) || !sip_read_name_address(element, &route))
		return false;
	*ret_uri = route.uri;
	*ret_rest = rest;
	return true;
}

static bool is_loose(struct bytes uri)
{
	struct sip_uri parts;
	struct bytes value;
	return sip_read_uri(uri, &parts) && sip_parameter(parts.parameters, BYTES("lr"), &value);
}

/* The parameters of a URI without that one. */
static void build_parameters_but(struct builder *b, struct bytes parameters, struct bytes name)
{
	struct bytes rest = parameters, value;
	while (rest.size) {
		const char *semicolon = memchr(rest.at, ';', rest.size);
		struct bytes one = { rest.at, semicolon ? (uint32_t)(semicolon - rest.at) : rest.size };
		uint32_t whole = one.size + (semicolon != NULL);
		if (!sip_parameter(one, name, &value)) {
			build_text(b, ";");
			build_bytes(b, one);
		}
		rest.at += whole;
		rest.size -= whole;
	}
}

/* What of the URI of a Contact or Record-Route may stand in a request-URI: neither headers nor a method parameter
 * (RFC 3261 12.2.1.1, 19.1.1). */
static void build_request_uri(struct builder *b, struct bytes uri)
{
	struct sip_uri parts;
	bool plain = !uri.size || (!memchr(uri.at, '?', uri.size) && !memmem(uri.at, uri.size, "method=", 7));
	if (plain || !sip_read_uri(uri, &parts) || !parts.is_sip) {
		build_bytes(b, uri);
		return;
	}
	const char *end = parts.parameters.size ? parts.parameters.at - 1
			  : parts.headers.size  ? parts.headers.at - 1
						: uri.at + uri.size;
	build_bytes(b, (struct bytes){ uri.at, (uint32_t)(end - uri.at) });
	build_parameters_but(b, parts.parameters, BYTES("method"));
}

void dialog_build_request(struct builder *b, const struct dialog *d, const struct dialog_request *r)
{
	struct bytes route = BYTES_NONE, rest = BYTES_NONE, target = d->text[DIALOG_TARGET];
	bool routed = first_route(d, &route, &rest);
	bool strict = routed && !is_loose(route);

	build_bytes(b, r->method);
	build_text(b, " ");
	build_request_uri(b, strict ? route : target);
	build_text(b, " SIP/2.0\r\nVia: SIP/2.0/");
	build_bytes(b, r->transport);
	build_text(b, " ");
	build_bytes(b, r->sent_by);
	build_text(b, ";branch=");
	build_bytes(b, r->branch);
	build_text(b, ";rport\r\nMax-Forwards: ");
	build_number(b, r->max_forwards);
	build_text(b, "\r\n");
	if (routed && !strict) {
		build_header(b, "Route: ", d->text[DIALOG_ROUTES]);
	} else if (strict) { /* 12.2.1.1: the strict router takes the request-URI, the target goes last */
		build_text(b, "Route: ");
		while (rest.size && (*rest.at == ' ' || *rest.at == ',' || *rest.at == '\t')) {
			rest.at++;
			rest.size--;
		}
		if (rest.size) {
			build_bytes(b, rest);
			build_text(b, ", ");
		}
		build_text(b, "<");
		build_bytes(b, target);
		build_text(b, ">\r\n");
	}
	build_text(b, "From: ");
	build_bytes(b, d->text[DIALOG_LOCAL]);
	if (r->local_tag.size) {
		build_text(b, ";tag=");
		build_bytes(b, r->local_tag);
	}
	build_text(b, "\r\n");
	build_header(b, "To: ", d->text[DIALOG_REMOTE]);
	build_header(b, "Call-ID: ", r->call_id);
	build_text(b, "CSeq: ");
	build_number(b, r->cseq);
	build_text(b, " ");
	build_bytes(b, r->method);
	build_text(b, "\r\n");
}

struct bytes dialog_next_hop(const struct dialog *d)
{
	struct bytes route, rest;
	return first_route(d, &route, &rest) ? route : d->text[DIALOG_TARGET];
}

bool sip_uri_address(struct bytes uri, struct address *ret_address)
{
	struct sip_uri parts;
	struct bytes maddr;
	struct address address;
	if (!sip_read_uri(uri, &parts) || !parts.is_sip)
		return false;
	bool named = sip_parameter(parts.parameters, BYTES("maddr"), &maddr) && maddr.size;
	if (!address_read_host(named ? maddr : parts.host, &address))
		return false;
	address.port = parts.port ? parts.port : 5060;
	*ret_address = address;
	return true;
}
