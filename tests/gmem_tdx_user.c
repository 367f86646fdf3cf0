// SPDX-License-Identifier: GPL-2.0-only
/* TDX guests on the software TDX module: what user space can do to the host. */

#include <sys/mman.h>

#include "tdx.h"

#define FAR	(512ULL << 30)	/* in another entry of the root than the guest itself */
#define PAGES	512
#define ROUNDS	16
#define MEASURED	8
#define TOGGLES	200

static void set_smm(struct kvm_vcpu *vcpu, bool smm)
{
	struct kvm_vcpu_events events;

	vcpu_events_get(vcpu, &events);
	events.flags = KVM_VCPUEVENT_VALID_SMM;
	events.smi.smm = smm;
	events.smi.pending = 0;
	vcpu_events_set(vcpu, &events);
}

static void second_in_smm(struct gm_td *td)
{
	set_smm(td->vcpu[1], true);
}

/* Makes the guest's page table of private memory have FAR at 511 GiB. */
static void map_far(struct gm_td *td)
{
	const u64 at = 0x2000 + 511 * 8, golden = 0x9e3779b97f4a7c15ULL;
	u64 inverse = golden;
	int i;

	for (i = 0; i < 6; i++)
		inverse *= 2 - golden * inverse;
	gm_assert_eq(gm_td_store(td, 1, at, 8, 8, ((FAR | 0xe3) ^ at) * inverse), GM_TD_SYNC);
}

/* What a vCPU maps that was in SMM when it ran first goes as what others map. */
static void smm(void)
{
	struct gm_td *td = gm_td_create_then(2, 0, second_in_smm);
	struct gm_file f;

	set_smm(td->vcpu[1], false);
	map_far(td);

	f = gm_create_from(td->vm, &gm_sources[GM_SRC_THP_2M], GM_2M, GM_MMAP);
	gm_td_attach(td, &f, FAR);
	gm_td_accept_ok(td, 1, FAR, GM_TD_2M, 1);
	gm_assert_eq(gm_td_store(td, 1, 511 * GM_1G, 8, 8, 7), GM_TD_SYNC);
	gm_assert_eq(gm_td_pages("mapped"), GM_TD_BOOT_PAGES + 512);

	gm_assert_ok(gm_punch(&f, 0, GM_2M));
	gm_assert_eq(gm_held(&f), 0);
	gm_assert_eq(gm_td_pages("mapped"), GM_TD_BOOT_PAGES);
	gm_td_accept_ok(td, 1, FAR, GM_TD_2M, 1);
	gm_assert_eq(gm_td_pages("mapped"), GM_TD_BOOT_PAGES + 512);
	gm_close(&f);
	gm_td_free(td);
}

/* A region is measured while a page of another file goes. */
struct puncher {
	struct gm_file *f;
	bool done;
	pthread_t thread;
};

static void *puncher(void *arg)
{
	struct puncher *p = arg;
	u64 i;

	for (i = 0; i < PAGES; i++)
		gm_assert_ok(gm_punch(p->f, i * GM_PAGE, GM_PAGE));
	WRITE_ONCE(p->done, true);
	return NULL;
}

static int init_region(struct kvm_vcpu *vcpu, void *src, u64 gpa, u64 nr, u32 flags)
{
	struct kvm_tdx_init_mem_region region = {
		.source_addr = (u64)src, .gpa = gpa, .nr_pages = nr,
	};

	return gm_td_vcpu_cmd(vcpu, KVM_TDX_INIT_MEM_REGION, flags, &region);
}

