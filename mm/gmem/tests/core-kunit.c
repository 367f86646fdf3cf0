// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: KUnit, files, views, gmem_get_pfn() and the registry
 */
#include <linux/mm.h>

#include "fixture.h"

#define CHUNK	GMEM_CHUNK_PAGES
#define SHARED	(GMEM_MMAP | GMEM_INIT_SHARED)

/* A pfn behind all memory there is. */
#define NO_PFN	BIT(40)

static int get_pfn(struct gmem_test *gt, pgoff_t index, struct gmem_pfn *out)
{
	return gmem_get_pfn(&gt->gi->inode, &gt->view[0].view, index, out);
}

static void test_supported_orders(struct kunit *test)
{
	unsigned int orders;

	KUNIT_EXPECT_EQ(test, gmem_supported_orders(0), BIT(0));
	KUNIT_EXPECT_EQ(test, gmem_supported_orders(SHARED), BIT(0));
	KUNIT_EXPECT_EQ(test, gmem_supported_orders(GMEM_HUGETLB | GMEM_HUGEPAGE), 0);
	orders = gmem_supported_orders(GMEM_HUGEPAGE);
	KUNIT_EXPECT_EQ(test, orders & ~BIT(PUD_ORDER), BIT(PMD_ORDER));
	orders = gmem_supported_orders(GMEM_HUGETLB);
	KUNIT_EXPECT_EQ(test, orders & ~(BIT(PMD_ORDER) | BIT(PUD_ORDER)), 0);
}

static void test_create(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct inode *inode;

	gmem_test_open(gt, 3 * PMD_SIZE, SHARED | GMEM_HUGEPAGE, PMD_ORDER);
	inode = file_inode(gt->file);
	KUNIT_EXPECT_PTR_EQ(test, gt->file->private_data, (void *)&gt->view[0].view);
	KUNIT_EXPECT_EQ(test, i_size_read(inode), 3 * PMD_SIZE);
	KUNIT_EXPECT_TRUE(test, S_ISREG(inode->i_mode));
	KUNIT_EXPECT_TRUE(test, mapping_inaccessible(inode->i_mapping));
	KUNIT_EXPECT_EQ(test, gt->gi->order, PMD_ORDER);
	KUNIT_EXPECT_TRUE(test, list_is_singular(&gt->gi->views));
	KUNIT_EXPECT_TRUE(test, gmem_can_mmap(inode));
	KUNIT_EXPECT_FALSE(test, gmem_is_private(inode, 0));
	KUNIT_EXPECT_EQ(test, gmem_bytes_held(gt->gi), 0);
	gmem_test_close(gt);

	gmem_test_open(gt, PAGE_SIZE, 0, 0);
	inode = file_inode(gt->file);
	KUNIT_EXPECT_FALSE(test, gmem_can_mmap(inode));
	KUNIT_EXPECT_TRUE(test, gmem_is_private(inode, 0));
}

static void expect_no_file(struct gmem_test *gt, unsigned int flags,
			   unsigned int order)
{
	struct file *file = gmem_test_create(gt, PUD_SIZE, flags, order);

	KUNIT_EXPECT_PTR_EQ_MSG(gt->test, file, ERR_PTR(-EINVAL),
				"flags %#x order %u", flags, order);
	if (!IS_ERR(file))
		gmem_test_close(gt);
}

static void test_create_refused(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	expect_no_file(gt, 0, PMD_ORDER);
	expect_no_file(gt, 0, 1);
	expect_no_file(gt, GMEM_HUGEPAGE, 0);
	expect_no_file(gt, GMEM_HUGEPAGE, PMD_ORDER - 1);
	expect_no_file(gt, GMEM_HUGETLB, 0);
	expect_no_file(gt, GMEM_HUGETLB | GMEM_HUGEPAGE, PMD_ORDER);
}

