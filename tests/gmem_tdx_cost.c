// SPDX-License-Identifier: GPL-2.0-only
/* TDX guests on the software TDX module: exits and instructions, with bounds. */

#include <sys/mman.h>

#include "tdx.h"

#define SEED	51
#define CYCLES	32

/* As Linux does at boot: by 2 MiB, and by 4 KiB what cannot be had so. */
static u64 accept_all(unsigned int source, u64 size)
{
	struct gm_td *td = gm_td_create(1, 0);
	struct gm_file f = gm_create_from(td->vm, &gm_sources[source], size, GM_MMAP);
	u64 gpa, left, rax, before;

	gm_td_attach(td, &f, GM_GPA);
	before = gm_td_vcpu_stat(td, 0, "exits");
	for (gpa = GM_GPA; gpa < GM_GPA + size; gpa += GM_2M) {
		gm_assert_eq(gm_td_accept(td, 0, gpa, GM_TD_2M, 1, &left, &rax), GM_TD_SYNC);
		if (!rax)
			continue;
		gm_assert_eq(rax >> 32, GM_TD_MISMATCH);
		gm_td_accept_ok(td, 0, gpa, GM_TD_4K, 512);
	}
	before = gm_td_vcpu_stat(td, 0, "exits") - before;
	gm_assert_eq(gm_td_pages("pending"), 0);
	gm_close(&f);
	gm_td_free(td);
	return before;
}

static void accept_exits(void)
{
	u64 huge = accept_all(GM_SRC_THP_2M, GM_1G);
	u64 small = accept_all(GM_SRC_4K, GM_1G);

	gm_note("1 GiB: %llu exits, %llu with 4 KiB blocks", (unsigned long long)huge,
		(unsigned long long)small);
	gm_assert_le(50 * huge, small);
}

/* One page to the host, which writes to it, and back to the guest, which does. */
static u64 td_cycle(struct gm_td_scene *s, u64 off)
{
	u64 before = rdtsc();

	gm_set_ok(&s->f, off, GM_PAGE, false);
	WRITE_ONCE(*(u64 *)(s->mem + off), SEED);
	gm_set_ok(&s->f, off, GM_PAGE, true);
	gm_td_take(s->td, 0, GM_GPA + off, SEED);
	return rdtsc() - before;
}

static u64 swp_cycle(struct gm_scene *s, u64 off)
{
	u64 before = rdtsc();

	gm_set_ok(&s->f, off, GM_PAGE, false);
	WRITE_ONCE(*(u64 *)(s->mem + off), 0);
	gm_set_ok(&s->f, off, GM_PAGE, true);
	gm_guest_touch(s->g, off, GM_PAGE, GM_PAGE, SEED);
	return rdtsc() - before;
}

static void convert(void)
{
	const u64 off = 100 * GM_PAGE;
	struct gm_td_scene td;
	struct gm_scene swp;
	u64 td_first, td_next = 0, swp_first, swp_next = 0;
	unsigned int i;

	if (!gm_icount())
		gm_skip("instructions are not counted");

	td = gm_td_scene_open(1, 4 * GM_2M, 0);
	/* A first one elsewhere: what is set up once is not counted. */
	gm_td_accept_ok(td.td, 0, GM_GPA, GM_TD_2M, 2);
	td_cycle(&td, GM_2M + off);
	td_first = td_cycle(&td, off);
	for (i = 0; i < CYCLES; i++)
		td_next += td_cycle(&td, off);
	gm_td_scene_close(&td);

	gm_scene_open(&swp, GM_SRC_THP_2M, 1, 4 * GM_2M, GM_MMAP);
	gm_guest_touch(swp.g, 0, 2 * GM_2M, GM_PAGE, SEED);
	swp_cycle(&swp, GM_2M + off);
	swp_first = swp_cycle(&swp, off);
	for (i = 0; i < CYCLES; i++)
		swp_next += swp_cycle(&swp, off);
	gm_scene_close(&swp);

	gm_note("one page: TDX %llu, then %llu; software-protected %llu, then %llu",
		(unsigned long long)td_first, (unsigned long long)td_next / CYCLES,
		(unsigned long long)swp_first, (unsigned long long)swp_next / CYCLES);
	gm_assert_le(td_first, 5 * swp_first);
	gm_assert_le(td_next, 2 * swp_next);
}

static const struct gm_case cases[] = {
	{ "accept_exits", accept_exits, .seconds = 600 },
	{ "convert", convert },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 0);
}
