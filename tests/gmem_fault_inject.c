// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation of every call fails once, the first, the second, and so on
 * until a call has no more of them: ENOMEM and nothing done, or success without.
 * The runner then finds all pools and counters as they were.
 */
#include <sys/syscall.h>

#include "gmem_test.h"

#define SEED	41
#define MAX_SITES	400

struct scene {
	const struct gm_source *src;
	struct gm_vm *g;
	struct gm_file f;
	char *mem;
	u64 share;
	u32 slot;
	unsigned int blocks;
};

static int fail_nth_fd = -1;

static void set_attr(const char *which, const char *attr, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", which, attr);
	gm_assert(gm_write(path, "%s", value), "%s: %s", path, strerror(errno));
}

static void need_injection(void)
{
	if (access("/proc/thread-self/fail-nth", W_OK))
		gm_skip("needs the debug kernel (fault injection)");
	/* By default allocations that may sleep are left alone, which are ours. */
	set_attr("failslab", "ignore-gfp-wait", "N");
	set_attr("failslab", "verbose", "0");
	set_attr("fail_page_alloc", "ignore-gfp-wait", "N");
	set_attr("fail_page_alloc", "ignore-gfp-highmem", "N");
	set_attr("fail_page_alloc", "min-order", "0");
	set_attr("fail_page_alloc", "verbose", "0");
	fail_nth_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	gm_assert(fail_nth_fd >= 0, "fail-nth: %s", strerror(errno));
}

static void arm(unsigned int nth)
{
	char buf[16];
	int n = snprintf(buf, sizeof(buf), "%u", nth);

	gm_assert_eq(pwrite(fail_nth_fd, buf, n, 0), n);
}

/* Returns whether the allocation that was to fail came. */
static bool disarm(void)
{
	char buf[16] = { 0 };

	gm_assert_ge(pread(fail_nth_fd, buf, sizeof(buf) - 1, 0), 1);
	arm(0);
	return !atoi(buf);
}

/*
 * Of a command to a guest only KVM_RUN is under test, not what the library does
 * before and after it.
 */
static unsigned int run_nth;
static bool run_came;

static void around_run(bool enter)
{
	if (enter) {
		arm(run_nth);
	} else if (run_nth) {
		run_came = disarm();
		run_nth = 0;
	}
}

/* Returns 0 or an errno; anything but ENOMEM fails the case. */
typedef int (*call_fn)(struct scene *s);

static int do_touch(struct scene *s)
{
	int err = gm_try(s->g, 0, GM_TOUCH, GM_GPA, 0, s->f.size, GM_PAGE, SEED);

	if (err)
		gm_reset(s->g, 0);
	return err;
}

static void each_site(struct scene *s, const char *what, call_fn call,
		      void (*undo)(struct scene *s), void (*check)(struct scene *s, int err))
{
	unsigned int nth, failed = 0;
	bool came;
	int err;

	for (nth = 1; nth < MAX_SITES; nth++) {
		if (call == do_touch) {
			run_nth = nth;
			gm_run_hook = around_run;
			err = call(s);
			gm_run_hook = NULL;
			came = run_came;
		} else {
			arm(nth);
			err = call(s);
			came = disarm();
		}
		gm_assert(!err || (came && err == ENOMEM), "%s, allocation %u: %s", what, nth,
			  strerror(err));
		failed += !!err;
		if (check)
			check(s, err);
		/* And without a failure it works, right after one. */
		if (err) {
			err = call(s);
			gm_assert(!err, "%s again after allocation %u: %s", what, nth,
				  strerror(err));
			if (check)
				check(s, 0);
		}
		undo(s);
		if (!came)
			break;
	}
	gm_assert(nth < MAX_SITES, "%s never gets through", what);
	gm_note("%s, %s: %u allocations, %u of them needed", s->src->name, what, nth - 1,
		failed);
	/* A call that allocates nothing at all is a test of nothing. */
	gm_assert_ge(nth, 2);
}

static int do_create(struct scene *s)
{
	s->f.fd = __vm_create_guest_memfd(s->g->vm, s->blocks * s->src->block,
					  s->src->flags | s->share);
	return s->f.fd < 0 ? errno : 0;
}

static void undo_create(struct scene *s)
{
	close(s->f.fd);
	s->f.fd = -1;
}

static long resv_before;

static void check_create(struct scene *s, int err)
{
	long want = resv_before;

	if (!(s->src->flags & GM_HUGETLB))
		return;
	if (!err)
		want += s->blocks;
	gm_assert_eq(gm_pool(s->src->block, "resv"), want);
}

static int do_populate(struct scene *s)
{
	return gm_populate(&s->f, 0, s->f.size) ? errno : 0;
}

static void undo_populate(struct scene *s)
{
	gm_assert_ok(gm_punch(&s->f, 0, s->f.size));
	gm_assert_eq(gm_held(&s->f), 0);
}

