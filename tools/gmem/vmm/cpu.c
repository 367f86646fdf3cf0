// SPDX-License-Identifier: GPL-2.0-only
/*
 * vCPUs, a thread each: CPUID, the state that the boot protocol wants, and what to
 * do when KVM_RUN returns. All but the first wait for the guest's INIT and SIPI.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <x86intrin.h>

#include <asm/kvm_para.h>
#include <asm/processor-flags.h>
#include <linux/kvm.h>
#include <linux/kvm_para.h>

#include "share.h"
#include "vmm.h"

#define MAX_CPUID	256
#define CPUID_1_ECX_VMX		(1u << 5)
#define CPUID_1_ECX_DEADLINE	(1u << 24)
#define CPUID_81_ECX_SVM	(1u << 2)

#define EFER_LME	(1 << 8)
#define EFER_LMA	(1 << 10)

struct cpu {
	int fd;
	int stats;
	unsigned int id;
	struct kvm_run *run;
	pthread_t thread;
	struct share_port share;
};

static struct cpu cpus[MAX_CPUS];
static u64 started;

static void set_cpuid(struct cpu *cpu)
{
	struct kvm_cpuid2 *cpuid = alloc(sizeof(*cpuid) +
					 MAX_CPUID * sizeof(cpuid->entries[0]));
	struct kvm_cpuid_entry2 *e;

	cpuid->nent = MAX_CPUID;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, cpuid))
		die("KVM_GET_SUPPORTED_CPUID: %s: this kernel's KVM is too new", strerror(errno));
	for (e = cpuid->entries; e < cpuid->entries + cpuid->nent; e++) {
		switch (e->function) {
		case 0x1:
			e->ebx = (e->ebx & 0x00ffffff) | cpu->id << 24;
			/* The interrupt controllers in KVM have it, and nobody calibrates. */
			e->ecx |= CPUID_1_ECX_DEADLINE;
			e->ecx &= ~CPUID_1_ECX_VMX;
			break;
		case 0xb:
		case 0x1f:
			e->edx = cpu->id;
			break;
		case 0x8000001e:
			e->eax = cpu->id;
			break;
		case 0x80000001:
			/* A software-protected guest has no guests. */
			e->ecx &= ~CPUID_81_ECX_SVM;
			break;
		case KVM_CPUID_FEATURES:
			e->eax |= 1 << KVM_FEATURE_HC_MAP_GPA_RANGE;
			break;
		}
	}
	if (ioctl(cpu->fd, KVM_SET_CPUID2, cpuid))
		die("KVM_SET_CPUID2: %s", strerror(errno));
	free(cpuid);
}

static struct kvm_segment segment(u16 selector, u8 type, bool code)
{
	return (struct kvm_segment) {
		.limit = 0xffffffff, .selector = selector, .type = type, .present = 1,
		.s = 1, .g = 1, .l = code, .db = !code,
	};
}

/* 64-bit mode, paging on, interrupts off, the parameters in RSI. */
static void set_entry(struct cpu *cpu, const struct entry *entry)
{
	struct kvm_regs regs = {
		.rip = entry->rip, .rsi = entry->rsi, .rflags = X86_EFLAGS_FIXED,
	};
	struct kvm_sregs sregs;

	if (ioctl(cpu->fd, KVM_GET_SREGS, &sregs))
		die("KVM_GET_SREGS: %s", strerror(errno));
	sregs.cs = segment(0x10, 0xb, true);
	sregs.ds = segment(0x18, 0x3, false);
	sregs.es = sregs.ds;
	sregs.fs = sregs.ds;
	sregs.gs = sregs.ds;
	sregs.ss = sregs.ds;
	sregs.gdt.base = entry->gdt;
	sregs.gdt.limit = entry->gdt_limit;
	sregs.cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_PG;
	sregs.cr3 = entry->cr3;
	sregs.cr4 = X86_CR4_PAE;
	sregs.efer = EFER_LME | EFER_LMA;
	if (ioctl(cpu->fd, KVM_SET_SREGS, &sregs) || ioctl(cpu->fd, KVM_SET_REGS, &regs))
		die("registers of the first vCPU: %s", strerror(errno));
}

void cpus_create(const struct entry *entry)
{
	int size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	unsigned int i;
	struct cpu *cpu;

	for (i = 0; i < options.cpus; i++) {
		cpu = &cpus[i];
		cpu->id = i;
		cpu->fd = ioctl(vm_fd, KVM_CREATE_VCPU, i);
		if (cpu->fd < 0)
			die("vCPU %u: %s: give fewer --cpus", i, strerror(errno));
		cpu->share.vcpu_fd = cpu->fd;
		cpu->run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu->fd, 0);
		if (cpu->run == MAP_FAILED)
			die("vCPU %u: %s: give fewer --cpus", i, strerror(errno));
		cpu->stats = stats_open(cpu->fd);
		set_cpuid(cpu);
	}
	set_entry(&cpus[0], entry);
}

