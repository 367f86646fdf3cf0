// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory that changes hands in place: who may touch what, that it stays where it
 * is with what it contains, that a holder stops a request and nothing else, and
 * what the guest's mappings look like in between.
 */
#include <sys/uio.h>

#include "gmem_test.h"

#define SEED	29

struct scene {
	const struct gm_source *src;
	struct gm_vm *g;
	struct gm_file f;
	char *mem;
	u64 n;		/* block size */
	u64 len;	/* of the part that is worked on */
};

static void open_scene(struct scene *s, unsigned int source, unsigned int blocks,
		       u64 flags)
{
	s->src = &gm_sources[source];
	s->n = s->src->block;
	gm_need_source(s->src, blocks * s->n);
	s->g = gm_vm_create(GM_SWP, 1, 0);
	s->f = gm_create_from(s->g->vm, s->src, blocks * s->n, flags);
	gm_slot(s->g, &s->f, GM_GPA, s->f.size, 0, NULL);
	gm_map(s->g, GM_GPA, s->f.size);
	s->mem = gm_mmap(&s->f, 0, s->f.size);
	s->len = s->f.size < 4 * GM_2M ? s->f.size : 4 * GM_2M;
	if (s->src->by_fallocate)
		gm_assert_ok(gm_populate(&s->f, 0, s->f.size));
}

static void close_scene(struct scene *s)
{
	if (s->mem)
		gm_assert_ok(munmap(s->mem, s->f.size));
	gm_close(&s->f);
	gm_vm_free(s->g);
}

/* One run of the attribute from off on, whatever is behind it. */
static void assert_run(const struct gm_file *f, u64 off, u64 len, bool private)
{
	u64 end = off + len;

	while (off < end) {
		struct kvm_memory_attributes2 a = gm_get(f, off);

		gm_assert_eq(a.attributes, private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);
		gm_assert(a.size && !(a.size % GM_PAGE), "run of %#lx",
			  (unsigned long)a.size);
		off += a.size;
	}
}

static bool host_may(struct scene *s, u64 off)
{
	return !gm_sigbus(s->mem + off, false);
}

/* Back and forth, seen from the guest, from the host and by page frame. */
static void identity(unsigned int source, unsigned int blocks)
{
	static const u64 sizes[] = { GM_PAGE, 16 * GM_PAGE, 300 * GM_PAGE, GM_2M };
	u64 off, len, pfn, i, round;
	struct scene s;

	open_scene(&s, source, blocks, GM_MMAP);
	assert_run(&s.f, 0, s.f.size, true);
	gm_assert(!host_may(&s, 0), "private at first");

	gm_guest_fill(s.g, 0, s.len, SEED);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		len = sizes[i];
		off = len < GM_2M ? 5 * GM_PAGE : 0;
		if (off + len > s.len)
			continue;
		pfn = gm_pfn_at(&s.f, off);
		for (round = 0; round < 3; round++) {
			u64 seed = SEED + 2 * round;

			gm_guest_fill(s.g, off, len, seed);
			gm_set_ok(&s.f, off, len, false);
			gm_assert_eq(gm_host_differ(s.mem + off, off, len, seed), 0);
			gm_host_fill(s.mem + off, off, len, seed + 1);
			gm_guest_verify(s.g, off, len, seed + 1);
			if (off)
				gm_assert(!host_may(&s, off - GM_PAGE), "neighbour");
			if (off + len < s.len)
				gm_assert(!host_may(&s, off + len), "neighbour");
			gm_set_ok(&s.f, off, len, true);
			gm_assert(!host_may(&s, off), "private again");
			gm_assert(!host_may(&s, off + len - GM_PAGE), "private again");
			gm_guest_verify(s.g, off, len, seed + 1);
			gm_assert_eq(gm_pfn_at(&s.f, off), pfn);
		}
		gm_guest_fill(s.g, 0, s.len, SEED);
	}
	gm_guest_verify(s.g, 0, s.len, SEED);
	assert_run(&s.f, 0, s.f.size, true);
	gm_assert_withdrawn(&s.f);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-private"), s.f.size);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-shared"), 0);
	close_scene(&s);
}

