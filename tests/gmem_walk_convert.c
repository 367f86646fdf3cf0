// SPDX-License-Identifier: GPL-2.0-only
/*
 * Those who find pages by number or by page table, while the pages change hands:
 * flags and counts, mincore, idle tracking, compaction, DAMON, page_owner, soft
 * and hard poison, memory offlining.
 *
 * One thread, the churn, shares pages, writes to them, takes them back, punches,
 * and has a whole block go and come; beside it one walker goes over them again and
 * again. Some pages stay what they are all the time, so that what the walker has
 * to find there is known exactly. What is written must be found, each request is
 * counted, and in the end nobody but the host's mapping holds anything.
 */
#include <sched.h>
#include <sys/mman.h>

#include "gmem_test.h"

#define SEED	59
#define ROUNDS	100	/* of the churn, at least; */
#define WALKS	4	/* and it goes on until there were so many walks */
#define TRIES	20	/* for a page that somebody looks at just now */

/* Pages of the first 2 MiB, which are in one block if there are blocks. */
#define SPAN	512
/* What was the head of a compound page and the tails that carry its fields. */
#define HEAD	0
#define NR_HEAD	4
/* Shared and mapped from first to last. */
#define SHARED	4
#define NR_SHARED	4
/* Parts of three vmemmap pages; every fourth page is left to poison. */
#define WINDOW	60
#define NR_WINDOW	140
#define VICTIM(page)	((page) >= WINDOW && (page) < WINDOW + NR_WINDOW && !((page) % 4))
#define NR_VICTIMS	(NR_WINDOW / 4)
/* Never shared. */
#define PRIVATE	256

#define KPF_LRU		5
#define KPF_BUDDY	10
#define KPF_MMAP	11
#define KPF_HUGE	17
#define KPF_HWPOISON	19

struct churn {
	struct gm_scene s;
	pthread_t thread;
	u64 pfn[SPAN];
	u64 seed[SPAN];		/* of the data, by page; 0 after a punch */
	bool bad[SPAN];
	unsigned int walks, want_walks, rounds;
	bool done;
	unsigned long refused, conversions;
	long corrupted;
	u64 arg;		/* the walker's own */
};

/*
 * A request may meet a walker that looks at a page. It is refused then, which is
 * counted, and nothing is done; a reference that stayed would refuse it for ever.
 */
static void to_private(struct churn *c, u64 off, u64 len)
{
	unsigned int try;
	u64 error;
	int err;

	for (try = 0; try < TRIES; try++) {
		err = gm_set(&c->s.f, off, len, true, &error);
		if (!err) {
			c->conversions++;
			return;
		}
		gm_assert(err == EAGAIN, "private: %s", strerror(err));
		gm_assert(error >= off && error < off + len, "error_offset %#lx",
			  (unsigned long)error);
		gm_assert(!gm_is_private(&c->s.f, off), "refused, but private");
		c->refused++;
	}
	gm_fail(__FILE__, __LINE__, "private", "page %lu is held",
		(unsigned long)(error / GM_PAGE));
}

static void to_shared(struct churn *c, u64 off, u64 len)
{
	gm_set_ok(&c->s.f, off, len, false);
	c->conversions++;
}

static void punch(struct churn *c, u64 off, u64 len)
{
	unsigned int try;

	for (try = 0; try < TRIES; try++) {
		if (!gm_punch(&c->s.f, off, len))
			return;
		gm_assert(errno == EAGAIN, "hole: %s", strerror(errno));
		c->refused++;
	}
	gm_fail(__FILE__, __LINE__, "hole", "a page is held");
}

