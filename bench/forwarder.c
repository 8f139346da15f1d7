/* The floor: see the header. */
#include "bench/forwarder.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/load_ring.h"
#include "bench/process.h"

enum { BUFFERS = 256 };

struct forwarder {
	struct load_ring ring;
	struct load_address caller, callee;
};

static void forward(void *context, const struct load_datagram *d)
{
	struct forwarder *f = context;
	bool from_callee = memcmp(&d->from.in6, &f->callee.in6, f->callee.size) == 0;

	load_ring_send(&f->ring, 0, from_callee ? &f->caller : &f->callee, d->bytes.at, d->bytes.size);
}

static int run(const struct forwarder_settings *s, int told)
{
	static struct forwarder f;
	int socket = load_socket(&s->listen);
	int r = socket < 0 ? socket : load_ring_open(&f.ring, &socket, 1, BUFFERS);

	load_address_set(&f.caller, &s->caller);
	load_address_set(&f.callee, &s->callee);
	if (r == 0 && s->cpu >= 0 && !process_pin(0, s->cpu))
		r = -errno;
	if (write(told, &r, sizeof r) != sizeof r || r < 0)
		return 1;
	for (;;) {
		load_ring_receive(&f.ring, forward, &f);
		load_ring_wait(&f.ring, BENCH_SECOND_NS);
	}
}

pid_t forwarder_start(const struct forwarder_settings *settings)
{
	pid_t parent = getpid();
	int told[2], r;

	if (pipe(told) < 0)
		return -errno;
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, "forwarder");
		_exit(getppid() == parent ? run(settings, told[1]) : 1);
	}
	r = pid < 0 ? -errno : 0;
	close(told[1]);
	if (r == 0 && read(told[0], &r, sizeof r) != sizeof r)
		r = -ECHILD;
	close(told[0]);
	if (r < 0 && pid > 0)
		waitpid(pid, NULL, 0);
	return r < 0 ? r : pid;
}

void forwarder_stop(pid_t pid)
{
	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
