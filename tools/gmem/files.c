// SPDX-License-Identifier: GPL-2.0-only
/* Finds files of guest_memfd in /proc, as far as /proc lets the user see them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "tool.h"

/* What KVM calls its files. Others can be called so, but those that are not are none. */
#define NAME	"/[kvm-gmem] (deleted)"

static int read_text(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, buf, size);
	err = n < 0 ? -errno : (int)n;
	close(fd);
	return err;
}

static int read_nodes(struct file *file, const char *text, size_t size)
{
	uint64_t bytes;
	int node = -1, ret;

	file->nr_nodes = 0;
	while ((ret = gmem_next_node(text, size, &node, &bytes)) > 0) {
		if (file->nr_nodes == FILE_NODES)
			return -E2BIG;
		file->node[file->nr_nodes++] = (struct node_held){ node, bytes };
	}
	return ret;
}

/*
 * The lines about gmem, whole, and the number of the inode. Whoever has the file can lock
 * it, and have a line for each lock before them.
 */
static int read_fdinfo(const struct file *file, char *buf, size_t size)
{
	char path[64], line[512];
	bool whole = true, wanted = false;
	size_t n = 0, len;
	int err = 0;
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", file->pid, file->fd);
	in = fopen(path, "re");
	if (!in)
		return -errno;
	while (fgets(line, sizeof(line), in)) {
		if (whole)
			wanted = !strncmp(line, "gmem-", 5) || !strncmp(line, "ino:", 4);
		len = strlen(line);
		whole = len && line[len - 1] == '\n';
		if (!wanted)
			continue;
		if (n + len > size) {
			err = -E2BIG;
			break;
		}
		memcpy(buf + n, line, len);
		n += len;
	}
	if (ferror(in))
		err = -errno;
	fclose(in);
	return err ? err : (int)n;
}

/* Of the file itself: its file system is what nobody can forge. */
static int read_stat(const struct file *file, struct stat *st)
{
	struct statfs fs;
	char path[64];
	int fd, err;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", file->pid, file->fd);
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &fs))
		err = -errno;
	else if (fs.f_type != GUEST_MEMFD_MAGIC)
		err = -EOPNOTSUPP;
	else
		err = fstat(fd, st) ? -errno : 0;
	close(fd);
	return err;
}

int file_read(struct file *file)
{
	struct gmem_stats stats;
	char text[4096];
	struct stat st;
	int n, size;

	size = read_fdinfo(file, text, sizeof(text));
	if (size < 0)
		return size;
	/* Another file system can let one wait for ever, but has no such lines. */
	n = gmem_parse_fdinfo(text, size, &stats);
	if (!n)
		n = read_stat(file, &st);
	if (n)
		return n;
	/* The descriptor was another file's in between. */
	if (st.st_ino != stats.value[GMEM_STAT_INO])
		return -ESTALE;
	if (file->stats.present && file_stat(file, GMEM_STAT_INO) != st.st_ino)
		return -ENOENT;
	n = read_nodes(file, text, size);
	if (n)
		return n;
	file->stats = stats;
	file->block = st.st_blksize;
	file->held = st.st_blocks * 512ULL;
	return 0;
}

bool file_gone(int err)
{
	return err == -ENOENT || err == -ESRCH;
}

static void read_command(struct file *file)
{
	char path[64];
	int n;

	snprintf(path, sizeof(path), "/proc/%d/comm", file->pid);
	n = read_text(path, file->command, sizeof(file->command) - 1);
	file->command[n < 0 ? 0 : n] = 0;
	/* The kernel adds the end of the line. */
	if (n > 0)
		file->command[n - 1] = 0;
	make_printable(file->command);
}

static void add(struct files *files, pid_t pid, int fd)
{
	struct file file = { .pid = pid, .fd = fd, .openers = 1 };
	int err = file_read(&file);

	if (err) {
		files->unreadable += !file_gone(err) && err != -EOPNOTSUPP;
		return;
	}
	read_command(&file);
	if (!(files->nr & (files->nr - 1)))
		files->file = realloc(files->file, (files->nr ? 2 * files->nr : 1) * sizeof(file));
	if (!files->file)
		abort();
	files->file[files->nr++] = file;
}

int files_of(pid_t pid, struct files *files)
{
	char path[64], name[64];
	struct dirent *d;
	ssize_t n;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	if (!dir)
		return -errno;
	while ((d = readdir(dir))) {
		n = readlinkat(dirfd(dir), d->d_name, name, sizeof(name) - 1);
		if (n < 0)
			continue;
		name[n] = 0;
		if (!strcmp(name, NAME))
			add(files, pid, atoi(d->d_name));
	}
	closedir(dir);
	return 0;
}

