// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest watches its memory while the host runs short: a command given behind
 * "--", or processes of our own that write more than there is. Private memory is
 * never unmapped behind the guest's back, its data never change, and what
 * cannot be had is refused cleanly.
 */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "gmem_test.h"

#define SEED	43
#define DECOY	0xdec0dec0dec0dec0ULL
#define TRACE	"/sys/kernel/tracing/instances/gmem-pressure"

/* Faults of guests on what we attach, and nothing else. */
static void trace_faults(bool on)
{
	if (on) {
		/* Of this case alone, also after one that failed. */
		rmdir(TRACE);
		gm_assert_ok(mkdir(TRACE, 0755));
		gm_assert(gm_write(TRACE "/events/kvm/kvm_page_fault/filter",
				   "fault_address >= %#lx", (unsigned long)GM_GPA),
			  "filter: %s", strerror(errno));
	}
	gm_assert(gm_write(TRACE "/events/kvm/kvm_page_fault/enable", on ? "1" : "0"),
		  "enable: %s", strerror(errno));
	if (!on)
		rmdir(TRACE);
}

static unsigned long traced_faults(void)
{
	FILE *in = fopen(TRACE "/trace", "r");
	unsigned long nr = 0;
	char line[512];

	gm_assert(in, "trace: %s", strerror(errno));
	while (fgets(line, sizeof(line), in))
		nr += !!strstr(line, "kvm_page_fault:");
	fclose(in);
	return nr;
}

/* Writes memory until told to stop or killed, and is the first to be killed. */
static pid_t start_hog(u64 bytes, int *ready)
{
	int p[2];
	pid_t pid;

	gm_assert_ok(pipe(p));
	pid = fork();
	gm_assert(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		char *mem;
		u64 i, round;

		gm_write("/sys/fs/cgroup/cgroup.procs", "0");
		gm_write("/proc/self/oom_score_adj", "1000");
		mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (mem == MAP_FAILED)
			_exit(1);
		for (round = 0; ; round++) {
			for (i = 0; i < bytes; i += GM_PAGE)
				WRITE_ONCE(mem[i], i / GM_PAGE + round);
			if (write(p[1], "x", 1) != 1)
				_exit(0);
		}
	}
	close(p[1]);
	*ready = p[0];
	return pid;
}

static void end_hog(pid_t pid, int ready)
{
	int status;

	kill(pid, SIGKILL);
	gm_assert_eq(waitpid(pid, &status, 0), pid);
	close(ready);
}

static void run_command(void)
{
	pid_t pid = fork();
	int status;

	gm_assert(pid >= 0, "fork: %s", strerror(errno));
	if (!pid) {
		gm_write("/sys/fs/cgroup/cgroup.procs", "0");
		gm_write("/proc/self/oom_score_adj", "1000");
		execvp(gm_command[0], gm_command);
		_exit(127);
	}
	gm_assert_eq(waitpid(pid, &status, 0), pid);
	gm_assert(!WIFEXITED(status) || WEXITSTATUS(status) != 127, "cannot run %s",
		  gm_command[0]);
	gm_note("%s ended with %#x", gm_command[0], status);
}

#define ENOUGH	4096	/* pages that have to move */

static long swapped_out(void)
{
	return gm_proc_value("/proc/vmstat", "pswpout");
}

/* Rounds over more than what is available, until enough had to move. */
static void press_once(long swap, long out)
{
	u64 bytes = (u64)gm_meminfo("MemAvailable") << 10;
	unsigned int i;
	int ready;
	pid_t pid;
	char x;

	if (swap < 100 << 10)
		bytes = bytes / 10 * 9;
	else
		bytes += 128 << 20;
	pid = start_hog(bytes, &ready);
	for (i = 0; i < 4 && read(ready, &x, 1) == 1; i++) {
		if (swapped_out() - out > ENOUGH)
			break;
	}
	end_hog(pid, ready);
}

static void press(void)
{
	const long swap = gm_meminfo("SwapFree"), out = swapped_out();
	unsigned int i;

	/* What is available is a guess, and low while a process is still going. */
	if (gm_command)
		run_command();
	else
		for (i = 0; i < 5 && (!i || (swap >= 100 << 10 &&
					     swapped_out() - out < ENOUGH)); i++)
			press_once(swap, out);
	gm_note("%ld pages swapped out", swapped_out() - out);
	if (swap >= 100 << 10)
		gm_assert_ge(swapped_out() - out, ENOUGH);
}

