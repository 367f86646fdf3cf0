// SPDX-License-Identifier: GPL-2.0-only
/*
 * TDCALL: what a guest asks of the module.
 *
 * Source: "Intel TDX Module 1.5 ABI specification", TDG.*.
 */
#include <linux/bitfield.h>

#include "internal.h"

/* Pages that an accept of 2 MiB does before it looks for interrupts. */
#define ACCEPT_CHUNK	32

/**
 * struct accept - a TDG.MEM.PAGE.ACCEPT on its way
 * @td: the TD
 * @gpa: address of the page
 * @want: its level, as the guest asks for
 * @level: where the walk ended
 * @entry: the entry there
 * @value: of the entry
 */
struct accept {
	struct soft_td *td;
	u64 gpa;
	int want;
	int level;
	u64 *entry;
	u64 value;
};

/* Nothing that the guest could do about it: ask the host for a mapping. */
static enum soft_tdx_action ept_violation(struct accept *a, struct soft_tdx_exit *exit)
{
	enum sept_state state = sept_state(a->value);

	exit->gpa = a->gpa;
	exit->ext_qual = TDX_EXT_EXIT_QUAL_TYPE_ACCEPT |
			 FIELD_PREP(TDX_EXT_EXIT_QUAL_REQ_LEVEL, a->want) |
			 FIELD_PREP(TDX_EXT_EXIT_QUAL_ERR_LEVEL, a->level) |
			 FIELD_PREP(TDX_EXT_EXIT_QUAL_ERR_STATE, sept_arch_state(state)) |
			 (BIT(state) & SEPT_ANY_LEAF ? TDX_EXT_EXIT_QUAL_IS_LEAF : 0);
	stats_accept(a->want, TDX_EPT_ENTRY_STATE_INCORRECT);
	return SOFT_TDX_EXIT_EPT_VIOLATION;
}

static enum soft_tdx_action accept_done(struct accept *a, u64 ret, u64 *rax)
{
	stats_accept(a->want, ret);
	*rax = ret;
	return SOFT_TDX_RESUME;
}

/* Zero the next pages of a mapping. Returns true if it is all zero now. */
static bool zero_pages(struct accept *a, unsigned int *accepted)
{
	u64 pfn = sept_pfn(a->value, a->level);
	unsigned int nr = LEVEL_PAGES(a->level);
	unsigned int end = min(*accepted + ACCEPT_CHUNK, nr);

	for (; *accepted < end; (*accepted)++)
		clear_page(__va(PFN_PHYS(pfn + *accepted)));
	return *accepted == nr;
}

/* The entry is locked and pending. */
static enum soft_tdx_action accept_pending(struct accept *a, u64 *rax)
{
	unsigned int accepted = a->level ? sept_accepted(a->value) : 0;

	if (!zero_pages(a, &accepted)) {
		sept_commit(a->td, a->entry, a->level, sept_set_accepted(a->value, accepted));
		return SOFT_TDX_REPEAT;
	}
	sept_commit(a->td, a->entry, a->level,
		    sept_make(SEPT_MAPPED, a->level, sept_pfn(a->value, a->level)));
	return accept_done(a, TDX_SUCCESS, rax);
}

static enum soft_tdx_action accept_locked(struct accept *a, u64 *rax, struct soft_tdx_exit *exit)
{
	enum sept_state state;

	a->value = sept_read(a->entry);
	state = sept_state(a->value);
	if (state == SEPT_PENDING)
		return accept_pending(a, rax);

	sept_unlock(a->entry);
	if (state >= SEPT_NL_MAPPED)
		return accept_done(a, operand(TDX_PAGE_SIZE_MISMATCH, a->level), rax);
	if (state == SEPT_MAPPED)
		return accept_done(a, operand(TDX_PAGE_ALREADY_ACCEPTED, a->level), rax);
	return ept_violation(a, exit);
}

static enum soft_tdx_action accept_walked(struct accept *a, u64 *rax, struct soft_tdx_exit *exit)
{
	u64 ret;

	a->level = a->want;
	a->entry = sept_walk(a->td, a->gpa, &a->level);
	a->value = sept_read(a->entry);
	if (a->level != a->want) {
		if (sept_state(a->value) == SEPT_MAPPED)
			return accept_done(a, operand(TDX_PAGE_ALREADY_ACCEPTED, a->level), rax);
		return ept_violation(a, exit);
	}

	ret = sept_lock_guest(a->entry);
	if (ret)
		return accept_done(a, operand(ret, TDX_OPERAND_ID_RCX), rax);
	return accept_locked(a, rax, exit);
}

static enum soft_tdx_action accept(struct soft_vp *vp, u64 rcx, u64 *rax,
				   struct soft_tdx_exit *exit)
{
	struct accept a = {
		.td = vp->td,
		.gpa = rcx & PAGE_MASK,
		.want = rcx & 7,
	};
	enum soft_tdx_action action;

