/* SPDX-License-Identifier: Apache-2.0
 *
 * One client connection of the load generator: dial, TLS 1.3 handshake, one
 * request at a time, its answer read to the end. Non-blocking, one edge-triggered
 * registration a connection. What a connection's end means is told apart: at
 * rest, under a request before a byte of its answer, or within an answer.
 * It decides nothing: load.c is called back, and may send from there.
 */
#pragma once

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum client_state {
    CLIENT_CLOSED,
    CLIENT_CONNECTING,
    CLIENT_HANDSHAKING,
    CLIENT_IDLE, /* open, no request */
    CLIENT_SENDING,
    CLIENT_HEAD, /* waits for the answer's head */
    CLIENT_BODY,
    CLIENT_ENDING, /* answered; the server has said that it will close */
};

enum client_end {
    CLIENT_END_NO_CONNECTION, /* refused, reset, or the handshake failed */
    CLIENT_END_AT_REST,
    CLIENT_END_BEFORE_ANSWER,
    CLIENT_END_WITHIN_ANSWER,
};

/* Of a chunked body: what is read next. body_left is what is left of the chunk's data. */
enum chunk_state { CHUNK_NONE, CHUNK_SIZE, CHUNK_DATA, CHUNK_DATA_END, CHUNK_LAST_END };

enum { CLIENT_OUT_MAX = 1024, CLIENT_HEAD_MAX = 2048 };

struct client {
    struct dialer    *dialer;
    int               fd;
    enum client_state state;
    SSL              *ssl;
    unsigned          served;     /* answers on this connection */
    bool              has_hangup; /* the peer's FIN is behind what is being read */
    uint16_t          status;
    bool              closes; /* this answer is the connection's last */
    uint64_t          body_left;
    enum chunk_state  chunk; /* CHUNK_NONE: the body has a length */
    size_t            out_len, out_sent, head_have;
    /* The caller's: */
    uint64_t due_ns;
    unsigned attempts;
    bool     has_request, is_resting, is_waiting;
    char     out[CLIENT_OUT_MAX];
    char     head[CLIENT_HEAD_MAX];
};

/* What every connection of a run has in common. */
struct dialer {
    int                epoll;
    struct sockaddr_in target;
    unsigned           source_addresses; /* dial from 127.0.0.2 and up in turn; 0: any */
    unsigned           next_source;
    SSL_CTX           *tls; /* NULL: plain */
    char              *server_name;
    SSL_SESSION       *session; /* the newest ticket */
    bool               resumes;
    uint64_t           handshakes, resumed, dials, bytes;
    uint64_t           body_bytes; /* of them, of bodies, without chunks' frames */
    char              *scratch;
    size_t             scratch_len;

    void (*on_open)(void *arg, struct client *c);   /* now CLIENT_IDLE */
    void (*on_answer)(void *arg, struct client *c); /* CLIENT_IDLE, or CLIENT_ENDING */
    void (*on_end)(void *arg, struct client *c, enum client_end how); /* now CLIENT_CLOSED */
    void *arg;
};

/* Makes the dialer's TLS context: TLS 1.3 only, one group and one cipher suite, so
 * that every server does the same work. NULL on failure. */
SSL_CTX *dialer_tls_new(struct dialer *d, char *groups, const char *cipher);

void client_dial(struct client *c);
/* Sends c->out[0..out_len); the client is idle. */
void client_send(struct client *c);
void client_on_event(struct client *c, uint32_t events);
void client_close(struct client *c);
/* The value of a field of a head, up to the end of its line or further; NULL: it has none.
 * c->head is that of the last answer while on_answer() runs. */
const char *client_field(const char *head, const char *name);
