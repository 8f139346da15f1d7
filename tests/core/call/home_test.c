/* The home of a gateway, note by note: one shard of three, and a test that speaks for the other two. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/call/home.h"

#define SHARDS    3
#define POSTS_MAX 64
#define SECOND    UINT64_C(1000000000)

struct posted {
	unsigned to;
	struct note note;
};

struct stand {
	struct shard *shard;
	struct shard_stats stats;
	struct tally *books[SHARDS];
	struct quality_book *qualities[SHARDS];
	struct config *configs[2];
	unsigned config_count;
	uint32_t id;
	unsigned a, b; /* the other shards */
	uint64_t now_ns;
	struct posted posts[POSTS_MAX];
	unsigned posted, read;
};

static void post(void *context, unsigned to, const struct note *note)
{
	struct stand *t = context;
	cr_assert_lt(t->posted, POSTS_MAX);
	t->posts[t->posted++] = (struct posted){ to, *note };
}

static void say(void *context, int level, const char *line)
{
	(void)context;
	(void)level;
	(void)line;
}

static struct config *load(struct stand *t, const char *limits)
{
	char path[] = "/tmp/ringwheel-home-XXXXXX", error[512];
	int fd = mkstemp(path);
	dprintf(fd,
		"listen \"main\" { address = \"10.0.0.1\" }\nmapping_gateway \"mg\" { address = \"10.1.0.1\" %s }\n",
		limits);
	close(fd);
	int result = config_load(path, &t->configs[t->config_count], error);
	unlink(path);
	cr_assert_eq(result, 0, "%s", error);
	return t->configs[t->config_count++];
}

static void begin(struct stand *t, const char *limits)
{
	static const uint8_t secret[32];
	*t = (struct stand){ .now_ns = 100 * SECOND };
	const struct config *config = load(t, limits);
	t->id = gateway_id(GATEWAY_MAPPING, "mg");
	for (unsigned i = 0; i < SHARDS; i++) {
		t->books[i] = tally_reserve();
		t->qualities[i] = quality_reserve();
	}
	unsigned home = t->id % SHARDS;
	t->a = (home + 1) % SHARDS;
	t->b = (home + 2) % SHARDS;
	struct shard_settings settings = {
		.config = config,
		.edge = { .context = t, .post = post, .log = say },
		.stats = &t->stats,
		.tallies = { t->books, SHARDS },
		.qualities = { t->qualities, SHARDS },
		.secret = secret,
		.shard = (uint16_t)home,
		.shard_count = SHARDS,
		.calls_max = 16,
		.now_ns = t->now_ns,
	};
	cr_assert_eq(shard_create(&settings, &t->shard), 0);
}

static void end(struct stand *t)
{
	cr_assert_eq(t->read, t->posted, "a note that nobody expected");
	shard_check(t->shard);
	shard_destroy(t->shard);
	for (unsigned i = 0; i < SHARDS; i++) {
		tally_release(t->books[i]);
		quality_release(t->qualities[i]);
	}
	for (unsigned i = 0; i < t->config_count; i++)
		config_free(t->configs[i]);
}

static void ask(struct stand *t, unsigned from, unsigned calls)
{
	struct limit_ask asked = { .gateway_id = t->id, .calls = (uint16_t)calls, .with_lines = true };
	struct note note = limit_ask_note(from, &asked);
	shard_note(t->shard, t->now_ns, &note);
}

static void give_back(struct stand *t, enum note_kind kind, unsigned from, unsigned lines, unsigned starts,
		      uint64_t second_ends_ns)
{
	struct limit_return back = { t->id, lines, starts, second_ends_ns };
	struct note note = limit_return_note(kind, from, &back);
	shard_note(t->shard, t->now_ns, &note);
}

static void turn(struct stand *t)
{
	shard_advance(t->shard, t->now_ns, 100);
}

static const struct note *next_note(struct stand *t, unsigned to, enum note_kind kind)
{
	cr_assert_lt(t->read, t->posted, "no note");
	const struct posted *posted = &t->posts[t->read++];
	cr_assert_eq(posted->to, to);
	cr_assert_eq(posted->note.kind, kind);
	return &posted->note;
}

static struct limit_answer next_answer(struct stand *t, unsigned to)
{
	return limit_answer_of(next_note(t, to, NOTE_ANSWER));
}

#define assert_answer(t, to, g, r, l)                                                                                  \
	do {                                                                                                           \
		struct limit_answer got = next_answer((t), (to));                                                      \
		cr_assert_eq(got.granted, (g), "%u granted", got.granted);                                             \
		cr_assert_eq(got.refused, (r), "%u refused", got.refused);                                             \
		cr_assert_eq(got.lent, (l), "%u lent", got.lent);                                                      \
	} while (0)

#define assert_silence(t) cr_assert_eq((t)->read, (t)->posted, "it said something")

Test(home, lends_nothing_of_a_small_capacity)
{
	struct stand t;
	begin(&t, "capacity = 12");
	ask(&t, t.a, 1);
	assert_answer(&t, t.a, 1, 0, 0);
	ask(&t, t.b, 3);
	assert_answer(&t, t.b, 3, 0, 0);
	cr_assert_eq(home_of(t.shard, t.id)->out, 4);
	end(&t);
}

