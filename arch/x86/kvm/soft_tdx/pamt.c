// SPDX-License-Identifier: GPL-2.0-only
/*
 * Whose each page is: the physical address metadata table.
 *
 * One entry for each page of 4 KiB up to the end of memory, allocated before
 * the first call. A page that becomes the module's is taken by cmpxchg of its
 * type, so the table needs no locks; from then on it changes under the lock of
 * the Secure EPT entry that maps it.
 */
#include <linux/mmzone.h>
#include <linux/nodemask.h>
#include <linux/rcupdate.h>
#include <linux/vmalloc.h>

#include "internal.h"

static struct soft_pamt *pamt;
static u64 pamt_pages;

int pamt_init(void)
{
	u64 nr = 0;
	int nid;

	for_each_online_node(nid)
		nr = max(nr, node_end_pfn(nid));
	pamt = vcalloc(nr, sizeof(*pamt));
	if (!pamt)
		return -ENOMEM;
	/* Pairs with pamt_is_guests(). */
	smp_store_release(&pamt_pages, nr);
	return 0;
}

/* The page frame number behind the last page of memory. */
u64 pamt_end(void)
{
	return pamt_pages;
}

/* Returns how many pages the host did not ask back. */
unsigned long pamt_exit(void)
{
	unsigned long left = 0;
	u64 pfn;

	for (pfn = 0; pfn < pamt_pages; pfn++)
		left += pamt[pfn].type != PT_NDA;
	WRITE_ONCE(pamt_pages, 0);
	synchronize_rcu();
	vfree(pamt);
	pamt = NULL;
	return left;
}

/* Of a page that is in the table: one that was claimed, or checked. */
struct soft_pamt *pamt_of(u64 pfn)
{
	return &pamt[pfn];
}

/* Memory that the module may have, and that it can get at. */
bool pamt_has(u64 pa, int level)
{
	u64 pfn = PHYS_PFN(pa), end = pfn + LEVEL_PAGES(level);

	return IS_ALIGNED(pa, LEVEL_SIZE(level)) && end <= pamt_pages &&
	       pfn_valid(pfn) && pfn_valid(end - 1);
}

/* A page of memory that is the host's own. */
bool pamt_is_host(u64 pa)
{
	return pamt_has(pa, LEVEL_4K) && READ_ONCE(pamt[PHYS_PFN(pa)].type) == PT_NDA;
}

/* Some of it is memory of a TD. For those who have no TD: there may be no table. */
static bool pamt_is_guests(u64 pfn, unsigned long nr)
{
	u64 end = pfn + nr;

	guard(rcu)();
	/* Pairs with pamt_init(). */
	if (end > smp_load_acquire(&pamt_pages))
		return false;
	while (pfn < end && READ_ONCE(pamt[pfn].type) != PT_REG)
		pfn++;
	return pfn < end;
}

/**
 * soft_tdx_given_back - memory of a file is the host's from here on
 * @pfn: first page
 * @nr: how many
 *
 * Context: any.
 */
void soft_tdx_given_back(kvm_pfn_t pfn, unsigned long nr)
{
	if (pamt_is_guests(pfn, nr))
		soft_check_failed(CHECK_STILL_MAPPED, 0, PFN_PHYS(pfn));
}

/* For struct tdx_seamcall_ops. */
void soft_host_access(u64 pfn)
{
	if (pamt_is_guests(pfn, 1))
		soft_check_failed(CHECK_HOST_ACCESS, 0, PFN_PHYS(pfn));
}

/*
 * Nobody has a reference to a page of guest memory, and KVM least of all: it
 * could be written to without the module's knowing.
 */
static void check_unreferenced(u64 pfn, unsigned long nr)
{
	unsigned long i;

	for (i = 0; i < nr; i++) {
		if (page_ref_count(pfn_to_page(pfn + i))) {
			soft_check_failed(CHECK_PAGE_REFERENCED, 0, pfn + i);
			return;
		}
	}
}

static void pamt_unclaim(u64 pfn, unsigned long nr)
{
	while (nr--) {
		/* What was done to the page is done before somebody else takes it. */
		smp_store_release(&pamt[pfn + nr].type, PT_NDA);
	}
}

/**
 * pamt_claim - make a page the module's
 * @td: whose it becomes
 * @pa: its address, an operand of the host's
 * @level: its size
 * @type: what it becomes
 * @id: operand ID of @pa
 *
 * Return: TDX_SUCCESS, TDX_OPERAND_INVALID for what is no page of memory or not
 * aligned, TDX_PAGE_METADATA_INCORRECT if it is the module's already.
 */
u64 pamt_claim(struct soft_td *td, u64 pa, int level, enum soft_page_type type, u8 id)
{
	u64 pfn = PHYS_PFN(pa);
	unsigned long i, nr = LEVEL_PAGES(level);
	u8 was = PT_NDA;

	if (!pamt_has(pa, level)) {
		soft_check_failed(CHECK_FOREIGN_PAGE, 0, pa);
		return operand(TDX_OPERAND_INVALID, id);
	}

	for (i = 0; i < nr; i++, was = PT_NDA) {
		if (!try_cmpxchg(&pamt[pfn + i].type, &was, (u8)type)) {
			soft_check_failed(was == PT_REG ? CHECK_DOUBLE_MAP : CHECK_FOREIGN_PAGE,
					  0, pa);
			pamt_unclaim(pfn, i);
			return operand(TDX_PAGE_METADATA_INCORRECT, id);
		}
	}

	for (i = 0; i < nr; i++) {
		pamt[pfn + i].owner = td_pfn(td);
		pamt[pfn + i].level = level;
		pamt[pfn + i].bepoch = 0;
	}
	if (type == PT_REG)
		check_unreferenced(pfn, nr);
	if (type != PT_TDR)
		atomic_long_add(nr, &td->nr_children);
	return TDX_SUCCESS;
}

/**
 * pamt_release - make a page the host's again
 * @td: whose it was; its TDR if the page is it
 * @pfn: the page
 * @level: its size
 */
void pamt_release(struct soft_td *td, u64 pfn, int level)
{
	unsigned long nr = LEVEL_PAGES(level);

	if (pamt[pfn].type == PT_REG)
		check_unreferenced(pfn, nr);
	if (pamt[pfn].type != PT_TDR)
		atomic_long_sub(nr, &td->nr_children);
	pamt_unclaim(pfn, nr);
}

/* A mapping of 2 MiB has become 512 of 4 KiB. */
void pamt_split(u64 pfn)
{
	unsigned long i;

	for (i = 0; i < LEVEL_PAGES(LEVEL_2M); i++) {
		pamt[pfn + i].level = LEVEL_4K;
		pamt[pfn + i].bepoch = 0;
	}
}

/* How many pages of 4 KiB that TD has in mappings of @level. */
unsigned long pamt_count(u32 owner, int level)
{
	unsigned long nr = 0;
	u64 pfn;

	for (pfn = 0; pfn < pamt_pages; pfn++)
		nr += READ_ONCE(pamt[pfn].type) == PT_REG && pamt[pfn].owner == owner &&
		      pamt[pfn].level == level;
	return nr;
}

/* The TD of a TDR's address, or NULL if there is none. */
struct soft_td *pamt_td(u64 pa)
{
	if (!pamt_has(pa, LEVEL_4K) || READ_ONCE(pamt[PHYS_PFN(pa)].type) != PT_TDR)
		return NULL;
	return __va(pa);
}
