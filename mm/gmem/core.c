// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: inodes, their views, and the registry of blocks
 */
#include <linux/init.h>
#include <linux/magic.h>
#include <linux/memcontrol.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/pseudo_fs.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "internal.h"

static struct vfsmount *gmem_mnt;
static struct kmem_cache *gmem_inode_cache;

/*
 * Anonymous inodes are not in their superblock's list. Lookups are lockless;
 * inodes are freed after a grace period.
 */
static DEFINE_XARRAY_ALLOC1(gmem_inodes);

/*
 * Blocks of PMD_ORDER and more by pfn >> PMD_ORDER, for those who start from a
 * pfn. Lookups are lockless; blocks are freed after a grace period.
 */
static DEFINE_XARRAY(gmem_registry);

static unsigned long gmem_registry_key(unsigned long pfn)
{
	return pfn >> PMD_ORDER;
}

/**
 * gmem_register_block - make a block known by its page frames
 * @block: block, not yet visible to anybody
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int gmem_register_block(struct gmem_block *block)
{
	unsigned long first = gmem_registry_key(block->pfn);
	unsigned long last = first + gmem_nr_chunks(block->order) - 1;

	return gmem_store_range(&gmem_registry, first, last, block, GFP_KERNEL);
}

/**
 * gmem_unregister_block - forget the page frames of a block
 * @block: block, freed by the caller after a grace period
 */
void gmem_unregister_block(struct gmem_block *block)
{
	struct gmem_block *old;

	old = xa_erase(&gmem_registry, gmem_registry_key(block->pfn));
	VM_WARN_ON_ONCE(old != block);
}

/**
 * gmem_find_block - the block that a page frame belongs to
 * @pfn: any page frame
 *
 * Context: rcu_read_lock() held as long as the result is used.
 * Return: the block, or NULL if none of PMD_ORDER or more has it.
 */
struct gmem_block *gmem_find_block(unsigned long pfn)
{
	RCU_LOCKDEP_WARN(!rcu_read_lock_held(), "block without RCU protection");

	return xa_load(&gmem_registry, gmem_registry_key(pfn));
}

/**
 * gmem_next_block - the first block of those at a page frame and behind it
 * @pfn: where to begin
 *
 * Context: rcu_read_lock() held as long as the result is used.
 * Return: the block, or NULL if there is no more.
 */
struct gmem_block *gmem_next_block(unsigned long pfn)
{
	unsigned long key = gmem_registry_key(pfn);

	return xa_find(&gmem_registry, &key, ULONG_MAX, XA_PRESENT);
}

/**
 * gmem_next_inode - the first inode of those with an id and with higher ones
 * @id: where to begin
 *
 * Context: rcu_read_lock() held as long as the result is used.
 * Return: the inode, or NULL if there is no more.
 */
struct gmem_inode *gmem_next_inode(unsigned long id)
{
	return xa_find(&gmem_inodes, &id, ULONG_MAX, XA_PRESENT);
}

/**
 * gmem_is_private - may only the guest touch this index?
 * @inode: inode of gmem
 * @index: in pages
 *
 * Context: any; takes no lock. The answer is stable under invalidate_lock only.
 * Return: true if it is private.
 */
bool gmem_is_private(struct inode *inode, pgoff_t index)
{
	struct gmem_run run;

	return gmem_attr_run(GMEM_I(inode), index, &run);
}
EXPORT_SYMBOL_FOR_MODULES(gmem_is_private, "kvm");

/**
 * gmem_can_mmap - was the file created for host mappings?
 * @inode: inode of gmem
 *
 * Return: true if gmem_mmap() accepts it.
 */
bool gmem_can_mmap(struct inode *inode)
{
	return GMEM_I(inode)->flags & GMEM_MMAP;
}
EXPORT_SYMBOL_FOR_MODULES(gmem_can_mmap, "kvm");

/**
 * gmem_tracks - can pages of this file change between private and shared?
 * @inode: inode of gmem
 */
bool gmem_tracks(struct inode *inode)
{
	return GMEM_I(inode)->flags & GMEM_TRACK;
}
EXPORT_SYMBOL_FOR_MODULES(gmem_tracks, "kvm");

/**
 * gmem_get_pfn_locked - gmem_get_pfn() for holders of invalidate_lock
 * @inode: inode of gmem
 * @view: the consumer's view, for make_private(); NULL if the caller is about
 *	to do that itself
 * @index: in pages
 * @out: result
 *
 * Context: process context, invalidate_lock held in either mode.
 * Return: as gmem_get_pfn().
 */
