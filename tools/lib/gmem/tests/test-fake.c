// SPDX-License-Identifier: LGPL-2.1-or-later
/* The library against answers that a kernel rarely gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>
#include <linux/magic.h>

#include "fake.h"

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define MIB	(1ULL << 20)
#define GIB	(1ULL << 30)

static const struct gmem_spec pages = { 4096, GMEM_PAGES, GMEM_MAPPABLE };
static const struct gmem_spec gigantic = { GIB, GMEM_HUGETLB, GMEM_MAPPABLE };
static const struct gmem_spec huge = { 2 * MIB, GMEM_BUDDY, GMEM_MAPPABLE };

static struct fake f;

static struct gmem *file(enum fake_abi abi, const struct gmem_spec *spec, uint64_t size)
{
	struct gmem *g = NULL;

	fake_init(&f, abi);
	assert_int_equal(gmem_create_sys(&f.sys, FAKE_VM, size, spec, 1, NULL, &g), 0);
	assert_int_equal(f.open, 1);
	assert_true(f.cloexec);
	return g;
}

/* Every file that was opened is closed. */
static void put(struct gmem *g)
{
	gmem_close(g);
	assert_int_equal(f.open, 0);
}

static void probe_none(void **state)
{
	struct gmem_caps caps, none = { };

	fake_init(&f, FAKE_NONE);
	memset(&caps, 0xff, sizeof(caps));
	assert_int_equal(gmem_probe_sys(&f.sys, FAKE_VM, &caps), 0);
	assert_memory_equal(&caps, &none, sizeof(caps));
	assert_int_equal(f.calls[FAKE_CREATE], 0);
	assert_int_equal(gmem_probe_sys(&f.sys, 5, &caps), -EBADF);
}

static void probe_stock(void **state)
{
	struct gmem_caps caps;

	fake_init(&f, FAKE_STOCK);
	assert_int_equal(gmem_probe_sys(&f.sys, FAKE_VM, &caps), 0);
	assert_true(caps.guest_memfd && caps.mappable && caps.init_shared && caps.vm_attributes);
	assert_false(caps.in_place || caps.readable || caps.stats || caps.no_direct_map);
	assert_false(caps.buddy_2m || caps.buddy_1g || caps.hugetlb_2m || caps.hugetlb_1g);
	assert_int_equal(f.open, 0);
}

static void probe_upstream(void **state)
{
	struct gmem_caps caps;

	fake_init(&f, FAKE_UPSTREAM);
	assert_int_equal(gmem_probe_sys(&f.sys, FAKE_VM, &caps), 0);
	assert_true(caps.in_place);
	assert_false(caps.readable || caps.stats || caps.buddy_2m);
}

static void probe_gmem(void **state)
{
	struct gmem_caps caps;

	fake_init(&f, FAKE_GMEM);
	assert_int_equal(gmem_probe_sys(&f.sys, FAKE_VM, &caps), 0);
	assert_true(caps.in_place && caps.readable && caps.stats && caps.no_direct_map);
	assert_true(caps.buddy_2m && caps.buddy_1g && caps.hugetlb_2m && caps.hugetlb_1g);
	f.has_private = false;
	assert_int_equal(gmem_probe_sys(&f.sys, FAKE_VM, &caps), 0);
	assert_false(caps.in_place || caps.readable || caps.vm_attributes);
	assert_true(caps.stats);
}

static void probe_fails(void **state)
{
	struct gmem_caps caps;

	fake_init(&f, FAKE_GMEM);
	f.fail[FAKE_CREATE][0] = -EMFILE;
	assert_int_equal(gmem_probe_sys(&f.sys, FAKE_VM, &caps), -EMFILE);
	assert_int_equal(f.open, 0);
}

