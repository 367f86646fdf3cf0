// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: blocks from the buddy allocator
 *
 * 4 KiB and 2 MiB come as any allocation does. A gigabyte is put together by
 * the contiguous allocator, which scans zones with interrupts off and migrates
 * what is in the way: only for fallocate(), never in a fault.
 *
 * All of it is charged to the cgroup of the file's creator, as kernel memory.
 */
#include <linux/cpuset.h>
#include <linux/gfp.h>
#include <linux/memcontrol.h>
#include <linux/sizes.h>

#include "../internal.h"
#include "../page_alloc.h"
#include "internal.h"

/*
 * Room below a cgroup's limit that guest memory leaves, in bytes. A VMM that
 * is at its limit is killed for the next page it touches, or for a page table of
 * its guest, before it can deal with -ENOMEM.
 */
#define GMEM_HEADROOM	SZ_2M

static int gmem_charge(struct obj_cgroup *objcg, unsigned int order)
{
	/* A limit is for the caller to deal with: nobody is killed for it. */
	gfp_t gfp = GFP_KERNEL | (order ? __GFP_NORETRY : __GFP_RETRY_MAYFAIL);
	int err;

	if (!objcg)
		return 0;

	err = obj_cgroup_charge(objcg, gfp, (PAGE_SIZE << order) + GMEM_HEADROOM);
	if (!err)
		obj_cgroup_uncharge(objcg, GMEM_HEADROOM);
	return err;
}

static void gmem_uncharge(struct obj_cgroup *objcg, unsigned int order)
{
	if (objcg)
		obj_cgroup_uncharge(objcg, PAGE_SIZE << order);
}

static struct page *gmem_alloc_contig(struct mempolicy *pol)
{
	nodemask_t nodes = cpuset_current_mems_allowed;
	int nid = numa_mem_id();

	if (!IS_ENABLED(CONFIG_CONTIG_ALLOC))
		return NULL;

	if (pol && pol->mode == MPOL_BIND)
		nodes_and(nodes, nodes, pol->nodes);
	if (nodes_empty(nodes))
		return NULL;
	if (pol && pol->mode == MPOL_PREFERRED)
		nid = first_node(pol->nodes);
	else if (!node_isset(nid, nodes))
		nid = first_node(nodes);

	return alloc_contig_frozen_pages(1UL << PUD_ORDER,
					 GFP_KERNEL | __GFP_COMP | __GFP_NOWARN,
					 nid, &nodes);
}

static struct page *gmem_alloc_pages(struct mempolicy *pol, pgoff_t index,
				     unsigned int order)
{
	gfp_t gfp = GFP_HIGHUSER;

	/* There is a smaller order to fall back to: no reason to reclaim hard. */
	if (order)
		gfp |= __GFP_COMP | __GFP_NORETRY | __GFP_NOWARN;
#ifdef CONFIG_NUMA
	return alloc_pages_mpol(gfp, order, pol ?: get_task_policy(current),
				index >> order, numa_node_id());
#else
	return alloc_frozen_pages(gfp, order);
#endif
}

static struct page *gmem_buddy_take(struct gmem_inode *gi, pgoff_t index,
				    unsigned int order, unsigned int take_flags,
				    void **loan)
{
	struct mempolicy *pol;
	struct page *page;

	if (gmem_charge(gi->objcg, order))
		return ERR_PTR(-ENOMEM);

	pol = mpol_shared_policy_lookup(&gi->policy, index);
	if (order == PUD_ORDER)
		page = gmem_alloc_contig(pol);
	else
		page = gmem_alloc_pages(pol, index, order);
	mpol_cond_put(pol);

	if (!page) {
		gmem_uncharge(gi->objcg, order);
		return ERR_PTR(-ENOMEM);
	}

	/* A block may outlive the inode as an orphan. */
	if (order && gi->objcg) {
		obj_cgroup_get(gi->objcg);
		*loan = gi->objcg;
	}
	return page;
}

/**
 * gmem_buddy_free_page - free a page that stands alone
 * @page: frozen, typed or not
 *
 * A poisoned page is left as memory failure leaves pages: out of the allocator,
 * nobody's, with a reference that unpoisoning puts. Without one, memory
 * offlining would wait for ever for a page that was unpoisoned and lost.
 */
void gmem_buddy_free_page(struct page *page)
{
	if (!PageHWPoison(page)) {
		free_frozen_pages(page, 0);
		return;
	}

	__ClearPageGmem(page);
	set_page_refcounted(page);
}

static void gmem_buddy_give(struct gmem_block *block)
{
	struct page *head = pfn_to_page(block->pfn);
	struct obj_cgroup *objcg = block->loan;
	unsigned long i;

	if (block->state == GMEM_INTACT && !block->nr_poison) {
		__ClearPageGmem(head);
		free_frozen_pages(head, block->order);
	} else {
		gmem_mark_poison(block);
		for (i = 0; i < gmem_block_pages(block); i++)
			gmem_buddy_free_page(pfn_to_page(block->pfn + i));
	}

	if (objcg) {
		gmem_uncharge(objcg, block->order);
		obj_cgroup_put(objcg);
	}
}

/**
 * gmem_buddy_give_page - give a single page back
 * @page: frozen, without type
 * @objcg: that it was charged to, or NULL
 */
void gmem_buddy_give_page(struct page *page, struct obj_cgroup *objcg)
{
	gmem_buddy_free_page(page);
	gmem_uncharge(objcg, 0);
}

/* Nothing is reserved: shortages show at fallocate() or at the fault. */
static int gmem_buddy_open(struct gmem_inode *gi)
{
	return 0;
}

static void gmem_buddy_close(struct gmem_inode *gi)
{
}

const struct gmem_source gmem_source_buddy = {
	.name		= "buddy",
	.open		= gmem_buddy_open,
	.close		= gmem_buddy_close,
	.take		= gmem_buddy_take,
	.give		= gmem_buddy_give,
	.fallback	= true,
};
