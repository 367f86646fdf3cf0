// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: how memory leaves an inode: what a hole covers, and all of it in the end
 */
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include <trace/events/gmem.h>

#include "internal.h"

/**
 * gmem_unhide_page - bring a single page back into the direct map
 * @gi: inode
 * @page: of it; nothing happens if it was not hidden
 *
 * What was hidden alone comes back without a leaf being split.
 */
void gmem_unhide_page(struct gmem_inode *gi, struct page *page)
{
	if (gmem_hides(gi) && !(PageHWPoison(page) && gmem_hardware_failed()))
		WARN_ON_ONCE(gmem_unhide(page, 1));
}

/*
 * Bad memory stays unmapped, as it does elsewhere. That takes smaller leaves; if
 * there is no memory for them, all of it comes back.
 */
static void gmem_unhide_block(struct gmem_block *block)
{
	struct page *head = pfn_to_page(block->pfn);
	unsigned long i, end, nr = gmem_block_pages(block);
	struct gmem_backing b = { .block = block };
	int err = 0;

	for (i = 0; i < nr; i = end + 1) {
		end = block->nr_poison && gmem_hardware_failed() ? i : nr;
		for (b.page = head + end; end < nr && !gmem_is_poisoned(&b); end++)
			b.page++;
		if (end > i)
			err = err ?: gmem_unhide(head + i, end - i);
	}
	if (err)
		err = gmem_unhide(head, nr);
	WARN_ON_ONCE(err);
}

/**
 * gmem_destroy_block - give the memory of a block back, and free its record
 * @block: no page of it live, in no table and not registered any more
 *
 * Context: process context, may sleep.
 */
void gmem_destroy_block(struct gmem_block *block)
{
	unsigned long i;

	if (block->hidden)
		gmem_unhide_block(block);
	block->source->give(block);
	for (i = 0; i < gmem_nr_chunks(block->order); i++)
		kfree(block->chunk[i]);
	kfree_rcu(block, rcu);
}

/**
 * gmem_free_page - give a single page back
 * @page: frozen page, in no table any more
 * @objcg: that it was charged to, or NULL
 */
void gmem_free_page(struct page *page, struct obj_cgroup *objcg)
{
	VM_WARN_ON_ONCE(page_ref_count(page));

	__ClearPageGmem(page);
	/* Pairs with the reads of memory failure. */
	smp_wmb();
	set_page_private(page, 0);
	gmem_buddy_give_page(page, objcg);
}

/**
 * gmem_free_block - give a block back
 * @block: no page of it live, in no table any more, poison included
 *
 * Context: process context, may sleep.
 */
void gmem_free_block(struct gmem_block *block)
{
	struct gmem_inode *gi = block->gi;

	VM_WARN_ON_ONCE(block->nr_live);

	if (gi) {
		gmem_count_block(gi, block->index, block->pfn, block->order, -1);
		inode_sub_bytes(&gi->inode, PAGE_SIZE << block->order);
	} else {
		gmem_count(NULL, gmem_blocks_counter(block->order), -1);
	}
	gmem_count(gi, GMEM_POISONED, -(long)block->nr_poison);
	trace_gmem_free(gmem_ino(gi), block->index, block->order);

	gmem_unregister_block(block);
	gmem_destroy_block(block);
}

static void gmem_drop_page(struct gmem_inode *gi, pgoff_t index, struct page *page)
{
	gmem_unhide_page(gi, page);
	gmem_count_block(gi, index, page_to_pfn(page), 0, -1);
	if (PageHWPoison(page))
		gmem_count(gi, GMEM_POISONED, -1);
	inode_sub_bytes(&gi->inode, PAGE_SIZE);
}

static void gmem_give_page(struct gmem_inode *gi, pgoff_t index, struct page *page)
{
	gmem_drop_page(gi, index, page);
	trace_gmem_free(gmem_ino(gi), index, 0);
	gmem_free_page(page, gi->objcg);
}

