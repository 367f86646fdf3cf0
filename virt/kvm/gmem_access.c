// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM's own reads and writes of guest memory that belongs to a guest_memfd
 *
 * Slots served only by the file are accessed through it, always: behind
 * userspace_addr may be something else, or nothing. In a slot with a second
 * source the file has the private gfns, and userspace_addr the shared ones.
 *
 * Nobody takes a reference on a page. What keeps the memory in place for the
 * moment of an access, the window, is one of two locks:
 *
 *	mmu_lock	kvm_gmem_prepare() takes it for write before anything is
 *			taken away. Found free of a retry window over the gfn, it
 *			keeps things as they are. Works only for memory that is
 *			there already, and then is all that is needed.
 *	invalidate_lock	of the file, shared. For memory that has to be allocated
 *			first, and while a retry window is open.
 *
 * Nothing that happens while a window is open may sleep or take a lock.
 */
#include <linux/file.h>
#include <linux/gmem.h>
#include <linux/highmem.h>
#include <linux/kvm_host.h>
#include <linux/nospec.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

/**
 * kvm_arch_gmem_readable - do private pages make sense to the host?
 * @kvm: the VM
 *
 * Return: false if they are encrypted, or if reading them is an error.
 */
bool __weak kvm_arch_gmem_readable(struct kvm *kvm)
{
	return !kvm_arch_has_private_mem(kvm);
}

/*
 * Is the gfn the file's, and can it be read at all? Stable as attributes are:
 * under mmu_lock without a retry window; where the file has them, also under
 * invalidate_lock.
 */
static int kvm_gmem_check(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn)
{
	bool readable = kvm_arch_gmem_readable(kvm);
	bool only = kvm_memslot_is_gmem_only(slot);

	if (only && readable)
		return 0;
	if (!kvm_mem_is_private(kvm, gfn))
		return only ? 0 : -ENXIO;
	return readable ? 0 : -EACCES;
}

/* A window under mmu_lock, which the caller holds, on memory that is there. */
static int kvm_gmem_open_present(struct kvm *kvm, struct kvm_memory_slot *slot,
				 gfn_t gfn, struct kvm_gmem_window *win)
{
	unsigned long pfn;
	struct file *file;
	int r;

	if (mmu_invalidate_retry_gfn(kvm, kvm->mmu_invalidate_seq, gfn))
		return -EAGAIN;

	r = kvm_gmem_check(kvm, slot, gfn);
	if (r)
		return r;

	/* Release opens a retry window before it lets go of the inode. */
	file = READ_ONCE(slot->gmem.file);
	if (!file)
		return -EFAULT;

	r = gmem_peek_pfn(file_inode(file), kvm_gmem_index(slot, gfn), &pfn);
	if (r)
		return r;

	win->addr = kmap_local_pfn(pfn);
	return 0;
}

/* A window under invalidate_lock, or -EAGAIN once there is memory. */
static int kvm_gmem_open_absent(struct kvm *kvm, struct kvm_memory_slot *slot,
				gfn_t gfn, struct kvm_gmem_window *win)
{
	struct file *file = get_file_active(&slot->gmem.file);
	struct gmem_pfn out;
	int r;

	if (!file)
		return -EFAULT;

	filemap_invalidate_lock_shared(file->f_mapping);
	r = kvm_gmem_check(kvm, slot, gfn);
	if (!r)
		r = kvm_gmem_get_pfn_locked(file, slot, gfn, false, &out);
	if (!r && kvm_memslot_is_gmem_only(slot)) {
		win->addr = kmap_local_pfn(out.pfn);
		win->file = file;
		return 0;
	}
	filemap_invalidate_unlock_shared(file->f_mapping);
	fput(file);

	return r ?: -EAGAIN;
}

/**
 * kvm_gmem_open - open a window on a page of guest memory
 * @kvm: the VM
 * @slot: memslot with a guest_memfd
 * @gfn: within the slot
 * @mode: what the caller can afford
 * @win: result; to be closed after success only
 *
 * Context: srcu held, and as @mode says. Until kvm_gmem_close() no sleeping, no
 * lock, no other window.
 * Return: 0; -ENXIO if the gfn is shared memory that the slot has at
 * userspace_addr; -EACCES if it is private and the host cannot read it; -EFAULT
 * if the slot has no file any more; -EHWPOISON; -ENOMEM or -EINTR with
 * KVM_GMEM_SLEEP; -EAGAIN or -ENOENT with the other modes if that would have
 * had to wait.
 */
int kvm_gmem_open(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
		  enum kvm_gmem_mode mode, struct kvm_gmem_window *win)
{
	int r;

	win->kvm = NULL;
	win->file = NULL;

	if (mode == KVM_GMEM_MMU_LOCKED)
		return kvm_gmem_open_present(kvm, slot, gfn, win);

