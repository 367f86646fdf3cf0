// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel says about guest memory to those who only look: counters in
 * sysfs, KVM's statistics, fdinfo. Every figure is exact, while others change what
 * it is about, too.
 */
#include <pthread.h>

#include "gmem_test.h"

#define SEED		83
#define NOBODY		65534

/* What sysfs says of the machine follows what one VM does. */
static void sysfs(void)
{
	static const struct {
		unsigned int source;
		const char *counter;
	} sizes[] = {
		{ GM_SRC_4K, "blocks_4k" },
		{ GM_SRC_THP_2M, "blocks_2m" },
		{ GM_SRC_HTLB_2M, "blocks_2m" },
	};
	struct gm_vm *g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	const long before = gm_counter("files");
	struct gm_file f[ARRAY_SIZE(sizes)];
	unsigned int i;
	char *mem;
	long live;

	for (i = 0; i < ARRAY_SIZE(f); i++) {
		const struct gm_source *src = &gm_sources[sizes[i].source];
		long blocks = gm_counter(sizes[i].counter);

		gm_need_source(src, src->block);
		f[i] = gm_create_from(g->vm, src, src->block, GM_SHARED);
		gm_assert_eq(gm_counter("files"), before + i + 1);
		gm_assert_eq(gm_counter(sizes[i].counter), blocks);
		gm_assert_ok(gm_populate(&f[i], 0, src->block));
		gm_assert_eq(gm_counter(sizes[i].counter), blocks + 1);
	}
	/* What could not be created does not count. */
	gm_assert_errno(__vm_create_guest_memfd(g->vm, GM_2M, ~0ULL), EINVAL);
	gm_assert_errno(__vm_create_guest_memfd(g->vm, 1ULL << 50,
						GM_HUGETLB | GM_HUGE_2M), ENOMEM);
	gm_assert_eq(gm_counter("files"), before + i);

	/* A mapping keeps the file. */
	mem = gm_mmap(&f[1], 0, GM_2M);
	WRITE_ONCE(*mem, SEED);
	live = gm_fdinfo(&f[1], "gmem-live") / GM_PAGE;
	gm_assert_ge(live, 1);
	gm_assert_eq(gm_counter("live_pages"), live);
	while (i--)
		gm_close(&f[i]);
	gm_assert_eq(gm_counter("files"), before + 1);
	gm_assert_ok(munmap(mem, GM_2M));
	gm_assert_eq(gm_counter("files"), before);
	gm_assert_eq(gm_counter("live_pages"), 0);
	gm_vm_free(g);
}

struct stats {
	u64 faults, conversions, eagain, invalidations;
};

static void assert_stats(struct gm_vm *g, const struct stats *want)
{
	gm_assert_eq(gm_vm_stat(g, "gmem_faults"), want->faults);
	gm_assert_eq(gm_vm_stat(g, "gmem_conversions"), want->conversions);
	gm_assert_eq(gm_vm_stat(g, "gmem_eagain"), want->eagain);
	gm_assert_eq(gm_vm_stat(g, "gmem_invalidations"), want->invalidations);
}

