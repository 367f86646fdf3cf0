// SPDX-License-Identifier: GPL-2.0-only
/*
 * TDCALL, and what the processor walks.
 */
#include <linux/bitfield.h>
#include <linux/kvm_host.h>

#include "fixture.h"

static struct soft_test *runnable(struct kunit *test)
{
	struct soft_test *st = test->priv;

	soft_test_build(st);
	soft_test_finalize(st);
	return st;
}

struct accept_row {
	const char *desc;
	enum sept_state state;	/* of the entry */
	int level;		/* where it is */
	int want;		/* level of the accept */
	enum soft_tdx_action action;
	u64 rax;		/* if the guest gets it */
};

static const struct accept_row accept_rows[] = {
	{ "4K pending", SEPT_PENDING, 0, 0, SOFT_TDX_RESUME, TDX_SUCCESS },
	{ "4K mapped", SEPT_MAPPED, 0, 0, SOFT_TDX_RESUME, TDX_PAGE_ALREADY_ACCEPTED | 0 },
	{ "4K free", SEPT_FREE, 0, 0, SOFT_TDX_EXIT_EPT_VIOLATION },
	{ "4K blocked", SEPT_BLOCKED, 0, 0, SOFT_TDX_EXIT_EPT_VIOLATION },
	{ "4K pending blocked", SEPT_PENDING_BLOCKED, 0, 0, SOFT_TDX_EXIT_EPT_VIOLATION },
	{ "2M pending", SEPT_PENDING, 1, 1, SOFT_TDX_RESUME, TDX_SUCCESS },
	{ "2M mapped", SEPT_MAPPED, 1, 1, SOFT_TDX_RESUME, TDX_PAGE_ALREADY_ACCEPTED | 1 },
	{ "2M free", SEPT_FREE, 1, 1, SOFT_TDX_EXIT_EPT_VIOLATION },
	{ "2M blocked", SEPT_BLOCKED, 1, 1, SOFT_TDX_EXIT_EPT_VIOLATION },
	{ "2M pending blocked", SEPT_PENDING_BLOCKED, 1, 1, SOFT_TDX_EXIT_EPT_VIOLATION },
	{ "2M of a table", SEPT_NL_MAPPED, 1, 1, SOFT_TDX_RESUME, TDX_PAGE_SIZE_MISMATCH | 1 },
	{ "2M of a blocked table", SEPT_NL_BLOCKED, 1, 1, SOFT_TDX_RESUME,
	  TDX_PAGE_SIZE_MISMATCH | 1 },
	{ "4K of 2M pending", SEPT_PENDING, 1, 0, SOFT_TDX_EXIT_EPT_VIOLATION },
	{ "4K of 2M mapped", SEPT_MAPPED, 1, 0, SOFT_TDX_RESUME, TDX_PAGE_ALREADY_ACCEPTED | 1 },
	{ "4K of 2M blocked", SEPT_BLOCKED, 1, 0, SOFT_TDX_EXIT_EPT_VIOLATION },
	{ "4K of 2M pending blocked", SEPT_PENDING_BLOCKED, 1, 0, SOFT_TDX_EXIT_EPT_VIOLATION },
	{ "4K, no table", SEPT_FREE, 1, 0, SOFT_TDX_EXIT_EPT_VIOLATION },
	{ "2M, no table", SEPT_FREE, 2, 1, SOFT_TDX_EXIT_EPT_VIOLATION },
	{ "4K of a blocked table", SEPT_NL_BLOCKED, 1, 0, SOFT_TDX_EXIT_EPT_VIOLATION },
};

KUNIT_ARRAY_PARAM_DESC(accept, accept_rows, desc);

