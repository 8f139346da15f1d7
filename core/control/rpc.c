/* Requests are checked here, so that a method sees only what its row allows. */
#include "core/control/rpc.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/control/connection.h"
#include "core/control/internal.h"
#include "core/control/methods.h"
#include "core/control/text.h"

#define MESSAGE_MAX 4096

json_t *rpc_error_reply(const json_t *id, enum rpc_error code, const char *message)
{
	json_t *text = json_text_terminated(message);
	return json_pack("{s:s, s:{s:i, s:o}, s:o}", "jsonrpc", "2.0", "error", "code", (int)code, "message", text,
			 "id", id != NULL ? json_incref((json_t *)(uintptr_t)id) : json_null());
}

static void send_error(struct connection *n, const json_t *id, enum rpc_error code, const char *message)
{
	json_t *reply = rpc_error_reply(id, code, message);
	connection_reply(n, reply);
	json_decref(reply);
}

json_t *rpc_read(struct connection *n, const char *line, size_t size)
{
	json_error_t error;
	json_t *value = json_loadb(line, size, JSON_DECODE_ANY, &error);
	char message[MESSAGE_MAX];
	if (value == NULL) {
		snprintf(message, sizeof message, "The line is not JSON: %s (column %d).", error.text, error.column);
		send_error(n, NULL, RPC_PARSE_ERROR, message);
	} else if (json_is_array(value) && json_array_size(value) == 0) {
		json_decref(value);
		value = NULL;
		send_error(n, NULL, RPC_INVALID_REQUEST, "A batch holds at least one request.");
	}
	return value;
}

void rpc_line_too_long(struct connection *n)
{
	send_error(n, NULL, RPC_INVALID_REQUEST, "A line is longer than 1 MiB; the connection is closed.");
}

/* What is wrong with its shape, NULL: nothing. */
static const char *shape_fault(const json_t *value)
{
	if (!json_is_object(value))
		return "A request is a JSON object.";
	const char *version = json_string_value(json_object_get(value, "jsonrpc"));
	if (version == NULL || strcmp(version, "2.0") != 0)
		return "\"jsonrpc\" must be \"2.0\".";
	if (!json_is_string(json_object_get(value, "method")))
		return "\"method\" must be a string.";
	const json_t *id = json_object_get(value, "id");
	if (id != NULL && !json_is_string(id) && !json_is_number(id) && !json_is_null(id))
		return "\"id\" must be a string, a number or null.";
	const json_t *params = json_object_get(value, "params");
	if (params != NULL && !json_is_object(params) && !json_is_array(params))
		return "\"params\" must be an object.";
	return NULL;
}

