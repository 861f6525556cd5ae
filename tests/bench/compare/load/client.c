/* SPDX-License-Identifier: Apache-2.0
 *
 * The load generator's connections. See client.h.
 */
#include "client.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum io { IO_SOME, IO_WAIT, IO_END };

static int on_new_session(SSL *ssl, SSL_SESSION *session)
{
    struct client *c = SSL_get_app_data(ssl);
    SSL_SESSION_free(c->dialer->session);
    c->dialer->session = SSL_SESSION_dup(session);
    return 0;
}

SSL_CTX *dialer_tls_new(struct dialer *d, char *groups, const char *cipher)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (!ctx) return NULL;
    SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_quiet_shutdown(ctx, 1);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1);
    if (SSL_CTX_set1_groups_list(ctx, groups) != 1 || SSL_CTX_set_ciphersuites(ctx, cipher) != 1) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    if (d->resumes) {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ctx, on_new_session);
    } else {
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    }
    return ctx;
}

void client_close(struct client *c)
{
    if (c->fd >= 0) close(c->fd);
    if (c->ssl) {
        /* Else libssl would hold the session for spoilt, and the ticket with it. */
        SSL_set_shutdown(c->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
        SSL_free(c->ssl);
        ERR_clear_error();
    }
    c->fd = -1;
    c->ssl = NULL;
    c->state = CLIENT_CLOSED;
}

static void end(struct client *c)
{
    enum client_end how = CLIENT_END_AT_REST;
    if (c->state == CLIENT_CONNECTING || c->state == CLIENT_HANDSHAKING)
        how = CLIENT_END_NO_CONNECTION;
    else if (c->state == CLIENT_SENDING || (c->state == CLIENT_HEAD && c->head_have == 0))
        how = CLIENT_END_BEFORE_ANSWER;
    else if (c->state == CLIENT_HEAD || c->state == CLIENT_BODY)
        how = CLIENT_END_WITHIN_ANSWER;
    client_close(c);
    c->dialer->on_end(c->dialer->arg, c, how);
}

static bool socket_open(struct client *c)
{
    struct dialer *d = c->dialer;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) return false;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    if (d->source_addresses) {
        uint32_t           host = 0x7f000002 + d->next_source++ % d->source_addresses;
        struct sockaddr_in from = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(host) };
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &(int){ 1 }, sizeof(int));
        if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) < 0) return false;
    }
    struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c };
    if (connect(c->fd, (struct sockaddr *)&d->target, sizeof(d->target)) < 0 &&
        errno != EINPROGRESS)
        return false;
    return epoll_ctl(d->epoll, EPOLL_CTL_ADD, c->fd, &e) == 0;
}

static bool tls_open(struct client *c)
{
    struct dialer *d = c->dialer;
    if (!d->tls) return true;
    c->ssl = SSL_new(d->tls);
    if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1) return false;
    SSL_set_app_data(c->ssl, c);
    SSL_set_tlsext_host_name(c->ssl, d->server_name);
    if (!d->resumes || !d->session) return true;
    /* A copy: libssl spoils the session that a connection came from once the connection
     * gets a ticket of its own, and others may be about to use it. */
    SSL_SESSION *session = SSL_SESSION_dup(d->session);
    bool         is_set = session && SSL_set_session(c->ssl, session) == 1;
    SSL_SESSION_free(session);
    return is_set;
}

void client_dial(struct client *c)
{
    c->dialer->dials++;
    c->served = 0;
    c->has_hangup = false;
    c->state = CLIENT_CONNECTING;
    if (!socket_open(c) || !tls_open(c)) end(c);
}

static enum io tls_outcome(struct client *c, int result)
{
    int why = SSL_get_error(c->ssl, result);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? IO_WAIT : IO_END;
}

