// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM itself reads and writes memory of a file: it fetches the instructions that
 * it emulates, moves their operands, and keeps the structures that it shares with
 * a guest. userspace_addr of the slot points at other memory; nobody may see that
 * nor write to it, and no page of the file may get a reference.
 */
#include "gmem_test.h"

#define CODE	(GM_GPA + 16 * GM_PAGE)

static u64 magic(u64 n)
{
	return 0x1122334455667788ULL + n;
}

/* The first thing that fails if KVM cannot read the guest's instructions. */
static void fetch(unsigned int kind, unsigned int source)
{
	struct gm_emul s;
	u32 vendor;

	gm_emul_open(&s, kind, source);
	vendor = get_cpuid_entry(s.vcpu->cpuid, 0, 0)->ebx;
	gm_assert_eq(gm_emul_cpuid(&s, GM_GPA, 0), vendor);
	/* Across two pages. */
	gm_assert_eq(gm_emul_cpuid(&s, GM_GPA + 9 * GM_PAGE - 6, 0), vendor);
	gm_emul_close(&s);
}

/* Operands of an emulated instruction, to and from memory and across pages. */
static void operands(unsigned int kind, unsigned int source)
{
	/* The last one is memory that nobody has touched before. */
	static const u64 offs[] = { 0x100, 3 * GM_PAGE - 3, 7 * GM_PAGE };
	struct gm_emul s;
	u64 i;

	gm_emul_open(&s, kind, source);
	for (i = 0; i < ARRAY_SIZE(offs); i++) {
		s.mmio = magic(i);
		gm_emul_movs(&s, CODE, GM_GPA + offs[i], GM_MMIO);
		gm_assert_eq(gm_emul_tell(&s, GM_EMUL_READ, GM_GPA + offs[i], 0), magic(i));
	}
	for (i = 0; i < ARRAY_SIZE(offs); i++) {
		gm_emul_tell(&s, GM_EMUL_WRITE, GM_GPA + offs[i], magic(10 + i));
		s.mmio = 0;
		gm_emul_movs(&s, CODE, GM_MMIO, GM_GPA + offs[i]);
		gm_assert_eq(s.mmio, magic(10 + i));
	}
	/* Untouched memory reads as zeroes. */
	gm_emul_movs(&s, CODE, GM_MMIO, GM_GPA + 64 * GM_PAGE);
	gm_assert_eq(s.mmio, 0);
	gm_assert_eq(s.nr_mmio, 2 * ARRAY_SIZE(offs) + 1);
	gm_emul_close(&s);
}

/* KVM looks a descriptor up and sets its accessed bit: compare and exchange. */
static void descriptor(unsigned int kind, unsigned int source)
{
	const u64 gdt = GM_GPA + 20 * GM_PAGE;
	struct gm_emul_cmd *cmd;
	struct gm_emul s;

	gm_emul_open(&s, kind, source);
	cmd = gm_emul_set_call(&s, CODE, gm_piece_es, gm_piece_es_end, GM_MMIO, gdt);
	cmd->op = GM_EMUL_GDT;
	s.mmio = GM_DATA_SEL;
	gm_assert_eq(gm_emul_try(&s), 0);
	gm_assert_eq(s.nr_mmio, 1);
	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_READ, gdt + GM_DATA_SEL, 0),
		     GM_DATA_DESC | GM_ACCESSED);
	gm_emul_close(&s);
}

#define FEP	"/sys/module/kvm/parameters/force_emulation_prefix"

/* Locked instructions, which a processor does by itself unless it is told not to. */
static void locked(unsigned int kind, unsigned int source)
{
	const u64 at = GM_GPA + 21 * GM_PAGE + 0x18;
	const char *code = gm_piece_cmpxchg, *end = gm_piece_cmpxchg_end;
	struct gm_emul s;
	u64 emulated;

	gm_assert(gm_write(FEP, "1"), FEP ": %s", strerror(errno));
	gm_emul_open(&s, kind, source);
	gm_emul_tell(&s, GM_EMUL_WRITE, at, 5);
	emulated = vcpu_get_stat(s.vcpu, insn_emulation);
	gm_assert_eq(gm_emul_call(&s, CODE, code, end, at, 5), 5);
	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_READ, at, 0), ~5ULL);
	gm_assert_eq(gm_emul_call(&s, CODE, code, end, at, 7), ~5ULL);
	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_READ, at, 0), ~5ULL);
	/* Across pages no processor can, and KVM writes it in two parts. */
	gm_emul_tell(&s, GM_EMUL_WRITE, GM_GPA + 22 * GM_PAGE - 4, 6);
	gm_assert_eq(gm_emul_call(&s, CODE, code, end, GM_GPA + 22 * GM_PAGE - 4, 6), 6);
	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_READ, GM_GPA + 22 * GM_PAGE - 4, 0), ~6ULL);
	gm_assert_ge(vcpu_get_stat(s.vcpu, insn_emulation), emulated + 3);
	gm_emul_close(&s);
	gm_assert(gm_write(FEP, "0"), FEP ": %s", strerror(errno));
}

