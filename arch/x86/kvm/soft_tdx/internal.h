/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Inside of the software TDX module. What it models is from the "Intel TDX
 * Module 1.5 ABI specification" and the behaviour of Intel's module 1.5.01;
 * Documentation/virt/kvm/soft-tdx.rst has the tables.
 */
#ifndef __SOFT_TDX_INTERNAL_H
#define __SOFT_TDX_INTERNAL_H

#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <crypto/sha2.h>

#include "soft_tdx.h"

/* Leaves that the wrappers' header, which is tdx.c's own, has as well. */
enum {
	MNG_ADDCX	= 1,
	MEM_PAGE_ADD	= 2,
	MEM_SEPT_ADD	= 3,
	VP_ADDCX	= 4,
	MEM_PAGE_AUG	= 6,
	MEM_RANGE_BLOCK	= 7,
	MNG_KEY_CONFIG	= 8,
	MNG_CREATE	= 9,
	VP_CREATE	= 10,
	MNG_RD		= 11,
	MEM_PAGE_DEMOTE	= TDH_MEM_PAGE_DEMOTE,
	MR_EXTEND	= 16,
	MR_FINALIZE	= 17,
	VP_FLUSH	= 18,
	MNG_VPFLUSHDONE	= 19,
	MNG_KEY_FREEID	= 20,
	MNG_INIT	= 21,
	VP_INIT		= 22,
	PHYMEM_PAGE_RECLAIM = 28,
	MEM_PAGE_REMOVE	= 29,
	MEM_TRACK	= 38,
	PHYMEM_CACHE_WB	= 40,
	PHYMEM_PAGE_WBINVD = 41,
	NR_LEAVES
};

/* Operand IDs that only this module uses, and levels of the Secure EPT. */
#define OPERAND_ID_ATTRIBUTES	0x40
#define OPERAND_ID_MAX_VCPUS	0x44
#define LEVEL_4K		0
#define LEVEL_2M		1
#define LEVEL_512G		3
#define LEVEL_PAGES(level)	(1UL << (9 * (level)))
#define LEVEL_SIZE(level)	(LEVEL_PAGES(level) << PAGE_SHIFT)

/* EPT violations at one instruction after which a VP is taken for zero-stepped. */
#define ZERO_STEP_VIOLATIONS	6

/* Life of a TD: its key, and what it may do while it has one. */
enum soft_life {
	TD_HKID_ASSIGNED,
	TD_KEYS_CONFIGURED,
	TD_BLOCKED,
	TD_TEARDOWN,
};

enum soft_op {
	OP_UNINITIALIZED,
	OP_INITIALIZED,
	OP_RUNNABLE,
};

/*
 * State of a Secure EPT entry. Order is ours; sept_arch_state() gives the
 * numbers that hosts and guests see.
 */
enum sept_state {
	SEPT_FREE,
	SEPT_MAPPED,
	SEPT_PENDING,
	SEPT_BLOCKED,
	SEPT_PENDING_BLOCKED,
	SEPT_NL_MAPPED,
	SEPT_NL_BLOCKED,
	NR_SEPT_STATES
};

#define SEPT_ANY_BLOCKED	(BIT(SEPT_BLOCKED) | BIT(SEPT_PENDING_BLOCKED) | \
				 BIT(SEPT_NL_BLOCKED))
#define SEPT_ANY_LEAF		(BIT(SEPT_MAPPED) | BIT(SEPT_PENDING) | \
				 BIT(SEPT_BLOCKED) | BIT(SEPT_PENDING_BLOCKED))

/* Types of a page; those that TDH.PHYMEM.PAGE.RECLAIM returns. */
enum soft_page_type {
	PT_NDA	= 0,
	PT_REG	= 3,
	PT_TDR	= 4,
	PT_TDCX	= 5,
	PT_TDVPR = 6,
	PT_EPT	= 8,
};

