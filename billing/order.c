/* Orders: see order.h. */
#include "billing/order.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct ledger_note note_of(const struct order *order, int64_t now_us)
{
	return (struct ledger_note){ .when_us = now_us, .who = order->who, .reason = order->reason };
}

static int topup(const struct order *order, const char *path, int64_t now_us, struct order_outcome *o)
{
	const struct ledger_note note = note_of(order, now_us);

	snprintf(o->account, sizeof(o->account), "%s", order->account.name);
	o->moved_e8 = order->amount_e8;
	return account_topup(path, order->account.name, order->amount_e8, &note, &o->balance_e8, o->error);
}

static int adjust(const struct order *order, const char *path, int64_t now_us, struct order_outcome *o)
{
	const struct ledger_note note = note_of(order, now_us);
	const int result =
		account_adjust(path, order->cdr_path, order->cdr_id, order->amount_e8, &note, &o->correction, o->error);

	memcpy(o->account, o->correction.account, sizeof(o->account));
	o->moved_e8 = o->correction.moved_e8;
	o->balance_e8 = o->correction.balance_e8;
	return result;
}

static int import(const struct order *order, const char *path, int64_t now_us, struct order_outcome *o)
{
	struct rates_import report;
	const int result = rates_import(path, order->table, order->file, now_us, &report, &o->text, o->error);

	o->rows = report.rows;
	o->rows_before = report.before;
	o->faults = report.faults;
	return result;
}

static int export(const struct order *order, const char *path, struct order_outcome *o)
{
	if (order->file[0] != '\0')
		return rates_export(path, order->table, order->file, &o->rows, o->error);
	return rates_export_text(path, order->table, &o->rows, &o->text, o->error);
}

static int carry_out(const struct order *order, const char *path, int64_t now_us, struct order_outcome *o)
{
	switch (order->kind) {
	case ORDER_ACCOUNT_ADD:
		return account_add(path, &order->account, now_us, o->error);
	case ORDER_ACCOUNT_SET:
		return account_set(path, &order->account, o->error);
	case ORDER_ACCOUNT_TOPUP:
		return topup(order, path, now_us, o);
	case ORDER_CDR_ADJUST:
		return adjust(order, path, now_us, o);
	case ORDER_RATES_IMPORT:
		return import(order, path, now_us, o);
	case ORDER_RATES_EXPORT:
		return export(order, path, o);
	case ORDER_RATES_DELETE:
		return rates_delete(path, order->table, &o->rows_before, o->error);
	}
	return -ENOSYS;
}

/* A bank begins with the balance that it finds when it first sees the account, and is told of each movement from then
 * on (core/command.h): so a balance that moves is no other tariff. */
static bool changes_tariff(enum order_kind kind)
{
	return kind == ORDER_ACCOUNT_ADD || kind == ORDER_ACCOUNT_SET || kind == ORDER_RATES_IMPORT ||
	       kind == ORDER_RATES_DELETE;
}

void order_carry_out(const struct order *order, const char *path, int64_t now_us, struct order_outcome *ret_outcome)
{
	struct order_outcome o = { .result = 0 };

	o.result = carry_out(order, path, now_us, &o);
	o.tariff_changed = o.result == 0 && changes_tariff(order->kind);
	if (o.result < 0)
		o.moved_e8 = 0;
	*ret_outcome = o;
}
