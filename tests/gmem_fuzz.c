// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random programs of all that can be done to a file, against a model of what the
 * ABI says; see lib/fuzz.h. Each configuration is a case. Its operations come
 * in programs of at most PROGRAM, each with a file, a VM and a seed of its own.
 *
 * A program that fails is reduced: subsets of it run on fresh files until no part
 * of what is left can go, and that is printed as a script.
 *
 *	--ops N		operations in all configurations together
 *	--config NAME	this configuration only, and all operations there
 *	--seed N	the seed of the first program
 *	--script FILE	run a script instead; what fails of it is reduced as well
 *	--verbose	print each operation before it is carried out
 */
#include "fuzz.h"

#define DEFAULT_OPS	100000
#define PROGRAM		2000
#define MAX_RUNS	300		/* of a reduction */
#define LOG		40		/* operations shown before the one that failed */

static const struct fz_config configs[] = {
	{ "4k",		GM_SRC_4K,	1024,	GM_SWP,		true,	20 },
	{ "2m",		GM_SRC_THP_2M,	4,	GM_SWP,		true,	20 },
	{ "hugetlb-2m",	GM_SRC_HTLB_2M,	4,	GM_SWP,		true,	22 },
	{ "hugetlb-1g",	GM_SRC_HTLB_1G,	1,	GM_SWP,		true,	15 },
	/* Shared for good, and private for good. */
	{ "plain-2m",	GM_SRC_THP_2M,	4,	VM_TYPE_DEFAULT, true,	10 },
	/* Private memory only, what is shared is at userspace_addr. */
	{ "second-2m",	GM_SRC_HTLB_2M,	4,	GM_SWP,		false,	10 },
	/* From the buddy allocator, by fallocate() only: it is never left without. */
	{ "buddy-1g",	GM_SRC_THP_1G,	1,	GM_SWP,		true,	3 },
};

static u64 total_ops;
static bool one_config;
static bool verbose;
static struct fz_program script;
static struct fz_shared *shared;

static struct fz_program *running;
static int silent;

static void run_program(void *arg)
{
	/* A gigabyte is long to zero. */
	unsigned int seconds = gm_sources[running->cfg->source].block == GM_1G ? 40 : 10;

	if (silent && !freopen("/dev/null", "w", stdout))
		_exit(1);
	/* A guest that makes no progress is a failure too, and can be reduced. */
	alarm((seconds + running->nr / 40) * gm_time_scale());
	fz_run(running, shared, verbose);
}

/* Does it fail? Memory that does not come back is a failure as well. */
static bool fails(struct fz_program *p, bool quietly)
{
	struct gm_snapshot *before = gm_snapshot();
	bool good;

	running = p;
	silent = quietly;
	good = !gm_in_child(run_program, NULL);
	if (!gm_snapshot_same(before))
		good = false;
	gm_snapshot_free(before);
	return !good;
}

static void print_script(const struct fz_program *p, u64 from)
{
	char line[128];
	u64 i;

	for (i = from; i < p->nr; i++) {
		fz_print_op(&p->op[i], line, sizeof(line));
		printf("#   %s\n", line);
	}
	fflush(stdout);
}

/* Without the operations [at, at + nr). */
static void cut(struct fz_program *to, const struct fz_program *from, u64 at, u64 nr)
{
	memcpy(to->op, from->op, at * sizeof(*to->op));
	memcpy(to->op + at, from->op + at + nr, (from->nr - at - nr) * sizeof(*to->op));
	to->nr = from->nr - nr;
}

/* Chunks that halve, from the end: each goes if the rest still fails. */
static unsigned int reduce(struct fz_program *p)
{
	struct fz_program less = *p;
	unsigned int runs = 0, max = MAX_RUNS;
	u64 size, at;
	bool gone;

	if (gm_sources[p->cfg->source].block == GM_1G)
		max /= 4;

	less.op = calloc(p->nr, sizeof(*less.op));
	gm_assert(less.op, "no memory");
	for (size = (p->nr + 1) / 2; size; size = size == 1 && gone ? 1 : size / 2) {
		gone = false;
		for (at = p->nr; at && runs < max; at = at > size ? at - size : 0) {
			u64 nr = min_t(u64, size, at);

			if (at > p->nr)
				continue;
			cut(&less, p, at - nr, nr);
			runs++;
			if (!fails(&less, true))
				continue;
			/* What comes behind the failure is not needed either. */
			if (shared->at + 1 < less.nr)
				less.nr = shared->at + 1;
			memcpy(p->op, less.op, less.nr * sizeof(*p->op));
			p->nr = less.nr;
			gone = true;
		}
		if (runs >= max)
			break;
	}
	free(less.op);
	return runs;
}

static void report(struct fz_program *p)
{
	unsigned int runs;
	u64 nr = p->nr;

	/* At the end it was the last look, or what came after it. */
	p->nr = min_t(u64, p->nr, shared->at + 1);
	gm_note("%s: operation %lu of %lu failed; until then:", p->cfg->name,
		(unsigned long)p->nr, (unsigned long)nr);
	print_script(p, p->nr > LOG ? p->nr - LOG : 0);
	runs = reduce(p);
	gm_note("reduced to %lu operations in %u runs; the last run of them:",
		(unsigned long)p->nr, runs);
	if (!fails(p, false))
		gm_note("did not fail");
	gm_note("for --script, without the number signs:");
	gm_note("  config %s %#x", p->cfg->name, p->setup);
	print_script(p, 0);
}

