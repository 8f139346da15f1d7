/* A plain program for the sanitizer set-ups: every file of config_errors.h and 5,000 seeded mutations of a good file
 * are loaded.  A refusal is one line that names the file; what loads gives the same text twice; nothing is left
 * allocated.  */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config_errors.h"
#include "config_names.h"
#include "core/config/config.h"

#define MUTATIONS 5000
#define TEXT_MAX  2048

static const char good[] =
	"node = n # c\n"
	"listen \"four\" { address = 192.0.2.1 advertise = \"sip.example.net\" }\n"
	"listen \"six\" { address = \"2001:db8::1\" port = 5070 }\n"
	"parameters { RW_SIP_T1 = 200 SS_SIP_RESEND_INTERVAL = \"0.25,60\" }\n"
	"mapping_gateway \"m\" { address = {\"10.0.0.1:5070\", \"10.0.0.0/8\", \"2001:db8::/32\"}\n"
	"  callee_prefix = \"*9\" timer = off caller_from = \"remote-party-id\" allow = {\"r\"} deny = s\n"
	"  rewrite_callee = {\"00 ->\", \"^(\\\\d{10})$ -> 1\\\\1\"} failed_reason_map = {\"503 -> 480\", \"5xx -> "
	"500\"}\n"
	"  sort = {\"asr\", \"price\"} rate_limit = 10 }\n"
	"routing_gateway \"r\" { address = {\"10.0.0.9\", \"both.example:5080\"} prefix = {\"\", \"880\"} account = "
	"\"v\"\n"
	"  stop_codes = {404, \"480-489\"} tech_prefix = \"+7\" prefix_mode = continue max_price = 0.05 }\n"
	"routing_gateway \"s\" { address = \"six.example\" rewrite_caller = \"^0 -> 44\" }\n";

static const char *const pieces[] = { "{",  "}", "\"", "'", "#",  "/*", "*/",   "//", "\\", "${HOME}",
				      "\n", "=", ",",  "/", "+=", "(",  "\377", "0",  "9",  "99999999999" };

static char path[] = "/tmp/ringwheel-mutations-XXXXXX";
static uint32_t random_state = 1;

static uint32_t random_below(uint32_t end)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (random_state >> 8) % end;
}

static void fail(const char *what, const char *detail)
{
	fprintf(stderr, "%s: %s\n", what, detail);
	unlink(path);
	exit(1);
}

static struct config *load(const char *text, size_t size)
{
	struct config *c = NULL;
	char error[512];
	FILE *out = fopen(path, "w");

	if (!out || fwrite(text, 1, size, out) != size || fclose(out) != 0)
		fail("cannot write", path);
	int result = config_load(path, &c, error);
	if ((result == 0) != (error[0] == '\0') || strchr(error, '\n') ||
	    (result < 0 && strncmp(error, path, strlen(path)) != 0))
		fail("not one line that names the file", error);
	return c;
}

/* Replaces, removes or adds something somewhere. */
static size_t mutate(char *text, size_t size)
{
	size_t at = random_below((uint32_t)size);
	const char *piece = pieces[random_below(sizeof pieces / sizeof pieces[0])];

	switch (random_below(3)) {
	case 0:
		text[at] = (char)random_below(256);
		return size;
	case 1:
		memmove(text + at, text + at + 1, size - at - 1);
		return size - 1;
	default:
		memmove(text + at + strlen(piece), text + at, size - at);
		memcpy(text + at, piece, strlen(piece));
		return size + strlen(piece);
	}
}

/* Returns whether it loads; takes the configuration. */
static bool check_round_trip(struct config *c)
{
	if (!c)
		return false;
	char *text = config_text(c);
	struct config *again = load(text, strlen(text));
	char *text_again = again ? config_text(again) : NULL;

	if (!text_again || strcmp(text, text_again) != 0)
		fail("the text does not give the same configuration", text);
	free(text);
	free(text_again);
	config_free(c);
	config_free(again);
	return true;
}

int main(void)
{
	unsigned loaded = 0;
	int descriptor = mkstemp(path);

	if (descriptor < 0 || close(descriptor) != 0)
		fail("cannot make", path);
	for (unsigned i = 0; i < CONFIG_ERRORS; i++)
		if (load(config_errors[i].text, strlen(config_errors[i].text)))
			fail("a bad file was taken", config_errors[i].text);
	if (!check_round_trip(load(good, sizeof good - 1)))
		fail("a good file was refused", good);
	for (unsigned i = 0; i < MUTATIONS; i++) {
		char text[TEXT_MAX];
		size_t size = sizeof good - 1;

		memcpy(text, good, size);
		for (uint32_t changes = 1 + random_below(3); changes > 0; changes--)
			size = mutate(text, size);
		loaded += check_round_trip(load(text, size));
	}
	unlink(path);
	if (loaded < MUTATIONS / 100 || loaded > MUTATIONS / 2)
		fail("the mutations are too hard or too soft", "");
	printf("%u of %d mutations load\n", loaded, MUTATIONS);
	return 0;
}
