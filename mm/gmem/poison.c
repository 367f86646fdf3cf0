// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: memory failure
 *
 * The machine check handler has a page frame and asks whose it is. Whatever is
 * found without a lock is a hint, looked at again under invalidate_lock: blocks
 * come, go and lose their inode at any time.
 *
 * Poison in a block is a bit beside the block, never a page flag: the struct
 * pages of an optimized block are shared and read-only. It costs its 4 KiB and
 * nothing else. Guests and the host lose their mappings of exactly that page;
 * the next touch gets -EHWPOISON from gmem_get_pfn(), or SIGBUS in the host.
 * When the block goes home its poisoned pages are marked and stay out of use.
 */
#define pr_fmt(fmt) "gmem: " fmt

#include <linux/delay.h>
#include <linux/memory-failure.h>
#include <linux/rmap.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include <trace/events/gmem.h>
#include <trace/events/memory-failure.h>

#include "../internal.h"
#include "internal.h"

static struct gmem_inode *gmem_typed_owner(struct page *page)
{
	/* An intact block on its way keeps what its source put there. */
	if (PageCompound(page))
		return NULL;

	return (struct gmem_inode *)READ_ONCE(page->private);
}

static struct gmem_inode *gmem_mapping_owner(struct page *page)
{
	const struct address_space_operations *aops;
	struct address_space *mapping;

	if (page_has_type(page) || PageCompound(page) || PageLRU(page))
		return NULL;

	mapping = READ_ONCE(page->mapping);
	if (!mapping || ((unsigned long)mapping & FOLIO_MAPPING_FLAGS))
		return NULL;

	/* In a page that is not a file's, this can be anything. */
	if (get_kernel_nofault(aops, &mapping->a_ops) || aops != &gmem_aops)
		return NULL;

	return GMEM_I(mapping->host);
}

/*
 * The inode of a single page: in page->private as long as it has the type, else
 * behind page->mapping. That is so of live pages, and of those that have lost
 * their last reference to a request that goes on for some time, or have none yet.
 * Live pages of blocks are found here too.
 */
static struct gmem_inode *gmem_page_owner(struct page *page, pgoff_t *index)
{
	struct gmem_inode *gi;
	bool typed;

	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "inode without RCU protection");

	*index = READ_ONCE(page->__folio_index);

	/*
	 * A page always has one of the two: private is there before the type
	 * and goes after it, the mapping is there before the type goes and goes
	 * after it has come back. Only one that is withdrawn and live again while
	 * this looks can be missed; memory failure asks a second time.
	 */
	do {
		typed = PageGmem(page);
		/* Pairs with gmem_freeze_fields() and gmem_make_live(). */
		smp_rmb();
		gi = typed ? gmem_typed_owner(page) : gmem_mapping_owner(page);
		/* And with gmem_free_page(). */
		smp_rmb();
	} while (PageGmem(page) != typed);

	return gi;
}

/**
 * gmem_owns_pfn - is this page frame guest memory?
 * @pfn: page frame that is online
 *
 * Context: any; takes no lock. The answer may be outdated when it arrives.
 * Return: true if it is in a file, frozen or live, or in an orphaned block.
 */
bool gmem_owns_pfn(unsigned long pfn)
{
	struct page *page = pfn_to_page(pfn);
	pgoff_t index;

	guard(rcu)();

	return gmem_find_block(pfn) || folio_test_gmem(page_folio(page)) ||
	       gmem_page_owner(page, &index);
}

#ifdef CONFIG_MEMORY_FAILURE

static bool gmem_hw_failed;

/**
 * gmem_hardware_failed - is any poison more than a test's?
 *
 * From then on nobody can unpoison a page, and architectures unmap what is bad.
 */
bool gmem_hardware_failed(void)
{
	return READ_ONCE(gmem_hw_failed);
}

/* A gigabyte on its way from its source is zeroed in less than two seconds. */
#define GMEM_OWNER_DELAY	(10 * USEC_PER_MSEC)
#define GMEM_OWNER_RETRIES	200

/*
 * Who has this page frame, and for which index? Returns 0 with a reference on
 * the inode, or NULL for an orphan; -ENOENT if it is not gmem's; -EAGAIN if it
 * is on its way from or to a source and has no owner to speak to.
 */
