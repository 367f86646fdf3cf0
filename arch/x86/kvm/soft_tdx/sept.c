// SPDX-License-Identifier: GPL-2.0-only
/*
 * Entries of the Secure EPT: their format, their locks, the walk to them.
 *
 * An entry is one of AMD's nested page tables, and the processor walks it.
 * Present are only entries that a guest may go through; A and D are set from
 * the start, so that the processor never writes to an entry. Bits that it
 * ignores hold the rest:
 *
 *   9		the entry maps a page. Bit 7 says so only above 4 KiB.
 *   20:12	pages that an accept of 2 MiB is done with, while it is PENDING;
 *		a frame of 2 MiB does not need these bits
 *   54:52	enum sept_state
 *   55		the entry is locked, by the host or by a guest's TDCALL
 *   56		the host found it locked: guests have to wait for its turn
 *
 * Bit 11 is never set: in KVM's own entries it says present. Source for states
 * and for the two lock bits: "Intel TDX Module 1.5 ABI specification", Secure
 * EPT entry; for their places and for the rest: ours.
 */
#include <linux/bitfield.h>
#include <linux/pgtable.h>

#include "internal.h"

#define SEPT_LEAF		BIT_ULL(9)
#define SEPT_ACCEPTED		GENMASK_ULL(20, 12)
#define SEPT_PFN		GENMASK_ULL(51, 12)
#define SEPT_STATE		GENMASK_ULL(54, 52)
#define SEPT_LOCK		BIT_ULL(55)
#define SEPT_HOST_PRIORITY	BIT_ULL(56)
#define SEPT_LOCK_BIT		55
#define SEPT_HP_BIT		56

static const u8 arch_state[NR_SEPT_STATES] = {
	[SEPT_FREE]		= 0x00,
	[SEPT_BLOCKED]		= 0x01,
	[SEPT_PENDING]		= 0x02,
	[SEPT_PENDING_BLOCKED]	= 0x03,
	[SEPT_MAPPED]		= 0x04,
	[SEPT_NL_BLOCKED]	= 0x81,
	[SEPT_NL_MAPPED]	= 0x84,
};

/* The number of a state in errors and in exit qualifications. */
u8 sept_arch_state(enum sept_state state)
{
	return arch_state[state];
}

u64 sept_make(enum sept_state state, int level, u64 pfn)
{
	u64 entry = FIELD_PREP(SEPT_STATE, state) | PFN_PHYS(pfn);

	if (state == SEPT_FREE)
		return 0;
	if (BIT(state) & SEPT_ANY_LEAF)
		entry |= SEPT_LEAF | (level ? _PAGE_PSE : 0);
	if (state == SEPT_MAPPED)
		entry |= _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY;
	if (state == SEPT_NL_MAPPED)
		entry |= _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED;
	return entry;
}

enum sept_state sept_state(u64 entry)
{
	return FIELD_GET(SEPT_STATE, entry);
}

/* Also of a page that is being accepted. */
u64 sept_pfn(u64 entry, int level)
{
	u64 pfn = FIELD_GET(SEPT_PFN, entry);

	return (entry & SEPT_LEAF) ? pfn & ~(LEVEL_PAGES(level) - 1) : pfn;
}

unsigned int sept_accepted(u64 entry)
{
	return FIELD_GET(SEPT_ACCEPTED, entry);
}

u64 sept_set_accepted(u64 entry, unsigned int nr)
{
	return (entry & ~SEPT_ACCEPTED) | FIELD_PREP(SEPT_ACCEPTED, nr);
}

/* Its value without lock bits. */
u64 sept_read(const u64 *entry)
{
	return READ_ONCE(*entry) & ~(SEPT_LOCK | SEPT_HOST_PRIORITY);
}

/* Private, and as aligned as its level says. */
bool sept_gpa_ok(u64 gpa, int level)
{
	return gpa < BIT_ULL(SOFT_TDX_SHARED_BIT) && IS_ALIGNED(gpa, LEVEL_SIZE(level));
}

static int sept_index(u64 gpa, int level)
{
	return (gpa >> (PAGE_SHIFT + 9 * level)) & (LEVEL_PAGES(1) - 1);
}

/**
 * sept_walk - find the entry of an address
 * @td: the TD, initialized
 * @gpa: private address
 * @level: where the entry is wanted; where the walk ended
 *
 * Tables stay until the TD is torn down: an entry that was found can be used.
 *
 * Return: the entry where the walk ended, which is above @level if there is no
 * table below it, or none that may be walked.
 */
u64 *sept_walk(struct soft_td *td, u64 gpa, int *level)
{
	int wanted = *level;
	u64 *table = td->root;
	u64 *entry, value;

	for (*level = LEVEL_512G; ; (*level)--) {
		entry = table + sept_index(gpa, *level);
		value = sept_read(entry);
		if (*level == wanted || sept_state(value) != SEPT_NL_MAPPED)
			return entry;
		table = __va(PFN_PHYS(sept_pfn(value, *level)));
	}
}

/**
 * sept_lock_host - lock an entry for a SEAMCALL
 * @entry: the entry
 *
 * A host that has to come back has priority until it got the lock.
 *
 * Return: true if it is locked now.
 */
