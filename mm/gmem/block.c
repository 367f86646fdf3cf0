// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: the block table of an inode
 *
 * Files of 4 KiB blocks key gi->blocks by index and store struct page pointers;
 * live pages carry a mark. Files of huge blocks key it by index >> PMD_ORDER:
 *
 *	a block of 2 MiB	one entry
 *	a block of 1 GiB	one entry over 512 keys
 *	2 MiB that fell back	a tagged pointer to a table of 512 struct pages
 *
 * Entries are added under invalidate_lock (shared) and the slot mutex, which is
 * hashed by inode and index, rounded to the block order of the file. They go
 * away under invalidate_lock held exclusively only, so whoever holds it shared
 * may use what it finds.
 */
#include <linux/hash.h>
#include <linux/highmem.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include <trace/events/gmem.h>

#include "internal.h"

#define GMEM_LIVE_MARK		XA_MARK_0

#define GMEM_SLOT_HASH_BITS	8
static struct mutex gmem_slot_mutexes[1 << GMEM_SLOT_HASH_BITS];

void __init gmem_block_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(gmem_slot_mutexes); i++)
		mutex_init(&gmem_slot_mutexes[i]);
}

/**
 * gmem_slot_mutex - the lock under which backing of an index appears and changes
 * @gi: inode
 * @index: any index of the block
 *
 * One at a time; never held over a callback of a view or an unmap.
 *
 * Return: the mutex, which other blocks may share.
 */
struct mutex *gmem_slot_mutex(struct gmem_inode *gi, pgoff_t index)
{
	unsigned long key = (unsigned long)gi + (index >> gi->order);

	return &gmem_slot_mutexes[hash_long(key, GMEM_SLOT_HASH_BITS)];
}

static void gmem_block_backing(struct gmem_block *block, pgoff_t index,
			       struct gmem_backing *b)
{
	b->block = block;
	b->page = pfn_to_page(block->pfn + (index - block->index));
}

/**
 * gmem_peek - gmem_lookup() for those who keep the index from being freed otherwise
 * @gi: inode
 * @index: in pages
 * @b: result
 *
 * Context: any; takes no lock. Whoever frees memory of the index waits for the
 * caller: see gmem_peek_pfn().
 * Return: false if there is nothing.
 */
bool gmem_peek(struct gmem_inode *gi, pgoff_t index, struct gmem_backing *b)
{
	void *entry;

	if (!gi->order) {
		b->block = NULL;
		b->page = xa_load(&gi->blocks, index);
		return b->page;
	}

	entry = xa_load(&gi->blocks, gmem_key(index));
	if (!entry)
		return false;

	if (gmem_is_table(entry)) {
		struct gmem_table *table = gmem_to_table(entry);

		b->block = NULL;
		b->page = READ_ONCE(table->page[index % GMEM_CHUNK_PAGES]);
		return b->page;
	}

	gmem_block_backing(entry, index, b);
	return true;
}

/**
 * gmem_lookup - what is behind an index?
 * @gi: inode
 * @index: in pages
 * @b: result
 *
 * Context: invalidate_lock held.
 * Return: false if there is nothing.
 */
bool gmem_lookup(struct gmem_inode *gi, pgoff_t index, struct gmem_backing *b)
{
	gmem_assert_held(gi);

	return gmem_peek(gi, index, b);
}

/* In 2 MiB steps: a gigabyte at once would hog the CPU and ignore a kill. */
static int gmem_zero(struct page *page, unsigned int order)
{
	unsigned long nr = 1UL << min_t(unsigned int, order, GMEM_CHUNK_ORDER);
	unsigned long i;

	for (i = 0; i < 1UL << order; i += nr) {
		if (fatal_signal_pending(current))
			return -EINTR;
		clear_pages(page_address(page) + i * PAGE_SIZE, nr);
		cond_resched();
	}
	return 0;
}

static int gmem_store_page(struct gmem_inode *gi, pgoff_t index,
			   struct page *page)
{
	struct gmem_table *table;
	void *entry;
	int err;

	if (!gi->order)
		return xa_err(xa_store(&gi->blocks, index, page, GMEM_GFP));

	entry = xa_load(&gi->blocks, gmem_key(index));
	if (!entry) {
		table = kzalloc_obj(*table, GMEM_GFP);
		if (!table)
			return -ENOMEM;

		err = xa_err(xa_store(&gi->blocks, gmem_key(index),
				      xa_tag_pointer(table, GMEM_TABLE_TAG),
				      GMEM_GFP));
		if (err) {
			kfree(table);
			return err;
		}
	} else {
		table = gmem_to_table(entry);
	}

