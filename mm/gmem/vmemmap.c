// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: blocks whose struct pages are optimized away
 *
 * Of the vmemmap of an optimized hugetlb folio only the first page exists; all
 * others map one read-only page of tails per zone and order. A block that is
 * dissolved keeps that saving: the same PTEs then map the zone's template, a
 * read-only page of struct pages that each stand alone, frozen and typed. Only
 * where a page is published the vmemmap page around it becomes real, a writable
 * copy of the template, and stays so until the block goes back.
 *
 * hugetlb has split the PMDs when it optimized the folio, so all edits are of
 * single PTEs, under init_mm's mmap_lock held shared, as hugetlb's own: different
 * blocks edit different PTEs, and what happens to one block is serialised by the
 * slot mutex, or by invalidate_lock held exclusively.
 */
#include <linux/cleanup.h>
#include <linux/hugetlb.h>
#include <linux/list.h>
#include <linux/memcontrol.h>
#include <linux/memory_hotplug.h>
#include <linux/mmzone.h>
#include <linux/pgtable.h>
#include <linux/sched/mm.h>
#include <linux/vmstat.h>
#include <linux/workqueue.h>
#include <asm/tlbflush.h>

#include <trace/events/gmem.h>

#include "../internal.h"
#include "internal.h"

/* struct pages in a page */
#define GMEM_VMEMMAP_NR		(PAGE_SIZE / sizeof(struct page))

/* Templates by node and zone. Made on demand, never freed. */
static DEFINE_XARRAY(gmem_templates);
static DEFINE_MUTEX(gmem_template_mutex);

static unsigned long gmem_template_key(struct zone *zone)
{
	return zone_to_nid(zone) * MAX_NR_ZONES + zone_idx(zone);
}

static struct page *gmem_template(const struct gmem_block *block)
{
	struct zone *zone = page_zone(pfn_to_page(block->pfn));

	return xa_load(&gmem_templates, gmem_template_key(zone));
}

static struct page *gmem_make_template(struct zone *zone)
{
	struct page *template, *page;
	int i;

	template = alloc_pages_node(zone_to_nid(zone), GFP_KERNEL | __GFP_ZERO, 0);
	if (!template)
		return NULL;

	/* Zeroed: no reference, no mapping, no charge, and no tail either. */
	page = page_address(template);
	for (i = 0; i < GMEM_VMEMMAP_NR; i++, page++) {
		set_page_zone(page, zone_idx(zone));
		set_page_node(page, zone_to_nid(zone));
		page_cpupid_reset_last(page);
		page->page_type = (unsigned int)PGTY_gmem << 24;
	}
	return template;
}

/**
 * gmem_vmemmap_prepare - see to it that optimized blocks can be dissolved
 * @zone: of the block
 *
 * Everything after this only edits page tables, but for gmem_vmemmap_make_real().
 *
 * Context: process context, may sleep.
 * Return: 0 or -ENOMEM.
 */
int gmem_vmemmap_prepare(struct zone *zone)
{
	unsigned long key = gmem_template_key(zone);
	struct page *template;
	int err;

	/* A chunk has a bit for each of its vmemmap pages. */
	BUILD_BUG_ON(is_power_of_2(sizeof(struct page)) &&
		     GMEM_CHUNK_PAGES / GMEM_VMEMMAP_NR >
		     BITS_PER_TYPE(typeof_member(struct gmem_chunk, vmemmap_real)));

	if (xa_load(&gmem_templates, key))
		return 0;

	guard(mutex)(&gmem_template_mutex);
	if (xa_load(&gmem_templates, key))
		return 0;

	template = gmem_make_template(zone);
	if (!template)
		return -ENOMEM;

	err = xa_err(xa_store(&gmem_templates, key, template, GFP_KERNEL));
	if (err)
		__free_page(template);
	return err;
}

/**
 * gmem_vmemmap_is_optimized - does a block just taken lack struct pages?
 * @head: its first page, still as the source gave it
 * @order: of it
 *
 * Return: true if all but one of its vmemmap pages are shared.
 */
