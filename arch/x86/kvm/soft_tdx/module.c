// SPDX-License-Identifier: GPL-2.0-only
/*
 * The software TDX module: what comes in place of SEAMCALL, and what each leaf
 * checks and locks before it does anything.
 *
 * All locks are tried, never waited for; who does not get one returns
 * TDX_OPERAND_BUSY, as the real module does. The order is TDR, Secure EPT tree,
 * entry.
 */
#include <linux/bitmap.h>
#include <linux/spinlock.h>

#include "internal.h"

#define CREATE_TRACE_POINTS
#include <trace/events/tdx_soft.h>

#define UNINIT		BIT(OP_UNINITIALIZED)
#define INIT		BIT(OP_INITIALIZED)
#define RUN		BIT(OP_RUNNABLE)
#define NON_LEAF	(BIT(SEPT_NL_MAPPED))

/*
 * What leaves want to find. Documentation/virt/kvm/soft-tdx.rst has the same
 * for readers, with the errors that come if they don't.
 */
const struct soft_leaf soft_leaves[NR_LEAVES] = {
	[MNG_ADDCX] = {
		.name = "MNG.ADDCX", .fn = soft_mng_addcx, .td_operand = TDX_OPERAND_ID_RDX,
		.td_excl = true, .ops = UNINIT, .busy = TDX_OPERAND_ID_TDR,
	},
	[MEM_PAGE_ADD] = {
		.name = "MEM.PAGE.ADD", .fn = soft_mem_page_add, .td_operand = TDX_OPERAND_ID_RDX,
		.td_excl = true, .ops = INIT, .has_gpa = true,
		.from = BIT(SEPT_FREE), .busy = TDX_OPERAND_ID_TDR,
	},
	[MEM_SEPT_ADD] = {
		.name = "MEM.SEPT.ADD", .fn = soft_mem_sept_add, .td_operand = TDX_OPERAND_ID_RDX,
		.ops = INIT | RUN, .has_gpa = true, .min_level = LEVEL_2M, .max_level = LEVEL_512G,
		.from = BIT(SEPT_FREE), .busy = TDX_OPERAND_ID_SEPT,
	},
	[VP_ADDCX] = {
		.name = "VP.ADDCX", .fn = soft_vp_addcx, .busy = TDX_OPERAND_ID_TDVPR,
	},
	[MEM_PAGE_AUG] = {
		.name = "MEM.PAGE.AUG", .fn = soft_mem_page_aug, .td_operand = TDX_OPERAND_ID_RDX,
		.ops = INIT | RUN, .has_gpa = true, .max_level = LEVEL_2M,
		.from = BIT(SEPT_FREE), .busy = TDX_OPERAND_ID_SEPT,
	},
	[MEM_RANGE_BLOCK] = {
		.name = "MEM.RANGE.BLOCK", .fn = soft_mem_range_block,
		.td_operand = TDX_OPERAND_ID_RDX, .ops = INIT | RUN,
		.has_gpa = true, .max_level = LEVEL_512G, .tree_excl = true,
		.from = BIT(SEPT_MAPPED) | BIT(SEPT_PENDING) | NON_LEAF,
		.busy = TDX_OPERAND_ID_SEPT,
	},
	[MNG_KEY_CONFIG] = {
		.name = "MNG.KEY.CONFIG", .fn = soft_mng_key_config,
		.td_operand = TDX_OPERAND_ID_RCX, .td_excl = true, .busy = TDX_OPERAND_ID_TDR,
	},
	[MNG_CREATE] = {
		.name = "MNG.CREATE", .fn = soft_mng_create, .busy = TDX_OPERAND_ID_RCX,
	},
	[VP_CREATE] = {
		.name = "VP.CREATE", .fn = soft_vp_create, .td_operand = TDX_OPERAND_ID_RDX,
		.td_excl = true, .ops = INIT, .busy = TDX_OPERAND_ID_TDR,
	},
	[MNG_RD] = {
		.name = "MNG.RD", .fn = soft_mng_rd, .td_operand = TDX_OPERAND_ID_RCX,
		.ops = INIT | RUN, .busy = TDX_OPERAND_ID_TDR,
	},
	[MEM_PAGE_DEMOTE] = {
		.name = "MEM.PAGE.DEMOTE", .fn = soft_mem_page_demote,
		.td_operand = TDX_OPERAND_ID_RDX, .ops = INIT | RUN,
		.has_gpa = true, .min_level = LEVEL_2M, .max_level = LEVEL_512G - 1,
		.from = SEPT_ANY_LEAF, .tracked = true, .busy = TDX_OPERAND_ID_SEPT,
	},
	[MR_EXTEND] = {
		.name = "MR.EXTEND", .fn = soft_mr_extend, .td_operand = TDX_OPERAND_ID_RDX,
		.td_excl = true, .ops = INIT, .busy = TDX_OPERAND_ID_TDR,
	},
	[MR_FINALIZE] = {
		.name = "MR.FINALIZE", .fn = soft_mr_finalize, .td_operand = TDX_OPERAND_ID_RCX,
		.td_excl = true, .ops = INIT, .busy = TDX_OPERAND_ID_TDR,
	},
	[VP_FLUSH] = {
		.name = "VP.FLUSH", .fn = soft_vp_flush, .busy = TDX_OPERAND_ID_TDVPR,
	},
	[MNG_VPFLUSHDONE] = {
		.name = "MNG.VPFLUSHDONE", .fn = soft_mng_vpflushdone,
		.td_operand = TDX_OPERAND_ID_RCX, .td_excl = true, .busy = TDX_OPERAND_ID_TDR,
	},
	[MNG_KEY_FREEID] = {
		.name = "MNG.KEY.FREEID", .fn = soft_mng_key_freeid,
		.td_operand = TDX_OPERAND_ID_RCX, .td_excl = true, .busy = TDX_OPERAND_ID_TDR,
	},
	[MNG_INIT] = {
		.name = "MNG.INIT", .fn = soft_mng_init, .td_operand = TDX_OPERAND_ID_RCX,
		.td_excl = true, .ops = UNINIT, .busy = TDX_OPERAND_ID_TDR,
	},
	[VP_INIT] = {
		.name = "VP.INIT", .fn = soft_vp_init, .busy = TDX_OPERAND_ID_TDVPR,
	},
	[PHYMEM_PAGE_RECLAIM] = {
		.name = "PHYMEM.PAGE.RECLAIM", .fn = soft_phymem_page_reclaim,
		.busy = TDX_OPERAND_ID_RCX,
	},
	[MEM_PAGE_REMOVE] = {
		.name = "MEM.PAGE.REMOVE", .fn = soft_mem_page_remove,
		.td_operand = TDX_OPERAND_ID_RDX, .ops = INIT | RUN,
		.has_gpa = true, .max_level = LEVEL_512G - 1,
		.from = SEPT_ANY_LEAF, .tracked = true, .busy = TDX_OPERAND_ID_SEPT,
	},
	[MEM_TRACK] = {
		.name = "MEM.TRACK", .fn = soft_mem_track, .td_operand = TDX_OPERAND_ID_RCX,
		.ops = INIT | RUN, .busy = TDX_OPERAND_ID_TD_EPOCH,
	},
	[PHYMEM_CACHE_WB] = {
		.name = "PHYMEM.CACHE.WB", .fn = soft_phymem_cache_wb, .busy = TDX_OPERAND_ID_RCX,
	},
	[PHYMEM_PAGE_WBINVD] = {
		.name = "PHYMEM.PAGE.WBINVD", .fn = soft_phymem_page_wbinvd,
		.busy = TDX_OPERAND_ID_RCX,
	},
};

