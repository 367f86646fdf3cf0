/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A TDX guest on the software TDX module, that does one thing at a time.
 */
#ifndef GMEM_TEST_TDX_H
#define GMEM_TEST_TDX_H

#include "gmem_test.h"

#define GM_TD_SHARED	(1ULL << 47)	/* in a guest physical address */
#define GM_TD_ALIAS	(512ULL << 30)	/* where the guest sees shared memory */
#define GM_TD_VE_DISABLE	(1ULL << 28)	/* attribute SEPT_VE_DISABLE */

#define GM_TD_BOOT_PAGES	17		/* of the guest's own memory */

/* RAX of TDCALLs, without what is in the lower half. */
#define GM_TD_INVALID	0xc0000100
#define GM_TD_BUSY	0x80000200
#define GM_TD_HOST_PRIORITY	0x80000204
#define GM_TD_ACCEPTED	0x00000b0a
#define GM_TD_MISMATCH	0xc0000b0b

enum gm_td_level { GM_TD_4K, GM_TD_2M };

/* Why the guest stopped. Errors of KVM_RUN are negative. */
enum gm_td_stop {
	GM_TD_SYNC,	/* it did what it was told */
	GM_TD_VE,	/* #VE: the command is over */
	GM_TD_FAULT,	/* KVM_EXIT_MEMORY_FAULT: goes on when run again */
	GM_TD_MAP,	/* MapGPA: goes on when it is answered */
};

struct gm_td {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu[GM_MAX_VCPUS];
	struct kvm_regs start[GM_MAX_VCPUS];
	struct kvm_regs regs[GM_MAX_VCPUS];	/* of the last stop */
	pthread_t thread[GM_MAX_VCPUS];
	int stop[GM_MAX_VCPUS];
	unsigned int nr_vcpus;
	struct gm_file boot;
	u32 next_slot;
	char checks[512];	/* the module's before */
};

void gm_td_need(void);		/* skip if there is no such VM type */
int gm_td_vm_cmd(struct kvm_vm *vm, u32 id, u32 flags, void *data);
int gm_td_vcpu_cmd(struct kvm_vcpu *vcpu, u32 id, u32 flags, void *data);
struct kvm_vm *gm_td_vm(u64 attributes);	/* initialised, without vCPUs */
struct gm_td *gm_td_create(unsigned int nr_vcpus, u64 attributes);
/* And with something done to vCPUs before they run for the first time. */
struct gm_td *gm_td_create_then(unsigned int nr_vcpus, u64 attributes,
				void (*before_run)(struct gm_td *td));
void gm_td_free(struct gm_td *td);	/* and the module found nothing wrong */
/* The module was to find that: gm_td_free() does not mind so many of it. */
void gm_td_found(struct gm_td *td, const char *check, long times);
u32 gm_td_attach(struct gm_td *td, const struct gm_file *f, u64 gpa);
u32 gm_td_slot(struct gm_td *td, const struct gm_file *f, u64 gpa, u64 off, u64 size);

/*
 * Commands, by virtual address: private memory is where it is in the guest's
 * physical memory, shared memory GM_TD_ALIAS further up. Words are stored one per
 * stride; what they are does not depend on which alias it is. Seed 0 is zero.
 */
int gm_td_store(struct gm_td *td, unsigned int cpu, u64 gva, u64 len, u64 stride, u64 seed);
int gm_td_check(struct gm_td *td, unsigned int cpu, u64 gva, u64 len, u64 stride, u64 seed);
void gm_td_assert_good(struct gm_td *td, unsigned int cpu);	/* after a check */
u64 gm_td_word(u64 gpa, u64 seed);
/* Until one fails; *left is how many were not accepted, *rax what the last said. */
int gm_td_accept(struct gm_td *td, unsigned int cpu, u64 gpa, enum gm_td_level level,
		 u64 nr, u64 *left, u64 *rax);
void gm_td_accept_ok(struct gm_td *td, unsigned int cpu, u64 gpa, enum gm_td_level level,
		     u64 nr);
/* Accepts a page and stores a word in it, in one go. */
void gm_td_take(struct gm_td *td, unsigned int cpu, u64 gpa, u64 word);
/* The next KVM_RUN does it. */
void gm_td_accept_next(struct gm_td *td, unsigned int cpu, u64 gpa,
		       enum gm_td_level level, u64 nr);
int gm_td_map_gpa(struct gm_td *td, unsigned int cpu, u64 gpa, u64 len);
int gm_td_resume(struct gm_td *td, unsigned int cpu);
void gm_td_clear_ve(struct gm_td *td, unsigned int cpu, u64 *gpa);

/* The module's counters: a leaf as "MEM.PAGE.AUG", a level as "2M". */
long gm_td_calls(const char *leaf, const char *level);
/* Of the one TD there is: "mapped", "pending", "pamt_2m" ... */
long gm_td_pages(const char *key);

/* All at once, since the module looks through all of memory for them. */
struct gm_td_counts {
	long mapped, pending, blocked, pending_blocked, pamt_4k, pamt_2m;
};

struct gm_td_counts gm_td_counts(void);
void gm_td_inject(const char *file, const char *fmt, ...) __printf(2, 3);
long gm_td_injected(void);
u64 gm_td_stat(struct gm_td *td, const char *name);
u64 gm_td_vcpu_stat(struct gm_td *td, unsigned int cpu, const char *name);

/* tdx_scene.c */

/* How often the module did what. */
struct gm_td_leaves {
	long aug_4k, aug_2m, demote, remove_4k, remove_2m;
};

struct gm_td_leaves gm_td_leaves(void);
/* What it has done since. */
void gm_td_assert_leaves(const struct gm_td_leaves *before, long aug_4k, long aug_2m,
			 long demote, long remove_4k, long remove_2m);

/* A guest with private memory of 2 MiB blocks at GM_GPA, none of it mapped. */
struct gm_td_scene {
	struct gm_td *td;
	struct gm_file f;
	char *mem;
	u32 slot;
	u64 base_2m, base_4k;	/* KVM's mappings of the guest's own memory */
	long elsewhere;		/* pages that the guest has of other files than these */
};

struct gm_td_scene gm_td_scene_open(unsigned int vcpus, u64 size, u64 attributes);
void gm_td_scene_close(struct gm_td_scene *s);
/* What KVM, the module and the file say of who has what is the same. */
void gm_td_assert_ledger(const struct gm_td_scene *s);
/* All of the 2 MiB at an offset but one page is as the guest stored it. */
void gm_td_assert_others(struct gm_td_scene *s, u64 seed, u64 frame, u64 page);

#endif /* GMEM_TEST_TDX_H */
