// SPDX-License-Identifier: GPL-2.0-only
/*
 * A disk: virtio-blk over MMIO, with one queue of the split kind.
 *
 * The driver in the guest does not know that its memory is private. It tells the
 * device where things are, so the device has them shared: the queue's rings from
 * when the driver enables it until it resets the device, and the buffers of a
 * request for as long as the request takes.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#include "vmm.h"

#define QUEUE_MAX	64
#define SECTOR		512
#define MAGIC		0x74726976	/* "virt" */
#define VERSION		2
#define VENDOR		0x6d656d67

enum { DESC, AVAIL, USED, NR_RINGS };

static struct {
	pthread_mutex_t lock;
	int fd;
	struct virtio_blk_config config;
	u32 status;
	u32 interrupt;
	u32 features_sel, driver_features_sel;
	u64 driver_features;
	u32 queue_sel;
	u32 queue_size;
	bool queue_ready;
	u64 ring[NR_RINGS];		/* addresses */
	struct vring vring;
	u16 next;			/* of avail's entries */
} disk = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
};

#define FEATURES	(1ULL << VIRTIO_F_VERSION_1)

static u64 ring_size(unsigned int ring)
{
	switch (ring) {
	case DESC:
		return disk.queue_size * sizeof(struct vring_desc);
	case AVAIL:
		return sizeof(struct vring_avail) + (disk.queue_size + 1) * sizeof(u16);
	default:
		return sizeof(struct vring_used) +
		       disk.queue_size * sizeof(struct vring_used_elem) + sizeof(u16);
	}
}

static void raise(u32 reason)
{
	disk.interrupt |= reason;
	irq_line(DISK_IRQ, true);
}

/* The driver broke the rules. Only a reset helps. */
static void needs_reset(void)
{
	disk.status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	raise(VIRTIO_MMIO_INT_CONFIG);
}

static void unshare_rings(unsigned int nr)
{
	while (nr--)
		memory_unshare(disk.ring[nr], ring_size(nr));
}

static void enable_queue(void)
{
	void *at[NR_RINGS];
	unsigned int i;

	for (i = 0; i < NR_RINGS; i++) {
		at[i] = memory_at(disk.ring[i], ring_size(i));
		if (!at[i] || disk.ring[i] % 16 || !disk.queue_size ||
		    memory_share(disk.ring[i], ring_size(i))) {
			unshare_rings(i);
			needs_reset();
			return;
		}
	}
	disk.vring = (struct vring) {
		.num = disk.queue_size, .desc = at[DESC], .avail = at[AVAIL], .used = at[USED],
	};
	disk.next = 0;
	disk.queue_ready = true;
}

static void disable_queue(void)
{
	if (disk.queue_ready)
		unshare_rings(NR_RINGS);
	disk.queue_ready = false;
}

static void reset(void)
{
	disable_queue();
	disk.status = 0;
	disk.driver_features = 0;
	disk.interrupt = 0;
	irq_line(DISK_IRQ, false);
}

/* A request: the descriptors of its chain, copied, since the guest may change them. */
struct request {
	struct vring_desc desc[QUEUE_MAX];
	unsigned int nr;
	void *at[QUEUE_MAX];
};

static bool read_chain(struct request *r, u16 head)
{
	u16 i = head;

	r->nr = 0;
	do {
		if (i >= disk.vring.num || r->nr == disk.vring.num)
			return false;
		r->desc[r->nr] = disk.vring.desc[i];
		i = r->desc[r->nr].next;
	} while (r->desc[r->nr++].flags & VRING_DESC_F_NEXT);
	return true;
}

static void unshare_buffers(struct request *r, unsigned int nr)
{
	while (nr--)
		memory_unshare(r->desc[nr].addr, r->desc[nr].len);
}

static bool share_buffers(struct request *r)
{
	unsigned int i;

	for (i = 0; i < r->nr; i++) {
		r->at[i] = memory_at(r->desc[i].addr, r->desc[i].len);
		if (!r->at[i] || memory_share(r->desc[i].addr, r->desc[i].len)) {
			unshare_buffers(r, i);
			return false;
		}
	}
	return true;
}

/* Returns the bytes that were moved to or from the disk, or -1. */
static ssize_t transfer(struct request *r, u32 type, u64 off)
{
	bool in = type == VIRTIO_BLK_T_IN;
	ssize_t n, sum = 0;
	unsigned int i;

	for (i = 1; i < r->nr - 1; i++) {
		if (in != !!(r->desc[i].flags & VRING_DESC_F_WRITE))
			return -1;
		n = in ? pread(disk.fd, r->at[i], r->desc[i].len, off + sum) :
			 pwrite(disk.fd, r->at[i], r->desc[i].len, off + sum);
		if (n != r->desc[i].len)
			return -1;
		sum += n;
	}
	return sum;
}

/*
 * A chain is what Linux's driver makes of a request: a descriptor for the header,
 * those of the data, one for the status. Returns the bytes written to the guest.
 */
static u32 carry_out(struct request *r)
{
	struct virtio_blk_outhdr header;
	u8 *status = r->at[r->nr - 1];
	ssize_t n;

	memcpy(&header, r->at[0], sizeof(header));
	switch (header.type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		n = header.sector > disk.config.capacity ? -1 :
		    transfer(r, header.type, header.sector * SECTOR);
		*status = n < 0 ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
		return header.type == VIRTIO_BLK_T_IN && n > 0 ? n + 1 : 1;
	default:
		*status = VIRTIO_BLK_S_UNSUPP;
		return 1;
	}
}

