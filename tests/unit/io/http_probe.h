/* SPDX-License-Identifier: Apache-2.0
 *
 * An owner of HTTP calls for tests: records what it is told and does what its
 * knobs say. The server is a plain socket of the test, in the same thread.
 */
#pragma once

#include "base/buffer.h"
#include "conn_probe.h"
#include "io/http_client.h"

enum http_moment { NEVER, ON_FIELD, ON_HEAD, ON_DATA, ON_DONE };

struct http_probe {
    struct http_client *client;
    struct http_call   *call;
    struct buffer       fields; /* "name=value\n" */
    struct buffer       data;
    unsigned            head_count, data_count, done_count;
    unsigned            status;
    char                trouble[512]; /* of on_done; "": none */
    bool                is_calling;   /* within http_call_start() or _cancel() */

    /* Knobs. */
    enum http_moment                cancels, frees_client;
    const struct http_call_options *next;   /* started at on_done */
    struct http_probe              *after;  /* by that one */
    struct http_probe              *victim; /* cancelled at on_done, when it still runs */
};

void probe_start(struct http_probe *p, struct http_client *h, const struct http_call_options *o);
void probe_cancel(struct http_probe *p);
/* Turns until it is done, and frees what it has got but for numbers. */
void probe_finish(struct http_probe *p, struct loop *l);
void probe_forget(struct http_probe *p);
bool probe_got(const struct http_probe *p, const char *text);

/* Listening, never blocking, at a path that is free or is to be had again. */
int listen_at(const char *path);
/* Turns until somebody has come; a blocking socket. */
int accept_in(struct loop *l, int listening);
/* Turns until a whole request has come; it is for `target`. */
void expect_request(struct loop *l, int fd, const char *target);
