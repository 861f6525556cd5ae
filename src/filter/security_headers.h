/* SPDX-License-Identifier: Apache-2.0
 *
 * What browsers are told to refuse, on every final answer: HSTS (only to who came by TLS), CSP,
 * X-Frame-Options and their kin, and the headers that tell of the server taken away. The lines
 * are written once a plan, one after the other, so that HTTP/1 copies them as one text.
 */
#pragma once

#include "proxy/filter.h"

struct security_headers;

/* Its config is a struct security_headers. */
extern const struct filter_ops filter_security_headers;

/* In that arena; keeps no pointer to `s`, which may be NULL. NULL: there is nothing to do. */
const struct security_headers *security_headers_build(const struct security_settings *s,
                                                      struct arena                   *a);
/* The names of what such a request is sent, kept and taken away, for explain. */
struct slice security_headers_text(const struct security_headers *h, bool is_secure,
                                   struct arena *a);
