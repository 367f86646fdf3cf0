// SPDX-License-Identifier: GPL-2.0-only
/*
 * TDX guests on the software TDX module, which is busy, is interrupted or tracks
 * nothing: each thing that is done to private memory, with each fault that can come
 * while it is done.
 */
#include <sys/mman.h>

#include "tdx.h"

#define SEED		71
#define STRIDE		512
#define FRAMES		512
#define SPINNER		1	/* vCPU that is in the TD nearly always */
#define ACCEPTER	2	/* for what takes two */
#define SPIN_GPA	(GM_GPA + 8 * GM_1G)

struct bench {
	struct gm_td_scene s;
	struct gm_file spin_file;
	pthread_t spinner;
	bool stop;
	unsigned int frame;	/* first that nothing was done to */
	struct gm_td_leaves leaves;
};

enum leaf { SEPT_ADD, AUG, BLOCK, TRACK, DEMOTE, REMOVE, NR_LEAVES };

static const struct {
	const char *name;
	bool in_4k, in_2m;	/* levels that the module counts */
} leaves[NR_LEAVES] = {
	[SEPT_ADD]	= { "MEM.SEPT.ADD", false, true },
	[AUG]		= { "MEM.PAGE.AUG", true, true },
	[BLOCK]		= { "MEM.RANGE.BLOCK", true, true },
	[TRACK]		= { "MEM.TRACK", true, false },
	[DEMOTE]	= { "MEM.PAGE.DEMOTE", false, true },
	[REMOVE]	= { "MEM.PAGE.REMOVE", true, true },
};

/*
 * What is done, from an offset on: made ready, done with a fault under way, looked
 * at. It takes so many frames of 2 MiB, of which the tables stay.
 */
struct behaviour {
	unsigned int frames;
	void (*before)(struct bench *b, u64 off);
	void (*run)(struct bench *b, u64 off);
	void (*after)(struct bench *b, u64 off);
	bool vcpus_race;	/* how often a leaf is called is open */
};

static void *spin(void *arg)
{
	struct bench *b = arg;

	while (!READ_ONCE(b->stop))
		gm_assert_eq(gm_td_store(b->s.td, SPINNER, SPIN_GPA, GM_2M, 8, SEED), GM_TD_SYNC);
	return NULL;
}

static void bench_open(struct bench *b)
{
	*b = (struct bench) { .s = gm_td_scene_open(ACCEPTER + 1, FRAMES * GM_2M, 0) };
	b->spin_file = gm_create_from(b->s.td->vm, &gm_sources[GM_SRC_THP_2M], GM_2M,
				      GM_MMAP);
	gm_td_attach(b->s.td, &b->spin_file, SPIN_GPA);
	gm_td_accept_ok(b->s.td, 0, SPIN_GPA, GM_TD_2M, 1);
	b->s.elsewhere = 512;
	kvm_pthread_create(&b->spinner, NULL, spin, b);
}

static void bench_close(struct bench *b)
{
	WRITE_ONCE(b->stop, true);
	kvm_pthread_join(b->spinner, NULL);
	gm_close(&b->spin_file);
	gm_td_scene_close(&b->s);
}

static long nr_calls(enum leaf leaf)
{
	return (leaves[leaf].in_4k ? gm_td_calls(leaves[leaf].name, "4K") : 0) +
	       (leaves[leaf].in_2m ? gm_td_calls(leaves[leaf].name, "2M") : 0);
}

/* Pages of the guest that are not its own or the spinner's. */
static void assert_pages(struct bench *b, long mapped, long pending)
{
	struct gm_td_counts nr = gm_td_counts();

	gm_assert_eq(nr.mapped, mapped + 512 + GM_TD_BOOT_PAGES);
	gm_assert_eq(nr.pending, pending);
	gm_td_assert_ledger(&b->s);
}

static void assert_words(struct bench *b, u64 off, u64 len, u64 seed)
{
	gm_assert_eq(gm_td_check(b->s.td, 0, GM_GPA + off, len, STRIDE, seed), GM_TD_SYNC);
	gm_td_assert_good(b->s.td, 0);
}

