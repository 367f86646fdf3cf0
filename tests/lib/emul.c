// SPDX-License-Identifier: GPL-2.0-only
/* A guest that makes KVM read and write memory of a file by itself. */
#include "gmem_test.h"
#include "apic.h"

#define DECOY	0xdec0dec0dec0dec0ULL
/* As much of the memory as the guest maps and the decoy is looked at. */
#define MAPPED	GM_2M

static struct gm_emul_cmd guest_cmd;
static struct gm_emul_count guest_count;
static u64 guest_eoi_word;
static u64 guest_pgd[512];

#define PIECE(name, text)						\
	asm(".pushsection .rodata\n"					\
	    ".globl " #name ", " #name "_end\n"				\
	    #name ":\n" text "\n"					\
	    #name "_end:\n.popsection")

PIECE(gm_piece_cpuid, "mov %rbx, %r8; mov %edi, %eax; xor %ecx, %ecx; cpuid; mov %ebx, %eax;"
		      "mov %r8, %rbx; ret");
PIECE(gm_piece_cpuids, "mov %rbx, %r8; 1: xor %eax, %eax; xor %ecx, %ecx; cpuid; dec %edi;"
		       "jnz 1b; mov %r8, %rbx; ret");
PIECE(gm_piece_movs, "cld; movsq; ret");
PIECE(gm_piece_load, "sti; nop; mov (%rsi), %rax; cli; ret");
PIECE(gm_piece_cmpxchg, "mov %rsi, %rax; mov %rsi, %r8; not %r8;"
			"ud2; .ascii \"kvm\"; lock cmpxchg %r8, (%rdi); ret");
PIECE(gm_piece_es, "mov %es, %ecx; mov (%rdi), %es; mov %ecx, %es; ret");

static void eoi_handler(struct ex_regs *regs)
{
	u32 *word = (u32 *)guest_eoi_word;

	/*
	 * As Linux does: KVM's bit set means that clearing it is enough. At once,
	 * since KVM takes the bit back when the guest exits.
	 */
	if (word && __sync_fetch_and_and(word, ~1U) & 1) {
		guest_count.pv_eois++;
	} else {
		x2apic_write_reg(APIC_EOI, 0);
		guest_count.eois++;
	}
}

/* All that faults is the first access of a piece: as if it had returned. */
static void fault_handler(struct ex_regs *regs)
{
	guest_count.faults++;
	guest_count.cr2 = get_cr2();
	guest_count.error = regs->error_code;
	GUEST_ASSERT(guest_cmd.d);
	regs->rip = guest_cmd.d;
}

static u64 guest_call(struct gm_emul_cmd *c)
{
	u64 ret, dst = c->b, src = c->c;

	memcpy((void *)c->a, (void *)c->code, c->size);
	/* Below the red zone, if there is one. */
	asm volatile("lea 1f(%%rip), %%rax; mov %%rax, %[back]; mov %%rsp, %%r12;"
		     "sub $128, %%rsp; call *%[at]; 1: mov %%r12, %%rsp"
		     : "=&a" (ret), "+D" (dst), "+S" (src), [back] "=m" (c->d)
		     : [at] "r" (c->a)
		     : "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "memory", "cc");
	return ret;
}

static void guest_gdt(struct gm_emul_cmd *c)
{
	struct desc_ptr old = get_gdt();
	struct desc_ptr new = { .size = GM_DATA_SEL + 7, .address = c->c };

	memcpy((void *)c->c, (void *)old.address, old.size + 1);
	*(u64 *)(c->c + GM_DATA_SEL) = GM_DATA_DESC;
	asm volatile("lgdt %0" : : "m" (new));
	guest_call(c);
	asm volatile("lgdt %0" : : "m" (old));
}

static void guest_ipi(u64 word)
{
	u64 before = guest_count.pv_eois + guest_count.eois;

	guest_eoi_word = word;
	x2apic_enable();
	asm volatile("sti");
	x2apic_write_reg(APIC_ICR, APIC_DEST_SELF | APIC_INT_ASSERT | GM_IPI_VECTOR);
	while (READ_ONCE(guest_count.pv_eois) + READ_ONCE(guest_count.eois) == before)
		cpu_relax();
	asm volatile("cli");
}

static void guest_do(struct gm_emul_cmd *c)
{
	switch (c->op) {
	case GM_EMUL_CALL:
		c->ret = guest_call(c);
		break;
	case GM_EMUL_MSR:
		c->ret = wrmsr_safe(c->a, c->b);
		break;
	case GM_EMUL_READ:
		c->ret = READ_ONCE(*(u64 *)c->a);
		break;
	case GM_EMUL_WRITE:
		WRITE_ONCE(*(u64 *)c->a, c->b);
		break;
	case GM_EMUL_IPI:
		guest_ipi(c->a);
		break;
	case GM_EMUL_CR3:
		memcpy((void *)c->a, guest_pgd, sizeof(guest_pgd));
		asm volatile("mov %0, %%cr3" : : "r" (c->a) : "memory");
		break;
	case GM_EMUL_GDT:
		guest_gdt(c);
		break;
	case GM_EMUL_SPIN:
		while (!READ_ONCE(c->d))
			cpu_relax();
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

static u64 file_flags(unsigned int kind)
{
	switch (kind) {
	case GM_SECOND:
		return 0;
	case GM_PRIVATE:
		return GM_MMAP;
	case GM_HIDDEN:
		return GM_MMAP | GUEST_MEMFD_FLAG_NO_DIRECT_MAP;
	default:
		return GM_SHARED;
	}
}

static void run(struct gm_emul *s)
{
	int err = gm_emul_try(s);

	gm_assert(!err, "KVM_RUN: %s, %s", strerror(err),
		  exit_reason_str(s->vcpu->run->exit_reason));
}

int gm_emul_try(struct gm_emul *s)
{
	struct kvm_run *run = s->vcpu->run;
	struct ucall uc;

	for (;;) {
		if (__vcpu_run(s->vcpu))
			return errno;
		if (run->exit_reason != KVM_EXIT_MMIO)
			break;
		gm_assert_eq(run->mmio.phys_addr & ~7ULL, GM_MMIO);
		s->nr_mmio++;
		if (run->mmio.is_write)
			memcpy(&s->mmio, run->mmio.data, run->mmio.len);
		else
			memcpy(run->mmio.data, &s->mmio, run->mmio.len);
	}

	switch (get_ucall(s->vcpu, &uc)) {
	case UCALL_SYNC:
		return 0;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
		break;
	default:
		gm_fail(__FILE__, __LINE__, "guest", "stopped with %s",
			exit_reason_str(run->exit_reason));
	}
	return 0;
}

struct gm_emul_cmd *gm_emul_set(struct gm_emul *s, u64 op, u64 a, u64 b)
{
	struct gm_emul_cmd *cmd = addr_gva2hva(s->vm, (u64)&guest_cmd);

	memset(cmd, 0, sizeof(*cmd));
	cmd->op = op;
	cmd->a = a;
	cmd->b = b;
	cmd->ret = DECOY;
	return cmd;
}

struct gm_emul_cmd *gm_emul_set_call(struct gm_emul *s, u64 at, const char *code,
				     const char *end, u64 b, u64 c)
{
	struct gm_emul_cmd *cmd = gm_emul_set(s, GM_EMUL_CALL, at, b);

	cmd->c = c;
	cmd->code = (u64)code;
	cmd->size = end - code;
	return cmd;
}

u64 gm_emul_tell(struct gm_emul *s, u64 op, u64 a, u64 b)
{
	struct gm_emul_cmd *cmd = gm_emul_set(s, op, a, b);

	run(s);
	return cmd->ret;
}

u64 gm_emul_call(struct gm_emul *s, u64 at, const char *code, const char *end,
		 u64 b, u64 c)
{
	struct gm_emul_cmd *cmd = gm_emul_set_call(s, at, code, end, b, c);

	run(s);
	return cmd->ret;
}

struct gm_emul_count gm_emul_count(const struct gm_emul *s)
{
	return *(struct gm_emul_count *)addr_gva2hva(s->vm, (u64)&guest_count);
}

void gm_emul_open(struct gm_emul *s, unsigned int kind, unsigned int source)
{
	const struct gm_source *src = &gm_sources[source];
	struct vm_shape shape = VM_SHAPE(VM_MODE_DEFAULT);
	u64 i;

	memset(s, 0, sizeof(*s));
	shape.type = kind == GM_ORDINARY ? VM_TYPE_DEFAULT : GM_SWP;
	if (!(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(shape.type)))
		gm_skip("no such VMs here: nested paging is off");
	s->kind = kind;
	s->src = src;
	s->size = src->block > MAPPED ? src->block : MAPPED;
	gm_need_source(src, s->size);

	s->vm = __vm_create_with_vcpus(shape, 1, 4096, guest_main, &s->vcpu);
	vm_install_exception_handler(s->vm, GM_IPI_VECTOR, eoi_handler);
	vm_install_exception_handler(s->vm, PF_VECTOR, fault_handler);
	s->f = gm_create_from(s->vm, src, s->size, file_flags(kind));
	s->decoy = kvm_mmap(s->size, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	for (i = 0; i < MAPPED / 8; i++)
		s->decoy[i] = DECOY;
	vm_set_user_memory_region2(s->vm, 1, KVM_MEM_GUEST_MEMFD, GM_GPA, s->size,
				   s->decoy, s->f.fd, 0);
	virt_map(s->vm, GM_GPA, GM_GPA, MAPPED / GM_PAGE);
	virt_map(s->vm, GM_MMIO, GM_MMIO, 1);
	if (kind == GM_SECOND)
		vm_mem_set_private(s->vm, GM_GPA, s->size);
	memcpy(addr_gva2hva(s->vm, (u64)guest_pgd), addr_gpa2hva(s->vm, s->vm->mmu.pgd),
	       sizeof(guest_pgd));
	run(s);
}

void gm_emul_assert_no_decoy(const struct gm_emul *s)
{
	u64 i;

	for (i = 0; i < MAPPED / 8; i++)
		gm_assert(s->decoy[i] == DECOY, "KVM wrote %#lx to userspace_addr at %#lx",
			  (unsigned long)s->decoy[i], (unsigned long)i * 8);
}

void gm_emul_close(struct gm_emul *s)
{
	gm_emul_assert_no_decoy(s);
	if (s->f.fd >= 0) {
		if (!s->live)
			gm_assert_frozen(&s->f);
		gm_close(&s->f);
	}
	kvm_vm_free(s->vm);
	gm_assert_ok(munmap(s->decoy, s->size));
}

void gm_emul_each(void (*fn)(unsigned int kind, unsigned int source), unsigned int kind)
{
	unsigned int i;

	for (i = GM_SRC_4K; i <= GM_SRC_HTLB_1G; i++) {
		if (gm_sources[i].block == GM_1G && gm_pool(GM_1G, "free") <= 0)
			continue;
		/* All of them for one kind; of the others what is different to KVM. */
		if ((kind != GM_PRIVATE || gm_time_scale() > 1) &&
		    i != GM_SRC_4K && i != GM_SRC_THP_2M)
			continue;
		fn(kind, i);
	}
}

void gm_write_tables(u64 *mem, u64 gpa)
{
	const u64 flags = BIT(0) | BIT(1) | BIT(5) | BIT(6);
	u64 level;

	for (level = 0; level < 3; level++)
		mem[level * GM_PAGE / 8] = (GM_GPA + (level + 1) * GM_PAGE) | flags;
	mem[level * GM_PAGE / 8] = gpa | flags;
}

void gm_use_tables(struct kvm_vcpu *vcpu)
{
	struct kvm_sregs sregs;

	vcpu_sregs_get(vcpu, &sregs);
	sregs.cr3 = GM_GPA;
	vcpu_sregs_set(vcpu, &sregs);
}

u64 gm_translate(struct kvm_vcpu *vcpu, u64 linear)
{
	struct kvm_translation t = { .linear_address = linear };

	vcpu_ioctl(vcpu, KVM_TRANSLATE, &t);
	return t.valid ? t.physical_address : ~0ULL;
}
