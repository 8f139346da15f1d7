/* For the programs in the kernel: a datagram in windows of 32 bytes, which bpf_loop() goes through, so that the
 * verifier follows a single window rather than all of them. */
#ifndef RW_CORE_NET_WINDOW_BPF_H
#define RW_CORE_NET_WINDOW_BPF_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

#include <bpf/bpf_helpers.h>

#define WINDOW 32

/* The compiler drops a check of what it knows, and the verifier, which does not know it, refuses: this forgets. */
#define SAY_AGAIN(value) asm volatile("" : "+r"(value))

/* The window from `at` on, of a datagram of `size` bytes: what lies beyond its end stays as it is in `bytes`.  false:
 * there is none. */
static __always_inline bool window_load(struct __sk_buff *skb, uint32_t at, uint32_t size, void *bytes)
{
	if (at >= size)
		return false;
	uint64_t left = size - at;
	if (left > WINDOW)
		left = WINDOW;
	SAY_AGAIN(left);
	return left > 0 && left <= WINDOW && bpf_skb_load_bytes(skb, at, bytes, (uint32_t)left) == 0;
}

#endif
