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

/**
 * kvm_arch_gmem_access - KVM is about to read or write a page of a file
 * @pfn: the page
 *
 * For an architecture that has somebody who would mind.
 *
 * Context: no sleeping.
 */
void __weak kvm_arch_gmem_access(unsigned long pfn)
{
}

/**
 * kvm_gmem_check - is a gfn the file's, and can it be read at all?
 * @kvm: the VM
 * @slot: memslot with a guest_memfd
 * @gfn: within the slot
 *
 * Context: srcu held. Stable as attributes are: under mmu_lock without a retry
 * window; where the file has them, also under invalidate_lock.
 * Return: 0, -ENXIO or -EACCES as kvm_gmem_open().
 */
int kvm_gmem_check(struct kvm *kvm, const struct kvm_memory_slot *slot,
		   gfn_t gfn)
{
	bool readable = kvm_arch_gmem_readable(kvm);
	bool only = kvm_memslot_is_gmem_only(slot);

	if (only && readable)
		return 0;
	if (!kvm_mem_is_private(kvm, gfn))
		return only ? 0 : -ENXIO;
	return readable ? 0 : -EACCES;
}

/**
 * kvm_gmem_serves - is a gfn's memory in a file?
 * @kvm: the VM
 * @slot: its memslot; may be NULL
 * @gfn: within the slot
 *
 * Context: srcu held. Stable as attributes are.
 * Return: false if it is at userspace_addr.
 */
bool kvm_gmem_serves(struct kvm *kvm, const struct kvm_memory_slot *slot, gfn_t gfn)
{
	return kvm_slot_has_gmem(slot) && kvm_gmem_check(kvm, slot, gfn) != -ENXIO;
}

/*
 * Once more where a vCPU has found memory last: under mmu_lock, if the memslots
 * are the same and nothing was taken away since. NULL if not, and for those who
 * access a vCPU's memory on behalf of another one.
 */
static __always_inline void *kvm_gmem_begin_warm(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	const struct kvm_gmem_warm *warm = &vcpu->gmem_warm;
	unsigned long offset = gfn - warm->gfn;
	struct kvm *kvm = vcpu->kvm;
	void *addr = NULL;

	if (offset >= warm->nr || kvm_get_running_vcpu() != vcpu)
		return NULL;

	read_lock(&kvm->mmu_lock);
	if (likely(warm->mmu_seq == kvm->mmu_invalidate_seq &&
		   !kvm->mmu_invalidate_in_progress &&
		   warm->generation == kvm_vcpu_memslots(vcpu)->generation))
		addr = gmem_map_local(warm->inode, warm->pfn +
				      array_index_nospec(offset, warm->nr));
	else
		read_unlock(&kvm->mmu_lock);

	return addr;
}

static __always_inline void kvm_gmem_end_warm(struct kvm_vcpu *vcpu, void *addr)
{
	gmem_unmap_local(addr);
	read_unlock(&vcpu->kvm->mmu_lock);
}

/* Only where no attribute, which is each page's, has a say. */
static void kvm_gmem_warm_up(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot,
			     gfn_t gfn, struct inode *inode, unsigned long pfn,
			     unsigned int order)
{
	struct kvm_memslots *slots = kvm_vcpu_memslots(vcpu);
	pgoff_t index = kvm_gmem_index(slot, gfn);
	pgoff_t start = max(round_down(index, 1UL << order), slot->gmem.pgoff);
	pgoff_t end = min(round_down(index, 1UL << order) + (1UL << order),
			  slot->gmem.pgoff + slot->npages);

	/* The memslots may be newer than the slot. */
	if (kvm_get_running_vcpu() != vcpu || vcpu->kvm->mmu_invalidate_in_progress ||
	    !kvm_memslot_is_gmem_only(slot) || !kvm_arch_gmem_readable(vcpu->kvm) ||
	    __gfn_to_memslot(slots, gfn) != slot)
		return;

	vcpu->gmem_warm = (struct kvm_gmem_warm) {
		.gfn		= gfn - (index - start),
		.nr		= end - start,
		.inode		= inode,
		.pfn		= pfn - (index - start),
		.generation	= slots->generation,
		.mmu_seq	= vcpu->kvm->mmu_invalidate_seq,
	};
}

