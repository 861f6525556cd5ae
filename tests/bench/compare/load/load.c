/* SPDX-License-Identifier: Apache-2.0
 *
 * The load generator of the benchmark: one thread, HTTP/1.1 over plain TCP or
 * TLS 1.3. Closed loop (each connection asks again once it is answered), open
 * loop (requests leave at a fixed rate whatever the answers do, latency counted
 * from when each was due), one connection a request with full or resumed
 * handshakes, or connections that only stay open. What a proxy does to a
 * connection is told apart: `raced` counts kept-alive connections that were closed
 * under a request (which is then sent again), `failed` requests that no further
 * try saved, that were cut short, or that were not answered by 200.
 *
 * It speaks with its starter over pipes: it connects and warms up, prints a line
 * {"event": "ready"}, waits for a line, runs, prints a line with the figures,
 * waits for a line (connections stay open meanwhile) and ends.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "histogram.h"

enum { EVENTS = 512, DIALS_AT_ONCE = 64, ATTEMPTS_MAX = 4, SCRATCH = 256 * 1024 };
#define NS_PER_S UINT64_C(1000000000)

struct options {
    char    *target, *host, *path, *groups, *cipher;
    unsigned connections, hosts, source_addresses, deadline_s;
    uint64_t requests, warm_up, rate;
    bool     is_tls, connection_each, resumes, once;
};

struct figures {
    uint64_t answered, failed, raced, cut, refused, bad_status, closed_idle;
};

struct load {
    struct options   options;
    struct dialer    dialer;
    struct client   *clients;
    unsigned         dialled, opening, open;
    uint64_t         total, issued, finished; /* of this phase */
    struct client  **resting;                 /* ring of clients without a request */
    unsigned         resting_head, resting_count;
    struct client  **waiting; /* those whose request has to be tried again */
    unsigned         waiting_count;
    int              timer;
    uint64_t         started_ns, rate;
    uint64_t         random;
    struct figures   figures;
    struct histogram latency;
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

/* What every client sends; browsers add more. */
static void write_request(struct load *l, struct client *c)
{
    const struct options *o = &l->options;
    char                  host[64];
    l->random ^= l->random << 13, l->random ^= l->random >> 7, l->random ^= l->random << 17;
    if (o->hosts) snprintf(host, sizeof(host), "h%u.%s", (unsigned)(l->random % o->hosts), o->host);
    int n = snprintf(c->out, sizeof(c->out),
                     "GET %s HTTP/1.1\r\n"
                     "Host: %s\r\n"
                     "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 "
                     "Firefox/128.0\r\n"
                     "Accept: */*\r\n"
                     "Accept-Encoding: gzip, deflate, br, zstd\r\n%s\r\n",
                     o->path, o->hosts ? host : o->host,
                     o->connection_each ? "Connection: close\r\n" : "");
    c->out_len = (size_t)n;
}

static void rest(struct load *l, struct client *c)
{
    if (c->is_resting) return;
    c->is_resting = true;
    l->resting[(l->resting_head + l->resting_count++) % l->options.connections] = c;
}

static struct client *rested(struct load *l)
{
    while (l->resting_count) {
        struct client *c = l->resting[l->resting_head];
        l->resting_head = (l->resting_head + 1) % l->options.connections;
        l->resting_count--;
        c->is_resting = false;
        if (!c->has_request && (c->state == CLIENT_IDLE || c->state == CLIENT_CLOSED)) return c;
    }
    return NULL;
}

static void go(struct load *l, struct client *c)
{
    if (c->state == CLIENT_CLOSED) {
        l->opening++;
        client_dial(c);
    } else if (c->state == CLIENT_IDLE) {
        c->attempts++;
        client_send(c);
    }
}

static void begin_request(struct load *l, struct client *c, uint64_t due_ns)
{
    l->issued++;
    c->has_request = true;
    c->attempts = 0;
    c->due_ns = due_ns;
    if (l->options.hosts || !c->out_len) write_request(l, c);
    go(l, c);
}

static bool may_issue(const struct load *l)
{
    return l->issued < l->total;
}

