/* Number rewriting rules.  Spec 7. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "core/config/rewrite.h"

static struct rewrite_rules *build(const char *const *rules, uint32_t count)
{
	struct rewrite_rules *built = NULL;
	uint32_t bad = 0;
	char error[160];
	cr_assert_eq(rewrite_build(rules, count, &built, &bad, error), 0, "rule %u: %s", bad, error);
	return built;
}

#define RULES(...)                                                                                                     \
	build((const char *const[]){ __VA_ARGS__ }, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(const char *))

static struct bytes apply(const struct rewrite_rules *rules, struct bytes number)
{
	static char out[REWRITE_NUMBER_MAX];
	struct rewrite_room *room = rewrite_room_create();
	cr_assert(room);
	struct bytes result = rewrite_apply(rules, room, number, out);
	rewrite_room_free(room);
	return result;
}

static void assert_becomes(const struct rewrite_rules *rules, const char *number, const char *wanted)
{
	struct bytes result = apply(rules, bytes_of(number));
	cr_assert(bytes_equal(result, bytes_of(wanted)), "%s became %.*s, not %s", number, (int)result.size, result.at,
		  wanted);
}

static void assert_one(const char *rule, const char *number, const char *wanted)
{
	struct rewrite_rules *rules = RULES(rule);
	assert_becomes(rules, number, wanted);
	rewrite_free(rules);
}

static void assert_refused(const char *rule, const char *part)
{
	const char *const list[] = { "1 -> 2", rule };
	struct rewrite_rules *built = (void *)&built;
	uint32_t bad = 7;
	char error[160];
	cr_assert_eq(rewrite_build(list, 2, &built, &bad, error), -EINVAL, "%s was taken", rule);
	cr_assert_eq(bad, 1);
	cr_assert_eq((void *)built, (void *)&built, "written although it failed");
	cr_assert(strstr(error, part), "%s: \"%s\" does not say \"%s\"", rule, error, part);
}

Test(rewrite, the_examples_of_the_specification)
{
	struct rewrite_rules *rules = RULES("00 ->", "0 -> 44", "^(\\d{10})$ -> 1\\1");
	assert_becomes(rules, "004930123", "4930123");
	assert_becomes(rules, "020123", "4420123");
	assert_becomes(rules, "3035551111", "13035551111");
	assert_becomes(rules, "30355511112", "30355511112");
	assert_becomes(rules, "", "");
	rewrite_free(rules);
}

/* In order, the first that fits, and no further one on its result. */
Test(rewrite, the_first_fitting_rule_is_the_only_one)
{
	struct rewrite_rules *rules = RULES("0 -> 1", "00 -> 2", "1 -> 3", "44 -> 44", "-> 9");
	assert_becomes(rules, "005", "105");
	assert_becomes(rules, "15", "35");
	assert_becomes(rules, "445", "445");
	assert_becomes(rules, "55", "955");
	rewrite_free(rules);
}

Test(rewrite, either_side_may_be_empty_and_blanks_do_not_count)
{
	assert_one("->", "123", "123");
	assert_one(" \t-> \t", "123", "123");
	assert_one("->99#", "123", "99#123");
	assert_one("-> 99", "", "99");
	assert_one("12->", "123", "3");
	assert_one("  12  ->  3  ", "123", "33");
	assert_one("123 ->", "123", "");
	assert_one("1234 -> 5", "123", "123");
	assert_one("+ ->", "+49", "49");
	assert_one("-> +", "49", "+49");
	assert_one("Anonymous -> 0", "Anonymous", "0");
}

Test(rewrite, a_pattern_replaces_what_it_matches)
{
	assert_one("^00(49|43)(\\d+) -> \\2*\\1", "0049301", "301*49");
	assert_one("^00 -> ", "0049", "49"); /* what follows the match stays */
	assert_one("^ -> 99", "123", "99123");
	assert_one("^$ -> 0", "", "0");
	assert_one("^\\+?0*([1-9]\\d*)$ -> \\1", "+00123", "123");
}