/**
 * struct soft_pamt - what the module knows of a page of 4 KiB
 * @bepoch: TLB epoch at which the mapping that starts here was blocked
 * @owner: page frame number of the TD's TDR
 * @type: enum soft_page_type; changes from PT_NDA by cmpxchg
 * @level: of the mapping that the page is in
 */
struct soft_pamt {
	u64 bepoch;
	u32 owner;
	u8 type;
	u8 level;
};

/* A lock that is only ever tried: -1 is exclusive, else the holders. */
struct sharex {
	atomic_t v;
};

static inline bool sharex_try_shared(struct sharex *lock)
{
	return atomic_inc_unless_negative(&lock->v);
}

static inline bool sharex_try_excl(struct sharex *lock)
{
	return atomic_cmpxchg_acquire(&lock->v, 0, -1) == 0;
}

static inline void sharex_put_shared(struct sharex *lock)
{
	atomic_dec_return_release(&lock->v);
}

static inline void sharex_put_excl(struct sharex *lock)
{
	atomic_set_release(&lock->v, 0);
}

/**
 * struct soft_td - a TD; lives in its TDR page, as the module's does
 * @link: in the module's list of TDs, under its lock
 * @lock: TDR and op state: exclusive for what changes the TD as a whole
 * @tree: Secure EPT tree, see the table of leaves for who takes it how
 * @life: enum soft_life, changes under @lock exclusive
 * @op: enum soft_op, changes under @lock exclusive
 * @hkid: key ID, until TDH.MNG.KEY.FREEID
 * @cache_dirty: TDH.PHYMEM.CACHE.WB has to come before that
 * @attributes: of TD_PARAMS
 * @max_vps: of TD_PARAMS
 * @root: PML4 of the Secure EPT, in the TDCX page
 * @root_gen: counts changes of @root
 * @epoch_lock: shared to enter, exclusive to track
 * @epoch: TLB epoch, from 1
 * @epoch_refs: VPs that run in the epoch of that parity
 * @nr_inside: VPs between enter and exit
 * @nr_assoc: VPs that ran and were not flushed
 * @nr_violations: EPT violations at private addresses that the host was told of
 * @nr_zero_step: entries of a VP that was taken for zero-stepped
 * @nr_vps: VPs that were created
 * @vps: those
 * @nr_children: pages of all types but the TDR
 * @nr_pages: pages mapped by leaf entries of that state; for others, entries
 * @mrtd_ctx: measurement while it is built
 * @mrtd: and when it is done
 */
struct soft_td {
	struct list_head link;
	struct sharex lock;
	struct sharex tree;
	enum soft_life life;
	enum soft_op op;
	u16 hkid;
	bool cache_dirty;
	u64 attributes;
	u32 max_vps;
	u64 *root;
	atomic_t root_gen;

	struct sharex epoch_lock;
	u64 epoch;
	atomic_t epoch_refs[2];
	atomic_t nr_inside;
	atomic_t nr_assoc;
	atomic_long_t nr_violations;
	atomic_long_t nr_zero_step;

	u32 nr_vps;
	struct soft_vp *vps[SOFT_TDX_MAX_VPS];
	atomic_long_t nr_children;
	atomic_long_t nr_pages[NR_SEPT_STATES];

	struct sha384_ctx mrtd_ctx;
	u8 mrtd[SHA384_DIGEST_SIZE];
};

/**
 * struct soft_vp - a VP; lives in its TDVPR page
 * @td: the TD
 * @index: of all VPs of the TD
 * @initialized: TDH.VP.INIT was there
 * @associated: it ran since it was created or flushed
 * @inside: between enter and exit
 * @epoch: TLB epoch that it runs in, or ran in last
 * @root_gen: @td->root_gen that @root has a copy of
 * @root: PML4 that the processor walks, in the TDCX page
 * @fault_rip: where it was at its last EPT violation
 * @nr_faults: how many there were in a row
 * @ve: what TDG.VP.VEINFO.GET returns
 * @ve_valid: and whether it does
 */
