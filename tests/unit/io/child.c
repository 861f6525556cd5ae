/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs that tests start. See child.h.
 */
#include "child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_S = 60 };

static bool is_open(uint16_t port)
{
    struct sockaddr_in a = { .sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool               opens = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
    close(fd);
    return opens;
}

pid_t child_start(const char *const *argv, uint16_t port)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR);
        for (int fd = 0; fd <= 2; fd++) dup2(null, fd);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        alarm(PATIENCE_S);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    while (!is_open(port)) {
        assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
        nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
    }
    return pid;
}

void child_stop(pid_t pid)
{
    if (!pid) return;
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}
