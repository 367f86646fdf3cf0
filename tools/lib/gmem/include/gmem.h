/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libgmem: memory of KVM guests in files of guest_memfd.
 *
 * Every function returns 0 or more, or a negative errno. None prints, none changes
 * errno on purpose, none keeps state outside of what it is given. Memory is allocated
 * by gmem_create() and gmem_adopt() only.
 *
 * Threads: a struct gmem does not change between the call that made it and
 * gmem_close(). Any thread may use it at any time, several at once; only
 * gmem_close() has to be the last call. What two threads ask of the same range at
 * the same time happens in one order or the other, each whole.
 *
 * Sizes, offsets and addresses are in bytes and multiples of 4096 unless it says
 * otherwise. Enumerations are used in place of macros, for the sake of other languages.
 *
 * What is reserved is there for versions to come: 0 where the caller fills the structure,
 * which is easiest with an initializer that names fields, and set to 0 by the library where
 * it does.
 */
#ifndef GMEM_H
#define GMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct gmem - one guest_memfd
 */
struct gmem;

/**
 * enum gmem_source - where blocks come from
 * @GMEM_PAGES: single pages of 4 KiB, as in Linux 7.3
 * @GMEM_BUDDY: the kernel's allocator; as large as it has them, smaller ones otherwise
 * @GMEM_HUGETLB: the hugetlb pool of the block's size, reserved at creation
 */
enum gmem_source {
	GMEM_PAGES,
	GMEM_BUDDY,
	GMEM_HUGETLB,
};

/**
 * enum gmem_flag - what a file can be
 * @GMEM_MAPPABLE: the host may map it; on a VM with private memory it tracks what is
 *	private and converts in place
 * @GMEM_INIT_SHARED: all of it is shared at first
 * @GMEM_NO_DIRECT_MAP: the host's kernel does not map it either
 */
enum gmem_flag {
	GMEM_MAPPABLE = 1 << 0,
	GMEM_INIT_SHARED = 1 << 1,
	GMEM_NO_DIRECT_MAP = 1 << 2,
};

/**
 * struct gmem_caps - what a kernel offers to one VM
 * @guest_memfd: there is guest_memfd. If not, all else is false
 * @mappable: GMEM_MAPPABLE
 * @init_shared: GMEM_INIT_SHARED
 * @no_direct_map: GMEM_NO_DIRECT_MAP
 * @in_place: gmem_convert() works on mappable files of this VM
 * @readable: gmem_runs() works on them
 * @stats: gmem_stats() works
 * @buddy_2m: GMEM_BUDDY with 2 MiB
 * @buddy_1g: GMEM_BUDDY with 1 GiB
 * @hugetlb_2m: GMEM_HUGETLB with 2 MiB. The pool may be empty
 * @hugetlb_1g: GMEM_HUGETLB with 1 GiB. The pool may be empty
 * @vm_attributes: the VM's own attributes say which frames are private
 *	(KVM_SET_MEMORY_ATTRIBUTES), for files that do not convert in place
 * @reserved: 0
 */
struct gmem_caps {
	bool guest_memfd;
	bool mappable;
	bool init_shared;
	bool no_direct_map;
	bool in_place;
	bool readable;
	bool stats;
	bool buddy_2m;
	bool buddy_1g;
	bool hugetlb_2m;
	bool hugetlb_1g;
	bool vm_attributes;
	bool reserved[20];
};

/**
 * gmem_probe - find out what can be done
 * @vm_fd: the VM. What it can do depends on its type
 * @caps: out
 *
 * Asks the kernel: for each capability, and by what it answers for a file of one
 * page, which is created and closed again. Versions play no part, so a kernel with
 * some of it is told from one with all of it, and one that gets it later needs no
 * other library.
 *
 * Return: 0, also if the kernel has none of it; -EBADF or -ENOTTY if vm_fd is
 * no VM; -EMFILE, -ENFILE, -ENOMEM.
 */
int gmem_probe(int vm_fd, struct gmem_caps *caps);

/**
 * struct gmem_spec - a kind of file
 * @block: size of its blocks: 4096, 2 MiB or 1 GiB
 * @source: enum gmem_source. GMEM_PAGES has 4096 only, the others have not
 * @flags: of enum gmem_flag
 * @reserved: has to be 0
 */
struct gmem_spec {
	uint64_t block;
	uint32_t source;
	uint32_t flags;
	uint64_t reserved[4];
};

