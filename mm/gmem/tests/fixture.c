// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: what the KUnit suites have in common
 */
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/hugetlb.h>
#include <linux/jiffies.h>
#include <linux/memcontrol.h>

#include "../../internal.h"
#include "../../page_alloc.h"
#include "fixture.h"

/* How often to look again at a page frame that does not seem to be free. */
#define GMEM_TEST_FREE_TRIES	20

/**
 * gmem_test_close - close the file, at once
 * @gt: test
 */
void gmem_test_close(struct gmem_test *gt)
{
	struct file *file = gt->file;

	if (!file)
		return;
	gt->file = NULL;
	gt->gi = NULL;
	__fput_sync(file);
}

/**
 * gmem_test_attach - one more consumer of the inode
 * @gt: test
 * @nr: of the view
 */
void gmem_test_attach(struct gmem_test *gt, unsigned int nr)
{
	gmem_add_view(&gt->gi->inode, &gt->view[nr].view);
	gt->view[nr].attached = true;
}

/**
 * gmem_test_reset - forget what the consumers have noted
 * @gt: test
 */
void gmem_test_reset(struct gmem_test *gt)
{
	gt->trace[0] = '\0';
	gt->nr_shared = 0;
	gt->nr_private = 0;
}

int gmem_test_populate(struct gmem_test *gt, pgoff_t index,
		       unsigned int take_flags, struct gmem_backing *b)
{
	struct address_space *mapping = gt->gi->inode.i_mapping;
	int err;

	filemap_invalidate_lock_shared(mapping);
	err = gmem_populate(gt->gi, index, take_flags, b);
	filemap_invalidate_unlock_shared(mapping);
	return err;
}

bool gmem_test_lookup(struct gmem_test *gt, pgoff_t index,
		      struct gmem_backing *b)
{
	struct address_space *mapping = gt->gi->inode.i_mapping;
	bool found;

	filemap_invalidate_lock_shared(mapping);
	found = gmem_lookup(gt->gi, index, b);
	filemap_invalidate_unlock_shared(mapping);
	return found;
}

int gmem_test_publish(struct gmem_test *gt, pgoff_t index, struct gmem_backing *b)
{
	struct address_space *mapping = gt->gi->inode.i_mapping;
	int err;

	filemap_invalidate_lock_shared(mapping);
	err = gmem_populate(gt->gi, index, 0, b);
	if (!err)
		err = gmem_publish(gt->gi, index, b, 1);
	filemap_invalidate_unlock_shared(mapping);
	return err;
}

int gmem_test_withdraw(struct gmem_test *gt, pgoff_t start, pgoff_t end,
		       pgoff_t *busy)
{
	struct address_space *mapping = gt->gi->inode.i_mapping;
	int err;

	filemap_invalidate_lock(mapping);
	err = gmem_freeze_live(gt->gi, start, end, busy);
	if (!err)
		gmem_withdraw_frozen(gt->gi, start, end);
	filemap_invalidate_unlock(mapping);
	return err;
}

struct page *gmem_test_must_populate(struct gmem_test *gt, pgoff_t index)
{
	struct gmem_backing b;

	KUNIT_ASSERT_EQ(gt->test, 0, gmem_test_populate(gt, index, 0, &b));
	return b.page;
}

struct page *gmem_test_must_publish(struct gmem_test *gt, pgoff_t index)
{
	struct gmem_backing b;

	KUNIT_ASSERT_EQ(gt->test, 0, gmem_test_publish(gt, index, &b));
	return b.page;
}

static const char *gmem_test_live_state(struct gmem_test *gt, pgoff_t index,
					struct page *page)
{
	struct folio *folio = (struct folio *)page;

	if (PageCompound(page))
		return "live in a compound page";
	if (page_has_type(page) || folio_mapped(folio))
		return "live with a type, or mapped";
	if (folio->mapping != gt->gi->inode.i_mapping)
		return "live in a foreign mapping";
	if (folio->index != index)
		return "live at a foreign index";
	if (page_private(page))
		return "live with private data";
	if (!folio_test_uptodate(folio) || folio_test_lru(folio) ||
	    folio_test_locked(folio) || folio_test_dirty(folio))
		return "live with wrong flags";
	return page_ref_count(page) == 1 ? "live" : "held";
}

