/* SPDX-License-Identifier: Apache-2.0
 *
 * A steady mix of GET and POST over kept-alive connections. Each request has a number, which the
 * answer must carry with the method, the target and the length of the body (see origin.c). What
 * became of each is one line of standard output, written at the latest 10 ms later:
 *
 *   NUMBER METHOD SENT_US DONE_US STATUS WORD
 *
 * US is the time since 1970. WORD is the origin's name for a right answer, the gate's reason for
 * an error of its own, "wrong" for another answer; STATUS is 0 when there was none, and WORD then
 * "refused", "closed", "reset" or "unanswered". There is no second try. SIGTERM ends it: nothing
 * new is sent, what runs may take ten seconds more.
 *
 *   load HOST PORT CONNECTIONS REQUESTS_PER_SECOND PERCENT_POST
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_MAX = 16384, BODY_MAX = 8000, CONNECTIONS_MAX = 1024, LAST_MS = 10000 };

struct client {
    int      fd; /* -1: not connected */
    bool     is_waiting, is_post;
    unsigned number;
    char     target[64];
    size_t   body_len, have;
    int64_t  sent_us;
    char     answer[ANSWER_MAX + 1];
};

static struct client      clients[CONNECTIONS_MAX];
static size_t             client_count, waiting_count;
static unsigned           last_number, percent_post;
static int                epoll;
static struct sockaddr_in address = { .sin_family = AF_INET };
static char               filler[BODY_MAX];

static volatile sig_atomic_t is_ending;

static void on_term(int number)
{
    (void)number;
    is_ending = 1;
}

static int64_t now_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void disconnect(struct client *c)
{
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}

/* The request is over, one way or the other. */
static void finish(struct client *c, int status, const char *word)
{
    if (!c->is_waiting) return;
    printf("%u %s %lld %lld %d %s\n", c->number, c->is_post ? "POST" : "GET", (long long)c->sent_us,
           (long long)now_us(CLOCK_REALTIME), status, word);
    c->is_waiting = false;
    waiting_count--;
    if (!status) disconnect(c);
}

static bool connect_client(struct client *c)
{
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0) return false;
    struct timeval patience = { .tv_usec = 300000 };
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address)) {
        disconnect(c);
        return false;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
    epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e);
    return true;
}

/* Was it closed while it was idle? A careful client looks before it sends. */
static bool is_closed(const struct client *c)
{
    char byte;
    return c->fd >= 0 && !recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
}

/* Sizes and delays go by the number: most are small and quick. */
static void ask(struct client *c)
{
    char         bytes[BODY_MAX + 512];
    const size_t sizes[] = { 0, 16, 400, BODY_MAX };
    const char  *late = last_number % 10 == 3 ? "?ms=10" : "";
    c->number = ++last_number;
    c->is_post = (c->number * 37) % 100 < percent_post;
    c->body_len = c->is_post ? sizes[c->number % 4] : 0;
    c->have = 0;
    snprintf(c->target, sizeof c->target, "/%u%s", c->number, late);
    int len = snprintf(bytes, 512,
                       "%s %s HTTP/1.1\r\nHost: load\r\nAccept: application/json\r\n"
                       "X-Request-Number: %u\r\n",
                       c->is_post ? "POST" : "GET", c->target, c->number);
    len += c->is_post ? snprintf(bytes + len, 64, "Content-Length: %zu\r\n\r\n", c->body_len)
                      : snprintf(bytes + len, 64, "\r\n");
    memcpy(bytes + len, filler, c->body_len);
    if (is_closed(c)) disconnect(c);
    c->is_waiting = true;
    waiting_count++;
    c->sent_us = now_us(CLOCK_REALTIME);
    if (c->fd < 0 && !connect_client(c))
        finish(c, 0, "refused");
    else if (send(c->fd, bytes, (size_t)len + c->body_len, MSG_NOSIGNAL) < 0)
        finish(c, 0, errno == ECONNRESET ? "reset" : "closed");
}

/* What the answer says, in one word. */
static const char *judge(const struct client *c, const char *body, int status)
{
    static char word[128];
    char        right[128];
    const char *at;
    if (status != 200) {
        at = strstr(body, "\"reason\":\"");
        if (!at || sscanf(at + 10, "%127[a-z_0-9]", word) != 1) return "error";
        return word;
    }
    snprintf(right, sizeof right, "%s %s %u %zu ", c->is_post ? "POST" : "GET", c->target,
             c->number, c->body_len);
    size_t len = strlen(right);
    if (strncmp(body, right, len) || sscanf(body + len, "%127s", word) != 1) return "wrong";
    return word;
}

static void on_bytes(struct client *c)
{
    ssize_t got = recv(c->fd, c->answer + c->have, ANSWER_MAX - c->have, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        if (c->is_waiting)
            finish(c, 0, got < 0 ? "reset" : "closed");
        else
            disconnect(c);
        return;
    }
    c->have += (size_t)got;
    c->answer[c->have] = '\0';
    const char *end = strstr(c->answer, "\r\n\r\n");
    const char *length = end ? strcasestr(c->answer, "\r\nContent-Length:") : NULL;
    if (!end) return;
    size_t body_len = length && length < end ? strtoul(length + 17, NULL, 10) : 0;
    if (c->have < (size_t)(end + 4 - c->answer) + body_len) return;
    const char *closes = strcasestr(c->answer, "\r\nConnection: close");
    finish(c, (int)strtoul(c->answer + 9, NULL, 10),
           judge(c, end + 4, (int)strtoul(c->answer + 9, NULL, 10)));
    if (closes && closes < end) disconnect(c);
}

static void ask_all_that_are_due(double *due)
{
    for (size_t i = 0; i < client_count && *due >= 1; i++) {
        static size_t  turn;
        struct client *c = &clients[turn++ % client_count];
        if (c->is_waiting) continue;
        ask(c);
        *due -= 1;
    }
}

static void run(double rate)
{
    struct epoll_event events[256];
    int64_t            before = now_us(CLOCK_MONOTONIC), flushed = before, end = 0;
    double             due = 0;
    while (true) {
        int64_t now = now_us(CLOCK_MONOTONIC);
        due += rate * (double)(now - before) / 1e6;
        if (due > rate / 50) due = rate / 50; /* what could not be sent is not sent later */
        before = now;
        if (!is_ending)
            ask_all_that_are_due(&due);
        else if (!end)
            end = now + LAST_MS * 1000;
        if (now - flushed > 10000) {
            fflush(stdout);
            flushed = now;
        }
        if (end && (!waiting_count || now > end)) return;
        int count = epoll_wait(epoll, events, 256, 1);
        for (int i = 0; i < count; i++) on_bytes(events[i].data.ptr);
    }
}

int main(int argc, char **argv)
{
    if (argc != 6 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) return 2;
    address.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
    client_count = strtoul(argv[3], NULL, 10);
    percent_post = (unsigned)strtoul(argv[5], NULL, 10);
    if (!client_count || client_count > CONNECTIONS_MAX) return 2;
    epoll = epoll_create1(EPOLL_CLOEXEC);
    memset(filler, 'x', sizeof filler);
    for (size_t i = 0; i < client_count; i++) clients[i].fd = -1;
    sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_term }, NULL);
    run(strtod(argv[4], NULL));
    for (size_t i = 0; i < client_count; i++) finish(&clients[i], 0, "unanswered");
    return 0;
}
