// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem bench, where a nanosecond is an instruction: under QEMU's -icount it prints what
 * ./dev bench does.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

static uint64_t cost(struct json_object *o, const char *key)
{
	struct json_object *one = member(member(o, "costs"), key);

	/* QEMU has no counter of them. */
	assert_null(member(one, "instructions"));
	return number(one, "nanoseconds");
}

static void print_costs(struct json_object *o)
{
	static const char * const keys[] = {
		"untouched", "populate", "touch", "page_first", "page", "range", "punch",
	};
	unsigned int i;

	printf("# %s:", text(o, "kind"));
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		printf(" %s=%llu", keys[i], (unsigned long long)cost(o, keys[i]));
	printf("\n");
}

/* Give or take a quarter: the figure of README.md, for the same kernel. */
static void check_cost(struct json_object *o, const char *key, uint64_t expected)
{
	uint64_t value = cost(o, key);

	if (value < expected * 3 / 4 || value > expected * 5 / 4)
		fail_msg("%s %s: %llu, not about %llu", text(o, "kind"), key,
			 (unsigned long long)value, (unsigned long long)expected);
}

static void figures(void **state)
{
	struct json_object *old, *blocks;
	char *second;

	assert_int_equal(gmem("bench 7.3 buddy-2m --size 4M --json"), 0);
	second = strchr(out, '\n');
	assert_non_null(second);
	*second++ = 0;
	old = parse_valid(out);
	blocks = parse_valid(second);
	print_costs(old);
	print_costs(blocks);
	assert_string_equal(text(old, "kind"), "7.3");
	assert_string_equal(text(blocks, "kind"), "buddy-2m");
	assert_int_equal(number(old, "size"), 4 * MIB);
	assert_int_equal(number(blocks, "size"), 4 * MIB);
	/* The page that the guest runs in is one more. */
	assert_int_equal(number(old, "faults"), 1024 + 1);
	assert_int_equal(number(blocks, "faults"), 2 + 1);
	assert_int_equal(number(old, "held"), 4 * MIB);
	assert_int_equal(number(blocks, "held"), 4 * MIB);
	check_cost(old, "page", 64778);
	check_cost(old, "range", 13646709);
	check_cost(blocks, "page", 22953);
	check_cost(blocks, "page_first", 44858);
	check_cost(blocks, "range", 553154);
	json_object_put(old);
	json_object_put(blocks);
}

/* The number in the first column of this row. */
static unsigned long cell(const char *title)
{
	const char *at = strstr(out, title);

	assert_non_null(at);
	return strtoul(at + strlen(title), NULL, 10);
}

static void left_out(void **state)
{
	struct json_object *o = gmem_json(1, "bench hugetlb-2m --size 3M");

	assert_string_equal(text(member(o, "error"), "advice"), "gmem pool --page 2M --add 2");
	json_object_put(o);
	/* A part of a block is the block. */
	assert_int_equal(gmem("bench hugetlb-1g --size 2M"), 1);
	assert_string_equal(out, "");
	assert_non_null(strstr(err, "gmem pool --page 1G --add 1\n"));
	/* What was measured before is printed, and it is a failure all the same. */
	assert_int_equal(gmem("bench pages hugetlb-2m --size 2M"), 1);
	assert_memory_equal(out, "Time ", 5);
	assert_int_equal(cell("memory of the guest"), 2);
	assert_int_equal(cell("faults of these writes"), 513);
	assert_int_equal(cell("held, 1M of it shared"), 2);
	assert_non_null(strstr(err, "gmem pool --page 2M --add 1"));
	assert_int_equal(gmem("pool --page 2M --add 1"), 0);
	o = gmem_json(0, "bench hugetlb-2m --size 2M");
	assert_int_equal(number(o, "faults"), 1 + 1);
	json_object_put(o);
	assert_int_equal(gmem("pool --page 2M --remove 1"), 0);
}

/* It has begun when it says what it cannot count. */
static void stopped(void **state)
{
	int notes[2], status;
	char line[128];
	pid_t pid;
	FILE *in;

	assert_int_equal(pipe(notes), 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		dup2(notes[1], 2);
		execlp("gmem", "gmem", "bench", "pages", "--json", NULL);
		_exit(98);
	}
	close(notes[1]);
	in = fdopen(notes[0], "r");
	assert_non_null(in);
	assert_non_null(fgets(line, sizeof(line), in));
	assert_non_null(strstr(line, "instructions are not counted: "));
	assert_int_equal(kill(pid, SIGINT), 0);
	do {
		assert_non_null(fgets(line, sizeof(line), in));
	} while (!strstr(line, "gmem bench: "));
	assert_string_equal(line, "gmem bench: pages: interrupted\n");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	fclose(in);
}

#define TEST(fn)	cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(figures), TEST(left_out), TEST(stopped),
	};

	if (kvm_open())
		return 1;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("bench", tests, NULL, NULL);
}
