// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VMM of tools/gmem/vmm boots Linux: on each kind of memory, with the host
 * shut out of it, with a disk; and says what is wrong when it cannot.
 */
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "gmem_test.h"

#define KERNEL	"/usr/lib/linux/bzImage"
#define INITRD	"/usr/lib/linux/initrd"
/*
 * QEMU's SVM does not intercept XSETBV, so the guest's setting would be lost at its
 * next exit. Nor does it keep the interrupt shadow of STI over an exit: an interrupt
 * comes before the HLT that follows, and the guest sleeps with work to do until the
 * next one, which the periodic tick is.
 */
#define CMDLINE	"console=ttyS0 panic=-1 quiet noxsave nohz=off"
#define PROMPT	"guest# "

#define POOL_2M	128		/* pages, what a guest has by default */
#define MAX_ARGS	24
#define BOOT_SECONDS	60

struct linux_guest {
	pid_t pid;
	int in;
	int out;
	char *text;		/* all that it said */
	size_t len;
	size_t seen;		/* what of it was waited for */
};

/* Start the VMM with these arguments; its stderr is with its stdout. */
static struct linux_guest start(const char *const *args)
{
	struct linux_guest g = { .text = calloc(1, 1) };
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
static void show(const struct linux_guest *g)
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
static bool read_some(struct linux_guest *g, unsigned int seconds)
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
static char *expect(struct linux_guest *g, const char *what)
{
	char *at;

	while (!(at = strstr(g->text + g->seen, what))) {
		if (read_some(g, BOOT_SECONDS))
			continue;
		show(g);
		gm_fail(__FILE__, __LINE__, "console", "no '%s'", what);
	}
	at += strlen(what);
	g->seen = at - g->text;
	return at;
}

/* The number between a text and the end of its line. */
static long expect_number(struct linux_guest *g, const char *what)
{
	char *at = expect(g, what);
	size_t off = at - g->text;

	expect(g, "\n");
	return atol(g->text + off);
}

static void type(struct linux_guest *g, const char *text)
{
	gm_assert_eq(write(g->in, text, strlen(text)), strlen(text));
}

/* A command in the guest's shell; it must succeed. */
static void run(struct linux_guest *g, const char *command)
{
	type(g, command);
	type(g, "; echo status=$?\n");
	expect(g, "status=0");
	expect(g, PROMPT);
}

/* The status that the VMM ended with. Its last words are in the text then. */
static int wait_end(struct linux_guest *g)
{
	int status;

	while (read_some(g, BOOT_SECONDS))
		;
	gm_assert_eq(waitpid(g->pid, &status, 0), g->pid);
	close(g->in);
	close(g->out);
	if (WIFSIGNALED(status))
		show(g);
	gm_assert(WIFEXITED(status), "killed by signal %d", WTERMSIG(status));
	return WEXITSTATUS(status);
}

static void power_off(struct linux_guest *g)
{
	int status;

	type(g, "poweroff -f\n");
	status = wait_end(g);
	if (status)
		show(g);
	gm_assert_eq(status, 0);
	free(g->text);
}

/* A number that the VMM printed at its end or when the guest asked for it. */
static long said(struct linux_guest *g, const char *key)
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

static long fdinfo(const struct linux_guest *g, const char *key)
{
	char path[128];
	long v;

	gmem_path(g->pid, "fdinfo", path, sizeof(path));
	v = gm_proc_value(path, key);
	gm_assert(v != -1, "no %s", key);
	return v;
}

/* Where the VMM has mapped the guest's memory. */
static u64 gmem_address(const struct linux_guest *g)
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

struct boot {
	unsigned int source;	/* GM_SRC_* */
	const char *kind;	/* option, NULL: private */
	const char *cpus;
	const char *disk;
	bool hidden;		/* from the host's kernel as well */
};

static struct linux_guest boot(const struct boot *b)
{
	const struct gm_source *src = &gm_sources[b->source];
	const bool gigabyte = src->block == GM_1G;
	const char *args[MAX_ARGS] = {
		"--kernel", KERNEL, "--initrd", INITRD, "--append", CMDLINE, "--stats",
		"--memory", gigabyte ? "1G" : "256M",
		"--block", gigabyte ? "1G" : src->block == GM_2M ? "2M" : "4K",
		"--source", src->flags & GM_HUGETLB ? "hugetlb" : "buddy",
	};
	unsigned int n = 13;
	struct linux_guest g;

