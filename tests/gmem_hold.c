// SPDX-License-Identifier: GPL-2.0-only
/*
 * Somebody holds a reference to a page of a shared file. Punching it is refused
 * and changes nothing; a file closed over it leaves an orphan, whose memory
 * comes back when the holder lets go.
 */
#include "gmem_test.h"

#define SEED	19

struct scene {
	const struct gm_source *src;
	struct gm_vm *g;
	struct gm_file f;
	char *mem;
	u64 n;
	u64 size;		/* of what is filled and checked: 4 MiB at most */
};

static void open_scene(struct scene *s, unsigned int source, unsigned int blocks)
{
	s->src = &gm_sources[source];
	s->n = s->src->block;
	gm_need_source(s->src, blocks * s->n);
	if (!gm_have_gmem())
		gm_skip("stock guest_memfd does not refuse");
	s->g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	s->f = gm_create_from(s->g->vm, s->src, blocks * s->n, GM_SHARED);
	gm_attach(s->g, &s->f, GM_GPA);
	s->mem = gm_mmap(&s->f, 0, s->f.size);
	s->size = s->f.size > 2 * GM_2M ? 2 * GM_2M : s->f.size;
	gm_host_fill(s->mem, 0, s->size, SEED);
}

static void refuse_punch(struct scene *s, u64 off, u64 len)
{
	long eagain = gm_fdinfo(&s->f, "gmem-eagain");
	u64 held = gm_held(&s->f);
	struct gm_block before, after;

	gm_assert(gm_block_at(&s->f, 0, &before), "no block");
	gm_assert_errno(gm_punch(&s->f, off, len), EAGAIN);
	gm_assert(gm_block_at(&s->f, 0, &after), "no block");
	gm_assert_eq(after.pfn, before.pfn);
	gm_assert_eq(after.live, before.live);
	gm_assert_eq(gm_held(&s->f), held);
	gm_assert_eq(gm_fdinfo(&s->f, "gmem-eagain"), eagain + 1);
	/* Nothing at all was done, not even to the pages nobody holds. */
	gm_assert_eq(gm_host_differ(s->mem, 0, s->size, SEED), 0);
	gm_guest_verify(s->g, 0, s->size, SEED);
}

static void busy_punch(unsigned int source, unsigned int blocks)
{
	const u64 page = source == GM_SRC_4K ? 2 * GM_PAGE : 7 * GM_PAGE;
	struct gm_holder h;
	struct scene s;
	unsigned int i;

	for (i = 0; i < GM_NR_HOLDERS; i++) {
		open_scene(&s, source, blocks);
		h = gm_holders[i];
		h.take(&h, &s.f, page);

		refuse_punch(&s, page, GM_PAGE);
		refuse_punch(&s, 0, s.n > GM_PAGE ? s.n : s.f.size);
		refuse_punch(&s, 0, s.f.size);
		refuse_punch(&s, page - GM_PAGE, 3 * GM_PAGE);

		/* The neighbours on both sides are free to go. */
		gm_assert_ok(gm_punch(&s.f, page - GM_PAGE, GM_PAGE));
		gm_assert_ok(gm_punch(&s.f, page + GM_PAGE, GM_PAGE));
		gm_guest_verify(s.g, page - GM_PAGE, GM_PAGE, 0);
		gm_guest_verify(s.g, page, GM_PAGE, SEED);
		gm_guest_verify(s.g, page + GM_PAGE, GM_PAGE, 0);
		gm_assert_eq(gm_host_differ(s.mem + page, page, GM_PAGE, SEED), 0);
		if (blocks > 1 && s.n > GM_PAGE) {
			gm_assert_ok(gm_punch(&s.f, s.n, s.n));
			gm_assert_eq(gm_held(&s.f), s.f.size - s.n);
		}

		/* Populating is nothing to the holder. */
		gm_assert_ok(gm_populate(&s.f, 0, s.f.size));
		gm_assert_eq(gm_host_differ(s.mem + page, page, GM_PAGE, SEED), 0);

		h.let_go(&h);
		gm_assert_ok(gm_punch(&s.f, page, GM_PAGE));
		gm_guest_verify(s.g, page, GM_PAGE, 0);
		gm_assert_ok(gm_punch(&s.f, 0, s.f.size));
		gm_assert_eq(gm_held(&s.f), 0);
		gm_assert_eq(gm_counter("orphan_blocks"), 0);
		gm_assert_ok(munmap(s.mem, s.f.size));
		gm_close(&s.f);
		gm_vm_free(s.g);
	}
}

