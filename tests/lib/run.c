// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs the cases of a program. Each is a process in a cgroup of its own, and
 * passes only if all pools and counters are afterwards what they were, the
 * cgroup is charged for nothing and can be removed.
 */
#include <dirent.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "gmem_test.h"

#define DEFAULT_SECONDS	60
#define EXIT_FAILED	1
#define CGROUP_ROOT	"/sys/fs/cgroup"

u64 gm_seed;
char gm_cgroup[64];
char **gm_command;

/* Written by the child, so that leaving with 4 by accident is no skip. */
static char *skip_reason;
#define SKIP_SIZE	256

u64 gm_rand(u64 *state)
{
	u64 z = (*state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

void gm_note(const char *fmt, ...)
{
	char buf[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	printf("# %s\n", buf);
	fflush(stdout);
}

void gm_fail(const char *file, int line, const char *what, const char *fmt, ...)
{
	const char *base = strrchr(file, '/');
	char buf[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	gm_note("%s:%d: %s: %s", base ? base + 1 : file, line, what, buf);
	_exit(EXIT_FAILED);
}

void gm_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(skip_reason, SKIP_SIZE, fmt, ap);
	va_end(ap);
	_exit(KSFT_SKIP);
}

/* Sanitizers and lockdep cost about as much as all else together. */
unsigned int gm_time_scale(void)
{
	const char *env = getenv("GMEM_TIME_SCALE");

	if (env && atoi(env) > 0)
		return atoi(env);
	return access("/proc/lockdep", F_OK) ? 1 : 8;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

bool gm_wait_until(bool (*cond)(void *), void *arg, unsigned int seconds)
{
	const struct timespec tick = { .tv_nsec = 1000 * 1000 };
	double end = now() + seconds * gm_time_scale();

	while (!cond(arg)) {
		if (now() > end)
			return false;
		nanosleep(&tick, NULL);
	}
	return true;
}

static bool child_ended(void *arg)
{
	siginfo_t *info = arg;
	pid_t pid = info->si_pid;

	info->si_pid = 0;
	if (waitid(P_PID, pid, info, WEXITED | WNOHANG | WNOWAIT))
		return true;
	if (info->si_pid)
		return true;
	info->si_pid = pid;
	return false;
}

static bool wait_for_child(pid_t pid, unsigned int seconds, int *status)
{
	siginfo_t info = { .si_pid = pid };

	if (!gm_wait_until(child_ended, &info, seconds))
		return false;
	return waitpid(pid, status, 0) == pid;
}

int gm_in_child(void (*fn)(void *), void *arg)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	gm_assert(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		fn(arg);
		fflush(stdout);
		_exit(0);
	}
	gm_assert(waitpid(pid, &status, 0) == pid, "waitpid: %s", strerror(errno));
	return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}

static bool cgroup_gone(void *arg)
{
	return !rmdir(arg) || errno == ENOENT;
}

/* What the hugetlb controller still counts for a cgroup without processes. */
static bool hugetlb_uncharged(void *arg)
{
	static const char * const sizes[] = { "2MB", "1GB" };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (gm_read_long("%s/hugetlb.%s.current", (char *)arg, sizes[i]) > 0 ||
		    gm_read_long("%s/hugetlb.%s.rsvd.current", (char *)arg, sizes[i]) > 0)
			return false;
	}
	return true;
}

static bool memory_uncharged(void *arg)
{
	/* Below a block: stocks of each CPU and dying slabs are not ours. */
	return gm_read_long("%s/memory.current", (char *)arg) < (long)GM_2M;
}

static bool end_cgroup(const char *dir)
{
	bool good = true;

	if (!gm_wait_until(hugetlb_uncharged, (void *)dir, 10)) {
		gm_note("hugetlb still charged to the cgroup");
		good = false;
	}
	if (!gm_wait_until(memory_uncharged, (void *)dir, 10)) {
		gm_note("%ld bytes still charged to the cgroup",
			gm_read_long("%s/memory.current", dir));
		good = false;
	}
	if (!gm_wait_until(cgroup_gone, (void *)dir, 10)) {
		gm_note("cannot remove the cgroup: %s", strerror(errno));
		good = false;
	}
	return good;
}

static void run_child(const struct gm_case *c)
{
	char path[128];

	setpgid(0, 0);
	snprintf(path, sizeof(path), "%s/cgroup.procs", gm_cgroup);
	gm_assert(gm_write(path, "0"), "%s: %s", path, strerror(errno));
	c->fn();
	fflush(stdout);
	_exit(0);
}

static void run_case(const struct gm_case *c)
{
	unsigned int seconds = c->seconds ?: DEFAULT_SECONDS;
	struct gm_snapshot *before;
	const long nr_2m = gm_pool(GM_2M, "nr");
	double start = now();
	bool good = false;
	int status = 0;
	pid_t pid;

	snprintf(gm_cgroup, sizeof(gm_cgroup), CGROUP_ROOT "/gmem-test-%d", getpid());
	if (mkdir(gm_cgroup, 0755) && errno != EEXIST)
		ksft_exit_fail_msg("%s: %s\n", gm_cgroup, strerror(errno));
	before = gm_snapshot();
	skip_reason[0] = '\0';
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		ksft_exit_fail_msg("fork: %s\n", strerror(errno));
	if (!pid)
		run_child(c);

	if (!wait_for_child(pid, seconds, &status)) {
		gm_note("%s: not done after %u seconds", c->name, seconds * gm_time_scale());
		kill(-pid, SIGKILL);
		kill(pid, SIGKILL);
		if (!wait_for_child(pid, 20, &status))
			ksft_exit_fail_msg("%s hangs in the kernel\n", c->name);
	} else if (WIFSIGNALED(status)) {
		gm_note("%s: killed by signal %d", c->name, WTERMSIG(status));
	} else if (WEXITSTATUS(status) == KSFT_SKIP && skip_reason[0]) {
		good = true;
	} else if (WEXITSTATUS(status)) {
		gm_note("%s: exit status %d", c->name, WEXITSTATUS(status));
	} else {
		good = true;
	}
	/* Whatever it started goes with it. */
	kill(-pid, SIGKILL);

	if (!c->loses && !gm_snapshot_same(before))
		good = false;
	/* One failure is enough: the next case finds the pool as this one did. */
	if (!good && gm_pool(GM_2M, "nr") != nr_2m)
		gm_pool_resize(GM_2M, nr_2m);
	if (!end_cgroup(gm_cgroup))
		good = false;
	gm_snapshot_free(before);

	if (good && skip_reason[0])
		ksft_test_result_skip("%s # %s\n", c->name, skip_reason);
	else
		ksft_test_result(good, "%s (%.1f s)\n", c->name, now() - start);
}

static void usage(const char *name)
{
	printf("Usage: %s [--seed N] [--only CASE] [--list] [-- COMMAND...]\n", name);
	exit(2);
}

int gm_main(int argc, char **argv, const struct gm_case *cases, unsigned int nr,
	    unsigned int pool_2m)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "only", required_argument, NULL, 'o' },
		{ "list", no_argument, NULL, 'l' },
		{ }
	};
	const char *only = NULL;
	long nr_2m, want;
	struct timespec ts;
	unsigned int i, plan = 0;
	int opt;

	/* libkvm loads the guest from here, and argv[0] may lack a path. */
	program_invocation_name = "/proc/self/exe";

	clock_gettime(CLOCK_REALTIME, &ts);
	gm_seed = ts.tv_nsec ^ ts.tv_sec ^ (u64)getpid() << 20;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 's':
			gm_seed = strtoull(optarg, NULL, 0);
			break;
		case 'o':
			only = optarg;
			break;
		case 'l':
			for (i = 0; i < nr; i++)
				puts(cases[i].name);
			return 0;
		default:
			usage(argv[0]);
		}
	}

	gm_command = argv[optind] ? argv + optind : NULL;
	for (i = 0; i < nr; i++)
		plan += !only || !strcmp(only, cases[i].name);
	if (!plan)
		usage(argv[0]);

	ksft_print_header();
	ksft_set_plan(plan);
	gm_note("seed %#lx", (unsigned long)gm_seed);
	gm_mount_all();

	skip_reason = mmap(NULL, SKIP_SIZE, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (skip_reason == MAP_FAILED)
		ksft_exit_fail_msg("mmap: %s\n", strerror(errno));

	nr_2m = gm_pool(GM_2M, "nr");
	want = pool_2m + nr_2m - gm_pool(GM_2M, "free") + gm_pool(GM_2M, "resv");
	if (want > nr_2m && gm_pool_resize(GM_2M, want) < want)
		ksft_exit_fail_msg("no memory for %ld huge pages\n", want);

	for (i = 0; i < nr; i++) {
		if (!only || !strcmp(only, cases[i].name))
			run_case(&cases[i]);
	}

	if (want > nr_2m)
		gm_pool_resize(GM_2M, nr_2m);
	ksft_finished();
}
