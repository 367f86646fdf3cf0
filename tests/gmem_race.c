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

/* As many rounds as the kernel can do in the time. */
static unsigned int scaled(unsigned int rounds)
{
	return gm_time_scale() > 1 ? rounds / 5 : rounds;
}

/*
 * Eight threads: one converts, one punches, one populates, one touches, one
 * holds pages, one deletes and makes the slot, two are vCPUs. The file is closed
 * under those that can bear it. Each has its own word in every page.
 */
enum { WORD_VCPU0 = 0, WORD_VCPU1 = 16, WORD_HOST = 32, WORD_CONVERT = 48 };

#define NOWHERE	(~0ULL)

struct race {
	struct gm_scene s;
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
		err = gm_set(&r->s.f, off, len, private, &error);
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
			gm_assert(errno == EFAULT && READ_ONCE(r->closed) &&
				  run->exit_reason == KVM_EXIT_MEMORY_FAULT,
				  "KVM_RUN: %s, %s, file %s", strerror(errno),
				  exit_reason_str(run->exit_reason),
				  r->closed ? "closed" : "open");
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
	gm_scene_open(&r->s, source, 2, source == GM_SRC_4K ? 16 * GM_PAGE : 2 * GM_2M, GM_MMAP);
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

#define CASE(name, call) static void name(void) { call; }

CASE(race_4k, race(GM_SRC_4K))
CASE(race_2m, race(GM_SRC_THP_2M))
CASE(race_htlb_2m, race(GM_SRC_HTLB_2M))

int main(int argc, char **argv)
{
	static const struct gm_case cases[] = {
		{ "race_4k", race_4k, 120 },
		{ "race_2m", race_2m, 120 },
		{ "race_hugetlb_2m", race_htlb_2m, 120 },
	};

	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 16);
}
