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

/* The connection's preface is part of what it reads and writes. */
http_codec_make h2_codec_new __attribute__((returns_nonnull));
