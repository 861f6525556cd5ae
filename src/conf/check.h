/* SPDX-License-Identifier: Apache-2.0
 *
 * What a row alone cannot say: names that must exist, things that exclude or
 * need each other, things that stand there twice.
 */
#pragma once

#include "conf/schema.h"

/* Hooks of single sections. */
void conf_check_listener_tls(struct conf_parser *p, void *base, const struct conf_place *at);
void conf_check_upstream_tls(struct conf_parser *p, void *base, const struct conf_place *at);
void conf_check_balance(struct conf_parser *p, void *base, const struct conf_place *at);
void conf_check_health(struct conf_parser *p, void *base, const struct conf_place *at);
void conf_check_docker(struct conf_parser *p, void *base, const struct conf_place *at);
void conf_check_dns(struct conf_parser *p, void *base, const struct conf_place *at);
void conf_check_ejection(struct conf_parser *p, void *base, const struct conf_place *at);
void conf_check_upstream(struct conf_parser *p, const struct upstream_settings *u,
                         const struct conf_place *at);
/* `off` and `any` of `upgrade` stand alone. */
void conf_check_policy(struct conf_parser *p, const struct policy_settings *policy,
                       const struct conf_place *at);
/* Something must answer that sees the path. */
void conf_check_rewrite(struct conf_parser *p, const struct route_settings *route,
                        const struct conf_place *at);
void conf_check_rate_limit(struct conf_parser *p, void *base, const struct conf_place *at);
void conf_check_redis(struct conf_parser *p, void *base, const struct conf_place *at);
void conf_check_limits(struct conf_parser *p, void *base, const struct conf_place *at);

/* The whole, once all sections are read. */
void conf_check_all(struct conf_parser *p);

enum { CONF_NAME_KINDS = 4 };

/* One kind of things that rows name. */
struct conf_names {
    unsigned    flag; /* of enum conf_flags */
    const char *what;
    struct map  map;
};

/* What is there, to check against. */
struct conf_index {
    struct conf_names names[CONF_NAME_KINDS]; /* upstreams, listeners, limits */
    struct map        matches;                /* -> the route that has it */
    struct map        routes;                 /* by name */
};

/* All that the settings have. */
void conf_index_init(struct conf_parser *p, struct conf_index *x);
void conf_index_reset(struct conf_index *x);
/* One more upstream and a route, with what was mentioned since p->mention_count was 0. Without an
 * error they are there from now on. */
void conf_check_more(struct conf_parser *p, struct conf_index *x, struct upstream_settings *u,
                     struct route_settings *route);
/* Gives names to the routes that have none; unique ones. */
void conf_name_routes(struct conf_parser *p);
