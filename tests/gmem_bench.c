// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs a guest to touch its memory page by page, and what that memory
 * costs the host; what it costs to give memory to the host and back; and how a
 * Linux has its memory mapped: one "key=value ..." line per kind of memory.
 *
 * Instructions are the TSC's, so they mean something under -icount shift=0 only.
 * Boot with nokaslr: references are read from struct page through /proc/kcore.
 */
#include "tdx.h"

#define VMEMMAP		0xffffea0000000000ULL	/* without KASLR, 4-level tables */
#define PAGE_STRUCT	64
#define PAGE_REFCOUNT	52
#define PM_PFN		((1ULL << 55) - 1)
#define PM_PRESENT	(1ULL << 63)
#define SEED		3
#define OFF		(5 * GM_PAGE)

struct kind {
	const char *name;
	uint64_t flags;
	uint64_t block;
	bool guest_memfd;
};

static const struct kind kinds[] = {
	{ "4k", 0, GM_PAGE, true },
	{ "2m", GM_HUGEPAGE | GM_HUGE_2M, GM_2M, true },
	{ "hugetlb-2m", GM_HUGETLB | GM_HUGE_2M, GM_2M, true },
	{ "1g", GM_HUGETLB | GM_HUGE_1G, GM_1G, true },
	{ "vm-hugetlb-2m", 0, GM_2M, false },
};

/* Memory that changes hands, by the source of its blocks. */
static const struct {
	const char *name;
	unsigned int source;
	uint64_t size;
} gives[] = {
	{ "give-7.3", GM_SRC_4K, GM_2M },
	{ "give-2m", GM_SRC_THP_2M, GM_2M },
	{ "give-hugetlb-2m", GM_SRC_HTLB_2M, GM_2M },
	{ "give-1g", GM_SRC_THP_1G, GM_1G },
	{ "give-hugetlb-1g", GM_SRC_HTLB_1G, GM_1G },
};

/* Linux at its shell, all of its memory private. */
static const struct {
	const char *name;
	struct gm_boot boot;
} boots[] = {
	{ "linux-2m", { .source = GM_SRC_THP_2M } },
	{ "linux-hidden", { .source = GM_SRC_THP_2M, .hidden = true } },
	{ "linux-1g", { .source = GM_SRC_THP_1G } },
};

static void usage(const char *name)
{
	size_t i;

	printf("Usage: %s [--mib N] KIND...\nKinds: tdx-2m", name);
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		printf(" %s", kinds[i].name);
	for (i = 0; i < ARRAY_SIZE(gives); i++)
		printf(" %s", gives[i].name);
	for (i = 0; i < ARRAY_SIZE(boots); i++)
		printf(" %s", boots[i].name);
	printf("\n");
}

/* References on mapped memory, one page read per step bytes. */
static long host_refs(void *mem, uint64_t bytes, uint64_t step)
{
	static unsigned char page[4096];
	uint64_t i, at, rest, entry, last = 0;
	long refs = 0;
	int map, core;

	map = open("/proc/self/pagemap", O_RDONLY);
	core = gm_kcore_open();
	gm_assert(map >= 0, "%s", strerror(errno));
	for (i = 0; i < bytes; i += step) {
		gm_assert_eq(pread(map, &entry, 8, ((uint64_t)mem + i) / GM_PAGE * 8), 8);
		gm_assert(entry & PM_PRESENT, "page %lu is not mapped",
			  (unsigned long)(i / GM_PAGE));
		at = VMEMMAP + (entry & PM_PFN) * PAGE_STRUCT;
		rest = at % sizeof(page);
		if (at / sizeof(page) != last) {
			last = at / sizeof(page);
			at = gm_kcore_segment(core, last * sizeof(page), false).off;
			gm_assert_eq(pread(core, page, sizeof(page), at), sizeof(page));
		}
		refs += *(int *)&page[rest + PAGE_REFCOUNT];
	}
	close(map);
	close(core);
	return refs;
}

/* References on a file that nobody maps: as it is, less those of this look. */
static long stock_refs(const struct gm_file *f)
{
	volatile char *mem = gm_mmap(f, 0, f->size);
	uint64_t i;
	long refs;

	for (i = 0; i < f->size; i += GM_PAGE)
		(void)mem[i];
	/* Pages in a processor's batch have one more; this empties them first. */
	gm_assert(gm_write("/proc/sys/vm/compact_memory", "1"), "%s", strerror(errno));
	refs = host_refs((void *)mem, f->size, GM_PAGE) - f->size / GM_PAGE;
	munmap((void *)mem, f->size);
	return refs;
}