/* KVM counts for the VM what its files count each for itself. */
static void statistics(void)
{
	struct gm_holder h = gm_holders[0];
	struct stats want = { 0 };
	struct gm_vm *other;
	struct gm_scene s;
	u64 error;

	if (!gm_have_gmem())
		gm_skip("this kernel has no gmem");
	gm_scene_open(&s, GM_SRC_4K, 1, 256 * GM_PAGE, GM_MMAP);
	other = gm_vm_create(GM_SWP, 1, 0);
	assert_stats(s.g, &want);

	gm_guest_touch(s.g, 0, 16 * GM_PAGE, GM_PAGE, SEED);
	want.faults = 16;
	assert_stats(s.g, &want);
	/* What is mapped already. */
	gm_guest_touch(s.g, 0, 16 * GM_PAGE, GM_PAGE, SEED);
	assert_stats(s.g, &want);

	gm_set_ok(&s.f, 0, 8 * GM_PAGE, false);
	want.conversions++;
	want.invalidations++;
	assert_stats(s.g, &want);
	/* What is so already. */
	gm_set_ok(&s.f, 0, 8 * GM_PAGE, false);
	assert_stats(s.g, &want);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-conversions"), want.conversions);

	WRITE_ONCE(s.mem[3 * GM_PAGE], SEED);
	h.take(&h, &s.f, 3 * GM_PAGE);
	gm_assert_eq(gm_set(&s.f, 0, 8 * GM_PAGE, true, &error), EAGAIN);
	want.eagain++;
	assert_stats(s.g, &want);
	gm_assert_errno(gm_punch(&s.f, 0, 8 * GM_PAGE), EAGAIN);
	want.eagain++;
	assert_stats(s.g, &want);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-eagain"), want.eagain);
	h.let_go(&h);

	gm_assert_ok(gm_punch(&s.f, 0, 8 * GM_PAGE));
	want.invalidations++;
	assert_stats(s.g, &want);
	gm_assert_errno(gm_punch(&s.f, 1, GM_PAGE), EINVAL);
	assert_stats(s.g, &want);

	/* Of another VM. */
	assert_stats(other, &(struct stats){ 0 });
	gm_vm_free(other);
	gm_scene_close(&s);
}

static u64 stat_of(int fd, const char *name)
{
	struct kvm_binary_stats stats = { .fd = fd };
	u64 v;

	read_stats_header(fd, &stats.header);
	stats.desc = read_stats_descriptors(fd, &stats.header);
	kvm_get_stat(&stats, name, &v, 1);
	free(stats.desc);
	return v;
}

/* A file and statistics of a VM whose own fd is closed go on. */
static void statistics_closed(void)
{
	struct kvm_create_guest_memfd args = { .size = GM_2M, .flags = GM_MMAP };
	struct gm_file f = { .size = GM_2M, .block = GM_PAGE };
	int kvm = open_kvm_dev_path_or_exit(), stats, vm;

	if (!gm_have_gmem())
		gm_skip("this kernel has no gmem");
	vm = ioctl(kvm, KVM_CREATE_VM, GM_SWP);
	gm_assert(vm >= 0, "KVM_CREATE_VM: %s", strerror(errno));
	f.fd = ioctl(vm, KVM_CREATE_GUEST_MEMFD, &args);
	gm_assert(f.fd >= 0, "KVM_CREATE_GUEST_MEMFD: %s", strerror(errno));
	stats = ioctl(vm, KVM_GET_STATS_FD, NULL);
	gm_assert(stats >= 0, "KVM_GET_STATS_FD: %s", strerror(errno));
	gm_assert_ok(close(vm));
	gm_assert_errno(ioctl(vm, KVM_GET_STATS_FD, NULL), EBADF);

	gm_set_ok(&f, 0, GM_PAGE, false);
	gm_assert_ok(gm_populate(&f, 0, GM_PAGE));
	gm_assert_eq(stat_of(stats, "gmem_conversions"), 1);
	gm_assert_eq(stat_of(stats, "gmem_invalidations"), 1);
	gm_assert_eq(gm_fdinfo(&f, "gmem-shared"), GM_PAGE);
	/* Nobody faults any more. */
	gm_assert_eq(stat_of(stats, "gmem_faults"), 0);

	/* The last fd of the file: its memory is taken from the guest. */
	gm_close(&f);
	gm_assert_eq(stat_of(stats, "gmem_invalidations"), 2);
	gm_assert_ok(close(stats));
	gm_assert_ok(close(kvm));
}

/* The sum of all that a file answers to queries. */
struct map {
	u64 held, private, shared;
};

static struct map map_of(const struct gm_file *f)
{
	struct map m = { 0 };
	u64 off;

