// SPDX-License-Identifier: GPL-2.0-only
/*
 * Broken memory: a page of a block costs its 4 KiB and nothing else, whether the
 * block is intact, dissolved or optimized, a single page, an orphan, or free.
 */
#include <signal.h>
#include <sys/uio.h>

#include "gmem_test.h"

#define SEED	37
#define BAD	5	/* index of the page that breaks, unless said otherwise */

#define KPF_HWPOISON	19

static void need_injector(void)
{
	gm_assert(!access("/sys/kernel/debug/hwpoison/corrupt-pfn", W_OK),
		  "no CONFIG_HWPOISON_INJECT");
	if (!gm_have_gmem())
		gm_skip("this kernel does not show its blocks");
}

static void break_page(u64 pfn)
{
	gm_assert(gm_write("/sys/kernel/debug/hwpoison/corrupt-pfn", "%#lx",
			   (unsigned long)pfn), "pfn %#lx: %s", (unsigned long)pfn,
		  strerror(errno));
}

static u64 kpage(const char *file, u64 pfn)
{
	char path[64];
	u64 v;
	int fd;

	snprintf(path, sizeof(path), "/proc/%s", file);
	fd = open(path, O_RDONLY);
	gm_assert(fd >= 0, "%s: %s", path, strerror(errno));
	gm_assert_eq(pread(fd, &v, sizeof(v), pfn * sizeof(v)), sizeof(v));
	close(fd);
	return v;
}

struct scene {
	const struct gm_source *src;
	struct gm_vm *g;
	struct gm_file f;
	char *mem;
	u64 n;
	long nr, free, resv, corrupted;
};

static void open_scene(struct scene *s, unsigned int source, u64 share, unsigned int blocks)
{
	/* As many pages as the largest offset that is broken needs. */
	if (source == GM_SRC_4K)
		blocks = 4 * BAD;
	s->src = &gm_sources[source];
	s->n = s->src->block;
	gm_need_source(s->src, blocks * s->n);
	need_injector();
	s->nr = gm_pool(s->n, "nr");
	s->free = gm_pool(s->n, "free");
	s->resv = gm_pool(s->n, "resv");
	s->corrupted = gm_meminfo("HardwareCorrupted");
	s->g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	s->f = gm_create_from(s->g->vm, s->src, blocks * s->n, share);
	gm_attach(s->g, &s->f, GM_GPA);
	s->mem = share == GM_SHARED ? gm_mmap(&s->f, 0, s->f.size) : NULL;
	gm_guest_touch(s->g, 0, s->f.size, GM_PAGE, SEED);
}

/* Of the pool so many pages are gone for good, and nothing else is. */
static void close_scene(struct scene *s, long lost)
{
	if (s->mem)
		gm_assert_ok(munmap(s->mem, s->f.size));
	if (s->f.fd >= 0)
		gm_close(&s->f);
	gm_vm_free(s->g);
	if (s->src->flags & GM_HUGETLB) {
		gm_assert_eq(gm_pool(s->n, "nr"), s->nr - lost);
		gm_assert_eq(gm_pool(s->n, "free"), s->free - lost);
		gm_assert_eq(gm_pool(s->n, "resv"), s->resv);
	}
	gm_assert_eq(gm_counter("blocks_4k"), 0);
	gm_assert_eq(gm_counter("blocks_2m"), 0);
	gm_assert_eq(gm_counter("blocks_1g"), 0);
	gm_assert_eq(gm_counter("live_pages"), 0);
	gm_assert_eq(gm_counter("vmemmap_pages"), 0);
	gm_assert_eq(gm_counter("orphan_blocks"), 0);
	gm_assert_eq(gm_counter("leaked_pages"), 0);
}

