// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM gives statistics of a VM to the process that made it only; what it shows to
 * others is in debugfs, a directory THREAD-FD for each VM.
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

static struct vm_counts *find(const struct vms *vms, pid_t pid)
{
	size_t i;

	for (i = 0; i < vms->nr; i++) {
		if (vms->process[i].pid == pid)
			return &vms->process[i];
	}
	return NULL;
}

/* They are 0 when the process is new. */
static struct vm_counts *find_or_add(struct vms *vms, pid_t pid)
{
	struct vm_counts *known = find(vms, pid);

	if (known)
		return known;
	vms->process = realloc(vms->process, (vms->nr + 1) * sizeof(*vms->process));
	if (!vms->process)
		abort();
	vms->process[vms->nr] = (struct vm_counts) { .pid = pid };
	return &vms->process[vms->nr++];
}

static void add_vm(struct vms *vms, const char *name, pid_t pid)
{
	char path[512];
	uint64_t value;
	int i;

	for (i = 0; i < VM_NR; i++) {
		snprintf(path, sizeof(path), VMS "/%s/%s", name, names[i]);
		if (read_number(path, &value))
			find_or_add(vms, pid)->value[i] += value;
	}
}

/* The process of the thread that made the VM; 0 if that has ended. */
static pid_t process_of(pid_t thread)
{
	char path[64], line[256];
	pid_t pid = 0;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/status", thread);
	in = fopen(path, "re");
	if (!in)
		return 0;
	while (!pid && fgets(line, sizeof(line), in))
		sscanf(line, "Tgid: %d", &pid);
	fclose(in);
	return pid;
}

void vms_read(struct vms *vms)
{
	DIR *dir = opendir(VMS);
	struct dirent *d;
	char *rest;
	long thread;
	pid_t pid;

	memset(vms, 0, sizeof(*vms));
	if (!dir)
		return;
	while ((d = readdir(dir))) {
		thread = strtol(d->d_name, &rest, 10);
		pid = thread > 0 && thread <= INT32_MAX && *rest == '-' ? process_of(thread) : 0;
		if (pid)
			add_vm(vms, d->d_name, pid);
	}
	closedir(dir);
}

void vms_free(struct vms *vms)
{
	free(vms->process);
	memset(vms, 0, sizeof(*vms));
}

const struct vm_counts *vms_of(const struct vms *vms, pid_t pid)
{
	return find(vms, pid);
}
