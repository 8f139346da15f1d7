/* Every message of the torture collection against a shard, and the answer that it gets: table [ROWS...].
 *
 * Prints a line for each, "ok" or "FAIL", the file, the answer and what was asked for; at the end the counts.  Exit
 * status 0, 1 if any failed, 77 (skipped) where the collection is not there.  With arguments only the rows that begin
 * so.
 *
 *   rfc4475, rfc4475-udp, rfc5118, rfc5118-wire   answers.tsv
 *   seeds/jsip            by INDEX.tsv: what JAIN-SIP takes is no syntax error, what it refuses is; and answers.tsv for
 *                         those where it is otherwise
 *   seeds/sofia, kamailio, pjsip    never harm: as they are, and with CRLF line ends
 *   abnf                  each line is legal, and stands where it belongs in a request that is
 *   session-timer         what the class of a row asks for                                                           */
#include <assert.h>
#include <ctype.h>
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sip/build.h"
#include "world.h"

static unsigned passed, failed;
static char **wanted;

static bool is_wanted(const char *row)
{
	bool any = false;
	for (char **one = wanted; *one; one++) {
		if (strncmp(row, *one, strlen(*one)) == 0)
			return true;
		any = true;
	}
	return !any;
}

static void report(bool right, const char *row, const char *asked, const char *got)
{
	right ? passed++ : failed++;
	printf("%-4s  %-50s %-14s %s\n", right ? "ok" : "FAIL", row, got, asked);
}

static const char *words_of(unsigned status)
{
	static char text[16];
	if (!status)
		return "silence";
	snprintf(text, sizeof text, "%u", status);
	return text;
}

/* ---- answers.tsv ---- */

struct expectation {
	char row[96], answers[48];
	uint16_t port;
};

#define EXPECTATIONS_MAX 256

static struct expectation expectations[EXPECTATIONS_MAX];
static unsigned expectation_count;

static void read_expectations(void)
{
	char line[512], folder[64], file[64];
	FILE *table = fopen(RW_SOURCE_ROOT "/tests/torture/answers.tsv", "r");
	assert(table);
	while (fgets(line, sizeof line, table)) {
		struct expectation *e = &expectations[expectation_count];
		unsigned port;
		if (sscanf(line, "%63[^\t]\t%63[^\t]\t%u\t%47[^\n]", folder, file, &port, e->answers) != 4)
			continue; /* the heading */
		snprintf(e->row, sizeof e->row, "%.40s/%.50s", folder, file);
		e->port = (uint16_t)port;
		assert(++expectation_count < EXPECTATIONS_MAX);
	}
	fclose(table);
}

static const struct expectation *expectation_of(const char *row)
{
	for (unsigned i = 0; i < expectation_count; i++)
		if (strcmp(expectations[i].row, row) == 0)
			return &expectations[i];
	return NULL;
}

/* ---- a message a row ---- */

static unsigned answer_of(struct bytes datagram, uint16_t port, bool *ret_well)
{
	struct world *w = world_create(NULL);
	w->from_port = port;
	world_feed(w, datagram);
	unsigned status = w->status;
	*ret_well = world_is_well(w);
	world_destroy(w);
	return status;
}

static void try_message(const char *row, struct bytes datagram, uint16_t port, const char *answers)
{
	bool well;
	if (!is_wanted(row))
		return;
	unsigned status = answer_of(datagram, port, &well);
	report(well && torture_is_right(answers, status), row, answers, words_of(status));
}

static void try_listed(void)
{
	static char text[TORTURE_FILE_MAX];
	for (unsigned i = 0; i < expectation_count; i++) {
		const struct expectation *e = &expectations[i];
		struct bytes datagram;
		if (strncmp(e->row, "seeds/", 6) == 0)
			continue; /* with its folder */
		if (torture_load(e->row, text, &datagram))
			try_message(e->row, datagram, e->port, e->answers);
		else
			report(false, e->row, e->answers, "not there");
	}
}

/* ---- JAIN-SIP ---- */

static const char *rule_of(struct bytes text, bool refused)
{
	const char *at = text.at;
	while (*at == '\r' || *at == '\n')
		at++;
	if (strncasecmp(at, "SIP/", 4) == 0 || strncmp(at, "ACK ", 4) == 0)
		return "DROP"; /* to nobody here */
	return refused ? "400|505|513|DROP" : "ACCEPT";
}

