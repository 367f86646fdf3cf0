// SPDX-License-Identifier: GPL-2.0-only
/* Linux as the guest of tools/gmem/vmm, and its console. */
#include <dirent.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "gmem_test.h"

#define MAX_ARGS	24
#define BOOT_SECONDS	60

/* Start the VMM with these arguments; its stderr is with its stdout. */
struct gm_linux gm_linux_start(const char *const *args)
{
	struct gm_linux g = { .text = calloc(1, 1) };
	const char *argv[MAX_ARGS + 2] = { "vmm" };
	int in[2], out[2];
	unsigned int i;

	for (i = 0; args[i]; i++) {
		gm_assert(i < MAX_ARGS, "too many arguments");
		argv[i + 1] = args[i];
	}
	gm_assert_ok(pipe2(in, O_CLOEXEC));
	gm_assert_ok(pipe2(out, O_CLOEXEC));
	fflush(stdout);
	g.pid = fork();
	gm_assert(g.pid >= 0, "fork: %s", strerror(errno));
	if (!g.pid) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		dup2(out[1], STDERR_FILENO);
		execvp("vmm", (char **)argv);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	g.in = in[1];
	g.out = out[0];
	return g;
}

/* The end of what it said, for the log of a test that failed. */
void gm_linux_show(const struct gm_linux *g)
{
	const char *line = g->len > 2000 ? g->text + g->len - 2000 : g->text;
	char *copy = strdup(line), *rest = copy;

	for (line = strsep(&rest, "\r\n"); line; line = strsep(&rest, "\r\n")) {
		if (*line)
			gm_note("| %s", line);
	}
	free(copy);
}

/* Read some more; false at the end or when time is up. */
static bool read_some(struct gm_linux *g, unsigned int seconds)
{
	struct pollfd p = { .fd = g->out, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, seconds * gm_time_scale() * 1000) <= 0)
		return false;
	g->text = realloc(g->text, g->len + 4096 + 1);
	gm_assert(g->text, "no memory");
	n = read(g->out, g->text + g->len, 4096);
	if (n <= 0)
		return false;
	g->len += n;
	g->text[g->len] = '\0';
	return true;
}

/* Wait for a text behind what was waited for before. Returns where it ends. */
char *gm_linux_expect(struct gm_linux *g, const char *what)
{
	char *at;

	while (!(at = strstr(g->text + g->seen, what))) {
		if (read_some(g, BOOT_SECONDS))
			continue;
		gm_linux_show(g);
		gm_fail(__FILE__, __LINE__, "console", "no '%s'", what);
	}
	at += strlen(what);
	g->seen = at - g->text;
	return at;
}

/* The number between a text and the end of its line. */
long gm_linux_number(struct gm_linux *g, const char *what)
{
	char *at = gm_linux_expect(g, what);
	size_t off = at - g->text;

	gm_linux_expect(g, "\n");
	return atol(g->text + off);
}

void gm_linux_type(struct gm_linux *g, const char *text)
{
	gm_assert_eq(write(g->in, text, strlen(text)), strlen(text));
}

/* A command in the guest's shell; it must succeed. */
void gm_linux_run(struct gm_linux *g, const char *command)
{
	gm_linux_type(g, command);
	gm_linux_type(g, "; echo status=$?\n");
	gm_linux_expect(g, "status=0");
	gm_linux_expect(g, GM_LINUX_PROMPT);
}

