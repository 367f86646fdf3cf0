// SPDX-License-Identifier: GPL-2.0-only
/* Files of sysfs and procfs, hugetlb pools, and snapshots of all counters. */
#include <dirent.h>
#include <glob.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "gmem_test.h"

#define GM_SYSFS	"/sys/kernel/mm/gmem"
#define MAX_VALUES	160

struct gm_value {
	char name[96];
	long value;
};

struct gm_snapshot {
	unsigned int nr;
	struct gm_value v[MAX_VALUES];
};

void gm_read_text(const char *path, char *buf, size_t size)
{
	ssize_t n = -1, got = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	buf[0] = '\0';
	if (fd < 0)
		return;
	while (got < (ssize_t)size - 1) {
		n = read(fd, buf + got, size - 1 - got);
		if (n <= 0)
			break;
		got += n;
	}
	buf[got] = '\0';
	close(fd);
}

long gm_read_long(const char *fmt, ...)
{
	char path[256], buf[64];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);

	gm_read_text(path, buf, sizeof(buf));
	return buf[0] ? strtol(buf, NULL, 0) : -1;
}

bool gm_write(const char *path, const char *fmt, ...)
{
	char buf[256];
	va_list ap;
	int fd, n, err;

	va_start(ap, fmt);
	n = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);

	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = write(fd, buf, n) == n;
	err = errno;
	close(fd);
	errno = err;
	return n;
}

/* The number behind "key" or "key:" at the start of a line, -1 without one. */
long gm_proc_value(const char *path, const char *key)
{
	static __thread char buf[65536];
	size_t len = strlen(key);
	char *line;

	gm_read_text(path, buf, sizeof(buf));
	for (line = buf; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, len) && strchr(": \t", line[len]))
			return strtol(line + len + (line[len] == ':'), NULL, 0);
	}
	return -1;
}

bool gm_cmdline_has(const char *word)
{
	char buf[4096];

	gm_read_text("/proc/cmdline", buf, sizeof(buf));
	return strstr(buf, word);
}

static void mount_at(const char *type, const char *dir, const char *probe)
{
	if (!access(probe, F_OK))
		return;
	if (mount(type, dir, type, 0, NULL))
		gm_note("cannot mount %s on %s: %s", type, dir, strerror(errno));
}

void gm_mount_all(void)
{
	static const char * const controllers[] = { "+memory", "+hugetlb", "+cpuset" };
	unsigned int i;

	mount_at("debugfs", "/sys/kernel/debug", "/sys/kernel/debug/kvm");
	mount_at("tracefs", "/sys/kernel/tracing", "/sys/kernel/tracing/events");
	mount_at("cgroup2", "/sys/fs/cgroup", "/sys/fs/cgroup/cgroup.procs");
	for (i = 0; i < ARRAY_SIZE(controllers); i++)
		gm_write("/sys/fs/cgroup/cgroup.subtree_control", "%s", controllers[i]);
}

long gm_pool(u64 size, const char *what)
{
	return gm_read_long("/sys/kernel/mm/hugepages/hugepages-%lukB/%s_hugepages",
			    (unsigned long)(size >> 10), what);
}

long gm_pool_resize(u64 size, long nr)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%lukB/nr_hugepages",
		 (unsigned long)(size >> 10));
	gm_write(path, "%ld", nr);
	return gm_read_long("%s", path);
}

u64 gm_section_pages(void)
{
	char buf[32];

	gm_read_text("/sys/devices/system/memory/block_size_bytes", buf, sizeof(buf));
	gm_assert(buf[0], "no CONFIG_MEMORY_HOTREMOVE");
	return strtoull(buf, NULL, 16) / GM_PAGE;
}

static void on_alarm(int sig)
{
}

int gm_section_set(u64 section, const char *state)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	char path[96];
	int err;

	snprintf(path, sizeof(path), "/sys/devices/system/memory/memory%lu/state",
		 (unsigned long)section);
	sigaction(SIGALRM, &sa, NULL);
	alarm(15 * gm_time_scale());
	err = gm_write(path, "%s", state) ? 0 : errno;
	alarm(0);
	return err;
}

