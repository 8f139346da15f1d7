/* Identifiers that we mint: they lead home, and nothing else does.  Design, rule 3. */
#include <criterion/criterion.h>

#include "core/ident.h"

static const uint8_t secret[32] = "a secret of thirty-two bytes...";

static struct ident_key key_of(const char *node)
{
	struct ident_key key;
	ident_key_init(&key, secret, node);
	return key;
}

static const struct ident samples[] = {
	{ 0, 0, 0, 0 },
	{ 1, 2, 3, 4 },
	{ UINT32_MAX, 0xffffff, UINT16_MAX, STEER_BUCKETS - 1 },
	{ 0x12345678, 0xabcdef, 0x4321, 2048 },
};

Test(ident, a_token_reads_back)
{
	struct ident_key key = key_of("node1");
	for (unsigned i = 0; i < sizeof samples / sizeof *samples; i++) {
		char token[IDENT_SIZE];
		struct ident id;
		ident_write(&key, &samples[i], token);
		cr_assert(ident_read(&key, (struct bytes){ token, IDENT_SIZE }, &id));
		cr_assert(id.slot == samples[i].slot && id.generation == samples[i].generation &&
			  id.boot == samples[i].boot && id.bucket == samples[i].bucket);
		cr_assert_eq(steer_bucket(&key.steer, (struct bytes){ token, IDENT_SIZE }), samples[i].bucket);
	}
}

/* Every single character changed, to every other of the alphabet. */
Test(ident, a_changed_token_is_not_ours)
{
	struct ident_key key = key_of("node1");
	char token[IDENT_SIZE];
	struct ident id;
	ident_write(&key, &samples[3], token);
	for (unsigned at = 0; at < IDENT_SIZE; at++) {
		char was = token[at];
		for (const char *c = STEER_ALPHABET "AZ019-@"; *c; c++) {
			token[at] = *c;
			cr_assert_eq(ident_read(&key, (struct bytes){ token, IDENT_SIZE }, &id), *c == was,
				     "character %u", at);
		}
		token[at] = was;
	}
}

Test(ident, of_another_node_or_length_is_not_ours)
{
	struct ident_key key = key_of("node1"), other = key_of("node2");
	char token[IDENT_SIZE + 1];
	struct ident id;
	ident_write(&key, &samples[1], token);
	token[IDENT_SIZE] = 'a';
	cr_assert_not(ident_read(&other, (struct bytes){ token, IDENT_SIZE }, &id));
	cr_assert_not(ident_read(&key, (struct bytes){ token, IDENT_SIZE - 1 }, &id));
	cr_assert_not(ident_read(&key, (struct bytes){ token, IDENT_SIZE + 1 }, &id));
	cr_assert_not(ident_read(&key, BYTES_NONE, &id));
}

/* RFC 3261 8.1.1.7: branches begin with the cookie; each sequence is another one. */
/* Each edition of a tag is another one, and leads to the same leg; nothing else behind a token does. */
Test(ident, a_tag_of_any_edition_reads_back)
{
	struct ident_key key = key_of("node1");
	char token[IDENT_SIZE], tag[TAG_SIZE_MAX + 1];
	struct bytes own = { token, IDENT_SIZE };
	struct ident id;
	unsigned read;
	ident_write(&key, &samples[3], token);
	for (unsigned edition = 0; edition <= EDITION_MAX; edition++) {
		struct bytes whole = { tag, ident_make_tag(own, edition, tag) };
		cr_assert(ident_read_tag(&key, whole, &id, &read));
		cr_assert(id.slot == samples[3].slot && read == edition);
		cr_assert(ident_is_tag_of(whole, own));
		cr_assert_eq(ident_read(&key, whole, &id), edition == 0);
	}
	for (unsigned c = 0; c < 256; c++) {
		tag[IDENT_SIZE] = (char)c;
		bool good = c && strchr(STEER_ALPHABET, (int)c) && c != (uint8_t)STEER_ALPHABET[0];
		cr_assert_eq(ident_read_tag(&key, (struct bytes){ tag, IDENT_SIZE + 1 }, &id, &read), good, "%c", c);
	}
	tag[IDENT_SIZE] = tag[IDENT_SIZE + 1] = 'b';
	cr_assert_not(ident_read_tag(&key, (struct bytes){ tag, IDENT_SIZE + 2 }, &id, &read));
	cr_assert_not(ident_read_tag(&key, (struct bytes){ tag, IDENT_SIZE - 1 }, &id, &read));
	cr_assert_not(ident_read_tag(&key, BYTES_NONE, &id, &read));
	cr_assert_not(ident_is_tag_of((struct bytes){ tag, IDENT_SIZE + 2 }, own));
	tag[0] ^= 1;
	cr_assert_not(ident_is_tag_of((struct bytes){ tag, IDENT_SIZE }, own));
}

Test(ident, a_branch_reads_back)
{
	struct ident_key key = key_of("node1");
	static const uint16_t sequences[] = { 0, 1, 0x7fff, 0x8000, 0xffff };
	for (unsigned i = 0; i < sizeof sequences / sizeof *sequences; i++) {
		char branch[BRANCH_SIZE];
		struct ident id;
		uint16_t sequence;
		ident_write_branch(&key, &samples[2], sequences[i], branch);
		cr_assert_eq(memcmp(branch, "z9hG4bK", 7), 0);
		cr_assert(ident_read_branch(&key, (struct bytes){ branch, BRANCH_SIZE }, &id, &sequence));
		cr_assert_eq(sequence, sequences[i]);
		cr_assert_eq(id.slot, samples[2].slot);
		branch[BRANCH_SIZE - 1] = 'G';
		cr_assert_not(ident_read_branch(&key, (struct bytes){ branch, BRANCH_SIZE }, &id, &sequence));
	}
}

/* Requests, ACKs of answers and ACKs of forks never share one. */
Test(ident, kinds_of_branches_do_not_meet)
{
	for (uint32_t n = 0; n < 0x10000; n += 17) {
		cr_assert_lt(BRANCH_REQUEST(n), 0x8000);
		cr_assert(BRANCH_ACK(n) >= 0x8000 && BRANCH_ACK(n) < 0xc000);
		cr_assert_geq(BRANCH_FORK_ACK(n), 0xc000);
	}
}
