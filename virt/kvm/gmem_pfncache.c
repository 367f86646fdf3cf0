// SPDX-License-Identifier: GPL-2.0-only
/*
 * Caches of page frames (pfncache.c) of memory that belongs to a guest_memfd
 *
 * The frame comes from the file, without a reference. The file takes it away: by
 * the sequence that page faults are checked with before it is cached, and by
 * invalidation of the cache afterwards.
 */
#include <linux/gmem.h>
#include <linux/kvm_host.h>
#include <linux/vmalloc.h>

/**
 * kvm_gmem_follow_pfn - the pfn for a cache of one, if the file has it
 * @kvm: the VM
 * @slot: the cache's memslot; may be NULL
 * @gfn: within the slot
 * @pfn: result, an error pfn if it cannot be had
 *
 * Context: process context, srcu held; may sleep.
 * Return: false if the memory is at userspace_addr.
 */
bool kvm_gmem_follow_pfn(struct kvm *kvm, const struct kvm_memory_slot *slot,
			 gfn_t gfn, kvm_pfn_t *pfn)
{
	struct kvm_memory_slot *s = (struct kvm_memory_slot *)slot;
	struct page *page;
	int r;

	if (!kvm_slot_has_gmem(slot))
		return false;

	r = kvm_gmem_check(kvm, s, gfn);
	if (r == -ENXIO)
		return false;

	if (!r)
		r = kvm_gmem_get_pfn(kvm, s, gfn, pfn, &page, NULL);
	if (r)
		*pfn = KVM_PFN_ERR_FAULT;
	return true;
}

/**
 * kvm_gmem_retry_cache - may a pfn be outdated by the time it is to be cached?
 * @kvm: the VM
 * @slot: the cache's memslot; may be NULL
 * @mmu_seq: mmu_invalidate_seq from before the pfn was looked up
 *
 * A retry window that opens later finds the cache: it is looked for under the
 * lock that the caller holds. See kvm_gmem_invalidate_caches().
 *
 * Context: lock of the cache held for write.
 */
bool kvm_gmem_retry_cache(struct kvm *kvm, const struct kvm_memory_slot *slot,
			  unsigned long mmu_seq)
{
	if (!kvm_slot_has_gmem(slot))
		return false;

	if (READ_ONCE(kvm->mmu_invalidate_in_progress))
		return true;
	/* Pairs with the smp_wmb() in kvm_mmu_invalidate_end(). */
	smp_rmb();
	return READ_ONCE(kvm->mmu_invalidate_seq) != mmu_seq;
}

/**
 * kvm_gmem_map_cache - map a page frame for a cache, if the kernel does not
 * @pfn: page frame of a cache, of a file or not
 * @khva: result; NULL if there is no memory for the mapping
 *
 * Context: process context; may sleep.
 * Return: false if the direct map has it, or if it has no struct page.
 */
bool kvm_gmem_map_cache(kvm_pfn_t pfn, void **khva)
{
	struct page *page;

	if (!pfn_valid(pfn) || !gmem_pfn_is_hidden(pfn))
		return false;

	page = pfn_to_page(pfn);
	*khva = vmap(&page, 1, VM_MAP, PAGE_KERNEL);
	return true;
}

/**
 * kvm_gmem_unmap_cache - undo kvm_gmem_map_cache()
 * @pfn: page frame
 * @khva: its address
 *
 * Context: process context; may sleep.
 * Return: false if it is to be unmapped in another way.
 */
bool kvm_gmem_unmap_cache(kvm_pfn_t pfn, void *khva)
{
	if (!pfn_valid(pfn) || !is_vmalloc_addr(khva))
		return false;

	vunmap(khva);
	return true;
}

/**
 * kvm_gmem_keep_map - does the mapping of a page frame still do?
 * @pfn: page frame that is to be cached again
 * @khva: where it was mapped
 *
 * Meanwhile it may have become another's memory, which is in the direct map, or
 * is not.
 */
bool kvm_gmem_keep_map(kvm_pfn_t pfn, void *khva)
{
	return !pfn_valid(pfn) || is_vmalloc_addr(khva) == gmem_pfn_is_hidden(pfn);
}

/**
 * kvm_gmem_invalidate_caches - take memory away from caches of page frames
 * @kvm: the VM
 * @start: first gfn
 * @end: gfn behind the last one
 *
 * Context: a retry window over the range is open, or its slot is gone.
 */
void kvm_gmem_invalidate_caches(struct kvm *kvm, gfn_t start, gfn_t end)
{
	struct gfn_to_pfn_cache *gpc;

	spin_lock(&kvm->gpc_lock);
	list_for_each_entry(gpc, &kvm->gpc_list, list) {
		write_lock_irq(&gpc->lock);
		if (gpc->valid && !kvm_is_error_gpa(gpc->gpa) &&
		    gpa_to_gfn(gpc->gpa) >= start && gpa_to_gfn(gpc->gpa) < end)
			gpc->valid = false;
		write_unlock_irq(&gpc->lock);
	}
	spin_unlock(&kvm->gpc_lock);
}