	/* gmem_peek() takes no lock: what it finds has been zeroed. */
	smp_store_release(&table->page[index % GMEM_CHUNK_PAGES], page);
	return 0;
}

/* A single page in a file of 4 KiB blocks, or where no bigger block was free. */
static int gmem_fill_page(struct gmem_inode *gi, pgoff_t index,
			  struct gmem_backing *b)
{
	struct page *page;
	void *loan = NULL;
	int err;

	page = gi->source->take(gi, index, 0, 0, &loan);
	if (IS_ERR(page))
		return PTR_ERR(page);

	/*
	 * Memory failure finds the inode and where to look in it by the page:
	 * type last, see gmem_free_page() for the other side. Before the page is
	 * written to, since that may be when it fails.
	 */
	page->__folio_index = index;
	set_page_private(page, (unsigned long)gi);
	/* Pairs with the reads of memory failure. */
	smp_wmb();
	__SetPageGmem(page);

	err = gmem_zero(page, 0);
	if (err)
		goto err_give;

	if (gmem_hides(gi)) {
		err = gmem_hide(page, 1);
		if (err)
			goto err_give;
	}

	err = gmem_store_page(gi, index, page);
	if (err)
		goto err_unhide;

	gmem_count_block(gi, index, page_to_pfn(page), 0, 1);
	inode_add_bytes(&gi->inode, PAGE_SIZE);
	trace_gmem_alloc(gmem_ino(gi), index, 0);
	b->block = NULL;
	b->page = page;
	return 0;

err_unhide:
	gmem_unhide_page(gi, page);
err_give:
	gmem_free_page(page, gi->objcg);
	return err;
}

/**
 * gmem_store_range - one entry for a range of keys, all or nothing
 * @xa: array, empty there
 * @first: key
 * @last: key
 * @entry: what to store
 * @gfp: for its nodes
 *
 * Return: 0 or -ENOMEM.
 */
int gmem_store_range(struct xarray *xa, unsigned long first, unsigned long last,
		     void *entry, gfp_t gfp)
{
	int err;

	/* xa_store_range() would make room for the largest aligned range. */
	if (first == last)
		return xa_err(xa_store(xa, first, entry, gfp));

	err = xa_err(xa_store_range(xa, first, last, entry, gfp));
	if (err)
		xa_store_range(xa, first, last, NULL, gfp);
	return err;
}

static int gmem_store_block(struct gmem_inode *gi, struct gmem_block *block)
{
	unsigned long first = gmem_key(block->index);
	unsigned long last = first + gmem_nr_chunks(block->order) - 1;

	return gmem_store_range(&gi->blocks, first, last, block, GMEM_GFP);
}

static int gmem_fill_block(struct gmem_inode *gi, pgoff_t index,
			   unsigned int order, unsigned int take_flags,
			   struct gmem_backing *b)
{
	struct gmem_block *block;
	struct page *page;
	int err;

	block = kzalloc_flex(*block, chunk, gmem_nr_chunks(order),
			     GMEM_GFP);
	if (!block)
		return -ENOMEM;

	block->index = round_down(index, 1UL << order);
	page = gi->source->take(gi, block->index, order, take_flags, &block->loan);
	if (IS_ERR(page)) {
		kfree(block);
		return PTR_ERR(page);
	}

	block->pfn = page_to_pfn(page);
	block->gi = gi;
	block->source = gi->source;
	block->order = order;
	block->state = GMEM_INTACT;
	block->hvo = gmem_vmemmap_is_optimized(page, order);
	INIT_LIST_HEAD(&block->orphan);
	__SetPageGmem(page);

	err = gmem_zero(page, order);
	if (err)
		goto err_destroy;

	if (gmem_hides(gi)) {
		err = gmem_hide(page, 1UL << order);
		if (err)
			goto err_destroy;
		block->hidden = true;
	}

	err = gmem_register_block(block);
	if (err)
		goto err_destroy;

	err = gmem_store_block(gi, block);
	if (err)
		goto err_unregister;

	gmem_count_block(gi, block->index, block->pfn, order, 1);
	inode_add_bytes(&gi->inode, PAGE_SIZE << order);
	trace_gmem_alloc(gmem_ino(gi), block->index, order);
	gmem_block_backing(block, index, b);
	return 0;

err_unregister:
	gmem_unregister_block(block);
err_destroy:
	gmem_destroy_block(block);
	return err;
}

