/* What the caller's end must keep of each dialog to send in it (RFC 3261 12.1.2): the peer's tag, its target and the
 * route set.  Most peers write the same target each time but for a part that is the tag again, or no different part at
 * all: such texts are kept once, as a shape, and a call keeps its tag.  So ten million calls take 40 bytes each. */
#ifndef RW_BENCH_LOAD_PEERS_H
#define RW_BENCH_LOAD_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#include "bench/load_reader.h"
#include "sip/bytes.h"

enum {
	LOAD_TAG_MAX = 128,
	LOAD_TARGET_MAX = 1024, /* target and routes */
	LOAD_PEER_SIZES = 3,
	LOAD_SHAPES_MAX = 64,
};

#define LOAD_PEER_NONE UINT32_MAX

struct load_shape {
	uint16_t size;
	char text[LOAD_TARGET_MAX];
};

/* Cells of one size, on a list when free. */
struct load_cells {
	char *memory;
	uint32_t bytes, used, max;
	uint32_t *free;
	uint32_t free_count;
};

struct load_peers {
	struct load_cells cells[LOAD_PEER_SIZES];
	struct load_shape shape[LOAD_SHAPES_MAX];
	unsigned shapes, latest;
};

/* As it was said, written out. */
struct load_peer {
	struct bytes tag, target; /* target: a URI */
	struct bytes routes;      /* Route lines in the order of use, empty: none */
	char text[LOAD_TARGET_MAX + 8 * LOAD_TAG_MAX];
};

/* false: no memory. */
bool load_peers_open(struct load_peers *p, uint32_t calls_max);
void load_peers_close(struct load_peers *p);

/* From the 2xx to an INVITE; the route set is its Record-Route backwards.  LOAD_PEER_NONE: no tag or Contact, or there
 * is no room for it. */
uint32_t load_peers_keep(struct load_peers *p, const struct load_message *m);
void load_peers_drop(struct load_peers *p, uint32_t peer);

/* Views into the peer and into its own text. */
void load_peers_get(const struct load_peers *p, uint32_t peer, struct load_peer *ret_peer);

/* Memory in use, at the most since it was opened. */
uint64_t load_peers_bytes(const struct load_peers *p);

#endif
