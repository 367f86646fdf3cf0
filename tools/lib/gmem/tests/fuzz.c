// SPDX-License-Identifier: LGPL-2.1-or-later
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static uint64_t state;

unsigned long fuzz_start(int argc, char **argv, unsigned long rounds)
{
	if (argc > 1)
		rounds = strtoul(argv[1], NULL, 0);
	state = argc > 2 ? strtoull(argv[2], NULL, 0) : 0x67656d6d;
	printf("# seed %#" PRIx64 ", %lu texts\n1..1\n", state, rounds);
	fflush(stdout);
	return rounds;
}

uint32_t rnd(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % n;
}

size_t mutate(char *text, size_t size, size_t max, size_t *where)
{
	static const char alphabet[] = "0123456789abcdefx:\n\t- gmem\0";
	size_t at = rnd(size + 1), len = rnd(20);

	*where = at;
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