static void create_falls_back(void **state)
{
	const struct gmem_spec specs[] = { gigantic, huge, pages };
	struct gmem_info info;
	unsigned int which = 9;
	struct gmem *g;

	fake_init(&f, FAKE_GMEM);
	f.fail[FAKE_CREATE][0] = -ENOMEM;
	assert_int_equal(gmem_create_sys(&f.sys, FAKE_VM, GIB, specs, 3, &which, &g), 0);
	assert_int_equal(which, 1);
	gmem_info(g, &info);
	assert_int_equal(info.block, 2 * MIB);
	assert_int_equal(info.source, GMEM_BUDDY);
	assert_int_equal(info.flags, GMEM_MAPPABLE);
	assert_int_equal(info.size, GIB);
	assert_true(info.tracks);
	assert_true(f.flags == (GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_HUGEPAGE |
				GUEST_MEMFD_HUGE_2MB));
	put(g);
	fake_init(&f, FAKE_STOCK);
	assert_int_equal(gmem_create_sys(&f.sys, FAKE_VM, GIB, specs, 3, &which, &g), 0);
	assert_int_equal(which, 2);
	gmem_info(g, &info);
	assert_false(info.tracks);
	put(g);
}

static void create_stops(void **state)
{
	const struct gmem_spec specs[] = { gigantic, huge, pages };
	unsigned int which = 9;
	struct gmem *g = NULL;

	fake_init(&f, FAKE_GMEM);
	f.fail[FAKE_CREATE][0] = -EMFILE;
	assert_int_equal(gmem_create_sys(&f.sys, FAKE_VM, GIB, specs, 3, &which, &g), -EMFILE);
	assert_int_equal(f.calls[FAKE_CREATE], 1);
	f.fail[FAKE_CREATE][1] = -EINVAL;
	f.fail[FAKE_CREATE][2] = -ENOMEM;
	assert_int_equal(gmem_create_sys(&f.sys, FAKE_VM, GIB, specs, 2, &which, &g), -ENOMEM);
	assert_int_equal(gmem_create_sys(&f.sys, FAKE_VM, GIB, specs, 0, &which, &g), -EINVAL);
	assert_int_equal(which, 9);
	assert_null(g);
	assert_int_equal(f.open, 0);
}

static void create_nonsense(void **state)
{
	static const struct gmem_spec bad[] = {
		{ 4096, GMEM_BUDDY + 7, 0 }, { 4096, GMEM_PAGES, 8 }, { 0, GMEM_PAGES, 0 },
		{ 2 * MIB, GMEM_PAGES, 0 }, { 3 * MIB, GMEM_HUGETLB, 0 }, { 0, GMEM_BUDDY, 0 },
		{ 4096, GMEM_PAGES, 0, { 1 } }, { 4096, GMEM_PAGES, 0, { 0, 0, 0, 1ULL << 63 } },
	};
	struct gmem *g = NULL;
	unsigned int i;

	fake_init(&f, FAKE_GMEM);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(gmem_create_sys(&f.sys, FAKE_VM, GIB, &bad[i], 1, NULL, &g),
				 -EINVAL);
	assert_int_equal(f.calls[FAKE_CREATE], 0);
	assert_null(g);
}

static void adopt(void **state)
{
	struct gmem_info info;
	struct gmem *g = NULL;

	gmem_close(file(FAKE_GMEM, &(struct gmem_spec){ 2 * MIB, GMEM_HUGETLB, GMEM_MAPPABLE },
			4 * MIB));
	f.open = 1;
	assert_int_equal(gmem_adopt_sys(&f.sys, FAKE_FILE, &g), 0);
	gmem_info(g, &info);
	assert_int_equal(info.size, 4 * MIB);
	assert_int_equal(info.block, 2 * MIB);
	assert_int_equal(info.source, GMEM_HUGETLB);
	assert_int_equal(info.flags, GMEM_MAPPABLE);
	assert_true(info.tracks);
	put(g);
	assert_int_equal(gmem_adopt_sys(&f.sys, 3, &g), -EBADF);
	/* Only its file system tells. */
	f.magic = TMPFS_MAGIC;
	assert_int_equal(gmem_adopt_sys(&f.sys, FAKE_FILE, &g), -EINVAL);
	f.link = "/tmp/a file";
	assert_int_equal(gmem_adopt_sys(&f.sys, FAKE_FILE, &g), -EINVAL);
	f.link = "/[kvm-gmem] (deleted), says a link that is much longer than any name of KVM's";
	assert_int_equal(gmem_adopt_sys(&f.sys, FAKE_FILE, &g), -EINVAL);
	f.link = "anon_inode:[kvm-gmem]";
	f.fdinfo = "gmem-size: many\n";
	assert_int_equal(gmem_adopt_sys(&f.sys, FAKE_FILE, &g), -EBADMSG);
	assert_int_equal(f.open, 0);
}

