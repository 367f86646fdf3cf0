// SPDX-License-Identifier: GPL-2.0-only
/* Verbs of gmem(1) against files whose state is known, by text, JSON and status. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common.h"

static const char * const verbs[] = {
	"info", "list", "stat", "top", "map", "pool", "convert", "punch", "populate", "check",
	"bench", "run", "trace",
};

static void each_help(void **state)
{
	char line[64];
	unsigned int i;

	assert_int_equal(gmem("help"), 0);
	for (i = 0; i < ARRAY_SIZE(verbs); i++) {
		snprintf(line, sizeof(line), "\n  %-10s", verbs[i]);
		assert_non_null(strstr(out, line));
	}
	assert_int_equal(gmem("--version"), 0);
	assert_string_equal(out, "gmem 0.1\n");
	for (i = 0; i < ARRAY_SIZE(verbs); i++) {
		assert_int_equal(gmem("%s --help", verbs[i]), 0);
		snprintf(line, sizeof(line), "Usage: gmem %s ", verbs[i]);
		assert_memory_equal(out, line, strlen(line));
		assert_string_equal(err, "");
	}
}

static void wrong_options(void **state)
{
	static const char * const wrong[] = {
		"", "nothing", "list x", "list --what", "stat", "stat 1/2 3/4", "stat x/1",
		"stat 1/x", "stat 1/2 --count 0", "stat 0/1", "map", "map 1/1 -o x.jpg",
		"map 1/1 -w 0", "pool --add 1", "pool --page 3M", "pool --page 2M --add 1 --set 1",
		"pool --page 2M --add x", "pool 3", "convert 1/1", "convert --private",
		"convert 1/1 --private --shared", "convert 1/1 --private --size 0",
		"convert 1/1 --private --offset 1X", "convert 1/1 --private --offset 010M",
		"punch 1/1 --size 00", "punch 1/1 --size 0xM", "punch", "populate", "check 1/1 2/2",
		"top x", "top", "top --interval 0", "trace 1/1 2/2",
		"trace --event ../x", "trace --event=",
		"info --nothing", "bench 4k", "bench pages --size 0", "bench --size 3G",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++) {
		if (gmem("%s", wrong[i]) != 2)
			fail_msg("gmem %s: not refused", wrong[i]);
		assert_string_equal(out, "");
		assert_true(*err);
	}
}

static void no_such_file(void **state)
{
	assert_int_equal(gmem("stat 999999/1"), 1);
	assert_non_null(strstr(err, "no process"));
	assert_int_equal(gmem("stat %d", getpid()), 1);
	assert_non_null(strstr(err, "no guest memory"));
	assert_int_equal(gmem("map %d/0", getpid()), 1);
	json_object_put(gmem_json(1, "stat %d", getpid()));
}

static void of_the_kernel(void **state)
{
	struct json_object *o = gmem_json(0, "info"), *types = member(o, "vm_types"), *vm;
	unsigned int i;

	assert_true(json_object_get_boolean(member(o, "gmem")));
	assert_int_equal(json_object_array_length(types), 7);
	for (i = 0; i < 2; i++) {
		vm = json_object_array_get_idx(types, i);
		assert_true(json_object_get_boolean(member(vm, "available")));
		assert_true(json_object_get_boolean(member(vm, "stats")));
		assert_int_equal(json_object_get_boolean(member(vm, "in_place")), i);
	}
	/* The processor has no SEV and no TDX; the module of the tests is of this kernel. */
	for (; i < 7; i++) {
		vm = json_object_array_get_idx(types, i);
		assert_int_equal(json_object_get_boolean(member(vm, "available")), i == 6);
		assert_null(member(vm, "error"));
	}
	assert_string_equal(text(vm, "type"), "soft-TDX");
	assert_true(json_object_get_boolean(member(vm, "in_place")));
	assert_true(json_object_object_get_ex(member(o, "counters"), "blocks_2m", NULL));
	json_object_put(o);
	assert_int_equal(gmem("info"), 0);
	assert_non_null(strstr(out, "\nprivate and shared in place           no         "));
	assert_non_null(strstr(out, "\nblocks_2m "));
}

static void row(char line[256], const char *name, const char *most, const char *end)
{
	snprintf(line, 256, "%s  gmem-tool  %s%s", name, most, end);
}