static void assert_guest_hits(struct scene *s, u64 off)
{
	struct kvm_run *run = s->g->vcpu[0]->run;
	int err;

	err = gm_try(s->g, 0, GM_CHECK, GM_GPA + off, off, GM_PAGE, GM_PAGE, SEED);
	gm_assert_eq(err, EHWPOISON);
	gm_assert_eq(run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	gm_assert_eq(run->memory_fault.gpa, GM_GPA + off);
	gm_assert_eq(run->memory_fault.size, GM_PAGE);
	gm_reset(s->g, 0);
}

static void read_word(void *p)
{
	(void)READ_ONCE(*(u64 *)p);
}

static void assert_host_hits(struct scene *s, u64 off)
{
	void *where = NULL;
	int code;

	code = gm_catch_sigbus(read_word, s->mem + off, &where);
	gm_assert_eq(code, BUS_MCEERR_AR);
	gm_assert_eq((u64)where & -GM_PAGE, (u64)s->mem + off);
}

/* All but the bad page is as it was, on both sides. */
static void assert_rest_good(struct scene *s, u64 bad)
{
	u64 off;

	if (bad)
		gm_guest_check(s->g, 0, bad, GM_PAGE, SEED);
	gm_guest_check(s->g, bad + GM_PAGE, s->f.size - bad - GM_PAGE, GM_PAGE, SEED);
	gm_guest_check(s->g, bad + GM_PAGE + 8, GM_PAGE - 8, 8, 0);
	if (!s->mem)
		return;
	for (off = 0; off < s->f.size; off += s->n == GM_1G ? 511 * GM_PAGE : GM_PAGE) {
		if (off != bad)
			gm_assert_eq(*(u64 *)(s->mem + off), gm_word(SEED, off));
	}
}

static void after_poison(struct scene *s, u64 bad)
{
	gm_assert_eq(gm_fdinfo(&s->f, "gmem-poisoned"), GM_PAGE);
	gm_assert_eq(gm_meminfo("HardwareCorrupted"), s->corrupted + (long)(GM_PAGE >> 10));
	gm_assert_eq(gm_held(&s->f), s->f.size);
	assert_guest_hits(s, bad);
	assert_rest_good(s, bad);
	if (s->mem)
		assert_host_hits(s, bad);
	/* Once more, and still the same. */
	assert_guest_hits(s, bad);
	assert_rest_good(s, bad);
}

/* Poison of a page the host never touched; then all of the block is freed. */
static void poison_guest_page(unsigned int source, u64 share, u64 bad)
{
	struct scene s;
	u64 pfn, p2m;

	open_scene(&s, source, share, source == GM_SRC_HTLB_1G ? 1 : 2);
	pfn = gm_pfn_at(&s.f, bad);
	p2m = gm_vm_stat(s.g, "pages_2m");
	break_page(pfn);
	after_poison(&s, bad);
	/* The other block is mapped as before, this one in small pieces. */
	if (s.n == GM_2M)
		gm_assert_eq(gm_vm_stat(s.g, "pages_2m"), p2m - 1);
	gm_assert_eq(gm_pfn_at(&s.f, bad), pfn);
	/* It is known by now. */
	gm_assert(!gm_write("/sys/kernel/debug/hwpoison/corrupt-pfn", "%#lx",
			    (unsigned long)pfn) && errno == EHWPOISON, "%s",
		  strerror(errno));
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-poisoned"), GM_PAGE);

	/* A hole in its block does not heal it. */
	if (s.n > GM_PAGE) {
		gm_assert_ok(gm_punch(&s.f, bad, GM_PAGE));
		assert_guest_hits(&s, bad);
		gm_guest_check(s.g, bad + GM_PAGE, GM_PAGE, GM_PAGE, SEED);
	}

	/* The block goes; what comes instead is good. */
	gm_assert_ok(gm_punch(&s.f, bad & -s.n, s.n));
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-poisoned"), 0);
	gm_assert(kpage("kpageflags", pfn) & 1ULL << KPF_HWPOISON, "no longer marked");
	gm_assert_eq(gm_meminfo("HardwareCorrupted"), s.corrupted + (long)(GM_PAGE >> 10));
	if (s.src->flags & GM_HUGETLB)
		gm_assert_eq(gm_pool(s.n, "nr"), s.nr - 1);
	if (s.n != GM_1G)
		gm_guest_check(s.g, bad & -s.n, s.n, GM_PAGE, 0);
	close_scene(&s, !!(s.src->flags & GM_HUGETLB));
	gm_assert(kpage("kpageflags", pfn) & 1ULL << KPF_HWPOISON, "no longer marked");
}

/* Poison through the host's mapping, as a machine check of the VMM would. */
static void poison_mapped(void *arg)
{
	madvise(arg, GM_PAGE, MADV_HWPOISON);
}

static void poison_host_page(unsigned int source, bool touched_around)
{
	const u64 bad = BAD * GM_PAGE;
	void *where = NULL;
	struct scene s;
	u64 pfn;
	int code;

	open_scene(&s, source, GM_SHARED, source == GM_SRC_HTLB_1G ? 1 : 2);
	pfn = gm_pfn_at(&s.f, bad);
	if (touched_around)
		gm_assert_eq(gm_host_differ(s.mem, 0, 8, SEED), 0);
	code = gm_catch_sigbus(poison_mapped, s.mem + bad, &where);
	gm_assert(code == BUS_MCEERR_AR || code == BUS_MCEERR_AO, "si_code %d", code);
	gm_assert_eq((u64)where & -GM_PAGE, (u64)s.mem + bad);
	after_poison(&s, bad);
	close_scene(&s, !!(s.src->flags & GM_HUGETLB));
	gm_assert(kpage("kpageflags", pfn) & 1ULL << KPF_HWPOISON, "not marked");
}

static void need_hvo(void)
{
	if (gm_read_long("/proc/sys/vm/hugetlb_optimize_vmemmap") != 1)
		gm_skip("needs hugetlb_free_vmemmap=on");
}

/* Several pages of one block, its first and its last among them. */
static void poison_many(unsigned int source)
{
	u64 bad[] = { 0, GM_PAGE, 63 * GM_PAGE, 64 * GM_PAGE, 100 * GM_PAGE, 0 };
	struct scene s;
	unsigned int i;

	open_scene(&s, source, GM_SHARED, 1);
	bad[ARRAY_SIZE(bad) - 1] = s.n - GM_PAGE;
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		break_page(gm_pfn_at(&s.f, bad[i]));
		gm_assert_eq(gm_fdinfo(&s.f, "gmem-poisoned"), (i + 1) * GM_PAGE);
	}
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_guest_hits(&s, bad[i]);
		assert_host_hits(&s, bad[i]);
	}
	gm_guest_check(s.g, 2 * GM_PAGE, 61 * GM_PAGE, GM_PAGE, SEED);
	gm_guest_check(s.g, 65 * GM_PAGE, 35 * GM_PAGE, GM_PAGE, SEED);
	gm_guest_check(s.g, 101 * GM_PAGE, s.n - 102 * GM_PAGE, GM_PAGE, SEED);
	close_scene(&s, !!(s.src->flags & GM_HUGETLB));
}

