// SPDX-License-Identifier: GPL-2.0-only
/*
 * fallocate() at 4 KiB, 2 MiB and 1 GiB, before, during and after guest access.
 * Whole blocks go back to where they came from; of a block punched in part, that
 * part reads as zero and the rest is untouched.
 */
#include <pthread.h>

#include "gmem_test.h"

#define SEED	11

/* A gigabyte is too much to write in full under emulation: a word per page. */
static void fill(struct gm_vm *g, u64 block, u64 off, u64 len, u64 seed)
{
	if (block == GM_1G)
		gm_guest_touch(g, off, len, GM_PAGE, seed);
	else
		gm_guest_fill(g, off, len, seed);
}

static void verify(struct gm_vm *g, u64 block, u64 off, u64 len, u64 seed)
{
	if (!len)
		return;
	if (block == GM_1G)
		gm_guest_check(g, off, len, GM_PAGE, seed);
	else
		gm_guest_verify(g, off, len, seed);
}

struct scene {
	const struct gm_source *src;
	struct gm_vm *g;
	struct gm_file f;
	u64 block;
};

static void open_scene(struct scene *s, unsigned int source, unsigned int type,
		       u64 share, unsigned int blocks, unsigned int cpus)
{
	s->src = &gm_sources[source];
	s->block = s->src->block;
	gm_need_source(s->src, blocks * s->block);
	s->g = gm_vm_create(type, cpus, 0);
	s->f = gm_create_from(s->g->vm, s->src, blocks * s->block, share);
	if (s->block == GM_PAGE) {
		gm_slot(s->g, &s->f, GM_GPA, s->f.size, 0, NULL);
		gm_map(s->g, GM_GPA, s->f.size);
		if (type == GM_SWP)
			vm_mem_set_private(s->g->vm, GM_GPA, s->f.size);
	} else {
		gm_attach(s->g, &s->f, GM_GPA);
	}
}

static void close_scene(struct scene *s)
{
	gm_close(&s->f);
	gm_vm_free(s->g);
}

/* Stock guest_memfd does not say what it holds. */
static void assert_held(struct scene *s, u64 bytes)
{
	if (!gm_have_gmem())
		return;
	gm_assert_eq(gm_held(&s->f), bytes);
	gm_assert_eq(gm_fdinfo(&s->f, "gmem-allocated"), bytes);
}

static void allocate(unsigned int source)
{
	struct kvm_vm *vm = vm_create_barebones();
	const struct gm_source *src = &gm_sources[source];
	const u64 n = src->block;
	struct gm_file f;
	u64 pfn;

	gm_need_source(src, 2 * n);
	f = gm_create_from(vm, src, 2 * n, 0);
	gm_assert_errno(fallocate(f.fd, 0, 0, n), EOPNOTSUPP);
	gm_assert_errno(fallocate(f.fd, FALLOC_FL_PUNCH_HOLE, 0, n), EOPNOTSUPP);
	gm_assert_errno(fallocate(f.fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE, 0, n),
			EOPNOTSUPP);
	gm_assert_errno(fallocate(f.fd, FALLOC_FL_COLLAPSE_RANGE, 0, n), EOPNOTSUPP);
	gm_assert_errno(fallocate(f.fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_UNSHARE_RANGE, 0, n),
			EOPNOTSUPP);
	gm_assert_errno(gm_populate(&f, 1, GM_PAGE), EINVAL);
	gm_assert_errno(gm_populate(&f, 0, GM_PAGE - 1), EINVAL);
	gm_assert_errno(gm_populate(&f, 0, 0), EINVAL);
	gm_assert_errno(gm_populate(&f, 2 * n, GM_PAGE), EINVAL);
	gm_assert_errno(gm_populate(&f, 2 * n - GM_PAGE, 2 * GM_PAGE), EINVAL);
	gm_assert_errno(gm_punch(&f, 1, GM_PAGE), EINVAL);
	gm_assert_errno(gm_punch(&f, 0, GM_PAGE + 1), EINVAL);
	gm_assert_errno(gm_punch(&f, GM_PAGE - 1, 1), EINVAL);
	if (!gm_have_gmem()) {
		gm_assert_ok(gm_populate(&f, 0, 2 * n));
		gm_close(&f);
		return;
	}
	/* None of these took anything. */
	gm_assert_eq(gm_held(&f), 0);

	/* A page brings its whole block. */
	gm_assert_ok(gm_populate(&f, n - GM_PAGE, GM_PAGE));
	gm_assert_eq(gm_held(&f), n);
	pfn = gm_pfn_at(&f, 0);
	gm_assert_ok(gm_populate(&f, 0, n));
	gm_assert_eq(gm_held(&f), n);
	gm_assert_eq(gm_pfn_at(&f, 0), pfn);
	/* What lies across two blocks brings both, and leaves the first alone. */
	gm_assert_ok(gm_populate(&f, n - GM_PAGE, 2 * GM_PAGE));
	gm_assert_eq(gm_held(&f), 2 * n);
	gm_assert_eq(gm_pfn_at(&f, 0), pfn);
	gm_assert_frozen(&f);
	gm_close(&f);
	kvm_vm_free(vm);
}

