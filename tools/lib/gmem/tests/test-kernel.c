// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The library against the kernel that runs, with gmem or without: what is expected
 * is decided by whether /sys/kernel/mm/gmem is there. Pools and counters are after
 * each test what they were before.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/kvm.h>

#include "gmem.h"
#include "snapshot.h"

#define PAGE	4096ULL
#define MIB	(1ULL << 20)
#define GIB	(1ULL << 30)

#define SHARED	(GMEM_MAPPABLE | GMEM_INIT_SHARED)

static const struct gmem_spec pages = { PAGE, GMEM_PAGES, SHARED };
static const struct gmem_spec buddy = { 2 * MIB, GMEM_BUDDY, SHARED };
static const struct gmem_spec pool = { 2 * MIB, GMEM_HUGETLB, SHARED };

static bool have_gmem;
static int kvm_fd, vm_fd = -1;		/* of the type that has private memory */

static int setup(void **state)
{
	snapshot_take();
	vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	return vm_fd < 0;
}

static int teardown(void **state)
{
	close(vm_fd);
	snapshot_compare();
	return 0;
}

static struct gmem *file(const struct gmem_spec *spec, uint64_t size)
{
	struct gmem *g = NULL;

	assert_int_equal(gmem_create(vm_fd, size, spec, 1, NULL, &g), 0);
	return g;
}

static uint64_t stat_of(const struct gmem *g, enum gmem_stat key)
{
	struct gmem_stats st;

	assert_int_equal(gmem_stats(g, &st), 0);
	assert_true(st.present >> key & 1);
	return st.value[key];
}

static uint64_t held(const struct gmem *g)
{
	struct stat st;

	assert_int_equal(fstat(gmem_fd(g), &st), 0);
	return st.st_blocks * 512ULL;
}

static void probe(void **state)
{
	struct gmem_caps caps;

	assert_int_equal(gmem_probe(vm_fd, &caps), 0);
	assert_true(caps.guest_memfd);
	assert_int_equal(caps.stats, have_gmem);
	assert_int_equal(caps.in_place, have_gmem);
	assert_int_equal(caps.readable, have_gmem);
	assert_int_equal(caps.no_direct_map, have_gmem);
	assert_int_equal(caps.buddy_2m, have_gmem);
	assert_int_equal(caps.hugetlb_2m, have_gmem);
	assert_true(caps.mappable && caps.vm_attributes);
	/* 7.3 refuses it for VMs with private memory. */
	assert_int_equal(caps.init_shared, have_gmem);
}

static void probe_ordinary(void **state)
{
	int vm = ioctl(kvm_fd, KVM_CREATE_VM, KVM_X86_DEFAULT_VM);
	struct gmem_caps caps;

	assert_true(vm >= 0);
	assert_int_equal(gmem_probe(vm, &caps), 0);
	assert_true(caps.guest_memfd && caps.mappable && caps.init_shared);
	assert_false(caps.in_place || caps.readable || caps.vm_attributes);
	assert_int_equal(caps.stats, have_gmem);
	close(vm);
	assert_int_equal(gmem_probe(vm, &caps), -EBADF);
	vm = open("/dev/null", O_RDWR);
	assert_int_equal(gmem_probe(vm, &caps), -ENOTTY);
	close(vm);
}

static void falls_back(void **state)
{
	const struct gmem_spec specs[] = {
		{ GIB, GMEM_HUGETLB, GMEM_MAPPABLE }, { 2 * MIB, GMEM_BUDDY, GMEM_MAPPABLE },
		{ PAGE, GMEM_PAGES, GMEM_MAPPABLE },
	};
	struct gmem_info info;
	unsigned int which;
	struct stat st;
	struct gmem *g;

	/* More gigabytes than any pool of a test has. */
	assert_int_equal(gmem_create(vm_fd, 64 * GIB, specs, 3, &which, &g), 0);
	assert_int_equal(which, have_gmem ? 1 : 2);
	gmem_info(g, &info);
	assert_int_equal(info.block, specs[which].block);
	assert_int_equal(info.tracks, have_gmem);
	assert_int_equal(fstat(gmem_fd(g), &st), 0);
	assert_int_equal(st.st_blksize, info.block);
	assert_int_equal(st.st_size, 64 * GIB);
	gmem_close(g);
	assert_int_equal(gmem_create(vm_fd, 64 * GIB, specs, 1, &which, &g),
			 have_gmem ? -ENOMEM : -EINVAL);
	assert_int_equal(gmem_create(-1, PAGE, specs + 2, 1, &which, &g), -EBADF);
}

