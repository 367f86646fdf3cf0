// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "blocks.h"

static int by_ino(const void *a, const void *b)
{
	const struct listed *x = a, *y = b;

	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

struct listed *blocks_of(const struct blocks *b, uint64_t ino)
{
	const struct listed key = { .ino = ino };

	return bsearch(&key, b->file, b->nr, sizeof(key), by_ino);
}

/* ino index order pfn state live-pages references: that, or a line that makes no sense */
static bool read_line(struct blocks *b, char *line)
{
	unsigned long value[7] = { };
	size_t len = strlen(line), i;
	struct listed *file;
	char *word;

	if (!len || line[len - 1] != '\n')
		return false;
	line[len - 1] = 0;
	for (i = 0; i < ARRAY_SIZE(value); i++) {
		word = strsep(&line, " ");
		if (!word || !*word || (i != 4 && !parse_unsigned(word, UINT64_MAX, &value[i])))
			return false;
	}
	if (line || (value[2] != 0 && value[2] != 9 && value[2] != 18))
		return false;
	file = blocks_of(b, value[0]);
	if (file) {
		file->count[value[2] / 9]++;
		file->live += value[5];
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
