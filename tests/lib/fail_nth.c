// SPDX-License-Identifier: GPL-2.0-only
/* The nth allocation from now on fails, of this thread. */
#include "gmem_test.h"

static int fail_nth = -1;

static void set_attr(const char *which, const char *attr, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s/%s", which, attr);
	gm_assert(gm_write(path, "%s", value), "%s: %s", path, strerror(errno));
}

void gm_fail_open(void)
{
	if (access("/proc/thread-self/fail-nth", W_OK))
		gm_skip("needs the debug kernel (fault injection)");
	/* By default allocations that may sleep are left alone, which are ours. */
	set_attr("failslab", "ignore-gfp-wait", "N");
	set_attr("failslab", "verbose", "0");
	set_attr("fail_page_alloc", "ignore-gfp-wait", "N");
	set_attr("fail_page_alloc", "ignore-gfp-highmem", "N");
	set_attr("fail_page_alloc", "min-order", "0");
	set_attr("fail_page_alloc", "verbose", "0");
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	gm_assert(fail_nth >= 0, "fail-nth: %s", strerror(errno));
}

void gm_fail_arm(unsigned int nth)
{
	char buf[16];
	int n = snprintf(buf, sizeof(buf), "%u", nth);

	gm_assert_eq(pwrite(fail_nth, buf, n, 0), n);
}

bool gm_fail_came(void)
{
	char buf[16] = { 0 };

	gm_assert_ge(pread(fail_nth, buf, sizeof(buf) - 1, 0), 1);
	gm_fail_arm(0);
	return !atoi(buf);
}
