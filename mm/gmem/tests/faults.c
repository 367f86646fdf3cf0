// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: KUnit, one operation with each of its allocations failing in turn
 *
 * First one allocation fails and all others succeed, for each allocation there
 * is. That does not get far into an XArray, which tries twice; so then memory
 * is short from some point on, for each such point.
 */
#include <linux/debugfs.h>
#include <linux/sched.h>

#include "fixture.h"

#ifdef CONFIG_FAULT_INJECTION

/* An operation that allocates more often than this never ends. */
#define GMEM_FAULTS_MAX		1000

/* Bytes; less than an XArray node, so that each of them fails once. */
#define GMEM_FAULTS_STEP	128

#define GMEM_FAULTS_TIMES	INT_MAX

/*
 * The knobs of fault injection are variables of its own files, and debugfs has
 * a pointer to each. They decide what counts as an allocation that may fail.
 */
struct gmem_faults {
	bool *slab_ignore_wait;
	bool *slab_task_filter;
	unsigned long *slab_probability;
	unsigned long *slab_verbose;
	atomic_t *slab_times;
	atomic_t *slab_space;
	bool *page_ignore_wait;
	bool *page_ignore_highmem;
	u32 *page_min_order;
	unsigned long *page_verbose;
};

static void *gmem_faults_knob(const char *dir, const char *name)
{
	struct dentry *parent = debugfs_lookup(dir, NULL);
	struct dentry *dentry = NULL;
	void *knob = NULL;

	if (parent)
		dentry = debugfs_lookup(name, parent);
	if (dentry)
		knob = d_inode(dentry)->i_private;
	dput(dentry);
	dput(parent);
	return knob;
}

static bool gmem_faults_find(struct gmem_faults *f)
{
	f->slab_ignore_wait = gmem_faults_knob("failslab", "ignore-gfp-wait");
	f->slab_task_filter = gmem_faults_knob("failslab", "task-filter");
	f->slab_probability = gmem_faults_knob("failslab", "probability");
	f->slab_verbose = gmem_faults_knob("failslab", "verbose");
	f->slab_times = gmem_faults_knob("failslab", "times");
	f->slab_space = gmem_faults_knob("failslab", "space");
	f->page_ignore_wait = gmem_faults_knob("fail_page_alloc", "ignore-gfp-wait");
	f->page_ignore_highmem = gmem_faults_knob("fail_page_alloc",
						  "ignore-gfp-highmem");
	f->page_min_order = gmem_faults_knob("fail_page_alloc", "min-order");
	f->page_verbose = gmem_faults_knob("fail_page_alloc", "verbose");

	return f->slab_ignore_wait && f->slab_task_filter &&
	       f->slab_probability && f->slab_verbose && f->slab_times &&
	       f->slab_space && f->page_ignore_wait && f->page_ignore_highmem &&
	       f->page_min_order && f->page_verbose;
}

/* All allocations count, and nothing is printed about those that fail. */
static void gmem_faults_on(struct gmem_faults *f)
{
	*f->slab_ignore_wait = false;
	*f->slab_verbose = 0;
	*f->page_ignore_wait = false;
	*f->page_ignore_highmem = false;
	*f->page_min_order = 0;
	*f->page_verbose = 0;
}

/* As they are after boot. */
static void gmem_faults_off(struct gmem_faults *f)
{
	*f->slab_ignore_wait = true;
	*f->slab_verbose = 2;
	*f->page_ignore_wait = true;
	*f->page_ignore_highmem = true;
	*f->page_min_order = 1;
	*f->page_verbose = 2;
}

/* What must be as before once the operation has failed, or is undone. */
struct gmem_snapshot {
	long stat[GMEM_NR_COUNTERS];
	long inode_stat[GMEM_NR_COUNTERS];
	unsigned long present;
	loff_t bytes;
	unsigned int takes;
	struct gmem_test_pool pool;
};

static void gmem_snapshot(struct gmem_test *gt, struct gmem_snapshot *s)
{
	int i;

	memset(s, 0, sizeof(*s));
	for (i = 0; i < GMEM_NR_COUNTERS; i++)
		s->stat[i] = gmem_test_stat(gt, i);
	s->takes = gt->nr_takes;
	gmem_test_get_pool(&s->pool);
	if (!gt->file)
		return;

	for (i = 0; i < GMEM_NR_COUNTERS; i++)
		s->inode_stat[i] = gmem_test_inode_stat(gt, i);
	s->present = gmem_test_present(gt);
	s->bytes = inode_get_bytes(&gt->gi->inode);
}

