// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: the states of a struct page
 *
 *	intact		part of the compound page that the source gave, no
 *			reference, type PGTY_gmem in the head
 *	dissolved	stands alone, no reference, typed
 *	live		stands alone, no type, one reference of gmem's own and
 *			those of host mappings and whoever looked them up
 *
 * A page is published out of a dissolved block only: as long as the block is
 * compound, every tail resolves to page 0, and once that is live a walker of
 * page frames would take its reference for any private page of the block.
 * Pages 1 to 3 of a compound page moreover carry fields that read as flags,
 * mapping and memcg data.
 */
#include <linux/memcontrol.h>
#include <linux/page_owner.h>
#include <linux/pagemap.h>
#include <linux/pgalloc_tag.h>
#include <linux/vmstat.h>

#include <trace/events/gmem.h>

#include "internal.h"

/**
 * gmem_freeze_fields - bring a page to its frozen form
 * @page: page without references, writable
 * @gi: owner of a single page; NULL for one of a block
 *
 * The type is set before the link to the head goes, so that at no time it looks
 * like a free page to those who only see a reference count of 0.
 */
void gmem_freeze_fields(struct page *page, struct gmem_inode *gi)
{
	set_page_private(page, (unsigned long)gi);
	/* Memory failure trusts private once a page with the type is no head. */
	smp_wmb();
	page->flags.f &= ~PAGE_FLAGS_CHECK_AT_PREP;
	page_cpupid_reset_last(page);
#ifdef CONFIG_MEMCG
	page->memcg_data = 0;
#endif
	/* And private and index once a single page has the type. */
	smp_wmb();
	page->page_type = (unsigned int)PGTY_gmem << 24;
	/* Until then the mapping. Typed before it stands alone, too. */
	smp_wmb();
	page->mapping = NULL;
	INIT_LIST_HEAD(&page->lru);
}

/**
 * gmem_dissolve - from one compound page to pages that stand alone
 * @block: block; nothing happens if it is dissolved already
 *
 * Allocates nothing and cannot fail.
 *
 * Context: slot mutex, or the last user of the block. May sleep.
 */
void gmem_dissolve(struct gmem_block *block)
{
	struct page *head = pfn_to_page(block->pfn);
	unsigned long i;

	if (block->state == GMEM_DISSOLVED)
		return;

	if (block->hvo) {
		gmem_vmemmap_dissolve(block);
	} else {
		/* Tails first: without a head there is nothing to be tail of. */
		for (i = gmem_block_pages(block) - 1; i; i--) {
			gmem_freeze_fields(pfn_to_page(block->pfn + i), NULL);
			if (!(i % GMEM_CHUNK_PAGES))
				cond_resched();
		}
		gmem_freeze_fields(head, NULL);
	}
	WRITE_ONCE(block->state, GMEM_DISSOLVED);
}

/**
 * gmem_mark_poison - set PG_hwpoison on the poisoned pages of a block
 * @block: about to be freed page by page, all of its struct pages writable;
 *	dissolved first if it is not
 *
 * Until then poison is in the chunks only: the flag cannot be written in an
 * optimized block.
 */
void gmem_mark_poison(struct gmem_block *block)
{
	struct page *head = pfn_to_page(block->pfn);
	unsigned long i, bit;

	gmem_dissolve(block);

	/* Not when dissolved: it may go back to a pool as a compound page. */
	split_page_owner(head, block->order, 0);
	pgalloc_tag_split(page_folio(head), block->order, 0);

	for (i = 0; i < gmem_nr_chunks(block->order); i++) {
		if (!block->chunk[i])
			continue;
		for_each_set_bit(bit, block->chunk[i]->poison, GMEM_CHUNK_PAGES)
			SetPageHWPoison(head + i * GMEM_CHUNK_PAGES + bit);
	}
}

static void gmem_make_live(struct gmem_inode *gi, pgoff_t index,
			   struct page *page)
{
	struct folio *folio = (struct folio *)page;

	VM_WARN_ON_ONCE(PageCompound(page));
	VM_WARN_ON_ONCE(page_ref_count(page));

	folio->mapping = gi->inode.i_mapping;
	folio->index = index;
	__folio_mark_uptodate(folio);
	/* Pairs with the reads of memory failure, as in gmem_freeze_fields(). */
	smp_wmb();
	__ClearPageGmem(page);
	/* And gone before private goes. */
	smp_wmb();
	set_page_private(page, 0);
	/* Last, and with release semantics: see gmem_is_live(). */
	page_ref_unfreeze(page, 1);
}

