/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of the status. See status_view.h.
 */
#include "cli/status_view.h"

#include "cli/cells.h"
#include "cli/status_head.h"
#include "cli/status_lines.h"
#include "cli/status_words.h"

enum {
    GAP = 2,          /* between columns, and before the first */
    LAST_MIN = 20,    /* of the last column; others give way */
    ADDRESS_MIN = 16, /* but not further */
    LINES_ABOVE = 3,  /* head, note, titles */
};

/* ---- columns ---- */

struct row {
    const struct status_view *view;
    const json_t             *upstream, *endpoint;
};

struct column {
    const char *title;
    bool        is_right;
    void (*put)(struct buffer *to, const struct row *r);
};

static void put_address(struct buffer *to, const struct row *r)
{
    cells_put(to, status_text(r->endpoint, "address"));
}

static void put_state(struct buffer *to, const struct row *r)
{
    struct slice state = status_text(r->endpoint, "state");
    cells_put(to, state.len ? state : S("-"));
}

static void put_since(struct buffer *to, const struct row *r)
{
    double since;
    if (status_number(r->endpoint, "since", &since))
        status_put_age(to, since, r->view->now);
    else
        buffer_puts(to, "-");
}

static void put_active(struct buffer *to, const struct row *r)
{
    status_put_count(to, r->endpoint, "active");
}

static void put_requests(struct buffer *to, const struct row *r)
{
    status_put_count(to, r->endpoint, "requests");
}

static void put_rate(struct buffer *to, const struct row *r)
{
    double rate;
    if (status_rate(r->view->rates, r->upstream, r->endpoint, &rate))
        status_put_rate(to, rate);
    else
        buffer_puts(to, "-");
}

static void put_failed(struct buffer *to, const struct row *r)
{
    status_put_count(to, r->endpoint, "failed");
}

static void put_latency(struct buffer *to, const struct row *r)
{
    double ms;
    if (status_number(r->endpoint, "latency_ms", &ms))
        status_put_latency(to, ms);
    else
        buffer_puts(to, "-");
}

/* The reason first: it is what is asked for when something is wrong. */
static void put_check(struct buffer *to, const struct row *r)
{
    const json_t *check = json_object_get(r->endpoint, "check");
    if (status_is(r->endpoint, "backup")) buffer_puts(to, "backup; ");
    if (!status_is_fine(r->endpoint)) {
        status_put_reason(to, r->endpoint);
        if (!json_is_object(check)) return;
        if (status_reason_has_check(r->endpoint)) {
            status_put_check_age(to, r->endpoint, r->view->now);
            return;
        }
        buffer_puts(to, status_is(check, "ok") ? "; check: " : "; check ");
    }
    status_put_check(to, r->endpoint, r->view->now);
}

enum { ADDRESS, STATE, SINCE, ACTIVE, REQUESTS, RATE, FAILED, LATENCY, CHECK, COLUMN_COUNT };

static const struct column columns[COLUMN_COUNT] = {
    [ADDRESS] = { "ADDRESS", false, put_address },   [STATE] = { "STATE", false, put_state },
    [SINCE] = { "SINCE", true, put_since },          [ACTIVE] = { "ACTIVE", true, put_active },
    [REQUESTS] = { "REQUESTS", true, put_requests }, [RATE] = { "REQ/S", true, put_rate },
    [FAILED] = { "FAILED", true, put_failed },       [LATENCY] = { "LATENCY", true, put_latency },
    [CHECK] = { "CHECK", false, put_check },
};

/* ---- layout ---- */

struct layout {
    const struct status_view *view;
    size_t                    widths[COLUMN_COUNT];
    bool                      is_left_out[COLUMN_COUNT];
    struct buffer             cell; /* the one at hand */
};

static void widen(struct layout *l, const struct row *r)
{
    for (int i = 0; i < CHECK; i++) {
        l->cell.len = 0;
        columns[i].put(&l->cell, r);
        size_t width = cells_width(buffer_slice(&l->cell));
        if (width > l->widths[i]) l->widths[i] = width;
    }
}

