/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What verb-bench.c measures with: bench-guest.c is a guest that writes to its memory,
 * bench-memory.c does to that memory what costs something, bench-meter.c counts.
 */
#ifndef BENCH_H
#define BENCH_H

#include "tool.h"

/* bench-meter.c: time, and instructions where the processor counts them for us */
struct meter {
	int perf_fd;		/* -1: instructions are not counted */
	uint64_t ns, instructions;
};

struct cost {
	uint64_t ns;
	uint64_t instructions;
};

/* 0, or -errno of what kept it from counting instructions; time it has always. */
int meter_open(struct meter *m);
void meter_close(struct meter *m);
void meter_start(struct meter *m);
struct cost meter_stop(struct meter *m);

/* bench-guest.c */
#define GUEST_GPA	GIB		/* of the memory that it writes to */
#define GUEST_SLOT	1
#define GUEST_MAX	(2 * GIB)	/* it has 32 bits, and devices are below 4G */

struct guest {
	int vm, vcpu, stats;
	size_t run_size;
	struct kvm_run *run;
	void *code;
};

/* Software-protected, without memory. 0 or -errno: -EINVAL, this KVM has no such VM. */
int guest_open(int kvm_fd, struct guest *g);
void guest_close(struct guest *g);
/* It writes to each page of its memory there. 0 or -errno; -EINTR after a signal. */
int guest_touch(struct guest *g, uint64_t offset, uint64_t size);
/* Faults that KVM handled so far. 0 or -errno. */
int guest_faults(const struct guest *g, uint64_t *faults);

/* bench-memory.c */
struct kind {
	const char *name;
	const char *title;
	uint64_t block;
	enum gmem_source source;
	bool beside;		/* as 7.3 has it: what is shared is in a memfd beside the file */
};

enum measure {
	MEASURE_UNTOUCHED,
	MEASURE_POPULATE,
	MEASURE_TOUCH,
	MEASURE_FIRST,
	MEASURE_PAGE,
	MEASURE_RANGE,
	MEASURE_PUNCH,
	MEASURE_NR,
};

struct result {
	const struct kind *kind;
	uint64_t size;
	struct cost cost[MEASURE_NR];
	uint64_t faults;	/* of MEASURE_TOUCH */
	uint64_t held;		/* with 1M of it shared */
};

struct bench {
	int kvm_fd;
	struct meter meter;
	struct progress *progress;
};

/*
 * 0 or -errno: -EINVAL, the kernel does not have this kind; -ENOMEM, no memory, or not
 * in blocks of that size; -EINTR.
 */
int bench_measure(struct bench *b, const struct kind *kind, uint64_t size, struct result *r);

#endif /* BENCH_H */
