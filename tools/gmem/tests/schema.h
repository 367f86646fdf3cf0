/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef SCHEMA_H
#define SCHEMA_H

#include <stdbool.h>
#include <json-c/json.h>

/*
 * Is the value what the schema says? As far as schema.json needs it: type, const,
 * enum, minimum, properties, required, additionalProperties, items, oneOf, and $ref
 * to a definition. Prints what is wrong.
 */
bool schema_valid(struct json_object *root, struct json_object *value);

#endif /* SCHEMA_H */
