/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * gmem(1): a table of verbs in main.c, a file for each verb (verb-NAME.c), and what
 * several of them need: files.c finds files, target.c takes one, text.c prints.
 */
#ifndef TOOL_H
#define TOOL_H

#include <argp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include <gmem.h>
#include <json-c/json.h>

#define __printf(a, b)	__attribute__((format(printf, a, b)))

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

#define PAGE	4096ULL
#define MIB	(1ULL << 20)
#define GIB	(1ULL << 30)

/* Of the JSON output; raised when a key changes its meaning or goes. */
#define SCHEMA	1

enum status {
	DONE = 0,
	FAILED = 1,		/* all of it, or part */
	USAGE = 2,
	UNSUPPORTED = 4,	/* this kernel or machine cannot */
};

/* verb-*.c: each parses its own options and returns an enum status. */
int verb_bench(int argc, char **argv);
int verb_check(int argc, char **argv);
int verb_convert(int argc, char **argv);
int verb_info(int argc, char **argv);
int verb_list(int argc, char **argv);
int verb_map(int argc, char **argv);
int verb_pool(int argc, char **argv);
int verb_populate(int argc, char **argv);
int verb_punch(int argc, char **argv);
int verb_run(int argc, char **argv);
int verb_stat(int argc, char **argv);
int verb_top(int argc, char **argv);
int verb_trace(int argc, char **argv);

/* main.c: the verb that runs, and --json, which all of them have */
extern const char *verb_name;
extern bool json_wanted;
extern const struct argp_child common_options[];

/* Parse; on wrong options print what is wrong and end with USAGE. */
void parse_options(const struct argp *argp, int argc, char **argv, void *input);

/* text.c */
#define SIZE_TEXT	24

/*
 * What is wrong, and what to do about it or NULL: a line on stderr, with --json an object
 * on stdout as well. Returns the status.
 */
int fail(enum status status, const char *advice, const char *fmt, ...) __printf(3, 4);
/* Where those objects go instead, for a report that has them in it. */
extern struct json_object *failures;
void note(const char *fmt, ...) __printf(1, 2);
/* Memory or nothing more. */
void *alloc(size_t size);
/* A process calls itself what it likes, which is not to reach a terminal or JSON. */
void make_printable(char *text);
/* 4K, 2M, 1.5G: exact, or with one decimal and rounded down. */
const char *size_text(char buf[SIZE_TEXT], uint64_t size);
/* Decimal or 0x, with or without K, M, G or T; false for what is no size. */
bool parse_size(const char *text, uint64_t *size);
bool parse_unsigned(const char *text, unsigned long max, unsigned long *value);

/* Rows of text in columns as wide as they need; the first row is the title. */
struct table {
	char *cell[16];
	size_t nr, rows, columns;
	char ***row;
};

void table_init(struct table *t, size_t columns);
void table_add(struct table *t, const char *fmt, ...) __printf(2, 3);
/* left: this many columns at the left are text, the others numbers */
void table_print(struct table *t, size_t left, FILE *out);

/* { "schema": 1, "verb": ... }, to be filled; and out with it */
struct json_object *report_new(void);
void report_print(struct json_object *report);
void put_u64(struct json_object *o, const char *key, uint64_t value);
void put_text(struct json_object *o, const char *key, const char *value);
void put_bool(struct json_object *o, const char *key, bool value);

/* kernel.c: what this machine has */
bool have_gmem(void);
/* Says what is missing and how to get it; returns UNSUPPORTED. */
int no_gmem(void);
/* The same of /dev/kvm, by errno, and of /proc; returns the status. */
int no_kvm(void);
int no_proc(int err);
bool read_number(const char *path, uint64_t *value);
bool write_number(const char *path, uint64_t value);
/* Calls fn for each file of /sys/kernel/mm/gmem, in order of names. */
void each_counter(void (*fn)(const char *name, uint64_t value, void *arg), void *arg);

/* files.c: files of guest_memfd in processes */
/* More nodes than any host of guests has. */
#define FILE_NODES	64

struct node_held {
	int node;
	uint64_t bytes;
};

struct file {
	pid_t pid;
	int fd;
	unsigned int openers;	/* descriptors that were seen */
	char command[32];
	uint64_t block;		/* st_blksize */
	uint64_t held;		/* st_blocks in bytes */
	struct gmem_stats stats;
	unsigned int nr_nodes;
	struct node_held node[FILE_NODES];	/* those with memory of it */
};

struct files {
	struct file *file;
	size_t nr;
	size_t denied;		/* processes whose files may not be seen */
	size_t unreadable;	/* descriptors of files whose numbers cannot be read */
};

/* Each file once, the largest first. 0 or -errno. */
int files_scan(struct files *files);
/* Those of one process. */
int files_of(pid_t pid, struct files *files);
void files_free(struct files *files);
/* Read the numbers of a file again. 0 or -errno; -EOPNOTSUPP if it is no guest_memfd. */
int file_read(struct file *file);
/* It was closed, or the descriptor is another's by now. */
bool file_gone(int err);
uint64_t file_stat(const struct file *file, enum gmem_stat stat);
const char *source_text(const struct file *file);
struct json_object *file_json(const struct file *file);
/* "PID/FD", in a buffer that the next call overwrites */
const char *file_name(const struct file *file);

/* target.c: the file that the user names */
struct target {
	struct file file;
	struct gmem *g;		/* NULL until it was taken */
	struct gmem_info info;
};

#define TARGET_DOC	"PID/FD"

/* Find it in /proc; prints what is wrong and returns a status. */
int target_find(const char *text, struct target *t);
/* Take the descriptor of one that was found from its process. */
int target_open(struct target *t);
/* Both. */
int target_take(const char *text, struct target *t);
void target_put(struct target *t);
/* Says that it has none, or why they cannot be read. */
int target_no_runs(const struct target *t, int err);
/* All of its runs; frees with free(). 0 or -errno. */
int target_runs(const struct target *t, struct gmem_run **runs, size_t *nr);

/* range.c: options of the verbs that change a range of a file */
struct range {
	const char *target;
	uint64_t offset;
	uint64_t size;		/* 0: to the end */
};

/* The one argument of a verb about one file. */
error_t file_parse(int key, char *arg, struct argp_state *state, const char **target);
error_t range_parse(int key, char *arg, struct argp_state *state);
extern const struct argp_child range_options[];
/* The end and the file; prints what is wrong and returns a status. */
int range_take(struct range *r, struct target *t);
/* Reports what the range is now. */
void range_report(const struct range *r, const struct target *t, const char *is_now);

/* repeat.c: options of verbs that read again and again */
struct repeat {
	unsigned long interval;	/* seconds, 0: not given */
	unsigned long count;	/* 0: not given */
};

extern const struct argp_child repeat_options[];
unsigned long repeat_interval(const struct repeat *r);
/* So many readings are all. */
bool repeat_over(const struct repeat *r, unsigned long done);

/* progress.c: ^C ends long work, which says how much of it is done */
extern volatile sig_atomic_t interrupted;
void interrupt_catch(void);

/* A line about work of more than two seconds. */
struct progress {
	const char *what;
	double start, last;
	bool shown;
};

void progress_start(struct progress *p, const char *what);
/* How far it is, in words or in bytes; prints now and then only. */
void progress_say(struct progress *p, const char *fmt, ...) __printf(2, 3);
void progress_show(struct progress *p, uint64_t done, uint64_t size);
/* Before anything else is printed; it may go on. */
void progress_end(struct progress *p);
double now(void);

#endif /* TOOL_H */
