/* SPDX-License-Identifier: Apache-2.0
 *
 * The replicas of the balancing trial, all in one process, one port each: an
 * application with so many threads, which serve so many requests at once while
 * others wait in line. Serving is a wait of the service time, uniform within the
 * jitter, so that ten replicas need hardly any CPU. One of them may be odd: slower, or
 * one that fails a part of its requests at once, by status 500 or by a reset.
 * As an application's thread, it does not notice that nobody waits any more: a request
 * whose connection was closed is served in its turn.
 *
 * "GET /ready" is answered at once and not counted. It trusts its peers: no bodies,
 * no pipelining, heads of at most 4 KiB.
 *
 *   origin --ports N,N,... [--threads N] [--service-us N] [--jitter PERCENT]
 *          [--odd N --kind slow|error|reset] [--factor N] [--fails PERCENT] [--seed N]
 *
 * It prints "ready", and for each line it is given one line of figures.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "histogram.h"

enum { HEAD_MAX = 4096, EVENTS = 256, REPLICAS_MAX = 64, THREADS_MAX = 64 };
#define NS_PER_S UINT64_C(1000000000)

static const char good[] = "HTTP/1.1 200 OK\r\n"
                           "Content-Type: text/plain\r\n"
                           "Cache-Control: private, max-age=0\r\n"
                           "Content-Length: 16\r\n\r\n"
                           "0123456789abcdef";
static const char bad[] = "HTTP/1.1 500 Internal Server Error\r\n"
                          "Content-Type: text/plain\r\n"
                          "Content-Length: 6\r\n\r\n"
                          "failed";

enum kind { KIND_EQUAL, KIND_SLOW, KIND_ERROR, KIND_RESET };
enum watched { WATCHED_LISTENER, WATCHED_PEER, WATCHED_TIMER, WATCHED_STARTER };

/* What epoll's events point to. */
struct handle {
    enum watched what;
    int          fd;
};

struct replica {
    struct handle listener;
    enum kind     kind;
    unsigned      busy;             /* threads that serve */
    struct peer  *first, **last;    /* requests in line */
    unsigned      waiting, longest; /* in line now, and at most */
    uint64_t      requests, failed;
};

struct peer {
    struct handle   handle; /* fd -1: closed while its request was waiting or served */
    struct replica *replica;
    struct peer    *next;
    bool            has_request;
    uint64_t        done_ns; /* when its answer is due */
    size_t          have;
    char            head[HEAD_MAX];
};

struct origin {
    int              epoll;
    struct handle    timer, starter;
    uint64_t         armed_ns, random;
    unsigned         threads, jitter, factor, fails;
    uint64_t         service_ns;
    struct replica   replicas[REPLICAS_MAX];
    unsigned         count;
    struct peer     *served[REPLICAS_MAX * THREADS_MAX];
    unsigned         served_count;
    struct histogram late; /* answers given after they were due */
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static uint64_t draw(struct origin *o, uint64_t below)
{
    o->random ^= o->random << 13, o->random ^= o->random >> 7, o->random ^= o->random << 17;
    return o->random % below;
}

static void watch(struct origin *o, struct handle *h)
{
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = h };
    if (epoll_ctl(o->epoll, EPOLL_CTL_ADD, h->fd, &e) < 0) die("epoll_ctl");
}

static void peer_close(struct peer *p)
{
    if (p->handle.fd >= 0) close(p->handle.fd);
    p->handle.fd = -1;
    if (!p->has_request) free(p); /* else when it has been served */
}

