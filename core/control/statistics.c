/* The shards' statistics as JSON and as Prometheus text (exposition format 0.0.4).  Counters and gauges add up to the
 * node's totals, histograms are merged; the busy ratio is the mean, and of receive queues the worst counts. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/control/internal.h"
#include "core/control/methods.h"
#include "core/control/text.h"

/* Kept in thousandths, shown as the ratio its name promises. */
#define BUSY_RATIO_ONE 1000.0

static const unsigned quantiles_permille[] = { 500, 990, 999 };
static const char *const quantiles_text[] = { "0.5", "0.99", "0.999" };
#define QUANTILES (sizeof quantiles_permille / sizeof quantiles_permille[0])

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* All shards' statistics and, after them, the totals.  NULL: no memory. */
static struct shard_stats *gather(const struct node *node)
{
	unsigned shards = node_shard_count(node);
	struct shard_stats *all = calloc(shards + 1, sizeof *all);
	if (all == NULL)
		return NULL;
	struct shard_stats *total = &all[shards];
	for (unsigned i = 0; i < shards; i++) {
		node_shard_stats(node, i, &all[i]);
#define X(name, type, text) total->name += all[i].name;
		SHARD_STATS(X)
#undef X
#define X(name, text) histogram_merge(&total->name, &all[i].name);
		SHARD_HISTOGRAMS(X)
#undef X
	}
	total->loop_busy_ratio /= shards > 0 ? shards : 1;
	total->queue_age_us = total->queue_permille = 0;
	for (unsigned i = 0; i < shards; i++) {
		total->queue_age_us = larger(total->queue_age_us, all[i].queue_age_us);
		total->queue_permille = larger(total->queue_permille, all[i].queue_permille);
	}
	return all;
}

static json_t *histogram_object(const struct histogram *h)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I}", "count", (json_int_t)h->count, "sum", (json_int_t)h->sum,
			 "p50", (json_int_t)histogram_quantile(h, 500), "p99", (json_int_t)histogram_quantile(h, 990),
			 "p999", (json_int_t)histogram_quantile(h, 999), "max", (json_int_t)h->max);
}

static void add_figures(json_t *object, const struct shard_stats *s)
{
#define X(name, type, text) json_object_set_new(object, #name, json_integer((json_int_t)s->name));
	SHARD_STATS(X)
#undef X
#define X(name, text) json_object_set_new(object, #name, histogram_object(&s->name));
	SHARD_HISTOGRAMS(X)
#undef X
	json_object_set_new(object, "loop_busy_ratio", json_real((double)s->loop_busy_ratio / BUSY_RATIO_ONE));
}

/* What belongs to the node and to no shard: where it stands in struct books_figures, gauge or counter, and what it is.
 * The store is the first of the sinks. */
#define NODE_STATS(X)                                                                                                  \
	X(cdr_store_failing, sinks[0].failing, gauge, "1 while CDRs cannot be stored, else 0")                         \
	X(cdr_store_failures, sinks[0].failures, counter, "Tries to store CDRs that failed")                           \
	X(journal_bytes, journal.bytes, gauge, "Size of the journal on the disk, with what is reserved ahead")         \
	X(journal_records, journal.records, counter, "Records that are on the disk")                                   \
	X(journal_syncs, journal.syncs, counter, "Times that the disk has confirmed records")                          \
	X(journal_checkpoints, journal.checkpoints, counter, "Times that all live calls were written again")           \
	X(journal_failed, journal.failed, gauge,                                                                       \
	  "1 from when the disk has not confirmed records until the next start")                                       \
	X(journal_taking, taking, gauge, "1 while the journal has room for new calls, else 0")

/* The same of each place where CDRs go. */
#define SINK_STATS(X)                                                                                                  \
	X(failing, gauge, "1 while CDRs cannot be given to it, else 0")                                                \
	X(failures, counter, "Tries to give it CDRs that failed")                                                      \
	X(written, counter, "CDRs that it has committed")                                                              \
	X(lag, gauge, "CDRs in the journal that it has not committed yet")

#define JOURNAL_SYNC_TEXT "How long the disk took to confirm records"

static json_t *sink_object(const struct books_sink *sink)
{
	json_t *object = json_pack("{s:s}", "store", sink->name);

#define X(field, type, text) json_object_set_new(object, #field, json_integer((json_int_t)sink->field));
	SINK_STATS(X)
#undef X
	return object;
}

static void add_books(json_t *object, const struct node *node)
{
	struct books_figures figures;
	json_t *stores = json_array();

	node_books(node, &figures);
#define X(name, field, type, text) json_object_set_new(object, #name, json_integer((json_int_t)figures.field));
	NODE_STATS(X)
#undef X
	json_object_set_new(object, "journal_sync_us", histogram_object(&figures.sync_us));
	for (unsigned i = 0; i < figures.sink_count; i++)
		json_array_append_new(stores, sink_object(&figures.sinks[i]));
	json_object_set_new(object, "stores", stores);
}

void method_stats(struct request *r)
{
	unsigned count = node_shard_count(r->control->node);
	struct shard_stats *all = gather(r->control->node);
	json_t *result = NULL;
	if (all != NULL) {
		result = json_object();
		add_figures(result, &all[count]);
		add_books(result, r->control->node);
		json_t *shards = json_array();
		for (unsigned i = 0; i < count; i++) {
			json_t *shard = json_pack("{s:i}", "shard", (int)i);
			add_figures(shard, &all[i]);
			json_array_append_new(shards, shard);
		}
		json_object_set_new(result, "shards", shards);
	}
	free(all);
	request_result(r, result);
}