static void all_files(void **state)
{
	struct gmem *mixed = create_mixed();
	struct gmem *pages = create(MIB, PAGE, GMEM_PAGES, GMEM_MAPPABLE | GMEM_INIT_SHARED);
	struct gmem *gigantic = create(GIB, GIB, GMEM_HUGETLB, GMEM_MAPPABLE);
	struct gmem_slot slot = { .slot = 1, .gpa = GIB, .size = MIB };
	int again = dup(gmem_fd(pages));
	struct json_object *o;
	char line[256];

	assert_int_equal(gmem_populate(pages, 0, 5 * PAGE, NULL, NULL, NULL), 0);
	assert_int_equal(gmem_bind(pages, vm_fd, &slot), 0);
	o = gmem_json(0, "list");
	assert_int_equal(json_object_array_length(member(o, "files")), 3);
	agree(listed(o, mixed), mixed);
	agree(listed(o, pages), pages);
	agree(listed(o, gigantic), gigantic);
	assert_int_equal(number(listed(o, pages), "openers"), 2);
	assert_int_equal(number(listed(o, pages), "bindings"), 1);
	assert_int_equal(number(listed(o, mixed), "held"), 32 * MIB);
	assert_int_equal(number(listed(o, mixed), "shared"), 2 * MIB + PAGE);
	assert_string_equal(text(listed(o, mixed), "source"), "buddy");
	assert_string_equal(text(listed(o, gigantic), "source"), "hugetlb");
	assert_int_equal(number(listed(o, gigantic), "reserved"), GIB);
	json_object_put(o);

	assert_int_equal(gmem("list"), 0);
	row(line, name_of(mixed), "buddy       2M   64M   32M    29.9M    2.0M     0   0  16   0",
	    "     0         0      0\n");
	assert_non_null(strstr(out, line));
	row(line, name_of(gigantic), "hugetlb     1G    1G     0        0       0     0",
	    "   0   0   0     -        1G      0\n");
	assert_non_null(strstr(out, line));
	close(again);
	gmem_close(gigantic);
	gmem_close(pages);
	gmem_close(mixed);
	assert_int_equal(gmem("list"), 0);
	assert_null(strchr(strchr(out, '\n') + 1, '\n'));
}

static void one_file(void **state)
{
	struct gmem *g = create_mixed();
	struct json_object *o = gmem_json(0, "stat %s", name_of(g));

	agree(member(o, "stat"), g);
	json_object_put(o);
	/* It is the only one of this process. */
	assert_int_equal(gmem("stat %d", getpid()), 0);
	assert_non_null(strstr(out, "\nheld         33554432\n"));
	assert_non_null(strstr(out, "\nconversions  3\n"));
	assert_int_equal(gmem("stat %s --count 2", name_of(g)), 0);
	assert_non_null(strstr(out, "\n\nfile "));
	gmem_close(g);
}

static uint64_t svg_number(const char *rect, const char *key)
{
	const char *at = strstr(rect, key);

	assert_non_null(at);
	return strtoull(at + strlen(key), NULL, 10);
}

/* Rectangles of each colour add up to what the file holds. */
static void rectangles(struct gmem *g)
{
	static const struct {
		const char *fill;
		uint64_t size;
	} want[] = {
		{ "#4292c6", 30 * MIB - PAGE }, { "#e6550d", 2 * MIB + PAGE },
		{ "#eef4fa", 32 * MIB - PAGE }, { "#fdf3e8", PAGE },
	};
	static char svg[1 << 18];
	uint64_t sum[ARRAY_SIZE(want)] = { }, row = 2 * MIB, offset, size;
	unsigned int i, rects = 0;
	char *line, *rest = svg;
	FILE *in;

	assert_int_equal(gmem("map %s -o picture.svg", name_of(g)), 0);
	in = fopen("picture.svg", "r");
	assert_non_null(in);
	svg[fread(svg, 1, sizeof(svg) - 1, in)] = 0;
	fclose(in);
	while ((line = strsep(&rest, "\n"))) {
		if (!strstr(line, "data-size="))
			continue;
		rects++;
		offset = svg_number(line, "data-offset=\"");
		size = svg_number(line, "data-size=\"");
		for (i = 0; i < ARRAY_SIZE(want); i++)
			sum[i] += strstr(line, want[i].fill) ? size : 0;
		assert_int_equal(svg_number(line, " y=\""), 64 + offset / row * 22);
		assert_int_equal(svg_number(line, " x=\""), 80 + offset % row * 1024 / row);
		assert_int_equal(svg_number(line, " width=\""),
				 size * 1024 / row > 2 ? size * 1024 / row : 2);
	}
	assert_true(rects >= 32);
	for (i = 0; i < ARRAY_SIZE(want); i++)
		assert_int_equal(sum[i], want[i].size);
}

