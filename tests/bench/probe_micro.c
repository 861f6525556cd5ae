/* SPDX-License-Identifier: Apache-2.0
 *
 * What active health checks cost the control thread: a prober and its roster on a
 * loop, against an origin in a process of its own on 127.0.0.0/8. CPU is that of the
 * prober's process alone, the kernel's share of its calls included.
 *     probe_micro [endpoints [interval_ms [seconds [health_check [answer_bytes]]]]]
 *     probe_micro 10000 5000 10 '{ path: /health }'
 *     taskset -c 1 probe_micro ...     the origin goes to CPU 0
 * Built as the unit tests are: against src/libwharfgate.a.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "conf/load.h"
#include "control/prober.h"

enum { EVENTS = 256, HEAD_MAX = 4096 };

static void die(const char *what)
{
    perror(what);
    exit(1);
}

/* ---- the origin ---- */

static int listen_anywhere(struct sockaddr_in *at)
{
    socklen_t len = sizeof(*at);
    int       fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    *at = (struct sockaddr_in){ .sin_family = AF_INET };
    if (fd < 0 || bind(fd, (struct sockaddr *)at, len) < 0 || listen(fd, 4096) < 0) die("listen");
    if (getsockname(fd, (struct sockaddr *)at, &len) < 0) die("getsockname");
    return fd;
}

static void accept_all(int epoll, int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct epoll_event e = { .events = EPOLLIN, .data.fd = fd };
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0) die("epoll_ctl");
    }
}

/* Requests come whole. As the request says, the connection ends with the answer. */
static void answer(int fd, const char *text, size_t len)
{
    char    head[HEAD_MAX];
    ssize_t n = recv(fd, head, sizeof(head), 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n > 0 && send(fd, text, len, MSG_NOSIGNAL) < 0) die("send");
    close(fd);
}

static void run_origin(int listener, size_t body_bytes)
{
    char  *text = malloc(body_bytes + 256);
    int    epoll = epoll_create1(EPOLL_CLOEXEC);
    size_t len =
        (size_t)snprintf(text, 256,
                         "HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: text/plain\r\n"
                         "Connection: close\r\nContent-Length: %zu\r\n\r\n",
                         body_bytes);
    struct epoll_event events[EVENTS], e = { .events = EPOLLIN, .data.fd = listener };
    memset(text + len, 'x', body_bytes);
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e) < 0) die("epoll_ctl");
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                accept_all(epoll, listener);
            else
                answer(events[i].data.fd, text, len + body_bytes);
        }
    }
}

static pid_t start_origin(struct sockaddr_in *at, size_t body_bytes)
{
    int   listener = listen_anywhere(at);
    pid_t self = getpid(), pid = fork();
    if (pid < 0) die("fork");
    if (!pid) {
        cpu_set_t cpus;
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != self) exit(1);
        CPU_ZERO(&cpus);
        CPU_SET(0, &cpus);
        sched_setaffinity(0, sizeof(cpus), &cpus);
        run_origin(listener, body_bytes);
    }
    close(listener);
    return pid;
}

/* ---- the prober ---- */

struct bench {
    struct loop     *loop;
    struct prober    prober;
    struct settings *settings;
    struct upstream *upstream;
    struct roster   *roster;
};

static void on_published(struct roster *r, struct roster_retired *what)
{
    (void)r;
    roster_retired_free(what);
}

static void on_member(struct roster *r, struct member *m, bool is_leaving)
{
    struct bench *b = r->arg;
    if (is_leaving)
        prober_stop(&b->prober, m);
    else
        prober_start(&b->prober, m);
}

static const struct roster_ops roster_ops = { .on_published = on_published,
                                              .on_member = on_member };

static void load(struct bench *b, unsigned interval_ms, const char *health_check)
{
    static struct log  log;
    struct buffer      text = BUFFER_INIT;
    struct conf_report report;
    struct error       e;
    size_t             end = strlen(health_check) - 1; /* the brace */
    conf_report_init(&report);
    log_init(&log, STDERR_FILENO, LOG_LEVEL_WARN);
    buffer_printf(&text,
                  "listeners: { web: { address: \"127.0.0.1:0\" } }\n"
                  "upstreams:\n"
                  "  app:\n"
                  "    servers: [ \"127.0.0.1:1\" ]\n"
                  "    health_check: %.*s, interval: %ums }\n"
                  "routes: [ { name: a, upstream: app } ]\n",
                  (int)end, health_check, interval_ms);
    b->settings = conf_load_text("bench.yaml", buffer_slice(&text), &conf_reader_direct, &report);
    if (!b->settings) die("the configuration is not taken");
    buffer_reset(&text);
    conf_report_reset(&report);
    struct upstream_build build = {
        NULL, 1, 60000, { 8192, 65536, 100, 8192, 4096, 8, 65536, 100, false, false }, 0, 0
    };
    b->loop = loop_new(&log);
    prober_init(&b->prober, b->loop, 1);
    b->upstream = upstream_new(&b->settings->upstreams[0], &build, &e);
    prober_adopt(&b->prober, b->upstream);
    b->roster = roster_new(b->upstream, b->loop, NULL, &roster_ops, b, NULL);
}

