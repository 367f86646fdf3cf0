// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each TDH.MEM leaf on an entry in each state, before and after the TD is
 * finalized: the table of Documentation/virt/kvm/soft-tdx.rst, written down
 * once more and not read from the module's.
 */
#include "fixture.h"

/* What happens, a letter for each state of the entry. */
enum {
	DONE		= 'o',
	STATE		= 's',	/* TDX_EPT_ENTRY_STATE_INCORRECT */
	ALREADY		= 'b',	/* TDX_GPA_RANGE_ALREADY_BLOCKED */
	NOT_BLOCKED	= 'n',	/* TDX_GPA_RANGE_NOT_BLOCKED */
	NOT_TRACKED	= 't',	/* TDX_TLB_TRACKING_NOT_DONE */
	OP_STATE	= 'x',	/* TDX_OP_STATE_INCORRECT */
	NO_SUCH		= '.',	/* no entry of that level can be in that state */
};

/* Columns: blocked entries before and after tracking. */
static const struct {
	enum sept_state state;
	bool tracked;
} columns[] = {
	{ SEPT_FREE },
	{ SEPT_MAPPED },
	{ SEPT_PENDING },
	{ SEPT_BLOCKED },
	{ SEPT_BLOCKED, true },
	{ SEPT_PENDING_BLOCKED },
	{ SEPT_PENDING_BLOCKED, true },
	{ SEPT_NL_MAPPED },
	{ SEPT_NL_BLOCKED },
};

struct row {
	u64 leaf;
	int level;
	bool runnable;
	const char *cells;
};

/*	free, mapped, pending, blocked, tracked, pending blocked, tracked, table, table blocked */
static const struct row rows[] = {
	{ MEM_SEPT_ADD, 1, false, "o.s..s.ss" },
	{ MEM_SEPT_ADD, 2, false, "o......ss" },
	{ MEM_PAGE_ADD, 0, false, "ossssss.." },
	{ MEM_PAGE_AUG, 0, false, "ossssss.." },
	{ MEM_PAGE_AUG, 1, false, "o.s..ssss" },
	{ MEM_RANGE_BLOCK, 0, false, "soobbbb.." },
	{ MEM_RANGE_BLOCK, 1, false, "s.o..bbob" },
	{ MEM_PAGE_REMOVE, 0, false, "soooooo.." },
	{ MEM_PAGE_REMOVE, 1, false, "s.o..ooss" },
	{ MEM_PAGE_DEMOTE, 1, false, "s.o..ooss" },
	{ MEM_SEPT_ADD, 1, true, "ossssssss" },
	{ MEM_SEPT_ADD, 2, true, "o......ss" },
	{ MEM_PAGE_ADD, 0, true, "xxxxxxx.." },
	{ MEM_PAGE_AUG, 0, true, "ossssss.." },
	{ MEM_PAGE_AUG, 1, true, "ossssssss" },
	{ MEM_RANGE_BLOCK, 0, true, "soobbbb.." },
	{ MEM_RANGE_BLOCK, 1, true, "soobbbbob" },
	{ MEM_RANGE_BLOCK, 2, true, "s......ob" },
	{ MEM_PAGE_REMOVE, 0, true, "snntoto.." },
	{ MEM_PAGE_REMOVE, 1, true, "snntotoss" },
	{ MEM_PAGE_DEMOTE, 1, true, "snntotoss" },
	{ MEM_PAGE_DEMOTE, 2, true, "s......ss" },
};

static void row_desc(const struct row *row, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s %d %s", soft_leaves[row->leaf].name,
		 row->level, row->runnable ? "runnable" : "initialized");
}

KUNIT_ARRAY_PARAM(row, rows, row_desc);

static u64 error_of(char cell)
{
	switch (cell) {
	case STATE:
		return TDX_EPT_ENTRY_STATE_INCORRECT | TDX_OPERAND_ID_RCX;
	case ALREADY:
		return TDX_GPA_RANGE_ALREADY_BLOCKED | TDX_OPERAND_ID_RCX;
	case NOT_BLOCKED:
		return TDX_GPA_RANGE_NOT_BLOCKED | TDX_OPERAND_ID_RCX;
	case NOT_TRACKED:
		return TDX_TLB_TRACKING_NOT_DONE | TDX_OPERAND_ID_RCX;
	case OP_STATE:
		return TDX_OP_STATE_INCORRECT;
	default:
		return TDX_SUCCESS;
	}
}

