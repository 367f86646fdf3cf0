/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _MM_GMEM_INTERNAL_H
#define _MM_GMEM_INTERNAL_H

#include <linux/atomic.h>
#include <linux/gmem.h>
#include <linux/maple_tree.h>
#include <linux/mempolicy.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/seqlock.h>
#include <linux/xarray.h>

struct gmem_block;
struct gmem_inode;
struct obj_cgroup;

#define GMEM_CHUNK_ORDER	PMD_ORDER
#define GMEM_CHUNK_PAGES	BIT(GMEM_CHUNK_ORDER)
/* Pages whose struct pages fill a page of the vmemmap. */
#define GMEM_VMEMMAP_PAGES	(PAGE_SIZE / sizeof(struct page))

/*
 * For records of ours. A cgroup at its limit means -ENOMEM, not that somebody
 * is killed for a few bytes.
 */
#define GMEM_GFP		(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL)

/* May gmem_source.take() scan and migrate for a gigabyte? */
#define GMEM_TAKE_CONTIG	BIT(0)

/**
 * struct gmem_source - where blocks come from and go to
 * @name: for fdinfo and messages
 * @open: reserve for an inode of i_size bytes; sets inode->reservation
 * @close: drop the inode's use of the reservation. Blocks that became orphans
 *	may still hold it.
 * @take: get a frozen page of @order for @index: compound if @order is not 0,
 *	no type or gmem's, not zeroed, charged, never of CMA or ZONE_MOVABLE. What is
 *	needed to give it back goes to @loan. Returns an ERR_PTR(): -ENOMEM, or
 *	-EINTR on a fatal signal. -ENOMEM with an order above 0 makes the caller
 *	try a smaller one if the source is @fallback.
 * @give: take back a block whose pages are all frozen and typed; intact or
 *	dissolved as block->state says, poisoned pages as the chunks say. The
 *	caller frees the block object.
 * @fallback: smaller blocks than asked for are possible
 *
 * Context of all: process context, may sleep. @take runs under
 * invalidate_lock and the slot mutex.
 */
struct gmem_source {
	const char *name;
	int (*open)(struct gmem_inode *gi);
	void (*close)(struct gmem_inode *gi);
	struct page *(*take)(struct gmem_inode *gi, pgoff_t index,
			     unsigned int order, unsigned int take_flags,
			     void **loan);
	void (*give)(struct gmem_block *block);
	bool fallback;
};

extern const struct gmem_source gmem_source_buddy;
extern const struct gmem_source gmem_source_hugetlb;

enum gmem_counter {
	GMEM_BLOCKS_4K,
	GMEM_BLOCKS_2M,
	GMEM_BLOCKS_1G,
	GMEM_LIVE,		/* pages with a live struct page */
	GMEM_VMEMMAP,		/* vmemmap pages made real */
	GMEM_POISONED,		/* pages */
	GMEM_ORPHANS,		/* blocks and single pages, global only */
	GMEM_LEAKED,		/* pages that could not be given back, global only */
	GMEM_FILES,		/* inodes, global only */
	GMEM_NR_COUNTERS,
};

/**
 * struct gmem_inode - the owner of blocks
 * @flags: GMEM_*
 * @abi_flags: as user space gave them
 * @order: block order of the file
 * @source: of all blocks
 * @reservation: the source's
 * @owner: owner operations, module pinned
 * @id: in the list of all, 0 if it is not there
 * @blocks: see block.c
 * @views: protected by invalidate_lock
 * @attrs: see attr.c
 * @nr_private: private pages, protected by invalidate_lock
 * @held_shared: shared pages of a file that tracks, as far as there is memory
 *	for them
 * @usage: a reading under it sees @held_shared, the counters of blocks and
 *	@conversions of one moment
 * @policy: of mbind()
 * @objcg: of the creator, charged for buddy memory; may be NULL
 * @contig_retry: jiffies before which no gigabyte is searched for again
 * @stat: this inode's share of the counters
 * @eagain: requests refused because of a holder
 * @conversions: requests that changed the state of something
 * @inode: VFS inode
 * @on_node: pages held, by node
 */
