/* Datagrams for the shard's fuzz target, made as the input says: so that an input of a few bytes leads deep into a
 * call. Each takes from the input what it needs. */
#ifndef RW_TESTS_FUZZ_SHARD_MESSAGES_H
#define RW_TESTS_FUZZ_SHARD_MESSAGES_H

#include "sip/build.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/shard_world.h"

/* An INVITE, or another request outside a dialog, of one of a few callers. */
void messages_initial(struct builder *b, struct fuzz_input *in);
/* An answer to a request that the node sent. */
void messages_answer(struct builder *b, struct fuzz_input *in, const struct world *w);
/* A request, or an ACK, inside the dialog that a message of the node speaks of. */
void messages_in_dialog(struct builder *b, struct fuzz_input *in, const struct world *w);
/* Text of the input, in which $B $C $F $T $f $t $Q $V $U stand for branch, Call-ID, From, To, their tags, CSeq number,
 * topmost Via and Contact's URI of a message of the node. */
void messages_text(struct builder *b, struct fuzz_input *in, const struct world *w);
/* Changes a datagram as the input says; returns its new size. */
size_t messages_mutate(char *bytes, size_t size, size_t room, struct fuzz_input *in);

#endif
