// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: KUnit, where blocks come from and go to
 *
 * Tests of the pool want 2 MiB pages reserved at boot, with and without
 * hugetlb_free_vmemmap=on.
 */
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "../../internal.h"
#include "../../page_alloc.h"
#include "fixture.h"

#define CHUNK	GMEM_CHUNK_PAGES
#define SHARED	(GMEM_MMAP | GMEM_INIT_SHARED)

/* struct pages of one vmemmap page */
#define VMEMMAP_NR	(PAGE_SIZE / sizeof(struct page))

static struct gmem_block *block_at(struct gmem_test *gt, pgoff_t index)
{
	struct gmem_backing b = { };

	KUNIT_ASSERT_TRUE(gt->test, gmem_test_lookup(gt, index, &b));
	KUNIT_ASSERT_NOT_NULL(gt->test, b.block);
	return b.block;
}

static struct page *buddy_take(struct gmem_test *gt, unsigned int order, void **loan)
{
	struct address_space *mapping = gt->gi->inode.i_mapping;
	struct page *page;

	filemap_invalidate_lock_shared(mapping);
	page = gmem_source_buddy.take(gt->gi, 0, order, 0, loan);
	filemap_invalidate_unlock_shared(mapping);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(gt->test, page);
	return page;
}

static void expect_taken(struct kunit *test, struct page *page, unsigned int order)
{
	KUNIT_EXPECT_EQ(test, page_to_pfn(page) % (1UL << order), 0);
	KUNIT_EXPECT_EQ(test, page_ref_count(page), 0);
	KUNIT_EXPECT_FALSE(test, page_has_type(page));
	KUNIT_EXPECT_NULL(test, page->mapping);
	KUNIT_EXPECT_EQ(test, page_private(page), 0);
	KUNIT_EXPECT_EQ(test, compound_order(page), order);
	KUNIT_EXPECT_FALSE(test, is_migrate_cma_page(page));
	KUNIT_EXPECT_NE(test, page_zonenum(page), ZONE_MOVABLE);
}

/* What the contract of a source says about a page that was just taken */
static void test_buddy_take(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_block *block;
	struct page *page;
	void *loan = NULL;

	gmem_test_open(gt, PMD_SIZE, GMEM_HUGEPAGE, PMD_ORDER);
	page = buddy_take(gt, 0, &loan);
	expect_taken(test, page, 0);
	KUNIT_EXPECT_NULL(test, loan);
	gmem_free_page(page, gt->gi->objcg);

	block = kunit_kzalloc(test, struct_size(block, chunk, 1), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, block);
	page = buddy_take(gt, PMD_ORDER, &block->loan);
	expect_taken(test, page, PMD_ORDER);
	KUNIT_EXPECT_PTR_EQ(test, block->loan, (void *)gt->gi->objcg);
	block->pfn = page_to_pfn(page);
	block->order = PMD_ORDER;
	__SetPageGmem(page);
	gmem_source_buddy.give(block);
	KUNIT_EXPECT_FALSE(test, PageGmem(page));
}

/* Nothing is reserved, so nothing is refused before it is asked for. */
static void test_buddy_open(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	gmem_test_open(gt, 1UL << 45, GMEM_HUGEPAGE, PMD_ORDER);
	KUNIT_EXPECT_NULL(test, gt->gi->reservation);
	gmem_test_expect_stats(gt);
}

static void test_buddy_give(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	/* Intact, dissolved, and dissolved with a page that was live */
	gmem_test_open(gt, 3 * PMD_SIZE, SHARED | GMEM_HUGEPAGE, PMD_ORDER);
	gmem_test_must_populate(gt, 0);
	gmem_test_must_populate(gt, CHUNK);
	gmem_dissolve(block_at(gt, CHUNK));
	gmem_test_must_publish(gt, 2 * CHUNK + 7);
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 0, 3 * CHUNK), 0);
	KUNIT_EXPECT_EQ(test, gt->given, 3);
	gmem_test_expect_stats(gt);
	gmem_test_expect_returned(gt, 0);
}

