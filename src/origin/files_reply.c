/* SPDX-License-Identifier: Apache-2.0
 *
 * What of a file is sent: which coding of it, whether it is wanted at all, and which ranges.
 */
#include "base/buffer.h"
#include "base/glob.h"
#include "base/random.h"
#include "http/accept_encoding.h"
#include "http/conditional.h"
#include "http/date.h"
#include "http/range.h"
#include "origin/files.h"
#include "origin/files_path.h"

/* ---- what is said of a file ---- */

/* `path` begins with a slash. */
static bool fits(struct slice pattern, struct slice path)
{
    bool is_whole = slice_find(pattern, '/') < pattern.len;
    return glob_matches(pattern, is_whole ? path : files_path_name(path));
}

static struct slice find_cache_control(const struct files_settings *s, struct slice path)
{
    for (size_t i = 0; i < s->cache_control_count; i++)
        if (fits(s->cache_control[i].pattern, path)) return s->cache_control[i].text;
    return slice_make("", 0);
}

static const struct pattern_age *find_expires(const struct files_settings *s, struct slice path)
{
    for (size_t i = 0; i < s->expires_count; i++)
        if (fits(s->expires[i].pattern, path)) return &s->expires[i];
    return NULL;
}

static void put_cache_control(struct buffer *b, struct slice value, const struct pattern_age *age)
{
    buffer_put_slice(b, value);
    if (!age || (value.len && memmem(value.data, value.len, "max-age", 7))) return;
    buffer_printf(b, "%smax-age=%llu", value.len ? ", " : "", (unsigned long long)age->age / 1000);
}

static void dress(const struct files *f, struct open_file *file)
{
    const struct files_settings *s = f->settings;
    struct buffer                b = BUFFER_INIT;
    if (file->dress) return;
    buffer_printf(&b, "/%.*s", (int)file->path_bytes, file->path);
    struct slice              path = buffer_slice(&b);
    struct slice              type = mime_type_of(f->types, path), is_text = S("text/");
    struct slice              value = find_cache_control(s, path);
    const struct pattern_age *age = find_expires(s, path);
    buffer_consume(&b, b.len);
    buffer_put_slice(&b, type);
    if (slice_starts_with(type, is_text) && !slice_eq(s->charset, S("off")))
        buffer_printf(&b, "; charset=%.*s", SLICE_ARG(s->charset));
    size_t type_bytes = b.len;
    put_cache_control(&b, value, age);
    size_t all_bytes = b.len;
    file->dress = buffer_detach(&b);
    file->type = slice_make(file->dress, type_bytes);
    file->cache_control = slice_make(file->dress + type_bytes, all_bytes - type_bytes);
    file->expires_s = age ? age->age / 1000 : 0;
}

static void put(struct exchange *x, struct http_head *head, enum http_field_id id,
                struct slice value)
{
    http_fields_add(&head->fields, exchange_arena(x), id, http_field_name(id), value);
}

static void put_named(struct exchange *x, struct http_head *head, struct slice name,
                      struct slice value)
{
    http_fields_add(&head->fields, exchange_arena(x), FIELD_OTHER, name, value);
}

/* RFC 9110 section 8.8.2.1: not later than the response. */
static struct slice modified(struct exchange *x, const struct open_file *file)
{
    const struct clock *c = exchange_clock(x);
    if (file->modified_s > c->wall_us / 1000000)
        return arena_copy(exchange_arena(x), slice_make(c->http_date, HTTP_DATE_BYTES));
    return slice_make(file->modified, HTTP_DATE_BYTES);
}

