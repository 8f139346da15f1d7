/* A plain program: messages that only sofia-sip reads are read again and again, each time with another allocation of
 * the library's that fails.  They are then read as ever, or refused; nothing crashes and nothing is left allocated.
 * The functions here stand before the C library's for every library of the process, so not for the sanitizers, which
 * have their own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sip/message.h"

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void __libc_free(void *at);

static unsigned failing; /* from 1 on; 0: none does */
static unsigned asked;
static bool inside, for_ever;
static long live; /* blocks taken inside */

static bool grant(void)
{
	if (!inside)
		return true;
	asked++;
	return !failing || (for_ever ? asked < failing : asked != failing);
}

static void *counted(void *at)
{
	live += inside && at != NULL;
	if (!at)
		errno = ENOMEM;
	return at;
}

void *malloc(size_t size)
{
	return counted(grant() ? __libc_malloc(size) : NULL);
}

void *calloc(size_t count, size_t size)
{
	return counted(grant() ? __libc_calloc(count, size) : NULL);
}

void *realloc(void *old, size_t size)
{
	if (!grant()) {
		errno = ENOMEM;
		return NULL;
	}
	void *new = __libc_realloc(old, size);
	live += inside && new != NULL &&old == NULL;
	return new;
}

void free(void *at)
{
	live -= inside && at != NULL;
	__libc_free(at);
}

#define REST                                                                                                           \
	"From: a@b <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: one\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n"         \
	"Contact: <sip:a@192.0.2.1>\r\nContent-Length: 0\r\n\r\n"

static const char *const texts[] = {
	"INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP\r\n 192.0.2.1;branch=z9hG4bK1\r\nSubject: a\r\n  folded\r\n "
	"line\r\n" REST,
	"INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1,\r\n SIP/2.0/UDP "
	"192.0.2.2;branch=z9hG4bK2\r\n"
	"Record-Route: <sip:p1;lr>,\r\n\t<sip:p2;lr>, <sip:p3;lr>\r\nWarning: 399 h \"text, \\\"quoted\\\"\"\r\n"
	"Authorization: Digest username=\"u\", realm=\"r\", nonce=\"n\", uri=\"sip:h\", response=\"0\"\r\n" REST,
	"INVITE sip:b@h SIP/2.0\r\nv:\r\n SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\nAccept: "
	"application/sdp;level=1,\r\n */*\r\n" REST,
};

static int fail(const char *what, unsigned text)
{
	fprintf(stderr, "library_memory: message %u, allocation %u%s: %s\n", text, failing, for_ever ? " and on" : "",
		what);
	return 1;
}

static enum sip_read_result read_one(unsigned text, struct sip_message *m, char *scratch)
{
	struct sip_refusal refusal;
	asked = 0;
	live = 0;
	inside = true;
	enum sip_read_result result = sip_message_read(bytes_of(texts[text]), scratch, m, &refusal);
	inside = false;
	return result;
}

int main(void)
{
	static char scratch[SIP_SCRATCH_BYTES];
	static struct sip_message m;
	unsigned runs = 0;

	for (unsigned text = 0; text < sizeof texts / sizeof *texts; text++) {
		failing = 0;
		if (read_one(text, &m, scratch) != SIP_READ_OK || !m.by_library || !asked)
			return fail("not read by the library", text);
		unsigned all = asked;
		for (unsigned k = 0; k < 2 * all; k++, runs++) {
			failing = k / 2 + 1;
			for_ever = k % 2;
			enum sip_read_result result = read_one(text, &m, scratch);
			if (result != SIP_READ_OK && result != SIP_READ_BAD && result != SIP_READ_GARBAGE)
				return fail("neither read nor refused", text);
			if (live)
				return fail("something is left", text);
		}
	}
	printf("%u runs\n", runs);
	return 0;
}
