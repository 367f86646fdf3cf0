// SPDX-License-Identifier: GPL-2.0-only
/*
 * Programs of the fuzzer, carried out: each operation on the file and on the
 * model, its result compared, and then what can be seen of the file.
 */
#include <sys/prctl.h>

#include "fuzz.h"

static void guest_access(struct fuzz *z, const struct fz_op *op, bool write)
{
	u64 page, nr, i, end = min_t(u64, op->a + op->n, z->m.pages);

	for (page = op->a; page < end; page += nr) {
		struct fz_slot *s = fz_slot_of(&z->m, page);

		nr = fz_guest_run(&z->m, page, end);
		if (s && write)
			nr = min_t(u64, end, s->first + s->nr) - page;
		fz_guest(z, page, nr, write ? op->c : fz_guest_content(&z->m, page), write);
		if (!s)
			return;
		for (i = page; i < page + nr; i++) {
			if (fz_from_other(&z->m, i)) {
				z->m.other[i] = write ? op->c : z->m.other[i];
				continue;
			}
			fz_fill_block(&z->m, i);
			if (write)
				fz_set_content(&z->m, i, op->c);
		}
	}
}

static char *host_addr(struct fz_map *map, u64 rel)
{
	return map->addr + rel * GM_PAGE;
}

/* Touch a page of a mapping; the model says how that ends. */
bool fz_host_one(struct fuzz *z, unsigned int mm, unsigned int nr, u64 rel, u32 content,
		 bool write, fz_touch_fn fn)
{
	struct fz_map *map = &z->m.mm[mm].map[nr];
	u64 page = map->first + rel, bad;
	int want, got;

	want = fz_touch(&z->m, &z->m.mm[mm], nr, rel, write);
	z->shared->touches++;
	z->shared->stopped += !!want;
	if (!write && page < z->m.pages)
		content = z->m.content[page];
	got = fn(host_addr(map, rel), page * GM_PAGE, content, write, &bad);
	if (want && fn != fz_host_touch && fn != fz_host_child)
		want = EFAULT;
	gm_assert(got == want, "page %#lx, mapping %u: %d, expected %d",
		  (unsigned long)page, nr, got, want);
	if (want)
		return false;
	gm_assert(!bad, "page %#lx, mapping %u: %lu words are not %#x",
		  (unsigned long)page, nr, (unsigned long)bad, content);
	if (write)
		fz_set_content(&z->m, page, content);
	return true;
}

bool fz_in_map(const struct fz_map *map, const struct fz_op *op, u64 *rel, u64 *nr)
{
	u64 start = max_t(u64, op->a, map->first);
	u64 end = min_t(u64, op->a + op->n, map->first + map->nr);

	if (!map->addr || start >= end)
		return false;
	*rel = start - map->first;
	*nr = end - start;
	return true;
}

static void host_access(struct fuzz *z, const struct fz_op *op, unsigned int mm, bool write,
			fz_touch_fn fn)
{
	struct fz_op range = *op;
	u64 rel, nr, i;

	range.n = op->n ?: 1;
	if (!z->m.mm[mm].used || !fz_in_map(&z->m.mm[mm].map[op->m], &range, &rel, &nr))
		return;
	for (i = rel; i < rel + nr; i++)
		fz_host_one(z, mm, op->m, i, op->c, write, fn);
}

/* Pages of this process or of the child, by a system call that is told which. */
static void do_peek(struct fuzz *z, const struct fz_op *op)
{
	unsigned int mm = op->m / FZ_MAPS % FZ_MMS;
	struct fz_op one = *op;

	one.m %= FZ_MAPS;
	host_access(z, &one, mm, op->code == FZ_POKE,
		    mm == FZ_CHILD ? fz_host_peek_child : fz_host_peek);
}

/* After a range was taken from the host: a page of it in each mapping. */
void fz_look_from_host(struct fuzz *z, const struct fz_op *op)
{
	unsigned int i, mm;
	u64 rel, nr, page;

	for (mm = 0; mm < FZ_MMS; mm++) {
		for (i = 0; i < FZ_MAPS; i++) {
			struct fz_map *map = &z->m.mm[mm].map[i];

			if (!z->m.mm[mm].used || !fz_in_map(map, op, &rel, &nr))
				continue;
			rel += op->a * 7 % nr;
			page = map->first + rel;
			/* What is absent would come back. */
			if (map->prot[rel] == FZ_NONE ||
			    (page < z->m.pages && !z->m.private[page] &&
			     !fz_is_present(&z->m, page)))
				continue;
			fz_host_one(z, mm, i, rel, 0, false, mm ? fz_host_child : fz_host_touch);
		}
	}
}

