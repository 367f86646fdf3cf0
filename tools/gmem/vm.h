/* SPDX-License-Identifier: GPL-2.0-only */
/* vm.c: what KVM counts for the VMs of a process */
#ifndef VM_H
#define VM_H

#include "tool.h"

enum vm_count {
	VM_FAULTS,
	VM_INVALIDATIONS,
	VM_NR,
};

/* Of all VMs of a process together. */
struct vm_counts {
	pid_t pid;
	uint64_t value[VM_NR];
};

struct vms {
	struct vm_counts *process;
	size_t nr;
};

/* None if there is no debugfs, or the user may not read it. */
void vms_read(struct vms *vms);
void vms_free(struct vms *vms);
/* NULL if nothing is known of this process. */
const struct vm_counts *vms_of(const struct vms *vms, pid_t pid);

#endif /* VM_H */
