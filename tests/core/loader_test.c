/* core/snapshot and core/loader: configurations change under threads that read them.  A plain program, so that it runs
 * under the sanitizers: the address sanitizer sees a reader with a configuration that was freed, the thread sanitizer
 * one that nothing orders before the free. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "billing/ledger.h"
#include "billing/tariff.h"
#include "core/loader.h"
#include "core/log.h"

enum { READERS = 3, RELOADS = 300 };

static char directory[] = "/tmp/ringwheel-loader-XXXXXX";
static char file[64], prefixes[64], silence[64], data[64], ledger[80], rates[64];
static struct snapshot snapshot;
static struct loader *loader;
static _Atomic bool over;
static _Atomic uint32_t seen[READERS]; /* the generation each reader has looked at last */

static void check(bool ok, const char *format, ...)
{
	va_list arguments;

	if (ok)
		return;
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, "\n");
	exit(1);
}

/* "%s" in the text is the prefix file. */
static void write_file(const char *text)
{
	FILE *out = fopen(file, "w");

	check(out != NULL, "cannot write %s", file);
	fprintf(out, text, prefixes);
	check(fclose(out) == 0, "cannot write %s", file);
}

#define BASE   "listen \"main\" { }\nmapping_gateway \"m\" { address = \"127.0.0.1\" }\n"
#define VENDOR "routing_gateway \"v\" { address = \"127.0.0.1:9\" prefix = {\"1\", \"22\"} }\n"

/* The account of a mapping gateway and a rate, which every configuration of many_changes_under_readers() has. */
static void look_at_tariff(const struct tariff *tariff)
{
	struct rate rate;

	check(tariff_account_count(tariff) >= 1, "no account");
	const struct account *account = tariff_account_at(tariff, 0);
	check(strcmp(account->name, "acme") == 0 && tariff_account(tariff, account->id) == account, "another account");
	check(tariff_rate(tariff, account->table, "4420", 4, 0, &rate) && rate.terms.rate_e8 > 0, "no rate");
}

/* Each looks at all that a call looks at, as long as it may, and sleeps now and then. */
static void *read_configurations(void *argument)
{
	_Atomic uint32_t *mine = argument;
	const struct routing_gateway *const *list;
	unsigned turn = 0;
	uint32_t length;

	snapshot_join();
	snapshot_enter();
	while (!atomic_load_explicit(&over, memory_order_relaxed)) {
		snapshot_pass();
		const struct config *config = snapshot_config(&snapshot);
		uint32_t generation = config->generation;

		check(generation >= atomic_load_explicit(mine, memory_order_relaxed), "an older configuration");
		for (unsigned i = 0; i < 50; i++)
			check(config_route_find(config, BYTES("221"), CONFIG_PREFIX_MAX + 1, &list, &length) == 1 &&
				      list[0]->name[0] == 'v',
			      "no route");
		look_at_tariff(config->tariff);
		check(config->generation == generation, "it changed under its reader");
		atomic_store_explicit(mine, generation, memory_order_relaxed);
		if (++turn % 16 == 0) {
			snapshot_leave();
			usleep(200);
			snapshot_enter();
		}
	}
	snapshot_quit();
	return NULL;
}

static struct change *take_back(void)
{
	struct pollfd p = { .fd = loader_fd(loader), .events = POLLIN };
	struct change *change;

	while (!(change = loader_done(loader)))
		check(poll(&p, 1, 20000) == 1, "a change did not come back");
	return change;
}

static void ask(struct change *change, enum change_kind kind)
{
	*change = (struct change){ .kind = kind };
	loader_give(loader, change);
	check(take_back() == change, "another change came back");
}

static void set(struct change *change, const char *name, const char *value)
{
	*change = (struct change){ .kind = CHANGE_PARAMETER };
	snprintf(change->name, sizeof change->name, "%s", name);
	snprintf(change->value, sizeof change->value, "%s", value);
	loader_give(loader, change);
	check(take_back() == change, "another change came back");
}

static const struct config *now(void)
{
	return snapshot_config(&snapshot); /* nothing is under way: it stays */
}

