// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: the transaction
 *
 * Whatever takes pages away from somebody goes through the same steps, under
 * invalidate_lock held exclusively:
 *
 *	1. look whether there is anything to do
 *	2. prepare() on every view: the retry windows are open
 *	3. unmap the host, take gmem's own reference of each live page; if
 *	   somebody else holds one, undo everything and say so
 *	4. invalidate_begin() on every view: the guest has lost it
 *	5. make_shared() where it was private; change the pages
 *	6. invalidate_end() on every view
 *
 * Nothing fails after step 3, and nothing allocates.
 */
#include <linux/delay.h>
#include <linux/export.h>
#include <linux/highmem.h>
#include <linux/maple_tree.h>
#include <linux/sched/signal.h>

#include <trace/events/gmem.h>

#include "internal.h"

/* Transient holders are gone within microseconds: 1, 2 and 4 ms are ample. */
#define GMEM_BUSY_RETRIES	3

/*
 * The block at an index decides how far a stale order could reach. Returns the
 * index behind the block.
 */
static pgoff_t gmem_widen(struct gmem_inode *gi, pgoff_t index,
			  struct gmem_range *range)
{
	struct gmem_backing b;
	pgoff_t start, end;

	if (!gmem_lookup(gi, index, &b) || !b.block)
		return index + 1;

	start = b.block->index;
	end = start + gmem_block_pages(b.block);
	range->window_start = min(range->window_start, start);
	range->window_end = max(range->window_end, end);
	return end;
}

/**
 * gmem_prepare_range - open the retry windows of all views
 * @gi: inode
 * @start: first index to be taken away
 * @end: index behind the last one
 * @filter: state of the pages to be unmapped
 * @range: filled in, for gmem_begin_range() and gmem_end_range()
 *
 * Context: invalidate_lock held exclusively until gmem_end_range().
 * Return: 0, or what a view's prepare() failed with and nothing is open.
 */
int gmem_prepare_range(struct gmem_inode *gi, pgoff_t start, pgoff_t end,
		       enum gmem_state filter, struct gmem_range *range)
{
	struct gmem_view *view;
	int err;

	gmem_assert_held_write(gi);

	*range = (struct gmem_range) {
		.start		= start,
		.end		= end,
		.window_start	= start,
		.window_end	= end,
		.filter		= filter,
	};
	/* Blocks inside the range do not reach out of it. */
	if (gmem_widen(gi, start, range) < end)
		gmem_widen(gi, end - 1, range);

	list_for_each_entry(view, &gi->views, entry) {
		err = view->ops->prepare(view, range);
		if (err)
			goto abort;
	}
	trace_gmem_invalidate_begin(gmem_ino(gi), start, end, filter);
	return 0;

abort:
	list_for_each_entry_continue_reverse(view, &gi->views, entry)
		view->ops->invalidate_end(view, range);
	return err;
}

/**
 * gmem_begin_range - unmap a range from all guests
 * @gi: inode
 * @range: prepared
 */
void gmem_begin_range(struct gmem_inode *gi, const struct gmem_range *range)
{
	struct gmem_view *view;

	list_for_each_entry(view, &gi->views, entry)
		view->ops->invalidate_begin(view, range);
}

/**
 * gmem_end_range - let guests fault again
 * @gi: inode
 * @range: prepared, whatever came after that
 */
void gmem_end_range(struct gmem_inode *gi, const struct gmem_range *range)
{
	struct gmem_view *view;

	list_for_each_entry(view, &gi->views, entry)
		view->ops->invalidate_end(view, range);
	trace_gmem_invalidate_end(gmem_ino(gi), range->start, range->end,
				  range->filter);
}

static void gmem_zero_run(struct gmem_inode *gi, const struct gmem_backing *first,
			  unsigned long nr)
{
	struct gmem_backing b = *first;
	unsigned long i;
	void *addr;

	for (i = 0; i < nr; i++) {
		b.page = pfn_to_page(page_to_pfn(first->page) + i);
		if (!gmem_is_poisoned(&b)) {
			addr = gmem_map_local(&gi->inode, page_to_pfn(b.page));
			clear_page(addr);
			gmem_unmap_local(addr);
		}
		if (!(i % GMEM_CHUNK_PAGES))
			cond_resched();
	}
}

