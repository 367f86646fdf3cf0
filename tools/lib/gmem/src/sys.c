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

/* Up to size bytes; how many there were. */
static int kernel_read(void *arg, const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t done = 0;
	ssize_t n = 0;
	int err = 0;

	if (fd < 0)
		return -errno;
	while (done < size) {
		n = read(fd, buf + done, size - done);
		if (n <= 0)
			break;
		done += n;
	}
	if (n < 0)
		err = -errno;
	close(fd);
	return err ? err : (int)done;
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
	.mmap = kernel_mmap,
	.munmap = kernel_munmap,
	.read = kernel_read,
	.readlink = kernel_readlink,
	.cloexec = kernel_cloexec,
	.close = kernel_close,
	.sleep = kernel_sleep,
};
