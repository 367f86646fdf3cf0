// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest touches memory page by page: how many faults it takes, at which size
 * it is mapped, which page frames it gets, and who holds a reference to them.
 */
#include <pthread.h>

#include "gmem_test.h"

#define SEED	7

struct stats {
	u64 faults;
	u64 p4k;
	u64 p2m;
	u64 p1g;
};

static struct stats get_stats(struct gm_vm *g)
{
	struct stats s = { 0 };
	unsigned int i;

	for (i = 0; i < g->nr_vcpus; i++)
		s.faults += gm_vcpu_stat(g, i, "pf_taken");
	s.p4k = gm_vm_stat(g, "pages_4k");
	s.p2m = gm_vm_stat(g, "pages_2m");
	s.p1g = gm_vm_stat(g, "pages_1g");
	return s;
}

static struct stats since(struct gm_vm *g, const struct stats *then)
{
	struct stats s = get_stats(g);

	s.faults -= then->faults;
	s.p4k -= then->p4k;
	s.p2m -= then->p2m;
	s.p1g -= then->p1g;
	return s;
}

/* Guest page tables in slot 0 that the walk of the test range faults in. */
#define TABLES	12

static unsigned int order_of(u64 block)
{
	return block == GM_1G ? 18 : block == GM_2M ? 9 : 0;
}

static void check_blocks(const struct gm_file *f, const struct gm_source *src)
{
	const unsigned int order = order_of(src->block);
	struct gm_block *b;
	size_t i, nr, want = f->size / src->block;

	b = calloc(want + 1, sizeof(*b));
	gm_assert(b, "no memory");
	nr = gm_blocks(f, b, want + 1);
	gm_assert_eq(nr, want);
	for (i = 0; i < nr; i++) {
		gm_assert_eq(b[i].order, order);
		gm_assert_eq(b[i].index, i << order);
		gm_assert_eq(b[i].pfn & ((1UL << order) - 1), 0);
	}
	free(b);
	gm_assert_frozen(f);
}

static void check_counters(const struct gm_file *f, const struct gm_source *src)
{
	const u64 n = f->size / src->block;

	/* Stock guest_memfd counts nothing. */
	if (!gm_have_gmem())
		return;
	gm_assert_eq(gm_held(f), f->size);
	gm_assert_eq(gm_fdinfo(f, "gmem-allocated"), f->size);
	gm_assert_eq(gm_fdinfo(f, "gmem-blocks-4k"), src->block == GM_PAGE ? n : 0);
	gm_assert_eq(gm_fdinfo(f, "gmem-blocks-2m"), src->block == GM_2M ? n : 0);
	gm_assert_eq(gm_fdinfo(f, "gmem-blocks-1g"), src->block == GM_1G ? n : 0);
	gm_assert_eq(gm_fdinfo(f, "gmem-bindings"), 1);
	gm_assert_eq(gm_fdinfo(f, "gmem-live"), 0);
	check_blocks(f, src);
}