static void assert_mismatch(struct bench *b, u64 gpa)
{
	u64 left, rax;

	gm_assert_eq(gm_td_accept(b->s.td, 0, gpa, GM_TD_2M, 1, &left, &rax), GM_TD_SYNC);
	gm_assert_eq(rax >> 32, GM_TD_MISMATCH);
}

static void nothing(struct bench *b, u64 off)
{
}

static void fill(struct bench *b, u64 off)
{
	gm_td_accept_ok(b->s.td, 0, GM_GPA + off, GM_TD_2M, 1);
	gm_assert_eq(gm_td_store(b->s.td, 0, GM_GPA + off, GM_2M, STRIDE, SEED), GM_TD_SYNC);
}

static void prefault(struct bench *b, u64 off)
{
	struct kvm_pre_fault_memory range = { .gpa = GM_GPA + off, .size = GM_2M };

	gm_assert_ok(__vcpu_ioctl(b->s.td->vcpu[0], KVM_PRE_FAULT_MEMORY, &range));
	gm_assert_eq(range.size, 0);
}

static void filled(struct bench *b, u64 off)
{
	gm_td_assert_leaves(&b->leaves, 0, 1, 0, 0, 0);
	assert_words(b, off, GM_2M, SEED);
	assert_pages(b, 512, 0);
}

/* 1: one page out of 2 MiB is shared. */
static void share_run(struct bench *b, u64 off)
{
	gm_set_ok(&b->s.f, off + 9 * GM_PAGE, GM_PAGE, false);
}

static void share_after(struct bench *b, u64 off)
{
	gm_td_assert_leaves(&b->leaves, 0, 0, 1, 1, 0);
	gm_assert(gm_is_private(&b->s.f, off + 8 * GM_PAGE), "a neighbour is shared");
	gm_assert(!gm_is_private(&b->s.f, off + 9 * GM_PAGE), "it is private");
	gm_assert(gm_is_private(&b->s.f, off + 10 * GM_PAGE), "a neighbour is shared");
	assert_words(b, off, 9 * GM_PAGE, SEED);
	assert_words(b, off + 10 * GM_PAGE, GM_2M - 10 * GM_PAGE, SEED);
	assert_pages(b, 511, 0);
}

/* 2: a hole over the end of one frame and the begin of another. */
static void punch_before(struct bench *b, u64 off)
{
	fill(b, off);
	fill(b, off + GM_2M);
}

static void punch_run(struct bench *b, u64 off)
{
	gm_assert_ok(gm_punch(&b->s.f, off + GM_2M - GM_PAGE, 2 * GM_PAGE));
}

static void punch_after(struct bench *b, u64 off)
{
	gm_td_assert_leaves(&b->leaves, 0, 0, 2, 2, 0);
	assert_words(b, off, GM_2M - GM_PAGE, SEED);
	assert_words(b, off + GM_2M + GM_PAGE, GM_2M - GM_PAGE, SEED);
	assert_pages(b, 2 * 511, 0);
	gm_td_accept_ok(b->s.td, 0, GM_GPA + off + GM_2M - GM_PAGE, GM_TD_4K, 2);
	assert_words(b, off + GM_2M - GM_PAGE, 2 * GM_PAGE, 0);
}

/* 3: the guest accepts 4 KiB of mapped 2 MiB. */
static void accept_4k_run(struct bench *b, u64 off)
{
	gm_td_accept_ok(b->s.td, 0, GM_GPA + off + 7 * GM_PAGE, GM_TD_4K, 2);
}

static void accept_4k_after(struct bench *b, u64 off)
{
	gm_td_assert_leaves(&b->leaves, 0, 0, 1, 0, 0);
	assert_words(b, off + 7 * GM_PAGE, 2 * GM_PAGE, 0);
	assert_pages(b, 2, 510);
}

