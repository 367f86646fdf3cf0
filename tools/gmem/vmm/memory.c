// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's memory: a guest_memfd, its slots, and who may touch what.
 *
 * The file is created with GUEST_MEMFD_FLAG_MMAP, so it has all memory of the
 * guest, private and shared. It is mapped here once, whole, for good: the pages
 * of the mapping that are private raise SIGBUS when they are touched, and are
 * accessible as soon as they are shared. A page keeps its contents when it changes.
 *
 * A software-protected guest does not know about any of this. Its accesses take
 * what the file has, private or shared.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <linux/kvm.h>
#include <linux/kvm_gmem.h>
#include <linux/memfd.h>

#include "vmm.h"

/*
 * What is known about a page of a private guest: how many users it has in the
 * VMM, whether the guest wants it shared, and, if for either reason, that it is.
 */
#define GUEST_WANTS	0x4000
#define IS_SHARED	0x8000

static int gmem_fd = -1;
static u8 *host;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static u16 *pages;		/* NULL as long as nothing is private */

int memory_gmem_fd(void)
{
	return gmem_fd;
}

static u64 low_size(void)
{
	return options.memory < LOW_END ? options.memory : LOW_END;
}

/* Offset in the file, if all of the range is in one slot. */
static bool offset_of(u64 gpa, u64 len, u64 *off)
{
	u64 base = 0, start = 0, size = low_size();

	if (gpa >= HIGH_START) {
		start = HIGH_START;
		base = size;
		size = options.memory - size;
	}
	if (len > size || gpa - start > size - len)
		return false;
	*off = gpa - start + base;
	return true;
}

void *memory_at(u64 gpa, u64 len)
{
	u64 off;

	return offset_of(gpa, len, &off) ? host + off : NULL;
}

static unsigned int log2_of(u64 block)
{
	return __builtin_ctzll(block);
}

static int create_memfd(void)
{
	unsigned int flags = MFD_CLOEXEC;
	int fd;

	if (options.block > PAGE_SIZE)
		flags |= MFD_HUGETLB | log2_of(options.block) << MFD_HUGE_SHIFT;
	fd = memfd_create("guest", flags);
	if (fd < 0)
		die("no memfd with pages of this size: %s: try another --block",
		    strerror(errno));
	if (ftruncate(fd, options.memory))
		die("memfd of this size: %s: give less --memory", strerror(errno));
	return fd;
}

static int create_gmem(void)
{
	struct kvm_create_guest_memfd args = {
		.size = options.memory,
		.flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED,
	};
	int caps = ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_HUGE);
	int fd;

	if (options.kind == KIND_PRIVATE &&
	    ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES) <= 0)
		die("this guest_memfd cannot change memory in place: boot a kernel with gmem");
	if (options.no_direct_map) {
		if (!(ioctl(vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_GUEST_MEMFD_FLAGS) &
		      GUEST_MEMFD_FLAG_NO_DIRECT_MAP))
			die("this kernel maps all guest memory: drop --no-direct-map");
		args.flags |= GUEST_MEMFD_FLAG_NO_DIRECT_MAP;
	}
	if (options.block > PAGE_SIZE) {
		if (!caps)
			die("this guest_memfd has no huge blocks: boot gmem, or give --block 4K");
		args.flags |= options.source == SOURCE_HUGETLB ? GUEST_MEMFD_FLAG_HUGETLB :
								 GUEST_MEMFD_FLAG_HUGEPAGE;
		args.flags |= (u64)log2_of(options.block) << GUEST_MEMFD_HUGE_SHIFT;
	}
	fd = ioctl(vm_fd, KVM_CREATE_GUEST_MEMFD, &args);
	if (fd < 0 && errno == ENOMEM && options.source == SOURCE_HUGETLB)
		die("the hugetlb pool has no %llu free pages: add some, or give less --memory",
		    (unsigned long long)(options.memory / options.block));
	if (fd < 0)
		die("guest_memfd: %s: try another --block or --source", strerror(errno));
	/*
	 * Other blocks are taken when they are touched. A gigabyte of the buddy
	 * allocator is searched for here or not at all.
	 */
	if (options.source == SOURCE_BUDDY && options.block == GIB &&
	    fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, options.memory))
		die("no memory for the guest: %s: give less --memory", strerror(errno));
	return fd;
}

static void add_slot(unsigned int slot, u64 gpa, u64 off, u64 size)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (u64)(host + off),
	};

	if (gmem_fd >= 0) {
		region.flags = KVM_MEM_GUEST_MEMFD;
		region.guest_memfd = gmem_fd;
		region.guest_memfd_offset = off;
	}
	if (ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION2, &region))
		die("memory slot: %s: this kernel's KVM is too old", strerror(errno));
}