static void picture(void **state)
{
	struct gmem *g = create_mixed(), *plain;

	assert_mixed_runs(g);
	rectangles(g);
	assert_int_equal(gmem("map %s --width 16", name_of(g)), 0);
	assert_memory_equal(out, "        0  MMMMMMMMMMMMMMMM\n", 28);
	assert_non_null(strstr(out, "\n       4M  mmmmmmmmmmmmmmmm\n"));
	assert_non_null(strstr(out, "\n       8M  %MMMMMMMMMMMMMMM\n"));
	assert_non_null(strstr(out, "\n      32M  ________________\n"));
	assert_non_null(strstr(out, "\n      40M  %_______________\n"));
	assert_non_null(strstr(out, "\nm  shared, 2M blocks   2.0M\n"));
	assert_int_equal(gmem("map %s -o /nowhere/x.svg", name_of(g)), 1);
	gmem_close(g);
	plain = create(MIB, PAGE, GMEM_PAGES, 0);
	assert_int_equal(gmem("map %s", name_of(plain)), 4);
	gmem_close(plain);
}

static void conversion(void **state)
{
	struct gmem *g = create_mixed();
	struct json_object *o;
	struct gmem_run r[9];

	o = gmem_json(0, "convert %s --shared --offset 0xAM --size 0x2000", name_of(g));
	assert_int_equal(number(o, "offset"), 10 * MIB);
	assert_int_equal(number(o, "size"), 2 * PAGE);
	json_object_put(o);
	assert_int_equal(gmem_runs(g, 10 * MIB, r, 1), 1);
	assert_true(!r[0].is_private && r[0].size == 2 * PAGE);
	assert_int_equal(gmem("convert %s --private", name_of(g)), 0);
	assert_int_equal(gmem_runs(g, 0, r, 9), 2);
	assert_int_equal(kernel_says(g, "gmem-conversions"), 5);
	assert_int_equal(gmem("convert %s --private --offset 1", name_of(g)), 2);
	assert_int_equal(gmem("convert %s --private --offset 64M", name_of(g)), 2);
	assert_int_equal(gmem("convert %s --private --offset 32M --size 33M", name_of(g)), 2);
	assert_int_equal(kernel_says(g, "gmem-conversions"), 5);
	gmem_close(g);
	g = create(MIB, PAGE, GMEM_PAGES, 0);
	json_object_put(gmem_json(4, "convert %s --private", name_of(g)));
	gmem_close(g);
}

/* A pipe holds a page: nothing is done, and that is said. */
static void refused(void **state)
{
	struct gmem *g = create_mixed();
	struct iovec iov = { .iov_len = PAGE };
	void *p;
	int fds[2];

	assert_int_equal(gmem_map(g, 4 * MIB, 2 * MIB, PROT_READ | PROT_WRITE, NULL, 0, &p), 0);
	iov.iov_base = (char *)p + PAGE;
	*(volatile char *)iov.iov_base = 1;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(vmsplice(fds[1], &iov, 1, 0), PAGE);
	assert_int_equal(gmem("convert %s --private --tries 2", name_of(g)), 1);
	assert_non_null(strstr(err, "page at 0x401000:"));
	assert_string_equal(out, "");
	assert_int_equal(kernel_says(g, "gmem-eagain"), 2);
	json_object_put(gmem_json(1, "convert %s --private --tries 1", name_of(g)));
	assert_int_equal(gmem("punch %s --offset 4M --size 2M", name_of(g)), 1);
	assert_int_equal(kernel_says(g, "gmem-shared"), 2 * MIB + PAGE);
	assert_int_equal(held(g), 32 * MIB);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(gmem("convert %s --private", name_of(g)), 0);
	assert_int_equal(kernel_says(g, "gmem-shared"), 0);
	gmem_unmap(g, p, 2 * MIB);
	gmem_close(g);
}

