/* SPDX-License-Identifier: Apache-2.0
 *
 * What a demo replica answers. See demo.h.
 */
#include "origin/demo.h"

#include "origin/page.h"

static void start(struct exchange *x, const void *config)
{
    const struct http_head *request = exchange_request(x);
    struct arena           *a = exchange_arena(x);
    struct page             page;
    page_begin(&page, x, "wharfgate demo");
    page_note(&page, "Reload this page: the replicas take turns. It was served by TLS, routed, "
                     "balanced and sent on to one of two small servers.");
    page_row(&page, S("replica"), slice_of(config));
    page_row(
        &page, S("request"),
        arena_printf(a, "%.*s %.*s", SLICE_ARG(request->method_name), SLICE_ARG(request->target)));
    page_row(&page, S("host"), request->authority);
    page_row(&page, S("client"), exchange_client_text(x));
    page_row(&page, S("request id"), exchange_request_id(x));
    for (unsigned i = 0; i < request->fields.count; i++) {
        const struct http_field *f = &request->fields.items[i];
        if (!f->is_dropped)
            page_row(&page, arena_printf(a, "> %.*s", SLICE_ARG(f->name)), f->value);
    }
    page_note(&page, "Try <a href=\"/limited\">/limited</a> more than five times in a row.");
    page_reply(&page, 200, "demo");
}

const struct origin_ops origin_demo = { .name = "demo", .start = start };
