// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the kernel says about a file in one place against what it says in another:
 * counters against runs, runs against blocks, blocks against what is held.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "blocks.h"

#define LIST	"/sys/kernel/debug/gmem/blocks"

/* How often to read again because the file changed meanwhile. */
#define READINGS	100

struct check {
	struct json_object *results;
	unsigned int failed;
	unsigned int done;
	unsigned int busy;
	bool named;		/* one file, which the user wants compared */
	unsigned int skipped;	/* what there was nothing to compare with for */
};

static void record(struct check *c, const struct file *f, const char *what, bool good,
		   uint64_t is, uint64_t should)
{
	const char *name = f ? file_name(f) : "machine";
	struct json_object *o;

	c->done++;
	c->failed += !good;
	if (json_wanted) {
		o = json_object_new_object();
		put_text(o, "file", name);
		put_text(o, "check", what);
		put_bool(o, "passed", good);
		put_u64(o, "value", is);
		put_u64(o, "expected", should);
		json_object_array_add(c->results, o);
	} else if (!good) {
		printf("%s: %s: %llu, expected %llu\n", name, what, (unsigned long long)is,
		       (unsigned long long)should);
	}
}

static void result(struct check *c, const struct file *f, const char *what, uint64_t is,
		   uint64_t should)
{
	record(c, f, what, is == should, is, should);
}

static void at_most(struct check *c, const struct file *f, const char *what, uint64_t is,
		    uint64_t most)
{
	record(c, f, what, is <= most, is, most);
}

static uint64_t in_blocks(const struct file *f)
{
	return file_stat(f, GMEM_STAT_BLOCKS_4K) * PAGE +
	       file_stat(f, GMEM_STAT_BLOCKS_2M) * 2 * MIB +
	       file_stat(f, GMEM_STAT_BLOCKS_1G) * GIB;
}

/*
 * These hold in each single reading. The kernel derives some of them from others, so a
 * sum alone says little: a counter of what is shared that is too large wraps what is private.
 */
static void check_reading(struct check *c, const struct file *f)
{
	uint64_t held = file_stat(f, GMEM_STAT_ALLOCATED);

	at_most(c, f, "private is at most what is held", file_stat(f, GMEM_STAT_PRIVATE), held);
	at_most(c, f, "shared is at most what is held", file_stat(f, GMEM_STAT_SHARED), held);
	result(c, f, "private and shared are what is held",
	       file_stat(f, GMEM_STAT_PRIVATE) + file_stat(f, GMEM_STAT_SHARED), held);
	result(c, f, "blocks are what is held", in_blocks(f), held);
	if (!strcmp(source_text(f), "hugetlb"))
		result(c, f, "held and reserved are the size",
		       held + file_stat(f, GMEM_STAT_RESERVED), file_stat(f, GMEM_STAT_SIZE));
}

static bool same(const struct file *a, const struct file *b)
{
	return a->held == b->held && !memcmp(&a->stats, &b->stats, sizeof(a->stats));
}

/*
 * What a comparison came to. Numbers that are the same before and after do not say that
 * nothing moved: a page may have gone, and another one come. What is wrong is wrong each
 * time.
 */
struct finding {
	const char *what;
	uint64_t is;
	uint64_t should;
};

static bool all_agree(const struct finding *v, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr && v[i].is == v[i].should; i++)
		;
	return i == nr;
}

static void results(struct check *c, const struct file *f, const struct finding *v, unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++)
		result(c, f, v[i].what, v[i].is, v[i].should);
}

static uint64_t on_nodes(const struct file *f)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < f->nr_nodes; i++)
		sum += f->node[i].bytes;
	return sum;
}

#define RUN_CHECKS	8

static void compare_runs(const struct file *f, const struct gmem_run *runs, size_t nr,
			 struct finding v[RUN_CHECKS])
{
	uint64_t private = 0, shared = 0, block[3] = { }, alike = 0;
	const struct gmem_run *r;
	size_t i;