static void add_members(struct bench *b, size_t count, uint16_t port)
{
    struct endpoint_spec *specs = mem_zalloc(count * sizeof(*specs));
    struct arena          names;
    arena_init(&names, NULL);
    for (size_t i = 0; i < count; i++) {
        uint8_t ip[4] = { 127, (uint8_t)(1 + (i >> 16)), (uint8_t)(i >> 8), (uint8_t)i };
        specs[i].address = (struct address){ .family = ADDRESS_V4, .port = port };
        memcpy(specs[i].address.ip, ip, sizeof(ip));
        specs[i].identity = arena_printf(&names, "replica-%zu", i);
    }
    roster_update(b->roster, specs, count, NULL);
    arena_reset(&names);
    free(specs);
}

struct sum {
    uint64_t checks, failures, unchecked;
};

static struct sum sum_up(const struct bench *b)
{
    struct sum s = { 0, 0, 0 };
    LIST_EACH (it, &b->roster->members) {
        const struct member *m = container_of(it, struct member, link);
        s.checks += m->check_count;
        s.failures += m->check_failures;
        s.unchecked += !m->check_count;
    }
    return s;
}

static double us_of(struct timeval t)
{
    return (double)t.tv_sec * 1e6 + (double)t.tv_usec;
}

static void turn_for(struct bench *b, uint64_t ms)
{
    uint64_t end_ns = clock_mono_ns() + ms * 1000000;
    while (clock_mono_ns() < end_ns) loop_turn(b->loop, 100);
}

static void measure(struct bench *b, const char *what, uint64_t ms)
{
    struct rusage before, after;
    struct sum    from = sum_up(b);
    uint64_t      from_ns = clock_mono_ns();
    getrusage(RUSAGE_SELF, &before);
    if (ms)
        turn_for(b, ms);
    else
        while (sum_up(b).unchecked) turn_for(b, 50);
    getrusage(RUSAGE_SELF, &after);
    struct sum to = sum_up(b);
    double     seconds = (double)(clock_mono_ns() - from_ns) / 1e9;
    double     checks = (double)(to.checks - from.checks);
    double     user = us_of(after.ru_utime) - us_of(before.ru_utime);
    double     system = us_of(after.ru_stime) - us_of(before.ru_stime);
    printf("%-8s %8.0f checks in %5.1f s: %5.1f us each (%.1f user, %.1f system), %4.1f %% of a "
           "core, %llu failed\n",
           what, checks, seconds, (user + system) / checks, user / checks, system / checks,
           (user + system) / seconds / 1e4, (unsigned long long)(to.failures - from.failures));
}

static void end(struct bench *b)
{
    roster_free(b->roster);
    prober_release(&b->prober, b->upstream);
    prober_reset(&b->prober);
    loop_turn(b->loop, 0);
    upstream_free(b->upstream);
    settings_free(b->settings);
    loop_free(b->loop);
}

static unsigned number(int argc, char **argv, int i, unsigned preset)
{
    return argc > i ? (unsigned)strtoul(argv[i], NULL, 10) : preset;
}

int main(int argc, char **argv)
{
    static struct bench b;
    struct sockaddr_in  at;
    unsigned            count = number(argc, argv, 1, 10000);
    unsigned            interval_ms = number(argc, argv, 2, 5000);
    pid_t               origin = start_origin(&at, number(argc, argv, 5, 2));
    load(&b, interval_ms, argc > 4 ? argv[4] : "{ path: /health }");
    add_members(&b, count, ntohs(at.sin_port));
    measure(&b, "first", 0);
    turn_for(&b, interval_ms);
    measure(&b, "steady", number(argc, argv, 3, 10) * 1000ull);
    end(&b);
    kill(origin, SIGKILL);
    return 0;
}
