/* One row a method; then those that need nothing from the shards. */
#include "core/control/methods.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/control/internal.h"
#include "core/control/text.h"

static json_t *listening(const struct config *config)
{
	json_t *list = json_array();
	for (uint32_t i = 0; i < config->listen_count; i++) {
		const struct listen_config *l = &config->listens[i];
		char address[ADDRESS_TEXT_MAX];
		address_write(&l->address, address);
		json_array_append_new(list, json_pack("{s:o, s:s, s:s, s:o}", "name", json_text_terminated(l->name),
						      "transport", transport_name(l->transport), "address", address,
						      "advertised", json_text_terminated(l->host_port)));
	}
	return list;
}

static void method_node_info(struct request *r)
{
	const struct node *node = r->control->node;
	const struct config *config = node_config(node);
	json_t *result = json_pack(
		"{s:s, s:o, s:I, s:I, s:i, s:i, s:o, s:s, s:I, s:i, s:b, s:b, s:I, s:I, s:o, s:o, s:o}", "version",
		RW_VERSION, "node", json_text_terminated(config->node), "uptime_s", (json_int_t)node_uptime_s(node),
		"started_us", (json_int_t)node_started_us(node), "pid", (int)getpid(), "workers",
		(int)node_shard_count(node), "listen", listening(config), "steering",
		node_steering_by_bpf(node) ? "bpf" : "mailbox", "max_calls", (json_int_t)config->calls_max, "boot",
		(int)node_boot(node), "stopping", (int)node_stopping(node), "draining", (int)node_draining(node),
		"drain_left_s", (json_int_t)node_drain_left_s(node), "generation", (json_int_t)config->generation,
		"configuration", json_text_terminated(config->path), "data_dir", json_text_terminated(config->data_dir),
		"database", json_text_terminated(node_database_path(node)));
	request_result(r, result);
}

static void method_node_stop(struct request *r)
{
	const bool keep_calls = request_flag(r, "keep_calls");

	node_stop(r->control->node, keep_calls);
	request_result(r, json_pack("{s:b, s:b}", "stopping", 1, "keep_calls", (int)keep_calls));
}

static void method_config_show(struct request *r)
{
	const struct config *config = node_config(r->control->node);
	char *text = config_text(config);
	json_t *result = NULL;
	if (text != NULL)
		result = json_pack("{s:o, s:o}", "file", json_text_terminated(config->path), "text",
				   json_text_terminated(text));
	free(text);
	request_result(r, result);
}

json_t *parameter_json(int index, const char *text)
{
	bool on = false;
	switch (parameter_infos[index].kind) {
	case PARAMETER_U32:
		return json_integer((json_int_t)strtoul(text, NULL, 0));
	case PARAMETER_BOOL:
		parameter_read_switch(text, &on);
		return json_boolean(on);
	case PARAMETER_WAITS:
		break;
	}
	return json_text_terminated(text);
}

static json_t *parameter_value(const struct parameters *p, int index)
{
	char text[PARAMETER_TEXT_MAX];
	parameter_text(p, index, text, sizeof text);
	return parameter_json(index, text);
}

static void parameter_range(const struct parameter_info *info, char *text, size_t size)
{
	char min[16];
	switch (info->kind) {
	case PARAMETER_U32:
		snprintf(text, size, "%s..%u", parameter_min_text(info, min), info->max);
		break;
	case PARAMETER_BOOL:
		snprintf(text, size, "on/off");
		break;
	case PARAMETER_WAITS:
		snprintf(text, size, "1 to %d waits of %g..%g", PARAMETER_WAITS_MAX, info->min / 1000.0,
			 info->max / 1000.0);
		break;
	}
}

static json_t *parameter_row(const struct parameters *in_force, int index)
{
	const struct parameter_info *info = &parameter_infos[index];
	struct parameters defaults;
	parameters_defaults(&defaults);
	char range[64];
	parameter_range(info, range, sizeof range);
	return json_pack("{s:s, s:o, s:o, s:s, s:s, s:s}", "name", info->name, "value",
			 parameter_value(in_force, index), "default", parameter_value(&defaults, index), "range", range,
			 "unit", info->unit, "text", info->text);
}

static void method_parameters_get(struct request *r)
{
	const struct parameters *in_force = &node_config(r->control->node)->parameters;
	const char *name = request_text(r, "name");
	if (name[0] != '\0') {
		int index = parameter_find(name);
		if (index < 0)
			request_error(r, RPC_INVALID_PARAMS, "There is no parameter '%.64s'.", name);
		else
			request_result(r, parameter_row(in_force, index));
		return;
	}
	json_t *rows = json_array();
	for (unsigned i = 0; i < parameter_count; i++)
		json_array_append_new(rows, parameter_row(in_force, (int)i));
	request_result(r, rows);
}

static const struct field calls_list_fields[] = {
	{ .name = "limit", .kind = FIELD_INTEGER, .min = 1, .max = 10000 },
	{ .name = "gateway", .kind = FIELD_TEXT, .min = 0, .max = 63 },
	{ .name = "number", .kind = FIELD_TEXT, .min = 0, .max = 63 },
	{ .name = "older_than_s", .kind = FIELD_INTEGER, .min = 0, .max = INT32_MAX },
	{ .name = "after", .kind = FIELD_TEXT, .min = 0, .max = 63 },
	{ .name = NULL },
};

