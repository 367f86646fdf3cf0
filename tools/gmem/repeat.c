// SPDX-License-Identifier: GPL-2.0-only
/* Options of the verbs that read again and again. */
#include "tool.h"

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct repeat *r = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = NULL;
		return 0;
	case 'i':
		if (!parse_unsigned(arg, 86400, &r->interval) || !r->interval)
			argp_error(state, "--interval %s: give seconds", arg);
		return 0;
	case 'n':
		if (!parse_unsigned(arg, 1UL << 30, &r->count) || !r->count)
			argp_error(state, "--count %s: give a number from 1 on", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "interval", 'i', "SECONDS", 0, "Between readings (1)", 0 },
	{ "count", 'n', "N", 0, "Stop after so many readings", 0 },
	{ }
};

static const struct argp argp = { options, parse, NULL, NULL, common_options };

const struct argp_child repeat_options[] = { { &argp }, { } };

unsigned long repeat_interval(const struct repeat *r)
{
	return r->interval ? r->interval : 1;
}

bool repeat_over(const struct repeat *r, unsigned long done)
{
	return r->count && done >= r->count;
}
