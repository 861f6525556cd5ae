/* SPDX-License-Identifier: Apache-2.0
 *
 * The labels of a container that are ours, in one table: what checks them, hints
 * at misspelt ones and documents them reads the same rows.
 */
#pragma once

#include "discovery/docker_json.h"

enum docker_label_id {
    DOCKER_LABEL_ENABLE,
    DOCKER_LABEL_PORT,
    DOCKER_LABEL_NETWORK,
    DOCKER_LABEL_WEIGHT,
    DOCKER_LABEL_BACKUP,
    DOCKER_LABEL_HOST,
    DOCKER_LABEL_PATH,
    DOCKER_LABEL_RATE_LIMIT,
    DOCKER_LABEL_CONCURRENCY_LIMIT,
    DOCKER_LABEL_COMPRESS,
    DOCKER_LABEL_MAX_BODY,
    DOCKER_LABEL_BALANCE,
    DOCKER_LABEL_PROTOCOL,
    DOCKER_LABEL_SLOW_START,
    DOCKER_LABEL_HEALTH_PATH,
    DOCKER_LABEL_HEALTH_INTERVAL,
    DOCKER_LABEL_HEALTH_TIMEOUT,
    DOCKER_LABEL_COUNT
};

enum docker_label_kind {
    DOCKER_LABEL_BOOL,
    DOCKER_LABEL_NUMBER,
    DOCKER_LABEL_TEXT,
    DOCKER_LABEL_LIST, /* with commas between */
};

/* What it is of. */
enum docker_label_part {
    DOCKER_LABEL_OF_CONTAINER,
    DOCKER_LABEL_OF_ROUTE,    /* `key` in `routes` of the configuration */
    DOCKER_LABEL_OF_UPSTREAM, /* `key` in `upstreams` */
};

struct docker_label_row {
    struct slice           name;
    enum docker_label_part part;
    const char            *key; /* "match.path": its tables judge the value; else what follows */
    enum docker_label_kind kind;
    unsigned               min, max; /* of a number */
    const char            *expected; /* "a number from 1 to 65535" */
    const char            *doc;
};

/* By docker_label_id. */
extern const struct docker_label_row docker_label_rows[DOCKER_LABEL_COUNT];

/* Is the value as the row wants it? */
bool docker_label_fits(const struct docker_label_row *row, struct slice value);
/* Not set: { NULL, 0 }. */
struct slice docker_label_text(const struct docker_container *c, enum docker_label_id id);
/* Not set, or not as it must be: `fallback`. */
unsigned docker_label_number(const struct docker_container *c, enum docker_label_id id,
                             unsigned fallback);
bool docker_label_bool(const struct docker_container *c, enum docker_label_id id, bool fallback);
/* The row that a misspelt name was probably meant to be; NULL: no idea. False: the name does not
 * look like one of ours, or is one. */
bool docker_label_is_misspelt(struct slice name, const struct docker_label_row **meant);
