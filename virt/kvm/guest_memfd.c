// SPDX-License-Identifier: GPL-2.0-only
/*
 * guest_memfd: KVM's view of gmem
 *
 * The memory belongs to mm/gmem. A file is one VM's view of an inode: it knows
 * which memslot maps which range, turns invalidations of the range into those
 * of guest mappings, and hands out page frames that nobody takes a reference
 * of. A frame is good only as long as mmu_invalidate_seq says so.
 *
 * Locks: slots_lock, then invalidate_lock of the file, then mmu_lock. Bindings
 * change under the first two and are stable under invalidate_lock in any mode.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/gmem.h>
#include <linux/kvm_host.h>
#include <linux/nospec.h>
#include <linux/pagemap.h>
#include <linux/xarray.h>

#include "gmem_attributes.h"
#include "kvm_mm.h"
#include "guest_memfd.h"

/**
 * struct kvm_gmem_view - one VM's use of an inode
 * @view: what mm/gmem knows of it
 * @kvm: reference held until release
 * @bindings: memslot by index
 * @hint: the memslot that was last looked for, or NULL
 * @open: between prepare() and invalidate_end() of a range that is bound
 *
 * The last two are protected by invalidate_lock held exclusively.
 */
struct kvm_gmem_view {
	struct gmem_view view;
	struct kvm *kvm;
	struct xarray bindings;
	struct kvm_memory_slot *hint;
	bool open;
};

static struct kvm_gmem_view *to_kvm_gmem_view(struct gmem_view *view)
{
	return container_of(view, struct kvm_gmem_view, view);
}

static struct kvm_gmem_view *kvm_gmem_file_view(struct file *file)
{
	return to_kvm_gmem_view(file->private_data);
}

/* The guest chooses gfns: none may lead outside of the slot, not even by speculation. */
pgoff_t kvm_gmem_index(const struct kvm_memory_slot *slot, gfn_t gfn)
{
	return array_index_nospec(gfn - slot->base_gfn, slot->npages) +
	       slot->gmem.pgoff;
}

/* The index behind the last one that a memslot maps. */
static pgoff_t kvm_gmem_slot_end(const struct kvm_memory_slot *slot)
{
	return slot->gmem.pgoff + slot->npages;
}

/*
 * The next memslot bound within a range, or the first if @prev is NULL. A slot
 * takes several entries unless its range happens to be aligned.
 */
static struct kvm_memory_slot *kvm_gmem_next_slot(struct kvm_gmem_view *v,
						  struct kvm_memory_slot *prev,
						  unsigned long *index,
						  unsigned long last)
{
	struct kvm_memory_slot *slot;

	if (!prev)
		return xa_find(&v->bindings, index, last, XA_PRESENT);

	do {
		slot = xa_find_after(&v->bindings, index, last, XA_PRESENT);
	} while (slot == prev);

	return slot;
}

/* The same for the first one, by those who take ranges away. */
static struct kvm_memory_slot *kvm_gmem_first_slot(struct kvm_gmem_view *v,
						   unsigned long *index,
						   unsigned long last)
{
	struct kvm_memory_slot *slot = v->hint;

	if (!slot || *index < slot->gmem.pgoff || *index >= kvm_gmem_slot_end(slot))
		v->hint = kvm_gmem_next_slot(v, NULL, index, last);
	return v->hint;
}

static void kvm_gmem_gfn_range(struct kvm_memory_slot *slot, pgoff_t start,
			       pgoff_t end, struct kvm_gfn_range *range)
{
	pgoff_t pgoff = slot->gmem.pgoff;

	*range = (struct kvm_gfn_range) {
		.slot		= slot,
		.start		= slot->base_gfn + max(pgoff, start) - pgoff,
		.end		= slot->base_gfn + min(pgoff + slot->npages, end) - pgoff,
		.may_block	= true,
	};
}

/*
 * In a slot with a second source, shared pages are mapped from userspace_addr:
 * none of our business.
 */
