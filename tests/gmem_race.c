// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything at once on a few pages, and much of one thing. The oracle: what a
 * guest or the host finds in a word is what was last written there, or 0 after a
 * punch; who may touch a page is what the last request said; and when all have
 * gone, every counter is back.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "gmem_test.h"

#define SEED	67

struct scene {
	const struct gm_source *src;
	struct gm_vm *g;
	struct gm_file f;
	char *mem;
	u32 slot;
};

static void open_scene(struct scene *s, unsigned int source, unsigned int vcpus,
		       u64 size, u64 flags)
{
	memset(s, 0, sizeof(*s));
	s->src = &gm_sources[source];
	gm_need_source(s->src, size);
	s->g = gm_vm_create(GM_SWP, vcpus, 0);
	s->f = gm_create_from(s->g->vm, s->src, size, flags);
	s->slot = gm_slot(s->g, &s->f, GM_GPA, s->f.size, 0, NULL);
	gm_map(s->g, GM_GPA, s->f.size);
	s->mem = gm_mmap(&s->f, 0, s->f.size);
}

static void close_scene(struct scene *s)
{
	gm_assert_ok(munmap(s->mem, s->f.size));
	gm_close(&s->f);
	gm_vm_free(s->g);
}

static int set(const struct gm_file *f, u64 off, u64 len, bool private, u64 *error)
{
	struct kvm_memory_attributes2 a = {
		.offset		= off,
		.size		= len,
		.attributes	= private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
		.error_offset	= ~0ULL,
	};
	int r = ioctl(f->fd, KVM_SET_MEMORY_ATTRIBUTES2, &a) ? errno : 0;

	*error = a.error_offset;
	return r;
}

static void set_ok(const struct gm_file *f, u64 off, u64 len, bool private)
{
	u64 error;
	int r = set(f, off, len, private, &error);

	gm_assert(!r, "%s at %#lx: %s, error_offset %#lx", private ? "private" : "shared",
		  (unsigned long)off, strerror(r), (unsigned long)error);
}

static struct kvm_memory_attributes2 get(const struct gm_file *f, u64 off)
{
	struct kvm_memory_attributes2 a = { .offset = off };

	gm_assert_ok(ioctl(f->fd, KVM_GET_MEMORY_ATTRIBUTES2, &a));
	return a;
}

static bool is_private(const struct gm_file *f, u64 off)
{
	return get(f, off).attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE;
}

/* Is a range of one state? Blocks in it may differ otherwise. */
static bool is_uniform(const struct gm_file *f, u64 off, u64 len)
{
	const u64 end = off + len;
	const bool private = is_private(f, off);

	for (; off < end; off += get(f, off).size) {
		if (is_private(f, off) != private)
			return false;
	}
	return true;
}

static void assert_withdrawn(const struct gm_file *f)
{
	static struct gm_block b[4096];
	size_t i, nr = gm_blocks(f, b, ARRAY_SIZE(b));

	gm_assert(nr, "no block");
	for (i = 0; i < nr; i++)
		gm_assert(!b[i].live && !b[i].refs, "index %lu: %lu live, %ld references",
			  (unsigned long)b[i].index, (unsigned long)b[i].live, b[i].refs);
}

/* As many rounds as the kernel can do in the time. */
static unsigned int scaled(unsigned int rounds)
{
	return gm_time_scale() > 1 ? rounds / 5 : rounds;
}

/*
 * Thousands of short requests all over memory, as a boot loader makes them that
 * shares a buffer for each read, and a few longer ones.
 */