/* A free page of the pool: nobody gets it any more. */
static void poison_free(void)
{
	struct gm_block *b = calloc(1024, sizeof(*b));
	struct scene s;
	u64 pfn;
	struct gm_file f;
	struct kvm_vm *vm;
	size_t i, nr;
	long left;

	open_scene(&s, GM_SRC_HTLB_2M, GM_MMAP, 1);
	pfn = gm_pfn_at(&s.f, BAD * GM_PAGE);
	close_scene(&s, 0);
	break_page(pfn);
	left = gm_pool(GM_2M, "nr");
	gm_assert_eq(left, s.nr - 1);

	vm = vm_create_barebones();
	left = gm_pool(GM_2M, "free") - gm_pool(GM_2M, "resv");
	f = gm_create_from(vm, s.src, left * GM_2M, 0);
	gm_assert_ok(gm_populate(&f, 0, f.size));
	nr = gm_blocks(&f, b, 1024);
	gm_assert_eq(nr, left);
	for (i = 0; i < nr; i++)
		gm_assert(pfn < b[i].pfn || pfn >= b[i].pfn + 512, "handed out");
	gm_close(&f);
	kvm_vm_free(vm);
}

static bool no_orphans(void *arg)
{
	return !gm_counter("orphan_blocks");
}

/* While the file is gone and somebody still holds another page of it. */
static void poison_orphan(unsigned int source)
{
	struct iovec iov;
	struct scene s;
	u64 pfn;
	char buf[GM_PAGE];
	int p[2];

	open_scene(&s, source, GM_SHARED, 1);
	pfn = gm_pfn_at(&s.f, BAD * GM_PAGE);
	gm_assert_ok(pipe(p));
	iov.iov_base = s.mem;
	iov.iov_len = GM_PAGE;
	gm_assert_eq(vmsplice(p[1], &iov, 1, 0), GM_PAGE);
	gm_assert_ok(munmap(s.mem, s.f.size));
	s.mem = NULL;
	gm_close(&s.f);
	gm_assert_eq(gm_counter("orphan_blocks"), 1);
	break_page(pfn);
	gm_assert_eq(read(p[0], buf, GM_PAGE), GM_PAGE);
	gm_assert_eq(*(u64 *)buf, gm_word(SEED, 0));
	gm_assert(gm_wait_until(no_orphans, NULL, 30), "orphan stays");
	gm_assert(kpage("kpageflags", pfn) & 1ULL << KPF_HWPOISON, "not marked");
	close_scene(&s, !!(s.src->flags & GM_HUGETLB));
}

