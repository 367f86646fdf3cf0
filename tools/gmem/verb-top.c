// SPDX-License-Identifier: GPL-2.0-only
#include <curses.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vm.h"

struct request {
	bool batch;
	struct repeat repeat;
};

/* One reading of everything. */
struct reading {
	double when;
	struct files files;
	struct vms vms;
};

enum rate {
	RATE_CONVERSIONS,
	RATE_EAGAIN,
	RATE_FAULTS,
	RATE_INVALIDATIONS,
	RATE_NR,
};

struct rates {
	bool known[RATE_NR];
	double value[RATE_NR];
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct request *r = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = &r->repeat;
		return 0;
	case 'b':
		r->batch = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is no option", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "batch", 'b', NULL, 0, "Print one screen after another; so does --json", 0 },
	{ }
};

static const char doc[] =
	"Show files of guest memory as in a list, with rates per second, until q is typed.\n"
	"\vCONV and EAGAIN are conversions of the file, done and refused. FAULT and INVAL\n"
	"are faults of guests and ranges taken away from them, of all VMs of the\n"
	"process; only root may read them, from debugfs.";

static int reading_take(struct reading *r)
{
	int err = files_scan(&r->files);

	r->when = now();
	if (!err)
		vms_read(&r->vms);
	return err;
}

static void reading_free(struct reading *r)
{
	files_free(&r->files);
	vms_free(&r->vms);
	memset(r, 0, sizeof(*r));
}

static const struct file *find(const struct reading *r, const struct file *f)
{
	size_t i;

	for (i = 0; i < r->files.nr; i++) {
		if (file_stat(&r->files.file[i], GMEM_STAT_INO) == file_stat(f, GMEM_STAT_INO))
			return &r->files.file[i];
	}
	return NULL;
}

static void rate(struct rates *rates, enum rate which, uint64_t is, uint64_t was, double seconds)
{
	rates->known[which] = is >= was && seconds > 0;
	rates->value[which] = rates->known[which] ? (is - was) / seconds : 0;
}

static void rates_of(const struct reading *old, const struct reading *new, size_t i,
		     struct rates *r)
{
	static const enum rate of_vm[VM_NR] = {
		[VM_FAULTS] = RATE_FAULTS, [VM_INVALIDATIONS] = RATE_INVALIDATIONS,
	};
	const struct file *f = &new->files.file[i], *was = find(old, f);
	const struct vm_counts *vm = vms_of(&new->vms, f->pid), *vm_was;
	double seconds = new->when - old->when;
	int j;

	memset(r, 0, sizeof(*r));
	if (!was)
		return;
	rate(r, RATE_CONVERSIONS, file_stat(f, GMEM_STAT_CONVERSIONS),
	     file_stat(was, GMEM_STAT_CONVERSIONS), seconds);
	rate(r, RATE_EAGAIN, file_stat(f, GMEM_STAT_EAGAIN), file_stat(was, GMEM_STAT_EAGAIN),
	     seconds);
	vm_was = vms_of(&old->vms, was->pid);
	for (j = 0; j < VM_NR && vm && vm_was; j++)
		rate(r, of_vm[j], vm->value[j], vm_was->value[j], seconds);
}

static void write_totals(const struct reading *r, FILE *out)
{
	uint64_t size = 0, held = 0, private = 0, shared = 0;
	char a[SIZE_TEXT], b[SIZE_TEXT], c[SIZE_TEXT], d[SIZE_TEXT];
	size_t i;

	for (i = 0; i < r->files.nr; i++) {
		size += file_stat(&r->files.file[i], GMEM_STAT_SIZE);
		held += r->files.file[i].held;
		private += file_stat(&r->files.file[i], GMEM_STAT_PRIVATE);
		shared += file_stat(&r->files.file[i], GMEM_STAT_SHARED);
	}
	fprintf(out, "%zu files of %s, %s held: %s private, %s shared", r->files.nr,
		size_text(a, size), size_text(b, held), size_text(c, private),
		size_text(d, shared));
	if (r->files.denied)
		fprintf(out, "; %zu processes may not be seen", r->files.denied);
	if (r->files.unreadable)
		fprintf(out, "; %zu files cannot be read", r->files.unreadable);
	fprintf(out, "\n\n");
}

static void add_rate(struct table *t, const struct rates *r, enum rate which)
{
	if (r->known[which])
		table_add(t, "%.0f", r->value[which]);
	else
		table_add(t, "-");
}