/* All shared at first; what is set already is cheap and succeeds. */
static void init_shared(unsigned int source)
{
	struct scene s;
	long n;

	open_scene(&s, source, 1, GM_SHARED);
	assert_run(&s.f, 0, s.f.size, false);
	gm_host_fill(s.mem, 0, s.len, SEED);
	gm_guest_verify(s.g, 0, s.len, SEED);
	gm_set_ok(&s.f, 0, s.f.size, false);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-conversions"), 0);
	gm_set_ok(&s.f, 0, s.f.size, true);
	gm_set_ok(&s.f, 0, s.f.size, true);
	gm_set_ok(&s.f, 0, GM_PAGE, true);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-conversions"), 1);
	gm_guest_verify(s.g, 0, s.len, SEED);
	gm_assert_withdrawn(&s.f);

	/* The VM's own attributes mean nothing where the file has them. */
	n = gm_vcpu_stat(s.g, 0, "pf_taken");
	vm_mem_set_shared(s.g->vm, GM_GPA, s.f.size);
	gm_guest_verify(s.g, 0, s.len, SEED);
	gm_assert_eq(gm_vcpu_stat(s.g, 0, "pf_taken"), n);
	gm_assert(!host_may(&s, 0), "the VM's ioctl shared it");
	close_scene(&s);
}