static void a_reload_tells_what_it_brought(void)
{
	struct change c;

	write_file(
		BASE
		"routing_gateway \"v\" { address = \"127.0.0.1:9\" prefix = {\"1\", \"22\"} prefix_file = \"%s\" }\n");
	FILE *out = fopen(prefixes, "w");
	fputs("33\n44\n", out);
	fclose(out);
	ask(&c, CHANGE_RELOAD);
	check(c.result == 0, "refused: %s", c.error);
	check(c.mapping_gateways == 1 && c.routing_gateways == 1 && c.prefixes == 4, "wrong counts");
	check(c.generation == now()->generation && c.warnings == NULL, "wrong generation, or warnings");
	write_file(BASE VENDOR "parameters { RW_SIP_MIN_SE = 30 }\n");
	ask(&c, CHANGE_RELOAD);
	check(c.result == 0 && c.warnings && strstr(c.warnings, "RW_SIP_MIN_SE is 30"), "no warning");
	free(c.warnings);
}

/* All or nothing: each kind of wrong file leaves the configuration in force as it is. */
static void what_is_wrong_is_refused(void)
{
	static const struct {
		const char *text, *words;
	} wrong[] = {
		{ BASE "nonsense = 1\n", ":3: " },
		{ BASE "mapping_gateway \"n\" { address = \"127.0.0.1\" }\n", ":3: address: " },
		{ BASE "routing_gateway \"v\" {\naddress = \"300.0.0.1\" }\n", ":4: address: " },
		{ BASE "parameters {\nRW_SIP_T1 = 5 }\n", ":4: RW_SIP_T1: " },
		{ BASE "routing_gateway \"v\" { address = \"127.0.0.1:9\" prefix_file = \"none.txt\" }\n",
		  ":3: prefix_file: " },
		{ BASE "routing_gateway \"v\" {", "ringwheel.conf:" },
		{ BASE "workers = 3\n", "ringwheel.conf: workers: only a restart can change it" },
		{ "listen \"main\" { port = 5070 }\n", "listen \"main\": only a restart" },
	};
	const struct config *before = now();
	struct change c;

	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		write_file(wrong[i].text);
		ask(&c, CHANGE_RELOAD);
		check(c.result < 0 && strstr(c.error, wrong[i].words), "case %zu: %d, %s", i, c.result, c.error);
		check(now() == before, "case %zu changed it", i);
	}
	unlink(file);
	ask(&c, CHANGE_RELOAD);
	check(c.result == -ENOENT && now() == before, "no file: %d, %s", c.result, c.error);
	write_file(BASE VENDOR);
}

/* parameters.set; and a reload brings the file's values back. */
static void a_parameter_is_set_until_the_next_reload(void)
{
	struct change c;

	ask(&c, CHANGE_RELOAD);
	set(&c, "SS_SIP_SESSION_TTL", "0x384");
	check(c.result == 0 && strcmp(c.was, "600") == 0 && strcmp(c.value, "900") == 0, "%s: %s", c.value, c.error);
	check(now()->parameters.SS_SIP_SESSION_TTL == 900 && now()->generation == c.generation, "not in force");
	set(&c, "SS_SIP_SESSION_TTL", "1");
	check(c.result == -ERANGE && strstr(c.error, "RW_SIP_MIN_SE (90)"), "%d %s", c.result, c.error);
	set(&c, "SS_NO_SUCH", "1");
	check(c.result == -ENOENT, "%d", c.result);
	check(now()->parameters.SS_SIP_SESSION_TTL == 900, "not in force any more");
	ask(&c, CHANGE_RELOAD);
	check(now()->parameters.SS_SIP_SESSION_TTL == 600, "the file's value is not back");
}

/* ---- orders ---- */

static void order(struct change *change, enum order_kind kind, const char *name)
{
	change->kind = CHANGE_ORDER;
	change->order.kind = kind;
	snprintf(change->order.account.name, sizeof change->order.account.name, "%s", name);
	loader_give(loader, change);
	check(take_back() == change, "another change came back");
}

static void import(struct change *change, const char *text)
{
	FILE *out = fopen(rates, "w");

	check(out != NULL, "cannot write %s", rates);
	fputs(text, out);
	fclose(out);
	*change = (struct change){ 0 };
	snprintf(change->order.table, sizeof change->order.table, "t");
	snprintf(change->order.file, sizeof change->order.file, "%s", rates);
	order(change, ORDER_RATES_IMPORT, "");
}

static void lock(struct change *change, bool locked)
{
	*change = (struct change){ .order.account = { .given = ACCOUNT_LOCKED, .locked = locked } };
	order(change, ORDER_ACCOUNT_SET, "acme");
	check(change->result == 0, "%s", change->error);
}

