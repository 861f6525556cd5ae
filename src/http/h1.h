/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP/1 codec (RFC 9112): one stream at a time. An idle codec holds no
 * buffer; what it knows of an exchange lives in the stream's arena, which may
 * therefore be reset only after http_stream_close().
 */
#pragma once

#include "http/codec.h"

http_codec_make h1_codec_new __attribute__((returns_nonnull));
