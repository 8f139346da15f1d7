/* The bank of an account: its credit, kept by the account's home shard (account id modulo shards).  Spec 10; design,
 * rule 1.
 *
 *   credit = balance + overdraft          what the account may spend
 *   free   = credit - out                 what nobody has; below zero after a lowered overdraft or a forced debit
 *   out                                   what shards hold: reserved for calls, idle, or on its way in notes
 *
 * A shard asks for as much as its calls need (purse.h).  While there is plenty it is lent some more, so that most calls
 * ask nobody; what is lent and that no call has is recalled before anybody is told that there is nothing, and when free
 * has come to be below zero.  A call that
 * is up and wants another increment is never told so: its ask stays until there is some - somebody else's call has
 * ended, the balance was topped up - or until its time is over.
 *
 * Fees move the balance when calls end; until then they are part of `out`.  All asks of this shard itself take the same
 * way, without notes.
 *
 * The balance is the tariff's (billing/tariff.h) when an account is first seen; from then on the bank keeps it, by the
 * fees of its calls, by the costs of those that it is the vendor of, and by COMMAND_CREDIT, as the ledger does; and of
 * later tariffs only the overdraft counts.  */
#ifndef RW_CORE_CALL_BANK_H
#define RW_CORE_CALL_BANK_H

#include "core/call/credit_note.h"
#include "core/call/state.h"

struct bank_ask {
	int64_t least_e8, want_e8; /* struct credit_ask; want_e8 0: nothing is asked */
	uint16_t turn;
	bool refusable;
};

/* Zeroes are an account that no tariff has named yet: whoever asks waits. */
struct bank {
	int64_t balance_e8;
	int64_t overdraft_e8; /* OVERDRAFT_UNLIMITED: all is granted */
	int64_t out_e8;
	uint64_t lenders;           /* bit by shard: may hold what no call has, or have it on its way back */
	uint64_t recalled;          /* those of them that are to give it back, and have not yet */
	uint32_t tariff_generation; /* of the tariff that it began with */
	uint16_t turn;              /* the shard that is served next */
	bool open;
	bool serving;           /* somebody is being answered, further up */
	struct bank_ask asks[]; /* by shard */
};

static inline unsigned bank_shard(const struct shard *s, uint32_t account_id)
{
	return account_id % s->shard_count;
}

static inline bool bank_is_here(const struct shard *s, uint32_t account_id)
{
	return bank_shard(s, account_id) == s->shard;
}

/* Bytes of all accounts of a shard. */
size_t bank_bytes_all(unsigned shard_count);

struct bank *bank_of(const struct shard *s, uint32_t account_id);

/* For calls of this shard, while nobody waits: takes the most, or the least if there is not plenty.  What it took; 0:
 * ask. */
int64_t bank_take_own(struct shard *s, uint32_t account_id, int64_t least_e8, int64_t most_e8);
/* Whether an amount is small beside what is free. */
bool bank_has_plenty(const struct shard *s, uint32_t account_id, int64_t amount_e8);

void bank_asked(struct shard *s, unsigned from, const struct credit_ask *ask);
void bank_returned(struct shard *s, unsigned from, const struct credit_return *back);

/* The balance has moved (COMMAND_CREDIT) while the configuration of that generation was in force.  Nothing happens if
 * the home is elsewhere, or the account is not known: the tariff that brings it will have the balance; nor if the one
 * that has brought it was read later. */
void bank_credit(struct shard *s, uint32_t account_id, int64_t amount_e8, uint32_t generation);

/* s->config is the first one, or has come in place of another. */
void bank_configured(struct shard *s);

/* Asserts that nobody waits who could be answered. */
void bank_check(const struct shard *s);

#endif
