/* Private to sip/: which header a name, full or compact, stands for.  RFC 3261 7.3.3, 20.
 *
 * A perfect hash of length, first and last letter finds the one name it can be, and one comparison says whether it is.
 */
#ifndef RW_SIP_NAMES_H
#define RW_SIP_NAMES_H

#include "sip/message.h"

#define SIP_NAME_BYTES                   24 /* three words: see sip_same_name() */
#define SIP_EACH_BYTE                    UINT64_C(0x0101010101010101)
#define SIP_NAME_HASH(first, last, size) (((first)*26u + (last)*33u + (size)) & 255u)

struct sip_known_name {
	char name[SIP_NAME_BYTES]; /* lower case, then NULs */
	uint8_t size;              /* 0: no name has this hash */
	uint8_t id;
};

extern const struct sip_known_name sip_known_names[256];

static inline uint64_t sip_load8(const char *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof word);
	return word;
}

/* Whether a name is this lower-case one, SIP_NAME_BYTES being readable: as three words, without a branch.  Bit 5 set
 * makes a letter small, leaves '-' as it is, and turns no other character but CR into one that stands in a known name.
 */
static inline bool sip_same_name(const char *name, const struct sip_known_name *known)
{
	static const char used[2 * SIP_NAME_BYTES] = { [0 ... SIP_NAME_BYTES - 1] = (char)0xff };
	const char *mask = used + SIP_NAME_BYTES - known->size;
	uint64_t low = ((sip_load8(name) | 0x20 * SIP_EACH_BYTE) & sip_load8(mask)) ^ sip_load8(known->name);
	uint64_t middle =
		((sip_load8(name + 8) | 0x20 * SIP_EACH_BYTE) & sip_load8(mask + 8)) ^ sip_load8(known->name + 8);
	uint64_t high =
		((sip_load8(name + 16) | 0x20 * SIP_EACH_BYTE) & sip_load8(mask + 16)) ^ sip_load8(known->name + 16);

	return (low | middle | high) == 0;
}

/* The kind of a name that has SIP_NAME_BYTES readable from its beginning, and no CR. */
static inline enum sip_header_id sip_name_lookup(const char *name, uint32_t size)
{
	unsigned first = (uint8_t)name[0] | 0x20u, last = (uint8_t)name[size - 1] | 0x20u;
	const struct sip_known_name *known = &sip_known_names[SIP_NAME_HASH(first, last, size)];

	return known->size == size && sip_same_name(name, known) ? known->id : SIP_H_OTHER;
}

/* The same for any name; SIP_H_OTHER if the switch does not read it. */
enum sip_header_id sip_header_id_of(struct bytes name);

#endif