/**
 * gmem_make_shared - undo what the owner did to private memory of a range
 * @gi: inode
 * @start: first index
 * @end: index behind the last one
 *
 * Context: invalidate_lock held exclusively, no guest maps it. May sleep.
 */
void gmem_make_shared(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	pgoff_t index = start;
	struct gmem_backing b;
	unsigned long nr;

	if (!gi->owner->make_shared || !gi->nr_private)
		return;

	while (gmem_next_present(gi, &index, end, &b, &nr)) {
		gi->owner->make_shared(page_to_pfn(b.page), nr);
		index += nr;
		cond_resched();
	}
}

/* Step 5 of a punch: whole blocks go home, parts of blocks become zero. */
static void gmem_discard(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	pgoff_t index = start;
	struct gmem_backing b;
	unsigned long nr;

	gmem_withdraw_frozen(gi, start, end);

	gmem_make_shared(gi, start, end);
	while (gmem_next_present(gi, &index, end, &b, &nr)) {
		if (b.block && nr < gmem_block_pages(b.block))
			gmem_zero_run(gi, &b, nr);
		index += nr;
	}

	gmem_free_range(gi, start, end);
}

static int gmem_try_punch(struct gmem_inode *gi, pgoff_t start, pgoff_t end,
			  pgoff_t *busy)
{
	struct address_space *mapping = gi->inode.i_mapping;
	struct gmem_range range;
	struct gmem_backing b;
	pgoff_t first = start;
	unsigned long nr;
	int err;

	/* Without backing there is no mapping, in a guest or in the host. */
	if (!gmem_next_present(gi, &first, end, &b, &nr))
		return 0;

	err = gmem_prepare_range(gi, start, end, GMEM_ANY, &range);
	if (err)
		return err;

	unmap_mapping_pages(mapping, start, end - start, false);
	err = gmem_freeze_live(gi, start, end, busy);
	if (!err) {
		gmem_begin_range(gi, &range);
		gmem_discard(gi, start, end);
	}

	gmem_end_range(gi, &range);
	return err;
}

/**
 * gmem_wait_busy - wait for holders that come and go
 * @try: how often it has been waited for already
 *
 * Context: process context, sleeps.
 * Return: false if there is no point any more.
 */
bool gmem_wait_busy(int try)
{
	if (try >= GMEM_BUSY_RETRIES || fatal_signal_pending(current))
		return false;

	fsleep(USEC_PER_MSEC << try);
	return true;
}

/**
 * gmem_punch - give a range back
 * @gi: inode
 * @start: first index
 * @end: index behind the last one; may lie beyond the end of the file
 *
 * Blocks that the range covers whole return to their source. Of others the
 * covered part reads as zero afterwards and nothing is freed.
 *
 * Context: process context, may sleep; takes invalidate_lock.
 * Return: 0; -EAGAIN with nothing done if somebody holds a page, -ENOMEM if a
 * view could not prepare.
 */
int gmem_punch(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	struct address_space *mapping = gi->inode.i_mapping;
	pgoff_t busy;
	int err, try;

	end = min_t(pgoff_t, end, i_size_read(&gi->inode) >> PAGE_SHIFT);
	if (start >= end)
		return 0;

	for (try = 0; ; try++) {
		filemap_invalidate_lock(mapping);
		err = gmem_try_punch(gi, start, end, &busy);
		filemap_invalidate_unlock(mapping);

		if (err != -EAGAIN || !gmem_wait_busy(try))
			break;
	}

	if (err == -EAGAIN)
		atomic_long_inc(&gi->eagain);
	return err;
}

/*
 * How many of the indices that are about to change have memory? One by one they
 * are looked for only where it depends on which.
 */
static unsigned long gmem_held_of(struct gmem_inode *gi, const struct gmem_range *range,
				  const struct gmem_attr_change *change)
{
	pgoff_t start = range->start, end = range->end;
	unsigned long held, nr = 0;
	struct gmem_backing b;
	struct gmem_run run;

	if (gmem_key(start) == gmem_key(end - 1)) {
		/* Part of one block: that is why the window is wider. */
		if (range->window_end - range->window_start > end - start)
			return change->nr;
		if (gmem_peek(gi, start, &b) && b.block)
			return change->nr;
	}

	held = gmem_bytes_held(gi) >> PAGE_SHIFT;
	if (!held || held == i_size_read(&gi->inode) >> PAGE_SHIFT)
		return held ? change->nr : 0;
	if (change->nr == end - start)
		return gmem_nr_present(gi, start, end);

	for (; start < end; start = run.end) {
		if (gmem_attr_run(gi, start, &run) != change->private)
			nr += gmem_nr_present(gi, start, min(run.end, end));
		cond_resched();
	}
	return nr;
}