static void try_jsip(void)
{
	static char text[TORTURE_FILE_MAX];
	char path[4096], line[8192];
	snprintf(path, sizeof path, "%s/seeds/jsip/INDEX.tsv", torture_directory());
	FILE *index = fopen(path, "r");
	assert(index);
	while (fgets(line, sizeof line, index)) {
		char name[48], refused[8], row[96];
		struct bytes datagram;
		if (sscanf(line, "%47[^\t]\t%*[^\t]\t%7[^\t]", name, refused) != 2 || strcmp(name, "file") == 0)
			continue;
		snprintf(row, sizeof row, "seeds/jsip/%s", name);
		const struct expectation *e = expectation_of(row);
		if (!torture_load(row, text, &datagram))
			report(false, row, "", "not there");
		else
			try_message(row, datagram, 5060,
				    e ? e->answers : rule_of(datagram, strcmp(refused, "yes") == 0));
	}
	fclose(index);
}

/* ---- seeds of which nothing is known but that they must do no harm ---- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void try_folder(const char *folder)
{
	static char text[TORTURE_FILE_MAX], lines[2 * TORTURE_FILE_MAX];
	char path[4096], row[512], *names[256];
	unsigned count = 0;
	snprintf(path, sizeof path, "%s/%s", torture_directory(), folder);
	DIR *dir = opendir(path);
	if (!dir) {
		report(false, folder, "", "not there");
		return;
	}
	for (struct dirent *entry; (entry = readdir(dir)) && count < 256;)
		if (entry->d_name[0] != '.')
			names[count++] = strdup(entry->d_name);
	closedir(dir);
	qsort(names, count, sizeof *names, by_name);
	for (unsigned i = 0; i < count; i++) {
		struct bytes datagram;
		snprintf(row, sizeof row, "%s/%s", folder, names[i]);
		free(names[i]);
		if (!torture_load(row, text, &datagram))
			continue;
		try_message(row, datagram, 5060, "ANY");
		snprintf(row + strlen(row), sizeof row - strlen(row), " with CRLF");
		try_message(row, torture_with_crlf(datagram, lines), 5060, "ANY");
	}
}

/* ---- the grammar ---- */

struct place {
	const char *file;
	const char *method; /* of the request; NULL: what the line has */
	const char *before; /* in front of the line, and behind it */
	const char *after;
	unsigned least; /* so many are taken; the others break a rule that the grammar does not have: see README.md */
};

static void add(struct builder *b, const char *text)
{
	build_bytes(b, bytes_of(text));
}

/* "70 uPdatE", or "INVITE sip:...": the method. */
static struct bytes method_of(struct bytes line, bool has_number)
{
	uint32_t from = 0, to;
	while (has_number && from < line.size && isdigit((unsigned char)line.at[from]))
		from++;
	while (from < line.size && (line.at[from] == ' ' || line.at[from] == '\t'))
		from++;
	for (to = from; to < line.size && line.at[to] != ' ' && line.at[to] != '\t';)
		to++;
	return (struct bytes){ line.at + from, to - from };
}

/* The request that a line of the grammar stands in. */
static struct bytes write_request(char *out, size_t room, const struct place *place, struct bytes line, unsigned n)
{
	struct bytes method = place->method ? bytes_of(place->method) : method_of(line, *place->before != '\0');
	bool request_line = !*place->before;
	struct builder b;
	build_begin(&b, out, room);
	if (!request_line) {
		build_bytes(&b, method);
		add(&b, " sip:n SIP/2.0\r\n");
	}
	add(&b, place->before);
	build_bytes(&b, line);
	add(&b, place->after);
	add(&b, "\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK");
	build_number(&b, n);
	add(&b, "\r\nCall-ID: abnf-");
	build_number(&b, n);
	if (strcmp(place->before, "From: ") != 0)
		add(&b, "\r\nFrom: <sip:a@h>;tag=1");
	if (strcmp(place->before, "To: <") != 0)
		add(&b, "\r\nTo: <sip:b@h>");
	if (strcmp(place->before, "CSeq: ") != 0) {
		add(&b, "\r\nCSeq: 1 ");
		build_bytes(&b, method);
	}
	add(&b, "\r\n\r\n");
	assert(!b.overflow);
	return (struct bytes){ out, (uint32_t)build_size(&b) };
}