	gm_need_source(src, gigabyte ? GM_1G : POOL_2M * GM_2M);
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
	g = start(args);
	expect(&g, "Linux version ");
	expect(&g, "MemTotal:");
	expect(&g, PROMPT);
	return g;
}

static void check_cpus(struct linux_guest *g, const char *cpus)
{
	/* Quotes, so that the terminal's echo of it is something else. */
	type(g, "echo processors''=$(nproc)\n");
	gm_assert_eq(expect_number(g, "processors="), atoi(cpus));
	expect(g, PROMPT);
}

/* Memory is in blocks of its size, and KVM has mapped them whole. */
static void check_blocks(struct linux_guest *g, const struct boot *b)
{
	const u64 block = gm_sources[b->source].block;
	const char *const mapped[] = { "kvm-pages_4k:", "kvm-pages_2m:", "kvm-pages_1g:" };
	const char *const held[] = { "gmem-blocks-4k", "gmem-blocks-2m", "gmem-blocks-1g" };
	const unsigned int size = block == GM_1G ? 2 : block == GM_2M ? 1 : 0;
	unsigned int i;

	run(g, "gmem-share stats");
	for (i = 0; i < ARRAY_SIZE(held); i++) {
		if (i == size) {
			gm_assert_ge(fdinfo(g, held[i]), 1);
			gm_assert_ge(said(g, mapped[i]), 1);
		} else {
			gm_assert_eq(fdinfo(g, held[i]), 0);
			gm_assert_eq(said(g, mapped[i]), 0);
		}
	}
}

static void boot_ordinary(unsigned int source, const char *cpus)
{
	const struct boot b = { .source = source, .kind = "--ordinary", .cpus = cpus };
	struct linux_guest g = boot(&b);

	check_cpus(&g, cpus);
	check_blocks(&g, &b);
	power_off(&g);
}

static void boot_shared(unsigned int source, const char *cpus)
{
	const struct boot b = { .source = source, .kind = "--shared", .cpus = cpus };
	struct linux_guest g = boot(&b);

	check_cpus(&g, cpus);
	check_blocks(&g, &b);
	gm_assert_eq(fdinfo(&g, "gmem-private"), 0);
	power_off(&g);
}

/* A copy of the VMM's descriptor: what this process can do, so can the VMM. */
static int gmem_fd(const struct linux_guest *g)
{
	char path[128];
	int pidfd, fd;

	gmem_path(g->pid, "fd", path, sizeof(path));
	pidfd = syscall(SYS_pidfd_open, g->pid, 0);
	gm_assert(pidfd >= 0, "pidfd_open: %s", strerror(errno));
	fd = syscall(SYS_pidfd_getfd, pidfd, atoi(strrchr(path, '/') + 1), 0);
	gm_assert(fd >= 0, "pidfd_getfd: %s", strerror(errno));
	close(pidfd);
	return fd;
}

/* Every way to the guest's memory that a host has ends before it. */
static void check_hidden(const struct linux_guest *g, u64 size)
{
	const u64 address = gmem_address(g), step = size / 64;
	char path[64], buf[64];
	struct iovec here = { buf, sizeof(buf) }, there = { .iov_len = sizeof(buf) };
	int mem, fd = gmem_fd(g), status;
	char *map;
	u64 off;

	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	gm_assert(map != MAP_FAILED, "mmap: %s", strerror(errno));
	snprintf(path, sizeof(path), "/proc/%d/mem", g->pid);
	mem = open(path, O_RDONLY);
	gm_assert(mem >= 0, "%s: %s", path, strerror(errno));
	gm_assert_ok(ptrace(PTRACE_ATTACH, g->pid, NULL, NULL));
	gm_assert_eq(waitpid(g->pid, &status, __WALL), g->pid);
	for (off = 0; off < size; off += step) {
		gm_assert(gm_sigbus(map + off, false), "offset %#lx was read", (unsigned long)off);
		there.iov_base = (void *)(address + off);
		gm_assert_errno(process_vm_readv(g->pid, &here, 1, &there, 1, 0), EFAULT);
		gm_assert_errno(pread(mem, buf, sizeof(buf), address + off), EIO);
		gm_assert_errno(ptrace(PTRACE_PEEKDATA, g->pid, address + off, NULL), EIO);
	}
	gm_assert_ok(ptrace(PTRACE_DETACH, g->pid, NULL, NULL));
	close(mem);
	gm_assert_ok(munmap(map, size));
	close(fd);
}

static void boot_private(unsigned int source, const char *cpus, bool hidden)
{
	const struct boot b = { .source = source, .cpus = cpus, .hidden = hidden };
	struct linux_guest g = boot(&b);
	const u64 size = fdinfo(&g, "gmem-size");

	check_cpus(&g, cpus);
	check_blocks(&g, &b);
	gm_assert_eq(fdinfo(&g, "gmem-private"), size);
	gm_assert_eq(fdinfo(&g, "gmem-shared"), 0);
	gm_assert_eq(fdinfo(&g, "gmem-live"), 0);
	check_hidden(&g, size);
	power_off(&g);
}

#define PRIVATE(name, source, cpus) \
	static void private_##name(void) { boot_private(source, cpus, false); }
#define HIDDEN(name, source, cpus) \
	static void hidden_##name(void) { boot_private(source, cpus, true); }

PRIVATE(4k, GM_SRC_4K, "1")
PRIVATE(4k_cpus, GM_SRC_4K, "4")
PRIVATE(2m, GM_SRC_THP_2M, "1")
PRIVATE(2m_cpus, GM_SRC_THP_2M, "4")
PRIVATE(1g, GM_SRC_THP_1G, "1")
PRIVATE(1g_cpus, GM_SRC_THP_1G, "4")
PRIVATE(hugetlb_2m, GM_SRC_HTLB_2M, "1")
PRIVATE(hugetlb_2m_cpus, GM_SRC_HTLB_2M, "4")
PRIVATE(hugetlb_1g, GM_SRC_HTLB_1G, "1")
PRIVATE(hugetlb_1g_cpus, GM_SRC_HTLB_1G, "4")
HIDDEN(4k, GM_SRC_4K, "1")
HIDDEN(2m, GM_SRC_THP_2M, "1")
HIDDEN(1g_cpus, GM_SRC_THP_1G, "4")
HIDDEN(hugetlb_2m_cpus, GM_SRC_HTLB_2M, "4")
HIDDEN(hugetlb_1g, GM_SRC_HTLB_1G, "1")

#define HELD	16

/* The guest shares pages of its own, and takes them back. */
static void private_share(void)
{
	const struct boot b = { .source = GM_SRC_THP_2M };
	struct linux_guest g = boot(&b);

	type(&g, "gmem-share hold 16\n");
	expect(&g, "shared 16 pages");
	gm_assert_eq(fdinfo(&g, "gmem-shared"), HELD * GM_PAGE);
	type(&g, "\n");
	expect(&g, "took back 16 pages");
	expect(&g, PROMPT);
	gm_assert_eq(fdinfo(&g, "gmem-shared"), 0);
	run(&g, "gmem-share churn 64 500");
	gm_assert_eq(fdinfo(&g, "gmem-shared"), 0);
	power_off(&g);
}

#define ORDINARY(name, source, cpus) \
	static void ordinary_##name(void) { boot_ordinary(source, cpus); }
#define SHARED(name, source, cpus) \
	static void shared_##name(void) { boot_shared(source, cpus); }

ORDINARY(4k, GM_SRC_4K, "1")
ORDINARY(2m, GM_SRC_THP_2M, "1")
ORDINARY(2m_cpus, GM_SRC_THP_2M, "4")
ORDINARY(1g, GM_SRC_THP_1G, "1")
ORDINARY(hugetlb_2m, GM_SRC_HTLB_2M, "1")
ORDINARY(hugetlb_1g, GM_SRC_HTLB_1G, "4")
SHARED(4k, GM_SRC_4K, "4")
SHARED(2m, GM_SRC_THP_2M, "1")
SHARED(1g, GM_SRC_THP_1G, "4")
SHARED(hugetlb_2m, GM_SRC_HTLB_2M, "4")
SHARED(hugetlb_1g, GM_SRC_HTLB_1G, "1")

/* What the other kinds are compared with. */
static void ordinary_memfd(void)
{
	const char *const args[] = {
		"--kernel", KERNEL, "--initrd", INITRD, "--append", CMDLINE, "--stats",
		"--source", "memfd", "--ordinary", NULL
	};
	struct linux_guest g = start(args);

	expect(&g, PROMPT);
	run(&g, "gmem-share stats");
	gm_assert_ge(said(&g, "kvm-pages_2m:"), 1);
	gm_assert_eq(said(&g, "kvm-pages_4k:"), 0);
	power_off(&g);
}

/* Memory on both sides of the hole below 4 GiB. */
static void ordinary_4g(void)
{
	const char *const args[] = {
		"--kernel", KERNEL, "--initrd", INITRD, "--append", CMDLINE, "--ordinary",
		"--memory", "4G", NULL
	};
	struct linux_guest g = start(args);
	long kib;

	kib = expect_number(&g, "MemTotal:");
	gm_assert(kib > 3900 << 10 && kib < 4096 << 10, "MemTotal %ld KiB", kib);
	expect(&g, PROMPT);
	/* From the end of memory down: the first pages are above 4 GiB. */
	run(&g, "dd if=/dev/zero of=/tmp/file bs=1M count=64 2>/dev/null");
	gm_assert_ge(fdinfo(&g, "gmem-allocated"), 64 << 20);
	power_off(&g);
}

#define DISK_SIZE	(1 << 20)

static void make_disk(const char *path, u64 seed)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	u64 word, off;

