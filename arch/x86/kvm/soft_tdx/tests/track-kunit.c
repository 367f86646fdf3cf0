// SPDX-License-Identifier: GPL-2.0-only
/*
 * TLB tracking, locks, and faults on demand.
 */
#include "fixture.h"

static u64 track(struct soft_test *st)
{
	return tdh_mem_track(&st->td);
}

static u64 block(struct soft_test *st, u64 gpa, int level)
{
	return soft_test_mem(st, MEM_RANGE_BLOCK, gpa, level, 0);
}

static u64 remove_page(struct soft_test *st, u64 gpa, int level)
{
	return soft_test_mem(st, MEM_PAGE_REMOVE, gpa, level, 0);
}

static const u64 not_tracked = TDX_TLB_TRACKING_NOT_DONE | TDX_OPERAND_ID_RCX;

/* A runnable TD with a page at 0 and a table of small pages behind it. */
static struct soft_test *runnable(struct kunit *test)
{
	struct soft_test *st = test->priv;

	soft_test_build(st);
	soft_test_finalize(st);
	soft_test_reach(st, 0, LEVEL_2M, SEPT_MAPPED);
	soft_test_reach(st, LEVEL_SIZE(2), LEVEL_4K, SEPT_MAPPED);
	return st;
}

/* Who was in when a page was blocked has to come out, whoever went in since. */
static void test_old_epoch(struct kunit *test)
{
	struct soft_test *st = runnable(test);

	SOFT_ASSERT_OK(st, soft_test_enter(st, 0));
	SOFT_ASSERT_OK(st, block(st, 0, LEVEL_2M));
	SOFT_ASSERT_OK(st, track(st));
	SOFT_ASSERT_OK(st, soft_test_enter(st, 1));
	SOFT_EXPECT_RET(st, remove_page(st, 0, LEVEL_2M), not_tracked);
	SOFT_EXPECT_RET(st, soft_test_mem(st, MEM_PAGE_DEMOTE, 0, LEVEL_2M,
					  page_to_phys(soft_test_page(st))), not_tracked);
	st->checks[CHECK_TRACK_MISSING] += 2;
	SOFT_EXPECT_RET(st, track(st), TDX_PREVIOUS_TLB_EPOCH_BUSY);

	soft_test_leave(st, 0);
	SOFT_EXPECT_RET(st, remove_page(st, 0, LEVEL_2M), TDX_SUCCESS);
	SOFT_EXPECT_RET(st, track(st), TDX_SUCCESS);
	soft_test_leave(st, 1);
	SOFT_EXPECT_RET(st, track(st), TDX_SUCCESS);
}

/* A VP that comes back in is in the new epoch, and is told to flush, once. */
static void test_flush(struct kunit *test)
{
	struct soft_test *st = runnable(test);
	bool flush;
	int i;

	for (i = 0; i < 4; i++) {
		flush = false;
		scoped_guard(irqsave) {
			SOFT_EXPECT_RET(st, soft_tdx_vp_enter(&st->vp[1], &flush), TDX_SUCCESS);
			soft_tdx_td_exit(&st->vp[1]);
		}
		/* Of no epoch at first, then of one that is over. */
		KUNIT_EXPECT_EQ(test, flush, i % 2 == 0);
		if (i == 1)
			SOFT_ASSERT_OK(st, track(st));
	}
}

/* A page that is blocked again starts over; an old one stays tracked. */
static void test_epochs(struct kunit *test)
{
	struct soft_test *st = runnable(test);

	SOFT_ASSERT_OK(st, block(st, 0, LEVEL_2M));
	SOFT_ASSERT_OK(st, track(st));
	SOFT_ASSERT_OK(st, block(st, LEVEL_SIZE(2), LEVEL_4K));
	SOFT_EXPECT_RET(st, remove_page(st, LEVEL_SIZE(2), LEVEL_4K), not_tracked);
	st->checks[CHECK_TRACK_MISSING]++;
	SOFT_EXPECT_RET(st, remove_page(st, 0, LEVEL_2M), TDX_SUCCESS);
	SOFT_ASSERT_OK(st, track(st));
	SOFT_ASSERT_OK(st, track(st));
	SOFT_ASSERT_OK(st, track(st));
	SOFT_EXPECT_RET(st, remove_page(st, LEVEL_SIZE(2), LEVEL_4K), TDX_SUCCESS);
	soft_test_ledger(st);
}

