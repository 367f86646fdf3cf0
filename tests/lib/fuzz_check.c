// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the fuzzer looks at after each operation, and now and then all over. Data
 * is read by the guest: that publishes nothing, and its mappings are one more
 * thing that may be out of date.
 */
#include "fuzz.h"

#define WHOLE	500		/* operations from one look at everything to the next */

static struct kvm_memory_attributes2 do_get(struct fuzz *z, u64 page)
{
	struct kvm_memory_attributes2 a = { .offset = page * GM_PAGE };

	gm_assert_ok(ioctl(z->f.fd, KVM_GET_MEMORY_ATTRIBUTES2, &a));
	return a;
}

void fz_check_attributes(struct fuzz *z, u64 page)
{
	struct kvm_memory_attributes2 want, got;

	if (!z->m.track || page >= z->m.pages)
		return;
	want = fz_query(&z->m, page);
	got = do_get(z, page);
	gm_assert(!memcmp(&got, &want, sizeof(got)),
		  "page %#lx: attributes %#lx, flags %#lx, size %#lx; expected %#lx, %#lx, %#lx",
		  (unsigned long)page, (unsigned long)got.attributes,
		  (unsigned long)got.flags, (unsigned long)got.size,
		  (unsigned long)want.attributes, (unsigned long)want.flags,
		  (unsigned long)want.size);
}

long fz_read_counter(int fd)
{
	char buf[32] = { 0 };

	gm_assert_ge(pread(fd, buf, sizeof(buf) - 1, 0), 1);
	return strtol(buf, NULL, 0);
}

static void check_line(const char *text, const char *key, u64 want)
{
	const char *line = strstr(text, key);

	gm_assert(line, "no %s in fdinfo", key);
	line += strlen(key);
	gm_assert(*line == ':', "no %s in fdinfo", key);
	gm_assert(strtoull(line + 1, NULL, 0) == want, "%s is %lu, expected %lu", key,
		  strtoul(line + 1, NULL, 0), (unsigned long)want);
}

/* All that the file says of itself. */
static void check_figures(struct fuzz *z)
{
	const struct fz_model *m = &z->m;
	u64 held = m->nr_present * z->f.block, bound = 0;
	char text[2048];
	unsigned int i;
	ssize_t n;

	n = pread(z->fdinfo, text, sizeof(text) - 1, 0);
	gm_assert_ge(n, 1);
	text[n] = '\0';
	for (i = 0; i < m->nr_slots; i++)
		bound += m->slot[i].bound;
	check_line(text, "gmem-size", z->f.size);
	check_line(text, "gmem-flags", z->f.flags);
	check_line(text, "gmem-allocated", held);
	check_line(text, "gmem-private", m->nr_private * GM_PAGE);
	check_line(text, "gmem-shared", held - m->nr_private * GM_PAGE);
	check_line(text, "gmem-live", m->nr_live * GM_PAGE);
	check_line(text, "gmem-blocks-4k", z->f.block == GM_PAGE ? m->nr_present : 0);
	check_line(text, "gmem-blocks-2m", z->f.block == GM_2M ? m->nr_present : 0);
	check_line(text, "gmem-blocks-1g", z->f.block == GM_1G ? m->nr_present : 0);
	check_line(text, "gmem-reserved", z->f.flags & GM_HUGETLB ? z->f.size - held : 0);
	check_line(text, "gmem-conversions", m->conversions);
	check_line(text, "gmem-eagain", m->eagain);
	check_line(text, "gmem-vmemmap", m->nr_real * GM_PAGE);
	check_line(text, "gmem-bindings", bound);
	check_line(text, "gmem-poisoned", 0);
	gm_assert_eq(gm_held(&z->f), held);
	if (z->f.flags & GM_HUGETLB) {
		gm_assert_eq(fz_read_counter(z->free_fd), z->free - (long)m->nr_present);
		gm_assert_eq(fz_read_counter(z->resv_fd), z->resv + (long)(z->f.size / z->f.block) -
			     (long)m->nr_present);
	}
}

/* Nobody else uses gmem while this runs. */
static void check_machine(struct fuzz *z)
{
	gm_assert_eq(fz_read_counter(z->live_fd), z->m.nr_live);
	gm_assert_eq(fz_read_counter(z->vmemmap_fd), z->m.nr_real);
	gm_assert_eq(gm_counter("orphan_blocks"), 0);
}

/*
 * A guest's command on pages of one slot, or on one page where there is no slot.
 * What backs them is the file, or memory at userspace_addr.
 */
