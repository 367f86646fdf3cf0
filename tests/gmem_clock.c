// SPDX-License-Identifier: GPL-2.0-only
/*
 * The clock and the steal time of a guest, which KVM keeps in memory of a file:
 * through a cache of the page frame, and under the lock of a run queue. The memory
 * is punched, changes hands or is replaced in between; nothing is ever written to
 * what it was before, nor to what userspace_addr points at.
 */
#include <pthread.h>

#include "gmem_test.h"

#define CLOCK	(GM_GPA + 10 * GM_PAGE + 0x40)
#define STEAL	(GM_GPA + 11 * GM_PAGE + 0x80)

/* What a clock may say that is not the clock. */
#define TICK	(1000000ULL * NSEC_PER_SEC)

static u64 word(struct gm_emul *s, u64 gpa)
{
	return gm_emul_tell(s, GM_EMUL_READ, gpa, 0);
}

/* KVM writes the clock when the guest runs next. */
static void set_clock(struct gm_emul *s, u64 ns)
{
	struct kvm_clock_data data = { .clock = ns };

	vm_ioctl(s->vm, KVM_SET_CLOCK, &data);
	gm_emul_tell(s, GM_EMUL_NOP, 0, 0);
}

/* The guest finds the time that was set, and not long after it. */
static void assert_clock(struct gm_emul *s, u64 ns)
{
	u64 now = word(s, CLOCK + 16);

	gm_assert(!(word(s, CLOCK) & 1), "the version is odd");
	gm_assert((u32)word(s, CLOCK + 24), "no multiplier");
	gm_assert(now >= ns && now < ns + TICK, "%lu instead of %lu", (unsigned long)now,
		  (unsigned long)ns);
}

static void check(struct gm_emul *s, u64 n)
{
	set_clock(s, n * TICK);
	assert_clock(s, n * TICK);
	gm_emul_assert_no_decoy(s);
}

static void open_scene(struct gm_emul *s, unsigned int kind, unsigned int source)
{
	gm_emul_open(s, kind, source);
	gm_assert_eq(gm_emul_tell(s, GM_EMUL_MSR, MSR_KVM_SYSTEM_TIME_NEW,
				  CLOCK | KVM_MSR_ENABLED), 0);
	check(s, 1);
	check(s, 2);
}

static void punched(unsigned int kind, unsigned int source)
{
	struct gm_emul s;

	open_scene(&s, kind, source);
	gm_assert_ok(gm_punch(&s.f, CLOCK - GM_GPA - 0x40, GM_PAGE));
	check(&s, 3);
	gm_assert_ok(gm_punch(&s.f, 0, s.f.size));
	check(&s, 4);
	gm_emul_close(&s);
}

static void converted(unsigned int kind, unsigned int source)
{
	const u64 off = CLOCK - GM_GPA - 0x40;
	struct gm_emul s;

	open_scene(&s, kind, source);
	gm_set_ok(&s.f, off, GM_PAGE, kind == GM_TRACKED);
	check(&s, 3);
	gm_set_ok(&s.f, off, GM_PAGE, kind != GM_TRACKED);
	check(&s, 4);
	gm_emul_close(&s);
}

/* A second source: the clock goes to where the guest's page is. */
static void two_sources(unsigned int kind, unsigned int source)
{
	u64 *there, decoy, i;
	struct gm_emul s;

	open_scene(&s, kind, source);
	there = &s.decoy[(CLOCK - GM_GPA) / 8];
	decoy = there[0];
	vm_mem_set_shared(s.vm, CLOCK & -GM_PAGE, GM_PAGE);
	set_clock(&s, 3 * TICK);
	assert_clock(&s, 3 * TICK);
	gm_assert(there[2] >= 3 * TICK, "not at userspace_addr: %#lx", (unsigned long)there[2]);
	for (i = 0; i < 4; i++)
		there[i] = decoy;
	vm_mem_set_private(s.vm, CLOCK & -GM_PAGE, GM_PAGE);
	check(&s, 4);
	gm_emul_close(&s);
}

