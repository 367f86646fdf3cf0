// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VMM of tools/gmem/vmm boots Linux: on each kind of memory, with the host
 * shut out of it, with a disk; and says what is wrong when it cannot.
 */

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "gmem_test.h"

#define KERNEL	GM_LINUX_KERNEL
#define INITRD	GM_LINUX_INITRD

static void check_cpus(struct gm_linux *g, const char *cpus)
{
	/* Quotes, so that the terminal's echo of it is something else. */
	gm_linux_type(g, "echo processors''=$(nproc)\n");
	gm_assert_eq(gm_linux_number(g, "processors="), atoi(cpus));
	gm_linux_expect(g, GM_LINUX_PROMPT);
}

/* Memory is in blocks of its size, and KVM has mapped them whole. */
static void check_blocks(struct gm_linux *g, const struct gm_boot *b)
{
	const u64 block = gm_sources[b->source].block;
	const char *const mapped[] = { "kvm-pages_4k:", "kvm-pages_2m:", "kvm-pages_1g:" };
	const char *const held[] = { "gmem-blocks-4k", "gmem-blocks-2m", "gmem-blocks-1g" };
	const unsigned int size = block == GM_1G ? 2 : block == GM_2M ? 1 : 0;
	unsigned int i;

	gm_linux_run(g, "gmem-share stats");
	for (i = 0; i < ARRAY_SIZE(held); i++) {
		if (i == size) {
			gm_assert_ge(gm_linux_fdinfo(g, held[i]), 1);
			gm_assert_ge(gm_linux_said(g, mapped[i]), 1);
		} else {
			gm_assert_eq(gm_linux_fdinfo(g, held[i]), 0);
			gm_assert_eq(gm_linux_said(g, mapped[i]), 0);
		}
	}
}

/* Nobody holds any of the guest's memory, whatever was done with it. */
static void check_references(const struct gm_linux *g)
{
	struct gm_file f = gm_linux_file(g);

	gm_assert_withdrawn(&f);
	gm_close(&f);
}

static void boot_ordinary(unsigned int source, const char *cpus)
{
	const struct gm_boot b = { .source = source, .kind = "--ordinary", .cpus = cpus };
	struct gm_linux g = gm_linux_boot(&b);

	check_cpus(&g, cpus);
	check_blocks(&g, &b);
	gm_linux_power_off(&g);
}

/* Memory that nobody has touched yet, too. */
static void check_private(const struct gm_linux *g)
{
	struct gm_file f = gm_linux_file(g);
	u64 off;

	for (off = 0; off < f.size; off += gm_get(&f, off).size)
		gm_assert(gm_is_private(&f, off), "shared at %#lx", (unsigned long)off);
	gm_close(&f);
}

static void boot_shared(unsigned int source, const char *cpus)
{
	const struct gm_boot b = { .source = source, .kind = "--shared", .cpus = cpus };
	struct gm_linux g = gm_linux_boot(&b);

	check_cpus(&g, cpus);
	check_blocks(&g, &b);
	gm_assert_eq(gm_linux_fdinfo(&g, "gmem-private"), 0);
	gm_linux_power_off(&g);
}

static void boot_private(unsigned int source, const char *cpus, bool hidden)
{
	const struct gm_boot b = { .source = source, .cpus = cpus, .hidden = hidden };
	struct gm_linux g = gm_linux_boot(&b);

	check_cpus(&g, cpus);
	check_blocks(&g, &b);
	gm_assert_eq(gm_linux_fdinfo(&g, "gmem-private"), gm_linux_fdinfo(&g, "gmem-allocated"));
	check_private(&g);
	gm_assert_eq(gm_linux_fdinfo(&g, "gmem-shared"), 0);
	gm_assert_eq(gm_linux_fdinfo(&g, "gmem-live"), 0);
	gm_linux_check_unreadable(&g);
	check_references(&g);
	gm_linux_power_off(&g);
}

/*
 * Nobody has prepared this kernel for it. On two of QEMU's processors at once it
 * crashes now and then, in ordinary VMs as well.
 */