static enum kvm_gfn_range_filter kvm_gmem_filter(struct kvm_memory_slot *slot,
						 enum gmem_state state)
{
	enum kvm_gfn_range_filter filter = 0;

	if (state & GMEM_PRIVATE)
		filter |= KVM_FILTER_PRIVATE;
	if ((state & GMEM_SHARED) && kvm_memslot_is_gmem_only(slot))
		filter |= KVM_FILTER_SHARED;
	return filter;
}

/**
 * kvm_arch_gmem_prepare - make it possible to zap a range exactly
 * @kvm: the VM
 * @range: of one memslot, with what is to be zapped of it
 *
 * For an architecture that would lose what a mapping has outside of the range.
 *
 * Context: mmu_lock held for write, let go of and taken again if need be; a
 * retry window is open around the range.
 * Return: 0, or -ENOMEM with no more changed than the size of mappings.
 */
int __weak kvm_arch_gmem_prepare(struct kvm *kvm, const struct kvm_gfn_range *range)
{
	return 0;
}

/*
 * With the window open nothing is mapped that reaches into the range from the
 * outside, so what is split now stays so.
 */
static int kvm_gmem_split(struct kvm_gmem_view *v, const struct gmem_range *r)
{
	unsigned long index = r->start;
	struct kvm_memory_slot *slot;
	struct kvm_gfn_range range;
	int err;

	for (slot = kvm_gmem_first_slot(v, &index, r->end - 1); slot;
	     slot = kvm_gmem_next_slot(v, slot, &index, r->end - 1)) {
		kvm_gmem_gfn_range(slot, r->start, r->end, &range);
		range.attr_filter = kvm_gmem_filter(slot, r->filter);
		err = kvm_arch_gmem_prepare(v->kvm, &range);
		if (err || kvm_gmem_slot_end(slot) >= r->end)
			return err;
	}
	return 0;
}

static int kvm_gmem_prepare(struct gmem_view *view, const struct gmem_range *r)
{
	struct kvm_gmem_view *v = to_kvm_gmem_view(view);
	unsigned long index = r->window_start;
	struct kvm_memory_slot *slot;
	struct kvm_gfn_range range;
	int err;

	for (slot = kvm_gmem_first_slot(v, &index, r->window_end - 1); slot;
	     slot = kvm_gmem_next_slot(v, slot, &index, r->window_end - 1)) {
		if (!v->open) {
			v->open = true;
			KVM_MMU_LOCK(v->kvm);
			kvm_mmu_invalidate_start(v->kvm);
		}
		kvm_gmem_gfn_range(slot, r->window_start, r->window_end, &range);
		kvm_mmu_invalidate_range_add(v->kvm, range.start, range.end);
		if (kvm_gmem_slot_end(slot) >= r->window_end)
			break;
	}
	if (!v->open)
		return 0;

	err = kvm_gmem_split(v, r);
	if (err) {
		v->open = false;
		kvm_mmu_invalidate_end(v->kvm);
	}
	KVM_MMU_UNLOCK(v->kvm);

	return err;
}

static void kvm_gmem_invalidate_begin(struct gmem_view *view,
				      const struct gmem_range *r)
{
	struct kvm_gmem_view *v = to_kvm_gmem_view(view);
	unsigned long index = r->start;
	struct kvm_memory_slot *slot;
	struct kvm_gfn_range range;
	bool locked = false;
	bool flush = false;

	atomic64_inc(&v->kvm->stat.generic.gmem_invalidations);
	if (r->filter != GMEM_ANY)
		atomic64_inc(&v->kvm->stat.generic.gmem_conversions);

	for (slot = kvm_gmem_first_slot(v, &index, r->end - 1); slot;
	     slot = kvm_gmem_next_slot(v, slot, &index, r->end - 1)) {
		if (!locked) {
			locked = true;
			KVM_MMU_LOCK(v->kvm);
		}
		kvm_gmem_gfn_range(slot, r->start, r->end, &range);
		kvm_gmem_invalidate_caches(v->kvm, range.start, range.end);
		range.attr_filter = kvm_gmem_filter(slot, r->filter);
		flush |= kvm_mmu_unmap_gfn_range(v->kvm, &range);
#ifdef CONFIG_HAVE_KVM_ARCH_GMEM_INVALIDATE
		kvm_arch_gmem_invalidate_range(v->kvm, &range);
#endif
		if (kvm_gmem_slot_end(slot) >= r->end)
			break;
	}
	if (flush)
		kvm_flush_remote_tlbs(v->kvm);
	if (locked)
		KVM_MMU_UNLOCK(v->kvm);
}