	for (off = 0; off < f->size; ) {
		struct kvm_memory_attributes2 a = gm_get(f, off);

		if (a.flags & KVM_MEMORY_ATTRIBUTES2_POPULATED) {
			m.held += a.size;
			if (a.attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE)
				m.private += a.size;
			else
				m.shared += a.size;
		}
		off += a.size;
	}
	return m;
}

/* One reading of fdinfo, in one system call. */
struct reading {
	u64 size, held, private, shared, blocks, conversions;
};

static u64 line_of(const char *text, const char *key)
{
	const char *line = strstr(text, key);

	gm_assert(line && line[strlen(key)] == ':', "fdinfo lacks %s", key);
	return strtoull(line + strlen(key) + 1, NULL, 0);
}

static int open_fdinfo(const struct gm_file *f)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", f->fd);
	fd = open(path, O_RDONLY);
	gm_assert(fd >= 0, "%s: %s", path, strerror(errno));
	return fd;
}

static struct reading read_fdinfo(int fd)
{
	struct reading r;
	char text[2048];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	gm_assert_ge(n, 1);
	text[n] = '\0';
	r.size = line_of(text, "gmem-size");
	r.held = line_of(text, "gmem-allocated");
	r.private = line_of(text, "gmem-private");
	r.shared = line_of(text, "gmem-shared");
	r.blocks = line_of(text, "gmem-blocks-4k") * GM_PAGE +
		   line_of(text, "gmem-blocks-2m") * GM_2M +
		   line_of(text, "gmem-blocks-1g") * GM_1G;
	r.conversions = line_of(text, "gmem-conversions");
	return r;
}

static void assert_consistent(const struct reading *r)
{
	/* The sum alone is right for any shared, since what is above held wraps. */
	gm_assert_le(r->private, r->held);
	gm_assert_le(r->shared, r->held);
	gm_assert_eq(r->private + r->shared, r->held);
	gm_assert_eq(r->blocks, r->held);
	gm_assert_le(r->held, r->size);
}

static void assert_agree(const struct gm_file *f, int fd)
{
	struct reading r = read_fdinfo(fd);
	struct map m = map_of(f);

	assert_consistent(&r);
	gm_assert_eq(m.held, r.held);
	gm_assert_eq(m.private, r.private);
	gm_assert_eq(m.shared, r.shared);
	gm_assert_eq(gm_held(f), r.held);
}

/* All keys of the ABI, each once, and nothing that is not documented. */
static void fdinfo_keys(void)
{
	static const char * const keys[] = {
		"size", "flags", "allocated", "private", "shared", "live", "blocks-4k",
		"blocks-2m", "blocks-1g", "reserved", "conversions", "eagain",
		"vmemmap", "bindings", "poisoned", "node0",
	};
	char text[2048], *line, *next;
	struct gm_scene s;
	unsigned int i = 0;
	ssize_t n;
	int fd;

	gm_scene_open(&s, GM_SRC_THP_2M, 1, GM_2M, GM_MMAP);
	gm_assert_ok(gm_populate(&s.f, 0, GM_2M));
	fd = open_fdinfo(&s.f);
	n = pread(fd, text, sizeof(text) - 1, 0);
	gm_assert_ge(n, 1);
	text[n] = '\0';
	for (line = text; *line; line = next) {
		next = strchr(line, '\n') + 1;
		if (strncmp(line, "gmem-", 5))
			continue;
		gm_assert(i < ARRAY_SIZE(keys), "one more: %s", line);
		n = strlen(keys[i]);
		gm_assert(!strncmp(line + 5, keys[i], n) && !strncmp(line + 5 + n, ":\t", 2),
			  "%s expected: %s", keys[i], line);
		i++;
	}
	gm_assert_eq(i, ARRAY_SIZE(keys));
	close(fd);
	gm_scene_close(&s);
}

