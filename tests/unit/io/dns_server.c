/* SPDX-License-Identifier: Apache-2.0
 *
 * A name server for tests. See dns_server.h.
 */
#include "dns_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/memory.h"

enum { ARGUMENTS_MAX = 64, STARTS_MAX = 5 };

static const char *const program = "/usr/sbin/dnsmasq";

static const uint64_t patience_ns = 20000000000u;

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET,
                                 .sin_port = htons(port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

/* One that is free for TCP and UDP; the kernel gives it to nobody else soon. */
static uint16_t free_port(void)
{
    for (int i = 0; i < ARGUMENTS_MAX; i++) {
        struct sockaddr_in a = loopback(0);
        socklen_t          len = sizeof(a);
        int                tcp = socket(AF_INET, SOCK_STREAM, 0);
        int                udp = socket(AF_INET, SOCK_DGRAM, 0);
        assert_int_equal(bind(tcp, (struct sockaddr *)&a, len), 0);
        assert_int_equal(getsockname(tcp, (struct sockaddr *)&a, &len), 0);
        int bound = bind(udp, (struct sockaddr *)&a, len);
        close(tcp);
        close(udp);
        if (bound == 0) return ntohs(a.sin_port);
    }
    fail_msg("no port is free");
    return 0;
}

void dns_server_write(char path[SERVER_PATH_MAX], const struct buffer *text)
{
    snprintf(path, SERVER_PATH_MAX, "/tmp/wharfgate-dns-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    if (text) assert_int_equal(write(fd, text->data, text->len), text->len);
    close(fd);
}

static void run_program(const struct dns_server *s, const char *const *options)
{
    char        texts[ARGUMENTS_MAX][256];
    char       *argv[ARGUMENTS_MAX + 1] = { 0 };
    int         n = 0;
    const char *always[] = { "keep-in-foreground",
                             "no-resolv",
                             "no-hosts",
                             "conf-file=/dev/null",
                             "listen-address=127.0.0.1",
                             "bind-interfaces",
                             "pid-file=",
                             "user=root",
                             "local=/test/",
                             "log-queries",
                             "host-record=ready.test,192.0.2.255",
                             NULL };
    snprintf(texts[n++], sizeof(texts[0]), "%s", program);
    snprintf(texts[n++], sizeof(texts[0]), "--port=%u", s->port);
    snprintf(texts[n++], sizeof(texts[0]), "--log-facility=%s", s->log);
    for (const char *const *o = always; *o; o++) snprintf(texts[n++], sizeof(texts[0]), "--%s", *o);
    for (const char *const *o = options; *o && n < ARGUMENTS_MAX; o++)
        snprintf(texts[n++], sizeof(texts[0]), "--%s", *o);
    for (int i = 0; i < n; i++) argv[i] = texts[i];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execv(program, argv);
    perror(program);
    _exit(127);
}

/* Asks for ready.test until there is an answer. False: the program has ended. */
static bool wait_until_it_answers(struct dns_server *s)
{
    static const unsigned char question[] = "\x12\x34\x01\0\0\1\0\0\0\0\0\0\5ready\4test\0\0\1\0\1";
    struct sockaddr_in         a = loopback(s->port);
    struct timeval             wait = { 0, 20000 };
    char                       reply[512];
    uint64_t                   end_ns = clock_mono_ns() + patience_ns;
    int                        fd = socket(AF_INET, SOCK_DGRAM, 0);
    bool                       has_answered = false;
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)), 0);
    while (!has_answered && waitpid(s->pid, NULL, WNOHANG) == 0) {
        assert_true(clock_mono_ns() < end_ns);
        ssize_t ignored = send(fd, question, sizeof(question) - 1, 0);
        (void)ignored;
        has_answered = recv(fd, reply, sizeof(reply), 0) > 0;
    }
    close(fd);
    return has_answered;
}

void dns_server_start(struct dns_server *s, const char *const *options)
{
    bool is_first = !s->port;
    if (is_first) dns_server_write(s->log, NULL);
    for (int i = 0; i < STARTS_MAX; i++) {
        if (is_first) s->port = free_port();
        s->pid = fork();
        assert_true(s->pid >= 0);
        if (s->pid == 0) run_program(s, options);
        if (wait_until_it_answers(s)) return;
    }
    fail_msg("%s does not start", program);
}

void dns_server_signal(const struct dns_server *s, int signal)
{
    assert_int_equal(kill(s->pid, signal), 0);
}

void dns_server_stop(struct dns_server *s)
{
    if (!s->pid) return;
    dns_server_signal(s, SIGKILL);
    assert_int_equal(waitpid(s->pid, NULL, 0), s->pid);
    s->pid = 0;
}

void dns_server_reset(struct dns_server *s)
{
    dns_server_stop(s);
    if (s->port) unlink(s->log);
    *s = (struct dns_server){ 0 };
}

unsigned dns_server_count(const struct dns_server *s, const char *text)
{
    char     line[1024];
    unsigned count = 0;
    FILE    *f = fopen(s->log, "re");
    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) count += strstr(line, text) != NULL;
    fclose(f);
    return count;
}

static void on_changed(void *arg)
{
    struct watcher *w = arg;
    w->changed_count++;
    w->changed_ns = clock_mono_ns();
}

void watch_name(struct watcher *w, struct loop *l, struct dns *d, enum dns_kind kind,
                const char *name)
{
    *w = (struct watcher){ .loop = l };
    w->watch = dns_watch(d, kind, name, on_changed, w);
}

void unwatch(struct watcher *w)
{
    dns_unwatch(w->watch);
    w->watch = NULL;
}

const char *answer_of(struct watcher *w)
{
    struct dns_answer answer = dns_answer(w->watch);
    struct buffer     text = BUFFER_INIT;
    if (answer.trouble) buffer_printf(&text, "trouble: %s\n", answer.trouble);
    for (size_t i = 0; i < answer.count; i++) {
        const struct dns_record *r = &answer.records[i];
        char                     address[ADDRESS_TEXT_MAX];
        address_format(&r->address, address);
        buffer_printf(&text, "%u %u %s %s\n", r->priority, r->weight, address, r->target);
    }
    snprintf(w->text, sizeof(w->text), "%s", text.data ? text.data : "");
    buffer_reset(&text);
    return w->text;
}

struct dns_options test_options(char servers[SERVER_PATH_MAX], uint16_t port)
{
    snprintf(servers, SERVER_PATH_MAX, "127.0.0.1:%u", port);
    return (struct dns_options){ .servers = servers,
                                 .min_ttl_ms = 100,
                                 .max_ttl_ms = 60000,
                                 .timeout_ms = 2000,
                                 .retry_ms = 100 };
}