void fz_guest(struct fuzz *z, u64 page, u64 nr, u32 content, bool write)
{
	const bool swp = z->m.cfg->type == GM_SWP;
	struct fz_slot *s = fz_slot_of(&z->m, page);
	u64 gpa, i;
	int r;

	for (i = 0; !s && i < z->m.nr_slots; i++)
		if (page >= z->m.slot[i].first &&
		    page < z->m.slot[i].first + z->m.slot[i].nr)
			s = &z->m.slot[i];
	gpa = s->gpa + (page - s->first) * GM_PAGE;
	z->shared->guest++;
	r = gm_try(z->g, 0, write ? GM_FILL : GM_VERIFY, gpa, page * GM_PAGE,
		   nr * GM_PAGE, 8, content);
	if (!s->bound) {
		/*
		 * There is no file to ask what is private. The VM knows, but KVM
		 * does not ask it where it has noted MMIO before.
		 */
		gm_assert(r == GM_NO_SLOT ||
			  (swp && z->m.vm_private[page] && r == EFAULT),
			  "page %#lx, without a slot: %s", (unsigned long)page, strerror(r));
		gm_reset(z->g, 0);
		return;
	}
	gm_assert(!r, "page %#lx: KVM_RUN: %s", (unsigned long)page, strerror(r));
	gm_assert(!gm_cmd(z->g, 0)->bad,
		  "page %#lx +%#lx: %lu words of the guest are not %#x, at +%#lx: %#lx",
		  (unsigned long)page, (unsigned long)nr,
		  (unsigned long)gm_cmd(z->g, 0)->bad, content,
		  (unsigned long)(gm_cmd(z->g, 0)->bad_gva - gpa),
		  (unsigned long)gm_cmd(z->g, 0)->bad_value);
}

bool fz_from_other(const struct fz_model *m, u64 page)
{
	return m->second && !m->vm_private[page];
}

u32 fz_guest_content(const struct fz_model *m, u64 page)
{
	return fz_from_other(m, page) ? m->other[page] : m->content[page];
}

/* As many as one command can compare. */
u64 fz_guest_run(struct fz_model *m, u64 page, u64 end)
{
	struct fz_slot *s = fz_slot_of(m, page);
	u64 i;

	if (!s)
		return 1;
	for (i = page + 1; i < end && i < s->first + s->nr; i++)
		if (fz_guest_content(m, i) != fz_guest_content(m, page))
			break;
	return i - page;
}

static bool guest_may_look(struct fz_model *m, u64 page)
{
	return fz_slot_of(m, page) && (fz_is_present(m, page) || fz_from_other(m, page));
}

/* Reads what is there and changes nothing but mappings of the guest. */
static void guest_look(struct fuzz *z, u64 page, u64 end)
{
	u64 nr, i;

	end = min_t(u64, end, z->m.pages);
	for (; page < end; page += nr) {
		nr = 1;
		if (!guest_may_look(&z->m, page))
			continue;
		nr = fz_guest_run(&z->m, page, end);
		for (i = 1; i < nr && guest_may_look(&z->m, page + i); i++)
			;
		nr = i;
		fz_guest(z, page, nr, fz_guest_content(&z->m, page), false);
	}
}

/* Everything, through the guest, which publishes nothing. */
void fz_check_whole(struct fuzz *z)
{
	static struct gm_block b[4096];
	struct fz_model *m = &z->m;
	u64 page, nr, i;

	for (page = 0; m->track && page < m->pages; page += fz_query(m, page).size / GM_PAGE)
		fz_check_attributes(z, page);
	for (page = 0; page < m->pages; page += FZ_CHUNK) {
		/* Zeroes of a gigabyte are looked at here and there. */
		if (m->per_block <= FZ_CHUNK || m->in_content[page / FZ_CHUNK])
			guest_look(z, page, page + FZ_CHUNK);
		else
			guest_look(z, page + page / FZ_CHUNK % FZ_CHUNK, page + FZ_CHUNK);
	}
	for (page = 0; m->second && page < m->pages; page++)
		gm_assert(!gm_host_differ(z->other + page * GM_PAGE, page * GM_PAGE, GM_PAGE,
					  m->other[page]),
			  "page %#lx at userspace_addr", (unsigned long)page);

	nr = gm_blocks(&z->f, b, ARRAY_SIZE(b));
	gm_assert_eq(nr, m->nr_present);
	for (i = 0; i < nr; i++) {
		page = b[i].index;
		gm_assert(fz_is_present(m, page), "block at %#lx", (unsigned long)page);
		gm_assert_eq(1ULL << b[i].order, m->per_block);
		gm_assert(b[i].live == fz_block_live(m, page), "block %#lx: %lu live, expected %lu",
			  (unsigned long)page, (unsigned long)b[i].live,
			  (unsigned long)fz_block_live(m, page));
		gm_assert(b[i].refs == fz_block_refs(m, page),
			  "block %#lx: %lu references, expected %lu", (unsigned long)page,
			  (unsigned long)b[i].refs, (unsigned long)fz_block_refs(m, page));
	}
	check_figures(z);
	check_machine(z);
}

void fz_check_op(struct fuzz *z, const struct fz_op *op, u64 i)
{
	if (i % WHOLE == WHOLE - 1) {
		fz_check_whole(z);
		return;
	}
	check_figures(z);
	if (!op->n)
		return;
	if (op->a)
		fz_check_attributes(z, op->a - 1);
	fz_check_attributes(z, op->a);
	fz_check_attributes(z, fz_op_end(op));
	if (op->code == FZ_PUNCH || op->code == FZ_PRIVATE || op->code == FZ_SHARED ||
	    op->code == FZ_REMOVE) {
		guest_look(z, op->a, op->a + 1);
		guest_look(z, fz_op_end(op) - 1, fz_op_end(op) + 1);
	}
}
