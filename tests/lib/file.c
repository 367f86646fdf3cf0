// SPDX-License-Identifier: GPL-2.0-only
/* gmem files: creation, what they say of themselves, their blocks. */
#include <setjmp.h>
#include <signal.h>
#include <sys/stat.h>

#include "gmem_test.h"

#define BLOCKS	"/sys/kernel/debug/gmem/blocks"

const struct gm_source gm_sources[GM_NR_SOURCES] = {
	[GM_SRC_4K] = {
		.name = "4K", .block = GM_PAGE,
	},
	[GM_SRC_THP_2M] = {
		.name = "hugepage 2M", .block = GM_2M, .cap = GM_CAP_HUGEPAGE_2M,
		.flags = GM_HUGEPAGE | GM_HUGE_2M,
	},
	[GM_SRC_HTLB_2M] = {
		.name = "hugetlb 2M", .block = GM_2M, .cap = GM_CAP_HUGETLB_2M,
		.flags = GM_HUGETLB | GM_HUGE_2M,
	},
	[GM_SRC_HTLB_1G] = {
		.name = "hugetlb 1G", .block = GM_1G, .cap = GM_CAP_HUGETLB_1G,
		.flags = GM_HUGETLB | GM_HUGE_1G,
	},
	[GM_SRC_THP_1G] = {
		.name = "hugepage 1G", .block = GM_1G, .cap = GM_CAP_HUGEPAGE_1G,
		.flags = GM_HUGEPAGE | GM_HUGE_1G, .by_fallocate = true,
	},
};

void gm_need_source(const struct gm_source *src, u64 bytes)
{
	int cap;

	if (!src->cap)
		return;
	cap = kvm_check_cap(KVM_CAP_GUEST_MEMFD_HUGE);
	if (!cap && !gm_have_gmem())
		gm_skip("this kernel has no huge guest_memfd");
	if (src->flags & GM_HUGETLB && gm_pool(src->block, "nr") < 0)
		gm_skip("no hugetlb pool of this size");
	gm_assert(cap & src->cap, "capability %#x lacks %s", cap, src->name);
	if (src->flags & GM_HUGETLB && src->block == GM_1G &&
	    gm_pool(GM_1G, "free") - gm_pool(GM_1G, "resv") < (long)(bytes / GM_1G))
		gm_skip("needs %lu free pages of 1 GiB (hugepagesz=1G hugepages=)",
			(unsigned long)(bytes / GM_1G));
}

static u64 block_of(u64 flags)
{
	unsigned int shift = flags >> GUEST_MEMFD_HUGE_SHIFT;

	if (!(flags & (GM_HUGETLB | GM_HUGEPAGE)))
		return GM_PAGE;
	return shift ? 1ULL << shift : GM_2M;
}

struct gm_file gm_create(struct kvm_vm *vm, u64 size, u64 flags)
{
	struct gm_file f = { .size = size, .flags = flags, .block = block_of(flags) };
	struct stat st;

	f.fd = __vm_create_guest_memfd(vm, size, flags);
	gm_assert(f.fd >= 0, "KVM_CREATE_GUEST_MEMFD(%#lx, %#lx): %s",
		  (unsigned long)size, (unsigned long)flags, strerror(errno));
	gm_assert_ok(fstat(f.fd, &st));
	f.ino = st.st_ino;
	return f;
}

struct gm_file gm_create_from(struct kvm_vm *vm, const struct gm_source *src,
			      u64 size, u64 flags)
{
	return gm_create(vm, size, flags | src->flags);
}

void gm_close(struct gm_file *f)
{
	gm_assert_ok(close(f->fd));
	f->fd = -1;
}

long gm_fdinfo(const struct gm_file *f, const char *key)
{
	char path[64];
	long v;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", f->fd);
	v = gm_proc_value(path, key);
	gm_assert(v != -1, "fdinfo lacks %s", key);
	return v;
}

u64 gm_held(const struct gm_file *f)
{
	struct stat st;

	gm_assert_ok(fstat(f->fd, &st));
	return st.st_blocks * 512ULL;
}

int gm_populate(const struct gm_file *f, u64 off, u64 len)
{
	return fallocate(f->fd, FALLOC_FL_KEEP_SIZE, off, len);
}

int gm_punch(const struct gm_file *f, u64 off, u64 len)
{
	return fallocate(f->fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, off, len);
}

void *gm_mmap(const struct gm_file *f, u64 off, u64 len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, off);

	gm_assert(p != MAP_FAILED, "mmap: %s", strerror(errno));
	return p;
}

bool gm_have_blocks(void)
{
	return !access(BLOCKS, R_OK);
}

static int by_index(const void *a, const void *b)
{
	const struct gm_block *x = a, *y = b;

	return x->index < y->index ? -1 : x->index > y->index;
}

