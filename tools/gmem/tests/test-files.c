// SPDX-License-Identifier: GPL-2.0-only
/* Verbs against files that change while they are read, and that deceive. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "common.h"

/* For the threads. */
static bool finished;

#define THREADS	8

static unsigned int rest_us;		/* after each two conversions */

static void *churn(void *arg)
{
	static unsigned int nr;
	uint64_t at = __atomic_fetch_add(&nr, 1, __ATOMIC_RELAXED) % THREADS * 4 * MIB;
	struct gmem *g = arg;
	unsigned int rest;
	int ret = 0;

	while (!ret && !__atomic_load_n(&finished, __ATOMIC_RELAXED)) {
		ret = gmem_convert(g, at, 4 * MIB, true, NULL, NULL);
		ret = ret ? ret : gmem_convert(g, at + PAGE, 6 * PAGE, false, NULL, NULL);
		rest = __atomic_load_n(&rest_us, __ATOMIC_RELAXED);
		if (rest)
			usleep(rest);
	}
	return (void *)(long)ret;
}

/* How many results are of comparing runs. */
static unsigned int of_runs(struct json_object *report)
{
	struct json_object *results = member(report, "results");
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < json_object_array_length(results); i++)
		n += !strncmp(text(json_object_array_get_idx(results, i), "check"), "runs ", 5);
	return n;
}

/* Compared or not, and then it says so; compared when the file rests now and then. */
static void check_under_load(const struct gmem *g)
{
	struct json_object *o;
	uint64_t before;
	unsigned int i;
	int status;

	for (i = 0; i < 5; i++) {
		status = gmem("check %s --json", name_of(g));
		o = parse_valid(out);
		assert_int_equal(number(o, "failed"), 0);
		assert_int_equal(number(o, "busy"), status);
		assert_int_equal(!of_runs(o), status);
		json_object_put(o);
	}
	__atomic_store_n(&rest_us, 200000, __ATOMIC_RELAXED);
	before = kernel_says(g, "gmem-conversions");
	for (i = 0; i < 5; i++) {
		o = gmem_json(0, "check %s", name_of(g));
		assert_int_equal(number(o, "failed"), 0);
		assert_int_equal(number(o, "busy"), 0);
		assert_true(of_runs(o) > 0);
		json_object_put(o);
	}
	assert_true(kernel_says(g, "gmem-conversions") > before);
}

/* Within each reading the numbers agree, whatever eight threads do meanwhile. */
static void agreement(void **state)
{
	struct gmem *g = create_mixed();
	pthread_t thread[THREADS];
	struct json_object *o, *one;
	unsigned int i;
	void *ret;

	__atomic_store_n(&finished, false, __ATOMIC_RELAXED);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, churn, g), 0);
	for (i = 0; i < 50; i++) {
		o = gmem_json(0, "list");
		one = listed(o, g);
		assert_int_equal(number(one, "private") + number(one, "shared"),
				 number(one, "allocated"));
		assert_int_equal(number(one, "allocated"), 32 * MIB);
		json_object_put(o);
	}
	check_under_load(g);
	__atomic_store_n(&finished, true, __ATOMIC_RELAXED);
	for (i = 0; i < THREADS; i++) {
		pthread_join(thread[i], &ret);
		assert_null(ret);
	}
	assert_true(kernel_says(g, "gmem-conversions") > 3);
	assert_int_equal(gmem("check"), 0);
	gmem_close(g);
}

static void *replace(void *arg)
{
	int ret = 0;

	while (!ret && !__atomic_load_n(&finished, __ATOMIC_RELAXED)) {
		ret = gmem_punch(arg, 7 * PAGE, PAGE, NULL);
		ret = ret ? ret : gmem_populate(arg, 7 * PAGE, PAGE, NULL, NULL, NULL);
	}
	return (void *)(long)ret;
}

/* A page goes and another one comes: the numbers are as before, and nothing is wrong. */
static void replaced(void **state)
{
	struct gmem *g = create(MIB, PAGE, GMEM_PAGES, GMEM_MAPPABLE | GMEM_INIT_SHARED);
	struct json_object *o;
	pthread_t thread;
	unsigned int i;
	void *ret;

	assert_int_equal(gmem_populate(g, 0, MIB, NULL, NULL, NULL), 0);
	__atomic_store_n(&finished, false, __ATOMIC_RELAXED);
	assert_int_equal(pthread_create(&thread, NULL, replace, g), 0);
	for (i = 0; i < 8; i++) {
		o = gmem_json(0, "check");
		assert_int_equal(number(o, "failed"), 0);
		json_object_put(o);
	}
	__atomic_store_n(&finished, true, __ATOMIC_RELAXED);
	pthread_join(thread, &ret);
	assert_null(ret);
	gmem_close(g);
}