/* Before anybody touched it, and where there is no file at all. */
static void punch_nothing(unsigned int source)
{
	struct scene s;

	open_scene(&s, source, VM_TYPE_DEFAULT, GM_MMAP, 2, 1);
	gm_assert_ok(gm_punch(&s.f, 0, 2 * s.block));
	gm_assert_ok(gm_punch(&s.f, 0, GM_PAGE));
	gm_assert_ok(gm_punch(&s.f, 2 * s.block, GM_PAGE));
	gm_assert_ok(gm_punch(&s.f, 2 * s.block + GM_PAGE, s.block));
	gm_assert_ok(gm_punch(&s.f, s.block, 64 * s.block));
	assert_held(&s, 0);

	/* Populated, but touched by nobody. */
	gm_assert_ok(gm_populate(&s.f, 0, 2 * s.block));
	gm_assert_ok(gm_punch(&s.f, s.block, 64 * s.block));
	assert_held(&s, s.block);
	verify(s.g, s.block, 0, s.block, 0);
	verify(s.g, s.block, s.block, s.block, 0);
	assert_held(&s, 2 * s.block);
	close_scene(&s);
}

/* Zero in [off, off + len), as filled everywhere else. */
static void assert_hole(struct scene *s, u64 off, u64 len)
{
	const u64 end = off + len;

	verify(s->g, s->block, off, len, 0);
	verify(s->g, s->block, 0, off, SEED);
	verify(s->g, s->block, end, s->f.size - end, SEED);
}

static void punch_part(struct scene *s, u64 off, u64 len)
{
	struct gm_block before, after;

	if (gm_have_gmem())
		gm_assert(gm_block_at(&s->f, off, &before), "no block");
	gm_assert_ok(gm_punch(&s->f, off, len));
	assert_held(s, s->f.size);
	assert_hole(s, off, len);
	if (gm_have_gmem()) {
		gm_assert(gm_block_at(&s->f, off, &after), "no block");
		gm_assert_eq(after.pfn, before.pfn);
		gm_assert_eq(after.order, before.order);
		gm_assert_frozen(&s->f);
	}
	fill(s->g, s->block, off, len, SEED);
	verify(s->g, s->block, 0, s->f.size, SEED);
}

/* After the guest wrote all of it. */
static void punch_parts(unsigned int source, unsigned int type, u64 share)
{
	struct scene s;
	u64 n, p2m, faults;

	open_scene(&s, source, type, share, 2, 1);
	n = s.block;
	fill(s.g, n, 0, 2 * n, SEED);
	p2m = gm_vm_stat(s.g, "pages_2m");

	punch_part(&s, 0, GM_PAGE);
	punch_part(&s, n - GM_PAGE, GM_PAGE);
	punch_part(&s, n / 2, 7 * GM_PAGE);
	punch_part(&s, n - 3 * GM_PAGE, 6 * GM_PAGE);
	if (n == GM_1G) {
		punch_part(&s, GM_2M, GM_2M);
		punch_part(&s, n - GM_2M, 2 * GM_2M);
	}
	/* The block is still one, and the guest has it as one mapping again. */
	gm_assert_eq(gm_vm_stat(s.g, "pages_2m"), p2m);
	faults = gm_vcpu_stat(s.g, 0, "pf_taken");
	gm_assert_ok(gm_punch(&s.f, n + GM_PAGE, GM_PAGE));
	gm_guest_touch(s.g, 0, 2 * n, GM_PAGE, SEED);
	gm_assert_le(gm_vcpu_stat(s.g, 0, "pf_taken") - faults, 2);
	close_scene(&s);
}