Test(rewrite, groups)
{
	assert_one("^(\\d)(\\d)(\\d)(\\d)(\\d)(\\d)(\\d)(\\d)(\\d)$ -> \\9\\8\\7\\6\\5\\4\\3\\2\\1", "123456789",
		   "987654321");
	assert_one("^12$ -> \\0\\0", "12", "1212");
	assert_one("^(\\d)(\\d)(\\d)(\\d)(\\d)(\\d)(\\d)(\\d)(\\d)(\\d)(\\d)(\\d)$ -> \\9\\1", "123456789012", "91");
	assert_one("^(1)|(2) -> a\\1b\\2", "2", "ab2"); /* a group without part in the match is empty */
	assert_one("^1(0)?(2) -> [\\1\\2]", "12", "[2]");
	assert_one("^(?<area>\\d{2})(?:0)(\\d+) -> \\1\\2", "4905", "495");
}

/* "^a|b" would find b anywhere, but a rule is about how a number begins. */
Test(rewrite, a_pattern_is_matched_at_the_beginning_only)
{
	assert_one("^1|2 -> 9", "32", "32");
	assert_one("^1|2 -> 9", "23", "93");
	assert_one("^12\\K3 -> 4", "1235", "1245");
}

/* The last arrow is the one: a pattern may have some of its own. */
Test(rewrite, the_last_arrow_divides)
{
	assert_one("^(?>0+)[+->]?(\\d)->\\1", "00>5", "5");
}

Test(rewrite, rules_that_cannot_be_read_say_why)
{
	assert_refused("", "FROM -> TO");
	assert_refused("00", "FROM -> TO");
	assert_refused("00 > 49", "FROM -> TO");
	assert_refused("0 0 -> 49", "a blank before ->");
	assert_refused("00 -> 4 9", "a blank behind ->");
	assert_refused("00 -> 49@", "'@' behind ->");
	assert_refused("a@b -> 49", "'@' before ->");
	assert_refused("00 -> 49\x01", "special character behind ->");
	assert_refused("00 -> \xc3\xa9", "special character behind ->");
	assert_refused("(\\d) -> 1", "begins with ^");
	assert_refused("0 -> \\0", "begins with ^");
	assert_refused("^(\\d -> 1", "missing closing parenthesis");
	assert_refused("^\\d{3} -> <", "'<' behind ->");
	assert_refused("^\\d -> \\1", "the pattern has 0 groups");
	assert_refused("^(\\d) -> \\1\\2", "\\2 behind ->, but the pattern has 1 group");
	assert_refused("^(\\d) -> \\a", "behind ->");
	assert_refused("^(\\d) -> \\", "behind ->");
	assert_refused("^((((\\d{1,60}){1,60}){1,60}){1,60}){1,60} -> 1", "too large");
}

Test(rewrite, how_many_rules)
{
	const char *list[REWRITE_RULES_MAX + 1];
	for (unsigned i = 0; i <= REWRITE_RULES_MAX; i++)
		list[i] = i == REWRITE_RULES_MAX - 1 ? "5 -> 6" : "1 -> 2";
	struct rewrite_rules *rules = build(list, REWRITE_RULES_MAX), *more = NULL;
	uint32_t bad;
	char error[160];
	cr_assert_eq(rewrite_count(rules), REWRITE_RULES_MAX);
	cr_assert_str_eq(rewrite_text(rules, REWRITE_RULES_MAX - 1), "5 -> 6");
	assert_becomes(rules, "55", "65");
	rewrite_free(rules);
	cr_assert_eq(rewrite_build(list, REWRITE_RULES_MAX + 1, &more, &bad, error), -EINVAL);
	cr_assert_eq(bad, REWRITE_RULES_MAX);
	cr_assert(strstr(error, "more than 256"), "%s", error);
}

Test(rewrite, no_rules)
{
	struct rewrite_rules *rules = build(NULL, 0);
	char out[REWRITE_NUMBER_MAX];
	cr_assert_null(rules);
	cr_assert_eq(rewrite_count(NULL), 0);
	cr_assert(bytes_equal(rewrite_apply(NULL, NULL, BYTES("12"), out), BYTES("12")));
	rewrite_free(NULL);
	rewrite_room_free(NULL);
}

