// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/perf_event.h>

#include "bench.h"

/* Of this thread: its own, the kernel's for it, and its guest's. */
int meter_open(struct meter *m)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_HW_INSTRUCTIONS,
	};

	memset(m, 0, sizeof(*m));
	m->perf_fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	return m->perf_fd < 0 ? -errno : 0;
}

void meter_close(struct meter *m)
{
	if (m->perf_fd >= 0)
		close(m->perf_fd);
}

static uint64_t instructions(const struct meter *m)
{
	uint64_t value;

	if (m->perf_fd < 0 || read(m->perf_fd, &value, sizeof(value)) != sizeof(value))
		return 0;
	return value;
}

static uint64_t nanoseconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_RAW, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

void meter_start(struct meter *m)
{
	m->instructions = instructions(m);
	m->ns = nanoseconds();
}

struct cost meter_stop(struct meter *m)
{
	uint64_t ns = nanoseconds();

	return (struct cost) { ns - m->ns, instructions(m) - m->instructions };
}
