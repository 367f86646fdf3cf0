// SPDX-License-Identifier: GPL-2.0-only
/*
 * TDH.MEM.PAGE.DEMOTE, which Linux 7.3 has no wrapper for.
 */
#include <linux/cacheflush.h>
#include <linux/mm.h>
#include <asm/tdx_soft.h>

#include "seamcall_internal.h"

/**
 * tdh_mem_page_demote - split a mapping of a TD's private memory
 * @td: the TD
 * @gpa: where the mapping starts
 * @level: its level, PG_LEVEL_2M or PG_LEVEL_1G
 * @page: becomes the table of the 512 smaller mappings
 * @ext_err1: RCX: the Secure EPT entry that the call failed on
 * @ext_err2: RDX: its level and state
 *
 * A runnable TD needs the mapping blocked and tracked before. Afterwards its
 * parts are not blocked.
 *
 * Source: "Intel TDX Module 1.5 ABI specification", TDH.MEM.PAGE.DEMOTE.
 *
 * Return: RAX. TDX_INTERRUPTED_RESTARTABLE, which modules without
 * ENHANCED_DEMOTE_INTERRUPTIBILITY may return, means that nothing happened.
 */
u64 tdh_mem_page_demote(struct tdx_td *td, u64 gpa, enum pg_level level,
			struct page *page, u64 *ext_err1, u64 *ext_err2)
{
	struct tdx_module_args args = {
		.rcx = gpa | (level - PG_LEVEL_4K),
		.rdx = page_to_phys(td->tdr_page),
		.r8 = page_to_phys(page),
	};
	u64 ret;

	/* As tdx.c does for each page that it gives to the module. */
	clflush_cache_range(page_to_virt(page), PAGE_SIZE);
	ret = seamcall_ret(TDH_MEM_PAGE_DEMOTE, &args);

	*ext_err1 = args.rcx;
	*ext_err2 = args.rdx;

	return ret;
}
EXPORT_SYMBOL_FOR_KVM(tdh_mem_page_demote);