static void storm_short(unsigned int source)
{
	const unsigned int requests = scaled(5000) & ~1U;
	u64 state = gm_seed, off, len, p, p2m, *seeds, *word;
	unsigned int i;
	struct scene s;

	open_scene(&s, source, 1, 4 * GM_2M, GM_MMAP);
	p2m = gm_vm_stat(s.g, "pages_2m");
	seeds = calloc(s.f.size / GM_PAGE, sizeof(*seeds));
	for (p = 0; p < s.f.size / GM_PAGE; p++)
		seeds[p] = SEED;
	gm_guest_touch(s.g, 0, s.f.size, GM_PAGE, SEED);

	for (i = 0; i < requests; i += 2) {
		len = (1 + gm_rand(&state) % (i % 32 ? 7 : 200)) * GM_PAGE;
		off = gm_rand(&state) % ((s.f.size - len) / GM_PAGE + 1) * GM_PAGE;
		set_ok(&s.f, off, len, false);
		for (p = off; p < off + len; p += GM_PAGE) {
			word = (u64 *)(s.mem + p);
			gm_assert_eq(*word, gm_word(seeds[p / GM_PAGE], p));
			seeds[p / GM_PAGE] = 1 + gm_rand(&state) % 1000;
			*word = gm_word(seeds[p / GM_PAGE], p);
		}
		set_ok(&s.f, off, len, true);
		gm_assert(gm_sigbus(s.mem + off, false), "private");
		gm_guest_check(s.g, off, GM_PAGE, GM_PAGE, seeds[off / GM_PAGE]);
	}

	gm_assert_eq(gm_fdinfo(&s.f, "gmem-conversions"), requests);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-eagain"), 0);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-live"), 0);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-private"), s.f.size);
	assert_withdrawn(&s.f);
	/* What was in pieces is one run again, with all that was written. */
	gm_assert_eq(get(&s.f, 0).size, s.f.size);
	set_ok(&s.f, 0, s.f.size, false);
	for (p = 0; p < s.f.size; p += GM_PAGE)
		gm_assert_eq(*(u64 *)(s.mem + p), gm_word(seeds[p / GM_PAGE], p));
	set_ok(&s.f, 0, s.f.size, true);
	/* And it is mapped as large as ever. */
	gm_guest_touch(s.g, 0, s.f.size, GM_PAGE, SEED);
	gm_assert_eq(gm_vm_stat(s.g, "pages_2m") - p2m,
		     s.src->block == GM_PAGE ? 0 : s.f.size / GM_2M);
	free(seeds);
	close_scene(&s);
}

/* One window, over and over, as a bounce buffer. */
static void storm_window(unsigned int source)
{
	const u64 off = GM_2M + 64 * GM_PAGE, len = 128 * GM_PAGE;
	const unsigned int rounds = scaled(1000);
	struct gm_block before, after;
	unsigned int i;
	struct scene s;
	u64 at;

	open_scene(&s, source, 1, 2 * GM_2M, GM_MMAP);
	gm_guest_touch(s.g, 0, s.f.size, GM_PAGE, SEED);
	gm_assert(gm_block_at(&s.f, off, &before), "no block");
	for (i = 0; i < rounds; i++) {
		at = off + i % 128 * GM_PAGE;
		gm_guest_touch(s.g, at, GM_PAGE, GM_PAGE, SEED + i);
		set_ok(&s.f, off, len, false);
		gm_assert_eq(*(u64 *)(s.mem + at), gm_word(SEED + i, at));
		*(u64 *)(s.mem + at) = gm_word(SEED + i + 1, at);
		set_ok(&s.f, off, len, true);
		gm_guest_check(s.g, at, GM_PAGE, GM_PAGE, SEED + i + 1);
		gm_guest_touch(s.g, at, GM_PAGE, GM_PAGE, SEED);
	}
	gm_guest_check(s.g, 0, s.f.size, GM_PAGE, SEED);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-conversions"), 2 * rounds);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-eagain"), 0);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-live"), 0);
	gm_assert_eq(get(&s.f, 0).size, s.f.size);
	gm_assert(gm_block_at(&s.f, off, &after), "no block");
	gm_assert_eq(after.pfn, before.pfn);
	assert_withdrawn(&s.f);
	close_scene(&s);
}

/*
 * Two vCPUs count up, one in a private page, one in a shared page, while all
 * around them changes hands. A mapping that was wrong for a moment loses a
 * count; a page that moves, all of them.
 */
struct progress {
	struct gm_vm *g;
	unsigned int cpu;
	u64 rounds;
};

static bool has_counted(void *arg)
{
	struct progress *p = arg;

	return READ_ONCE(gm_cmd(p->g, p->cpu)->rounds) > p->rounds;
}

