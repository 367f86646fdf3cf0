// SPDX-License-Identifier: GPL-2.0-only
/* TDX guests on the software TDX module: what KVM does to their secure EPT. */

#include "tdx.h"

#define SEED	11

/* A TD that nobody made more of is taken apart like any VM. */
static void uninitialized(void)
{
	struct gm_file f;
	struct kvm_vm *vm;

	gm_td_need();
	vm = vm_create_barebones_type(KVM_X86_SOFT_TDX_VM);
	gm_assert_eq(__vm_ioctl(vm, KVM_CREATE_VCPU, (void *)0UL), -1);
	f = gm_create_from(vm, &gm_sources[GM_SRC_THP_2M], 2 * GM_2M, GM_MMAP);
	vm_set_user_memory_region2(vm, 0, KVM_MEM_GUEST_MEMFD, GM_GPA, f.size, NULL, f.fd, 0);
	gm_assert_ok(gm_populate(&f, 0, f.size));
	gm_set_ok(&f, GM_PAGE, GM_PAGE, false);
	gm_assert_ok(gm_punch(&f, GM_2M - GM_PAGE, 2 * GM_PAGE));
	gm_assert_ok(gm_punch(&f, 0, f.size));
	gm_close(&f);
	kvm_vm_free(vm);
}

static void flags(void)
{
	struct kvm_tdx_init_mem_region region = { .nr_pages = 1 };
	struct kvm_tdx_init_vm init = { .attributes = 1ULL << 62 };
	struct kvm_vm *vm;
	struct gm_td *td;
	u64 supported;

	gm_td_need();
	vm = vm_create_barebones_type(KVM_X86_SOFT_TDX_VM);
	supported = vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS);
	gm_assert_eq(supported, GM_SHARED);
	gm_assert_errno(__vm_create_guest_memfd(vm, GM_PAGE, GUEST_MEMFD_FLAG_NO_DIRECT_MAP),
			EINVAL);
	gm_assert_eq(gm_td_vm_cmd(vm, KVM_TDX_FINALIZE_VM, 0, NULL), EINVAL);
	gm_assert_eq(gm_td_vm_cmd(vm, KVM_TDX_INIT_VM, 0, &init), EINVAL);
	init.attributes = 0;
	gm_assert_eq(gm_td_vm_cmd(vm, KVM_TDX_INIT_VM, 1, &init), EINVAL);
	gm_assert_eq(gm_td_vm_cmd(vm, KVM_TDX_INIT_VM, 0, (void *)8UL), EFAULT);
	gm_assert_eq(gm_td_vm_cmd(vm, KVM_TDX_INIT_VM, 0, &init), 0);
	gm_assert_eq(gm_td_vm_cmd(vm, KVM_TDX_INIT_VM, 0, &init), EINVAL);
	kvm_vm_free(vm);

	td = gm_td_create(1, 0);
	gm_assert_eq(gm_td_vm_cmd(td->vm, KVM_TDX_FINALIZE_VM, 0, NULL), EINVAL);
	gm_assert_eq(gm_td_vcpu_cmd(td->vcpu[0], KVM_TDX_INIT_VCPU, 0, NULL), EINVAL);
	gm_assert_eq(gm_td_vcpu_cmd(td->vcpu[0], KVM_TDX_INIT_MEM_REGION, 0, &region), EINVAL);
	gm_td_free(td);
}

/* Mapped, accepted and taken away in 2 MiB, and nothing in 4 KiB. */
static void accept_2m(void)
{
	const u64 size = 8 * GM_2M;
	struct gm_td_scene s = gm_td_scene_open(1, size, 0);
	struct gm_td_leaves before = gm_td_leaves();

	gm_td_accept_ok(s.td, 0, GM_GPA, GM_TD_2M, size / GM_2M);
	gm_td_assert_leaves(&before, 0, 8, 0, 0, 0);
	gm_assert_eq(gm_td_stat(s.td, "pages_2m") - s.base_2m, 8);
	gm_assert_eq(gm_td_stat(s.td, "pages_4k") - s.base_4k, 0);
	gm_td_assert_ledger(&s);

	gm_assert_eq(gm_td_check(s.td, 0, GM_GPA, size, 8, 0), GM_TD_SYNC);
	gm_td_assert_good(s.td, 0);
	gm_assert_eq(gm_td_store(s.td, 0, GM_GPA, size, 8, SEED), GM_TD_SYNC);
	gm_assert_eq(gm_td_check(s.td, 0, GM_GPA, size, 8, SEED), GM_TD_SYNC);
	gm_td_assert_good(s.td, 0);
	gm_assert_frozen(&s.f);

	gm_assert_ok(gm_punch(&s.f, 0, size));
	gm_td_assert_leaves(&before, 0, 8, 0, 0, 8);
	gm_td_assert_ledger(&s);
	gm_assert_eq(gm_held(&s.f), 0);
	gm_td_scene_close(&s);
}