/**
 * gmem_create - create a file, or the next best one
 * @vm_fd: the VM it belongs to
 * @size: in bytes, a multiple of the block size of each kind that is to be tried
 * @specs: kinds of files, in the order in which to try them
 * @nr: how many
 * @which: out, the index of the one that was taken; or NULL
 * @g: out
 *
 * Goes on to the next kind when the kernel does not have one (-EINVAL) or has
 * no memory for it (-ENOMEM), and returns what it said about the last. Any other error
 * ends it at once. A pool of GMEM_HUGETLB is asked here; memory of the others is
 * asked for by gmem_populate() or when it is touched. The descriptor is closed on exec.
 *
 * Return: 0; -EINVAL, -ENOMEM: none of them can be had, or a spec that makes no sense;
 * -EBADF, -ENOTTY: vm_fd is no VM, or has no guest_memfd; -EMFILE, -ENFILE,
 * -EBUSY (GMEM_NO_DIRECT_MAP while the machine hibernates).
 */
int gmem_create(int vm_fd, uint64_t size, const struct gmem_spec *specs, unsigned int nr,
		unsigned int *which, struct gmem **g);

/**
 * gmem_adopt - use a file that somebody else has created
 * @fd: a guest_memfd, from another process perhaps. It is the library's afterwards, and
 *	stays the caller's if this fails
 * @g: out
 *
 * Its file system says whether it is one: names can be had by any file.
 *
 * Return: 0; -EBADF; -EINVAL if it is no guest_memfd; -ENOENT: /proc is not mounted;
 * -EBADMSG: it says what this library does not understand; -ENOMEM.
 */
int gmem_adopt(int fd, struct gmem **g);

/**
 * gmem_close - give a file up
 * @g: the file, or NULL. No other call may use it any more
 *
 * The memory goes back when the last descriptor and the last mapping are gone.
 */
void gmem_close(struct gmem *g);

/**
 * gmem_fd - the descriptor
 * @g: the file
 *
 * To pass to others, to mbind() a mapping, to wait for nothing: it cannot be polled.
 *
 * Return: the descriptor, which stays the library's.
 */
int gmem_fd(const struct gmem *g);

/**
 * struct gmem_info - what does not change about a file
 * @size: of the file
 * @block: of its blocks; punch at multiples of it to get memory back
 * @source: enum gmem_source. GMEM_PAGES for adopted files of a kernel without gmem
 * @flags: of enum gmem_flag. 0 for adopted files of a kernel without gmem
 * @tracks: gmem_convert() works
 * @reserved: 0
 */
struct gmem_info {
	uint64_t size;
	uint64_t block;
	uint32_t source;
	uint32_t flags;
	bool tracks;
	uint8_t reserved[39];
};

/**
 * gmem_info - what does not change about a file
 * @g: the file
 * @info: out
 */
void gmem_info(const struct gmem *g, struct gmem_info *info);

/**
 * struct gmem_slot - guest memory and where it is in a file
 * @slot: number of the slot, in bits 16 to 31 of the address space
 * @flags: has to be 0
 * @gpa: guest physical address
 * @offset: in the file
 * @size: of the slot
 * @host: where shared memory is, for files that are not mappable; otherwise where
 *	the file is mapped, or NULL
 */
struct gmem_slot {
	uint32_t slot;
	uint32_t flags;
	uint64_t gpa;
	uint64_t offset;
	uint64_t size;
	void *host;
};

/**
 * gmem_bind - have the guest see part of a file
 * @g: the file
 * @vm_fd: the VM that it was created for
 * @slot: where
 *
 * For the guest to get blocks whole, gpa and offset have to agree modulo their size.
 *
 * Return: 0; -EEXIST: part of the range is in another slot; -EINVAL: misaligned,
 * beyond the file, a slot that exists, a file of another VM, or flags; -ENOMEM.
 */
int gmem_bind(const struct gmem *g, int vm_fd, const struct gmem_slot *slot);

/**
 * gmem_unbind - take a slot away from the guest
 * @g: the file
 * @vm_fd: the VM
 * @slot: number of the slot
 *
 * Frees nothing.
 *
 * Return: 0; -EINVAL: no such slot; -EBADF.
 */
int gmem_unbind(const struct gmem *g, int vm_fd, uint32_t slot);

/**
 * enum gmem_map_flag - how to map
 * @GMEM_MAP_FIXED: replace what is mapped at the wanted address
 */
enum gmem_map_flag {
	GMEM_MAP_FIXED = 1 << 0,
};

/**
 * gmem_map - map part of a file into this process
 * @g: a mappable file
 * @offset: in the file
 * @size: of the mapping
 * @prot: PROT_READ, PROT_WRITE of mmap()
 * @at: the address at which to map, and nowhere else; NULL to have it chosen
 * @flags: of enum gmem_map_flag
 * @addr: out, the address. Left alone if this fails
 *
 * A mapping may cover private memory. It raises SIGBUS when that is touched, as it
 * does when there is no memory, and works as soon as the memory is shared.
 *
 * Return: 0; -EEXIST: something is mapped there, and is not to be replaced; -ENODEV: the file
 * is not mappable; -EPERM: PROT_EXEC; -EINVAL: misaligned, flags that do not exist, or
 * GMEM_MAP_FIXED without an address; -ENOMEM.
 */
