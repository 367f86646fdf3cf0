// SPDX-License-Identifier: GPL-2.0-only
/* TDX guests on the software TDX module: what fails, and what is left then. */

#include <sys/mman.h>

#include "tdx.h"

#define SEED	31

static int share(struct gm_td_scene *s, u64 off, u64 *error)
{
	return gm_set(&s->f, off, GM_PAGE, false, error);
}

static int punch(struct gm_td_scene *s, u64 off, u64 *error)
{
	*error = off;
	return gm_punch(&s->f, off, GM_PAGE) ? errno : 0;
}

/* Nothing but KVM_RUN: the other requests that are needed allocate as well. */
static int run(struct gm_td_scene *s, u64 off, u64 *error)
{
	*error = off;
	return __vcpu_run(s->td->vcpu[0]) ? errno : 0;
}

/*
 * Each allocation fails once, in a frame of 2 MiB of its own. Some are of debugging
 * aids, which do without: those are tried twice. If the request fails nothing has
 * changed, neither who may use the page nor what is in it; then it succeeds, with
 * one split.
 */
#define SITES	32

struct request {
	int (*fn)(struct gm_td_scene *s, u64 off, u64 *error);
	bool pending;	/* of memory that the guest has not accepted */
	long removed;	/* pages that go by it; the guest accepts one if there are none */
};

static void map_all(struct gm_td_scene *s, const struct request *req)
{
	struct kvm_pre_fault_memory range = { .gpa = GM_GPA, .size = SITES * GM_2M };

	if (req->pending) {
		gm_assert_ok(__vcpu_ioctl(s->td->vcpu[0], KVM_PRE_FAULT_MEMORY, &range));
		gm_assert_eq(range.size, 0);
		return;
	}
	gm_td_accept_ok(s->td, 0, GM_GPA, GM_TD_2M, SITES);
	gm_assert_eq(gm_td_store(s->td, 0, GM_GPA, SITES * GM_2M, 8, SEED), GM_TD_SYNC);
}

static void assert_frame(struct gm_td_scene *s, const struct request *req, u64 frame)
{
	if (req->pending)
		return;
	gm_assert_eq(gm_td_check(s->td, 0, GM_GPA + frame, GM_2M, 8, SEED), GM_TD_SYNC);
	gm_td_assert_good(s->td, 0);
}

static void no_memory(const struct request *req)
{
	u64 error, frame = 0, off;
	struct gm_td_leaves before;
	unsigned int failed = 0, nth = 1;
	bool came = true, twice = false;
	struct gm_td_scene s;
	long pending;
	int err;

	gm_fail_open();
	s = gm_td_scene_open(1, SITES * GM_2M, 0);
	map_all(&s, req);
	pending = gm_td_pages("pending");
	for (; came && frame < SITES * GM_2M; frame += GM_2M) {
		off = frame + 9 * GM_PAGE;
		before = gm_td_leaves();
		if (!req->removed)
			gm_td_accept_next(s.td, 0, GM_GPA + off, GM_TD_4K, 1);
		gm_fail_arm(nth);
		err = req->fn(&s, off, &error);
		came = gm_fail_came();
		if (err) {
			gm_assert_eq(err, ENOMEM);
			gm_assert(came, "ENOMEM of nothing");
			failed++;
			gm_assert(gm_is_private(&s.f, off), "shared");
			gm_td_assert_leaves(&before, 0, 0, 0, 0, 0);
			gm_assert_eq(gm_td_pages("pending"), pending);
			assert_frame(&s, req, frame);
			gm_assert_eq(req->fn(&s, off, &error), 0);
		}
		gm_td_assert_leaves(&before, 0, 0, 1, req->removed, 0);
		pending -= req->pending;
		gm_assert_eq(gm_td_pages("pending"), pending);
		if (!req->pending)
			gm_td_assert_others(&s, SEED, frame, off);
		gm_td_assert_ledger(&s);

		/* A slab that comes now and then may have been in the way of another. */
		twice = came && !err && !twice;
		nth += !twice;
	}
	gm_assert(!came, "more than %u allocations", SITES);
	/* The mirror's table, what describes it, and the module's. */
	gm_assert_ge(failed, 3);
	gm_td_scene_close(&s);
}