/* share: 0 for a slot with a second source, whose memory is there to be swapped. */
static void watch(unsigned int source, unsigned int type, u64 share)
{
	const struct gm_source *src = &gm_sources[source];
	const u64 size = src->block == GM_PAGE ? 8 * GM_2M : 16 * GM_2M;
	u64 *hva, i, p2m, p4k;
	struct gm_file f;
	struct gm_vm *g;

	gm_need_source(src, size);
	if (gm_meminfo("SwapTotal") < 100 << 10)
		gm_note("no swap: memory only gets short");
	g = gm_vm_create(type, 1, 0);
	f = gm_create_from(g->vm, src, size, share);
	hva = kvm_mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	for (i = 0; i < size / 8; i++)
		hva[i] = DECOY;
	gm_slot(g, &f, GM_GPA, size, 0, hva);
	gm_map(g, GM_GPA, size);
	if (type == GM_SWP)
		vm_mem_set_private(g->vm, GM_GPA, size);
	gm_guest_fill(g, 0, size, SEED);
	p2m = gm_vm_stat(g, "pages_2m");
	p4k = gm_vm_stat(g, "pages_4k");

	trace_faults(true);
	gm_start(g, 0, GM_WATCH, GM_GPA, 0, size, GM_PAGE, SEED);
	press();
	gm_stop(g, 0);
	gm_assert_eq(gm_join(g, 0), 0);
	gm_assert_good(g, 0);
	gm_assert_ge(gm_cmd(g, 0)->rounds, 1);
	gm_guest_verify(g, 0, size, SEED);
	/* Nothing was taken away: no page of ours was faulted in again. */
	gm_assert_eq(traced_faults(), 0);
	trace_faults(false);
	if (src->block == GM_2M)
		gm_assert_eq(gm_vm_stat(g, "pages_2m"), p2m);
	else
		gm_assert_ge(gm_vm_stat(g, "pages_4k") + 64, p4k);
	if (gm_have_gmem()) {
		gm_assert_eq(gm_held(&f), size);
		gm_assert_frozen(&f);
	}
	for (i = 0; i < size / 8; i++)
		gm_assert(hva[i] == DECOY, "userspace_addr changed");
	gm_close(&f);
	gm_vm_free(g);
}

/* Half of a slot private, half of it shared memory that is swapped. */
static void half_and_half(void)
{
	const struct gm_source *src = &gm_sources[GM_SRC_THP_2M];
	const u64 size = 16 * GM_2M, half = size / 2;
	struct gm_file f;
	struct gm_vm *g;
	u64 *hva;

	gm_need_source(src, size);
	g = gm_vm_create(GM_SWP, 1, 0);
	f = gm_create_from(g->vm, src, size, 0);
	hva = kvm_mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	gm_slot(g, &f, GM_GPA, size, 0, hva);
	gm_map(g, GM_GPA, size);
	vm_mem_set_private(g->vm, GM_GPA, half);
	gm_guest_fill(g, 0, size, SEED);
	gm_assert_eq(gm_held(&f), half);
	gm_start(g, 0, GM_WATCH, GM_GPA, 0, size, GM_PAGE, SEED);
	press();
	gm_stop(g, 0);
	gm_assert_eq(gm_join(g, 0), 0);
	gm_assert_good(g, 0);
	gm_guest_verify(g, 0, size, SEED);
	gm_assert_eq(gm_host_differ(hva + half / 8, half, half, SEED), 0);
	gm_assert_eq(gm_host_differ(hva, 0, half, 0), 0);
	gm_assert_eq(gm_held(&f), half);
	gm_close(&f);
	gm_vm_free(g);
}

