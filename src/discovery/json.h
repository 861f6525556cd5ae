/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON from a peer (jansson), read member by member: what is missing or null is
 * empty, what is of another type is an error that names it. Invalid UTF-8 is
 * refused; a NUL, as "\\u0000", becomes U+FFFD, so that texts are whole in C.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/slice.h"

/* NULL and *e: it is none. json_decref() it. */
json_t *json_parse(struct slice json, struct error *e);
/* `what` is said when it is not. */
bool json_is_type(const json_t *value, json_type type, const char *what, struct error *e);
/* *to is NULL when it is missing or null, or when `object` is NULL. */
bool json_get(const json_t *object, const char *key, json_type type, json_t **to, struct error *e);
/* Borrowed from `object`, NUL-terminated. */
bool json_get_text(const json_t *object, const char *key, struct slice *to, struct error *e);
/* Of a string, borrowed; of NULL { NULL, 0 }. */
struct slice json_text(const json_t *string);