/* A block of 1 GiB, through all that can happen to it */
static void test_buddy_giga(struct kunit *test)
{
	const unsigned long pages = CHUNK * CHUNK;
	struct gmem_test *gt = test->priv;
	struct gmem_backing b, other;
	struct page *page;
	pgoff_t busy;

	if (!(gmem_supported_orders(GMEM_HUGEPAGE) & BIT(PUD_ORDER)))
		kunit_skip(test, "CONFIG_CONTIG_ALLOC is off");

	gmem_test_open(gt, 2 * PUD_SIZE, SHARED | GMEM_HUGEPAGE, PUD_ORDER);
	gt->refuse = BIT(PMD_ORDER) | BIT(0);
	if (gmem_test_populate(gt, pages + 5 * CHUNK + 7, GMEM_TAKE_CONTIG, &b))
		kunit_skip(test, "there is no contiguous gigabyte");

	KUNIT_EXPECT_EQ(test, b.block->order, PUD_ORDER);
	KUNIT_EXPECT_EQ(test, b.block->index, pages);
	KUNIT_EXPECT_EQ(test, b.block->pfn % pages, 0);
	KUNIT_EXPECT_EQ(test, gmem_block_offset(&b), 5 * CHUNK + 7);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_BLOCKS_1G), 1);
	KUNIT_EXPECT_EQ(test, inode_get_bytes(&gt->gi->inode), PUD_SIZE);
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), pages);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, pages), "head");
	for (page = pfn_to_page(b.block->pfn); page < pfn_to_page(b.block->pfn) + pages;
	     page += CHUNK)
		KUNIT_EXPECT_TRUE(test, gmem_test_filled(page, 1, 0));

	KUNIT_EXPECT_TRUE(test, gmem_test_lookup(gt, 2 * pages - 1, &other));
	KUNIT_EXPECT_PTR_EQ(test, other.block, b.block);
	KUNIT_EXPECT_EQ(test, gmem_block_offset(&other), pages - 1);
	KUNIT_EXPECT_FALSE(test, gmem_test_lookup(gt, pages - 1, &other));

	/* Records exist of those 2 MiB only in which a page was live. */
	gmem_test_must_publish(gt, pages + 5 * CHUNK + 7);
	KUNIT_EXPECT_NOT_NULL(test, b.block->chunk[5]);
	KUNIT_EXPECT_NULL(test, b.block->chunk[4]);
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, pages, pages + 9), "frozen");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 2 * pages - 1), "frozen");
	KUNIT_EXPECT_EQ(test, gmem_test_withdraw(gt, 0, 2 * pages, &busy), 0);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, pages + 5 * CHUNK + 7), "frozen");

	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, pages + 1, pages + CHUNK), 0);
	KUNIT_EXPECT_EQ(test, gt->view[0].range.window_start, pages);
	KUNIT_EXPECT_EQ(test, gt->view[0].range.window_end, 2 * pages);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_BLOCKS_1G), 1);
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, pages, 2 * pages), 0);
	KUNIT_EXPECT_TRUE(test, xa_empty(&gt->gi->blocks));
	gmem_test_expect_stats(gt);
	gmem_test_expect_returned(gt, 0);
}

/* Ends the test unless the pool has @nr pages that nobody has reserved. */
static void need_pool(struct gmem_test *gt, unsigned long nr)
{
	const struct gmem_test_pool *pool = &gt->pool;

	if (!(gmem_supported_orders(GMEM_HUGETLB | SHARED) & BIT(PMD_ORDER)) ||
	    pool->free < pool->reserved + nr)
		kunit_skip(gt->test, "needs %lu pages of 2 MiB: boot with hugepages=8",
			   nr);
}

static void open_pool(struct gmem_test *gt, unsigned long nr)
{
	need_pool(gt, nr);
	gmem_test_open(gt, nr * PMD_SIZE, SHARED | GMEM_HUGETLB, PMD_ORDER);
}

static void expect_lent(struct gmem_test *gt, unsigned long reserved,
			unsigned long taken)
{
	struct gmem_test_pool pool = gt->pool;

	pool.free -= taken;
	pool.reserved += reserved;
	gmem_test_expect_pool(gt, &pool);
}

static void test_pool_reserve(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct file *file;
	loff_t size;

	open_pool(gt, 3);
	expect_lent(gt, 3, 0);
	gmem_test_close(gt);
	gmem_test_expect_stats(gt);

	/* One too many is refused at once. */
	size = (loff_t)(gt->pool.free - gt->pool.reserved + 1) * PMD_SIZE;
	file = gmem_test_create(gt, size, SHARED | GMEM_HUGETLB, PMD_ORDER);
	KUNIT_EXPECT_PTR_EQ(test, file, ERR_PTR(-ENOMEM));
	gmem_test_expect_stats(gt);
}

