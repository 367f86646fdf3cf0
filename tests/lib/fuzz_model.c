// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the ABI says about a file, in plain arrays. Nothing here asks the kernel
 * but for one thing, whether struct pages of hugetlb are optimized away.
 *
 * Arrays of a gigabyte are long to look through under emulation: pages are also
 * summed up by chunk, and a chunk that is all of one kind is skipped.
 */
#include "fuzz.h"

static void *zalloc(u64 nr, size_t size)
{
	void *p = calloc(nr, size);

	gm_assert(p, "no memory");
	return p;
}

static u64 chunks(const struct fz_model *m)
{
	return (m->pages + FZ_CHUNK - 1) / FZ_CHUNK;
}

void fz_model_init(struct fz_model *m, const struct fz_config *cfg, unsigned int setup)
{
	const struct gm_source *src = &gm_sources[cfg->source];
	bool swp = cfg->type == GM_SWP, shared;
	u64 i;

	memset(m, 0, sizeof(*m));
	m->cfg = cfg;
	m->per_block = src->block / GM_PAGE;
	m->pages = fz_file_pages(cfg);
	m->track = cfg->mmap && swp;
	m->second = !cfg->mmap && swp;
	m->hvo = src->flags & GM_HUGETLB &&
		 gm_read_long("/proc/sys/vm/hugetlb_optimize_vmemmap") == 1;
	m->private = zalloc(m->pages, 1);
	m->content = zalloc(m->pages, sizeof(*m->content));
	m->live = zalloc(m->pages, 1);
	m->present = zalloc(m->pages / m->per_block, 1);
	m->real = zalloc(m->pages / FZ_AROUND + 1, 1);
	m->vm_private = zalloc(m->pages, 1);
	m->other = zalloc(m->pages, sizeof(*m->other));
	m->in_private = zalloc(chunks(m), sizeof(*m->in_private));
	m->in_live = zalloc(chunks(m), sizeof(*m->in_live));
	m->in_content = zalloc(chunks(m), sizeof(*m->in_content));

	/* Without MMAP on a VM with private memory the flag changes nothing. */
	shared = setup & FZ_INIT_SHARED && (cfg->mmap || !swp);
	if (!shared) {
		memset(m->private, 1, m->pages);
		for (i = 0; i < m->pages; i++)
			m->in_private[i / FZ_CHUNK]++;
	}
	memset(m->vm_private, 1, m->pages);
	for (i = 0; i < FZ_HOLDERS; i++)
		m->held[i] = FZ_NOT_HELD;
	m->mm[FZ_SELF].used = true;
}

void fz_model_free(struct fz_model *m)
{
	free(m->private);
	free(m->content);
	free(m->live);
	free(m->present);
	free(m->real);
	free(m->vm_private);
	free(m->other);
	free(m->in_private);
	free(m->in_live);
	free(m->in_content);
}

void fz_set_content(struct fz_model *m, u64 page, u32 content)
{
	m->in_content[page / FZ_CHUNK] += !!content - !!m->content[page];
	m->content[page] = content;
}

static void set_live(struct fz_model *m, u64 page, bool live)
{
	m->in_live[page / FZ_CHUNK] += live - m->live[page];
	m->nr_live += live - m->live[page];
	m->live[page] = live;
}

bool fz_is_present(const struct fz_model *m, u64 page)
{
	return m->present[page / m->per_block];
}

/* Blocks are pages, or chunks and more. */
static u64 private_in(const struct fz_model *m, u64 block)
{
	u64 i, nr = 0;

	if (m->per_block == 1)
		return m->private[block];
	for (i = 0; i < m->per_block / FZ_CHUNK; i++)
		nr += m->in_private[block * m->per_block / FZ_CHUNK + i];
	return nr;
}

void fz_fill_block(struct fz_model *m, u64 page)
{
	if (fz_is_present(m, page))
		return;
	m->present[page / m->per_block] = 1;
	m->nr_present++;
	m->nr_private += private_in(m, page / m->per_block);
}

void fz_populate(struct fz_model *m, u64 a, u64 end)
{
	for (; a < end; a = (a / m->per_block + 1) * m->per_block)
		fz_fill_block(m, a);
}

/* The next page, from one on, of a chunk that has any. */
static u64 next_in(const u16 *in, u64 page, u64 end)
{
	while (page < end && !in[page / FZ_CHUNK])
		page = (page | (FZ_CHUNK - 1)) + 1;
	return page;
}

#define for_each_in(page, a, end, in)				\
	for (page = next_in(in, a, end); page < (end);		\
	     page = next_in(in, page + 1, end))

