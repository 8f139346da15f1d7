/* The messages of the torture collection made worse, at a shard: multiply [--stride N] [--seconds S].
 *
 *   every prefix of every message
 *   every header line of every message doubled, one at a time, and all at once
 *   every byte made 00, 0a, 20, ff; with --stride every N-th, beginning at a place that differs from file to file
 *
 * Nothing may come of it but what tests/torture/world.h allows: at most one final answer, to the sender alone, no harm,
 * nothing left.  --seconds bounds the whole; what was not reached is said.  Exit status 77 (skipped) where the
 * collection is not there. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "world.h"

#define FILES_MAX 1024
#define PORTION   200 /* datagrams until all is over and the next begin */

static char *files[FILES_MAX];
static unsigned file_count;
static uint64_t datagrams, calls;
static unsigned stride = 1, fed;
static double ends_at;

static double now(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static bool is_late(void)
{
	return ends_at != 0 && now() > ends_at;
}

static void feed(struct world *w, const char *at, size_t size)
{
	world_feed(w, (struct bytes){ at, (uint32_t)size });
	datagrams++;
	calls += w->invites > 0;
	if (++fed % PORTION == 0)
		lone_settle(w->lone);
}

static void try_prefixes(struct world *w, struct bytes text)
{
	for (uint32_t size = 0; size < text.size; size++)
		feed(w, text.at, size);
}

/* All of it with the line [from, to) twice. */
static void feed_doubled(struct world *w, struct bytes text, size_t from, size_t to)
{
	static char out[2 * TORTURE_FILE_MAX];
	memcpy(out, text.at, to);
	memcpy(out + to, text.at + from, to - from);
	memcpy(out + to + (to - from), text.at + to, text.size - to);
	feed(w, out, text.size + to - from);
}

static void try_doubled_lines(struct world *w, struct bytes text)
{
	static char all[2 * TORTURE_FILE_MAX];
	size_t size = 0, from = 0;
	while (from < text.size) {
		const char *end = memmem(text.at + from, text.size - from, "\r\n", 2);
		size_t to = end ? (size_t)(end - text.at) + 2 : text.size;
		bool empty = to - from == 2;
		if (empty) { /* the body, as it is */
			memcpy(all + size, text.at + from, text.size - from);
			size += text.size - from;
			break;
		}
		feed_doubled(w, text, from, to);
		for (unsigned twice = 0; twice < (from ? 2u : 1u); twice++) {
			memcpy(all + size, text.at + from, to - from);
			size += to - from;
		}
		from = to;
	}
	feed(w, all, size);
}

static void try_flips(struct world *w, struct bytes text)
{
	static const unsigned char made[] = { 0x00, 0x0a, 0x20, 0xff };
	static unsigned first;
	char *at = (char *)(uintptr_t)text.at;
	for (uint32_t i = first++ % stride; i < text.size; i += stride) {
		char was = at[i];
		for (unsigned n = 0; n < sizeof made; n++) {
			at[i] = (char)made[n];
			feed(w, at, text.size);
		}
		at[i] = was;
	}
}

static void try_files(const char *what, void (*tried)(struct world *w, struct bytes text))
{
	static char text[TORTURE_FILE_MAX], lines[2 * TORTURE_FILE_MAX];
	unsigned done = 0;
	uint64_t before = datagrams;
	for (; done < file_count && !is_late(); done++) {
		struct bytes datagram;
		if (!torture_load(files[done], text, &datagram))
			continue;
		struct world *w = world_create(NULL);
		datagram = torture_with_crlf(datagram, lines); /* bare line feeds end no line: nothing would be read */
		tried(w, datagram);
		if (!world_is_well(w)) {
			fprintf(stderr, "no answer to OPTIONS after %s of %s\n", what, files[done]);
			abort();
		}
		world_destroy(w);
	}
	printf("%-14s %u of %u files, %llu datagrams\n", what, done, file_count,
	       (unsigned long long)(datagrams - before));
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list(const char *folder)
{
	char path[4096], name[512];
	unsigned first = file_count;
	snprintf(path, sizeof path, "%s/%s", torture_directory(), folder);
	DIR *dir = opendir(path);
	if (!dir)
		return;
	for (struct dirent *entry; (entry = readdir(dir)) && file_count < FILES_MAX;) {
		if (entry->d_name[0] == '.' || strstr(entry->d_name, ".tsv") || strstr(entry->d_name, "LICENSE"))
			continue;
		snprintf(name, sizeof name, "%s/%s", folder, entry->d_name);
		files[file_count++] = strdup(name);
	}
	closedir(dir);
	qsort(files + first, file_count - first, sizeof *files, by_name);
}

int main(int argc, char **argv)
{
	static const char *const folders[] = {
		"rfc4475",     "rfc4475-udp",    "rfc5118-wire",         "seeds/jsip",
		"seeds/sofia", "seeds/kamailio", "seeds/pjsip/fuzz-sip", "seeds/pjsip/fuzz-sip-dialog"
	};
	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--stride") == 0)
			stride = (unsigned)strtoul(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--seconds") == 0)
			ends_at = now() + strtod(argv[i + 1], NULL);
	}
	if (!stride)
		return 2;
	for (unsigned i = 0; i < sizeof folders / sizeof *folders; i++)
		list(folders[i]);
	if (!file_count) {
		printf("skipped: no torture messages in %s\n", torture_directory());
		return 77;
	}
	double begun = now();
	try_files("prefixes", try_prefixes);
	try_files("doubled lines", try_doubled_lines);
	try_files("changed bytes", try_flips);
	printf("%llu datagrams, %llu calls, %.0f s\n", (unsigned long long)datagrams, (unsigned long long)calls,
	       now() - begun);
	for (unsigned i = 0; i < file_count; i++)
		free(files[i]);
	return 0;
}
