/* The caller's end of the control socket: one request at a time, and its answer. */
#ifndef RW_TOOLS_RWCTL_CLIENT_H
#define RW_TOOLS_RWCTL_CLIENT_H

#include <jansson.h>

#define CLIENT_ERROR_SIZE 8192 /* bytes of a reason, with its NUL */

struct client;

/* 0, or a negative errno and a sentence in `error`. */
int client_open(const char *path, struct client **ret_client, char error[static CLIENT_ERROR_SIZE]);
void client_close(struct client *c);

/* The result, which the caller releases; NULL: the switch's sentence, or what went wrong on the way, is in `error`.
 * Takes `params` (NULL: none). */
json_t *client_call(struct client *c, const char *method, json_t *params, char error[static CLIENT_ERROR_SIZE]);

#endif