struct counts {
	u64 block;
	long free;
};

static bool pool_back(void *arg)
{
	struct counts *c = arg;

	return !gm_counter("orphan_blocks") &&
	       (!c->block || gm_pool(c->block, "free") == c->free);
}

static void orphan(unsigned int source, unsigned int blocks)
{
	const u64 page = GM_PAGE;
	struct counts before = { 0 };
	struct gm_holder h;
	struct scene s;
	unsigned int i;

	for (i = 0; i < GM_NR_HOLDERS; i++) {
		gm_need_source(&gm_sources[source], blocks * gm_sources[source].block);
		if (gm_sources[source].flags & GM_HUGETLB) {
			before.block = gm_sources[source].block;
			before.free = gm_pool(before.block, "free");
		}
		open_scene(&s, source, blocks);
		h = gm_holders[i];
		h.take(&h, &s.f, page);
		gm_assert_ok(munmap(s.mem, s.f.size));
		gm_close(&s.f);
		gm_vm_free(s.g);

		/* One block stays behind, the others are back. */
		gm_assert_eq(gm_counter("orphan_blocks"), 1);
		if (before.block)
			gm_assert_eq(gm_pool(before.block, "free"), before.free - 1);
		/* Others come and go in the meantime. */
		open_scene(&s, source, blocks);
		gm_assert_ok(munmap(s.mem, s.f.size));
		gm_close(&s.f);
		gm_vm_free(s.g);
		gm_assert_eq(gm_counter("orphan_blocks"), 1);

		h.let_go(&h);
		if (h.reads)
			gm_assert_eq(gm_host_differ(h.buf, page, GM_PAGE, SEED), 0);
		gm_assert(gm_wait_until(pool_back, &before, 30), "%ld orphans left",
			  gm_counter("orphan_blocks"));
	}
}

/* Many holders of one block, let go one by one: it comes back with the last. */
static void orphan_many(unsigned int source)
{
	enum { NR = 8 };
	struct gm_holder h[NR];
	struct counts before = { 0 };
	struct scene s;
	unsigned int i;

	open_scene(&s, source, 2);
	for (i = 0; i < NR; i++) {
		h[i] = gm_holders[0];
		h[i].take(&h[i], &s.f, (i < NR / 2 ? 0 : s.n) + i * 64 * GM_PAGE);
	}
	gm_assert_ok(munmap(s.mem, s.f.size));
	gm_close(&s.f);
	gm_vm_free(s.g);
	gm_assert_eq(gm_counter("orphan_blocks"), 2);
	for (i = 0; i < NR; i++) {
		gm_assert_ge(gm_counter("orphan_blocks"), 1);
		h[i].let_go(&h[i]);
	}
	gm_assert(gm_wait_until(pool_back, &before, 30), "%ld orphans left",
		  gm_counter("orphan_blocks"));
}

/*
 * Host threads that touch, a thread that punches and holds, and a guest that
 * loops, all on one block: every word is 0 or what was written there.
 */
struct host_loop {
	char *mem;
	u64 len;
	bool stop;
	u64 bad;
};

static void *host_loop(void *arg)
{
	struct host_loop *l = arg;
	u64 off;

	while (!READ_ONCE(l->stop)) {
		for (off = 0; off < l->len; off += GM_PAGE) {
			u64 *p = (void *)(l->mem + off + 8);
			u64 got = READ_ONCE(*p);

			l->bad += got && got != gm_word(SEED, off + 8);
			WRITE_ONCE(*p, gm_word(SEED, off + 8));
		}
	}
	return NULL;
}

