/* Fees of calls as they were corrected (ledger.h): what is shown and added up in place of the CDRs' own.  They are few
 * beside the CDRs, and are read once for each list or sum. */
#ifndef RW_BILLING_FEES_H
#define RW_BILLING_FEES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "billing/list.h"

struct fees;

/* Reads the corrections of calls that began within the filter's bounds from ringwheel.db; of a database that is not
 * there none.  0 or a negative errno and a sentence. */
int fees_load(const char *path, const struct cdr_filter *filter, struct fees **ret_fees,
	      char error[static CDR_READ_ERROR_BYTES]);
void fees_free(struct fees *f); /* NULL: nothing; so are the others' NULL no fees */

/* false: the fee is the CDR's own. */
bool fees_find(const struct fees *f, const char *cdr_id, int64_t *ret_fee_e8);
size_t fees_count(const struct fees *f);
const char *fees_at(const struct fees *f, size_t index, int64_t *ret_fee_e8); /* in order of their cdr_id */

#endif
