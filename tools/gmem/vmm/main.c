// SPDX-License-Identifier: GPL-2.0-only
/* Options, the VM, and the order of things. */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>
#include <linux/kvm_para.h>

#include "vmm.h"

struct options options = {
	.append = "console=ttyS0",
	.memory = 256 * MIB,
	.block = 2 * MIB,
	.cpus = 1,
};

int kvm_fd;
int vm_fd;

static void say(const char *fmt, va_list ap)
{
	char line[512];

	vsnprintf(line, sizeof(line), fmt, ap);
	fprintf(stderr, "vmm: %s\n", line);
}

/*
 * Held for good by the thread that ends the VMM, while others may want to. It is
 * recursive because the end can go wrong as well.
 */
static pthread_mutex_t ending = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

void die(const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&ending);
	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	exit(STATUS_FAILED);
}

static void __noreturn __printf(1, 2) refuse(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	exit(STATUS_USAGE);
}

void *alloc(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		die("no memory");
	return p;
}

void end(enum status status)
{
	pthread_mutex_lock(&ending);
	if (options.stats)
		stats_print();
	exit(status);
}

void irq_line(unsigned int irq, bool level)
{
	struct kvm_irq_level line = { .irq = irq, .level = level };

	if (ioctl(vm_fd, KVM_IRQ_LINE, &line))
		die("KVM_IRQ_LINE: %s", strerror(errno));
}

enum {
	OPT_ORDINARY = 256,
	OPT_SHARED,
	OPT_NO_DIRECT_MAP,
	OPT_STATS,
};

static const struct argp_option argp_options[] = {
	{ "kernel", 'k', "FILE", 0, "bzImage to boot", 0 },
	{ "initrd", 'i', "FILE", 0, "Initial file system", 0 },
	{ "append", 'a', "TEXT", 0, "Kernel command line (console=ttyS0)", 0 },
	{ "disk", 'd', "FILE", 0, "Disk image for a virtio disk", 0 },
	{ "memory", 'm', "SIZE", 0, "Memory, like 512M or 2G (256M)", 0 },
	{ "cpus", 'c', "N", 0, "Virtual processors (1)", 0 },
	{ "block", 'b', "SIZE", 0, "Blocks of the memory: 4K, 2M or 1G (2M)", 1 },
	{ "source", 's', "SOURCE", 0,
	  "Memory's source: buddy (default) or hugetlb; memfd: no guest_memfd", 1 },
	{ "shared", OPT_SHARED, NULL, 0, "Leave all memory shared with the host", 2 },
	{ "ordinary", OPT_ORDINARY, NULL, 0, "An ordinary VM, which has no private memory", 2 },
	{ "no-direct-map", OPT_NO_DIRECT_MAP, NULL, 0,
	  "Memory that the host's kernel does not map either", 2 },
	{ "stats", OPT_STATS, NULL, 0,
	  "At the end print what KVM and the file say about the memory, on stderr", 3 },
	{ }
};

static const char doc[] =
	"Boot Linux in a software-protected VM, all of its memory private, in blocks\n"
	"of a guest_memfd. The console is stdin and stdout; on a terminal ^] ends it.\n"
	"\vStatus: 0 the guest powered off, 1 it could not be run or went wrong,\n"
	"2 wrong options, 3 it reset itself.";