Test(rewrite, the_text_stays_as_it_was_written)
{
	char text[] = "  00->  49 ";
	const char *const list[] = { text };
	struct rewrite_rules *rules = build(list, 1);
	memset(text, 'x', sizeof text - 1); /* it is a copy */
	cr_assert_str_eq(rewrite_text(rules, 0), "  00->  49 ");
	assert_becomes(rules, "001", "491");
	rewrite_free(rules);
}

/* 128 characters are a number, one more is none: it stays as it was, and no later rule is asked. */
Test(rewrite, what_would_be_too_long_stays_as_it_was)
{
	char number[REWRITE_NUMBER_MAX + 1];
	for (unsigned pattern = 0; pattern < 2; pattern++) {
		struct rewrite_rules *rules = RULES(pattern ? "^1 -> \\0\\0" : "1 -> 11", "-> 2");
		memset(number, '1', sizeof number);
		struct bytes whole = { number, REWRITE_NUMBER_MAX }, result = apply(rules, whole);
		cr_assert_eq(result.at, number);
		cr_assert_eq(result.size, REWRITE_NUMBER_MAX);
		whole.size--;
		result = apply(rules, whole);
		cr_assert_neq(result.at, number);
		cr_assert_eq(result.size, REWRITE_NUMBER_MAX);
		rewrite_free(rules);
	}
	struct rewrite_rules *rules = RULES("^(1+)$ -> \\1\\1\\1\\1\\1\\1\\1\\1\\1");
	struct bytes whole = { number, 100 };
	cr_assert_eq(apply(rules, whole).at, number);
	rewrite_free(rules);
}

static uint64_t thread_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Each of these would take longer than anybody waits. */
#define ENDLESS                                                                                                        \
	"^(\\d+)+x -> 1", "^(\\d*)*(\\d*)*5x -> 1", "^\\d*\\d*\\d*\\d*\\d*\\d*\\d*5x -> 1", "^(a|\\d|\\d\\d)*x -> 1",  \
		"^(?=(\\d+))(?:(?1)*)*x -> 1", "^(?R)?\\dx -> 1", "^(.)*(.)*(.)*(.)*x5 -> 1"

Test(rewrite, a_pattern_without_end_is_given_up)
{
	static const char *const endless[] = { ENDLESS };
	char number[REWRITE_NUMBER_MAX], out[REWRITE_NUMBER_MAX];
	memset(number, '5', sizeof number);
	number[sizeof number - 2] = 'q';
	number[sizeof number - 1] = 'x';
	for (unsigned i = 0; i < sizeof endless / sizeof *endless; i++) {
		struct rewrite_rules *rules = RULES(endless[i], "5 -> 6");
		struct rewrite_room *room = rewrite_room_create();
		uint64_t began_ns = thread_ns();
		struct bytes result = rewrite_apply(rules, room, (struct bytes){ number, sizeof number }, out);
		uint64_t took_ns = thread_ns() - began_ns;
		cr_assert_eq(rewrite_given_up(room), 1, "%s", endless[i]);
		cr_assert(result.at == out && out[0] == '6', "%s: the next rule",
			  endless[i]); /* as one that does not fit */
		cr_assert_lt(took_ns, 20000000, "%s: %llu ns", endless[i], (unsigned long long)took_ns);
		rewrite_room_free(room);
		rewrite_free(rules);
	}
}

