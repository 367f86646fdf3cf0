// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs to list many files, in instructions: under QEMU's -icount the TSC
 * counts them. 64 VMs share the files among them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <x86intrin.h>

#include <linux/kvm.h>

#include "common.h"

#define VMS	64
#define FILES	1000
#define BOUND	200000

static struct gmem *file[FILES];
static int vms[VMS];

/* Instructions of "gmem list", the second time, when what it reads is in memory. */
static uint64_t cost(unsigned int files)
{
	struct json_object *o;
	uint64_t start, end;

	o = gmem_json(0, "list");
	assert_int_equal(json_object_array_length(member(o, "files")), files);
	json_object_put(o);
	start = __rdtsc();
	assert_int_equal(gmem("list"), 0);
	end = __rdtsc();
	return end - start;
}

static void add(unsigned int from, unsigned int to)
{
	for (; from < to; from++) {
		vm_fd = vms[from % VMS];
		file[from] = create(MIB, PAGE, GMEM_PAGES, GMEM_MAPPABLE);
	}
}

static void thousand(void **state)
{
	uint64_t none_cost, half, all;
	int own = vm_fd, kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	unsigned int i;

	for (i = 0; i < VMS; i++) {
		vms[i] = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
		assert_true(vms[i] >= 0);
	}
	none_cost = cost(0);
	add(0, FILES / 2);
	half = cost(FILES / 2) - none_cost;
	add(FILES / 2, FILES);
	all = cost(FILES) - none_cost;
	printf("# instructions a file: %llu of %u, %llu of %u; without any: %llu\n",
	       (unsigned long long)half / (FILES / 2), FILES / 2,
	       (unsigned long long)all / FILES, FILES, (unsigned long long)none_cost);
	assert_true(all / FILES <= BOUND);
	/* Twice as many cost twice as much, give or take a tenth. */
	assert_true(all <= half * 2 + half / 5);
	for (i = 0; i < FILES; i++)
		gmem_close(file[i]);
	for (i = 0; i < VMS; i++)
		close(vms[i]);
	close(kvm);
	vm_fd = own;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(thousand, setup, teardown),
	};

	if (kvm_open())
		return 1;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("many files", tests, NULL, NULL);
}