struct gmem_inode {
	unsigned int flags;
	u64 abi_flags;
	unsigned int order;
	const struct gmem_source *source;
	void *reservation;
	const struct gmem_owner_ops *owner;
	u32 id;
	struct xarray blocks;
	struct list_head views;
	struct maple_tree attrs;
	unsigned long nr_private;
	unsigned long held_shared;
	seqlock_t usage;
	struct shared_policy policy;
	struct obj_cgroup *objcg;
	unsigned long contig_retry;
	atomic_long_t stat[GMEM_NR_COUNTERS];
	atomic_long_t eagain;
	atomic_long_t conversions;
	struct inode inode;
	atomic_long_t on_node[];
};

static inline struct gmem_inode *GMEM_I(struct inode *inode)
{
	return container_of(inode, struct gmem_inode, inode);
}

/* Is the memory of this inode out of the direct map? */
static inline bool gmem_hides(const struct gmem_inode *gi)
{
	return gi->flags & GMEM_NO_DIRECT_MAP;
}

/**
 * struct gmem_chunk - state of 2 MiB of a block in which pages are or were live
 * @live: pages with a live struct page
 * @poison: pages that must not be used again
 * @vmemmap_real: bit n is set if vmemmap page n of the chunk's eight is the
 *	block's own, not a shared one. Only meaningful in optimized blocks.
 */
struct gmem_chunk {
	DECLARE_BITMAP(live, GMEM_CHUNK_PAGES);
	DECLARE_BITMAP(poison, GMEM_CHUNK_PAGES);
	u8 vmemmap_real;
};

enum gmem_block_state {
	GMEM_INTACT,		/* the compound page that the source gave */
	GMEM_DISSOLVED,		/* every struct page stands alone */
};

/**
 * struct gmem_block - 2 MiB or 1 GiB of contiguous memory
 * @pfn: first page frame
 * @index: first index that it backs
 * @gi: owner; NULL once it is an orphan. Read under RCU by the registry.
 * @source: where it goes in the end
 * @loan: the source's
 * @order: PMD_ORDER or PUD_ORDER
 * @state: one way, from intact to dissolved
 * @hvo: its vmemmap is optimized
 * @hidden: it is not in the direct map
 * @nr_live: live pages
 * @nr_poison: poisoned pages
 * @chunk: of each 2 MiB; entries are NULL until needed
 * @orphan: in the list of orphans
 * @rcu: freed after a grace period, for the registry
 *
 * Everything that changes does so under the slot mutex or invalidate_lock
 * held exclusively.
 */
struct gmem_block {
	unsigned long pfn;
	pgoff_t index;
	struct gmem_inode *gi;
	const struct gmem_source *source;
	void *loan;
	u8 order;
	u8 state;
	bool hvo;
	bool hidden;
	unsigned int nr_live;
	unsigned int nr_poison;
	struct list_head orphan;
	struct rcu_head rcu;
	struct gmem_chunk *chunk[];
};

static inline unsigned long gmem_nr_chunks(unsigned int order)
{
	return 1UL << (order - GMEM_CHUNK_ORDER);
}

static inline unsigned long gmem_block_pages(const struct gmem_block *block)
{
	return 1UL << block->order;
}

/**
 * struct gmem_backing - what stands behind one index
 * @block: the block, or NULL if it is a single page of 4 KiB
 * @page: struct page of the index itself
 */
struct gmem_backing {
	struct gmem_block *block;
	struct page *page;
};

static inline unsigned int gmem_backing_order(const struct gmem_backing *b)
{
	return b->block ? b->block->order : 0;
}

/* Offset of the index' page in its block. */
static inline unsigned long gmem_block_offset(const struct gmem_backing *b)
{
	return page_to_pfn(b->page) - b->block->pfn;
}

static inline struct gmem_chunk *gmem_chunk_of(const struct gmem_block *block,
					       unsigned long offset)
{
	return READ_ONCE(block->chunk[offset >> GMEM_CHUNK_ORDER]);
}

/*
 * Whoever looks at blocks holds invalidate_lock, or is the last user of the
 * inode; whoever takes blocks away holds it exclusively.
 */
