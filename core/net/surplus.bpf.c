/* Surplus INVITEs, dropped in the kernel before they take a place in a socket's receive queue.  A socket filter for
 * SO_ATTACH_BPF: data begins at the UDP header.
 *
 * It knows an INVITE by its first bytes, and one inside a dialog of ours by the request-URI: our Contact, whose user
 * part begins with this node's marker (core/steer.h).  Of all others it lets in the share that the worker has set. */
#include <linux/bpf.h>
#include <stdint.h>

#include <bpf/bpf_helpers.h>

#include "core/net/surplus_bpf.h"

#define UDP_HEADER 8
#define METHOD     7  /* of "INVITE " */
#define SCHEME     11 /* of "INVITE sip:" */
#define ALL        (-1)

const volatile struct surplus_constants surplus_constants SEC(".rodata.surplus") = { .marker = "" };
volatile struct surplus_shared surplus_shared SEC(".data.surplus") = { .let_in = SURPLUS_ALL };

SEC("socket")
int surplus(struct __sk_buff *skb)
{
	static const char invite[SCHEME + 1] = "INVITE sip:";
	uint8_t c[16];
	uint32_t let_in = surplus_shared.let_in, same = 0;

	if (let_in == SURPLUS_ALL || bpf_skb_load_bytes(skb, UDP_HEADER, c, sizeof c) < 0)
		return ALL;
#pragma unroll
	for (uint32_t i = 0; i < SCHEME; i++)
		same += c[i] == (uint8_t)invite[i] && same == i;
	if (same < METHOD)
		return ALL;
	if (same == SCHEME && c[SCHEME] == (uint8_t)surplus_constants.marker[0] &&
	    c[SCHEME + 1] == (uint8_t)surplus_constants.marker[1] &&
	    c[SCHEME + 2] == (uint8_t)surplus_constants.marker[2] &&
	    c[SCHEME + 3] == (uint8_t)surplus_constants.marker[3])
		return ALL;
	if (bpf_get_prandom_u32() <= let_in)
		return ALL;
	__sync_fetch_and_add(&surplus_shared.dropped, 1);
	return 0;
}

char rw_license[] SEC("license") = "Apache-2.0";
