// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults on demand, in debugfs: what the real module may answer at any time and
 * a test cannot wait for.
 *
 *   busy		"LEAF N": the Nth call of LEAF from now on finds the lock taken,
 *			if a VP is inside the TD then. Not if none is: the real
 *			module has nobody then who could have it.
 *   fail		"LEAF ERROR": the next call of LEAF returns ERROR
 *   demote_restart	so many TDH.MEM.PAGE.DEMOTE are interrupted
 *   track_skip		so many TDH.MEM.TRACK succeed and start no epoch
 *   injected		how many faults there were
 *
 * Leaves by name, as in "calls"; 0 takes a fault back.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "internal.h"

static atomic_t busy_in[NR_LEAVES];
static atomic64_t fail_with[NR_LEAVES];
static atomic_t demote_restart;
static atomic_t track_skip;
static atomic_t injected;
static bool track_skipped;

static bool take(atomic_t *left)
{
	if (atomic_dec_if_positive(left) < 0)
		return false;
	atomic_inc(&injected);
	return true;
}

static bool busy_now(struct soft_call *call)
{
	/* From 1 to 0 is the call that it is for. */
	if (atomic_dec_if_positive(&busy_in[call->nr]) != 0)
		return false;
	if (!call->td || !atomic_read(&call->td->nr_inside))
		return false;
	atomic_inc(&injected);
	return true;
}

/* What a call has to return before it does anything; TDX_SUCCESS: nothing. */
u64 inject_before(struct soft_call *call)
{
	u64 ret = TDX_SUCCESS;

	if (atomic64_read(&fail_with[call->nr]))
		ret = atomic64_xchg(&fail_with[call->nr], 0);
	if (ret) {
		atomic_inc(&injected);
		return ret;
	}
	return busy_now(call) ? operand(TDX_OPERAND_BUSY, call->leaf->busy) : TDX_SUCCESS;
}

bool inject_demote_restart(void)
{
	return take(&demote_restart);
}

bool inject_track_skip(void)
{
	bool skip = take(&track_skip);

	WRITE_ONCE(track_skipped, skip);
	return skip;
}

/* The last track did nothing: what is not tracked now is no fault of the host. */
bool inject_track_skipped(void)
{
	return READ_ONCE(track_skipped);
}

void inject_busy(u64 leaf, int nth)
{
	atomic_set(&busy_in[leaf], nth);
}

void inject_fail(u64 leaf, u64 error)
{
	atomic64_set(&fail_with[leaf], error);
}

void inject_restarts(int nr)
{
	atomic_set(&demote_restart, nr);
}

void inject_track_skips(int nr)
{
	atomic_set(&track_skip, nr);
}

int inject_count(void)
{
	return atomic_read(&injected);
}

static int leaf_by_name(const char *name)
{
	int nr;

	for (nr = 0; nr < NR_LEAVES; nr++)
		if (soft_leaves[nr].fn && !strcmp(soft_leaves[nr].name, name))
			return nr;
	return -EINVAL;
}

/* "LEAF VALUE" */
static int parse(const char __user *buf, size_t len, u64 *value)
{
	char line[64], *sep;
	int r;

	if (len >= sizeof(line))
		return -EINVAL;
	if (copy_from_user(line, buf, len))
		return -EFAULT;
	line[len] = '\0';
	sep = strchr(line, ' ');
	if (!sep)
		return -EINVAL;
	*sep = '\0';
	r = kstrtou64(strim(sep + 1), 0, value);
	return r ? r : leaf_by_name(line);
}

static ssize_t busy_write(struct file *file, const char __user *buf, size_t len, loff_t *ppos)
{
	u64 nth;
	int leaf = parse(buf, len, &nth);

	if (leaf < 0)
		return leaf;
	if (nth > INT_MAX)
		return -EINVAL;
	inject_busy(leaf, nth);
	return len;
}

static const struct file_operations busy_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = busy_write,
};

static ssize_t fail_write(struct file *file, const char __user *buf, size_t len, loff_t *ppos)
{
	u64 error;
	int leaf = parse(buf, len, &error);

	if (leaf < 0)
		return leaf;
	inject_fail(leaf, error);
	return len;
}

static const struct file_operations fail_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = fail_write,
};

void inject_debugfs(struct dentry *parent)
{
	struct dentry *dir = debugfs_create_dir("inject", parent);

	debugfs_create_file("busy", 0200, dir, NULL, &busy_fops);
	debugfs_create_file("fail", 0200, dir, NULL, &fail_fops);
	debugfs_create_atomic_t("demote_restart", 0600, dir, &demote_restart);
	debugfs_create_atomic_t("track_skip", 0600, dir, &track_skip);
	debugfs_create_atomic_t("injected", 0400, dir, &injected);
}
