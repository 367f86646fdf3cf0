// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "common.h"
#include "schema.h"
#include "snapshot.h"

#define NOBODY	65534

char out[1 << 20];
char err[1 << 16];
int vm_fd = -1;

static int kvm_fd;

static void slurp(const char *path, char *buf, size_t size)
{
	FILE *in = fopen(path, "r");
	size_t n;

	assert_non_null(in);
	n = fread(buf, 1, size - 1, in);
	buf[n] = 0;
	fclose(in);
}

void become_nobody(void)
{
	if (setgroups(0, NULL) || setgid(NOBODY) || setuid(NOBODY))
		_exit(99);
}

pid_t on_terminal(const char *command, int *fd)
{
	struct winsize size = { .ws_row = ROWS, .ws_col = COLUMNS };
	pid_t pid;

	fflush(stdout);
	pid = forkpty(fd, NULL, NULL, &size);
	if (!pid) {
		setenv("TERM", "vt100", 1);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(98);
	}
	assert_true(pid > 0);
	return pid;
}

static void become(const char *arguments, bool nobody)
{
	char command[1024];
	int fd;

	snprintf(command, sizeof(command), "exec gmem %s", arguments);
	fd = open("out", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	dup2(fd, 1);
	fd = open("err", O_WRONLY | O_CREAT | O_TRUNC, 0600);
	dup2(fd, 2);
	if (nobody)
		become_nobody();
	execl("/bin/sh", "sh", "-c", command, NULL);
	_exit(98);
}

static int execute(const char *arguments, bool nobody)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (!pid)
		become(arguments, nobody);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	slurp("out", out, sizeof(out));
	slurp("err", err, sizeof(err));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

int gmem(const char *fmt, ...)
{
	char arguments[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(arguments, sizeof(arguments), fmt, ap);
	va_end(ap);
	return execute(arguments, false);
}

int gmem_as_nobody(const char *fmt, ...)
{
	char arguments[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(arguments, sizeof(arguments), fmt, ap);
	va_end(ap);
	return execute(arguments, true);
}

struct json_object *parse_valid(const char *line)
{
	struct json_object *schema = json_object_from_file(SCHEMA_FILE);
	struct json_object *value = json_tokener_parse(line);

	assert_non_null(schema);
	assert_non_null(value);
	assert_true(schema_valid(schema, value));
	json_object_put(schema);
	return value;
}

struct json_object *gmem_json(int status, const char *fmt, ...)
{
	char arguments[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(arguments, sizeof(arguments) - 8, fmt, ap);
	va_end(ap);
	strcat(arguments, " --json");
	assert_int_equal(execute(arguments, false), status);
	return parse_valid(out);
}

struct json_object *member(struct json_object *o, const char *key)
{
	struct json_object *value;

	assert_true(json_object_object_get_ex(o, key, &value));
	return value;
}

uint64_t number(struct json_object *o, const char *key)
{
	return json_object_get_uint64(member(o, key));
}

const char *text(struct json_object *o, const char *key)
{
	return json_object_get_string(member(o, key));
}

uint64_t kernel_says(const struct gmem *g, const char *key)
{
	char path[64], line[128];
	size_t len = strlen(key);
	FILE *in;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", gmem_fd(g));
	in = fopen(path, "r");
	assert_non_null(in);
	while (fgets(line, sizeof(line), in)) {
		if (strncmp(line, key, len) || line[len] != ':')
			continue;
		fclose(in);
		return strtoull(line + len + 1, NULL, 0);
	}
	fail_msg("no %s", key);
	return 0;
}

uint64_t held(const struct gmem *g)
{
	struct stat st;

	assert_int_equal(fstat(gmem_fd(g), &st), 0);
	return st.st_blocks * 512ULL;
}

const char *name_of(const struct gmem *g)
{
	static char name[4][32];
	static unsigned int i;

	i = (i + 1) % 4;
	snprintf(name[i], sizeof(name[i]), "%d/%d", getpid(), gmem_fd(g));
	return name[i];
}

int kvm_open(void)
{
	char dir[] = "/tmp/gmem.XXXXXX";

	kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	return kvm_fd < 0 || !mkdtemp(dir) || chmod(dir, 0755) || chdir(dir);
}

int setup(void **state)
{
	snapshot_take();
	vm_fd = ioctl(kvm_fd, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM);
	return vm_fd < 0;
}

/* What a test that failed has left would fail the next ones. */
static void close_files(void)
{
	char path[64], name[64];
	ssize_t n;
	int fd;

	for (fd = 3; fd < 2048; fd++) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, name, sizeof(name) - 1);
		name[n < 0 ? 0 : n] = 0;
		if (strstr(name, "[kvm-gmem]")) {
			print_message("# left open: %d\n", fd);
			close(fd);
		}
	}
}

int teardown(void **state)
{
	close_files();
	close(vm_fd);
	snapshot_compare();
	return 0;
}

struct gmem *create(uint64_t size, uint64_t block, enum gmem_source source, unsigned int flags)
{
	const struct gmem_spec spec = { block, source, flags };
	struct gmem *g = NULL;

	assert_int_equal(gmem_create(vm_fd, size, &spec, 1, NULL, &g), 0);
	return g;
}

struct gmem *create_mixed(void)
{
	struct gmem *g = create(64 * MIB, 2 * MIB, GMEM_BUDDY, GMEM_MAPPABLE);

	assert_int_equal(gmem_populate(g, 0, 32 * MIB, NULL, NULL, NULL), 0);
	assert_int_equal(gmem_convert(g, 4 * MIB, 2 * MIB, false, NULL, NULL), 0);
	assert_int_equal(gmem_convert(g, 8 * MIB + PAGE, PAGE, false, NULL, NULL), 0);
	assert_int_equal(gmem_convert(g, 40 * MIB, PAGE, false, NULL, NULL), 0);
	return g;
}

struct json_object *listed(struct json_object *list, const struct gmem *g)
{
	struct json_object *files = member(list, "files"), *one;
	size_t i;

	for (i = 0; i < json_object_array_length(files); i++) {
		one = json_object_array_get_idx(files, i);
		if (!strcmp(text(one, "file"), name_of(g)))
			return one;
	}
	fail_msg("%s is missing", name_of(g));
	return NULL;
}

void agree(struct json_object *o, const struct gmem *g)
{
	static const char * const keys[][2] = {
		{ "ino", "ino" }, { "size", "gmem-size" }, { "allocated", "gmem-allocated" },
		{ "private", "gmem-private" }, { "shared", "gmem-shared" },
		{ "live", "gmem-live" }, { "blocks_4k", "gmem-blocks-4k" },
		{ "blocks_2m", "gmem-blocks-2m" }, { "blocks_1g", "gmem-blocks-1g" },
		{ "reserved", "gmem-reserved" }, { "conversions", "gmem-conversions" },
		{ "eagain", "gmem-eagain" }, { "vmemmap", "gmem-vmemmap" },
		{ "bindings", "gmem-bindings" }, { "poisoned", "gmem-poisoned" },
	};
	struct json_object *nodes = member(o, "nodes");
	uint64_t on_nodes = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(keys); i++)
		assert_int_equal(number(o, keys[i][0]), kernel_says(g, keys[i][1]));
	for (i = 0; i < json_object_array_length(nodes); i++)
		on_nodes += number(json_object_array_get_idx(nodes, i), "held");
	assert_int_equal(on_nodes, held(g));
	assert_int_equal(number(o, "held"), held(g));
	assert_int_equal(number(o, "pid"), getpid());
	assert_string_equal(text(o, "command"), program_invocation_short_name);
}

static const struct {
	uint64_t offset, size;
	bool private, present;
} mixed_runs[] = {
	{ 0, 4 * MIB, true, true },
	{ 4 * MIB, 2 * MIB, false, true },
	{ 6 * MIB, 2 * MIB + PAGE, true, true },
	{ 8 * MIB + PAGE, PAGE, false, true },
	{ 8 * MIB + 2 * PAGE, 24 * MIB - 2 * PAGE, true, true },
	{ 32 * MIB, 8 * MIB, true, false },
	{ 40 * MIB, PAGE, false, false },
	{ 40 * MIB + PAGE, 24 * MIB - PAGE, true, false },
};

void assert_mixed_runs(const struct gmem *g)
{
	struct json_object *o = gmem_json(0, "map %s", name_of(g)), *runs = member(o, "runs"), *r;
	unsigned int i;

	agree(member(o, "stat"), g);
	assert_int_equal(json_object_array_length(runs), ARRAY_SIZE(mixed_runs));
	for (i = 0; i < ARRAY_SIZE(mixed_runs); i++) {
		r = json_object_array_get_idx(runs, i);
		assert_int_equal(number(r, "offset"), mixed_runs[i].offset);
		assert_int_equal(number(r, "size"), mixed_runs[i].size);
		assert_int_equal(json_object_get_boolean(member(r, "private")),
				 mixed_runs[i].private);
		assert_int_equal(json_object_get_boolean(member(r, "present")),
				 mixed_runs[i].present);
		assert_int_equal(number(r, "block"), mixed_runs[i].present ? 2 * MIB : 0);
	}
	json_object_put(o);
}

void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

void read_whole(const char *path, char *buf, size_t size)
{
	FILE *in = fopen(path, "r");

	assert_non_null(in);
	buf[fread(buf, 1, size - 1, in)] = 0;
	fclose(in);
}
