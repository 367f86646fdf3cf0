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

#define CREATE_TRACE_POINTS
#include <trace/events/gmem.h>

atomic_long_t gmem_stat[GMEM_NR_COUNTERS];

/**
 * gmem_count_mixed - gmem_count_block() where pages of it may be shared
 * @gi: inode that tracks
 * @index: of the first page
 * @order: of the block
 * @nr: 1 or -1
 */
void gmem_count_mixed(struct gmem_inode *gi, pgoff_t index, unsigned int order, int nr)
{
	unsigned long shared = gmem_attr_nr_shared(gi, index, index + (1UL << order));

	write_seqlock(&gi->usage);
	gmem_count(gi, gmem_blocks_counter(order), nr);
	gi->held_shared += nr > 0 ? shared : -shared;
	write_sequnlock(&gi->usage);
}

/**
 * gmem_read_usage - what does a file hold?
 * @gi: inode
 * @u: result
 *
 * Context: any; nobody who changes any of it waits for the reader.
 */
void gmem_read_usage(struct gmem_inode *gi, struct gmem_usage *u)
{
	unsigned int seq, i;

	do {
		seq = read_seqbegin(&gi->usage);
		for (i = 0; i < ARRAY_SIZE(u->blocks); i++)
			u->blocks[i] = atomic_long_read(&gi->stat[i]);
		u->shared = READ_ONCE(gi->held_shared) << PAGE_SHIFT;
		u->conversions = atomic_long_read(&gi->conversions);
	} while (read_seqretry(&gi->usage, seq));

	u->held = (u->blocks[GMEM_BLOCKS_4K] << PAGE_SHIFT) +
		  (u->blocks[GMEM_BLOCKS_2M] << PMD_SHIFT) +
		  (u->blocks[GMEM_BLOCKS_1G] << PUD_SHIFT);
	if (!(gi->flags & GMEM_TRACK))
		u->shared = gi->flags & GMEM_INIT_SHARED ? u->held : 0;
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
GMEM_STAT_ATTR(files, GMEM_FILES);

static struct attribute *gmem_attrs[] = {
	&blocks_4k_attr.attr,
	&blocks_2m_attr.attr,
	&blocks_1g_attr.attr,
	&live_pages_attr.attr,
	&vmemmap_pages_attr.attr,
	&poisoned_pages_attr.attr,
	&orphan_blocks_attr.attr,
	&leaked_pages_attr.attr,
	&files_attr.attr,
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
