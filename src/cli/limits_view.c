/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits as text. See limits_view.h.
 */
#include "cli/limits_view.h"

#include "cli/cells.h"
#include "cli/status_words.h"

enum { COLUMN_MAX = 9, GAP = 2, TOP_SHOWN = 5 };

/* A column: what stands in each row, which an empty `head` ends. */
struct column {
    const char *head;
    bool        is_right;
    void (*put)(struct buffer *to, const json_t *row, const char *key);
    const char *key;
};

/* ---- cells ---- */

static void put_text(struct buffer *to, const json_t *row, const char *key)
{
    cells_put(to, status_text(row, key));
}

static void put_key(struct buffer *to, const json_t *row, const char *key)
{
    size_t  i;
    json_t *part;
    json_array_foreach (json_object_get(row, key), i, part) {
        if (i) buffer_puts(to, " + ");
        if (json_is_string(part))
            cells_put(to, slice_make(json_string_value(part), json_string_length(part)));
    }
}

/* "redis, lease"; what else there is to know. */
static void put_where(struct buffer *to, const json_t *row, const char *key)
{
    put_text(to, row, key);
    if (status_text(row, "mode").len) {
        buffer_puts(to, ", ");
        put_text(to, row, "mode");
    }
    if (status_is(row, "delay")) buffer_puts(to, ", delays");
    if (status_is(row, "dry_run")) buffer_puts(to, ", dry run");
    if (json_is_false(json_object_get(row, "used"))) buffer_puts(to, ", no route names it");
}

static const struct column rate_columns[] = {
    { "NAME", false, put_text, "name" },
    { "KEY", false, put_key, "key" },
    { "RATE", true, put_text, "rate" },
    { "BURST", true, status_put_count, "burst" },
    { "ADMITTED", true, status_put_count, "admitted" },
    { "DELAYED", true, status_put_count, "delayed" },
    { "REFUSED", true, status_put_count, "refused" },
    { "STORE", false, put_where, "store" },
    { NULL, false, NULL, NULL },
};

static const struct column concurrency_columns[] = {
    { "NAME", false, put_text, "name" },
    { "KEY", false, put_key, "key" },
    { "MAX", true, status_put_count, "max" },
    { "NOW", true, status_put_count, "active" },
    { "ADMITTED", true, status_put_count, "admitted" },
    { "REFUSED", true, status_put_count, "refused" },
    { "", false, put_where, "none" },
    { NULL, false, NULL, NULL },
};

/* ---- tables ---- */

static size_t width_of(const struct column *c, const json_t *row)
{
    struct buffer cell = BUFFER_INIT;
    c->put(&cell, row, c->key);
    size_t width = cells_width(buffer_slice(&cell));
    buffer_reset(&cell);
    return width;
}

static void measure(size_t widths[COLUMN_MAX], const struct column *columns, const json_t *rows)
{
    for (size_t i = 0; columns[i].head; i++) {
        size_t  r, wide;
        json_t *row;
        widths[i] = strlen(columns[i].head);
        json_array_foreach (rows, r, row)
            if ((wide = width_of(&columns[i], row)) > widths[i]) widths[i] = wide;
    }
}

static void put_cell(struct buffer *to, const struct column *c, const json_t *row, size_t width,
                     bool is_last)
{
    size_t wide = row ? width_of(c, row) : strlen(c->head);
    if (c->is_right) cells_pad(to, width - wide);
    if (row)
        c->put(to, row, c->key);
    else
        buffer_puts(to, c->head);
    if (!is_last) cells_pad(to, GAP + (c->is_right ? 0 : width - wide));
}

/* `row` NULL: the heads. */
static void put_row(struct buffer *to, const struct column *columns, const size_t *widths,
                    const json_t *row)
{
    buffer_puts(to, "  ");
    for (size_t i = 0; columns[i].head; i++)
        put_cell(to, &columns[i], row, widths[i], !columns[i + 1].head);
    while (to->len && to->data[to->len - 1] == ' ') to->len--;
    buffer_put_char(to, '\n');
}

