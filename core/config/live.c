/* What changes while the node runs: one parameter, the accounts and rates, or all that a reload may change.  */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "billing/tariff.h"
#include "core/config/load.h"

void drop_tariff(struct config *c)
{
	if (c->tariff_shares && --*c->tariff_shares == 0) {
		tariff_free(c->tariff);
		free(c->tariff_shares);
	}
	c->tariff = NULL;
	c->tariff_shares = NULL;
}

int config_take_tariff(struct config *c, struct tariff *tariff)
{
	uint32_t *shares = malloc(sizeof *shares);

	if (!shares) {
		tariff_free(tariff);
		return -ENOMEM;
	}
	drop_tariff(c);
	*shares = 1;
	c->tariff = tariff;
	c->tariff_generation = c->generation;
	c->tariff_shares = shares;
	return 0;
}

/* All of it is shared. */
static void share(struct config *new)
{
	new->generation = load_generation();
	++*new->shares;
	if (new->tariff_shares)
		++*new->tariff_shares;
}

int config_with_tariff(const struct config *old, struct tariff *tariff, struct config **ret_config)
{
	struct config *new = malloc(sizeof *new);

	if (!new) {
		tariff_free(tariff);
		return -ENOMEM;
	}
	*new = *old;
	share(new);
	int result = config_take_tariff(new, tariff);
	if (result < 0)
		config_free(new);
	else
		*ret_config = new;
	return result;
}

int config_with_parameter(const struct config *old, const char *name, const char *value, struct config **ret_config,
			  char error[static 256])
{
	struct config *new = malloc(sizeof *new);

	error[0] = '\0';
	if (!new) {
		snprintf(error, 256, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	*new = *old;
	int result = parameter_set(&new->parameters, name, value, error);
	if (result == 0)
		result = parameters_check(&new->parameters, error);
	if (result < 0) {
		free(new);
		return result;
	}
	share(new);
	*ret_config = new;
	return 0;
}

static int refuse(const struct config *new, char error[static 512], const char *key)
{
	if (new->path[0])
		snprintf(error, 512, "%.300s: %s: only a restart can change it", new->path, key);
	else
		snprintf(error, 512, "%s: only a restart can change it", key);
	return -EINVAL;
}

static bool same_listen(const struct listen_config *a, const struct listen_config *b)
{
	return strcmp(a->name, b->name) == 0 && a->transport == b->transport &&
	       address_equal(&a->address, &b->address) && strcmp(a->advertise, b->advertise) == 0;
}

/* Sockets belong to their place in the list, so the order counts as well. */
static int compare_listens(const struct config *old, const struct config *new, char error[static 512])
{
	uint32_t end = old->listen_count > new->listen_count ? old->listen_count : new->listen_count;

	for (uint32_t i = 0; i < end; i++) {
		char key[CONFIG_NAME_MAX + 16];

		if (i < old->listen_count && i < new->listen_count &&same_listen(&old->listens[i], &new->listens[i]))
			continue;
		snprintf(key, sizeof key, "listen \"%s\"",
			 i < old->listen_count ? old->listens[i].name : new->listens[i].name);
		return refuse(new, error, key);
	}
	return 0;
}

int config_restart_needed(const struct config *old, const struct config *new, char error[static 512])
{
	const struct {
		const char *key;
		bool same;
	} keys[] = {
		{ "node", strcmp(old->node, new->node) == 0 },
		{ "data_dir", strcmp(old->data_dir, new->data_dir) == 0 },
		{ "control", strcmp(old->control, new->control) == 0 },
		{ "workers", old->workers == new->workers },
		{ "max_calls", old->calls_max == new->calls_max },
		{ "max_connections", old->connections_max == new->connections_max },
		{ "prefault", old->prefault == new->prefault },
		{ "steering", old->steering == new->steering },
		{ "journal_sync_ms", old->journal_sync_ms == new->journal_sync_ms },
		{ "journal_segment_mb", old->journal_segment_mb == new->journal_segment_mb },
		{ "answer_after_sync", old->answer_after_sync == new->answer_after_sync },
		{ "cdr_store", strcmp(old->cdr_store, new->cdr_store) == 0 },
		{ "cdr_files", old->cdr_files == new->cdr_files },
	};

	error[0] = '\0';
	for (unsigned i = 0; i < sizeof keys / sizeof keys[0]; i++)
		if (!keys[i].same)
			return refuse(new, error, keys[i].key);
	return compare_listens(old, new, error);
}
