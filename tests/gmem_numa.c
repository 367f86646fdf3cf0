// SPDX-License-Identifier: GPL-2.0-only
/* Two nodes: each block comes from where mbind() or the cpuset wants it. */
#include <sys/stat.h>

#include "gmem_test.h"
#include "numaif.h"

#define SEED	31
#define NODES	2

static void need_nodes(void)
{
	if (get_max_numa_node() < 1)
		gm_skip("needs two NUMA nodes");
}

/* The node of a page frame, by the spans of the zones. */
static int node_of(u64 pfn)
{
	FILE *in = fopen("/proc/zoneinfo", "r");
	unsigned long spanned = 0, start;
	int node = -1, found = -1;
	char line[256];

	gm_assert(in, "/proc/zoneinfo");
	while (fgets(line, sizeof(line), in)) {
		if (sscanf(line, "Node %d, zone", &node) == 1 ||
		    sscanf(line, " spanned %lu", &spanned) == 1)
			continue;
		if (sscanf(line, " start_pfn: %lu", &start) == 1 &&
		    pfn >= start && pfn < start + spanned)
			found = node;
	}
	fclose(in);
	gm_assert(found >= 0, "no node for %#lx", (unsigned long)pfn);
	return found;
}

static int node_at(struct gm_file *f, u64 off)
{
	return node_of(gm_pfn_at(f, off));
}

/* What fdinfo says of a node; no line is nothing. */
static u64 held_on(struct gm_file *f, int node)
{
	char path[64], key[32];
	long held;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", f->fd);
	snprintf(key, sizeof(key), "gmem-node%d", node);
	held = gm_proc_value(path, key);
	gm_assert(held, "node %d is shown without memory", node);
	return held < 0 ? 0 : held;
}

static void bind_range(void *mem, u64 len, int mode, unsigned long mask)
{
	gm_assert_ok(mbind(mem, len, mode, mask ? &mask : NULL, mask ? 8 : 0, 0));
}

/* Give the pool so many pages on each node. */
static void node_pools(u64 size, long n0, long n1)
{
	const long want[NODES] = { n0, n1 };
	char path[160];
	int i;

	for (i = 0; i < NODES; i++) {
		snprintf(path, sizeof(path),
			 "/sys/devices/system/node/node%d/hugepages/hugepages-%lukB/nr_hugepages",
			 i, (unsigned long)(size >> 10));
		gm_assert(gm_write(path, "%ld", want[i]), "%s: %s", path, strerror(errno));
		gm_assert_eq(gm_read_long("%s", path), want[i]);
	}
}

/* Blocks in turn on 1, 0, 1, 0, then the other way round after a punch. */
static void per_block(unsigned int source, u64 share)
{
	const struct gm_source *src = &gm_sources[source];
	const unsigned int blocks = 6;
	struct gm_file f;
	struct gm_vm *g;
	unsigned int i, turn;
	char *mem;

	gm_need_source(src, blocks * src->block);
	need_nodes();
	if (!gm_have_gmem())
		gm_skip("this kernel does not show its blocks");
	if (src->flags & GM_HUGETLB)
		node_pools(GM_2M, 8, 8);
	g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	f = gm_create_from(g->vm, src, blocks * src->block, share);
	gm_attach(g, &f, GM_GPA);
	mem = gm_mmap(&f, 0, f.size);
	for (turn = 0; turn < 2; turn++) {
		for (i = 0; i < blocks; i++)
			bind_range(mem + i * src->block, src->block, MPOL_BIND,
				   1UL << ((i + turn + 1) % 2));
		/* By the guest, by fallocate and, if it may, by the host. */
		gm_guest_touch(g, 0, 2 * src->block, GM_PAGE, SEED);
		gm_assert_ok(gm_populate(&f, 2 * src->block, 2 * src->block));
		if (share == GM_SHARED) {
			mem[4 * src->block] = 1;
			mem[5 * src->block] = 1;
		} else {
			gm_guest_touch(g, 4 * src->block, 2 * src->block, GM_PAGE, SEED);
		}
		for (i = 0; i < blocks; i++)
			gm_assert_eq(node_at(&f, i * src->block), (i + turn + 1) % 2);
		gm_assert_eq(held_on(&f, 0), blocks / 2 * src->block);
		gm_assert_eq(held_on(&f, 1), blocks / 2 * src->block);
		gm_assert_ok(gm_punch(&f, (1 - turn) * src->block, src->block));
		gm_assert_eq(held_on(&f, 0), (blocks / 2 - 1) * src->block);
		gm_assert_eq(held_on(&f, 1), blocks / 2 * src->block);
		gm_assert_ok(gm_punch(&f, 0, f.size));
		gm_assert_eq(held_on(&f, 0), 0);
		gm_assert_eq(held_on(&f, 1), 0);
	}
	gm_assert_ok(munmap(mem, f.size));
	gm_close(&f);
	gm_vm_free(g);
	if (src->flags & GM_HUGETLB)
		node_pools(GM_2M, 0, 0);
}