/* Of all columns between the address and the last one, with their gaps. */
static size_t width_between(const struct layout *l)
{
    size_t width = 0;
    for (int i = ADDRESS + 1; i < CHECK; i++)
        if (!l->is_left_out[i]) width += GAP + l->widths[i];
    return width;
}

/* Long addresses leave room for the rest. */
static void narrow_address(struct layout *l)
{
    size_t others = width_between(l) + GAP + LAST_MIN, width = l->view->width;
    size_t left = width > others + GAP + ADDRESS_MIN ? width - others - GAP : ADDRESS_MIN;
    if (width && l->widths[ADDRESS] > left) l->widths[ADDRESS] = left;
}

/* Why something is not ready is worth more than these, which are there without a terminal. */
static void leave_out(struct layout *l)
{
    static const int order[] = { REQUESTS, LATENCY, FAILED };
    l->is_left_out[RATE] = !l->view->rates;
    for (size_t i = 0; l->view->width && i < sizeof(order) / sizeof(order[0]); i++) {
        size_t address = l->widths[ADDRESS] < ADDRESS_MIN ? l->widths[ADDRESS] : ADDRESS_MIN;
        size_t taken = GAP + address + width_between(l) + GAP;
        if (taken + LAST_MIN <= l->view->width) break;
        l->is_left_out[order[i]] = true;
    }
}

static void lay_out(struct layout *l, const struct status_lines *lines)
{
    for (int i = 0; i < CHECK; i++) l->widths[i] = strlen(columns[i].title);
    for (size_t i = 0; i < lines->count; i++) {
        const struct status_line *line = &lines->items[i];
        const struct row          r = { l->view, line->upstream, line->endpoint };
        if (line->is_shown && line->endpoint) widen(l, &r);
    }
    leave_out(l);
    narrow_address(l);
}

/* ---- lines ---- */

/* The line that began at `from` is complete. */
static void end_line(struct buffer *to, size_t from, const struct status_view *view)
{
    while (to->len > from && to->data[to->len - 1] == ' ') to->len--;
    if (view->width) cells_cut(to, from, view->width);
    buffer_put_char(to, '\n');
}

/* Puts the cell at hand; nothing stands behind the last one. */
static void put_cell(struct buffer *to, struct layout *l, int column, enum status_style style)
{
    if (column == ADDRESS) cells_cut_midst(&l->cell, 0, l->widths[ADDRESS]);
    size_t width = cells_width(buffer_slice(&l->cell));
    size_t fill = column != CHECK && l->widths[column] > width ? l->widths[column] - width : 0;
    cells_pad(to, GAP);
    if (columns[column].is_right) cells_pad(to, fill);
    status_put_styled(to, l->view->has_color, style, buffer_slice(&l->cell));
    if (!columns[column].is_right) cells_pad(to, fill);
}

static void put_titles(struct buffer *to, struct layout *l)
{
    size_t from = to->len;
    for (int i = 0; i < COLUMN_COUNT; i++) {
        if (l->is_left_out[i]) continue;
        l->cell.len = 0;
        buffer_puts(&l->cell, columns[i].title);
        put_cell(to, l, i, STYLE_DIM);
    }
    end_line(to, from, l->view);
}

static void put_row(struct buffer *to, struct layout *l, const struct row *r)
{
    size_t from = to->len;
    for (int i = 0; i < COLUMN_COUNT; i++) {
        if (l->is_left_out[i]) continue;
        l->cell.len = 0;
        columns[i].put(&l->cell, r);
        put_cell(to, l, i, i == STATE ? status_style_of(r->endpoint) : STYLE_PLAIN);
    }
    end_line(to, from, l->view);
}

