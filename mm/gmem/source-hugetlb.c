// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: blocks lent by a hugetlb pool
 *
 * A file reserves all of its blocks by count when it is created. A block that
 * it takes stays in HugePages_Total and in the cgroups it was charged to, but
 * has neither the hugetlb type nor a place on hugetlb's lists: code that meets a
 * hugetlb folio without references waits for it to become free, and the list
 * word of page 0 belongs to a page that the host may map. What hugetlb kept in
 * the folio is kept in a loan until the block goes back.
 *
 * Charges: the reservation is charged to the cgroup of the creator (rsvd), the
 * use to the task that takes the block, a vCPU or whoever calls fallocate(), as
 * hugetlbfs does. Neither hugetlb_cgroup nor memcg knows another way here.
 */
#include <linux/cgroup.h>
#include <linux/delay.h>
#include <linux/hugetlb.h>
#include <linux/hugetlb_cgroup.h>
#include <linux/memcontrol.h>
#include <linux/page_counter.h>
#include <linux/refcount.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "../hugetlb_cma.h"
#include "../hugetlb_internal.h"
#include "../hugetlb_vmemmap.h"
#include "../internal.h"
#include "../page_alloc.h"
#include "internal.h"

/* How long to wait for somebody who just walks by: 1000 times 10 us or more. */
#define GMEM_FREEZE_TRIES	1000

/**
 * struct gmem_reservation - what a file has reserved
 * @refs: the file and each of its loans, which may outlive it as orphans
 * @h: pool
 * @spool: holds the global reservation; never attached to a folio
 * @h_cg: charged for it, with a reference
 * @nr_pages: charged
 * @left: reserved blocks that are not taken. A slot whose block was lost to
 *	poison is filled without a reservation the next time.
 */
struct gmem_reservation {
	refcount_t refs;
	struct hstate *h;
	struct hugepage_subpool *spool;
	struct hugetlb_cgroup *h_cg;
	unsigned long nr_pages;
	atomic_long_t left;
};

/**
 * struct gmem_loan - what hugetlb had noted in a folio that is lent
 * @entry: in gmem_loans
 * @rsv: reservation that it came out of
 * @h_cg: charged for the use of it; without a reference, as in a folio
 * @flags: HPG_*, as in folio->private
 * @memcg_data: of the folio; names an objcg, which follows its cgroup by itself
 * @nid: node
 */
struct gmem_loan {
	struct list_head entry;
	struct gmem_reservation *rsv;
	struct hugetlb_cgroup *h_cg;
	unsigned long flags;
	unsigned long memcg_data;
	int nid;
};

/* All loans, for cgroups that go away. Protected by hugetlb_lock. */
static LIST_HEAD(gmem_loans);

static void gmem_reservation_put(struct gmem_reservation *rsv)
{
	if (!refcount_dec_and_test(&rsv->refs))
		return;

	hugepage_put_subpool(rsv->spool);
	hugetlb_cgroup_uncharge_cgroup_rsvd(hstate_index(rsv->h), rsv->nr_pages,
					    rsv->h_cg);
	kfree(rsv);
}

/* Memory that can only be had from CMA, which must not be pinned for long. */
static bool gmem_hugetlb_is_cma(struct hstate *h)
{
	return IS_ENABLED(CONFIG_CMA) && hstate_is_gigantic(h) &&
	       hugetlb_cma_total_size();
}

/**
 * gmem_hugetlb_supports - can a file have such blocks?
 * @order: block order
 * @flags: GMEM_*, as in struct gmem_create
 *
 * Host mappings are refused where the memory may be CMA: GUP would try to move
 * it out of there, for ever.
 *
 * Return: true if the pool exists and is fit for it, empty or not.
 */
bool gmem_hugetlb_supports(unsigned int order, unsigned int flags)
{
	struct hstate *h = size_to_hstate(PAGE_SIZE << order);

	return h && !((flags & GMEM_MMAP) && gmem_hugetlb_is_cma(h));
}

static int gmem_hugetlb_open(struct gmem_inode *gi)
{
	struct hstate *h = size_to_hstate(PAGE_SIZE << gi->order);
	struct gmem_reservation *rsv;
	unsigned long nr;

	if (!gmem_hugetlb_supports(gi->order, gi->flags))
		return -EINVAL;

	rsv = kzalloc_obj(*rsv, GFP_KERNEL_ACCOUNT);
	if (!rsv)
		return -ENOMEM;

	nr = i_size_read(&gi->inode) >> huge_page_shift(h);
	rsv->h = h;
	rsv->nr_pages = nr * pages_per_huge_page(h);
	refcount_set(&rsv->refs, 1);
	atomic_long_set(&rsv->left, nr);

	if (hugetlb_cgroup_charge_cgroup_rsvd(hstate_index(h), rsv->nr_pages,
					      &rsv->h_cg))
		goto err_free;

	rsv->spool = hugepage_new_subpool(h, -1, nr);
	if (!rsv->spool)
		goto err_uncharge;

	gi->reservation = rsv;
	return 0;

err_uncharge:
	hugetlb_cgroup_uncharge_cgroup_rsvd(hstate_index(h), rsv->nr_pages,
					    rsv->h_cg);
err_free:
	kfree(rsv);
	return -ENOMEM;
}

