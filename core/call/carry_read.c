/* Reading what carry_image.h describes.  The bytes may be damaged in any way: nothing is believed that was not looked
 * at. */
#include <endian.h>

#include "core/call/carry.h"
#include "core/call/carry_image.h"
#include "core/call/number.h"
#include "sip/dialog.h"

struct input {
	const uint8_t *at, *end;
	bool bad; /* it was too short, or made no sense: what came since is zeroes */
};

/* ---- bytes ---- */

static const uint8_t *take(struct input *in, size_t size)
{
	const uint8_t *at = in->at;
	if (in->bad || (size_t)(in->end - in->at) < size) {
		in->bad = true;
		return NULL;
	}
	in->at += size;
	return at;
}

static uint8_t take_u8(struct input *in)
{
	const uint8_t *at = take(in, 1);
	return at ? *at : 0;
}

static uint16_t take_u16(struct input *in)
{
	uint16_t le = 0;
	const uint8_t *at = take(in, sizeof le);
	if (at)
		memcpy(&le, at, sizeof le);
	return le16toh(le);
}

static uint32_t take_u32(struct input *in)
{
	uint32_t le = 0;
	const uint8_t *at = take(in, sizeof le);
	if (at)
		memcpy(&le, at, sizeof le);
	return le32toh(le);
}

static uint64_t take_u64(struct input *in)
{
	uint64_t le = 0;
	const uint8_t *at = take(in, sizeof le);
	if (at)
		memcpy(&le, at, sizeof le);
	return le64toh(le);
}

static struct bytes take_bytes(struct input *in, uint32_t size)
{
	const uint8_t *at = take(in, size);
	return at && size ? (struct bytes){ (const char *)at, size } : BYTES_NONE;
}

static void want(struct input *in, bool holds)
{
	in->bad |= !holds;
}

static struct bytes take_text8(struct input *in, uint32_t most)
{
	uint8_t size = take_u8(in);
	want(in, size <= most);
	return take_bytes(in, size);
}

static struct bytes take_text16(struct input *in)
{
	uint16_t size = take_u16(in);
	return take_bytes(in, size);
}

/* A name is a C string where it is looked up. */
static struct bytes take_name(struct input *in)
{
	struct bytes name = take_text8(in, CONFIG_NAME_MAX);
	want(in, !name.size || !memchr(name.at, '\0', name.size));
	return name;
}

static struct address take_address(struct input *in)
{
	struct address a = { .family = take_u8(in) };
	a.port = take_u16(in);
	want(in, a.family == 0 || a.family == 4 || a.family == 6);
	unsigned size = a.family == 4 ? 4 : a.family == 6 ? 16 : 0;
	const uint8_t *at = take(in, size);
	if (at && size)
		memcpy(a.ip, at, size);
	return a;
}

/* Of somebody: a CDR prints it. */
static struct address take_host(struct input *in)
{
	struct address a = take_address(in);
	want(in, a.family != 0);
	return a;
}

/* Of a peer, that is sent to. */
static struct address take_peer(struct input *in)
{
	struct address a = take_host(in);
	want(in, a.port != 0);
	return a;
}

static uint32_t take_bounded(struct input *in, uint32_t least, uint32_t most)
{
	uint32_t value = take_u32(in);
	want(in, value >= least && value <= most);
	return value;
}

/* ---- sections ---- */

#define DURATION_MAX 604800u

static void take_clock(struct input *in, struct carry_clock *c)
{
	c->machine = take_u64(in);
	c->now_ns = take_u64(in);
	c->now_us = (int64_t)take_u64(in);
	c->key = take_u32(in);
	c->boot = take_u16(in);
	want(in, c->now_ns < UINT64_MAX / 4 && c->now_us > 0 && c->now_us < INT64_MAX / 2000);
}

static void take_call(struct input *in, struct call_image *c)
{
	c->start_ns = take_u64(in);
	c->connect_ns = take_u64(in);
	c->last_confirmed_us = (int64_t)take_u64(in);
	c->refreshes_sent = take_u32(in);
	c->refreshes_confirmed = take_u32(in);
	c->no_timer_cap_s = take_bounded(in, 0, DURATION_MAX);
	c->max_duration_s = take_bounded(in, 0, DURATION_MAX);
	c->probe_interval_s = take_bounded(in, 0, DURATION_MAX);
	uint32_t ttl_s = take_bounded(in, 1, SESSION_INTERVAL_MAX_S);
	uint32_t min_se_s = take_bounded(in, 1, SESSION_INTERVAL_MAX_S);
	uint32_t grace_s = take_u16(in), segments = take_u8(in);
	want(in, grace_s <= 60 && segments >= 2);
	c->rules = session_timer_rules(ttl_s, min_se_s, grace_s, segments);
	c->acked = take_u8(in) != 0;
}

