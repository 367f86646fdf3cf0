// SPDX-License-Identifier: GPL-2.0-only
/* The file that the user names, and taking its descriptor from its process. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tool.h"

static int parse_name(const char *text, pid_t *pid, int *fd)
{
	unsigned long p, f = 0;
	char copy[32], *slash;

	if (strlen(text) >= sizeof(copy))
		return -EINVAL;
	snprintf(copy, sizeof(copy), "%s", text);
	slash = strchr(copy, '/');
	if (slash)
		*slash++ = 0;
	if (!parse_unsigned(copy, INT32_MAX, &p) || !p)
		return -EINVAL;
	if (slash && !parse_unsigned(slash, INT32_MAX, &f))
		return -EINVAL;
	*pid = p;
	*fd = slash ? (int)f : -1;
	return 0;
}

static int denied(pid_t pid, int err)
{
	if (err == -ENOENT || err == -ESRCH)
		return fail(FAILED, NULL, "there is no process %d", pid);
	return fail(FAILED, "become its user, or root",
		    "may not look at the files of process %d (%s)", pid, strerror(-err));
}

static int pick(struct files *files, pid_t pid, int fd, struct file *file)
{
	size_t i;

	for (i = 0; i < files->nr; i++) {
		if (fd < 0 || files->file[i].fd == fd) {
			*file = files->file[i];
			break;
		}
	}
	if (i < files->nr && (fd >= 0 || files->nr == 1))
		return DONE;
	if (files->unreadable && i == files->nr)
		return fail(FAILED, NULL, "%zu files of process %d cannot be read",
			    files->unreadable, pid);
	if (!files->nr)
		return fail(FAILED, "see gmem list", "process %d has no guest memory in a file",
			    pid);
	if (fd < 0)
		return fail(USAGE, "name one as in gmem list", "process %d has %zu such files", pid,
			    files->nr);
	return fail(FAILED, "see gmem list", "descriptor %d of process %d is no guest_memfd", fd,
		    pid);
}

int target_find(const char *text, struct target *t)
{
	struct files files = { };
	pid_t pid;
	int fd, err;

	memset(t, 0, sizeof(*t));
	if (!have_gmem())
		return no_gmem();
	if (parse_name(text, &pid, &fd))
		return fail(USAGE, "write it as in gmem list, like 1234/15", "'%s' names no file",
			    text);
	err = files_of(pid, &files);
	if (err)
		return denied(pid, err);
	err = pick(&files, pid, fd, &t->file);
	files_free(&files);
	return err;
}

static int take_fd(pid_t pid, int fd)
{
	int pidfd = syscall(SYS_pidfd_open, pid, 0), taken, err;

	if (pidfd < 0)
		return -errno;
	taken = syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	err = taken < 0 ? -errno : taken;
	close(pidfd);
	return err;
}

int target_open(struct target *t)
{
	int fd = take_fd(t->file.pid, t->file.fd), err;

	if (fd == -EPERM)
		return fail(FAILED, "become root (CAP_SYS_PTRACE)",
			    "may not take the file from process %d, as a debugger could",
			    t->file.pid);
	if (fd < 0)
		return fail(FAILED, NULL, "cannot take the file from process %d: %s", t->file.pid,
			    strerror(-fd));
	err = gmem_adopt(fd, &t->g);
	if (err) {
		close(fd);
		return fail(FAILED, NULL, "%s is no guest_memfd any more: %s",
			    file_name(&t->file), strerror(-err));
	}
	gmem_info(t->g, &t->info);
	return DONE;
}

int target_take(const char *text, struct target *t)
{
	int status = target_find(text, t);

	return status ? status : target_open(t);
}

void target_put(struct target *t)
{
	gmem_close(t->g);
	t->g = NULL;
}

int target_no_runs(const struct target *t, int err)
{
	if (err == -ENOTTY)
		return fail(UNSUPPORTED, "only mappable files of VMs with private memory do",
			    "%s does not track what is private", file_name(&t->file));
	return fail(FAILED, NULL, "%s: %s", file_name(&t->file), strerror(-err));
}

int target_runs(const struct target *t, struct gmem_run **runs, size_t *nr)
{
	size_t room = 256, n = 0;
	uint64_t next = 0;
	int got;

	*runs = NULL;
	*nr = 0;
	do {
		*runs = realloc(*runs, room * sizeof(**runs));
		if (!*runs)
			abort();
		got = gmem_runs(t->g, next, *runs + n, room - n);
		if (got < 0) {
			free(*runs);
			*runs = NULL;
			return got;
		}
		n += got;
		next = (*runs)[n - 1].offset + (*runs)[n - 1].size;
		room *= 2;
	} while (next < t->info.size);
	*nr = n;
	return 0;
}
