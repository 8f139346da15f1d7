/* For the tests of the readers: one message read, and messages made from lines. */
#ifndef RW_TESTS_SIP_READING_H
#define RW_TESTS_SIP_READING_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "sip/message.h"

/* The last message read, with all that it borrows: one a process, since each test has its own. */
static char read_scratch[SIP_SCRATCH_BYTES];
static struct sip_message message;
static struct sip_refusal refusal;

static inline enum sip_read_result read_bytes(struct bytes datagram)
{
	return sip_message_read(datagram, read_scratch, &message, &refusal);
}

static inline enum sip_read_result read_text(const char *text)
{
	return read_bytes(bytes_of(text));
}

#define assert_text(view, expected)                                                                                    \
	cr_assert(bytes_equal(view, bytes_of(expected)), "expected \"%s\", got \"%.*s\"", expected, (int)(view).size,  \
		  (view).at ? (view).at : "")

#define VIA     "Via: SIP/2.0/UDP 192.0.2.10:5062;branch=z9hG4bK-1;rport\r\n"
#define FROM    "From: \"Alice\" <sip:+13035551111@192.0.2.10;user=phone>;tag=a1\r\n"
#define TO      "To: <sip:+13035552222@198.51.100.20>\r\n"
#define CALL_ID "Call-ID: 8a7b@192.0.2.10\r\n"
#define CSEQ    "CSeq: 7 INVITE\r\n"
#define INVITE  "INVITE sip:+13035552222@198.51.100.20:5060 SIP/2.0\r\n"
#define END     "\r\n"

#endif
