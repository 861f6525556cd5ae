/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages of name and value. See page.h.
 */
#include "origin/page.h"

#include <stdlib.h>

static const char style[] =
    "body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}"
    "td{border-top:1px solid #8884;padding:.3rem .5rem;vertical-align:top;"
    "overflow-wrap:anywhere}"
    "td:first-child{white-space:nowrap;font-weight:600}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}}";

bool page_accepts_json(const struct http_head *request)
{
    struct slice accept = http_fields_value(&request->fields, FIELD_ACCEPT);
    return accept.len && memmem(accept.data, accept.len, "application/json", 16) &&
           !memmem(accept.data, accept.len, "text/html", 9);
}

void page_put_text(struct buffer *b, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (c == '<')
            buffer_puts(b, "&lt;");
        else if (c == '>')
            buffer_puts(b, "&gt;");
        else if (c == '&')
            buffer_puts(b, "&amp;");
        else if (c == '"')
            buffer_puts(b, "&quot;");
        else
            buffer_put_char(b, c);
    }
}

void page_put_head(struct buffer *b, const char *title)
{
    buffer_printf(b,
                  "<!doctype html><html lang=en><meta charset=utf-8>"
                  "<meta name=viewport content=\"width=device-width\">"
                  "<title>%s</title><style>%s</style><h1>%s</h1>",
                  title, style, title);
}

void page_begin(struct page *p, struct exchange *x, const char *title)
{
    *p = (struct page){ .exchange = x, .text = BUFFER_INIT };
    p->is_json = page_accepts_json(exchange_request(x));
    if (p->is_json) {
        buffer_puts(&p->text, "{");
        return;
    }
    page_put_head(&p->text, title);
}

void page_note(struct page *p, const char *html)
{
    if (!p->is_json) buffer_printf(&p->text, "%s<p>%s</p>", p->has_rows ? "</table>" : "", html);
    if (!p->is_json) p->has_rows = false;
}

void page_row(struct page *p, struct slice name, struct slice value)
{
    if (p->is_json) {
        if (p->has_rows) buffer_put_char(&p->text, ',');
        buffer_put_json(&p->text, name);
        buffer_put_char(&p->text, ':');
        buffer_put_json(&p->text, value);
    } else {
        buffer_puts(&p->text, p->has_rows ? "<tr><td>" : "<table><tr><td>");
        page_put_text(&p->text, name);
        buffer_puts(&p->text, "</td><td>");
        page_put_text(&p->text, value);
        buffer_puts(&p->text, "</td></tr>");
    }
    p->has_rows = true;
}

void page_reply(struct page *p, unsigned status, const char *reason)
{
    struct arena     *a = exchange_arena(p->exchange);
    struct http_head *head = arena_zalloc(a, sizeof(*head));
    head->status = (uint16_t)status;
    buffer_puts(&p->text, p->is_json ? "}\n" : p->has_rows ? "</table>\n" : "\n");
    http_fields_add(&head->fields, a, FIELD_CONTENT_TYPE, S("Content-Type"),
                    p->is_json ? S("application/json") : S("text/html; charset=utf-8"));
    http_fields_add(&head->fields, a, FIELD_CACHE_CONTROL, S("Cache-Control"), S("no-store"));
    size_t len = p->text.len;
    char  *body = buffer_detach(&p->text);
    arena_on_reset(a, free, body);
    exchange_reply(p->exchange, head, slice_make(body, len), reason);
}
