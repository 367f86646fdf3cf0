// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: KUnit, the transaction
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/falloc.h>
#include <linux/kthread.h>
#include <linux/mman.h>
#include <linux/uaccess.h>

#include "fixture.h"

#define CHUNK	GMEM_CHUNK_PAGES
#define AROUND	(PAGE_SIZE / sizeof(struct page))
#define SHARED	(GMEM_MMAP | GMEM_INIT_SHARED)

static void open_2m(struct gmem_test *gt, unsigned int flags)
{
	gmem_test_open(gt, 4 * PMD_SIZE, flags | GMEM_HUGEPAGE, PMD_ORDER);
}

static void expect_range(struct gmem_test *gt, unsigned int view, pgoff_t start,
			 pgoff_t end, pgoff_t window_start, pgoff_t window_end)
{
	const struct gmem_range *range = &gt->view[view].range;

	KUNIT_EXPECT_EQ(gt->test, range->start, start);
	KUNIT_EXPECT_EQ(gt->test, range->end, end);
	KUNIT_EXPECT_EQ(gt->test, range->window_start, window_start);
	KUNIT_EXPECT_EQ(gt->test, range->window_end, window_end);
}

/* Zap what was asked for; retry faults on all that a stale order could map. */
static void test_window_2m(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	open_2m(gt, 0);
	gmem_test_must_populate(gt, 0);
	gmem_test_must_populate(gt, CHUNK);
	gmem_test_must_populate(gt, 2 * CHUNK);

	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, CHUNK + 5, CHUNK + 6), 0);
	expect_range(gt, 0, CHUNK + 5, CHUNK + 6, CHUNK, 2 * CHUNK);
	KUNIT_EXPECT_EQ(test, gt->view[0].range.filter, GMEM_ANY);

	/* Both ends in blocks */
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, CHUNK - 1, CHUNK + 1), 0);
	expect_range(gt, 0, CHUNK - 1, CHUNK + 1, 0, 2 * CHUNK);

	/* The end exactly at that of a block, the start in a hole */
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 0, CHUNK), 0);
	expect_range(gt, 0, 0, CHUNK, 0, CHUNK);
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 7, CHUNK + 9), 0);
	expect_range(gt, 0, 7, CHUNK + 9, 7, 2 * CHUNK);
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 2 * CHUNK + 9, 3 * CHUNK + 9), 0);
	expect_range(gt, 0, 2 * CHUNK + 9, 3 * CHUNK + 9, 2 * CHUNK, 3 * CHUNK + 9);
}

static void test_window_4k(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	gmem_test_open(gt, 2 * PMD_SIZE, 0, 0);
	gmem_test_must_populate(gt, 7);
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 5, 9), 0);
	expect_range(gt, 0, 5, 9, 5, 9);
	gmem_test_close(gt);

	/* Single pages of a huge file were never mapped at any other order. */
	open_2m(gt, 0);
	gt->refuse = BIT(PMD_ORDER);
	gmem_test_must_populate(gt, CHUNK + 7);
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, CHUNK + 5, CHUNK + 9), 0);
	expect_range(gt, 0, CHUNK + 5, CHUNK + 9, CHUNK + 5, CHUNK + 9);
}

/* A range may end beyond the file, or begin there. */
static void test_punch_limits(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	open_2m(gt, 0);
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 0, 4 * CHUNK), 0);
	KUNIT_EXPECT_STREQ(test, gt->trace, "");

	gmem_test_must_populate(gt, 3 * CHUNK);
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 4 * CHUNK, 8 * CHUNK), 0);
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 0, 3 * CHUNK), 0);
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 3 * CHUNK + 5, 3 * CHUNK + 5), 0);
	KUNIT_EXPECT_STREQ(test, gt->trace, "");
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), CHUNK);

	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 1, ULONG_MAX), 0);
	expect_range(gt, 0, 1, 4 * CHUNK, 1, 4 * CHUNK);
	KUNIT_EXPECT_STREQ(test, gt->trace, "p0 b0 s e0");
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), 0);
}

