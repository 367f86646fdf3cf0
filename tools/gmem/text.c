// SPDX-License-Identifier: GPL-2.0-only
/* Text and JSON. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

struct json_object *failures;

int fail(enum status status, const char *advice, const char *fmt, ...)
{
	struct json_object *report, *error;
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fprintf(stderr, "gmem %s: %s%s%s\n", verb_name, text, advice ? ": " : "",
		advice ? advice : "");
	if (json_wanted) {
		error = json_object_new_object();
		put_u64(error, "status", status);
		put_text(error, "message", text);
		json_object_object_add(error, "advice",
				       advice ? json_object_new_string(advice) : NULL);
		if (failures) {
			json_object_array_add(failures, error);
			return status;
		}
		report = report_new();
		json_object_object_add(report, "error", error);
		report_print(report);
	}
	return status;
}

void note(const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "gmem %s: ", verb_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void *alloc(size_t size)
{
	void *p = calloc(1, size ? size : 1);

	if (!p) {
		fprintf(stderr, "gmem %s: no memory\n", verb_name);
		exit(FAILED);
	}
	return p;
}

void make_printable(char *text)
{
	for (; *text; text++) {
		if (*text < ' ' || *text > '~')
			*text = '?';
	}
}

const char *size_text(char buf[SIZE_TEXT], uint64_t size)
{
	static const char units[] = "KMGT";
	unsigned int unit = 0;

	if (size < 1024) {
		snprintf(buf, SIZE_TEXT, "%llu", (unsigned long long)size);
		return buf;
	}
	while (unit < 3 && size >= 1024ULL << (10 * (unit + 1)))
		unit++;
	if (size % (1024ULL << (10 * unit)))
		snprintf(buf, SIZE_TEXT, "%llu.%llu%c",
			 (unsigned long long)(size >> (10 * (unit + 1))),
			 (unsigned long long)((size >> (10 * unit)) % 1024 * 10 / 1024),
			 units[unit]);
	else
		snprintf(buf, SIZE_TEXT, "%llu%c",
			 (unsigned long long)(size >> (10 * (unit + 1))), units[unit]);
	return buf;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool parse_size(const char *text, uint64_t *size)
{
	static const char units[] = "KMGT";
	const char *unit;
	unsigned int shift = 0;
	char *rest;

	/* 010 is eight to some and ten to others. */
	if (!is_digit(*text) || (*text == '0' && is_digit(text[1])))
		return false;
	errno = 0;
	*size = strtoull(text, &rest, text[1] == 'x' ? 16 : 10);
	if (errno)
		return false;
	if (*rest) {
		unit = strchr(units, *rest);
		if (!unit || rest[1])
			return false;
		shift = 10 * (unit - units + 1);
	}
	if (*size > UINT64_MAX >> shift)
		return false;
	*size <<= shift;
	return true;
}

bool parse_unsigned(const char *text, unsigned long max, unsigned long *value)
{
	char *rest;

	if (!is_digit(*text))
		return false;
	errno = 0;
	*value = strtoul(text, &rest, 10);
	return !errno && !*rest && *value <= max;
}

void table_init(struct table *t, size_t columns)
{
	memset(t, 0, sizeof(*t));
	t->columns = columns;
}

/* A row is complete with its last cell. */
void table_add(struct table *t, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = alloc(1);
	va_end(ap);
	t->cell[t->nr++] = text;
	if (t->nr < t->columns)
		return;
	t->row = realloc(t->row, (t->rows + 1) * sizeof(*t->row));
	t->row[t->rows] = alloc(sizeof(t->cell));
	memcpy(t->row[t->rows++], t->cell, sizeof(t->cell));
	t->nr = 0;
}

static int column_width(const struct table *t, size_t column)
{
	int width = 0, len;
	size_t i;

	for (i = 0; i < t->rows; i++) {
		len = strlen(t->row[i][column]);
		width = len > width ? len : width;
	}
	return width;
}

void table_print(struct table *t, size_t left, FILE *out)
{
	int width[ARRAY_SIZE(t->cell)];
	size_t i, j;

	for (j = 0; j < t->columns; j++)
		width[j] = column_width(t, j);
	for (i = 0; i < t->rows; i++) {
		for (j = 0; j < t->columns; j++) {
			if (j + 1 == t->columns && j < left)
				fprintf(out, "%s", t->row[i][j]);
			else
				fprintf(out, "%*s%s", j < left ? -width[j] : width[j], t->row[i][j],
					j + 1 < t->columns ? "  " : "");
			free(t->row[i][j]);
		}
		fputc('\n', out);
		free(t->row[i]);
	}
	free(t->row);
}

struct json_object *report_new(void)
{
	struct json_object *report = json_object_new_object();

	put_u64(report, "schema", SCHEMA);
	put_text(report, "verb", verb_name);
	return report;
}

void report_print(struct json_object *report)
{
	printf("%s\n", json_object_to_json_string_ext(report, JSON_C_TO_STRING_PLAIN |
						      JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(report);
}

void put_u64(struct json_object *o, const char *key, uint64_t value)
{
	json_object_object_add(o, key, json_object_new_uint64(value));
}

void put_text(struct json_object *o, const char *key, const char *value)
{
	json_object_object_add(o, key, json_object_new_string(value));
}

void put_bool(struct json_object *o, const char *key, bool value)
{
	json_object_object_add(o, key, json_object_new_boolean(value));
}
