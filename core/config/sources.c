/* See sources.h.  Both tables are open-addressed, sized before they are filled and at most half full.  */
#include "core/config/sources.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct place {
	struct address address;  /* all but its first bits zero; port 0: any; family 0: a free slot */
	uint64_t callee_lengths; /* bit n: a gateway with a callee_prefix of n characters; none: only a routing gateway
				  */
	uint32_t bits;
};

struct tenant {
	const struct mapping_gateway *gateway; /* NULL: a free slot */
	uint32_t place;
};

/* Which sources occur with one prefix length. */
struct reach {
	uint8_t bits;
	bool with_port, without_port;
};

struct source_table {
	struct place *places;
	struct tenant *tenants;
	uint32_t place_mask, tenant_mask;
	struct reach reach[2][129]; /* IPv4, IPv6; longest first */
	uint32_t reach_count[2];
};

static_assert(CONFIG_PREFIX_MAX < 64, "lengths are bits of one word");

static uint64_t mix(uint64_t hash, uint64_t word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
	return hash ^ hash >> 32;
}

struct address address_masked(const struct address *a, unsigned bits)
{
	struct address masked = *a;

	masked.unused = 0;
	for (unsigned i = 0; i < sizeof masked.ip; i++) {
		unsigned left = bits > 8 * i ? bits - 8 * i : 0;

		if (left < 8)
			masked.ip[i] &= (uint8_t)(0xff00u >> left);
	}
	return masked;
}

static struct place *find_place(const struct source_table *t, const struct address *address, unsigned bits)
{
	uint64_t halves[2];

	memcpy(halves, address->ip, sizeof halves);
	uint64_t hash = mix(mix(mix(bits, halves[0]), halves[1]), (uint64_t)address->family << 16 | address->port);

	for (uint32_t i = (uint32_t)hash & t->place_mask;; i = (i + 1) & t->place_mask) {
		struct place *place = &t->places[i];

		if (place->address.family == 0 || (place->bits == bits && address_equal(&place->address, address)))
			return place;
	}
}

static struct tenant *find_tenant(const struct source_table *t, uint32_t place, struct bytes callee_prefix)
{
	uint64_t hash = mix(callee_prefix.size, place);

	for (uint32_t i = 0; i < callee_prefix.size; i++)
		hash = mix(hash, (unsigned char)callee_prefix.at[i]);
	for (uint32_t i = (uint32_t)hash & t->tenant_mask;; i = (i + 1) & t->tenant_mask) {
		struct tenant *tenant = &t->tenants[i];

		if (!tenant->gateway ||
		    (tenant->place == place && bytes_equal(bytes_of(tenant->gateway->callee_prefix), callee_prefix)))
			return tenant;
	}
}

static unsigned family_index(const struct address *a)
{
	assert(a->family == 4 || a->family == 6);
	return a->family == 6;
}

static void note_reach(struct source_table *t, const struct address *address, unsigned bits)
{
	struct reach *reach = t->reach[family_index(address)];
	uint32_t *count = &t->reach_count[family_index(address)];
	uint32_t at = 0;

	while (at < *count && reach[at].bits > bits)
		at++;
	if (at == *count || reach[at].bits != bits) {
		memmove(&reach[at + 1], &reach[at], (*count - at) * sizeof *reach);
		reach[at] = (struct reach){ .bits = (uint8_t)bits };
		(*count)++;
	}
	if (address->port)
		reach[at].with_port = true;
	else
		reach[at].without_port = true;
}

static struct place *enter_place(struct source_table *t, const struct address *address, unsigned bits)
{
	struct address masked = address_masked(address, bits);
	struct place *place = find_place(t, &masked, bits);

	if (place->address.family == 0) {
		*place = (struct place){ .address = masked, .bits = bits };
		note_reach(t, &masked, bits);
	}
	return place;
}