static void test_get_pfn_4k(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_pfn out, again;
	struct gmem_backing b = { };

	gmem_test_open(gt, 16 * PAGE_SIZE, SHARED, 0);
	KUNIT_ASSERT_EQ(test, get_pfn(gt, 5, &out), 0);
	KUNIT_EXPECT_EQ(test, out.order, 0);
	KUNIT_EXPECT_FALSE(test, out.private);
	KUNIT_ASSERT_TRUE(test, gmem_test_lookup(gt, 5, &b));
	KUNIT_EXPECT_EQ(test, out.pfn, page_to_pfn(b.page));
	KUNIT_EXPECT_EQ(test, page_ref_count(b.page), 0);
	KUNIT_EXPECT_EQ(test, gt->nr_private, 0);

	/* The host's use makes no difference. */
	gmem_test_must_publish(gt, 5);
	KUNIT_EXPECT_EQ(test, get_pfn(gt, 5, &again), 0);
	KUNIT_EXPECT_EQ(test, again.pfn, out.pfn);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 5), "live");
}

static void test_get_pfn_2m(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_pfn first, out;
	pgoff_t index;

	gmem_test_open(gt, 2 * PMD_SIZE, SHARED | GMEM_HUGEPAGE, PMD_ORDER);
	KUNIT_ASSERT_EQ(test, get_pfn(gt, CHUNK, &first), 0);
	KUNIT_EXPECT_EQ(test, first.pfn % CHUNK, 0);
	for (index = CHUNK; index < 2 * CHUNK; index++) {
		KUNIT_EXPECT_EQ(test, get_pfn(gt, index, &out), 0);
		KUNIT_EXPECT_EQ(test, out.pfn, first.pfn + index - CHUNK);
		KUNIT_EXPECT_EQ(test, out.order, PMD_ORDER);
	}
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), CHUNK);
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, CHUNK + 1, 2 * CHUNK), "tail");

	/* Order is of the memory, not of its struct pages. */
	gmem_test_must_publish(gt, CHUNK + 7);
	KUNIT_EXPECT_EQ(test, get_pfn(gt, CHUNK + 7, &out), 0);
	KUNIT_EXPECT_EQ(test, out.order, PMD_ORDER);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, CHUNK + 7), "live");

	gt->refuse = BIT(PMD_ORDER);
	KUNIT_EXPECT_EQ(test, get_pfn(gt, 3, &out), 0);
	KUNIT_EXPECT_EQ(test, out.order, 0);
}

static void test_get_pfn_errors(struct kunit *test)
{
	const struct gmem_pfn untouched = { .pfn = 1, .order = 2, .private = true };
	struct gmem_test *gt = test->priv;
	struct gmem_pfn out = untouched;

	gmem_test_open(gt, PMD_SIZE, GMEM_HUGEPAGE, PMD_ORDER);
	KUNIT_EXPECT_EQ(test, get_pfn(gt, CHUNK, &out), -EFAULT);
	KUNIT_EXPECT_EQ(test, get_pfn(gt, ULONG_MAX, &out), -EFAULT);
	KUNIT_EXPECT_EQ(test, gt->nr_takes, 0);

	gt->refuse = BIT(PMD_ORDER) | BIT(0);
	KUNIT_EXPECT_EQ(test, get_pfn(gt, 0, &out), -ENOMEM);
	gt->take_err = -EINTR;
	KUNIT_EXPECT_EQ(test, get_pfn(gt, 0, &out), -EINTR);
	gt->refuse = 0;

	KUNIT_EXPECT_EQ(test, out.pfn, untouched.pfn);
	KUNIT_EXPECT_EQ(test, out.order, untouched.order);
	KUNIT_EXPECT_EQ(test, out.private, untouched.private);
	KUNIT_EXPECT_EQ(test, gt->nr_private, 0);

	/* What is said to be unchanged on error, is. */
	gt->make_private_err = -EBUSY;
	KUNIT_EXPECT_EQ(test, get_pfn(gt, 0, &out), -EBUSY);
	KUNIT_EXPECT_EQ(test, gt->nr_private, 1);
	KUNIT_EXPECT_EQ(test, out.pfn, untouched.pfn);
	KUNIT_EXPECT_EQ(test, out.order, untouched.order);
}

