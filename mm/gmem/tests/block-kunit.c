// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: KUnit, the block table
 */
#include <linux/completion.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/sched/signal.h>
#include <linux/signal.h>
#include <linux/slab.h>

#include "fixture.h"

#define CHUNK		GMEM_CHUNK_PAGES
#define NR_RACERS	4

/* A block whose memory nobody looks at. */
static struct gmem_block *fake_block(struct kunit *test, unsigned int order)
{
	struct gmem_block *block;
	struct gmem_chunk *chunk;
	unsigned long i;

	block = kunit_kzalloc(test, struct_size(block, chunk, gmem_nr_chunks(order)),
			      GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, block);
	block->pfn = 3UL << order;
	block->index = 5UL << order;
	block->order = order;

	for (i = 0; i < gmem_nr_chunks(order); i += 2) {
		chunk = kunit_kzalloc(test, sizeof(*chunk), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, chunk);
		block->chunk[i] = chunk;
	}
	return block;
}

static struct gmem_backing fake_backing(struct gmem_block *block,
					unsigned long offset)
{
	return (struct gmem_backing) {
		.block	= block,
		.page	= pfn_to_page(block->pfn + offset),
	};
}

static unsigned int fake_clean_order(struct gmem_block *block, unsigned long offset)
{
	struct gmem_backing b = fake_backing(block, offset);

	return gmem_clean_order(&b, block->index + offset);
}

static void test_block_arithmetic(struct kunit *test)
{
	struct gmem_block *block = fake_block(test, PUD_ORDER);
	struct gmem_backing b = fake_backing(block, 2 * CHUNK + 7);

	KUNIT_EXPECT_EQ(test, gmem_nr_chunks(PMD_ORDER), 1);
	KUNIT_EXPECT_EQ(test, gmem_nr_chunks(PUD_ORDER), CHUNK);
	KUNIT_EXPECT_EQ(test, gmem_block_pages(block), CHUNK * CHUNK);
	KUNIT_EXPECT_EQ(test, gmem_block_offset(&b), 2 * CHUNK + 7);

	KUNIT_EXPECT_PTR_EQ(test, gmem_chunk_of(block, CHUNK - 1), block->chunk[0]);
	KUNIT_EXPECT_NULL(test, gmem_chunk_of(block, CHUNK));
	KUNIT_EXPECT_PTR_EQ(test, gmem_chunk_of(block, 2 * CHUNK), block->chunk[2]);
	KUNIT_EXPECT_PTR_EQ(test, gmem_get_chunk(block, 2 * CHUNK, GFP_KERNEL),
			    block->chunk[2]);

	KUNIT_EXPECT_EQ(test, gmem_blocks_counter(0), GMEM_BLOCKS_4K);
	KUNIT_EXPECT_EQ(test, gmem_blocks_counter(PMD_ORDER), GMEM_BLOCKS_2M);
	KUNIT_EXPECT_EQ(test, gmem_blocks_counter(PUD_ORDER), GMEM_BLOCKS_1G);
}

