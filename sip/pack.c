#include "sip/pack.h"

#include <assert.h>

uint32_t pack_size(const struct bytes *texts, unsigned count)
{
	uint32_t size = 2 * count;
	for (unsigned i = 0; i < count; i++) {
		if (texts[i].size > UINT16_MAX)
			return 0;
		size += texts[i].size;
	}
	return size;
}

void pack_write(const struct bytes *texts, unsigned count, char *out)
{
	char *at = out + 2 * count;
	for (unsigned i = 0; i < count; i++) {
		uint32_t size = texts[i].size;
		assert(size <= UINT16_MAX);
		out[2 * i] = (char)(size & 0xff);
		out[2 * i + 1] = (char)(size >> 8);
		if (size)
			memcpy(at, texts[i].at, size);
		at += size;
	}
}

void pack_read(struct bytes packed, struct bytes *ret_texts, unsigned count)
{
	const unsigned char *sizes = (const unsigned char *)packed.at;
	uint32_t at = 2 * count;
	assert(packed.size >= at);
	for (unsigned i = 0; i < count; i++) {
		uint32_t size = (uint32_t)sizes[2 * i] | (uint32_t)sizes[2 * i + 1] << 8;
		ret_texts[i] = (struct bytes){ packed.at + at, size };
		at += size;
	}
	assert(at == packed.size);
}