static void no_memory_share(void)
{
	no_memory(&(struct request) { share, false, 1 });
}

static void no_memory_punch(void)
{
	no_memory(&(struct request) { punch, false, 1 });
}

static void no_memory_pending(void)
{
	no_memory(&(struct request) { share, true, 1 });
}

static void no_memory_accept(void)
{
	no_memory(&(struct request) { run, true, 0 });
}

/* A page of accepted memory breaks: the guest loses that page. */
static void poison(void)
{
	const u64 off = 77 * GM_PAGE;
	struct gm_td_scene s = gm_td_scene_open(1, GM_2M, 0);
	struct gm_td_leaves before;

	gm_td_accept_ok(s.td, 0, GM_GPA, GM_TD_2M, 1);
	gm_assert_eq(gm_td_store(s.td, 0, GM_GPA, GM_2M, 8, SEED), GM_TD_SYNC);
	before = gm_td_leaves();
	gm_assert(gm_write("/sys/kernel/debug/hwpoison/corrupt-pfn", "%#lx",
			   (unsigned long)gm_pfn_at(&s.f, off)), "%s", strerror(errno));
	gm_td_assert_leaves(&before, 0, 0, 1, 1, 0);
	gm_td_assert_others(&s, SEED, 0, off);
	gm_assert_eq(gm_td_store(s.td, 0, GM_GPA + off, 8, 8, SEED), -EHWPOISON);
	gm_td_assert_ledger(&s);
	gm_td_scene_close(&s);
}

