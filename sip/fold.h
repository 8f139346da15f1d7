/* Private to sip/: folded header lines put together.  RFC 3261 7.3.1.
 *
 * A line that begins with white space goes on with the one before it; the CRLF between them, with all white space
 * around it, stands for one space.  No view of a message may hold a line end, so a folded message is copied once,
 * without its folds, and read from the copy.  Only header lines fold: an empty line ends them even if the body behind
 * it begins with a space. */
#ifndef RW_SIP_FOLD_H
#define RW_SIP_FOLD_H

#include "sip/bytes.h"

/* Copies one line without its folds and its CRLF to *out and moves that on, by no more than the line is long.  Returns
 * where the line ends: at its CRLF or at the end of the text.  *ret_blank is set if a line goes on with white space
 * alone, which the grammar does not have (25.1: LWS holds one CRLF at most), and is left alone otherwise. */
const char *sip_unfold_line(const char *at, const char *end, char **out, bool *ret_blank);

/* Copies the start line, which cannot be folded, without the empty lines that may stand before it (7.5) and without its
 * CRLF.  Returns as sip_unfold_line(). */
const char *sip_copy_start_line(const char *at, const char *end, char **out);

/* The header line after the one that ended at `at`; NULL: the empty line or nothing comes. */
const char *sip_next_line(const char *at, const char *end);

/* Copies a message from its start line on, without folds, into room for text.size bytes.  false: a line goes on with
 * white space alone. */
bool sip_unfold(struct bytes text, char *room, struct bytes *ret_copy);

#endif
