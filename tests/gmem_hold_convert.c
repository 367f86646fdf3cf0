// SPDX-License-Identifier: GPL-2.0-only
/*
 * Somebody holds a shared page that is to become private. The request is refused,
 * says where, and changes nothing in all of its range: not what comes before the
 * page, not in other blocks, not in the guest's mappings. It succeeds as soon as
 * the holder lets go. Mappings hold nothing, and a closed file leaves an orphan.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>

#include "gmem_test.h"

#define SEED	83
#define BLOCKS	3
#define LOCKED_ROUNDS	100

struct scene {
	const struct gm_source *src;
	struct gm_vm *g;
	struct gm_file f;
	char *mem;
	u64 n;
};

static void open_scene(struct scene *s, unsigned int source)
{
	const unsigned int blocks = source == GM_SRC_4K ? 48 : BLOCKS;

	s->src = &gm_sources[source];
	s->n = s->src->block;
	gm_need_source(s->src, blocks * s->n);
	s->g = gm_vm_create(GM_SWP, 1, 0);
	s->f = gm_create_from(s->g->vm, s->src, blocks * s->n, GM_SHARED);
	gm_slot(s->g, &s->f, GM_GPA, s->f.size, 0, NULL);
	gm_map(s->g, GM_GPA, s->f.size);
	s->mem = gm_mmap(&s->f, 0, s->f.size);
	gm_host_fill(s->mem, 0, s->f.size, SEED);
	gm_guest_verify(s->g, 0, s->f.size, SEED);
}

static void close_scene(struct scene *s)
{
	gm_assert_ok(munmap(s->mem, s->f.size));
	gm_close(&s->f);
	gm_vm_free(s->g);
}

/* All that a refused request could have changed. */
#define MAX_RUNS	64
#define MAX_BLOCKS	64

struct state {
	struct kvm_memory_attributes2 run[MAX_RUNS];
	struct gm_block block[MAX_BLOCKS];
	unsigned int nr_runs;
	size_t nr_blocks;
	u64 faults;
	u64 pages_4k;
	u64 pages_2m;
	long conversions;
	long private;
};

static void look(struct scene *s, struct state *st)
{
	u64 off;

	memset(st, 0, sizeof(*st));
	for (off = 0; off < s->f.size; off += st->run[st->nr_runs++].size) {
		gm_assert(st->nr_runs < MAX_RUNS, "too many runs");
		st->run[st->nr_runs].offset = off;
		gm_assert_ok(ioctl(s->f.fd, KVM_GET_MEMORY_ATTRIBUTES2,
				   &st->run[st->nr_runs]));
	}
	st->nr_blocks = gm_blocks(&s->f, st->block, MAX_BLOCKS);
	st->faults = gm_vcpu_stat(s->g, 0, "pf_taken");
	st->pages_4k = gm_vm_stat(s->g, "pages_4k");
	st->pages_2m = gm_vm_stat(s->g, "pages_2m");
	st->conversions = gm_fdinfo(&s->f, "gmem-conversions");
	st->private = gm_fdinfo(&s->f, "gmem-private");
}

static void assert_same(const struct state *a, const struct state *b)
{
	size_t i;

	gm_assert_eq(b->nr_runs, a->nr_runs);
	gm_assert(!memcmp(a->run, b->run, sizeof(a->run)), "attributes");
	gm_assert_eq(b->nr_blocks, a->nr_blocks);
	for (i = 0; i < a->nr_blocks; i++) {
		gm_assert_eq(b->block[i].pfn, a->block[i].pfn);
		gm_assert_eq(b->block[i].dissolved, a->block[i].dissolved);
		gm_assert_eq(b->block[i].live, a->block[i].live);
	}
	gm_assert_eq(b->faults, a->faults);
	gm_assert_eq(b->pages_4k, a->pages_4k);
	gm_assert_eq(b->pages_2m, a->pages_2m);
	gm_assert_eq(b->conversions, a->conversions);
	gm_assert_eq(b->private, a->private);
}

