// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Texts that were mutated at random, for the parser of fdinfo. What it takes from a
 * text is compared with what sscanf() finds there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "private.h"

static const char valid[] =
	"pos:\t0\nflags:\t02100002\nmnt_id:\t15\nino:\t1043\ngmem-size:\t1073741824\n"
	"gmem-flags:\t0x5400000300000003\ngmem-allocated:\t4096\ngmem-private:\t0\n"
	"gmem-shared:\t1073741824\ngmem-live:\t8192\ngmem-blocks-4k:\t1\n"
	"gmem-blocks-2m:\t0\ngmem-blocks-1g:\t0\ngmem-reserved:\t0\n"
	"gmem-conversions:\t18446744073709551615\ngmem-eagain:\t3\ngmem-vmemmap:\t0\n"
	"gmem-bindings:\t1\ngmem-poisoned:\t0\ngmem-node0:\t4096\ngmem-node3:\t8192\n";

static uint64_t state;

static uint32_t rnd(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % n;
}

static size_t mutate(char *text, size_t size, size_t max)
{
	static const char alphabet[] = "0123456789abcdefx:\n\t- gmem\0";
	size_t at = rnd(size + 1), len = rnd(20);

	switch (rnd(4)) {
	case 0:		/* another byte */
		if (at < size)
			text[at] = alphabet[rnd(sizeof(alphabet))];
		return size;
	case 1:		/* some fewer */
		len = len < size - at ? len : size - at;
		memmove(text + at, text + at + len, size - at - len);
		return size - len;
	case 2:		/* some twice */
		len = len < size - at ? len : size - at;
		if (size + len > max)
			return size;
		memmove(text + at + len, text + at, size - at);
		return size + len;
	default:	/* cut off */
		return rnd(8) ? size : at;
	}
}

/* The number of this key as somebody else reads it; false if there is none. */
static bool other_reads(const char *text, size_t size, const char *key, uint64_t *value)
{
	char line[128];
	const char *at = text, *eol;

	for (; at < text + size; at = eol + 1) {
		eol = memchr(at, '\n', text + size - at);
		if (!eol)
			return false;
		if (eol - at >= sizeof(line) || memchr(at, 0, eol - at))
			continue;
		memcpy(line, at, eol - at);
		line[eol - at] = 0;
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			return sscanf(line + strlen(key) + 1, "%" SCNu64, value) == 1;
	}
	return false;
}

static void check_nodes(const char *text, size_t size)
{
	char key[32];
	uint64_t bytes, value;
	int node = -1, last, ret;

	for (last = -1; (ret = gmem_next_node(text, size, &node, &bytes)) > 0; last = node) {
		if (node <= last)
			abort();
		/* It may be written with zeroes in front. */
		snprintf(key, sizeof(key), "gmem-node%d", node);
		if (other_reads(text, size, key, &value) && value && value != bytes)
			abort();
	}
	if (ret && ret != -EBADMSG)
		abort();
}

static void check(const char *text, size_t size)
{
	struct gmem_stats st;
	uint64_t value;
	int ret = gmem_parse_fdinfo(text, size, &st);

	check_nodes(text, size);
	if (ret && ret != -EBADMSG && ret != -EOPNOTSUPP)
		abort();
	if (st.present >> GMEM_STAT_NR)
		abort();
	if (ret || !(st.present >> GMEM_STAT_EAGAIN & 1))
		return;
	/* Hexadecimal is for one key, here it is any. */
	if (other_reads(text, size, "gmem-eagain", &value) && value &&
	    value != st.value[GMEM_STAT_EAGAIN])
		abort();
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 200000, i;
	unsigned long kept = 0;
	struct gmem_stats st;
	char text[2048];
	char *exact;
	size_t size;

	state = argc > 2 ? strtoull(argv[2], NULL, 0) : 0x67656d6d;
	printf("# seed %#" PRIx64 ", %lu texts\n1..1\n", state, rounds);
	for (i = 0; i < rounds; i++) {
		unsigned int n = rnd(6) + 1;

		size = sizeof(valid) - 1;
		memcpy(text, valid, size);
		while (n--)
			size = mutate(text, size, sizeof(text));
		/* Of exactly this size, for the sanitizer. */
		exact = malloc(size ? size : 1);
		memcpy(exact, text, size);
		check(exact, size);
		kept += !gmem_parse_fdinfo(exact, size, &st);
		free(exact);
	}
	/* Both answers, or nothing was tried. */
	if (!kept || kept == rounds)
		return 1;
	printf("ok 1 - texts\n");
	return 0;
}
