/* A view of bytes that somebody else owns: never terminated, may hold NULs.  Valid as long as its owner says. */
#ifndef RW_SIP_BYTES_H
#define RW_SIP_BYTES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct bytes {
	const char *at; /* may be NULL when size is 0 */
	uint32_t size;
};

#define BYTES(literal) ((struct bytes){ (literal), sizeof(literal) - 1 })
#define BYTES_NONE     ((struct bytes){ NULL, 0 })

static inline struct bytes bytes_of(const char *terminated)
{
	return (struct bytes){ terminated, (uint32_t)strlen(terminated) };
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.at, b.at, a.size) == 0);
}

static inline char bytes_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* ASCII letters compare without case, as SIP tokens do (RFC 3261 7.3.1). */
static inline bool bytes_equal_nocase(struct bytes a, struct bytes b)
{
	if (a.size != b.size)
		return false;
	for (uint32_t i = 0; i < a.size; i++)
		if (bytes_lower(a.at[i]) != bytes_lower(b.at[i]))
			return false;
	return true;
}

#endif
