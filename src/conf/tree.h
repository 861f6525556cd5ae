/* SPDX-License-Identifier: Apache-2.0
 *
 * A YAML file as a tree whose every node knows its place. Anchors, aliases and
 * merge keys are resolved: an alias shares the node that it names, so that a
 * tree never outgrows its file in memory, and what it would be when written
 * out is counted and bounded. Refuses what could be misread: duplicate keys,
 * tags, several documents, bytes that are not UTF-8 text.
 */
#pragma once

#include "conf/report.h"

enum conf_kind { CONF_SCALAR, CONF_SEQUENCE, CONF_MAPPING };

struct conf_pair;

struct conf_node {
    struct conf_place at;
    uint32_t          end_line, end_column; /* where the text ends, exclusive */
    uint32_t          weight;               /* nodes in it, aliases written out */
    uint32_t          count;                /* of items or pairs */
    uint8_t           kind;                 /* enum conf_kind */
    bool              is_plain;             /* a scalar without quotes */
    bool              is_broken;            /* a scalar whose fault is already reported */
    bool              is_template;          /* `text` is in template form: template.h */
    union {
        struct slice       text;
        struct conf_node **items;
        struct conf_pair  *pairs;
    };
};

struct conf_pair {
    struct conf_node *key; /* a scalar */
    struct conf_node *value;
};

enum {
    CONF_FILE_BYTES_MAX = 16 << 20,
    CONF_DEPTH_MAX = 64,
    CONF_NODES_MAX = 4000000,
    CONF_ALIASES_MAX = 100000,
    CONF_EXPANDED_BYTES_MAX = 16 << 20,
};

/* What may still be used, over all files of one configuration. */
struct conf_budget {
    uint32_t nodes;
    uint32_t aliases;
    size_t   expanded_bytes; /* that ${VAR} puts in */
};

void conf_budget_init(struct conf_budget *b);

/* The tree of one file, in the arena, or NULL after an error that leaves none.
 * Lesser errors are reported and the tree is returned all the same. `file` must
 * outlive it. */
struct conf_node *conf_tree_read(const char *file, struct slice text, struct arena *a,
                                 struct conf_budget *budget, struct conf_report *r);

/* The value of `key`, or NULL. */
struct conf_node *conf_node_get(const struct conf_node *mapping, const char *key);
/* An unquoted nothing: `key:`, `~`, `null`. */
bool conf_node_is_null(const struct conf_node *n);
/* "a mapping", "a list", "nothing", "`text`"; for messages. */
const char *conf_node_quote(struct arena *a, const struct conf_node *n);
