// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files whose memory the kernel does not map: guest and host use it as ever, but
 * the kernel's own address of it leads nowhere, nobody gets a reference, and what
 * is given back is mapped again.
 */
#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "gmem_test.h"

#define SEED	59
#define TRACEFS	"/sys/kernel/tracing/"

struct scene {
	const struct gm_source *src;
	struct gm_vm *g;
	struct gm_file f;
	char *mem;
	u64 n;
};

static void open_scene(struct scene *s, unsigned int source, unsigned int type, u64 flags)
{
	s->src = &gm_sources[source];
	s->n = s->src->block == GM_PAGE ? 512 * GM_PAGE : s->src->block;
	gm_need_source(s->src, 2 * s->n);
	s->g = gm_vm_create(type, 1, 0);
	if (!(vm_check_cap(s->g->vm, KVM_CAP_GUEST_MEMFD_FLAGS) &
	      GUEST_MEMFD_FLAG_NO_DIRECT_MAP))
		gm_skip("this kernel cannot hide memory");
	s->f = gm_create_from(s->g->vm, s->src, 2 * s->n,
			      flags | GUEST_MEMFD_FLAG_NO_DIRECT_MAP);
	gm_slot(s->g, &s->f, GM_GPA, s->f.size, 0, NULL);
	gm_map(s->g, GM_GPA, s->f.size);
	if (flags & GM_MMAP)
		s->mem = gm_mmap(&s->f, 0, s->f.size);
}

static void close_scene(struct scene *s)
{
	if (s->mem)
		gm_assert_ok(munmap(s->mem, s->f.size));
	gm_close(&s->f);
	gm_vm_free(s->g);
}

/* Where the kernel has its direct map of a physical address. */
static u64 direct_map(u64 pa)
{
	int fd = gm_kcore_open();
	u64 va = gm_kcore_segment(fd, pa, true).va;

	close(fd);
	return va;
}

/*
 * Let the kernel read its own address of a page, as any bug of its could: a
 * probe's argument. Returns false if there is nothing at that address.
 */
static bool kernel_reads(u64 pa, u64 *value)
{
	char text[4096], *at;
	u64 va = direct_map(pa);
	bool there;

	gm_assert(gm_write(TRACEFS "kprobe_events",
			   "p:gm/peek __x64_sys_getppid val=@0x%lx:x64 str=@0x%lx:string",
			   (unsigned long)va, (unsigned long)va), "%s", strerror(errno));
	close(open(TRACEFS "trace", O_WRONLY | O_TRUNC));
	gm_assert(gm_write(TRACEFS "events/gm/peek/enable", "1"), "%s", strerror(errno));
	getppid();
	gm_assert(gm_write(TRACEFS "events/gm/peek/enable", "0"), "%s", strerror(errno));
	gm_read_text(TRACEFS "trace", text, sizeof(text));
	gm_assert(gm_write(TRACEFS "kprobe_events", "-:gm/peek"), "%s", strerror(errno));

	at = strstr(text, " val=");
	gm_assert(at, "no trace: %s", text);
	*value = strtoull(at + 5, NULL, 16);
	there = !strstr(at, "str=(fault)");
	return there;
}

static void assert_hidden(const struct scene *s, u64 step)
{
	u64 off, v;

	for (off = 0; off < s->f.size; off += step)
		gm_assert(!kernel_reads(gm_pfn_at(&s->f, off) * GM_PAGE, &v),
			  "page %#lx: the kernel reads %#lx", (unsigned long)(off / GM_PAGE),
			  (unsigned long)v);
}

/* Nothing of the host gets at the memory by way of a reference. */
static void assert_no_gup(const struct scene *s)
{
	struct iovec to = { .iov_base = (void *)s->mem, .iov_len = 8 };
	struct iovec from;
	u64 word;
	int fd[2], mem, disk;

	from = (struct iovec) { .iov_base = &word, .iov_len = 8 };
	gm_assert_errno(process_vm_readv(getpid(), &from, 1, &to, 1, 0), EFAULT);
	gm_assert_errno(process_vm_writev(getpid(), &from, 1, &to, 1, 0), EFAULT);

	gm_assert_ok(pipe(fd));
	to.iov_len = GM_PAGE;
	gm_assert_errno(vmsplice(fd[1], &to, 1, 0), EFAULT);
	close(fd[0]);
	close(fd[1]);

	mem = open("/proc/self/mem", O_RDWR);
	gm_assert(mem >= 0, "/proc/self/mem: %s", strerror(errno));
	gm_assert_errno(pread(mem, &word, 8, (off_t)s->mem), EIO);
	gm_assert_errno(pwrite(mem, &word, 8, (off_t)s->mem), EIO);
	close(mem);

	disk = open("/dev/ram0", O_RDONLY | O_DIRECT);
	if (disk >= 0) {
		gm_assert_errno(pread(disk, s->mem, GM_PAGE, 0), EFAULT);
		close(disk);
	}
	gm_assert_errno(madvise(s->mem, GM_PAGE, MADV_POPULATE_READ), EINVAL);
	gm_assert_errno(madvise(s->mem, GM_PAGE, MADV_DONTNEED), EINVAL);
	gm_assert_errno(syscall(SYS_futex, s->mem, FUTEX_WAKE, 1), EFAULT);
	gm_assert_ok(mlock(s->mem, GM_PAGE));
	gm_assert_eq(gm_proc_value("/proc/self/status", "VmLck"), 0);
}