static void gmem_make_range_live(struct gmem_inode *gi, pgoff_t index,
				 struct gmem_backing b, unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++, b.page++) {
		if (gmem_is_live(b.page) || (nr > 1 && gmem_is_poisoned(&b)))
			continue;
		gmem_make_live(gi, index + i, b.page);
		gmem_set_live(gi, index + i, &b, true);
	}
}

/*
 * live: of the block, or of the single page, before. Out of the way of a loop over
 * pages.
 */
static noinline void gmem_trace_publish(struct gmem_inode *gi, pgoff_t index,
					const struct gmem_backing *b,
					unsigned long nr, unsigned int live)
{
	live = (b->block ? b->block->nr_live : 1) - live;
	if (live)
		trace_gmem_publish(gmem_ino(gi), index, index + nr, live);
}

/**
 * gmem_publish - make the struct pages of shared pages live
 * @gi: inode
 * @index: of the first, in pages
 * @b: its backing
 * @nr: number of pages, adjacent in the backing and under one vmemmap page.
 *	Poisoned ones are left out, unless there is only one.
 *
 * Context: invalidate_lock held; takes the slot mutex. May sleep.
 * Return: 0, or -ENOMEM if there is no memory for the records or the vmemmap
 * that a live page needs.
 */
int gmem_publish(struct gmem_inode *gi, pgoff_t index,
		 const struct gmem_backing *b, unsigned long nr)
{
	struct mutex *lock = gmem_slot_mutex(gi, index);
	unsigned int live;
	int err = 0;

	gmem_assert_held(gi);
	VM_WARN_ON_ONCE(page_to_pfn(b->page) / GMEM_VMEMMAP_PAGES !=
			(page_to_pfn(b->page) + nr - 1) / GMEM_VMEMMAP_PAGES);

	if (nr == 1 && gmem_is_live(b->page))
		return 0;

	mutex_lock(lock);
	live = b->block ? b->block->nr_live : gmem_is_live(b->page);
	if (b->block) {
		unsigned long offset = gmem_block_offset(b);

		if (!gmem_get_chunk(b->block, offset, GMEM_GFP)) {
			err = -ENOMEM;
			goto unlock;
		}

		gmem_dissolve(b->block);
		if (b->block->hvo) {
			err = gmem_vmemmap_make_real(b->block, offset);
			if (err)
				goto unlock;
		}
	}

	gmem_make_range_live(gi, index, *b, nr);
	if (trace_gmem_publish_enabled())
		gmem_trace_publish(gi, index, b, nr, live);
unlock:
	mutex_unlock(lock);
	return err;
}

/* The inverse of gmem_make_live(), for a page nobody references any more. */
static void gmem_withdraw(struct page *page, struct gmem_inode *gi)
{
	struct folio *folio = page_folio(page);

	VM_WARN_ON_ONCE(folio_ref_count(folio));
	VM_WARN_ON_ONCE(folio_mapped(folio));
	VM_WARN_ON_ONCE(folio_test_mlocked(folio));

	gmem_freeze_fields(page, gi);
}

typedef bool (*gmem_live_fn)(struct gmem_inode *gi, pgoff_t index,
			     struct gmem_backing *b);

/* Of @nr pages of a block from @b on. */
static bool gmem_walk_live_block(struct gmem_inode *gi, struct gmem_backing *b,
				 unsigned long nr, gmem_live_fn fn, pgoff_t *last)
{
	unsigned long first = gmem_block_offset(b), end = first + nr;
	unsigned long offset, base, bit, stop;
	struct gmem_block *block = b->block;
	struct gmem_chunk *chunk;

	for (offset = first; offset < end; offset = base + GMEM_CHUNK_PAGES) {
		base = round_down(offset, GMEM_CHUNK_PAGES);
		chunk = gmem_chunk_of(block, offset);
		if (!chunk)
			continue;

		bit = offset - base;
		stop = min(end - base, GMEM_CHUNK_PAGES);
		for_each_set_bit_from(bit, chunk->live, stop) {
			offset = base + bit;
			b->page = pfn_to_page(block->pfn + offset);
			*last = block->index + offset;
			if (!fn(gi, *last, b))
				return false;
		}
		cond_resched();
	}
	return true;
}

/*
 * Call @fn for each live page of [start, end) until it returns false. Pages may
 * be withdrawn from within.
 */
static bool gmem_walk_live(struct gmem_inode *gi, pgoff_t start, pgoff_t end,
			   gmem_live_fn fn, pgoff_t *last)
{
	struct gmem_backing b;
	unsigned long nr;

	if (!atomic_long_read(&gi->stat[GMEM_LIVE]))
		return true;

	for (; gmem_next_present(gi, &start, end, &b, &nr); start += nr) {
		if (!b.block) {
			*last = start;
			/* Frozen ones are typed, live ones not. */
			if (!PageGmem(b.page) && !fn(gi, start, &b))
				return false;
			continue;
		}
		if (b.block->nr_live &&
		    !gmem_walk_live_block(gi, &b, nr, fn, last))
			return false;
	}
	return true;
}