/* On all blocks that the file has by now. */
static long gmem_refs(const struct gm_file *f)
{
	size_t max = f->size / f->block, i, nr;
	struct gm_block *b = calloc(max, sizeof(*b));
	long refs = 0;

	gm_assert(b, "no memory");
	nr = gm_blocks(f, b, max);
	for (i = 0; i < nr; i++)
		refs += b[i].refs;
	free(b);
	return refs;
}

/* Memory that struct pages take now. */
static long memmap_kb(void)
{
	return (gm_proc_value("/proc/vmstat", "nr_memmap_pages") +
		gm_proc_value("/proc/vmstat", "nr_memmap_boot_pages")) * 4;
}

static void measure(const struct kind *k, uint64_t bytes)
{
	long memmap, free_kb, free_huge = 0, held, refs, faults;
	bool pool = k->flags & GM_HUGETLB || !k->guest_memfd;
	uint64_t before, cycles;
	struct gm_file f = { 0 };
	struct gm_vm *g;
	void *mem;

	if (bytes % k->block) {
		printf("kind=%s error=size\n", k->name);
		return;
	}
	memmap = memmap_kb();
	if (pool && gm_pool_resize(k->block, bytes / k->block) < (long)(bytes / k->block)) {
		printf("kind=%s error=pool\n", k->name);
		return;
	}
	g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	if (pool)
		free_huge = gm_pool(k->block, "free");
	free_kb = gm_meminfo("MemFree");
	if (k->guest_memfd) {
		f = gm_create(g->vm, bytes, k->flags | GM_SHARED);
		gm_slot(g, &f, GM_GPA, bytes, 0, NULL);
	} else {
		mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
		gm_assert(mem != MAP_FAILED, "mmap: %s", strerror(errno));
		vm_set_user_memory_region(g->vm, g->next_slot++, 0, GM_GPA, bytes, mem);
	}
	gm_map(g, GM_GPA, bytes);
	faults = gm_vcpu_stat(g, 0, "pf_taken");
	before = rdtsc();
	gm_guest_touch(g, 0, bytes, GM_PAGE, SEED);
	cycles = rdtsc() - before;
	faults = gm_vcpu_stat(g, 0, "pf_taken") - faults;

	if (pool)
		held = (free_huge - gm_pool(k->block, "free")) * (long)(k->block >> 10);
	else if (gm_have_gmem())
		held = gm_held(&f) >> 10;
	else
		held = free_kb - gm_meminfo("MemFree");
	memmap = bytes / GM_PAGE * PAGE_STRUCT / 1024 + memmap_kb() - memmap;
	if (!k->guest_memfd)
		refs = host_refs(mem, bytes, k->block);
	else if (gm_have_blocks())
		refs = gmem_refs(&f);
	else
		refs = stock_refs(&f);
	printf("kind=%s mib=%lu faults=%ld instructions=%lu held_kb=%ld memmap_kb=%ld refs=%ld\n",
	       k->name, (unsigned long)(bytes >> 20), faults, (unsigned long)cycles, held,
	       memmap, refs);
	fflush(stdout);

	if (k->guest_memfd)
		gm_close(&f);
	gm_vm_free(g);
	if (!k->guest_memfd)
		munmap(mem, bytes);
	if (pool)
		gm_pool_resize(k->block, 0);
}

