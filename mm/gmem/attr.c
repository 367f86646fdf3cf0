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
 * gmem_attr_prepare - get the memory to change the state of a range
 * @gi: inode
 * @start: first index
 * @end: index behind the last one
 * @private: state to be set
 * @mas: for gmem_attr_commit() or mas_destroy()
 *
 * The range is extended over neighbours that have that state already.
 *
 * Context: invalidate_lock held exclusively until the end.
 * Return: 0 or -ENOMEM.
 */
int gmem_attr_prepare(struct gmem_inode *gi, pgoff_t start, pgoff_t end,
		      bool private, struct ma_state *mas)
{
	pgoff_t first = start, last = end - 1;
	struct gmem_run run;

	gmem_assert_held_write(gi);

	if (start && gmem_attr_run(gi, start - 1, &run) == private)
		first = run.start;
	if (end < gmem_nr_pages(gi) && gmem_attr_run(gi, end, &run) == private)
		last = run.end - 1;

	mas_init(mas, &gi->attrs, first);
	mas_set_range(mas, first, last);
	return mas_preallocate(mas, gmem_attr_entry(private), GMEM_GFP);
}

/**
 * gmem_attr_commit - change the state of a range
 * @gi: inode
 * @start: first index
 * @end: index behind the last one
 * @private: new state
 * @mas: from gmem_attr_prepare() with the same arguments
 *
 * Allocates nothing and cannot fail.
 */
void gmem_attr_commit(struct gmem_inode *gi, pgoff_t start, pgoff_t end,
		      bool private, struct ma_state *mas)
{
	struct gmem_run run;
	pgoff_t index;

	gmem_assert_held_write(gi);

	for (index = start; index < end; index = run.end) {
		if (gmem_attr_run(gi, index, &run) == private)
			continue;
		if (private)
			gi->nr_private += min(run.end, end) - index;
		else
			gi->nr_private -= min(run.end, end) - index;
	}

	mas_store_prealloc(mas, gmem_attr_entry(private));
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