/* 4: it accepts 2 MiB where there are 4 KiB, and falls back. */
static void fall_back_run(struct bench *b, u64 off)
{
	gm_td_accept_ok(b->s.td, 0, GM_GPA + off + 3 * GM_PAGE, GM_TD_4K, 1);
	assert_mismatch(b, GM_GPA + off);
	gm_td_accept_ok(b->s.td, 0, GM_GPA + off + 4 * GM_PAGE, GM_TD_4K, 1);
}

static void fall_back_after(struct bench *b, u64 off)
{
	gm_td_assert_leaves(&b->leaves, 2, 0, 0, 0, 0);
	assert_words(b, off + 3 * GM_PAGE, 2 * GM_PAGE, 0);
	assert_pages(b, 2, 0);
}

/* 5: two vCPUs accept the same at different levels. */
struct accepter {
	struct bench *b;
	unsigned int cpu;
	u64 gpa;
	u64 step;
	u64 accepted;
	pthread_t thread;
};

static void *accept_frame(void *arg)
{
	struct accepter *a = arg;
	u64 gpa = a->gpa, end = a->gpa + GM_2M, left, rax;

	while (gpa < end) {
		gm_assert_eq(gm_td_accept(a->b->s.td, a->cpu, gpa,
					  a->step == GM_2M ? GM_TD_2M : GM_TD_4K,
					  (end - gpa) / a->step, &left, &rax), GM_TD_SYNC);
		a->accepted += end - gpa - left * a->step;
		gpa = end - left * a->step;
		/* What the other one has, or what is not to be had at that size. */
		if (rax >> 32 == GM_TD_ACCEPTED || rax >> 32 == GM_TD_MISMATCH)
			gpa += a->step;
		else
			gm_assert(!rax || rax >> 32 == GM_TD_BUSY ||
				  rax >> 32 == GM_TD_HOST_PRIORITY, "%#llx",
				  (unsigned long long)rax);
	}
	return NULL;
}

static void two_levels_run(struct bench *b, u64 off)
{
	struct accepter large = { b, ACCEPTER, GM_GPA + off, GM_2M };
	struct accepter small = { b, 0, GM_GPA + off, GM_PAGE };

	kvm_pthread_create(&large.thread, NULL, accept_frame, &large);
	accept_frame(&small);
	kvm_pthread_join(large.thread, NULL);
	gm_assert_eq(large.accepted + small.accepted, GM_2M);
}

static void two_levels_after(struct bench *b, u64 off)
{
	assert_words(b, off, GM_2M, 0);
	assert_pages(b, 512, 0);
}

/* 6: mapped before it is accepted, and then a part is shared. */
static void share_pending_run(struct bench *b, u64 off)
{
	prefault(b, off);
	share_run(b, off);
}

static void share_pending_after(struct bench *b, u64 off)
{
	gm_td_assert_leaves(&b->leaves, 0, 1, 1, 1, 0);
	gm_assert(!gm_is_private(&b->s.f, off + 9 * GM_PAGE), "it is private");
	assert_pages(b, 0, 511);
}

/* 9: a slot goes, with mappings of all kinds. */
static void delete_slot_before(struct bench *b, u64 off)
{
	fill(b, off);
	gm_td_accept_ok(b->s.td, 0, GM_GPA + off + GM_2M, GM_TD_4K, 2);
	prefault(b, off + 2 * GM_2M);
}

static void delete_slot_run(struct bench *b, u64 off)
{
	vm_set_user_memory_region2(b->s.td->vm, b->s.slot, KVM_MEM_GUEST_MEMFD, GM_GPA, 0,
				   NULL, -1, 0);
}

static void delete_slot_after(struct bench *b, u64 off)
{
	gm_td_assert_leaves(&b->leaves, 0, 0, 0, 2, 2);
	assert_pages(b, 0, 0);
	b->s.slot = gm_td_attach(b->s.td, &b->s.f, GM_GPA);
	gm_assert(gm_is_private(&b->s.f, off), "shared");
}

/* 11: beside what the TD was built with, in 4 KiB. */
static u64 built_page(u64 off)
{
	return (GM_TD_BOOT_PAGES + off / GM_2M) * GM_PAGE;
}

static void built_run(struct bench *b, u64 off)
{
	gm_td_accept_ok(b->s.td, 0, built_page(off), GM_TD_4K, 1);
}