/* Nothing happens either where it cannot be said which page is held. */
static void refuse_unwritable(const struct gm_file *f, u64 held)
{
	struct kvm_memory_attributes2 *a;

	a = kvm_mmap(GM_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	a->offset = held;
	a->size = GM_PAGE;
	a->attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE;
	gm_assert_ok(mprotect(a, GM_PAGE, PROT_READ));
	gm_assert_errno(ioctl(f->fd, KVM_SET_MEMORY_ATTRIBUTES2, a), EFAULT);
	gm_assert_errno(ioctl(f->fd, KVM_GET_MEMORY_ATTRIBUTES2, a), EFAULT);
	kvm_munmap(a, GM_PAGE);
	gm_assert(!gm_is_private(f, held), "refused, but private");
}

/* Somebody who holds one page: EAGAIN, where, and nothing else. */
static void holder(unsigned int source)
{
	u64 held = 7 * GM_PAGE, error, len;
	struct iovec iov;
	char buf[GM_PAGE];
	struct scene s;
	int fd[2];

	open_scene(&s, source, source == GM_SRC_4K ? 16 : 1, GM_SHARED);
	len = 12 * GM_PAGE;
	gm_host_fill(s.mem, 0, len, SEED);
	gm_guest_verify(s.g, 0, len, SEED);

	gm_assert_ok(pipe(fd));
	iov = (struct iovec) { .iov_base = s.mem + held, .iov_len = GM_PAGE };
	gm_assert_eq(vmsplice(fd[1], &iov, 1, 0), GM_PAGE);

	gm_assert_eq(gm_set(&s.f, 0, len, true, &error), EAGAIN);
	gm_assert_eq(error, held);
	gm_assert_eq(gm_set(&s.f, held, GM_PAGE, true, &error), EAGAIN);
	gm_assert_eq(error, held);
	assert_run(&s.f, 0, s.f.size, false);
	gm_assert_eq(gm_host_differ(s.mem, 0, len, SEED), 0);
	gm_guest_verify(s.g, 0, len, SEED);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-eagain"), 2);
	refuse_unwritable(&s.f, held);
	/* Around it, and not it. */
	gm_set_ok(&s.f, 0, held, true);
	gm_set_ok(&s.f, held + GM_PAGE, len - held - GM_PAGE, true);
	/* To shared again, also over the page that is held. */
	gm_set_ok(&s.f, 0, len, false);

	gm_assert_eq(read(fd[0], buf, GM_PAGE), GM_PAGE);
	gm_assert_eq(gm_host_differ(buf, held, GM_PAGE, SEED), 0);
	gm_set_ok(&s.f, 0, len, true);
	gm_guest_verify(s.g, 0, len, SEED);
	close(fd[0]);
	close(fd[1]);
	close_scene(&s);
}

static void touch_in_child(void *arg)
{
	struct scene *s = arg;

	gm_assert(!host_may(s, 0), "the child's mapping outlived it");
}

/* Mappings, locked or not, of this process or another, hold nothing. */
static void no_holders(unsigned int source)
{
	struct scene s;
	char *second;

	open_scene(&s, source, source == GM_SRC_4K ? 16 : 1, GM_SHARED);
	second = gm_mmap(&s.f, 0, s.f.size);
	gm_host_fill(s.mem, 0, 8 * GM_PAGE, SEED);
	gm_assert_ok(mlock(s.mem, 8 * GM_PAGE));
	gm_assert_eq(gm_host_differ(second, 0, 8 * GM_PAGE, SEED), 0);
	gm_set_ok(&s.f, 0, 8 * GM_PAGE, true);
	gm_assert(!host_may(&s, 0), "locked");
	gm_assert(gm_sigbus(second, false), "second mapping");
	gm_assert_eq(gm_in_child(touch_in_child, &s), 0);
	gm_assert_ok(munlock(s.mem, 8 * GM_PAGE));
	gm_guest_verify(s.g, 0, 8 * GM_PAGE, SEED);
	gm_assert_ok(munmap(second, s.f.size));
	close_scene(&s);
}

#define assert_set_errno(s, err, ...)						\
do {										\
	struct kvm_memory_attributes2 bad_attrs = {					\
		.error_offset = ~0ULL, ##__VA_ARGS__				\
	};									\
										\
	gm_assert_errno(ioctl((s)->f.fd, KVM_SET_MEMORY_ATTRIBUTES2, &bad_attrs), err);	\
	gm_assert_eq(bad_attrs.error_offset, ~0ULL);					\
} while (0)

static void bad_input(unsigned int source)
{
	struct kvm_memory_attributes2 a = { .size = GM_PAGE };
	struct gm_file plain;
	struct kvm_vm *vm;
	struct scene s;
	int bit;

	open_scene(&s, source, 1, GM_MMAP);
	assert_set_errno(&s, EINVAL, .size = 0);
	assert_set_errno(&s, EINVAL, .size = 1);
	assert_set_errno(&s, EINVAL, .size = GM_PAGE + 1);
	assert_set_errno(&s, EINVAL, .size = GM_PAGE, .offset = 1);
	assert_set_errno(&s, EINVAL, .size = GM_PAGE, .offset = s.f.size);
	assert_set_errno(&s, EINVAL, .size = s.f.size + GM_PAGE);
	assert_set_errno(&s, EINVAL, .offset = -GM_PAGE, .size = 2 * GM_PAGE);
	assert_set_errno(&s, EINVAL, .offset = -GM_PAGE, .size = GM_PAGE);
	assert_set_errno(&s, EINVAL, .offset = GM_PAGE, .size = -GM_PAGE);
	for (bit = 0; bit < 64; bit++) {
		if (1ULL << bit != KVM_MEMORY_ATTRIBUTE_PRIVATE)
			assert_set_errno(&s, EINVAL, .size = GM_PAGE, .attributes = 1ULL << bit);
		assert_set_errno(&s, EINVAL, .size = GM_PAGE, .flags = 1ULL << bit);
	}
	for (bit = 0; bit < ARRAY_SIZE(a.reserved); bit++) {
		a.reserved[bit] = 1;
		gm_assert_errno(ioctl(s.f.fd, KVM_SET_MEMORY_ATTRIBUTES2, &a), EINVAL);
		gm_assert_errno(ioctl(s.f.fd, KVM_GET_MEMORY_ATTRIBUTES2, &a), EINVAL);
		a.reserved[bit] = 0;
	}
	gm_assert_errno(ioctl(s.f.fd, KVM_SET_MEMORY_ATTRIBUTES2, NULL), EFAULT);
	gm_assert_errno(ioctl(s.f.fd, KVM_GET_MEMORY_ATTRIBUTES2, NULL), EFAULT);
	a.offset = s.f.size;
	gm_assert_errno(ioctl(s.f.fd, KVM_GET_MEMORY_ATTRIBUTES2, &a), EINVAL);
	a.offset = 1;
	gm_assert_errno(ioctl(s.f.fd, KVM_GET_MEMORY_ATTRIBUTES2, &a), EINVAL);
	gm_assert_errno(ioctl(s.f.fd, KVM_CREATE_VCPU, 0), ENOTTY);
	assert_run(&s.f, 0, s.f.size, true);

	/* Files that do not track, which is said before anything else. */
	a = (struct kvm_memory_attributes2) { .flags = ~0ULL };
	plain = gm_create_from(s.g->vm, s.src, s.n, 0);
	gm_assert_errno(ioctl(plain.fd, KVM_SET_MEMORY_ATTRIBUTES2, &a), ENOTTY);
	gm_assert_errno(ioctl(plain.fd, KVM_GET_MEMORY_ATTRIBUTES2, &a), ENOTTY);
	gm_assert_errno(ioctl(plain.fd, KVM_SET_MEMORY_ATTRIBUTES2, NULL), ENOTTY);
	gm_close(&plain);
	vm = vm_create_barebones();
	plain = gm_create_from(vm, s.src, s.n, GM_SHARED);
	gm_assert_errno(ioctl(plain.fd, KVM_SET_MEMORY_ATTRIBUTES2, &a), ENOTTY);
	gm_assert_errno(ioctl(vm->fd, KVM_SET_MEMORY_ATTRIBUTES2, &a), ENOTTY);
	gm_close(&plain);
	gm_assert_eq(vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES), 0);
	kvm_vm_free(vm);
	gm_assert_eq(vm_check_cap(s.g->vm, KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES),
		     KVM_MEMORY_ATTRIBUTE_PRIVATE);
	close_scene(&s);
}

