// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bounds on what things cost, in instructions: against an ordinary VM on hugetlb,
 * and against the way that memory changes hands in 7.3, all in one boot. Wants
 * --icount; anywhere else it has nothing to count.
 */
#include <linux/memfd.h>
#include <sys/mman.h>

#include "gmem_test.h"

#define TOUCH		(256ULL << 20)
#define ROUNDS	5
#define SMALL_FILE	(64ULL << 20)
#define HUGE_FILE	(1024 * GM_1G)
#define LOOPS		1000

static void need_icount(void)
{
	if (!gm_icount())
		gm_skip("no instructions are counted here (--icount)");
}

static void need_pool_2m(u64 bytes)
{
	if (gm_pool_resize(GM_2M, bytes / GM_2M) < (long)(bytes / GM_2M))
		gm_skip("no pool of %lu MiB", (unsigned long)(bytes >> 20));
}

/* a / b, in hundredths */
static u64 percent(u64 a, u64 b)
{
	return (100 * a + b / 2) / b;
}

static u64 touch(unsigned int source)
{
	struct gm_vm *g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	struct gm_file f = gm_create_from(g->vm, &gm_sources[source], TOUCH, GM_SHARED);
	u64 cost;

	gm_slot(g, &f, GM_GPA, TOUCH, 0, NULL);
	cost = gm_cost_touch(g, TOUCH);
	gm_close(&f);
	gm_vm_free(g);
	return cost;
}

