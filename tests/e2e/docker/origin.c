/* SPDX-License-Identifier: Apache-2.0
 *
 * The application in the containers of the tests: HTTP/1.1, kept alive, one thread. It answers
 * with what it was asked and its own name, and writes down every request that it had whole,
 * before it answers, in /records/NAME (or on standard output, when there is no such folder):
 *
 *   listen US | term US | exit US | request NUMBER METHOD TARGET BODY_BYTES US
 *
 * where US is the time since 1970 and NUMBER the request's X-Request-Number.
 *
 *   /...?ms=N     answers N ms late
 *   /health       200, and 503 from POST /sick to POST /well; none of these is written down
 *
 * It trusts its peers: a body has Content-Length, all of it fits into 64 KiB.
 *
 *   origin PORT [OPTION=VALUE...]
 *     after=MS      listens that late
 *     stop=polite   SIGTERM or SIGQUIT: accepts no more, ends each connection with its next answer;
 *                   what is open after two seconds is closed (the default)
 *     stop=quick    accepts no more, closes what is idle, finishes what runs
 *     stop=later    goes on for a second, then exits in the midst of whatever it has
 *     stop=rude     exits at once
 *     grace=MS      instead of the two seconds, or of the one
 *   origin check PORT    asks /health, as a HEALTHCHECK
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BYTES_MAX = 65536, PEERS_MAX = 4096, EVENTS = 256, STOP_MS = 2000, LATER_MS = 1000 };

enum stop { STOP_POLITE, STOP_QUICK, STOP_LATER, STOP_RUDE };

struct peer {
    int     fd;
    size_t  have;
    int64_t due_ms; /* an answer is late on purpose until then; 0: none is */
    size_t  request_len;
    char    bytes[BYTES_MAX + 1];
};

static struct {
    char         name[64];
    int          epoll, listener, records;
    enum stop    stop;
    unsigned     grace_ms; /* 0: what is usual for `stop` */
    bool         is_sick, is_stopping;
    int64_t      stop_ms; /* exits then; 0: was not told to */
    struct peer *peers[PEERS_MAX];
    size_t       peer_count;
} self = { .listener = -1, .records = STDOUT_FILENO };

static volatile sig_atomic_t is_told_to_stop;

static void on_term(int number)
{
    (void)number;
    is_told_to_stop = 1;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now_us(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t now_ms(void)
{
    return now_us(CLOCK_MONOTONIC) / 1000;
}

__attribute__((format(printf, 1, 2))) static void record(const char *format, ...)
{
    char    line[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line, sizeof line - 32, format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof line - 32) len = sizeof line - 33;
    len += snprintf(line + len, 32, " %lld\n", (long long)now_us(CLOCK_REALTIME));
    if (write(self.records, line, (size_t)len) != len) die("records");
}

static void finish(int status)
{
    record("exit");
    exit(status);
}

static struct sockaddr_in address_of(uint32_t host, const char *port)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                             .sin_addr.s_addr = htonl(host) };
    return a;
}

/* ---- requests ---- */

static void forget(struct peer *p)
{
    for (size_t i = 0; i < self.peer_count; i++)
        if (self.peers[i] == p) self.peers[i] = self.peers[--self.peer_count];
    close(p->fd);
    free(p);
}

/* The value of a field of the head that ends at `end`; NULL when there is none. */
static const char *field(const char *head, const char *end, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = head; (at = memchr(at, '\n', (size_t)(end - at)));) {
        at++;
        if ((size_t)(end - at) > len && !strncasecmp(at, name, len) && at[len] == ':') {
            at += len + 1;
            while (*at == ' ') at++;
            return at;
        }
    }
    return NULL;
}