/* hva: as in gm_slot(); share: GM_MMAP, GM_SHARED or 0. */
static void touch(unsigned int s, unsigned int type, u64 share,
		  u64 bytes, bool misaligned)
{
	const struct gm_source *src = &gm_sources[s];
	const u64 n = bytes / src->block;
	struct stats before, d;
	struct gm_file f;
	struct gm_vm *g;
	void *hva = NULL;
	u64 pfn = 0;

	gm_need_source(src, bytes);
	g = gm_vm_create(type, 1, 0);
	f = gm_create_from(g->vm, src, bytes, share);
	if (src->by_fallocate) {
		gm_assert_ok(gm_populate(&f, 0, bytes));
		if (!gm_fdinfo(&f, "gmem-blocks-1g") && gm_meminfo("MemTotal") < 3 << 20)
			gm_skip("needs 3 GiB of memory to find a free gigabyte");
	}
	if (misaligned) {
		hva = kvm_mmap(bytes + GM_1G, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
			       MAP_NORESERVE, -1);
		hva = align_ptr_up(hva, GM_1G / 2) + GM_PAGE;
	}
	gm_slot(g, &f, GM_GPA, bytes, 0, hva);
	gm_map(g, GM_GPA, bytes);
	if (type == GM_SWP)
		vm_mem_set_private(g->vm, GM_GPA, bytes);

	before = get_stats(g);
	gm_guest_touch(g, 0, bytes, GM_PAGE, SEED);
	d = since(g, &before);
	gm_note("%s: %lu MiB, %lu faults, +%ld 4K +%ld 2M +%ld 1G", src->name,
		(unsigned long)(bytes >> 20), (unsigned long)d.faults, (long)d.p4k,
		(long)d.p2m, (long)d.p1g);
	gm_assert_ge(d.faults, n);
	gm_assert_le(d.faults, n + (src->block == GM_1G ? 7 : TABLES));
	if (src->block == GM_PAGE) {
		gm_assert_ge(d.p4k, n);
		gm_assert_le(d.p4k, n + TABLES);
	} else {
		gm_assert_le(d.p4k, TABLES);
	}
	gm_assert_eq(d.p2m, src->block == GM_2M ? n : 0);
	gm_assert_eq(d.p1g, src->block == GM_1G ? n : 0);
	check_counters(&f, src);
	if (gm_have_gmem())
		pfn = gm_pfn_at(&f, bytes - GM_PAGE);

	/* It is all there and zero elsewhere, and costs no fault any more. */
	before = get_stats(g);
	gm_guest_check(g, 0, bytes, GM_PAGE, SEED);
	gm_guest_check(g, 8, bytes - 8, GM_PAGE, 0);
	gm_guest_check(g, GM_PAGE - 8, bytes - GM_PAGE + 8, GM_PAGE, 0);
	gm_guest_touch(g, 0, bytes, GM_PAGE, SEED + 1);
	d = since(g, &before);
	gm_assert_eq(d.faults, 0);
	gm_guest_check(g, 0, bytes, GM_PAGE, SEED + 1);
	if (gm_have_gmem())
		gm_assert_eq(gm_pfn_at(&f, bytes - GM_PAGE), pfn);

	if (share == GM_SHARED) {
		u64 *mem = gm_mmap(&f, 0, bytes), i;

		for (i = 0; i < bytes / GM_PAGE; i += 37) {
			gm_assert_eq(mem[i * 512], gm_word(SEED + 1, i * GM_PAGE));
			gm_assert_eq(mem[i * 512 + 1], 0);
		}
	}
	gm_close(&f);
	gm_vm_free(g);
}

#define CASE(name, call) static void name(void) { call; }

