/* What only the shards know: a job gives each of them a command and is done when all have come back.
 *
 * The commands and their rows belong to the job and stay where they are until then, whatever becomes of the connection:
 * if that goes, or the whole control socket is closed, the job is forgotten by its request, not freed. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/control/internal.h"
#include "core/control/methods.h"
#include "core/control/text.h"

#define ROWS_DEFAULT 100
#define FIND_ROWS    4 /* a shard: more than one is enough to be ambiguous, some more to say which */

struct job_command {
	struct command command; /* first, so that a command is its job's */
	struct calls_job *job;
};

struct calls_job {
	struct control *control;
	struct request *request;               /* NULL: forgotten */
	void (*finish)(struct calls_job *job); /* ends the request, or starts its next job */
	struct calls_job *previous, *next;
	uint32_t row_max;
	unsigned waiting; /* commands still at their shards */
	unsigned command_count;
	struct job_command commands[];
};

static void job_free(struct calls_job *job)
{
	struct control *c = job->control;
	if (job->previous != NULL)
		job->previous->next = job->next;
	else
		c->jobs = job->next;
	if (job->next != NULL)
		job->next->previous = job->previous;
	c->job_count--;
	for (unsigned i = 0; i < job->command_count; i++)
		free(job->commands[i].command.rows);
	free(job);
}

/* Makes a job with `count` commands for the shards from `first` on; the caller fills in what they ask and calls
 * job_submit().  NULL: the request has been ended with an error. */
static struct calls_job *job_create(struct request *r, enum command_kind kind, unsigned first, unsigned count,
				    uint32_t row_max, void (*finish)(struct calls_job *job))
{
	struct control *c = r->control;
	if (c->job_count >= CONTROL_JOBS_MAX) {
		request_error(r, RPC_BUSY,
			      "Too many questions to the workers are under way (%d); ask again in a moment.",
			      CONTROL_JOBS_MAX);
		return NULL;
	}
	struct calls_job *job = calloc(1, sizeof *job + count * sizeof job->commands[0]);
	if (job == NULL) {
		request_error(r, RPC_INTERNAL, "There is no memory for the request.");
		return NULL;
	}
	job->control = c;
	job->next = c->jobs;
	if (job->next != NULL)
		job->next->previous = job;
	c->jobs = job;
	c->job_count++;
	job->finish = finish;
	job->row_max = row_max;
	job->command_count = count;
	bool complete = true;
	for (unsigned i = 0; i < count; i++) {
		struct command *command = &job->commands[i].command;
		job->commands[i].job = job;
		*command = (struct command){ .kind = kind, .row_max = row_max, .shard = first + i, .owner = c };
		/* Memory of rows that no shard fills is never touched. */
		command->rows = malloc(row_max * sizeof *command->rows);
		complete = complete && command->rows != NULL;
	}
	if (!complete) {
		job_free(job);
		request_error(r, RPC_INTERNAL, "There is no memory for %u rows a worker; ask for less.", row_max);
		return NULL;
	}
	job->request = r;
	r->job = job;
	return job;
}

static void copy_text(char *to, size_t size, const char *text)
{
	size_t length = strlen(text);
	assert(length < size); /* the method's fields say so */
	memcpy(to, text, length + 1);
}

#define COPY_TEXT(array, text) copy_text((array), sizeof(array), (text))

static void job_submit(struct calls_job *job)
{
	struct control *c = job->control;
	job->waiting = job->command_count;
	for (unsigned i = 0; i < job->command_count; i++)
		node_submit(c->node, job->commands[i].command.shard, &job->commands[i].command);
}

void calls_command_done(struct command *command)
{
	struct calls_job *job = ((struct job_command *)command)->job;
	assert(job->waiting > 0);
	assert(command->row_count <= command->row_max);
	if (--job->waiting > 0)
		return;
	if (job->request != NULL) {
		job->request->job = NULL;
		job->finish(job);
	}
	job_free(job);
}