/* What 200, 206 and 304 have in common. */
static struct http_head *begin_head(struct exchange *x, const struct open_file *plain,
                                    const struct open_file *file)
{
    struct http_head *head = arena_zalloc(exchange_arena(x), sizeof(*head));
    put(x, head, FIELD_LAST_MODIFIED, modified(x, file));
    put(x, head, FIELD_ETAG, slice_make(file->etag, file->etag_bytes));
    if (plain->cache_control.len) put(x, head, FIELD_CACHE_CONTROL, plain->cache_control);
    if (plain->expires_s) {
        char *date = arena_alloc(exchange_arena(x), HTTP_DATE_BYTES);
        http_date_write(date, exchange_clock(x)->wall_us / 1000000 + (int64_t)plain->expires_s);
        put_named(x, head, S("Expires"), slice_make(date, HTTP_DATE_BYTES));
    }
    for (size_t i = 0; i < FILE_CODINGS_MAX; i++) {
        if (!plain->coded[i]) continue;
        put(x, head, FIELD_VARY, S("Accept-Encoding"));
        break;
    }
    return head;
}

/* ---- bodies ---- */

struct body {
    struct open_file *file;
    struct slice     *heads; /* one before each range, and one behind all; NULL: none */
    struct http_range ranges[HTTP_RANGES_MAX];
    unsigned          count;
    unsigned          next; /* 2n: heads[n], 2n + 1: ranges[n] */
};

static bool next_piece(void *source, struct reply_piece *piece)
{
    struct body *b = source;
    if (!b->heads && b->next % 2 == 0) b->next++;
    unsigned n = b->next / 2, is_range = b->next % 2;
    if (n > b->count || (n == b->count && (is_range || !b->heads))) return false;
    b->next++;
    if (is_range)
        piece->range =
            (struct outq_range){ &b->file->file, b->ranges[n].first, b->ranges[n].bytes };
    else
        piece->bytes = b->heads[n];
    return true;
}

static void reply_body(struct exchange *x, struct http_head *head, const struct body *body)
{
    struct body *b = arena_alloc(exchange_arena(x), sizeof(*b));
    *b = *body;
    put_named(x, head, S("Accept-Ranges"), S("bytes"));
    if (head->body_bytes)
        exchange_reply_stream(x, head, next_piece, b, "files");
    else
        exchange_reply(x, head, slice_make("", 0), "files");
}

static struct slice content_range(struct exchange *x, const struct http_range *r, uint64_t size)
{
    return arena_printf(exchange_arena(x), "bytes %llu-%llu/%llu", (unsigned long long)r->first,
                        (unsigned long long)(r->first + r->bytes - 1), (unsigned long long)size);
}

/* multipart/byteranges (RFC 9110 section 14.6) */
static void put_parts(struct exchange *x, struct http_head *head, struct body *b)
{
    struct arena      *a = exchange_arena(x);
    unsigned long long mark = random_next(&exchange_loop(x)->random);
    struct slice       type = http_fields_value(&head->fields, FIELD_CONTENT_TYPE);
    b->heads = arena_alloc(a, (b->count + 1) * sizeof(*b->heads));
    for (unsigned i = 0; i < b->count; i++) {
        struct slice range = content_range(x, &b->ranges[i], b->file->size);
        b->heads[i] = arena_printf(a,
                                   "\r\n--%016llx\r\nContent-Type: %.*s\r\n"
                                   "Content-Range: %.*s\r\n\r\n",
                                   mark, SLICE_ARG(type), SLICE_ARG(range));
        head->body_bytes += (int64_t)(b->heads[i].len + b->ranges[i].bytes);
    }
    b->heads[b->count] = arena_printf(a, "\r\n--%016llx--\r\n", mark);
    head->body_bytes += (int64_t)b->heads[b->count].len;
    http_fields_set(&head->fields, a, FIELD_CONTENT_TYPE,
                    arena_printf(a, "multipart/byteranges; boundary=%016llx", mark));
}

static void reply_ranges(struct exchange *x, struct http_head *head, struct open_file *file,
                         const struct http_ranges *ranges)
{
    struct body body = { .file = file, .count = ranges->count };
    memcpy(body.ranges, ranges->items, sizeof(body.ranges));
    head->status = 206;
    if (ranges->count > 1) {
        put_parts(x, head, &body);
    } else {
        put_named(x, head, S("Content-Range"), content_range(x, &ranges->items[0], file->size));
        head->body_bytes = (int64_t)ranges->items[0].bytes;
    }
    reply_body(x, head, &body);
}

