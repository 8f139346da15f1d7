/* Folded header lines: see fold.h. */
#include "sip/fold.h"

#include "sip/syntax.h"

static bool at_crlf(const char *at, const char *end)
{
	return end - at >= 2 && at[0] == '\r' && at[1] == '\n';
}

static bool at_fold(const char *at, const char *end)
{
	return at_crlf(at, end) && end - at >= 3 && sip_is(at[2], SIP_C_SPACE);
}

const char *sip_unfold_line(const char *at, const char *end, char **out, bool *ret_blank)
{
	char *start = *out, *to = start;

	while (at < end && (!at_crlf(at, end) || at_fold(at, end))) {
		if (!at_fold(at, end)) {
			*to++ = *at++;
			continue;
		}
		while (to > start && sip_is(to[-1], SIP_C_SPACE))
			to--;
		*to++ = ' ';
		at = sip_skip(at + 2, end, SIP_C_SPACE);
		*ret_blank |= at == end || at_crlf(at, end);
	}
	*out = to;
	return at;
}

const char *sip_next_line(const char *at, const char *end)
{
	if (!at_crlf(at, end) || at_crlf(at + 2, end))
		return NULL;
	return at + 2 < end ? at + 2 : NULL;
}

const char *sip_copy_start_line(const char *at, const char *end, char **out)
{
	while (at_crlf(at, end))
		at += 2;
	while (at < end && !at_crlf(at, end))
		*(*out)++ = *at++;
	return at;
}

bool sip_unfold(struct bytes text, char *room, struct bytes *ret_copy)
{
	const char *end = sip_end(text), *line;
	char *out = room;
	const char *at = sip_copy_start_line(text.at, end, &out);
	bool blank = false;

	while ((line = sip_next_line(at, end))) {
		*out++ = '\r';
		*out++ = '\n';
		at = sip_unfold_line(line, end, &out, &blank);
	}
	if (at < end) /* the end of the last line, the empty one and the body */
		memcpy(out, at, (size_t)(end - at));
	*ret_copy = (struct bytes){ room, (uint32_t)(out - room + (end - at)) };
	return !blank;
}
