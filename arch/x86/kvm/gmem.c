// SPDX-License-Identifier: GPL-2.0-only
/*
 * What x86 keeps for a guest in memory that belongs to a guest_memfd
 */
#include <linux/kvm_host.h>
#include <linux/sched.h>
#include <asm/tdx_soft.h>

#include "cpuid.h"
#include "mmu.h"
#include "mmu/mmu_internal.h"
#include "mmu/tdp_mmu.h"
#include "tdx_mem.h"
#include "trace.h"

/* For virt/kvm/gmem_access.c. */
bool kvm_arch_gmem_readable(struct kvm *kvm)
{
	return !kvm_arch_has_private_mem(kvm) ||
	       kvm->arch.vm_type == KVM_X86_SW_PROTECTED_VM || tdx_mem_does_wrong();
}

/* For virt/kvm/gmem_access.c. */
void kvm_arch_gmem_access(unsigned long pfn)
{
	if (tdx_has_replaced_seamcalls())
		tdx_host_access(pfn);
}

#ifdef CONFIG_X86_64
/*
 * Memory of an S-EPT that is unmapped is lost to the guest, so only a whole
 * mapping may be. For virt/kvm/guest_memfd.c.
 */
int kvm_arch_gmem_prepare(struct kvm *kvm, const struct kvm_gfn_range *range)
{
	const gfn_t ends[] = { range->start, range->end };
	int i, r;

	if (!kvm_has_mirrored_tdp(kvm) || !(range->attr_filter & KVM_FILTER_PRIVATE))
		return 0;

	tdx_mem_do_wrong(kvm, TDX_WRONG_WIDE_ZAP, range->start, PG_LEVEL_4K, 0);
	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		if (IS_ALIGNED(ends[i], KVM_PAGES_PER_HPAGE(PG_LEVEL_2M)))
			continue;
		r = kvm_tdp_mmu_split_mirror(kvm, ends[i]);
		if (r)
			return r;
	}
	return 0;
}
#endif

/**
 * kvm_gmem_record_steal_time - record_steal_time() for memory of a file
 * @vcpu: vCPU that is about to run; the slot in its cache has a guest_memfd
 *
 * Context: process context, srcu held; may sleep.
 * Return: 1 if the guest has asked for its TLB to be flushed, 0 if not, -ENXIO if
 * the memory is at userspace_addr.
 */
int kvm_gmem_record_steal_time(struct kvm_vcpu *vcpu)
{
	struct gfn_to_hva_cache *ghc = &vcpu->arch.st.cache;
	struct kvm_gmem_window win;
	struct kvm_steal_time *st;
	u8 preempted;
	u32 version;
	int r;

	r = kvm_gmem_open(vcpu->kvm, ghc->memslot, gpa_to_gfn(ghc->gpa),
			  KVM_GMEM_SLEEP, &win);
	if (r)
		return r == -ENXIO ? r : 0;

	st = win.addr + offset_in_page(ghc->gpa);
	if (guest_pv_has(vcpu, KVM_FEATURE_PV_TLB_FLUSH)) {
		preempted = xchg(&st->preempted, 0);
		trace_kvm_pv_tlb_flush(vcpu->vcpu_id, preempted & KVM_VCPU_FLUSH_TLB);
	} else {
		WRITE_ONCE(st->preempted, 0);
		preempted = 0;
	}
	vcpu->arch.st.preempted = 0;

	/* Odd while it changes; what the guest left there may be odd as well. */
	version = READ_ONCE(st->version);
	version += 1 + (version & 1);
	WRITE_ONCE(st->version, version);
	/* Who finds what comes next finds the version odd, too. */
	smp_wmb();

	WRITE_ONCE(st->steal, READ_ONCE(st->steal) +
		   current->sched_info.run_delay - vcpu->arch.st.last_steal);
	vcpu->arch.st.last_steal = current->sched_info.run_delay;
	/* And even again only once it is all there. */
	smp_wmb();
	WRITE_ONCE(st->version, version + 1);

	kvm_gmem_close(&win);
	return !!(preempted & KVM_VCPU_FLUSH_TLB);
}

/**
 * kvm_gmem_set_preempted - kvm_steal_time_set_preempted() for memory of a file
 * @vcpu: vCPU that loses its processor; the slot in its cache has a guest_memfd
 *
 * If nobody can say just now where the memory is, nothing is written: the guest
 * then takes the vCPU for running, as it does without steal time. That is always
 * so where mmu_lock sleeps: letting go of it may wake up somebody, for which the
 * run queue is locked.
 *
 * Context: under the lock of the run queue, interrupts off; srcu held.
 * Return: false if the memory is at userspace_addr.
 */
bool kvm_gmem_set_preempted(struct kvm_vcpu *vcpu)
{
	struct gfn_to_hva_cache *ghc = &vcpu->arch.st.cache;
	struct kvm_gmem_window win;
	struct kvm_steal_time *st;
	int r;

	if (IS_ENABLED(CONFIG_PREEMPT_RT))
		return true;

	r = kvm_gmem_open(vcpu->kvm, ghc->memslot, gpa_to_gfn(ghc->gpa),
			  KVM_GMEM_TRYLOCK, &win);
	if (r)
		return r != -ENXIO;

	st = win.addr + offset_in_page(ghc->gpa);
	WRITE_ONCE(st->preempted, KVM_VCPU_PREEMPTED);
	vcpu->arch.st.preempted = KVM_VCPU_PREEMPTED;
	kvm_gmem_close(&win);
	return true;
}