/* What is done in the database is in force when the change comes back. */
static void orders_change_accounts_and_rates(void)
{
	struct change c;
	struct rate rate;

	check(tariff_account_count(now()->tariff) == 0, "an account of nowhere");
	import(&c, "prefix,rate_per_minute\n44,1\n");
	check(c.result == 0 && c.outcome.rows == 1, "%s", c.error);
	c = (struct change){ .order.account = { .given = ACCOUNT_TABLE, .table = "t" } };
	order(&c, ORDER_ACCOUNT_ADD, "acme");
	check(c.result == 0 && c.generation == now()->generation && c.credit_account == 0, "%s", c.error);
	look_at_tariff(now()->tariff);
	lock(&c, true);
	check(tariff_account_at(now()->tariff, 0)->locked, "not locked");
	import(&c, "prefix,rate_per_minute\n44,2\n");
	look_at_tariff(now()->tariff);
	check(tariff_rate(now()->tariff, 0, "44", 2, 0, &rate) && rate.terms.rate_e8 == 200000000, "the old rate");
	set(&c, "SS_SIP_SESSION_TTL", "900");
	look_at_tariff(now()->tariff);
	ask(&c, CHANGE_RELOAD);
	look_at_tariff(now()->tariff);
}

static void what_cannot_be_done_changes_nothing(void)
{
	const struct config *before = now();
	struct change c;

	import(&c, "prefix,rate_per_minute\nx,1\n");
	check(c.result == -EINVAL && c.outcome.faults == 1 && strstr(c.outcome.text, "line 2: "), "%s", c.error);
	free(c.outcome.text);
	c = (struct change){ 0 };
	order(&c, ORDER_ACCOUNT_ADD, "acme");
	check(c.result == -EEXIST && strstr(c.error, "already"), "%s", c.error);
	check(now() == before, "another configuration");
}

/* Whoever has the account's credit is told of its movement; one that no shard has seen will be found with it. */
static void a_topup_names_the_account_that_the_shards_know(void)
{
	const struct config *before = now();
	struct account_order by_hand = { .name = "zeta" };
	struct change c = { .order.amount_e8 = 5 };
	char error[DATABASE_ERROR_BYTES];

	order(&c, ORDER_ACCOUNT_TOPUP, "acme");
	check(c.result == 0 && c.outcome.balance_e8 == 5 && c.outcome.moved_e8 == 5, "%s", c.error);
	check(c.credit_account == tariff_account_at(now()->tariff, 0)->id, "account %u", c.credit_account);
	check(now() == before && c.generation == before->generation, "a balance is no other configuration");
	check(before->tariff_generation <= c.generation, "its balances are of before");
	check(account_add(ledger, &by_hand, 1, error) == 0, "%s", error);
	c = (struct change){ .order.amount_e8 = 7 };
	order(&c, ORDER_ACCOUNT_TOPUP, "zeta");
	check(c.result == 0 && c.credit_account == 0, "nobody knows it yet");
	ask(&c, CHANGE_RELOAD);
	check(tariff_account_at(now()->tariff, 1)->balance_e8 == 7, "found without it");
}

/* The home of an account may have slept while the account came, its balance moved and other accounts came: what it
 * then begins with has the movement, which it is told of all the same. */
static void a_tariff_that_was_read_after_a_topup_says_so(void)
{
	struct change add = { .order.account = { .given = 0 } }, topup = { .order.amount_e8 = 9 }, c;

	order(&add, ORDER_ACCOUNT_ADD, "eta");
	order(&topup, ORDER_ACCOUNT_TOPUP, "eta");
	check(add.result == 0 && topup.result == 0 && topup.credit_account != 0, "%s%s", add.error, topup.error);
	set(&c, "SS_SIP_SESSION_TTL", "900");
	check(tariff_account(now()->tariff, topup.credit_account)->balance_e8 == 0, "a parameter reads no balances");
	check(now()->tariff_generation <= topup.generation, "the movement would be lost");
	lock(&c, false);
	check(tariff_account(now()->tariff, topup.credit_account)->balance_e8 == 9, "read without the movement");
	check(now()->tariff_generation > topup.generation, "the movement would count twice");
	ask(&c, CHANGE_RELOAD);
	check(now()->tariff_generation == now()->generation, "a reload reads all");
}

static void move_ledger(const char *from_end, const char *to_end)
{
	static const char *const ends[] = { "", "-wal", "-shm" };
	char from[120], to[120];

	for (unsigned i = 0; i < 3; i++) {
		snprintf(from, sizeof from, "%s%s%s", ledger, from_end, ends[i]);
		snprintf(to, sizeof to, "%s%s%s", ledger, to_end, ends[i]);
		check(rename(from, to) == 0 || (i > 0 && errno == ENOENT), "%s cannot be moved", from);
	}
}

