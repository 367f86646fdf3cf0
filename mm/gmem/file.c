// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: what consumers' file operations are made of
 */
#include <linux/fs.h>
#include <linux/falloc.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>

#include "internal.h"

static long gmem_allocate(struct gmem_inode *gi, pgoff_t start, pgoff_t end)
{
	struct address_space *mapping = gi->inode.i_mapping;
	struct gmem_backing b;
	pgoff_t index, next;
	long err = 0;

	for (index = start; index < end; index = next) {
		if (signal_pending(current))
			return -EINTR;

		/* Per block: zeroing is long, and a punch should get a chance. */
		filemap_invalidate_lock_shared(mapping);
		err = gmem_populate(gi, index, GMEM_TAKE_CONTIG, &b);
		if (!err)
			next = b.block ? b.block->index + gmem_block_pages(b.block) :
					 index + 1;
		filemap_invalidate_unlock_shared(mapping);
		if (err)
			return err;

		cond_resched();
	}
	return 0;
}

/**
 * gmem_fallocate - allocate memory or give it back
 * @file: file of gmem
 * @mode: FALLOC_FL_KEEP_SIZE, and FALLOC_FL_PUNCH_HOLE or not
 * @offset: in bytes, a multiple of PAGE_SIZE
 * @len: in bytes, a multiple of PAGE_SIZE
 *
 * Allocation is of whole blocks, all that the range touches, and has to lie
 * within the file. A hole may lie beyond it; see gmem_punch().
 *
 * Context: process context, may sleep.
 * Return: 0; -EOPNOTSUPP for other modes; -EINVAL if misaligned or beyond the
 * end; -ENOMEM; -EINTR on a signal, with part of the range allocated; -EAGAIN
 * if somebody holds a page of the hole, with nothing done.
 */
