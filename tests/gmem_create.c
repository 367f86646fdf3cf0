// SPDX-License-Identifier: GPL-2.0-only
/* Which files can be created, which cannot, and what creation reserves. */
#include <sys/stat.h>

#include "gmem_test.h"

static struct kvm_vm *vm_of(unsigned int type)
{
	return vm_create_barebones_type(type);
}

static bool has_type(unsigned int type)
{
	return kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(type);
}

static void need_huge(void)
{
	gm_need_source(&gm_sources[GM_SRC_THP_2M], 0);
}

/* Refused with EINVAL, whatever pools there are. */
static void refuse(struct kvm_vm *vm, u64 size, u64 flags)
{
	int fd;

	errno = 0;
	fd = __vm_create_guest_memfd(vm, size, flags);
	gm_assert(fd == -1 && errno == EINVAL, "size %#lx flags %#lx: %d, %s",
		  (unsigned long)size, (unsigned long)flags, fd, strerror(errno));
}

static void capabilities(void)
{
	struct kvm_vm *vm = vm_of(VM_TYPE_DEFAULT);
	int flags = vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS), huge;

	gm_assert_eq(flags & (int)GM_SHARED, (int)GM_SHARED);
	/* An int is all an ioctl returns: no huge flag may shine through. */
	gm_assert_eq(flags & ~7, 0);

	need_huge();
	huge = vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_HUGE);
	gm_assert_eq(huge & ~15, 0);
	gm_assert_eq(!!(huge & GM_CAP_HUGETLB_2M), gm_pool(GM_2M, "nr") >= 0);
	gm_assert_eq(!!(huge & GM_CAP_HUGETLB_1G), gm_pool(GM_1G, "nr") >= 0);
	gm_assert(huge & GM_CAP_HUGEPAGE_2M, "%#x", huge);
	/* Of the system as of a VM. */
	gm_assert_eq(kvm_check_cap(KVM_CAP_GUEST_MEMFD_HUGE), huge);
	kvm_vm_free(vm);
}

/* A flag that is reported works alone, any other does not: bit by bit. */
static void reported_flags(void)
{
	static const unsigned int types[] = { VM_TYPE_DEFAULT, GM_SWP };
	unsigned int i, bit, known;
	struct kvm_vm *vm;
	int fd;

	for (i = 0; i < ARRAY_SIZE(types); i++) {
		if (!has_type(types[i]))
			continue;
		vm = vm_of(types[i]);
		known = vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS);
		for (bit = 0; bit < 64; bit++) {
			if (bit < 31 && known & BIT(bit)) {
				fd = __vm_create_guest_memfd(vm, GM_PAGE, 1ULL << bit);
				gm_assert(fd >= 0, "bit %u: %s", bit, strerror(errno));
				close(fd);
			} else {
				refuse(vm, GM_PAGE, 1ULL << bit);
				/* Nor beside a flag that is fine. */
				if (bit != 32 && bit != 33)
					refuse(vm, GM_2M, 1ULL << bit | GM_MMAP);
			}
		}
		kvm_vm_free(vm);
	}
}

static void refusals(void)
{
	static const unsigned int shifts[] = { 1, 12, 20, 22, 29, 31, 34, 63 };
	struct kvm_vm *vm = vm_of(VM_TYPE_DEFAULT);
	unsigned int i;

	need_huge();
	refuse(vm, GM_2M, GM_HUGETLB | GM_HUGEPAGE);
	refuse(vm, GM_2M, GM_HUGETLB | GM_HUGEPAGE | GM_HUGE_2M);
	/* A size alone, also of a block that exists. */
	refuse(vm, GM_2M, GM_HUGE_2M);
	refuse(vm, GM_1G, GM_HUGE_1G);
	refuse(vm, GM_2M, GM_HUGE_2M | GM_MMAP);
	for (i = 0; i < ARRAY_SIZE(shifts); i++) {
		const u64 field = (u64)shifts[i] << GUEST_MEMFD_HUGE_SHIFT;

		refuse(vm, 1ULL << 36, GM_HUGEPAGE | field);
		refuse(vm, 1ULL << 36, GM_HUGETLB | field);
		refuse(vm, 1ULL << 36, field);
	}
	/* An unknown bit between the known ones. */
	refuse(vm, GM_2M, GM_HUGEPAGE | 1ULL << 34);
	refuse(vm, GM_2M, GM_HUGEPAGE | 1ULL << 31);
	refuse(vm, GM_2M, GM_HUGEPAGE | 1ULL << 57);
	if (gm_pool(GM_1G, "nr") < 0)
		refuse(vm, GM_1G, GM_HUGETLB | GM_HUGE_1G);
	kvm_vm_free(vm);
}

