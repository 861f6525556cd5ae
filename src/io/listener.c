/* SPDX-License-Identifier: Apache-2.0
 *
 * Listening sockets. See listener.h.
 */
#include "io/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    PENDING_MAX = 4096, /* of a backlog */
    BATCH_MAX = 64,
    RETRY_MS = 50,
    UMASK_DECIDES = 0777
};

static bool explain_bind(struct error *e, const struct address *a, int error)
{
    char text[ADDRESS_TEXT_MAX];
    address_format(a, text);
    switch (error) {
    case EADDRINUSE:
        return error_set(e,
                         "cannot listen on %s: another process does; stop it, or choose "
                         "another %s (ss -ltnxp shows whose it is)",
                         text, a->family == ADDRESS_UNIX ? "path" : "port");
    case EACCES:
    case EPERM:
        if (a->family == ADDRESS_UNIX)
            return error_set(e, "cannot listen on %s: no permission to create it there", text);
        return error_set(e,
                         "cannot listen on %s: ports below 1024 are for root; start as root, give "
                         "the program CAP_NET_BIND_SERVICE, or choose a higher port",
                         text);
    case EADDRNOTAVAIL:
        return error_set(e, "cannot listen on %s: this machine has no such address", text);
    case EAFNOSUPPORT:
        return error_set(e, "cannot listen on %s: the kernel has no such kind of address", text);
    case ENOENT: return error_set(e, "cannot listen on %s: its directory does not exist", text);
    default: return error_set(e, "cannot listen on %s: %s", text, strerror(error));
    }
}

static void set_int(int fd, int level, int name, int value)
{
    /* Refused only where it makes no difference. */
    (void)!setsockopt(fd, level, name, &value, sizeof(value));
}

/* bind(2) and listen(2). Returns the descriptor, or the negative error. */
static int open_socket(const struct address *a, int backlog, bool reuse_port, mode_t mode)
{
    struct sockaddr_storage sa;
    socklen_t               len = address_to_sockaddr(a, &sa);
    if (!len) return -EINVAL;
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -errno;
    if (a->family == ADDRESS_UNIX) {
        /* On Linux the file takes its mode from the socket, before anyone can connect. */
        if (mode != UMASK_DECIDES) (void)!fchmod(fd, mode);
    } else {
        set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        if (reuse_port) set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
        set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* accepted sockets inherit it */
        if (a->family == ADDRESS_V6) set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    }
    if (bind(fd, (struct sockaddr *)&sa, len) == 0 && listen(fd, backlog) == 0) return fd;
    int error = errno;
    close(fd);
    return -error;
}

/* Removes a socket that nobody listens on any more. */
static bool remove_stale(const struct address *a)
{
    struct sockaddr_storage sa;
    struct stat             st;
    socklen_t               len = address_to_sockaddr(a, &sa);
    if (a->path[0] == '@' || lstat(a->path, &st) < 0 || !S_ISSOCK(st.st_mode)) return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    bool is_stale = connect(fd, (struct sockaddr *)&sa, len) < 0 && errno == ECONNREFUSED;
    close(fd);
    return is_stale && unlink(a->path) == 0;
}

static bool is_any(const struct address *a)
{
    static const uint8_t zero[16];
    return a->family == ADDRESS_V6 && !a->scope && memcmp(a->ip, zero, sizeof(zero)) == 0;
}

static int bind_with_mode(const struct address *a, int backlog, bool reuse_port, mode_t mode,
                          struct error *e)
{
    int fd = open_socket(a, backlog, reuse_port, mode);
    if (fd == -EAFNOSUPPORT && is_any(a)) {
        struct address any = { .family = ADDRESS_V4, .port = a->port };
        fd = open_socket(&any, backlog, reuse_port, mode);
    }
    if (fd == -EADDRINUSE && a->family == ADDRESS_UNIX && remove_stale(a))
        fd = open_socket(a, backlog, reuse_port, mode);
    if (fd >= 0) return fd;
    explain_bind(e, a, -fd);
    return -1;
}

int listener_bind(const struct address *a, int backlog, bool reuse_port, struct error *e)
{
    return bind_with_mode(a, backlog, reuse_port, UMASK_DECIDES, e);
}

int listener_bind_unix(const struct address *a, int backlog, mode_t mode, struct error *e)
{
    return bind_with_mode(a, backlog, false, mode, e);
}

static void run_watch(struct watch *w, int fd, unsigned what);

static bool start_watching(struct listener *l)
{
    l->is_watching = watch_add(l->loop, &l->watch, l->fd, false, run_watch);
    return l->is_watching;
}

static void stop_watching(struct listener *l)
{
    if (l->is_watching) watch_remove(&l->watch);
    l->is_watching = false;
}

static void try_later(struct listener *l)
{
    stop_watching(l);
    deadline_set(l->loop, &l->retry, RETRY_MS + random_below(&l->loop->random, RETRY_MS));
}

static void run_retry(struct deadline *d)
{
    struct listener *l = container_of(d, struct listener, retry);
    if (!start_watching(l)) try_later(l);
}

/* True when another may be waiting. */
static bool accept_one(struct listener *l)
{
    struct sockaddr_storage sa;
    socklen_t               len = sizeof(sa);
    struct address          peer;
    int fd = accept4(l->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        address_from_sockaddr(&peer, (struct sockaddr *)&sa, len);
        l->on_accept(l, fd, &peer);
        return l->is_watching;
    }
    switch (errno) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        try_later(l);
        if (l->on_exhausted) l->on_exhausted(l);
        return false;
    case EAGAIN: return false;
    default: return true; /* ECONNABORTED, or an error of the network: of that one only */
    }
}

/* Where connections come one by one, a second accept4 each time would only hear
 * EAGAIN: it is tried when the last batches were full. */
static void run_watch(struct watch *w, int fd, unsigned what)
{
    (void)fd;
    (void)what;
    struct listener *l = container_of(w, struct listener, watch);
    unsigned         taken = 0;
    while (taken < l->batch && accept_one(l)) taken++;
    if (taken == l->batch)
        l->batch = l->batch * 2 < BATCH_MAX ? l->batch * 2 : BATCH_MAX;
    else
        l->batch = taken ? taken : 1;
}

bool listener_start(struct listener *l, struct loop *loop, int fd,
                    void (*on_accept)(struct listener *, int fd, const struct address *peer))
{
    l->loop = loop;
    l->fd = fd;
    l->batch = 1;
    l->on_accept = on_accept;
    deadline_init(&l->retry, run_retry);
    return start_watching(l);
}

void listener_take_pending(struct listener *l)
{
    for (unsigned i = 0; l->is_watching && i < PENDING_MAX && accept_one(l); i++) continue;
}

void listener_refuse(int fd)
{
    const struct linger abort_it = { .l_onoff = 1, .l_linger = 0 };
    (void)!setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_it, sizeof(abort_it));
    close(fd);
}

void listener_stop(struct listener *l)
{
    stop_watching(l);
    deadline_remove(&l->retry);
}