int gmem_get_pfn_locked(struct inode *inode, struct gmem_view *view,
			pgoff_t index, struct gmem_pfn *out)
{
	struct gmem_inode *gi = GMEM_I(inode);
	struct gmem_backing b;
	struct gmem_run run;
	bool private;
	int err;

	gmem_assert_held(gi);

	if (index >= i_size_read(inode) >> PAGE_SHIFT)
		return -EFAULT;

	err = gmem_populate(gi, index, 0, &b);
	if (err)
		return err;

	if (gmem_is_poisoned(&b))
		return -EHWPOISON;

	private = gmem_attr_run(gi, index, &run);

	/* What no host mapping has touched is referenced by nobody. */
	VM_WARN_ON_ONCE(page_ref_count(b.page) && PageGmem(b.page));

	if (view && private && gi->owner->make_private) {
		err = gi->owner->make_private(view, index, page_to_pfn(b.page));
		if (err)
			return err;
	}

	out->pfn = page_to_pfn(b.page);
	out->private = private;
	out->order = gmem_run_order(&run, index, gmem_clean_order(&b, index));
	return 0;
}
EXPORT_SYMBOL_FOR_MODULES(gmem_get_pfn_locked, "kvm");

/**
 * gmem_get_pfn - get the page frame behind an index, allocating it if need be
 * @inode: inode of gmem
 * @view: the consumer's view
 * @index: in pages
 * @out: result, unchanged on error
 *
 * Takes no reference for the caller. The result is only good if the caller
 * takes its MMU lock afterwards and finds that its invalidation sequence, as
 * read before the call, has not moved.
 *
 * Context: process context, may sleep; takes invalidate_lock (shared).
 * Return: 0; -EFAULT beyond the end of the file; -ENOMEM; -EHWPOISON; -EINTR
 * on a fatal signal; or what make_private() returned. Never -EAGAIN or -EIO,
 * which mean other things to KVM.
 */
int gmem_get_pfn(struct inode *inode, struct gmem_view *view, pgoff_t index,
		 struct gmem_pfn *out)
{
	int err;

	filemap_invalidate_lock_shared(inode->i_mapping);
	err = gmem_get_pfn_locked(inode, view, index, out);
	filemap_invalidate_unlock_shared(inode->i_mapping);

	return err;
}
EXPORT_SYMBOL_FOR_MODULES(gmem_get_pfn, "kvm");

/**
 * gmem_peek_pfn - the page frame behind an index, if there is one already
 * @inode: inode of gmem
 * @index: in pages, within the file
 * @pfn: result
 * @order: result: the memory around it that is there as well, and in one piece
 *
 * For a consumer that wants to touch the memory itself and may not sleep. No
 * reference is taken and no lock: the consumer holds the lock that its prepare()
 * takes, has seen under it that no window is open over the index, and touches
 * the memory before it lets go. Whoever takes the memory away, or makes it
 * private or shared, has to open that window first.
 *
 * Context: any.
 * Return: 0; -ENOENT if there is no memory yet; -EHWPOISON.
 */
int gmem_peek_pfn(struct inode *inode, pgoff_t index, unsigned long *pfn,
		  unsigned int *order)
{
	struct gmem_backing b;

	if (!gmem_peek(GMEM_I(inode), index, &b))
		return -ENOENT;
	if (gmem_is_poisoned(&b))
		return -EHWPOISON;

	*pfn = page_to_pfn(b.page);
	*order = gmem_clean_order(&b, index);
	return 0;
}
EXPORT_SYMBOL_FOR_MODULES(gmem_peek_pfn, "kvm");

/**
 * gmem_add_view - let one more consumer use an inode
 * @inode: inode of gmem
 * @view: with its operations set
 *
 * Context: process context; takes invalidate_lock.
 */
void gmem_add_view(struct inode *inode, struct gmem_view *view)
{
	filemap_invalidate_lock(inode->i_mapping);
	list_add_tail(&view->entry, &GMEM_I(inode)->views);
	filemap_invalidate_unlock(inode->i_mapping);
}
EXPORT_SYMBOL_FOR_MODULES(gmem_add_view, "kvm");

/**
 * gmem_release_view - a consumer lets go
 * @inode: inode of gmem
 * @view: view that has unmapped everything and makes no more calls
 *
 * The memory stays with the inode, but once nobody uses it the owner's state
 * is undone: make_shared() needs the module that eviction may outlive.
 *
 * Context: process context, invalidate_lock held exclusively.
 */