static void next(struct load *l, struct client *c)
{
    if (l->rate || !may_issue(l) || (l->options.once && c->served))
        rest(l, c);
    else
        begin_request(l, c, now_ns());
}

static void finish_request(struct load *l, struct client *c, bool is_good)
{
    c->has_request = false;
    l->finished++;
    if (is_good) {
        l->figures.answered++;
        histogram_add(&l->latency, now_ns() - c->due_ns);
    } else {
        l->figures.failed++;
    }
}

static void dial_more(struct load *l)
{
    while (l->dialled < l->options.connections && l->opening < DIALS_AT_ONCE) {
        l->opening++;
        client_dial(&l->clients[l->dialled++]);
    }
}

static void on_open(void *arg, struct client *c)
{
    struct load *l = arg;
    l->opening--;
    l->open++;
    if (c->has_request)
        go(l, c);
    else
        next(l, c);
    dial_more(l);
}

static void on_answer(void *arg, struct client *c)
{
    struct load *l = arg;
    l->figures.bad_status += c->status != 200;
    if (c->has_request) finish_request(l, c, c->status == 200);
    if (c->state == CLIENT_IDLE) next(l, c);
}

static void on_end(void *arg, struct client *c, enum client_end how)
{
    struct load    *l = arg;
    struct figures *f = &l->figures;
    if (how == CLIENT_END_NO_CONNECTION) {
        l->opening--;
        f->refused++;
        c->attempts++;
    } else {
        l->open--;
    }
    f->closed_idle += how == CLIENT_END_AT_REST;
    f->raced += how == CLIENT_END_BEFORE_ANSWER && c->served > 0;
    f->cut += how == CLIENT_END_WITHIN_ANSWER;
    bool retries = how != CLIENT_END_WITHIN_ANSWER && c->attempts < ATTEMPTS_MAX;
    if (c->has_request && !retries) finish_request(l, c, false);
    /* Dialled again at the turn's end, never from here: a refusal may come at once. */
    if (!c->has_request) {
        rest(l, c);
    } else if (!c->is_waiting) {
        c->is_waiting = true;
        l->waiting[l->waiting_count++] = c;
    }
    dial_more(l);
}

static void try_again(struct load *l)
{
    for (unsigned n = l->waiting_count; n > 0; n--) {
        struct client *c = l->waiting[0];
        l->waiting_count--;
        memmove(l->waiting, l->waiting + 1, l->waiting_count * sizeof(*l->waiting));
        c->is_waiting = false;
        if (c->has_request) go(l, c);
    }
}

/* Closed loop: gives a request to each connection at rest, once. */
static void employ_rested(struct load *l)
{
    struct client *c;
    if (l->options.once) return;
    for (unsigned n = l->resting_count; n > 0 && may_issue(l) && (c = rested(l)); n--)
        begin_request(l, c, now_ns());
}

/* Open loop: sends what is due, and sets the timer for what is next. */
static void send_due(struct load *l)
{
    uint64_t now = now_ns();
    while (may_issue(l)) {
        uint64_t due = l->started_ns + l->issued * NS_PER_S / l->rate;
        if (due > now) {
            struct itimerspec at = { .it_value = { .tv_sec = (time_t)(due / NS_PER_S),
                                                   .tv_nsec = (long)(due % NS_PER_S) } };
            timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &at, NULL);
            return;
        }
        struct client *c = rested(l);
        if (!c) return; /* all busy: sent late, and counted from when it was due */
        begin_request(l, c, due);
    }
}