void fz_check_result(struct fuzz *z, int r, int want)
{
	int err = r ? -errno : 0;

	gm_assert(err == want, "%s; expected %s", strerror(-err), strerror(-want));
}

static void do_populate(struct fuzz *z, const struct fz_op *op)
{
	bool inside = fz_op_end(op) <= z->m.pages;

	fz_check_result(z, gm_populate(&z->f, op->a * GM_PAGE, op->n * GM_PAGE),
			inside ? 0 : -EINVAL);
	if (inside)
		fz_populate(&z->m, op->a, fz_op_end(op));
}

static void do_punch(struct fuzz *z, const struct fz_op *op)
{
	u64 busy;
	int want = fz_punch(&z->m, op->a, fz_op_end(op), &busy);

	fz_check_result(z, gm_punch(&z->f, op->a * GM_PAGE, op->n * GM_PAGE), want);
	fz_look_from_host(z, op);
}

static void do_bad_fallocate(struct fuzz *z, const struct fz_op *op)
{
	const int keep = FALLOC_FL_KEEP_SIZE, punch = keep | FALLOC_FL_PUNCH_HOLE;
	const u64 size = z->f.size, n = GM_PAGE;
	const struct {
		int mode;
		u64 off, len;
		int err;
	} bad[] = {
		{ 0, 0, n, EOPNOTSUPP },
		{ FALLOC_FL_PUNCH_HOLE, 0, n, EOPNOTSUPP },
		{ keep | FALLOC_FL_ZERO_RANGE, 0, n, EOPNOTSUPP },
		{ FALLOC_FL_COLLAPSE_RANGE, 0, n, EOPNOTSUPP },
		{ keep | FALLOC_FL_UNSHARE_RANGE, 0, n, EOPNOTSUPP },
		{ keep, 1, n, EINVAL },
		{ keep, 0, n - 1, EINVAL },
		{ keep, 0, 0, EINVAL },
		{ keep, size, n, EINVAL },
		{ keep, size - n, 2 * n, EINVAL },
		{ keep, -n, n, EINVAL },
		{ keep, 0, 1ULL << 62, EINVAL },
		{ keep, n, (1ULL << 63) - n, EFBIG },
		{ punch, 1, n, EINVAL },
		{ punch, 0, n + 1, EINVAL },
		{ punch, n - 1, 1, EINVAL },
		{ punch, 0, 0, EINVAL },
		{ punch, -n, n, EINVAL },
		{ punch, n, (1ULL << 63) - n, EFBIG },
	};
	unsigned int i = op->m % ARRAY_SIZE(bad);

	fz_check_result(z, fallocate(z->f.fd, bad[i].mode, bad[i].off, bad[i].len),
			-bad[i].err);
}

static void do_convert(struct fuzz *z, const struct fz_op *op)
{
	struct kvm_memory_attributes2 a = {
		.offset = op->a * GM_PAGE,
		.size = op->n * GM_PAGE,
		.attributes = op->code == FZ_PRIVATE ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
		.error_offset = ~0ULL,
	};
	int want = -ENOTTY;
	u64 busy = 0;

	if (z->m.track)
		want = fz_op_end(op) > z->m.pages ? -EINVAL :
		       fz_convert(&z->m, op->a, fz_op_end(op), op->code == FZ_PRIVATE, &busy);
	fz_check_result(z, ioctl(z->f.fd, KVM_SET_MEMORY_ATTRIBUTES2, &a), want);
	gm_assert_eq(a.error_offset, want == -EAGAIN ? busy * GM_PAGE : ~0ULL);
	if (op->code == FZ_PRIVATE)
		fz_look_from_host(z, op);
}

