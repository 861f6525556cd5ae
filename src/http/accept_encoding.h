/* SPDX-License-Identifier: Apache-2.0
 *
 * What content codings a client takes: Accept-Encoding (RFC 9110 section 12.5.3).
 */
#pragma once

#include "http/coding.h"
#include "http/message.h"

/* In thousandths; 0: it does not take that one. */
struct coding_weights {
    uint16_t of[CODING_COUNT];
};

/* Of all such fields together. Without any it takes nothing but identity: that is what
 * such clients mean. What cannot be understood is passed over. */
void http_accept_encoding(const struct http_fields *f, struct coding_weights *to);
