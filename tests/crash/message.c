#include "tests/crash/message.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *const method_names[] = { "INVITE", "ACK", "BYE", "CANCEL", "UPDATE", "OPTIONS", "?" };

static bool is(struct text text, const char *what)
{
	return text.size == strlen(what) && !memcmp(text.at, what, text.size);
}

static enum method method_of(struct text name)
{
	enum method m = INVITE;
	while (m < METHOD_OTHER && !is(name, method_names[m]))
		m++;
	return m;
}

static struct text trim(struct text t)
{
	while (t.size && isspace((unsigned char)*t.at))
		t.at++, t.size--;
	while (t.size && isspace((unsigned char)t.at[t.size - 1]))
		t.size--;
	return t;
}

/* Up to the first of `ends`, or all of it. */
static struct text until(struct text t, const char *ends)
{
	size_t size = 0;
	while (size < t.size && !strchr(ends, t.at[size]))
		size++;
	return (struct text){ t.at, size };
}

/* ;name=value behind the URI of a header's value. */
static struct text parameter(struct text value, const char *name)
{
	const char *close = memchr(value.at, '>', value.size), *end = value.at + value.size;
	const char *at = close ? close : value.at;
	size_t size = strlen(name);
	while ((at = memchr(at, ';', (size_t)(end - at)))) {
		at++;
		if ((size_t)(end - at) > size && !strncasecmp(at, name, size) && at[size] == '=')
			return trim(until((struct text){ at + size + 1, (size_t)(end - at) - size - 1 }, ";,>"));
	}
	return (struct text){ 0 };
}

static struct text uri_of(struct text value)
{
	const char *open = memchr(value.at, '<', value.size);
	if (!open)
		return trim(until(value, ";,"));
	return until((struct text){ open + 1, (size_t)(value.at + value.size - open) - 1 }, ">");
}

static uint32_t number(struct text t)
{
	char digits[12];
	snprintf(digits, sizeof digits, "%.*s", (int)(t.size < 11 ? t.size : 11), t.at ? t.at : "");
	return (uint32_t)strtoul(digits, NULL, 10);
}

static void read_cseq(struct message *m, struct text value)
{
	struct text digits = until(value, " ");
	m->cseq = number(digits);
	m->method = method_of(trim((struct text){ value.at + digits.size, value.size - digits.size }));
}

static void read_header(struct message *m, struct text line, struct text name, struct text value)
{
	if (name.size == 3 && !strncasecmp(name.at, "Via", 3)) {
		m->vias = m->vias.size ? (struct text){ m->vias.at, (size_t)(line.at + line.size - m->vias.at) } : line;
	} else if (name.size == 4 && !strncasecmp(name.at, "From", 4)) {
		m->from = line;
		m->from_tag = parameter(value, "tag");
	} else if (name.size == 2 && !strncasecmp(name.at, "To", 2)) {
		m->to = line;
		m->to_tag = parameter(value, "tag");
	} else if (name.size == 7 && !strncasecmp(name.at, "Call-ID", 7)) {
		m->call_id = line;
		m->call_id_value = value;
	} else if (name.size == 4 && !strncasecmp(name.at, "CSeq", 4)) {
		m->cseq_line = line;
		read_cseq(m, value);
	} else if (name.size == 7 && !strncasecmp(name.at, "Contact", 7)) {
		m->contact = uri_of(value);
	} else if (name.size == 15 && !strncasecmp(name.at, "Session-Expires", 15)) {
		m->expires_s = number(until(value, "; "));
		struct text refresher = parameter(value, "refresher");
		m->refresher = is(refresher, "uac") ? 'c' : is(refresher, "uas") ? 's' : 0;
	}
}

static bool read_start(struct message *m, struct text line)
{
	static const char version[] = "SIP/2.0 ";
	if (line.size >= 11 && !memcmp(line.at, version, 8)) {
		m->status = number((struct text){ line.at + 8, 3 });
		return m->status >= 100 && m->status < 700;
	}
	m->is_request = true;
	struct text method = until(line, " ");
	if (method.size + 1 >= line.size)
		return false;
	m->uri = until((struct text){ line.at + method.size + 1, line.size - method.size - 1 }, " ");
	return true;
}

bool message_read(const char *at, size_t size, struct message *ret_message)
{
	const char *end = at + size;
	*ret_message = (struct message){ 0 };
	for (bool first = true;; first = false) {
		const char *stop = memmem(at, (size_t)(end - at), "\r\n", 2);
		if (!stop)
			return false;
		struct text line = { at, (size_t)(stop - at) + 2 }, shown = { at, (size_t)(stop - at) };
		at = stop + 2;
		if (!shown.size)
			break;
		if (first) {
			if (!read_start(ret_message, shown))
				return false;
			continue;
		}
		struct text name = until(shown, ":");
		if (name.size == shown.size)
			return false;
		read_header(ret_message, line, trim(name),
			    trim((struct text){ name.at + name.size + 1, shown.size - name.size - 1 }));
	}
	ret_message->has_body = at < end;
	return ret_message->vias.size && ret_message->from.size && ret_message->to.size && ret_message->call_id.size &&
	       ret_message->cseq_line.size;
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

void page_end(struct page *p, const char *sdp)
{
	if (*sdp)
		page_add(p, "Content-Type: application/sdp\r\n");
	page_add(p, "Content-Length: %zu\r\n\r\n%s", strlen(sdp), sdp);
}