static void expect_violation(struct kunit *test, const struct accept_row *row, u64 gpa,
			     const struct soft_tdx_exit *exit)
{
	u64 qual = exit->ext_qual;

	KUNIT_EXPECT_EQ(test, exit->gpa, gpa);
	KUNIT_EXPECT_EQ(test, qual & TDX_EXT_EXIT_QUAL_TYPE_MASK, TDX_EXT_EXIT_QUAL_TYPE_ACCEPT);
	KUNIT_EXPECT_EQ(test, FIELD_GET(TDX_EXT_EXIT_QUAL_REQ_LEVEL, qual), row->want);
	KUNIT_EXPECT_EQ(test, FIELD_GET(TDX_EXT_EXIT_QUAL_ERR_LEVEL, qual), row->level);
	KUNIT_EXPECT_EQ(test, FIELD_GET(TDX_EXT_EXIT_QUAL_ERR_STATE, qual),
			sept_arch_state(row->state));
	KUNIT_EXPECT_EQ(test, !!(qual & TDX_EXT_EXIT_QUAL_IS_LEAF),
			row->state >= SEPT_MAPPED && row->state <= SEPT_PENDING_BLOCKED);
}

static void test_accept_row(struct kunit *test)
{
	const struct accept_row *row = test->param_value;
	struct soft_test *st = runnable(test);
	enum soft_tdx_action action;
	u64 before, *entry, rax, gpa = LEVEL_SIZE(2);
	struct soft_tdx_exit exit;
	int level = row->level;
	void *page;

	soft_test_reach(st, gpa, row->level, row->state);
	entry = sept_walk(soft_test_td(st), gpa, &level);
	before = *entry;
	SOFT_ASSERT_OK(st, soft_test_enter(st, 0));
	do {
		action = soft_test_accept_once(st, 0, gpa | row->want, &rax, &exit);
	} while (action == SOFT_TDX_REPEAT);
	soft_test_leave(st, 0);

	KUNIT_EXPECT_EQ(test, action, row->action);
	if (action == SOFT_TDX_EXIT_EPT_VIOLATION)
		expect_violation(test, row, gpa, &exit);
	else
		SOFT_EXPECT_RET(st, rax, row->rax);
	if (action == SOFT_TDX_RESUME && row->rax == TDX_SUCCESS) {
		KUNIT_EXPECT_EQ(test, sept_state(*entry), SEPT_MAPPED);
		page = __va(PFN_PHYS(sept_pfn(*entry, row->level)));
		KUNIT_EXPECT_PTR_EQ(test, memchr_inv(page, 0, LEVEL_SIZE(row->level)), NULL);
	} else {
		KUNIT_EXPECT_EQ(test, *entry, before);
	}
	soft_test_ledger(st);
}

static void test_accept_operands(struct kunit *test)
{
	static const u64 bad[] = {
		2, 7, PAGE_SIZE | LEVEL_2M, BIT(3), BIT(11), BIT_ULL(SOFT_TDX_SHARED_BIT),
		BIT_ULL(63),
	};
	struct soft_test *st = runnable(test);
	struct soft_tdx_exit exit;
	u64 rax;
	int i;

	SOFT_ASSERT_OK(st, soft_test_enter(st, 0));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		KUNIT_EXPECT_EQ(test, soft_test_accept_once(st, 0, bad[i], &rax, &exit),
				SOFT_TDX_RESUME);
		SOFT_EXPECT_RET(st, rax, TDX_OPERAND_INVALID | TDX_OPERAND_ID_RCX);
	}
	soft_test_leave(st, 0);
}

/* An interrupt comes between the parts: the VP is out, and goes on later. */
static void test_accept_interrupted(struct kunit *test)
{
	struct soft_test *st = runnable(test);
	struct soft_tdx_exit exit;
	enum soft_tdx_action action;
	int level = LEVEL_2M, parts = 0;
	u64 rax, *entry;
	u8 *bytes;

	soft_test_reach(st, 0, LEVEL_2M, SEPT_PENDING);
	entry = sept_walk(soft_test_td(st), 0, &level);
	bytes = __va(PFN_PHYS(sept_pfn(*entry, LEVEL_2M)));
	do {
		SOFT_ASSERT_OK(st, soft_test_enter(st, parts % 2));
		action = soft_test_accept_once(st, parts % 2, LEVEL_2M, &rax, &exit);
		soft_test_leave(st, parts % 2);
		parts++;
		if (action == SOFT_TDX_REPEAT) {
			KUNIT_EXPECT_EQ(test, rax, TDG_MEM_PAGE_ACCEPT);
			KUNIT_EXPECT_EQ(test, sept_state(*entry), SEPT_PENDING);
			KUNIT_EXPECT_PTR_EQ(test, __va(PFN_PHYS(sept_pfn(*entry, LEVEL_2M))),
					    (void *)bytes);
			/* What was zeroed stays as it is. */
			KUNIT_EXPECT_EQ(test, bytes[0], parts == 1 ? 0 : 0x77);
			bytes[0] = 0x77;
		}
	} while (action == SOFT_TDX_REPEAT);
	KUNIT_EXPECT_EQ(test, parts, 16);
	SOFT_EXPECT_RET(st, rax, TDX_SUCCESS);
	KUNIT_EXPECT_EQ(test, bytes[0], 0x77);
	KUNIT_EXPECT_PTR_EQ(test, memchr_inv(bytes + 1, 0, LEVEL_SIZE(LEVEL_2M) - 1), NULL);
}

