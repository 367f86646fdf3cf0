// SPDX-License-Identifier: GPL-2.0-only
/*
 * A file, its slot and its VM end in every order, one after the other and all
 * at once. Memory goes when the file does, whoever else is left.
 */
#include <pthread.h>

#include "gmem_test.h"

#define SEED	13

enum { END_FILE, END_SLOT, END_VM };

static const unsigned int orders[6][3] = {
	{ END_FILE, END_SLOT, END_VM }, { END_FILE, END_VM, END_SLOT },
	{ END_SLOT, END_FILE, END_VM }, { END_SLOT, END_VM, END_FILE },
	{ END_VM, END_FILE, END_SLOT }, { END_VM, END_SLOT, END_FILE },
};

struct scene {
	const struct gm_source *src;
	struct gm_vm *g;
	struct gm_file f;
	u32 slot;
	bool vm, slot_there;
	void *mem;
};

static u64 file_size(const struct gm_source *src)
{
	return src->block == GM_1G ? GM_1G : 4 * src->block;
}

static void open_scene(struct scene *s, unsigned int source, unsigned int type, u64 share)
{
	memset(s, 0, sizeof(*s));
	s->src = &gm_sources[source];
	s->g = gm_vm_create(type, 1, 0);
	s->f = gm_create_from(s->g->vm, s->src, file_size(s->src), share);
	s->slot = gm_slot(s->g, &s->f, GM_GPA, s->f.size, 0, NULL);
	gm_map(s->g, GM_GPA, s->f.size);
	if (type == GM_SWP)
		vm_mem_set_private(s->g->vm, GM_GPA, s->f.size);
	s->vm = true;
	s->slot_there = true;
	gm_guest_touch(s->g, 0, s->f.size, GM_PAGE, SEED);
}

