// SPDX-License-Identifier: GPL-2.0-only
/* What convert, punch and populate have in common: a file and a range of it. */
#include <string.h>

#include "tool.h"

static const struct argp_option options[] = {
	{ "offset", 'o', "SIZE", 0, "Where in the file to begin (0)", 0 },
	{ "size", 's', "SIZE", 0, "How much (to the end of the file)", 0 },
	{ }
};

error_t file_parse(int key, char *arg, struct argp_state *state, const char **target)
{
	switch (key) {
	case ARGP_KEY_ARG:
		if (*target)
			argp_error(state, "one file at a time");
		*target = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "no file: name one as in gmem list, like 1234/15");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

error_t range_parse(int key, char *arg, struct argp_state *state)
{
	struct range *r = state->input;

	switch (key) {
	case 'o':
		if (!parse_size(arg, &r->offset))
			argp_error(state, "--offset %s is no size: write it like 2M", arg);
		return 0;
	case 's':
		if (!parse_size(arg, &r->size) || !r->size)
			argp_error(state, "--size %s is no size: write it like 2M", arg);
		return 0;
	case ARGP_KEY_INIT:
		state->child_inputs[0] = NULL;
		return 0;
	default:
		return file_parse(key, arg, state, &r->target);
	}
}

static const struct argp range_argp = { options, range_parse, NULL, NULL, common_options };

const struct argp_child range_options[] = { { &range_argp }, { } };

int range_take(struct range *r, struct target *t)
{
	int status = target_take(r->target, t);

	if (status)
		return status;
	if (r->offset >= t->info.size || r->size > t->info.size - r->offset) {
		target_put(t);
		return fail(USAGE, NULL, "the range ends beyond the file, which has %llu bytes",
			    (unsigned long long)t->info.size);
	}
	if (!r->size)
		r->size = t->info.size - r->offset;
	if (r->offset % PAGE || r->size % PAGE) {
		target_put(t);
		return fail(USAGE, "round it", "the range is not of whole pages of 4K");
	}
	return DONE;
}

void range_report(const struct range *r, const struct target *t, const char *is_now)
{
	char size[SIZE_TEXT], at[SIZE_TEXT];
	struct json_object *report;

	if (json_wanted) {
		report = report_new();
		put_text(report, "file", file_name(&t->file));
		put_u64(report, "offset", r->offset);
		put_u64(report, "size", r->size);
		report_print(report);
	} else {
		printf("%s: %s at %s %s\n", file_name(&t->file), size_text(size, r->size),
		       size_text(at, r->offset), is_now);
	}
}
