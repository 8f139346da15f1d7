/* Jobs of the loading thread: see changes.h. */
#include "core/control/changes.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "core/control/internal.h"
#include "core/control/methods.h"

struct change_job {
	struct change change;  /* first, so that a change is its job's */
	struct command credit; /* then, if a balance has moved */
	struct control *control;
	struct request *request; /* NULL: forgotten */
	void (*finish)(struct request *r, const struct change *change);
	struct change_job *previous, *next;
};

static void job_free(struct change_job *job)
{
	struct control *c = job->control;
	if (job->previous != NULL)
		job->previous->next = job->next;
	else
		c->changes = job->next;
	if (job->next != NULL)
		job->next->previous = job->previous;
	c->change_count--;
	free(job->change.warnings);
	free(job->change.outcome.text);
	free(job);
}

struct change *change_create(struct request *r, enum change_kind kind,
			     void (*finish)(struct request *r, const struct change *change))
{
	struct control *c = r->control;
	if (c->change_count >= CONTROL_CHANGES_MAX) {
		request_error(r, RPC_BUSY,
			      "Too many changes of the configuration are under way (%d); ask again in a moment.",
			      CONTROL_CHANGES_MAX);
		return NULL;
	}
	struct change_job *job = calloc(1, sizeof *job);
	if (job == NULL) {
		request_error(r, RPC_INTERNAL, "There is no memory for the request.");
		return NULL;
	}
	job->control = c;
	job->next = c->changes;
	if (job->next != NULL)
		job->next->previous = job;
	c->changes = job;
	c->change_count++;
	job->change.kind = kind;
	job->change.owner = c;
	job->finish = finish;
	job->request = r;
	r->change = job;
	return &job->change;
}

void change_submit(struct request *r, struct change *change)
{
	node_change(r->control->node, change);
}

static void job_finish(struct change_job *job)
{
	struct request *r = job->request;
	if (r != NULL) {
		r->change = NULL;
		job->finish(r, &job->change);
	}
	job_free(job);
}

/* Also if nobody waits for the answer any more. */
static void tell_home(struct change_job *job)
{
	struct node *node = job->control->node;
	unsigned shard = job->change.credit_account % node_shard_count(node);
	job->credit = (struct command){ .kind = COMMAND_CREDIT,
					.account_id = job->change.credit_account,
					.amount_e8 = job->change.outcome.moved_e8,
					.generation = job->change.generation,
					.shard = shard,
					.owner = job->control };
	node_submit(node, shard, &job->credit);
}

void control_change_done(struct control *c, struct change *change)
{
	struct change_job *job = (struct change_job *)change;
	assert(change->owner == c);
	(void)c;
	if (change->credit_account != 0)
		tell_home(job);
	else
		job_finish(job);
}

void change_credit_done(struct command *command)
{
	assert(command->kind == COMMAND_CREDIT);
	job_finish((struct change_job *)((char *)command - offsetof(struct change_job, credit)));
}

void change_job_forget(struct change_job *job)
{
	job->request->change = NULL;
	job->request = NULL;
}

void change_jobs_free(struct control *c)
{
	while (c->changes != NULL)
		job_free(c->changes);
}