static void do_bad_attrs(struct fuzz *z, const struct fz_op *op)
{
	const u64 size = z->f.size, n = GM_PAGE, bit = 1ULL << op->c % 64;
	const struct kvm_memory_attributes2 bad[] = {
		{ .size = 0 },
		{ .size = 1 },
		{ .size = n + 1 },
		{ .size = n, .offset = 1 },
		{ .size = n, .offset = size },
		{ .size = size + n },
		{ .size = 2 * n, .offset = -n },
		{ .size = n, .offset = -n },
		{ .size = -n, .offset = n },
		{ .size = n, .flags = bit },
		{ .size = n, .attributes = bit == KVM_MEMORY_ATTRIBUTE_PRIVATE ? 1 : bit },
		{ .size = n, .reserved[0] = bit },
		{ .size = n, .reserved[10] = bit },
		{ .size = n, .attributes = KVM_MEMORY_ATTRIBUTE_PRIVATE, .flags = bit },
	};
	struct kvm_memory_attributes2 a = bad[op->m % ARRAY_SIZE(bad)];

	a.error_offset = 77;
	fz_check_result(z, ioctl(z->f.fd, KVM_SET_MEMORY_ATTRIBUTES2, &a),
			z->m.track ? -EINVAL : -ENOTTY);
	gm_assert_eq(a.error_offset, 77);
	a = (struct kvm_memory_attributes2) { .offset = op->m % 2 ? size : 1 };
	fz_check_result(z, ioctl(z->f.fd, KVM_GET_MEMORY_ATTRIBUTES2, &a),
			z->m.track ? -EINVAL : -ENOTTY);
}

static void do_vm_attrs(struct fuzz *z, const struct fz_op *op)
{
	struct kvm_memory_attributes attr = {
		.attributes = op->m ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};
	u64 a = op->a, end = min_t(u64, fz_op_end(op), z->m.pages), to;
	unsigned int i;

	if (z->m.cfg->type != GM_SWP)
		return;
	for (i = 0; i < z->m.nr_slots; i++) {
		struct fz_slot *s = &z->m.slot[i];

		a = max_t(u64, op->a, s->first);
		to = min_t(u64, end, s->first + s->nr);
		if (a >= to)
			continue;
		attr.address = s->gpa + (a - s->first) * GM_PAGE;
		attr.size = (to - a) * GM_PAGE;
		gm_assert_ok(__vm_ioctl(z->g->vm, KVM_SET_MEMORY_ATTRIBUTES, &attr));
		memset(z->m.vm_private + a, op->m, to - a);
	}
}

static void do_prefault(struct fuzz *z, const struct fz_op *op)
{
	struct fz_slot *s = fz_slot_of(&z->m, op->a);
	struct kvm_pre_fault_memory range = { .size = op->n * GM_PAGE };
	u64 end, i;

	/* Where there is no slot any more, what lies there is no page of ours. */
	if (!s)
		return;
	range.gpa = s->gpa + (op->a - s->first) * GM_PAGE;
	end = min_t(u64, fz_op_end(op), s->first + s->nr);
	fz_check_result(z, __vcpu_ioctl(z->g->vcpu[0], KVM_PRE_FAULT_MEMORY, &range), 0);
	gm_assert_eq(range.size, (fz_op_end(op) - end) * GM_PAGE);
	for (i = op->a; i < end; i++)
		if (!fz_from_other(&z->m, i))
			fz_fill_block(&z->m, i);
}

static void do_unbind(struct fuzz *z, const struct fz_op *op)
{
	struct fz_slot *s = &z->m.slot[op->m % z->m.nr_slots];

	if (!s->bound)
		return;
	gm_slot_delete(z->g, s->id);
	s->bound = false;
}

static void do_bind(struct fuzz *z, const struct fz_op *op)
{
	struct fz_slot *s = &z->m.slot[op->m % z->m.nr_slots];

	if (s->bound)
		return;
	s->id = gm_slot(z->g, &z->f, s->gpa, s->nr * GM_PAGE, s->first * GM_PAGE,
			z->other + s->first * GM_PAGE);
	s->bound = true;
}

static int want_of_create(u64 size, u64 flags)
{
	const u64 known = GM_SHARED | GUEST_MEMFD_FLAG_NO_DIRECT_MAP | GM_HUGETLB |
			  GM_HUGEPAGE | GUEST_MEMFD_HUGE_MASK << GUEST_MEMFD_HUGE_SHIFT;
	u64 shift = flags >> GUEST_MEMFD_HUGE_SHIFT, block = GM_PAGE;

	if (flags & ~known)
		return -EINVAL;
	if (flags & GM_HUGETLB && flags & GM_HUGEPAGE)
		return -EINVAL;
	if (!(flags & (GM_HUGETLB | GM_HUGEPAGE))) {
		if (shift)
			return -EINVAL;
	} else {
		block = GM_2M;
		if (shift && shift != 21 && shift != 30)
			return -EINVAL;
		if (shift)
			block = 1ULL << shift;
	}
	if ((s64)size <= 0 || size % block)
		return -EINVAL;
	if (!(flags & GM_HUGETLB))
		return 0;
	if (gm_pool(block, "nr") < 0)
		return -EINVAL;
	return (long)(size / block) > gm_pool(block, "free") - gm_pool(block, "resv") ? -ENOMEM : 0;
}

