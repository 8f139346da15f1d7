/* Finds in a SIP message what a load generator needs: see the header. */
#include "bench/load_reader.h"

#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct bytes trim(const char *at, const char *end)
{
	while (at < end && is_blank(*at))
		at++;
	while (end > at && is_blank(end[-1]))
		end--;
	return (struct bytes){ at, (uint32_t)(end - at) };
}

struct bytes load_value(struct bytes line)
{
	const char *end = line.at + line.size, *colon = memchr(line.at, ':', line.size);

	return colon ? trim(colon + 1, end) : (struct bytes){ end, 0 };
}

static enum load_method method_of(struct bytes name)
{
	static const struct {
		struct bytes name;
		enum load_method method;
	} methods[] = {
		{ { "INVITE", 6 }, LOAD_INVITE }, { { "ACK", 3 }, LOAD_ACK },       { { "BYE", 3 }, LOAD_BYE },
		{ { "CANCEL", 6 }, LOAD_CANCEL }, { { "UPDATE", 6 }, LOAD_UPDATE }, { { "OPTIONS", 7 }, LOAD_OPTIONS },
	};

	for (unsigned i = 0; i < sizeof methods / sizeof methods[0]; i++)
		if (bytes_equal(methods[i].name, name))
			return methods[i].method;
	return LOAD_OTHER;
}

static uint32_t number_of(const char *at, const char *end)
{
	uint32_t n = 0;

	for (; at < end && *at >= '0' && *at <= '9'; at++)
		n = n * 10 + (uint32_t)(*at - '0');
	return n;
}

static bool read_start(struct load_message *m, const char *at, const char *end)
{
	const char *space = memchr(at, ' ', (size_t)(end - at));

	if (!space)
		return false;
	if (end - at > 12 && memcmp(at, "SIP/2.0 ", 8) == 0) {
		m->status = number_of(at + 8, end);
		return m->status >= 100 && m->status <= 699;
	}
	m->method = method_of((struct bytes){ at, (uint32_t)(space - at) });
	const char *uri_end = memchr(space + 1, ' ', (size_t)(end - space - 1));
	if (!uri_end)
		return false;
	m->uri = (struct bytes){ space + 1, (uint32_t)(uri_end - space - 1) };
	return true;
}

/* ";tag=" after the URI: one in angle brackets may have parameters of its own. */
static struct bytes tag_of(struct bytes value)
{
	const char *end = value.at + value.size, *at = memchr(value.at, '>', value.size);

	if (!at)
		at = value.at;
	while (at < end && (at = memchr(at, ';', (size_t)(end - at)))) {
		at++;
		while (at < end && is_blank(*at))
			at++;
		if (end - at > 4 && bytes_equal_nocase((struct bytes){ at, 4 }, BYTES("tag="))) {
			const char *from = at += 4;

			while (at < end && *at != ';' && !is_blank(*at))
				at++;
			return (struct bytes){ from, (uint32_t)(at - from) };
		}
	}
	return (struct bytes){ end, 0 };
}

static struct bytes uri_of(struct bytes value)
{
	const char *end = value.at + value.size, *open = memchr(value.at, '<', value.size);

	if (open) {
		const char *close = memchr(open, '>', (size_t)(end - open));

		return close ? (struct bytes){ open + 1, (uint32_t)(close - open - 1) } : (struct bytes){ end, 0 };
	}
	const char *semicolon = memchr(value.at, ';', value.size);
	return semicolon ? (struct bytes){ value.at, (uint32_t)(semicolon - value.at) } : value;
}

static void read_cseq(struct load_message *m, struct bytes line)
{
	struct bytes value = load_value(line);
	const char *end = value.at + value.size, *at = value.at;

	m->cseq_line = line;
	m->cseq = number_of(at, end);
	while (at < end && !is_blank(*at))
		at++;
	if (m->status > 0)
		m->method = method_of(trim(at, end));
}

static void read_to(struct load_message *m, struct bytes line)
{
	m->to = line;
	m->to_value = load_value(line);
	m->to_tag = tag_of(m->to_value);
}

