// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_SET_MEMORY_ATTRIBUTES2 and KVM_GET_MEMORY_ATTRIBUTES2 of a guest_memfd:
 * from user space's bytes to the indices of mm/gmem, and back.
 */
#include <linux/fs.h>
#include <linux/gmem.h>
#include <linux/kvm_gmem.h>
#include <linux/pagemap.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "gmem_attributes.h"

static int kvm_gmem_check_attributes(struct inode *inode,
				     const struct kvm_memory_attributes2 *attrs)
{
	if (attrs->flags || attrs->attributes & ~KVM_MEMORY_ATTRIBUTE_PRIVATE ||
	    memchr_inv(attrs->reserved, 0, sizeof(attrs->reserved)))
		return -EINVAL;
	if (!attrs->size || attrs->offset + attrs->size < attrs->offset ||
	    !PAGE_ALIGNED(attrs->offset) || !PAGE_ALIGNED(attrs->size) ||
	    attrs->offset + attrs->size > i_size_read(inode))
		return -EINVAL;
	return 0;
}

int kvm_gmem_set_attributes(struct inode *inode, void __user *argp)
{
	struct kvm_memory_attributes2 __user *uattrs = argp;
	struct kvm_memory_attributes2 attrs;
	pgoff_t error_index;
	int r;

	if (copy_from_user(&attrs, uattrs, sizeof(attrs)))
		return -EFAULT;

	r = kvm_gmem_check_attributes(inode, &attrs);
	if (r)
		return r;

	r = gmem_convert(inode, attrs.offset >> PAGE_SHIFT,
			 (attrs.offset + attrs.size) >> PAGE_SHIFT,
			 attrs.attributes, &error_index);
	if ((r == -EAGAIN || r == -ENOMEM) &&
	    put_user((__u64)error_index << PAGE_SHIFT, &uattrs->error_offset))
		return -EFAULT;

	return r;
}

int kvm_gmem_get_attributes(struct inode *inode, void __user *argp)
{
	struct kvm_memory_attributes2 attrs;
	struct gmem_query q;

	if (copy_from_user(&attrs, argp, sizeof(attrs)))
		return -EFAULT;

	if (attrs.flags || memchr_inv(attrs.reserved, 0, sizeof(attrs.reserved)) ||
	    !PAGE_ALIGNED(attrs.offset) || attrs.offset >= i_size_read(inode))
		return -EINVAL;

	gmem_query(inode, attrs.offset >> PAGE_SHIFT, &q);
	attrs.size = (__u64)q.nr << PAGE_SHIFT;
	attrs.attributes = q.private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
	attrs.flags = (__u64)q.order << KVM_MEMORY_ATTRIBUTES2_ORDER_SHIFT;
	if (q.populated)
		attrs.flags |= KVM_MEMORY_ATTRIBUTES2_POPULATED;

	return copy_to_user(argp, &attrs, sizeof(attrs)) ? -EFAULT : 0;
}