CASE(swp_4k, touch(GM_SRC_4K, GM_SWP, 0, SZ_16M, false))
CASE(swp_4k_odd, touch(GM_SRC_4K, GM_SWP, 0, SZ_16M, true))
CASE(swp_thp_2m, touch(GM_SRC_THP_2M, GM_SWP, 0, SZ_256M, false))
CASE(swp_thp_2m_odd, touch(GM_SRC_THP_2M, GM_SWP, 0, SZ_256M, true))
CASE(swp_htlb_2m, touch(GM_SRC_HTLB_2M, GM_SWP, 0, SZ_256M, false))
CASE(swp_htlb_2m_odd, touch(GM_SRC_HTLB_2M, GM_SWP, 0, SZ_256M, true))
CASE(swp_htlb_1g, touch(GM_SRC_HTLB_1G, GM_SWP, 0, SZ_1G, false))
CASE(swp_htlb_1g_odd, touch(GM_SRC_HTLB_1G, GM_SWP, 0, SZ_1G, true))
CASE(swp_thp_1g, touch(GM_SRC_THP_1G, GM_SWP, 0, SZ_1G, false))
CASE(swp_thp_1g_odd, touch(GM_SRC_THP_1G, GM_SWP, 0, SZ_1G, true))
CASE(mmap_4k, touch(GM_SRC_4K, VM_TYPE_DEFAULT, GM_MMAP, SZ_16M, false))
CASE(mmap_4k_odd, touch(GM_SRC_4K, VM_TYPE_DEFAULT, GM_MMAP, SZ_16M, true))
CASE(mmap_thp_2m, touch(GM_SRC_THP_2M, VM_TYPE_DEFAULT, GM_MMAP, SZ_256M, false))
CASE(mmap_thp_2m_odd, touch(GM_SRC_THP_2M, VM_TYPE_DEFAULT, GM_MMAP, SZ_256M, true))
CASE(mmap_htlb_2m, touch(GM_SRC_HTLB_2M, VM_TYPE_DEFAULT, GM_MMAP, SZ_256M, false))
CASE(mmap_htlb_2m_odd, touch(GM_SRC_HTLB_2M, VM_TYPE_DEFAULT, GM_MMAP, SZ_256M, true))
CASE(shared_4k, touch(GM_SRC_4K, VM_TYPE_DEFAULT, GM_SHARED, SZ_16M, false))
CASE(shared_4k_odd, touch(GM_SRC_4K, VM_TYPE_DEFAULT, GM_SHARED, SZ_16M, true))
CASE(shared_thp_2m, touch(GM_SRC_THP_2M, VM_TYPE_DEFAULT, GM_SHARED, SZ_64M, false))
CASE(shared_thp_2m_odd, touch(GM_SRC_THP_2M, VM_TYPE_DEFAULT, GM_SHARED, SZ_64M, true))
CASE(shared_htlb_2m, touch(GM_SRC_HTLB_2M, VM_TYPE_DEFAULT, GM_SHARED, SZ_64M, false))
CASE(shared_htlb_2m_odd, touch(GM_SRC_HTLB_2M, VM_TYPE_DEFAULT, GM_SHARED, SZ_64M, true))
CASE(shared_htlb_1g, touch(GM_SRC_HTLB_1G, VM_TYPE_DEFAULT, GM_SHARED, SZ_1G, false))
CASE(shared_htlb_1g_odd, touch(GM_SRC_HTLB_1G, VM_TYPE_DEFAULT, GM_SHARED, SZ_1G, true))

/* Two slots with the halves of a file, swapped. */
static void several_slots(void)
{
	const u64 size = 4 * GM_2M, half = size / 2;
	struct stats before, d;
	struct gm_file f;
	u64 *mem;
	struct gm_vm *g;
	u32 slot;

	gm_need_source(&gm_sources[GM_SRC_THP_2M], 0);
	g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	f = gm_create_from(g->vm, &gm_sources[GM_SRC_THP_2M], size, GM_SHARED);
	gm_slot(g, &f, GM_GPA, half, half, NULL);
	slot = gm_slot(g, &f, GM_GPA + half, half, 0, NULL);
	gm_assert_eq(gm_fdinfo(&f, "gmem-bindings"), 2);
	/* An offset has one address at a time. */
	gm_assert_eq(__vm_set_user_memory_region2(g->vm, 9, KVM_MEM_GUEST_MEMFD,
						  GM_GPA + GM_1G, GM_PAGE, NULL, f.fd,
						  half), -1);
	gm_assert_eq(errno, EEXIST);
	gm_map(g, GM_GPA, size);
	before = get_stats(g);
	gm_guest_fill(g, 0, size, SEED);
	d = since(g, &before);
	gm_assert_eq(d.p2m, 4);
	gm_assert_le(d.faults, 4 + TABLES);
	mem = gm_mmap(&f, 0, size);
	gm_assert_eq(gm_host_differ(mem + half / 8, 0, half, SEED), 0);
	gm_assert_eq(gm_host_differ(mem, half, half, SEED), 0);

	/* Without its slot a half is still in the file; elsewhere it reappears. */
	gm_slot_delete(g, slot);
	gm_assert_eq(gm_fdinfo(&f, "gmem-bindings"), 1);
	gm_slot(g, &f, GM_GPA + GM_1G, half, 0, NULL);
	gm_map(g, GM_GPA + GM_1G, half);
	gm_assert_eq(gm_try(g, 0, GM_VERIFY, GM_GPA + GM_1G, half, half, 8, SEED), 0);
	gm_assert_good(g, 0);
	gm_guest_verify(g, 0, half, SEED);
	gm_close(&f);
	gm_vm_free(g);
}