static void try_grammar(const struct place *place)
{
	char path[4096], row[64], got[64], asked[64], *line = NULL;
	static char text[16384];
	unsigned lines = 0, taken = 0;
	size_t room = 0;
	ssize_t size;
	snprintf(row, sizeof row, "abnf/%s.txt", place->file);
	if (!is_wanted(row))
		return;
	snprintf(path, sizeof path, "%s/%s", torture_directory(), row);
	FILE *file = fopen(path, "r");
	if (!file) {
		report(false, row, "", "not there");
		return;
	}
	struct world *w = world_create(NULL);
	while ((size = getline(&line, &room, file)) > 0) { /* a quoted-pair may be a NUL */
		struct bytes one = { line, (uint32_t)size - (line[size - 1] == '\n') };
		struct bytes request = write_request(text, sizeof text, place, one, lines++);
		world_feed(w, request);
		bool acknowledges = request.size > 4 && memcmp(request.at, "ACK ", 4) == 0;
		bool right = torture_is_right(acknowledges ? "DROP" : "ACCEPT", w->status);
		taken += right;
		if (!right && *wanted)
			printf("      %u: %.*s\n", w->status, (int)one.size, one.at);
		if (lines % 100 == 0)
			lone_settle(w->lone);
	}
	free(line);
	fclose(file);
	bool well = world_is_well(w);
	world_destroy(w);
	snprintf(got, sizeof got, "%u of %u", taken, lines);
	snprintf(asked, sizeof asked, "%u at least", place->least);
	report(well && lines == 1000 && taken >= place->least, row, asked, got);
}

/* ---- session timers ---- */

static const char *header_of(const char *message, const char *name)
{
	static char value[256];
	char line[64];
	snprintf(line, sizeof line, "\r\n%s: ", name);
	const char *at = message ? strstr(message, line) : NULL;
	snprintf(value, sizeof value, "%.*s", at ? (int)strcspn(at + strlen(line), "\r") : 0,
		 at ? at + strlen(line) : "");
	return value;
}

/* "Supported: timer|Session-Expires:<CRLF> 1800" as header lines. */
static void add_lines(char *out, size_t room, const char *lines)
{
	size_t size = 0;
	for (const char *at = lines; *at && size + 4 < room;) {
		if (strncmp(at, "<CRLF>", 6) == 0) {
			size += (size_t)snprintf(out + size, room - size, "\r\n");
			at += 6;
		} else if (strncmp(at, "<TAB>", 5) == 0) {
			out[size++] = '\t';
			at += 5;
		} else if (*at == '|') {
			size += (size_t)snprintf(out + size, room - size, "\r\n");
			at++;
		} else {
			out[size++] = *at++;
		}
	}
	snprintf(out + size, room - size, "\r\n");
}

#define OK_OF_CARRIER "200 OK\r\nContact: <sip:carrier@203.0.113.102>\r\n"

/* The caller's INVITE with these lines; the callee answers as it is told. */
static void feed_invite(struct world *w, const char *lines, const char *body)
{
	char text[4096];
	int size = snprintf(text, sizeof text,
			    "INVITE sip:1@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKs\r\nFrom: <sip:a@h>;tag=1\r\n"
			    "To: <sip:b@h>\r\nCall-ID: timer\r\nCSeq: 1 INVITE\r\nContact: <sip:a@h>\r\n"
			    "Allow: INVITE, UPDATE, BYE, ACK\r\n%s\r\n%s",
			    lines, body);
	world_feed(w, (struct bytes){ text, (uint32_t)size });
}

/* What a row's class asks of the answer to an INVITE. */
static const char *rule_of_class(const char *class)
{
	static const struct {
		const char *class, *answers;
	} rules[] = {
		{ "valid", "200" },
		{ "overflow", "200|400" },
		{ "invalid", "200|400" },
		{ "too small, timer NOT supported", "200" },
		{ "too small", "422" },
		{ "boundary", "200|422" },
		{ "contradictory", "200|400" },
		{ "odd", "200|400" },
	};
	for (unsigned i = 0; i < sizeof rules / sizeof *rules; i++)
		if (strncmp(class, rules[i].class, strlen(rules[i].class)) == 0)
			return rules[i].answers;
	return "ANY";
}

