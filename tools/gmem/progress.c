// SPDX-License-Identifier: GPL-2.0-only
/* Nobody waits without a word. */
#include <signal.h>
#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

volatile sig_atomic_t interrupted;

static void interrupt(int sig)
{
	interrupted = 1;
}

void interrupt_catch(void)
{
	const struct sigaction sa = { .sa_handler = interrupt };

	sigaction(SIGINT, &sa, NULL);
}

double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

void progress_start(struct progress *p, const char *what)
{
	p->what = what;
	p->start = now();
	p->last = p->start;
	p->shown = false;
}

void progress_say(struct progress *p, const char *fmt, ...)
{
	double t = now();
	va_list ap;

	if (t - p->last < (isatty(2) && p->shown ? 0.5 : 2))
		return;
	p->last = t;
	p->shown = true;
	fprintf(stderr, "%s%s: ", isatty(2) ? "\r" : "", p->what);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, ", %.0f s%s", t - p->start, isatty(2) ? "\033[K" : "\n");
}

void progress_show(struct progress *p, uint64_t done, uint64_t size)
{
	char a[SIZE_TEXT], b[SIZE_TEXT];

	progress_say(p, "%s of %s", size_text(a, done), size_text(b, size));
}

void progress_end(struct progress *p)
{
	if (p->shown && isatty(2))
		fputc('\n', stderr);
	p->shown = false;
}