/*
 * One slot at gpa GM_GPA + gpa_off with the file from off on. Expect so many
 * mappings of each size, and the data where they belong.
 */
static void placed(const struct gm_source *src, u64 file_size, u64 gpa_off,
		   u64 off, u64 size, long p4k, long p2m, long p1g)
{
	struct stats before, d;
	struct gm_file f;
	struct gm_vm *g;
	u64 *mem;

	g = gm_vm_create(VM_TYPE_DEFAULT, 1, size / GM_PAGE);
	f = gm_create_from(g->vm, src, file_size, GM_SHARED);
	gm_slot(g, &f, GM_GPA + gpa_off, size, off, NULL);
	gm_map(g, GM_GPA + gpa_off, size);
	before = get_stats(g);
	gm_assert_eq(gm_try(g, 0, GM_TOUCH, GM_GPA + gpa_off, off, size, GM_PAGE, SEED), 0);
	d = since(g, &before);
	gm_note("gpa +%#lx offset %#lx: +%ld 4K +%ld 2M +%ld 1G", (unsigned long)gpa_off,
		(unsigned long)off, (long)d.p4k, (long)d.p2m, (long)d.p1g);
	gm_assert_ge(d.p4k, p4k);
	/* Tables of the guest: its 4 KiB ones are one per 2 MiB. */
	gm_assert_le(d.p4k, p4k + (long)(size / GM_2M) + TABLES);
	gm_assert_eq(d.p2m, p2m);
	gm_assert_eq(d.p1g, p1g);
	mem = gm_mmap(&f, 0, file_size);
	for (u64 i = 0; i < size; i += GM_PAGE) {
		gm_assert_eq(mem[(off + i) / 8], gm_word(SEED, off + i));
		gm_assert_eq(mem[(off + i) / 8 + 511], 0);
	}
	/* And nothing anywhere else. */
	gm_assert_eq(gm_host_differ(mem, 0, off, 0), 0);
	gm_assert_eq(gm_host_differ(mem + (off + size) / 8, 0,
				    min_t(u64, file_size - off - size, GM_2M), 0), 0);
	gm_assert_ok(munmap(mem, file_size));
	gm_close(&f);
	gm_vm_free(g);
}

static void misplaced_2m(void)
{
	const struct gm_source *src = &gm_sources[GM_SRC_THP_2M];

	gm_need_source(src, 0);
	/* Address and offset disagree modulo 2 MiB: never a huge mapping. */
	placed(src, 5 * GM_2M, 0, GM_PAGE, 4 * GM_2M, 4 * 512, 0, 0);
	placed(src, 5 * GM_2M, GM_PAGE, 0, 4 * GM_2M, 4 * 512, 0, 0);
	placed(src, 5 * GM_2M, GM_2M / 2, GM_PAGE, 4 * GM_2M, 4 * 512, 0, 0);
	/* They agree but the slot cuts the first and the last block. */
	placed(src, 4 * GM_2M, SZ_1M, SZ_1M, 3 * GM_2M, 512, 2, 0);
	placed(src, 4 * GM_2M, GM_PAGE, GM_PAGE, 2 * GM_2M - GM_PAGE, 511, 1, 0);
	placed(src, 4 * GM_2M, 0, GM_2M, 2 * GM_2M + 8 * GM_PAGE, 8, 2, 0);
}

static void misplaced_1g(void)
{
	const struct gm_source *src = &gm_sources[GM_SRC_HTLB_1G];

	gm_need_source(src, GM_1G);
	/* Agreement modulo 2 MiB only. */
	placed(src, GM_1G, 0, GM_2M, GM_1G / 2, 0, 256, 0);
	placed(src, GM_1G, 4 * GM_2M, 0, 64 * GM_2M, 0, 64, 0);
	/* Agreement modulo 4 KiB only. */
	placed(src, GM_1G, 0, GM_PAGE, 4 * GM_2M, 4 * 512, 0, 0);
	/* Agreement modulo 1 GiB, but the slot is a page short of it. */
	placed(src, GM_1G, 0, 0, GM_1G - GM_2M, 0, 511, 0);
	placed(src, GM_1G, 0, 0, GM_1G, 0, 0, 1);
}