void calls_job_forget(struct calls_job *job)
{
	job->request->job = NULL;
	job->request = NULL;
}

void calls_jobs_free(struct control *c)
{
	while (c->jobs != NULL)
		job_free(c->jobs);
}

/* The columns of calls.list, in order. */
static json_t *row_object(const struct call_row *row)
{
	json_t *object = json_object();
#define TEXT(name)   json_object_set_new(object, #name, JSON_TEXT_ARRAY(row->name))
#define NUMBER(name) json_object_set_new(object, #name, json_integer(row->name))
	TEXT(cdr_id);
	TEXT(state);
	TEXT(mapping_gateway);
	TEXT(routing_gateway);
	TEXT(caller_in);
	TEXT(callee_in);
	TEXT(call_id_a);
	TEXT(call_id_b);
	NUMBER(start_us);
	NUMBER(connect_us);
	NUMBER(age_s);
	TEXT(session_timer);
	NUMBER(next_deadline_s);
	NUMBER(shard);
	return object;
}

static json_t *row_object_whole(const struct call_row *row)
{
	json_t *object = row_object(row);
	TEXT(caller_out);
	TEXT(callee_out);
	TEXT(source_address);
	TEXT(destination_address);
	NUMBER(attempts);
#undef TEXT
#undef NUMBER
	return object;
}

static int by_start(const void *a, const void *b)
{
	const struct call_row *x = *(const struct call_row *const *)a, *y = *(const struct call_row *const *)b;
	if (x->start_us != y->start_us)
		return x->start_us < y->start_us ? -1 : 1;
	return strncmp(x->cdr_id, y->cdr_id, sizeof x->cdr_id);
}

/* All rows of all shards, oldest call first.  The caller frees the list; NULL: no memory. */
static const struct call_row **job_rows(const struct calls_job *job, size_t *ret_count)
{
	size_t count = 0;
	for (unsigned i = 0; i < job->command_count; i++)
		count += job->commands[i].command.row_count;
	const struct call_row **rows = malloc((count + 1) * sizeof *rows);
	if (rows == NULL)
		return NULL;
	size_t filled = 0;
	for (unsigned i = 0; i < job->command_count; i++)
		for (uint32_t k = 0; k < job->commands[i].command.row_count; k++)
			rows[filled++] = &job->commands[i].command.rows[k];
	qsort(rows, count, sizeof *rows, by_start);
	*ret_count = count;
	return rows;
}

static void list_finish(struct calls_job *job)
{
	size_t count = 0;
	const struct call_row **rows = job_rows(job, &count);
	json_t *result = NULL;
	if (rows != NULL) {
		result = json_array();
		for (size_t i = 0; i < count && i < job->row_max; i++)
			json_array_append_new(result, row_object(rows[i]));
	}
	free(rows);
	request_result(job->request, result);
}

void method_calls_list(struct request *r)
{
	uint32_t limit = (uint32_t)request_integer(r, "limit", ROWS_DEFAULT);
	struct calls_job *job =
		job_create(r, COMMAND_CALLS_LIST, 0, node_shard_count(r->control->node), limit, list_finish);
	if (job == NULL)
		return;
	for (unsigned i = 0; i < job->command_count; i++) {
		struct command *command = &job->commands[i].command;
		COPY_TEXT(command->gateway, request_text(r, "gateway"));
		COPY_TEXT(command->number, request_text(r, "number"));
		command->older_than_s = request_integer(r, "older_than_s", 0);
		COPY_TEXT(command->id, request_text(r, "after"));
	}
	job_submit(job);
}

static void find(struct request *r, void (*finish)(struct calls_job *job))
{
	struct calls_job *job =
		job_create(r, COMMAND_CALLS_FIND, 0, node_shard_count(r->control->node), FIND_ROWS, finish);
	if (job == NULL)
		return;
	for (unsigned i = 0; i < job->command_count; i++)
		COPY_TEXT(job->commands[i].command.id, request_text(r, "call_id"));
	job_submit(job);
}

