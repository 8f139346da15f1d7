/* For tests of calls: another configuration in mid run, as after a reload. */
#ifndef RW_TESTS_CORE_CALL_RECONFIGURE_H
#define RW_TESTS_CORE_CALL_RECONFIGURE_H

#include <assert.h>
#include <unistd.h>

#include "calls.h"

/* Lines of the parameters section, and gateways; NULL: none.  Nobody looks at the former configuration again. */
static inline void reconfigure(struct sim *sim, const char *parameters, const char *gateways)
{
	char path[] = "/tmp/ringwheel-reload-XXXXXX", error[512] = "";
	struct config *former = sim->config;
	int fd = mkstemp(path);
	assert(fd >= 0);
	dprintf(fd, "node = \"sim\"\nlisten \"main\" { address = \"10.0.0.1\" port = 5060 }\nparameters {\n%s\n}\n%s",
		parameters ? parameters : "", gateways ? gateways : "");
	close(fd);
	int result = config_load(path, &sim->config, error);
	unlink(path);
	cr_assert_eq(result, 0, "%s", error);
	for (unsigned i = 0; i < sim->shard_count; i++)
		shard_configure(sim->shards[i].shard, sim->config);
	config_free(former);
}

#endif