/* Some pages to the host, one of which it reads and writes, and back. */
static void change_hands(struct churn *c, u64 first, u64 nr, u64 *state)
{
	u64 at = first + gm_rand(state) % nr;
	u64 len = 1 + gm_rand(state) % (first + nr - at);
	u64 page = at + gm_rand(state) % len, off = page * GM_PAGE;

	if (VICTIM(page) && ++page == at + len)
		len++;
	off = page * GM_PAGE;
	to_shared(c, at * GM_PAGE, len * GM_PAGE);
	gm_assert_eq(READ_ONCE(*(u64 *)(c->s.mem + off)),
		     c->seed[page] ? gm_word(c->seed[page], off) : 0);
	c->seed[page] = 1 + gm_rand(state) % 1000;
	WRITE_ONCE(*(u64 *)(c->s.mem + off), gm_word(c->seed[page], off));
	if (gm_rand(state) % 8 == 0 && c->s.src->block > GM_PAGE) {
		punch(c, off, GM_PAGE);
		c->seed[page] = 0;
	}
	to_private(c, at * GM_PAGE, len * GM_PAGE);
	gm_guest_check(c->s.g, off, GM_PAGE, GM_PAGE, c->seed[page]);
}

/* A block goes home, comes, is in the hands of both, and goes. */
static void come_and_go(struct churn *c)
{
	const u64 off = GM_2M, len = c->s.src->block > GM_PAGE ? GM_2M : 32 * GM_PAGE;

	gm_assert_ok(gm_populate(&c->s.f, off, len));
	gm_guest_touch(c->s.g, off, 8 * GM_PAGE, GM_PAGE, SEED);
	to_shared(c, off + GM_PAGE, 4 * GM_PAGE);
	gm_assert_eq(READ_ONCE(*(u64 *)(c->s.mem + off + 2 * GM_PAGE)),
		     gm_word(SEED, off + 2 * GM_PAGE));
	punch(c, off, len);
	to_private(c, off + GM_PAGE, 4 * GM_PAGE);
}

static void *churn_thread(void *arg)
{
	struct churn *c = arg;
	u64 state = gm_seed;
	unsigned int i;

	for (i = 0; i < ROUNDS || READ_ONCE(c->walks) < c->want_walks; i++) {
		if (i % 2)
			change_hands(c, WINDOW, NR_WINDOW, &state);
		else
			change_hands(c, HEAD, NR_HEAD, &state);
		if (i % 8 == 7 && c->s.f.size > GM_2M && c->s.src->block <= GM_2M)
			come_and_go(c);
		WRITE_ONCE(c->rounds, i + 1);
	}
	WRITE_ONCE(c->done, true);
	return NULL;
}

static void assert_constant(struct churn *c)
{
	u64 page;

	for (page = SHARED; page < SHARED + NR_SHARED; page++)
		gm_assert_eq(READ_ONCE(*(u64 *)(c->s.mem + page * GM_PAGE)),
			     gm_word(SEED, page * GM_PAGE));
}

/* Page frames of the first 2 MiB. */
static void find_pages(const struct gm_file *f, u64 *pfn)
{
	static struct gm_block b[2 * SPAN];
	size_t i, nr = gm_blocks(f, b, ARRAY_SIZE(b));
	u64 page;

	memset(pfn, 0, SPAN * sizeof(*pfn));
	for (i = 0; i < nr; i++) {
		for (page = b[i].index; page < b[i].index + (1ULL << b[i].order) &&
		     page < SPAN; page++)
			pfn[page] = b[i].pfn + page - b[i].index;
	}
}

static void open_churn(struct churn *c, unsigned int source)
{
	unsigned int i;

	memset(c, 0, sizeof(*c));
	if (!gm_have_gmem())
		gm_skip("this kernel does not show its blocks");
	c->corrupted = gm_meminfo("HardwareCorrupted");
	gm_scene_open(&c->s, source, 1, source == GM_SRC_HTLB_1G ? GM_1G : 2 * GM_2M, GM_MMAP);
	gm_guest_touch(c->s.g, 0, SPAN * GM_PAGE, GM_PAGE, SEED);
	find_pages(&c->s.f, c->pfn);
	for (i = 0; i < SPAN; i++)
		c->seed[i] = SEED;
	to_shared(c, SHARED * GM_PAGE, NR_SHARED * GM_PAGE);
	assert_constant(c);
}

