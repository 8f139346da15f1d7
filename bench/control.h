/* Ringwheel's control socket, as far as a measurement asks it: JSON-RPC 2.0, one line there, one line back. */
#ifndef RW_BENCH_CONTROL_H
#define RW_BENCH_CONTROL_H

#include <jansson.h>

/* The result of a method without parameters, a new object; NULL: the reason is on stderr. */
json_t *control_ask(const char *path, const char *method);

#endif