static void reset(struct peer *p)
{
    struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
    setsockopt(p->handle.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    peer_close(p);
}

/* The answers are small: what does not go at once is no connection to keep. */
static void answer(struct peer *p, const char *text, size_t len)
{
    if (p->handle.fd < 0 || send(p->handle.fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
        peer_close(p);
}

static uint64_t service_time(struct origin *o, const struct replica *r)
{
    uint64_t base = o->service_ns * (r->kind == KIND_SLOW ? o->factor : 1);
    uint64_t spread = base * o->jitter / 100;
    return base - spread + draw(o, 2 * spread + 1);
}

/* Gives the next in line to a thread that has nothing to do. */
static void employ(struct origin *o, struct replica *r, uint64_t now)
{
    while (r->busy < o->threads && r->first) {
        struct peer *p = r->first;
        r->first = p->next;
        if (!r->first) r->last = &r->first;
        r->waiting--;
        r->busy++;
        p->done_ns = now + service_time(o, r);
        o->served[o->served_count++] = p;
    }
}

static void enqueue(struct origin *o, struct peer *p)
{
    struct replica *r = p->replica;
    p->has_request = true;
    p->next = NULL;
    *r->last = p;
    r->last = &p->next;
    r->waiting++;
    employ(o, r, now_ns());
    if (r->waiting > r->longest) r->longest = r->waiting;
}

static void take_request(struct origin *o, struct peer *p)
{
    struct replica *r = p->replica;
    p->have = 0;
    if (strncmp(p->head, "GET /ready ", 11) == 0) {
        answer(p, good, sizeof(good) - 1);
        return;
    }
    r->requests++;
    if (r->kind < KIND_ERROR || draw(o, 100) >= o->fails) {
        enqueue(o, p);
        return;
    }
    r->failed++;
    if (r->kind == KIND_RESET)
        reset(p);
    else
        answer(p, bad, sizeof(bad) - 1);
}

static void peer_read(struct origin *o, struct peer *p)
{
    ssize_t n = recv(p->handle.fd, p->head + p->have, HEAD_MAX - 1 - p->have, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0 || p->has_request) { /* gone, or pipelining, which nobody here does */
        peer_close(p);
        return;
    }
    p->have += (size_t)n;
    p->head[p->have] = '\0';
    if (p->have >= 4 && memcmp(p->head + p->have - 4, "\r\n\r\n", 4) == 0)
        take_request(o, p);
    else if (p->have == HEAD_MAX - 1)
        peer_close(p);
}

static void accept_all(struct origin *o, struct replica *r)
{
    for (;;) {
        int fd = accept4(r->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
        struct peer *p = malloc(sizeof(*p));
        if (!p) die("malloc");
        p->handle = (struct handle){ WATCHED_PEER, fd };
        p->replica = r;
        p->has_request = false;
        p->have = 0;
        watch(o, &p->handle);
    }
}

static void finish_due(struct origin *o, uint64_t now)
{
    for (unsigned i = 0; i < o->served_count;) {
        struct peer *p = o->served[i];
        if (p->done_ns > now) {
            i++;
            continue;
        }
        struct replica *r = p->replica;
        histogram_add(&o->late, now - p->done_ns);
        o->served[i] = o->served[--o->served_count];
        r->busy--;
        p->has_request = false;
        answer(p, good, sizeof(good) - 1);
        employ(o, r, now);
    }
}

static void arm(struct origin *o)
{
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < o->served_count; i++)
        if (o->served[i]->done_ns < next) next = o->served[i]->done_ns;
    if (next == o->armed_ns || next == UINT64_MAX) return;
    struct itimerspec at = { .it_value = { .tv_sec = (time_t)(next / NS_PER_S),
                                           .tv_nsec = (long)(next % NS_PER_S) } };
    if (timerfd_settime(o->timer.fd, TFD_TIMER_ABSTIME, &at, NULL) < 0) die("timerfd_settime");
    o->armed_ns = next;
}

static void report(struct origin *o)
{
    char line[256];
    if (read(o->starter.fd, line, sizeof(line)) <= 0) exit(0);
    printf("{\"late_p99_ns\": %" PRIu64 ", \"replicas\": [", histogram_at(&o->late, 0.99));
    for (unsigned i = 0; i < o->count; i++)
        printf("%s{\"requests\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"longest\": %u}",
               i ? ", " : "", o->replicas[i].requests, o->replicas[i].failed,
               o->replicas[i].longest);
    puts("]}");
    fflush(stdout);
    for (unsigned i = 0; i < o->count; i++) o->replicas[i].longest = 0;
    o->late = (struct histogram){ 0 };
}

static void serve(struct origin *o)
{
    struct epoll_event events[EVENTS];
    uint64_t           ticks;
    for (;;) {
        int ready = epoll_wait(o->epoll, events, EVENTS, -1);
        if (ready < 0 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < ready; i++) {
            struct handle *h = events[i].data.ptr;
            switch (h->what) {
            case WATCHED_LISTENER: accept_all(o, (struct replica *)h); break;
            case WATCHED_PEER: peer_read(o, (struct peer *)h); break;
            case WATCHED_TIMER:
                if (read(h->fd, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN) die("timer");
                break;
            case WATCHED_STARTER: report(o); break;
            }
        }
        finish_due(o, now_ns());
        arm(o);
    }
}

static void replica_open(struct origin *o, unsigned long port)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct replica    *r = &o->replicas[o->count++];
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4096) < 0) die("listen");
    r->listener = (struct handle){ WATCHED_LISTENER, fd };
    r->last = &r->first;
    watch(o, &r->listener);
}

static void open_ports(struct origin *o, const char *text)
{
    while (*text && o->count < REPLICAS_MAX) {
        char         *end;
        unsigned long port = strtoul(text, &end, 10);
        if (end == text || port == 0 || port > 65535) break;
        replica_open(o, port);
        text = end + (*end == ',');
    }
    if (*text || !o->count) {
        fprintf(stderr, "origin: --ports wants numbers with commas between\n");
        exit(2);
    }
}

static enum kind kind_of(const char *name)
{
    static const char *const names[] = { "equal", "slow", "error", "reset" };
    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i]) == 0) return (enum kind)i;
    fprintf(stderr, "origin: no such kind: %s\n", name);
    exit(2);
}

