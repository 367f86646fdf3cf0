// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "kvm-stat.h"

/* 0, or -errno, also if there is less of it. */
static int read_at(int fd, void *buf, size_t size, off_t at)
{
	ssize_t n = pread(fd, buf, size, at);

	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EIO;
}

/* The descriptors say where each value is, and never change. */
int kvm_stat_read(int stats_fd, const char *name, uint64_t *value)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *desc;
	size_t size;
	uint32_t i;
	int err;

	err = read_at(stats_fd, &header, sizeof(header), 0);
	if (err)
		return err;
	size = sizeof(*desc) + header.name_size;
	desc = malloc(size);
	if (!desc)
		return -ENOMEM;
	for (i = 0; i < header.num_desc; i++) {
		err = read_at(stats_fd, desc, size, header.desc_offset + i * size);
		if (err || !strcmp(desc->name, name))
			break;
	}
	if (!err && i < header.num_desc)
		err = read_at(stats_fd, value, sizeof(*value), header.data_offset + desc->offset);
	else if (!err)
		err = -ENOENT;
	free(desc);
	return err;
}
