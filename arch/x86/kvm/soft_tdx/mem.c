// SPDX-License-Identifier: GPL-2.0-only
/*
 * TDH.MEM.*: what the host does to private memory of a TD.
 *
 * A leaf gets here with its operands checked, the tree and the entry locked,
 * and the entry in a state that the table of leaves allows. It commits the new
 * entry, which unlocks it, or returns an error and leaves the entry alone.
 *
 * Source: "Intel TDX Module 1.5 ABI specification", TDH.MEM.*.
 */
#include "internal.h"

u64 soft_mem_sept_add(struct soft_call *call)
{
	u64 pa = call->in->r8;
	u64 ret = pamt_claim(call->td, pa, LEVEL_4K, PT_EPT, TDX_OPERAND_ID_R8);

	if (ret)
		return ret;
	clear_page(__va(pa));
	sept_commit(call->td, call->entry, call->level,
		    sept_make(SEPT_NL_MAPPED, call->level, PHYS_PFN(pa)));
	return TDX_SUCCESS;
}

u64 soft_mem_page_add(struct soft_call *call)
{
	u64 pa = call->in->r8, source = call->in->r9;
	u64 ret;

	if (!pamt_is_host(source))
		return operand(TDX_OPERAND_INVALID, TDX_OPERAND_ID_R9);
	ret = pamt_claim(call->td, pa, LEVEL_4K, PT_REG, TDX_OPERAND_ID_R8);
	if (ret)
		return ret;

	/* Adding a page where it is lets the host keep what it wrote there. */
	if (pa != source)
		copy_page(__va(pa), __va(source));
	soft_mrtd_add_page(call->td, call->gpa);
	sept_commit(call->td, call->entry, LEVEL_4K,
		    sept_make(SEPT_MAPPED, LEVEL_4K, PHYS_PFN(pa)));
	return TDX_SUCCESS;
}

u64 soft_mem_page_aug(struct soft_call *call)
{
	u64 pa = call->in->r8;
	u64 ret = pamt_claim(call->td, pa, call->level, PT_REG, TDX_OPERAND_ID_R8);

	if (ret)
		return ret;
	sept_commit(call->td, call->entry, call->level,
		    sept_make(SEPT_PENDING, call->level, PHYS_PFN(pa)));
	return TDX_SUCCESS;
}

static enum sept_state blocked(enum sept_state state)
{
	switch (state) {
	case SEPT_MAPPED:
		return SEPT_BLOCKED;
	case SEPT_PENDING:
		return SEPT_PENDING_BLOCKED;
	default:
		return SEPT_NL_BLOCKED;
	}
}

/* A page that was being accepted starts anew, if it ever gets pending again. */
u64 soft_mem_range_block(struct soft_call *call)
{
	u64 pfn = sept_pfn(call->old, call->level);
	enum sept_state state = blocked(sept_state(call->old));

	sept_commit(call->td, call->entry, call->level, sept_make(state, call->level, pfn));
	/* Whoever is entered from here on does not see it: not before. */
	pamt_of(pfn)->bepoch = READ_ONCE(call->td->epoch);
	return TDX_SUCCESS;
}

u64 soft_mem_page_remove(struct soft_call *call)
{
	u64 pfn = sept_pfn(call->old, call->level);

	sept_commit(call->td, call->entry, call->level, sept_make(SEPT_FREE, call->level, 0));
	pamt_release(call->td, pfn, call->level);
	call->out->rcx = PFN_PHYS(pfn);
	return TDX_SUCCESS;
}

static bool was_accepted(enum sept_state state)
{
	return state == SEPT_MAPPED || state == SEPT_BLOCKED;
}

u64 soft_mem_page_demote(struct soft_call *call)
{
	u64 pa = call->in->r8, pfn = sept_pfn(call->old, call->level);
	enum sept_state state = was_accepted(sept_state(call->old)) ? SEPT_MAPPED : SEPT_PENDING;
	u64 *table = __va(pa);
	unsigned long i;
	u64 ret;

	if (inject_demote_restart()) {
		call->out->rcx = call->in->rcx;
		call->out->rdx = call->in->rdx;
		return TDX_INTERRUPTED_RESTARTABLE;
	}
	ret = pamt_claim(call->td, pa, LEVEL_4K, PT_EPT, TDX_OPERAND_ID_R8);
	if (ret)
		return ret;

	for (i = 0; i < LEVEL_PAGES(1); i++)
		table[i] = sept_make(state, LEVEL_4K, pfn + i);
	pamt_split(pfn);
	atomic_long_add(LEVEL_PAGES(1), &call->td->nr_pages[state]);
	sept_commit(call->td, call->entry, call->level,
		    sept_make(SEPT_NL_MAPPED, call->level, PHYS_PFN(pa)));
	return TDX_SUCCESS;
}
