// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shared files mapped by the host: the same data on both sides, pages published
 * one by one out of a block that the guest keeps, and refusals.
 */
#include <linux/userfaultfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "gmem_test.h"

#define SEED	17
#define AROUND	64	/* pages that a fault may publish: one vmemmap page */

struct scene {
	const struct gm_source *src;
	struct gm_vm *g;
	struct gm_file f;
	char *mem;
	u64 n;		/* block size */
};

static void open_scene(struct scene *s, unsigned int source, unsigned int blocks)
{
	s->src = &gm_sources[source];
	s->n = s->src->block;
	gm_need_source(s->src, blocks * s->n);
	s->g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	s->f = gm_create_from(s->g->vm, s->src, blocks * s->n, GM_SHARED);
	gm_attach(s->g, &s->f, GM_GPA);
	s->mem = gm_mmap(&s->f, 0, s->f.size);
}

static void close_scene(struct scene *s)
{
	gm_assert_ok(munmap(s->mem, s->f.size));
	gm_close(&s->f);
	gm_vm_free(s->g);
}

static void both_ways(unsigned int source, unsigned int blocks)
{
	u64 size = 4 * GM_2M, off;
	struct scene s;

	open_scene(&s, source, blocks);
	/* A gigabyte is sampled in four places. */
	if (size > s.f.size)
		size = s.f.size;
	for (off = 0; off < s.f.size; off += size < s.f.size ? s.f.size / 4 : size) {
		gm_guest_fill(s.g, off, size, SEED);
		gm_assert_eq(gm_host_differ(s.mem + off, off, size, SEED), 0);
		gm_host_fill(s.mem + off, off, size, SEED + 1);
		gm_guest_verify(s.g, off, size, SEED + 1);
		/* Interleaved: the guest every second page. */
		gm_guest_touch(s.g, off, size, 2 * GM_PAGE, SEED + 2);
		for (u64 i = 0; i < size; i += GM_PAGE)
			gm_assert_eq(*(u64 *)(s.mem + off + i),
				     gm_word(SEED + (i / GM_PAGE % 2 ? 1 : 2), off + i));
	}
	close_scene(&s);

	/* Host first: what it did not write is zero for the guest. */
	open_scene(&s, source, blocks);
	gm_host_fill(s.mem + GM_PAGE, GM_PAGE, GM_PAGE, SEED);
	gm_guest_verify(s.g, 0, GM_PAGE, 0);
	gm_guest_verify(s.g, GM_PAGE, GM_PAGE, SEED);
	gm_guest_verify(s.g, 2 * GM_PAGE, 2 * GM_PAGE, 0);
	close_scene(&s);
}

static struct gm_block first_block(struct scene *s)
{
	struct gm_block b;

	gm_assert(gm_block_at(&s->f, 0, &b), "no block");
	return b;
}