static void test_pool_take(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct page *page;

	open_pool(gt, 3);
	page = gmem_test_must_populate(gt, CHUNK + 5);
	expect_lent(gt, 2, 1);
	KUNIT_EXPECT_FALSE(test, PageHuge(page));
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, CHUNK), "head");
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, CHUNK + 1, 2 * CHUNK), "tail");
	KUNIT_EXPECT_NOT_NULL(test, block_at(gt, CHUNK)->loan);
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(page - 5, CHUNK, 0));
	KUNIT_EXPECT_FALSE(test, is_migrate_cma_page(page));
	KUNIT_EXPECT_NE(test, page_zonenum(page), ZONE_MOVABLE);
	KUNIT_EXPECT_EQ(test, inode_get_bytes(&gt->gi->inode), PMD_SIZE);

	/* A punched block is reserved again: the file can always have it back. */
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, CHUNK, 2 * CHUNK), 0);
	expect_lent(gt, 3, 0);
	KUNIT_EXPECT_TRUE(test, PageHuge(page));
	gmem_test_must_populate(gt, CHUNK);
	gmem_test_must_populate(gt, 0);
	gmem_test_must_populate(gt, 2 * CHUNK);
	expect_lent(gt, 0, 3);

	gmem_test_close(gt);
	gmem_test_expect_stats(gt);
}

/* A block that was taken apart comes back as the huge page it was. */
static void test_pool_dissolved(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct folio *folio;
	struct page *page;
	bool optimized;
	pgoff_t busy;

	open_pool(gt, 2);
	page = gmem_test_must_populate(gt, 0);
	optimized = block_at(gt, 0)->hvo;
	gmem_test_must_publish(gt, 0);
	gmem_test_must_publish(gt, 3);
	gmem_test_must_publish(gt, CHUNK - 1);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 0), "live");
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, 1, 3), "frozen");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 3), "live");
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, 4, CHUNK - 1), "frozen");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, CHUNK - 1), "live");
	KUNIT_EXPECT_EQ(test, gmem_test_withdraw(gt, 1, CHUNK, &busy), 0);
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, 1, CHUNK), "frozen");
	expect_lent(gt, 1, 1);

	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 0, CHUNK), 0);
	expect_lent(gt, 2, 0);
	folio = page_folio(page);
	KUNIT_EXPECT_TRUE(test, folio_test_hugetlb(folio));
	KUNIT_EXPECT_PTR_EQ(test, &folio->page, page);
	KUNIT_EXPECT_EQ(test, folio_order(folio), PMD_ORDER);
	KUNIT_EXPECT_PTR_EQ(test, page_folio(page + CHUNK - 1), folio);
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 0);
	KUNIT_EXPECT_EQ(test, folio_test_hugetlb_vmemmap_optimized(folio), optimized);
	gmem_test_close(gt);
	gmem_test_expect_stats(gt);
}

/* Who publishes a page pays for the vmemmap page around it, and no other. */
static void test_pool_vmemmap(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_block *block;
	pgoff_t busy;

	open_pool(gt, 1);
	gmem_test_must_populate(gt, 0);
	block = block_at(gt, 0);
	if (!block->hvo)
		kunit_skip(test, "boot with hugetlb_free_vmemmap=on");

	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_VMEMMAP), 0);
	gmem_test_must_publish(gt, VMEMMAP_NR - 1);
	KUNIT_EXPECT_EQ(test, block->state, GMEM_DISSOLVED);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_VMEMMAP), 0);
	KUNIT_EXPECT_FALSE(test, gmem_vmemmap_is_real(block, VMEMMAP_NR));

	gmem_test_must_publish(gt, VMEMMAP_NR);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_VMEMMAP), 1);
	KUNIT_EXPECT_EQ(test, gmem_test_inode_stat(gt, GMEM_VMEMMAP), 1);
	KUNIT_EXPECT_TRUE(test, gmem_vmemmap_is_real(block, 2 * VMEMMAP_NR - 1));
	KUNIT_EXPECT_FALSE(test, gmem_vmemmap_is_real(block, 2 * VMEMMAP_NR));
	gmem_test_must_publish(gt, 2 * VMEMMAP_NR - 1);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_VMEMMAP), 1);
	gmem_test_must_publish(gt, CHUNK - 1);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_VMEMMAP), 2);
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, 2 * VMEMMAP_NR, CHUNK - 1), "frozen");

	/* They stay until the block goes. */
	KUNIT_EXPECT_EQ(test, gmem_test_withdraw(gt, 0, CHUNK, &busy), 0);
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, 0, CHUNK), "frozen");
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_VMEMMAP), 2);
	gmem_test_close(gt);
	gmem_test_expect_stats(gt);
}