/* A label's value: backslash, quote and line feed are escaped. */
static void put_label(FILE *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\n')
			fputs("\\n", out);
		else if (*text == '\\' || *text == '"')
			fprintf(out, "\\%c", *text);
		else
			putc(*text, out);
	}
}

/* One sample up to its value; `quantile` and `suffix` may be "". */
static void put_sample(FILE *out, const char *name, const char *suffix, const char *node, unsigned shard,
		       const char *quantile)
{
	fprintf(out, "ringwheel_%s%s{node=\"", name, suffix);
	put_label(out, node);
	fprintf(out, "\",shard=\"%u\"", shard);
	if (quantile[0] != '\0')
		fprintf(out, ",quantile=\"%s\"", quantile);
	fputs("} ", out);
}

static void put_head(FILE *out, const char *name, const char *type, const char *text)
{
	fprintf(out, "# HELP ringwheel_%s %s\n# TYPE ringwheel_%s %s\n", name, text, name, type);
}

static void put_summary(FILE *out, const char *name, const char *node, unsigned shard, const struct histogram *h)
{
	for (size_t i = 0; i < QUANTILES; i++) {
		put_sample(out, name, "", node, shard, quantiles_text[i]);
		fprintf(out, "%" PRIu64 "\n", histogram_quantile(h, quantiles_permille[i]));
	}
	put_sample(out, name, "", node, shard, "1");
	fprintf(out, "%" PRIu64 "\n", h->max);
	put_sample(out, name, "_sum", node, shard, "");
	fprintf(out, "%" PRIu64 "\n", h->sum);
	put_sample(out, name, "_count", node, shard, "");
	fprintf(out, "%" PRIu64 "\n", h->count);
}

static void put_value(FILE *out, const char *name, uint64_t value)
{
	if (strcmp(name, "loop_busy_ratio") == 0)
		fprintf(out, "%.3f\n", (double)value / BUSY_RATIO_ONE);
	else
		fprintf(out, "%" PRIu64 "\n", value);
}

static void put_all(FILE *out, const char *node, const struct shard_stats *all, unsigned count)
{
#define X(name, type, text)                                                                                            \
	put_head(out, #name, #type, text);                                                                             \
	for (unsigned i = 0; i < count; i++) {                                                                         \
		put_sample(out, #name, "", node, i, "");                                                               \
		put_value(out, #name, all[i].name);                                                                    \
	}
	SHARD_STATS(X)
#undef X
#define X(name, text)                                                                                                  \
	put_head(out, #name, "summary", text);                                                                         \
	for (unsigned i = 0; i < count; i++)                                                                           \
		put_summary(out, #name, node, i, &all[i].name);
	SHARD_HISTOGRAMS(X)
#undef X
}

/* One sample of the node up to its value; `label` and `value` may be "". */
static void put_node_sample(FILE *out, const char *name, const char *node, const char *label, const char *value)
{
	fprintf(out, "ringwheel_%s{node=\"", name);
	put_label(out, node);
	if (label[0] != '\0')
		fprintf(out, "\",%s=\"%s", label, value);
	fputs("\"} ", out);
}

static void put_sync_times(FILE *out, const char *node, const struct histogram *h)
{
	put_head(out, "journal_sync_us", "summary", JOURNAL_SYNC_TEXT);
	for (size_t i = 0; i < QUANTILES; i++) {
		put_node_sample(out, "journal_sync_us", node, "quantile", quantiles_text[i]);
		fprintf(out, "%" PRIu64 "\n", histogram_quantile(h, quantiles_permille[i]));
	}
	put_node_sample(out, "journal_sync_us_sum", node, "", "");
	fprintf(out, "%" PRIu64 "\n", h->sum);
	put_node_sample(out, "journal_sync_us_count", node, "", "");
	fprintf(out, "%" PRIu64 "\n", h->count);
}

static void put_books(FILE *out, const struct node *node)
{
	const char *name = node_config(node)->node;
	struct books_figures figures;

	node_books(node, &figures);
#define X(stat, field, type, text)                                                                                     \
	put_head(out, #stat, #type, text);                                                                             \
	put_node_sample(out, #stat, name, "", "");                                                                     \
	fprintf(out, "%" PRIu64 "\n", (uint64_t)figures.field);
	NODE_STATS(X)
#undef X
	put_sync_times(out, name, &figures.sync_us);
#define X(field, type, text)                                                                                           \
	put_head(out, "store_" #field, #type, text);                                                                   \
	for (unsigned i = 0; i < figures.sink_count; i++) {                                                            \
		put_node_sample(out, "store_" #field, name, "store", figures.sinks[i].name);                           \
		fprintf(out, "%" PRIu64 "\n", (uint64_t)figures.sinks[i].field);                                       \
	}
	SINK_STATS(X)
#undef X
}

void method_stats_prometheus(struct request *r)
{
	const struct node *node = r->control->node;
	struct shard_stats *all = gather(node);
	char *text = NULL;
	size_t size = 0;
	json_t *result = NULL;
	FILE *out = all != NULL ? open_memstream(&text, &size) : NULL;
	if (out != NULL) {
		put_all(out, node_config(node)->node, all, node_shard_count(node));
		put_books(out, node);
		if (fclose(out) == 0)
			result = json_pack("{s:o}", "text", json_text(text, size));
	}
	free(text);
	free(all);
	request_result(r, result);
}
