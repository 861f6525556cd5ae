/* SPDX-License-Identifier: Apache-2.0
 *
 * Maintenance. See maintenance.h.
 */
#include "filter/maintenance.h"

static void reply(struct exchange *x, const struct maintenance *m)
{
    struct arena     *a = exchange_arena(x);
    struct http_head *head;
    if (!m->page.data || exchange_is_grpc(x)) { /* whose clients read no page */
        exchange_reply_status(x, m->status, "maintenance");
        return;
    }
    head = arena_zalloc(a, sizeof(*head));
    head->status = m->status;
    http_fields_add(&head->fields, a, FIELD_CONTENT_TYPE, S("Content-Type"), m->content_type);
    exchange_reply(x, head, m->page, "maintenance");
}

static enum filter_result on_request(struct exchange *x, const void *config, void **state)
{
    static char                     is_refused;
    const struct maintenance *const m = config;
    if (!maintenance_refuses(m, exchange_client(x))) return FILTER_CONTINUE;
    *state = &is_refused;
    reply(x, m);
    return FILTER_REPLY;
}

static void on_response(struct exchange *x, const void *config, void *state, struct http_head *head)
{
    const struct maintenance *m = config;
    struct arena             *a = exchange_arena(x);
    if (!state) return;
    http_fields_set(&head->fields, a, FIELD_CACHE_CONTROL, S("no-store"));
    if (m->retry_after_s)
        http_fields_set(&head->fields, a, FIELD_RETRY_AFTER,
                        arena_printf(a, "%llu", (unsigned long long)m->retry_after_s));
}

const struct filter_ops filter_maintenance = {
    .name = "maintenance",
    .on_request = on_request,
    .on_response = on_response,
};
