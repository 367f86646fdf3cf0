// SPDX-License-Identifier: GPL-2.0-only
/*
 * TDX guests on the software TDX module, and a KVM that does what it must not:
 * a test for the checks that the other tests rely on.
 */
#include "tdx.h"

#define SEED	61
#define PARAM	"/sys/module/kvm/parameters/tdx_mem_wrong"

/* As in tdx_mem.h. */
enum {
	NO_BLOCK, NO_TRACK, STILL_MAPPED, PROMOTE, PIN, UNPIN, WIDE_ZAP, SHARED_SPLIT,
	OPEN_SPLIT, GIVE_BACK, HOST_WRITE,
};

static long check(const char *name)
{
	return gm_proc_value("/sys/kernel/debug/soft_tdx/checks", name);
}

static void set_wrong(u32 mask)
{
	gm_assert(gm_write(PARAM, "%u", mask), "%s: %s", PARAM, strerror(errno));
}

/*
 * Memory is mapped, split and taken away with something done wrong. The check of
 * that name finds it each time, no other finds anything, and the guest keeps what
 * it has.
 */
static void wrong(unsigned int what, const char *name, long times)
{
	const u64 off = 5 * GM_PAGE;
	struct gm_td_scene s;
	long before;

	if (access(PARAM, W_OK))
		gm_skip("needs the debug kernel (CONFIG_KVM_TDX_MEM_WRONG)");

	s = gm_td_scene_open(1, GM_2M, 0);
	before = check(name);
	set_wrong(BIT(what));
	gm_td_accept_ok(s.td, 0, GM_GPA, GM_TD_2M, 1);
	gm_assert_eq(gm_td_store(s.td, 0, GM_GPA, GM_2M, 8, SEED), GM_TD_SYNC);
	gm_set_ok(&s.f, off, GM_PAGE, false);
	gm_set_ok(&s.f, off, GM_PAGE, true);
	gm_td_accept_ok(s.td, 0, GM_GPA + off, GM_TD_4K, 1);
	set_wrong(0);

	gm_assert_eq(check(name) - before, times);
	gm_td_assert_others(&s, SEED, 0, off);
	gm_td_assert_ledger(&s);
	gm_td_found(s.td, name, times);
	gm_td_scene_close(&s);
}

static void no_block(void) { wrong(NO_BLOCK, "block_missing", 1); }
/* Before the split, and before the page goes. */
static void no_track(void) { wrong(NO_TRACK, "track_missing", 2); }
static void still_mapped(void) { wrong(STILL_MAPPED, "still_mapped", 1); }
static void promote(void) { wrong(PROMOTE, "promotion", 1); }
static void pin(void) { wrong(PIN, "page_referenced", 2); }
static void wide_zap(void) { wrong(WIDE_ZAP, "zap_inexact", 1); }
static void shared_split(void) { wrong(SHARED_SPLIT, "split_shared", 1); }
static void give_back(void) { wrong(GIVE_BACK, "still_mapped", 1); }
/* What the guest gets to see is what it accepted, which is zero. */
static void host_write(void) { wrong(HOST_WRITE, "host_access", 2); }
static void open_split(void) { wrong(OPEN_SPLIT, "split_open", 1); }

static const struct gm_case cases[] = {
	{ "no_block", no_block },
	{ "no_track", no_track },
	{ "still_mapped", still_mapped },
	{ "promote", promote },
	{ "pin", pin },
	{ "wide_zap", wide_zap },
	{ "shared_split", shared_split },
	{ "open_split", open_split },
	{ "give_back", give_back },
	{ "host_write", host_write },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 0);
}
