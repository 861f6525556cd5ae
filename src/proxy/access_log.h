/* SPDX-License-Identifier: Apache-2.0
 *
 * The access log: one line a request, as JSON or in Apache's combined format.
 *
 *   worker: access_log_write() -> its ring  --\
 *   worker: access_log_write() -> its ring  ---+-> writer thread -> writev(2)
 *
 * Writing a line costs its worker no system call, no lock and no wait: what
 * finds its ring full is dropped and counted. A disk that is full or a reader
 * that is gone is told once to the error log; the lines that cannot be kept
 * are counted. No client can forge a line, whatever bytes it sends.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/slice.h"
#include "conf/settings.h"

struct access_log;
/* One a worker; written by that worker only. */
struct access_ring;

/* A time that does not apply: no upstream was asked, nothing was answered. */
#define ACCESS_TIME_NONE UINT64_MAX

/* All texts are borrowed for the call. Empty: unknown or not applicable, and
 * left out of JSON, "-" in combined. Overlong ones are cut and end in "...". */
struct access_record {
    struct slice client; /* the one client address */
    struct slice method;
    struct slice host;
    struct slice target;   /* path and query as received */
    struct slice protocol; /* "HTTP/1.1" */
    uint16_t     status;   /* 0: the client left before an answer began */
    uint16_t     retries;
    uint64_t     request_bytes; /* of body */
    uint64_t     response_bytes;
    uint64_t     queue_us;      /* waited for a connection's or an endpoint's turn */
    uint64_t     connect_us;    /* 0: a connection was reused */
    uint64_t     first_byte_us; /* from the request's head to the first byte of the response */
    uint64_t     total_us;
    struct slice upstream;
    struct slice endpoint;
    struct slice tls; /* version, "TLSv1.3" */
    struct slice request_id;
    struct slice limit;         /* the limit that refused it */
    struct slice limit_dry_run; /* the one that would have */
    struct slice reason; /* why the gateway answered itself, or what cut the response short */
    struct slice route;
    struct slice user_agent;
    struct slice referer;
    struct slice listener;
};

/* ---- formatting (access_format.c) ---- */
enum { ACCESS_LINE_MAX = 160 * 1024 };
/* Writes a line with its newline to `to`, which has ACCESS_LINE_MAX bytes. Returns
 * its length. */
size_t access_format_json(char *to, const struct clock *now, const struct access_record *r);
size_t access_format_combined(char *to, const struct clock *now, const struct access_record *r);

/* ---- the log ---- */
struct access_log_options {
    int             fd;   /* owned from here on */
    const char     *name; /* for messages: a path or "stdout"; copied */
    enum log_format format;
    unsigned        ring_count; /* workers */
    size_t          ring_bytes; /* each; 0: 1 MiB */
    struct log     *log;        /* borrowed */
};

/* "stdout", "stderr" or a path, which is made when missing and appended to. -1 and *e
 * on failure. Whoever may not open it himself gets the descriptor from elsewhere. */
int access_log_open(const char *name, struct error *e);

/* Starts the writer thread. NULL and *e when that fails; the fd is closed then. */
struct access_log *access_log_new(const struct access_log_options *o, struct error *e);
/* After the workers have ended. Writes what the rings hold, for at most a second. */
void access_log_free(struct access_log *l);

struct access_ring *access_log_ring(struct access_log *l, unsigned index);

/* On the ring's worker. False when the line was dropped. A NULL ring: no log. */
bool access_log_write(struct access_ring *ring, const struct clock *now,
                      const struct access_record *r);

/* Any thread. The writer goes on with `fd`, owned from here on, and closes the
 * one before; lines are never split over both. */
void access_log_reopen(struct access_log *l, int fd);
/* The same for another file: `name` is copied. Lines from here on have `format`. */
void access_log_move(struct access_log *l, int fd, const char *name, enum log_format format);
/* Waits until everything written to the rings before is with the kernel; false
 * after `wait_ms`. */
bool access_log_flush(struct access_log *l, unsigned wait_ms);

struct access_log_counts {
    uint64_t written; /* lines, those still in the rings included */
    uint64_t dropped; /* the ring was full */
    uint64_t lost;    /* the file or pipe would not take them */
};

struct access_log_counts access_log_count(const struct access_log *l);