static int by_inode(const void *a, const void *b)
{
	const struct file *x = a, *y = b;
	uint64_t i = file_stat(x, GMEM_STAT_INO), j = file_stat(y, GMEM_STAT_INO);

	if (i != j)
		return i < j ? -1 : 1;
	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->fd - y->fd;
}

static int by_held(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	if (x->held != y->held)
		return x->held < y->held ? 1 : -1;
	return by_inode(a, b);
}

/* A file that is open several times is one file. */
static void unite(struct files *files)
{
	size_t i, n = 0;

	if (!files->nr)
		return;
	qsort(files->file, files->nr, sizeof(*files->file), by_inode);
	for (i = 1; i < files->nr; i++) {
		if (file_stat(&files->file[i], GMEM_STAT_INO) ==
		    file_stat(&files->file[n], GMEM_STAT_INO))
			files->file[n].openers++;
		else
			files->file[++n] = files->file[i];
	}
	files->nr = n + 1;
	qsort(files->file, files->nr, sizeof(*files->file), by_held);
}

int files_scan(struct files *files)
{
	struct dirent *d;
	pid_t pid;
	DIR *dir;
	int err;

	memset(files, 0, sizeof(*files));
	dir = opendir("/proc");
	if (!dir)
		return -errno;
	while ((d = readdir(dir))) {
		pid = atoi(d->d_name);
		if (pid <= 0 || pid == getpid())
			continue;
		err = files_of(pid, files);
		files->denied += err && !file_gone(err);
	}
	closedir(dir);
	unite(files);
	return 0;
}

void files_free(struct files *files)
{
	free(files->file);
	memset(files, 0, sizeof(*files));
}

uint64_t file_stat(const struct file *file, enum gmem_stat stat)
{
	return file->stats.value[stat];
}

const char *file_name(const struct file *file)
{
	static char name[32];

	snprintf(name, sizeof(name), "%d/%d", file->pid, file->fd);
	return name;
}

const char *source_text(const struct file *file)
{
	uint64_t flags = file_stat(file, GMEM_STAT_FLAGS);

	/* Bits of KVM_CREATE_GUEST_MEMFD, as fdinfo has them. */
	if (flags >> 32 & 1)
		return "hugetlb";
	return flags >> 33 & 1 ? "buddy" : "pages";
}

static const struct {
	const char *key;
	enum gmem_stat stat;
} json_keys[] = {
	{ "ino", GMEM_STAT_INO }, { "size", GMEM_STAT_SIZE },
	{ "allocated", GMEM_STAT_ALLOCATED }, { "private", GMEM_STAT_PRIVATE },
	{ "shared", GMEM_STAT_SHARED }, { "live", GMEM_STAT_LIVE },
	{ "blocks_4k", GMEM_STAT_BLOCKS_4K }, { "blocks_2m", GMEM_STAT_BLOCKS_2M },
	{ "blocks_1g", GMEM_STAT_BLOCKS_1G }, { "reserved", GMEM_STAT_RESERVED },
	{ "conversions", GMEM_STAT_CONVERSIONS }, { "eagain", GMEM_STAT_EAGAIN },
	{ "vmemmap", GMEM_STAT_VMEMMAP }, { "bindings", GMEM_STAT_BINDINGS },
	{ "poisoned", GMEM_STAT_POISONED },
};

static struct json_object *nodes_json(const struct file *file)
{
	struct json_object *nodes = json_object_new_array(), *o;
	unsigned int i;

	for (i = 0; i < file->nr_nodes; i++) {
		o = json_object_new_object();
		put_u64(o, "node", file->node[i].node);
		put_u64(o, "held", file->node[i].bytes);
		json_object_array_add(nodes, o);
	}
	return nodes;
}

struct json_object *file_json(const struct file *file)
{
	struct json_object *o = json_object_new_object();
	unsigned int i;
	char flags[24];

	put_text(o, "file", file_name(file));
	put_u64(o, "pid", file->pid);
	put_u64(o, "fd", file->fd);
	put_text(o, "command", file->command);
	put_u64(o, "openers", file->openers);
	put_text(o, "source", source_text(file));
	put_u64(o, "block", file->block);
	put_u64(o, "held", file->held);
	/* Not all that reads JSON has 64 bits for a number. */
	snprintf(flags, sizeof(flags), "%#llx",
		 (unsigned long long)file_stat(file, GMEM_STAT_FLAGS));
	put_text(o, "flags", flags);
	for (i = 0; i < ARRAY_SIZE(json_keys); i++)
		put_u64(o, json_keys[i].key, file_stat(file, json_keys[i].stat));
	json_object_object_add(o, "nodes", nodes_json(file));
	return o;
}
