/* Texts that came over the wire may hold any bytes; JSON takes UTF-8 (RFC 3629) only. */
#ifndef RW_CORE_CONTROL_TEXT_H
#define RW_CORE_CONTROL_TEXT_H

#include <jansson.h>
#include <stddef.h>

/* A JSON string of these bytes, each byte that is not part of well-formed UTF-8 replaced by '?'.  NULL: no memory. */
json_t *json_text(const char *bytes, size_t size);
json_t *json_text_terminated(const char *text);

/* Length of the well-formed UTF-8 sequence that `bytes` begins with (overlong forms and surrogates are not), 0: none.
 */
unsigned utf8_length(const char *bytes, size_t size);

/* A string from an array that may have been filled to its last byte. */
#define JSON_TEXT_ARRAY(array) json_text((array), strnlen((array), sizeof(array)))

#endif
