/* SPDX-License-Identifier: Apache-2.0
 *
 * The load of the trial of shared limits: an open loop over several gateways. Requests are due
 * at times drawn beforehand (Poisson), whatever the answers do, and nothing is sent twice. Each
 * goes to a gateway by the weights, and names one of so many keys, all alike. Some are plain:
 * of a route without a limit, to tell what the machine itself makes requests wait for.
 *
 *   load --rate N --run-ms N [--keys N] [--plain PERCENT] [--seed N] ADDRESS:PORT=WEIGHT ...
 *
 * At the end it prints a line for each: when it was due and answered (the monotonic clock, in
 * microseconds), the gateway, the key (-1: plain) and the status (0: broken or never answered).
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

enum { EVENTS = 512, TARGETS = 16, CONNECTIONS = 1000, SCRATCH = 65536 };
#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)
#define PATIENCE_NS (5 * NS_PER_S)

struct record {
    uint64_t due_ns, done_ns;
    int16_t  key;
    uint16_t status;
    uint8_t  target;
};

struct asker {
    struct client client;
    size_t        record;
};

/* A gateway, and the connections to it. */
struct target {
    struct dialer dialer;
    unsigned      weight;
    struct asker *askers;
    struct asker *resting[CONNECTIONS];
    unsigned      count, resting_count;
};

static struct {
    uint64_t       rate, run_ns, keys, plain, random, next_ns, end_ns;
    struct target  targets[TARGETS];
    unsigned       target_count, weights;
    struct record *records;
    size_t         count, capacity, waiting;
    int            epoll, timer;
    char          *scratch;
} load;

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

static uint64_t draw(void)
{
    load.random ^= load.random << 13, load.random ^= load.random >> 7;
    load.random ^= load.random << 17;
    return load.random;
}

/* ---- a request ---- */

static void finish(struct asker *a, uint16_t status)
{
    struct target *t = &load.targets[load.records[a->record].target];
    load.records[a->record].done_ns = now_ns();
    load.records[a->record].status = status;
    a->client.has_request = false;
    t->resting[t->resting_count++] = a;
    load.waiting--;
}

static void send_request(struct client *c)
{
    const struct record *r = &load.records[((struct asker *)c)->record];
    int                  n = snprintf(c->out, sizeof(c->out),
                                      "GET /%s HTTP/1.1\r\nHost: bench.test\r\nX-Key: key-%d\r\n\r\n",
                     r->key < 0 ? "plain" : "limited", r->key);
    c->out_len = (size_t)n;
    client_send(c);
}

static void on_open(void *arg, struct client *c)
{
    (void)arg;
    if (c->has_request) send_request(c);
}

static void on_answer(void *arg, struct client *c)
{
    (void)arg;
    if (c->has_request) finish((struct asker *)c, c->status);
}

static void on_end(void *arg, struct client *c, enum client_end how)
{
    (void)arg;
    (void)how;
    if (c->has_request) finish((struct asker *)c, 0);
}

static struct record *new_record(void)
{
    if (load.count == load.capacity) {
        load.capacity = load.capacity ? 2 * load.capacity : 65536;
        load.records = realloc(load.records, load.capacity * sizeof(*load.records));
        if (!load.records) die("records");
    }
    struct record *r = &load.records[load.count++];
    *r = (struct record){ 0 };
    return r;
}

static struct target *draw_target(void)
{
    unsigned at = (unsigned)(draw() % load.weights), i = 0;
    while (at >= load.targets[i].weight) at -= load.targets[i++].weight;
    return &load.targets[i];
}

static void ask(uint64_t due_ns)
{
    struct target *t = draw_target();
    struct record *r = new_record();
    struct asker  *a = NULL;
    r->due_ns = r->done_ns = due_ns;
    r->target = (uint8_t)(t - load.targets);
    r->key = draw() % 100 < load.plain ? -1 : (int16_t)(draw() % load.keys);
    if (t->resting_count)
        a = t->resting[--t->resting_count];
    else if (t->count < CONNECTIONS)
        a = &t->askers[t->count++];
    if (!a) return;
    a->record = load.count - 1;
    a->client.has_request = true;
    a->client.due_ns = due_ns;
    load.waiting++;
    if (a->client.state == CLIENT_IDLE) {
        send_request(&a->client);
        return;
    }
    client_close(&a->client);
    client_dial(&a->client);
}

/* ---- the loop ---- */