static void adopt(void **state)
{
	struct gmem_spec spec = have_gmem ? pool : (struct gmem_spec){ PAGE, GMEM_PAGES, 0 };
	struct gmem *g = file(&spec, 4 * MIB), *other = NULL;
	struct gmem_info info;
	int fd;

	assert_int_equal(fcntl(gmem_fd(g), F_GETFD), FD_CLOEXEC);
	assert_int_equal(gmem_adopt(dup(gmem_fd(g)), &other), 0);
	gmem_close(g);
	gmem_info(other, &info);
	assert_int_equal(info.size, 4 * MIB);
	assert_int_equal(info.block, spec.block);
	assert_int_equal(info.source, spec.source);
	assert_int_equal(info.flags, spec.flags);
	assert_int_equal(info.tracks, have_gmem);
	gmem_close(other);
	fd = open("/tmp/[kvm-gmem]", O_RDWR | O_CREAT, 0600);
	assert_int_equal(gmem_adopt(fd, &other), -EINVAL);
	close(fd);
	unlink("/tmp/[kvm-gmem]");
	assert_int_equal(gmem_adopt(fd, &other), -EBADF);
}

/* Opened and unlinked in the root, it has the name that KVM gives. */
static void adopt_impostor(void **state)
{
	int fd = open("/[kvm-gmem]", O_RDWR | O_CREAT, 0600);
	struct gmem *g = NULL;
	char name[64] = "", path[64];

	assert_true(fd >= 0);
	assert_int_equal(unlink("/[kvm-gmem]"), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_true(readlink(path, name, sizeof(name) - 1) > 0);
	assert_string_equal(name, "/[kvm-gmem] (deleted)");
	assert_int_equal(gmem_adopt(fd, &g), -EINVAL);
	assert_null(g);
	close(fd);
}

/* Each lock is a line of fdinfo. */
static void adopt_locked(void **state)
{
	struct gmem_spec spec = { PAGE, GMEM_PAGES, GMEM_MAPPABLE };
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1 };
	struct gmem *g = file(&spec, 4 * MIB), *other = NULL;
	struct gmem_stats st;
	unsigned int i;

	for (i = 0; i < 200; i++) {
		lock.l_start = 2 * i;
		assert_int_equal(fcntl(gmem_fd(g), F_SETLK, &lock), 0);
	}
	assert_int_equal(gmem_stats(g, &st), have_gmem ? 0 : -EOPNOTSUPP);
	if (have_gmem)
		assert_int_equal(stat_of(g, GMEM_STAT_SIZE), 4 * MIB);
	assert_int_equal(gmem_adopt(dup(gmem_fd(g)), &other), 0);
	gmem_close(other);
	gmem_close(g);
}

static void slots(void **state)
{
	struct gmem_spec spec = { PAGE, GMEM_PAGES, GMEM_MAPPABLE };
	struct gmem *g = file(&spec, 4 * MIB);
	struct gmem_slot slot = { .slot = 1, .gpa = GIB, .offset = MIB, .size = 2 * MIB };

	assert_int_equal(gmem_bind(g, vm_fd, &slot), 0);
	slot.slot = 2;
	slot.gpa = 2 * GIB;
	assert_int_equal(gmem_bind(g, vm_fd, &slot), -EEXIST);
	slot.offset = 3 * MIB;
	assert_int_equal(gmem_bind(g, vm_fd, &slot), -EINVAL);
	slot.size = MIB;
	assert_int_equal(gmem_bind(g, vm_fd, &slot), 0);
	if (have_gmem)
		assert_int_equal(stat_of(g, GMEM_STAT_BINDINGS), 2);
	assert_int_equal(gmem_unbind(g, vm_fd, 1), 0);
	assert_int_equal(gmem_unbind(g, vm_fd, 1), -EINVAL);
	assert_int_equal(gmem_unbind(g, vm_fd, 2), 0);
	gmem_close(g);
}