/* EAGAIN because of the page at held, and not a trace of the attempt. */
static void refused(struct scene *s, u64 off, u64 len, u64 held)
{
	long eagain = gm_fdinfo(&s->f, "gmem-eagain");
	struct state before, after;
	u64 error, p;

	look(s, &before);
	gm_assert_eq(gm_set(&s->f, off, len, true, &error), EAGAIN);
	gm_assert_eq(error, held);
	/* The guest has lost no mapping; the host finds all it had. */
	gm_guest_verify(s->g, 0, s->f.size, SEED);
	for (p = 0; p < before.nr_runs; p++) {
		const struct kvm_memory_attributes2 *run = &before.run[p];

		if (run->attributes)
			gm_assert(gm_sigbus(s->mem + run->offset, false), "private");
		else
			gm_assert_eq(gm_host_differ(s->mem + run->offset, run->offset,
						    run->size, SEED), 0);
	}
	look(s, &after);
	assert_same(&before, &after);
	gm_assert_eq(gm_fdinfo(&s->f, "gmem-eagain"), eagain + 1);
}

static void holders(unsigned int source)
{
	const bool small = source == GM_SRC_4K;
	struct gm_holder h, second;
	unsigned int i;
	struct scene s;
	u64 held, far;

	for (i = 0; i < GM_NR_HOLDERS; i++) {
		open_scene(&s, source);
		/* In the middle block, or page; another one behind it. */
		held = (small ? 16 : s.n / GM_PAGE + 7) * GM_PAGE;
		far = (small ? 40 : 2 * s.n / GM_PAGE + 300) * GM_PAGE;
		h = gm_holders[i];
		h.take(&h, &s.f, held);

		refused(&s, 0, s.f.size, held);
		refused(&s, held, GM_PAGE, held);
		refused(&s, held - GM_PAGE, 3 * GM_PAGE, held);
		refused(&s, 5 * GM_PAGE, held - 4 * GM_PAGE, held);
		refused(&s, held, s.f.size - held, held);
		/* The first of two is named; then the other. */
		second = gm_holders[0];
		second.take(&second, &s.f, far);
		refused(&s, 0, s.f.size, held);
		refused(&s, held + GM_PAGE, s.f.size - held - GM_PAGE, far);
		second.let_go(&second);

		/* Nor does a range of both states move. */
		gm_set_ok(&s.f, 2 * GM_PAGE, 5 * GM_PAGE, true);
		gm_set_ok(&s.f, far, 3 * GM_PAGE, true);
		gm_guest_verify(s.g, 0, s.f.size, SEED);
		refused(&s, 0, s.f.size, held);
		refused(&s, 3 * GM_PAGE, far - GM_PAGE, held);
		/* All around it is free to go, and to come back. */
		gm_set_ok(&s.f, 0, held, true);
		gm_set_ok(&s.f, held + GM_PAGE, s.f.size - held - GM_PAGE, true);
		gm_guest_verify(s.g, 0, s.f.size, SEED);
		refused(&s, 0, s.f.size, held);
		gm_set_ok(&s.f, 0, s.f.size, false);

		gm_assert_eq(gm_host_differ(s.mem, 0, s.f.size, SEED), 0);
		h.let_go(&h);
		/* At once: this is the first request since. */
		gm_set_ok(&s.f, 0, s.f.size, true);
		if (h.reads)
			gm_assert_eq(gm_host_differ(h.buf, held, GM_PAGE, SEED), 0);
		gm_assert(gm_sigbus(s.mem + held, false), "private");
		gm_guest_verify(s.g, 0, s.f.size, SEED);
		close_scene(&s);
	}
}

/* A process that maps the file, each time before and after it is told. */
struct other {
	struct scene *s;
	int ready[2];
	int go[2];
};

static void step(int in, int out)
{
	char c = 0;

	gm_assert_eq(write(out, &c, 1), 1);
	gm_assert_eq(read(in, &c, 1), 1);
}

static void assert_lost(char *mem, const char *what)
{
	u64 off;

	for (off = 0; off < 8 * GM_PAGE; off += GM_PAGE) {
		gm_assert(gm_sigbus(mem + off, off & GM_PAGE), "%s, page %lu", what,
			  (unsigned long)(off / GM_PAGE));
	}
}

