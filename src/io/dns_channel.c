/* SPDX-License-Identifier: Apache-2.0
 *
 * c-ares on a loop. See dns_channel.h.
 *
 * c-ares says which sockets it has and what it waits for on each (on_socket_state);
 * it reads and writes them itself when told that they are ready. It closes a socket
 * right after it has said that it waits for nothing, and the number may come back
 * at once: the watch is gone by then.
 */
#include "io/dns_channel.h"

#include <arpa/inet.h>
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/address.h"

enum {
    TRIES_OLD = 2, /* a timeout doubles from try to try */
    TRIES_NEW = 3, /* it is bounded, and follows what servers have needed so far */
    TRY_MIN_MS = 10,
    /* What passes without fragments everywhere (DNS flag day 2020); more comes over TCP. */
    EDNS_BYTES = 1232,
    DNS_PORT = 53,
};

struct dns_channel {
    struct loop    *loop;
    ares_channel    ares;
    struct deadline timeout;
    struct list     sockets; /* watched */
    struct list     spare;   /* to be used again: none is freed within its own event */
    bool            is_exact;
};

struct dns_socket {
    struct watch        watch;
    struct list         link;
    struct dns_channel *channel;
    int                 fd;
};

ares_channel dns_channel_ares(const struct dns_channel *c)
{
    return c->ares;
}

struct loop *dns_channel_loop(const struct dns_channel *c)
{
    return c->loop;
}

bool dns_channel_is_exact(const struct dns_channel *c)
{
    return c->is_exact;
}

void dns_channel_arm(struct dns_channel *c)
{
    struct timeval  buffer;
    struct timeval *wait = ares_timeout(c->ares, NULL, &buffer);
    if (wait)
        deadline_set(c->loop, &c->timeout,
                     (uint64_t)wait->tv_sec * 1000 + ((uint64_t)wait->tv_usec + 999) / 1000);
    else
        deadline_clear(&c->timeout);
}

static void process(struct dns_channel *c, ares_socket_t readable, ares_socket_t writable)
{
    ares_process_fd(c->ares, readable, writable);
    dns_channel_arm(c);
}

static void on_timeout(struct deadline *d)
{
    process(container_of(d, struct dns_channel, timeout), ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static void on_socket_ready(struct watch *w, int fd, unsigned what)
{
    struct dns_socket *s = container_of(w, struct dns_socket, watch);
    process(s->channel, what & LOOP_READABLE ? fd : ARES_SOCKET_BAD,
            what & LOOP_WRITABLE ? fd : ARES_SOCKET_BAD);
}

static struct dns_socket *find_socket(struct dns_channel *c, int fd)
{
    LIST_EACH (it, &c->sockets) {
        struct dns_socket *s = container_of(it, struct dns_socket, link);
        if (s->fd == fd) return s;
    }
    return NULL;
}

static void forget_socket(struct dns_socket *s)
{
    watch_remove(&s->watch);
    list_remove(&s->link);
    list_append(&s->channel->spare, &s->link);
}

static struct dns_socket *new_socket(struct dns_channel *c, int fd)
{
    struct dns_socket *s;
    if (list_is_empty(&c->spare)) {
        s = mem_zalloc(sizeof(*s));
        list_init(&s->link);
        s->channel = c;
    } else {
        s = container_of(c->spare.next, struct dns_socket, link);
    }
    s->fd = fd;
    /* Unwatched, its questions time out, which is told then. */
    if (!watch_add(c->loop, &s->watch, fd, false, on_socket_ready)) {
        list_remove(&s->link);
        free(s);
        return NULL;
    }
    list_remove(&s->link);
    list_append(&c->sockets, &s->link);
    return s;
}

static void on_socket_state(void *arg, ares_socket_t fd, int reads, int writes)
{
    struct dns_channel *c = arg;
    struct dns_socket  *s = find_socket(c, fd);
    unsigned            what = (reads ? LOOP_READABLE : 0u) | (writes ? LOOP_WRITABLE : 0u);
    if (what && !s) s = new_socket(c, fd);
    if (s && (!what || !watch_select(&s->watch, what))) forget_socket(s);
}

/* c-ares takes much for a server that is none, and says little of what it refuses. */
static bool is_server(struct slice text)
{
    char            copy[ADDRESS_TEXT_MAX];
    struct in6_addr ip;
    struct address  a;
    struct error    ignored;
    if (!text.len || text.len >= sizeof(copy)) return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, &ip) == 1 || inet_pton(AF_INET6, copy, &ip) == 1) return true;
    if (copy[0] != '[' && (copy[0] < '0' || copy[0] > '9')) return false;
    return address_parse(&a, text, NULL, &ignored) && a.port;
}