static void sizes(void)
{
	static const u64 bad[] = {
		0, 1, GM_PAGE - 1, GM_PAGE + 1, 1ULL << 63, -GM_PAGE, -1ULL,
		INT64_MAX, INT64_MIN,
	};
	struct kvm_vm *vm = vm_of(VM_TYPE_DEFAULT);
	unsigned int i, s;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		refuse(vm, bad[i], 0);
		refuse(vm, bad[i], GM_SHARED);
	}

	need_huge();
	for (s = GM_SRC_THP_2M; s < GM_NR_SOURCES; s++) {
		const struct gm_source *src = &gm_sources[s];

		for (i = 0; i < ARRAY_SIZE(bad); i++)
			refuse(vm, bad[i], src->flags);
		refuse(vm, GM_PAGE, src->flags);
		refuse(vm, src->block - GM_PAGE, src->flags);
		refuse(vm, src->block + GM_PAGE, src->flags);
		refuse(vm, 3 * src->block / 2, src->flags);
		refuse(vm, 5 * src->block + GM_PAGE, src->flags | GM_SHARED);
		/* The largest multiple of the block size is one too many bits. */
		refuse(vm, -src->block, src->flags);
	}
	kvm_vm_free(vm);
}

static void check_file(struct kvm_vm *vm, const struct gm_source *src,
		       u64 size, u64 flags)
{
	struct gm_file f = gm_create_from(vm, src, size, flags);
	struct stat st;

	gm_assert_ok(fstat(f.fd, &st));
	gm_assert_eq(st.st_size, size);
	gm_assert_eq(st.st_blksize, src->block);
	gm_assert_eq(st.st_blocks, 0);
	if (gm_have_gmem()) {
		gm_assert_eq(gm_fdinfo(&f, "gmem-size"), size);
		gm_assert_eq(gm_fdinfo(&f, "gmem-flags"), flags | src->flags);
		gm_assert_eq(gm_fdinfo(&f, "gmem-allocated"), 0);
		gm_assert_eq(gm_fdinfo(&f, "gmem-live"), 0);
		gm_assert_eq(gm_fdinfo(&f, "gmem-blocks-4k"), 0);
		gm_assert_eq(gm_fdinfo(&f, "gmem-blocks-2m"), 0);
		gm_assert_eq(gm_fdinfo(&f, "gmem-blocks-1g"), 0);
		gm_assert_eq(gm_fdinfo(&f, "gmem-bindings"), 0);
		gm_assert_eq(gm_fdinfo(&f, "gmem-poisoned"), 0);
		gm_assert_eq(gm_fdinfo(&f, "gmem-eagain"), 0);
		gm_assert_eq(gm_fdinfo(&f, "gmem-reserved"),
			     src->flags & GM_HUGETLB ? size : 0);
	}
	gm_close(&f);
}

