/* SPDX-License-Identifier: Apache-2.0
 *
 * Redis for tests. See redis_server.h.
 */
#include "redis_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "child.h"
#include "conn_probe.h"

enum { ARGUMENTS_MAX = 32 };

void redis_server_start(struct redis_server *s, const char *const *options)
{
    char        port[8];
    const char *argv[ARGUMENTS_MAX] = { "redis-server", "--port",     port,     "--bind",
                                        "127.0.0.1",    "--save",     "",       "--dir",
                                        s->folder,      "--loglevel", "warning" };
    size_t      n = 11;
    if (!s->folder[0]) {
        snprintf(s->folder, sizeof(s->folder), "/tmp/wharfgate-redis-XXXXXX");
        assert_non_null(mkdtemp(s->folder));
        close(tcp_listen(&s->address));
    }
    snprintf(port, sizeof(port), "%u", s->address.port);
    while (*options) argv[n++] = *options++;
    assert_true(n < ARGUMENTS_MAX);
    s->pid = child_start(argv, s->address.port);
}

void redis_server_signal(const struct redis_server *s, int signal)
{
    assert_int_equal(kill(s->pid, signal), 0);
}

void redis_server_stop(struct redis_server *s)
{
    child_stop(s->pid);
    s->pid = 0;
}

void redis_server_reset(struct redis_server *s)
{
    redis_server_stop(s);
    if (s->folder[0]) rmdir(s->folder);
    *s = (struct redis_server){ 0 };
}
