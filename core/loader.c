/* The loading thread: see the header. */
#include "core/loader.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "billing/ledger.h"
#include "billing/tariff.h"
#include "core/log.h"

#define STOP_WAIT_S 1

/* LOADING touches nothing that others have; ADOPTING, the snapshot and the listeners. */
enum phase { IDLE, LOADING, ADOPTING };

struct changes {
	struct change *first, **end;
};

struct loader {
	struct snapshot *snapshot;
	const struct listeners *listeners;
	pthread_t thread;
	int fd;

	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t changed;
	struct changes waiting, done;
	struct order order; /* a copy of the one being carried out: its owner may be gone by then */

	uint64_t rates_stamp; /* of the tariff in force; the thread's own, once it runs */
	bool has_accounts;    /* likewise: it has some */
	enum phase phase;
	bool ending;
};

static void put(struct changes *list, struct change *change)
{
	change->next = NULL;
	*list->end = change;
	list->end = &change->next;
}

static struct change *take(struct changes *list)
{
	struct change *change = list->first;

	if (!change)
		return NULL;
	list->first = change->next;
	if (!list->first)
		list->end = &list->first;
	return change;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static const struct config *current(const struct loader *l)
{
	return snapshot_config(l->snapshot);
}

/* false: the node ends, and what would be adopted may be gone already. */
static bool begin_adopting(struct loader *l)
{
	pthread_mutex_lock(&l->lock);
	bool go_on = !l->ending;
	if (go_on)
		l->phase = ADOPTING;
	pthread_mutex_unlock(&l->lock);
	return go_on;
}

static void set_tos(const struct loader *l, uint32_t before, uint32_t now)
{
	int r = l->listeners && before != now ? listeners_set_tos(l->listeners, now) : 0;

	if (r < 0)
		log_printf(LOG_ERROR, "event=qos_not_set SS_QOS_SIGNAL=0x%x reason=\"%s\"", now, strerror(-r));
}

static void note_tariff(struct loader *l, const struct tariff *tariff)
{
	l->rates_stamp = tariff_rates_stamp(tariff);
	l->has_accounts = tariff_account_count(tariff) > 0;
}

/* Takes `next`; returns the former one, which nobody holds any more. */
static struct config *adopt(struct loader *l, struct config *next)
{
	uint32_t tos = next->parameters.SS_QOS_SIGNAL;
	struct config *former = snapshot_replace(l->snapshot, next);
	note_tariff(l, next->tariff);

	set_tos(l, former->parameters.SS_QOS_SIGNAL, tos);
	return former;
}

static void give_back(struct loader *l, struct changes *batch)
{
	struct change *change;

	pthread_mutex_lock(&l->lock);
	while ((change = take(batch)))
		put(&l->done, change);
	pthread_mutex_unlock(&l->lock);
	eventfd_write(l->fd, 1);
}

/* ---- accounts and rates ---- */

#define LEDGER_PATH_BYTES (4096 + sizeof "/" LEDGER_FILE)

static void write_ledger_path(const struct config *config, char path[static LEDGER_PATH_BYTES])
{
	snprintf(path, LEDGER_PATH_BYTES, "%s/" LEDGER_FILE, config->data_dir);
}

static uint32_t account_id(const char *name)
{
	return gateway_id(GATEWAY_ACCOUNT, name);
}

int loader_read_tariff(struct config *config, char error[static 256])
{
	char path[LEDGER_PATH_BYTES];
	struct tariff *tariff;

	static_assert(DATABASE_ERROR_BYTES == 256, "the caller's buffer");
	write_ledger_path(config, path);
	int r = ledger_load(path, account_id, &tariff, error);
	if (r == 0 && (r = config_take_tariff(config, tariff)) < 0)
		snprintf(error, 256, "%s", strerror(-r));
	return r;
}

/* A new one in place of one that was moved away would have no accounts: every call would pass unrated. */
static int look_for_ledger(const struct loader *l, const char *ledger, char error[static 256])
{
	if (!l->has_accounts || access(ledger, F_OK) == 0)
		return 0;
	int r = -errno;
	snprintf(error, 256, "%.180s: %s; put it back", ledger, strerror(-r));
	return r == -ENOENT ? -EIO : r; /* not what the order asks for is missing */
}

/* ---- reload ---- */

static void warn(void *context, const char *sentence)
{
	log_printf(LOG_WARNING, "event=configuration_warning text=\"%s\"", sentence);
	if (context)
		fprintf(context, "%s\n", sentence);
}

/* They are logged, too.  NULL: there are none. */
static char *list_warnings(const struct config *config)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	config_warnings(config, warn, out);
	if (out)
		fclose(out);
	if (size > 0)
		return text;
	free(text);
	return NULL;
}

