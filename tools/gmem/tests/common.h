/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tests of gmem(1) share: running it, VMs in a known state, JSON. */
#ifndef COMMON_H
#define COMMON_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <gmem.h>
#include <json-c/json.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define PAGE	4096ULL
#define MIB	(1ULL << 20)
#define GIB	(1ULL << 30)

/* What the last gmem() wrote, and how it ended: its status, or 256 + the signal. */
extern char out[1 << 20];
extern char err[1 << 16];

/* Runs "gmem" with these arguments, in words. */
int gmem(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same as a user with no rights. */
int gmem_as_nobody(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* In a child: not root any more. */
void become_nobody(void);
/* A command for the shell in a VT100 of this size; fd is the other end of it. */
#define ROWS	24
#define COLUMNS	110
pid_t on_terminal(const char *command, int *fd);
/* gmem ARGUMENTS --json ended with this status, and its output is as the schema says. */
struct json_object *gmem_json(int status, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* An object of the output, as the schema says. */
struct json_object *parse_valid(const char *line);
struct json_object *member(struct json_object *o, const char *key);
uint64_t number(struct json_object *o, const char *key);
const char *text(struct json_object *o, const char *key);

/* A line of /proc/self/fdinfo, read without the library. */
uint64_t kernel_says(const struct gmem *g, const char *key);
uint64_t held(const struct gmem *g);
/* "PID/FD" in a buffer that lasts until the fourth call after it */
const char *name_of(const struct gmem *g);

extern int vm_fd;
int kvm_open(void);		/* before all tests */
/* Around each test: a VM, and counters and pools as they were. */
int setup(void **state);
int teardown(void **state);

struct gmem *create(uint64_t size, uint64_t block, enum gmem_source source, unsigned int flags);
/*
 * 64M in blocks of 2M: the first half is present; 2M at 4M and one page at 8M + 4K
 * are shared, and a page at 40M, which is absent. All else is private.
 */
struct gmem *create_mixed(void);
/* What map says of it. */
void assert_mixed_runs(const struct gmem *g);

/* The object of a file in what list or top printed. */
struct json_object *listed(struct json_object *list, const struct gmem *g);
/* To the byte what the kernel says. */
void agree(struct json_object *o, const struct gmem *g);

void write_text(const char *path, const char *text);
void read_whole(const char *path, char *buf, size_t size);

#endif /* COMMON_H */
