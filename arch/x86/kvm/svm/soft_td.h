/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * TDX VMs of kvm_amd, with the software TDX module as their TDX module.
 */
#ifndef __KVM_X86_SVM_SOFT_TD_H
#define __KVM_X86_SVM_SOFT_TD_H

#include "soft_tdx/soft_tdx.h"
#include "svm.h"
#include "tdx_mem.h"

/**
 * struct soft_td_vcpu - what a vCPU of such a VM has beside the others
 * @vp: control pages; the module knows the VP by these
 * @initialized: the module does
 * @action: what the last TDCALL wants to be done
 * @exit: the EPT violation that goes with it
 */
struct soft_td_vcpu {
	struct tdx_vp vp;
	bool initialized;
	enum soft_tdx_action action;
	struct soft_tdx_exit exit;
};

/* The operations of kvm_amd for all other VMs, and what is common to all. */
extern struct kvm_x86_ops soft_td_svm_ops;

static inline struct soft_td_vcpu *to_soft_td_vcpu(struct kvm_vcpu *vcpu)
{
	return to_svm(vcpu)->soft_td;
}

/* soft_td_run.c */
enum exit_fastpath_completion soft_td_vcpu_run(struct kvm_vcpu *vcpu, u64 run_flags);
int soft_td_handle_exit(struct kvm_vcpu *vcpu,
			enum exit_fastpath_completion fastpath);
int soft_td_skip_instruction(struct kvm_vcpu *vcpu);
int soft_td_check_emulation(struct kvm_vcpu *vcpu, int emul_type, void *insn,
			    int insn_len);
void soft_td_load_mmu_pgd(struct kvm_vcpu *vcpu, hpa_t root, int level);

#endif /* __KVM_X86_SVM_SOFT_TD_H */
