// SPDX-License-Identifier: GPL-2.0-only
/*
 * Life of a TD, as far as its memory needs it: TDH.MNG.*, TDH.MR.* and
 * TDH.PHYMEM.*.
 *
 *	MNG.CREATE	HKID_ASSIGNED
 *	MNG.KEY.CONFIG	KEYS_CONFIGURED, uninitialized
 *	MNG.ADDCX	the root of the Secure EPT is there
 *	MNG.INIT	initialized: memory may be added and measured
 *	MR.FINALIZE	runnable
 *	MNG.VPFLUSHDONE	BLOCKED: no VP runs again
 *	MNG.KEY.FREEID	TEARDOWN: pages may be reclaimed, TDR last
 *
 * The machine is one package: key configuration and cache write-back are each
 * done with one call. Source: "Intel TDX Module 1.5 ABI specification".
 */
#include <linux/string.h>

#include "internal.h"
#include "vmx/tdx_arch.h"

/* Size of what a measurement is extended by at a time. */
#define MR_BLOCK	128

u64 soft_mng_create(struct soft_call *call)
{
	struct soft_td *td = __va(call->in->rcx);
	u16 hkid = call->in->rdx;
	int r = soft_tdx_hkid_take(hkid);
	u64 ret;

	if (r)
		return r == -EBUSY ? TDX_HKID_NOT_FREE :
				     operand(TDX_OPERAND_INVALID, TDX_OPERAND_ID_RDX);
	ret = pamt_claim(td, call->in->rcx, LEVEL_4K, PT_TDR, TDX_OPERAND_ID_RCX);
	if (ret) {
		soft_tdx_hkid_give(hkid);
		return ret;
	}

	clear_page(td);
	td->hkid = hkid;
	td->epoch = 1;
	soft_tdx_link_td(td);
	return TDX_SUCCESS;
}

u64 soft_mng_key_config(struct soft_call *call)
{
	if (call->td->life != TD_HKID_ASSIGNED)
		return TDX_LIFECYCLE_STATE_INCORRECT;
	call->td->life = TD_KEYS_CONFIGURED;
	return TDX_SUCCESS;
}

u64 soft_mng_addcx(struct soft_call *call)
{
	u64 pa = call->in->rcx;
	u64 ret;

	if (call->td->root)
		return TDX_TDCX_NUM_INCORRECT;
	ret = pamt_claim(call->td, pa, LEVEL_4K, PT_TDCX, TDX_OPERAND_ID_RCX);
	if (ret)
		return ret;
	clear_page(__va(pa));
	call->td->root = __va(pa);
	return TDX_SUCCESS;
}

u64 soft_mng_init(struct soft_call *call)
{
	const struct td_params *params = __va(call->in->rdx);

	if (!IS_ALIGNED(call->in->rdx, sizeof(*params)) ||
	    !pamt_is_host(call->in->rdx & PAGE_MASK))
		return operand(TDX_OPERAND_INVALID, TDX_OPERAND_ID_RDX);
	if (params->attributes & ~TDX_TD_ATTR_SEPT_VE_DISABLE)
		return operand(TDX_OPERAND_INVALID, OPERAND_ID_ATTRIBUTES);
	if (!params->max_vcpus || params->max_vcpus > SOFT_TDX_MAX_VPS)
		return operand(TDX_OPERAND_INVALID, OPERAND_ID_MAX_VCPUS);

	call->td->attributes = params->attributes;
	call->td->max_vps = params->max_vcpus;
	sha384_init(&call->td->mrtd_ctx);
	call->td->op = OP_INITIALIZED;
	return TDX_SUCCESS;
}

/* Fields of the real module are of TDs that this one does not model. */
u64 soft_mng_rd(struct soft_call *call)
{
	u64 nr = call->in->rdx - SOFT_TDX_FIELD_MRTD(0);

	call->out->r8 = 0;
	if (nr >= SHA384_DIGEST_SIZE / sizeof(u64) || call->td->op != OP_RUNNABLE)
		return operand(TDX_METADATA_FIELD_NOT_READABLE, TDX_OPERAND_ID_RDX);
	memcpy(&call->out->r8, call->td->mrtd + nr * sizeof(u64), sizeof(u64));
	return TDX_SUCCESS;
}

/* A measurement is extended by what was done, and where. */
static void mrtd_extend(struct soft_td *td, const char *what, u64 gpa)
{
	u8 block[MR_BLOCK] = { };

	memcpy(block, what, strlen(what));
	memcpy(block + 16, &gpa, sizeof(gpa));
	sha384_update(&td->mrtd_ctx, block, sizeof(block));
}

void soft_mrtd_add_page(struct soft_td *td, u64 gpa)
{
	mrtd_extend(td, "MEM.PAGE.ADD", gpa);
}