static void gmem_expect_unchanged(struct gmem_test *gt,
				  const struct gmem_snapshot *before, int n)
{
	struct gmem_snapshot now;
	int i;

	gmem_snapshot(gt, &now);
	for (i = 0; i < GMEM_NR_COUNTERS; i++) {
		KUNIT_EXPECT_EQ_MSG(gt->test, now.stat[i], before->stat[i],
				    "counter %d, failure %d", i, n);
		KUNIT_EXPECT_EQ_MSG(gt->test, now.inode_stat[i],
				    before->inode_stat[i],
				    "inode's counter %d, failure %d", i, n);
	}
	KUNIT_EXPECT_EQ_MSG(gt->test, now.present, before->present,
			    "pages, failure %d", n);
	KUNIT_EXPECT_EQ_MSG(gt->test, now.bytes, before->bytes,
			    "bytes, failure %d", n);
	gmem_test_expect_pool(gt, &before->pool);
	gmem_test_expect_returned(gt, before->takes);
}

static void gmem_faults_result(struct gmem_test *gt, const struct gmem_test_op *op,
			       const struct gmem_snapshot *before, int err, int n)
{
	if (err)
		KUNIT_EXPECT_EQ_MSG(gt->test, err, -ENOMEM, "failure %d", n);
	else
		op->undo(gt);
	gmem_expect_unchanged(gt, before, n);
}

/* The n-th allocation fails. */
static void gmem_fail_one(struct gmem_test *gt, const struct gmem_test_op *op)
{
	unsigned int n, failures = 0;
	struct gmem_snapshot before;
	bool hit;
	int err;

	for (n = 1, hit = true; hit && n <= GMEM_FAULTS_MAX; n++) {
		gmem_snapshot(gt, &before);

		current->fail_nth = n;
		err = op->run(gt);
		hit = !current->fail_nth;
		current->fail_nth = 0;

		if (err)
			failures++;
		KUNIT_EXPECT_TRUE_MSG(gt->test, hit || !err,
				      "error %d without a failure", err);
		gmem_faults_result(gt, op, &before, err, n);
	}

	KUNIT_EXPECT_FALSE_MSG(gt->test, hit, "there is no end");
	KUNIT_EXPECT_GE(gt->test, failures, op->min_failures);
}

/* Slab memory is short once some bytes of it were allocated. */
static void gmem_fail_rest(struct gmem_test *gt, const struct gmem_test_op *op,
			   struct gmem_faults *f)
{
	struct gmem_snapshot before;
	unsigned int n, hits;
	int err;

	*f->slab_task_filter = true;
	for (n = 0, hits = 1; hits && n < GMEM_FAULTS_MAX; n++) {
		gmem_snapshot(gt, &before);

		atomic_set(f->slab_space, n * GMEM_FAULTS_STEP);
		atomic_set(f->slab_times, GMEM_FAULTS_TIMES);
		*f->slab_probability = 100;
		current->make_it_fail = 1;
		err = op->run(gt);
		current->make_it_fail = 0;
		*f->slab_probability = 0;
		hits = GMEM_FAULTS_TIMES - atomic_read(f->slab_times);

		KUNIT_EXPECT_TRUE_MSG(gt->test, hits || !err,
				      "error %d without a failure", err);
		gmem_faults_result(gt, op, &before, err, n);
	}
	*f->slab_task_filter = false;
	atomic_set(f->slab_times, 1);
	atomic_set(f->slab_space, 0);

	KUNIT_EXPECT_EQ_MSG(gt->test, hits, 0, "there is no end");
}

/**
 * gmem_test_each_failure - let an operation fail wherever it can
 * @gt: test
 * @op: operation, which may allocate but not use KUNIT_ASSERT
 *
 * Each time, it returns -ENOMEM and changes nothing, or does without.
 */
void gmem_test_each_failure(struct gmem_test *gt, const struct gmem_test_op *op)
{
	struct gmem_faults f;

	if (!gmem_faults_find(&f))
		kunit_skip(gt->test, "fault injection has no knobs in debugfs");

	gmem_faults_on(&f);
	gmem_fail_one(gt, op);
	gmem_fail_rest(gt, op, &f);
	gmem_faults_off(&f);
}

#else

void gmem_test_each_failure(struct gmem_test *gt, const struct gmem_test_op *op)
{
	kunit_mark_skipped(gt->test, "CONFIG_FAULT_INJECTION is off");
}

#endif /* CONFIG_FAULT_INJECTION */
