/* sofia-sip as the judge of the in-place reader: everything of the message view that the switch acts on, read again by
 * it from the same bytes.
 *
 * Where sofia-sip is known to be wrong, or stricter or laxer than the grammar, the field is left out; each such place
 * says why.  sip_library_agrees() (sip/library.h) compares what names the message; this compares the rest. */
#ifndef RW_TESTS_FUZZ_ORACLE_H
#define RW_TESTS_FUZZ_ORACLE_H

#include "sip/message.h"

/* The first field that differs, NULL: none.  For messages that sofia-sip can read at all. */
const char *oracle_differs(struct bytes text, const struct sip_message *m);

#endif