static void adopt_stock(void **state)
{
	struct gmem_info info;
	struct gmem *g;

	gmem_close(file(FAKE_STOCK, &pages, 64 * 4096));
	f.open = 1;
	assert_int_equal(gmem_adopt_sys(&f.sys, FAKE_FILE, &g), 0);
	gmem_info(g, &info);
	assert_int_equal(info.size, 64 * 4096);
	assert_int_equal(info.block, 4096);
	assert_false(info.tracks);
	put(g);
}

static void bind_passes_on(void **state)
{
	struct gmem *g = file(FAKE_GMEM, &pages, 64 * 4096);
	struct gmem_slot slot = { .slot = 3, .gpa = GIB, .offset = 8192, .size = 4096, .host = &f };

	assert_int_equal(gmem_bind(g, FAKE_VM, &slot), 0);
	assert_int_equal(f.region.slot, 3);
	assert_int_equal(f.region.flags, KVM_MEM_GUEST_MEMFD);
	assert_int_equal(f.region.guest_phys_addr, GIB);
	assert_int_equal(f.region.memory_size, 4096);
	assert_int_equal(f.region.guest_memfd, FAKE_FILE);
	assert_int_equal(f.region.guest_memfd_offset, 8192);
	assert_ptr_equal((void *)(uintptr_t)f.region.userspace_addr, &f);
	f.fail[FAKE_REGION][1] = -EEXIST;
	assert_int_equal(gmem_bind(g, FAKE_VM, &slot), -EEXIST);
	slot.size = 0;
	assert_int_equal(gmem_bind(g, FAKE_VM, &slot), -EINVAL);
	slot.size = 4096;
	slot.flags = KVM_MEM_READONLY;
	assert_int_equal(gmem_bind(g, FAKE_VM, &slot), -EINVAL);
	assert_int_equal(f.calls[FAKE_REGION], 2);
	assert_int_equal(gmem_unbind(g, FAKE_VM, 3), 0);
	assert_int_equal(f.region.memory_size, 0);
	put(g);
}

static void map_replaces_on_request(void **state)
{
	struct gmem *g = file(FAKE_GMEM, &pages, 64 * 4096);
	void *want = &g, *p = want;

	assert_int_equal(gmem_map(g, 0, 4096, PROT_READ, NULL, 0, &p), 0);
	assert_ptr_equal(p, &f);
	assert_null(f.mmap_at);
	assert_int_equal(f.mmap_flags, MAP_SHARED);
	assert_int_equal(gmem_map(g, 0, 4096, PROT_READ, want, 0, &p), 0);
	assert_ptr_equal(f.mmap_at, want);
	assert_int_equal(f.mmap_flags, MAP_SHARED | MAP_FIXED_NOREPLACE);
	assert_int_equal(gmem_map(g, 0, 4096, PROT_READ, want, GMEM_MAP_FIXED, &p), 0);
	assert_ptr_equal(f.mmap_at, want);
	assert_int_equal(f.mmap_flags, MAP_SHARED | MAP_FIXED);
	p = want;
	assert_int_equal(gmem_map(g, 0, 4096, PROT_READ, NULL, GMEM_MAP_FIXED, &p), -EINVAL);
	assert_int_equal(gmem_map(g, 0, 4096, PROT_READ, want, 2, &p), -EINVAL);
	assert_int_equal(f.calls[FAKE_MMAP], 3);
	f.fail[FAKE_MMAP][3] = -EEXIST;
	assert_int_equal(gmem_map(g, 0, 4096, PROT_READ, want, 0, &p), -EEXIST);
	assert_ptr_equal(p, want);
	put(g);
}

static int stop_at(uint64_t done, uint64_t size, void *arg)
{
	assert_int_equal(size, 200 * MIB);
	return done == *(uint64_t *)arg;
}

