// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: KUnit, who may touch what, and how that changes
 */
#include <linux/prandom.h>

#include "fixture.h"

#define CHUNK	GMEM_CHUNK_PAGES
#define PAGES	(4 * CHUNK)
#define SEED	20261121
#define ROUNDS	300

static void open_tracked(struct gmem_test *gt)
{
	gmem_test_open(gt, PAGES * PAGE_SIZE, GMEM_MMAP | GMEM_TRACK | GMEM_HUGEPAGE,
		       PMD_ORDER);
}

static void attach_all(struct gmem_test *gt)
{
	int i;

	for (i = 1; i < GMEM_TEST_VIEWS; i++)
		gmem_test_attach(gt, i);
}

static int convert(struct gmem_test *gt, pgoff_t start, pgoff_t end, bool private,
		   pgoff_t *error)
{
	*error = ULONG_MAX;
	return gmem_convert(&gt->gi->inode, start, end, private, error);
}

static void must_convert(struct gmem_test *gt, pgoff_t start, pgoff_t end, bool private)
{
	pgoff_t error;

	KUNIT_EXPECT_EQ(gt->test, convert(gt, start, end, private, &error), 0);
}

static void expect_run(struct gmem_test *gt, pgoff_t index, bool private, pgoff_t start,
		       pgoff_t end)
{
	struct gmem_run run;

	KUNIT_EXPECT_EQ(gt->test, gmem_attr_run(gt->gi, index, &run), private);
	KUNIT_EXPECT_EQ(gt->test, run.start, start);
	KUNIT_EXPECT_EQ(gt->test, run.end, end);
}

/* Runs are as long as they can be, seen from any index in them. */
static void expect_runs(struct gmem_test *gt, const bool *private)
{
	pgoff_t start, end, nr_private = 0;

	for (start = 0; start < PAGES; start = end) {
		for (end = start + 1; end < PAGES && private[end] == private[start]; end++)
			;
		expect_run(gt, start, private[start], start, end);
		expect_run(gt, (start + end) / 2, private[start], start, end);
		expect_run(gt, end - 1, private[start], start, end);
		if (private[start])
			nr_private += end - start;
	}
	KUNIT_EXPECT_EQ(gt->test, gt->gi->nr_private, nr_private);
}

/* Against an array, with requests of all lengths. */
static void test_runs(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	bool *private = kunit_kmalloc(test, PAGES, GFP_KERNEL);
	struct rnd_state rnd;
	pgoff_t start, nr;
	unsigned int i;
	bool to;

	KUNIT_ASSERT_NOT_NULL(test, private);
	prandom_seed_state(&rnd, SEED);
	open_tracked(gt);
	memset(private, true, PAGES);
	expect_runs(gt, private);

	for (i = 0; i < ROUNDS; i++) {
		start = prandom_u32_state(&rnd) % PAGES;
		nr = 1 + prandom_u32_state(&rnd) % (i % 8 ? 16 : PAGES);
		nr = min(nr, PAGES - start);
		to = prandom_u32_state(&rnd) & 1;
		must_convert(gt, start, start + nr, to);
		memset(private + start, to, nr);
		expect_runs(gt, private);
	}
}

/* One that the file was made with is the only one, and never changes. */
static void test_not_tracked(struct kunit *test)
{
	struct gmem_test *gt = test->priv;

	gmem_test_open(gt, PAGES * PAGE_SIZE, GMEM_MMAP | GMEM_INIT_SHARED | GMEM_HUGEPAGE,
		       PMD_ORDER);
	expect_run(gt, 5, false, 0, PAGES);
	gmem_test_close(gt);
	gmem_test_open(gt, PAGES * PAGE_SIZE, GMEM_HUGEPAGE, PMD_ORDER);
	expect_run(gt, 5, true, 0, PAGES);
}

static void expect_filter(struct gmem_test *gt, enum gmem_state filter)
{
	const struct gmem_range *range;
	int i;

	for (i = 0; i < GMEM_TEST_VIEWS; i++) {
		range = &gt->view[i].range;
		KUNIT_EXPECT_EQ(gt->test, range->start, CHUNK + 5);
		KUNIT_EXPECT_EQ(gt->test, range->end, CHUNK + 9);
		KUNIT_EXPECT_EQ(gt->test, range->window_start, CHUNK);
		KUNIT_EXPECT_EQ(gt->test, range->window_end, 2 * CHUNK);
		KUNIT_EXPECT_EQ(gt->test, range->filter, filter);
	}
}