/* Poison splits what may be mapped at once: its 2 MiB, and the gigabyte. */
static void test_clean_order(struct kunit *test)
{
	struct gmem_block *giga = fake_block(test, PUD_ORDER);
	struct gmem_block *mega = fake_block(test, PMD_ORDER);
	struct gmem_backing single = {
		.page	= pfn_to_page(1),
	};
	struct gmem_backing b;

	KUNIT_EXPECT_EQ(test, gmem_clean_order(&single, 512), 0);
	KUNIT_EXPECT_EQ(test, fake_clean_order(mega, 0), PMD_ORDER);
	KUNIT_EXPECT_EQ(test, fake_clean_order(giga, 0), PUD_ORDER);
	KUNIT_EXPECT_EQ(test, fake_clean_order(giga, CHUNK * CHUNK - 1), PUD_ORDER);

	__set_bit(9, mega->chunk[0]->poison);
	mega->nr_poison = 1;
	KUNIT_EXPECT_EQ(test, fake_clean_order(mega, 8), 0);

	__set_bit(9, giga->chunk[2]->poison);
	giga->nr_poison = 1;
	KUNIT_EXPECT_EQ(test, fake_clean_order(giga, 2 * CHUNK - 1), PMD_ORDER);
	KUNIT_EXPECT_EQ(test, fake_clean_order(giga, 2 * CHUNK), 0);
	KUNIT_EXPECT_EQ(test, fake_clean_order(giga, 3 * CHUNK - 1), 0);
	KUNIT_EXPECT_EQ(test, fake_clean_order(giga, 3 * CHUNK), PMD_ORDER);
	KUNIT_EXPECT_EQ(test, fake_clean_order(giga, 4 * CHUNK), PMD_ORDER);

	b = fake_backing(giga, 2 * CHUNK + 9);
	KUNIT_EXPECT_TRUE(test, gmem_is_poisoned(&b));
	b = fake_backing(giga, 2 * CHUNK + 8);
	KUNIT_EXPECT_FALSE(test, gmem_is_poisoned(&b));
	b = fake_backing(giga, 3 * CHUNK + 9);
	KUNIT_EXPECT_FALSE(test, gmem_is_poisoned(&b));
	b = fake_backing(giga, 4 * CHUNK + 9);
	KUNIT_EXPECT_FALSE(test, gmem_is_poisoned(&b));
}

static void test_slot_mutex(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	pgoff_t index;

	gmem_test_open(gt, 4 * PMD_SIZE, GMEM_HUGEPAGE, PMD_ORDER);
	for (index = CHUNK + 1; index < 2 * CHUNK; index++)
		KUNIT_EXPECT_PTR_EQ(test, gmem_slot_mutex(gt->gi, index),
				    gmem_slot_mutex(gt->gi, CHUNK));
}

static void test_populate_4k(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_backing b, again;

	gmem_test_open(gt, 16 * PAGE_SIZE, 0, 0);
	KUNIT_EXPECT_FALSE(test, gmem_test_lookup(gt, 3, &b));
	KUNIT_ASSERT_EQ(test, gmem_test_populate(gt, 3, 0, &b), 0);
	KUNIT_EXPECT_NULL(test, b.block);
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(b.page, 1, 0));
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 3), "frozen");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 2), "absent");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 4), "absent");

	KUNIT_EXPECT_EQ(test, gmem_test_populate(gt, 3, 0, &again), 0);
	KUNIT_EXPECT_PTR_EQ(test, again.page, b.page);
	KUNIT_EXPECT_TRUE(test, gmem_test_lookup(gt, 3, &again));
	KUNIT_EXPECT_PTR_EQ(test, again.page, b.page);

	KUNIT_EXPECT_EQ(test, gt->nr_takes, 1);
	KUNIT_EXPECT_EQ(test, gt->take[0].order, 0);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_BLOCKS_4K), 1);
	KUNIT_EXPECT_EQ(test, gmem_test_inode_stat(gt, GMEM_BLOCKS_4K), 1);
	KUNIT_EXPECT_EQ(test, gmem_bytes_held(gt->gi), PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, inode_get_bytes(&gt->gi->inode), PAGE_SIZE);
}