/* Sends it whole: answers are far smaller than the socket's buffer. False: it is gone. */
static bool say(struct peer *p, const char *status, const char *number, const char *body)
{
    char answer[2048];
    int  len = snprintf(answer, sizeof answer,
                        "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nX-Origin: %s\r\n"
                         "X-Request-Number: %s\r\nContent-Length: %zu\r\n%s\r\n%s",
                        status, self.name, number, strlen(body),
                       self.is_stopping ? "Connection: close\r\n" : "", body);
    if (send(p->fd, answer, (size_t)len, MSG_NOSIGNAL) == len && !self.is_stopping) return true;
    forget(p);
    return false;
}

static bool answer(struct peer *p, const char *head_end, size_t body_len)
{
    char method[16], target[512], number[24] = "0", body[768];
    if (sscanf(p->bytes, "%15s %511s", method, target) != 2) {
        forget(p);
        return false;
    }
    const char *at = field(p->bytes, head_end, "X-Request-Number");
    if (at) snprintf(number, sizeof number, "%lu", strtoul(at, NULL, 10));
    bool is_post = !strcmp(method, "POST");
    if (is_post && (!strcmp(target, "/sick") || !strcmp(target, "/well")))
        self.is_sick = target[1] == 's';
    else if (!strcmp(target, "/health"))
        return say(p, self.is_sick ? "503 Unavailable" : "200 OK", number, "");
    else
        record("request %s %s %s %zu", number, method, target, body_len);
    snprintf(body, sizeof body, "%s %s %s %zu %s\n", method, target, number, body_len, self.name);
    return say(p, "200 OK", number, body);
}

/* Is a request there, and is it its time? Answers it then. False: the peer is gone. */
static bool serve(struct peer *p)
{
    while (true) {
        p->bytes[p->have] = '\0';
        const char *end = memmem(p->bytes, p->have, "\r\n\r\n", 4);
        if (!end) return true;
        end += 4;
        const char *at = field(p->bytes, end, "Content-Length");
        size_t      body_len = at ? strtoul(at, NULL, 10) : 0;
        p->request_len = (size_t)(end - p->bytes) + body_len;
        if (p->have < p->request_len) return true;
        const char *late = memmem(p->bytes, (size_t)(end - p->bytes), "?ms=", 4);
        if (late && !p->due_ms) p->due_ms = now_ms() + (int64_t)strtoul(late + 4, NULL, 10);
        if (p->due_ms > now_ms()) return true;
        p->due_ms = 0;
        if (!answer(p, end, body_len)) return false;
        p->have -= p->request_len;
        memmove(p->bytes, p->bytes + p->request_len, p->have);
    }
}

static void on_bytes(struct peer *p)
{
    ssize_t got = recv(p->fd, p->bytes + p->have, BYTES_MAX - p->have, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        forget(p);
        return;
    }
    p->have += (size_t)got;
    if (!p->due_ms) serve(p);
}

/* ---- life ---- */