/* A system call that copies is the host's own access, as in any mapping. */
static void copy_by_pipe(const struct scene *s)
{
	u64 word = 0;
	int fd[2];

	gm_assert_ok(pipe(fd));
	gm_assert_eq(write(fd[1], s->mem + GM_PAGE, 8), 8);
	gm_assert_eq(read(fd[0], &word, 8), 8);
	gm_assert_eq(word, *(u64 *)(s->mem + GM_PAGE));
	gm_assert_eq(write(fd[1], &word, 8), 8);
	gm_assert_eq(read(fd[0], s->mem + GM_PAGE, 8), 8);
	close(fd[0]);
	close(fd[1]);
}

/* Pages of the file that are looked at one by one. */
static u64 samples(const struct scene *s)
{
	return s->f.size / 8;
}

static void shared(unsigned int source)
{
	const u64 len = 8 * GM_PAGE;
	struct scene s;
	u64 pa, v;

	open_scene(&s, source, VM_TYPE_DEFAULT, GM_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED);
	gm_guest_touch(s.g, 0, s.f.size, GM_PAGE, SEED);
	gm_guest_fill(s.g, 0, len, SEED);
	assert_hidden(&s, samples(&s));
	gm_assert_frozen(&s.f);

	gm_assert_eq(gm_host_differ(s.mem, 0, len, SEED), 0);
	gm_host_fill(s.mem + s.n, s.n, len, SEED + 1);
	gm_guest_verify(s.g, s.n, len, SEED + 1);
	assert_no_gup(&s);
	copy_by_pipe(&s);
	gm_assert_frozen(&s.f);

	/* Zeroed through a window, if it is part of a block. */
	gm_assert_ok(gm_punch(&s.f, GM_PAGE, 2 * GM_PAGE));
	gm_assert_eq(gm_host_differ(s.mem, 0, GM_PAGE, SEED), 0);
	gm_assert_eq(gm_host_differ(s.mem + GM_PAGE, 0, 2 * GM_PAGE, 0), 0);
	gm_guest_verify(s.g, GM_PAGE, 2 * GM_PAGE, 0);
	gm_guest_verify(s.g, 3 * GM_PAGE, len - 3 * GM_PAGE, SEED);
	assert_hidden(&s, samples(&s));

	/* Back where it came from, it is mapped. */
	pa = gm_pfn_at(&s.f, s.n) * GM_PAGE;
	gm_assert_ok(gm_punch(&s.f, s.n, s.n));
	gm_assert(kernel_reads(pa, &v), "what was given back is not mapped");
	if (s.src->flags & GM_HUGETLB)
		gm_assert_eq(v, gm_word(SEED + 1, s.n));
	close_scene(&s);
}

static void converts(unsigned int source)
{
	const u64 len = 8 * GM_PAGE;
	struct scene s;
	u64 pfn;
	int i;

	open_scene(&s, source, GM_SWP, GM_MMAP);
	gm_guest_fill(s.g, 0, len, SEED);
	pfn = gm_pfn_at(&s.f, 0);
	for (i = 0; i < 3; i++) {
		gm_assert(gm_sigbus(s.mem, false), "private");
		gm_set_ok(&s.f, 0, len, false);
		gm_assert_eq(gm_host_differ(s.mem, 0, len, SEED), 0);
		gm_assert_frozen(&s.f);
		gm_set_ok(&s.f, GM_PAGE, GM_PAGE, true);
		gm_assert(gm_sigbus(s.mem + GM_PAGE, true), "private again");
		gm_guest_verify(s.g, 0, len, SEED);
		gm_set_ok(&s.f, 0, s.f.size, true);
	}
	gm_assert_eq(gm_pfn_at(&s.f, 0), pfn);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-eagain"), 0);
	gm_guest_verify(s.g, 0, len, SEED);
	close_scene(&s);
}