static void check_populate(struct scene *s, int err)
{
	if (err)
		gm_assert_le(gm_held(&s->f), s->f.size);
	else
		gm_assert_eq(gm_held(&s->f), s->f.size);
}

static int do_bind(struct scene *s)
{
	struct kvm_userspace_memory_region2 region = {
		.slot = s->slot,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = GM_GPA,
		.memory_size = s->f.size,
		.guest_memfd = s->f.fd,
	};

	/* Not the library's function, which opens /dev/kvm again each time. */
	return __vm_ioctl(s->g->vm, KVM_SET_USER_MEMORY_REGION2, &region) ? errno : 0;
}

static void undo_bind(struct scene *s)
{
	gm_slot_delete(s->g, s->slot);
	gm_assert_eq(gm_fdinfo(&s->f, "gmem-bindings"), 0);
}

static void undo_touch(struct scene *s)
{
	gm_assert_good(s->g, 0);
	gm_guest_check(s->g, 0, s->f.size, GM_PAGE, SEED);
	gm_guest_check(s->g, 8, s->f.size - 8, GM_PAGE, 0);
	undo_populate(s);
}

static int do_mmap(struct scene *s)
{
	s->mem = mmap(NULL, s->f.size, PROT_READ | PROT_WRITE, MAP_SHARED, s->f.fd, 0);
	return s->mem == MAP_FAILED ? errno : 0;
}

static void undo_mmap(struct scene *s)
{
	gm_assert_ok(munmap(s->mem, s->f.size));
}

static void host_touch(void *arg)
{
	struct scene *s = arg;
	u64 off;

	for (off = 0; off < s->f.size; off += 16 * GM_PAGE)
		WRITE_ONCE(*(u64 *)(s->mem + off), gm_word(SEED, off));
}

static int do_host_touch(struct scene *s)
{
	/* As for any file: SIGBUS, or tried again by the kernel. */
	return gm_catch_sigbus(host_touch, s, NULL) ? ENOMEM : 0;
}

static void undo_host_touch(struct scene *s)
{
	u64 off;

	for (off = 0; off < s->f.size; off += 16 * GM_PAGE)
		gm_assert_eq(*(u64 *)(s->mem + off), gm_word(SEED, off));
	gm_assert_ok(munmap(s->mem, s->f.size));
	gm_assert_ge(gm_fdinfo(&s->f, "gmem-live"), s->f.size / 16);
	undo_populate(s);
	gm_assert_eq(do_mmap(s), 0);
}

/* The middle of what is mapped and filled: parts of two blocks. */
static void punch_range(struct scene *s, u64 *off, u64 *len)
{
	*off = s->f.size / 4;
	*len = s->f.size / 2;
	if (s->blocks == 2) {
		*off = s->src->block - 4 * GM_PAGE;
		*len = 8 * GM_PAGE;
	}
}

static int do_punch(struct scene *s)
{
	u64 off, len;

	punch_range(s, &off, &len);
	return gm_punch(&s->f, off, len) ? errno : 0;
}

static void check_punch(struct scene *s, int err)
{
	u64 off, len;

	punch_range(s, &off, &len);
	/* All or nothing, as the host sees it and as the guest does. */
	gm_assert_eq(gm_host_differ(s->mem, 0, off, SEED), 0);
	gm_assert_eq(gm_host_differ(s->mem + off, off, len, err ? SEED : 0), 0);
	gm_guest_check(s->g, off, len, GM_PAGE, err ? SEED : 0);
	gm_assert_eq(gm_host_differ(s->mem + off + len, off + len,
				    s->f.size - off - len, SEED), 0);
}

static void refill(struct scene *s)
{
	gm_host_fill(s->mem, 0, s->f.size, SEED);
}

static void open_scene(struct scene *s, unsigned int source, u64 share)
{
	memset(s, 0, sizeof(*s));
	s->src = &gm_sources[source];
	s->share = share;
	s->slot = 1;
	s->blocks = source == GM_SRC_4K ? 16 : 2;
	gm_need_source(s->src, s->blocks * s->src->block);
	need_injection();
	s->g = gm_vm_create(VM_TYPE_DEFAULT, 1, 4096);
}

static void open_file(struct scene *s)
{
	s->f = gm_create_from(s->g->vm, s->src, s->blocks * s->src->block, s->share);
}

static void attach(struct scene *s)
{
	gm_assert_eq(do_bind(s), 0);
	gm_map(s->g, GM_GPA, s->f.size);
}

static void inject_create(unsigned int source)
{
	struct scene s;

	open_scene(&s, source, GM_SHARED);
	resv_before = gm_pool(GM_2M, "resv");
	each_site(&s, "create", do_create, undo_create, check_create);
	gm_vm_free(s.g);
}