/* One page out of an accepted 2 MiB: one DEMOTE, and its neighbours stay. */
static void share_at(u64 page)
{
	const u64 size = 4 * GM_2M, frame = GM_2M;
	struct gm_td_scene s = gm_td_scene_open(1, size, 0);
	const u64 gpa = GM_GPA + frame + page;
	struct gm_td_leaves before;
	u64 *word;

	gm_td_accept_ok(s.td, 0, GM_GPA, GM_TD_2M, size / GM_2M);
	gm_assert_eq(gm_td_store(s.td, 0, GM_GPA, size, 8, SEED), GM_TD_SYNC);
	before = gm_td_leaves();

	gm_set_ok(&s.f, frame + page, GM_PAGE, false);
	gm_td_assert_leaves(&before, 0, 0, 1, 1, 0);
	gm_assert_eq(gm_td_stat(s.td, "pages_2m") - s.base_2m, 3);
	gm_assert_eq(gm_td_stat(s.td, "pages_4k") - s.base_4k, 511);
	gm_td_assert_ledger(&s);
	gm_td_assert_others(&s, SEED, frame, frame + page);

	/* The host writes, the guest reads it where it is shared, and back. */
	word = (u64 *)(s.mem + frame + page);
	WRITE_ONCE(*word, gm_td_word(gpa, SEED + 1));
	gm_assert_eq(gm_td_check(s.td, 0, GM_TD_ALIAS + gpa, 8, 8, SEED + 1), GM_TD_SYNC);
	gm_td_assert_good(s.td, 0);
	gm_assert_eq(gm_td_store(s.td, 0, GM_TD_ALIAS + gpa, GM_PAGE, 8, SEED + 2), GM_TD_SYNC);
	gm_assert_eq(READ_ONCE(*word), gm_td_word(gpa, SEED + 2));

	/* Private again it is new to the guest. The mapping stays in parts. */
	gm_set_ok(&s.f, frame + page, GM_PAGE, true);
	gm_td_accept_ok(s.td, 0, gpa, GM_TD_4K, 1);
	gm_assert_eq(gm_td_check(s.td, 0, gpa, GM_PAGE, 8, 0), GM_TD_SYNC);
	gm_td_assert_good(s.td, 0);
	gm_td_assert_others(&s, SEED, frame, frame + page);
	gm_td_assert_leaves(&before, 1, 0, 1, 1, 0);

	/* The second time there is nothing to split. */
	gm_set_ok(&s.f, frame + page, GM_PAGE, false);
	gm_td_assert_leaves(&before, 1, 0, 1, 2, 0);
	gm_td_assert_others(&s, SEED, frame, frame + page);
	gm_td_assert_ledger(&s);
	gm_td_scene_close(&s);
}

static void share_first(void) { share_at(0); }
static void share_middle(void) { share_at(GM_2M / 2 + GM_PAGE); }
static void share_last(void) { share_at(GM_2M - GM_PAGE); }

/* A whole 2 MiB needs no split. */
static void share_2m(void)
{
	struct gm_td_scene s = gm_td_scene_open(1, 2 * GM_2M, 0);
	struct gm_td_leaves before;

	gm_td_accept_ok(s.td, 0, GM_GPA, GM_TD_2M, 2);
	gm_assert_eq(gm_td_store(s.td, 0, GM_GPA, 2 * GM_2M, 8, SEED), GM_TD_SYNC);
	before = gm_td_leaves();
	gm_set_ok(&s.f, 0, GM_2M, false);
	gm_td_assert_leaves(&before, 0, 0, 0, 0, 1);
	gm_set_ok(&s.f, 0, GM_2M, true);
	gm_td_accept_ok(s.td, 0, GM_GPA, GM_TD_2M, 1);
	gm_td_assert_leaves(&before, 0, 1, 0, 0, 1);
	gm_assert_eq(gm_td_check(s.td, 0, GM_GPA + GM_2M, GM_2M, 8, SEED), GM_TD_SYNC);
	gm_td_assert_good(s.td, 0);
	gm_td_assert_ledger(&s);
	gm_td_scene_close(&s);
}