/* Poison while the guest runs on the block: it gets an exit, not other data. */
static void poison_running(unsigned int source)
{
	const u64 bad = BAD * GM_PAGE;
	struct kvm_run *run;
	struct scene s;

	open_scene(&s, source, GM_MMAP, 2);
	run = s.g->vcpu[0]->run;
	gm_start(s.g, 0, GM_WATCH, GM_GPA, 0, s.f.size, GM_PAGE, SEED);
	break_page(gm_pfn_at(&s.f, bad));
	gm_assert_eq(gm_join(s.g, 0), EHWPOISON);
	gm_assert_eq(run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	gm_assert_eq(run->memory_fault.gpa, GM_GPA + bad);
	gm_assert_good(s.g, 0);
	gm_reset(s.g, 0);
	assert_rest_good(&s, bad);
	close_scene(&s, !!(s.src->flags & GM_HUGETLB));
}

/* Soft offlining cannot move guest memory and leaves it alone. */
static void soft_offline(unsigned int source)
{
	const u64 off = BAD * GM_PAGE;
	struct scene s;
	u64 pfn;

	open_scene(&s, source, GM_SHARED, 2);
	pfn = gm_pfn_at(&s.f, off);
	gm_assert(!gm_write("/sys/devices/system/memory/soft_offline_page", "%#lx",
			    (unsigned long)(pfn * GM_PAGE)), "went through");
	madvise(s.mem + off, GM_PAGE, MADV_SOFT_OFFLINE);
	gm_assert_eq(*(u64 *)(s.mem + off), gm_word(SEED, off));
	gm_guest_check(s.g, 0, s.f.size, GM_PAGE, SEED);
	gm_assert_eq(gm_pfn_at(&s.f, off), pfn);
	gm_assert_eq(gm_meminfo("HardwareCorrupted"), s.corrupted);
	close_scene(&s, 0);
}

#define CASE(name, call) static void name(void) { call; }
#define HVO_CASE(name, call) static void name(void) { need_hvo(); call; }

CASE(page_4k, poison_guest_page(GM_SRC_4K, GM_MMAP, GM_PAGE))
CASE(intact_2m, poison_guest_page(GM_SRC_THP_2M, GM_MMAP, BAD * GM_PAGE))
CASE(first_2m, poison_guest_page(GM_SRC_THP_2M, GM_SHARED, 0))
CASE(intact_htlb_2m, poison_guest_page(GM_SRC_HTLB_2M, GM_MMAP, BAD * GM_PAGE))
HVO_CASE(optimized_2m, poison_guest_page(GM_SRC_HTLB_2M, GM_SHARED, GM_2M - GM_PAGE))
HVO_CASE(optimized_1g, poison_guest_page(GM_SRC_HTLB_1G, GM_MMAP, 77777 * GM_PAGE))
CASE(mapped_2m, poison_host_page(GM_SRC_THP_2M, false))
CASE(dissolved_2m, poison_host_page(GM_SRC_THP_2M, true))
CASE(dissolved_htlb_2m, poison_host_page(GM_SRC_HTLB_2M, true))
CASE(many_2m, poison_many(GM_SRC_THP_2M))
CASE(many_htlb_2m, poison_many(GM_SRC_HTLB_2M))
CASE(orphan_2m, poison_orphan(GM_SRC_THP_2M))
CASE(orphan_htlb_2m, poison_orphan(GM_SRC_HTLB_2M))
CASE(running_2m, poison_running(GM_SRC_THP_2M))
CASE(running_htlb_2m, poison_running(GM_SRC_HTLB_2M))
CASE(soft_4k, soft_offline(GM_SRC_4K))
CASE(soft_2m, soft_offline(GM_SRC_THP_2M))
CASE(soft_htlb_2m, soft_offline(GM_SRC_HTLB_2M))

#define LOSES	.loses = true

static const struct gm_case cases[] = {
	{ "intact_2m", intact_2m, LOSES },
	{ "first_2m", first_2m, LOSES },
	{ "intact_hugetlb_2m", intact_htlb_2m, LOSES },
	{ "optimized_2m", optimized_2m, LOSES },
	{ "mapped_2m", mapped_2m, LOSES },
	{ "dissolved_2m", dissolved_2m, LOSES },
	{ "dissolved_hugetlb_2m", dissolved_htlb_2m, LOSES },
	{ "many_2m", many_2m, LOSES },
	{ "many_hugetlb_2m", many_htlb_2m, LOSES },
	{ "free_hugetlb_2m", poison_free, LOSES },
	{ "orphan_2m", orphan_2m, LOSES },
	{ "orphan_hugetlb_2m", orphan_htlb_2m, LOSES },
	{ "running_2m", running_2m, LOSES },
	{ "running_hugetlb_2m", running_htlb_2m, LOSES },
	{ "soft_offline_4k", soft_4k },
	{ "soft_offline_2m", soft_2m },
	{ "soft_offline_hugetlb_2m", soft_htlb_2m },
	{ "page_4k", page_4k, LOSES },
	{ "optimized_1g", optimized_1g, LOSES },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 24);
}
