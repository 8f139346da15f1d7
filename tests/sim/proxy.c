#include "tests/sim/proxy.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "tests/sim/peer.h"

#define ROUTES_MAX (PROXIES_MAX + 1)
#define SECOND     (PROXY_PORTS - 1) /* port of the first one's other interface, from 5060 */
#define AGAIN      ";again"          /* of what they record later, which is not to be followed */

static const struct proxies *proxies_of(const struct ua *ua)
{
	static const struct proxies none;
	return ua->call ? &ua->call->script.proxies[!ua->is_caller] : &none;
}

/* "10.1.0.1" or "[fd00:1::1]" */
static struct bytes host_text(const struct host *host)
{
	const char *colon = strrchr(host->name, ':');
	return (struct bytes){ host->name, (uint32_t)(colon - host->name) };
}

/* ---- what they record ---- */

struct route {
	char uri[80];
};

static void write_route(const struct ua *ua, unsigned proxy, unsigned port, bool again, struct route *ret_route)
{
	const struct proxies *p = proxies_of(ua);
	const char *lr = p->strict >> proxy & 1 ? "" : ua->call->serial % 2 ? ";lr" : ";lr=on";
	char host[60];
	if (proxy)
		snprintf(host, sizeof host, "192.0.2.%u:5066", proxy);
	else if (p->named)
		snprintf(host, sizeof host, "edge.example.invalid");
	else
		snprintf(host, sizeof host, "%.*s:%u", TEXT(host_text(ua->host)), 5060 + port);
	snprintf(ret_route->uri, sizeof ret_route->uri, "sip:%s%s%s", host, lr, again ? AGAIN : "");
}

/* The route set from the node, near ones first; again: as an INVITE inside the dialog would make it. */
static unsigned routes_of(const struct ua *ua, bool again, struct route routes[static ROUTES_MAX])
{
	const struct proxies *p = proxies_of(ua);
	unsigned count = 0;
	for (unsigned i = 0; i < p->count; i++) {
		write_route(ua, i, i || !p->doubled ? 0 : SECOND, again, &routes[count++]);
		if (i == 0 && p->doubled)
			write_route(ua, i, 0, again, &routes[count++]);
	}
	return count;
}

static void add_record_routes(const struct ua *ua, struct page *page, bool near_first, bool initial)
{
	struct route routes[ROUTES_MAX];
	unsigned count = routes_of(ua, !initial, routes);
	for (unsigned i = 0; i < count; i++)
		page_add(page, "Record-Route: <%s>\r\n", routes[near_first ? i : count - 1 - i].uri);
}

void proxy_add_record_routes(const struct ua *ua, struct page *p, bool initial)
{
	add_record_routes(ua, p, false, initial);
}

/* ---- to the node ---- */

/* Each copy of a message takes the same way. */
static uint16_t source_port(const struct ua *ua, const struct wire *w)
{
	uint32_t hash = w->cseq * 31 + w->status;
	for (uint32_t i = 0; i < w->branch.size; i++)
		hash = hash * 33 + (unsigned char)w->branch.at[i];
	return (uint16_t)(5060 + (proxies_of(ua)->moves ? (hash >> 3) % PROXY_PORTS : 0));
}

static void add_vias(const struct ua *ua, const struct wire *w, struct page *page)
{
	const struct proxies *p = proxies_of(ua);
	for (unsigned i = 0; i < p->count; i++) {
		if (i)
			page_add(page, "Via: SIP/2.0/UDP 192.0.2.%u:5066", i);
		else
			page_add(page, "Via: SIP/2.0/UDP %.*s:5060", TEXT(host_text(ua->host)));
		page_add(page, ";branch=%.*s-p%u%s\r\n", TEXT(w->branch), i, i || p->no_rport ? "" : ";rport");
	}
}

/* The request as the first proxy sends it. */
static void add_request(const struct ua *ua, const struct wire *w, struct page *page)
{
	static const char field[] = "Max-Forwards: 70\r\n";
	const char *start = w->text.at, *end = start + w->text.size, *line = memchr(start, '\n', w->text.size);
	const char *hops = memmem(start, w->text.size, field, sizeof field - 1);
	assert(line && hops);
	page_add(page, "%.*s", (int)(line + 1 - start), start);
	add_vias(ua, w, page);
	if (wire_method_is(w, "INVITE"))
		add_record_routes(ua, page, true, !w->to_tag.size);
	page_add(page, "%.*sMax-Forwards: %u\r\n%.*s", (int)(hops - line - 1), line + 1, 70u - proxies_of(ua)->count,
		 (int)(end - hops - (int)sizeof field + 1), hops + sizeof field - 1);
}

