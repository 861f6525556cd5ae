/* SPDX-License-Identifier: Apache-2.0
 *
 * What prober.c (when a member is checked, and who hears of it), probe_http.c and
 * probe_conn.c (what one check does) and probe_grpc.c (how gRPC's health service is
 * asked) share. Nobody else includes it.
 */
#pragma once

#include "base/buffer.h"
#include "control/prober.h"

enum { PROBE_BODY_BYTES = 64 * 1024 }; /* of an answer's body, looked at */

struct body_matcher;
struct body_regex;

/* What the checks of one upstream have in common. */
struct probed {
    struct upstream                    *upstream;
    const struct health_check_settings *settings;
    const struct check_type            *type;
    struct arena                        arena;
    struct body_regex                  *regex;    /* NULL: any body will do */
    struct http_head                    head;     /* of the request; its authority may be unset */
    struct slice                        body;     /* of the request */
    struct slice                        preamble; /* PROXY header, or empty */
    unsigned                            adopt_count;
    bool                                is_knock; /* until a connection is taken, and no more */
};

enum check_state {
    CHECK_RESTS,   /* until its deadline: the next one is due */
    CHECK_WAITS,   /* due, while too many run: in prober.waiting */
    CHECK_RUNS,    /* its deadline: the timeout */
    CHECK_DRAINS,  /* judged: reads what is left of an answer; its deadline: the same */
    CHECK_STOPPED, /* nobody hears of it; freed when nothing stands on it any more */
};

/* The checks of one member. */
struct check {
    struct prober       *prober;
    const struct probed *of;
    struct member       *member;
    enum check_state     state;
    struct list          link; /* prober.waiting */
    struct deadline      deadline;
    uint64_t             due_ms; /* what the deadline was set for */
    uint64_t             began_ms, began_ns;
    uint64_t             first_ms;   /* when the first one was due */
    uint8_t              late_count; /* deadlines that came late, of the one that runs */
    bool                 is_spread;  /* in the interval, from those that began with it */
    bool                 is_judging;
    bool                 is_told; /* that it takes long */

    /* ---- http, grpc ---- */
    struct upstream_wait wait;
    struct http_stream  *stream; /* NULL: not connected */
    struct arena         arena;  /* of its heads */
    struct http_head    *head;   /* of the answer, while the rest is awaited */
    struct http_fields  *trailers;
    char                *body; /* a block of prober.bodies, or NULL */
    size_t               body_bytes;

    /* ---- tls, tcp ---- */
    struct conn conn;
    bool        has_conn; /* until it is freed */
};

/* How one type of check goes about it. */
struct check_type {
    void (*start)(struct check *c); /* ends by check_judge(), never from within */
    void (*stop)(struct check *c);  /* lets go of whatever there is, at any time */
    bool (*is_connected)(const struct check *c);
};

extern const struct check_type probe_http;
extern const struct check_type probe_grpc;
extern const struct check_type probe_tls;
extern const struct check_type probe_tcp;

/* ---- prober.c ---- */

/* The verdict. `is_over` false: the rest of the answer is read, until check_drained(). The
 * check may be gone when this returns. `output` is in our own words. */
void check_judge(struct check *c, bool is_good, bool is_over, const char *output);
/* The same, of a check that is over and failed. */
void check_fail(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void check_drained(struct check *c);
/* The same, since there was no connection; `why` is conn_fault_text()'s. What the gate itself
 * lacks is no verdict. */
void check_unconnected(struct check *c, const char *why);
/* Its conn is freed. */
void check_conn_gone(struct check *c);

/* ---- probe_http.c ---- */

/* Lays out p->head, p->regex. */
void probe_http_prepare(struct probed *p);

/* ---- probe_grpc.c ---- */

void probe_grpc_prepare(struct probed *p);
/* The answer is complete: judges it. */
void probe_grpc_judge(struct check *c);

/* ---- body_regex.c ---- */

/* Never fails for what the configuration took; NULL is a regex that never matches. */
struct body_regex *body_regex_new(struct slice pattern);
void               body_regex_free(struct body_regex *r);

enum body_verdict { BODY_MATCHES, BODY_DIFFERS, BODY_TAKES_TOO_LONG };

struct body_matcher *body_matcher_new(void);
void                 body_matcher_free(struct body_matcher *m);
/* `is_cut`: the body goes on behind `body`. */
enum body_verdict body_matcher_run(struct body_matcher *m, const struct body_regex *r,
                                   struct slice body, bool is_cut);
