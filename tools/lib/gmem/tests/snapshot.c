// SPDX-License-Identifier: LGPL-2.1-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "snapshot.h"

#define COUNTER(name)	"/sys/kernel/mm/gmem/" name
#define POOL(kb, name)	"/sys/kernel/mm/hugepages/hugepages-" kb "kB/" name

static const char * const files[] = {
	COUNTER("blocks_4k"), COUNTER("blocks_2m"), COUNTER("blocks_1g"),
	COUNTER("live_pages"), COUNTER("vmemmap_pages"), COUNTER("orphan_blocks"),
	POOL("2048", "nr_hugepages"), POOL("2048", "free_hugepages"),
	POOL("2048", "resv_hugepages"),
	POOL("1048576", "free_hugepages"), POOL("1048576", "resv_hugepages"),
};

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

static long before[ARRAY_SIZE(files)];

/* -1 where the kernel does not have it. */
static long read_long(const char *path)
{
	FILE *in = fopen(path, "r");
	long value = -1;

	if (!in)
		return -1;
	if (fscanf(in, "%ld", &value) != 1)
		value = -1;
	fclose(in);
	return value;
}

void snapshot_take(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(files); i++)
		before[i] = read_long(files[i]);
}

void snapshot_compare(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (read_long(files[i]) != before[i])
			fail_msg("%s was %ld and is %ld", files[i], before[i],
				 read_long(files[i]));
	}
}