static void count(unsigned int source)
{
	const u64 page[2] = { 100 * GM_PAGE, 102 * GM_PAGE };
	u64 state = gm_seed, off, len;
	struct progress p = { 0 };
	unsigned int i, cpu;
	struct scene s;

	open_scene(&s, source, 2, GM_2M, GM_MMAP);
	set_ok(&s.f, page[1], GM_PAGE, false);
	for (cpu = 0; cpu < 2; cpu++)
		gm_start(s.g, cpu, GM_COUNT, GM_GPA + page[cpu], page[cpu], GM_PAGE,
			 GM_PAGE, SEED);
	p.g = s.g;
	for (i = 0; i < scaled(600); i++) {
		/* Never those two, often what is next to them. */
		switch (gm_rand(&state) % 3) {
		case 0:
			off = 0;
			len = page[0];
			break;
		case 1:
			off = page[0] + GM_PAGE;
			len = GM_PAGE;
			break;
		default:
			off = page[1] + GM_PAGE;
			len = (1 + gm_rand(&state) % (511 - page[1] / GM_PAGE)) * GM_PAGE;
		}
		set_ok(&s.f, off, len, gm_rand(&state) & 1);
		if (!is_private(&s.f, off))
			gm_host_fill(s.mem + off, off, 64, SEED);
		/* It is not kept waiting, whatever goes on. */
		if (i % 16 == 15) {
			p.cpu = i / 16 % 2;
			p.rounds = READ_ONCE(gm_cmd(s.g, p.cpu)->rounds);
			gm_assert(gm_wait_until(has_counted, &p, 10), "vCPU %u stands still",
				  p.cpu);
		}
	}
	for (cpu = 0; cpu < 2; cpu++) {
		gm_stop(s.g, cpu);
		gm_assert_eq(gm_join(s.g, cpu), 0);
		gm_assert_good(s.g, cpu);
	}
	set_ok(&s.f, 0, s.f.size, false);
	for (cpu = 0; cpu < 2; cpu++)
		gm_assert_eq(*(u64 *)(s.mem + page[cpu]), gm_cmd(s.g, cpu)->rounds);
	close_scene(&s);
}

/*
 * Eight threads: one converts, one punches, one populates, one touches, one
 * holds pages, one deletes and makes the slot, two are vCPUs. The file is closed
 * under those that can bear it. Each has its own word in every page.
 */
enum { WORD_VCPU0 = 0, WORD_VCPU1 = 16, WORD_HOST = 32, WORD_CONVERT = 48 };

#define NOWHERE	(~0ULL)

struct race {
	struct scene s;
	u64 seed;		/* of the data, another in each epoch */
	u64 random;
	unsigned int rounds;	/* of the converting thread */
	pthread_rwlock_t mapping;	/* of mem, for those who stay longer than it */
	bool stop_host;
	bool closed;
	u64 held_at;		/* the page that is held, or NOWHERE */
	unsigned long busy, refaults, no_slot, held;
};

static u64 thread_random(struct race *r, u64 salt)
{
	u64 state = r->random ^ salt << 48;

	return gm_rand(&state);
}

static void pick(struct race *r, u64 *state, u64 *off, u64 *len)
{
	const u64 pages = r->s.f.size / GM_PAGE;

	*off = gm_rand(state) % pages;
	*len = gm_rand(state) % 4 ? 1 + gm_rand(state) % 8 : 1 + gm_rand(state) % pages;
	if (*len > pages - *off)
		*len = pages - *off;
	*off *= GM_PAGE;
	*len *= GM_PAGE;
}

static void check_word(struct race *r, const char *who, u64 got, u64 off)
{
	gm_assert(!got || got == gm_word(r->seed, off), "%s: %#lx at %#lx, not %#lx", who,
		  (unsigned long)got, (unsigned long)off,
		  (unsigned long)gm_word(r->seed, off));
}

struct touch {
	u64 *word;
	u64 value;
	u64 got;
};

static void touch(void *arg)
{
	struct touch *t = arg;

	t->got = READ_ONCE(*t->word);
	WRITE_ONCE(*t->word, t->value);
}

/* False: SIGBUS. */
static bool touch_word(struct race *r, const char *who, u64 off)
{
	struct touch t = {
		.word = (u64 *)(r->s.mem + off),
		.value = gm_word(r->seed, off),
	};

	if (gm_catch_sigbus(touch, &t, NULL))
		return false;
	check_word(r, who, t.got, off);
	return true;
}