void gmem_release_view(struct inode *inode, struct gmem_view *view)
{
	struct gmem_inode *gi = GMEM_I(inode);

	gmem_assert_held_write(gi);

	list_del(&view->entry);
	if (list_empty(&gi->views))
		gmem_make_shared(gi, 0, i_size_read(inode) >> PAGE_SHIFT);
}
EXPORT_SYMBOL_FOR_MODULES(gmem_release_view, "kvm");

static const struct gmem_source *gmem_source_for(unsigned int flags)
{
	if (IS_ENABLED(CONFIG_HUGETLB_PAGE) && (flags & GMEM_HUGETLB))
		return &gmem_source_hugetlb;
	return &gmem_source_buddy;
}

/**
 * gmem_supported_orders - block orders that a file could have
 * @flags: GMEM_*, as in struct gmem_create
 *
 * Return: mask with BIT(order) set for each; 0 if the flags make no sense.
 */
unsigned int gmem_supported_orders(unsigned int flags)
{
	bool hugetlb = flags & GMEM_HUGETLB, hugepage = flags & GMEM_HUGEPAGE;
	unsigned int orders = 0;

	if (hugetlb && hugepage)
		return 0;
	if (hugepage)
		return BIT(PMD_ORDER) |
		       (IS_ENABLED(CONFIG_CONTIG_ALLOC) ? BIT(PUD_ORDER) : 0);
	if (!hugetlb)
		return BIT(0);

	if (gmem_hugetlb_supports(PMD_ORDER, flags))
		orders |= BIT(PMD_ORDER);
	if (gmem_hugetlb_supports(PUD_ORDER, flags))
		orders |= BIT(PUD_ORDER);
	return orders;
}
EXPORT_SYMBOL_FOR_MODULES(gmem_supported_orders, "kvm");

/* Undone by gmem_evict_inode(), whichever part was done. */
static int gmem_setup_inode(struct inode *inode, const struct gmem_create *create)
{
	struct gmem_inode *gi = GMEM_I(inode);
	int err;

	inode->i_op = &gmem_iops;
	inode->i_mapping->a_ops = &gmem_aops;
	inode->i_mode |= S_IFREG;
	inode->i_size = create->size;
	mapping_set_gfp_mask(inode->i_mapping, GFP_HIGHUSER);
	mapping_set_inaccessible(inode->i_mapping);

	if (create->flags & GMEM_NO_DIRECT_MAP) {
		err = gmem_hide_begin();
		if (err)
			return err;
	}
	gi->flags = create->flags;
	gi->abi_flags = create->abi_flags;
	gi->order = create->order;
	gi->objcg = get_obj_cgroup_from_current();

	err = gmem_attr_setup(gi);
	if (err)
		return err;

	if (!try_module_get(create->owner->module))
		return -ENOENT;
	gi->owner = create->owner;

	err = xa_alloc(&gmem_inodes, &gi->id, gi, xa_limit_32b, GFP_KERNEL);
	if (err)
		return err;

	err = gmem_source_for(create->flags)->open(gi);
	if (err)
		return err;
	gi->source = gmem_source_for(create->flags);
	gmem_count(NULL, GMEM_FILES, 1);
	return 0;
}

/**
 * gmem_create_file - a new inode and the first file of it
 * @create: what it is to be; flags, order and size checked by the caller
 *
 * Context: process context, may sleep.
 * Return: the file, or an ERR_PTR(): -EINVAL if this source or order does not
 * exist, -ENOMEM if memory or a reservation cannot be had, -ENOENT if the
 * consumer's module is going away, -EBUSY if memory is to leave the direct map
 * while the machine hibernates.
 */
struct file *gmem_create_file(const struct gmem_create *create)
{
	struct inode *inode;
	struct file *file;
	int err;

	if (!(gmem_supported_orders(create->flags) & BIT(create->order)))
		return ERR_PTR(-EINVAL);

	if (!fops_get(create->fops))
		return ERR_PTR(-ENOENT);

	inode = anon_inode_make_secure_inode(gmem_mnt->mnt_sb, create->name, NULL);
	if (IS_ERR(inode)) {
		err = PTR_ERR(inode);
		goto err_fops;
	}

	err = gmem_setup_inode(inode, create);
	if (err)
		goto err_inode;

	file = alloc_file_pseudo(inode, gmem_mnt, create->name, O_RDWR,
				 create->fops);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto err_inode;
	}

	file->f_flags |= O_LARGEFILE;
	file->private_data = create->view;
	gmem_add_view(inode, create->view);

	return file;

