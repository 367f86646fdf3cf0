// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: KUnit, the states of a struct page
 */
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmstat.h>

#include "../../internal.h"
#include "../../page_alloc.h"
#include "fixture.h"

#define CHUNK	GMEM_CHUNK_PAGES
#define SHARED	(GMEM_MMAP | GMEM_INIT_SHARED)

static void open_4k(struct gmem_test *gt)
{
	gmem_test_open(gt, 16 * PAGE_SIZE, SHARED, 0);
}

static void open_2m(struct gmem_test *gt)
{
	gmem_test_open(gt, 3 * PMD_SIZE, SHARED | GMEM_HUGEPAGE, PMD_ORDER);
}

static struct gmem_block *block_at(struct gmem_test *gt, pgoff_t index)
{
	struct gmem_backing b = { };

	KUNIT_ASSERT_TRUE(gt->test, gmem_test_lookup(gt, index, &b));
	KUNIT_ASSERT_NOT_NULL(gt->test, b.block);
	return b.block;
}

static void test_intact(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	open_2m(gt);
	gmem_test_must_populate(gt, CHUNK + 9);
	KUNIT_EXPECT_EQ(test, block_at(gt, CHUNK)->state, GMEM_INTACT);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, CHUNK), "head");
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, CHUNK + 1, 2 * CHUNK), "tail");
}

static void test_dissolve(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_block *block;

	open_2m(gt);
	gmem_test_must_populate(gt, CHUNK);
	block = block_at(gt, CHUNK);
	gmem_dissolve(block);
	KUNIT_EXPECT_EQ(test, block->state, GMEM_DISSOLVED);
	KUNIT_EXPECT_EQ(test, block->nr_live, 0);
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, CHUNK, 2 * CHUNK), "frozen");

	/* Once only: what it did must survive a second call. */
	gmem_test_must_publish(gt, CHUNK + 3);
	gmem_dissolve(block);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, CHUNK + 3), "live");
}

/*
 * Pages 1 to 3 of a compound page carry fields of the whole that look like
 * flags, mapping and memcg data once the page stands alone.
 */
static void test_dissolve_dirty(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_block *block;
	struct page *page;

	open_2m(gt);
	page = gmem_test_must_populate(gt, 0);
	block = block_at(gt, 0);
	set_page_private(page, 0x1234);
	page->mapping = (void *)0x5678;
	__set_bit(PG_dirty, &page->flags.f);
	__set_bit(PG_uptodate, &page[1].flags.f);
	page[2].mapping = (void *)0x5678;
	set_page_private(page + 3, 0x1234);
#ifdef CONFIG_MEMCG
	page[1].memcg_data = 0x9abc;
#endif
	gmem_dissolve(block);
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, 0, CHUNK), "frozen");
}

static void test_publish_single(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_backing b;

	open_4k(gt);
	gmem_test_must_populate(gt, 4);
	gmem_test_must_populate(gt, 6);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 5), "absent");
	KUNIT_ASSERT_EQ(test, gmem_test_publish(gt, 5, &b), 0);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 5), "live");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 4), "frozen");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 6), "frozen");
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_LIVE), 1);

	KUNIT_EXPECT_EQ(test, gmem_test_publish(gt, 5, &b), 0);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 5), "live");
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_LIVE), 1);
	KUNIT_EXPECT_EQ(test, gmem_test_inode_stat(gt, GMEM_LIVE), 1);
}

static void test_publish_block(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_block *block;
	struct gmem_backing b;

	open_2m(gt);
	gmem_test_must_populate(gt, 2 * CHUNK);
	KUNIT_ASSERT_EQ(test, gmem_test_publish(gt, CHUNK + 3, &b), 0);
	block = b.block;
	KUNIT_ASSERT_NOT_NULL(test, block);
	KUNIT_EXPECT_EQ(test, block->state, GMEM_DISSOLVED);
	KUNIT_EXPECT_EQ(test, block->nr_live, 1);
	KUNIT_EXPECT_TRUE(test, test_bit(3, block->chunk[0]->live));
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, CHUNK, CHUNK + 3), "frozen");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, CHUNK + 3), "live");
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, CHUNK + 4, 2 * CHUNK), "frozen");

	/* Page 0 is like any other, and other blocks are not concerned. */
	gmem_test_must_publish(gt, CHUNK);
	gmem_test_must_publish(gt, 2 * CHUNK - 1);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, CHUNK), "live");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, CHUNK + 1), "frozen");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 2 * CHUNK - 1), "live");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 2 * CHUNK), "head");

	gmem_test_must_publish(gt, CHUNK);
	KUNIT_EXPECT_EQ(test, block->nr_live, 3);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_LIVE), 3);
	KUNIT_EXPECT_EQ(test, gmem_test_inode_stat(gt, GMEM_LIVE), 3);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_BLOCKS_2M), 2);
}

