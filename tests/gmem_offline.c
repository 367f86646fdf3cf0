// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory under a block is taken offline: refused, soon, and nothing happens to
 * the guest. Without the file it goes, which shows what it was refused for.
 */
#include "gmem_test.h"
#include "numaif.h"

#define SEED	47
#define TRIES	6	/* memory sections for each kind of block */
#define SECTIONS	1024
#define NODE	1

struct section {
	u64 nr;
	unsigned int pages;	/* of the file */
};

/* A node without processors: only what is bound to it lies there. */
static void need_node(void)
{
	char cpus[64];

	gm_read_text("/sys/devices/system/node/node1/cpulist", cpus, sizeof(cpus));
	if (strcmp(cpus, "\n"))
		gm_skip("needs a second NUMA node, without processors");
}

/* The memory sections of the node that go offline while nothing is in them. */
static unsigned int empty_sections(struct section *s)
{
	unsigned int nr = 0;
	char path[96];
	u64 i;

	for (i = 0; i < SECTIONS; i++) {
		snprintf(path, sizeof(path), "/sys/devices/system/node/node%d/memory%lu", NODE,
			 (unsigned long)i);
		if (access(path, F_OK) || gm_section_set(i, "offline"))
			continue;
		gm_assert_eq(gm_section_set(i, "online_kernel"), 0);
		s[nr++] = (struct section) { .nr = i };
	}
	gm_assert_ge(nr, TRIES);
	return nr;
}

static int by_pages(const void *a, const void *b)
{
	const struct section *x = a, *y = b;

	return (x->pages < y->pages) - (x->pages > y->pages);
}

/* Those of them of which the file has the most come first. */
static void count_pages(const struct gm_file *f, struct section *s, unsigned int nr)
{
	const unsigned int max = 132 << 10;
	const u64 section_pages = gm_section_pages();
	struct gm_block *b = calloc(max, sizeof(*b));
	unsigned int i, j, blocks;

	gm_assert(b, "no memory");
	blocks = gm_blocks(f, b, max);
	for (i = 0; i < blocks; i++)
		for (j = 0; j < nr; j++)
			if (s[j].nr == b[i].pfn / section_pages)
				s[j].pages += 1U << b[i].order;
	free(b);
	qsort(s, nr, sizeof(*s), by_pages);
}

static void node_pool(long nr)
{
	const char *path =
		"/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages";

	gm_assert(gm_write(path, "%ld", nr), "%s: %s", path, strerror(errno));
	gm_assert_eq(gm_read_long("%s", path), nr);
}

enum { UNTOUCHED, DISSOLVED, LIVE };

static void offline(unsigned int source, unsigned int state)
{
	const struct gm_source *src = &gm_sources[source];
	const u64 share = state == UNTOUCHED ? GM_MMAP : GM_SHARED;
	const bool htlb_2m = source == GM_SRC_HTLB_2M;
	const unsigned long node = 1UL << NODE;
	const u64 size = GM_1G / 2;
	const u64 used = 48 * GM_2M;
	struct section s[SECTIONS];
	unsigned int i, nr;
	struct gm_file f;
	struct gm_vm *g;
	char *mem;
	u64 off;
	int err;

	need_node();
	if (!gm_have_gmem())
		gm_skip("this kernel does not show its blocks");
	nr = empty_sections(s);
	if (htlb_2m)
		node_pool(size / GM_2M);
	gm_need_source(src, size);
	g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	f = gm_create_from(g->vm, src, size, share);
	gm_attach(g, &f, GM_GPA);
	mem = gm_mmap(&f, 0, size);
	gm_assert_ok(mbind(mem, size, MPOL_BIND, &node, 8, 0));
	/* Over as many sections as possible, most of it only populated. */
	gm_assert_ok(gm_populate(&f, 0, size));
	gm_guest_touch(g, 0, used, GM_PAGE, SEED);
	if (state != UNTOUCHED) {
		for (off = 0; off < used; off += GM_2M / 4)
			gm_assert_eq(READ_ONCE(*(u64 *)(mem + off)), gm_word(SEED, off));
		/* Withdrawn with all that was mapped around: dissolved, not live. */
		for (off = 0; off < used && state == DISSOLVED; off += GM_2M / 4)
			gm_assert_ok(gm_punch(&f, off, 64 * GM_PAGE));
		if (state == DISSOLVED)
			gm_assert_eq(gm_fdinfo(&f, "gmem-live"), 0);
	}
	count_pages(&f, s, nr);
	for (i = 0; i < TRIES && s[i].pages; i++) {
		err = gm_section_set(s[i].nr, "offline");
		if (!err)
			gm_section_set(s[i].nr, "online_kernel");
		gm_assert(err == EBUSY, "section %lu, %u pages: %s", (unsigned long)s[i].nr,
			  s[i].pages, strerror(err));
	}
	nr = i;
	gm_note("%s: %u sections refused, %u to %u pages of the file in each", src->name, nr,
		nr ? s[nr - 1].pages : 0, s[0].pages);
	gm_assert_ge(nr, 1);
	if (state == DISSOLVED)
		gm_guest_touch(g, 0, used, GM_PAGE, SEED);
	gm_guest_check(g, 0, used, GM_PAGE, SEED);
	gm_assert_eq(gm_held(&f), size);
	gm_assert_ok(munmap(mem, size));
	gm_close(&f);
	gm_vm_free(g);

	for (i = 0; i < nr; i++) {
		err = gm_section_set(s[i].nr, "offline");
		gm_assert(!err, "section %lu, without the file: %s", (unsigned long)s[i].nr,
			  strerror(err));
		gm_assert_eq(gm_section_set(s[i].nr, "online_kernel"), 0);
	}
	/* Offlining takes free pages of the pool along. */
	if (htlb_2m)
		node_pool(0);
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
