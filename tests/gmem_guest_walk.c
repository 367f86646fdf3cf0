// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page tables of a guest that lie in memory of a file and are walked by KVM: to
 * emulate an instruction, and at each fault of a guest without nested paging
 * (kvm_amd.npt=0). The right translation or a fault of the guest's, accessed and
 * dirty bits where they belong, whatever happens to the tables meanwhile.
 */
#include <pthread.h>

#include "gmem_test.h"
#include "mce.h"

#define CODE		(GM_GPA + 16 * GM_PAGE)
/* An address that only these tables translate, one page of them for each level. */
#define WALK		0x200000000000ULL
#define TABLE(level)	(GM_GPA + (32 + (level)) * GM_PAGE)
#define DATA(i)		(GM_GPA + (64 + (i)) * GM_PAGE)
#define NR_DATA		4

#define MC_VECTOR	18
#define MCG_STATUS_MCIP	4	/* IA32_MCG_STATUS */

#define PRESENT		7	/* for writes and for user mode as well */
#define ACCESSED	0x20
#define DIRTY		0x40

static u64 magic(u64 n)
{
	return 0x8877665544332211ULL + n;
}

static u64 entry_at(unsigned int level, u64 i)
{
	return TABLE(level) + 8 * (level == 4 ? WALK >> 39 : i);
}

static u64 entry(struct gm_emul *s, unsigned int level, u64 i)
{
	return gm_emul_tell(s, GM_EMUL_READ, entry_at(level, i), 0);
}

static void set_entry(struct gm_emul *s, unsigned int level, u64 i, u64 gpa)
{
	gm_emul_tell(s, GM_EMUL_WRITE, entry_at(level, i), gpa | PRESENT);
}

static void open_scene(struct gm_emul *s, unsigned int kind, unsigned int source)
{
	unsigned int i;

	gm_emul_open(s, kind, source);
	gm_emul_tell(s, GM_EMUL_CR3, TABLE(4), 0);
	for (i = 4; i > 1; i--)
		set_entry(s, i, 0, TABLE(i - 1));
	for (i = 0; i < NR_DATA; i++)
		set_entry(s, 1, i, DATA(i));
}

static void assert_upper(struct gm_emul *s)
{
	unsigned int i;

	for (i = 4; i > 1; i--)
		gm_assert_eq(entry(s, i, 0), TABLE(i - 1) | PRESENT | ACCESSED);
}

/* Entries that no processor has walked: what they get, they get from KVM. */
static void bits(unsigned int kind, unsigned int source)
{
	struct gm_emul s;

	open_scene(&s, kind, source);

	s.mmio = magic(0);
	gm_emul_movs(&s, CODE, WALK + 0x10, GM_MMIO);
	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_READ, DATA(0) + 0x10, 0), magic(0));
	assert_upper(&s);
	gm_assert_eq(entry(&s, 1, 0), DATA(0) | PRESENT | ACCESSED | DIRTY);
	gm_assert_eq(entry(&s, 1, 1), DATA(1) | PRESENT);

	/* Read only, across two pages. */
	gm_emul_tell(&s, GM_EMUL_WRITE, DATA(1) + 0xffd, magic(1));
	s.mmio = 0;
	gm_emul_movs(&s, CODE, GM_MMIO, WALK + 0x1ffd);
	gm_assert_eq(s.mmio, magic(1));
	gm_assert_eq(entry(&s, 1, 1), DATA(1) | PRESENT | ACCESSED);
	gm_assert_eq(entry(&s, 1, 2), DATA(2) | PRESENT | ACCESSED);
	gm_assert_eq(entry(&s, 1, 3), DATA(3) | PRESENT);

	/* What is not mapped is the guest's affair. */
	gm_emul_movs(&s, CODE, WALK + NR_DATA * GM_PAGE, GM_MMIO);
	gm_assert_eq(gm_emul_count(&s).faults, 1);
	gm_assert_eq(gm_emul_count(&s).cr2, WALK + NR_DATA * GM_PAGE);
	gm_assert_eq(gm_emul_count(&s).error, PFERR_WRITE_MASK);

	gm_emul_close(&s);
}

