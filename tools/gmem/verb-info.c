// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <linux/kvm.h>
#include <linux/kvm_gmem.h>

#include "tool.h"
#include "pools.h"

/* Bits of KVM_CAP_VM_TYPES. */
static const struct {
	const char *name;
	unsigned long type;
} vm_types[] = {
	{ "ordinary", KVM_X86_DEFAULT_VM },
	{ "software-protected", KVM_X86_SW_PROTECTED_VM },
	{ "SEV", KVM_X86_SEV_VM },
	{ "SEV-ES", KVM_X86_SEV_ES_VM },
	{ "SEV-SNP", KVM_X86_SNP_VM },
	{ "TDX", KVM_X86_TDX_VM },
	{ "soft-TDX", KVM_X86_SOFT_TDX_VM },
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
	int err;		/* it is there, and could not be asked */
	struct gmem_caps caps;
};

static int probe_type(int kvm, unsigned long type, struct gmem_caps *caps)
{
	int vm = ioctl(kvm, KVM_CREATE_VM, type), err;

	if (vm < 0)
		return -errno;
	err = gmem_probe(vm, caps);
	close(vm);
	return err;
}

static void probe(int kvm, struct probed *p)
{
	int types = ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_VM_TYPES);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vm_types); i++) {
		/* The first type there is without being told of. */
		p[i].there = !i || (types > 0 && types >> vm_types[i].type & 1);
		if (p[i].there)
			p[i].err = probe_type(kvm, vm_types[i].type, &p[i].caps);
	}
}

static bool has(const struct probed *p, unsigned int cap)
{
	return p->there && !p->err && *((const bool *)&p->caps + caps[cap].at);
}

static int say_unasked(const struct probed *p)
{
	int status = DONE;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(vm_types); i++) {
		if (p[i].err)
			status = fail(FAILED, NULL, "%s VMs could not be asked: %s",
				      vm_types[i].name, strerror(-p[i].err));
	}
	return status;
}

static void print_caps(const struct probed *p)
{
	struct table t;
	unsigned int i, j, there = 0;

	for (j = 0; j < ARRAY_SIZE(vm_types); j++)
		there += p[j].there;
	table_init(&t, 1 + there);
	table_add(&t, "kind of VM");
	for (j = 0; j < ARRAY_SIZE(vm_types); j++) {
		if (p[j].there)
			table_add(&t, "%s", vm_types[j].name);
	}
	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		table_add(&t, "%s", caps[i].what);
		for (j = 0; j < ARRAY_SIZE(vm_types); j++) {
			if (p[j].there)
				table_add(&t, "%s", p[j].err ? "?" : has(&p[j], i) ? "yes" : "no");
		}
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
		json_object_object_add(o, "error", p[i].err ?
				       json_object_new_string(strerror(-p[i].err)) : NULL);
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
	int kvm, status;

	parse_options(&argp, argc, argv, NULL);
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		return no_kvm();
	probe(kvm, p);
	close(kvm);
	uname(&name);
	if (json_wanted)
		print_json(p, name.release);
	else
		print_text(p, name.release);
	/* The report has it. */
	json_wanted = false;
	status = say_unasked(p);
	if (have_gmem())
		return status;
	return status ? status : no_gmem();
}
