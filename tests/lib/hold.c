// SPDX-License-Identifier: GPL-2.0-only
/*
 * Ways to hold a page of a file: by a plain reference, by a pin for one I/O, and
 * by a pin for long, each got with and without a walk of the VMA. None of them
 * leaves a mapping behind.
 */
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "gmem_test.h"

/* Present in the page table, so that GUP-fast finds it. */
static void *map_page(const struct gm_file *f, u64 off)
{
	char *p = gm_mmap(f, off, GM_PAGE);

	(void)READ_ONCE(*p);
	return p;
}

/* A reference, from GUP-fast. */
static void pipe_take(struct gm_holder *h, const struct gm_file *f, u64 off)
{
	struct iovec iov = { .iov_base = map_page(f, off), .iov_len = GM_PAGE };

	gm_assert_ok(pipe(h->fd));
	gm_assert_eq(vmsplice(h->fd[1], &iov, 1, 0), GM_PAGE);
	gm_assert_ok(munmap(iov.iov_base, GM_PAGE));
}

static void pipe_let_go(struct gm_holder *h)
{
	gm_assert_eq(read(h->fd[0], h->buf, GM_PAGE), GM_PAGE);
	close(h->fd[0]);
	close(h->fd[1]);
}

/* Of <linux/io_uring.h>, which needs newer headers than libkvm's. */
#define URING_REGISTER_BUFFERS		0
#define URING_UNREGISTER_BUFFERS	1

/* A long-term pin for writing, as of a device. */
static void uring_take(struct gm_holder *h, const struct gm_file *f, u64 off)
{
	struct iovec iov = { .iov_base = map_page(f, off), .iov_len = GM_PAGE };
	u64 params[15] = { 0 };

	h->fd[0] = syscall(__NR_io_uring_setup, 4, params);
	gm_assert(h->fd[0] >= 0, "io_uring_setup: %s", strerror(errno));
	gm_assert_ok(syscall(__NR_io_uring_register, h->fd[0], URING_REGISTER_BUFFERS,
			     &iov, 1));
	gm_assert_ok(munmap(iov.iov_base, GM_PAGE));
}

static void uring_let_go(struct gm_holder *h)
{
	gm_assert_ok(syscall(__NR_io_uring_register, h->fd[0], URING_UNREGISTER_BUFFERS,
			     NULL, 0));
	close(h->fd[0]);
}

/* Of mm/gup_test.h. */
struct pin_longterm_test {
	__u64 addr;
	__u64 size;
	__u32 flags;
};

#define PIN_LONGTERM_TEST_START	_IOW('g', 7, struct pin_longterm_test)
#define PIN_LONGTERM_TEST_STOP	_IO('g', 8)
#define PIN_LONGTERM_TEST_READ	_IOW('g', 9, __u64)
#define PIN_LONGTERM_TEST_FLAG_USE_WRITE	1
#define PIN_LONGTERM_TEST_FLAG_USE_FAST		2

static void longterm_take(struct gm_holder *h, const struct gm_file *f, u64 off,
			  u32 flags)
{
	struct pin_longterm_test args = {
		.addr = (u64)map_page(f, off), .size = GM_PAGE, .flags = flags,
	};

	h->fd[0] = open("/sys/kernel/debug/gup_test", O_RDWR | O_CLOEXEC);
	gm_assert(h->fd[0] >= 0, "gup_test: %s", strerror(errno));
	gm_assert_ok(ioctl(h->fd[0], PIN_LONGTERM_TEST_START, &args));
	gm_assert_ok(munmap((void *)args.addr, GM_PAGE));
}

static void slow_take(struct gm_holder *h, const struct gm_file *f, u64 off)
{
	longterm_take(h, f, off, PIN_LONGTERM_TEST_FLAG_USE_WRITE);
}

static void fast_take(struct gm_holder *h, const struct gm_file *f, u64 off)
{
	longterm_take(h, f, off, PIN_LONGTERM_TEST_FLAG_USE_FAST);
}

static void longterm_let_go(struct gm_holder *h)
{
	u64 buf = (u64)h->buf;

	gm_assert_ok(ioctl(h->fd[0], PIN_LONGTERM_TEST_READ, &buf));
	gm_assert_ok(ioctl(h->fd[0], PIN_LONGTERM_TEST_STOP));
	close(h->fd[0]);
}

/*
 * O_DIRECT that is in flight for as long as it takes: it writes the page and one
 * more that userfaultfd lets nobody have. The first is pinned by the time the
 * fault on the second is reported.
 */
static void *direct_write(void *arg)
{
	struct gm_holder *h = arg;

	h->result = pwrite(h->fd[0], h->mem, 2 * GM_PAGE, 0);
	return NULL;
}

static void direct_take(struct gm_holder *h, const struct gm_file *f, u64 off)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffd_msg msg;
	void *p;

	h->fd[0] = open("/dev/ram0", O_RDWR | O_DIRECT | O_CLOEXEC);
	gm_assert(h->fd[0] >= 0, "/dev/ram0: %s", strerror(errno));
	h->fd[1] = syscall(__NR_userfaultfd, O_CLOEXEC);
	gm_assert(h->fd[1] >= 0, "userfaultfd: %s", strerror(errno));
	gm_assert_ok(ioctl(h->fd[1], UFFDIO_API, &api));

	h->mem = kvm_mmap(2 * GM_PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1);
	reg.range.start = (u64)h->mem + GM_PAGE;
	reg.range.len = GM_PAGE;
	gm_assert_ok(ioctl(h->fd[1], UFFDIO_REGISTER, &reg));
	p = mmap(h->mem, GM_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 f->fd, off);
	gm_assert(p == h->mem, "mmap: %s", strerror(errno));
	(void)READ_ONCE(*h->mem);

	kvm_pthread_create(&h->thread, NULL, direct_write, h);
	gm_assert_eq(read(h->fd[1], &msg, sizeof(msg)), sizeof(msg));
	gm_assert_eq(msg.event, UFFD_EVENT_PAGEFAULT);
	gm_assert_eq(msg.arg.pagefault.address & -GM_PAGE, reg.range.start);
	gm_assert_ok(munmap(h->mem, GM_PAGE));
}

static void direct_let_go(struct gm_holder *h)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (u64)h->mem + GM_PAGE, .len = GM_PAGE },
	};

	gm_assert_ok(ioctl(h->fd[1], UFFDIO_ZEROPAGE, &zero));
	kvm_pthread_join(h->thread, NULL);
	gm_assert_eq(h->result, 2 * GM_PAGE);
	gm_assert_eq(pread(h->fd[0], h->buf, GM_PAGE, 0), GM_PAGE);
	gm_assert_ok(munmap(h->mem + GM_PAGE, GM_PAGE));
	close(h->fd[0]);
	close(h->fd[1]);
}

const struct gm_holder gm_holders[GM_NR_HOLDERS] = {
	{ .name = "pipe", .take = pipe_take, .let_go = pipe_let_go, .reads = true },
	{ .name = "io_uring", .take = uring_take, .let_go = uring_let_go },
	{ .name = "O_DIRECT", .take = direct_take, .let_go = direct_let_go,
	  .reads = true },
	{ .name = "long-term", .take = slow_take, .let_go = longterm_let_go,
	  .reads = true },
	{ .name = "long-term, fast", .take = fast_take, .let_go = longterm_let_go,
	  .reads = true },
};