#define NO_MEMORY	0xfee00000ULL

/* A VM that KVM has given up: it could not save the state of a vCPU for SMM. */
static void dead_vm(unsigned int source)
{
	struct kvm_memory_attributes2 a = { .size = GM_PAGE, .error_offset = 7 };
	struct scene s;

	open_scene(&s, source, 1, GM_MMAP);
	gm_guest_fill(s.g, 0, GM_PAGE, SEED);
	gm_set_ok(&s.f, 0, GM_PAGE, false);
	vcpu_set_msr(s.g->vcpu[0], MSR_IA32_SMBASE, NO_MEMORY);
	gm_assert_ok(__vcpu_ioctl(s.g->vcpu[0], KVM_SMI, NULL));
	gm_assert_eq(gm_try(s.g, 0, GM_TOUCH, GM_GPA, 0, GM_PAGE, GM_PAGE, SEED), EIO);

	gm_assert_errno(ioctl(s.f.fd, KVM_SET_MEMORY_ATTRIBUTES2, &a), EIO);
	gm_assert_errno(ioctl(s.f.fd, KVM_GET_MEMORY_ATTRIBUTES2, &a), EIO);
	gm_assert_errno(ioctl(s.f.fd, KVM_SET_MEMORY_ATTRIBUTES2, NULL), EIO);
	gm_assert_eq(a.error_offset, 7);
	/* The memory is the file's, and there for those who have it. */
	gm_assert_eq(gm_host_differ(s.mem, 0, GM_PAGE, SEED), 0);
	close_scene(&s);
}

/* One shared page in the middle of everything, and what it costs the guest. */
static void mapping_size(unsigned int source)
{
	u64 p4k, p2m, p1g, faults, off = 37 * GM_2M + 9 * GM_PAGE;
	struct scene s;

	open_scene(&s, source, 1, GM_MMAP);
	gm_guest_touch(s.g, 0, s.n, GM_2M, SEED);
	p4k = gm_vm_stat(s.g, "pages_4k");
	p1g = gm_vm_stat(s.g, "pages_1g");
	gm_assert_eq(p1g, 1);
	p2m = gm_vm_stat(s.g, "pages_2m");

	gm_set_ok(&s.f, off, GM_PAGE, false);
	WRITE_ONCE(*(u64 *)(s.mem + off), 1);
	faults = gm_vcpu_stat(s.g, 0, "pf_taken");
	gm_guest_touch(s.g, 0, s.n, GM_PAGE, SEED);
	faults = gm_vcpu_stat(s.g, 0, "pf_taken") - faults;
	gm_note("%lu faults, %ld 4K, %ld 2M, %ld 1G", (unsigned long)faults,
		(long)(gm_vm_stat(s.g, "pages_4k") - p4k),
		(long)(gm_vm_stat(s.g, "pages_2m") - p2m),
		(long)gm_vm_stat(s.g, "pages_1g"));
	gm_assert_eq(gm_vm_stat(s.g, "pages_2m") - p2m, 511);
	gm_assert_le(gm_vm_stat(s.g, "pages_4k") - p4k, 512);
	gm_assert_le(faults, 1030);
	if (gm_read_long("/proc/sys/vm/hugetlb_optimize_vmemmap") == 1 &&
	    s.src->flags & GM_HUGETLB)
		gm_assert_le(gm_fdinfo(&s.f, "gmem-vmemmap"), GM_PAGE);

	gm_set_ok(&s.f, off, GM_PAGE, true);
	gm_guest_touch(s.g, off, GM_PAGE, GM_PAGE, SEED);
	gm_assert_eq(gm_vm_stat(s.g, "pages_1g"), 1);
	gm_guest_check(s.g, 0, s.n, GM_PAGE, SEED);
	gm_assert_withdrawn(&s.f);
	close_scene(&s);
}

/* The file is enough: VM and vCPU fds closed, slots gone. */
static void outlive(unsigned int source)
{
	struct scene s;

	open_scene(&s, source, 1, GM_SHARED);
	gm_host_fill(s.mem, 0, GM_PAGE, SEED);
	gm_vm_free(s.g);
	gm_assert_eq(gm_host_differ(s.mem, 0, GM_PAGE, SEED), 0);
	gm_set_ok(&s.f, 0, GM_PAGE, true);
	gm_assert(!host_may(&s, 0), "private");
	gm_set_ok(&s.f, 0, GM_PAGE, false);
	gm_assert_eq(gm_host_differ(s.mem, 0, GM_PAGE, SEED), 0);
	gm_assert_ok(munmap(s.mem, s.f.size));
	gm_close(&s.f);
}