static void wall_clock(unsigned int kind, unsigned int source)
{
	const u64 at = GM_GPA + 5 * GM_PAGE + 0x40;
	struct gm_emul s;
	u64 v;

	gm_emul_open(&s, kind, source);
	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_MSR, MSR_KVM_WALL_CLOCK_NEW, at), 0);
	v = gm_emul_tell(&s, GM_EMUL_READ, at, 0);
	gm_assert_eq((u32)v, 2);
	gm_assert(v >> 32, "no seconds");
	/* Counts on from what it finds there, so it reads as well. */
	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_MSR, MSR_KVM_WALL_CLOCK_NEW, at), 0);
	gm_assert_eq((u32)gm_emul_tell(&s, GM_EMUL_READ, at, 0), 4);
	gm_emul_close(&s);
}

static void pv_eoi(unsigned int kind, unsigned int source)
{
	const u64 at = GM_GPA + 6 * GM_PAGE + 0x20;
	struct gm_emul_count n;
	struct gm_emul s;
	u64 i;

	gm_emul_open(&s, kind, source);
	gm_emul_tell(&s, GM_EMUL_IPI, 0, 0);
	gm_assert_eq(gm_emul_count(&s).eois, 1);
	/* A fault of the handler's would be an exit, after which KVM takes its bit back. */
	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_READ, at, 0), 0);
	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_MSR, MSR_KVM_PV_EOI_EN, at | KVM_MSR_ENABLED), 0);
	/*
	 * The next one comes only if KVM has seen that this one has ended. After
	 * an interrupt of the host's it takes the bit back as well.
	 */
	for (i = 1; i <= 64; i++) {
		gm_emul_tell(&s, GM_EMUL_IPI, at, 0);
		n = gm_emul_count(&s);
		gm_assert_eq(n.pv_eois + n.eois, i + 1);
	}
	gm_assert(n.pv_eois, "the bit was never seen");
	gm_emul_close(&s);
}

/* Caches of what was in a slot that is gone, or whose file is. */
static void vanish(unsigned int kind, unsigned int source)
{
	const u64 at = GM_GPA + 6 * GM_PAGE + 0x20;
	struct gm_emul_count n;
	struct gm_file f;
	struct gm_emul s;
	u64 i;

	gm_emul_open(&s, kind, source);
	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_READ, at, 0), 0);
	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_MSR, MSR_KVM_PV_EOI_EN, at | KVM_MSR_ENABLED), 0);
	for (i = 0; i < 8; i++)
		gm_emul_tell(&s, GM_EMUL_IPI, at, 0);

	vm_set_user_memory_region2(s.vm, 1, 0, 0, 0, NULL, 0, 0);
	for (i = 0; i < 8; i++)
		gm_emul_tell(&s, GM_EMUL_IPI, 0, 0);
	n = gm_emul_count(&s);
	gm_assert_eq(n.pv_eois + n.eois, 16);

	/* Another file in its place, and then only the slot that is left of it. */
	f = gm_create_from(s.vm, s.src, s.size, s.f.flags & GM_SHARED);
	vm_set_user_memory_region2(s.vm, 1, KVM_MEM_GUEST_MEMFD, GM_GPA, s.size, s.decoy,
				   f.fd, 0);
	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_READ, at, 0), 0);
	for (i = 0; i < 64; i++)
		gm_emul_tell(&s, GM_EMUL_IPI, at, 0);
	gm_assert(gm_emul_count(&s).pv_eois > n.pv_eois, "the bit was never seen again");
	gm_close(&f);
	n = gm_emul_count(&s);
	for (i = 0; i < 8; i++)
		gm_emul_tell(&s, GM_EMUL_IPI, 0, 0);
	gm_assert_eq(gm_emul_count(&s).pv_eois, n.pv_eois);
	gm_assert_eq(gm_emul_count(&s).eois, n.eois + 8);
	gm_emul_close(&s);
}