static void gmem_hugetlb_close(struct gmem_inode *gi)
{
	gmem_reservation_put(gi->reservation);
	gi->reservation = NULL;
}

static struct folio *gmem_hugetlb_alloc_policy(struct gmem_inode *gi,
					       struct hstate *h, pgoff_t index,
					       u8 alloc_flags)
{
	struct mempolicy_interpreted mpoli = {
		.nid = numa_node_id(),
		.mode = MPOL_DEFAULT,
	};
	struct folio *folio;
#ifdef CONFIG_NUMA
	struct mempolicy *pol;

	pol = mpol_shared_policy_lookup(&gi->policy, index);
	if (!pol)
		pol = get_task_policy(current);
	mpoli.mode = pol->mode;
	mpoli.nodemask = policy_nodemask(htlb_alloc_mask(h), pol,
					 index >> gi->order, &mpoli.nid);
#endif
	folio = hugetlb_alloc_folio(h, &mpoli, current->mm, alloc_flags);
#ifdef CONFIG_NUMA
	mpol_cond_put(pol);
#endif
	return folio;
}

/*
 * Put a folio that was not lent. If somebody else holds it, the reservation
 * comes back some time later, which is too late for this file.
 */
static void gmem_hugetlb_put(struct gmem_reservation *rsv, struct folio *folio)
{
	bool reserved = folio_test_hugetlb_restore_reserve(folio);

	if (!folio_put_testzero(folio))
		return;
	free_huge_folio(folio);
	if (reserved)
		atomic_long_inc(&rsv->left);
}

/* Get a folio with one reference, or NULL. */
static struct folio *gmem_hugetlb_alloc(struct gmem_inode *gi, pgoff_t index)
{
	struct gmem_reservation *rsv = gi->reservation;
	bool cma = gmem_hugetlb_is_cma(rsv->h);
	unsigned int pin_flags = 0;
	struct folio *folio;
	u8 alloc_flags = 0;

	if (atomic_long_dec_if_positive(&rsv->left) >= 0)
		alloc_flags = HUGETLB_ALLOC_USE_GLOBAL_RESERVATIONS;

	/*
	 * A guest's memory never moves, so ZONE_MOVABLE and CMA are no place
	 * for it, mapped by the host or not. What was set aside for gigantic
	 * pages is for those and nothing else, though.
	 */
	if (!cma)
		pin_flags = memalloc_pin_save();
	folio = gmem_hugetlb_alloc_policy(gi, rsv->h, index, alloc_flags);
	if (!cma)
		memalloc_pin_restore(pin_flags);

	if (IS_ERR(folio)) {
		if (alloc_flags)
			atomic_long_inc(&rsv->left);
		return NULL;
	}
	if (!cma && !folio_is_longterm_pinnable(folio)) {
		gmem_hugetlb_put(rsv, folio);
		return NULL;
	}
	return folio;
}

/*
 * Take a folio with one reference out of hugetlb's sight. Walkers of page
 * frames may hold a reference for a moment; that this moment lasts is possible,
 * if they are preempted, but rare enough for an error.
 */
static bool gmem_hugetlb_lend(struct folio *folio, struct gmem_loan *loan)
{
	int tries = GMEM_FREEZE_TRIES;

	while (!folio_ref_freeze(folio, 1)) {
		if (!--tries)
			return false;
		fsleep(10);
	}

	spin_lock_irq(&hugetlb_lock);
	/* Memory failure may have noted something since it was free. */
	if (folio_test_hwpoison(folio)) {
		spin_unlock_irq(&hugetlb_lock);
		folio_ref_unfreeze(folio, 1);
		return false;
	}

	loan->nid = folio_nid(folio);
	loan->h_cg = hugetlb_cgroup_from_folio(folio);
	set_hugetlb_cgroup(folio, NULL);
	/* Stays readable in an intact block: see gmem_vmemmap_is_optimized(). */
	loan->flags = (unsigned long)folio_get_private(folio);
#ifdef CONFIG_MEMCG
	loan->memcg_data = folio->memcg_data;
	folio->memcg_data = 0;
#endif
	list_del_init(&folio->lru);
	/* At no time nobody's: memory failure would write to its tails. */
	__folio_clear_hugetlb(folio);
	__folio_set_gmem(folio);
	list_add(&loan->entry, &gmem_loans);
	spin_unlock_irq(&hugetlb_lock);

	return true;
}