static void test_populate_2m(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_backing b, other;

	gmem_test_open(gt, 4 * PMD_SIZE, GMEM_HUGEPAGE, PMD_ORDER);
	KUNIT_ASSERT_EQ(test, gmem_test_populate(gt, CHUNK + 7, 0, &b), 0);
	KUNIT_ASSERT_NOT_NULL(test, b.block);
	KUNIT_EXPECT_EQ(test, gmem_block_offset(&b), 7);
	KUNIT_EXPECT_EQ(test, b.block->index, CHUNK);
	KUNIT_EXPECT_EQ(test, b.block->order, PMD_ORDER);
	KUNIT_EXPECT_EQ(test, b.block->pfn % CHUNK, 0);
	KUNIT_EXPECT_PTR_EQ(test, b.block->gi, gt->gi);
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(b.page - 7, CHUNK, 0));

	KUNIT_EXPECT_EQ(test, gmem_test_populate(gt, 2 * CHUNK - 1, 0, &other), 0);
	KUNIT_EXPECT_PTR_EQ(test, other.block, b.block);
	KUNIT_EXPECT_EQ(test, gmem_block_offset(&other), CHUNK - 1);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, CHUNK - 1), "absent");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 2 * CHUNK), "absent");

	KUNIT_EXPECT_EQ(test, gt->nr_takes, 1);
	KUNIT_EXPECT_EQ(test, gt->take[0].index, CHUNK);
	KUNIT_EXPECT_EQ(test, gt->take[0].order, PMD_ORDER);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_BLOCKS_2M), 1);
	KUNIT_EXPECT_EQ(test, gmem_test_inode_stat(gt, GMEM_BLOCKS_2M), 1);
	KUNIT_EXPECT_EQ(test, gmem_bytes_held(gt->gi), PMD_SIZE);
	KUNIT_EXPECT_EQ(test, inode_get_bytes(&gt->gi->inode), PMD_SIZE);
}

/* Once there are single pages in 2 MiB, there is no room for a block. */
static void test_fallback_4k(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_backing b;

	gmem_test_open(gt, 2 * PMD_SIZE, GMEM_HUGEPAGE, PMD_ORDER);
	gt->refuse = BIT(PMD_ORDER);
	KUNIT_ASSERT_EQ(test, gmem_test_populate(gt, CHUNK + 7, 0, &b), 0);
	KUNIT_EXPECT_NULL(test, b.block);
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(b.page, 1, 0));
	KUNIT_EXPECT_EQ(test, gt->nr_takes, 2);
	KUNIT_EXPECT_EQ(test, gt->take[0].order, PMD_ORDER);
	KUNIT_EXPECT_EQ(test, gt->take[1].order, 0);
	KUNIT_EXPECT_EQ(test, gt->take[1].index, CHUNK + 7);

	gt->refuse = 0;
	gmem_test_must_populate(gt, 2 * CHUNK - 1);
	KUNIT_EXPECT_EQ(test, gt->nr_takes, 3);
	KUNIT_EXPECT_EQ(test, gt->take[2].order, 0);
	gmem_test_must_populate(gt, 0);
	KUNIT_EXPECT_EQ(test, gt->take[3].order, PMD_ORDER);

	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, CHUNK + 7), "frozen");
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, CHUNK, CHUNK + 7), "absent");
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, CHUNK + 8, 2 * CHUNK - 1), "absent");
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_BLOCKS_4K), 2);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_BLOCKS_2M), 1);
	KUNIT_EXPECT_EQ(test, gmem_bytes_held(gt->gi), PMD_SIZE + 2 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), CHUNK + 2);
}

