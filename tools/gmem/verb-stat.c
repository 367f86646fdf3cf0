// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

struct request {
	const char *target;
	unsigned long interval;
	unsigned long count;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct request *r = state->input;

	switch (key) {
	case 'i':
		if (!parse_unsigned(arg, 86400, &r->interval) || !r->interval)
			argp_error(state, "--interval %s: give seconds", arg);
		return 0;
	case 'n':
		if (!parse_unsigned(arg, 1UL << 30, &r->count) || !r->count)
			argp_error(state, "--count %s: give a number from 1 on", arg);
		return 0;
	default:
		return file_parse(key, arg, state, &r->target);
	}
}

static const struct argp_option options[] = {
	{ "interval", 'i', "SECONDS", 0, "Print again and again", 0 },
	{ "count", 'n', "N", 0, "So often, a second apart if --interval is not given", 0 },
	{ }
};

static const char doc[] =
	"Print what the kernel says about one file.\n"
	"\vMemory is in bytes. With --json each reading is an object of its own.";

static void print(const struct file *f)
{
	struct json_object *o = file_json(f);

	if (json_wanted) {
		struct json_object *report = report_new();

		json_object_object_add(report, "stat", o);
		report_print(report);
		return;
	}
	json_object_object_foreach(o, key, value)
		printf("%-12s %s\n", key, json_object_get_string(value));
	json_object_put(o);
}

int verb_stat(int argc, char **argv)
{
	static const struct argp argp = { options, parse, TARGET_DOC, doc, common_options };
	struct request r = { };
	struct target t;
	unsigned long i;
	int status, err;

	parse_options(&argp, argc, argv, &r);
	status = target_find(r.target, &t);
	if (status)
		return status;
	if (!r.count)
		r.count = r.interval ? ~0UL : 1;
	for (i = 0; i < r.count; i++) {
		if (i) {
			sleep(r.interval ? r.interval : 1);
			if (!json_wanted)
				printf("\n");
			err = file_read(&t.file);
			if (err)
				return fail(FAILED, NULL, "the file is gone: %s", strerror(-err));
		}
		print(&t.file);
		fflush(stdout);
	}
	return DONE;
}
