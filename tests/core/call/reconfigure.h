/* For tests of calls: another configuration in mid run, as after a reload. */
#ifndef RW_TESTS_CORE_CALL_RECONFIGURE_H
#define RW_TESTS_CORE_CALL_RECONFIGURE_H

#include "calls.h"

/* Lines of the parameters section, and gateways; NULL: none.  Nobody looks at the former configuration again. */
static inline void reconfigure(struct sim *sim, const char *parameters, const char *gateways)
{
	node_configure(sim, parameters ? parameters : "", gateways ? gateways : "");
}

#endif
