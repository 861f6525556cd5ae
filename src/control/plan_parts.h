/* SPDX-License-Identifier: Apache-2.0
 *
 * Private to plan_*.c: one building of a plan.
 */
#pragma once

#include "control/plan_build.h"
#include "origin/mime.h"

struct build {
    struct plan_maker       *maker;
    struct plan             *plan;
    struct settings         *settings;
    struct conf_report      *report;
    struct plan_outcome     *outcome;
    struct map               files;     /* path -> struct slice: each is read once */
    struct map               upstreams; /* name -> struct upstream */
    struct map               limits;    /* name -> struct rate_limit */
    struct limit_store      *store;     /* NULL: no rule needs it */
    const struct mime_table *types;     /* NULL: no route has needed it yet */
    const pcre2_code        *pattern;   /* of the path of the route that is built, or NULL */
    struct https_redirect  **redirects; /* by listener, their port is set after binding */
};

/* The file's content in the plan's arena; false when it is reported (at `at`). */
bool build_read(struct build *b, const struct conf_place *at, struct slice path,
                struct slice *content);
/* A certificate that is in use already does not end it all by its date. */
bool build_may_be_expired(const struct build *b, struct slice path, struct slice pem);
/* Of what has no place of its own: the configuration's first line. */
struct conf_place build_place(const struct build *b);
/* Appends what identifies a content to a registry key. */
void build_key_content(struct buffer *key, struct slice content);

/* As read_tls() of an upstream: what `s` names, in *tls. False when it is reported. */
bool build_client_tls(struct build *b, const struct upstream_tls_settings *s,
                      const struct conf_place *at, struct tls_client_settings *tls);
/* Its workers adopt it with the plan. */
void build_add_part(struct build *b, const struct plan_part_ops *ops, void *part);

/* Networks, in the plan's arena; faults are reported. */
void build_cidrs(struct build *b, const struct conf_place *at, const struct text_list *from,
                 struct cidr_set *to);
/* A page's Content-Type, by its path. */
struct slice build_page_type(struct slice path);

void build_store(struct build *b);
void build_upstreams(struct build *b);
void build_pages(struct build *b, const struct policy_settings *policy, const struct conf_place *at,
                 const struct plan_page **pages, size_t *count);
void build_routes(struct build *b);
/* All but the sockets. */
void build_listeners(struct build *b);
/* tls_server of each worker, or NULL (reported). */
struct tls_server **build_tls(struct build *b, const struct listener_tls_settings *tls,
                              bool offers_h2);
void                build_bind(struct build *b);
