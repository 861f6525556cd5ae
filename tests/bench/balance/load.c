/* SPDX-License-Identifier: Apache-2.0
 *
 * The load of the balancing trial: an open loop. Requests are due at times drawn
 * beforehand (Poisson, or evenly spaced), whatever the answers do, and latency counts
 * from when each was due. Each is one of so many users': it names the user in X-Key and
 * brings the cookie that the user was given. Connections are opened as they are needed
 * and kept. Nothing is sent twice: what the client sees is what is counted.
 *
 * A client waits so long and no longer: then it closes the connection, and the request
 * counts among latencies with the time that was waited. Answers other than 200 and
 * broken connections do not count among latencies, only as failed.
 *
 *   load --target ADDRESS:PORT --rate N --warm-up-ms N --run-ms N [--patience-ms N]
 *        [--users N] [--even] [--seed N]
 *
 * It prints {"event": "measuring"} after the warm-up, and a line with the figures.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "histogram.h"

enum { EVENTS = 512, CONNECTIONS = 8000, COOKIE_MAX = 256, SCRATCH = 65536 };
#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

struct options {
    char    *target;
    uint64_t rate, warm_up_ns, run_ns, patience_ns, seed;
    unsigned users;
    bool     is_even;
};

/* A connection, and the request on it. */
struct asker {
    struct client client;
    unsigned      user;
    bool          is_measured; /* due after the warm-up */
    struct asker *before, *after;
};

struct figures {
    uint64_t asked, answered, bad_status, broken, gave_up, not_sent;
};

