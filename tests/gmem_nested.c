// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory in large blocks behind page tables with small entries: of a guest's
 * guest (nested paging), of a guest without nested paging (boot with
 * kvm_amd.npt=0), and of a guest without paging. Each page is the right one, and
 * no page table of KVM's is part of guest memory.
 *
 * userspace_addr of every slot points at other memory. Nobody may see it: KVM
 * finds memory of a file in the file, also when it maps ahead.
 */
#include "gmem_test.h"
#include "svm_util.h"

#define SEED	23
#define DECOY	0xdec0dec0dec0dec0ULL

/* Where the inner guest sees the memory, so that no address means two things. */
#define ALIAS	(GM_GPA + 64 * GM_1G)

static struct gm_cmd guest_cmd;
static u64 guest_inner;
static u64 guest_blocks;	/* where the outer guest keeps what vmrun needs, or 0 */

static void l2_main(void)
{
	for (;;) {
		gm_guest_do(&guest_cmd);
		vmmcall();
	}
}

/* The control block and the host's save area. */
static void l1_move_blocks(struct svm_test_data *svm)
{
	memcpy((void *)guest_blocks, svm->vmcb, GM_PAGE);
	svm->vmcb = (void *)guest_blocks;
	svm->vmcb_gpa = guest_blocks;
	wrmsr(MSR_VM_HSAVE_PA, guest_blocks + GM_PAGE);
}

static void l1_main(struct svm_test_data *svm)
{
	if (svm)
		generic_svm_setup(svm, l2_main);
	if (guest_blocks)
		l1_move_blocks(svm);
	for (;;) {
		GUEST_SYNC(0);
		if (!guest_inner) {
			gm_guest_do(&guest_cmd);
			continue;
		}
		run_guest(svm->vmcb, svm->vmcb_gpa);
		GUEST_ASSERT_EQ(svm->vmcb->control.exit_code, SVM_EXIT_VMMCALL);
		svm->vmcb->save.rip += 3;
	}
}

struct scene {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	struct gm_file f;
	u64 size;		/* of what is used of the file */
	u64 *mem, *decoy;
};

static bool npt_on(void)
{
	char buf[8];

	gm_read_text("/sys/module/kvm_amd/parameters/npt", buf, sizeof(buf));
	return buf[0] == 'Y' || buf[0] == '1';
}

static void sync_guest(struct scene *s)
{
	struct ucall uc;

	vcpu_run(s->vcpu);
	switch (get_ucall(s->vcpu, &uc)) {
	case UCALL_SYNC:
		break;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
		break;
	default:
		gm_fail(__FILE__, __LINE__, "guest", "stopped with %s",
			exit_reason_str(s->vcpu->run->exit_reason));
	}
}

static void tell(struct scene *s, bool inner, enum gm_op op, u64 gva,
		 u64 off, u64 len, u64 stride, u64 seed)
{
	struct gm_cmd *c = addr_gva2hva(s->vm, (u64)&guest_cmd);

	memset(c, 0, sizeof(*c));
	c->op = op;
	c->gva = gva;
	c->off = off;
	c->len = len;
	c->stride = stride;
	c->seed = seed;
	write_guest_global(s->vm, guest_inner, (u64)inner);
	sync_guest(s);
	gm_assert(!c->bad, "%s guest: %lu words wrong, first at %#lx: %#lx",
		  inner ? "inner" : "outer", (unsigned long)c->bad,
		  (unsigned long)c->bad_gva, (unsigned long)c->bad_value);
}

static void open_scene(struct scene *s, unsigned int source, u64 size)
{
	const struct gm_source *src = &gm_sources[source];
	const u64 file = size > src->block ? size : src->block;
	u64 i;

	gm_need_source(src, file);
	s->size = size;
	/* Tables for two mappings of 4 KiB and for the inner guest's. */
	s->vm = __vm_create_shape_with_one_vcpu(VM_SHAPE_DEFAULT, &s->vcpu,
						16 * size / GM_PAGE + 8192, l1_main);
	s->f = gm_create_from(s->vm, src, file, GM_SHARED);
	s->mem = gm_mmap(&s->f, 0, size);
	s->decoy = kvm_mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	for (i = 0; i < size / 8; i++)
		s->decoy[i] = DECOY;
	vm_set_user_memory_region2(s->vm, 1, KVM_MEM_GUEST_MEMFD, GM_GPA, size, s->decoy,
				   s->f.fd, 0);
}

