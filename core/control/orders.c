/* Orders of the control socket: see orders.h. */
#include "core/control/orders.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "billing/money.h"
#include "core/control/internal.h"

void write_ledger_path(const struct request *r, char path[static LEDGER_PATH_BYTES])
{
	snprintf(path, LEDGER_PATH_BYTES, "%s/" LEDGER_FILE, node_config(r->control->node)->data_dir);
}

struct change *order_create(struct request *r, enum order_kind kind,
			    void (*finish)(struct request *r, const struct change *change))
{
	struct change *change = change_create(r, CHANGE_ORDER, finish);
	if (change != NULL)
		change->order.kind = kind;
	return change;
}

static enum rpc_error code_of(int result)
{
	switch (result) {
	case -ENOENT:
		return RPC_NOT_FOUND;
	case -EINVAL:
	case -ERANGE:
	case -EEXIST:
	case -EFBIG:
	case -ENAMETOOLONG:
		return RPC_INVALID_PARAMS;
	case -EBUSY:
		return RPC_REFUSED;
	case -ENOMEM:
		return RPC_INTERNAL;
	default:
		return RPC_STORE;
	}
}

bool order_failed(struct request *r, const struct change *change)
{
	if (change->result >= 0)
		return false;
	const char *reason =
		change->outcome.text != NULL && change->outcome.result < 0 ? change->outcome.text : change->error;
	request_error(r, code_of(change->result), "%s", reason);
	return true;
}

void read_failed(struct request *r, int result, const char *error)
{
	request_error(r, code_of(result), "%s", error[0] != '\0' ? error : strerror(-result));
}

json_t *amount_json(int64_t e8)
{
	char text[MONEY_TEXT_MAX];
	money_write_short(e8, 2, text);
	return json_string(text);
}

bool amount_read(struct request *r, const char *name, int64_t *ret_e8)
{
	const char *text = request_text(r, name);
	if (money_parse(text, strlen(text), ret_e8))
		return true;
	request_error(r, RPC_INVALID_PARAMS,
		      "'%s' must be an amount like \"12.50\", of at most 8 decimals, not '%.40s'.", name, text);
	return false;
}

void order_sign(struct request *r, struct order *order)
{
	struct ucred peer;
	socklen_t size = sizeof peer;
	const char *who = request_text(r, "who");
	if (who[0] != '\0')
		snprintf(order->who, sizeof order->who, "%s", who);
	else if (getsockopt(r->connection->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0)
		snprintf(order->who, sizeof order->who, "uid %u", (unsigned)peer.uid);
	snprintf(order->reason, sizeof order->reason, "%s", request_text(r, "reason"));
}