/* The only one that converts, so it knows who may touch what. */
static void *convert_thread(void *arg)
{
	struct race *r = arg;
	u64 state = thread_random(r, 1), off, len, error;
	bool private;
	int err;

	while (!READ_ONCE(r->closed)) {
		pick(r, &state, &off, &len);
		private = gm_rand(&state) & 1;
		/* Now and then just what is held, or was a moment ago. */
		if (gm_rand(&state) % 4 == 0 && READ_ONCE(r->held_at) != NOWHERE) {
			off = READ_ONCE(r->held_at);
			len = GM_PAGE;
			private = true;
			if (off == NOWHERE)
				continue;
		}
		err = set(&r->s.f, off, len, private, &error);
		if (err == EBADF && READ_ONCE(r->closed))
			break;
		gm_assert(!err || (err == EAGAIN && private), "%s: %s",
			  private ? "private" : "shared", strerror(err));
		WRITE_ONCE(r->rounds, r->rounds + 1);
		if (err) {
			gm_assert(error >= off && error < off + len, "error_offset %#lx",
				  (unsigned long)error);
			r->busy++;
			off = error;
			private = false;
		} else {
			off += gm_rand(&state) % (len / GM_PAGE) * GM_PAGE;
		}
		pthread_rwlock_rdlock(&r->mapping);
		if (!r->stop_host)
			gm_assert(touch_word(r, "converter", off + WORD_CONVERT) == !private,
				  "%s page at %#lx", private ? "private" : "shared",
				  (unsigned long)off);
		pthread_rwlock_unlock(&r->mapping);
	}
	return NULL;
}

static void *punch_thread(void *arg)
{
	struct race *r = arg;
	u64 state = thread_random(r, 2), off, len;

	while (!READ_ONCE(r->closed)) {
		pick(r, &state, &off, &len);
		/* Blocks that are freed whole come back for another index. */
		if (gm_rand(&state) % 4 == 0) {
			len = gm_rand(&state) % 2 ? r->s.f.size : r->s.src->block;
			off = gm_rand(&state) % (r->s.f.size / len) * len;
		}
		if (gm_punch(&r->s.f, off, len))
			gm_assert(errno == EAGAIN || (errno == EBADF && READ_ONCE(r->closed)),
				  "punch: %s", strerror(errno));
	}
	return NULL;
}

static void *populate_thread(void *arg)
{
	struct race *r = arg;
	u64 state = thread_random(r, 3), off, len;

	while (!READ_ONCE(r->closed)) {
		pick(r, &state, &off, &len);
		if (gm_populate(&r->s.f, off, len))
			gm_assert(errno == EBADF && READ_ONCE(r->closed), "populate: %s",
				  strerror(errno));
	}
	return NULL;
}

static void *host_thread(void *arg)
{
	struct race *r = arg;
	const u64 pages = r->s.f.size / GM_PAGE;
	u64 state = thread_random(r, 4);

	while (!READ_ONCE(r->stop_host))
		touch_word(r, "host", gm_rand(&state) % pages * GM_PAGE + WORD_HOST);
	return NULL;
}

/* Holds a page until the converter has tried so many times. */
static void *hold_thread(void *arg)
{
	struct race *r = arg;
	const u64 pages = r->s.f.size / GM_PAGE;
	u64 state = thread_random(r, 5), buf[GM_PAGE / 8], off;
	unsigned int until;
	struct iovec iov;
	int fd[2];

	gm_assert_ok(pipe(fd));
	while (!READ_ONCE(r->stop_host)) {
		off = gm_rand(&state) % pages * GM_PAGE;
		iov = (struct iovec) { .iov_base = r->s.mem + off, .iov_len = GM_PAGE };
		if (vmsplice(fd[1], &iov, 1, 0) != GM_PAGE) {
			gm_assert_eq(errno, EFAULT);
			continue;
		}
		r->held++;
		WRITE_ONCE(r->held_at, off);
		until = READ_ONCE(r->rounds) + 1 + gm_rand(&state) % 3;
		while (!READ_ONCE(r->stop_host) && (int)(until - READ_ONCE(r->rounds)) > 0)
			sched_yield();
		WRITE_ONCE(r->held_at, NOWHERE);
		gm_assert_eq(read(fd[0], buf, GM_PAGE), GM_PAGE);
		check_word(r, "holder", buf[WORD_VCPU0 / 8], off + WORD_VCPU0);
		check_word(r, "holder", buf[WORD_HOST / 8], off + WORD_HOST);
	}
	close(fd[0]);
	close(fd[1]);
	return NULL;
}