/* A limit on the VMM's own cgroup: ENOMEM here and there, and nobody dies. */
static void limit(unsigned int source)
{
	const struct gm_source *src = &gm_sources[source];
	const u64 size = 32 * GM_2M;
	struct kvm_run *run;
	u64 held, off;
	struct gm_file f;
	struct gm_vm *g;
	char path[128];
	int err = 0;

	gm_need_source(src, size);
	if (!gm_have_gmem())
		gm_skip("stock guest_memfd has the VMM killed");
	g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	run = g->vcpu[0]->run;
	f = gm_create_from(g->vm, src, size, GM_MMAP);
	gm_attach(g, &f, GM_GPA);
	gm_guest_fill(g, 0, GM_2M, SEED);
	snprintf(path, sizeof(path), "%s/memory.max", gm_cgroup);
	gm_assert(gm_write(path, "%ld", gm_read_long("%s/memory.current", gm_cgroup) +
			   8 * (long)GM_2M), "%s", path);

	gm_assert_errno(gm_populate(&f, 0, size), ENOMEM);
	held = gm_held(&f);
	gm_assert_le(held, 12 * GM_2M);
	gm_assert_ge(held, GM_2M);
	for (off = held; off < size && !err; off += GM_2M)
		err = gm_try(g, 0, GM_TOUCH, GM_GPA + off, off, GM_2M, GM_PAGE, SEED);
	gm_assert_eq(err, ENOMEM);
	gm_assert_eq(run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	gm_assert_ge(run->memory_fault.gpa, GM_GPA + held);
	gm_reset(g, 0);
	gm_guest_verify(g, 0, GM_2M, SEED);

	gm_assert(gm_write(path, "max"), "%s", path);
	gm_assert_ok(gm_populate(&f, 0, size));
	gm_guest_touch(g, 0, size, GM_PAGE, SEED);
	gm_close(&f);
	gm_vm_free(g);
}

static bool has_ended(void *arg)
{
	siginfo_t info = { 0 };

	return !waitid(P_PID, *(pid_t *)arg, &info, WEXITED | WNOHANG | WNOWAIT) &&
	       info.si_pid;
}

/*
 * Memory and swap are full and the file wants all there is: the killer takes the
 * hog, or the file gets a clean refusal. The VMM stays, and its data.
 */
static void exhausted(unsigned int source)
{
	const struct gm_source *src = &gm_sources[source];
	const u64 step = 4 * GM_2M;
	int ready, status, err = 0;
	struct gm_file f;
	struct gm_vm *g;
	u64 size, off;
	pid_t pid;
	char x;

	gm_need_source(src, 0);
	g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	size = ((u64)gm_meminfo("MemTotal") << 10) & -step;
	f = gm_create_from(g->vm, src, size, GM_MMAP);
	gm_attach(g, &f, GM_GPA);
	gm_guest_fill(g, 0, step, SEED);
	pid = start_hog(((u64)gm_meminfo("MemAvailable") + gm_meminfo("SwapFree")) * 1024
			/ 100 * 95, &ready);
	gm_assert_ge(read(ready, &x, 1), 0);
	gm_start(g, 0, GM_WATCH, GM_GPA, 0, step, GM_PAGE, SEED);
	for (off = 0; off < size && !err && !has_ended(&pid); off += step)
		err = gm_populate(&f, off, step) ? errno : 0;
	gm_note("populated %lu of %lu MiB: %s", (unsigned long)(gm_held(&f) >> 20),
		(unsigned long)(size >> 20), strerror(err));
	gm_stop(g, 0);
	gm_assert_eq(gm_join(g, 0), 0);
	gm_assert_good(g, 0);
	gm_guest_verify(g, 0, step, SEED);
	gm_assert(err == ENOMEM || (!err && gm_wait_until(has_ended, &pid, 20)),
		  "nobody had to go: %s", strerror(err));
	if (err) {
		end_hog(pid, ready);
	} else {
		gm_assert_eq(waitpid(pid, &status, 0), pid);
		gm_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%#x", status);
	}
	gm_close(&f);
	gm_vm_free(g);
}

#define CASE(name, call) static void name(void) { call; }

CASE(watch_4k, watch(GM_SRC_4K, VM_TYPE_DEFAULT, GM_MMAP))
CASE(watch_2m, watch(GM_SRC_THP_2M, VM_TYPE_DEFAULT, GM_MMAP))
CASE(watch_htlb_2m, watch(GM_SRC_HTLB_2M, VM_TYPE_DEFAULT, GM_SHARED))
CASE(watch_dual_4k, watch(GM_SRC_4K, GM_SWP, 0))
CASE(watch_dual_2m, watch(GM_SRC_THP_2M, GM_SWP, 0))
CASE(watch_dual_htlb_2m, watch(GM_SRC_HTLB_2M, GM_SWP, 0))
CASE(limit_4k, limit(GM_SRC_4K))
CASE(limit_2m, limit(GM_SRC_THP_2M))
CASE(exhausted_4k, exhausted(GM_SRC_4K))
CASE(exhausted_2m, exhausted(GM_SRC_THP_2M))

#define SECONDS	240

static const struct gm_case cases[] = {
	{ "watch_4k", watch_4k, SECONDS },
	{ "watch_2m", watch_2m, SECONDS },
	{ "watch_hugetlb_2m", watch_htlb_2m, SECONDS },
	{ "watch_dual_4k", watch_dual_4k, SECONDS },
	{ "watch_dual_2m", watch_dual_2m, SECONDS },
	{ "watch_dual_hugetlb_2m", watch_dual_htlb_2m, SECONDS },
	{ "half_and_half", half_and_half, SECONDS },
	{ "limit_4k", limit_4k, SECONDS },
	{ "limit_2m", limit_2m, SECONDS },
	{ "exhausted_4k", exhausted_4k, SECONDS },
	{ "exhausted_2m", exhausted_2m, SECONDS },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 16);
}