/* All data, and no reference but ours and that of each mapping. */
static void close_churn(struct churn *c)
{
	static struct gm_block b[2 * SPAN];
	u64 page, nr_bad = 0, pfn[SPAN];
	long live = 0, refs = 0;
	size_t i, nr;

	assert_constant(c);
	find_pages(&c->s.f, pfn);
	gm_assert(!memcmp(pfn, c->pfn, sizeof(pfn)), "pages moved");
	for (page = 0; page < SPAN; page++) {
		if (c->bad[page])
			nr_bad++;
		else
			gm_guest_check(c->s.g, page * GM_PAGE, GM_PAGE, GM_PAGE,
				       c->seed[page]);
	}
	nr = gm_blocks(&c->s.f, b, ARRAY_SIZE(b));
	for (i = 0; i < nr; i++) {
		live += b[i].live;
		refs += b[i].refs;
	}
	gm_assert_eq(live, NR_SHARED);
	gm_assert_eq(refs, 2 * NR_SHARED);
	gm_assert_eq(gm_fdinfo(&c->s.f, "gmem-live"), NR_SHARED * GM_PAGE);
	gm_assert_eq(gm_fdinfo(&c->s.f, "gmem-shared"), NR_SHARED * GM_PAGE);
	gm_assert_eq(gm_fdinfo(&c->s.f, "gmem-poisoned"), nr_bad * GM_PAGE);
	gm_assert_eq(gm_meminfo("HardwareCorrupted"),
		     c->corrupted + (long)(nr_bad * GM_PAGE >> 10));
	to_private(c, SHARED * GM_PAGE, NR_SHARED * GM_PAGE);
	gm_assert_withdrawn(&c->s.f);
	gm_assert_eq(gm_fdinfo(&c->s.f, "gmem-conversions"), c->conversions);
	gm_assert_eq(gm_fdinfo(&c->s.f, "gmem-eagain"), c->refused);
	gm_scene_close(&c->s);
	gm_assert_eq(gm_counter("live_pages"), 0);
	gm_assert_eq(gm_counter("poisoned_pages"), 0);
	gm_assert_eq(gm_counter("leaked_pages"), 0);
}

/**
 * struct walker - one of those
 * @need: skip if it is not there
 * @begin: before the churn
 * @walk: once over the pages
 * @end: after the churn, pages still there
 * @refers: it may have a reference to a live page for a moment
 */
struct walker {
	void (*need)(void);
	void (*begin)(struct churn *c);
	void (*walk)(struct churn *c);
	void (*end)(struct churn *c);
	bool refers;
};

static void go(const struct walker *w, struct churn *c, unsigned int source,
	       unsigned int walks)
{
	if (w->need)
		w->need();
	open_churn(c, source);
	c->want_walks = walks;
	if (w->begin)
		w->begin(c);
	kvm_pthread_create(&c->thread, NULL, churn_thread, c);
	do {
		w->walk(c);
		WRITE_ONCE(c->walks, c->walks + 1);
	} while (!READ_ONCE(c->done));
	kvm_pthread_join(c->thread, NULL);
	if (w->end)
		w->end(c);
	gm_note("%u rounds, %u walks, %lu requests refused", c->rounds, c->walks, c->refused);
	if (!w->refers)
		gm_assert_eq(c->refused, 0);
	close_churn(c);
}

static void walk_beside(const struct walker *w, unsigned int source)
{
	static struct churn c;

	go(w, &c, source, WALKS);
}

static u64 page_word(const char *path, u64 pfn)
{
	int fd = open(path, O_RDONLY);
	u64 v;

	gm_assert(fd >= 0, "%s: %s", path, strerror(errno));
	gm_assert_eq(pread(fd, &v, sizeof(v), pfn * sizeof(v)), sizeof(v));
	close(fd);
	return v;
}