static void *slot_thread(void *arg)
{
	struct race *r = arg;
	struct kvm_userspace_memory_region2 region = {
		.slot = r->s.slot,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = GM_GPA,
		.guest_memfd = r->s.f.fd,
	};
	unsigned int seen = 0;

	while (!READ_ONCE(r->closed)) {
		/* The guests get to use it in between. */
		if (READ_ONCE(r->rounds) - seen < 4) {
			sched_yield();
			continue;
		}
		seen = READ_ONCE(r->rounds);
		region.memory_size = 0;
		gm_assert_ok(__vm_ioctl(r->s.g->vm, KVM_SET_USER_MEMORY_REGION2, &region));
		region.memory_size = r->s.f.size;
		if (__vm_ioctl(r->s.g->vm, KVM_SET_USER_MEMORY_REGION2, &region))
			gm_assert(errno == EBADF && READ_ONCE(r->closed), "slot: %s",
				  strerror(errno));
	}
	return NULL;
}

/*
 * A vCPU as a VMM runs it: it enters again when the state changed under a fault,
 * and has nothing to say where there is no slot for a moment.
 */
struct vcpu_arg {
	struct race *r;
	unsigned int cpu;
};

static void *vcpu_thread(void *arg)
{
	struct vcpu_arg *a = arg;
	struct race *r = a->r;
	struct kvm_vcpu *vcpu = r->s.g->vcpu[a->cpu];
	struct kvm_run *run = vcpu->run;
	struct gm_cmd *c = gm_cmd(r->s.g, a->cpu);
	const u64 word = a->cpu ? WORD_VCPU1 : WORD_VCPU0;

	memset(c, 0, sizeof(*c));
	c->op = GM_LOOP;
	c->gva = GM_GPA + word;
	c->off = word;
	c->len = r->s.f.size;
	c->stride = GM_PAGE;
	c->seed = r->seed;
	for (;;) {
		if (__vcpu_run(vcpu)) {
			if (errno == EINTR)
				continue;
			gm_assert(errno == EFAULT &&
				  run->exit_reason == KVM_EXIT_MEMORY_FAULT,
				  "KVM_RUN: %s, %s", strerror(errno),
				  exit_reason_str(run->exit_reason));
			/* Nobody brings the file back. */
			if (READ_ONCE(c->stop))
				return NULL;
			__sync_fetch_and_add(&r->refaults, 1);
			sched_yield();
			continue;
		}
		if (run->exit_reason == KVM_EXIT_MMIO) {
			memset(run->mmio.data, 0, sizeof(run->mmio.data));
			__sync_fetch_and_add(&r->no_slot, 1);
			continue;
		}
		if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
		    run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION) {
			__sync_fetch_and_add(&r->no_slot, 1);
			if (READ_ONCE(c->stop))
				return NULL;
			continue;
		}
		gm_assert_eq(run->exit_reason, KVM_EXIT_IO);
		return NULL;
	}
}

static bool has_rounds(void *arg)
{
	struct race *r = arg;

	return READ_ONCE(r->rounds) >= r->random % 100 + 60;
}

static bool no_orphans(void *arg)
{
	return !gm_counter("orphan_blocks");
}