static uint64_t count_prefixes(const struct config *config)
{
	uint64_t count = 0;

	for (uint32_t i = 0; i < config->routing_count; i++)
		count += config->routings[i].prefix_count;
	return count;
}

static void describe(const struct config *config, uint64_t begin_ns, struct change *ret_change)
{
	ret_change->generation = config->generation;
	ret_change->mapping_gateways = config->mapping_count;
	ret_change->routing_gateways = config->routing_count;
	ret_change->prefixes = count_prefixes(config);
	ret_change->ms = (uint32_t)((now_ns() - begin_ns) / 1000000);
}

static void tell_reloaded(const struct change *c)
{
	log_printf(LOG_NOTICE,
		   "event=reloaded generation=%u mapping_gateways=%u routing_gateways=%u prefixes=%llu ms=%u",
		   c->generation, c->mapping_gateways, c->routing_gateways, (unsigned long long)c->prefixes, c->ms);
}

/* The same for each of the batch; the warnings are the first one's, copied for the others. */
static void fill_reloaded(struct changes *batch, const struct change *outcome)
{
	for (struct change *c = batch->first; c; c = c->next) {
		c->result = outcome->result;
		c->generation = outcome->generation;
		c->mapping_gateways = outcome->mapping_gateways;
		c->routing_gateways = outcome->routing_gateways;
		c->prefixes = outcome->prefixes;
		c->ms = outcome->ms;
		c->warnings = outcome->warnings ? strdup(outcome->warnings) : NULL;
		strcpy(c->error, outcome->error);
	}
}

/* Nothing of the batch is touched before it is certain that its owner is still there. */
static void reload(struct loader *l, struct changes *batch, const char *path, const char *ledger)
{
	struct change outcome = { .kind = CHANGE_RELOAD };
	struct config *next = NULL, *former = NULL;
	uint64_t begin_ns = now_ns();

	outcome.result = config_load(path[0] ? path : NULL, &next, outcome.error);
	if (outcome.result == 0) {
		static_assert(sizeof outcome.error >= 256, "room for the sentence");
		outcome.result = look_for_ledger(l, ledger, outcome.error);
	}
	if (outcome.result == 0)
		outcome.result = loader_read_tariff(next, outcome.error);
	if (!begin_adopting(l)) {
		config_free(next);
		return;
	}
	if (outcome.result == 0)
		outcome.result = config_restart_needed(current(l), next, outcome.error);
	if (outcome.result == 0) {
		outcome.warnings = list_warnings(next);
		former = adopt(l, next);
		describe(next, begin_ns, &outcome);
		tell_reloaded(&outcome);
	} else {
		former = next; /* nobody has seen it */
		log_printf(LOG_ERROR, "event=reload_refused reason=\"%s\"", outcome.error);
	}
	fill_reloaded(batch, &outcome);
	free(outcome.warnings);
	give_back(l, batch);
	config_free(former);
}

/* ---- parameters.set ---- */

