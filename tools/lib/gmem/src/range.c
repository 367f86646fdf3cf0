// SPDX-License-Identifier: LGPL-2.1-or-later
/* What is done to a range of a file. */
#include <linux/falloc.h>
#include <string.h>

#include "private.h"

#define STEP	(64ULL << 20)

static int fallocate_range(const struct gmem *g, int mode, uint64_t offset, uint64_t size)
{
	if (offset > INT64_MAX || size > INT64_MAX)
		return -EINVAL;
	return g->sys->fallocate(g->sys->arg, g->fd, mode | FALLOC_FL_KEEP_SIZE, offset, size);
}

/* The end of the step that begins at pos: none but the last ends inside a block. */
static uint64_t step_end(const struct gmem *g, uint64_t pos, uint64_t end)
{
	uint64_t step = g->info.block > STEP ? g->info.block : STEP;
	uint64_t next = (pos / step + 1) * step;

	return next < end ? next : end;
}

int gmem_populate(const struct gmem *g, uint64_t offset, uint64_t size,
		  gmem_progress_fn *progress, void *arg, uint64_t *done)
{
	uint64_t pos = offset, end = offset + size, next;
	int ret;

	if (done)
		*done = 0;
	if (!size || end < offset || end > g->info.size)
		return -EINVAL;
	while (pos < end) {
		next = step_end(g, pos, end);
		ret = fallocate_range(g, 0, pos, next - pos);
		if (ret)
			return ret;
		pos = next;
		if (done)
			*done = pos - offset;
		if (progress && progress(pos - offset, size, arg))
			return -ECANCELED;
	}
	return 0;
}

static bool once_more(const struct gmem *g, const struct gmem_retry *retry, unsigned int tries,
		      unsigned int *wait, uint64_t held)
{
	if (!retry || tries >= retry->tries)
		return false;
	if (retry->held && retry->held(held, retry->arg))
		return false;
	if (retry->max_wait_us && *wait > retry->max_wait_us)
		*wait = retry->max_wait_us;
	if (*wait)
		g->sys->sleep(g->sys->arg, *wait);
	*wait = *wait > UINT32_MAX / 2 ? UINT32_MAX : *wait * 2;
	return true;
}

int gmem_convert(const struct gmem *g, uint64_t offset, uint64_t size, bool to_private,
		 const struct gmem_retry *retry, uint64_t *error_offset)
{
	unsigned int wait = retry ? retry->wait_us : 0, tries = 0;
	struct kvm_memory_attributes2 attrs;
	int ret;

	if (retry && retry->flags)
		return -EINVAL;
	do {
		attrs = (struct kvm_memory_attributes2) {
			.offset = offset,
			.size = size,
			.attributes = to_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
			.error_offset = offset,
		};
		ret = g->sys->ioctl(g->sys->arg, g->fd, KVM_SET_MEMORY_ATTRIBUTES2, &attrs);
		if ((ret == -EAGAIN || ret == -ENOMEM) && error_offset)
			*error_offset = attrs.error_offset;
	} while (ret == -EAGAIN && once_more(g, retry, ++tries, &wait, attrs.error_offset));
	return ret;
}

int gmem_punch(const struct gmem *g, uint64_t offset, uint64_t size,
	       const struct gmem_retry *retry)
{
	unsigned int wait = retry ? retry->wait_us : 0, tries = 0;
	int ret;

	if (retry && retry->flags)
		return -EINVAL;
	do {
		ret = fallocate_range(g, FALLOC_FL_PUNCH_HOLE, offset, size);
	} while (ret == -EAGAIN && once_more(g, retry, ++tries, &wait, offset));
	return ret;
}

static int one_run(const struct gmem *g, uint64_t offset, struct gmem_run *run)
{
	struct kvm_memory_attributes2 attrs = { .offset = offset };
	int ret = g->sys->ioctl(g->sys->arg, g->fd, KVM_GET_MEMORY_ATTRIBUTES2, &attrs);
	unsigned int order = attrs.flags >> KVM_MEMORY_ATTRIBUTES2_ORDER_SHIFT &
			     KVM_MEMORY_ATTRIBUTES2_ORDER_MASK;

	if (ret)
		return ret;
	memset(run, 0, sizeof(*run));
	run->offset = offset;
	run->size = attrs.size;
	run->is_private = attrs.attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE;
	run->populated = attrs.flags & KVM_MEMORY_ATTRIBUTES2_POPULATED;
	run->block = run->populated ? GMEM_PAGE << order : 0;
	return 0;
}

int gmem_runs(const struct gmem *g, uint64_t offset, struct gmem_run *runs, unsigned int nr)
{
	unsigned int i;
	int ret;

	if (offset >= g->info.size)
		return -EINVAL;
	for (i = 0; i < nr && i < INT32_MAX && offset < g->info.size; i++) {
		ret = one_run(g, offset, &runs[i]);
		if (ret)
			return ret;
		/* Forward, or there is no end to it. */
		if (!runs[i].size || runs[i].size > g->info.size - offset)
			return -EBADMSG;
		offset += runs[i].size;
	}
	return i;
}