/* Whoever has a file can lock it, and each lock is a line of fdinfo. */
static void locked(void **state)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_len = 1 };
	struct gmem *g = create_mixed();
	struct json_object *o;
	unsigned int i;

	for (i = 0; i < 200; i++) {
		lock.l_start = 2 * i;
		assert_int_equal(fcntl(gmem_fd(g), F_SETLK, &lock), 0);
	}
	o = gmem_json(0, "list");
	agree(listed(o, g), g);
	assert_int_equal(number(o, "files_unreadable"), 0);
	json_object_put(o);
	assert_mixed_runs(g);
	gmem_close(g);
}

/* Opened and unlinked in the root, it has the name that KVM gives. */
static void impostor(void **state)
{
	struct gmem *g = create_mixed();
	struct json_object *o;
	int fd = open("/[kvm-gmem]", O_RDWR | O_CREAT, 0600);
	char path[64], name[64] = "";

	assert_true(fd >= 0);
	assert_int_equal(unlink("/[kvm-gmem]"), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_true(readlink(path, name, sizeof(name) - 1) > 0);
	assert_string_equal(name, "/[kvm-gmem] (deleted)");
	o = gmem_json(0, "list");
	assert_int_equal(json_object_array_length(member(o, "files")), 1);
	agree(listed(o, g), g);
	json_object_put(o);
	assert_int_equal(gmem("stat %d/%d", getpid(), fd), 1);
	assert_non_null(strstr(err, "is no guest_memfd"));
	close(fd);
	gmem_close(g);
}

/* In place of what the kernel says about files of this process: those in a directory. */
static void fdinfo_replace(const struct gmem *g, char path[64])
{
	if (mkdir("fdinfo", 0755))
		assert_int_equal(errno, EEXIST);
	snprintf(path, 64, "fdinfo/%d", gmem_fd(g));
	assert_int_equal(mount("fdinfo", "/proc/self/fdinfo", NULL, MS_BIND, NULL), 0);
}

static int fdinfo_restore(void **state)
{
	return umount("/proc/self/fdinfo") || teardown(state);
}

/* A file that is there, and cannot be read, is not passed over. */
static void unreadable(void **state)
{
	struct gmem *g = create_mixed();
	struct json_object *o;
	char path[64];

	fdinfo_replace(g, path);
	write_text(path, "ino:\t7\ngmem-size:\tmany\n");
	o = gmem_json(1, "list");
	assert_int_equal(json_object_array_length(member(o, "files")), 0);
	assert_int_equal(number(o, "files_unreadable"), 1);
	json_object_put(o);
	assert_non_null(strstr(err, "1 files cannot be read"));
	o = gmem_json(1, "top --count 1");
	assert_int_equal(number(o, "files_unreadable"), 1);
	json_object_put(o);
	assert_int_equal(gmem("stat %s", name_of(g)), 1);
	assert_non_null(strstr(err, "1 files of process"));
	assert_int_equal(gmem("check"), 1);
	assert_non_null(strstr(err, "1 files cannot be read"));
	/* What belongs to another file. */
	write_text(path, "ino:\t7\ngmem-size:\t4096\n");
	assert_int_equal(gmem("list"), 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(gmem("list"), 0);
	gmem_close(g);
}

/* In place of the kernel: answers that differ, each to one reading. */
struct answers {
	char path[64];
	uint64_t ino;
	bool once;
};

static void *answer(void *arg)
{
	struct answers *a = arg;
	unsigned int i;
	int fd;

	for (i = 0; !i || !a->once; i++) {
		fd = open(a->path, O_WRONLY);
		if (__atomic_load_n(&finished, __ATOMIC_RELAXED))
			break;
		/* Before this reading ends, so that the next one finds another pipe. */
		unlink(a->path);
		if (!a->once && mkfifo(a->path, 0644))
			return a;
		dprintf(fd, "ino:\t%llu\ngmem-size:\t67108864\ngmem-conversions:\t%u\n",
			(unsigned long long)a->ino, i);
		close(fd);
	}
	return NULL;
}

static pthread_t answer_start(const struct gmem *g, struct answers *a)
{
	pthread_t thread;

	a->ino = kernel_says(g, "ino");
	fdinfo_replace(g, a->path);
	__atomic_store_n(&finished, false, __ATOMIC_RELAXED);
	assert_int_equal(mkfifo(a->path, 0644), 0);
	assert_int_equal(pthread_create(&thread, NULL, answer, a), 0);
	return thread;
}

/* Closed between two readings: the one that the user named was not compared. */
static void closed_meanwhile(void **state)
{
	struct gmem *g = create_mixed();
	struct answers a = { .once = true };
	pthread_t thread = answer_start(g, &a);
	void *ret;

	assert_int_equal(gmem("check %s", name_of(g)), 1);
	assert_non_null(strstr(err, "was not compared"));
	assert_string_equal(out, "");
	pthread_join(thread, &ret);
	assert_null(ret);
	gmem_close(g);
}

/* Nor was one whose numbers are never the same twice. */
static void restless(void **state)
{
	struct gmem *g = create_mixed();
	struct answers a = { .once = false };
	pthread_t thread = answer_start(g, &a);
	struct json_object *o;
	void *ret;
	int fd;

	o = gmem_json(1, "check %s", name_of(g));
	assert_non_null(strstr(err, "does not rest"));
	assert_int_equal(number(o, "busy"), 1);
	assert_int_equal(number(o, "failed"), 0);
	assert_int_equal(of_runs(o), 0);
	json_object_put(o);
	__atomic_store_n(&finished, true, __ATOMIC_RELAXED);
	fd = open(a.path, O_RDONLY);
	pthread_join(thread, &ret);
	assert_null(ret);
	close(fd);
	unlink(a.path);
	gmem_close(g);
}

/* Between two readings the descriptor becomes that of another file. */
static void another_file(void **state)
{
	struct gmem *g = create_mixed(), *other = create_mixed();
	unsigned int readings = 0;
	char line[256];
	FILE *in;

	snprintf(line, sizeof(line), "gmem stat %s --interval 2 --count 2 2>err", name_of(g));
	in = popen(line, "r");
	assert_non_null(in);
	while (fgets(line, sizeof(line), in)) {
		readings += !strncmp(line, "file ", 5);
		if (!strncmp(line, "poisoned ", 9))
			assert_int_equal(dup2(gmem_fd(other), gmem_fd(g)), gmem_fd(g));
	}
	assert_int_equal(pclose(in), 256 * 1);
	assert_int_equal(readings, 1);
	read_whole("err", line, sizeof(line));
	assert_non_null(strstr(line, "the file is gone"));
	gmem_close(other);
	gmem_close(g);
}

static sem_t ready;

/* Makes a VM, and then has its guest lose memory and get it back. */
static void *make_vm(void *arg)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	struct gmem_slot slot = { .slot = 1, .gpa = GIB, .size = 64 * MIB };
	struct gmem **g = arg;
	int ret;

	vm_fd = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	close(kvm);
	*g = create_mixed();
	ret = gmem_bind(*g, vm_fd, &slot);
	sem_post(&ready);
	while (!ret && !__atomic_load_n(&finished, __ATOMIC_RELAXED)) {
		ret = gmem_convert(*g, 0, PAGE, false, NULL, NULL);
		ret = ret ? ret : gmem_convert(*g, 0, PAGE, true, NULL, NULL);
	}
	return (void *)(long)ret;
}

/* KVM knows the thread that made a VM, and the process has another number. */
static void of_a_thread(void **state)
{
	struct json_object *o, *one;
	struct gmem *g = NULL;
	pthread_t thread;
	double rate;
	void *ret;

	close(vm_fd);
	__atomic_store_n(&finished, false, __ATOMIC_RELAXED);
	assert_int_equal(sem_init(&ready, 0, 0), 0);
	assert_int_equal(pthread_create(&thread, NULL, make_vm, &g), 0);
	sem_wait(&ready);
	assert_int_equal(gmem("top --count 2 --json"), 0);
	o = parse_valid(strchr(out, '\n') + 1);
	one = listed(o, g);
	rate = json_object_get_double(member(one, "vm_invalidations_per_second"));
	json_object_put(o);
	__atomic_store_n(&finished, true, __ATOMIC_RELAXED);
	pthread_join(thread, &ret);
	assert_null(ret);
	assert_true(rate > 0);
	gmem_close(g);
}

#define TEST(fn)	cmocka_unit_test_setup_teardown(fn, setup, teardown)
#define REPLACED(fn)	cmocka_unit_test_setup_teardown(fn, setup, fdinfo_restore)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		TEST(agreement), TEST(replaced), TEST(locked), TEST(impostor),
		TEST(another_file), TEST(of_a_thread), REPLACED(unreadable),
		REPLACED(closed_meanwhile), REPLACED(restless),
	};

	if (kvm_open())
		return 1;
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
