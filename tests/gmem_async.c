// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asynchronous page faults: what KVM tells the guest about them, it writes to
 * memory of a file. The fault itself is one of ordinary memory, whose host waits.
 */
#include <linux/userfaultfd.h>
#include <sys/syscall.h>

#include "gmem_test.h"

#define CODE		(GM_GPA + 16 * GM_PAGE)
#define NEWS		(GM_GPA + 17 * GM_PAGE + 0x40)
#define SLOW		(GM_GPA + 2 * GM_1G)
#define SLOW_SLOT	2

#define ENABLED	(KVM_ASYNC_PF_ENABLED | KVM_ASYNC_PF_SEND_ALWAYS | KVM_ASYNC_PF_DELIVERY_AS_INT)

/* Memory that nobody brings until slow_come(). */
static int slow_open(struct gm_emul *s)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	gm_assert(fd >= 0, "userfaultfd: %s", strerror(errno));
	vm_userspace_mem_region_add(s->vm, VM_MEM_SRC_ANONYMOUS, SLOW, SLOW_SLOT, 1, 0);
	virt_map(s->vm, SLOW, SLOW, 1);
	range.range.start = (u64)addr_gpa2hva(s->vm, SLOW);
	range.range.len = GM_PAGE;
	gm_assert_ok(ioctl(fd, UFFDIO_API, &api));
	gm_assert_ok(ioctl(fd, UFFDIO_REGISTER, &range));
	return fd;
}

static void slow_come(struct gm_emul *s, int fd)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (u64)addr_gpa2hva(s->vm, SLOW), .len = GM_PAGE }
	};

	gm_assert_ok(ioctl(fd, UFFDIO_ZEROPAGE, &zero));
}

static bool is_ready(void *arg)
{
	return gm_emul_tell(arg, GM_EMUL_READ, NEWS, 0) >> 32;
}

/* What KVM has said is taken notice of, so that it says the next thing. */
static u64 hear(struct gm_emul *s)
{
	u64 news;

	gm_assert(gm_wait_until(is_ready, s, 10), "no page was ever ready");
	news = gm_emul_tell(s, GM_EMUL_READ, NEWS, 0);
	gm_emul_tell(s, GM_EMUL_WRITE, NEWS, 0);
	gm_assert_eq(gm_emul_tell(s, GM_EMUL_MSR, MSR_KVM_ASYNC_PF_ACK, 1), 0);
	return news;
}

static int open_scene(struct gm_emul *s, unsigned int kind, unsigned int source)
{
	int fd;

	gm_emul_open(s, kind, source);
	fd = slow_open(s);
	/* Interrupts are taken, and the APIC is one of MSRs. */
	gm_emul_tell(s, GM_EMUL_IPI, 0, 0);
	gm_assert_eq(gm_emul_tell(s, GM_EMUL_MSR, MSR_KVM_ASYNC_PF_INT, GM_IPI_VECTOR), 0);
	gm_assert_eq(gm_emul_tell(s, GM_EMUL_MSR, MSR_KVM_ASYNC_PF_EN, NEWS | ENABLED), 0);
	/* The first of them wakes all who wait for whatever. */
	gm_assert_eq(hear(s), 0xffffffffULL << 32);
	return fd;
}

static void async(unsigned int kind, unsigned int source)
{
	struct gm_emul s;
	int fd = open_scene(&s, kind, source);
	u64 token;

	gm_emul_call(&s, CODE, gm_piece_load, gm_piece_load_end, 0, SLOW);
	gm_assert_eq(gm_emul_count(&s).faults, 1);
	token = gm_emul_count(&s).cr2;
	gm_assert(token, "no token");
	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_READ, NEWS, 0), KVM_PV_REASON_PAGE_NOT_PRESENT);
	gm_emul_tell(&s, GM_EMUL_WRITE, NEWS, 0);
	slow_come(&s, fd);
	gm_assert_eq(hear(&s), token << 32);
	/* Its own, and one for each of what it was told. */
	gm_assert_eq(gm_emul_count(&s).eois, 3);

	gm_assert_eq(gm_emul_call(&s, CODE, gm_piece_load, gm_piece_load_end, 0, SLOW), 0);
	gm_assert_eq(gm_emul_count(&s).faults, 1);
	gm_assert_ok(close(fd));
	gm_emul_close(&s);
}

/* The page that it is written to was given back: it is in a new one. */
static void punched(unsigned int kind, unsigned int source)
{
	struct gm_emul s;
	int fd = open_scene(&s, kind, source);

	gm_assert_ok(gm_punch(&s.f, (NEWS - GM_GPA) & ~(GM_PAGE - 1), GM_PAGE));
	gm_emul_call(&s, CODE, gm_piece_load, gm_piece_load_end, 0, SLOW);
	gm_assert_eq(gm_emul_count(&s).faults, 1);
	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_READ, NEWS, 0), KVM_PV_REASON_PAGE_NOT_PRESENT);
	gm_emul_tell(&s, GM_EMUL_WRITE, NEWS, 0);
	gm_assert_ok(gm_punch(&s.f, (NEWS - GM_GPA) & ~(GM_PAGE - 1), GM_PAGE));
	slow_come(&s, fd);
	gm_assert_eq(hear(&s), gm_emul_count(&s).cr2 << 32);
	gm_assert_ok(close(fd));
	gm_emul_close(&s);
}

#define CASE(name, call) static void name(void) { call; }

CASE(async_private, gm_emul_each(async, GM_PRIVATE))
CASE(async_tracked, gm_emul_each(async, GM_TRACKED))
CASE(async_second, gm_emul_each(async, GM_SECOND))
CASE(async_ordinary, gm_emul_each(async, GM_ORDINARY))
CASE(async_hidden, gm_emul_each(async, GM_HIDDEN))
CASE(punched_private, gm_emul_each(punched, GM_PRIVATE))
CASE(punched_ordinary, gm_emul_each(punched, GM_ORDINARY))

static const struct gm_case cases[] = {
	{ "async_private", async_private },
	{ "async_tracked", async_tracked },
	{ "async_second", async_second },
	{ "async_ordinary", async_ordinary },
	{ "async_hidden", async_hidden },
	{ "punched_private", punched_private },
	{ "punched_ordinary", punched_ordinary },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 4);
}
