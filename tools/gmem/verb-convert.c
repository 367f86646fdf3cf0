// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>

#include "tool.h"

struct convert {
	struct range range;
	int to;			/* 'p', 's' or 0 */
	unsigned long tries;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct convert *c = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &c->range;
		return 0;
	case 'P':
	case 'S':
		if (c->to && c->to != key)
			argp_error(state, "either --private or --shared");
		c->to = key;
		return 0;
	case 't':
		if (!parse_unsigned(arg, 1000000, &c->tries) || !c->tries)
			argp_error(state, "--tries %s: give a number from 1 on", arg);
		return 0;
	case ARGP_KEY_END:
		if (!c->to)
			argp_error(state, "to what? give --private or --shared");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "private", 'P', NULL, 0, "The guest's alone", 0 },
	{ "shared", 'S', NULL, 0, "The host's as well", 0 },
	{ "tries", 't', "N", 0, "How often to ask when somebody holds a page (10)", 0 },
	{ }
};

static const char doc[] =
	"Make part of a file private or shared, in place; all of it or nothing.\n"
	"\vThe guest is not asked, and may be wrong about its memory afterwards.";

static int failed(const struct target *t, int err, uint64_t where)
{
	switch (err) {
	case -EAGAIN:
		return fail(FAILED, "have it let go (a pipe, a device, a registered buffer)",
			    "nothing was converted: somebody holds the page at %#llx",
			    (unsigned long long)where);
	case -ENOTTY:
		return target_no_runs(t, err);
	default:
		return fail(FAILED, NULL, "nothing was converted: %s", strerror(-err));
	}
}

int verb_convert(int argc, char **argv)
{
	static const struct argp argp = { options, parse, TARGET_DOC, doc, range_options };
	struct convert c = { .tries = 10 };
	struct gmem_retry retry = { .wait_us = 10000, .max_wait_us = 500000 };
	struct target t;
	uint64_t where;
	int status, err;

	parse_options(&argp, argc, argv, &c);
	status = range_take(&c.range, &t);
	if (status)
		return status;
	retry.tries = c.tries;
	err = gmem_convert(t.g, c.range.offset, c.range.size, c.to == 'P', &retry, &where);
	if (err)
		status = failed(&t, err, where);
	else
		range_report(&c.range, &t, c.to == 'P' ? "is private" : "is shared");
	target_put(&t);
	return status;
}