static void take_facts(struct input *in, struct call_image *c)
{
	struct facts *f = &c->facts;
	c->mapping = take_name(in);
	c->routing = take_name(in);
	c->account = take_name(in);
	c->vendor_account = take_name(in);
	f->connect_us = (int64_t)take_u64(in);
	f->ringing_us = (int64_t)take_u64(in);
	f->pdd_ms = take_u32(in);
	f->source = take_host(in);
	f->destination = take_host(in);
	f->numbers[CALL_CALLER_IN] = take_text8(in, NUMBER_ROOM);
	f->numbers[CALL_CALLEE_IN] = take_text8(in, NUMBER_ROOM);
	f->numbers[CALL_CALLER_OUT] = take_text8(in, NUMBER_ROOM);
	f->numbers[CALL_CALLEE_OUT] = take_text8(in, NUMBER_ROOM);
	f->attempts_count = take_u8(in);
	f->note_count = take_u8(in);
	want(in, c->mapping.size && c->routing.size && f->note_count <= CDR_ATTEMPTS_MAX);
	for (uint32_t i = 0; i < f->note_count && !in->bad; i++) {
		c->note_names[i] = take_name(in);
		f->notes[i].ms = take_u32(in);
		f->notes[i].code = take_u16(in);
	}
	f->tried = true;
}

static void take_body(struct input *in, struct call_image *c)
{
	want(in, c->body_count < CARRY_BODIES_MAX);
	if (in->bad)
		return;
	struct body_image *body = &c->bodies[c->body_count++];
	body->plain = take_u8(in) != 0;
	body->head = take_text16(in);
	body->content = take_bytes(in, (uint32_t)(in->end - in->at));
	want(in, body->content.size > 0 && body->content.size <= SIP_MESSAGE_BYTES_MAX &&
			 !(body->plain && body->head.size) &&
			 sizeof(struct body) + body->head.size + body->content.size <= TEXT_BYTES_MAX);
}

static void take_session(struct input *in, struct session_timer *t)
{
	t->confirmed_at_ns = take_u64(in);
	t->due_ns = take_u64(in);
	t->interval_s = take_bounded(in, 0, SESSION_INTERVAL_MAX_S);
	t->refresh_s = take_u32(in);
	t->min_se_s = take_bounded(in, 1, SESSION_INTERVAL_MAX_S);
	t->wait = take_u8(in);
	t->segments = take_u8(in);
	t->segment = take_u8(in);
	unsigned flags = take_u8(in);
	t->we_refresh = flags & 1;
	t->peer_has_tag = flags >> 1 & 1;
	t->off = flags >> 2 & 1;
	bool idle = t->wait == SESSION_IDLE;
	want(in, t->wait <= SESSION_GRACE && t->segments >= 2 && t->segment >= 1 && t->segment <= t->segments &&
			 !(t->off && t->interval_s) && (idle || t->interval_s) && t->refresh_s <= t->interval_s &&
			 (idle || t->refresh_s) &&
			 (idle ? t->we_refresh : t->we_refresh == (t->wait != SESSION_PROBE)));
}

static void take_state(struct input *in, struct confirmed_image *state)
{
	state->local_cseq = take_u32(in);
	state->remote_cseq = take_u32(in);
	state->invite_cseq = take_u32(in);
	state->ack_cseq = take_u32(in);
	state->branch_sequence = take_u16(in);
	state->flags = take_u16(in);
	state->probes_silent = take_u8(in) & 3;
	state->peer = take_peer(in);
	take_session(in, &state->session);
	state->probe_due_ns = take_u64(in);
}

/* The packed texts of a dialog, as pack_read() wants them. */
static bool is_packed(struct bytes packed, unsigned count)
{
	const uint8_t *sizes = (const uint8_t *)packed.at;
	uint64_t total = 2 * (uint64_t)count;
	if (packed.size < total)
		return false;
	for (unsigned i = 0; i < count; i++)
		total += (uint64_t)sizes[2 * i] | (uint64_t)sizes[2 * i + 1] << 8;
	return total == packed.size;
}