static void punch_whole(unsigned int source, unsigned int type, u64 share,
			unsigned int blocks)
{
	const struct gm_source *src = &gm_sources[source];
	const bool pool = src->flags & GM_HUGETLB;
	struct scene s;
	u64 n;
	long free = 0;

	open_scene(&s, source, type, share, blocks, 1);
	n = s.block;
	fill(s.g, n, 0, s.f.size, SEED);
	assert_held(&s, s.f.size);
	if (pool)
		free = gm_pool(n, "free");

	gm_assert_ok(gm_punch(&s.f, 0, n));
	assert_held(&s, s.f.size - n);
	if (pool)
		gm_assert_eq(gm_pool(n, "free"), free + 1);
	assert_hole(&s, 0, n);
	assert_held(&s, s.f.size);
	if (pool)
		gm_assert_eq(gm_pool(n, "free"), free);
	fill(s.g, n, 0, n, SEED);

	if (blocks > 2 && n > GM_PAGE) {
		/* The end of one, one, and the start of one: one goes. */
		gm_assert_ok(gm_punch(&s.f, n - GM_PAGE, n + 2 * GM_PAGE));
		assert_held(&s, s.f.size - n);
		assert_hole(&s, n - GM_PAGE, n + 2 * GM_PAGE);
		fill(s.g, n, n - GM_PAGE, n + 2 * GM_PAGE, SEED);
	}

	/* Past the end: the whole blocks of the file. */
	gm_assert_ok(gm_punch(&s.f, s.f.size - n, 8 * n));
	assert_held(&s, s.f.size - n);
	gm_assert_ok(gm_punch(&s.f, 0, s.f.size));
	assert_held(&s, 0);
	verify(s.g, n, 0, s.f.size, 0);
	close_scene(&s);
}

/* Page after page, nothing goes; a page written in between is not lost. */
static void punch_piecemeal(unsigned int source)
{
	struct scene s;
	u64 off;

	open_scene(&s, source, VM_TYPE_DEFAULT, GM_MMAP, 1, 1);
	gm_guest_fill(s.g, 0, s.block, SEED);
	gm_assert_ok(gm_punch(&s.f, 0, GM_PAGE));
	/* The guest gets the huge mapping back through page 1, page 0 with it. */
	gm_guest_touch(s.g, GM_PAGE, GM_PAGE, GM_PAGE, SEED);
	gm_guest_fill(s.g, 0, GM_PAGE, SEED + 1);
	for (off = GM_PAGE; off < s.block; off += GM_PAGE)
		gm_assert_ok(gm_punch(&s.f, off, GM_PAGE));
	assert_held(&s, s.block);
	gm_guest_verify(s.g, 0, GM_PAGE, SEED + 1);
	gm_guest_verify(s.g, GM_PAGE, s.block - GM_PAGE, 0);
	gm_assert_ok(gm_punch(&s.f, 0, s.block));
	assert_held(&s, 0);
	close_scene(&s);
}

/*
 * While vCPU 0 writes what is punched and vCPU 1 watches the neighbours in the
 * same blocks, which nobody may change.
 */
static void punch_during(unsigned int source, u64 share, unsigned int rounds)
{
	const unsigned int blocks = source == GM_SRC_4K ? 1024 : source == GM_SRC_HTLB_1G ? 1 : 2;
	u64 state = gm_seed, size, half, i;
	struct scene s;

	open_scene(&s, source, VM_TYPE_DEFAULT, share, blocks, 2);
	size = s.f.size;
	half = size / 2 + (size == 2 * GM_2M ? GM_2M / 2 : 0);
	gm_guest_touch(s.g, half, size - half, GM_PAGE, SEED + 1);
	gm_start(s.g, 0, GM_LOOP, GM_GPA, 0, half, size == GM_1G ? GM_2M : GM_PAGE, SEED);
	gm_start(s.g, 1, GM_WATCH, GM_GPA + half, half, size - half,
		 size == GM_1G ? GM_2M : GM_PAGE, SEED + 1);
	for (i = 0; i < rounds; i++) {
		u64 off = gm_rand(&state) % (half / GM_PAGE) * GM_PAGE;
		u64 max = half - off, len;

		len = (gm_rand(&state) % (max / GM_PAGE) + 1) * GM_PAGE;
		switch (gm_rand(&state) % 4) {
		case 0:
			off &= ~(s.block - 1);
			len = min_t(u64, s.block, half - off);
			break;
		case 1:
			len = GM_PAGE;
			break;
		case 2:
			gm_assert_ok(gm_populate(&s.f, off, len));
			break;
		}
		gm_assert_ok(gm_punch(&s.f, off, len));
	}
	gm_stop(s.g, 0);
	gm_stop(s.g, 1);
	gm_assert_eq(gm_join(s.g, 0), 0);
	gm_assert_eq(gm_join(s.g, 1), 0);
	gm_assert_good(s.g, 0);
	gm_assert_good(s.g, 1);
	gm_assert_ge(gm_cmd(s.g, 0)->rounds, 1);
	gm_guest_check(s.g, half, size - half, GM_PAGE, SEED + 1);
	if (gm_have_gmem())
		gm_assert_frozen(&s.f);
	/* No mapping of what is gone was left over from a lost race. */
	gm_assert_ok(gm_punch(&s.f, 0, size));
	assert_held(&s, 0);
	gm_assert_eq(gm_vm_stat(s.g, "pages_2m"), 0);
	gm_assert_eq(gm_vm_stat(s.g, "pages_1g"), 0);
	close_scene(&s);
}

