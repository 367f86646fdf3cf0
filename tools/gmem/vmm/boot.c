// SPDX-License-Identifier: GPL-2.0-only
/*
 * Loads a bzImage by Linux's 64-bit boot protocol (Documentation/arch/x86/boot.rst)
 * and an initramfs, and writes what the kernel is told: its command line, which
 * memory there is, where the ACPI tables are.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <asm/bootparam.h>
#include <asm/e820.h>

#include "vmm.h"

/* Below 1 MiB, clear of what the kernel decides for itself. */
#define GDT_AT		0x500
#define PARAMS_AT	0x7000
#define CMDLINE_AT	0x8000
#define PML4_AT		0x9000
#define PDPT_AT		0xa000
#define PD_AT		0xb000
#define LOW_RAM_END	0xa0000
#define CMDLINE_MAX	(PML4_AT - CMDLINE_AT)

/* The protocol has flags that tell which kernels can be entered this way. */
#define PROTOCOL_MIN	0x020c
#define MAGIC		0x53726448	/* "HdrS" */
#define BOOT_FLAG	0xaa55
#define ENTRY_64	0x200
#define OTHER_LOADER	0xff

#define PTE_PRESENT	0x01
#define PTE_WRITE	0x02
#define PTE_LARGE	0x80

static int open_file(const char *what, const char *path, u64 *size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		die("--%s %s: %s: name a file that can be read", what, path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		die("--%s %s: name a file, which this is not", what, path);
	*size = st.st_size;
	return fd;
}

static void read_at(int fd, const char *path, void *to, u64 len, u64 off)
{
	ssize_t n;

	while (len) {
		n = pread(fd, to, len, off);
		if (n < 0)
			die("cannot read %s: %s", path, strerror(errno));
		if (!n)
			die("%s ends early: was it copied completely?", path);
		to = (u8 *)to + n;
		len -= n;
		off += n;
	}
}

static void *ram(u64 gpa, u64 len)
{
	void *p = memory_at(gpa, len);

	if (!p)
		die("no memory at %#llx: give more --memory", (unsigned long long)gpa);
	return p;
}

/* Returns where the kernel was loaded; the header is in params then. */
static u64 load_kernel(struct boot_params *params)
{
	const char *path = options.kernel;
	struct setup_header *h = &params->hdr;
	u64 size, setup, header = offsetof(struct boot_params, hdr);
	u8 jump;
	int fd;

	fd = open_file("kernel", path, &size);
	if (size < header + sizeof(*h))
		die("%s is no bzImage: take the kernel's arch/x86/boot/bzImage", path);
	read_at(fd, path, h, sizeof(*h), header);
	if (h->boot_flag != BOOT_FLAG || h->header != MAGIC)
		die("%s is no bzImage: take the kernel's arch/x86/boot/bzImage", path);
	if (h->version < PROTOCOL_MIN || !(h->xloadflags & XLF_KERNEL_64) ||
	    !(h->loadflags & LOADED_HIGH))
		die("%s cannot be entered in 64-bit mode: take one for x86-64, 3.8 or later",
		    path);
	/* The header ends where its first instruction jumps to. */
	jump = h->jump >> 8;
	header = 0x202 + jump - header;
	if (header < sizeof(*h))
		memset((u8 *)h + header, 0, sizeof(*h) - header);
	setup = ((h->setup_sects ?: 4) + 1) * 512;
	if (size <= setup)
		die("%s ends early: was it copied completely?", path);
	ram(h->pref_address, h->init_size);
	read_at(fd, path, ram(h->pref_address, size - setup), size - setup, setup);
	close(fd);
	return h->pref_address;
}

/* As high as it may be, so that the kernel has room to unpack itself below. */
static void load_initrd(struct setup_header *h)
{
	u64 size, end = options.memory < LOW_END ? options.memory : LOW_END, start;
	int fd;

	fd = open_file("initrd", options.initrd, &size);
	if (end > h->initrd_addr_max)
		end = h->initrd_addr_max + 1ULL;
	start = (end - size) & ~(PAGE_SIZE - 1);
	if (size > end || start < h->pref_address + h->init_size)
		die("kernel and initrd do not fit: give more --memory");
	read_at(fd, options.initrd, ram(start, size), size, 0);
	close(fd);
	h->ramdisk_image = start;
	h->ramdisk_size = size;
}

static void load_cmdline(struct setup_header *h)
{
	size_t len = strlen(options.append);

	if (len >= CMDLINE_MAX || len > h->cmdline_size)
		die("the command line has %zu characters: shorten --append", len);
	memcpy(ram(CMDLINE_AT, len + 1), options.append, len + 1);
	h->cmd_line_ptr = CMDLINE_AT;
}

static void add_e820(struct boot_params *params, u64 start, u64 end, u32 type)
{
	struct boot_e820_entry *e = &params->e820_table[params->e820_entries++];

	e->addr = start;
	e->size = end - start;
	e->type = type;
}

static void load_e820(struct boot_params *params)
{
	u64 end = options.memory < LOW_END ? options.memory : LOW_END;

	add_e820(params, 0, LOW_RAM_END, E820_RAM);
	add_e820(params, LOW_RAM_END, MIB, E820_RESERVED);
	add_e820(params, MIB, end, E820_RAM);
	if (options.memory > LOW_END)
		add_e820(params, HIGH_START, HIGH_START + options.memory - LOW_END,
			 E820_RAM);
}

/* The first gigabyte where it is. The kernel makes tables of its own. */
static void load_page_tables(void)
{
	u64 *pd = ram(PD_AT, PAGE_SIZE);
	unsigned int i;

	*(u64 *)ram(PML4_AT, PAGE_SIZE) = PDPT_AT | PTE_PRESENT | PTE_WRITE;
	*(u64 *)ram(PDPT_AT, PAGE_SIZE) = PD_AT | PTE_PRESENT | PTE_WRITE;
	for (i = 0; i < 512; i++)
		pd[i] = i * 2 * MIB | PTE_PRESENT | PTE_WRITE | PTE_LARGE;
}

/* Selectors 0x10 and 0x18, as the protocol has them. */
static u16 load_gdt(void)
{
	static const u64 gdt[] = { 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff };

	memcpy(ram(GDT_AT, sizeof(gdt)), gdt, sizeof(gdt));
	return sizeof(gdt) - 1;
}

void boot_load(struct entry *entry)
{
	struct boot_params *params = ram(PARAMS_AT, sizeof(*params));

	entry->rip = load_kernel(params) + ENTRY_64;
	entry->rsi = PARAMS_AT;
	entry->cr3 = PML4_AT;
	entry->gdt = GDT_AT;
	params->hdr.type_of_loader = OTHER_LOADER;
	if (options.initrd)
		load_initrd(&params->hdr);
	load_cmdline(&params->hdr);
	load_e820(params);
	params->acpi_rsdp_addr = acpi_load();
	load_page_tables();
	entry->gdt_limit = load_gdt();
}
