// SPDX-License-Identifier: GPL-2.0-only
/*
 * VPs, the vCPUs of a TD: TDH.VP.*, and what kvm_amd asks of them.
 *
 * A VP is associated with the processors from its first run to TDH.VP.FLUSH;
 * with which one is not modelled.
 * Source: "Intel TDX Module 1.5 ABI specification".
 */
#include <linux/kvm_host.h>

#include "internal.h"

static struct soft_vp *vp_at(u64 pa)
{
	if (!pamt_has(pa, LEVEL_4K) || pamt_of(PHYS_PFN(pa))->type != PT_TDVPR)
		return NULL;
	return __va(pa);
}

/* The module's side of a VP, or NULL if TDH.VP.CREATE did not make it. */
struct soft_vp *soft_vp_of(struct tdx_vp *vp)
{
	return vp_at(vp->tdvpr_pa);
}

u64 soft_vp_create(struct soft_call *call)
{
	struct soft_td *td = call->td;
	struct soft_vp *vp = __va(call->in->rcx);
	u64 ret;

	if (td->nr_vps == td->max_vps)
		return TDX_MAX_VCPUS_EXCEEDED;
	ret = pamt_claim(td, call->in->rcx, LEVEL_4K, PT_TDVPR, TDX_OPERAND_ID_RCX);
	if (ret)
		return ret;
	clear_page(vp);
	vp->td = td;
	vp->index = td->nr_vps;
	td->vps[td->nr_vps] = vp;
	WRITE_ONCE(td->nr_vps, td->nr_vps + 1);
	return TDX_SUCCESS;
}

/* Operands of a leaf that builds a VP: its TD is initialized, and locked. */
static u64 lock_vp(struct soft_vp *vp, u8 id)
{
	if (!vp)
		return operand(TDX_PAGE_METADATA_INCORRECT, id);
	if (!sharex_try_excl(&vp->td->lock))
		return operand(TDX_OPERAND_BUSY, TDX_OPERAND_ID_TDR);
	if (vp->td->op == OP_INITIALIZED && !vp->initialized)
		return TDX_SUCCESS;
	sharex_put_excl(&vp->td->lock);
	return vp->initialized ? TDX_VCPU_STATE_INCORRECT : TDX_OP_STATE_INCORRECT;
}

static u64 add_root(struct soft_vp *vp, u64 pa)
{
	u64 ret;

	if (vp->root)
		return TDX_TDCX_NUM_INCORRECT;
	ret = pamt_claim(vp->td, pa, LEVEL_4K, PT_TDCX, TDX_OPERAND_ID_RCX);
	if (ret)
		return ret;
	clear_page(__va(pa));
	vp->root = __va(pa);
	/* Whatever the TD's root is, this one has no copy of it. */
	vp->root_gen = -1;
	return TDX_SUCCESS;
}

u64 soft_vp_addcx(struct soft_call *call)
{
	struct soft_vp *vp = vp_at(call->in->rdx);
	u64 ret = lock_vp(vp, TDX_OPERAND_ID_RDX);

	if (ret)
		return ret;
	ret = add_root(vp, call->in->rcx);
	sharex_put_excl(&vp->td->lock);
	return ret;
}

u64 soft_vp_init(struct soft_call *call)
{
	struct soft_vp *vp = vp_at(call->in->rcx);
	u64 ret = lock_vp(vp, TDX_OPERAND_ID_RCX);

	if (ret)
		return ret;
	if (vp->root)
		vp->initialized = true;
	else
		ret = TDX_TDCX_NUM_INCORRECT;
	sharex_put_excl(&vp->td->lock);
	return ret;
}

u64 soft_vp_flush(struct soft_call *call)
{
	struct soft_vp *vp = vp_at(call->in->rcx);

	if (!vp)
		return operand(TDX_PAGE_METADATA_INCORRECT, TDX_OPERAND_ID_RCX);
	if (READ_ONCE(vp->inside))
		return operand(TDX_OPERAND_BUSY, TDX_OPERAND_ID_RCX);
	if (vp->td->life != TD_KEYS_CONFIGURED)
		return TDX_TD_KEYS_NOT_CONFIGURED;
	if (!vp->associated)
		return TDX_VCPU_NOT_ASSOCIATED;
	vp->associated = false;
	atomic_dec(&vp->td->nr_assoc);
	return TDX_SUCCESS;
}

/**
 * soft_tdx_root - the nested root table of a VP
 * @tdx_vp: an initialized VP
 *
 * Private addresses are in its entries 0 .. 255, which are the module's and
 * brought up to date by soft_tdx_vp_enter(). The table stays the same until
 * the VP's pages are reclaimed.
 *
 * Return: physical address of the table, or INVALID_PAGE.
 */
hpa_t soft_tdx_root(struct tdx_vp *tdx_vp)
{
	struct soft_vp *vp = soft_vp_of(tdx_vp);

	return vp && vp->root ? __pa(vp->root) : INVALID_PAGE;
}

/**
 * soft_tdx_set_shared_root - take KVM's table for shared addresses
 * @tdx_vp: an initialized VP, not inside the TD
 * @root: the root of KVM's direct MMU, whose entries 256 .. 511 are copied, or
 *	  INVALID_PAGE: there is nothing shared
 *
 * It is a copy: called before each entry, a table that KVM frees is never
 * walked.
 */
void soft_tdx_set_shared_root(struct tdx_vp *tdx_vp, hpa_t root)
{
	struct soft_vp *vp = soft_vp_of(tdx_vp);
	void *shared;

	if (WARN_ON_ONCE(!vp || !vp->root))
		return;
	shared = (void *)vp->root + PAGE_SIZE / 2;
	if (root == INVALID_PAGE)
		memset(shared, 0, PAGE_SIZE / 2);
	else
		memcpy(shared, __va(root) + PAGE_SIZE / 2, PAGE_SIZE / 2);
}
