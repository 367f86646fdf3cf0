// SPDX-License-Identifier: GPL-2.0-only
/* Programs of the fuzzer: from a seed, and as lines of text. */
#include "fuzz.h"

/* What a line of a script has behind the name, in this order. */
#define ARG_M	1
#define ARG_A	2
#define ARG_N	4
#define ARG_C	8

static const struct {
	const char *name;
	unsigned int args;
	unsigned int weight;
} ops[FZ_NR_CODES] = {
	[FZ_POPULATE]		= { "populate", ARG_A | ARG_N, 20 },
	[FZ_PUNCH]		= { "punch", ARG_A | ARG_N, 60 },
	[FZ_BAD_FALLOCATE]	= { "bad-fallocate", ARG_M, 8 },
	[FZ_PRIVATE]		= { "private", ARG_A | ARG_N, 80 },
	[FZ_SHARED]		= { "shared", ARG_A | ARG_N, 110 },
	[FZ_BAD_ATTRS]		= { "bad-attributes", ARG_M | ARG_C, 8 },
	[FZ_GET]		= { "get", ARG_A, 20 },
	[FZ_VM_ATTRS]		= { "vm-attributes", ARG_M | ARG_A | ARG_N, 30 },
	[FZ_MAP]		= { "map", ARG_M | ARG_A | ARG_N | ARG_C, 16 },
	[FZ_UNMAP]		= { "unmap", ARG_M | ARG_A | ARG_N, 8 },
	[FZ_PROTECT]		= { "protect", ARG_M | ARG_A | ARG_N | ARG_C, 15 },
	[FZ_REMAP]		= { "remap", ARG_M | ARG_A | ARG_N | ARG_C, 5 },
	[FZ_DONTNEED]		= { "dontneed", ARG_M | ARG_A | ARG_N | ARG_C, 15 },
	[FZ_REMOVE]		= { "remove", ARG_M | ARG_A | ARG_N, 12 },
	[FZ_FAULT_IN]		= { "fault-in", ARG_M | ARG_A | ARG_N | ARG_C, 15 },
	[FZ_LOCK]		= { "lock", ARG_M | ARG_A | ARG_N | ARG_C, 14 },
	[FZ_UNLOCK]		= { "unlock", ARG_M | ARG_A | ARG_N, 16 },
	[FZ_READ]		= { "read", ARG_M | ARG_A | ARG_N, 100 },
	[FZ_WRITE]		= { "write", ARG_M | ARG_A | ARG_N | ARG_C, 120 },
	[FZ_COPY_OUT]		= { "copy-out", ARG_M | ARG_A, 15 },
	[FZ_COPY_IN]		= { "copy-in", ARG_M | ARG_A | ARG_C, 15 },
	[FZ_PEEK]		= { "peek", ARG_M | ARG_A, 15 },
	[FZ_POKE]		= { "poke", ARG_M | ARG_A | ARG_C, 15 },
	[FZ_GUEST_READ]		= { "guest-read", ARG_A | ARG_N, 60 },
	[FZ_GUEST_WRITE]	= { "guest-write", ARG_A | ARG_N | ARG_C, 100 },
	[FZ_PREFAULT]		= { "prefault", ARG_A | ARG_N, 15 },
	[FZ_HOLD]		= { "hold", ARG_M | ARG_A | ARG_C, 40 },
	[FZ_RELEASE]		= { "release", ARG_M, 30 },
	[FZ_DEVICE_READ]	= { "device-read", ARG_M, 15 },
	[FZ_DEVICE_WRITE]	= { "device-write", ARG_M | ARG_C, 20 },
	[FZ_FORK]		= { "fork", 0, 3 },
	[FZ_CHILD_READ]		= { "child-read", ARG_M | ARG_A, 30 },
	[FZ_CHILD_WRITE]	= { "child-write", ARG_M | ARG_A | ARG_C, 30 },
	[FZ_REAP]		= { "reap", 0, 2 },
	[FZ_UNBIND]		= { "unbind", ARG_M, 5 },
	[FZ_BIND]		= { "bind", ARG_M, 12 },
	[FZ_CREATE]		= { "create", ARG_N | ARG_C, 8 },
};

static u64 below(u64 *state, u64 max)
{
	return gm_rand(state) % max;
}

u64 fz_file_pages(const struct fz_config *cfg)
{
	return cfg->blocks * gm_sources[cfg->source].block / GM_PAGE;
}

