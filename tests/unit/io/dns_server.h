/* SPDX-License-Identifier: Apache-2.0
 *
 * A real name server (dnsmasq) on loopback, and what tests of lookups share: a
 * watch that counts and tells its answer as text.
 */
#pragma once

#include <sys/types.h>

#include "base/buffer.h"
#include "io/dns.h"

enum { SERVER_PATH_MAX = 64, ANSWER_TEXT_MAX = 2048 };

struct dns_server {
    pid_t    pid; /* 0: none runs */
    uint16_t port;
    char     log[SERVER_PATH_MAX]; /* of questions; kept over a restart */
};

/* `options` are dnsmasq's without "--", NULL after the last. It knows of nothing else than these;
 * what is not below test. is refused. Returns when it answers. At the port it had before. */
void dns_server_start(struct dns_server *s, const char *const *options);
void dns_server_stop(struct dns_server *s); /* when it runs, stopped by a signal or not */
void dns_server_reset(struct dns_server *s);
void dns_server_signal(const struct dns_server *s, int signal);
/* How often `text` stands in its log. */
unsigned dns_server_count(const struct dns_server *s, const char *text);
/* A temporary file; NULL: an empty one. The caller removes it. */
void dns_server_write(char path[SERVER_PATH_MAX], const struct buffer *text);

/* Somebody who watches a name. */
struct watcher {
    struct dns_watch *watch;
    unsigned          changed_count;
    struct loop      *loop;
    uint64_t          changed_ns; /* the last time */
    char              text[ANSWER_TEXT_MAX];
};

void watch_name(struct watcher *w, struct loop *l, struct dns *d, enum dns_kind kind,
                const char *name);
void unwatch(struct watcher *w);
/* One line a record, "priority weight address target"; or "trouble: ..." before them. */
const char *answer_of(struct watcher *w);
/* As options for one server on loopback, with short times. */
struct dns_options test_options(char servers[SERVER_PATH_MAX], uint16_t port);
