/* Loading the filter of surplus INVITEs: see the header. */
#include "core/net/surplus_bpf.h"

#include <errno.h>
#include <stddef.h>

#ifdef RW_STEER_BPF

#include <asm/socket.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* The compiled program, made by the build. */
extern const unsigned char surplus_object[];
extern const unsigned surplus_object_size;

struct surplus_bpf {
	struct bpf_object *object;
	int fd;
	struct surplus_shared *shared;
	size_t shared_bytes;
};

static int silent(enum libbpf_print_level level, const char *format, va_list arguments)
{
	(void)level;
	(void)format;
	(void)arguments;
	return 0;
}

/* By the size of its only variable. */
static struct bpf_map *find_map(struct bpf_object *object, size_t bytes)
{
	struct bpf_map *map;

	bpf_object__for_each_map(map, object)
	{
		size_t size;

		if (bpf_map__initial_value(map, &size) && size == bytes)
			return map;
	}
	return NULL;
}

static int load(struct surplus_bpf *s, const char marker[static 4])
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "ringwheel");
	struct surplus_constants constants;

	s->object = bpf_object__open_mem(surplus_object, surplus_object_size, &opts);
	if (!s->object)
		return -errno;
	struct bpf_map *fixed = find_map(s->object, sizeof constants);
	struct bpf_map *shared = find_map(s->object, sizeof *s->shared);
	struct bpf_program *program = bpf_object__find_program_by_name(s->object, "surplus");
	if (!fixed || !shared || !program)
		return -EINVAL;
	memcpy(constants.marker, marker, sizeof constants.marker);
	int r = bpf_map__set_initial_value(fixed, &constants, sizeof constants);
	if (r == 0)
		r = bpf_object__load(s->object);
	if (r < 0)
		return r;
	s->fd = bpf_program__fd(program);
	s->shared_bytes = (size_t)sysconf(_SC_PAGESIZE);
	void *at = mmap(NULL, s->shared_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(shared), 0);
	if (at == MAP_FAILED)
		return -errno;
	s->shared = at;
	return 0;
}

int surplus_bpf_load(const char marker[static 4], struct surplus_bpf **ret_surplus)
{
	struct surplus_bpf *s = calloc(1, sizeof *s);

	if (!s)
		return -ENOMEM;
	libbpf_set_print(silent);
	int r = load(s, marker);
	if (r < 0) {
		surplus_bpf_free(s);
		return r;
	}
	*ret_surplus = s;
	return 0;
}

void surplus_bpf_free(struct surplus_bpf *s)
{
	if (!s)
		return;
	if (s->shared)
		munmap(s->shared, s->shared_bytes);
	bpf_object__close(s->object);
	free(s);
}

int surplus_bpf_attach(struct surplus_bpf *s, const int *sockets, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (setsockopt(sockets[i], SOL_SOCKET, SO_ATTACH_BPF, &s->fd, sizeof s->fd) == 0)
			continue;
		int r = -errno;
		surplus_bpf_detach(s, sockets, i);
		return r;
	}
	return 0;
}

void surplus_bpf_detach(struct surplus_bpf *s, const int *sockets, unsigned count)
{
	int unused = 0;

	(void)s;
	for (unsigned i = 0; i < count; i++)
		setsockopt(sockets[i], SOL_SOCKET, SO_DETACH_BPF, &unused, sizeof unused);
}

void surplus_bpf_let_in(struct surplus_bpf *s, uint32_t share)
{
	__atomic_store_n(&s->shared->let_in, share, __ATOMIC_RELAXED);
}

uint64_t surplus_bpf_dropped(const struct surplus_bpf *s)
{
	return __atomic_load_n(&s->shared->dropped, __ATOMIC_RELAXED);
}

uint64_t surplus_bpf_acks(const struct surplus_bpf *s)
{
	return __atomic_load_n(&s->shared->acks, __ATOMIC_RELAXED);
}

#else

int surplus_bpf_load(const char marker[static 4], struct surplus_bpf **ret_surplus)
{
	(void)marker;
	(void)ret_surplus;
	return -ENOTSUP;
}

void surplus_bpf_free(struct surplus_bpf *s)
{
	(void)s;
}

int surplus_bpf_attach(struct surplus_bpf *s, const int *sockets, unsigned count)
{
	(void)s;
	(void)sockets;
	(void)count;
	return -ENOTSUP;
}

void surplus_bpf_detach(struct surplus_bpf *s, const int *sockets, unsigned count)
{
	(void)s;
	(void)sockets;
	(void)count;
}

void surplus_bpf_let_in(struct surplus_bpf *s, uint32_t share)
{
	(void)s;
	(void)share;
}

uint64_t surplus_bpf_dropped(const struct surplus_bpf *s)
{
	(void)s;
	return 0;
}

uint64_t surplus_bpf_acks(const struct surplus_bpf *s)
{
	(void)s;
	return 0;
}

#endif