static enum sept_state state_after(u64 leaf, enum sept_state from)
{
	switch (leaf) {
	case MEM_PAGE_ADD:
		return SEPT_MAPPED;
	case MEM_PAGE_AUG:
		return SEPT_PENDING;
	case MEM_PAGE_REMOVE:
		return SEPT_FREE;
	case MEM_RANGE_BLOCK:
		return from == SEPT_MAPPED ? SEPT_BLOCKED :
		       from == SEPT_PENDING ? SEPT_PENDING_BLOCKED : SEPT_NL_BLOCKED;
	default:
		return SEPT_NL_MAPPED;
	}
}

/* Checks that find fault with a call that is refused like this. */
static void expect_checks(struct soft_test *st, const struct row *row, char cell,
			  enum sept_state state)
{
	if (cell == NOT_BLOCKED)
		st->checks[CHECK_BLOCK_MISSING]++;
	if (cell == NOT_TRACKED)
		st->checks[CHECK_TRACK_MISSING]++;
	if (cell == STATE && row->leaf == MEM_PAGE_AUG && state >= SEPT_NL_MAPPED)
		st->checks[CHECK_PROMOTION]++;
}

/* The page that the leaf is given: its own kind and size. */
static u64 operand_page(struct soft_test *st, const struct row *row)
{
	if (row->leaf == MEM_PAGE_AUG || row->leaf == MEM_PAGE_ADD)
		return soft_test_frame(st, row->level);
	if (row->leaf == MEM_SEPT_ADD || row->leaf == MEM_PAGE_DEMOTE)
		return page_to_phys(soft_test_page(st));
	return 0;
}

/* After a demote: 512 small pages, where the large one was, not blocked. */
static void expect_parts(struct soft_test *st, u64 gpa, enum sept_state from, u64 pfn)
{
	enum sept_state to = from == SEPT_BLOCKED ? SEPT_MAPPED : SEPT_PENDING;
	u64 *entry;
	int i, level;

	for (i = 0; i < LEVEL_PAGES(1); i++) {
		level = LEVEL_4K;
		entry = sept_walk(soft_test_td(st), gpa + i * PAGE_SIZE, &level);
		KUNIT_ASSERT_EQ(st->test, level, LEVEL_4K);
		KUNIT_ASSERT_EQ(st->test, sept_state(*entry), to);
		KUNIT_ASSERT_EQ(st->test, sept_pfn(*entry, LEVEL_4K), pfn + i);
		KUNIT_ASSERT_EQ(st->test, pamt_of(pfn + i)->level, LEVEL_4K);
	}
}

static void expect_done(struct soft_test *st, const struct row *row, u64 gpa,
			enum sept_state from, u64 before, u64 page)
{
	u64 pfn = sept_pfn(before, row->level);

	KUNIT_EXPECT_EQ(st->test, soft_test_state(st, gpa, row->level),
			state_after(row->leaf, from));
	KUNIT_EXPECT_EQ(st->test, st->out.rdx, 0);
	KUNIT_EXPECT_EQ(st->test, st->out.rcx,
			row->leaf == MEM_PAGE_REMOVE ? PFN_PHYS(pfn) : 0);
	if (page)
		KUNIT_EXPECT_NE(st->test, pamt_of(PHYS_PFN(page))->type, PT_NDA);
	if (row->leaf == MEM_PAGE_REMOVE)
		KUNIT_EXPECT_EQ(st->test, pamt_of(pfn)->type, PT_NDA);
	if (row->leaf == MEM_PAGE_DEMOTE)
		expect_parts(st, gpa, from, pfn);
}

/* Nothing has changed, and the host is told what there is. */
static void expect_refused(struct soft_test *st, const struct row *row, u64 gpa,
			   u64 before, u64 page, char cell)
{
	bool reported = cell != NOT_TRACKED && cell != OP_STATE;
	int level = row->level;
	u64 *entry = sept_walk(soft_test_td(st), gpa, &level);
	u64 info = level | (u64)sept_arch_state(sept_state(before)) << 8;

	KUNIT_EXPECT_EQ(st->test, *entry, before);
	KUNIT_EXPECT_EQ(st->test, st->out.rcx, reported ? before : 0);
	KUNIT_EXPECT_EQ(st->test, st->out.rdx, reported ? info : 0);
	if (page)
		KUNIT_EXPECT_EQ(st->test, pamt_of(PHYS_PFN(page))->type, PT_NDA);
}