/* Reads, or with `drops` throws away without copying where the kernel can. */
static enum io receive(struct client *c, void *to, size_t len, bool drops, size_t *got)
{
    if (c->ssl) {
        int n = SSL_read(c->ssl, to, (int)len);
        if (n <= 0) return tls_outcome(c, n);
        *got = (size_t)n;
        return IO_SOME;
    }
    ssize_t n = recv(c->fd, to, len, drops ? MSG_TRUNC : 0);
    if (n < 0) return errno == EAGAIN ? IO_WAIT : IO_END;
    if (n == 0) return IO_END;
    *got = (size_t)n;
    return IO_SOME;
}

static void flush_out(struct client *c)
{
    while (c->out_sent < c->out_len) {
        const char *from = c->out + c->out_sent;
        size_t      len = c->out_len - c->out_sent;
        ssize_t     n;
        if (c->ssl) {
            n = SSL_write(c->ssl, from, (int)len);
            if (n <= 0) {
                if (tls_outcome(c, (int)n) == IO_END) end(c);
                return;
            }
        } else {
            n = send(c->fd, from, len, MSG_NOSIGNAL);
            if (n < 0) {
                if (errno != EAGAIN) end(c);
                return;
            }
        }
        c->out_sent += (size_t)n;
    }
    c->state = CLIENT_HEAD;
}

void client_send(struct client *c)
{
    c->state = CLIENT_SENDING;
    c->out_sent = 0;
    c->head_have = 0;
    flush_out(c);
}

const char *client_field(const char *head, const char *name)
{
    size_t n = strlen(name);
    for (const char *line = strstr(head, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, n) == 0 && line[n] == ':')
            return line + n + 1 + strspn(line + n + 1, " ");
    }
    return NULL;
}

/* The head is whole and NUL-terminated. */
static bool parse_head(struct client *c)
{
    if (strncmp(c->head, "HTTP/1.1 ", 9) != 0) return false;
    c->status = (uint16_t)strtoul(c->head + 9, NULL, 10);
    const char *length = client_field(c->head, "Content-Length");
    const char *connection = client_field(c->head, "Connection");
    c->closes = connection && strncasecmp(connection, "close", 5) == 0;
    c->body_left = length ? strtoull(length, NULL, 10) : 0;
    const char *coding = client_field(c->head, "Transfer-Encoding");
    c->chunk = coding && strncasecmp(coding, "chunked", 7) == 0 ? CHUNK_SIZE : CHUNK_NONE;
    return length != NULL || c->chunk;
}

/* A byte that is not a chunk's data. False: it has no place there. */
static bool take_frame_byte(struct client *c, char byte)
{
    if (byte == '\r') return true;
    if (c->chunk == CHUNK_SIZE && byte != '\n') {
        const char *digits = "0123456789abcdef", *at = strchr(digits, byte | 0x20);
        if (!at || !byte) return false;
        c->body_left = c->body_left * 16 + (uint64_t)(at - digits);
        return true;
    }
    if (byte != '\n') return false;
    if (c->chunk == CHUNK_LAST_END)
        c->chunk = CHUNK_NONE; /* with body_left 0: complete */
    else if (c->chunk == CHUNK_DATA_END)
        c->chunk = CHUNK_SIZE;
    else
        c->chunk = c->body_left ? CHUNK_DATA : CHUNK_LAST_END;
    return true;
}

/* False: it is more than the body, or no chunks. */
static bool take_body(struct client *c, const char *data, size_t len)
{
    if (!c->chunk) {
        if (len > c->body_left) return false;
        c->body_left -= len;
        c->dialer->body_bytes += len;
        return true;
    }
    while (len) {
        size_t n = c->chunk == CHUNK_DATA && c->body_left < len ? (size_t)c->body_left : len;
        if (c->chunk != CHUNK_DATA) {
            n = 1;
            if (!c->chunk || !take_frame_byte(c, *data)) return false;
        } else {
            c->body_left -= n;
            c->dialer->body_bytes += n;
            if (!c->body_left) c->chunk = CHUNK_DATA_END;
        }
        data += n;
        len -= n;
    }
    return true;
}