/* Instructions fetched through such tables. */
static void fetch(unsigned int kind, unsigned int source)
{
	struct gm_emul s;

	open_scene(&s, kind, source);
	gm_assert_eq(gm_emul_cpuid(&s, WALK + 0x1ff8, 0),
		     get_cpuid_entry(s.vcpu->cpuid, 0, 0)->ebx);
	assert_upper(&s);
	gm_emul_close(&s);
}

/* A table that was punched is empty, and stays so. */
static void punched(unsigned int kind, unsigned int source)
{
	unsigned int level;
	struct gm_emul s;

	open_scene(&s, kind, source);
	for (level = 3; level; level--) {
		s.mmio = magic(level);
		gm_emul_movs(&s, CODE, WALK, GM_MMIO);
		gm_assert_eq(gm_emul_tell(&s, GM_EMUL_READ, DATA(0), 0), magic(level));

		gm_assert_ok(gm_punch(&s.f, TABLE(level) - GM_GPA, GM_PAGE));
		/* Of another page: shadow page tables may know this one still. */
		gm_emul_movs(&s, CODE, WALK + GM_PAGE, GM_MMIO);
		gm_assert_eq(gm_emul_count(&s).faults, 4 - level);
		gm_assert_eq(gm_emul_count(&s).cr2, WALK + GM_PAGE);
		gm_assert_eq(gm_emul_count(&s).error, PFERR_WRITE_MASK);
		gm_assert_eq(entry(&s, level, 0), 0);

		set_entry(&s, level, 0, level == 1 ? DATA(0) : TABLE(level - 1));
	}
	gm_emul_close(&s);
}

static void need_poison(void)
{
	gm_assert(!access("/sys/kernel/debug/hwpoison/corrupt-pfn", W_OK),
		  "no CONFIG_HWPOISON_INJECT");
	if (!gm_have_gmem())
		gm_skip("this kernel does not show its blocks");
}

static void break_page(struct gm_file *f, u64 off)
{
	const unsigned long pfn = gm_pfn_at(f, off);

	gm_assert(gm_write("/sys/kernel/debug/hwpoison/corrupt-pfn", "%#lx", pfn), "pfn %#lx: %s",
		  pfn, strerror(errno));
}