void proxy_send(const struct ua *ua, struct bytes text)
{
	struct page page = { .size = 0 };
	struct wire w;
	if (!proxies_of(ua)->count || !wire_read(text, &w)) {
		network_to_node(ua->sim, ua->host, text);
		return;
	}
	struct address source = ua->host->address;
	source.port = source_port(ua, &w);
	if (w.is_request)
		add_request(ua, &w, &page);
	network_to_node_from(ua->sim, ua->host, &source, w.is_request ? page_bytes(&page) : text);
}

/* ---- from the node ---- */

/* RFC 3261 12.2.1.1: where the first of the set has lr the target is the request-URI; else that one is, and the target
 * the last of the Route. */
static bool follows(const struct wire *w, const struct route *routes, unsigned count, struct bytes *ret_target)
{
	bool strict = count && !strstr(routes[0].uri, ";lr");
	*ret_target = strict && w->route_count ? w->routes[w->route_count - 1] : w->uri;
	if (w->route_count != count || (strict && !wire_is(w->uri, routes[0].uri)))
		return false;
	for (unsigned i = strict; i < count; i++)
		if (!wire_is(w->routes[i - strict], routes[i].uri))
			return false;
	return true;
}

/* The dialog may be forgotten, or be of an attempt that a process had under way which was killed: a 2xx that comes then
 * has its ACK made of itself alone. */
static bool is_over(const struct ua *ua)
{
	return ua->call->cdr || ua->state == UA_ENDED || (ua->sim->boot > 1 && !ua->is_caller);
}

/* A branch of a fork, or of an attempt that the call has left, may answer when its leg is no more. */
static bool is_one_of_several(const struct ua *ua)
{
	return !ua->is_caller && ua->call->callees && ua->call->callees->next_of_call;
}

/* A host name leads back to where a message of the dialog came from, and so may what is sent when it is over. */
static bool goes_there(const struct ua *ua, const struct address *to)
{
	const struct proxies *p = proxies_of(ua);
	if (!p->count)
		return to->port == 5060;
	if (!p->named && to->port == (p->doubled ? 5060 + SECOND : 5060))
		return true;
	return (p->named || is_over(ua) || is_one_of_several(ua)) && (p->moves || to->port == 5060);
}

void proxy_take_request(struct ua *ua, struct wire *w)
{
	struct route routes[ROUTES_MAX], again[ROUTES_MAX];
	unsigned count = routes_of(ua, false, routes);
	const struct address *to = &ua->host->addressed;
	struct bytes target;
	if (!ua->call)
		return;
	/* A 2xx that a killed process had asked for is ended by what it says itself. */
	bool ends_late = wire_method_is(w, "ACK") || (wire_method_is(w, "BYE") && ua->sim->boot > 1);
	bool good = follows(w, routes, count, &target) ||
		    (ends_late && is_over(ua) && follows(w, again, routes_of(ua, true, again), &target));
	ua->sim->counts.routed += count > 0;
	if (!ua->call->damaged && !good)
		sim_fail(ua->sim, ua->call, "rfc3261-12.2.1.1-routes", "not by a route set of %u, %s first: %.*s",
			 count, count ? routes[0].uri : "nothing", TEXT(w->text));
	if (!ua->call->damaged && !goes_there(ua, to))
		sim_fail(ua->sim, ua->call, "rfc3261-12.2.1.1-next-hop", "%.*s goes to port %u", TEXT(w->method),
			 to->port);
	w->uri = target;
}

/* ---- which ---- */

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
	x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return x ^ x >> 33;
}

void proxy_draw(const struct sim *sim, struct script *script)
{
	for (unsigned side = 0; side < 2 && !sim->settings.reliable; side++) { /* these speak UDP */
		uint64_t dice = mix(mix(sim->settings.seed + 11) + sim->call_count * 2 + side);
		struct proxies *p = &script->proxies[side];
		if (dice % 10 >= 4) /* without */
			continue;
		*p = (struct proxies){ .count = (uint8_t)(1 + (dice >> 8) % PROXIES_MAX),
				       .strict = (uint8_t)((dice >> 16 & 1) ? dice >> 17 & 7 : 0),
				       .named = (dice >> 24) % 4 == 0,
				       .doubled = (dice >> 28) % 4 == 0,
				       .moves = dice >> 32 & 1,
				       .no_rport = (dice >> 36) % 4 == 0 };
	}
}