/* The guest was there before there was memory, which KVM remembers as MMIO. */
static void after_mmio(unsigned int source, u64 flags)
{
	struct scene s;

	memset(&s, 0, sizeof(s));
	s.src = &gm_sources[source];
	gm_need_source(s.src, s.src->block);
	s.g = gm_vm_create(GM_SWP, 1, 0);
	gm_map(s.g, GM_GPA, s.src->block);
	gm_assert_eq(gm_try(s.g, 0, GM_CHECK, GM_GPA, 0, GM_PAGE, GM_PAGE, 0), GM_NO_SLOT);
	gm_reset(s.g, 0);
	s.f = gm_create_from(s.g->vm, s.src, s.src->block, flags);
	gm_slot(s.g, &s.f, GM_GPA, s.f.size, 0, NULL);
	gm_guest_fill(s.g, 0, GM_PAGE, SEED);
	gm_guest_verify(s.g, 0, GM_PAGE, SEED);
	gm_set_ok(&s.f, 0, GM_PAGE, true);
	gm_guest_verify(s.g, 0, GM_PAGE, SEED);
	close_scene(&s);
}

/* As many runs as can be, and one request over all of them. */
static void many_runs(unsigned int source, unsigned int blocks)
{
	struct scene s;
	u64 off;

	open_scene(&s, source, blocks, GM_MMAP);
	gm_guest_fill(s.g, 0, s.f.size, SEED);
	for (off = 0; off < s.f.size; off += 2 * GM_PAGE)
		gm_set_ok(&s.f, off, GM_PAGE, false);
	gm_assert_eq(gm_get(&s.f, 0).size, GM_PAGE);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-private"), s.f.size / 2);

	gm_set_ok(&s.f, GM_PAGE, s.f.size - GM_PAGE, true);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-private"), s.f.size - GM_PAGE);
	gm_set_ok(&s.f, 0, s.f.size, false);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-private"), 0);
	assert_run(&s.f, 0, s.f.size, false);
	gm_assert_eq(gm_host_differ(s.mem, 0, s.f.size, SEED), 0);
	close_scene(&s);
}

/* Private: neither way for the host, and what the guest has is this. */
static void assert_private(struct scene *s, u64 off, u64 seed)
{
	gm_assert(gm_is_private(&s->f, off), "shared at %#lx", (unsigned long)off);
	gm_assert(gm_sigbus(s->mem + off, true), "the host wrote at %#lx", (unsigned long)off);
	gm_guest_verify(s->g, off, GM_PAGE, seed);
	gm_assert(gm_sigbus(s->mem + off, false), "the host read at %#lx", (unsigned long)off);
}

static void assert_shared(struct scene *s, u64 off, u64 seed)
{
	gm_assert(!gm_is_private(&s->f, off), "private at %#lx", (unsigned long)off);
	gm_assert_eq(gm_host_differ(s->mem + off, off, GM_PAGE, seed), 0);
	gm_guest_verify(s->g, off, GM_PAGE, seed);
}

/* Each page in turn: what becomes of one is not seen in any other. */
static void one_page(unsigned int source)
{
	const unsigned int nr = 8;
	unsigned int which, i;
	struct scene s;
	u64 seed, off;

	open_scene(&s, source, source == GM_SRC_4K ? nr : 1, GM_SHARED);
	for (which = 0; which < nr; which++) {
		for (i = 0; i < nr; i++)
			gm_host_fill(s.mem + i * GM_PAGE, i * GM_PAGE, GM_PAGE, SEED + i);
		gm_set_ok(&s.f, which * GM_PAGE, GM_PAGE, true);
		for (i = 0; i < nr; i++) {
			off = i * GM_PAGE;
			seed = SEED + nr * (which + 1) + i;
			if (i == which)
				assert_private(&s, off, SEED + i);
			else
				assert_shared(&s, off, SEED + i);
			gm_guest_fill(s.g, off, GM_PAGE, seed);
			if (i == which)
				assert_private(&s, off, seed);
			else
				assert_shared(&s, off, seed);
		}
		gm_set_ok(&s.f, which * GM_PAGE, GM_PAGE, false);
		for (i = 0; i < nr; i++)
			assert_shared(&s, i * GM_PAGE, SEED + nr * (which + 1) + i);
	}
	close_scene(&s);
}

