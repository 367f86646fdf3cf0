// SPDX-License-Identifier: LGPL-2.1-or-later
/* The system calls themselves. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "private.h"

static int result(long ret)
{
	return ret < 0 ? -errno : (int)ret;
}

static int kernel_ioctl(void *arg, int fd, unsigned long request, void *data)
{
	return result(ioctl(fd, request, data));
}

static int kernel_fallocate(void *arg, int fd, int mode, off_t offset, off_t size)
{
	return result(fallocate(fd, mode, offset, size));
}

static int kernel_fstat(void *arg, int fd, struct stat *st)
{
	return result(fstat(fd, st));
}

static int kernel_fstatfs(void *arg, int fd, struct statfs *fs)
{
	return result(fstatfs(fd, fs));
}

static int kernel_mmap(void *arg, void **addr, size_t size, int prot, int flags, int fd,
		       off_t offset)
{
	void *p = mmap(*addr, size, prot, flags, fd, offset);

	if (p == MAP_FAILED)
		return -errno;
	*addr = p;
	return 0;
}

static int kernel_munmap(void *arg, void *addr, size_t size)
{
	return result(munmap(addr, size));
}

static int kernel_open(void *arg, const char *path)
{
	return result(open(path, O_RDONLY | O_CLOEXEC));
}

static int kernel_read(void *arg, int fd, char *buf, size_t size)
{
	return result(read(fd, buf, size));
}

static int kernel_readlink(void *arg, const char *path, char *buf, size_t size)
{
	return result(readlink(path, buf, size));
}

static int kernel_cloexec(void *arg, int fd)
{
	return result(fcntl(fd, F_SETFD, FD_CLOEXEC));
}

static int kernel_close(void *arg, int fd)
{
	return result(close(fd));
}

static void kernel_sleep(void *arg, unsigned int us)
{
	struct timespec ts = { us / 1000000, us % 1000000 * 1000L };

	nanosleep(&ts, NULL);
}

const struct gmem_sys gmem_kernel = {
	.ioctl = kernel_ioctl,
	.fallocate = kernel_fallocate,
	.fstat = kernel_fstat,
	.fstatfs = kernel_fstatfs,
	.mmap = kernel_mmap,
	.munmap = kernel_munmap,
	.open = kernel_open,
	.read = kernel_read,
	.readlink = kernel_readlink,
	.cloexec = kernel_cloexec,
	.close = kernel_close,
	.sleep = kernel_sleep,
};
