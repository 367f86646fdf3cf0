/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the test programs of gmem share: a runner for cases, snapshots of the
 * pools, gmem files, and guests that do as they are told.
 */
#ifndef GMEM_TEST_H
#define GMEM_TEST_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/falloc.h>
#include <linux/sizes.h>

#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"

#include <linux/kvm_gmem.h>

#define GM_HUGE_2M	GUEST_MEMFD_HUGE_2MB
#define GM_HUGE_1G	GUEST_MEMFD_HUGE_1GB
#define GM_CAP_HUGETLB_2M	KVM_GUEST_MEMFD_HUGETLB_2M
#define GM_CAP_HUGETLB_1G	KVM_GUEST_MEMFD_HUGETLB_1G
#define GM_CAP_HUGEPAGE_2M	KVM_GUEST_MEMFD_HUGEPAGE_2M
#define GM_CAP_HUGEPAGE_1G	KVM_GUEST_MEMFD_HUGEPAGE_1G

#define GM_MMAP		GUEST_MEMFD_FLAG_MMAP
#define GM_SHARED	(GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED)
#define GM_HUGETLB	GUEST_MEMFD_FLAG_HUGETLB
#define GM_HUGEPAGE	GUEST_MEMFD_FLAG_HUGEPAGE

#define GM_PAGE		4096ULL
#define GM_2M		(2ULL << 20)
#define GM_1G		(1024ULL << 20)

/* Clear of slot 0 and of the hole below 4 GiB, aligned to any block. */
#define GM_GPA		(4ULL << 30)

#define GM_SWP		KVM_X86_SW_PROTECTED_VM

/* run.c: cases, each in a process and a cgroup of its own */

/**
 * struct gm_case - one line of TAP
 * @name: for the plan and for --only
 * @fn: the test, in a child process
 * @seconds: time it may take on the plain kernel, 0 for the default
 * @loses: pages that the case takes out of the pools for good, so that these
 *	are not compared afterwards
 */
struct gm_case {
	const char *name;
	void (*fn)(void);
	unsigned int seconds;
	bool loses;
};

/*
 * The main() of a test program. pool_2m: free 2 MiB pages that the cases want in
 * the hugetlb pool.
 */
int gm_main(int argc, char **argv, const struct gm_case *cases, unsigned int nr,
	    unsigned int pool_2m);

extern u64 gm_seed;		/* of --seed, printed at the start */
extern char gm_cgroup[];		/* the running case's cgroup */
extern char **gm_command;		/* what follows --, or NULL */
u64 gm_rand(u64 *state);

void __noreturn gm_fail(const char *file, int line, const char *what,
			const char *fmt, ...) __printf(4, 5);
void __noreturn gm_skip(const char *fmt, ...) __printf(1, 2);
void gm_note(const char *fmt, ...) __printf(1, 2);