u64 soft_mr_extend(struct soft_call *call)
{
	u64 gpa = call->in->rcx;
	u64 *entry;

	call->level = LEVEL_4K;
	if (!IS_ALIGNED(gpa, TDX_EXTENDMR_CHUNKSIZE) || !sept_gpa_ok(gpa & PAGE_MASK, LEVEL_4K))
		return operand(TDX_OPERAND_INVALID, TDX_OPERAND_ID_RCX);

	entry = sept_walk(call->td, gpa, &call->level);
	call->old = sept_read(entry);
	if (call->level != LEVEL_4K || sept_state(call->old) != SEPT_MAPPED) {
		sept_report(call, call->old, call->level);
		return operand(call->level ? TDX_EPT_WALK_FAILED : TDX_EPT_ENTRY_STATE_INCORRECT,
			       TDX_OPERAND_ID_RCX);
	}

	mrtd_extend(call->td, "MR.EXTEND", gpa);
	sha384_update(&call->td->mrtd_ctx,
		      __va(PFN_PHYS(sept_pfn(call->old, LEVEL_4K)) + offset_in_page(gpa)),
		      TDX_EXTENDMR_CHUNKSIZE);
	return TDX_SUCCESS;
}

u64 soft_mr_finalize(struct soft_call *call)
{
	sha384_final(&call->td->mrtd_ctx, call->td->mrtd);
	call->td->op = OP_RUNNABLE;
	return TDX_SUCCESS;
}

u64 soft_mng_vpflushdone(struct soft_call *call)
{
	if (call->td->life != TD_HKID_ASSIGNED && call->td->life != TD_KEYS_CONFIGURED)
		return TDX_LIFECYCLE_STATE_INCORRECT;
	if (atomic_read(&call->td->nr_assoc))
		return TDX_FLUSHVP_NOT_DONE;
	call->td->life = TD_BLOCKED;
	call->td->cache_dirty = true;
	return TDX_SUCCESS;
}

static void write_back(struct soft_td *td, void *any)
{
	*(bool *)any |= td->cache_dirty;
	td->cache_dirty = false;
}

u64 soft_phymem_cache_wb(struct soft_call *call)
{
	bool any = false;

	soft_tdx_visit_tds(write_back, &any);
	return any ? TDX_SUCCESS : TDX_NO_HKID_READY_TO_WBCACHE;
}

u64 soft_mng_key_freeid(struct soft_call *call)
{
	if (call->td->life != TD_BLOCKED)
		return TDX_LIFECYCLE_STATE_INCORRECT;
	if (call->td->cache_dirty)
		return TDX_WBCACHE_NOT_COMPLETE;
	soft_tdx_hkid_give(call->td->hkid);
	call->td->life = TD_TEARDOWN;
	return TDX_SUCCESS;
}

static u64 may_reclaim(struct soft_td *td, enum soft_page_type type)
{
	if (td->life != TD_TEARDOWN)
		return TDX_LIFECYCLE_STATE_INCORRECT;
	if (type == PT_TDR && atomic_long_read(&td->nr_children))
		return TDX_TD_ASSOCIATED_PAGES_EXIST;
	return TDX_SUCCESS;
}

u64 soft_phymem_page_reclaim(struct soft_call *call)
{
	u64 pa = call->in->rcx, pfn = PHYS_PFN(pa);
	struct soft_pamt *page;
	struct soft_td *td;
	u64 ret;

	call->out->r8 = 0;
	if (!pamt_has(pa, LEVEL_4K))
		return operand(TDX_OPERAND_INVALID, TDX_OPERAND_ID_RCX);
	page = pamt_of(pfn);
	if (page->type == PT_NDA)
		return operand(TDX_PAGE_METADATA_INCORRECT, TDX_OPERAND_ID_RCX);

	td = __va(PFN_PHYS((u64)page->owner));
	call->out->rcx = page->type;
	call->out->rdx = __pa(td);
	call->out->r8 = page->level;
	if (!IS_ALIGNED(pa, LEVEL_SIZE(page->level)))
		return operand(TDX_OPERAND_INVALID, TDX_OPERAND_ID_RCX);
	ret = may_reclaim(td, page->type);
	if (ret)
		return ret;
	if (page->type == PT_TDR)
		soft_tdx_unlink_td(td);
	pamt_release(td, pfn, page->level);
	return TDX_SUCCESS;
}

/* A page is written back when the host has it again, and not before. */
u64 soft_phymem_page_wbinvd(struct soft_call *call)
{
	u64 pa = call->in->rcx & GENMASK_ULL(boot_cpu_data.x86_phys_bits - 1, 0);

	if (!pamt_has(pa, LEVEL_4K))
		return operand(TDX_OPERAND_INVALID, TDX_OPERAND_ID_RCX);
	if (pamt_is_host(pa))
		return TDX_SUCCESS;
	if (pamt_of(PHYS_PFN(pa))->type == PT_REG)
		soft_check_failed(CHECK_STILL_MAPPED, 0, pa);
	return operand(TDX_PAGE_METADATA_INCORRECT, TDX_OPERAND_ID_RCX);
}
