/* SPDX-License-Identifier: Apache-2.0
 *
 * The origin behind the proxies of the benchmark: as little work a request as a
 * server can do, so that the CPU it shares with the load generator lasts. One
 * thread, epoll, kept-alive connections, one read and one write a request. The
 * answers are ready in memory, with the header lines that an application sends:
 *   /1k  /100k  /1m  /json  (anything else: 1 KiB)
 * /json is 64 KiB of what an API lists, for compression; the others' bytes mean nothing.
 * It trusts its peers: no bodies, no pipelining, heads of at most 8 KiB.
 *
 *   origin PORT [LISTEN_ADDRESS]     prints "ready" when it listens
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_MAX = 8192, EVENTS = 256, DATE_LEN = 29 };

struct answer {
    const char *path;
    size_t      body_len;
    char       *bytes;
    size_t      len;
    char       *date; /* within bytes */
};

struct peer {
    int                  fd;
    size_t               have; /* bytes of an unfinished head */
    const struct answer *answer;
    size_t               sent;
    bool                 waits_to_write;
    char                 head[HEAD_MAX];
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static uint32_t next_random(void)
{
    static uint32_t seed = 2463534242u;
    seed ^= seed << 13;
    seed ^= seed >> 17;
    return seed ^= seed << 5;
}

static const char *any_of(const char *const *words, size_t count)
{
    return words[next_random() % count];
}

/* Users as an API lists them, the same ones each time. Against zlib's fastest level zstd's
 * preset saves a fifth of them, as of most JSON. */
static size_t put_record(char *to, size_t len, unsigned id)
{
    static const char *const names[] = { "Anna",  "Ben",   "Carla", "David", "Elena",
                                         "Frank", "Greta", "Hugo",  "Ines",  "Jonas" };
    static const char *const words[] = { "alpha", "beta",  "gamma", "delta", "epsilon", "zeta",
                                         "eta",   "theta", "iota",  "kappa", "lambda",  "mu" };
    uint32_t                 r[6];
    for (size_t i = 0; i < 6; i++) r[i] = next_random();
    return (size_t)snprintf(
        to, len,
        "{\"id\":%u,\"uuid\":\"%08x-%04x-%04x-%04x-%04x%08x\",\"name\":\"%s %s\","
        "\"email\":\"%s@example.org\",\"balance\":%u.%02u,\"active\":%s,\"address\":{"
        "\"street\":\"%u %s Street\",\"city\":\"%s\",\"zip\":\"%05u\"},"
        "\"links\":{\"self\":\"/api/users/%u\"}},",
        id, r[0], r[1] >> 16, r[1] & 0xffff, r[2] >> 16, r[2] & 0xffff, r[3], any_of(names, 10),
        any_of(words, 12), any_of(names, 10), r[4] % 10000, r[5] % 100,
        r[5] & 1 << 20 ? "true" : "false", r[4] / 10000 % 200 + 1, any_of(words, 12),
        any_of(words, 12), r[5] / 100 % 100000, id);
}

static void put_records(char *to, size_t len)
{
    char   text[512];
    size_t n = 0;
    to[n++] = '[';
    for (unsigned id = 1; n < len; id++) {
        size_t made = put_record(text, sizeof(text), id);
        if (made > len - n) made = len - n;
        memcpy(to + n, text, made);
        n += made;
    }
}

static void answer_init(struct answer *a)
{
    char   head[512];
    size_t n = (size_t)snprintf(head, sizeof(head),
                                "HTTP/1.1 200 OK\r\n"
                                "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                                "Server: origin\r\n"
                                "Content-Type: application/json\r\n"
                                "Content-Length: %zu\r\n"
                                "ETag: \"5f3759df-%zx\"\r\n"
                                "Cache-Control: private, max-age=0\r\n\r\n",
                                a->body_len, a->body_len);
    a->len = n + a->body_len;
    a->bytes = malloc(a->len);
    if (!a->bytes) die("malloc");
    memcpy(a->bytes, head, n);
    for (size_t i = 0; i < a->body_len; i++) a->bytes[n + i] = (char)('a' + i * 7 % 26);
    if (strcmp(a->path, "/json") == 0) put_records(a->bytes + n, a->body_len);
    a->date = strstr(a->bytes, "Date: ") + 6;
}

static void stamp(struct answer *answers, size_t count, time_t now)
{
    char      text[DATE_LEN + 1];
    struct tm t;
    gmtime_r(&now, &t);
    strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &t);
    for (size_t i = 0; i < count; i++) memcpy(answers[i].date, text, DATE_LEN);
}