static void interleave(unsigned int source)
{
	const struct gm_source *src = &gm_sources[source];
	struct kvm_vm *vm = vm_create_barebones();
	unsigned int i, on[NODES] = { 0 };
	struct gm_file f;
	char *mem;

	gm_need_source(src, 8 * src->block);
	need_nodes();
	if (src->flags & GM_HUGETLB)
		node_pools(GM_2M, 8, 8);
	f = gm_create_from(vm, src, 8 * src->block, GM_SHARED);
	mem = gm_mmap(&f, 0, f.size);
	bind_range(mem, f.size, MPOL_INTERLEAVE, 3);
	gm_assert_ok(gm_populate(&f, 0, f.size));
	for (i = 0; i < 8; i++) {
		on[node_at(&f, i * src->block)]++;
		/* In turn by block, not by page. */
		if (i)
			gm_assert(node_at(&f, i * src->block) !=
				  node_at(&f, (i - 1) * src->block), "block %u", i);
	}
	gm_assert_eq(on[0], 4);
	gm_assert_ok(munmap(mem, f.size));
	gm_close(&f);
	kvm_vm_free(vm);
	if (src->flags & GM_HUGETLB)
		node_pools(GM_2M, 0, 0);
}

/* The reservation is of the machine; a node without pages fails the policy. */
static void wrong_node(void)
{
	const struct gm_source *src = &gm_sources[GM_SRC_HTLB_2M];
	struct gm_file f;
	struct gm_vm *g;
	char *mem;
	int err;

	gm_need_source(src, 0);
	need_nodes();
	node_pools(GM_2M, 8, 0);
	g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	f = gm_create_from(g->vm, src, 4 * GM_2M, GM_SHARED);
	gm_attach(g, &f, GM_GPA);
	mem = gm_mmap(&f, 0, f.size);
	bind_range(mem, f.size, MPOL_BIND, 2);
	gm_assert_errno(gm_populate(&f, 0, f.size), ENOMEM);
	err = gm_try(g, 0, GM_TOUCH, GM_GPA, 0, GM_2M, GM_PAGE, SEED);
	gm_assert_eq(err, ENOMEM);
	gm_assert_eq(g->vcpu[0]->run->exit_reason, KVM_EXIT_MEMORY_FAULT);
	gm_reset(g, 0);
	gm_assert(gm_sigbus(mem, true), "host touch went through");
	gm_assert_eq(gm_held(&f), 0);
	gm_assert_eq(gm_pool(GM_2M, "resv"), 4);
	gm_assert_eq(gm_pool(GM_2M, "free"), 8);
	/* Preferred is not required. */
	bind_range(mem, f.size, MPOL_PREFERRED, 2);
	gm_assert_ok(gm_populate(&f, 0, f.size));
	gm_assert_eq(node_at(&f, 0), 0);
	gm_assert_ok(munmap(mem, f.size));
	gm_close(&f);
	gm_vm_free(g);
	node_pools(GM_2M, 0, 0);
}

