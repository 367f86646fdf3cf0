/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * User ABI of guest_memfd that upstream has not assigned numbers to yet.
 *
 * Everything here may be renumbered when upstream picks its own values; a VMM
 * finds out what a kernel has by asking for KVM_CAP_GUEST_MEMFD_HUGE.
 */
#ifndef _UAPI_LINUX_KVM_GMEM_H
#define _UAPI_LINUX_KVM_GMEM_H

/* Flags of KVM_CREATE_GUEST_MEMFD, beside those of <linux/kvm.h>. */
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

#endif /* _UAPI_LINUX_KVM_GMEM_H */
