// SPDX-License-Identifier: GPL-2.0-only
/* Verbs that go on: top in a terminal, and trace. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

/* As much of a VT100 as curses needs. */
struct screen {
	char cell[ROWS][COLUMNS + 1];
	int row, column;
	int number[2], numbers;	/* of a sequence that has begun, -1 for none */
	char escape;		/* what has begun: 0, ESC, '[' or '(' */
};

static int argument(const struct screen *s, int i, int otherwise)
{
	return i < s->numbers && s->number[i] ? s->number[i] : otherwise;
}

static void clear(struct screen *s, int row, int from, int to)
{
	memset(&s->cell[row][from], ' ', to - from);
}

static void clear_screen(struct screen *s)
{
	int row;

	for (row = 0; row < ROWS; row++)
		clear(s, row, 0, COLUMNS);
	s->row = 0;
	s->column = 0;
}

static void control(struct screen *s, char c)
{
	switch (c) {
	case 'H':
		s->row = argument(s, 0, 1) - 1;
		s->column = argument(s, 1, 1) - 1;
		break;
	case 'J':
		clear_screen(s);
		break;
	case 'K':
		if (argument(s, 0, 0) == 1)
			clear(s, s->row, 0, s->column + 1);
		else
			clear(s, s->row, s->column, COLUMNS);
		break;
	case 'A':
		s->row -= argument(s, 0, 1);
		break;
	case 'B':
		s->row += argument(s, 0, 1);
		break;
	case 'C':
		s->column += argument(s, 0, 1);
		break;
	case 'D':
		s->column -= argument(s, 0, 1);
		break;
	}
}

static void sequence(struct screen *s, char c)
{
	if (s->escape == 0x1b && (c == '[' || c == '(' || c == ')')) {
		s->escape = c;
		s->numbers = 0;
		memset(s->number, 0, sizeof(s->number));
	} else if (s->escape == '[' && c >= '0' && c <= '9') {
		if (!s->numbers)
			s->numbers = 1;
		if (s->numbers <= 2)
			s->number[s->numbers - 1] = s->number[s->numbers - 1] * 10 + c - '0';
	} else if (s->escape == '[' && c == ';') {
		s->numbers = s->numbers ? s->numbers + 1 : 2;
	} else if (s->escape != '[' || c != '?') {
		if (s->escape == '[')
			control(s, c);
		s->escape = 0;
	}
}

static void put(struct screen *s, char c)
{
	if (s->escape)
		sequence(s, c);
	else if (c == 0x1b)
		s->escape = c;
	else if (c == '\r')
		s->column = 0;
	else if (c == '\n')
		s->row++;
	else if (c == '\b')
		s->column--;
	else if (c >= ' ' && s->row < ROWS && s->column < COLUMNS)
		s->cell[s->row][s->column++] = c;
}

static bool shows(const struct screen *s, const char *what)
{
	int row;

	for (row = 0; row < ROWS; row++) {
		if (strstr(s->cell[row], what))
			return true;
	}
	return false;
}

/* Read until the screen shows it, or there is nothing more to read. */
static void read_until(struct screen *s, int fd, const char *what)
{
	char c;

	while (!shows(s, what) && read(fd, &c, 1) == 1)
		put(s, c);
	assert_true(shows(s, what));
}

static void screens(void **state)
{
	struct gmem *g = create_mixed();
	struct screen s = { };
	char want[64];
	int fd, status, row;
	pid_t pid;

	clear_screen(&s);
	pid = on_terminal("exec gmem top", &fd);
	/* Before the second screen there are no rates, afterwards they are of something. */
	read_until(&s, fd, "q quits");
	snprintf(want, sizeof(want), "%s  gmem-tool-live ", name_of(g));
	assert_true(shows(&s, want));
	assert_memory_equal(s.cell[0], "1 files of 64M, 32M held: 29.9M private, 2.0M shared ", 53);
	assert_memory_equal(s.cell[2], "FILE ", 5);
	assert_true(shows(&s, "       -         -        -        -"));
	read_until(&s, fd, "       0         0        0        0");
	for (row = 0; row < 5; row++)
		printf("# |%s|\n", s.cell[row]);
	assert_int_equal(write(fd, "q", 1), 1);
	while (read(fd, want, sizeof(want)) > 0)
		;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(fd);
	gmem_close(g);
}

#define PRIVATE	"\033[37;44m"
#define SHARED	"\033[30;43m"
#define MIXED	"\033[37;45m"
#define ABSENT	"\033[2m"
#define PLAIN	"\033[0m"

