#include "tests/billing/memory_disk.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK       512u
#define FILES_MAX   64
#define HANDLES_MAX 256

struct file {
	char name[JOURNAL_NAME_BYTES];
	uint64_t size;
	uint8_t *seen, *stored; /* by the machine; on the disk */
	bool *dirty;            /* of each block: written and not synced */
	uint64_t bad_from, bad_to;
	unsigned users; /* handles */
	bool named;     /* else it is removed, and goes with its last handle */
};

struct memory_disk {
	pthread_mutex_t lock;
	uint64_t random, limit, dies_in;
	bool dead, knows_data_end;
	struct memory_faults faults;
	struct file files[FILES_MAX];
	struct file *handles[HANDLES_MAX];
};

static uint64_t draw(struct memory_disk *d)
{
	uint64_t x = d->random += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
	x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return x ^ x >> 32;
}

static bool happens(struct memory_disk *d, unsigned of_10000)
{
	return of_10000 > 0 && draw(d) % 10000 < of_10000;
}

static uint64_t blocks_of(uint64_t size)
{
	return (size + BLOCK - 1) / BLOCK;
}

/* ---- files ---- */

static struct file *find(const struct memory_disk *d, const char *name)
{
	for (unsigned i = 0; i < FILES_MAX; i++)
		if (d->files[i].named && strcmp(d->files[i].name, name) == 0)
			return (struct file *)&d->files[i];
	return NULL;
}

static void drop_if_unused(struct file *f)
{
	if (f->named || f->users > 0)
		return;
	free(f->seen);
	free(f->stored);
	free(f->dirty);
	*f = (struct file){ 0 };
}

static struct file *make(struct memory_disk *d, const char *name, uint64_t size)
{
	for (unsigned i = 0; i < FILES_MAX; i++) {
		struct file *f = &d->files[i];

		if (f->named || f->users > 0)
			continue;
		assert(strlen(name) < sizeof(f->name));
		strcpy(f->name, name);
		f->size = size;
		f->seen = calloc(1, size + BLOCK);
		f->stored = calloc(1, size + BLOCK);
		f->dirty = calloc(blocks_of(size) + 1, sizeof(*f->dirty));
		f->named = true;
		return f;
	}
	return NULL;
}

static int handle_of(struct memory_disk *d, struct file *f)
{
	for (int i = 0; i < HANDLES_MAX; i++)
		if (d->handles[i] == NULL) {
			d->handles[i] = f;
			f->users++;
			return i;
		}
	return -EMFILE;
}

static uint64_t used(const struct memory_disk *d)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < FILES_MAX; i++)
		bytes += d->files[i].named ? d->files[i].size : 0;
	return bytes;
}

/* A request that changes something begins; true: the process dies in it. */
static bool dies(struct memory_disk *d)
{
	if (d->dies_in > 0 && --d->dies_in == 0)
		d->dead = true;
	return d->dead;
}

/* ---- what the journal calls ---- */

static int disk_list(void *context, void (*name)(void *to, const char *name, uint64_t size), void *to)
{
	struct memory_disk *d = context;
	const unsigned start = (unsigned)draw(d) % FILES_MAX; /* in any order */

	for (unsigned i = 0; i < FILES_MAX && !d->dead; i++) {
		const struct file *f = &d->files[(start + i) % FILES_MAX];
		if (f->named)
			name(to, f->name, f->size);
	}
	return d->dead ? -EIO : 0;
}

static int disk_create(void *context, const char *name, uint64_t size, int *ret_file)
{
	struct memory_disk *d = context;
	int r = 0;

	pthread_mutex_lock(&d->lock);
	const bool was_dead = d->dead;
	if (dies(d)) {
		if (!was_dead && draw(d) % 2 == 0 && find(d, name) == NULL)
			make(d, name, draw(d) % 2 == 0 ? size : draw(d) % size);
		r = -EIO;
	} else if (find(d, name) != NULL) {
		r = -EEXIST;
	} else if (happens(d, d->faults.create_eio)) {
		r = -EIO;
	} else if (happens(d, d->faults.create_full) || (d->limit > 0 && used(d) + size > d->limit)) {
		r = -ENOSPC;
	} else {
		struct file *f = make(d, name, size);
		r = f == NULL ? -ENOSPC : handle_of(d, f);
	}
	if (r >= 0)
		*ret_file = r;
	pthread_mutex_unlock(&d->lock);
	return r < 0 ? r : 0;
}

static int disk_open(void *context, const char *name, int *ret_file)
{
	struct memory_disk *d = context;

	pthread_mutex_lock(&d->lock);
	struct file *f = find(d, name);
	int r = f == NULL ? -ENOENT : 0;
	if (d->dead || happens(d, d->faults.open_eio) || (f != NULL && f->bad_to > f->size))
		r = -EIO;
	if (r == 0)
		r = handle_of(d, f);
	if (r >= 0)
		*ret_file = r;
	pthread_mutex_unlock(&d->lock);
	return r < 0 ? r : 0;
}

