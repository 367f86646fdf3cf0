// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "bench.h"

static const struct kind kinds[] = {
	{ "7.3", "7.3", PAGE, GMEM_PAGES, true },
	{ "pages", "4K", PAGE, GMEM_PAGES },
	{ "buddy-2m", "2M", 2 * MIB, GMEM_BUDDY },
	{ "hugetlb-2m", "2M, pool", 2 * MIB, GMEM_HUGETLB },
	{ "buddy-1g", "1G", GIB, GMEM_BUDDY },
	{ "hugetlb-1g", "1G, pool", GIB, GMEM_HUGETLB },
};

#define KINDS	ARRAY_SIZE(kinds)

static const struct {
	const char *key;
	const char *title;
	bool of_size;		/* the figure is of all of the file */
} measures[MEASURE_NR] = {
	[MEASURE_UNTOUCHED] = { "untouched", "untouched, there and back", true },
	[MEASURE_POPULATE] = { "populate", "populate", true },
	[MEASURE_TOUCH] = { "touch", "guest writes to each page", true },
	[MEASURE_FIRST] = { "page_first", "a page there and back, first", false },
	[MEASURE_PAGE] = { "page", "  later", false },
	[MEASURE_RANGE] = { "range", "2M there and back", false },
	[MEASURE_PUNCH] = { "punch", "punch", true },
};

struct request {
	bool wanted[KINDS];
	bool named;
	uint64_t size;
};

static void want(struct request *r, const char *name, struct argp_state *state)
{
	unsigned int i;

	for (i = 0; i < KINDS; i++) {
		if (!strcmp(name, kinds[i].name)) {
			r->wanted[i] = true;
			r->named = true;
			return;
		}
	}
	argp_error(state, "'%s' is no kind of memory: see --help", name);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct request *r = state->input;

	switch (key) {
	case 's':
		if (!parse_size(arg, &r->size) || !r->size || r->size > GUEST_MAX)
			argp_error(state, "--size %s: give up to 2G", arg);
		return 0;
	case ARGP_KEY_ARG:
		want(r, arg, state);
		return 0;
	case ARGP_KEY_SUCCESS:
		if (!r->named)
			memset(r->wanted, true, sizeof(r->wanted));
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "size", 's', "SIZE", 0, "Memory of the guest, rounded up to whole blocks (1G)", 0 },
	{ }
};

static const char doc[] =
	"Measure what memory of each KIND costs here, with a guest of its own.\n"
	"\vKinds are 7.3, pages, buddy-2m, hugetlb-2m, buddy-1g and hugetlb-1g; without\n"
	"any, those that can be had. 7.3 is memory as Linux 7.3 has it, in parentheses is\n"
	"the part of what it takes. There and back: memory becomes shared, the host\n"
	"writes to each page, it becomes private, the guest writes to each page.";

static uint64_t size_of(const struct request *r, const struct kind *kind)
{
	uint64_t unit = kind->block > 2 * MIB ? kind->block : 2 * MIB;

	return (r->size + unit - 1) / unit * unit;
}

static struct json_object *cost_json(const struct bench *b, const struct cost *cost)
{
	struct json_object *o = json_object_new_object();

	put_u64(o, "nanoseconds", cost->ns);
	json_object_object_add(o, "instructions", b->meter.perf_fd < 0 ? NULL :
			       json_object_new_uint64(cost->instructions));
	return o;
}

static void print_json(const struct bench *b, const struct result *r)
{
	struct json_object *report = report_new(), *costs = json_object_new_object();
	int i;

	put_text(report, "kind", r->kind->name);
	put_u64(report, "size", r->size);
	put_u64(report, "faults", r->faults);
	/* 7.3 does not say it. */
	json_object_object_add(report, "held", have_gmem() ? json_object_new_uint64(r->held) :
			       NULL);
	for (i = 0; i < MEASURE_NR; i++)
		json_object_object_add(costs, measures[i].key, cost_json(b, &r->cost[i]));
	json_object_object_add(report, "costs", costs);
	report_print(report);
	fflush(stdout);
}

/* Named, it fails; otherwise it is said, and the others are measured. */
static int missing(const struct request *r, const struct kind *kind, int err)
{
	const char *why = "the kernel does not have it", *advice = NULL;
	enum status status = UNSUPPORTED;
	char text[SIZE_TEXT], add[64];

	if (err == -ENOMEM) {
		status = FAILED;
		size_text(text, kind->block);
		snprintf(add, sizeof(add), "gmem pool --page %s --add %llu", text,
			 (unsigned long long)(size_of(r, kind) / kind->block));
		advice = kind->source == GMEM_HUGETLB ? add : "free some, or give less --size";
		why = "not enough memory in blocks of that size";
	} else if (err != -EINVAL) {
		return fail(FAILED, NULL, "%s: %s", kind->name,
			    err == -EINTR ? "interrupted" : strerror(-err));
	}
	if (r->named)
		return fail(status, advice, "%s: %s", kind->name, why);
	note("%s is left out: %s%s%s", kind->name, why, advice ? ": " : "", advice ? advice : "");
	return DONE;
}

