// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: memory that the kernel's direct map does not have
 *
 * What a kernel does not map, speculation does not reach. Memory of files with
 * GMEM_NO_DIRECT_MAP leaves the direct map after it was zeroed and before anybody
 * can find it in the file, and comes back before its source gets it: a block
 * at a time, as a whole.
 *
 * A leaf of the direct map that is no larger than the block is rewritten in
 * place. A larger one is split, which allocates and may fail, and stays split
 * after the memory has come back. What is brought back was a leaf before, so
 * that this never allocates.
 *
 * Whoever has business with the contents meanwhile opens a window: a page of
 * address space that is the CPU's own, so that closing it concerns no other CPU.
 */
#include <linux/atomic.h>
#include <linux/export.h>
#include <linux/highmem.h>
#include <linux/init.h>
#include <linux/percpu.h>
#include <linux/pgtable.h>
#include <linux/set_memory.h>
#include <linux/suspend.h>
#include <linux/vmalloc.h>

#include <asm/tlbflush.h>

#include "internal.h"

/**
 * struct gmem_window - where a CPU maps a page for a moment
 * @addr: the page of address space
 * @pte: its entry in the kernel's page table, none while the window is closed
 */
struct gmem_window {
	void *addr;
	pte_t *pte;
};

static DEFINE_PER_CPU(struct gmem_window, gmem_windows);

/* Inodes whose memory may be hidden; GMEM_SNAPSHOT while there may be none. */
static atomic_t gmem_nr_hiding;

#define GMEM_SNAPSHOT	(-1)

/**
 * gmem_hide_begin - an inode is about to hide its memory
 *
 * Return: 0; -EBUSY while the machine hibernates: an image of memory has to
 * map what it saves.
 */
int gmem_hide_begin(void)
{
	return atomic_inc_unless_negative(&gmem_nr_hiding) ? 0 : -EBUSY;
}

/* The inode has none any more. */
void gmem_hide_end(void)
{
	atomic_dec(&gmem_nr_hiding);
}

/**
 * gmem_hide - take memory out of the direct map
 * @page: first page, aligned to @nr
 * @nr: a power of 2
 *
 * One flush of all TLBs, and one more for each leaf that has to be split.
 *
 * Context: process context, may sleep; nobody else knows of the memory yet.
 * Return: 0, or -ENOMEM with all of it mapped as before.
 */
int gmem_hide(struct page *page, unsigned long nr)
{
	unsigned long start = (unsigned long)page_address(page);
	int err;

	err = set_direct_map_valid_noflush(page, nr, false);
	if (err)
		set_direct_map_valid_noflush(page, nr, true);
	flush_tlb_kernel_range(start, start + nr * PAGE_SIZE);

	return err ? -ENOMEM : 0;
}

/**
 * gmem_unhide - bring memory back into the direct map
 * @page: first page
 * @nr: as it was hidden, or part of that
 *
 * Context: process context; nobody else knows of the memory any more.
 * Return: 0; -ENOMEM if it is part of a leaf that could not be split.
 */
int gmem_unhide(struct page *page, unsigned long nr)
{
	return set_direct_map_valid_noflush(page, nr, true);
}

/**
 * gmem_map_local - open a window on a page of guest memory
 * @inode: inode of gmem
 * @pfn: page frame of it, which somebody keeps there until the window is closed
 *
 * One at a time on each CPU. With %GMEM_NO_DIRECT_MAP the window is the CPU's
 * own; elsewhere it is the direct map.
 *
 * Context: any but interrupts. No sleeping until gmem_unmap_local().
 * Return: where the page is.
 */
void *gmem_map_local(struct inode *inode, unsigned long pfn)
{
	struct gmem_window *w;

	if (!gmem_hides(GMEM_I(inode)))
		return kmap_local_pfn(pfn);

	preempt_disable();
	w = this_cpu_ptr(&gmem_windows);
	VM_WARN_ON_ONCE(in_interrupt());
	VM_WARN_ON_ONCE(!pte_none(ptep_get(w->pte)));
	set_pte_at(&init_mm, (unsigned long)w->addr, w->pte,
		   pfn_pte(pfn, PAGE_KERNEL));
	return w->addr;
}
EXPORT_SYMBOL_FOR_MODULES(gmem_map_local, "kvm");

/**
 * gmem_unmap_local - close a window
 * @addr: from gmem_map_local()
 *
 * Context: as gmem_map_local(), on the same CPU.
 */
void gmem_unmap_local(void *addr)
{
	struct gmem_window *w = raw_cpu_ptr(&gmem_windows);

	if (addr != w->addr) {
		kunmap_local(addr);
		return;
	}

	pte_clear(&init_mm, (unsigned long)addr, w->pte);
	flush_tlb_one_kernel((unsigned long)addr);
	preempt_enable();
}
EXPORT_SYMBOL_FOR_MODULES(gmem_unmap_local, "kvm");

/**
 * gmem_pfn_is_hidden - is a page frame missing from the direct map?
 * @pfn: any page frame with a struct page
 *
 * Context: any. True or false for good only if the caller knows that the memory
 * stays where it is.
 */
bool gmem_pfn_is_hidden(unsigned long pfn)
{
	return atomic_read(&gmem_nr_hiding) > 0 && !kernel_page_present(pfn_to_page(pfn));
}
EXPORT_SYMBOL_FOR_MODULES(gmem_pfn_is_hidden, "kvm");

/* Files that hide memory keep the machine from hibernating, and vice versa. */
static int gmem_pm_notify(struct notifier_block *nb, unsigned long action, void *data)
{
	switch (action) {
	case PM_HIBERNATION_PREPARE:
		if (atomic_cmpxchg(&gmem_nr_hiding, 0, GMEM_SNAPSHOT))
			return notifier_from_errno(-EBUSY);
		break;
	case PM_POST_HIBERNATION:
		atomic_cmpxchg(&gmem_nr_hiding, GMEM_SNAPSHOT, 0);
		break;
	}
	return NOTIFY_OK;
}

static struct notifier_block gmem_pm_nb = {
	.notifier_call	= gmem_pm_notify,
};

static int __init gmem_note_pte(pte_t *pte, unsigned long addr, void *data)
{
	struct gmem_window *w = data;

	w->addr = (void *)addr;
	w->pte = pte;
	return 0;
}

static int __init gmem_windows_init(void)
{
	struct vm_struct *area;
	unsigned long addr;
	int cpu;

	area = get_vm_area(num_possible_cpus() * PAGE_SIZE, VM_MAP);
	if (!area)
		panic("gmem: no address space for windows\n");

	addr = (unsigned long)area->addr;
	for_each_possible_cpu(cpu) {
		if (apply_to_page_range(&init_mm, addr, PAGE_SIZE, gmem_note_pte,
					per_cpu_ptr(&gmem_windows, cpu)))
			panic("gmem: no page table for windows\n");
		addr += PAGE_SIZE;
	}

	return register_pm_notifier(&gmem_pm_nb);
}
subsys_initcall(gmem_windows_init);
