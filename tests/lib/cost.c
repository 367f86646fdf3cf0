// SPDX-License-Identifier: GPL-2.0-only
/*
 * What things cost in instructions, of host and guest together: the TSC's ticks
 * under -icount shift=0, and nothing otherwise.
 */
#include <sys/mman.h>

#include "gmem_test.h"

#define LOOPS	10000
#define CYCLES	64
#define SEED	41

/* A timer's interrupt may come in between: the shortest of some. */
static u64 loop_ticks(u64 loops)
{
	u64 best = ~0ULL, before, n;
	int i;

	for (i = 0; i < 5; i++) {
		n = loops;
		before = rdtsc();
		asm volatile("1: dec %0; jnz 1b" : "+r" (n));
		before = rdtsc() - before;
		if (before < best)
			best = before;
	}
	return best;
}

/* Two instructions a loop, to the last one: no clock does that by chance. */
bool gm_icount(void)
{
	return loop_ticks(3 * LOOPS) - loop_ticks(LOOPS) == 4 * LOOPS;
}

u64 gm_cost_touch(struct gm_vm *g, u64 len)
{
	u64 before;

	gm_map(g, GM_GPA, len);
	before = rdtsc();
	gm_guest_touch(g, 0, len, GM_PAGE, SEED);
	return rdtsc() - before;
}

void gm_give_open(struct gm_give *s, const struct gm_source *src, u64 size, u64 at)
{
	u64 part = src->block > GM_2M ? src->block : GM_2M;
	u64 slot = size > GM_GIVE_SLOT ? GM_GIVE_SLOT : size;

	s->g = gm_vm_create(GM_SWP, 1, 0);
	s->at = at;
	s->len = part;
	s->in_place = src->cap;
	if (s->in_place) {
		s->f = gm_create_from(s->g->vm, src, size, GM_MMAP);
		s->mem = gm_mmap(&s->f, at, part);
		gm_slot(s->g, &s->f, GM_GPA, slot, 0, NULL);
		gm_assert(!src->by_fallocate || !gm_populate(&s->f, at, part),
			  "fallocate: %s", strerror(errno));
	} else {
		/*
		 * As 7.3 has it: private memory in the file, shared memory beside
		 * it, where other processes can have it too.
		 */
		s->f = gm_create(s->g->vm, size, 0);
		s->memfd = memfd_create("shared", 0);
		gm_assert(s->memfd >= 0 && !ftruncate(s->memfd, part), "memfd: %s",
			  strerror(errno));
		s->mem = mmap(NULL, part, PROT_READ | PROT_WRITE, MAP_SHARED, s->memfd, 0);
		gm_assert(s->mem != MAP_FAILED, "mmap: %s", strerror(errno));
		gm_assert_eq(at, 0);
		gm_slot(s->g, &s->f, GM_GPA, part, 0, s->mem);
		vm_mem_set_private(s->g->vm, GM_GPA, part);
	}
	gm_map(s->g, GM_GPA + at, part);
	gm_guest_touch(s->g, at, part, GM_PAGE, SEED);
}

void gm_give_close(struct gm_give *s)
{
	gm_assert_ok(munmap(s->mem, s->len));
	if (!s->in_place)
		gm_assert_ok(close(s->memfd));
	gm_close(&s->f);
	gm_vm_free(s->g);
}

void gm_give(struct gm_give *s, u64 off, u64 len, bool private)
{
	struct kvm_memory_attributes2 a = {
		.offset		= s->at + off,
		.size		= len,
		.attributes	= private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	if (s->in_place) {
		gm_assert_ok(ioctl(s->f.fd, KVM_SET_MEMORY_ATTRIBUTES2, &a));
		return;
	}
	vm_set_memory_attributes(s->g->vm, GM_GPA + off, len, a.attributes);
	gm_assert_ok(fallocate(private ? s->memfd : s->f.fd,
			       FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, off, len));
}

/* To the host, which writes to each page, and back to the guest, which does. */
static u64 cycle(struct gm_give *s, u64 off, u64 len, unsigned int frames)
{
	u64 before = rdtsc(), i;

	gm_give(s, off, len, false);
	for (i = 0; i < len; i += GM_PAGE)
		*(volatile u64 *)(s->mem + off + i) = SEED + i;
	if (frames)
		gm_guest_touch(s->g, s->at + GM_2M, frames * GM_2M, GM_2M, SEED);
	gm_give(s, off, len, true);
	gm_guest_touch(s->g, s->at + off, len, GM_PAGE, SEED);
	return rdtsc() - before;
}

static int by_value(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

struct gm_cycle gm_cost_cycle(struct gm_give *s, u64 off, u64 len, unsigned int frames)
{
	struct gm_cycle c = { .first = cycle(s, off, len, frames) };
	u64 next[CYCLES];
	unsigned int i;

	for (i = 0; i < CYCLES; i++)
		next[i] = cycle(s, off, len, frames);
	qsort(next, CYCLES, sizeof(next[0]), by_value);
	for (i = CYCLES / 4; i < CYCLES * 3 / 4; i++)
		c.next += next[i];
	c.next /= CYCLES / 2;
	return c;
}

u64 gm_cost_attributes(struct gm_give *s, u64 len)
{
	u64 before = rdtsc();

	gm_give(s, 0, len, false);
	return rdtsc() - before;
}
