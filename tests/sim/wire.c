#include "tests/sim/wire.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool wire_is(struct bytes text, const char *what)
{
	return text.size == strlen(what) && memcmp(text.at, what, text.size) == 0;
}

static bool is_name(struct bytes name, const char *what, char compact)
{
	if (compact && name.size == 1)
		return tolower((unsigned char)*name.at) == compact;
	return name.size == strlen(what) && strncasecmp(name.at, what, name.size) == 0;
}

static struct bytes trim(struct bytes b)
{
	while (b.size && (*b.at == ' ' || *b.at == '\t')) {
		b.at++;
		b.size--;
	}
	while (b.size && (b.at[b.size - 1] == ' ' || b.at[b.size - 1] == '\t'))
		b.size--;
	return b;
}

/* The part before `c`; *rest begins behind it.  Everything when there is none. */
static struct bytes cut(struct bytes *rest, char c)
{
	const char *at = rest->size ? memchr(rest->at, c, rest->size) : NULL;
	struct bytes head = *rest;
	if (!at) {
		*rest = BYTES_NONE;
		return head;
	}
	head.size = (uint32_t)(at - head.at);
	rest->at = at + 1;
	rest->size -= head.size + 1;
	return head;
}

bool wire_parameter(struct bytes value, const char *name, struct bytes *ret_value)
{
	const char *end = value.size ? memrchr(value.at, '>', value.size) : NULL;
	if (end) {
		value.size -= (uint32_t)(end - value.at);
		value.at = end;
	}
	cut(&value, ';');
	while (value.size) {
		struct bytes parameter = cut(&value, ';');
		struct bytes key = trim(cut(&parameter, '='));
		if (key.size == strlen(name) && strncasecmp(key.at, name, key.size) == 0) {
			*ret_value = trim(parameter);
			return true;
		}
	}
	return false;
}

bool wire_list_has(struct bytes list, const char *element)
{
	while (list.size) {
		struct bytes one = trim(cut(&list, ','));
		if (one.size == strlen(element) && strncasecmp(one.at, element, one.size) == 0)
			return true;
	}
	return false;
}

static uint32_t number(struct bytes b)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < b.size && isdigit((unsigned char)b.at[i]); i++)
		n = n * 10 + (uint32_t)(b.at[i] - '0');
	return n;
}

static struct bytes uri_of(struct bytes value)
{
	const char *open = value.size ? memchr(value.at, '<', value.size) : NULL;
	if (!open)
		return cut(&value, ';');
	value.size -= (uint32_t)(open + 1 - value.at);
	value.at = open + 1;
	return cut(&value, '>');
}

/* RFC 4028: what a message says of session timers. */
static bool take_timer_header(struct wire *w, struct bytes name, struct bytes value)
{
	struct bytes refresher;
	if (is_name(name, "Session-Expires", 'x')) {
		w->has_interval = true;
		w->interval_s = number(value);
		if (wire_parameter(value, "refresher", &refresher))
			w->refresher = wire_is(refresher, "uac") ? 'c' : wire_is(refresher, "uas") ? 's' : '\0';
	} else if (is_name(name, "Min-SE", 0)) {
		w->has_min_se = true;
		w->min_se_s = number(value);
	} else if (is_name(name, "Supported", 'k')) {
		w->timer_tag |= wire_list_has(value, "timer");
		w->reliable_tag |= wire_list_has(value, "100rel");
	} else {
		return false;
	}
	return true;
}

static void take_list(struct bytes value, bool uris, struct bytes list[static WIRE_LIST_MAX], unsigned *count)
{
	while (value.size) {
		struct bytes one = trim(cut(&value, ','));
		if (*count < WIRE_LIST_MAX)
			list[*count] = uris ? uri_of(one) : one;
		++*count;
	}
}

/* The way that a message takes. */
static bool take_route_header(struct wire *w, struct bytes name, struct bytes value)
{
	if (is_name(name, "Route", 0))
		take_list(value, true, w->routes, &w->route_count);
	else if (is_name(name, "Record-Route", 0))
		take_list(value, false, w->record_routes, &w->record_count);
	else
		return false;
	return true;
}