bool gmem_vmemmap_is_optimized(const struct page *head, unsigned int order)
{
	/* hugetlb's flags are left where they were, others leave a 0 there. */
	return order &&
	       folio_test_hugetlb_vmemmap_optimized((struct folio *)head);
}

static unsigned long gmem_vmemmap_pages(const struct gmem_block *block)
{
	return gmem_block_pages(block) / GMEM_VMEMMAP_NR;
}

static unsigned long gmem_vmemmap_addr(const struct gmem_block *block,
				       unsigned long nr)
{
	return (unsigned long)pfn_to_page(block->pfn) + nr * PAGE_SIZE;
}

static u8 gmem_vmemmap_bit(unsigned long offset)
{
	return BIT(offset % GMEM_CHUNK_PAGES / GMEM_VMEMMAP_NR);
}

/**
 * gmem_vmemmap_is_real - is a struct page the block's own?
 * @block: block
 * @offset: of the page in the block
 *
 * Return: true if it is, and may be written to.
 */
bool gmem_vmemmap_is_real(const struct gmem_block *block, unsigned long offset)
{
	struct gmem_chunk *chunk = gmem_chunk_of(block, offset);

	if (!block->hvo || offset < GMEM_VMEMMAP_NR)
		return true;
	return chunk && (READ_ONCE(chunk->vmemmap_real) & gmem_vmemmap_bit(offset));
}

static pte_t *gmem_vmemmap_pte(unsigned long addr)
{
	pmd_t *pmd = pmd_off_k(addr);

	mmap_assert_locked(&init_mm);

	if (pmd_none(*pmd) || pmd_leaf(*pmd))
		return NULL;
	return pte_offset_kernel(pmd, addr);
}

static void gmem_vmemmap_map(unsigned long addr, struct page *page,
			     pgprot_t prot)
{
	pte_t *pte = gmem_vmemmap_pte(addr);

	if (WARN_ON_ONCE(!pte))
		return;
	set_pte_at(&init_mm, addr, pte, mk_pte(page, prot));
}

static void gmem_vmemmap_flush(const struct gmem_block *block)
{
	flush_tlb_kernel_range(gmem_vmemmap_addr(block, 1),
			       gmem_vmemmap_addr(block, gmem_vmemmap_pages(block)));
}

/**
 * gmem_vmemmap_dissolve - make the pages of an optimized block stand alone
 * @block: intact block
 *
 * Needs no memory and cannot fail. When it returns, no CPU sees a tail any more:
 * page 0 may be published.
 *
 * Context: invalidate_lock and slot mutex held; may sleep.
 */
void gmem_vmemmap_dissolve(struct gmem_block *block)
{
	struct page *template = gmem_template(block);
	struct page *head = pfn_to_page(block->pfn);
	unsigned long i;

	gmem_assert_held(block->gi);
	VM_WARN_ON_ONCE(!block->hvo || block->state != GMEM_INTACT);

	/*
	 * Most PTEs mapped tails before, read-only as well. Those of a block
	 * that was lent shortly before may still be writable: somebody who has
	 * looked at such a page since and now tries to take a reference would
	 * fault. hugetlb lives with the same race when it optimizes a folio.
	 */
	mmap_read_lock(&init_mm);
	for (i = 1; i < gmem_vmemmap_pages(block); i++) {
		gmem_vmemmap_map(gmem_vmemmap_addr(block, i), template,
				 PAGE_KERNEL_RO);
		if (!(i % PTRS_PER_PTE))
			cond_resched();
	}
	mmap_read_unlock(&init_mm);

	/* Tails first: without a head there is nothing to be tail of. */
	for (i = GMEM_VMEMMAP_NR - 1; i; i--)
		gmem_freeze_fields(head + i, NULL);
	gmem_freeze_fields(head, NULL);

	gmem_vmemmap_flush(block);
}

/* Charged to the creator of the file, like blocks of the buddy allocator. */
static struct page *gmem_vmemmap_alloc(struct gmem_block *block)
{
	struct obj_cgroup *objcg = block->gi->objcg;
	int nid = page_to_nid(pfn_to_page(block->pfn));
	struct mem_cgroup *memcg, *old;
	struct page *page;

