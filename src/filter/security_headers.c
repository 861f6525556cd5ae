/* SPDX-License-Identifier: Apache-2.0
 *
 * Security headers. See security_headers.h.
 */
#include "filter/security_headers.h"

#include "base/buffer.h"

static const struct slice nonce_name = SLICE("X-CSP-Nonce");
static const struct slice csp_name = SLICE("Content-Security-Policy");
static const struct slice report_name = SLICE("Content-Security-Policy-Report-Only");

/* Not the policy, whose name and value may change. Last the one that needs TLS: without it the
 * lines are one less. */
static const struct {
    struct slice name;
    size_t       offset;
} lines[] = {
    { SLICE("X-Frame-Options"), offsetof(struct security_settings, frame_options) },
    { SLICE("X-Content-Type-Options"), offsetof(struct security_settings, content_type_options) },
    { SLICE("Referrer-Policy"), offsetof(struct security_settings, referrer_policy) },
    { SLICE("Permissions-Policy"), offsetof(struct security_settings, permissions_policy) },
    { SLICE("Cross-Origin-Opener-Policy"), offsetof(struct security_settings, opener_policy) },
    { SLICE("Cross-Origin-Embedder-Policy"), offsetof(struct security_settings, embedder_policy) },
    { SLICE("Cross-Origin-Resource-Policy"), offsetof(struct security_settings, resource_policy) },
    { SLICE("Strict-Transport-Security"), offsetof(struct security_settings, hsts) },
};

enum { LINES_MAX = sizeof(lines) / sizeof(lines[0]) + 1, NO_LINE = LINES_MAX };

/* What a server's own header of that name comes to. */
struct own_name {
    struct slice       name;
    enum http_field_id id;
    bool               is_kept; /* and the line of that number is left out; else it goes */
    unsigned           line;    /* or NO_LINE */
};

struct security_headers {
    struct http_field lines[LINES_MAX];
    unsigned          line_count;
    bool              has_hsts; /* the last line */
    bool              has_nonce;
    struct slice      csp_name; /* of the policy with a nonce, else empty */
    struct template csp;
    struct own_name *names;
    size_t           name_count;
    uint64_t         ids;     /* of the names: a bit each */
    uint64_t         lengths; /* of names without an id: a bit each, the last for all longer */
};

/* ---- building ---- */

static uint64_t length_bit(struct slice name)
{
    return UINT64_C(1) << (name.len < 63 ? name.len : 63);
}

static bool has_name(const struct text_list *list, struct slice name)
{
    for (size_t i = 0; i < list->count; i++)
        if (slice_eq_nocase(list->items[i], name)) return true;
    return false;
}

static void add_name(struct security_headers *h, struct slice name, bool is_kept, unsigned line,
                     struct arena *a)
{
    enum http_field_id id = http_field_lookup(name);
    h->names[h->name_count++] = (struct own_name){ arena_copy(a, name), id, is_kept, line };
    h->ids |= UINT64_C(1) << id;
    if (id == FIELD_OTHER) h->lengths |= length_bit(name);
}

static void add_line(struct security_headers *h, const struct security_settings *s,
                     struct slice name, struct slice value, struct arena *a)
{
    add_name(h, name, has_name(&s->keep, name), h->line_count, a);
    h->lines[h->line_count++] = (struct http_field){ .name = name,
                                                     .value = value,
                                                     .id = (uint16_t)http_field_lookup(name) };
}

static void add_csp(struct security_headers *h, const struct security_settings *s, struct arena *a)
{
    struct slice name = s->is_report_only ? report_name : csp_name;
    if (!s->csp.len) return;
    template_build(&h->csp, s->csp, a);
    h->has_nonce = !template_is_fixed(&h->csp);
    if (!h->has_nonce) {
        add_line(h, s, name, h->csp.pieces[0].text, a);
        return;
    }
    h->csp_name = name;
    add_name(h, name, has_name(&s->keep, name), NO_LINE, a);
}

/* "Name: value\r\n" after each other: http/h1_write.c then copies them at once. */
static void lay_out(struct security_headers *h, struct arena *a)
{
    struct buffer text = BUFFER_INIT;
    for (unsigned i = 0; i < h->line_count; i++)
        buffer_printf(&text, "%.*s: %.*s\r\n", SLICE_ARG(h->lines[i].name),
                      SLICE_ARG(h->lines[i].value));
    const char *at = arena_copy(a, buffer_slice(&text)).data;
    for (unsigned i = 0; i < h->line_count; i++) {
        struct http_field *f = &h->lines[i];
        f->name.data = at;
        f->value.data = at + f->name.len + 2;
        at = f->value.data + f->value.len + 2;
    }
    buffer_reset(&text);
}

