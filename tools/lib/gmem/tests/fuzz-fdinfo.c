// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Texts that were mutated at random, for the parser of fdinfo. What it takes from a
 * text is compared with what sscanf() finds there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "private.h"

static const char valid[] =
	"pos:\t0\nflags:\t02100002\nmnt_id:\t15\nino:\t1043\ngmem-size:\t1073741824\n"
	"gmem-flags:\t0x5400000300000003\ngmem-allocated:\t4096\ngmem-private:\t0\n"
	"gmem-shared:\t1073741824\ngmem-live:\t8192\ngmem-blocks-4k:\t1\n"
	"gmem-blocks-2m:\t0\ngmem-blocks-1g:\t0\ngmem-reserved:\t0\n"
	"gmem-conversions:\t18446744073709551615\ngmem-eagain:\t3\ngmem-vmemmap:\t0\n"
	"gmem-bindings:\t1\ngmem-poisoned:\t0\ngmem-node0:\t4096\ngmem-node3:\t8192\n";

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
	unsigned long rounds = fuzz_start(argc, argv, 200000), kept = 0, i;
	struct gmem_stats st;
	char text[2048];
	char *exact;
	size_t size, at;

	for (i = 0; i < rounds; i++) {
		unsigned int n = rnd(6) + 1;

		size = sizeof(valid) - 1;
		memcpy(text, valid, size);
		while (n--)
			size = mutate(text, size, sizeof(text), &at);
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