	if (!objcg)
		return alloc_pages_node(nid, GFP_KERNEL, 0);

	memcg = get_mem_cgroup_from_objcg(objcg);
	old = set_active_memcg(memcg);
	page = alloc_pages_node(nid, GFP_KERNEL_ACCOUNT, 0);
	set_active_memcg(old);
	mem_cgroup_put(memcg);

	return page;
}

/**
 * gmem_vmemmap_make_real - give a page of a dissolved block a struct page
 * @block: optimized block
 * @offset: of the page in the block; its chunk exists
 *
 * It comes with its neighbours under the same vmemmap page. They stay until the
 * block is given back, so a guest that flips pages costs at most one TLB flush
 * of the host per vmemmap page.
 *
 * Context: invalidate_lock and slot mutex held; may sleep.
 * Return: 0 or -ENOMEM.
 */
int gmem_vmemmap_make_real(struct gmem_block *block, unsigned long offset)
{
	struct gmem_chunk *chunk = gmem_chunk_of(block, offset);
	unsigned long addr;
	struct page *page;
	pgoff_t index;

	gmem_assert_held(block->gi);
	VM_WARN_ON_ONCE(block->state != GMEM_DISSOLVED);

	if (gmem_vmemmap_is_real(block, offset))
		return 0;

	page = gmem_vmemmap_alloc(block);
	if (!page)
		return -ENOMEM;

	copy_page(page_address(page), page_address(gmem_template(block)));
	/* Contents before the PTE, for those who walk by. */
	smp_wmb();

	addr = gmem_vmemmap_addr(block, offset / GMEM_VMEMMAP_NR);
	mmap_read_lock(&init_mm);
	gmem_vmemmap_map(addr, page, PAGE_KERNEL);
	mmap_read_unlock(&init_mm);
	flush_tlb_kernel_range(addr, addr + PAGE_SIZE);

	WRITE_ONCE(chunk->vmemmap_real,
		   chunk->vmemmap_real | gmem_vmemmap_bit(offset));
	memmap_pages_add(1);
	gmem_count(block->gi, GMEM_VMEMMAP, 1);
	index = block->index + round_down(offset, GMEM_VMEMMAP_NR);
	trace_gmem_vmemmap_restore(gmem_ino(block->gi), index, index + GMEM_VMEMMAP_NR);
	return 0;
}

/*
 * Real vmemmap pages of blocks that went back. They were writable and their
 * struct pages could be referenced; whoever looked at one a moment ago, be it
 * GUP-fast on a CPU that needed no IPI to flush its TLB, may still write to it,
 * if only to find that the reference count is 0. So they become tails, which
 * is all that hugetlb wants of them, and are exchanged for the shared page after
 * a grace period.
 *
 * The pages are linked by page->lru; page->private has the address that they are
 * mapped at and, in the bits below PAGE_SHIFT, the order of the block.
 */
static LIST_HEAD(gmem_limbo);
static DEFINE_SPINLOCK(gmem_limbo_lock);

static void gmem_limbo_work(struct work_struct *work);
static DECLARE_WORK(gmem_limbo_worker, gmem_limbo_work);

static struct page *gmem_shared_tails(struct page *page, unsigned int order)
{
	return page_zone(page)->vmemmap_tails[order - VMEMMAP_TAIL_MIN_ORDER];
}

/* Unless hugetlb has split the folio meanwhile, or the block is lent again. */
static void gmem_limbo_exchange(struct page *real, unsigned long addr,
				unsigned int order)
{
	struct page *page = (struct page *)addr;
	pte_t *pte;

	/* Or even removed from the machine. */
	if (!pfn_to_online_page(page_to_pfn(page)))
		return;

	pte = gmem_vmemmap_pte(addr);
	if (pte && pte_page(ptep_get(pte)) == real)
		gmem_vmemmap_map(addr, gmem_shared_tails(page, order),
				 PAGE_KERNEL_RO);
}