static const char *gmem_test_frozen_state(struct page *page, void *private,
					  bool listed)
{
	if (page->page_type != (unsigned int)PGTY_gmem << 24)
		return "frozen with a wrong type";
	if (page->mapping)
		return "frozen with a mapping";
	if (page_private(page) != (unsigned long)private)
		return "frozen with wrong private data";
	if (page->flags.f & PAGE_FLAGS_CHECK_AT_PREP)
		return "frozen with flags";
	if (listed && !list_empty(&page->lru))
		return "frozen on a list";
#ifdef CONFIG_MEMCG
	if (page->memcg_data)
		return "frozen with memcg data";
#endif
	return "frozen";
}

static const char *gmem_test_block_state(const struct gmem_backing *b)
{
	struct page *head = pfn_to_page(b->block->pfn);

	if (compound_head(b->page) != head || compound_order(head) != b->block->order)
		return "in a foreign compound page";
	if (b->page == head)
		return PageGmem(head) ? "head" : "head without the type";
	return page_has_type(b->page) ? "tail with a type" : "tail";
}

/**
 * gmem_test_state - describe the struct page behind an index
 * @gt: test
 * @index: in pages
 *
 * Return: "absent"; "head" or "tail" of an intact block; "frozen" alone; "live"
 * with gmem's reference only, "held" with others; or what is wrong with it.
 */
const char *gmem_test_state(struct gmem_test *gt, pgoff_t index)
{
	struct gmem_backing b;

	if (!gmem_test_lookup(gt, index, &b))
		return "absent";
	if (page_ref_count(b.page))
		return gmem_test_live_state(gt, index, b.page);
	/* A single page fresh from its source may have anything in ->lru. */
	if (!b.block)
		return gmem_test_frozen_state(b.page, gt->gi, false);
	if (b.block->state == GMEM_INTACT)
		return gmem_test_block_state(&b);
	if (PageCompound(b.page))
		return "compound in a dissolved block";
	/* That of a template points to the template. */
	return gmem_test_frozen_state(b.page, NULL, !b.block->hvo);
}

/**
 * gmem_test_states - describe the struct pages of a range
 * @gt: test
 * @start: first index
 * @end: index behind the last one
 *
 * Return: as gmem_test_state(), "mixed" if they are not all alike.
 */
const char *gmem_test_states(struct gmem_test *gt, pgoff_t start, pgoff_t end)
{
	const char *state = gmem_test_state(gt, start);

	while (++start < end)
		if (strcmp(state, gmem_test_state(gt, start)))
			return "mixed";
	return state;
}

/* Is all of the memory of some pages made of one byte? */
bool gmem_test_filled(const struct page *page, unsigned long nr, u8 byte)
{
	return !memchr_inv(page_address(page), byte, nr * PAGE_SIZE);
}

/* Pages that the file has. */
unsigned long gmem_test_present(struct gmem_test *gt)
{
	struct address_space *mapping = gt->gi->inode.i_mapping;
	unsigned long nr, sum = 0;
	struct gmem_backing b;
	pgoff_t index = 0;

	filemap_invalidate_lock_shared(mapping);
	for (; gmem_next_present(gt->gi, &index, ULONG_MAX, &b, &nr); index += nr)
		sum += nr;
	filemap_invalidate_unlock_shared(mapping);
	return sum;
}

/*
 * A frozen page without type or list is nobody's: freed pages are in a free
 * block once the per-CPU lists are drained, others have a user who counts,
 * typed or compounded them.
 */
static bool gmem_test_is_lost(unsigned long pfn)
{
	struct page *page = pfn_to_page(pfn);
	unsigned int order;

	if (page_ref_count(page))
		return false;
	if (PageGmem(compound_head(page)))
		return true;
	/* A tail of what was taken without __GFP_COMP, as by stackdepot. */
	for (order = 1; order < PAGE_ALLOC_COSTLY_ORDER; order++)
		if (page_ref_count(pfn_to_page(round_down(pfn, 1UL << order))))
			return false;
	return !page_has_type(page) && !PageCompound(page) &&
	       !is_free_buddy_page(page);
}

static bool gmem_test_returned(unsigned long pfn)
{
	int i;

	/* Somebody else may be about to take it. */
	for (i = 0; i < GMEM_TEST_FREE_TRIES; i++) {
		if (!gmem_test_is_lost(pfn))
			return true;
		fsleep(USEC_PER_MSEC);
		drain_all_pages(NULL);
	}
	return false;
}

/* Taken since, and where it belongs. */
static bool gmem_test_in_file(struct gmem_test *gt, unsigned long pfn)
{
	struct gmem_block *block;

	if (!gt->file)
		return false;

	guard(rcu)();
	block = gmem_find_block(pfn);
	return block && block->gi == gt->gi;
}