/*
 * All views prepare before the first unmaps, and all have unmapped before the
 * owner of the memory hears that it is shared.
 */
static void test_views(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct page *page;

	open_tracked(gt);
	attach_all(gt);
	page = gmem_test_must_populate(gt, CHUNK);
	memset(page_address(page + 5), 0x3c, 4 * PAGE_SIZE);

	must_convert(gt, CHUNK + 5, CHUNK + 9, false);
	KUNIT_EXPECT_STREQ(test, gt->trace, "p0 p1 p2 b0 b1 b2 s e0 e1 e2");
	expect_filter(gt, GMEM_PRIVATE);
	KUNIT_EXPECT_EQ(test, gt->nr_shared, 1);
	KUNIT_EXPECT_EQ(test, gt->shared[0].pfn, page_to_pfn(page) + 5);
	KUNIT_EXPECT_EQ(test, gt->shared[0].nr, 4);
	/* Nothing is live before the host has touched it. */
	KUNIT_EXPECT_EQ(test, gmem_test_inode_stat(gt, GMEM_LIVE), 0);

	/* What is so already is nobody's business. */
	gmem_test_reset(gt);
	must_convert(gt, CHUNK + 6, CHUNK + 8, false);
	must_convert(gt, 0, CHUNK, true);
	KUNIT_EXPECT_STREQ(test, gt->trace, "");
	KUNIT_EXPECT_EQ(test, atomic_long_read(&gt->gi->conversions), 1);

	gmem_test_must_publish(gt, CHUNK + 5);
	must_convert(gt, CHUNK + 5, CHUNK + 9, true);
	KUNIT_EXPECT_STREQ(test, gt->trace, "p0 p1 p2 b0 b1 b2 e0 e1 e2");
	expect_filter(gt, GMEM_SHARED);
	KUNIT_EXPECT_EQ(test, gmem_test_inode_stat(gt, GMEM_LIVE), 0);
	KUNIT_EXPECT_STREQ(test, gmem_test_states(gt, CHUNK, 2 * CHUNK), "frozen");
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(page + 5, 4, 0x3c));
	expect_run(gt, CHUNK, true, 0, PAGES);
}

/* Pages around a block's boundary are shared; one of them is live, with data. */
static struct page *open_shared(struct gmem_test *gt)
{
	struct page *page;

	open_tracked(gt);
	attach_all(gt);
	must_convert(gt, CHUNK - 3, CHUNK + 3, false);
	gmem_test_must_populate(gt, 0);
	page = gmem_test_must_publish(gt, CHUNK + 1);
	memset(page_address(page), 0x3c, PAGE_SIZE);
	gmem_test_reset(gt);
	return page;
}

static void expect_shared(struct gmem_test *gt, struct page *page, const char *state)
{
	struct kunit *test = gt->test;

	expect_run(gt, 0, true, 0, CHUNK - 3);
	expect_run(gt, CHUNK, false, CHUNK - 3, CHUNK + 3);
	expect_run(gt, PAGES - 1, true, CHUNK + 3, PAGES);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, CHUNK + 1), state);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, 0), "head");
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(page, 1, 0x3c));
	KUNIT_EXPECT_EQ(test, gmem_test_inode_stat(gt, GMEM_LIVE), 1);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&gt->gi->conversions), 1);
}

/* A view that cannot: in both directions, over runs of both states. */
static void test_view_fails(struct kunit *test)
{
	static const char * const trace[] = { "p0", "p0 p1 e0", "p0 p1 p2 e1 e0" };
	struct gmem_test *gt = test->priv;
	struct page *page = open_shared(gt);
	pgoff_t error;
	int i, private;

	for (i = 0; i < GMEM_TEST_VIEWS; i++) {
		gt->view[i].prepare_err = -EIO;
		for (private = 0; private < 2; private++) {
			gmem_test_reset(gt);
			KUNIT_EXPECT_EQ(test, convert(gt, 2, 3 * CHUNK, private, &error),
					-EIO);
			KUNIT_EXPECT_EQ(test, error, 2);
			KUNIT_EXPECT_STREQ(test, gt->trace, trace[i]);
			expect_shared(gt, page, "live");
		}
		gt->view[i].prepare_err = 0;
	}
	KUNIT_EXPECT_EQ(test, gt->nr_shared, 0);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&gt->gi->eagain), 0);

	must_convert(gt, 2, 3 * CHUNK, true);
	expect_run(gt, 0, true, 0, PAGES);
	KUNIT_EXPECT_EQ(test, gmem_test_inode_stat(gt, GMEM_LIVE), 0);
}