/*
 * Random writes, punches and populates against a model of every page: its seed,
 * and of every block: held or not. Host access too, where the file is shared.
 */
static void model(unsigned int source, unsigned int type, u64 share, unsigned int ops)
{
	const unsigned int blocks = source == GM_SRC_4K ? 1024 : 4;
	const unsigned int pages = blocks * (gm_sources[source].block / GM_PAGE);
	const unsigned int per_block = pages / blocks;
	u64 state = gm_seed ^ source, next = 1, held;
	u64 *seeds = calloc(pages, sizeof(*seeds));
	bool *present = calloc(blocks, sizeof(*present));
	unsigned int i, j, first, nr, op;
	struct scene s;
	char *mem = NULL;

	open_scene(&s, source, type, share, blocks, 1);
	if (share == GM_SHARED)
		mem = gm_mmap(&s.f, 0, s.f.size);
	for (i = 0; i < ops; i++) {
		first = gm_rand(&state) % pages;
		nr = gm_rand(&state) % 48 + 1;
		op = gm_rand(&state) % 8;
		if (op >= 6)
			nr += gm_rand(&state) % (2 * per_block + 1);
		if (op == 7) {
			first -= first % per_block;
			nr = per_block;
		}
		if (first + nr > pages)
			nr = pages - first;
		if (op == 2 && !mem)
			op = 0;
		if (op == 3 && !mem)
			op = 1;
		next++;
		switch (op) {
		case 0:
			gm_guest_fill(s.g, first * GM_PAGE, nr * GM_PAGE, next);
			break;
		case 2:
			gm_host_fill(mem + first * GM_PAGE, first * GM_PAGE, nr * GM_PAGE, next);
			break;
		case 1:
		case 3:
			for (j = first; j < first + nr; j++) {
				u64 off = j * GM_PAGE;

				if (op == 1)
					gm_guest_verify(s.g, off, GM_PAGE, seeds[j]);
				else
					gm_assert_eq(gm_host_differ(mem + off, off, GM_PAGE,
								    seeds[j]), 0);
			}
			break;
		case 4:
			gm_assert_ok(gm_populate(&s.f, first * GM_PAGE, nr * GM_PAGE));
			break;
		default:
			gm_assert_ok(gm_punch(&s.f, first * GM_PAGE, nr * GM_PAGE));
		}
		for (j = first; j < first + nr; j++) {
			if (op == 0 || op == 2)
				seeds[j] = next;
			if (op >= 5)
				seeds[j] = 0;
			else
				present[j / per_block] = true;
		}
		if (op >= 5) {
			for (j = 0; j < blocks; j++) {
				if (first <= j * per_block && first + nr >= (j + 1) * per_block)
					present[j] = false;
			}
		}
		for (held = 0, j = 0; j < blocks; j++)
			held += present[j] * s.block;
		assert_held(&s, held);
	}
	for (j = 0; j < pages; j++)
		gm_guest_verify(s.g, j * GM_PAGE, GM_PAGE, seeds[j]);
	close_scene(&s);
}

#define CASE(name, call) static void name(void) { call; }

