/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two emitters (load.h) share: the sections in the order of the
 * tables, each once.
 */
#pragma once

#include "conf/schema.h"

enum { CONF_SECTIONS_MAX = 64 };

struct conf_section_list {
    const struct conf_section *items[CONF_SECTIONS_MAX];
    size_t                     count;
};

/* The root and all sections below it that have a title. */
void conf_list_sections(struct conf_section_list *list);
/* Is the row written by people, and by this version? */
bool conf_row_is_shown(const struct conf_row *row);