static void close_scene(struct scene *s)
{
	u64 i;

	for (i = 0; i < s->size / 8; i++)
		gm_assert(s->decoy[i] == DECOY, "decoy written at %#lx", (unsigned long)i * 8);
	gm_assert_ok(munmap(s->mem, s->size));
	gm_close(&s->f);
	kvm_vm_free(s->vm);
}

/* Page tables of ours that map ahead only what was accessed before. */
static void mark_accessed(struct kvm_mmu *mmu, u64 *pte)
{
	*pte |= PTE_ACCESSED_MASK(mmu) | PTE_DIRTY_MASK(mmu);
}

/*
 * Reversed, page i is at step n - 1 - i of the alias, so that no run of pages
 * could be mapped by one larger entry and still be right.
 */
static u64 mirror(struct scene *s, u64 off, u64 step, bool reversed)
{
	return reversed ? s->size - step - off : off;
}

static void check_all(struct scene *s, bool inner, u64 gva, u64 step, bool reversed)
{
	u64 off, at;

	/* Written by the host, read by the guest through its small entries. */
	gm_host_fill(s->mem, 0, s->size, SEED);
	for (off = 0; off < s->size; off += step) {
		at = mirror(s, off, step, reversed);
		tell(s, inner, GM_VERIFY, gva + at, off, step, 8, SEED);
	}
	/* Written by the guest, read by the host. */
	for (off = 0; off < s->size; off += step) {
		at = mirror(s, off, step, reversed);
		tell(s, inner, GM_FILL, gva + at, off, step, 8, SEED + 1);
	}
	gm_assert_eq(gm_host_differ(s->mem, 0, s->size, SEED + 1), 0);
	tell(s, false, GM_VERIFY, GM_GPA, 0, s->size, 8, SEED + 1);
	/* Taken away and brought back. */
	gm_assert_ok(gm_punch(&s->f, 0, s->size / 2));
	tell(s, inner, GM_VERIFY, gva + (reversed ? s->size / 2 : 0), 0, s->size / 2, 8, 0);
	for (off = 0; off < s->size; off += step) {
		at = mirror(s, off, step, reversed);
		tell(s, inner, GM_TOUCH, gva + at, off, step, GM_PAGE, SEED + 2);
	}
	for (off = 0; off < s->size; off += GM_PAGE)
		gm_assert_eq(s->mem[off / 8], gm_word(SEED + 2, off));
}

static void inner_npt(unsigned int source, u64 size, int level, bool reversed)
{
	const u64 step = PG_LEVEL_SIZE(level);
	u64 svm_gva, off;
	struct scene s;

	gm_need_source(&gm_sources[source], size);
	if (!npt_on())
		gm_skip("needs nested paging (kvm_amd.npt=1)");
	gm_assert(kvm_cpu_has(X86_FEATURE_SVM) && kvm_cpu_has_npt(), "no nested SVM");
	open_scene(&s, source, size);
	vm_enable_npt(s.vm);
	vcpu_alloc_svm(s.vm, &svm_gva);
	vcpu_args_set(s.vcpu, 1, svm_gva);
	gm_map_at(&(struct gm_vm){ .vm = s.vm }, GM_GPA, GM_GPA, size);
	gm_map_at(&(struct gm_vm){ .vm = s.vm }, ALIAS, ALIAS, size);
	for (off = 0; off < size; off += step) {
		const u64 l2 = ALIAS + mirror(&s, off, step, reversed);

		__virt_pg_map(s.vm, &s.vm->stage2_mmu, l2, GM_GPA + off, level);
		if (level == PG_LEVEL_4K)
			mark_accessed(&s.vm->stage2_mmu, tdp_get_pte(s.vm, l2));
	}
	tdp_identity_map_default_memslots(s.vm);
	sync_guest(&s);
	check_all(&s, true, ALIAS, step, reversed);
	close_scene(&s);
}

