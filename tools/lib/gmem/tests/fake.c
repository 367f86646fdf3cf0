// SPDX-License-Identifier: LGPL-2.1-or-later
#include <linux/falloc.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>

#include "fake.h"

/* What was ordered for this call, or 0. */
static int ordered(struct fake *f, enum fake_call call)
{
	unsigned int n = f->calls[call]++;

	return n < FAKE_CALLS ? f->fail[call][n] : 0;
}

static int check_extension(const struct fake *f, unsigned long cap)
{
	switch (cap) {
	case KVM_CAP_GUEST_MEMFD:
		return f->abi != FAKE_NONE;
	case KVM_CAP_GUEST_MEMFD_FLAGS:
		return GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED |
		       (f->abi == FAKE_GMEM ? GUEST_MEMFD_FLAG_NO_DIRECT_MAP : 0);
	case KVM_CAP_GUEST_MEMFD_HUGE:
		return f->abi == FAKE_GMEM ? 0xf : 0;
	case KVM_CAP_MEMORY_ATTRIBUTES:
		return f->has_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
	default:
		return 0;
	}
}

static int create(struct fake *f, const struct kvm_create_guest_memfd *args)
{
	uint64_t huge = GUEST_MEMFD_FLAG_HUGETLB | GUEST_MEMFD_FLAG_HUGEPAGE;
	uint64_t known = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	int err = ordered(f, FAKE_CREATE);

	if (err)
		return err;
	if (f->abi == FAKE_GMEM)
		known |= GUEST_MEMFD_FLAG_NO_DIRECT_MAP | huge |
			 GUEST_MEMFD_HUGE_MASK << GUEST_MEMFD_HUGE_SHIFT;
	if (args->flags & ~known)
		return -EINVAL;
	f->size = args->size;
	f->flags = args->flags;
	f->tracks = f->abi >= FAKE_UPSTREAM && f->has_private &&
		    args->flags & GUEST_MEMFD_FLAG_MMAP;
	f->open++;
	return FAKE_FILE;
}

static bool in_file(const struct fake *f, uint64_t offset, uint64_t size)
{
	return size && !(offset % GMEM_PAGE) && !(size % GMEM_PAGE) &&
	       offset + size > offset && offset + size <= f->size;
}

static int set(struct fake *f, struct kvm_memory_attributes2 *a)
{
	uint64_t i;
	int err;

	if (!f->tracks)
		return -ENOTTY;
	if (!in_file(f, a->offset, a->size) || a->flags)
		return -EINVAL;
	err = ordered(f, FAKE_SET);
	if (err == -EAGAIN || err == -ENOMEM)
		a->error_offset = f->error_offset;
	for (i = a->offset / GMEM_PAGE; !err && i < (a->offset + a->size) / GMEM_PAGE; i++) {
		if (i < FAKE_PAGES)
			f->page_private[i] = a->attributes;
	}
	return err;
}

static int get(struct fake *f, struct kvm_memory_attributes2 *a)
{
	uint64_t i = a->offset / GMEM_PAGE, end;
	int err;

	if (!f->tracks || f->abi != FAKE_GMEM)
		return -ENOTTY;
	if (!in_file(f, a->offset, GMEM_PAGE))
		return -EINVAL;
	err = ordered(f, FAKE_GET);
	for (end = i; end < f->size / GMEM_PAGE && end < FAKE_PAGES; end++) {
		if (f->page_private[end] != f->page_private[i] || f->present[end] != f->present[i])
			break;
	}
	a->attributes = f->page_private[i] ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
	a->flags = f->present[i] ? KVM_MEMORY_ATTRIBUTES2_POPULATED : 0;
	a->size = f->get_size ? f->get_size : (end - i) * GMEM_PAGE;
	return err;
}

static int fake_ioctl(void *arg, int fd, unsigned long request, void *data)
{
	struct fake *f = arg;

	if (request == KVM_CHECK_EXTENSION && fd == FAKE_VM)
		return check_extension(f, (unsigned long)data);
	if (request == KVM_CREATE_GUEST_MEMFD && fd == FAKE_VM)
		return create(f, data);
	if (request == KVM_SET_USER_MEMORY_REGION2 && fd == FAKE_VM) {
		f->region = *(struct kvm_userspace_memory_region2 *)data;
		return ordered(f, FAKE_REGION);
	}
	if (request == KVM_SET_MEMORY_ATTRIBUTES2 && fd == FAKE_FILE)
		return set(f, data);
	if (request == KVM_GET_MEMORY_ATTRIBUTES2 && fd == FAKE_FILE)
		return get(f, data);
	return fd == FAKE_VM || fd == FAKE_FILE ? -ENOTTY : -EBADF;
}

