// SPDX-License-Identifier: GPL-2.0-only
/* The port of share.h. */
#include <errno.h>

#include "share.h"
#include "vmm.h"

static int carry_out(u64 frame, u32 command)
{
	switch (command) {
	case SHARE_PRIVATE:
	case SHARE_SHARED:
		return memory_guest_wants(frame * PAGE_SIZE, PAGE_SIZE,
					  command == SHARE_SHARED);
	case SHARE_STATS:
		stats_print();
		return 0;
	default:
		return -EINVAL;
	}
}

void share_port(struct share_port *p, u16 reg, bool write, u32 *data)
{
	if (reg == SHARE_FRAME && write)
		p->frame = *data;
	else if (reg == SHARE_COMMAND && write)
		p->error = -carry_out(p->frame, *data);
	else if (!write)
		*data = p->error;
}