/* Every combination that is allowed, on each VM type. */
static void every_kind(void)
{
	static const u64 shares[] = { 0, GM_MMAP, GM_SHARED };
	static const unsigned int types[] = { VM_TYPE_DEFAULT, GM_SWP };
	unsigned int t, s, i;

	for (t = 0; t < ARRAY_SIZE(types); t++) {
		struct kvm_vm *vm;

		if (!has_type(types[t]))
			continue;
		vm = vm_of(types[t]);
		for (s = 0; s < GM_NR_SOURCES; s++) {
			const struct gm_source *src = &gm_sources[s];
			int known = vm_check_cap(vm, KVM_CAP_GUEST_MEMFD_FLAGS);

			if (src->cap && !(kvm_check_cap(KVM_CAP_GUEST_MEMFD_HUGE) & src->cap))
				continue;
			if (src->flags & GM_HUGETLB &&
			    gm_pool(src->block, "free") - gm_pool(src->block, "resv") < 2)
				continue;
			for (i = 0; i < ARRAY_SIZE(shares); i++) {
				if ((shares[i] & known) != shares[i])
					continue;
				check_file(vm, src, 2 * src->block, shares[i]);
			}
		}
		kvm_vm_free(vm);
	}
}

/* The size field may be left out: 2 MiB. */
static void default_size(void)
{
	struct kvm_vm *vm = vm_of(VM_TYPE_DEFAULT);
	struct gm_source src = gm_sources[GM_SRC_THP_2M];

	need_huge();
	src.flags = GM_HUGEPAGE;
	check_file(vm, &src, 3 * GM_2M, 0);
	src.flags = GM_HUGETLB;
	check_file(vm, &src, 3 * GM_2M, 0);
	kvm_vm_free(vm);
}

static void reserve(const struct gm_source *src)
{
	struct kvm_vm *vm = vm_of(VM_TYPE_DEFAULT);
	long free, resv, nr, left;
	struct gm_file f, g;
	char rsvd[128];

	gm_need_source(src, 2 * src->block);
	nr = gm_pool(src->block, "nr");
	free = gm_pool(src->block, "free");
	resv = gm_pool(src->block, "resv");
	left = free - resv;
	gm_assert_ge(left, 2);

	/* One page too many: at once, and nothing is taken. */
	gm_assert_errno(__vm_create_guest_memfd(vm, (left + 1) * src->block, src->flags),
			ENOMEM);
	gm_assert_errno(__vm_create_guest_memfd(vm, 1ULL << 46, src->flags | GM_SHARED),
			ENOMEM);
	gm_assert_eq(gm_pool(src->block, "resv"), resv);
	gm_assert_eq(gm_pool(src->block, "free"), free);
	gm_assert_eq(gm_pool(src->block, "surplus"), 0);
	gm_assert_eq(gm_pool(src->block, "nr"), nr);

	/* All that is left: reserved, not taken, and gone for others. */
	f = gm_create_from(vm, src, left * src->block, 0);
	gm_assert_eq(gm_pool(src->block, "resv"), resv + left);
	gm_assert_eq(gm_pool(src->block, "free"), free);
	gm_assert_eq(gm_pool(src->block, "nr"), nr);
	snprintf(rsvd, sizeof(rsvd), "%s/hugetlb.%s.rsvd.current", gm_cgroup,
		 src->block == GM_2M ? "2MB" : "1GB");
	gm_assert_eq(gm_read_long("%s", rsvd), left * src->block);
	gm_assert_errno(__vm_create_guest_memfd(vm, src->block, src->flags), ENOMEM);
	gm_assert_errno(mmap(NULL, src->block, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
			     (src->block == GM_2M ? 21 : 30) << 26, -1, 0), ENOMEM);

	/* What is populated comes out of the reservation. */
	gm_assert_ok(gm_populate(&f, 0, src->block));
	gm_assert_eq(gm_pool(src->block, "resv"), resv + left - 1);
	gm_assert_eq(gm_pool(src->block, "free"), free - 1);
	gm_assert_ok(gm_punch(&f, 0, src->block));
	gm_assert_eq(gm_pool(src->block, "resv"), resv + left);
	gm_assert_eq(gm_pool(src->block, "free"), free);

	gm_close(&f);
	gm_assert_eq(gm_pool(src->block, "resv"), resv);
	gm_assert_eq(gm_pool(src->block, "free"), free);
	gm_assert_eq(gm_read_long("%s", rsvd), 0);

	/* Now it fits; a second file takes what the first leaves. */
	f = gm_create_from(vm, src, (left - 1) * src->block, GM_SHARED);
	g = gm_create_from(vm, src, src->block, 0);
	gm_assert_errno(__vm_create_guest_memfd(vm, src->block, src->flags), ENOMEM);
	gm_close(&f);
	gm_close(&g);
	kvm_vm_free(vm);
}

