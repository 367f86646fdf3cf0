// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: memory whose file is gone while somebody still holds a page of it
 *
 * Closing a file cannot fail. What a pipe, a socket or a device still
 * references stays charged and lent; a worker looks after it with growing
 * intervals and gives it back once gmem's own reference is the last. Nothing is
 * promised about when, only that nobody else gets the memory before.
 */
#include <linux/list.h>
#include <linux/memcontrol.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

#include <trace/events/gmem.h>

#include "internal.h"

/* Jiffies between two looks at the orphans. */
#define GMEM_ORPHAN_MIN_DELAY	(HZ / 100 + 1)
#define GMEM_ORPHAN_MAX_DELAY	HZ

/* Held by whoever frees orphans, or needs one not to be freed. */
DEFINE_MUTEX(gmem_orphan_mutex);

static DEFINE_SPINLOCK(gmem_orphan_lock);
static LIST_HEAD(gmem_orphan_blocks);
/* Linked by page->lru, which a page off the LRU has to itself. */
static LIST_HEAD(gmem_orphan_pages);
static unsigned long gmem_orphan_delay = GMEM_ORPHAN_MIN_DELAY;

static void gmem_orphan_work(struct work_struct *work);
static DECLARE_DELAYED_WORK(gmem_orphan_worker, gmem_orphan_work);

/* The charge of an orphaned page travels in page->private. */
static bool gmem_retry_page(struct page *page)
{
	struct obj_cgroup *objcg = (void *)page_private(page);
	pgoff_t index;

	if (!gmem_abandon_page(page))
		return false;

	index = page->__folio_index;
	trace_gmem_withdraw(gmem_ino(NULL), index, index + 1, 1);
	trace_gmem_free(gmem_ino(NULL), index, 0);
	gmem_free_page(page, objcg);
	if (objcg)
		obj_cgroup_put(objcg);
	return true;
}

static void gmem_orphan_work(struct work_struct *work)
{
	struct gmem_block *block, *next_block;
	struct page *page, *next_page;
	LIST_HEAD(blocks);
	LIST_HEAD(pages);
	bool progress = false;

	mutex_lock(&gmem_orphan_mutex);

	spin_lock(&gmem_orphan_lock);
	list_splice_init(&gmem_orphan_blocks, &blocks);
	list_splice_init(&gmem_orphan_pages, &pages);
	spin_unlock(&gmem_orphan_lock);

	list_for_each_entry_safe(block, next_block, &blocks, orphan) {
		if (!gmem_abandon_block(block))
			continue;
		list_del(&block->orphan);
		gmem_free_block(block);
		gmem_count(NULL, GMEM_ORPHANS, -1);
		progress = true;
	}

	list_for_each_entry_safe(page, next_page, &pages, lru) {
		list_del_init(&page->lru);
		if (gmem_retry_page(page)) {
			gmem_count(NULL, GMEM_LIVE, -1);
			gmem_count(NULL, GMEM_ORPHANS, -1);
			progress = true;
		} else {
			list_add_tail(&page->lru, &next_page->lru);
		}
	}

	spin_lock(&gmem_orphan_lock);
	list_splice(&blocks, &gmem_orphan_blocks);
	list_splice(&pages, &gmem_orphan_pages);
	if (progress)
		gmem_orphan_delay = GMEM_ORPHAN_MIN_DELAY;
	else
		gmem_orphan_delay = min_t(unsigned long, gmem_orphan_delay * 2,
					  GMEM_ORPHAN_MAX_DELAY);
	if (!list_empty(&gmem_orphan_blocks) || !list_empty(&gmem_orphan_pages))
		queue_delayed_work(system_dfl_wq, &gmem_orphan_worker,
				   gmem_orphan_delay);
	spin_unlock(&gmem_orphan_lock);

	mutex_unlock(&gmem_orphan_mutex);
}

static void gmem_orphan_start(void)
{
	lockdep_assert_held(&gmem_orphan_lock);

	gmem_orphan_delay = GMEM_ORPHAN_MIN_DELAY;
	mod_delayed_work(system_dfl_wq, &gmem_orphan_worker, gmem_orphan_delay);
	gmem_count(NULL, GMEM_ORPHANS, 1);
}

/**
 * gmem_orphan_block - leave a block to the worker
 * @block: in no file, with live pages that somebody holds
 */
void gmem_orphan_block(struct gmem_block *block)
{
	spin_lock(&gmem_orphan_lock);
	list_add_tail(&block->orphan, &gmem_orphan_blocks);
	gmem_orphan_start();
	spin_unlock(&gmem_orphan_lock);
}

/**
 * gmem_orphan_page - leave a single page to the worker
 * @page: in no file, live, and held by somebody
 * @objcg: that it is charged to, or NULL; gets a reference of its own
 */
void gmem_orphan_page(struct page *page, struct obj_cgroup *objcg)
{
	if (objcg)
		obj_cgroup_get(objcg);
	set_page_private(page, (unsigned long)objcg);

	spin_lock(&gmem_orphan_lock);
	list_add_tail(&page->lru, &gmem_orphan_pages);
	gmem_orphan_start();
	spin_unlock(&gmem_orphan_lock);
}