static int enter_mappings(struct source_table *t, const struct config *c, struct source_clash *ret_clash)
{
	for (uint32_t m = 0; m < c->mapping_count; m++) {
		const struct mapping_gateway *gateway = &c->mappings[m];
		struct bytes callee_prefix = bytes_of(gateway->callee_prefix);

		for (uint32_t i = 0; i < gateway->source_count; i++) {
			const struct source *source = &gateway->sources[i];
			struct place *place = enter_place(t, &source->address, source->prefix_length);
			uint32_t place_index = (uint32_t)(place - t->places);
			struct tenant *tenant = find_tenant(t, place_index, callee_prefix);

			if (tenant->gateway) {
				*ret_clash = (struct source_clash){ m, i, (uint32_t)(tenant->gateway - c->mappings) };
				return -EEXIST;
			}
			*tenant = (struct tenant){ gateway, place_index };
			place->callee_lengths |= UINT64_C(1) << callee_prefix.size;
		}
	}
	return 0;
}

/* Routing gateways are places without tenants: known, but no source of calls. */
static void enter_routings(struct source_table *t, const struct config *c)
{
	for (uint32_t r = 0; r < c->routing_count; r++)
		for (uint32_t i = 0; i < c->routings[r].address_count; i++) {
			struct address host = c->routings[r].addresses[i];

			host.port = 0;
			enter_place(t, &host, host.family == 4 ? 32 : 128);
		}
}

int sources_build(const struct config *c, struct source_table **ret_table, struct source_clash *ret_clash)
{
	uint64_t count = 0, slots = 2;

	for (uint32_t m = 0; m < c->mapping_count; m++)
		count += c->mappings[m].source_count;
	for (uint32_t r = 0; r < c->routing_count; r++)
		count += c->routings[r].address_count;
	while (slots < 2 * (count + 1))
		slots *= 2;
	if (slots > UINT64_C(1) << 32)
		return -ENOMEM;

	struct source_table *t = calloc(1, sizeof *t);
	if (t) {
		t->place_mask = t->tenant_mask = (uint32_t)(slots - 1);
		t->places = calloc(slots, sizeof *t->places);
		t->tenants = calloc(slots, sizeof *t->tenants);
	}
	int result = t && t->places && t->tenants ? enter_mappings(t, c, ret_clash) : -ENOMEM;
	if (result < 0) {
		sources_free(t);
		return result;
	}
	enter_routings(t, c);
	*ret_table = t;
	return 0;
}

void sources_free(struct source_table *t)
{
	if (!t)
		return;
	free(t->places);
	free(t->tenants);
	free(t);
}

/* The gateway of a place with the longest callee_prefix that fits. */
static const struct mapping_gateway *find_in_place(const struct source_table *t, const struct place *place,
						   struct bytes callee)
{
	for (uint64_t lengths = place->callee_lengths; lengths;) {
		uint32_t length = 63u - (uint32_t)__builtin_clzll(lengths);

		lengths &= ~(UINT64_C(1) << length);
		if (length > callee.size)
			continue;
		struct bytes start = { callee.at, length };
		const struct tenant *tenant = find_tenant(t, (uint32_t)(place - t->places), start);
		if (tenant->gateway)
			return tenant->gateway;
	}
	return NULL;
}

/* Walks the places that hold the address, most specific first; false: there is none left.  *at counts the steps. */
static bool next_place(const struct source_table *t, const struct address *from, uint32_t *at,
		       const struct place **ret_place)
{
	unsigned family = family_index(from);

	for (; *at < 2 * t->reach_count[family]; (*at)++) {
		const struct reach *reach = &t->reach[family][*at / 2];
		bool with_port = *at % 2 == 0;

		if (!(with_port ? reach->with_port && from->port : reach->without_port))
			continue;
		struct address masked = address_masked(from, reach->bits);
		if (!with_port)
			masked.port = 0;
		const struct place *place = find_place(t, &masked, reach->bits);
		if (place->address.family) {
			*ret_place = place;
			(*at)++;
			return true;
		}
	}
	return false;
}

const struct mapping_gateway *sources_find(const struct source_table *t, const struct address *from,
					   struct bytes callee)
{
	const struct place *place;

	for (uint32_t at = 0; next_place(t, from, &at, &place);) {
		const struct mapping_gateway *gateway = find_in_place(t, place, callee);

		if (gateway)
			return gateway;
	}
	return NULL;
}

bool sources_known(const struct source_table *t, const struct address *from)
{
	const struct place *place;
	uint32_t at = 0;

	return next_place(t, from, &at, &place);
}
