// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pools and accounts: what is lent comes back, whatever happens to the pool or
 * the cgroup meanwhile; what was promised is there; nothing is lost over time.
 */
#include <sys/stat.h>

#include "gmem_test.h"

#define SEED	29

static const struct gm_source *htlb = &gm_sources[GM_SRC_HTLB_2M];

/* Free memory and slabs over many rounds of everything at once. */
#define ROUNDS	20
#define WARM	5

static void one_round(void *arg)
{
	const struct gm_source *src = arg;
	const u64 blocks = src->block == GM_PAGE ? 512 : 4;
	const u64 size = blocks * src->block;
	struct gm_vm *g = gm_vm_create(VM_TYPE_DEFAULT, 2, 0);
	struct gm_file f = gm_create_from(g->vm, src, size, GM_SHARED);
	char *mem = gm_mmap(&f, 0, size);

	gm_attach(g, &f, GM_GPA);
	gm_guest_touch(g, 0, size, GM_PAGE, SEED);
	gm_host_fill(mem, 0, size / 2, SEED);
	gm_assert_ok(gm_punch(&f, GM_PAGE, size / 4));
	gm_assert_ok(gm_populate(&f, 0, size));
	gm_guest_touch(g, 0, size, GM_PAGE, SEED);
	gm_assert_ok(gm_punch(&f, size / 2, size / 2));
	gm_assert_ok(munmap(mem, size));
	gm_close(&f);
	gm_vm_free(g);
}

static int by_value(const void *a, const void *b)
{
	const long *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static long median(long *v, unsigned int nr)
{
	qsort(v, nr, sizeof(*v), by_value);
	return v[nr / 2];
}

static void trend(unsigned int source)
{
	const struct gm_source *src = &gm_sources[source];
	struct gm_snapshot *before;
	long free[ROUNDS], slab[ROUNDS], d;
	unsigned int i;

	gm_need_source(src, 4 * src->block);
	before = gm_snapshot();
	for (i = 0; i < ROUNDS; i++) {
		/* Of its own process, so that none of ours is counted. */
		gm_assert_eq(gm_in_child(one_round, (void *)src), 0);
		gm_assert(gm_snapshot_same(before), "round %u", i);
		free[i] = gm_free_kb();
		slab[i] = gm_meminfo("SUnreclaim");
	}
	d = median(free + WARM, WARM) - median(free + ROUNDS - WARM, WARM);
	gm_note("%s: free %+ld KiB, slab %+ld KiB in %u rounds", src->name, -d,
		median(slab + ROUNDS - WARM, WARM) - median(slab + WARM, WARM),
		ROUNDS - 2 * WARM);
	gm_assert_le(d, 1023);
	gm_assert_le(median(slab + ROUNDS - WARM, WARM) - median(slab + WARM, WARM), 1023);
	gm_snapshot_free(before);
}

/* The pool is made smaller while blocks of it are lent. */
static void pool_shrinks(void)
{
	long nr = gm_pool(GM_2M, "nr");
	struct gm_file f, r;
	struct gm_vm *g;

	gm_need_source(htlb, 8 * GM_2M);
	gm_assert_eq(gm_pool(GM_2M, "free"), nr);
	g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	f = gm_create_from(g->vm, htlb, 4 * GM_2M, GM_MMAP);
	gm_attach(g, &f, GM_GPA);
	gm_guest_fill(g, 0, f.size, SEED);
	/* Reserved and not yet taken: these stay in the pool. */
	r = gm_create_from(g->vm, htlb, 2 * GM_2M, GM_MMAP);

	gm_pool_resize(GM_2M, 0);
	gm_assert_eq(gm_pool(GM_2M, "free"), 2);
	gm_assert_eq(gm_pool(GM_2M, "resv"), 2);
	gm_assert_eq(gm_pool(GM_2M, "nr"), 6);
	gm_assert_ge(gm_pool(GM_2M, "surplus"), 4);
	gm_guest_verify(g, 0, f.size, SEED);
	gm_assert_ok(gm_populate(&r, 0, r.size));
	gm_assert_eq(gm_pool(GM_2M, "free"), 0);

	/* Surplus by now: what comes back goes to the buddy allocator. */
	gm_assert_ok(gm_punch(&f, 0, GM_2M));
	gm_assert_eq(gm_held(&f), 3 * GM_2M);
	gm_assert_eq(gm_pool(GM_2M, "nr"), 6);
	gm_assert_eq(gm_pool(GM_2M, "resv"), 1);
	gm_guest_verify(g, GM_2M, 3 * GM_2M, SEED);
	gm_guest_verify(g, 0, GM_2M, 0);
	gm_close(&f);
	gm_close(&r);
	gm_vm_free(g);
	gm_assert_eq(gm_pool(GM_2M, "nr"), 0);
	gm_assert_eq(gm_pool(GM_2M, "surplus"), 0);
	gm_assert_eq(gm_pool_resize(GM_2M, nr), nr);
}

/* More than the pool has, where the administrator allows it: surplus pages. */
static void overcommit(void)
{
	static const char path[] =
		"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages";
	struct kvm_vm *vm = vm_create_barebones();
	long nr = gm_pool(GM_2M, "nr");
	struct gm_file f;

	gm_need_source(htlb, 8 * GM_2M);
	gm_assert(gm_write(path, "4"), "overcommit");
	f = gm_create_from(vm, htlb, (nr + 3) * GM_2M, GM_MMAP);
	gm_assert_eq(gm_pool(GM_2M, "nr"), nr + 3);
	gm_assert_eq(gm_pool(GM_2M, "surplus"), 3);
	gm_assert_errno(__vm_create_guest_memfd(vm, 2 * GM_2M, htlb->flags), ENOMEM);
	gm_assert_ok(gm_populate(&f, 0, f.size));
	gm_assert_eq(gm_pool(GM_2M, "free"), 0);
	gm_close(&f);
	gm_assert_eq(gm_pool(GM_2M, "nr"), nr);
	gm_assert_eq(gm_pool(GM_2M, "surplus"), 0);
	gm_assert(gm_write(path, "0"), "overcommit");
	kvm_vm_free(vm);
}

#define A	"/sys/fs/cgroup/gmem-a"
#define B	"/sys/fs/cgroup/gmem-b"

/* Also removes what a run that failed left behind. */
static void make_cgroup(const char *dir)
{
	if (!access(dir, F_OK))
		rmdir(dir);
	gm_assert_ok(mkdir(dir, 0755));
}

static void move_to(const char *cgroup)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	gm_assert(gm_write(path, "0"), "%s: %s", path, strerror(errno));
}

