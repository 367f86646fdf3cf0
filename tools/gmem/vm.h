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

struct vm_counts {
	bool known;		/* debugfs has them, and the user may read it */
	uint64_t value[VM_NR];
};

/* Of all VMs of the process together. */
void vm_read(pid_t pid, struct vm_counts *counts);

#endif /* VM_H */