/* A gigabyte is searched for in fallocate() only, and not over and over. */
static void test_fallback_1g(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_backing b;

	if (!(gmem_supported_orders(GMEM_HUGEPAGE) & BIT(PUD_ORDER)))
		kunit_skip(test, "CONFIG_CONTIG_ALLOC is off");

	gmem_test_open(gt, 3 * PUD_SIZE, GMEM_HUGEPAGE, PUD_ORDER);
	gt->refuse = BIT(PUD_ORDER);
	KUNIT_ASSERT_EQ(test, gmem_test_populate(gt, 5, 0, &b), 0);
	KUNIT_EXPECT_EQ(test, gt->nr_takes, 1);
	KUNIT_EXPECT_EQ(test, gt->take[0].order, PMD_ORDER);
	KUNIT_EXPECT_EQ(test, b.block->order, PMD_ORDER);

	/* Part of the first gigabyte is there. */
	KUNIT_ASSERT_EQ(test, gmem_test_populate(gt, 9 * CHUNK, GMEM_TAKE_CONTIG, &b), 0);
	KUNIT_EXPECT_EQ(test, gt->nr_takes, 2);
	KUNIT_EXPECT_EQ(test, gt->take[1].order, PMD_ORDER);

	/* Nothing of the second. */
	KUNIT_ASSERT_EQ(test, gmem_test_populate(gt, CHUNK * CHUNK + 3 * CHUNK + 5,
						 GMEM_TAKE_CONTIG, &b), 0);
	KUNIT_EXPECT_EQ(test, gt->nr_takes, 4);
	KUNIT_EXPECT_EQ(test, gt->take[2].order, PUD_ORDER);
	KUNIT_EXPECT_EQ(test, gt->take[2].index, CHUNK * CHUNK);
	KUNIT_EXPECT_EQ(test, gt->take[2].take_flags, GMEM_TAKE_CONTIG);
	KUNIT_EXPECT_EQ(test, gt->take[3].order, PMD_ORDER);
	KUNIT_EXPECT_EQ(test, gt->take[3].index, CHUNK * CHUNK + 3 * CHUNK);
	KUNIT_EXPECT_TRUE(test, time_after(gt->gi->contig_retry, jiffies - HZ));

	/* Nothing of the third, but it is too early to look again. */
	gt->gi->contig_retry = jiffies + HZ * 1000;
	KUNIT_ASSERT_EQ(test, gmem_test_populate(gt, 2 * CHUNK * CHUNK,
						 GMEM_TAKE_CONTIG, &b), 0);
	KUNIT_EXPECT_EQ(test, gt->nr_takes, 5);
	KUNIT_EXPECT_EQ(test, gt->take[4].order, PMD_ORDER);
}

/* Only a lack of memory is a reason to try something smaller. */
static void test_take_errors(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_backing b;

	gmem_test_open(gt, 2 * PMD_SIZE, GMEM_HUGEPAGE, PMD_ORDER);
	gt->refuse = BIT(PMD_ORDER);
	gt->take_err = -EINTR;
	KUNIT_EXPECT_EQ(test, gmem_test_populate(gt, 0, 0, &b), -EINTR);
	KUNIT_EXPECT_EQ(test, gt->nr_takes, 1);

	gt->take_err = -ENOMEM;
	gt->gi->source = &gmem_test_strict_source;
	KUNIT_EXPECT_EQ(test, gmem_test_populate(gt, 0, 0, &b), -ENOMEM);
	KUNIT_EXPECT_EQ(test, gt->nr_takes, 2);
	gt->gi->source = &gmem_test_source;

	gt->refuse = BIT(PMD_ORDER) | BIT(0);
	KUNIT_EXPECT_EQ(test, gmem_test_populate(gt, 0, 0, &b), -ENOMEM);
	KUNIT_EXPECT_EQ(test, gt->nr_takes, 4);

	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), 0);
	KUNIT_EXPECT_EQ(test, inode_get_bytes(&gt->gi->inode), 0);
	gmem_test_expect_stats(gt);
}

static int populate_killed(struct gmem_test *gt, pgoff_t index)
{
	struct gmem_backing b;
	int err;

	spin_lock_irq(&current->sighand->siglock);
	sigaddset(&current->pending.signal, SIGKILL);
	set_tsk_thread_flag(current, TIF_SIGPENDING);
	spin_unlock_irq(&current->sighand->siglock);

	err = gmem_test_populate(gt, index, 0, &b);

	spin_lock_irq(&current->sighand->siglock);
	sigdelset(&current->pending.signal, SIGKILL);
	clear_tsk_thread_flag(current, TIF_SIGPENDING);
	spin_unlock_irq(&current->sighand->siglock);
	return err;
}

