/* SPDX-License-Identifier: GPL-2.0-only */
/* What verb-map.c draws with: map.c, map-text.c in the terminal, map-svg.c in a file. */
#ifndef MAP_H
#define MAP_H

#include "tool.h"

struct picture {
	const struct target *target;
	const struct gmem_run *runs;
	size_t nr;
};

/* What a run is drawn as: private or shared, in blocks of 1G, 2M, 4K or absent. */
enum shade {
	SHADE_1G,
	SHADE_2M,
	SHADE_4K,
	SHADE_ABSENT,
	SHADE_NR,
};

enum shade run_shade(const struct gmem_run *run);
/* Bytes by [private][shade] */
void picture_sums(const struct picture *p, uint64_t sum[2][SHADE_NR]);

void map_text(const struct picture *p, unsigned int columns, bool colour);
void map_svg(const struct picture *p, FILE *out);

#endif /* MAP_H */