	gm_assert(fd >= 0, "%s: %s", path, strerror(errno));
	for (off = 0; off < DISK_SIZE; off += sizeof(word)) {
		word = gm_word(seed, off);
		gm_assert_eq(pwrite(fd, &word, sizeof(word), off), sizeof(word));
	}
	close(fd);
}

/* The guest turns the disk's first half over to the second. */
static void check_disk(const char *path, u64 seed)
{
	int fd = open(path, O_RDONLY);
	u64 word, off;

	gm_assert(fd >= 0, "%s: %s", path, strerror(errno));
	for (off = 0; off < DISK_SIZE; off += sizeof(word)) {
		gm_assert_eq(pread(fd, &word, sizeof(word), off), sizeof(word));
		gm_assert(word == gm_word(seed, off % (DISK_SIZE / 2)), "offset %#lx",
			  (unsigned long)off);
	}
	close(fd);
}

static void use_disk(struct linux_guest *g)
{
	run(g, "dd if=/dev/vda of=/tmp/half bs=4k count=128 2>/dev/null");
	run(g, "dd if=/tmp/half of=/dev/vda bs=4k seek=128 2>/dev/null");
	run(g, "sync");
}

#define DISK	"/tmp/gmem-vmm-disk"

/* Of a queue of 64 entries: descriptors and available ring, used ring. */
#define RING_PAGES	2