/* Whole blocks go back; of others the part becomes zero, and only that. */
static void test_punch_private(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct page *page[3];
	int i;

	open_2m(gt, 0);
	for (i = 0; i < 3; i++) {
		page[i] = gmem_test_must_populate(gt, i * CHUNK);
		memset(page_address(page[i]), 0x70 + i, PMD_SIZE);
	}

	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, CHUNK - 2, 2 * CHUNK + 3), 0);
	KUNIT_EXPECT_STREQ(test, gt->trace, "p0 b0 s s s e0");
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(page[0], CHUNK - 2, 0x70));
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(page[0] + CHUNK - 2, 2, 0));
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(page[2], 3, 0));
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(page[2] + 3, CHUNK - 3, 0x72));
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, CHUNK, 2 * CHUNK), "absent");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 0), "head");
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, 1, CHUNK), "tail");
	KUNIT_EXPECT_EQ(test, gt->given, 1);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_BLOCKS_2M), 2);

	/* make_shared() comes first: the host must not touch private memory. */
	KUNIT_EXPECT_EQ(test, gt->nr_shared, 3);
	KUNIT_EXPECT_EQ(test, gt->shared[0].pfn, page_to_pfn(page[0]) + CHUNK - 2);
	KUNIT_EXPECT_EQ(test, gt->shared[0].nr, 2);
	KUNIT_EXPECT_EQ(test, gt->shared[0].byte, 0x70);
	KUNIT_EXPECT_EQ(test, gt->shared[1].pfn, page_to_pfn(page[1]));
	KUNIT_EXPECT_EQ(test, gt->shared[1].nr, CHUNK);
	KUNIT_EXPECT_EQ(test, gt->shared[1].byte, 0x71);
	KUNIT_EXPECT_EQ(test, gt->shared[2].pfn, page_to_pfn(page[2]));
	KUNIT_EXPECT_EQ(test, gt->shared[2].nr, 3);
	KUNIT_EXPECT_EQ(test, gt->shared[2].byte, 0x72);
}

static void test_punch_shared(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct page *page;

	open_2m(gt, SHARED);
	page = gmem_test_must_publish(gt, 5);
	gmem_test_must_publish(gt, 6);
	gmem_test_must_publish(gt, CHUNK + 5);
	memset(page_address(page), 0x3c, 2 * PAGE_SIZE);

	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 4, 6), 0);
	KUNIT_EXPECT_STREQ(test, gt->trace, "p0 b0 e0");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 5), "frozen");
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(page, 1, 0));
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 6), "live");
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(page + 1, 1, 0x3c));
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_LIVE), 2);

	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 0, 4 * CHUNK), 0);
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), 0);
	KUNIT_EXPECT_EQ(test, gt->given, 2);
	gmem_test_expect_stats(gt);
	gmem_test_expect_returned(gt, 0);
}

static void test_punch_4k(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	pgoff_t index;

	gmem_test_open(gt, 32 * PAGE_SIZE, SHARED, 0);
	for (index = 0; index < 16; index++)
		gmem_test_must_publish(gt, index);
	gmem_test_must_populate(gt, 16);

	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 4, 12), 0);
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, 0, 4), "live");
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, 4, 12), "absent");
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, 12, 16), "live");
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_LIVE), 8);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_BLOCKS_4K), 9);
}

/* A poisoned page is not touched, not even to clear it. */
static void test_punch_poisoned(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_chunk *chunk;
	struct gmem_backing b;
	struct page *page;

	open_2m(gt, 0);
	page = gmem_test_must_populate(gt, 0);
	KUNIT_ASSERT_TRUE(test, gmem_test_lookup(gt, 0, &b));
	chunk = gmem_get_chunk(b.block, 0, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, chunk);
	memset(page_address(page), 0x3c, 3 * PAGE_SIZE);
	__set_bit(1, chunk->poison);
	b.block->nr_poison = 1;

	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 0, 3), 0);
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(page, 1, 0));
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(page + 1, 1, 0x3c));
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(page + 2, 1, 0));

	__clear_bit(1, chunk->poison);
	b.block->nr_poison = 0;
}

