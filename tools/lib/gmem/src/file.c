// SPDX-License-Identifier: LGPL-2.1-or-later
/* Files: create, adopt, close, and where guest and host see them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <linux/magic.h>

#include "private.h"

/* The same bits in both, so that no table is needed. */
_Static_assert(GMEM_MAPPABLE == GUEST_MEMFD_FLAG_MMAP, "flag");
_Static_assert(GMEM_INIT_SHARED == GUEST_MEMFD_FLAG_INIT_SHARED, "flag");
_Static_assert(GMEM_NO_DIRECT_MAP == GUEST_MEMFD_FLAG_NO_DIRECT_MAP, "flag");

#define ALL_FLAGS	(GMEM_MAPPABLE | GMEM_INIT_SHARED | GMEM_NO_DIRECT_MAP)

static const uint64_t source_flags[] = {
	[GMEM_PAGES] = 0,
	[GMEM_BUDDY] = GUEST_MEMFD_FLAG_HUGEPAGE,
	[GMEM_HUGETLB] = GUEST_MEMFD_FLAG_HUGETLB,
};

/* What the kernel wants to hear, or false if it makes no sense. */
static bool kernel_flags(const struct gmem_spec *spec, uint64_t *flags)
{
	static const struct gmem_spec zero;

	if (memcmp(spec->reserved, zero.reserved, sizeof(zero.reserved)))
		return false;
	if (spec->source > GMEM_HUGETLB || spec->flags & ~(uint32_t)ALL_FLAGS)
		return false;
	if (!spec->block || spec->block & (spec->block - 1))
		return false;
	*flags = spec->flags | source_flags[spec->source];
	if (spec->source == GMEM_PAGES)
		return spec->block == GMEM_PAGE;
	*flags |= (uint64_t)__builtin_ctzll(spec->block) << GUEST_MEMFD_HUGE_SHIFT;
	return true;
}

static int wrap(const struct gmem_sys *sys, int fd, const struct gmem_info *info,
		struct gmem **g)
{
	struct gmem *new = calloc(1, sizeof(*new));

	if (!new)
		return -ENOMEM;
	new->sys = sys;
	new->fd = fd;
	new->info = *info;
	*g = new;
	return 0;
}

static int create_one(const struct gmem_sys *sys, int vm_fd, uint64_t size,
		      const struct gmem_spec *spec, struct gmem **g)
{
	struct gmem_info info = {
		.size = size, .block = spec->block, .source = spec->source,
		.flags = spec->flags,
	};
	struct kvm_create_guest_memfd create = { .size = size };
	uint64_t flags;
	int fd, ret;

	if (!kernel_flags(spec, &flags))
		return -EINVAL;
	create.flags = flags;
	fd = sys->ioctl(sys->arg, vm_fd, KVM_CREATE_GUEST_MEMFD, &create);
	if (fd < 0)
		return fd;
	sys->cloexec(sys->arg, fd);
	ret = gmem_file_tracks(sys, fd);
	if (ret >= 0) {
		info.tracks = ret;
		ret = wrap(sys, fd, &info, g);
	}
	if (ret)
		sys->close(sys->arg, fd);
	return ret;
}

int gmem_create_sys(const struct gmem_sys *sys, int vm_fd, uint64_t size,
		    const struct gmem_spec *specs, unsigned int nr, unsigned int *which,
		    struct gmem **g)
{
	int ret = -EINVAL;
	unsigned int i;

	for (i = 0; i < nr; i++) {
		ret = create_one(sys, vm_fd, size, &specs[i], g);
		if (!ret && which)
			*which = i;
		if (ret != -EINVAL && ret != -ENOMEM)
			break;
	}
	return ret;
}

int gmem_create(int vm_fd, uint64_t size, const struct gmem_spec *specs, unsigned int nr,
		unsigned int *which, struct gmem **g)
{
	return gmem_create_sys(&gmem_kernel, vm_fd, size, specs, nr, which, g);
}

/*
 * Its file system says what it is. Any file can be given the name that KVM gives its own,
 * except while that was an anonymous inode's.
 */
