/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* In place of a kernel: a VM with files of guest_memfd, and failures as wanted. */
#ifndef FAKE_H
#define FAKE_H

#include "private.h"

#define FAKE_VM		1000
#define FAKE_FILE	2000
#define FAKE_FDINFO	3000
#define FAKE_PAGES	64
#define FAKE_CALLS	64

enum fake_abi {
	FAKE_NONE,		/* no guest_memfd */
	FAKE_STOCK,		/* Linux 7.3 */
	FAKE_UPSTREAM,		/* converts in place, and no more */
	FAKE_GMEM,
};

enum fake_call {
	FAKE_CREATE,
	FAKE_SET,
	FAKE_GET,
	FAKE_REGION,
	FAKE_ALLOCATE,
	FAKE_PUNCH,
	FAKE_MMAP,
	FAKE_NR,
};

struct fake {
	struct gmem_sys sys;
	enum fake_abi abi;
	bool has_private;		/* the VM's type */
	bool tracks;
	uint64_t size;
	uint64_t flags;
	bool page_private[FAKE_PAGES];
	bool present[FAKE_PAGES];
	int open;			/* files now */
	bool cloexec;

	/* The calls of each kind fail with these, 0 for as they should; then no more. */
	int fail[FAKE_NR][FAKE_CALLS];
	unsigned int calls[FAKE_NR];
	uint64_t error_offset;
	uint64_t get_size;		/* not 0: what GET says */
	const char *fdinfo;		/* not NULL: what /proc says */
	size_t fdinfo_at;
	unsigned int read_size;		/* not 0: so much at a time */
	long magic;			/* of its file system */
	const char *link;

	unsigned int slept[FAKE_CALLS];
	unsigned int nr_slept;
	uint64_t allocated[FAKE_CALLS][2];
	struct kvm_userspace_memory_region2 region;
	void *mmap_at;
	int mmap_flags;
};

void fake_init(struct fake *f, enum fake_abi abi);

#endif /* FAKE_H */
