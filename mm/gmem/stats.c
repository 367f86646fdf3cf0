// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: counters of the machine
 */
#include <linux/debugfs.h>
#include <linux/kobject.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/sysfs.h>

#include "internal.h"

atomic_long_t gmem_stat[GMEM_NR_COUNTERS];

/**
 * gmem_blocks_counter - the counter of blocks of one order
 * @order: 0, PMD_ORDER or PUD_ORDER
 *
 * Return: one of GMEM_BLOCKS_*.
 */
enum gmem_counter gmem_blocks_counter(unsigned int order)
{
	if (!order)
		return GMEM_BLOCKS_4K;
	return order == PMD_ORDER ? GMEM_BLOCKS_2M : GMEM_BLOCKS_1G;
}

#define GMEM_STAT_ATTR(_name, _counter)						\
static ssize_t _name##_show(struct kobject *kobj, struct kobj_attribute *attr,	\
			    char *buf)						\
{										\
	return sysfs_emit(buf, "%ld\n", atomic_long_read(&gmem_stat[_counter]));	\
}										\
static struct kobj_attribute _name##_attr = __ATTR_RO(_name)

GMEM_STAT_ATTR(blocks_4k, GMEM_BLOCKS_4K);
GMEM_STAT_ATTR(blocks_2m, GMEM_BLOCKS_2M);
GMEM_STAT_ATTR(blocks_1g, GMEM_BLOCKS_1G);
GMEM_STAT_ATTR(live_pages, GMEM_LIVE);
GMEM_STAT_ATTR(vmemmap_pages, GMEM_VMEMMAP);
GMEM_STAT_ATTR(poisoned_pages, GMEM_POISONED);
GMEM_STAT_ATTR(orphan_blocks, GMEM_ORPHANS);
GMEM_STAT_ATTR(leaked_pages, GMEM_LEAKED);

static struct attribute *gmem_attrs[] = {
	&blocks_4k_attr.attr,
	&blocks_2m_attr.attr,
	&blocks_1g_attr.attr,
	&live_pages_attr.attr,
	&vmemmap_pages_attr.attr,
	&poisoned_pages_attr.attr,
	&orphan_blocks_attr.attr,
	&leaked_pages_attr.attr,
	NULL
};

static const struct attribute_group gmem_attr_group = {
	.name	= "gmem",
	.attrs	= gmem_attrs,
};

static void gmem_show_page(struct gmem_inode *gi, pgoff_t index,
			   struct page *page, void *arg)
{
	unsigned int refs = page_ref_count(page);

	seq_printf(arg, "%llu %lu 0 %lu dissolved %u %u\n", gi->inode.i_ino,
		   index, page_to_pfn(page), refs ? 1 : 0, refs);
}

static void gmem_show_pages(struct gmem_inode *gi, void *arg)
{
	gmem_walk_pages(gi, gmem_show_page, arg);
}

static void gmem_show_block(struct gmem_block *block, void *arg)
{
	struct gmem_inode *gi = READ_ONCE(block->gi);
	unsigned long i, refs = 0;
	struct seq_file *m = arg;

	for (i = 0; i < gmem_block_pages(block); i++)
		refs += page_ref_count(pfn_to_page(block->pfn + i));

	seq_printf(m, "%llu %lu %u %lu %s %u %lu\n", gi ? gi->inode.i_ino : 0,
		   block->index, block->order, block->pfn,
		   block->state == GMEM_INTACT ? "intact" : "dissolved",
		   block->nr_live, refs);
}

/* ino index order pfn state live-pages references, of each block */
static int gmem_blocks_show(struct seq_file *m, void *unused)
{
	gmem_walk_registered(gmem_show_block, m);
	gmem_walk_inodes(gmem_show_pages, m);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(gmem_blocks);

/**
 * gmem_stats_init - make the counters visible
 */
void __init gmem_stats_init(void)
{
	struct dentry *dir;

	if (sysfs_create_group(mm_kobj, &gmem_attr_group))
		pr_warn("gmem: no counters in sysfs\n");

	dir = debugfs_create_dir("gmem", NULL);
	debugfs_create_file("blocks", 0400, dir, NULL, &gmem_blocks_fops);
}