/* Zeroing stops for a kill, and what was taken goes back. */
static void test_populate_killed(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	gmem_test_open(gt, 2 * PMD_SIZE, GMEM_HUGEPAGE, PMD_ORDER);
	KUNIT_EXPECT_EQ(test, populate_killed(gt, 0), -EINTR);
	KUNIT_EXPECT_EQ(test, gt->nr_takes, 1);
	KUNIT_EXPECT_EQ(test, gt->given, 1);

	gt->refuse = BIT(PMD_ORDER);
	KUNIT_EXPECT_EQ(test, populate_killed(gt, 0), -EINTR);
	KUNIT_EXPECT_EQ(test, gt->nr_takes, 3);

	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), 0);
	KUNIT_EXPECT_EQ(test, inode_get_bytes(&gt->gi->inode), 0);
	gmem_test_expect_stats(gt);
	gmem_test_expect_returned(gt, 0);
}

static bool next_present(struct gmem_test *gt, pgoff_t *index, pgoff_t end,
			 struct gmem_backing *b, unsigned long *nr)
{
	struct address_space *mapping = gt->gi->inode.i_mapping;
	bool found;

	filemap_invalidate_lock_shared(mapping);
	found = gmem_next_present(gt->gi, index, end, b, nr);
	filemap_invalidate_unlock_shared(mapping);
	return found;
}

static void test_next_present_4k(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_backing b;
	pgoff_t index = 0;
	unsigned long nr;

	gmem_test_open(gt, 1024 * PAGE_SIZE, 0, 0);
	KUNIT_EXPECT_FALSE(test, next_present(gt, &index, ULONG_MAX, &b, &nr));

	gmem_test_must_populate(gt, 5);
	gmem_test_must_populate(gt, 700);
	KUNIT_EXPECT_TRUE(test, next_present(gt, &index, 1024, &b, &nr));
	KUNIT_EXPECT_EQ(test, index, 5);
	KUNIT_EXPECT_EQ(test, nr, 1);
	KUNIT_EXPECT_NULL(test, b.block);

	index = 6;
	KUNIT_EXPECT_FALSE(test, next_present(gt, &index, 700, &b, &nr));
	index = 6;
	KUNIT_EXPECT_TRUE(test, next_present(gt, &index, 701, &b, &nr));
	KUNIT_EXPECT_EQ(test, index, 700);
	KUNIT_EXPECT_FALSE(test, next_present(gt, &index, 700, &b, &nr));
}

static void test_next_present_huge(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_backing b;
	pgoff_t index = 0;
	unsigned long nr;

	/* Nothing, a block, nothing, single pages, a block */
	gmem_test_open(gt, 5 * PMD_SIZE, GMEM_HUGEPAGE, PMD_ORDER);
	gmem_test_must_populate(gt, CHUNK);
	gmem_test_must_populate(gt, 4 * CHUNK);
	gt->refuse = BIT(PMD_ORDER);
	gmem_test_must_populate(gt, 3 * CHUNK + 9);
	gmem_test_must_populate(gt, 4 * CHUNK - 1);

	KUNIT_EXPECT_TRUE(test, next_present(gt, &index, 5 * CHUNK, &b, &nr));
	KUNIT_EXPECT_EQ(test, index, CHUNK);
	KUNIT_EXPECT_EQ(test, nr, CHUNK);
	KUNIT_ASSERT_NOT_NULL(test, b.block);
	KUNIT_EXPECT_EQ(test, gmem_block_offset(&b), 0);

	/* From the middle of a block, and up to the middle of it. */
	index = CHUNK + 100;
	KUNIT_EXPECT_TRUE(test, next_present(gt, &index, 2 * CHUNK - 50, &b, &nr));
	KUNIT_EXPECT_EQ(test, index, CHUNK + 100);
	KUNIT_EXPECT_EQ(test, nr, CHUNK - 150);
	KUNIT_EXPECT_EQ(test, gmem_block_offset(&b), 100);

	index = 2 * CHUNK;
	KUNIT_EXPECT_FALSE(test, next_present(gt, &index, 3 * CHUNK + 9, &b, &nr));
	index = 2 * CHUNK;
	KUNIT_EXPECT_TRUE(test, next_present(gt, &index, 5 * CHUNK, &b, &nr));
	KUNIT_EXPECT_EQ(test, index, 3 * CHUNK + 9);
	KUNIT_EXPECT_EQ(test, nr, 1);
	KUNIT_EXPECT_NULL(test, b.block);
	index++;
	KUNIT_EXPECT_TRUE(test, next_present(gt, &index, 5 * CHUNK, &b, &nr));
	KUNIT_EXPECT_EQ(test, index, 4 * CHUNK - 1);
	index++;
	KUNIT_EXPECT_TRUE(test, next_present(gt, &index, ULONG_MAX, &b, &nr));
	KUNIT_EXPECT_EQ(test, index, 4 * CHUNK);
	KUNIT_EXPECT_EQ(test, nr, CHUNK);
}