static void disk(const char *kind)
{
	const struct boot b = { .source = GM_SRC_THP_2M, .kind = kind, .disk = DISK };
	struct linux_guest g;

	make_disk(DISK, gm_seed);
	g = boot(&b);
	use_disk(&g);
	if (!kind)
		gm_assert_eq(fdinfo(&g, "gmem-shared"), RING_PAGES * GM_PAGE);
	power_off(&g);
	check_disk(DISK, gm_seed);
	unlink(DISK);
}

static void disk_private(void)
{
	disk(NULL);
}

static void disk_ordinary(void)
{
	disk("--ordinary");
}

static void disk_shared(void)
{
	disk("--shared");
}

/* The guest ends by itself, in other ways than by powering off. */
static void reset(void)
{
	const struct boot b = { .source = GM_SRC_THP_2M, .kind = "--ordinary" };
	struct linux_guest g = boot(&b);

	type(&g, "reboot -f\n");
	gm_assert_eq(wait_end(&g), 3);
	free(g.text);
	g = boot(&b);
	type(&g, "echo c >/proc/sysrq-trigger\n");
	gm_assert_eq(wait_end(&g), 3);
	gm_assert(strstr(g.text, "Kernel panic"), "no panic");
	free(g.text);
}

/* A status, and one line that has a text in it. */
static void refused_as(int status, const char *text, const char *const *args)
{
	struct linux_guest g = start(args);
	int got = wait_end(&g);

	if (got != status || !strstr(g.text, text) || strchr(g.text, '\n') != g.text + g.len - 1)
		show(&g);
	gm_assert_eq(got, status);
	gm_assert(!strncmp(g.text, "vmm: ", 5), "not from the VMM");
	gm_assert(strstr(g.text, text), "no '%s'", text);
	gm_assert(strchr(g.text, '\n') == g.text + g.len - 1, "more than a line");
	free(g.text);
}

