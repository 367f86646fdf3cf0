// SPDX-License-Identifier: GPL-2.0-only
/* What KVM and the file say about the guest's memory. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "kvm-stat.h"
#include "vmm.h"

int stats_open(int fd)
{
	int stats = ioctl(fd, KVM_GET_STATS_FD, 0);

	if (stats < 0)
		die("KVM_GET_STATS_FD: %s: this kernel's KVM is too old", strerror(errno));
	return stats;
}

u64 stats_read(int stats_fd, const char *name)
{
	u64 value;
	int err = kvm_stat_read(stats_fd, name, &value);

	if (err == -ENOENT)
		die("KVM has no statistic %s: this kernel's KVM is another", name);
	if (err)
		die("cannot read KVM's statistics: %s", strerror(-err));
	return value;
}

static void print_fdinfo(int fd)
{
	char path[64], line[256];
	FILE *in;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	in = fopen(path, "r");
	if (!in)
		die("cannot open %s: %s: mount /proc", path, strerror(errno));
	while (fgets(line, sizeof(line), in)) {
		if (!strncmp(line, "gmem-", 5))
			fprintf(stderr, "%s", line);
	}
	fclose(in);
}

void stats_print(void)
{
	static const char * const sizes[] = { "pages_4k", "pages_2m", "pages_1g" };
	int stats = stats_open(vm_fd);
	u64 ticks = cpus_ticks();
	unsigned int i;

	if (memory_gmem_fd() >= 0)
		print_fdinfo(memory_gmem_fd());
	for (i = 0; i < 3; i++)
		fprintf(stderr, "kvm-%s:\t%llu\n", sizes[i],
			(unsigned long long)stats_read(stats, sizes[i]));
	fprintf(stderr, "kvm-insn_emulation:\t%llu\n",
		(unsigned long long)cpus_stat("insn_emulation"));
	fprintf(stderr, "ticks:\t%llu\n", (unsigned long long)ticks);
	close(stats);
}
