// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fault that is late: it has its page frame and the order at which to map it,
 * and by the time it gets KVM's MMU lock, a page of the same block has gone
 * elsewhere. No huge mapping may ever cover a page in transit. The kernel stops
 * the fault, and the change, where the test says (mm/gmem/tests/stops.c); nothing
 * here depends on time.
 */
#include <pthread.h>

#include "gmem_test.h"

#define SEED	71

/* A place in the kernel where a call stops. */
struct stop {
	int fd;
	unsigned int calls;
};

static struct stop stop_open(const char *name)
{
	struct stop s = { 0 };
	char path[64];

	snprintf(path, sizeof(path), "/sys/kernel/debug/gmem-stops/%s", name);
	s.fd = open(path, O_RDWR | O_CLOEXEC);
	if (s.fd < 0 && errno == ENOENT)
		gm_skip("needs the debug kernel (CONFIG_GMEM_TEST_STOPS)");
	gm_assert(s.fd >= 0, "%s: %s", path, strerror(errno));
	return s;
}

static void stop_say(const struct stop *s, const char *what)
{
	gm_assert_eq(write(s->fd, what, strlen(what)), strlen(what));
}

static bool stop_is_stopped(const struct stop *s, unsigned int *calls)
{
	char buf[32] = { 0 };
	unsigned int n;
	int stopped;

	gm_assert_ge(read(s->fd, buf, sizeof(buf) - 1), 1);
	if (sscanf(buf, "%u %d", &n, &stopped) != 2)
		gm_fail(__FILE__, __LINE__, "stops", "cannot read %s", buf);
	if (calls)
		*calls = n;
	return stopped;
}

static bool is_stopped(void *arg)
{
	return stop_is_stopped(arg, NULL);
}

static void stop_wait(struct stop *s)
{
	gm_assert(gm_wait_until(is_stopped, s, 10), "nobody came");
	stop_is_stopped(s, &s->calls);
}

struct scene {
	const struct gm_source *src;
	struct gm_vm *g;
	struct gm_file f;
	struct stop pfn;
	struct stop commit;
	char *mem;
	bool done;		/* the vCPU is */
	u64 p2m;		/* mappings before the fault */
	u64 p1g;
};

static void open_scene(struct scene *s, unsigned int source, bool private)
{
	memset(s, 0, sizeof(*s));
	s->pfn = stop_open("pfn");
	s->commit = stop_open("commit");
	s->src = &gm_sources[source];
	gm_need_source(s->src, s->src->block);
	s->g = gm_vm_create(GM_SWP, 1, 0);
	s->f = gm_create_from(s->g->vm, s->src, s->src->block, private ? GM_MMAP : GM_SHARED);
	gm_slot(s->g, &s->f, GM_GPA, s->f.size, 0, NULL);
	gm_map(s->g, GM_GPA, s->f.size);
	s->mem = gm_mmap(&s->f, 0, s->f.size);
	gm_assert_ok(gm_populate(&s->f, 0, s->f.size));
	s->p2m = gm_vm_stat(s->g, "pages_2m");
	s->p1g = gm_vm_stat(s->g, "pages_1g");
}

static void close_scene(struct scene *s)
{
	close(s->pfn.fd);
	close(s->commit.fd);
	gm_assert_ok(munmap(s->mem, s->f.size));
	gm_close(&s->f);
	gm_vm_free(s->g);
}

/* The vCPU writes a word of a page and stops with its pfn in hand. */
static void start_fault(struct scene *s, u64 off)
{
	stop_say(&s->pfn, "arm");
	gm_start(s->g, 0, GM_TOUCH, GM_GPA + off, off, GM_PAGE, GM_PAGE, SEED);
	stop_wait(&s->pfn);
}

static void end_fault(struct scene *s)
{
	stop_say(&s->pfn, "go");
	gm_assert_eq(gm_join(s->g, 0), 0);
}

static u64 mapped_2m(struct scene *s)
{
	return gm_vm_stat(s->g, "pages_2m") - s->p2m;
}

static u64 mapped_1g(struct scene *s)
{
	return gm_vm_stat(s->g, "pages_1g") - s->p1g;
}

static void assert_whole(struct scene *s)
{
	gm_assert_eq(mapped_1g(s), s->src->block == GM_1G);
	gm_assert_eq(mapped_2m(s), s->src->block == GM_2M);
}