/* Empty [start, end) of a table, and free it if nothing is left. */
static void gmem_free_table_range(struct gmem_inode *gi, struct gmem_table *table,
				  pgoff_t start, pgoff_t end)
{
	pgoff_t index;

	for (index = start; index < end; index++) {
		struct page *page = table->page[index % GMEM_CHUNK_PAGES];

		if (!page)
			continue;
		table->page[index % GMEM_CHUNK_PAGES] = NULL;
		gmem_give_page(gi, index, page);
	}

	if (memchr_inv(table, 0, sizeof(*table)))
		return;
	xa_erase(&gi->blocks, gmem_key(start));
	kfree_rcu_mightsleep(table);
}

/**
 * gmem_free_range - give back the blocks that a range covers whole
 * @gi: inode
 * @start: first index
 * @end: index behind the last one
 *
 * Context: invalidate_lock held exclusively; no page of the range is live or
 * mapped by anybody.
 */
void gmem_free_range(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	pgoff_t index = start;
	struct gmem_backing b;
	unsigned long nr;

	gmem_assert_held_write(gi);

	while (gmem_next_present(gi, &index, end, &b, &nr)) {
		if (b.block) {
			if (nr == gmem_block_pages(b.block)) {
				xa_erase(&gi->blocks, gmem_key(index));
				gmem_free_block(b.block);
			}
			index += nr;
		} else if (gi->order) {
			nr = min(end, round_down(index, GMEM_CHUNK_PAGES) +
				      GMEM_CHUNK_PAGES) - index;
			gmem_free_table_range(gi, gmem_to_table(xa_load(&gi->blocks,
									gmem_key(index))),
					      index, index + nr);
			index += nr;
		} else {
			xa_erase(&gi->blocks, index);
			gmem_give_page(gi, index, b.page);
			index++;
		}
		cond_resched();
	}
}

static void gmem_evict_page(struct gmem_inode *gi, pgoff_t index, struct page *page)
{
	if (gmem_is_live(page)) {
		if (!gmem_abandon_page(page)) {
			gmem_drop_page(gi, index, page);
			gmem_orphan_page(page, gi->objcg);
			return;
		}
		gmem_count(gi, GMEM_LIVE, -1);
		trace_gmem_withdraw(gmem_ino(gi), index, index + 1, 1);
	}
	gmem_give_page(gi, index, page);
}

static void gmem_evict_block(struct gmem_inode *gi, struct gmem_block *block)
{
	if (!block->nr_live || gmem_abandon_block(block)) {
		gmem_free_block(block);
		return;
	}

	/* Still counted for the machine, no longer for the inode. */
	gmem_count_block(gi, block->index, block->pfn, block->order, -1);
	gmem_count(NULL, gmem_blocks_counter(block->order), 1);
	WRITE_ONCE(block->gi, NULL);
	gmem_orphan_block(block);
}

/**
 * gmem_evict_blocks - take all memory from an inode that nobody uses any more
 * @gi: inode
 *
 * Cannot fail: what somebody still holds becomes an orphan.
 *
 * Context: invalidate_lock held exclusively.
 */
void gmem_evict_blocks(struct gmem_inode *gi)
{
	struct gmem_table *table;
	unsigned long key, i;
	void *entry;

	gmem_assert_held_write(gi);

	xa_for_each(&gi->blocks, key, entry) {
		xa_erase(&gi->blocks, key);
		if (!gi->order) {
			gmem_evict_page(gi, key, entry);
		} else if (gmem_is_table(entry)) {
			table = gmem_to_table(entry);
			for (i = 0; i < GMEM_CHUNK_PAGES; i++)
				if (table->page[i])
					gmem_evict_page(gi, (key << GMEM_CHUNK_ORDER) + i,
							table->page[i]);
			kfree_rcu_mightsleep(table);
		} else {
			gmem_evict_block(gi, entry);
		}
		cond_resched();
	}

	VM_WARN_ON_ONCE(gmem_bytes_held(gi) || gi->held_shared);
	VM_WARN_ON_ONCE(!xa_empty(&gi->blocks));
}
