/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Private memory of TDX guests: the part of a vendor module that is the same
 * for every TDX module. The vendor module creates TDs and runs their vCPUs.
 */
#ifndef __KVM_X86_TDX_MEM_H
#define __KVM_X86_TDX_MEM_H

#include <linux/kvm_host.h>
#include <asm/tdx.h>

struct kvm_mmu_page;

/*
 * Of TDX_FEATURES0: DEMOTE is not interrupted any more. Without it, it may be for
 * ever, and interrupts have to be on for mmu_lock held for write. Modules have it
 * since 1.5.28.
 */
#define TDX_FEATURES0_ENHANCED_DEMOTE_INTERRUPTIBILITY	BIT_ULL(51)

/*
 * In kvm_lpage_info.disallow_lpage, between the count and the flag for mixed
 * attributes of mmu.c: the guest has accepted less than 2 MiB there, and what was
 * mapped for it is split. For good.
 */
#define TDX_LPAGE_GUEST_LIMIT	BIT(30)
#define TDX_LPAGE_GUEST_SPLIT	BIT(29)

/* As the module's OP_STATE. */
enum kvm_tdx_state {
	TD_STATE_UNINITIALIZED = 0,
	TD_STATE_INITIALIZED,
	TD_STATE_RUNNABLE,
};

/**
 * struct kvm_tdx_mem - private memory of one TD
 * @td: control pages, as the tdh_*() wrappers want them
 * @hkid: private key, above 0 from creation until all private memory is gone
 * @huge: mappings of 2 MiB, which the module can split; does not change
 * @state: changes under slots_lock with all vCPUs locked
 * @page_add_src: page whose contents are added, only while one is; protected by
 *	slots_lock
 * @wait_for_sept_zap: keeps vCPUs from entering the TD, since they would take
 *	locks in the module; protected by mmu_lock held for write
 */
struct kvm_tdx_mem {
	struct tdx_td td;
	int hkid;
	bool huge;
	enum kvm_tdx_state state;
	struct page *page_add_src;
	bool wait_for_sept_zap;
};

/* NULL if the VM has no S-EPT. */
static inline struct kvm_tdx_mem *to_tdx_mem(struct kvm *kvm)
{
	return kvm->arch.tdx_mem;
}

/* Of the 2 MiB that a gfn is in. */
static inline struct kvm_lpage_info *
tdx_mem_lpage_info(struct kvm_memory_slot *slot, gfn_t gfn)
{
	return &slot->arch.lpage_info[PG_LEVEL_2M - 2]
				     [gfn_to_index(gfn, slot->base_gfn, PG_LEVEL_2M)];
}

/* For struct kvm_x86_ops. */
int tdx_mem_set_external_spte(struct kvm *kvm, gfn_t gfn, u64 old_spte,
			      u64 new_spte, enum pg_level level);
void tdx_mem_free_external_spt(struct kvm *kvm, struct kvm_mmu_page *sp);
int tdx_mem_max_mapping_level(struct kvm *kvm, kvm_pfn_t pfn, bool is_private);

int tdx_mem_fault(struct kvm_vcpu *vcpu, gpa_t gpa, u64 ext_exit_qual);
int tdx_mem_init_region(struct kvm_vcpu *vcpu, const struct kvm_tdx_cmd *cmd);
int tdx_mem_finalize(struct kvm *kvm, u64 *hw_error);

#ifdef CONFIG_KVM_TDX_MEM
bool tdx_mem_may_zap(struct kvm *kvm, gfn_t gfn, int level, gfn_t start, gfn_t end);
bool tdx_mem_may_split(struct kvm *kvm, gfn_t gfn);
#else
static inline bool tdx_mem_may_zap(struct kvm *kvm, gfn_t gfn, int level,
				   gfn_t start, gfn_t end)
{
	return true;
}
#endif

/**
 * enum tdx_mem_wrong - what a test can have done wrong, in tdx_mem_wrong.c
 * @TDX_WRONG_NO_BLOCK: remove what is not blocked
 * @TDX_WRONG_NO_TRACK: remove what is blocked and not tracked
 * @TDX_WRONG_STILL_MAPPED: write back a page that is mapped
 * @TDX_WRONG_PROMOTE: map 2 MiB where there is a table
 * @TDX_WRONG_PIN: take a reference of a page that is mapped
 * @TDX_WRONG_UNPIN: and let go of it; goes with the one before
 * @TDX_WRONG_WIDE_ZAP: zap 2 MiB for one page
 * @TDX_WRONG_SHARED_SPLIT: split with mmu_lock held for read
 * @TDX_WRONG_OPEN_SPLIT: split where a vCPU may map the same again
 * @TDX_WRONG_GIVE_BACK: let the host have a page that is mapped
 * @TDX_WRONG_HOST_WRITE: write to one
 */
enum tdx_mem_wrong {
	TDX_WRONG_NO_BLOCK,
	TDX_WRONG_NO_TRACK,
	TDX_WRONG_STILL_MAPPED,
	TDX_WRONG_PROMOTE,
	TDX_WRONG_PIN,
	TDX_WRONG_UNPIN,
	TDX_WRONG_WIDE_ZAP,
	TDX_WRONG_SHARED_SPLIT,
	TDX_WRONG_OPEN_SPLIT,
	TDX_WRONG_GIVE_BACK,
	TDX_WRONG_HOST_WRITE,
};

#ifdef CONFIG_KVM_TDX_MEM_WRONG
void tdx_mem_do_wrong(struct kvm *kvm, enum tdx_mem_wrong what, gfn_t gfn,
		      enum pg_level level, kvm_pfn_t pfn);
bool tdx_mem_does_wrong(void);	/* the caller does, on demand */
#else
static inline void tdx_mem_do_wrong(struct kvm *kvm, enum tdx_mem_wrong what, gfn_t gfn,
				    enum pg_level level, kvm_pfn_t pfn)
{
}

static inline bool tdx_mem_does_wrong(void)
{
	return false;
}
#endif

#endif /* __KVM_X86_TDX_MEM_H */
