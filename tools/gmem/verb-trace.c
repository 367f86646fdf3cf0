// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <regex.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool.h"

#define TRACING	"/sys/kernel/tracing"

struct request {
	const char *target;
	const char *event;
	unsigned long seconds;
	bool list;
};

static volatile sig_atomic_t stopped;

static void stop(int sig)
{
	stopped = 1;
}

/* Whatever ends it, the instance goes first. */
static void catch_ends(void)
{
	static const int ends[] = {
		SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGALRM, SIGUSR1, SIGUSR2, SIGXCPU,
	};
	const struct sigaction sa = { .sa_handler = stop };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		/* With nohup it goes on. */
		if (signal(ends[i], SIG_IGN) != SIG_IGN || ends[i] != SIGHUP)
			sigaction(ends[i], &sa, NULL);
	}
	/* These come as errors of write(). */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct request *r = state->input;

	switch (key) {
	case 'e':
		if (!*arg || arg[strspn(arg, "abcdefghijklmnopqrstuvwxyz0123456789_")])
			argp_error(state, "--event %s is no name of an event: see --list", arg);
		r->event = arg;
		return 0;
	case 's':
		if (!parse_unsigned(arg, 1UL << 20, &r->seconds))
			argp_error(state, "--seconds %s is no number", arg);
		return 0;
	case 'l':
		r->list = true;
		return 0;
	case ARGP_KEY_ARG:
		if (r->target)
			argp_error(state, "one file at a time");
		r->target = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option options[] = {
	{ "event", 'e', "NAME", 0, "This event only (all)", 0 },
	{ "seconds", 's', "N", 0, "Stop after so many; 0: what is there (until ^C)", 0 },
	{ "list", 'l', NULL, 0, "Print the events there are", 0 },
	{ }
};

static const char doc[] =
	"Follow what happens to guest memory, of one file or of all, by the kernel's\n"
	"tracepoints.\n"
	"\vA tracing instance of its own is used, so other tracing goes on undisturbed.";

static bool write_text(const char *dir, const char *file, const char *text)
{
	char path[256];
	bool good;
	FILE *out;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	out = fopen(path, "we");
	if (!out)
		return false;
	good = fputs(text, out) >= 0;
	return !fclose(out) && good;
}

/*
 * Lines of trace_pipe: "COMM-PID [CPU] FLAGS TIME: EVENT: TEXT". What a thread calls
 * itself can be anything, so what counts is the last place that looks so.
 */
static regex_t event_line, lost_line;

static void lines_init(void)
{
	static const char event[] =
		"^.*-[0-9]+ .*\\[[0-9]+\\] [^ ]* +([0-9]+\\.[0-9]+): (gmem_[a-z0-9_]+): (.*)$";
	static const char lost[] = "^CPU:([0-9]+) \\[LOST ?([0-9]*) EVENTS\\]$";

	if (regcomp(&event_line, event, REG_EXTENDED) || regcomp(&lost_line, lost, REG_EXTENDED))
		abort();
}

/* With a newline in its name, what is before it is a line, and shorter than this. */
#define COMM	16

/* What there was no event to print for. */
struct missed {
	uint64_t lost;		/* as the kernel says */
	uint64_t strange;	/* lines that say something else */
};

static void print_json_event(char *line, const regmatch_t *m)
{
	struct json_object *report = report_new(), *o = json_object_new_object();
	const char *time = line + m[1].rm_so;

	line[m[1].rm_eo] = 0;
	line[m[2].rm_eo] = 0;
	json_object_object_add(o, "seconds", json_object_new_double_s(atof(time), time));
	put_text(o, "name", line + m[2].rm_so);
	put_text(o, "text", line + m[3].rm_so);
	json_object_object_add(report, "event", o);
	report_print(report);
}

static void print_json_lost(const char *line, const regmatch_t *m, uint64_t nr)
{
	struct json_object *report = report_new(), *o = json_object_new_object();

	put_u64(o, "cpu", strtoull(line + m[1].rm_so, NULL, 10));
	json_object_object_add(o, "events", nr ? json_object_new_uint64(nr) : NULL);
	json_object_object_add(report, "lost", o);
	report_print(report);
}

static void print_line(char *line, struct missed *missed)
{
	regmatch_t m[4];
	uint64_t nr;

	make_printable(line);
	if (!json_wanted)
		printf("%s\n", line);
	if (!regexec(&lost_line, line, ARRAY_SIZE(m), m, 0)) {
		nr = strtoull(line + m[2].rm_so, NULL, 10);
		/* That it does not know how many is at least one. */
		missed->lost += nr ? nr : 1;
		if (json_wanted)
			print_json_lost(line, m, nr);
	} else if (json_wanted && !regexec(&event_line, line, ARRAY_SIZE(m), m, 0)) {
		print_json_event(line, m);
	} else if (json_wanted && strlen(line) >= COMM) {
		missed->strange++;
	}
}

/* Whole lines; the rest stays for the next time. */
static size_t print_lines(char *buf, size_t len, struct missed *missed)
{
	char *start = buf, *eol;

	while ((eol = memchr(start, '\n', buf + len - start))) {
		*eol = 0;
		print_line(start, missed);
		start = eol + 1;
	}
	fflush(stdout);
	memmove(buf, start, buf + len - start);
	return buf + len - start;
}

static int no_output(int err)
{
	return fail(FAILED, NULL, "cannot write the output: %s", strerror(err));
}

static int follow(const char *dir, int fd, const struct request *r, struct missed *missed)
{
	/* Of the output no more than that nobody reads it any more. */
	struct pollfd p[] = { { .fd = fd, .events = POLLIN }, { .fd = 1 } };
	double end = r->seconds == ~0UL ? 0 : now() + r->seconds;
	static char buf[65536];
	bool over = false;
	size_t len = 0;
	ssize_t n;

	while (!stopped) {
		/* What is there by then is printed, and nothing more comes. */
		if (end && now() >= end && !over) {
			write_text(dir, "tracing_on", "0");
			over = true;
		}
		n = read(fd, buf + len, sizeof(buf) - len);
		if (n > 0) {
			len = print_lines(buf, len + n, missed);
			if (ferror(stdout) && !stopped)
				return no_output(errno);
			continue;
		}
		if (over)
			break;
		if (poll(p, ARRAY_SIZE(p), 100) > 0 && p[1].revents & (POLLERR | POLLHUP))
			return no_output(EPIPE);
	}
	return DONE;
}

static int say_missed(const struct missed *missed)
{
	if (missed->lost)
		return fail(FAILED, "follow one file, or one event",
			    "at least %llu events were lost", (unsigned long long)missed->lost);
	if (missed->strange)
		return fail(FAILED, "set " TRACING "/trace_options as they are after a boot",
			    "%llu lines are in no form that is known",
			    (unsigned long long)missed->strange);
	return DONE;
}

/* Beside the directories of events there are files, as enable and filter. */
static bool no_such_name(int err)
{
	return err == ENOENT || err == ENOTDIR || err == ENAMETOOLONG;
}

static int trace_in(const char *dir, const struct request *r, const struct target *t)
{
	struct missed missed = { };
	char path[256], text[64];
	int fd, status;

	snprintf(text, sizeof(text), "ino == %llu",
		 (unsigned long long)file_stat(&t->file, GMEM_STAT_INO));
	if (r->target && !write_text(dir, "events/gmem/filter", text))
		return fail(FAILED, NULL, "cannot filter by file: %s", strerror(errno));
	snprintf(path, sizeof(path), "events/gmem/%s%senable", r->event ? r->event : "",
		 r->event ? "/" : "");
	if (!write_text(dir, path, "1"))
		return fail(no_such_name(errno) ? USAGE : FAILED, "see --list",
			    "cannot enable %s: %s", r->event ? r->event : "the events",
			    strerror(errno));
	snprintf(path, sizeof(path), "%s/trace_pipe", dir);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return fail(FAILED, NULL, "cannot read the trace: %s", strerror(errno));
	note("following");
	status = follow(dir, fd, r, &missed);
	close(fd);
	return status ? status : say_missed(&missed);
}

static int no_tracing(void)
{
	if (errno == EACCES)
		return fail(FAILED, "become root", "may not read " TRACING);
	return fail(UNSUPPORTED, "mount tracefs there; it needs CONFIG_FTRACE",
		    "cannot read " TRACING ": %s", strerror(errno));
}

static int list(void)
{
	struct json_object *report = report_new(), *events = json_object_new_array();
	char name[256];
	FILE *in = fopen(TRACING "/available_events", "re");

	if (!in)
		return fail(FAILED, "become root", "cannot read " TRACING ": %s", strerror(errno));
	while (fgets(name, sizeof(name), in)) {
		if (strncmp(name, "gmem:", 5))
			continue;
		name[strcspn(name, "\n")] = 0;
		if (!json_wanted)
			printf("%s\n", name + 5);
		json_object_array_add(events, json_object_new_string(name + 5));
	}
	fclose(in);
	json_object_object_add(report, "events", events);
	if (json_wanted)
		report_print(report);
	else
		json_object_put(report);
	return DONE;
}

int verb_trace(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "[" TARGET_DOC "]", doc, common_options };
	struct request r = { .seconds = ~0UL };
	struct target t = { };
	char dir[64];
	int status;

	parse_options(&argp, argc, argv, &r);
	if (!have_gmem())
		return no_gmem();
	if (access(TRACING "/available_events", R_OK))
		return no_tracing();
	if (access(TRACING "/events/gmem", F_OK))
		return fail(UNSUPPORTED, "it needs CONFIG_EVENT_TRACING",
			    "the kernel has no tracepoints of gmem");
	if (r.list)
		return list();
	status = r.target ? target_find(r.target, &t) : DONE;
	if (status)
		return status;
	lines_init();
	catch_ends();
	/* One that was killed has left its own. */
	snprintf(dir, sizeof(dir), TRACING "/instances/gmem-%d-XXXXXX", getpid());
	if (!mkdtemp(dir))
		return fail(FAILED, NULL, "cannot create %s: %s", dir, strerror(errno));
	status = trace_in(dir, &r, &t);
	write_text(dir, "events/gmem/enable", "0");
	if (rmdir(dir) && !status)
		status = fail(FAILED, "remove it when nothing reads it", "cannot remove %s: %s",
			      dir, strerror(errno));
	return status;
}