static void test_get_pfn_poisoned(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_backing b = { };
	struct gmem_chunk *chunk;
	struct gmem_pfn out;

	gmem_test_open(gt, 2 * PMD_SIZE, SHARED | GMEM_HUGEPAGE, PMD_ORDER);
	gmem_test_must_populate(gt, 0);
	gmem_test_must_populate(gt, CHUNK);
	KUNIT_ASSERT_TRUE(test, gmem_test_lookup(gt, 0, &b));
	chunk = gmem_get_chunk(b.block, 0, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, chunk);
	__set_bit(9, chunk->poison);
	b.block->nr_poison = 1;

	KUNIT_EXPECT_EQ(test, get_pfn(gt, 9, &out), -EHWPOISON);
	KUNIT_EXPECT_EQ(test, get_pfn(gt, 8, &out), 0);
	KUNIT_EXPECT_EQ(test, out.order, 0);
	KUNIT_EXPECT_EQ(test, out.pfn, b.block->pfn + 8);
	KUNIT_EXPECT_EQ(test, get_pfn(gt, CHUNK + 9, &out), 0);
	KUNIT_EXPECT_EQ(test, out.order, PMD_ORDER);

	__clear_bit(9, chunk->poison);
	b.block->nr_poison = 0;
}

static void test_make_private(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_pfn out;
	int err;

	gmem_test_open(gt, PMD_SIZE, GMEM_HUGEPAGE, PMD_ORDER);
	KUNIT_EXPECT_EQ(test, get_pfn(gt, 7, &out), 0);
	KUNIT_EXPECT_TRUE(test, out.private);
	KUNIT_EXPECT_EQ(test, gt->nr_private, 1);
	KUNIT_EXPECT_EQ(test, gt->private_index, 7);
	KUNIT_EXPECT_EQ(test, gt->private_pfn, out.pfn);

	/* Each time it is handed out, page by page. */
	KUNIT_EXPECT_EQ(test, get_pfn(gt, 7, &out), 0);
	KUNIT_EXPECT_EQ(test, get_pfn(gt, 8, &out), 0);
	KUNIT_EXPECT_EQ(test, gt->nr_private, 3);
	KUNIT_EXPECT_EQ(test, gt->private_index, 8);
	KUNIT_EXPECT_EQ(test, gt->private_pfn, out.pfn);

	/* Without a view, the caller sees to it. */
	filemap_invalidate_lock(gt->gi->inode.i_mapping);
	err = gmem_get_pfn_locked(&gt->gi->inode, NULL, 9, &out);
	filemap_invalidate_unlock(gt->gi->inode.i_mapping);
	KUNIT_EXPECT_EQ(test, err, 0);
	KUNIT_EXPECT_EQ(test, gt->nr_private, 3);

	gt->make_private_err = -EIO;
	KUNIT_EXPECT_EQ(test, get_pfn(gt, 9, &out), -EIO);
	gt->make_private_err = 0;
	KUNIT_EXPECT_EQ(test, get_pfn(gt, 9, &out), 0);
}

static void release_view(struct gmem_test *gt, unsigned int nr)
{
	filemap_invalidate_lock(gt->gi->inode.i_mapping);
	gmem_release_view(&gt->gi->inode, &gt->view[nr].view);
	filemap_invalidate_unlock(gt->gi->inode.i_mapping);
	gt->view[nr].attached = false;
}

