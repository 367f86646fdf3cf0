// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every command of the EXAMPLES of gmem-*(1), on a terminal, with a file whose state is
 * known: in the place of 1234/15 it is that file, of 1234 its process.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

#define LINUX	"/usr/lib/linux/"
#define ROOM	(1 << 18)

/* A Linux under a KVM that is under QEMU's emulation has no XSAVE. */
#define CMDLINE	"console=ttyS0 quiet panic=-1 noxsave"

/* What goes on until somebody ends it: on what it says, by what is typed. */
static const struct ending {
	const char *example;
	const char *says;
	const char *typed;
	int status;
} endings[] = {
	{ "gmem top", "q quits", "q", 0 },
	{ "gmem stat 1234 --interval 5 --json", "}\r\n", "\003", 256 + SIGINT },
	{ "gmem trace 1234/15", "following\r\n", "\003", 0 },
	{ "gmem run --kernel bzImage --initrd initrd --memory 512M", "guest# ", "exit\n", 0 },
};

/* What says nothing leaves this file. */
static const char * const files[][2] = {
	{ "gmem map 1234/15 -o guest.svg", "guest.svg" },
};

/* What others print, where it is not shown elsewhere: the block and the guest's code. */
static const char * const prints[][2] = {
	{ "gmem bench hugetlb-1g --json", "\"size\":1073741824,\"faults\":2,\"held\":1073741824," },
};

static const struct ending *ending_of(const char *example)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(endings); i++) {
		if (!strcmp(endings[i].example, example))
			return &endings[i];
	}
	return NULL;
}

static void replace(char *text, size_t size, const char *what, const char *by)
{
	char *at = strstr(text, what);
	size_t len = strlen(what), n = strlen(by);

	if (!at)
		return;
	assert_true(strlen(text) - len + n < size);
	memmove(at + n, at + len, strlen(at + len) + 1);
	memcpy(at, by, n);
}

/* All that it prints; types when it is time to. Returns how it ended. */
static int run(const char *command, const struct ending *e)
{
	size_t len = 0;
	ssize_t n;
	int fd, status;
	pid_t pid = on_terminal(command, &fd);

	do {
		assert_true(len < ROOM);
		n = read(fd, out + len, ROOM - len);
		len += n > 0 ? n : 0;
		out[len] = 0;
		if (e && strstr(out, e->says)) {
			assert_int_equal(write(fd, e->typed, strlen(e->typed)),
					 strlen(e->typed));
			e = NULL;
		}
	} while (n > 0);
	close(fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static void check_output(const char *example)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		if (strcmp(files[i][0], example))
			continue;
		assert_string_equal(out, "");
		assert_int_equal(unlink(files[i][1]), 0);
		return;
	}
	assert_string_not_equal(out, "");
	for (i = 0; i < ARRAY_SIZE(prints); i++) {
		if (!strcmp(prints[i][0], example))
			assert_non_null(strstr(out, prints[i][1]));
	}
}

static void example(void **state)
{
	const char *command = *state;
	const struct ending *e = ending_of(command);
	struct gmem *g = create_mixed();
	char line[256], pid[16];
	int status;

	snprintf(line, sizeof(line), "exec %s", command);
	snprintf(pid, sizeof(pid), " %d ", getpid());
	replace(line, sizeof(line), "1234/15", name_of(g));
	replace(line, sizeof(line), " 1234 ", pid);
	replace(line, sizeof(line), "gmem run ", "gmem run --append '" CMDLINE "' ");
	status = run(line, e);
	if (status != (e ? e->status : 0))
		fail_msg("status %d: %s", status, out);
	check_output(command);
	gmem_close(g);
}

/* Pools are as they were, too. */
static int restore(void **state)
{
	if (strstr(*state, "pool"))
		gmem("pool --page 2M --set 16");
	return teardown(state);
}

/* Pages and commands, as meson has extracted them. */
static size_t read_examples(struct CMUnitTest *tests, size_t max)
{
	FILE *in = fopen(EXAMPLES_FILE, "r");
	char line[256];
	size_t nr = 0;

	while (in && nr < max && fgets(line, sizeof(line), in)) {
		line[strcspn(line, "\n")] = 0;
		tests[nr].name = strdup(line);
		tests[nr].initial_state = (void *)tests[nr].name;
		tests[nr].test_func = example;
		tests[nr].setup_func = setup;
		tests[nr].teardown_func = restore;
		nr++;
	}
	if (in)
		fclose(in);
	return nr;
}

int main(int argc, char **argv)
{
	static struct CMUnitTest tests[64];
	size_t nr = read_examples(tests, ARRAY_SIZE(tests));

	if (kvm_open() || symlink(LINUX "bzImage", "bzImage") || symlink(LINUX "initrd", "initrd"))
		return 1;
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return !nr || _cmocka_run_group_tests("examples", tests, nr, NULL, NULL);
}
