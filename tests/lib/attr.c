// SPDX-License-Identifier: GPL-2.0-only
/* Who may touch what in a file that tracks it: requests, answers, a scene. */
#include "gmem_test.h"

int gm_set(const struct gm_file *f, u64 off, u64 len, bool private, u64 *error)
{
	struct kvm_memory_attributes2 a = {
		.offset		= off,
		.size		= len,
		.attributes	= private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
		.error_offset	= ~0ULL,
	};
	int r = ioctl(f->fd, KVM_SET_MEMORY_ATTRIBUTES2, &a) ? errno : 0;

	*error = a.error_offset;
	return r;
}

void gm_set_ok(const struct gm_file *f, u64 off, u64 len, bool private)
{
	u64 error;
	int r = gm_set(f, off, len, private, &error);

	gm_assert(!r, "%s at %#lx: %s, error_offset %#lx", private ? "private" : "shared",
		  (unsigned long)off, strerror(r), (unsigned long)error);
	gm_assert_eq(error, ~0ULL);
}

struct kvm_memory_attributes2 gm_get(const struct gm_file *f, u64 off)
{
	struct kvm_memory_attributes2 a = { .offset = off };

	gm_assert_ok(ioctl(f->fd, KVM_GET_MEMORY_ATTRIBUTES2, &a));
	return a;
}

bool gm_is_private(const struct gm_file *f, u64 off)
{
	return gm_get(f, off).attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE;
}

void gm_scene_open(struct gm_scene *s, unsigned int source, unsigned int vcpus,
		   u64 size, u64 flags)
{
	s->src = &gm_sources[source];
	gm_need_source(s->src, size);
	s->g = gm_vm_create(GM_SWP, vcpus, 0);
	s->f = gm_create_from(s->g->vm, s->src, size, flags);
	s->slot = gm_slot(s->g, &s->f, GM_GPA, s->f.size, 0, NULL);
	gm_map(s->g, GM_GPA, s->f.size);
	s->mem = gm_mmap(&s->f, 0, s->f.size);
}

void gm_scene_close(struct gm_scene *s)
{
	gm_assert_ok(munmap(s->mem, s->f.size));
	gm_close(&s->f);
	gm_vm_free(s->g);
}