static void __noreturn other_process(struct other *o)
{
	char *inherited = o->s->mem;
	char *own = gm_mmap(&o->s->f, 0, o->s->f.size);

	gm_assert_eq(gm_host_differ(inherited, 0, 8 * GM_PAGE, SEED), 0);
	gm_assert_eq(gm_host_differ(own, 0, 8 * GM_PAGE, SEED), 0);
	gm_assert_ok(mlock(own, 8 * GM_PAGE));
	step(o->go[0], o->ready[1]);
	assert_lost(inherited, "inherited");
	assert_lost(own, "own and locked");
	step(o->go[0], o->ready[1]);
	gm_assert_eq(gm_host_differ(inherited, 0, 8 * GM_PAGE, SEED), 0);
	gm_assert_eq(gm_host_differ(own, 0, 8 * GM_PAGE, SEED), 0);
	fflush(stdout);
	_exit(0);
}

static void mappings(unsigned int source)
{
	struct other o;
	struct scene s;
	int status;
	pid_t pid;
	char c;

	open_scene(&s, source);
	o.s = &s;
	gm_assert_ok(pipe(o.ready));
	gm_assert_ok(pipe(o.go));
	gm_assert_ok(mlock(s.mem, 4 * GM_PAGE));
	fflush(stdout);
	pid = fork();
	gm_assert(pid >= 0, "fork: %s", strerror(errno));
	if (!pid)
		other_process(&o);
	close(o.ready[1]);

	gm_assert_eq(read(o.ready[0], &c, 1), 1);
	gm_set_ok(&s.f, 0, s.f.size, true);
	assert_lost(s.mem, "parent's");
	gm_assert_eq(write(o.go[1], &c, 1), 1);
	gm_assert(read(o.ready[0], &c, 1) == 1, "the other process found it mapped");
	gm_set_ok(&s.f, 0, s.f.size, false);
	gm_assert_eq(write(o.go[1], &c, 1), 1);
	gm_assert_eq(waitpid(pid, &status, 0), pid);
	gm_assert_eq(status, 0);
	gm_assert_eq(gm_host_differ(s.mem, 0, s.f.size, SEED), 0);
	close_scene(&s);
}

struct counts {
	u64 block;
	long free;
};

static bool all_back(void *arg)
{
	struct counts *c = arg;

	return !gm_counter("orphan_blocks") &&
	       (!c->block || gm_pool(c->block, "free") == c->free);
}

/* Closed with pages of both states, one of them held. */
static void orphan(unsigned int source)
{
	const u64 held = 9 * GM_PAGE;
	struct counts before = { 0 };
	struct gm_holder h;
	struct scene s;
	unsigned int i;
	u64 error;

	for (i = 0; i < GM_NR_HOLDERS; i++) {
		gm_need_source(&gm_sources[source], BLOCKS * gm_sources[source].block);
		if (gm_sources[source].flags & GM_HUGETLB) {
			before.block = gm_sources[source].block;
			before.free = gm_pool(before.block, "free");
		}
		open_scene(&s, source);
		h = gm_holders[i];
		h.take(&h, &s.f, held);
		gm_set_ok(&s.f, 0, held, true);
		gm_assert_eq(gm_set(&s.f, 0, s.f.size, true, &error), EAGAIN);
		gm_set_ok(&s.f, held + 4 * GM_PAGE, s.f.size - held - 4 * GM_PAGE, true);
		gm_guest_verify(s.g, 0, s.f.size, SEED);
		close_scene(&s);

		gm_assert_eq(gm_counter("orphan_blocks"), 1);
		if (before.block)
			gm_assert_eq(gm_pool(before.block, "free"), before.free - 1);
		/* Nobody else gets it: another file changes hands meanwhile. */
		open_scene(&s, source);
		gm_set_ok(&s.f, 0, s.f.size, true);
		close_scene(&s);
		gm_assert_eq(gm_counter("orphan_blocks"), 1);

		h.let_go(&h);
		if (h.reads)
			gm_assert_eq(gm_host_differ(h.buf, held, GM_PAGE, SEED), 0);
		gm_assert(gm_wait_until(all_back, &before, 30), "%s: %ld orphans left",
			  h.name, gm_counter("orphan_blocks"));
	}
}

