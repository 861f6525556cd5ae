/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/1.1 calls of the control plane, by libcurl on the loop: Docker, and whatever
 * else control has to ask. Not for traffic. One thread; blocks never but for what
 * libcurl does on files (and, before 7.87, for a name that is being looked up when
 * its call ends). Connections are kept for the next call of the same client. No
 * proxy of the environment is used, no redirect followed. The process ignores
 * SIGPIPE.
 *
 * libcurl is started by the first http_client_new() of the process, and never
 * ended.
 */
#pragma once

#include "base/error.h"
#include "base/slice.h"
#include "io/loop.h"

struct http_client;
struct http_call;

/* How to reach a server; texts are copied. */
struct http_endpoint {
    const char *base;            /* "http://docker", "https://10.0.0.2:2376": before the target */
    const char *unix_socket;     /* path; NULL: TCP */
    const char *ca, *cert, *key; /* PEM files for https; NULL: the system's authorities, none */
};

struct http_call_options {
    const struct http_endpoint *endpoint;
    const char                 *target;     /* "/v1.41/containers/json?all=1" */
    const char *const          *headers;    /* "Name: value", ends with NULL; may be NULL */
    uint64_t                    connect_ms; /* with name and handshake; 0: libcurl's 300 s */
    uint64_t                    total_ms;   /* for the whole call; 0: it may last for ever */
    size_t                      body_max;   /* more is an error; 0: no bound (a stream) */
};

/* None is called from within http_call_start() or http_call_cancel(). Within each, calls may be
 * started and cancelled, and the client freed. */
struct http_call_ops {
    /* The response's head is there (that of 100 Continue and its like is passed over). May be
     * NULL. */
    void (*on_head)(struct http_call *c, unsigned status, void *arg);
    /* A header line of it, before on_head. May be NULL. */
    void (*on_field)(struct http_call *c, struct slice name, struct slice value, void *arg);
    /* A piece of the body, as it comes. */
    void (*on_data)(struct http_call *c, struct slice data, void *arg);
    /* The end: NULL when the response is complete, whatever its status; else why not, for
     * people ("cannot connect to /var/run/docker.sock: permission denied"). The call is freed
     * after it. */
    void (*on_done)(struct http_call *c, const char *trouble, void *arg);
};

struct http_client *http_client_new(struct loop *l);
/* Cancels what runs. Accepts NULL. Before the loop ends. */
void http_client_free(struct http_client *h);

/* GET. What is wrong with the options is told by on_done as well. */
struct http_call *http_call_start(struct http_client *h, const struct http_call_options *o,
                                  const struct http_call_ops *ops, void *arg);
/* No callback any more; frees it. Accepts NULL. May be called from within its callbacks. */
void     http_call_cancel(struct http_call *c);
unsigned http_call_status(const struct http_call *c); /* 0: none yet */
