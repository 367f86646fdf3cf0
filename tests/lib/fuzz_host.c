// SPDX-License-Identifier: GPL-2.0-only
/* Touches of the host that may end in a signal, by this process and by a child. */
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "fuzz.h"

static sigjmp_buf touch_env;
static volatile sig_atomic_t touching;

static void on_signal(int sig)
{
	if (!touching) {
		signal(sig, SIG_DFL);
		return;
	}
	touching = 0;
	siglongjmp(touch_env, sig);
}

void fz_host_init(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
}

/* Fill a page, or count the words of it that differ: 0, or the signal. */
int fz_host_touch(char *addr, u64 off, u32 content, bool write, u64 *bad)
{
	int sig;

	*bad = 0;
	sig = sigsetjmp(touch_env, 1);
	if (sig)
		return sig;
	touching = 1;
	if (write)
		gm_host_fill(addr, off, GM_PAGE, content);
	else
		*bad = gm_host_differ(addr, off, GM_PAGE, content);
	touching = 0;
	return 0;
}

/* The same by a system call, where there is no signal: 0, or its errno. */
int fz_host_copy(char *addr, u64 off, u32 content, bool write, u64 *bad)
{
	static char buf[GM_PAGE] __aligned(8);
	static int fd = -1;
	ssize_t r;

	*bad = 0;
	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	gm_assert(fd >= 0, "memfd_create: %s", strerror(errno));
	if (write) {
		gm_host_fill(buf, off, GM_PAGE, content);
		gm_assert_eq(pwrite(fd, buf, GM_PAGE, 0), GM_PAGE);
		r = pread(fd, addr, GM_PAGE, 0);
	} else {
		r = pwrite(fd, addr, GM_PAGE, 0);
	}
	if (r < 0)
		return errno;
	gm_assert_eq(r, GM_PAGE);
	if (!write) {
		gm_assert_eq(pread(fd, buf, GM_PAGE, 0), GM_PAGE);
		*bad = gm_host_differ(buf, off, GM_PAGE, content);
	}
	return 0;
}

/* A child that has what was mapped when it was made, and touches it when told. */

struct request {
	char *addr;
	u64 off;
	u32 content;
	bool write;
};

struct reply {
	int sig;
	u64 bad;
};

static pid_t child;
static int child_fd;

static void __noreturn child_main(int fd)
{
	struct request q;
	struct reply r;

	/* It must not outlive a parent that fails. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(fd, &q, sizeof(q)) == sizeof(q)) {
		r.sig = fz_host_touch(q.addr, q.off, q.content, q.write, &r.bad);
		if (write(fd, &r, sizeof(r)) != sizeof(r))
			break;
	}
	_exit(0);
}

void fz_host_fork(void)
{
	int fd[2];

	gm_assert_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	fflush(stdout);
	child = fork();
	gm_assert(child >= 0, "fork: %s", strerror(errno));
	if (!child) {
		close(fd[0]);
		child_main(fd[1]);
	}
	close(fd[1]);
	child_fd = fd[0];
}

int fz_host_child(char *addr, u64 off, u32 content, bool write_it, u64 *bad)
{
	struct request q = { .addr = addr, .off = off, .content = content,
			     .write = write_it };
	struct reply r;

	gm_assert_eq(write(child_fd, &q, sizeof(q)), sizeof(q));
	gm_assert_eq(read(child_fd, &r, sizeof(r)), sizeof(r));
	*bad = r.bad;
	return r.sig;
}

void fz_host_reap(void)
{
	int status;

	close(child_fd);
	gm_assert_eq(waitpid(child, &status, 0), child);
	gm_assert_eq(status, 0);
}

/* By way of the kernel, without the other's help: 0, or the errno. */
static int peek(pid_t pid, char *addr, u64 off, u32 content, bool write, u64 *bad)
{
	static char buf[GM_PAGE] __aligned(8);
	struct iovec here = { .iov_base = buf, .iov_len = GM_PAGE };
	struct iovec there = { .iov_base = addr, .iov_len = GM_PAGE };
	ssize_t r;

	*bad = 0;
	if (write) {
		gm_host_fill(buf, off, GM_PAGE, content);
		r = process_vm_writev(pid, &here, 1, &there, 1, 0);
	} else {
		r = process_vm_readv(pid, &here, 1, &there, 1, 0);
	}
	if (r < 0)
		return errno;
	gm_assert_eq(r, GM_PAGE);
	if (!write)
		*bad = gm_host_differ(buf, off, GM_PAGE, content);
	return 0;
}

int fz_host_peek(char *addr, u64 off, u32 content, bool write, u64 *bad)
{
	return peek(getpid(), addr, off, content, write, bad);
}

int fz_host_peek_child(char *addr, u64 off, u32 content, bool write, u64 *bad)
{
	return peek(child, addr, off, content, write, bad);
}