#define REFUSED(status, text, ...) \
	refused_as(status, text, (const char *const []) { __VA_ARGS__, NULL })

static void bad_options(void)
{
	REFUSED(2, "no kernel: name one", "--ordinary");
	REFUSED(2, "'bzImage' is no option", "bzImage");
	REFUSED(2, "--memory 12 is no size", "--kernel", KERNEL, "--memory", "12");
	REFUSED(2, "--memory M is no size", "--kernel", KERNEL, "--memory", "M");
	REFUSED(2, "--memory -1G is no size", "--kernel", KERNEL, "--memory", "-1G");
	REFUSED(2, "is no size", "--kernel", KERNEL, "--memory", "99999999999999999999G");
	REFUSED(2, "no multiple of --block", "--kernel", KERNEL, "--memory", "255M");
	REFUSED(2, "no multiple of --block", "--kernel", KERNEL, "--block", "1G");
	REFUSED(2, "too small", "--kernel", KERNEL, "--memory", "64K", "--block", "4K");
	REFUSED(2, "--block 8K", "--kernel", KERNEL, "--block", "8K");
	REFUSED(2, "--source tape", "--kernel", KERNEL, "--source", "tape");
	REFUSED(2, "--cpus 0", "--kernel", KERNEL, "--cpus", "0");
	REFUSED(2, "--cpus 65", "--kernel", KERNEL, "--cpus", "65");
	REFUSED(2, "--cpus 1x", "--kernel", KERNEL, "--cpus", "1x");
	REFUSED(2, "no 4K pages", "--kernel", KERNEL, "--source", "hugetlb", "--block", "4K");
	REFUSED(2, "never private", "--kernel", KERNEL, "--source", "memfd");
	REFUSED(2, "maps every memfd", "--kernel", KERNEL, "--source", "memfd", "--ordinary",
		"--no-direct-map");
}

static void make_file(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	gm_assert(fd >= 0, "%s: %s", path, strerror(errno));
	gm_assert_eq(write(fd, data, len), len);
	close(fd);
}

#define IMAGE	"/tmp/gmem-vmm-image"
/* Offsets in a bzImage. */
#define AT_VERSION	0x206
#define AT_XLOADFLAGS	0x236
#define AT_PREF_ADDRESS	0x258
#define AT_INIT_SIZE	0x260
#define IMAGE_START	(64 << 10)