/* As a PC has it: RAM to 640K, a hole, RAM from 1M on, one file behind both. */
static void vga_hole(void)
{
	const u64 low = 640 << 10, high = 1 << 20, size = 8 * GM_2M;
	const struct gm_source *src = &gm_sources[GM_SRC_THP_2M];
	struct stats before, d;
	struct gm_file f;
	u64 *mem;
	struct gm_vm *g;

	gm_need_source(src, 0);
	g = gm_vm_create(VM_TYPE_DEFAULT, 1, size / GM_PAGE);
	f = gm_create_from(g->vm, src, size, GM_SHARED);
	gm_slot(g, &f, GM_GPA, low, 0, NULL);
	gm_slot(g, &f, GM_GPA + high, size - high, high, NULL);
	gm_map(g, GM_GPA, low);
	gm_map(g, GM_GPA + high, GM_2M - high);
	gm_map(g, GM_GPA + GM_2M, size - GM_2M);
	before = get_stats(g);
	gm_guest_fill(g, 0, low, SEED);
	gm_guest_fill(g, high, size - high, SEED);
	d = since(g, &before);
	gm_assert_eq(d.p2m, size / GM_2M - 1);
	gm_assert_ge(d.p4k, (low + GM_2M - high) / GM_PAGE);
	gm_assert_le(d.p4k, (low + GM_2M - high) / GM_PAGE + TABLES);
	mem = gm_mmap(&f, 0, size);
	gm_assert_eq(gm_host_differ(mem, 0, low, SEED), 0);
	gm_assert_eq(gm_host_differ(mem + low / 8, low, high - low, 0), 0);
	gm_assert_eq(gm_host_differ(mem + high / 8, high, size - high, SEED), 0);
	gm_close(&f);
	gm_vm_free(g);
}

/* Eight vCPUs meet in one fresh block: one allocation, one zeroing. */
static void meet(const struct gm_source *src, u64 share, unsigned int rounds)
{
	const unsigned int cpus = GM_MAX_VCPUS;
	const u64 step = src->block == GM_1G ? GM_2M : cpus * GM_PAGE;
	u64 free_before = 0;
	struct gm_file f;
	unsigned int r, i;
	struct gm_vm *g;
	u32 slot;

	gm_need_source(src, src->block);
	g = gm_vm_create(VM_TYPE_DEFAULT, cpus, 0);
	gm_map(g, GM_GPA, src->block);
	for (r = 1; r <= rounds; r++) {
		if (src->flags & GM_HUGETLB)
			free_before = gm_pool(src->block, "free");
		f = gm_create_from(g->vm, src, src->block, share);
		slot = gm_slot(g, &f, GM_GPA, src->block, 0, NULL);
		for (i = 0; i < cpus; i++) {
			u64 off = i * (step / cpus);

			gm_start(g, i, GM_TOUCH, GM_GPA + off, off, src->block - off,
				 step, r);
		}
		for (i = 0; i < cpus; i++)
			gm_assert_eq(gm_join(g, i), 0);
		gm_assert_eq(gm_held(&f), src->block);
		gm_assert_eq(gm_fdinfo(&f, "gmem-allocated"), src->block);
		if (src->flags & GM_HUGETLB) {
			gm_assert_eq(gm_pool(src->block, "free"), free_before - 1);
			gm_assert_eq(gm_pool(src->block, "resv"), 0);
		}
		check_blocks(&f, src);
		/* A second zeroing would have taken somebody's word away. */
		gm_guest_check(g, 0, src->block, step / cpus, r);
		gm_guest_check(g, 8, src->block - 8, GM_PAGE, 0);
		gm_slot_delete(g, slot);
		gm_close(&f);
	}
	gm_vm_free(g);
}

static void meet_2m(void)
{
	meet(&gm_sources[GM_SRC_THP_2M], GM_MMAP, 20);
}