static void kvm_gmem_invalidate_end(struct gmem_view *view,
				    const struct gmem_range *r)
{
	struct kvm_gmem_view *v = to_kvm_gmem_view(view);

	if (!v->open)
		return;

	v->open = false;
	KVM_MMU_LOCK(v->kvm);
	kvm_mmu_invalidate_end(v->kvm);
	KVM_MMU_UNLOCK(v->kvm);
}

/* A request of user space that was refused because somebody holds a page. */
static void kvm_gmem_count_eagain(struct file *file, long r)
{
	if (r == -EAGAIN)
		atomic64_inc(&kvm_gmem_file_view(file)->kvm->stat.generic.gmem_eagain);
}

static const struct gmem_view_ops kvm_gmem_view_ops = {
	.prepare		= kvm_gmem_prepare,
	.invalidate_begin	= kvm_gmem_invalidate_begin,
	.invalidate_end		= kvm_gmem_invalidate_end,
};

#ifdef CONFIG_HAVE_KVM_ARCH_GMEM_CONVERT
static int kvm_gmem_make_private(struct gmem_view *view, pgoff_t index,
				 unsigned long pfn)
{
	struct kvm_gmem_view *v = to_kvm_gmem_view(view);
	struct kvm_memory_slot *slot = xa_load(&v->bindings, index);

	/* One page, whatever the order: SNP tracks ownership page by page. */
	return kvm_arch_gmem_make_private(v->kvm, slot->base_gfn + index -
					  slot->gmem.pgoff, pfn, 1);
}
#endif

#ifdef CONFIG_HAVE_KVM_ARCH_GMEM_RECLAIM
static void kvm_gmem_make_shared(unsigned long pfn, unsigned long nr_pages)
{
	kvm_arch_gmem_reclaim(pfn, nr_pages);
}
#endif

static struct gmem_owner_ops kvm_gmem_owner_ops = {
#ifdef CONFIG_HAVE_KVM_ARCH_GMEM_CONVERT
	.make_private	= kvm_gmem_make_private,
#endif
#ifdef CONFIG_HAVE_KVM_ARCH_GMEM_RECLAIM
	.make_shared	= kvm_gmem_make_shared,
#endif
};

static int kvm_gmem_release(struct inode *inode, struct file *file)
{
	struct kvm_gmem_view *v = kvm_gmem_file_view(file);
	const struct gmem_range all = {
		.start		= 0,
		.end		= ULONG_MAX,
		.window_start	= 0,
		.window_end	= ULONG_MAX,
		.filter		= GMEM_ANY,
	};
	struct kvm_memory_slot *slot;
	struct kvm *kvm = v->kvm;
	unsigned long index;
	bool bound;

	/*
	 * slots_lock keeps the memslots that are still bound from being freed.
	 * No new ones come: this was the last reference, and a pfn can only be
	 * asked for with a reference.
	 */
	mutex_lock(&kvm->slots_lock);
	filemap_invalidate_lock(inode->i_mapping);

	bound = !xa_empty(&v->bindings);
	kvm_gmem_prepare(&v->view, &all);
	xa_for_each(&v->bindings, index, slot)
		WRITE_ONCE(slot->gmem.file, NULL);
	kvm_gmem_invalidate_begin(&v->view, &all);
	gmem_release_view(inode, &v->view);
	kvm_gmem_invalidate_end(&v->view, &all);

	filemap_invalidate_unlock(inode->i_mapping);
	mutex_unlock(&kvm->slots_lock);

	/* kvm_mem_is_private() may still look into the file. */
	if (bound && gmem_tracks(inode))
		synchronize_srcu_expedited(&kvm->srcu);

	xa_destroy(&v->bindings);
	kfree(v);
	kvm_put_kvm(kvm);

	return 0;
}

