/* SPDX-License-Identifier: Apache-2.0
 *
 * An explanation as text. See explain_view.h.
 */
#include "cli/explain_view.h"

#include "cli/cells.h"
#include "cli/status_words.h"

enum { NAME_WIDTH_MAX = 32, LABEL_WIDTH = 10, ID_SHOWN = 12 };

struct view {
    struct buffer *to;
    bool           has_color;
};

/* ---- lines ---- */

static void put_label(const struct view *v, const char *label)
{
    status_put_styled(v->to, v->has_color, STYLE_BOLD, slice_of(label));
    cells_pad(v->to, LABEL_WIDTH - strlen(label));
}

static void put(const struct view *v, const json_t *object, const char *key)
{
    cells_put(v->to, status_text(object, key));
}

static bool has(const json_t *object, const char *key)
{
    return status_text(object, key).len > 0;
}

/* "text", after `before` where there is one. */
static void put_after(const struct view *v, const char *before, const json_t *object,
                      const char *key)
{
    if (!has(object, key)) return;
    buffer_puts(v->to, before);
    put(v, object, key);
}

static void put_line(const struct view *v, const char *label, const json_t *object, const char *key,
                     const char *second)
{
    put_label(v, label);
    put(v, object, key);
    put_after(v, ": ", object, second);
    buffer_put_char(v->to, '\n');
}

/* The widest of the names, within reason. */
static size_t name_width(const json_t *list, const char *key)
{
    size_t  width = 0, i;
    json_t *item;
    json_array_foreach (list, i, item) {
        struct buffer name = BUFFER_INIT;
        cells_put(&name, status_text(item, key));
        size_t wide = cells_width(buffer_slice(&name));
        if (wide > width && wide <= NAME_WIDTH_MAX) width = wide;
        buffer_reset(&name);
    }
    return width;
}

static void put_padded(const struct view *v, const json_t *object, const char *key, size_t width)
{
    size_t from = v->to->len;
    put(v, object, key);
    size_t wide = cells_width(slice_from(buffer_slice(v->to), from));
    cells_pad(v->to, wide < width ? width - wide : 0);
}

/* ---- a URL ---- */

static void put_request(const struct view *v, const json_t *request)
{
    size_t from = v->to->len;
    put(v, request, "method");
    put_after(v, " ", request, "scheme");
    buffer_puts(v->to, "://");
    put(v, request, "host");
    put(v, request, "path");
    put_after(v, "?", request, "query");
    struct buffer line = BUFFER_INIT;
    buffer_put_slice(&line, slice_from(buffer_slice(v->to), from));
    v->to->len = from;
    status_put_styled(v->to, v->has_color, STYLE_BOLD, buffer_slice(&line));
    buffer_put_char(v->to, '\n');
    buffer_reset(&line);
}

static void put_listener(const struct view *v, const json_t *listener)
{
    size_t  i;
    json_t *name;
    put_label(v, "listener");
    if (!has(listener, "name")) buffer_puts(v->to, "none");
    put(v, listener, "name");
    put_after(v, ": ", listener, "why");
    json_array_foreach (json_object_get(listener, "also"), i, name) {
        buffer_puts(v->to, i ? ", " : "; as well: ");
        cells_put(v->to, slice_make(json_string_value(name), json_string_length(name)));
    }
    buffer_put_char(v->to, '\n');
}

static void put_route(const struct view *v, const json_t *root)
{
    const json_t *route = json_object_get(root, "route");
    put_label(v, "route");
    if (!has(route, "name")) {
        status_put_styled(v->to, v->has_color, STYLE_BAD, S("none: the answer is 404"));
        buffer_put_char(v->to, '\n');
        return;
    }
    put(v, route, "name");
    put_after(v, ": ", route, "why");
    buffer_put_char(v->to, '\n');
    if (!has(route, "at")) return;
    cells_pad(v->to, LABEL_WIDTH);
    put(v, route, "at");
    buffer_put_char(v->to, '\n');
}

static void put_filters(const struct view *v, const json_t *filters)
{
    size_t  i;
    json_t *filter;
    json_array_foreach (filters, i, filter)
        put_line(v, i ? "" : "filters", filter, "name", "detail");
}

