// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs in the guest: shares pages of its own memory with the host and takes them
 * back, by the port of share.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../share.h"

#define PAGE_SIZE	4096UL
#define WORDS		(PAGE_SIZE / sizeof(uint64_t))
#define MAX_PAGES	4096
#define FRAME_MASK	((1ULL << 55) - 1)	/* of pagemap's entries */

static uint64_t *memory;
static uint64_t frames[MAX_PAGES];
static bool shared[MAX_PAGES];
static unsigned long nr_pages;

static void die(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "gmem-share: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

/* The registers belong to a vCPU. */
static void open_port(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		die("sched_setaffinity: %s", strerror(errno));
	if (ioperm(SHARE_PORT, SHARE_PORTS, 1))
		die("ioperm: %s: run it as root", strerror(errno));
}

static void command(uint64_t frame, unsigned int what)
{
	unsigned int error;

	outl(frame, SHARE_PORT + SHARE_FRAME);
	outl(what, SHARE_PORT + SHARE_COMMAND);
	error = inl(SHARE_PORT + SHARE_COMMAND);
	if (error)
		die("frame %#llx: the host says: %s", (unsigned long long)frame,
		    strerror(error));
}

static uint64_t word(unsigned long page, unsigned long i)
{
	return (page * WORDS + i) * 0x9e3779b97f4a7c15ULL;
}

/*
 * The kernel may move a page that is only locked, and the host would then share
 * another one. It does not move what a pipe refers to.
 */
static void hold_pages(void)
{
	struct iovec iov = { .iov_base = memory, .iov_len = nr_pages * PAGE_SIZE };
	int fd[2];

	if (pipe(fd) || fcntl(fd[1], F_SETPIPE_SZ, iov.iov_len) < 0)
		die("pipe: %s: use fewer pages", strerror(errno));
	if (vmsplice(fd[1], &iov, 1, SPLICE_F_NONBLOCK) != (ssize_t)iov.iov_len)
		die("vmsplice: %s: use fewer pages", strerror(errno));
}

static void find_frames(void)
{
	unsigned long page, first = (unsigned long)memory / PAGE_SIZE;
	int fd = open("/proc/self/pagemap", O_RDONLY);
	size_t len = nr_pages * sizeof(frames[0]);

	if (fd < 0 || pread(fd, frames, len, first * sizeof(frames[0])) != (ssize_t)len)
		die("/proc/self/pagemap: %s", strerror(errno));
	for (page = 0; page < nr_pages; page++) {
		frames[page] &= FRAME_MASK;
		if (!frames[page])
			die("/proc/self/pagemap hides frames: run it as root");
	}
	close(fd);
}

static void make_pages(void)
{
	unsigned long page, i;

	memory = mmap(NULL, nr_pages * PAGE_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		die("mmap: %s: use fewer pages", strerror(errno));
	/* Each page by itself, not as part of a huge one. */
	madvise(memory, nr_pages * PAGE_SIZE, MADV_NOHUGEPAGE);
	for (page = 0; page < nr_pages; page++) {
		for (i = 0; i < WORDS; i++)
			memory[page * WORDS + i] = word(page, i);
	}
	hold_pages();
	find_frames();
}

static void check(unsigned long page)
{
	unsigned long i;

	for (i = 0; i < WORDS; i++) {
		if (memory[page * WORDS + i] != word(page, i))
			die("page %lu, word %lu: %#llx", page, i,
			    (unsigned long long)memory[page * WORDS + i]);
	}
}

static void change(unsigned long page)
{
	check(page);
	shared[page] = !shared[page];
	command(frames[page], shared[page] ? SHARE_SHARED : SHARE_PRIVATE);
	check(page);
}

/* The host takes the memory and gives other memory for it. */
static void discard(unsigned long page)
{
	unsigned long i;

	check(page);
	command(frames[page], SHARE_DISCARD);
	for (i = 0; i < WORDS; i++) {
		if (memory[page * WORDS + i])
			die("page %lu was given up, and word %lu is %#llx", page, i,
			    (unsigned long long)memory[page * WORDS + i]);
		memory[page * WORDS + i] = word(page, i);
	}
}

static void take_back(void)
{
	unsigned long page;

	for (page = 0; page < nr_pages; page++) {
		if (shared[page])
			change(page);
	}
}

static void hold(void)
{
	unsigned long page;

	for (page = 0; page < nr_pages; page++)
		change(page);
	printf("shared %lu pages until the next line\n", nr_pages);
	fflush(stdout);
	getchar();
	take_back();
	printf("took back %lu pages\n", nr_pages);
}

static void churn(unsigned long rounds)
{
	unsigned long i;

	for (i = 0; i < rounds; i++) {
		if (random() % 4)
			change(random() % nr_pages);
		else
			discard(random() % nr_pages);
	}
	take_back();
	for (i = 0; i < nr_pages; i++)
		check(i);
	printf("changed pages %lu times\n", rounds);
}

static unsigned long parse_number(const char *text, unsigned long max)
{
	char *rest;
	unsigned long n = strtoul(text, &rest, 10);

	if (*rest || !n || n > max)
		die("%s: give a number from 1 to %lu", text, max);
	return n;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "stats")) {
		open_port();
		command(0, SHARE_STATS);
	} else if (argc == 3 && !strcmp(argv[1], "hold")) {
		nr_pages = parse_number(argv[2], MAX_PAGES);
		open_port();
		make_pages();
		hold();
	} else if (argc == 4 && !strcmp(argv[1], "churn")) {
		nr_pages = parse_number(argv[2], MAX_PAGES);
		open_port();
		make_pages();
		churn(parse_number(argv[3], ~0UL));
	} else {
		fprintf(stderr, "Usage: gmem-share stats\n"
			"       gmem-share hold PAGES\n"
			"       gmem-share churn PAGES ROUNDS\n");
		return 2;
	}
	return 0;
}
