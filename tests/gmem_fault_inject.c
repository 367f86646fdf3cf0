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
	bool private;		/* what it is converted to */
	unsigned int failed;
	unsigned int runs;	/* before a conversion */
	struct state *before;
};

/*
 * Conversion: of a range over blocks, slots and runs of both states. Of a few
 * runs the record is one node, which has to be allocated anew; of many it takes
 * several, which the allocator may have in stock.
 */
#define FEW_RUNS	8
#define MANY_RUNS	256

/*
 * Of a command to a guest only KVM_RUN is under test, not what the library does
 * before and after it.
 */
static unsigned int run_nth;
static bool run_came;

static void around_run(bool enter)
{
	if (enter) {
		gm_fail_arm(run_nth);
	} else if (run_nth) {
		run_came = gm_fail_came();
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
			gm_fail_arm(nth);
			err = call(s);
			came = gm_fail_came();
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
	if (s->runs != MANY_RUNS)
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
	gm_fail_open();
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
		gm_fail_arm(nth);
		err = do_punch(&s);
		came = gm_fail_came();
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

/* Conversion */
#define MAX_RUNS	512
#define MAX_PAGES	1024
#define MAX_BLOCKS	1024

struct state {
	struct kvm_memory_attributes2 run[MAX_RUNS];
	struct gm_block block[MAX_BLOCKS];
	u64 mapped[MAX_PAGES];		/* in the host: entries of pagemap */
	size_t nr_runs;
	size_t nr_blocks;
	u64 faults;
	u64 pages_4k;
	u64 pages_2m;
	long conversions;
	long private;
};

static void look(struct scene *s, struct state *st)
{
	const size_t len = s->f.size / GM_PAGE * 8;
	int fd = open("/proc/self/pagemap", O_RDONLY);
	u64 off;

	memset(st, 0, sizeof(*st));
	for (off = 0; off < s->f.size; off += st->run[st->nr_runs++].size) {
		gm_assert(st->nr_runs < MAX_RUNS, "too many runs");
		st->run[st->nr_runs].offset = off;
		gm_assert_ok(ioctl(s->f.fd, KVM_GET_MEMORY_ATTRIBUTES2,
				   &st->run[st->nr_runs]));
	}
	st->nr_blocks = gm_blocks(&s->f, st->block, MAX_BLOCKS);
	gm_assert(fd >= 0 && len <= sizeof(st->mapped), "pagemap");
	gm_assert_eq(pread(fd, st->mapped, len, (u64)s->mem / GM_PAGE * 8), len);
	close(fd);
	st->faults = gm_vcpu_stat(s->g, 0, "pf_taken");
	st->pages_4k = gm_vm_stat(s->g, "pages_4k");
	st->pages_2m = gm_vm_stat(s->g, "pages_2m");
	st->conversions = gm_fdinfo(&s->f, "gmem-conversions");
	st->private = gm_fdinfo(&s->f, "gmem-private");
}

static void convert_range(struct scene *s, u64 *off, u64 *len)
{
	*off = 3 * GM_PAGE;
	*len = s->f.size - 5 * GM_PAGE;
}

static int set_attributes(struct scene *s, u64 off, u64 len, bool private)
{
	struct kvm_memory_attributes2 a = {
		.offset		= off,
		.size		= len,
		.attributes	= private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
		.error_offset	= ~0ULL,
	};
	int err = ioctl(s->f.fd, KVM_SET_MEMORY_ATTRIBUTES2, &a) ? errno : 0;

	gm_assert_eq(a.error_offset, err == ENOMEM ? off : ~0ULL);
	return err;
}

static int do_convert(struct scene *s)
{
	u64 off, len;

	convert_range(s, &off, &len);
	return set_attributes(s, off, len, s->private);
}

static void check_contents(struct scene *s)
{
	u64 off;

	gm_guest_check(s->g, 0, s->f.size, GM_PAGE, SEED);
	for (off = 0; off < s->f.size; off += GM_PAGE) {
		struct kvm_memory_attributes2 a = { .offset = off };

		gm_assert_ok(ioctl(s->f.fd, KVM_GET_MEMORY_ATTRIBUTES2, &a));
		if (!a.attributes)
			gm_assert_eq(*(u64 *)(s->mem + off), gm_word(SEED, off));
	}
}

static void check_convert(struct scene *s, int err)
{
	struct kvm_memory_attributes2 a;
	struct state *now;
	u64 off, len;

	if (err) {
		s->failed++;
		now = malloc(sizeof(*now));
		gm_assert(now, "no memory");
		look(s, now);
		gm_assert(!memcmp(now, s->before, sizeof(*now)), "not as before");
		/* And nobody has to fault for what he finds. */
		check_contents(s);
		look(s, now);
		gm_assert(!memcmp(now, s->before, sizeof(*now)), "mappings are gone");
		free(now);
		return;
	}
	convert_range(s, &off, &len);
	for (len += off; off < len; off += a.size) {
		a = (struct kvm_memory_attributes2) { .offset = off };
		gm_assert_ok(ioctl(s->f.fd, KVM_GET_MEMORY_ATTRIBUTES2, &a));
		gm_assert_eq(a.attributes, s->private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);
	}
	gm_assert_eq(gm_fdinfo(&s->f, "gmem-conversions"), s->before->conversions + 1);
	check_contents(s);
}

static void undo_convert(struct scene *s)
{
	const u64 run = s->f.size / s->runs;
	u64 off;

	for (off = 0; off < s->f.size; off += run)
		gm_assert_eq(set_attributes(s, off, run, off / run % 2), 0);
	check_contents(s);
	look(s, s->before);
}

static void inject_convert(unsigned int source, bool private)
{
	const u64 split = GM_2M - 5 * GM_PAGE;
	struct scene s;
	u64 off;

	memset(&s, 0, sizeof(s));
	s.src = &gm_sources[source];
	s.private = private;
	gm_need_source(s.src, 2 * GM_2M);
	gm_fail_open();
	s.before = malloc(sizeof(*s.before));
	s.g = gm_vm_create(GM_SWP, 1, 4096);
	s.f = gm_create_from(s.g->vm, s.src, 2 * GM_2M, GM_SHARED);
	/* Neither slot ends where a block does. */
	gm_slot(s.g, &s.f, GM_GPA, split, 0, NULL);
	gm_slot(s.g, &s.f, GM_GPA + split, s.f.size - split, split, NULL);
	gm_map(s.g, GM_GPA, s.f.size);
	gm_assert_eq(do_mmap(&s), 0);
	for (off = 0; off < s.f.size; off += GM_PAGE)
		*(u64 *)(s.mem + off) = gm_word(SEED, off);

	s.runs = FEW_RUNS;
	undo_convert(&s);
	each_site(&s, private ? "to private" : "to shared", do_convert, undo_convert,
		  check_convert);
	gm_assert_ge(s.failed, 1);
	s.runs = MANY_RUNS;
	undo_convert(&s);
	each_site(&s, private ? "many to private" : "many to shared", do_convert,
		  undo_convert, check_convert);
	free(s.before);
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
CASE(to_private_4k, inject_convert(GM_SRC_4K, true))
CASE(to_private_2m, inject_convert(GM_SRC_THP_2M, true))
CASE(to_private_htlb_2m, inject_convert(GM_SRC_HTLB_2M, true))
CASE(to_shared_4k, inject_convert(GM_SRC_4K, false))
CASE(to_shared_2m, inject_convert(GM_SRC_THP_2M, false))
CASE(to_shared_htlb_2m, inject_convert(GM_SRC_HTLB_2M, false))

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
	{ "to_private_4k", to_private_4k, SECONDS },
	{ "to_private_2m", to_private_2m, SECONDS },
	{ "to_private_hugetlb_2m", to_private_htlb_2m, SECONDS },
	{ "to_shared_4k", to_shared_4k, SECONDS },
	{ "to_shared_2m", to_shared_2m, SECONDS },
	{ "to_shared_hugetlb_2m", to_shared_htlb_2m, SECONDS },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 8);
}