	for (;;) {
		if (mode == KVM_GMEM_SLEEP) {
			might_sleep();
			read_lock(&kvm->mmu_lock);
		} else if (!read_trylock(&kvm->mmu_lock)) {
			return -EAGAIN;
		}
		r = kvm_gmem_open_present(kvm, slot, gfn, win);
		if (!r) {
			win->kvm = kvm;
			return 0;
		}
		read_unlock(&kvm->mmu_lock);
		if (mode != KVM_GMEM_SLEEP || (r != -EAGAIN && r != -ENOENT))
			return r;

		r = kvm_gmem_open_absent(kvm, slot, gfn, win);
		if (r != -EAGAIN)
			return r;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_gmem_open);

/**
 * kvm_gmem_close - close a window
 * @win: from kvm_gmem_open()
 */
void kvm_gmem_close(struct kvm_gmem_window *win)
{
	kunmap_local(win->addr);
	if (win->kvm)
		read_unlock(&win->kvm->mmu_lock);
	if (win->file) {
		filemap_invalidate_unlock_shared(win->file->f_mapping);
		fput(win->file);
	}
}
EXPORT_SYMBOL_FOR_KVM_INTERNAL(kvm_gmem_close);

static int kvm_gmem_copy_out(const struct kvm_gmem_window *win, void *data,
			     int offset, int len)
{
	/* Memory that fails right now costs the access, not the host. */
	return copy_mc_to_kernel(data, win->addr + offset, len) ? -EHWPOISON : 0;
}

/**
 * kvm_gmem_read - read from a page of a slot with a guest_memfd
 * @kvm: the VM
 * @slot: memslot with a guest_memfd
 * @gfn: within the slot
 * @data: where to
 * @offset: in the page
 * @len: up to the end of the page
 *
 * Context: process context, srcu held, mmu_lock not held; may sleep.
 * Return: 0, or as kvm_gmem_open().
 */
int kvm_gmem_read(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
		  void *data, int offset, int len)
{
	struct kvm_gmem_window win;
	unsigned long hva;
	int r;

	if (WARN_ON_ONCE(offset + len > PAGE_SIZE))
		return -EFAULT;

	do {
		r = kvm_gmem_open(kvm, slot, gfn, KVM_GMEM_SLEEP, &win);
		if (!r) {
			r = kvm_gmem_copy_out(&win, data, offset, len);
			kvm_gmem_close(&win);
			return r;
		}
		if (r != -ENXIO)
			return r;

		hva = gfn_to_hva_memslot(slot, gfn);
		r = __copy_from_user(data, (void __user *)hva + offset, len);
		/* What became private meanwhile is stale there. */
		smp_rmb();
	} while (kvm_mem_is_private(kvm, gfn));

	return r ? -EFAULT : 0;
}

/**
 * kvm_gmem_read_locked - kvm_gmem_read() for holders of mmu_lock
 * @kvm: the VM
 * @slot: memslot with a guest_memfd
 * @gfn: within the slot
 * @data: where to
 * @offset: in the page
 * @len: up to the end of the page
 *
 * Context: srcu and mmu_lock held, the latter in either mode.
 * Return: 0, or as kvm_gmem_open() with KVM_GMEM_MMU_LOCKED.
 */
int kvm_gmem_read_locked(struct kvm *kvm, struct kvm_memory_slot *slot,
			 gfn_t gfn, void *data, int offset, int len)
{
	struct kvm_gmem_window win;
	unsigned long hva;
	int r;

	if (WARN_ON_ONCE(offset + len > PAGE_SIZE))
		return -EFAULT;

	r = kvm_gmem_open(kvm, slot, gfn, KVM_GMEM_MMU_LOCKED, &win);
	if (!r) {
		r = kvm_gmem_copy_out(&win, data, offset, len);
		kvm_gmem_close(&win);
		return r;
	}
	if (r != -ENXIO)
		return r;

	hva = gfn_to_hva_memslot(slot, gfn);
	pagefault_disable();
	r = __copy_from_user_inatomic(data, (void __user *)hva + offset, len);
	pagefault_enable();

	return r ? -EFAULT : 0;
}

/**
 * kvm_gmem_write - write to a page of a slot with a guest_memfd
 * @kvm: the VM
 * @slot: memslot with a guest_memfd, which logs no dirty pages
 * @gfn: within the slot
 * @data: where from
 * @offset: in the page
 * @len: up to the end of the page
 *
 * Context: process context, srcu held, mmu_lock not held; may sleep.
 * Return: 0, or as kvm_gmem_open().
 */
int kvm_gmem_write(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
		   const void *data, int offset, int len)
{
	struct kvm_gmem_window win;
	unsigned long hva;
	int r;

	if (WARN_ON_ONCE(offset + len > PAGE_SIZE))
		return -EFAULT;

	do {
		r = kvm_gmem_open(kvm, slot, gfn, KVM_GMEM_SLEEP, &win);
		if (!r) {
			memcpy(win.addr + offset, data, len);
			kvm_gmem_close(&win);
			return 0;
		}
		if (r != -ENXIO)
			return r;

		hva = gfn_to_hva_memslot(slot, gfn);
		r = __copy_to_user((void __user *)hva + offset, data, len);
		/* Nobody reads it there any more once it is private. */
		smp_mb();
	} while (kvm_mem_is_private(kvm, gfn));

	return r ? -EFAULT : 0;
}
