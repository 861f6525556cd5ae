/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP/2 codec (RFC 9113) over nghttp2: many streams on one connection. What a
 * stream is given is turned into frames by codec_prepare(). docs/design/http2.md
 * tells who does what.
 */
#pragma once

#include "http/codec.h"

/* What a client with prior knowledge begins with (RFC 9113 section 3.4). */
#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
/* No request of HTTP/1 begins like it: so many bytes tell. */
enum { H2_PREFACE_TELLS_BYTES = 14 };

/* `owner`, `limits`, `clock` and `blocks` (of the output queue) outlive it. The
 * connection's preface is part of what it reads and writes. */
struct http_codec *h2_codec_new(enum http_role role, const struct http_codec_owner_ops *ops,
                                void *owner, const struct http_limits *limits,
                                const struct clock *clock, struct block_pool *blocks, bool is_tls)
    __attribute__((returns_nonnull));
