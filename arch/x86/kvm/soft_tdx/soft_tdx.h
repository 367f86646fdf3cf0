/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The software TDX module, as the vendor module that runs its vCPUs sees it.
 * The host's leaves are not here: they go through the tdh_*() wrappers.
 * Documentation/virt/kvm/soft-tdx.rst says what is modelled.
 */
#ifndef __KVM_X86_SOFT_TDX_H
#define __KVM_X86_SOFT_TDX_H

#include <linux/kvm_types.h>
#include <asm/tdx_soft.h>

/* Pages that tdx_td.tdcs_nr_pages and tdx_td.tdcx_nr_pages have to say. */
#define SOFT_TDX_TDCS_PAGES	1
#define SOFT_TDX_TDCX_PAGES	1

/* Private key IDs that TDH.MNG.CREATE accepts: 1 .. SOFT_TDX_HKIDS. */
#define SOFT_TDX_HKIDS		63

/* VPs that a TD can have. */
#define SOFT_TDX_MAX_VPS	64

/* GPA bit that says shared, of every TD. Guest tables have four levels. */
#define SOFT_TDX_SHARED_BIT	47

/* Fields of TDH.MNG.RD, of this module only: 8 of the 48 bytes of MRTD each. */
#define SOFT_TDX_FIELD_MRTD(n)	(BIT_ULL(63) + (n))

/**
 * enum soft_tdx_action - what is to be done after a TDCALL
 * @SOFT_TDX_RESUME: enter the guest behind the instruction, with RAX and
 *		     registers as left
 * @SOFT_TDX_REPEAT: enter the guest at the instruction again, with registers
 *		     untouched; the call is not done and a pending interrupt
 *		     comes first
 * @SOFT_TDX_EXIT_EPT_VIOLATION: leave to the host; see struct soft_tdx_exit.
 *		     The guest stays at the instruction.
 * @SOFT_TDX_EXIT_VMCALL: leave to the host, which answers TDG.VP.VMCALL and
 *		     then goes on behind the instruction
 */
enum soft_tdx_action {
	SOFT_TDX_RESUME,
	SOFT_TDX_REPEAT,
	SOFT_TDX_EXIT_EPT_VIOLATION,
	SOFT_TDX_EXIT_VMCALL,
};

/**
 * struct soft_tdx_exit - an EPT violation that a TDCALL caused
 * @gpa: the address, without level
 * @ext_qual: extended exit qualification, TDX_EXT_EXIT_QUAL_*
 */
struct soft_tdx_exit {
	u64 gpa;
	u64 ext_qual;
};

#ifdef CONFIG_KVM_SOFT_TDX
/* For kvm-amd when it is loaded, and when it goes. */
void soft_tdx_init(void);
void soft_tdx_exit(void);
#else
static inline void soft_tdx_init(void) { }
static inline void soft_tdx_exit(void) { }
#endif

/* For kvm-amd: what gmem takes back is no guest's any more. */
void soft_tdx_given_back(kvm_pfn_t pfn, unsigned long nr);

/* The module is there from the first get to the last put. May sleep. */
int soft_tdx_get(void);
void soft_tdx_put(void);

/* Between enter and exit a VP is in the TD: interrupts off, same processor. */
u64 soft_tdx_vp_enter(struct tdx_vp *vp, bool *flush_tlb);
void soft_tdx_ept_violation(struct tdx_vp *vp, u64 rip);
void soft_tdx_td_exit(struct tdx_vp *vp);
enum soft_tdx_action soft_tdx_tdcall(struct tdx_vp *vp, u64 *rax,
				     struct tdx_module_args *args,
				     struct soft_tdx_exit *exit);

/* Nested tables: the private half is the module's, the shared half KVM's. */
hpa_t soft_tdx_root(struct tdx_vp *vp);
void soft_tdx_set_shared_root(struct tdx_vp *vp, hpa_t root);

/* An access without TDCALL to a pending page is #VE, or ends the TD. */
bool soft_tdx_is_pending(struct tdx_vp *vp, u64 gpa);
bool soft_tdx_sept_ve_disabled(struct tdx_vp *vp);
bool soft_tdx_set_ve_info(struct tdx_vp *vp, const struct ve_info *ve);

#endif /* __KVM_X86_SOFT_TDX_H */