/* Memory that no pool keeps may be there or not. */
static void need_contiguous(const struct gm_source *src)
{
	struct gm_vm *g = gm_vm_create(GM_SWP, 1, 0);
	struct gm_file f = gm_create_from(g->vm, src, src->block, GM_MMAP);
	long found;

	gm_assert_ok(gm_populate(&f, 0, f.size));
	found = gm_fdinfo(&f, "gmem-blocks-1g");
	gm_close(&f);
	gm_vm_free(g);
	if (!found)
		gm_skip("no contiguous gigabyte");
}

static void run_config(const struct fz_config *cfg)
{
	const struct gm_source *src = &gm_sources[cfg->source];
	u64 nr = one_config ? total_ops : total_ops * cfg->share / 100;
	u64 seed = gm_seed, state = gm_seed, done, now;
	struct fz_program p;

	memset(shared, 0, sizeof(*shared));
	if (!gm_have_gmem())
		gm_skip("stock guest_memfd is another ABI");
	gm_need_source(src, cfg->blocks * src->block);
	if (src->by_fallocate)
		need_contiguous(src);
	for (done = 0; done < nr; done += now) {
		now = min_t(u64, nr - done, PROGRAM);
		fz_generate(&p, cfg, seed, now);
		/* Before it runs: a kernel that panics reduces nothing. */
		gm_note("%s: --config %s --seed %#lx --ops %lu", cfg->name, cfg->name,
			(unsigned long)seed, (unsigned long)now);
		if (fails(&p, false)) {
			report(&p);
			exit(1);
		}
		free(p.op);
		seed = gm_rand(&state);
	}
	gm_note("%s: %lu operations: %lu conversions, %lu requests refused", cfg->name,
		(unsigned long)done, (unsigned long)shared->conversions,
		(unsigned long)shared->eagain);
	gm_note("%s: %lu host touches, %lu of them stopped; %lu guest commands", cfg->name,
		(unsigned long)shared->touches, (unsigned long)shared->stopped,
		(unsigned long)shared->guest);
	gm_note("%s: %lu pages held, %lu transfers of devices", cfg->name,
		(unsigned long)shared->holds, (unsigned long)shared->transfers);
}

static void run_script(void)
{
	const struct gm_source *src = &gm_sources[script.cfg->source];

	gm_need_source(src, script.cfg->blocks * src->block);
	if (fails(&script, false)) {
		report(&script);
		exit(1);
	}
}

static const struct fz_config *find_config(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(configs); i++)
		if (!strcmp(configs[i].name, name))
			return &configs[i];
	return NULL;
}

static void read_script(const char *path)
{
	FILE *in = fopen(path, "r");
	char line[256], name[32];
	u64 room = 0, nr = 0;

	if (!in) {
		perror(path);
		exit(2);
	}
	while (fgets(line, sizeof(line), in)) {
		nr++;
		if (line[0] == '#' || line[strspn(line, " \t\n")] == '\0')
			continue;
		if (!script.cfg) {
			if (sscanf(line, " config %31s %i", name, (int *)&script.setup) == 2)
				script.cfg = find_config(name);
			if (script.cfg)
				continue;
			fprintf(stderr, "%s:%lu: not 'config NAME VARIANT'\n", path,
				(unsigned long)nr);
			exit(2);
		}
		if (script.nr == room) {
			room = 2 * room + 64;
			script.op = realloc(script.op, room * sizeof(*script.op));
			if (!script.op)
				exit(2);
		}
		if (!fz_parse_op(line, &script.op[script.nr++])) {
			fprintf(stderr, "%s:%lu: no such operation\n", path, (unsigned long)nr);
			exit(2);
		}
	}
	fclose(in);
	if (!script.cfg) {
		fprintf(stderr, "%s: empty\n", path);
		exit(2);
	}
}

#define CASE(nr) static void case_##nr(void) { run_config(&configs[nr]); }

CASE(0)
CASE(1)
CASE(2)
CASE(3)
CASE(4)
CASE(5)
CASE(6)

static void (*const case_fn[])(void) = { case_0, case_1, case_2, case_3, case_4, case_5,
					case_6 };
static_assert(ARRAY_SIZE(case_fn) == ARRAY_SIZE(configs));

/* Ours from the command line; what is left is for gm_main(). */
static int take_options(int argc, char **argv)
{
	int in, out = 1;

	for (in = 1; in < argc; in++) {
		const char *value = argv[in + 1];

		if (!strcmp(argv[in], "--verbose")) {
			verbose = true;
		} else if (!strcmp(argv[in], "--ops") && value) {
			total_ops = strtoull(argv[++in], NULL, 0);
		} else if (!strcmp(argv[in], "--script") && value) {
			read_script(argv[++in]);
		} else if (!strcmp(argv[in], "--config") && value) {
			one_config = true;
			argv[out++] = "--only";
			argv[out++] = argv[++in];
		} else {
			argv[out++] = argv[in];
		}
	}
	argv[out] = NULL;
	return out;
}

int main(int argc, char **argv)
{
	struct gm_case cases[ARRAY_SIZE(configs)];
	unsigned int i;

	total_ops = DEFAULT_OPS;
	argc = take_options(argc, argv);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 2;
	for (i = 0; i < ARRAY_SIZE(configs); i++) {
		cases[i] = (struct gm_case) {
			.name = configs[i].name,
			.fn = case_fn[i],
			/* And time to reduce a failure. */
			.seconds = 600 + total_ops / 20,
		};
	}
	if (script.cfg) {
		cases[0] = (struct gm_case) { .name = "script", .fn = run_script, .seconds = 1200 };
		return gm_main(argc, argv, cases, 1, 16);
	}
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 16);
}