static void built_after(struct bench *b, u64 off)
{
	assert_mismatch(b, 0);
	gm_td_assert_leaves(&b->leaves, 1, 0, 0, 0, 0);
	b->s.elsewhere++;
	assert_pages(b, 1, 0);
	gm_assert_ok(gm_punch(&b->s.td->boot, built_page(off), GM_PAGE));
	b->s.elsewhere--;
}

/* Once, and what it had is given back. Returns how many faults there were. */
static long do_once(struct bench *b, const struct behaviour *what, const char *file,
		    const char *fault, long *nr)
{
	enum leaf leaf;
	long injected;
	u64 off;

	/* On a busy machine it takes long until somebody is inside. */
	if (b->frame + what->frames > FRAMES) {
		bench_close(b);
		bench_open(b);
	}
	injected = gm_td_injected();
	off = b->frame * GM_2M;
	b->frame += what->frames;
	what->before(b, off);
	for (leaf = 0; nr && leaf < NR_LEAVES; leaf++)
		nr[leaf] = -nr_calls(leaf);
	b->leaves = gm_td_leaves();
	if (file)
		gm_td_inject(file, "%s", fault);
	what->run(b, off);
	injected = gm_td_injected() - injected;
	for (leaf = 0; nr && leaf < NR_LEAVES; leaf++)
		nr[leaf] += nr_calls(leaf);
	what->after(b, off);
	gm_set_ok(&b->s.f, off, what->frames * GM_2M, true);
	gm_assert_ok(gm_punch(&b->s.f, off, what->frames * GM_2M));
	return injected;
}

/*
 * The nth call of a leaf is busy. That needs somebody inside just then, for which it
 * is done until it is so.
 */
static unsigned int busy(struct bench *b, const struct behaviour *what, enum leaf leaf, long n)
{
	unsigned int tries = 0;
	char fault[64];

	snprintf(fault, sizeof(fault), "%s %ld", leaves[leaf].name, n);
	do {
		tries++;
	} while (!do_once(b, what, "busy", fault, NULL));
	snprintf(fault, sizeof(fault), "%s 0", leaves[leaf].name);
	gm_td_inject("busy", "%s", fault);
	return tries;
}

static void drive(const struct behaviour *what)
{
	unsigned int cells = 0, tries = 0;
	long n, nr[NR_LEAVES];
	struct bench b;
	enum leaf leaf;

	bench_open(&b);
	gm_assert_eq(do_once(&b, what, NULL, NULL, nr), 0);
	for (leaf = 0; leaf < NR_LEAVES; leaf++)
		for (n = 1; n <= (what->vcpus_race ? !!nr[leaf] : nr[leaf]); n++, cells++)
			tries += busy(&b, what, leaf, n);
	if (nr[TRACK])
		gm_assert_eq(do_once(&b, what, "track_skip", "1", NULL), 1);
	if (nr[DEMOTE])
		gm_assert_eq(do_once(&b, what, "demote_restart", "3", NULL), 3);
	gm_note("%u busy calls in %u tries", cells, tries);
	gm_assert_ge(cells, 1);
	bench_close(&b);
}

static void share(void)
{
	drive(&(struct behaviour) { 1, fill, share_run, share_after });
}

static void punch(void)
{
	drive(&(struct behaviour) { 2, punch_before, punch_run, punch_after });
}

static void accept_4k(void)
{
	drive(&(struct behaviour) { 1, prefault, accept_4k_run, accept_4k_after });
}

static void fall_back(void)
{
	drive(&(struct behaviour) { 1, nothing, fall_back_run, fall_back_after });
}

static void two_levels(void)
{
	drive(&(struct behaviour) { 1, nothing, two_levels_run, two_levels_after, true });
}

static void share_pending(void)
{
	drive(&(struct behaviour) { 1, nothing, share_pending_run, share_pending_after });
}

static void delete_slot(void)
{
	drive(&(struct behaviour) { 3, delete_slot_before, delete_slot_run, delete_slot_after });
}

