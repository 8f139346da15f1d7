/* Credit of accounts, seen from outside and over all shards: what calls have reserved, what is idle, and what is on its
 * way, is what the bank has given out, at any moment; at the end no call has any. */
#ifndef RW_TESTS_SIM_CREDIT_H
#define RW_TESTS_SIM_CREDIT_H

#include "tests/sim/sim.h"

struct credit *credit_create(struct sim *sim);

/* A note is sent to another shard, or has arrived and is about to be read. */
void credit_note(struct sim *sim, const struct note *note, bool sent);

void credit_check(struct sim *sim); /* now and then */
void credit_check_empty(struct sim *sim);

/* As the bank sees it. */
int64_t credit_balance_e8(const struct sim *sim, uint32_t account_id);
/* What nobody has: free at the bank, or idle somewhere; not what is on its way. */
int64_t credit_left_e8(const struct sim *sim, uint32_t account_id);
/* Whether any note about it is on its way. */
bool credit_is_moving(const struct sim *sim, uint32_t account_id);

#endif