static int check_kind(const struct gmem_sys *sys, int fd)
{
	char path[64], name[64];
	struct statfs fs;
	int ret;

	ret = sys->fstatfs(sys->arg, fd, &fs);
	if (ret)
		return ret;
	if (fs.f_type == GUEST_MEMFD_MAGIC)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret = sys->readlink(sys->arg, path, name, sizeof(name) - 1);
	if (ret < 0)
		return ret;
	name[ret] = 0;
	return strcmp(name, "anon_inode:[kvm-gmem]") ? -EINVAL : 0;
}

static void info_of_flags(struct gmem_info *info, uint64_t flags)
{
	info->flags = flags & ALL_FLAGS;
	if (flags & GUEST_MEMFD_FLAG_HUGETLB)
		info->source = GMEM_HUGETLB;
	else if (flags & GUEST_MEMFD_FLAG_HUGEPAGE)
		info->source = GMEM_BUDDY;
}

int gmem_adopt_sys(const struct gmem_sys *sys, int fd, struct gmem **g)
{
	struct gmem_info info = { };
	struct gmem_stats stats;
	struct stat st;
	int ret;

	ret = sys->fstat(sys->arg, fd, &st);
	if (ret)
		return ret;
	ret = check_kind(sys, fd);
	if (ret)
		return ret;
	ret = gmem_file_stats(sys, fd, &stats);
	if (ret && ret != -EOPNOTSUPP)
		return ret;
	ret = gmem_file_tracks(sys, fd);
	if (ret < 0)
		return ret;
	info.tracks = ret;
	info.size = st.st_size;
	info.block = st.st_blksize;
	info_of_flags(&info, stats.value[GMEM_STAT_FLAGS]);
	return wrap(sys, fd, &info, g);
}

int gmem_adopt(int fd, struct gmem **g)
{
	return gmem_adopt_sys(&gmem_kernel, fd, g);
}

void gmem_close(struct gmem *g)
{
	if (!g)
		return;
	g->sys->close(g->sys->arg, g->fd);
	free(g);
}

int gmem_fd(const struct gmem *g)
{
	return g->fd;
}

void gmem_info(const struct gmem *g, struct gmem_info *info)
{
	*info = g->info;
}

int gmem_bind(const struct gmem *g, int vm_fd, const struct gmem_slot *slot)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot->slot,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = slot->gpa,
		.memory_size = slot->size,
		.userspace_addr = (uintptr_t)slot->host,
		.guest_memfd_offset = slot->offset,
		.guest_memfd = g->fd,
	};

	if (slot->flags)
		return -EINVAL;
	/* For KVM this would delete a slot. */
	if (!slot->size)
		return -EINVAL;
	return g->sys->ioctl(g->sys->arg, vm_fd, KVM_SET_USER_MEMORY_REGION2, &region);
}

int gmem_unbind(const struct gmem *g, int vm_fd, uint32_t slot)
{
	struct kvm_userspace_memory_region2 region = { .slot = slot };

	return g->sys->ioctl(g->sys->arg, vm_fd, KVM_SET_USER_MEMORY_REGION2, &region);
}

int gmem_map(const struct gmem *g, uint64_t offset, uint64_t size, int prot, void *at,
	     uint32_t flags, void **addr)
{
	int how = MAP_SHARED, ret;

	if (flags & ~(uint32_t)GMEM_MAP_FIXED || (flags && !at))
		return -EINVAL;
	if (at)
		how |= flags & GMEM_MAP_FIXED ? MAP_FIXED : MAP_FIXED_NOREPLACE;
	ret = g->sys->mmap(g->sys->arg, &at, size, prot, how, g->fd, offset);
	if (!ret)
		*addr = at;
	return ret;
}

int gmem_unmap(const struct gmem *g, void *addr, uint64_t size)
{
	return g->sys->munmap(g->sys->arg, addr, size);
}

unsigned int gmem_version(void)
{
	return 0 << 16 | 1;
}