const struct security_headers *security_headers_build(const struct security_settings *s,
                                                      struct arena                   *a)
{
    if (!s) return NULL;
    struct security_headers *h = arena_zalloc(a, sizeof(*h));
    h->names = arena_alloc(a, (LINES_MAX + s->hide.count) * sizeof(*h->names));
    add_csp(h, s, a);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        struct slice value;
        memcpy(&value, (const char *)s + lines[i].offset, sizeof(value));
        if (value.len) add_line(h, s, lines[i].name, value, a);
    }
    h->has_hsts = s->hsts.len > 0;
    lay_out(h, a);
    for (size_t i = 0; i < s->hide.count; i++) add_name(h, s->hide.items[i], false, NO_LINE, a);
    return h->name_count ? h : NULL;
}

struct slice security_headers_text(const struct security_headers *h, bool is_secure,
                                   struct arena *a)
{
    struct buffer text = BUFFER_INIT;
    for (size_t i = 0; i < h->name_count; i++) {
        const struct own_name *n = &h->names[i];
        bool is_sent = n->line != NO_LINE || (h->csp_name.len && slice_eq(n->name, h->csp_name));
        bool is_hsts = h->has_hsts && n->line == h->line_count - 1;
        buffer_printf(&text, "%s%s%.*s%s%s", i ? ", " : "", is_sent ? "" : "no ",
                      SLICE_ARG(n->name), is_hsts && !is_secure ? " (not without TLS)" : "",
                      n->is_kept ? " (the server's own stays)" : "");
    }
    struct slice copy = arena_copy(a, buffer_slice(&text));
    buffer_reset(&text);
    return copy;
}

/* ---- requests ---- */

static enum filter_result on_request(struct exchange *x, const void *config, void **state)
{
    const struct security_headers *h = config;
    (void)state;
    if (h->has_nonce)
        http_fields_set_named(&exchange_request(x)->fields, exchange_arena(x), nonce_name,
                              exchange_csp_nonce(x));
    return FILTER_CONTINUE;
}

/* ---- responses ---- */

static const struct own_name *find_name(const struct security_headers *h,
                                        const struct http_field       *f)
{
    if (!(h->ids >> f->id & 1)) return NULL;
    if (f->id == FIELD_OTHER && !(h->lengths & length_bit(f->name))) return NULL;
    for (size_t i = 0; i < h->name_count; i++)
        if (h->names[i].id == f->id && slice_eq_nocase(h->names[i].name, f->name))
            return &h->names[i];
    return NULL;
}

/* The lines that the server's own stand for: a bit each. */
static unsigned meet_own(const struct security_headers *h, struct http_fields *f)
{
    unsigned kept = 0;
    if (!(f->present & h->ids)) return 0;
    for (unsigned i = 0; i < f->count; i++) {
        struct http_field *field = &f->items[i];
        if (field->is_dropped) continue;
        const struct own_name *own = find_name(h, field);
        if (!own) continue;
        if (own->is_kept)
            kept |= 1u << own->line;
        else
            field->is_dropped = true;
    }
    return kept;
}

static void on_response(struct exchange *x, const void *config, void *state, struct http_head *head)
{
    const struct security_headers *h = config;
    struct arena                  *a = exchange_arena(x);
    (void)state;
    if (head->status == 101) return;
    unsigned kept = meet_own(h, &head->fields);
    unsigned count = h->line_count - (h->has_hsts && !exchange_is_secure(x));
    if (!kept) {
        http_fields_append(&head->fields, a, h->lines, count);
    } else {
        for (unsigned i = 0; i < count; i++)
            if (!(kept >> i & 1)) http_fields_append(&head->fields, a, &h->lines[i], 1);
    }
    /* What a client kept of the page that a 304 is about has the nonce of then. */
    if (h->has_nonce && !(kept >> NO_LINE & 1) && head->status != 304)
        http_fields_add(&head->fields, a, FIELD_OTHER, h->csp_name,
                        exchange_expand(x, &h->csp, head));
}

const struct filter_ops filter_security_headers = {
    .name = "security_headers",
    .on_request = on_request,
    .on_response = on_response,
    .on_response_always = true,
};
