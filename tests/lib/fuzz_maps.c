// SPDX-License-Identifier: GPL-2.0-only
/* The fuzzer's host mappings, and the child. */
#include <sys/syscall.h>

#include "fuzz.h"

/* A mapping may begin at any page of 2 MiB, and never touches the next area. */
#define AREA		((FZ_MAP_PAGES + 2 * FZ_CHUNK) * GM_PAGE)

static char *area_of(struct fuzz *z, unsigned int nr)
{
	return z->areas + (2 * nr + z->side[nr]) * AREA;
}

/* Nobody else's memory may come to lie where one of ours was. */
static void reserve(void *addr, u64 len)
{
	gm_assert(mmap(addr, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE |
		       MAP_FIXED, -1, 0) == addr, "mmap: %s", strerror(errno));
}

void fz_maps_init(struct fuzz *z)
{
	z->areas = kvm_mmap((2 * FZ_MAPS + 1) * AREA, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	z->areas = (char *)(((u64)z->areas + GM_2M - 1) & ~(GM_2M - 1));
}

static void drop_map(struct fuzz *z, unsigned int nr)
{
	struct fz_map *map = &z->m.mm[FZ_SELF].map[nr];

	if (!map->addr)
		return;
	gm_assert_ok(munmap(map->addr, map->nr * GM_PAGE));
	reserve(map->addr, map->nr * GM_PAGE);
	memset(map, 0, sizeof(*map));
}

static void do_map(struct fuzz *z, const struct fz_op *op)
{
	struct fz_map *map = &z->m.mm[FZ_SELF].map[op->m];
	const bool ro = op->c & 1;
	char *at;
	void *p;

	drop_map(z, op->m);
	at = area_of(z, op->m) + (op->c >> 1) % FZ_CHUNK * GM_PAGE;
	p = mmap(at, op->n * GM_PAGE, PROT_READ | (ro ? 0 : PROT_WRITE),
		 MAP_SHARED | MAP_FIXED, z->f.fd, op->a * GM_PAGE);
	if (!z->m.cfg->mmap) {
		fz_check_result(z, p == MAP_FAILED, -ENODEV);
		return;
	}
	gm_assert(p == at, "mmap: %s", strerror(errno));
	map->addr = at;
	map->first = op->a;
	map->nr = op->n;
	memset(map->prot, ro ? FZ_RO : FZ_RW, map->nr);
	memset(map->begins, 0, map->nr);
	memset(map->pte, 0, map->nr);
}

/* The part of a range of the file that is one VMA of the mapping. */
static bool in_vma(const struct fz_map *map, const struct fz_op *op, u64 *rel, u64 *nr)
{
	u64 start, end;

	if (!fz_in_map(map, op, rel, nr) || map->prot[*rel] == FZ_NONE)
		return false;
	fz_vma_around(map, *rel, &start, &end);
	*nr = min_t(u64, *rel + *nr, end) - *rel;
	return true;
}

static void split_vma(struct fz_map *map, u64 rel, u64 nr)
{
	map->begins[rel] = 1;
	if (rel + nr < map->nr)
		map->begins[rel + nr] = 1;
}

static void do_unmap(struct fz_map *map, u64 rel, u64 nr)
{
	char *addr = map->addr + rel * GM_PAGE;

	gm_assert_ok(munmap(addr, nr * GM_PAGE));
	reserve(addr, nr * GM_PAGE);
	memset(map->prot + rel, FZ_NONE, nr);
	split_vma(map, rel, nr);
	memset(map->pte + rel, 0, nr);
}

static void do_protect(struct fz_map *map, u64 rel, u64 nr, u8 prot)
{
	gm_assert_ok(mprotect(map->addr + rel * GM_PAGE, nr * GM_PAGE,
			      PROT_READ | (prot == FZ_RO ? 0 : PROT_WRITE)));
	if (map->prot[rel] != prot)
		split_vma(map, rel, nr);
	memset(map->prot + rel, prot, nr);
}

/* What is moved is all that remains of the mapping. */
static void do_remap(struct fuzz *z, const struct fz_op *op, u64 rel, u64 nr)
{
	struct fz_map *map = &z->m.mm[FZ_SELF].map[op->m];
	char *from = map->addr + rel * GM_PAGE, *to;
	u64 i;

	if (rel)
		do_unmap(map, 0, rel);
	if (rel + nr < map->nr)
		do_unmap(map, rel + nr, map->nr - rel - nr);
	z->side[op->m] ^= 1;
	to = area_of(z, op->m) + op->c % FZ_CHUNK * GM_PAGE;
	gm_assert(mremap(from, nr * GM_PAGE, nr * GM_PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			 to) == to, "mremap: %s", strerror(errno));
	reserve(from, nr * GM_PAGE);
	map->addr = to;
	map->first += rel;
	map->nr = nr;
	for (i = 0; i < nr; i++) {
		map->prot[i] = map->prot[rel + i];
		map->begins[i] = 0;
		map->pte[i] = map->pte[rel + i];
	}
}

static void do_remove(struct fuzz *z, const struct fz_op *op, u64 rel, u64 nr)
{
	struct fz_map *map = &z->m.mm[FZ_SELF].map[op->m];
	struct fz_op punched = { .a = map->first + rel, .n = nr };
	char *addr = map->addr + rel * GM_PAGE;
	u64 busy;
	int want = fz_punch(&z->m, punched.a, punched.a + nr, &busy);

	fz_check_result(z, madvise(addr, nr * GM_PAGE, MADV_REMOVE), want);
	fz_look_from_host(z, &punched);
}

static void do_dontneed(struct fuzz *z, const struct fz_op *op, u64 rel, u64 nr)
{
	struct fz_map *map = &z->m.mm[FZ_SELF].map[op->m];

	gm_assert_ok(madvise(map->addr + rel * GM_PAGE, nr * GM_PAGE,
			     op->c & 1 ? MADV_DONTNEED_LOCKED : MADV_DONTNEED));
	memset(map->pte + rel, 0, nr);
}

/* mlock() marks nothing, but touches the pages, MLOCK_ONFAULT or not. */
static void do_lock(struct fuzz *z, const struct fz_op *op, u64 rel, u64 nr)
{
	struct fz_map *map = &z->m.mm[FZ_SELF].map[op->m];
	int want = 0;
	u64 i;

	for (i = rel; i < rel + nr && !want; i++)
		if (fz_touch(&z->m, &z->m.mm[FZ_SELF], op->m, i, false))
			want = -ENOMEM;
	fz_check_result(z, syscall(__NR_mlock2, map->addr + rel * GM_PAGE, nr * GM_PAGE,
				   op->c & 1 ? MLOCK_ONFAULT : 0), want);
}

static void do_fault_in(struct fuzz *z, const struct fz_op *op, u64 rel, u64 nr)
{
	struct fz_map *map = &z->m.mm[FZ_SELF].map[op->m];
	bool write = op->c & 1 && map->prot[rel] == FZ_RW;
	char *addr = map->addr + rel * GM_PAGE;
	int want = 0;
	u64 i;

	for (i = rel; i < rel + nr && !want; i++)
		if (fz_touch(&z->m, &z->m.mm[FZ_SELF], op->m, i, write))
			want = -EFAULT;
	fz_check_result(z, madvise(addr, nr * GM_PAGE, write ? MADV_POPULATE_WRITE :
				   MADV_POPULATE_READ), want);
}

static void vma_op(struct fuzz *z, const struct fz_op *op)
{
	struct fz_map *map = &z->m.mm[FZ_SELF].map[op->m];
	u64 rel, nr;

	if (!in_vma(map, op, &rel, &nr))
		return;
	switch (op->code) {
	case FZ_UNMAP:
		do_unmap(map, rel, nr);
		break;
	case FZ_PROTECT:
		do_protect(map, rel, nr, op->c & 1 ? FZ_RO : FZ_RW);
		break;
	case FZ_REMAP:
		do_remap(z, op, rel, nr);
		break;
	case FZ_DONTNEED:
		do_dontneed(z, op, rel, nr);
		break;
	case FZ_REMOVE:
		do_remove(z, op, rel, nr);
		break;
	case FZ_FAULT_IN:
		do_fault_in(z, op, rel, nr);
		break;
	case FZ_LOCK:
		do_lock(z, op, rel, nr);
		break;
	case FZ_UNLOCK:
		gm_assert_ok(munlock(map->addr + rel * GM_PAGE, nr * GM_PAGE));
		break;
	}
}

static void do_fork(struct fuzz *z)
{
	struct fz_mm *mm = &z->m.mm[FZ_CHILD];
	unsigned int i;

	if (mm->used)
		return;
	fz_host_fork();
	/*
	 * Page tables of shared mappings are not copied. Nor are locks, but their
	 * ends go on being ends of VMAs, which is all that they matter for there.
	 */
	*mm = z->m.mm[FZ_SELF];
	for (i = 0; i < FZ_MAPS; i++)
		memset(mm->map[i].pte, 0, sizeof(mm->map[i].pte));
}

static void reap(struct fuzz *z)
{
	if (!z->m.mm[FZ_CHILD].used)
		return;
	fz_host_reap();
	memset(&z->m.mm[FZ_CHILD], 0, sizeof(z->m.mm[FZ_CHILD]));
}

void fz_map_op(struct fuzz *z, const struct fz_op *op)
{
	switch (op->code) {
	case FZ_MAP:
		do_map(z, op);
		break;
	case FZ_FORK:
		do_fork(z);
		break;
	case FZ_REAP:
		reap(z);
		break;
	default:
		vma_op(z, op);
	}
}

void fz_unmap_all(struct fuzz *z)
{
	unsigned int i;

	reap(z);
	for (i = 0; i < FZ_MAPS; i++)
		drop_map(z, i);
}