static int gmem_find_owner(unsigned long pfn, struct gmem_inode **gi,
			   pgoff_t *index)
{
	struct page *page = pfn_to_page(pfn);
	struct gmem_block *block;

	guard(rcu)();

	block = gmem_find_block(pfn);
	if (block) {
		*index = block->index + (pfn - block->pfn);
		*gi = READ_ONCE(block->gi);
		if (!*gi)
			return 0;
	} else {
		*gi = gmem_page_owner(page, index);
		if (!*gi)
			return folio_test_gmem(page_folio(page)) ? -EAGAIN : -ENOENT;
	}

	return igrab(&(*gi)->inode) ? 0 : -EAGAIN;
}

/* Returns false if it was known before. */
static bool gmem_record_poison(struct gmem_inode *gi, pgoff_t index,
			       const struct gmem_backing *b)
{
	struct gmem_chunk *chunk;
	unsigned long offset;

	if (b->block) {
		offset = gmem_block_offset(b);
		/* The memory is bad whether or not there is some to note it in. */
		chunk = gmem_get_chunk(b->block, offset, GFP_KERNEL | __GFP_NOFAIL);
		if (test_and_set_bit(offset % GMEM_CHUNK_PAGES, chunk->poison))
			return false;
		WRITE_ONCE(b->block->nr_poison, b->block->nr_poison + 1);
	} else if (TestSetPageHWPoison(b->page)) {
		return false;
	}

	gmem_count(gi, GMEM_POISONED, 1);
	trace_gmem_poison(gmem_ino(gi), index);
	num_poisoned_pages_inc(page_to_pfn(b->page));
	return true;
}

/*
 * The caller's reference would look like somebody's who still uses the page.
 * gmem has its own on every live page, so that this is never the last.
 */
static void gmem_put_mf_ref(unsigned long pfn, int mf_flags)
{
	if (mf_flags & MF_COUNT_INCREASED)
		put_page(pfn_to_page(pfn));
}

static int gmem_mf_result(unsigned long pfn, enum mf_result result)
{
	struct memory_failure_stats *stats = &NODE_DATA(pfn_to_nid(pfn))->mf_stats;

	trace_memory_failure_event(pfn, MF_MSG_UNKNOWN, result);

	stats->total++;
	if (result == MF_RECOVERED)
		stats->recovered++;
	else
		stats->failed++;

	pr_err("%#lx: memory failure in guest memory: %s\n", pfn,
	       result == MF_RECOVERED ? "recovered" : "still in use");
	return result == MF_RECOVERED ? 0 : -EBUSY;
}

/*
 * Signal those who asked for it, and the task that ran into it. They need not
 * have the page mapped: that the address is theirs is what a VMM wants to know
 * of private pages, too.
 */
static void gmem_kill_users(struct gmem_inode *gi, pgoff_t index, int mf_flags)
{
	struct address_space *mapping = gi->inode.i_mapping;
	bool required = mf_flags & MF_ACTION_REQUIRED;
	struct task_struct *process, *task;
	struct vm_area_struct *vma;
	void __user *addr;

	i_mmap_lock_read(mapping);
	rcu_read_lock();
	for_each_process(process) {
		task = task_early_kill(process, required);
		if (!task)
			continue;

		mapping_rmap_tree_foreach(vma, mapping, index, index) {
			if (vma->vm_mm != task->mm)
				continue;

			addr = (void __user *)vma_filebacked_address(vma, index, 1);
			if (required && task == current)
				force_sig_mceerr(BUS_MCEERR_AR, addr, PAGE_SHIFT);
			else
				send_sig_mceerr(BUS_MCEERR_AO, addr, PAGE_SHIFT, task);
			break;
		}
	}
	rcu_read_unlock();
	i_mmap_unlock_read(mapping);
}

/* Take the struct page out of use as well, if nobody holds it. */
static bool gmem_withdraw_index(struct gmem_inode *gi, pgoff_t index)
{
	pgoff_t busy;
	int try;

	/* With the window open: the page must not come back meanwhile. */
	for (try = 0; gmem_freeze_live(gi, index, index + 1, &busy); try++)
		if (!gmem_wait_busy(try))
			return false;

	gmem_withdraw_frozen(gi, index, index + 1);
	return true;
}

