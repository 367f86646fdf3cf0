// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

/* It has its own options, and its own --help. */
int verb_run(int argc, char **argv)
{
	char name[] = "gmem run";

	if (argc < 2 || (strcmp(argv[1], "--help") && strcmp(argv[1], "-h"))) {
		if (!have_gmem())
			return no_gmem();
		if (access("/dev/kvm", R_OK | W_OK))
			return no_kvm();
	}
	argv[0] = name;
	execv(VMM, argv);
	return fail(UNSUPPORTED, "install gmem-tools again", "cannot start " VMM ": %s",
		    strerror(errno));
}