static void populate_steps(void **state)
{
	static const uint64_t want[][2] = {
		{ 32 * MIB, 32 * MIB }, { 64 * MIB, 64 * MIB },
		{ 128 * MIB, 64 * MIB }, { 192 * MIB, 40 * MIB },
	};
	struct gmem *g = file(FAKE_GMEM, &huge, GIB);
	uint64_t done, stop = 96 * MIB;

	assert_int_equal(gmem_populate(g, 32 * MIB, 200 * MIB, NULL, NULL, &done), 0);
	assert_int_equal(done, 200 * MIB);
	assert_int_equal(f.calls[FAKE_ALLOCATE], 4);
	assert_memory_equal(f.allocated, want, sizeof(want));
	assert_int_equal(gmem_populate(g, 32 * MIB, 200 * MIB, stop_at, &stop, &done), -ECANCELED);
	assert_int_equal(done, stop);
	f.fail[FAKE_ALLOCATE][8] = -EINTR;
	assert_int_equal(gmem_populate(g, 0, 2 * 64 * MIB, NULL, NULL, &done), 0);
	assert_int_equal(gmem_populate(g, 0, 2 * 64 * MIB, NULL, NULL, &done), -EINTR);
	assert_int_equal(done, 0);
	put(g);
}

static void populate_gigantic(void **state)
{
	struct gmem *g = file(FAKE_GMEM, &gigantic, 4 * GIB);

	assert_int_equal(gmem_populate(g, 0, 4 * GIB, NULL, NULL, NULL), 0);
	assert_int_equal(f.calls[FAKE_ALLOCATE], 4);
	put(g);
}

static void populate_bad(void **state)
{
	struct gmem *g = file(FAKE_GMEM, &pages, MIB);
	uint64_t done = 5;

	assert_int_equal(gmem_populate(g, 0, 0, NULL, NULL, &done), -EINVAL);
	assert_int_equal(gmem_populate(g, 0, MIB + 4096, NULL, NULL, &done), -EINVAL);
	assert_int_equal(gmem_populate(g, UINT64_MAX - 4095, 8192, NULL, NULL, &done), -EINVAL);
	assert_int_equal(done, 0);
	f.fail[FAKE_ALLOCATE][0] = -ENOMEM;
	assert_int_equal(gmem_populate(g, 0, MIB, NULL, NULL, &done), -ENOMEM);
	assert_int_equal(f.calls[FAKE_ALLOCATE], 1);
	put(g);
}

static int let_go(uint64_t offset, void *arg)
{
	unsigned int *asked = arg;

	assert_int_equal(offset, 5 * 4096);
	return ++*asked == 3;
}

static void convert_retries(void **state)
{
	struct gmem_retry retry = { .tries = 5, .wait_us = 100, .max_wait_us = 300 };
	struct gmem *g = file(FAKE_GMEM, &pages, 64 * 4096);
	unsigned int i, asked = 0;
	uint64_t where = 1;

	f.error_offset = 5 * 4096;
	for (i = 0; i < 4; i++)
		f.fail[FAKE_SET][i] = -EAGAIN;
	assert_int_equal(gmem_convert(g, 0, 8 * 4096, true, &retry, &where), 0);
	assert_int_equal(f.nr_slept, 4);
	assert_int_equal(f.slept[0], 100);
	assert_int_equal(f.slept[1], 200);
	assert_int_equal(f.slept[2], 300);
	assert_int_equal(f.slept[3], 300);
	assert_true(f.page_private[7] && !f.page_private[8]);

	for (i = 5; i < FAKE_CALLS; i++)
		f.fail[FAKE_SET][i] = -EAGAIN;
	assert_int_equal(gmem_convert(g, 0, 4096, false, &retry, &where), -EAGAIN);
	assert_int_equal(f.calls[FAKE_SET], 10);
	assert_int_equal(where, 5 * 4096);
	assert_int_equal(gmem_convert(g, 0, 4096, false, NULL, NULL), -EAGAIN);
	assert_int_equal(f.calls[FAKE_SET], 11);
	retry.held = let_go;
	retry.arg = &asked;
	retry.tries = 20;
	assert_int_equal(gmem_convert(g, 0, 4096, false, &retry, &where), -EAGAIN);
	assert_int_equal(asked, 3);
	assert_int_equal(f.calls[FAKE_SET], 14);
	put(g);
}