bool gm_have_gmem(void)
{
	return !access(GM_SYSFS, F_OK);
}

long gm_counter(const char *name)
{
	long v = gm_read_long(GM_SYSFS "/%s", name);

	gm_assert(v >= 0, "no counter %s", name);
	return v;
}

/* Pages that are free but kept aside for a processor. */
static long cpu_pages_kb(void)
{
	FILE *in = fopen("/proc/zoneinfo", "r");
	long sum = 0, nr;
	char line[256];

	gm_assert(in, "/proc/zoneinfo");
	while (fgets(line, sizeof(line), in)) {
		if (sscanf(line, " count: %ld", &nr) == 1)
			sum += nr;
	}
	fclose(in);
	return sum * (long)(GM_PAGE >> 10);
}

long gm_free_kb(void)
{
	gm_write("/proc/sys/vm/drop_caches", "3");
	/* Fold what processors have counted for themselves. */
	gm_write("/proc/sys/vm/stat_refresh", "1");
	return gm_meminfo("MemFree") + cpu_pages_kb();
}

static void add_value(struct gm_snapshot *s, const char *name, long value)
{
	gm_assert(s->nr < MAX_VALUES, "snapshot too small for %s", name);
	snprintf(s->v[s->nr].name, sizeof(s->v[0].name), "%s", name);
	s->v[s->nr++].value = value;
}

static void add_glob(struct gm_snapshot *s, const char *pattern)
{
	size_t i, skip = strlen("/sys/");
	glob_t g;

	if (!glob(pattern, 0, NULL, &g)) {
		for (i = 0; i < g.gl_pathc; i++)
			add_value(s, g.gl_pathv[i] + skip,
				  gm_read_long("%s", g.gl_pathv[i]));
	}
	globfree(&g);
}

static void take(struct gm_snapshot *s)
{
	static const char * const meminfo[] = {
		"HugePages_Total", "HugePages_Free", "HugePages_Rsvd",
		"HugePages_Surp", "Hugetlb",
	};
	unsigned int i;

	s->nr = 0;
	add_glob(s, "/sys/kernel/mm/hugepages/hugepages-*/nr_hugepages");
	add_glob(s, "/sys/kernel/mm/hugepages/hugepages-*/[frs]*_hugepages");
	add_glob(s, "/sys/devices/system/node/node*/hugepages/hugepages-*/*_hugepages");
	add_glob(s, GM_SYSFS "/*");
	for (i = 0; i < ARRAY_SIZE(meminfo); i++)
		add_value(s, meminfo[i], gm_meminfo(meminfo[i]));
}

struct gm_snapshot *gm_snapshot(void)
{
	struct gm_snapshot *s = calloc(1, sizeof(*s));

	gm_assert(s, "no memory");
	take(s);
	return s;
}

void gm_snapshot_free(struct gm_snapshot *s)
{
	free(s);
}

struct compare {
	const struct gm_snapshot *before;
	struct gm_snapshot now;
};

static bool is_same(void *arg)
{
	struct compare *c = arg;
	unsigned int i;

	take(&c->now);
	if (c->now.nr != c->before->nr)
		return false;
	for (i = 0; i < c->now.nr; i++) {
		if (c->now.v[i].value != c->before->v[i].value)
			return false;
	}
	return true;
}

bool gm_snapshot_same(const struct gm_snapshot *before)
{
	static struct compare c;
	unsigned int i;

	/*
	 * A file may be given back by a worker after its last close, so this
	 * waits for a bounded time. It waits for equality, not for a while.
	 */
	c.before = before;
	if (gm_wait_until(is_same, &c, 10))
		return true;
	for (i = 0; i < c.now.nr && i < before->nr; i++) {
		if (c.now.v[i].value != before->v[i].value)
			gm_note("%s: %ld before, %ld now", c.now.v[i].name,
				before->v[i].value, c.now.v[i].value);
	}
	if (c.now.nr != before->nr)
		gm_note("%u counters before, %u now", before->nr, c.now.nr);
	return false;
}
