/* What an overloaded worker need not read is dropped in the kernel, before it takes a place in the socket's receive
 * queue.  A socket filter for SO_ATTACH_BPF: data begins at the UDP header.
 *
 * - ACKs to the 503s of core/call/overload.c: nothing waits for them, and each would cost half of what the refusal did.
 *   Their To tag is the one that the 503 gave; it begins with this node's marker (core/steer.h) and a dash.
 * - Surplus INVITEs: of those outside a dialog the share is let in that the worker has set.  One inside a dialog has
 *   our Contact as its request-URI, whose user part begins with the marker. */
#include "core/net/surplus_bpf.h"
#include "core/net/window.bpf.h"

#define UDP_HEADER 8
#define INVITE_URI 11 /* of "INVITE sip:" */
#define ACK_URI    8  /* of "ACK sip:" */
#define ALL        (-1)
#define WINDOWS    64 /* a longer ACK is let in */
#define TAG        6  /* of "=", marker, "-" */

const volatile struct surplus_constants surplus_constants SEC(".rodata.surplus") = { .marker = "" };
volatile struct surplus_shared surplus_shared SEC(".data.surplus") = { .let_in = SURPLUS_ALL };

static __always_inline bool is_marker(const uint8_t *c)
{
	return c[0] == (uint8_t)surplus_constants.marker[0] && c[1] == (uint8_t)surplus_constants.marker[1] &&
	       c[2] == (uint8_t)surplus_constants.marker[2] && c[3] == (uint8_t)surplus_constants.marker[3];
}

struct scan {
	struct __sk_buff *skb;
	uint32_t size;
	uint32_t seen;   /* so many characters of the tag's beginning */
	uint64_t wanted; /* the six of them, the first in the lowest bits */
};

/* The first of them stands in none of the others, so whatever does not fit is a new beginning or nothing. */
static long scan_window(uint32_t index, void *context)
{
	struct scan *s = context;
	uint8_t c[WINDOW] = {};
	uint32_t at = UDP_HEADER + index * WINDOW, seen = s->seen;
	uint64_t wanted = s->wanted;

	if (!window_load(s->skb, at, s->size, c))
		return 1;
#pragma unroll
	for (uint32_t i = 0; i < WINDOW; i++) {
		if (seen < TAG)
			seen = c[i] == (uint8_t)(wanted >> 8 * (seen & 7)) ? seen + 1 : c[i] == '=';
	}
	s->seen = seen;
	return seen == TAG;
}

static __always_inline bool is_ack_to_refusal(struct __sk_buff *skb, const uint8_t *c)
{
	struct scan s = { .skb = skb, .size = skb->len };

	if (c[0] != 'A' || c[1] != 'C' || c[2] != 'K' || c[3] != ' ' || is_marker(c + ACK_URI))
		return false;
	s.wanted = (uint64_t)'-' << 40 | '=';
#pragma unroll
	for (uint32_t i = 0; i < 4; i++)
		s.wanted |= (uint64_t)(uint8_t)surplus_constants.marker[i] << 8 * (1 + i);
	bpf_loop(WINDOWS, scan_window, &s, 0);
	return s.seen == TAG;
}

static __always_inline bool is_new_invite(const uint8_t *c)
{
	return c[0] == 'I' && c[1] == 'N' && c[2] == 'V' && c[3] == 'I' && c[4] == 'T' && c[5] == 'E' && c[6] == ' ' &&
	       !is_marker(c + INVITE_URI);
}

SEC("socket")
int surplus(struct __sk_buff *skb)
{
	uint32_t let_in = surplus_shared.let_in;
	uint8_t c[16];

	if (bpf_skb_load_bytes(skb, UDP_HEADER, c, sizeof c) < 0)
		return ALL;
	if (is_ack_to_refusal(skb, c)) {
		__sync_fetch_and_add(&surplus_shared.acks, 1);
		return 0;
	}
	if (let_in == SURPLUS_ALL || !is_new_invite(c) || bpf_get_prandom_u32() <= let_in)
		return ALL;
	__sync_fetch_and_add(&surplus_shared.dropped, 1);
	return 0;
}

char rw_license[] SEC("license") = "Apache-2.0";
