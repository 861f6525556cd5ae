/* SPDX-License-Identifier: Apache-2.0
 *
 * Compression of responses. See compress.h.
 */
#include "filter/compress.h"

#include "http/accept_encoding.h"
#include "http/coder_pool.h"

struct compress_config {
    const struct compress_settings *settings;
    size_t                          count;
    enum http_coding                codings[CODING_COUNT]; /* the gladliest first */
    int                             levels[CODING_COUNT];
};

/* Of a request. */
struct compressing {
    size_t             choice; /* index of the coding that the client takes most gladly */
    struct coder_pool *pool;
    struct coder      *coder;      /* NULL: none runs (any more) */
    int64_t            left_bytes; /* of the body; -1: nobody knows */
};

static const struct slice usual_types[] = {
    SLICE("text/*"),
    SLICE("application/json"),
    SLICE("application/javascript"),
    SLICE("application/xml"),
    SLICE("application/xhtml+xml"),
    SLICE("application/rss+xml"),
    SLICE("application/atom+xml"),
    SLICE("application/ld+json"),
    SLICE("application/problem+json"),
    SLICE("application/geo+json"),
    SLICE("application/vnd.api+json"),
    SLICE("application/manifest+json"),
    SLICE("application/graphql-response+json"),
    SLICE("application/x-ndjson"),
    SLICE("application/x-javascript"),
    SLICE("application/wasm"),
    SLICE("application/vnd.ms-fontobject"),
    SLICE("font/ttf"),
    SLICE("font/otf"),
    SLICE("image/svg+xml"),
    SLICE("image/x-icon"),
    SLICE("image/vnd.microsoft.icon"),
    SLICE("image/bmp"),
};

static const struct text_list usual = { (struct slice *)(uintptr_t)usual_types,
                                        sizeof(usual_types) / sizeof(usual_types[0]) };

/* ---- configuration ---- */

static int level_of(const struct compress_settings *s, enum http_coding coding)
{
    switch (coding) {
    case CODING_BR: return (int)s->br_level;
    case CODING_ZSTD: return (int)s->zstd_level;
    default: return (int)s->gzip_level;
    }
}

const struct compress_config *compress_config_new(const struct compress_settings *s,
                                                  struct arena                   *a)
{
    struct compress_config *config = arena_zalloc(a, sizeof(*config));
    config->settings = s;
    for (size_t i = 0; i < s->codings.count && config->count < CODING_COUNT; i++) {
        enum http_coding coding = http_coding_lookup(s->codings.items[i]);
        if (coding == CODING_COUNT || coder_lacks(coding)) continue; /* off; reported */
        config->codings[config->count] = coding;
        config->levels[config->count++] = level_of(s, coding);
    }
    return config->count ? config : NULL;
}

struct slice compress_text(const struct compress_config *config, struct arena *a)
{
    struct slice text = S("");
    for (size_t i = 0; i < config->count; i++)
        text = arena_printf(a, "%.*s%s%.*s %d", SLICE_ARG(text), i ? ", " : "",
                            SLICE_ARG(http_coding_name(config->codings[i])), config->levels[i]);
    return arena_printf(a, "%.*s; from %llu bytes", SLICE_ARG(text),
                        (unsigned long long)config->settings->min_length);
}

/* ---- what may be compressed ---- */

static struct slice trim(struct slice s)
{
    while (s.len && (s.data[0] == ' ' || s.data[0] == '\t')) s = slice_from(s, 1);
    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t')) s.len--;
    return s;
}

/* Is it in a list of tokens, as one of them or with "=..."? */
static bool has_token(const struct http_fields *f, enum http_field_id id, struct slice token)
{
    for (unsigned i = 0; f->present >> id & 1 && i < f->count; i++) {
        struct slice left = f->items[i].value;
        if (f->items[i].id != id || f->items[i].is_dropped) continue;
        while (left.len) {
            size_t end = slice_find(left, ',');
            if (slice_eq_nocase(trim(slice_make(left.data, end)), token)) return true;
            left = slice_from(left, end < left.len ? end + 1 : end);
        }
    }
    return false;
}

