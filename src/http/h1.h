/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP/1 codec (RFC 9112): one stream at a time. An idle codec holds no
 * buffer; what it knows of an exchange lives in the stream's arena, which may
 * therefore be reset only after http_stream_close().
 */
#pragma once

#include "http/codec.h"

/* `owner`, `limits`, `clock` and `blocks` (of the output queue) outlive it. */
struct http_codec *h1_codec_new(enum http_role role, const struct http_codec_owner_ops *ops,
                                void *owner, const struct http_limits *limits,
                                const struct clock *clock, struct block_pool *blocks, bool is_tls)
    __attribute__((returns_nonnull));