long gmem_fallocate(struct file *file, int mode, loff_t offset, loff_t len)
{
	struct inode *inode = file_inode(file);
	pgoff_t start = offset >> PAGE_SHIFT;
	pgoff_t end = (offset + len) >> PAGE_SHIFT;
	long err;

	if (!(mode & FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
		return -EOPNOTSUPP;
	if (!PAGE_ALIGNED(offset) || !PAGE_ALIGNED(len))
		return -EINVAL;

	if (mode & FALLOC_FL_PUNCH_HOLE)
		err = gmem_punch(GMEM_I(inode), start, end);
	else if (offset + len > i_size_read(inode))
		err = -EINVAL;
	else
		err = gmem_allocate(GMEM_I(inode), start, end);

	if (!err)
		file_modified(file);
	return err;
}
EXPORT_SYMBOL_FOR_MODULES(gmem_fallocate, "kvm");

/* What publishing one of them has paid for. */
#define GMEM_AROUND	GMEM_VMEMMAP_PAGES

/*
 * Map the shared neighbours of a page that was just mapped, as far as that
 * allocates nothing: present, under the same vmemmap page and page table.
 */
static void gmem_fault_around(struct gmem_inode *gi, struct vm_fault *vmf,
			      const struct gmem_run *run)
{
	struct page *pages[GMEM_AROUND] = { };
	struct vm_area_struct *vma = vmf->vma;
	pgoff_t delta = (vmf->address & ~PMD_MASK) >> PAGE_SHIFT;
	pgoff_t first = vmf->pgoff - min(delta, vmf->pgoff - vma->vm_pgoff);
	pgoff_t end = min(vmf->pgoff - delta + PTRS_PER_PTE,
			  vma->vm_pgoff + vma_pages(vma));
	struct vm_fault around = { .vma = vma, .address = vmf->address };
	unsigned long address, i, nr, mapped = 0;
	struct gmem_backing b;
	pgoff_t index;
	pte_t *pte;

	first = max3(first, run->start, round_down(vmf->pgoff, GMEM_AROUND));
	end = min3(end, run->end, round_down(vmf->pgoff, GMEM_AROUND) + GMEM_AROUND);
	if (end - first == 1)
		return;

	for (index = first; gmem_next_present(gi, &index, end, &b, &nr); index += nr) {
		if ((nr == 1 && gmem_is_poisoned(&b)) || gmem_publish(gi, index, &b, nr))
			continue;
		for (i = 0; i < nr; i++, b.page++) {
			if (gmem_is_live(b.page) && !gmem_is_poisoned(&b))
				pages[index - first + i] = b.page;
		}
	}

	address = vmf->address - ((vmf->pgoff - first) << PAGE_SHIFT);
	pte = pte_offset_map_lock(vma->vm_mm, vmf->pmd, address, &around.ptl);
	if (!pte)
		return;

	for (i = 0; i < end - first; i++, address += PAGE_SIZE) {
		around.pte = pte + i;
		if (!pages[i] || !pte_none(ptep_get(around.pte)))
			continue;
		get_page(pages[i]);
		set_pte_range(&around, page_folio(pages[i]), pages[i], 1, address);
		mapped++;
	}
	add_mm_counter(vma->vm_mm, MM_FILEPAGES, mapped);
	pte_unmap_unlock(pte, around.ptl);
}

static vm_fault_t gmem_fault_locked(struct gmem_inode *gi, struct vm_fault *vmf)
{
	struct gmem_backing b;
	struct gmem_run run;
	vm_fault_t ret;
	int err;

	if (vmf->pgoff >= i_size_read(&gi->inode) >> PAGE_SHIFT ||
	    gmem_attr_run(gi, vmf->pgoff, &run))
		return VM_FAULT_SIGBUS;

	err = gmem_populate(gi, vmf->pgoff, 0, &b);
	if (!err && gmem_is_poisoned(&b))
		return VM_FAULT_HWPOISON;
	if (!err && gmem_hides(gi))
		return vmf_insert_pfn(vmf->vma, vmf->address, page_to_pfn(b.page));
	if (!err)
		err = gmem_publish(gi, vmf->pgoff, &b, 1);

	switch (err) {
	case 0:
		ret = vmf_insert_page_mkwrite(vmf, b.page,
					      vmf->flags & FAULT_FLAG_WRITE);
		if (ret == VM_FAULT_NOPAGE)
			gmem_fault_around(gi, vmf, &run);
		return ret;
	case -EINTR:
		/* A fatal signal is taken before the access is tried again. */
		return VM_FAULT_NOPAGE;
	default:
		/*
		 * What lacks is room in a pool or under a cgroup's limit. For
		 * VM_FAULT_OOM the access would be repeated for ever: there is
		 * nobody whose end would help.
		 */
		return VM_FAULT_SIGBUS;
	}
}

static vm_fault_t gmem_fault(struct vm_fault *vmf)
{
	struct inode *inode = file_inode(vmf->vma->vm_file);
	vm_fault_t ret;

	/*
	 * The PTE is installed before the lock is dropped: whoever takes pages
	 * away never meets a fault that is still on its way.
	 */
	filemap_invalidate_lock_shared(inode->i_mapping);
	ret = gmem_fault_locked(GMEM_I(inode), vmf);
	filemap_invalidate_unlock_shared(inode->i_mapping);

	return ret;
}

#ifdef CONFIG_NUMA
static int gmem_set_policy(struct vm_area_struct *vma, struct mempolicy *mpol)
{
	struct inode *inode = file_inode(vma->vm_file);

	return mpol_set_shared_policy(&GMEM_I(inode)->policy, vma, mpol);
}

static struct mempolicy *gmem_get_policy(struct vm_area_struct *vma,
					 unsigned long addr, pgoff_t *ilx)
{
	struct inode *inode = file_inode(vma->vm_file);

	/*
	 * NULL if mbind() set none: the caller then falls back to the default,
	 * not to the policy of whoever asks.
	 */
	*ilx = inode->i_ino;
	return mpol_shared_policy_lookup(&GMEM_I(inode)->policy,
					 linear_page_index(vma, addr));
}
#endif

static const struct vm_operations_struct gmem_vm_ops = {
	.fault		= gmem_fault,
#ifdef CONFIG_NUMA
	.get_policy	= gmem_get_policy,
	.set_policy	= gmem_set_policy,
#endif
};

/**
 * gmem_mmap - map a file of gmem into user space
 * @file: file of gmem
 * @vma: mapping to set up
 *
 * The mapping is one that does not merge, does not grow, and that neither
 * userfaultfd nor guard regions can be set up in. mlock() fills it and marks
 * nothing: the memory is never reclaimed anyway.
 *
 * With %GMEM_NO_DIRECT_MAP page frames are mapped, not pages: nobody gets a
 * reference, since whoever has one may use the direct map.
 *
 * Context: mmap_lock held for writing.
 * Return: 0; -ENODEV if the file was not created for it; -EINVAL unless the
 * mapping is shared.
 */
int gmem_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (!gmem_can_mmap(file_inode(file)))
		return -ENODEV;
	if ((vma->vm_flags & (VM_SHARED | VM_MAYSHARE)) != (VM_SHARED | VM_MAYSHARE))
		return -EINVAL;

	/*
	 * For the rest of mm, memory like a device's. Nobody leaves markers in
	 * its page tables, which a fault on memory that came back would find
	 * (userfaultfd), and to lock it takes no references, which a batch keeps
	 * for a while.
	 */
	vm_flags_set(vma, VM_DONTEXPAND);
	if (gmem_hides(GMEM_I(file_inode(file))))
		vm_flags_set(vma, VM_PFNMAP | VM_DONTDUMP);
	vma->vm_ops = &gmem_vm_ops;
	return 0;
}
EXPORT_SYMBOL_FOR_MODULES(gmem_mmap, "kvm");

/**
 * gmem_show_fdinfo - what /proc/PID/fdinfo says about a file of gmem
 * @m: output
 * @file: file of gmem
 * @nr_bindings: ranges that the consumer has bound
 *
 * Memory in bytes. What struct gmem_usage has is of one moment; takes no lock
 * that anybody waits for. Nodes without memory of the file are left out.
 */
void gmem_show_fdinfo(struct seq_file *m, struct file *file,
		      unsigned long nr_bindings)
{
	struct gmem_inode *gi = GMEM_I(file_inode(file));
	loff_t size = i_size_read(&gi->inode);
	struct gmem_usage u;
	long pages;
	int node;

	gmem_read_usage(gi, &u);

	seq_printf(m, "gmem-size:\t%lld\n", size);
	seq_printf(m, "gmem-flags:\t%#llx\n", gi->abi_flags);
	seq_printf(m, "gmem-allocated:\t%lu\n", u.held);
	seq_printf(m, "gmem-private:\t%lu\n", u.held - u.shared);
	seq_printf(m, "gmem-shared:\t%lu\n", u.shared);
	seq_printf(m, "gmem-live:\t%lu\n",
		   atomic_long_read(&gi->stat[GMEM_LIVE]) << PAGE_SHIFT);
	seq_printf(m, "gmem-blocks-4k:\t%lu\n", u.blocks[GMEM_BLOCKS_4K]);
	seq_printf(m, "gmem-blocks-2m:\t%lu\n", u.blocks[GMEM_BLOCKS_2M]);
	seq_printf(m, "gmem-blocks-1g:\t%lu\n", u.blocks[GMEM_BLOCKS_1G]);
	seq_printf(m, "gmem-reserved:\t%lld\n",
		   gi->source->fallback ? 0 : size - (loff_t)u.held);
	seq_printf(m, "gmem-conversions:\t%lu\n", u.conversions);
	seq_printf(m, "gmem-eagain:\t%ld\n", atomic_long_read(&gi->eagain));
	seq_printf(m, "gmem-vmemmap:\t%lu\n",
		   atomic_long_read(&gi->stat[GMEM_VMEMMAP]) << PAGE_SHIFT);
	seq_printf(m, "gmem-bindings:\t%lu\n", nr_bindings);
	seq_printf(m, "gmem-poisoned:\t%lu\n",
		   atomic_long_read(&gi->stat[GMEM_POISONED]) << PAGE_SHIFT);
	/* A line for each node of a big machine would be most of the text. */
	for_each_online_node(node) {
		pages = atomic_long_read(&gi->on_node[node]);
		if (pages)
			seq_printf(m, "gmem-node%d:\t%ld\n", node, pages << PAGE_SHIFT);
	}
}
EXPORT_SYMBOL_FOR_MODULES(gmem_show_fdinfo, "kvm");

static int gmem_setattr(struct mnt_idmap *idmap, struct dentry *dentry,
			struct iattr *attr)
{
	/* Size and owner are fixed for the life of the file. */
	return -EINVAL;
}

static int gmem_getattr(struct mnt_idmap *idmap, const struct path *path,
			struct kstat *stat, u32 request_mask,
			unsigned int query_flags)
{
	struct inode *inode = d_inode(path->dentry);

	generic_fillattr(idmap, request_mask, inode, stat);
	stat->blksize = PAGE_SIZE << GMEM_I(inode)->order;
	return 0;
}

const struct inode_operations gmem_iops = {
	.setattr	= gmem_setattr,
	.getattr	= gmem_getattr,
};

const struct address_space_operations gmem_aops = {
	.dirty_folio	= noop_dirty_folio,
};