/* What is drawn reaches the program that makes a PNG of it, whatever its name is. */
static void rendered(void **state)
{
	static char svg[1 << 18], drawn[1 << 18];
	struct gmem *g = create_mixed();
	char path[PATH_MAX + 256], *old = strdup(getenv("PATH"));
	unsigned int i;

	assert_int_equal(gmem("map %s -o a.png", name_of(g)), 4);
	assert_non_null(strstr(err, "install librsvg2-bin"));
	assert_non_null(getcwd(path, PATH_MAX));
	strcat(path, ":");
	setenv("PATH", strncat(path, old, 200), 1);
	write_text("rsvg-convert", "#!/bin/sh\n[ \"$1\" = -o ] && cat >\"$2\"\n");
	assert_int_equal(chmod("rsvg-convert", 0755), 0);
	assert_int_equal(gmem("map %s -o a.svg", name_of(g)), 0);
	assert_int_equal(gmem("map %s -o \"a 'b \\$(c).png\"", name_of(g)), 0);
	read_whole("a.svg", svg, sizeof(svg));
	read_whole("a 'b $(c).png", drawn, sizeof(drawn));
	assert_string_equal(drawn, svg);
	write_text("rsvg-convert", "#!/bin/sh\ncat >/dev/null\nexit 1\n");
	assert_int_equal(gmem("map %s -o a.png", name_of(g)), 1);
	/* More than fits in a pipe, of which nothing is read. */
	for (i = 0; i < 1000; i++)
		assert_int_equal(gmem_convert(g, 2 * i * PAGE, PAGE, false, NULL, NULL), 0);
	write_text("rsvg-convert", "#!/bin/sh\nexit 0\n");
	assert_int_equal(gmem("map %s -o a.png", name_of(g)), 1);
	assert_string_equal(err, "gmem map: cannot write a.png\n");
	assert_int_equal(unlink("rsvg-convert"), 0);
	setenv("PATH", old, 1);
	free(old);
	gmem_close(g);
}

static void cgroup_enter(const char *limit)
{
	assert_int_equal(mkdir("/sys/fs/cgroup/limited", 0755), 0);
	write_text("/sys/fs/cgroup/limited/memory.max", limit);
	write_text("/sys/fs/cgroup/limited/cgroup.procs", "0");
}

static void cgroup_leave(void)
{
	write_text("/sys/fs/cgroup/cgroup.procs", "0");
	assert_int_equal(rmdir("/sys/fs/cgroup/limited"), 0);
}

static void holes(void **state)
{
	struct gmem *g = create_mixed(), *small;
	char want[64];

	assert_int_equal(gmem("punch %s --size 8M", name_of(g)), 0);
	assert_non_null(strstr(out, "held: 8M less than before\n"));
	assert_int_equal(held(g), 24 * MIB);
	json_object_put(gmem_json(0, "populate %s", name_of(g)));
	assert_int_equal(held(g), 64 * MIB);
	json_object_put(gmem_json(0, "punch %s", name_of(g)));
	assert_int_equal(held(g), 0);
	gmem_close(g);
	/* More than there is: what was done is said, and it is a failure. */
	cgroup_enter("100M");
	small = create(256 * MIB, 2 * MIB, GMEM_BUDDY, GMEM_MAPPABLE);
	assert_int_equal(gmem("populate %s", name_of(small)), 1);
	assert_non_null(strstr(err, "no memory after 64M of 256M"));
	assert_true(held(small) > 64 * MIB && held(small) < 100 * MIB);
	/* With one decimal, unless it is whole. */
	snprintf(want, sizeof(want), held(small) % MIB ? ", the file holds %llu.%lluM:" :
		 ", the file holds %lluM:", (unsigned long long)held(small) / MIB,
		 (unsigned long long)held(small) % MIB * 10 / MIB);
	assert_non_null(strstr(err, want));
	gmem_close(small);
	cgroup_leave();
}

#define POOL_2M	"/sys/kernel/mm/hugepages/hugepages-2048kB/"

static long pool_2m(const char *what)
{
	char path[128];
	long value;
	FILE *in;

	snprintf(path, sizeof(path), POOL_2M "%s", what);
	in = fopen(path, "r");
	assert_non_null(in);
	assert_int_equal(fscanf(in, "%ld", &value), 1);
	fclose(in);
	return value;
}

static long pages_2m(void)
{
	return pool_2m("nr_hugepages");
}

