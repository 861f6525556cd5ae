/* SPDX-License-Identifier: Apache-2.0
 *
 * The server side of HTTP/1: a client's bytes, whole and in pieces. A request
 * that is understood is written for a replica and must be understood as the
 * same again.
 */
#include "h1_drive.h"
#include "http/h1_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same_fields(const struct http_fields *a, const struct http_fields *b)
{
    unsigned i = 0;
    unsigned j = 0;
    for (;;) {
        while (i < a->count && a->items[i].is_dropped) i++;
        while (j < b->count && b->items[j].is_dropped) j++;
        if (i == a->count || j == b->count) break;
        CHECK(slice_eq(a->items[i].name, b->items[j].name));
        CHECK(slice_eq(a->items[i++].value, b->items[j++].value));
    }
    CHECK(i == a->count && j == b->count);
}

static void check_path(const struct http_head *head)
{
    struct slice path = head->path;
    if (slice_eq(path, S("*"))) return;
    CHECK(path.len && path.data[0] == '/');
    CHECK(!memmem(path.data, path.len, "/../", 4) && !memmem(path.data, path.len, "/./", 3));
    CHECK(!slice_ends_with(path, S("/..")) && !slice_ends_with(path, S("/.")));
    CHECK(!memmem(path.data, path.len, "%00", 3) && !memchr(path.data, '\\', path.len));
}

static void check_head(struct drive *d, const struct http_head *head)
{
    check_path(head);
    char             *text = arena_alloc(&d->arena, h1_head_bytes_max(head) + H1_SLACK_BYTES);
    struct h1_framing framing = {
        .content_length = head->body_bytes > 0 ? head->body_bytes : -1,
        .is_chunked = head->body_bytes < 0,
        .accepts_trailers = head->accepts_trailers,
    };
    if (head->upgrade.len) framing.connection = H1_CONNECTION_UPGRADE;
    char *end = h1_write_request(text, head, &framing);
    CHECK((size_t)(end - text) <= h1_head_bytes_max(head));
    CHECK(h1_head_length(text, (size_t)(end - text), 0) == (size_t)(end - text));
    if (!head->authority.len) return; /* an HTTP/1.0 client: the owner finds one */

    struct http_limits limits = d->limits;
    limits.header_bytes = limits.request_line_bytes = 1 << 20;
    limits.header_count = 200;
    struct h1_message *m = h1_message_new(&d->arena, (size_t)(end - text));
    struct http_fault  fault;
    h1_end_text(end);
    bool is_good = h1_parse_request(m, slice_make(text, (size_t)(end - text)), &d->arena, &limits,
                                    false, &fault);
    if (!is_good) fprintf(stderr, "%s: %.*s\n", fault.reason, (int)(end - text), text);
    CHECK(is_good);
    CHECK(slice_eq(m->head.method_name, head->method_name) && slice_eq(m->head.path, head->path));
    CHECK(slice_eq(m->head.query, head->query) && m->head.has_query == head->has_query);
    CHECK(slice_eq(m->head.authority, head->authority));
    CHECK(slice_eq(m->head.upgrade, head->upgrade) && m->head.body_bytes == head->body_bytes);
    check_same_fields(&m->head.fields, &head->fields);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < DRIVE_PREFIX_BYTES) return 0;
    const char  *bytes = (const char *)data + DRIVE_PREFIX_BYTES;
    size_t       len = size - DRIVE_PREFIX_BYTES;
    struct drive whole;
    struct drive parts;
    drive_init(&whole, HTTP_SERVER, data[0]);
    drive_init(&parts, HTTP_SERVER, data[0]);
    whole.check_head = check_head;
    drive_feed(&whole, NULL, bytes, len);
    drive_feed(&parts, data + 1, bytes, len);
    if (data[0] & 32) {
        codec_expire(whole.codec);
        codec_expire(parts.codec);
    }
    codec_feed_eof(whole.codec);
    codec_feed_eof(parts.codec);
    CHECK(!codec_is_reusable(whole.codec));
    drive_compare(&whole, &parts);
    drive_reset(&whole);
    drive_reset(&parts);
    return 0;
}