	if (a.want > LEVEL_2M || (rcx & ~PAGE_MASK & ~7ULL) || !sept_gpa_ok(a.gpa, a.want)) {
		*rax = operand(TDX_OPERAND_INVALID, TDX_OPERAND_ID_RCX);
		return SOFT_TDX_RESUME;
	}

	if (!sharex_try_shared(&a.td->tree))
		return accept_done(&a, operand(TDX_OPERAND_BUSY, TDX_OPERAND_ID_SEPT), rax);
	action = accept_walked(&a, rax, exit);
	sharex_put_shared(&a.td->tree);
	return action;
}

static u64 vp_info(struct soft_vp *vp, struct tdx_module_args *args)
{
	args->rcx = SOFT_TDX_SHARED_BIT + 1;
	args->rdx = vp->td->attributes;
	args->r8 = vp->td->nr_vps | (u64)vp->td->max_vps << 32;
	args->r9 = vp->index;
	args->r10 = 0;
	args->r11 = 0;
	return TDX_SUCCESS;
}

static u64 veinfo_get(struct soft_vp *vp, struct tdx_module_args *args)
{
	if (!vp->ve_valid)
		return TDX_NO_VALID_VE_INFO;
	vp->ve_valid = false;
	args->rcx = vp->ve.exit_reason;
	args->rdx = vp->ve.exit_qual;
	args->r8 = vp->ve.gla;
	args->r9 = vp->ve.gpa;
	args->r10 = vp->ve.instr_len | (u64)vp->ve.instr_info << 32;
	return TDX_SUCCESS;
}

/**
 * soft_tdx_tdcall - a guest's TDCALL
 * @tdx_vp: the VP, inside the TD
 * @rax: leaf; then what the call returns, if the answer is SOFT_TDX_RESUME
 * @args: the other registers of the guest, in and out
 * @exit: filled in if the answer is SOFT_TDX_EXIT_EPT_VIOLATION
 *
 * An accept of 2 MiB is done in parts, SOFT_TDX_REPEAT after each, and goes on
 * where it was even after the VP left the TD in between.
 *
 * Context: interrupts off. Allocates nothing and waits for nothing.
 * Return: what to do with the VP.
 */
enum soft_tdx_action soft_tdx_tdcall(struct tdx_vp *tdx_vp, u64 *rax,
				     struct tdx_module_args *args,
				     struct soft_tdx_exit *exit)
{
	struct soft_vp *vp = soft_vp_of(tdx_vp);

	lockdep_assert_irqs_disabled();
	if (WARN_ON_ONCE(!vp || !vp->inside))
		return SOFT_TDX_EXIT_VMCALL;

	switch (*rax) {
	case TDG_VP_VMCALL:
		return SOFT_TDX_EXIT_VMCALL;
	case TDG_VP_INFO:
		*rax = vp_info(vp, args);
		return SOFT_TDX_RESUME;
	case TDG_VP_VEINFO_GET:
		*rax = veinfo_get(vp, args);
		return SOFT_TDX_RESUME;
	case TDG_MEM_PAGE_ACCEPT:
		return accept(vp, args->rcx, rax, exit);
	default:
		*rax = operand(TDX_OPERAND_INVALID, TDX_OPERAND_ID_RAX);
		return SOFT_TDX_RESUME;
	}
}

/**
 * soft_tdx_is_pending - whether an access faulted for want of an accept
 * @tdx_vp: the VP that touched it
 * @gpa: the address, private or not
 *
 * Return: true if the page is pending: the guest gets #VE, or with
 * soft_tdx_sept_ve_disabled() its host a TD exit. Blocked pages are the host's
 * business.
 */
bool soft_tdx_is_pending(struct tdx_vp *tdx_vp, u64 gpa)
{
	struct soft_vp *vp = soft_vp_of(tdx_vp);
	int level = LEVEL_4K;

	if (!vp || !sept_gpa_ok(gpa & PAGE_MASK, LEVEL_4K))
		return false;
	return sept_state(sept_read(sept_walk(vp->td, gpa, &level))) == SEPT_PENDING;
}

/* The TD asked for exits where it would get #VE. */
bool soft_tdx_sept_ve_disabled(struct tdx_vp *tdx_vp)
{
	struct soft_vp *vp = soft_vp_of(tdx_vp);

	return vp && vp->td->attributes & TDX_TD_ATTR_SEPT_VE_DISABLE;
}

/**
 * soft_tdx_set_ve_info - what the guest will be told of a #VE
 * @tdx_vp: the VP, for which the caller injects vector 20
 * @ve: the information
 *
 * Return: false if the guest did not read that of the last one: it is #DF then.
 */
bool soft_tdx_set_ve_info(struct tdx_vp *tdx_vp, const struct ve_info *ve)
{
	struct soft_vp *vp = soft_vp_of(tdx_vp);

	if (!vp || vp->ve_valid)
		return false;
	vp->ve = *ve;
	vp->ve_valid = true;
	return true;
}