struct soft_vp {
	struct soft_td *td;
	u32 index;
	bool initialized;
	bool associated;
	bool inside;
	u64 epoch;
	int root_gen;
	u64 *root;
	u64 fault_rip;
	unsigned int nr_faults;
	struct ve_info ve;
	bool ve_valid;
};

static_assert(sizeof(struct soft_td) <= PAGE_SIZE);
static_assert(sizeof(struct soft_vp) <= PAGE_SIZE);

/* What the host must not do, or must see to; see check_names[]. */
enum soft_check {
	CHECK_TRACK_MISSING,
	CHECK_BLOCK_MISSING,
	CHECK_STALE_TLB,
	CHECK_DOUBLE_MAP,
	CHECK_FOREIGN_PAGE,
	CHECK_STILL_MAPPED,
	CHECK_PROMOTION,
	CHECK_PAGE_REFERENCED,
	CHECK_BAD_OPERAND,
	CHECK_LEAK,
	CHECK_HOST_ACCESS,
	/* What KVM says of itself: enum tdx_rule, from here on. */
	CHECK_RULES,
	NR_CHECKS = CHECK_RULES + TDX_NR_RULES
};

struct soft_call;

/**
 * struct soft_leaf - what a SEAMCALL leaf wants to find, before it does it
 * @name: of the leaf, without TDH
 * @fn: does it; gets a call whose operands are checked and locked, returns RAX
 * @td_operand: operand ID of the register with the TDR, or 0
 * @td_excl: takes the TDR exclusively
 * @ops: mask of enum soft_op; 0: the leaf looks at the life of the TD itself
 * @has_gpa: RCX is a GPA and a level
 * @min_level: lowest of these levels
 * @max_level: highest
 * @tree_excl: takes the Secure EPT tree exclusively, else shared
 * @from: mask of enum sept_state that the entry may be in
 * @tracked: a runnable TD's entry has to be blocked, and tracking complete
 * @busy: operand ID that an injected TDX_OPERAND_BUSY names
 */
struct soft_leaf {
	const char *name;
	u64 (*fn)(struct soft_call *call);
	u8 td_operand;
	bool td_excl;
	u8 ops;
	bool has_gpa;
	u8 min_level;
	u8 max_level;
	bool tree_excl;
	u8 from;
	bool tracked;
	u8 busy;
};

/**
 * struct soft_call - a SEAMCALL on its way
 * @nr: leaf number
 * @leaf: what the table says of it
 * @in: registers as they came
 * @out: registers as they go: RCX and RDX are 0 unless somebody sets them
 * @td: the TD of @leaf->td_operand, locked
 * @gpa: of RCX, without level
 * @level: of RCX
 * @entry: the Secure EPT entry of that, locked
 * @old: its value, without lock bits
 */
struct soft_call {
	u64 nr;
	const struct soft_leaf *leaf;
	const struct tdx_module_args *in;
	struct tdx_module_args *out;
	struct soft_td *td;
	u64 gpa;
	int level;
	u64 *entry;
	u64 old;
};

/* module.c */
extern struct mutex soft_tdx_users_lock;
extern const struct soft_leaf soft_leaves[NR_LEAVES];
u64 soft_tdx_seamcall(u64 leaf, struct tdx_module_args *args);
int soft_tdx_hkid_take(u16 hkid);
void soft_tdx_hkid_give(u16 hkid);
void soft_tdx_link_td(struct soft_td *td);
void soft_tdx_unlink_td(struct soft_td *td);
void soft_tdx_visit_tds(void (*fn)(struct soft_td *td, void *arg), void *arg);