static void test_several_views(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	open_2m(gt, 0);
	gmem_test_attach(gt, 1);
	gmem_test_attach(gt, 2);
	gmem_test_must_populate(gt, 0);
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 1, 2), 0);
	KUNIT_EXPECT_STREQ(test, gt->trace, "p0 p1 p2 b0 b1 b2 s e0 e1 e2");
	expect_range(gt, 2, 1, 2, 0, CHUNK);
}

/* A view that cannot prepare: the others close, and nothing has happened. */
static void test_prepare_fails(struct kunit *test)
{
	static const char * const trace[] = { "p0", "p0 p1 e0", "p0 p1 p2 e1 e0" };
	struct gmem_test *gt = test->priv;
	struct page *page;
	int i;

	open_2m(gt, SHARED);
	gmem_test_attach(gt, 1);
	gmem_test_attach(gt, 2);
	page = gmem_test_must_publish(gt, 5);
	memset(page_address(page), 0x3c, PAGE_SIZE);

	for (i = 0; i < GMEM_TEST_VIEWS; i++) {
		gt->view[i].prepare_err = -ENOMEM;
		KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 5, 6), -ENOMEM);
		KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 0, 4 * CHUNK), -ENOMEM);
		gt->view[i].prepare_err = 0;

		gmem_test_reset(gt);
		gt->view[i].prepare_err = -EIO;
		KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 0, CHUNK), -EIO);
		gt->view[i].prepare_err = 0;
		KUNIT_EXPECT_STREQ(test, gt->trace, trace[i]);

		KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 5), "live");
		KUNIT_EXPECT_TRUE(test, gmem_test_filled(page, 1, 0x3c));
		KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_LIVE), 1);
		KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_BLOCKS_2M), 1);
	}
	KUNIT_EXPECT_EQ(test, atomic_long_read(&gt->gi->eagain), 0);

	gmem_test_reset(gt);
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 0, CHUNK), 0);
	KUNIT_EXPECT_STREQ(test, gt->trace, "p0 p1 p2 b0 b1 b2 e0 e1 e2");
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), 0);
}

/* Somebody holds a page for good: -EAGAIN, and nothing has happened. */
static void test_punch_busy(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct page *page;

	open_2m(gt, SHARED);
	gmem_test_attach(gt, 1);
	gmem_test_must_publish(gt, 4);
	page = gmem_test_must_publish(gt, 5);
	gmem_test_must_populate(gt, CHUNK);
	memset(page_address(page), 0x3c, PAGE_SIZE);

	get_page(page);
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 0, 4 * CHUNK), -EAGAIN);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&gt->gi->eagain), 1);
	KUNIT_EXPECT_EQ(test, strncmp(gt->trace, "p0 p1 e0 e1", 11), 0);
	KUNIT_EXPECT_NULL(test, strchr(gt->trace, 'b'));
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 4), "live");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 5), "held");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, CHUNK), "head");
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(page, 1, 0x3c));
	KUNIT_EXPECT_EQ(test, gt->given, 0);

	/* Beside it, all is as usual. */
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 0, 5), 0);
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 6, 4 * CHUNK), 0);
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), CHUNK);
	KUNIT_EXPECT_EQ(test, gt->given, 1);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&gt->gi->eagain), 1);

	put_page(page);
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 0, 4 * CHUNK), 0);
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), 0);
}

struct holder {
	struct page *page;
	struct completion done;
};

static int holder_thread(void *data)
{
	struct holder *holder = data;

	fsleep(2 * USEC_PER_MSEC);
	put_page(holder->page);
	kthread_complete_and_exit(&holder->done, 0);
}

/* Somebody holds a page for a moment: the punch waits for him. */
static void test_punch_transient(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct task_struct *task;
	struct holder holder;

	gmem_test_open(gt, 16 * PAGE_SIZE, SHARED, 0);
	holder.page = gmem_test_must_publish(gt, 5);
	init_completion(&holder.done);
	get_page(holder.page);
	task = kthread_run(holder_thread, &holder, "gmem-holder");
	if (IS_ERR(task))
		put_page(holder.page);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, task);

	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 0, 16), 0);
	wait_for_completion(&holder.done);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&gt->gi->eagain), 0);
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), 0);
}

