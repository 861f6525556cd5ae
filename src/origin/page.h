/* SPDX-License-Identifier: Apache-2.0
 *
 * Small pages of name and value: HTML for a browser, JSON when Accept asks for
 * it. Names and values may come from a client; both forms escape them.
 */
#pragma once

#include "base/buffer.h"
#include "proxy/filter.h"

struct page {
    struct exchange *exchange;
    struct buffer    text;
    bool             is_json;
    bool             has_rows;
};

/* JSON when Accept names application/json and not text/html. */
bool page_accepts_json(const struct http_head *request);
/* What pages of HTML begin with. */
void page_put_head(struct buffer *b, const char *title);
/* Escaped. */
void page_put_text(struct buffer *b, struct slice s);

void page_begin(struct page *p, struct exchange *x, const char *title);
/* A paragraph; HTML only. Trusted markup. */
void page_note(struct page *p, const char *html);
void page_row(struct page *p, struct slice name, struct slice value);
/* Answers, and ends the page. */
void page_reply(struct page *p, unsigned status, const char *reason);