/* All that are wanted, until one fails; those that were measured have a size. */
static int measure(const struct request *r, struct bench *b, struct result results[KINDS])
{
	int status = DONE, err;
	unsigned int i;

	for (i = 0; i < KINDS && !status; i++) {
		if (!r->wanted[i])
			continue;
		b->progress->what = kinds[i].name;
		err = bench_measure(b, &kinds[i], size_of(r, &kinds[i]), &results[i]);
		progress_end(b->progress);
		if (err)
			status = missing(r, &kinds[i], err);
		else if (json_wanted)
			print_json(b, &results[i]);
		if (err)
			results[i].size = 0;
	}
	return status;
}

static void time_text(char buf[SIZE_TEXT], uint64_t ns)
{
	if (ns < 10000)
		snprintf(buf, SIZE_TEXT, "%llu ns", (unsigned long long)ns);
	else if (ns < 10000000)
		snprintf(buf, SIZE_TEXT, "%.1f us", ns / 1e3);
	else
		snprintf(buf, SIZE_TEXT, "%.1f ms", ns / 1e6);
}

static void add_cost(struct table *t, const struct result *r, enum measure which, bool of_time,
		     const struct result *base)
{
	const struct cost *cost = &r->cost[which], *of = &base->cost[which];
	uint64_t value = of_time ? cost->ns : cost->instructions;
	uint64_t part = of_time ? of->ns : of->instructions;
	char text[SIZE_TEXT];

	/* All that is done to one page compares with one page there and back. */
	if (which == MEASURE_FIRST)
		part = of_time ? base->cost[MEASURE_PAGE].ns :
		       base->cost[MEASURE_PAGE].instructions;
	if (of_time)
		time_text(text, value);
	else
		snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	if (base != r && part && (!measures[which].of_size || base->size == r->size))
		table_add(t, "%s (%.2f)", text, (double)value / part);
	else
		table_add(t, "%s", text);
}

static void add_facts(struct table *t, const struct result results[KINDS])
{
	char text[SIZE_TEXT];
	unsigned int i;

	table_add(t, "faults of these writes");
	for (i = 0; i < KINDS; i++) {
		if (results[i].size)
			table_add(t, "%llu", (unsigned long long)results[i].faults);
	}
	if (!have_gmem())
		return;
	table_add(t, "held, 1M of it shared");
	for (i = 0; i < KINDS; i++) {
		if (results[i].size)
			table_add(t, "%s", size_text(text, results[i].held));
	}
}

/* A column for each kind that was measured. */
static void print_table(const struct result results[KINDS], size_t nr, bool of_time)
{
	char text[SIZE_TEXT];
	struct table t;
	unsigned int i;
	int j;

	table_init(&t, nr + 1);
	table_add(&t, "%s", of_time ? "Time" : "Instructions");
	for (i = 0; i < KINDS; i++) {
		if (results[i].size)
			table_add(&t, "%s", kinds[i].title);
	}
	table_add(&t, "memory of the guest");
	for (i = 0; i < KINDS; i++) {
		if (results[i].size)
			table_add(&t, "%s", size_text(text, results[i].size));
	}
	for (j = 0; j < MEASURE_NR; j++) {
		table_add(&t, "%s", measures[j].title);
		for (i = 0; i < KINDS; i++) {
			if (results[i].size)
				add_cost(&t, &results[i], j, of_time, &results[0]);
		}
	}
	if (of_time)
		add_facts(&t, results);
	table_print(&t, 1, stdout);
}

static size_t print_text(const struct bench *b, const struct result results[KINDS])
{
	size_t nr = 0;
	unsigned int i;

	for (i = 0; i < KINDS; i++)
		nr += results[i].size > 0;
	if (!nr || json_wanted)
		return nr;
	print_table(results, nr, true);
	if (b->meter.perf_fd >= 0) {
		printf("\n");
		print_table(results, nr, false);
	}
	return nr;
}

/* /dev/kvm, which has VMs with private memory. */
static int open_kvm(struct bench *b)
{
	int types;

	b->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (b->kvm_fd < 0)
		return no_kvm();
	types = ioctl(b->kvm_fd, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES);
	if (types > 0 && types & 1 << KVM_X86_SW_PROTECTED_VM)
		return DONE;
	close(b->kvm_fd);
	return fail(UNSUPPORTED, "build it with CONFIG_KVM_SW_PROTECTED_VM",
		    "this kernel has no software-protected VMs");
}

static int run(struct request *r, struct bench *b)
{
	struct result results[KINDS] = { };
	int status, err = meter_open(&b->meter);

	if (err)
		note("instructions are not counted: %s", strerror(-err));
	if (!have_gmem() && !r->named) {
		memset(r->wanted, false, sizeof(r->wanted));
		r->wanted[0] = true;
	}
	status = measure(r, b, results);
	if (!print_text(b, results) && !status)
		status = fail(FAILED, NULL, "nothing could be measured");
	meter_close(&b->meter);
	return status;
}

int verb_bench(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "[KIND...]", doc, common_options };
	struct request r = { .size = GIB };
	struct progress progress;
	struct bench b = { .progress = &progress };
	bool gmem = have_gmem();
	unsigned int i;
	int status;

	parse_options(&argp, argc, argv, &r);
	for (i = 1; i < KINDS; i++) {
		if (!gmem && r.named && r.wanted[i])
			return no_gmem();
	}
	status = open_kvm(&b);
	if (status)
		return status;
	interrupt_catch();
	progress_start(&progress, "bench");
	status = run(&r, &b);
	close(b.kvm_fd);
	return status || gmem || r.named ? status : no_gmem();
}
