// SPDX-License-Identifier: GPL-2.0-only
/*
 * vCPUs of TDX VMs of kvm_amd
 *
 * A vCPU walks nested tables of which the lower half is the module's secure EPT
 * and the upper half, where the shared bit is set, KVM's. TDCALL is VMMCALL. What
 * the module answers it answers between entry and exit, as a real one does: with
 * interrupts off and while KVM counts the vCPU as in the guest.
 *
 * Guest state is not protected, and memory only as far as KVM keeps out of it.
 * What needs an emulator to fetch the guest's instruction is not done.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/entry-virt.h>
#include <linux/kvm_host.h>
#include <asm/shared/tdx.h>
#include <asm/tdx.h>
#include <asm/tdx_mem_errno.h>

#include "kvm_emulate.h"
#include "mmu.h"
#include "soft_td.h"
#include "trace.h"
#include "x86.h"

/* Of the instructions that KVM intercepts, without prefixes. */
static unsigned int soft_td_insn_len(u64 exit_code)
{
	switch (exit_code) {
	case SVM_EXIT_HLT:
		return 1;
	case SVM_EXIT_CPUID:
	case SVM_EXIT_MSR:
	case SVM_EXIT_PAUSE:
	case SVM_EXIT_INVD:
	case SVM_EXIT_WBINVD:
	case SVM_EXIT_RDTSC:
	case SVM_EXIT_RDPMC:
		return 2;
	case SVM_EXIT_VMMCALL:
	case SVM_EXIT_XSETBV:
	case SVM_EXIT_RDTSCP:
		return 3;
	default:
		return 0;
	}
}

/* Without the next RIP from the processor, KVM would read the instruction. */
int soft_td_skip_instruction(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	unsigned int len;

	if (svm->soft_td && !svm->next_rip && !svm->vmcb->control.next_rip) {
		len = soft_td_insn_len(svm->vmcb->control.exit_code);
		if (len)
			svm->next_rip = kvm_rip_read(vcpu) + len;
	}
	return soft_td_svm_ops.skip_emulated_instruction(vcpu);
}

int soft_td_check_emulation(struct kvm_vcpu *vcpu, int emul_type, void *insn,
			    int insn_len)
{
	if (!to_soft_td_vcpu(vcpu) || emul_type & EMULTYPE_NO_DECODE)
		return soft_td_svm_ops.check_emulate_instruction(vcpu, emul_type,
								 insn, insn_len);

	/* A slot came or went meanwhile: the access is carried out again. */
	return emul_type & EMULTYPE_PF ? X86EMUL_RETRY_INSTR : X86EMUL_UNHANDLEABLE;
}

void soft_td_load_mmu_pgd(struct kvm_vcpu *vcpu, hpa_t root, int level)
{
	struct soft_td_vcpu *td = to_soft_td_vcpu(vcpu);

	/* KVM's own comes at each entry, so that it is never one that is gone. */
	if (td && td->initialized)
		root = soft_tdx_root(&td->vp);
	soft_td_svm_ops.load_mmu_pgd(vcpu, root, level);
}

static void soft_td_get_args(struct kvm_vcpu *vcpu, struct tdx_module_args *args)
{
	unsigned long *regs = vcpu->arch.regs;

	*args = (struct tdx_module_args) {
		.rcx = regs[VCPU_REGS_RCX], .rdx = regs[VCPU_REGS_RDX],
		.r8 = regs[VCPU_REGS_R8], .r9 = regs[VCPU_REGS_R9],
		.r10 = regs[VCPU_REGS_R10], .r11 = regs[VCPU_REGS_R11],
		.r12 = regs[VCPU_REGS_R12], .r13 = regs[VCPU_REGS_R13],
		.r14 = regs[VCPU_REGS_R14], .r15 = regs[VCPU_REGS_R15],
		.rbx = regs[VCPU_REGS_RBX], .rdi = regs[VCPU_REGS_RDI],
		.rsi = regs[VCPU_REGS_RSI],
	};
}