/*
 * To lock a mapping takes no references either, not even for a moment: another
 * thread goes on faulting its pages in, as the guest's device model would.
 */
struct toucher {
	struct scene *s;
	bool stop;
	unsigned long in, out;
};

static void *touch_on(void *arg)
{
	struct toucher *t = arg;

	while (!READ_ONCE(t->stop)) {
		if (!madvise(t->s->mem, 8 * GM_PAGE, MADV_POPULATE_WRITE)) {
			__sync_fetch_and_add(&t->in, 1);
			continue;
		}
		gm_assert_eq(errno, EFAULT);
		__sync_fetch_and_add(&t->out, 1);
	}
	return NULL;
}

static void wait_past(unsigned long *count)
{
	unsigned long seen = READ_ONCE(*count);

	while (READ_ONCE(*count) == seen)
		sched_yield();
}

static void locked(unsigned int source)
{
	struct counts before = { 0 };
	struct toucher t = { 0 };
	pthread_t thread;
	struct scene s;
	int i;

	gm_need_source(&gm_sources[source], BLOCKS * gm_sources[source].block);
	if (gm_sources[source].flags & GM_HUGETLB) {
		before.block = gm_sources[source].block;
		before.free = gm_pool(before.block, "free");
	}
	open_scene(&s, source);
	gm_assert_ok(mlock(s.mem, 8 * GM_PAGE));
	t.s = &s;
	gm_assert_eq(pthread_create(&thread, NULL, touch_on, &t), 0);
	for (i = 0; i < LOCKED_ROUNDS; i++) {
		wait_past(&t.in);
		gm_set_ok(&s.f, 0, 8 * GM_PAGE, true);
		wait_past(&t.out);
		gm_set_ok(&s.f, 0, 8 * GM_PAGE, false);
	}
	WRITE_ONCE(t.stop, true);
	gm_assert_eq(pthread_join(thread, NULL), 0);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-eagain"), 0);
	gm_assert_eq(gm_host_differ(s.mem, 0, 8 * GM_PAGE, SEED), 0);

	/* Nor does what was locked keep the memory when all of it goes. */
	close_scene(&s);
	gm_assert(gm_wait_until(all_back, &before, 10), "%ld orphans left",
		  gm_counter("orphan_blocks"));
}

#define CASE(name, call) static void name(void) { call; }

CASE(holders_4k, holders(GM_SRC_4K))
CASE(holders_2m, holders(GM_SRC_THP_2M))
CASE(holders_htlb_2m, holders(GM_SRC_HTLB_2M))
CASE(mappings_4k, mappings(GM_SRC_4K))
CASE(mappings_2m, mappings(GM_SRC_THP_2M))
CASE(mappings_htlb_2m, mappings(GM_SRC_HTLB_2M))
CASE(orphan_4k, orphan(GM_SRC_4K))
CASE(orphan_2m, orphan(GM_SRC_THP_2M))
CASE(orphan_htlb_2m, orphan(GM_SRC_HTLB_2M))
CASE(locked_4k, locked(GM_SRC_4K))
CASE(locked_2m, locked(GM_SRC_THP_2M))
CASE(locked_htlb_2m, locked(GM_SRC_HTLB_2M))

static const struct gm_case cases[] = {
	{ "holders_4k", holders_4k },
	{ "holders_2m", holders_2m },
	{ "holders_hugetlb_2m", holders_htlb_2m },
	{ "mappings_4k", mappings_4k },
	{ "mappings_2m", mappings_2m },
	{ "mappings_hugetlb_2m", mappings_htlb_2m },
	{ "orphan_4k", orphan_4k },
	{ "orphan_2m", orphan_2m },
	{ "orphan_hugetlb_2m", orphan_htlb_2m },
	{ "locked_4k", locked_4k },
	{ "locked_2m", locked_2m },
	{ "locked_hugetlb_2m", locked_htlb_2m },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 16);
}
