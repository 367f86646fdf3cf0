// SPDX-License-Identifier: GPL-2.0-only
/*
 * Much of one thing: storms of requests, a guest that counts while its neighbours
 * change hands, two requests at once, requests that a signal meets. The oracle:
 * data stay, a request is done wholly or not at all, and when all have gone, every
 * counter is back.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "gmem_test.h"

#define SEED	67

/* Is a range of one state? Blocks in it may differ otherwise. */
static bool is_uniform(const struct gm_file *f, u64 off, u64 len)
{
	const u64 end = off + len;
	const bool private = gm_is_private(f, off);

	for (; off < end; off += gm_get(f, off).size) {
		if (gm_is_private(f, off) != private)
			return false;
	}
	return true;
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
	struct gm_scene s;

	gm_scene_open(&s, source, 1, 4 * GM_2M, GM_MMAP);
	p2m = gm_vm_stat(s.g, "pages_2m");
	seeds = calloc(s.f.size / GM_PAGE, sizeof(*seeds));
	for (p = 0; p < s.f.size / GM_PAGE; p++)
		seeds[p] = SEED;
	gm_guest_touch(s.g, 0, s.f.size, GM_PAGE, SEED);

	for (i = 0; i < requests; i += 2) {
		len = (1 + gm_rand(&state) % (i % 32 ? 7 : 200)) * GM_PAGE;
		off = gm_rand(&state) % ((s.f.size - len) / GM_PAGE + 1) * GM_PAGE;
		gm_set_ok(&s.f, off, len, false);
		for (p = off; p < off + len; p += GM_PAGE) {
			word = (u64 *)(s.mem + p);
			gm_assert_eq(*word, gm_word(seeds[p / GM_PAGE], p));
			seeds[p / GM_PAGE] = 1 + gm_rand(&state) % 1000;
			*word = gm_word(seeds[p / GM_PAGE], p);
		}
		gm_set_ok(&s.f, off, len, true);
		gm_assert(gm_sigbus(s.mem + off, false), "private");
		gm_guest_check(s.g, off, GM_PAGE, GM_PAGE, seeds[off / GM_PAGE]);
	}

	gm_assert_eq(gm_fdinfo(&s.f, "gmem-conversions"), requests);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-eagain"), 0);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-live"), 0);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-private"), s.f.size);
	gm_assert_withdrawn(&s.f);
	/* What was in pieces is one run again, with all that was written. */
	gm_assert_eq(gm_get(&s.f, 0).size, s.f.size);
	gm_set_ok(&s.f, 0, s.f.size, false);
	for (p = 0; p < s.f.size; p += GM_PAGE)
		gm_assert_eq(*(u64 *)(s.mem + p), gm_word(seeds[p / GM_PAGE], p));
	gm_set_ok(&s.f, 0, s.f.size, true);
	/* And it is mapped as large as ever. */
	gm_guest_touch(s.g, 0, s.f.size, GM_PAGE, SEED);
	gm_assert_eq(gm_vm_stat(s.g, "pages_2m") - p2m,
		     s.src->block == GM_PAGE ? 0 : s.f.size / GM_2M);
	free(seeds);
	gm_scene_close(&s);
}

