/* SPDX-License-Identifier: Apache-2.0
 *
 * The client side of HTTP/1: a replica's bytes as the answers to a row of
 * requests, whole and in pieces.
 */
#include "h1_drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool ask(struct drive *d, uint8_t options)
{
    d->stream = codec_open(d->codec);
    if (!d->stream) return false;
    d->codec->owner_ops->on_stream(d->codec, d->stream);
    struct http_head head = {
        .method = options & 64 ? HTTP_HEAD : HTTP_GET,
        .method_name = options & 64 ? S("HEAD") : S("GET"),
        .path = S("/"),
        .authority = S("a"),
    };
    if (options & 128) head.upgrade = S("websocket");
    http_stream_send_head(d->stream, &head);
    drive_output(d);
    return true;
}

static void run(struct drive *d, const uint8_t *data, size_t size, const uint8_t *lengths)
{
    drive_init(d, HTTP_CLIENT, data[0]);
    ask(d, data[0]);
    drive_feed(d, lengths, (const char *)data + DRIVE_PREFIX_BYTES, size - DRIVE_PREFIX_BYTES);
    if (data[0] & 32)
        codec_feed_abort(d->codec);
    else
        codec_feed_eof(d->codec);
    CHECK(!d->stream || d->stage == DRIVE_HEAD);
    CHECK(!codec_room(d->codec));
}

/* The same with one response after the other: each is fed up to its end, as a
 * connection that is used again. What follows a response is surplus when it
 * comes with it, so that only this way gets to the next. */
static void run_row(const uint8_t *data, size_t size)
{
    struct drive d;
    drive_init(&d, HTTP_CLIENT, data[0]);
    const char *bytes = (const char *)data + DRIVE_PREFIX_BYTES;
    size_t      len = size - DRIVE_PREFIX_BYTES;
    bool        is_open = ask(&d, data[0]);
    for (size_t i = 0; i < len && is_open; i++) {
        if (!drive_piece(&d, bytes + i, 1)) break;
        if (!d.stream) is_open = ask(&d, data[0]);
    }
    drive_reset(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < DRIVE_PREFIX_BYTES) return 0;
    struct drive whole;
    struct drive parts;
    run(&whole, data, size, NULL);
    run(&parts, data, size, data + 1);
    drive_compare(&whole, &parts);
    drive_reset(&whole);
    drive_reset(&parts);
    run_row(data, size);
    return 0;
}
