// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM gives statistics of a VM to the process that made it only; what it shows to
 * others is in debugfs, a directory PID-FD for each VM.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "vm.h"

#define VMS	"/sys/kernel/debug/kvm"

static const char * const names[VM_NR] = {
	[VM_FAULTS] = "gmem_faults",
	[VM_INVALIDATIONS] = "gmem_invalidations",
};

static void add_vm(const char *name, struct vm_counts *counts)
{
	char path[512];
	uint64_t value;
	int i;

	for (i = 0; i < VM_NR; i++) {
		snprintf(path, sizeof(path), VMS "/%s/%s", name, names[i]);
		if (!read_number(path, &value))
			continue;
		counts->known = true;
		counts->value[i] += value;
	}
}

void vm_read(pid_t pid, struct vm_counts *counts)
{
	DIR *dir = opendir(VMS);
	struct dirent *d;
	char *rest;

	memset(counts, 0, sizeof(*counts));
	if (!dir)
		return;
	while ((d = readdir(dir))) {
		if (strtol(d->d_name, &rest, 10) == pid && *rest == '-')
			add_vm(d->d_name, counts);
	}
	closedir(dir);
}
