/* Loads the steering program (steer.bpf.c) and attaches it to the listeners' SO_REUSEPORT groups.  A build without a
 * BPF compiler has none: loading then says so, and the switch steers by mailbox alone. */
#ifndef RW_CORE_NET_STEER_BPF_H
#define RW_CORE_NET_STEER_BPF_H

#include "core/steer.h"

struct steer_bpf;

/* What the program is given before it is loaded. */
struct steer_constants {
	struct steer_key key;
	uint32_t workers;
	uint32_t unused;
};

/* 0, or a negative errno and a sentence in `error`: -ENOTSUP not built in, -EPERM not permitted. */
int steer_bpf_load(const struct steer_key *key, unsigned workers, struct steer_bpf **ret_steer, char error[static 256]);
void steer_bpf_free(struct steer_bpf *s); /* what it is attached to keeps it */

/* `fd` is any socket of the group. */
int steer_bpf_attach(const struct steer_bpf *s, int fd, char error[static 256]);
/* The loaded program, for tests. */
int steer_bpf_fd(const struct steer_bpf *s);

#endif