static inline void gmem_assert_held(struct gmem_inode *gi)
{
	lockdep_assert_held(&gi->inode.i_mapping->invalidate_lock);
}

static inline void gmem_assert_held_write(struct gmem_inode *gi)
{
	lockdep_assert_held_write(&gi->inode.i_mapping->invalidate_lock);
}

/* mm/mempolicy.c, made visible by our patches; the first returns frozen pages */
struct page *alloc_pages_mpol(gfp_t gfp, unsigned int order,
			      struct mempolicy *pol, pgoff_t ilx, int nid);
nodemask_t *policy_nodemask(gfp_t gfp, struct mempolicy *pol, pgoff_t ilx,
			    int *nid);

/* core.c */
int gmem_register_block(struct gmem_block *block);
void gmem_unregister_block(struct gmem_block *block);
struct gmem_block *gmem_find_block(unsigned long pfn);
struct gmem_block *gmem_next_block(unsigned long pfn);
struct gmem_inode *gmem_next_inode(unsigned long id);

/* block.c: see the comment at its top */
#define GMEM_TABLE_TAG		1

/* What 2 MiB of a huge file are backed by if there was no 2 MiB block. */
struct gmem_table {
	struct page *page[GMEM_CHUNK_PAGES];
};

static inline bool gmem_is_table(const void *entry)
{
	return xa_pointer_tag((void *)entry) == GMEM_TABLE_TAG;
}

static inline struct gmem_table *gmem_to_table(void *entry)
{
	return xa_untag_pointer(entry);
}

static inline unsigned long gmem_key(pgoff_t index)
{
	return index >> GMEM_CHUNK_ORDER;
}

void gmem_block_init(void);
struct mutex *gmem_slot_mutex(struct gmem_inode *gi, pgoff_t index);
bool gmem_lookup(struct gmem_inode *gi, pgoff_t index, struct gmem_backing *b);
bool gmem_peek(struct gmem_inode *gi, pgoff_t index, struct gmem_backing *b);
int gmem_store_range(struct xarray *xa, unsigned long first, unsigned long last,
		     void *entry, gfp_t gfp);
int gmem_populate(struct gmem_inode *gi, pgoff_t index, unsigned int take_flags,
		  struct gmem_backing *b);
bool gmem_next_present(struct gmem_inode *gi, pgoff_t *index, pgoff_t end,
		       struct gmem_backing *b, unsigned long *nr);
unsigned long gmem_nr_present(struct gmem_inode *gi, pgoff_t start, pgoff_t end);
typedef void (*gmem_page_fn)(struct gmem_inode *gi, pgoff_t index,
			     struct page *page, void *arg);
pgoff_t gmem_walk_pages(struct gmem_inode *gi, pgoff_t index, gmem_page_fn fn,
			void *arg);
void gmem_set_live(struct gmem_inode *gi, pgoff_t index,
		   const struct gmem_backing *b, bool live);
struct gmem_chunk *gmem_get_chunk(struct gmem_block *block, unsigned long offset,
				  gfp_t gfp);
unsigned int gmem_clean_order(const struct gmem_backing *b, pgoff_t index);
bool gmem_is_poisoned(const struct gmem_backing *b);

/*
 * A live page has at least gmem's own reference; all others have none, those
 * that share a template's struct page included. Pairs with the release in
 * page_ref_unfreeze(): whoever sees the reference sees the fields too.
 */
static inline bool gmem_is_live(const struct page *page)
{
	return atomic_read_acquire(&page->_refcount) != 0;
}

/* free.c */
void gmem_unhide_page(struct gmem_inode *gi, struct page *page);
void gmem_destroy_block(struct gmem_block *block);
void gmem_free_page(struct page *page, struct obj_cgroup *objcg);
void gmem_free_block(struct gmem_block *block);
void gmem_free_range(struct gmem_inode *gi, pgoff_t start, pgoff_t end);
void gmem_evict_blocks(struct gmem_inode *gi);

/* attr.c */
struct gmem_run {
	pgoff_t start;
	pgoff_t end;
};