static void zap_mm(struct fz_mm *mm, u64 a, u64 end)
{
	u64 from, to;
	unsigned int i;

	for (i = 0; i < FZ_MAPS; i++) {
		struct fz_map *map = &mm->map[i];

		from = max_t(u64, a, map->first);
		to = min_t(u64, end, map->first + map->nr);
		if (mm->used && map->addr && from < to)
			memset(map->pte + from - map->first, 0, to - from);
	}
}

static void zap(struct fz_model *m, u64 a, u64 end)
{
	unsigned int i;

	for (i = 0; i < FZ_MMS; i++)
		zap_mm(&m->mm[i], a, end);
}

static bool is_held(const struct fz_model *m, u64 a, u64 end, u64 *busy)
{
	bool found = false;
	unsigned int i;

	for (i = 0; i < FZ_HOLDERS; i++) {
		if (m->held[i] < a || m->held[i] >= end)
			continue;
		if (!found || m->held[i] < *busy)
			*busy = m->held[i];
		found = true;
	}
	return found;
}

static void withdraw(struct fz_model *m, u64 a, u64 end)
{
	u64 page;

	for_each_in(page, a, end, m->in_live)
		set_live(m, page, false);
}

static void free_block(struct fz_model *m, u64 block)
{
	u64 i, first = block * m->per_block / FZ_AROUND;

	m->present[block] = 0;
	m->nr_present--;
	m->nr_private -= private_in(m, block);
	if (!m->hvo)
		return;
	for (i = first; i < first + m->per_block / FZ_AROUND; i++) {
		m->nr_real -= m->real[i];
		m->real[i] = 0;
	}
}

static bool any_present(const struct fz_model *m, u64 a, u64 end)
{
	u64 block;

	for (block = a / m->per_block; block <= (end - 1) / m->per_block; block++)
		if (m->present[block])
			return true;
	return false;
}

int fz_punch(struct fz_model *m, u64 a, u64 end, u64 *busy)
{
	u64 block, page;

	end = min_t(u64, end, m->pages);
	if (a >= end || !any_present(m, a, end))
		return 0;

	/* Mappings go first, and do not come back when a holder is found. */
	zap(m, a, end);
	if (is_held(m, a, end, busy)) {
		m->eagain++;
		return -EAGAIN;
	}
	withdraw(m, a, end);
	for_each_in(page, a, end, m->in_content)
		fz_set_content(m, page, 0);
	for (block = (a + m->per_block - 1) / m->per_block;
	     (block + 1) * m->per_block <= end; block++) {
		if (m->present[block])
			free_block(m, block);
	}
	return 0;
}

static bool is_uniform(const struct fz_model *m, u64 a, u64 end, bool private)
{
	u64 page = a;

	while (page < end) {
		u16 nr = m->in_private[page / FZ_CHUNK];

		if (nr == (private ? FZ_CHUNK : 0))
			page |= FZ_CHUNK - 1;
		else if (m->private[page] != private)
			return false;
		page++;
	}
	return true;
}

int fz_convert(struct fz_model *m, u64 a, u64 end, bool private, u64 *busy)
{
	u64 page;

	if (is_uniform(m, a, end, private))
		return 0;
	if (private) {
		zap(m, a, end);
		if (is_held(m, a, end, busy)) {
			m->eagain++;
			return -EAGAIN;
		}
		withdraw(m, a, end);
	}
	for (page = a; page < end; page++) {
		m->in_private[page / FZ_CHUNK] += private - m->private[page];
		if (fz_is_present(m, page))
			m->nr_private += private - m->private[page];
		m->private[page] = private;
	}
	m->conversions++;
	return 0;
}

static void publish(struct fz_model *m, struct fz_map *map, u64 rel)
{
	u64 page = map->first + rel;

	map->pte[rel] = 1;
	if (m->live[page])
		return;
	set_live(m, page, true);
	/* The first vmemmap page of a block is always its own. */
	if (m->hvo && page % m->per_block >= FZ_AROUND && !m->real[page / FZ_AROUND]) {
		m->real[page / FZ_AROUND] = 1;
		m->nr_real++;
	}
}

void fz_vma_around(const struct fz_map *map, u64 page, u64 *start, u64 *end)
{
	for (*start = page; *start && !map->begins[*start]; )
		(*start)--;
	for (*end = page + 1; *end < map->nr && !map->begins[*end]; )
		(*end)++;
}

/*
 * The neighbours that come along: in the same VMA, page table and 64 pages of
 * the file, present, and shared without a private page in between.
 */
