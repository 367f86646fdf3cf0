/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The model fuzzer: programs of operations on one file, a model in user space of
 * what the ABI says that they do, and their execution, which compares the two.
 *
 * An operation is a plain record that depends on nothing but the seed, so that
 * any subset of a program is a program. What it names and is not there (a
 * mapping, a holder, a child) makes it do nothing.
 */
#ifndef GMEM_FUZZ_H
#define GMEM_FUZZ_H

#include "gmem_test.h"

#define FZ_MAPS		3
#define FZ_MAP_PAGES	2048ULL		/* of one host mapping, at most */
#define FZ_HOLDERS	4
#define FZ_SLOTS	2
#define FZ_CHUNK	512ULL		/* what is summed up in the model */
#define FZ_AROUND	64ULL		/* pages that a host fault looks at */

enum fz_code {
	FZ_POPULATE,
	FZ_PUNCH,
	FZ_BAD_FALLOCATE,
	FZ_PRIVATE,
	FZ_SHARED,
	FZ_BAD_ATTRS,
	FZ_GET,
	FZ_VM_ATTRS,
	FZ_MAP,
	FZ_UNMAP,
	FZ_PROTECT,
	FZ_REMAP,
	FZ_DONTNEED,
	FZ_REMOVE,
	FZ_FAULT_IN,
	FZ_LOCK,
	FZ_UNLOCK,
	FZ_READ,
	FZ_WRITE,
	FZ_COPY_OUT,
	FZ_COPY_IN,
	FZ_PEEK,
	FZ_POKE,
	FZ_GUEST_READ,
	FZ_GUEST_WRITE,
	FZ_PREFAULT,
	FZ_HOLD,
	FZ_RELEASE,
	FZ_DEVICE_READ,
	FZ_DEVICE_WRITE,
	FZ_FORK,
	FZ_CHILD_READ,
	FZ_CHILD_WRITE,
	FZ_REAP,
	FZ_UNBIND,
	FZ_BIND,
	FZ_CREATE,
	FZ_NR_CODES,
};

/**
 * struct fz_op - one operation
 * @code: enum fz_code
 * @m: mapping, holder, slot or variant
 * @a: first page, of the file or of the mapping
 * @n: pages
 * @c: whatever else: contents, flags, an alignment
 */
struct fz_op {
	u8 code;
	u8 m;
	u64 a;
	u64 n;
	u64 c;
};

/**
 * struct fz_config - what kind of file
 * @name: for --config
 * @source: GM_SRC_*
 * @blocks: size of the file
 * @type: of the VM
 * @mmap: created with MMAP
 * @share: of 100 operations, how many run here
 */
struct fz_config {
	const char *name;
	unsigned int source;
	unsigned int blocks;
	unsigned int type;
	bool mmap;
	unsigned int share;
};

/* Variants of a configuration, chosen by the seed */
#define FZ_INIT_SHARED		(1 << 0)
#define FZ_TWO_SLOTS		(1 << 1)
#define FZ_SKEWED_GPA		(1 << 2)	/* of the second slot */
#define FZ_ODD_SPLIT		(1 << 3)	/* between the slots, not at 2 MiB */
#define FZ_SKEWED_HVA		(1 << 4)
#define FZ_ORPHANS		(1 << 5)	/* close the file before the holders */
#define FZ_SETUP_MASK		0x3f

struct fz_program {
	const struct fz_config *cfg;
	unsigned int setup;
	u64 nr;
	struct fz_op *op;
};

/* fuzz_ops.c: programs from a seed or a script, and as text */
void fz_generate(struct fz_program *p, const struct fz_config *cfg, u64 seed, u64 nr);
const char *fz_op_name(const struct fz_op *op);
void fz_print_op(const struct fz_op *op, char *buf, size_t size);
bool fz_parse_op(const char *line, struct fz_op *op);
u64 fz_file_pages(const struct fz_config *cfg);

/* fuzz_model.c: what should be there */

enum fz_prot { FZ_NONE, FZ_RO, FZ_RW };

/* A reference; a pin for long of a device, or by gup_test with and without a walk. */
enum fz_hold { FZ_PIPE, FZ_DEVICE, FZ_PIN, FZ_PIN_FAST, FZ_HOLDS };

/**
 * struct fz_map - a host mapping, in one address space
 * @addr: of its first page, NULL if there is none
 * @first: index of that page in the file, maybe beyond its end
 * @nr: pages
 * @prot: enum fz_prot of each page; FZ_NONE where it was unmapped
 * @begins: does a VMA begin with this page? What was split stays split
 * @pte: is there a PTE?
 */
