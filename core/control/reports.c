/* What is read from the store of CDRs: cdr.list and cdr.sums.
 *
 * A store takes as long as it takes: millions of rows, or another machine.  So each of these requests has a thread of
 * its own, of the scheduler's class SCHED_IDLE like the loading thread, so that it costs the calls nothing; it ends
 * after REPORT_WAIT_S, or when nobody waits for it any more.  The thread fills its job and touches nothing else; the
 * main thread ends the request. */
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "billing/cdr.h"
#include "billing/fees.h"
#include "billing/ledger.h"
#include "billing/list.h"
#include "billing/money.h"
#include "billing/sums.h"
#include "core/control/internal.h"
#include "core/control/methods.h"
#include "core/control/text.h"

#define ROWS_DEFAULT  100
#define REPORT_WAIT_S 120
#define END_WAIT_S    1 /* for threads at the end of the process */
#define NS_PER_S      INT64_C(1000000000)

struct report_job {
	struct control *control;
	struct request *request; /* NULL: forgotten */
	struct report_job *previous, *next;
	pthread_t thread;
	int done_fd;                /* the control socket's eventfd */
	_Atomic int64_t give_up_ns; /* brought forward when nobody waits any more */
	_Atomic bool done;          /* what follows is filled in */

	/* The question, with texts of its own. */
	bool sums;
	char store[512], path[4200], ledger[4200];
	char account[64], gateway[64], number[64], end_reason[64], cdr_id[64], before[64];
	struct cdr_filter filter;
	struct cdr_grouping grouping;

	struct fees *fees; /* that were corrected */
	int result;
	json_t *value; /* of a result of 0 */
	char error[CDR_READ_ERROR_BYTES];
};

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* ---- rows ---- */

static json_t *column(const struct cdr_value *v)
{
	switch (v->type) {
	case CDR_COLUMN_INTEGER:
		return json_integer(v->integer);
	case CDR_COLUMN_JSON: {
		json_t *value = json_loads(v->text, JSON_DECODE_ANY, NULL);
		if (value != NULL)
			return value;
		break; /* shown as it stands */
	}
	case CDR_COLUMN_TEXT:
		break;
	}
	return json_text_terminated(v->text);
}

static size_t decimals_of(const char *amount)
{
	const char *point = strchr(amount, '.');
	return point != NULL ? strlen(point + 1) : 0;
}

/* The fee in force stands where the CDR's was, which is shown behind all other columns. */
static void correct_fee(json_t *row, const struct fees *fees)
{
	const char *original = json_string_value(json_object_get(row, "fee"));
	char text[MONEY_TEXT_MAX];
	int64_t fee_e8;
	if (!fees_find(fees, json_string_value(json_object_get(row, "cdr_id")), &fee_e8)) {
		json_object_set_new(row, "fee_original", json_string(""));
		return;
	}
	const size_t decimals = decimals_of(original);
	json_object_set_new(row, "fee_original", json_string(original));
	money_write_short(fee_e8, decimals < MONEY_DECIMALS ? (unsigned)decimals : MONEY_DECIMALS, text);
	json_object_set_new(row, "fee", json_string(text));
}

static void add_cdr(void *context, const struct cdr_value *values, unsigned count)
{
	struct report_job *job = context;
	json_t *row = json_object();
	for (unsigned i = 0; i < count; i++)
		json_object_set_new(row, values[i].name, column(&values[i]));
	correct_fee(row, job->fees);
	json_array_append_new(job->value, row);
}

static void read_rows(struct report_job *job)
{
	const struct cdr_place place = { .store = job->store, .path = job->path };
	const struct cdr_limits limits = { .give_up_ns = &job->give_up_ns };
	job->value = json_array();
	job->result = cdr_list(&place, &job->filter, &limits, add_cdr, job, job->error);
}

/* ---- sums ---- */

static json_t *quotient(double dividend, uint64_t divisor, double unit)
{
	return divisor > 0 ? json_real(round(dividend / (double)divisor / unit) * unit) : json_null();
}

static json_t *minutes(uint64_t milliseconds)
{
	return json_real(round((double)milliseconds / 600.0) / 100.0);
}

static json_t *money(money_sum e8)
{
	char text[MONEY_SUM_TEXT_MAX];
	money_sum_write(e8, text);
	return json_string(text);
}

static json_t *sum_json(const struct sum *s)
{
	return json_pack(
		"{s:I, s:I, s:o, s:o, s:o, s:I, s:o, s:I, s:o, s:o, s:o, s:o}", "attempts", (json_int_t)s->attempts,
		"answered", (json_int_t)s->answered, "asr", quotient(100.0 * (double)s->answered, s->attempts, 0.01),
		"acd_s", quotient((double)s->hold_ms / 1000.0, s->answered, 0.1), "pdd_ms",
		quotient((double)s->pdd_ms, s->rang, 1.0), "hold_ms", (json_int_t)s->hold_ms, "minutes",
		minutes(s->hold_ms), "billed_s", (json_int_t)s->billed_s, "billed_minutes", minutes(s->billed_s * 1000),
		"fee", money(s->fee_e8), "cost", money(s->cost_e8), "profit", money(s->fee_e8 - s->cost_e8));
}