int gmem_map(const struct gmem *g, uint64_t offset, uint64_t size, int prot, void *at,
	     uint32_t flags, void **addr);

/**
 * gmem_unmap - undo gmem_map()
 * @g: the file
 * @addr: start of what is to be unmapped
 * @size: of it
 *
 * Return: 0, -EINVAL.
 */
int gmem_unmap(const struct gmem *g, void *addr, uint64_t size);

/**
 * typedef gmem_progress_fn - told how far gmem_populate() is
 * @done: bytes
 * @size: bytes in all
 * @arg: the caller's
 *
 * Return: 0 to go on, anything else to stop.
 */
typedef int gmem_progress_fn(uint64_t done, uint64_t size, void *arg);

/**
 * gmem_populate - have memory present
 * @g: the file
 * @offset: in the file
 * @size: of the range. Blocks that it touches are populated whole
 * @progress: called after every 64 MiB, or block if that is larger; or NULL
 * @arg: for it
 * @done: out, bytes from the offset on that are present, whatever is returned; or NULL
 *
 * Zeroes new memory, so it takes a second for some GiB. After it has returned 0 no
 * fault of the guest in the range needs memory until it is punched. 1 GiB blocks of
 * GMEM_BUDDY come from here only.
 *
 * Return: 0; -ENOMEM; -EINTR: a signal came; -ECANCELED: progress() said so; -EINVAL:
 * misaligned or beyond the file.
 */
int gmem_populate(const struct gmem *g, uint64_t offset, uint64_t size,
		  gmem_progress_fn *progress, void *arg, uint64_t *done);

/**
 * struct gmem_retry - what to do about -EAGAIN
 * @tries: how often to ask in all; 0 is as 1
 * @wait_us: microseconds to sleep before the second try, twice as many before each
 *	further
 * @max_wait_us: at most so many; 0 for no limit
 * @flags: has to be 0
 * @held: called before each further try with an offset that is held, to have it let
 *	go; anything but 0 ends the trying. Or NULL
 * @arg: for it
 *
 * The kernel waits some milliseconds by itself each time. Who holds a page for
 * longer (a pipe, a device, a registered buffer) may hold it for good.
 */
struct gmem_retry {
	unsigned int tries;
	unsigned int wait_us;
	unsigned int max_wait_us;
	unsigned int flags;
	int (*held)(uint64_t offset, void *arg);
	void *arg;
};

/**
 * gmem_convert - make memory private or shared, where it is
 * @g: a file that tracks
 * @offset: in the file
 * @size: of the range. All of it changes or nothing does
 * @to_private: true for private, false for shared
 * @retry: what to do about -EAGAIN; NULL to ask once
 * @error_offset: out after -EAGAIN and -ENOMEM, where; or NULL
 *
 * What is so already costs little and succeeds. Contents are kept for VMs whose
 * memory is not encrypted, and unspecified for others.
 *
 * Return: 0; -EAGAIN: somebody holds a page that is to be private; -ENOMEM; -ENOTTY:
 * the file does not track; -EINVAL: misaligned, empty, beyond the file, or flags; -EIO:
 * the VM is dead.
 */
int gmem_convert(const struct gmem *g, uint64_t offset, uint64_t size, bool to_private,
		 const struct gmem_retry *retry, uint64_t *error_offset);

/**
 * gmem_punch - give memory back
 * @g: the file
 * @offset: in the file
 * @size: of the hole. Beyond the end of the file there is nothing to do
 * @retry: what to do about -EAGAIN, with the offset of the hole; NULL to ask once
 *
 * Blocks that are covered whole go back; parts of others read as zero afterwards and
 * free nothing. What is private stays private.
 *
 * Return: 0; -EAGAIN: somebody holds a page of it, and nothing was done; -EINVAL.
 */
int gmem_punch(const struct gmem *g, uint64_t offset, uint64_t size,
	       const struct gmem_retry *retry);

/**
 * struct gmem_run - a stretch of a file that is all alike
 * @offset: in the file
 * @size: of the run
 * @block: size of the blocks that it is in, 0 if it is absent
 * @is_private: the guest's alone
 * @populated: memory is present
 * @reserved: 0
 */
struct gmem_run {
	uint64_t offset;
	uint64_t size;
	uint64_t block;
	bool is_private;
	bool populated;
	uint8_t reserved[38];
};