static void kvm_gmem_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct kvm_gmem_view *v = kvm_gmem_file_view(file);
	struct kvm_memory_slot *slot = NULL;
	unsigned long index = 0, nr = 0;

	/* Pointers are only compared: the slots may be on their way out. */
	while ((slot = kvm_gmem_next_slot(v, slot, &index, ULONG_MAX)))
		nr++;
	gmem_show_fdinfo(m, file, nr);
}

#ifdef CONFIG_KVM_GENERIC_MEMORY_ATTRIBUTES
static long kvm_gmem_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *argp = (void __user *)arg;
	long r;

	if (cmd != KVM_SET_MEMORY_ATTRIBUTES2 && cmd != KVM_GET_MEMORY_ATTRIBUTES2)
		return -ENOTTY;
	if (!gmem_tracks(file_inode(file)))
		return -ENOTTY;
	if (kvm_gmem_file_view(file)->kvm->vm_dead)
		return -EIO;

	if (cmd == KVM_GET_MEMORY_ATTRIBUTES2)
		return kvm_gmem_get_attributes(file_inode(file), argp);

	r = kvm_gmem_set_attributes(file_inode(file), argp);
	kvm_gmem_count_eagain(file, r);
	return r;
}

/**
 * kvm_mem_is_private - is a gfn private memory?
 * @kvm: the VM
 * @gfn: any
 *
 * The file decides where it tracks attributes, the VM elsewhere.
 *
 * Context: srcu held; takes no lock. Stable as long as the page's mapping is:
 * under mmu_lock with mmu_invalidate_seq checked.
 */
bool kvm_mem_is_private(struct kvm *kvm, gfn_t gfn)
{
	struct kvm_memory_slot *slot = gfn_to_memslot(kvm, gfn);
	struct file *file;

	if (!slot || !(slot->flags & KVM_MEMSLOT_GMEM_TRACK))
		return kvm_get_memory_attributes(kvm, gfn) &
		       KVM_MEMORY_ATTRIBUTE_PRIVATE;

	/* Release waits for srcu readers before the file goes. */
	file = READ_ONCE(slot->gmem.file);
	return !file || gmem_is_private(file_inode(file), kvm_gmem_index(slot, gfn));
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_mem_is_private);
#endif

static long kvm_gmem_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	long r = gmem_fallocate(file, mode, offset, len);

	kvm_gmem_count_eagain(file, r);
	return r;
}

static struct file_operations kvm_gmem_fops = {
#ifdef CONFIG_KVM_GENERIC_MEMORY_ATTRIBUTES
	.unlocked_ioctl	= kvm_gmem_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
#endif
	.open		= generic_file_open,
	.release	= kvm_gmem_release,
	.mmap		= gmem_mmap,
	.fallocate	= kvm_gmem_fallocate,
	.show_fdinfo	= kvm_gmem_show_fdinfo,
};

bool __weak kvm_arch_supports_gmem_init_shared(struct kvm *kvm)
{
	return true;
}

/**
 * kvm_gmem_hide_flags - can memory of a file leave the direct map?
 * @kvm: the VM, or NULL for any
 *
 * Only if the host could read what is private: firmware, and the code that
 * speaks to it, use the direct map.
 *
 * Return: GUEST_MEMFD_FLAG_NO_DIRECT_MAP, or 0.
 */
u64 kvm_gmem_hide_flags(struct kvm *kvm)
{
	if (!IS_ENABLED(CONFIG_GMEM_NO_DIRECT_MAP) ||
	    (kvm && !kvm_arch_gmem_readable(kvm)))
		return 0;
	return GUEST_MEMFD_FLAG_NO_DIRECT_MAP;
}