/* The largest order that can be tried: a gigabyte must be wholly absent. */
static unsigned int gmem_fill_order(struct gmem_inode *gi, pgoff_t index,
				    unsigned int take_flags)
{
	unsigned long first, last;

	if (!gi->order)
		return 0;
	if (xa_load(&gi->blocks, gmem_key(index)))
		return 0;
	if (gi->order == PMD_ORDER || !gi->source->fallback)
		return gi->order;

	first = gmem_key(round_down(index, 1UL << PUD_ORDER));
	last = first + gmem_nr_chunks(PUD_ORDER) - 1;
	if (!(take_flags & GMEM_TAKE_CONTIG) ||
	    time_before(jiffies, gi->contig_retry) ||
	    xa_find(&gi->blocks, &first, last, XA_PRESENT))
		return PMD_ORDER;

	return PUD_ORDER;
}

static int gmem_fill(struct gmem_inode *gi, pgoff_t index,
		     unsigned int take_flags, struct gmem_backing *b)
{
	unsigned int order = gmem_fill_order(gi, index, take_flags);
	int err;

	for (;;) {
		if (!order)
			return gmem_fill_page(gi, index, b);

		err = gmem_fill_block(gi, index, order, take_flags, b);
		if (err != -ENOMEM || !gi->source->fallback)
			return err;

		/* Do not scan all of memory again for each gigabyte to come. */
		if (order == PUD_ORDER)
			gi->contig_retry = jiffies + HZ;
		order = order == PUD_ORDER ? PMD_ORDER : 0;
	}
}

/**
 * gmem_populate - see to it that an index is backed
 * @gi: inode
 * @index: in pages, within the file
 * @take_flags: GMEM_TAKE_*
 * @b: result
 *
 * Context: invalidate_lock held in either mode; takes the slot mutex.
 * Return: 0, -ENOMEM or -EINTR.
 */
int gmem_populate(struct gmem_inode *gi, pgoff_t index, unsigned int take_flags,
		  struct gmem_backing *b)
{
	struct mutex *lock;	/* of the slot */
	int err = 0;

	if (gmem_lookup(gi, index, b))
		return 0;

	lock = gmem_slot_mutex(gi, index);
	mutex_lock(lock);
	if (!gmem_lookup(gi, index, b))
		err = gmem_fill(gi, index, take_flags, b);
	mutex_unlock(lock);

	return err;
}

/**
 * gmem_next_present - the next run of present pages
 * @gi: inode
 * @index: where to start; set to where the run starts
 * @end: where to stop
 * @b: backing of the first page of the run
 * @nr: length of the run: to the end of its block, but not beyond @end
 *
 * Context: invalidate_lock held.
 * Return: false if there is nothing before @end.
 */
bool gmem_next_present(struct gmem_inode *gi, pgoff_t *index, pgoff_t end,
		       struct gmem_backing *b, unsigned long *nr)
{
	struct gmem_table *table;
	unsigned long key;
	pgoff_t start;
	void *entry;

	gmem_assert_held(gi);

	if (*index >= end)
		return false;

	if (!gi->order) {
		b->block = NULL;
		b->page = xa_find(&gi->blocks, index, end - 1, XA_PRESENT);
		*nr = 1;
		return b->page;
	}

	for (start = *index; start < end; start = (key + 1) << GMEM_CHUNK_ORDER) {
		key = gmem_key(start);
		/* Half as long as the search, and mostly it is there. */
		entry = xa_load(&gi->blocks, key);
		if (!entry)
			entry = xa_find(&gi->blocks, &key, gmem_key(end - 1),
					XA_PRESENT);
		if (!entry)
			return false;

		start = max(start, key << GMEM_CHUNK_ORDER);
		if (!gmem_is_table(entry)) {
			struct gmem_block *block = entry;

			gmem_block_backing(block, start, b);
			*index = start;
			*nr = min(end, block->index + gmem_block_pages(block)) - start;
			return true;
		}

		table = gmem_to_table(entry);
		for (; start < end && gmem_key(start) == key; start++) {
			b->block = NULL;
			b->page = table->page[start % GMEM_CHUNK_PAGES];
			if (!b->page)
				continue;
			*index = start;
			*nr = 1;
			return true;
		}
	}
	return false;
}

/**
 * gmem_nr_present - how many indices of a range have memory?
 * @gi: inode
 * @start: first index
 * @end: index behind the last one
 *
 * Context: invalidate_lock held; may sleep.
 */
unsigned long gmem_nr_present(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	unsigned long nr, present = 0;
	struct gmem_backing b;

	for (; gmem_next_present(gi, &start, end, &b, &nr); start += nr) {
		present += nr;
		cond_resched();
	}
	return present;
}

