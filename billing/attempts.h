/* The attempts of a record as the text of their column: [{"gateway":"vendor-a","code":503,"ms":120},...], RFC 8259. */
#ifndef RW_BILLING_ATTEMPTS_H
#define RW_BILLING_ATTEMPTS_H

#include "billing/cdr.h"

/* A character of a name takes at most six: \u001f. */
#define ATTEMPT_TEXT_MAX  (sizeof("{\"gateway\":\"\",\"code\":65535,\"ms\":4294967295},") + 6 * CDR_GATEWAY_MAX)
#define ATTEMPTS_TEXT_MAX (sizeof("[]") + CDR_ATTEMPTS_MAX * ATTEMPT_TEXT_MAX)

/* Writes them, at most CDR_ATTEMPTS_MAX, the names cut to CDR_GATEWAY_MAX and cleaned (utf8_copy()).  Returns the size;
 * no NUL is added. */
size_t attempts_write(const struct cdr_attempt *attempts, size_t count, char out[static ATTEMPTS_TEXT_MAX]);

#endif
