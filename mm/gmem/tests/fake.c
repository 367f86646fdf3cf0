// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem: KUnit, a consumer and a source that write down what they are asked
 */
#include <linux/spinlock.h>

#include "fixture.h"

/* Neither a source nor make_shared() is told on whose behalf it is called. */
struct gmem_test *gmem_test_current;

static void gmem_test_misuse(struct gmem_test *gt, const char *what)
{
	if (!gt->misuse)
		gt->misuse = what;
}

static void gmem_test_note(struct gmem_test *gt, char what,
			   const struct gmem_test_view *view)
{
	size_t len = strlen(gt->trace);

	if (view)
		scnprintf(gt->trace + len, sizeof(gt->trace) - len, "%s%c%zd",
			  len ? " " : "", what, view - gt->view);
	else
		scnprintf(gt->trace + len, sizeof(gt->trace) - len, "%s%c",
			  len ? " " : "", what);
}

static int gmem_test_prepare(struct gmem_view *view, const struct gmem_range *range)
{
	struct gmem_test_view *v = container_of(view, struct gmem_test_view, view);
	struct gmem_test *gt = gmem_test_current;

	gmem_assert_held_write(gt->gi);
	gmem_test_note(gt, 'p', v);
	v->range = *range;
	if (v->prepare_err)
		return v->prepare_err;

	v->windows++;
	return 0;
}

static void gmem_test_invalidate_begin(struct gmem_view *view,
				       const struct gmem_range *range)
{
	struct gmem_test_view *v = container_of(view, struct gmem_test_view, view);
	struct gmem_test *gt = gmem_test_current;

	gmem_assert_held_write(gt->gi);
	gmem_test_note(gt, 'b', v);
	if (v->windows != 1)
		gmem_test_misuse(gt, "invalidate_begin() without one window");
	if (memcmp(range, &v->range, sizeof(*range)))
		gmem_test_misuse(gt, "invalidate_begin() of another range");
}

static void gmem_test_invalidate_end(struct gmem_view *view,
				     const struct gmem_range *range)
{
	struct gmem_test_view *v = container_of(view, struct gmem_test_view, view);
	struct gmem_test *gt = gmem_test_current;

	gmem_assert_held_write(gt->gi);
	gmem_test_note(gt, 'e', v);
	if (v->windows-- != 1)
		gmem_test_misuse(gt, "invalidate_end() without one window");
	if (memcmp(range, &v->range, sizeof(*range)))
		gmem_test_misuse(gt, "invalidate_end() of another range");
}

const struct gmem_view_ops gmem_test_view_ops = {
	.prepare		= gmem_test_prepare,
	.invalidate_begin	= gmem_test_invalidate_begin,
	.invalidate_end		= gmem_test_invalidate_end,
};

static int gmem_test_make_private(struct gmem_view *view, pgoff_t index,
				  unsigned long pfn)
{
	struct gmem_test *gt = gmem_test_current;

	if (view != &gt->view[0].view)
		gmem_test_misuse(gt, "make_private() for another view");
	gt->nr_private++;
	gt->private_index = index;
	gt->private_pfn = pfn;
	return gt->make_private_err;
}

static void gmem_test_make_shared(unsigned long pfn, unsigned long nr_pages)
{
	struct gmem_test *gt = gmem_test_current;
	struct gmem_test_shared *call;

	might_sleep();
	gmem_test_note(gt, 's', NULL);
	if (gt->nr_shared < GMEM_TEST_EVENTS) {
		call = &gt->shared[gt->nr_shared];
		call->pfn = pfn;
		call->nr = nr_pages;
		call->byte = *(u8 *)page_address(pfn_to_page(pfn));
	}
	gt->nr_shared++;
}

static const struct gmem_owner_ops gmem_test_owner_ops = {
	.make_private	= gmem_test_make_private,
	.make_shared	= gmem_test_make_shared,
};

static int gmem_test_source_open(struct gmem_inode *gi)
{
	return 0;
}

static void gmem_test_source_close(struct gmem_inode *gi)
{
}

static DEFINE_SPINLOCK(gmem_test_take_lock);