static struct page *gmem_hugetlb_take(struct gmem_inode *gi, pgoff_t index,
				      unsigned int order,
				      unsigned int take_flags, void **loan_ret)
{
	struct gmem_reservation *rsv = gi->reservation;
	struct gmem_loan *loan;
	struct folio *folio;

	gmem_assert_held(gi);
	VM_WARN_ON_ONCE(order != gi->order);

	loan = kzalloc_obj(*loan, GFP_KERNEL_ACCOUNT);
	if (!loan)
		return ERR_PTR(-ENOMEM);

	folio = gmem_hugetlb_alloc(gi, index);
	if (!folio)
		goto err_free;

	/* Publishing must not have to ask for it. */
	if ((gi->flags & GMEM_MMAP) &&
	    folio_test_hugetlb_vmemmap_optimized(folio) &&
	    gmem_vmemmap_prepare(folio_zone(folio)))
		goto err_put;

	loan->rsv = rsv;
	if (!gmem_hugetlb_lend(folio, loan))
		goto err_put;

	refcount_inc(&rsv->refs);
	*loan_ret = loan;
	return &folio->page;

err_put:
	gmem_hugetlb_put(rsv, folio);
err_free:
	kfree(loan);
	return ERR_PTR(-ENOMEM);
}

/* From pages that stand alone, all of them writable, back to a compound page. */
static void gmem_rebuild_compound(struct gmem_block *block)
{
	struct page *head = pfn_to_page(block->pfn);
	unsigned long i;

	prep_compound_page(head, block->order);

	/* Last, or they would look like free pages meanwhile. */
	smp_wmb();
	for (i = 1; i < gmem_block_pages(block); i++) {
		__ClearPageGmem(head + i);
		if (!(i % GMEM_CHUNK_PAGES))
			cond_resched();
	}
}

/* The inverse of gmem_hugetlb_lend(), but for the reference. */
static struct folio *gmem_hugetlb_return(struct gmem_block *block)
{
	struct folio *folio = page_folio(pfn_to_page(block->pfn));
	struct gmem_loan *loan = block->loan;

	VM_WARN_ON_ONCE(folio_order(folio) != block->order);

	spin_lock_irq(&hugetlb_lock);
	list_del(&loan->entry);
	__folio_clear_gmem(folio);
	init_new_hugetlb_folio(folio);
	folio_change_private(folio, (void *)loan->flags);
	set_hugetlb_cgroup(folio, loan->h_cg);
#ifdef CONFIG_MEMCG
	folio->memcg_data = loan->memcg_data;
#endif
	list_add(&folio->lru, &loan->rsv->h->hugepage_activelist);
	spin_unlock_irq(&hugetlb_lock);

	return folio;
}

/* The pool becomes one smaller, and so does what is reserved in it. */
static void gmem_hugetlb_remove(struct folio *folio, struct gmem_loan *loan)
{
	struct hugepage_subpool *spool = loan->rsv->spool;
	struct hstate *h = loan->rsv->h;
	long nr_pages = pages_per_huge_page(h);
	bool surplus;

	spin_lock_irq(&hugetlb_lock);
	hugetlb_cgroup_uncharge_folio(hstate_index(h), nr_pages, folio);
	lruvec_stat_mod_folio(folio, NR_HUGETLB, -nr_pages);
	mem_cgroup_uncharge(folio);

	surplus = h->surplus_huge_pages_node[loan->nid];
	if (!surplus)
		h->max_huge_pages--;
	remove_hugetlb_folio(h, folio, surplus);
	spin_unlock_irq(&hugetlb_lock);

	/* Taking the block used up its reservation: nothing to give back. */
	if (test_bit(HPG_restore_reserve, &loan->flags)) {
		spin_lock_irq(&spool->lock);
		spool->min_hpages--;
		spool->rsv_hpages--;
		spin_unlock_irq(&spool->lock);
	}
}

/*
 * A block with poisoned pages leaves the pool. The others go to the buddy
 * allocator one by one; the bad ones drop out there by themselves.
 */