static void try_caller(const char *row, const char *lines, const char *class)
{
	struct world *w = world_create(NULL);
	w->carrier_answers = OK_OF_CARRIER;
	feed_invite(w, lines, "");
	const char *answers = rule_of_class(class);
	bool right = torture_is_right(answers, w->status);
	unsigned status = w->status;
	if (status == 422)
		right = right && strtoul(header_of(w->answer, "Min-SE"), NULL, 10) >= 90;
	if (status == 200 && *header_of(w->answer, "Session-Expires"))
		right = right && strstr(header_of(w->answer, "Session-Expires"), ";refresher=ua") &&
			strtoul(header_of(w->answer, "Session-Expires"), NULL, 10) >= 90;
	report(right, row, answers, words_of(status));
	world_destroy(w);
}

/* The callee's 2xx says this: the caller has its 200, and ten seconds later the call is up still, without a storm. */
static void try_callee(const char *row, const char *lines)
{
	char answer[2048];
	struct world *w = world_create(NULL);
	snprintf(answer, sizeof answer, OK_OF_CARRIER "%s", lines);
	w->carrier_answers = answer;
	feed_invite(w, "", "");
	unsigned status = w->status, sent = w->lone->sent_count;
	lone_run(w->lone, 10 * LONE_S);
	bool up = w->lone->cdr_count == 0 && w->lone->sent_count - sent < 10; /* the 200, again and again, has no ACK */
	report(up && status == 200, row, "200, and the call stays up", words_of(status));
	world_destroy(w);
}

/* Each INVITE gets a 422 with these lines: a few tries at most, and the caller hears nothing of it. */
static void try_422(const char *row, const char *lines)
{
	char answer[2048];
	struct world *w = world_create(NULL);
	snprintf(answer, sizeof answer, "422 Session Interval Too Small\r\n%s", lines);
	w->carrier_answers = answer;
	feed_invite(w, "", "");
	report(w->status == 503 && w->invites <= 4, row, "503 after 4 tries at most", words_of(w->status));
	world_destroy(w);
}

#define TIMED   "Supported: timer\r\nSession-Expires: "
#define SESSION "v=0\r\no=a 1 1 IN IP4 192.0.2.1\r\n"
#define SDP     "Content-Type: application/sdp\r\n"

/* What the rows inside a dialog say in words. */
static const struct in_dialog {
	const char *id, *method, *lines, *body;
	unsigned cseq;
	const char *carrier; /* its answer to what is passed on */
	const char *answers, *timer;
} in_dialogs[] = {
	{ "D01", "UPDATE", TIMED "120;refresher=uac\r\n", "", 2, OK_OF_CARRIER, "200", "120;refresher=uac" },
	{ "D02", "INVITE", TIMED "120;refresher=uac\r\n" SDP, SESSION, 2, OK_OF_CARRIER, "200", "120;refresher=uac" },
	{ "D03", "INVITE", TIMED "120;refresher=uac\r\n", "", 2, OK_OF_CARRIER, "200", "120;refresher=uac" },
	{ "D04", "UPDATE", TIMED "30\r\n", "", 2, OK_OF_CARRIER, "422", "" },
	{ "D05", "UPDATE", TIMED "120;refresher=uac\r\n", "", 1, OK_OF_CARRIER, "500", "" },
	{ "D06", "OPTIONS", "", "", 2, OK_OF_CARRIER, "200", "" },
	{ "D07", "INVITE", TIMED "120;refresher=uac\r\n" SDP, SESSION "s=2\r\n", 2, "488 No\r\n", "488", "" },
};

static void feed_in_dialog(struct world *w, const char *to, unsigned cseq, const char *method, const char *lines,
			   const char *body)
{
	char text[4096];
	int size = snprintf(
		text, sizeof text,
		"%s sip:n SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKd-%s\r\nFrom: <sip:a@h>;tag=1\r\nTo: %s\r\n"
		"Call-ID: timer\r\nCSeq: %u %s\r\nContact: <sip:a@h>\r\n%s\r\n%s",
		method, method, to, cseq, method, lines, body);
	world_feed(w, (struct bytes){ text, (uint32_t)size });
}

