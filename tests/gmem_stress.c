// SPDX-License-Identifier: GPL-2.0-only
/*
 * stress-ng takes all memory of the host while a guest watches its own. Its VM
 * has slots with two sources: private memory of a gmem file and, between it,
 * shared memory at userspace_addr that is swapped out and in. The guest's private
 * memory is not unmapped once, no word changes, what it touches for the first
 * time it gets or is refused cleanly, and the OOM killer takes stress-ng.
 */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "gmem_test.h"

#define SEED	47
#define TRACE	"/sys/kernel/tracing/instances/gmem-stress-"
#define EVENT	"/events/kvmmmu/kvm_tdp_mmu_spte_changed/"
#define OUTPUT	"/tmp/stress-ng.log"
#define SECONDS	400
#define MEMORY	"all"	/* stands for what is free, and half of the swap */

/* One slot. Units alternate: private, shared, private ... */
struct part {
	const struct gm_source *src;
	u64 size;
	u64 off;		/* from GM_GPA */
	struct gm_file f;
	void *hva;
};

struct stress {
	const char *name;
	bool ooms;		/* takes until somebody is killed */
	const char *args[14];
};

struct scene {
	struct gm_vm *g;
	struct part part[3];
	unsigned int nr_parts;
	u64 size;
	struct gm_file fresh[2];	/* reserved, and not */
	u64 fresh_off[2];
	struct gm_file mapped;	/* by the host too, which touches it late */
	u64 mapped_off;
	void *map;
	/* while it runs */
	const struct stress *stress;
	pid_t pid;
	int kmsg;
	long swap_free, swapped_out, swapped_in, oomed;
	int status;
};

/* Traces */

/* Leaves of these parts that are taken away; @shared: of the other units. */
static void trace_start(struct scene *s, bool shared)
{
	const char *name = shared ? "shared" : "private";
	char filter[512], path[192];
	size_t len = 0;
	unsigned int i;

	for (i = 0; i < s->nr_parts; i++) {
		const struct part *p = &s->part[i];
		unsigned long gfn = (GM_GPA + p->off) / GM_PAGE;

		len += snprintf(filter + len, sizeof(filter) - len,
				"%s(gfn >= %#lx && gfn < %#lx && %s(gfn & %#lx))",
				i ? " || " : "!(new_spte & 1) && (", gfn,
				gfn + (unsigned long)(p->size / GM_PAGE),
				shared ? "" : "!", (unsigned long)(p->src->block / GM_PAGE));
	}
	snprintf(filter + len, sizeof(filter) - len, ")");

	/* Of this case alone, also after one that failed. */
	snprintf(path, sizeof(path), TRACE "%s", name);
	rmdir(path);
	gm_assert(!mkdir(path, 0755), "%s: %s", path, strerror(errno));
	snprintf(path, sizeof(path), TRACE "%s" EVENT "filter", name);
	gm_assert(gm_write(path, "%s", filter), "%s: %s", filter, strerror(errno));
	snprintf(path, sizeof(path), TRACE "%s" EVENT "enable", name);
	gm_assert(gm_write(path, "1"), "%s: %s", path, strerror(errno));
}

static unsigned long traced(const char *name, bool show)
{
	unsigned long nr = 0;
	char line[512];
	FILE *in;

	snprintf(line, sizeof(line), TRACE "%s/trace", name);
	in = fopen(line, "r");
	gm_assert(in, "%s: %s", line, strerror(errno));
	while (fgets(line, sizeof(line), in)) {
		if (!strstr(line, "kvm_tdp_mmu_spte_changed:"))
			continue;
		if (show && nr < 5)
			gm_note("%.*s", (int)strcspn(line, "\n"), line);
		nr++;
	}
	fclose(in);
	return nr;
}

static void trace_end(const char *name)
{
	char path[192];

	snprintf(path, sizeof(path), TRACE "%s" EVENT "enable", name);
	gm_write(path, "0");
	snprintf(path, sizeof(path), TRACE "%s", name);
	gm_assert_ok(rmdir(path));
}

/* The guest */

