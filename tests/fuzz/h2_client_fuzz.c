/* SPDX-License-Identifier: Apache-2.0
 *
 * The client side of HTTP/2: a replica's bytes, behind good SETTINGS or all raw, as
 * the answers to three requests; whole and in pieces.
 */
#include "h2_drive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A GET, a POST, and a HEAD or what asks for a tunnel. */
static void ask(struct drive *d, unsigned which)
{
    struct http_stream *s = codec_open(d->codec);
    if (!s) {
        CHECK(!codec_room(d->codec));
        return;
    }
    d->codec->owner_ops->on_stream(d->codec, s);
    struct drive_stream *t = s->owner;
    struct http_head     head = {
            .method = HTTP_GET, .method_name = S("GET"), .path = S("/"), .authority = S("a")
    };
    if (which == 1) {
        head.method = HTTP_POST;
        head.method_name = S("POST");
        head.body_bytes = -1;
    } else if (which == 2 && d->options & DRIVE_IS_UPGRADE) {
        head.upgrade = S("websocket");
        t->has_upgrade = d->codec->takes_upgrade;
    } else if (which == 2) {
        head.method = HTTP_HEAD;
        head.method_name = S("HEAD");
    }
    t->is_head_sent = true;
    t->send_left = -1;
    http_stream_send_head(s, &head);
    if (which != 1) return;
    if (d->is_active)
        t->is_sending = true;
    else
        http_stream_send_end(s, NULL);
}

static void run(struct drive *d, const uint8_t *data, size_t size, const uint8_t *lengths)
{
    static const char settings[] = "\0\0\6\4\0\0\0\0\0\0\x8\0\0\0\1";
    drive_init(d, HTTP_CLIENT, data);
    drive_flush(d, false);
    if (d->codec && d->options & DRIVE_HAS_PREFACE)
        drive_feed(d, NULL, settings, sizeof(settings) - 1);
    for (unsigned i = 0; d->codec && i < 3; i++) ask(d, i);
    if (d->codec) drive_flush(d, false);
    if (d->codec)
        drive_feed(d, lengths, (const char *)data + DRIVE_PREFIX_BYTES, size - DRIVE_PREFIX_BYTES);
    /* Another, where there is room. */
    if (d->codec) ask(d, 0);
    if (d->codec) drive_flush(d, false);
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
