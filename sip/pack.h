/* Several texts in one piece of memory: a table of 16-bit little-endian sizes, then the bytes.  What a call or a dialog
 * keeps of strings is packed so, and can be written to disk as it is. */
#ifndef RW_SIP_PACK_H
#define RW_SIP_PACK_H

#include <stdint.h>

#include "sip/bytes.h"

/* The size of the packed form; 0: one of the texts is longer than 65,535 bytes. */
uint32_t pack_size(const struct bytes *texts, unsigned count);
void pack_write(const struct bytes *texts, unsigned count, char *out);
/* Views into the packed piece, which must be one of exactly `count` texts. */
void pack_read(struct bytes packed, struct bytes *ret_texts, unsigned count);

#endif
