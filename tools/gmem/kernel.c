// SPDX-License-Identifier: GPL-2.0-only
/* What this machine has. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "tool.h"

#define COUNTERS	"/sys/kernel/mm/gmem"

bool have_gmem(void)
{
	return !access(COUNTERS, F_OK);
}

int no_gmem(void)
{
	struct utsname name;

	uname(&name);
	return fail(UNSUPPORTED, "boot one that has it; gmem(7) says where to get it",
		    "kernel %s has no gmem (" COUNTERS " is missing)", name.release);
}

int no_kvm(void)
{
	if (errno == EACCES)
		return fail(FAILED, "join the group kvm", "may not open /dev/kvm");
	return fail(UNSUPPORTED, "load kvm_amd or kvm_intel", "cannot open /dev/kvm: %s",
		    strerror(errno));
}

int no_proc(int err)
{
	return fail(FAILED, "mount it", "cannot read /proc: %s", strerror(-err));
}

bool read_number(const char *path, uint64_t *value)
{
	FILE *in = fopen(path, "re");
	char text[32];
	size_t n;

	if (!in)
		return false;
	n = fread(text, 1, sizeof(text), in);
	fclose(in);
	/* A line and no more: what is cut off would be another number. */
	if (!n || text[n - 1] != '\n')
		return false;
	text[n - 1] = 0;
	return strlen(text) == n - 1 && parse_unsigned(text, UINT64_MAX, value);
}

bool write_number(const char *path, uint64_t value)
{
	FILE *out = fopen(path, "we");
	bool good;

	if (!out)
		return false;
	good = fprintf(out, "%" PRIu64 "\n", value) > 0;
	/* The kernel's answer comes with what the buffer holds. */
	return !fclose(out) && good;
}

static int visible(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

void each_counter(void (*fn)(const char *name, uint64_t value, void *arg), void *arg)
{
	struct dirent **entry;
	int i, nr = scandir(COUNTERS, &entry, visible, alphasort);
	char path[512];
	uint64_t value;

	for (i = 0; i < nr; i++) {
		snprintf(path, sizeof(path), COUNTERS "/%s", entry[i]->d_name);
		if (read_number(path, &value))
			fn(entry[i]->d_name, value, arg);
		free(entry[i]);
	}
	if (nr >= 0)
		free(entry);
}