/**
 * gmem_walk_pages - call a function for pages that are in no block
 * @gi: inode
 * @index: where to begin
 * @fn: may not sleep; the page may just be going away
 * @arg: passed to @fn
 *
 * Ends with the first 2 MiB that there is any memory in.
 *
 * Context: rcu_read_lock() held.
 * Return: where to go on, 0 if there is no more.
 */
pgoff_t gmem_walk_pages(struct gmem_inode *gi, pgoff_t index, gmem_page_fn fn,
			void *arg)
{
	unsigned long key = gi->order ? gmem_key(index) : index;
	void *entry = xa_find(&gi->blocks, &key, ULONG_MAX, XA_PRESENT);
	pgoff_t end;

	if (!entry)
		return 0;
	if (!gi->order) {
		end = round_down(key, GMEM_CHUNK_PAGES) + GMEM_CHUNK_PAGES;
		xa_for_each_range(&gi->blocks, key, entry, key, end - 1)
			fn(gi, key, entry, arg);
		return end;
	}

	index = key << GMEM_CHUNK_ORDER;
	end = index + GMEM_CHUNK_PAGES;
	for (; gmem_is_table(entry) && index < end; index++) {
		struct page *page;

		page = READ_ONCE(gmem_to_table(entry)->page[index % GMEM_CHUNK_PAGES]);
		if (page)
			fn(gi, index, page, arg);
	}
	return end;
}

/**
 * gmem_get_chunk - the side record of 2 MiB of a block
 * @block: block
 * @offset: of a page in the block
 * @gfp: to allocate it with
 *
 * Context: slot mutex, or invalidate_lock held exclusively.
 * Return: the chunk, or NULL if there is no memory for it.
 */
struct gmem_chunk *gmem_get_chunk(struct gmem_block *block, unsigned long offset,
				  gfp_t gfp)
{
	struct gmem_chunk *chunk = gmem_chunk_of(block, offset);

	if (chunk)
		return chunk;

	chunk = kzalloc_obj(*chunk, gfp);
	if (chunk) {
		/* Pairs with the dependency of readers in gmem_chunk_of(). */
		smp_store_release(&block->chunk[offset >> GMEM_CHUNK_ORDER],
				  chunk);
	}
	return chunk;
}

/**
 * gmem_set_live - note that a page has become live, or no longer is
 * @gi: inode, for its counters
 * @index: in pages
 * @b: its backing; the chunk exists
 * @live: new state
 *
 * Context: slot mutex, or invalidate_lock held exclusively.
 */
void gmem_set_live(struct gmem_inode *gi, pgoff_t index,
		   const struct gmem_backing *b, bool live)
{
	unsigned long bit;

	if (b->block) {
		bit = gmem_block_offset(b);
		__assign_bit(bit % GMEM_CHUNK_PAGES,
			     gmem_chunk_of(b->block, bit)->live, live);
		b->block->nr_live += live ? 1 : -1;
	} else if (!gi->order && live) {
		xa_set_mark(&gi->blocks, index, GMEM_LIVE_MARK);
	} else if (!gi->order) {
		xa_clear_mark(&gi->blocks, index, GMEM_LIVE_MARK);
	}
	gmem_count(gi, GMEM_LIVE, live ? 1 : -1);
}

/**
 * gmem_is_poisoned - has memory failure condemned this page?
 * @b: backing of the page
 *
 * Return: true if so; it is for nobody's use then.
 */
bool gmem_is_poisoned(const struct gmem_backing *b)
{
	unsigned long offset;
	struct gmem_chunk *chunk;

	if (!b->block)
		return PageHWPoison(b->page);

	if (!READ_ONCE(b->block->nr_poison))
		return false;

	offset = gmem_block_offset(b);
	chunk = gmem_chunk_of(b->block, offset);
	return chunk && test_bit(offset % GMEM_CHUNK_PAGES, chunk->poison);
}

/**
 * gmem_clean_order - the order at which the memory around a page may be mapped
 * @b: backing of the page, which itself is not poisoned
 * @index: of the page
 *
 * Return: PUD_ORDER, PMD_ORDER or 0.
 */
unsigned int gmem_clean_order(const struct gmem_backing *b, pgoff_t index)
{
	struct gmem_block *block = b->block;
	struct gmem_chunk *chunk;

	if (!block)
		return 0;
	if (!READ_ONCE(block->nr_poison))
		return block->order;

	chunk = gmem_chunk_of(block, gmem_block_offset(b));
	if (chunk && !bitmap_empty(chunk->poison, GMEM_CHUNK_PAGES))
		return 0;
	return PMD_ORDER;
}
