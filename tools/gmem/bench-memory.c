// SPDX-License-Identifier: GPL-2.0-only
/* Memory of one kind, and all that is done to it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "bench.h"

#define CYCLES	64		/* the mean of the middle half of them counts */
#define OFFSET	(5 * PAGE)	/* of the page that changes hands */
#define RANGE	(2 * MIB)

struct memory {
	struct bench *bench;
	const struct kind *kind;
	struct guest guest;
	struct gmem *g;
	int memfd;		/* -1 unless what is shared is beside */
	char *host;
	uint64_t size;
};

static int open_beside(struct memory *m)
{
	m->memfd = memfd_create("shared", MFD_CLOEXEC);
	if (m->memfd < 0 || ftruncate(m->memfd, m->size))
		return -errno;
	m->host = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED, m->memfd, 0);
	return m->host == MAP_FAILED ? -errno : 0;
}

static int open_in_place(struct memory *m)
{
	void *host;
	int err = gmem_map(m->g, 0, m->size, PROT_READ | PROT_WRITE, NULL, 0, &host);

	m->host = err ? MAP_FAILED : host;
	return err;
}

/* As 7.3 has it: who has given memory away gives it back to the host as well. */
static int give_beside(struct memory *m, uint64_t offset, uint64_t size, bool private)
{
	struct kvm_memory_attributes a = {
		.address = GUEST_GPA + offset, .size = size,
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	if (ioctl(m->guest.vm, KVM_SET_MEMORY_ATTRIBUTES, &a))
		return -errno;
	return fallocate(private ? m->memfd : gmem_fd(m->g),
			 FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, offset, size) ? -errno : 0;
}

static int give(struct memory *m, uint64_t offset, uint64_t size, bool private)
{
	if (m->kind->beside)
		return give_beside(m, offset, size, private);
	return gmem_convert(m->g, offset, size, private, NULL, NULL);
}

static void memory_close(struct memory *m)
{
	if (m->host != MAP_FAILED)
		munmap(m->host, m->size);
	if (m->memfd >= 0)
		close(m->memfd);
	gmem_close(m->g);
	guest_close(&m->guest);
}

static int prepare(struct memory *m)
{
	const struct gmem_spec spec = {
		m->kind->block, m->kind->source, m->kind->beside ? 0 : GMEM_MAPPABLE,
	};
	struct gmem_slot slot = { .slot = GUEST_SLOT, .gpa = GUEST_GPA, .size = m->size };
	int err;

	err = gmem_create(m->guest.vm, m->size, &spec, 1, NULL, &m->g);
	if (err)
		return err;
	err = m->kind->beside ? open_beside(m) : open_in_place(m);
	if (err)
		return err;
	slot.host = m->host;
	err = gmem_bind(m->g, m->guest.vm, &slot);
	/* A file that tracks is private at first. */
	return err || !m->kind->beside ? err : give(m, 0, m->size, true);
}

/* All of it is private, and nothing is there yet. */
static int memory_open(struct memory *m)
{
	int err = guest_open(m->bench->kvm_fd, &m->guest);

	if (err)
		return err;
	m->memfd = -1;
	m->host = MAP_FAILED;
	err = prepare(m);
	if (err)
		memory_close(m);
	return err;
}

static int step(struct bench *b, const char *what)
{
	progress_say(b->progress, "%s", what);
	return interrupted ? -EINTR : 0;
}

static int measure_untouched(struct memory *m, struct cost *cost)
{
	int err = step(m->bench, "untouched");

	meter_start(&m->bench->meter);
	err = err ? err : give(m, 0, m->size, false);
	err = err ? err : give(m, 0, m->size, true);
	*cost = meter_stop(&m->bench->meter);
	return err;
}

static int populated(uint64_t done, uint64_t size, void *arg)
{
	struct bench *b = arg;

	return step(b, "populate");
}

/* The kernel's allocator may give smaller blocks, which would be another kind. */
static int check_blocks(const struct memory *m)
{
	static const struct {
		uint64_t block;
		enum gmem_stat stat;
	} counts[] = {
		{ 2 * MIB, GMEM_STAT_BLOCKS_2M }, { GIB, GMEM_STAT_BLOCKS_1G },
	};
	struct gmem_stats stats;
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(counts); i++) {
		if (m->kind->block != counts[i].block)
			continue;
		err = gmem_stats(m->g, &stats);
		if (err)
			return err;
		if (stats.value[counts[i].stat] != m->size / m->kind->block)
			return -ENOMEM;
	}
	return 0;
}

