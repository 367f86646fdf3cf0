// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first contents of confidential memory
 *
 * The architecture copies a page into the guest and changes its state, so nobody
 * else may have the file meanwhile.
 */
#include <linux/file.h>
#include <linux/gmem.h>
#include <linux/kvm_host.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>

static int kvm_gmem_populate_one(struct kvm *kvm, struct kvm_memory_slot *slot,
				 struct file *file, gfn_t gfn,
				 struct page *src_page,
				 kvm_gmem_populate_cb post_populate, void *opaque)
{
	struct gmem_pfn out;
	int r;

	/* Exclusive: the architecture changes the state of the page itself. */
	filemap_invalidate_lock(file->f_mapping);
	r = kvm_gmem_get_pfn_locked(file, slot, gfn, false, &out);
	if (!r && !kvm_mem_is_private(kvm, gfn))
		r = -EINVAL;
	if (!r)
		r = post_populate(kvm, gfn, out.pfn, src_page, opaque);
	filemap_invalidate_unlock(file->f_mapping);

	return r;
}

/* The page to copy from, pinned before invalidate_lock is taken. */
static int kvm_gmem_get_source(void __user *src, bool writeback,
			       struct page **page)
{
	int r;

	r = get_user_pages_fast((unsigned long)src, 1,
				writeback ? FOLL_WRITE : 0, page);
	if (r < 0)
		return r;
	return r == 1 ? 0 : -ENOMEM;
}

long kvm_gmem_populate(struct kvm *kvm, gfn_t start_gfn, void __user *src,
		       long npages, bool may_writeback_src,
		       kvm_gmem_populate_cb post_populate, void *opaque)
{
	struct kvm_memory_slot *slot;
	long i;
	int r = 0;

	lockdep_assert_held(&kvm->slots_lock);

	if (WARN_ON_ONCE(npages <= 0 || !PAGE_ALIGNED(src)))
		return -EINVAL;

	slot = gfn_to_memslot(kvm, start_gfn);
	if (!kvm_slot_has_gmem(slot))
		return -EINVAL;

	/* NULL while the file is being closed. */
	struct file *file __free(fput) = get_file_active(&slot->gmem.file);

	if (!file)
		return -EFAULT;

	npages = min_t(ulong, npages, slot->base_gfn + slot->npages - start_gfn);
	for (i = 0; i < npages; i++) {
		struct page *page = NULL;

		if (signal_pending(current)) {
			r = -EINTR;
			break;
		}

		if (src) {
			r = kvm_gmem_get_source(src + i * PAGE_SIZE,
						may_writeback_src, &page);
			if (r)
				break;
		}

		r = kvm_gmem_populate_one(kvm, slot, file, start_gfn + i, page,
					  post_populate, opaque);
		if (page)
			put_page(page);
		if (r)
			break;
	}

	return i ?: r;
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_gmem_populate);