/* Blocked or split half way, an accept begins again, or for small pages. */
static void test_accept_then_block(struct kunit *test)
{
	struct soft_test *st = runnable(test);
	struct soft_tdx_exit exit;
	int level = LEVEL_2M;
	u64 rax, *entry, pfn;

	soft_test_reach(st, 0, LEVEL_2M, SEPT_PENDING);
	entry = sept_walk(soft_test_td(st), 0, &level);
	pfn = sept_pfn(*entry, LEVEL_2M);
	SOFT_ASSERT_OK(st, soft_test_enter(st, 0));
	KUNIT_EXPECT_EQ(test, soft_test_accept_once(st, 0, LEVEL_2M, &rax, &exit), SOFT_TDX_REPEAT);
	KUNIT_EXPECT_NE(test, sept_accepted(*entry), 0);
	SOFT_ASSERT_OK(st, soft_test_mem(st, MEM_RANGE_BLOCK, 0, LEVEL_2M, 0));
	KUNIT_EXPECT_EQ(test, sept_accepted(*entry), 0);
	KUNIT_EXPECT_EQ(test, soft_test_accept_once(st, 0, LEVEL_2M, &rax, &exit),
			SOFT_TDX_EXIT_EPT_VIOLATION);
	soft_test_leave(st, 0);

	SOFT_ASSERT_OK(st, tdh_mem_track(&st->td));
	SOFT_ASSERT_OK(st, soft_test_mem(st, MEM_PAGE_DEMOTE, 0, LEVEL_2M,
					 page_to_phys(soft_test_page(st))));
	level = LEVEL_4K;
	entry = sept_walk(soft_test_td(st), 7 * PAGE_SIZE, &level);
	KUNIT_EXPECT_EQ(test, sept_state(*entry), SEPT_PENDING);
	KUNIT_EXPECT_EQ(test, sept_pfn(*entry, LEVEL_4K), pfn + 7);
	SOFT_EXPECT_RET(st, soft_test_accept(st, 7 * PAGE_SIZE, LEVEL_4K), TDX_SUCCESS);
	soft_test_ledger(st);
}

static void test_accept_busy(struct kunit *test)
{
	struct soft_test *st = runnable(test);
	struct soft_td *td = soft_test_td(st);
	int level = LEVEL_4K;
	u64 *entry;

	soft_test_reach(st, 0, LEVEL_4K, SEPT_PENDING);
	entry = sept_walk(td, 0, &level);
	KUNIT_ASSERT_TRUE(test, sharex_try_excl(&td->tree));
	SOFT_EXPECT_RET(st, soft_test_accept(st, 0, LEVEL_4K),
			TDX_OPERAND_BUSY | TDX_OPERAND_ID_SEPT);
	sharex_put_excl(&td->tree);

	KUNIT_ASSERT_TRUE(test, sept_lock_host(entry));
	SOFT_EXPECT_RET(st, soft_test_accept(st, 0, LEVEL_4K),
			TDX_OPERAND_BUSY | TDX_OPERAND_ID_RCX);
	KUNIT_EXPECT_FALSE(test, sept_lock_host(entry));
	sept_unlock(entry);
	SOFT_EXPECT_RET(st, soft_test_accept(st, 0, LEVEL_4K),
			TDX_OPERAND_BUSY_HOST_PRIORITY | TDX_OPERAND_ID_RCX);
	KUNIT_EXPECT_TRUE(test, sept_lock_host(entry));
	sept_unlock(entry);
	SOFT_EXPECT_RET(st, soft_test_accept(st, 0, LEVEL_4K), TDX_SUCCESS);
}

