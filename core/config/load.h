/* Building a configuration from what the reader found: shared by config.c and gateways.c, nobody else's.  */
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

/* A path of the file: relative ones are relative to the file's directory.  0 or -EINVAL with the error noted. */
int load_path(struct loading *l, unsigned line, const char *key, const char *text, char path[static 4096]);

/* Both kinds of gateways, the tables of sources and routes, and the ids.  The listeners are there already.  0 or a
 * negative errno with the error noted. */
int load_gateways(struct loading *l);
void free_gateways(struct config *c);

#endif