static void soft_td_set_args(struct kvm_vcpu *vcpu, const struct tdx_module_args *args)
{
	unsigned long *regs = vcpu->arch.regs;

	regs[VCPU_REGS_RCX] = args->rcx;
	regs[VCPU_REGS_RDX] = args->rdx;
	regs[VCPU_REGS_R8] = args->r8;
	regs[VCPU_REGS_R9] = args->r9;
	regs[VCPU_REGS_R10] = args->r10;
	regs[VCPU_REGS_R11] = args->r11;
	regs[VCPU_REGS_R12] = args->r12;
	regs[VCPU_REGS_R13] = args->r13;
	regs[VCPU_REGS_R14] = args->r14;
	regs[VCPU_REGS_R15] = args->r15;
	regs[VCPU_REGS_RBX] = args->rbx;
	regs[VCPU_REGS_RDI] = args->rdi;
	regs[VCPU_REGS_RSI] = args->rsi;
}

static void soft_td_skip_tdcall(struct kvm_vcpu *vcpu)
{
	struct vmcb_control_area *control = &to_svm(vcpu)->vmcb->control;

	vcpu->arch.rip = control->next_rip ?:
			 vcpu->arch.rip + soft_td_insn_len(SVM_EXIT_VMMCALL);
	control->int_state &= ~SVM_INTERRUPT_SHADOW_MASK;
}

/* Returns true if the vCPU stays in the TD. */
static bool soft_td_tdcall(struct kvm_vcpu *vcpu)
{
	struct soft_td_vcpu *td = to_soft_td_vcpu(vcpu);
	u64 rax = vcpu->arch.regs[VCPU_REGS_RAX];
	struct tdx_module_args args;

	soft_td_get_args(vcpu, &args);
	td->action = soft_tdx_tdcall(&td->vp, &rax, &args, &td->exit);
	switch (td->action) {
	case SOFT_TDX_RESUME:
		vcpu->arch.regs[VCPU_REGS_RAX] = rax;
		soft_td_set_args(vcpu, &args);
		soft_td_skip_tdcall(vcpu);
		return true;
	case SOFT_TDX_REPEAT:
		return true;
	default:
		return false;
	}
}

/* Says whether the vCPU may be in the TD, and then is. */
static bool soft_td_enter(struct kvm_vcpu *vcpu)
{
	struct soft_td_vcpu *td = to_soft_td_vcpu(vcpu);
	bool flush = false;
	u64 err;

	/* KVM repeats a SEAMCALL that a vCPU inside would disturb. */
	if (READ_ONCE(to_tdx_mem(vcpu->kvm)->wait_for_sept_zap))
		return false;

	err = soft_tdx_vp_enter(&td->vp, &flush);
	if ((err & TDX_SEAMCALL_STATUS_MASK) == TDX_OPERAND_BUSY ||
	    KVM_BUG_ON(err, vcpu->kvm))
		return false;

	soft_tdx_set_shared_root(&td->vp, vcpu->arch.mmu->root.hpa);
	if (flush)
		soft_td_svm_ops.flush_tlb_current(vcpu);
	return true;
}

/* Somebody waits for the vCPU to be out, or the thread has other work. */
static bool soft_td_must_leave(struct kvm_vcpu *vcpu)
{
	return READ_ONCE(vcpu->mode) == EXITING_GUEST_MODE ||
	       kvm_request_pending(vcpu) || xfer_to_guest_mode_work_pending();
}

/* What the host is told of: not an access that is the guest's own fault. */
static bool soft_td_violates(struct kvm_vcpu *vcpu)
{
	struct vmcb_control_area *control = &to_svm(vcpu)->vmcb->control;
	struct soft_td_vcpu *td = to_soft_td_vcpu(vcpu);

	if (control->exit_code == SVM_EXIT_VMMCALL)
		return td->action == SOFT_TDX_EXIT_EPT_VIOLATION;

	return control->exit_code == SVM_EXIT_NPF &&
	       !kvm_is_addr_direct(vcpu->kvm, control->exit_info_2) &&
	       !soft_tdx_is_pending(&td->vp, control->exit_info_2);
}

