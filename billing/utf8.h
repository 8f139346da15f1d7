/* Texts that come from the wire may hold any bytes; what goes into the database is always readable as UTF-8 (RFC 3629)
 * and ends where it seems to end. */
#ifndef RW_BILLING_UTF8_H
#define RW_BILLING_UTF8_H

#include <stddef.h>

/* How many bytes from the start are well-formed UTF-8 without NUL: `size` if all are. */
size_t utf8_good(const char *text, size_t size);

/* Copies, with a '?' for each byte that is NUL or not part of well-formed UTF-8. */
void utf8_copy(char *out, const char *text, size_t size);

#endif
