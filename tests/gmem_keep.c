// SPDX-License-Identifier: GPL-2.0-only
/*
 * gmem_keep MIB: a guest that holds so much of the 2 MiB pool while others work
 * with the rest of it. Says "ready" when the guest has written all of it, waits
 * for the end of its input, and then has the guest check every word. Where
 * guest_memfd has no blocks, an ordinary VM on a hugetlb memfd holds as much.
 */
#include <poll.h>
#include <sys/mman.h>

#include <linux/memfd.h>

#include "gmem_test.h"

#define SEED	23

static struct gm_vm *keep_gmem(u64 size, struct gm_file *f)
{
	struct gm_vm *g = gm_vm_create(GM_SWP, 1, 0);

	*f = gm_create_from(g->vm, &gm_sources[GM_SRC_HTLB_2M], size, 0);
	gm_attach(g, f, GM_GPA);
	return g;
}

static struct gm_vm *keep_memfd(u64 size)
{
	struct gm_vm *g = gm_vm_create(VM_TYPE_DEFAULT, 1, 0);
	int fd = memfd_create("keep", MFD_HUGETLB | MFD_HUGE_2MB);
	void *mem;

	gm_assert(fd >= 0, "memfd_create: %s", strerror(errno));
	gm_assert_ok(ftruncate(fd, size));
	mem = kvm_mmap(size, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	vm_set_user_memory_region(g->vm, 1, 0, GM_GPA, size, mem);
	gm_map(g, GM_GPA, size);
	return g;
}

/* The same frames in the same state: nothing was moved, mapped or referenced. */
static void compare_blocks(const struct gm_file *f, const struct gm_block *before,
			   size_t nr)
{
	struct gm_block *now = calloc(nr + 1, sizeof(*now));
	size_t i;

	gm_assert(now, "no memory");
	gm_assert_eq(gm_blocks(f, now, nr + 1), nr);
	for (i = 0; i < nr; i++) {
		gm_assert_eq(now[i].index, before[i].index);
		gm_assert_eq(now[i].pfn, before[i].pfn);
		gm_assert_eq(now[i].order, 9);
	}
	gm_assert_frozen(f);
	free(now);
}

int main(int argc, char **argv)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	u64 size, taken, free_before;
	struct gm_block *blocks = NULL;
	struct gm_file f = { .fd = -1 };
	struct gm_vm *g;
	size_t nr;

	if (argc != 2 || atol(argv[1]) < 2 || atol(argv[1]) % 2) {
		fprintf(stderr, "Usage: gmem_keep MIB\n");
		return 2;
	}
	size = (u64)atol(argv[1]) << 20;
	nr = size / GM_2M;
	gm_seed = SEED;
	program_invocation_name = "/proc/self/exe";

	free_before = gm_pool(GM_2M, "free");
	if (gm_have_gmem())
		g = keep_gmem(size, &f);
	else
		g = keep_memfd(size);
	gm_guest_fill(g, 0, size, SEED);
	gm_assert_eq(free_before - gm_pool(GM_2M, "free"), nr);
	taken = gm_vcpu_stat(g, 0, "pf_taken");
	if (gm_have_gmem()) {
		blocks = calloc(nr, sizeof(*blocks));
		gm_assert(blocks, "no memory");
		gm_assert_eq(gm_blocks(&f, blocks, nr), nr);
	}
	puts("ready");
	fflush(stdout);

	while (poll(&input, 1, -1) < 0 && errno == EINTR)
		;
	gm_guest_verify(g, 0, size, SEED);
	/*
	 * Whatever had been unmapped would have been faulted in again. Nothing
	 * else is: this boot has no swap.
	 */
	gm_assert_eq(gm_vcpu_stat(g, 0, "pf_taken"), taken);
	if (gm_have_gmem()) {
		compare_blocks(&f, blocks, nr);
		gm_close(&f);
		free(blocks);
	}
	gm_note("%zu pages held, %lu faults, none since", nr, (unsigned long)taken);
	gm_vm_free(g);
	return 0;
}
