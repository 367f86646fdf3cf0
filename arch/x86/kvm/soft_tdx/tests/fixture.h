/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The software TDX module: what the KUnit suites have in common.
 *
 * A test has one TD with two VPs. When it ends the TD is torn down, the module
 * must have given back all pages, and every self check must have found as much
 * as the test says it did.
 */
#ifndef __SOFT_TDX_TESTS_FIXTURE_H
#define __SOFT_TDX_TESTS_FIXTURE_H

#include <kunit/test.h>

#include "../internal.h"
#include "vmx/tdx_arch.h"

#define SOFT_TEST_VPS		2
#define SOFT_TEST_PAGES		128

/**
 * struct soft_test - one test, test->priv
 * @test: KUnit's
 * @td: as the wrappers want it
 * @tdcs: its page
 * @vp: the same for VPs
 * @tdcx: theirs
 * @params: TD_PARAMS
 * @out: registers after the last call
 * @pages: all that was allocated
 * @orders: of those
 * @nr_pages: how many
 * @checks: counts of self checks that the test has to end with
 */
struct soft_test {
	struct kunit *test;
	struct tdx_td td;
	struct page *tdcs;
	struct tdx_vp vp[SOFT_TEST_VPS];
	struct page *tdcx[SOFT_TEST_VPS];
	struct td_params *params;
	struct tdx_module_args out;
	struct page *pages[SOFT_TEST_PAGES];
	u8 orders[SOFT_TEST_PAGES];
	unsigned int nr_pages;
	unsigned long checks[NR_CHECKS];
};

int soft_test_init(struct kunit *test);
void soft_test_exit(struct kunit *test);

/* Memory: a page of the host's, one that nobody has a reference to. */
struct page *soft_test_page(struct soft_test *st);
u64 soft_test_frame(struct soft_test *st, int level);

/* Any leaf with any registers, as the wrappers would pass them on. */
u64 soft_test_call(struct soft_test *st, u64 leaf, u64 rcx, u64 rdx, u64 r8, u64 r9);
u64 soft_test_mem(struct soft_test *st, u64 leaf, u64 gpa, int level, u64 r8);

/* The TD from nothing to a state, through the wrappers. */
void soft_test_create(struct soft_test *st);
void soft_test_build(struct soft_test *st);
void soft_test_finalize(struct soft_test *st);
void soft_test_teardown(struct soft_test *st);
void soft_test_reclaim(struct soft_test *st);

/* VPs, with interrupts off as it has to be. */
u64 soft_test_enter(struct soft_test *st, int vp);
void soft_test_leave(struct soft_test *st, int vp);
enum soft_tdx_action soft_test_accept_once(struct soft_test *st, int vp, u64 rcx, u64 *rax,
					   struct soft_tdx_exit *exit);
u64 soft_test_accept(struct soft_test *st, u64 gpa, int level);

/* Memory of the TD: tables down to a level, an entry in a state. */
void soft_test_tables(struct soft_test *st, u64 gpa, int level);
void soft_test_reach(struct soft_test *st, u64 gpa, int level, enum sept_state state);
enum sept_state soft_test_state(struct soft_test *st, u64 gpa, int level);
void soft_test_ledger(struct soft_test *st);

static inline u64 soft_test_tdr(struct soft_test *st)
{
	return page_to_phys(st->td.tdr_page);
}

static inline struct soft_td *soft_test_td(struct soft_test *st)
{
	return page_address(st->td.tdr_page);
}

#define SOFT_EXPECT_RET(st, ret, want)	KUNIT_EXPECT_EQ((st)->test, ret, want)
#define SOFT_ASSERT_OK(st, ret)		KUNIT_ASSERT_EQ((st)->test, ret, TDX_SUCCESS)

#endif /* __SOFT_TDX_TESTS_FIXTURE_H */