/* The owner's state is undone with the last view, and only then. */
static void test_release_view(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct page *page[2];

	gmem_test_open(gt, 4 * PMD_SIZE, GMEM_HUGEPAGE, PMD_ORDER);
	gmem_test_attach(gt, 1);
	page[0] = gmem_test_must_populate(gt, CHUNK);
	gt->refuse = BIT(PMD_ORDER);
	page[1] = gmem_test_must_populate(gt, 3 * CHUNK + 5);

	release_view(gt, 0);
	KUNIT_EXPECT_STREQ(test, gt->trace, "");
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 0, CHUNK + 1), 0);
	KUNIT_EXPECT_STREQ(test, gt->trace, "p1 b1 s e1");

	gmem_test_reset(gt);
	release_view(gt, 1);
	KUNIT_EXPECT_STREQ(test, gt->trace, "s s");
	KUNIT_EXPECT_EQ(test, gt->shared[0].pfn, page_to_pfn(page[0]));
	KUNIT_EXPECT_EQ(test, gt->shared[0].nr, CHUNK);
	KUNIT_EXPECT_EQ(test, gt->shared[1].pfn, page_to_pfn(page[1]));
	KUNIT_EXPECT_EQ(test, gt->shared[1].nr, 1);
	KUNIT_EXPECT_EQ(test, gmem_test_present(gt), CHUNK + 1);

	/* Eviction asks the owner for nothing more. */
	gmem_test_close(gt);
	KUNIT_EXPECT_STREQ(test, gt->trace, "s s");
	gmem_test_expect_stats(gt);

	gmem_test_reset(gt);
	gmem_test_open(gt, 4 * PAGE_SIZE, SHARED, 0);
	gmem_test_must_populate(gt, 0);
	gmem_test_close(gt);
	KUNIT_EXPECT_STREQ(test, gt->trace, "");
}

static struct gmem_block *find_block(unsigned long pfn)
{
	struct gmem_block *block;

	rcu_read_lock();
	block = gmem_find_block(pfn);
	rcu_read_unlock();
	return block;
}

struct census {
	struct gmem_block *wanted[2];
	unsigned int seen[2];
};

static void count_blocks(struct census *census)
{
	struct gmem_block *block;
	unsigned long pfn = 0;
	int i;

	rcu_read_lock();
	for (; (block = gmem_next_block(pfn)); pfn = block->pfn + gmem_block_pages(block))
		for (i = 0; i < ARRAY_SIZE(census->wanted); i++)
			if (block == census->wanted[i])
				census->seen[i]++;
	rcu_read_unlock();
}

static struct gmem_block *registered(struct kunit *test, unsigned int order,
				     unsigned long pfn)
{
	struct gmem_block *block = kunit_kzalloc(test, sizeof(*block), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, block);
	block->pfn = pfn;
	block->order = order;
	KUNIT_ASSERT_EQ(test, gmem_register_block(block), 0);
	return block;
}

/* Of 1 GiB and, right behind it, of 2 MiB */
static void test_registry(struct kunit *test)
{
	struct gmem_block *giga, *mega;
	struct census census = { };

	giga = registered(test, PUD_ORDER, NO_PFN);
	mega = registered(test, PMD_ORDER, NO_PFN + CHUNK * CHUNK);
	KUNIT_EXPECT_NULL(test, find_block(NO_PFN - 1));
	KUNIT_EXPECT_PTR_EQ(test, find_block(NO_PFN), giga);
	KUNIT_EXPECT_PTR_EQ(test, find_block(NO_PFN + 77 * CHUNK + 7), giga);
	KUNIT_EXPECT_PTR_EQ(test, find_block(NO_PFN + CHUNK * CHUNK - 1), giga);
	KUNIT_EXPECT_PTR_EQ(test, find_block(NO_PFN + CHUNK * CHUNK), mega);
	KUNIT_EXPECT_PTR_EQ(test, find_block(NO_PFN + CHUNK * CHUNK + CHUNK - 1), mega);
	KUNIT_EXPECT_NULL(test, find_block(NO_PFN + CHUNK * CHUNK + CHUNK));

	census.wanted[0] = giga;
	census.wanted[1] = mega;
	count_blocks(&census);
	KUNIT_EXPECT_EQ(test, census.seen[0], 1);
	KUNIT_EXPECT_EQ(test, census.seen[1], 1);

	gmem_unregister_block(giga);
	KUNIT_EXPECT_NULL(test, find_block(NO_PFN));
	KUNIT_EXPECT_NULL(test, find_block(NO_PFN + CHUNK * CHUNK - 1));
	KUNIT_EXPECT_PTR_EQ(test, find_block(NO_PFN + CHUNK * CHUNK), mega);
	count_blocks(&census);
	KUNIT_EXPECT_EQ(test, census.seen[0], 1);
	KUNIT_EXPECT_EQ(test, census.seen[1], 2);

	gmem_unregister_block(mega);
	KUNIT_EXPECT_NULL(test, find_block(NO_PFN + CHUNK * CHUNK));
}