/* A TDX guest accepts its memory first. At the end the host gets a page of it. */
static void measure_td(const char *name, uint64_t bytes)
{
	struct gm_td_leaves before, after;
	long memmap = memmap_kb();
	struct gm_td_scene s;
	uint64_t cycles, taken;

	if (bytes % GM_2M) {
		printf("kind=%s error=size\n", name);
		return;
	}
	s = gm_td_scene_open(1, bytes, 0);
	before = gm_td_leaves();
	taken = gm_td_vcpu_stat(s.td, 0, "pf_taken");
	cycles = rdtsc();
	gm_td_accept_ok(s.td, 0, GM_GPA, GM_TD_2M, bytes / GM_2M);
	gm_assert_eq(gm_td_store(s.td, 0, GM_GPA, bytes, GM_PAGE, SEED), GM_TD_SYNC);
	cycles = rdtsc() - cycles;
	taken = gm_td_vcpu_stat(s.td, 0, "pf_taken") - taken;
	memmap = bytes / GM_PAGE * PAGE_STRUCT / 1024 + memmap_kb() - memmap;
	printf("kind=%s mib=%lu faults=%lu instructions=%lu held_kb=%ld memmap_kb=%ld refs=%ld",
	       name, (unsigned long)(bytes >> 20), (unsigned long)taken, (unsigned long)cycles,
	       (long)(gm_held(&s.f) >> 10), memmap, gmem_refs(&s.f));

	gm_set_ok(&s.f, OFF, GM_PAGE, false);
	after = gm_td_leaves();
	printf(" aug_2m=%ld aug_4k=%ld demote=%ld\n", after.aug_2m - before.aug_2m,
	       after.aug_4k - before.aug_4k, after.demote - before.demote);
	fflush(stdout);
	gm_td_scene_close(&s);
}

#define UNTOUCHED	(16 * GM_1G)
#define HUGE_FILE	(1024 * GM_1G)

/* The state of 16 GiB that nobody has touched. */
static uint64_t cost_untouched(const struct gm_source *src)
{
	struct gm_give s = { .in_place = src->cap };
	/* A pool would have to reserve it. */
	uint64_t flags = src->cap ? GM_MMAP | GM_HUGEPAGE | GM_HUGE_2M : 0;
	uint64_t cost;

	s.g = gm_vm_create(GM_SWP, 1, 0);
	s.f = gm_create(s.g->vm, UNTOUCHED, flags);
	gm_slot(s.g, &s.f, GM_GPA, UNTOUCHED, 0, NULL);
	if (s.in_place) {
		cost = gm_cost_attributes(&s, UNTOUCHED);
	} else {
		cost = rdtsc();
		vm_mem_set_private(s.g->vm, GM_GPA, UNTOUCHED);
		cost = rdtsc() - cost;
	}
	gm_close(&s.f);
	gm_vm_free(s.g);
	return cost;
}

/* The same in the middle of a file of 1 TiB, which no pool can reserve. */
static struct gm_cycle cycle_1t(const struct gm_source *src)
{
	struct gm_cycle c;
	struct gm_give s;

	gm_give_open(&s, src, HUGE_FILE, HUGE_FILE / 2);
	c = gm_cost_cycle(&s, OFF, GM_PAGE, 0);
	gm_give_close(&s);
	return c;
}

/* What one page costs the mapping of the block that it is in. */
static void measure_sharing(struct gm_give *s)
{
	long p4k = gm_vm_stat(s->g, "pages_4k"), p2m = gm_vm_stat(s->g, "pages_2m"), faults;

	gm_give(s, OFF, GM_PAGE, false);
	gm_host_fill(s->mem + OFF, OFF, GM_PAGE, SEED);
	faults = gm_vcpu_stat(s->g, 0, "pf_taken");
	gm_guest_touch(s->g, s->at, s->len, GM_PAGE, SEED);
	faults = gm_vcpu_stat(s->g, 0, "pf_taken") - faults;
	printf(" shared_faults=%ld shared_4k=%ld shared_2m=%ld shared_vmemmap_kb=%ld", faults,
	       (long)gm_vm_stat(s->g, "pages_4k") - p4k,
	       (long)gm_vm_stat(s->g, "pages_2m") - p2m,
	       (long)gm_fdinfo(&s->f, "gmem-vmemmap") >> 10);
	gm_give(s, OFF, GM_PAGE, true);
	gm_guest_touch(s->g, s->at + OFF, GM_PAGE, GM_PAGE, SEED);
	printf(" private_1g=%ld", (long)gm_vm_stat(s->g, "pages_1g"));
}