static int convert(struct scene *s, u64 off, u64 len, bool private)
{
	struct kvm_memory_attributes2 a = {
		.offset		= off,
		.size		= len,
		.attributes	= private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	return ioctl(s->f.fd, KVM_SET_MEMORY_ATTRIBUTES2, &a) ? errno : 0;
}

/* Where the fault is, and what moves meanwhile, in pages. */
struct pair {
	u64 fault;
	u64 move;
};

static const struct pair pairs[] = {
	{ 0, 511 }, { 511, 0 }, { 200, 201 }, { 201, 200 },
	/* Only in a gigabyte: the mapping may be of 2 MiB, and no more. */
	{ 0, 131072 }, { 262143, 0 },
};

static bool fits(unsigned int source, const struct pair *p)
{
	return (p->fault < 512 && p->move < 512) == (gm_sources[source].block == GM_2M);
}

static bool in_one_2m(const struct pair *p)
{
	return p->fault / 512 == p->move / 512;
}

static void assert_not_covered(struct scene *s, const struct pair *p)
{
	gm_assert_eq(mapped_1g(s), 0);
	if (in_one_2m(p))
		gm_assert_eq(mapped_2m(s), 0);
}

/* The stop alone changes nothing: without a change, the mapping is a huge one. */
static void undisturbed(unsigned int source)
{
	struct scene s;

	open_scene(&s, source, true);
	start_fault(&s, 0);
	gm_assert_eq(mapped_2m(&s), 0);
	gm_assert_eq(mapped_1g(&s), 0);
	end_fault(&s);
	assert_whole(&s);
	gm_assert_eq(s.pfn.calls, 1);
	gm_guest_check(s.g, 0, GM_PAGE, GM_PAGE, SEED);
	close_scene(&s);
}

/* All of the change comes between the pfn and the lock. */
static void changed_one(struct scene *s, const struct pair *p, bool private)
{
	const u64 off = p->move * GM_PAGE;
	unsigned int calls;

	start_fault(s, p->fault * GM_PAGE);
	gm_assert_eq(convert(s, off, GM_PAGE, private), 0);
	if (!private)
		gm_host_fill(s->mem + off, off, GM_PAGE, SEED + 1);
	end_fault(s);
	assert_not_covered(s, p);
	/* It had to ask again. */
	stop_is_stopped(&s->pfn, &calls);
	gm_assert_ge(calls, s->pfn.calls + 1);

	gm_guest_check(s->g, p->fault * GM_PAGE, GM_PAGE, GM_PAGE, SEED);
	gm_guest_verify(s->g, off, GM_PAGE, private ? 0 : SEED + 1);
	assert_not_covered(s, p);
	/* Of one state again, it is mapped whole. */
	gm_assert_eq(convert(s, 0, s->f.size, private), 0);
	gm_guest_check(s->g, p->fault * GM_PAGE, GM_PAGE, GM_PAGE, SEED);
	assert_whole(s);
}

static void changed(unsigned int source, bool private)
{
	struct scene s;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pairs); i++) {
		if (!fits(source, &pairs[i]))
			continue;
		open_scene(&s, source, !private);
		changed_one(&s, &pairs[i], private);
		close_scene(&s);
	}
}

/*
 * The change has begun and is not done when the fault gets the lock: the guest
 * has lost the page, its state is still the old one, and the sequence has not
 * moved. What keeps the fault out is that the window covers all of the block.
 */
struct request {
	struct scene *s;
	u64 off;
	bool private;
	int err;
};

static void *request_thread(void *arg)
{
	struct request *r = arg;

	r->err = convert(r->s, r->off, GM_PAGE, r->private);
	return NULL;
}

static void *join_thread(void *arg)
{
	struct scene *s = arg;

	gm_assert_eq(gm_join(s->g, 0), 0);
	WRITE_ONCE(s->done, true);
	return NULL;
}

/* The fault is through, or it was sent back and has come again. */
struct decision {
	struct scene *s;
	u64 faults;
};

static bool has_decided(void *arg)
{
	struct decision *d = arg;

	return READ_ONCE(d->s->done) || gm_vcpu_stat(d->s->g, 0, "pf_taken") > d->faults;
}