/* Two parities of epochs: a VP that stays in for two of them is seen. */
static void test_stays_inside(struct kunit *test)
{
	struct soft_test *st = runnable(test);

	SOFT_ASSERT_OK(st, track(st));
	SOFT_ASSERT_OK(st, soft_test_enter(st, 0));
	SOFT_ASSERT_OK(st, track(st));
	SOFT_EXPECT_RET(st, track(st), TDX_PREVIOUS_TLB_EPOCH_BUSY);
	/* Blocked since: the VP in the epoch before may still have it. */
	SOFT_ASSERT_OK(st, block(st, 0, LEVEL_2M));
	SOFT_EXPECT_RET(st, remove_page(st, 0, LEVEL_2M), not_tracked);
	st->checks[CHECK_TRACK_MISSING]++;
	soft_test_leave(st, 0);
	SOFT_ASSERT_OK(st, track(st));
	SOFT_EXPECT_RET(st, remove_page(st, 0, LEVEL_2M), TDX_SUCCESS);
}

/* Were VPs counted wrong, what they say themselves would show it. */
static void test_stale_tlb(struct kunit *test)
{
	struct soft_test *st = runnable(test);
	struct soft_td *td = soft_test_td(st);
	atomic_t *refs = &td->epoch_refs[td->epoch & 1];

	SOFT_ASSERT_OK(st, soft_test_enter(st, 0));
	SOFT_ASSERT_OK(st, block(st, 0, LEVEL_2M));
	SOFT_ASSERT_OK(st, track(st));
	atomic_dec(refs);
	SOFT_EXPECT_RET(st, remove_page(st, 0, LEVEL_2M), TDX_SUCCESS);
	st->checks[CHECK_STALE_TLB]++;
	atomic_inc(refs);
	soft_test_leave(st, 0);
}

/* Locks are tried: each leaf says which one it did not get. */
static void test_busy(struct kunit *test)
{
	const u64 tree = TDX_OPERAND_BUSY | TDX_OPERAND_ID_SEPT;
	struct soft_test *st = runnable(test);
	struct soft_td *td = soft_test_td(st);
	int level = LEVEL_2M;
	u64 *entry = sept_walk(td, 0, &level);

	KUNIT_ASSERT_TRUE(test, sharex_try_shared(&td->tree));
	SOFT_EXPECT_RET(st, block(st, 0, LEVEL_2M), tree);
	SOFT_EXPECT_RET(st, remove_page(st, LEVEL_SIZE(2), LEVEL_4K),
			TDX_GPA_RANGE_NOT_BLOCKED | TDX_OPERAND_ID_RCX);
	st->checks[CHECK_BLOCK_MISSING]++;
	sharex_put_shared(&td->tree);

	KUNIT_ASSERT_TRUE(test, sharex_try_excl(&td->tree));
	SOFT_EXPECT_RET(st, remove_page(st, 0, LEVEL_2M), tree);
	sharex_put_excl(&td->tree);

	KUNIT_ASSERT_TRUE(test, sharex_try_excl(&td->lock));
	SOFT_EXPECT_RET(st, block(st, 0, LEVEL_2M), TDX_OPERAND_BUSY | TDX_OPERAND_ID_RDX);
	SOFT_EXPECT_RET(st, track(st), TDX_OPERAND_BUSY | TDX_OPERAND_ID_RCX);
	sharex_put_excl(&td->lock);

	KUNIT_ASSERT_TRUE(test, sharex_try_shared(&td->epoch_lock));
	SOFT_EXPECT_RET(st, track(st), TDX_OPERAND_BUSY | TDX_OPERAND_ID_TD_EPOCH);
	sharex_put_shared(&td->epoch_lock);
	KUNIT_ASSERT_TRUE(test, sharex_try_excl(&td->epoch_lock));
	SOFT_EXPECT_RET(st, soft_test_enter(st, 0), TDX_OPERAND_BUSY | TDX_OPERAND_ID_TD_EPOCH);
	sharex_put_excl(&td->epoch_lock);

	/* A guest has the entry; then the host's turn comes first. */
	KUNIT_ASSERT_EQ(test, sept_lock_guest(entry), TDX_SUCCESS);
	SOFT_EXPECT_RET(st, block(st, 0, LEVEL_2M), TDX_OPERAND_BUSY | TDX_OPERAND_ID_RCX);
	KUNIT_EXPECT_EQ(test, sept_lock_guest(entry), TDX_OPERAND_BUSY);
	sept_unlock(entry);
	KUNIT_EXPECT_EQ(test, sept_lock_guest(entry), TDX_OPERAND_BUSY_HOST_PRIORITY);
	SOFT_EXPECT_RET(st, block(st, 0, LEVEL_2M), TDX_SUCCESS);
	KUNIT_EXPECT_EQ(test, sept_lock_guest(entry), TDX_SUCCESS);
	sept_unlock(entry);
}