/* Page by page, as 4 KiB pages lie anywhere. */
static void numbers_walk(struct churn *c)
{
	u64 page, flags, count;

	for (page = 0; page < SPAN; page += page < WINDOW + NR_WINDOW ? 1 : 7) {
		flags = page_word("/proc/kpageflags", c->pfn[page]);
		gm_assert(!(flags & (1ULL << KPF_LRU | 1ULL << KPF_BUDDY |
				     1ULL << KPF_HUGE | 1ULL << KPF_HWPOISON)),
			  "page %lu: flags %#lx", (unsigned long)page, (unsigned long)flags);
		count = page_word("/proc/kpagecount", c->pfn[page]);
		gm_assert_le(count, 1);
		gm_assert_eq(page_word("/proc/kpagecgroup", c->pfn[page]), 0);
		if (page >= SHARED && page < SHARED + NR_SHARED) {
			gm_assert_eq(count, 1);
			gm_assert_eq(flags >> KPF_MMAP & 1, 1);
		} else if (page >= PRIVATE) {
			gm_assert_eq(count, 0);
			gm_assert_eq(flags >> KPF_MMAP & 1, 0);
		}
	}
}

static void mincore_walk(struct churn *c)
{
	unsigned char vec[2 * SPAN];
	u64 page;

	gm_assert_ok(mincore(c->s.mem, 2 * SPAN * GM_PAGE, vec));
	for (page = SHARED; page < SHARED + NR_SHARED; page++)
		gm_assert_eq(vec[page], 1);
	for (page = PRIVATE; page < SPAN; page++)
		gm_assert_eq(vec[page], 0);
}

/* Nothing that idle tracking could speak about: it is on no list. */
static void idle_walk(struct churn *c)
{
	int fd = open("/sys/kernel/mm/page_idle/bitmap", O_RDWR);
	u64 page, v = ~0ULL;

	gm_assert(fd >= 0, "page_idle: %s", strerror(errno));
	for (page = 0; page < SPAN; page += 64) {
		gm_assert_eq(pwrite(fd, &v, 8, c->pfn[page] / 64 * 8), 8);
		v = 0;
		gm_assert_eq(pread(fd, &v, 8, c->pfn[page] / 64 * 8), 8);
		gm_assert_eq(v, 0);
		v = ~0ULL;
	}
	close(fd);
}

static void compact_begin(struct churn *c)
{
	c->arg = gm_proc_value("/proc/vmstat", "compact_migrate_scanned");
}

static void compact_walk(struct churn *c)
{
	gm_assert(gm_write("/proc/sys/vm/compact_memory", "1"), "%s", strerror(errno));
}

static void compact_end(struct churn *c)
{
	gm_assert_ge(gm_proc_value("/proc/vmstat", "compact_migrate_scanned"), c->arg + 1);
}

/* DAMON samples the pages, and is told to page all of them out. */
#define DAMON	"/sys/kernel/mm/damon/admin/kdamonds"
#define DAMON_CONTEXT	DAMON "/0/contexts/0"
#define DAMON_SCHEME	DAMON_CONTEXT "/schemes/0"

#define damon_write(file, ...)						\
	gm_assert(gm_write(file, __VA_ARGS__), "%s: %s", file, strerror(errno))

static void damon_need(void)
{
	if (access(DAMON "/nr_kdamonds", W_OK))
		gm_skip("no CONFIG_DAMON_SYSFS");
}