static void listen_now(const char *port)
{
    struct sockaddr_in a = address_of(INADDR_ANY, port);
    self.listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(self.listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
    if (bind(self.listener, (struct sockaddr *)&a, sizeof a) || listen(self.listener, 1024))
        die("listen");
    struct epoll_event e = { .events = EPOLLIN };
    epoll_ctl(self.epoll, EPOLL_CTL_ADD, self.listener, &e);
    record("listen");
}

static void accept_all(void)
{
    int fd;
    while ((fd = accept4(self.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct peer *p = self.peer_count < PEERS_MAX ? calloc(1, sizeof *p) : NULL;
        if (!p) die("too many connections");
        p->fd = fd;
        self.peers[self.peer_count++] = p;
        struct epoll_event e = { .events = EPOLLIN, .data.ptr = p };
        epoll_ctl(self.epoll, EPOLL_CTL_ADD, fd, &e);
    }
}

static void begin_to_stop(void)
{
    record("term");
    if (self.stop == STOP_RUDE) finish(0);
    unsigned usual_ms = self.stop == STOP_LATER ? LATER_MS : STOP_MS;
    self.stop_ms = now_ms() + (self.grace_ms ? self.grace_ms : usual_ms);
    if (self.stop == STOP_LATER) return;
    self.is_stopping = true;
    if (self.listener >= 0) {
        accept_all();
        close(self.listener);
        self.listener = -1;
    }
    for (size_t i = self.peer_count; self.stop == STOP_QUICK && i-- > 0;)
        if (!self.peers[i]->have) forget(self.peers[i]);
}

/* Answers what is due; ms until the next is, -1 when none is. */
static int serve_late_ones(void)
{
    int64_t next = self.stop_ms ? self.stop_ms : INT64_MAX, now = now_ms();
    for (size_t i = self.peer_count; i-- > 0;) {
        struct peer *p = self.peers[i];
        if (p->due_ms && p->due_ms <= now && !serve(p)) continue;
        if (p->due_ms && p->due_ms < next) next = p->due_ms;
    }
    if (next == INT64_MAX) return -1;
    return next > now ? (int)(next - now) : 0;
}

static void run(void)
{
    struct epoll_event events[EVENTS];
    sigset_t           none;
    sigemptyset(&none);
    while (true) {
        if (is_told_to_stop && !self.stop_ms) begin_to_stop();
        int wait_ms = serve_late_ones();
        if (self.is_stopping && !self.peer_count) finish(0);
        if (self.stop_ms && now_ms() >= self.stop_ms) finish(0);
        int count = epoll_pwait(self.epoll, events, EVENTS, wait_ms, &none);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr)
                on_bytes(events[i].data.ptr);
            else if (self.listener >= 0)
                accept_all();
        }
    }
}

static int check(const char *port)
{
    struct sockaddr_in a = address_of(INADDR_LOOPBACK, port);
    static const char  ask[] = "GET /health HTTP/1.1\r\nHost: check\r\n\r\n";
    char               got[256] = "";
    int                fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) || send(fd, ask, sizeof ask - 1, 0) < 0 ||
        recv(fd, got, sizeof got - 1, 0) <= 0) {
        perror("check");
        return 1;
    }
    printf("%.*s\n", (int)strcspn(got, "\r"), got);
    return strncmp(got, "HTTP/1.1 200", 12) ? 1 : 0;
}

static void read_options(char **options, unsigned *after_ms)
{
    for (; *options; options++) {
        if (!strncmp(*options, "after=", 6))
            *after_ms = (unsigned)strtoul(*options + 6, NULL, 10);
        else if (!strncmp(*options, "grace=", 6))
            self.grace_ms = (unsigned)strtoul(*options + 6, NULL, 10);
        else if (!strcmp(*options, "stop=rude"))
            self.stop = STOP_RUDE;
        else if (!strcmp(*options, "stop=quick"))
            self.stop = STOP_QUICK;
        else if (!strcmp(*options, "stop=later"))
            self.stop = STOP_LATER;
        else if (strcmp(*options, "stop=polite"))
            die(*options);
    }
}

int main(int argc, char **argv)
{
    unsigned after_ms = 0;
    char     path[128];
    sigset_t term;
    if (argc < 2) die("what port?");
    if (!strcmp(argv[1], "check")) return check(argc > 2 ? argv[2] : "8000");
    read_options(argv + 2, &after_ms);
    gethostname(self.name, sizeof self.name - 1);
    snprintf(path, sizeof path, "/records/%s", self.name);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd >= 0) self.records = fd;
    self.epoll = epoll_create1(EPOLL_CLOEXEC);
    /* Signals are taken while it waits, and never in the midst of a request. */
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigaddset(&term, SIGQUIT);
    sigprocmask(SIG_BLOCK, &term, NULL);
    sigaction(SIGTERM, &(struct sigaction){ .sa_handler = on_term }, NULL);
    sigaction(SIGQUIT, &(struct sigaction){ .sa_handler = on_term }, NULL);
    struct timespec late = { after_ms / 1000, (long)(after_ms % 1000) * 1000000 };
    if (after_ms && sigtimedwait(&term, NULL, &late) > 0) finish(0);
    listen_now(argv[1]);
    run();
}