static void set_parameter(struct loader *l, struct changes *batch)
{
	if (!begin_adopting(l))
		return;
	struct change *c = batch->first;
	struct config *next, *former = NULL;
	int index = parameter_find(c->name);
	uint64_t begin_ns = now_ns();

	if (index >= 0)
		parameter_text(&current(l)->parameters, index, c->was, sizeof c->was);
	static_assert(sizeof c->error >= 256, "room for the sentence");
	c->result = config_with_parameter(current(l), c->name, c->value, &next, c->error);
	if (c->result == 0) {
		parameter_text(&next->parameters, index, c->value, sizeof c->value);
		former = adopt(l, next);
		describe(next, begin_ns, c);
		log_printf(LOG_NOTICE, "event=parameter_set name=%s value=\"%s\" was=\"%s\" generation=%u", c->name,
			   c->value, c->was, c->generation);
		config_parameter_warnings(next, warn, NULL);
	}
	give_back(l, batch);
	config_free(former);
}

/* ---- orders ---- */

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* What came over the control socket stays within its quotes and its line. */
static const char *quotable(const char *text, size_t size, char *copy)
{
	size_t i = 0;

	for (; i + 1 < size && text[i]; i++)
		copy[i] = (unsigned char)text[i] < ' ' || text[i] == '"' || text[i] == 0x7f ? '?' : text[i];
	copy[i] = '\0';
	return copy;
}

static void tell_order(const struct change *c)
{
	static const char *const events[] = {
		[ORDER_ACCOUNT_ADD] = "account_added",   [ORDER_ACCOUNT_SET] = "account_set",
		[ORDER_ACCOUNT_TOPUP] = "account_topup", [ORDER_CDR_ADJUST] = "cdr_adjusted",
		[ORDER_RATES_IMPORT] = "rates_imported", [ORDER_RATES_EXPORT] = "rates_exported",
		[ORDER_RATES_DELETE] = "rates_deleted",
	};
	const struct order_outcome *o = &c->outcome;
	const struct order *order = &c->order;
	char about[160], name[64], text[DATABASE_ERROR_BYTES];

	if (order->kind == ORDER_CDR_ADJUST)
		snprintf(about, sizeof about, "cdr_id=\"%s\" account=\"%s\"",
			 quotable(order->cdr_id, sizeof name, name), o->account);
	else if (order->kind <= ORDER_ACCOUNT_TOPUP)
		snprintf(about, sizeof about, "account=\"%s\"", quotable(order->account.name, sizeof name, name));
	else
		snprintf(about, sizeof about, "table=\"%s\"", quotable(order->table, sizeof name, name));
	if (o->result < 0)
		log_printf(LOG_WARNING, "event=%s_refused %s reason=\"%s\"", events[order->kind], about,
			   quotable(o->error, sizeof text, text));
	else if (order->kind == ORDER_ACCOUNT_TOPUP || order->kind == ORDER_CDR_ADJUST)
		log_printf(LOG_NOTICE, "event=%s %s moved_e8=%lld who=\"%s\"", events[order->kind], about,
			   (long long)o->moved_e8, quotable(order->who, sizeof text, text));
	else
		log_printf(LOG_NOTICE, "event=%s %s rates=%llu ms=%u", events[order->kind], about,
			   (unsigned long long)o->rows, c->ms);
}

/* What the database has but the node has not: the next change or reload brings it. */
static void tell_not_in_force(struct change *c, int result, const char *reason)
{
	c->result = result;
	snprintf(c->error, sizeof c->error, "it is done, but could not be put in force; reload to try again: %.300s",
		 reason);
	log_printf(LOG_ERROR, "event=tariff_not_in_force reason=\"%s\"", reason);
}

/* What an order has made: a tariff, or, where the rates are those in force, accounts only. */
struct made {
	struct tariff *tariff;
	struct tariff_builder *accounts;
};

static int load_made(const struct loader *l, const char *ledger, struct made *ret_made,
		     char error[static DATABASE_ERROR_BYTES])
{
	int r = ledger_load_accounts(ledger, account_id, l->rates_stamp, &ret_made->accounts, error);

	return r == -ESTALE ? ledger_load(ledger, account_id, &ret_made->tariff, error) : r;
}

