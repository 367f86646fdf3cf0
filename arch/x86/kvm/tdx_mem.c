// SPDX-License-Identifier: GPL-2.0-only
/*
 * Private memory of TDX guests
 *
 * KVM keeps a mirror of the secure EPT in the TDP MMU. Each change of the mirror
 * becomes SEAMCALLs here, which a TDX module carries out on the real one. No
 * page is referenced: gmem takes memory away only after the module gave it back.
 *
 * While a TD is built all mappings are of 4 KiB, since that is what
 * TDH.MEM.PAGE.ADD can do; later ones are of 2 MiB where gmem, the guest and the
 * module allow it. A 2 MiB mapping is split before a part of it goes away. There
 * is no way back: an S-EPT page stays until the TD is gone.
 *
 * Sources: Intel TDX Module 1.5 base architecture specification, chapters on
 * physical memory and secure EPT, and the ABI specification for leaves.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitfield.h>
#include <linux/kvm_host.h>
#include <linux/sched/signal.h>
#include <asm/tdx.h>
#include <asm/tdx_mem_errno.h>
#include <asm/tdx_soft.h>

#include "mmu.h"
#include "mmu/mmu_internal.h"
#include "mmu/spte.h"
#include "mmu/tdp_mmu.h"
#include "smm.h"
#include "tdx_mem.h"
#include "vmx/tdx_arch.h"
#include "x86.h"

static u64 tdx_status(u64 err)
{
	return err & TDX_SEAMCALL_STATUS_MASK;
}

/* Says whether a SEAMCALL failed, and if so that KVM or the module has a bug. */
static bool tdx_mem_failed(struct kvm *kvm, const char *leaf, u64 err,
			   u64 entry, u64 state)
{
	if (likely(!err))
		return false;

	if (!kvm->vm_bugged)
		pr_err_ratelimited("%s: 0x%llx, S-EPT entry 0x%llx, state 0x%llx\n",
				   leaf, err, entry, state);
	KVM_BUG_ON(true, kvm);
	return true;
}

/* From here until tdx_mem_admit() no vCPU is in the TD, nor comes in. */
static void tdx_mem_keep_out(struct kvm *kvm)
{
	lockdep_assert_held_write(&kvm->mmu_lock);

	WRITE_ONCE(to_tdx_mem(kvm)->wait_for_sept_zap, true);
	kvm_make_all_cpus_request(kvm, KVM_REQ_OUTSIDE_GUEST_MODE);
}

static void tdx_mem_admit(struct kvm *kvm)
{
	WRITE_ONCE(to_tdx_mem(kvm)->wait_for_sept_zap, false);
}

/*
 * For SEAMCALLs that may not fail: whether to make one once more. mmu_lock keeps
 * KVM's own out; what can be busy is a lock of the module that a vCPU holds inside
 * of the TD, in a TDCALL or on entry. Without vCPUs in there, the second try has
 * to succeed. @alone is false at first.
 */
static bool tdx_mem_again(struct kvm *kvm, u64 err, bool *alone)
{
	if (*alone) {
		tdx_mem_admit(kvm);
		*alone = false;
		return false;
	}
	if (likely(tdx_status(err) != TDX_OPERAND_BUSY))
		return false;

	tdx_mem_keep_out(kvm);
	*alone = true;
	return true;
}

/*
 * After this no vCPU has a translation from before. TRACK starts a new epoch, in
 * which a vCPU flushes when it enters; those inside since before have to leave
 * once. TRACK fails if that is not so for the epoch before, hence all of it
 * under mmu_lock held for write.
 */