static const struct field *field_find(const struct method *m, const char *name)
{
	for (const struct field *f = m->fields; f != NULL && f->name != NULL; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

static void name_fields(const struct method *m, char *text, size_t size)
{
	size_t used = 0;
	text[0] = '\0';
	for (const struct field *f = m->fields; f != NULL && f->name != NULL && used < size; f++)
		used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? ", " : "", f->name);
}

static bool value_fits(const struct field *f, const json_t *value, char *message)
{
	int64_t measure = 0;
	bool kind_fits = false;
	switch (f->kind) {
	case FIELD_INTEGER:
		kind_fits = json_is_integer(value);
		measure = json_integer_value(value);
		snprintf(message, MESSAGE_MAX, "Parameter '%s' must be an integer from %" PRId64 " to %" PRId64 ".",
			 f->name, f->min, f->max);
		break;
	case FIELD_TEXT:
		kind_fits = json_is_string(value);
		measure = (int64_t)json_string_length(value);
		snprintf(message, MESSAGE_MAX, "Parameter '%s' must be a string of %" PRId64 " to %" PRId64 " bytes.",
			 f->name, f->min, f->max);
		break;
	case FIELD_BOOL:
		snprintf(message, MESSAGE_MAX, "Parameter '%s' must be true or false.", f->name);
		return json_is_boolean(value);
	case FIELD_ANY:
		return true;
	}
	return kind_fits && measure >= f->min && measure <= f->max;
}

/* Whether the parameters are those that the method has; a null is as good as none. */
static bool params_fit(const struct method *m, json_t *params, char *message)
{
	const char *name;
	json_t *value;
	json_object_foreach(params, name, value)
	{
		if (field_find(m, name) != NULL)
			continue;
		char allowed[256];
		name_fields(m, allowed, sizeof allowed);
		if (allowed[0] == '\0')
			snprintf(message, MESSAGE_MAX, "%s has no parameters; '%.64s' was given.", m->name, name);
		else
			snprintf(message, MESSAGE_MAX, "%s has no parameter '%.64s'; there are: %s.", m->name, name,
				 allowed);
		return false;
	}
	for (const struct field *f = m->fields; f != NULL && f->name != NULL; f++) {
		value = json_object_get(params, f->name);
		if (value == NULL || json_is_null(value)) {
			if (!f->required)
				continue;
			snprintf(message, MESSAGE_MAX, "Parameter '%s' is missing.", f->name);
			return false;
		}
		if (!value_fits(f, value, message))
			return false;
	}
	return true;
}

static void begin(struct connection *n, const struct method *m, json_t *id, json_t *params)
{
	struct request *r = calloc(1, sizeof *r);
	json_t *own = params != NULL ? json_incref(params) : json_object();
	if (r == NULL || own == NULL) {
		free(r);
		json_decref(own);
		if (id != NULL)
			send_error(n, id, RPC_INTERNAL, "There is no memory for the request.");
		return;
	}
	*r = (struct request){ .control = n->control, .connection = n, .method = m, .params = own };
	r->id = id != NULL ? json_incref(id) : NULL;
	n->request = r;
	m->call(r);
}

void rpc_request(struct connection *n, json_t *value)
{
	assert(n->request == NULL);
	json_t *id = json_object_get(value, "id");
	const char *fault = shape_fault(value);
	if (fault != NULL) {
		bool id_usable = json_is_string(id) || json_is_number(id);
		send_error(n, id_usable ? id : NULL, RPC_INVALID_REQUEST, fault);
		return;
	}
	char message[MESSAGE_MAX];
	const char *name = json_string_value(json_object_get(value, "method"));
	json_t *params = json_object_get(value, "params");
	const struct method *m = method_find(name);
	if (m == NULL) {
		snprintf(message, sizeof message, "There is no method '%.64s'.", name);
		if (id != NULL)
			send_error(n, id, RPC_METHOD_UNKNOWN, message);
		return;
	}
	bool fits;
	if (json_is_array(params)) {
		fits = json_array_size(params) == 0;
		snprintf(message, sizeof message, "Parameters are given by name, as an object.");
		params = NULL;
	} else {
		fits = params_fit(m, params, message);
	}
	if (fits)
		begin(n, m, id, params);
	else if (id != NULL)
		send_error(n, id, RPC_INVALID_PARAMS, message);
}

int64_t request_integer(const struct request *r, const char *name, int64_t absent)
{
	assert(field_find(r->method, name) != NULL);
	const json_t *value = json_object_get(r->params, name);
	return json_is_integer(value) ? json_integer_value(value) : absent;
}

const char *request_text(const struct request *r, const char *name)
{
	assert(field_find(r->method, name) != NULL);
	const char *text = json_string_value(json_object_get(r->params, name));
	return text != NULL ? text : "";
}

bool request_flag(const struct request *r, const char *name)
{
	assert(field_find(r->method, name) != NULL);
	return json_is_true(json_object_get(r->params, name));
}

/* The request is over: the connection goes on with its next one. */
static void end(struct request *r)
{
	struct connection *n = r->connection;
	assert(n->request == r && r->job == NULL && r->change == NULL && r->report == NULL);
	n->request = NULL;
	json_decref(r->id);
	json_decref(r->params);
	free(r);
	control_make_ready(n->control, n);
}

void request_result(struct request *r, json_t *result)
{
	if (result == NULL) {
		request_error(r, RPC_INTERNAL, "There is no memory for the result.");
		return;
	}
	if (r->id != NULL) {
		json_t *reply = json_pack("{s:s, s:O, s:O}", "jsonrpc", "2.0", "result", result, "id", r->id);
		connection_reply(r->connection, reply);
		json_decref(reply);
	}
	json_decref(result);
	end(r);
}

void request_error(struct request *r, enum rpc_error code, const char *format, ...)
{
	char message[MESSAGE_MAX];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(message, sizeof message, format, arguments);
	va_end(arguments);
	if (r->id != NULL)
		send_error(r->connection, r->id, code, message);
	end(r);
}

void request_drop(struct request *r)
{
	if (r->job != NULL)
		calls_job_forget(r->job);
	if (r->change != NULL)
		change_job_forget(r->change);
	if (r->report != NULL)
		report_job_forget(r->report);
	end(r);
}