static void do_cell(struct soft_test *st, const struct row *row, int column, u64 gpa)
{
	enum sept_state state = columns[column].state;
	char cell = row->cells[column];
	u64 before, page, ret;
	int level = row->level;

	soft_test_reach(st, gpa, row->level, state);
	if (columns[column].tracked)
		SOFT_ASSERT_OK(st, soft_test_call(st, MEM_TRACK, soft_test_tdr(st), 0, 0, 0));
	before = *sept_walk(soft_test_td(st), gpa, &level);
	page = operand_page(st, row);

	ret = soft_test_call(st, row->leaf, gpa | row->level, soft_test_tdr(st), page, page);
	KUNIT_EXPECT_EQ_MSG(st->test, ret, error_of(cell), "column %d", column);
	expect_checks(st, row, cell, state);
	if (cell == DONE)
		expect_done(st, row, gpa, state, before, page);
	else
		expect_refused(st, row, gpa, before, page, cell);
	soft_test_ledger(st);
}

static void test_row(struct kunit *test)
{
	struct soft_test *st = test->priv;
	const struct row *row = test->param_value;
	int column;

	KUNIT_ASSERT_EQ(test, strlen(row->cells), ARRAY_SIZE(columns));
	soft_test_build(st);
	if (row->runnable)
		soft_test_finalize(st);
	for (column = 0; column < ARRAY_SIZE(columns); column++)
		if (row->cells[column] != NO_SUCH)
			do_cell(st, row, column, LEVEL_SIZE(row->level) * 512 * (column + 1));
}

/* Operands that no state makes right, and where the walk ends early. */
static void test_operands(struct kunit *test)
{
	static const u64 with_gpa[] = {
		MEM_SEPT_ADD, MEM_PAGE_AUG, MEM_RANGE_BLOCK, MEM_PAGE_REMOVE, MEM_PAGE_DEMOTE,
	};
	const u64 bad = TDX_OPERAND_INVALID | TDX_OPERAND_ID_RCX;
	struct soft_test *st = test->priv;
	u64 tdr;
	int i;

	soft_test_build(st);
	soft_test_finalize(st);
	tdr = soft_test_tdr(st);
	for (i = 0; i < ARRAY_SIZE(with_gpa); i++) {
		const struct soft_leaf *leaf = &soft_leaves[with_gpa[i]];
		int level = leaf->max_level;
		u64 gpa = LEVEL_SIZE(LEVEL_512G);

		/* Level, alignment, reserved bits, shared; no TD. */
		SOFT_EXPECT_RET(st, soft_test_mem(st, with_gpa[i], gpa, level + 1, 0), bad);
		SOFT_EXPECT_RET(st, soft_test_mem(st, with_gpa[i], gpa + LEVEL_SIZE(level - 1),
						  level, 0), bad);
		SOFT_EXPECT_RET(st, soft_test_mem(st, with_gpa[i], gpa + BIT(5), level, 0), bad);
		SOFT_EXPECT_RET(st, soft_test_mem(st, with_gpa[i], BIT_ULL(SOFT_TDX_SHARED_BIT),
						  level, 0), bad);
		st->checks[CHECK_BAD_OPERAND] += 4;
		if (leaf->min_level) {
			SOFT_EXPECT_RET(st, soft_test_mem(st, with_gpa[i], gpa, 0, 0), bad);
			st->checks[CHECK_BAD_OPERAND]++;
		}
		SOFT_EXPECT_RET(st, soft_test_call(st, with_gpa[i], gpa | level, tdr + PAGE_SIZE,
						   0, 0),
				TDX_PAGE_METADATA_INCORRECT | TDX_OPERAND_ID_RDX);

		/* There are no tables: the walk ends at the root. */
		SOFT_EXPECT_RET(st, soft_test_mem(st, with_gpa[i], gpa, 1, 0),
				TDX_EPT_WALK_FAILED | TDX_OPERAND_ID_RCX);
		KUNIT_EXPECT_EQ(test, st->out.rcx, 0);
		KUNIT_EXPECT_EQ(test, st->out.rdx, LEVEL_512G);
	}
}

