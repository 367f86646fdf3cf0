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

/* Where the list goes on: with blocks, or with pages of inodes behind them. */
struct gmem_place {
	unsigned long pfn;	/* ULONG_MAX: no more blocks */
	unsigned long id;	/* ULONG_MAX: no more inodes */
	pgoff_t index;
};

/**
 * struct gmem_list - a reader of the list of blocks
 * @here: what is shown, once more if it did not fit
 * @next: what comes behind it
 */
struct gmem_list {
	struct gmem_place here;
	struct gmem_place next;
};

static void gmem_show_page(struct gmem_inode *gi, pgoff_t index,
			   struct page *page, void *arg)
{
	unsigned int refs = page_ref_count(page);

	seq_printf(arg, "%llu %lu 0 %lu dissolved %u %u\n", gi->inode.i_ino,
		   index, page_to_pfn(page), refs ? 1 : 0, refs);
}

static void gmem_show_pages(struct seq_file *m, struct gmem_list *list)
{
	struct gmem_inode *gi;
	pgoff_t index = 0;

	list->next.id = ULONG_MAX;
	rcu_read_lock();
	gi = gmem_next_inode(list->here.id);
	if (gi) {
		if (gi->id == list->here.id)
			index = list->here.index;
		list->next.index = gmem_walk_pages(gi, index, gmem_show_page, m);
		list->next.id = gi->id + !list->next.index;
	}
	rcu_read_unlock();
}

/* Nothing of what does not belong to the block any more. */
static unsigned long gmem_chunk_refs(const struct gmem_block *block, unsigned long pfn)
{
	unsigned long i, refs = 0;

	rcu_read_lock();
	if (gmem_find_block(pfn) == block)
		for (i = 0; i < GMEM_CHUNK_PAGES; i++)
			refs += page_ref_count(pfn_to_page(pfn + i));
	rcu_read_unlock();
	return refs;
}

/* The block may go meanwhile: a gigabyte has too many pages for one grace period. */
static void gmem_show_block(struct seq_file *m, struct gmem_list *list)
{
	unsigned long pfn, refs = 0;
	struct gmem_block *found, block;
	u64 ino;

	rcu_read_lock();
	found = gmem_next_block(list->here.pfn);
	if (found) {
		block = *found;
		ino = gmem_ino(READ_ONCE(found->gi));
	}
	rcu_read_unlock();

	list->next.pfn = ULONG_MAX;
	if (!found)
		return;
	list->next.pfn = block.pfn + gmem_block_pages(&block);
	for (pfn = block.pfn; pfn < list->next.pfn; pfn += GMEM_CHUNK_PAGES) {
		refs += gmem_chunk_refs(found, pfn);
		cond_resched();
	}
	seq_printf(m, "%llu %lu %u %lu %s %u %lu\n", ino, block.index, block.order, block.pfn,
		   block.state == GMEM_INTACT ? "intact" : "dissolved", block.nr_live, refs);
}

static void *gmem_blocks_start(struct seq_file *m, loff_t *pos)
{
	struct gmem_list *list = m->private;

	if (!*pos)
		memset(list, 0, sizeof(*list));
	return list->here.id == ULONG_MAX ? NULL : list;
}

static void *gmem_blocks_next(struct seq_file *m, void *v, loff_t *pos)
{
	struct gmem_list *list = v;

	++*pos;
	list->here = list->next;
	cond_resched();
	return list->here.id == ULONG_MAX ? NULL : list;
}

static void gmem_blocks_stop(struct seq_file *m, void *v)
{
}

/* ino index order pfn state live-pages references, of each block */
static int gmem_blocks_show(struct seq_file *m, void *v)
{
	struct gmem_list *list = v;

	list->next = list->here;
	if (list->here.pfn != ULONG_MAX)
		gmem_show_block(m, list);
	else
		gmem_show_pages(m, list);
	return 0;
}

static const struct seq_operations gmem_blocks_ops = {
	.start	= gmem_blocks_start,
	.next	= gmem_blocks_next,
	.stop	= gmem_blocks_stop,
	.show	= gmem_blocks_show,
};

static int gmem_blocks_open(struct inode *inode, struct file *file)
{
	return seq_open_private(file, &gmem_blocks_ops, sizeof(struct gmem_list));
}

static const struct file_operations gmem_blocks_fops = {
	.owner		= THIS_MODULE,
	.open		= gmem_blocks_open,
	.read		= seq_read,
	.llseek		= seq_lseek,
	.release	= seq_release_private,
};

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
