// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a TDX module that is software takes the place of the SEAMCALL
 * instruction.
 */
#include <linux/export.h>
#include <linux/kvm_types.h>
#include <linux/mutex.h>
#include <asm/tdx_soft.h>

DEFINE_STATIC_KEY_FALSE(tdx_seamcalls_replaced);

static DEFINE_MUTEX(seamcall_lock);
static const struct tdx_seamcall_ops *seamcall_ops;

/**
 * tdx_register_seamcalls - have SEAMCALLs go to @ops instead of the processor
 * @ops: stays valid until tdx_unregister_seamcalls() returned
 *
 * Context: may sleep; no wrapper of a SEAMCALL may be in use.
 * Return: 0; -EBUSY if the processor's TDX module is in use, or if there is
 * another software module.
 */
int tdx_register_seamcalls(const struct tdx_seamcall_ops *ops)
{
	guard(mutex)(&seamcall_lock);
	if (seamcall_ops || tdx_get_sysinfo())
		return -EBUSY;

	WRITE_ONCE(seamcall_ops, ops);
	static_branch_enable(&tdx_seamcalls_replaced);
	return 0;
}
EXPORT_SYMBOL_FOR_KVM(tdx_register_seamcalls);

/**
 * tdx_unregister_seamcalls - SEAMCALLs are the processor's again
 *
 * Context: may sleep; no wrapper of a SEAMCALL may be in use.
 */
void tdx_unregister_seamcalls(void)
{
	guard(mutex)(&seamcall_lock);
	static_branch_disable(&tdx_seamcalls_replaced);
	WRITE_ONCE(seamcall_ops, NULL);
}
EXPORT_SYMBOL_FOR_KVM(tdx_unregister_seamcalls);

/**
 * tdx_replaced_seamcall - what SEAMCALL does while a software module is there
 * @leaf: RAX
 * @args: the other registers, in and out
 *
 * Context: preemption off.
 * Return: RAX.
 */
u64 tdx_replaced_seamcall(u64 leaf, struct tdx_module_args *args)
{
	const struct tdx_seamcall_ops *ops = READ_ONCE(seamcall_ops);

	return ops ? ops->call(leaf, args) : TDX_SEAMCALL_UD;
}

/**
 * tdx_rule_broken - tell a software module of what it cannot see
 * @rule: that KVM was about to break
 * @gpa: where
 *
 * Context: any; a TD is there.
 */
void tdx_rule_broken(enum tdx_rule rule, u64 gpa)
{
	const struct tdx_seamcall_ops *ops = READ_ONCE(seamcall_ops);

	if (ops)
		ops->broken(rule, gpa);
}
EXPORT_SYMBOL_FOR_KVM(tdx_rule_broken);

/**
 * tdx_host_access - tell a software module what the host does to memory
 * @pfn: page of a file
 *
 * Context: any; callers look at tdx_has_replaced_seamcalls() before.
 */
void tdx_host_access(u64 pfn)
{
	const struct tdx_seamcall_ops *ops = READ_ONCE(seamcall_ops);

	if (ops)
		ops->access(pfn);
}
EXPORT_SYMBOL_FOR_KVM(tdx_host_access);
