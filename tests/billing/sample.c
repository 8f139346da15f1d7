#include "tests/billing/sample.h"

#include <assert.h>
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_US INT64_C(1700000000000000)

static const char filler[CDR_TEXT_MAX] = { [0 ... CDR_TEXT_MAX - 1] = 'x' };

static const struct cdr_attempt attempts[] = {
	{ .gateway = { "vendor-a", 8 }, .code = 503, .ms = 120 },
	{ .gateway = { "vendor-b", 8 }, .code = 200, .ms = 4321 },
};

struct cdr_text sample_text(const char *text)
{
	return (struct cdr_text){ .at = text, .size = (uint32_t)strlen(text) };
}

static void set_id(struct cdr *cdr, uint64_t number)
{
	char id[CDR_ID_SIZE + 1];

	snprintf(id, sizeof(id), "%0*" PRIx64 "-%04x-000-%08x", CDR_ID_START_DIGITS, (uint64_t)cdr->start_us,
		 (unsigned)(number >> 32) & 0xffff, (unsigned)number);
	memcpy(cdr->cdr_id, id, CDR_ID_SIZE);
}

struct cdr sample_cdr_at(uint64_t number, int64_t start_us)
{
	struct cdr cdr = sample_cdr(number);

	cdr.start_us = start_us;
	set_id(&cdr, number);
	return cdr;
}

struct cdr sample_cdr(uint64_t number)
{
	struct cdr cdr = {
		.node = sample_text("node1"),
		.shard = 3,
		.mapping_gateway = sample_text("customer-a"),
		.routing_gateway = sample_text("vendor-b"),
		.account = sample_text("customer-a"),
		.vendor_account = sample_text("vendor-b-account"),
		.caller_in = sample_text("+8801711000001"),
		.callee_in = sample_text("+4930123456"),
		.caller_out = sample_text("8801711000001"),
		.callee_out = sample_text("4930123456"),
		.source_address = sample_text("192.0.2.7:5060"),
		.destination_address = sample_text("[2001:db8::9]:5080"),
		.call_id_a = sample_text("a84b4c76e66710@gw.customer-a.example"),
		.call_id_b = sample_text("0001f3a2-000000007d-00000001"),
		.start_us = START_US + (int64_t)number,
		.ringing_us = START_US + 1500000,
		.connect_us = START_US + 4500000,
		.end_us = START_US + 64500000,
		.pdd_ms = 1500,
		.hold_ms = 60000,
		.billed_s = 60,
		.end_side = CDR_SIDE_CALLEE,
		.end_reason = CDR_END_normal,
		.sip_code = 200,
		.q850 = 16,
		.session_timer = CDR_TIMER_A | CDR_TIMER_B,
		.refreshes_sent = 2,
		.refreshes_confirmed = 1,
		.last_confirmed_us = START_US + 34500000,
		.rate_prefix = sample_text("49"),
		.rate = sample_text("0.0150"),
		.fee = sample_text("0.0150"),
		.cost = sample_text("0.0120"),
		.attempts = attempts,
		.attempts_count = 2,
	};
	set_id(&cdr, number);
	return cdr;
}

static void grow(struct cdr_text *text, size_t *missing)
{
	if (*missing < text->size)
		return;
	const size_t size = *missing < sizeof(filler) ? *missing : sizeof(filler);
	*missing -= size;
	*text = (struct cdr_text){ .at = filler, .size = (uint32_t)size };
}