static bool well_formed(const struct request *r)
{
	const struct vring_desc *last = &r->desc[r->nr - 1];

	return r->nr >= 2 && r->desc[0].len >= sizeof(struct virtio_blk_outhdr) &&
	       !(r->desc[0].flags & VRING_DESC_F_WRITE) &&
	       last->len && last->flags & VRING_DESC_F_WRITE;
}

/* False if the driver broke the rules. */
static bool serve(u16 head)
{
	struct vring_used *used = disk.vring.used;
	struct vring_used_elem *elem = &used->ring[used->idx % disk.vring.num];
	struct request r;

	if (!read_chain(&r, head) || !well_formed(&r) || !share_buffers(&r))
		return false;
	elem->id = head;
	elem->len = carry_out(&r);
	unshare_buffers(&r, r.nr);
	__atomic_store_n(&used->idx, used->idx + 1, __ATOMIC_RELEASE);
	return true;
}

static void serve_queue(void)
{
	struct vring_avail *avail = disk.vring.avail;

	if (!disk.queue_ready)
		return;
	while (disk.next != __atomic_load_n(&avail->idx, __ATOMIC_ACQUIRE)) {
		if (!serve(avail->ring[disk.next % disk.vring.num])) {
			needs_reset();
			return;
		}
		disk.next++;
	}
	if (!(avail->flags & VRING_AVAIL_F_NO_INTERRUPT))
		raise(VIRTIO_MMIO_INT_VRING);
}

static u32 read_register(u64 off)
{
	switch (off) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return VERSION;
	case VIRTIO_MMIO_DEVICE_ID:
		return VIRTIO_ID_BLOCK;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return disk.features_sel < 2 ? FEATURES >> 32 * disk.features_sel : 0;
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return disk.queue_sel ? 0 : QUEUE_MAX;
	case VIRTIO_MMIO_QUEUE_READY:
		return !disk.queue_sel && disk.queue_ready;
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return disk.interrupt;
	case VIRTIO_MMIO_STATUS:
		return disk.status;
	default:
		return 0;
	}
}

/* The queue's registers: they count while it is not enabled. */
static void write_queue(u64 off, u32 value)
{
	unsigned int ring = off < VIRTIO_MMIO_QUEUE_AVAIL_LOW ? DESC :
			    off < VIRTIO_MMIO_QUEUE_USED_LOW ? AVAIL : USED;

	if (disk.queue_sel || disk.queue_ready)
		return;
	switch (off) {
	case VIRTIO_MMIO_QUEUE_NUM:
		disk.queue_size = value <= QUEUE_MAX && !(value & (value - 1)) ? value : 0;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_USED_LOW:
		disk.ring[ring] = (disk.ring[ring] & ~0xffffffffULL) | value;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		disk.ring[ring] = (disk.ring[ring] & 0xffffffff) | (u64)value << 32;
		break;
	}
}

static void write_status(u32 value)
{
	if (!value) {
		reset();
		return;
	}
	/* Without that feature, the driver means another device. */
	if (disk.driver_features != FEATURES)
		value &= ~VIRTIO_CONFIG_S_FEATURES_OK;
	disk.status = value | (disk.status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void write_register(u64 off, u32 value)
{
	unsigned int shift;

	switch (off) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		disk.features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		disk.driver_features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		shift = 32 * (disk.driver_features_sel & 1);
		disk.driver_features &= ~(0xffffffffULL << shift);
		disk.driver_features |= (u64)value << shift;
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		disk.queue_sel = value;
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		if (disk.queue_sel)
			break;
		if (!value)
			disable_queue();
		else if (!disk.queue_ready)
			enable_queue();
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		serve_queue();
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		disk.interrupt &= ~value;
		irq_line(DISK_IRQ, disk.interrupt);
		break;
	case VIRTIO_MMIO_STATUS:
		write_status(value);
		break;
	default:
		write_queue(off, value);
	}
}

static void read_config(u64 off, u8 *data, u32 len)
{
	memset(data, 0, len);
	if (off < sizeof(disk.config) && len <= sizeof(disk.config) - off)
		memcpy(data, (u8 *)&disk.config + off, len);
}

void disk_mmio(u64 off, bool write, u8 *data, u32 len)
{
	u32 value = 0;

	pthread_mutex_lock(&disk.lock);
	if (off >= VIRTIO_MMIO_CONFIG) {
		if (!write)
			read_config(off - VIRTIO_MMIO_CONFIG, data, len);
	} else if (len != sizeof(value)) {
		memset(data, 0, len);
	} else if (write) {
		memcpy(&value, data, sizeof(value));
		write_register(off, value);
	} else {
		value = read_register(off);
		memcpy(data, &value, sizeof(value));
	}
	pthread_mutex_unlock(&disk.lock);
}

void disk_open(void)
{
	struct stat st;

	disk.fd = open(options.disk, O_RDWR | O_CLOEXEC);
	if (disk.fd < 0 || fstat(disk.fd, &st))
		die("--disk %s: %s: name a file that can be written", options.disk,
		    strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size % SECTOR)
		die("--disk %s: name a file of whole sectors of %d bytes", options.disk, SECTOR);
	disk.config.capacity = st.st_size / SECTOR;
}