static void one_race(struct race *r, unsigned int source, u64 *state)
{
	static void *(* const fns[])(void *) = {
		convert_thread, punch_thread, populate_thread, slot_thread,
		host_thread, hold_thread,
	};
	pthread_t thread[ARRAY_SIZE(fns)], vcpu[2];
	struct vcpu_arg arg[2];
	unsigned int i;
	int fd;

	memset(r, 0, sizeof(*r));
	r->random = gm_rand(state);
	r->seed = r->random;
	r->held_at = NOWHERE;
	pthread_rwlock_init(&r->mapping, NULL);
	open_scene(&r->s, source, 2, source == GM_SRC_4K ? 16 * GM_PAGE : 2 * GM_2M, GM_MMAP);
	/* A number that nobody else gets once it is closed. */
	fd = fcntl(r->s.f.fd, F_DUPFD, 500);
	gm_assert_ge(fd, 500);
	gm_close(&r->s.f);
	r->s.f.fd = fd;

	for (i = 0; i < 2; i++) {
		arg[i] = (struct vcpu_arg) { r, i };
		kvm_pthread_create(&vcpu[i], NULL, vcpu_thread, &arg[i]);
	}
	for (i = 0; i < ARRAY_SIZE(fns); i++)
		kvm_pthread_create(&thread[i], NULL, fns[i], r);

	gm_assert(gm_wait_until(has_rounds, r, 40), "%u rounds", r->rounds);
	/* The mapping goes first, then the file under all the others. */
	pthread_rwlock_wrlock(&r->mapping);
	WRITE_ONCE(r->stop_host, true);
	pthread_rwlock_unlock(&r->mapping);
	kvm_pthread_join(thread[4], NULL);
	kvm_pthread_join(thread[5], NULL);
	gm_assert_ok(munmap(r->s.mem, r->s.f.size));
	WRITE_ONCE(r->closed, true);
	gm_assert_ok(close(fd));
	for (i = 0; i < 4; i++)
		kvm_pthread_join(thread[i], NULL);
	for (i = 0; i < 2; i++)
		gm_stop(r->s.g, i);
	for (i = 0; i < 2; i++) {
		kvm_pthread_join(vcpu[i], NULL);
		gm_assert_good(r->s.g, i);
	}
	gm_vm_free(r->s.g);
	gm_assert(gm_wait_until(no_orphans, NULL, 20), "orphans");
}

static void race(unsigned int source)
{
	unsigned long rounds = 0, busy = 0, refaults = 0, no_slot = 0, held = 0;
	u64 state = gm_seed;
	struct race r;
	unsigned int i;

	for (i = 0; i < scaled(10); i++) {
		one_race(&r, source, &state);
		rounds += r.rounds;
		busy += r.busy;
		refaults += r.refaults;
		no_slot += r.no_slot;
		held += r.held;
	}
	gm_note("%lu requests, %lu refused; %lu holders, %lu faults again, %lu without slot",
		rounds, busy, held, refaults, no_slot);
	/* They did meet. */
	gm_assert_ge(held, 1);
	gm_assert_ge(busy, 1);
	gm_assert_ge(refaults + no_slot, 1);
}

/* Two requests that overlap: the result is that of one after the other. */
struct pair {
	struct scene s;
	pthread_barrier_t barrier;
	u64 off[2];
	u64 len[2];
	bool private[2];
	unsigned int rounds;
};

struct pair_arg {
	struct pair *p;
	unsigned int nr;
};

static void *pair_thread(void *arg)
{
	struct pair_arg *a = arg;
	struct pair *p = a->p;
	unsigned int i;

	for (i = 0; i < p->rounds; i++) {
		pthread_barrier_wait(&p->barrier);
		set_ok(&p->s.f, p->off[a->nr], p->len[a->nr], p->private[a->nr]);
		pthread_barrier_wait(&p->barrier);
	}
	return NULL;
}

static void check_pair(struct pair *p)
{
	int both = -1;
	u64 off;

	for (off = 0; off < p->s.f.size; off += GM_PAGE) {
		bool in0 = off >= p->off[0] && off < p->off[0] + p->len[0];
		bool in1 = off >= p->off[1] && off < p->off[1] + p->len[1];
		bool is = is_private(&p->s.f, off);

		if (in0 && in1) {
			gm_assert(is == p->private[0] || is == p->private[1], "state");
			gm_assert(both < 0 || is == both, "half of each at %#lx",
				  (unsigned long)off);
			both = is;
		} else if (in0 || in1) {
			gm_assert_eq(is, p->private[in1]);
		} else {
			gm_assert_eq(is, off / GM_PAGE % 2);
		}
		/* The host agrees. */
		gm_assert_eq(gm_sigbus(p->s.mem + off, false), is);
	}
}