static bool removed(void *dir)
{
	return !rmdir(dir) || errno == ENOENT;
}

/* A cgroup that is charged for lent blocks is removed. */
static void cgroup_goes(void)
{
	struct gm_file f;
	struct gm_vm *g;

	gm_need_source(htlb, 8 * GM_2M);
	make_cgroup(A);
	move_to(A);
	g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	f = gm_create_from(g->vm, htlb, 6 * GM_2M, GM_SHARED);
	gm_attach(g, &f, GM_GPA);
	gm_guest_fill(g, 0, 4 * GM_2M, SEED);
	gm_assert_eq(gm_read_long(A "/hugetlb.2MB.current"), 4 * GM_2M);
	gm_assert_eq(gm_read_long(A "/hugetlb.2MB.rsvd.current"), 6 * GM_2M);
	/* Dissolved, too. */
	WRITE_ONCE(*(u64 *)gm_mmap(&f, 0, GM_2M), gm_word(SEED, 0));
	move_to(gm_cgroup);
	gm_assert(gm_wait_until(removed, A, 20), "cannot remove it: %s", strerror(errno));

	gm_guest_verify(g, 0, 4 * GM_2M, SEED);
	gm_assert_ok(gm_punch(&f, 0, GM_2M));
	gm_guest_fill(g, 0, GM_2M, SEED);
	/* A block taken now is charged where the task is. */
	gm_assert_eq(gm_read_long("%s/hugetlb.2MB.current", gm_cgroup), GM_2M);
	gm_guest_fill(g, 4 * GM_2M, 2 * GM_2M, SEED);
	gm_close(&f);
	gm_vm_free(g);
}

