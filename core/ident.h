/* The identifiers that we mint: Call-ID, tag, branch and Contact user all carry one token that names a leg (design,
 * rule 3).  A token is 32 characters of base32 (see core/steer.h for the first seven, which steer):
 *
 *   marker 4 | bucket 3 | slot 32 bits, boot 16, generation 24, check 53 bits: 25 characters
 *
 * The check is SipHash-1-3 under the node's secret over all the rest: a guessed token, or one from before the slot was
 * given to another leg, finds nothing.  Boot is the start of the node that minted it. */
#ifndef RW_CORE_IDENT_H
#define RW_CORE_IDENT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/steer.h"
#include "sip/bytes.h"

#define IDENT_SIZE  STEER_MINTED_SIZE
#define BRANCH_SIZE (7 + IDENT_SIZE + 4) /* z9hG4bK, token, sequence of the transaction in hex */

struct ident_key {
	struct steer_key steer;
	uint64_t k0, k1; /* of the check */
};

struct ident {
	uint32_t slot;
	uint32_t generation; /* 24 bits */
	uint16_t boot;
	uint16_t bucket;
};

void ident_key_init(struct ident_key *key, const uint8_t secret[static 32], const char *node);

void ident_write(const struct ident_key *key, const struct ident *id, char token[static IDENT_SIZE]);
/* false: not a token of ours.  Reads the first IDENT_SIZE characters of a text that must be exactly that long. */
bool ident_read(const struct ident_key *key, struct bytes token, struct ident *ret_id);

/* A tag is a token, or a token and one character more: the edition, which tells the early dialogs apart that one leg
 * showed its peer one after another (core/call/leg.h).  Edition 0 has no character, and the alphabet's first is none.
 */
#define EDITION_MAX  31u
#define TAG_SIZE_MAX (IDENT_SIZE + 1)

/* Writes the tag of a token that is there already; returns its size. */
uint32_t ident_make_tag(struct bytes token, unsigned edition, char tag[static TAG_SIZE_MAX]);
/* false: not a tag of ours.  Any edition: which one is in force only the leg knows. */
bool ident_read_tag(const struct ident_key *key, struct bytes tag, struct ident *ret_id, unsigned *ret_edition);
/* The token of a tag that ident_read_tag() has read. */
static inline struct bytes ident_of_tag(struct bytes tag)
{
	return (struct bytes){ tag.at, IDENT_SIZE };
}
/* Whether a tag, of whatever edition, is of this token. */
bool ident_is_tag_of(struct bytes tag, struct bytes token);

/* Sequences of branches: requests count in the lower half; the ACK for a 2xx has one of its CSeq, so that every
 * repetition of it is the same request. */
#define BRANCH_REQUEST(n)  ((uint16_t)((n)&0x7fffu))
#define BRANCH_ACK(cseq)   ((uint16_t)(0x8000u | ((cseq)&0x3fffu)))
#define BRANCH_FORK_ACK(n) ((uint16_t)(0xc000u | ((n)&0x3fffu)))

void ident_write_branch(const struct ident_key *key, const struct ident *id, uint16_t sequence,
			char branch[static BRANCH_SIZE]);
/* The same of a token that is there already, IDENT_SIZE long. */
void ident_make_branch(struct bytes token, uint16_t sequence, char branch[static BRANCH_SIZE]);
bool ident_read_branch(const struct ident_key *key, struct bytes branch, struct ident *ret_id, uint16_t *ret_sequence);
/* The token inside a branch that ident_read_branch() has read. */
static inline struct bytes ident_of_branch(struct bytes branch)
{
	return (struct bytes){ branch.at + BRANCH_SIZE - 4 - IDENT_SIZE, IDENT_SIZE };
}

#endif
