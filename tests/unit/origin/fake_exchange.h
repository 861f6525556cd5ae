/* SPDX-License-Identifier: Apache-2.0
 *
 * An exchange as filters and origins see it, without one behind it: what they
 * ask for is set by the test, what they answer is kept. These definitions take
 * the place of proxy/'s at link time.
 */
#pragma once

#include "proxy/filter.h"

struct exchange {
    struct arena            arena;
    struct http_head        request;
    struct clock            clock;
    struct address          client;
    struct slice            key;     /* what exchange_key() says; unset: the client's address */
    struct slice            host;    /* what exchange_host() says */
    struct slice            prefix;  /* noted */
    struct loop            *loop;    /* the test's */
    struct pattern_matcher *matcher; /* the test's */
    void                   *origin_state;
    unsigned                status; /* answered; 0: not yet */
    struct http_head       *head;   /* of exchange_reply(), else NULL */
    struct slice            body;
    const char             *reason;
    struct slice            limit, limit_dry_run; /* noted */
    bool                    has_continued;
    bool                    is_secure;
    struct slice            variable; /* what every variable is */
};

void fake_exchange_init(struct exchange *x, const char *path);
void fake_exchange_reset(struct exchange *x);
/* A field of the answer; empty when it has none. */
struct slice fake_exchange_field(const struct exchange *x, const char *name);