/* One access to the end of a slot and the start of the next one. */
static void two_slots(unsigned int kind, unsigned int source)
{
	const u64 edge = GM_GPA + GM_2M;
	struct gm_file f;
	struct gm_emul s;
	u64 *decoy, v;

	gm_emul_open(&s, kind, source);
	if (s.size != GM_2M) {
		gm_emul_close(&s);
		return;
	}
	f = gm_create_from(s.vm, s.src, s.size, s.f.flags & GM_SHARED);
	decoy = kvm_mmap(GM_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	vm_set_user_memory_region2(s.vm, 2, KVM_MEM_GUEST_MEMFD, edge, GM_2M, decoy, f.fd, 0);
	virt_map(s.vm, edge, edge, 1);
	if (kind == GM_SECOND)
		vm_mem_set_private(s.vm, edge, GM_2M);

	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_MSR, MSR_KVM_WALL_CLOCK_NEW, edge - 4), 0);
	v = gm_emul_tell(&s, GM_EMUL_READ, edge - 4, 0);
	gm_assert_eq((u32)v, 2);
	gm_assert(v >> 32, "no seconds");
	s.mmio = magic(1);
	gm_emul_movs(&s, CODE, edge - 3, GM_MMIO);
	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_READ, edge - 3, 0), magic(1));
	s.mmio = 0;
	gm_emul_movs(&s, CODE, GM_MMIO, edge - 3);
	gm_assert_eq(s.mmio, magic(1));
	gm_assert_eq(decoy[0], 0);
	gm_assert_frozen(&f);

	gm_close(&f);
	gm_emul_close(&s);
	gm_assert_ok(munmap(decoy, GM_2M));
}