/* One more file, of any kind, which has nothing to do with the other. */
static void do_create(struct fuzz *z, const struct fz_op *op)
{
	int want = want_of_create(op->n, op->c), fd;
	struct gm_file f;

	fd = __vm_create_guest_memfd(z->g->vm, op->n, op->c);
	fz_check_result(z, fd < 0, want);
	if (fd < 0)
		return;
	f = (struct gm_file) { .fd = fd };
	gm_assert_eq(gm_fdinfo(&f, "gmem-size"), op->n);
	gm_assert_eq(gm_fdinfo(&f, "gmem-flags"), op->c);
	gm_assert_eq(gm_held(&f), 0);
	gm_close(&f);
}

static void run_op(struct fuzz *z, const struct fz_op *op)
{
	switch (op->code) {
	case FZ_POPULATE:
		do_populate(z, op);
		break;
	case FZ_PUNCH:
		do_punch(z, op);
		break;
	case FZ_BAD_FALLOCATE:
		do_bad_fallocate(z, op);
		break;
	case FZ_PRIVATE:
	case FZ_SHARED:
		do_convert(z, op);
		break;
	case FZ_BAD_ATTRS:
		do_bad_attrs(z, op);
		break;
	case FZ_GET:
		fz_check_attributes(z, op->a);
		break;
	case FZ_VM_ATTRS:
		do_vm_attrs(z, op);
		break;
	case FZ_READ:
	case FZ_WRITE:
		host_access(z, op, FZ_SELF, op->code == FZ_WRITE, fz_host_touch);
		break;
	case FZ_COPY_OUT:
	case FZ_COPY_IN:
		host_access(z, op, FZ_SELF, op->code == FZ_COPY_IN, fz_host_copy);
		break;
	case FZ_PEEK:
	case FZ_POKE:
		do_peek(z, op);
		break;
	case FZ_HOLD:
		fz_hold(z, op);
		break;
	case FZ_RELEASE:
		fz_release(z, op->m);
		break;
	case FZ_DEVICE_READ:
	case FZ_DEVICE_WRITE:
		fz_device(z, op);
		break;
	case FZ_CHILD_READ:
	case FZ_CHILD_WRITE:
		host_access(z, op, FZ_CHILD, op->code == FZ_CHILD_WRITE, fz_host_child);
		break;
	case FZ_GUEST_READ:
	case FZ_GUEST_WRITE:
		guest_access(z, op, op->code == FZ_GUEST_WRITE);
		break;
	case FZ_PREFAULT:
		do_prefault(z, op);
		break;
	case FZ_UNBIND:
		do_unbind(z, op);
		break;
	case FZ_BIND:
		do_bind(z, op);
		break;
	case FZ_CREATE:
		do_create(z, op);
		break;
	default:
		fz_map_op(z, op);
	}
}

/* A gigabyte that does not come from a pool comes from fallocate() only. */
static void refill(struct fuzz *z)
{
	struct fz_op all = { .n = z->m.pages };

	if (gm_sources[z->p->cfg->source].by_fallocate && !z->m.nr_present)
		do_populate(z, &all);
}

static int open_counter(const char *fmt, u64 arg)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), fmt, (unsigned long)arg);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	gm_assert(fd >= 0, "%s: %s", path, strerror(errno));
	return fd;
}

static void set_up_slots(struct fuzz *z, unsigned int setup)
{
	struct fz_model *m = &z->m;
	u64 split = m->pages, i;
	struct fz_op op = { 0 };

	if (setup & FZ_TWO_SLOTS) {
		split = m->pages / 2 / FZ_CHUNK * FZ_CHUNK;
		if (setup & FZ_ODD_SPLIT)
			split += 37;
	}
	m->nr_slots = 1 + !!(setup & FZ_TWO_SLOTS);
	m->slot[0] = (struct fz_slot) { .nr = split, .gpa = GM_GPA };
	m->slot[1] = (struct fz_slot) {
		.first	= split,
		.nr	= m->pages - split,
		/* Aligned as the file is, but for the skew. */
		.gpa	= GM_GPA + (split + 2 * FZ_CHUNK) * GM_PAGE,
	};
	if (setup & FZ_SKEWED_GPA)
		m->slot[1].gpa += 5 * GM_PAGE;
	gm_map(z->g, GM_GPA, (m->pages + 4 * FZ_CHUNK) * GM_PAGE);
	for (i = 0; i < m->nr_slots; i++) {
		op.m = i;
		do_bind(z, &op);
	}
	op = (struct fz_op) { .n = m->pages, .m = 1 };
	do_vm_attrs(z, &op);
}