static json_t *groups_json(struct sums *sums, enum cdr_group by)
{
	json_t *rows = json_array();
	sums_sort(sums);
	for (size_t i = 0; i < sums_count(sums); i++) {
		const char *key;
		const struct sum *sum = sums_at(sums, i, &key);
		json_t *row = json_object(), *figures = sum_json(sum);
		json_object_set_new(row, cdr_group_name(by), json_text_terminated(key));
		json_object_update(row, figures);
		json_decref(figures);
		json_array_append_new(rows, row);
	}
	return rows;
}

static void read_sums(struct report_job *job)
{
	const struct cdr_place place = { .store = job->store, .path = job->path };
	const struct cdr_limits limits = { .give_up_ns = &job->give_up_ns };
	struct sums *sums = sums_create();
	job->result = -ENOMEM;
	if (sums == NULL)
		return;
	job->result = cdr_sums(&place, &job->filter, &job->grouping, &limits, sums, job->error);
	if (job->result == 0 || job->result == -ENOENT) {
		const struct sum total = sums_total(sums);
		job->value = json_pack("{s:s, s:o, s:o}", "by", cdr_group_name(job->grouping.by), "rows",
				       groups_json(sums, job->grouping.by), "total", sum_json(&total));
	}
	sums_free(sums);
}

/* ---- the thread ---- */

static void *run(void *context)
{
	struct report_job *job = context;
	const struct sched_param idle = { .sched_priority = 0 };
	const int done_fd = job->done_fd;
	const uint64_t one = 1;

	pthread_setschedparam(pthread_self(), SCHED_IDLE, &idle);
	pthread_setname_np(pthread_self(), "report");
	job->result = fees_load(job->ledger, &job->filter, &job->fees, job->error);
	job->grouping.fees = job->fees;
	if (job->result == 0 && job->sums)
		read_sums(job);
	else if (job->result == 0)
		read_rows(job);
	atomic_store(&job->done, true);
	ssize_t written = write(done_fd, &one, sizeof one);
	(void)written; /* it fails only when the count says already that something is done */
	return NULL;
}

/* Signals are the main thread's. */
static int start(struct report_job *job)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	const int result = pthread_create(&job->thread, NULL, run, job);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -result;
}

/* ---- jobs ---- */

/* Its thread has ended, or never began. */
static void job_free(struct report_job *job)
{
	struct control *c = job->control;
	if (job->previous != NULL)
		job->previous->next = job->next;
	else
		c->reports = job->next;
	if (job->next != NULL)
		job->next->previous = job->previous;
	c->report_count--;
	json_decref(job->value);
	fees_free(job->fees);
	free(job);
}

static struct report_job *job_create(struct request *r)
{
	struct control *c = r->control;
	if (c->report_count >= CONTROL_REPORTS_MAX) {
		request_error(r, RPC_BUSY, "Too many lists and sums of CDRs are under way (%d); ask again in a moment.",
			      CONTROL_REPORTS_MAX);
		return NULL;
	}
	struct report_job *job = calloc(1, sizeof *job);
	if (job == NULL) {
		request_error(r, RPC_INTERNAL, "There is no memory for the request.");
		return NULL;
	}
	job->control = c;
	job->next = c->reports;
	if (job->next != NULL)
		job->next->previous = job;
	c->reports = job;
	c->report_count++;
	job->done_fd = c->report_fd;
	atomic_init(&job->give_up_ns, now_ns() + REPORT_WAIT_S * NS_PER_S);
	return job;
}

static const char *copy(char *to, size_t size, const char *text)
{
	const size_t length = strlen(text);
	assert(length < size); /* the method's fields say so */
	memcpy(to, text, length + 1);
	return to;
}

#define COPY(job, name, text) copy((job)->name, sizeof((job)->name), (text))

static enum cdr_answered answered(const struct request *r)
{
	const json_t *value = json_object_get(r->params, "answered");
	return json_is_true(value) ? CDR_ANSWERED_ONLY : json_is_false(value) ? CDR_ANSWERED_NOT : CDR_ANSWERED_ANY;
}