/* One window, over and over, as a bounce buffer. */
static void storm_window(unsigned int source)
{
	const u64 off = GM_2M + 64 * GM_PAGE, len = 128 * GM_PAGE;
	const unsigned int rounds = scaled(1000);
	struct gm_block before, after;
	unsigned int i;
	struct gm_scene s;
	u64 at;

	gm_scene_open(&s, source, 1, 2 * GM_2M, GM_MMAP);
	gm_guest_touch(s.g, 0, s.f.size, GM_PAGE, SEED);
	gm_assert(gm_block_at(&s.f, off, &before), "no block");
	for (i = 0; i < rounds; i++) {
		at = off + i % 128 * GM_PAGE;
		gm_guest_touch(s.g, at, GM_PAGE, GM_PAGE, SEED + i);
		gm_set_ok(&s.f, off, len, false);
		gm_assert_eq(*(u64 *)(s.mem + at), gm_word(SEED + i, at));
		*(u64 *)(s.mem + at) = gm_word(SEED + i + 1, at);
		gm_set_ok(&s.f, off, len, true);
		gm_guest_check(s.g, at, GM_PAGE, GM_PAGE, SEED + i + 1);
		gm_guest_touch(s.g, at, GM_PAGE, GM_PAGE, SEED);
	}
	gm_guest_check(s.g, 0, s.f.size, GM_PAGE, SEED);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-conversions"), 2 * rounds);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-eagain"), 0);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-live"), 0);
	gm_assert_eq(gm_get(&s.f, 0).size, s.f.size);
	gm_assert(gm_block_at(&s.f, off, &after), "no block");
	gm_assert_eq(after.pfn, before.pfn);
	gm_assert_withdrawn(&s.f);
	gm_scene_close(&s);
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
	struct gm_scene s;

	gm_scene_open(&s, source, 2, GM_2M, GM_MMAP);
	gm_set_ok(&s.f, page[1], GM_PAGE, false);
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
		gm_set_ok(&s.f, off, len, gm_rand(&state) & 1);
		if (!gm_is_private(&s.f, off))
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
	gm_set_ok(&s.f, 0, s.f.size, false);
	for (cpu = 0; cpu < 2; cpu++)
		gm_assert_eq(*(u64 *)(s.mem + page[cpu]), gm_cmd(s.g, cpu)->rounds);
	gm_scene_close(&s);
}

/* Two requests that overlap: the result is that of one after the other. */
struct pair {
	struct gm_scene s;
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
		gm_set_ok(&p->s.f, p->off[a->nr], p->len[a->nr], p->private[a->nr]);
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
		bool is = gm_is_private(&p->s.f, off);

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
	gm_scene_open(&p.s, source, 1, source == GM_SRC_4K ? 32 * GM_PAGE : GM_2M, GM_MMAP);
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
			gm_set_ok(&p.s.f, off, GM_PAGE, off / GM_PAGE % 2);
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
	gm_scene_close(&p.s);
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

static void flip_for_ever(struct gm_scene *s, struct killed *k, bool held)
{
	u64 error;
	int err;

	for (;;) {
		err = gm_set(&s->f, 0, s->f.size, held || (k->rounds & 1), &error);
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
	struct gm_scene s;
	int status;
	pid_t pid;

	len = source == GM_SRC_4K ? 1024 * GM_PAGE : 4 * GM_2M;
	gm_scene_open(&s, source, 1, len, GM_SHARED);
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
		gm_assert_eq(gm_fdinfo(&s.f, "gmem-private"), gm_is_private(&s.f, 0) ? len : 0);
		gm_assert(!held || !gm_is_private(&s.f, 0), "private, although held");
		private += gm_is_private(&s.f, 0);
	}
	gm_note("%u of %u ended private", private, rounds);
	if (held)
		h.let_go(&h);
	gm_guest_verify(s.g, 0, len, SEED);
	gm_set_ok(&s.f, 0, len, true);
	gm_assert_withdrawn(&s.f);
	gm_guest_verify(s.g, 0, len, SEED);
	gm_scene_close(&s);
}

/* A signal that is handled: the request knows nothing of it. */
struct signalled {
	struct gm_scene s;
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
		gm_set_ok(&g->s.f, 0, g->s.f.size, i % 2 == 0);
		gm_assert_eq(gm_is_private(&g->s.f, 0), i % 2 == 0);
		gm_assert(is_uniform(&g->s.f, 0, g->s.f.size), "half of it");
		gm_assert_eq(gm_fdinfo(&g->s.f, "gmem-private"),
			     i % 2 ? 0 : gm_fdinfo(&g->s.f, "gmem-allocated"));
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

	gm_scene_open(&g.s, source, 1, source == GM_SRC_4K ? 256 * GM_PAGE : 2 * GM_2M,
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
	gm_scene_close(&g.s);
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
		{ "two_requests_4k", two_requests_4k },
		{ "two_requests_2m", two_requests_2m },
		{ "killed_4k", killed_4k },
		{ "killed_2m", killed_2m },
		{ "killed_waiting_2m", killed_waiting_2m },
		{ "signalled_2m", signalled_2m },
	};

	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 16);
}
