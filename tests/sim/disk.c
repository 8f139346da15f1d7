#include "tests/sim/disk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK 512

enum block_state { BLOCK_CLEAN, BLOCK_DIRTY, BLOCK_LOST /* a sync of it failed */ };

static uint64_t draw(struct disk *d, uint64_t below)
{
	uint64_t z = d->random += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return below ? (z ^ z >> 31) % below : 0;
}

static struct disk_file *file_at(struct disk *d, int file)
{
	assert(file >= 0 && (unsigned)file < d->file_count && d->files[file].cached);
	return &d->files[file];
}

static size_t blocks_of(const struct disk_file *f)
{
	return (size_t)((f->size + BLOCK - 1) / BLOCK);
}

static struct disk_file *find(struct disk *d, const char *name)
{
	for (unsigned i = 0; i < d->file_count; i++)
		if (d->files[i].name[0] && !strcmp(d->files[i].name, name))
			return &d->files[i];
	return NULL;
}

/* ---- the interface ---- */

static int list(void *context, void (*name)(void *to, const char *name, uint64_t size), void *to)
{
	struct disk *d = context;
	if (d->dead)
		return -EIO;
	for (unsigned i = 0; i < d->file_count; i++)
		if (d->files[i].name[0])
			name(to, d->files[i].name, d->files[i].size);
	return 0;
}

static int create(void *context, const char *name, uint64_t size, int *ret_file)
{
	struct disk *d = context;
	uint64_t used = 0;
	assert(strlen(name) < JOURNAL_NAME_BYTES);
	if (d->dead || draw(d, 1000000) < d->failing_ppm) {
		d->failures += !d->dead;
		return -EIO;
	}
	if (find(d, name))
		return -EEXIST;
	for (unsigned i = 0; i < d->file_count; i++)
		used += d->files[i].name[0] ? d->files[i].size : 0;
	if (used + size > d->capacity) {
		d->refusals++;
		return -ENOSPC;
	}
	assert(d->file_count < DISK_FILES_MAX);
	struct disk_file *f = &d->files[d->file_count];
	*f = (struct disk_file){ .size = size };
	strcpy(f->name, name);
	f->cached = calloc(1, size);
	f->durable = calloc(1, size);
	f->dirty = calloc(1, blocks_of(f));
	assert(f->cached && f->durable && f->dirty);
	*ret_file = (int)d->file_count++;
	return 0;
}

static int open_file(void *context, const char *name, int *ret_file)
{
	struct disk *d = context;
	struct disk_file *f = d->dead ? NULL : find(d, name);
	if (!f)
		return d->dead ? -EIO : -ENOENT;
	*ret_file = (int)(f - d->files);
	return 0;
}

static void close_file(void *context, int file)
{
	file_at(context, file);
}

/* The content stays for those who have it open. */
static int remove_file(void *context, const char *name)
{
	struct disk *d = context;
	struct disk_file *f = d->dead ? NULL : find(d, name);
	if (!f)
		return d->dead ? -EIO : -ENOENT;
	f->name[0] = '\0';
	return 0;
}

static int read_file(void *context, int file, uint64_t offset, void *to, size_t size, size_t *ret_size)
{
	struct disk *d = context;
	const struct disk_file *f = file_at(d, file);
	if (d->dead || draw(d, 1000000) < d->unreadable_ppm) {
		d->unread += !d->dead;
		return -EIO;
	}
	if (offset > f->size)
		offset = f->size;
	if (size > f->size - offset)
		size = (size_t)(f->size - offset);
	memcpy(to, f->cached + offset, size);
	*ret_size = size;
	return 0;
}

static int cut(void *context, const char *name, uint64_t size)
{
	struct disk *d = context;
	struct disk_file *f = d->dead ? NULL : find(d, name);
	if (!f)
		return d->dead ? -EIO : -ENOENT;
	assert(size <= f->size);
	f->size = size;
	return 0;
}

static void put(struct disk_file *f, uint64_t offset, const uint8_t *from, size_t size)
{
	if (!size)
		return;
	memcpy(f->cached + offset, from, size);
	memset(f->dirty + offset / BLOCK, BLOCK_DIRTY, (size_t)((offset + size - 1) / BLOCK - offset / BLOCK + 1));
}

static void reach_disk(struct disk_file *f, size_t block)
{
	size_t at = block * BLOCK, size = f->size - at < BLOCK ? (size_t)(f->size - at) : BLOCK;
	memcpy(f->durable + at, f->cached + at, size);
	f->dirty[block] = BLOCK_CLEAN;
}

/* Some of the bytes were written, and some of them have reached the disk; nobody will ever know which. */
static int fail_write(struct disk *d, struct disk_file *f, uint64_t offset, const uint8_t *from, size_t size)
{
	d->failures++;
	put(f, offset, from, (size_t)draw(d, size + 1));
	for (size_t i = 0; i < blocks_of(f); i++) {
		if (f->dirty[i] != BLOCK_DIRTY)
			continue;
		if (draw(d, 2))
			reach_disk(f, i);
		else
			f->dirty[i] = BLOCK_LOST;
	}
	return -EIO;
}

static int write_and_sync(void *context, int file, uint64_t offset, const void *from, size_t size)
{
	struct disk *d = context;
	struct disk_file *f = file_at(d, file);
	uint64_t takes_ns = d->sync_ns + draw(d, d->sync_more_ns + 1);
	size_t first = (size_t)draw(d, size + 1); /* written before the time is half over */
	assert(offset + size <= f->size);
	if (d->dead)
		return -EIO;
	if (draw(d, 1000000) < d->failing_ppm)
		return fail_write(d, f, offset, from, size);
	if (!d->wait) {
		first = size;
		takes_ns = 0;
	}
	put(f, offset, from, first);
	if (takes_ns && !d->wait(d->context, takes_ns / 2))
		return -EIO;
	if (size > first)
		put(f, offset + first, (const uint8_t *)from + first, size - first);
	if (takes_ns && !d->wait(d->context, takes_ns / 2))
		return -EIO;
	for (size_t i = 0; i < blocks_of(f); i++)
		if (f->dirty[i] == BLOCK_DIRTY)
			reach_disk(f, i);
	d->syncs++;
	return 0;
}

struct journal_disk disk_interface(struct disk *d)
{
	return (struct journal_disk){ .context = d,
				      .list = list,
				      .create = create,
				      .open = open_file,
				      .close = close_file,
				      .remove = remove_file,
				      .read = read_file,
				      .write_and_sync = write_and_sync,
				      .cut = cut };
}

/* ---- its owner's side ---- */

void disk_init(struct disk *d, uint64_t seed)
{
	*d = (struct disk){ .random = seed, .capacity = UINT64_MAX };
}

void disk_free(struct disk *d)
{
	for (unsigned i = 0; i < d->file_count; i++) {
		free(d->files[i].cached);
		free(d->files[i].durable);
		free(d->files[i].dirty);
	}
}

void disk_crash(struct disk *d)
{
	unsigned mood = (unsigned)draw(d, 3); /* none, all, some */
	for (unsigned i = 0; i < d->file_count; i++) {
		struct disk_file *f = &d->files[i];
		for (size_t block = 0; f->name[0] && block < blocks_of(f); block++) {
			if (f->dirty[block] == BLOCK_DIRTY && (mood == 1 || (mood == 2 && draw(d, 2))))
				reach_disk(f, block);
			f->dirty[block] = BLOCK_CLEAN;
		}
		if (f->name[0])
			memcpy(f->cached, f->durable, f->size);
	}
}
