/* What a process uses: see the header. */
#include "bench/process.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"

static uint64_t ticks_ns(unsigned long long ticks)
{
	return ticks * (BENCH_SECOND_NS / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* utime and stime are fields 14 and 15; the name in field 2 may hold anything, but ends with the last ')'. */
static bool read_stat(const char *path, char name[static 16], uint64_t *ret_user_ns, uint64_t *ret_system_ns)
{
	char line[1024];
	unsigned long long user, system;
	FILE *f = fopen(path, "r");

	if (!f)
		return false;
	size_t size = fread(line, 1, sizeof line - 1, f);
	fclose(f);
	line[size] = '\0';
	char *open = strchr(line, '('), *close = strrchr(line, ')');
	if (!open || !close ||
	    sscanf(close + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) != 2)
		return false;
	snprintf(name, 16, "%.*s", (int)(close - open - 1 < 15 ? close - open - 1 : 15), open + 1);
	*ret_user_ns = ticks_ns(user);
	*ret_system_ns = ticks_ns(system);
	return true;
}

static bool read_thread(pid_t pid, const char *id, struct process_thread *t)
{
	char path[96];
	uint64_t user_ns, system_ns;
	unsigned long long cpu_ns, wait_ns;

	*t = (struct process_thread){ .id = (pid_t)atoi(id) };
	snprintf(path, sizeof path, "/proc/%d/task/%.16s/stat", (int)pid, id);
	if (!read_stat(path, t->name, &user_ns, &system_ns))
		return false;
	t->cpu_ns = user_ns + system_ns;
	snprintf(path, sizeof path, "/proc/%d/task/%.16s/schedstat", (int)pid, id);
	FILE *f = fopen(path, "r");
	if (f && fscanf(f, "%llu %llu", &cpu_ns, &wait_ns) == 2) {
		t->cpu_ns = cpu_ns;
		t->wait_ns = wait_ns;
	}
	if (f)
		fclose(f);
	return true;
}

bool process_read(pid_t pid, struct process_usage *ret_usage)
{
	struct process_usage *u = ret_usage;
	struct dirent *entry;
	char path[64], name[16];

	*u = (struct process_usage){ .at_ns = bench_wall_ns() };
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if (!read_stat(path, name, &u->user_ns, &u->system_ns))
		return false;
	snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
	DIR *d = opendir(path);
	while (d && u->threads < PROCESS_THREADS_MAX && (entry = readdir(d)))
		if (entry->d_name[0] != '.' && read_thread(pid, entry->d_name, &u->thread[u->threads]))
			u->cpu_ns += u->thread[u->threads++].cpu_ns;
	if (d)
		closedir(d);
	return true;
}

static const struct process_thread *find(const struct process_usage *u, pid_t id)
{
	for (unsigned i = 0; i < u->threads; i++)
		if (u->thread[i].id == id)
			return &u->thread[i];
	return NULL;
}

void process_difference(const struct process_usage *from, const struct process_usage *to,
			struct process_usage *ret_usage)
{
	*ret_usage = (struct process_usage){ .at_ns = to->at_ns - from->at_ns,
					     .user_ns = to->user_ns - from->user_ns,
					     .system_ns = to->system_ns - from->system_ns };
	for (unsigned i = 0; i < to->threads; i++) {
		const struct process_thread *before = find(from, to->thread[i].id);
		struct process_thread *t = &ret_usage->thread[ret_usage->threads];

		if (!before)
			continue;
		*t = to->thread[i];
		t->cpu_ns -= before->cpu_ns;
		t->wait_ns -= before->wait_ns;
		ret_usage->cpu_ns += t->cpu_ns;
		ret_usage->threads++;
	}
}

const struct process_thread *process_busiest(const struct process_usage *usage)
{
	const struct process_thread *busiest = NULL;

	for (unsigned i = 0; i < usage->threads; i++)
		if (!busiest || usage->thread[i].cpu_ns > busiest->cpu_ns)
			busiest = &usage->thread[i];
	return busiest;
}

uint64_t process_pss_bytes(pid_t pid)
{
	char path[64], line[256];
	unsigned long long kib = 0;

	snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
	FILE *f = fopen(path, "r");
	while (f && kib == 0 && fgets(line, sizeof line, f))
		if (sscanf(line, "Pss: %llu kB", &kib) != 1)
			kib = 0;
	if (f)
		fclose(f);
	return kib * 1024;
}

bool process_pin(pid_t pid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	return sched_setaffinity(pid, sizeof set, &set) == 0;
}

json_t *process_json(const struct process_usage *usage, const char *each, uint64_t count)
{
	double per_one = count > 0 ? 1e-3 / (double)count : 0, seconds = (double)usage->at_ns / 1e9;
	json_t *threads = json_array();

	for (unsigned i = 0; i < usage->threads; i++) {
		const struct process_thread *t = &usage->thread[i];

		json_array_append_new(threads,
				      json_pack("{s:s, s:f, s:f, s:f}", "name", t->name, each,
						(double)t->cpu_ns * per_one, "busy", (double)t->cpu_ns / 1e9 / seconds,
						"waiting", (double)t->wait_ns / 1e9 / seconds));
	}
	return json_pack("{s:f, s:f, s:f, s:f, s:o}", each, (double)usage->cpu_ns * per_one, "user_us",
			 (double)usage->user_ns * per_one, "system_us", (double)usage->system_ns * per_one, "busy",
			 (double)usage->cpu_ns / 1e9 / seconds, "threads", threads);
}
