// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "tool.h"

static error_t parse(int key, char *arg, struct argp_state *state)
{
	if (key == ARGP_KEY_ARG)
		argp_error(state, "'%s' is no option", arg);
	return ARGP_ERR_UNKNOWN;
}

static const char doc[] =
	"List the files of guest memory that processes have open.\n"
	"\vFILE is PID/FD, to be given to other verbs. PRIVATE and SHARED are of what is\n"
	"HELD. A file that is open several times is listed once. Seen is what /proc\n"
	"shows to the user.";

static const char * const title[] = {
	"FILE", "COMMAND", "SOURCE", "BLOCK", "SIZE", "HELD", "PRIVATE", "SHARED", "LIVE",
	"1G", "2M", "4K", "NODE", "RESERVED", "SLOTS",
};

static const enum gmem_stat sizes[] = { GMEM_STAT_PRIVATE, GMEM_STAT_SHARED, GMEM_STAT_LIVE };
static const enum gmem_stat blocks[] = {
	GMEM_STAT_BLOCKS_1G, GMEM_STAT_BLOCKS_2M, GMEM_STAT_BLOCKS_4K,
};

/* As the kernel writes lists of nodes: 0-1,3 */
static const char *nodes_text(const struct file *f)
{
	static char text[8 * FILE_NODES];
	unsigned int i, first = 0, len = 0;

	for (i = 0; i < f->nr_nodes; i++) {
		if (i + 1 < f->nr_nodes && f->node[i + 1].node == f->node[i].node + 1)
			continue;
		len += snprintf(text + len, sizeof(text) - len, len ? ",%d" : "%d",
				f->node[first].node);
		if (i > first)
			len += snprintf(text + len, sizeof(text) - len, "-%d", f->node[i].node);
		first = i + 1;
	}
	return len ? text : "-";
}

static void add_row(struct table *t, const struct file *f)
{
	char text[SIZE_TEXT];
	unsigned int i;

	table_add(t, "%s", file_name(f));
	table_add(t, "%s", f->command);
	table_add(t, "%s", source_text(f));
	table_add(t, "%s", size_text(text, f->block));
	table_add(t, "%s", size_text(text, file_stat(f, GMEM_STAT_SIZE)));
	table_add(t, "%s", size_text(text, f->held));
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		table_add(t, "%s", size_text(text, file_stat(f, sizes[i])));
	for (i = 0; i < ARRAY_SIZE(blocks); i++)
		table_add(t, "%llu", (unsigned long long)file_stat(f, blocks[i]));
	table_add(t, "%s", nodes_text(f));
	table_add(t, "%s", size_text(text, file_stat(f, GMEM_STAT_RESERVED)));
	table_add(t, "%llu", (unsigned long long)file_stat(f, GMEM_STAT_BINDINGS));
}

static void print_text(const struct files *files)
{
	struct table t;
	size_t i;

	table_init(&t, ARRAY_SIZE(title));
	for (i = 0; i < ARRAY_SIZE(title); i++)
		table_add(&t, "%s", title[i]);
	for (i = 0; i < files->nr; i++)
		add_row(&t, &files->file[i]);
	table_print(&t, 3, stdout);
}

static void print_json(const struct files *files, uint64_t exist)
{
	struct json_object *report = report_new(), *list = json_object_new_array();
	size_t i;

	for (i = 0; i < files->nr; i++)
		json_object_array_add(list, file_json(&files->file[i]));
	json_object_object_add(report, "files", list);
	put_u64(report, "processes_denied", files->denied);
	put_u64(report, "files_unreadable", files->unreadable);
	put_u64(report, "exist", exist);
	report_print(report);
}

int verb_list(int argc, char **argv)
{
	static const struct argp argp = { NULL, parse, NULL, doc, common_options };
	struct files files;
	uint64_t exist = 0;
	int status, err;

	parse_options(&argp, argc, argv, NULL);
	if (!have_gmem())
		return no_gmem();
	err = files_scan(&files);
	if (err)
		return no_proc(err);
	if (!read_number("/sys/kernel/mm/gmem/files", &exist))
		exist = files.nr;
	if (json_wanted)
		print_json(&files, exist);
	else
		print_text(&files);
	if (files.denied)
		note("the files of %zu processes may not be seen: become root", files.denied);
	else if (!files.unreadable && exist > files.nr)
		note("%llu more files exist, kept by mappings or other namespaces",
		     (unsigned long long)(exist - files.nr));
	if (files.unreadable)
		note("%zu files cannot be read", files.unreadable);
	status = files.unreadable ? FAILED : DONE;
	files_free(&files);
	return status;
}
