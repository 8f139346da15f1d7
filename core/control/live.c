/* What changes the running node: reload, parameters.set, the log's level.  The first two are carried out by the
 * loading thread (changes.h). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/control/changes.h"
#include "core/control/internal.h"
#include "core/control/methods.h"
#include "core/control/text.h"
#include "core/log.h"

/* ---- config.reload ---- */

static json_t *warning_list(const char *lines)
{
	json_t *list = json_array();
	while (lines != NULL && *lines != '\0') {
		size_t length = strcspn(lines, "\n");
		json_array_append_new(list, json_text(lines, length));
		lines += length + (lines[length] != '\0');
	}
	return list;
}

static void finish_reload(struct request *r, const struct change *c)
{
	if (c->result < 0) {
		request_error(r, c->result == -ENOMEM ? RPC_INTERNAL : RPC_REFUSED, "%s", c->error);
		return;
	}
	request_result(r, json_pack("{s:I, s:I, s:I, s:I, s:o, s:I}", "generation", (json_int_t)c->generation,
				    "mapping_gateways", (json_int_t)c->mapping_gateways, "routing_gateways",
				    (json_int_t)c->routing_gateways, "prefixes", (json_int_t)c->prefixes, "warnings",
				    warning_list(c->warnings), "ms", (json_int_t)c->ms));
}

void method_config_reload(struct request *r)
{
	struct change *change = change_create(r, CHANGE_RELOAD, finish_reload);
	if (change != NULL)
		change_submit(r, change);
}

/* ---- parameters.set ---- */

/* A value as the configuration's reader has it.  false: it is too long, or of no kind that a parameter has. */
static bool value_text(const json_t *value, char *text, size_t size)
{
	int length = -1;
	if (json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value))
		length = snprintf(text, size, "%s", json_string_value(value));
	else if (json_is_integer(value))
		length = snprintf(text, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_real(value))
		length = snprintf(text, size, "%g", json_real_value(value));
	else if (json_is_boolean(value))
		length = snprintf(text, size, "%s", json_is_true(value) ? "on" : "off");
	return length >= 0 && (size_t)length < size;
}

static void finish_parameter(struct request *r, const struct change *c)
{
	if (c->result < 0) {
		request_error(r, c->result == -ENOMEM ? RPC_INTERNAL : RPC_INVALID_PARAMS, "%s", c->error);
		return;
	}
	int index = parameter_find(c->name);
	request_result(r, json_pack("{s:s, s:o, s:o, s:I}", "name", c->name, "value", parameter_json(index, c->value),
				    "was", parameter_json(index, c->was), "generation", (json_int_t)c->generation));
}

void method_parameters_set(struct request *r)
{
	const char *name = request_text(r, "name");
	char text[PARAMETER_TEXT_MAX];
	if (parameter_find(name) < 0) {
		request_error(r, RPC_INVALID_PARAMS, "There is no parameter '%.64s'.", name);
		return;
	}
	if (!value_text(json_object_get(r->params, "value"), text, sizeof text)) {
		request_error(r, RPC_INVALID_PARAMS, "%.64s: the value must be a number, true, false or a short text.",
			      name);
		return;
	}
	struct change *change = change_create(r, CHANGE_PARAMETER, finish_parameter);
	if (change == NULL)
		return;
	snprintf(change->name, sizeof change->name, "%s", name);
	memcpy(change->value, text, sizeof text);
	change_submit(r, change);
}

/* ---- log.level ---- */

/* By name, or by syslog's figure. */
static int level_of(const json_t *value)
{
	char text[PARAMETER_TEXT_MAX];
	return json_is_boolean(value) || !value_text(value, text, sizeof text) ? -1 : log_level_of(text);
}

void method_log_level(struct request *r)
{
	const json_t *value = json_object_get(r->params, "level");
	int was = log_get_level();
	if (value != NULL && !json_is_null(value)) {
		int level = level_of(value);
		if (level < 0) {
			request_error(r, RPC_INVALID_PARAMS,
				      "'level' must be critical, error, warning, notice, info or debug.");
			return;
		}
		log_set_level(level);
	}
	request_result(r,
		       json_pack("{s:s, s:s}", "level", log_level_name(log_get_level()), "was", log_level_name(was)));
}
