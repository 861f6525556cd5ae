/* SPDX-License-Identifier: Apache-2.0
 *
 * Error log. See log.h.
 */
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const names[] = { "debug", "info", "warn", "error" };
static const char *const colors[] = { "\033[2m", "\033[36m", "\033[33m", "\033[31m" };

void log_init(struct log *log, int fd, enum log_level level)
{
    atomic_init(&log->level, (int)level);
    atomic_init(&log->fd, fd);
    const char *no_color = getenv("NO_COLOR");
    log->has_color = isatty(fd) && !(no_color && *no_color);
}

static void write_line(struct log *log, enum log_level level, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static void write_line(struct log *log, enum log_level level, const char *format, va_list args)
{
    if ((int)level < atomic_load_explicit(&log->level, memory_order_relaxed)) return;
    char            line[2048];
    struct timespec now;
    struct tm       t;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &t);
    size_t n = strftime(line, 64, "%Y-%m-%dT%H:%M:%S", &t);
    n += (size_t)snprintf(line + n, 64, ".%03ldZ %s%-5s%s ", now.tv_nsec / 1000000,
                          log->has_color ? colors[level] : "", names[level],
                          log->has_color ? "\033[0m" : "");
    size_t text = n;
    int    len = vsnprintf(line + n, sizeof(line) - n - 1, format, args);
    if (len < 0) return;
    n += (size_t)len < sizeof(line) - n - 1 ? (size_t)len : sizeof(line) - n - 2;
    /* A peer's bytes may be quoted in a message: no control byte gets out. */
    for (size_t i = text; i < n; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) line[i] = '?';
    line[n++] = '\n';
    if (write(atomic_load_explicit(&log->fd, memory_order_relaxed), line, n) < 0) return;
}

void log_line(struct log *log, enum log_level level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    write_line(log, level, format, args);
    va_end(args);
}

void log_bounded(struct log *log, struct log_budget *budget, uint64_t now_ms, enum log_level level,
                 const char *format, ...)
{
    va_list args;
    if (now_ms / 1000 != budget->second) {
        unsigned dropped = budget->dropped_count;
        *budget = (struct log_budget){ .second = now_ms / 1000 };
        if (dropped) log_line(log, level, "%u more lines like those before were left out", dropped);
    }
    if (budget->line_count >= LOG_BUDGET_LINES) {
        budget->dropped_count++;
        return;
    }
    budget->line_count++;
    va_start(args, format);
    write_line(log, level, format, args);
    va_end(args);
}
