// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem check against a kernel that says what the test wants: what a counter that has gone
 * wrong, orphans, files that nobody sees and a broken list come to.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../blocks.h"

#include <cmocka.h>

#define LISTED	"7 0 9 512 intact 0 0\n7 512 9 1024 dissolved 2 2\n7 1024 0 77 dissolved 1 1\n"

const char *verb_name = "check";
bool json_wanted = true;
const struct argp_child common_options[] = { { } };

static const struct file healthy = {
	.pid = 10, .fd = 3, .openers = 1, .held = 4 * MIB + PAGE,
	.nr_nodes = 2, .node = { { 0, 4 * MIB }, { 3, PAGE } },
	.stats.value = {
		[GMEM_STAT_INO] = 7, [GMEM_STAT_SIZE] = 8 * MIB,
		[GMEM_STAT_FLAGS] = 1ULL << 33, [GMEM_STAT_ALLOCATED] = 4 * MIB + PAGE,
		[GMEM_STAT_PRIVATE] = 4 * MIB - PAGE, [GMEM_STAT_SHARED] = 2 * PAGE,
		[GMEM_STAT_LIVE] = 3 * PAGE, [GMEM_STAT_BLOCKS_2M] = 2,
		[GMEM_STAT_BLOCKS_4K] = 1,
	},
};

static const struct gmem_run healthy_runs[] = {
	{ 0, 2 * MIB, 2 * MIB, true, true },
	{ 2 * MIB, 2 * PAGE, 2 * MIB, false, true },
	{ 2 * MIB + 2 * PAGE, 2 * MIB - 2 * PAGE, 2 * MIB, true, true },
	{ 4 * MIB, PAGE, PAGE, true, true },
	{ 4 * MIB + PAGE, 4 * MIB - PAGE, 0, true, false },
};

/* What the kernel says. */
static struct {
	struct file file[2];
	size_t nr;
	uint64_t files, blocks_4k, blocks_2m, blocks_1g, orphan_blocks;
	bool restless;
	unsigned int slow;	/* seconds to take the first file */
	bool refuses;		/* to have its files taken */
} world;

static struct json_object *report;

bool __wrap_have_gmem(void)
{
	return true;
}

bool __wrap_read_number(const char *path, uint64_t *value)
{
	const char *name = strrchr(path, '/') + 1;

	if (!strcmp(name, "files"))
		*value = world.files;
	else if (!strcmp(name, "blocks_4k"))
		*value = world.blocks_4k;
	else if (!strcmp(name, "blocks_2m"))
		*value = world.blocks_2m;
	else if (!strcmp(name, "blocks_1g"))
		*value = world.blocks_1g;
	else if (!strcmp(name, "orphan_blocks"))
		*value = world.orphan_blocks;
	else
		return false;
	return true;
}

int __wrap_file_read(struct file *file)
{
	size_t i;

	for (i = 0; i < world.nr; i++) {
		if (world.file[i].fd == file->fd) {
			*file = world.file[i];
			world.file[i].stats.value[GMEM_STAT_CONVERSIONS] += world.restless;
			return 0;
		}
	}
	return -ENOENT;
}

int __wrap_files_scan(struct files *files)
{
	memset(files, 0, sizeof(*files));
	files->nr = world.nr;
	files->file = alloc(sizeof(world.file));
	memcpy(files->file, world.file, sizeof(world.file));
	return 0;
}

int __wrap_target_open(struct target *t)
{
	sleep(world.slow);
	world.slow = 0;
	if (world.refuses)
		return (fail)(FAILED, "become root", "may not take it");
	return DONE;
}

void __wrap_target_put(struct target *t)
{
}

int __wrap_target_runs(const struct target *t, struct gmem_run **runs, size_t *nr)
{
	*runs = alloc(sizeof(healthy_runs));
	memcpy(*runs, healthy_runs, sizeof(healthy_runs));
	*nr = ARRAY_SIZE(healthy_runs);
	return 0;
}

bool __real_blocks_read(const char *path, const struct files *files, struct blocks *b);