/* A twelfth of it, or a sixth of what is left. */
Test(home, lends_of_a_large_capacity_while_there_is_plenty)
{
	struct stand t;
	begin(&t, "capacity = 48");
	ask(&t, t.a, 1);
	assert_answer(&t, t.a, 1, 0, 4);
	ask(&t, t.b, 30);
	assert_answer(&t, t.b, 30, 0, 2);
	ask(&t, t.b, 11);
	assert_answer(&t, t.b, 11, 0, 0);
	cr_assert_eq(home_of(t.shard, t.id)->out, 48);
	end(&t);
}

/* Nobody is refused before what lies in the mailboxes has been read: the line of a call whose end its caller has seen
 * may be there. */
Test(home, reads_its_notes_before_it_refuses)
{
	struct stand t;
	begin(&t, "capacity = 1");
	ask(&t, t.a, 1);
	assert_answer(&t, t.a, 1, 0, 0);
	ask(&t, t.b, 1);
	turn(&t);
	assert_silence(&t);
	cr_assert_leq(shard_next_ns(t.shard), t.now_ns); /* the worker goes on at once */
	give_back(&t, NOTE_GIVEN_BACK, t.a, 1, 0, 0);
	assert_answer(&t, t.b, 1, 0, 0);
	ask(&t, t.a, 2);
	turn(&t);
	assert_silence(&t);
	turn(&t);
	assert_answer(&t, t.a, 0, 2, 0);
	end(&t);
}

Test(home, recalls_before_it_refuses)
{
	struct stand t;
	begin(&t, "capacity = 24");
	ask(&t, t.a, 1);
	assert_answer(&t, t.a, 1, 0, 2);
	ask(&t, t.b, 23);
	assert_answer(&t, t.b, 21, 0, 0); /* what is there, at once */
	next_note(&t, t.a, NOTE_RECALL);
	turn(&t);
	turn(&t);
	assert_silence(&t);
	give_back(&t, NOTE_RECALLED, t.a, 1, 0, 0);
	assert_answer(&t, t.b, 1, 0, 0);
	turn(&t);
	turn(&t);
	assert_answer(&t, t.b, 0, 1, 0);
	ask(&t, t.b, 1); /* nothing is lent any more: nobody is asked */
	turn(&t);
	turn(&t);
	assert_answer(&t, t.b, 0, 1, 0);
	end(&t);
}

/* What it has asked back it does not lend anew: the two notes would cross. */
Test(home, lends_nothing_to_a_shard_that_is_giving_back)
{
	struct stand t;
	begin(&t, "capacity = 24");
	ask(&t, t.a, 1);
	assert_answer(&t, t.a, 1, 0, 2);
	ask(&t, t.b, 22);
	assert_answer(&t, t.b, 21, 0, 0);
	next_note(&t, t.a, NOTE_RECALL);
	give_back(&t, NOTE_GIVEN_BACK, t.b, 20, 0, 0);
	assert_answer(&t, t.b, 1, 0, 2);
	ask(&t, t.a, 1);
	assert_answer(&t, t.a, 1, 0, 0);
	give_back(&t, NOTE_RECALLED, t.a, 2, 0, 0);
	ask(&t, t.a, 1);
	assert_answer(&t, t.a, 1, 0, 2);
	end(&t);
}

/* The starts of a second come back in that second only. */
Test(home, takes_back_starts_of_the_second_under_way)
{
	struct stand t;
	begin(&t, "rate_limit = 2");
	ask(&t, t.a, 2);
	struct limit_answer answer = next_answer(&t, t.a);
	cr_assert_eq(answer.granted, 2);
	cr_assert_eq(answer.second_ends_ns, t.now_ns + SECOND);
	ask(&t, t.b, 1);
	give_back(&t, NOTE_GIVEN_BACK, t.a, 0, 1, answer.second_ends_ns);
	assert_answer(&t, t.b, 1, 0, 0);
	t.now_ns += SECOND;
	ask(&t, t.a, 2); /* another second */
	assert_answer(&t, t.a, 2, 0, 0);
	give_back(&t, NOTE_GIVEN_BACK, t.b, 0, 1, answer.second_ends_ns);
	ask(&t, t.b, 1);
	turn(&t);
	turn(&t);
	answer = next_answer(&t, t.b);
	cr_assert(answer.refused == 1 && answer.by_rate);
	end(&t);
}

/* A capacity that is new: all shards say first what calls they have up. */
Test(home, answers_when_all_have_come_to_a_new_capacity)
{
	struct stand t;
	begin(&t, "");
	const struct config *config = load(&t, "capacity = 5");
	struct note configured = { .kind = NOTE_CONFIGURED, .from = t.a, .a = config->generation };
	shard_configure(t.shard, config);
	next_note(&t, 0 == t.shard->shard ? 1 : 0, NOTE_CONFIGURED);
	next_note(&t, 2 == t.shard->shard ? 1 : 2, NOTE_CONFIGURED);
	give_back(&t, NOTE_REGISTER, t.a, 3, 0, 0);
	shard_note(t.shard, t.now_ns, &configured);
	ask(&t, t.a, 3);
	turn(&t);
	turn(&t);
	assert_silence(&t);
	give_back(&t, NOTE_REGISTER, t.b, 1, 0, 0);
	configured.from = t.b;
	shard_note(t.shard, t.now_ns, &configured);
	assert_answer(&t, t.a, 1, 0, 0);
	turn(&t);
	turn(&t);
	assert_answer(&t, t.a, 0, 2, 0);
	end(&t);
}