	for (i = 0; i < nr; i++) {
		r = &runs[i];
		alike += i && r[-1].is_private == r->is_private && r[-1].block == r->block;
		if (!r->populated)
			continue;
		*(r->is_private ? &private : &shared) += r->size;
		block[r->block == GIB ? 2 : r->block == 2 * MIB ? 1 : 0] += r->size;
	}
	v[0] = (struct finding){ "runs that are private and present", private,
				 file_stat(f, GMEM_STAT_PRIVATE) };
	v[1] = (struct finding){ "runs that are shared and present", shared,
				 file_stat(f, GMEM_STAT_SHARED) };
	v[2] = (struct finding){ "runs in 4K", block[0],
				 file_stat(f, GMEM_STAT_BLOCKS_4K) * PAGE };
	v[3] = (struct finding){ "runs in 2M", block[1],
				 file_stat(f, GMEM_STAT_BLOCKS_2M) * 2 * MIB };
	v[4] = (struct finding){ "runs in 1G", block[2],
				 file_stat(f, GMEM_STAT_BLOCKS_1G) * GIB };
	v[5] = (struct finding){ "runs that go on in the next", alike, 0 };
	v[6] = (struct finding){ "st_blocks", f->held, file_stat(f, GMEM_STAT_ALLOCATED) };
	v[7] = (struct finding){ "memory of all nodes", on_nodes(f),
				 file_stat(f, GMEM_STAT_ALLOCATED) };
}

/*
 * All runs, with the numbers the same before and after, until they agree or were wrong
 * every time. -EAGAIN if it does not rest.
 */
static int check_runs(struct target *t, struct finding v[RUN_CHECKS])
{
	struct gmem_run *runs;
	bool rested = true;
	struct file before;
	unsigned int i;
	size_t nr;
	int err;

	for (i = 0; i < READINGS; i++) {
		err = file_read(&t->file);
		before = t->file;
		if (!err)
			err = target_runs(t, &runs, &nr);
		if (err)
			return err;
		err = file_read(&t->file);
		compare_runs(&t->file, runs, nr, v);
		free(runs);
		if (err)
			return err;
		if (!same(&before, &t->file))
			rested = false;
		else if (all_agree(v, RUN_CHECKS))
			return 0;
	}
	return rested ? 0 : -EAGAIN;
}

#define LIST_CHECKS	4

static void compare_listed(const struct file *f, const struct listed *l,
			   struct finding v[LIST_CHECKS])
{
	v[0] = (struct finding){ "single pages in debugfs", l->count[0],
				 file_stat(f, GMEM_STAT_BLOCKS_4K) };
	v[1] = (struct finding){ "2M blocks in debugfs", l->count[1],
				 file_stat(f, GMEM_STAT_BLOCKS_2M) };
	v[2] = (struct finding){ "1G blocks in debugfs", l->count[2],
				 file_stat(f, GMEM_STAT_BLOCKS_1G) };
	v[3] = (struct finding){ "live pages in debugfs", l->live * PAGE,
				 file_stat(f, GMEM_STAT_LIVE) };
}

/* How often to read the list, which is long on a large machine, because of a wrong line. */
#define LISTS		20

/* Only if its numbers are the same around the list. False: try again. */
static bool check_around(struct check *c, const struct file *before, const struct blocks *b,
			 bool last)
{
	struct finding v[LIST_CHECKS];
	struct file after = *before;

	if (file_read(&after) || !same(before, &after)) {
		c->skipped += LIST_CHECKS;
		return true;
	}
	compare_listed(&after, blocks_of(b, file_stat(&after, GMEM_STAT_INO)), v);
	if (!last && !all_agree(v, LIST_CHECKS))
		return false;
	results(c, &after, v, LIST_CHECKS);
	return true;
}

