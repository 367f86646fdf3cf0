// SPDX-License-Identifier: GPL-2.0-only
#include <string.h>

#include "pools.h"

#define MAX_NODES	1024

static const uint64_t sizes[] = { 2 * MIB, GIB };

static void pool_path(char *buf, size_t len, uint64_t size, int node, const char *what)
{
	char base[64] = "/sys/kernel/mm";

	if (node >= 0)
		snprintf(base, sizeof(base), "/sys/devices/system/node/node%d", node);
	snprintf(buf, len, "%s/hugepages/hugepages-%llukB/%s", base,
		 (unsigned long long)size >> 10, what);
}

static bool read_one(uint64_t size, int node, const char *what, uint64_t *value)
{
	char path[160];

	pool_path(path, sizeof(path), size, node, what);
	return read_number(path, value);
}

bool pool_read(uint64_t size, int node, struct pool *p)
{
	memset(p, 0, sizeof(*p));
	if (node < 0 && !read_one(size, node, "resv_hugepages", &p->reserved))
		return false;
	return read_one(size, node, "nr_hugepages", &p->total) &&
	       read_one(size, node, "free_hugepages", &p->free) &&
	       read_one(size, node, "surplus_hugepages", &p->surplus);
}

bool pool_write(uint64_t size, int node, uint64_t total)
{
	char path[160];

	pool_path(path, sizeof(path), size, node, "nr_hugepages");
	return write_number(path, total);
}

/* The machine as node -1, then its nodes. */
static void each_pool(void (*fn)(uint64_t size, int node, const struct pool *p, void *arg),
		      void *arg)
{
	unsigned int i;
	struct pool p;
	int node;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (node = -1; node < MAX_NODES; node++) {
			if (pool_read(sizes[i], node, &p))
				fn(sizes[i], node, &p, arg);
		}
	}
}

static void print_one(uint64_t size, int node, const struct pool *p, void *arg)
{
	char text[SIZE_TEXT];

	table_add(arg, "%s", size_text(text, size));
	if (node < 0)
		table_add(arg, "all");
	else
		table_add(arg, "%d", node);
	table_add(arg, "%llu", (unsigned long long)p->total);
	table_add(arg, "%llu", (unsigned long long)p->free);
	if (node < 0)
		table_add(arg, "%llu", (unsigned long long)p->reserved);
	else
		table_add(arg, "-");
	table_add(arg, "%llu", (unsigned long long)p->surplus);
	table_add(arg, "%s", size_text(text, p->total * size));
}

void pools_print(void)
{
	static const char * const title[] = {
		"pool", "node", "pages", "free", "reserved", "surplus", "memory",
	};
	unsigned int i;
	struct table t;

	table_init(&t, ARRAY_SIZE(title));
	for (i = 0; i < ARRAY_SIZE(title); i++)
		table_add(&t, "%s", title[i]);
	each_pool(print_one, &t);
	table_print(&t, 2, stdout);
}

static void json_one(uint64_t size, int node, const struct pool *p, void *arg)
{
	struct json_object *o = json_object_new_object();

	put_u64(o, "page", size);
	json_object_object_add(o, "node", node < 0 ? NULL : json_object_new_int(node));
	put_u64(o, "total", p->total);
	put_u64(o, "free", p->free);
	/* Reservations are of no node. */
	json_object_object_add(o, "reserved",
			       node < 0 ? json_object_new_uint64(p->reserved) : NULL);
	put_u64(o, "surplus", p->surplus);
	json_object_array_add(arg, o);
}

struct json_object *pools_json(void)
{
	struct json_object *pools = json_object_new_array();

	each_pool(json_one, pools);
	return pools;
}