static u64 touch_hugetlb(void)
{
	struct gm_vm *g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	int fd = memfd_create("hugetlb", MFD_HUGETLB | MFD_HUGE_2MB);
	void *mem;
	u64 cost;

	gm_assert_ok(ftruncate(fd, TOUCH));
	mem = mmap(NULL, TOUCH, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	gm_assert(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	vm_set_user_memory_region(g->vm, g->next_slot++, 0, GM_GPA, TOUCH, mem);
	cost = gm_cost_touch(g, TOUCH);
	gm_vm_free(g);
	gm_assert_ok(munmap(mem, TOUCH));
	gm_assert_ok(close(fd));
	return cost;
}

/* At most 1.5 times hugetlb, less the zeroing, which is one a byte. */
static void assert_like_hugetlb(u64 ours, u64 hugetlb)
{
	gm_note("%lu instructions, %lu in hugetlb; less zeroing %lu %% of it",
		(unsigned long)ours, (unsigned long)hugetlb,
		(unsigned long)percent(ours - TOUCH, hugetlb - TOUCH));
	gm_assert_ge(ours, TOUCH);
	gm_assert_ge(hugetlb, TOUCH);
	gm_assert_le(2 * (ours - TOUCH), 3 * (hugetlb - TOUCH));
}

static void touch_against_hugetlb(unsigned int source)
{
	need_icount();
	need_pool_2m(TOUCH);
	gm_need_source(&gm_sources[source], TOUCH);
	assert_like_hugetlb(touch(source), touch_hugetlb());
	gm_pool_resize(GM_2M, 0);
}

static void touch_hugepage_2m(void)
{
	touch_against_hugetlb(GM_SRC_THP_2M);
}

static void touch_hugetlb_2m(void)
{
	touch_against_hugetlb(GM_SRC_HTLB_2M);
}

static u64 cost_fallocate(int fd)
{
	u64 before = rdtsc();

	gm_assert_ok(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, TOUCH));
	return rdtsc() - before;
}

static u64 fallocate_ours(unsigned int source)
{
	struct gm_vm *g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	struct gm_file f = gm_create_from(g->vm, &gm_sources[source], TOUCH, 0);
	u64 cost = cost_fallocate(f.fd);

	gm_assert_eq(gm_held(&f), TOUCH);
	gm_close(&f);
	gm_vm_free(g);
	return cost;
}

static u64 fallocate_hugetlb(void)
{
	int fd = memfd_create("hugetlb", MFD_HUGETLB | MFD_HUGE_2MB);
	u64 cost;

	gm_assert_ok(ftruncate(fd, TOUCH));
	cost = cost_fallocate(fd);
	gm_assert_ok(close(fd));
	return cost;
}

/* What else the machine does meanwhile is counted, too: the least of a few. */
static void fallocate_against_hugetlb(unsigned int source)
{
	u64 ours = ~0ULL, hugetlb = ~0ULL;
	int i;

	need_icount();
	need_pool_2m(TOUCH);
	gm_need_source(&gm_sources[source], TOUCH);
	for (i = 0; i < ROUNDS; i++) {
		ours = min_t(u64, ours, fallocate_ours(source));
		hugetlb = min_t(u64, hugetlb, fallocate_hugetlb());
	}
	assert_like_hugetlb(ours, hugetlb);
	gm_pool_resize(GM_2M, 0);
}

static void fallocate_hugepage_2m(void)
{
	fallocate_against_hugetlb(GM_SRC_THP_2M);
}

static void fallocate_hugetlb_2m(void)
{
	fallocate_against_hugetlb(GM_SRC_HTLB_2M);
}

static struct gm_cycle cost_cycle(unsigned int source, u64 size, u64 at, u64 off, u64 len,
				  unsigned int frames)
{
	struct gm_cycle c;
	struct gm_give s;

	gm_give_open(&s, &gm_sources[source], size, at);
	c = gm_cost_cycle(&s, off, len, frames);
	gm_assert_eq(gm_held(&s.f), s.len);
	gm_give_close(&s);
	return c;
}

#define OFF	(5 * GM_PAGE)

static void note_cycle(const char *what, struct gm_cycle c)
{
	gm_note("%s: first %lu, then %lu instructions", what, (unsigned long)c.first,
		(unsigned long)c.next);
}

/* One page back and forth: at most 0.40 of what it takes in 7.3. */
static void page_cycle(unsigned int source, u64 size)
{
	struct gm_cycle stock, small, huge;
	u64 block = gm_sources[source].block;

	need_icount();
	gm_need_source(&gm_sources[source], size);
	stock = cost_cycle(GM_SRC_4K, GM_2M, 0, OFF, GM_PAGE, 0);
	small = cost_cycle(source, size, 0, OFF, GM_PAGE, 0);
	note_cycle("as in 7.3", stock);
	note_cycle("in place", small);
	gm_note("%lu %% of 7.3", (unsigned long)percent(small.next, stock.next));
	if (block >= GM_1G)
		note_cycle("while the guest touches 64 frames beside it",
			   cost_cycle(source, size, 0, OFF, GM_PAGE, 64));
	gm_assert_le(100 * small.next, 40 * stock.next);

	/* A pool has no terabyte to reserve. */
	if (gm_sources[source].flags & GM_HUGETLB)
		return;
	huge = cost_cycle(source, HUGE_FILE, HUGE_FILE / 2, OFF, GM_PAGE, 0);
	note_cycle("in a file of 1 TiB", huge);
	gm_assert_le(100 * huge.next, 40 * stock.next);
	gm_assert_le(100 * huge.next, 105 * small.next);
	gm_assert_le(100 * small.next, 105 * huge.next);
}

static void page_hugepage_2m(void)
{
	page_cycle(GM_SRC_THP_2M, SMALL_FILE);
}

static void page_hugetlb_2m(void)
{
	need_pool_2m(SMALL_FILE);
	page_cycle(GM_SRC_HTLB_2M, SMALL_FILE);
	gm_pool_resize(GM_2M, 0);
}

static void page_hugetlb_1g(void)
{
	page_cycle(GM_SRC_HTLB_1G, GM_1G);
}

static void page_hugepage_1g(void)
{
	page_cycle(GM_SRC_THP_1G, GM_1G);
}

/* 2 MiB back and forth, each page touched by both: a tenth. */
static void range_cycle(unsigned int source, u64 size)
{
	struct gm_cycle stock, ours;

	need_icount();
	gm_need_source(&gm_sources[source], size);
	stock = cost_cycle(GM_SRC_4K, GM_2M, 0, 0, GM_2M, 0);
	ours = cost_cycle(source, size, 0, 0, GM_2M, 0);
	note_cycle("as in 7.3", stock);
	note_cycle("in place", ours);
	gm_note("%lu %% of 7.3", (unsigned long)percent(ours.next, stock.next));
	gm_assert_le(10 * ours.next, stock.next);
}

static void range_hugepage_2m(void)
{
	range_cycle(GM_SRC_THP_2M, SMALL_FILE);
}

static void range_hugetlb_1g(void)
{
	range_cycle(GM_SRC_HTLB_1G, GM_1G);
}

/* Nobody has touched it: one run of the attribute, whatever its length. */
static void attributes_16g(void)
{
	const u64 len = 16 * GM_1G;
	struct gm_give s = { .in_place = true };
	u64 cost;

	need_icount();
	s.g = gm_vm_create(GM_SWP, 1, 0);
	s.f = gm_create_from(s.g->vm, &gm_sources[GM_SRC_THP_2M], len, GM_MMAP);
	gm_slot(s.g, &s.f, GM_GPA, len, 0, NULL);
	cost = gm_cost_attributes(&s, len);
	gm_note("%lu instructions", (unsigned long)cost);
	gm_assert_le(cost, 20000);
	gm_assert_eq(gm_held(&s.f), 0);
	gm_close(&s.f);
	gm_vm_free(s.g);
}

/* One emulated instruction each time, which KVM reads where the guest has it. */
static u64 cost_fetch(struct gm_emul *s, u64 at)
{
	u64 before, cost = ~0ULL;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		before = rdtsc();
		gm_emul_call(s, at, gm_piece_cpuids, gm_piece_cpuids_end, LOOPS, 0);
		cost = min_t(u64, cost, rdtsc() - before);
	}
	return cost / LOOPS;
}