static void free_range(struct gmem_test *gt, pgoff_t start, pgoff_t end)
{
	struct address_space *mapping = gt->gi->inode.i_mapping;

	filemap_invalidate_lock(mapping);
	gmem_free_range(gt->gi, start, end);
	filemap_invalidate_unlock(mapping);
}

static void test_free_range_4k(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	pgoff_t index;

	gmem_test_open(gt, 16 * PAGE_SIZE, 0, 0);
	for (index = 2; index < 10; index++)
		gmem_test_must_populate(gt, index);

	free_range(gt, 4, 8);
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, 2, 4), "frozen");
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, 4, 8), "absent");
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, 8, 10), "frozen");
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_BLOCKS_4K), 4);
	KUNIT_EXPECT_EQ(test, inode_get_bytes(&gt->gi->inode), 4 * PAGE_SIZE);

	free_range(gt, 0, ULONG_MAX);
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), 0);
	KUNIT_EXPECT_EQ(test, inode_get_bytes(&gt->gi->inode), 0);
	gmem_test_expect_returned(gt, 0);
}

/* Blocks go as a whole or not at all; single pages, one by one. */
static void test_free_range_huge(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	gmem_test_open(gt, 4 * PMD_SIZE, GMEM_HUGEPAGE, PMD_ORDER);
	gmem_test_must_populate(gt, 0);
	gmem_test_must_populate(gt, CHUNK);
	gmem_test_must_populate(gt, 2 * CHUNK);
	gt->refuse = BIT(PMD_ORDER);
	gmem_test_must_populate(gt, 3 * CHUNK + 4);
	gmem_test_must_populate(gt, 3 * CHUNK + 5);

	free_range(gt, 1, 3 * CHUNK - 1);
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, 1, CHUNK), "tail");
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, CHUNK, 2 * CHUNK), "absent");
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, 2 * CHUNK + 1, 3 * CHUNK), "tail");
	KUNIT_EXPECT_EQ(test, gt->given, 1);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_BLOCKS_2M), 2);

	free_range(gt, 3 * CHUNK, 3 * CHUNK + 5);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 3 * CHUNK + 4), "absent");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 3 * CHUNK + 5), "frozen");

	/* An empty table is no obstacle to a block. */
	free_range(gt, 3 * CHUNK + 5, 4 * CHUNK);
	gt->refuse = 0;
	gmem_test_must_populate(gt, 3 * CHUNK + 5);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 3 * CHUNK), "head");

	free_range(gt, 0, 4 * CHUNK);
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), 0);
	KUNIT_EXPECT_TRUE(test, xa_empty(&gt->gi->blocks));
	KUNIT_EXPECT_EQ(test, inode_get_bytes(&gt->gi->inode), 0);
	gmem_test_expect_returned(gt, 0);
}

struct racer {
	struct gmem_test *gt;
	struct completion *go;
	struct completion done;
	pgoff_t index;
	int err;
	struct gmem_backing b;
};

static int racer_thread(void *data)
{
	struct racer *racer = data;

	wait_for_completion(racer->go);
	racer->err = gmem_test_populate(racer->gt, racer->index, 0, &racer->b);
	kthread_complete_and_exit(&racer->done, 0);
}

