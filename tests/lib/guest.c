// SPDX-License-Identifier: GPL-2.0-only
/* A guest whose vCPUs wait for commands about memory and carry them out. */

#include "gmem_test.h"
#include "ucall_common.h"

/* A bare port: ucall's would copy its arguments at each command. */
#define SYNC_PORT	0xe0

static struct gm_cmd guest_cmds[GM_MAX_VCPUS];
static u64 guest_scratch[2 * 512] __aligned(4096);

static void guest_compare(struct gm_cmd *c, u64 gva, u64 want)
{
	u64 got = READ_ONCE(*(u64 *)gva);

	if (got == want)
		return;
	if (!c->bad++) {
		c->bad_gva = gva;
		c->bad_value = got;
	}
}

static void guest_loop(struct gm_cmd *c)
{
	u64 i, got, *p;

	do {
		for (i = 0; i < c->len; i += c->stride) {
			p = (u64 *)(c->gva + i);
			got = READ_ONCE(*p);
			if (got && got != gm_word(c->seed, c->off + i) && !c->bad++) {
				c->bad_gva = c->gva + i;
				c->bad_value = got;
			}
			WRITE_ONCE(*p, gm_word(c->seed, c->off + i));
		}
		WRITE_ONCE(c->rounds, c->rounds + 1);
	} while (!READ_ONCE(c->stop));
}

static void guest_watch(struct gm_cmd *c)
{
	u64 i;

	do {
		for (i = 0; i < c->len; i += c->stride)
			guest_compare(c, c->gva + i,
				      c->seed ? gm_word(c->seed, c->off + i) : 0);
		WRITE_ONCE(c->rounds, c->rounds + 1);
	} while (!READ_ONCE(c->stop));
}

static void guest_count(struct gm_cmd *c)
{
	u64 i, n = 0;

	do {
		for (i = 0; i < c->len; i += c->stride) {
			guest_compare(c, c->gva + i, n);
			WRITE_ONCE(*(u64 *)(c->gva + i), n + 1);
		}
		WRITE_ONCE(c->rounds, ++n);
	} while (!READ_ONCE(c->stop));
}

void gm_guest_do(struct gm_cmd *c)
{
	u64 step = c->op == GM_FILL || c->op == GM_VERIFY ? 8 : c->stride;
	u64 i;

	switch (c->op) {
	case GM_FILL:
	case GM_TOUCH:
		for (i = 0; i < c->len; i += step)
			WRITE_ONCE(*(u64 *)(c->gva + i), gm_word(c->seed, c->off + i));
		break;
	case GM_VERIFY:
	case GM_CHECK:
		for (i = 0; i < c->len; i += step)
			guest_compare(c, c->gva + i,
				      c->seed ? gm_word(c->seed, c->off + i) : 0);
		break;
	case GM_LOOP:
		guest_loop(c);
		break;
	case GM_WATCH:
		guest_watch(c);
		break;
	case GM_COUNT:
		guest_count(c);
		break;
	case GM_ASK:
		c->rounds = __kvm_hypercall_map_gpa_range(c->gva, c->len, c->seed);
		break;
	}
}

static void guest_main(u64 cpu)
{
	struct gm_cmd *c = &guest_cmds[cpu];

	for (;;) {
		asm volatile("outb %%al, %0" : : "N" (SYNC_PORT) : "memory");
		gm_guest_do(c);
	}
}

struct gm_cmd *gm_cmd(struct gm_vm *g, unsigned int cpu)
{
	return &g->cmds[cpu];
}

void (*gm_run_hook)(bool enter);

static int run_vcpu(struct kvm_vcpu *vcpu)
{
	int r;

	if (gm_run_hook)
		gm_run_hook(true);
	r = __vcpu_run(vcpu) ? errno : 0;
	if (gm_run_hook)
		gm_run_hook(false);
	return r;
}

