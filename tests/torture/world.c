#include "world.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sip/build.h"
#include "sip/message.h"

/* Addresses that no message of the collection has. */
#define SENDER  "203.0.113.101"
#define CARRIER "203.0.113.102:5060"

static const char gateways[] = "mapping_gateway \"m\" { address = \"" SENDER "\" }\n"
			       "routing_gateway \"r\" { address = \"" CARRIER "\" prefix = {\"\"} }\n";

static void take_response(struct world *w, const struct lone_sent *sent)
{
	unsigned status = (unsigned)strtoul(sent->text + 8, NULL, 10);
	assert(status >= 100 && status <= 699 && memmem(sent->text, sent->size, "\r\n\r\n", 4)); /* it may hold a NUL */
	if (!w->feeding)
		return; /* once more, since nobody acknowledges */
	w->responses++;
	if (status < 200)
		return;
	if (w->status) {
		fprintf(stderr, "two final answers to one datagram: %u and\n%s\n", w->status, sent->text);
		abort();
	}
	w->status = status;
	free(w->answer);
	w->answer = strdup(sent->text);
}

/* RFC 3261 19.1.1: in good form, whatever it was made of. */
static void take_invite(struct world *w, const struct lone_sent *sent)
{
	static struct sip_message m;
	static char scratch[SIP_SCRATCH_BYTES];
	struct sip_refusal refusal;
	struct sip_uri uri;
	enum sip_read_result result = sip_message_read((struct bytes){ sent->text, sent->size }, scratch, &m, &refusal);
	if (result != SIP_READ_OK || m.by_library || m.max_forwards < 0 || !sip_read_uri(m.request_uri, &uri) ||
	    uri.headers.at || !uri.is_sip) {
		fprintf(stderr, "passed on in bad form:\n%s\n", sent->text);
		abort();
	}
	w->invites++;
	snprintf(w->invite, sizeof w->invite, "%s", sent->text);
}

static void seen(struct lone *l, const struct lone_sent *sent)
{
	struct world *w = l->context;
	const struct flow sender = lone_flow(SENDER ":1"), carrier = lone_flow(CARRIER);
	bool response = strncmp(sent->text, "SIP/2.0 ", 8) == 0;
	if (response && address_same_host(&sent->to.peer, &sender.peer)) {
		take_response(w, sent);
	} else if (!response && address_equal(&sent->to.peer, &carrier.peer)) {
		if (strncmp(sent->text, "INVITE ", 7) == 0)
			take_invite(w, sent);
	} else if (response || !address_same_host(&sent->to.peer, &sender.peer)) {
		char address[ADDRESS_TEXT_MAX];
		address_write(&sent->to.peer, address);
		fprintf(stderr, "a datagram goes to %s:\n%s\n", address, sent->text);
		abort();
	}
}

struct world *world_create(const char *parameters)
{
	struct world *w = calloc(1, sizeof *w);
	assert(w);
	w->lone = lone_create(gateways, parameters);
	w->lone->seen = seen;
	w->lone->context = w;
	w->from_port = 5060;
	return w;
}

void world_destroy(struct world *w)
{
	lone_settle(w->lone);
	assert(w->lone->cdr_count == w->lone->stats.calls_attempted);
	lone_destroy(w->lone);
	free(w->answer);
	free(w);
}

/* The head of the INVITE as a response has it. */
static void answer_as_carrier(struct world *w)
{
	static struct sip_message m;
	static char scratch[SIP_SCRATCH_BYTES], text[32768];
	struct flow carrier = lone_flow(CARRIER);
	struct sip_refusal refusal;
	struct builder b;
	const char *answer = w->carrier_answers ? w->carrier_answers : "486 Busy Here\r\n";
	enum sip_read_result result = sip_message_read(bytes_of(w->invite), scratch, &m, &refusal);
	assert(result == SIP_READ_OK || refusal.why == SIP_BAD_CONTENT_LENGTH); /* it may hold a NUL */
	build_begin(&b, text, sizeof text);
	build_text(&b, "SIP/2.0 ");
	build_bytes(&b, (struct bytes){ answer, (uint32_t)(strcspn(answer, "\n") + 1) });
	build_response_head(&b, &m, &carrier.peer, BYTES("carrier"), false);
	build_bytes(&b, bytes_of(answer + strcspn(answer, "\n") + 1));
	build_body(&b, BYTES_NONE);
	assert(!b.overflow);
	lone_feed(w->lone, &carrier, (struct bytes){ text, (uint32_t)build_size(&b) });
}

void world_feed(struct world *w, struct bytes datagram)
{
	struct flow sender = lone_flow(SENDER ":5060");
	sender.peer.port = w->from_port;
	w->status = w->responses = w->invites = 0;
	free(w->answer);
	w->answer = NULL;
	w->feeding = true;
	lone_feed(w->lone, &sender, datagram);
	assert(w->invites <= 1);
	for (unsigned answered = 0; answered < w->invites; answered++) {
		assert(answered < 10);
		answer_as_carrier(w);
	}
	assert(w->responses <= 2);
	w->feeding = false;
}

bool world_is_well(struct world *w)
{
	static unsigned count;
	char text[512];
	int size = snprintf(
		text, sizeof text,
		"OPTIONS sip:ping SIP/2.0\r\nVia: SIP/2.0/UDP ping;branch=z9hG4bKping%u\r\nFrom: <sip:p@h>;tag=p\r\n"
		"To: <sip:p@h>\r\nCall-ID: ping-%u\r\nCSeq: 1 OPTIONS\r\n\r\n",
		count, count);
	count++;
	world_feed(w, (struct bytes){ text, (uint32_t)size });
	return w->status == 200;
}

/* ---- files ---- */

const char *torture_directory(void)
{
	const char *given = getenv("RW_TORTURE_DIR");
	return given ? given : RW_SOURCE_ROOT "/../shared/torture";
}

bool torture_load(const char *name, char text[static TORTURE_FILE_MAX], struct bytes *ret_text)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", torture_directory(), name);
	FILE *file = fopen(path, "rb");
	if (!file)
		return false;
	*ret_text = (struct bytes){ text, (uint32_t)fread(text, 1, TORTURE_FILE_MAX, file) };
	fclose(file);
	return ret_text->size > 0;
}

struct bytes torture_with_crlf(struct bytes text, char *out)
{
	uint32_t size = 0;
	for (uint32_t i = 0; i < text.size; i++) {
		if (text.at[i] == '\n' && (i == 0 || text.at[i - 1] != '\r'))
			out[size++] = '\r';
		out[size++] = text.at[i];
	}
	return (struct bytes){ out, size };
}

bool torture_is_right(const char *answers, unsigned status)
{
	bool verdict = status == 400 || status == 505 || status == 513;
	char copy[128], *rest = copy, *one;
	snprintf(copy, sizeof copy, "%s", answers);
	while ((one = strsep(&rest, "|"))) {
		if (strcmp(one, "ANY") == 0 || (strcmp(one, "DROP") == 0 && !status) ||
		    (strcmp(one, "ACCEPT") == 0 && status && !verdict) || (status && strtoul(one, NULL, 10) == status))
			return true;
	}
	return false;
}
