/* Loads the program that drops surplus INVITEs and the ACKs to refusals in the kernel (surplus.bpf.c), attaches it to
 * the sockets of one worker, and tells it how many to let in.  A build without a BPF compiler has none, and without
 * permission it is not loaded: then the worker refuses them itself. */
#ifndef RW_CORE_NET_SURPLUS_BPF_H
#define RW_CORE_NET_SURPLUS_BPF_H

#include <stdint.h>

#define SURPLUS_ALL UINT32_MAX

/* What the program is given before it is loaded. */
struct surplus_constants {
	char marker[4]; /* of struct steer_key */
};

/* What both sides have in common memory. */
struct surplus_shared {
	uint32_t let_in; /* of 2^32 */
	uint32_t unused;
	uint64_t dropped; /* INVITEs */
	uint64_t acks;    /* and ACKs */
};

#ifndef __bpf__

struct surplus_bpf;

/* 0, or a negative errno: -ENOTSUP not built in, -EPERM not permitted. */
int surplus_bpf_load(const char marker[static 4], struct surplus_bpf **ret_surplus);
/* It is no longer attached. */
void surplus_bpf_free(struct surplus_bpf *s);

/* Attaches it to the sockets, or takes it off them (a socket without a filter costs nothing).  0, or negative errno. */
int surplus_bpf_attach(struct surplus_bpf *s, const int *sockets, unsigned count);
void surplus_bpf_detach(struct surplus_bpf *s, const int *sockets, unsigned count);

void surplus_bpf_let_in(struct surplus_bpf *s, uint32_t share);
/* INVITEs, ACKs. */
uint64_t surplus_bpf_dropped(const struct surplus_bpf *s);
uint64_t surplus_bpf_acks(const struct surplus_bpf *s);

#endif

#endif
