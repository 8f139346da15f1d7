/* What is kept of a dialog's peer: see the header.
 *
 * A cell: size of the tag (1), shape (1), size of the text that follows the tag (2; 0 with a shape), the tag, the text.
 * A text, also that of a shape: target, NUL, Route lines; SAME_TAG where the tag stands again. */
#include "bench/load_peers.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

enum { HEAD_BYTES = 4, NO_SHAPE = UINT8_MAX, SAME_TAG = 1, SIZE_SHIFT = 30 };

static const uint32_t cell_bytes[LOAD_PEER_SIZES] = { 40, 200, HEAD_BYTES + LOAD_TAG_MAX + LOAD_TARGET_MAX };

bool load_peers_open(struct load_peers *p, uint32_t calls_max)
{
	memset(p, 0, sizeof *p);
	for (unsigned i = 0; i < LOAD_PEER_SIZES; i++) {
		struct load_cells *c = &p->cells[i];

		*c = (struct load_cells){ .bytes = cell_bytes[i], .max = calls_max };
		c->memory = bench_memory((uint64_t)calls_max * c->bytes, true);
		c->free = bench_memory((uint64_t)calls_max * sizeof *c->free, false);
		if (!c->memory || !c->free) {
			load_peers_close(p);
			return false;
		}
	}
	return true;
}

void load_peers_close(struct load_peers *p)
{
	for (unsigned i = 0; i < LOAD_PEER_SIZES; i++) {
		struct load_cells *c = &p->cells[i];

		bench_memory_free(c->memory, (uint64_t)c->max * c->bytes);
		bench_memory_free(c->free, (uint64_t)c->max * sizeof *c->free);
		c->memory = NULL;
		c->free = NULL;
	}
}

/* The one used last is the warmest. */
static bool take_cell(struct load_cells *c, uint32_t *ret_index)
{
	if (c->free_count > 0)
		*ret_index = c->free[--c->free_count];
	else if (c->used < c->max)
		*ret_index = c->used++;
	else
		return false;
	return true;
}

void load_peers_drop(struct load_peers *p, uint32_t peer)
{
	if (peer == LOAD_PEER_NONE)
		return;
	struct load_cells *c = &p->cells[peer >> SIZE_SHIFT];

	c->free[c->free_count++] = peer & ((UINT32_C(1) << SIZE_SHIFT) - 1);
}

/* Copies with SAME_TAG for the tag; NULL: no room. */
static char *put_short(char *at, const char *end, struct bytes text, struct bytes tag)
{
	const char *from = text.at, *stop = text.at + text.size;

	while (from < stop) {
		const char *found = memmem(from, (size_t)(stop - from), tag.at, tag.size);
		size_t plain = (size_t)((found ? found : stop) - from);

		if ((size_t)(end - at) < plain + 1)
			return NULL;
		memcpy(at, from, plain);
		at += plain;
		from += plain;
		if (found) {
			*at++ = SAME_TAG;
			from += tag.size;
		}
	}
	return at;
}

static char *put_route(char *at, const char *end, struct bytes route, struct bytes tag)
{
	at = put_short(at, end, BYTES("Route: "), tag);
	at = at ? put_short(at, end, route, tag) : NULL;
	return at ? put_short(at, end, BYTES("\r\n"), tag) : NULL;
}

/* The routes of one Record-Route line, the last first: commas count outside angle brackets. */
static char *put_routes(char *at, const char *end, struct bytes value, struct bytes tag)
{
	const char *begin = value.at, *stop = value.at + value.size;
	bool inside = false;

	for (const char *c = stop; at && c > begin; c--) {
		inside = c[-1] == '>' || (inside && c[-1] != '<');
		if (c[-1] != ',' || inside)
			continue;
		at = put_route(at, end, (struct bytes){ c, (uint32_t)(stop - c) }, tag);
		stop = c - 1;
	}
	return at ? put_route(at, end, (struct bytes){ begin, (uint32_t)(stop - begin) }, tag) : NULL;
}

