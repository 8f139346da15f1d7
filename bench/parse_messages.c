/* The messages of rwbench parse: of a call between two gateways with a switch between them, or from files. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/parse.h"

#define FILES_MAX 100000

/* '#' in a message is a hexadecimal digit that differs from copy to copy. */
#define CALLER_HEAD(cseq)                                                                                              \
	"Via: SIP/2.0/UDP 198.51.100.17:5060;branch=z9hG4bK-524287-1---########;rport\r\n"                             \
	"Max-Forwards: 69\r\n"                                                                                         \
	"From: \"+49301234567\" <sip:+49301234567@198.51.100.17>;tag=8c1f####-####a7\r\n"                              \
	"To: <sip:+8801711234567@192.0.2.10>"                                                                          \
	";tag=3haeah6aaaaaaaaaeaaaaabt########\r\n"                                                                    \
	"Call-ID: f81d4fae-7dec-11d0-a765-00a0########@198.51.100.17\r\n"                                              \
	"CSeq: " cseq "\r\n"

#define CALLEE_HEAD(tag, cseq)                                                                                         \
	"Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK3haeah6aaaaaaiaaeaaaadmu########0000;rport=5060"               \
	";received=192.0.2.10\r\n"                                                                                     \
	"From: <sip:+49301234567@192.0.2.10>;tag=3haeah6aaaaaaiaaeaaaadmu########\r\n"                                 \
	"To: <sip:8801711234567@203.0.113.5:5060>" tag "\r\n"                                                          \
	"Call-ID: 3haeah6aaaaaaiaaeaaaadmu########\r\n"                                                                \
	"CSeq: " cseq "\r\n"

#define SDP(host)                                                                                                      \
	"v=0\r\no=gateway ######## 1 IN IP4 " host "\r\ns=session\r\nc=IN IP4 " host "\r\nt=0 0\r\n"                   \
	"m=audio 24316 RTP/AVP 8 0 18 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"                         \
	"a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\n"                        \
	"a=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n"

static const struct {
	const char *name;
	bool in_call;
	const char *head, *body;
} built_in[] = {
	{ "INVITE, SDP", true,
	  "INVITE sip:+8801711234567@192.0.2.10:5060;user=phone SIP/2.0\r\n"
	  "Via: SIP/2.0/UDP 198.51.100.17:5060;branch=z9hG4bK-524287-1---########;rport\r\n"
	  "Max-Forwards: 69\r\n"
	  "From: \"+49301234567\" <sip:+49301234567@198.51.100.17>;tag=8c1f####-####a7\r\n"
	  "To: <sip:+8801711234567@192.0.2.10;user=phone>\r\n"
	  "Call-ID: f81d4fae-7dec-11d0-a765-00a0########@198.51.100.17\r\n"
	  "CSeq: 1 INVITE\r\n"
	  "Contact: <sip:+49301234567@198.51.100.17:5060;transport=udp>\r\n"
	  "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO, REFER, NOTIFY\r\n"
	  "Supported: timer, 100rel, replaces\r\nSession-Expires: 1800\r\nMin-SE: 90\r\n"
	  "P-Asserted-Identity: <sip:+49301234567@198.51.100.17>\r\nUser-Agent: Gateway 7.2.1\r\n",
	  SDP("198.51.100.18") },
	{ "100", true, "SIP/2.0 100 Trying\r\n" CALLEE_HEAD("", "1 INVITE"), "" },
	{ "180", true,
	  "SIP/2.0 180 Ringing\r\n" CALLEE_HEAD(";tag=as5e########",
						"1 INVITE") "Contact: <sip:8801711234567@203.0.113.5:5060>\r\n"
							    "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\n",
	  "" },
	{ "200, SDP", true,
	  "SIP/2.0 200 OK\r\n" CALLEE_HEAD(";tag=as5e########",
					   "1 INVITE") "Contact: <sip:8801711234567@203.0.113.5:5060>\r\n"
						       "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE\r\n"
						       "Require: timer\r\nSession-Expires: 600;refresher=uac\r\n"
						       "Server: Softswitch 4.0\r\n",
	  SDP("203.0.113.6") },
	{ "ACK", true, "ACK sip:3haeah6aaaaaaaaaeaaaaabt########@192.0.2.10:5060 SIP/2.0\r\n" CALLER_HEAD("1 ACK"),
	  "" },
	{ "BYE", true,
	  "BYE sip:3haeah6aaaaaaaaaeaaaaabt########@192.0.2.10:5060 SIP/2.0\r\n" CALLER_HEAD(
		  "2 BYE") "Reason: Q.850;cause=16;text=\"Normal call clearing\"\r\n",
	  "" },
	{ "200 to BYE", true, "SIP/2.0 200 OK\r\n" CALLEE_HEAD(";tag=as5e########", "2 BYE"), "" },
	{ "UPDATE", false,
	  "UPDATE sip:3haeah6aaaaaaaaaeaaaaabt########@192.0.2.10:5060 SIP/2.0\r\n" CALLER_HEAD(
		  "3 UPDATE") "Contact: <sip:+49301234567@198.51.100.17:5060;transport=udp>\r\n"
			      "Supported: timer\r\nSession-Expires: 1800;refresher=uac\r\nMin-SE: 90\r\n",
	  "" },
	{ "200 to UPDATE", false,
	  "SIP/2.0 200 OK\r\n" CALLEE_HEAD(";tag=as5e########",
					   "2 UPDATE") "Contact: <sip:8801711234567@203.0.113.5:5060>\r\n"
						       "Require: timer\r\nSession-Expires: 600;refresher=uac\r\n",
	  "" },
};

