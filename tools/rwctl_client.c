/* JSON-RPC 2.0 over a UNIX stream socket, a line each way. */
#include "tools/rwctl_client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_WAIT_S 30
#define RELOAD_WAIT_S 1800 /* a busy machine reads a large configuration in what its calls leave over */
#define REPORT_WAIT_S 180  /* the switch gives a report up before */
#define ANSWER_MAX    ((size_t)1 << 30)
#define READ_SIZE     65536

struct client {
	int fd;
	int wait_s; /* for the answer under way */
	json_int_t last_id;
	char *input; /* read and not used yet */
	size_t input_size, input_capacity;
};

int client_open(const char *path, struct client **ret_client, char error[static CLIENT_ERROR_SIZE])
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	if (path[0] == '\0') {
		snprintf(error, CLIENT_ERROR_SIZE, "the path of the control socket is empty");
		return -EINVAL;
	}
	if (strlen(path) >= sizeof address.sun_path) {
		snprintf(error, CLIENT_ERROR_SIZE, "the path of a socket may have %zu bytes",
			 sizeof address.sun_path - 1);
		return -ENAMETOOLONG;
	}
	strcpy(address.sun_path, path);
	struct client *c = calloc(1, sizeof *c);
	if (c == NULL) {
		snprintf(error, CLIENT_ERROR_SIZE, "no memory");
		return -ENOMEM;
	}
	c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) {
		int result = -errno;
		snprintf(error, CLIENT_ERROR_SIZE, "cannot connect to %s: %s%s", path, strerror(-result),
			 result == -ENOENT || result == -ECONNREFUSED
				 ? " (is the switch running? -s names its control socket)"
				 : "");
		client_close(c);
		return result;
	}
	*ret_client = c;
	return 0;
}

void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	free(c->input);
	free(c);
}

static bool send_all(struct client *c, const char *bytes, size_t size)
{
	while (size > 0) {
		ssize_t sent = send(c->fd, bytes, size, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return false;
		bytes += sent;
		size -= (size_t)sent;
	}
	return true;
}

static bool send_request(struct client *c, const char *method, json_t *params, char error[static CLIENT_ERROR_SIZE])
{
	json_t *request = json_pack("{s:s, s:I, s:s, s:o*}", "jsonrpc", "2.0", "id", ++c->last_id, "method", method,
				    "params", params);
	char *line = request != NULL ? json_dumps(request, JSON_COMPACT) : NULL;
	json_decref(request);
	bool sent = line != NULL && send_all(c, line, strlen(line)) && send_all(c, "\n", 1);
	int failure = sent ? 0 : line != NULL ? errno : EINVAL;
	if (!sent)
		snprintf(error, CLIENT_ERROR_SIZE, "the request cannot be sent: %s", strerror(failure));
	free(line);
	errno = failure;
	return sent;
}

/* Reads some more.  NULL, or what went wrong. */
static const char *read_more(struct client *c)
{
	if (c->input_size >= ANSWER_MAX)
		return "the answer is too long";
	if (c->input_capacity - c->input_size < READ_SIZE) {
		size_t capacity = 2 * (c->input_capacity + READ_SIZE);
		char *input = realloc(c->input, capacity);
		if (input == NULL)
			return "no memory for the answer";
		c->input = input;
		c->input_capacity = capacity;
	}
	struct pollfd waiting = { .fd = c->fd, .events = POLLIN };
	int ready = poll(&waiting, 1, c->wait_s * 1000);
	if (ready < 0)
		return errno == EINTR ? NULL : "poll failed";
	if (ready == 0)
		return "no answer in the time that is allowed for one";
	ssize_t size = recv(c->fd, c->input + c->input_size, READ_SIZE, 0);
	if (size == 0)
		return "the switch closed the connection";
	if (size < 0)
		return errno == EINTR ? NULL : strerror(errno);
	c->input_size += (size_t)size;
	return NULL;
}

static json_t *receive(struct client *c, char error[static CLIENT_ERROR_SIZE])
{
	size_t scanned = 0;
	for (;;) {
		char *newline =
			c->input_size > scanned ? memchr(c->input + scanned, '\n', c->input_size - scanned) : NULL;
		if (newline != NULL) {
			size_t line = (size_t)(newline - c->input);
			json_t *answer = json_loadb(c->input, line, 0, NULL);
			c->input_size -= line + 1;
			memmove(c->input, newline + 1, c->input_size);
			if (answer == NULL)
				snprintf(error, CLIENT_ERROR_SIZE, "the answer is not JSON");
			return answer;
		}
		scanned = c->input_size;
		const char *fault = read_more(c);
		if (fault != NULL) {
			snprintf(error, CLIENT_ERROR_SIZE, "%s", fault);
			return NULL;
		}
	}
}

/* Whatever the loading thread does may stand behind a large configuration or import. */
static bool waits_for_loading(const char *method)
{
	return strcmp(method, "config.reload") == 0 || strcmp(method, "parameters.set") == 0 ||
	       strncmp(method, "accounts.", 9) == 0 || strncmp(method, "rates.", 6) == 0 ||
	       strcmp(method, "cdr.adjust") == 0;
}

json_t *client_call(struct client *c, const char *method, json_t *params, char error[static CLIENT_ERROR_SIZE])
{
	char unheard[CLIENT_ERROR_SIZE];
	c->wait_s = waits_for_loading(method)         ? RELOAD_WAIT_S
		    : strncmp(method, "cdr.", 4) == 0 ? REPORT_WAIT_S
						      : ANSWER_WAIT_S;
	bool sent = send_request(c, method, params, error);
	if (!sent && errno != EPIPE && errno != ECONNRESET)
		return NULL;
	/* Whoever turns a request away may say why before it closes. */
	json_t *answer = receive(c, sent ? error : unheard);
	if (answer == NULL)
		return NULL;
	const char *message = json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
	json_t *result = NULL;
	if (message != NULL)
		snprintf(error, CLIENT_ERROR_SIZE, "%s", message);
	else if (json_integer_value(json_object_get(answer, "id")) == c->last_id)
		result = json_incref(json_object_get(answer, "result"));
	if (message == NULL && result == NULL)
		snprintf(error, CLIENT_ERROR_SIZE, "the answer is not to this request");
	json_decref(answer);
	return result;
}