static void convert_fails(void **state)
{
	struct gmem_retry retry = { .tries = 5 };
	struct gmem *g = file(FAKE_GMEM, &pages, 64 * 4096);
	uint64_t where = 1;

	f.error_offset = 4096;
	f.fail[FAKE_SET][0] = -EIO;
	assert_int_equal(gmem_convert(g, 0, 4096, true, &retry, &where), -EIO);
	assert_int_equal(where, 1);
	f.fail[FAKE_SET][1] = -ENOMEM;
	assert_int_equal(gmem_convert(g, 4096, 4096, true, &retry, &where), -ENOMEM);
	assert_int_equal(where, 4096);
	assert_int_equal(gmem_convert(g, 1, 4096, true, &retry, &where), -EINVAL);
	retry.flags = 1;
	assert_int_equal(gmem_convert(g, 0, 4096, true, &retry, &where), -EINVAL);
	retry.flags = 0;
	assert_int_equal(f.calls[FAKE_SET], 2);
	assert_int_equal(f.nr_slept, 0);
	put(g);
	g = file(FAKE_STOCK, &pages, 64 * 4096);
	assert_int_equal(gmem_convert(g, 0, 4096, true, &retry, &where), -ENOTTY);
	put(g);
}

static void punch_retries(void **state)
{
	struct gmem_retry retry = { .tries = 3 };
	struct gmem *g = file(FAKE_GMEM, &pages, 64 * 4096);

	f.fail[FAKE_PUNCH][0] = -EAGAIN;
	assert_int_equal(gmem_punch(g, 0, 4096, &retry), 0);
	assert_int_equal(f.calls[FAKE_PUNCH], 2);
	assert_int_equal(f.nr_slept, 0);
	f.fail[FAKE_PUNCH][2] = -EAGAIN;
	assert_int_equal(gmem_punch(g, 0, 4096, NULL), -EAGAIN);
	assert_int_equal(gmem_punch(g, 1ULL << 63, 4096, NULL), -EINVAL);
	assert_int_equal(gmem_punch(g, 0, 1ULL << 63, NULL), -EINVAL);
	retry.flags = 1;
	assert_int_equal(gmem_punch(g, 0, 4096, &retry), -EINVAL);
	assert_int_equal(f.calls[FAKE_PUNCH], 3);
	put(g);
}

/* What is reserved is 0 whatever was there, or it could not get a meaning. */
static void reserved_is_zero(void **state)
{
	static const uint8_t zero[64];
	struct gmem *g = file(FAKE_GMEM, &pages, 64 * 4096);
	struct gmem_info info;
	struct gmem_run r;

	memset(&info, 0xff, sizeof(info));
	gmem_info(g, &info);
	assert_memory_equal(info.reserved, zero, sizeof(info.reserved));
	memset(&r, 0xff, sizeof(r));
	assert_int_equal(gmem_runs(g, 0, &r, 1), 1);
	assert_memory_equal(r.reserved, zero, sizeof(r.reserved));
	gmem_close(g);
	f.open = 1;
	assert_int_equal(gmem_adopt_sys(&f.sys, FAKE_FILE, &g), 0);
	memset(&info, 0xff, sizeof(info));
	gmem_info(g, &info);
	assert_memory_equal(info.reserved, zero, sizeof(info.reserved));
	put(g);
	/* No byte that has no name. */
	assert_int_equal(sizeof(info), 64);
	assert_int_equal(sizeof(r), 64);
	assert_int_equal(offsetof(struct gmem_info, reserved) + sizeof(info.reserved), 64);
	assert_int_equal(offsetof(struct gmem_run, reserved) + sizeof(r.reserved), 64);
}