/* However many there are. */
Test(rewrite, after_four_of_them_the_number_stays_as_it_is)
{
	char number[REWRITE_NUMBER_MAX], out[REWRITE_NUMBER_MAX];
	memset(number, '5', sizeof number);
	struct rewrite_rules *rules = RULES("^(\\d+)+q -> 1", "^(\\d+)+q -> 1", "^(\\d+)+[qx] -> 1", ENDLESS, "5 -> 6");
	struct rewrite_rules *three = RULES("^(\\d+)+[q] -> 1", "^(\\d+)+[xq] -> 1", "^(\\d+)+[qx] -> 1", "5 -> 6");
	struct rewrite_room *room = rewrite_room_create();
	number[sizeof number - 2] = 'y';
	number[sizeof number - 1] = 'x';
	for (unsigned i = 1; i <= 2; i++) { /* each number anew */
		struct bytes whole = { number, sizeof number };
		cr_assert_eq(rewrite_apply(rules, room, whole, out).at, number);
		cr_assert_eq(rewrite_given_up(room), i * REWRITE_GIVEN_UP_MAX);
	}
	cr_assert_eq(rewrite_apply(three, room, (struct bytes){ number, sizeof number }, out).at, out);
	cr_assert_eq(out[0], '6');
	rewrite_room_free(room);
	rewrite_free(rules);
	rewrite_free(three);
}

/* A long list of prefixes in one pattern is no such thing. */
Test(rewrite, a_thousand_alternatives_are_not_given_up)
{
	static char pattern[16384];
	int size = snprintf(pattern, sizeof pattern, "^(?:");
	for (unsigned i = 0; i < 1000; i++)
		size += snprintf(pattern + size, sizeof pattern - (size_t)size, "%s%u", i ? "|" : "", 880000 + 7 * i);
	snprintf(pattern + size, sizeof pattern - (size_t)size, ")(\\d+)$ -> \\1");
	assert_one(pattern, "8869935551234", "5551234");
	assert_one(pattern, "8869945551234", "8869945551234");
}

/* ---- prefix rules against the same said in another way ---- */

static uint64_t state;

static unsigned below(unsigned n)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (unsigned)((z ^ z >> 31) % n);
}

/* Few different characters, so that prefixes fit often. */
static void random_text(char *text, unsigned max)
{
	unsigned size = below(max + 1);
	for (unsigned i = 0; i < size; i++)
		text[i] = "01+*"[below(4)];
	text[size] = '\0';
}

static void model(char from[][8], char to[][8], unsigned count, const char *number, char *wanted)
{
	strcpy(wanted, number);
	for (unsigned i = 0; i < count; i++)
		if (strncmp(number, from[i], strlen(from[i])) == 0) {
			sprintf(wanted, "%s%s", to[i], number + strlen(from[i]));
			return;
		}
}

Test(rewrite, prefix_rules_do_what_they_say)
{
	struct rewrite_room *room = rewrite_room_create();
	for (state = 1; state < 3000; state++) {
		uint64_t seed = state;
		char from[6][8], to[6][8], plain[6][32], pattern[6][40], number[12], wanted[32];
		char out[REWRITE_NUMBER_MAX], out_pattern[REWRITE_NUMBER_MAX];
		const char *plains[6], *patterns[6];
		unsigned count = below(6) + 1;
		for (unsigned i = 0; i < count; i++) {
			random_text(from[i], 4);
			random_text(to[i], 4);
			snprintf(plain[i], sizeof plain[i], "%.7s%s->%s%.7s", from[i], below(2) ? " " : "",
				 below(2) ? " " : "", to[i]);
			snprintf(pattern[i], sizeof pattern[i], "^\\Q%.7s\\E -> %.7s", from[i], to[i]);
			plains[i] = plain[i];
			patterns[i] = pattern[i];
		}
		struct rewrite_rules *rules = build(plains, count), *same = build(patterns, count);
		for (unsigned n = 0; n < 8; n++) {
			random_text(number, 9);
			model(from, to, count, number, wanted);
			struct bytes result = rewrite_apply(rules, room, bytes_of(number), out);
			struct bytes other = rewrite_apply(same, room, bytes_of(number), out_pattern);
			cr_assert(bytes_equal(result, bytes_of(wanted)), "seed %llu: %s became %.*s, not %s",
				  (unsigned long long)seed, number, (int)result.size, result.at, wanted);
			cr_assert(bytes_equal(result, other), "seed %llu: %s as pattern: %.*s",
				  (unsigned long long)seed, number, (int)other.size, other.at);
		}
		rewrite_free(rules);
		rewrite_free(same);
		state = seed;
	}
	rewrite_room_free(room);
}
