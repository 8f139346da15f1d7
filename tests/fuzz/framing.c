/* A stream of messages, cut anywhere: however it comes in, the same messages are found, and the same end.  RFC 3261
 * 18.3, RFC 5626 4.4.1.
 *
 * The first byte is how many bytes come at a time (0: all at once); the rest is the stream. */
#include "sip/framing.h"

#include <string.h>

#include "sip/message.h"
#include "tests/fuzz/fuzz.h"

#define FOUND_MAX 64
#define LIMIT     4096

/* What was found in a stream, and where. */
struct found {
	unsigned count, pings;
	struct {
		enum framing_result result;
		size_t at;
		uint32_t size; /* of a message */
	} piece[FOUND_MAX];
};

static void check_message(struct bytes text)
{
	static char scratch[SIP_SCRATCH_BYTES];
	static struct sip_message m;
	struct sip_refusal refusal;
	uint32_t size;

	if (sip_message_read(text, scratch, &m, &refusal) != SIP_READ_OK)
		return;
	fuzz_expect(sip_read_number(sip_header(&m, SIP_H_CONTENT_LENGTH), &size) && size == m.body.size,
		    "a message of a stream has its Content-Length");
	fuzz_expect(m.text.size < m.body.size || m.body.size == 0 || m.body.at + m.body.size == m.text.at + m.text.size,
		    "a message ends with its body");
}

static void walk(struct bytes stream, uint32_t step, struct found *f)
{
	struct framing framing = { 0 };
	uint32_t from = 0, shown = step ? 0 : stream.size;

	f->count = f->pings = 0;
	while (f->count < FOUND_MAX) {
		uint32_t size = 0;
		enum framing_result result =
			framing_next(&framing, (struct bytes){ stream.at + from, shown - from }, LIMIT, &size);

		if (result == FRAMING_MORE) {
			if (shown == stream.size)
				return;
			shown = stream.size - shown < step ? stream.size : shown + step;
			continue;
		}
		fuzz_expect(size <= shown - from, "no more is taken than has come");
		if (result == FRAMING_PING || result == FRAMING_SKIPPED) {
			fuzz_expect(size > 0, "what is skipped is something");
			f->pings += result == FRAMING_PING;
			from += size;
			continue;
		}
		f->piece[f->count].result = result;
		f->piece[f->count].at = from;
		f->piece[f->count++].size = result == FRAMING_MESSAGE ? size : 0;
		if (result != FRAMING_MESSAGE)
			return;
		fuzz_expect(size > 0 && size <= LIMIT, "a message is no larger than the limit");
		check_message((struct bytes){ stream.at + from, size });
		from += size;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static struct found whole, cut;
	struct bytes stream = { (const char *)bytes + 1, (uint32_t)(size - 1) };

	if (size == 0)
		return 0;
	walk(stream, 0, &whole);
	walk(stream, 1 + bytes[0], &cut);
	fuzz_expect(whole.count == cut.count && whole.pings == cut.pings,
		    "a cut stream has the same messages and pings");
	for (unsigned i = 0; i < whole.count; i++)
		fuzz_expect(whole.piece[i].result == cut.piece[i].result && whole.piece[i].at == cut.piece[i].at &&
				    whole.piece[i].size == cut.piece[i].size,
			    "a cut stream has its messages in the same places");
	return 0;
}