/* Unsigned, with K, M or G behind it; 0 for what is none. */
static u64 parse_size(const char *text)
{
	char *rest;
	u64 size = strtoull(text, &rest, 10);
	unsigned int shift = *rest == 'K' ? 10 : *rest == 'M' ? 20 : *rest == 'G' ? 30 : 0;

	if (*text < '0' || *text > '9' || !shift || rest[1] || size > ~0ULL >> 20 >> shift)
		return 0;
	return size << shift;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	char *rest;

	switch (key) {
	case 'k':
		options.kernel = arg;
		break;
	case 'i':
		options.initrd = arg;
		break;
	case 'a':
		options.append = arg;
		break;
	case 'd':
		options.disk = arg;
		break;
	case 'm':
		options.memory = parse_size(arg);
		if (!options.memory)
			refuse("--memory %s is no size: write it like 512M", arg);
		break;
	case 'c':
		options.cpus = strtoul(arg, &rest, 10);
		if (*rest || !options.cpus || options.cpus > MAX_CPUS)
			refuse("--cpus %s: give a number from 1 to %d", arg, MAX_CPUS);
		break;
	case 'b':
		options.block = parse_size(arg);
		if (options.block != PAGE_SIZE && options.block != 2 * MIB && options.block != GIB)
			refuse("--block %s: give 4K, 2M or 1G", arg);
		break;
	case 's':
		if (!strcmp(arg, "buddy"))
			options.source = SOURCE_BUDDY;
		else if (!strcmp(arg, "hugetlb"))
			options.source = SOURCE_HUGETLB;
		else if (!strcmp(arg, "memfd"))
			options.source = SOURCE_MEMFD;
		else
			refuse("--source %s: give buddy, hugetlb or memfd", arg);
		break;
	case OPT_SHARED:
		options.kind = KIND_SHARED;
		break;
	case OPT_ORDINARY:
		options.kind = KIND_ORDINARY;
		break;
	case OPT_NO_DIRECT_MAP:
		options.no_direct_map = true;
		break;
	case OPT_STATS:
		options.stats = true;
		break;
	case ARGP_KEY_ARG:
		refuse("'%s' is no option: name the kernel with --kernel", arg);
		break;
	case ARGP_KEY_END:
		if (!options.kernel)
			refuse("no kernel: name one with --kernel");
		if (options.memory % options.block)
			refuse("--memory is no multiple of --block: make it one");
		if (options.memory < 2 * MIB)
			refuse("--memory is too small for any kernel: give some 100M");
		if (options.source == SOURCE_HUGETLB && options.block == PAGE_SIZE)
			refuse("the hugetlb pool has no 4K pages: give --block 2M or 1G");
		if (options.source == SOURCE_MEMFD && options.kind != KIND_ORDINARY)
			refuse("a memfd is never private: give --ordinary as well");
		if (options.source == SOURCE_MEMFD && options.no_direct_map)
			refuse("the kernel maps every memfd: drop --no-direct-map");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static void create_vm(void)
{
	struct kvm_enable_cap hypercalls = {
		.cap = KVM_CAP_EXIT_HYPERCALL,
		.args = { 1 << KVM_HC_MAP_GPA_RANGE },
	};
	unsigned long type = options.kind == KIND_ORDINARY ? KVM_X86_DEFAULT_VM :
							    KVM_X86_SW_PROTECTED_VM;
	int types;

	kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm_fd < 0)
		die("cannot open /dev/kvm: %s: load kvm_amd or kvm_intel", strerror(errno));
	types = ioctl(kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES);
	if (options.kind != KIND_ORDINARY && !(types >> KVM_X86_SW_PROTECTED_VM & 1))
		die("no VMs of this type: set CONFIG_KVM_SW_PROTECTED_VM, or give --ordinary");
	vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, type);
	if (vm_fd < 0)
		die("cannot create a VM: %s", strerror(errno));
	if (ioctl(vm_fd, KVM_CREATE_IRQCHIP, 0))
		die("KVM_CREATE_IRQCHIP: %s", strerror(errno));
	if (ioctl(vm_fd, KVM_ENABLE_CAP, &hypercalls))
		die("KVM_CAP_EXIT_HYPERCALL: %s: this kernel's KVM is too old", strerror(errno));
}

int main(int argc, char **argv)
{
	static const struct argp argp = { argp_options, parse, NULL, doc, NULL, NULL, NULL };
	struct entry entry;

	argp_err_exit_status = STATUS_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if (options.disk)
		disk_open();
	create_vm();
	memory_create();
	boot_load(&entry);
	memory_make_private();
	cpus_create(&entry);
	serial_start();
	cpus_run();
}
