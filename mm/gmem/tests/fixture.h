/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * gmem: what the KUnit suites have in common
 *
 * A suite works on files of its own, whose consumer and whose source are fakes
 * that write down what they are asked. When a test ends, its files are closed,
 * every counter has to be what it was, and every page frame that a file took
 * has to be free.
 */
#ifndef _MM_GMEM_TESTS_FIXTURE_H
#define _MM_GMEM_TESTS_FIXTURE_H

#include <kunit/test.h>

#include "../internal.h"

#define GMEM_TEST_VIEWS		3
#define GMEM_TEST_TAKES		1536
#define GMEM_TEST_TRACE		128
#define GMEM_TEST_EVENTS	16

/* What memory contains when the source hands it out. */
#define GMEM_TEST_STALE		0xa5

/**
 * struct gmem_test_take - one call of the source's take()
 * @index: asked for
 * @order: asked for
 * @take_flags: asked for
 * @pfn: of what it got, 0 if nothing
 */
struct gmem_test_take {
	pgoff_t index;
	unsigned int order;
	unsigned int take_flags;
	unsigned long pfn;
};

/**
 * struct gmem_test_view - a consumer that unmaps nothing
 * @view: what gmem sees of it
 * @attached: to the inode
 * @prepare_err: what prepare() returns
 * @windows: open ones
 * @range: of the last prepare()
 */
struct gmem_test_view {
	struct gmem_view view;
	bool attached;
	int prepare_err;
	int windows;
	struct gmem_range range;
};

/* One call of make_shared(). */
struct gmem_test_shared {
	unsigned long pfn;
	unsigned long nr;
	u8 byte;		/* first of the memory at that time */
};

/* HugePages_* of 2 MiB, all 0 without hugetlb. */
struct gmem_test_pool {
	unsigned long total;
	unsigned long free;
	unsigned long reserved;
	unsigned long surplus;
};

/**
 * struct gmem_test - one test, test->priv
 * @test: KUnit's
 * @file: the file under test, or NULL
 * @gi: its inode
 * @stat: counters before the test
 * @pool: before the test
 * @view: consumers; the first belongs to the file
 * @trace: calls in their order: pN, bN and eN for prepare(), invalidate_begin()
 *	and invalidate_end() of view N, s for make_shared()
 * @misuse: the first call that should not have come, or NULL
 * @shared: calls of make_shared()
 * @nr_shared: number of them
 * @make_private_err: what make_private() returns
 * @nr_private: calls of make_private()
 * @private_index: of the last one
 * @private_pfn: of the last one
 * @refuse: orders that the source does not have, BIT(order)
 * @take_err: what it says then
 * @take: calls of take()
 * @nr_takes: number of them
 * @given: blocks given back
 */
struct gmem_test {
	struct kunit *test;
	struct file *file;
	struct gmem_inode *gi;
	long stat[GMEM_NR_COUNTERS];
	struct gmem_test_pool pool;

	struct gmem_test_view view[GMEM_TEST_VIEWS];
	char trace[GMEM_TEST_TRACE];
	const char *misuse;

	struct gmem_test_shared shared[GMEM_TEST_EVENTS];
	unsigned int nr_shared;
	int make_private_err;
	unsigned int nr_private;
	pgoff_t private_index;
	unsigned long private_pfn;

	unsigned long refuse;
	int take_err;
	struct gmem_test_take take[GMEM_TEST_TAKES];
	unsigned int nr_takes;
	unsigned int given;
};

/* fake.c */
extern struct gmem_test *gmem_test_current;
extern const struct gmem_source gmem_test_source;
extern const struct gmem_source gmem_test_strict_source;
extern const struct gmem_view_ops gmem_test_view_ops;

struct file *gmem_test_create(struct gmem_test *gt, loff_t size,
			      unsigned int flags, unsigned int order);
void gmem_test_open(struct gmem_test *gt, loff_t size, unsigned int flags,
		    unsigned int order);

/* fixture.c */
int gmem_test_init(struct kunit *test);
void gmem_test_exit(struct kunit *test);
void gmem_test_close(struct gmem_test *gt);
void gmem_test_attach(struct gmem_test *gt, unsigned int nr);
void gmem_test_reset(struct gmem_test *gt);

/* The functions under test, with the locks that their callers hold. */
int gmem_test_populate(struct gmem_test *gt, pgoff_t index,
		       unsigned int take_flags, struct gmem_backing *b);
bool gmem_test_lookup(struct gmem_test *gt, pgoff_t index,
		      struct gmem_backing *b);
int gmem_test_publish(struct gmem_test *gt, pgoff_t index,
		      struct gmem_backing *b);
int gmem_test_withdraw(struct gmem_test *gt, pgoff_t start, pgoff_t end,
		       pgoff_t *busy);

/* As above; the test ends here if they fail. */
struct page *gmem_test_must_populate(struct gmem_test *gt, pgoff_t index);
struct page *gmem_test_must_publish(struct gmem_test *gt, pgoff_t index);

const char *gmem_test_state(struct gmem_test *gt, pgoff_t index);
const char *gmem_test_states(struct gmem_test *gt, pgoff_t start, pgoff_t end);
bool gmem_test_filled(const struct page *page, unsigned long nr, u8 byte);
unsigned long gmem_test_present(struct gmem_test *gt);
void gmem_test_expect_returned(struct gmem_test *gt, unsigned int first);
void gmem_test_expect_stats(struct gmem_test *gt);
void gmem_test_get_pool(struct gmem_test_pool *pool);
void gmem_test_expect_pool(struct gmem_test *gt, const struct gmem_test_pool *pool);
bool gmem_test_wait_stat(enum gmem_counter counter, long value);

/* How much of a counter the test itself has moved. */
static inline long gmem_test_stat(struct gmem_test *gt, enum gmem_counter counter)
{
	return atomic_long_read(&gmem_stat[counter]) - gt->stat[counter];
}

static inline long gmem_test_inode_stat(struct gmem_test *gt,
					enum gmem_counter counter)
{
	return atomic_long_read(&gt->gi->stat[counter]);
}

/**
 * struct gmem_test_op - an operation whose allocations fail one after the other
 * @run: the operation; returns 0 or an error
 * @undo: of what it did when it returned 0
 * @min_failures: how many of its allocations it cannot do without, at least
 */
struct gmem_test_op {
	int (*run)(struct gmem_test *gt);
	void (*undo)(struct gmem_test *gt);
	unsigned int min_failures;
};

/* faults.c */
void gmem_test_each_failure(struct gmem_test *gt, const struct gmem_test_op *op);

#endif /* _MM_GMEM_TESTS_FIXTURE_H */