static void built(void)
{
	drive(&(struct behaviour) { 1, nothing, built_run, built_after });
}

/*
 * 7: a guest that stays at one instruction. What KVM can wait for it waits for
 * itself; what user space has to do, the module gets to see.
 */
#define FAIL_AUG	"MEM.PAGE.AUG 0x8000020000000092"	/* busy */

static void zero_step(void)
{
	struct bench b;
	long violations, entries;
	unsigned int i;

	bench_open(&b);
	violations = gm_td_pages("violations");
	gm_assert_eq(do_once(&b, &(struct behaviour) { 1, nothing, fill, filled },
			     "fail", FAIL_AUG, NULL), 1);
	gm_assert_eq(gm_td_pages("violations") - violations, 1);

	gm_set_ok(&b.s.f, 0, GM_PAGE, false);
	entries = gm_td_pages("zero_step");
	gm_assert_eq(gm_td_store(b.s.td, 0, GM_GPA, 8, 8, SEED), GM_TD_FAULT);
	for (i = 1; i < 6; i++)
		gm_assert_eq(gm_td_resume(b.s.td, 0), GM_TD_FAULT);
	gm_assert_eq(gm_td_pages("violations") - violations, 1 + 6);
	gm_assert_eq(gm_td_pages("zero_step") - entries, 0);

	/* An interrupt may come first, so that it takes more entries. */
	for (i = 0; i < 6; i++)
		gm_assert_eq(gm_td_resume(b.s.td, 0), GM_TD_FAULT);
	gm_assert_eq(gm_td_pages("violations") - violations, 1 + 12);
	gm_assert_ge(gm_td_pages("zero_step") - entries, 6);

	gm_set_ok(&b.s.f, 0, GM_PAGE, true);
	gm_td_accept_ok(b.s.td, 0, GM_GPA, GM_TD_4K, 1);
	gm_assert_eq(gm_td_store(b.s.td, 0, GM_GPA, GM_PAGE, STRIDE, SEED), GM_TD_SYNC);
	assert_words(&b, 0, GM_PAGE, SEED);
	assert_pages(&b, 1, 0);
	bench_close(&b);
}

/* 8: busy, and then interrupted so many times. */
static void restart_busy(void)
{
	const struct behaviour what = { 1, fill, share_run, share_after };
	struct bench b;

	bench_open(&b);
	do {
		gm_td_inject("demote_restart", "3");
	} while (do_once(&b, &what, "busy", "MEM.PAGE.DEMOTE 1", NULL) == 3);
	bench_close(&b);
}

/* 9: the TD goes, and a track does nothing. */
static void destroy(void)
{
	struct gm_td_scene s = gm_td_scene_open(1, 3 * GM_2M, 0);
	struct kvm_pre_fault_memory range = { .gpa = GM_GPA + 2 * GM_2M, .size = GM_2M };
	long injected = gm_td_injected();

	gm_td_accept_ok(s.td, 0, GM_GPA, GM_TD_2M, 1);
	gm_td_accept_ok(s.td, 0, GM_GPA + GM_2M, GM_TD_4K, 2);
	gm_assert_ok(__vcpu_ioctl(s.td->vcpu[0], KVM_PRE_FAULT_MEMORY, &range));
	gm_td_assert_ledger(&s);
	gm_td_inject("track_skip", "1");
	gm_td_scene_close(&s);
	gm_assert_eq(gm_td_injected() - injected, 1);
}

static const struct gm_case cases[] = {
	{ "share", share, .seconds = 120 },
	{ "punch", punch, .seconds = 300 },
	{ "accept_4k", accept_4k, .seconds = 120 },
	{ "fall_back", fall_back, .seconds = 120 },
	{ "two_levels", two_levels, .seconds = 120 },
	{ "share_pending", share_pending, .seconds = 120 },
	{ "zero_step", zero_step },
	{ "restart_busy", restart_busy, .seconds = 120 },
	{ "delete_slot", delete_slot, .seconds = 300 },
	{ "destroy", destroy },
	{ "built", built, .seconds = 120 },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 0);
}