static void runs(void **state)
{
	struct gmem *g = file(FAKE_GMEM, &pages, 64 * 4096);
	struct gmem_run r[8];

	assert_int_equal(gmem_convert(g, 4 * 4096, 2 * 4096, true, NULL, NULL), 0);
	assert_int_equal(gmem_populate(g, 5 * 4096, 59 * 4096, NULL, NULL, NULL), 0);
	assert_int_equal(gmem_runs(g, 0, r, 8), 4);
	assert_int_equal(r[0].size, 4 * 4096);
	assert_true(!r[0].is_private && !r[0].populated && !r[0].block);
	assert_true(r[1].is_private && !r[1].populated && r[1].size == 4096);
	assert_true(r[2].is_private && r[2].populated && r[2].block == 4096);
	assert_int_equal(r[3].offset, 6 * 4096);
	assert_int_equal(r[3].size, 58 * 4096);
	assert_int_equal(gmem_runs(g, 0, r, 2), 2);
	assert_int_equal(gmem_runs(g, r[1].offset + r[1].size, r, 8), 2);
	assert_int_equal(gmem_runs(g, 0, r, 0), 0);
	assert_int_equal(gmem_runs(g, 64 * 4096, r, 8), -EINVAL);
	assert_int_equal(gmem_runs(g, 5, r, 8), -EINVAL);
	f.get_size = 65 * 4096;
	assert_int_equal(gmem_runs(g, 0, r, 8), -EBADMSG);
	f.get_size = 0;
	memset(f.fail[FAKE_GET], 0, sizeof(f.fail[FAKE_GET]));
	f.fail[FAKE_GET][f.calls[FAKE_GET] + 1] = -EIO;
	assert_int_equal(gmem_runs(g, 0, r, 8), -EIO);
	put(g);
	g = file(FAKE_UPSTREAM, &pages, 64 * 4096);
	assert_int_equal(gmem_runs(g, 0, r, 8), -ENOTTY);
	put(g);
}

#define PARSE(text)	gmem_parse_fdinfo(text, strlen(text), &st)

static void parse(void **state)
{
	struct gmem_stats st;

	assert_int_equal(PARSE("pos:\t0\nino:\t12\ngmem-size:\t4096\ngmem-flags:\t0x3\n"
			       "gmem-new:\tword\nnonsense\n\n"), 0);
	assert_true(st.present == (1ULL << GMEM_STAT_SIZE | 1ULL << GMEM_STAT_FLAGS |
				   1ULL << GMEM_STAT_INO));
	assert_int_equal(st.value[GMEM_STAT_SIZE], 4096);
	assert_int_equal(st.value[GMEM_STAT_FLAGS], 3);
	assert_int_equal(st.value[GMEM_STAT_INO], 12);
	assert_int_equal(PARSE(""), -EOPNOTSUPP);
	assert_int_equal(PARSE("pos:\t0\nino:\t1\n"), -EOPNOTSUPP);
	assert_int_equal(PARSE("gmem-size:\t4096"), -EBADMSG);
	assert_int_equal(PARSE("gmem-size:\n"), -EBADMSG);
	assert_int_equal(PARSE("gmem-size:\t-1\n"), -EBADMSG);
	assert_int_equal(PARSE("gmem-size:\t1\t\n"), -EBADMSG);
	assert_int_equal(PARSE("gmem-size:\t0x\n"), -EBADMSG);
	assert_int_equal(PARSE("gmem-size:\t12g\n"), -EBADMSG);
	assert_int_equal(PARSE("gmem-size:\t1\ngmem-size:\t1\n"), -EBADMSG);
	assert_int_equal(PARSE("gmem-size:\t18446744073709551615\n"), 0);
	assert_true(st.value[GMEM_STAT_SIZE] == UINT64_MAX);
	assert_int_equal(PARSE("gmem-size:\t18446744073709551616\n"), -EBADMSG);
	assert_int_equal(PARSE("gmem-size:\t0xffffffffffffffff\n"), 0);
	assert_true(st.value[GMEM_STAT_SIZE] == UINT64_MAX);
	assert_int_equal(PARSE("gmem-size:\t0x10000000000000000\n"), -EBADMSG);
	assert_int_equal(gmem_parse_fdinfo("gmem-size:\t1\0\n", 14, &st), -EBADMSG);
}

#define NODE(text)	gmem_next_node(text, strlen(text), &node, &bytes)