struct cdr sample_cdr_of_size(uint64_t number, size_t bytes)
{
	struct cdr cdr = sample_cdr(number);
	struct cdr_text *const texts[] = {
		&cdr.node,      &cdr.mapping_gateway, &cdr.routing_gateway, &cdr.account,    &cdr.vendor_account,
		&cdr.caller_in, &cdr.callee_in,       &cdr.caller_out,      &cdr.callee_out, &cdr.source_address,
		&cdr.call_id_a, &cdr.call_id_b,       &cdr.rate_prefix,     &cdr.rate,       &cdr.fee,
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		texts[i]->size = 0;
	cdr.destination_address.size = 0;
	cdr.cost.size = 0;
	cdr.attempts_count = 0;
	assert(bytes >= cdr_encoded_size(&cdr));
	size_t missing = bytes - cdr_encoded_size(&cdr);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		grow(texts[i], &missing);
	assert(cdr_encoded_size(&cdr) == bytes);
	return cdr;
}

uint64_t sample_number(const struct cdr *cdr)
{
	return (uint64_t)(cdr->start_us - START_US);
}

static bool text_equal(struct cdr_text a, struct cdr_text b)
{
	return a.size == b.size && (a.size == 0 || memcmp(a.at, b.at, a.size) == 0);
}

static bool attempts_equal(const struct cdr *a, const struct cdr *b)
{
	if (a->attempts_count != b->attempts_count)
		return false;
	for (uint32_t i = 0; i < a->attempts_count; i++)
		if (!text_equal(a->attempts[i].gateway, b->attempts[i].gateway) ||
		    a->attempts[i].code != b->attempts[i].code || a->attempts[i].ms != b->attempts[i].ms)
			return false;
	return true;
}

bool sample_equal(const struct cdr *a, const struct cdr *b)
{
#define SAME_TEXT(name) text_equal(a->name, b->name)
#define SAME(name)      a->name == b->name
	return memcmp(a->cdr_id, b->cdr_id, CDR_ID_SIZE) == 0 && SAME_TEXT(node) && SAME(shard) &&
	       SAME_TEXT(mapping_gateway) && SAME_TEXT(routing_gateway) && SAME_TEXT(account) &&
	       SAME_TEXT(vendor_account) && SAME_TEXT(caller_in) && SAME_TEXT(callee_in) && SAME_TEXT(caller_out) &&
	       SAME_TEXT(callee_out) && SAME_TEXT(source_address) && SAME_TEXT(destination_address) &&
	       SAME_TEXT(call_id_a) && SAME_TEXT(call_id_b) && SAME(start_us) && SAME(ringing_us) && SAME(connect_us) &&
	       SAME(end_us) && SAME(pdd_ms) && SAME(hold_ms) && SAME(billed_s) && SAME(end_side) && SAME(end_reason) &&
	       SAME(sip_code) && SAME(q850) && SAME(session_timer) && SAME(recovered) && SAME(refreshes_sent) &&
	       SAME(refreshes_confirmed) && SAME(last_confirmed_us) && SAME_TEXT(rate_prefix) && SAME_TEXT(rate) &&
	       SAME_TEXT(fee) && SAME_TEXT(cost) && attempts_equal(a, b);
#undef SAME
#undef SAME_TEXT
}

bool sample_is_intact(const struct cdr *cdr, size_t bytes)
{
	const struct cdr expected = sample_cdr_of_size(sample_number(cdr), bytes);

	return sample_equal(cdr, &expected);
}

struct record_queue *sample_queue(size_t capacity)
{
	const size_t size = record_queue_header_bytes() + capacity;
	void *memory;

	if (posix_memalign(&memory, 64, size) != 0)
		abort();
	memset(memory, 0, size);
	return record_queue_init(memory, size, (struct record_queue_owner){ 0 });
}

/* ---- files ---- */

static char directory[64];
static pid_t owner;

static void remove_directory(void)
{
	struct dirent *entry;
	char path[512];

	if (getpid() != owner)
		return;
	DIR *stream = opendir(directory);
	while (stream != NULL && (entry = readdir(stream)) != NULL) {
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		unlink(path);
	}
	if (stream != NULL)
		closedir(stream);
	rmdir(directory);
}

const char *sample_directory(void)
{
	if (owner != getpid()) {
		snprintf(directory, sizeof(directory), "/tmp/billing-test-XXXXXX");
		if (mkdtemp(directory) == NULL)
			abort();
		owner = getpid();
		atexit(remove_directory);
	}
	return directory;
}

const char *sample_path(const char *name)
{
	static char paths[8][256];
	static unsigned next;
	char *path = paths[next++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", sample_directory(), name);
	return path;
}
