/* A record of a live call that holds anything (record_take.h).
 *
 * The input: a byte (bit 0: the call had ended, and its legs are to hear BYE), then parts, each a byte (below
 * RECORD_CHANGE_PARTS a change, else the LIVE), a size of two bytes and the bytes.  carry_mutate --write makes good
 * ones. */
#include <string.h>

#include "billing/record.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/record_take.h"
#include "tests/sim/keep.h"

static struct recovered_call example; /* names a call of the node */

static void note_example(struct sim *sim, const struct recovered_call *call, void *context)
{
	(void)sim, (void)context;
	example = *call;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct sim *sim;
	struct fuzz_input in = { bytes, bytes + size };
	uint8_t *blocks[RECORD_CHANGE_PARTS + 1] = { NULL }; /* each of its exact size */
	struct recovered_call call;

	fuzz_small_pages();
	if (!sim) {
		sim = record_node(1);
		keep_each(sim, note_example, NULL);
	}
	call = (struct recovered_call){ .bucket = example.bucket, .ended = fuzz_byte(&in) & 1, .byes = 3 };
	memcpy(call.cdr_id, example.cdr_id, sizeof call.cdr_id);
	while (in.at < in.end) {
		unsigned part = fuzz_byte(&in) % (RECORD_CHANGE_PARTS + 1);
		struct recovered_bytes *to = part == RECORD_CHANGE_PARTS ? &call.live : &call.changes[part];
		const uint8_t *at;
		size_t part_size = fuzz_bytes(&in, fuzz_word(&in), &at);

		free(blocks[part]);
		blocks[part] = malloc(part_size ? part_size : 1);
		if (!blocks[part])
			abort();
		memcpy(blocks[part], at, part_size);
		*to = (struct recovered_bytes){ blocks[part], part_size, example.live.version };
	}
	record_take(sim, &call);
	for (unsigned i = 0; i <= RECORD_CHANGE_PARTS; i++)
		free(blocks[i]);
	return 0;
}