int gmem_attr_setup(struct gmem_inode *gi);
void gmem_attr_destroy(struct gmem_inode *gi);
bool gmem_attr_run(struct gmem_inode *gi, pgoff_t index, struct gmem_run *run);
unsigned long gmem_attr_nr_shared(struct gmem_inode *gi, pgoff_t start, pgoff_t end);
/**
 * struct gmem_attr_change - a change of state that cannot fail any more
 * @mas: the range, with those neighbours that it becomes one run with, and memory
 * @private: new state
 * @nr: indices that change. If none does, there is nothing to undo or to do.
 * @held: those of them that there is memory for, for the caller to find out
 */
struct gmem_attr_change {
	struct ma_state mas;
	bool private;
	unsigned long nr;
	unsigned long held;
};

int gmem_attr_prepare(struct gmem_inode *gi, pgoff_t start, pgoff_t end,
		      bool private, struct gmem_attr_change *change);
void gmem_attr_commit(struct gmem_inode *gi, struct gmem_attr_change *change);
unsigned int gmem_run_order(const struct gmem_run *run, pgoff_t index,
			    unsigned int order);

/* page.c: states of struct page */
void gmem_freeze_fields(struct page *page, struct gmem_inode *gi);
void gmem_dissolve(struct gmem_block *block);
void gmem_mark_poison(struct gmem_block *block);
int gmem_publish(struct gmem_inode *gi, pgoff_t index,
		 const struct gmem_backing *b, unsigned long nr);
int gmem_freeze_live(struct gmem_inode *gi, pgoff_t start, pgoff_t end,
		     pgoff_t *busy);
void gmem_withdraw_frozen(struct gmem_inode *gi, pgoff_t start, pgoff_t end);
bool gmem_abandon_page(struct page *page);
bool gmem_abandon_block(struct gmem_block *block);

/* source-buddy.c */
void gmem_buddy_free_page(struct page *page);
void gmem_buddy_give_page(struct page *page, struct obj_cgroup *objcg);

/* source-hugetlb.c */
#ifdef CONFIG_HUGETLB_PAGE
bool gmem_hugetlb_supports(unsigned int order, unsigned int flags);
#else
static inline bool gmem_hugetlb_supports(unsigned int order, unsigned int flags)
{
	return false;
}
#endif

/* orphan.c */
extern struct mutex gmem_orphan_mutex;
void gmem_orphan_block(struct gmem_block *block);
void gmem_orphan_page(struct page *page, struct obj_cgroup *objcg);

/* convert.c: the transaction */
int gmem_prepare_range(struct gmem_inode *gi, pgoff_t start, pgoff_t end,
		       enum gmem_state filter, struct gmem_range *range);
void gmem_begin_range(struct gmem_inode *gi, const struct gmem_range *range);
void gmem_end_range(struct gmem_inode *gi, const struct gmem_range *range);
void gmem_make_shared(struct gmem_inode *gi, pgoff_t start, pgoff_t end);
bool gmem_wait_busy(int try);
int gmem_punch(struct gmem_inode *gi, pgoff_t start, pgoff_t end);

/* vmemmap.c: blocks whose struct pages are optimized away */
#ifdef CONFIG_HUGETLB_PAGE_OPTIMIZE_VMEMMAP
int gmem_vmemmap_prepare(struct zone *zone);
bool gmem_vmemmap_is_optimized(const struct page *head, unsigned int order);
void gmem_vmemmap_dissolve(struct gmem_block *block);
int gmem_vmemmap_make_real(struct gmem_block *block, unsigned long offset);
bool gmem_vmemmap_is_real(const struct gmem_block *block, unsigned long offset);
void gmem_vmemmap_restore_compound(struct gmem_block *block);
#else
static inline int gmem_vmemmap_prepare(struct zone *zone)
{
	return 0;
}

static inline bool gmem_vmemmap_is_optimized(const struct page *head,
					     unsigned int order)
{
	return false;
}

static inline void gmem_vmemmap_dissolve(struct gmem_block *block)
{
}

static inline int gmem_vmemmap_make_real(struct gmem_block *block,
					 unsigned long offset)
{
	return 0;
}