/* Without MMAP there is no way in for the host at all. */
static void guest_only(unsigned int source)
{
	struct scene s = { 0 };

	open_scene(&s, source, VM_TYPE_DEFAULT, 0);
	gm_assert(mmap(NULL, GM_PAGE, PROT_READ, MAP_SHARED, s.f.fd, 0) == MAP_FAILED, "mmap");
	gm_assert_eq(errno, ENODEV);
	gm_assert_ok(gm_populate(&s.f, 0, s.f.size));
	assert_hidden(&s, samples(&s));
	close_scene(&s);
}

/* How often all TLBs were flushed, by whom ever. */
static long flushes(void)
{
	char text[4096], name[64];
	long hits, sum = 0;
	char *line, *save;

	gm_read_text(TRACEFS "kprobe_profile", text, sizeof(text));
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (sscanf(line, " %63s %ld", name, &hits) == 2)
			sum += hits;
	return sum;
}

/* A gigabyte is one leaf of the direct map, and one flush. */
static void few_flushes(unsigned int source, long max)
{
	struct scene s = { 0 };
	long before;

	open_scene(&s, source, VM_TYPE_DEFAULT, 0);
	gm_assert(gm_write(TRACEFS "kprobe_events", "p:gm/range flush_tlb_kernel_range\n"),
		  "%s", strerror(errno));
	gm_assert(gm_write(TRACEFS "kprobe_events", "p:gm/all flush_tlb_all\n"),
		  "%s", strerror(errno));
	gm_assert(gm_write(TRACEFS "events/gm/enable", "1"), "%s", strerror(errno));
	before = flushes();
	gm_assert_ok(gm_populate(&s.f, 0, s.n));
	before = flushes() - before;
	gm_note("%ld flushes for %lu MiB", before, (unsigned long)(s.n >> 20));
	gm_assert_ge(before, 1);
	gm_assert_le(before, max);
	gm_assert(gm_write(TRACEFS "events/gm/enable", "0"), "%s", strerror(errno));
	gm_assert(gm_write(TRACEFS "kprobe_events", "-:gm/range"), "%s", strerror(errno));
	gm_assert(gm_write(TRACEFS "kprobe_events", "-:gm/all"), "%s", strerror(errno));
	close_scene(&s);
}

/* What the kernel must be able to read, and what it says of that. */
static void refusals(void)
{
	struct gm_vm *g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	struct gm_file f;

	gm_assert(vm_check_cap(g->vm, KVM_CAP_GUEST_MEMFD_FLAGS) &
		  GUEST_MEMFD_FLAG_NO_DIRECT_MAP, "not reported");
	/* An image of all memory would have to map it. */
	f = gm_create(g->vm, GM_PAGE, GUEST_MEMFD_FLAG_NO_DIRECT_MAP);
	gm_assert_ok(gm_populate(&f, 0, GM_PAGE));
	if (!access("/sys/power/disk", F_OK)) {
		gm_assert(!gm_write("/sys/power/state", "disk"), "it hibernated");
		gm_assert_eq(errno, EBUSY);
	}
	gm_close(&f);
	gm_vm_free(g);
}

#define CASE(name, call) static void name(void) { call; }

CASE(shared_4k, shared(GM_SRC_4K))
CASE(shared_2m, shared(GM_SRC_THP_2M))
CASE(shared_htlb_2m, shared(GM_SRC_HTLB_2M))
CASE(shared_htlb_1g, shared(GM_SRC_HTLB_1G))
CASE(converts_4k, converts(GM_SRC_4K))
CASE(converts_2m, converts(GM_SRC_THP_2M))
CASE(converts_htlb_2m, converts(GM_SRC_HTLB_2M))
CASE(converts_htlb_1g, converts(GM_SRC_HTLB_1G))
CASE(guest_only_4k, guest_only(GM_SRC_4K))
CASE(guest_only_2m, guest_only(GM_SRC_THP_2M))
CASE(guest_only_htlb_2m, guest_only(GM_SRC_HTLB_2M))
CASE(flushes_2m, few_flushes(GM_SRC_HTLB_2M, 4))
CASE(flushes_1g, few_flushes(GM_SRC_HTLB_1G, 8))

static const struct gm_case cases[] = {
	{ "shared_4k", shared_4k },
	{ "shared_2m", shared_2m },
	{ "shared_hugetlb_2m", shared_htlb_2m },
	{ "shared_hugetlb_1g", shared_htlb_1g },
	{ "converts_4k", converts_4k },
	{ "converts_2m", converts_2m },
	{ "converts_hugetlb_2m", converts_htlb_2m },
	{ "converts_hugetlb_1g", converts_htlb_1g },
	{ "guest_only_4k", guest_only_4k },
	{ "guest_only_2m", guest_only_2m },
	{ "guest_only_hugetlb_2m", guest_only_htlb_2m },
	{ "flushes_2m", flushes_2m },
	{ "flushes_1g", flushes_1g },
	{ "refusals", refusals },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 8);
}
