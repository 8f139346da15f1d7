/* Loading the steering program: see the header. */
#include "core/net/steer_bpf.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#ifdef RW_STEER_BPF

#include <asm/socket.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdlib.h>
#include <sys/socket.h>

/* The compiled program, made by the build. */
extern const unsigned char steer_object[];
extern const unsigned steer_object_size;

struct steer_bpf {
	struct bpf_object *object;
	int fd;
};

static int silent(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

/* Its only read-only data; -EINVAL if it was built from another declaration. */
static int set_constants(struct bpf_object *object, const struct steer_key *key, unsigned workers)
{
	struct steer_constants constants = { .key = *key, .workers = workers };
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
	{
		size_t size;
		const void *initial = bpf_map__initial_value(map, &size);

		if (initial && size == sizeof constants)
			return bpf_map__set_initial_value(map, &constants, sizeof constants);
	}
	return -EINVAL;
}

static int load(struct steer_bpf *s, const struct steer_key *key, unsigned workers)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "ringwheel");

	s->object = bpf_object__open_mem(steer_object, steer_object_size, &opts);
	if (!s->object)
		return -errno;
	int r = set_constants(s->object, key, workers);
	if (r == 0)
		r = bpf_object__load(s->object);
	if (r < 0)
		return r;
	struct bpf_program *program = bpf_object__find_program_by_name(s->object, "steer");
	if (!program)
		return -ENOENT;
	s->fd = bpf_program__fd(program);
	return 0;
}

int steer_bpf_load(const struct steer_key *key, unsigned workers, struct steer_bpf **ret_steer, char error[static 256])
{
	struct steer_bpf *s = calloc(1, sizeof *s);

	if (!s)
		return -ENOMEM;
	libbpf_set_print(silent);
	int r = load(s, key, workers);
	if (r < 0) {
		snprintf(error, 256, "cannot load the steering program: %s",
			 r == -EPERM || r == -EACCES ? "not permitted (CAP_BPF and CAP_NET_ADMIN, or root)"
						     : strerror(-r));
		steer_bpf_free(s);
		return r;
	}
	*ret_steer = s;
	return 0;
}

void steer_bpf_free(struct steer_bpf *s)
{
	if (!s)
		return;
	bpf_object__close(s->object);
	free(s);
}

int steer_bpf_attach(const struct steer_bpf *s, int fd, char error[static 256])
{
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, &s->fd, sizeof s->fd) == 0)
		return 0;
	int r = -errno;
	snprintf(error, 256, "cannot attach the steering program: %s", strerror(-r));
	return r;
}

int steer_bpf_fd(const struct steer_bpf *s)
{
	return s->fd;
}

#else

int steer_bpf_load(const struct steer_key *key, unsigned workers, struct steer_bpf **ret_steer, char error[static 256])
{
	(void)key;
	(void)workers;
	(void)ret_steer;
	snprintf(error, 256, "the steering program is not in this build");
	return -ENOTSUP;
}

void steer_bpf_free(struct steer_bpf *s)
{
	(void)s;
}

int steer_bpf_attach(const struct steer_bpf *s, int fd, char error[static 256])
{
	(void)s;
	(void)fd;
	snprintf(error, 256, "the steering program is not in this build");
	return -ENOTSUP;
}

int steer_bpf_fd(const struct steer_bpf *s)
{
	(void)s;
	return -1;
}

#endif
