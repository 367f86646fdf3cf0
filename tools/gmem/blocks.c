// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "blocks.h"

static int by_ino(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

static struct listed *find(const struct blocks *b, uint64_t ino)
{
	const struct listed key = { .ino = ino };

	return bsearch(&key, b->file, b->nr, sizeof(key), by_ino);
}

const struct listed *blocks_of(const struct blocks *b, uint64_t ino)
{
	return find(b, ino);
}

/* ino index order pfn state live-pages references */
static bool read_line(struct blocks *b, const char *line)
{
	unsigned long long ino, live;
	struct listed *file;
	unsigned int order;

	if (sscanf(line, "%llu %*u %u %*u %*s %llu %*u", &ino, &order, &live) != 3)
		return false;
	if (order != 0 && order != 9 && order != 18)
		return false;
	file = find(b, ino);
	if (file) {
		file->count[order / 9]++;
		file->live += live;
	}
	return true;
}

bool blocks_read(const char *path, const struct files *files, struct blocks *b)
{
	struct progress progress;
	unsigned long lines = 0;
	char line[256];
	FILE *in;
	size_t i;

	memset(b, 0, sizeof(*b));
	in = fopen(path, "re");
	if (!in)
		return false;
	b->file = alloc(files->nr * sizeof(*b->file));
	b->nr = files->nr;
	for (i = 0; i < files->nr; i++)
		b->file[i].ino = file_stat(&files->file[i], GMEM_STAT_INO);
	qsort(b->file, b->nr, sizeof(*b->file), by_ino);
	progress_start(&progress, "check");
	while (fgets(line, sizeof(line), in)) {
		b->bad += !read_line(b, line);
		if (!(++lines % 4096))
			progress_say(&progress, "%lu blocks", lines);
	}
	b->bad += !!ferror(in);
	progress_end(&progress);
	fclose(in);
	return true;
}

void blocks_free(struct blocks *b)
{
	free(b->file);
	memset(b, 0, sizeof(*b));
}