static void race(unsigned int source, unsigned int blocks, unsigned int rounds)
{
	u64 state = gm_seed, off, len, busy = 0;
	struct host_loop l = { 0 };
	struct gm_holder h;
	struct scene s;
	pthread_t t;
	unsigned int i;
	int r;

	open_scene(&s, source, blocks);
	/* Word 0 of each page is the guest's, word 1 the host's. */
	gm_assert_ok(gm_punch(&s.f, 0, s.f.size));
	l.mem = s.mem;
	l.len = s.size;
	kvm_pthread_create(&t, NULL, host_loop, &l);
	gm_start(s.g, 0, GM_LOOP, GM_GPA, 0, s.size, GM_PAGE, SEED);
	for (i = 0; i < rounds; i++) {
		off = gm_rand(&state) % (s.size / GM_PAGE) * GM_PAGE;
		len = (gm_rand(&state) % ((s.size - off) / GM_PAGE) + 1) * GM_PAGE;
		h = gm_holders[gm_rand(&state) % GM_NR_HOLDERS];
		if (i % 4 == 3)
			h.take(&h, &s.f, off);
		r = gm_punch(&s.f, off, len);
		/* Threads that only touch are no reason to give up. */
		gm_assert(!r || (errno == EAGAIN && i % 4 == 3), "punch %#lx +%#lx: %s",
			  (unsigned long)off, (unsigned long)len, strerror(errno));
		gm_assert(i % 4 != 3 || r, "punched what somebody holds");
		busy += !!r;
		if (i % 4 == 3)
			h.let_go(&h);
	}
	gm_stop(s.g, 0);
	WRITE_ONCE(l.stop, true);
	kvm_pthread_join(t, NULL);
	gm_assert_eq(gm_join(s.g, 0), 0);
	gm_assert_good(s.g, 0);
	gm_assert_eq(l.bad, 0);
	gm_assert_eq(busy, rounds / 4);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-eagain"), busy);
	gm_assert_ok(munmap(s.mem, s.f.size));
	gm_close(&s.f);
	gm_vm_free(s.g);
}

#define CASE(name, call) static void name(void) { call; }

CASE(punch_4k, busy_punch(GM_SRC_4K, 512))
CASE(punch_2m, busy_punch(GM_SRC_THP_2M, 2))
CASE(punch_htlb_2m, busy_punch(GM_SRC_HTLB_2M, 2))
CASE(punch_htlb_1g, busy_punch(GM_SRC_HTLB_1G, 1))
CASE(orphan_4k, orphan(GM_SRC_4K, 1024))
CASE(orphan_2m, orphan(GM_SRC_THP_2M, 2))
CASE(orphan_htlb_2m, orphan(GM_SRC_HTLB_2M, 2))
CASE(many_2m, orphan_many(GM_SRC_THP_2M))
CASE(many_htlb_2m, orphan_many(GM_SRC_HTLB_2M))
CASE(race_4k, race(GM_SRC_4K, 512, 200))
CASE(race_2m, race(GM_SRC_THP_2M, 2, 200))
CASE(race_htlb_2m, race(GM_SRC_HTLB_2M, 2, 200))

static const struct gm_case cases[] = {
	{ "punch_4k", punch_4k },
	{ "punch_2m", punch_2m },
	{ "punch_hugetlb_2m", punch_htlb_2m },
	{ "punch_hugetlb_1g", punch_htlb_1g },
	{ "orphan_4k", orphan_4k },
	{ "orphan_2m", orphan_2m },
	{ "orphan_hugetlb_2m", orphan_htlb_2m },
	{ "many_2m", many_2m },
	{ "many_hugetlb_2m", many_htlb_2m },
	{ "race_4k", race_4k },
	{ "race_2m", race_2m },
	{ "race_hugetlb_2m", race_htlb_2m },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 16);
}
