// SPDX-License-Identifier: GPL-2.0-only
/* A TDX guest on the software TDX module, that does one thing at a time. */

#include <stdarg.h>

#include "tdx.h"

#define DEBUGFS	"/sys/kernel/debug/soft_tdx/"

/* The guest's own memory, of a file of its own, at 0. */
#define PML4	0x1000
#define PDPT	0x2000		/* private, then shared */
#define GDT	0x4000
#define IDT	0x5000
#define STACKS	0x8000		/* a page for each vCPU */
#define CODE	0x10000
#define BOOT	(GM_TD_BOOT_PAGES * GM_PAGE)

#define PORT_SYNC	"0xe0"
#define PORT_VE		"0xe1"
#define PORT_EXC	"0xe2"

enum { OP_TDCALL, OP_STORE, OP_CHECK, OP_ACCEPT, OP_TAKE };

/*
 * RBX is the command. STORE and CHECK go from RDI on, RCX times, by RSI, with the
 * word ((RDI & R14) ^ R8) & R11; R9 counts what differs, first at R10 which has
 * R12. ACCEPT goes from RDI on, R15 times, by RSI, at the level of R13. TAKE accepts
 * what is at RDI, at that level, and stores R8 there.
 */
extern const char td_code[], td_code_ve[], td_code_exc[], td_code_end[];
asm(".pushsection .rodata\n"
	"td_code:\n"
	"	outb %al, $" PORT_SYNC "\n"
	"	cmp $1, %rbx\n"
	"	je 2f\n"
	"	cmp $2, %rbx\n"
	"	je 3f\n"
	"	cmp $3, %rbx\n"
	"	je 6f\n"
	"	cmp $4, %rbx\n"
	"	je 7f\n"
	"	vmmcall\n"
	"	jmp td_code\n"
	"2:	mov %rdi, %rax\n"
	"	and %r14, %rax\n"
	"	xor %r8, %rax\n"
	"	and %r11, %rax\n"
	"	mov %rax, (%rdi)\n"
	"	add %rsi, %rdi\n"
	"	dec %rcx\n"
	"	jnz 2b\n"
	"	jmp td_code\n"
	"3:	mov %rdi, %rax\n"
	"	and %r14, %rax\n"
	"	xor %r8, %rax\n"
	"	and %r11, %rax\n"
	"	mov (%rdi), %rdx\n"
	"	cmp %rdx, %rax\n"
	"	je 5f\n"
	"	test %r9, %r9\n"
	"	jnz 4f\n"
	"	mov %rdi, %r10\n"
	"	mov %rdx, %r12\n"
	"4:	inc %r9\n"
	"5:	add %rsi, %rdi\n"
	"	dec %rcx\n"
	"	jnz 3b\n"
	"	jmp td_code\n"
	"6:	mov %rdi, %rcx\n"
	"	or %r13, %rcx\n"
	"	mov $6, %eax\n"
	"	vmmcall\n"
	"	test %rax, %rax\n"
	"	jnz td_code\n"
	"	add %rsi, %rdi\n"
	"	dec %r15\n"
	"	jnz 6b\n"
	"	jmp td_code\n"
	"7:	mov %rdi, %rcx\n"
	"	or %r13, %rcx\n"
	"	mov $6, %eax\n"
	"	vmmcall\n"
	"	test %rax, %rax\n"
	"	jnz td_code\n"
	"	mov %r8, (%rdi)\n"
	"	jmp td_code\n"
	"td_code_ve:\n"
	"	outb %al, $" PORT_VE "\n"
	"	ud2\n"
	"td_code_exc:\n"
	"	outb %al, $" PORT_EXC "\n"
	"	ud2\n"
	"td_code_end:\n"
	".popsection\n");

void gm_td_need(void)
{
	if (!(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SOFT_TDX_VM)))
		gm_skip("no TDX VMs");
}