err_inode:
	iput(inode);
err_fops:
	fops_put(create->fops);
	return ERR_PTR(err);
}
EXPORT_SYMBOL_FOR_MODULES(gmem_create_file, "kvm");

static struct inode *gmem_alloc_inode(struct super_block *sb)
{
	struct gmem_inode *gi;
	int i;

	gi = alloc_inode_sb(sb, gmem_inode_cache, GFP_KERNEL);
	if (!gi)
		return NULL;

	gi->flags = 0;
	gi->order = 0;
	gi->source = NULL;
	gi->reservation = NULL;
	gi->owner = NULL;
	gi->objcg = NULL;
	gi->contig_retry = jiffies;
	xa_init(&gi->blocks);
	gi->id = 0;
	INIT_LIST_HEAD(&gi->views);
	mt_init_flags(&gi->attrs, MT_FLAGS_USE_RCU | MT_FLAGS_LOCK_EXTERN);
	mt_set_external_lock(&gi->attrs, &gi->inode.i_data.invalidate_lock);
	gi->nr_private = 0;
	gi->held_shared = 0;
	seqlock_init(&gi->usage);
	mpol_shared_policy_init(&gi->policy, NULL);
	for (i = 0; i < GMEM_NR_COUNTERS; i++)
		atomic_long_set(&gi->stat[i], 0);
	atomic_long_set(&gi->eagain, 0);
	atomic_long_set(&gi->conversions, 0);
	for (i = 0; i < nr_node_ids; i++)
		atomic_long_set(&gi->on_node[i], 0);

	return &gi->inode;
}

static void gmem_evict_inode(struct inode *inode)
{
	struct gmem_inode *gi = GMEM_I(inode);

	VM_WARN_ON_ONCE(!list_empty(&gi->views));
	VM_WARN_ON_ONCE(inode->i_data.nrpages);

	clear_inode(inode);

	if (gi->id)
		xa_erase(&gmem_inodes, gi->id);

	/* Nobody else is left; the lock is for those who assert it. */
	filemap_invalidate_lock(inode->i_mapping);
	if (gi->source)
		gmem_evict_blocks(gi);
	gmem_attr_destroy(gi);
	filemap_invalidate_unlock(inode->i_mapping);

	if (gmem_hides(gi))
		gmem_hide_end();
	if (gi->source) {
		gi->source->close(gi);
		gmem_count(NULL, GMEM_FILES, -1);
	}
	if (gi->owner)
		module_put(gi->owner->module);
	if (gi->objcg)
		obj_cgroup_put(gi->objcg);
}

static void gmem_destroy_inode(struct inode *inode)
{
	mpol_free_shared_policy(&GMEM_I(inode)->policy);
}

static void gmem_free_inode(struct inode *inode)
{
	kmem_cache_free(gmem_inode_cache, GMEM_I(inode));
}

static const struct super_operations gmem_super_ops = {
	.statfs		= simple_statfs,
	.alloc_inode	= gmem_alloc_inode,
	.evict_inode	= gmem_evict_inode,
	.destroy_inode	= gmem_destroy_inode,
	.free_inode	= gmem_free_inode,
	.drop_inode	= inode_just_drop,
};

static int gmem_init_fs_context(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, GUEST_MEMFD_MAGIC);

	if (!ctx)
		return -ENOMEM;

	ctx->ops = &gmem_super_ops;
	return 0;
}

static struct file_system_type gmem_fs_type = {
	.name			= "guest_memfd",
	.init_fs_context	= gmem_init_fs_context,
	.kill_sb		= kill_anon_super,
};

static void gmem_init_inode_once(void *object)
{
	struct gmem_inode *gi = object;

	inode_init_once(&gi->inode);
}

static int __init gmem_init(void)
{
	gmem_inode_cache = kmem_cache_create("gmem_inode_cache",
					     struct_size_t(struct gmem_inode, on_node, nr_node_ids),
					     0,
					     SLAB_ACCOUNT | SLAB_PANIC,
					     gmem_init_inode_once);
	gmem_mnt = kern_mount(&gmem_fs_type);
	if (IS_ERR(gmem_mnt))
		panic("gmem: no mount: %pe\n", gmem_mnt);

	/* The host does not execute what a guest wrote. */
	gmem_mnt->mnt_flags |= MNT_NOEXEC;

	gmem_block_init();
	gmem_stats_init();
	return 0;
}
fs_initcall(gmem_init);
