// SPDX-License-Identifier: GPL-2.0-only
/* The table of verbs. */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

struct verb {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *brief;
};

static const struct verb verbs[] = {
	{ "info", verb_info, "what this kernel can do, pools and counters" },
	{ "list", verb_list, "files of guest memory on this machine" },
	{ "stat", verb_stat, "the numbers of one file, once or again and again" },
	{ "top", verb_top, "files of guest memory, live" },
	{ "map", verb_map, "a picture of one file" },
	{ "pool", verb_pool, "see, grow and shrink pools of huge pages" },
	{ "convert", verb_convert, "make part of a file private or shared" },
	{ "punch", verb_punch, "give memory of a file back" },
	{ "populate", verb_populate, "have memory of a file present" },
	{ "check", verb_check, "compare all that the kernel says about files" },
	{ "bench", verb_bench, "what guest memory costs on this machine" },
	{ "run", verb_run, "boot Linux on guest memory, with a small VMM" },
	{ "trace", verb_trace, "follow what happens to guest memory" },
};

const char *verb_name = "";
bool json_wanted;

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	if (key != 'j')
		return ARGP_ERR_UNKNOWN;
	json_wanted = true;
	return 0;
}

static const struct argp_option common[] = {
	{ "json", 'j', NULL, 0, "Print JSON, as schema.json has it", 100 },
	{ }
};

static const struct argp common_argp = { common, parse_common };

const struct argp_child common_options[] = { { &common_argp }, { } };

void parse_options(const struct argp *argp, int argc, char **argv, void *input)
{
	static char name[32];

	/* argp's messages begin with it. */
	snprintf(name, sizeof(name), "gmem %s", verb_name);
	argv[0] = name;
	argp_err_exit_status = USAGE;
	argp_parse(argp, argc, argv, 0, NULL, input);
}

static void usage(FILE *out)
{
	unsigned int i;

	fprintf(out, "Usage: gmem VERB [OPTION...]\n\n");
	for (i = 0; i < ARRAY_SIZE(verbs); i++)
		fprintf(out, "  %-10s%s\n", verbs[i].name, verbs[i].brief);
	fprintf(out, "\n'gmem VERB --help' and gmem-VERB(1) say more.\n"
		"Status: 0 done, 1 failed in whole or in part, 2 wrong options,\n"
		"4 this kernel or machine cannot do it.\n");
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(verbs); i++) {
		if (strcmp(verbs[i].name, name))
			continue;
		verb_name = verbs[i].name;
		i = verbs[i].run(argc - 1, argv + 1);
		/* Output that did not arrive was not done. */
		if (fflush(stdout) || ferror(stdout))
			i = i ? i : fail(FAILED, "make room for it", "cannot write the output");
		return i;
	}
	if (!strcmp(name, "help") || !strcmp(name, "--help") || !strcmp(name, "-h")) {
		usage(stdout);
		return DONE;
	}
	if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
		printf("gmem %u.%u\n", gmem_version() >> 16, gmem_version() & 0xffff);
		return DONE;
	}
	if (*name)
		fprintf(stderr, "gmem: no verb '%s': see gmem --help\n", name);
	else
		usage(stderr);
	return USAGE;
}
