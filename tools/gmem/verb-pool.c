// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "pools.h"

struct request {
	uint64_t page;
	int node;
	int how;		/* 's'et, 'a'dd, 'r'emove or 0 */
	unsigned long pages;
};

static void parse_change(struct argp_state *state, int key, const char *arg)
{
	struct request *r = state->input;

	if (r->how)
		argp_error(state, "one change at a time");
	r->how = key;
	if (!parse_unsigned(arg, 1UL << 40, &r->pages))
		argp_error(state, "'%s' is no number of pages", arg);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct request *r = state->input;
	unsigned long node;

	switch (key) {
	case 'p':
		if (!parse_size(arg, &r->page) || (r->page != 2 * MIB && r->page != GIB))
			argp_error(state, "--page %s: give 2M or 1G", arg);
		return 0;
	case 'n':
		if (!parse_unsigned(arg, 1023, &node))
			argp_error(state, "--node %s: give the number of a node", arg);
		r->node = node;
		return 0;
	case 's':
	case 'a':
	case 'r':
		parse_change(state, key, arg);
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "'%s' is no option: pages are given as in --add 8", arg);
		return 0;
	case ARGP_KEY_END:
		if (r->how && !r->page)
			argp_error(state, "which pool? give --page 2M or --page 1G");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "page", 'p', "SIZE", 0, "The pool: of 2M or 1G pages", 0 },
	{ "node", 'n', "N", 0, "Of one node (of all, as the kernel spreads them)", 0 },
	{ "set", 's', "PAGES", 0, "Have so many", 1 },
	{ "add", 'a', "PAGES", 0, "Have so many more", 1 },
	{ "remove", 'r', "PAGES", 0, "Have so many less", 1 },
	{ }
};

static const char doc[] =
	"See the pools of huge pages, grow and shrink them.\n"
	"\vThe kernel gives as many pages as it finds. What is missing is said, and is\n"
	"status 1. Pages in use or reserved go when they are released.";

/* Persistent pages: surplus ones go as soon as they are free. */
static uint64_t persistent(const struct pool *p)
{
	return p->total - p->surplus;
}

static uint64_t wanted(const struct request *r, uint64_t have)
{
	if (r->how == 's')
		return r->pages;
	if (r->how == 'a')
		return have + r->pages;
	return have > r->pages ? have - r->pages : 0;
}

/*
 * A gigabyte at a time, which is as long as nobody hears anything. What is too much goes
 * at once. False if the kernel does not take the number; it may take less than was asked.
 */
static bool grow_or_shrink(const struct request *r, uint64_t want, struct pool *p)
{
	uint64_t step = GIB / r->page, start = persistent(p), next = start;
	struct progress progress;
	bool good = true;

	progress_start(&progress, "pool");
	while (good && next == persistent(p) && next != want && !interrupted) {
		next = want > next + step ? next + step : want;
		good = pool_write(r->page, r->node, next) && pool_read(r->page, r->node, p);
		if (good && want > start)
			progress_say(&progress, "%llu of %llu pages",
				     (unsigned long long)persistent(p), (unsigned long long)want);
	}
	progress_end(&progress);
	return good;
}

static const char *advice(const struct request *r)
{
	if (interrupted)
		return NULL;
	if (r->page == GIB)
		return "memory is in use or in pieces: ask at boot (hugepagesz=1G hugepages=N)";
	return "memory is in use or in pieces: free some (echo 1 >/proc/sys/vm/compact_memory)";
}

static int change(const struct request *r)
{
	uint64_t want, before;
	struct pool p;

	if (!pool_read(r->page, -1, &p))
		return fail(UNSUPPORTED, "it needs CONFIG_HUGETLBFS, and pdpe1gb for 1G",
			    "the kernel has no pages of this size");
	if (!pool_read(r->page, r->node, &p))
		return fail(UNSUPPORTED, NULL, "there is no node %d", r->node);
	before = persistent(&p);
	want = wanted(r, before);
	interrupt_catch();
	if (!grow_or_shrink(r, want, &p))
		return fail(FAILED, errno == EACCES ? "become root" : NULL,
			    "cannot set its number of pages: %s", strerror(errno));
	if (persistent(&p) != want)
		return fail(FAILED, advice(r), "wanted %llu pages, there are %llu",
			    (unsigned long long)want, (unsigned long long)persistent(&p));
	if (want < before && p.surplus)
		note("%llu pages go when they are released", (unsigned long long)p.surplus);
	return DONE;
}

int verb_pool(int argc, char **argv)
{
	static const struct argp argp = { options, parse, NULL, doc, common_options };
	struct request r = { .node = -1 };
	struct json_object *report;
	int status;

	parse_options(&argp, argc, argv, &r);
	status = r.how ? change(&r) : DONE;
	if (!have_gmem())
		note("this kernel has no gmem: no guest_memfd can take blocks of a pool");
	if (status)
		return status;
	if (json_wanted) {
		report = report_new();
		json_object_object_add(report, "pools", pools_json());
		report_print(report);
	} else {
		pools_print();
	}
	return DONE;
}