/* From an intact block to one with live pages, and back to frozen ones. */
static void publish(unsigned int source)
{
	struct gm_block b, was;
	u64 faults, p2m;
	struct scene s;

	open_scene(&s, source, 1);
	if (!gm_have_gmem())
		gm_skip("this kernel has no blocks");
	gm_guest_touch(s.g, 0, s.n, GM_PAGE, SEED);
	was = first_block(&s);
	gm_assert(!was.dissolved && !was.live && !was.refs, "touched by the guest only");
	faults = gm_vcpu_stat(s.g, 0, "pf_taken");
	p2m = gm_vm_stat(s.g, "pages_2m");

	/* One page read by the host. */
	gm_assert_eq(READ_ONCE(*(u64 *)(s.mem + 5 * GM_PAGE)), gm_word(SEED, 5 * GM_PAGE));
	b = first_block(&s);
	gm_assert(b.dissolved, "not dissolved by the first host touch");
	gm_assert_eq(b.pfn, was.pfn);
	gm_assert_ge(b.live, 1);
	gm_assert_le(b.live, AROUND);
	/* Ours and one per mapping, and none for any other page. */
	gm_assert_ge(b.refs, b.live + 1);
	gm_assert_le(b.refs, 2 * b.live);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-live"), b.live * GM_PAGE);
	gm_assert_eq(gm_counter("live_pages"), b.live);

	/* And one written far away, if there is a far away. */
	WRITE_ONCE(*(u64 *)(s.mem + s.n - GM_PAGE), gm_word(SEED, s.n - GM_PAGE));
	was = b;
	b = first_block(&s);
	gm_assert_ge(b.live, was.live + 1);
	gm_assert_le(b.live, was.live + AROUND);

	/* The guest did not notice: no fault, and still one mapping. */
	gm_guest_check(s.g, 0, s.n, GM_PAGE, SEED);
	gm_assert_eq(gm_vcpu_stat(s.g, 0, "pf_taken"), faults);
	gm_assert_eq(gm_vm_stat(s.g, "pages_2m"), p2m);

	/* Unmapping leaves our own references. */
	gm_assert_ok(madvise(s.mem, s.n, MADV_DONTNEED));
	b = first_block(&s);
	gm_assert_eq(b.refs, b.live);
	gm_assert_eq(READ_ONCE(*(u64 *)(s.mem + 5 * GM_PAGE)), gm_word(SEED, 5 * GM_PAGE));

	/* Punching the page withdraws it, and only it and its like. */
	was = first_block(&s);
	gm_assert_ok(gm_punch(&s.f, 5 * GM_PAGE, GM_PAGE));
	b = first_block(&s);
	gm_assert_eq(b.live, was.live - 1);
	gm_assert_eq(b.pfn, was.pfn);
	gm_guest_check(s.g, 5 * GM_PAGE, GM_PAGE, GM_PAGE, 0);
	gm_guest_check(s.g, 6 * GM_PAGE, s.n - 6 * GM_PAGE, GM_PAGE, SEED);
	gm_assert_eq(READ_ONCE(*(u64 *)(s.mem + 5 * GM_PAGE)), 0);

	/* All of it: back to the source, and the mapping shows a new block. */
	gm_assert_ok(gm_punch(&s.f, 0, s.n));
	gm_assert_eq(gm_held(&s.f), 0);
	gm_assert_eq(gm_counter("live_pages"), 0);
	gm_assert_eq(READ_ONCE(*(u64 *)(s.mem + 5 * GM_PAGE)), 0);
	gm_assert_eq(gm_held(&s.f), s.n);
	close_scene(&s);
}

static void publish_all(unsigned int source)
{
	struct gm_block b;
	struct scene s;
	u64 i;

	open_scene(&s, source, 1);
	if (!gm_have_gmem())
		gm_skip("this kernel has no blocks");
	gm_host_fill(s.mem, 0, s.n, SEED);
	b = first_block(&s);
	gm_assert_eq(b.live, s.n / GM_PAGE);
	gm_assert_eq(b.refs, 2 * s.n / GM_PAGE);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-live"), s.n);
	gm_guest_verify(s.g, 0, s.n, SEED);
	for (i = 0; i < s.n; i += 2 * GM_PAGE)
		gm_assert_ok(gm_punch(&s.f, i, GM_PAGE));
	b = first_block(&s);
	gm_assert_eq(b.live, s.n / GM_PAGE / 2);
	for (i = 0; i < s.n; i += GM_PAGE)
		gm_assert_eq(gm_host_differ(s.mem + i, i, GM_PAGE,
					    i / GM_PAGE % 2 ? SEED : 0), 0);
	close_scene(&s);
}

static void assert_sigbus(void *p)
{
	gm_assert(gm_sigbus(p, false), "read went through");
	gm_assert(gm_sigbus(p, true), "write went through");
}

static void sigbus(unsigned int source)
{
	const struct gm_source *src = &gm_sources[source];
	struct gm_file f;
	struct gm_vm *g;
	char *mem;

	gm_need_source(src, 2 * src->block);
	g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);

	/* Private: before and after the guest used it. */
	f = gm_create_from(g->vm, src, src->block, GM_MMAP);
	gm_attach(g, &f, GM_GPA);
	mem = gm_mmap(&f, 0, src->block);
	assert_sigbus(mem);
	assert_sigbus(mem + src->block - 1);
	if (gm_have_gmem())
		gm_assert_eq(gm_held(&f), 0);
	gm_guest_touch(g, 0, src->block, GM_PAGE, SEED);
	assert_sigbus(mem);
	assert_sigbus(mem + src->block - GM_PAGE);
	gm_guest_check(g, 0, src->block, GM_PAGE, SEED);
	if (gm_have_gmem())
		gm_assert_frozen(&f);
	gm_assert_ok(munmap(mem, src->block));
	gm_close(&f);

	/* Shared, but behind the end. */
	f = gm_create_from(g->vm, src, src->block, GM_SHARED);
	mem = gm_mmap(&f, 0, 2 * src->block);
	assert_sigbus(mem + src->block);
	assert_sigbus(mem + 2 * src->block - 1);
	if (gm_have_gmem())
		gm_assert_eq(gm_held(&f), 0);
	gm_assert(!gm_sigbus(mem + src->block - 1, true), "last byte");
	gm_assert_ok(munmap(mem, 2 * src->block));
	mem = gm_mmap(&f, 4 * src->block, GM_PAGE);
	assert_sigbus(mem);
	gm_assert_ok(munmap(mem, GM_PAGE));
	gm_close(&f);
	gm_vm_free(g);
}

