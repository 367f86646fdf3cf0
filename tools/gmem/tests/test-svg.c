// SPDX-License-Identifier: GPL-2.0-only
/*
 * What map -o draws, as a person sees it: rendered, and each column of pixels of each
 * row compared with what is at these offsets of the file.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Both have a fail(): the tool's is a function, which has to come first. */
#include "../map.h"

#include <cmocka.h>

/* Where map-svg.c has put things. */
#define LEFT	80
#define TOP	64
#define WIDTH	1024
#define ROW	22
#define MIDDLE	9

/* Of 256M, 32 rows of 8M: 8K a pixel. */
#define SIZE		(256 * MIB)
#define ROW_SIZE	(8 * MIB)
#define PIXEL		(ROW_SIZE / WIDTH)

const char *verb_name = "map";
bool json_wanted;

/* All kinds; some thinner than a pixel; none alike its neighbour. */
static const struct gmem_run runs[] = {
	{ 0, 4 * MIB, 2 * MIB, true, true },
	{ 4 * MIB, 2 * MIB, 2 * MIB, false, true },
	{ 6 * MIB, 2 * MIB + PAGE, PAGE, true, true },
	{ 8 * MIB + PAGE, PAGE, PAGE, false, true },
	{ 8 * MIB + 2 * PAGE, 56 * MIB - 2 * PAGE, 0, true, false },
	{ 64 * MIB, 16 * MIB, 0, false, false },
	{ 80 * MIB, 48 * MIB, PAGE, false, true },
	{ 128 * MIB, 64 * MIB, GIB, true, true },
	{ 192 * MIB, 64 * MIB, GIB, false, true },
};

static const struct {
	uint64_t block;
	bool private, present;
	unsigned char rgb[3];
} colours[] = {
	{ GIB, false, true, { 0xa6, 0x36, 0x03 } },
	{ 2 * MIB, false, true, { 0xe6, 0x55, 0x0d } },
	{ PAGE, false, true, { 0xfd, 0xae, 0x6b } },
	{ 0, false, false, { 0xfd, 0xf3, 0xe8 } },
	{ GIB, true, true, { 0x08, 0x51, 0x9c } },
	{ 2 * MIB, true, true, { 0x42, 0x92, 0xc6 } },
	{ PAGE, true, true, { 0x9e, 0xca, 0xe1 } },
	{ 0, true, false, { 0xee, 0xf4, 0xfa } },
};

static unsigned char *image;
static int width, height;

static const struct gmem_run *run_at(uint64_t offset)
{
	unsigned int i = 0;

	while (runs[i].offset + runs[i].size <= offset)
		i++;
	return &runs[i];
}

static const unsigned char *colour_of(const struct gmem_run *run)
{
	unsigned int i = 0;

	while (colours[i].block != run->block || colours[i].private != run->is_private)
		i++;
	assert_int_equal(colours[i].present, run->populated);
	return colours[i].rgb;
}

static void draw(const char *path)
{
	const struct target t = {
		.file = { .pid = 1, .fd = 3, .held = SIZE }, .info = { .size = SIZE },
	};
	const struct picture p = { &t, runs, ARRAY_SIZE(runs) };
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	map_svg(&p, out);
	assert_int_equal(fclose(out), 0);
}

/* By the program that map -o FILE.png uses, and another that has it in plain bytes. */
static void render(void)
{
	FILE *in;

	draw("drawn.svg");
	in = popen("rsvg-convert drawn.svg | pngtopnm", "r");
	assert_non_null(in);
	assert_int_equal(fscanf(in, "P6 %d %d 255", &width, &height), 2);
	assert_int_equal(fgetc(in), '\n');
	image = malloc(3 * width * height);
	assert_non_null(image);
	assert_int_equal(fread(image, 3, width * height, in), width * height);
	assert_int_equal(pclose(in), 0);
	assert_true(width >= LEFT + WIDTH && height >= TOP + 32 * ROW);
}

/* Blocks begin with a white line; the line's neighbours have some of it. */
static bool near_line(const struct gmem_run *run, uint64_t at)
{
	uint64_t in = run->block > PAGE ? at % run->block : 2 * PIXEL;

	return in < 2 * PIXEL || (run->block > PAGE && in >= run->block - 2 * PIXEL);
}

static void pixels(void **state)
{
	unsigned int compared = 0, left_out = 0;
	const struct gmem_run *run;
	const unsigned char *have;
	uint64_t at;

	render();
	for (at = 0; at < SIZE; at += PIXEL) {
		run = run_at(at);
		/* What is drawn wider than it is, is below. */
		if (near_line(run, at) || (at >= 8 * MIB && at < 8 * MIB + 4 * PIXEL)) {
			left_out++;
			continue;
		}
		have = &image[3 * ((TOP + at / ROW_SIZE * ROW + MIDDLE) * width +
				   LEFT + at % ROW_SIZE / PIXEL)];
		assert_memory_equal(have, colour_of(run), 3);
		compared++;
	}
	assert_int_equal(compared + left_out, SIZE / PIXEL);
	assert_true(left_out < 64);
	free(image);
}

/* A page of 4K is half a pixel, and is seen. */
static void thin(void **state)
{
	const unsigned char *have;

	render();
	have = &image[3 * ((TOP + ROW + MIDDLE) * width + LEFT + 1)];
	assert_memory_equal(have, colour_of(run_at(8 * MIB + PAGE)), 3);
	free(image);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(pixels), cmocka_unit_test(thin),
	};
	char dir[] = "/tmp/gmem.XXXXXX";
	int status;

	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	status = cmocka_run_group_tests_name("svg", tests, NULL, NULL);
	unlink("drawn.svg");
	rmdir(dir);
	return status;
}