static void write_frame(const struct reading *old, const struct reading *new, FILE *out)
{
	static const char * const title[] = {
		"FILE", "COMMAND", "BLOCK", "SIZE", "HELD", "PRIVATE", "SHARED", "LIVE",
		"CONV/s", "EAGAIN/s", "FAULT/s", "INVAL/s",
	};
	const struct file *f;
	char text[SIZE_TEXT];
	struct rates rates;
	struct table t;
	size_t i;
	int j;

	write_totals(new, out);
	table_init(&t, ARRAY_SIZE(title));
	for (i = 0; i < ARRAY_SIZE(title); i++)
		table_add(&t, "%s", title[i]);
	for (i = 0; i < new->files.nr; i++) {
		f = &new->files.file[i];
		rates_of(old, new, i, &rates);
		table_add(&t, "%s", file_name(f));
		table_add(&t, "%s", f->command);
		table_add(&t, "%s", size_text(text, f->block));
		table_add(&t, "%s", size_text(text, file_stat(f, GMEM_STAT_SIZE)));
		table_add(&t, "%s", size_text(text, f->held));
		table_add(&t, "%s", size_text(text, file_stat(f, GMEM_STAT_PRIVATE)));
		table_add(&t, "%s", size_text(text, file_stat(f, GMEM_STAT_SHARED)));
		table_add(&t, "%s", size_text(text, file_stat(f, GMEM_STAT_LIVE)));
		for (j = 0; j < RATE_NR; j++)
			add_rate(&t, &rates, j);
	}
	table_print(&t, 2, out);
}

static void print_json(const struct reading *old, const struct reading *new)
{
	static const char * const keys[RATE_NR] = {
		"conversions_per_second", "eagain_per_second", "vm_faults_per_second",
		"vm_invalidations_per_second",
	};
	struct json_object *report = report_new(), *list = json_object_new_array(), *o;
	struct rates rates;
	size_t i;
	int j;

	for (i = 0; i < new->files.nr; i++) {
		o = file_json(&new->files.file[i]);
		rates_of(old, new, i, &rates);
		for (j = 0; j < RATE_NR; j++)
			json_object_object_add(o, keys[j], rates.known[j] ?
					       json_object_new_double(rates.value[j]) : NULL);
		json_object_array_add(list, o);
	}
	json_object_object_add(report, "files", list);
	put_u64(report, "processes_denied", new->files.denied);
	put_u64(report, "files_unreadable", new->files.unreadable);
	report_print(report);
}

/* Lines that are too long are cut, those below the screen are not shown. */
static void show_frame(const struct reading *old, const struct reading *new)
{
	char *text, *line, *rest;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int row = 0;

	write_frame(old, new, out);
	fclose(out);
	erase();
	for (rest = text; (line = strsep(&rest, "\n")) && row < LINES - 1; row++) {
		if (row == 2)
			attron(A_REVERSE);
		mvaddnstr(row, 0, line, COLS);
		if (row == 2)
			attroff(A_REVERSE);
	}
	mvaddnstr(LINES - 1, 0, "q quits", COLS);
	refresh();
	free(text);
}

static bool screen_wait(unsigned long seconds)
{
	int key;

	timeout(seconds * 1000);
	key = getch();
	return key != 'q' && key != 'Q';
}

static int screen_start(void)
{
	SCREEN *screen;

	if (!isatty(1) || !isatty(0))
		return fail(USAGE, "give --batch", "no terminal");
	screen = newterm(NULL, stdout, stdin);
	if (!screen)
		return fail(USAGE, "give --batch", "this terminal (TERM=%s) is not known",
			    getenv("TERM") ? getenv("TERM") : "");
	set_term(screen);
	cbreak();
	noecho();
	curs_set(0);
	return DONE;
}

static bool show(const struct request *r, const struct reading *old, const struct reading *new,
		 bool last)
{
	if (json_wanted)
		print_json(old, new);
	else if (r->batch)
		write_frame(old, new, stdout);
	else
		show_frame(old, new);
	if (last)
		return false;
	if (!r->batch)
		return screen_wait(repeat_interval(&r->repeat));
	if (!json_wanted)
		printf("\n");
	fflush(stdout);
	sleep(repeat_interval(&r->repeat));
	return true;
}

/* 0, 1 if a file could not be read, or -errno. */
static int loop(const struct request *r)
{
	struct reading old = { }, new;
	unsigned long i;
	bool more = true;
	int err = 0, status = 0;

	for (i = 0; more; i++) {
		err = reading_take(&new);
		if (err)
			break;
		status |= new.files.unreadable > 0;
		more = show(r, i ? &old : &new, &new, repeat_over(&r->repeat, i + 1));
		reading_free(&old);
		old = new;
	}
	reading_free(&old);
	return err ? err : status;
}

int verb_top(int argc, char **argv)
{
	static const struct argp argp = { options, parse, NULL, doc, repeat_options };
	struct request r = { };
	int status, err;

	parse_options(&argp, argc, argv, &r);
	if (!have_gmem())
		return no_gmem();
	r.batch |= json_wanted;
	status = r.batch ? DONE : screen_start();
	if (status)
		return status;
	err = loop(&r);
	if (!r.batch)
		endwin();
	if (err < 0)
		return no_proc(err);
	return err ? FAILED : DONE;
}
