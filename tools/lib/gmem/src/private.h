/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GMEM_PRIVATE_H
#define GMEM_PRIVATE_H

#include <errno.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/types.h>

#include <linux/kvm.h>
#include <linux/kvm_gmem.h>

#include "gmem.h"

#define GMEM_PAGE	4096ULL

/*
 * The few system calls that the library makes, so that a test can answer in place of
 * a kernel. Each returns 0 or more, or a negative errno.
 */
struct gmem_sys {
	int (*ioctl)(void *arg, int fd, unsigned long request, void *data);
	int (*fallocate)(void *arg, int fd, int mode, off_t offset, off_t size);
	int (*fstat)(void *arg, int fd, struct stat *st);
	int (*fstatfs)(void *arg, int fd, struct statfs *fs);
	int (*mmap)(void *arg, void **addr, size_t size, int prot, int flags, int fd,
		    off_t offset);
	int (*munmap)(void *arg, void *addr, size_t size);
	int (*open)(void *arg, const char *path);
	int (*read)(void *arg, int fd, char *buf, size_t size);
	int (*readlink)(void *arg, const char *path, char *buf, size_t size);
	int (*cloexec)(void *arg, int fd);
	int (*close)(void *arg, int fd);
	void (*sleep)(void *arg, unsigned int us);
	void *arg;
};

extern const struct gmem_sys gmem_kernel;

struct gmem {
	const struct gmem_sys *sys;
	int fd;
	struct gmem_info info;
};

/* The public calls of the same names, with the system calls named. */
int gmem_probe_sys(const struct gmem_sys *sys, int vm_fd, struct gmem_caps *caps);
int gmem_create_sys(const struct gmem_sys *sys, int vm_fd, uint64_t size,
		    const struct gmem_spec *specs, unsigned int nr, unsigned int *which,
		    struct gmem **g);
int gmem_adopt_sys(const struct gmem_sys *sys, int fd, struct gmem **g);

/* 1 if the file changes between private and shared in place, 0 if not, or -errno. */
int gmem_file_tracks(const struct gmem_sys *sys, int fd);
/* The statistics of an open file. */
int gmem_file_stats(const struct gmem_sys *sys, int fd, struct gmem_stats *stats);

#endif /* GMEM_PRIVATE_H */
