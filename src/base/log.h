/* SPDX-License-Identifier: Apache-2.0
 *
 * The error log: lines for the operator, one write(2) a line, from any thread.
 * Requests are logged elsewhere (proxy/access_log.h).
 */
#pragma once

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

struct log {
    _Atomic int level; /* lines below it are dropped */
    _Atomic int fd;
    bool        has_color; /* set once, before other threads start */
};

/* `fd` is borrowed; colour when it is a terminal and NO_COLOR is unset. */
void log_init(struct log *log, int fd, enum log_level level);
void log_line(struct log *log, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(log, ...) log_line(log, LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(log, ...) log_line(log, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(log, ...) log_line(log, LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(log, ...) log_line(log, LOG_LEVEL_ERROR, __VA_ARGS__)

/* Bounds what one source may write: a replica that is down must not fill the disk, one
 * line a request. One thread. Starts as zero. */
struct log_budget {
    uint64_t second; /* of the clock that the caller gives */
    unsigned line_count;
    unsigned dropped_count;
};

enum { LOG_BUDGET_LINES = 10 }; /* a second */

/* As log_line() while the budget lasts; the first line of a later second tells how many
 * were left out. */
void log_bounded(struct log *log, struct log_budget *budget, uint64_t now_ms, enum log_level level,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));
