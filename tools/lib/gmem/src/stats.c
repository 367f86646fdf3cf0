// SPDX-License-Identifier: LGPL-2.1-or-later
/* What /proc says about a file. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "private.h"

/* Of fdinfo at a time; no line of it is longer, but there can be any number of them. */
#define CHUNK	1024

static const char * const keys[GMEM_STAT_NR] = {
	[GMEM_STAT_SIZE] = "gmem-size",
	[GMEM_STAT_FLAGS] = "gmem-flags",
	[GMEM_STAT_ALLOCATED] = "gmem-allocated",
	[GMEM_STAT_PRIVATE] = "gmem-private",
	[GMEM_STAT_SHARED] = "gmem-shared",
	[GMEM_STAT_LIVE] = "gmem-live",
	[GMEM_STAT_BLOCKS_4K] = "gmem-blocks-4k",
	[GMEM_STAT_BLOCKS_2M] = "gmem-blocks-2m",
	[GMEM_STAT_BLOCKS_1G] = "gmem-blocks-1g",
	[GMEM_STAT_RESERVED] = "gmem-reserved",
	[GMEM_STAT_CONVERSIONS] = "gmem-conversions",
	[GMEM_STAT_EAGAIN] = "gmem-eagain",
	[GMEM_STAT_VMEMMAP] = "gmem-vmemmap",
	[GMEM_STAT_BINDINGS] = "gmem-bindings",
	[GMEM_STAT_POISONED] = "gmem-poisoned",
	[GMEM_STAT_INO] = "ino",
};

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return 16;
}

/* Decimal, or hexadecimal with 0x; all of the text, and no more than 64 bits. */
static bool parse_number(const char *text, const char *end, uint64_t *value)
{
	unsigned int base = 10, d;
	uint64_t v = 0;

	if (end - text > 2 && text[0] == '0' && text[1] == 'x') {
		base = 16;
		text += 2;
	}
	if (text == end)
		return false;
	for (; text < end; text++) {
		d = digit(*text);
		if (d >= base || v > (UINT64_MAX - d) / base)
			return false;
		v = v * base + d;
	}
	*value = v;
	return true;
}

/* What is behind the colon. */
static bool parse_value(const char *colon, const char *end, uint64_t *value)
{
	do {
		colon++;
	} while (colon < end && (*colon == '\t' || *colon == ' '));
	return parse_number(colon, end, value);
}

static int find_key(const char *name, size_t len)
{
	int i;

	for (i = 0; i < GMEM_STAT_NR; i++) {
		if (strlen(keys[i]) == len && !memcmp(keys[i], name, len))
			return i;
	}
	return -1;
}

static int parse_line(const char *line, const char *end, struct gmem_stats *stats)
{
	const char *colon = memchr(line, ':', end - line);
	int key;

	if (!colon)
		return 0;
	key = find_key(line, colon - line);
	if (key < 0)
		return 0;
	if (stats->present >> key & 1)
		return -EBADMSG;
	if (!parse_value(colon, end, &stats->value[key]))
		return -EBADMSG;
	stats->present |= 1ULL << key;
	return 0;
}

/* 1: a line of a node; 0: of something else. */
static int parse_node(const char *line, const char *end, uint64_t *node, uint64_t *bytes)
{
	static const char key[] = "gmem-node";
	const size_t len = sizeof(key) - 1;
	const char *colon = memchr(line, ':', end - line);

	if (!colon || (size_t)(colon - line) <= len || memcmp(line, key, len) ||
	    digit(line[len]) > 9)
		return 0;
	if (!parse_number(line + len, colon, node) || *node > INT_MAX)
		return -EBADMSG;
	return parse_value(colon, end, bytes) ? 1 : -EBADMSG;
}

int gmem_next_node(const char *text, size_t size, int *node, uint64_t *bytes)
{
	const char *end = text + size, *eol;
	uint64_t n, b, found_bytes = 0;
	int64_t found = -1;
	int ret;

	while (text < end) {
		eol = memchr(text, '\n', end - text);
		if (!eol)
			return -EBADMSG;
		ret = parse_node(text, eol, &n, &b);
		if (ret < 0)
			return ret;
		text = eol + 1;
		if (!ret || (int64_t)n <= *node || (found >= 0 && (int64_t)n > found))
			continue;
		if ((int64_t)n == found)
			return -EBADMSG;
		found = n;
		found_bytes = b;
	}
	if (found < 0)
		return 0;
	*node = found;
	*bytes = found_bytes;
	return 1;
}

/* Each line that has an end. 0, and what is left of the text, or -EBADMSG. */
static int parse_lines(const char *text, size_t *size, struct gmem_stats *stats)
{
	const char *end = text + *size, *eol;
	int ret = 0;

	while (!ret && (eol = memchr(text, '\n', end - text))) {
		ret = parse_line(text, eol, stats);
		text = eol + 1;
	}
	*size = end - text;
	return ret;
}

static int verdict(const struct gmem_stats *stats)
{
	return stats->present & ~(1ULL << GMEM_STAT_INO) ? 0 : -EOPNOTSUPP;
}

int gmem_parse_fdinfo(const char *text, size_t size, struct gmem_stats *stats)
{
	int ret;

	memset(stats, 0, sizeof(*stats));
	ret = parse_lines(text, &size, stats);
	if (!ret && size)
		ret = -EBADMSG;
	return ret ? ret : verdict(stats);
}

/* Whoever has the file can lock it, and each lock is a line before those of gmem. */
static int parse_file(const struct gmem_sys *sys, int fdinfo, struct gmem_stats *stats)
{
	size_t size = 0, left;
	char text[CHUNK];
	int ret;

	while ((ret = sys->read(sys->arg, fdinfo, text + size, sizeof(text) - size)) > 0) {
		size += ret;
		left = size;
		ret = parse_lines(text, &left, stats);
		if (ret)
			return ret;
		memmove(text, text + size - left, left);
		size = left;
	}
	if (!ret && size)
		ret = -EBADMSG;
	return ret ? ret : verdict(stats);
}

int gmem_file_stats(const struct gmem_sys *sys, int fd, struct gmem_stats *stats)
{
	char path[64];
	int fdinfo, ret;

	memset(stats, 0, sizeof(*stats));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	fdinfo = sys->open(sys->arg, path);
	if (fdinfo < 0)
		return fdinfo;
	ret = parse_file(sys, fdinfo, stats);
	sys->close(sys->arg, fdinfo);
	return ret;
}

int gmem_stats(const struct gmem *g, struct gmem_stats *stats)
{
	return gmem_file_stats(g->sys, g->fd, stats);
}