static void not_found(struct request *r)
{
	request_error(r, RPC_NOT_FOUND, "No call that is up or being set up has the cdr_id or Call-ID '%s'.",
		      request_text(r, "call_id"));
}

static void ambiguous(struct request *r, const struct call_row *const *rows, size_t count)
{
	char names[FIND_ROWS * (sizeof rows[0]->cdr_id + 2)] = "";
	size_t used = 0;
	for (size_t i = 0; i < count && i < FIND_ROWS; i++)
		used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", rows[i]->cdr_id);
	request_error(r, RPC_AMBIGUOUS, "Several calls have the Call-ID '%s'; name one by its cdr_id: %s%s.",
		      request_text(r, "call_id"), names, count > FIND_ROWS ? " and more" : "");
}

/* The one call that was found; NULL: the request has been ended with an error.  Lent until the job is freed. */
static const struct call_row *found(struct calls_job *job)
{
	size_t count = 0;
	const struct call_row **rows = job_rows(job, &count);
	const struct call_row *only = NULL;
	if (rows == NULL)
		request_error(job->request, RPC_INTERNAL, "There is no memory for the result.");
	else if (count == 0)
		not_found(job->request);
	else if (count > 1)
		ambiguous(job->request, rows, count);
	else
		only = rows[0];
	free(rows);
	return only;
}

static void show_finish(struct calls_job *job)
{
	const struct call_row *row = found(job);
	if (row != NULL)
		request_result(job->request, row_object_whole(row));
}

void method_calls_show(struct request *r)
{
	find(r, show_finish);
}

static void hangup_finish(struct calls_job *job)
{
	const struct command *command = &job->commands[0].command;
	if (command->row_count == 0) /* it ended between the two questions */
		not_found(job->request);
	else
		request_result(job->request,
			       json_pack("{s:o, s:b}", "cdr_id", JSON_TEXT_ARRAY(command->id), "hung_up", 1));
}

static void hangup_found(struct calls_job *job)
{
	struct request *r = job->request;
	const struct call_row *row = found(job);
	if (row == NULL)
		return;
	unsigned shard = 0;
	for (unsigned i = 0; i < job->command_count; i++)
		if (job->commands[i].command.row_count > 0)
			shard = job->commands[i].command.shard;
	struct calls_job *hangup = job_create(r, COMMAND_CALLS_HANGUP, shard, 1, 1, hangup_finish);
	if (hangup == NULL)
		return;
	memcpy(hangup->commands[0].command.id, row->cdr_id, sizeof row->cdr_id);
	job_submit(hangup);
}

void method_calls_hangup(struct request *r)
{
	find(r, hangup_found);
}

/* ---- node.drain ---- */

/* No shard takes a call any more. */
static void drain_finish(struct calls_job *job)
{
	const struct node *node = job->control->node;
	uint64_t calls = 0;
	for (unsigned i = 0; i < node_shard_count(node); i++) {
		struct shard_stats stats;
		node_shard_stats(node, i, &stats);
		calls += stats.calls_active + stats.calls_setup;
	}
	request_result(job->request, json_pack("{s:b, s:I, s:I}", "draining", 1, "timeout_s",
					       (json_int_t)node_drain_left_s(node), "calls", (json_int_t)calls));
}

void method_node_drain(struct request *r)
{
	struct node *node = r->control->node;
	if (node_stopping(node)) {
		request_error(r, RPC_REFUSED, "The node is stopping already.");
		return;
	}
	struct calls_job *job = job_create(r, COMMAND_DRAIN, 0, node_shard_count(node), 1, drain_finish);
	if (job == NULL)
		return;
	node_drain(node, (uint32_t)request_integer(r, "timeout_s", 0));
	job_submit(job);
}