bool __wrap_blocks_read(const char *path, const struct files *files, struct blocks *b)
{
	assert_string_equal(path, "/sys/kernel/debug/gmem/blocks");
	return __real_blocks_read("blocks", files, b);
}

void parse_options(const struct argp *argp, int argc, char **argv, void *input)
{
	assert_int_equal(argp_parse(argp, argc, argv, 0, NULL, input), 0);
}

static void list(const char *text)
{
	FILE *out = fopen("blocks", "w");

	assert_non_null(out);
	fputs(text, out);
	assert_int_equal(fclose(out), 0);
}

static char err[512];

/* Runs it; returns its status. What it printed is in report and err. */
static int check(void)
{
	char name[] = "check", *argv[] = { name, NULL };
	int saved[2] = { dup(1), dup(2) }, i, status;
	FILE *in;

	fflush(stdout);
	for (i = 0; i < 2; i++)
		dup2(open(i ? "err" : "out", O_RDWR | O_CREAT | O_TRUNC, 0600), i + 1);
	status = verb_check(1, argv);
	fflush(stdout);
	for (i = 0; i < 2; i++) {
		dup2(saved[i], i + 1);
		close(saved[i]);
	}
	json_object_put(report);
	report = json_object_from_file("out");
	assert_non_null(report);
	in = fopen("err", "r");
	err[fread(err, 1, sizeof(err) - 1, in)] = 0;
	fclose(in);
	return status;
}

static uint64_t number(const char *key)
{
	struct json_object *value;

	assert_true(json_object_object_get_ex(report, key, &value));
	return json_object_get_uint64(value);
}

static bool passed(const char *what)
{
	struct json_object *results, *one, *value;
	size_t i;

	assert_true(json_object_object_get_ex(report, "results", &results));
	for (i = 0; i < json_object_array_length(results); i++) {
		one = json_object_array_get_idx(results, i);
		assert_true(json_object_object_get_ex(one, "check", &value));
		if (strcmp(json_object_get_string(value), what))
			continue;
		assert_true(json_object_object_get_ex(one, "passed", &value));
		return json_object_get_boolean(value);
	}
	fail_msg("no check of %s", what);
	return false;
}

static int setup(void **state)
{
	memset(&world, 0, sizeof(world));
	world.file[0] = healthy;
	world.nr = 1;
	world.files = 1;
	world.blocks_4k = 1;
	world.blocks_2m = 2;
	list(LISTED);
	return 0;
}

static void nothing_wrong(void **state)
{
	assert_int_equal(check(), DONE);
	assert_int_equal(number("checks"), 4 + 4 + 1 + 8 + 3);
	assert_int_equal(number("failed"), 0);
	assert_int_equal(number("busy"), 0);
	assert_int_equal(number("skipped"), 0);
	assert_string_equal(err, "");
}

/* What the kernel prints as private is what is held less what is shared, and wraps. */
static void more_shared_than_held(void **state)
{
	uint64_t *value = world.file[0].stats.value;

	value[GMEM_STAT_SHARED] = value[GMEM_STAT_ALLOCATED] + PAGE;
	value[GMEM_STAT_PRIVATE] = -PAGE;
	assert_int_equal(check(), FAILED);
	assert_true(passed("private and shared are what is held"));
	assert_false(passed("shared is at most what is held"));
	assert_false(passed("private is at most what is held"));
	assert_int_equal(number("failed"), 4);
}

static void one_page_too_many(void **state)
{
	uint64_t *value = world.file[0].stats.value;

	value[GMEM_STAT_SHARED] += PAGE;
	value[GMEM_STAT_PRIVATE] -= PAGE;
	assert_int_equal(check(), FAILED);
	assert_false(passed("runs that are private and present"));
	assert_false(passed("runs that are shared and present"));
	assert_int_equal(number("failed"), 2);
}

static void another_node(void **state)
{
	world.file[0].node[1].bytes += PAGE;
	assert_int_equal(check(), FAILED);
	assert_false(passed("memory of all nodes"));
	assert_int_equal(number("failed"), 1);
}

