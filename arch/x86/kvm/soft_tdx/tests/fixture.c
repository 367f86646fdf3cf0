// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the KUnit suites of the software TDX module have in common.
 */
#include <linux/slab.h>

#include "fixture.h"

struct page *soft_test_page(struct soft_test *st)
{
	struct page *page = alloc_page(GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(st->test, page);
	KUNIT_ASSERT_LT(st->test, st->nr_pages, SOFT_TEST_PAGES);
	st->orders[st->nr_pages] = 0;
	st->pages[st->nr_pages++] = page;
	return page;
}

/* Its address. As in gmem, its reference count is 0 while it is in use. */
u64 soft_test_frame(struct soft_test *st, int level)
{
	struct page *page = alloc_pages(GFP_KERNEL, 9 * level);

	KUNIT_ASSERT_NOT_NULL(st->test, page);
	KUNIT_ASSERT_LT(st->test, st->nr_pages, SOFT_TEST_PAGES);
	KUNIT_ASSERT_TRUE(st->test, page_ref_freeze(page, 1));
	memset(page_address(page), 0xa5, LEVEL_SIZE(level));
	st->orders[st->nr_pages] = 9 * level;
	st->pages[st->nr_pages++] = page;
	return page_to_phys(page);
}

u64 soft_test_call(struct soft_test *st, u64 leaf, u64 rcx, u64 rdx, u64 r8, u64 r9)
{
	st->out = (struct tdx_module_args) { .rcx = rcx, .rdx = rdx, .r8 = r8, .r9 = r9 };
	guard(preempt)();
	return soft_tdx_seamcall(leaf, &st->out);
}

u64 soft_test_mem(struct soft_test *st, u64 leaf, u64 gpa, int level, u64 r8)
{
	return soft_test_call(st, leaf, gpa | level, soft_test_tdr(st), r8, 0);
}

/* A TD that has its key and is not initialized. */
void soft_test_create(struct soft_test *st)
{
	st->td.tdr_page = soft_test_page(st);
	SOFT_ASSERT_OK(st, tdh_mng_create(&st->td, 1));
	SOFT_ASSERT_OK(st, tdh_mng_key_config(&st->td));
}

static void build_vp(struct soft_test *st, int i)
{
	struct tdx_vp *vp = &st->vp[i];

	vp->tdvpr_page = soft_test_page(st);
	vp->tdvpr_pa = page_to_phys(vp->tdvpr_page);
	SOFT_ASSERT_OK(st, tdh_vp_create(&st->td, vp));
	st->tdcx[i] = soft_test_page(st);
	SOFT_ASSERT_OK(st, tdh_vp_addcx(vp, st->tdcx[i]));
	SOFT_ASSERT_OK(st, tdh_vp_init(vp, 0, i));
}

/* And one that is, with its VPs. */
void soft_test_build(struct soft_test *st)
{
	u64 err;
	int i;

	soft_test_create(st);
	st->tdcs = soft_test_page(st);
	SOFT_ASSERT_OK(st, tdh_mng_addcx(&st->td, st->tdcs));
	SOFT_ASSERT_OK(st, tdh_mng_init(&st->td, __pa(st->params), &err));
	for (i = 0; i < SOFT_TEST_VPS; i++)
		build_vp(st, i);
}

void soft_test_finalize(struct soft_test *st)
{
	SOFT_ASSERT_OK(st, tdh_mr_finalize(&st->td));
}

/* From any state to where pages may be reclaimed. */
void soft_test_teardown(struct soft_test *st)
{
	int i;

	for (i = 0; i < SOFT_TEST_VPS; i++)
		if (st->vp[i].tdvpr_page)
			tdh_vp_flush(&st->vp[i]);
	SOFT_EXPECT_RET(st, tdh_mng_vpflushdone(&st->td), TDX_SUCCESS);
	SOFT_EXPECT_RET(st, tdh_phymem_cache_wb(false), TDX_SUCCESS);
	SOFT_EXPECT_RET(st, tdh_mng_key_freeid(&st->td), TDX_SUCCESS);
}

static void reclaim_one(struct soft_test *st, u64 pa)
{
	struct soft_pamt *page = pamt_of(PHYS_PFN(pa));
	u64 type = page->type, level = page->level;
	u64 pt, owner, size;

	if (type == PT_NDA)
		return;
	SOFT_EXPECT_RET(st, tdh_phymem_page_reclaim(pfn_to_page(PHYS_PFN(pa)), &pt, &owner, &size),
			TDX_SUCCESS);
	KUNIT_EXPECT_EQ(st->test, pt, type);
	KUNIT_EXPECT_EQ(st->test, owner, soft_test_tdr(st));
	KUNIT_EXPECT_EQ(st->test, size, level);
}

/* All pages of the TD, its TDR last. */
void soft_test_reclaim(struct soft_test *st)
{
	unsigned int i;
	u64 pa, end;

	for (i = 0; i < st->nr_pages; i++) {
		if (st->pages[i] == st->td.tdr_page)
			continue;
		pa = page_to_phys(st->pages[i]);
		end = pa + (PAGE_SIZE << st->orders[i]);
		for (; pa < end; pa += PAGE_SIZE)
			reclaim_one(st, pa);
	}
	reclaim_one(st, soft_test_tdr(st));
}

u64 soft_test_enter(struct soft_test *st, int vp)
{
	bool flush = false;

	guard(irqsave)();
	return soft_tdx_vp_enter(&st->vp[vp], &flush);
}

void soft_test_leave(struct soft_test *st, int vp)
{
	guard(irqsave)();
	soft_tdx_td_exit(&st->vp[vp]);
}

enum soft_tdx_action soft_test_accept_once(struct soft_test *st, int vp, u64 rcx, u64 *rax,
					   struct soft_tdx_exit *exit)
{
	struct tdx_module_args args = { .rcx = rcx };