/*
 * What the flags of KVM_CREATE_GUEST_MEMFD mean to mm/gmem. A VM with private
 * memory maps shared pages from a file that the host can map as well; without
 * MMAP it has another source for them, and all of the file is private.
 */
static int kvm_gmem_parse_flags(struct kvm *kvm, u64 flags,
				struct gmem_create *create)
{
	u64 huge = flags & (GUEST_MEMFD_FLAG_HUGETLB | GUEST_MEMFD_FLAG_HUGEPAGE);
	unsigned int shift = flags >> GUEST_MEMFD_HUGE_SHIFT;

	flags &= ~(huge | (GUEST_MEMFD_HUGE_MASK << GUEST_MEMFD_HUGE_SHIFT));
	if (flags & ~kvm_gmem_get_supported_flags(kvm))
		return -EINVAL;

	if (flags & GUEST_MEMFD_FLAG_MMAP)
		create->flags |= GMEM_MMAP;
	if (kvm_arch_has_private_mem(kvm) && (flags & GUEST_MEMFD_FLAG_MMAP))
		create->flags |= GMEM_TRACK;
	if ((flags & GUEST_MEMFD_FLAG_INIT_SHARED) &&
	    (!kvm_arch_has_private_mem(kvm) || (flags & GUEST_MEMFD_FLAG_MMAP)))
		create->flags |= GMEM_INIT_SHARED;

	if (flags & GUEST_MEMFD_FLAG_NO_DIRECT_MAP)
		create->flags |= GMEM_NO_DIRECT_MAP;

	if (!huge)
		return shift ? -EINVAL : 0;

	if (huge & GUEST_MEMFD_FLAG_HUGETLB)
		create->flags |= GMEM_HUGETLB;
	if (huge & GUEST_MEMFD_FLAG_HUGEPAGE)
		create->flags |= GMEM_HUGEPAGE;

	if (!shift)
		shift = PMD_SHIFT;
	if (shift != PMD_SHIFT && shift != PUD_SHIFT)
		return -EINVAL;
	create->order = shift - PAGE_SHIFT;

	return 0;
}

/**
 * kvm_gmem_huge_caps - which huge files can be created?
 *
 * Return: KVM_GUEST_MEMFD_* for KVM_CAP_GUEST_MEMFD_HUGE.
 */
int kvm_gmem_huge_caps(void)
{
	unsigned int hugetlb = gmem_supported_orders(GMEM_HUGETLB);
	unsigned int hugepage = gmem_supported_orders(GMEM_HUGEPAGE);

	return (hugetlb & BIT(PMD_ORDER) ? KVM_GUEST_MEMFD_HUGETLB_2M : 0) |
	       (hugetlb & BIT(PUD_ORDER) ? KVM_GUEST_MEMFD_HUGETLB_1G : 0) |
	       (hugepage & BIT(PMD_ORDER) ? KVM_GUEST_MEMFD_HUGEPAGE_2M : 0) |
	       (hugepage & BIT(PUD_ORDER) ? KVM_GUEST_MEMFD_HUGEPAGE_1G : 0);
}