/* Without it there would be no accounts, and nobody would pay. */
static void a_ledger_that_was_moved_away_is_not_made_anew(void)
{
	const struct config *before = now();
	struct change c;

	move_ledger("", ".away");
	ask(&c, CHANGE_RELOAD);
	check(c.result < 0 && strstr(c.error, "put it back"), "reloaded without accounts: %s", c.error);
	c = (struct change){ 0 };
	order(&c, ORDER_ACCOUNT_ADD, "nobody");
	check(c.result < 0 && strstr(c.error, "put it back"), "added to a new one: %s", c.error);
	check(access(ledger, F_OK) < 0, "made anew");
	check(now() == before, "another configuration");
	move_ledger(".away", "");
	ask(&c, CHANGE_RELOAD);
	check(c.result == 0, "%s", c.error);
	check(tariff_account_count(now()->tariff) == 3, "other accounts");
}

static void many_changes_under_readers(void)
{
	pthread_t threads[READERS];
	struct change c;
	char value[16];

	for (unsigned i = 0; i < READERS; i++)
		check(pthread_create(&threads[i], NULL, read_configurations, &seen[i]) == 0, "no thread");
	for (unsigned i = 0; i < RELOADS; i++) {
		ask(&c, CHANGE_RELOAD);
		check(c.result == 0, "refused: %s", c.error);
		snprintf(value, sizeof value, "%u", 600 + i);
		set(&c, "SS_SIP_SESSION_TTL", value);
		check(c.result == 0, "refused: %s", c.error);
		if (i % 20 == 0)
			import(&c, "prefix,rate_per_minute\n44,3\n45,3\n");
		if (i % 10 == 5)
			lock(&c, i % 20 == 5);
	}
	for (unsigned i = 0; i < READERS; i++) /* all find the last one, however long they slept */
		while (atomic_load(&seen[i]) != c.generation)
			usleep(100);
	atomic_store(&over, true);
	for (unsigned i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
}

/* Where there is the pipe `silence` a load waits for the prefixes that come through it, as it would for a name server
 * that is silent (linked in place of config_load()). */
int __real_config_load(const char *path, struct config **ret_config, char error[static 512]);
int __wrap_config_load(const char *path, struct config **ret_config, char error[static 512]);
int __wrap_config_load(const char *path, struct config **ret_config, char error[static 512])
{
	int fd = open(silence, O_RDONLY); /* waits for the writer */
	char text[256];
	ssize_t size;

	if (fd >= 0) {
		FILE *out = fopen(prefixes, "w");

		check(out != NULL, "cannot write %s", prefixes);
		while ((size = read(fd, text, sizeof text)) > 0)
			fwrite(text, 1, (size_t)size, out);
		fclose(out);
		close(fd);
	}
	return __real_config_load(path, ret_config, error);
}

static void make_silent(void)
{
	check(mkfifo(silence, 0600) == 0, "no pipe");
	write_file(BASE "routing_gateway \"v\" { address = \"127.0.0.1:9\" prefix_file = \"%s\" }\n");
}

/* One load reads, and writes `text` into it. */
static void answer(const char *text)
{
	int fd = open(silence, O_WRONLY); /* waits for the reader */

	check(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "cannot write");
	close(fd);
}

static void wait_begun(const struct change *c)
{
	while (!atomic_load(&c->begun))
		usleep(100);
}

static _Atomic bool slow_orders;
static char told[1024]; /* the latest event */

void __real_order_carry_out(const struct order *, const char *, int64_t, struct order_outcome *);
void __wrap_order_carry_out(const struct order *, const char *, int64_t, struct order_outcome *);
void __wrap_log_printf(int level, const char *format, ...);

void __wrap_order_carry_out(const struct order *order, const char *path, int64_t at_us,
			    struct order_outcome *ret_outcome)
{
	__real_order_carry_out(order, path, at_us, ret_outcome);
	if (atomic_load(&slow_orders))
		usleep(300000);
}

void __wrap_log_printf(int level, const char *format, ...)
{
	va_list arguments;

	(void)level;
	va_start(arguments, format);
	vsnprintf(told, sizeof told, format, arguments);
	va_end(arguments);
}

/* The database has it, and who asked gets no answer any more. */
static void an_order_that_a_stop_overtakes_is_in_the_log(void)
{
	static struct change c = { .kind = CHANGE_ORDER,
				   .order = { .kind = ORDER_ACCOUNT_TOPUP, .account.name = "acme", .amount_e8 = 3 } };

	atomic_store(&slow_orders, true);
	loader_give(loader, &c);
	wait_begun(&c);
	loader_stop(loader);
	atomic_store(&slow_orders, false);
	check(strstr(told, "event=account_topup account=\"acme\" moved_e8=3") == told, "it told: %s", told);
}

/* The first load has begun when the others are asked for; those next to each other are one load, which is the second
 * one to read the file. */
static void reloads_that_wait_are_one(void)
{
	static struct change c[4];

	make_silent();
	for (unsigned i = 0; i < 4; i++) {
		c[i] = (struct change){ .kind = CHANGE_RELOAD };
		loader_give(loader, &c[i]);
		if (i == 0)
			wait_begun(&c[0]);
	}
	check(loader_done(loader) == NULL, "too early");
	answer("1\n");
	check(take_back() == &c[0] && c[0].prefixes == 1, "not the first one");
	answer("1\n2\n3\n");
	for (unsigned i = 1; i < 4; i++)
		check(take_back() == &c[i] && c[i].prefixes == 3 && c[i].generation == c[1].generation, "not in one");
	check(c[1].generation > c[0].generation, "no second load");
}

/* A stop does not wait for a load that does not end, and what that brings is not adopted.  Its change is the owner's
 * again, to be freed: a sanitizer sees it if the load looks at it once more, or has looked with nothing to order it. */
static void a_stop_leaves_a_silent_load_behind(void)
{
	struct change *c = calloc(1, sizeof *c);
	struct timespec begin, end;
	uint32_t generation = now()->generation;

	check(c != NULL, "no memory");
	c->kind = CHANGE_RELOAD;
	loader_give(loader, c);
	wait_begun(c);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	loader_stop(loader);
	clock_gettime(CLOCK_MONOTONIC, &end);
	free(c);
	check(end.tv_sec - begin.tv_sec <= 3, "it waited for %ld s", (long)(end.tv_sec - begin.tv_sec));
	answer("1\n");
	usleep(100000);
	check(now()->generation == generation, "adopted after the stop");
}

static void begin(void)
{
	struct config *config;
	char error[512];

	check(config_load(file, &config, error) == 0, "%s", error);
	snapshot_init(&snapshot, config);
	check(loader_start(&snapshot, NULL, &loader, error) == 0, "%s", error);
}

int main(void)
{
	log_set_level(LOG_CRITICAL);
	check(mkdtemp(directory) != NULL, "no directory");
	snprintf(file, sizeof file, "%s/ringwheel.conf", directory);
	snprintf(prefixes, sizeof prefixes, "%s/prefixes.txt", directory);
	snprintf(silence, sizeof silence, "%s/silence", directory);
	snprintf(data, sizeof data, "%s/data", directory);
	snprintf(ledger, sizeof ledger, "%s/" LEDGER_FILE, data);
	snprintf(rates, sizeof rates, "%s/rates.csv", directory);
	check(mkdir(data, 0700) == 0, "no directory");
	write_file(BASE VENDOR);
	begin();
	a_reload_tells_what_it_brought();
	what_is_wrong_is_refused();
	a_parameter_is_set_until_the_next_reload();
	write_file(BASE "routing_gateway \"v\" { address = \"127.0.0.1:9\" prefix = {\"1\", \"22\"} }\n");
	struct change c;
	ask(&c, CHANGE_RELOAD);
	orders_change_accounts_and_rates();
	what_cannot_be_done_changes_nothing();
	a_topup_names_the_account_that_the_shards_know();
	a_tariff_that_was_read_after_a_topup_says_so();
	a_ledger_that_was_moved_away_is_not_made_anew();
	many_changes_under_readers();
	an_order_that_a_stop_overtakes_is_in_the_log();
	check(loader_start(&snapshot, NULL, &loader, (char[256]){ "" }) == 0, "no second loader");
	reloads_that_wait_are_one();
	a_stop_leaves_a_silent_load_behind();
	snapshot_free(&snapshot);
	unlink(file);
	unlink(prefixes);
	unlink(silence);
	unlink(rates);
	unlink(ledger);
	char beside[90];
	snprintf(beside, sizeof beside, "%s-wal", ledger);
	unlink(beside);
	snprintf(beside, sizeof beside, "%s-shm", ledger);
	unlink(beside);
	rmdir(data);
	rmdir(directory);
	return 0;
}
