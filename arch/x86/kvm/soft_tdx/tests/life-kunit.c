// SPDX-License-Identifier: GPL-2.0-only
/*
 * Life of a TD and of its VPs: each leaf in each part of it.
 */
#include <linux/kvm_host.h>

#include "fixture.h"

/* Parts of a TD's life, in their order. */
enum part { NO_TD, NO_KEY, NO_TDCS, UNINITIALIZED, BUILDING, RUNNABLE, BLOCKED, TEARDOWN,
	    NR_PARTS };

static void live_until(struct soft_test *st, enum part part)
{
	u64 err;

	if (part >= NO_KEY) {
		st->td.tdr_page = soft_test_page(st);
		SOFT_ASSERT_OK(st, tdh_mng_create(&st->td, 1));
	}
	if (part >= NO_TDCS)
		SOFT_ASSERT_OK(st, tdh_mng_key_config(&st->td));
	if (part >= UNINITIALIZED) {
		st->tdcs = soft_test_page(st);
		SOFT_ASSERT_OK(st, tdh_mng_addcx(&st->td, st->tdcs));
	}
	if (part >= BUILDING)
		SOFT_ASSERT_OK(st, tdh_mng_init(&st->td, __pa(st->params), &err));
	if (part >= RUNNABLE)
		soft_test_finalize(st);
	if (part >= BLOCKED)
		SOFT_ASSERT_OK(st, tdh_mng_vpflushdone(&st->td));
	if (part >= TEARDOWN) {
		SOFT_ASSERT_OK(st, tdh_phymem_cache_wb(false));
		SOFT_ASSERT_OK(st, tdh_mng_key_freeid(&st->td));
	}
}

struct leaf_row {
	u64 leaf;
	u8 tdr;			/* operand ID of the TDR */
	const char *cells;	/* one for each part of a life */
};

/*
 * m no TD, k keys not configured, t no TDCS, p wrong op state, l wrong life,
 * n nothing to do for it there but it gets as far as its other operands
 */
static const struct leaf_row leaf_rows[] = {
	{ MNG_KEY_CONFIG,	1, "m.llllll" },
	{ MNG_ADDCX,		2, "mknnppkk" },
	{ MNG_INIT,		1, "mktnppkk" },
	{ VP_CREATE,		2, "mktpnpkk" },
	{ MNG_RD,		1, "mktpnnkk" },
	{ MEM_PAGE_ADD,		2, "mktpnpkk" },
	{ MEM_SEPT_ADD,		2, "mktpnnkk" },
	{ MEM_PAGE_AUG,		2, "mktpnnkk" },
	{ MEM_RANGE_BLOCK,	2, "mktpnnkk" },
	{ MEM_PAGE_REMOVE,	2, "mktpnnkk" },
	{ MEM_PAGE_DEMOTE,	2, "mktpnnkk" },
	{ MR_EXTEND,		2, "mktpnpkk" },
	{ MNG_KEY_FREEID,	1, "mlllllnl" },
};

