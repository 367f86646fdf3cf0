// SPDX-License-Identifier: GPL-2.0-only
/* The schema takes what it should, and refuses what differs from that in one thing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schema.h"

#define POOL(page, node)								\
	"{\"schema\":1,\"verb\":\"pool\",\"pools\":[{\"page\":" page ",\"node\":" node ","	\
	"\"total\":0,\"free\":0,\"reserved\":0,\"surplus\":0}]}"

#define CHECK(rest)									\
	"{\"schema\":1,\"verb\":\"check\",\"checks\":1,\"failed\":0," rest ",\"results\":[],"	\
	"\"errors\":[]}"

#define LIST(files)									\
	"{\"schema\":1,\"verb\":\"list\",\"files\":" files ",\"processes_denied\":0,"	\
	"\"files_unreadable\":0,\"exist\":0}"

static const char * const right[] = {
	"{\"schema\":1,\"verb\":\"punch\",\"file\":\"1/2\",\"offset\":0,\"size\":4096}",
	CHECK("\"busy\":0,\"skipped\":0"),
	LIST("[]"),
	"{\"schema\":1,\"verb\":\"trace\",\"lost\":{\"cpu\":1,\"events\":null}}",
	POOL("2097152", "null"),
};

static const char * const wrong[] = {
	"{}", "[]", "1",
	"{\"schema\":2,\"verb\":\"punch\",\"file\":\"1/2\",\"offset\":0,\"size\":4096}",
	"{\"schema\":1,\"verb\":\"munch\",\"file\":\"1/2\",\"offset\":0,\"size\":4096}",
	"{\"schema\":1,\"verb\":\"punch\",\"file\":12,\"offset\":0,\"size\":4096}",
	"{\"schema\":1,\"verb\":\"punch\",\"file\":\"1/2\",\"offset\":-1,\"size\":4096}",
	"{\"schema\":1,\"verb\":\"punch\",\"file\":\"1/2\",\"offset\":0.5,\"size\":4096}",
	"{\"schema\":1,\"verb\":\"punch\",\"file\":\"1/2\",\"offset\":0}",
	"{\"schema\":1,\"verb\":\"punch\",\"file\":\"1/2\",\"offset\":0,\"size\":4096,\"more\":1}",
	LIST("[{}]"),
	CHECK("\"busy\":0"),
	POOL("4096", "null"),
	POOL("2097152", "\"0\""),
};

static bool valid(const char *text)
{
	struct json_object *root = json_object_from_file(SCHEMA_FILE);
	struct json_object *value = json_tokener_parse(text);
	bool is;

	assert_non_null(root);
	assert_non_null(value);
	is = schema_valid(root, value);
	json_object_put(value);
	json_object_put(root);
	return is;
}

static void accepts(void **state)
{
	size_t i;

	for (i = 0; i < sizeof(right) / sizeof(*right); i++)
		assert_true(valid(right[i]));
}

static void refuses(void **state)
{
	size_t i;

	for (i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_false(valid(wrong[i]));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts), cmocka_unit_test(refuses),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("schema", tests, NULL, NULL);
}
