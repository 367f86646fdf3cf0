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

static int show(uint64_t done, uint64_t size, void *arg)
{
	progress_show(arg, done, size);
	return interrupted;
}

static const char doc[] =
	"Have memory of a file present, zeroed, so that no fault of the guest needs any.\n"
	"\vThe memory is charged as if the owner of the file had asked for it.";

int verb_populate(int argc, char **argv)
{
	static const struct argp argp = { NULL, parse, TARGET_DOC, doc, range_options };
	char done_text[SIZE_TEXT], size[SIZE_TEXT], held[SIZE_TEXT];
	struct progress progress;
	struct range r = { };
	struct target t;
	int status, err;
	uint64_t done;

	parse_options(&argp, argc, argv, &r);
	status = range_take(&r, &t);
	if (status)
		return status;
	interrupt_catch();
	progress_start(&progress, "populate");
	err = gmem_populate(t.g, r.offset, r.size, show, &progress, &done);
	progress_end(&progress);
	/* Of the step that failed part is present too. */
	if (err && file_read(&t.file))
		status = fail(FAILED, NULL, "stopped, and the file is gone: %s", strerror(-err));
	else if (err)
		status = fail(FAILED, err == -ENOMEM ? "free some, or see gmem pool" : NULL,
			      "%s after %s of %s, the file holds %s",
			      err == -ENOMEM ? "no memory" : "stopped",
			      size_text(done_text, done), size_text(size, r.size),
			      size_text(held, t.file.held));
	else
		range_report(&r, &t, "is present");
	target_put(&t);
	return status;
}
