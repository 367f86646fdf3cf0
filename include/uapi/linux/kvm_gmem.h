/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * User ABI of guest_memfd that upstream has not assigned numbers to yet.
 *
 * Everything here may be renumbered when upstream picks its own values; a VMM
 * finds out what a kernel has by asking for KVM_CAP_GUEST_MEMFD_HUGE.
 */
#ifndef _UAPI_LINUX_KVM_GMEM_H
#define _UAPI_LINUX_KVM_GMEM_H

#include <linux/kvm.h>
#include <linux/types.h>

/* Flags of KVM_CREATE_GUEST_MEMFD, beside those of <linux/kvm.h>. */
#define GUEST_MEMFD_FLAG_NO_DIRECT_MAP	(1ULL << 2)	/* the kernel does not map it */
#define GUEST_MEMFD_FLAG_HUGETLB	(1ULL << 32)	/* blocks of a hugetlb pool */
#define GUEST_MEMFD_FLAG_HUGEPAGE	(1ULL << 33)	/* blocks of the buddy allocator */

/* Block size as log2 of bytes, 21 or 30; 0 stands for 21. */
#define GUEST_MEMFD_HUGE_SHIFT		58
#define GUEST_MEMFD_HUGE_MASK		0x3fULL
#define GUEST_MEMFD_HUGE_2MB		(21ULL << GUEST_MEMFD_HUGE_SHIFT)
#define GUEST_MEMFD_HUGE_1GB		(30ULL << GUEST_MEMFD_HUGE_SHIFT)

/* KVM_CHECK_EXTENSION: a mask of the huge files this VM can create. */
#define KVM_CAP_GUEST_MEMFD_HUGE	0x676d01
#define KVM_GUEST_MEMFD_HUGETLB_2M	(1 << 0)
#define KVM_GUEST_MEMFD_HUGETLB_1G	(1 << 1)
#define KVM_GUEST_MEMFD_HUGEPAGE_2M	(1 << 2)
#define KVM_GUEST_MEMFD_HUGEPAGE_1G	(1 << 3)

/*
 * Private or shared, of files that track it: created with GUEST_MEMFD_FLAG_MMAP
 * by a VM that has private memory. Issued on the guest_memfd.
 *
 * The ioctl that sets has the form queued upstream.
 */
#define KVM_SET_MEMORY_ATTRIBUTES2	_IOWR(KVMIO, 0xd2, struct kvm_memory_attributes2)
#define KVM_GET_MEMORY_ATTRIBUTES2	_IOWR(KVMIO, 0xdf, struct kvm_memory_attributes2)

struct kvm_memory_attributes2 {
	union {
		__u64 address;
		__u64 offset;		/* in bytes, into the file */
	};
	__u64 size;			/* in bytes; GET: out, length of the run */
	__u64 attributes;		/* KVM_MEMORY_ATTRIBUTE_PRIVATE or 0 */
	__u64 flags;			/* SET: 0; GET: out */
	__u64 error_offset;		/* SET: out, after EAGAIN and ENOMEM */
	__u64 reserved[11];
};

/* GET: flags */
#define KVM_MEMORY_ATTRIBUTES2_POPULATED	(1ULL << 0)
#define KVM_MEMORY_ATTRIBUTES2_ORDER_SHIFT	8
#define KVM_MEMORY_ATTRIBUTES2_ORDER_MASK	0xffULL

/* KVM_CHECK_EXTENSION: attributes that can be set on a guest_memfd of the VM. */
#define KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES	252

/*
 * KVM_CREATE_VM: a TDX VM on a software TDX module, of kernels for development.
 * It has the ioctls of KVM_X86_TDX_VM. KVM_CAP_VM_TYPES is a mask in an int.
 */
#define KVM_X86_SOFT_TDX_VM	30

#endif /* _UAPI_LINUX_KVM_GMEM_H */