/* The inner guest on the outer's page tables: no nested paging involved. */
static void nested_shadow(unsigned int source, u64 size)
{
	u64 svm_gva, off;
	struct scene s;

	gm_need_source(&gm_sources[source], size);
	gm_assert(kvm_cpu_has(X86_FEATURE_SVM), "no nested SVM");
	open_scene(&s, source, size);
	vcpu_alloc_svm(s.vm, &svm_gva);
	vcpu_args_set(s.vcpu, 1, svm_gva);
	gm_map_at(&(struct gm_vm){ .vm = s.vm }, GM_GPA, GM_GPA, size);
	for (off = 0; off < size; off += GM_PAGE) {
		const u64 gva = ALIAS + mirror(&s, off, GM_PAGE, true);

		virt_pg_map(s.vm, gva, GM_GPA + off);
		mark_accessed(&s.vm->mmu, vm_get_pte(s.vm, gva));
	}
	sync_guest(&s);
	check_all(&s, true, ALIAS, GM_PAGE, true);
	close_scene(&s);
}

/* KVM reads and writes what vmrun, vmload and vmsave work on. */
static void control_blocks(unsigned int source)
{
	const u64 data = GM_GPA + 16 * GM_PAGE;
	struct scene s;
	u64 svm_gva, i;

	gm_assert(kvm_cpu_has(X86_FEATURE_SVM), "no nested SVM");
	open_scene(&s, source, GM_2M);
	vcpu_alloc_svm(s.vm, &svm_gva);
	vcpu_args_set(s.vcpu, 1, svm_gva);
	gm_map_at(&(struct gm_vm){ .vm = s.vm }, GM_GPA, GM_GPA, GM_2M);
	write_guest_global(s.vm, guest_blocks, (u64)GM_GPA);
	sync_guest(&s);
	for (i = 0; i < 16; i++) {
		tell(&s, true, GM_FILL, data, 0, GM_PAGE, 8, SEED + i);
		tell(&s, false, GM_VERIFY, data, 0, GM_PAGE, 8, SEED + i);
	}
	gm_assert_frozen(&s.f);
	close_scene(&s);
}

/* A guest's own small entries; shadow paging if the boot says so. */
static void shadow(unsigned int source, u64 size, int level, bool reversed)
{
	const u64 step = PG_LEVEL_SIZE(level);
	struct scene s;
	u64 off;

	open_scene(&s, source, size);
	vcpu_args_set(s.vcpu, 1, 0ULL);
	gm_map_at(&(struct gm_vm){ .vm = s.vm }, GM_GPA, GM_GPA, size);
	for (off = 0; off < size; off += step) {
		const u64 gva = ALIAS + mirror(&s, off, step, reversed);

		__virt_pg_map(s.vm, &s.vm->mmu, gva, GM_GPA + off, level);
		if (level == PG_LEVEL_4K)
			mark_accessed(&s.vm->mmu, vm_get_pte(s.vm, gva));
	}
	gm_note("nested paging is %s", npt_on() ? "on" : "off");
	sync_guest(&s);
	check_all(&s, false, ALIAS, step, reversed);
	close_scene(&s);
}

/*
 * Protected mode without paging: KVM's root has three levels then, too few for
 * a leaf of 1 GiB. esi: where, ecx: how often, edi: how far.
 */
static const u8 flat_code[] = {
	0x89, 0x36,		/* 1: mov %esi, (%esi) */
	0x01, 0xfe,		/* add %edi, %esi */
	0x49,			/* dec %ecx */
	0x75, 0xf9,		/* jnz 1b */
	0xf4,			/* hlt */
};

static void flat_segment(struct kvm_segment *seg, u16 selector, u8 type)
{
	memset(seg, 0, sizeof(*seg));
	seg->selector = selector;
	seg->limit = 0xffffffff;
	seg->type = type;
	seg->present = 1;
	seg->s = 1;
	seg->db = 1;
	seg->g = 1;
}