struct fz_map {
	char *addr;
	u64 first;
	u64 nr;
	u8 prot[FZ_MAP_PAGES];
	u8 begins[FZ_MAP_PAGES];
	u8 pte[FZ_MAP_PAGES];
};

struct fz_mm {
	bool used;
	struct fz_map map[FZ_MAPS];
};

struct fz_slot {
	u64 first;
	u64 nr;
	u64 gpa;
	u32 id;
	bool bound;
};

enum { FZ_SELF, FZ_CHILD, FZ_MMS };

/**
 * struct fz_model - a file, its users, and what is in it
 * @cfg: configuration
 * @pages: size of the file
 * @per_block: pages of a block
 * @track: the file tracks attributes
 * @second: a slot has other memory for what the VM calls shared
 * @hvo: struct pages of blocks are optimized away
 * @private: of each page
 * @content: of each page, 0 for zeroes
 * @live: has each page a live struct page?
 * @present: of each block
 * @real: of each FZ_AROUND pages: is the vmemmap page the block's own?
 * @vm_private: of each page, what the VM was told of its gfn
 * @other: of each page, contents at userspace_addr
 * @in_private: of each chunk, private pages
 * @in_live: of each chunk, live pages
 * @in_content: of each chunk, pages that are not zero
 * @nr_private: private pages of present blocks
 * @nr_live: live pages
 * @nr_present: blocks
 * @nr_real: vmemmap pages
 * @conversions: requests that changed something
 * @eagain: requests refused
 * @held: page of each holder, or FZ_NOT_HELD
 * @hold: enum fz_hold of each holder
 * @mm: address spaces
 * @slot: memslots
 */
struct fz_model {
	const struct fz_config *cfg;
	u64 pages;
	u64 per_block;
	bool track;
	bool second;
	bool hvo;
	u8 *private;
	u32 *content;
	u8 *live;
	u8 *present;
	u8 *real;
	u8 *vm_private;
	u32 *other;
	u16 *in_private;
	u16 *in_live;
	u16 *in_content;
	u64 nr_private;
	u64 nr_live;
	u64 nr_present;
	u64 nr_real;
	u64 conversions;
	u64 eagain;
	u64 held[FZ_HOLDERS];
	u8 hold[FZ_HOLDERS];
	struct fz_mm mm[FZ_MMS];
	struct fz_slot slot[FZ_SLOTS];
	unsigned int nr_slots;
};

#define FZ_NOT_HELD	(~0ULL)

void fz_model_init(struct fz_model *m, const struct fz_config *cfg, unsigned int setup);
void fz_model_free(struct fz_model *m);
void fz_set_content(struct fz_model *m, u64 page, u32 content);
bool fz_is_present(const struct fz_model *m, u64 page);
void fz_fill_block(struct fz_model *m, u64 page);
void fz_populate(struct fz_model *m, u64 a, u64 end);
/* 0, or -EAGAIN, and then *busy is the page that is held. */
int fz_punch(struct fz_model *m, u64 a, u64 end, u64 *busy);
int fz_convert(struct fz_model *m, u64 a, u64 end, bool private, u64 *busy);
/* What the host gets that touches a page of a mapping: 0, SIGBUS or SIGSEGV. */
int fz_touch(struct fz_model *m, struct fz_mm *mm, unsigned int map, u64 page, bool write);
struct kvm_memory_attributes2 fz_query(const struct fz_model *m, u64 page);
struct fz_slot *fz_slot_of(struct fz_model *m, u64 page);
/* The pages of a mapping around one that are one VMA. */
void fz_vma_around(const struct fz_map *map, u64 page, u64 *start, u64 *end);
/* References to the struct pages of a block. */
u64 fz_block_refs(const struct fz_model *m, u64 first);
u64 fz_block_live(const struct fz_model *m, u64 first);
u64 fz_orphans(const struct fz_model *m);

/* fuzz_exec.c: doing it, in a process that ends with the first difference */

/**
 * struct fz_shared - what the process leaves for its parent
 * @at: operation that it is at
 * @conversions: of all programs so far, as the following
 * @eagain: requests refused because of a holder
 * @touches: pages that the host touched
 * @stopped: of them, with a signal or EFAULT
 * @guest: commands of the guest
 * @holds: pages taken by holders
 * @transfers: of devices
 */
struct fz_shared {
	u64 at;
	u64 conversions;
	u64 eagain;
	u64 touches;
	u64 stopped;
	u64 guest;
	u64 holds;
	u64 transfers;
};