/* "ready", "unhealthy: connect_refused": as the status has it. */
static void put_state(const struct view *v, const json_t *endpoint)
{
    struct buffer state = BUFFER_INIT;
    cells_put(&state, status_text(endpoint, "state"));
    status_put_styled(v->to, v->has_color, status_style_of(endpoint), buffer_slice(&state));
    buffer_reset(&state);
    put_after(v, ": ", endpoint, "reason");
    if (status_is(endpoint, "backup")) buffer_puts(v->to, " (backup)");
}

static void put_endpoints(const struct view *v, const json_t *endpoints)
{
    size_t  i, width = name_width(endpoints, "address");
    json_t *endpoint;
    json_array_foreach (endpoints, i, endpoint) {
        cells_pad(v->to, LABEL_WIDTH);
        put_padded(v, endpoint, "address", width);
        buffer_puts(v->to, "  ");
        put_state(v, endpoint);
        buffer_put_char(v->to, '\n');
    }
    if (i) return;
    cells_pad(v->to, LABEL_WIDTH);
    buffer_puts(v->to, "no endpoint is known\n");
}

static void put_upstream(const struct view *v, const json_t *upstream)
{
    const json_t *choice = json_object_get(upstream, "choice");
    put_label(v, "upstream");
    put(v, upstream, "name");
    put_after(v, ", by ", upstream, "balance");
    put_after(v, "; ", upstream, "trouble");
    buffer_put_char(v->to, '\n');
    put_endpoints(v, json_object_get(upstream, "endpoints"));
    put_label(v, "goes to");
    put(v, choice, "endpoint");
    put_after(v, has(choice, "endpoint") ? ": " : "", choice, "why");
    buffer_put_char(v->to, '\n');
}

static void put_others(const struct view *v, const json_t *root)
{
    const json_t *others = json_object_get(root, "others");
    double        left = 0;
    size_t        i, width = name_width(others, "name");
    json_t       *other;
    if (json_array_size(others) + json_array_size(json_object_get(root, "refused")))
        buffer_puts(v->to, "\nWhy not another route:\n");
    json_array_foreach (others, i, other) {
        buffer_puts(v->to, "  ");
        put_padded(v, other, "name", width);
        put_after(v, "  ", other, "why");
        buffer_put_char(v->to, '\n');
    }
    json_array_foreach (json_object_get(root, "refused"), i, other) {
        buffer_puts(v->to, "  ");
        put(v, other, "name");
        put_after(v, " of container ", other, "container");
        put_after(v, " is refused: ", other, "why");
        buffer_put_char(v->to, '\n');
    }
    if (status_number(root, "left_out", &left) && left > 0)
        buffer_printf(v->to, "  and %.0f more\n", left);
    if (status_is(root, "hit_regex_limit"))
        buffer_puts(v->to,
                    "A regular expression gave up at its limits and counts as not matching.\n");
}

static void put_url(const struct view *v, const json_t *root)
{
    put_request(v, json_object_get(root, "request"));
    put_listener(v, json_object_get(root, "listener"));
    put_route(v, root);
    put_filters(v, json_object_get(root, "filters"));
    if (has(root, "bounds")) put_line(v, "bounds", root, "bounds", "");
    if (has(root, "origin")) put_line(v, "answer", root, "origin", "detail");
    if (json_is_object(json_object_get(root, "upstream")))
        put_upstream(v, json_object_get(root, "upstream"));
    put_others(v, root);
}

/* ---- a container ---- */

static void put_networks(const struct view *v, const json_t *container)
{
    const json_t *networks = json_object_get(container, "networks");
    const json_t *ports = json_object_get(container, "ports");
    size_t        i;
    json_t       *item;
    put_label(v, "networks");
    if (!json_array_size(networks)) buffer_puts(v->to, "none");
    json_array_foreach (networks, i, item) {
        buffer_puts(v->to, i ? ", " : "");
        put(v, item, "name");
        put_after(v, " ", item, "address");
    }
    buffer_put_char(v->to, '\n');
    put_label(v, "ports");
    if (!json_array_size(ports)) buffer_puts(v->to, "none is exposed");
    json_array_foreach (ports, i, item)
        buffer_printf(v->to, "%s%.0f", i ? ", " : "", json_number_value(item));
    buffer_put_char(v->to, '\n');
}

