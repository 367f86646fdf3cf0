// SPDX-License-Identifier: GPL-2.0-only
/* A file as a picture: rows to scale, a rectangle for each run. */
#include <stdlib.h>

#include "map.h"

#define LEFT	80		/* for offsets */
#define TOP	64		/* for the title */
#define WIDTH	1024
#define HEIGHT	22		/* of a row, and of what is drawn in it */
#define BAR	18
#define MAX_ROWS	32
#define THIN		2		/* what is thinner would not be seen */
#define LEGEND	24		/* height of a line */

static const char * const fill[2][SHADE_NR] = {
	[0] = { "#a63603", "#e6550d", "#fdae6b", "#fdf3e8" },
	[1] = { "#08519c", "#4292c6", "#9ecae1", "#eef4fa" },
};

static const char * const names[2][SHADE_NR] = {
	[0] = { "shared, 1G blocks", "shared, 2M blocks", "shared, 4K pages", "shared, absent" },
	[1] = { "private, 1G blocks", "private, 2M blocks", "private, 4K pages",
		"private, absent" },
};

static uint64_t row_size(uint64_t size)
{
	uint64_t row = 64 * PAGE;

	while (size > row * MAX_ROWS)
		row *= 2;
	return row;
}

static double x_of(uint64_t offset, uint64_t row)
{
	return LEFT + (double)(offset % row) * WIDTH / row;
}

static void draw(FILE *out, const struct gmem_run *run, uint64_t start, uint64_t size,
		 uint64_t row)
{
	double width = (double)size * WIDTH / row;
	enum shade shade = run_shade(run);

	fprintf(out, "<rect x=\"%.3f\" y=\"%llu\" ", x_of(start, row),
		(unsigned long long)(TOP + start / row * HEIGHT));
	fprintf(out, "width=\"%.3f\" height=\"%d\" fill=\"%s\" ", width < THIN ? THIN : width, BAR,
		fill[run->is_private][shade]);
	fprintf(out, "data-offset=\"%llu\" data-size=\"%llu\">", (unsigned long long)start,
		(unsigned long long)size);
	fprintf(out, "<title>%s: %llu bytes at %#llx</title></rect>\n",
		names[run->is_private][shade], (unsigned long long)run->size,
		(unsigned long long)run->offset);
}

/* Row by row; of thin pieces or of others. */
static void draw_run(FILE *out, const struct gmem_run *run, uint64_t row, bool thin)
{
	uint64_t at = run->offset, end = run->offset + run->size, next;

	while (at < end) {
		next = (at / row + 1) * row;
		if (next > end)
			next = end;
		if (((next - at) * WIDTH < THIN * row) == thin)
			draw(out, run, at, next - at, row);
		at = next;
	}
}

/* Where blocks begin, if that is not everywhere. */
static void draw_blocks(FILE *out, const struct gmem_run *run, uint64_t row)
{
	uint64_t at;

	if (run->block <= PAGE || run->block * WIDTH < 4 * row)
		return;
	at = (run->offset + run->block - 1) / run->block * run->block;
	for (; at < run->offset + run->size; at += run->block)
		fprintf(out, "<path d=\"M%.3f %llu v%d\" stroke=\"#fff\" stroke-width=\"0.7\"/>\n",
			x_of(at, row), (unsigned long long)(TOP + at / row * HEIGHT), BAR);
}

static void head(FILE *out, const struct picture *p)
{
	const struct file *f = &p->target->file;
	char size[SIZE_TEXT], held[SIZE_TEXT], private[SIZE_TEXT], shared[SIZE_TEXT];

	fprintf(out, "<text x=\"%d\" y=\"24\" font-size=\"18\" font-weight=\"bold\">", LEFT);
	fprintf(out, "Guest memory of process %d, descriptor %d</text>\n", f->pid, f->fd);
	fprintf(out, "<text x=\"%d\" y=\"46\">%s, of which %s is held: ", LEFT,
		size_text(size, p->target->info.size), size_text(held, f->held));
	fprintf(out, "%s private, %s shared</text>\n",
		size_text(private, file_stat(f, GMEM_STAT_PRIVATE)),
		size_text(shared, file_stat(f, GMEM_STAT_SHARED)));
}

static void legend_entry(FILE *out, int x, int y, const char *colour, const char *name,
			 uint64_t size)
{
	char text[SIZE_TEXT];

	fprintf(out, "<rect x=\"%d\" y=\"%d\" width=\"14\" height=\"14\" ", x, y);
	fprintf(out, "fill=\"%s\" stroke=\"#999\" stroke-width=\"0.5\"/>", colour);
	fprintf(out, "<text x=\"%d\" y=\"%d\">%s: %s</text>\n", x + 20, y + 12, name,
		size_text(text, size));
}

static void legend(FILE *out, const struct picture *p, unsigned int y, uint64_t row)
{
	uint64_t sum[2][SHADE_NR] = { };
	char text[SIZE_TEXT];
	int private, shade;

	picture_sums(p, sum);
	for (private = 1; private >= 0; private--) {
		for (shade = 0; shade < SHADE_NR; shade++)
			legend_entry(out, LEFT + shade * 256, y + (1 - private) * LEGEND,
				     fill[private][shade], names[private][shade],
				     sum[private][shade]);
	}
	fprintf(out, "<text x=\"%d\" y=\"%d\" fill=\"#555\">A row is %s; white lines are ", LEFT,
		y + 2 * LEGEND + 12, size_text(text, row));
	fprintf(out, "where blocks begin; what is too thin to be seen is drawn wider.</text>\n");
}

void map_svg(const struct picture *p, FILE *out)
{
	uint64_t size = p->target->info.size, row = row_size(size), rows, i;
	char text[SIZE_TEXT];
	unsigned int bottom;

	rows = (size + row - 1) / row;
	bottom = TOP + rows * HEIGHT + 16;
	fprintf(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" ",
		LEFT + WIDTH + 24, bottom + 3 * LEGEND);
	fprintf(out, "font-family=\"sans-serif\" font-size=\"13\">\n");
	fprintf(out, "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n");
	head(out, p);
	for (i = 0; i < rows; i++)
		fprintf(out, "<text x=\"%d\" y=\"%llu\" text-anchor=\"end\">%s</text>\n", LEFT - 8,
			(unsigned long long)(TOP + i * HEIGHT + 14), size_text(text, i * row));
	for (i = 0; i < p->nr; i++)
		draw_run(out, &p->runs[i], row, false);
	for (i = 0; i < p->nr; i++)
		draw_blocks(out, &p->runs[i], row);
	for (i = 0; i < p->nr; i++)
		draw_run(out, &p->runs[i], row, true);
	legend(out, p, bottom, row);
	fprintf(out, "</svg>\n");
}