/* A hole over parts of two frames: both are split, and zero only where it is. */
static void punch_across(void)
{
	const u64 from = GM_2M - 3 * GM_PAGE, len = 5 * GM_PAGE;
	struct gm_td_scene s = gm_td_scene_open(1, 3 * GM_2M, 0);
	struct gm_td_leaves before;
	u64 left, rax;

	gm_td_accept_ok(s.td, 0, GM_GPA, GM_TD_2M, 3);
	gm_assert_eq(gm_td_store(s.td, 0, GM_GPA, 3 * GM_2M, 8, SEED), GM_TD_SYNC);
	before = gm_td_leaves();
	gm_assert_ok(gm_punch(&s.f, from, len));
	gm_td_assert_leaves(&before, 0, 0, 2, 5, 0);
	gm_assert_eq(gm_td_check(s.td, 0, GM_GPA, from, 8, SEED), GM_TD_SYNC);
	gm_td_assert_good(s.td, 0);
	gm_assert_eq(gm_td_check(s.td, 0, GM_GPA + from + len, 3 * GM_2M - from - len, 8, SEED),
		     GM_TD_SYNC);
	gm_td_assert_good(s.td, 0);

	/* No way back to 2 MiB. */
	gm_assert_eq(gm_td_accept(s.td, 0, GM_GPA, GM_TD_2M, 1, &left, &rax), GM_TD_SYNC);
	gm_assert_eq(rax >> 32, GM_TD_MISMATCH);
	gm_td_accept_ok(s.td, 0, GM_GPA + from, GM_TD_4K, 5);
	gm_assert_eq(gm_td_check(s.td, 0, GM_GPA + from, len, 8, 0), GM_TD_SYNC);
	gm_td_assert_good(s.td, 0);
	gm_td_assert_leaves(&before, 5, 0, 2, 5, 0);
	gm_td_assert_ledger(&s);
	gm_td_scene_close(&s);
}

/* The guest accepts 4 KiB: nothing is mapped yet, or 2 MiB are. */
static void accept_4k(void)
{
	struct gm_td_scene s = gm_td_scene_open(1, 2 * GM_2M, 0);
	struct kvm_pre_fault_memory range = { .gpa = GM_GPA, .size = GM_2M };
	struct gm_td_leaves before = gm_td_leaves();

	gm_assert_ok(__vcpu_ioctl(s.td->vcpu[0], KVM_PRE_FAULT_MEMORY, &range));
	gm_assert_eq(range.size, 0);
	gm_td_assert_leaves(&before, 0, 1, 0, 0, 0);
	gm_assert_eq(gm_td_pages("pending"), 512);

	gm_td_accept_ok(s.td, 0, GM_GPA + 7 * GM_PAGE, GM_TD_4K, 2);
	gm_td_assert_leaves(&before, 0, 1, 1, 0, 0);
	gm_assert_eq(gm_td_pages("pending"), 510);

	gm_td_accept_ok(s.td, 0, GM_GPA + GM_2M + 7 * GM_PAGE, GM_TD_4K, 2);
	gm_td_assert_leaves(&before, 2, 1, 1, 0, 0);
	gm_assert_eq(gm_td_pages("pending"), 510);
	gm_td_assert_ledger(&s);
	gm_td_scene_close(&s);
}

/* A part of 2 MiB that the guest has not accepted is taken away. */
static void share_pending(void)
{
	struct gm_td_scene s = gm_td_scene_open(1, GM_2M, 0);
	struct kvm_pre_fault_memory range = { .gpa = GM_GPA, .size = GM_2M };
	struct gm_td_leaves before = gm_td_leaves();
	u64 left, rax;

	gm_assert_ok(__vcpu_ioctl(s.td->vcpu[0], KVM_PRE_FAULT_MEMORY, &range));
	gm_set_ok(&s.f, GM_PAGE, GM_PAGE, false);
	gm_td_assert_leaves(&before, 0, 1, 1, 1, 0);
	gm_assert_eq(gm_td_pages("pending"), 511);
	gm_assert_eq(gm_td_accept(s.td, 0, GM_GPA, GM_TD_2M, 1, &left, &rax), GM_TD_SYNC);
	gm_assert_eq(rax >> 32, GM_TD_MISMATCH);
	gm_td_accept_ok(s.td, 0, GM_GPA, GM_TD_4K, 1);
	gm_td_accept_ok(s.td, 0, GM_GPA + 2 * GM_PAGE, GM_TD_4K, 510);
	gm_assert_eq(gm_td_pages("pending"), 0);
	gm_td_assert_ledger(&s);
	gm_td_scene_close(&s);
}