static void drop_made(struct made *made)
{
	tariff_free(made->tariff);
	tariff_abandon(made->accounts);
}

/* Only now may the tariff in force be looked at. */
static int finish_made(const struct loader *l, struct made *made)
{
	struct tariff_builder *accounts = made->accounts;

	if (!accounts)
		return 0;
	made->accounts = NULL;
	tariff_share_rates(accounts, current(l)->tariff);
	return tariff_finish(accounts, &made->tariff);
}

/* The tariff that the order has made; in force when this returns.  Returns the former configuration, NULL: none. */
static struct config *put_in_force(struct loader *l, struct change *c, struct made *made)
{
	struct config *next;
	int r = finish_made(l, made);

	if (r == 0)
		r = config_with_tariff(current(l), made->tariff, &next);
	if (r < 0) {
		tell_not_in_force(c, r, strerror(-r));
		return NULL;
	}
	struct config *former = adopt(l, next);
	c->generation = next->generation;
	return former;
}

/* A bank that sees an account for the first time finds the balance with the movement in it. */
static uint32_t credited(const struct loader *l, const struct order_outcome *o)
{
	uint32_t id = o->result == 0 && o->moved_e8 != 0 ? account_id(o->account) : 0;

	return tariff_account(current(l)->tariff, id) ? id : 0;
}

/* The database is the slow part; nobody else waits for it. */
static void carry_out_order(struct loader *l, struct changes *batch, const char *ledger)
{
	struct order_outcome outcome = { .result = 0 };
	struct made made = { .tariff = NULL };
	struct config *former = NULL;
	char error[DATABASE_ERROR_BYTES];
	uint64_t begin_ns = now_ns();
	int loaded = 0;

	outcome.result = look_for_ledger(l, ledger, outcome.error);
	if (outcome.result == 0)
		order_carry_out(&l->order, ledger, now_us(), &outcome);
	if (outcome.tariff_changed)
		loaded = load_made(l, ledger, &made, error);
	if (!begin_adopting(l)) { /* who asked hears nothing any more: it is told here what the database has */
		tell_order(&(struct change){ .order = l->order, .outcome = outcome });
		drop_made(&made);
		free(outcome.text);
		return;
	}
	struct change *c = batch->first;
	c->outcome = outcome;
	c->result = outcome.result;
	snprintf(c->error, sizeof c->error, "%s", outcome.error);
	c->generation = current(l)->generation;
	c->credit_account = credited(l, &outcome);
	if (loaded < 0)
		tell_not_in_force(c, loaded, error);
	else if (outcome.tariff_changed)
		former = put_in_force(l, c, &made);
	c->ms = (uint32_t)((now_ns() - begin_ns) / 1000000);
	tell_order(c);
	give_back(l, batch);
	config_free(former);
}

/* ---- the thread ---- */

/* The oldest change, with the reloads that wait next to it if it is one.  Its kind is told now: once the lock is given
 * back its owner may be gone. */
static bool take_batch(struct loader *l, struct changes *batch, enum change_kind *ret_kind)
{
	*batch = (struct changes){ .end = &batch->first };
	pthread_mutex_lock(&l->lock);
	l->phase = IDLE;
	pthread_cond_broadcast(&l->changed);
	while (!l->waiting.first && !l->ending)
		pthread_cond_wait(&l->changed, &l->lock);
	bool go_on = !l->ending;
	if (go_on) {
		do {
			struct change *change = take(&l->waiting);

			assert(change); /* there was one, by the loop's condition */
			atomic_store_explicit(&change->begun, true, memory_order_relaxed);
			put(batch, change);
			if (change->kind == CHANGE_ORDER)
				l->order = change->order;
		} while (batch->first->kind == CHANGE_RELOAD && l->waiting.first &&
			 l->waiting.first->kind == CHANGE_RELOAD);
		*ret_kind = batch->first->kind;
		l->phase = LOADING;
	}
	pthread_mutex_unlock(&l->lock);
	return go_on;
}

