/* SPDX-License-Identifier: Apache-2.0
 *
 * Who belongs to an upstream and who of them may have requests: merges what the
 * source of endpoints, the prober and traffic's outcomes say, and publishes a
 * set for the workers whenever that changes. docs/design/balance.md has the
 * table of states. Control thread only.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "io/loop.h"
#include "upstream/endpoint.h"
#include "upstream/upstream.h"

enum endpoint_state {
    ENDPOINT_READY,
    ENDPOINT_UNCHECKED, /* no check has succeeded yet */
    ENDPOINT_STARTING,  /* its source says so */
    ENDPOINT_UNHEALTHY, /* checks fail, or its source says so */
    ENDPOINT_EJECTED,   /* traffic fails */
    ENDPOINT_DRAINING,  /* takes no new requests */
    ENDPOINT_STATE_COUNT
};

enum probe_verdict { PROBE_UNKNOWN, PROBE_UP, PROBE_DOWN };

enum { ROSTER_REASON_MAX = 160 };

struct roster;

/* Of one endpoint. Fields are read by whoever shows them, written by roster.c only, but for
 * `probe`, which the prober writes by roster_judge(). */
struct member {
    struct list         link; /* roster.members, .gone */
    struct roster      *roster;
    struct endpoint    *endpoint;
    enum source_state   source;
    enum probe_verdict  verdict;
    enum endpoint_state state;
    int64_t             since_us;                  /* of the state; wall clock */
    char                reason[ROSTER_REASON_MAX]; /* of the state, for people */
    char                source_reason[ROSTER_REASON_MAX];
    char                ejection_reason[ROSTER_REASON_MAX];
    /* Active checks. */
    char     probe_output[ROSTER_REASON_MAX]; /* "200 OK", "connect_refused"; empty: none yet */
    int64_t  probe_us;                        /* when it ended; wall clock; 0: none yet */
    uint32_t probe_time_us;                   /* how long it took */
    bool     is_probe_good;
    bool     is_silent; /* new, without checks, and has not taken a connection yet */
    uint32_t streak;    /* checks in a row that say the opposite of the verdict */
    uint64_t check_count, check_failures;
    void    *prober; /* the prober's own */
    /* Passive. */
    uint64_t ejected_from_ms, ejected_until_ms; /* loop clock; 0: is not */
    uint32_t ejection_level;                    /* how often in a row */
    uint64_t ejection_count;
    uint64_t ejection_ended_ms;
    uint64_t seen_outcomes, seen_failed; /* at the last look at the error rate */
    /* Slow start: when it became ready; 0: it has its whole weight. */
    uint64_t ramp_from_ms;
    bool     is_seen; /* while an update runs */
};

/* What a published set made superfluous: the set before, and endpoints that left. */
struct roster_retired;

/* Who acts on what the roster does. All on the control thread. */
struct roster_ops {
    /* A set took another's place: once every worker has passed (and has run
     * upstream_client_sync()), `what` is to be freed by roster_retired_free(). */
    void (*on_published)(struct roster *r, struct roster_retired *what);
    /* A member came: checks begin. Or it is about to go: they end, and m->prober is freed. */
    void (*on_member)(struct roster *r, struct member *m, bool is_leaving);
    /* A member's state changed, from `before`: for the log. */
    void (*on_state)(struct roster *r, struct member *m, enum endpoint_state before);
    /* r->trouble changed. May be NULL, as on_state. */
    void (*on_trouble)(struct roster *r);
};

struct slot_map;

struct roster {
    struct upstream         *upstream;
    struct loop             *loop;
    const struct roster_ops *ops;
    void                    *arg;
    struct list              members; /* in the source's order */
    size_t                   member_count;
    size_t                   counts[ENDPOINT_STATE_COUNT]; /* members by state */
    bool                     is_in_panic;                  /* ejections count for nothing */
    bool                     is_frozen;
    bool                     has_source;   /* roster_update() was called */
    uint64_t                 set_count;    /* published */
    uint64_t                 change_count; /* of members' states */
    uint64_t                 ejection_count;
    char                     trouble[ROSTER_REASON_MAX]; /* "cannot resolve ...", or empty */
    /* roster*.c only. */
    struct slot_map *slots;
    struct map       heirs;          /* what is known of endpoints that may come */
    uint64_t         heirs_until_ms; /* later it is too old */
    struct list      gone;           /* members that the next set is without */
    struct job       publish_job;
    struct deadline  publish_deadline;
    struct deadline  tick; /* ejections end, weights grow, error rates are looked at */
    uint64_t         published_ms, rated_ms, began_ms;
    bool             is_changed; /* since the set was published */
};

/* `previous` (may be NULL): the roster of the upstream of this name before a reload; what it
 * knows of endpoints is copied. `control` receives endpoints that nobody uses any more. */
struct roster *roster_new(struct upstream *u, struct loop *l, struct mailbox *control,
                          const struct roster_ops *ops, void *arg, const struct roster *previous);
/* No worker knows the upstream any more. Accepts NULL. */
void roster_free(struct roster *r);

/* The source's full list, each with an identity; two of one identity: the first counts. Publishes
 * at the end of the loop's turn when somebody is gone, what is new within 50 ms. `trouble`: why the
 * list may be old, or NULL. */
void roster_update(struct roster *r, const struct endpoint_spec *specs, size_t count,
                   const char *trouble);
/* A check of `m` ended; `output` says in words what came of it. */
void roster_judge(struct member *m, bool is_good, const char *output, uint64_t time_us);
/* A worker saw an endpoint fail too often in a row (upstream.on_suspect). */
void roster_suspect(struct roster *r);
/* Frozen: nothing is published, nobody is ejected; no plan in service names the upstream. */
void roster_freeze(struct roster *r, bool is_frozen);
/* It is frozen for good, as far as is known: its endpoints are leaving, but for those whose
 * identities are in `kept`. Are there any? Then workers are to sync. */
bool roster_abandon(struct roster *r, const struct map *kept);
/* Publishes what is pending now instead of at the end of the turn. */
void roster_flush(struct roster *r);
/* May a check of `m` be made at the faster pace: is its verdict about to change? */
bool roster_is_unsure(const struct member *m);

void        roster_retired_free(struct roster_retired *what); /* accepts NULL */
const char *endpoint_state_name(enum endpoint_state s);       /* "ready", "unhealthy", ... */