/* Another file at the same place and address; then the first one again. */
static void replaced(unsigned int kind, unsigned int source)
{
	struct gm_file f;
	struct gm_emul s;
	u64 was;

	open_scene(&s, kind, source);
	was = word(&s, CLOCK + 16);
	f = gm_create_from(s.vm, s.src, s.size, s.f.flags & GM_SHARED);
	vm_set_user_memory_region2(s.vm, 1, 0, 0, 0, NULL, 0, 0);
	vm_set_user_memory_region2(s.vm, 1, KVM_MEM_GUEST_MEMFD, GM_GPA, s.size, s.decoy,
				   f.fd, 0);
	check(&s, 5);
	vm_set_user_memory_region2(s.vm, 1, 0, 0, 0, NULL, 0, 0);
	set_clock(&s, 6 * TICK);
	vm_set_user_memory_region2(s.vm, 2, KVM_MEM_GUEST_MEMFD, GM_GPA + 16 * GM_2M, s.size,
				   s.decoy, s.f.fd, 0);
	virt_map(s.vm, GM_GPA + 16 * GM_2M, GM_GPA + 16 * GM_2M, 16);
	if (kind == GM_SECOND)
		vm_mem_set_private(s.vm, GM_GPA + 16 * GM_2M, s.size);
	gm_assert_eq(word(&s, CLOCK + 16 + 16 * GM_2M), was);
	gm_close(&f);
	gm_emul_close(&s);
}

/* A second slot with the userspace_addr of the first has memory of its own. */
static void moved(unsigned int kind, unsigned int source)
{
	const u64 by = 2 * GM_1G;
	struct gm_file f;
	struct gm_emul s;

	open_scene(&s, kind, source);
	f = gm_create_from(s.vm, s.src, s.size, s.f.flags & GM_SHARED);
	vm_set_user_memory_region2(s.vm, 2, KVM_MEM_GUEST_MEMFD, GM_GPA + by, s.size, s.decoy,
				   f.fd, 0);
	virt_map(s.vm, GM_GPA + by, GM_GPA + by, 16);
	if (kind == GM_SECOND)
		vm_mem_set_private(s.vm, GM_GPA + by, s.size);
	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_MSR, MSR_KVM_SYSTEM_TIME_NEW,
				  (CLOCK + by) | KVM_MSR_ENABLED), 0);
	set_clock(&s, 3 * TICK);
	gm_assert_ge(word(&s, CLOCK + by + 16), 3 * TICK);
	gm_assert(word(&s, CLOCK + 16) < 3 * TICK, "the clock is where it was");
	gm_close(&f);
	gm_emul_close(&s);
}

/* A clock whose file is closed stops, and the guest goes on. */
static void closed(unsigned int kind, unsigned int source)
{
	struct gm_emul s;

	open_scene(&s, kind, source);
	gm_close(&s.f);
	set_clock(&s, 3 * TICK);
	set_clock(&s, 4 * TICK);
	gm_emul_close(&s);
}

static u32 steal_version(struct gm_emul *s)
{
	return word(s, STEAL + 8);
}

static void steal(unsigned int kind, unsigned int source)
{
	struct gm_emul s;
	u32 v;

	gm_emul_open(&s, kind, source);
	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_MSR, MSR_KVM_STEAL_TIME,
				  STEAL | KVM_MSR_ENABLED), 0);
	v = steal_version(&s);
	gm_assert(v && !(v & 1), "version %u", v);
	gm_assert_eq(steal_version(&s) & 1, 0);
	gm_assert(steal_version(&s) > v, "version stays %u", v);
	/* Starts over in memory that is new. */
	gm_assert_ok(gm_punch(&s.f, 0, s.f.size));
	v = steal_version(&s);
	gm_assert(v && !(v & 1), "version %u", v);
	gm_emul_close(&s);
}

/* A second source: it goes to where the guest's page is. */
static void steal_two_sources(unsigned int kind, unsigned int source)
{
	struct gm_emul s;
	u64 *there, i;
	u32 v;

	gm_emul_open(&s, kind, source);
	there = &s.decoy[(STEAL - GM_GPA) / 8];
	vm_mem_set_shared(s.vm, STEAL & -GM_PAGE, GM_PAGE);
	for (i = 0; i < 8; i++)
		there[i] = 0;
	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_MSR, MSR_KVM_STEAL_TIME,
				  STEAL | KVM_MSR_ENABLED), 0);
	v = steal_version(&s);
	gm_assert(v && !(v & 1), "version %u", v);
	gm_assert((u32)there[1] >= v, "not at userspace_addr: %#lx", (unsigned long)there[1]);
	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_MSR, MSR_KVM_STEAL_TIME, 0), 0);
	for (i = 0; i < 8; i++)
		there[i] = s.decoy[0];
	vm_mem_set_private(s.vm, STEAL & -GM_PAGE, GM_PAGE);
	gm_emul_close(&s);
}

static void *vcpu_thread(void *arg)
{
	gm_assert_eq(gm_emul_try(arg), 0);
	return NULL;
}

static bool is_preempted(void *arg)
{
	/* kvm_steal_time.preempted */
	return READ_ONCE(*((u8 *)arg + 16)) & 1;
}

