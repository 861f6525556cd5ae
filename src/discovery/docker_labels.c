/* SPDX-License-Identifier: Apache-2.0
 *
 * The labels of a container that are ours. See docker_labels.h.
 */
#include "discovery/docker_labels.h"

#include "conf/nearest.h"

enum { PREFIX_LEN = sizeof("wharfgate.") - 1, MISSPELT_PREFIX_MAX = 2 };

const struct docker_label_row docker_label_rows[DOCKER_LABEL_COUNT] = {
    [DOCKER_LABEL_ENABLE] = { .name = SLICE("wharfgate.enable"),
                              .kind = DOCKER_LABEL_BOOL,
                              .expected = "true or false",
                              .doc = "true: it makes a route if it has wharfgate.host; false: it "
                                     "is no replica, "
                                     "whatever else fits" },
    [DOCKER_LABEL_PORT] = { .name = SLICE("wharfgate.port"),
                            .kind = DOCKER_LABEL_NUMBER,
                            .min = 1,
                            .max = UINT16_MAX,
                            .expected = "a number from 1 to 65535",
                            .doc =
                                "port inside the container; goes before `port` of the upstream" },
    [DOCKER_LABEL_NETWORK] = { .name = SLICE("wharfgate.network"),
                               .kind = DOCKER_LABEL_TEXT,
                               .expected = "the name of a network",
                               .doc = "network that it is reached over, of several that it is in" },
    [DOCKER_LABEL_WEIGHT] = { .name = SLICE("wharfgate.weight"),
                              .kind = DOCKER_LABEL_NUMBER,
                              .min = 1,
                              .max = 1000,
                              .expected = "a number from 1 to 1000",
                              .doc =
                                  "share of the requests against that of the others, default 1" },
    [DOCKER_LABEL_BACKUP] = { .name = SLICE("wharfgate.backup"),
                              .kind = DOCKER_LABEL_BOOL,
                              .expected = "true or false",
                              .doc = "true: used only while no other replica can be" },
    [DOCKER_LABEL_HOST] = { .name = SLICE("wharfgate.host"),
                            .part = DOCKER_LABEL_OF_ROUTE,
                            .key = "match.host",
                            .kind = DOCKER_LABEL_LIST,
                            .doc = "host names of a route to it, with commas between; with "
                                   "wharfgate.enable=true" },
    [DOCKER_LABEL_PATH] = { .name = SLICE("wharfgate.path"),
                            .part = DOCKER_LABEL_OF_ROUTE,
                            .key = "match.path",
                            .kind = DOCKER_LABEL_TEXT,
                            .doc = "path of that route, as in `match` of the configuration; "
                                   "default /" },
    [DOCKER_LABEL_RATE_LIMIT] = { .name = SLICE("wharfgate.rate_limit"),
                                  .part = DOCKER_LABEL_OF_ROUTE,
                                  .key = "rate_limit",
                                  .kind = DOCKER_LABEL_LIST,
                                  .doc = "rate limit of that route by its name in the "
                                         "configuration, or several with commas between" },
    [DOCKER_LABEL_CONCURRENCY_LIMIT] = { .name = SLICE("wharfgate.concurrency_limit"),
                                         .part = DOCKER_LABEL_OF_ROUTE,
                                         .key = "concurrency_limit",
                                         .kind = DOCKER_LABEL_LIST,
                                         .doc =
                                             "concurrency limit of that route, in the same way" },
    [DOCKER_LABEL_COMPRESS] = { .name = SLICE("wharfgate.compress"),
                                .part = DOCKER_LABEL_OF_ROUTE,
                                .key = "compress",
                                .kind = DOCKER_LABEL_LIST,
                                .doc = "codings of that route's responses, with commas between, "
                                       "or off" },
    [DOCKER_LABEL_MAX_BODY] = { .name = SLICE("wharfgate.max_body"),
                                .part = DOCKER_LABEL_OF_ROUTE,
                                .key = "max_body",
                                .kind = DOCKER_LABEL_TEXT,
                                .doc = "largest body of a request of that route" },
    [DOCKER_LABEL_BALANCE] = { .name = SLICE("wharfgate.balance"),
                               .part = DOCKER_LABEL_OF_UPSTREAM,
                               .key = "balance",
                               .kind = DOCKER_LABEL_TEXT,
                               .doc = "how one of the replicas is chosen" },
    [DOCKER_LABEL_PROTOCOL] = { .name = SLICE("wharfgate.protocol"),
                                .part = DOCKER_LABEL_OF_UPSTREAM,
                                .key = "protocol",
                                .kind = DOCKER_LABEL_TEXT,
                                .doc = "h1, or h2 for gRPC" },
    [DOCKER_LABEL_SLOW_START] = { .name = SLICE("wharfgate.slow_start"),
                                  .part = DOCKER_LABEL_OF_UPSTREAM,
                                  .key = "slow_start",
                                  .kind = DOCKER_LABEL_TEXT,
                                  .doc = "how long a new replica takes to get its whole share" },
    [DOCKER_LABEL_HEALTH_PATH] = { .name = SLICE("wharfgate.health.path"),
                                   .part = DOCKER_LABEL_OF_UPSTREAM,
                                   .key = "health_check.path",
                                   .kind = DOCKER_LABEL_TEXT,
                                   .doc = "path that checks of the replicas ask for; any health "
                                          "label makes them" },
    [DOCKER_LABEL_HEALTH_INTERVAL] = { .name = SLICE("wharfgate.health.interval"),
                                       .part = DOCKER_LABEL_OF_UPSTREAM,
                                       .key = "health_check.interval",
                                       .kind = DOCKER_LABEL_TEXT,
                                       .doc = "how often they ask" },
    [DOCKER_LABEL_HEALTH_TIMEOUT] = { .name = SLICE("wharfgate.health.timeout"),
                                      .part = DOCKER_LABEL_OF_UPSTREAM,
                                      .key = "health_check.timeout",
                                      .kind = DOCKER_LABEL_TEXT,
                                      .doc = "how long an answer to them may take" },
};