static void gmem_hugetlb_lose(struct gmem_block *block, struct folio *folio)
{
	struct gmem_loan *loan = block->loan;
	unsigned long i;
	bool leak;

	gmem_hugetlb_remove(folio, loan);

	/*
	 * Without struct pages to write to, and from CMA, which wants its memory
	 * back in one piece, it can only be kept, as an intact block of nobody.
	 */
	leak = test_bit(HPG_cma, &loan->flags) ||
	       (folio_test_hugetlb_vmemmap_optimized(folio) &&
		hugetlb_vmemmap_restore_folio(loan->rsv->h, folio));

	spin_lock_irq(&hugetlb_lock);
	if (folio_test_hugetlb(folio))
		__folio_clear_hugetlb(folio);
	spin_unlock_irq(&hugetlb_lock);
	folio_change_private(folio, NULL);
	__folio_set_gmem(folio);

	if (leak) {
		gmem_count(NULL, GMEM_LEAKED, gmem_block_pages(block));
		return;
	}

	block->hvo = false;
	gmem_mark_poison(block);
	for (i = 0; i < gmem_block_pages(block); i++) {
		gmem_buddy_free_page(pfn_to_page(block->pfn + i));
		if (!(i % GMEM_CHUNK_PAGES))
			cond_resched();
	}
}

static void gmem_hugetlb_add_surplus(struct hstate *h, int nid, long delta)
{
	lockdep_assert_held(&hugetlb_lock);

	h->surplus_huge_pages += delta;
	h->surplus_huge_pages_node[nid] += delta;
}

/*
 * What comes back is reserved again. If the pool was shrunk meanwhile, hugetlb
 * would free it as surplus even if nothing else is left for the reservation:
 * let it see no surplus for as long as that takes. The page goes when the
 * reservation does.
 */
static void gmem_hugetlb_free(struct folio *folio, struct gmem_loan *loan)
{
	struct hstate *h = loan->rsv->h;
	long hidden = 0;

	spin_lock_irq(&hugetlb_lock);
	if (test_bit(HPG_restore_reserve, &loan->flags) &&
	    h->resv_huge_pages >= h->free_huge_pages)
		hidden = h->surplus_huge_pages_node[loan->nid];
	gmem_hugetlb_add_surplus(h, loan->nid, -hidden);
	spin_unlock_irq(&hugetlb_lock);

	free_huge_folio(folio);

	spin_lock_irq(&hugetlb_lock);
	gmem_hugetlb_add_surplus(h, loan->nid, hidden);
	spin_unlock_irq(&hugetlb_lock);
}

static void gmem_hugetlb_give(struct gmem_block *block)
{
	struct gmem_loan *loan = block->loan;
	struct gmem_reservation *rsv = loan->rsv;
	struct folio *folio;

	if (block->state == GMEM_DISSOLVED) {
		if (block->hvo)
			gmem_vmemmap_restore_compound(block);
		else
			gmem_rebuild_compound(block);
		block->state = GMEM_INTACT;
	}

	folio = gmem_hugetlb_return(block);
	if (block->nr_poison) {
		gmem_hugetlb_lose(block, folio);
	} else {
		gmem_hugetlb_free(folio, loan);
		/* Not before the pool has it back. */
		if (test_bit(HPG_restore_reserve, &loan->flags))
			atomic_long_inc(&rsv->left);
	}

	kfree(loan);
	gmem_reservation_put(rsv);
}

const struct gmem_source gmem_source_hugetlb = {
	.name		= "hugetlb",
	.open		= gmem_hugetlb_open,
	.close		= gmem_hugetlb_close,
	.take		= gmem_hugetlb_take,
	.give		= gmem_hugetlb_give,
	.fallback	= false,
};

#ifdef CONFIG_CGROUP_HUGETLB
static void gmem_hugetlb_add_usage(struct hugetlb_cgroup *h_cg, int nid, int idx,
				   long nr)
{
	unsigned long *usage = &h_cg->nodeinfo[nid]->usage[idx];

	/* Written under hugetlb_lock, read without. */
	WRITE_ONCE(*usage, *usage + nr);
}

/**
 * gmem_hugetlb_reparent - move the charges of loans to the parent cgroup
 * @h_cg: cgroup that goes offline; not the root
 *
 * It is not freed as long as anything is charged to it, and hugetlb finds only
 * what is on its lists.
 */
void gmem_hugetlb_reparent(struct hugetlb_cgroup *h_cg)
{
	struct hugetlb_cgroup *parent;
	struct gmem_loan *loan;

	parent = container_of(h_cg->css.parent, struct hugetlb_cgroup, css);

	spin_lock_irq(&hugetlb_lock);
	list_for_each_entry(loan, &gmem_loans, entry) {
		struct hstate *h = loan->rsv->h;
		long nr = pages_per_huge_page(h);
		int idx = hstate_index(h);

		if (loan->h_cg != h_cg)
			continue;

		/* The parent's counter includes the child's: it stays. */
		page_counter_cancel(&h_cg->hugepage[idx], nr);
		gmem_hugetlb_add_usage(h_cg, loan->nid, idx, -nr);
		gmem_hugetlb_add_usage(parent, loan->nid, idx, nr);
		loan->h_cg = parent;
	}
	spin_unlock_irq(&hugetlb_lock);
}
#endif