bool sept_lock_host(u64 *entry)
{
	unsigned long *word = (unsigned long *)entry;

	if (test_and_set_bit_lock(SEPT_LOCK_BIT, word)) {
		set_bit(SEPT_HP_BIT, word);
		return false;
	}
	clear_bit(SEPT_HP_BIT, word);
	return true;
}

/**
 * sept_lock_guest - lock an entry for a TDCALL
 * @entry: the entry
 *
 * Return: TDX_SUCCESS; TDX_OPERAND_BUSY if somebody has it, or
 * TDX_OPERAND_BUSY_HOST_PRIORITY if the host could not get it before.
 */
u64 sept_lock_guest(u64 *entry)
{
	unsigned long *word = (unsigned long *)entry;

	if (test_and_set_bit_lock(SEPT_LOCK_BIT, word))
		return TDX_OPERAND_BUSY;
	if (!test_bit(SEPT_HP_BIT, word))
		return TDX_SUCCESS;
	sept_unlock(entry);
	return TDX_OPERAND_BUSY_HOST_PRIORITY;
}

void sept_unlock(u64 *entry)
{
	clear_bit_unlock(SEPT_LOCK_BIT, (unsigned long *)entry);
}

/**
 * sept_commit - change an entry and unlock it
 * @td: whose entry
 * @entry: locked by the caller
 * @level: of the entry
 * @new: without lock bits
 */
void sept_commit(struct soft_td *td, u64 *entry, int level, u64 new)
{
	u64 old = READ_ONCE(*entry);
	enum sept_state from = sept_state(old), to = sept_state(new);
	unsigned long nr = LEVEL_PAGES(level);

	WARN_ON_ONCE(!(old & SEPT_LOCK));
	while (!try_cmpxchg64(entry, &old, new | (old & SEPT_HOST_PRIORITY)))
		;

	atomic_long_sub(BIT(from) & SEPT_ANY_LEAF ? nr : 1, &td->nr_pages[from]);
	atomic_long_add(BIT(to) & SEPT_ANY_LEAF ? nr : 1, &td->nr_pages[to]);
	if (level == LEVEL_512G)
		atomic_inc_return_release(&td->root_gen);
}

/* What a call that failed on an entry says of it, in RCX and RDX. */
void sept_report(struct soft_call *call, u64 entry, int level)
{
	call->out->rcx = entry;
	call->out->rdx = level | (u64)sept_arch_state(sept_state(entry)) << 8;
}

/* The state is none that the leaf starts from. */
static u64 wrong_state(struct soft_call *call)
{
	enum sept_state state = sept_state(call->old);

	sept_report(call, call->old, call->level);
	if (call->nr == MEM_RANGE_BLOCK && BIT(state) & SEPT_ANY_BLOCKED)
		return operand(TDX_GPA_RANGE_ALREADY_BLOCKED, TDX_OPERAND_ID_RCX);
	if (call->nr == MEM_PAGE_AUG && call->level && state >= SEPT_NL_MAPPED)
		soft_check_failed(CHECK_PROMOTION, call->gpa, call->old);
	return operand(TDX_EPT_ENTRY_STATE_INCORRECT, TDX_OPERAND_ID_RCX);
}

/* A TD that may run must not have a way to the page any more. */
static u64 not_tracked(struct soft_call *call)
{
	u64 bepoch = pamt_of(sept_pfn(call->old, call->level))->bepoch;

	if (!(BIT(sept_state(call->old)) & SEPT_ANY_BLOCKED)) {
		soft_check_failed(CHECK_BLOCK_MISSING, call->gpa, call->old);
		sept_report(call, call->old, call->level);
		return operand(TDX_GPA_RANGE_NOT_BLOCKED, TDX_OPERAND_ID_RCX);
	}
	if (!track_done(call->td, bepoch)) {
		if (!inject_track_skipped())
			soft_check_failed(CHECK_TRACK_MISSING, call->gpa, bepoch);
		return operand(TDX_TLB_TRACKING_NOT_DONE, TDX_OPERAND_ID_RCX);
	}
	track_check_tlbs(call->td, bepoch, call->gpa);
	return TDX_SUCCESS;
}

/**
 * sept_lock_for_host - what each leaf with a GPA begins with
 * @call: has @gpa and @level; the tree is locked
 *
 * Return: TDX_SUCCESS, and @call->entry locked and in a state that the leaf
 * starts from; or what the leaf has to return.
 */
u64 sept_lock_for_host(struct soft_call *call)
{
	int level = call->level;
	u64 *entry = sept_walk(call->td, call->gpa, &level);
	u64 ret = TDX_SUCCESS;

	if (level != call->level) {
		sept_report(call, sept_read(entry), level);
		return operand(TDX_EPT_WALK_FAILED, TDX_OPERAND_ID_RCX);
	}
	if (!sept_lock_host(entry)) {
		sept_report(call, sept_read(entry), level);
		return operand(TDX_OPERAND_BUSY, TDX_OPERAND_ID_RCX);
	}

	call->entry = entry;
	call->old = sept_read(entry);
	if (!(BIT(sept_state(call->old)) & call->leaf->from))
		ret = wrong_state(call);
	else if (call->leaf->tracked && call->td->op == OP_RUNNABLE)
		ret = not_tracked(call);
	if (ret)
		sept_unlock(entry);
	return ret;
}