/* A page that is held: no view unmaps, and the caller hears which it is. */
static void test_busy(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	struct page *page = open_shared(gt);
	pgoff_t error;

	get_page(page);
	KUNIT_EXPECT_EQ(test, convert(gt, 2, 3 * CHUNK, true, &error), -EAGAIN);
	KUNIT_EXPECT_EQ(test, error, CHUNK + 1);
	KUNIT_EXPECT_NULL(test, strchr(gt->trace, 'b'));
	expect_shared(gt, page, "held");
	KUNIT_EXPECT_EQ(test, atomic_long_read(&gt->gi->eagain), 1);

	/* Sharing takes nothing from anybody. */
	must_convert(gt, 2, 3 * CHUNK, false);
	KUNIT_EXPECT_STREQ(test, gmem_test_state(gt, CHUNK + 1), "held");
	put_page(page);
	must_convert(gt, 2, 3 * CHUNK, true);
	KUNIT_EXPECT_TRUE(test, gmem_test_filled(page, 1, 0x3c));
}

static int run_convert(struct gmem_test *gt)
{
	pgoff_t error;
	int err;

	gmem_test_reset(gt);
	err = convert(gt, CHUNK - 5, CHUNK + 7, false, &error);
	if (err) {
		KUNIT_EXPECT_EQ(gt->test, error, CHUNK - 5);
		KUNIT_EXPECT_STREQ(gt->test, gt->trace, "");
		expect_run(gt, CHUNK, true, 20, PAGES);
	}
	return err;
}

static void undo_convert(struct gmem_test *gt)
{
	expect_run(gt, CHUNK, false, CHUNK - 5, CHUNK + 7);
	must_convert(gt, CHUNK - 5, CHUNK + 7, true);
}

static const struct gmem_test_op convert_op = {
	.run		= run_convert,
	.undo		= undo_convert,
	.min_failures	= 1,
};

/* Memory is found before anything is done. */
static void test_convert_failures(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	pgoff_t index;

	open_tracked(gt);
	attach_all(gt);
	gmem_test_must_populate(gt, CHUNK);
	/* More runs than a node of the tree has room for. */
	for (index = 0; index < 20; index += 2)
		must_convert(gt, index + 1, index + 2, false);
	gmem_test_each_failure(gt, &convert_op);
}

/* Page by page, what the counter says in one number. */
static unsigned long shared_present(struct gmem_test *gt)
{
	unsigned long nr = 0;
	struct gmem_backing b;
	pgoff_t index;

	for (index = 0; index < PAGES; index++)
		nr += gmem_test_lookup(gt, index, &b) && !gmem_is_private(&gt->gi->inode, index);
	return nr << PAGE_SHIFT;
}

/* A counter that has gone wrong shows: a reading neither mends nor bounds it. */
static void test_usage(struct kunit *test)
{
	struct gmem_test *gt = test->priv;
	unsigned long right;
	struct gmem_usage u;

	open_tracked(gt);
	must_convert(gt, 5, 9, false);
	gmem_test_must_populate(gt, 0);
	gmem_test_must_populate(gt, 2 * CHUNK);
	must_convert(gt, CHUNK - 1, 2 * CHUNK + 3, false);
	gmem_read_usage(gt->gi, &u);
	KUNIT_EXPECT_EQ(test, u.held, 2 * PMD_SIZE);
	KUNIT_EXPECT_EQ(test, u.shared, (4 + 1 + 3) * PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, u.shared, shared_present(gt));

	right = gt->gi->held_shared;
	gt->gi->held_shared = right - 1;
	gmem_read_usage(gt->gi, &u);
	KUNIT_EXPECT_NE(test, u.shared, shared_present(gt));
	gt->gi->held_shared = 2 * CHUNK + 1;
	gmem_read_usage(gt->gi, &u);
	KUNIT_EXPECT_GT(test, u.shared, u.held);
	gt->gi->held_shared = right;
}

static struct kunit_case gmem_attr_cases[] = {
	KUNIT_CASE(test_runs),
	KUNIT_CASE(test_not_tracked),
	KUNIT_CASE(test_views),
	KUNIT_CASE(test_view_fails),
	KUNIT_CASE(test_busy),
	KUNIT_CASE(test_convert_failures),
	KUNIT_CASE(test_usage),
	{}
};

static struct kunit_suite gmem_attr_suite = {
	.name		= "gmem_attr",
	.init		= gmem_test_init,
	.exit		= gmem_test_exit,
	.test_cases	= gmem_attr_cases,
};

kunit_test_suite(gmem_attr_suite);