/* The module comes and goes under it, and the PAMT with it. */
DEFINE_MUTEX(soft_tdx_users_lock);
static unsigned int users;

/* Also taken where the host has interrupts off. */
static DEFINE_RAW_SPINLOCK(tds_lock);
static LIST_HEAD(tds);
static DECLARE_BITMAP(hkids, SOFT_TDX_HKIDS + 1);

/* Return: 0, -EINVAL for a key ID that is none, -EBUSY if it is taken. */
int soft_tdx_hkid_take(u16 hkid)
{
	if (!hkid || hkid > SOFT_TDX_HKIDS)
		return -EINVAL;
	return test_and_set_bit(hkid, hkids) ? -EBUSY : 0;
}

void soft_tdx_hkid_give(u16 hkid)
{
	clear_bit(hkid, hkids);
}

void soft_tdx_link_td(struct soft_td *td)
{
	guard(raw_spinlock_irqsave)(&tds_lock);
	list_add_tail(&td->link, &tds);
}

void soft_tdx_unlink_td(struct soft_td *td)
{
	guard(raw_spinlock_irqsave)(&tds_lock);
	list_del(&td->link);
}

void soft_tdx_visit_tds(void (*fn)(struct soft_td *td, void *arg), void *arg)
{
	struct soft_td *td;

	guard(raw_spinlock_irqsave)(&tds_lock);
	list_for_each_entry(td, &tds, link)
		fn(td, arg);
}

static bool level_ok(const struct soft_leaf *leaf, u64 gpa_level)
{
	int level = gpa_level & 7;

	return level >= leaf->min_level && level <= leaf->max_level &&
	       !(gpa_level & ~PAGE_MASK & ~7ULL);
}

static u64 call_with_tree(struct soft_call *call)
{
	u64 ret = sept_lock_for_host(call);

	if (ret)
		return ret;
	ret = call->leaf->fn(call);
	if (ret)
		sept_unlock(call->entry);
	return ret;
}

