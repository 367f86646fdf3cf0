// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

struct request {
	const char *target;
	struct repeat repeat;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct request *r = state->input;

	if (key != ARGP_KEY_INIT)
		return file_parse(key, arg, state, &r->target);
	state->child_inputs[0] = &r->repeat;
	return 0;
}

static const char doc[] =
	"Print what the kernel says about one file.\n"
	"\vOnce, unless an option says otherwise. Memory is in bytes. With --json each\n"
	"reading is an object of its own.";

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
	static const struct argp argp = { NULL, parse, TARGET_DOC, doc, repeat_options };
	struct request r = { };
	struct target t;
	unsigned long i;
	int status, err;

	parse_options(&argp, argc, argv, &r);
	status = target_find(r.target, &t);
	if (status)
		return status;
	if (!r.repeat.count && !r.repeat.interval)
		r.repeat.count = 1;
	for (i = 0; !repeat_over(&r.repeat, i); i++) {
		if (i) {
			sleep(repeat_interval(&r.repeat));
			if (!json_wanted)
				printf("\n");
			err = file_read(&t.file);
			if (err)
				return fail(FAILED, NULL, "the file %s: %s",
					    file_gone(err) ? "is gone" : "cannot be read",
					    strerror(-err));
		}
		print(&t.file);
		fflush(stdout);
	}
	return DONE;
}