#define assert_no_mmap(fd, prot, flags, len, err) \
	gm_assert_errno(mmap(NULL, len, prot, flags, fd, 0), err)

static void refusals(unsigned int source)
{
	const struct gm_source *src = &gm_sources[source];
	const u64 n = src->block;
	struct kvm_vm *vm = vm_create_barebones();
	char buf[64] = { 0 }, *mem;
	struct gm_file f;

	gm_need_source(src, n);
	f = gm_create_from(vm, src, n, 0);
	assert_no_mmap(f.fd, PROT_READ, MAP_SHARED, GM_PAGE, ENODEV);
	assert_no_mmap(f.fd, PROT_READ, MAP_PRIVATE, GM_PAGE, ENODEV);
	gm_close(&f);

	f = gm_create_from(vm, src, n, GM_SHARED);
	assert_no_mmap(f.fd, PROT_READ | PROT_WRITE, MAP_PRIVATE, n, EINVAL);
	assert_no_mmap(f.fd, PROT_READ, MAP_PRIVATE, GM_PAGE, EINVAL);
	gm_assert_errno(read(f.fd, buf, sizeof(buf)), EINVAL);
	gm_assert_errno(write(f.fd, buf, sizeof(buf)), EINVAL);
	gm_assert_errno(pread(f.fd, buf, sizeof(buf), 0), ESPIPE);
	gm_assert_errno(pwrite(f.fd, buf, sizeof(buf), 0), ESPIPE);
	gm_assert_errno(ftruncate(f.fd, 0), EINVAL);
	gm_assert_errno(ftruncate(f.fd, 2 * n), EINVAL);
	gm_assert_errno(ftruncate(f.fd, n), EINVAL);
	mem = gm_mmap(&f, 0, n);
	memset(mem, 1, n < GM_2M ? n : GM_2M);
	gm_assert_errno(madvise(mem, n < GM_2M ? n : GM_2M, MADV_COLLAPSE), EINVAL);
	gm_assert_eq(mem[GM_PAGE - 1], 1);
	gm_close(&f);
	kvm_vm_free(vm);
}

/* A userfaultfd that is asked for all it can do without implementing it for a file. */
static void assert_no_uffd(char *mem, u64 len)
{
	static const u64 modes[] = {
		UFFDIO_REGISTER_MODE_MISSING,
		UFFDIO_REGISTER_MODE_WP,
		UFFDIO_REGISTER_MODE_MINOR,
	};
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC };
	struct uffdio_register reg = { .range = { .len = len } };
	unsigned int i;
	int uffd;

	uffd = syscall(__NR_userfaultfd, UFFD_USER_MODE_ONLY | O_CLOEXEC);
	gm_assert(uffd >= 0, "userfaultfd: %s", strerror(errno));
	gm_assert_ok(ioctl(uffd, UFFDIO_API, &api));
	reg.range.start = (u64)mem;
	for (i = 0; i < ARRAY_SIZE(modes); i++) {
		reg.mode = modes[i];
		gm_assert_errno(ioctl(uffd, UFFDIO_REGISTER, &reg), EINVAL);
	}
	close(uffd);
}