static void meet_htlb_2m(void)
{
	meet(&gm_sources[GM_SRC_HTLB_2M], GM_SHARED, 20);
}

static void meet_1g(void)
{
	meet(&gm_sources[GM_SRC_HTLB_1G], GM_MMAP, 2);
}

/* KVM_PRE_FAULT_MEMORY maps as a fault would, and at the largest size too. */
static void prefault(void)
{
	const struct gm_source *src = &gm_sources[GM_SRC_THP_2M];
	struct kvm_pre_fault_memory range = { .gpa = GM_GPA + GM_PAGE,
					      .size = 4 * GM_2M - GM_PAGE };
	struct stats before, d;
	struct gm_file f;
	struct gm_vm *g;

	gm_need_source(src, 0);
	g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	gm_assert(kvm_check_cap(KVM_CAP_PRE_FAULT_MEMORY), "no pre-fault");
	f = gm_create_from(g->vm, src, 4 * GM_2M, GM_MMAP);
	gm_attach(g, &f, GM_GPA);
	before = get_stats(g);
	while (range.size)
		gm_assert_ok(__vcpu_ioctl(g->vcpu[0], KVM_PRE_FAULT_MEMORY, &range));
	d = since(g, &before);
	gm_assert_eq(d.p2m, 4);
	gm_assert_eq(d.p4k, 0);
	gm_assert_eq(gm_held(&f), 4 * GM_2M);
	before = get_stats(g);
	gm_guest_touch(g, 0, 4 * GM_2M, GM_PAGE, SEED);
	d = since(g, &before);
	/* Only the guest's own page tables are left. */
	gm_assert_le(d.faults, 3);
	gm_assert_eq(d.p2m, 0);
	gm_assert_frozen(&f);
	gm_close(&f);
	gm_vm_free(g);
}

struct prefaulter {
	struct kvm_vcpu *vcpu;
	struct gm_file *f;
	struct kvm_pre_fault_memory range;
	int err;
};

static void *prefaulter(void *arg)
{
	struct prefaulter *p = arg;

	while (!p->err && p->range.size)
		p->err = __vcpu_ioctl(p->vcpu, KVM_PRE_FAULT_MEMORY, &p->range) ? errno : 0;
	return NULL;
}

static bool has_begun(void *arg)
{
	return gm_held(((struct prefaulter *)arg)->f);
}

#define NO_MEMORY	0xfee00000ULL

/* KVM gives a VM up, since a vCPU has nowhere to save its state, and another still works. */
static void prefault_dead(void)
{
	const u64 size = 256ULL << 20;
	struct gm_vm *g = gm_vm_create(VM_TYPE_DEFAULT, 2, 0);
	struct gm_file f = gm_create_from(g->vm, &gm_sources[GM_SRC_4K], size, GM_MMAP);
	struct prefaulter p = {
		.vcpu = g->vcpu[0], .f = &f, .range = { .gpa = GM_GPA, .size = size },
	};
	pthread_t thread;

	gm_attach(g, &f, GM_GPA);
	vcpu_set_msr(g->vcpu[1], MSR_IA32_SMBASE, NO_MEMORY);
	gm_assert_ok(__vcpu_ioctl(g->vcpu[1], KVM_SMI, NULL));
	kvm_pthread_create(&thread, NULL, prefaulter, &p);
	gm_assert(gm_wait_until(has_begun, &p, 10), "no page yet");
	gm_assert_eq(gm_try(g, 1, GM_TOUCH, GM_GPA, 0, GM_PAGE, GM_PAGE, SEED), EIO);
	kvm_pthread_join(thread, NULL);
	gm_assert_eq(p.err, EIO);
	gm_assert(p.range.size, "all of it was there before the VM died");
	gm_close(&f);
	gm_vm_free(g);
}

/*
 * Whatever happens at userspace_addr is no business of memory that comes from
 * the file: no mapping of the guest goes away.
 */
