/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The port by which a program in the guest asks for pages of its memory to be
 * shared with the host, or to be private again: two registers of 32 bits. Each
 * vCPU has its own, so a program that uses them stays on one.
 */
#ifndef SHARE_H
#define SHARE_H

#define SHARE_PORT	0x610
#define SHARE_PORTS	8

#define SHARE_FRAME	0	/* write: the page's frame number */
#define SHARE_COMMAND	4	/* write: what to do; read: errno, 0 if it was done */

#define SHARE_PRIVATE	0
#define SHARE_SHARED	1
#define SHARE_STATS	2	/* the VMM prints its statistics */
#define SHARE_DISCARD	3	/* as a balloon does: what was there is lost, and reads as 0 */

#endif /* SHARE_H */