static void parse_nodes(void **state)
{
	static const char three[] = "ino:\t1\ngmem-node7:\t4096\ngmem-nodes:\t9\n"
		"gmem-node0:\t2097152\nnonsense\ngmem-node12:\t1\n";
	static const struct {
		int node;
		uint64_t bytes;
	} want[3] = { { 0, 2097152 }, { 7, 4096 }, { 12, 1 } };
	uint64_t bytes = 5;
	int node = -1, i;

	assert_int_equal(NODE("gmem-size:\t4096\n"), 0);
	assert_int_equal(NODE(""), 0);
	assert_int_equal(node, -1);
	assert_int_equal(bytes, 5);
	for (i = 0; i < 3; i++) {
		assert_int_equal(NODE(three), 1);
		assert_int_equal(node, want[i].node);
		assert_int_equal(bytes, want[i].bytes);
	}
	assert_int_equal(NODE(three), 0);
	assert_int_equal(node, 12);
	node = -1;
	assert_int_equal(NODE("gmem-node1:\t1\ngmem-node1:\t1\n"), -EBADMSG);
	assert_int_equal(NODE("gmem-node1:\t1"), -EBADMSG);
	assert_int_equal(NODE("gmem-node1:\tx\n"), -EBADMSG);
	assert_int_equal(NODE("gmem-node1y:\t1\n"), -EBADMSG);
	assert_int_equal(NODE("gmem-node2147483648:\t1\n"), -EBADMSG);
	assert_int_equal(NODE("gmem-node2147483647:\t1\n"), 1);
	assert_int_equal(NODE("gmem-node2147483647:\t1\n"), 0);
}

/* 200 locks, then what is looked for, in pieces of any size; and all of one number. */
static void stats_and_locks(void **state)
{
	struct gmem *g = file(FAKE_GMEM, &pages, 64 * 4096);
	static char text[16384];
	struct gmem_stats st;
	unsigned int i;
	size_t len;

	len = sprintf(text, "pos:\t0\nino:\t7\n");
	for (i = 0; i < 200; i++)
		len += sprintf(text + len, "lock:\t%u: POSIX  ADVISORY  READ 1234 00:0f:7 %u %u\n",
			       i + 1, 2 * i, 2 * i);
	sprintf(text + len, "gmem-size:\t8192\ngmem-poisoned:\t4096\n");
	f.fdinfo = text;
	for (i = 0; i < 1200; i++) {
		f.read_size = i;
		assert_int_equal(gmem_stats(g, &st), 0);
		assert_true(st.present == (1ULL << GMEM_STAT_SIZE | 1ULL << GMEM_STAT_POISONED |
					   1ULL << GMEM_STAT_INO));
		assert_int_equal(st.value[GMEM_STAT_INO], 7);
		assert_int_equal(st.value[GMEM_STAT_SIZE], 8192);
		assert_int_equal(st.value[GMEM_STAT_POISONED], 4096);
	}
	strcat(text, "gmem-live:\t5");
	assert_int_equal(gmem_stats(g, &st), -EBADMSG);
	assert_int_equal(f.open, 1);
	put(g);
}

static void stats_too_long(void **state)
{
	struct gmem *g = file(FAKE_GMEM, &pages, 64 * 4096);
	static char text[5000];
	struct gmem_stats st;

	/* One line, of no file. */
	memset(text, 'x', sizeof(text) - 2);
	text[sizeof(text) - 2] = '\n';
	f.fdinfo = text;
	assert_int_equal(gmem_stats(g, &st), -EBADMSG);
	f.fdinfo = NULL;
	assert_int_equal(gmem_stats(g, &st), 0);
	assert_int_equal(st.value[GMEM_STAT_SIZE], 64 * 4096);
	put(g);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(probe_none), cmocka_unit_test(probe_stock),
		cmocka_unit_test(probe_upstream), cmocka_unit_test(probe_gmem),
		cmocka_unit_test(probe_fails), cmocka_unit_test(create_falls_back),
		cmocka_unit_test(create_stops), cmocka_unit_test(create_nonsense),
		cmocka_unit_test(adopt), cmocka_unit_test(adopt_stock),
		cmocka_unit_test(bind_passes_on), cmocka_unit_test(map_replaces_on_request),
		cmocka_unit_test(reserved_is_zero), cmocka_unit_test(populate_steps),
		cmocka_unit_test(populate_gigantic), cmocka_unit_test(populate_bad),
		cmocka_unit_test(convert_retries), cmocka_unit_test(convert_fails),
		cmocka_unit_test(punch_retries), cmocka_unit_test(runs),
		cmocka_unit_test(parse), cmocka_unit_test(parse_nodes),
		cmocka_unit_test(stats_and_locks),
		cmocka_unit_test(stats_too_long),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("fake", tests, NULL, NULL);
}
