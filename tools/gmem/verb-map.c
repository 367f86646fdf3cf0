// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "map.h"

struct request {
	const char *target;
	const char *output;
	unsigned long columns;
};

static bool ends_in(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len > n && !strcmp(text + len - n, end);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct request *r = state->input;

	switch (key) {
	case 'o':
		if (!ends_in(arg, ".svg") && !ends_in(arg, ".png"))
			argp_error(state, "--output %s: name a .svg or .png", arg);
		r->output = arg;
		return 0;
	case 'w':
		if (!parse_unsigned(arg, 1000, &r->columns) || !r->columns)
			argp_error(state, "--width %s: give a number of characters", arg);
		return 0;
	default:
		return file_parse(key, arg, state, &r->target);
	}
}

static const struct argp_option options[] = {
	{ "output", 'o', "FILE", 0, "Draw to FILE.svg, or to FILE.png with rsvg-convert", 0 },
	{ "width", 'w', "N", 0, "Characters of a row (the terminal's, or 64)", 0 },
	{ }
};

static const char doc[] =
	"Draw a file: what is private, shared and absent, and in blocks of what size.\n"
	"\vIn text upper case is private, lower case shared: G in 1G blocks, M in 2M\n"
	"blocks, K in 4K pages; _ and . are private and shared without memory, % is\n"
	"more than one of them.";

static unsigned int terminal_columns(void)
{
	struct winsize w;

	if (ioctl(1, TIOCGWINSZ, &w) || w.ws_col < 24)
		return 64;
	return w.ws_col - 12;
}

static int draw_file(const struct picture *p, const char *path)
{
	bool png = ends_in(path, ".png");
	FILE *out;
	int bad;

	if (png) {
		/* The name goes by the environment, so that the shell does not read it. */
		setenv("GMEM_PNG", path, 1);
		if (system("command -v rsvg-convert >/dev/null"))
			return fail(UNSUPPORTED, "install librsvg2-bin, or draw to a .svg",
				    "no rsvg-convert");
		out = popen("rsvg-convert -o \"$GMEM_PNG\"", "we");
	} else {
		out = fopen(path, "we");
	}
	if (!out)
		return fail(FAILED, NULL, "cannot write %s: %s", path, strerror(errno));
	/* It may end before it has read everything. */
	signal(SIGPIPE, SIG_IGN);
	map_svg(p, out);
	bad = ferror(out);
	bad |= png ? pclose(out) : fclose(out);
	return bad ? fail(FAILED, NULL, "cannot write %s", path) : DONE;
}

static void print_json(const struct picture *p)
{
	struct json_object *report = report_new(), *runs = json_object_new_array(), *o;
	size_t i;

	json_object_object_add(report, "stat", file_json(&p->target->file));
	for (i = 0; i < p->nr; i++) {
		o = json_object_new_object();
		put_u64(o, "offset", p->runs[i].offset);
		put_u64(o, "size", p->runs[i].size);
		put_bool(o, "private", p->runs[i].is_private);
		put_bool(o, "present", p->runs[i].populated);
		put_u64(o, "block", p->runs[i].block);
		json_object_array_add(runs, o);
	}
	json_object_object_add(report, "runs", runs);
	report_print(report);
}

int verb_map(int argc, char **argv)
{
	static const struct argp argp = { options, parse, TARGET_DOC, doc, common_options };
	struct request r = { };
	struct gmem_run *runs;
	struct picture p;
	struct target t;
	int status, err;
	size_t nr;

	parse_options(&argp, argc, argv, &r);
	status = target_take(r.target, &t);
	if (status)
		return status;
	err = target_runs(&t, &runs, &nr);
	if (err) {
		status = target_no_runs(&t, err);
	} else {
		p = (struct picture) { &t, runs, nr };
		if (r.output)
			status = draw_file(&p, r.output);
		if (json_wanted && !status)
			print_json(&p);
		else if (!r.output)
			map_text(&p, r.columns ? r.columns : terminal_columns(), isatty(1));
		free(runs);
	}
	target_put(&t);
	return status;
}
