// SPDX-License-Identifier: GPL-2.0-only
/*
 * TLB tracking: which VPs may still go to a page that was blocked.
 *
 * A VP runs in the TD's epoch at the time it was entered. To block writes the
 * epoch down; to track starts the next one, which is possible only when nobody
 * runs in the one before. So there are two epochs with VPs at most, told apart
 * by parity.
 *
 * Source: "Intel TDX Module 1.5 base architecture specification", TLB tracking.
 */
#include "internal.h"

/* Nobody is in the TD who was there when an entry was blocked at @bepoch. */
bool track_done(struct soft_td *td, u64 bepoch)
{
	u64 epoch = READ_ONCE(td->epoch);

	if (bepoch >= epoch)
		return false;
	return bepoch + 1 < epoch || !atomic_read(&td->epoch_refs[bepoch & 1]);
}

/* The same once more, from what VPs say and not from counts of them. */
void track_check_tlbs(struct soft_td *td, u64 bepoch, u64 gpa)
{
	u32 i;

	for (i = 0; i < READ_ONCE(td->nr_vps); i++) {
		struct soft_vp *vp = td->vps[i];

		if (READ_ONCE(vp->inside) && READ_ONCE(vp->epoch) <= bepoch)
			soft_check_failed(CHECK_STALE_TLB, gpa, i);
	}
}

u64 soft_mem_track(struct soft_call *call)
{
	struct soft_td *td = call->td;
	u64 ret = TDX_SUCCESS;

	if (!sharex_try_excl(&td->epoch_lock))
		return operand(TDX_OPERAND_BUSY, TDX_OPERAND_ID_TD_EPOCH);

	if (atomic_read(&td->epoch_refs[(td->epoch - 1) & 1]))
		ret = TDX_PREVIOUS_TLB_EPOCH_BUSY;
	else if (!inject_track_skip())
		WRITE_ONCE(td->epoch, td->epoch + 1);

	sharex_put_excl(&td->epoch_lock);
	return ret;
}

/* No interrupt may move the VP, nor come between it and its epoch. */
static u64 vp_may_enter(struct soft_vp *vp)
{
	if (!vp)
		return operand(TDX_PAGE_METADATA_INCORRECT, TDX_OPERAND_ID_RCX);
	if (vp->td->op != OP_RUNNABLE)
		return TDX_OP_STATE_INCORRECT;
	if (vp->td->life != TD_KEYS_CONFIGURED)
		return TDX_TD_KEYS_NOT_CONFIGURED;
	return vp->initialized ? TDX_SUCCESS : TDX_VCPU_STATE_INCORRECT;
}

/*
 * Private entries of the root that the processor walks are a copy of the TD's.
 * They go from free to a table and stay so; a VP that is inside while one comes
 * gets an EPT violation that is over once it was entered again.
 */
static void copy_private_root(struct soft_vp *vp)
{
	int gen = atomic_read_acquire(&vp->td->root_gen);

	if (vp->root_gen == gen)
		return;
	memcpy(vp->root, vp->td->root, PAGE_SIZE / 2);
	vp->root_gen = gen;
}

/*
 * A host that has the guest at one instruction again and again may want to see
 * what it touches there. The module then looks whether it is mapped by now, with
 * the tree for itself, before it enters the VP; who is in the way waits.
 */
static bool zero_step_done(struct soft_vp *vp)
{
	struct soft_td *td = vp->td;

	if (vp->nr_faults < ZERO_STEP_VIOLATIONS)
		return true;
	if (!sharex_try_excl(&td->tree))
		return false;
	atomic_long_inc(&td->nr_zero_step);
	sharex_put_excl(&td->tree);
	return true;
}

/**
 * soft_tdx_vp_enter - enter a TD, as TDH.VP.ENTER does
 * @tdx_vp: the VP
 * @flush_tlb: set if what the processor remembers of the VP's nested tables is
 *	       of another epoch, else left
 *
 * Context: interrupts off, until soft_tdx_td_exit() on the same processor. Takes
 * no lock that it has to wait for.
 * Return: TDX_SUCCESS; TDX_OPERAND_BUSY | TDX_OPERAND_ID_TD_EPOCH while somebody
 * tracks; TDX_OPERAND_BUSY | TDX_OPERAND_ID_SEPT if the VP is taken for zero-stepped
 * while somebody has the Secure EPT tree; another error of SEAMCALLs if the VP or
 * its TD is not in a state to run.
 */
u64 soft_tdx_vp_enter(struct tdx_vp *tdx_vp, bool *flush_tlb)
{
	struct soft_vp *vp = soft_vp_of(tdx_vp);
	struct soft_td *td;
	u64 ret = vp_may_enter(vp);

	lockdep_assert_irqs_disabled();
	if (ret)
		return ret;

	td = vp->td;
	if (WARN_ON_ONCE(vp->inside))
		return TDX_VCPU_STATE_INCORRECT;
	if (!zero_step_done(vp))
		return operand(TDX_OPERAND_BUSY, TDX_OPERAND_ID_SEPT);
	if (!sharex_try_shared(&td->epoch_lock))
		return operand(TDX_OPERAND_BUSY, TDX_OPERAND_ID_TD_EPOCH);

	if (vp->epoch != td->epoch)
		*flush_tlb = true;
	WRITE_ONCE(vp->epoch, td->epoch);
	WRITE_ONCE(vp->inside, true);
	atomic_inc(&td->epoch_refs[vp->epoch & 1]);
	atomic_inc(&td->nr_inside);
	sharex_put_shared(&td->epoch_lock);

	if (!vp->associated) {
		vp->associated = true;
		atomic_inc(&td->nr_assoc);
	}
	copy_private_root(vp);
	return TDX_SUCCESS;
}

/**
 * soft_tdx_ept_violation - the VP leaves, since something private is not mapped
 * @tdx_vp: the VP, inside the TD
 * @rip: of the instruction
 *
 * Context: interrupts off.
 */
void soft_tdx_ept_violation(struct tdx_vp *tdx_vp, u64 rip)
{
	struct soft_vp *vp = soft_vp_of(tdx_vp);

	lockdep_assert_irqs_disabled();
	atomic_long_inc(&vp->td->nr_violations);
	if (vp->fault_rip != rip)
		vp->nr_faults = 0;
	vp->fault_rip = rip;
	vp->nr_faults++;
}

/**
 * soft_tdx_td_exit - leave a TD
 * @tdx_vp: the VP that was entered
 *
 * Context: interrupts still off.
 */
void soft_tdx_td_exit(struct tdx_vp *tdx_vp)
{
	struct soft_vp *vp = soft_vp_of(tdx_vp);

	lockdep_assert_irqs_disabled();
	if (WARN_ON_ONCE(!vp || !vp->inside))
		return;

	WRITE_ONCE(vp->inside, false);
	atomic_dec(&vp->td->nr_inside);
	/* A host that sees the count gone may give the VP's pages away. */
	atomic_dec_return_release(&vp->td->epoch_refs[vp->epoch & 1]);
}