static void try_in_dialog(const char *row, const char *id)
{
	const struct in_dialog *d = in_dialogs, *end = in_dialogs + sizeof in_dialogs / sizeof *in_dialogs;
	char to[256], got[64];
	while (d < end && strcmp(d->id, id) != 0)
		d++;
	if (d == end) {
		report(false, row, "", "unknown");
		return;
	}
	struct world *w = world_create(NULL);
	w->carrier_answers = OK_OF_CARRIER;
	feed_invite(w, TIMED "600;refresher=uas\r\n" SDP, SESSION);
	snprintf(to, sizeof to, "%s", header_of(w->answer, "To"));
	feed_in_dialog(w, to, 1, "ACK", "", "");
	w->carrier_answers = d->carrier;
	feed_in_dialog(w, to, d->cseq, d->method, d->lines, d->body);
	snprintf(got, sizeof got, "%s %.40s", words_of(w->status), header_of(w->answer, "Session-Expires"));
	bool right = torture_is_right(d->answers, w->status) &&
		     strcmp(header_of(w->answer, "Session-Expires"), d->timer) == 0;
	lone_run(w->lone, 10 * LONE_S);
	report(right && w->lone->cdr_count == 0, row, d->answers, got);
	world_destroy(w); /* nobody refreshes it, or acknowledges: it ends by itself */
}

static void try_timers(void)
{
	char path[4096], line[4096];
	snprintf(path, sizeof path, "%s/session-timer/headers.tsv", torture_directory());
	FILE *file = fopen(path, "r");
	assert(file);
	while (fgets(line, sizeof line, file)) {
		char id[16], where[64], headers[512], class[64], row[64], lines[1024];
		if (sscanf(line, "%15[^\t]\t%63[^\t]\t%511[^\t]\t%63[^\t]", id, where, headers, class) != 4)
			continue;
		snprintf(row, sizeof row, "session-timer/headers.tsv %s", id);
		if (!is_wanted(row))
			continue;
		add_lines(lines, sizeof lines, *headers == '(' ? "X: none" : headers);
		if (strncmp(where, "INVITE to the switch", 20) == 0)
			try_caller(row, lines, class);
		else if (strncmp(where, "2xx from the callee", 19) == 0)
			try_callee(row, lines);
		else if (strcmp(where, "422 to the switch") == 0)
			try_422(row, lines);
		else if (strncmp(where, "in-dialog request", 17) == 0)
			try_in_dialog(row, id);
		/* A09, A10, A11 and F06 take refreshes: tests/core/call/timer_callee_test.c and timer_refresh_test.c,
		 * by these names. */
	}
	fclose(file);
}

/* "240 to 250" after the colon, or one number. */
static bool is_expected(const char *expected, unsigned status, const char *answer)
{
	unsigned code = (unsigned)strtoul(expected, NULL, 10);
	const char *colon = strchr(expected, ':'), *to = strstr(expected, " to 2");
	unsigned least = colon ? (unsigned)strtoul(colon + 1, NULL, 10) : 0;
	unsigned most = to ? (unsigned)strtoul(to + 4, NULL, 10) : least;
	unsigned value = (unsigned)strtoul(header_of(answer, status == 422 ? "Min-SE" : "Session-Expires"), NULL, 10);
	return status == code && value >= least && value <= (most < least ? least : most);
}

