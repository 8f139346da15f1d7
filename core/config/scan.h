/* The text of a configuration before libconfuse sees it: comments are blanked, and it is cut behind each brace that
 * closes at the top, so that a file of any size can be read section by section.
 *
 * libconfuse 3.3 counts a line too many for each comment, refuses comments inside lists, takes a section that is never
 * closed for complete, and compares the title of a section with those of all before it.  */
#ifndef RW_CORE_CONFIG_SCAN_H
#define RW_CORE_CONFIG_SCAN_H

#include <stddef.h>
#include <stdint.h>

/* Settings outside sections, then at most one section.  The last piece of a text may end without one. */
struct piece {
	size_t start, size;
	unsigned line;      /* on which it starts */
	unsigned open_line; /* of the brace that opens its section, 0: none */
};

struct scan {
	struct piece *pieces;
	uint32_t count, room;
	unsigned end_line;   /* of the text */
	unsigned unclosed;   /* line of the section that is never closed, 0: none.  To be told after faults of syntax */
	unsigned wrong_line; /* 0, or where scanning ended because of */
	const char *wrong;   /* what is wrong there: lent for good */
};

/* Blanks and cuts; every line stays where it is.  0; -ENOMEM; -EINVAL with `wrong`.  Give it to scan_free() either way.
 */
int scan_text(char *text, struct scan *ret_scan);
void scan_free(struct scan *s);

#endif