static void take_leg(struct input *in, struct leg_image *leg)
{
	want(in, !leg->dialog.size); /* once */
	leg->ident.slot = take_u32(in);
	leg->ident.generation = take_u32(in);
	leg->ident.boot = take_u16(in);
	leg->remote_tag_hash = take_u32(in);
	leg->body_in = take_u8(in);
	leg->body_out = take_u8(in);
	leg->ack_body = take_u8(in);
	leg->listener = take_name(in);
	leg->listener_address = take_address(in);
	take_state(in, &leg->state);
	leg->dialog = take_text16(in);
	want(in, leg->ident.generation <= POOL_GENERATION_MAX && is_packed(leg->dialog, DIALOG_TEXTS) &&
			 leg->dialog.size <= TEXT_BYTES_MAX);
}

static void take_invite(struct input *in, struct call_image *c)
{
	struct invite_image *i = &c->invite;
	i->cseq = take_u32(in);
	i->branch_hash = take_u32(in);
	i->key = take_u64(in);
	i->peer = take_peer(in);
	i->session.interval_s = take_bounded(in, 0, SESSION_INTERVAL_MAX_S);
	i->session.min_se_s = take_bounded(in, 0, SESSION_INTERVAL_MAX_S);
	unsigned flags = take_u8(in);
	i->session.we_refresh = flags & 1;
	i->session.peer_has_tag = flags >> 1 & 1;
	i->head = take_text16(in);
	want(in, i->head.size && i->head.size <= TEXT_BYTES_MAX);
	c->has_invite = true;
}

#define SEEN(tag) (1u << (tag))

static void take_section(struct input *in, enum carry_section tag, struct call_image *c)
{
	switch (tag) {
	case CARRY_CLOCK:
		take_clock(in, &c->clock);
		break;
	case CARRY_CALL:
		take_call(in, c);
		break;
	case CARRY_FACTS:
		take_facts(in, c);
		break;
	case CARRY_BODY:
		take_body(in, c);
		break;
	case CARRY_LEG_A:
		take_leg(in, &c->legs[LEG_CALLER]);
		break;
	case CARRY_LEG_B:
		take_leg(in, &c->legs[LEG_CALLEE]);
		break;
	case CARRY_INVITE:
		take_invite(in, c);
		break;
	case CARRY_CHARGE:
		c->charge = take_bytes(in, (uint32_t)(in->end - in->at));
		break;
	case CARRY_STATE:
	case CARRY_SECTIONS:
		break; /* not in a LIVE record */
	}
}

/* The next section: its tag, and its content as an input of its own; false: none is left, or in->bad. */
static bool next_section(struct input *in, unsigned *ret_tag, struct input *ret_content)
{
	if (in->bad || in->at == in->end)
		return false;
	*ret_tag = take_u8(in);
	uint32_t size = take_u32(in);
	const uint8_t *at = take(in, size);
	if (!at)
		return false;
	*ret_content = (struct input){ .at = at, .end = at + size };
	return true;
}

static bool is_body(const struct call_image *c, uint8_t body)
{
	return body == CARRY_NO_BODY || body < c->body_count;
}

/* What each section cannot know by itself. */
static bool holds_together(const struct call_image *c)
{
	for (unsigned i = 0; i < 2; i++) {
		const struct leg_image *leg = &c->legs[i];
		if (!is_body(c, leg->body_in) || !is_body(c, leg->body_out) || !is_body(c, leg->ack_body) ||
		    leg->ident.boot != c->boot)
			return false;
	}
	return true;
}

/* false: something of it makes no sense; what does is there all the same, for the CDR of a lost call. */
static bool read_live(const struct recovered_bytes *live, struct call_image *c)
{
	const unsigned needed =
		SEEN(CARRY_CLOCK) | SEEN(CARRY_CALL) | SEEN(CARRY_FACTS) | SEEN(CARRY_LEG_A) | SEEN(CARRY_LEG_B);
	struct input in, content;
	bool good = true;
	unsigned tag;
	if (!live->at || live->version != CARRY_VERSION)
		return false;
	in = (struct input){ .at = live->at, .end = live->at + live->size };
	while (next_section(&in, &tag, &content)) {
		if (tag >= CARRY_SECTIONS)
			continue;
		if (tag != CARRY_BODY && (c->seen & SEEN(tag)))
			content.bad = true;
		else
			take_section(&content, (enum carry_section)tag, c);
		good = good && !content.bad;
		if (content.bad)
			continue;
		c->seen |= SEEN(tag);
		if (tag == CARRY_CLOCK)
			c->legs[0].clock = c->legs[1].clock = c->clock;
	}
	return good && !in.bad && (c->seen & needed) == needed && holds_together(c);
}

/* ---- changes ---- */

