// SPDX-License-Identifier: GPL-2.0-only
/* A guest of a few instructions, in 32-bit mode without page tables of its own. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <asm/processor-flags.h>
#include <linux/kvm.h>

#include "bench.h"
#include "vmm/kvm-stat.h"

#define CODE_GPA	0x1000

/* Write EAX to ECX pages from ESI on, and halt. */
static const unsigned char code[] = {
	0x89, 0x06,				/* again: mov %eax, (%esi) */
	0x81, 0xc6, 0x00, 0x10, 0x00, 0x00,	/* add $4096, %esi */
	0x49,					/* dec %ecx */
	0x75, 0xf5,				/* jnz again */
	0xf4,					/* hlt */
};

static struct kvm_segment flat(unsigned int type)
{
	return (struct kvm_segment) {
		.limit = 0xffffffff, .selector = 8, .type = type, .present = 1, .s = 1, .g = 1,
		.db = 1,
	};
}

static int set_mode(const struct guest *g)
{
	struct kvm_sregs sregs;

	if (ioctl(g->vcpu, KVM_GET_SREGS, &sregs))
		return -errno;
	sregs.cs = flat(0xb);
	sregs.ds = flat(0x3);
	sregs.es = sregs.ds;
	sregs.ss = sregs.ds;
	sregs.cr0 |= X86_CR0_PE;
	return ioctl(g->vcpu, KVM_SET_SREGS, &sregs) ? -errno : 0;
}

static int add_code(struct guest *g)
{
	struct kvm_userspace_memory_region slot = {
		.guest_phys_addr = CODE_GPA, .memory_size = PAGE,
	};

	g->code = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (g->code == MAP_FAILED)
		return -errno;
	memcpy(g->code, code, sizeof(code));
	slot.userspace_addr = (uintptr_t)g->code;
	return ioctl(g->vm, KVM_SET_USER_MEMORY_REGION, &slot) ? -errno : 0;
}

static int add_vcpu(int kvm_fd, struct guest *g)
{
	g->vcpu = ioctl(g->vm, KVM_CREATE_VCPU, 0);
	if (g->vcpu < 0)
		return -errno;
	g->stats = ioctl(g->vcpu, KVM_GET_STATS_FD, 0);
	if (g->stats < 0)
		return -errno;
	g->run_size = ioctl(kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	g->run = mmap(NULL, g->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, g->vcpu, 0);
	return g->run == MAP_FAILED ? -errno : set_mode(g);
}

int guest_open(int kvm_fd, struct guest *g)
{
	int err;

	*g = (struct guest) { .vcpu = -1, .stats = -1, .run = MAP_FAILED, .code = MAP_FAILED };
	g->vm = ioctl(kvm_fd, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	if (g->vm < 0)
		return -errno;
	err = add_code(g);
	err = err ? err : add_vcpu(kvm_fd, g);
	if (err)
		guest_close(g);
	return err;
}

void guest_close(struct guest *g)
{
	if (g->run != MAP_FAILED)
		munmap(g->run, g->run_size);
	if (g->code != MAP_FAILED)
		munmap(g->code, PAGE);
	if (g->stats >= 0)
		close(g->stats);
	if (g->vcpu >= 0)
		close(g->vcpu);
	close(g->vm);
}

int guest_touch(struct guest *g, uint64_t offset, uint64_t size)
{
	struct kvm_regs regs = {
		.rip = CODE_GPA, .rflags = X86_EFLAGS_FIXED, .rax = 0x676d656d,
		.rsi = GUEST_GPA + offset, .rcx = size / PAGE,
	};

	if (ioctl(g->vcpu, KVM_SET_REGS, &regs) || ioctl(g->vcpu, KVM_RUN, 0))
		return -errno;
	return g->run->exit_reason == KVM_EXIT_HLT ? 0 : -EIO;
}

int guest_faults(const struct guest *g, uint64_t *faults)
{
	return kvm_stat_read(g->stats, "pf_taken", faults);
}