/*
 * A range of a file. Most lie in a few places, so that they meet each other:
 * the middle, which is a block boundary if there is one, and both ends.
 */
static void pick_range(const struct fz_config *cfg, u64 *state, u64 *a, u64 *n)
{
	const u64 pages = fz_file_pages(cfg), block = gm_sources[cfg->source].block / GM_PAGE;
	const u64 hot[] = { 0, pages / 2 - 96, pages / 2, pages - 192 };
	const bool giant = block > FZ_CHUNK;
	u64 kind = below(state, giant ? 13 : 16);

	/* To zero a gigabyte takes as long as a thousand operations. */
	if (kind == 12 && giant && !below(state, 24))
		kind = 13 + below(state, 3);

	*a = hot[below(state, ARRAY_SIZE(hot))] + below(state, 192);
	*n = 1 + below(state, 16);
	if (kind < 6)
		return;
	if (kind < 9) {
		*n = 1;
	} else if (kind < 11) {
		*n = 1 + below(state, 300);
	} else if (kind < 13) {
		/* What the kernel sums up: 64 pages, and 2 MiB. */
		u64 unit = kind == 11 ? FZ_AROUND : FZ_CHUNK;

		*a = *a / unit * unit;
		*n = unit * (1 + below(state, 2));
	} else if (kind == 13) {
		*a = *a / block * block;
		*n = block * (1 + below(state, 2));
	} else if (kind == 14) {
		/* Around a boundary. */
		u64 left = 1 + below(state, 20);

		*a = (*a / FZ_CHUNK + 1) * FZ_CHUNK - left;
		*n = left + 1 + below(state, 20);
	} else {
		*a = below(state, pages);
		*n = 1 + below(state, pages - *a);
	}
}

static u64 clamp_to(u64 a, u64 n, u64 max)
{
	return a + n > max ? max - a : n;
}

static u64 random_flags(u64 *state)
{
	static const u64 sizes[] = { 0, 0, GM_HUGE_2M, GM_HUGE_2M, GM_HUGE_1G,
				     22ULL << GUEST_MEMFD_HUGE_SHIFT };
	u64 flags = below(state, 8);

	if (below(state, 2))
		flags |= GM_HUGETLB;
	if (!(flags & GM_HUGETLB) || !below(state, 8))
		flags |= below(state, 2) ? GM_HUGEPAGE : 0;
	flags |= sizes[below(state, ARRAY_SIZE(sizes))];
	if (!below(state, 6))
		flags |= 1ULL << below(state, 64);
	return flags;
}

static u64 random_size(u64 *state)
{
	static const u64 sizes[] = { GM_PAGE, GM_2M, 2 * GM_2M, 3 * GM_2M, GM_1G, 2 * GM_1G,
				     GM_2M + GM_PAGE, 1024 * GM_1G, 0, 1, -GM_PAGE };

	return sizes[below(state, ARRAY_SIZE(sizes))];
}

