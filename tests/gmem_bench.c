// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs a guest to touch its memory page by page, and what that memory
 * costs the host: one "key=value ..." line per kind of memory.
 *
 * Instructions are the TSC's, so they mean something under -icount shift=0 only.
 * Boot with nokaslr: references are read from struct page through /proc/kcore.
 */
#include <elf.h>

#include "gmem_test.h"

#define VMEMMAP		0xffffea0000000000ULL	/* without KASLR, 4-level tables */
#define PAGE_STRUCT	64
#define PAGE_REFCOUNT	52
#define PM_PFN		((1ULL << 55) - 1)
#define PM_PRESENT	(1ULL << 63)
#define SEED		3

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

static void usage(const char *name)
{
	size_t i;

	printf("Usage: %s [--mib N] KIND...\nKinds:", name);
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		printf(" %s", kinds[i].name);
	printf("\n");
}

/* kcore's headers say where in the file an address of the kernel is. */
static off_t kcore_offset(int fd, uint64_t addr)
{
	Elf64_Ehdr eh;
	Elf64_Phdr ph;
	int i;

	gm_assert_eq(pread(fd, &eh, sizeof(eh), 0), sizeof(eh));
	for (i = 0; i < eh.e_phnum; i++) {
		gm_assert_eq(pread(fd, &ph, sizeof(ph), eh.e_phoff + i * sizeof(ph)),
			     sizeof(ph));
		if (addr >= ph.p_vaddr && addr - ph.p_vaddr < ph.p_memsz)
			return ph.p_offset + (addr - ph.p_vaddr);
	}
	gm_fail(__FILE__, __LINE__, "kcore", "has no %#lx; boot with nokaslr",
		(unsigned long)addr);
}

/* References on mapped memory, one page read per step bytes. */
static long host_refs(void *mem, uint64_t bytes, uint64_t step)
{
	static unsigned char page[4096];
	uint64_t i, at, entry, last = 0;
	long refs = 0;
	int map, core;

	map = open("/proc/self/pagemap", O_RDONLY);
	core = open("/proc/kcore", O_RDONLY);
	gm_assert(map >= 0 && core >= 0, "%s", strerror(errno));
	for (i = 0; i < bytes; i += step) {
		gm_assert_eq(pread(map, &entry, 8, ((uint64_t)mem + i) / GM_PAGE * 8), 8);
		gm_assert(entry & PM_PRESENT, "page %lu is not mapped",
			  (unsigned long)(i / GM_PAGE));
		at = VMEMMAP + (entry & PM_PFN) * PAGE_STRUCT;
		if (at / sizeof(page) != last) {
			last = at / sizeof(page);
			gm_assert_eq(pread(core, page, sizeof(page),
					   kcore_offset(core, last * sizeof(page))),
				     sizeof(page));
		}
		refs += *(int *)&page[at % sizeof(page) + PAGE_REFCOUNT];
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
	refs = host_refs((void *)mem, f->size, GM_PAGE) - f->size / GM_PAGE;
	munmap((void *)mem, f->size);
	return refs;
}

static long gmem_refs(const struct gm_file *f)
{
	size_t max = f->size / f->block, i, nr;
	struct gm_block *b = calloc(max, sizeof(*b));
	long refs = 0;

	gm_assert(b, "no memory");
	nr = gm_blocks(f, b, max);
	gm_assert_eq(nr, max);
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

int main(int argc, char **argv)
{
	uint64_t mib = 1024;
	size_t i;
	int a;

	gm_mount_all();
	for (a = 1; a < argc; a++) {
		if (!strcmp(argv[a], "--mib") && a + 1 < argc) {
			mib = strtoul(argv[++a], NULL, 0);
			continue;
		}
		for (i = 0; i < ARRAY_SIZE(kinds); i++) {
			if (!strcmp(argv[a], kinds[i].name))
				break;
		}
		if (i == ARRAY_SIZE(kinds)) {
			usage(argv[0]);
			return strcmp(argv[a], "--help") ? 2 : 0;
		}
		measure(&kinds[i], mib << 20);
	}
	if (argc == 1)
		usage(argv[0]);
	return 0;
}
