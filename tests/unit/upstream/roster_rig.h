/* SPDX-License-Identifier: Apache-2.0
 *
 * A roster, what it told, and a clock that the test turns. Endpoints are named by single
 * letters; lists of them are texts.
 */
#pragma once

#include "conf/load.h"
#include "upstream/roster.h"

enum { RIG_RETIRED_MAX = 256, RIG_TEXT_MAX = 1024 };

/* An upstream with what it was made of. */
struct half {
    struct conf_report report;
    struct settings   *settings;
    struct upstream   *upstream;
    struct roster     *roster;
};

struct rig {
    struct log   log;
    struct loop *loop;
    struct half  now, before; /* `before`: of the configuration before a reload */
    unsigned     worker_count;

    /* What rosters told. */
    struct roster_retired *retired[RIG_RETIRED_MAX]; /* until rig_pass() */
    size_t                 retired_count;
    unsigned               trouble_count;
    unsigned               came_count, went_count;
    char                   states[RIG_TEXT_MAX]; /* "a:ready b:unhealthy ", since rig_told() */
};

/* `lines` of the upstream, each "    key: value\n", for `worker_count` workers. */
void rig_load(struct half *h, const char *lines, unsigned worker_count);
void rig_init(struct rig *r, const char *lines);
void rig_init_for(struct rig *r, const char *lines, unsigned worker_count);
/* Before rig_init(): nothing. */
void rig_reset(struct rig *r);
/* Another configuration: its roster takes over from the one before, which lives on in `before`. */
void rig_reload(struct rig *r, const char *lines);

/* The source's list: "a b*3 c+ d=80 e? f! g- h~": b with a weight, c a backup, d at a port of its
 * own, e starting, f unhealthy, g draining, h is to listen first. */
void rig_update(struct rig *r, const char *list);
/* The list as specs; returns how many. Texts are borrowed from `list`. */
size_t         rig_specs(const char *list, struct endpoint_spec *specs, size_t most);
struct member *rig_member(struct rig *r, char name); /* NULL: there is none */
/* Members in order with their states: "a:ready b:unchecked". */
const char *rig_members(struct rig *r);
/* The published set: "a b*3 + c", backups behind the +. */
const char *rig_set(struct rig *r);
/* State changes since it was asked last. */
const char *rig_told(struct rig *r);

/* The end of the turn. */
void rig_turn(struct rig *r);
/* So much later, in small steps, with the turns that come meanwhile. */
void rig_later(struct rig *r, uint64_t ms);
/* All workers have passed: what was retired is freed. */
void rig_pass(struct rig *r);

/* A check of it ended. */
void rig_judge(struct rig *r, char name, bool is_good);
/* So many requests in a row failed, or went well, and who has to be told was told. */
void rig_fail(struct rig *r, char name, unsigned count);
void rig_succeed(struct rig *r, char name, unsigned count);