static void private_cloud(void)
{
	const struct gm_boot b = { .source = GM_SRC_THP_2M, .cloud = true };
	struct gm_linux g = gm_linux_boot(&b);

	gm_assert(strstr(g.text, "cloud-amd64"), "another kernel");
	check_blocks(&g, &b);
	gm_assert_eq(gm_linux_fdinfo(&g, "gmem-private"), gm_linux_fdinfo(&g, "gmem-allocated"));
	check_private(&g);
	gm_linux_check_unreadable(&g);
	check_references(&g);
	gm_linux_power_off(&g);
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
	const struct gm_boot b = { .source = GM_SRC_THP_2M };
	struct gm_linux g = gm_linux_boot(&b);

	gm_linux_type(&g, "gmem-share hold 16\n");
	gm_linux_expect(&g, "shared 16 pages");
	gm_assert_eq(gm_linux_fdinfo(&g, "gmem-shared"), HELD * GM_PAGE);
	gm_linux_type(&g, "\n");
	gm_linux_expect(&g, "took back 16 pages");
	gm_linux_expect(&g, GM_LINUX_PROMPT);
	gm_assert_eq(gm_linux_fdinfo(&g, "gmem-shared"), 0);
	gm_linux_run(&g, "gmem-share churn 64 500");
	gm_assert_eq(gm_linux_fdinfo(&g, "gmem-shared"), 0);
	gm_linux_power_off(&g);
}

#define CHURN	"while [ ! -e /tmp/end ]; do gmem-share churn 64 100 || break; done"
#define METHODS	"stress-ng --vm 2 --vm-bytes 16M --vm-method all --verify -t 20"
/*
 * All that stress-ng knows of memory, one after the other, but what wants a swap
 * file or more memory than there is, or poisons its own. Says that it lives.
 */
#define CLASS	"mkdir /dev/shm && mount -t tmpfs shm /dev/shm;"			\
		"stress-ng --class vm --sequential 1 --verify --vm-bytes 16M -t 2 "	\
		"-x madvise,swap,userfaultfd &"							\
		"while kill -0 $!; do sleep 5; echo .; done 2>/dev/null; wait $!"

/* The host runs short of memory, over and over, until it is killed. */
static pid_t press_host(void)
{
	pid_t pid = fork();
	size_t len;
	char *mem;

	gm_assert(pid >= 0, "fork: %s", strerror(errno));
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		len = gm_meminfo("MemAvailable") / 10 * 9 * 1024;
		mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (mem == MAP_FAILED)
			continue;
		memset(mem, 1, len);
		munmap(mem, len);
	}
}

/*
 * The guest works with its memory and looks at the results, while pages beside
 * that are shared, taken back and given up.
 */
static void stress(unsigned int source, bool hidden, const char *command, bool pressed)
{
	const struct gm_boot b = {
		.source = source, .cpus = "2", .stress = true, .hidden = hidden
	};
	struct gm_linux g = gm_linux_boot(&b);
	pid_t pid = pressed ? press_host() : 0;
	long held;

	gm_linux_run(&g, "dd if=/dev/zero of=/tmp/all bs=1M count=48 2>/dev/null; rm /tmp/all");
	held = gm_linux_fdinfo(&g, "gmem-allocated");
	gm_linux_type(&g, CHURN " >/tmp/churn 2>&1 &\n");
	gm_linux_expect(&g, GM_LINUX_PROMPT);
	gm_linux_run(&g, command);
	gm_linux_run(&g, "touch /tmp/end; wait; cat /tmp/churn");
	gm_linux_run(&g, "grep -q changed /tmp/churn && ! grep -v changed /tmp/churn");
	if (pid) {
		kill(pid, SIGKILL);
		gm_assert_eq(waitpid(pid, NULL, 0), pid);
	}
	gm_assert_eq(gm_linux_fdinfo(&g, "gmem-shared"), 0);
	check_references(&g);
	gm_assert_ge(gm_linux_fdinfo(&g, "gmem-allocated"), held);
	gm_assert_le(gm_linux_fdinfo(&g, "gmem-allocated"), gm_linux_fdinfo(&g, "gmem-size"));
	gm_linux_power_off(&g);
}

#define STRESS(name, source, hidden, command, pressed) \
	static void stress_##name(void) { stress(source, hidden, command, pressed); }