static void reserve_2m(void)
{
	reserve(&gm_sources[GM_SRC_HTLB_2M]);
}

static void reserve_1g(void)
{
	reserve(&gm_sources[GM_SRC_HTLB_1G]);
}

/* A limit of the cgroup is a refusal at creation too. */
static void reserve_limit(void)
{
	const struct gm_source *src = &gm_sources[GM_SRC_HTLB_2M];
	struct kvm_vm *vm = vm_of(VM_TYPE_DEFAULT);
	long resv = gm_pool(GM_2M, "resv");
	struct gm_file f;
	char max[128];

	gm_need_source(src, 4 * GM_2M);
	snprintf(max, sizeof(max), "%s/hugetlb.2MB.rsvd.max", gm_cgroup);
	gm_assert(gm_write(max, "%lu", (unsigned long)(2 * GM_2M)), "%s: %s", max,
		  strerror(errno));
	gm_assert_errno(__vm_create_guest_memfd(vm, 3 * GM_2M, src->flags), ENOMEM);
	gm_assert_eq(gm_pool(GM_2M, "resv"), resv);
	f = gm_create_from(vm, src, 2 * GM_2M, 0);
	gm_assert_eq(gm_pool(GM_2M, "resv"), resv + 2);
	gm_close(&f);
	kvm_vm_free(vm);
}

/* Refused for size or flags before a pool is asked: EINVAL, not ENOMEM. */
static void checks_come_first(void)
{
	struct kvm_vm *vm = vm_of(VM_TYPE_DEFAULT);
	const u64 huge = 1ULL << 50;

	need_huge();
	refuse(vm, huge + GM_PAGE, GM_HUGETLB | GM_HUGE_2M);
	refuse(vm, huge, GM_HUGETLB | GM_HUGE_2M | 1ULL << 40);
	refuse(vm, huge, GM_HUGETLB | GM_HUGEPAGE);
	gm_assert_errno(__vm_create_guest_memfd(vm, huge, GM_HUGETLB | GM_HUGE_2M), ENOMEM);
	kvm_vm_free(vm);
}

/* Memory that is not reserved costs nothing until it is used. */
static void sparse(void)
{
	struct kvm_vm *vm = vm_of(VM_TYPE_DEFAULT);
	struct gm_file f;

	need_huge();
	f = gm_create_from(vm, &gm_sources[GM_SRC_THP_2M], 1ULL << 42, GM_SHARED);
	gm_assert_eq(gm_held(&f), 0);
	gm_assert_ok(gm_populate(&f, (1ULL << 42) - GM_PAGE, GM_PAGE));
	gm_assert_eq(gm_held(&f), GM_2M);
	gm_close(&f);
	f = gm_create(vm, 1ULL << 42, GM_SHARED);
	gm_assert_ok(gm_populate(&f, (1ULL << 42) - GM_PAGE, GM_PAGE));
	gm_assert_eq(gm_held(&f), GM_PAGE);
	gm_close(&f);
	kvm_vm_free(vm);
}

static const struct gm_case cases[] = {
	{ "capabilities", capabilities },
	{ "reported_flags", reported_flags },
	{ "refusals", refusals },
	{ "sizes", sizes },
	{ "every_kind", every_kind },
	{ "default_size", default_size },
	{ "reserve_2m", reserve_2m },
	{ "reserve_1g", reserve_1g },
	{ "reserve_limit", reserve_limit },
	{ "checks_come_first", checks_come_first },
	{ "sparse", sparse },
};

int main(int argc, char **argv)
{
	return gm_main(argc, argv, cases, ARRAY_SIZE(cases), 8);
}
