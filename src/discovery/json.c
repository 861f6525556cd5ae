/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON by members and their types. See json.h.
 */
#include "discovery/json.h"

#include <stdlib.h>

#include "base/buffer.h"

/* jansson refuses "\u0000", which a label may well hold. It becomes U+FFFD, in place. */
static void replace_nul_escapes(char *text, size_t len)
{
    for (size_t i = 0; i + 1 < len; i++) {
        if (text[i] != '\\') continue;
        i++; /* the escaped character: another backslash begins nothing */
        if (len - i >= 5 && !memcmp(text + i, "u0000", 5)) memcpy(text + i, "ufffd", 5);
    }
}

json_t *json_parse(struct slice json, struct error *e)
{
    json_error_t fault = { .text = "" };
    char        *copy = NULL;
    if (json.len && memmem(json.data, json.len, "u0000", 5)) {
        struct buffer b = BUFFER_INIT;
        buffer_put_slice(&b, json);
        copy = buffer_detach(&b);
        replace_nul_escapes(copy, json.len);
        json.data = copy;
    }
    json_t *root = json_loadb(json.data ? json.data : "", json.len, 0, &fault);
    free(copy);
    if (!root) error_set(e, "no JSON: %s", fault.text);
    return root;
}

/* ---- members, by type ---- */

static const char *const type_names[] = {
    [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array",  [JSON_STRING] = "a string",
    [JSON_INTEGER] = "a number", [JSON_REAL] = "a fraction", [JSON_TRUE] = "true",
    [JSON_FALSE] = "false",      [JSON_NULL] = "null",
};

bool json_is_type(const json_t *value, json_type type, const char *what, struct error *e)
{
    if (json_typeof(value) == type) return true;
    return error_set(e, "%s: expected %s, not %s", what, type_names[type],
                     type_names[json_typeof(value)]);
}

bool json_get(const json_t *object, const char *key, json_type type, json_t **to, struct error *e)
{
    *to = json_object_get(object, key);
    if (json_is_null(*to)) *to = NULL;
    return !*to || json_is_type(*to, type, key, e);
}

struct slice json_text(const json_t *string)
{
    return string ? slice_make(json_string_value(string), json_string_length(string))
                  : (struct slice){ 0 };
}

bool json_get_text(const json_t *object, const char *key, struct slice *to, struct error *e)
{
    json_t *value;
    bool    ok = json_get(object, key, JSON_STRING, &value, e);
    *to = ok ? json_text(value) : (struct slice){ 0 };
    return ok;
}