static bool type_fits(struct slice type, struct slice pattern)
{
    if (!slice_ends_with(pattern, S("/*"))) return slice_eq_nocase(type, pattern);
    size_t kind = pattern.len - 1; /* "text/" */
    if (slice_eq(pattern, S("*/*"))) return true;
    return type.len > kind && strncasecmp(type.data, pattern.data, kind) == 0;
}

/* Their readers wait for each piece and would not take it compressed. */
static bool is_conversation(struct slice type)
{
    struct slice grpc = S("application/grpc");
    return slice_eq_nocase(type, S("text/event-stream")) ||
           (type.len >= grpc.len && strncasecmp(type.data, grpc.data, grpc.len) == 0);
}

static bool is_listed(const struct compress_config *config, struct slice type)
{
    const struct text_list *types = &config->settings->types;
    type = trim(slice_make(type.data, slice_find(type, ';')));
    if (!type.len || is_conversation(type)) return false;
    if (!types->count) types = &usual;
    for (size_t i = 0; i < types->count; i++)
        if (type_fits(type, types->items[i])) return true;
    return false;
}

/* Might another client have got it otherwise? */
static bool may_be_coded(const struct compress_config *config, const struct http_head *head)
{
    const struct http_fields *f = &head->fields;
    struct slice              type = http_fields_value(f, FIELD_CONTENT_TYPE);
    bool                      is_unchanged = head->status == 304; /* often without a type */
    if (head->status == 206 || (http_status_has_no_body(head->status) && !is_unchanged))
        return false;
    if (!(is_unchanged && !type.len) && !is_listed(config, type)) return false;
    if (!is_unchanged &&
        (head->body_bytes == 0 ||
         (head->body_bytes > 0 && (uint64_t)head->body_bytes < config->settings->min_length)))
        return false;
    return !http_fields_find(f, FIELD_CONTENT_ENCODING) &&
           !has_token(f, FIELD_CACHE_CONTROL, S("no-transform")) &&
           !http_fields_find_named(f, S("Content-Range")) && !http_fields_have_digest(f);
}

/* ---- the choice ---- */

/* Index in the config; config->count: none. */
static size_t choose(const struct compress_config *config, const struct http_head *request)
{
    struct coding_weights w;
    size_t                best = config->count;
    if (!request || has_token(&request->fields, FIELD_CACHE_CONTROL, S("no-transform")))
        return best;
    http_accept_encoding(&request->fields, &w);
    uint16_t weight = w.of[CODING_IDENTITY];
    for (size_t i = 0; i < config->count; i++) {
        uint16_t his = w.of[config->codings[i]];
        if (!his || (best < config->count ? his <= weight : his < weight)) continue;
        best = i;
        weight = his;
    }
    return best;
}

/* ---- the head ---- */

static void put_vary(struct http_fields *f, struct arena *a)
{
    struct slice all = S("");
    if (has_token(f, FIELD_VARY, S("*")) || has_token(f, FIELD_VARY, S("Accept-Encoding"))) return;
    for (unsigned i = 0; i < f->count; i++)
        if (f->items[i].id == FIELD_VARY && !f->items[i].is_dropped && f->items[i].value.len)
            all = arena_printf(a, "%.*s%.*s, ", SLICE_ARG(all), SLICE_ARG(f->items[i].value));
    http_fields_set(f, a, FIELD_VARY, arena_printf(a, "%.*sAccept-Encoding", SLICE_ARG(all)));
}

/* Other bytes of the same meaning: RFC 9110 section 8.8.1. */
static void weaken_etag(struct http_fields *f, struct arena *a)
{
    struct slice etag = http_fields_value(f, FIELD_ETAG);
    if (!etag.len || slice_starts_with(etag, S("W/"))) return;
    http_fields_set(f, a, FIELD_ETAG, arena_printf(a, "W/%.*s", SLICE_ARG(etag)));
}