static void put_labels(const struct view *v, const json_t *container)
{
    size_t  i;
    json_t *label;
    json_array_foreach (json_object_get(container, "labels"), i, label) {
        put_label(v, i ? "" : "labels");
        put(v, label, "name");
        buffer_put_char(v->to, '=');
        put(v, label, "value");
        put_after(v, ": ", label, "meaning");
        buffer_put_char(v->to, '\n');
    }
    if (!i) buffer_puts(v->to, "labels    none that is read\n");
    json_array_foreach (json_object_get(container, "misspelt"), i, label) {
        put_label(v, "unknown");
        put(v, label, "name");
        put_after(v, ": did you mean ", label, "meant");
        buffer_puts(v->to, has(label, "meant") ? "?\n" : ": there is no such label\n");
    }
}

static void put_replica(const struct view *v, const json_t *upstream)
{
    double port = 0;
    put_state(v, upstream);
    put_after(v, ", at ", upstream, "address");
    buffer_put_char(v->to, '\n');
    if (has(upstream, "network")) put_line(v, "  network", upstream, "network", "network_why");
    if (!has(upstream, "port_why") || !status_number(upstream, "port", &port)) return;
    put_label(v, "  port");
    buffer_printf(v->to, "%.0f: ", port);
    put(v, upstream, "port_why");
    buffer_put_char(v->to, '\n');
}

static void put_own_route(const struct view *v, const json_t *root)
{
    const json_t *route = json_object_get(root, "route");
    if (has(root, "no_route")) put_line(v, "no route", root, "no_route", "");
    if (!json_is_object(route)) return;
    put_label(v, "route");
    put(v, route, "name");
    put_after(v, ", ", route, "hosts");
    put_after(v, " ", route, "path");
    put_after(v, ": ", route, "state");
    put_after(v, ": ", route, "reason");
    buffer_put_char(v->to, '\n');
    if (has(route, "warning")) put_line(v, "", route, "warning", "");
}

static void put_memberships(const struct view *v, const json_t *root)
{
    const json_t *upstreams = json_object_get(root, "upstreams");
    size_t        i;
    json_t       *upstream;
    buffer_put_char(v->to, '\n');
    json_array_foreach (upstreams, i, upstream) {
        put_label(v, "upstream");
        put(v, upstream, "name");
        buffer_puts(v->to, ": ");
        if (status_is(upstream, "member")) {
            put_replica(v, upstream);
            continue;
        }
        buffer_puts(v->to, "no replica of it");
        put_after(v, ": ", upstream, "reason");
        buffer_put_char(v->to, '\n');
    }
    if (!i && !json_is_object(json_object_get(root, "route")))
        buffer_puts(v->to, "No upstream has `docker`.\n");
}

static void put_container(const struct view *v, const json_t *root)
{
    const json_t *container = json_object_get(root, "container");
    struct slice  id = status_text(container, "id");
    put_label(v, "container");
    put(v, container, "name");
    buffer_puts(v->to, has(container, "name") ? " " : "");
    cells_put(v->to, slice_make(id.data, id.len > ID_SHOWN ? ID_SHOWN : id.len));
    put_after(v, ": ", container, "state");
    put_after(v, ", ", container, "health");
    buffer_put_char(v->to, '\n');
    put_networks(v, container);
    put_labels(v, container);
    if (status_is(container, "cut"))
        buffer_puts(v->to, "It has more labels or networks than are read.\n");
    put_own_route(v, root);
    put_memberships(v, root);
    if (has(root, "trouble")) put_line(v, "docker", root, "trouble", "");
}

void explain_view_put(struct buffer *to, const json_t *root, bool has_color)
{
    struct view v = { to, has_color };
    if (json_is_object(json_object_get(root, "container")))
        put_container(&v, root);
    else
        put_url(&v, root);
}