static void reply_unsatisfiable(struct exchange *x, const struct open_file *file)
{
    struct http_fields more = { 0 };
    http_fields_add_named(
        &more, exchange_arena(x), S("Content-Range"),
        arena_printf(exchange_arena(x), "bytes */%llu", (unsigned long long)file->size));
    exchange_reply_status_with(x, 416, "files_range", &more);
}

static void reply_whole(struct exchange *x, struct http_head *head, struct open_file *file)
{
    struct body body = { .file = file, .ranges = { { 0, file->size } }, .count = 1 };
    head->status = 200;
    head->body_bytes = (int64_t)file->size;
    reply_body(x, head, &body);
}

/* ---- which of it ---- */

/* RFC 9110 section 12.5.3: what the client likes most, our order among equals. */
static struct open_file *choose_coding(struct exchange *x, struct open_file *plain)
{
    struct coding_weights weights;
    struct open_file     *best = plain;
    uint16_t              weight = 0;
    for (size_t i = 0; i < FILE_CODINGS_MAX; i++) {
        struct open_file *f = plain->coded[i];
        if (!f) continue;
        if (best == plain && !weight) {
            http_accept_encoding(&exchange_request(x)->fields, &weights);
            weight = weights.of[CODING_IDENTITY];
        }
        bool is_better =
            best == plain ? weights.of[f->coding] >= weight : weights.of[f->coding] > weight;
        if (!weights.of[f->coding] || !is_better) continue;
        best = f;
        weight = weights.of[f->coding];
    }
    return best;
}

static void release(void *file)
{
    outq_file_unref(&((struct open_file *)file)->file);
}

/* Range is only for GET, and comes after the conditions (RFC 9110 sections 13.2.2, 14.2). */
static void reply_content(struct exchange *x, struct http_head *head, struct open_file *file,
                          const struct http_validators *v)
{
    const struct http_head *request = exchange_request(x);
    struct slice            range = http_fields_value(&request->fields, FIELD_RANGE);
    struct http_ranges      ranges;
    enum http_range_result  r = RANGE_NONE;
    if (range.len && request->method == HTTP_GET && http_if_range_holds(&request->fields, v))
        r = http_ranges_read(range, file->size, &ranges);
    if (r == RANGE_SOME)
        reply_ranges(x, head, file, &ranges);
    else if (r == RANGE_UNSATISFIABLE)
        reply_unsatisfiable(x, file);
    else
        reply_whole(x, head, file);
}

void files_reply(struct exchange *x, const struct files *f, struct open_file *plain)
{
    arena_on_reset(exchange_arena(x), release, plain);
    struct open_file      *file = choose_coding(x, plain);
    int64_t                now_s = exchange_clock(x)->wall_us / 1000000;
    struct http_validators v = { .etag = slice_make(file->etag, file->etag_bytes),
                                 .modified_s = file->modified_s,
                                 .is_date_weak = file->modified_s >= now_s - 1 };
    enum http_condition    c = http_judge_conditions(&exchange_request(x)->fields, &v);
    dress(f, plain);
    if (c == CONDITION_FAILED) {
        exchange_reply_status(x, 412, "files_precondition");
        return;
    }
    struct http_head *head = begin_head(x, plain, file);
    if (c == CONDITION_NOT_MODIFIED) {
        head->status = 304;
        exchange_reply(x, head, slice_make("", 0), "files_not_modified");
        return;
    }
    put(x, head, FIELD_CONTENT_TYPE, plain->type);
    if (file->coding) put(x, head, FIELD_CONTENT_ENCODING, http_coding_name(file->coding));
    reply_content(x, head, file, &v);
}
