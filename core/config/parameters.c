/* The parameters of the switch as values and as text.  Names, kinds, defaults and ranges stand in PARAMETER_TABLE
 * alone; what follows is one reader, one printer and one checker per kind.  Spec 8.  */
#include "core/config/parameters.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEFAULT_TEXT_U32(def, text)   text
#define DEFAULT_TEXT_BOOL(def, text)  ((def) ? "on" : "off")
#define DEFAULT_TEXT_WAITS(def, text) def

const struct parameter_info parameter_infos[] = {
#define X(name, type, def, min, max, unit, text)                                                                       \
	{ #name, PARAMETER_##type, DEFAULT_TEXT_##type(def, #def), min, max, unit, text },
	PARAMETER_TABLE(X)
#undef X
};

/* Where each value is, in the order of parameter_infos. */
static const size_t offsets[] = {
#define X(name, type, def, min, max, unit, text) offsetof(struct parameters, name),
	PARAMETER_TABLE(X)
#undef X
};

#define COUNT (sizeof parameter_infos / sizeof parameter_infos[0])
static_assert(COUNT == sizeof offsets / sizeof offsets[0], "one place for each parameter");

const unsigned parameter_count = COUNT;

void parameters_defaults(struct parameters *p)
{
	char error[256];

	memset(p, 0, sizeof *p);
	for (unsigned i = 0; i < COUNT; i++) {
		int result = parameter_set(p, parameter_infos[i].name, parameter_infos[i].default_text, error);

		assert(result == 0); /* a default outside its own range */
		(void)result;
	}
}

int parameter_find(const char *name)
{
	for (unsigned i = 0; i < COUNT; i++)
		if (strcmp(parameter_infos[i].name, name) == 0)
			return (int)i;
	return -1;
}

const char *parameter_min_text(const struct parameter_info *info, char text[static 16])
{
	if (strcmp(info->name, "SS_SIP_SESSION_TTL") == 0)
		return "RW_SIP_MIN_SE"; /* parameters_check() */
	snprintf(text, 16, "%u", info->min);
	return text;
}

static bool is_hexadecimal(const struct parameter_info *info)
{
	return strncmp(info->default_text, "0x", 2) == 0;
}

static const char *unit_gap(const struct parameter_info *info)
{
	return info->unit[0] ? " " : "";
}

static int refuse_range(const struct parameter_info *info, const char *value, char error[static 256])
{
	char min[16];

	if (info->kind == PARAMETER_WAITS)
		snprintf(error, 256, "%s: '%.60s' is not allowed: each wait is %g..%g s", info->name, value,
			 info->min / 1000.0, info->max / 1000.0);
	else if (is_hexadecimal(info))
		snprintf(error, 256, "%s: '%.60s' is not allowed: 0x%x..0x%x%s%s", info->name, value, info->min,
			 info->max, unit_gap(info), info->unit);
	else
		snprintf(error, 256, "%s: '%.60s' is not allowed: %s..%u%s%s", info->name, value,
			 parameter_min_text(info, min), info->max, unit_gap(info), info->unit);
	return -ERANGE;
}

/* Decimal, or hexadecimal after 0x; no sign, no blanks. */
static int set_u32(const struct parameter_info *info, uint32_t *ret_value, const char *value, char error[static 256])
{
	bool hexadecimal = value[0] == '0' && (value[1] == 'x' || value[1] == 'X');
	const char *digits = hexadecimal ? value + 2 : value;
	size_t span = strspn(digits, hexadecimal ? "0123456789abcdefABCDEF" : "0123456789");

	if (span == 0 || digits[span] != '\0') {
		snprintf(error, 256, "%s: '%.60s' is not a whole number (allowed: %u..%u%s%s)", info->name, value,
			 info->min, info->max, unit_gap(info), info->unit);
		return -EINVAL;
	}
	errno = 0;
	unsigned long long number = strtoull(digits, NULL, hexadecimal ? 16 : 10);
	if (errno == ERANGE || number < info->min || number > info->max)
		return refuse_range(info, value, error);
	*ret_value = (uint32_t)number;
	return 0;
}

bool parameter_read_switch(const char *value, bool *ret_on)
{
	static const char *const on[] = { "on", "true", "yes", "1" };
	static const char *const off[] = { "off", "false", "no", "0" };

	for (unsigned i = 0; i < sizeof on / sizeof on[0]; i++) {
		if (strcasecmp(value, on[i]) == 0) {
			*ret_on = true;
			return true;
		}
		if (strcasecmp(value, off[i]) == 0) {
			*ret_on = false;
			return true;
		}
	}
	return false;
}

static int set_bool(const struct parameter_info *info, bool *ret_value, const char *value, char error[static 256])
{
	if (parameter_read_switch(value, ret_value))
		return 0;
	snprintf(error, 256, "%s: '%.60s' is neither on nor off", info->name, value);
	return -EINVAL;
}

/* One wait, "0.5" or "4", as milliseconds, exactly: up to three decimals.  Moves *at behind it. */
static bool read_wait(const char **at, uint32_t *ret_ms)
{
	static const uint32_t scale[] = { 1000, 100, 10, 1 };
	uint64_t ms = 0;
	unsigned whole = 0, decimals = 0;

	*at += strspn(*at, " \t");
	for (; **at >= '0' && **at <= '9' && whole < 7; (*at)++, whole++)
		ms = ms * 10 + (unsigned)(**at - '0');
	if (**at == '.')
		for ((*at)++; **at >= '0' && **at <= '9' && decimals < 3; (*at)++, decimals++)
			ms = ms * 10 + (unsigned)(**at - '0');
	*at += strspn(*at, " \t");
	if (whole == 0)
		return false;
	ms *= scale[decimals];
	*ret_ms = ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
	return true;
}

static int set_waits(const struct parameter_info *info, struct parameter_waits *ret_value, const char *value,
		     char error[static 256])
{
	struct parameter_waits waits = { 0 };
	const char *at = value;

	for (;;) {
		uint32_t ms;

		if (waits.count == PARAMETER_WAITS_MAX) {
			snprintf(error, 256, "%s: more than %d waits", info->name, PARAMETER_WAITS_MAX);
			return -ERANGE;
		}
		if (!read_wait(&at, &ms) || (*at != ',' && *at != '\0')) {
			snprintf(error, 256, "%s: '%.60s' is not a list of seconds as in \"0.5,1,2\" (1 to %d of them)",
				 info->name, value, PARAMETER_WAITS_MAX);
			return -EINVAL;
		}
		if (ms < info->min || ms > info->max)
			return refuse_range(info, value, error);
		waits.ms[waits.count++] = ms;
		if (*at++ == '\0')
			break;
	}
	*ret_value = waits;
	return 0;
}

int parameter_set(struct parameters *p, const char *name, const char *value, char error[static 256])
{
	int index = parameter_find(name);

	if (index < 0) {
		snprintf(error, 256, "there is no parameter '%.60s'", name);
		return -ENOENT;
	}
	const struct parameter_info *info = &parameter_infos[index];
	void *place = (char *)p + offsets[index];

	switch (info->kind) {
	case PARAMETER_U32:
		return set_u32(info, place, value, error);
	case PARAMETER_BOOL:
		return set_bool(info, place, value, error);
	case PARAMETER_WAITS:
		return set_waits(info, place, value, error);
	}
	abort(); /* every kind has its reader */
}

static void print_waits(const struct parameter_waits *waits, char *text, unsigned size)
{
	unsigned used = 0;

	text[0] = '\0';
	for (uint32_t i = 0; i < waits->count && used < size; i++) {
		char wait[24];
		int length = snprintf(wait, sizeof wait, "%u.%03u", waits->ms[i] / 1000, waits->ms[i] % 1000);

		while (wait[length - 1] == '0')
			length--;
		if (wait[length - 1] == '.')
			length--;
		used += (unsigned)snprintf(text + used, size - used, "%s%.*s", i ? "," : "", length, wait);
	}
}

void parameter_text(const struct parameters *p, int index, char *text, unsigned size)
{
	assert(index >= 0 && (unsigned)index < COUNT && size > 0);
	const struct parameter_info *info = &parameter_infos[index];
	const void *place = (const char *)p + offsets[index];

	switch (info->kind) {
	case PARAMETER_U32:
		snprintf(text, size, is_hexadecimal(info) ? "0x%x" : "%u", *(const uint32_t *)place);
		break;
	case PARAMETER_BOOL:
		snprintf(text, size, "%s", *(const bool *)place ? "on" : "off");
		break;
	case PARAMETER_WAITS:
		print_waits(place, text, size);
		break;
	}
}

int parameters_check(const struct parameters *p, char error[static 256])
{
	if (p->SS_SIP_SESSION_TTL < p->RW_SIP_MIN_SE) {
		snprintf(error, 256, "SS_SIP_SESSION_TTL: %u is not allowed: RW_SIP_MIN_SE (%u)..86400 s",
			 p->SS_SIP_SESSION_TTL, p->RW_SIP_MIN_SE);
		return -ERANGE;
	}
	return 0;
}