static bool read_state(struct input *in, struct call_image *c, struct leg_image *leg)
{
	struct confirmed_image state = { 0 };
	int64_t last_confirmed_us = (int64_t)take_u64(in);
	uint32_t sent = take_u32(in), confirmed = take_u32(in);
	take_state(in, &state);
	if (in->bad)
		return false;
	/* The session of a delayed offer is settled by a LIVE record. */
	leg->state = state;
	c->last_confirmed_us = last_confirmed_us > c->last_confirmed_us ? last_confirmed_us : c->last_confirmed_us;
	c->refreshes_sent = sent > c->refreshes_sent ? sent : c->refreshes_sent;
	c->refreshes_confirmed = confirmed > c->refreshes_confirmed ? confirmed : c->refreshes_confirmed;
	return true;
}

static bool read_change(const struct recovered_bytes *change, struct call_image *c, struct leg_image *leg,
			struct carry_clock *ret_clock)
{
	struct input in = { .at = change->at, .end = change->at + change->size }, content;
	bool has_clock = false, has_state = false;
	struct carry_clock clock = { 0 };
	unsigned tag;
	if (change->version != CARRY_VERSION)
		return false;
	while (next_section(&in, &tag, &content)) {
		if (tag == CARRY_CLOCK) {
			take_clock(&content, &clock);
			has_clock = true;
		} else if (tag == CARRY_STATE && leg) {
			has_state = read_state(&content, c, leg);
		}
		if (content.bad)
			return false;
	}
	if (leg)
		leg->clock = clock;
	*ret_clock = clock;
	return !in.bad && has_clock && (has_state || !leg);
}

/* ---- the name ---- */

static bool take_hex(const char **at, unsigned digits, uint64_t *ret_value)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < digits; i++) {
		char c = *(*at)++;
		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
		value = value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	*ret_value = value;
	return true;
}

static bool read_name(const char *at, struct call_image *c)
{
	uint64_t start_us, boot, shard, sequence;
	if (!take_hex(&at, CDR_ID_START_DIGITS, &start_us) || *at++ != '-' || !take_hex(&at, 4, &boot) ||
	    *at++ != '-' || !take_hex(&at, 3, &shard) || *at++ != '-' || !take_hex(&at, 8, &sequence))
		return false;
	c->start_us = (int64_t)start_us;
	c->boot = (uint16_t)boot;
	c->shard = (uint16_t)shard;
	c->sequence = (uint32_t)sequence;
	return true;
}

bool carry_is_foreign(const struct recovered_call *call)
{
	bool foreign = call->live.at && call->live.version != CARRY_VERSION;
	for (unsigned i = 0; i < RECORD_CHANGE_PARTS; i++)
		foreign = foreign || (call->changes[i].at && call->changes[i].version != CARRY_VERSION);
	return foreign;
}

/* The latest word about a machine's clock counts: the wall clock may have been set since the earlier ones, which is not
 * time that has passed. */
static void take_pin(struct carry_clock *clock, const struct carry_clock *pin)
{
	if (pin->machine != clock->machine || !is_before(clock->now_ns, pin->now_ns))
		return;
	clock->now_ns = pin->now_ns;
	clock->now_us = pin->now_us;
}

static void take_latest_pins(struct call_image *c, const struct carry_clock pins[static RECORD_CHANGE_PARTS])
{
	for (unsigned i = 0; i < RECORD_CHANGE_PARTS; i++)
		take_pin(&c->clock, &pins[i]);
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned j = 0; j < RECORD_CHANGE_PARTS; j++)
			take_pin(&c->legs[i].clock, &pins[j]);
		take_pin(&c->legs[i].clock, &c->clock);
	}
}

bool carry_read(const struct recovered_call *call, struct call_image *c)
{
	struct carry_clock pins[RECORD_CHANGE_PARTS] = { 0 };
	memset(c, 0, sizeof *c);
	c->bucket = call->bucket;
	if (call->bucket >= STEER_BUCKETS || !read_name(call->cdr_id, c))
		return false;
	/* Whatever may be said in the CDR of a call that is not carried on is read. */
	bool good = read_live(&call->live, c);
	const struct recovered_bytes *acked = &call->changes[CARRY_ACKED], *caller = &call->changes[CARRY_CALLER],
				     *callee = &call->changes[CARRY_CALLEE];
	good = (!acked->at || read_change(acked, c, NULL, &pins[CARRY_ACKED])) && good;
	good = (!caller->at || read_change(caller, c, &c->legs[LEG_CALLER], &pins[CARRY_CALLER])) && good;
	good = (!callee->at || read_change(callee, c, &c->legs[LEG_CALLEE], &pins[CARRY_CALLEE])) && good;
	take_latest_pins(c, pins);
	c->acked = c->acked || acked->at;
	return good;
}