static void bad_files(void)
{
	char image[IMAGE_START], text[4096];
	int fd;

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	REFUSED(1, "No such file", "--ordinary", "--kernel", "/nowhere");
	REFUSED(1, "name a file", "--ordinary", "--kernel", "/tmp");
	REFUSED(1, "name a file", "--ordinary", "--kernel", "/dev/zero");
	make_file(IMAGE, "", 0);
	REFUSED(1, "is no bzImage", "--ordinary", "--kernel", IMAGE);
	make_file(IMAGE, text, sizeof(text) - 1);
	REFUSED(1, "whole sectors", "--ordinary", "--kernel", KERNEL, "--disk", IMAGE);
	REFUSED(1, "is no bzImage", "--ordinary", "--kernel", IMAGE);
	REFUSED(1, "No such file", "--ordinary", "--kernel", KERNEL, "--initrd", "/nowhere");
	REFUSED(1, "No such file", "--ordinary", "--kernel", KERNEL, "--disk", "/nowhere");
	REFUSED(1, "shorten --append", "--ordinary", "--kernel", KERNEL, "--append", text);
	REFUSED(1, "give more --memory", "--ordinary", "--kernel", KERNEL, "--memory", "16M");

	fd = open(KERNEL, O_RDONLY);
	gm_assert(fd >= 0, "%s: %s", KERNEL, strerror(errno));
	gm_assert_eq(read(fd, image, sizeof(image)), sizeof(image));
	close(fd);
	/* Room for the kernel to unpack itself, and no more. */
	snprintf(text, sizeof(text), "%lluM", (*(u64 *)(image + AT_PREF_ADDRESS) +
		 *(u32 *)(image + AT_INIT_SIZE) + GM_2M - 1) / GM_2M * 2);
	REFUSED(1, "give more --memory", "--ordinary", "--kernel", KERNEL, "--initrd", INITRD,
		"--memory", text);
	make_file(IMAGE, image, 1024);
	REFUSED(1, "ends early", "--ordinary", "--kernel", IMAGE);
	image[AT_XLOADFLAGS] = 0;
	make_file(IMAGE, image, sizeof(image));
	REFUSED(1, "64-bit mode", "--ordinary", "--kernel", IMAGE);
	image[AT_VERSION] = 0;
	make_file(IMAGE, image, sizeof(image));
	REFUSED(1, "64-bit mode", "--ordinary", "--kernel", IMAGE);
	unlink(IMAGE);
}

static void no_memory(void)
{
	REFUSED(1, "give less --memory", "--kernel", KERNEL, "--source", "hugetlb",
		"--memory", "16G");
}

static const struct gm_case cases[] = {
	{ "private_4k", private_4k, 120 },
	{ "private_4k_cpus", private_4k_cpus, 120 },
	{ "private_2m", private_2m, 120 },
	{ "private_2m_cpus", private_2m_cpus, 120 },
	{ "private_1g", private_1g, 120 },
	{ "private_1g_cpus", private_1g_cpus, 120 },
	{ "private_hugetlb_2m", private_hugetlb_2m, 120 },
	{ "private_hugetlb_2m_cpus", private_hugetlb_2m_cpus, 120 },
	{ "private_hugetlb_1g", private_hugetlb_1g, 120 },
	{ "private_hugetlb_1g_cpus", private_hugetlb_1g_cpus, 120 },
	{ "hidden_4k", hidden_4k, 120 },
	{ "hidden_2m", hidden_2m, 120 },
	{ "hidden_1g_cpus", hidden_1g_cpus, 120 },
	{ "hidden_hugetlb_2m_cpus", hidden_hugetlb_2m_cpus, 120 },
	{ "hidden_hugetlb_1g", hidden_hugetlb_1g, 120 },
	{ "private_share", private_share, 120 },
	{ "disk_private", disk_private, 120 },
	{ "ordinary_4k", ordinary_4k, 120 },
	{ "ordinary_2m", ordinary_2m, 120 },
	{ "ordinary_2m_cpus", ordinary_2m_cpus, 120 },
	{ "ordinary_1g", ordinary_1g, 120 },
	{ "ordinary_hugetlb_2m", ordinary_hugetlb_2m, 120 },
	{ "ordinary_hugetlb_1g", ordinary_hugetlb_1g, 120 },
	{ "ordinary_memfd", ordinary_memfd, 120 },
	{ "ordinary_4g", ordinary_4g, 120 },
	{ "shared_4k", shared_4k, 120 },
	{ "shared_2m", shared_2m, 120 },
	{ "shared_1g", shared_1g, 120 },
	{ "shared_hugetlb_2m", shared_hugetlb_2m, 120 },
	{ "shared_hugetlb_1g", shared_hugetlb_1g, 120 },
	{ "disk_ordinary", disk_ordinary, 120 },
	{ "disk_shared", disk_shared, 120 },
	{ "reset", reset, 120 },
	{ "bad_options", bad_options },
	{ "bad_files", bad_files },
	{ "no_memory", no_memory },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), POOL_2M);
}