static bool check_servers(const char *servers, struct error *e)
{
    for (struct slice rest = slice_of(servers);;) {
        size_t       comma = slice_find(rest, ',');
        struct slice one = slice_make(rest.data, comma);
        if (!is_server(one))
            return error_set(e,
                             "\"%.*s\" is no name server's address; expected for example "
                             "10.0.0.2, 10.0.0.2:5353 or [::1]:53",
                             SLICE_ARG(one));
        if (comma == rest.len) return true;
        rest = slice_from(rest, comma + 1);
    }
}

/* Some of c-ares' calls are marked as old in 1.34, where those that follow them are not in 1.18. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static unsigned        count_servers(ares_channel ares)
{
    struct ares_addr_port_node *servers = NULL;
    unsigned                    count = 0;
    if (ares_get_servers_ports(ares, &servers) != ARES_SUCCESS) return 0;
    for (struct ares_addr_port_node *s = servers; s; s = s->next) count++;
    ares_free_data(servers);
    return count;
}
#pragma GCC diagnostic pop

/* All tries at all servers end before the timeout: with one that doubles, n servers and two
 * tries take n * (1 + 2) times as long as the first try; bounded, n * 3 times as well. */
static int open_ares(struct dns_channel *c, const char *servers, unsigned server_count, int try_ms)
{
    struct ares_options o = { .flags = ARES_FLAG_EDNS,
                              .timeout = try_ms,
                              .tries = TRIES_OLD,
                              .ednspsz = EDNS_BYTES,
                              .sock_state_cb = on_socket_state,
                              .sock_state_cb_data = c };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_EDNSPSZ |
               ARES_OPT_SOCK_STATE_CB;
    /* A server's failure is passed over in favour of the next server, and 1.18 forgets what
     * it was. Where there is no other, it is told as it is. */
    if (server_count == 1) o.flags |= ARES_FLAG_NOCHECKRESP;
    c->is_exact = server_count == 1;
#ifdef ARES_OPT_MAXTIMEOUTMS
    o.tries = TRIES_NEW;
    o.maxtimeout = try_ms;
    mask |= ARES_OPT_MAXTIMEOUTMS;
#endif
#ifdef ARES_OPT_QUERY_CACHE
    /* Names have their times here; a second memory would only make them stale. */
    o.qcache_max_ttl = 0;
    mask |= ARES_OPT_QUERY_CACHE;
    c->is_exact = true;
#endif
    int status = ares_init_options(&c->ares, &o, mask);
    if (status != ARES_SUCCESS || !servers) return status;
    status = ares_set_servers_ports_csv(c->ares, servers);
    if (status == ARES_SUCCESS) return status;
    ares_destroy(c->ares);
    c->ares = NULL;
    return status;
}

static void start_library(void)
{
    ares_library_init(ARES_LIB_INIT_ALL);
}

/* Opened once to learn how many servers the system names, then as these ask for. */
static bool open_channel(struct dns_channel *c, const char *servers, uint64_t timeout_ms,
                         struct error *e)
{
    int max_ms = timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms;
    int status = open_ares(c, servers, 0, max_ms);
    if (status == ARES_SUCCESS) {
        unsigned count = count_servers(c->ares);
        int      try_ms = max_ms / ((int)count * 3 + 1);
        ares_destroy(c->ares);
        c->ares = NULL;
        status = open_ares(c, servers, count, try_ms > TRY_MIN_MS ? try_ms : TRY_MIN_MS);
    }
    if (status == ARES_SUCCESS) return true;
    return error_set(e, "cannot look up names: %s", ares_strerror(status));
}

struct dns_channel *dns_channel_new(struct loop *l, const char *servers, uint64_t timeout_ms,
                                    struct error *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_library);
    if (servers && !check_servers(servers, e)) return NULL;
    struct dns_channel *c = mem_zalloc(sizeof(*c));
    c->loop = l;
    list_init(&c->sockets);
    list_init(&c->spare);
    deadline_init(&c->timeout, on_timeout);
    if (open_channel(c, servers, timeout_ms, e)) return c;
    dns_channel_free(c);
    return NULL;
}

void dns_channel_free(struct dns_channel *c)
{
    if (!c) return;
    if (c->ares) ares_destroy(c->ares);
    deadline_remove(&c->timeout);
    while (!list_is_empty(&c->sockets))
        forget_socket(container_of(c->sockets.next, struct dns_socket, link));
    LIST_EACH_SAFE (it, &c->spare) free(container_of(it, struct dns_socket, link));
    free(c);
}

void dns_channel_cancel(struct dns_channel *c)
{
    ares_cancel(c->ares);
    dns_channel_arm(c);
}