static void try_matrix(void)
{
	char path[4096], line[512];
	unsigned n = 0;
	snprintf(path, sizeof path, "%s/session-timer/interval-matrix.tsv", torture_directory());
	FILE *file = fopen(path, "r");
	assert(file);
	while (fgets(line, sizeof line, file)) {
		char min_se[16], expires[16], expected[128], lines[256], row[64], got[64];
		if (sscanf(line, "%15[^\t]\t%15[^\t]\t%127[^\n]", min_se, expires, expected) != 3 ||
		    strncmp(min_se, "min_se", 6) == 0 || *min_se == '#')
			continue;
		snprintf(row, sizeof row, "session-timer/interval-matrix.tsv %u", ++n);
		if (!is_wanted(row))
			continue;
		int size = snprintf(lines, sizeof lines, "Supported: timer\r\n");
		if (*expires != '-')
			size += snprintf(lines + size, sizeof lines - (size_t)size, "Session-Expires: %s\r\n", expires);
		if (*min_se != '-')
			snprintf(lines + size, sizeof lines - (size_t)size, "Min-SE: %s\r\n", min_se);
		struct world *w = world_create("SS_SIP_SESSION_TTL = 199\nRW_SIP_MIN_SE = 101");
		w->carrier_answers = OK_OF_CARRIER;
		feed_invite(w, lines, "");
		snprintf(got, sizeof got, "%u %.40s", w->status,
			 header_of(w->answer, w->status == 422 ? "Min-SE" : "Session-Expires"));
		report(is_expected(expected, w->status, w->answer), row, expected, got);
		world_destroy(w);
	}
	fclose(file);
}

/* ---- single header lines ---- */

static void try_header_lines(void)
{
	char path[4096], line[1024], text[4096];
	unsigned n = 0;
	snprintf(path, sizeof path, "%s/seeds/jsip/headers.tsv", torture_directory());
	FILE *file = fopen(path, "r");
	assert(file);
	while (fgets(line, sizeof line, file)) {
		char kind[16], value[512], refused[8], row[64];
		if (sscanf(line, "%15[^\t]\t%511[^\t]\t%7[^\t]", kind, value, refused) != 3 ||
		    strcmp(kind, "kind") == 0)
			continue;
		bool url = strcmp(kind, "sip-url") == 0;
		const char *name = url ? "To" : value;
		int size =
			snprintf(text, sizeof text, "OPTIONS sip:n SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKh\r\n");
		size += snprintf(text + size, sizeof text - (size_t)size, url ? "To: <%s>\r\n" : "%s\r\n", value);
		if (strncmp(name, "From:", 5) != 0)
			size += snprintf(text + size, sizeof text - (size_t)size, "From: <sip:a@h>;tag=1\r\n");
		if (strncmp(name, "To", 2) != 0)
			size += snprintf(text + size, sizeof text - (size_t)size, "To: <sip:b@h>\r\n");
		size += snprintf(text + size, sizeof text - (size_t)size, "Call-ID: h\r\nCSeq: 1 OPTIONS\r\n\r\n");
		snprintf(row, sizeof row, "seeds/jsip/headers.tsv %u", ++n);
		/* One of them has a To with a tag: no such dialog. */
		try_message(row, (struct bytes){ text, (uint32_t)size }, 5060, "200|481");
	}
	fclose(file);
}

int main(int argc, char **argv)
{
	static const struct place places[] = {
		{ "via", "OPTIONS", "Via: ", "", 431 },
		{ "from", "OPTIONS", "From: ", "", 742 },
		{ "contact", "OPTIONS", "Contact: ", "", 820 },
		{ "cseq", NULL, "CSeq: ", "", 1000 },
		{ "rack", "PRACK", "RAck: ", "", 1000 },
		{ "refer-to", "REFER", "Refer-To: ", "", 1000 },
		{ "replaces", "OPTIONS", "Replaces: ", "", 1000 },
		{ "pai", "OPTIONS", "P-Asserted-Identity: ", "", 1000 },
		{ "sip-uri", "OPTIONS", "To: <", ">", 1000 },
		{ "request-line", NULL, "", "", 502 },
	};
	DIR *dir = opendir(torture_directory());
	(void)argc;
	wanted = argv + 1;
	if (!dir) {
		printf("skipped: no torture messages in %s\n", torture_directory());
		return 77;
	}
	closedir(dir);
	read_expectations();
	try_listed();
	try_jsip();
	try_header_lines();
	try_folder("seeds/sofia");
	try_folder("seeds/kamailio");
	try_folder("seeds/pjsip/fuzz-sip");
	try_folder("seeds/pjsip/fuzz-sip-dialog");
	try_folder("seeds/pjsip/fuzz-sdp");
	try_folder("seeds/pjsip/fuzz-uri");
	for (unsigned i = 0; i < sizeof places / sizeof *places; i++)
		try_grammar(&places[i]);
	try_timers();
	try_matrix();
	printf("%u passed, %u failed\n", passed, failed);
	return failed || !passed;
}
