/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * KVM's own reads and writes of guest memory that belongs to a guest_memfd
 *
 * Included by kvm_host.h, for struct kvm_vcpu. The locks are explained in
 * virt/kvm/gmem_access.c.
 */
#ifndef _LINUX_KVM_GMEM_ACCESS_H
#define _LINUX_KVM_GMEM_ACCESS_H

#include <linux/kvm_types.h>

struct file;
struct gmem_pfn;
struct inode;
struct kvm;
struct kvm_host_map;
struct kvm_memory_slot;
struct kvm_vcpu;

/**
 * enum kvm_gmem_mode - what the caller can afford
 * @KVM_GMEM_SLEEP: process context, no lock of the MMU held; memory that is not
 *	there yet is allocated
 * @KVM_GMEM_MMU_LOCKED: the caller holds mmu_lock, in either mode
 * @KVM_GMEM_TRYLOCK: any context but NMI; nothing is waited for
 */
enum kvm_gmem_mode {
	KVM_GMEM_SLEEP,
	KVM_GMEM_MMU_LOCKED,
	KVM_GMEM_TRYLOCK,
};

/**
 * struct kvm_gmem_window - one page of guest memory, for a moment
 * @addr: where the page is; valid until kvm_gmem_close()
 * @kvm: the VM if the window holds mmu_lock, else NULL
 * @file: the file if the window holds its invalidate_lock, else NULL
 */
struct kvm_gmem_window {
	void *addr;
	struct kvm *kvm;
	struct file *file;
};

/**
 * struct kvm_gmem_warm - where a vCPU has found memory of a file last
 * @gfn: the first of a run that lies in one piece
 * @nr: pages of the run, 0 if nothing was found yet
 * @inode: of the file
 * @pfn: of the first page
 * @generation: of the memslots
 * @mmu_seq: mmu_invalidate_seq at the time
 *
 * Used and changed by the thread that has the vCPU loaded, with mmu_lock held in
 * either mode.
 */
struct kvm_gmem_warm {
	gfn_t gfn;
	unsigned long nr;
	struct inode *inode;
	unsigned long pfn;
	u64 generation;
	unsigned long mmu_seq;
};

#ifdef CONFIG_KVM_GUEST_MEMFD
bool kvm_arch_gmem_readable(struct kvm *kvm);
void kvm_arch_gmem_access(unsigned long pfn);
int kvm_arch_gmem_prepare(struct kvm *kvm, const struct kvm_gfn_range *range);

bool kvm_gmem_serves(struct kvm *kvm, const struct kvm_memory_slot *slot, gfn_t gfn);
int kvm_gmem_open(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
		  enum kvm_gmem_mode mode, struct kvm_gmem_window *win);
void kvm_gmem_close(struct kvm_gmem_window *win);

int kvm_gmem_read(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
		  void *data, int offset, int len);
int kvm_gmem_read_locked(struct kvm *kvm, struct kvm_memory_slot *slot,
			 gfn_t gfn, void *data, int offset, int len);
int kvm_gmem_write(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
		   const void *data, int offset, int len);

int kvm_vcpu_gmem_read(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot,
		       gfn_t gfn, void *data, int offset, int len);
int kvm_vcpu_gmem_write(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot,
			gfn_t gfn, const void *data, int offset, int len);
int kvm_vcpu_gmem_read_pte(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot,
			   gpa_t gpa, void *pte, int size);
int kvm_vcpu_gmem_cmpxchg(struct kvm_vcpu *vcpu, gpa_t gpa, void *old,
			  const void *new, int size);
int kvm_vcpu_gmem_end_run(struct kvm_vcpu *vcpu, int r);

int kvm_vcpu_gmem_map(struct kvm_vcpu *vcpu, const struct kvm_memory_slot *slot,
		      struct kvm_host_map *map);
void kvm_vcpu_gmem_unmap(struct kvm_vcpu *vcpu, struct kvm_host_map *map);

/* Of the architecture, if it has steal time. */
int kvm_gmem_record_steal_time(struct kvm_vcpu *vcpu);
bool kvm_gmem_set_preempted(struct kvm_vcpu *vcpu);

/* virt/kvm/gmem_access.c, for virt/kvm/gmem_pfncache.c */
int kvm_gmem_check(struct kvm *kvm, const struct kvm_memory_slot *slot,
		   gfn_t gfn);

