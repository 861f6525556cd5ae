/* SPDX-License-Identifier: Apache-2.0
 *
 * Drawing in place. See terminal.h.
 */
#include "cli/terminal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "cli/cli.h"

/* Alternate screen, no cursor, no wrapping of long lines; and back. */
#define ENTER "\033[?1049h\033[?25l\033[?7l"
#define LEAVE "\033[?7h\033[?25h\033[?1049l"
#define HOME "\033[H"
#define CLEAR_REST_OF_LINE "\033[K"
#define CLEAR_REST "\033[J"

static const int watched_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP };

bool terminal_can_draw(void)
{
    const char *name = getenv("TERM");
    return isatty(STDOUT_FILENO) && name && *name && strcmp(name, "dumb") != 0;
}

void terminal_size(size_t *width, size_t *height)
{
    struct winsize size = { 0 };
    (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    *width = size.ws_col ? size.ws_col : 80;
    *height = size.ws_row ? size.ws_row : 24;
}

static bool put(const char *text)
{
    struct buffer b = BUFFER_INIT;
    buffer_puts(&b, text);
    return cli_put(STDOUT_FILENO, &b, 0) == 0;
}

/* ---- coming and going ---- */

static void prepare(struct terminal *t)
{
    struct termios now = t->saved;
    now.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    now.c_cc[VMIN] = 1;
    now.c_cc[VTIME] = 0;
    if (t->has_keys) (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &now);
    (void)put(ENTER);
}

static void restore(struct terminal *t)
{
    (void)put(LEAVE);
    if (t->has_keys) (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &t->saved);
}

static void watch(struct terminal *t, int fd)
{
    struct epoll_event event = { .events = EPOLLIN, .data.fd = fd };
    (void)epoll_ctl(t->wake_fd, EPOLL_CTL_ADD, fd, &event);
}

bool terminal_enter(struct terminal *t, struct error *e)
{
    sigset_t mask;
    sigemptyset(&mask);
    for (size_t i = 0; i < sizeof(watched_signals) / sizeof(watched_signals[0]); i++)
        sigaddset(&mask, watched_signals[i]);
    *t = (struct terminal){ .signal_fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC),
                            .wake_fd = epoll_create1(EPOLL_CLOEXEC) };
    if (t->signal_fd < 0 || t->wake_fd < 0) {
        if (t->signal_fd >= 0) close(t->signal_fd);
        if (t->wake_fd >= 0) close(t->wake_fd);
        return error_set(e, "no descriptors: %s", strerror(errno));
    }
    sigprocmask(SIG_BLOCK, &mask, &t->saved_mask);
    t->has_keys = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &t->saved) == 0;
    watch(t, t->signal_fd);
    if (t->has_keys) watch(t, STDIN_FILENO);
    prepare(t);
    return true;
}

void terminal_leave(struct terminal *t)
{
    restore(t);
    close(t->wake_fd);
    close(t->signal_fd);
    sigprocmask(SIG_SETMASK, &t->saved_mask, NULL);
}

/* ---- what happens ---- */

/* The shell shows itself meanwhile. Where there is none that could resume us, the kernel
 * ignores it. */
static void suspend(struct terminal *t)
{
    sigset_t stop;
    sigemptyset(&stop);
    sigaddset(&stop, SIGTSTP);
    restore(t);
    raise(SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &stop, NULL);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    prepare(t);
}

static enum terminal_event read_signal(struct terminal *t)
{
    struct signalfd_siginfo info;
    if (read(t->signal_fd, &info, sizeof(info)) != sizeof(info)) return TERMINAL_NOTHING;
    if (info.ssi_signo == SIGTSTP) suspend(t);
    return info.ssi_signo == SIGTSTP || info.ssi_signo == SIGWINCH ? TERMINAL_REDRAW
                                                                   : TERMINAL_QUIT;
}

/* The letters that function keys send after an escape are none: ESC x, ESC O x. */
static bool has_quit(const char *keys, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (keys[i] == '\033')
            i += i + 1 < len && keys[i + 1] == 'O' ? 2 : 1;
        else if (keys[i] == 'q')
            return true;
    }
    return false;
}

static enum terminal_event read_keys(struct terminal *t)
{
    char    keys[64];
    ssize_t len = read(STDIN_FILENO, keys, sizeof(keys));
    if (len <= 0) { /* no keys any more */
        (void)epoll_ctl(t->wake_fd, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
        return TERMINAL_NOTHING;
    }
    return has_quit(keys, (size_t)len) ? TERMINAL_QUIT : TERMINAL_REDRAW;
}

enum terminal_event terminal_read(struct terminal *t)
{
    struct epoll_event event;
    if (epoll_wait(t->wake_fd, &event, 1, 0) != 1) return TERMINAL_NOTHING;
    return event.data.fd == t->signal_fd ? read_signal(t) : read_keys(t);
}

/* ---- drawing ---- */

bool terminal_draw(const struct buffer *lines)
{
    struct buffer picture = BUFFER_INIT;
    struct slice  left = buffer_slice(lines);
    buffer_puts(&picture, HOME);
    while (left.len) {
        size_t end = slice_find(left, '\n');
        buffer_put(&picture, left.data, end);
        left = slice_from(left, end < left.len ? end + 1 : end);
        buffer_puts(&picture, left.len ? CLEAR_REST_OF_LINE "\n" : CLEAR_REST);
    }
    return cli_put(STDOUT_FILENO, &picture, 0) == 0;
}