static void ask_due(void)
{
    double mean = (double)NS_PER_S / (double)load.rate;
    while (load.next_ns <= now_ns() && load.next_ns < load.end_ns) {
        ask(load.next_ns);
        double part = ((double)(draw() >> 11) + 1) / 9007199254740993.0; /* in (0, 1) */
        load.next_ns += (uint64_t)(-log(part) * mean);
    }
    struct itimerspec at = { .it_value = { .tv_sec = (time_t)(load.next_ns / NS_PER_S),
                                           .tv_nsec = (long)(load.next_ns % NS_PER_S) } };
    timerfd_settime(load.timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static void turn(void)
{
    struct epoll_event events[EVENTS];
    int                ready = epoll_wait(load.epoll, events, EVENTS, 5);
    if (ready < 0 && errno != EINTR) die("epoll_wait");
    for (int i = 0; i < ready; i++) {
        uint64_t ticks;
        if (events[i].data.ptr)
            client_on_event(events[i].data.ptr, events[i].events);
        else if (read(load.timer, &ticks, sizeof(ticks)) < 0 && errno != EAGAIN)
            die("timer");
    }
}

static void run(void)
{
    load.next_ns = now_ns();
    load.end_ns = load.next_ns + load.run_ns;
    while (load.next_ns < load.end_ns || (load.waiting && now_ns() < load.end_ns + PATIENCE_NS)) {
        ask_due();
        turn();
    }
}

static void report(void)
{
    for (size_t i = 0; i < load.count; i++) {
        const struct record *r = &load.records[i];
        printf("%" PRIu64 " %" PRIu64 " %u %d %u\n", r->due_ns / 1000, r->done_ns / 1000, r->target,
               r->key, r->status);
    }
}

/* ---- options ---- */

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

static void add_target(char *text)
{
    char *equals = strchr(text, '='), *colon = strchr(text, ':');
    if (!equals || !colon || load.target_count == TARGETS) {
        fprintf(stderr, "load: ADDRESS:PORT=WEIGHT, at most %d of them\n", TARGETS);
        exit(2);
    }
    *equals++ = *colon++ = '\0';
    struct target *t = &load.targets[load.target_count++];
    t->weight = (unsigned)number(equals);
    load.weights += t->weight;
    t->dialer = (struct dialer){ .epoll = load.epoll,
                                 .scratch = load.scratch,
                                 .scratch_len = SCRATCH,
                                 .on_open = on_open,
                                 .on_answer = on_answer,
                                 .on_end = on_end };
    t->dialer.target.sin_family = AF_INET;
    t->dialer.target.sin_port = htons((uint16_t)number(colon));
    t->askers = calloc(CONNECTIONS, sizeof(*t->askers));
    if (!t->askers || inet_pton(AF_INET, text, &t->dialer.target.sin_addr) != 1) die(text);
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        t->askers[i].client.fd = -1;
        t->askers[i].client.dialer = &t->dialer;
    }
}

static void parse_options(int argc, char **argv)
{
    static const struct option options[] = {
        { "rate", 1, NULL, 'r' },  { "run-ms", 1, NULL, 'm' }, { "keys", 1, NULL, 'k' },
        { "plain", 1, NULL, 'p' }, { "seed", 1, NULL, 's' },   { NULL, 0, NULL, 0 },
    };
    int found;
    load.keys = 1;
    while ((found = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (found) {
        case 'r': load.rate = number(optarg); break;
        case 'm': load.run_ns = number(optarg) * NS_PER_MS; break;
        case 'k': load.keys = number(optarg); break;
        case 'p': load.plain = number(optarg); break;
        case 's': load.random += number(optarg) * UINT64_C(0x100000001b3); break;
        default: exit(2);
        }
    }
    while (optind < argc) add_target(argv[optind++]);
    if (load.rate && load.keys && load.weights) return;
    fprintf(stderr, "load: --rate, --keys and a gateway are needed\n");
    exit(2);
}

int main(int argc, char **argv)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing stays behind a trial that was killed */
    prctl(PR_SET_TIMERSLACK, 1UL);
    load.random = UINT64_C(0x9e3779b97f4a7c15);
    load.scratch = malloc(SCRATCH);
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
    if (!load.scratch || epoll_ctl(load.epoll, EPOLL_CTL_ADD, load.timer, &e) < 0) die("start");
    parse_options(argc, argv);
    run();
    report();
    return 0;
}
