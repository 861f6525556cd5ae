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

void page_begin(struct page *p, struct exchange *x, const char *title);
/* A paragraph; HTML only. Trusted markup. */
void page_note(struct page *p, const char *html);
void page_row(struct page *p, struct slice name, struct slice value);
/* Answers, and ends the page. */
void page_reply(struct page *p, unsigned status, const char *reason);