enum exit_fastpath_completion soft_td_vcpu_run(struct kvm_vcpu *vcpu, u64 run_flags)
{
	struct soft_td_vcpu *td = to_soft_td_vcpu(vcpu);
	struct vcpu_svm *svm = to_svm(vcpu);
	enum exit_fastpath_completion r;

	if (!td)
		return soft_td_svm_ops.vcpu_run(vcpu, run_flags);

	if (!soft_td_enter(vcpu)) {
		soft_td_svm_ops.cancel_injection(vcpu);
		/* As if it had been kicked out at once. */
		svm->vmcb->control.exit_code = SVM_EXIT_INTR;
		return EXIT_FASTPATH_EXIT_HANDLED;
	}

	for (;;) {
		r = soft_td_svm_ops.vcpu_run(vcpu, run_flags);
		if (svm->vmcb->control.exit_code != SVM_EXIT_VMMCALL ||
		    r != EXIT_FASTPATH_NONE || !soft_td_tdcall(vcpu))
			break;

		if (soft_td_must_leave(vcpu)) {
			r = EXIT_FASTPATH_EXIT_HANDLED;
			break;
		}
		run_flags = 0;
	}

	if (r == EXIT_FASTPATH_NONE && soft_td_violates(vcpu))
		soft_tdx_ept_violation(&td->vp, vcpu->arch.rip);
	soft_tdx_td_exit(&td->vp);
	return r;
}

/* The guest finds out by TDG.VP.VEINFO.GET what it was. */
static int soft_td_inject_ve(struct kvm_vcpu *vcpu, gpa_t gpa, u64 error_code)
{
	const struct ve_info ve = {
		.exit_reason	= EXIT_REASON_EPT_VIOLATION,
		.exit_qual	= error_code & PFERR_FETCH_MASK ? EPT_VIOLATION_ACC_INSTR :
				  error_code & PFERR_WRITE_MASK ? EPT_VIOLATION_ACC_WRITE :
								  EPT_VIOLATION_ACC_READ,
		.gpa		= gpa,
	};

	if (soft_tdx_set_ve_info(&to_soft_td_vcpu(vcpu)->vp, &ve))
		kvm_queue_exception(vcpu, VE_VECTOR);
	else
		kvm_queue_exception_e(vcpu, DF_VECTOR, 0);
	return 1;
}

static int soft_td_private_fault(struct kvm_vcpu *vcpu, gpa_t gpa, u64 error_code)
{
	struct soft_td_vcpu *td = to_soft_td_vcpu(vcpu);

	if (!soft_tdx_is_pending(&td->vp, gpa))
		return tdx_mem_fault(vcpu, gpa, 0);

	if (!soft_tdx_sept_ve_disabled(&td->vp))
		return soft_td_inject_ve(vcpu, gpa, error_code);

	pr_warn_ratelimited("vCPU %d used 0x%llx without accepting it\n",
			    vcpu->vcpu_id, gpa);
	kvm_vm_dead(vcpu->kvm);
	return -EIO;
}

static int soft_td_npf(struct kvm_vcpu *vcpu)
{
	struct vmcb_control_area *control = &to_svm(vcpu)->vmcb->control;
	gfn_t direct = kvm_gfn_direct_bits(vcpu->kvm);
	u64 error_code = control->exit_info_1;
	gpa_t gpa = control->exit_info_2;

	trace_kvm_page_fault(vcpu, gpa, error_code);

	if (!kvm_is_addr_direct(vcpu->kvm, gpa))
		return soft_td_private_fault(vcpu, gpa, error_code);

	/* MMIO is for the guest to ask for. */
	if (!kvm_vcpu_gfn_to_memslot(vcpu, gpa_to_gfn(gpa) & ~direct))
		return soft_td_inject_ve(vcpu, gpa, error_code);

	/* A reserved bit is of an MMIO SPTE from before there was the slot. */
	error_code &= ~(PFERR_SYNTHETIC_MASK | PFERR_RSVD_MASK);
	return kvm_mmu_page_fault(vcpu, gpa, error_code, NULL, 0);
}