/* The guest can get at none of it, and says so in the documented way. */
static void assert_unreachable(struct scene *s)
{
	struct kvm_run *run = s->g->vcpu[0]->run;
	int err;

	err = gm_try(s->g, 0, GM_TOUCH, GM_GPA, 0, s->f.size, GM_PAGE, SEED);
	gm_assert_eq(err, EFAULT);
	gm_assert_eq(run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	gm_assert_eq(run->memory_fault.gpa, GM_GPA);
	gm_assert_eq(run->memory_fault.size, GM_PAGE);
	gm_reset(s->g, 0);
}

static void end_file(struct scene *s)
{
	long free = gm_pool(s->src->block, "free");

	if (s->mem) {
		gm_assert_eq(*(u64 *)s->mem, gm_word(SEED, 0));
		gm_assert_ok(munmap(s->mem, s->f.size));
	}
	gm_close(&s->f);
	if (s->src->flags & GM_HUGETLB)
		gm_assert_eq(gm_pool(s->src->block, "free"),
			     free + (long)(s->f.size / s->src->block));
	if (s->vm && s->slot_there)
		assert_unreachable(s);
}

static void end_slot(struct scene *s)
{
	if (!s->vm)
		return;		/* it went with the VM */
	gm_slot_delete(s->g, s->slot);
	s->slot_there = false;
	if (s->f.fd < 0)
		return;
	if (gm_have_gmem()) {
		gm_assert_eq(gm_held(&s->f), s->f.size);
		gm_assert_eq(gm_fdinfo(&s->f, "gmem-bindings"), 0);
	}
	/* The memory is still the file's, and can be given to the guest again. */
	gm_slot(s->g, &s->f, GM_GPA, s->f.size, 0, NULL);
	gm_guest_check(s->g, 0, s->f.size, GM_PAGE, SEED);
	gm_slot_delete(s->g, s->g->next_slot - 1);
}

static void end_vm(struct scene *s)
{
	gm_vm_free(s->g);
	s->vm = false;
	s->slot_there = false;
	if (s->f.fd < 0)
		return;
	/* The file keeps the VM, and both keep the memory. */
	if (gm_have_gmem())
		gm_assert_eq(gm_held(&s->f), s->f.size);
	if (s->f.flags & GUEST_MEMFD_FLAG_INIT_SHARED) {
		s->mem = gm_mmap(&s->f, 0, s->f.size);
		gm_assert_eq(*(u64 *)s->mem, gm_word(SEED, 0));
	}
	gm_assert_ok(gm_punch(&s->f, GM_PAGE, GM_PAGE));
	gm_assert_ok(gm_populate(&s->f, 0, s->f.size));
	if (gm_have_gmem())
		gm_assert_eq(gm_held(&s->f), s->f.size);
}

static void permute(unsigned int source, unsigned int type, u64 share)
{
	struct gm_snapshot *before;
	struct scene s;
	unsigned int i, j;

	gm_need_source(&gm_sources[source], file_size(&gm_sources[source]));
	before = gm_snapshot();
	for (i = 0; i < ARRAY_SIZE(orders); i++) {
		open_scene(&s, source, type, share);
		for (j = 0; j < 3; j++) {
			switch (orders[i][j]) {
			case END_FILE:
				end_file(&s);
				break;
			case END_SLOT:
				end_slot(&s);
				break;
			case END_VM:
				end_vm(&s);
				break;
			}
		}
		gm_assert(gm_snapshot_same(before), "order %u", i);
	}
	gm_snapshot_free(before);
}

/* A mapping keeps the file, and so the memory, after the last descriptor. */
static void mapping_keeps_file(unsigned int source)
{
	struct gm_snapshot *before;
	struct scene s;
	u64 *mem;
	long free;

	gm_need_source(&gm_sources[source], file_size(&gm_sources[source]));
	before = gm_snapshot();
	open_scene(&s, source, VM_TYPE_DEFAULT, GM_SHARED);
	free = gm_pool(s.src->block, "free");
	mem = gm_mmap(&s.f, 0, s.f.size);
	gm_close(&s.f);
	gm_assert_eq(gm_pool(s.src->block, "free"), free);
	gm_assert_eq(mem[s.f.size / 16], gm_word(SEED, s.f.size / 2));
	gm_guest_check(s.g, 0, s.f.size, GM_PAGE, SEED);
	gm_vm_free(s.g);
	gm_assert_eq(mem[s.f.size / 16], gm_word(SEED, s.f.size / 2));
	gm_assert_ok(munmap(mem, s.f.size));
	gm_assert(gm_snapshot_same(before), "after the last mapping");
	gm_snapshot_free(before);
}

/* Several at once: each thread ends one thing as soon as all are there. */
struct racer {
	pthread_barrier_t *start;
	struct gm_vm *g;
	int fd;
	u32 slot;
	unsigned int spin;
	const struct gm_file *other;
};

static void go(struct racer *r)
{
	unsigned int i;

	pthread_barrier_wait(r->start);
	for (i = 0; i < r->spin; i++)
		cpu_relax();
}

static void *race_close(void *arg)
{
	struct racer *r = arg;

	go(r);
	close(r->fd);
	return NULL;
}

static void *race_delete(void *arg)
{
	struct racer *r = arg;

	go(r);
	gm_slot_delete(r->g, r->slot);
	return NULL;
}

/* Delete and put another file in the same place: the slot is freed and used. */
static void *race_replace(void *arg)
{
	struct racer *r = arg;

	go(r);
	gm_slot_delete(r->g, r->slot);
	vm_set_user_memory_region2(r->g->vm, r->slot, KVM_MEM_GUEST_MEMFD, GM_GPA, GM_2M,
				   NULL, r->other->fd, 0);
	return NULL;
}

static void *race_punch(void *arg)
{
	struct racer *r = arg;

	go(r);
	fallocate(r->fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, GM_2M);
	return NULL;
}

static void *race_bind(void *arg)
{
	struct racer *r = arg;

	go(r);
	__vm_set_user_memory_region2(r->g->vm, r->slot + 1, KVM_MEM_GUEST_MEMFD,
				     GM_GPA + GM_1G, GM_2M, NULL, r->fd, GM_2M);
	return NULL;
}

static void run_race(void *(*fn[2])(void *), struct racer *r)
{
	pthread_barrier_t start;
	pthread_t t[2];
	unsigned int i;

	pthread_barrier_init(&start, NULL, 2);
	for (i = 0; i < 2; i++) {
		r[i].start = &start;
		kvm_pthread_create(&t[i], NULL, fn[i], &r[i]);
	}
	for (i = 0; i < 2; i++)
		kvm_pthread_join(t[i], NULL);
	pthread_barrier_destroy(&start);
}

#define SPIN	2000

/*
 * The last close of the file against the end of its slot: the slot must not be
 * used once it is freed. syzbot, extid 2479e53d0db9b32ae2aa.
 */
static void bind_release(unsigned int source, void *(*against)(void *),
			 bool vcpu_runs, unsigned int rounds)
{
	void *(*fn[2])(void *) = { race_close, against };
	const struct gm_source *src = &gm_sources[source];
	struct racer r[2] = { { 0 } };
	u64 state = gm_seed;
	struct gm_file f, other;
	unsigned int i;
	struct gm_vm *g;
	int err;

	gm_need_source(src, 4 * GM_2M);
	g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	gm_map(g, GM_GPA, GM_2M);
	other = gm_create_from(g->vm, src, GM_2M, GM_MMAP);
	for (i = 0; i < rounds; i++) {
		f = gm_create_from(g->vm, src, 2 * GM_2M, GM_SHARED);
		gm_assert_ok(gm_populate(&f, 0, 2 * GM_2M));
		vm_set_user_memory_region2(g->vm, 5, KVM_MEM_GUEST_MEMFD, GM_GPA, GM_2M,
					   NULL, f.fd, 0);
		r[0].fd = f.fd;
		r[1].fd = f.fd;
		if (against == race_punch || against == race_bind)
			r[1].fd = dup(f.fd);
		r[0].g = g;
		r[1].g = g;
		r[1].slot = 5;
		r[1].other = &other;
		r[0].spin = gm_rand(&state) % SPIN;
		r[1].spin = gm_rand(&state) % SPIN;
		if (vcpu_runs)
			gm_start(g, 0, GM_LOOP, GM_GPA, 0, GM_2M, GM_PAGE, SEED);
		run_race(fn, r);
		if (r[1].fd != f.fd)
			close(r[1].fd);
		if (vcpu_runs) {
			gm_stop(g, 0);
			err = gm_join(g, 0);
			/* It hit the closed file, or a hole where the slot was. */
			gm_assert(!err || err == EFAULT || err == GM_NO_SLOT, "KVM_RUN: %s",
				  strerror(err));
			if (err)
				gm_reset(g, 0);
			else
				gm_assert_good(g, 0);
		}
		if (against != race_delete)
			gm_slot_delete(g, 5);
		if (against == race_bind)
			gm_slot_delete(g, 6);
	}
	gm_close(&other);
	gm_vm_free(g);
}

/* Close against the death of the VM. */
static void *race_vm(void *arg)
{
	struct racer *r = arg;

	go(r);
	close(r->fd);
	return NULL;
}

static void vm_release(unsigned int source, unsigned int rounds)
{
	void *(*fn[2])(void *) = { race_close, race_vm };
	const struct gm_source *src = &gm_sources[source];
	struct gm_snapshot *before;
	struct racer r[2] = { { 0 } };
	u64 state = gm_seed;
	struct gm_file f;
	unsigned int i;

	gm_need_source(src, 2 * GM_2M);
	before = gm_snapshot();
	for (i = 0; i < rounds; i++) {
		struct kvm_vm *vm = vm_create_barebones();

		f = gm_create_from(vm, src, 2 * GM_2M, GM_SHARED);
		gm_assert_ok(gm_populate(&f, 0, f.size));
		vm_set_user_memory_region2(vm, 5, KVM_MEM_GUEST_MEMFD, GM_GPA, GM_2M,
					   NULL, f.fd, 0);
		r[0].fd = f.fd;
		r[1].fd = dup(vm->fd);
		r[0].spin = gm_rand(&state) % SPIN;
		r[1].spin = gm_rand(&state) % SPIN;
		/* The library closes its own descriptor; the race is on a copy. */
		kvm_vm_free(vm);
		run_race(fn, r);
	}
	gm_assert(gm_snapshot_same(before), "after %u rounds", rounds);
	gm_snapshot_free(before);
}

#define CASE(name, call) static void name(void) { call; }

CASE(permute_4k, permute(GM_SRC_4K, VM_TYPE_DEFAULT, GM_SHARED))
CASE(permute_swp_4k, permute(GM_SRC_4K, GM_SWP, 0))
CASE(permute_2m, permute(GM_SRC_THP_2M, VM_TYPE_DEFAULT, GM_SHARED))
CASE(permute_swp_2m, permute(GM_SRC_THP_2M, GM_SWP, 0))
CASE(permute_htlb_2m, permute(GM_SRC_HTLB_2M, VM_TYPE_DEFAULT, GM_SHARED))
CASE(permute_swp_htlb_2m, permute(GM_SRC_HTLB_2M, GM_SWP, 0))
CASE(permute_htlb_1g, permute(GM_SRC_HTLB_1G, VM_TYPE_DEFAULT, GM_MMAP))
CASE(mapping_4k, mapping_keeps_file(GM_SRC_4K))
CASE(mapping_2m, mapping_keeps_file(GM_SRC_THP_2M))
CASE(mapping_htlb_2m, mapping_keeps_file(GM_SRC_HTLB_2M))
CASE(delete_4k, bind_release(GM_SRC_4K, race_delete, false, 60))
CASE(delete_run_4k, bind_release(GM_SRC_4K, race_replace, true, 30))
CASE(delete_2m, bind_release(GM_SRC_THP_2M, race_delete, false, 100))
CASE(replace_2m, bind_release(GM_SRC_THP_2M, race_replace, false, 60))
CASE(replace_run_2m, bind_release(GM_SRC_THP_2M, race_replace, true, 50))
CASE(punch_run_2m, bind_release(GM_SRC_THP_2M, race_punch, true, 50))
CASE(bind_htlb_2m, bind_release(GM_SRC_HTLB_2M, race_bind, false, 60))
CASE(vm_4k, vm_release(GM_SRC_4K, 50))
CASE(vm_2m, vm_release(GM_SRC_THP_2M, 100))
CASE(vm_htlb_2m, vm_release(GM_SRC_HTLB_2M, 100))

static const struct gm_case cases[] = {
	{ "order_4k", permute_4k },
	{ "order_swp_4k", permute_swp_4k },
	{ "order_2m", permute_2m },
	{ "order_swp_2m", permute_swp_2m },
	{ "order_hugetlb_2m", permute_htlb_2m },
	{ "order_swp_hugetlb_2m", permute_swp_htlb_2m },
	{ "order_hugetlb_1g", permute_htlb_1g },
	{ "mapping_4k", mapping_4k },
	{ "mapping_2m", mapping_2m },
	{ "mapping_hugetlb_2m", mapping_htlb_2m },
	{ "race_delete_4k", delete_4k },
	{ "race_replace_run_4k", delete_run_4k },
	{ "race_delete_2m", delete_2m },
	{ "race_replace_2m", replace_2m },
	{ "race_replace_run_2m", replace_run_2m },
	{ "race_punch_run_2m", punch_run_2m },
	{ "race_bind_hugetlb_2m", bind_htlb_2m },
	{ "race_vm_4k", vm_4k },
	{ "race_vm_2m", vm_2m },
	{ "race_vm_hugetlb_2m", vm_htlb_2m },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 16);
}
