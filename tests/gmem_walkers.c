// SPDX-License-Identifier: GPL-2.0-only
/*
 * Those who find pages by number, not by mapping: page flags and counts, idle
 * tracking, compaction, kcore. They see nothing they may use, change nothing,
 * and read no memory of a guest.
 */
#include "gmem_test.h"

#define SEED	53

#define KPF_LRU		5
#define KPF_BUDDY	10
#define KPF_HUGE	17
#define KPF_HWPOISON	19

static u64 *read_pages(const char *path, u64 pfn, u64 nr)
{
	u64 *v = calloc(nr, sizeof(*v));
	int fd = open(path, O_RDONLY);
	ssize_t got = 0, n;

	gm_assert(v && fd >= 0, "%s: %s", path, strerror(errno));
	while (got < (ssize_t)(nr * 8)) {
		n = pread(fd, (char *)v + got, nr * 8 - got, pfn * 8 + got);
		gm_assert(n > 0, "%s: %s", path, strerror(errno));
		got += n;
	}
	close(fd);
	return v;
}

/* The pages of a block, of which the host has touched so many. */
static void look(const struct gm_file *f, u64 pfn, u64 nr, u64 touched)
{
	u64 *flags = read_pages("/proc/kpageflags", pfn, nr);
	u64 *counts = read_pages("/proc/kpagecount", pfn, nr);
	u64 *cgroups = read_pages("/proc/kpagecgroup", pfn, nr);
	struct gm_block b;
	u64 i, mapped = 0;

	for (i = 0; i < nr; i++) {
		gm_assert(!(flags[i] & (1ULL << KPF_LRU | 1ULL << KPF_BUDDY |
					1ULL << KPF_HUGE | 1ULL << KPF_HWPOISON)),
			  "page %lu: flags %#lx", (unsigned long)i, (unsigned long)flags[i]);
		mapped += counts[i];
		gm_assert_eq(cgroups[i], 0);
	}
	/* A touch maps live neighbours too, at most those of a vmemmap page. */
	gm_assert_ge(mapped, touched);
	gm_assert_le(mapped, 64 * touched);
	gm_assert(gm_block_at(f, 0, &b), "no block");
	gm_assert_eq(mapped, b.refs - (long)b.live);
	free(flags);
	free(counts);
	free(cgroups);
}

static void mark_idle(u64 pfn, u64 nr)
{
	u64 first = pfn / 64 * 8, len = (nr + 63) / 64 * 8, i, ones = -1ULL;
	int fd = open("/sys/kernel/mm/page_idle/bitmap", O_RDWR);

	gm_assert(fd >= 0, "page_idle: %s", strerror(errno));
	for (i = 0; i < len; i += 8) {
		gm_assert_eq(pwrite(fd, &ones, 8, first + i), 8);
		gm_assert_eq(pread(fd, &ones, 8, first + i), 8);
		ones = -1ULL;
	}
	close(fd);
}

static void disturb(u64 pfn, u64 nr)
{
	mark_idle(pfn, nr);
	gm_write("/proc/sys/vm/compact_memory", "1");
	gm_write("/proc/sys/vm/drop_caches", "3");
}