/* Counters have orphans in them and no file has: so many, and no more. */
static void orphans(void **state)
{
	world.blocks_2m++;
	assert_int_equal(check(), FAILED);
	assert_false(passed("2M blocks of all files"));
	world.orphan_blocks = 1;
	assert_int_equal(check(), DONE);
	assert_int_equal(number("failed"), 0);
	world.blocks_1g++;
	assert_int_equal(check(), FAILED);
	assert_true(passed("2M blocks of all files"));
	assert_false(passed("1G blocks of all files"));
	world.orphan_blocks = 2;
	assert_int_equal(check(), DONE);
	/* Single pages are not counted once they are orphans. */
	world.blocks_4k++;
	assert_int_equal(check(), FAILED);
	/* Orphans are no excuse for files that have more than there is. */
	world.blocks_4k--;
	world.blocks_2m = 1;
	assert_int_equal(check(), FAILED);
}

static void a_file_nobody_sees(void **state)
{
	world.files = 2;
	world.blocks_2m = 9;
	assert_int_equal(check(), DONE);
	assert_int_equal(number("failed"), 0);
	assert_int_equal(number("skipped"), 3);
	assert_non_null(strstr(err, "sums of all files are not compared: there are files that"));
}

static void broken_lists(void **state)
{
	list("");
	assert_int_equal(check(), FAILED);
	assert_false(passed("2M blocks in debugfs"));
	assert_false(passed("single pages in debugfs"));
	list("what is this\n" LISTED "7 0 3 1 intact 0 0\n");
	assert_int_equal(check(), FAILED);
	assert_true(passed("2M blocks in debugfs"));
	assert_false(passed("lines in debugfs that make no sense"));
	assert_int_equal(number("failed"), 1);
	/* Of others */
	list("0 0 9 512 intact 0 0\n" LISTED "8 0 9 512 intact 0 0\n");
	assert_int_equal(check(), DONE);
	assert_int_equal(unlink("blocks"), 0);
	assert_int_equal(check(), DONE);
	assert_int_equal(number("skipped"), 5);
	assert_non_null(strstr(err, "cannot read /sys/kernel/debug/gmem/blocks"));
}

static void never_at_rest(void **state)
{
	world.restless = true;
	assert_int_equal(check(), DONE);
	assert_int_equal(number("busy"), 1);
	assert_int_equal(number("skipped"), 4);
}

/* One report, and in it why it is not whole. */
static void refused(void **state)
{
	struct json_object *errors;

	world.refuses = true;
	assert_int_equal(check(), FAILED);
	assert_int_equal(number("failed"), 0);
	assert_true(json_object_object_get_ex(report, "errors", &errors));
	assert_int_equal(json_object_array_length(errors), 1);
	assert_non_null(strstr(json_object_to_json_string(errors), "\"may not take it\""));
	assert_string_equal(err, "gmem check: may not take it: become root\n");
}

static void slow(void **state)
{
	world.slow = 3;
	world.nr = 2;
	world.file[1] = healthy;
	world.file[1].fd++;
	world.file[1].stats.value[GMEM_STAT_INO]++;
	check();
	assert_memory_equal(err, "check: 1 of 2 files, 3 s\n", 25);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_wrong, setup),
		cmocka_unit_test_setup(more_shared_than_held, setup),
		cmocka_unit_test_setup(one_page_too_many, setup),
		cmocka_unit_test_setup(another_node, setup),
		cmocka_unit_test_setup(orphans, setup),
		cmocka_unit_test_setup(a_file_nobody_sees, setup),
		cmocka_unit_test_setup(broken_lists, setup),
		cmocka_unit_test_setup(never_at_rest, setup),
		cmocka_unit_test_setup(refused, setup),
		cmocka_unit_test_setup(slow, setup),
	};
	char dir[] = "/tmp/gmem-check.XXXXXX";
	int failed;

	if (!mkdtemp(dir) || chdir(dir))
		return 1;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	failed = cmocka_run_group_tests_name("check", tests, NULL, NULL);
	json_object_put(report);
	unlink("blocks");
	unlink("out");
	unlink("err");
	rmdir(dir);
	return failed;
}