STRESS(private, GM_SRC_THP_2M, false, METHODS, false)
STRESS(hidden, GM_SRC_THP_2M, true, METHODS, false)
STRESS(1g, GM_SRC_THP_1G, false, METHODS, false)
STRESS(pressed, GM_SRC_THP_2M, false, METHODS, true)
STRESS(class, GM_SRC_THP_2M, false, CLASS, false)

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
	const struct gm_boot b = {
		.source = GM_SRC_HTLB_2M, .kind = "--ordinary", .memfd = true
	};
	struct gm_linux g = gm_linux_boot(&b);

	gm_assert_ge(gm_linux_said(&g, "kvm-pages_2m:"), 1);
	gm_assert_eq(gm_linux_said(&g, "kvm-pages_4k:"), 0);
	gm_linux_power_off(&g);
}

/* Memory on both sides of the hole below 4 GiB. */
static void ordinary_4g(void)
{
	const char *const args[] = {
		"--kernel", KERNEL, "--initrd", INITRD, "--append", GM_LINUX_CMDLINE,
		"--ordinary", "--memory", "4G", NULL
	};
	struct gm_linux g = gm_linux_start(args);
	long kib;

	kib = gm_linux_number(&g, "MemTotal:");
	gm_assert(kib > 3900 << 10 && kib < 4096 << 10, "MemTotal %ld KiB", kib);
	gm_linux_expect(&g, GM_LINUX_PROMPT);
	/* From the end of memory down: the first pages are above 4 GiB. */
	gm_linux_run(&g, "dd if=/dev/zero of=/tmp/file bs=1M count=64 2>/dev/null");
	gm_assert_ge(gm_linux_fdinfo(&g, "gmem-allocated"), 64 << 20);
	gm_linux_power_off(&g);
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

static void use_disk(struct gm_linux *g)
{
	gm_linux_run(g, "dd if=/dev/vda of=/tmp/half bs=4k count=128 2>/dev/null");
	gm_linux_run(g, "dd if=/tmp/half of=/dev/vda bs=4k seek=128 2>/dev/null");
	gm_linux_run(g, "sync");
}

#define DISK	"/tmp/gmem-vmm-disk"

/* Of a queue of 64 entries: descriptors and available ring, used ring. */
#define RING_PAGES	2

static void disk(const char *kind)
{
	const struct gm_boot b = { .source = GM_SRC_THP_2M, .kind = kind, .disk = DISK };
	struct gm_linux g;

	make_disk(DISK, gm_seed);
	g = gm_linux_boot(&b);
	use_disk(&g);
	if (!kind)
		gm_assert_eq(gm_linux_fdinfo(&g, "gmem-shared"), RING_PAGES * GM_PAGE);
	gm_linux_power_off(&g);
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
	const struct gm_boot b = { .source = GM_SRC_THP_2M, .kind = "--ordinary" };
	struct gm_linux g = gm_linux_boot(&b);

	gm_linux_type(&g, "reboot -f\n");
	gm_assert_eq(gm_linux_wait(&g), 3);
	free(g.text);
	g = gm_linux_boot(&b);
	gm_linux_type(&g, "echo c >/proc/sysrq-trigger\n");
	gm_assert_eq(gm_linux_wait(&g), 3);
	gm_assert(strstr(g.text, "Kernel panic"), "no panic");
	free(g.text);
}

/* A status, and one line that has a text in it. */
static void refused_as(int status, const char *text, const char *const *args)
{
	struct gm_linux g = gm_linux_start(args);
	int got = gm_linux_wait(&g);

	if (got != status || !strstr(g.text, text) || strchr(g.text, '\n') != g.text + g.len - 1)
		gm_linux_show(&g);
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
	{ "private_cloud", private_cloud, 240 },
	{ "private_share", private_share, 120 },
	{ "disk_private", disk_private, 120 },
	{ "stress_private", stress_private, 300 },
	{ "stress_hidden", stress_hidden, 300 },
	{ "stress_1g", stress_1g, 300 },
	{ "stress_pressed", stress_pressed, 600 },
	{ "stress_class", stress_class, 900 },
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
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), GM_LINUX_POOL);
}
