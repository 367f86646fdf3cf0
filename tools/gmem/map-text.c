// SPDX-License-Identifier: GPL-2.0-only
/* A file as rows of characters, each for as much memory. */
#include <stdlib.h>

#include "map.h"

#define MAX_ROWS	32

/* Lower case is shared, upper case private, a digit of the block size cannot be both. */
static const char letters[2][SHADE_NR] = {
	[0] = { 'g', 'm', 'k', '.' },
	[1] = { 'G', 'M', 'K', '_' },
};

#define MIXED	'%'

static const char * const colours[2] = { "\033[30;43m", "\033[37;44m" };
#define MIXED_COLOUR	"\033[37;45m"
#define DIM		"\033[2m"
#define PLAIN		"\033[0m"

static uint64_t cell_size(uint64_t size, unsigned int columns)
{
	uint64_t cell = PAGE;

	while (size / cell > (uint64_t)columns * MAX_ROWS)
		cell *= 2;
	return cell;
}

/* The character for all of a cell; *i is the run in which it begins. */
static char cell_letter(const struct picture *p, size_t *i, uint64_t start, uint64_t end)
{
	const struct gmem_run *run = &p->runs[*i];
	char letter = letters[run->is_private][run_shade(run)], next;

	while (run->offset + run->size < end && *i + 1 < p->nr) {
		run = &p->runs[++*i];
		next = letters[run->is_private][run_shade(run)];
		if (next != letter)
			letter = MIXED;
	}
	if (run->offset + run->size == end)
		++*i;
	return letter;
}

static const char *colour_of(char letter)
{
	if (letter == MIXED)
		return MIXED_COLOUR;
	if (letter == '.' || letter == '_')
		return DIM;
	return colours[letter < 'a'];
}

/* Colours are set where they change. */
static void print_row(const char *row, bool colour)
{
	char last = 0;

	for (; *row; row++) {
		if (colour && *row != last)
			printf("%s%s", last ? PLAIN : "", colour_of(*row));
		last = *row;
		putchar(last);
	}
	printf("%s\n", colour ? PLAIN : "");
}

static void legend(const struct picture *p, uint64_t cell)
{
	static const char * const what[2][SHADE_NR] = {
		[0] = { "shared, 1G blocks", "shared, 2M blocks", "shared, 4K pages",
			"shared, absent" },
		[1] = { "private, 1G blocks", "private, 2M blocks", "private, 4K pages",
			"private, absent" },
	};
	uint64_t sum[2][SHADE_NR] = { };
	char text[SIZE_TEXT];
	int private, shade;

	picture_sums(p, sum);
	printf("\n");
	for (private = 1; private >= 0; private--) {
		for (shade = 0; shade < SHADE_NR; shade++) {
			if (sum[private][shade])
				printf("%c  %-20s%s\n", letters[private][shade],
				       what[private][shade], size_text(text, sum[private][shade]));
		}
	}
	printf("%c  more than one of them; a character is %s\n", MIXED, size_text(text, cell));
}

void map_text(const struct picture *p, unsigned int columns, bool colour)
{
	uint64_t size = p->target->info.size, cell = cell_size(size, columns), at, end;
	char text[SIZE_TEXT];
	char *row = alloc(columns + 1);
	unsigned int column = 0;
	size_t i = 0;

	for (at = 0; at < size; at = end) {
		end = at + cell < size ? at + cell : size;
		if (!column)
			printf("%9s  ", size_text(text, at));
		row[column++] = cell_letter(p, &i, at, end);
		if (column == columns || end == size) {
			row[column] = 0;
			print_row(row, colour);
			column = 0;
		}
	}
	free(row);
	legend(p, cell);
}