static void take_header(struct wire *w, struct bytes name, struct bytes value, uint32_t *length)
{
	if (take_timer_header(w, name, value) || take_route_header(w, name, value))
		return;
	if (is_name(name, "Via", 'v')) {
		take_list(value, false, w->vias, &w->via_count);
		if (!w->via.at) {
			w->via = value;
			wire_parameter(value, "branch", &w->branch);
		}
	} else if (is_name(name, "From", 'f')) {
		w->from = value;
		wire_parameter(value, "tag", &w->from_tag);
	} else if (is_name(name, "To", 't')) {
		w->to = value;
		wire_parameter(value, "tag", &w->to_tag);
	} else if (is_name(name, "Call-ID", 'i')) {
		w->call_id = value;
	} else if (is_name(name, "CSeq", 0)) {
		w->cseq_line = value;
		w->cseq = number(value);
		struct bytes rest = value;
		cut(&rest, ' ');
		if (!w->is_request)
			w->method = trim(rest);
	} else if (is_name(name, "Contact", 'm')) {
		w->contact = uri_of(value);
	} else if (is_name(name, "Content-Length", 'l')) {
		*length = number(value);
	} else if (is_name(name, "Content-Type", 'c')) {
		w->content_type = value;
	} else if (is_name(name, "Max-Forwards", 0)) {
		w->max_forwards = number(value);
	} else if (is_name(name, "Reason", 0)) {
		w->reason = value;
	} else if (is_name(name, "Retry-After", 0)) {
		w->retry_after = value;
	} else if (is_name(name, "Allow", 0)) {
		w->allow = value;
		w->lists_update |= wire_list_has(value, "UPDATE");
	} else if (is_name(name, "Require", 0)) {
		w->require = value;
		w->timer_required |= wire_list_has(value, "timer");
		w->timer_tag |= w->timer_required;
		w->reliable |= wire_list_has(value, "100rel");
		w->reliable_tag |= w->reliable;
	} else if (is_name(name, "RSeq", 0)) {
		w->rseq = number(value);
	} else if (is_name(name, "RAck", 0)) {
		w->rack = value;
	}
}

static bool take_start(struct wire *w, struct bytes line)
{
	struct bytes first = cut(&line, ' ');
	if (wire_is(first, "SIP/2.0")) {
		w->status = number(line);
		return w->status >= 100 && w->status < 700;
	}
	w->is_request = true;
	w->method = first;
	w->uri = cut(&line, ' ');
	return wire_is(line, "SIP/2.0");
}

bool wire_read(struct bytes datagram, struct wire *ret_wire)
{
	struct wire w = { .text = datagram };
	struct bytes rest = datagram;
	uint32_t length = 0;
	bool first = true, ended = false;
	while (rest.size && !ended) {
		struct bytes line = cut(&rest, '\n');
		if (!line.size || line.at[line.size - 1] != '\r')
			return false;
		line.size--;
		if (first) {
			if (!take_start(&w, line))
				return false;
			first = false;
		} else if (line.size) {
			struct bytes value = line, name = trim(cut(&value, ':'));
			take_header(&w, name, trim(value), &length);
		} else {
			ended = true;
		}
	}
	w.body = rest;
	*ret_wire = w;
	return ended && length == rest.size && w.via.size && w.from.size && w.to.size && w.call_id.size &&
	       w.cseq_line.size && w.method.size;
}

void page_add(struct page *p, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	int size = vsnprintf(p->text + p->size, sizeof p->text - p->size, format, arguments);
	va_end(arguments);
	assert(size >= 0 && (size_t)size < sizeof p->text - p->size);
	p->size += (size_t)size;
}

void page_end(struct page *p, const char *type, struct bytes body)
{
	if (body.size)
		page_add(p, "Content-Type: %s\r\n", type);
	page_add(p, "Content-Length: %u\r\n\r\n%.*s", body.size, TEXT(body));
}