static bool gmem_freeze_one(struct gmem_inode *gi, pgoff_t index,
			    struct gmem_backing *b)
{
	return page_ref_freeze(b->page, 1);
}

static bool gmem_thaw_one(struct gmem_inode *gi, pgoff_t index,
			  struct gmem_backing *b)
{
	page_ref_unfreeze(b->page, 1);
	return true;
}

static bool gmem_withdraw_one(struct gmem_inode *gi, pgoff_t index,
			      struct gmem_backing *b)
{
	gmem_set_live(gi, index, b, false);
	gmem_withdraw(b->page, b->block ? NULL : gi);
	return true;
}

/**
 * gmem_freeze_live - take gmem's own reference from each live page, if it is
 *	the only one
 * @gi: inode
 * @start: first index
 * @end: index behind the last one
 * @busy: set on failure to the index that somebody holds
 *
 * Context: invalidate_lock held exclusively, user mappings gone.
 * Return: 0, or -EAGAIN with nothing changed.
 */
int gmem_freeze_live(struct gmem_inode *gi, pgoff_t start, pgoff_t end,
		     pgoff_t *busy)
{
	pgoff_t last;

	gmem_assert_held_write(gi);

	if (gmem_walk_live(gi, start, end, gmem_freeze_one, busy))
		return 0;

	gmem_walk_live(gi, start, *busy, gmem_thaw_one, &last);
	return -EAGAIN;
}

static void gmem_trace_withdraw(struct gmem_inode *gi, pgoff_t start, pgoff_t end,
				unsigned long nr)
{
	if (nr)
		trace_gmem_withdraw(gmem_ino(gi), start, end, nr);
}

/**
 * gmem_withdraw_frozen - make the pages frozen that gmem_freeze_live() stopped
 * @gi: inode
 * @start: first index
 * @end: index behind the last one
 *
 * Context: invalidate_lock held exclusively. Cannot fail.
 */
void gmem_withdraw_frozen(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	long live = atomic_long_read(&gi->stat[GMEM_LIVE]);
	pgoff_t last;

	gmem_assert_held_write(gi);
	gmem_walk_live(gi, start, end, gmem_withdraw_one, &last);

	/* Nobody publishes meanwhile. */
	if (trace_gmem_withdraw_enabled())
		gmem_trace_withdraw(gi, start, end,
				    live - atomic_long_read(&gi->stat[GMEM_LIVE]));
}

/**
 * gmem_abandon_page - withdraw a live page of a file that is gone
 * @page: live page in no file and no mapping
 *
 * Context: process context; takes the folio lock, so no lock of ours that is
 * taken under one.
 * Return: true if it is frozen now; false if somebody holds it. It then no
 * longer points to the inode.
 */
bool gmem_abandon_page(struct page *page)
{
	struct folio *folio = page_folio(page);

	if (page_ref_freeze(page, 1)) {
		gmem_withdraw(page, NULL);
		return true;
	}

	/* Whoever marks it dirty looks at the mapping under this lock. */
	if (folio->mapping) {
		folio_lock(folio);
		folio->mapping = NULL;
		folio_unlock(folio);
	}
	return false;
}

/**
 * gmem_abandon_block - withdraw what can be withdrawn of a block
 * @block: of a file that is gone, or an orphan
 *
 * Return: true if no page is live any more.
 */
bool gmem_abandon_block(struct gmem_block *block)
{
	unsigned int nr_live = block->nr_live;
	unsigned long i, bit;

	for (i = 0; i < gmem_nr_chunks(block->order) && block->nr_live; i++) {
		struct gmem_chunk *chunk = block->chunk[i];

		if (!chunk)
			continue;
		for_each_set_bit(bit, chunk->live, GMEM_CHUNK_PAGES) {
			unsigned long offset = i * GMEM_CHUNK_PAGES + bit;

			if (!gmem_abandon_page(pfn_to_page(block->pfn + offset)))
				continue;
			__clear_bit(bit, chunk->live);
			block->nr_live--;
			gmem_count(block->gi, GMEM_LIVE, -1);
		}
		cond_resched();
	}
	gmem_trace_withdraw(block->gi, block->index,
			    block->index + gmem_block_pages(block),
			    nr_live - block->nr_live);
	return !block->nr_live;
}
