// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <string.h>

#include "schema.h"

/* What is wrong is printed, but not while one of several schemas is looked for. */
static unsigned int quiet;

static bool check(struct json_object *root, struct json_object *schema, struct json_object *value,
		  const char *where);

static bool wrong(const char *where, const char *what, struct json_object *value)
{
	if (!quiet)
		printf("# %s: %s: %s\n", where, what, json_object_to_json_string(value));
	return false;
}

static bool has_type(const char *type, struct json_object *value)
{
	enum json_type is = json_object_get_type(value);

	if (!strcmp(type, "number"))
		return is == json_type_int || is == json_type_double;
	if (!strcmp(type, "integer"))
		return is == json_type_int;
	return !strcmp(type, json_type_to_name(is));
}

static bool check_type(struct json_object *type, struct json_object *value)
{
	size_t i;

	if (json_object_is_type(type, json_type_string))
		return has_type(json_object_get_string(type), value);
	for (i = 0; i < json_object_array_length(type); i++) {
		if (has_type(json_object_get_string(json_object_array_get_idx(type, i)), value))
			return true;
	}
	return false;
}

static bool is_one_of(struct json_object *list, struct json_object *value)
{
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++) {
		if (json_object_equal(json_object_array_get_idx(list, i), value))
			return true;
	}
	return false;
}

static bool check_properties(struct json_object *root, struct json_object *schema,
			     struct json_object *value, const char *where)
{
	struct json_object *properties = NULL, *more = NULL, *required, *one;
	size_t i;

	json_object_object_get_ex(schema, "properties", &properties);
	json_object_object_get_ex(schema, "additionalProperties", &more);
	json_object_object_foreach(value, key, member) {
		if (json_object_object_get_ex(properties, key, &one)) {
			if (!check(root, one, member, key))
				return false;
		} else if (json_object_is_type(more, json_type_object)) {
			if (!check(root, more, member, key))
				return false;
		} else if (properties) {
			/* The schema lets keys be added; nobody adds one without it. */
			return wrong(key, "is not in the schema", member);
		}
	}
	if (!json_object_object_get_ex(schema, "required", &required))
		return true;
	for (i = 0; i < json_object_array_length(required); i++) {
		one = json_object_array_get_idx(required, i);
		if (!json_object_object_get_ex(value, json_object_get_string(one), NULL))
			return wrong(where, "lacks", one);
	}
	return true;
}

static bool check_items(struct json_object *root, struct json_object *items,
			struct json_object *value, const char *where)
{
	size_t i;

	for (i = 0; i < json_object_array_length(value); i++) {
		if (!check(root, items, json_object_array_get_idx(value, i), where))
			return false;
	}
	return true;
}

static bool check_one_of(struct json_object *root, struct json_object *list,
			 struct json_object *value, const char *where)
{
	size_t i, fits = 0;

	quiet++;
	for (i = 0; i < json_object_array_length(list); i++)
		fits += check(root, json_object_array_get_idx(list, i), value, where);
	quiet--;
	return fits == 1 || wrong(where, "fits not one of the schemas", value);
}

static struct json_object *follow(struct json_object *root, struct json_object *ref)
{
	static const char start[] = "#/definitions/";
	const char *name = json_object_get_string(ref);
	struct json_object *definitions = NULL, *one = NULL;

	json_object_object_get_ex(root, "definitions", &definitions);
	if (!strncmp(name, start, strlen(start)))
		json_object_object_get_ex(definitions, name + strlen(start), &one);
	return one;
}

static bool check(struct json_object *root, struct json_object *schema, struct json_object *value,
		  const char *where)
{
	struct json_object *rule;

	if (json_object_object_get_ex(schema, "$ref", &rule)) {
		schema = follow(root, rule);
		if (!schema)
			return wrong(where, "no such definition", rule);
	}
	if (json_object_object_get_ex(schema, "type", &rule) && !check_type(rule, value))
		return wrong(where, "another type", value);
	if (json_object_object_get_ex(schema, "const", &rule) && !json_object_equal(rule, value))
		return wrong(where, "another value", value);
	if (json_object_object_get_ex(schema, "enum", &rule) && !is_one_of(rule, value))
		return wrong(where, "none of the values", value);
	if (json_object_object_get_ex(schema, "minimum", &rule) &&
	    json_object_get_int64(value) < json_object_get_int64(rule))
		return wrong(where, "too small", value);
	if (json_object_is_type(value, json_type_object) &&
	    !check_properties(root, schema, value, where))
		return false;
	if (json_object_is_type(value, json_type_array) &&
	    json_object_object_get_ex(schema, "items", &rule) &&
	    !check_items(root, rule, value, where))
		return false;
	return !json_object_object_get_ex(schema, "oneOf", &rule) ||
	       check_one_of(root, rule, value, where);
}

bool schema_valid(struct json_object *root, struct json_object *value)
{
	return check(root, root, value, "all of it");
}