/* What KVM cannot reach is no MMIO and no fault of the guest's. */
static void file_closed(unsigned int kind, unsigned int source)
{
	struct kvm_run *run;
	struct gm_emul s;

	gm_emul_open(&s, kind, source);
	run = s.vcpu->run;
	gm_close(&s.f);
	/* Where the code is, in memory of no file. */
	gm_emul_set_call(&s, (u64)gm_piece_movs, gm_piece_movs, gm_piece_movs,
			 GM_GPA + GM_PAGE, GM_MMIO);
	gm_assert_eq(gm_emul_try(&s), EFAULT);
	gm_assert_eq(run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	gm_assert_eq(run->memory_fault.gpa, GM_GPA + GM_PAGE);
	gm_assert_eq(run->memory_fault.size, GM_PAGE);
	gm_assert_eq(s.nr_mmio, 1);
	gm_emul_close(&s);
}

#define CASE(name, call) static void name(void) { call; }

CASE(descriptor_private, gm_emul_each(descriptor, GM_PRIVATE))
CASE(descriptor_tracked, gm_emul_each(descriptor, GM_TRACKED))
CASE(descriptor_second, gm_emul_each(descriptor, GM_SECOND))
CASE(descriptor_ordinary, gm_emul_each(descriptor, GM_ORDINARY))
CASE(descriptor_hidden, gm_emul_each(descriptor, GM_HIDDEN))
CASE(locked_private, gm_emul_each(locked, GM_PRIVATE))
CASE(locked_tracked, gm_emul_each(locked, GM_TRACKED))
CASE(locked_second, gm_emul_each(locked, GM_SECOND))
CASE(locked_ordinary, gm_emul_each(locked, GM_ORDINARY))
CASE(locked_hidden, gm_emul_each(locked, GM_HIDDEN))
CASE(fetch_private, gm_emul_each(fetch, GM_PRIVATE))
CASE(fetch_tracked, gm_emul_each(fetch, GM_TRACKED))
CASE(fetch_second, gm_emul_each(fetch, GM_SECOND))
CASE(fetch_ordinary, gm_emul_each(fetch, GM_ORDINARY))
CASE(fetch_hidden, gm_emul_each(fetch, GM_HIDDEN))
CASE(operands_private, gm_emul_each(operands, GM_PRIVATE))
CASE(operands_tracked, gm_emul_each(operands, GM_TRACKED))
CASE(operands_second, gm_emul_each(operands, GM_SECOND))
CASE(operands_ordinary, gm_emul_each(operands, GM_ORDINARY))
CASE(operands_hidden, gm_emul_each(operands, GM_HIDDEN))
CASE(wall_clock_private, gm_emul_each(wall_clock, GM_PRIVATE))
CASE(wall_clock_tracked, gm_emul_each(wall_clock, GM_TRACKED))
CASE(wall_clock_second, gm_emul_each(wall_clock, GM_SECOND))
CASE(wall_clock_ordinary, gm_emul_each(wall_clock, GM_ORDINARY))
CASE(wall_clock_hidden, gm_emul_each(wall_clock, GM_HIDDEN))
CASE(pv_eoi_private, gm_emul_each(pv_eoi, GM_PRIVATE))
CASE(pv_eoi_tracked, gm_emul_each(pv_eoi, GM_TRACKED))
CASE(pv_eoi_second, gm_emul_each(pv_eoi, GM_SECOND))
CASE(pv_eoi_ordinary, gm_emul_each(pv_eoi, GM_ORDINARY))
CASE(pv_eoi_hidden, gm_emul_each(pv_eoi, GM_HIDDEN))
CASE(vanish_private, gm_emul_each(vanish, GM_PRIVATE))
CASE(vanish_second, gm_emul_each(vanish, GM_SECOND))
CASE(vanish_ordinary, gm_emul_each(vanish, GM_ORDINARY))
CASE(vanish_hidden, gm_emul_each(vanish, GM_HIDDEN))
CASE(two_slots_private, gm_emul_each(two_slots, GM_PRIVATE))
CASE(two_slots_second, gm_emul_each(two_slots, GM_SECOND))
CASE(two_slots_ordinary, gm_emul_each(two_slots, GM_ORDINARY))
CASE(two_slots_hidden, gm_emul_each(two_slots, GM_HIDDEN))
CASE(file_closed_private, gm_emul_each(file_closed, GM_PRIVATE))
CASE(file_closed_second, gm_emul_each(file_closed, GM_SECOND))
CASE(file_closed_ordinary, gm_emul_each(file_closed, GM_ORDINARY))
CASE(file_closed_hidden, gm_emul_each(file_closed, GM_HIDDEN))

static const struct gm_case cases[] = {
	{ "locked_private", locked_private },
	{ "locked_tracked", locked_tracked },
	{ "locked_second", locked_second },
	{ "locked_ordinary", locked_ordinary },
	{ "locked_hidden", locked_hidden },
	{ "fetch_private", fetch_private },
	{ "fetch_tracked", fetch_tracked },
	{ "fetch_second", fetch_second },
	{ "fetch_ordinary", fetch_ordinary },
	{ "fetch_hidden", fetch_hidden },
	{ "operands_private", operands_private },
	{ "operands_tracked", operands_tracked },
	{ "operands_second", operands_second },
	{ "operands_ordinary", operands_ordinary },
	{ "operands_hidden", operands_hidden },
	{ "descriptor_private", descriptor_private },
	{ "descriptor_tracked", descriptor_tracked },
	{ "descriptor_second", descriptor_second },
	{ "descriptor_ordinary", descriptor_ordinary },
	{ "descriptor_hidden", descriptor_hidden },
	{ "wall_clock_private", wall_clock_private },
	{ "wall_clock_tracked", wall_clock_tracked },
	{ "wall_clock_second", wall_clock_second },
	{ "wall_clock_ordinary", wall_clock_ordinary },
	{ "wall_clock_hidden", wall_clock_hidden },
	{ "pv_eoi_private", pv_eoi_private },
	{ "pv_eoi_tracked", pv_eoi_tracked },
	{ "pv_eoi_second", pv_eoi_second },
	{ "pv_eoi_ordinary", pv_eoi_ordinary },
	{ "pv_eoi_hidden", pv_eoi_hidden },
	{ "vanish_private", vanish_private },
	{ "vanish_second", vanish_second },
	{ "vanish_ordinary", vanish_ordinary },
	{ "vanish_hidden", vanish_hidden },
	{ "two_slots_private", two_slots_private },
	{ "two_slots_second", two_slots_second },
	{ "two_slots_ordinary", two_slots_ordinary },
	{ "two_slots_hidden", two_slots_hidden },
	{ "file_closed_private", file_closed_private },
	{ "file_closed_second", file_closed_second },
	{ "file_closed_ordinary", file_closed_ordinary },
	{ "file_closed_hidden", file_closed_hidden },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 4);
}
