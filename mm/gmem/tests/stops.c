// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: places where a test stops a call and lets it go on
 *
 * Some mistakes show only if one call is late at one place, such as a fault
 * that has its page frame but not yet the MMU lock. For each such place there
 * is a file in debugfs:
 *
 *	open	start to watch the place; one at a time
 *	write	"arm": the next call stops there; "go": and goes on
 *	read	how many calls have begun, and 1 if one is stopped, else 0
 *	close	nobody stops any more
 *
 * A kprobe diverts the function to one of ours that calls it and waits. It is
 * there only as long as the file is open, and production code knows nothing of
 * it.
 */
#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/init.h>
#include <linux/kprobes.h>
#include <linux/kvm_host.h>
#include <linux/sched.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

#include "../internal.h"

/**
 * struct gmem_stop - one place
 * @name: of its file
 * @symbol: function that is diverted
 * @divert: to this one, of the same type
 * @kp: there as long as the file is open
 * @open: bit 0: somebody has the file open
 * @armed: the next call stops
 * @task: whose call was diverted; its next call is that of @divert
 * @stopped: @task waits for @go
 * @go: completed by "go" and by the last close
 * @gone: woken when @task becomes NULL
 * @calls: calls of the function since the file was opened
 */
struct gmem_stop {
	const char *name;
	const char *symbol;
	void *divert;
	struct kprobe kp;
	unsigned long open;
	atomic_t armed;
	struct task_struct *task;
	bool stopped;
	struct completion go;
	wait_queue_head_t gone;
	atomic_t calls;
};

enum {
	GMEM_STOP_PFN,
	GMEM_STOP_COMMIT,
	GMEM_NR_STOPS,
};

static struct gmem_stop gmem_stops[GMEM_NR_STOPS];

static void gmem_stop_wait(struct gmem_stop *s)
{
	WRITE_ONCE(s->stopped, true);
	/* Killable, so that a test that is given up ends. */
	wait_for_completion_killable(&s->go);
	WRITE_ONCE(s->stopped, false);
}

static void gmem_stop_done(struct gmem_stop *s)
{
	WRITE_ONCE(s->task, NULL);
	wake_up_all(&s->gone);
}

/* A fault has the page frame and the order, and KVM not yet its MMU lock. */
static int gmem_stop_get_pfn(struct kvm *kvm, struct kvm_memory_slot *slot,
			     gfn_t gfn, kvm_pfn_t *pfn, struct page **page,
			     int *max_order)
{
	struct gmem_stop *s = &gmem_stops[GMEM_STOP_PFN];
	int r;

	r = kvm_gmem_get_pfn(kvm, slot, gfn, pfn, page, max_order);
	gmem_stop_wait(s);
	gmem_stop_done(s);
	return r;
}

/* The guest has lost the range, and its state is still the old one. */
static void gmem_stop_attr_commit(struct gmem_inode *gi,
				  struct gmem_attr_change *change)
{
	struct gmem_stop *s = &gmem_stops[GMEM_STOP_COMMIT];

	gmem_stop_wait(s);
	gmem_attr_commit(gi, change);
	gmem_stop_done(s);
}

static struct gmem_stop gmem_stops[GMEM_NR_STOPS] = {
	[GMEM_STOP_PFN] = {
		.name	= "pfn",
		.symbol	= "kvm_gmem_get_pfn",
		.divert	= gmem_stop_get_pfn,
	},
	[GMEM_STOP_COMMIT] = {
		.name	= "commit",
		.symbol	= "gmem_attr_commit",
		.divert	= gmem_stop_attr_commit,
	},
};

static int gmem_stop_pre(struct kprobe *kp, struct pt_regs *regs)
{
	struct gmem_stop *s = container_of(kp, struct gmem_stop, kp);

	/* Called by what it was diverted to. */
	if (READ_ONCE(s->task) == current)
		return 0;

	atomic_inc(&s->calls);
	if (READ_ONCE(s->task) || !atomic_xchg(&s->armed, 0))
		return 0;

	WRITE_ONCE(s->task, current);
	instruction_pointer_set(regs, (unsigned long)s->divert);
	return 1;
}
NOKPROBE_SYMBOL(gmem_stop_pre);

/* A probe with a post handler is not turned into a jump, which cannot divert. */
static void gmem_stop_post(struct kprobe *kp, struct pt_regs *regs,
			   unsigned long flags)
{
}
NOKPROBE_SYMBOL(gmem_stop_post);

static int gmem_stop_open(struct inode *inode, struct file *file)
{
	struct gmem_stop *s = inode->i_private;
	int err;

	if (test_and_set_bit(0, &s->open))
		return -EBUSY;

	atomic_set(&s->armed, 0);
	atomic_set(&s->calls, 0);
	reinit_completion(&s->go);
	s->kp = (struct kprobe) {
		.symbol_name	= s->symbol,
		.pre_handler	= gmem_stop_pre,
		.post_handler	= gmem_stop_post,
	};
	err = register_kprobe(&s->kp);
	if (err) {
		clear_bit(0, &s->open);
		return err;
	}

	file->private_data = s;
	return stream_open(inode, file);
}

static int gmem_stop_release(struct inode *inode, struct file *file)
{
	struct gmem_stop *s = file->private_data;

	atomic_set(&s->armed, 0);
	/* Waits for handlers that are running: nobody is diverted any more. */
	disable_kprobe(&s->kp);
	synchronize_rcu();
	complete_all(&s->go);
	wait_event(s->gone, !READ_ONCE(s->task));
	unregister_kprobe(&s->kp);
	clear_bit(0, &s->open);
	return 0;
}

static ssize_t gmem_stop_read(struct file *file, char __user *buf, size_t len,
			      loff_t *ppos)
{
	struct gmem_stop *s = file->private_data;
	loff_t start = 0;
	char text[32];
	int n;

	n = scnprintf(text, sizeof(text), "%d %d\n", atomic_read(&s->calls),
		      READ_ONCE(s->stopped));
	/* Each read is a new look, whatever the position. */
	return simple_read_from_buffer(buf, len, &start, text, n);
}

static ssize_t gmem_stop_write(struct file *file, const char __user *buf,
			       size_t len, loff_t *ppos)
{
	struct gmem_stop *s = file->private_data;
	char text[8] = { };

	if (len >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, buf, len))
		return -EFAULT;

	if (!strcmp(text, "arm")) {
		reinit_completion(&s->go);
		atomic_set(&s->armed, 1);
	} else if (!strcmp(text, "go")) {
		complete(&s->go);
	} else {
		return -EINVAL;
	}
	return len;
}

static const struct file_operations gmem_stop_fops = {
	.owner		= THIS_MODULE,
	.open		= gmem_stop_open,
	.release	= gmem_stop_release,
	.read		= gmem_stop_read,
	.write		= gmem_stop_write,
};

static int __init gmem_stops_init(void)
{
	struct dentry *dir = debugfs_create_dir("gmem-stops", NULL);
	int i;

	for (i = 0; i < GMEM_NR_STOPS; i++) {
		init_completion(&gmem_stops[i].go);
		init_waitqueue_head(&gmem_stops[i].gone);
		debugfs_create_file(gmem_stops[i].name, 0600, dir, &gmem_stops[i],
				    &gmem_stop_fops);
	}
	return 0;
}
late_initcall(gmem_stops_init);
