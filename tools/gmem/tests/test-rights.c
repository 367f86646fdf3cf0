// SPDX-License-Identifier: GPL-2.0-only
/* Who may see and change what, and what others can have gmem(1) print. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "common.h"

/* With this option the program is a VMM with a file, until its input ends. */
#define HOLD	"--hold"

static void rights(void **state)
{
	struct gmem *g = create_mixed();

	assert_int_equal(gmem_as_nobody("list"), 0);
	assert_null(strstr(out, name_of(g)));
	assert_non_null(strstr(err, "may not be seen"));
	assert_int_equal(gmem_as_nobody("stat %s", name_of(g)), 1);
	assert_non_null(strstr(err, "become its user, or root"));
	assert_int_equal(gmem_as_nobody("convert %s --private", name_of(g)), 1);
	assert_int_equal(gmem_as_nobody("check"), 1);
	assert_int_equal(kernel_says(g, "gmem-conversions"), 3);
	gmem_close(g);
}

/* Names that would do something to a terminal, or are no JSON. */
static void hostile_name(void **state)
{
	struct gmem *g = create_mixed();
	struct json_object *o;

	assert_int_equal(prctl(PR_SET_NAME, "\033[2J\n\"\xff\xc3\\x"), 0);
	assert_int_equal(gmem("list"), 0);
	assert_non_null(strstr(out, "  ?[2J?\"??\\x  "));
	assert_null(strchr(out, '\033'));
	o = gmem_json(0, "stat %s", name_of(g));
	assert_string_equal(text(member(o, "stat"), "command"), "?[2J?\"??\\x");
	json_object_put(o);
	assert_int_equal(prctl(PR_SET_NAME, "gmem-tool-rights"), 0);
	gmem_close(g);
}

static int hold(void)
{
	const struct gmem_spec spec = { 2 * MIB, GMEM_BUDDY, GMEM_MAPPABLE };
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int vm = ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	struct gmem *g;
	char c;

	if (vm < 0 || gmem_create(vm, 4 * MIB, &spec, 1, NULL, &g) ||
	    gmem_populate(g, 0, 2 * MIB, NULL, NULL, NULL))
		return 1;
	printf("%d\n", gmem_fd(g));
	fflush(stdout);
	return read(0, &c, 1) != 0;
}

static pid_t nobody_holds(int *hold_fd, int *fd)
{
	int in[2], result[2];
	char line[16] = "";
	pid_t pid;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(result, O_CLOEXEC), 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		dup2(in[0], 0);
		dup2(result[1], 1);
		become_nobody();
		execl("/proc/self/exe", "vmm", HOLD, NULL);
		_exit(98);
	}
	close(in[0]);
	close(result[1]);
	assert_true(read(result[0], line, sizeof(line) - 1) > 0);
	close(result[0]);
	*fd = atoi(line);
	*hold_fd = in[1];
	return pid;
}

/* A user who may use KVM sees and changes what is theirs, and nothing else. */
static void own_rights(void **state)
{
	struct gmem *other = create_mixed();
	int hold_fd, fd, status;
	char name[32];
	pid_t pid;

	assert_int_equal(chmod("/dev/kvm", 0666), 0);
	pid = nobody_holds(&hold_fd, &fd);
	assert_int_equal(chmod("/dev/kvm", 0600), 0);
	snprintf(name, sizeof(name), "%d/%d", pid, fd);
	assert_int_equal(gmem_as_nobody("list"), 0);
	assert_non_null(strstr(out, name));
	assert_null(strstr(out, name_of(other)));
	assert_int_equal(gmem_as_nobody("stat %d", pid), 0);
	assert_non_null(strstr(out, "\nheld         2097152\n"));
	assert_int_equal(gmem_as_nobody("map %s --width 16", name), 0);
	assert_memory_equal(out, "        0  MMMMMMMMMMMMMMMM\n", 28);
	assert_int_equal(gmem_as_nobody("convert %s --shared --size 1M", name), 0);
	assert_int_equal(gmem_as_nobody("stat %s", name), 0);
	assert_non_null(strstr(out, "\nshared       1048576\n"));
	assert_int_equal(gmem_as_nobody("punch %s", name_of(other)), 1);
	assert_int_equal(held(other), 32 * MIB);
	close(hold_fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	gmem_close(other);
}

#define TEST(fn)	cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		TEST(rights), TEST(own_rights), TEST(hostile_name),
	};

	if (argc > 1 && !strcmp(argv[1], HOLD))
		return hold();
	if (kvm_open())
		return 1;
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("rights", tests, NULL, NULL);
}