/* Busy on the nth call, only if somebody is inside then, and once. */
static void test_inject_busy(struct kunit *test)
{
	struct soft_test *st = runnable(test);
	int injected = inject_count();

	inject_busy(MEM_RANGE_BLOCK, 2);
	SOFT_EXPECT_RET(st, block(st, 0, LEVEL_4K), TDX_EPT_WALK_FAILED | TDX_OPERAND_ID_RCX);
	SOFT_EXPECT_RET(st, block(st, 0, LEVEL_4K), TDX_EPT_WALK_FAILED | TDX_OPERAND_ID_RCX);
	KUNIT_EXPECT_EQ(test, inject_count(), injected);
	SOFT_ASSERT_OK(st, soft_test_enter(st, 0));
	inject_busy(MEM_RANGE_BLOCK, 2);
	SOFT_EXPECT_RET(st, block(st, 0, LEVEL_2M), TDX_SUCCESS);
	SOFT_EXPECT_RET(st, block(st, LEVEL_SIZE(2), LEVEL_4K),
			TDX_OPERAND_BUSY | TDX_OPERAND_ID_SEPT);
	KUNIT_EXPECT_EQ(test, inject_count(), injected + 1);
	SOFT_EXPECT_RET(st, block(st, LEVEL_SIZE(2), LEVEL_4K), TDX_SUCCESS);
	soft_test_leave(st, 0);
	KUNIT_EXPECT_EQ(test, inject_count(), injected + 1);
}

static void violate(struct soft_test *st, u64 rip)
{
	guard(irqsave)();
	soft_tdx_ept_violation(&st->vp[0], rip);
}

/* A VP that stays at one instruction is entered when nobody has the tree. */
static void test_zero_step(struct kunit *test)
{
	struct soft_test *st = runnable(test);
	struct soft_td *td = soft_test_td(st);
	int i;

	KUNIT_ASSERT_TRUE(test, sharex_try_shared(&td->tree));
	for (i = 0; i < ZERO_STEP_VIOLATIONS; i++) {
		SOFT_ASSERT_OK(st, soft_test_enter(st, 0));
		violate(st, 0x1000);
		soft_test_leave(st, 0);
	}
	SOFT_EXPECT_RET(st, soft_test_enter(st, 0), TDX_OPERAND_BUSY | TDX_OPERAND_ID_SEPT);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&td->nr_zero_step), 0);
	sharex_put_shared(&td->tree);

	SOFT_ASSERT_OK(st, soft_test_enter(st, 0));
	KUNIT_EXPECT_EQ(test, atomic_long_read(&td->nr_zero_step), 1);
	KUNIT_ASSERT_TRUE(test, sharex_try_excl(&td->tree));
	sharex_put_excl(&td->tree);

	/* It got on. */
	violate(st, 0x1004);
	soft_test_leave(st, 0);
	SOFT_ASSERT_OK(st, soft_test_enter(st, 0));
	soft_test_leave(st, 0);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&td->nr_zero_step), 1);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&td->nr_violations), ZERO_STEP_VIOLATIONS + 1);
}

