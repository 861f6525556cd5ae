/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1 heads as bytes. A head is written anew from its parsed form; the
 * fields that a codec answers for come from struct h1_framing alone.
 */
#pragma once

#include "http/message.h"

enum h1_connection {
    H1_CONNECTION_NONE,
    H1_CONNECTION_CLOSE,
    H1_CONNECTION_KEEP_ALIVE,
    H1_CONNECTION_UPGRADE, /* with Upgrade from the head */
};

struct h1_framing {
    int64_t            content_length; /* -1: no such field */
    bool               is_chunked;
    bool               expects_continue;
    bool               accepts_trailers; /* TE: trailers */
    enum h1_connection connection;
    const char        *date; /* of 29 bytes, or NULL: none */
};

/* At least as many bytes as the head will take. */
size_t h1_head_bytes_max(const struct http_head *head);
/* Both return the byte after the last one written. */
char *h1_write_request(char *to, const struct http_head *head, const struct h1_framing *framing);
char *h1_write_response(char *to, const struct http_head *head, const struct h1_framing *framing);
/* The fields that are not dropped, and the empty line. */
char  *h1_write_trailers(char *to, const struct http_fields *trailers);
size_t h1_trailers_bytes_max(const struct http_fields *trailers);