static void notifier(unsigned int type, u64 share)
{
	const struct gm_source *src = &gm_sources[GM_SRC_THP_2M];
	const u64 size = 4 * GM_2M;
	struct stats before, d;
	struct gm_file f;
	struct gm_vm *g;
	void *hva;

	gm_need_source(src, 0);
	g = gm_vm_create(type, 1, 0);
	f = gm_create_from(g->vm, src, size, share);
	hva = kvm_mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memset(hva, 0x5a, size);
	gm_slot(g, &f, GM_GPA, size, 0, hva);
	gm_map(g, GM_GPA, size);
	if (type == GM_SWP)
		vm_mem_set_private(g->vm, GM_GPA, size);
	gm_guest_touch(g, 0, size, GM_PAGE, SEED);

	before = get_stats(g);
	gm_assert_ok(mprotect(hva, size, PROT_READ));
	gm_assert_ok(mprotect(hva, size, PROT_READ | PROT_WRITE));
	gm_assert_ok(madvise(hva, GM_2M, MADV_DONTNEED));
	gm_assert_ok(madvise(hva + GM_2M, GM_PAGE, MADV_DONTNEED));
	madvise(hva + 2 * GM_2M, GM_2M, MADV_PAGEOUT);
	gm_assert_ok(munmap(hva + 3 * GM_2M, GM_2M));
	d = since(g, &before);
	gm_assert_eq(d.p2m, 0);
	gm_guest_touch(g, 0, size, GM_PAGE, SEED);
	gm_guest_check(g, 0, size, GM_PAGE, SEED);
	d = since(g, &before);
	gm_assert_eq(d.faults, 0);
	gm_close(&f);
	gm_vm_free(g);
}

static void notifier_gmem_only(void)
{
	notifier(VM_TYPE_DEFAULT, GM_MMAP);
}

static void notifier_shared(void)
{
	notifier(VM_TYPE_DEFAULT, GM_SHARED);
}

static void notifier_private(void)
{
	notifier(GM_SWP, 0);
}

static const struct gm_case cases[] = {
	{ "swp_4k", swp_4k },
	{ "swp_4k_odd", swp_4k_odd },
	{ "swp_hugepage_2m", swp_thp_2m },
	{ "swp_hugepage_2m_odd", swp_thp_2m_odd },
	{ "swp_hugetlb_2m", swp_htlb_2m },
	{ "swp_hugetlb_2m_odd", swp_htlb_2m_odd },
	{ "swp_hugetlb_1g", swp_htlb_1g },
	{ "swp_hugetlb_1g_odd", swp_htlb_1g_odd },
	{ "swp_hugepage_1g", swp_thp_1g },
	{ "swp_hugepage_1g_odd", swp_thp_1g_odd },
	{ "mmap_4k", mmap_4k },
	{ "mmap_4k_odd", mmap_4k_odd },
	{ "mmap_hugepage_2m", mmap_thp_2m },
	{ "mmap_hugepage_2m_odd", mmap_thp_2m_odd },
	{ "mmap_hugetlb_2m", mmap_htlb_2m },
	{ "mmap_hugetlb_2m_odd", mmap_htlb_2m_odd },
	{ "shared_4k", shared_4k },
	{ "shared_4k_odd", shared_4k_odd },
	{ "shared_hugepage_2m", shared_thp_2m },
	{ "shared_hugepage_2m_odd", shared_thp_2m_odd },
	{ "shared_hugetlb_2m", shared_htlb_2m },
	{ "shared_hugetlb_2m_odd", shared_htlb_2m_odd },
	{ "shared_hugetlb_1g", shared_htlb_1g },
	{ "shared_hugetlb_1g_odd", shared_htlb_1g_odd },
	{ "several_slots", several_slots },
	{ "misplaced_2m", misplaced_2m },
	{ "misplaced_1g", misplaced_1g },
	{ "vga_hole", vga_hole },
	{ "meet_2m", meet_2m },
	{ "meet_hugetlb_2m", meet_htlb_2m },
	{ "meet_1g", meet_1g },
	{ "prefault", prefault },
	{ "prefault_dead", prefault_dead },
	{ "notifier_gmem_only", notifier_gmem_only },
	{ "notifier_shared", notifier_shared },
	{ "notifier_private", notifier_private },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 130);
}