/* The status that the VMM ended with. Its last words are in the text then. */
int gm_linux_wait(struct gm_linux *g)
{
	int status;

	while (read_some(g, BOOT_SECONDS))
		;
	gm_assert_eq(waitpid(g->pid, &status, 0), g->pid);
	close(g->in);
	close(g->out);
	if (WIFSIGNALED(status))
		gm_linux_show(g);
	gm_assert(WIFEXITED(status), "killed by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

void gm_linux_power_off(struct gm_linux *g)
{
	int status;

	gm_linux_type(g, "poweroff -f\n");
	status = gm_linux_wait(g);
	if (status)
		gm_linux_show(g);
	gm_assert_eq(status, 0);
	free(g->text);
}

/* A number that the VMM printed at its end or when the guest asked for it. */
long gm_linux_said(struct gm_linux *g, const char *key)
{
	const char *at = g->text, *found = NULL;

	for (; (at = strstr(at, key)); at++)
		found = at;
	gm_assert(found, "%s is not in its statistics", key);
	return strtol(found + strlen(key), NULL, 0);
}

/* Path of the VMM's guest_memfd below /proc, with what precedes the number. */
static void gmem_path(pid_t pid, const char *dir, char *path, size_t size)
{
	char fds[64], link[128], target[128];
	struct dirent *e;
	ssize_t n;
	DIR *d;

	snprintf(fds, sizeof(fds), "/proc/%d/fd", pid);
	d = opendir(fds);
	gm_assert(d, "%s: %s", fds, strerror(errno));
	while ((e = readdir(d))) {
		snprintf(link, sizeof(link), "%s/%.16s", fds, e->d_name);
		n = readlink(link, target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = '\0';
		if (!strstr(target, "kvm-gmem"))
			continue;
		snprintf(path, size, "/proc/%d/%s/%.16s", pid, dir, e->d_name);
		closedir(d);
		return;
	}
	gm_fail(__FILE__, __LINE__, "fd", "the VMM has no guest_memfd");
}

long gm_linux_fdinfo(const struct gm_linux *g, const char *key)
{
	char path[128];
	long v;

	gmem_path(g->pid, "fdinfo", path, sizeof(path));
	v = gm_proc_value(path, key);
	gm_assert(v != -1, "no %s", key);
	return v;
}

/* Where the VMM has mapped the guest's memory. */
static u64 gmem_address(const struct gm_linux *g)
{
	unsigned long start = 0;
	char path[64], line[512];
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/maps", g->pid);
	in = fopen(path, "r");
	gm_assert(in, "%s: %s", path, strerror(errno));
	while (!start && fgets(line, sizeof(line), in)) {
		if (strstr(line, "kvm-gmem"))
			gm_assert_eq(sscanf(line, "%lx", &start), 1);
	}
	fclose(in);
	gm_assert(start, "the VMM has not mapped its guest_memfd");
	return start;
}

/* Through a copy of the VMM's descriptor: what this process can do, so can the VMM. */
struct gm_file gm_linux_file(const struct gm_linux *g)
{
	struct gm_file f = { .size = gm_linux_fdinfo(g, "gmem-size") };
	char path[128];
	struct stat st;
	int pidfd;

	gmem_path(g->pid, "fd", path, sizeof(path));
	pidfd = syscall(SYS_pidfd_open, g->pid, 0);
	gm_assert(pidfd >= 0, "pidfd_open: %s", strerror(errno));
	f.fd = syscall(SYS_pidfd_getfd, pidfd, atoi(strrchr(path, '/') + 1), 0);
	gm_assert(f.fd >= 0, "pidfd_getfd: %s", strerror(errno));
	gm_assert_ok(close(pidfd));
	gm_assert_ok(fstat(f.fd, &st));
	f.ino = st.st_ino;
	return f;
}

void gm_linux_check_unreadable(const struct gm_linux *g)
{
	struct gm_file f = gm_linux_file(g);
	const u64 address = gmem_address(g), step = f.size / 64;
	char path[64], buf[64];
	struct iovec here = { buf, sizeof(buf) }, there = { .iov_len = sizeof(buf) };
	char *map = gm_mmap(&f, 0, f.size);
	int mem, status;
	u64 off;

	snprintf(path, sizeof(path), "/proc/%d/mem", g->pid);
	mem = open(path, O_RDONLY);
	gm_assert(mem >= 0, "%s: %s", path, strerror(errno));
	gm_assert_ok(ptrace(PTRACE_ATTACH, g->pid, NULL, NULL));
	gm_assert_eq(waitpid(g->pid, &status, __WALL), g->pid);
	for (off = 0; off < f.size; off += step) {
		gm_assert(gm_sigbus(map + off, false), "offset %#lx was read", (unsigned long)off);
		there.iov_base = (void *)(address + off);
		gm_assert_errno(process_vm_readv(g->pid, &here, 1, &there, 1, 0), EFAULT);
		gm_assert_errno(pread(mem, buf, sizeof(buf), address + off), EIO);
		gm_assert_errno(ptrace(PTRACE_PEEKDATA, g->pid, address + off, NULL), EIO);
	}
	gm_assert_ok(ptrace(PTRACE_DETACH, g->pid, NULL, NULL));
	close(mem);
	gm_assert_ok(munmap(map, f.size));
	gm_close(&f);
}

struct gm_linux gm_linux_boot(const struct gm_boot *b)
{
	const struct gm_source *src = &gm_sources[b->source];
	const bool gigabyte = src->block == GM_1G;
	const char *args[MAX_ARGS] = {
		"--kernel", b->cloud ? GM_LINUX_CLOUD : GM_LINUX_KERNEL,
		"--initrd", b->stress ? GM_LINUX_STRESS : GM_LINUX_INITRD,
		"--append", GM_LINUX_CMDLINE, "--stats",
		"--memory", gigabyte ? "1G" : "256M",
		"--block", gigabyte ? "1G" : src->block == GM_2M ? "2M" : "4K",
		"--source", b->memfd ? "memfd" : src->flags & GM_HUGETLB ? "hugetlb" : "buddy",
	};
	unsigned int n = 13;
	struct gm_linux g;

	gm_need_source(src, gigabyte ? GM_1G : GM_LINUX_POOL * GM_2M);
	if (b->kind)
		args[n++] = b->kind;
	if (b->cpus) {
		args[n++] = "--cpus";
		args[n++] = b->cpus;
	}
	if (b->disk) {
		args[n++] = "--disk";
		args[n++] = b->disk;
	}
	if (b->hidden)
		args[n++] = "--no-direct-map";
	g = gm_linux_start(args);
	gm_linux_expect(&g, "Linux version ");
	gm_linux_expect(&g, "MemTotal:");
	gm_linux_expect(&g, GM_LINUX_PROMPT);
	return g;
}