/* What would leave something in the page tables, or make the mapping another. */
static void not_ordinary(unsigned int source, unsigned int blocks)
{
	struct scene s;
	void *locked;
	u64 half;

	open_scene(&s, source, blocks);
	half = s.f.size / 2;
	gm_host_fill(s.mem, 0, 2 * GM_PAGE, SEED);

	assert_no_uffd(s.mem, half);
	gm_assert_errno(madvise(s.mem, GM_PAGE, MADV_GUARD_INSTALL), EINVAL);

	gm_assert_ok(mlock(s.mem, 8 * GM_PAGE));
	locked = mmap(NULL, GM_PAGE, PROT_READ, MAP_SHARED | MAP_LOCKED, s.f.fd, 0);
	gm_assert(locked != MAP_FAILED, "mmap: %s", strerror(errno));
	gm_assert_eq(gm_proc_value("/proc/self/status", "VmLck"), 0);
	gm_assert_ok(munmap(locked, GM_PAGE));
	gm_assert_ok(munlock(s.mem, 8 * GM_PAGE));

	gm_assert_ok(madvise(s.mem, GM_PAGE, MADV_DONTDUMP));
	gm_assert_errno(madvise(s.mem, GM_PAGE, MADV_DODUMP), EINVAL);
	gm_assert_ok(madvise(s.mem + half, GM_PAGE, MADV_DONTFORK));
	gm_assert_errno(madvise(s.mem + half, GM_PAGE, MADV_DOFORK), EINVAL);

	gm_assert_ok(munmap(s.mem + half, half));
	gm_assert_ok(munmap(s.mem, GM_PAGE));
	s.mem += GM_PAGE;
	half -= GM_PAGE;
	gm_assert(mremap(s.mem, half, 2 * half, MREMAP_MAYMOVE) == MAP_FAILED, "it grew");
	gm_assert_eq(errno, EFAULT);

	gm_assert_eq(gm_host_differ(s.mem, GM_PAGE, GM_PAGE, SEED), 0);
	gm_guest_verify(s.g, 0, 2 * GM_PAGE, SEED);
	gm_assert_ok(munmap(s.mem, half));
	gm_close(&s.f);
	gm_vm_free(s.g);
}

static void in_child(void *arg)
{
	struct scene *s = arg;

	gm_assert_eq(gm_host_differ(s->mem, 0, 4 * GM_PAGE, SEED), 0);
	gm_host_fill(s->mem, 0, 2 * GM_PAGE, SEED + 1);
	/* Mappings are inherited, not copied: a new page shows here as well. */
	gm_host_fill(s->mem + 6 * GM_PAGE, 6 * GM_PAGE, GM_PAGE, SEED + 1);
	gm_assert_ok(gm_punch(&s->f, 3 * GM_PAGE, GM_PAGE));
}

static void mapping_calls(unsigned int source, unsigned int blocks)
{
	struct scene s;
	char *moved;

	open_scene(&s, source, blocks);
	gm_guest_fill(s.g, 0, 8 * GM_PAGE, SEED);

	gm_assert_eq(gm_in_child(in_child, &s), 0);
	gm_guest_verify(s.g, 0, 2 * GM_PAGE, SEED + 1);
	gm_guest_verify(s.g, 2 * GM_PAGE, GM_PAGE, SEED);
	gm_guest_verify(s.g, 3 * GM_PAGE, GM_PAGE, 0);
	gm_assert_eq(gm_host_differ(s.mem + 3 * GM_PAGE, 0, GM_PAGE, 0), 0);
	gm_guest_verify(s.g, 6 * GM_PAGE, GM_PAGE, SEED + 1);

	/* Moved, with pages that are mapped and pages that are not. */
	gm_guest_fill(s.g, 0, 8 * GM_PAGE, SEED);
	moved = mremap(s.mem, s.f.size, s.f.size, MREMAP_MAYMOVE | MREMAP_FIXED,
		       kvm_mmap(s.f.size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1));
	gm_assert(moved != MAP_FAILED, "mremap: %s", strerror(errno));
	s.mem = moved;
	gm_assert_eq(gm_host_differ(s.mem, 0, 8 * GM_PAGE, SEED), 0);

	/* Locking holds no reference: punch takes the page all the same. */
	gm_assert_ok(mlock(s.mem, 4 * GM_PAGE));
	gm_assert_ok(gm_punch(&s.f, GM_PAGE, GM_PAGE));
	gm_assert_eq(gm_host_differ(s.mem, 0, GM_PAGE, SEED), 0);
	gm_assert_eq(gm_host_differ(s.mem + GM_PAGE, 0, GM_PAGE, 0), 0);
	gm_assert_eq(gm_host_differ(s.mem + 2 * GM_PAGE, 2 * GM_PAGE, 6 * GM_PAGE, SEED), 0);
	gm_assert_ok(munlock(s.mem, 4 * GM_PAGE));

	gm_assert_ok(mprotect(s.mem, s.f.size, PROT_READ));
	gm_assert_eq(gm_host_differ(s.mem, 0, GM_PAGE, SEED), 0);
	gm_assert_ok(mprotect(s.mem, s.f.size, PROT_READ | PROT_WRITE));
	gm_host_fill(s.mem, 0, 8 * GM_PAGE, SEED + 3);
	gm_guest_verify(s.g, 0, 8 * GM_PAGE, SEED + 3);

	gm_assert_ok(madvise(s.mem, s.f.size, MADV_DONTNEED));
	gm_assert_eq(gm_host_differ(s.mem, 0, 8 * GM_PAGE, SEED + 3), 0);
	gm_assert_ok(madvise(s.mem, 64 * GM_PAGE < s.f.size ? 64 * GM_PAGE : s.f.size,
			     MADV_POPULATE_WRITE));
	gm_assert_ok(madvise(s.mem, s.f.size, MADV_HUGEPAGE));
	gm_assert_eq(gm_host_differ(s.mem, 0, 8 * GM_PAGE, SEED + 3), 0);
	gm_assert_ok(munmap(s.mem, 2 * GM_PAGE));
	gm_assert_eq(gm_host_differ(s.mem + 2 * GM_PAGE, 2 * GM_PAGE, 6 * GM_PAGE,
				    SEED + 3), 0);
	gm_guest_verify(s.g, 0, 8 * GM_PAGE, SEED + 3);
	gm_assert_ok(munmap(s.mem + 2 * GM_PAGE, s.f.size - 2 * GM_PAGE));
	gm_close(&s.f);
	gm_vm_free(s.g);
}