void memory_create(void)
{
	int fd;

	if (options.source != SOURCE_MEMFD)
		gmem_fd = create_gmem();
	fd = gmem_fd >= 0 ? gmem_fd : create_memfd();
	host = mmap(NULL, options.memory, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (host == MAP_FAILED)
		die("cannot map the guest's memory: %s: give less --memory", strerror(errno));
	add_slot(0, 0, 0, low_size());
	if (options.memory > LOW_END)
		add_slot(1, HIGH_START, LOW_END, options.memory - LOW_END);
}

/* Returns 0 or -errno. All of it changes or nothing does. */
static int convert(u64 off, u64 len, bool private)
{
	struct kvm_memory_attributes2 attrs = {
		.offset = off,
		.size = len,
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};
	int tries;

	/*
	 * EAGAIN: somebody holds a page. This VMM never does for long, and the
	 * kernel has waited some milliseconds each time; whoever still has it then,
	 * another process perhaps, may keep it, so there is an end to trying.
	 */
	for (tries = 0; tries < 100; tries++) {
		if (!ioctl(gmem_fd, KVM_SET_MEMORY_ATTRIBUTES2, &attrs))
			return 0;
		if (errno != EAGAIN)
			return -errno;
	}
	return -EAGAIN;
}

void memory_make_private(void)
{
	int err;

	if (options.kind != KIND_PRIVATE)
		return;
	pages = alloc(options.memory / PAGE_SIZE * sizeof(*pages));
	err = convert(0, options.memory, true);
	if (err)
		die("cannot make the guest's memory private: %s: who else has it open?",
		    strerror(-err));
}

static bool is_shared(u64 page)
{
	return pages[page] & IS_SHARED;
}

static bool has_reason(u64 page)
{
	return pages[page] & ~IS_SHARED;
}

/* Share what has a reason to be shared and take back what has none, run by run. */
static int settle(u64 first, u64 end)
{
	u64 page = first, run;
	int err;

	while (page < end) {
		run = page;
		while (page < end && is_shared(page) != has_reason(page) &&
		       is_shared(page) == is_shared(run))
			page++;
		if (page == run) {
			page++;
			continue;
		}
		err = convert(run * PAGE_SIZE, (page - run) * PAGE_SIZE, is_shared(run));
		if (err)
			return err;
		while (run < page)
			pages[run++] ^= IS_SHARED;
	}
	return 0;
}

/* What changes hands are whole pages, those that the range touches. */
static bool pages_of(u64 gpa, u64 len, u64 *first, u64 *end)
{
	u64 off;

	if (!len || !offset_of(gpa, len, &off))
		return false;
	*first = off / PAGE_SIZE;
	*end = (off + len - 1) / PAGE_SIZE + 1;
	return true;
}

int memory_share(u64 gpa, u64 len)
{
	u64 page, first, end;
	int err;

	if (!pages_of(gpa, len, &first, &end))
		return -EINVAL;
	if (!pages)
		return 0;
	pthread_mutex_lock(&lock);
	for (page = first; page < end; page++)
		pages[page]++;
	err = settle(first, end);
	pthread_mutex_unlock(&lock);
	if (err)
		memory_unshare(gpa, len);
	return err;
}

/*
 * What cannot be taken back because somebody holds it stays shared until the
 * page changes hands again. The guest goes on either way.
 */
void memory_unshare(u64 gpa, u64 len)
{
	u64 page, first, end;

	if (!pages || !pages_of(gpa, len, &first, &end))
		return;
	pthread_mutex_lock(&lock);
	for (page = first; page < end; page++)
		pages[page]--;
	settle(first, end);
	pthread_mutex_unlock(&lock);
}

int memory_guest_wants(u64 gpa, u64 len, bool wants)
{
	u64 page, first, end;
	int err;

	if (!pages_of(gpa, len, &first, &end))
		return -EINVAL;
	if (!pages)
		return 0;
	pthread_mutex_lock(&lock);
	for (page = first; page < end; page++) {
		if (wants)
			pages[page] |= GUEST_WANTS;
		else
			pages[page] &= ~GUEST_WANTS;
	}
	err = settle(first, end);
	pthread_mutex_unlock(&lock);
	return err;
}

int memory_discard(u64 gpa, u64 len)
{
	u64 off;

	if (gmem_fd < 0 || !offset_of(gpa, len, &off))
		return -EINVAL;
	return fallocate(gmem_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, off, len) ?
		-errno : 0;
}