static void parse_options(struct origin *o, int argc, char **argv)
{
    static const struct option long_options[] = {
        { "ports", 1, NULL, 'p' },  { "threads", 1, NULL, 't' }, { "service-us", 1, NULL, 's' },
        { "jitter", 1, NULL, 'j' }, { "odd", 1, NULL, 'o' },     { "kind", 1, NULL, 'k' },
        { "factor", 1, NULL, 'f' }, { "fails", 1, NULL, 'F' },   { "seed", 1, NULL, 'r' },
        { NULL, 0, NULL, 0 },
    };
    unsigned  odd = 0;
    enum kind kind = KIND_EQUAL;
    int       found;
    while ((found = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
        unsigned n = optarg ? (unsigned)strtoul(optarg, NULL, 10) : 0;
        switch (found) {
        case 'p': open_ports(o, optarg); break;
        case 't': o->threads = n; break;
        case 's': o->service_ns = n * UINT64_C(1000); break;
        case 'j': o->jitter = n; break;
        case 'o': odd = n; break;
        case 'k': kind = kind_of(optarg); break;
        case 'f': o->factor = n; break;
        case 'F': o->fails = n; break;
        case 'r': o->random += n; break;
        default: exit(2);
        }
    }
    if (!o->count || odd >= o->count || !o->threads || o->threads > THREADS_MAX ||
        o->jitter > 100) {
        fprintf(stderr, "origin: options out of bounds\n");
        exit(2);
    }
    o->replicas[odd].kind = kind;
}

int main(int argc, char **argv)
{
    static struct origin origin;
    struct origin       *o = &origin;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing stays behind a trial that was killed */
    prctl(PR_SET_TIMERSLACK, 1UL);
    o->threads = 8;
    o->service_ns = 10000000;
    o->jitter = 20;
    o->factor = 10;
    o->fails = 50;
    o->random = UINT64_C(0x9e3779b97f4a7c15);
    o->epoll = epoll_create1(EPOLL_CLOEXEC);
    o->timer = (struct handle){ WATCHED_TIMER,
                                timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC) };
    o->starter = (struct handle){ WATCHED_STARTER, STDIN_FILENO };
    if (o->epoll < 0 || o->timer.fd < 0) die("start");
    parse_options(o, argc, argv);
    watch(o, &o->timer);
    watch(o, &o->starter);
    puts("ready");
    fflush(stdout);
    serve(o);
    return 0;
}
