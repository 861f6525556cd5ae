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
void conf_check_upgrades(struct conf_parser *p, const struct policy_settings *policy,
                         const struct conf_place *at);
void conf_check_rate_limit(struct conf_parser *p, void *base, const struct conf_place *at);
void conf_check_redis(struct conf_parser *p, void *base, const struct conf_place *at);
void conf_check_limits(struct conf_parser *p, void *base, const struct conf_place *at);

/* The whole, once all sections are read. */
void conf_check_all(struct conf_parser *p);
/* Gives names to the routes that have none; unique ones. */
void conf_name_routes(struct conf_parser *p);
