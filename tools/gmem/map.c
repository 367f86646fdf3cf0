// SPDX-License-Identifier: GPL-2.0-only
/* What pictures in the terminal and in a file have in common. */
#include "map.h"

enum shade run_shade(const struct gmem_run *run)
{
	if (!run->populated)
		return SHADE_ABSENT;
	return run->block == GIB ? SHADE_1G : run->block == 2 * MIB ? SHADE_2M : SHADE_4K;
}

void picture_sums(const struct picture *p, uint64_t sum[2][SHADE_NR])
{
	size_t i;

	for (i = 0; i < p->nr; i++)
		sum[p->runs[i].is_private][run_shade(&p->runs[i])] += p->runs[i].size;
}
