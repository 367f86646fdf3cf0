// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/kvm.h>

#include "tool.h"
#include "pools.h"

static const struct {
	const char *name;
	unsigned long type;
} vm_types[] = {
	{ "ordinary", KVM_X86_DEFAULT_VM },
	{ "software-protected", KVM_X86_SW_PROTECTED_VM },
};

static const struct {
	const char *key;
	size_t at;
	const char *what;
} caps[] = {
#define CAP(field, what) { #field, offsetof(struct gmem_caps, field), what }
	CAP(guest_memfd, "memory in files (guest_memfd)"),
	CAP(mappable, "mappable by the host"),
	CAP(init_shared, "shared at first"),
	CAP(no_direct_map, "not mapped by the kernel"),
	CAP(in_place, "private and shared in place"),
	CAP(readable, "which is private can be read"),
	CAP(stats, "statistics"),
	CAP(buddy_2m, "2M blocks"),
	CAP(buddy_1g, "1G blocks"),
	CAP(hugetlb_2m, "2M blocks of the pool"),
	CAP(hugetlb_1g, "1G blocks of the pool"),
	CAP(vm_attributes, "private by the VM's attributes"),
#undef CAP
};

struct probed {
	bool there;
	int err;
	struct gmem_caps caps;
};

static void probe(int kvm, struct probed *p)
{
	int types = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES);
	unsigned int i;
	int vm;

	for (i = 0; i < ARRAY_SIZE(vm_types); i++) {
		/* The first type there is without being told of. */
		if (i && !(types >> vm_types[i].type & 1))
			continue;
		vm = ioctl(kvm, KVM_CREATE_VM, vm_types[i].type);
		p[i].there = vm >= 0;
		p[i].err = vm < 0 ? -errno : gmem_probe(vm, &p[i].caps);
		if (vm >= 0)
			close(vm);
	}
}

static bool has(const struct probed *p, unsigned int cap)
{
	return p->there && *((const bool *)&p->caps + caps[cap].at);
}

static void print_caps(const struct probed *p)
{
	struct table t;
	unsigned int i, j;

	table_init(&t, 1 + ARRAY_SIZE(vm_types));
	table_add(&t, "kind of VM");
	for (j = 0; j < ARRAY_SIZE(vm_types); j++)
		table_add(&t, "%s", vm_types[j].name);
	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		table_add(&t, "%s", caps[i].what);
		for (j = 0; j < ARRAY_SIZE(vm_types); j++)
			table_add(&t, "%s", p[j].there ? has(&p[j], i) ? "yes" : "no" : "-");
	}
	table_print(&t, 1, stdout);
}

static void print_counter(const char *name, uint64_t value, void *arg)
{
	table_add(arg, "%s", name);
	table_add(arg, "%llu", (unsigned long long)value);
}

static void json_counter(const char *name, uint64_t value, void *arg)
{
	put_u64(arg, name, value);
}

static void print_text(const struct probed *p, const char *release)
{
	struct table t;

	printf("kernel %s, %s gmem\n\n", release, have_gmem() ? "with" : "without");
	print_caps(p);
	printf("\n");
	pools_print();
	if (!have_gmem())
		return;
	printf("\n");
	table_init(&t, 2);
	table_add(&t, "counter");
	table_add(&t, "value");
	each_counter(print_counter, &t);
	table_print(&t, 1, stdout);
}

static void print_json(const struct probed *p, const char *release)
{
	struct json_object *report = report_new(), *types = json_object_new_array(), *o;
	unsigned int i, j;

	put_text(report, "kernel", release);
	put_bool(report, "gmem", have_gmem());
	for (i = 0; i < ARRAY_SIZE(vm_types); i++) {
		o = json_object_new_object();
		put_text(o, "type", vm_types[i].name);
		put_bool(o, "available", p[i].there);
		for (j = 0; j < ARRAY_SIZE(caps); j++)
			put_bool(o, caps[j].key, has(&p[i], j));
		json_object_array_add(types, o);
	}
	json_object_object_add(report, "vm_types", types);
	json_object_object_add(report, "pools", pools_json());
	o = json_object_new_object();
	each_counter(json_counter, o);
	json_object_object_add(report, "counters", o);
	report_print(report);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	return ARGP_ERR_UNKNOWN;
}

static const char doc[] =
	"Print what guest memory can be on this kernel, by asking it, the pools of\n"
	"huge pages and the counters of gmem.";

int verb_info(int argc, char **argv)
{
	static const struct argp argp = { NULL, parse, NULL, doc, common_options };
	struct probed p[ARRAY_SIZE(vm_types)] = { };
	struct utsname name;
	int kvm;

	parse_options(&argp, argc, argv, NULL);
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return no_kvm();
	probe(kvm, p);
	close(kvm);
	if (p[0].err)
		return fail(FAILED, NULL, "cannot create a VM to ask: %s", strerror(-p[0].err));
	uname(&name);
	if (json_wanted)
		print_json(p, name.release);
	else
		print_text(p, name.release);
	if (have_gmem())
		return DONE;
	json_wanted = false;
	return no_gmem();
}
