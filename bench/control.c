/* A request to the control socket: see the header. */
#include "bench/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { WAIT_SECONDS = 5 };

static int connect_to(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct timeval wait = { .tv_sec = WAIT_SECONDS };

	if (strlen(path) >= sizeof to.sun_path)
		return -1;
	memcpy(to.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
	if (connect(fd, (const struct sockaddr *)&to, sizeof to) == 0)
		return fd;
	close(fd);
	return -1;
}

/* One line and no more: the peer keeps the connection open. */
static json_t *exchange(FILE *f, const char *method)
{
	char *line = NULL;
	size_t room = 0;
	json_t *reply = NULL;

	fprintf(f, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\"}\n", method);
	if (fflush(f) == 0 && getline(&line, &room, f) > 0)
		reply = json_loads(line, 0, NULL);
	free(line);
	json_t *result = json_incref(json_object_get(reply, "result"));
	json_decref(reply);
	return result;
}

json_t *control_ask(const char *path, const char *method)
{
	int fd = connect_to(path);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r+");
	json_t *result = f ? exchange(f, method) : NULL;

	if (!result)
		fprintf(stderr, "rwbench: no answer to \"%s\" from %s\n", method, path);
	if (f)
		fclose(f);
	else if (fd >= 0)
		close(fd);
	return result;
}