/* Without a policy the cpuset decides, for every source and also for 1 GiB. */
static void in_cpuset(unsigned int source)
{
	const struct gm_source *src = &gm_sources[source];
	struct kvm_vm *vm = vm_create_barebones();
	char path[128];
	struct gm_file f;
	int node, cap;

	gm_need_source(src, 0);
	need_nodes();
	cap = src->block == GM_1G ? 1 : 4;
	if (src->block == GM_1G && gm_meminfo("MemTotal") < 7 << 20)
		gm_skip("needs 8 GiB of memory for a free gigabyte on each node");
	if (src->flags & GM_HUGETLB)
		node_pools(GM_2M, 8, 8);
	snprintf(path, sizeof(path), "%s/cpuset.mems", gm_cgroup);
	for (node = NODES - 1; node >= 0; node--) {
		gm_assert(gm_write(path, "%d", node), "%s: %s", path, strerror(errno));
		f = gm_create_from(vm, src, cap * src->block, GM_MMAP);
		gm_assert_ok(gm_populate(&f, 0, f.size));
		if (src->block == GM_1G)
			gm_assert_eq(gm_fdinfo(&f, "gmem-blocks-1g"), 1);
		gm_assert_eq(node_at(&f, 0), node);
		gm_assert_eq(node_at(&f, f.size - GM_PAGE), node);
		gm_assert_eq(held_on(&f, node), gm_held(&f));
		gm_assert_eq(held_on(&f, !node), 0);
		gm_close(&f);
	}
	kvm_vm_free(vm);
	if (src->flags & GM_HUGETLB)
		node_pools(GM_2M, 0, 0);
}

/* mbind() and get_mempolicy() agree, per range. */
static void policy_is_kept(void)
{
	struct kvm_vm *vm = vm_create_barebones();
	unsigned long mask = 0, bad = 1;
	struct gm_file f;
	int mode = -1;
	char *mem;

	need_nodes();
	gm_need_source(&gm_sources[GM_SRC_THP_2M], 0);
	f = gm_create_from(vm, &gm_sources[GM_SRC_THP_2M], 4 * GM_2M, GM_MMAP);
	mem = gm_mmap(&f, 0, f.size);
	bind_range(mem, 2 * GM_2M, MPOL_BIND, 2);
	bind_range(mem + GM_2M, GM_2M, MPOL_INTERLEAVE, 3);
	gm_assert_ok(get_mempolicy(&mode, &mask, 8, mem, MPOL_F_ADDR));
	gm_assert_eq(mode, MPOL_BIND);
	gm_assert_eq(mask, 2);
	gm_assert_ok(get_mempolicy(&mode, &mask, 8, mem + GM_2M, MPOL_F_ADDR));
	gm_assert_eq(mode, MPOL_INTERLEAVE);
	gm_assert_eq(mask, 3);
	gm_assert_ok(get_mempolicy(&mode, &mask, 8, mem + 2 * GM_2M, MPOL_F_ADDR));
	gm_assert_eq(mode, MPOL_DEFAULT);
	gm_assert_errno(mbind(mem, GM_2M, 999, &bad, 8, 0), EINVAL);
	gm_close(&f);
	kvm_vm_free(vm);
}

#define CASE(name, call) static void name(void) { call; }

CASE(blocks_4k, per_block(GM_SRC_4K, GM_SHARED))
CASE(blocks_2m, per_block(GM_SRC_THP_2M, GM_SHARED))
CASE(blocks_private_2m, per_block(GM_SRC_THP_2M, GM_MMAP))
CASE(blocks_htlb_2m, per_block(GM_SRC_HTLB_2M, GM_SHARED))
CASE(interleave_2m, interleave(GM_SRC_THP_2M))
CASE(interleave_htlb_2m, interleave(GM_SRC_HTLB_2M))
CASE(cpuset_4k, in_cpuset(GM_SRC_4K))
CASE(cpuset_2m, in_cpuset(GM_SRC_THP_2M))
CASE(cpuset_htlb_2m, in_cpuset(GM_SRC_HTLB_2M))
CASE(cpuset_1g, in_cpuset(GM_SRC_THP_1G))

static const struct gm_case cases[] = {
	{ "blocks_4k", blocks_4k },
	{ "blocks_2m", blocks_2m },
	{ "blocks_private_2m", blocks_private_2m },
	{ "blocks_hugetlb_2m", blocks_htlb_2m },
	{ "interleave_2m", interleave_2m },
	{ "interleave_hugetlb_2m", interleave_htlb_2m },
	{ "wrong_node", wrong_node },
	{ "cpuset_4k", cpuset_4k },
	{ "cpuset_2m", cpuset_2m },
	{ "cpuset_hugetlb_2m", cpuset_htlb_2m },
	{ "cpuset_1g", cpuset_1g },
	{ "policy_is_kept", policy_is_kept },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 0);
}