/* The guest uses what it has not accepted. */
static void not_accepted(void)
{
	struct gm_td_scene s = gm_td_scene_open(1, GM_2M, 0);
	u64 gpa;

	gm_assert_eq(gm_td_store(s.td, 0, GM_GPA + GM_PAGE, 8, 8, SEED), GM_TD_VE);
	gm_td_clear_ve(s.td, 0, &gpa);
	gm_assert_eq(gpa, GM_GPA + GM_PAGE);
	gm_td_accept_ok(s.td, 0, GM_GPA, GM_TD_2M, 1);
	gm_assert_eq(gm_td_store(s.td, 0, GM_GPA + GM_PAGE, 8, 8, SEED), GM_TD_SYNC);

	/* Where there is no memory at all. */
	gm_assert_eq(gm_td_store(s.td, 0, GM_TD_ALIAS + GM_GPA + GM_1G, 8, 8, SEED), GM_TD_VE);
	gm_td_clear_ve(s.td, 0, &gpa);
	gm_assert_eq(gpa, GM_TD_SHARED + GM_GPA + GM_1G);
	gm_td_scene_close(&s);

	s = gm_td_scene_open(1, GM_2M, GM_TD_VE_DISABLE);
	gm_assert_eq(gm_td_store(s.td, 0, GM_GPA, 8, 8, SEED), -EIO);
	gm_td_scene_close(&s);
}

/* The guest asks for memory to be shared, or just uses it as if it were. */
static void map_gpa(void)
{
	struct gm_td_scene s = gm_td_scene_open(1, 2 * GM_2M, 0);
	struct kvm_run *run = s.td->vcpu[0]->run;

	gm_td_accept_ok(s.td, 0, GM_GPA, GM_TD_2M, 2);
	gm_assert_eq(gm_td_map_gpa(s.td, 0, GM_TD_SHARED + GM_GPA + GM_PAGE, 3 * GM_PAGE),
		     GM_TD_MAP);
	gm_assert_eq(run->hypercall.nr, KVM_HC_MAP_GPA_RANGE);
	gm_assert_eq(run->hypercall.args[0], GM_GPA + GM_PAGE);
	gm_assert_eq(run->hypercall.args[1], 3);
	gm_assert_eq(run->hypercall.args[2], KVM_MAP_GPA_RANGE_DECRYPTED);
	gm_set_ok(&s.f, GM_PAGE, 3 * GM_PAGE, false);
	gm_assert_eq(gm_td_resume(s.td, 0), GM_TD_SYNC);
	gm_assert_eq(s.td->regs[0].rax, 0);
	gm_assert_eq(s.td->regs[0].r10, 0);

	gm_assert_eq(gm_td_map_gpa(s.td, 0, GM_GPA + 1, GM_PAGE), GM_TD_SYNC);
	gm_assert_eq(s.td->regs[0].r10, 0x8000000000000002ULL);
	gm_assert_eq(gm_td_map_gpa(s.td, 0, GM_GPA, 0), GM_TD_SYNC);
	gm_assert_eq(s.td->regs[0].r10, 0x8000000000000000ULL);
	gm_assert_eq(gm_td_map_gpa(s.td, 0, GM_TD_SHARED - GM_PAGE, 2 * GM_PAGE), GM_TD_SYNC);
	gm_assert_eq(s.td->regs[0].r10, 0x8000000000000000ULL);

	gm_assert_eq(gm_td_store(s.td, 0, GM_TD_ALIAS + GM_GPA + GM_2M, 8, 8, SEED),
		     GM_TD_FAULT);
	gm_assert_eq(run->memory_fault.flags, 0);
	gm_assert_eq(run->memory_fault.gpa, GM_GPA + GM_2M);
	gm_set_ok(&s.f, GM_2M, GM_PAGE, false);
	gm_assert_eq(gm_td_resume(s.td, 0), GM_TD_SYNC);
	gm_assert_eq(*(u64 *)(s.mem + GM_2M), gm_td_word(GM_GPA + GM_2M, SEED));

	gm_assert_eq(gm_td_store(s.td, 0, GM_GPA + GM_PAGE, 8, 8, SEED), GM_TD_FAULT);
	gm_assert_eq(run->memory_fault.flags, KVM_MEMORY_EXIT_FLAG_PRIVATE);
	gm_assert_eq(run->memory_fault.gpa, GM_GPA + GM_PAGE);
	gm_td_assert_ledger(&s);
	gm_td_scene_close(&s);
}