static void leaf_desc(const struct leaf_row *row, char *desc)
{
	strscpy(desc, soft_leaves[row->leaf].name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(leaf, leaf_rows, leaf_desc);

static bool as_expected(const struct leaf_row *row, char cell, u64 ret)
{
	switch (cell) {
	case 'm':
		return ret == (TDX_PAGE_METADATA_INCORRECT | row->tdr);
	case 'k':
		return ret == TDX_TD_KEYS_NOT_CONFIGURED;
	case 't':
		return ret == TDX_TDCS_NOT_ALLOCATED;
	case 'p':
		return ret == TDX_OP_STATE_INCORRECT;
	case 'l':
		return ret == TDX_LIFECYCLE_STATE_INCORRECT;
	default:
		return ret && ret != (TDX_PAGE_METADATA_INCORRECT | row->tdr) &&
		       ret != TDX_TD_KEYS_NOT_CONFIGURED && ret != TDX_OP_STATE_INCORRECT &&
		       ret != TDX_TDCS_NOT_ALLOCATED && ret != TDX_LIFECYCLE_STATE_INCORRECT;
	}
}

static void tear_down_from(struct soft_test *st, enum part part)
{
	if (part == NO_TD)
		return;
	if (part < BLOCKED)
		SOFT_ASSERT_OK(st, tdh_mng_vpflushdone(&st->td));
	if (part < TEARDOWN) {
		SOFT_ASSERT_OK(st, tdh_phymem_cache_wb(false));
		SOFT_ASSERT_OK(st, tdh_mng_key_freeid(&st->td));
	}
	soft_test_reclaim(st);
	st->td.tdr_page = NULL;
}

/* The operand that is not the TDR is one that no leaf takes. */
static void test_leaf(struct kunit *test)
{
	const struct leaf_row *row = test->param_value;
	struct soft_test *st = test->priv;
	enum part part;
	u64 tdr, ret;

	KUNIT_ASSERT_EQ(test, strlen(row->cells), NR_PARTS);
	for (part = NO_TD; part < NR_PARTS; part++) {
		unsigned long bad = stats_check(CHECK_BAD_OPERAND);
		unsigned long foreign = stats_check(CHECK_FOREIGN_PAGE);

		if (row->cells[part] == '.')
			continue;
		live_until(st, part);
		tdr = st->td.tdr_page ? soft_test_tdr(st) : __pa(st->params);
		ret = row->tdr == TDX_OPERAND_ID_RCX ?
			soft_test_call(st, row->leaf, tdr, 1, 1, 1) :
			soft_test_call(st, row->leaf, BIT(10) + 1, tdr, 1, 1);
		KUNIT_EXPECT_TRUE_MSG(test, as_expected(row, row->cells[part], ret),
				      "part %d: %#llx", part, ret);
		/* As far as its operands: then they are found to be bad. */
		st->checks[CHECK_BAD_OPERAND] += stats_check(CHECK_BAD_OPERAND) - bad;
		st->checks[CHECK_FOREIGN_PAGE] += stats_check(CHECK_FOREIGN_PAGE) - foreign;
		tear_down_from(st, part);
	}
}

static void test_create(struct kunit *test)
{
	struct soft_test *st = test->priv;
	struct tdx_td other = { };
	u64 pa;

	soft_test_create(st);
	SOFT_EXPECT_RET(st, tdh_mng_create(&st->td, 2),
			TDX_PAGE_METADATA_INCORRECT | TDX_OPERAND_ID_RCX);
	st->checks[CHECK_FOREIGN_PAGE]++;
	other.tdr_page = soft_test_page(st);
	pa = page_to_phys(other.tdr_page);
	SOFT_EXPECT_RET(st, tdh_mng_create(&other, 1), TDX_HKID_NOT_FREE);
	SOFT_EXPECT_RET(st, tdh_mng_create(&other, 0), TDX_OPERAND_INVALID | TDX_OPERAND_ID_RDX);
	SOFT_EXPECT_RET(st, tdh_mng_create(&other, SOFT_TDX_HKIDS + 1),
			TDX_OPERAND_INVALID | TDX_OPERAND_ID_RDX);
	KUNIT_EXPECT_EQ(test, pamt_of(PHYS_PFN(pa))->type, PT_NDA);
	/* The key that a refused creation was to have is free. */
	SOFT_EXPECT_RET(st, tdh_mng_create(&other, 2), TDX_SUCCESS);
	SOFT_EXPECT_RET(st, tdh_mng_vpflushdone(&other), TDX_SUCCESS);
	SOFT_EXPECT_RET(st, tdh_mng_key_freeid(&other), TDX_WBCACHE_NOT_COMPLETE);
	SOFT_EXPECT_RET(st, tdh_phymem_cache_wb(false), TDX_SUCCESS);
	SOFT_EXPECT_RET(st, tdh_phymem_cache_wb(false), TDX_NO_HKID_READY_TO_WBCACHE);
	SOFT_EXPECT_RET(st, tdh_mng_key_freeid(&other), TDX_SUCCESS);
	SOFT_EXPECT_RET(st, soft_test_call(st, PHYMEM_PAGE_RECLAIM, pa, 0, 0, 0), TDX_SUCCESS);
	SOFT_EXPECT_RET(st, tdh_mng_key_config(&st->td), TDX_LIFECYCLE_STATE_INCORRECT);
}

static void test_init(struct kunit *test)
{
	struct soft_test *st = test->priv;
	u64 params = __pa(st->params), err;

	soft_test_create(st);
	st->tdcs = soft_test_page(st);
	SOFT_ASSERT_OK(st, tdh_mng_addcx(&st->td, st->tdcs));
	SOFT_EXPECT_RET(st, tdh_mng_addcx(&st->td, soft_test_page(st)), TDX_TDCX_NUM_INCORRECT);
	SOFT_EXPECT_RET(st, tdh_mng_init(&st->td, params + 8, &err),
			TDX_OPERAND_INVALID | TDX_OPERAND_ID_RDX);
	SOFT_EXPECT_RET(st, tdh_mng_init(&st->td, soft_test_tdr(st), &err),
			TDX_OPERAND_INVALID | TDX_OPERAND_ID_RDX);
	st->params->attributes = TDX_TD_ATTR_DEBUG;
	SOFT_EXPECT_RET(st, tdh_mng_init(&st->td, params, &err),
			TDX_OPERAND_INVALID | OPERAND_ID_ATTRIBUTES);
	st->params->attributes = TDX_TD_ATTR_SEPT_VE_DISABLE;
	st->params->max_vcpus = 0;
	SOFT_EXPECT_RET(st, tdh_mng_init(&st->td, params, &err),
			TDX_OPERAND_INVALID | OPERAND_ID_MAX_VCPUS);
	st->params->max_vcpus = SOFT_TDX_MAX_VPS + 1;
	SOFT_EXPECT_RET(st, tdh_mng_init(&st->td, params, &err),
			TDX_OPERAND_INVALID | OPERAND_ID_MAX_VCPUS);
	st->params->max_vcpus = 1;
	SOFT_EXPECT_RET(st, tdh_mng_init(&st->td, params, &err), TDX_SUCCESS);
	KUNIT_EXPECT_EQ(test, soft_test_td(st)->attributes, TDX_TD_ATTR_SEPT_VE_DISABLE);
}

static void test_vp(struct kunit *test)
{
	const u64 none = TDX_PAGE_METADATA_INCORRECT | TDX_OPERAND_ID_RCX;
	struct soft_test *st = test->priv;
	struct tdx_vp *vp = &st->vp[0];
	struct tdx_vp other = { };

	soft_test_create(st);
	st->tdcs = soft_test_page(st);
	SOFT_ASSERT_OK(st, tdh_mng_addcx(&st->td, st->tdcs));
	st->params->max_vcpus = 1;
	SOFT_ASSERT_OK(st, soft_test_call(st, MNG_INIT, soft_test_tdr(st), __pa(st->params), 0, 0));

	vp->tdvpr_page = soft_test_page(st);
	vp->tdvpr_pa = page_to_phys(vp->tdvpr_page);
	SOFT_EXPECT_RET(st, tdh_vp_init(vp, 0, 0), none);
	SOFT_EXPECT_RET(st, tdh_vp_flush(vp), none);
	SOFT_EXPECT_RET(st, tdh_vp_addcx(vp, soft_test_page(st)),
			TDX_PAGE_METADATA_INCORRECT | TDX_OPERAND_ID_RDX);
	SOFT_EXPECT_RET(st, soft_test_enter(st, 0), none);
	KUNIT_EXPECT_EQ(test, soft_tdx_root(vp), INVALID_PAGE);

	SOFT_ASSERT_OK(st, tdh_vp_create(&st->td, vp));
	other.tdvpr_page = soft_test_page(st);
	other.tdvpr_pa = page_to_phys(other.tdvpr_page);
	SOFT_EXPECT_RET(st, tdh_vp_create(&st->td, &other), TDX_MAX_VCPUS_EXCEEDED);
	SOFT_EXPECT_RET(st, tdh_vp_init(vp, 0, 0), TDX_TDCX_NUM_INCORRECT);
	SOFT_ASSERT_OK(st, tdh_vp_addcx(vp, soft_test_page(st)));
	SOFT_EXPECT_RET(st, tdh_vp_addcx(vp, soft_test_page(st)), TDX_TDCX_NUM_INCORRECT);
	SOFT_EXPECT_RET(st, soft_test_enter(st, 0), TDX_OP_STATE_INCORRECT);
	SOFT_ASSERT_OK(st, tdh_vp_init(vp, 0, 0));
	SOFT_EXPECT_RET(st, tdh_vp_init(vp, 0, 0), TDX_VCPU_STATE_INCORRECT);
	SOFT_EXPECT_RET(st, tdh_vp_flush(vp), TDX_VCPU_NOT_ASSOCIATED);

	soft_test_finalize(st);
	SOFT_ASSERT_OK(st, soft_test_enter(st, 0));
	SOFT_EXPECT_RET(st, tdh_vp_flush(vp), TDX_OPERAND_BUSY | TDX_OPERAND_ID_RCX);
	soft_test_leave(st, 0);
	SOFT_EXPECT_RET(st, tdh_mng_vpflushdone(&st->td), TDX_FLUSHVP_NOT_DONE);
	SOFT_EXPECT_RET(st, tdh_vp_flush(vp), TDX_SUCCESS);
	SOFT_EXPECT_RET(st, tdh_vp_flush(vp), TDX_VCPU_NOT_ASSOCIATED);
	SOFT_EXPECT_RET(st, tdh_mng_vpflushdone(&st->td), TDX_SUCCESS);
	SOFT_EXPECT_RET(st, soft_test_enter(st, 0), TDX_TD_KEYS_NOT_CONFIGURED);
	SOFT_ASSERT_OK(st, tdh_phymem_cache_wb(false));
	SOFT_ASSERT_OK(st, tdh_mng_key_freeid(&st->td));
}

/* Pages come back in teardown only, whole, and the TDR when all others did. */
static void test_reclaim(struct kunit *test)
{
	struct soft_test *st = test->priv;
	u64 frame, tdr;

	soft_test_build(st);
	soft_test_finalize(st);
	soft_test_reach(st, 0, LEVEL_2M, SEPT_MAPPED);
	frame = page_to_phys(st->pages[st->nr_pages - 1]);
	tdr = soft_test_tdr(st);

	SOFT_EXPECT_RET(st, soft_test_call(st, PHYMEM_PAGE_RECLAIM, frame, 0, 0, 0),
			TDX_LIFECYCLE_STATE_INCORRECT);
	SOFT_EXPECT_RET(st, soft_test_call(st, PHYMEM_PAGE_RECLAIM, tdr, 0, 0, 0),
			TDX_LIFECYCLE_STATE_INCORRECT);
	SOFT_EXPECT_RET(st, soft_test_call(st, PHYMEM_PAGE_RECLAIM, __pa(st->params), 0, 0, 0),
			TDX_PAGE_METADATA_INCORRECT | TDX_OPERAND_ID_RCX);
	SOFT_EXPECT_RET(st, soft_test_call(st, PHYMEM_PAGE_RECLAIM, frame + 8, 0, 0, 0),
			TDX_OPERAND_INVALID | TDX_OPERAND_ID_RCX);
	SOFT_EXPECT_RET(st, soft_test_call(st, PHYMEM_PAGE_RECLAIM, PFN_PHYS(pamt_end()), 0, 0, 0),
			TDX_OPERAND_INVALID | TDX_OPERAND_ID_RCX);

	soft_test_teardown(st);
	SOFT_EXPECT_RET(st, soft_test_call(st, PHYMEM_PAGE_RECLAIM, frame + PAGE_SIZE, 0, 0, 0),
			TDX_OPERAND_INVALID | TDX_OPERAND_ID_RCX);
	SOFT_EXPECT_RET(st, soft_test_call(st, PHYMEM_PAGE_RECLAIM, tdr, 0, 0, 0),
			TDX_TD_ASSOCIATED_PAGES_EXIST);
	soft_test_reclaim(st);
	SOFT_EXPECT_RET(st, soft_test_call(st, PHYMEM_PAGE_RECLAIM, frame, 0, 0, 0),
			TDX_PAGE_METADATA_INCORRECT | TDX_OPERAND_ID_RCX);
}

/* SHA-384 of what was done, and of contents where the host asked for it. */
static void test_measurement(struct kunit *test)
{
	struct soft_test *st = test->priv;
	u8 block[128] = { }, want[SHA384_DIGEST_SIZE];
	u64 gpa = 3 * PAGE_SIZE, value, err1, err2;
	struct sha384_ctx ctx;
	u8 *source;
	int i;

	soft_test_build(st);
	soft_test_tables(st, 0, LEVEL_4K);
	source = page_address(soft_test_page(st));
	for (i = 0; i < PAGE_SIZE; i++)
		source[i] = i * 7;
	SOFT_EXPECT_RET(st, tdh_mr_extend(&st->td, gpa, &err1, &err2),
			TDX_EPT_ENTRY_STATE_INCORRECT | TDX_OPERAND_ID_RCX);
	SOFT_ASSERT_OK(st, soft_test_call(st, MEM_PAGE_ADD, gpa, soft_test_tdr(st),
					  soft_test_frame(st, LEVEL_4K), __pa(source)));
	SOFT_EXPECT_RET(st, tdh_mr_extend(&st->td, gpa + 128, &err1, &err2),
			TDX_OPERAND_INVALID | TDX_OPERAND_ID_RCX);
	SOFT_EXPECT_RET(st, tdh_mr_extend(&st->td, LEVEL_SIZE(2), &err1, &err2),
			TDX_EPT_WALK_FAILED | TDX_OPERAND_ID_RCX);
	SOFT_ASSERT_OK(st, tdh_mr_extend(&st->td, gpa + 512, &err1, &err2));
	SOFT_EXPECT_RET(st, tdh_mng_rd(&st->td, SOFT_TDX_FIELD_MRTD(0), &value),
			TDX_METADATA_FIELD_NOT_READABLE | TDX_OPERAND_ID_RDX);
	soft_test_finalize(st);

	sha384_init(&ctx);
	memcpy(block, "MEM.PAGE.ADD", 12);
	memcpy(block + 16, &gpa, sizeof(gpa));
	sha384_update(&ctx, block, sizeof(block));
	memset(block, 0, sizeof(block));
	gpa += 512;
	memcpy(block, "MR.EXTEND", 9);
	memcpy(block + 16, &gpa, sizeof(gpa));
	sha384_update(&ctx, block, sizeof(block));
	sha384_update(&ctx, source + 512, 256);
	sha384_final(&ctx, want);
	for (i = 0; i < SHA384_DIGEST_SIZE / 8; i++) {
		SOFT_ASSERT_OK(st, tdh_mng_rd(&st->td, SOFT_TDX_FIELD_MRTD(i), &value));
		KUNIT_EXPECT_MEMEQ(test, (u8 *)&value, want + 8 * i, 8);
	}
	SOFT_EXPECT_RET(st, tdh_mng_rd(&st->td, SOFT_TDX_FIELD_MRTD(6), &value),
			TDX_METADATA_FIELD_NOT_READABLE | TDX_OPERAND_ID_RDX);
}

/* Leaves that are not modelled, and a second module. */
static void test_hook(struct kunit *test)
{
	static const struct tdx_seamcall_ops other = { .call = soft_tdx_seamcall };
	struct soft_test *st = test->priv;

	SOFT_EXPECT_RET(st, soft_test_call(st, 23, 0, 0, 0, 0), TDX_SEAMCALL_UD);
	SOFT_EXPECT_RET(st, soft_test_call(st, 69, 0, 0, 0, 0), TDX_SEAMCALL_UD);
	SOFT_EXPECT_RET(st, soft_test_call(st, BIT_ULL(63), 0, 0, 0, 0), TDX_SEAMCALL_UD);
	KUNIT_EXPECT_EQ(test, tdx_register_seamcalls(&other), -EBUSY);
	/* The second user of a module that is there. */
	KUNIT_EXPECT_EQ(test, soft_tdx_get(), 0);
	soft_tdx_put();
	KUNIT_EXPECT_EQ(test, tdx_register_seamcalls(&other), -EBUSY);
}

static struct kunit_case soft_life_cases[] = {
	KUNIT_CASE_PARAM(test_leaf, leaf_gen_params),
	KUNIT_CASE(test_create),
	KUNIT_CASE(test_init),
	KUNIT_CASE(test_vp),
	KUNIT_CASE(test_reclaim),
	KUNIT_CASE(test_measurement),
	KUNIT_CASE(test_hook),
	{}
};

static struct kunit_suite soft_life_suite = {
	.name		= "soft_tdx_life",
	.init		= soft_test_init,
	.exit		= soft_test_exit,
	.test_cases	= soft_life_cases,
};

kunit_test_suite(soft_life_suite);