static void turn(struct load *l, int timeout_ms)
{
    struct epoll_event events[EVENTS];
    bool               has_work = !l->rate && !l->options.once && l->resting_count && may_issue(l);
    if (l->waiting_count || has_work) timeout_ms = 0;
    int ready = epoll_wait(l->dialer.epoll, events, EVENTS, timeout_ms);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < ready; i++) {
        uint64_t ticks;
        if (events[i].data.ptr)
            client_on_event(events[i].data.ptr, events[i].events);
        else if (read(l->timer, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
            die("timer");
    }
    try_again(l);
    if (l->rate)
        send_due(l);
    else
        employ_rested(l);
}

/* Runs until `total` requests are finished and as many connections as asked for are
 * open. False when the deadline came first. */
static bool run_phase(struct load *l, uint64_t total, uint64_t rate)
{
    uint64_t deadline = now_ns() + l->options.deadline_s * NS_PER_S;
    l->total = total;
    l->issued = l->finished = 0;
    l->rate = rate;
    l->started_ns = now_ns();
    dial_more(l);
    if (rate)
        send_due(l);
    else
        employ_rested(l);
    while (l->finished < total || l->opening > 0 || l->dialled < l->options.connections) {
        turn(l, 200);
        if (now_ns() > deadline) return false;
    }
    return true;
}

/* What nobody waits for any more, such as connections that close. */
static void settle(struct load *l, uint64_t for_ns)
{
    uint64_t until = now_ns() + for_ns;
    while (now_ns() < until) turn(l, 5);
}

static void wait_for_line(void)
{
    char line[64];
    if (!fgets(line, sizeof(line), stdin)) exit(0);
}

/* The starter's line, with the connections served meanwhile. */
static void report(const struct load *l, bool in_time, uint64_t elapsed_ns)
{
    const struct figures   *f = &l->figures;
    const struct histogram *h = &l->latency;
    printf("{\"event\": \"done\", \"in_time\": %s, \"elapsed_ns\": %" PRIu64
           ", \"answered\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"raced\": %" PRIu64
           ", \"cut\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"bad_status\": %" PRIu64
           ", \"closed_idle\": %" PRIu64 ", \"open\": %u"
           ", \"dials\": %" PRIu64 ", \"handshakes\": %" PRIu64 ", \"resumed\": %" PRIu64
           ", \"bytes\": %" PRIu64 ", \"body_bytes\": %" PRIu64,
           in_time ? "true" : "false", elapsed_ns, f->answered, f->failed, f->raced, f->cut,
           f->refused, f->bad_status, f->closed_idle, l->open, l->dialer.dials,
           l->dialer.handshakes, l->dialer.resumed, l->dialer.bytes, l->dialer.body_bytes);
    printf(", \"latency_ns\": {\"mean\": %" PRIu64 ", \"p50\": %" PRIu64 ", \"p90\": %" PRIu64
           ", \"p99\": %" PRIu64 ", \"p999\": %" PRIu64 ", \"max\": %" PRIu64 "}}\n",
           h->count ? h->sum / h->count : 0, histogram_at(h, 0.5), histogram_at(h, 0.9),
           histogram_at(h, 0.99), histogram_at(h, 0.999), h->max);
    fflush(stdout);
}

static void parse_target(struct load *l)
{
    char  address[64];
    char *colon;
    snprintf(address, sizeof(address), "%s", l->options.target);
    colon = strrchr(address, ':');
    if (!colon) {
        fprintf(stderr, "load: --target wants ADDRESS:PORT\n");
        exit(2);
    }
    *colon = '\0';
    l->dialer.target.sin_family = AF_INET;
    l->dialer.target.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, address, &l->dialer.target.sin_addr) != 1) die(address);
}