static int tdx_mem_track(struct kvm *kvm)
{
	struct kvm_tdx_mem *mem = to_tdx_mem(kvm);
	bool alone = false;
	u64 err;

	lockdep_assert_held_write(&kvm->mmu_lock);

	/* No vCPU has run yet. */
	if (mem->state != TD_STATE_RUNNABLE)
		return 0;

	do {
		err = tdh_mem_track(&mem->td);
	} while (tdx_mem_again(kvm, err, &alone));
	if (tdx_mem_failed(kvm, "TDH.MEM.TRACK", err, 0, 0))
		return -EIO;

	kvm_make_all_cpus_request(kvm, KVM_REQ_OUTSIDE_GUEST_MODE);
	return 0;
}

/*
 * For SEAMCALLs on what is blocked: whether to make one once more, since tracking
 * is not done. It was, so that says that no epoch began; the answer is to track,
 * as it is after any block. Once: two such tracks are a bug of the module.
 * @tracked is false at first.
 */
static bool tdx_mem_track_again(struct kvm *kvm, u64 err, bool *tracked)
{
	if (likely(tdx_status(err) != TDX_TLB_TRACKING_NOT_DONE) || *tracked)
		return false;

	*tracked = true;
	return !tdx_mem_track(kvm);
}

/* What a leaf needs before the guest may lose it, or before it may be split. */
static int tdx_mem_block(struct kvm *kvm, gfn_t gfn, enum pg_level level)
{
	struct kvm_tdx_mem *mem = to_tdx_mem(kvm);
	u64 err, entry, state;
	bool alone = false;

	do {
		err = tdh_mem_range_block(&mem->td, gfn_to_gpa(gfn), level,
					  &entry, &state);
	} while (tdx_mem_again(kvm, err, &alone));
	if (tdx_mem_failed(kvm, "TDH.MEM.RANGE.BLOCK", err, entry, state))
		return -EIO;

	tdx_mem_do_wrong(kvm, TDX_WRONG_NO_TRACK, gfn, level, 0);
	return tdx_mem_track(kvm);
}

static int tdx_mem_add_leaf(struct kvm *kvm, gfn_t gfn, enum pg_level level,
			    kvm_pfn_t pfn)
{
	struct kvm_tdx_mem *mem = to_tdx_mem(kvm);
	gpa_t gpa = gfn_to_gpa(gfn);
	u64 err, entry, state;
	const char *leaf;

	/*
	 * pre_fault_allowed was read before: tdx_mem_finalize() sets it after
	 * the state.
	 */
	smp_rmb();

	if (likely(mem->state == TD_STATE_RUNNABLE)) {
		leaf = "TDH.MEM.PAGE.AUG";
		tdx_mem_do_wrong(kvm, TDX_WRONG_PROMOTE, gfn, level, pfn);
		tdx_mem_do_wrong(kvm, TDX_WRONG_PIN, gfn, level, pfn);
		err = tdh_mem_page_aug(&mem->td, gpa, level, pfn, &entry, &state);
		tdx_mem_do_wrong(kvm, TDX_WRONG_UNPIN, gfn, level, pfn);
		tdx_mem_do_wrong(kvm, TDX_WRONG_SHARED_SPLIT, gfn, level, pfn);
		tdx_mem_do_wrong(kvm, TDX_WRONG_HOST_WRITE, gfn, level, pfn);
	} else {
		lockdep_assert_held(&kvm->slots_lock);
		if (KVM_BUG_ON(!mem->page_add_src || level != PG_LEVEL_4K, kvm))
			return -EIO;

		leaf = "TDH.MEM.PAGE.ADD";
		err = tdh_mem_page_add(&mem->td, gpa, pfn, mem->page_add_src,
				       &entry, &state);
	}

	/* The fault is taken again. */
	if (tdx_status(err) == TDX_OPERAND_BUSY)
		return -EBUSY;

	return tdx_mem_failed(kvm, leaf, err, entry, state) ? -EIO : 0;
}

/* The page that becomes the S-EPT table of the entry, or NULL. */
static struct page *tdx_mem_table(struct kvm *kvm, gfn_t gfn, u64 spte,
				  enum pg_level level)
{
	struct kvm_mmu_page *sp = spte_to_child_sp(spte);

