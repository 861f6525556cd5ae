/* SPDX-License-Identifier: Apache-2.0
 *
 * Files into one tree: reads the first one, follows `include`, and puts what
 * comes together: maps and lists of the top level are joined, anything that
 * stands in two files is an error.
 */
#pragma once

#include "conf/tree.h"

enum { CONF_INCLUDE_DEPTH_MAX = 16, CONF_FILES_MAX = 1000 };

struct conf_loader {
    const struct conf_reader *reader;
    struct conf_report       *report;
    struct arena             *arena;    /* for trees: freed after loading */
    struct arena             *settings; /* for the list of files */
    struct text_list          files;
    struct conf_budget        budget;
    bool                      is_incomplete; /* a file is missing from the tree */
};

/* NULL after reporting an error that leaves no tree. */
struct conf_node *conf_include_file(struct conf_loader *l, const char *path);
struct conf_node *conf_include_text(struct conf_loader *l, const char *name, struct slice text);
