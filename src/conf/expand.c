/* SPDX-License-Identifier: Apache-2.0
 *
 * Environment variables in values. See expand.h.
 */
#include "conf/expand.h"

#include <stdlib.h>

#include "conf/template.h"

struct expansion {
    const struct conf_place *at;
    struct arena            *arena;
    struct conf_budget      *budget;
    struct conf_report      *report;
    struct buffer            out;
};

static bool is_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        if (!is_letter && !(i && c >= '0' && c <= '9')) return false;
    }
    return s.len > 0;
}

static size_t find_text(struct slice s, struct slice what)
{
    const char *at = s.len ? memmem(s.data, s.len, what.data, what.len) : NULL;
    return at ? (size_t)(at - s.data) : s.len;
}

static bool put_bounded(struct expansion *x, struct slice value)
{
    if (value.len > x->budget->expanded_bytes) {
        conf_report_add(x->report, CONF_ERROR, x->at,
                        "the variables of this configuration put in more than %d MiB",
                        CONF_EXPANDED_BYTES_MAX >> 20);
        x->budget->expanded_bytes = 0;
        return false;
    }
    x->budget->expanded_bytes -= value.len;
    buffer_put_slice(&x->out, template_escape(value, x->arena)); /* it is text, whatever is in it */
    return true;
}

/* A variable of a request; "${header:-x}" is one of the environment with a default. */
static bool is_of_request(struct slice inside)
{
    struct slice name;
    return variable_find(inside, &name) != VARIABLE_TEXT && !slice_starts_with(name, S("-"));
}

/* Whose name was it meant to be? */
static struct slice hint(struct expansion *x, struct slice inside, const char *otherwise)
{
    struct slice near = variable_hint(inside, x->arena);
    return near.len ? near : slice_of(otherwise);
}

/* Those of the environment mostly have one, those of a request never. */
static bool has_capital(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.data[i] >= 'A' && name.data[i] <= 'Z') return true;
    return false;
}

/* `inside` is what stands between the braces. */
static bool put_variable(struct expansion *x, struct slice inside)
{
    size_t       name_len = find_text(inside, S(":-"));
    struct slice name = { inside.data, name_len };
    if (is_of_request(inside)) {
        buffer_printf(&x->out, "${%.*s}", SLICE_ARG(inside));
        return true;
    }
    if (!is_name(name)) {
        conf_report_error(x->report, x->at, hint(x, inside, "write `$${` for a plain `${`"),
                          "%s is not the name of a variable", conf_quote(x->arena, name));
        return false;
    }
    const char *value = getenv(arena_copy(x->arena, name).data);
    if (value && (*value || name_len == inside.len)) return put_bounded(x, slice_of(value));
    if (name_len < inside.len) return put_bounded(x, slice_from(inside, name_len + 2));
    const char *otherwise = has_capital(name)
                                ? "`${NAME:-default}` gives a default"
                                : "`${NAME:-default}` gives a default; `wharfgate reference` has "
                                  "the variables of a request";
    conf_report_error(x->report, x->at, hint(x, inside, otherwise),
                      "the environment variable %s is not set", conf_quote(x->arena, name));
    return false;
}

static bool expand_all(struct expansion *x, struct slice rest)
{
    for (;;) {
        size_t start = find_text(rest, S("${"));
        if (start == rest.len) break;
        bool is_escaped = start && rest.data[start - 1] == '$';
        buffer_put(&x->out, rest.data, start - is_escaped);
        rest = slice_from(rest, start);
        if (is_escaped) {
            buffer_put_slice(&x->out, S("$${"));
            rest = slice_from(rest, 2);
            continue;
        }
        size_t close = slice_find(rest, '}');
        if (close == rest.len) {
            conf_report_error(x->report, x->at, S("write `$${` for a plain `${`"),
                              "`${` without its `}`");
            return false;
        }
        if (!put_variable(x, slice_make(rest.data + 2, close - 2))) return false;
        rest = slice_from(rest, close + 1);
    }
    buffer_put_slice(&x->out, rest);
    return true;
}

bool conf_expand(struct conf_node *n, struct arena *a, struct conf_budget *budget,
                 struct conf_report *r)
{
    if (find_text(n->text, S("${")) == n->text.len) return true;
    struct expansion x = { &n->at, a, budget, r, BUFFER_INIT };
    bool             is_good = expand_all(&x, n->text);
    n->text = arena_copy(a, buffer_slice(&x.out));
    n->is_template = find_text(n->text, S("${")) < n->text.len;
    buffer_reset(&x.out);
    return is_good;
}
