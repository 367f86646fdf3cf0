// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM itself reads and writes memory of a file: it fetches the instructions that
 * it emulates, moves their operands, and keeps the structures that it shares with
 * a guest. userspace_addr of the slot points at other memory; nobody may see that
 * nor write to it, and no page of the file may get a reference.
 */
#include "gmem_test.h"
#include "apic.h"

#define SEED	83
#define DECOY	0xdec0dec0dec0dec0ULL
#define VECTOR	0x61

/* No slot is there: what reads it or writes to it is emulated. */
#define MMIO	(GM_GPA + 16 * GM_1G)

/* What the memory is to KVM. */
enum kind {
	PRIVATE,	/* private pages of a file that tracks */
	SHARED,		/* shared pages of one */
	SECOND,		/* private pages of a slot with a second source */
	ORDINARY,	/* of a VM that knows nothing of private memory */
};

enum op {
	CALL,		/* copy code to a, call it with b, c, and d */
	MSR,		/* write b to MSR a */
	FILL,		/* write c bytes at a of the pattern, which begins at b */
	READ,		/* the 8 bytes at a */
	IPI,		/* to itself; EOI through the word at a if KVM lets it */
};

static struct cmd {
	u64 op, a, b, c, d;
	u64 code, size;
	u64 ret;
} guest_cmd;

static u64 guest_eoi_word;
static u64 guest_pv_eois, guest_eois;

/*
 * Pieces that run from wherever they are copied to. CPUID is an exit that KVM
 * skips by decoding it if the processor does not say how long it is.
 */