int kvm_gmem_create(struct kvm *kvm, struct kvm_create_guest_memfd *args)
{
	struct gmem_create create = {
		.name		= "[kvm-gmem]",
		.size		= args->size,
		.abi_flags	= args->flags,
		.fops		= &kvm_gmem_fops,
		.owner		= &kvm_gmem_owner_ops,
	};
	struct kvm_gmem_view *v;
	struct file *file;
	int fd, r;

	r = kvm_gmem_parse_flags(kvm, args->flags, &create);
	if (r)
		return r;
	if (create.size <= 0 || !IS_ALIGNED(create.size, PAGE_SIZE << create.order))
		return -EINVAL;

	v = kzalloc_obj(*v, GFP_KERNEL_ACCOUNT);
	if (!v)
		return -ENOMEM;

	fd = get_unused_fd_flags(0);
	if (fd < 0) {
		r = fd;
		goto err_view;
	}

	v->view.ops = &kvm_gmem_view_ops;
	xa_init(&v->bindings);
	create.view = &v->view;

	/* The VM comes first: a published view is used without a check. */
	kvm_get_kvm(kvm);
	v->kvm = kvm;

	file = gmem_create_file(&create);
	if (IS_ERR(file)) {
		r = PTR_ERR(file);
		goto err_kvm;
	}

	fd_install(fd, file);
	return fd;

err_kvm:
	kvm_put_kvm(kvm);
	put_unused_fd(fd);
err_view:
	kfree(v);
	return r;
}

int kvm_gmem_prepare_memory_region(struct kvm *kvm, struct kvm_memory_slot *slot,
				   unsigned int fd, uoff_t offset)
{
	uoff_t size = (uoff_t)slot->npages << PAGE_SHIFT;
	struct inode *inode;
	struct file *file;

	BUILD_BUG_ON(sizeof(gpa_t) != sizeof(offset));
	BUILD_BUG_ON(sizeof(gfn_t) != sizeof(slot->gmem.pgoff));

	if (WARN_ON_ONCE(slot->flags & KVM_MEMSLOT_GMEM_ONLY))
		return -EINVAL;

	file = fget(fd);
	if (!file)
		return -EBADF;

	inode = file_inode(file);
	if (file->f_op != &kvm_gmem_fops || kvm_gmem_file_view(file)->kvm != kvm ||
	    !PAGE_ALIGNED(offset) || offset + size > i_size_read(inode)) {
		fput(file);
		return -EINVAL;
	}

	/*
	 * The reference is the caller's, until the slot is bound or given up.
	 * The slot is not visible yet, so nobody sees a file that it is not
	 * bound to.
	 */
	WRITE_ONCE(slot->gmem.file, file);
	slot->gmem.pgoff = offset >> PAGE_SHIFT;
	if (gmem_can_mmap(inode))
		slot->flags |= KVM_MEMSLOT_GMEM_ONLY;
	if (gmem_tracks(inode))
		slot->flags |= KVM_MEMSLOT_GMEM_TRACK;

	return 0;
}

int kvm_gmem_commit_memory_region(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	struct kvm_gmem_view *v = kvm_gmem_file_view(slot->gmem.file);
	struct address_space *mapping = slot->gmem.file->f_mapping;
	unsigned long start = slot->gmem.pgoff;
	unsigned long last = start + slot->npages - 1;
	unsigned long index = start;
	int r;

	lockdep_assert_held(&kvm->slots_lock);

	filemap_invalidate_lock(mapping);
	if (xa_find(&v->bindings, &index, last, XA_PRESENT)) {
		r = -EEXIST;
	} else {
		r = xa_err(xa_store_range(&v->bindings, start, last, slot,
					  GFP_KERNEL));
		if (r)
			xa_store_range(&v->bindings, start, last, NULL, GFP_KERNEL);
	}
	filemap_invalidate_unlock(mapping);

	return r;
}

void kvm_gmem_unbind(struct kvm_memory_slot *slot)
{
	struct file *file = slot->gmem.file;
	unsigned long start = slot->gmem.pgoff;

	/* Closed already: release took the bindings with it. */
	if (!file)
		return;

	/*
	 * The file may be dying, but then its release has yet to take
	 * slots_lock, which we hold: the view is still there, and the binding
	 * has to go before the slot is freed.
	 */
	filemap_invalidate_lock(file->f_mapping);
	xa_store_range(&kvm_gmem_file_view(file)->bindings, start,
		       start + slot->npages - 1, NULL, GFP_KERNEL);
	kvm_gmem_file_view(file)->hint = NULL;
	WRITE_ONCE(slot->gmem.file, NULL);
	kvm_gmem_invalidate_caches(kvm_gmem_file_view(file)->kvm, slot->base_gfn,
				   slot->base_gfn + slot->npages);
	filemap_invalidate_unlock(file->f_mapping);
}

