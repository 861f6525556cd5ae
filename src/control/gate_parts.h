/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to gate*.c, and explain*.c: the worker process' control thread.
 */
#pragma once

#include "control/gate.h"
#include "control/prober.h"
#include "control/redis_watch.h"
#include "discovery/docker.h"
#include "io/dns.h"

struct reload_record {
    uint64_t ok_count;
    uint64_t failed_count;
    int64_t  last_us; /* wall clock; 0: there was none */
    bool     is_last_ok;
    char    *last_report; /* as JSON */
};

struct gate {
    struct gate_options  options;
    struct log           log;
    struct loop         *loop;
    struct mailbox       mailbox;
    struct socket_table  table; /* without a supervisor */
    struct privileged    privileged;
    struct plan_maker    maker;
    struct crew          crew;
    struct access_log   *access;
    const struct plan   *current; /* what workers were last given */
    struct snapshot      files;   /* the texts that it was loaded from */
    struct snapshot      kept;    /* at a start: what the process before was built from */
    struct file_watch    watch;
    struct expiries      certificates;
    struct dns          *dns; /* from the first configuration on */
    struct http_client  *http;
    struct docker       *docker; /* from the first configuration on that has it */
    struct prober        prober;
    struct reload_record reloads;
    uint64_t             generation;
    unsigned             plans_alive;
    unsigned             stop_count;
    int                  signal_fd;
    int                  exit_code;
    bool                 is_serving;
    struct watch         signal_watch;
    struct watch         command_watch;
    struct job           command_job;
    struct deadline      file_deadline;
    struct deadline      maintenance_deadline;
    struct deadline      key_deadline;
    struct deadline      grace_deadline;
    int64_t              started_us;
};

enum reload_cause {
    RELOAD_START,
    RELOAD_KEPT,   /* a start, from the files that the process before had */
    RELOAD_ASKED,  /* the configuration's files are read anew */
    RELOAD_FILES,  /* a certificate, key or page changed: the same configuration again */
    RELOAD_LABELS, /* containers make other routes: the same configuration again */
};

/* ---- gate_reload.c ---- */
/* Builds and publishes; on failure nothing has changed and the report says why. */
bool gate_reload(struct gate *g, enum reload_cause cause, struct conf_report *report);
/* In another's place, after the start has failed: with the files that the other had. */
bool gate_start_with_kept(struct gate *g, const struct conf_report *faults);
void gate_check_files(struct gate *g);

/* ---- gate_admin.c ---- */
void gate_ask(struct admin_ask *ask, void *control);
/* The ready file's content. */
void gate_put_ready(struct gate *g, struct buffer *to);
void gate_put_status(struct gate *g, struct buffer *to);

/* ---- gate_metrics.c ---- */
void gate_put_metrics(struct gate *g, struct buffer *to);

/* ---- gate_endpoints.c ---- */
void gate_put_upstreams(struct gate *g, struct buffer *to);
/* One of them, an object; `d` may be NULL. */
void gate_put_upstream(const struct docker *d, struct buffer *to, const struct upstream *u);
void gate_put_docker(struct gate *g, struct buffer *to);
void gate_put_endpoint_metrics(struct gate *g, struct buffer *to);

/* ---- gate_upstreams.c ---- */
/* plan_maker.begin_upstream, .end_upstream. */
void gate_begin_upstream(void *gate, struct upstream *u);
void gate_end_upstream(void *gate, struct upstream *u);
/* After a plan was published, and now and then: those that it does not name rest, once no
 * request waits for them. */
void gate_settle_upstreams(struct gate *g);
/* Before a plan is built that may name containers; and once it serves. */
void gate_prepare_docker(struct gate *g, const struct settings *s);
void gate_configure_docker(struct gate *g, const struct settings *s);
bool gate_configure_dns(struct gate *g, const struct dns_settings *s, struct error *e);

/* ---- gate_store.c ---- */
/* plan_maker.begin_store, .end_store. */
void gate_begin_store(void *gate, struct limit_store *st);
void gate_end_store(void *gate, struct limit_store *st);
/* False: it is not followed (a trial). */
bool gate_store_status(const struct limit_store *st, struct redis_watch_status *status);

/* ---- gate_limits.c ---- */
void gate_put_limits(struct gate *g, struct buffer *to);
void gate_put_limit_metrics(struct gate *g, struct buffer *to);

/* ---- gate_maintenance.c ---- */
/* Are the files there that turn it on? */
void gate_check_maintenance(struct gate *g);
void gate_ask_maintenance(struct gate *g, struct admin_ask *ask);
void gate_put_maintenance(struct gate *g, struct buffer *to);
void gate_put_maintenance_metrics(struct gate *g, struct buffer *to);

/* ---- gate_labels.c ---- */
/* Routes of containers' labels, judged, and added to the settings where they are good. */
struct label_offer {
    struct arena      arena;
    struct conf_part *parts;
    bool              is_made; /* the configuration has discovery.docker */
};

/* After gate_prepare_docker(). */
void gate_offer_labels(struct gate *g, struct settings *s, struct label_offer *o);
/* The plan with them serves. */
void gate_settle_labels(struct gate *g, const struct label_offer *o);
void label_offer_reset(struct label_offer *o);
/* docker_new()'s on_routes. */
void gate_take_labels(void *gate);

/* ---- gate_logs.c ---- */
bool gate_open_logs(struct gate *g, const struct settings *s, struct error *e);
/* From where g->current has them to where `s` wants them. On failure nothing has changed. */
bool gate_move_logs(struct gate *g, const struct settings *s, struct error *e);
void gate_reopen_logs(struct gate *g);
void gate_apply_log_level(struct gate *g, const struct settings *s);

/* ---- gate.c ---- */
void gate_stop(struct gate *g);
