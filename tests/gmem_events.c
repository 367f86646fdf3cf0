// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tracepoints of guest memory: for a known sequence every event once, in its
 * place, with the right inode and range, and none that was not expected.
 */
#include <stdarg.h>
#include <sys/mman.h>

#include "gmem_test.h"

#define TRACING		"/sys/kernel/tracing"
#define TRACE		TRACING "/instances/gmem-events"
#define SEED		83

/* What happened since trace_start(): "NAME: FIELDS" of each event, one a line. */
struct events {
	char text[65536];
	size_t len;
};

static void trace_start(void)
{
	/* Left by a case that failed. */
	rmdir(TRACE);
	gm_assert_ok(mkdir(TRACE, 0755));
	gm_assert(gm_write(TRACE "/events/gmem/enable", "1"), "%s", strerror(errno));
}

static void trace_stop(struct events *e)
{
	FILE *in = fopen(TRACE "/trace", "r");
	char line[512], *event;

	gm_assert(in, "trace: %s", strerror(errno));
	gm_assert(gm_write(TRACE "/events/gmem/enable", "0"), "%s", strerror(errno));
	e->len = 0;
	e->text[0] = '\0';
	while (fgets(line, sizeof(line), in)) {
		event = strstr(line, ": gmem_");
		if (!event || line[0] == '#')
			continue;
		event += strlen(": ");
		gm_assert(e->len + strlen(event) < sizeof(e->text), "too many events");
		e->len += sprintf(e->text + e->len, "%s", event);
	}
	fclose(in);
	gm_assert_ok(rmdir(TRACE));
}

static void __printf(2, 3) expect(struct events *e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	e->len += vsnprintf(e->text + e->len, sizeof(e->text) - e->len, fmt, ap);
	va_end(ap);
	gm_assert(e->len + 1 < sizeof(e->text), "too many events");
	e->text[e->len++] = '\n';
	e->text[e->len] = '\0';
}

static void assert_events(const struct events *got, const struct events *want)
{
	const char *a = got->text, *b = want->text;
	unsigned int line = 1;

	for (; *a && *a == *b; a++, b++)
		line += *a == '\n';
	if (*a == *b)
		return;
	while (a > got->text && a[-1] != '\n')
		a--;
	while (b > want->text && b[-1] != '\n')
		b--;
	gm_fail(__FILE__, __LINE__, "events", "number %u is '%.*s', expected '%.*s'", line,
		(int)strcspn(a, "\n"), a, (int)strcspn(b, "\n"), b);
}

static void expect_invalidate(struct events *e, u64 ino, const char *what, u64 start, u64 end,
			      const char *filter)
{
	expect(e, "gmem_invalidate_%s: ino=%lu start=%lu end=%lu filter=%s", what,
	       (unsigned long)ino, (unsigned long)start, (unsigned long)end, filter);
}

static void expect_block(struct events *e, const char *what, u64 ino, u64 index, u64 block)
{
	expect(e, "gmem_%s: ino=%lu index=%lu order=%d", what, (unsigned long)ino,
	       (unsigned long)index, __builtin_ctzl(block / GM_PAGE));
}

static void expect_live(struct events *e, const char *what, u64 ino, u64 start, u64 end, u64 nr)
{
	expect(e, "gmem_%s: ino=%lu start=%lu end=%lu nr=%lu", what, (unsigned long)ino,
	       (unsigned long)start, (unsigned long)end, (unsigned long)nr);
}

/* A request; if it changes something, nr pages that were live go. */
static void expect_convert(struct events *e, u64 ino, u64 start, u64 end, bool private,
			   bool changes, u64 nr)
{
	const char *filter = private ? "shared" : "private";

	expect(e, "gmem_convert_begin: ino=%lu start=%lu end=%lu private=%d",
	       (unsigned long)ino, (unsigned long)start, (unsigned long)end, private);
	if (changes) {
		expect_invalidate(e, ino, "begin", start, end, filter);
		if (nr)
			expect_live(e, "withdraw", ino, start, end, nr);
		expect_invalidate(e, ino, "end", start, end, filter);
	}
	expect(e, "gmem_convert_end: ino=%lu start=%lu end=%lu private=%d err=0 at=%lu",
	       (unsigned long)ino, (unsigned long)start, (unsigned long)end, private,
	       (unsigned long)start);
}

static void need_events(void)
{
	if (!gm_have_gmem())
		gm_skip("this kernel has no gmem");
	gm_assert(!access(TRACING "/events/gmem", F_OK), "no events of gmem");
}

