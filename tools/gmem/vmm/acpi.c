// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ACPI tables of a machine without legacy hardware: processors and the
 * I/O APIC, the serial port, the disk, and how to power off and reset.
 *
 * It is a "hardware-reduced" one, so there is no PM timer, no SCI and no PIT to
 * emulate. The guest has its time from kvm-clock and the timer of its local APIC.
 */
#include <string.h>

#include "vmm.h"

struct table {
	char signature[4];
	u32 length;
	u8 revision;
	u8 checksum;
	char oem_id[6];
	char oem_table_id[8];
	u32 oem_revision;
	char creator_id[4];
	u32 creator_revision;
} __packed;

struct address {
	u8 space;
	u8 bits;
	u8 offset;
	u8 size;
	u64 address;
} __packed;

#define SPACE_IO	1

struct rsdp {
	char signature[8];
	u8 checksum;
	char oem_id[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
	u8 extended_checksum;
	u8 reserved[3];
} __packed;

struct xsdt {
	struct table table;
	u64 entry[2];
} __packed;

/* ACPI 6.5, 5.2.9. What is 0 here has no name. */
struct fadt {
	struct table table;
	u32 facs;
	u32 dsdt;
	u8 zero1[69 - 4];
	u16 boot_arch;
	u8 zero2;
	u32 flags;
	struct address reset;
	u8 reset_value;
	u8 zero3[2];
	u8 minor;
	u64 x_facs;
	u64 x_dsdt;
	u8 zero4[8 * sizeof(struct address)];
	struct address sleep_control;
	struct address sleep_status;
	u64 hypervisor;
} __packed;

_Static_assert(offsetof(struct fadt, flags) == 112, "FADT");
_Static_assert(offsetof(struct fadt, sleep_control) == 244, "FADT");

#define FADT_NO_VGA	(1 << 2)	/* of boot_arch */
#define FADT_NO_RTC	(1 << 5)
#define FADT_WBINVD	(1 << 0)	/* of flags */
#define FADT_NO_POWER_BUTTON	(1 << 4)
#define FADT_NO_SLEEP_BUTTON	(1 << 5)
#define FADT_RESET	(1 << 10)
#define FADT_REDUCED	(1 << 20)

struct madt_lapic {
	u8 type;
	u8 length;
	u8 processor;
	u8 apic_id;
	u32 flags;
} __packed;

struct madt_ioapic {
	u8 type;
	u8 length;
	u8 id;
	u8 reserved;
	u32 address;
	u32 first_irq;
} __packed;

struct madt {
	struct table table;
	u32 lapic_address;
	u32 flags;
	struct madt_ioapic ioapic;
	struct madt_lapic lapic[MAX_CPUS];
} __packed;

#define MADT_LAPIC	0
#define MADT_IOAPIC	1
#define LAPIC_ENABLED	1

static u64 where = ACPI_START;

static u64 reserve(u64 size)
{
	u64 gpa = where;

	where = (where + size + 15) & ~15ULL;
	if (where > ACPI_END)
		die("no room for the ACPI tables: give fewer --cpus");
	return gpa;
}

static u8 checksum(const void *data, size_t len)
{
	const u8 *p = data;
	u8 sum = 0;

	while (len--)
		sum -= *p++;
	return sum;
}

/* Fill in the header and put the table into the guest's memory. */
static u64 put(struct table *t, const char *signature, u8 revision, u32 length)
{
	u64 gpa = reserve(length);

	memcpy(t->signature, signature, sizeof(t->signature));
	t->length = length;
	t->revision = revision;
	memcpy(t->oem_id, "GMEM  ", sizeof(t->oem_id));
	memcpy(t->oem_table_id, "GMEMVMM ", sizeof(t->oem_table_id));
	memcpy(t->creator_id, "GMEM", sizeof(t->creator_id));
	t->checksum = checksum(t, length);
	memcpy(memory_at(gpa, length), t, length);
	return gpa;
}

/*
 * AML, the language of the DSDT: objects are an opcode and what belongs to it.
 * Those that contain others say how long they are, always in two bytes here.
 */
static struct {
	struct table table;
	u8 code[512];
} __packed dsdt;
static size_t nr_code;

static void emit(const void *data, size_t len)
{
	if (len > sizeof(dsdt.code) - nr_code)
		die("no room in the DSDT: make its array larger");
	memcpy(dsdt.code + nr_code, data, len);
	nr_code += len;
}

#define EMIT(...)							\
do {									\
	const u8 __bytes[] = { __VA_ARGS__ };				\
									\
	emit(__bytes, sizeof(__bytes));					\
} while (0)

static size_t begin(void)
{
	EMIT(0, 0);
	return nr_code - 2;
}

static void finish(size_t start)
{
	size_t len = nr_code - start;

	dsdt.code[start] = 1 << 6 | (len & 0xf);
	dsdt.code[start + 1] = len >> 4;
}

static void name(const char *four)
{
	EMIT(0x08);			/* NameOp */
	emit(four, 4);
}

static size_t begin_device(const char *four)
{
	size_t start;

	EMIT(0x5b, 0x82);		/* DeviceOp */
	start = begin();
	emit(four, 4);
	return start;
}

/* A device's resources: a buffer with its length, in which there are descriptors. */
static size_t begin_resources(void)
{
	size_t start;

	name("_CRS");
	EMIT(0x11);			/* BufferOp */
	start = begin();
	EMIT(0x0a, 0);
	return start;
}

static void finish_resources(size_t start)
{
	EMIT(0x79, 0);			/* end tag */
	dsdt.code[start + 3] = nr_code - (start + 4);
	finish(start);
}

static void ports(u16 first, u8 nr)
{
	EMIT(0x47, 1, first, first >> 8, first, first >> 8, 1, nr);
}

static void mmio(u32 first, u32 size)
{
	EMIT(0x86, 9, 0, 1);
	emit(&first, sizeof(first));
	emit(&size, sizeof(size));
}

#define IRQ_LEVEL	0x01		/* a consumer, active high, exclusive */
#define IRQ_EDGE	0x03

static void interrupt(u8 irq, u8 mode)
{
	EMIT(0x89, 6, 0, mode, 1, irq, 0, 0, 0);
}

static void serial_device(void)
{
	size_t crs, start = begin_device("COM1");

	name("_HID");
	EMIT(0x0c, 0x41, 0xd0, 0x05, 0x01);	/* EISA ID PNP0501 */
	name("_UID");
	EMIT(0);
	crs = begin_resources();
	ports(SERIAL_PORT, 8);
	interrupt(SERIAL_IRQ, IRQ_EDGE);
	finish_resources(crs);
	finish(start);
}

static void disk_device(void)
{
	size_t crs, start = begin_device("DISK");

	name("_HID");
	EMIT(0x0d);			/* string */
	emit("LNRO0005", 9);		/* Linux's for virtio over MMIO */
	name("_UID");
	EMIT(0);
	crs = begin_resources();
	mmio(DISK_MMIO, PAGE_SIZE);
	interrupt(DISK_IRQ, IRQ_LEVEL);
	finish_resources(crs);
	finish(start);
}

static u64 put_dsdt(void)
{
	size_t start;

	name("_S5_");			/* what to write to power off: 5 */
	EMIT(0x12);			/* PackageOp */
	start = begin();
	EMIT(1, 0x0a, 5);
	finish(start);

	EMIT(0x10);			/* ScopeOp */
	start = begin();
	emit("_SB_", 4);
	serial_device();
	if (options.disk)
		disk_device();
	finish(start);
	return put(&dsdt.table, "DSDT", 2, sizeof(dsdt.table) + nr_code);
}

static struct address port(u16 number)
{
	return (struct address) {
		.space = SPACE_IO, .bits = 8, .size = 1, .address = number,
	};
}

static u64 put_fadt(u64 dsdt_at)
{
	struct fadt fadt = {
		.x_dsdt = dsdt_at,
		.boot_arch = FADT_NO_VGA | FADT_NO_RTC,
		.flags = FADT_WBINVD | FADT_NO_POWER_BUTTON | FADT_NO_SLEEP_BUTTON |
			 FADT_RESET | FADT_REDUCED,
		.reset = port(RESET_PORT),
		.minor = 5,
		.sleep_control = port(SLEEP_PORT),
		.sleep_status = port(SLEEP_STATUS_PORT),
	};

	return put(&fadt.table, "FACP", 6, sizeof(fadt));
}

static u64 put_madt(void)
{
	struct madt madt = {
		.lapic_address = LAPIC_MMIO,
		.ioapic = {
			.type = MADT_IOAPIC,
			.length = sizeof(madt.ioapic),
			.address = IOAPIC_MMIO,
		},
	};
	unsigned int i;

	for (i = 0; i < options.cpus; i++) {
		madt.lapic[i] = (struct madt_lapic) {
			.type = MADT_LAPIC,
			.length = sizeof(madt.lapic[i]),
			.processor = i,
			.apic_id = i,
			.flags = LAPIC_ENABLED,
		};
	}
	return put(&madt.table, "APIC", 5, offsetof(struct madt, lapic[options.cpus]));
}

u64 acpi_load(void)
{
	struct rsdp rsdp = {
		.signature = "RSD PTR ",
		.oem_id = "GMEM  ",
		.revision = 2,
		.length = sizeof(rsdp),
	};
	struct xsdt xsdt = { };
	u64 gpa;

	xsdt.entry[0] = put_fadt(put_dsdt());
	xsdt.entry[1] = put_madt();
	rsdp.xsdt = put(&xsdt.table, "XSDT", 1, sizeof(xsdt));
	rsdp.checksum = checksum(&rsdp, offsetof(struct rsdp, length));
	rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
	gpa = reserve(sizeof(rsdp));
	memcpy(memory_at(gpa, sizeof(rsdp)), &rsdp, sizeof(rsdp));
	return gpa;
}