/* Each cell in its colour, rows as wide as is asked for. */
static void colours(void **state)
{
	static const char * const want[] = {
		"\r\n       2M  " PRIVATE "MMMMMMMMMMMMMMMM" PLAIN "\r\n",
		"\r\n       4M  " SHARED "mmmmmmmmmmmmmmmm" PLAIN "\r\n",
		"\r\n       8M  " MIXED "%" PLAIN PRIVATE "MMMMMMMMMMMMMMM" PLAIN "\r\n",
		"\r\n      32M  " ABSENT "________________" PLAIN "\r\n",
		"\r\n      40M  " MIXED "%" PLAIN ABSENT "_______________" PLAIN "\r\n",
	};
	struct gmem *g = create_mixed();
	size_t len = 0;
	char command[64];
	unsigned int i;
	int fd, status;
	ssize_t n;
	pid_t pid;

	snprintf(command, sizeof(command), "exec gmem map %s --width 16", name_of(g));
	pid = on_terminal(command, &fd);
	while ((n = read(fd, out + len, sizeof(out) - 1 - len)) > 0)
		len += n;
	out[len] = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(fd);
	for (i = 0; i < ARRAY_SIZE(want); i++)
		assert_non_null(strstr(out, want[i]));
	gmem_close(g);
}

struct tracer {
	pid_t pid;
	FILE *out;
};

/* Returns when it follows. */
static struct tracer trace_start(const char *arguments)
{
	char command[128], line[64];
	int text[2], notes[2];
	struct tracer t;
	FILE *in;

	snprintf(command, sizeof(command), "exec gmem trace %s", arguments);
	assert_int_equal(pipe2(text, O_CLOEXEC), 0);
	assert_int_equal(pipe2(notes, O_CLOEXEC), 0);
	fflush(stdout);
	t.pid = fork();
	if (!t.pid) {
		dup2(text[1], 1);
		dup2(notes[1], 2);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(98);
	}
	close(text[1]);
	close(notes[1]);
	in = fdopen(notes[0], "r");
	assert_non_null(fgets(line, sizeof(line), in));
	assert_string_equal(line, "gmem trace: following\n");
	fclose(in);
	t.out = fdopen(text[0], "r");
	return t;
}

#define INSTANCES	"/sys/kernel/tracing/instances"

/* The name of the only one, or nothing. */
static void instance(char name[300])
{
	DIR *dir = opendir(INSTANCES);
	struct dirent *d;

	assert_non_null(dir);
	*name = 0;
	while ((d = readdir(dir))) {
		if (*d->d_name == '.')
			continue;
		assert_string_equal(name, "");
		snprintf(name, 300, INSTANCES "/%s", d->d_name);
	}
	closedir(dir);
}

/* Its instance is gone, and so is what it had enabled. */
static void trace_ended(struct tracer *t, int expected)
{
	char name[300];
	int status;

	assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
	instance(name);
	assert_string_equal(name, "");
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), expected);
}

static void trace_end(struct tracer *t)
{
	assert_int_equal(kill(t->pid, SIGINT), 0);
	trace_ended(t, 0);
	fclose(t->out);
}

/* Of one file: nothing of the other comes between. */
static void of_one_file(void **state)
{
	static const char * const events[] = {
		"gmem_convert_begin", "gmem_invalidate_begin", "gmem_invalidate_end",
		"gmem_convert_end",
	};
	struct gmem *g = create_mixed(), *other = create_mixed();
	char want[64], line[512];
	struct json_object *o, *e;
	struct tracer t;
	unsigned int i;

	snprintf(want, sizeof(want), "%s --json", name_of(g));
	t = trace_start(want);
	assert_int_equal(gmem_convert(other, 0, PAGE, false, NULL, NULL), 0);
	assert_int_equal(gmem_convert(g, 2 * PAGE, PAGE, false, NULL, NULL), 0);
	snprintf(want, sizeof(want), "ino=%llu start=2 end=3 ",
		 (unsigned long long)kernel_says(g, "ino"));
	for (i = 0; i < ARRAY_SIZE(events); i++) {
		assert_non_null(fgets(line, sizeof(line), t.out));
		o = parse_valid(line);
		e = member(o, "event");
		assert_string_equal(text(e, "name"), events[i]);
		assert_memory_equal(text(e, "text"), want, strlen(want));
		json_object_put(o);
	}
	trace_end(&t);
	gmem_close(other);
	gmem_close(g);
}