static int measure_populate(struct memory *m, struct cost *cost)
{
	int err = step(m->bench, "populate");

	meter_start(&m->bench->meter);
	err = err ? err : gmem_populate(m->g, 0, m->size, populated, m->bench, NULL);
	*cost = meter_stop(&m->bench->meter);
	return err == -ECANCELED ? -EINTR : err ? err : check_blocks(m);
}

static int measure_touch(struct memory *m, struct cost *cost, uint64_t *faults)
{
	uint64_t before;
	int err = step(m->bench, "the guest writes");

	err = err ? err : guest_faults(&m->guest, &before);
	meter_start(&m->bench->meter);
	err = err ? err : guest_touch(&m->guest, 0, m->size);
	*cost = meter_stop(&m->bench->meter);
	err = err ? err : guest_faults(&m->guest, faults);
	if (!err)
		*faults -= before;
	return err;
}

/* To the host, which writes to each page, and back to the guest, which does. */
static int cycle(struct memory *m, uint64_t offset, uint64_t size, struct cost *cost)
{
	uint64_t i;
	int err;

	meter_start(&m->bench->meter);
	err = give(m, offset, size, false);
	for (i = 0; i < size && !err; i += PAGE)
		*(volatile uint32_t *)(m->host + offset + i) = i;
	err = err ? err : give(m, offset, size, true);
	err = err ? err : guest_touch(&m->guest, offset, size);
	*cost = meter_stop(&m->bench->meter);
	return err;
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static uint64_t middle(uint64_t value[CYCLES])
{
	uint64_t sum = 0;
	unsigned int i;

	qsort(value, CYCLES, sizeof(value[0]), by_value);
	for (i = CYCLES / 4; i < CYCLES * 3 / 4; i++)
		sum += value[i];
	return sum / (CYCLES / 2);
}

static int measure_cycles(struct memory *m, const char *what, uint64_t offset, uint64_t size,
			  struct cost *cost)
{
	uint64_t ns[CYCLES], instructions[CYCLES];
	struct cost one;
	unsigned int i;
	int err;

	for (i = 0; i < CYCLES; i++) {
		err = step(m->bench, what);
		err = err ? err : cycle(m, offset, size, &one);
		if (err)
			return err;
		ns[i] = one.ns;
		instructions[i] = one.instructions;
	}
	*cost = (struct cost) { middle(ns), middle(instructions) };
	return 0;
}

static int held(int fd, uint64_t *sum)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	*sum += st.st_blocks * 512ULL;
	return 0;
}

/* Of both files, with half of a range at the host. */
static int measure_held(struct memory *m, uint64_t *sum)
{
	int err = give(m, 0, RANGE / 2, false);

	if (err)
		return err;
	memset(m->host, 1, RANGE / 2);
	*sum = 0;
	err = held(gmem_fd(m->g), sum);
	return err || !m->kind->beside ? err : held(m->memfd, sum);
}

static int measure_punch(struct memory *m, struct cost *cost)
{
	int err = step(m->bench, "punch");

	meter_start(&m->bench->meter);
	err = err ? err : gmem_punch(m->g, 0, m->size, NULL);
	*cost = meter_stop(&m->bench->meter);
	return err;
}

static int measure(struct memory *m, struct result *r)
{
	int err = measure_untouched(m, &r->cost[MEASURE_UNTOUCHED]);

	err = err ? err : measure_populate(m, &r->cost[MEASURE_POPULATE]);
	err = err ? err : measure_touch(m, &r->cost[MEASURE_TOUCH], &r->faults);
	err = err ? err : cycle(m, OFFSET, PAGE, &r->cost[MEASURE_FIRST]);
	err = err ? err : measure_cycles(m, "a page there and back", OFFSET, PAGE,
					 &r->cost[MEASURE_PAGE]);
	err = err ? err : measure_cycles(m, "2M there and back", 0, RANGE,
					 &r->cost[MEASURE_RANGE]);
	err = err ? err : measure_held(m, &r->held);
	return err ? err : measure_punch(m, &r->cost[MEASURE_PUNCH]);
}

int bench_measure(struct bench *b, const struct kind *kind, uint64_t size, struct result *r)
{
	struct memory m = { .bench = b, .kind = kind, .size = size };
	int err = memory_open(&m);

	*r = (struct result) { .kind = kind, .size = size };
	if (err)
		return err;
	err = measure(&m, r);
	memory_close(&m);
	return err;
}