/* Those who fault in one fresh block get the same one, zeroed once. */
static void test_populate_race(struct kunit *test)
{
	DECLARE_COMPLETION_ONSTACK(go);
	struct racer racer[NR_RACERS] = { };
	struct gmem_test *gt = test->priv;
	struct task_struct *task;
	int i, started;

	gmem_test_open(gt, PMD_SIZE, GMEM_HUGEPAGE, PMD_ORDER);
	for (i = 0; i < NR_RACERS; i++) {
		racer[i].gt = gt;
		racer[i].go = &go;
		racer[i].index = i * 100;
		init_completion(&racer[i].done);
		task = kthread_run(racer_thread, &racer[i], "gmem-racer/%d", i);
		if (IS_ERR(task))
			break;
	}
	complete_all(&go);
	started = i;
	for (i = 0; i < started; i++)
		wait_for_completion(&racer[i].done);

	KUNIT_EXPECT_EQ(test, started, NR_RACERS);
	for (i = 0; i < started; i++) {
		KUNIT_EXPECT_EQ(test, racer[i].err, 0);
		KUNIT_EXPECT_PTR_EQ(test, racer[i].b.block, racer[0].b.block);
	}
	KUNIT_EXPECT_EQ(test, gt->nr_takes, 1);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_BLOCKS_2M), 1);
	KUNIT_EXPECT_EQ(test, inode_get_bytes(&gt->gi->inode), PMD_SIZE);
}

static int run_populate(struct gmem_test *gt)
{
	struct gmem_backing b;

	return gmem_test_populate(gt, 3 * CHUNK + 5, 0, &b);
}

static void undo_populate(struct gmem_test *gt)
{
	free_range(gt, 0, ULONG_MAX);
}

static const struct gmem_test_op populate_op = {
	.run		= run_populate,
	.undo		= undo_populate,
	.min_failures	= 1,
};

static void test_populate_4k_failures(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	gmem_test_open(gt, 4 * PMD_SIZE, 0, 0);
	gmem_test_each_failure(gt, &populate_op);
}

static void test_populate_2m_failures(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	gmem_test_open(gt, 4 * PMD_SIZE, GMEM_HUGEPAGE, PMD_ORDER);
	gt->gi->source = &gmem_test_strict_source;
	gmem_test_each_failure(gt, &populate_op);
	gt->gi->source = &gmem_test_source;
}

/* The same without a block, for a file that may fall back: the table fails. */
static void test_populate_table_failures(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	gmem_test_open(gt, 4 * PMD_SIZE, GMEM_HUGEPAGE, PMD_ORDER);
	gt->refuse = BIT(PMD_ORDER);
	gmem_test_each_failure(gt, &populate_op);
}

static struct kunit_case gmem_block_cases[] = {
	KUNIT_CASE(test_block_arithmetic),
	KUNIT_CASE(test_clean_order),
	KUNIT_CASE(test_slot_mutex),
	KUNIT_CASE(test_populate_4k),
	KUNIT_CASE(test_populate_2m),
	KUNIT_CASE(test_fallback_4k),
	KUNIT_CASE(test_fallback_1g),
	KUNIT_CASE(test_take_errors),
	KUNIT_CASE(test_populate_killed),
	KUNIT_CASE(test_next_present_4k),
	KUNIT_CASE(test_next_present_huge),
	KUNIT_CASE(test_free_range_4k),
	KUNIT_CASE(test_free_range_huge),
	KUNIT_CASE(test_populate_race),
	KUNIT_CASE(test_populate_4k_failures),
	KUNIT_CASE(test_populate_2m_failures),
	KUNIT_CASE(test_populate_table_failures),
	{}
};

static struct kunit_suite gmem_block_suite = {
	.name		= "gmem_block",
	.init		= gmem_test_init,
	.exit		= gmem_test_exit,
	.test_cases	= gmem_block_cases,
};

kunit_test_suite(gmem_block_suite);
