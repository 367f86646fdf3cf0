// SPDX-License-Identifier: GPL-2.0-only
/*
 * Rules of private memory that no TDX module sees broken
 *
 * A module knows nothing of KVM's locks and windows, nor how much of a mapping
 * was to go. What KVM does is checked here, before a SEAMCALL is made of it; who
 * breaks a rule is stopped, and the VM is dead. A software module counts it.
 */
#include <linux/kvm_host.h>
#include <asm/tdx_soft.h>

#include "mmu.h"
#include "tdx_mem.h"

/* A test that breaks a rule is told, and that is all. */
static bool tdx_mem_keeps(struct kvm *kvm, bool kept, enum tdx_rule rule, gfn_t gfn)
{
	if (likely(kept))
		return true;

	tdx_rule_broken(rule, gfn_to_gpa(gfn));
	KVM_BUG_ON(!tdx_mem_does_wrong(), kvm);
	return false;
}

/**
 * tdx_mem_may_zap - whether nothing goes that was not to go
 * @kvm: the VM
 * @gfn: first one of a mapping that is there
 * @level: of the mapping
 * @start: first one that is to go
 * @end: one behind the last
 *
 * What a mapping has outside of the range would be lost to the guest.
 *
 * Context: mmu_lock held for write.
 * Return: false if the mapping must not be zapped.
 */
bool tdx_mem_may_zap(struct kvm *kvm, gfn_t gfn, int level, gfn_t start, gfn_t end)
{
	return tdx_mem_keeps(kvm, gfn >= start && gfn + KVM_PAGES_PER_HPAGE(level) <= end,
			     TDX_RULE_ZAP_EXACT, gfn);
}

/* Nobody maps any of it now. */
static bool tdx_mem_in_window(struct kvm *kvm, gfn_t gfn, int level)
{
	return kvm->mmu_invalidate_in_progress &&
	       gfn >= kvm->mmu_invalidate_range_start &&
	       gfn + KVM_PAGES_PER_HPAGE(level) <= kvm->mmu_invalidate_range_end;
}

/* Nobody maps it in 2 MiB ever again. */
static bool tdx_mem_is_limited(struct kvm *kvm, gfn_t gfn)
{
	struct kvm_memory_slot *slot = gfn_to_memslot(kvm, gfn);

	return slot && tdx_mem_lpage_info(slot, gfn)->disallow_lpage & TDX_LPAGE_GUEST_LIMIT;
}

/**
 * tdx_mem_may_split - whether what is split now stays so
 * @kvm: the VM
 * @gfn: first one of a mapping of 2 MiB
 *
 * Mappings are added with mmu_lock held for read, so one that is split has to be
 * alone. And a vCPU that found out before how large its mapping may be must not
 * put it back: either its fault is to be tried again, or the guest has asked for
 * less.
 *
 * Context: mmu_lock held; srcu held if no retry window is open around it.
 * Return: false if the mapping must not be split.
 */
bool tdx_mem_may_split(struct kvm *kvm, gfn_t gfn)
{
	return tdx_mem_keeps(kvm, lockdep_is_held_type(&kvm->mmu_lock, 0),
			     TDX_RULE_SPLIT_LOCK, gfn) &&
	       tdx_mem_keeps(kvm, tdx_mem_in_window(kvm, gfn, PG_LEVEL_2M) ||
			     tdx_mem_is_limited(kvm, gfn),
			     TDX_RULE_SPLIT_WINDOW, gfn);
}
