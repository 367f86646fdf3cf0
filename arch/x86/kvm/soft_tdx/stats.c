// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the module counts, in debugfs:
 *
 *   calls	a line for each leaf and level: how often it was done, has to be
 *		tried again, failed. Accepts of guests are among them.
 *   checks	how often the host did what it must not do
 *   tds	a line for each TD: state, VPs inside, epoch, 4 KiB pages by state of
 *		the entry that maps them, EPT violations, and pages by level as the
 *		PAMT has it
 *
 * All counts but those of a TD are since kvm-amd was loaded.
 */
#include <linux/debugfs.h>
#include <linux/printk.h>
#include <linux/seq_file.h>

#include "internal.h"

#define NR_LEVELS	4
#define MAX_TDS		SOFT_TDX_HKIDS

enum outcome { DONE, AGAIN, FAILED, NR_OUTCOMES };

static const char * const level_names[NR_LEVELS] = { "4K", "2M", "1G", "512G" };

static const char * const check_names[NR_CHECKS] = {
	[CHECK_TRACK_MISSING]	= "track_missing",
	[CHECK_BLOCK_MISSING]	= "block_missing",
	[CHECK_STALE_TLB]	= "stale_tlb",
	[CHECK_DOUBLE_MAP]	= "double_map",
	[CHECK_FOREIGN_PAGE]	= "foreign_page",
	[CHECK_STILL_MAPPED]	= "still_mapped",
	[CHECK_PROMOTION]	= "promotion",
	[CHECK_PAGE_REFERENCED]	= "page_referenced",
	[CHECK_BAD_OPERAND]	= "bad_operand",
	[CHECK_LEAK]		= "leak",
	[CHECK_HOST_ACCESS]	= "host_access",
	[CHECK_RULES + TDX_RULE_ZAP_EXACT]	= "zap_inexact",
	[CHECK_RULES + TDX_RULE_SPLIT_LOCK]	= "split_shared",
	[CHECK_RULES + TDX_RULE_SPLIT_WINDOW]	= "split_open",
};

static atomic_long_t calls[NR_LEAVES][NR_LEVELS][NR_OUTCOMES];
static atomic_long_t accepts[NR_LEVELS][NR_OUTCOMES];
static atomic_long_t checks[NR_CHECKS];

static enum outcome outcome(u64 ret)
{
	if (!(ret & TDX_ERROR))
		return DONE;
	return ret & TDX_NON_RECOVERABLE ? FAILED : AGAIN;
}

void stats_leaf(u64 leaf, int level, u64 ret)
{
	atomic_long_inc(&calls[leaf][min(level, NR_LEVELS - 1)][outcome(ret)]);
}

unsigned long stats_leaf_done(u64 leaf, int level)
{
	return atomic_long_read(&calls[leaf][level][DONE]);
}

void stats_accept(int level, u64 ret)
{
	atomic_long_inc(&accepts[level][outcome(ret)]);
}

unsigned long stats_check(enum soft_check check)
{
	return atomic_long_read(&checks[check]);
}

/**
 * soft_check_failed - the host did what it must not do
 * @check: what that is
 * @gpa: where, if it is known
 * @what: entry, page or count, as the check has it
 */
void soft_check_failed(enum soft_check check, u64 gpa, u64 what)
{
	atomic_long_inc(&checks[check]);
	pr_warn_ratelimited("soft_tdx: %s: gpa %#llx, %#llx\n", check_names[check], gpa, what);
}

/* For struct tdx_seamcall_ops. */
void soft_rule_broken(enum tdx_rule rule, u64 gpa)
{
	soft_check_failed(CHECK_RULES + rule, gpa, 0);
}

static void show_calls(struct seq_file *m, const char *name, int level, atomic_long_t *nr)
{
	seq_printf(m, "%s %s %ld %ld %ld\n", name, level_names[level],
		   atomic_long_read(&nr[DONE]), atomic_long_read(&nr[AGAIN]),
		   atomic_long_read(&nr[FAILED]));
}