static void damon_begin(struct churn *c, const char *operations, u64 start)
{
	/* A case that failed may have left one. */
	if (gm_read_long(DAMON "/nr_kdamonds") > 0)
		gm_write(DAMON "/0/state", "off");
	damon_write(DAMON "/nr_kdamonds", "0");
	damon_write(DAMON "/nr_kdamonds", "1");
	damon_write(DAMON "/0/contexts/nr_contexts", "1");
	damon_write(DAMON_CONTEXT "/operations", "%s", operations);
	damon_write(DAMON_CONTEXT "/monitoring_attrs/intervals/sample_us", "1000");
	damon_write(DAMON_CONTEXT "/monitoring_attrs/intervals/aggr_us", "5000");
	damon_write(DAMON_CONTEXT "/monitoring_attrs/intervals/update_us", "100000");
	damon_write(DAMON_CONTEXT "/targets/nr_targets", "1");
	if (strcmp(operations, "paddr"))
		damon_write(DAMON_CONTEXT "/targets/0/pid_target", "%d", getpid());
	damon_write(DAMON_CONTEXT "/targets/0/regions/nr_regions", "1");
	damon_write(DAMON_CONTEXT "/targets/0/regions/0/start", "%lu", (unsigned long)start);
	damon_write(DAMON_CONTEXT "/targets/0/regions/0/end", "%lu",
		    (unsigned long)(start + SPAN * GM_PAGE));
	damon_write(DAMON_CONTEXT "/schemes/nr_schemes", "1");
	damon_write(DAMON_SCHEME "/action", "pageout");
	damon_write(DAMON_SCHEME "/access_pattern/sz/max", "%lu", ~0UL);
	damon_write(DAMON_SCHEME "/access_pattern/nr_accesses/max", "%lu", ~0UL);
	damon_write(DAMON_SCHEME "/access_pattern/age/max", "%lu", ~0UL);
	damon_write(DAMON "/0/state", "on");
}

static void damon_pa_begin(struct churn *c)
{
	damon_begin(c, "paddr", c->pfn[0] * GM_PAGE);
}

static void damon_va_begin(struct churn *c)
{
	damon_begin(c, "fvaddr", (u64)c->s.mem);
}

static bool damon_has_tried(void *arg)
{
	struct churn *c = arg;

	damon_write(DAMON "/0/state", "update_schemes_stats");
	return gm_read_long(DAMON_SCHEME "/stats/nr_tried") > (long)c->arg;
}

static void damon_walk(struct churn *c)
{
	gm_assert(gm_wait_until(damon_has_tried, c, 20), "stands still after %lu regions",
		  (unsigned long)c->arg);
	c->arg = gm_read_long(DAMON_SCHEME "/stats/nr_tried");
}

static void damon_off(void)
{
	damon_write(DAMON "/0/state", "off");
	damon_write(DAMON "/nr_kdamonds", "0");
}

static void damon_pa_end(struct churn *c)
{
	gm_assert_ge(gm_read_long(DAMON_SCHEME "/stats/sz_tried"), SPAN * GM_PAGE);
	gm_assert_eq(gm_read_long(DAMON_SCHEME "/stats/sz_applied"), 0);
	damon_off();
}

/* What it does there, madvise(), says nothing; the mapping is still there. */
static void damon_va_end(struct churn *c)
{
	gm_assert_ge(gm_read_long(DAMON_SCHEME "/stats/sz_applied"), SPAN * GM_PAGE);
	damon_off();
	mincore_walk(c);
}

static void owner_need(void)
{
	if (!gm_cmdline_has("page_owner=on"))
		gm_skip("needs page_owner=on");
	gm_assert(!access("/sys/kernel/debug/page_owner", R_OK), "no CONFIG_PAGE_OWNER");
}

/* One allocation of 2 MiB, charged to nobody, whatever became of its pages. */
static void owner_walk(struct churn *c)
{
	int fd = open("/sys/kernel/debug/page_owner", O_RDONLY);
	unsigned int order, found = 0;
	unsigned long pfn;
	char buf[4096], *line;
	ssize_t n;

	gm_assert(fd >= 0, "page_owner: %s", strerror(errno));
	gm_assert_eq(lseek(fd, c->pfn[0], SEEK_SET), c->pfn[0]);
	for (;;) {
		n = read(fd, buf, sizeof(buf) - 1);
		gm_assert_ge(n, 0);
		if (!n)
			break;
		buf[n] = '\0';
		line = strstr(buf, "\nPFN ");
		gm_assert(line && sscanf(line, "\nPFN 0x%lx", &pfn) == 1 &&
			  sscanf(buf, "Page allocated via order %u", &order) == 1,
			  "cannot read '%s'", buf);
		if (pfn >= c->pfn[0] + SPAN)
			break;
		gm_assert(pfn == c->pfn[0], "page %lu has a record",
			  (unsigned long)(pfn - c->pfn[0]));
		gm_assert_eq(order, 9);
		gm_assert(!strstr(buf, "Charged"), "%s", buf);
		found++;
	}
	gm_assert_eq(found, 1);
	close(fd);
}