/* Memory comes and goes under runs of all lengths, and each time all agree. */
static void fdinfo_agrees(unsigned int source)
{
	u64 state = gm_seed, off, len, pages, error;
	struct gm_scene s;
	unsigned int i;
	int fd;

	gm_scene_open(&s, source, 1, 4 * GM_2M, GM_MMAP);
	pages = s.f.size / GM_PAGE;
	fd = open_fdinfo(&s.f);
	for (i = 0; i < 200; i++) {
		off = gm_rand(&state) % pages;
		len = 1 + gm_rand(&state) % (i % 2 ? 8 : pages);
		len = min_t(u64, len, pages - off);
		switch (gm_rand(&state) % 4) {
		case 0:
			gm_assert_ok(gm_populate(&s.f, off * GM_PAGE, len * GM_PAGE));
			break;
		case 1:
			gm_assert_ok(gm_punch(&s.f, off * GM_PAGE, len * GM_PAGE));
			break;
		default:
			gm_assert_ok(gm_set(&s.f, off * GM_PAGE, len * GM_PAGE,
					    gm_rand(&state) & 1, &error));
		}
		assert_agree(&s.f, fd);
	}
	gm_assert_ok(gm_populate(&s.f, 0, s.f.size));
	gm_set_ok(&s.f, GM_PAGE, s.f.size - GM_PAGE, true);
	gm_set_ok(&s.f, 0, GM_PAGE, false);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-shared"), GM_PAGE);
	assert_agree(&s.f, fd);
	close(fd);
	gm_scene_close(&s);
}

static void fdinfo_agrees_4k(void)
{
	fdinfo_agrees(GM_SRC_4K);
}

static void fdinfo_agrees_2m(void)
{
	fdinfo_agrees(GM_SRC_THP_2M);
}

/* What does not change hands is all one or the other. */
static void fdinfo_fixed(void)
{
	struct gm_vm *swp = gm_vm_create(GM_SWP, 1, 0);
	struct gm_vm *g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	struct gm_file f = gm_create(swp->vm, 8 * GM_PAGE, 0);

	gm_assert_ok(gm_populate(&f, GM_PAGE, 3 * GM_PAGE));
	gm_assert_eq(gm_fdinfo(&f, "gmem-private"), 3 * GM_PAGE);
	gm_assert_eq(gm_fdinfo(&f, "gmem-shared"), 0);
	gm_close(&f);
	f = gm_create(g->vm, 8 * GM_PAGE, GM_SHARED);
	gm_assert_ok(gm_populate(&f, GM_PAGE, 3 * GM_PAGE));
	gm_assert_eq(gm_fdinfo(&f, "gmem-private"), 0);
	gm_assert_eq(gm_fdinfo(&f, "gmem-shared"), 3 * GM_PAGE);
	gm_close(&f);
	gm_vm_free(g);
	gm_vm_free(swp);
}

#define THREADS		8
#define FLIPS		(gm_time_scale() > 1 ? 50 : 500)
#define ROUNDS		4

/*
 * Eight threads convert, each its own 2 MiB of which the first half is there: in
 * any reading a multiple of 1 MiB is shared, and what is held stays what it was.
 */
struct crowd {
	struct gm_scene s;
	pthread_barrier_t begin, end;
	unsigned int running;
	bool stop;
	unsigned long readings;
};

struct flipper {
	struct crowd *c;
	pthread_t thread;
	u64 off;
};

static void *flip(void *arg)
{
	struct flipper *f = arg;
	unsigned int round, i;

	for (round = 0; round < ROUNDS; round++) {
		pthread_barrier_wait(&f->c->begin);
		for (i = 0; i < FLIPS + round; i++)
			gm_set_ok(&f->c->s.f, f->off, GM_2M, i % 2);
		__atomic_sub_fetch(&f->c->running, 1, __ATOMIC_SEQ_CST);
		pthread_barrier_wait(&f->c->end);
	}
	return NULL;
}

static void *read_for_ever(void *arg)
{
	struct crowd *c = arg;
	int fd = open_fdinfo(&c->s.f);

	while (!READ_ONCE(c->stop)) {
		struct reading r = read_fdinfo(fd);

		assert_consistent(&r);
		gm_assert_eq(r.held, c->s.f.size / 2);
		gm_assert_eq(r.shared % (GM_2M / 2), 0);
		__atomic_add_fetch(&c->readings, 1, __ATOMIC_SEQ_CST);
	}
	close(fd);
	return NULL;
}

