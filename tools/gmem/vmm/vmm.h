/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small VMM: boots Linux on memory of a guest_memfd.
 *
 * Read memory.c first. It has all that is particular to guest_memfd; the other
 * files are what any VMM has: boot.c and acpi.c prepare what the guest finds, cpu.c
 * runs it, and each device has a file.
 */
#ifndef VMM_H
#define VMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

#define __packed	__attribute__((packed))
#define __noreturn	__attribute__((noreturn))
#define __printf(a, b)	__attribute__((format(printf, a, b)))

#define PAGE_SIZE	4096ULL
#define MIB		(1ULL << 20)
#define GIB		(1ULL << 30)

/* Where things are in the guest's physical memory. */
#define LOW_END		(3 * GIB)	/* memory beyond it follows at HIGH_START */
#define HIGH_START	(4 * GIB)
#define DISK_MMIO	0xd0000000ULL
#define IOAPIC_MMIO	0xfec00000ULL
#define LAPIC_MMIO	0xfee00000ULL
#define ACPI_START	0xe0000ULL	/* in the hole that PCs have below 1 MiB */
#define ACPI_END	0x100000ULL

/* Ports. */
#define SERIAL_PORT	0x3f8
#define SLEEP_PORT	0x600		/* ACPI's sleep control register */
#define SLEEP_STATUS_PORT 0x601
#define RESET_PORT	0x602

/* Interrupts. */
#define SERIAL_IRQ	4
#define DISK_IRQ	5

#define MAX_CPUS	64

enum kind {
	KIND_PRIVATE,		/* software-protected, all memory private */
	KIND_SHARED,		/* software-protected, all memory shared */
	KIND_ORDINARY,
};

enum source {
	SOURCE_BUDDY,
	SOURCE_HUGETLB,
	SOURCE_MEMFD,		/* no guest_memfd, to compare with */
};

struct options {
	const char *kernel;
	const char *initrd;
	const char *append;
	const char *disk;
	u64 memory;
	u64 block;
	unsigned int cpus;
	enum kind kind;
	enum source source;
	bool no_direct_map;
	bool stats;
};

/* Set once, before any vCPU runs. */
extern struct options options;
extern int kvm_fd;
extern int vm_fd;

/* main.c: one line on stderr, what is wrong and what to do, and the end. */
void __noreturn die(const char *fmt, ...) __printf(1, 2);
void *alloc(size_t size);	/* zeroed, or die() */
void irq_line(unsigned int irq, bool level);

enum status {
	STATUS_POWER_OFF,
	STATUS_FAILED,
	STATUS_USAGE,
	STATUS_RESET,
};

/* The guest, or whoever is at its console, wants to end. Any thread may call. */
void __noreturn end(enum status status);

/* memory.c */
void memory_create(void);
/* What was put there so far becomes the guest's alone, if it is a private one. */
void memory_make_private(void);
/* The host's address, NULL where there is no memory, or not in one piece. */
void *memory_at(u64 gpa, u64 len);
/*
 * Make it accessible for the host, 0 or -errno; give it back as often. To the
 * guest it is the same memory before, meanwhile and after.
 */
int memory_share(u64 gpa, u64 len);
void memory_unshare(u64 gpa, u64 len);
/* The guest has asked for it, 0 or -errno; to ask twice is as to ask once. */
int memory_guest_wants(u64 gpa, u64 len, bool wants);
/* Give memory back to the host, 0 or -errno. It reads as zeroes afterwards. */
int memory_discard(u64 gpa, u64 len);
int memory_gmem_fd(void);	/* -1 if there is none */

/* boot.c */
struct entry {
	u64 rip;
	u64 rsi;
	u64 cr3;
	u64 gdt;
	u16 gdt_limit;
};

void boot_load(struct entry *entry);

/* acpi.c: write the tables, return the address of the first */
u64 acpi_load(void);

/* cpu.c */
void cpus_create(const struct entry *entry);
void cpus_run(void);
u64 cpus_stat(const char *name);	/* sum of a statistic of KVM over all */
u64 cpus_ticks(void);			/* of the TSC since the guest was started */

/* serial.c */
void serial_start(void);
void serial_port(u16 port, bool write, u8 *data);

/* disk.c */
void disk_open(void);
void disk_mmio(u64 off, bool write, u8 *data, u32 len);

/* share.c */
struct share_port {
	int vcpu_fd;
	u64 frame;
	u32 error;
};

void share_port(struct share_port *p, u16 reg, bool write, u32 *data);

/* stats.c */
int stats_open(int fd);		/* of a VM or a vCPU */
u64 stats_read(int stats_fd, const char *name);
void stats_print(void);

#endif /* VMM_H */