static u64 tdcall(struct soft_test *st, u64 leaf, struct tdx_module_args *args)
{
	struct soft_tdx_exit exit;
	u64 rax = leaf;

	SOFT_ASSERT_OK(st, soft_test_enter(st, 1));
	scoped_guard(irqsave)
		KUNIT_EXPECT_EQ(st->test, soft_tdx_tdcall(&st->vp[1], &rax, args, &exit),
				leaf == TDG_VP_VMCALL ? SOFT_TDX_EXIT_VMCALL : SOFT_TDX_RESUME);
	soft_test_leave(st, 1);
	return rax;
}

static void test_other_calls(struct kunit *test)
{
	struct ve_info ve = {
		.exit_reason = 48, .exit_qual = 2, .gla = 0x1234, .gpa = 0x5000, .instr_len = 3,
		.instr_info = 4,
	};
	struct soft_test *st = runnable(test);
	struct tdx_module_args args = { };

	SOFT_EXPECT_RET(st, tdcall(st, TDG_VP_VMCALL, &args), TDG_VP_VMCALL);
	SOFT_EXPECT_RET(st, tdcall(st, TDG_VP_INFO, &args), TDX_SUCCESS);
	KUNIT_EXPECT_EQ(test, args.rcx, 48);
	KUNIT_EXPECT_EQ(test, args.r8, SOFT_TEST_VPS | (u64)SOFT_TEST_VPS << 32);
	KUNIT_EXPECT_EQ(test, args.r9, 1);
	SOFT_EXPECT_RET(st, tdcall(st, 99, &args), TDX_OPERAND_INVALID);

	SOFT_EXPECT_RET(st, tdcall(st, TDG_VP_VEINFO_GET, &args), TDX_NO_VALID_VE_INFO);
	KUNIT_EXPECT_TRUE(test, soft_tdx_set_ve_info(&st->vp[1], &ve));
	KUNIT_EXPECT_FALSE(test, soft_tdx_set_ve_info(&st->vp[1], &ve));
	SOFT_EXPECT_RET(st, tdcall(st, TDG_VP_VEINFO_GET, &args), TDX_SUCCESS);
	KUNIT_EXPECT_EQ(test, args.rcx, 48);
	KUNIT_EXPECT_EQ(test, args.rdx, 2);
	KUNIT_EXPECT_EQ(test, args.r8, 0x1234);
	KUNIT_EXPECT_EQ(test, args.r9, 0x5000);
	KUNIT_EXPECT_EQ(test, args.r10, 3 | 4ULL << 32);
	SOFT_EXPECT_RET(st, tdcall(st, TDG_VP_VEINFO_GET, &args), TDX_NO_VALID_VE_INFO);
}

static void test_pending(struct kunit *test)
{
	struct soft_test *st = runnable(test);
	struct tdx_vp *vp = &st->vp[0];

	soft_test_reach(st, 0, LEVEL_2M, SEPT_PENDING);
	soft_test_reach(st, LEVEL_SIZE(1), LEVEL_4K, SEPT_MAPPED);
	KUNIT_EXPECT_TRUE(test, soft_tdx_is_pending(vp, 0));
	KUNIT_EXPECT_TRUE(test, soft_tdx_is_pending(vp, 5 * PAGE_SIZE + 7));
	KUNIT_EXPECT_FALSE(test, soft_tdx_is_pending(vp, LEVEL_SIZE(1)));
	KUNIT_EXPECT_FALSE(test, soft_tdx_is_pending(vp, LEVEL_SIZE(2)));
	KUNIT_EXPECT_FALSE(test, soft_tdx_is_pending(vp, BIT_ULL(SOFT_TDX_SHARED_BIT)));
	SOFT_ASSERT_OK(st, soft_test_mem(st, MEM_RANGE_BLOCK, 0, LEVEL_2M, 0));
	KUNIT_EXPECT_FALSE(test, soft_tdx_is_pending(vp, 0));
	KUNIT_EXPECT_FALSE(test, soft_tdx_sept_ve_disabled(vp));
}

