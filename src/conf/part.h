/* SPDX-License-Identifier: Apache-2.0
 *
 * Routes that no file has (those of containers' labels), each with its upstream. They come as
 * trees, not as text: a value can be nothing but a value. The tables and checks of the files'
 * judge them, after the files' own, one after the other; one that has an error is left out,
 * and nothing else changes.
 */
#pragma once

#include "conf/tree.h"

struct conf_part {
    struct slice      name;             /* of both: a row of ours may be named "docker:x/y#2" */
    struct conf_node *upstream, *route; /* mappings */
    /* Set by conf_take_parts(). */
    bool         is_taken;
    struct slice refusal; /* why it is left out, in one line; empty and not taken: not looked at */
};

/* An empty mapping; `from` is where it comes from, in errors, and outlives the tree. */
struct conf_node *conf_part_mapping(struct arena *a, const char *from);
/* `key` may be "match.host": mappings on the way are made. `from` is what sets it, for errors, and
 * outlives the tree. */
void conf_part_put(struct arena *a, struct conf_node *mapping, const char *key, struct slice value,
                   const char *from);
/* As a list. */
void conf_part_put_list(struct arena *a, struct conf_node *mapping, const char *key,
                        const struct text_list *values, const char *from);

/* Adds to settings that are good. Of parts in a row that have one name the first good one is
 * taken. Refusals lie in `a`. */
void conf_take_parts(struct settings *s, struct conf_part *parts, size_t count, struct arena *a);