static void inject_populate(unsigned int source)
{
	struct scene s;

	open_scene(&s, source, GM_MMAP);
	open_file(&s);
	each_site(&s, "fallocate", do_populate, undo_populate, check_populate);
	gm_close(&s.f);
	gm_vm_free(s.g);
}

static void inject_bind(unsigned int source)
{
	struct scene s;

	open_scene(&s, source, GM_MMAP);
	open_file(&s);
	each_site(&s, "bind", do_bind, undo_bind, NULL);
	gm_close(&s.f);
	gm_vm_free(s.g);
}

static void inject_fault(unsigned int source)
{
	struct scene s;

	open_scene(&s, source, GM_MMAP);
	open_file(&s);
	attach(&s);
	each_site(&s, "guest fault", do_touch, undo_touch, NULL);
	gm_close(&s.f);
	gm_vm_free(s.g);
}

static void inject_host(unsigned int source)
{
	struct scene s;

	open_scene(&s, source, GM_SHARED);
	open_file(&s);
	each_site(&s, "mmap", do_mmap, undo_mmap, NULL);
	gm_assert_eq(do_mmap(&s), 0);
	each_site(&s, "host fault", do_host_touch, undo_host_touch, NULL);
	undo_mmap(&s);
	gm_close(&s.f);
	gm_vm_free(s.g);
}

/* Punching has nothing to allocate that it could not do without. */
static void inject_punch(unsigned int source)
{
	struct scene s;
	unsigned int nth;
	bool came;
	int err;

	open_scene(&s, source, GM_SHARED);
	open_file(&s);
	attach(&s);
	gm_assert_eq(do_mmap(&s), 0);
	for (nth = 1; nth < MAX_SITES; nth++) {
		refill(&s);
		gm_guest_check(s.g, 0, s.f.size, GM_PAGE, SEED);
		arm(nth);
		err = do_punch(&s);
		came = disarm();
		gm_assert(!err || (came && err == ENOMEM), "allocation %u: %s", nth,
			  strerror(err));
		check_punch(&s, err);
		if (!came)
			break;
	}
	gm_note("%s, punch: %u allocations", s.src->name, nth - 1);
	gm_assert(nth < MAX_SITES, "punch never gets through");
	undo_mmap(&s);
	gm_close(&s.f);
	gm_vm_free(s.g);
}

#define CASE(name, call) static void name(void) { call; }

CASE(create_4k, inject_create(GM_SRC_4K))
CASE(create_2m, inject_create(GM_SRC_THP_2M))
CASE(create_htlb_2m, inject_create(GM_SRC_HTLB_2M))
CASE(populate_4k, inject_populate(GM_SRC_4K))
CASE(populate_2m, inject_populate(GM_SRC_THP_2M))
CASE(populate_htlb_2m, inject_populate(GM_SRC_HTLB_2M))
CASE(bind_4k, inject_bind(GM_SRC_4K))
CASE(bind_2m, inject_bind(GM_SRC_THP_2M))
CASE(bind_htlb_2m, inject_bind(GM_SRC_HTLB_2M))
CASE(fault_4k, inject_fault(GM_SRC_4K))
CASE(fault_2m, inject_fault(GM_SRC_THP_2M))
CASE(fault_htlb_2m, inject_fault(GM_SRC_HTLB_2M))
CASE(host_4k, inject_host(GM_SRC_4K))
CASE(host_2m, inject_host(GM_SRC_THP_2M))
CASE(host_htlb_2m, inject_host(GM_SRC_HTLB_2M))
CASE(punch_4k, inject_punch(GM_SRC_4K))
CASE(punch_2m, inject_punch(GM_SRC_THP_2M))
CASE(punch_htlb_2m, inject_punch(GM_SRC_HTLB_2M))

#define SECONDS	120

static const struct gm_case cases[] = {
	{ "create_4k", create_4k, SECONDS },
	{ "create_2m", create_2m, SECONDS },
	{ "create_hugetlb_2m", create_htlb_2m, SECONDS },
	{ "populate_4k", populate_4k, SECONDS },
	{ "populate_2m", populate_2m, SECONDS },
	{ "populate_hugetlb_2m", populate_htlb_2m, SECONDS },
	{ "bind_4k", bind_4k, SECONDS },
	{ "bind_2m", bind_2m, SECONDS },
	{ "bind_hugetlb_2m", bind_htlb_2m, SECONDS },
	{ "fault_4k", fault_4k, SECONDS },
	{ "fault_2m", fault_2m, SECONDS },
	{ "fault_hugetlb_2m", fault_htlb_2m, SECONDS },
	{ "host_4k", host_4k, SECONDS },
	{ "host_2m", host_2m, SECONDS },
	{ "host_hugetlb_2m", host_htlb_2m, SECONDS },
	{ "punch_4k", punch_4k, SECONDS },
	{ "punch_2m", punch_2m, SECONDS },
	{ "punch_hugetlb_2m", punch_htlb_2m, SECONDS },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 8);
}