/* What is mapped somewhere goes only if that is asked for. */
static void mapping(void **state)
{
	struct gmem_spec spec = { PAGE, GMEM_PAGES, GMEM_MAPPABLE };
	struct gmem *g = file(&spec, 4 * MIB);
	char *mine = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void *p = mine;

	assert_true(mine != MAP_FAILED);
	mine[0] = 7;
	assert_int_equal(gmem_map(g, 0, PAGE, PROT_READ, NULL, 0, &p), 0);
	assert_ptr_not_equal(p, mine);
	assert_int_equal(gmem_unmap(g, p, PAGE), 0);
	p = NULL;
	assert_int_equal(gmem_map(g, 0, PAGE, PROT_READ, mine, 0, &p), -EEXIST);
	assert_null(p);
	assert_int_equal(mine[0], 7);
	assert_int_equal(gmem_map(g, 0, PAGE, PROT_READ, mine, GMEM_MAP_FIXED, &p), 0);
	assert_ptr_equal(p, mine);
	assert_int_equal(gmem_unmap(g, p, PAGE), 0);
	assert_int_equal(gmem_map(g, 0, PAGE, PROT_READ, mine, 0, &p), 0);
	assert_ptr_equal(p, mine);
	assert_int_equal(gmem_unmap(g, p, PAGE), 0);
	gmem_close(g);
}

/* Both files that say what it is are in /proc. */
static void adopt_without_proc(void **state)
{
	struct gmem_spec spec = { PAGE, GMEM_PAGES, GMEM_MAPPABLE };
	struct gmem *g = file(&spec, PAGE), *other = NULL;
	int status;
	pid_t pid;

	pid = fork();
	if (!pid)
		_exit(chroot("/tmp") || gmem_adopt(gmem_fd(g), &other) != -ENOENT || other);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	gmem_close(g);
}

