// SPDX-License-Identifier: GPL-2.0-only
/*
 * Who holds pages of the fuzzer's file: pipes, that of a device that reads and
 * writes, which is a registered buffer of io_uring, and pins by gup_test. The page
 * that they have is the file's, for as long as they have it.
 */
#include <sys/syscall.h>
#include <sys/uio.h>

#include "fuzz.h"

/* Of <linux/io_uring.h>, which needs newer headers than libkvm's. */
#define REGISTER_BUFFERS	0
#define UNREGISTER_BUFFERS	1
#define OP_READ_FIXED		4
#define OP_WRITE_FIXED		5
#define ENTER_GETEVENTS		1
#define SETUP_NO_SQARRAY	(1 << 16)
#define OFF_SQES		0x10000000

struct ring_offsets {
	u32 head;
	u32 tail;
	u32 rest[2];
	u32 overflow;
	u32 cqes;	/* of completions only */
	u32 more[2];
	u64 user_addr;
};

struct ring_params {
	u32 sq_entries;
	u32 cq_entries;
	u32 flags;
	u32 rest[7];
	struct ring_offsets sq;
	struct ring_offsets cq;
};

struct submission {
	u8 opcode;
	u8 flags;
	u16 ioprio;
	s32 fd;
	u64 off;
	u64 addr;
	u32 len;
	u32 rest[9];	/* buffer 0 */
};

static_assert(sizeof(struct ring_params) == 120 && sizeof(struct submission) == 64);

struct completion {
	u64 user_data;
	s32 res;
	u32 flags;
};

/* Of mm/gup_test.h. */
struct pin_longterm_test {
	u64 addr;
	u64 size;
	u32 flags;
};

#define PIN_START	_IOW('g', 7, struct pin_longterm_test)
#define PIN_STOP	_IO('g', 8)
#define PIN_READ	_IOW('g', 9, u64)
#define PIN_USE_WRITE	1
#define PIN_USE_FAST	2

void fz_holders_init(struct fuzz *z)
{
	z->disk = memfd_create("disk", MFD_CLOEXEC);
	gm_assert(z->disk >= 0, "memfd_create: %s", strerror(errno));
	gm_assert_ok(ftruncate(z->disk, GM_PAGE));
}

/* Once: a ring that is closed goes later, and interrupts its task for that. */
static void device_open(struct fz_holder *h)
{
	struct ring_params p = { .flags = SETUP_NO_SQARRAY };

	if (h->ring)
		return;
	h->uring = syscall(__NR_io_uring_setup, 1, &p);
	gm_assert(h->uring >= 0, "io_uring_setup: %s", strerror(errno));
	h->ring = kvm_mmap(GM_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, h->uring);
	h->sqe = mmap(NULL, GM_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, h->uring, OFF_SQES);
	gm_assert(h->sqe != MAP_FAILED, "mmap: %s", strerror(errno));
	h->sq_tail = p.sq.tail;
	h->cq_head = p.cq.head;
	h->cqes = p.cq.cqes;
}

/* One transfer between the page and the disk, at the address that it once had. */
static void device_io(struct fuzz *z, struct fz_holder *h, u8 opcode)
{
	u32 *tail = (u32 *)(h->ring + h->sq_tail), *head = (u32 *)(h->ring + h->cq_head);
	struct completion *c = (struct completion *)(h->ring + h->cqes) + *head % 2;

	*(struct submission *)h->sqe = (struct submission) {
		.opcode = opcode, .fd = z->disk, .addr = (u64)h->addr, .len = GM_PAGE,
	};
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	gm_assert_eq(syscall(__NR_io_uring_enter, h->uring, 1, 1, ENTER_GETEVENTS, NULL, 0), 1);
	gm_assert_eq(c->res, GM_PAGE);
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
}

/* 0, or the errno. Nothing is open then. */
static int take(struct fz_holder *h, unsigned int kind, char *addr)
{
	struct iovec iov = { .iov_base = addr, .iov_len = GM_PAGE };
	struct pin_longterm_test pin = { .addr = (u64)addr, .size = GM_PAGE };
	long r, want = 0;
	int err;

	h->addr = addr;
	switch (kind) {
	case FZ_PIPE:
		gm_assert_ok(pipe(h->fd));
		r = vmsplice(h->fd[1], &iov, 1, 0);
		want = GM_PAGE;
		break;
	case FZ_DEVICE:
		device_open(h);
		r = syscall(__NR_io_uring_register, h->uring, REGISTER_BUFFERS, &iov, 1);
		break;
	default:
		pin.flags = kind == FZ_PIN ? PIN_USE_WRITE : PIN_USE_FAST;
		h->fd[0] = open("/sys/kernel/debug/gup_test", O_RDWR | O_CLOEXEC);
		gm_assert(h->fd[0] >= 0, "gup_test: %s", strerror(errno));
		r = ioctl(h->fd[0], PIN_START, &pin);
	}
	if (r == want)
		return 0;
	err = errno;
	gm_assert_eq(r, -1);
	if (kind != FZ_DEVICE)
		close(h->fd[0]);
	if (kind == FZ_PIPE)
		close(h->fd[1]);
	return err;
}