/* One reading of the list is for all files that have not been compared with it yet. */
static void check_list(struct check *c, const struct files *all)
{
	struct files files = { .file = alloc(all->nr * sizeof(*all->file)), .nr = all->nr };
	struct blocks b;
	size_t i, left = 1;
	unsigned int n;

	memcpy(files.file, all->file, all->nr * sizeof(*all->file));
	for (n = 1; left; n++) {
		for (i = 0; i < files.nr; i++)
			file_read(&files.file[i]);
		if (!blocks_read(LIST, &files, &b)) {
			note("cannot read " LIST ": %s", strerror(errno));
			c->skipped += LIST_CHECKS * files.nr + 1;
			break;
		}
		for (i = left = 0; i < files.nr; i++) {
			if (!check_around(c, &files.file[i], &b, n == LISTS))
				files.file[left++] = files.file[i];
		}
		files.nr = left;
		if (!left)
			result(c, NULL, "lines in debugfs that make no sense", b.bad, 0);
		blocks_free(&b);
	}
	free(files.file);
}

static int check_file(struct check *c, const struct file *f)
{
	struct target t = { .file = *f };
	struct finding v[RUN_CHECKS];
	int err;

	err = file_read(&t.file);
	if (file_gone(err) && !c->named)
		return DONE;
	if (err)
		return fail(FAILED, NULL, "%s was not compared: %s", file_name(f), strerror(-err));
	check_reading(c, &t.file);
	if (target_open(&t))
		return FAILED;
	err = check_runs(&t, v);
	if (!err) {
		results(c, &t.file, v, RUN_CHECKS);
	} else if (err == -EAGAIN) {
		c->busy++;
		if (c->named)
			note("%s does not rest, its runs were not compared", file_name(f));
	}
	target_put(&t);
	/* A file that does not track has no runs to read. */
	if (err && err != -EAGAIN && err != -ENOTTY)
		return target_no_runs(&t, err);
	return err == -EAGAIN && c->named ? FAILED : DONE;
}

enum sum {
	SUM_FILES,
	SUM_4K,
	SUM_2M,
	SUM_1G,
	SUM_ORPHANS,
	SUM_NR,
};

static bool read_counters(uint64_t sum[SUM_NR])
{
	static const char * const paths[SUM_NR] = {
		[SUM_FILES] = "/sys/kernel/mm/gmem/files",
		[SUM_4K] = "/sys/kernel/mm/gmem/blocks_4k",
		[SUM_2M] = "/sys/kernel/mm/gmem/blocks_2m",
		[SUM_1G] = "/sys/kernel/mm/gmem/blocks_1g",
		[SUM_ORPHANS] = "/sys/kernel/mm/gmem/orphan_blocks",
	};
	bool good = true;
	int i;

	for (i = 0; i < SUM_NR; i++)
		good &= read_number(paths[i], &sum[i]);
	return good;
}

static void add_up(const struct files *files, uint64_t sum[SUM_NR])
{
	size_t i;

	memset(sum, 0, SUM_NR * sizeof(*sum));
	sum[SUM_FILES] = files->nr;
	for (i = 0; i < files->nr; i++) {
		sum[SUM_4K] += file_stat(&files->file[i], GMEM_STAT_BLOCKS_4K);
		sum[SUM_2M] += file_stat(&files->file[i], GMEM_STAT_BLOCKS_2M);
		sum[SUM_1G] += file_stat(&files->file[i], GMEM_STAT_BLOCKS_1G);
	}
}

/*
 * Counters of blocks have orphans in them, which no file has: as many of what is missing
 * in the sum as there are orphans is in order. Single pages that are orphans are not in
 * blocks_4k, so this is an upper bound.
 */
static void add_orphans(uint64_t sum[SUM_NR], const uint64_t counter[SUM_NR])
{
	uint64_t orphans = counter[SUM_ORPHANS], missing;
	int i;

	for (i = SUM_2M; i <= SUM_1G; i++) {
		missing = counter[i] > sum[i] ? counter[i] - sum[i] : 0;
		missing = missing < orphans ? missing : orphans;
		sum[i] += missing;
		orphans -= missing;
	}
	sum[SUM_ORPHANS] = counter[SUM_ORPHANS];
}

#define SUM_CHECKS	3

static void skip_sums(struct check *c, const char *why)
{
	note("the sums of all files are not compared: %s", why);
	c->skipped += SUM_CHECKS;
}

/*
 * Files are read one after another, so the sum can be wrong while guests run. What is
 * wrong each time, with counters that did not move meanwhile, is a failure.
 */
