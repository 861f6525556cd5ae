/* SPDX-License-Identifier: Apache-2.0
 *
 * What tests of HTTP calls share: a loop, a client, and a listening socket that is
 * their server.
 */
#pragma once

#include "http_probe.h"

struct bench {
    struct loop             *loop;
    struct http_client      *client;
    char                     folder[64], path[96], base[64];
    struct http_endpoint     endpoint;
    struct http_call_options options;
    int                      listening;
    struct http_probe        a, b;
};

extern const char whole[]; /* an answer that says "hello" */

int bench_set_up(void **state);
int bench_tear_down(void **state);
/* The server listens at a Unix socket, from now on by TCP. */
void bench_use_tcp(struct bench *t, struct address *a);
/* A call that has come to the server; returns its end. */
int bench_begin(struct bench *t);
/* The server says `text` to it and closes; what comes of it. */
void bench_play(struct bench *t, const char *text);