/* The guest asks for [off, off + len): what it is told at the end. */
static u64 ask(struct scene *s, u64 off, u64 len, bool private, bool forward)
{
	struct kvm_run *run = s->g->vcpu[0]->run;
	u64 flags = private ? KVM_MAP_GPA_RANGE_ENCRYPTED : KVM_MAP_GPA_RANGE_DECRYPTED;
	int err = gm_try(s->g, 0, GM_ASK, GM_GPA + off, off, len, 0, flags);
	u64 error;

	if (forward) {
		gm_assert_eq(err, GM_ASKED);
		gm_assert_eq(run->hypercall.nr, KVM_HC_MAP_GPA_RANGE);
		gm_assert_eq(run->hypercall.args[0], GM_GPA + off);
		gm_assert_eq(run->hypercall.args[1], len / GM_PAGE);
		gm_assert_eq(run->hypercall.args[2], flags);
		err = gm_set(&s->f, off, len, private, &error);
		err = gm_answer(s->g, 0, -(u64)err);
	}
	gm_assert_eq(err, 0);
	return gm_cmd(s->g, 0)->rounds;
}

/* The guest decides what is shared; the VMM hands its requests on. */
static void guest_asks(unsigned int source)
{
	u64 off = 3 * GM_PAGE, len = 4 * GM_PAGE, page;
	struct gm_holder h = gm_holders[0];
	struct scene s;

	open_scene(&s, source, source == GM_SRC_4K ? 16 : 1, GM_MMAP);
	gm_guest_fill(s.g, 0, 16 * GM_PAGE, SEED);

	/* Nobody listens; then nonsense, of which nobody hears. */
	gm_assert_eq(ask(&s, off, len, false, false), (u64)-KVM_ENOSYS);
	vm_enable_cap(s.g->vm, KVM_CAP_EXIT_HYPERCALL, BIT(KVM_HC_MAP_GPA_RANGE));
	gm_assert_eq(ask(&s, off + 8, len, false, false), (u64)-KVM_EINVAL);
	gm_assert_eq(ask(&s, off, 0, false, false), (u64)-KVM_EINVAL);
	assert_run(&s.f, 0, s.f.size, true);

	gm_assert_eq(ask(&s, off, len, false, true), 0);
	for (page = 0; page < 16 * GM_PAGE; page += GM_PAGE) {
		if (page >= off && page < off + len)
			assert_shared(&s, page, SEED);
		else
			assert_private(&s, page, SEED);
	}
	gm_host_fill(s.mem + off, off, len, SEED + 1);
	gm_guest_verify(s.g, off, len, SEED + 1);

	/* What is held stays shared, and the guest hears of it. */
	h.take(&h, &s.f, off + GM_PAGE);
	gm_assert_eq(ask(&s, off, len, true, true), (u64)-EAGAIN);
	for (page = off; page < off + len; page += GM_PAGE)
		assert_shared(&s, page, SEED + 1);
	h.let_go(&h);
	gm_assert_eq(ask(&s, off, len, true, true), 0);
	assert_run(&s.f, 0, s.f.size, true);
	gm_guest_verify(s.g, off, len, SEED + 1);
	gm_assert_withdrawn(&s.f);
	close_scene(&s);
}

/*
 * Requests over memory that is there in part or not at all allocate nothing, and
 * hold for what comes later, which is zeroes.
 */
static void unpopulated(unsigned int source)
{
	const unsigned int nr = 8, second = 4;
	unsigned int which, i, there;
	struct scene s;
	u64 off;

	open_scene(&s, source, nr, GM_MMAP);
	gm_set_ok(&s.f, 0, s.f.size, false);
	gm_assert_eq(gm_held(&s.f), 0);
	assert_shared(&s, s.f.size - GM_PAGE, 0);

	for (which = 0; which < nr; which++) {
		gm_assert_ok(gm_punch(&s.f, 0, s.f.size));
		gm_set_ok(&s.f, 0, s.f.size, false);
		gm_host_fill(s.mem + which * s.n, which * s.n, GM_PAGE, SEED);
		gm_host_fill(s.mem + second * s.n, second * s.n, GM_PAGE, SEED);
		there = which == second ? 1 : 2;
		gm_assert_eq(gm_held(&s.f), there * s.n);

		gm_set_ok(&s.f, 0, s.f.size, true);
		gm_assert_eq(gm_held(&s.f), there * s.n);
		assert_run(&s.f, 0, s.f.size, true);
		for (i = 0; i < nr; i++) {
			off = i * s.n;
			assert_private(&s, off, i == which || i == second ? SEED : 0);
			gm_guest_fill(s.g, off, GM_PAGE, SEED + 1);
		}
		gm_assert_eq(gm_held(&s.f), s.f.size);
		for (i = 0; i < nr; i++) {
			off = i * s.n;
			gm_set_ok(&s.f, off, s.n, false);
			assert_shared(&s, off, SEED + 1);
			gm_assert_eq(gm_fdinfo(&s.f, "gmem-private"), (nr - i - 1) * s.n);
		}
	}
	close_scene(&s);
}