static void around(struct fz_model *m, struct fz_map *map, u64 rel)
{
	u64 page = map->first + rel, group = page / FZ_AROUND * FZ_AROUND;
	u64 table = ((u64)map->addr + rel * GM_PAGE) % GM_2M / GM_PAGE;
	u64 start, end, i;

	fz_vma_around(map, rel, &start, &end);
	if (table < rel - start)
		start = rel - table;
	end = min_t(u64, end, rel - table + FZ_CHUNK);
	if (page - group < rel - start)
		start = rel - (page - group);
	end = min_t(u64, end, rel + (group + FZ_AROUND - page));
	end = min_t(u64, end, rel + (m->pages - page));

	for (i = rel; i > start && !m->private[map->first + i - 1]; i--)
		if (fz_is_present(m, map->first + i - 1))
			publish(m, map, i - 1);
	for (i = rel + 1; i < end && !m->private[map->first + i]; i++)
		if (fz_is_present(m, map->first + i))
			publish(m, map, i);
}

int fz_touch(struct fz_model *m, struct fz_mm *mm, unsigned int nr, u64 rel, bool write)
{
	struct fz_map *map = &mm->map[nr];
	u64 page = map->first + rel;

	if (map->prot[rel] == FZ_NONE || (write && map->prot[rel] == FZ_RO))
		return SIGSEGV;
	if (map->pte[rel])
		return 0;
	if (page >= m->pages || m->private[page])
		return SIGBUS;
	fz_fill_block(m, page);
	publish(m, map, rel);
	around(m, map, rel);
	return 0;
}

/* Where does the run of one attribute end that @page is in? */
static u64 private_run(const struct fz_model *m, u64 page)
{
	bool private = m->private[page];
	u64 end = page;

	while (end < m->pages) {
		if (m->in_private[end / FZ_CHUNK] == (private ? FZ_CHUNK : 0))
			end |= FZ_CHUNK - 1;
		else if (m->private[end] != private)
			break;
		end++;
	}
	return min_t(u64, end, m->pages);
}

struct kvm_memory_attributes2 fz_query(const struct fz_model *m, u64 page)
{
	u64 block = page / m->per_block, end = private_run(m, page);
	unsigned int order = __builtin_ctzll(m->per_block);
	struct kvm_memory_attributes2 a = {
		.offset = page * GM_PAGE,
		.attributes = m->private[page] ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	if (m->present[block])
		a.flags = KVM_MEMORY_ATTRIBUTES2_POPULATED |
			  (u64)order << KVM_MEMORY_ATTRIBUTES2_ORDER_SHIFT;
	while (block * m->per_block < end &&
	       m->present[block] == m->present[page / m->per_block])
		block++;
	a.size = (min_t(u64, end, block * m->per_block) - page) * GM_PAGE;
	return a;
}

struct fz_slot *fz_slot_of(struct fz_model *m, u64 page)
{
	unsigned int i;

	for (i = 0; i < m->nr_slots; i++) {
		struct fz_slot *s = &m->slot[i];

		if (s->bound && page >= s->first && page < s->first + s->nr)
			return s;
	}
	return NULL;
}

u64 fz_block_live(const struct fz_model *m, u64 first)
{
	u64 page, nr = 0;

	for_each_in(page, first, first + m->per_block, m->in_live)
		nr += m->live[page];
	return nr;
}

/* Of the kernel's GUP_PIN_COUNTING_BIAS: a pin of a single page. */
#define PIN_REFS	1024

u64 fz_block_refs(const struct fz_model *m, u64 first)
{
	u64 refs = fz_block_live(m, first), end = first + m->per_block, from, to;
	unsigned int i, j;

	for (i = 0; i < FZ_HOLDERS; i++)
		if (m->held[i] >= first && m->held[i] < end)
			refs += m->hold[i] == FZ_PIPE ? 1 : PIN_REFS;
	for (i = 0; i < FZ_MMS; i++) {
		for (j = 0; j < FZ_MAPS; j++) {
			const struct fz_map *map = &m->mm[i].map[j];

			if (!m->mm[i].used || !map->addr)
				continue;
			from = max_t(u64, first, map->first);
			to = min_t(u64, end, map->first + map->nr);
			for (; from < to; from++)
				refs += map->pte[from - map->first];
		}
	}
	return refs;
}

/* What stays behind if the file is closed now: blocks that somebody holds. */
u64 fz_orphans(const struct fz_model *m)
{
	u64 nr = 0;
	unsigned int i, j;

	for (i = 0; i < FZ_HOLDERS; i++) {
		if (m->held[i] == FZ_NOT_HELD)
			continue;
		for (j = 0; j < i; j++)
			if (m->held[j] != FZ_NOT_HELD &&
			    m->held[j] / m->per_block == m->held[i] / m->per_block)
				break;
		nr += j == i;
	}
	return nr;
}