static void put_hidden(struct buffer *to, const struct status_lines *lines,
                       const struct status_view *view)
{
    size_t from = to->len;
    if (!lines->hidden_endpoints && !lines->hidden_upstreams) return;
    buffer_printf(to, "not shown: %zu endpoints", lines->hidden_endpoints);
    if (lines->hidden_problems)
        buffer_printf(to, ", %zu of them not ready", lines->hidden_problems);
    if (lines->hidden_upstreams) buffer_printf(to, "; %zu upstreams", lines->hidden_upstreams);
    end_line(to, from, view);
}

static void put_lines(struct buffer *to, const struct status_view *view,
                      const struct status_lines *lines)
{
    struct layout layout = { .view = view, .cell = BUFFER_INIT };
    lay_out(&layout, lines);
    put_titles(to, &layout);
    for (size_t i = 0; i < lines->count; i++) {
        const struct status_line *line = &lines->items[i];
        const struct row          r = { view, line->upstream, line->endpoint };
        size_t                    from = to->len;
        if (!line->is_shown) continue;
        if (line->endpoint) {
            put_row(to, &layout, &r);
            continue;
        }
        status_put_heading(to, line->upstream, view->has_color);
        end_line(to, from, view);
    }
    put_hidden(to, lines, view);
    buffer_reset(&layout.cell);
}

/* ---- routes of containers' labels ---- */

enum { TROUBLES_MAX = 5 }; /* where the height is bounded */

static bool has_trouble(const json_t *route)
{
    return status_text(route, "reason").len || status_text(route, "warning").len;
}

static size_t count_troubles(const struct status_view *view, const json_t *root)
{
    size_t  i, count = 0;
    json_t *route;
    json_array_foreach (json_object_get(json_object_get(root, "docker"), "routes"), i, route)
        count += has_trouble(route);
    return view->height && count > TROUBLES_MAX ? TROUBLES_MAX : count;
}

static void put_trouble(struct buffer *to, const struct status_view *view, const json_t *route)
{
    struct slice  reason = status_text(route, "reason");
    struct buffer text = BUFFER_INIT;
    size_t        from = to->len;
    buffer_puts(to, "route ");
    cells_put(to, status_text(route, "name"));
    buffer_puts(&text, reason.len ? " is refused: " : ": ");
    cells_put(&text, reason.len ? reason : status_text(route, "warning"));
    status_put_styled(to, view->has_color, reason.len ? STYLE_BAD : STYLE_WARNING,
                      buffer_slice(&text));
    buffer_reset(&text);
    end_line(to, from, view);
}

static void put_troubles(struct buffer *to, const struct status_view *view, const json_t *root)
{
    size_t  i, left = count_troubles(view, root);
    json_t *route;
    json_array_foreach (json_object_get(json_object_get(root, "docker"), "routes"), i, route) {
        if (!left || !has_trouble(route)) continue;
        put_trouble(to, view, route);
        left--;
    }
}

/* Says how many do not fit in a line of its own. */
static void fit_height(struct status_lines *lines, size_t height)
{
    size_t room = height > LINES_ABOVE ? height - LINES_ABOVE : 0;
    if (height && lines->count > room) status_lines_fit(lines, room ? room - 1 : 0);
}

void status_view_put(struct buffer *to, const struct status_view *view, const json_t *root)
{
    struct status_lines lines;
    size_t              from = to->len;
    status_put_head(to, root, view->now, view->has_color);
    end_line(to, from, view);
    from = to->len;
    if (view->note)
        status_put_styled(to, view->has_color, view->is_stale ? STYLE_BAD : STYLE_DIM,
                          slice_of(view->note));
    end_line(to, from, view);
    status_lines_init(&lines, root, view->names, view->name_count);
    size_t below = count_troubles(view, root);
    fit_height(&lines, view->height > below ? view->height - below : view->height);
    if (lines.count)
        put_lines(to, view, &lines);
    else
        buffer_puts(to, "no upstreams\n");
    put_troubles(to, view, root);
    status_lines_reset(&lines);
}