/* Blocks are there from populate to punch; single pages are not. */
static void test_registry_of_file(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct gmem_pfn out;

	gmem_test_open(gt, 2 * PMD_SIZE, GMEM_HUGEPAGE, PMD_ORDER);
	KUNIT_ASSERT_EQ(test, get_pfn(gt, CHUNK + 5, &out), 0);
	KUNIT_ASSERT_NOT_NULL(test, find_block(out.pfn));
	KUNIT_EXPECT_EQ(test, find_block(out.pfn)->index, CHUNK);
	KUNIT_EXPECT_PTR_EQ(test, find_block(out.pfn)->gi, gt->gi);
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, CHUNK, 2 * CHUNK), 0);
	KUNIT_EXPECT_NULL(test, find_block(out.pfn));

	gt->refuse = BIT(PMD_ORDER);
	KUNIT_ASSERT_EQ(test, get_pfn(gt, 5, &out), 0);
	KUNIT_EXPECT_NULL(test, find_block(out.pfn));
}

static void count_page(struct gmem_inode *gi, pgoff_t index, struct page *page,
		       void *arg)
{
	unsigned long *sum = arg;

	*sum += index;
}

static pgoff_t walk(struct gmem_test *gt, pgoff_t index, unsigned long *sum)
{
	*sum = 0;
	guard(rcu)();
	return gmem_walk_pages(gt->gi, index, count_page, sum);
}

/* Never more than 2 MiB at once, and never for nothing. */
static void test_walk_pages(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	unsigned long sum;

	gmem_test_open(gt, 16 * PMD_SIZE, 0, 0);
	KUNIT_EXPECT_EQ(test, walk(gt, 0, &sum), 0);
	gmem_test_must_populate(gt, 3);
	gmem_test_must_populate(gt, CHUNK - 1);
	gmem_test_must_populate(gt, CHUNK);
	gmem_test_must_populate(gt, 9 * CHUNK + 5);
	KUNIT_EXPECT_EQ(test, walk(gt, 0, &sum), CHUNK);
	KUNIT_EXPECT_EQ(test, sum, 3 + CHUNK - 1);
	KUNIT_EXPECT_EQ(test, walk(gt, CHUNK, &sum), 2 * CHUNK);
	KUNIT_EXPECT_EQ(test, sum, CHUNK);
	KUNIT_EXPECT_EQ(test, walk(gt, 2 * CHUNK, &sum), 10 * CHUNK);
	KUNIT_EXPECT_EQ(test, sum, 9 * CHUNK + 5);
	KUNIT_EXPECT_EQ(test, walk(gt, 10 * CHUNK, &sum), 0);
	gmem_test_close(gt);

	/* A block, which is passed over, and single pages in place of the next */
	gmem_test_open(gt, 4 * PMD_SIZE, GMEM_HUGEPAGE, PMD_ORDER);
	gmem_test_must_populate(gt, 0);
	gt->refuse = BIT(PMD_ORDER);
	gmem_test_must_populate(gt, 2 * CHUNK + 7);
	KUNIT_EXPECT_EQ(test, walk(gt, 0, &sum), CHUNK);
	KUNIT_EXPECT_EQ(test, sum, 0);
	KUNIT_EXPECT_EQ(test, walk(gt, CHUNK, &sum), 3 * CHUNK);
	KUNIT_EXPECT_EQ(test, sum, 2 * CHUNK + 7);
	KUNIT_EXPECT_EQ(test, walk(gt, 3 * CHUNK, &sum), 0);
}