/* ---- values ---- */

/* 0: it is none, or too large for any row. */
static unsigned number_of(struct slice value)
{
    unsigned number = 0;
    if (value.len > 8) return 0;
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') return 0;
        number = number * 10 + (unsigned)(value.data[i] - '0');
    }
    return number;
}

bool docker_label_fits(const struct docker_label_row *row, struct slice value)
{
    switch (row->kind) {
    case DOCKER_LABEL_BOOL:
        return slice_eq_nocase(value, S("true")) || slice_eq_nocase(value, S("false"));
    case DOCKER_LABEL_NUMBER: return number_of(value) >= row->min && number_of(value) <= row->max;
    case DOCKER_LABEL_TEXT:
    case DOCKER_LABEL_LIST: return value.len > 0;
    }
    return false;
}

struct slice docker_label_text(const struct docker_container *c, enum docker_label_id id)
{
    return docker_label_value(c, docker_label_rows[id].name);
}

unsigned docker_label_number(const struct docker_container *c, enum docker_label_id id,
                             unsigned fallback)
{
    struct slice value = docker_label_text(c, id);
    return docker_label_fits(&docker_label_rows[id], value) ? number_of(value) : fallback;
}

bool docker_label_bool(const struct docker_container *c, enum docker_label_id id, bool fallback)
{
    struct slice value = docker_label_text(c, id);
    if (!docker_label_fits(&docker_label_rows[id], value)) return fallback;
    return slice_eq_nocase(value, S("true"));
}

/* ---- misspelt names ---- */

static struct slice prefix(void)
{
    return slice_make(docker_label_rows[0].name.data, PREFIX_LEN);
}

static bool is_ours(struct slice name)
{
    for (size_t i = 0; i < DOCKER_LABEL_COUNT; i++)
        if (slice_eq(name, docker_label_rows[i].name)) return true;
    return false;
}

/* "wharfgat.", "Wharfgate.", and "wharfgate" with another character than the dot. */
static bool has_near_prefix(struct slice name, size_t *len)
{
    struct nearest near;
    size_t         dot = slice_find(name, '.');
    *len = dot < name.len ? dot + 1 : PREFIX_LEN;
    if (*len > name.len) return slice_eq_nocase(name, slice_make(prefix().data, PREFIX_LEN - 1));
    nearest_init(&near, slice_make(name.data, *len));
    nearest_try(&near, prefix());
    return near.best.len && near.distance <= MISSPELT_PREFIX_MAX;
}

bool docker_label_is_misspelt(struct slice name, const struct docker_label_row **meant)
{
    struct nearest near;
    size_t         len;
    *meant = NULL;
    if (is_ours(name) || !has_near_prefix(name, &len)) return false;
    nearest_init(&near, slice_from(name, len < name.len ? len : name.len));
    for (size_t i = 0; i < DOCKER_LABEL_COUNT; i++) {
        struct slice best = near.best;
        nearest_try(&near, slice_from(docker_label_rows[i].name, PREFIX_LEN));
        if (near.best.data != best.data) *meant = &docker_label_rows[i];
    }
    return true;
}