/* KVM reads memory of a file: at most so many instructions more than at an address. */
static void cost_read(unsigned int kind, u64 more)
{
	u64 ours, host;
	struct gm_emul s;

	need_icount();
	gm_emul_open(&s, kind, GM_SRC_THP_2M);
	ours = cost_fetch(&s, GM_GPA + 16 * GM_PAGE);
	host = cost_fetch(&s, (u64)gm_piece_cpuids);
	gm_emul_close(&s);
	gm_note("%lu instructions, %lu at userspace_addr", (unsigned long)ours,
		(unsigned long)host);
	gm_assert_le(ours, host + more);
}

static void read_private(void)
{
	cost_read(GM_PRIVATE, 150);
}

static void read_ordinary(void)
{
	cost_read(GM_ORDINARY, 150);
}

static void read_hidden(void)
{
	cost_read(GM_HIDDEN, 300);
}

static u64 cost_translate(struct kvm_vcpu *vcpu, u64 linear, u64 physical)
{
	u64 before, to = 0, cost = ~0ULL;
	int i, n;

	for (i = 0; i < ROUNDS; i++) {
		before = rdtsc();
		for (n = 0; n < LOOPS; n++)
			to = gm_translate(vcpu, linear);
		cost = min_t(u64, cost, rdtsc() - before);
	}
	gm_assert_eq(to, physical);
	return cost / LOOPS;
}

/* The same without paging is what asking costs. */
static u64 cost_walk(struct kvm_vcpu *vcpu)
{
	struct kvm_sregs sregs;
	u64 cost;

	gm_use_tables(vcpu);
	cost = cost_translate(vcpu, 0x10, GM_GPA + 4 * GM_PAGE + 0x10);
	vcpu_sregs_get(vcpu, &sregs);
	sregs.cr0 &= ~X86_CR0_PG;
	sregs.efer &= ~(EFER_LMA | EFER_LME);
	sregs.cs.l = 0;
	vcpu_sregs_set(vcpu, &sregs);
	return cost - cost_translate(vcpu, GM_GPA, GM_GPA);
}

static u64 walk_ours(unsigned int source)
{
	struct gm_vm *g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	struct gm_file f = gm_create_from(g->vm, &gm_sources[source], GM_2M, GM_SHARED);
	void *mem = gm_mmap(&f, 0, GM_2M);
	u64 cost;

	gm_write_tables(mem, GM_GPA + 4 * GM_PAGE);
	gm_slot(g, &f, GM_GPA, GM_2M, 0, NULL);
	cost = cost_walk(g->vcpu[0]);
	gm_assert_ok(munmap(mem, GM_2M));
	gm_close(&f);
	gm_vm_free(g);
	return cost;
}