/*
 * The largest order at which the slot lets a guest map what the file has:
 * gfn and index have to agree in their low bits, and the slot has to contain
 * all of the mapping.
 */
static int kvm_gmem_slot_order(const struct kvm_memory_slot *slot, gfn_t gfn,
			       unsigned int order)
{
	static const unsigned int orders[] = { PUD_ORDER, PMD_ORDER };
	pgoff_t skew = slot->base_gfn ^ slot->gmem.pgoff;
	int i;

	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		gfn_t nr = 1ULL << orders[i];
		gfn_t start = round_down(gfn, nr);

		if (order >= orders[i] && !(skew & (nr - 1)) &&
		    start >= slot->base_gfn &&
		    start + nr <= slot->base_gfn + slot->npages)
			return orders[i];
	}
	return 0;
}

/**
 * kvm_gmem_get_pfn_locked - kvm_gmem_get_pfn() for holders of invalidate_lock
 * @file: the slot's, referenced by the caller
 * @slot: memslot with a guest_memfd
 * @gfn: within the slot
 * @make_private: prepare a private page for the guest
 * @out: result
 *
 * Context: process context, srcu or slots_lock held, invalidate_lock of the file
 * held in either mode; may sleep.
 * Return: as kvm_gmem_get_pfn().
 */
int kvm_gmem_get_pfn_locked(struct file *file, struct kvm_memory_slot *slot,
			    gfn_t gfn, bool make_private, struct gmem_pfn *out)
{
	struct kvm_gmem_view *v = kvm_gmem_file_view(file);
	pgoff_t index = kvm_gmem_index(slot, gfn);

	/* The slot was closed or replaced since the caller found it. */
	if (READ_ONCE(slot->gmem.file) != file ||
	    xa_load(&v->bindings, index) != slot)
		return -EFAULT;

	return gmem_get_pfn_locked(file_inode(file),
				   make_private ? &v->view : NULL, index, out);
}

/**
 * kvm_gmem_get_pfn - get the page frame behind a gfn
 * @kvm: the VM
 * @slot: memslot with a guest_memfd
 * @gfn: within the slot
 * @pfn: result
 * @page: set to NULL: there is nothing to put
 * @max_order: largest order it may be mapped at: PUD_ORDER, PMD_ORDER or 0;
 *	may be NULL
 *
 * Context: process context, srcu held; may sleep.
 * Return: 0, -EFAULT if the slot has no file any more, -ENOMEM, -EHWPOISON,
 * -EINTR, or an error of the architecture.
 */
int kvm_gmem_get_pfn(struct kvm *kvm, struct kvm_memory_slot *slot,
		     gfn_t gfn, kvm_pfn_t *pfn, struct page **page,
		     int *max_order)
{
	struct gmem_pfn out;
	int r;

	/* NULL while the file is being closed. */
	struct file *file __free(fput) = get_file_active(&slot->gmem.file);

	if (!file)
		return -EFAULT;

	filemap_invalidate_lock_shared(file->f_mapping);
	r = kvm_gmem_get_pfn_locked(file, slot, gfn, true, &out);
	filemap_invalidate_unlock_shared(file->f_mapping);
	if (r)
		return r;

	atomic64_inc(&kvm->stat.generic.gmem_faults);
	*pfn = out.pfn;
	*page = NULL;
	if (max_order)
		*max_order = kvm_gmem_slot_order(slot, gfn, out.order);
	return 0;
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_gmem_get_pfn);

int kvm_gmem_init(struct module *module)
{
	/*
	 * Not KVM's module but the vendor's: it is the one that make_shared()
	 * needs.
	 */
	kvm_gmem_fops.owner = module;
	kvm_gmem_owner_ops.module = module;
	return 0;
}

void kvm_gmem_exit(void)
{
}
