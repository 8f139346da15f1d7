/* See rewrite.h. */
#include "core/config/rewrite.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <assert.h>
#include <errno.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

/* Steps of one match (PCRE2 counts them its own way, the JIT by the ways it goes back): numbers are short, so a pattern
 * that means something needs some dozens.  The interpreter, where there is no JIT, keeps its state in the room. */
#define STEPS_MAX    5000u
#define HEAP_MAX_KIB 256u
#define GROUPS       10 /* \0 to \9 */

struct rule {
	char *text; /* as it was written; the two sides are views into it */
	struct bytes from, to;
	pcre2_code *pattern; /* NULL: `from` is a prefix */
};

struct rewrite_rules {
	uint32_t count;
	struct rule rules[];
};

struct rewrite_room {
	pcre2_match_data *match;
	pcre2_match_context *limits;
	uint64_t given_up;
};

/* ---- reading ---- */

static struct bytes trim(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	while (at < end && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return (struct bytes){ at, (uint32_t)(end - at) };
}

/* The last one: what stands behind it can have no '>'. */
static const char *find_arrow(const char *text)
{
	const char *arrow = NULL;
	for (const char *at = text; (at = strstr(at, "->")); at++)
		arrow = at;
	return arrow;
}

static int refuse_character(char c, const char *where, char error[static 160])
{
	if (c == '\\')
		snprintf(error, 160,
			 "'\\' %s: only a rule that begins with ^ is a pattern, and what replaces its "
			 "match can have \\0 to \\9",
			 where);
	else if (c > ' ' && c < 0x7f)
		snprintf(error, 160, "'%c' %s: a number cannot have that", c, where);
	else
		snprintf(error, 160, "a %s %s: a number cannot have that", c == ' ' ? "blank" : "special character",
			 where);
	return -EINVAL;
}

static int check_characters(struct bytes text, const char *where, char error[static 160])
{
	for (uint32_t i = 0; i < text.size; i++)
		if (text.at[i] <= ' ' || text.at[i] >= 0x7f || strchr("\"%<>:@\\", text.at[i]))
			return refuse_character(text.at[i], where, error);
	return 0;
}

static bool is_group(struct bytes to, uint32_t i)
{
	return to.at[i] == '\\' && i + 1 < to.size && to.at[i + 1] >= '0' && to.at[i + 1] <= '9';
}

/* The groups that the replacement names are there, all else in it are characters of a number. */
static int check_replacement(const struct rule *rule, char error[static 160])
{
	uint32_t groups = 0;
	pcre2_pattern_info(rule->pattern, PCRE2_INFO_CAPTURECOUNT, &groups);
	for (uint32_t i = 0; i < rule->to.size; i++) {
		if (!is_group(rule->to, i)) {
			int result = check_characters((struct bytes){ rule->to.at + i, 1 }, "behind ->", error);
			if (result < 0)
				return result;
			continue;
		}
		uint32_t group = (uint32_t)(rule->to.at[++i] - '0');
		if (group > groups) {
			snprintf(error, 160, "\\%u behind ->, but the pattern has %u group%s", group, groups,
				 groups == 1 ? "" : "s");
			return -EINVAL;
		}
	}
	return 0;
}

static int compile(struct rule *rule, char error[static 160])
{
	int code;
	size_t at;
	rule->pattern = pcre2_compile((PCRE2_SPTR)rule->from.at, rule->from.size,
				      PCRE2_ANCHORED | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF, &code, &at, NULL);
	if (!rule->pattern) {
		char reason[120] = "";
		pcre2_get_error_message(code, (PCRE2_UCHAR *)reason, sizeof reason);
		snprintf(error, 160, "the pattern is wrong behind %zu characters: %s", at, reason);
		return code == PCRE2_ERROR_HEAP_FAILED ? -ENOMEM : -EINVAL;
	}
	pcre2_jit_compile(rule->pattern, PCRE2_JIT_COMPLETE); /* where that is not to be had, it is interpreted */
	return check_replacement(rule, error);
}

static int read_rule(struct rule *rule, const char *text, char error[static 160])
{
	rule->text = strdup(text);
	if (!rule->text)
		return -ENOMEM;
	const char *arrow = find_arrow(rule->text);
	if (!arrow) {
		snprintf(error, 160, "a rule has the form \"FROM -> TO\"");
		return -EINVAL;
	}
	rule->from = trim(rule->text, arrow);
	rule->to = trim(arrow + 2, rule->text + strlen(rule->text));
	if (rule->from.size && rule->from.at[0] == '^')
		return compile(rule, error);
	int result = check_characters(rule->from, "before ->", error);
	return result < 0 ? result : check_characters(rule->to, "behind ->", error);
}

int rewrite_build(const char *const *rules, uint32_t count, struct rewrite_rules **ret_rules, uint32_t *ret_bad,
		  char error[static 160])
{
	int result = 0;
	error[0] = '\0';
	if (count > REWRITE_RULES_MAX) {
		*ret_bad = REWRITE_RULES_MAX;
		snprintf(error, 160, "more than %d rules", REWRITE_RULES_MAX);
		return -EINVAL;
	}
	struct rewrite_rules *built = NULL;
	if (count && !(built = calloc(1, sizeof *built + count * sizeof *built->rules)))
		return -ENOMEM;
	for (uint32_t i = 0; result == 0 && i < count; i++) {
		built->count++;
		*ret_bad = i;
		result = read_rule(&built->rules[i], rules[i], error);
	}
	if (result < 0)
		rewrite_free(built);
	else
		*ret_rules = built;
	return result;
}

void rewrite_free(struct rewrite_rules *rules)
{
	for (uint32_t i = 0; i < rewrite_count(rules); i++) {
		pcre2_code_free(rules->rules[i].pattern);
		free(rules->rules[i].text);
	}
	free(rules);
}

uint32_t rewrite_count(const struct rewrite_rules *rules)
{
	return rules ? rules->count : 0;
}

const char *rewrite_text(const struct rewrite_rules *rules, uint32_t i)
{
	assert(i < rewrite_count(rules));
	return rules->rules[i].text;
}

/* ---- rewriting ---- */

struct rewrite_room *rewrite_room_create(void)
{
	struct rewrite_room *room = calloc(1, sizeof *room);
	if (!room)
		return NULL;
	room->match = pcre2_match_data_create(GROUPS, NULL);
	room->limits = pcre2_match_context_create(NULL);
	if (!room->match || !room->limits) {
		rewrite_room_free(room);
		return NULL;
	}
	pcre2_set_match_limit(room->limits, STEPS_MAX);
	pcre2_set_depth_limit(room->limits, STEPS_MAX);
	pcre2_set_heap_limit(room->limits, HEAP_MAX_KIB);
	return room;
}

void rewrite_room_free(struct rewrite_room *room)
{
	if (!room)
		return;
	pcre2_match_data_free(room->match);
	pcre2_match_context_free(room->limits);
	free(room);
}

uint64_t rewrite_given_up(const struct rewrite_room *room)
{
	return room->given_up;
}

/* A number while it is written. */
struct written {
	char *room; /* REWRITE_NUMBER_MAX */
	uint32_t size;
	bool too_long;
};

static void add(struct written *w, const char *at, size_t size)
{
	if (size > REWRITE_NUMBER_MAX - w->size) {
		w->too_long = true;
	} else if (size) {
		memcpy(w->room + w->size, at, size);
		w->size += (uint32_t)size;
	}
}

static bool replace_prefix(const struct rule *rule, struct bytes number, struct written *w)
{
	struct bytes from = rule->from;
	if (from.size > number.size || (from.size && memcmp(number.at, from.at, from.size) != 0))
		return false;
	add(w, rule->to.at, rule->to.size);
	add(w, number.at + from.size, number.size - from.size);
	return true;
}

/* A group that took no part in the match is empty. */
static void add_group(struct written *w, struct bytes number, const size_t *bounds, unsigned matched, unsigned group)
{
	const size_t *bound = bounds + (size_t)2 * group;
	if (group < matched && bound[0] != PCRE2_UNSET)
		add(w, number.at + bound[0], bound[1] - bound[0]);
}

static bool replace_match(const struct rule *rule, struct rewrite_room *room, struct bytes number, struct written *w)
{
	int matched = pcre2_match(rule->pattern, (PCRE2_SPTR)number.at, number.size, 0, 0, room->match, room->limits);
	const size_t *bounds = pcre2_get_ovector_pointer(room->match);
	if (matched < 0) {
		room->given_up += matched != PCRE2_ERROR_NOMATCH;
		return false;
	}
	if (bounds[0] > bounds[1]) /* \K of a subroutine that looks ahead */
		return false;
	unsigned groups = matched ? (unsigned)matched : GROUPS; /* 0: there are more than can be named */
	add(w, number.at, bounds[0]);                           /* nothing but what \K keeps */
	for (uint32_t i = 0; i < rule->to.size; i++)
		if (is_group(rule->to, i))
			add_group(w, number, bounds, groups, (unsigned)(rule->to.at[++i] - '0'));
		else
			add(w, rule->to.at + i, 1);
	add(w, number.at + bounds[1], number.size - bounds[1]);
	return true;
}

struct bytes rewrite_apply(const struct rewrite_rules *rules, struct rewrite_room *room, struct bytes number,
			   char out[static REWRITE_NUMBER_MAX])
{
	if (!rules)
		return number;
	uint64_t given_up_before = room->given_up;
	if (!number.size)
		number.at = ""; /* never a null pointer */
	for (uint32_t i = 0; i < rewrite_count(rules) && room->given_up - given_up_before < REWRITE_GIVEN_UP_MAX; i++) {
		const struct rule *rule = &rules->rules[i];
		struct written w = { .room = out };
		if (rule->pattern ? replace_match(rule, room, number, &w) : replace_prefix(rule, number, &w))
			return w.too_long ? number : (struct bytes){ out, w.size };
	}
	return number;
}