static u64 walk_hugetlb(void)
{
	struct gm_vm *g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	void *mem = mmap(NULL, GM_2M, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB | MAP_HUGE_2MB, -1, 0);
	u64 cost;

	gm_assert(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	gm_write_tables(mem, GM_GPA + 4 * GM_PAGE);
	vm_set_user_memory_region(g->vm, g->next_slot++, 0, GM_GPA, GM_2M, mem);
	cost = cost_walk(g->vcpu[0]);
	gm_vm_free(g);
	gm_assert_ok(munmap(mem, GM_2M));
	return cost;
}

/* A walk through tables in one block: at most 1.5 times that of an ordinary VM. */
static void walk(unsigned int source)
{
	u64 ours, hugetlb;

	need_icount();
	need_pool_2m(2 * GM_2M);
	ours = walk_ours(source);
	hugetlb = walk_hugetlb();
	gm_note("%lu instructions, %lu in hugetlb", (unsigned long)ours,
		(unsigned long)hugetlb);
	gm_assert_le(2 * ours, 3 * hugetlb);
	gm_pool_resize(GM_2M, 0);
}

static void walk_hugepage_2m(void)
{
	walk(GM_SRC_THP_2M);
}

static void walk_hugetlb_2m(void)
{
	walk(GM_SRC_HTLB_2M);
}

/* Linux, from its first instruction to its shell. */
static u64 cost_boot(const struct gm_boot *b)
{
	struct gm_linux g = gm_linux_boot(b);
	u64 cost = gm_linux_said(&g, "ticks:");

	gm_note("%s%s: %lu instructions, %ld emulated by KVM",
		b->memfd ? "ordinary VM" : "private",
		b->hidden ? ", not in the direct map" : "", (unsigned long)cost,
		gm_linux_said(&g, "kvm-insn_emulation:"));
	gm_linux_power_off(&g);
	return cost;
}

/* At most 1.05 times what it takes in an ordinary VM, and that again when hidden. */
static void boot_2m(void)
{
	const struct gm_boot vm = {
		.source = GM_SRC_HTLB_2M, .kind = "--ordinary", .memfd = true
	};
	const struct gm_boot private = { .source = GM_SRC_THP_2M };
	const struct gm_boot hidden = { .source = GM_SRC_THP_2M, .hidden = true };
	u64 base, ours, theirs;

	need_icount();
	if (access(GM_LINUX_KERNEL, F_OK))
		gm_skip("needs a Linux to boot (--pack linux)");
	need_pool_2m(GM_LINUX_POOL * GM_2M);
	base = cost_boot(&vm);
	gm_pool_resize(GM_2M, 0);
	ours = cost_boot(&private);
	theirs = cost_boot(&hidden);
	gm_assert_le(100 * ours, 105 * base);
	gm_assert_le(100 * theirs, 105 * ours);
}

static const struct gm_case cases[] = {
	{ "touch_hugepage_2m", touch_hugepage_2m },
	{ "touch_hugetlb_2m", touch_hugetlb_2m },
	{ "fallocate_hugepage_2m", fallocate_hugepage_2m },
	{ "fallocate_hugetlb_2m", fallocate_hugetlb_2m },
	{ "page_hugepage_2m", page_hugepage_2m },
	{ "page_hugetlb_2m", page_hugetlb_2m },
	{ "page_hugetlb_1g", page_hugetlb_1g },
	{ "page_hugepage_1g", page_hugepage_1g },
	{ "range_hugepage_2m", range_hugepage_2m },
	{ "range_hugetlb_1g", range_hugetlb_1g },
	{ "attributes_16g", attributes_16g },
	{ "read_private", read_private },
	{ "read_ordinary", read_ordinary },
	{ "read_hidden", read_hidden },
	{ "walk_hugepage_2m", walk_hugepage_2m },
	{ "walk_hugetlb_2m", walk_hugetlb_2m },
	{ "boot_2m", boot_2m, 600 },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 0);
}