/* One vmemmap page for one live page, however large the block. */
static void one_page_each(unsigned int source)
{
	struct scene s;
	u64 off, pages = 0;
	long before;

	if (gm_read_long("/proc/sys/vm/hugetlb_optimize_vmemmap") != 1)
		gm_skip("needs hugetlb_free_vmemmap=on");
	open_scene(&s, source, 1);
	before = gm_counter("vmemmap_pages");
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-vmemmap"), 0);
	gm_guest_touch(s.g, 0, s.n, GM_2M, SEED);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-vmemmap"), 0);
	for (off = 0; off < s.n; off += s.n / 8) {
		WRITE_ONCE(*(u64 *)(s.mem + off), 1);
		pages++;
		/* The first of a block is always real. */
		gm_assert_eq(gm_fdinfo(&s.f, "gmem-vmemmap"), (pages - 1) * GM_PAGE);
		gm_assert_eq(gm_counter("vmemmap_pages"), before + pages - 1);
	}
	/* They stay until the block goes. */
	gm_assert_ok(gm_punch(&s.f, s.n / 8, GM_PAGE));
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-vmemmap"), (pages - 1) * GM_PAGE);
	gm_assert_ok(gm_punch(&s.f, 0, s.n));
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-vmemmap"), 0);
	gm_assert_eq(gm_counter("vmemmap_pages"), before);
	close_scene(&s);
}

#define CORE	"/tmp/gmem-core"

/* All that a core of this process can have in it. */
static void dump_core(void)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	int status;
	pid_t pid;

	gm_assert(gm_write("/proc/sys/kernel/core_pattern", CORE), "%s", strerror(errno));
	fflush(stdout);
	pid = fork();
	gm_assert(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		gm_assert_ok(setrlimit(RLIMIT_CORE, &all));
		gm_assert(gm_write("/proc/self/coredump_filter", "0x3f"), "%s", strerror(errno));
		abort();
	}
	gm_assert_eq(waitpid(pid, &status, 0), pid);
	gm_assert(WIFSIGNALED(status) && WCOREDUMP(status), "status %#x, no core", status);
}