CASE(allocate_4k, allocate(GM_SRC_4K))
CASE(allocate_2m, allocate(GM_SRC_THP_2M))
CASE(allocate_htlb_2m, allocate(GM_SRC_HTLB_2M))
CASE(allocate_htlb_1g, allocate(GM_SRC_HTLB_1G))
CASE(nothing_4k, punch_nothing(GM_SRC_4K))
CASE(nothing_2m, punch_nothing(GM_SRC_THP_2M))
CASE(nothing_htlb_2m, punch_nothing(GM_SRC_HTLB_2M))
CASE(parts_2m, punch_parts(GM_SRC_THP_2M, VM_TYPE_DEFAULT, GM_MMAP))
CASE(parts_swp_2m, punch_parts(GM_SRC_THP_2M, GM_SWP, 0))
CASE(parts_htlb_2m, punch_parts(GM_SRC_HTLB_2M, VM_TYPE_DEFAULT, GM_SHARED))
CASE(parts_htlb_1g, punch_parts(GM_SRC_HTLB_1G, VM_TYPE_DEFAULT, GM_MMAP))
CASE(whole_4k, punch_whole(GM_SRC_4K, VM_TYPE_DEFAULT, GM_SHARED, 4))
CASE(whole_swp_4k, punch_whole(GM_SRC_4K, GM_SWP, 0, 4))
CASE(whole_2m, punch_whole(GM_SRC_THP_2M, VM_TYPE_DEFAULT, GM_SHARED, 4))
CASE(whole_swp_2m, punch_whole(GM_SRC_THP_2M, GM_SWP, 0, 4))
CASE(whole_htlb_2m, punch_whole(GM_SRC_HTLB_2M, VM_TYPE_DEFAULT, GM_MMAP, 4))
CASE(whole_swp_htlb_2m, punch_whole(GM_SRC_HTLB_2M, GM_SWP, 0, 4))
CASE(whole_htlb_1g, punch_whole(GM_SRC_HTLB_1G, VM_TYPE_DEFAULT, GM_MMAP, 2))
CASE(piecemeal_2m, punch_piecemeal(GM_SRC_THP_2M))
CASE(piecemeal_htlb_2m, punch_piecemeal(GM_SRC_HTLB_2M))
CASE(during_4k, punch_during(GM_SRC_4K, GM_SHARED, 200))
CASE(during_2m, punch_during(GM_SRC_THP_2M, GM_MMAP, 200))
CASE(during_htlb_2m, punch_during(GM_SRC_HTLB_2M, GM_SHARED, 200))
CASE(during_htlb_1g, punch_during(GM_SRC_HTLB_1G, GM_MMAP, 30))
CASE(model_4k, model(GM_SRC_4K, VM_TYPE_DEFAULT, GM_SHARED, 300))
CASE(model_swp_4k, model(GM_SRC_4K, GM_SWP, 0, 200))
CASE(model_2m, model(GM_SRC_THP_2M, VM_TYPE_DEFAULT, GM_SHARED, 300))
CASE(model_swp_2m, model(GM_SRC_THP_2M, GM_SWP, 0, 200))
CASE(model_htlb_2m, model(GM_SRC_HTLB_2M, VM_TYPE_DEFAULT, GM_SHARED, 300))

static const struct gm_case cases[] = {
	{ "allocate_4k", allocate_4k },
	{ "allocate_2m", allocate_2m },
	{ "allocate_hugetlb_2m", allocate_htlb_2m },
	{ "allocate_hugetlb_1g", allocate_htlb_1g },
	{ "nothing_4k", nothing_4k },
	{ "nothing_2m", nothing_2m },
	{ "nothing_hugetlb_2m", nothing_htlb_2m },
	{ "parts_2m", parts_2m },
	{ "parts_swp_2m", parts_swp_2m },
	{ "parts_hugetlb_2m", parts_htlb_2m },
	{ "parts_hugetlb_1g", parts_htlb_1g },
	{ "whole_4k", whole_4k },
	{ "whole_swp_4k", whole_swp_4k },
	{ "whole_2m", whole_2m },
	{ "whole_swp_2m", whole_swp_2m },
	{ "whole_hugetlb_2m", whole_htlb_2m },
	{ "whole_swp_hugetlb_2m", whole_swp_htlb_2m },
	{ "whole_hugetlb_1g", whole_htlb_1g },
	{ "piecemeal_2m", piecemeal_2m },
	{ "piecemeal_hugetlb_2m", piecemeal_htlb_2m },
	{ "during_4k", during_4k },
	{ "during_2m", during_2m },
	{ "during_hugetlb_2m", during_htlb_2m },
	{ "during_hugetlb_1g", during_htlb_1g },
	{ "model_4k", model_4k },
	{ "model_swp_4k", model_swp_4k },
	{ "model_2m", model_2m },
	{ "model_swp_2m", model_swp_2m },
	{ "model_hugetlb_2m", model_htlb_2m },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 16);
}