static void read_call_id(struct load_message *m, struct bytes line)
{
	m->call_id = line;
	m->call_id_value = load_value(line);
}

static void keep(struct bytes list[], unsigned *count, unsigned max, struct bytes line)
{
	if (*count < max)
		list[(*count)++] = line;
}

static bool is(struct bytes name, const char *what)
{
	return bytes_equal_nocase(name, bytes_of(what));
}

/* By the first letter and the length: few lines need to be compared. */
static void read_line(struct load_message *m, struct bytes name, struct bytes line)
{
	switch (bytes_lower(name.at[0]) << 8 | (int)name.size) {
	case 'v' << 8 | 1:
	case 'v' << 8 | 3:
		keep(m->via, &m->via_count, LOAD_VIAS_MAX, line);
		break;
	case 'f' << 8 | 1:
	case 'f' << 8 | 4:
		m->from = line;
		break;
	case 't' << 8 | 1:
	case 't' << 8 | 2:
		read_to(m, line);
		break;
	case 'i' << 8 | 1:
		read_call_id(m, line);
		break;
	case 'm' << 8 | 1:
		m->contact = uri_of(load_value(line));
		break;
	case 'c' << 8 | 1:
		m->content_type = line;
		break;
	case 'x' << 8 | 1:
		m->session_expires = load_value(line);
		break;
	case 'c' << 8 | 4:
		read_cseq(m, line);
		break;
	case 'c' << 8 | 7:
		if (is(name, "call-id"))
			read_call_id(m, line);
		else if (is(name, "contact") && m->contact.size == 0)
			m->contact = uri_of(load_value(line));
		break;
	case 'c' << 8 | 12:
		if (is(name, "content-type"))
			m->content_type = line;
		break;
	case 'r' << 8 | 12:
		if (is(name, "record-route"))
			keep(m->record_route, &m->record_route_count, LOAD_ROUTES_MAX, line);
		break;
	case 's' << 8 | 15:
		if (is(name, "session-expires"))
			m->session_expires = load_value(line);
		break;
	default:
		break;
	}
}

static struct bytes name_of(const char *at, const char *end)
{
	const char *from = at;

	while (at < end && *at != ':' && !is_blank(*at))
		at++;
	return (struct bytes){ from, (uint32_t)(at - from) };
}

bool load_read(struct bytes datagram, struct load_message *ret_message)
{
	const char *at = datagram.at, *end = at + datagram.size, *next = memchr(at, '\n', datagram.size);
	struct load_message *m = ret_message;

	m->status = m->cseq = m->via_count = m->record_route_count = 0;
	m->method = LOAD_OTHER;
	m->uri = m->from = m->to = m->call_id = m->cseq_line = BYTES_NONE;
	m->to_tag = m->contact = m->session_expires = m->content_type = m->body = BYTES_NONE;
	if (!next || !read_start(m, at, next))
		return false;
	for (at = next + 1; at < end && (next = memchr(at, '\n', (size_t)(end - at))); at = next + 1) {
		struct bytes name = name_of(at, next);

		if (name.size == 0)
			break;
		read_line(m, name, (struct bytes){ at, (uint32_t)(next + 1 - at) });
	}
	if (next && at < end)
		m->body = (struct bytes){ next + 1, (uint32_t)(end - next - 1) };
	return m->via_count > 0 && m->from.size > 0 && m->to.size > 0 && m->call_id.size > 0 && m->cseq_line.size > 0;
}

void load_read_uri(struct bytes uri, struct bytes *ret_user, struct bytes *ret_host_port)
{
	const char *end = uri.at + uri.size, *at = memchr(uri.at, ':', uri.size);

	at = at ? at + 1 : uri.at;
	const char *sign = memchr(at, '@', (size_t)(end - at));
	*ret_user = (struct bytes){ at, sign ? (uint32_t)(sign - at) : 0 };
	const char *host = sign ? sign + 1 : at, *stop = host;

	while (stop < end && *stop != ';' && *stop != '?' && *stop != '>')
		stop++;
	*ret_host_port = (struct bytes){ host, (uint32_t)(stop - host) };
}