/* What is held stays lent, and reserved for nobody else, beyond the file. */
static void test_pool_orphan(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct page *page;

	open_pool(gt, 2);
	page = gmem_test_must_publish(gt, CHUNK - 1);
	get_page(page);
	gmem_test_close(gt);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_ORPHANS), 1);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_BLOCKS_2M), 1);
	/* The reservation lives as long as the last loan out of it. */
	expect_lent(gt, 1, 1);

	put_page(page);
	KUNIT_EXPECT_TRUE(test, gmem_test_wait_stat(GMEM_ORPHANS,
						    gt->stat[GMEM_ORPHANS]));
	gmem_test_expect_stats(gt);
}

/*
 * A block with a poisoned page leaves the pool; the rest of it is ordinary
 * memory. Surplus pages are used for that, so that the pool is as big as before.
 */
static void test_pool_poisoned(struct kunit *test)
{
	struct hstate *h = size_to_hstate(PMD_SIZE);
	struct gmem_test *gt = test->priv;
	struct gmem_test_pool pool;
	struct gmem_chunk *chunk;
	struct gmem_block *block;
	unsigned long overcommit;
	struct page *page;
	struct file *file;
	loff_t size;

	need_pool(gt, 1);
	size = (loff_t)(gt->pool.free - gt->pool.reserved + 1) * PMD_SIZE;
	overcommit = h->nr_overcommit_huge_pages;
	h->nr_overcommit_huge_pages = overcommit + 1;
	file = gmem_test_create(gt, size, SHARED | GMEM_HUGETLB, PMD_ORDER);
	h->nr_overcommit_huge_pages = overcommit;
	if (IS_ERR(file))
		kunit_skip(test, "there is no surplus page");

	pool = gt->pool;
	pool.total++;
	pool.surplus++;
	pool.free++;
	pool.reserved = pool.free;
	gmem_test_expect_pool(gt, &pool);

	page = gmem_test_must_publish(gt, 9);
	block = block_at(gt, 9);
	chunk = gmem_get_chunk(block, 9, GFP_KERNEL);
	__set_bit(9, chunk->poison);
	block->nr_poison = 1;
	gmem_count(gt->gi, GMEM_POISONED, 1);

	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 0, CHUNK), 0);
	pool.total--;
	pool.surplus--;
	pool.free--;
	pool.reserved--;
	gmem_test_expect_pool(gt, &pool);
	drain_all_pages(NULL);
	KUNIT_EXPECT_FALSE(test, PageGmem(page));
	KUNIT_EXPECT_FALSE(test, PageHuge(page - 1));
	KUNIT_EXPECT_TRUE(test, PageHWPoison(page));
	KUNIT_EXPECT_FALSE(test, is_free_buddy_page(page));
	if (TestClearPageHWPoison(page))
		put_page(page);

	gmem_test_close(gt);
	gmem_test_expect_stats(gt);
}

static struct kunit_case gmem_source_cases[] = {
	KUNIT_CASE(test_buddy_take),
	KUNIT_CASE(test_buddy_open),
	KUNIT_CASE(test_buddy_give),
	KUNIT_CASE_SLOW(test_buddy_giga),
	KUNIT_CASE(test_pool_reserve),
	KUNIT_CASE(test_pool_take),
	KUNIT_CASE(test_pool_dissolved),
	KUNIT_CASE(test_pool_vmemmap),
	KUNIT_CASE(test_pool_orphan),
	KUNIT_CASE(test_pool_poisoned),
	{}
};

static struct kunit_suite gmem_source_suite = {
	.name		= "gmem_source",
	.init		= gmem_test_init,
	.exit		= gmem_test_exit,
	.test_cases	= gmem_source_cases,
};

kunit_test_suite(gmem_source_suite);