/* As the processor walks nested tables from @root, or 0 if it would fault. */
static u64 hardware_walk(hpa_t root, u64 gpa, int *level)
{
	const u64 need = _PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED;
	u64 entry;

	for (*level = LEVEL_512G; ; (*level)--) {
		entry = ((u64 *)__va(root))[(gpa >> (PAGE_SHIFT + 9 * *level)) & 511];
		if ((entry & need) != need)
			return 0;
		root = entry & GENMASK_ULL(boot_cpu_data.x86_phys_bits - 1, PAGE_SHIFT);
		if (!*level || entry & _PAGE_PSE)
			return root;
	}
}

/* What is mapped can be got at, and nothing else; shared is KVM's. */
static void test_root(struct kunit *test)
{
	struct soft_test *st = runnable(test);
	struct tdx_vp *vp = &st->vp[0];
	hpa_t root = soft_tdx_root(vp);
	u64 *shared = page_address(soft_test_page(st));
	int level;

	KUNIT_EXPECT_EQ(test, root, page_to_phys(st->tdcx[0]));
	soft_test_reach(st, 0, LEVEL_2M, SEPT_PENDING);
	soft_test_reach(st, LEVEL_SIZE(1), LEVEL_4K, SEPT_MAPPED);
	KUNIT_EXPECT_EQ(test, hardware_walk(root, 0, &level), 0);
	SOFT_EXPECT_RET(st, soft_test_accept(st, 0, LEVEL_2M), TDX_SUCCESS);
	KUNIT_EXPECT_EQ(test, hardware_walk(root, 0, &level),
			page_to_phys(st->pages[st->nr_pages - 3]));
	KUNIT_EXPECT_EQ(test, level, LEVEL_2M);
	KUNIT_EXPECT_EQ(test, hardware_walk(root, LEVEL_SIZE(1), &level),
			page_to_phys(st->pages[st->nr_pages - 1]));
	KUNIT_EXPECT_EQ(test, level, LEVEL_4K);
	SOFT_ASSERT_OK(st, soft_test_mem(st, MEM_RANGE_BLOCK, 0, LEVEL_2M, 0));
	KUNIT_EXPECT_EQ(test, hardware_walk(root, 0, &level), 0);

	memset(shared, 0x11, PAGE_SIZE);
	soft_tdx_set_shared_root(vp, __pa(shared));
	KUNIT_EXPECT_MEMEQ(test, (u8 *)__va(root) + PAGE_SIZE / 2, (u8 *)shared, PAGE_SIZE / 2);
	KUNIT_EXPECT_NE(test, hardware_walk(root, LEVEL_SIZE(1), &level), 0);
	soft_tdx_set_shared_root(vp, INVALID_PAGE);
	KUNIT_EXPECT_PTR_EQ(test, memchr_inv(__va(root) + PAGE_SIZE / 2, 0, PAGE_SIZE / 2), NULL);

	/* 512 GiB on, a table of the root that came later: at the next entry. */
	soft_test_reach(st, LEVEL_SIZE(LEVEL_512G), LEVEL_2M, SEPT_MAPPED);
	KUNIT_EXPECT_EQ(test, hardware_walk(root, LEVEL_SIZE(LEVEL_512G), &level),
			page_to_phys(st->pages[st->nr_pages - 1]));
}

static struct kunit_case soft_guest_cases[] = {
	KUNIT_CASE_PARAM(test_accept_row, accept_gen_params),
	KUNIT_CASE(test_accept_operands),
	KUNIT_CASE(test_accept_interrupted),
	KUNIT_CASE(test_accept_then_block),
	KUNIT_CASE(test_accept_busy),
	KUNIT_CASE(test_other_calls),
	KUNIT_CASE(test_pending),
	KUNIT_CASE(test_root),
	{}
};

static struct kunit_suite soft_guest_suite = {
	.name		= "soft_tdx_guest",
	.init		= soft_test_init,
	.exit		= soft_test_exit,
	.test_cases	= soft_guest_cases,
};

kunit_test_suite(soft_guest_suite);