static void set_up(struct fuzz *z)
{
	const struct fz_config *cfg = z->p->cfg;
	unsigned int setup = z->p->setup;
	u64 flags = cfg->mmap ? GM_MMAP : 0;

	fz_model_init(&z->m, cfg, setup);
	fz_host_init();
	if (setup & FZ_INIT_SHARED)
		flags |= GUEST_MEMFD_FLAG_INIT_SHARED;
	if (gm_sources[cfg->source].flags & GM_HUGETLB) {
		const char *dir = "/sys/kernel/mm/hugepages/hugepages-%lukB";
		u64 kb = gm_sources[cfg->source].block >> 10;
		char path[128];

		snprintf(path, sizeof(path), "%s/free_hugepages", dir);
		z->free_fd = open_counter(path, kb);
		z->free = fz_read_counter(z->free_fd);
		snprintf(path, sizeof(path), "%s/resv_hugepages", dir);
		z->resv_fd = open_counter(path, kb);
		z->resv = fz_read_counter(z->resv_fd);
	}
	z->live_fd = open_counter("/sys/kernel/mm/gmem/live_pages", 0);
	z->vmemmap_fd = open_counter("/sys/kernel/mm/gmem/vmemmap_pages", 0);

	z->g = gm_vm_create(cfg->type, 1, 0);
	z->f = gm_create_from(z->g->vm, &gm_sources[cfg->source], z->m.pages * GM_PAGE, flags);
	z->fdinfo = open_counter("/proc/self/fdinfo/%lu", z->f.fd);
	z->other = kvm_mmap(z->f.size + GM_2M, z->m.second ? PROT_READ | PROT_WRITE : PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	z->other = (char *)(((u64)z->other + GM_2M - 1) & ~(GM_2M - 1));
	if (setup & FZ_SKEWED_HVA)
		z->other += 3 * GM_PAGE;
	fz_maps_init(z);
	fz_holders_init(z);
	set_up_slots(z, setup);
	refill(z);
}

struct wait_orphans {
	long nr;
};

static bool orphans_are(void *arg)
{
	return gm_counter("orphan_blocks") == ((struct wait_orphans *)arg)->nr;
}

/* Last of all: the file goes, before or after those who hold pages of it. */
static void tear_down(struct fuzz *z)
{
	bool orphans = z->p->setup & FZ_ORPHANS;
	struct wait_orphans w = { 0 };

	fz_unmap_all(z);
	if (!orphans)
		fz_release_all(z);
	close(z->fdinfo);
	gm_close(&z->f);
	gm_vm_free(z->g);
	w.nr = fz_orphans(&z->m);
	gm_assert(gm_wait_until(orphans_are, &w, 10), "%ld orphans, expected %ld",
		  gm_counter("orphan_blocks"), w.nr);
	if (orphans)
		fz_release_all(z);
	fz_model_free(&z->m);
}

void fz_run(const struct fz_program *p, struct fz_shared *shared, bool verbose)
{
	static struct fuzz z;
	char line[128], name[48];
	u64 i;

	memset(&z, 0, sizeof(z));
	z.p = p;
	z.shared = shared;
	shared->at = 0;
	/* With the operations that follow this is a script. */
	if (verbose)
		gm_note("config %s %#x", p->cfg->name, p->setup);
	set_up(&z);
	fz_check_whole(&z);
	for (i = 0; i < p->nr; i++) {
		shared->at = i;
		if (verbose) {
			fz_print_op(&p->op[i], line, sizeof(line));
			gm_note("%s", line);
		}
		/* Where a kernel that panics says what ran. */
		snprintf(name, sizeof(name), "%lu %s", (unsigned long)i, fz_op_name(&p->op[i]));
		prctl(PR_SET_NAME, name);
		run_op(&z, &p->op[i]);
		refill(&z);
		fz_check_op(&z, &p->op[i], i);
	}
	fz_check_whole(&z);
	shared->conversions += z.m.conversions;
	shared->eagain += z.m.eagain;
	tear_down(&z);
}
