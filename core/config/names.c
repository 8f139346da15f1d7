/* Ids of gateways.  Names are only ever added: a reader with an id finds its name in a chunk that never moves, so it
 * needs no lock.  The search tree that finds a known name again has one: the loading thread asks it, and so do shards
 * when they take up the calls of a former process. */
#include <assert.h>
#include <pthread.h>
#include <search.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/config.h"

#define CHUNK_NAMES 1024u
#define CHUNKS_MAX  (GATEWAY_IDS_MAX / CHUNK_NAMES) /* a million names in the life of a process */

struct gateway_entry {
	enum gateway_kind kind;
	uint32_t id;
	char name[CONFIG_NAME_MAX + 1];
};

static _Atomic(struct gateway_entry *) *_Atomic chunks[CHUNKS_MAX];
static _Atomic uint32_t id_end = 1;
static void *known; /* tsearch(3) */
static pthread_mutex_t known_lock = PTHREAD_MUTEX_INITIALIZER;

static int compare_entries(const void *a, const void *b)
{
	const struct gateway_entry *x = a, *y = b;

	return x->kind != y->kind ? (x->kind < y->kind ? -1 : 1) : strcmp(x->name, y->name);
}

const char *gateway_name(uint32_t id)
{
	if (id == 0 || id >= atomic_load_explicit(&id_end, memory_order_acquire))
		return "";
	_Atomic(struct gateway_entry *) *chunk = atomic_load_explicit(&chunks[id / CHUNK_NAMES], memory_order_acquire);
	const struct gateway_entry *entry = atomic_load_explicit(&chunk[id % CHUNK_NAMES], memory_order_acquire);

	assert(entry && entry->id == id);
	return entry->name;
}

uint32_t gateway_id_end(void)
{
	return atomic_load_explicit(&id_end, memory_order_acquire);
}

/* Puts the entry where readers find it; the end moves last. */
static bool publish(struct gateway_entry *entry)
{
	unsigned index = entry->id / CHUNK_NAMES;

	if (index >= CHUNKS_MAX)
		return false;
	_Atomic(struct gateway_entry *) *chunk = atomic_load_explicit(&chunks[index], memory_order_relaxed);
	if (!chunk) {
		chunk = calloc(CHUNK_NAMES, sizeof *chunk);
		if (!chunk)
			return false;
		atomic_store_explicit(&chunks[index], chunk, memory_order_release);
	}
	atomic_store_explicit(&chunk[entry->id % CHUNK_NAMES], entry, memory_order_release);
	atomic_store_explicit(&id_end, entry->id + 1, memory_order_release);
	return true;
}

static uint32_t find_or_add(enum gateway_kind kind, const char *name)
{
	struct gateway_entry *entry = calloc(1, sizeof *entry);
	if (!entry)
		return 0;
	entry->kind = kind;
	entry->id = gateway_id_end();
	strcpy(entry->name, name);

	struct gateway_entry **node = tsearch(entry, &known, compare_entries);
	if (!node || *node != entry) { /* no memory, or it is known */
		uint32_t id = node ? (*node)->id : 0;

		free(entry);
		return id;
	}
	if (publish(entry))
		return entry->id;
	tdelete(entry, &known, compare_entries);
	free(entry);
	return 0;
}

uint32_t gateway_id(enum gateway_kind kind, const char *name)
{
	assert(strlen(name) <= CONFIG_NAME_MAX);
	pthread_mutex_lock(&known_lock);
	uint32_t id = find_or_add(kind, name);
	pthread_mutex_unlock(&known_lock);
	return id;
}

uint32_t gateway_known(enum gateway_kind kind, const char *name)
{
	struct gateway_entry wanted = { .kind = kind };

	assert(strlen(name) <= CONFIG_NAME_MAX);
	strcpy(wanted.name, name);
	pthread_mutex_lock(&known_lock);
	struct gateway_entry **node = tfind(&wanted, &known, compare_entries);
	uint32_t id = node ? (*node)->id : 0;
	pthread_mutex_unlock(&known_lock);
	return id;
}