static void check_sums(struct check *c)
{
	uint64_t sum[SUM_NR] = { }, before[SUM_NR], after[SUM_NR];
	bool rested = false, agrees = false;
	struct files files;
	unsigned int i;

	for (i = 0; i < READINGS && !agrees; i++) {
		if (!read_counters(before) || files_scan(&files)) {
			skip_sums(c, "they cannot be read");
			return;
		}
		add_up(&files, sum);
		files_free(&files);
		if (!read_counters(after) || memcmp(before, after, sizeof(after)))
			continue;
		if (sum[SUM_FILES] < after[SUM_FILES]) {
			skip_sums(c, "there are files that only mappings or other namespaces have");
			return;
		}
		rested = true;
		add_orphans(sum, after);
		agrees = !memcmp(sum, after, sizeof(sum));
	}
	if (!rested) {
		c->busy++;
		return;
	}
	result(c, NULL, "single pages of all files", sum[SUM_4K], after[SUM_4K]);
	result(c, NULL, "2M blocks of all files", sum[SUM_2M], after[SUM_2M]);
	result(c, NULL, "1G blocks of all files", sum[SUM_1G], after[SUM_1G]);
}

static int check_one(struct check *c, struct target *t)
{
	struct files one = { .file = &t->file, .nr = 1 };
	int status = check_file(c, &t->file);

	/* There is nothing of a file in the list that was closed meanwhile. */
	if (c->done)
		check_list(c, &one);
	return status;
}

static int check_machine(struct check *c)
{
	struct progress progress;
	int status = DONE, err;
	struct files files;
	size_t i;

	err = files_scan(&files);
	if (err)
		return no_proc(err);
	check_list(c, &files);
	progress_start(&progress, "check");
	for (i = 0; i < files.nr; i++) {
		progress_say(&progress, "%zu of %zu files", i, files.nr);
		if (check_file(c, &files.file[i]))
			status = FAILED;
	}
	progress_end(&progress);
	if (files.denied) {
		note("the files of %zu processes may not be seen: become root", files.denied);
		status = FAILED;
	} else if (!files.unreadable) {
		check_sums(c);
	}
	if (files.unreadable) {
		note("%zu files cannot be read", files.unreadable);
		status = FAILED;
	}
	files_free(&files);
	return status;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	const char **target = state->input;

	if (key != ARGP_KEY_ARG)
		return ARGP_ERR_UNKNOWN;
	if (*target)
		argp_error(state, "one file at a time, or none for all");
	*target = arg;
	return 0;
}

static const char doc[] =
	"Compare what the kernel says about a file, or about all, in one place with\n"
	"what it says in others.\n"
	"\vA file that does not rest for long enough is counted as busy, and is an error only\n"
	"if it was named. What there is nothing to compare with is counted as skipped.";

int verb_check(int argc, char **argv)
{
	static const struct argp argp = { NULL, parse, "[" TARGET_DOC "]", doc, common_options };
	struct check c = { .results = json_object_new_array() };
	const char *name = NULL;
	struct json_object *report;
	struct target t;
	int status;

	parse_options(&argp, argc, argv, &name);
	if (!have_gmem())
		return no_gmem();
	c.named = name;
	if (name) {
		status = target_find(name, &t);
		if (status)
			return status;
	}
	failures = json_object_new_array();
	status = name ? check_one(&c, &t) : check_machine(&c);
	if (status && !c.done && !json_wanted)
		return status;
	if (json_wanted) {
		report = report_new();
		put_u64(report, "checks", c.done);
		put_u64(report, "failed", c.failed);
		put_u64(report, "busy", c.busy);
		put_u64(report, "skipped", c.skipped);
		json_object_object_add(report, "results", c.results);
		json_object_object_add(report, "errors", failures);
		report_print(report);
	} else {
		printf("%u checks, %u failed, %u files busy", c.done, c.failed, c.busy);
		if (c.skipped)
			printf(", %u skipped", c.skipped);
		putchar('\n');
	}
	return c.failed ? FAILED : status;
}