static int calls_show(struct seq_file *m, void *unused)
{
	int nr, level;

	for (nr = 0; nr < NR_LEAVES; nr++)
		for (level = soft_leaves[nr].min_level;
		     soft_leaves[nr].fn && level <= soft_leaves[nr].max_level; level++)
			show_calls(m, soft_leaves[nr].name, level, calls[nr][level]);
	show_calls(m, "TDG.MEM.PAGE.ACCEPT", LEVEL_4K, accepts[LEVEL_4K]);
	show_calls(m, "TDG.MEM.PAGE.ACCEPT", LEVEL_2M, accepts[LEVEL_2M]);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(calls);

static int checks_show(struct seq_file *m, void *unused)
{
	int i;

	for (i = 0; i < NR_CHECKS; i++)
		seq_printf(m, "%s %lu\n", check_names[i], stats_check(i));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(checks);

/* TDs go while their pages are counted; what there was is copied before. */
struct td_line {
	u32 pfn;
	u16 hkid;
	int life, op, nr_vps, nr_inside;
	u64 epoch;
	long nr_violations, nr_zero_step;
	long pages[NR_SEPT_STATES];
};

struct td_lines {
	unsigned int nr;
	struct td_line td[MAX_TDS];
};

static void copy_td(struct soft_td *td, void *arg)
{
	struct td_lines *lines = arg;
	struct td_line *line;
	int i;

	if (lines->nr == MAX_TDS)
		return;
	line = &lines->td[lines->nr++];
	*line = (struct td_line) {
		.pfn = td_pfn(td), .hkid = td->hkid, .life = td->life, .op = td->op,
		.nr_vps = td->nr_vps, .nr_inside = atomic_read(&td->nr_inside),
		.epoch = READ_ONCE(td->epoch),
		.nr_violations = atomic_long_read(&td->nr_violations),
		.nr_zero_step = atomic_long_read(&td->nr_zero_step),
	};
	for (i = 0; i < NR_SEPT_STATES; i++)
		line->pages[i] = atomic_long_read(&td->nr_pages[i]);
}

static void show_td(struct seq_file *m, const struct td_line *td)
{
	const long *pages = td->pages;

	seq_printf(m, "hkid %u life %d op %d vps %d inside %d epoch %llu", td->hkid,
		   td->life, td->op, td->nr_vps, td->nr_inside, td->epoch);
	seq_printf(m, " mapped %ld pending %ld blocked %ld pending_blocked %ld tables %ld",
		   pages[SEPT_MAPPED], pages[SEPT_PENDING], pages[SEPT_BLOCKED],
		   pages[SEPT_PENDING_BLOCKED], pages[SEPT_NL_MAPPED] + pages[SEPT_NL_BLOCKED]);
	seq_printf(m, " violations %ld zero_step %ld", td->nr_violations, td->nr_zero_step);
	seq_printf(m, " pamt_4k %lu pamt_2m %lu\n", pamt_count(td->pfn, LEVEL_4K),
		   pamt_count(td->pfn, LEVEL_2M));
}

static int tds_show(struct seq_file *m, void *unused)
{
	struct td_lines *lines __free(kfree) = kzalloc(sizeof(*lines), GFP_KERNEL);
	unsigned int i;

	if (!lines)
		return -ENOMEM;
	guard(mutex)(&soft_tdx_users_lock);
	soft_tdx_visit_tds(copy_td, lines);
	for (i = 0; i < lines->nr; i++)
		show_td(m, &lines->td[i]);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(tds);

static struct dentry *dir;

/**
 * soft_tdx_init - kvm-amd is loaded
 *
 * Makes the files in debugfs; the module itself is there from soft_tdx_get().
 */
void soft_tdx_init(void)
{
	dir = debugfs_create_dir("soft_tdx", NULL);
	debugfs_create_file("calls", 0400, dir, NULL, &calls_fops);
	debugfs_create_file("checks", 0400, dir, NULL, &checks_fops);
	debugfs_create_file("tds", 0400, dir, NULL, &tds_fops);
	inject_debugfs(dir);
}

/**
 * soft_tdx_exit - kvm-amd goes; all users of the module are gone
 */
void soft_tdx_exit(void)
{
	debugfs_remove(dir);
}
