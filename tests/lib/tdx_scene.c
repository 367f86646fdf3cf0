// SPDX-License-Identifier: GPL-2.0-only
/* A TDX guest with private memory, and what KVM, the module and gmem say of it. */

#include <sys/mman.h>

#include "tdx.h"

struct gm_td_leaves gm_td_leaves(void)
{
	return (struct gm_td_leaves) {
		.aug_4k		= gm_td_calls("MEM.PAGE.AUG", "4K"),
		.aug_2m		= gm_td_calls("MEM.PAGE.AUG", "2M"),
		.demote		= gm_td_calls("MEM.PAGE.DEMOTE", "2M"),
		.remove_4k	= gm_td_calls("MEM.PAGE.REMOVE", "4K"),
		.remove_2m	= gm_td_calls("MEM.PAGE.REMOVE", "2M"),
	};
}

void gm_td_assert_leaves(const struct gm_td_leaves *before, long aug_4k, long aug_2m,
			 long demote, long remove_4k, long remove_2m)
{
	struct gm_td_leaves now = gm_td_leaves();

	gm_assert_eq(now.aug_4k - before->aug_4k, aug_4k);
	gm_assert_eq(now.aug_2m - before->aug_2m, aug_2m);
	gm_assert_eq(now.demote - before->demote, demote);
	gm_assert_eq(now.remove_4k - before->remove_4k, remove_4k);
	gm_assert_eq(now.remove_2m - before->remove_2m, remove_2m);
}

struct gm_td_scene gm_td_scene_open(unsigned int vcpus, u64 size, u64 attributes)
{
	struct gm_td_scene s = { .td = gm_td_create(vcpus, attributes) };

	s.f = gm_create_from(s.td->vm, &gm_sources[GM_SRC_THP_2M], size, GM_MMAP);
	s.mem = gm_mmap(&s.f, 0, size);
	s.slot = gm_td_attach(s.td, &s.f, GM_GPA);
	s.base_2m = gm_td_stat(s.td, "pages_2m");
	s.base_4k = gm_td_stat(s.td, "pages_4k");
	return s;
}

/* What KVM, the module and the file say of who has what is the same. */
void gm_td_assert_ledger(const struct gm_td_scene *s)
{
	u64 kvm_2m = gm_td_stat(s->td, "pages_2m"), kvm_4k = gm_td_stat(s->td, "pages_4k");
	long held = gm_fdinfo(&s->f, "gmem-private") / GM_PAGE;
	struct gm_td_counts nr = gm_td_counts();

	gm_assert_le(nr.mapped + nr.pending - GM_TD_BOOT_PAGES - s->elsewhere, held);
	gm_assert_eq(nr.pamt_2m, kvm_2m * 512);
	gm_assert_le(nr.pamt_4k, kvm_4k);
	gm_assert_eq(nr.blocked, 0);
	gm_assert_eq(nr.pending_blocked, 0);
	gm_assert_eq(nr.mapped + nr.pending, nr.pamt_2m + nr.pamt_4k);
}

void gm_td_scene_close(struct gm_td_scene *s)
{
	munmap(s->mem, s->f.size);
	gm_close(&s->f);
	gm_td_free(s->td);
}

/* All of the 2 MiB at an offset but one page is as the guest stored it. */
void gm_td_assert_others(struct gm_td_scene *s, u64 seed, u64 frame, u64 page)
{
	const u64 gva = GM_GPA + frame;

	if (page > frame) {
		gm_assert_eq(gm_td_check(s->td, 0, gva, page - frame, 8, seed), GM_TD_SYNC);
		gm_td_assert_good(s->td, 0);
	}
	if (page + GM_PAGE < frame + GM_2M) {
		gm_assert_eq(gm_td_check(s->td, 0, GM_GPA + page + GM_PAGE,
					 frame + GM_2M - page - GM_PAGE, 8, seed), GM_TD_SYNC);
		gm_td_assert_good(s->td, 0);
	}
}
