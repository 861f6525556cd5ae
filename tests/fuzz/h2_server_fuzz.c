/* SPDX-License-Identifier: Apache-2.0
 *
 * The server side of HTTP/2: a client's bytes, behind a good preface or all raw,
 * whole and in pieces. A request that is understood is written for a replica of
 * HTTP/1 and must be understood as the same there.
 */
#include "h2_drive.h"
#include "http/h1_parse.h"
#include "http/h1_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_path(const struct http_head *head)
{
    struct slice path = head->path;
    if (slice_eq(path, S("*"))) return;
    CHECK(path.len && path.data[0] == '/');
    CHECK(!memmem(path.data, path.len, "/../", 4) && !memmem(path.data, path.len, "/./", 3));
    CHECK(!slice_ends_with(path, S("/..")) && !slice_ends_with(path, S("/.")));
    CHECK(!memmem(path.data, path.len, "%00", 3) && !memchr(path.data, '\\', path.len));
}

static unsigned count_fields(const struct http_fields *f)
{
    unsigned count = 0;
    for (unsigned i = 0; i < f->count; i++) count += !f->items[i].is_dropped;
    return count;
}

/* No request of HTTP/2 may become two of HTTP/1, or another one. */
static void check_head(struct drive_stream *t, const struct http_head *head)
{
    check_path(head);
    CHECK(head->authority.len && head->scheme.len);
    CHECK(head->body_bytes >= -1);
    char             *text = arena_alloc(&t->arena, h1_head_bytes_max(head) + H1_SLACK_BYTES);
    struct h1_framing framing = {
        .content_length = head->body_bytes > 0 ? head->body_bytes : -1,
        .is_chunked = head->body_bytes < 0,
        .accepts_trailers = head->accepts_trailers,
    };
    if (head->upgrade.len) framing.connection = H1_CONNECTION_UPGRADE;
    char *end = h1_write_request(text, head, &framing);
    CHECK((size_t)(end - text) <= h1_head_bytes_max(head));
    CHECK(h1_head_length(text, (size_t)(end - text), 0) == (size_t)(end - text));

    struct http_limits limits = t->d->limits;
    limits.header_bytes = limits.request_line_bytes = 1 << 20;
    limits.header_count = 200;
    struct h1_message *m = h1_message_new(&t->arena, (size_t)(end - text));
    struct http_fault  fault;
    h1_end_text(end);
    bool is_good = h1_parse_request(m, slice_make(text, (size_t)(end - text)), &t->arena, &limits,
                                    false, &fault);
    if (!is_good) fprintf(stderr, "%s: %.*s\n", fault.reason, (int)(end - text), text);
    CHECK(is_good);
    CHECK(slice_eq(m->head.method_name, head->method_name) && slice_eq(m->head.path, head->path));
    CHECK(slice_eq(m->head.query, head->query) && m->head.has_query == head->has_query);
    CHECK(slice_eq(m->head.authority, head->authority));
    CHECK(slice_eq(m->head.upgrade, head->upgrade) && m->head.body_bytes == head->body_bytes);
    CHECK(count_fields(&m->head.fields) == count_fields(&head->fields));
}

static void run(struct drive *d, const uint8_t *data, size_t size, const uint8_t *lengths)
{
    static const char preface[] = H2_PREFACE "\0\0\0\4\0\0\0\0\0";
    drive_init(d, HTTP_SERVER, data);
    if (!lengths) d->check_head = check_head;
    drive_flush(d, false);
    if (d->codec && d->options & DRIVE_HAS_PREFACE)
        drive_feed(d, NULL, preface, sizeof(preface) - 1);
    if (d->codec)
        drive_feed(d, lengths, (const char *)data + DRIVE_PREFIX_BYTES, size - DRIVE_PREFIX_BYTES);
    drive_finish(d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < DRIVE_PREFIX_BYTES) return 0;
    struct drive whole;
    struct drive parts;
    run(&whole, data, size, NULL);
    run(&parts, data, size, data + DRIVE_OPTIONS + DRIVE_SEED);
    drive_compare(&whole, &parts);
    drive_reset(&whole);
    drive_reset(&parts);
    return 0;
}
