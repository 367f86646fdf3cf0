/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef KVM_GMEM_ATTRIBUTES_H
#define KVM_GMEM_ATTRIBUTES_H

#include <linux/compiler_types.h>

struct inode;

int kvm_gmem_set_attributes(struct inode *inode, void __user *argp);
int kvm_gmem_get_attributes(struct inode *inode, void __user *argp);

#endif