/* Punching takes the contents. Who may touch what comes instead is as it was. */
static void punched(unsigned int source)
{
	struct scene s;
	u64 priv;

	open_scene(&s, source, source == GM_SRC_4K ? 16 : 2, GM_SHARED);
	priv = s.f.size / 2;
	gm_host_fill(s.mem, 0, s.f.size, SEED);
	gm_set_ok(&s.f, priv, priv, true);

	/* A page on either side, then all. */
	gm_assert_ok(gm_punch(&s.f, priv - GM_PAGE, 2 * GM_PAGE));
	assert_run(&s.f, 0, priv, false);
	assert_run(&s.f, priv, priv, true);
	assert_shared(&s, priv - 2 * GM_PAGE, SEED);
	assert_shared(&s, priv - GM_PAGE, 0);
	assert_private(&s, priv, 0);
	assert_private(&s, priv + GM_PAGE, SEED);

	gm_assert_ok(gm_punch(&s.f, 0, s.f.size));
	gm_assert_eq(gm_held(&s.f), 0);
	assert_run(&s.f, 0, priv, false);
	assert_run(&s.f, priv, priv, true);
	assert_shared(&s, 0, 0);
	assert_private(&s, s.f.size - GM_PAGE, 0);
	gm_assert_eq(gm_fdinfo(&s.f, "gmem-conversions"), 1);

	/* And the other way round. */
	gm_set_ok(&s.f, priv, priv, false);
	gm_set_ok(&s.f, 0, priv, true);
	gm_assert_ok(gm_punch(&s.f, 0, s.f.size));
	assert_private(&s, 0, 0);
	assert_shared(&s, s.f.size - GM_PAGE, 0);
	close_scene(&s);
}

/* Random requests against a list of what every page should be. */
static void model(unsigned int source, unsigned int blocks)
{
	u64 state = gm_seed, pages, i, at, nr, op;
	unsigned char *private, *seed;
	struct scene s;

	open_scene(&s, source, blocks, GM_MMAP);
	pages = s.len / GM_PAGE;
	private = malloc(pages);
	seed = calloc(pages, 1);
	memset(private, 1, pages);

	for (i = 0; i < 400; i++) {
		op = gm_rand(&state) % 8;
		at = gm_rand(&state) % pages;
		nr = gm_rand(&state) % 4 ? 1 + gm_rand(&state) % 16 : 1 + gm_rand(&state) % pages;
		if (nr > pages - at)
			nr = pages - at;

		if (op < 4) {
			gm_set_ok(&s.f, at * GM_PAGE, nr * GM_PAGE, op & 1);
			memset(private + at, op & 1, nr);
		} else if (op == 4) {
			gm_assert_ok(gm_punch(&s.f, at * GM_PAGE, nr * GM_PAGE));
			memset(seed + at, 0, nr);
		} else {
			u64 p;

			for (p = at; p < at + nr; p++) {
				u64 off = p * GM_PAGE;
				unsigned char v = 1 + gm_rand(&state) % 250;

				if (op == 5 && !private[p])
					gm_host_fill(s.mem + off, off, GM_PAGE, v);
				else
					gm_guest_fill(s.g, off, GM_PAGE, v);
				seed[p] = v;
			}
		}

		at = gm_rand(&state) % pages;
		gm_assert_eq(gm_get(&s.f, at * GM_PAGE).attributes,
			     private[at] ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);
		gm_assert_eq(host_may(&s, at * GM_PAGE), !private[at]);
		if (!private[at])
			gm_assert_eq(gm_host_differ(s.mem + at * GM_PAGE, at * GM_PAGE,
						    GM_PAGE, seed[at]), 0);
	}
	for (at = 0; at < pages; at++)
		gm_guest_verify(s.g, at * GM_PAGE, GM_PAGE, seed[at]);
	free(private);
	free(seed);
	close_scene(&s);
}

#define CASE(_name, ...) static void _name(void) { __VA_ARGS__; }