/**
 * gmem_test_expect_returned - what was taken from the source is free again
 * @gt: test; forgets what it has noted about these calls
 * @first: call of take() to start with
 */
void gmem_test_expect_returned(struct gmem_test *gt, unsigned int first)
{
	unsigned long pfn, end, step;
	unsigned int i;

	drain_all_pages(NULL);
	for (i = first; i < gt->nr_takes; i++) {
		pfn = gt->take[i].pfn;
		if (!pfn || gmem_test_in_file(gt, pfn))
			continue;
		step = gt->take[i].order == PUD_ORDER ? 64 : 1;
		for (end = pfn + (1UL << gt->take[i].order); pfn < end; pfn += step) {
			if (gmem_test_returned(pfn))
				continue;
			KUNIT_FAIL(gt->test, "pfn %#lx of take %u, order %u, is lost",
				   pfn, i, gt->take[i].order);
			break;
		}
		cond_resched();
	}
	gt->nr_takes = first;
}

void gmem_test_get_pool(struct gmem_test_pool *pool)
{
	memset(pool, 0, sizeof(*pool));
#ifdef CONFIG_HUGETLB_PAGE
	struct hstate *h = size_to_hstate(PMD_SIZE);

	if (!h)
		return;
	spin_lock_irq(&hugetlb_lock);
	pool->total = h->nr_huge_pages;
	pool->free = h->free_huge_pages;
	pool->reserved = h->resv_huge_pages;
	pool->surplus = h->surplus_huge_pages;
	spin_unlock_irq(&hugetlb_lock);
#endif
}

void gmem_test_expect_pool(struct gmem_test *gt, const struct gmem_test_pool *pool)
{
	struct gmem_test_pool now;

	gmem_test_get_pool(&now);
	KUNIT_EXPECT_EQ(gt->test, now.total, pool->total);
	KUNIT_EXPECT_EQ(gt->test, now.free, pool->free);
	KUNIT_EXPECT_EQ(gt->test, now.reserved, pool->reserved);
	KUNIT_EXPECT_EQ(gt->test, now.surplus, pool->surplus);
}

/* Every counter is what it was before the test, but for the file itself. */
void gmem_test_expect_stats(struct gmem_test *gt)
{
	int i;

	for (i = 0; i < GMEM_NR_COUNTERS; i++)
		KUNIT_EXPECT_EQ_MSG(gt->test, gmem_test_stat(gt, i),
				    i == GMEM_FILES && gt->file, "counter %d", i);
	gmem_test_expect_pool(gt, &gt->pool);
}

/**
 * gmem_test_wait_stat - wait for a counter to have a value
 * @counter: which
 * @value: absolute
 *
 * Return: false if it has another after ten seconds.
 */
bool gmem_test_wait_stat(enum gmem_counter counter, long value)
{
	unsigned long timeout = jiffies + 10 * HZ;

	while (atomic_long_read(&gmem_stat[counter]) != value) {
		if (time_after(jiffies, timeout))
			return false;
		fsleep(5 * USEC_PER_MSEC);
	}
	return true;
}

int gmem_test_init(struct kunit *test)
{
	struct gmem_test *gt;
	int i;

	gt = kunit_kzalloc(test, sizeof(*gt), GFP_KERNEL);
	if (!gt)
		return -ENOMEM;

	gt->test = test;
	gt->take_err = -ENOMEM;
	for (i = 0; i < GMEM_TEST_VIEWS; i++)
		gt->view[i].view.ops = &gmem_test_view_ops;
	for (i = 0; i < GMEM_NR_COUNTERS; i++)
		gt->stat[i] = atomic_long_read(&gmem_stat[i]);
	gmem_test_get_pool(&gt->pool);

	test->priv = gt;
	gmem_test_current = gt;
	return 0;
}

void gmem_test_exit(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	int i;

	if (!gt)
		return;

	gmem_test_close(gt);
	gmem_test_expect_stats(gt);
	gmem_test_expect_returned(gt, 0);
	KUNIT_EXPECT_NULL_MSG(test, gt->misuse, "%s", gt->misuse ?: "");
	for (i = 0; i < GMEM_TEST_VIEWS; i++)
		KUNIT_EXPECT_EQ_MSG(test, gt->view[i].windows, 0,
				    "windows of view %d", i);
	gmem_test_current = NULL;
}
