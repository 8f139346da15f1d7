/* What the fuzz targets share.
 *
 * A target is one file of this folder with LLVMFuzzerTestOneInput() in it: it takes any bytes and aborts when the code
 * breaks a promise; a crash, a leak or a hang is found by the sanitizers and by libFuzzer.  One and the same input
 * always does the same.  Each target is linked twice: with libFuzzer, which looks for new ways through the code
 * (tools/fuzz, needs clang), and with driver.c, which runs known inputs and blind mutants of them as a plain test.
 *
 *   reader.c   sip/reader against sofia-sip          (oracle.c compares)
 *   shard.c    any sequence of inputs to one or two shards   (shard_messages.c makes them, shard_world.c is their edge)
 *   body.c     session bodies as they are kept and sent on
 *   config.c   the configuration's text
 *   routes.c   a prefix file, and look-ups
 *   framing.c  a stream of messages, cut anywhere
 *   rates.c    rates as CSV
 *   control.c  lines of the control socket
 *   record.c   a record of a live call, taken up after a restart   (record_take.c)
 *
 * corpus/TARGET has inputs to begin with and those that once failed, dict/TARGET.dict words that they are made of. */
#ifndef RW_TESTS_FUZZ_FUZZ_H
#define RW_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static inline void fuzz_expect(bool kept, const char *promise)
{
	if (kept)
		return;
	fprintf(stderr, "broken promise: %s\n", promise);
	abort();
}

/* A shard of its own for each input: most of the time would go into clearing huge pages of which it uses little. */
static inline void fuzz_small_pages(void)
{
	static bool done;
	if (!done)
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	done = true;
}

/* An input read from its front; what is missing at its end is zero. */
struct fuzz_input {
	const uint8_t *at, *end;
};

static inline unsigned fuzz_byte(struct fuzz_input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

static inline unsigned fuzz_word(struct fuzz_input *in)
{
	unsigned low = fuzz_byte(in);
	return low | fuzz_byte(in) << 8;
}

/* The next `size` bytes, or as many as are left. */
static inline size_t fuzz_bytes(struct fuzz_input *in, size_t size, const uint8_t **ret_at)
{
	size_t left = (size_t)(in->end - in->at);
	*ret_at = in->at;
	size = size < left ? size : left;
	in->at += size;
	return size;
}

#endif