static int gmem_poison_locked(struct gmem_inode *gi, pgoff_t index,
			      unsigned long pfn, int mf_flags)
{
	struct gmem_range range;
	struct gmem_backing b;
	bool gone = false;

	if (!gmem_lookup(gi, index, &b) || page_to_pfn(b.page) != pfn)
		return -EAGAIN;

	gmem_put_mf_ref(pfn, mf_flags);

	if (!gmem_record_poison(gi, index, &b))
		return -EHWPOISON;

	unmap_mapping_pages(gi->inode.i_mapping, index, 1, false);

	/* A view that cannot prepare keeps its mapping, and may fail again. */
	if (!gmem_prepare_range(gi, index, index + 1, GMEM_ANY, &range)) {
		gmem_begin_range(gi, &range);
		gone = gmem_withdraw_index(gi, index);
		gmem_end_range(gi, &range);
	}

	return gmem_mf_result(pfn, gone ? MF_RECOVERED : MF_FAILED);
}

static int gmem_poison_index(struct gmem_inode *gi, pgoff_t index,
			     unsigned long pfn, int mf_flags)
{
	struct address_space *mapping = gi->inode.i_mapping;
	int err;

	filemap_invalidate_lock(mapping);
	err = gmem_poison_locked(gi, index, pfn, mf_flags);
	filemap_invalidate_unlock(mapping);

	/* What is poisoned already matters to who has just run into it. */
	if (err != -EAGAIN &&
	    (err != -EHWPOISON || (mf_flags & MF_ACTION_REQUIRED)))
		gmem_kill_users(gi, index, mf_flags);

	return err;
}

/* No file, no mapping, no guest: to remember it is all there is to do. */
static int gmem_poison_orphan(unsigned long pfn, int mf_flags)
{
	struct gmem_backing b = { .page = pfn_to_page(pfn) };

	/* Orphans are freed under this lock only. */
	guard(mutex)(&gmem_orphan_mutex);

	scoped_guard(rcu)
		b.block = gmem_find_block(pfn);
	if (!b.block || READ_ONCE(b.block->gi))
		return -EAGAIN;

	gmem_put_mf_ref(pfn, mf_flags);

	if (!gmem_record_poison(NULL, b.block->index + gmem_block_offset(&b), &b))
		return -EHWPOISON;

	return gmem_mf_result(pfn, gmem_is_live(b.page) ? MF_FAILED : MF_RECOVERED);
}

/**
 * gmem_memory_failure - deal with broken guest memory
 * @pfn: page frame that is online
 * @mf_flags: MF_*; the reference of MF_COUNT_INCREASED is put, unless the
 *	result is -ENOENT
 *
 * Context: process context, may sleep; called under mf_mutex, without a folio
 * lock. Takes invalidate_lock.
 * Return: 0; -ENOENT if it is not gmem's; -EHWPOISON if it was known, in which
 * case the current task got its signal if it needs one; -EBUSY if the page is
 * still in use, or could not be identified.
 */
int gmem_memory_failure(unsigned long pfn, int mf_flags)
{
	struct gmem_inode *gi;
	pgoff_t index;
	int err, try;

	if (!(mf_flags & MF_SW_SIMULATED))
		WRITE_ONCE(gmem_hw_failed, true);

	for (try = 0; try < GMEM_OWNER_RETRIES; try++) {
		err = gmem_find_owner(pfn, &gi, &index);
		if (err == -ENOENT)
			return err;

		if (!err && gi) {
			err = gmem_poison_index(gi, index, pfn, mf_flags);
			iput(&gi->inode);
		} else if (!err) {
			err = gmem_poison_orphan(pfn, mf_flags);
		}
		if (err != -EAGAIN)
			return err;

		fsleep(GMEM_OWNER_DELAY);
	}

	gmem_put_mf_ref(pfn, mf_flags);
	return gmem_mf_result(pfn, MF_FAILED);
}

#endif /* CONFIG_MEMORY_FAILURE */