static unsigned long map_file(struct gmem_test *gt, unsigned long len,
			      unsigned long prot)
{
	unsigned long addr;

	addr = kunit_vm_mmap(gt->test, gt->file, 0, len, prot, MAP_SHARED, 0);
	KUNIT_ASSERT_NE(gt->test, addr, 0);
	KUNIT_ASSERT_FALSE(gt->test, IS_ERR_VALUE(addr));
	return addr;
}

/* The host touches a page, loses it to a punch, and finds another there. */
static void test_user_mapping(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	char __user *user;
	struct page *page;
	char buf[8] = "private";

	open_2m(gt, SHARED);
	user = (char __user *)map_file(gt, 2 * PMD_SIZE, PROT_READ | PROT_WRITE);
	user += 5 * PAGE_SIZE;

	KUNIT_EXPECT_EQ(test, copy_to_user(user, buf, sizeof(buf)), 0);
	page = gmem_test_must_populate(gt, 5);
	KUNIT_EXPECT_MEMEQ(test, page_address(page), buf, sizeof(buf));
	KUNIT_EXPECT_TRUE(test, folio_mapped(page_folio(page)));
	KUNIT_EXPECT_EQ(test, page_ref_count(page), 2);
	/* Its neighbours came with it, as far as a vmemmap page reaches. */
	KUNIT_EXPECT_GE(test, gmem_test_stat(gt, GMEM_LIVE), 1);
	KUNIT_EXPECT_LE(test, gmem_test_stat(gt, GMEM_LIVE), AROUND);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, AROUND), "frozen");
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, CHUNK - 1), "frozen");

	/* Part of the block: same page, zeroed. */
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 5, 6), 0);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 5), "frozen");
	KUNIT_EXPECT_EQ(test, copy_from_user(buf, user, sizeof(buf)), 0);
	KUNIT_EXPECT_NULL(test, memchr_inv(buf, 0, sizeof(buf)));
	KUNIT_EXPECT_PTR_EQ(test, gmem_test_must_populate(gt, 5), page);
	KUNIT_EXPECT_EQ(test, page_ref_count(page), 2);

	/* All of it, from another process' point of view at any time. */
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 0, CHUNK), 0);
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), 0);
	KUNIT_EXPECT_EQ(test, gt->given, 1);

	vm_munmap((unsigned long)user - 5 * PAGE_SIZE, 2 * PMD_SIZE);
}

/* Unmapping leaves the page live; it is the file's. */
static void test_user_unmap(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	unsigned long addr;

	gmem_test_open(gt, 16 * PAGE_SIZE, SHARED, 0);
	addr = map_file(gt, 16 * PAGE_SIZE, PROT_READ | PROT_WRITE);
	KUNIT_EXPECT_EQ(test, clear_user((void __user *)addr, 3 * PAGE_SIZE), 0);
	vm_munmap(addr, 16 * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), 3);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_LIVE), 3);
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 0, 16), 0);
	KUNIT_EXPECT_EQ(test, gmem_test_stat(gt, GMEM_LIVE), 0);
}

/* No host mapping of what is private, and nothing is allocated for the attempt. */
static void test_user_private(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	char __user *user;
	unsigned long addr;

	gmem_test_open(gt, 16 * PAGE_SIZE, GMEM_MMAP, 0);
	addr = map_file(gt, 16 * PAGE_SIZE, PROT_READ | PROT_WRITE);
	user = (char __user *)addr;
	KUNIT_EXPECT_EQ(test, clear_user(user, 16), 16);
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), 0);
	gmem_test_must_populate(gt, 0);
	KUNIT_EXPECT_EQ(test, clear_user(user, 16), 16);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 0), "frozen");
	vm_munmap(addr, 16 * PAGE_SIZE);
}