static void changing_one(struct scene *s, const struct pair *p, bool private)
{
	struct request r = { s, p->move * GM_PAGE, private };
	struct decision d = { s };
	pthread_t thread, joiner;

	start_fault(s, p->fault * GM_PAGE);
	d.faults = gm_vcpu_stat(s->g, 0, "pf_taken");
	stop_say(&s->commit, "arm");
	kvm_pthread_create(&thread, NULL, request_thread, &r);
	stop_wait(&s->commit);

	stop_say(&s->pfn, "go");
	kvm_pthread_create(&joiner, NULL, join_thread, s);
	gm_assert(gm_wait_until(has_decided, &d, 10), "the fault has got stuck");
	/* The request is where it was. */
	gm_assert(stop_is_stopped(&s->commit, NULL), "not stopped");
	gm_assert(!READ_ONCE(s->done), "mapped while a page was in transit");
	assert_not_covered(s, p);

	stop_say(&s->commit, "go");
	kvm_pthread_join(thread, NULL);
	gm_assert_eq(r.err, 0);
	kvm_pthread_join(joiner, NULL);
	assert_not_covered(s, p);
	gm_guest_check(s->g, p->fault * GM_PAGE, GM_PAGE, GM_PAGE, SEED);
}

static void changing(unsigned int source, bool private)
{
	struct scene s;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pairs); i++) {
		if (!fits(source, &pairs[i]))
			continue;
		open_scene(&s, source, !private);
		changing_one(&s, &pairs[i], private);
		close_scene(&s);
	}
}

/* The block is gone when the fault gets the lock, and perhaps somebody else's. */
static void punched(unsigned int source)
{
	const u64 off = 7 * GM_PAGE;
	unsigned int calls;
	struct scene s;

	open_scene(&s, source, false);
	start_fault(&s, off);
	gm_assert_ok(gm_punch(&s.f, 0, s.f.size));
	gm_assert_eq(gm_held(&s.f), 0);
	end_fault(&s);
	stop_is_stopped(&s.pfn, &calls);
	gm_assert_ge(calls, s.pfn.calls + 1);
	/* It wrote to the file's new block and nowhere else. */
	gm_assert_eq(*(u64 *)(s.mem + off), gm_word(SEED, off));
	gm_assert_eq(gm_host_differ(s.mem, 0, off, 0), 0);
	assert_whole(&s);
	close_scene(&s);
}

#define CASE(_name, ...) static void _name(void) { __VA_ARGS__; }

CASE(undisturbed_2m, undisturbed(GM_SRC_THP_2M))
CASE(undisturbed_htlb_1g, undisturbed(GM_SRC_HTLB_1G))
CASE(changed_to_shared_2m, changed(GM_SRC_THP_2M, false))
CASE(changed_to_private_2m, changed(GM_SRC_THP_2M, true))
CASE(changed_to_shared_htlb_2m, changed(GM_SRC_HTLB_2M, false))
CASE(changed_to_shared_htlb_1g, changed(GM_SRC_HTLB_1G, false))
CASE(changing_to_shared_2m, changing(GM_SRC_THP_2M, false))
CASE(changing_to_private_2m, changing(GM_SRC_THP_2M, true))
CASE(changing_to_shared_htlb_2m, changing(GM_SRC_HTLB_2M, false))
CASE(changing_to_private_htlb_1g, changing(GM_SRC_HTLB_1G, true))
CASE(punched_2m, punched(GM_SRC_THP_2M))
CASE(punched_htlb_2m, punched(GM_SRC_HTLB_2M))

static const struct gm_case cases[] = {
	{ "undisturbed_2m", undisturbed_2m },
	{ "undisturbed_hugetlb_1g", undisturbed_htlb_1g },
	{ "changed_to_shared_2m", changed_to_shared_2m },
	{ "changed_to_private_2m", changed_to_private_2m },
	{ "changed_to_shared_hugetlb_2m", changed_to_shared_htlb_2m },
	{ "changed_to_shared_hugetlb_1g", changed_to_shared_htlb_1g },
	{ "changing_to_shared_2m", changing_to_shared_2m },
	{ "changing_to_private_2m", changing_to_private_2m },
	{ "changing_to_shared_hugetlb_2m", changing_to_shared_htlb_2m },
	{ "changing_to_private_hugetlb_1g", changing_to_private_htlb_1g },
	{ "punched_2m", punched_2m },
	{ "punched_hugetlb_2m", punched_htlb_2m },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 4);
}
