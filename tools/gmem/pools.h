/* SPDX-License-Identifier: GPL-2.0-only */
/* pools.c: the pools of huge pages that files of guest_memfd can take blocks from */
#ifndef POOLS_H
#define POOLS_H

#include "tool.h"

struct pool {
	uint64_t total;
	uint64_t free;
	uint64_t reserved;	/* of the machine only */
	uint64_t surplus;
};

/* node -1: the machine. False if there is no such pool. */
bool pool_read(uint64_t size, int node, struct pool *p);
bool pool_write(uint64_t size, int node, uint64_t total);
void pools_print(void);
struct json_object *pools_json(void);

#endif /* POOLS_H */