/* The flag is seen by who takes the processor away from the vCPU. */
static void preempted(unsigned int kind, unsigned int source)
{
	struct gm_emul_cmd *cmd;
	pthread_t thread;
	struct gm_emul s;
	char *mem;

	gm_emul_open(&s, kind, source);
	gm_assert_eq(gm_emul_tell(&s, GM_EMUL_MSR, MSR_KVM_STEAL_TIME,
				  STEAL | KVM_MSR_ENABLED), 0);
	s.live = true;
	mem = gm_mmap(&s.f, 0, GM_2M);
	gm_assert(!is_preempted(mem + STEAL - GM_GPA), "not while it waits for us");

	/* The thread inherits it. */
	pin_self_to_any_cpu();
	cmd = gm_emul_set(&s, GM_EMUL_SPIN, 0, 0);
	kvm_pthread_create(&thread, NULL, vcpu_thread, &s);
	gm_assert(gm_wait_until(is_preempted, mem + STEAL - GM_GPA, 20), "never seen");
	WRITE_ONCE(cmd->d, 1);
	kvm_pthread_join(thread, NULL);
	gm_assert_ok(munmap(mem, GM_2M));
	gm_emul_close(&s);
}

#define CASE(name, call) static void name(void) { call; }

CASE(punched_private, gm_emul_each(punched, GM_PRIVATE))
CASE(punched_tracked, gm_emul_each(punched, GM_TRACKED))
CASE(punched_second, gm_emul_each(punched, GM_SECOND))
CASE(punched_ordinary, gm_emul_each(punched, GM_ORDINARY))
CASE(punched_hidden, gm_emul_each(punched, GM_HIDDEN))
CASE(converted_private, gm_emul_each(converted, GM_PRIVATE))
CASE(converted_tracked, gm_emul_each(converted, GM_TRACKED))
CASE(converted_hidden, gm_emul_each(converted, GM_HIDDEN))
CASE(two_sources_second, gm_emul_each(two_sources, GM_SECOND))
CASE(moved_private, gm_emul_each(moved, GM_PRIVATE))
CASE(moved_second, gm_emul_each(moved, GM_SECOND))
CASE(moved_hidden, gm_emul_each(moved, GM_HIDDEN))
CASE(steal_two_sources_second, gm_emul_each(steal_two_sources, GM_SECOND))
CASE(replaced_private, gm_emul_each(replaced, GM_PRIVATE))
CASE(replaced_second, gm_emul_each(replaced, GM_SECOND))
CASE(replaced_ordinary, gm_emul_each(replaced, GM_ORDINARY))
CASE(replaced_hidden, gm_emul_each(replaced, GM_HIDDEN))
CASE(closed_private, gm_emul_each(closed, GM_PRIVATE))
CASE(closed_second, gm_emul_each(closed, GM_SECOND))
CASE(closed_ordinary, gm_emul_each(closed, GM_ORDINARY))
CASE(closed_hidden, gm_emul_each(closed, GM_HIDDEN))
CASE(steal_private, gm_emul_each(steal, GM_PRIVATE))
CASE(steal_tracked, gm_emul_each(steal, GM_TRACKED))
CASE(steal_second, gm_emul_each(steal, GM_SECOND))
CASE(steal_ordinary, gm_emul_each(steal, GM_ORDINARY))
CASE(steal_hidden, gm_emul_each(steal, GM_HIDDEN))
CASE(preempted_tracked, gm_emul_each(preempted, GM_TRACKED))
CASE(preempted_ordinary, gm_emul_each(preempted, GM_ORDINARY))

static const struct gm_case cases[] = {
	{ "punched_private", punched_private },
	{ "punched_tracked", punched_tracked },
	{ "punched_second", punched_second },
	{ "punched_ordinary", punched_ordinary },
	{ "punched_hidden", punched_hidden },
	{ "converted_private", converted_private },
	{ "converted_tracked", converted_tracked },
	{ "converted_hidden", converted_hidden },
	{ "two_sources_second", two_sources_second },
	{ "moved_private", moved_private },
	{ "moved_second", moved_second },
	{ "moved_hidden", moved_hidden },
	{ "steal_two_sources_second", steal_two_sources_second },
	{ "replaced_private", replaced_private },
	{ "replaced_second", replaced_second },
	{ "replaced_ordinary", replaced_ordinary },
	{ "replaced_hidden", replaced_hidden },
	{ "closed_private", closed_private },
	{ "closed_second", closed_second },
	{ "closed_ordinary", closed_ordinary },
	{ "closed_hidden", closed_hidden },
	{ "steal_private", steal_private },
	{ "steal_tracked", steal_tracked },
	{ "steal_second", steal_second },
	{ "steal_ordinary", steal_ordinary },
	{ "steal_hidden", steal_hidden },
	{ "preempted_tracked", preempted_tracked },
	{ "preempted_ordinary", preempted_ordinary },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 4);
}
