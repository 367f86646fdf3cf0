// SPDX-License-Identifier: GPL-2.0-only
/* gmem pool with a kernel that takes its time. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../pools.h"

#include <cmocka.h>

const char *verb_name = "pool";
bool json_wanted;
const struct argp_child common_options[] = { { } };

static uint64_t total, largest_step, slow;

bool __wrap_have_gmem(void)
{
	return true;
}

bool __wrap_pool_read(uint64_t size, int node, struct pool *p)
{
	memset(p, 0, sizeof(*p));
	p->total = total;
	return true;
}

bool __wrap_pool_write(uint64_t size, int node, uint64_t pages)
{
	if (pages > total && pages - total > largest_step)
		largest_step = pages - total;
	total = pages;
	sleep(slow);
	slow = 0;
	return true;
}

void __wrap_pools_print(void)
{
}

void parse_options(const struct argp *argp, int argc, char **argv, void *input)
{
	assert_int_equal(argp_parse(argp, argc, argv, 0, NULL, input), 0);
}

static char err[512];

static int pool(char *how, char *pages)
{
	char name[] = "pool", page[] = "--page=2M", *argv[] = { name, page, how, pages, NULL };
	int saved = dup(2), status;
	FILE *in = tmpfile();

	assert_non_null(in);
	dup2(fileno(in), 2);
	status = verb_pool(4, argv);
	dup2(saved, 2);
	close(saved);
	rewind(in);
	err[fread(err, 1, sizeof(err) - 1, in)] = 0;
	fclose(in);
	return status;
}

static void told(void **state)
{
	char set[] = "--set", pages[] = "1050", fewer[] = "7";

	total = 7;
	slow = 3;
	assert_int_equal(pool(set, pages), DONE);
	assert_int_equal(total, 1050);
	assert_int_equal(largest_step, 512);
	assert_memory_equal(err, "pool: 519 of 1050 pages, 3 s\n", 29);
	assert_int_equal(pool(set, fewer), DONE);
	assert_int_equal(total, 7);
	assert_string_equal(err, "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = { cmocka_unit_test(told) };

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