static struct page *gmem_test_source_take(struct gmem_inode *gi, pgoff_t index,
					  unsigned int order,
					  unsigned int take_flags, void **loan)
{
	struct gmem_test *gt = gmem_test_current;
	struct gmem_test_take *take;
	struct page *page;
	unsigned long i;

	gmem_assert_held(gi);

	spin_lock(&gmem_test_take_lock);
	if (gt->nr_takes == GMEM_TEST_TAKES) {
		gmem_test_misuse(gt, "take() more often than a test can count");
		gt->nr_takes--;
	}
	take = &gt->take[gt->nr_takes++];
	spin_unlock(&gmem_test_take_lock);

	*take = (struct gmem_test_take) {
		.index		= index,
		.order		= order,
		.take_flags	= take_flags,
	};
	if (gt->refuse & BIT(order))
		return ERR_PTR(gt->take_err);

	page = gmem_source_buddy.take(gi, index, order, take_flags, loan);
	if (IS_ERR(page))
		return page;

	take->pfn = page_to_pfn(page);
	/* All of a gigabyte would take its time. */
	for (i = 0; i < 1UL << order; i += order == PUD_ORDER ? GMEM_CHUNK_PAGES : 1)
		memset(page_address(page + i), GMEM_TEST_STALE, PAGE_SIZE);
	return page;
}

static void gmem_test_source_give(struct gmem_block *block)
{
	gmem_test_current->given++;
	gmem_source_buddy.give(block);
}

/* The buddy allocator, with a witness. */
const struct gmem_source gmem_test_source = {
	.name		= "test",
	.open		= gmem_test_source_open,
	.close		= gmem_test_source_close,
	.take		= gmem_test_source_take,
	.give		= gmem_test_source_give,
	.fallback	= true,
};

/* The same, with blocks of one order only, as a pool has. */
const struct gmem_source gmem_test_strict_source = {
	.name		= "strict",
	.open		= gmem_test_source_open,
	.close		= gmem_test_source_close,
	.take		= gmem_test_source_take,
	.give		= gmem_test_source_give,
};

static int gmem_test_release(struct inode *inode, struct file *file)
{
	struct gmem_test *gt = gmem_test_current;
	int i;

	filemap_invalidate_lock(inode->i_mapping);
	for (i = 0; i < GMEM_TEST_VIEWS; i++) {
		if (!gt->view[i].attached)
			continue;
		gmem_release_view(inode, &gt->view[i].view);
		gt->view[i].attached = false;
	}
	filemap_invalidate_unlock(inode->i_mapping);
	return 0;
}

static const struct file_operations gmem_test_fops = {
	.owner		= THIS_MODULE,
	.release	= gmem_test_release,
	.mmap		= gmem_mmap,
	.fallocate	= gmem_fallocate,
};

/**
 * gmem_test_create - gmem_create_file() with the fakes
 * @gt: test
 * @size: in bytes
 * @flags: GMEM_*
 * @order: of blocks
 *
 * Return: the file or an ERR_PTR(). Close it before another is made.
 */
struct file *gmem_test_create(struct gmem_test *gt, loff_t size,
			      unsigned int flags, unsigned int order)
{
	struct gmem_create create = {
		.name	= "[gmem-kunit]",
		.size	= size,
		.flags	= flags,
		.order	= order,
		.fops	= &gmem_test_fops,
		.owner	= &gmem_test_owner_ops,
		.view	= &gt->view[0].view,
	};
	struct file *file = gmem_create_file(&create);

	if (IS_ERR(file))
		return file;

	gt->file = file;
	gt->gi = GMEM_I(file_inode(file));
	gt->view[0].attached = true;
	if (gt->gi->source == &gmem_source_buddy)
		gt->gi->source = &gmem_test_source;
	return file;
}

/**
 * gmem_test_open - as gmem_test_create(), or the test ends
 * @gt: test
 * @size: in bytes
 * @flags: GMEM_*
 * @order: of blocks
 */
void gmem_test_open(struct gmem_test *gt, loff_t size, unsigned int flags,
		    unsigned int order)
{
	struct file *file = gmem_test_create(gt, size, flags, order);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(gt->test, file);
}