/* From its creation until it is closed */
static void test_next_inode(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	u32 id;

	gmem_test_open(gt, PMD_SIZE, 0, 0);
	id = gt->gi->id;
	KUNIT_EXPECT_NE(test, id, 0);
	guard(rcu)();
	KUNIT_EXPECT_PTR_EQ(test, gmem_next_inode(id), gt->gi);
	KUNIT_EXPECT_PTR_NE(test, gmem_next_inode(id + 1), gt->gi);
}

static int run_create(struct gmem_test *gt)
{
	return PTR_ERR_OR_ZERO(gmem_test_create(gt, PMD_SIZE, GMEM_HUGEPAGE, PMD_ORDER));
}

static const struct gmem_test_op create_op = {
	.run		= run_create,
	.undo		= gmem_test_close,
	.min_failures	= 3,	/* inode, dentry, file */
};

static void test_create_failures(struct kunit *test)
{
	gmem_test_each_failure(test->priv, &create_op);
}

static int run_get_pfn(struct gmem_test *gt)
{
	struct gmem_pfn out;

	return get_pfn(gt, 5, &out);
}

static void undo_get_pfn(struct gmem_test *gt)
{
	KUNIT_EXPECT_EQ(gt->test, gmem_punch(gt->gi, 0, ULONG_MAX), 0);
	gmem_test_reset(gt);
}

static const struct gmem_test_op get_pfn_op = {
	.run		= run_get_pfn,
	.undo		= undo_get_pfn,
};

/* One allocation may fail, and a smaller block or a second attempt will do. */
static void test_get_pfn_failures(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	gmem_test_open(gt, PMD_SIZE, GMEM_HUGEPAGE, PMD_ORDER);
	gmem_test_each_failure(gt, &get_pfn_op);
}

static struct gmem_block failing_block;

static int run_register(struct gmem_test *gt)
{
	return gmem_register_block(&failing_block);
}

static void undo_register(struct gmem_test *gt)
{
	gmem_unregister_block(&failing_block);
}

static const struct gmem_test_op register_op = {
	.run	= run_register,
	.undo	= undo_register,
};

static void test_register_failures(struct kunit *test)
{
	failing_block.pfn = NO_PFN;
	failing_block.order = PUD_ORDER;
	gmem_test_each_failure(test->priv, &register_op);
	KUNIT_EXPECT_NULL(test, find_block(NO_PFN));
	KUNIT_EXPECT_NULL(test, find_block(NO_PFN + CHUNK * CHUNK - 1));
}

static struct kunit_case gmem_core_cases[] = {
	KUNIT_CASE(test_supported_orders),
	KUNIT_CASE(test_create),
	KUNIT_CASE(test_create_refused),
	KUNIT_CASE(test_get_pfn_4k),
	KUNIT_CASE(test_get_pfn_2m),
	KUNIT_CASE(test_get_pfn_errors),
	KUNIT_CASE(test_get_pfn_poisoned),
	KUNIT_CASE(test_make_private),
	KUNIT_CASE(test_release_view),
	KUNIT_CASE(test_registry),
	KUNIT_CASE(test_registry_of_file),
	KUNIT_CASE(test_walk_pages),
	KUNIT_CASE(test_next_inode),
	KUNIT_CASE(test_create_failures),
	KUNIT_CASE(test_get_pfn_failures),
	KUNIT_CASE(test_register_failures),
	{}
};

static struct kunit_suite gmem_core_suite = {
	.name		= "gmem_core",
	.init		= gmem_test_init,
	.exit		= gmem_test_exit,
	.test_cases	= gmem_core_cases,
};

kunit_test_suite(gmem_core_suite);
