/* SPDX-License-Identifier: GPL-2.0-only */
/* blocks.c: the list of all blocks in debugfs, added up by file */
#ifndef BLOCKS_H
#define BLOCKS_H

#include "tool.h"

struct listed {
	uint64_t ino;
	uint64_t count[3];	/* of 4K, 2M and 1G */
	uint64_t live;		/* pages */
};

struct blocks {
	struct listed *file;	/* by ino */
	size_t nr;
	uint64_t bad;		/* lines that make no sense, and errors of reading */
};

/*
 * Reads the list once for all of these files. False if there is none, or none for this
 * user. It is no ABI.
 */
bool blocks_read(const char *path, const struct files *files, struct blocks *b);
/* What it has about an inode that was among the files. */
struct listed *blocks_of(const struct blocks *b, uint64_t ino);
void blocks_free(struct blocks *b);

#endif /* BLOCKS_H */