static void answered(struct client *c)
{
    c->served++;
    c->head_have = 0;
    /* A close that nobody announced may be here already. */
    c->state = c->closes || c->has_hangup ? CLIENT_ENDING : CLIENT_IDLE;
    c->dialer->on_answer(c->dialer->arg, c);
}

/* Takes `n` new bytes that stand at c->head + c->head_have. False: they make no answer. */
static bool take_head(struct client *c, size_t n)
{
    c->head_have += n;
    c->head[c->head_have] = '\0';
    char *blank = strstr(c->head, "\r\n\r\n");
    if (!blank) return c->head_have < CLIENT_HEAD_MAX - 1;
    size_t head_len = (size_t)(blank - c->head) + 4;
    size_t body = c->head_have - head_len;
    blank[2] = '\0';
    if (!parse_head(c)) return false;
    c->state = CLIENT_BODY;
    return take_body(c, c->head + head_len, body);
}

static enum io receive_step(struct client *c)
{
    struct dialer *d = c->dialer;
    size_t         got = 0;
    bool           in_head = c->state == CLIENT_HEAD;
    char          *to = in_head ? c->head + c->head_have : d->scratch;
    size_t         room = in_head ? CLIENT_HEAD_MAX - 1 - c->head_have : d->scratch_len;
    bool           drops = !in_head && !c->chunk;
    enum io        result = receive(c, to, room, drops, &got);
    if (result != IO_SOME) return result;
    d->bytes += got;
    if (in_head) {
        if (!take_head(c, got)) return IO_END;
    } else if (c->state == CLIENT_BODY) {
        if (!take_body(c, to, got)) return IO_END;
    } else if (c->state != CLIENT_ENDING) {
        return IO_END; /* bytes that nobody asked for */
    }
    /* A short read has emptied the socket, unless the end is behind it. */
    return !c->ssl && got < room && !c->has_hangup ? IO_WAIT : IO_SOME;
}

static void receive_all(struct client *c)
{
    for (;;) {
        enum io result = receive_step(c);
        if (result == IO_END) {
            end(c);
            return;
        }
        if (c->state == CLIENT_BODY && !c->chunk && c->body_left == 0) {
            answered(c);
            /* A last answer is read on to the connection's end, which may be here
             * already; whoever goes on is called again by an event. */
            if (c->state != CLIENT_ENDING) return;
            continue;
        }
        if (result == IO_WAIT) return;
    }
}

static void handshake(struct client *c)
{
    int result = SSL_connect(c->ssl);
    if (result != 1) {
        if (tls_outcome(c, result) == IO_END) end(c);
        return;
    }
    c->dialer->handshakes++;
    c->dialer->resumed += SSL_session_reused(c->ssl) == 1;
    c->state = CLIENT_IDLE;
    c->dialer->on_open(c->dialer->arg, c);
}

static void connected(struct client *c)
{
    int       problem = 0;
    socklen_t len = sizeof(problem);
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &problem, &len);
    if (problem) {
        end(c);
        return;
    }
    if (c->ssl) {
        c->state = CLIENT_HANDSHAKING;
        handshake(c);
        return;
    }
    c->state = CLIENT_IDLE;
    c->dialer->on_open(c->dialer->arg, c);
}

void client_on_event(struct client *c, uint32_t events)
{
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) c->has_hangup = true;
    switch (c->state) {
    case CLIENT_CLOSED: return;
    case CLIENT_CONNECTING:
        if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) connected(c);
        return;
    case CLIENT_HANDSHAKING: handshake(c); return;
    case CLIENT_SENDING: flush_out(c); return;
    case CLIENT_IDLE:
    case CLIENT_HEAD:
    case CLIENT_BODY:
    case CLIENT_ENDING:
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) receive_all(c);
        return;
    }
}