/* A single page where there was no block */
static void test_publish_table(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	pgoff_t busy;

	open_2m(gt);
	gt->refuse = BIT(PMD_ORDER);
	gmem_test_must_publish(gt, 7);
	gmem_test_must_populate(gt, 8);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 7), "live");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 8), "frozen");

	KUNIT_EXPECT_EQ(test, gmem_test_withdraw(gt, 0, CHUNK, &busy), 0);
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, 7, 9), "frozen");
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_LIVE), 0);
}

static void test_withdraw(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct page *page;
	pgoff_t busy;

	open_2m(gt);
	page = gmem_test_must_publish(gt, 3);
	gmem_test_must_publish(gt, CHUNK - 1);
	gmem_test_must_publish(gt, CHUNK);
	memset(page_address(page), 0x3c, PAGE_SIZE);

	/* What a host mapping may leave behind */
	folio_mark_accessed(page_folio(page));
	folio_mark_dirty(page_folio(page));

	KUNIT_EXPECT_EQ(test, gmem_test_withdraw(gt, 1, CHUNK - 1, &busy), 0);
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, 0, CHUNK - 1), "frozen");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, CHUNK - 1), "live");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, CHUNK), "live");
	KUNIT_EXPECT_EQ(test, block_at(gt, 0)->nr_live, 1);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_LIVE), 2);
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(page, 1, 0x3c));

	/* And back */
	gmem_test_must_publish(gt, 3);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 3), "live");
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(page, 1, 0x3c));

	KUNIT_EXPECT_EQ(test, gmem_test_withdraw(gt, 0, ULONG_MAX, &busy), 0);
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, 0, 2 * CHUNK), "frozen");
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_LIVE), 0);
	KUNIT_EXPECT_EQ(test, gmem_test_inode_stat(gt, GMEM_LIVE), 0);
}

static void test_withdraw_single(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct page *page;
	pgoff_t busy;

	open_4k(gt);
	gmem_test_must_publish(gt, 3);
	page = gmem_test_must_publish(gt, 4);
	KUNIT_EXPECT_EQ(test, gmem_test_withdraw(gt, 4, 16, &busy), 0);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 3), "live");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 4), "frozen");
	KUNIT_EXPECT_TRUE(test, list_empty(&page->lru));
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_LIVE), 1);
}

/* Somebody holds a page: nothing changes, for none of the range. */
static void test_withdraw_busy(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct page *page;
	pgoff_t busy = 0;

	open_2m(gt);
	gmem_test_must_publish(gt, 0);
	gmem_test_must_publish(gt, CHUNK + 6);
	page = gmem_test_must_publish(gt, CHUNK + 7);
	gmem_test_must_publish(gt, CHUNK + 8);
	gmem_test_must_publish(gt, 2 * CHUNK);

	get_page(page);
	KUNIT_EXPECT_EQ(test, gmem_test_withdraw(gt, 0, ULONG_MAX, &busy), -EAGAIN);
	KUNIT_EXPECT_EQ(test, busy, CHUNK + 7);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 0), "live");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, CHUNK + 6), "live");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, CHUNK + 7), "held");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, CHUNK + 8), "live");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 2 * CHUNK), "live");
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_LIVE), 5);

	/* It is in nobody's way elsewhere. */
	KUNIT_EXPECT_EQ(test, gmem_test_withdraw(gt, 0, CHUNK + 7, &busy), 0);
	KUNIT_EXPECT_EQ(test, gmem_test_withdraw(gt, CHUNK + 8, 3 * CHUNK, &busy), 0);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_LIVE), 1);

	put_page(page);
	KUNIT_EXPECT_EQ(test, gmem_test_withdraw(gt, 0, ULONG_MAX, &busy), 0);
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, 0, 3 * CHUNK), "frozen");
}

