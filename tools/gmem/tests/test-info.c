// SPDX-License-Identifier: GPL-2.0-only
/* info on kernels that cannot be booted: with every type of VM, and with some that fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/kvm.h>

/* Both have a fail(): the tool's is a function, which has to come first. */
#include "../tool.h"

#include <cmocka.h>

#include "schema.h"

#define KVM_FD	1000
#define VM_FD	2000		/* and the type */

const char *verb_name = "info";
bool json_wanted;
const struct argp_child common_options[] = { { } };

/* What /dev/kvm says. */
static struct {
	int types;
	int no_vm;		/* of this type none can be made */
	int no_probe;		/* and one of this type cannot be asked */
	unsigned int made;	/* bits of types */
	int open;
} kvm;

static char out[1 << 16], err[1 << 12];

void parse_options(const struct argp *argp, int argc, char **argv, void *input)
{
}

int __wrap_open64(const char *path, int flags, ...)
{
	assert_string_equal(path, "/dev/kvm");
	kvm.open++;
	return KVM_FD;
}

int __wrap_open(const char *path, int flags, ...)
{
	return __wrap_open64(path, flags);
}

int __wrap_close(int fd)
{
	kvm.open--;
	return 0;
}

int __wrap_ioctl(int fd, unsigned long cmd, unsigned long arg)
{
	assert_int_equal(fd, KVM_FD);
	if (cmd == KVM_CHECK_EXTENSION) {
		assert_int_equal(arg, KVM_CAP_VM_TYPES);
		return kvm.types;
	}
	assert_int_equal(cmd, KVM_CREATE_VM);
	kvm.made |= 1U << arg;
	if (arg == kvm.no_vm) {
		errno = ENOMEM;
		return -1;
	}
	kvm.open++;
	return VM_FD + arg;
}

int __wrap_gmem_probe(int fd, struct gmem_caps *caps)
{
	memset(caps, 0, sizeof(*caps));
	caps->guest_memfd = true;
	return fd == VM_FD + kvm.no_probe ? -EMFILE : 0;
}

bool __wrap_have_gmem(void)
{
	return true;
}

static void take(FILE *from, char *buf, size_t size)
{
	rewind(from);
	buf[fread(buf, 1, size - 1, from)] = 0;
	fclose(from);
}

static int info(bool json)
{
	FILE *o = tmpfile(), *e = tmpfile();
	int old_out = dup(1), old_err = dup(2), status;

	assert_true(o && e);
	fflush(stdout);
	dup2(fileno(o), 1);
	dup2(fileno(e), 2);
	json_wanted = json;
	kvm.made = 0;
	status = verb_info(1, NULL);
	fflush(stdout);
	dup2(old_out, 1);
	dup2(old_err, 2);
	take(o, out, sizeof(out));
	take(e, err, sizeof(err));
	assert_int_equal(kvm.open, 0);
	return status;
}

static struct json_object *member(struct json_object *o, const char *key)
{
	struct json_object *value = NULL;

	assert_true(json_object_object_get_ex(o, key, &value));
	return value;
}

/* NULL or the reason, of those that there are. */
static void expect(const char *type, bool available, const char *error)
{
	struct json_object *report = json_tokener_parse(out), *types, *o = NULL;
	struct json_object *schema = json_object_from_file(SCHEMA_FILE);
	size_t i;

	assert_true(report && schema && schema_valid(schema, report));
	types = member(report, "vm_types");
	for (i = 0; i < json_object_array_length(types); i++) {
		o = json_object_array_get_idx(types, i);
		if (!strcmp(json_object_get_string(member(o, "type")), type))
			break;
		o = NULL;
	}
	assert_non_null(o);
	assert_int_equal(json_object_get_boolean(member(o, "available")), available);
	assert_int_equal(json_object_get_boolean(member(o, "guest_memfd")), available && !error);
	if (error)
		assert_string_equal(json_object_get_string(member(o, "error")), error);
	else
		assert_null(member(o, "error"));
	json_object_put(report);
	json_object_put(schema);
}

#define ALL	(0x3f | 1 << 30)

static void each_type(void **state)
{
	static const char * const names[] = {
		"ordinary", "software-protected", "SEV", "SEV-ES", "SEV-SNP", "TDX", "soft-TDX",
	};
	unsigned int i;

	kvm = (typeof(kvm)) { .types = ALL, .no_vm = -1, .no_probe = -1 };
	assert_int_equal(info(true), DONE);
	assert_int_equal(kvm.made, ALL);
	assert_string_equal(err, "");
	for (i = 0; i < ARRAY_SIZE(names); i++)
		expect(names[i], true, NULL);
	assert_int_equal(info(false), DONE);
	assert_non_null(strstr(out, "  software-protected  SEV  SEV-ES  SEV-SNP  TDX  soft-TDX\n"));
}

/* Only those that there are; an old kernel does not know the question. */
static void some_types(void **state)
{
	kvm = (typeof(kvm)) { .types = 1 | 1 << KVM_X86_SNP_VM, .no_vm = -1, .no_probe = -1 };
	assert_int_equal(info(true), DONE);
	assert_int_equal(kvm.made, kvm.types);
	expect("SEV-SNP", true, NULL);
	expect("SEV", false, NULL);
	assert_int_equal(info(false), DONE);
	assert_non_null(strstr(out, "  ordinary  SEV-SNP\n"));
	kvm.types = -1;
	assert_int_equal(info(true), DONE);
	assert_int_equal(kvm.made, 1);
	kvm.types = 0;
	assert_int_equal(info(true), DONE);
	assert_int_equal(kvm.made, 1);
	expect("ordinary", true, NULL);
	expect("software-protected", false, NULL);
}

/* What is there and cannot be asked is not said to be unable to do anything. */
static void unasked(void **state)
{
	static const char said[] =
		"gmem info: software-protected VMs could not be asked: Cannot allocate memory\n"
		"gmem info: TDX VMs could not be asked: Too many open files\n";
	static const char row[] =
		"yes                   ?  yes     yes      yes    ?       yes\n";

	kvm = (typeof(kvm)) { .types = ALL, .no_vm = KVM_X86_SW_PROTECTED_VM,
			      .no_probe = KVM_X86_TDX_VM };
	assert_int_equal(info(true), FAILED);
	expect("ordinary", true, NULL);
	expect("software-protected", true, strerror(ENOMEM));
	expect("TDX", true, strerror(EMFILE));
	assert_string_equal(err, said);
	assert_int_equal(info(false), FAILED);
	assert_non_null(strstr(out, row));
	kvm.no_vm = KVM_X86_DEFAULT_VM;
	assert_int_equal(info(true), FAILED);
	expect("ordinary", true, strerror(ENOMEM));
	expect("software-protected", true, NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_type), cmocka_unit_test(some_types),
		cmocka_unit_test(unasked),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("info", tests, NULL, NULL);
}