static void two_requests(unsigned int source)
{
	struct pair_arg arg[2];
	u64 state = gm_seed, off;
	pthread_t thread[2];
	unsigned int i, n;
	struct pair p;

	memset(&p, 0, sizeof(p));
	open_scene(&p.s, source, 1, source == GM_SRC_4K ? 32 * GM_PAGE : GM_2M, GM_MMAP);
	/* Few enough pages to look at each of them each time. */
	p.s.f.size = 32 * GM_PAGE;
	p.rounds = scaled(300);
	pthread_barrier_init(&p.barrier, NULL, 3);
	for (n = 0; n < 2; n++) {
		arg[n] = (struct pair_arg) { &p, n };
		kvm_pthread_create(&thread[n], NULL, pair_thread, &arg[n]);
	}
	for (i = 0; i < p.rounds; i++) {
		for (off = 0; off < p.s.f.size; off += GM_PAGE)
			set_ok(&p.s.f, off, GM_PAGE, off / GM_PAGE % 2);
		for (n = 0; n < 2; n++) {
			p.off[n] = gm_rand(&state) % 16 * GM_PAGE;
			p.len[n] = (1 + gm_rand(&state) % 16) * GM_PAGE;
			p.private[n] = i % 4 == 3 ? i & 4 : n;
		}
		pthread_barrier_wait(&p.barrier);
		pthread_barrier_wait(&p.barrier);
		check_pair(&p);
	}
	for (n = 0; n < 2; n++)
		kvm_pthread_join(thread[n], NULL);
	p.s.f.size = source == GM_SRC_4K ? 32 * GM_PAGE : GM_2M;
	close_scene(&p.s);
}

/* Killed in the middle of a request: all of it or nothing. */
struct killed {
	unsigned int rounds;
	unsigned int until;
};

static bool has_begun(void *arg)
{
	struct killed *k = arg;

	return READ_ONCE(k->rounds) >= k->until;
}

static void flip_for_ever(struct scene *s, struct killed *k, bool held)
{
	u64 error;
	int err;

	for (;;) {
		err = set(&s->f, 0, s->f.size, held || (k->rounds & 1), &error);
		gm_assert_eq(err, held ? EAGAIN : 0);
		WRITE_ONCE(k->rounds, k->rounds + 1);
	}
}

static void killed(unsigned int source, bool held)
{
	struct killed *k = kvm_mmap(GM_PAGE, PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1);
	const unsigned int rounds = scaled(held ? 50 : 200);
	unsigned int i, private = 0;
	u64 state = gm_seed, len;
	struct gm_holder h;
	struct scene s;
	int status;
	pid_t pid;

	len = source == GM_SRC_4K ? 1024 * GM_PAGE : 4 * GM_2M;
	open_scene(&s, source, 1, len, GM_SHARED);
	gm_host_fill(s.mem, 0, len, SEED);
	if (held) {
		h = gm_holders[0];
		h.take(&h, &s.f, len / 2);
	}
	for (i = 0; i < rounds; i++) {
		k->rounds = 0;
		k->until = 1 + gm_rand(&state) % (held ? 2 : 8);
		fflush(stdout);
		pid = fork();
		gm_assert(pid >= 0, "fork: %s", strerror(errno));
		if (!pid)
			flip_for_ever(&s, k, held);
		gm_assert(gm_wait_until(has_begun, k, 10), "%u rounds", k->rounds);
		gm_assert_ok(kill(pid, SIGKILL));
		gm_assert_eq(waitpid(pid, &status, 0), pid);
		gm_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %#x",
			  status);
		gm_assert(is_uniform(&s.f, 0, len), "half of it");
		gm_assert_eq(gm_fdinfo(&s.f, "gmem-private"), is_private(&s.f, 0) ? len : 0);
		gm_assert(!held || !is_private(&s.f, 0), "private, although held");
		private += is_private(&s.f, 0);
	}
	gm_note("%u of %u ended private", private, rounds);
	if (held)
		h.let_go(&h);
	gm_guest_verify(s.g, 0, len, SEED);
	set_ok(&s.f, 0, len, true);
	assert_withdrawn(&s.f);
	gm_guest_verify(s.g, 0, len, SEED);
	close_scene(&s);
}