/* td.c: TDH.MNG.*, TDH.MR.*, TDH.PHYMEM.* */
u64 soft_mng_create(struct soft_call *call);
u64 soft_mng_key_config(struct soft_call *call);
u64 soft_mng_addcx(struct soft_call *call);
u64 soft_mng_init(struct soft_call *call);
u64 soft_mng_rd(struct soft_call *call);
u64 soft_mng_vpflushdone(struct soft_call *call);
u64 soft_mng_key_freeid(struct soft_call *call);
u64 soft_mr_extend(struct soft_call *call);
u64 soft_mr_finalize(struct soft_call *call);
u64 soft_phymem_cache_wb(struct soft_call *call);
u64 soft_phymem_page_reclaim(struct soft_call *call);
u64 soft_phymem_page_wbinvd(struct soft_call *call);
void soft_mrtd_add_page(struct soft_td *td, u64 gpa);

/* vp.c: TDH.VP.* */
u64 soft_vp_create(struct soft_call *call);
u64 soft_vp_addcx(struct soft_call *call);
u64 soft_vp_init(struct soft_call *call);
u64 soft_vp_flush(struct soft_call *call);
struct soft_vp *soft_vp_of(struct tdx_vp *vp);

/* mem.c: TDH.MEM.* */
u64 soft_mem_sept_add(struct soft_call *call);
u64 soft_mem_page_add(struct soft_call *call);
u64 soft_mem_page_aug(struct soft_call *call);
u64 soft_mem_range_block(struct soft_call *call);
u64 soft_mem_page_remove(struct soft_call *call);
u64 soft_mem_page_demote(struct soft_call *call);

/* sept.c */
u64 sept_make(enum sept_state state, int level, u64 pfn);
enum sept_state sept_state(u64 entry);
u64 sept_pfn(u64 entry, int level);
u8 sept_arch_state(enum sept_state state);
bool sept_gpa_ok(u64 gpa, int level);
u64 *sept_walk(struct soft_td *td, u64 gpa, int *level);
u64 sept_read(const u64 *entry);
bool sept_lock_host(u64 *entry);
u64 sept_lock_guest(u64 *entry);
void sept_unlock(u64 *entry);
void sept_commit(struct soft_td *td, u64 *entry, int level, u64 new);
u64 sept_lock_for_host(struct soft_call *call);
void sept_report(struct soft_call *call, u64 entry, int level);
unsigned int sept_accepted(u64 entry);
u64 sept_set_accepted(u64 entry, unsigned int nr);

/* pamt.c */
int pamt_init(void);
u64 pamt_end(void);
unsigned long pamt_exit(void);
struct soft_pamt *pamt_of(u64 pfn);
u64 pamt_claim(struct soft_td *td, u64 pa, int level, enum soft_page_type type,
	       u8 id);
bool pamt_has(u64 pa, int level);
bool pamt_is_host(u64 pa);
void pamt_release(struct soft_td *td, u64 pfn, int level);
void pamt_split(u64 pfn);
unsigned long pamt_count(u32 owner, int level);
struct soft_td *pamt_td(u64 pa);
void soft_host_access(u64 pfn);

/* track.c */
u64 soft_mem_track(struct soft_call *call);
bool track_done(struct soft_td *td, u64 bepoch);
void track_check_tlbs(struct soft_td *td, u64 bepoch, u64 gpa);

/* inject.c */
struct dentry;
u64 inject_before(struct soft_call *call);
bool inject_demote_restart(void);
bool inject_track_skip(void);
bool inject_track_skipped(void);
void inject_busy(u64 leaf, int nth);
void inject_fail(u64 leaf, u64 error);
void inject_restarts(int nr);
void inject_track_skips(int nr);
int inject_count(void);
void inject_debugfs(struct dentry *dir);

/* stats.c */
void stats_leaf(u64 leaf, int level, u64 ret);
void stats_accept(int level, u64 ret);
unsigned long stats_leaf_done(u64 leaf, int level);
unsigned long stats_check(enum soft_check check);
void soft_check_failed(enum soft_check check, u64 gpa, u64 what);
void soft_rule_broken(enum tdx_rule rule, u64 gpa);

static inline u64 td_pfn(struct soft_td *td)
{
	return page_to_pfn(virt_to_page(td));
}

static inline u64 operand(u64 status, u8 id)
{
	return status | id;
}

#endif /* __SOFT_TDX_INTERNAL_H */