static int soft_td_answer(struct kvm_vcpu *vcpu, u64 status, u64 r11)
{
	vcpu->arch.regs[VCPU_REGS_RAX] = TDX_SUCCESS;
	vcpu->arch.regs[VCPU_REGS_R10] = status;
	vcpu->arch.regs[VCPU_REGS_R11] = r11;
	soft_td_skip_tdcall(vcpu);
	return 1;
}

static int soft_td_map_gpa_done(struct kvm_vcpu *vcpu)
{
	u64 gpa = vcpu->arch.regs[VCPU_REGS_R12];

	switch (READ_ONCE(vcpu->run->hypercall.ret)) {
	case 0:
		return soft_td_answer(vcpu, TDVMCALL_STATUS_SUCCESS, 0);
	case EAGAIN:
		return soft_td_answer(vcpu, TDVMCALL_STATUS_RETRY, gpa);
	case EINVAL:
		return soft_td_answer(vcpu, TDVMCALL_STATUS_INVALID_OPERAND, gpa);
	default:
		return -EINVAL;
	}
}

static int soft_td_map_gpa(struct kvm_vcpu *vcpu)
{
	u64 gpa = vcpu->arch.regs[VCPU_REGS_R12];
	u64 size = vcpu->arch.regs[VCPU_REGS_R13];
	struct kvm_run *run = vcpu->run;
	bool shared;

	if (!user_exit_on_hypercall(vcpu->kvm, KVM_HC_MAP_GPA_RANGE))
		return soft_td_answer(vcpu, TDVMCALL_STATUS_SUBFUNC_UNSUPPORTED, gpa);

	shared = kvm_is_addr_direct(vcpu->kvm, gpa);
	if (gpa + size <= gpa || gpa + size > BIT_ULL(SOFT_TDX_SHARED_BIT + 1) ||
	    kvm_is_addr_direct(vcpu->kvm, gpa + size - 1) != shared)
		return soft_td_answer(vcpu, TDVMCALL_STATUS_INVALID_OPERAND, gpa);
	if (!PAGE_ALIGNED(gpa) || !PAGE_ALIGNED(size))
		return soft_td_answer(vcpu, TDVMCALL_STATUS_ALIGN_ERROR, gpa);

	run->exit_reason = KVM_EXIT_HYPERCALL;
	run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
	run->hypercall.ret = 0;
	run->hypercall.args[0] = gpa & ~gfn_to_gpa(kvm_gfn_direct_bits(vcpu->kvm));
	run->hypercall.args[1] = size >> PAGE_SHIFT;
	run->hypercall.args[2] = shared ? KVM_MAP_GPA_RANGE_DECRYPTED :
					  KVM_MAP_GPA_RANGE_ENCRYPTED;
	run->hypercall.flags = KVM_EXIT_HYPERCALL_LONG_MODE;
	vcpu->arch.complete_userspace_io = soft_td_map_gpa_done;
	return 0;
}

static int soft_td_vmcall(struct kvm_vcpu *vcpu)
{
	/* R10 is 0 for what is standard. */
	if (!vcpu->arch.regs[VCPU_REGS_R10] &&
	    vcpu->arch.regs[VCPU_REGS_R11] == TDVMCALL_MAP_GPA)
		return soft_td_map_gpa(vcpu);

	return soft_td_answer(vcpu, TDVMCALL_STATUS_SUBFUNC_UNSUPPORTED, 0);
}

int soft_td_handle_exit(struct kvm_vcpu *vcpu, enum exit_fastpath_completion fastpath)
{
	struct soft_td_vcpu *td = to_soft_td_vcpu(vcpu);

	if (!td || fastpath != EXIT_FASTPATH_NONE)
		return soft_td_svm_ops.handle_exit(vcpu, fastpath);

	switch (to_svm(vcpu)->vmcb->control.exit_code) {
	case SVM_EXIT_NPF:
		return soft_td_npf(vcpu);
	case SVM_EXIT_VMMCALL:
		return td->action == SOFT_TDX_EXIT_VMCALL ? soft_td_vmcall(vcpu) :
			tdx_mem_fault(vcpu, td->exit.gpa, td->exit.ext_qual);
	default:
		return soft_td_svm_ops.handle_exit(vcpu, fastpath);
	}
}
