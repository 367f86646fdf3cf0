// SPDX-License-Identifier: GPL-2.0-only
/* /proc/kcore: where its headers say that an address of the kernel's is. */
#include <elf.h>

#include "gmem_test.h"

int gm_kcore_open(void)
{
	int fd = open("/proc/kcore", O_RDONLY);

	gm_assert(fd >= 0, "/proc/kcore: %s", strerror(errno));
	return fd;
}

struct gm_segment gm_kcore_segment(int fd, u64 addr, bool physical)
{
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr;
	u64 start;
	int i;

	gm_assert_eq(pread(fd, &ehdr, sizeof(ehdr), 0), sizeof(ehdr));
	for (i = 0; i < ehdr.e_phnum; i++) {
		gm_assert_eq(pread(fd, &phdr, sizeof(phdr), ehdr.e_phoff + i * sizeof(phdr)),
			     sizeof(phdr));
		start = physical ? phdr.p_paddr : phdr.p_vaddr;
		if (phdr.p_type != PT_LOAD || start == -1ULL ||
		    addr < start || addr - start >= phdr.p_memsz)
			continue;
		return (struct gm_segment) {
			.va = phdr.p_vaddr + addr - start,
			.off = phdr.p_offset + addr - start,
		};
	}
	gm_fail(__FILE__, __LINE__, "kcore", "nothing at %#lx; boot with nokaslr",
		(unsigned long)addr);
}