/* Memory of the buddy allocator is charged to who created the file. */
static void creator_pays(void)
{
	const struct gm_source *src = &gm_sources[GM_SRC_THP_2M];
	const long size = 16 * GM_2M, slack = GM_2M;
	struct kvm_vm *vm;
	struct gm_file f;
	long a, b;

	gm_need_source(src, 0);
	make_cgroup(A);
	make_cgroup(B);
	move_to(A);
	vm = vm_create_barebones();
	f = gm_create_from(vm, src, size, GM_SHARED);
	move_to(B);
	a = gm_read_long(A "/memory.current");
	b = gm_read_long(B "/memory.current");
	gm_assert_ok(gm_populate(&f, 0, size));
	gm_assert_ge(gm_read_long(A "/memory.current") - a, size - slack);
	gm_assert_le(gm_read_long(A "/memory.current") - a, size + slack);
	gm_assert_le(gm_read_long(B "/memory.current") - b, slack);
	gm_assert_ok(gm_punch(&f, 0, size / 2));
	gm_assert_le(gm_read_long(A "/memory.current") - a, size / 2 + slack);

	/* A limit there is a limit for the file: smaller blocks do not help. */
	gm_assert(gm_write(A "/memory.max", "%ld", a + size / 2 + slack), "memory.max");
	gm_assert_errno(gm_populate(&f, 0, size), ENOMEM);
	gm_assert(gm_write(A "/memory.max", "max"), "memory.max");
	gm_assert_ok(gm_populate(&f, 0, size));

	/* It may go before the file does. */
	gm_assert(gm_wait_until(removed, A, 20), "cannot remove it: %s", strerror(errno));
	gm_close(&f);
	kvm_vm_free(vm);
	move_to(gm_cgroup);
	gm_assert(gm_wait_until(removed, B, 20), "cannot remove it: %s", strerror(errno));
}

static void *take_pool(long *nr)
{
	char *p;
	long i;

	*nr = gm_pool(GM_2M, "free") - gm_pool(GM_2M, "resv");
	p = mmap(NULL, *nr * GM_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
		 MAP_HUGETLB | 21 << 26, -1, 0);
	gm_assert(p != MAP_FAILED, "the rest of the pool: %s", strerror(errno));
	for (i = 0; i < *nr; i++)
		p[i * GM_2M] = 1;
	return p;
}

/* What is populated, or reserved, is there whatever else takes the pool. */
static void guarantee(void)
{
	struct gm_file f, r;
	struct gm_vm *g;
	void *rest;
	long nr;

	gm_need_source(htlb, 8 * GM_2M);
	g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	f = gm_create_from(g->vm, htlb, 4 * GM_2M, GM_SHARED);
	r = gm_create_from(g->vm, htlb, 2 * GM_2M, GM_SHARED);
	gm_assert_ok(gm_populate(&f, 0, f.size));
	gm_attach(g, &f, GM_GPA);
	gm_slot(g, &r, GM_GPA + GM_1G, r.size, 0, NULL);
	gm_map(g, GM_GPA + GM_1G, r.size);
	rest = take_pool(&nr);
	gm_assert_eq(gm_pool(GM_2M, "free"), 2);
	gm_assert_errno(__vm_create_guest_memfd(g->vm, GM_2M, htlb->flags), ENOMEM);
	gm_guest_fill(g, 0, f.size, SEED);
	memset(gm_mmap(&f, 0, f.size), 1, f.size);
	gm_assert_eq(gm_try(g, 0, GM_FILL, GM_GPA + GM_1G, 0, r.size, 8, SEED), 0);
	gm_assert_eq(gm_pool(GM_2M, "free"), 0);
	gm_assert_ok(munmap(rest, nr * GM_2M));
	gm_close(&f);
	gm_close(&r);
	gm_vm_free(g);
}

/*
 * A reservation is a count. A limit on use can still fail a fault, in the
 * documented ways; what was populated before does not care.
 */