/* A window under mmu_lock, which the caller holds, on memory that is there. */
static int kvm_gmem_open_present(struct kvm *kvm, struct kvm_vcpu *vcpu,
				 struct kvm_memory_slot *slot, gfn_t gfn,
				 struct kvm_gmem_window *win)
{
	unsigned int order;
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

	r = gmem_peek_pfn(file_inode(file), kvm_gmem_index(slot, gfn), &pfn, &order);
	if (r)
		return r;

	if (vcpu)
		kvm_gmem_warm_up(vcpu, slot, gfn, file_inode(file), pfn, order);
	kvm_arch_gmem_access(pfn);
	win->addr = gmem_map_local(file_inode(file), pfn);
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
		kvm_arch_gmem_access(out.pfn);
		win->addr = gmem_map_local(file_inode(file), out.pfn);
		win->file = file;
		return 0;
	}
	filemap_invalidate_unlock_shared(file->f_mapping);
	fput(file);

	return r ?: -EAGAIN;
}

/* As kvm_gmem_open(), by a vCPU or, if it is NULL, by nobody. */
static int __kvm_gmem_open(struct kvm *kvm, struct kvm_vcpu *vcpu,
			   struct kvm_memory_slot *slot, gfn_t gfn,
			   enum kvm_gmem_mode mode, struct kvm_gmem_window *win)
{
	int r;

	win->kvm = NULL;
	win->file = NULL;

	if (mode == KVM_GMEM_MMU_LOCKED)
		return kvm_gmem_open_present(kvm, vcpu, slot, gfn, win);

	for (;;) {
		if (mode == KVM_GMEM_SLEEP) {
			might_sleep();
			read_lock(&kvm->mmu_lock);
		} else if (!read_trylock(&kvm->mmu_lock)) {
			return -EAGAIN;
		}
		r = kvm_gmem_open_present(kvm, vcpu, slot, gfn, win);
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
	return __kvm_gmem_open(kvm, NULL, slot, gfn, mode, win);
}

/**
 * kvm_gmem_close - close a window
 * @win: from kvm_gmem_open()
 */
void kvm_gmem_close(struct kvm_gmem_window *win)
{
	gmem_unmap_local(win->addr);
	if (win->kvm)
		read_unlock(&win->kvm->mmu_lock);
	if (win->file) {
		filemap_invalidate_unlock_shared(win->file->f_mapping);
		fput(win->file);
	}
}

static int kvm_gmem_copy_out(void *data, const void *addr, int len)
{
	/* Memory that fails right now costs the access, not the host. */
	return copy_mc_to_kernel(data, addr, len) ? -EHWPOISON : 0;
}

enum kvm_gmem_how {
	KVM_GMEM_READ,
	KVM_GMEM_WRITE,
	KVM_GMEM_READ_PTE,	/* at once */
};

/* After a look that memory which fails right now does not survive. */
static int kvm_gmem_copy_pte(void *pte, const void *addr, int size)
{
	if (kvm_gmem_copy_out(pte, addr, size))
		return -EHWPOISON;
	if (size == 4)
		*(u32 *)pte = READ_ONCE(*(u32 *)addr);
	else
		*(u64 *)pte = READ_ONCE(*(u64 *)addr);
	return 0;
}

static __always_inline int kvm_gmem_access_window(void *addr, void *data, int len,
						  enum kvm_gmem_how how)
{
	switch (how) {
	case KVM_GMEM_WRITE:
		memcpy(addr, data, len);
		return 0;
	case KVM_GMEM_READ_PTE:
		return kvm_gmem_copy_pte(data, addr, len);
	default:
		return kvm_gmem_copy_out(data, addr, len);
	}
}

static int kvm_gmem_access_user(unsigned long hva, void *data, int len,
				enum kvm_gmem_how how)
{
	void __user *addr = (void __user *)hva;
	unsigned long r;