static void of_one_event(void **state)
{
	struct gmem *g = create_mixed();
	struct tracer t = trace_start("--event gmem_convert_begin");
	char line[512];

	assert_int_equal(gmem_convert(g, 0, PAGE, false, NULL, NULL), 0);
	assert_int_equal(gmem_convert(g, 0, PAGE, true, NULL, NULL), 0);
	assert_non_null(fgets(line, sizeof(line), t.out));
	assert_non_null(strstr(line, ": gmem_convert_begin: "));
	assert_non_null(strstr(line, "start=0 end=1 private=0\n"));
	assert_non_null(fgets(line, sizeof(line), t.out));
	assert_non_null(strstr(line, ": gmem_convert_begin: "));
	assert_non_null(strstr(line, "start=0 end=1 private=1\n"));
	trace_end(&t);
	assert_int_equal(gmem("trace --event nothing"), 2);
	assert_int_equal(gmem("trace --event enable"), 2);
	assert_int_equal(gmem_as_nobody("trace"), 1);
	gmem_close(g);
}

/* Whatever ends it, nothing stays behind; with nohup the terminal's end does not. */
static void each_end(void **state)
{
	static const int ends[] = { SIGHUP, SIGQUIT, SIGTERM, SIGUSR1, SIGXCPU };
	struct gmem *g = create_mixed();
	struct tracer t;
	char line[512];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		t = trace_start("");
		assert_int_equal(kill(t.pid, ends[i]), 0);
		trace_ended(&t, 0);
		fclose(t.out);
	}
	signal(SIGHUP, SIG_IGN);
	t = trace_start("");
	signal(SIGHUP, SIG_DFL);
	assert_int_equal(kill(t.pid, SIGHUP), 0);
	assert_int_equal(gmem_convert(g, 0, PAGE, false, NULL, NULL), 0);
	assert_non_null(fgets(line, sizeof(line), t.out));
	trace_end(&t);
	gmem_close(g);
}

/* Nobody reads any more: while nothing happens, and while it waits for room. */
static void no_reader(void **state)
{
	struct gmem *g = create_mixed();
	struct tracer t = trace_start("");
	char line[512];
	int i, full;

	assert_int_equal(gmem_convert(g, 0, PAGE, false, NULL, NULL), 0);
	assert_non_null(fgets(line, sizeof(line), t.out));
	fclose(t.out);
	trace_ended(&t, 1);

	t = trace_start("--json");
	assert_int_equal(fcntl(fileno(t.out), F_SETPIPE_SZ, PAGE), PAGE);
	for (i = 0; i < 100; i++)
		assert_int_equal(gmem_convert(g, 0, PAGE, i & 1, NULL, NULL), 0);
	do {
		usleep(200000);
		assert_int_equal(ioctl(fileno(t.out), FIONREAD, &full), 0);
	} while (full < PAGE * 3 / 4);
	fclose(t.out);
	trace_ended(&t, 1);
	gmem_close(g);
}

/* What one of the same process number has left, when it was killed, is in nobody's way. */
static void left_behind(void **state)
{
	static char name[300];
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		snprintf(name, sizeof(name), INSTANCES "/gmem-%d", getpid());
		if (mkdir(name, 0700))
			_exit(99);
		execlp("gmem", "gmem", "trace", "--seconds", "0", NULL);
		_exit(98);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	instance(name);
	assert_int_equal(rmdir(name), 0);
	assert_int_equal(status, 0);
}