	if (KVM_BUG_ON(!sp->external_spt || sp->role.level + 1 != level ||
		       sp->gfn != gfn, kvm))
		return NULL;
	return virt_to_page(sp->external_spt);
}

static int tdx_mem_add_table(struct kvm *kvm, gfn_t gfn, enum pg_level level,
			     u64 new_spte)
{
	struct page *table = tdx_mem_table(kvm, gfn, new_spte, level);
	struct kvm_tdx_mem *mem = to_tdx_mem(kvm);
	u64 err, entry, state;

	if (!table)
		return -EIO;

	err = tdh_mem_sept_add(&mem->td, gfn_to_gpa(gfn), level, table,
			       &entry, &state);
	if (tdx_status(err) == TDX_OPERAND_BUSY)
		return -EBUSY;

	return tdx_mem_failed(kvm, "TDH.MEM.SEPT.ADD", err, entry, state) ? -EIO : 0;
}

static int tdx_mem_remove_leaf(struct kvm *kvm, gfn_t gfn, enum pg_level level,
			       kvm_pfn_t pfn)
{
	struct kvm_tdx_mem *mem = to_tdx_mem(kvm);
	bool alone = false, tracked = false;
	u64 err, entry, state;
	unsigned long i;

	lockdep_assert_held_write(&kvm->mmu_lock);

	/* The key goes after the last page, and comes before the first. */
	if (KVM_BUG_ON(mem->hkid <= 0, kvm))
		return -EIO;

	tdx_mem_do_wrong(kvm, TDX_WRONG_NO_BLOCK, gfn, level, pfn);
	tdx_mem_do_wrong(kvm, TDX_WRONG_STILL_MAPPED, gfn, level, pfn);
	tdx_mem_do_wrong(kvm, TDX_WRONG_GIVE_BACK, gfn, level, pfn);
	if (tdx_mem_block(kvm, gfn, level))
		return -EIO;

	do {
		err = tdh_mem_page_remove(&mem->td, gfn_to_gpa(gfn), level,
					  &entry, &state);
	} while (tdx_mem_again(kvm, err, &alone) ||
		 tdx_mem_track_again(kvm, err, &tracked));
	if (tdx_mem_failed(kvm, "TDH.MEM.PAGE.REMOVE", err, entry, state))
		return -EIO;

	/* Memory goes back with no line of the private key in a cache. */
	for (i = 0; i < KVM_PAGES_PER_HPAGE(level); i++) {
		err = tdh_phymem_page_wbinvd_hkid(mem->hkid, pfn + i);
		if (tdx_mem_failed(kvm, "TDH.PHYMEM.PAGE.WBINVD", err, 0, 0))
			return -EIO;
	}
	tdx_quirk_reset_paddr(PFN_PHYS(pfn), KVM_HPAGE_SIZE(level));
	return 0;
}

static int tdx_mem_split_leaf(struct kvm *kvm, gfn_t gfn, enum pg_level level,
			      u64 new_spte)
{
	struct page *table = tdx_mem_table(kvm, gfn, new_spte, level);
	struct kvm_tdx_mem *mem = to_tdx_mem(kvm);
	bool alone = false, tracked = false;
	u64 err, entry, state;

	if (!table || !tdx_mem_may_split(kvm, gfn) || tdx_mem_block(kvm, gfn, level))
		return -EIO;

	/* Older modules stop for an interrupt, with nothing done. */
	do {
		err = tdh_mem_page_demote(&mem->td, gfn_to_gpa(gfn), level, table,
					  &entry, &state);
	} while (tdx_mem_again(kvm, err, &alone) ||
		 tdx_mem_track_again(kvm, err, &tracked) ||
		 tdx_status(err) == TDX_INTERRUPTED_RESTARTABLE);

	return tdx_mem_failed(kvm, "TDH.MEM.PAGE.DEMOTE", err, entry, state) ? -EIO : 0;
}