	*rax = TDG_MEM_PAGE_ACCEPT;
	guard(irqsave)();
	return soft_tdx_tdcall(&st->vp[vp], rax, &args, exit);
}

/* To its end, on a VP that nobody is in. */
u64 soft_test_accept(struct soft_test *st, u64 gpa, int level)
{
	enum soft_tdx_action action;
	struct soft_tdx_exit exit;
	u64 rax;

	SOFT_ASSERT_OK(st, soft_test_enter(st, 0));
	do {
		action = soft_test_accept_once(st, 0, gpa | level, &rax, &exit);
	} while (action == SOFT_TDX_REPEAT);
	soft_test_leave(st, 0);
	KUNIT_EXPECT_EQ(st->test, action, SOFT_TDX_RESUME);
	return rax;
}

/* Tables so that an entry of @level can be used. */
void soft_test_tables(struct soft_test *st, u64 gpa, int level)
{
	int table, ended;

	for (table = LEVEL_512G; table > level; table--) {
		ended = table - 1;
		sept_walk(soft_test_td(st), gpa, &ended);
		if (ended == table)
			SOFT_ASSERT_OK(st, soft_test_mem(st, MEM_SEPT_ADD,
							 gpa & ~(LEVEL_SIZE(table) - 1), table,
							 page_to_phys(soft_test_page(st))));
	}
}

static void reach_mapped(struct soft_test *st, u64 gpa, int level)
{
	u64 pa = soft_test_frame(st, level);

	if (soft_test_td(st)->op == OP_INITIALIZED) {
		SOFT_ASSERT_OK(st, soft_test_call(st, MEM_PAGE_ADD, gpa, soft_test_tdr(st),
						  pa, pa));
		return;
	}
	SOFT_ASSERT_OK(st, soft_test_mem(st, MEM_PAGE_AUG, gpa, level, pa));
	SOFT_ASSERT_OK(st, soft_test_accept(st, gpa, level));
}

/* Bring an entry that is free to a state that the TD allows. */
void soft_test_reach(struct soft_test *st, u64 gpa, int level, enum sept_state state)
{
	soft_test_tables(st, gpa, level);
	switch (state) {
	case SEPT_MAPPED:
	case SEPT_BLOCKED:
		reach_mapped(st, gpa, level);
		break;
	case SEPT_PENDING:
	case SEPT_PENDING_BLOCKED:
		SOFT_ASSERT_OK(st, soft_test_mem(st, MEM_PAGE_AUG, gpa, level,
						 soft_test_frame(st, level)));
		break;
	case SEPT_NL_MAPPED:
	case SEPT_NL_BLOCKED:
		SOFT_ASSERT_OK(st, soft_test_mem(st, MEM_SEPT_ADD, gpa, level,
						 page_to_phys(soft_test_page(st))));
		break;
	default:
		break;
	}
	if (BIT(state) & SEPT_ANY_BLOCKED)
		SOFT_ASSERT_OK(st, soft_test_mem(st, MEM_RANGE_BLOCK, gpa, level, 0));
	KUNIT_ASSERT_EQ(st->test, soft_test_state(st, gpa, level), state);
}

/* Of an entry that can be walked to. */
enum sept_state soft_test_state(struct soft_test *st, u64 gpa, int level)
{
	int ended = level;
	u64 *entry = sept_walk(soft_test_td(st), gpa, &ended);