static const struct field call_fields[] = {
	{ .name = "call_id", .kind = FIELD_TEXT, .required = true, .min = 1, .max = 255 },
	{ .name = NULL },
};

#define CDR_FILTER_FIELDS                                                                                              \
	{ .name = "since", .kind = FIELD_INTEGER, .min = 0, .max = INT64_MAX },                                        \
		{ .name = "until", .kind = FIELD_INTEGER, .min = 0, .max = INT64_MAX },                                \
		{ .name = "account", .kind = FIELD_TEXT, .min = 0, .max = 63 },                                        \
		{ .name = "gateway", .kind = FIELD_TEXT, .min = 0, .max = 63 },                                        \
		{ .name = "number", .kind = FIELD_TEXT, .min = 0, .max = 63 },                                         \
		{ .name = "end_reason", .kind = FIELD_TEXT, .min = 0, .max = 63 },                                     \
		{ .name = "answered", .kind = FIELD_BOOL },                                                            \
		{ .name = "cdr_id", .kind = FIELD_TEXT, .min = 0, .max = 63 },                                         \
	{                                                                                                              \
		.name = "min_hold_ms", .kind = FIELD_INTEGER, .min = 0, .max = INT64_MAX                               \
	}

static const struct field cdr_list_fields[] = {
	{ .name = "limit", .kind = FIELD_INTEGER, .min = 1, .max = 10000 },
	{ .name = "before", .kind = FIELD_TEXT, .min = 0, .max = 63 },
	CDR_FILTER_FIELDS,
	{ .name = NULL },
};

static const struct field cdr_sums_fields[] = {
	{ .name = "by", .kind = FIELD_TEXT, .required = true, .min = 1, .max = 63 },
	{ .name = "utc_offset_s", .kind = FIELD_INTEGER, .min = -86400, .max = 86400 },
	CDR_FILTER_FIELDS,
	{ .name = NULL },
};

static const struct field parameters_get_fields[] = {
	{ .name = "name", .kind = FIELD_TEXT, .min = 1, .max = 64 },
	{ .name = NULL },
};

static const struct field parameters_set_fields[] = {
	{ .name = "name", .kind = FIELD_TEXT, .required = true, .min = 1, .max = 64 },
	{ .name = "value", .kind = FIELD_ANY, .required = true },
	{ .name = NULL },
};

static const struct field node_stop_fields[] = {
	{ .name = "keep_calls", .kind = FIELD_BOOL },
	{ .name = NULL },
};

static const struct field node_drain_fields[] = {
	{ .name = "timeout_s", .kind = FIELD_INTEGER, .min = 0, .max = 604800 },
	{ .name = NULL },
};

static const struct field log_level_fields[] = {
	{ .name = "level", .kind = FIELD_ANY },
	{ .name = NULL },
};

static const struct method methods[] = {
	{ "node.info", method_node_info, NULL },
	{ "node.stop", method_node_stop, node_stop_fields },
	{ "node.drain", method_node_drain, node_drain_fields },
	{ "stats", method_stats, NULL },
	{ "stats.prometheus", method_stats_prometheus, NULL },
	{ "calls.list", method_calls_list, calls_list_fields },
	{ "calls.show", method_calls_show, call_fields },
	{ "calls.hangup", method_calls_hangup, call_fields },
	{ "config.show", method_config_show, NULL },
	{ "config.reload", method_config_reload, NULL },
	{ "parameters.get", method_parameters_get, parameters_get_fields },
	{ "parameters.set", method_parameters_set, parameters_set_fields },
	{ "gateways.list", method_gateways_list, NULL },
	{ "cdr.list", method_cdr_list, cdr_list_fields },
	{ "cdr.sums", method_cdr_sums, cdr_sums_fields },
	{ "log.level", method_log_level, log_level_fields },
	{ "accounts.list", method_accounts_list, accounts_list_fields },
	{ "accounts.add", method_accounts_add, account_add_fields },
	{ "accounts.set", method_accounts_set, account_add_fields },
	{ "accounts.topup", method_accounts_topup, account_topup_fields },
	{ "accounts.lock", method_accounts_lock, account_name_fields },
	{ "accounts.unlock", method_accounts_unlock, account_name_fields },
	{ "accounts.ledger", method_accounts_ledger, account_ledger_fields },
	{ "cdr.adjust", method_cdr_adjust, cdr_adjust_fields },
	{ "rates.list", method_rates_list, rates_list_fields },
	{ "rates.lookup", method_rates_lookup, rates_lookup_fields },
	{ "rates.import", method_rates_import, rates_import_fields },
	{ "rates.export", method_rates_export, rates_file_fields },
	{ "rates.delete", method_rates_delete, rates_table_fields },
};

const struct method *method_find(const char *name)
{
	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
		if (strcmp(methods[i].name, name) == 0)
			return &methods[i];
	return NULL;
}
