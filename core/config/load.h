/* Building a configuration from what the reader found: shared by the files that load a part of it, nobody else's.  */
#ifndef RW_CORE_CONFIG_LOAD_H
#define RW_CORE_CONFIG_LOAD_H

#include "core/config/config.h"
#include "core/config/reader.h"

struct loading {
	struct reader reader;
	struct config *config;
};

/* The number of a new configuration. */
uint32_t load_generation(void);

/* Frees the tariff unless others share it. */
void drop_tariff(struct config *c);

/* Each function: 0, or a negative errno with the error noted (but -ENOMEM, which explains itself). */

/* A path of the file: relative ones are relative to the file's directory. */
int load_path(struct loading *l, unsigned line, const char *key, const char *text, char path[static 4096]);

/* Both kinds of gateways, the tables of sources and routes, and the ids.  The listeners are there already. */
int load_gateways(struct loading *l);
void free_gateways(struct config *c);

/* One section each; the gateway is zero before, and free_gateways() takes what a failure leaves.  What names other
 * gateways waits until all are there: load_choice(). */
int load_mapping(struct loading *l, const struct section *section, struct mapping_gateway *gateway);
int load_routing(struct loading *l, const struct section *section, struct routing_gateway *gateway);

/* allow and deny of a mapping gateway, as indices in routings for the time being. */
int load_choice(struct loading *l, const struct section *section, struct mapping_gateway *gateway);

/* What both kinds have. */
int load_account(struct loading *l, const struct section *section, char *account);
int load_rewrite(struct loading *l, const struct section *section, const char *key, struct rewrite_rules **ret_rules);
int load_prefix_mode(struct loading *l, const struct section *section, enum prefix_mode *mode);

/* Of uint32_t, for qsort(3) and bsearch(3). */
int compare_numbers(const void *a, const void *b);

/* The listener that the section names; -1 where it names none. */
int load_listener(struct loading *l, const struct section *section, int *ret_listener);
/* The first listener of a family and transport (-1: any, UDP before others); -1: there is none. */
int first_listener(const struct config *c, uint8_t family, int transport);
const char *family_name(uint8_t family);

/* The addresses of a routing gateway, names resolved, and its listener. */
int load_destinations(struct loading *l, const struct section *section, struct routing_gateway *gateway);

/* Listed prefixes and those of the prefix file. */
int load_prefixes(struct loading *l, const struct section *section, struct routing_gateway *gateway);
/* NULL, or what is wrong with a dialled prefix. */
const char *check_prefix(const char *prefix, size_t length);

#endif