static int td_cmd(int fd, u32 id, u32 flags, void *data)
{
	struct kvm_tdx_cmd cmd = {
		.id	= id,
		.flags	= flags,
		.data	= (u64)data,
	};

	return ioctl(fd, KVM_MEMORY_ENCRYPT_OP, &cmd) ? errno : 0;
}

int gm_td_vm_cmd(struct kvm_vm *vm, u32 id, u32 flags, void *data)
{
	return td_cmd(vm->fd, id, flags, data);
}

int gm_td_vcpu_cmd(struct kvm_vcpu *vcpu, u32 id, u32 flags, void *data)
{
	return td_cmd(vcpu->fd, id, flags, data);
}

struct kvm_vm *gm_td_vm(u64 attributes)
{
	struct kvm_tdx_init_vm init = { .attributes = attributes };
	struct kvm_vm *vm;

	gm_td_need();
	vm = vm_create_barebones_type(KVM_X86_SOFT_TDX_VM);
	gm_assert_eq(gm_td_vm_cmd(vm, KVM_TDX_INIT_VM, 0, &init), 0);
	vm_enable_cap(vm, KVM_CAP_EXIT_HYPERCALL, BIT(KVM_HC_MAP_GPA_RANGE));
	return vm;
}

static void set_gate(u64 *idt, unsigned int vector, const char *handler)
{
	u64 rip = CODE + (handler - td_code);

	idt[2 * vector] = (rip & 0xffff) | 8ULL << 16 | 0x8eULL << 40 |
			  (rip >> 16 & 0xffff) << 48;
	idt[2 * vector + 1] = rip >> 32;
}