/**
 * struct fz_holder - what holds a page
 * @fd: the pipe; of a pin in the first place its file
 * @uring: the device, from its first use on
 * @addr: where a device's page was mapped when it was registered
 * @ring: of the device: submissions and completions
 * @sqe: the one submission
 * @sq_tail: offset in @ring, as the following
 * @cq_head: first completion that was not seen
 * @cqes: completions
 */
struct fz_holder {
	int fd[2];
	int uring;
	char *addr;
	char *ring;
	char *sqe;
	u32 sq_tail;
	u32 cq_head;
	u32 cqes;
};

/**
 * struct fuzz - a program that runs
 * @p: the program
 * @m: what should be there
 * @g: VM
 * @f: file
 * @areas: room for host mappings, two places for each
 * @side: which of the two a mapping is in
 * @other: memory at userspace_addr
 * @holder: who holds pages
 * @disk: what a device reads and writes
 * @fdinfo: of the file, held open as the counters are
 * @live_fd: live pages of the machine
 * @vmemmap_fd: vmemmap pages of the machine
 * @free_fd: free pages of the pool, hugetlb files only
 * @resv_fd: reserved pages of the pool
 * @free: free pages before the file was made
 * @resv: reserved pages before that
 * @shared: what the parent gets to know
 */
struct fuzz {
	const struct fz_program *p;
	struct fz_model m;
	struct gm_vm *g;
	struct gm_file f;
	char *areas;
	unsigned int side[FZ_MAPS];
	char *other;
	struct fz_holder holder[FZ_HOLDERS];
	int disk;
	int fdinfo;
	int live_fd;
	int vmemmap_fd;
	int free_fd;
	int resv_fd;
	long free;
	long resv;
	struct fz_shared *shared;
};

static inline u64 fz_op_end(const struct fz_op *op)
{
	return op->a + op->n;
}

typedef int (*fz_touch_fn)(char *addr, u64 off, u32 content, bool write, u64 *bad);

/* The part of a range of the file that a mapping has, counted from its start. */
bool fz_in_map(const struct fz_map *map, const struct fz_op *op, u64 *rel, u64 *nr);
void fz_check_result(struct fuzz *z, int r, int want);
bool fz_host_one(struct fuzz *z, unsigned int mm, unsigned int nr, u64 rel, u32 content,
		 bool write, fz_touch_fn fn);
void fz_look_from_host(struct fuzz *z, const struct fz_op *op);
void fz_run(const struct fz_program *p, struct fz_shared *shared, bool verbose);

/* fuzz_check.c: comparing what can be seen */
long fz_read_counter(int fd);
void fz_check_attributes(struct fuzz *z, u64 page);
void fz_check_whole(struct fuzz *z);
void fz_check_op(struct fuzz *z, const struct fz_op *op, u64 i);
/* Does the guest's page come from userspace_addr? */
bool fz_from_other(const struct fz_model *m, u64 page);
u32 fz_guest_content(const struct fz_model *m, u64 page);
/* Pages from one on that one command of the guest can compare. */
u64 fz_guest_run(struct fz_model *m, u64 page, u64 end);
/* Pages of one slot, or one page where there is no slot. */
void fz_guest(struct fuzz *z, u64 page, u64 nr, u32 content, bool write);

/* fuzz_maps.c: host mappings, and the child */
void fz_maps_init(struct fuzz *z);
void fz_map_op(struct fuzz *z, const struct fz_op *op);
void fz_unmap_all(struct fuzz *z);

/* fuzz_hold.c: who holds pages */
void fz_holders_init(struct fuzz *z);
void fz_hold(struct fuzz *z, const struct fz_op *op);
void fz_release(struct fuzz *z, unsigned int nr);
void fz_release_all(struct fuzz *z);
void fz_device(struct fuzz *z, const struct fz_op *op);

/* fuzz_host.c: touches of the host, by this process and by a child */
int fz_host_touch(char *addr, u64 off, u32 content, bool write, u64 *bad);
void fz_host_fork(void);
int fz_host_child(char *addr, u64 off, u32 content, bool write, u64 *bad);
void fz_host_reap(void);
int fz_host_copy(char *addr, u64 off, u32 content, bool write, u64 *bad);
int fz_host_peek(char *addr, u64 off, u32 content, bool write, u64 *bad);
int fz_host_peek_child(char *addr, u64 off, u32 content, bool write, u64 *bad);
void fz_host_init(void);

#endif /* GMEM_FUZZ_H */
