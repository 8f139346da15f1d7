/* The sockets of all listeners: one for each listener and worker, those of a listener in one SO_REUSEPORT group, bound
 * in the order of the workers, so a socket's index in its group is its worker's.  Those of TCP are listening. */
#ifndef RW_CORE_NET_LISTENER_H
#define RW_CORE_NET_LISTENER_H

#include "core/config/config.h"

struct listeners;

/* Opens and binds everything, with the TOS byte of SS_QOS_SIGNAL, kernel receive stamps and buffers as large as
 * permitted. 0, or a negative errno and a sentence that names the address in `error`. */
int listeners_open(const struct config *config, unsigned workers, struct listeners **ret_listeners,
		   char error[static 256]);
void listeners_close(struct listeners *l);

/* The TOS byte (IPv6: traffic class) of everything sent from now on, on every socket.  From any thread; nothing else
 * of the sockets changes, and connections that stand keep what they have.  0, or the first failure as a negative errno,
 * when all have been tried. */
int listeners_set_tos(const struct listeners *l, uint32_t tos);

unsigned listeners_count(const struct listeners *l);
/* One worker's sockets, listeners_count() of them, in the order of config.listens.  Lent until listeners_close(). */
const int *listeners_of(const struct listeners *l, unsigned worker);

#endif