/* Beside what was added when the TD was built, in 4 KiB, there are no 2 MiB. */
static void built_4k(void)
{
	struct gm_td *td = gm_td_create(1, 0);
	struct gm_td_leaves before = gm_td_leaves();
	u64 left, rax;

	gm_td_accept_ok(td, 0, GM_2M - GM_PAGE, GM_TD_4K, 1);
	gm_assert_eq(gm_td_accept(td, 0, 0, GM_TD_2M, 1, &left, &rax), GM_TD_SYNC);
	gm_assert_eq(rax >> 32, GM_TD_MISMATCH);
	gm_td_assert_leaves(&before, 1, 0, 0, 0, 0);
	gm_assert_eq(gm_td_stat(td, "pages_2m"), 0);
	gm_td_free(td);
}

/* A slot that goes, and a TD that does, with all kinds of mappings. */
static void delete_slot(void)
{
	struct gm_td_scene s = gm_td_scene_open(1, 4 * GM_2M, 0);
	struct kvm_pre_fault_memory range = { .gpa = GM_GPA + 3 * GM_2M, .size = GM_2M };
	struct gm_td_leaves before = gm_td_leaves();
	int i;

	for (i = 0; i < 2; i++) {
		gm_td_accept_ok(s.td, 0, GM_GPA, GM_TD_2M, 2);
		gm_td_accept_ok(s.td, 0, GM_GPA + 2 * GM_2M, GM_TD_4K, 4);
		range = (struct kvm_pre_fault_memory) {
			.gpa = GM_GPA + 3 * GM_2M, .size = GM_2M,
		};
		gm_assert_ok(__vcpu_ioctl(s.td->vcpu[0], KVM_PRE_FAULT_MEMORY, &range));
		gm_td_assert_ledger(&s);
		if (i)
			break;
		vm_set_user_memory_region2(s.td->vm, s.slot, KVM_MEM_GUEST_MEMFD, GM_GPA, 0,
					   NULL, -1, 0);
		gm_td_assert_leaves(&before, 4, 3, 0, 4, 3);
		gm_td_assert_ledger(&s);
		s.slot = gm_td_attach(s.td, &s.f, GM_GPA);
	}
	gm_td_scene_close(&s);
}

/* Two slots of one file that do not agree with its blocks. */
static void misaligned(void)
{
	struct gm_td *td = gm_td_create(1, 0);
	struct gm_file f = gm_create_from(td->vm, &gm_sources[GM_SRC_THP_2M], 4 * GM_2M, GM_MMAP);
	struct gm_td_leaves before = gm_td_leaves();

	gm_td_slot(td, &f, GM_GPA, GM_PAGE, 2 * GM_2M - GM_PAGE);
	gm_td_slot(td, &f, GM_GPA + GM_1G + GM_2M, 2 * GM_2M, 2 * GM_2M - GM_PAGE);
	gm_td_accept_ok(td, 0, GM_GPA, GM_TD_4K, 3);
	gm_td_assert_leaves(&before, 3, 0, 0, 0, 0);
	gm_td_accept_ok(td, 0, GM_GPA + GM_1G + GM_2M, GM_TD_2M, 1);
	gm_td_accept_ok(td, 0, GM_GPA + GM_1G + 2 * GM_2M, GM_TD_4K, 511);
	gm_td_assert_leaves(&before, 3 + 511, 1, 0, 0, 0);
	gm_close(&f);
	gm_td_free(td);
}