/**
 * tdx_mem_set_external_spte - do to the S-EPT what is done to its mirror
 * @kvm: the VM
 * @gfn: first one that the entry maps
 * @old_spte: entry of the mirror before
 * @new_spte: and after
 * @level: of the entry
 *
 * Entries are added under mmu_lock held for read, where the module may be busy;
 * the mirror then stays as it is. They are split and removed under mmu_lock held
 * for write, and that does not fail but for a bug. Whole tables do not go
 * through here, see tdx_mem_free_external_spt().
 *
 * Context: mmu_lock held; the mirror's entry is frozen or locked.
 * Return: 0, -EBUSY, or -EIO and the VM is dead.
 */
int tdx_mem_set_external_spte(struct kvm *kvm, gfn_t gfn, u64 old_spte,
			      u64 new_spte, enum pg_level level)
{
	bool was_leaf = is_shadow_present_pte(old_spte);
	bool is_present = is_shadow_present_pte(new_spte);

	lockdep_assert_held(&kvm->mmu_lock);

	if (was_leaf && !is_present)
		return tdx_mem_remove_leaf(kvm, gfn, level, spte_to_pfn(old_spte));

	/* The one change of what is present: there are no permissions to change. */
	if (KVM_BUG_ON(!is_present || (was_leaf && is_last_spte(new_spte, level)), kvm))
		return -EIO;

	if (was_leaf)
		return tdx_mem_split_leaf(kvm, gfn, level, new_spte);

	if (!is_last_spte(new_spte, level))
		return tdx_mem_add_table(kvm, gfn, level, new_spte);

	return tdx_mem_add_leaf(kvm, gfn, level, spte_to_pfn(new_spte));
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(tdx_mem_set_external_spte);

/**
 * tdx_mem_free_external_spt - free an S-EPT page
 * @kvm: the VM
 * @sp: its mirror; comes back without external_spt
 *
 * Only when the TD is torn down: before, tables are never removed. A page that
 * the module does not give back is leaked, since nobody else can use it.
 */
void tdx_mem_free_external_spt(struct kvm *kvm, struct kvm_mmu_page *sp)
{
	void *table = sp->external_spt;
	u64 err, type, owner, size;

	sp->external_spt = NULL;
	if (KVM_BUG_ON(to_tdx_mem(kvm)->hkid > 0, kvm))
		return;

	err = tdh_phymem_page_reclaim(virt_to_page(table), &type, &owner, &size);
	if (tdx_mem_failed(kvm, "TDH.PHYMEM.PAGE.RECLAIM", err, type, owner))
		return;

	tdx_quirk_reset_paddr(__pa(table), PAGE_SIZE);
	free_page((unsigned long)table);
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(tdx_mem_free_external_spt);

/**
 * tdx_mem_max_mapping_level - the largest mapping that the S-EPT can have
 * @kvm: the VM
 * @pfn: what is to be mapped
 * @is_private: through the S-EPT
 *
 * Return: a level, or 0 for no limit.
 */
int tdx_mem_max_mapping_level(struct kvm *kvm, kvm_pfn_t pfn, bool is_private)
{
	struct kvm_tdx_mem *mem = to_tdx_mem(kvm);

	if (!is_private)
		return 0;

	return mem->huge && mem->state == TD_STATE_RUNNABLE ? PG_LEVEL_2M : PG_LEVEL_4K;
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(tdx_mem_max_mapping_level);

/*
 * The guest accepts 4 KiB: from now on the 2 MiB around it are mapped so. What
 * is mapped already is split, or the guest would come back for ever.
 */
static int tdx_mem_limit_level(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	struct kvm_memory_slot *slot = kvm_vcpu_gfn_to_memslot(vcpu, gfn);
	struct kvm *kvm = vcpu->kvm;
	struct kvm_lpage_info *info;
	int r;

	if (!slot)
		return 0;

	/* Once it is set there is nothing to split any more. */
	info = tdx_mem_lpage_info(slot, gfn);
	if (READ_ONCE(info->disallow_lpage) & TDX_LPAGE_GUEST_SPLIT)
		return 0;

	guard(write_lock)(&kvm->mmu_lock);
	tdx_mem_do_wrong(kvm, TDX_WRONG_OPEN_SPLIT, gfn, PG_LEVEL_4K, 0);
	info->disallow_lpage |= TDX_LPAGE_GUEST_LIMIT;
	r = kvm_tdp_mmu_split_mirror(kvm, gfn);
	if (!r)
		WRITE_ONCE(info->disallow_lpage,
			   info->disallow_lpage | TDX_LPAGE_GUEST_SPLIT);
	return r;
}

/**
 * tdx_mem_fault - handle an EPT violation at a private address
 * @vcpu: loaded, srcu held
 * @gpa: without the shared bit
 * @ext_exit_qual: extended exit qualification, TDX_EXT_EXIT_QUAL_*
 *
 * Retries here what has to be retried: a module takes a guest that stays at one
 * instruction for zero-stepped, and then takes locks on entry that make others
 * wait.
 *
 * Context: process context, may sleep.
 * Return: as kvm_mmu_page_fault(), or -ENOMEM.
 */
int tdx_mem_fault(struct kvm_vcpu *vcpu, gpa_t gpa, u64 ext_exit_qual)
{
	gfn_t gfn = gpa_to_gfn(gpa);
	struct kvm_memory_slot *slot;
	int r;

	if ((ext_exit_qual & TDX_EXT_EXIT_QUAL_TYPE_MASK) == TDX_EXT_EXIT_QUAL_TYPE_ACCEPT &&
	    !FIELD_GET(TDX_EXT_EXIT_QUAL_REQ_LEVEL, ext_exit_qual)) {
		r = tdx_mem_limit_level(vcpu, gfn);
		if (r)
			return r;
	}

	for (;;) {
		/* Private memory is always writable: no copy on write here. */
		r = kvm_mmu_page_fault(vcpu, gpa, PFERR_WRITE_MASK | PFERR_PRIVATE_ACCESS,
				       NULL, 0);
		if (r != RET_PF_RETRY || kvm_vcpu_has_events(vcpu) ||
		    signal_pending(current))
			return r;

		/* What keeps the fault from being handled may be a request itself. */
		if (kvm_request_pending(vcpu))
			return r;

		/* A slot is not deleted before srcu is let go of. */
		slot = kvm_vcpu_gfn_to_memslot(vcpu, gfn);
		if (slot && slot->flags & KVM_MEMSLOT_INVALID)
			return r;

		cond_resched();
	}
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(tdx_mem_fault);

struct tdx_mem_add {
	struct kvm_vcpu *vcpu;
	bool measure;
};

/* Called by gmem with invalidate_lock held: nobody takes the page away. */
static int tdx_mem_add_page(struct kvm *kvm, gfn_t gfn, kvm_pfn_t pfn,
			    struct page *src, void *opaque)
{
	struct kvm_tdx_mem *mem = to_tdx_mem(kvm);
	struct tdx_mem_add *add = opaque;
	gpa_t gpa = gfn_to_gpa(gfn);
	u64 err, entry, state;
	unsigned int i;
	int r;

	mem->page_add_src = src;
	r = kvm_tdp_mmu_map_private_pfn(add->vcpu, gfn, pfn);
	mem->page_add_src = NULL;
	if (r || !add->measure)
		return r;

	/* The TD is locked in it, which no zap is to find locked, nor it a zap. */
	guard(write_lock)(&kvm->mmu_lock);
	for (i = 0; i < PAGE_SIZE; i += TDX_EXTENDMR_CHUNKSIZE) {
		err = tdh_mr_extend(&mem->td, gpa + i, &entry, &state);
		if (tdx_mem_failed(kvm, "TDH.MR.EXTEND", err, entry, state))
			return -EIO;
	}
	return 0;
}

static bool tdx_mem_valid_region(struct kvm *kvm,
				 const struct kvm_tdx_init_mem_region *region)
{
	u64 size = region->nr_pages << PAGE_SHIFT;

	return region->source_addr && PAGE_ALIGNED(region->source_addr) &&
	       PAGE_ALIGNED(region->gpa) && size &&
	       size >> PAGE_SHIFT == region->nr_pages &&
	       region->gpa + size > region->gpa &&
	       !kvm_is_addr_direct(kvm, region->gpa) &&
	       !kvm_is_addr_direct(kvm, region->gpa + size - 1);
}

/**
 * tdx_mem_init_region - KVM_TDX_INIT_MEM_REGION
 * @vcpu: initialised, loaded; its MMU does the mapping
 * @cmd: what user space asked for
 *
 * The region in user space says afterwards what has not been added.
 *
 * Context: slots_lock held, all vCPUs locked.
 * Return: 0, -EINVAL, -EFAULT, -EINTR, or an error of the mapping.
 */
int tdx_mem_init_region(struct kvm_vcpu *vcpu, const struct kvm_tdx_cmd *cmd)
{
	struct kvm_tdx_init_mem_region __user *uregion = u64_to_user_ptr(cmd->data);
	struct tdx_mem_add add = {
		.vcpu		= vcpu,
		.measure	= cmd->flags & KVM_TDX_MEASURE_MEMORY_REGION,
	};
	struct kvm_tdx_init_mem_region region;
	struct kvm *kvm = vcpu->kvm;
	long r = 0;

	lockdep_assert_held(&kvm->slots_lock);

	/* A vCPU in SMM sees no memslot. */
	if (to_tdx_mem(kvm)->state != TD_STATE_INITIALIZED || is_smm(vcpu) ||
	    cmd->flags & ~KVM_TDX_MEASURE_MEMORY_REGION)
		return -EINVAL;
	if (copy_from_user(&region, uregion, sizeof(region)))
		return -EFAULT;
	if (!tdx_mem_valid_region(kvm, &region))
		return -EINVAL;

	while (region.nr_pages) {
		r = kvm_gmem_populate(kvm, gpa_to_gfn(region.gpa),
				      u64_to_user_ptr(region.source_addr), 1,
				      false, tdx_mem_add_page, &add);
		if (r != 1)
			break;

		region.source_addr += PAGE_SIZE;
		region.gpa += PAGE_SIZE;
		region.nr_pages--;
		cond_resched();
	}

	if (copy_to_user(uregion, &region, sizeof(region)))
		return -EFAULT;
	return r < 0 ? r : 0;
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(tdx_mem_init_region);

/**
 * tdx_mem_finalize - KVM_TDX_FINALIZE_VM: the TD may run
 * @kvm: the VM
 * @hw_error: what the module returned
 *
 * Context: slots_lock held, all vCPUs locked.
 * Return: 0, -EINVAL if it is not being built, -EBUSY, -EIO.
 */
int tdx_mem_finalize(struct kvm *kvm, u64 *hw_error)
{
	struct kvm_tdx_mem *mem = to_tdx_mem(kvm);

	lockdep_assert_held(&kvm->slots_lock);

	if (mem->hkid <= 0 || mem->state != TD_STATE_INITIALIZED)
		return -EINVAL;

	/* As TDH.MR.EXTEND. */
	scoped_guard(write_lock, &kvm->mmu_lock) {
		*hw_error = tdh_mr_finalize(&mem->td);
	}
	if (tdx_status(*hw_error) == TDX_OPERAND_BUSY)
		return -EBUSY;
	if (tdx_mem_failed(kvm, "TDH.MR.FINALIZE", *hw_error, 0, 0))
		return -EIO;

	mem->state = TD_STATE_RUNNABLE;
	/* Pairs with tdx_mem_add_leaf(). */
	smp_wmb();
	kvm->arch.pre_fault_allowed = true;
	return 0;
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(tdx_mem_finalize);