static bool core_has(u64 word)
{
	int fd = open(CORE, O_RDONLY);
	struct stat st;
	bool found;
	void *mem;

	gm_assert(fd >= 0, "%s: %s", CORE, strerror(errno));
	gm_assert_ok(fstat(fd, &st));
	mem = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	gm_assert(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	found = memmem(mem, st.st_size, &word, sizeof(word));
	gm_assert_ok(munmap(mem, st.st_size));
	close(fd);
	return found;
}

/* A core has shared memory in it, and nothing of a page that is private. */
static void core(unsigned int source)
{
	const struct gm_source *src = &gm_sources[source];
	/* No constant, which a core has in the program. */
	const u64 seed = gm_seed, middle = GM_PAGE / 2;
	struct gm_vm *g;
	struct gm_file f;
	char *mem;

	gm_need_source(src, GM_2M);
	g = gm_vm_create(GM_SWP, 1, 0);
	f = gm_create_from(g->vm, src, GM_2M, GM_MMAP);
	mem = gm_mmap(&f, 0, f.size);
	gm_set_ok(&f, 0, 2 * GM_PAGE, false);
	gm_host_fill(mem, 0, 2 * GM_PAGE, seed);
	gm_set_ok(&f, GM_PAGE, GM_PAGE, true);

	dump_core();
	gm_assert(core_has(gm_word(seed, middle)), "nothing of the shared page");
	gm_assert(!core_has(gm_word(seed, GM_PAGE + middle)), "the private page is in it");

	/* It was there all the time. */
	gm_set_ok(&f, GM_PAGE, GM_PAGE, false);
	gm_assert_eq(gm_host_differ(mem, 0, 2 * GM_PAGE, seed), 0);
	gm_assert_ok(unlink(CORE));
	gm_assert_ok(munmap(mem, f.size));
	gm_close(&f);
	gm_vm_free(g);
}

#define CASE(name, call) static void name(void) { call; }

CASE(both_4k, both_ways(GM_SRC_4K, 1024))
CASE(both_2m, both_ways(GM_SRC_THP_2M, 4))
CASE(both_htlb_2m, both_ways(GM_SRC_HTLB_2M, 4))
CASE(both_htlb_1g, both_ways(GM_SRC_HTLB_1G, 1))
CASE(publish_2m, publish(GM_SRC_THP_2M))
CASE(publish_htlb_2m, publish(GM_SRC_HTLB_2M))
CASE(publish_htlb_1g, publish(GM_SRC_HTLB_1G))
CASE(publish_all_2m, publish_all(GM_SRC_THP_2M))
CASE(publish_all_htlb_2m, publish_all(GM_SRC_HTLB_2M))
CASE(sigbus_4k, sigbus(GM_SRC_4K))
CASE(sigbus_2m, sigbus(GM_SRC_THP_2M))
CASE(sigbus_htlb_2m, sigbus(GM_SRC_HTLB_2M))
CASE(refuse_4k, refusals(GM_SRC_4K))
CASE(refuse_2m, refusals(GM_SRC_THP_2M))
CASE(refuse_htlb_2m, refusals(GM_SRC_HTLB_2M))
CASE(special_4k, not_ordinary(GM_SRC_4K, 1024))
CASE(special_2m, not_ordinary(GM_SRC_THP_2M, 2))
CASE(special_htlb_2m, not_ordinary(GM_SRC_HTLB_2M, 2))
CASE(calls_4k, mapping_calls(GM_SRC_4K, 1024))
CASE(calls_2m, mapping_calls(GM_SRC_THP_2M, 2))
CASE(calls_htlb_2m, mapping_calls(GM_SRC_HTLB_2M, 2))
CASE(vmemmap_2m, one_page_each(GM_SRC_HTLB_2M))
CASE(vmemmap_1g, one_page_each(GM_SRC_HTLB_1G))
CASE(core_4k, core(GM_SRC_4K))
CASE(core_2m, core(GM_SRC_THP_2M))
CASE(core_htlb_2m, core(GM_SRC_HTLB_2M))

static const struct gm_case cases[] = {
	{ "both_ways_4k", both_4k },
	{ "both_ways_2m", both_2m },
	{ "both_ways_hugetlb_2m", both_htlb_2m },
	{ "both_ways_hugetlb_1g", both_htlb_1g },
	{ "publish_2m", publish_2m },
	{ "publish_hugetlb_2m", publish_htlb_2m },
	{ "publish_hugetlb_1g", publish_htlb_1g },
	{ "publish_all_2m", publish_all_2m },
	{ "publish_all_hugetlb_2m", publish_all_htlb_2m },
	{ "sigbus_4k", sigbus_4k },
	{ "sigbus_2m", sigbus_2m },
	{ "sigbus_hugetlb_2m", sigbus_htlb_2m },
	{ "refusals_4k", refuse_4k },
	{ "refusals_2m", refuse_2m },
	{ "refusals_hugetlb_2m", refuse_htlb_2m },
	{ "not_ordinary_4k", special_4k },
	{ "not_ordinary_2m", special_2m },
	{ "not_ordinary_hugetlb_2m", special_htlb_2m },
	{ "calls_4k", calls_4k },
	{ "calls_2m", calls_2m },
	{ "calls_hugetlb_2m", calls_htlb_2m },
	{ "vmemmap_2m", vmemmap_2m },
	{ "vmemmap_1g", vmemmap_1g },
	{ "core_4k", core_4k },
	{ "core_2m", core_2m },
	{ "core_hugetlb_2m", core_htlb_2m },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 16);
}
