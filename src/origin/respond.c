/* SPDX-License-Identifier: Apache-2.0
 *
 * Fixed answers. See respond.h.
 */
#include "origin/respond.h"

#include "conf/settings.h"

static void start(struct exchange *x, const void *config)
{
    const struct respond_settings *s = config;
    struct arena                  *a = exchange_arena(x);
    struct http_head              *head = arena_zalloc(a, sizeof(*head));
    head->status = s->status;
    if (s->content_type.len && s->body.len)
        http_fields_add(&head->fields, a, FIELD_CONTENT_TYPE, S("Content-Type"), s->content_type);
    for (size_t i = 0; i < s->header_count; i++)
        http_fields_add_named(&head->fields, a, s->headers[i].name, s->headers[i].value);
    exchange_reply(x, head, s->body, "respond");
}

const struct origin_ops origin_respond = { .name = "respond", .start = start };