static int gmem_try_convert(struct gmem_inode *gi, pgoff_t start, pgoff_t end,
			    bool private, pgoff_t *busy)
{
	/* Only what changes is unmapped: a TDX guest loses what it had there. */
	enum gmem_state filter = private ? GMEM_SHARED : GMEM_PRIVATE;
	struct gmem_attr_change change;
	struct gmem_range range;
	int err;

	*busy = start;
	err = gmem_attr_prepare(gi, start, end, private, &change);
	if (err || !change.nr)
		return err;

	err = gmem_prepare_range(gi, start, end, filter, &range);
	if (err)
		goto out;

	if (private) {
		unmap_mapping_pages(gi->inode.i_mapping, start, end - start, false);
		err = gmem_freeze_live(gi, start, end, busy);
	}
	if (!err) {
		change.held = gmem_held_of(gi, &range, &change);
		gmem_begin_range(gi, &range);
		if (!private)
			gmem_make_shared(gi, start, end);
		gmem_attr_commit(gi, &change);
		if (private)
			gmem_withdraw_frozen(gi, start, end);
	}

	gmem_end_range(gi, &range);
out:
	if (err)
		mas_destroy(&change.mas);
	return err;
}

/**
 * gmem_convert - make a range private or shared, in place
 * @inode: inode of a file that tracks attributes
 * @start: first index
 * @end: index behind the last one, within the file
 * @private: new state of all of it
 * @error_index: set if the return value is not 0: the page that somebody holds,
 *	or @start
 *
 * All or nothing. The memory stays where it is, in both directions; shared pages
 * get a live struct page when the host touches them.
 *
 * Context: process context, may sleep; takes invalidate_lock.
 * Return: 0, also if there was nothing to change; -EAGAIN if somebody holds a
 * page that is to become private; -ENOMEM.
 */
int gmem_convert(struct inode *inode, pgoff_t start, pgoff_t end, bool private,
		 pgoff_t *error_index)
{
	struct gmem_inode *gi = GMEM_I(inode);
	int err, try;

	trace_gmem_convert_begin(gmem_ino(gi), start, end, private);

	for (try = 0; ; try++) {
		filemap_invalidate_lock(inode->i_mapping);
		err = gmem_try_convert(gi, start, end, private, error_index);
		filemap_invalidate_unlock(inode->i_mapping);

		if (err != -EAGAIN || !gmem_wait_busy(try))
			break;
	}

	if (err == -EAGAIN)
		atomic_long_inc(&gi->eagain);
	trace_gmem_convert_end(gmem_ino(gi), start, end, private, err,
			       err ? *error_index : start);
	return err;
}
EXPORT_SYMBOL_FOR_MODULES(gmem_convert, "kvm");

/**
 * gmem_query - state and backing of an index, and how far both reach
 * @inode: inode of gmem
 * @index: in pages, within the file
 * @q: result
 *
 * Context: process context, may sleep; takes invalidate_lock (shared).
 */
void gmem_query(struct inode *inode, pgoff_t index, struct gmem_query *q)
{
	struct gmem_inode *gi = GMEM_I(inode);
	pgoff_t end, next = index;
	struct gmem_backing b;
	struct gmem_run run;
	unsigned long nr;

	filemap_invalidate_lock_shared(inode->i_mapping);

	q->private = gmem_attr_run(gi, index, &run);
	q->populated = false;
	q->order = 0;

	if (!gmem_next_present(gi, &next, run.end, &b, &nr)) {
		end = run.end;
	} else if (next > index) {
		end = next;
	} else {
		q->populated = true;
		q->order = gmem_backing_order(&b);
		do {
			end = next + nr;
			next = end;
			cond_resched();
		} while (gmem_next_present(gi, &next, run.end, &b, &nr) &&
			 next == end && gmem_backing_order(&b) == q->order);
	}
	q->nr = end - index;

	filemap_invalidate_unlock_shared(inode->i_mapping);
}
EXPORT_SYMBOL_FOR_MODULES(gmem_query, "kvm");