void fz_hold(struct fuzz *z, const struct fz_op *op)
{
	unsigned int h = op->c % FZ_HOLDERS, kind = op->c / FZ_HOLDERS % FZ_HOLDS;
	struct fz_map *map = &z->m.mm[FZ_SELF].map[op->m];
	const struct fz_op one = { .a = op->a, .n = 1 };
	int want = 0, got;
	u64 rel, nr;

	if (z->m.held[h] != FZ_NOT_HELD || !fz_in_map(map, &one, &rel, &nr))
		return;
	if (fz_touch(&z->m, &z->m.mm[FZ_SELF], op->m, rel,
		     kind == FZ_DEVICE || kind == FZ_PIN))
		want = EFAULT;
	got = take(&z->holder[h], kind, map->addr + rel * GM_PAGE);
	gm_assert(got == want, "page %#lx, holder %u: %s; expected %s", (unsigned long)op->a,
		  kind, strerror(got), strerror(want));
	if (want)
		return;
	z->shared->holds++;
	z->m.held[h] = op->a;
	z->m.hold[h] = kind;
}

/* What was written since by others is there. */
static void read_held(struct fuzz *z, unsigned int nr)
{
	static char buf[GM_PAGE] __aligned(8);
	struct fz_holder *h = &z->holder[nr];
	u64 page = z->m.held[nr], to = (u64)buf;

	switch (z->m.hold[nr]) {
	case FZ_PIPE:
		gm_assert_eq(read(h->fd[0], buf, GM_PAGE), GM_PAGE);
		break;
	case FZ_DEVICE:
		device_io(z, h, OP_WRITE_FIXED);
		gm_assert_eq(pread(z->disk, buf, GM_PAGE, 0), GM_PAGE);
		break;
	default:
		gm_assert_ok(ioctl(h->fd[0], PIN_READ, &to));
	}
	gm_assert(!gm_host_differ(buf, page * GM_PAGE, GM_PAGE, z->m.content[page]),
		  "page %#lx, held: not %#x", (unsigned long)page, z->m.content[page]);
}

void fz_release(struct fuzz *z, unsigned int nr)
{
	struct fz_holder *h = &z->holder[nr];

	if (z->m.held[nr] == FZ_NOT_HELD)
		return;
	read_held(z, nr);
	z->m.held[nr] = FZ_NOT_HELD;
	/* Explicitly: a child may have the same open file. */
	switch (z->m.hold[nr]) {
	case FZ_DEVICE:
		gm_assert_ok(syscall(__NR_io_uring_register, h->uring, UNREGISTER_BUFFERS,
				     NULL, 0));
		return;
	case FZ_PIPE:
		close(h->fd[1]);
		break;
	default:
		gm_assert_ok(ioctl(h->fd[0], PIN_STOP));
	}
	close(h->fd[0]);
}

void fz_release_all(struct fuzz *z)
{
	unsigned int i;

	for (i = 0; i < FZ_HOLDERS; i++)
		fz_release(z, i);
}

/* The device reads its page, or writes to it, mapped or not. */
void fz_device(struct fuzz *z, const struct fz_op *op)
{
	char buf[GM_PAGE] __aligned(8);
	unsigned int i, nr;
	u64 page;

	/* The first there is, from one on: few of the holders are devices. */
	for (i = 0; i < FZ_HOLDERS; i++) {
		nr = (op->m + i) % FZ_HOLDERS;
		if (z->m.held[nr] != FZ_NOT_HELD && z->m.hold[nr] == FZ_DEVICE)
			break;
	}
	if (i == FZ_HOLDERS)
		return;
	z->shared->transfers++;
	if (op->code == FZ_DEVICE_READ) {
		read_held(z, nr);
		return;
	}
	page = z->m.held[nr];
	gm_host_fill(buf, page * GM_PAGE, GM_PAGE, op->c);
	gm_assert_eq(pwrite(z->disk, buf, GM_PAGE, 0), GM_PAGE);
	device_io(z, &z->holder[nr], OP_READ_FIXED);
	fz_set_content(&z->m, page, op->c);
}
