/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Counters and pools of the machine, which a test leaves as they were. */
#ifndef SNAPSHOT_H
#define SNAPSHOT_H

void snapshot_take(void);
/* Fails the test if one of them is another. */
void snapshot_compare(void);

#endif /* SNAPSHOT_H */
