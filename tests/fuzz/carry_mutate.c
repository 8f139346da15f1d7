/* Records of live calls that were damaged: cut off at every byte, and every byte changed in some ways.
 *
 *   carry_mutate [SEED]           does that to the records of a simulated node's calls
 *   carry_mutate --write FOLDER   writes them as inputs for the fuzz target record.c */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/record_take.h"
#include "tests/sim/keep.h"

static uint64_t restored, refused;

static void take(struct sim *sim, const struct recovered_call *call)
{
	*(record_take(sim, call) ? &restored : &refused) += 1;
}

/* In memory of its exact size, so that a byte too far is found out. */
static void take_changed(struct sim *sim, const struct recovered_call *call, struct recovered_bytes *part, size_t at,
			 int change)
{
	const struct recovered_bytes whole = *part;
	size_t size = change < 0 ? at : whole.size;
	uint8_t *bytes = malloc(size ? size : 1);
	if (!bytes)
		abort();
	memcpy(bytes, whole.at, size);
	if (change > 0)
		bytes[at] = (uint8_t)(bytes[at] + change);
	part->at = bytes;
	part->size = size;
	take(sim, call);
	*part = whole;
	free(bytes);
}

static void take_all(struct sim *sim, const struct recovered_call *call, struct recovered_bytes *part)
{
	static const int changes[] = { -1, 1, 0xff };
	for (size_t at = 0; part->at && at < part->size; at++)
		for (unsigned i = 0; i < sizeof changes / sizeof *changes; i++)
			take_changed(sim, call, part, at, changes[i]);
}

static void visit(struct sim *sim, const struct recovered_call *kept, void *context)
{
	struct recovered_call call = *kept;
	(void)context;
	take(sim, &call);
	take_all(sim, &call, &call.live);
	for (unsigned i = 0; i < RECORD_CHANGE_PARTS; i++)
		take_all(sim, &call, &call.changes[i]);
	call.ended = true;
	call.byes = 3;
	take(sim, &call);
}

static void put_part(FILE *file, unsigned part, const struct recovered_bytes *bytes)
{
	if (!bytes->at)
		return;
	fputc((int)part, file);
	fputc((int)(bytes->size & 0xff), file);
	fputc((int)(bytes->size >> 8), file);
	fwrite(bytes->at, 1, bytes->size, file);
}

static void write_call(struct sim *sim, const struct recovered_call *call, void *context)
{
	static unsigned number;
	char name[4096];
	(void)sim;
	snprintf(name, sizeof name, "%s/call-%u", (const char *)context, number++);
	FILE *file = fopen(name, "wb");
	if (!file)
		exit(2);
	fputc(0, file);
	put_part(file, RECORD_CHANGE_PARTS, &call->live);
	for (unsigned i = 0; i < RECORD_CHANGE_PARTS; i++)
		put_part(file, i, &call->changes[i]);
	fclose(file);
}

int main(int argc, char **argv)
{
	struct sim *sim = record_node(argc == 2 ? strtoull(argv[1], NULL, 10) : 1);
	if (argc == 3) {
		keep_each(sim, write_call, argv[2]);
		sim_destroy(sim);
		return 0;
	}
	keep_each(sim, visit, NULL);
	printf("%llu records taken, %llu refused\n", (unsigned long long)restored, (unsigned long long)refused);
	sim_destroy(sim);
	return restored > 100 && refused > 100 ? 0 : 1;
}