static void fdinfo_crowd(void)
{
	struct flipper f[THREADS];
	pthread_t reader[2];
	struct crowd c = { 0 };
	unsigned int round, i;
	int fd;

	gm_scene_open(&c.s, GM_SRC_4K, 1, THREADS * GM_2M, GM_MMAP);
	for (i = 0; i < THREADS; i++)
		gm_assert_ok(gm_populate(&c.s.f, i * GM_2M, GM_2M / 2));
	gm_assert_ok(pthread_barrier_init(&c.begin, NULL, THREADS + 1));
	gm_assert_ok(pthread_barrier_init(&c.end, NULL, THREADS + 1));
	for (i = 0; i < THREADS; i++) {
		f[i] = (struct flipper){ .c = &c, .off = i * GM_2M };
		gm_assert_ok(pthread_create(&f[i].thread, NULL, flip, &f[i]));
	}
	for (i = 0; i < ARRAY_SIZE(reader); i++)
		gm_assert_ok(pthread_create(&reader[i], NULL, read_for_ever, &c));
	fd = open_fdinfo(&c.s.f);

	for (round = 0; round < ROUNDS; round++) {
		u64 conversions = read_fdinfo(fd).conversions;
		unsigned long readings = READ_ONCE(c.readings);

		WRITE_ONCE(c.running, THREADS);
		pthread_barrier_wait(&c.begin);
		while (READ_ONCE(c.running)) {
			struct reading a = read_fdinfo(fd);
			struct map m = map_of(&c.s.f);
			struct reading b = read_fdinfo(fd);

			assert_consistent(&a);
			if (a.conversions != b.conversions)
				continue;
			gm_assert_eq(m.held, a.held);
			gm_assert_eq(m.private, a.private);
			gm_assert_eq(b.private, a.private);
		}
		pthread_barrier_wait(&c.end);
		/* The first request of a round may find its range shared. */
		gm_assert_ge(read_fdinfo(fd).conversions,
			     conversions + THREADS * (FLIPS + round - 1));
		gm_assert(READ_ONCE(c.readings) > readings, "nobody read anything");
		assert_agree(&c.s.f, fd);
	}

	WRITE_ONCE(c.stop, true);
	for (i = 0; i < ARRAY_SIZE(reader); i++)
		gm_assert_ok(pthread_join(reader[i], NULL));
	for (i = 0; i < THREADS; i++)
		gm_assert_ok(pthread_join(f[i].thread, NULL));
	gm_note("%lu readings", c.readings);
	close(fd);
	gm_scene_close(&c.s);
}

#define FILLED	(64 * GM_PAGE)

/* Memory comes and goes while some read: what is held is what blocks there are. */
static void *fill_thread(void *arg)
{
	struct crowd *c = arg;
	unsigned int i;

	for (i = 0; i < 2 * FLIPS; i++) {
		gm_assert_ok(gm_populate(&c->s.f, 0, FILLED));
		gm_assert_ok(gm_punch(&c->s.f, 0, FILLED));
	}
	return NULL;
}

static void fdinfo_filling(bool private)
{
	unsigned long readings = 0, filled = 0;
	struct crowd c = { 0 };
	pthread_t filler;
	int fd;

	/* One page stays private, and absent. */
	gm_scene_open(&c.s, GM_SRC_4K, 1, FILLED + GM_PAGE, GM_MMAP);
	if (!private)
		gm_set_ok(&c.s.f, 0, FILLED, false);
	fd = open_fdinfo(&c.s.f);
	gm_assert_ok(pthread_create(&filler, NULL, fill_thread, &c));
	while (pthread_tryjoin_np(filler, NULL)) {
		struct reading r = read_fdinfo(fd);

		assert_consistent(&r);
		gm_assert_eq(private ? r.shared : r.private, 0);
		readings++;
		filled += r.held > 0;
	}
	gm_note("%lu readings, %lu of them with memory", readings, filled);
	gm_assert_ge(filled, 1);
	gm_assert_eq(read_fdinfo(fd).held, 0);
	close(fd);
	gm_scene_close(&c.s);
}

