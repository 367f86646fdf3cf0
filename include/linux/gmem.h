/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * guest memory: blocks owned by a file, lent to hypervisors by pfn
 *
 * See Documentation/mm/gmem.rst for the model and the lock order.
 */
#ifndef _LINUX_GMEM_H
#define _LINUX_GMEM_H

#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mm_types.h>
#include <linux/page-flags.h>

struct hugetlb_cgroup;
struct seq_file;
struct vm_area_struct;

/*
 * A frozen page of a gmem block: reference count 0, on no list, in no page
 * cache. The value is the next one free in enum pagetype; it is defined here
 * because page-flags.h is included by everything.
 */
#define PGTY_gmem	0xf9
PAGE_TYPE_OPS(Gmem, gmem, gmem)

struct gmem_view;

/**
 * enum gmem_state - which pages of a range an invalidation is about
 * @GMEM_SHARED: pages the host may touch
 * @GMEM_PRIVATE: pages only the guest may touch
 * @GMEM_ANY: both, used when memory goes away (punch, poison, release)
 */
enum gmem_state {
	GMEM_SHARED	= 1,
	GMEM_PRIVATE	= 2,
	GMEM_ANY	= GMEM_SHARED | GMEM_PRIVATE,
};

/**
 * struct gmem_range - the range of one invalidation
 * @start: first index, in pages, that is taken away
 * @end: index behind the last one
 * @window_start: @start, rounded down to the largest block order in the range
 * @window_end: @end, rounded up alike
 * @filter: state of the pages that the consumer has to unmap
 *
 * Mappings of exactly [@start, @end) go away. Faults on the wider window have
 * to be retried: a fault on a neighbour may already hold an order that would
 * let it map the page in transit too.
 */
struct gmem_range {
	pgoff_t start;
	pgoff_t end;
	pgoff_t window_start;
	pgoff_t window_end;
	enum gmem_state filter;
};

/**
 * struct gmem_view_ops - what a consumer provides for a view
 * @prepare: open the retry window, then do everything that may sleep or fail.
 *	On failure the consumer closes the window itself. Must not change
 *	contents or permissions; a mapping that it split stays split.
 * @invalidate_begin: unmap exactly [start, end) of the range. Cannot fail.
 * @invalidate_end: close the window, after success and after an abort alike.
 *
 * Context: process context, invalidate_lock of the mapping held exclusively.
 * All three may sleep; none may take slots_lock or a folio lock.
 */
struct gmem_view_ops {
	int (*prepare)(struct gmem_view *view, const struct gmem_range *range);
	void (*invalidate_begin)(struct gmem_view *view, const struct gmem_range *range);
	void (*invalidate_end)(struct gmem_view *view, const struct gmem_range *range);
};

/**
 * struct gmem_view - one consumer's use of one inode, embedded by the consumer
 * @ops: callbacks
 * @entry: in the inode's list, protected by invalidate_lock
 */
struct gmem_view {
	const struct gmem_view_ops *ops;
	struct list_head entry;
};

/**
 * struct gmem_owner_ops - what the memory of an inode is used for
 * @module: pinned by each inode, since pages outlive the last file
 * @make_private: called by gmem_get_pfn() for every private page that is
 *	handed out, one page at a time, under invalidate_lock (shared). May sleep
 *	and fail. Optional.
 * @make_shared: called before the kernel or the host touches pages that were
 *	private, before they are zeroed and before they return to their source.
 *	May sleep; called outside of all MMU locks. Idempotent. Optional.
 */
struct gmem_owner_ops {
	struct module *module;
	int (*make_private)(struct gmem_view *view, pgoff_t index, unsigned long pfn);
	void (*make_shared)(unsigned long pfn, unsigned long nr_pages);
};

/* gmem_create.flags */
#define GMEM_MMAP		BIT(0)	/* the host may map shared pages */
#define GMEM_INIT_SHARED	BIT(1)	/* all pages start out shared */
#define GMEM_HUGETLB		BIT(2)	/* blocks come from a hugetlb pool */
#define GMEM_HUGEPAGE		BIT(3)	/* blocks come from the buddy allocator */
#define GMEM_TRACK		BIT(4)	/* pages change between private and shared */
#define GMEM_NO_DIRECT_MAP	BIT(5)	/* the kernel does not map the memory */

