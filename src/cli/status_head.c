/* SPDX-License-Identifier: Apache-2.0
 *
 * Head line and headings of a status. See status_head.h.
 */
#include "cli/status_head.h"

#include "cli/cells.h"
#include "cli/status_words.h"

/* One remark of a line. */
static void put_remark(struct buffer *to, bool has_color, enum status_style style,
                       struct buffer *text)
{
    buffer_puts(to, "  ");
    status_put_styled(to, has_color, style, buffer_slice(text));
    buffer_reset(text);
}

/* ---- the gateway ---- */

static size_t count_errors(const json_t *problems)
{
    size_t  i, count = 0;
    json_t *problem;
    json_array_foreach (problems, i, problem)
        count += slice_eq(status_text(problem, "severity"), S("error"));
    return count;
}

static void put_reload(struct buffer *to, const json_t *root, double now, bool has_color)
{
    const json_t *last = json_object_get(json_object_get(root, "reloads"), "last");
    struct buffer text = BUFFER_INIT;
    bool          is_ok = status_is(last, "ok");
    double        at;
    if (!json_is_object(last)) return;
    buffer_puts(&text, is_ok ? "last reload ok" : "last reload refused");
    if (status_number(last, "at", &at)) {
        buffer_puts(&text, ", ");
        status_put_age(&text, at, now);
        buffer_puts(&text, " ago");
    }
    if (!is_ok) {
        size_t errors = count_errors(json_object_get(last, "problems"));
        buffer_printf(&text, ": %zu error%s", errors, errors == 1 ? "" : "s");
    }
    put_remark(to, has_color, is_ok ? STYLE_PLAIN : STYLE_BAD, &text);
}

static void put_listeners(struct buffer *to, const json_t *root)
{
    const char *name;
    json_t     *addresses, *address;
    size_t      i;
    json_object_foreach (json_object_get(root, "listeners"), name, addresses) {
        buffer_puts(to, "  ");
        cells_put(to, slice_of(name));
        json_array_foreach (addresses, i, address) {
            buffer_put_char(to, ' ');
            cells_put(to, slice_make(json_string_value(address), json_string_length(address)));
        }
    }
}

static void put_process(struct buffer *to, const json_t *root, double now)
{
    double value;
    if (status_number(root, "started", &value)) {
        buffer_puts(to, "  up ");
        status_put_age(to, value, now);
    }
    if (status_number(root, "generation", &value)) buffer_printf(to, "  generation %.0f", value);
}

/* Only that it is away: what is shown may be old then. */
static void put_docker(struct buffer *to, const json_t *root, double now, bool has_color)
{
    const json_t *docker = json_object_get(root, "docker");
    struct buffer text = BUFFER_INIT;
    double        at;
    if (!json_is_object(docker) || status_is(docker, "connected")) return;
    buffer_puts(&text, "Docker daemon away");
    if (status_number(docker, "listed", &at)) {
        buffer_puts(&text, ", containers as they were ");
        status_put_age(&text, at, now);
        buffer_puts(&text, " ago");
    }
    put_remark(to, has_color, STYLE_BAD, &text);
}

/* That it is on, and by what: that is what turns it off again. */
static void put_maintenance(struct buffer *to, const json_t *maintenance, bool has_color)
{
    struct buffer text = BUFFER_INIT;
    const char   *separator = ": ";
    size_t        i;
    json_t       *file;
    if (!status_is(maintenance, "on")) return;
    buffer_puts(&text, "maintenance is on");
    if (status_is(maintenance, "asked")) {
        buffer_printf(&text, "%sby command", separator);
        separator = ", ";
    }
    json_array_foreach (json_object_get(maintenance, "files"), i, file) {
        if (!status_is(file, "exists")) continue;
        buffer_puts(&text, separator);
        cells_put(&text, status_text(file, "path"));
        buffer_puts(&text, " is there");
        separator = ", ";
    }
    put_remark(to, has_color, STYLE_WARNING, &text);
}

void status_put_head(struct buffer *to, const json_t *root, double now, bool has_color)
{
    struct buffer text = BUFFER_INIT;
    double        crashes;
    buffer_puts(&text, "wharfgate ");
    cells_put(&text, status_text(root, "version"));
    status_put_styled(to, has_color, STYLE_BOLD, buffer_slice(&text));
    buffer_reset(&text);
    put_process(to, root, now);
    put_reload(to, root, now, has_color);
    if (status_number(root, "worker_crashes", &crashes) && crashes > 0) {
        buffer_printf(&text, "worker crashes: %.0f", crashes);
        put_remark(to, has_color, STYLE_BAD, &text);
    }
    put_maintenance(to, json_object_get(root, "maintenance"), has_color);
    if (status_is(root, "stopping")) {
        buffer_puts(&text, "stopping");
        put_remark(to, has_color, STYLE_WARNING, &text);
    }
    put_docker(to, root, now, has_color);
    put_listeners(to, root);
}

/* ---- an upstream ---- */

struct tally {
    size_t all, ready, known;
};

static struct tally count_endpoints(const json_t *upstream)
{
    const json_t *endpoints = json_object_get(upstream, "endpoints");
    struct tally  t = { .all = json_array_size(endpoints) };
    size_t        i;
    json_t       *endpoint;
    json_array_foreach (endpoints, i, endpoint) {
        t.ready += status_is_ready(endpoint);
        t.known += status_text(endpoint, "state").len > 0;
    }
    return t;
}

static void put_ready(struct buffer *to, const json_t *upstream, bool has_color)
{
    struct buffer     text = BUFFER_INIT;
    struct tally      t = count_endpoints(upstream);
    enum status_style style = STYLE_PLAIN;
    if (t.known < t.all)
        buffer_printf(&text, "%zu endpoint%s", t.all, t.all == 1 ? "" : "s");
    else
        buffer_printf(&text, "%zu of %zu ready", t.ready, t.all);
    if (t.known == t.all && t.ready < t.all) style = STYLE_WARNING;
    if (t.known == t.all && !t.ready) style = STYLE_BAD;
    put_remark(to, has_color, style, &text);
}

static void put_load(struct buffer *to, const json_t *upstream, bool has_color)
{
    struct buffer text = BUFFER_INIT;
    double        value;
    if (status_number(upstream, "active", &value)) buffer_printf(to, "  %.0f active", value);
    if (!status_number(upstream, "queued", &value)) return;
    buffer_printf(&text, "%.0f queued", value);
    put_remark(to, has_color, value > 0 ? STYLE_WARNING : STYLE_PLAIN, &text);
}

void status_put_heading(struct buffer *to, const json_t *upstream, bool has_color)
{
    struct buffer text = BUFFER_INIT;
    struct slice  trouble = status_text(upstream, "trouble");
    cells_put(&text, status_text(upstream, "name"));
    status_put_styled(to, has_color, STYLE_BOLD, buffer_slice(&text));
    buffer_puts(to, "  ");
    buffer_reset(&text);
    cells_put(to, status_text(upstream, "balance"));
    put_ready(to, upstream, has_color);
    put_load(to, upstream, has_color);
    if (status_is(upstream, "panic")) {
        buffer_puts(&text, "panic: ejected ones get requests too");
        put_remark(to, has_color, STYLE_BAD, &text);
    }
    if (!trouble.len) return;
    cells_put(&text, trouble);
    put_remark(to, has_color, STYLE_BAD, &text);
}
