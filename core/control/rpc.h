/* JSON-RPC 2.0: what a request must look like, the methods there are, and how a request ends.
 *
 * A method's parameters are declared in its row, checked before it is called, and named in the error when they are
 * wrong.  A request ends exactly once, by request_result() or request_error(), at once or when the shards have
 * answered; a notification (no id) ends without a reply. */
#ifndef RW_CORE_CONTROL_RPC_H
#define RW_CORE_CONTROL_RPC_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rpc_error {
	RPC_PARSE_ERROR = -32700,
	RPC_INVALID_REQUEST = -32600,
	RPC_METHOD_UNKNOWN = -32601,
	RPC_INVALID_PARAMS = -32602,
	RPC_INTERNAL = -32603,
	RPC_NOT_FOUND = -32001,   /* no such call */
	RPC_AMBIGUOUS = -32002,   /* several calls have this Call-ID */
	RPC_UNAVAILABLE = -32003, /* not in this version */
	RPC_BUSY = -32004,        /* too much under way */
	RPC_STORE = -32005,       /* the database refused */
	RPC_REFUSED = -32006,     /* the configuration, or the state of the node, does not allow it */
};

struct connection;
struct control;
struct request;

enum field_kind { FIELD_INTEGER, FIELD_TEXT, FIELD_BOOL, FIELD_ANY };

struct field {
	const char *name; /* NULL ends a list */
	enum field_kind kind;
	bool required;
	int64_t min, max; /* of an integer; of a text's size in bytes */
};

struct method {
	const char *name;
	void (*call)(struct request *r);
	const struct field *fields; /* NULL: none */
};

struct request {
	struct control *control;
	struct connection *connection;
	json_t *id;     /* NULL: a notification */
	json_t *params; /* an object, maybe empty */
	const struct method *method;
	struct calls_job *job;     /* what the shards were asked for it; NULL: nothing */
	struct change_job *change; /* what the loading thread was asked for it; NULL: nothing */
	struct report_job *report; /* what is read from the store for it; NULL: nothing */
};

/* Reads a line.  NULL: it is no JSON, and the error has been sent. */
json_t *rpc_read(struct connection *n, const char *line, size_t size);
/* Carries out one request, borrowed; if it does not end at once it is connection->request. */
void rpc_request(struct connection *n, json_t *value);
void rpc_line_too_long(struct connection *n);

/* The parameter's value, or what stands for it when it was not given. */
int64_t request_integer(const struct request *r, const char *name, int64_t absent);
const char *request_text(const struct request *r, const char *name); /* "" when absent; lent until the request ends */
bool request_flag(const struct request *r, const char *name);

/* End the request; request_result() takes the result (NULL: there was no memory for it). */
void request_result(struct request *r, json_t *result);
void request_error(struct request *r, enum rpc_error code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* Ends it without a reply. */
void request_drop(struct request *r);

/* A reply that needs no connection, for one that is turned away.  NULL: no memory. */
json_t *rpc_error_reply(const json_t *id, enum rpc_error code, const char *message);

#endif