static const struct answer *answer_for(const char *head, const struct answer *answers, size_t count)
{
    const char *path = strchr(head, ' ');
    if (!path) return answers;
    path++;
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(answers[i].path);
        if (memcmp(path, answers[i].path, n) == 0 && (path[n] == ' ' || path[n] == '?'))
            return &answers[i];
    }
    return answers;
}

static void listen_for(int epoll, struct peer *p, bool writing)
{
    if (p->waits_to_write == writing) return;
    struct epoll_event e = { .events = writing ? EPOLLOUT : EPOLLIN, .data.ptr = p };
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, p->fd, &e) < 0) die("epoll_ctl");
    p->waits_to_write = writing;
}

/* False when the connection has ended. */
static bool peer_write(int epoll, struct peer *p)
{
    const struct answer *a = p->answer;
    while (p->sent < a->len) {
        ssize_t n = send(p->fd, a->bytes + p->sent, a->len - p->sent, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN) return false;
            listen_for(epoll, p, true);
            return true;
        }
        p->sent += (size_t)n;
    }
    p->answer = NULL;
    listen_for(epoll, p, false);
    return true;
}

static bool peer_read(int epoll, struct peer *p, const struct answer *answers, size_t count)
{
    ssize_t n = recv(p->fd, p->head + p->have, HEAD_MAX - 1 - p->have, 0);
    if (n < 0) return errno == EAGAIN;
    if (n == 0) return false;
    p->have += (size_t)n;
    p->head[p->have] = '\0';
    if (p->have < 4 || memcmp(p->head + p->have - 4, "\r\n\r\n", 4) != 0)
        return p->have < HEAD_MAX - 1;
    p->answer = answer_for(p->head, answers, count);
    p->have = 0;
    p->sent = 0;
    return peer_write(epoll, p);
}

static void accept_all(int epoll, int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
        struct peer *p = malloc(sizeof(*p));
        if (!p) die("malloc");
        p->fd = fd;
        p->have = 0;
        p->answer = NULL;
        p->waits_to_write = false;
        struct epoll_event e = { .events = EPOLLIN, .data.ptr = p };
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0) die("epoll_ctl");
    }
}

static int listener_open(const char *address, int port)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || inet_pton(AF_INET, address, &at.sin_addr) != 1) die(address);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(fd, 4096) < 0) die("listen");
    return fd;
}

static void serve(int epoll, int listener, struct answer *answers, size_t count)
{
    time_t             stamped = 0;
    struct epoll_event events[EVENTS];
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        if (ready < 0 && errno != EINTR) die("epoll_wait");
        time_t now = time(NULL);
        if (now != stamped) stamp(answers, count, stamped = now);
        for (int i = 0; i < ready; i++) {
            struct peer *p = events[i].data.ptr;
            if (!p) {
                accept_all(epoll, listener);
                continue;
            }
            bool lives = p->answer ? peer_write(epoll, p) : peer_read(epoll, p, answers, count);
            if (lives) continue;
            close(p->fd);
            free(p);
        }
    }
}

int main(int argc, char **argv)
{
    struct answer answers[] = { { .path = "/1k", .body_len = 1024 },
                                { .path = "/100k", .body_len = 100 * 1024 },
                                { .path = "/1m", .body_len = 1024 * 1024 },
                                { .path = "/json", .body_len = 64 * 1024 } };
    size_t        count = sizeof(answers) / sizeof(answers[0]);
    if (argc < 2) {
        fprintf(stderr, "usage: origin PORT [ADDRESS]\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* nothing stays behind a benchmark that was killed */
    for (size_t i = 0; i < count; i++) answer_init(&answers[i]);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    int listener = listener_open(argc > 2 ? argv[2] : "127.0.0.1", (int)strtol(argv[1], NULL, 10));
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = NULL };
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e) < 0) die("epoll");
    puts("ready");
    fflush(stdout);
    serve(epoll, listener, answers, count);
    return 0;
}
