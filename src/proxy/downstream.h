/* SPDX-License-Identifier: Apache-2.0
 *
 * A client's connection: PROXY header, TLS, codec, exchanges, and how it ends.
 *
 *   PROXY_HEADER -> HANDSHAKE -> IDLE <-> HEAD -> BUSY -> CLOSING -> LINGER
 */
#pragma once

#include "proxy/worker.h"

enum downstream_state {
    DOWNSTREAM_PROXY_HEADER, /* awaits the PROXY header: 5 s */
    DOWNSTREAM_HANDSHAKE,    /* awaits the client's TLS: tls_handshake */
    DOWNSTREAM_IDLE,         /* awaits a request: keep_alive */
    DOWNSTREAM_HEAD,         /* awaits the rest of a head: header */
    DOWNSTREAM_BUSY,         /* exchanges are running; each has its own deadline */
    DOWNSTREAM_CLOSING,      /* awaits that the client takes what is queued: write_idle */
    DOWNSTREAM_LINGER,       /* has sent FIN, discards input until the client's: 2 s */
};

struct downstream {
    struct conn             conn;
    struct http_codec      *codec; /* NULL before the first request and after a long rest */
    struct worker          *worker;
    struct worker_listener *listener;
    struct address          peer;      /* the PROXY header's, where one is required */
    struct list             link;      /* worker.downstreams */
    struct list             idle_link; /* worker.idle */
    struct buffer          *preface;   /* of an incomplete PROXY header; then, what does not
                                          tell the protocol yet */
    uint32_t request_count;
    uint32_t exchange_count;
    uint32_t discarded_bytes;
    uint32_t address_place; /* among the connections of its address; 0: not counted */
    uint8_t  state;
    bool     must_linger;   /* input may be unread: a plain close would reset */
    bool     has_rested;    /* idle for a while, and its codec is still needed */
    bool     is_leaving;    /* was told to take nothing new */
    bool     is_head_timed; /* busy, and a head on its way has the deadline */
};

/* A connection was accepted on `wl`. Owns `fd`. */
void downstream_accept(struct worker_listener *wl, int fd, const struct address *peer);
/* Finish what runs, take nothing new. */
void downstream_drain(struct downstream *d);
/* Drops the connection; its exchanges are broken off. */
void downstream_drop(struct downstream *d, bool is_reset);

/* An exchange ended. */
void downstream_exchange_ended(struct downstream *d, bool request_was_complete);