/**
 * gmem_runs - read back what is private, and what is present
 * @g: a file that tracks
 * @offset: where to begin
 * @runs: out, in order, without gaps; the first begins at the offset
 * @nr: how many there is room for
 *
 * Each run is as it was at one moment, several need not be of the same one. To go on,
 * call again with the end of the last run. Neighbours may be alike.
 *
 * Return: how many runs were written, less than nr if the file ends; -ENOTTY: the file
 * does not track, or the kernel cannot tell; -EINVAL: misaligned, or not in the file;
 * -EIO: the VM is dead.
 */
int gmem_runs(const struct gmem *g, uint64_t offset, struct gmem_run *runs, unsigned int nr);

/**
 * enum gmem_stat - numbers of struct gmem_stats
 * @GMEM_STAT_SIZE: of the file
 * @GMEM_STAT_FLAGS: of its creation, as the kernel has them
 * @GMEM_STAT_ALLOCATED: held in blocks of any size
 * @GMEM_STAT_PRIVATE: of what is held, what is private
 * @GMEM_STAT_SHARED: of what is held, what is shared
 * @GMEM_STAT_LIVE: pages that the host has touched, in bytes
 * @GMEM_STAT_BLOCKS_4K: a number
 * @GMEM_STAT_BLOCKS_2M: a number
 * @GMEM_STAT_BLOCKS_1G: a number
 * @GMEM_STAT_RESERVED: of a pool, and not held yet
 * @GMEM_STAT_CONVERSIONS: requests that changed something
 * @GMEM_STAT_EAGAIN: requests refused because of a holder
 * @GMEM_STAT_VMEMMAP: memory for struct pages that was made real
 * @GMEM_STAT_BINDINGS: slots
 * @GMEM_STAT_POISONED: lost to memory failure
 * @GMEM_STAT_INO: number of the inode. Two descriptors of one file have the same
 * @GMEM_STAT_NR: how many there are in this version of the library
 */
enum gmem_stat {
	GMEM_STAT_SIZE,
	GMEM_STAT_FLAGS,
	GMEM_STAT_ALLOCATED,
	GMEM_STAT_PRIVATE,
	GMEM_STAT_SHARED,
	GMEM_STAT_LIVE,
	GMEM_STAT_BLOCKS_4K,
	GMEM_STAT_BLOCKS_2M,
	GMEM_STAT_BLOCKS_1G,
	GMEM_STAT_RESERVED,
	GMEM_STAT_CONVERSIONS,
	GMEM_STAT_EAGAIN,
	GMEM_STAT_VMEMMAP,
	GMEM_STAT_BINDINGS,
	GMEM_STAT_POISONED,
	GMEM_STAT_INO,
	GMEM_STAT_NR,
};

/**
 * struct gmem_stats - what the kernel says about a file
 * @present: bit N is set if value[N] was there
 * @value: by enum gmem_stat; bytes where it is memory
 */
struct gmem_stats {
	uint64_t present;
	uint64_t value[32];
};

/**
 * gmem_stats - what the kernel says about a file
 * @g: the file
 * @stats: out
 *
 * What is held, private and shared, blocks, what is reserved and conversions are of one
 * moment; the others need not be of the same while others change the file.
 *
 * Return: 0; -EOPNOTSUPP: a kernel without gmem; -ENOENT: /proc is not mounted;
 * -EBADMSG: no text that this library understands.
 */
int gmem_stats(const struct gmem *g, struct gmem_stats *stats);

/**
 * gmem_parse_fdinfo - the same from the text of /proc/PID/fdinfo/FD
 * @text: what was read. It need not end in a zero byte
 * @size: of it
 * @stats: out
 *
 * Keys that the library does not know are skipped.
 *
 * Return: 0; -EOPNOTSUPP: none of the keys of gmem, so it is another file, or another
 * kernel; -EBADMSG: a number that is none, a key that comes twice, or a line
 * without an end.
 */
int gmem_parse_fdinfo(const char *text, size_t size, struct gmem_stats *stats);

/**
 * gmem_next_node - a NUMA node that has memory of the file, from the same text
 * @text: what was read. It need not end in a zero byte
 * @size: of it
 * @node: in: where to go on, -1 at first; out: the lowest node above that has some
 * @bytes: out: held there
 *
 * Nodes are not of the same moment as what gmem_parse_fdinfo() finds, while others
 * populate or punch the file; at rest they add up to what is held.
 *
 * Return: 1; 0: there are no more, @node and @bytes are as they were; -EBADMSG: a
 * number that is none, a node that comes twice, or a line without an end.
 */
int gmem_next_node(const char *text, size_t size, int *node, uint64_t *bytes);

/**
 * gmem_version - of the library
 *
 * Return: major << 16 | minor.
 */
unsigned int gmem_version(void);

#ifdef __cplusplus
}
#endif

#endif /* GMEM_H */