static void walk(unsigned int source)
{
	const struct gm_source *src = &gm_sources[source];
	const u64 nr = src->block / GM_PAGE;
	struct gm_file f;
	struct gm_vm *g;
	u64 pfn, i;
	char *mem;

	gm_need_source(src, src->block);
	if (!gm_have_gmem())
		gm_skip("this kernel does not show its blocks");
	g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	f = gm_create_from(g->vm, src, src->block, GM_SHARED);
	gm_attach(g, &f, GM_GPA);
	gm_guest_touch(g, 0, f.size, GM_PAGE, SEED);
	pfn = gm_pfn_at(&f, 0);

	/* Intact, then dissolved with three live pages, then with none. */
	look(&f, pfn, nr, 0);
	disturb(pfn, nr);
	gm_assert_frozen(&f);
	mem = gm_mmap(&f, 0, f.size);
	for (i = 0; i < 3; i++)
		gm_assert_eq(READ_ONCE(*(u64 *)(mem + i * f.size / 3 / GM_PAGE * GM_PAGE)),
			     gm_word(SEED, i * f.size / 3 / GM_PAGE * GM_PAGE));
	look(&f, pfn, nr, nr < 3 ? 1 : 3);
	disturb(pfn, nr);
	gm_assert_ok(munmap(mem, f.size));
	look(&f, pfn, nr, 0);
	disturb(pfn, nr);
	/* A single page would go; of a block, parts are withdrawn. */
	for (i = 0; i < 3 && nr > 1; i++)
		gm_assert_ok(gm_punch(&f, i * f.size / 3 / GM_PAGE * GM_PAGE, GM_PAGE));
	look(&f, pfn, nr, 0);
	disturb(pfn, nr);

	gm_assert_eq(gm_pfn_at(&f, 0), pfn);
	gm_guest_check(g, 8, f.size - 8, GM_PAGE, 0);
	gm_guest_check(g, nr > 1 ? GM_PAGE : 0, GM_PAGE, GM_PAGE, SEED);
	gm_close(&f);
	gm_vm_free(g);
}

/* The word that /proc/kcore shows at a physical address. */
static u64 kcore_word(u64 pa)
{
	int fd = gm_kcore_open();
	u64 v;

	gm_assert_eq(pread(fd, &v, sizeof(v), gm_kcore_segment(fd, pa, true).off), sizeof(v));
	close(fd);
	return v;
}

static u64 pagemap_pfn(void *p)
{
	u64 v;
	int fd = open("/proc/self/pagemap", O_RDONLY);

	gm_assert(fd >= 0, "pagemap");
	gm_assert_eq(pread(fd, &v, sizeof(v), (u64)p / GM_PAGE * 8), sizeof(v));
	close(fd);
	return v & ((1ULL << 55) - 1);
}

static void kcore(unsigned int source)
{
	const struct gm_source *src = &gm_sources[source];
	struct gm_file f;
	struct gm_vm *g;
	u64 off, *page;

	gm_need_source(src, src->block);
	if (!gm_have_gmem())
		gm_skip("this kernel does not show its blocks");
	/* That it would show: a page of ours. */
	page = kvm_mmap(GM_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	*page = gm_word(SEED, 0);
	gm_assert_eq(kcore_word(pagemap_pfn(page) * GM_PAGE), gm_word(SEED, 0));

	g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	f = gm_create_from(g->vm, src, 4 * src->block, GM_MMAP);
	gm_attach(g, &f, GM_GPA);
	gm_guest_touch(g, 0, f.size, GM_PAGE, SEED);
	for (off = 0; off < f.size; off += src->block == GM_PAGE ? GM_PAGE : 77 * GM_PAGE)
		gm_assert_eq(kcore_word(gm_pfn_at(&f, off) * GM_PAGE), 0);
	gm_close(&f);
	gm_vm_free(g);
}

#define CASE(name, call) static void name(void) { call; }

CASE(walk_4k, walk(GM_SRC_4K))
CASE(walk_2m, walk(GM_SRC_THP_2M))
CASE(walk_htlb_2m, walk(GM_SRC_HTLB_2M))
CASE(walk_htlb_1g, walk(GM_SRC_HTLB_1G))
CASE(kcore_4k, kcore(GM_SRC_4K))
CASE(kcore_2m, kcore(GM_SRC_THP_2M))
CASE(kcore_htlb_2m, kcore(GM_SRC_HTLB_2M))

static const struct gm_case cases[] = {
	{ "walk_4k", walk_4k },
	{ "walk_2m", walk_2m },
	{ "walk_hugetlb_2m", walk_htlb_2m },
	{ "walk_hugetlb_1g", walk_htlb_1g },
	{ "kcore_4k", kcore_4k },
	{ "kcore_2m", kcore_2m },
	{ "kcore_hugetlb_2m", kcore_htlb_2m },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 8);
}