static u64 call_with_gpa(struct soft_call *call)
{
	struct sharex *tree = &call->td->tree;
	u64 ret;

	call->gpa = call->in->rcx & PAGE_MASK;
	call->level = call->in->rcx & 7;
	if (!level_ok(call->leaf, call->in->rcx) || !sept_gpa_ok(call->gpa, call->level)) {
		soft_check_failed(CHECK_BAD_OPERAND, call->in->rcx, call->nr);
		return operand(TDX_OPERAND_INVALID, TDX_OPERAND_ID_RCX);
	}

	if (call->leaf->tree_excl ? !sharex_try_excl(tree) : !sharex_try_shared(tree))
		return operand(TDX_OPERAND_BUSY, TDX_OPERAND_ID_SEPT);
	ret = call_with_tree(call);
	if (call->leaf->tree_excl)
		sharex_put_excl(tree);
	else
		sharex_put_shared(tree);
	return ret;
}

/* Leaves that name states of a TD want one that lives. */
static u64 td_state(struct soft_call *call)
{
	if (!call->leaf->ops)
		return TDX_SUCCESS;
	if (call->td->life != TD_KEYS_CONFIGURED)
		return TDX_TD_KEYS_NOT_CONFIGURED;
	if (!call->td->root && call->nr != MNG_ADDCX)
		return TDX_TDCS_NOT_ALLOCATED;
	return BIT(call->td->op) & call->leaf->ops ? TDX_SUCCESS : TDX_OP_STATE_INCORRECT;
}

static u64 call_with_td(struct soft_call *call)
{
	u64 ret = td_state(call);

	if (!ret)
		ret = inject_before(call);
	if (ret)
		return ret;
	return call->leaf->has_gpa ? call_with_gpa(call) : call->leaf->fn(call);
}

static u64 call_leaf(struct soft_call *call)
{
	const struct soft_leaf *leaf = call->leaf;
	u64 ret;

	if (!leaf->td_operand)
		return inject_before(call) ?: leaf->fn(call);

	call->td = pamt_td(leaf->td_operand == TDX_OPERAND_ID_RCX ? call->in->rcx : call->in->rdx);
	if (!call->td)
		return operand(TDX_PAGE_METADATA_INCORRECT, leaf->td_operand);
	if (leaf->td_excl ? !sharex_try_excl(&call->td->lock) : !sharex_try_shared(&call->td->lock))
		return operand(TDX_OPERAND_BUSY, leaf->td_operand);
	ret = call_with_td(call);
	if (leaf->td_excl)
		sharex_put_excl(&call->td->lock);
	else
		sharex_put_shared(&call->td->lock);
	return ret;
}

/**
 * soft_tdx_seamcall - what SEAMCALL does, done by software
 * @leaf_version: RAX: leaf, and a version that is not looked at
 * @args: the other registers, in and out
 *
 * Context: preemption off. Allocates nothing and waits for nothing.
 * Return: RAX; TDX_SEAMCALL_UD for leaves that are not modelled.
 */
u64 soft_tdx_seamcall(u64 leaf_version, struct tdx_module_args *args)
{
	const struct tdx_module_args in = *args;
	struct soft_call call = {
		.nr = leaf_version & ~(0xffULL << 16),
		.in = &in,
		.out = args,
	};
	u64 ret;

	lockdep_assert_preemption_disabled();
	if (call.nr >= NR_LEAVES || !soft_leaves[call.nr].fn)
		return TDX_SEAMCALL_UD;

	call.leaf = &soft_leaves[call.nr];
	args->rcx = 0;
	args->rdx = 0;
	non_block_start();
	ret = call_leaf(&call);
	non_block_end();
	stats_leaf(call.nr, call.leaf->has_gpa ? in.rcx & 7 : 0, ret);
	trace_seamcall(call.leaf->name, &in, ret);
	return ret;
}

static const struct tdx_seamcall_ops soft_ops = {
	.call	= soft_tdx_seamcall,
	.broken	= soft_rule_broken,
	.access	= soft_host_access,
};

static int soft_tdx_start(void)
{
	int r = pamt_init();

	if (r)
		return r;
	r = tdx_register_seamcalls(&soft_ops);
	if (r)
		pamt_exit();
	return r;
}

static void soft_tdx_stop(void)
{
	unsigned long left;

	tdx_unregister_seamcalls();
	left = pamt_exit();
	if (left)
		soft_check_failed(CHECK_LEAK, 0, left);
	/* TDR pages that were not reclaimed are nobody's now. */
	INIT_LIST_HEAD(&tds);
	bitmap_zero(hkids, SOFT_TDX_HKIDS + 1);
}

/**
 * soft_tdx_get - have the module there
 *
 * The first user pays for it: 16 bytes for each page of memory.
 *
 * Context: may sleep.
 * Return: 0, -ENOMEM, -EBUSY if the processor's own module is in use.
 */
int soft_tdx_get(void)
{
	int r;

	guard(mutex)(&soft_tdx_users_lock);
	r = users ? 0 : soft_tdx_start();
	if (r)
		return r;
	users++;
	return 0;
}

/**
 * soft_tdx_put - the caller's TDs are gone
 *
 * Context: may sleep; all pages that the caller gave to the module were
 * reclaimed, which is what check "leak" is about.
 */
void soft_tdx_put(void)
{
	guard(mutex)(&soft_tdx_users_lock);
	if (!--users)
		soft_tdx_stop();
}