/* Guest memory cannot move, be it live, frozen or on its way. */
static void soft_walk(struct churn *c)
{
	u64 i;

	/* Another fifth each time. */
	for (i = c->walks % 5; i < SPAN; i += 5) {
		gm_assert(!gm_write("/sys/devices/system/memory/soft_offline_page", "%#lx",
				    (unsigned long)(c->pfn[i] * GM_PAGE)) &&
			  errno == EOPNOTSUPP, "page %lu: %s", (unsigned long)i,
			  strerror(errno));
	}
	gm_assert_errno(madvise(c->s.mem + SHARED * GM_PAGE, GM_PAGE, MADV_SOFT_OFFLINE),
			EOPNOTSUPP);
	/* Those the churn does not write to, shared or not at the moment. */
	for (i = WINDOW; i < WINDOW + NR_WINDOW; i += 4) {
		gm_assert(madvise(c->s.mem + i * GM_PAGE, GM_PAGE, MADV_SOFT_OFFLINE) == -1 &&
			  (errno == EOPNOTSUPP || errno == EFAULT), "%s", strerror(errno));
	}
}

static void hard_need(void)
{
	gm_assert(!access("/sys/kernel/debug/hwpoison/corrupt-pfn", W_OK),
		  "no CONFIG_HWPOISON_INJECT");
}

struct broken {
	char *at;
	int err;
};

static void break_mapped(void *arg)
{
	struct broken *b = arg;

	b->err = madvise(b->at, GM_PAGE, MADV_HWPOISON) ? errno : 0;
}

/* Through the host's mapping, as soon as the page is shared. */
static bool break_shared(void *arg)
{
	struct broken b = { .at = arg };
	void *where = NULL;
	int code = gm_catch_sigbus(break_mapped, &b, &where);

	if (!code) {
		gm_assert_eq(b.err, EFAULT);
		return false;
	}
	gm_assert_eq(code, BUS_MCEERR_AR);
	gm_assert_eq((u64)where & -GM_PAGE, (u64)arg);
	return true;
}

/* One page after the other breaks: by number, where the host has it mapped. */
static void hard_walk(struct churn *c)
{
	const u64 page = WINDOW + c->walks * 4;

	if (c->walks >= NR_VICTIMS) {
		sched_yield();
		return;
	}
	if (c->walks % 4 == 3)
		gm_assert(gm_wait_until(break_shared, c->s.mem + page * GM_PAGE, 20),
			  "page %lu is never shared", (unsigned long)page);
	else
		gm_assert(gm_write("/sys/kernel/debug/hwpoison/corrupt-pfn", "%#lx",
				   (unsigned long)c->pfn[page]) || errno == EBUSY,
			  "page %lu: %s", (unsigned long)page, strerror(errno));
	c->bad[page] = true;
	gm_assert_eq(gm_fdinfo(&c->s.f, "gmem-poisoned"), (c->walks + 1) * GM_PAGE);
}

static void read_word(void *p)
{
	(void)READ_ONCE(*(u64 *)p);
}