static void disk_close(void *context, int file)
{
	struct memory_disk *d = context;

	pthread_mutex_lock(&d->lock);
	struct file *f = d->handles[file];
	assert(f != NULL && f->users > 0);
	d->handles[file] = NULL;
	f->users--;
	drop_if_unused(f);
	pthread_mutex_unlock(&d->lock);
}

static int disk_remove(void *context, const char *name)
{
	struct memory_disk *d = context;
	int r = 0;

	pthread_mutex_lock(&d->lock);
	struct file *f = find(d, name);
	const bool was_dead = d->dead;
	if (dies(d) || happens(d, d->faults.remove_eio))
		r = -EIO;
	else if (f == NULL)
		r = -ENOENT;
	if (f != NULL && (r == 0 || (!was_dead && draw(d) % 2 == 0))) {
		f->named = false;
		drop_if_unused(f);
	}
	pthread_mutex_unlock(&d->lock);
	return r;
}

static int disk_read(void *context, int file, uint64_t offset, void *to, size_t size, size_t *ret_size)
{
	struct memory_disk *d = context;
	int r = 0;

	pthread_mutex_lock(&d->lock);
	const struct file *f = d->handles[file];
	assert(f != NULL);
	const uint64_t end = offset + size < f->size ? offset + size : f->size;
	if (d->dead || happens(d, d->faults.read_eio) || (offset < f->bad_to && end > f->bad_from))
		r = -EIO;
	if (r == 0) {
		*ret_size = end > offset ? (size_t)(end - offset) : 0;
		if (*ret_size > 0)
			memcpy(to, f->seen + offset, *ret_size);
	}
	pthread_mutex_unlock(&d->lock);
	return r;
}

/* Zeroes that were written are no data either. */
static int disk_data_end(void *context, int file, uint64_t *ret_end)
{
	struct memory_disk *d = context;

	pthread_mutex_lock(&d->lock);
	const struct file *f = d->handles[file];
	static const uint8_t zeroes[4096];
	uint64_t end = f->size;
	while (end >= sizeof(zeroes) && end - sizeof(zeroes) >= f->bad_to &&
	       memcmp(f->seen + end - sizeof(zeroes), zeroes, sizeof(zeroes)) == 0)
		end -= sizeof(zeroes);
	while (end > f->bad_to && f->seen[end - 1] == 0)
		end--;
	*ret_end = end;
	pthread_mutex_unlock(&d->lock);
	return d->dead ? -EIO : 0;
}

static int disk_cut(void *context, const char *name, uint64_t size)
{
	struct memory_disk *d = context;
	int r = 0;

	pthread_mutex_lock(&d->lock);
	struct file *f = find(d, name);
	if (dies(d))
		r = -EIO;
	else if (f == NULL)
		r = -ENOENT;
	else
		f->size = size;
	pthread_mutex_unlock(&d->lock);
	return r;
}

static void put(struct file *f, uint64_t offset, const uint8_t *from, size_t size)
{
	if (size > 0)
		memcpy(f->seen + offset, from, size);
	for (uint64_t b = offset / BLOCK; b < blocks_of(offset + size); b++)
		f->dirty[b] = true;
}

static void store(struct file *f, uint64_t block, size_t size)
{
	memcpy(f->stored + block * BLOCK, f->seen + block * BLOCK, size);
}

static void sync_all(struct file *f)
{
	for (uint64_t b = 0; b < blocks_of(f->size); b++) {
		if (f->dirty[b])
			store(f, b, BLOCK);
		f->dirty[b] = false;
	}
}

/* Each block that is not synced: as it was, as it is, or torn. */
static void decide(struct memory_disk *d, struct file *f)
{
	const unsigned loss = (unsigned)(draw(d) % 5); /* of 4 blocks; now and then none is lost, or all */

	for (uint64_t b = 0; b < blocks_of(f->size); b++) {
		if (!f->dirty[b])
			continue;
		if (draw(d) % 4 >= loss)
			store(f, b, BLOCK);
		else if (draw(d) % 8 == 0)
			store(f, b, draw(d) % BLOCK);
		f->dirty[b] = false;
	}
	memcpy(f->seen, f->stored, f->size);
}

static int disk_write_and_sync(void *context, int file, uint64_t offset, const void *from, size_t size)
{
	struct memory_disk *d = context;
	int r = 0;

	pthread_mutex_lock(&d->lock);
	struct file *f = d->handles[file];
	const bool was_dead = d->dead;
	assert(f != NULL && offset + size <= f->size);
	if (dies(d)) {
		if (!was_dead) /* what was written by then is in the page cache */
			put(f, offset, from, size == 0 ? 0 : draw(d) % (size + 1));
		r = -EIO;
	} else if (size > 0 && happens(d, d->faults.write_eio)) {
		put(f, offset, from, draw(d) % size);
		r = -EIO;
	} else {
		put(f, offset, from, size);
		if (happens(d, d->faults.sync_eio))
			r = -EIO;
	}
	if (r == 0)
		sync_all(f);
	else if (!d->dead)
		decide(d, f);
	pthread_mutex_unlock(&d->lock);
	return r;
}