CASE(identity_4k, identity(GM_SRC_4K, 512))
CASE(identity_2m, identity(GM_SRC_THP_2M, 4))
CASE(identity_hugetlb_2m, identity(GM_SRC_HTLB_2M, 4))
CASE(identity_hugetlb_1g, identity(GM_SRC_HTLB_1G, 1))
CASE(init_shared_2m, init_shared(GM_SRC_THP_2M))
CASE(init_shared_hugetlb_2m, init_shared(GM_SRC_HTLB_2M))
CASE(holder_4k, holder(GM_SRC_4K))
CASE(holder_2m, holder(GM_SRC_THP_2M))
CASE(holder_hugetlb_2m, holder(GM_SRC_HTLB_2M))
CASE(no_holders_4k, no_holders(GM_SRC_4K))
CASE(no_holders_2m, no_holders(GM_SRC_THP_2M))
CASE(bad_input_4k, bad_input(GM_SRC_4K))
CASE(bad_input_2m, bad_input(GM_SRC_THP_2M))
CASE(dead_vm_2m, dead_vm(GM_SRC_THP_2M))
CASE(mapping_size_hugetlb_1g, mapping_size(GM_SRC_HTLB_1G))
CASE(outlive_2m, outlive(GM_SRC_THP_2M))
CASE(after_mmio_private_4k, after_mmio(GM_SRC_4K, GM_MMAP))
CASE(after_mmio_private_2m, after_mmio(GM_SRC_THP_2M, GM_MMAP))
CASE(after_mmio_shared_2m, after_mmio(GM_SRC_THP_2M, GM_SHARED))
CASE(many_runs_4k, many_runs(GM_SRC_4K, 2500))
CASE(many_runs_2m, many_runs(GM_SRC_THP_2M, 5))
CASE(one_page_4k, one_page(GM_SRC_4K))
CASE(one_page_2m, one_page(GM_SRC_THP_2M))
CASE(one_page_hugetlb_2m, one_page(GM_SRC_HTLB_2M))
CASE(guest_asks_4k, guest_asks(GM_SRC_4K))
CASE(guest_asks_2m, guest_asks(GM_SRC_THP_2M))
CASE(guest_asks_hugetlb_2m, guest_asks(GM_SRC_HTLB_2M))
CASE(unpopulated_4k, unpopulated(GM_SRC_4K))
CASE(unpopulated_2m, unpopulated(GM_SRC_THP_2M))
CASE(unpopulated_hugetlb_2m, unpopulated(GM_SRC_HTLB_2M))
CASE(punched_4k, punched(GM_SRC_4K))
CASE(punched_2m, punched(GM_SRC_THP_2M))
CASE(punched_hugetlb_2m, punched(GM_SRC_HTLB_2M))
CASE(model_4k, model(GM_SRC_4K, 512))
CASE(model_2m, model(GM_SRC_THP_2M, 4))
CASE(model_hugetlb_2m, model(GM_SRC_HTLB_2M, 4))

int main(int argc, char **argv)
{
	static const struct gm_case cases[] = {
		{ "identity_4k", identity_4k },
		{ "identity_2m", identity_2m },
		{ "identity_hugetlb_2m", identity_hugetlb_2m },
		{ "identity_hugetlb_1g", identity_hugetlb_1g, 60 },
		{ "init_shared_2m", init_shared_2m },
		{ "init_shared_hugetlb_2m", init_shared_hugetlb_2m },
		{ "holder_4k", holder_4k },
		{ "holder_2m", holder_2m },
		{ "holder_hugetlb_2m", holder_hugetlb_2m },
		{ "no_holders_4k", no_holders_4k },
		{ "no_holders_2m", no_holders_2m },
		{ "bad_input_4k", bad_input_4k },
		{ "bad_input_2m", bad_input_2m },
		{ "dead_vm_2m", dead_vm_2m },
		{ "mapping_size_hugetlb_1g", mapping_size_hugetlb_1g, 60 },
		{ "outlive_2m", outlive_2m },
		{ "after_mmio_private_4k", after_mmio_private_4k },
		{ "after_mmio_private_2m", after_mmio_private_2m },
		{ "after_mmio_shared_2m", after_mmio_shared_2m },
		{ "many_runs_4k", many_runs_4k },
		{ "many_runs_2m", many_runs_2m },
		{ "one_page_4k", one_page_4k },
		{ "one_page_2m", one_page_2m },
		{ "one_page_hugetlb_2m", one_page_hugetlb_2m },
		{ "guest_asks_4k", guest_asks_4k },
		{ "guest_asks_2m", guest_asks_2m },
		{ "guest_asks_hugetlb_2m", guest_asks_hugetlb_2m },
		{ "unpopulated_4k", unpopulated_4k },
		{ "unpopulated_2m", unpopulated_2m },
		{ "unpopulated_hugetlb_2m", unpopulated_hugetlb_2m },
		{ "punched_4k", punched_4k },
		{ "punched_2m", punched_2m },
		{ "punched_hugetlb_2m", punched_hugetlb_2m },
		{ "model_4k", model_4k, 60 },
		{ "model_2m", model_2m, 60 },
		{ "model_hugetlb_2m", model_hugetlb_2m, 60 },
	};

	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 16);
}