static void measure_give(const char *name, const struct gm_source *src, uint64_t size)
{
	bool pool = src->flags & GM_HUGETLB, huge = src->block >= GM_1G;
	struct gm_cycle page, range;
	struct gm_give s;
	long held, free_kb;

	if (pool && gm_pool_resize(src->block, 1) < 1) {
		printf("kind=%s error=pool\n", name);
		return;
	}
	gm_give_open(&s, src, size, 0);
	/* fallocate() is content with smaller blocks. */
	if (huge && gm_vm_stat(s.g, "pages_1g") != 1) {
		printf("kind=%s error=memory\n", name);
		gm_give_close(&s);
		return;
	}
	page = gm_cost_cycle(&s, OFF, GM_PAGE, 0);
	printf("kind=%s page=%lu page_first=%lu", name, (unsigned long)page.next,
	       (unsigned long)page.first);
	if (huge) {
		printf(" page_beside=%lu",
		       (unsigned long)gm_cost_cycle(&s, OFF, GM_PAGE, 64).next);
		measure_sharing(&s);
	}
	range = gm_cost_cycle(&s, 0, GM_2M, 0);
	/* Half of it shared, and touched by both. */
	free_kb = gm_meminfo("MemFree");
	gm_give(&s, 0, GM_2M / 2, false);
	gm_host_fill(s.mem, 0, GM_2M / 2, SEED);
	free_kb -= gm_meminfo("MemFree");
	held = s.in_place ? (long)gm_held(&s.f) >> 10 : (long)(GM_2M >> 10) + free_kb;
	gm_give_close(&s);
	if (pool)
		gm_pool_resize(src->block, 0);
	if (src->cap && !pool)
		printf(" page_1t=%lu", (unsigned long)cycle_1t(src).next);
	printf(" range=%lu untouched=%lu held_kb=%ld populated_kb=%ld\n",
	       (unsigned long)range.next, (unsigned long)cost_untouched(src), held,
	       (long)s.len >> 10);
	fflush(stdout);
}

/* Of memory that nobody has touched, too. */
static long percent_private(const struct gm_file *f)
{
	u64 off, size, private = 0;

	for (off = 0; off < f->size; off += size) {
		size = gm_get(f, off).size;
		if (gm_is_private(f, off))
			private += size;
	}
	return 100 * private / f->size;
}

/* The line of its console that begins so. */
static void print_line(const struct gm_linux *g, const char *start)
{
	const char *at = strstr(g->text, start);

	gm_assert(at, "no '%s'", start);
	printf("console: %.*s\n", (int)strcspn(at, "\r\n"), at);
}

static void measure_boot(const char *name, const struct gm_boot *boot)
{
	struct gm_file f;
	struct gm_linux g = gm_linux_boot(boot);

	f = gm_linux_file(&g);
	f.block = gm_sources[boot->source].block;
	gm_linux_check_unreadable(&g);
	gm_linux_run(&g, "gmem-share stats");
	print_line(&g, "Linux version");
	print_line(&g, "MemTotal:");
	printf("console: (its memory, read by the VMM: SIGBUS; by process_vm_readv(): %s)\n",
	       strerror(EFAULT));
	printf("kind=%s emulated=%ld pages_4k=%ld pages_2m=%ld pages_1g=%ld private=%ld refs=%ld\n",
	       name, gm_linux_said(&g, "kvm-insn_emulation:"),
	       gm_linux_said(&g, "kvm-pages_4k:"), gm_linux_said(&g, "kvm-pages_2m:"),
	       gm_linux_said(&g, "kvm-pages_1g:"),
	       percent_private(&f), gmem_refs(&f));
	fflush(stdout);
	gm_close(&f);
	gm_linux_power_off(&g);
}

static bool measure_kind(const char *name, uint64_t bytes)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!strcmp(name, kinds[i].name)) {
			measure(&kinds[i], bytes);
			return true;
		}
	}
	if (!strcmp(name, "tdx-2m")) {
		measure_td(name, bytes);
		return true;
	}
	for (i = 0; i < ARRAY_SIZE(gives); i++) {
		if (!strcmp(name, gives[i].name)) {
			measure_give(name, &gm_sources[gives[i].source], gives[i].size);
			return true;
		}
	}
	for (i = 0; i < ARRAY_SIZE(boots); i++) {
		if (!strcmp(name, boots[i].name)) {
			measure_boot(name, &boots[i].boot);
			return true;
		}
	}
	return false;
}

int main(int argc, char **argv)
{
	uint64_t mib = 1024;
	int a;

	gm_mount_all();
	for (a = 1; a < argc; a++) {
		if (!strcmp(argv[a], "--mib") && a + 1 < argc) {
			mib = strtoul(argv[++a], NULL, 0);
			continue;
		}
		if (!measure_kind(argv[a], mib << 20)) {
			usage(argv[0]);
			return strcmp(argv[a], "--help") ? 2 : 0;
		}
	}
	if (argc == 1)
		usage(argv[0]);
	return 0;
}