	if (how == KVM_GMEM_WRITE)
		r = __copy_to_user(addr, data, len);
	else if (how == KVM_GMEM_READ)
		r = __copy_from_user(data, addr, len);
	else if (len == 4)
		r = get_user(*(u32 *)data, (u32 __user *)addr);
	else
		r = get_user(*(u64 *)data, (u64 __user *)addr);

	return r ? -EFAULT : 0;
}

/* By a vCPU or, if it is NULL, by nobody. */
static int kvm_gmem_access(struct kvm *kvm, struct kvm_vcpu *vcpu,
			   struct kvm_memory_slot *slot, gfn_t gfn, void *data,
			   int offset, int len, enum kvm_gmem_how how)
{
	struct kvm_gmem_window win;
	int r;

	if (WARN_ON_ONCE(offset + len > PAGE_SIZE))
		return -EFAULT;

	do {
		r = __kvm_gmem_open(kvm, vcpu, slot, gfn, KVM_GMEM_SLEEP, &win);
		if (!r) {
			r = kvm_gmem_access_window(win.addr + offset, data, len, how);
			kvm_gmem_close(&win);
			return r;
		}
		if (r != -ENXIO)
			return r;

		r = kvm_gmem_access_user(gfn_to_hva_memslot(slot, gfn) + offset,
					 data, len, how);
		/* Of what became private meanwhile it was stale, or is lost. */
		smp_mb();
	} while (kvm_mem_is_private(kvm, gfn));

	return r;
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
	return kvm_gmem_access(kvm, NULL, slot, gfn, data, offset, len,
			       KVM_GMEM_READ);
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
		r = kvm_gmem_copy_out(data, win.addr + offset, len);
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
	return kvm_gmem_access(kvm, NULL, slot, gfn, (void *)data, offset, len,
			       KVM_GMEM_WRITE);
}

/*
 * What the caller makes of it would be a fault of the guest's, or MMIO: the
 * guest is to blame for neither. See kvm_vcpu_gmem_end_run().
 */
static int kvm_vcpu_gmem_result(struct kvm_vcpu *vcpu,
				struct kvm_memory_slot *slot, gpa_t gpa, int r)
{
	if (unlikely(r < 0) && vcpu->gmem_run) {
		/* A slot that is being deleted has let go of its file. */
		vcpu->gmem_error = slot->flags & KVM_MEMSLOT_INVALID ? -EAGAIN : r;
		vcpu->gmem_gpa = gpa & PAGE_MASK;
	}
	return r;
}

static __always_inline int kvm_vcpu_gmem_access(struct kvm_vcpu *vcpu,
						struct kvm_memory_slot *slot,
						gfn_t gfn, void *data, int offset,
						int len, enum kvm_gmem_how how)
{
	void *addr;
	int r;

	if (WARN_ON_ONCE(offset + len > PAGE_SIZE))
		return -EFAULT;

	addr = kvm_gmem_begin_warm(vcpu, gfn);
	if (addr) {
		r = kvm_gmem_access_window(addr + offset, data, len, how);
		kvm_gmem_end_warm(vcpu, addr);
		if (!r)
			return 0;
	}

	r = kvm_gmem_access(vcpu->kvm, vcpu, slot, gfn, data, offset, len, how);
	return kvm_vcpu_gmem_result(vcpu, slot, gfn_to_gpa(gfn), r);
}

/**
 * kvm_vcpu_gmem_read - kvm_gmem_read() on behalf of a vCPU
 * @vcpu: vCPU; on failure its KVM_RUN ends, see kvm_vcpu_gmem_end_run()
 * @slot: memslot with a guest_memfd
 * @gfn: within the slot
 * @data: where to
 * @offset: in the page
 * @len: up to the end of the page
 *
 * Context: as kvm_gmem_read(), vCPU loaded.
 * Return: as kvm_gmem_read().
 */
int kvm_vcpu_gmem_read(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot,
		       gfn_t gfn, void *data, int offset, int len)
{
	return kvm_vcpu_gmem_access(vcpu, slot, gfn, data, offset, len,
				    KVM_GMEM_READ);
}

/**
 * kvm_vcpu_gmem_write - kvm_gmem_write() on behalf of a vCPU
 * @vcpu: vCPU; on failure its KVM_RUN ends, see kvm_vcpu_gmem_end_run()
 * @slot: memslot with a guest_memfd
 * @gfn: within the slot
 * @data: where from
 * @offset: in the page
 * @len: up to the end of the page
 *
 * Context: as kvm_gmem_write(), vCPU loaded.
 * Return: as kvm_gmem_write().
 */
int kvm_vcpu_gmem_write(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot,
			gfn_t gfn, const void *data, int offset, int len)
{
	return kvm_vcpu_gmem_access(vcpu, slot, gfn, (void *)data, offset, len,
				    KVM_GMEM_WRITE);
}

/**
 * kvm_vcpu_gmem_read_pte - read an entry of a guest's page table
 * @vcpu: vCPU; on failure its KVM_RUN ends, see kvm_vcpu_gmem_end_run()
 * @slot: memslot with a guest_memfd
 * @gpa: of the entry
 * @pte: result
 * @size: of the entry, 4 or 8: it is read at once
 *
 * Context: as kvm_gmem_read(), vCPU loaded.
 * Return: as kvm_gmem_read().
 */
int kvm_vcpu_gmem_read_pte(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot,
			   gpa_t gpa, void *pte, int size)
{
	return kvm_vcpu_gmem_access(vcpu, slot, gpa_to_gfn(gpa), pte,
				    offset_in_page(gpa), size, KVM_GMEM_READ_PTE);
}

static int kvm_gmem_cmpxchg_window(void *addr, void *old, const void *new, int size)
{
	switch (size) {
	case 1:
		return !try_cmpxchg((u8 *)addr, (u8 *)old, *(const u8 *)new);
	case 2:
		return !try_cmpxchg((u16 *)addr, (u16 *)old, *(const u16 *)new);
	case 4:
		return !try_cmpxchg((u32 *)addr, (u32 *)old, *(const u32 *)new);
	default:
		return !try_cmpxchg((u64 *)addr, (u64 *)old, *(const u64 *)new);
	}
}

/* Only architectures that need it have it. */
#ifdef __try_cmpxchg_user
static int kvm_gmem_cmpxchg_user(void __user *addr, void *old, const void *new, int size)
{
	switch (size) {
	case 1:
		return __try_cmpxchg_user((u8 __user *)addr, (u8 *)old,
					  *(const u8 *)new, efault1);
	case 2:
		return __try_cmpxchg_user((u16 __user *)addr, (u16 *)old,
					  *(const u16 *)new, efault2);
	case 4:
		return __try_cmpxchg_user((u32 __user *)addr, (u32 *)old,
					  *(const u32 *)new, efault4);
	default:
		return __try_cmpxchg_user((u64 __user *)addr, (u64 *)old,
					  *(const u64 *)new, efault8);
	}
}
#else
static int kvm_gmem_cmpxchg_user(void __user *addr, void *old, const void *new, int size)
{
	return -EFAULT;
}
#endif

/**
 * kvm_vcpu_gmem_cmpxchg - compare and exchange up to 8 bytes of guest memory
 * @vcpu: vCPU; on failure its KVM_RUN ends, see kvm_vcpu_gmem_end_run()
 * @gpa: naturally aligned
 * @old: expected value; what was found instead if that is another
 * @new: value to be set
 * @size: 1, 2, 4 or 8
 *
 * The gpa is looked up anew. If the memory that the caller has read @old from
 * was taken away since, nothing happens to it.
 *
 * Context: process context, srcu held, mmu_lock not held, vCPU loaded; may sleep.
 * Return: 0 if exchanged; 1 if there was another value, or if what was read came
 * from elsewhere: to be started over; or as kvm_gmem_open().
 */
int kvm_vcpu_gmem_cmpxchg(struct kvm_vcpu *vcpu, gpa_t gpa, void *old,
			  const void *new, int size)
{
	gfn_t gfn = gpa_to_gfn(gpa);
	struct kvm_memory_slot *slot = kvm_vcpu_gfn_to_memslot(vcpu, gfn);
	struct kvm_gmem_window win;
	unsigned long hva;
	int r;

	if (!kvm_slot_has_gmem(slot))
		return 1;

	r = __kvm_gmem_open(vcpu->kvm, vcpu, slot, gfn, KVM_GMEM_SLEEP, &win);
	if (!r) {
		r = kvm_gmem_cmpxchg_window(win.addr + offset_in_page(gpa), old,
					    new, size);
		kvm_gmem_close(&win);
	} else if (r == -ENXIO) {
		hva = gfn_to_hva_memslot(slot, gfn) + offset_in_page(gpa);
		r = kvm_gmem_cmpxchg_user((void __user *)hva, old, new, size);
		/* Nobody reads it there any more once it is private. */
		smp_mb();
		if (!r && kvm_mem_is_private(vcpu->kvm, gfn))
			r = 1;
	}

	return kvm_vcpu_gmem_result(vcpu, slot, gpa, r);
}

/**
 * kvm_vcpu_gmem_end_run - the end of KVM_RUN, perhaps since memory cannot be had
 * @vcpu: vCPU with gmem_run
 * @r: what KVM_RUN would return
 *
 * Poison, no memory, or a file that has been closed. Whatever KVM was doing for
 * the guest is done again by the next KVM_RUN, and at once by one that comes back
 * with -EINTR: the slot was on its way out. If there is another exit by now, that
 * one has to be seen.
 *
 * Return: @r, or the error, with the exit prepared.
 */
int kvm_vcpu_gmem_end_run(struct kvm_vcpu *vcpu, int r)
{
	int err = vcpu->gmem_error;

	vcpu->gmem_run = false;
	vcpu->gmem_error = 0;
	if (likely(!err) || (r >= 0 && vcpu->run->exit_reason != KVM_EXIT_UNKNOWN))
		return r;

	if (err == -EAGAIN) {
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		return -EINTR;
	}

	kvm_prepare_memory_fault_exit(vcpu, vcpu->gmem_gpa, PAGE_SIZE, false, false,
				      kvm_mem_is_private(vcpu->kvm,
							 gpa_to_gfn(vcpu->gmem_gpa)));

	return err == -EACCES ? -EFAULT : err;
}

/**
 * kvm_vcpu_gmem_map - kvm_vcpu_map() for memory of a file: a copy of the page
 * @vcpu: vCPU
 * @slot: memslot with a guest_memfd
 * @map: with gfn, writable and local set by the caller
 *
 * No reference keeps the page, so it cannot be mapped for as long as the caller
 * likes. Who needs it while the guest runs, or needs its pfn, gets an error.
 *
 * Context: process context, srcu held, vCPU loaded; may sleep.
 * Return: 0, -EINVAL if @map is not local, or as kvm_vcpu_gmem_read().
 */
int kvm_vcpu_gmem_map(struct kvm_vcpu *vcpu, const struct kvm_memory_slot *slot,
		      struct kvm_host_map *map)
{
	void *copy;
	int r;

	map->pfn = KVM_PFN_ERR_FAULT;
	if (!map->local)
		return -EINVAL;

	copy = (void *)__get_free_page(GFP_KERNEL_ACCOUNT);
	if (!copy)
		return -ENOMEM;

	r = kvm_vcpu_gmem_read(vcpu, (struct kvm_memory_slot *)slot, map->gfn, copy, 0,
			       PAGE_SIZE);
	if (r) {
		free_page((unsigned long)copy);
		return r;
	}

	map->hva = copy;
	return 0;
}

/**
 * kvm_vcpu_gmem_unmap - write back what kvm_vcpu_gmem_map() has copied
 * @vcpu: vCPU
 * @map: mapped, perhaps from a slot that is gone by now
 *
 * Context: process context, srcu held, vCPU loaded; may sleep.
 */
void kvm_vcpu_gmem_unmap(struct kvm_vcpu *vcpu, struct kvm_host_map *map)
{
	if (map->writable)
		kvm_vcpu_write_guest_page(vcpu, map->gfn, map->hva, 0, PAGE_SIZE);

	free_page((unsigned long)map->hva);
	map->hva = NULL;
}