static void pools(void **state)
{
	long before = pages_2m();
	struct json_object *o = gmem_json(0, "pool --page 2M --add 3");
	struct json_object *machine = json_object_array_get_idx(member(o, "pools"), 0);

	assert_int_equal(pages_2m(), before + 3);
	assert_int_equal(number(machine, "total"), before + 3);
	json_object_put(o);
	assert_int_equal(gmem("pool --page 2M --node 0 --remove 2"), 0);
	assert_int_equal(pages_2m(), before + 1);
	/* The machine has six gigabytes, and the kernel is in one of them. */
	assert_int_equal(gmem("pool --page 1G --set 6"), 1);
	assert_non_null(strstr(err, "wanted 6 pages, there are "));
	assert_int_equal(gmem("pool --page 1G --set 1"), 0);
	assert_int_equal(gmem("pool --page 2M --set %ld", before), 0);
	assert_int_equal(pages_2m(), before);
	assert_int_equal(gmem("pool --page 2M --node 7 --add 1"), 4);
	assert_int_equal(gmem_as_nobody("pool --page 2M --add 1"), 1);
	assert_non_null(strstr(err, "become root"));
}

static void has(long persistent, long surplus)
{
	assert_int_equal(pages_2m(), persistent + surplus);
	assert_int_equal(pool_2m("surplus_hugepages"), surplus);
}

/* All pages are in use: those that are too many go later, and only those. */
static void lent_pools(void **state)
{
	long all = pages_2m();
	struct gmem *g = create(all * 2 * MIB, 2 * MIB, GMEM_HUGETLB, GMEM_MAPPABLE);

	assert_int_equal(gmem_populate(g, 0, all * 2 * MIB, NULL, NULL, NULL), 0);
	assert_int_equal(pool_2m("free_hugepages"), 0);
	assert_int_equal(gmem("pool --page 2M --remove 8"), 0);
	assert_string_equal(err, "gmem pool: 8 pages go when they are released\n");
	has(all - 8, 8);
	assert_int_equal(gmem("pool --page 2M --add 2"), 0);
	assert_string_equal(err, "");
	has(all - 6, 6);
	assert_int_equal(gmem("pool --page 2M --node 0 --remove 1"), 0);
	assert_string_equal(err, "gmem pool: 7 pages go when they are released\n");
	has(all - 7, 7);
	gmem_close(g);
	has(all - 7, 0);
	assert_int_equal(gmem("pool --page 2M --set %ld", all), 0);
	has(all, 0);
}

static void overcommitted_pools(void **state)
{
	long all = pages_2m();
	struct gmem *g;

	write_text(POOL_2M "nr_overcommit_hugepages", "4");
	g = create((all + 4) * 2 * MIB, 2 * MIB, GMEM_HUGETLB, GMEM_MAPPABLE);
	has(all, 4);
	assert_int_equal(gmem("pool --page 2M --remove 1"), 0);
	assert_string_equal(err, "gmem pool: 5 pages go when they are released\n");
	has(all - 1, 5);
	assert_int_equal(gmem("pool --page 2M --add 1"), 0);
	has(all, 4);
	gmem_close(g);
	write_text(POOL_2M "nr_overcommit_hugepages", "0");
	has(all, 0);
}

static void invariants(void **state)
{
	struct gmem *mixed = create_mixed();
	struct gmem *pages = create(MIB, PAGE, GMEM_PAGES, GMEM_MAPPABLE | GMEM_INIT_SHARED);
	struct gmem *plain = create(MIB, PAGE, GMEM_PAGES, 0);
	struct json_object *o;

	assert_int_equal(gmem_populate(pages, 0, 5 * PAGE, NULL, NULL, NULL), 0);
	assert_int_equal(gmem_populate(plain, 0, 5 * PAGE, NULL, NULL, NULL), 0);
	o = gmem_json(0, "check");
	assert_int_equal(number(o, "failed"), 0);
	assert_int_equal(number(o, "busy"), 0);
	assert_int_equal(number(o, "skipped"), 0);
	/* Of three files 4 in numbers and 4 of blocks, of two of them 8 of runs; 4 in all. */
	assert_int_equal(number(o, "checks"), 3 * (4 + 4) + 2 * 8 + 4);
	json_object_put(o);
	assert_int_equal(gmem("check %s", name_of(mixed)), 0);
	assert_string_equal(out, "17 checks, 0 failed, 0 files busy\n");
	gmem_close(plain);
	gmem_close(pages);
	gmem_close(mixed);
}