static void test_withdraw_busy_single(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct page *page;
	pgoff_t busy = 0;

	open_4k(gt);
	gmem_test_must_publish(gt, 1);
	page = gmem_test_must_publish(gt, 2);
	gmem_test_must_populate(gt, 3);

	get_page(page);
	KUNIT_EXPECT_EQ(test, gmem_test_withdraw(gt, 0, 16, &busy), -EAGAIN);
	KUNIT_EXPECT_EQ(test, busy, 2);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 1), "live");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 2), "held");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 3), "frozen");
	put_page(page);
	KUNIT_EXPECT_EQ(test, gmem_test_withdraw(gt, 0, 16, &busy), 0);
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, 1, 4), "frozen");
}

/* Pages that nobody holds go back with the file, live or not. */
static void test_evict_live(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	open_2m(gt);
	gmem_test_must_publish(gt, 3);
	gmem_test_must_publish(gt, CHUNK - 1);
	gmem_test_must_populate(gt, CHUNK);
	gt->refuse = BIT(PMD_ORDER);
	gmem_test_must_publish(gt, 2 * CHUNK);
	gmem_test_must_populate(gt, 2 * CHUNK + 1);
	gmem_test_close(gt);
	gmem_test_expect_stats(gt);
	KUNIT_EXPECT_EQ(test, gt->given, 2);
	gmem_test_expect_returned(gt, 0);

	open_4k(gt);
	gmem_test_must_publish(gt, 3);
	gmem_test_must_populate(gt, 4);
	gmem_test_close(gt);
	gmem_test_expect_stats(gt);
	gmem_test_expect_returned(gt, 0);
}

static void expect_orphaned(struct gmem_test *gt, struct page *page)
{
	struct kunit *test = gt->test;

	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_ORPHANS), 1);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_LIVE), 1);
	KUNIT_EXPECT_EQ(test, page_ref_count(page), 2);
	KUNIT_EXPECT_NULL(test, page->mapping);
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(page, 1, 0x3c));

	/* The worker looks, and leaves it alone. */
	msleep(100);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_ORPHANS), 1);
	KUNIT_EXPECT_EQ(test, page_ref_count(page), 2);
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(page, 1, 0x3c));
}

static void expect_orphan_freed(struct gmem_test *gt)
{
	KUNIT_EXPECT_TRUE(gt->test, gmem_test_wait_stat(GMEM_ORPHANS,
							gt->stat[GMEM_ORPHANS]));
	gmem_test_expect_stats(gt);
	gmem_test_expect_returned(gt, 0);
}

static void test_orphan_page(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct page *page;

	open_4k(gt);
	gmem_test_must_publish(gt, 4);
	page = gmem_test_must_publish(gt, 5);
	memset(page_address(page), 0x3c, PAGE_SIZE);
	get_page(page);

	gmem_test_close(gt);
	expect_orphaned(gt, page);
	put_page(page);
	expect_orphan_freed(gt);
}

static void test_orphan_block(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_block *block;
	struct page *page;

	open_2m(gt);
	gmem_test_must_publish(gt, 4);
	page = gmem_test_must_publish(gt, 5);
	block = block_at(gt, 5);
	gmem_test_must_populate(gt, CHUNK);
	memset(page_address(page), 0x3c, PAGE_SIZE);
	get_page(page);

	gmem_test_close(gt);
	KUNIT_EXPECT_EQ(test, gt->given, 1);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_BLOCKS_2M), 1);
	KUNIT_EXPECT_NULL(test, block->gi);
	KUNIT_EXPECT_EQ(test, block->nr_live, 1);
	KUNIT_EXPECT_EQ(test, page_ref_count(page - 1), 0);
	KUNIT_EXPECT_TRUE(test, PageGmem(page - 1));
	rcu_read_lock();
	KUNIT_EXPECT_PTR_EQ(test, gmem_find_block(page_to_pfn(page)), block);
	rcu_read_unlock();
	expect_orphaned(gt, page);

	put_page(page);
	expect_orphan_freed(gt);
	KUNIT_EXPECT_EQ(test, gt->given, 2);
	rcu_read_lock();
	KUNIT_EXPECT_NULL(test, gmem_find_block(page_to_pfn(page)));
	rcu_read_unlock();
}

