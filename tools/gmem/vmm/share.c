// SPDX-License-Identifier: GPL-2.0-only
/* The port of share.h. */
#include <errno.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>

#include "share.h"
#include "vmm.h"

/* New memory is there before the guest asks for it. */
static int discard(int vcpu_fd, u64 gpa)
{
	struct kvm_pre_fault_memory range = { .gpa = gpa, .size = PAGE_SIZE };
	int err = memory_discard(gpa, PAGE_SIZE);

	while (!err && range.size) {
		if (ioctl(vcpu_fd, KVM_PRE_FAULT_MEMORY, &range) && errno != EINTR)
			err = -errno;
	}
	return err;
}

static int carry_out(int vcpu_fd, u64 frame, u32 command)
{
	switch (command) {
	case SHARE_PRIVATE:
	case SHARE_SHARED:
		return memory_guest_wants(frame * PAGE_SIZE, PAGE_SIZE,
					  command == SHARE_SHARED);
	case SHARE_STATS:
		stats_print();
		return 0;
	case SHARE_DISCARD:
		return discard(vcpu_fd, frame * PAGE_SIZE);
	default:
		return -EINVAL;
	}
}

void share_port(struct share_port *p, u16 reg, bool write, u32 *data)
{
	if (reg == SHARE_FRAME && write)
		p->frame = *data;
	else if (reg == SHARE_COMMAND && write)
		p->error = -carry_out(p->vcpu_fd, p->frame, *data);
	else if (!write)
		*data = p->error;
}