#define gm_assert(cond, fmt, ...)					\
do {									\
	if (!(cond))							\
		gm_fail(__FILE__, __LINE__, #cond, fmt, ##__VA_ARGS__);	\
} while (0)

#define gm_assert_rel(a, rel, b)					\
do {									\
	long long __a = (long long)(a), __b = (long long)(b);		\
									\
	if (!(__a rel __b))						\
		gm_fail(__FILE__, __LINE__, #a " " #rel " " #b,		\
			"%lld, %lld", __a, __b);			\
} while (0)

#define gm_assert_eq(a, b)	gm_assert_rel(a, ==, b)
#define gm_assert_le(a, b)	gm_assert_rel(a, <=, b)
#define gm_assert_ge(a, b)	gm_assert_rel(a, >=, b)

/* The call fails with this errno and not otherwise. */
#define gm_assert_errno(call, err)					\
do {									\
	long __r;							\
									\
	errno = 0;							\
	__r = (long)(call);						\
	if (__r != -1 || errno != (err))				\
		gm_fail(__FILE__, __LINE__, #call, "%ld, %s; expected %s",\
			__r, strerror(errno), #err);			\
} while (0)

#define gm_assert_ok(call)						\
do {									\
	long __r = (long)(call);					\
									\
	if (__r)							\
		gm_fail(__FILE__, __LINE__, #call, "%ld, %s", __r,	\
			strerror(errno));				\
} while (0)

/* Run fn in a child; its exit status, or 256 + the signal that ended it. */
int gm_in_child(void (*fn)(void *), void *arg);

/* Poll cond until it is true; false after the seconds, scaled as case times. */
bool gm_wait_until(bool (*cond)(void *), void *arg, unsigned int seconds);
unsigned int gm_time_scale(void);

/* pool.c: files of sysfs and procfs, pools, snapshots */

long gm_read_long(const char *fmt, ...) __printf(1, 2);	/* -1: no such file */
bool gm_write(const char *path, const char *fmt, ...) __printf(2, 3);
void gm_read_text(const char *path, char *buf, size_t size);

/* Where a physical or virtual address is for the kernel, and in /proc/kcore. */
struct gm_segment {
	u64 va;
	u64 off;
};

int gm_kcore_open(void);
struct gm_segment gm_kcore_segment(int fd, u64 addr, bool physical);

long gm_proc_value(const char *path, const char *key);
static inline long gm_meminfo(const char *key)
{
	return gm_proc_value("/proc/meminfo", key);
}

long gm_pool(u64 size, const char *what);	/* "nr", "free", "resv", ... */
long gm_pool_resize(u64 size, long nr);	/* the number it has then */
long gm_counter(const char *name);		/* of /sys/kernel/mm/gmem */
bool gm_have_gmem(void);
void gm_mount_all(void);
bool gm_cmdline_has(const char *word);

u64 gm_section_pages(void);	/* of what goes offline together */
/* "offline", "online_kernel": 0, or an errno, EINTR if there was no end to it. */
int gm_section_set(u64 section, const char *state);

struct gm_snapshot;
struct gm_snapshot *gm_snapshot(void);
/* Wait for the pools to be as they were; false and a note for each that differs. */
bool gm_snapshot_same(const struct gm_snapshot *before);
void gm_snapshot_free(struct gm_snapshot *s);
/* Free memory the kernel cannot get back by itself: after dropping caches. */
long gm_free_kb(void);

/* file.c: gmem files */

struct gm_file {
	int fd;
	u64 size;
	u64 flags;
	u64 block;
	u64 ino;
};

struct gm_source {
	const char *name;
	u64 flags;
	u64 block;
	int cap;		/* bit of KVM_CAP_GUEST_MEMFD_HUGE */
	bool by_fallocate;	/* blocks of this size come from fallocate only */
};

enum { GM_SRC_4K, GM_SRC_THP_2M, GM_SRC_HTLB_2M, GM_SRC_HTLB_1G, GM_SRC_THP_1G,
	GM_NR_SOURCES };
extern const struct gm_source gm_sources[GM_NR_SOURCES];

/* Skip the case unless the kernel, and the boot, can do this. */
void gm_need_source(const struct gm_source *src, u64 bytes);
struct gm_file gm_create(struct kvm_vm *vm, u64 size, u64 flags);
struct gm_file gm_create_from(struct kvm_vm *vm, const struct gm_source *src,
			      u64 size, u64 flags);
void gm_close(struct gm_file *f);
long gm_fdinfo(const struct gm_file *f, const char *key);
u64 gm_held(const struct gm_file *f);	/* by st_blocks */
int gm_populate(const struct gm_file *f, u64 off, u64 len);
int gm_punch(const struct gm_file *f, u64 off, u64 len);
void *gm_mmap(const struct gm_file *f, u64 off, u64 len);

struct gm_block {
	u64 ino;
	u64 index;		/* in pages */
	unsigned int order;
	u64 pfn;
	bool dissolved;
	u64 live;
	long refs;
};

bool gm_have_blocks(void);
/* The blocks of a file by index; returns their number, at most max of them. */
size_t gm_blocks(const struct gm_file *f, struct gm_block *b, size_t max);
bool gm_block_at(const struct gm_file *f, u64 off, struct gm_block *b);
u64 gm_pfn_at(const struct gm_file *f, u64 off);
/* Every page of the file is frozen: nothing live, no reference held. */
void gm_assert_frozen(const struct gm_file *f);
/* The same of a file with blocks, which may be dissolved. */
void gm_assert_withdrawn(const struct gm_file *f);
bool gm_sigbus(void *addr, bool write);	/* does touching it raise SIGBUS? */
/* si_code of the SIGBUS that fn raises, 0 if it raises none. */
int gm_catch_sigbus(void (*fn)(void *), void *arg, void **where);

/* The word at an offset of memory filled with a seed. Never 0. */
static inline u64 gm_word(u64 seed, u64 off)
{
	return ((off >> 3) + seed * 0x9e3779b97f4a7c15ULL) * 0xbf58476d1ce4e5b9ULL | 1;
}

void gm_host_fill(void *mem, u64 off, u64 len, u64 seed);
/* Number of words that differ; seed 0 stands for zeroes. */
u64 gm_host_differ(const void *mem, u64 off, u64 len, u64 seed);

/* hold.c: ways to hold a page of a shared file */

/**
 * struct gm_holder - one way, copied for each use of it
 * @name: for messages
 * @take: hold the page at an offset; nothing stays mapped
 * @let_go: and what it held is in @buf then, if it @reads
 */
struct gm_holder {
	const char *name;
	void (*take)(struct gm_holder *h, const struct gm_file *f, u64 off);
	void (*let_go)(struct gm_holder *h);
	bool reads;
	int fd[2];
	char *mem;
	pthread_t thread;
	ssize_t result;
	char buf[GM_PAGE] __aligned(4096);
};

#define GM_NR_HOLDERS	5
extern const struct gm_holder gm_holders[GM_NR_HOLDERS];

/* guest.c: a guest that does as it is told */

#define GM_MAX_VCPUS	8

enum gm_op {
	GM_NOP,
	GM_FILL,	/* write every word */
	GM_VERIFY,	/* every word is what FILL wrote, or 0 for seed 0 */
	GM_TOUCH,	/* write one word per stride */
	GM_CHECK,	/* read one word per stride: as TOUCH wrote, or 0 for seed 0 */
	GM_LOOP,	/* until told to stop: each word is 0 or ours; make it ours */
	GM_WATCH,	/* until told to stop: verify one word per stride */
	GM_COUNT,	/* until told to stop: each word is the last round; add 1 */
	GM_ASK,		/* KVM_HC_MAP_GPA_RANGE, seed its flags, rounds its answer */
};

struct gm_cmd {
	u64 op;
	u64 gva;
	u64 off;		/* what gva is in terms of the pattern */
	u64 len;
	u64 stride;
	u64 seed;
	u64 stop;
	u64 rounds;	/* of GM_LOOP, GM_WATCH and GM_COUNT; GM_ASK's answer */
	u64 bad;		/* words that differed, and the first of them */
	u64 bad_gva;
	u64 bad_value;
};

void gm_guest_do(struct gm_cmd *c);	/* in the guest: carry it out */

struct gm_vm {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu[GM_MAX_VCPUS];
	struct kvm_regs regs[GM_MAX_VCPUS];
	struct gm_cmd *cmds;		/* by vCPU */
	pthread_t thread[GM_MAX_VCPUS];
	int error[GM_MAX_VCPUS];
	unsigned int nr_vcpus;
	unsigned int type;
	u32 next_slot;
};

/* small_pages: guest pages that will be mapped with 4 KiB guest page tables */
struct gm_vm *gm_vm_create(unsigned int type, unsigned int nr_vcpus,
			   u64 small_pages);
void gm_vm_free(struct gm_vm *g);
struct gm_cmd *gm_cmd(struct gm_vm *g, unsigned int cpu);

/* Returns the slot. hva NULL: none for GMEM-only slots, else untouched memory. */
u32 gm_slot(struct gm_vm *g, const struct gm_file *f, u64 gpa,
	    u64 size, u64 off, void *hva);
void gm_slot_delete(struct gm_vm *g, u32 slot);
void gm_map(struct gm_vm *g, u64 gpa, u64 size);	/* gva = gpa */
void gm_map_at(struct gm_vm *g, u64 gva, u64 gpa, u64 size);

/* Slot, mapping and, for software-protected VMs, private attributes at once. */
u32 gm_attach(struct gm_vm *g, const struct gm_file *f, u64 gpa);

/*
 * Run one command: 0, KVM_RUN's errno, GM_NO_SLOT where there is no slot, or
 * GM_ASKED. The request is in the vCPU's run then; gm_answer() goes on.
 */
#define GM_NO_SLOT	ENXIO
#define GM_ASKED	EINPROGRESS

int gm_try(struct gm_vm *g, unsigned int cpu, enum gm_op op, u64 gva,
	   u64 off, u64 len, u64 stride, u64 seed);
int gm_answer(struct gm_vm *g, unsigned int cpu, u64 ret);
/* Called right before and after each KVM_RUN of a command. */
extern void (*gm_run_hook)(bool enter);
/* Take a vCPU that could not go on back to where it waits for commands. */
void gm_reset(struct gm_vm *g, unsigned int cpu);
void gm_start(struct gm_vm *g, unsigned int cpu, enum gm_op op, u64 gva,
	      u64 off, u64 len, u64 stride, u64 seed);
int gm_join(struct gm_vm *g, unsigned int cpu);
void gm_stop(struct gm_vm *g, unsigned int cpu);
void gm_assert_good(struct gm_vm *g, unsigned int cpu);

/* The same, and everything must go well. Offsets are from GM_GPA. */
void gm_guest_fill(struct gm_vm *g, u64 off, u64 len, u64 seed);
void gm_guest_verify(struct gm_vm *g, u64 off, u64 len, u64 seed);
void gm_guest_touch(struct gm_vm *g, u64 off, u64 len, u64 stride,
		    u64 seed);
void gm_guest_check(struct gm_vm *g, u64 off, u64 len, u64 stride,
		    u64 seed);

u64 gm_vm_stat(struct gm_vm *g, const char *name);
u64 gm_vcpu_stat(struct gm_vm *g, unsigned int cpu, const char *name);

/* attr.c: who may touch what, in a file that tracks it */

/* errno or 0; error gets error_offset, all ones if the kernel left it alone. */
int gm_set(const struct gm_file *f, u64 off, u64 len, bool private, u64 *error);
void gm_set_ok(const struct gm_file *f, u64 off, u64 len, bool private);
struct kvm_memory_attributes2 gm_get(const struct gm_file *f, u64 off);
bool gm_is_private(const struct gm_file *f, u64 off);

/* A software-protected guest with such a file, which the host maps as well. */
struct gm_scene {
	const struct gm_source *src;
	struct gm_vm *g;
	struct gm_file f;
	char *mem;
	u32 slot;
};

void gm_scene_open(struct gm_scene *s, unsigned int source, unsigned int vcpus,
		   u64 size, u64 flags);
void gm_scene_close(struct gm_scene *s);

/* emul.c: a guest that makes KVM itself access memory of a file */

/* No slot is there: what reads it or writes to it is emulated. */
#define GM_MMIO	(GM_GPA + 16 * GM_1G)
#define GM_IPI_VECTOR	0x61

/* What the memory is to KVM. userspace_addr of its slot is a decoy in all cases. */
enum gm_kind {
	GM_PRIVATE,	/* private pages of a file that tracks */
	GM_TRACKED,	/* shared pages of one */
	GM_SECOND,	/* private pages of a slot with a second source */
	GM_ORDINARY,	/* of a VM that knows nothing of private memory */
	GM_HIDDEN,	/* private pages that the kernel does not map */
};

enum gm_emul_op {
	GM_EMUL_NOP,
	GM_EMUL_CALL,	/* copy code to a, call it with b, c, and d */
	GM_EMUL_MSR,	/* write b to MSR a */
	GM_EMUL_READ,	/* the 8 bytes at a */
	GM_EMUL_WRITE,	/* b to a */
	GM_EMUL_IPI,	/* to itself; EOI through the word at a if KVM lets it */
	GM_EMUL_CR3,	/* page tables whose root is a copy at a of the guest's own */
	GM_EMUL_GDT,	/* as CALL, with a GDT at c that has a fresh GM_DATA_SEL */
	GM_EMUL_SPIN,	/* until d is not 0 */
};

/* A data segment that no processor has loaded: without its accessed bit. */
#define GM_DATA_SEL	0x200
#define GM_DATA_DESC	0x00cf92000000ffffULL
#define GM_ACCESSED	(1ULL << 40)

struct gm_emul_cmd {
	u64 op, a, b, c, d;
	u64 code, size;
	u64 ret;
};

/**
 * struct gm_emul - such a guest, its file, and what MMIO is
 * @kind: enum gm_kind
 * @decoy: what userspace_addr points at; nobody may see or change it
 * @mmio: what MMIO reads, and what was written to it last
 * @nr_mmio: exits for that
 * @live: set if the host has touched memory of the file
 */
struct gm_emul {
	unsigned int kind;
	const struct gm_source *src;
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpu;
	struct gm_file f;
	u64 size;
	u64 *decoy;
	u64 mmio;
	unsigned int nr_mmio;
	bool live;
};

/* Counted by the guest. */
struct gm_emul_count {
	u64 pv_eois, eois;	/* ends of interrupts, the short way and the long */
	u64 faults;		/* page faults: what they hit was skipped */
	u64 cr2, error;		/* of the last one */
};

/*
 * Code that runs from wherever it is copied to. CPUID is an exit that KVM skips
 * by decoding it if the processor does not say how long it is, and cpuids as many
 * as its first argument says; movs moves 8 bytes
 * from its second argument to its first, one of which is MMIO; load reads 8 bytes
 * there with interrupts on; cmpxchg, which KVM emulates if its parameter
 * force_emulation_prefix is set, inverts 8 bytes at its first argument if they are
 * the second, and returns what was there; es is loaded from its first.
 */
extern const char gm_piece_cpuid[], gm_piece_cpuid_end[];
extern const char gm_piece_cpuids[], gm_piece_cpuids_end[];
extern const char gm_piece_movs[], gm_piece_movs_end[];
extern const char gm_piece_load[], gm_piece_load_end[];
extern const char gm_piece_cmpxchg[], gm_piece_cmpxchg_end[];
extern const char gm_piece_es[], gm_piece_es_end[];

void gm_emul_open(struct gm_emul *s, unsigned int kind, unsigned int source);
void gm_emul_close(struct gm_emul *s);	/* also: no decoy was touched, no page held */
void gm_emul_assert_no_decoy(const struct gm_emul *s);
struct gm_emul_count gm_emul_count(const struct gm_emul *s);
struct gm_emul_cmd *gm_emul_set(struct gm_emul *s, u64 op, u64 a, u64 b);
struct gm_emul_cmd *gm_emul_set_call(struct gm_emul *s, u64 at, const char *code,
				     const char *end, u64 b, u64 c);
/* Until the guest waits for the next command: 0, or errno of KVM_RUN. */
int gm_emul_try(struct gm_emul *s);
u64 gm_emul_tell(struct gm_emul *s, u64 op, u64 a, u64 b);
u64 gm_emul_call(struct gm_emul *s, u64 at, const char *code, const char *end,
		 u64 b, u64 c);
#define gm_emul_cpuid(s, at, leaf)	\
	((u32)gm_emul_call(s, at, gm_piece_cpuid, gm_piece_cpuid_end, leaf, 0))
#define gm_emul_movs(s, at, dst, src)	\
	gm_emul_call(s, at, gm_piece_movs, gm_piece_movs_end, dst, src)
/* With blocks of each size that there is memory for. */
/* Tables of four levels from GM_GPA on, a page each, and who walks them is KVM. */
void gm_write_tables(u64 *mem, u64 gpa);	/* where they map the first page to */
void gm_use_tables(struct kvm_vcpu *vcpu);
u64 gm_translate(struct kvm_vcpu *vcpu, u64 linear);	/* ~0 if it is not mapped */

void gm_emul_each(void (*fn)(unsigned int kind, unsigned int source), unsigned int kind);

/* cost.c: instructions, where they are counted */

bool gm_icount(void);		/* are the TSC's ticks instructions? */
/* The guest writes to each page of its memory, which is at GM_GPA. */
u64 gm_cost_touch(struct gm_vm *g, u64 len);

/* What of a file's memory the guest has, if the file is larger than that. */
#define GM_GIVE_SLOT	(1016 * GM_1G)

/*
 * Memory that host and guest give each other: in place if the source has huge
 * blocks, else as 7.3 has it, from a guest_memfd to a memfd. One block from at on,
 * or 2 MiB, is mapped by the host at mem and was touched by the guest.
 */
struct gm_give {
	struct gm_vm *g;
	struct gm_file f;
	bool in_place;
	char *mem;
	int memfd;	/* of 7.3's shared memory */
	u64 at;
	u64 len;
};

void gm_give_open(struct gm_give *s, const struct gm_source *src, u64 size, u64 at);
void gm_give_close(struct gm_give *s);
void gm_give(struct gm_give *s, u64 off, u64 len, bool private);

struct gm_cycle {
	u64 first;	/* dissolves the block */
	u64 next;	/* mean of the middle half after it: the timer ticks in some */
};

/*
 * To the host, which writes to each page, and back to the guest, which does so
 * too. In between it touches this many other frames of 2 MiB.
 */
struct gm_cycle gm_cost_cycle(struct gm_give *s, u64 off, u64 len, unsigned int frames);
/* Sharing this much of a file that nobody has touched. */
u64 gm_cost_attributes(struct gm_give *s, u64 len);

/* Fault injection, of this thread: the nth allocation from now on; whether it came. */
void gm_fail_open(void);			/* or skips */
void gm_fail_arm(unsigned int nth);
bool gm_fail_came(void);

/* Linux in a guest of tools/gmem/vmm, and what it says on its console. */
struct gm_linux {
	pid_t pid;
	int in;
	int out;
	char *text;		/* all that it said */
	size_t len;
	size_t seen;		/* what of it was waited for */
};

#define GM_LINUX_KERNEL	"/usr/lib/linux/bzImage"
#define GM_LINUX_CLOUD	"/usr/lib/linux/cloud"	/* Debian's */
#define GM_LINUX_INITRD	"/usr/lib/linux/initrd"
#define GM_LINUX_STRESS	"/usr/lib/linux/initrd-stress"
/*
 * QEMU's SVM does not intercept XSETBV, so the guest's setting would be lost at its
 * next exit. Nor does it keep the interrupt shadow of STI over an exit: an interrupt
 * comes before the HLT that follows, and the guest sleeps with work to do until the
 * next one, which the periodic tick is.
 */
#define GM_LINUX_CMDLINE	"console=ttyS0 panic=-1 quiet noxsave mark"
#define GM_LINUX_PROMPT	"guest# "

#define GM_LINUX_POOL	128		/* pages, what a guest has by default */

/* How it is started. */
struct gm_boot {
	unsigned int source;	/* GM_SRC_* */
	const char *kind;	/* option, NULL: private */
	const char *cpus;
	const char *disk;
	bool hidden;		/* from the host's kernel as well */
	bool memfd;		/* no guest_memfd, but pages of the pool */
	bool stress;		/* with stress-ng */
	bool cloud;		/* a kernel as Debian ships it */
};

struct gm_linux gm_linux_start(const char *const *args);	/* the VMM's */
/* Returns at its prompt. What it said of itself and of its memory was seen by then. */
struct gm_linux gm_linux_boot(const struct gm_boot *b);
void gm_linux_show(const struct gm_linux *g);		/* the end of what it said */
/* Wait for a text behind what was waited for before; where it ends. */
char *gm_linux_expect(struct gm_linux *g, const char *what);
long gm_linux_number(struct gm_linux *g, const char *what);	/* and the number there */
void gm_linux_type(struct gm_linux *g, const char *text);
void gm_linux_run(struct gm_linux *g, const char *command);	/* which must succeed */
int gm_linux_wait(struct gm_linux *g);			/* the VMM's status */
void gm_linux_power_off(struct gm_linux *g);
/* What the VMM printed last of its statistics, and what its fdinfo has. */
long gm_linux_said(struct gm_linux *g, const char *key);
long gm_linux_fdinfo(const struct gm_linux *g, const char *key);
/* Every way to the guest's memory that a host has ends before it. */
void gm_linux_check_unreadable(const struct gm_linux *g);
struct gm_file gm_linux_file(const struct gm_linux *g);	/* gm_close() it */

#endif /* GMEM_TEST_H */