/* Pages that the host may not give: each leaf that takes one. */
static void test_pages(struct kunit *test)
{
	static const struct {
		u64 leaf;
		int level;
		enum sept_state state;
	} takes[] = {
		{ MEM_PAGE_AUG, 0, SEPT_FREE },
		{ MEM_PAGE_AUG, 1, SEPT_FREE },
		{ MEM_SEPT_ADD, 1, SEPT_FREE },
		{ MEM_PAGE_DEMOTE, 1, SEPT_PENDING_BLOCKED },
	};
	const u64 invalid = TDX_OPERAND_INVALID | TDX_OPERAND_ID_R8;
	const u64 owned = TDX_PAGE_METADATA_INCORRECT | TDX_OPERAND_ID_R8;
	struct soft_test *st = test->priv;
	u64 mapped, gpa, tables;
	int i;

	soft_test_build(st);
	soft_test_finalize(st);
	soft_test_tables(st, 0, LEVEL_2M);
	mapped = soft_test_frame(st, LEVEL_2M);
	SOFT_ASSERT_OK(st, soft_test_mem(st, MEM_PAGE_AUG, 0, LEVEL_2M, mapped));
	for (i = 0; i < ARRAY_SIZE(takes); i++) {
		int level = takes[i].level;

		gpa = LEVEL_SIZE(2) * (i + 1);
		soft_test_reach(st, gpa, level, takes[i].state);
		if (takes[i].state != SEPT_FREE)
			SOFT_ASSERT_OK(st, tdh_mem_track(&st->td));
		tables = atomic_long_read(&soft_test_td(st)->nr_children);

		SOFT_EXPECT_RET(st, soft_test_mem(st, takes[i].leaf, gpa, level, mapped + 8),
				invalid);
		SOFT_EXPECT_RET(st, soft_test_mem(st, takes[i].leaf, gpa, level,
						  PFN_PHYS(pamt_end())), invalid);
		SOFT_EXPECT_RET(st, soft_test_mem(st, takes[i].leaf, gpa, level, mapped), owned);
		st->checks[CHECK_FOREIGN_PAGE] += 2;
		st->checks[CHECK_DOUBLE_MAP]++;
		if (level != LEVEL_2M || takes[i].leaf != MEM_PAGE_AUG) {
			SOFT_EXPECT_RET(st, soft_test_mem(st, takes[i].leaf, gpa, level,
							  page_to_phys(st->tdcs)), owned);
			st->checks[CHECK_FOREIGN_PAGE]++;
		}
		KUNIT_EXPECT_EQ(test, soft_test_state(st, gpa, level), takes[i].state);
		KUNIT_EXPECT_EQ(test, atomic_long_read(&soft_test_td(st)->nr_children), tables);
	}
	soft_test_ledger(st);
}

/* A large page of which the module has a small one, in the middle. */
static void test_part_owned(struct kunit *test)
{
	struct soft_test *st = test->priv;
	u64 frame, small;
	int i;

	soft_test_build(st);
	soft_test_finalize(st);
	frame = soft_test_frame(st, LEVEL_2M);
	small = frame + 300 * PAGE_SIZE;
	soft_test_tables(st, 0, LEVEL_4K);
	soft_test_tables(st, LEVEL_SIZE(2), LEVEL_2M);
	SOFT_ASSERT_OK(st, soft_test_mem(st, MEM_PAGE_AUG, 0, LEVEL_4K, small));
	SOFT_EXPECT_RET(st, soft_test_mem(st, MEM_PAGE_AUG, LEVEL_SIZE(2), LEVEL_2M, frame),
			TDX_PAGE_METADATA_INCORRECT | TDX_OPERAND_ID_R8);
	st->checks[CHECK_DOUBLE_MAP]++;
	for (i = 0; i < LEVEL_PAGES(1); i++)
		KUNIT_EXPECT_EQ(test, pamt_of(PHYS_PFN(frame) + i)->type,
				i == 300 ? PT_REG : PT_NDA);
}

/* A page that somebody holds a reference to, when it is mapped and unmapped. */
static void test_referenced(struct kunit *test)
{
	struct soft_test *st = test->priv;
	u64 pa;

	soft_test_build(st);
	soft_test_tables(st, 0, LEVEL_4K);
	pa = soft_test_frame(st, LEVEL_4K);
	page_ref_unfreeze(pfn_to_page(PHYS_PFN(pa)), 1);
	SOFT_EXPECT_RET(st, soft_test_mem(st, MEM_PAGE_AUG, 0, LEVEL_4K, pa), TDX_SUCCESS);
	SOFT_EXPECT_RET(st, soft_test_mem(st, MEM_PAGE_REMOVE, 0, LEVEL_4K, 0), TDX_SUCCESS);
	st->checks[CHECK_PAGE_REFERENCED] += 2;
}

/* Blocked tables are not walked, and work again for nobody. */
static void test_blocked_table(struct kunit *test)
{
	struct soft_test *st = test->priv;

	soft_test_build(st);
	soft_test_finalize(st);
	soft_test_reach(st, 0, LEVEL_4K, SEPT_MAPPED);
	SOFT_ASSERT_OK(st, soft_test_mem(st, MEM_RANGE_BLOCK, 0, LEVEL_2M, 0));
	SOFT_EXPECT_RET(st, soft_test_mem(st, MEM_RANGE_BLOCK, 0, LEVEL_4K, 0),
			TDX_EPT_WALK_FAILED | TDX_OPERAND_ID_RCX);
	KUNIT_EXPECT_EQ(test, st->out.rdx, LEVEL_2M | 0x8100);
}