/* Names that would do something to a terminal, are no JSON, or look like the rest of it. */
static void hostile_names(void **state)
{
	static const char * const names[] = {
		"\033[2J\"\xff\xc3\\x", "a [b c d,e", "a: b: c", "-1 [0] . 1.5: g",
		"[001] ..... 1: ", "a\nb", "\n[LOST EVENTS]",
	};
	struct gmem *g = create_mixed();
	struct json_object *o, *e;
	struct tracer text_of, json_of;
	char line[512], want[64];
	unsigned int i, j;
	double last = 0;

	text_of = trace_start("--event gmem_convert_begin");
	json_of = trace_start("--event gmem_convert_begin --json");
	for (i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(prctl(PR_SET_NAME, names[i]), 0);
		assert_int_equal(gmem_convert(g, i * PAGE, PAGE, false, NULL, NULL), 0);
		assert_non_null(fgets(line, sizeof(line), json_of.out));
		o = parse_valid(line);
		e = member(o, "event");
		assert_string_equal(text(e, "name"), "gmem_convert_begin");
		snprintf(want, sizeof(want), " start=%u end=%u private=0", i, i + 1);
		assert_string_equal(strchr(text(e, "text"), ' '), want);
		assert_true(json_object_get_double(member(e, "seconds")) > last);
		last = json_object_get_double(member(e, "seconds"));
		json_object_put(o);
		do {
			assert_non_null(fgets(line, sizeof(line), text_of.out));
			for (j = 0; line[j] != '\n'; j++)
				assert_true(line[j] >= ' ' && line[j] <= '~');
		} while (!strstr(line, want));
	}
	assert_int_equal(prctl(PR_SET_NAME, "gmem-tool-live"), 0);
	assert_int_equal(kill(text_of.pid, SIGINT), 0);
	assert_int_equal(waitpid(text_of.pid, NULL, 0), text_of.pid);
	fclose(text_of.out);
	trace_end(&json_of);
	gmem_close(g);
}

#define MANY	2000

/* A reader that is too slow: what it misses is counted, and it is a failure. */
static void lost_events(void **state)
{
	struct gmem *g = create_mixed();
	struct tracer t = trace_start("--event gmem_convert_begin --json");
	char name[300], line[512], want[64];
	unsigned int i, printed = 0, lost = 0;
	struct json_object *o, *l;
	FILE *size;

	instance(name);
	strcat(name, "/buffer_size_kb");
	assert_int_equal(kill(t.pid, SIGSTOP), 0);
	size = fopen(name, "w");
	assert_non_null(size);
	assert_true(fputs("4", size) >= 0);
	assert_int_equal(fclose(size), 0);
	for (i = 0; i < MANY; i++)
		assert_int_equal(gmem_convert(g, 0, PAGE, i & 1, NULL, NULL), 0);
	assert_int_equal(kill(t.pid, SIGCONT), 0);
	while (printed + lost < MANY) {
		assert_non_null(fgets(line, sizeof(line), t.out));
		o = parse_valid(line);
		if (json_object_object_get_ex(o, "lost", &l))
			lost += number(l, "events");
		else
			printed++;
		json_object_put(o);
	}
	assert_int_equal(printed + lost, MANY);
	assert_true(lost > MANY / 2);
	assert_int_equal(kill(t.pid, SIGINT), 0);
	assert_non_null(fgets(line, sizeof(line), t.out));
	o = member(parse_valid(line), "error");
	snprintf(want, sizeof(want), "at least %u events were lost", lost);
	assert_string_equal(text(o, "message"), want);
	trace_ended(&t, 1);
	fclose(t.out);
	gmem_close(g);
}

static bool enough;

static void *flip(void *arg)
{
	int ret = 0;

	while (!ret && !__atomic_load_n(&enough, __ATOMIC_RELAXED)) {
		ret = gmem_convert(arg, 0, PAGE, false, NULL, NULL);
		ret = ret ? ret : gmem_convert(arg, 0, PAGE, true, NULL, NULL);
	}
	return (void *)(long)ret;
}

/* It ends when it should, though there is always more to read. */
static void without_end(void **state)
{
	struct gmem *g = create_mixed();
	pthread_t thread[2];
	unsigned int i;
	void *ret;

	for (i = 0; i < ARRAY_SIZE(thread); i++)
		assert_int_equal(pthread_create(&thread[i], NULL, flip, g), 0);
	/* Events that were lost are status 1. */
	for (i = 0; i < 2; i++)
		assert_in_range(gmem("trace --seconds %u >/dev/null", i), 0, 1);
	__atomic_store_n(&enough, true, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_SIZE(thread); i++) {
		pthread_join(thread[i], &ret);
		assert_null(ret);
	}
	gmem_close(g);
}

static void event_names(void **state)
{
	struct json_object *o = gmem_json(0, "trace --list");

	assert_true(json_object_array_length(member(o, "events")) >= 10);
	json_object_put(o);
	assert_int_equal(gmem("trace --list"), 0);
	assert_non_null(strstr(out, "gmem_convert_end\n"));
}

#define TEST(fn)	cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		TEST(screens), TEST(colours), TEST(of_one_file), TEST(of_one_event),
		TEST(each_end), TEST(no_reader), TEST(left_behind), TEST(hostile_names),
		TEST(lost_events), TEST(without_end), TEST(event_names),
	};

	if (kvm_open())
		return 1;
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("live", tests, NULL, NULL);
}