static int fake_fallocate(void *arg, int fd, int mode, off_t offset, off_t size)
{
	enum fake_call call = mode & FALLOC_FL_PUNCH_HOLE ? FAKE_PUNCH : FAKE_ALLOCATE;
	struct fake *f = arg;
	unsigned int n = f->calls[call];
	int err = ordered(f, call);
	uint64_t i;

	if (!(mode & FALLOC_FL_KEEP_SIZE))
		return -EOPNOTSUPP;
	if (call == FAKE_ALLOCATE && n < FAKE_CALLS) {
		f->allocated[n][0] = offset;
		f->allocated[n][1] = size;
	}
	for (i = offset / GMEM_PAGE; !err && i < (offset + size) / GMEM_PAGE; i++) {
		if (i < FAKE_PAGES)
			f->present[i] = call == FAKE_ALLOCATE;
	}
	return err;
}

static int fake_fstat(void *arg, int fd, struct stat *st)
{
	struct fake *f = arg;

	memset(st, 0, sizeof(*st));
	st->st_size = f->size;
	st->st_blksize = f->flags & GUEST_MEMFD_FLAG_HUGETLB ? 2 << 20 : GMEM_PAGE;
	return fd == FAKE_FILE ? 0 : -EBADF;
}

static int fake_mmap(void *arg, void **addr, size_t size, int prot, int flags, int fd,
		     off_t offset)
{
	struct fake *f = arg;
	int err = ordered(f, FAKE_MMAP);

	f->mmap_at = *addr;
	f->mmap_flags = flags;
	*addr = f;
	return err;
}

static int fake_munmap(void *arg, void *addr, size_t size)
{
	return -EINVAL;
}

static int fake_fstatfs(void *arg, int fd, struct statfs *fs)
{
	struct fake *f = arg;

	memset(fs, 0, sizeof(*fs));
	fs->f_type = f->magic;
	return 0;
}

static int fake_open(void *arg, const char *path)
{
	struct fake *f = arg;

	f->fdinfo_at = 0;
	f->open++;
	return FAKE_FDINFO;
}

static int fake_read(void *arg, int fd, char *buf, size_t size)
{
	const char *text;
	struct fake *f = arg;
	char made[128];
	size_t left;

	if (f->fdinfo)
		text = f->fdinfo;
	else if (f->abi == FAKE_GMEM)
		text = made;
	else
		text = "pos:\t0\nflags:\t02000002\nino:\t7\n";
	snprintf(made, sizeof(made), "pos:\t0\nino:\t7\ngmem-size:\t%llu\ngmem-flags:\t%#llx\n",
		 (unsigned long long)f->size, (unsigned long long)f->flags);
	text += f->fdinfo_at;
	left = strlen(text);
	size = left < size ? left : size;
	if (f->read_size && f->read_size < size)
		size = f->read_size;
	memcpy(buf, text, size);
	f->fdinfo_at += size;
	return size;
}

static int fake_readlink(void *arg, const char *path, char *buf, size_t size)
{
	struct fake *f = arg;

	size_t len = strlen(f->link);

	if (len > size)
		len = size;
	memcpy(buf, f->link, len);
	return len;
}

static int fake_cloexec(void *arg, int fd)
{
	struct fake *f = arg;

	f->cloexec = true;
	return 0;
}

static int fake_close(void *arg, int fd)
{
	struct fake *f = arg;

	f->open--;
	return 0;
}

static void fake_sleep(void *arg, unsigned int us)
{
	struct fake *f = arg;

	if (f->nr_slept < FAKE_CALLS)
		f->slept[f->nr_slept++] = us;
}

void fake_init(struct fake *f, enum fake_abi abi)
{
	memset(f, 0, sizeof(*f));
	f->abi = abi;
	f->has_private = true;
	f->magic = GUEST_MEMFD_MAGIC;
	f->link = "/[kvm-gmem] (deleted)";
	f->sys = (struct gmem_sys) {
		.ioctl = fake_ioctl, .fallocate = fake_fallocate, .fstat = fake_fstat,
		.fstatfs = fake_fstatfs, .mmap = fake_mmap, .munmap = fake_munmap,
		.open = fake_open, .read = fake_read, .readlink = fake_readlink,
		.cloexec = fake_cloexec, .close = fake_close, .sleep = fake_sleep,
		.arg = f,
	};
}