static long orphans(void)
{
	FILE *in = fopen("/sys/kernel/mm/gmem/orphan_blocks", "r");
	long value;

	assert_non_null(in);
	assert_int_equal(fscanf(in, "%ld", &value), 1);
	fclose(in);
	return value;
}

/* Blocks that a pipe keeps are in the counters and in no file; a mapped file in no process. */
static void invariants_of_leftovers(void **state)
{
	struct gmem *g = create_mixed(), *pages, *mapped;
	struct iovec iov = { .iov_len = PAGE };
	void *p = NULL, *q = NULL, *r = NULL;
	struct json_object *o;
	int fds[2], i;

	pages = create(MIB, PAGE, GMEM_PAGES, GMEM_MAPPABLE | GMEM_INIT_SHARED);
	assert_int_equal(gmem_map(g, 4 * MIB, 2 * MIB, PROT_READ | PROT_WRITE, NULL, 0, &p), 0);
	assert_int_equal(gmem_map(pages, 0, MIB, PROT_READ | PROT_WRITE, NULL, 0, &q), 0);
	assert_int_equal(pipe(fds), 0);
	for (i = 0; i < 2; i++) {
		iov.iov_base = i ? q : p;
		*(volatile char *)iov.iov_base = 1;
		assert_int_equal(vmsplice(fds[1], &iov, 1, 0), PAGE);
	}
	gmem_unmap(pages, q, MIB);
	gmem_close(pages);
	gmem_unmap(g, p, 2 * MIB);
	gmem_close(g);
	assert_int_equal(orphans(), 2);
	o = gmem_json(0, "check");
	assert_int_equal(number(o, "failed"), 0);
	assert_int_equal(number(o, "skipped"), 0);
	json_object_put(o);
	close(fds[0]);
	close(fds[1]);
	for (i = 0; i < 500 && orphans(); i++)
		usleep(10000);
	assert_int_equal(orphans(), 0);

	mapped = create(MIB, PAGE, GMEM_PAGES, GMEM_MAPPABLE | GMEM_INIT_SHARED);
	assert_int_equal(gmem_map(mapped, 0, MIB, PROT_READ | PROT_WRITE, NULL, 0, &r), 0);
	gmem_close(mapped);
	o = gmem_json(0, "check");
	assert_int_equal(number(o, "skipped"), 3);
	assert_non_null(strstr(err, "only mappings or other namespaces have"));
	json_object_put(o);
	assert_int_equal(munmap(r, MIB), 0);
	json_object_put(gmem_json(0, "check"));
	assert_null(strstr(err, "namespaces"));
}

static void one_screen(void **state)
{
	static const char first[] = "1 files of 64M, 32M held: 29.9M private, 2.0M shared\n\nFILE";
	struct gmem *g = create_mixed();
	struct json_object *o;

	o = gmem_json(0, "top --count 1");
	agree(listed(o, g), g);
	json_object_put(o);
	assert_int_equal(gmem("top --batch --count 2"), 0);
	assert_memory_equal(out, first, strlen(first));
	assert_non_null(strstr(strstr(out, "\n\n1 files of"), name_of(g)));
	gmem_close(g);
}

static void vmm(void **state)
{
	assert_int_equal(gmem("run"), 2);
	assert_int_equal(gmem("run --kernel /nowhere"), 1);
	assert_non_null(strstr(err, "/nowhere"));
}

static void of_the_manual(void **state)
{
	FILE *in = popen("gmem-example", "r");
	char line[128];

	assert_non_null(in);
	assert_non_null(fgets(line, sizeof(line), in));
	assert_string_equal(line, "The guest says: Hello from 1 GiB of private memory\n");
	assert_int_equal(pclose(in), 0);
}

#define TEST(fn)	cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		TEST(each_help), TEST(wrong_options), TEST(no_such_file), TEST(of_the_kernel),
		TEST(all_files), TEST(one_file), TEST(picture), TEST(conversion), TEST(refused),
		TEST(holes), TEST(pools), TEST(lent_pools), TEST(overcommitted_pools),
		TEST(invariants), TEST(invariants_of_leftovers), TEST(rendered),
		TEST(one_screen), TEST(vmm), TEST(of_the_manual),
	};

	if (kvm_open())
		return 1;
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("gmem", tests, NULL, NULL);
}