static void put_top(struct buffer *to, const json_t *row)
{
    const json_t *top = json_object_get(row, "top");
    size_t        i;
    json_t       *key;
    if (!json_array_size(top)) return;
    buffer_puts(to, "      refused most of late: ");
    json_array_foreach (top, i, key) {
        if (i == TOP_SHOWN) break;
        if (i) buffer_puts(to, ", ");
        put_text(to, key, "key");
        buffer_puts(to, " (");
        status_put_count(to, key, "refused");
        buffer_put_char(to, ')');
    }
    buffer_put_char(to, '\n');
}

static void put_heading(struct buffer *to, bool has_color, const char *heading)
{
    status_put_styled(to, has_color, STYLE_BOLD, slice_of(heading));
    buffer_put_char(to, '\n');
}

static void put_table(struct buffer *to, bool has_color, const char *heading,
                      const struct column *columns, const json_t *rows)
{
    size_t  widths[COLUMN_MAX], i;
    json_t *row;
    if (!json_array_size(rows)) return;
    put_heading(to, has_color, heading);
    measure(widths, columns, rows);
    put_row(to, columns, widths, NULL);
    json_array_foreach (rows, i, row) {
        put_row(to, columns, widths, row);
        put_top(to, row);
    }
}

/* ---- the store ---- */

static void put_connection(struct buffer *to, bool has_color, const json_t *store)
{
    bool   is_connected = status_is(store, "connected");
    double since_ms = 0;
    status_number(store, "since_ms", &since_ms);
    status_put_styled(to, has_color, is_connected ? STYLE_GOOD : STYLE_BAD,
                      is_connected ? S("connected") : S("not connected"));
    buffer_puts(to, " for ");
    status_put_age(to, 1, 1 + since_ms / 1000);
}

static void put_number(struct buffer *to, const json_t *store, const char *key, const char *words)
{
    status_put_count(to, store, key);
    buffer_puts(to, words);
}

static void put_trouble(struct buffer *to, bool has_color, const json_t *store, const char *key,
                        const char *words)
{
    struct buffer text = BUFFER_INIT;
    if (!status_text(store, key).len) return;
    put_text(&text, store, key);
    buffer_printf(to, "  %s: ", words);
    status_put_styled(to, has_color, STYLE_WARNING, buffer_slice(&text));
    buffer_put_char(to, '\n');
    buffer_reset(&text);
}

static void put_store(struct buffer *to, bool has_color, const json_t *store)
{
    double mean_us = 0;
    if (!json_is_object(store)) return;
    put_heading(to, has_color, "Redis");
    buffer_puts(to, "  ");
    put_text(to, store, "at");
    buffer_puts(to, status_text(store, "at").len ? " (" : "not found yet (");
    put_text(to, store, "mode");
    buffer_puts(to, "), ");
    put_connection(to, has_color, store);
    buffer_puts(to, "; gateways: ");
    put_number(to, store, "gateways", "; on failure: ");
    put_text(to, store, "on_failure");
    buffer_puts(to, "\n  calls: ");
    put_number(to, store, "calls", ", late ");
    put_number(to, store, "late", ", lost ");
    put_number(to, store, "lost", ", errors ");
    put_number(to, store, "errors", ", not sent ");
    put_number(to, store, "not_sent", "; mean ");
    status_number(store, "mean_reply_us", &mean_us);
    status_put_latency(to, mean_us / 1000);
    buffer_puts(to, "; circuits open: ");
    put_number(to, store, "circuits_open", "\n");
    put_trouble(to, has_color, store, "trouble", "trouble");
    put_trouble(to, has_color, store, "last_failure", "last failure");
}

void limits_view_put(struct buffer *to, const json_t *root, bool has_color)
{
    size_t before = to->len;
    put_table(to, has_color, "Rate limits", rate_columns, json_object_get(root, "rate_limits"));
    put_table(to, has_color, "Concurrency limits", concurrency_columns,
              json_object_get(root, "concurrency_limits"));
    put_store(to, has_color, json_object_get(root, "store"));
    if (to->len == before) buffer_puts(to, "No limits are configured.\n");
}