static void hard_end(struct churn *c)
{
	u64 page, off;

	to_shared(c, WINDOW * GM_PAGE, NR_WINDOW * GM_PAGE);
	for (page = WINDOW; page < WINDOW + NR_WINDOW; page++) {
		off = page * GM_PAGE;
		if (c->bad[page]) {
			gm_assert_eq(gm_catch_sigbus(read_word, c->s.mem + off, NULL),
				     BUS_MCEERR_AR);
			gm_assert_eq(gm_try(c->s.g, 0, GM_CHECK, GM_GPA + off, off, GM_PAGE,
					    GM_PAGE, SEED), EHWPOISON);
			gm_reset(c->s.g, 0);
		} else {
			gm_assert_eq(*(u64 *)(c->s.mem + off),
				     c->seed[page] ? gm_word(c->seed[page], off) : 0);
		}
	}
	to_private(c, WINDOW * GM_PAGE, NR_WINDOW * GM_PAGE);
}

static void offline_walk(struct churn *c)
{
	c->arg = c->pfn[0] / gm_section_pages();
	gm_assert_eq(gm_section_set(c->arg, "offline"), EBUSY);
}

static const struct walker numbers = { .walk = numbers_walk };
static const struct walker incore = { .walk = mincore_walk };
static const struct walker idle = { .walk = idle_walk };

static const struct walker compaction = {
	.begin = compact_begin, .walk = compact_walk, .end = compact_end,
};

static const struct walker damon_pa = {
	.need = damon_need, .begin = damon_pa_begin, .walk = damon_walk,
	.end = damon_pa_end, .refers = true,
};

static const struct walker damon_va = {
	.need = damon_need, .begin = damon_va_begin, .walk = damon_walk,
	.end = damon_va_end, .refers = true,
};

static const struct walker owner = { .need = owner_need, .walk = owner_walk };
static const struct walker soft = { .walk = soft_walk, .refers = true };

static const struct walker hard = {
	.need = hard_need, .walk = hard_walk, .end = hard_end, .refers = true,
};

static const struct walker offline = { .walk = offline_walk };

/* So many walks that each of them breaks a page. */
static void break_beside(unsigned int source)
{
	static struct churn c;

	go(&hard, &c, source, NR_VICTIMS);
}

/*
 * Memory is refused for what else is there, too. So the same section is taken
 * again without the file, and if it does not go, the file, and the pool, come
 * after more or less other memory, to lie elsewhere. That it goes at all is for
 * gmem_offline to show, which has enough memory to choose from.
 */
static void offline_beside(unsigned int source)
{
	static const unsigned int sections[] = { 4, 2, 5 };
	const long pool = gm_pool(GM_2M, "nr");
	struct gm_file ballast;
	static struct churn c;
	struct kvm_vm *vm;
	bool gone = false;
	unsigned int i;

	vm = vm_create_barebones();
	for (i = 0; i < ARRAY_SIZE(sections) && !gone; i++) {
		ballast = gm_create_from(vm, &gm_sources[GM_SRC_THP_2M],
					 sections[i] * gm_section_pages() * GM_PAGE, 0);
		gm_assert_ok(gm_populate(&ballast, 0, ballast.size));
		gm_assert_eq(gm_pool_resize(GM_2M, 0), 0);
		gm_assert_eq(gm_pool_resize(GM_2M, pool), pool);
		go(&offline, &c, source, WALKS);
		gm_close(&ballast);
		gm_assert_eq(gm_pool_resize(GM_2M, 0), 0);
		gone = !gm_section_set(c.arg, "offline");
		if (gone)
			gm_assert_eq(gm_section_set(c.arg, "online_kernel"), 0);
	}
	gm_note("section %lu %s without the file", (unsigned long)c.arg,
		gone ? "goes" : "does not go");
	gm_assert_eq(gm_pool_resize(GM_2M, pool), pool);
	kvm_vm_free(vm);
}

#define CASE(name, call) static void name(void) { call; }