static void add_part(struct scene *s, unsigned int source, u64 size)
{
	struct part *p = &s->part[s->nr_parts++];
	u64 off;

	p->src = &gm_sources[source];
	p->size = size;
	p->off = s->size;
	gm_need_source(p->src, size);
	p->f = gm_create_from(s->g->vm, p->src, size, 0);
	p->hva = kvm_mmap(size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	gm_slot(s->g, &p->f, GM_GPA + p->off, size, 0, p->hva);
	gm_map(s->g, GM_GPA + p->off, size);
	vm_mem_set_private(s->g->vm, GM_GPA + p->off, size);
	for (off = p->src->block; off < size; off += 2 * p->src->block)
		vm_mem_set_shared(s->g->vm, GM_GPA + p->off + off, p->src->block);
	s->size += size;
}

static void open_scene(struct scene *s)
{
	u64 off;
	int i;

	s->g = gm_vm_create(GM_SWP, 2, 0);
	add_part(s, GM_SRC_4K, 4 * GM_2M);
	if (gm_have_gmem()) {
		add_part(s, GM_SRC_THP_2M, 8 * GM_2M);
		add_part(s, GM_SRC_HTLB_2M, 8 * GM_2M);
		s->fresh[0] = gm_create_from(s->g->vm, &gm_sources[GM_SRC_HTLB_2M],
					     4 * GM_2M, 0);
		s->fresh[1] = gm_create_from(s->g->vm, &gm_sources[GM_SRC_THP_2M],
					     16 * GM_2M, 0);
		for (i = 0, off = s->size; i < 2; off += s->fresh[i++].size) {
			gm_attach(s->g, &s->fresh[i], GM_GPA + off);
			s->fresh_off[i] = off;
		}
		s->mapped = gm_create_from(s->g->vm, &gm_sources[GM_SRC_HTLB_2M],
					   2 * GM_2M, GM_SHARED);
		s->mapped_off = off;
		gm_attach(s->g, &s->mapped, GM_GPA + off);
		gm_assert_ok(gm_populate(&s->mapped, 0, s->mapped.size));
		s->map = gm_mmap(&s->mapped, 0, s->mapped.size);
	}
	gm_guest_fill(s->g, 0, s->size, SEED);
}

static void check_part(struct part *p)
{
	const u64 n = p->src->block;
	u64 off;

	for (off = 0; off < p->size; off += n)
		gm_assert(!gm_host_differ(p->hva + off, p->off + off, n,
					  off & n ? SEED : 0),
			  "userspace_addr + %#lx of %s", (unsigned long)off, p->src->name);
	gm_assert_eq(gm_held(&p->f), p->size / 2);
	if (gm_have_gmem())
		gm_assert_frozen(&p->f);
}

/* A limit refuses even what is reserved, and does so cleanly. */
static void refuse_fresh(struct scene *s)
{
	struct kvm_run *run = s->g->vcpu[1]->run;
	char path[128];

	snprintf(path, sizeof(path), "%s/hugetlb.2MB.max", gm_cgroup);
	gm_assert(gm_write(path, "%ld", gm_read_long("%s/hugetlb.2MB.current", gm_cgroup)),
		  "%s: %s", path, strerror(errno));
	gm_assert_eq(gm_try(s->g, 1, GM_TOUCH, GM_GPA + s->fresh_off[0], s->fresh_off[0],
			    s->fresh[0].size, GM_PAGE, SEED), ENOMEM);
	gm_assert_eq(run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	gm_assert_eq(run->memory_fault.gpa, GM_GPA + s->fresh_off[0]);
	gm_reset(s->g, 1);
	gm_assert_errno(gm_populate(&s->fresh[0], 0, s->fresh[0].size), ENOMEM);
	gm_assert_eq(gm_held(&s->fresh[0]), 0);
	gm_assert(gm_write(path, "max"), "%s: %s", path, strerror(errno));
}

/* Memory that the guest has never touched, now that there is none. */
static void touch_fresh(struct scene *s)
{
	struct kvm_run *run = s->g->vcpu[1]->run;
	int err, fd, i;

	for (i = 0; i < 2; i++) {
		err = gm_try(s->g, 1, GM_TOUCH, GM_GPA + s->fresh_off[i], s->fresh_off[i],
			     s->fresh[i].size, GM_PAGE, SEED);
		if (err) {
			/* What is reserved is there. */
			gm_assert_eq(i, 1);
			gm_assert_eq(err, ENOMEM);
			gm_assert_eq(run->exit_reason, KVM_EXIT_MEMORY_FAULT);
			gm_reset(s->g, 1);
		}
		gm_note("first touch of %s: %s", i ? "unreserved memory" : "reserved pages",
			strerror(err));
		err = gm_populate(&s->fresh[i], 0, s->fresh[i].size) ? errno : 0;
		gm_assert(!err || (i && err == ENOMEM), "fallocate: %s", strerror(err));
	}
	fd = __vm_create_guest_memfd(s->g->vm, gm_pool(GM_2M, "nr") * GM_2M,
				     gm_sources[GM_SRC_HTLB_2M].flags);
	gm_assert(fd == -1 && errno == ENOMEM, "%d, %s", fd, strerror(errno));
	/* A SIGBUS here would end the case. */
	gm_host_fill(s->map, s->mapped_off, s->mapped.size, SEED);
}

static void check_fresh(struct scene *s)
{
	int i;

	for (i = 0; i < 2; i++) {
		gm_assert_ok(gm_populate(&s->fresh[i], 0, s->fresh[i].size));
		gm_assert_frozen(&s->fresh[i]);
		gm_assert_eq(gm_held(&s->fresh[i]), s->fresh[i].size);
	}
	gm_assert_eq(gm_host_differ(s->map, s->mapped_off, s->mapped.size, SEED), 0);
	gm_guest_verify(s->g, s->mapped_off, s->mapped.size, SEED);
	gm_assert_ok(munmap(s->map, s->mapped.size));
	gm_guest_touch(s->g, s->fresh_off[0], s->fresh[0].size + s->fresh[1].size, GM_PAGE,
		       SEED);
	gm_guest_check(s->g, s->fresh_off[0], s->fresh[0].size + s->fresh[1].size, GM_PAGE,
		       SEED);
}

/* stress-ng */

static void start_stress(struct scene *s)
{
	const char *argv[24] = {
		"stress-ng", "--verify", "--timeout", "1000", "--temp-path", "/tmp", "--seed",
	};
	unsigned int n = 7, i;
	char seed[24], all[24];
	int out;

	s->swap_free = gm_meminfo("SwapFree");
	snprintf(seed, sizeof(seed), "%lu", (unsigned long)(gm_seed >> 1));
	snprintf(all, sizeof(all), "%ldK", gm_meminfo("MemAvailable") + s->swap_free / 2);
	argv[n++] = seed;
	for (i = 0; s->stress->args[i]; i++)
		argv[n++] = strcmp(s->stress->args[i], MEMORY) ? s->stress->args[i] : all;

	s->kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	gm_assert(s->kmsg >= 0 && lseek(s->kmsg, 0, SEEK_END) >= 0, "/dev/kmsg");
	s->swapped_out = gm_proc_value("/proc/vmstat", "pswpout");
	s->swapped_in = gm_proc_value("/proc/vmstat", "pswpin");
	s->oomed = gm_proc_value("/proc/vmstat", "oom_kill");
	s->pid = fork();
	gm_assert(s->pid >= 0, "fork: %s", strerror(errno));
	if (s->pid)
		return;

	/* Neither in our cgroup nor in our terminal's sight. */
	gm_write("/sys/fs/cgroup/cgroup.procs", "0");
	out = open(OUTPUT, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	execvp(argv[0], (char **)argv);
	_exit(127);
}

static bool ended(void *arg)
{
	struct scene *s = arg;

	return waitpid(s->pid, &s->status, WNOHANG) == s->pid;
}

/*
 * The host is out of memory: it swaps, and somebody was killed if that is due.
 * What consists of zeroes takes swap, but is not written.
 */
static bool pressed(void *arg)
{
	struct scene *s = arg;

	if (ended(s)) {
		s->pid = 0;
		return true;
	}
	return s->swap_free - gm_meminfo("SwapFree") >= 16 << 10 &&
	       (!s->stress->ooms ||
		gm_proc_value("/proc/vmstat", "oom_kill") > s->oomed);
}

/* Pages at userspace_addr that are in swap now. */
static unsigned long swapped(struct scene *s)
{
	unsigned long nr = 0;
	u64 e[512], off;
	unsigned int i, k;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	gm_assert(fd >= 0, "pagemap: %s", strerror(errno));
	for (i = 0; i < s->nr_parts; i++) {
		for (off = 0; off < s->part[i].size; off += GM_2M) {
			gm_assert_eq(pread(fd, e, sizeof(e),
					   ((u64)s->part[i].hva + off) / GM_PAGE * 8),
				     sizeof(e));
			for (k = 0; k < 512; k++)
				nr += e[k] >> 62 & 1;
		}
	}
	close(fd);
	return nr;
}

static bool much_swapped(void *arg)
{
	return swapped(arg) >= 512;
}

static void show_output(void)
{
	char line[256];
	FILE *in = fopen(OUTPUT, "r");

	while (in && fgets(line, sizeof(line), in))
		gm_note("%.*s", (int)strcspn(line, "\n"), line);
	if (in)
		fclose(in);
}

static void end_stress(struct scene *s)
{
	char line[256];
	FILE *in;

	kill(s->pid, SIGINT);
	if (!gm_wait_until(ended, s, 60)) {
		show_output();
		gm_fail(__FILE__, __LINE__, "stress-ng", "does not end");
	}
	/* It checks its memory too, and says so when that changes. */
	in = fopen(OUTPUT, "r");
	gm_assert(in, OUTPUT);
	while (fgets(line, sizeof(line), in))
		gm_assert(!strstr(line, ": fail:"), "stress-ng: %s", line);
	fclose(in);
	gm_assert(WIFEXITED(s->status), "stress-ng was killed: %#x", s->status);
}

/* Whom the OOM killer took, as the kernel's log has it. */
static void check_victims(struct scene *s)
{
	long killed = gm_proc_value("/proc/vmstat", "oom_kill") - s->oomed, seen = 0;
	char buf[2048], *name;
	ssize_t n;

	while ((n = read(s->kmsg, buf, sizeof(buf) - 1)) > 0 || errno == EPIPE) {
		buf[n > 0 ? n : 0] = '\0';
		name = strstr(buf, "Killed process ");
		if (!name)
			continue;
		name = strchr(name, '(');
		gm_assert(name && !strncmp(name, "(stress-ng", 10), "%s", buf);
		seen++;
	}
	close(s->kmsg);
	gm_note("%ld killed by the OOM killer, %ld seen", killed, seen);
	gm_assert_eq(seen, killed);
	if (s->stress->ooms)
		gm_assert_ge(seen, 1);
}

static void beside(const struct stress *stress)
{
	struct scene s = { .stress = stress };
	unsigned long gone, nr_swapped = 0;
	unsigned int i;

	if (access("/usr/bin/stress-ng", X_OK))
		gm_skip("no stress-ng here: --pack stress-ng");
	if (gm_meminfo("SwapTotal") < 100 << 10)
		gm_skip("no 100 MiB of swap here: --swap");
	/* Files of the root, which is a tmpfs, may have gone there and stay. */
	gm_assert_ge(gm_meminfo("SwapFree"), 64 << 10);
	gm_assert_eq(gm_read_long("/proc/self/oom_score_adj"), 0);
	open_scene(&s);
	trace_start(&s, false);
	/* Busy with private pages; what is shared is left to get cold. */
	gm_start(s.g, 0, GM_WATCH, GM_GPA, 0, s.part[0].size, 2 * s.part[0].src->block, SEED);

	start_stress(&s);
	/* fork() has taken all that is shared from the guest, once. */
	trace_start(&s, true);
	if (!gm_wait_until(pressed, &s, SECONDS / 2) || !s.pid) {
		show_output();
		gm_fail(__FILE__, __LINE__, "pressed", "stress-ng %s, %ld of %ld KiB of swap free",
			s.pid ? "runs" : "has ended", gm_meminfo("SwapFree"), s.swap_free);
	}
	if (gm_have_gmem()) {
		refuse_fresh(&s);
		touch_fresh(&s);
	}
	for (i = 0; i < 2; i++) {
		gm_assert(gm_wait_until(much_swapped, &s, SECONDS / 4),
			  "%lu pages of shared memory are swapped", swapped(&s));
		nr_swapped += swapped(&s);
		gm_assert_eq(gm_try(s.g, 1, GM_CHECK, GM_GPA, 0, s.size, GM_PAGE, SEED), 0);
		gm_assert_good(s.g, 1);
	}
	end_stress(&s);

	gm_stop(s.g, 0);
	gm_assert_eq(gm_join(s.g, 0), 0);
	gm_assert_good(s.g, 0);
	gone = traced("private", true);
	gm_note("swapped out %ld, in %ld, of the guest %lu; unmapped: %lu shared, %lu private",
		gm_proc_value("/proc/vmstat", "pswpout") - s.swapped_out,
		gm_proc_value("/proc/vmstat", "pswpin") - s.swapped_in, nr_swapped,
		traced("shared", false), gone);
	gm_assert_eq(gone, 0);
	gm_assert_ge(traced("shared", false), 1);
	gm_assert_ge(gm_cmd(s.g, 0)->rounds, 2);
	check_victims(&s);
	for (i = 0; i < s.nr_parts; i++)
		check_part(&s.part[i]);
	gm_guest_verify(s.g, 0, s.size, SEED);
	if (gm_have_gmem())
		check_fresh(&s);

	/* That the trace would have shown it. */
	gm_assert_eq(traced("private", true), 0);
	gm_assert_ok(gm_punch(&s.part[0].f, 0, GM_PAGE));
	gm_assert_eq(traced("private", false), 1);
	trace_end("private");
	trace_end("shared");
	for (i = 0; i < s.nr_parts; i++)
		gm_close(&s.part[i].f);
	for (i = 0; i < 2 && gm_have_gmem(); i++)
		gm_close(&s.fresh[i]);
	if (gm_have_gmem())
		gm_close(&s.mapped);
	gm_vm_free(s.g);
}

#define STRESS(_name, _ooms, ...)					\
static void stress_##_name(void)					\
{									\
	static const struct stress stress = {				\
		.name = #_name, .ooms = (_ooms), .args = { __VA_ARGS__ },	\
	};								\
									\
	beside(&stress);						\
}

/*
 * Where all that is taken is some process's, stress-ng may not offer itself: then
 * the killer has to find out who is to blame.
 */
STRESS(vm, false, "--vm", "2", "--vm-bytes", MEMORY, "--vm-keep", "--no-oom-adjust")
STRESS(bigheap, true, "--bigheap", "2", "--bigheap-growth", "16M", "--no-oom-adjust")
STRESS(memfd, false, "--memfd", "2", "--memfd-bytes", MEMORY, "--memfd-fds", "8")
STRESS(mmaphuge, false, "--mmaphuge", "1", "--vm", "1", "--vm-bytes", MEMORY, "--vm-keep")
STRESS(brk, false, "--brk", "1", "--vm", "1", "--vm-bytes", MEMORY, "--no-oom-adjust")
STRESS(fallocate, false, "--fallocate", "1", "--vm", "1", "--vm-bytes", MEMORY, "--vm-keep")

static const struct gm_case cases[] = {
	{ "vm", stress_vm, SECONDS },
	{ "bigheap", stress_bigheap, SECONDS },
	{ "memfd", stress_memfd, SECONDS },
	{ "mmaphuge", stress_mmaphuge, SECONDS },
	{ "brk", stress_brk, SECONDS },
	{ "fallocate", stress_fallocate, SECONDS },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 16);
}