struct load {
    struct options options;
    struct dialer  dialer;
    struct asker  *askers;
    unsigned       asker_count;
    struct asker **resting; /* stack of those without a request */
    unsigned       resting_count;
    struct asker   waiting; /* list of those with one, the longest due first */
    unsigned       waiting_count;
    char (*cookies)[COOKIE_MAX];
    int              timer;
    uint64_t         random, started_ns, next_ns;
    struct figures   figures[2]; /* warming up, measuring */
    struct histogram latency, late;
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

static uint64_t draw(struct load *l)
{
    l->random ^= l->random << 13, l->random ^= l->random >> 7, l->random ^= l->random << 17;
    return l->random;
}

static void draw_next(struct load *l)
{
    double mean = (double)NS_PER_S / (double)l->options.rate;
    double part = ((double)(draw(l) >> 11) + 1) / 9007199254740993.0; /* in (0, 1) */
    l->next_ns += (uint64_t)(l->options.is_even ? mean : -log(part) * mean);
}

static void begin_waiting(struct load *l, struct asker *a)
{
    a->before = l->waiting.before;
    a->after = &l->waiting;
    a->before->after = a->after->before = a;
    l->waiting_count++;
}

static void finish(struct load *l, struct asker *a)
{
    a->before->after = a->after;
    a->after->before = a->before;
    l->waiting_count--;
    a->client.has_request = false;
    l->resting[l->resting_count++] = a;
}

static void send_request(struct load *l, struct asker *a)
{
    struct client *c = &a->client;
    const char    *cookie = l->cookies[a->user];
    int            n = snprintf(c->out, sizeof(c->out),
                                "GET /item/%u HTTP/1.1\r\n"
                                           "Host: bench.test\r\n"
                                           "User-Agent: trial\r\n"
                                           "Accept: */*\r\n"
                                           "X-Key: user-%u\r\n%s%s%s\r\n",
                                a->user, a->user, *cookie ? "Cookie: " : "", cookie, *cookie ? "\r\n" : "");
    c->out_len = (size_t)n;
    client_send(c);
}

static void keep_cookie(struct load *l, struct asker *a)
{
    const char *value = client_field(a->client.head, "Set-Cookie");
    size_t      len = value ? strcspn(value, ";\r\n") : 0;
    if (!len || len >= COOKIE_MAX) return;
    memcpy(l->cookies[a->user], value, len);
    l->cookies[a->user][len] = '\0';
}

static void on_open(void *arg, struct client *c)
{
    if (c->has_request) send_request(arg, (struct asker *)c);
}

static void on_answer(void *arg, struct client *c)
{
    struct load    *l = arg;
    struct asker   *a = (struct asker *)c;
    struct figures *f = &l->figures[a->is_measured];
    if (!c->has_request) return;
    if (c->status == 200) {
        f->answered++;
        keep_cookie(l, a);
        if (a->is_measured) histogram_add(&l->latency, now_ns() - c->due_ns);
    } else {
        f->bad_status++;
    }
    finish(l, a);
}

static void on_end(void *arg, struct client *c, enum client_end how)
{
    struct load  *l = arg;
    struct asker *a = (struct asker *)c;
    (void)how;
    if (!c->has_request) return;
    l->figures[a->is_measured].broken++;
    finish(l, a);
}

static struct asker *rested(struct load *l)
{
    if (l->resting_count) return l->resting[--l->resting_count];
    return l->asker_count < CONNECTIONS ? &l->askers[l->asker_count++] : NULL;
}

static void ask(struct load *l, uint64_t due, uint64_t now)
{
    bool            is_measured = due >= l->started_ns + l->options.warm_up_ns;
    struct figures *f = &l->figures[is_measured];
    struct asker   *a = rested(l);
    unsigned        user = (unsigned)(draw(l) % l->options.users);
    f->asked++;
    if (is_measured) histogram_add(&l->late, now - due);
    if (!a) {
        f->not_sent++;
        return;
    }
    a->user = user;
    a->is_measured = is_measured;
    a->client.due_ns = due;
    a->client.has_request = true;
    begin_waiting(l, a);
    if (a->client.state == CLIENT_IDLE) {
        send_request(l, a);
        return;
    }
    client_close(&a->client); /* one that the server is about to close */
    client_dial(&a->client);
}

static void give_up(struct load *l, uint64_t now)
{
    while (l->waiting.after != &l->waiting) {
        struct asker *a = l->waiting.after;
        if (a->client.due_ns + l->options.patience_ns > now) return;
        l->figures[a->is_measured].gave_up++;
        if (a->is_measured) histogram_add(&l->latency, l->options.patience_ns);
        client_close(&a->client);
        finish(l, a);
    }
}

static void ask_due(struct load *l, uint64_t end)
{
    uint64_t now = now_ns();
    for (; l->next_ns <= now && l->next_ns < end; now = now_ns()) {
        uint64_t due = l->next_ns;
        draw_next(l);
        ask(l, due, now);
    }
    struct itimerspec at = { .it_value = { .tv_sec = (time_t)(l->next_ns / NS_PER_S),
                                           .tv_nsec = (long)(l->next_ns % NS_PER_S) } };
    timerfd_settime(l->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static void turn(struct load *l)
{
    struct epoll_event events[EVENTS];
    int                ready = epoll_wait(l->dialer.epoll, events, EVENTS, 5);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < ready; i++) {
        uint64_t ticks;
        if (events[i].data.ptr)
            client_on_event(events[i].data.ptr, events[i].events);
        else if (read(l->timer, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
            die("timer");
    }
}

static void run(struct load *l)
{
    uint64_t measuring = l->started_ns + l->options.warm_up_ns;
    uint64_t end = measuring + l->options.run_ns;
    bool     is_told = false;
    /* What is due is asked for, however late this is. */
    for (uint64_t now = l->started_ns; now < end || l->next_ns < end || l->waiting_count;
         now = now_ns()) {
        give_up(l, now);
        ask_due(l, end);
        if (!is_told && now >= measuring) {
            puts("{\"event\": \"measuring\"}");
            fflush(stdout);
            is_told = true;
        }
        turn(l);
    }
}

static void print_figures(const char *name, const struct figures *f)
{
    printf("\"%s\": {\"asked\": %" PRIu64 ", \"answered\": %" PRIu64 ", \"bad_status\": %" PRIu64
           ", \"broken\": %" PRIu64 ", \"gave_up\": %" PRIu64 ", \"not_sent\": %" PRIu64 "}, ",
           name, f->asked, f->answered, f->bad_status, f->broken, f->gave_up, f->not_sent);
}

static void report(const struct load *l)
{
    const struct histogram *h = &l->latency;
    printf("{\"event\": \"done\", ");
    print_figures("warm_up", &l->figures[0]);
    print_figures("measured", &l->figures[1]);
    printf("\"connections\": %u, \"late_p99_ns\": %" PRIu64 ", \"late_max_ns\": %" PRIu64
           ", \"latency_ns\": {\"p50\": %" PRIu64 ", \"p90\": %" PRIu64 ", \"p99\": %" PRIu64
           ", \"p999\": %" PRIu64 ", \"max\": %" PRIu64 "}}\n",
           l->asker_count, histogram_at(&l->late, 0.99), l->late.max, histogram_at(h, 0.5),
           histogram_at(h, 0.9), histogram_at(h, 0.99), histogram_at(h, 0.999), h->max);
    fflush(stdout);
}

static uint64_t number(const char *text)
{
    char    *rest = NULL;
    uint64_t n = strtoull(text, &rest, 10);
    if (*rest || rest == text) {
        fprintf(stderr, "load: not a number: %s\n", text);
        exit(2);
    }
    return n;
}

static struct options parse_options(int argc, char **argv)
{
    static const struct option long_options[] = {
        { "target", 1, NULL, 't' }, { "rate", 1, NULL, 'r' },        { "warm-up-ms", 1, NULL, 'w' },
        { "run-ms", 1, NULL, 'm' }, { "patience-ms", 1, NULL, 'p' }, { "users", 1, NULL, 'u' },
        { "even", 0, NULL, 'e' },   { "seed", 1, NULL, 's' },        { NULL, 0, NULL, 0 },
    };
    struct options o = { .target = "127.0.0.1:80",
                         .rate = 1000,
                         .run_ns = 1000 * NS_PER_MS,
                         .patience_ns = 2000 * NS_PER_MS,
                         .users = 2000 };
    int            found;
    while ((found = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
        switch (found) {
        case 't': o.target = optarg; break;
        case 'r': o.rate = number(optarg); break;
        case 'w': o.warm_up_ns = number(optarg) * NS_PER_MS; break;
        case 'm': o.run_ns = number(optarg) * NS_PER_MS; break;
        case 'p': o.patience_ns = number(optarg) * NS_PER_MS; break;
        case 'u': o.users = (unsigned)number(optarg); break;
        case 'e': o.is_even = true; break;
        case 's': o.seed = number(optarg); break;
        default: exit(2);
        }
    }
    if (!o.rate || !o.users) {
        fprintf(stderr, "load: --rate and --users are at least 1\n");
        exit(2);
    }
    return o;
}

static void parse_target(struct load *l)
{
    char *colon = strrchr(l->options.target, ':');
    if (colon) *colon = '\0';
    l->dialer.target.sin_family = AF_INET;
    l->dialer.target.sin_port = htons(colon ? (uint16_t)number(colon + 1) : 0);
    if (!colon || inet_pton(AF_INET, l->options.target, &l->dialer.target.sin_addr) != 1) {
        fprintf(stderr, "load: --target wants ADDRESS:PORT\n");
        exit(2);
    }
}

static void load_init(struct load *l, struct options options)
{
    struct dialer *d = &l->dialer;
    l->options = options;
    l->random = UINT64_C(0x9e3779b97f4a7c15) + options.seed * UINT64_C(0x100000001b3);
    l->waiting.before = l->waiting.after = &l->waiting;
    l->askers = calloc(CONNECTIONS, sizeof(*l->askers));
    l->resting = calloc(CONNECTIONS, sizeof(struct asker *));
    l->cookies = calloc(options.users, sizeof(*l->cookies));
    d->scratch = malloc(SCRATCH);
    d->scratch_len = SCRATCH;
    d->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (!l->askers || !l->resting || !l->cookies || !d->scratch || d->epoll < 0 || l->timer < 0)
        die("start");
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
    if (epoll_ctl(d->epoll, EPOLL_CTL_ADD, l->timer, &e) < 0) die("epoll_ctl");
    d->on_open = on_open;
    d->on_answer = on_answer;
    d->on_end = on_end;
    d->arg = l;
    parse_target(l);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        l->askers[i].client.fd = -1;
        l->askers[i].client.dialer = d;
    }
}

int main(int argc, char **argv)
{
    static struct load load;
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing stays behind a trial that was killed */
    prctl(PR_SET_TIMERSLACK, 1UL);
    load_init(&load, parse_options(argc, argv));
    load.started_ns = load.next_ns = now_ns();
    draw_next(&load);
    run(&load);
    report(&load);
    return 0;
}