static void measure(void)
{
	void *src = kvm_mmap(GM_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	struct kvm_vm *vm = gm_td_vm(0);
	struct kvm_vcpu *vcpu = __vm_vcpu_add(vm, 0);
	struct gm_file a, b;
	struct puncher p;
	unsigned int i;

	gm_assert_eq(gm_td_vcpu_cmd(vcpu, KVM_TDX_INIT_VCPU, 0, NULL), 0);
	a = gm_create_from(vm, &gm_sources[GM_SRC_THP_2M], GM_2M, GM_MMAP);
	b = gm_create_from(vm, &gm_sources[GM_SRC_THP_2M], GM_2M, GM_MMAP);
	vm_set_user_memory_region2(vm, 0, KVM_MEM_GUEST_MEMFD, GM_GPA, GM_2M, NULL, a.fd, 0);
	vm_set_user_memory_region2(vm, 1, KVM_MEM_GUEST_MEMFD, GM_GPA + GM_2M, GM_2M, NULL,
				   b.fd, 0);

	for (i = 0; i < ROUNDS; i++) {
		gm_assert_eq(init_region(vcpu, src, GM_GPA + GM_2M, PAGES, 0), 0);
		p = (struct puncher) { .f = &b };
		kvm_pthread_create(&p.thread, NULL, puncher, &p);
		while (!READ_ONCE(p.done)) {
			gm_assert_eq(init_region(vcpu, src, GM_GPA, MEASURED,
						 KVM_TDX_MEASURE_MEMORY_REGION), 0);
			gm_assert_ok(gm_punch(&a, 0, MEASURED * GM_PAGE));
		}
		kvm_pthread_join(p.thread, NULL);
	}
	gm_close(&a);
	gm_close(&b);
	kvm_vm_free(vm);
	kvm_munmap(src, GM_2M);
}

/* In SMM there are no memslots. */
static void smm_region(void)
{
	void *src = kvm_mmap(GM_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	struct kvm_vm *vm = gm_td_vm(0);
	struct kvm_vcpu *vcpu = __vm_vcpu_add(vm, 0);
	struct gm_file f;

	gm_assert_eq(gm_td_vcpu_cmd(vcpu, KVM_TDX_INIT_VCPU, 0, NULL), 0);
	f = gm_create_from(vm, &gm_sources[GM_SRC_THP_2M], GM_2M, GM_MMAP);
	vm_set_user_memory_region2(vm, 0, KVM_MEM_GUEST_MEMFD, GM_GPA, GM_2M, NULL, f.fd, 0);
	set_smm(vcpu, true);
	gm_assert_eq(init_region(vcpu, src, GM_GPA, 1, 0), EINVAL);
	set_smm(vcpu, false);
	gm_assert_eq(init_region(vcpu, src, GM_GPA, 1, 0), 0);
	gm_close(&f);
	kvm_vm_free(vm);
	kvm_munmap(src, GM_2M);
}

/* vCPUs are made while pages go. */
static void vcpus(void)
{
	void *src = kvm_mmap(GM_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	struct kvm_vcpu *vcpu[64];
	unsigned int i, nr;
	struct kvm_vm *vm;
	struct puncher p;
	struct gm_file b;

	for (i = 0; i < ROUNDS; i++) {
		vm = gm_td_vm(0);
		for (nr = 0; nr < ARRAY_SIZE(vcpu); nr++)
			vcpu[nr] = __vm_vcpu_add(vm, nr);
		gm_assert_eq(gm_td_vcpu_cmd(vcpu[0], KVM_TDX_INIT_VCPU, 0, NULL), 0);
		b = gm_create_from(vm, &gm_sources[GM_SRC_THP_2M], GM_2M, GM_MMAP);
		vm_set_user_memory_region2(vm, 1, KVM_MEM_GUEST_MEMFD, GM_GPA, GM_2M, NULL,
					   b.fd, 0);
		gm_assert_eq(init_region(vcpu[0], src, GM_GPA, PAGES, 0), 0);
		p = (struct puncher) { .f = &b };
		kvm_pthread_create(&p.thread, NULL, puncher, &p);
		for (nr = 1; nr < ARRAY_SIZE(vcpu); nr++)
			gm_assert_eq(gm_td_vcpu_cmd(vcpu[nr], KVM_TDX_INIT_VCPU, 0, NULL), 0);
		kvm_pthread_join(p.thread, NULL);
		gm_close(&b);
		kvm_vm_free(vm);
	}
	kvm_munmap(src, GM_2M);
}

/* KVM drops its roots while a vCPU waits for memory, and then leaves it alone. */
static void *toggler(void *arg)
{
	unsigned int i;

	for (i = 0; i < TOGGLES; i++) {
		gm_assert(gm_write("/sys/module/kvm/parameters/nx_huge_pages", "%s", "force"),
			  "force");
		gm_assert(gm_write("/sys/module/kvm/parameters/nx_huge_pages", "%s", "off"), "off");
	}
	gm_note("roots are left alone from here");
	return NULL;
}

static void obsolete(void)
{
	struct gm_td_scene s = gm_td_scene_open(1, 256 * GM_2M, 0);
	pthread_t thread;

	kvm_pthread_create(&thread, NULL, toggler, NULL);
	gm_td_accept_ok(s.td, 0, GM_GPA, GM_TD_2M, 256);
	kvm_pthread_join(thread, NULL);
	gm_td_scene_close(&s);
}

/* The host is told of SVM in a guest that has none. */
static void svme(void)
{
	struct gm_td *td = gm_td_create(1, 0);

	gm_assert_eq(_vcpu_set_msr(td->vcpu[0], MSR_EFER, 0xd01 | BIT(12)), 0);
	gm_assert_eq(vcpu_get_msr(td->vcpu[0], MSR_EFER) & BIT(12), 0);
	gm_td_free(td);
}

/* No slot may lie where the shared bit is, not even before there is a TD. */
static void shared_slot(void)
{
	void *hva = kvm_mmap(GM_2M, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	struct kvm_vm *vm;

	gm_td_need();
	vm = vm_create_barebones_type(KVM_X86_SOFT_TDX_VM);
	gm_assert_errno(__vm_set_user_memory_region(vm, 0, 0, GM_TD_SHARED, GM_2M, hva), EINVAL);
	gm_assert_ok(__vm_set_user_memory_region(vm, 0, 0, GM_GPA, GM_2M, hva));
	kvm_vm_free(vm);
	kvm_munmap(hva, GM_2M);
}

static const struct gm_case cases[] = {
	{ "svme", svme },
	{ "shared_slot", shared_slot },
	{ "obsolete", obsolete, .seconds = 60 },
	{ "vcpus", vcpus, .seconds = 300 },
	{ "measure", measure, .seconds = 300 },
	{ "smm_region", smm_region },
	{ "smm", smm },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 0);
}