/* A page of memory failure stays out of circulation; the others are free. */
static void test_mark_poison(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_chunk *chunk;
	struct gmem_block *block;
	struct page *page;

	open_2m(gt);
	page = gmem_test_must_populate(gt, 9);
	block = block_at(gt, 9);
	chunk = gmem_get_chunk(block, 9, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, chunk);
	__set_bit(9, chunk->poison);
	block->nr_poison = 1;
	gmem_count(gt->gi, GMEM_POISONED, 1);

	gmem_test_close(gt);
	gmem_test_expect_stats(gt);
	KUNIT_EXPECT_TRUE(test, PageHWPoison(page));
	KUNIT_EXPECT_FALSE(test, PageHWPoison(page - 1));
	KUNIT_EXPECT_FALSE(test, PageHWPoison(page + 1));
	KUNIT_EXPECT_FALSE(test, is_free_buddy_page(page));
	/* As memory failure leaves a page: see gmem_buddy_free_page(). */
	KUNIT_EXPECT_EQ(test, page_ref_count(page), 1);

	/* The memory is fine. */
	if (TestClearPageHWPoison(page))
		put_page(page);
}

static int run_publish(struct gmem_test *gt)
{
	struct gmem_backing b;

	return gmem_test_publish(gt, 5, &b);
}

/* The chunk stays, but that is no change that anybody could see. */
static void undo_publish(struct gmem_test *gt)
{
	struct gmem_backing b;
	pgoff_t busy;

	KUNIT_EXPECT_EQ(gt->test, gmem_test_withdraw(gt, 5, 6, &busy), 0);
	if (!gmem_test_lookup(gt, 5, &b) || !b.block)
		return;
	kfree(b.block->chunk[0]);
	b.block->chunk[0] = NULL;
}

static const struct gmem_test_op publish_op = {
	.run		= run_publish,
	.undo		= undo_publish,
	.min_failures	= 1,
};

static void test_publish_failures(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	open_2m(gt);
	gmem_test_must_populate(gt, 5);
	gmem_test_each_failure(gt, &publish_op);
}

static int run_withdraw(struct gmem_test *gt)
{
	pgoff_t busy;

	return gmem_test_withdraw(gt, 5, 6, &busy);
}

static void undo_withdraw(struct gmem_test *gt)
{
	gmem_test_must_publish(gt, 5);
}

static const struct gmem_test_op withdraw_op = {
	.run		= run_withdraw,
	.undo		= undo_withdraw,
};

/* Taking a page away has nothing that could fail for lack of memory. */
static void test_withdraw_failures(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	open_2m(gt);
	gmem_test_must_publish(gt, 5);
	gmem_test_each_failure(gt, &withdraw_op);
}

static struct kunit_case gmem_page_cases[] = {
	KUNIT_CASE(test_intact),
	KUNIT_CASE(test_dissolve),
	KUNIT_CASE(test_dissolve_dirty),
	KUNIT_CASE(test_publish_single),
	KUNIT_CASE(test_publish_block),
	KUNIT_CASE(test_publish_table),
	KUNIT_CASE(test_withdraw),
	KUNIT_CASE(test_withdraw_single),
	KUNIT_CASE(test_withdraw_busy),
	KUNIT_CASE(test_withdraw_busy_single),
	KUNIT_CASE(test_evict_live),
	KUNIT_CASE(test_orphan_page),
	KUNIT_CASE(test_orphan_block),
	KUNIT_CASE(test_mark_poison),
	KUNIT_CASE(test_publish_failures),
	KUNIT_CASE(test_withdraw_failures),
	{}
};

static struct kunit_suite gmem_page_suite = {
	.name		= "gmem_page",
	.init		= gmem_test_init,
	.exit		= gmem_test_exit,
	.test_cases	= gmem_page_cases,
};

kunit_test_suite(gmem_page_suite);
