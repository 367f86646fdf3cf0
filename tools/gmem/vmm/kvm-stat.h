/* SPDX-License-Identifier: GPL-2.0-only */
/* Statistics of KVM, for the VMM and for gmem(1). */
#ifndef KVM_STAT_H
#define KVM_STAT_H

#include <stdint.h>

/*
 * One value of what KVM_GET_STATS_FD gave, of a VM or a vCPU, by its name. 0; -ENOENT:
 * there is none of that name; or another -errno.
 */
int kvm_stat_read(int stats_fd, const char *name, uint64_t *value);

#endif /* KVM_STAT_H */
