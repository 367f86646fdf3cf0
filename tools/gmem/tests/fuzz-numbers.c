// SPDX-License-Identifier: GPL-2.0-only
/*
 * Texts that were mutated at random, in place of the files of sysfs and debugfs that hold
 * a number and of the list of blocks, and names in place of KVM's directories. What the
 * parsers take from them is compared with what is found here in another way.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#include "../blocks.h"
#include "../pools.h"
#include "../vm.h"

#define NAMES	8
#define INODES	4
#define LIST	"/sys/kernel/debug/gmem/blocks"

/* A file that was opened, and what it said. */
struct opened {
	char path[512];
	bool good;
	uint64_t value;
};

struct text {
	char *at;
	size_t size, pos;
};

const char *verb_name = "fuzz";
bool json_wanted;

static struct opened opened[NAMES * VM_NR];
static size_t nr_opened;
static struct dirent names[NAMES];
static size_t nr_names, next_name;
static char list[4096];
static size_t list_size;
static unsigned long kept, refused;

FILE *__wrap_fopen64(const char *path, const char *mode);
DIR *__wrap_opendir(const char *path);
struct dirent *__wrap_readdir64(DIR *dir);
int __wrap_closedir(DIR *dir);

static void check(bool good)
{
	if (!good)
		abort();
}

/* All of it is one number of 64 bits, and the end of the line. */
static bool other_reads(const char *text, size_t size, uint64_t *value)
{
	size_t i;

	*value = 0;
	for (i = 0; i + 1 < size; i++) {
		if (text[i] < '0' || text[i] > '9' ||
		    __builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, text[i] - '0', value))
			return false;
	}
	return i && text[i] == '\n';
}

/* In pieces, as a file may be read. */
static ssize_t text_read(void *arg, char *buf, size_t size)
{
	struct text *t = arg;
	size_t n = t->size - t->pos;

	n = n < size ? n : size;
	if (n > 1)
		n = rnd(n) + 1;
	memcpy(buf, t->at + t->pos, n);
	t->pos += n;
	return n;
}

static int text_close(void *arg)
{
	struct text *t = arg;

	free(t->at);
	free(t);
	return 0;
}

/* As often small as large. */
static uint64_t any_number(void)
{
	return ((uint64_t)rnd(UINT32_MAX) << 32 | rnd(UINT32_MAX)) >> rnd(64);
}

static size_t make_number(char *text, size_t max)
{
	size_t size = snprintf(text, max, "%" PRIu64 "\n", any_number()), at;
	unsigned int n = rnd(2) ? rnd(4) : 0;

	while (n--)
		size = mutate(text, size, max, &at);
	return size;
}

static FILE *open_text(const char *text, size_t size)
{
	static const cookie_io_functions_t io = { .read = text_read, .close = text_close };
	struct text *t = alloc(sizeof(*t));

	/* Of exactly this size, for the sanitizer. */
	t->size = size;
	t->at = alloc(size);
	memcpy(t->at, text, size);
	return fopencookie(t, "r", io);
}

/* Each thread is a process. */
static FILE *open_status(const char *path)
{
	char text[128];
	int thread;

	check(sscanf(path, "/proc/%d/status", &thread) == 1);
	return open_text(text, snprintf(text, sizeof(text), "Name:\tvmm\nTgid:\t%d\n", thread));
}

FILE *__wrap_fopen64(const char *path, const char *mode)
{
	struct opened *o = &opened[nr_opened];
	char text[64];
	size_t size;

	if (!strcmp(path, LIST))
		return open_text(list, list_size);
	if (!strncmp(path, "/proc/", 6))
		return open_status(path);
	nr_opened++;
	check(nr_opened <= ARRAY_SIZE(opened));
	snprintf(o->path, sizeof(o->path), "%s", path);
	o->good = false;
	if (!rnd(16))
		return NULL;
	size = make_number(text, sizeof(text));
	o->good = other_reads(text, size, &o->value);
	return open_text(text, size);
}

DIR *__wrap_opendir(const char *path)
{
	next_name = 0;
	return (DIR *)names;
}

struct dirent *__wrap_readdir64(DIR *dir)
{
	return next_name < nr_names ? &names[next_name++] : NULL;
}

int __wrap_closedir(DIR *dir)
{
	return 0;
}

static void count(bool good)
{
	*(good ? &kept : &refused) += 1;
}

static void fuzz_number(void)
{
	uint64_t value;
	bool good = read_number("number", &value);

	check(nr_opened == 1 && good == opened[0].good && (!good || value == opened[0].value));
	count(good);
}

/* All of its numbers are there, each where it belongs, or it is no pool. */
static void fuzz_pool(void)
{
	int node = (int)rnd(3) - 1;
	struct pool p;
	bool good = pool_read(rnd(2) ? GIB : 2 * MIB, node, &p), all = true;
	const struct {
		const char *name;
		uint64_t value;
	} want[] = {
		{ "/resv_hugepages", p.reserved }, { "/nr_hugepages", p.total },
		{ "/free_hugepages", p.free }, { "/surplus_hugepages", p.surplus },
	};
	size_t i, first = node < 0 ? 0 : 1;

	for (i = 0; i < nr_opened; i++)
		all &= opened[i].good;
	check(good == all);
	count(good);
	if (!good)
		return;
	check(nr_opened == ARRAY_SIZE(want) - first && (node < 0 || !p.reserved));
	for (i = 0; i < nr_opened; i++) {
		check(!strcmp(strrchr(opened[i].path, '/'), want[i + first].name));
		check(opened[i].value == want[i + first].value);
	}
}