/* Run until the vCPU waits for the next command. */
static int run_to_sync(struct gm_vm *g, unsigned int cpu)
{
	struct kvm_vcpu *vcpu = g->vcpu[cpu];
	struct ucall uc;
	int err;

	do {
		err = run_vcpu(vcpu);
	} while (err == EINTR);
	if (err)
		return err;
	if (vcpu->run->exit_reason == KVM_EXIT_HYPERCALL)
		return GM_ASKED;
	/* No memory there, as after its slot was deleted. */
	if (vcpu->run->exit_reason == KVM_EXIT_MMIO) {
		vcpu_run_complete_io(vcpu);
		return GM_NO_SLOT;
	}
	/*
	 * Nor when the instruction was fetched, but when KVM carried it out
	 * there was: memory that 7.3 can only reach through userspace_addr.
	 */
	if (vcpu->run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
	    vcpu->run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
		return GM_NO_SLOT;
	if (vcpu->run->exit_reason == KVM_EXIT_IO && vcpu->run->io.port == SYNC_PORT)
		return 0;
	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	gm_fail(__FILE__, __LINE__, "guest", "vCPU %u stopped with %s", cpu,
		exit_reason_str(vcpu->run->exit_reason));
}

/* From the start: what a command did to the stack cannot be undone. */
void gm_reset(struct gm_vm *g, unsigned int cpu)
{
	vcpu_regs_set(g->vcpu[cpu], &g->regs[cpu]);
	gm_assert_eq(run_to_sync(g, cpu), 0);
}

struct gm_vm *gm_vm_create(unsigned int type, unsigned int nr_vcpus,
			   u64 small_pages)
{
	const u64 scratch = (u64)guest_scratch;
	struct vm_shape shape = VM_SHAPE(VM_MODE_DEFAULT);
	struct gm_vm *g = calloc(1, sizeof(*g));
	unsigned int i, op;

	gm_assert(g && nr_vcpus <= GM_MAX_VCPUS, "bad VM");
	shape.type = type;
	g->type = type;
	g->nr_vcpus = nr_vcpus;
	g->next_slot = 1;
	g->vm = __vm_create_with_vcpus(shape, nr_vcpus, small_pages + 4096,
				       guest_main, g->vcpu);
	g->cmds = addr_gva2hva(g->vm, (u64)guest_cmds);
	for (i = 0; i < nr_vcpus; i++) {
		vcpu_args_set(g->vcpu[i], 1, (u64)i);
		vcpu_regs_get(g->vcpu[i], &g->regs[i]);
		gm_assert_eq(run_to_sync(g, i), 0);
		/* Fault in the guest's own code and data, so that faults count. */
		for (op = GM_FILL; op <= GM_COUNT; op++) {
			gm_cmd(g, i)->stop = 1;
			gm_assert_eq(gm_try(g, i, op, scratch, 0, sizeof(guest_scratch),
					    8, 1), 0);
		}
	}
	return g;
}

void gm_vm_free(struct gm_vm *g)
{
	kvm_vm_free(g->vm);
	free(g);
}

u32 gm_slot(struct gm_vm *g, const struct gm_file *f, u64 gpa,
	    u64 size, u64 off, void *hva)
{
	/*
	 * A slot that may also have shared memory needs an address for it. It
	 * is readable for nobody, so that its use instead of the file shows.
	 */
	if (!hva && !(f->flags & GM_MMAP))
		hva = kvm_mmap(size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS |
			       MAP_NORESERVE, -1);
	vm_set_user_memory_region2(g->vm, g->next_slot, KVM_MEM_GUEST_MEMFD, gpa,
				   size, hva, f->fd, off);
	return g->next_slot++;
}

void gm_slot_delete(struct gm_vm *g, u32 slot)
{
	vm_set_user_memory_region2(g->vm, slot, 0, 0, 0, NULL, 0, 0);
}

void gm_map_at(struct gm_vm *g, u64 gva, u64 gpa, u64 size)
{
	if (!((gva | gpa | size) & (GM_2M - 1)))
		virt_map_level(g->vm, gva, gpa, size, PG_LEVEL_2M);
	else
		virt_map(g->vm, gva, gpa, size / GM_PAGE);
}

void gm_map(struct gm_vm *g, u64 gpa, u64 size)
{
	gm_map_at(g, gpa, gpa, size);
}

u32 gm_attach(struct gm_vm *g, const struct gm_file *f, u64 gpa)
{
	u32 slot = gm_slot(g, f, gpa, f->size, 0, NULL);

	gm_map(g, gpa, f->size);
	if (g->type == GM_SWP)
		vm_mem_set_private(g->vm, gpa, f->size);
	return slot;
}

static void set_cmd(struct gm_vm *g, unsigned int cpu, enum gm_op op,
		    u64 gva, u64 off, u64 len, u64 stride,
		    u64 seed)
{
	struct gm_cmd *c = gm_cmd(g, cpu);

	c->op = op;
	c->gva = gva;
	c->off = off;
	c->len = len;
	c->stride = stride;
	c->seed = seed;
	c->rounds = 0;
	c->bad = 0;
}

int gm_try(struct gm_vm *g, unsigned int cpu, enum gm_op op, u64 gva,
	   u64 off, u64 len, u64 stride, u64 seed)
{
	set_cmd(g, cpu, op, gva, off, len, stride, seed);
	return run_to_sync(g, cpu);
}

int gm_answer(struct gm_vm *g, unsigned int cpu, u64 ret)
{
	g->vcpu[cpu]->run->hypercall.ret = ret;
	return run_to_sync(g, cpu);
}

struct vcpu_thread {
	struct gm_vm *g;
	unsigned int cpu;
};

static void *vcpu_thread(void *arg)
{
	struct vcpu_thread t = *(struct vcpu_thread *)arg;

	free(arg);
	t.g->error[t.cpu] = run_to_sync(t.g, t.cpu);
	return NULL;
}

void gm_start(struct gm_vm *g, unsigned int cpu, enum gm_op op, u64 gva,
	      u64 off, u64 len, u64 stride, u64 seed)
{
	struct vcpu_thread *t = malloc(sizeof(*t));

	gm_assert(t, "no memory");
	t->g = g;
	t->cpu = cpu;
	set_cmd(g, cpu, op, gva, off, len, stride, seed);
	gm_cmd(g, cpu)->stop = 0;
	kvm_pthread_create(&g->thread[cpu], NULL, vcpu_thread, t);
}

int gm_join(struct gm_vm *g, unsigned int cpu)
{
	kvm_pthread_join(g->thread[cpu], NULL);
	return g->error[cpu];
}

void gm_stop(struct gm_vm *g, unsigned int cpu)
{
	WRITE_ONCE(gm_cmd(g, cpu)->stop, 1);
}

void gm_assert_good(struct gm_vm *g, unsigned int cpu)
{
	struct gm_cmd *c = gm_cmd(g, cpu);

	gm_assert(!c->bad, "%lu words wrong, first at %#lx: %#lx", (unsigned long)c->bad,
		  (unsigned long)c->bad_gva, (unsigned long)c->bad_value);
}

static void must(struct gm_vm *g, enum gm_op op, u64 off, u64 len,
		 u64 stride, u64 seed)
{
	int err = gm_try(g, 0, op, GM_GPA + off, off, len, stride, seed);

	gm_assert(!err, "KVM_RUN: %s", strerror(err));
	gm_assert_good(g, 0);
}

void gm_guest_fill(struct gm_vm *g, u64 off, u64 len, u64 seed)
{
	must(g, GM_FILL, off, len, 8, seed);
}

void gm_guest_verify(struct gm_vm *g, u64 off, u64 len, u64 seed)
{
	must(g, GM_VERIFY, off, len, 8, seed);
}

void gm_guest_touch(struct gm_vm *g, u64 off, u64 len, u64 stride,
		    u64 seed)
{
	must(g, GM_TOUCH, off, len, stride, seed);
}

void gm_guest_check(struct gm_vm *g, u64 off, u64 len, u64 stride,
		    u64 seed)
{
	must(g, GM_CHECK, off, len, stride, seed);
}

u64 gm_vm_stat(struct gm_vm *g, const char *name)
{
	u64 v;

	kvm_get_stat(&g->vm->stats, name, &v, 1);
	return v;
}

u64 gm_vcpu_stat(struct gm_vm *g, unsigned int cpu, const char *name)
{
	u64 v;

	kvm_get_stat(&g->vcpu[cpu]->stats, name, &v, 1);
	return v;
}