/* As 7.3 has it: the VM says what is private, and shared memory is elsewhere. */
static void vm_attributes(void)
{
	struct gm_td *td = gm_td_create(1, 0);
	struct gm_file f = gm_create_from(td->vm, &gm_sources[GM_SRC_THP_2M], 2 * GM_2M, 0);
	struct gm_td_leaves before = gm_td_leaves();
	void *hva = kvm_mmap(f.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	vm_set_user_memory_region2(td->vm, td->next_slot++, KVM_MEM_GUEST_MEMFD, GM_GPA, f.size,
				   hva, f.fd, 0);
	vm_mem_set_private(td->vm, GM_GPA, f.size);
	gm_td_accept_ok(td, 0, GM_GPA + 3 * GM_PAGE, GM_TD_4K, 3);
	gm_td_assert_leaves(&before, 3, 0, 0, 0, 0);
	gm_assert_eq(gm_td_store(td, 0, GM_GPA + 3 * GM_PAGE, 3 * GM_PAGE, 8, SEED), GM_TD_SYNC);
	vm_mem_set_shared(td->vm, GM_GPA + 4 * GM_PAGE, GM_PAGE);
	gm_td_assert_leaves(&before, 3, 0, 0, 1, 0);
	gm_assert_eq(gm_td_store(td, 0, GM_TD_ALIAS + GM_GPA + 4 * GM_PAGE, GM_PAGE, 8, SEED),
		     GM_TD_SYNC);
	gm_assert_eq(*(u64 *)(hva + 4 * GM_PAGE), gm_td_word(GM_GPA + 4 * GM_PAGE, SEED));
	gm_assert_eq(gm_td_check(td, 0, GM_GPA + 3 * GM_PAGE, GM_PAGE, 8, SEED), GM_TD_SYNC);
	gm_td_assert_good(td, 0);
	kvm_munmap(hva, f.size);
	gm_close(&f);
	gm_td_free(td);
}

/* An older module, which is interrupted. */
static void restart(void)
{
	struct gm_td_scene s = gm_td_scene_open(1, GM_2M, 0);
	long injected = gm_td_injected();

	gm_td_accept_ok(s.td, 0, GM_GPA, GM_TD_2M, 1);
	gm_assert_eq(gm_td_store(s.td, 0, GM_GPA, GM_2M, 8, SEED), GM_TD_SYNC);
	gm_td_inject("demote_restart", "3");
	gm_set_ok(&s.f, 5 * GM_PAGE, GM_PAGE, false);
	gm_assert_eq(gm_td_injected() - injected, 3);
	gm_td_assert_others(&s, SEED, 0, 5 * GM_PAGE);
	gm_td_assert_ledger(&s);
	gm_td_scene_close(&s);
}

/* What the issue asks for: three counters that say the same of 1 GiB. */
static void gigabyte(void)
{
	const u64 page = 300 * GM_2M + 17 * GM_PAGE;
	struct gm_td_scene s = gm_td_scene_open(1, GM_1G, 0);
	struct gm_td_leaves before = gm_td_leaves();

	gm_td_accept_ok(s.td, 0, GM_GPA, GM_TD_2M, 512);
	gm_td_assert_leaves(&before, 0, 512, 0, 0, 0);
	gm_assert_eq(gm_td_stat(s.td, "pages_2m") - s.base_2m, 512);
	gm_assert_eq(gm_td_stat(s.td, "pages_4k") - s.base_4k, 0);
	gm_assert_eq(gm_td_pages("pamt_2m"), 512 * 512);
	gm_assert_eq(gm_td_store(s.td, 0, GM_GPA, GM_1G, GM_PAGE, SEED), GM_TD_SYNC);

	gm_set_ok(&s.f, page, GM_PAGE, false);
	gm_td_assert_leaves(&before, 0, 512, 1, 1, 0);
	gm_assert_eq(gm_td_stat(s.td, "pages_2m") - s.base_2m, 511);
	gm_assert_eq(gm_td_pages("pamt_2m"), 511 * 512);
	gm_assert_eq(gm_td_check(s.td, 0, GM_GPA, page, GM_PAGE, SEED), GM_TD_SYNC);
	gm_td_assert_good(s.td, 0);
	gm_assert_eq(gm_td_check(s.td, 0, GM_GPA + page + GM_PAGE, GM_1G - page - GM_PAGE,
				 GM_PAGE, SEED), GM_TD_SYNC);
	gm_td_assert_good(s.td, 0);
	gm_td_assert_leaves(&before, 0, 512, 1, 1, 0);
	gm_td_assert_ledger(&s);
	gm_td_scene_close(&s);
}

static const struct gm_case cases[] = {
	{ "uninitialized", uninitialized },
	{ "flags", flags },
	{ "accept_2m", accept_2m },
	{ "accept_4k", accept_4k },
	{ "share_first", share_first },
	{ "share_middle", share_middle },
	{ "share_last", share_last },
	{ "share_2m", share_2m },
	{ "share_pending", share_pending },
	{ "punch_across", punch_across },
	{ "not_accepted", not_accepted },
	{ "map_gpa", map_gpa },
	{ "built_4k", built_4k },
	{ "delete_slot", delete_slot },
	{ "misaligned", misaligned },
	{ "vm_attributes", vm_attributes },
	{ "restart", restart },
	{ "gigabyte", gigabyte, .seconds = 120 },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 0);
}
