/* Listeners on a port that nobody has: for tests that run beside others. */
#ifndef RW_TESTS_CORE_NET_SOMEWHERE_H
#define RW_TESTS_CORE_NET_SOMEWHERE_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/net/listener.h"

/* Opens those of `configured` for the first free port, which is none that the kernel gives out, nor one of
 * tests/interop or of the tests of whole switches (63000 and above). */
static inline struct listeners *listen_somewhere(unsigned workers, const struct config *(*configured)(uint16_t port))
{
	struct listeners *listeners = NULL;
	char error[256];

	for (uint16_t port = 61000 + (uint16_t)(getpid() % 1500);; port++) {
		int r = listeners_open(configured(port), workers, &listeners, error);

		if (r == 0)
			return listeners;
		if (r != -EADDRINUSE) {
			fprintf(stderr, "%s\n", error);
			exit(1);
		}
	}
}

#endif