static void test_fallocate(struct kunit *test)
{
	const int punch = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
	struct gmem_test *gt = test->priv;
	struct file *file;

	open_2m(gt, 0);
	file = gt->file;
	KUNIT_EXPECT_EQ(test, gmem_fallocate(file, 0, 0, PAGE_SIZE), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, gmem_fallocate(file, FALLOC_FL_KEEP_SIZE |
					     FALLOC_FL_ZERO_RANGE, 0, PAGE_SIZE),
			-EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, gmem_fallocate(file, punch, 1, PAGE_SIZE), -EINVAL);
	KUNIT_EXPECT_EQ(test, gmem_fallocate(file, punch, 0, PAGE_SIZE - 1), -EINVAL);
	KUNIT_EXPECT_EQ(test, gmem_fallocate(file, FALLOC_FL_KEEP_SIZE, 4 * PMD_SIZE,
					     PAGE_SIZE), -EINVAL);
	KUNIT_EXPECT_EQ(test, gmem_fallocate(file, FALLOC_FL_KEEP_SIZE, 0,
					     4 * PMD_SIZE + PAGE_SIZE), -EINVAL);
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), 0);

	/* Whole blocks, all that the range touches */
	KUNIT_EXPECT_EQ(test, gmem_fallocate(file, FALLOC_FL_KEEP_SIZE,
					     PMD_SIZE - PAGE_SIZE, 2 * PAGE_SIZE), 0);
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), 2 * CHUNK);
	KUNIT_EXPECT_EQ(test, gt->nr_takes, 2);
	KUNIT_EXPECT_EQ(test, gmem_fallocate(file, FALLOC_FL_KEEP_SIZE, 0,
					     4 * PMD_SIZE), 0);
	KUNIT_EXPECT_EQ(test, gt->nr_takes, 4);
	KUNIT_EXPECT_EQ(test, gmem_fallocate(file, punch, PAGE_SIZE, PMD_SIZE), 0);
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), 4 * CHUNK);
	KUNIT_EXPECT_EQ(test, gmem_fallocate(file, punch, 0, PMD_SIZE * 3 / 2), 0);
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), 3 * CHUNK);
	KUNIT_EXPECT_EQ(test, gmem_fallocate(file, punch, 0, LLONG_MAX & PAGE_MASK), 0);
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), 0);
	KUNIT_EXPECT_EQ(test, i_size_read(&gt->gi->inode), 4 * PMD_SIZE);
}

static int run_punch(struct gmem_test *gt)
{
	return gmem_punch(gt->gi, CHUNK - 1, 2 * CHUNK + 1);
}

static void undo_punch(struct gmem_test *gt)
{
	KUNIT_EXPECT_STREQ(gt->test, gmem_test_state(gt, CHUNK + 5), "absent");
	gmem_test_must_publish(gt, CHUNK - 1);
	gmem_test_must_publish(gt, CHUNK + 5);
}

static const struct gmem_test_op punch_op = {
	.run	= run_punch,
	.undo	= undo_punch,
};

/* Memory is not needed to give memory back. */
static void test_punch_failures(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	open_2m(gt, SHARED);
	gmem_test_must_populate(gt, 2 * CHUNK);
	gmem_test_must_publish(gt, CHUNK - 1);
	gmem_test_must_publish(gt, CHUNK + 5);
	gmem_test_each_failure(gt, &punch_op);
}

static struct kunit_case gmem_convert_cases[] = {
	KUNIT_CASE(test_window_2m),
	KUNIT_CASE(test_window_4k),
	KUNIT_CASE(test_punch_limits),
	KUNIT_CASE(test_punch_private),
	KUNIT_CASE(test_punch_shared),
	KUNIT_CASE(test_punch_4k),
	KUNIT_CASE(test_punch_poisoned),
	KUNIT_CASE(test_several_views),
	KUNIT_CASE(test_prepare_fails),
	KUNIT_CASE(test_punch_busy),
	KUNIT_CASE(test_punch_transient),
	KUNIT_CASE(test_user_mapping),
	KUNIT_CASE(test_user_unmap),
	KUNIT_CASE(test_user_private),
	KUNIT_CASE(test_fallocate),
	KUNIT_CASE(test_punch_failures),
	{}
};

static struct kunit_suite gmem_convert_suite = {
	.name		= "gmem_convert",
	.init		= gmem_test_init,
	.exit		= gmem_test_exit,
	.test_cases	= gmem_convert_cases,
};

kunit_test_suite(gmem_convert_suite);