static void gmem_limbo_work(struct work_struct *work)
{
	unsigned long addr, start = ULONG_MAX, end = 0;
	struct page *page, *next;
	LIST_HEAD(pages);

	spin_lock(&gmem_limbo_lock);
	list_splice_init(&gmem_limbo, &pages);
	spin_unlock(&gmem_limbo_lock);
	if (list_empty(&pages))
		return;

	synchronize_rcu();

	/* Excludes all who edit these PTEs under the lock held shared. */
	get_online_mems();
	mmap_write_lock(&init_mm);
	list_for_each_entry(page, &pages, lru) {
		addr = page_private(page) & PAGE_MASK;
		gmem_limbo_exchange(page, addr, page_private(page) & ~PAGE_MASK);
		start = min(start, addr);
		end = max(end, addr + PAGE_SIZE);
	}
	mmap_write_unlock(&init_mm);
	put_online_mems();

	flush_tlb_kernel_range(start, end);

	list_for_each_entry_safe(page, next, &pages, lru) {
		set_page_private(page, 0);
		memmap_pages_add(-1);
		__free_page(page);
	}
}

/* Make tails of the struct pages of one vmemmap page. */
static void gmem_vmemmap_make_tails(struct page *page, unsigned int nr,
				    const struct page *head, unsigned int order)
{
	while (nr--) {
		prep_compound_tail(page, head, order);
		/* Last, or it would look like a free page meanwhile. */
		smp_wmb();
		__ClearPageGmem(page);
		page++;
	}
}

/* The PTEs of a block as hugetlb wants them, and a list of those that wait. */
static unsigned long gmem_vmemmap_remap_tails(struct gmem_block *block,
					      struct list_head *limbo)
{
	struct page *head = pfn_to_page(block->pfn);
	struct page *tails = gmem_shared_tails(head, block->order);
	unsigned long i, nr_real = 0;

	for (i = 1; i < gmem_vmemmap_pages(block); i++) {
		unsigned long addr = gmem_vmemmap_addr(block, i);
		struct page *real;

		if (!gmem_vmemmap_is_real(block, i * GMEM_VMEMMAP_NR)) {
			gmem_vmemmap_map(addr, tails, PAGE_KERNEL_RO);
			continue;
		}

		gmem_vmemmap_make_tails((struct page *)addr, GMEM_VMEMMAP_NR,
					head, block->order);
		real = pte_page(ptep_get(gmem_vmemmap_pte(addr)));
		set_page_private(real, addr | block->order);
		list_add(&real->lru, limbo);
		nr_real++;
		cond_resched();
	}
	return nr_real;
}

/**
 * gmem_vmemmap_restore_compound - from pages that stand alone to an optimized
 *	compound page
 * @block: dissolved block, no page of it live
 *
 * Needs no memory and cannot fail. The head keeps its type; order and links are
 * set, all else is the caller's.
 *
 * Context: last user of the block; may sleep.
 */
void gmem_vmemmap_restore_compound(struct gmem_block *block)
{
	struct page *head = pfn_to_page(block->pfn);
	unsigned long i, nr_real;
	LIST_HEAD(limbo);

	VM_WARN_ON_ONCE(!block->hvo || block->state != GMEM_DISSOLVED);

	gmem_vmemmap_make_tails(head + 1, GMEM_VMEMMAP_NR - 1, head, block->order);
	__SetPageHead(head);
	prep_compound_head(head, block->order);

	mmap_read_lock(&init_mm);
	nr_real = gmem_vmemmap_remap_tails(block, &limbo);
	mmap_read_unlock(&init_mm);

	/* hugetlb maps the block to others: nobody may see the template now. */
	gmem_vmemmap_flush(block);

	for (i = 0; i < gmem_nr_chunks(block->order); i++)
		if (block->chunk[i])
			block->chunk[i]->vmemmap_real = 0;
	if (!nr_real)
		return;

	gmem_count(block->gi, GMEM_VMEMMAP, -(long)nr_real);
	spin_lock(&gmem_limbo_lock);
	list_splice(&limbo, &gmem_limbo);
	spin_unlock(&gmem_limbo_lock);
	queue_work(system_dfl_wq, &gmem_limbo_worker);
}
