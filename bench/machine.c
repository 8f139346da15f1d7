/* From /proc, uname() and sysconf(). */
#include "bench/machine.h"

#include "bench/bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BUILD_KIND ", sanitizer"
#elif defined(__OPTIMIZE__)
#define BUILD_KIND ", optimized"
#else
#define BUILD_KIND ", not optimized"
#endif

#ifdef __clang__
#define BUILD_COMPILER "clang "
#define BUILD_MAJOR    __clang_major__
#else
#define BUILD_COMPILER "gcc "
#define BUILD_MAJOR    __GNUC__
#endif

static void read_cpu(struct machine *m)
{
	char line[256];
	FILE *f = fopen("/proc/cpuinfo", "r");

	snprintf(m->cpu, sizeof m->cpu, "unknown processor");
	while (f && fgets(line, sizeof line, f)) {
		const char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) != 0 || !colon)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(m->cpu, sizeof m->cpu, "%.*s", (int)sizeof m->cpu - 1, colon + 2);
		break;
	}
	if (f)
		fclose(f);
}

void machine_read(struct machine *m)
{
	struct utsname u;

	*m = (struct machine){ .cores = (unsigned)sysconf(_SC_NPROCESSORS_ONLN) };
	m->memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
	read_cpu(m);
	if (uname(&u) == 0)
		snprintf(m->kernel, sizeof m->kernel, "%.40s %.50s", u.sysname, u.release);
	snprintf(m->build, sizeof m->build, "%s%d%s", BUILD_COMPILER, BUILD_MAJOR, BUILD_KIND);
	if (getloadavg(m->load, 3) != 3)
		memset(m->load, 0, sizeof m->load);
}

void machine_print(const struct machine *m, FILE *out)
{
	fprintf(out, "machine: %s, %u cores, %.1f GiB; %s; load %.2f %.2f %.2f; %s\n", m->cpu, m->cores,
		(double)m->memory_bytes / (1 << 30), m->kernel, m->load[0], m->load[1], m->load[2], m->build);
}

uint64_t machine_stolen_ns(void)
{
	unsigned long long ticks = 0;
	FILE *f = fopen("/proc/stat", "r");

	/* cpu, then user nice system idle iowait irq softirq steal */
	if (f && fscanf(f, "cpu %*u %*u %*u %*u %*u %*u %*u %llu", &ticks) != 1)
		ticks = 0;
	if (f)
		fclose(f);
	return ticks * (1000000000 / (uint64_t)sysconf(_SC_CLK_TCK));
}

uint64_t machine_pss_bytes(void)
{
	char line[256];
	unsigned long long kibibytes = 0;
	FILE *f = fopen("/proc/self/smaps_rollup", "r");

	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "Pss: %llu", &kibibytes) == 1)
			break;
	if (f)
		fclose(f);
	return kibibytes * 1024;
}

void machine_file_system(const char *path, char name[static 32])
{
	static const struct {
		unsigned long magic;
		const char *name;
	} known[] = { { 0xef53, "ext4" },
		      { 0x01021994, "tmpfs" },
		      { 0x58465342, "xfs" },
		      { 0x9123683e, "btrfs" },
		      { 0x794c7630, "overlayfs" } };
	struct statfs s;

	snprintf(name, 32, "unknown file system");
	if (statfs(path, &s) < 0)
		return;
	snprintf(name, 32, "file system 0x%lx", (unsigned long)s.f_type);
	for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
		if (known[i].magic == (unsigned long)s.f_type)
			snprintf(name, 32, "%s", known[i].name);
}

void machine_gaps(uint64_t run_ns, struct machine_gaps *ret_gaps)
{
	struct machine_gaps gaps = { .run_ns = run_ns };
	uint64_t begin_ns = bench_wall_ns(), wall_ns = begin_ns, cpu_ns = bench_cpu_ns();

	while (wall_ns - begin_ns < run_ns) {
		uint64_t wall_now_ns = bench_wall_ns(), cpu_now_ns = bench_cpu_ns();

		if (wall_now_ns - wall_ns > gaps.wall_ns)
			gaps.wall_ns = wall_now_ns - wall_ns;
		if (cpu_now_ns - cpu_ns > gaps.cpu_ns)
			gaps.cpu_ns = cpu_now_ns - cpu_ns;
		wall_ns = wall_now_ns;
		cpu_ns = cpu_now_ns;
	}
	*ret_gaps = gaps;
}

json_t *machine_json(const struct machine *m)
{
	return json_pack("{s:s, s:i, s:I, s:s, s:[f,f,f], s:s}", "cpu", m->cpu, "cores", (int)m->cores, "memory_bytes",
			 (json_int_t)m->memory_bytes, "kernel", m->kernel, "load", m->load[0], m->load[1], m->load[2],
			 "build", m->build);
}