size_t gm_blocks(const struct gm_file *f, struct gm_block *blocks, size_t max)
{
	FILE *in = fopen(BLOCKS, "r");
	unsigned long ino, index, pfn, live;
	char line[256], state[16];
	unsigned int order;
	size_t nr = 0;
	long refs;

	gm_assert(in, BLOCKS ": %s", strerror(errno));
	while (fgets(line, sizeof(line), in)) {
		if (line[0] < '0' || line[0] > '9')
			continue;
		gm_assert(sscanf(line, "%lu %lu %u %lu %15s %lu %ld", &ino, &index,
				 &order, &pfn, state, &live, &refs) == 7,
			  "cannot read '%s'", line);
		if (ino != f->ino || nr == max)
			continue;
		gm_assert(!strcmp(state, "intact") || !strcmp(state, "dissolved"),
			  "state '%s'", state);
		blocks[nr].ino = ino;
		blocks[nr].index = index;
		blocks[nr].order = order;
		blocks[nr].pfn = pfn;
		blocks[nr].dissolved = state[0] == 'd';
		blocks[nr].live = live;
		blocks[nr++].refs = refs;
	}
	fclose(in);
	qsort(blocks, nr, sizeof(*blocks), by_index);
	return nr;
}

#define MAX_BLOCKS	(128UL << 10)

static struct gm_block *all_blocks(const struct gm_file *f, size_t *nr)
{
	struct gm_block *b = calloc(MAX_BLOCKS, sizeof(*b));

	gm_assert(b, "no memory");
	*nr = gm_blocks(f, b, MAX_BLOCKS);
	return b;
}

bool gm_block_at(const struct gm_file *f, u64 off, struct gm_block *out)
{
	u64 index = off / GM_PAGE;
	bool found = false;
	struct gm_block *b;
	size_t i, nr;

	b = all_blocks(f, &nr);
	for (i = 0; i < nr && !found; i++) {
		if (index - b[i].index < 1ULL << b[i].order && index >= b[i].index) {
			*out = b[i];
			found = true;
		}
	}
	free(b);
	return found;
}

u64 gm_pfn_at(const struct gm_file *f, u64 off)
{
	struct gm_block b;

	gm_assert(gm_block_at(f, off, &b), "no block at %#lx", (unsigned long)off);
	return b.pfn + off / GM_PAGE - b.index;
}

void gm_assert_withdrawn(const struct gm_file *f)
{
	struct gm_block *b;
	size_t i, nr;

	b = all_blocks(f, &nr);
	gm_assert(nr, "no block");
	for (i = 0; i < nr; i++)
		gm_assert(!b[i].live && !b[i].refs, "index %lu: %lu live, %ld references",
			  (unsigned long)b[i].index, (unsigned long)b[i].live, b[i].refs);
	free(b);
}

void gm_assert_frozen(const struct gm_file *f)
{
	struct gm_block *b;
	size_t i, nr;

	b = all_blocks(f, &nr);
	gm_assert(nr || !gm_held(f), "%lu bytes held in no block",
		  (unsigned long)gm_held(f));
	for (i = 0; i < nr; i++) {
		gm_assert(!b[i].refs && !b[i].live,
			  "block at index %lu: %lu live pages, %ld references",
			  (unsigned long)b[i].index, (unsigned long)b[i].live, b[i].refs);
		gm_assert(!b[i].dissolved || !b[i].order,
			  "block at index %lu is dissolved", (unsigned long)b[i].index);
	}
	free(b);
}

static __thread sigjmp_buf sigbus_env;
static __thread siginfo_t sigbus_info;
static __thread bool sigbus_expected;

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	/* The access is repeated, and ends the process. */
	if (!sigbus_expected) {
		signal(SIGBUS, SIG_DFL);
		return;
	}
	sigbus_info = *info;
	siglongjmp(sigbus_env, 1);
}

/* Several threads may be in here, so the handler stays. */
int gm_catch_sigbus(void (*fn)(void *), void *arg, void **where)
{
	struct sigaction sa = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO };

	sigbus_info.si_code = 0;
	sigaction(SIGBUS, &sa, NULL);
	sigbus_expected = true;
	if (!sigsetjmp(sigbus_env, 1))
		fn(arg);
	else if (where)
		*where = sigbus_info.si_addr;
	sigbus_expected = false;
	return sigbus_info.si_code;
}

static void read_byte(void *p)
{
	(void)READ_ONCE(*(char *)p);
}

static void write_byte(void *p)
{
	WRITE_ONCE(*(char *)p, 1);
}

bool gm_sigbus(void *addr, bool write)
{
	return gm_catch_sigbus(write ? write_byte : read_byte, addr, NULL);
}

void gm_host_fill(void *mem, u64 off, u64 len, u64 seed)
{
	u64 *p = mem, i;

	for (i = 0; i < len; i += 8)
		WRITE_ONCE(p[i / 8], gm_word(seed, off + i));
}

u64 gm_host_differ(const void *mem, u64 off, u64 len, u64 seed)
{
	const u64 *p = mem;
	u64 i, bad = 0;

	for (i = 0; i < len; i += 8)
		bad += READ_ONCE(p[i / 8]) != (seed ? gm_word(seed, off + i) : 0);
	return bad;
}
