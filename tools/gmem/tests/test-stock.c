// SPDX-License-Identifier: GPL-2.0-only
/* gmem(1) on a kernel without gmem: every verb says what is missing. */
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "common.h"

static void every_verb(void **state)
{
	static const char * const verbs[] = {
		"list", "stat 1/3", "top --batch --count 1", "map 1/3", "convert 1/3 --private",
		"punch 1/3", "populate 1/3", "check", "run --kernel x", "trace",
		"bench pages",
	};
	struct json_object *o;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(verbs); i++) {
		assert_int_equal(gmem("%s", verbs[i]), 4);
		assert_string_equal(out, "");
		assert_non_null(strstr(err, "has no gmem (/sys/kernel/mm/gmem is missing): boot "));
		if (strstr(verbs[i], "run"))
			continue;
		o = gmem_json(4, "%s", verbs[i]);
		assert_int_equal(number(member(o, "error"), "status"), 4);
		json_object_put(o);
	}
}

static void of_the_kernel(void **state)
{
	struct json_object *o = gmem_json(4, "info"), *vm;

	assert_false(json_object_get_boolean(member(o, "gmem")));
	vm = json_object_array_get_idx(member(o, "vm_types"), 1);
	assert_true(json_object_get_boolean(member(vm, "guest_memfd")));
	assert_true(json_object_get_boolean(member(vm, "vm_attributes")));
	assert_false(json_object_get_boolean(member(vm, "in_place")));
	json_object_put(o);
	assert_int_equal(gmem("info"), 4);
	assert_non_null(strstr(out, ", without gmem\n"));
	assert_non_null(strstr(err, "has no gmem"));
}

/* What it can be compared with is there. */
static void of_7_3(void **state)
{
	struct json_object *o = gmem_json(0, "bench 7.3 --size 4M");

	assert_string_equal(text(o, "kind"), "7.3");
	assert_int_equal(number(o, "faults"), 4 * MIB / PAGE + 1);
	assert_null(member(o, "held"));
	json_object_put(o);
	assert_int_equal(gmem("bench --size 2M"), 4);
	assert_memory_equal(out, "Time ", 5);
	assert_non_null(strstr(out, " 7.3\n"));
	assert_non_null(strstr(err, "has no gmem"));
}

static void pools(void **state)
{
	json_object_put(gmem_json(0, "pool --page 2M --add 2"));
	assert_non_null(strstr(err, "has no gmem"));
	assert_int_equal(gmem("pool --page 2M --remove 2"), 0);
}

/* It says why it cannot run, and is not told so by an errno. */
static void example_of_gmem_7(void **state)
{
	FILE *in = popen("gmem-example 2>&1", "re");
	int status;
	size_t n;

	assert_non_null(in);
	n = fread(out, 1, sizeof(out) - 1, in);
	out[n] = 0;
	status = pclose(in);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 4);
	assert_string_equal(out, "this kernel cannot make loaded memory private in place\n");
}

static void no_kvm(void **state)
{
	assert_int_equal(rename("/dev/kvm", "/dev/kvm-away"), 0);
	assert_int_equal(gmem("info"), 4);
	assert_non_null(strstr(err, "load kvm_amd or kvm_intel"));
	assert_int_equal(rename("/dev/kvm-away", "/dev/kvm"), 0);
}

#define TEST(fn)	cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(every_verb), TEST(of_the_kernel), TEST(of_7_3), TEST(pools),
		TEST(example_of_gmem_7), TEST(no_kvm),
	};

	if (kvm_open())
		return 1;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("without gmem", tests, NULL, NULL);
}