static void fault_fails(void)
{
	struct kvm_run *run;
	struct gm_file f;
	struct gm_vm *g;
	char max[128], *mem;
	int err;

	gm_need_source(htlb, 8 * GM_2M);
	g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	run = g->vcpu[0]->run;
	f = gm_create_from(g->vm, htlb, 4 * GM_2M, GM_SHARED);
	gm_attach(g, &f, GM_GPA);
	mem = gm_mmap(&f, 0, f.size);
	gm_assert_ok(gm_populate(&f, 0, 2 * GM_2M));
	snprintf(max, sizeof(max), "%s/hugetlb.2MB.max", gm_cgroup);
	gm_assert(gm_write(max, "%lu", (unsigned long)(2 * GM_2M)), "%s", max);

	gm_guest_fill(g, 0, 2 * GM_2M, SEED);
	err = gm_try(g, 0, GM_TOUCH, GM_GPA + 2 * GM_2M, 0, GM_2M, GM_PAGE, SEED);
	gm_assert_eq(err, ENOMEM);
	gm_assert_eq(run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	gm_assert_eq(run->memory_fault.gpa, GM_GPA + 2 * GM_2M);
	gm_assert_eq(run->memory_fault.size, GM_PAGE);
	gm_reset(g, 0);
	gm_assert(gm_sigbus(mem + 3 * GM_2M, true), "host touch went through");
	gm_assert_errno(gm_populate(&f, 0, f.size), ENOMEM);
	gm_assert_eq(gm_held(&f), 2 * GM_2M);
	gm_guest_verify(g, 0, 2 * GM_2M, SEED);

	/* And the guest goes on where it stopped, once there is memory. */
	err = gm_try(g, 0, GM_TOUCH, GM_GPA + 2 * GM_2M, 0, GM_2M, GM_PAGE, SEED);
	gm_assert_eq(err, ENOMEM);
	gm_assert(gm_write(max, "max"), "%s", max);
	gm_assert_ok(gm_populate(&f, 2 * GM_2M, GM_2M));
	gm_reset(g, 0);
	gm_guest_touch(g, 2 * GM_2M, 2 * GM_2M, GM_PAGE, SEED);
	gm_assert(!gm_sigbus(mem + 3 * GM_2M, true), "host");
	gm_close(&f);
	gm_vm_free(g);
}

static long memmap_pages(void)
{
	return gm_proc_value("/proc/vmstat", "nr_memmap_pages") +
	       gm_proc_value("/proc/vmstat", "nr_memmap_boot_pages");
}

/* Populated and private: no more vmemmap than the free page had. */
static void stays_optimized(const struct gm_source *src)
{
	const u64 size = src->block == GM_1G ? GM_1G : 8 * GM_2M;
	const long saved = src->block == GM_1G ? 4095 : 7;
	long nr, pages, free;
	struct gm_file f;
	struct gm_vm *g;

	if (gm_read_long("/proc/sys/vm/hugetlb_optimize_vmemmap") != 1)
		gm_skip("needs hugetlb_free_vmemmap=on");
	gm_need_source(src, size);

	/* That pages of the pool are optimized shows when it grows. */
	nr = gm_pool(src->block, "nr");
	pages = memmap_pages();
	if (gm_pool_resize(src->block, nr + 1) == nr + 1)
		gm_assert_eq(pages - memmap_pages(), saved);
	else
		gm_assert(src->block == GM_1G, "pool does not grow");
	gm_assert_eq(gm_pool_resize(src->block, nr), nr);
	gm_assert_eq(memmap_pages(), pages);

	g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	f = gm_create_from(g->vm, src, size, GM_MMAP);
	gm_attach(g, &f, GM_GPA);
	free = gm_free_kb();
	gm_assert_ok(gm_populate(&f, 0, size));
	gm_guest_touch(g, 0, size, GM_PAGE, SEED);
	gm_assert_eq(gm_fdinfo(&f, "gmem-vmemmap"), 0);
	gm_assert_eq(memmap_pages(), pages);
	/* Not even behind the counters' back. */
	gm_assert_le(free - gm_free_kb(), src->block == GM_1G ? 4096 : 1024);
	gm_assert_frozen(&f);
	gm_close(&f);
	gm_assert_eq(memmap_pages(), pages);
	gm_vm_free(g);
}

#define CASE(name, call) static void name(void) { call; }

CASE(trend_4k, trend(GM_SRC_4K))
CASE(trend_2m, trend(GM_SRC_THP_2M))
CASE(trend_htlb_2m, trend(GM_SRC_HTLB_2M))
CASE(vmemmap_2m, stays_optimized(&gm_sources[GM_SRC_HTLB_2M]))
CASE(vmemmap_1g, stays_optimized(&gm_sources[GM_SRC_HTLB_1G]))

static const struct gm_case cases[] = {
	{ "trend_4k", trend_4k },
	{ "trend_2m", trend_2m },
	{ "trend_hugetlb_2m", trend_htlb_2m },
	{ "pool_shrinks", pool_shrinks },
	{ "overcommit", overcommit },
	{ "cgroup_goes", cgroup_goes },
	{ "creator_pays", creator_pays },
	{ "guarantee", guarantee },
	{ "fault_fails", fault_fails },
	{ "vmemmap_2m", vmemmap_2m },
	{ "vmemmap_1g", vmemmap_1g },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 16);
}
