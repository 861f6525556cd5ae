/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to explain*.c: a question, taken apart, and how its answers are written.
 */
#pragma once

#include "base/buffer.h"
#include "control/explain.h"
#include "http/uri.h"

enum { EXPLAIN_HEADER_MAX = 64 };

struct explain_request {
    struct arena        *arena;
    struct slice         url, container, method, client; /* decoded; unset: not asked */
    struct slice         headers[EXPLAIN_HEADER_MAX];
    size_t               header_count;
    struct slice         scheme;    /* "http", "https"; empty: the URL has none */
    struct uri_authority authority; /* of the header Host where one is given */
    uint16_t             port;      /* of the URL; 0: it names none */
    bool                 is_secure; /* once its listener is known */
    struct address       address;   /* of the client, where it is given */
    struct http_head     head;
};

/* ---- explain_request.c: false and *e: it is wrong ---- */
bool explain_read(struct slice query, struct explain_request *r, struct error *e);
/* r->url and what else is said of the request becomes scheme, authority and head. */
bool explain_read_url(struct explain_request *r, const struct http_limits *limits, struct error *e);

/* ---- explain_url.c, explain_choice.c, explain_container.c ---- */
void explain_url(const struct explain_world *w, struct explain_request *r, struct buffer *to);
/* The upstream's endpoints, and which of them the request would get. */
void explain_upstream(const struct explain_world *w, const struct upstream *u,
                      const struct explain_request *r, struct buffer *to);
/* The status, as explain_answer(). */
unsigned explain_container(const struct explain_world *w, const struct explain_request *r,
                           struct buffer *to);

/* ---- explain.c ---- */
/* ,"key":"text"; null for an empty text. `key` with the comma where one belongs. */
void     explain_put(struct buffer *to, const char *key, struct slice text);
unsigned explain_fail(struct buffer *to, unsigned status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