static void no_paging(unsigned int source, u64 size)
{
	const u64 gpa = GM_1G, step = size / 512;
	const struct gm_source *src = &gm_sources[source];
	struct kvm_sregs sregs;
	struct kvm_regs regs = { .rflags = 2, .rsi = gpa, .rcx = 512, .rdi = step };
	struct kvm_vcpu *vcpu;
	struct gm_file f;
	struct kvm_vm *vm;
	u64 *mem, *decoy, i;
	u8 *code;

	gm_need_source(src, size);
	vm = vm_create_barebones();
	vcpu = __vm_vcpu_add(vm, 0);
	code = kvm_mmap(GM_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memcpy(code, flat_code, sizeof(flat_code));
	vm_set_user_memory_region(vm, 0, 0, 0, GM_PAGE, code);
	f = gm_create_from(vm, src, size, GM_SHARED);
	decoy = kvm_mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
			 MAP_NORESERVE, -1);
	for (i = 0; i < 8 * GM_PAGE / 8; i++)
		decoy[i] = DECOY;
	vm_set_user_memory_region2(vm, 1, KVM_MEM_GUEST_MEMFD, gpa, size, decoy, f.fd, 0);

	vcpu_sregs_get(vcpu, &sregs);
	sregs.cr0 = 0x11;
	flat_segment(&sregs.cs, 8, 11);
	flat_segment(&sregs.ds, 16, 3);
	sregs.es = sregs.ds;
	sregs.fs = sregs.ds;
	sregs.gs = sregs.ds;
	sregs.ss = sregs.ds;
	vcpu_sregs_set(vcpu, &sregs);
	vcpu_regs_set(vcpu, &regs);
	vcpu_run(vcpu);
	gm_assert_eq(vcpu->run->exit_reason, KVM_EXIT_HLT);

	mem = gm_mmap(&f, 0, size);
	for (i = 0; i < 512; i++) {
		gm_assert_eq(mem[i * step / 8], gpa + i * step);
		gm_assert_eq(mem[i * step / 8 + 1], 0);
		gm_assert_eq(mem[i * step / 8 + step / 16], 0);
	}
	gm_close(&f);
	kvm_vm_free(vm);
}

/* errno of KVM_PRE_FAULT_MEMORY for one block. No state of the vCPU changes by it. */
static int prefault_at(struct scene *s, u64 off)
{
	struct kvm_pre_fault_memory range = { .gpa = GM_GPA + off, .size = GM_2M };
	struct kvm_vcpu_events events, events_after;
	struct kvm_sregs sregs, sregs_after;
	struct kvm_regs regs, regs_after;
	int err;

	vcpu_regs_get(s->vcpu, &regs);
	vcpu_sregs_get(s->vcpu, &sregs);
	vcpu_events_get(s->vcpu, &events);
	err = __vcpu_ioctl(s->vcpu, KVM_PRE_FAULT_MEMORY, &range) ? errno : 0;
	gm_assert_eq(range.size, err ? GM_2M : 0);
	vcpu_regs_get(s->vcpu, &regs_after);
	vcpu_sregs_get(s->vcpu, &sregs_after);
	vcpu_events_get(s->vcpu, &events_after);
	gm_assert(!memcmp(&regs, &regs_after, sizeof(regs)), "registers changed");
	gm_assert(!memcmp(&sregs, &sregs_after, sizeof(sregs)), "system registers changed");
	gm_assert(!memcmp(&events, &events_after, sizeof(events)), "events changed");
	return err;
}

static u64 mapped_2m(struct scene *s)
{
	return vm_get_stat(s->vm, pages_2m);
}