/* Few processes, so that some have several VMs. */
static void make_names(void)
{
	size_t i, size, at;

	nr_names = rnd(NAMES + 1);
	for (i = 0; i < nr_names; i++) {
		size = snprintf(names[i].d_name, sizeof(names[i].d_name), "%" PRIu64 "-%u",
				rnd(8) ? rnd(4) + 1 : any_number(), rnd(100));
		while (!rnd(3))
			size = mutate(names[i].d_name, size, 64, &at);
		names[i].d_name[size] = 0;
	}
}

/* The process of a directory's name; 0 if it is no VM's. */
static pid_t pid_of(const char *name)
{
	long long pid;
	char minus;

	if (sscanf(name, "%lld%c", &pid, &minus) != 2 || minus != '-')
		return 0;
	return pid > 0 && pid <= INT32_MAX ? pid : 0;
}

/* What was opened for a process, added up. */
static void add_up(pid_t pid, uint64_t sum[VM_NR], size_t *good)
{
	static const char dir[] = "/sys/kernel/debug/kvm/";
	size_t i;

	memset(sum, 0, VM_NR * sizeof(*sum));
	*good = 0;
	for (i = 0; i < nr_opened; i++) {
		check(!strncmp(opened[i].path, dir, strlen(dir)));
		if (!opened[i].good || pid_of(opened[i].path + strlen(dir)) != pid)
			continue;
		++*good;
		sum[strstr(opened[i].path, "invalidations") ? VM_INVALIDATIONS : VM_FAULTS] +=
			opened[i].value;
	}
}

static void fuzz_vms(void)
{
	size_t i, good, all = 0, counted = 0, nr_vms = 0;
	uint64_t sum[VM_NR];
	struct vms vms;

	make_names();
	vms_read(&vms);
	for (i = 0; i < nr_names; i++)
		nr_vms += pid_of(names[i].d_name) > 0;
	check(nr_opened == nr_vms * VM_NR);
	for (i = 0; i < nr_opened; i++)
		all += opened[i].good;
	for (i = 0; i < vms.nr; i++) {
		check(vms.process[i].pid > 0);
		check(vms_of(&vms, vms.process[i].pid) == &vms.process[i]);
		add_up(vms.process[i].pid, sum, &good);
		check(good && !memcmp(sum, vms.process[i].value, sizeof(sum)));
		counted += good;
	}
	check(counted == all);
	count(nr_vms == nr_names);
	vms_free(&vms);
}

static void make_list(void)
{
	unsigned int n = rnd(10);
	size_t at;

	list_size = 0;
	while (n--)
		list_size += snprintf(list + list_size, sizeof(list) - list_size,
				      "%u %u %u %u %s %u %u\n", rnd(INODES + 1), rnd(1 << 20),
				      9 * rnd(3), rnd(1 << 28), rnd(2) ? "intact" : "dissolved",
				      rnd(513), rnd(513));
	n = rnd(2) ? rnd(4) : 0;
	while (n--)
		list_size = mutate(list, list_size, sizeof(list), &at);
}

/* A line as the kernel writes it: seven words, a space between two. */
static bool other_line(const char *line, size_t size, uint64_t value[7])
{
	const char *end = line + size;
	char number[300];
	size_t len;
	int i;

	if (memchr(line, 0, size))
		return false;
	for (i = 0; i < 7; i++) {
		for (len = 0; line + len < end && line[len] != ' ' && line[len] != '\n'; len++)
			;
		if (!len || line + len == end || line[len] != (i < 6 ? ' ' : '\n'))
			return false;
		snprintf(number, sizeof(number), "%.*s\n", (int)len, line);
		if (i != 4 && !other_reads(number, len + 1, &value[i]))
			return false;
		line += len + 1;
	}
	return value[2] == 0 || value[2] == 9 || value[2] == 18;
}

/* What the list has, by inode; returns how many lines make no sense. */
static uint64_t other_list(struct listed want[INODES + 1])
{
	const char *at = list, *end = list + list_size, *eol;
	uint64_t value[7], bad = 0;

	for (; at < end; at = eol + 1) {
		eol = memchr(at, '\n', end - at);
		if (!eol || !other_line(at, eol + 1 - at, value)) {
			bad++;
		} else if (value[0] && value[0] <= INODES) {
			want[value[0]].count[value[2] / 9]++;
			want[value[0]].live += value[5];
		}
		if (!eol)
			break;
	}
	return bad;
}

static void fuzz_blocks(void)
{
	struct file file[INODES] = { };
	struct files files = { .file = file, .nr = INODES };
	struct listed want[INODES + 1] = { };
	const struct listed *have;
	struct blocks b;
	uint64_t bad;
	size_t i;

	for (i = 0; i < INODES; i++)
		file[i].stats.value[GMEM_STAT_INO] = INODES - i;
	make_list();
	bad = other_list(want);
	check(blocks_read(LIST, &files, &b) && b.bad == bad);
	for (i = 1; i <= INODES; i++) {
		have = blocks_of(&b, i);
		check(have && have->live == want[i].live &&
		      !memcmp(have->count, want[i].count, sizeof(have->count)));
	}
	check(!blocks_of(&b, 0) && !blocks_of(&b, INODES + 1));
	count(!bad);
	blocks_free(&b);
}

int main(int argc, char **argv)
{
	static void (* const parsers[])(void) = {
		fuzz_number, fuzz_pool, fuzz_vms, fuzz_blocks,
	};
	unsigned long rounds = fuzz_start(argc, argv, 30000), i;
	size_t parser;

	for (parser = 0; parser < ARRAY_SIZE(parsers); parser++) {
		kept = 0;
		refused = 0;
		for (i = 0; i < rounds; i++) {
			nr_opened = 0;
			parsers[parser]();
		}
		/* Both answers, or nothing was tried. */
		if (!kept || !refused)
			return 1;
	}
	printf("ok 1 - texts\n");
	return 0;
}