/* Is a page's struct page shared until somebody wants it? */
static bool optimized(const struct gm_source *src)
{
	char line[4096];

	gm_read_text("/proc/cmdline", line, sizeof(line));
	return (src->flags & GM_HUGETLB) && strstr(line, "hugetlb_free_vmemmap=on");
}

#define AT	67	/* a page not under the first page of the vmemmap */

static void host_write(struct gm_scene *s, u64 page)
{
	WRITE_ONCE(*(u64 *)(s->mem + page * GM_PAGE), SEED);
}

/* Where the neighbours of a page are in the same page table, whatever they are. */
static void map_aligned(struct gm_scene *s)
{
	char *at = mmap(NULL, s->f.size + GM_1G, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	gm_assert(at != MAP_FAILED, "mmap: %s", strerror(errno));
	gm_assert_ok(munmap(at, s->f.size + GM_1G));
	gm_assert_ok(munmap(s->mem, s->f.size));
	at = (char *)(((u64)at + GM_1G - 1) & -GM_1G);
	s->mem = mmap(at, s->f.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
		      s->f.fd, 0);
	gm_assert(s->mem == at, "mmap: %s", strerror(errno));
}

/* Blocks and pages come, change hands, and go, one by one. */
static void events(unsigned int source)
{
	struct events got, want = { .len = 0 };
	struct gm_scene s;
	u64 ino, n, i;

	need_events();
	gm_scene_open(&s, source, 1, gm_sources[source].block == GM_PAGE ? 256 * GM_PAGE :
		      gm_sources[source].block, GM_MMAP);
	map_aligned(&s);
	ino = s.f.ino;
	n = s.f.block == GM_PAGE ? GM_PAGE : s.f.size;

	trace_start();
	gm_assert_ok(gm_populate(&s.f, 0, s.f.size));
	for (i = 0; i < s.f.size; i += n)
		expect_block(&want, "alloc", ino, i / GM_PAGE, n);

	/* The guest has it now, which is no business of its file. */
	gm_guest_touch(s.g, AT * GM_PAGE, GM_PAGE, GM_PAGE, SEED);

	gm_set_ok(&s.f, AT * GM_PAGE, GM_PAGE, false);
	expect_convert(&want, ino, AT, AT + 1, false, true, 0);
	host_write(&s, AT);
	if (optimized(s.src))
		expect(&want, "gmem_vmemmap_restore: ino=%lu start=64 end=128",
		       (unsigned long)ino);
	expect_live(&want, "publish", ino, AT, AT + 1, 1);
	gm_set_ok(&s.f, AT * GM_PAGE, GM_PAGE, true);
	expect_convert(&want, ino, AT, AT + 1, true, true, 1);
	/* Again: nobody loses anything. */
	gm_set_ok(&s.f, AT * GM_PAGE, GM_PAGE, true);
	expect_convert(&want, ino, AT, AT + 1, true, false, 0);

	/* One touch makes 64 pages live, of which one was before the others. */
	gm_set_ok(&s.f, 64 * GM_PAGE, 64 * GM_PAGE, false);
	expect_convert(&want, ino, 64, 128, false, true, 0);
	host_write(&s, AT);
	expect_live(&want, "publish", ino, AT, AT + 1, 1);
	if (n > GM_PAGE)
		expect_live(&want, "publish", ino, 64, 128, 63);
	for (i = 64; n == GM_PAGE && i < 128; i++)
		if (i != AT)
			expect_live(&want, "publish", ino, i, i + 1, 1);
	gm_set_ok(&s.f, 0, s.f.size, true);
	expect_convert(&want, ino, 0, s.f.size / GM_PAGE, true, true, 64);

	gm_assert_ok(gm_punch(&s.f, 0, s.f.size));
	expect_invalidate(&want, ino, "begin", 0, s.f.size / GM_PAGE, "shared|private");
	for (i = 0; i < s.f.size; i += n)
		expect_block(&want, "free", ino, i / GM_PAGE, n);
	expect_invalidate(&want, ino, "end", 0, s.f.size / GM_PAGE, "shared|private");
	/* A hole has nothing to lose. */
	gm_assert_ok(gm_punch(&s.f, 0, s.f.size));

	trace_stop(&got);
	assert_events(&got, &want);
	gm_scene_close(&s);
}

static void events_4k(void)
{
	events(GM_SRC_4K);
}

static void events_2m(void)
{
	events(GM_SRC_THP_2M);
}

static void events_hugetlb_2m(void)
{
	events(GM_SRC_HTLB_2M);
}

static void events_hugetlb_1g(void)
{
	events(GM_SRC_HTLB_1G);
}

static bool no_orphans(void *unused)
{
	return !gm_counter("orphan_blocks");
}

/* Who holds a page: a request says where, a closed file leaves an orphan. */
static void events_held(unsigned int source)
{
	struct gm_holder h = gm_holders[0];
	struct events got, want = { .len = 0 };
	struct gm_scene s;
	u64 ino, error, n;
	unsigned int try;

	need_events();
	gm_scene_open(&s, source, 1, GM_2M, GM_SHARED);
	map_aligned(&s);
	ino = s.f.ino;
	n = s.f.block;
	gm_assert_ok(gm_populate(&s.f, AT * GM_PAGE / n * n, n));
	host_write(&s, AT);
	h.take(&h, &s.f, AT * GM_PAGE);

	trace_start();
	gm_assert_eq(gm_set(&s.f, AT * GM_PAGE, GM_PAGE, true, &error), EAGAIN);
	expect(&want, "gmem_convert_begin: ino=%lu start=%d end=%d private=1",
	       (unsigned long)ino, AT, AT + 1);
	/* It is tried four times. */
	for (try = 0; try < 4; try++) {
		expect_invalidate(&want, ino, "begin", AT, AT + 1, "shared");
		expect_invalidate(&want, ino, "end", AT, AT + 1, "shared");
	}
	expect(&want, "gmem_convert_end: ino=%lu start=%d end=%d private=1 err=%d at=%d",
	       (unsigned long)ino, AT, AT + 1, -EAGAIN, AT);
	trace_stop(&got);
	assert_events(&got, &want);

	gm_assert_ok(munmap(s.mem, s.f.size));
	want.len = 0;
	trace_start();
	gm_close(&s.f);
	/* Its neighbours are live, too, and nobody holds those. */
	if (n > GM_PAGE)
		expect_live(&want, "withdraw", ino, 0, n / GM_PAGE, 63);
	gm_assert(gm_counter("orphan_blocks") == 1, "no orphan");
	h.let_go(&h);
	gm_assert(gm_wait_until(no_orphans, NULL, 10), "still an orphan");
	if (n > GM_PAGE)
		expect_live(&want, "withdraw", 0, 0, n / GM_PAGE, 1);
	else
		expect_live(&want, "withdraw", 0, AT, AT + 1, 1);
	expect_block(&want, "free", 0, n > GM_PAGE ? 0 : AT, n);
	trace_stop(&got);
	assert_events(&got, &want);
	gm_vm_free(s.g);
}

static void events_held_4k(void)
{
	events_held(GM_SRC_4K);
}

static void events_held_2m(void)
{
	events_held(GM_SRC_THP_2M);
}

static void events_poison(void)
{
	struct events got, want = { .len = 0 };
	struct gm_scene s;
	u64 pfn;

	need_events();
	gm_scene_open(&s, GM_SRC_THP_2M, 1, GM_2M, GM_MMAP);
	gm_assert_ok(gm_populate(&s.f, 0, s.f.size));
	pfn = gm_pfn_at(&s.f, AT * GM_PAGE);
	trace_start();
	gm_assert(gm_write("/sys/kernel/debug/hwpoison/corrupt-pfn", "%#lx",
			   (unsigned long)pfn), "%s", strerror(errno));
	expect(&want, "gmem_poison: ino=%lu index=%d", (unsigned long)s.f.ino, AT);
	expect_invalidate(&want, s.f.ino, "begin", AT, AT + 1, "shared|private");
	expect_invalidate(&want, s.f.ino, "end", AT, AT + 1, "shared|private");
	/* What is known is no news. */
	gm_write("/sys/kernel/debug/hwpoison/corrupt-pfn", "%#lx", (unsigned long)pfn);
	trace_stop(&got);
	assert_events(&got, &want);
	gm_scene_close(&s);
}

/* Nobody asked for events: there are none, whatever happens. */
static void events_off(void)
{
	struct events got;
	struct gm_scene s;

	need_events();
	trace_start();
	gm_assert(gm_write(TRACE "/events/gmem/enable", "0"), "%s", strerror(errno));
	gm_scene_open(&s, GM_SRC_THP_2M, 1, GM_2M, GM_MMAP);
	gm_guest_touch(s.g, 0, GM_PAGE, GM_PAGE, SEED);
	gm_set_ok(&s.f, 0, GM_PAGE, false);
	gm_scene_close(&s);
	trace_stop(&got);
	gm_assert(!got.len, "%s", got.text);
}

static const struct gm_case cases[] = {
	{ "4k", events_4k },
	{ "2m", events_2m },
	{ "hugetlb_2m", events_hugetlb_2m },
	{ "hugetlb_1g", events_hugetlb_1g },
	{ "held_4k", events_held_4k },
	{ "held_2m", events_held_2m },
	{ "poison", events_poison, .loses = true },
	{ "off", events_off },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 8);
}