/* Whether there is an answer, and which, is up to the MMU that the vCPU uses now. */
static void prefault(void)
{
	const int answer = npt_on() ? 0 : EOPNOTSUPP;
	struct kvm_vcpu_events events;
	struct scene s;
	u64 before;

	open_scene(&s, GM_SRC_THP_2M, 8 * GM_2M);
	vcpu_args_set(s.vcpu, 1, 0);
	sync_guest(&s);
	before = mapped_2m(&s);
	gm_assert_eq(prefault_at(&s, 0), answer);
	gm_assert_eq(mapped_2m(&s), before + !answer);
	/* What is there already is there. */
	gm_assert_eq(prefault_at(&s, 0), answer);
	gm_assert_eq(mapped_2m(&s), before + !answer);

	/* System management mode has its own slots, none of them here. */
	vcpu_events_get(s.vcpu, &events);
	events.flags |= KVM_VCPUEVENT_VALID_SMM;
	events.smi.smm = 1;
	vcpu_events_set(s.vcpu, &events);
	gm_assert_eq(prefault_at(&s, GM_2M), npt_on() ? ENOENT : EOPNOTSUPP);
	gm_assert_eq(mapped_2m(&s), before + !answer);
	events.smi.smm = 0;
	vcpu_events_set(s.vcpu, &events);
	gm_assert_eq(prefault_at(&s, GM_2M), answer);
	gm_assert_eq(mapped_2m(&s), before + 2 * !answer);
	close_scene(&s);
}

/* Another CPUID before the vCPU has run is another MMU, and the same answer. */
static void prefault_cpuid(void)
{
	const int answer = npt_on() ? 0 : EOPNOTSUPP;
	struct scene s;

	open_scene(&s, GM_SRC_THP_2M, 8 * GM_2M);
	gm_assert_eq(prefault_at(&s, 0), answer);
	vcpu_set_cpuid_property(s.vcpu, X86_PROPERTY_MAX_PHY_ADDR, 40);
	gm_assert_eq(prefault_at(&s, 0), answer);
	gm_assert_eq(prefault_at(&s, GM_2M), answer);
	vcpu_args_set(s.vcpu, 1, 0);
	sync_guest(&s);
	gm_assert_eq(prefault_at(&s, 2 * GM_2M), answer);
	close_scene(&s);
}

static void l2_sync(void)
{
	for (;;)
		GUEST_SYNC(2);
}

static void l1_stays_in_l2(struct svm_test_data *svm)
{
	generic_svm_setup(svm, l2_sync);
	GUEST_SYNC(1);
	run_guest(svm->vmcb, svm->vmcb_gpa);
	GUEST_FAIL("l2 came back");
}

/* The vCPU stops in the inner guest: GM_GPA is that guest's, if its tables are its own. */
static void prefault_inner(bool inner_npt)
{
	const int answer = npt_on() && !inner_npt ? 0 : EOPNOTSUPP;
	struct scene s;
	u64 svm_gva;

	if (inner_npt && !npt_on())
		gm_skip("needs nested paging (kvm_amd.npt=1)");
	gm_assert(kvm_cpu_has(X86_FEATURE_SVM), "no nested SVM");
	open_scene(&s, GM_SRC_THP_2M, 2 * GM_2M);
	if (inner_npt)
		vm_enable_npt(s.vm);
	vcpu_alloc_svm(s.vm, &svm_gva);
	vcpu_args_set(s.vcpu, 1, svm_gva);
	vcpu_arch_set_entry_point(s.vcpu, l1_stays_in_l2);
	if (inner_npt)
		tdp_identity_map_default_memslots(s.vm);
	sync_guest(&s);
	gm_assert_eq(prefault_at(&s, 0), npt_on() ? 0 : EOPNOTSUPP);
	sync_guest(&s);
	gm_assert_eq(prefault_at(&s, GM_2M), answer);
	sync_guest(&s);
	close_scene(&s);
}

static void prefault_inner_npt(void)
{
	prefault_inner(true);
}

static void prefault_inner_shadow(void)
{
	prefault_inner(false);
}

#define CASE(name, call) static void name(void) { call; }