#define PIECE(name, text)						\
	extern const char name[], name##_end[];				\
	asm(".pushsection .rodata\n" #name ":\n" text "\n"		\
	    #name "_end:\n.popsection")

PIECE(piece_cpuid, "mov %rbx, %r8; mov %edi, %eax; xor %ecx, %ecx; cpuid; mov %ebx, %eax;"
		   "mov %r8, %rbx; ret");
/* One element from rsi to rdi: one of them is MMIO. */
PIECE(piece_movs, "cld; movsq; ret");

static void eoi_handler(struct ex_regs *regs)
{
	u32 *word = (u32 *)guest_eoi_word;

	/* As Linux does: KVM's bit set means that clearing it is enough. */
	if (word && *word & 1) {
		WRITE_ONCE(*word, 0);
		guest_pv_eois++;
	} else {
		x2apic_write_reg(APIC_EOI, 0);
		guest_eois++;
	}
}

static void guest_do(struct cmd *c)
{
	u64 i;

	switch (c->op) {
	case CALL:
		memcpy((void *)c->a, (void *)c->code, c->size);
		c->ret = ((u64 (*)(u64, u64, u64))c->a)(c->b, c->c, c->d);
		break;
	case MSR:
		c->ret = wrmsr_safe(c->a, c->b);
		break;
	case FILL:
		for (i = 0; i < c->c; i += 8)
			WRITE_ONCE(*(u64 *)(c->a + i), gm_word(SEED, c->b + i));
		break;
	case READ:
		c->ret = READ_ONCE(*(u64 *)c->a);
		break;
	case IPI:
		i = guest_pv_eois + guest_eois;
		guest_eoi_word = c->a;
		x2apic_enable();
		asm volatile("sti");
		x2apic_write_reg(APIC_ICR, APIC_DEST_SELF | APIC_INT_ASSERT | VECTOR);
		while (READ_ONCE(guest_pv_eois) + READ_ONCE(guest_eois) == i)
			cpu_relax();
		asm volatile("cli");
		break;
	}
}

static void guest_main(void)
{
	for (;;) {
		GUEST_SYNC(0);
		guest_do(&guest_cmd);
	}
}

struct scene {
	unsigned int kind;
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	struct gm_file f;
	u64 *decoy;
	u64 mmio;		/* what MMIO reads, and what was written to it */
	unsigned int nr_mmio;
};

static u64 file_flags(unsigned int kind)
{
	return kind == SECOND ? 0 : kind == PRIVATE ? GM_MMAP : GM_SHARED;
}

/* Until the guest waits for a command: 0, or errno of KVM_RUN. */
static int try_run(struct scene *s)
{
	struct kvm_run *run = s->vcpu->run;

	for (;;) {
		if (__vcpu_run(s->vcpu))
			return errno;
		if (run->exit_reason != KVM_EXIT_MMIO)
			break;
		gm_assert_eq(run->mmio.phys_addr & ~7ULL, MMIO);
		s->nr_mmio++;
		if (run->mmio.is_write)
			memcpy(&s->mmio, run->mmio.data, run->mmio.len);
		else
			memcpy(run->mmio.data, &s->mmio, run->mmio.len);
	}
	return 0;
}

static void run(struct scene *s)
{
	struct ucall uc;
	int err = try_run(s);

	gm_assert(!err, "KVM_RUN: %s, %s", strerror(err),
		  exit_reason_str(s->vcpu->run->exit_reason));
	switch (get_ucall(s->vcpu, &uc)) {
	case UCALL_SYNC:
		break;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
		break;
	default:
		gm_fail(__FILE__, __LINE__, "guest", "stopped with %s",
			exit_reason_str(s->vcpu->run->exit_reason));
	}
}

static struct cmd *set_cmd(struct scene *s, u64 what, u64 a, u64 b, u64 c, u64 d)
{
	struct cmd *cmd = addr_gva2hva(s->vm, (u64)&guest_cmd);

	cmd->op = what;
	cmd->a = a;
	cmd->b = b;
	cmd->c = c;
	cmd->d = d;
	cmd->ret = DECOY;
	return cmd;
}

static u64 tell(struct scene *s, u64 what, u64 a, u64 b, u64 c)
{
	struct cmd *cmd = set_cmd(s, what, a, b, c, 0);

	run(s);
	return cmd->ret;
}

static struct cmd *set_call(struct scene *s, u64 at, const char *code,
			    const char *end, u64 b, u64 c, u64 d)
{
	struct cmd *cmd = set_cmd(s, CALL, at, b, c, d);

	cmd->code = (u64)code;
	cmd->size = end - code;
	return cmd;
}

#define call(s, at, piece, b, c, d)					\
({									\
	struct cmd *__c = set_call(s, at, piece, piece##_end, b, c, d);	\
									\
	run(s);								\
	__c->ret;							\
})

static u64 *make_decoy(u64 size)
{
	u64 *decoy = kvm_mmap(size, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	u64 i;

	for (i = 0; i < min(size, GM_2M) / 8; i++)
		decoy[i] = DECOY;
	return decoy;
}

static void open_scene(struct scene *s, unsigned int kind, unsigned int source)
{
	const struct gm_source *src = &gm_sources[source];
	const u64 size = max(src->block, GM_2M);
	struct vm_shape shape = VM_SHAPE(VM_MODE_DEFAULT);

	memset(s, 0, sizeof(*s));
	gm_need_source(src, size);
	s->kind = kind;
	shape.type = kind == ORDINARY ? VM_TYPE_DEFAULT : GM_SWP;
	s->vm = __vm_create_with_vcpus(shape, 1, 4096, guest_main, &s->vcpu);
	vm_install_exception_handler(s->vm, VECTOR, eoi_handler);
	s->f = gm_create_from(s->vm, src, size, file_flags(kind));
	s->decoy = make_decoy(size);
	vm_set_user_memory_region2(s->vm, 1, KVM_MEM_GUEST_MEMFD, GM_GPA, size, s->decoy,
				   s->f.fd, 0);
	virt_map(s->vm, GM_GPA, GM_GPA, GM_2M / GM_PAGE);
	virt_map(s->vm, MMIO, MMIO, 1);
	if (kind == SECOND)
		vm_mem_set_private(s->vm, GM_GPA, size);
	run(s);
}

static void assert_no_decoy(struct scene *s)
{
	u64 i;

	for (i = 0; i < GM_2M / 8; i++)
		gm_assert(s->decoy[i] == DECOY, "KVM wrote %#lx to userspace_addr at %#lx",
			  (unsigned long)s->decoy[i], (unsigned long)i * 8);
}

static void close_scene(struct scene *s)
{
	assert_no_decoy(s);
	gm_assert_frozen(&s->f);
	gm_close(&s->f);
	kvm_vm_free(s->vm);
	gm_assert_ok(munmap(s->decoy, max(s->f.size, GM_2M)));
}

/* The first thing that fails if KVM cannot read the guest's instructions. */
static void fetch(unsigned int kind, unsigned int source)
{
	u64 vendor;
	struct scene s;

	open_scene(&s, kind, source);
	vendor = get_cpuid_entry(s.vcpu->cpuid, 0, 0)->ebx;
	gm_assert_eq((u32)call(&s, GM_GPA, piece_cpuid, 0, 0, 0), vendor);
	/* Across two pages. */
	gm_assert_eq((u32)call(&s, GM_GPA + 9 * GM_PAGE - 6, piece_cpuid, 0, 0, 0), vendor);
	close_scene(&s);
}

/* Operands of an emulated instruction, to and from memory and across pages. */
static void operands(unsigned int kind, unsigned int source)
{
	static const u64 offs[] = { 0x100, 3 * GM_PAGE - 3, 7 * GM_PAGE };
	const u64 code = GM_GPA + 16 * GM_PAGE;
	struct scene s;
	u64 i;

	open_scene(&s, kind, source);
	for (i = 0; i < ARRAY_SIZE(offs); i++) {
		s.mmio = 0x1122334455667788ULL + i;
		/* The last one is memory that nobody has touched before. */
		call(&s, code, piece_movs, GM_GPA + offs[i], MMIO, 0);
		gm_assert_eq(tell(&s, READ, GM_GPA + offs[i], 0, 0),
			     0x1122334455667788ULL + i);
	}
	for (i = 0; i < ARRAY_SIZE(offs); i++) {
		tell(&s, FILL, GM_GPA + offs[i], offs[i] & ~7ULL, 8);
		s.mmio = 0;
		call(&s, code, piece_movs, MMIO, GM_GPA + offs[i], 0);
		gm_assert_eq(s.mmio, gm_word(SEED, offs[i] & ~7ULL));
	}
	/* Untouched memory reads as zeroes. */
	call(&s, code, piece_movs, MMIO, GM_GPA + 64 * GM_PAGE, 0);
	gm_assert_eq(s.mmio, 0);
	gm_assert_eq(s.nr_mmio, 2 * ARRAY_SIZE(offs) + 1);
	close_scene(&s);
}

static void wall_clock(unsigned int kind, unsigned int source)
{
	const u64 at = GM_GPA + 5 * GM_PAGE + 0x40;
	struct scene s;
	u64 v;

	open_scene(&s, kind, source);
	gm_assert_eq(tell(&s, MSR, MSR_KVM_WALL_CLOCK_NEW, at, 0), 0);
	v = tell(&s, READ, at, 0, 0);
	gm_assert_eq((u32)v, 2);
	gm_assert(v >> 32, "no seconds");
	/* Counts on from what it finds there, so it reads as well. */
	gm_assert_eq(tell(&s, MSR, MSR_KVM_WALL_CLOCK_NEW, at, 0), 0);
	gm_assert_eq((u32)tell(&s, READ, at, 0, 0), 4);
	close_scene(&s);
}

static u64 global(struct scene *s, u64 *p)
{
	return *(u64 *)addr_gva2hva(s->vm, (u64)p);
}

static void pv_eoi(unsigned int kind, unsigned int source)
{
	const u64 at = GM_GPA + 6 * GM_PAGE + 0x20;
	struct scene s;
	u64 i;

	open_scene(&s, kind, source);
	tell(&s, IPI, 0, 0, 0);
	gm_assert_eq(global(&s, &guest_eois), 1);
	/* A fault of the handler's would be an exit, after which KVM takes its bit back. */
	gm_assert_eq(tell(&s, READ, at, 0, 0), 0);
	gm_assert_eq(tell(&s, MSR, MSR_KVM_PV_EOI_EN, at | KVM_MSR_ENABLED, 0), 0);
	/*
	 * The next one comes only if KVM has seen that this one has ended. So does
	 * an interrupt of the host's: not all of them end the short way.
	 */
	for (i = 1; i <= 64; i++) {
		tell(&s, IPI, at, 0, 0);
		gm_assert_eq(global(&s, &guest_pv_eois) + global(&s, &guest_eois), i + 1);
	}
	gm_assert(global(&s, &guest_pv_eois), "the bit was never seen");
	close_scene(&s);
}

/* Blocks of each size that there is memory for. */
static void each_source(void (*fn)(unsigned int kind, unsigned int source),
			unsigned int kind)
{
	unsigned int i;

	for (i = GM_SRC_4K; i <= GM_SRC_HTLB_1G; i++) {
		if (gm_sources[i].block == GM_1G && gm_pool(GM_1G, "free") <= 0)
			continue;
		fn(kind, i);
	}
}

static void fetch_private(void)
{
	each_source(fetch, PRIVATE);
}

static void fetch_shared(void)
{
	each_source(fetch, SHARED);
}

static void fetch_second(void)
{
	each_source(fetch, SECOND);
}

static void fetch_ordinary(void)
{
	each_source(fetch, ORDINARY);
}

static void operands_private(void)
{
	each_source(operands, PRIVATE);
}

static void operands_shared(void)
{
	each_source(operands, SHARED);
}

static void operands_second(void)
{
	each_source(operands, SECOND);
}

static void operands_ordinary(void)
{
	each_source(operands, ORDINARY);
}

static void wall_clock_private(void)
{
	each_source(wall_clock, PRIVATE);
}

static void wall_clock_shared(void)
{
	each_source(wall_clock, SHARED);
}

static void wall_clock_second(void)
{
	each_source(wall_clock, SECOND);
}

static void wall_clock_ordinary(void)
{
	each_source(wall_clock, ORDINARY);
}

static void pv_eoi_private(void)
{
	each_source(pv_eoi, PRIVATE);
}

static void pv_eoi_shared(void)
{
	each_source(pv_eoi, SHARED);
}

static void pv_eoi_second(void)
{
	each_source(pv_eoi, SECOND);
}

static void pv_eoi_ordinary(void)
{
	each_source(pv_eoi, ORDINARY);
}

static const struct gm_case cases[] = {
	{ "fetch_private", fetch_private },
	{ "fetch_shared", fetch_shared },
	{ "fetch_second", fetch_second },
	{ "fetch_ordinary", fetch_ordinary },
	{ "operands_private", operands_private },
	{ "operands_shared", operands_shared },
	{ "operands_second", operands_second },
	{ "operands_ordinary", operands_ordinary },
	{ "wall_clock_private", wall_clock_private },
	{ "wall_clock_shared", wall_clock_shared },
	{ "wall_clock_second", wall_clock_second },
	{ "wall_clock_ordinary", wall_clock_ordinary },
	{ "pv_eoi_private", pv_eoi_private },
	{ "pv_eoi_shared", pv_eoi_shared },
	{ "pv_eoi_second", pv_eoi_second },
	{ "pv_eoi_ordinary", pv_eoi_ordinary },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 4);
}