static void set_filter(struct report_job *job, const struct request *r)
{
	const struct config *config = node_config(r->control->node);
	COPY(job, store, config->cdr_store);
	COPY(job, path, node_database_path(r->control->node));
	snprintf(job->ledger, sizeof job->ledger, "%s/" LEDGER_FILE, config->data_dir);
	job->filter = (struct cdr_filter){
		.since_us = request_integer(r, "since", 0),
		.until_us = request_integer(r, "until", 0),
		.account = COPY(job, account, request_text(r, "account")),
		.gateway = COPY(job, gateway, request_text(r, "gateway")),
		.number = COPY(job, number, request_text(r, "number")),
		.end_reason = COPY(job, end_reason, request_text(r, "end_reason")),
		.cdr_id = COPY(job, cdr_id, request_text(r, "cdr_id")),
		.answered = answered(r),
		.min_hold_ms = request_integer(r, "min_hold_ms", 0),
	};
}

/* A reason that there is not would find nothing, for ever.  false: the request has been ended with an error. */
static bool knows_reason(struct request *r)
{
	const char *name = request_text(r, "end_reason");
	char names[512] = "";
	size_t used = 0;
	for (unsigned i = 0; i < CDR_END_REASON_COUNT; i++) {
		const char *one = cdr_end_reason_name((enum cdr_end_reason)i);
		if (name[0] == '\0' || strcmp(one, name) == 0)
			return true;
		used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", one);
	}
	request_error(r, RPC_INVALID_PARAMS, "There is no end_reason '%.63s'; there are: %s.", name, names);
	return false;
}

static void submit(struct report_job *job, struct request *r)
{
	if (start(job) < 0) {
		job_free(job);
		request_error(r, RPC_INTERNAL, "There is no thread for the request; ask again in a moment.");
		return;
	}
	job->request = r;
	r->report = job;
}

void method_cdr_list(struct request *r)
{
	struct report_job *job = knows_reason(r) ? job_create(r) : NULL;
	if (job == NULL)
		return;
	set_filter(job, r);
	job->filter.limit = (uint32_t)request_integer(r, "limit", ROWS_DEFAULT);
	job->filter.before = COPY(job, before, request_text(r, "before"));
	submit(job, r);
}

/* The groups that there are, for a sentence. */
static void name_groups(char *text, size_t size)
{
	size_t used = 0;
	for (unsigned i = 0; i < CDR_GROUP_COUNT && used < size; i++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "",
					 cdr_group_name((enum cdr_group)i));
}

void method_cdr_sums(struct request *r)
{
	const int by = cdr_group_find(request_text(r, "by"));
	if (by < 0) {
		char names[128];
		name_groups(names, sizeof names);
		request_error(r, RPC_INVALID_PARAMS, "'by' must be one of: %s.", names);
		return;
	}
	struct report_job *job = knows_reason(r) ? job_create(r) : NULL;
	if (job == NULL)
		return;
	set_filter(job, r);
	job->sums = true;
	job->grouping = (struct cdr_grouping){ .by = (enum cdr_group)by,
					       .utc_offset_s = (int32_t)request_integer(r, "utc_offset_s", 0) };
	submit(job, r);
}

/* ---- their ends ---- */

static void finish(struct report_job *job)
{
	struct request *r = job->request;
	r->report = NULL;
	job->request = NULL;
	if (job->result == 0 || job->result == -ENOENT) /* no database: nothing was written yet */
		request_result(r, json_incref(job->value));
	else if (job->result == -ETIMEDOUT)
		request_error(r, RPC_STORE,
			      "The CDRs were not read within %d s; narrow it with since, until, or other filters.",
			      REPORT_WAIT_S);
	else
		request_error(r, RPC_STORE, "The CDRs cannot be read: %s.",
			      job->error[0] != '\0' ? job->error : strerror(-job->result));
}

void reports_done(struct control *c)
{
	for (struct report_job *job = c->reports, *next; job != NULL; job = next) {
		next = job->next;
		if (!atomic_load(&job->done))
			continue;
		pthread_join(job->thread, NULL);
		if (job->request != NULL)
			finish(job);
		job_free(job);
	}
}

void report_job_hurry(struct report_job *job)
{
	atomic_store(&job->give_up_ns, 0);
}

void report_job_forget(struct report_job *job)
{
	job->request->report = NULL;
	job->request = NULL;
	report_job_hurry(job);
}

/* One that waits for a name server is left to the end of the process, with its job. */
void reports_free(struct control *c)
{
	struct timespec by;

	clock_gettime(CLOCK_REALTIME, &by);
	by.tv_sec += END_WAIT_S;
	for (struct report_job *job = c->reports; job != NULL; job = job->next)
		atomic_store(&job->give_up_ns, 0);
	for (struct report_job *job = c->reports, *next; job != NULL; job = next) {
		next = job->next;
		assert(job->request == NULL);
		if (pthread_timedjoin_np(job->thread, NULL, &by) == 0) {
			job_free(job);
			continue;
		}
		c->report_fd = -1; /* it may still say that it is done */
		c->report_count--;
	}
	c->reports = NULL;
}