static size_t put_text(const struct load_message *m, char text[static LOAD_TARGET_MAX])
{
	const char *end = text + LOAD_TARGET_MAX;
	char *at = put_short(text, end - 1, m->contact, m->to_tag);

	if (!at)
		return 0;
	*at++ = '\0';
	for (unsigned i = m->record_route_count; at && i-- > 0;)
		at = put_routes(at, end, load_value(m->record_route[i]), m->to_tag);
	return at ? (size_t)(at - text) : 0;
}

static bool is_shape(const struct load_shape *s, const char *text, size_t size)
{
	return s->size == size && memcmp(s->text, text, size) == 0;
}

static unsigned find_shape(struct load_peers *p, const char *text, size_t size)
{
	if (p->shapes > 0 && is_shape(&p->shape[p->latest], text, size))
		return p->latest;
	for (unsigned i = 0; i < p->shapes; i++)
		if (is_shape(&p->shape[i], text, size))
			return p->latest = i;
	if (p->shapes == LOAD_SHAPES_MAX)
		return NO_SHAPE;
	p->shape[p->shapes].size = (uint16_t)size;
	memcpy(p->shape[p->shapes].text, text, size);
	return p->latest = p->shapes++;
}

uint32_t load_peers_keep(struct load_peers *p, const struct load_message *m)
{
	char text[LOAD_TARGET_MAX];
	uint32_t index;

	if (m->to_tag.size == 0 || m->to_tag.size > LOAD_TAG_MAX || m->contact.size == 0)
		return LOAD_PEER_NONE;
	size_t size = put_text(m, text);
	if (size == 0)
		return LOAD_PEER_NONE;
	unsigned shape = find_shape(p, text, size), kind = 0;
	size_t own = shape == NO_SHAPE ? size : 0;
	while (cell_bytes[kind] < HEAD_BYTES + m->to_tag.size + own)
		kind++;
	if (!take_cell(&p->cells[kind], &index))
		return LOAD_PEER_NONE;
	char *cell = p->cells[kind].memory + (size_t)index * cell_bytes[kind];
	cell[0] = (char)m->to_tag.size;
	cell[1] = (char)shape;
	memcpy(cell + 2, &(uint16_t){ (uint16_t)own }, sizeof(uint16_t));
	memcpy(cell + HEAD_BYTES, m->to_tag.at, m->to_tag.size);
	memcpy(cell + HEAD_BYTES + m->to_tag.size, text, own);
	return (uint32_t)kind << SIZE_SHIFT | index;
}

/* Written out again; false: it does not fit. */
static char *put_long(char *at, const char *end, const char *text, size_t size, struct bytes tag)
{
	for (size_t i = 0; i < size; i++) {
		size_t need = text[i] == SAME_TAG ? tag.size : 1;

		if ((size_t)(end - at) < need)
			break;
		memcpy(at, text[i] == SAME_TAG ? tag.at : &text[i], need);
		at += need;
	}
	return at;
}

void load_peers_get(const struct load_peers *p, uint32_t peer, struct load_peer *ret_peer)
{
	const struct load_cells *c = &p->cells[peer >> SIZE_SHIFT];
	const char *cell = c->memory + (size_t)(peer & ((UINT32_C(1) << SIZE_SHIFT) - 1)) * c->bytes;
	struct bytes tag = { cell + HEAD_BYTES, (uint8_t)cell[0] };
	uint8_t shape = (uint8_t)cell[1];
	uint16_t size;

	memcpy(&size, cell + 2, sizeof size);
	const char *text = tag.at + tag.size;
	if (shape != NO_SHAPE) {
		text = p->shape[shape].text;
		size = p->shape[shape].size;
	}
	char *end = put_long(ret_peer->text, ret_peer->text + sizeof ret_peer->text, text, size, tag);
	size_t target = strnlen(ret_peer->text, (size_t)(end - ret_peer->text));
	ret_peer->tag = tag;
	ret_peer->target = (struct bytes){ ret_peer->text, (uint32_t)target };
	ret_peer->routes =
		(struct bytes){ ret_peer->text + target + 1, (uint32_t)(end - ret_peer->text - (ptrdiff_t)target - 1) };
}

uint64_t load_peers_bytes(const struct load_peers *p)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < LOAD_PEER_SIZES; i++)
		bytes += (uint64_t)p->cells[i].used * p->cells[i].bytes;
	return bytes;
}