static void fill_op(struct fz_program *p, struct fz_op *op, u64 *state)
{
	const u64 pages = fz_file_pages(p->cfg);
	/* Never 0, which stands for zeroes. */
	const u32 content = 1 + below(state, 0xffffff);

	pick_range(p->cfg, state, &op->a, &op->n);
	op->c = content;
	switch (op->code) {
	case FZ_POPULATE:
	case FZ_PUNCH:
	case FZ_PRIVATE:
	case FZ_SHARED:
	case FZ_PREFAULT:
		if (below(state, 16))
			op->n = clamp_to(op->a, op->n, pages);
		break;
	case FZ_BAD_FALLOCATE:
	case FZ_BAD_ATTRS:
		op->m = below(state, 256);
		break;
	case FZ_VM_ATTRS:
		op->m = below(state, 2);
		op->n = clamp_to(op->a, op->n, pages);
		break;
	case FZ_MAP:
		op->m = below(state, FZ_MAPS);
		op->n = below(state, 4) ? FZ_MAP_PAGES : 1 + below(state, FZ_MAP_PAGES);
		/* With all of the file in view if that is possible. */
		if (pages > FZ_MAP_PAGES)
			op->a -= min_t(u64, op->a, below(state, FZ_CHUNK));
		else
			op->a = below(state, 4) ? 0 : below(state, pages);
		if (below(state, 8))
			op->n = clamp_to(op->a, op->n, pages);
		/* Where it lies in a page table of the host, and its protection. */
		op->c = below(state, 2) ? 0 : below(state, FZ_CHUNK) << 1;
		op->c |= !below(state, 5);
		break;
	case FZ_UNMAP:
	case FZ_PROTECT:
	case FZ_REMAP:
	case FZ_DONTNEED:
	case FZ_REMOVE:
	case FZ_FAULT_IN:
	case FZ_LOCK:
	case FZ_UNLOCK:
		op->m = below(state, FZ_MAPS);
		op->c %= FZ_CHUNK;
		if (op->code == FZ_FAULT_IN || op->code == FZ_LOCK)
			op->n = 1 + below(state, 100);
		break;
	case FZ_READ:
	case FZ_WRITE:
		op->m = below(state, FZ_MAPS);
		op->n = 1 + below(state, 4);
		break;
	case FZ_GUEST_READ:
	case FZ_GUEST_WRITE:
		op->n = 1 + below(state, 6);
		break;
	case FZ_COPY_OUT:
	case FZ_COPY_IN:
	case FZ_CHILD_READ:
	case FZ_CHILD_WRITE:
		op->m = below(state, FZ_MAPS);
		break;
	case FZ_PEEK:
	case FZ_POKE:
		/* Of this process, then of the child. */
		op->m = below(state, FZ_MMS * FZ_MAPS);
		break;
	case FZ_HOLD:
		op->m = below(state, FZ_MAPS);
		op->c = below(state, FZ_HOLDERS * FZ_HOLDS);
		break;
	case FZ_RELEASE:
	case FZ_DEVICE_READ:
	case FZ_DEVICE_WRITE:
		op->m = below(state, FZ_HOLDERS);
		break;
	case FZ_UNBIND:
	case FZ_BIND:
		op->m = below(state, FZ_SLOTS);
		break;
	case FZ_CREATE:
		op->n = random_size(state);
		op->c = random_flags(state);
		break;
	}
}

/* So that scripts read back are equal. */
static void drop_unused(struct fz_op *op)
{
	unsigned int args = ops[op->code].args;

	op->m = args & ARG_M ? op->m : 0;
	op->a = args & ARG_A ? op->a : 0;
	op->n = args & ARG_N ? op->n : 0;
	op->c = args & ARG_C ? op->c : 0;
}

void fz_generate(struct fz_program *p, const struct fz_config *cfg, u64 seed, u64 nr)
{
	u64 state = seed, total = 0, i, pick;

	p->cfg = cfg;
	p->setup = gm_rand(&state) & FZ_SETUP_MASK;
	p->nr = nr;
	p->op = calloc(nr, sizeof(*p->op));
	gm_assert(p->op, "no memory");
	for (i = 0; i < FZ_NR_CODES; i++)
		total += ops[i].weight;
	for (i = 0; i < nr; i++) {
		struct fz_op *op = &p->op[i];

		pick = below(&state, total);
		for (op->code = 0; pick >= ops[op->code].weight; op->code++)
			pick -= ops[op->code].weight;
		/* Most of what the host does needs mappings. */
		if (i < FZ_MAPS)
			op->code = FZ_MAP;
		fill_op(p, op, &state);
		drop_unused(op);
	}
}

const char *fz_op_name(const struct fz_op *op)
{
	return ops[op->code].name;
}

void fz_print_op(const struct fz_op *op, char *buf, size_t size)
{
	unsigned int args = ops[op->code].args;
	const u64 value[] = { op->m, op->a, op->n, op->c };
	unsigned int i;
	int len;

	len = snprintf(buf, size, "%s", ops[op->code].name);
	for (i = 0; i < ARRAY_SIZE(value); i++)
		if (args & 1 << i)
			len += snprintf(buf + len, size - len, " %#lx",
					(unsigned long)value[i]);
}

bool fz_parse_op(const char *line, struct fz_op *op)
{
	unsigned int i, args;
	u64 value[4] = { 0 };
	char name[32], *end;

	if (sscanf(line, "%31s", name) != 1)
		return false;
	for (i = 0; i < FZ_NR_CODES && strcmp(ops[i].name, name); i++)
		;
	if (i == FZ_NR_CODES)
		return false;
	op->code = i;
	args = ops[i].args;
	line = strstr(line, name) + strlen(name);
	for (i = 0; i < ARRAY_SIZE(value); i++) {
		if (!(args & 1 << i))
			continue;
		value[i] = strtoull(line, &end, 0);
		if (end == line)
			return false;
		line = end;
	}
	op->m = value[0];
	op->a = value[1];
	op->n = value[2];
	op->c = value[3];
	return true;
}