static void fdinfo_filling_private(void)
{
	fdinfo_filling(true);
}

static void fdinfo_filling_shared(void)
{
	fdinfo_filling(false);
}

/*
 * A conversion stops with every lock that it ever holds, and for as long as it
 * likes: who reads fdinfo or sysfs does not wait for it.
 */
static void *convert_all(void *arg)
{
	struct gm_scene *s = arg;

	gm_set_ok(&s->f, 0, s->f.size, false);
	return NULL;
}

static bool conversion_stopped(void *arg)
{
	char buf[32] = { 0 };
	unsigned int calls;
	int stopped;

	gm_assert_ge(read(*(int *)arg, buf, sizeof(buf) - 1), 1);
	return sscanf(buf, "%u %d", &calls, &stopped) == 2 && stopped;
}

static void fdinfo_never_waits(void)
{
	int stop = open("/sys/kernel/debug/gmem-stops/commit", O_RDWR | O_CLOEXEC), fd;
	struct reading r;
	struct gm_scene s;
	pthread_t thread;

	if (stop < 0 && errno == ENOENT)
		gm_skip("needs the debug kernel (CONFIG_GMEM_TEST_STOPS)");
	gm_assert(stop >= 0, "gmem-stops: %s", strerror(errno));
	gm_scene_open(&s, GM_SRC_THP_2M, 1, GM_2M, GM_MMAP);
	gm_assert_ok(gm_populate(&s.f, 0, s.f.size));
	fd = open_fdinfo(&s.f);
	gm_assert_eq(write(stop, "arm", 3), 3);
	gm_assert_ok(pthread_create(&thread, NULL, convert_all, &s));
	gm_assert(gm_wait_until(conversion_stopped, &stop, 10), "nobody came");

	r = read_fdinfo(fd);
	assert_consistent(&r);
	gm_assert_eq(r.private, s.f.size);
	gm_assert_eq(r.conversions, 0);
	gm_assert_eq(gm_held(&s.f), s.f.size);
	gm_assert_ge(gm_counter("blocks_2m"), 1);
	gm_assert_eq(gm_vm_stat(s.g, "gmem_invalidations"), 1);

	gm_assert_eq(write(stop, "go", 2), 2);
	gm_assert_ok(pthread_join(thread, NULL));
	r = read_fdinfo(fd);
	gm_assert_eq(r.shared, s.f.size);
	gm_assert_eq(r.conversions, 1);
	close(fd);
	close(stop);
	gm_scene_close(&s);
}

#define LIST	(256 << 10)

static size_t read_list(int fd, char *text, size_t piece)
{
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, min(piece, LIST - len))) > 0)
		len += n;
	gm_assert_eq(n, 0);
	gm_assert_le(len, LIST - 1);
	text[len] = '\0';
	return len;
}

/*
 * The list of blocks is the same in one piece, in many and from the middle on: single
 * pages of two files and blocks of one, some of them far from the others.
 */