/* Nobody is there: what hardware without a device reads as. */
static void no_device(bool write, u8 *data, u32 len)
{
	if (!write)
		memset(data, 0xff, len);
}

static void port(struct cpu *cpu, u16 number, bool write, u8 *data, u32 len)
{
	if (number >= SERIAL_PORT && number < SERIAL_PORT + 8 && len == 1)
		serial_port(number - SERIAL_PORT, write, data);
	else if (number >= SHARE_PORT && number < SHARE_PORT + SHARE_PORTS && len == 4)
		share_port(&cpu->share, number - SHARE_PORT, write, (u32 *)data);
	else if (number == SLEEP_PORT && write)
		end(STATUS_POWER_OFF);
	else if (number == RESET_PORT && write)
		end(STATUS_RESET);
	else
		no_device(write, data, len);
}

static void exit_io(struct cpu *cpu)
{
	struct kvm_run *run = cpu->run;
	u8 *data = (u8 *)run + run->io.data_offset;
	u32 i;

	for (i = 0; i < run->io.count; i++)
		port(cpu, run->io.port, run->io.direction == KVM_EXIT_IO_OUT,
		     data + i * run->io.size, run->io.size);
}

static void exit_mmio(struct kvm_run *run)
{
	u64 gpa = run->mmio.phys_addr;

	if (options.disk && gpa >= DISK_MMIO && gpa + run->mmio.len <= DISK_MMIO + PAGE_SIZE)
		disk_mmio(gpa - DISK_MMIO, run->mmio.is_write, run->mmio.data, run->mmio.len);
	else
		no_device(run->mmio.is_write, run->mmio.data, run->mmio.len);
}

/* A guest that knows what it shares asks KVM's way. */
static void exit_hypercall(struct kvm_run *run)
{
	u64 gpa = run->hypercall.args[0], nr = run->hypercall.args[1];
	bool private = run->hypercall.args[2] & KVM_MAP_GPA_RANGE_ENCRYPTED;
	int err;

	if (run->hypercall.nr != KVM_HC_MAP_GPA_RANGE)
		die("unexpected hypercall %llu", (unsigned long long)run->hypercall.nr);
	err = nr > options.memory / PAGE_SIZE ? -EINVAL :
	      memory_guest_wants(gpa, nr * PAGE_SIZE, !private);
	run->hypercall.ret = err;
}

/*
 * KVM_RUN failed for want of memory that the guest may access. Where it can tell
 * private accesses from shared ones, it is to get what it wanted and goes on.
 */
static void exit_memory_fault(struct kvm_run *run, int err)
{
	u64 gpa = run->memory_fault.gpa;
	bool private = run->memory_fault.flags & KVM_MEMORY_EXIT_FLAG_PRIVATE;

	if (err == EFAULT)
		err = -memory_guest_wants(gpa, run->memory_fault.size, !private);
	if (err)
		die("no memory for the guest at %#llx: %s: %s", (unsigned long long)gpa,
		    strerror(err), err == EHWPOISON ? "it has failed" :
		    "free some, or give less --memory");
}

static void handle(struct cpu *cpu)
{
	struct kvm_run *run = cpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		exit_io(cpu);
		break;
	case KVM_EXIT_MMIO:
		exit_mmio(run);
		break;
	case KVM_EXIT_HYPERCALL:
		exit_hypercall(run);
		break;
	case KVM_EXIT_SHUTDOWN:
		die("the guest died of a triple fault: read its console");
	case KVM_EXIT_INTERNAL_ERROR:
		die("KVM cannot go on with vCPU %u: internal error %u", cpu->id,
		    run->internal.suberror);
	default:
		die("KVM cannot go on with vCPU %u: exit reason %u", cpu->id,
		    run->exit_reason);
	}
}

static void *run_cpu(void *arg)
{
	struct cpu *cpu = arg;

	for (;;) {
		if (!ioctl(cpu->fd, KVM_RUN, 0))
			handle(cpu);
		else if (cpu->run->exit_reason == KVM_EXIT_MEMORY_FAULT &&
			 errno != EINTR && errno != EAGAIN)
			exit_memory_fault(cpu->run, errno);
		else if (errno != EINTR && errno != EAGAIN)
			die("KVM_RUN of vCPU %u: %s", cpu->id, strerror(errno));
	}
	return NULL;
}

void cpus_run(void)
{
	unsigned int i;

	started = __rdtsc();
	for (i = 0; i < options.cpus; i++) {
		if (pthread_create(&cpus[i].thread, NULL, run_cpu, &cpus[i]))
			die("no thread for vCPU %u: give fewer --cpus", i);
	}
	/* The end is when a thread says so. */
	for (i = 0; i < options.cpus; i++)
		pthread_join(cpus[i].thread, NULL);
}

u64 cpus_stat(const char *name)
{
	u64 sum = 0;
	unsigned int i;

	for (i = 0; i < options.cpus; i++)
		sum += stats_read(cpus[i].stats, name);
	return sum;
}

u64 cpus_ticks(void)
{
	return __rdtsc() - started;
}
