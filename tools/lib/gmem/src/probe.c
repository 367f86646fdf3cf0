// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a kernel offers to a VM, by asking it. */
#include <string.h>

#include "private.h"

static int extension(const struct gmem_sys *sys, int vm_fd, unsigned long cap)
{
	return sys->ioctl(sys->arg, vm_fd, KVM_CHECK_EXTENSION, (void *)cap);
}

/*
 * A request for nothing is refused as such where the file tracks, and as unknown
 * where it does not. The number of the capability that says so is not settled.
 */
int gmem_file_tracks(const struct gmem_sys *sys, int fd)
{
	struct kvm_memory_attributes2 nothing = { };
	int ret = sys->ioctl(sys->arg, fd, KVM_SET_MEMORY_ATTRIBUTES2, &nothing);

	switch (ret) {
	case -EINVAL:
	case -EIO:
		return 1;
	case -ENOTTY:
		return 0;
	default:
		return ret < 0 ? ret : 1;
	}
}

/* What only a file can tell. */
static int probe_file(const struct gmem_sys *sys, int vm_fd, struct gmem_caps *caps)
{
	struct kvm_create_guest_memfd create = {
		.size = GMEM_PAGE,
		.flags = caps->mappable ? GUEST_MEMFD_FLAG_MMAP : 0,
	};
	struct kvm_memory_attributes2 first = { };
	struct gmem_stats stats;
	int fd, ret;

	fd = sys->ioctl(sys->arg, vm_fd, KVM_CREATE_GUEST_MEMFD, &create);
	if (fd < 0)
		return fd;
	ret = gmem_file_tracks(sys, fd);
	if (ret >= 0) {
		caps->in_place = ret;
		caps->readable = !sys->ioctl(sys->arg, fd, KVM_GET_MEMORY_ATTRIBUTES2, &first);
		caps->stats = !gmem_file_stats(sys, fd, &stats);
		ret = 0;
	}
	sys->close(sys->arg, fd);
	return ret;
}

int gmem_probe_sys(const struct gmem_sys *sys, int vm_fd, struct gmem_caps *caps)
{
	int ret, flags, huge;

	memset(caps, 0, sizeof(*caps));
	ret = extension(sys, vm_fd, KVM_CAP_GUEST_MEMFD);
	if (ret <= 0)
		return ret;
	flags = extension(sys, vm_fd, KVM_CAP_GUEST_MEMFD_FLAGS);
	huge = extension(sys, vm_fd, KVM_CAP_GUEST_MEMFD_HUGE);
	ret = extension(sys, vm_fd, KVM_CAP_MEMORY_ATTRIBUTES);
	if (flags < 0 || huge < 0 || ret < 0)
		return flags < 0 ? flags : huge < 0 ? huge : ret;
	caps->guest_memfd = true;
	caps->mappable = flags & GUEST_MEMFD_FLAG_MMAP;
	caps->init_shared = flags & GUEST_MEMFD_FLAG_INIT_SHARED;
	caps->no_direct_map = flags & GUEST_MEMFD_FLAG_NO_DIRECT_MAP;
	caps->hugetlb_2m = huge & KVM_GUEST_MEMFD_HUGETLB_2M;
	caps->hugetlb_1g = huge & KVM_GUEST_MEMFD_HUGETLB_1G;
	caps->buddy_2m = huge & KVM_GUEST_MEMFD_HUGEPAGE_2M;
	caps->buddy_1g = huge & KVM_GUEST_MEMFD_HUGEPAGE_1G;
	caps->vm_attributes = ret & KVM_MEMORY_ATTRIBUTE_PRIVATE;
	return probe_file(sys, vm_fd, caps);
}

int gmem_probe(int vm_fd, struct gmem_caps *caps)
{
	return gmem_probe_sys(&gmem_kernel, vm_fd, caps);
}
