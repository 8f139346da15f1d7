/* The messages that are known beforehand: see load_text.h. */
#include "bench/load.h"

#include <stdio.h>
#include <string.h>

enum { SOURCE_MAX = 3072 };

static bool set(struct load_template *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool set(struct load_template *t, const char *format, ...)
{
	char source[SOURCE_MAX];
	va_list ap;

	va_start(ap, format);
	int size = vsnprintf(source, sizeof source, format, ap);
	va_end(ap);
	return size >= 0 && size < SOURCE_MAX && load_template_set(t, source);
}

/* Distinct for each side of each call: no switch may take two for one. */
static bool write_session(struct load *l, bool callee)
{
	const struct address *local = callee ? &l->settings.callee[0] : &l->settings.caller[0];
	char host[ADDRESS_TEXT_MAX], family = local->family == 6 ? '6' : '4';

	if (l->settings.no_sdp)
		return set(&l->session[callee], "%s", "");
	address_write_host(local, false, host);
	return set(&l->session[callee],
		   "v=0\r\n"
		   "o=%s {slot} 1 IN IP%c %s\r\n"
		   "s=-\r\n"
		   "c=IN IP%c %s\r\n"
		   "t=0 0\r\n"
		   "m=audio 40000 RTP/AVP 8 0 18 101\r\n"
		   "a=rtpmap:8 PCMA/8000\r\n"
		   "a=rtpmap:0 PCMU/8000\r\n"
		   "a=rtpmap:18 G729/8000\r\n"
		   "a=fmtp:18 annexb=no\r\n"
		   "a=rtpmap:101 telephone-event/8000\r\n"
		   "a=fmtp:101 0-16\r\n"
		   "a=ptime:20\r\n"
		   "a=maxptime:60\r\n"
		   "a=rtcp:40001 IN IP%c %s\r\n"
		   "a=sendrecv\r\n",
		   callee ? "callee" : "caller", family, host, family, host, family, host);
}

/* Headers and body of a session description that is a template: as a source again, to stand in a larger one. */
static void body_source(const struct load_template *session, char source[static SOURCE_MAX])
{
	char *at = source + snprintf(source, SOURCE_MAX, "%sContent-Length: %u\r\n\r\n",
				     session->size > 0 ? "Content-Type: application/sdp\r\n" : "", session->size);
	unsigned place = session->places > 0 ? session->place[0].at : session->size;

	at = load_write(at, (struct bytes){ session->text, place });
	if (place < session->size) {
		at = load_write(at, BYTES("{slot}"));
		place += LOAD_SLOT_SIZE;
		at = load_write(at, (struct bytes){ session->text + place, session->size - place });
	}
	*at = '\0';
}

static const char *methods(const struct load *l)
{
	return l->settings.no_update ? "INVITE, ACK, BYE, CANCEL, OPTIONS"
				     : "INVITE, ACK, BYE, CANCEL, UPDATE, OPTIONS";
}

static bool write_caller(struct load *l, unsigned i, const char *target)
{
	const struct load_settings *s = &l->settings;
	char local[ADDRESS_TEXT_MAX], body[SOURCE_MAX], timer[80] = "", same[512];

	address_write(&s->caller[i], local);
	body_source(&l->session[false], body);
	if (s->timer)
		snprintf(timer, sizeof timer, "Supported: timer\r\nSession-Expires: %u\r\n", s->session_expires_s);
	snprintf(l->contact[i], sizeof l->contact[i], "Contact: <sip:caller@%s>\r\n", local);
	/* Via to Call-ID, the same in all requests of a call; up to the tag of To. */
	snprintf(same, sizeof same,
		 "Via: SIP/2.0/UDP %s;rport;branch=z9hG4bK{id}%s{step}\r\n"
		 "Max-Forwards: 70\r\n"
		 "From: <sip:49{slot}@%s>;tag=a{id}%s\r\n"
		 "Call-ID: {id}-%s@rwbench\r\n",
		 local, l->run, local, l->run, l->run);
	return set(&l->invite[i],
		   "INVITE sip:%s{number}@%s SIP/2.0\r\n"
		   "%sTo: <sip:%s{number}@%s>\r\n"
		   "CSeq: 1 INVITE\r\n"
		   "%sAllow: %s\r\n"
		   "P-Asserted-Identity: <sip:+49{slot}@%s>\r\n"
		   "User-Agent: rwbench\r\n%s%s",
		   s->prefix, target, same, s->prefix, target, l->contact[i], methods(l), local, timer, body) &&
	       set(&l->cancel[i],
		   "CANCEL sip:%s{number}@%s SIP/2.0\r\n"
		   "%sTo: <sip:%s{number}@%s>\r\n"
		   "CSeq: 1 CANCEL\r\nContent-Length: 0\r\n\r\n",
		   s->prefix, target, same, s->prefix, target) &&
	       set(&l->refused_ack[i], "ACK sip:%s{number}@%s SIP/2.0\r\n%sCSeq: 1 ACK\r\n", s->prefix, target, same) &&
	       set(&l->in_dialog[i], "%sTo: <sip:%s{number}@%s>;tag=", same, s->prefix, target);
}

static bool write_callee(struct load *l, unsigned i)
{
	char *contact = l->contact[l->settings.caller_count + i], local[ADDRESS_TEXT_MAX];

	address_write(&l->settings.callee[i], local);
	snprintf(contact, sizeof l->contact[0], "Contact: <sip:callee@%s>\r\n", local);
	return set(&l->ringing[i], ";tag=c{id}%s\r\n%sContent-Length: 0\r\n\r\n", l->run, contact) &&
	       set(&l->answer[i], ";tag=c{id}%s\r\n%sAllow: %s\r\n%s", l->run, contact, methods(l),
		   l->settings.timer ? "Supported: timer\r\n" : "");
}

bool load_write_ahead(struct load *l)
{
	char target[ADDRESS_TEXT_MAX], body[SOURCE_MAX];
	bool good = write_session(l, false) && write_session(l, true);

	address_write(&l->settings.target, target);
	for (unsigned i = 0; good && i < l->settings.caller_count; i++)
		good = write_caller(l, i, target);
	for (unsigned i = 0; good && i < l->settings.callee_count; i++)
		good = write_callee(l, i);
	if (good)
		body_source(&l->session[true], body);
	return good && set(&l->answer_body, "%s", body) && set(&l->trying, "\r\nContent-Length: 0\r\n\r\n") &&
	       set(&l->refusal, ";tag=c{id}%s\r\nContent-Length: 0\r\n\r\n", l->run);
}