/* What gmem(7) says about a kernel where nothing is shared at first. */
static void memory_beside(void **state)
{
	const struct gmem_spec specs[] = {
		{ GIB, GMEM_HUGETLB, SHARED }, { GIB, GMEM_BUDDY, SHARED },
		{ PAGE, GMEM_PAGES, SHARED }, { PAGE, GMEM_PAGES, 0 },
	};
	struct kvm_memory_attributes private = {
		.size = 2 * MIB, .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE,
	};
	struct gmem_slot slot = { .size = GIB };
	struct gmem *g = NULL;
	unsigned int which;
	void *p;

	assert_int_equal(gmem_create(vm_fd, GIB, specs, 3, &which, &g), -EINVAL);
	assert_int_equal(gmem_create(vm_fd, GIB, specs, 4, &which, &g), 0);
	assert_int_equal(which, 3);
	assert_int_equal(gmem_map(g, 0, GIB, PROT_READ, NULL, 0, &p), -ENODEV);
	assert_int_equal(gmem_convert(g, 0, PAGE, true, NULL, NULL), -ENOTTY);
	slot.host = mmap(NULL, GIB, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(slot.host != MAP_FAILED);
	assert_int_equal(gmem_bind(g, vm_fd, &slot), 0);
	assert_int_equal(ioctl(vm_fd, KVM_SET_MEMORY_ATTRIBUTES, &private), 0);
	assert_int_equal(gmem_unbind(g, vm_fd, 0), 0);
	munmap(slot.host, GIB);
	gmem_close(g);
}

static void without(void **state)
{
	struct gmem_spec spec = { PAGE, GMEM_PAGES, GMEM_MAPPABLE };
	uint64_t where = 5, done;
	struct gmem_stats st;
	struct gmem_run run;
	struct gmem *g;

	g = file(&spec, 4 * MIB);
	assert_int_equal(gmem_convert(g, 0, PAGE, true, NULL, &where), -ENOTTY);
	assert_int_equal(where, 5);
	assert_int_equal(gmem_runs(g, 0, &run, 1), -ENOTTY);
	assert_int_equal(gmem_stats(g, &st), -EOPNOTSUPP);
	assert_int_equal(gmem_populate(g, 0, 2 * MIB, NULL, NULL, &done), 0);
	assert_int_equal(done, 2 * MIB);
	/* 7.3 does not say what is held. */
	assert_int_equal(held(g), 0);
	assert_int_equal(gmem_punch(g, 0, MIB, NULL), 0);
	gmem_close(g);
}

static void check_conversion(const struct gmem_spec *spec)
{
	struct gmem *g = file(spec, 8 * MIB);
	struct gmem_run r[4];
	void *p;

	assert_int_equal(gmem_map(g, 0, 8 * MIB, PROT_READ | PROT_WRITE, NULL, 0, &p), 0);
	memset(p, 0x5a, 3 * PAGE);
	assert_int_equal(held(g), stat_of(g, GMEM_STAT_ALLOCATED));
	assert_int_equal(held(g), spec->block == PAGE ? 3 * PAGE : 2 * MIB);
	assert_int_equal(stat_of(g, GMEM_STAT_SHARED), held(g));
	assert_int_equal(gmem_convert(g, PAGE, PAGE, true, NULL, NULL), 0);
	assert_int_equal(stat_of(g, GMEM_STAT_PRIVATE), PAGE);
	assert_int_equal(stat_of(g, GMEM_STAT_CONVERSIONS), 1);
	assert_int_equal(gmem_runs(g, 0, r, 3), 3);
	assert_int_equal(r[0].size, PAGE);
	assert_true(!r[0].is_private && r[0].populated && r[0].block == spec->block);
	assert_int_equal(r[1].offset, PAGE);
	assert_int_equal(r[1].size, PAGE);
	assert_true(r[1].is_private && r[1].populated);
	assert_false(r[2].is_private);
	assert_int_equal(gmem_convert(g, 0, 8 * MIB, false, NULL, NULL), 0);
	assert_int_equal(((char *)p)[PAGE], 0x5a);
	assert_int_equal(stat_of(g, GMEM_STAT_PRIVATE), 0);
	assert_int_equal(gmem_punch(g, 0, 8 * MIB, NULL), 0);
	assert_int_equal(held(g), 0);
	assert_int_equal(gmem_runs(g, 0, r, 4), 1);
	assert_true(!r[0].populated && !r[0].block && r[0].size == 8 * MIB);
	assert_int_equal(gmem_unmap(g, p, 8 * MIB), 0);
	gmem_close(g);
}

static void conversion(void **state)
{
	check_conversion(&pages);
	check_conversion(&buddy);
	check_conversion(&pool);
}

struct holder {
	int pipe[2];
	unsigned int asked;
	uint64_t where;
};

static int release(uint64_t offset, void *arg)
{
	struct holder *h = arg;
	char c[PAGE];

	h->where = offset;
	h->asked++;
	return read(h->pipe[0], c, sizeof(c)) != sizeof(c);
}

/* A pipe holds a page, until the library asks for it. */
static void holder(void **state)
{
	struct holder h = { };
	struct gmem_retry retry = { .tries = 3, .held = release, .arg = &h };
	struct iovec iov = { .iov_len = PAGE };
	struct gmem *g;
	void *p;
	uint64_t where = 1;

	g = file(&buddy, 4 * MIB);
	assert_int_equal(gmem_map(g, 0, 4 * MIB, PROT_READ | PROT_WRITE, NULL, 0, &p), 0);
	assert_int_equal(pipe(h.pipe), 0);
	iov.iov_base = (char *)p + 7 * PAGE;
	memset(iov.iov_base, 1, PAGE);
	assert_int_equal(gmem_populate(g, 0, 4 * MIB, NULL, NULL, NULL), 0);
	assert_int_equal(vmsplice(h.pipe[1], &iov, 1, 0), PAGE);
	assert_int_equal(gmem_convert(g, 0, 4 * MIB, true, NULL, &where), -EAGAIN);
	assert_int_equal(where, 7 * PAGE);
	assert_int_equal(stat_of(g, GMEM_STAT_PRIVATE), 0);
	assert_int_equal(stat_of(g, GMEM_STAT_EAGAIN), 1);
	assert_int_equal(gmem_punch(g, 0, 4 * MIB, NULL), -EAGAIN);
	assert_int_equal(gmem_convert(g, 0, 4 * MIB, true, &retry, &where), 0);
	assert_int_equal(h.asked, 1);
	assert_int_equal(h.where, 7 * PAGE);
	assert_int_equal(stat_of(g, GMEM_STAT_PRIVATE), 4 * MIB);
	close(h.pipe[0]);
	close(h.pipe[1]);
	gmem_unmap(g, p, 4 * MIB);
	gmem_close(g);
}

static int count(uint64_t done, uint64_t size, void *arg)
{
	unsigned int *calls = arg;

	assert_int_equal(size, 160 * MIB);
	++*calls;
	assert_int_equal(done, *calls == 3 ? 160 * MIB : *calls * 64 * MIB);
	return 0;
}

static void populate(void **state)
{
	unsigned int calls = 0;
	struct gmem *g;
	uint64_t done;

	g = file(&buddy, 160 * MIB);
	assert_int_equal(gmem_populate(g, 0, 160 * MIB, count, &calls, &done), 0);
	assert_int_equal(calls, 3);
	assert_int_equal(done, 160 * MIB);
	assert_int_equal(held(g), 160 * MIB);
	gmem_close(g);
}

#define THREADS	8
#define ROUNDS	100

struct worker {
	pthread_t thread;
	struct gmem *g;
	uint64_t offset;
	int err;
};

/* Its own megabyte, and back again but for the last time; what it sees is what it set. */
static void *work(void *arg)
{
	struct worker *w = arg;
	struct gmem_run r;
	unsigned int i;

	for (i = 0; i < ROUNDS && !w->err; i++) {
		w->err = gmem_convert(w->g, w->offset, MIB, !(i & 1), NULL, NULL);
		if (!w->err && gmem_runs(w->g, w->offset, &r, 1) != 1)
			w->err = -ENODATA;
		if (!w->err && r.is_private != !(i & 1))
			w->err = -EILSEQ;
	}
	return NULL;
}

static void threads(void **state)
{
	struct worker w[THREADS] = { };
	struct gmem *g;
	unsigned int i;

	g = file(&buddy, THREADS * MIB);
	for (i = 0; i < THREADS; i++) {
		w[i].g = g;
		w[i].offset = i * MIB;
		assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].err, 0);
	}
	assert_int_equal(stat_of(g, GMEM_STAT_CONVERSIONS), THREADS * ROUNDS);
	assert_int_equal(stat_of(g, GMEM_STAT_PRIVATE), 0);
	gmem_close(g);
}

#define TEST(fn)	cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	static const struct CMUnitTest with_gmem[] = {
		TEST(probe), TEST(probe_ordinary), TEST(falls_back), TEST(adopt),
		TEST(adopt_impostor), TEST(adopt_locked), TEST(adopt_without_proc), TEST(slots),
		TEST(mapping), TEST(conversion), TEST(holder), TEST(populate), TEST(threads),
	};
	static const struct CMUnitTest without_gmem[] = {
		TEST(probe), TEST(probe_ordinary), TEST(falls_back), TEST(adopt),
		TEST(adopt_impostor), TEST(adopt_locked), TEST(adopt_without_proc), TEST(slots),
		TEST(mapping), TEST(memory_beside), TEST(without),
	};

	have_gmem = !access("/sys/kernel/mm/gmem", F_OK);
	kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return have_gmem ? cmocka_run_group_tests_name("kernel", with_gmem, NULL, NULL) :
			   cmocka_run_group_tests_name("kernel", without_gmem, NULL, NULL);
}