/* A signal that is handled: the request knows nothing of it. */
struct signalled {
	struct scene s;
	unsigned int rounds;
	bool done;
};

static void on_signal(int sig)
{
}

static void *flip_thread(void *arg)
{
	struct signalled *g = arg;
	unsigned int i;

	for (i = 0; i < g->rounds; i++) {
		set_ok(&g->s.f, 0, g->s.f.size, i % 2 == 0);
		gm_assert_eq(gm_fdinfo(&g->s.f, "gmem-private"), i % 2 ? 0 : g->s.f.size);
		if (i % 2)
			gm_host_fill(g->s.mem + i % 64 * GM_PAGE, 0, 64, SEED);
	}
	WRITE_ONCE(g->done, true);
	return NULL;
}

static void signalled(unsigned int source)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct signalled g = { .rounds = scaled(400) & ~1U };
	unsigned long sent = 0;
	pthread_t thread;

	open_scene(&g.s, source, 1, source == GM_SRC_4K ? 256 * GM_PAGE : 2 * GM_2M,
		   GM_SHARED);
	sigaction(SIGUSR1, &sa, NULL);
	kvm_pthread_create(&thread, NULL, flip_thread, &g);
	while (!READ_ONCE(g.done)) {
		gm_assert_eq(pthread_kill(thread, SIGUSR1), 0);
		sent++;
		sched_yield();
	}
	kvm_pthread_join(thread, NULL);
	gm_note("%lu signals", sent);
	gm_assert_ge(sent, g.rounds);
	gm_assert_eq(gm_fdinfo(&g.s.f, "gmem-conversions"), g.rounds);
	gm_assert_eq(gm_fdinfo(&g.s.f, "gmem-eagain"), 0);
	close_scene(&g.s);
}

#define CASE(name, call) static void name(void) { call; }

CASE(storm_short_4k, storm_short(GM_SRC_4K))
CASE(storm_short_2m, storm_short(GM_SRC_THP_2M))
CASE(storm_short_htlb_2m, storm_short(GM_SRC_HTLB_2M))
CASE(storm_window_4k, storm_window(GM_SRC_4K))
CASE(storm_window_2m, storm_window(GM_SRC_THP_2M))
CASE(storm_window_htlb_2m, storm_window(GM_SRC_HTLB_2M))
CASE(count_2m, count(GM_SRC_THP_2M))
CASE(count_htlb_2m, count(GM_SRC_HTLB_2M))
CASE(race_4k, race(GM_SRC_4K))
CASE(race_2m, race(GM_SRC_THP_2M))
CASE(race_htlb_2m, race(GM_SRC_HTLB_2M))
CASE(two_requests_4k, two_requests(GM_SRC_4K))
CASE(two_requests_2m, two_requests(GM_SRC_THP_2M))
CASE(killed_4k, killed(GM_SRC_4K, false))
CASE(killed_2m, killed(GM_SRC_THP_2M, false))
CASE(killed_waiting_2m, killed(GM_SRC_THP_2M, true))
CASE(signalled_2m, signalled(GM_SRC_THP_2M))

int main(int argc, char **argv)
{
	static const struct gm_case cases[] = {
		{ "storm_short_4k", storm_short_4k },
		{ "storm_short_2m", storm_short_2m },
		{ "storm_short_hugetlb_2m", storm_short_htlb_2m },
		{ "storm_window_4k", storm_window_4k },
		{ "storm_window_2m", storm_window_2m },
		{ "storm_window_hugetlb_2m", storm_window_htlb_2m },
		{ "count_2m", count_2m },
		{ "count_hugetlb_2m", count_htlb_2m },
		{ "race_4k", race_4k, 120 },
		{ "race_2m", race_2m, 120 },
		{ "race_hugetlb_2m", race_htlb_2m, 120 },
		{ "two_requests_4k", two_requests_4k },
		{ "two_requests_2m", two_requests_2m },
		{ "killed_4k", killed_4k },
		{ "killed_2m", killed_2m },
		{ "killed_waiting_2m", killed_waiting_2m },
		{ "signalled_2m", signalled_2m },
	};

	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 16);
}
