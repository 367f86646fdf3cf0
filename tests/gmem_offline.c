// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory under a block is taken offline: refused, soon, and nothing happens to
 * the guest. Without the file it goes, which shows what it was refused for.
 */
#include "gmem_test.h"

#define SEED	47
#define TRIES	6	/* memory sections for each kind of block */
#define SECTIONS	1024

/*
 * Memory sections, not the first, where the kernel itself lives: those of which the
 * file has the most. Where it has little, others have the rest, and such a section
 * does not go without the file either.
 */
static unsigned int sections_of(const struct gm_file *f, u64 *sections)
{
	static unsigned int pages[SECTIONS];
	const unsigned int max = 132 << 10;
	const u64 section_pages = gm_section_pages();
	struct gm_block *b = calloc(max, sizeof(*b));
	unsigned int i, nr, most, found;
	u64 section;

	gm_assert(b, "no memory");
	memset(pages, 0, sizeof(pages));
	nr = gm_blocks(f, b, max);
	for (i = 0; i < nr; i++) {
		section = b[i].pfn / section_pages;
		gm_assert(section < SECTIONS, "section %lu", (unsigned long)section);
		pages[section] += 1U << b[i].order;
	}
	free(b);
	for (found = 0; found < TRIES; found++) {
		for (most = 1, i = 2; i < SECTIONS; i++)
			if (pages[i] > pages[most])
				most = i;
		if (!pages[most])
			break;
		pages[most] = 0;
		sections[found] = most;
	}
	gm_assert_ge(found, 1);
	return found;
}

enum { UNTOUCHED, DISSOLVED, LIVE };

static void offline(unsigned int source, unsigned int state)
{
	const struct gm_source *src = &gm_sources[source];
	const u64 share = state == UNTOUCHED ? GM_MMAP : GM_SHARED;
	const bool htlb_2m = source == GM_SRC_HTLB_2M;
	const u64 size = GM_1G / 2;
	const u64 used = 48 * GM_2M;
	u64 sections[TRIES], off;
	struct gm_file f;
	unsigned int i, nr, gone = 0;
	struct gm_vm *g;
	char *mem = NULL;
	int err;

	if (htlb_2m)
		gm_assert_eq(gm_pool_resize(GM_2M, size / GM_2M), size / GM_2M);
	gm_need_source(src, size);
	if (!gm_have_gmem())
		gm_skip("this kernel does not show its blocks");
	g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	f = gm_create_from(g->vm, src, size, share);
	gm_attach(g, &f, GM_GPA);
	/* Over as many sections as possible, most of it only populated. */
	gm_assert_ok(gm_populate(&f, 0, size));
	gm_guest_touch(g, 0, used, GM_PAGE, SEED);
	if (state != UNTOUCHED) {
		mem = gm_mmap(&f, 0, size);
		for (off = 0; off < used; off += GM_2M / 4)
			gm_assert_eq(READ_ONCE(*(u64 *)(mem + off)), gm_word(SEED, off));
		/* Withdrawn with all that was mapped around: dissolved, not live. */
		for (off = 0; off < used && state == DISSOLVED; off += GM_2M / 4)
			gm_assert_ok(gm_punch(&f, off, 64 * GM_PAGE));
		if (state == DISSOLVED)
			gm_assert_eq(gm_fdinfo(&f, "gmem-live"), 0);
	}
	nr = sections_of(&f, sections);
	for (i = 0; i < nr; i++) {
		err = gm_section_set(sections[i], "offline");
		if (!err)
			gm_section_set(sections[i], "online_kernel");
		gm_assert(err == EBUSY, "section %lu: %s", (unsigned long)sections[i],
			  strerror(err));
	}
	if (state == DISSOLVED)
		gm_guest_touch(g, 0, used, GM_PAGE, SEED);
	gm_guest_check(g, 0, used, GM_PAGE, SEED);
	gm_assert_eq(gm_held(&f), size);
	if (mem)
		gm_assert_ok(munmap(mem, size));
	gm_close(&f);
	gm_vm_free(g);

	/* Unless somebody else has something there as well. */
	for (i = 0; i < nr; i++) {
		if (gm_section_set(sections[i], "offline"))
			continue;
		gone++;
		gm_assert_eq(gm_section_set(sections[i], "online_kernel"), 0);
	}
	gm_note("%s: %u of %u sections go without the file", src->name, gone, nr);
	gm_assert_ge(gone, 1);
	/* Offlining takes free pages of the pool along. */
	if (htlb_2m)
		gm_assert_eq(gm_pool_resize(GM_2M, 0), 0);
}

#define CASE(name, call) static void name(void) { call; }

CASE(untouched_4k, offline(GM_SRC_4K, UNTOUCHED))
CASE(untouched_2m, offline(GM_SRC_THP_2M, UNTOUCHED))
CASE(untouched_htlb_2m, offline(GM_SRC_HTLB_2M, UNTOUCHED))
CASE(dissolved_4k, offline(GM_SRC_4K, DISSOLVED))
CASE(dissolved_2m, offline(GM_SRC_THP_2M, DISSOLVED))
CASE(dissolved_htlb_2m, offline(GM_SRC_HTLB_2M, DISSOLVED))
CASE(live_4k, offline(GM_SRC_4K, LIVE))
CASE(live_2m, offline(GM_SRC_THP_2M, LIVE))
CASE(live_htlb_2m, offline(GM_SRC_HTLB_2M, LIVE))

#define SECONDS	150

static const struct gm_case cases[] = {
	{ "untouched_4k", untouched_4k, SECONDS },
	{ "untouched_2m", untouched_2m, SECONDS },
	{ "untouched_hugetlb_2m", untouched_htlb_2m, SECONDS },
	{ "dissolved_4k", dissolved_4k, SECONDS },
	{ "dissolved_2m", dissolved_2m, SECONDS },
	{ "dissolved_hugetlb_2m", dissolved_htlb_2m, SECONDS },
	{ "live_4k", live_4k, SECONDS },
	{ "live_2m", live_2m, SECONDS },
	{ "live_hugetlb_2m", live_htlb_2m, SECONDS },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 0);
}
