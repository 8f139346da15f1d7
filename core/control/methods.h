/* The methods of the control socket, by file: methods.c (the table, and all that the control thread answers by itself),
 * statistics.c, gateways.c, calls.c (what the shards are asked), live.c (what changes the running node), reports.c
 * (what is read from the store of CDRs), accounts.c and rates.c. */
#ifndef RW_CORE_CONTROL_METHODS_H
#define RW_CORE_CONTROL_METHODS_H

#include "core/control/rpc.h"

struct calls_job;
struct change_job;
struct command;
struct report_job;

/* NULL: unknown. */
const struct method *method_find(const char *name);

void method_stats(struct request *r);
void method_stats_prometheus(struct request *r);

void method_gateways_list(struct request *r);

void method_calls_list(struct request *r);
void method_calls_show(struct request *r);
void method_calls_hangup(struct request *r);

void method_config_reload(struct request *r);
void method_parameters_set(struct request *r);
void method_node_drain(struct request *r);
void method_log_level(struct request *r);

/* accounts.c; their fields stand with them, as those of rates.c do. */
extern const struct field accounts_list_fields[], account_add_fields[], account_topup_fields[], account_name_fields[],
	account_ledger_fields[], cdr_adjust_fields[];
void method_accounts_list(struct request *r);
void method_accounts_add(struct request *r);
void method_accounts_set(struct request *r);
void method_accounts_topup(struct request *r);
void method_accounts_lock(struct request *r);
void method_accounts_unlock(struct request *r);
void method_accounts_ledger(struct request *r);
void method_cdr_adjust(struct request *r);

extern const struct field rates_list_fields[], rates_lookup_fields[], rates_file_fields[], rates_import_fields[],
	rates_table_fields[];
void method_rates_list(struct request *r);
void method_rates_lookup(struct request *r);
void method_rates_import(struct request *r);
void method_rates_export(struct request *r);
void method_rates_delete(struct request *r);

/* A parameter's value as JSON has it: number, true/false, or the list as text. */
json_t *parameter_json(int index, const char *text);

void method_cdr_list(struct request *r);
void method_cdr_sums(struct request *r);

/* Nobody waits for the answer any more: the report ends soon, and its request with it. */
void report_job_hurry(struct report_job *job);
/* The request has gone: the report is given up. */
void report_job_forget(struct report_job *job);
/* Ends what is done; reports_free() all, which then have no request any more. */
void reports_done(struct control *c);
void reports_free(struct control *c);

/* As the three below, for what the loading thread does (control_change_done() is its second). */
void change_job_forget(struct change_job *job);
void change_jobs_free(struct control *c);

/* The request has gone; what the shards still bring is dropped. */
void calls_job_forget(struct calls_job *job);
/* A command has come back from its shard. */
void calls_command_done(struct command *command);
/* Frees all jobs of this control socket, done or not. */
void calls_jobs_free(struct control *c);

#endif