static void drop_named(struct http_fields *f, struct slice name)
{
    for (unsigned i = 0; i < f->count; i++)
        if (slice_eq_nocase(f->items[i].name, name)) f->items[i].is_dropped = true;
}

/* ---- the body ---- */

static void give_back(struct compressing *c)
{
    if (!c->coder) return;
    coder_pool_give(c->pool, c->coder);
    c->coder = NULL;
}

static void run(struct exchange *x, void *state, struct slice data, enum transform_step step)
{
    static const enum coder_step steps[] = {
        [TRANSFORM_MORE] = CODER_MORE,
        [TRANSFORM_FLUSH] = CODER_FLUSH,
        [TRANSFORM_FINISH] = CODER_FINISH,
    };
    struct compressing    *c = state;
    struct coder_counters *n = c->pool->counters;
    struct coder_io        io = { .in = data };
    bool                   is_done;
    if (!c->coder) return; /* the last piece was known to be that */
    enum http_coding coding = c->coder->coding;
    if (c->left_bytes >= 0) c->left_bytes -= (int64_t)data.len;
    /* Encoders need not keep what nothing follows. */
    if (c->left_bytes == 0) step = TRANSFORM_FINISH;
    counter_add(&n->in_bytes[coding], data.len);
    do {
        io.out = c->pool->out;
        io.room = CODER_OUT_BYTES;
        is_done = coder_run(c->coder, &io, steps[step]);
        size_t made = CODER_OUT_BYTES - io.room;
        counter_add(&n->out_bytes[coding], made);
        exchange_emit(x, slice_make(c->pool->out, made));
    } while (!is_done);
    if (step == TRANSFORM_FINISH) give_back(c);
}

static void begin(struct exchange *x, const struct compress_config *config, size_t choice,
                  struct compressing *c, struct http_head *head)
{
    bool             has_body = exchange_request(x)->method != HTTP_HEAD;
    enum http_coding coding = config->codings[choice];
    give_back(c);
    c->pool = exchange_coders(x);
    c->left_bytes = head->body_bytes;
    if (has_body)
        c->coder = coder_pool_take(c->pool, coding, config->levels[choice], head->body_bytes);
    if (has_body && !c->coder) {
        counter_add(&c->pool->counters->refused, 1);
        return;
    }
    weaken_etag(&head->fields, exchange_arena(x));
    drop_named(&head->fields, S("Accept-Ranges"));
    http_fields_set(&head->fields, exchange_arena(x), FIELD_CONTENT_ENCODING,
                    http_coding_name(coding));
    if (!has_body) {
        head->body_bytes = -1;
        return;
    }
    counter_add(&c->pool->counters->responses[coding], 1);
    exchange_transform(x, head, run, c);
}

/* ---- the filter ---- */

static enum filter_result on_request(struct exchange *x, const void *config, void **state)
{
    struct compressing *c = arena_zalloc(exchange_arena(x), sizeof(*c));
    c->choice = choose(config, exchange_request(x));
    *state = c;
    return FILTER_CONTINUE;
}

static void on_response(struct exchange *x, const void *config, void *state,
                        struct http_head *response)
{
    const struct compress_config *cc = config;
    const struct compressing     *c = state;
    struct arena                 *a = exchange_arena(x);
    if (!may_be_coded(cc, response)) return;
    put_vary(&response->fields, a);
    if (c->choice == cc->count) return;
    if (response->status == 304)
        weaken_etag(&response->fields, a); /* as that of the response which is kept */
    else
        begin(x, cc, c->choice, state, response);
}

static void on_end(struct exchange *x, const void *config, void *state)
{
    (void)x;
    (void)config;
    give_back(state);
}

const struct filter_ops filter_compress = {
    .name = "compress",
    .on_request = on_request,
    .on_response = on_response,
    .on_end = on_end,
};