	KUNIT_EXPECT_EQ(st->test, ended, level);
	return sept_state(sept_read(entry));
}

struct ledger {
	long pages[NR_SEPT_STATES];
	unsigned long by_level[3];
};

static void count_table(struct soft_test *st, struct ledger *l, const u64 *table, int level)
{
	int i;

	for (i = 0; i < LEVEL_PAGES(1); i++) {
		enum sept_state state = sept_state(table[i]);
		u64 pfn = sept_pfn(table[i], level);

		if (state == SEPT_FREE)
			continue;
		KUNIT_EXPECT_EQ(st->test, pamt_of(pfn)->owner, td_pfn(soft_test_td(st)));
		if (BIT(state) & SEPT_ANY_LEAF) {
			KUNIT_EXPECT_EQ(st->test, pamt_of(pfn)->type, PT_REG);
			l->pages[state] += LEVEL_PAGES(level);
			l->by_level[level] += LEVEL_PAGES(level);
			continue;
		}
		KUNIT_EXPECT_EQ(st->test, pamt_of(pfn)->type, PT_EPT);
		l->pages[state]++;
		count_table(st, l, __va(PFN_PHYS(pfn)), level - 1);
	}
}

/* What the tables say is what the counters say is what the PAMT says. */
void soft_test_ledger(struct soft_test *st)
{
	struct soft_td *td = soft_test_td(st);
	struct ledger l = { };
	int i;

	count_table(st, &l, td->root, LEVEL_512G);
	for (i = SEPT_FREE + 1; i < NR_SEPT_STATES; i++)
		KUNIT_EXPECT_EQ_MSG(st->test, atomic_long_read(&td->nr_pages[i]), l.pages[i],
				    "state %d", i);
	KUNIT_EXPECT_EQ(st->test, pamt_count(td_pfn(td), LEVEL_4K), l.by_level[LEVEL_4K]);
	KUNIT_EXPECT_EQ(st->test, pamt_count(td_pfn(td), LEVEL_2M), l.by_level[LEVEL_2M]);
}

int soft_test_init(struct kunit *test)
{
	struct soft_test *st = kunit_kzalloc(test, sizeof(*st), GFP_KERNEL);
	int i;

	KUNIT_ASSERT_NOT_NULL(test, st);
	test->priv = st;
	st->test = test;
	KUNIT_ASSERT_EQ(test, soft_tdx_get(), 0);
	for (i = 0; i < NR_CHECKS; i++)
		st->checks[i] = stats_check(i);
	st->params = page_address(soft_test_page(st));
	memset(st->params, 0, PAGE_SIZE);
	st->params->max_vcpus = SOFT_TEST_VPS;
	return 0;
}

void soft_test_exit(struct kunit *test)
{
	struct soft_test *st = test->priv;
	int i;

	if (st->td.tdr_page && pamt_of(page_to_pfn(st->td.tdr_page))->type == PT_TDR) {
		if (soft_test_td(st)->life <= TD_KEYS_CONFIGURED)
			soft_test_teardown(st);
		soft_test_reclaim(st);
	}
	soft_tdx_put();

	for (i = 0; i < NR_CHECKS; i++)
		KUNIT_EXPECT_EQ_MSG(test, stats_check(i), st->checks[i], "check %d", i);
	while (st->nr_pages--) {
		struct page *page = st->pages[st->nr_pages];

		if (!page_ref_count(page))
			page_ref_unfreeze(page, 1);
		__free_pages(page, st->orders[st->nr_pages]);
	}
}
