/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SEAMCALLs that Linux 7.3 has no wrapper for, and a software TDX module
 * under all of them.
 */
#ifndef _ASM_X86_TDX_SOFT_H
#define _ASM_X86_TDX_SOFT_H

#include <linux/jump_label.h>
#include <asm/tdx.h>
#include <asm/tdx_mem_errno.h>

/* Leaf of TDH.MEM.PAGE.DEMOTE in the TDX Module 1.5 ABI specification. */
#define TDH_MEM_PAGE_DEMOTE		15

/**
 * enum tdx_rule - what KVM checks of itself, since no SEAMCALL shows it
 * @TDX_RULE_ZAP_EXACT: nothing of a mapping goes that was not to go
 * @TDX_RULE_SPLIT_LOCK: mappings are split with mmu_lock held for write
 * @TDX_RULE_SPLIT_WINDOW: and where nobody puts them together again
 * @TDX_NR_RULES: how many there are
 */
enum tdx_rule {
	TDX_RULE_ZAP_EXACT,
	TDX_RULE_SPLIT_LOCK,
	TDX_RULE_SPLIT_WINDOW,
	TDX_NR_RULES
};

/**
 * struct tdx_seamcall_ops - a TDX module that is not behind SEAMCALL
 * @call: a leaf with its registers, as the instruction would get them; returns
 *	  RAX and leaves output in @args. Called with preemption off: must not
 *	  sleep. Leaves it does not know return TDX_SEAMCALL_UD, as a processor
 *	  without SEAM mode.
 * @broken: KVM was about to break a rule, at this address. Any context.
 * @access: the host is about to read or write a page of a file. Any context; there
 *	   may be no TD.
 */
struct tdx_seamcall_ops {
	u64 (*call)(u64 leaf, struct tdx_module_args *args);
	void (*broken)(enum tdx_rule rule, u64 gpa);
	void (*access)(u64 pfn);
};

#ifdef CONFIG_KVM_SOFT_TDX
DECLARE_STATIC_KEY_FALSE(tdx_seamcalls_replaced);

int tdx_register_seamcalls(const struct tdx_seamcall_ops *ops);
void tdx_unregister_seamcalls(void);
u64 tdx_replaced_seamcall(u64 leaf, struct tdx_module_args *args);
void tdx_rule_broken(enum tdx_rule rule, u64 gpa);
void tdx_host_access(u64 pfn);

static __always_inline bool tdx_has_replaced_seamcalls(void)
{
	return static_branch_unlikely(&tdx_seamcalls_replaced);
}
#else
static __always_inline bool tdx_has_replaced_seamcalls(void)
{
	return false;
}

static inline u64 tdx_replaced_seamcall(u64 leaf, struct tdx_module_args *args)
{
	return TDX_SEAMCALL_UD;
}

static inline void tdx_rule_broken(enum tdx_rule rule, u64 gpa)
{
}

static inline void tdx_host_access(u64 pfn)
{
}
#endif

u64 tdh_mem_page_demote(struct tdx_td *td, u64 gpa, enum pg_level level,
			struct page *page, u64 *ext_err1, u64 *ext_err2);

#endif /* _ASM_X86_TDX_SOFT_H */
