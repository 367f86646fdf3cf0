// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: KUnit, memory that the kernel does not map
 *
 * The kernel reads its own address of the memory, as code with a bug would. The
 * fixture looks at all that was taken from the source once it is back.
 */
#include <linux/highmem.h>
#include <linux/set_memory.h>
#include <linux/uaccess.h>

#include "fixture.h"

#define CHUNK		GMEM_CHUNK_PAGES
#define WORD		0x6d656d67756f7921ULL
#define HIDDEN_2M	(GMEM_HUGEPAGE | GMEM_INIT_SHARED | GMEM_NO_DIRECT_MAP)

static bool kernel_reads(struct page *page)
{
	u64 word;
	int err = copy_from_kernel_nofault(&word, page_address(page), sizeof(word));

	return kernel_page_present(page) || err != -EFAULT;
}

static u64 window_word(struct gmem_test *gt, struct page *page)
{
	u64 *addr = gmem_map_local(&gt->gi->inode, page_to_pfn(page));
	u64 word = *addr;

	gmem_unmap_local(addr);
	return word;
}

static void window_write(struct gmem_test *gt, struct page *page, u64 word)
{
	u64 *addr = gmem_map_local(&gt->gi->inode, page_to_pfn(page));

	*addr = word;
	gmem_unmap_local(addr);
}

static void expect_hidden(struct gmem_test *gt, struct page *page, unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_FALSE_MSG(gt->test, kernel_reads(page + i), "page %lu", i);
}

/* The same, for what was taken and has to be back. */
static void expect_mapped(struct gmem_test *gt, struct page *page, unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++)
		KUNIT_EXPECT_TRUE_MSG(gt->test, kernel_reads(page + i), "page %lu", i);
}

static void test_hide_4k(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct page *page, *other;

	gmem_test_open(gt, 16 * PAGE_SIZE, GMEM_INIT_SHARED | GMEM_NO_DIRECT_MAP, 0);
	page = gmem_test_must_populate(gt, 3);
	other = gmem_test_must_populate(gt, 4);
	expect_hidden(gt, page, 1);
	expect_hidden(gt, other, 1);
	KUNIT_EXPECT_EQ(test, window_word(gt, page), 0);
	window_write(gt, page, WORD);
	KUNIT_EXPECT_EQ(test, window_word(gt, other), 0);
	KUNIT_EXPECT_EQ(test, window_word(gt, page), WORD);
	expect_hidden(gt, page, 1);

	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, 3, 4), 0);
	expect_mapped(gt, page, 1);
	expect_hidden(gt, other, 1);
}

static void test_hide_2m(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct page *head;

	gmem_test_open(gt, 2 * PMD_SIZE, HIDDEN_2M, PMD_ORDER);
	head = gmem_test_must_populate(gt, CHUNK);
	expect_hidden(gt, head, CHUNK);
	KUNIT_EXPECT_EQ(test, window_word(gt, head + 7), 0);
	window_write(gt, head + 6, WORD);
	window_write(gt, head + 7, WORD);

	/* A hole in a block is zeroed where it is. */
	KUNIT_EXPECT_EQ(test, gmem_punch(gt->gi, CHUNK + 7, CHUNK + 9), 0);
	KUNIT_EXPECT_EQ(test, window_word(gt, head + 6), WORD);
	KUNIT_EXPECT_EQ(test, window_word(gt, head + 7), 0);
	expect_hidden(gt, head, CHUNK);

	gmem_test_close(gt);
	expect_mapped(gt, head, CHUNK);
}

/* Where blocks were short, pages are hidden one by one. */
static void test_hide_fallback(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct page *page;

	gmem_test_open(gt, 2 * PMD_SIZE, HIDDEN_2M, PMD_ORDER);
	gt->refuse = BIT(PMD_ORDER);
	page = gmem_test_must_populate(gt, 9);
	expect_hidden(gt, page, 1);
	gmem_test_close(gt);
	expect_mapped(gt, page, 1);
}

/* Others are in the direct map, and their window is that. */
static void test_window_elsewhere(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct page *page;
	void *addr;

	gmem_test_open(gt, 16 * PAGE_SIZE, 0, 0);
	page = gmem_test_must_populate(gt, 0);
	expect_mapped(gt, page, 1);
	addr = gmem_map_local(&gt->gi->inode, page_to_pfn(page));
	KUNIT_EXPECT_PTR_EQ(test, addr, page_address(page));
	gmem_unmap_local(addr);
}

static int populate(struct gmem_test *gt)
{
	struct gmem_backing b;
	int err = gmem_test_populate(gt, CHUNK, 0, &b);
	unsigned int i;

	if (!err) {
		expect_hidden(gt, b.page, 1);
		return 0;
	}
	for (i = 0; i < gt->nr_takes; i++)
		if (gt->take[i].pfn)
			expect_mapped(gt, pfn_to_page(gt->take[i].pfn), 1);
	return err;
}

static void unpopulate(struct gmem_test *gt)
{
	KUNIT_EXPECT_EQ(gt->test, gmem_punch(gt->gi, 0, 2 * CHUNK), 0);
}

static const struct gmem_test_op populate_op = {
	.run		= populate,
	.undo		= unpopulate,
	.min_failures	= 1,
};

static void test_hide_4k_failures(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	gmem_test_open(gt, 2 * PMD_SIZE, GMEM_INIT_SHARED | GMEM_NO_DIRECT_MAP, 0);
	gmem_test_each_failure(gt, &populate_op);
}

static void test_hide_2m_failures(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	gmem_test_open(gt, 2 * PMD_SIZE, HIDDEN_2M, PMD_ORDER);
	gt->gi->source = &gmem_test_strict_source;
	gmem_test_each_failure(gt, &populate_op);
	gt->gi->source = &gmem_test_source;
}

static struct kunit_case gmem_direct_map_cases[] = {
	KUNIT_CASE(test_hide_4k),
	KUNIT_CASE(test_hide_2m),
	KUNIT_CASE(test_hide_fallback),
	KUNIT_CASE(test_window_elsewhere),
	KUNIT_CASE(test_hide_4k_failures),
	KUNIT_CASE(test_hide_2m_failures),
	{}
};

static struct kunit_suite gmem_direct_map_suite = {
	.name		= "gmem_direct_map",
	.init		= gmem_test_init,
	.exit		= gmem_test_exit,
	.test_cases	= gmem_direct_map_cases,
};

kunit_test_suite(gmem_direct_map_suite);