#define BUILT_IN (sizeof built_in / sizeof built_in[0])

static void number(char *text, struct bench_random *random)
{
	while ((text = strchr(text, '#')))
		*text = "0123456789abcdef"[bench_random_below(random, 16)];
}

static bool make(struct parse_message *m, unsigned i, struct bench_random *random)
{
	snprintf(m->name, sizeof m->name, "%s", built_in[i].name);
	m->in_call = built_in[i].in_call;
	for (unsigned c = 0; c < PARSE_COPIES; c++) {
		char *text;
		int size = asprintf(&text, "%s%sContent-Length: %zu\r\n\r\n%s", built_in[i].head,
				    built_in[i].body[0] ? "Content-Type: application/sdp\r\n" : "",
				    strlen(built_in[i].body), built_in[i].body);

		if (size < 0)
			return false;
		number(text, random);
		m->copy[c] = (struct bytes){ text, (uint32_t)size };
	}
	return true;
}

int parse_set_built_in(uint64_t seed, struct parse_set *ret_set)
{
	struct bench_random random = { seed };
	bool made = true;

	*ret_set = (struct parse_set){ calloc(BUILT_IN, sizeof(struct parse_message)), BUILT_IN };
	for (unsigned i = 0; made && i < BUILT_IN; i++)
		made = ret_set->message && make(&ret_set->message[i], i, &random);
	if (made)
		return 0;
	parse_set_free(ret_set);
	return -ENOMEM;
}

/* ---- files ---- */

static int is_message(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int read_file(int directory, const char *name, struct parse_message *m)
{
	char text[SIP_MESSAGE_BYTES_MAX + 1];
	int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text);
	int r = size < 0 ? -errno : size > SIP_MESSAGE_BYTES_MAX ? -EMSGSIZE : 0;

	if (fd >= 0)
		close(fd);
	snprintf(m->name, sizeof m->name, "%s", name);
	for (unsigned c = 0; r == 0 && c < PARSE_COPIES; c++) {
		char *copy = malloc((size_t)size + 1);

		if (!copy)
			return -ENOMEM;
		memcpy(copy, text, (size_t)size);
		m->copy[c] = (struct bytes){ copy, (uint32_t)size };
	}
	return r;
}

static int read_files(int directory, struct dirent **entries, unsigned count, struct parse_set *set)
{
	int r = 0;

	*set = (struct parse_set){ calloc(count ? count : 1, sizeof(struct parse_message)), count };
	if (!set->message)
		return -ENOMEM;
	for (unsigned i = 0; r == 0 && i < count; i++) {
		r = read_file(directory, entries[i]->d_name, &set->message[i]);
		if (r < 0)
			fprintf(stderr, "rwbench: %s: %s\n", entries[i]->d_name, strerror(-r));
	}
	return r;
}

int parse_set_read(const char *directory, struct parse_set *ret_set)
{
	struct dirent **entries = NULL;
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int count = fd < 0 ? -1 : scandirat(fd, ".", &entries, is_message, versionsort);
	int r = count < 0 ? -errno : count == 0 ? -ENOENT : count > FILES_MAX ? -E2BIG : 0;

	if (r < 0)
		fprintf(stderr, "rwbench: %s: %s\n", directory, count == 0 ? "no message in it" : strerror(-r));
	else if ((r = read_files(fd, entries, (unsigned)count, ret_set)) < 0)
		parse_set_free(ret_set);
	for (int i = 0; i < count; i++)
		free(entries[i]);
	free(entries);
	if (fd >= 0)
		close(fd);
	return r;
}

void parse_set_free(struct parse_set *set)
{
	for (unsigned i = 0; set->message && i < set->count; i++)
		for (unsigned c = 0; c < PARSE_COPIES; c++)
			free((char *)(uintptr_t)set->message[i].copy[c].at);
	free(set->message);
	*set = (struct parse_set){ 0 };
}
