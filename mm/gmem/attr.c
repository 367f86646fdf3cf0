// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: who may touch what
 *
 * A file that tracks attributes has one entry for every index of it in a maple
 * tree. Runs of the same value are always one entry, so one walk tells how far
 * the state of an index reaches. The tree changes under invalidate_lock held
 * exclusively; lookups take no lock and see the state before or after a change.
 *
 * All other files have one state for good.
 */
#include <linux/maple_tree.h>
#include <linux/rcupdate.h>
#include <linux/rcupdate_wait.h>
#include <linux/xarray.h>

#include "internal.h"

static void *gmem_attr_entry(bool private)
{
	return xa_mk_value(private);
}

static pgoff_t gmem_nr_pages(struct gmem_inode *gi)
{
	return i_size_read(&gi->inode) >> PAGE_SHIFT;
}

/**
 * gmem_attr_setup - give all indices of a new inode their first state
 * @gi: inode, with flags and size
 *
 * Return: 0 or -ENOMEM.
 */
int gmem_attr_setup(struct gmem_inode *gi)
{
	MA_STATE(mas, &gi->attrs, 0, gmem_nr_pages(gi) - 1);
	bool private = !(gi->flags & GMEM_INIT_SHARED);
	struct address_space *mapping = gi->inode.i_mapping;
	int err;

	gi->nr_private = private ? gmem_nr_pages(gi) : 0;
	if (!(gi->flags & GMEM_TRACK))
		return 0;

	filemap_invalidate_lock(mapping);
	err = mas_store_gfp(&mas, gmem_attr_entry(private), GMEM_GFP);
	filemap_invalidate_unlock(mapping);

	return err;
}

/**
 * gmem_attr_destroy - free the records of an inode
 * @gi: inode that nobody uses any more
 *
 * Context: invalidate_lock held exclusively.
 */
void gmem_attr_destroy(struct gmem_inode *gi)
{
	__mt_destroy(&gi->attrs);
}

/**
 * gmem_attr_run - the state of an index, and how far it reaches
 * @gi: inode
 * @index: in pages
 * @run: set to the indices around it that have the same state
 *
 * Context: any; takes no lock. Stable under invalidate_lock only.
 * Return: true if private.
 */
bool gmem_attr_run(struct gmem_inode *gi, pgoff_t index, struct gmem_run *run)
{
	MA_STATE(mas, &gi->attrs, index, index);
	void *entry;

	run->start = 0;
	run->end = gmem_nr_pages(gi);
	if (!(gi->flags & GMEM_TRACK))
		return !(gi->flags & GMEM_INIT_SHARED);

	rcu_read_lock();
	entry = mas_walk(&mas);
	if (entry) {
		run->start = mas.index;
		run->end = mas.last + 1;
	}
	rcu_read_unlock();

	/* Beyond the end there is nothing that anybody could share. */
	return !entry || xa_to_value(entry);
}

/**
 * gmem_attr_nr_shared - how many indices of a range are shared?
 * @gi: inode
 * @start: first index
 * @end: index behind the last one
 *
 * Context: invalidate_lock held; may sleep.
 */
unsigned long gmem_attr_nr_shared(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	unsigned long nr = 0;
	struct gmem_run run;

	gmem_assert_held(gi);

	for (; start < end; start = run.end) {
		if (!gmem_attr_run(gi, start, &run))
			nr += min(run.end, end) - start;
		cond_resched();
	}
	return nr;
}

/**
 * gmem_attr_prepare - get the memory to change the state of a range
 * @gi: inode
 * @start: first index
 * @end: index behind the last one
 * @private: state to be set
 * @change: for gmem_attr_commit(), or for mas_destroy() of its mas
 *
 * Context: invalidate_lock held exclusively until the end.
 * Return: 0, also if nothing changes; or -ENOMEM.
 */
int gmem_attr_prepare(struct gmem_inode *gi, pgoff_t start, pgoff_t end,
		      bool private, struct gmem_attr_change *change)
{
	MA_STATE(mas, &gi->attrs, start, start);
	pgoff_t first = start, last = end - 1;
	unsigned long nr_runs = 0;
	struct ma_state left;
	bool state;

	gmem_assert_held_write(gi);

	change->private = private;
	change->nr = 0;
	change->held = 0;

	rcu_read_lock();
	state = xa_to_value(mas_walk(&mas));
	if (state == private) {
		first = mas.index;
	} else if (start && mas.index == start) {
		left = mas;
		mas_prev(&left, 0);
		first = left.index;
	}

	/* What begins where a run ends has the other state. */
	for (;; state = !state) {
		if (state != private)
			change->nr += min(mas.last + 1, end) - max(mas.index, start);
		if (mas.last + 1 >= end)
			break;
		/* As many as there are pages, at worst. */
		if (!(++nr_runs % GMEM_CHUNK_PAGES)) {
			mas_pause(&mas);
			cond_resched_rcu();
		}
		mas_next(&mas, ULONG_MAX);
	}

	if (state != private && mas.last + 1 == end && end < gmem_nr_pages(gi)) {
		mas_next(&mas, ULONG_MAX);
		state = private;
	}
	if (state == private)
		last = mas.last;
	rcu_read_unlock();

	if (!change->nr)
		return 0;

	mas_init(&change->mas, &gi->attrs, first);
	mas_set_range(&change->mas, first, last);
	return mas_preallocate(&change->mas, gmem_attr_entry(private), GMEM_GFP);
}

/**
 * gmem_attr_commit - change the state of a range
 * @gi: inode
 * @change: from gmem_attr_prepare(), with something to change
 *
 * Allocates nothing and cannot fail.
 */
void gmem_attr_commit(struct gmem_inode *gi, struct gmem_attr_change *change)
{
	gmem_assert_held_write(gi);

	write_seqlock(&gi->usage);
	gi->nr_private += change->private ? change->nr : -change->nr;
	gi->held_shared += change->private ? -change->held : change->held;
	atomic_long_inc(&gi->conversions);
	write_sequnlock(&gi->usage);
	mas_store_prealloc(&change->mas, gmem_attr_entry(change->private));
}

/**
 * gmem_run_order - the largest order around an index that a run covers
 * @run: run that contains the index
 * @index: in pages
 * @order: upper bound: 0, PMD_ORDER or PUD_ORDER
 */
unsigned int gmem_run_order(const struct gmem_run *run, pgoff_t index,
			    unsigned int order)
{
	while (order) {
		pgoff_t start = round_down(index, 1UL << order);

		if (start >= run->start && start + (1UL << order) <= run->end)
			break;
		order = order == PUD_ORDER ? PMD_ORDER : 0;
	}
	return order;
}