CASE(numbers_4k, walk_beside(&numbers, GM_SRC_4K))
CASE(numbers_2m, walk_beside(&numbers, GM_SRC_THP_2M))
CASE(numbers_htlb_2m, walk_beside(&numbers, GM_SRC_HTLB_2M))
CASE(numbers_htlb_1g, walk_beside(&numbers, GM_SRC_HTLB_1G))
CASE(mincore_4k, walk_beside(&incore, GM_SRC_4K))
CASE(mincore_2m, walk_beside(&incore, GM_SRC_THP_2M))
CASE(mincore_htlb_1g, walk_beside(&incore, GM_SRC_HTLB_1G))
CASE(idle_2m, walk_beside(&idle, GM_SRC_THP_2M))
CASE(idle_htlb_1g, walk_beside(&idle, GM_SRC_HTLB_1G))
CASE(compact_4k, walk_beside(&compaction, GM_SRC_4K))
CASE(compact_2m, walk_beside(&compaction, GM_SRC_THP_2M))
CASE(compact_htlb_1g, walk_beside(&compaction, GM_SRC_HTLB_1G))
CASE(damon_pa_2m, walk_beside(&damon_pa, GM_SRC_THP_2M))
CASE(damon_pa_htlb_2m, walk_beside(&damon_pa, GM_SRC_HTLB_2M))
CASE(damon_pa_htlb_1g, walk_beside(&damon_pa, GM_SRC_HTLB_1G))
CASE(damon_va_4k, walk_beside(&damon_va, GM_SRC_4K))
CASE(damon_va_2m, walk_beside(&damon_va, GM_SRC_THP_2M))
CASE(damon_va_htlb_1g, walk_beside(&damon_va, GM_SRC_HTLB_1G))
CASE(owner_2m, walk_beside(&owner, GM_SRC_THP_2M))
CASE(owner_htlb_2m, walk_beside(&owner, GM_SRC_HTLB_2M))
CASE(soft_4k, walk_beside(&soft, GM_SRC_4K))
CASE(soft_2m, walk_beside(&soft, GM_SRC_THP_2M))
CASE(soft_htlb_1g, walk_beside(&soft, GM_SRC_HTLB_1G))
CASE(hard_4k, break_beside(GM_SRC_4K))
CASE(hard_2m, break_beside(GM_SRC_THP_2M))
CASE(hard_htlb_2m, break_beside(GM_SRC_HTLB_2M))
CASE(offline_2m, offline_beside(GM_SRC_THP_2M))
CASE(offline_htlb_2m, offline_beside(GM_SRC_HTLB_2M))

static const struct gm_case cases[] = {
	{ "numbers_4k", numbers_4k },
	{ "numbers_2m", numbers_2m },
	{ "numbers_hugetlb_2m", numbers_htlb_2m },
	{ "numbers_hugetlb_1g", numbers_htlb_1g },
	{ "mincore_4k", mincore_4k },
	{ "mincore_2m", mincore_2m },
	{ "mincore_hugetlb_1g", mincore_htlb_1g },
	{ "idle_2m", idle_2m },
	{ "idle_hugetlb_1g", idle_htlb_1g },
	{ "compaction_4k", compact_4k },
	{ "compaction_2m", compact_2m },
	{ "compaction_hugetlb_1g", compact_htlb_1g },
	{ "damon_paddr_2m", damon_pa_2m },
	{ "damon_paddr_hugetlb_2m", damon_pa_htlb_2m },
	{ "damon_paddr_hugetlb_1g", damon_pa_htlb_1g },
	{ "damon_vaddr_4k", damon_va_4k },
	{ "damon_vaddr_2m", damon_va_2m },
	{ "damon_vaddr_hugetlb_1g", damon_va_htlb_1g },
	{ "page_owner_2m", owner_2m },
	{ "page_owner_hugetlb_2m", owner_htlb_2m },
	{ "soft_offline_4k", soft_4k },
	{ "soft_offline_2m", soft_2m },
	{ "soft_offline_hugetlb_1g", soft_htlb_1g },
	{ "offline_2m", offline_2m },
	{ "offline_hugetlb_2m", offline_htlb_2m },
	{ "poison_4k", hard_4k, .loses = true },
	{ "poison_2m", hard_2m, .loses = true },
	{ "poison_hugetlb_2m", hard_htlb_2m, .loses = true },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 8);
}