/* What the guest starts with, as it is in its memory. */
static void *boot_image(void)
{
	char *mem = kvm_mmap(BOOT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	u64 *pml4 = (void *)(mem + PML4), *pdpt = (void *)(mem + PDPT);
	u64 *gdt = (void *)(mem + GDT), *idt = (void *)(mem + IDT);
	u64 i;

	/* Present, writable, accessed, dirty; leaves of 1 GiB. */
	pml4[0] = PDPT | 0x23;
	pml4[1] = (PDPT + 0x1000) | 0x23;
	for (i = 0; i < 512; i++) {
		pdpt[i] = i << 30 | 0xe3;
		pdpt[512 + i] = GM_TD_SHARED | i << 30 | 0xe3;
	}
	gdt[1] = 0x00209b0000000000ULL;
	gdt[2] = 0x0000930000000000ULL;
	for (i = 0; i < 32; i++)
		set_gate(idt, i, i == 20 ? td_code_ve : td_code_exc);
	memcpy(mem + CODE, td_code, td_code_end - td_code);
	return mem;
}

static void init_vcpu(struct gm_td *td, unsigned int cpu)
{
	struct kvm_vcpu *vcpu = __vm_vcpu_add(td->vm, cpu);
	struct kvm_segment seg = {
		.limit = 0xffffffff, .selector = 16, .type = 3, .present = 1,
		.db = 1, .s = 1, .g = 1,
	};
	struct kvm_sregs sregs;

	td->vcpu[cpu] = vcpu;
	vcpu_init_cpuid(vcpu, kvm_get_supported_cpuid());
	gm_assert_eq(gm_td_vcpu_cmd(vcpu, KVM_TDX_INIT_VCPU, 0, NULL), 0);

	vcpu_sregs_get(vcpu, &sregs);
	sregs.cr0 = 0x80050033;
	sregs.cr3 = PML4;
	sregs.cr4 = 0x630;		/* PSE, PAE, OSFXSR, OSXMMEXCPT */
	sregs.efer = 0xd01;		/* SCE, LME, LMA, NX */
	sregs.ds = seg;
	sregs.es = seg;
	sregs.ss = seg;
	sregs.fs = seg;
	sregs.gs = seg;
	seg.selector = 8;
	seg.type = 11;
	seg.db = 0;
	seg.l = 1;
	sregs.cs = seg;
	sregs.gdt.base = GDT;
	sregs.gdt.limit = 3 * 8 - 1;
	sregs.idt.base = IDT;
	sregs.idt.limit = 32 * 16 - 1;
	vcpu_sregs_set(vcpu, &sregs);

	td->start[cpu] = (struct kvm_regs) {
		.rip = CODE, .rsp = STACKS + (cpu + 1) * GM_PAGE, .rflags = 2,
	};
	vcpu_regs_set(vcpu, &td->start[cpu]);
}

static void read_checks(char *buf, size_t size)
{
	gm_read_text(DEBUGFS "checks", buf, size);
}

struct gm_td *gm_td_create_then(unsigned int nr_vcpus, u64 attributes,
				void (*before_run)(struct gm_td *td))
{
	struct kvm_tdx_init_mem_region region = { .nr_pages = BOOT / GM_PAGE };
	struct gm_td *td = calloc(1, sizeof(*td));
	unsigned int i;
	void *image;

	gm_assert(td && nr_vcpus <= GM_MAX_VCPUS, "bad TD");
	td->vm = gm_td_vm(attributes);
	td->nr_vcpus = nr_vcpus;
	read_checks(td->checks, sizeof(td->checks));
	for (i = 0; i < nr_vcpus; i++)
		init_vcpu(td, i);

	td->boot = gm_create(td->vm, GM_2M, GM_MMAP);
	gm_td_attach(td, &td->boot, 0);
	image = boot_image();
	region.source_addr = (u64)image;
	gm_assert_eq(gm_td_vcpu_cmd(td->vcpu[0], KVM_TDX_INIT_MEM_REGION,
				    KVM_TDX_MEASURE_MEMORY_REGION, &region), 0);
	gm_assert_eq(region.nr_pages, 0);
	kvm_munmap(image, BOOT);
	gm_assert_eq(gm_td_vm_cmd(td->vm, KVM_TDX_FINALIZE_VM, 0, NULL), 0);

	if (before_run)
		before_run(td);
	for (i = 0; i < nr_vcpus; i++)
		gm_assert_eq(gm_td_resume(td, i), GM_TD_SYNC);
	return td;
}

struct gm_td *gm_td_create(unsigned int nr_vcpus, u64 attributes)
{
	return gm_td_create_then(nr_vcpus, attributes, NULL);
}

void gm_td_found(struct gm_td *td, const char *check, long times)
{
	char rest[sizeof(td->checks)], name[64], *at, *end;

	snprintf(name, sizeof(name), "%s ", check);
	at = strstr(td->checks, name);
	gm_assert(at, "no %s among %s", check, td->checks);
	at += strlen(name);
	times += strtol(at, &end, 10);
	snprintf(rest, sizeof(rest), "%s", end);
	snprintf(at, sizeof(td->checks) - (at - td->checks), "%ld%s", times, rest);
}

void gm_td_free(struct gm_td *td)
{
	char checks[sizeof(td->checks)];

	gm_close(&td->boot);
	kvm_vm_free(td->vm);
	read_checks(checks, sizeof(checks));
	gm_assert(!strcmp(checks, td->checks), "the module found:\n%s", checks);
	free(td);
}

u32 gm_td_slot(struct gm_td *td, const struct gm_file *f, u64 gpa, u64 off, u64 size)
{
	vm_set_user_memory_region2(td->vm, td->next_slot, KVM_MEM_GUEST_MEMFD, gpa,
				   size, NULL, f->fd, off);
	return td->next_slot++;
}

u32 gm_td_attach(struct gm_td *td, const struct gm_file *f, u64 gpa)
{
	return gm_td_slot(td, f, gpa, 0, f->size);
}

int gm_td_resume(struct gm_td *td, unsigned int cpu)
{
	struct kvm_vcpu *vcpu = td->vcpu[cpu];
	struct kvm_run *run = vcpu->run;
	int err;

	do {
		err = __vcpu_run(vcpu) ? errno : 0;
	} while (err == EINTR);

	if (err == EFAULT && run->exit_reason == KVM_EXIT_MEMORY_FAULT)
		return GM_TD_FAULT;
	if (err)
		return -err;
	if (run->exit_reason == KVM_EXIT_HYPERCALL)
		return GM_TD_MAP;

	vcpu_regs_get(vcpu, &td->regs[cpu]);
	if (run->exit_reason == KVM_EXIT_IO && run->io.port == strtol(PORT_SYNC, NULL, 0))
		return GM_TD_SYNC;
	if (run->exit_reason == KVM_EXIT_IO && run->io.port == strtol(PORT_VE, NULL, 0))
		return GM_TD_VE;
	gm_fail(__FILE__, __LINE__, "guest", "vCPU %u stopped with %s, port %#x, rip %#llx",
		cpu, exit_reason_str(run->exit_reason), run->io.port, td->regs[cpu].rip);
}

/* From where it waits for commands, so that it does not matter where it was. */
static void give(struct gm_td *td, unsigned int cpu, struct kvm_regs *regs)
{
	regs->rip = td->start[cpu].rip + 2;
	regs->rsp = td->start[cpu].rsp;
	regs->rflags = 2;
	vcpu_regs_set(td->vcpu[cpu], regs);
}

static int tell(struct gm_td *td, unsigned int cpu, struct kvm_regs *regs)
{
	give(td, cpu, regs);
	return gm_td_resume(td, cpu);
}

static u64 seed_word(u64 seed)
{
	return seed * 0x9e3779b97f4a7c15ULL;
}

u64 gm_td_word(u64 gpa, u64 seed)
{
	return seed ? (gpa & (GM_TD_ALIAS - 1)) ^ seed_word(seed) : 0;
}

static int words(struct gm_td *td, unsigned int cpu, u64 op, u64 gva, u64 len,
		 u64 stride, u64 seed)
{
	struct kvm_regs regs = {
		.rbx = op, .rdi = gva, .rsi = stride, .rcx = len / stride,
		.r8 = seed_word(seed), .r11 = seed ? ~0ULL : 0, .r14 = GM_TD_ALIAS - 1,
	};

	return tell(td, cpu, &regs);
}

int gm_td_store(struct gm_td *td, unsigned int cpu, u64 gva, u64 len, u64 stride, u64 seed)
{
	return words(td, cpu, OP_STORE, gva, len, stride, seed);
}

int gm_td_check(struct gm_td *td, unsigned int cpu, u64 gva, u64 len, u64 stride, u64 seed)
{
	return words(td, cpu, OP_CHECK, gva, len, stride, seed);
}

void gm_td_assert_good(struct gm_td *td, unsigned int cpu)
{
	const struct kvm_regs *r = &td->regs[cpu];

	gm_assert(!r->r9, "%llu words wrong, first at %#llx: %#llx", r->r9, r->r10, r->r12);
}

void gm_td_accept_next(struct gm_td *td, unsigned int cpu, u64 gpa,
		       enum gm_td_level level, u64 nr)
{
	struct kvm_regs regs = {
		.rbx = OP_ACCEPT, .rdi = gpa, .rsi = level ? GM_2M : GM_PAGE,
		.r13 = level, .r15 = nr,
	};

	give(td, cpu, &regs);
}

int gm_td_accept(struct gm_td *td, unsigned int cpu, u64 gpa, enum gm_td_level level,
		 u64 nr, u64 *left, u64 *rax)
{
	int stop;

	gm_td_accept_next(td, cpu, gpa, level, nr);
	stop = gm_td_resume(td, cpu);
	*left = td->regs[cpu].r15;
	*rax = td->regs[cpu].rax;
	return stop;
}

void gm_td_accept_ok(struct gm_td *td, unsigned int cpu, u64 gpa, enum gm_td_level level,
		     u64 nr)
{
	u64 left, rax;

	gm_assert_eq(gm_td_accept(td, cpu, gpa, level, nr, &left, &rax), GM_TD_SYNC);
	gm_assert(!left && !rax, "%llu not accepted, %#llx", (unsigned long long)left,
		  (unsigned long long)rax);
}

void gm_td_take(struct gm_td *td, unsigned int cpu, u64 gpa, u64 word)
{
	struct kvm_regs regs = {
		.rbx = OP_TAKE, .rdi = gpa, .r13 = GM_TD_4K, .r8 = word,
	};

	gm_assert_eq(tell(td, cpu, &regs), GM_TD_SYNC);
	gm_assert(!td->regs[cpu].rax, "accept: %#llx", td->regs[cpu].rax);
}

int gm_td_map_gpa(struct gm_td *td, unsigned int cpu, u64 gpa, u64 len)
{
	struct kvm_regs regs = {
		.rbx = OP_TDCALL, .rax = 0, .rcx = 0xfc00, .r11 = 0x10001,
		.r12 = gpa, .r13 = len,
	};

	return tell(td, cpu, &regs);
}

void gm_td_clear_ve(struct gm_td *td, unsigned int cpu, u64 *gpa)
{
	struct kvm_regs regs = { .rbx = OP_TDCALL, .rax = 3 };

	gm_assert_eq(tell(td, cpu, &regs), GM_TD_SYNC);
	gm_assert_eq(td->regs[cpu].rax, 0);
	*gpa = td->regs[cpu].r9;
}

long gm_td_calls(const char *leaf, const char *level)
{
	char text[8192], want[64], *at;
	size_t len;

	gm_read_text(DEBUGFS "calls", text, sizeof(text));
	len = snprintf(want, sizeof(want), "%s %s ", leaf, level);
	for (at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (!strncmp(at, want, len))
			return strtol(at + len, NULL, 0);
	}
	gm_fail(__FILE__, __LINE__, leaf, "not in %scalls", DEBUGFS);
}

static long count_in(const char *text, const char *key)
{
	char want[32];
	const char *at;

	snprintf(want, sizeof(want), " %s ", key);
	at = strstr(text, want);
	gm_assert(at, "no %s in %s", key, text);
	return strtol(at + strlen(want), NULL, 0);
}

long gm_td_pages(const char *key)
{
	char text[1024];

	gm_read_text(DEBUGFS "tds", text, sizeof(text));
	return count_in(text, key);
}

struct gm_td_counts gm_td_counts(void)
{
	char text[1024];

	gm_read_text(DEBUGFS "tds", text, sizeof(text));
	return (struct gm_td_counts) {
		.mapped			= count_in(text, "mapped"),
		.pending		= count_in(text, "pending"),
		.blocked		= count_in(text, "blocked"),
		.pending_blocked	= count_in(text, "pending_blocked"),
		.pamt_4k		= count_in(text, "pamt_4k"),
		.pamt_2m		= count_in(text, "pamt_2m"),
	};
}

void gm_td_inject(const char *file, const char *fmt, ...)
{
	char path[128], text[128];
	va_list ap;

	snprintf(path, sizeof(path), DEBUGFS "inject/%s", file);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	gm_assert(gm_write(path, "%s", text), "%s: %s", path, strerror(errno));
}

long gm_td_injected(void)
{
	return gm_read_long(DEBUGFS "inject/injected");
}

u64 gm_td_stat(struct gm_td *td, const char *name)
{
	u64 v;

	kvm_get_stat(&td->vm->stats, name, &v, 1);
	return v;
}

u64 gm_td_vcpu_stat(struct gm_td *td, unsigned int cpu, const char *name)
{
	u64 v;

	kvm_get_stat(&td->vcpu[cpu]->stats, name, &v, 1);
	return v;
}