/* An interrupted demote has done nothing, and keeps its registers. */
static void test_inject_restart(struct kunit *test)
{
	struct soft_test *st = runnable(test);
	u64 table = page_to_phys(soft_test_page(st));
	int i, injected = inject_count();

	SOFT_ASSERT_OK(st, block(st, 0, LEVEL_2M));
	SOFT_ASSERT_OK(st, track(st));
	inject_restarts(3);
	for (i = 0; i < 3; i++) {
		SOFT_EXPECT_RET(st, soft_test_mem(st, MEM_PAGE_DEMOTE, 0, LEVEL_2M, table),
				TDX_INTERRUPTED_RESTARTABLE);
		KUNIT_EXPECT_EQ(test, st->out.rcx, LEVEL_2M);
		KUNIT_EXPECT_EQ(test, st->out.rdx, soft_test_tdr(st));
		KUNIT_EXPECT_EQ(test, pamt_of(PHYS_PFN(table))->type, PT_NDA);
		KUNIT_EXPECT_EQ(test, soft_test_state(st, 0, LEVEL_2M), SEPT_BLOCKED);
	}
	SOFT_EXPECT_RET(st, soft_test_mem(st, MEM_PAGE_DEMOTE, 0, LEVEL_2M, table), TDX_SUCCESS);
	KUNIT_EXPECT_EQ(test, inject_count(), injected + 3);
	soft_test_ledger(st);
}

/* A track that does nothing is no fault of the host's. */
static void test_inject_track(struct kunit *test)
{
	struct soft_test *st = runnable(test);

	SOFT_ASSERT_OK(st, block(st, 0, LEVEL_2M));
	inject_track_skips(1);
	SOFT_EXPECT_RET(st, track(st), TDX_SUCCESS);
	SOFT_EXPECT_RET(st, remove_page(st, 0, LEVEL_2M), not_tracked);
	SOFT_ASSERT_OK(st, track(st));
	SOFT_EXPECT_RET(st, remove_page(st, 0, LEVEL_2M), TDX_SUCCESS);
}

static void test_inject_fail(struct kunit *test)
{
	struct soft_test *st = runnable(test);

	inject_fail(MEM_PAGE_REMOVE, TDX_SYS_BUSY);
	SOFT_ASSERT_OK(st, block(st, 0, LEVEL_2M));
	SOFT_ASSERT_OK(st, track(st));
	SOFT_EXPECT_RET(st, remove_page(st, 0, LEVEL_2M), TDX_SYS_BUSY);
	KUNIT_EXPECT_EQ(test, soft_test_state(st, 0, LEVEL_2M), SEPT_BLOCKED);
	SOFT_EXPECT_RET(st, remove_page(st, 0, LEVEL_2M), TDX_SUCCESS);
}

/* A page the module still has is not the host's to write back. */
static void test_still_mapped(struct kunit *test)
{
	const u64 incorrect = TDX_PAGE_METADATA_INCORRECT | TDX_OPERAND_ID_RCX;
	struct soft_test *st = test->priv;
	u64 pa;

	soft_test_build(st);
	soft_test_tables(st, 0, LEVEL_2M);
	pa = soft_test_frame(st, LEVEL_2M);
	SOFT_ASSERT_OK(st, soft_test_mem(st, MEM_PAGE_AUG, 0, LEVEL_2M, pa));
	SOFT_EXPECT_RET(st, tdh_phymem_page_wbinvd_hkid(1, PHYS_PFN(pa) + 5), incorrect);
	st->checks[CHECK_STILL_MAPPED]++;
	SOFT_EXPECT_RET(st, tdh_phymem_page_wbinvd_tdr(&st->td), incorrect);
	SOFT_ASSERT_OK(st, remove_page(st, 0, LEVEL_2M));
	SOFT_EXPECT_RET(st, tdh_phymem_page_wbinvd_hkid(1, PHYS_PFN(pa) + 5), TDX_SUCCESS);
	SOFT_EXPECT_RET(st, tdh_phymem_page_wbinvd_hkid(1, pamt_end()),
			TDX_OPERAND_INVALID | TDX_OPERAND_ID_RCX);
}

static struct kunit_case soft_track_cases[] = {
	KUNIT_CASE(test_old_epoch),
	KUNIT_CASE(test_flush),
	KUNIT_CASE(test_epochs),
	KUNIT_CASE(test_stays_inside),
	KUNIT_CASE(test_stale_tlb),
	KUNIT_CASE(test_busy),
	KUNIT_CASE(test_zero_step),
	KUNIT_CASE(test_inject_busy),
	KUNIT_CASE(test_inject_restart),
	KUNIT_CASE(test_inject_track),
	KUNIT_CASE(test_inject_fail),
	KUNIT_CASE(test_still_mapped),
	{}
};

static struct kunit_suite soft_track_suite = {
	.name		= "soft_tdx_track",
	.init		= soft_test_init,
	.exit		= soft_test_exit,
	.test_cases	= soft_track_cases,
};

kunit_test_suite(soft_track_suite);