/* Contents: added pages have the source's, and a demote leaves them alone. */
static void test_contents(struct kunit *test)
{
	struct soft_test *st = test->priv;
	u64 pa, source;
	u8 *bytes;
	int i;

	soft_test_build(st);
	soft_test_tables(st, 0, LEVEL_4K);
	pa = soft_test_frame(st, LEVEL_4K);
	source = page_to_phys(soft_test_page(st));
	memset(__va(source), 0x5a, PAGE_SIZE);
	SOFT_EXPECT_RET(st, soft_test_call(st, MEM_PAGE_ADD, 0, soft_test_tdr(st), pa, pa + 8),
			TDX_OPERAND_INVALID | TDX_OPERAND_ID_R9);
	SOFT_ASSERT_OK(st, soft_test_call(st, MEM_PAGE_ADD, 0, soft_test_tdr(st), pa, source));
	KUNIT_EXPECT_MEMEQ(test, __va(pa), __va(source), PAGE_SIZE);

	soft_test_finalize(st);
	soft_test_reach(st, LEVEL_SIZE(2), LEVEL_2M, SEPT_MAPPED);
	bytes = page_address(st->pages[st->nr_pages - 1]);
	KUNIT_EXPECT_PTR_EQ(test, memchr_inv(bytes, 0, LEVEL_SIZE(LEVEL_2M)), NULL);
	for (i = 0; i < LEVEL_PAGES(1); i++)
		bytes[i * PAGE_SIZE] = i + 1;
	SOFT_ASSERT_OK(st, soft_test_mem(st, MEM_RANGE_BLOCK, LEVEL_SIZE(2), LEVEL_2M, 0));
	SOFT_ASSERT_OK(st, tdh_mem_track(&st->td));
	SOFT_ASSERT_OK(st, soft_test_mem(st, MEM_PAGE_DEMOTE, LEVEL_SIZE(2), LEVEL_2M,
					 page_to_phys(soft_test_page(st))));
	for (i = 0; i < LEVEL_PAGES(1); i++)
		KUNIT_EXPECT_EQ(test, bytes[i * PAGE_SIZE], (u8)(i + 1));
}

/* The wrapper that is ours passes its operands on, and results back. */
static void test_demote_wrapper(struct kunit *test)
{
	struct soft_test *st = test->priv;
	u64 entry, info, done;

	soft_test_build(st);
	soft_test_finalize(st);
	soft_test_reach(st, 0, LEVEL_2M, SEPT_MAPPED);
	done = stats_leaf_done(MEM_PAGE_DEMOTE, LEVEL_2M);
	SOFT_EXPECT_RET(st, tdh_mem_page_demote(&st->td, 0, PG_LEVEL_2M, soft_test_page(st),
						&entry, &info),
			TDX_GPA_RANGE_NOT_BLOCKED | TDX_OPERAND_ID_RCX);
	st->checks[CHECK_BLOCK_MISSING]++;
	KUNIT_EXPECT_EQ(test, info, LEVEL_2M | 0x400);
	SOFT_ASSERT_OK(st, tdh_mem_range_block(&st->td, 0, PG_LEVEL_2M, &entry, &info));
	SOFT_ASSERT_OK(st, tdh_mem_track(&st->td));
	SOFT_EXPECT_RET(st, tdh_mem_page_demote(&st->td, 0, PG_LEVEL_2M, soft_test_page(st),
						&entry, &info), TDX_SUCCESS);
	KUNIT_EXPECT_EQ(test, info, 0);
	KUNIT_EXPECT_EQ(test, stats_leaf_done(MEM_PAGE_DEMOTE, LEVEL_2M), done + 1);
	soft_test_ledger(st);
}

static struct kunit_case soft_mem_cases[] = {
	KUNIT_CASE_PARAM(test_row, row_gen_params),
	KUNIT_CASE(test_operands),
	KUNIT_CASE(test_pages),
	KUNIT_CASE(test_part_owned),
	KUNIT_CASE(test_referenced),
	KUNIT_CASE(test_blocked_table),
	KUNIT_CASE(test_contents),
	KUNIT_CASE(test_demote_wrapper),
	{}
};

static struct kunit_suite soft_mem_suite = {
	.name		= "soft_tdx_mem",
	.init		= soft_test_init,
	.exit		= soft_test_exit,
	.test_cases	= soft_mem_cases,
};

kunit_test_suite(soft_mem_suite);