/* What KVM_TDX_INIT_MEM_REGION refuses, and what it leaves undone. */
static void populate(void)
{
	struct kvm_vm *vm = gm_td_vm(0);
	struct kvm_vcpu *vcpu = __vm_vcpu_add(vm, 0);
	struct gm_file f = gm_create_from(vm, &gm_sources[GM_SRC_THP_2M], 2 * GM_2M, GM_MMAP);
	char *src = kvm_mmap(9 * GM_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	const struct kvm_tdx_init_mem_region good = {
		.source_addr = (u64)src, .gpa = GM_GPA, .nr_pages = 4,
	};
	struct {
		u64 source_addr, gpa, nr_pages;
		u32 flags;
		int err;
	} bad[] = {
		{ (u64)src + 1, GM_GPA, 1, 0, EINVAL },
		{ 0, GM_GPA, 1, 0, EINVAL },
		{ (u64)src, GM_GPA + 1, 1, 0, EINVAL },
		{ (u64)src, GM_GPA, 0, 0, EINVAL },
		{ (u64)src, GM_GPA, 1ULL << 52, 0, EINVAL },
		{ (u64)src, GM_GPA, (1ULL << 52) - (GM_GPA >> 12), 0, EINVAL },
		{ (u64)src, GM_TD_SHARED + GM_GPA, 1, 0, EINVAL },
		{ (u64)src, GM_TD_SHARED - GM_PAGE, 2, 0, EINVAL },
		{ (u64)src, GM_GPA, 1, 2, EINVAL },
		{ (u64)src, GM_GPA + GM_1G, 1, 0, EINVAL },
		{ (u64)src + 8 * GM_PAGE, GM_GPA, 1, 0, EFAULT },
	};
	struct gm_td_leaves before = gm_td_leaves();
	struct kvm_tdx_init_mem_region region = good;
	long added = gm_td_calls("MEM.PAGE.ADD", "4K");
	unsigned int i;
	int err;

	gm_assert_ok(mprotect(src + 8 * GM_PAGE, GM_PAGE, PROT_NONE));
	vm_set_user_memory_region2(vm, 0, KVM_MEM_GUEST_MEMFD, GM_GPA, f.size, NULL, f.fd, 0);
	gm_assert_eq(gm_td_vcpu_cmd(vcpu, KVM_TDX_INIT_MEM_REGION, 0, &region), EINVAL);
	gm_assert_eq(gm_td_vcpu_cmd(vcpu, KVM_TDX_INIT_VCPU, 0, NULL), 0);
	gm_assert_eq(gm_td_vcpu_cmd(vcpu, KVM_TDX_INIT_VCPU, 0, NULL), EINVAL);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		region = (struct kvm_tdx_init_mem_region) {
			.source_addr = bad[i].source_addr, .gpa = bad[i].gpa,
			.nr_pages = bad[i].nr_pages,
		};
		err = gm_td_vcpu_cmd(vcpu, KVM_TDX_INIT_MEM_REGION, bad[i].flags, &region);
		gm_assert(err == bad[i].err, "%u: %s", i, strerror(err));
		gm_assert_eq(region.nr_pages, bad[i].nr_pages);
	}
	gm_assert_eq(gm_td_vcpu_cmd(vcpu, KVM_TDX_INIT_MEM_REGION, 0, (void *)8UL), EFAULT);
	gm_assert_eq(gm_td_calls("MEM.PAGE.ADD", "4K"), added);

	/* Not what is shared, and not twice. */
	gm_set_ok(&f, 2 * GM_PAGE, GM_PAGE, false);
	region = good;
	gm_assert_eq(gm_td_vcpu_cmd(vcpu, KVM_TDX_INIT_MEM_REGION, 0, &region), EINVAL);
	gm_assert_eq(region.nr_pages, 2);
	gm_assert_eq(region.gpa, GM_GPA + 2 * GM_PAGE);
	gm_set_ok(&f, 2 * GM_PAGE, GM_PAGE, true);
	gm_assert_eq(gm_td_vcpu_cmd(vcpu, KVM_TDX_INIT_MEM_REGION,
				    KVM_TDX_MEASURE_MEMORY_REGION, &region), 0);
	gm_assert_eq(region.nr_pages, 0);
	gm_assert_eq(gm_td_calls("MEM.PAGE.ADD", "4K") - added, 4);
	region = good;
	gm_assert_eq(gm_td_vcpu_cmd(vcpu, KVM_TDX_INIT_MEM_REGION, 0, &region), EEXIST);
	gm_assert_eq(region.nr_pages, 4);

	/* A page that goes again while the TD is built. */
	gm_assert_ok(gm_punch(&f, 0, GM_PAGE));
	gm_td_assert_leaves(&before, 0, 0, 0, 1, 0);
	region = (struct kvm_tdx_init_mem_region) {
		.source_addr = (u64)src, .gpa = GM_GPA, .nr_pages = 1,
	};
	gm_assert_eq(gm_td_vcpu_cmd(vcpu, KVM_TDX_INIT_MEM_REGION, 0, &region), 0);
	gm_assert_eq(gm_td_pages("mapped"), 4);

	/* Not before it is finalized. */
	gm_assert_errno(__vcpu_run(vcpu), EINVAL);
	gm_assert_errno(__vcpu_ioctl(vcpu, KVM_PRE_FAULT_MEMORY, &((struct kvm_pre_fault_memory) {
		.gpa = GM_GPA, .size = GM_PAGE })), EOPNOTSUPP);
	kvm_munmap(src, 9 * GM_PAGE);
	gm_close(&f);
	kvm_vm_free(vm);
}

static const struct gm_case cases[] = {
	{ "no_memory_share", no_memory_share },
	{ "no_memory_punch", no_memory_punch },
	{ "no_memory_pending", no_memory_pending },
	{ "no_memory_accept", no_memory_accept },
	{ "poison", poison, .loses = true },
	{ "populate", populate },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 0);
}
