// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>

#include "tool.h"

static error_t parse(int key, char *arg, struct argp_state *state)
{
	if (key != ARGP_KEY_INIT)
		return ARGP_ERR_UNKNOWN;
	state->child_inputs[0] = state->input;
	return 0;
}

static const char doc[] =
	"Give memory of a file back. What was in it is lost, for the guest too.\n"
	"\vBlocks that are covered whole go back. Parts of blocks become zeroes and free\n"
	"nothing.";

int verb_punch(int argc, char **argv)
{
	static const struct argp argp = { NULL, parse, TARGET_DOC, doc, range_options };
	struct gmem_retry retry = { .tries = 10, .wait_us = 10000, .max_wait_us = 500000 };
	char freed[SIZE_TEXT];
	struct range r = { };
	struct target t;
	uint64_t before;
	int status, err;

	parse_options(&argp, argc, argv, &r);
	status = range_take(&r, &t);
	if (status)
		return status;
	before = t.file.held;
	err = gmem_punch(t.g, r.offset, r.size, &retry);
	if (err == -EAGAIN)
		status = fail(FAILED, "have it let go (a pipe, a device, a registered buffer)",
			      "nothing was done: somebody holds a page of the range");
	else if (err)
		status = fail(FAILED, NULL, "nothing was done: %s", strerror(-err));
	else
		range_report(&r, &t, "is a hole");
	if (!err && !json_wanted && !file_read(&t.file))
		printf("held: %s less than before\n",
		       size_text(freed, before > t.file.held ? before - t.file.held : 0));
	target_put(&t);
	return status;
}