/* virt/kvm/guest_memfd.c, for virt/kvm/gmem_access.c and gmem_populate.c */
pgoff_t kvm_gmem_index(const struct kvm_memory_slot *slot, gfn_t gfn);
int kvm_gmem_get_pfn_locked(struct file *file, struct kvm_memory_slot *slot,
			    gfn_t gfn, bool make_private, struct gmem_pfn *out);
#else
static inline int kvm_gmem_read(struct kvm *kvm, struct kvm_memory_slot *slot,
				gfn_t gfn, void *data, int offset, int len)
{
	return -EFAULT;
}

static inline bool kvm_gmem_serves(struct kvm *kvm,
				   const struct kvm_memory_slot *slot, gfn_t gfn)
{
	return false;
}

static inline int kvm_gmem_read_locked(struct kvm *kvm,
				       struct kvm_memory_slot *slot, gfn_t gfn,
				       void *data, int offset, int len)
{
	return -EFAULT;
}

static inline int kvm_gmem_write(struct kvm *kvm, struct kvm_memory_slot *slot,
				 gfn_t gfn, const void *data, int offset, int len)
{
	return -EFAULT;
}

static inline int kvm_vcpu_gmem_read(struct kvm_vcpu *vcpu,
				     struct kvm_memory_slot *slot, gfn_t gfn,
				     void *data, int offset, int len)
{
	return -EFAULT;
}

static inline int kvm_vcpu_gmem_write(struct kvm_vcpu *vcpu,
				      struct kvm_memory_slot *slot, gfn_t gfn,
				      const void *data, int offset, int len)
{
	return -EFAULT;
}

static inline int kvm_vcpu_gmem_read_pte(struct kvm_vcpu *vcpu,
					 struct kvm_memory_slot *slot,
					 gpa_t gpa, void *pte, int size)
{
	return -EFAULT;
}

static inline int kvm_vcpu_gmem_cmpxchg(struct kvm_vcpu *vcpu, gpa_t gpa,
					void *old, const void *new, int size)
{
	return -EFAULT;
}

static inline int kvm_vcpu_gmem_end_run(struct kvm_vcpu *vcpu, int r)
{
	return r;
}

static inline int kvm_gmem_record_steal_time(struct kvm_vcpu *vcpu)
{
	return -ENXIO;
}

static inline bool kvm_gmem_set_preempted(struct kvm_vcpu *vcpu)
{
	return false;
}

static inline int kvm_vcpu_gmem_map(struct kvm_vcpu *vcpu,
				    const struct kvm_memory_slot *slot,
				    struct kvm_host_map *map)
{
	return -EINVAL;
}

static inline void kvm_vcpu_gmem_unmap(struct kvm_vcpu *vcpu,
				       struct kvm_host_map *map)
{
}
#endif

#if defined(CONFIG_KVM_GUEST_MEMFD) && defined(CONFIG_HAVE_KVM_PFNCACHE)
bool kvm_gmem_follow_pfn(struct kvm *kvm, const struct kvm_memory_slot *slot,
			 gfn_t gfn, kvm_pfn_t *pfn);
bool kvm_gmem_retry_cache(struct kvm *kvm, const struct kvm_memory_slot *slot,
			  unsigned long mmu_seq);
void kvm_gmem_invalidate_caches(struct kvm *kvm, gfn_t start, gfn_t end);
bool kvm_gmem_map_cache(kvm_pfn_t pfn, void **khva);
bool kvm_gmem_unmap_cache(kvm_pfn_t pfn, void *khva);
bool kvm_gmem_keep_map(kvm_pfn_t pfn, void *khva);
#else
static inline bool kvm_gmem_map_cache(kvm_pfn_t pfn, void **khva)
{
	return false;
}

static inline bool kvm_gmem_unmap_cache(kvm_pfn_t pfn, void *khva)
{
	return false;
}

static inline bool kvm_gmem_keep_map(kvm_pfn_t pfn, void *khva)
{
	return true;
}

static inline bool kvm_gmem_follow_pfn(struct kvm *kvm,
				       const struct kvm_memory_slot *slot,
				       gfn_t gfn, kvm_pfn_t *pfn)
{
	return false;
}

static inline bool kvm_gmem_retry_cache(struct kvm *kvm,
					const struct kvm_memory_slot *slot,
					unsigned long mmu_seq)
{
	return false;
}

static inline void kvm_gmem_invalidate_caches(struct kvm *kvm, gfn_t start,
					      gfn_t end)
{
}
#endif

#endif /* _LINUX_KVM_GMEM_ACCESS_H */