static void blocks_in_pieces(void)
{
	char *whole = malloc(LIST), *pieces = malloc(LIST), want[64];
	struct gm_file f, single;
	struct gm_scene s;
	unsigned int i;
	size_t len;
	int fd;

	gm_need_source(&gm_sources[GM_SRC_THP_2M], 0);
	gm_scene_open(&s, GM_SRC_4K, 1, 64 * GM_2M, GM_MMAP);
	f = gm_create_from(s.g->vm, &gm_sources[GM_SRC_THP_2M], 4 * GM_2M, GM_MMAP);
	single = gm_create_from(s.g->vm, &gm_sources[GM_SRC_4K], GM_2M, GM_MMAP);
	gm_assert_ok(gm_populate(&s.f, 0, 600 * GM_PAGE));
	gm_assert_ok(gm_populate(&s.f, 40 * GM_2M, GM_PAGE));
	gm_assert_ok(gm_populate(&f, GM_2M, 2 * GM_2M));
	gm_assert_ok(gm_populate(&single, GM_PAGE, GM_PAGE));

	fd = open("/sys/kernel/debug/gmem/blocks", O_RDONLY);
	gm_assert(fd >= 0, "blocks: %s", strerror(errno));
	len = read_list(fd, whole, LIST);
	for (i = 0; i < 600; i++) {
		snprintf(want, sizeof(want), "\n%lu %u 0 ", (unsigned long)s.f.ino, i);
		gm_assert(strstr(whole, want), "no%s", want);
	}
	snprintf(want, sizeof(want), "\n%lu %u 0 ", (unsigned long)s.f.ino, 40 * 512);
	gm_assert(strstr(whole, want), "no%s", want);
	snprintf(want, sizeof(want), "\n%lu 1 0 ", (unsigned long)single.ino);
	gm_assert(strstr(whole, want), "no%s", want);
	snprintf(want, sizeof(want), "%lu 512 9 ", (unsigned long)f.ino);
	gm_assert(strstr(whole, want), "no %s", want);
	snprintf(want, sizeof(want), "%lu 1024 9 ", (unsigned long)f.ino);
	gm_assert(strstr(whole, want), "no %s", want);
	gm_assert_eq(lseek(fd, 0, SEEK_SET), 0);
	gm_assert_eq(read_list(fd, pieces, 101), len);
	gm_assert(!strcmp(whole, pieces), "pieces differ");
	gm_assert_eq(pread(fd, pieces, 1000, len / 2), 1000);
	gm_assert(!memcmp(whole + len / 2, pieces, 1000), "the middle differs");
	close(fd);
	gm_close(&single);
	gm_close(&f);
	gm_scene_close(&s);
	free(whole);
	free(pieces);
}

/* Somebody without rights: counters, yes; other people's files and events, no. */
static void as_nobody(void *arg)
{
	pid_t pid = *(pid_t *)arg;
	char path[64];

	gm_assert_ok(setgid(NOBODY));
	gm_assert_ok(setuid(NOBODY));
	gm_assert_ge(gm_counter("files"), 1);
	gm_assert_errno(open("/sys/kernel/mm/gmem/files", O_WRONLY), EACCES);
	gm_assert_errno(open("/sys/kernel/tracing/events/gmem/enable", O_RDONLY), EACCES);
	gm_assert_errno(open("/sys/kernel/debug/gmem/blocks", O_RDONLY), EACCES);
	snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
	gm_assert_errno(open(path, O_RDONLY | O_DIRECTORY), EACCES);
}

static void unprivileged(void)
{
	struct gm_scene s;
	pid_t pid = getpid();

	if (!gm_have_gmem())
		gm_skip("this kernel has no gmem");
	gm_scene_open(&s, GM_SRC_4K, 1, GM_2M, GM_MMAP);
	gm_assert_eq(gm_in_child(as_nobody, &pid), 0);
	gm_scene_close(&s);
}

static const struct gm_case cases[] = {
	{ "sysfs", sysfs },
	{ "statistics", statistics },
	{ "statistics_closed", statistics_closed },
	{ "fdinfo_keys", fdinfo_keys },
	{ "fdinfo_fixed", fdinfo_fixed },
	{ "fdinfo_agrees_4k", fdinfo_agrees_4k },
	{ "fdinfo_agrees_2m", fdinfo_agrees_2m },
	{ "fdinfo_crowd", fdinfo_crowd },
	{ "fdinfo_filling_private", fdinfo_filling_private },
	{ "fdinfo_filling_shared", fdinfo_filling_shared },
	{ "fdinfo_never_waits", fdinfo_never_waits },
	{ "blocks_in_pieces", blocks_in_pieces },
	{ "unprivileged", unprivileged },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 8);
}