/* Broken memory is not the guest's fault, be it a table or an operand. */
static void poison(unsigned int kind, unsigned int source, u64 bad)
{
	struct kvm_run *run;
	struct gm_emul s;

	need_poison();
	open_scene(&s, kind, source);
	run = s.vcpu->run;
	s.mmio = magic(0);
	gm_emul_movs(&s, CODE, WALK, GM_MMIO);
	break_page(&s.f, bad - GM_GPA);

	gm_emul_set_call(&s, CODE, gm_piece_movs, gm_piece_movs_end, WALK + 8, GM_MMIO);
	gm_assert_eq(gm_emul_try(&s), EHWPOISON);
	gm_assert_eq(run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	gm_assert_eq(run->memory_fault.gpa, bad);
	gm_assert_eq(run->memory_fault.size, GM_PAGE);
	gm_assert_eq(run->memory_fault.flags,
		     kind == GM_ORDINARY ? 0 : KVM_MEMORY_EXIT_FLAG_PRIVATE);
	gm_assert_eq(gm_emul_count(&s).faults, 0);
	/* As often as it is asked to. */
	gm_assert_eq(gm_emul_try(&s), EHWPOISON);

	/* New memory, and the instruction goes on where it was. */
	if (source == GM_SRC_4K) {
		gm_assert_ok(gm_punch(&s.f, bad - GM_GPA, GM_PAGE));
		gm_assert_eq(gm_emul_try(&s), 0);
		gm_assert_eq(gm_emul_count(&s).faults, bad == DATA(0) ? 0 : 1);
		if (bad == DATA(0))
			gm_assert_eq(gm_emul_tell(&s, GM_EMUL_READ, DATA(0) + 8, 0),
				     magic(0));
	}
	gm_emul_close(&s);
}

static void enable_mce(struct kvm_vcpu *vcpu)
{
	u64 cap = KVM_MAX_MCE_BANKS | MCG_CTL_P;
	struct kvm_sregs sregs;

	vcpu_ioctl(vcpu, KVM_X86_SETUP_MCE, &cap);
	vcpu_sregs_get(vcpu, &sregs);
	sregs.cr4 |= X86_CR4_MCE;
	vcpu_sregs_set(vcpu, &sregs);
}

/* What fails outside of KVM_RUN ends nothing, and drops no exception. */
static void poison_translate(void)
{
	struct kvm_x86_mce mce = {
		.status = MCI_STATUS_VAL | MCI_STATUS_UC, .mcg_status = MCG_STATUS_MCIP
	};
	struct gm_vm *g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	struct kvm_vcpu *vcpu = g->vcpu[0];
	struct kvm_vcpu_events events;
	struct gm_file f;
	char *mem;

	need_poison();
	f = gm_create_from(g->vm, &gm_sources[GM_SRC_4K], GM_2M, GM_SHARED);
	mem = gm_mmap(&f, 0, GM_2M);
	gm_write_tables((u64 *)mem, DATA(0));
	gm_assert_ok(munmap(mem, GM_2M));
	gm_slot(g, &f, GM_GPA, GM_2M, 0, NULL);
	gm_use_tables(vcpu);
	gm_assert_eq(gm_translate(vcpu, 8), DATA(0) + 8);

	enable_mce(vcpu);
	break_page(&f, 2 * GM_PAGE);
	gm_assert_eq(gm_translate(vcpu, 8), ~0ULL);
	vcpu_ioctl(vcpu, KVM_X86_SET_MCE, &mce);
	vcpu_events_get(vcpu, &events);
	gm_assert_eq(events.exception.injected, 1);
	gm_assert_eq(events.exception.nr, MC_VECTOR);

	gm_close(&f);
	gm_vm_free(g);
}

#define WALKS	2000
#define ROUNDS	30000

enum race {
	CONVERT,
	PUNCH,
	GIVE,	/* as PUNCH, and another file has the page next */
};

/* The tables change hands, or vanish, while KVM walks them. */
struct racer {
	struct gm_file *f;
	u64 off;
	enum race how;
	bool stop;
	unsigned int rounds;
	unsigned int walks;
	struct gm_file next;
	u64 *mem;	/* of next */
	unsigned int given;
};

/* No bit that a walk sets. */
#define PATTERN	(0x5a5a5a5a5a5a5a5aULL & ~(u64)(ACCESSED | DIRTY))

static bool has_walked_on(void *arg)
{
	struct racer *r = arg;

	return READ_ONCE(r->walks) > 1 || READ_ONCE(r->stop);
}

/* Whoever has the page now: KVM sets no bit in it any more. */
static void give(struct racer *r)
{
	struct gm_block b;
	u64 pfn, i;

	if (!gm_block_at(r->f, r->off, &b))
		return;
	pfn = b.pfn + r->off / GM_PAGE - b.index;
	gm_assert_ok(gm_punch(r->f, r->off, GM_PAGE));
	for (i = 0; i < GM_PAGE / 8; i++)
		WRITE_ONCE(r->mem[i], PATTERN);
	r->given += gm_pfn_at(&r->next, 0) == pfn;
	WRITE_ONCE(r->walks, 0);
	gm_assert(gm_wait_until(has_walked_on, r, 10), "no walk");
	for (i = 0; i < GM_PAGE / 8; i++)
		gm_assert_eq(READ_ONCE(r->mem[i]), PATTERN);
	gm_assert_ok(gm_punch(&r->next, 0, GM_PAGE));
}

static void *racer(void *arg)
{
	struct racer *r = arg;

	/* An end, since walks that are started over and over need not have one. */
	while (!READ_ONCE(r->stop) && r->rounds < ROUNDS / gm_time_scale()) {
		WRITE_ONCE(r->rounds, r->rounds + 1);
		if (r->how == GIVE) {
			give(r);
		} else if (r->how == PUNCH) {
			gm_assert_ok(gm_punch(r->f, r->off, GM_PAGE));
		} else {
			gm_set_ok(r->f, r->off, GM_PAGE, false);
			gm_set_ok(r->f, r->off, GM_PAGE, true);
		}
	}
	return NULL;
}

static bool has_moved_on(void *arg)
{
	return READ_ONCE(((struct racer *)arg)->rounds);
}

static void race(unsigned int kind, unsigned int source, enum race how)
{
	struct racer r = { .how = how, .off = TABLE(1) - GM_GPA };
	unsigned int i, good = 0, faults = 0;
	pthread_t thread;
	struct gm_emul s;
	u64 v;

	open_scene(&s, kind, source);
	r.f = &s.f;
	r.next = gm_create_from(s.vm, &gm_sources[GM_SRC_4K], GM_PAGE, GM_SHARED);
	r.mem = gm_mmap(&r.next, 0, GM_PAGE);
	kvm_pthread_create(&thread, NULL, racer, &r);
	gm_assert(gm_wait_until(has_moved_on, &r, 10), "no round");
	for (i = 0; i < WALKS / gm_time_scale(); i++) {
		set_entry(&s, 1, 0, DATA(0));
		s.mmio = magic(i);
		gm_emul_movs(&s, CODE, WALK, GM_MMIO);
		WRITE_ONCE(r.walks, r.walks + 1);
		v = entry(&s, 1, 0);
		if (gm_emul_count(&s).faults == faults) {
			good++;
			gm_assert_eq(gm_emul_tell(&s, GM_EMUL_READ, DATA(0), 0), magic(i));
			if (v || how == CONVERT)
				gm_assert_eq(v, DATA(0) | PRESENT | ACCESSED | DIRTY);
		} else {
			gm_assert(how != CONVERT, "a fault, though the entry was there always");
			gm_assert_eq(v, 0);
			faults++;
			gm_assert_eq(gm_emul_count(&s).faults, faults);
		}
	}
	WRITE_ONCE(r.stop, true);
	kvm_pthread_join(thread, NULL);
	gm_note("%u translations, %u faults, %u rounds beside them, %u pages with a new owner",
		good, faults, r.rounds, r.given);
	gm_assert(good, "nothing was translated");
	gm_assert(how != GIVE || r.given, "no page was seen again");
	gm_assert_ok(munmap(r.mem, GM_PAGE));
	gm_close(&r.next);
	gm_emul_close(&s);
}

/* KVM remembers where it has found the tables last: not for longer than it holds. */
static void remembered(unsigned int source)
{
	const struct gm_source *src = &gm_sources[source];
	struct gm_vm *g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	struct gm_file f, other;
	char *mem, *others;
	u32 slot;

	gm_need_source(src, 2 * GM_2M);
	f = gm_create_from(g->vm, src, GM_2M, GM_SHARED);
	other = gm_create_from(g->vm, src, GM_2M, GM_SHARED);
	mem = gm_mmap(&f, 0, GM_2M);
	others = gm_mmap(&other, 0, GM_2M);
	gm_write_tables((u64 *)mem, DATA(0));
	gm_write_tables((u64 *)others, DATA(1));
	slot = gm_slot(g, &f, GM_GPA, GM_2M, 0, NULL);
	gm_use_tables(g->vcpu[0]);
	gm_assert_eq(gm_translate(g->vcpu[0], 8), DATA(0) + 8);

	/* The block is gone, and with it what it held. */
	gm_assert_ok(gm_punch(&f, 0, f.size));
	gm_assert_eq(gm_translate(g->vcpu[0], 8), ~0ULL);
	gm_write_tables((u64 *)mem, DATA(2));
	gm_assert_eq(gm_translate(g->vcpu[0], 8), DATA(2) + 8);

	/* The slot is another one. */
	vm_set_user_memory_region2(g->vm, slot, 0, 0, 0, NULL, 0, 0);
	gm_assert_eq(gm_translate(g->vcpu[0], 8), ~0ULL);
	slot = gm_slot(g, &other, GM_GPA, GM_2M, 0, NULL);
	gm_assert_eq(gm_translate(g->vcpu[0], 8), DATA(1) + 8);
	gm_assert_eq(gm_translate(g->vcpu[0], 8), DATA(1) + 8);

	/* The file is closed. */
	gm_assert_ok(munmap(others, GM_2M));
	gm_close(&other);
	gm_assert_eq(gm_translate(g->vcpu[0], 8), ~0ULL);

	gm_assert_ok(munmap(mem, GM_2M));
	gm_close(&f);
	gm_vm_free(g);
}

#define CASE(name, call) static void name(void) { call; }

CASE(remembered_4k, remembered(GM_SRC_4K))
CASE(remembered_2m, remembered(GM_SRC_THP_2M))
CASE(remembered_hugetlb_2m, remembered(GM_SRC_HTLB_2M))
CASE(bits_private, gm_emul_each(bits, GM_PRIVATE))
CASE(bits_tracked, gm_emul_each(bits, GM_TRACKED))
CASE(bits_second, gm_emul_each(bits, GM_SECOND))
CASE(bits_ordinary, gm_emul_each(bits, GM_ORDINARY))
CASE(bits_hidden, gm_emul_each(bits, GM_HIDDEN))
CASE(fetch_private, gm_emul_each(fetch, GM_PRIVATE))
CASE(fetch_tracked, gm_emul_each(fetch, GM_TRACKED))
CASE(fetch_second, gm_emul_each(fetch, GM_SECOND))
CASE(fetch_ordinary, gm_emul_each(fetch, GM_ORDINARY))
CASE(fetch_hidden, gm_emul_each(fetch, GM_HIDDEN))
CASE(punched_private, gm_emul_each(punched, GM_PRIVATE))
CASE(punched_tracked, gm_emul_each(punched, GM_TRACKED))
CASE(punched_second, gm_emul_each(punched, GM_SECOND))
CASE(punched_ordinary, gm_emul_each(punched, GM_ORDINARY))
CASE(punched_hidden, gm_emul_each(punched, GM_HIDDEN))
CASE(poison_table_private, poison(GM_PRIVATE, GM_SRC_4K, TABLE(1)))
CASE(poison_table_second, poison(GM_SECOND, GM_SRC_4K, TABLE(1)))
CASE(poison_table_ordinary, poison(GM_ORDINARY, GM_SRC_4K, TABLE(1)))
CASE(poison_root_private, poison(GM_PRIVATE, GM_SRC_4K, TABLE(3)))
CASE(poison_root_second, poison(GM_SECOND, GM_SRC_4K, TABLE(3)))
CASE(poison_root_ordinary, poison(GM_ORDINARY, GM_SRC_4K, TABLE(3)))
CASE(poison_operand_private, poison(GM_PRIVATE, GM_SRC_4K, DATA(0)))
CASE(poison_operand_second, poison(GM_SECOND, GM_SRC_4K, DATA(0)))
CASE(poison_operand_ordinary, poison(GM_ORDINARY, GM_SRC_4K, DATA(0)))
CASE(poison_table_private_2m, poison(GM_PRIVATE, GM_SRC_THP_2M, TABLE(1)))
CASE(race_convert_private_4k, race(GM_PRIVATE, GM_SRC_4K, CONVERT))
CASE(race_convert_private_2m, race(GM_PRIVATE, GM_SRC_THP_2M, CONVERT))
CASE(race_punch_private_4k, race(GM_PRIVATE, GM_SRC_4K, PUNCH))
CASE(race_punch_private_2m, race(GM_PRIVATE, GM_SRC_THP_2M, PUNCH))
CASE(race_punch_second_4k, race(GM_SECOND, GM_SRC_4K, PUNCH))
CASE(race_punch_second_2m, race(GM_SECOND, GM_SRC_THP_2M, PUNCH))
CASE(race_punch_ordinary_4k, race(GM_ORDINARY, GM_SRC_4K, PUNCH))
CASE(race_punch_ordinary_2m, race(GM_ORDINARY, GM_SRC_THP_2M, PUNCH))
CASE(race_give_private, race(GM_PRIVATE, GM_SRC_4K, GIVE))
CASE(race_give_second, race(GM_SECOND, GM_SRC_4K, GIVE))
CASE(race_give_ordinary, race(GM_ORDINARY, GM_SRC_4K, GIVE))

static const struct gm_case cases[] = {
	{ .name = "remembered_4k", .fn = remembered_4k },
	{ .name = "remembered_2m", .fn = remembered_2m },
	{ .name = "remembered_hugetlb_2m", .fn = remembered_hugetlb_2m },
	{ .name = "bits_private", .fn = bits_private },
	{ .name = "bits_tracked", .fn = bits_tracked },
	{ .name = "bits_second", .fn = bits_second },
	{ .name = "bits_ordinary", .fn = bits_ordinary },
	{ .name = "bits_hidden", .fn = bits_hidden },
	{ .name = "fetch_private", .fn = fetch_private },
	{ .name = "fetch_tracked", .fn = fetch_tracked },
	{ .name = "fetch_second", .fn = fetch_second },
	{ .name = "fetch_ordinary", .fn = fetch_ordinary },
	{ .name = "fetch_hidden", .fn = fetch_hidden },
	{ .name = "punched_private", .fn = punched_private },
	{ .name = "punched_tracked", .fn = punched_tracked },
	{ .name = "punched_second", .fn = punched_second },
	{ .name = "punched_ordinary", .fn = punched_ordinary },
	{ .name = "punched_hidden", .fn = punched_hidden },
	{ .name = "poison_table_private", .fn = poison_table_private, .loses = true },
	{ .name = "poison_table_second", .fn = poison_table_second, .loses = true },
	{ .name = "poison_table_ordinary", .fn = poison_table_ordinary, .loses = true },
	{ .name = "poison_root_private", .fn = poison_root_private, .loses = true },
	{ .name = "poison_root_second", .fn = poison_root_second, .loses = true },
	{ .name = "poison_root_ordinary", .fn = poison_root_ordinary, .loses = true },
	{ .name = "poison_operand_private", .fn = poison_operand_private, .loses = true },
	{ .name = "poison_operand_second", .fn = poison_operand_second, .loses = true },
	{ .name = "poison_operand_ordinary", .fn = poison_operand_ordinary, .loses = true },
	{ .name = "poison_table_private_2m", .fn = poison_table_private_2m, .loses = true },
	{ .name = "poison_translate", .fn = poison_translate, .loses = true },
	{ .name = "race_convert_private_4k", .fn = race_convert_private_4k, .seconds = 120 },
	{ .name = "race_convert_private_2m", .fn = race_convert_private_2m, .seconds = 120 },
	{ .name = "race_punch_private_4k", .fn = race_punch_private_4k, .seconds = 120 },
	{ .name = "race_punch_private_2m", .fn = race_punch_private_2m, .seconds = 120 },
	{ .name = "race_punch_second_4k", .fn = race_punch_second_4k, .seconds = 120 },
	{ .name = "race_punch_second_2m", .fn = race_punch_second_2m, .seconds = 120 },
	{ .name = "race_punch_ordinary_4k", .fn = race_punch_ordinary_4k, .seconds = 120 },
	{ .name = "race_punch_ordinary_2m", .fn = race_punch_ordinary_2m, .seconds = 120 },
	{ .name = "race_give_private", .fn = race_give_private, .seconds = 120 },
	{ .name = "race_give_second", .fn = race_give_second, .seconds = 120 },
	{ .name = "race_give_ordinary", .fn = race_give_ordinary, .seconds = 120 },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 4);
}