static inline bool gmem_vmemmap_is_real(const struct gmem_block *block,
					unsigned long offset)
{
	return true;
}

static inline void gmem_vmemmap_restore_compound(struct gmem_block *block)
{
}
#endif

/* poison.c */
#ifdef CONFIG_MEMORY_FAILURE
bool gmem_hardware_failed(void);
#else
static inline bool gmem_hardware_failed(void)
{
	return false;
}
#endif

/* direct-map.c */
#ifdef CONFIG_GMEM_NO_DIRECT_MAP
int gmem_hide_begin(void);
void gmem_hide_end(void);
int gmem_hide(struct page *page, unsigned long nr);
int gmem_unhide(struct page *page, unsigned long nr);
#else
static inline int gmem_hide_begin(void)
{
	return -EINVAL;
}

static inline void gmem_hide_end(void)
{
}

static inline int gmem_hide(struct page *page, unsigned long nr)
{
	return -EINVAL;
}

static inline int gmem_unhide(struct page *page, unsigned long nr)
{
	return 0;
}
#endif

/* file.c */
extern const struct inode_operations gmem_iops;
extern const struct address_space_operations gmem_aops;

/* stats.c */
extern atomic_long_t gmem_stat[GMEM_NR_COUNTERS];
void gmem_stats_init(void);
void gmem_count_mixed(struct gmem_inode *gi, pgoff_t index, unsigned int order, int nr);

/**
 * struct gmem_usage - what a file holds, all of one moment
 * @blocks: by GMEM_BLOCKS_*
 * @held: bytes in them
 * @shared: bytes of @held that are shared; the others are private
 * @conversions: requests that changed the state of something
 */
struct gmem_usage {
	unsigned long blocks[GMEM_BLOCKS_1G + 1];
	unsigned long held;
	unsigned long shared;
	unsigned long conversions;
};

void gmem_read_usage(struct gmem_inode *gi, struct gmem_usage *u);

/* For tracepoints: an orphan has no inode. */
static inline u64 gmem_ino(const struct gmem_inode *gi)
{
	return gi ? gi->inode.i_ino : 0;
}

/* Count for the inode, which may be gone, and for the machine. */
static inline void gmem_count(struct gmem_inode *gi, enum gmem_counter counter,
			      long nr)
{
	if (gi)
		atomic_long_add(nr, &gi->stat[counter]);
	atomic_long_add(nr, &gmem_stat[counter]);
}

static inline enum gmem_counter gmem_blocks_counter(unsigned int order)
{
	if (!order)
		return GMEM_BLOCKS_4K;
	return order == PMD_ORDER ? GMEM_BLOCKS_2M : GMEM_BLOCKS_1G;
}

/**
 * gmem_count_block - a block comes to a file, or goes
 * @gi: inode
 * @index: of its first page
 * @pfn: of its first page
 * @order: of it
 * @nr: 1 or -1
 *
 * Context: invalidate_lock held: nobody changes the state of its pages. May sleep.
 */
static __always_inline void gmem_count_block(struct gmem_inode *gi, pgoff_t index,
					     unsigned long pfn, unsigned int order, int nr)
{
	atomic_long_add((long)nr << order, &gi->on_node[pfn_to_nid(pfn)]);
	/* Most faults are of guests that have shared nothing yet. */
	if ((gi->flags & GMEM_TRACK) &&
	    gi->nr_private != i_size_read(&gi->inode) >> PAGE_SHIFT)
		gmem_count_mixed(gi, index, order, nr);
	else
		gmem_count(gi, gmem_blocks_counter(order), nr);
}

static inline unsigned long gmem_bytes_held(struct gmem_inode *gi)
{
	return (atomic_long_read(&gi->stat[GMEM_BLOCKS_4K]) << PAGE_SHIFT) +
	       (atomic_long_read(&gi->stat[GMEM_BLOCKS_2M]) << PMD_SHIFT) +
	       (atomic_long_read(&gi->stat[GMEM_BLOCKS_1G]) << PUD_SHIFT);
}

#endif /* _MM_GMEM_INTERNAL_H */
