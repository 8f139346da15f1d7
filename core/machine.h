/* This start of the machine: what only lies in memory, be it a file's, means nothing after another one, and neither do
 * times of CLOCK_MONOTONIC. */
#ifndef RW_CORE_MACHINE_H
#define RW_CORE_MACHINE_H

#include <stdint.h>

/* A number made of the kernel's boot_id, never 0.  0 or a negative errno. */
int machine_start(uint64_t *ret_machine);

#endif