static void become_idle(void)
{
	const struct sched_param none = { 0 };
	int r = pthread_setschedparam(pthread_self(), SCHED_IDLE, &none);

	pthread_setname_np(pthread_self(), "rw-loader");
	if (r != 0)
		log_printf(LOG_WARNING, "event=loader_not_idle reason=\"%s\"", strerror(r));
}

static void *run(void *loader)
{
	struct loader *l = loader;
	struct changes batch;
	enum change_kind kind;
	char path[sizeof current(l)->path], ledger[LEDGER_PATH_BYTES]; /* the same in every configuration */

	become_idle();
	strcpy(path, current(l)->path);
	write_ledger_path(current(l), ledger);
	while (take_batch(l, &batch, &kind)) {
		if (kind == CHANGE_RELOAD)
			reload(l, &batch, path, ledger);
		else if (kind == CHANGE_PARAMETER)
			set_parameter(l, &batch);
		else
			carry_out_order(l, &batch, ledger);
	}
	return NULL;
}

static void free_loader(struct loader *l)
{
	if (l->fd >= 0)
		close(l->fd);
	pthread_cond_destroy(&l->changed);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static int make(struct loader *l)
{
	pthread_condattr_t monotonic;

	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&l->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	l->waiting.end = &l->waiting.first;
	l->done.end = &l->done.first;
	l->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return l->fd < 0 ? -errno : 0;
}

/* A new thread inherits the mask: signals are the control thread's. */
static int start_thread(struct loader *l)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = -pthread_create(&l->thread, NULL, run, l);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

int loader_start(struct snapshot *snapshot, const struct listeners *listeners, struct loader **ret_loader,
		 char error[static 256])
{
	struct loader *l = calloc(1, sizeof *l);
	int r = -ENOMEM;

	if (l) {
		l->snapshot = snapshot;
		l->listeners = listeners;
		note_tariff(l, snapshot_config(snapshot)->tariff);
		r = make(l);
		if (r == 0)
			r = start_thread(l);
		if (r < 0)
			free_loader(l);
	}
	if (r < 0)
		snprintf(error, 256, "cannot start the loading thread: %s", strerror(-r));
	else
		*ret_loader = l;
	return r;
}

void loader_give(struct loader *l, struct change *change)
{
	pthread_mutex_lock(&l->lock);
	put(&l->waiting, change);
	pthread_cond_broadcast(&l->changed);
	pthread_mutex_unlock(&l->lock);
}

int loader_fd(const struct loader *l)
{
	return l->fd;
}

struct change *loader_done(struct loader *l)
{
	eventfd_t count;

	eventfd_read(l->fd, &count);
	pthread_mutex_lock(&l->lock);
	struct change *change = take(&l->done);
	pthread_mutex_unlock(&l->lock);
	return change;
}

void loader_stop(struct loader *l)
{
	struct timespec until;
	bool over = false;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += STOP_WAIT_S;
	pthread_mutex_lock(&l->lock);
	l->ending = true;
	pthread_cond_broadcast(&l->changed);
	while (l->phase == ADOPTING || (l->phase == LOADING && !over)) {
		if (l->phase == ADOPTING)
			pthread_cond_wait(&l->changed, &l->lock);
		else
			over = pthread_cond_timedwait(&l->changed, &l->lock, &until) == ETIMEDOUT;
	}
	bool left_behind = l->phase == LOADING;
	pthread_mutex_unlock(&l->lock);
	if (left_behind) {
		log_line(LOG_NOTICE, "event=reload_dropped reason=\"the node stops\"");
		pthread_detach(l->thread);
		return;
	}
	pthread_join(l->thread, NULL);
	free_loader(l);
}