/**
 * struct gmem_create - parameters of gmem_create_file()
 * @name: name of the file in /proc/PID/fd
 * @size: in bytes, a multiple of the block size
 * @flags: GMEM_*
 * @abi_flags: what fdinfo shows as gmem-flags, as user space gave them
 * @order: block order: 0, PMD_ORDER or PUD_ORDER
 * @fops: file operations of the consumer, which own its module
 * @owner: owner operations
 * @view: first view, which also becomes file->private_data
 */
struct gmem_create {
	const char *name;
	loff_t size;
	unsigned int flags;
	u64 abi_flags;
	unsigned int order;
	const struct file_operations *fops;
	const struct gmem_owner_ops *owner;
	struct gmem_view *view;
};

/**
 * struct gmem_pfn - what gmem_get_pfn() hands out
 * @pfn: page frame of the index asked for
 * @order: largest of {PUD_ORDER, PMD_ORDER, 0} at which the memory around the
 *	index is one block, of one state and free of poison
 * @private: state of the index
 */
struct gmem_pfn {
	unsigned long pfn;
	unsigned int order;
	bool private;
};

/**
 * struct gmem_query - what gmem_query() tells about an index
 * @private: state
 * @populated: is there memory behind it?
 * @order: of the block that backs it; 0 if none
 * @nr: pages from the index on for which all of that is the same
 */
struct gmem_query {
	bool private;
	bool populated;
	unsigned int order;
	unsigned long nr;
};

unsigned int gmem_supported_orders(unsigned int flags);
struct file *gmem_create_file(const struct gmem_create *create);
void gmem_release_view(struct inode *inode, struct gmem_view *view);
void gmem_add_view(struct inode *inode, struct gmem_view *view);

int gmem_get_pfn(struct inode *inode, struct gmem_view *view, pgoff_t index,
		 struct gmem_pfn *out);
int gmem_get_pfn_locked(struct inode *inode, struct gmem_view *view,
			pgoff_t index, struct gmem_pfn *out);
int gmem_peek_pfn(struct inode *inode, pgoff_t index, unsigned long *pfn,
		  unsigned int *order);
bool gmem_is_private(struct inode *inode, pgoff_t index);
bool gmem_can_mmap(struct inode *inode);
bool gmem_tracks(struct inode *inode);
int gmem_convert(struct inode *inode, pgoff_t start, pgoff_t end, bool private,
		 pgoff_t *error_index);
void gmem_query(struct inode *inode, pgoff_t index, struct gmem_query *q);

#ifdef CONFIG_GMEM_NO_DIRECT_MAP
void *gmem_map_local(struct inode *inode, unsigned long pfn);
void gmem_unmap_local(void *addr);
bool gmem_pfn_is_hidden(unsigned long pfn);
#else
static inline void *gmem_map_local(struct inode *inode, unsigned long pfn)
{
	return kmap_local_pfn(pfn);
}

static inline void gmem_unmap_local(void *addr)
{
	kunmap_local(addr);
}

static inline bool gmem_pfn_is_hidden(unsigned long pfn)
{
	return false;
}
#endif

long gmem_fallocate(struct file *file, int mode, loff_t offset, loff_t len);
int gmem_mmap(struct file *file, struct vm_area_struct *vma);
void gmem_show_fdinfo(struct seq_file *m, struct file *file,
		      unsigned long nr_bindings);

/*
 * Hooks of the memory-failure code. Both run before it has touched the struct
 * page, since that of an optimized block is read-only.
 */
#ifdef CONFIG_KVM_GUEST_MEMFD
int gmem_memory_failure(unsigned long pfn, int mf_flags);
bool gmem_owns_pfn(unsigned long pfn);
#else
static inline int gmem_memory_failure(unsigned long pfn, int mf_flags)
{
	return -ENOENT;
}

static inline bool gmem_owns_pfn(unsigned long pfn)
{
	return false;
}
#endif

/* Hook of hugetlb_cgroup: also moves the charges of what hugetlb has lent. */
#ifdef CONFIG_KVM_GUEST_MEMFD
void gmem_hugetlb_reparent(struct hugetlb_cgroup *h_cg);
#else
static inline void gmem_hugetlb_reparent(struct hugetlb_cgroup *h_cg)
{
}
#endif

#endif /* _LINUX_GMEM_H */