struct journal_disk memory_disk_interface(struct memory_disk *d)
{
	return (struct journal_disk){ .context = d,
				      .list = disk_list,
				      .create = disk_create,
				      .open = disk_open,
				      .close = disk_close,
				      .remove = disk_remove,
				      .read = disk_read,
				      .write_and_sync = disk_write_and_sync,
				      .data_end = d->knows_data_end ? disk_data_end : NULL,
				      .cut = disk_cut };
}

/* ---- what a test calls ---- */

struct memory_disk *memory_disk_create(uint64_t seed)
{
	struct memory_disk *d = calloc(1, sizeof(*d));

	if (d == NULL)
		abort();
	d->random = seed;
	d->knows_data_end = seed % 4 != 0;
	pthread_mutex_init(&d->lock, NULL);
	return d;
}

struct memory_disk *memory_disk_copy(const struct memory_disk *from)
{
	struct memory_disk *d = memory_disk_create(from->random);

	for (unsigned i = 0; i < FILES_MAX; i++) {
		const struct file *f = &from->files[i];

		if (!f->named)
			continue;
		struct file *copy = make(d, f->name, f->size);
		memcpy(copy->seen, f->seen, f->size);
		memcpy(copy->stored, f->stored, f->size);
		memcpy(copy->dirty, f->dirty, blocks_of(f->size) * sizeof(*f->dirty));
	}
	return d;
}

void memory_disk_free(struct memory_disk *d)
{
	for (unsigned i = 0; d != NULL && i < FILES_MAX; i++) {
		free(d->files[i].seen);
		free(d->files[i].stored);
		free(d->files[i].dirty);
	}
	free(d);
}

void memory_disk_set_faults(struct memory_disk *d, struct memory_faults faults)
{
	pthread_mutex_lock(&d->lock);
	d->faults = faults;
	pthread_mutex_unlock(&d->lock);
}

void memory_disk_limit(struct memory_disk *d, uint64_t bytes)
{
	pthread_mutex_lock(&d->lock);
	d->limit = bytes;
	pthread_mutex_unlock(&d->lock);
}

void memory_disk_die(struct memory_disk *d, uint64_t nth)
{
	d->dies_in = nth;
}

bool memory_disk_is_dead(const struct memory_disk *d)
{
	return d->dead;
}

void memory_disk_crash(struct memory_disk *d, bool machine)
{
	for (int i = 0; i < HANDLES_MAX; i++)
		d->handles[i] = NULL;
	for (unsigned i = 0; i < FILES_MAX; i++) {
		struct file *f = &d->files[i];

		f->users = 0;
		f->bad_from = f->bad_to = 0;
		drop_if_unused(f);
		if (f->named && machine)
			decide(d, f);
	}
	d->faults = (struct memory_faults){ 0 };
	d->dead = false;
	d->dies_in = 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

unsigned memory_disk_files(const struct memory_disk *d)
{
	unsigned count = 0;

	for (unsigned i = 0; i < FILES_MAX; i++)
		count += d->files[i].named;
	return count;
}

const char *memory_disk_name(const struct memory_disk *d, unsigned index, uint64_t *ret_size)
{
	const char *names[FILES_MAX];
	unsigned count = 0;

	for (unsigned i = 0; i < FILES_MAX; i++)
		if (d->files[i].named)
			names[count++] = d->files[i].name;
	assert(index < count);
	qsort(names, count, sizeof(names[0]), by_name);
	if (ret_size != NULL)
		*ret_size = find(d, names[index])->size;
	return names[index];
}

static struct file *existing(const struct memory_disk *d, const char *name)
{
	struct file *f = find(d, name);

	assert(f != NULL);
	return f;
}

const uint8_t *memory_disk_bytes(const struct memory_disk *d, const char *name)
{
	return existing(d, name)->seen;
}

void memory_disk_damage(struct memory_disk *d, const char *name, uint64_t offset, const void *bytes, size_t size)
{
	struct file *f = existing(d, name);

	assert(offset + size <= f->size);
	memcpy(f->seen + offset, bytes, size);
	memcpy(f->stored + offset, bytes, size);
}

void memory_disk_truncate(struct memory_disk *d, const char *name, uint64_t size)
{
	struct file *f = existing(d, name);

	assert(size <= f->size);
	memset(f->seen + size, 0, f->size - size);
	memset(f->stored + size, 0, f->size - size);
	f->size = size;
}

void memory_disk_remove(struct memory_disk *d, const char *name)
{
	struct file *f = existing(d, name);

	f->named = false;
	drop_if_unused(f);
}

void memory_disk_unreadable(struct memory_disk *d, const char *name, uint64_t offset, uint64_t size)
{
	struct file *f = existing(d, name);

	f->bad_from = offset;
	f->bad_to = offset + size;
}

unsigned memory_disk_open_files(const struct memory_disk *d)
{
	unsigned count = 0;

	for (int i = 0; i < HANDLES_MAX; i++)
		count += d->handles[i] != NULL;
	return count;
}