static uint64_t number(const char *text)
{
    char    *rest_of = NULL;
    uint64_t n = strtoull(text, &rest_of, 10);
    if (*rest_of || rest_of == text) {
        fprintf(stderr, "load: not a number: %s\n", text);
        exit(2);
    }
    return n;
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "target", 1, NULL, 't' },   { "host", 1, NULL, 'h' },
        { "path", 1, NULL, 'p' },     { "groups", 1, NULL, 'g' },
        { "cipher", 1, NULL, 'x' },   { "connections", 1, NULL, 'c' },
        { "hosts", 1, NULL, 'H' },    { "sources", 1, NULL, 's' },
        { "deadline", 1, NULL, 'd' }, { "requests", 1, NULL, 'n' },
        { "warm-up", 1, NULL, 'w' },  { "rate", 1, NULL, 'r' },
        { "tls", 0, NULL, 'T' },      { "connection-each", 0, NULL, 'e' },
        { "resume", 0, NULL, 'R' },   { "once", 0, NULL, 'o' },
        { NULL, 0, NULL, 0 },
    };
    struct options o = { .target = "127.0.0.1:80",
                         .host = "bench.test",
                         .path = "/1k",
                         .groups = "X25519",
                         .cipher = "TLS_AES_128_GCM_SHA256",
                         .connections = 64,
                         .deadline_s = 60 };
    int            found;
    while ((found = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
        switch (found) {
        case 't': o.target = optarg; break;
        case 'h': o.host = optarg; break;
        case 'p': o.path = optarg; break;
        case 'g': o.groups = optarg; break;
        case 'x': o.cipher = optarg; break;
        case 'c': o.connections = (unsigned)number(optarg); break;
        case 'H': o.hosts = (unsigned)number(optarg); break;
        case 's': o.source_addresses = (unsigned)number(optarg); break;
        case 'd': o.deadline_s = (unsigned)number(optarg); break;
        case 'n': o.requests = number(optarg); break;
        case 'w': o.warm_up = number(optarg); break;
        case 'r': o.rate = number(optarg); break;
        case 'T': o.is_tls = true; break;
        case 'e': o.connection_each = true; break;
        case 'R': o.resumes = true; break;
        case 'o': o.once = true; break; /* one request a connection, then it stays open */
        default: exit(2);
        }
    }
    return o;
}

static void raise_file_limit(rlim_t wanted)
{
    struct rlimit now;
    if (getrlimit(RLIMIT_NOFILE, &now) < 0 || now.rlim_cur >= wanted) return;
    now.rlim_cur = wanted;
    if (now.rlim_max < wanted) now.rlim_max = wanted;
    if (setrlimit(RLIMIT_NOFILE, &now) < 0) die("setrlimit");
}

static void load_init(struct load *l, struct options options)
{
    struct dialer *d = &l->dialer;
    raise_file_limit(options.connections + 256);
    l->options = options;
    l->random = UINT64_C(0x9e3779b97f4a7c15);
    l->clients = calloc(options.connections, sizeof(*l->clients));
    l->resting = calloc(options.connections, sizeof(struct client *));
    l->waiting = calloc(options.connections, sizeof(struct client *));
    d->scratch = malloc(SCRATCH);
    d->scratch_len = SCRATCH;
    d->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (!l->clients || !l->resting || !l->waiting || !d->scratch || d->epoll < 0 || l->timer < 0)
        die("start");
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
    if (epoll_ctl(d->epoll, EPOLL_CTL_ADD, l->timer, &e) < 0) die("epoll_ctl");
    d->source_addresses = options.source_addresses;
    d->server_name = options.host;
    d->resumes = options.resumes;
    d->on_open = on_open;
    d->on_answer = on_answer;
    d->on_end = on_end;
    d->arg = l;
    if (options.is_tls && !(d->tls = dialer_tls_new(d, options.groups, options.cipher)))
        die("TLS options");
    parse_target(l);
    for (unsigned i = 0; i < options.connections; i++) {
        l->clients[i].fd = -1;
        l->clients[i].dialer = d;
    }
}

int main(int argc, char **argv)
{
    static struct load load;
    struct load       *l = &load;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing stays behind a benchmark that was killed */
    load_init(l, parse_options(argc, argv));
    if (!run_phase(l, l->options.warm_up, 0)) {
        report(l, false, 0);
        return 1;
    }
    settle(l, 20000000);
    printf("{\"event\": \"ready\", \"open\": %u, \"failed\": %" PRIu64 "}\n", l->open,
           l->figures.failed);
    fflush(stdout);
    wait_for_line();
    l->figures = (struct figures){ 0 };
    l->latency = (struct histogram){ 0 };
    l->dialer.dials = l->dialer.handshakes = l->dialer.resumed = l->dialer.bytes = 0;
    l->dialer.body_bytes = 0;
    bool     in_time = run_phase(l, l->options.requests, l->options.rate);
    uint64_t elapsed = now_ns() - l->started_ns;
    settle(l, 20000000);
    report(l, in_time, elapsed);
    wait_for_line();
    return 0;
}