CASE(npt_4k_4k, inner_npt(GM_SRC_4K, GM_2M, PG_LEVEL_4K, true))
CASE(npt_4k_4k_straight, inner_npt(GM_SRC_4K, GM_2M, PG_LEVEL_4K, false))
CASE(npt_4k_2m, inner_npt(GM_SRC_THP_2M, 2 * GM_2M, PG_LEVEL_4K, true))
CASE(npt_4k_2m_straight, inner_npt(GM_SRC_THP_2M, 2 * GM_2M, PG_LEVEL_4K, false))
CASE(npt_2m_2m, inner_npt(GM_SRC_THP_2M, 2 * GM_2M, PG_LEVEL_2M, true))
CASE(npt_4k_1g, inner_npt(GM_SRC_HTLB_1G, 2 * GM_2M, PG_LEVEL_4K, true))
CASE(npt_2m_1g, inner_npt(GM_SRC_HTLB_1G, 4 * GM_2M, PG_LEVEL_2M, true))
CASE(inner_shadow_4k, nested_shadow(GM_SRC_4K, GM_2M))
CASE(inner_shadow_2m, nested_shadow(GM_SRC_THP_2M, 2 * GM_2M))
CASE(shadow_4k_4k, shadow(GM_SRC_4K, GM_2M, PG_LEVEL_4K, true))
CASE(shadow_4k_4k_straight, shadow(GM_SRC_4K, GM_2M, PG_LEVEL_4K, false))
CASE(shadow_4k_2m, shadow(GM_SRC_THP_2M, 2 * GM_2M, PG_LEVEL_4K, true))
CASE(shadow_4k_2m_straight, shadow(GM_SRC_THP_2M, 2 * GM_2M, PG_LEVEL_4K, false))
CASE(shadow_2m_2m, shadow(GM_SRC_THP_2M, 2 * GM_2M, PG_LEVEL_2M, true))
CASE(shadow_4k_1g, shadow(GM_SRC_HTLB_1G, 2 * GM_2M, PG_LEVEL_4K, true))
CASE(shadow_2m_1g, shadow(GM_SRC_HTLB_1G, 4 * GM_2M, PG_LEVEL_2M, true))
CASE(flat_4k, no_paging(GM_SRC_4K, GM_2M))
CASE(flat_2m, no_paging(GM_SRC_THP_2M, 8 * GM_2M))
CASE(flat_1g, no_paging(GM_SRC_HTLB_1G, GM_1G))

static void control_blocks_4k(void)
{
	control_blocks(GM_SRC_4K);
}

static void control_blocks_2m(void)
{
	control_blocks(GM_SRC_THP_2M);
}

static const struct gm_case cases[] = {
	{ "npt_4k_on_4k", npt_4k_4k },
	{ "npt_4k_on_4k_straight", npt_4k_4k_straight },
	{ "npt_4k_on_2m", npt_4k_2m },
	{ "npt_4k_on_2m_straight", npt_4k_2m_straight },
	{ "npt_2m_on_2m", npt_2m_2m },
	{ "npt_4k_on_1g", npt_4k_1g },
	{ "npt_2m_on_1g", npt_2m_1g },
	{ "inner_shadow_4k", inner_shadow_4k },
	{ "inner_shadow_2m", inner_shadow_2m },
	{ "shadow_4k_on_4k", shadow_4k_4k },
	{ "shadow_4k_on_4k_straight", shadow_4k_4k_straight },
	{ "shadow_4k_on_2m", shadow_4k_2m },
	{ "shadow_4k_on_2m_straight", shadow_4k_2m_straight },
	{ "shadow_2m_on_2m", shadow_2m_2m },
	{ "shadow_4k_on_1g", shadow_4k_1g },
	{ "shadow_2m_on_1g", shadow_2m_1g },
	{ "no_paging_4k", flat_4k },
	{ "no_paging_2m", flat_2m },
	{ "no_paging_1g", flat_1g },
	{ "prefault", prefault },
	{ "prefault_cpuid", prefault_cpuid },
	{ "prefault_inner_npt", prefault_inner_npt },
	{ "prefault_inner_shadow", prefault_inner_shadow },
	{ "control_blocks_4k", control_blocks_4k },
	{ "control_blocks_2m", control_blocks_2m },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 16);
}
