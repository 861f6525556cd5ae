/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions about the plan. See explain.h.
 */
#include "control/explain.h"

#include "control/explain_parts.h"

void explain_put(struct buffer *to, const char *key, struct slice text)
{
    buffer_puts(to, key);
    buffer_put_char(to, ':');
    if (text.len)
        buffer_put_json(to, text);
    else
        buffer_puts(to, "null");
}

unsigned explain_fail(struct buffer *to, unsigned status, const char *format, ...)
{
    struct buffer text = BUFFER_INIT;
    va_list       args;
    va_start(args, format);
    buffer_vprintf(&text, format, args);
    va_end(args);
    buffer_puts(to, "{\"error\":");
    buffer_put_json(to, buffer_slice(&text));
    buffer_puts(to, "}\n");
    buffer_reset(&text);
    return status;
}

static unsigned answer(const struct explain_world *w, struct explain_request *r, struct buffer *to)
{
    struct error e;
    if (r->container.len) return explain_container(w, r, to);
    if (!explain_read_url(r, &w->plan->limits, &e)) return explain_fail(to, 400, "%s", e.text);
    explain_url(w, r, to);
    return 200;
}

unsigned explain_answer(const struct explain_world *w, struct slice query, struct buffer *to)
{
    struct arena           arena;
    struct explain_request r = { .arena = &arena };
    struct error           e;
    arena_init(&arena, NULL);
    unsigned status =
        explain_read(query, &r, &e) ? answer(w, &r, to) : explain_fail(to, 400, "%s", e.text);
    arena_reset(&arena);
    return status;
}
